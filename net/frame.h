/* Frames of the native protocol: what travels over a connection. docs/protocol.md is the manual.
 *
 *   offset | type | field
 *        0 | u64  | checksum: XXH3-64 of everything behind it, bytes 8 .. 32 + body_bytes
 *        8 | u32  | magic "GIRO"
 *       12 | u8   | version, 1
 *       13 | u8   | operation
 *       14 | u16  | flags: bit 0 fenced, bit 15 reply; the others are 0
 *       16 | u32  | body_bytes
 *       20 | u32  | status: 0 in requests and in replies that succeeded
 *       24 | u64  | request_id: chosen by the client, echoed in the reply
 *       32 |      | body
 *
 * Little-endian throughout. Replies come in the order of the requests of their connection.
 *
 * Shared by the server and by the C client, and free of both: it compiles as C11 and as C++17. */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FRAME_MAGIC 0x4f524947u /* "GIRO" */

enum {
    FRAME_VERSION = 1,
    FRAME_HEADER_BYTES = 32,
    FRAME_EVENTS_MAX = 8190,
    FRAME_BODY_BYTES_MAX = FRAME_EVENTS_MAX * GIRO_RECORD_BYTES,
    FRAME_BYTES_MAX = FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX,
    FRAME_FLAG_FENCED = 1 << 0, /* of creates of transfers: a struct giro_fence before the events */
    FRAME_FLAG_REPLY = 1 << 15,
    FRAME_SCHEDULES_MAX = 4095, /* of one request, or reply */
    FRAME_OUTCOMES_MAX = 6239,  /* events whose outcomes, and results, fill a reply */
    FRAME_CHANGES_MAX = 3854,   /* of one reply: they and their head fill a frame */
    FRAME_CHANGES_WAIT_MS_MAX = 60000,
};

enum frame_operation {
    FRAME_HELLO = 1,                  /* struct frame_hello -> struct frame_welcome; comes first */
    FRAME_PING = 2,                   /* empty -> empty, once everything before it is durable */
    FRAME_STATS = 3,                  /* empty -> struct frame_stats */
    FRAME_CREATE_ACCOUNTS = 16,       /* giro_account[] -> struct frame_created, giro_result[] */
    FRAME_CREATE_TRANSFERS = 17,      /* giro_transfer[] -> struct frame_created, giro_result[] */
    FRAME_LOOKUP_ACCOUNTS = 18,       /* giro_u128[] -> giro_account[], those that exist */
    FRAME_LOOKUP_TRANSFERS = 19,      /* giro_u128[] -> giro_transfer[], those that exist */
    FRAME_GET_ACCOUNT_TRANSFERS = 20, /* giro_account_filter -> giro_transfer[] */
    FRAME_GET_ACCOUNT_BALANCES = 21,  /* giro_account_filter -> giro_account_balance[] */
    FRAME_QUERY_ACCOUNTS = 22,        /* giro_query_filter -> giro_account[] */
    FRAME_QUERY_TRANSFERS = 23,       /* giro_query_filter -> giro_transfer[] */
    FRAME_READ_CHANGES = 24,    /* giro_change_filter -> struct frame_changes, giro_change[] */
    FRAME_LOOKUP_PAYMENTS = 25, /* giro_u128[] -> giro_payment[], of those that exist */
    FRAME_CREATE_TRANSFERS_OUTCOMES = 26, /* giro_transfer[] -> struct frame_created,
                                             giro_outcome[] of all events, giro_result[] */
    FRAME_SET_LIMITS = 27,                /* giro_limits[] -> struct frame_created, giro_result[] */
    FRAME_GET_LIMITS = 28,   /* giro_u128[] of accounts -> giro_limits[], of those that have any */
    FRAME_GET_VELOCITY = 29, /* giro_u128[] of accounts -> giro_velocity_used[], likewise */
    FRAME_LEASE = 30,        /* giro_lease[] -> giro_lease[], of all events */
    FRAME_GET_LEASES = 31,   /* giro_u128[] of keys -> giro_lease[], of those that are known */
    FRAME_SNAPSHOT = 32,     /* empty -> struct frame_snapshot, once it is durable */
    FRAME_CREATE_SCHEDULES = 33, /* giro_schedule[] -> struct frame_created, giro_result[] */
    FRAME_CANCEL_SCHEDULES = 34, /* giro_u128[] -> struct frame_created, giro_result[] */
    FRAME_CUT_OFF = 36,          /* giro_cut_off[] -> struct frame_created, giro_result[] */
    FRAME_GET_SETTLEMENTS =
        37, /* giro_u128[] of accounts -> giro_settlement[], of those that settle */
    FRAME_GET_SCHEDULES = 35, /* giro_u128[] -> giro_schedule[], those that exist */
};

/* X(NAME, status, closes the connection, "name", "what it means and what to do") */
#define FRAME_STATUSES(X)                                                                          \
    X(OK, 0, false, "ok", "done")                                                                  \
    X(BAD_MAGIC, 1, true, "bad_magic", "not a Giro frame: is this another protocol's client?")     \
    X(BAD_VERSION, 2, true, "bad_version", "protocol version not supported: see the hello reply")  \
    X(BAD_CHECKSUM, 3, true, "bad_checksum", "the frame was damaged on its way: send it again")    \
    X(FRAME_TOO_LARGE, 4, true, "frame_too_large", "the body exceeds the server's frame limit")    \
    X(UNKNOWN_OPERATION, 5, true, "unknown_operation", "this server does not know the operation")  \
    X(BAD_FLAGS, 6, true, "bad_flags", "reserved flags or a status are set in a request")          \
    X(HELLO_EXPECTED, 7, true, "hello_expected", "the first frame must be hello, and only it")     \
    X(TOO_MANY_CONNECTIONS, 8, true, "too_many_connections", "the server's limit is reached")      \
    X(SHUTTING_DOWN, 9, true, "shutting_down", "the server is stopping: connect again later")      \
    X(TIMED_OUT, 10, true, "timed_out", "a frame was begun and not finished in time")              \
    X(BODY_SIZE, 16, false, "body_size", "the body is not a whole number of records")              \
    X(TOO_MANY_EVENTS, 17, false, "too_many_events", "split the request")                          \
    X(STORAGE_FULL, 18, false, "storage_full",                                                     \
      "no room on disk: nothing was written; retry later")                                         \
    X(ACCOUNTS_FULL, 19, false, "accounts_full", "accounts_max is reached: raise it and restart")  \
    X(TRANSFERS_FULL, 20, false, "transfers_full",                                                 \
      "transfers_max is reached: raise it and restart")                                            \
    X(HOLDS_FULL, 21, false, "holds_full", "holds_max open pending transfers: resolve some")       \
    X(RECORD_DAMAGED, 22, false, "record_damaged",                                                 \
      "an old record is damaged on disk: giro verify")                                             \
    X(FILTER_ACCOUNT_ID, 23, false, "filter_account_id", "account_id must be neither 0 nor max")   \
    X(FILTER_TIMESTAMP_MIN, 24, false, "filter_timestamp_min", "timestamp_min exceeds 2^63 - 1")   \
    X(FILTER_TIMESTAMP_MAX, 25, false, "filter_timestamp_max", "timestamp_max exceeds 2^63 - 1")   \
    X(FILTER_TIMESTAMPS, 26, false, "filter_timestamps", "timestamp_min is after timestamp_max")   \
    X(FILTER_LIMIT, 27, false, "filter_limit", "limit must be from 1 to what one reply holds")     \
    X(FILTER_FLAGS, 28, false, "filter_flags", "unknown flags, or neither debits nor credits set") \
    X(FILTER_RESERVED, 29, false, "filter_reserved", "reserved bytes of the filter must be 0")     \
    X(FILTER_NO_HISTORY, 30, false, "filter_no_history",                                           \
      "the account was created without the flag history: its balances were not kept")              \
    X(FILTER_ORDINAL, 31, false, "filter_ordinal", "the ordinal lies behind the end of the log")   \
    X(FILTER_WAIT, 32, false, "filter_wait", "wait_ms exceeds 60,000")                             \
    X(INDEX_DAMAGED, 33, false, "index_damaged",                                                   \
      "an index file is damaged on disk: restart the server, which rebuilds it from the log")      \
    X(SNAPSHOT_FAILED, 34, false, "snapshot_failed",                                               \
      "the snapshot could not be written: the server's log says why; nothing else is affected")    \
    X(QUERY_CANCELLED, 35, false, "query_cancelled",                                               \
      "the server stopped before it was answered, or was short of descriptors: ask again")         \
    X(FOLLOWER_OFF, 36, false, "follower_off",                                                     \
      "queries need the follower, which is switched off or has stopped: see the server's log")     \
    X(PAYMENTS_FULL, 37, false, "payments_full", "payments_max is reached: raise it and restart")  \
    X(FENCE_RESERVED, 38, false, "fence_reserved", "the reserved field of the lease must be 0")    \
    X(SCHEDULES_FULL, 39, false, "schedules_full", "there is no room for more schedules")

#define FRAME_STATUS_ENUMERATOR(name, status, closes, text, meaning) FRAME_##name = (status),
enum frame_status { FRAME_STATUSES(FRAME_STATUS_ENUMERATOR) };
#undef FRAME_STATUS_ENUMERATOR

struct frame_header {
    uint64_t checksum;
    uint32_t magic;
    uint8_t version;
    uint8_t operation;
    uint16_t flags;
    uint32_t body_bytes;
    uint32_t status;
    uint64_t request_id;
};

struct frame_hello {
    uint16_t version_min; /* the versions that the client speaks */
    uint16_t version_max;
    uint32_t reserved_0;  /* 0 */
    char client[32];      /* name and version for the server's log; printable, 0-padded */
    uint8_t reserved[24]; /* 0; authentication will go here */
};

struct frame_welcome {
    uint16_t version;     /* the one to use */
    uint16_t shard_count; /* 1 */
    uint32_t events_max;  /* of one request */
    uint32_t frame_bytes_max;
    uint32_t reserved_0; /* 0 */
    uint64_t time_ns;    /* the server's clock, as timestamps are given */
    uint8_t reserved[40];
};

/* Head of the reply to a create. Event i, where it was created, has timestamp_first + i, except
 * that imported events keep their own. */
struct frame_created {
    uint64_t timestamp_first;
    uint32_t result_count; /* struct giro_result follow: the events that were not created */
    uint32_t reserved;
};

/* Head of the reply to FRAME_READ_CHANGES. */
struct frame_changes {
    uint64_t ordinal_next; /* to ask for next */
    uint64_t ordinal_end;  /* behind the newest record: how far there is to go */
    uint32_t count;        /* struct giro_change follow */
    uint32_t reserved;
    uint64_t reserved_1;
};

/* Reply to FRAME_SNAPSHOT. */
struct frame_snapshot {
    uint64_t lsn;     /* the last block whose effects are in it */
    uint64_t bytes;   /* of its file */
    uint32_t segment; /* the first segment that is not in it; part of its name */
    uint32_t reserved;
};

/* Counters since the server's start, except where noted. */
struct frame_stats {
    uint64_t accounts;    /* in the ledger */
    uint64_t transfers;   /* in the ledger */
    uint64_t holds_open;  /* in the ledger */
    uint64_t lsn_durable; /* of the log */
    uint64_t log_bytes;   /* of the log, headers and padding included */
    uint64_t requests;
    uint64_t events;
    uint64_t events_rejected;
    uint64_t frames_bad;  /* frames that closed their connection */
    uint64_t connections; /* open now */
    uint64_t connections_accepted;
    uint64_t connections_timed_out;
    uint64_t blocks_written;
    uint64_t records_fetched;    /* old records read back from disk */
    uint64_t storage_full;       /* 1 while writes are refused for want of room, else 0 */
    uint64_t memory_index_bytes; /* transfer index */
    uint64_t follower_lsn;       /* the last block that the follower has applied */
    uint64_t follower_lag_bytes; /* of the log, between what is durable and that */
    uint64_t follower_throttled; /* times that requests had to wait for the follower */
    uint64_t snapshots;          /* taken */
    uint64_t snapshot_segment;   /* the newest one holds all segments before this one */
    uint64_t snapshot_bytes;     /* of its file */
    uint64_t snapshot_running;   /* 1 while one is written, else 0 */
    uint64_t segments_sealed;    /* that have a sidecar */
    uint64_t queries;            /* answered, reads of changes included */
    uint64_t queries_active;     /* now */
    uint64_t changes;            /* handed to subscribers */
    uint64_t digests_checked;    /* core and follower agreed */
    uint64_t memory_follower_bytes;
    uint64_t reserved[3]; /* 0 */
};

GIRO_STATIC_ASSERT(sizeof(struct frame_header) == FRAME_HEADER_BYTES, "frame header");
GIRO_STATIC_ASSERT(offsetof(struct frame_header, request_id) == 24, "frame header");
GIRO_STATIC_ASSERT(sizeof(struct frame_hello) == 64, "hello");
GIRO_STATIC_ASSERT(sizeof(struct frame_welcome) == 64, "welcome");
GIRO_STATIC_ASSERT(sizeof(struct frame_created) == 16, "created");
GIRO_STATIC_ASSERT(sizeof(struct frame_changes) == 32, "changes");
GIRO_STATIC_ASSERT(sizeof(struct frame_snapshot) == 24, "snapshot");
GIRO_STATIC_ASSERT(sizeof(struct frame_stats) == 256, "stats");
GIRO_STATIC_ASSERT(sizeof(struct frame_created) +
                           FRAME_OUTCOMES_MAX *
                               (sizeof(struct giro_outcome) + sizeof(struct giro_result)) <=
                       FRAME_BODY_BYTES_MAX,
                   "outcomes of one reply");
GIRO_STATIC_ASSERT(sizeof(struct frame_changes) + FRAME_CHANGES_MAX * sizeof(struct giro_change) <=
                       FRAME_BODY_BYTES_MAX,
                   "changes of one reply");

/* Completes a header whose operation, flags, status and request_id are set, in front of body_bytes
 * of body: magic, version, size and checksum. frame: FRAME_HEADER_BYTES + body_bytes. */
void frame_seal(void *frame, uint32_t body_bytes);

/* Checks a header before its body has arrived: magic, version, size, in this order. */
enum frame_status frame_check_header(const struct frame_header *header);

/* Checks the checksum of a whole frame whose header was checked. */
enum frame_status frame_check_body(const void *frame);

/* Static strings; "unknown" for a status that has none. */
const char *frame_status_name(uint32_t status);
const char *frame_status_meaning(uint32_t status);

/* Whether the server closes the connection after this status. */
bool frame_status_closes(uint32_t status);

#ifdef __cplusplus
}
#endif

#endif
