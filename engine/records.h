/* Records of the log, and how the engine reads old ones back.
 *
 * Every accepted mutation is one 128-byte record in the log. A record's address is its position in
 * the log in units of 128 bytes, block headers and padding counted: from an address follow segment
 * file and offset without any table. Address 0 is always a block header, so 0 means "none".
 *
 * The two topmost bits of `flags` (offset 118 in accounts and transfers alike) tell the kind:
 *
 *   kind             | bits | layout
 *   RECORD_TRANSFER  | 00   | struct giro_transfer as accepted: actual amount, inherited fields
 *   RECORD_ACCOUNT   | 01   | struct giro_account as created
 *   RECORD_BURNT     | 10   | transfer layout: id, timestamp; code = the result that burnt the id
 *   RECORD_SYSTEM    | 11   | transfer layout; code = enum record_system
 *
 *   RECORD_SYSTEM_EXPIRY: pending_id = the expired transfer, debit_account_id, credit_account_id,
 *   amount and ledger copied from it; timestamp = when its balances were released.
 *   RECORD_SYSTEM_DIGEST, RECORD_SYSTEM_SNAPSHOT: see below; they change nothing.
 *   RECORD_SYSTEM_LIMITS: struct giro_limits as it was set, its flags beside the kind.
 *   RECORD_SYSTEM_LEASE: struct giro_lease as it is now, its token and deadline decided.
 *   RECORD_SYSTEM_SCHEDULE: the first half of a struct giro_schedule as it was created, and right behind
 *   it RECORD_SYSTEM_TEMPLATE, its transfer, with the schedule's id. Their code and flags being the
 *   record's, the transfer's stand in the first half.
 *   RECORD_SYSTEM_FIRING: struct giro_firing, in front of the transfer, if it was created.
 *   RECORD_SYSTEM_CANCEL: struct giro_firing, of which only schedule_id and row are used.
 *   RECORD_SYSTEM_CUT_OFF: struct giro_cut_off as it was accepted.
 *   RECORD_SYSTEM_SESSION, RECORD_SYSTEM_SESSION_RESULTS: see below, behind what the request did.
 *   RECORD_SYSTEM_PAYMENT: what the transfer right behind it cannot tell by itself; its id is
 *   user_data_128, its marks user_data_32. When it is the first return of an ordinary transfer,
 *   pending_id, amount and both accounts are those of that one; else they are zero.
 *
 * The engine performs no I/O. It reads recent records from the log window, the memory in which the
 * log's blocks are built, and older ones from a record_cache, which the caller fills with exactly
 * the addresses that the ledger asked for. */
#ifndef ENGINE_RECORDS_H
#define ENGINE_RECORDS_H

#include "engine/checksum.h"
#include "engine/record.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define RECORD_ADDRESS_BITS 40
#define RECORD_ADDRESS_MAX ((1ull << RECORD_ADDRESS_BITS) - 1)

enum record_kind {
    RECORD_TRANSFER = 0,
    RECORD_ACCOUNT = 1,
    RECORD_BURNT = 2,
    RECORD_SYSTEM = 3,
};

enum { RECORD_KIND_SHIFT = 14, RECORD_FLAGS_MASK = (1 << RECORD_KIND_SHIFT) - 1 };

enum record_system {
    RECORD_SYSTEM_EXPIRY = 1,
    RECORD_SYSTEM_DIGEST = 2,
    RECORD_SYSTEM_SNAPSHOT = 3,
    RECORD_SYSTEM_PAYMENT = 4,
    RECORD_SYSTEM_LIMITS = 5,
    RECORD_SYSTEM_LEASE = 6,
    RECORD_SYSTEM_SCHEDULE = 7,
    RECORD_SYSTEM_TEMPLATE = 8,
    RECORD_SYSTEM_FIRING = 9,
    RECORD_SYSTEM_CANCEL = 10,
    RECORD_SYSTEM_CUT_OFF = 11,
    RECORD_SYSTEM_SESSION = 12,
    RECORD_SYSTEM_SESSION_RESULTS = 13,
};

/* What the server's own state was when it had executed every record before this one. Whoever
 * replays the log compares: a bit that flipped in memory, or a replay that differs from execution,
 * shows while the log still has the truth. */
struct record_digest {
    GIRO_ALIGNAS_16 struct checksum rows; /* of row_count account rows from row_first on */
    uint64_t row_first;
    uint64_t row_count;
    uint64_t accounts;
    uint64_t transfers;
    uint64_t burnt;
    uint64_t expired;
    uint64_t holds;
    uint64_t account_timestamp_last;
    uint64_t transfer_timestamp_last;
    uint64_t table_counts; /* low half of the checksum of how many rows each table has, as u64 */
    uint64_t side_rows;    /* ... of side_count rows of one table from side_first on */
    uint32_t side_first;
    uint32_t side_count;
    uint32_t side_table; /* enum ledger_table, but for accounts; 0: side_count is 0 */
    uint16_t code;       /* RECORD_SYSTEM_DIGEST */
    uint16_t flags;
    uint64_t timestamp; /* when it was taken */
};

/* A snapshot that was completed and is durable. */
struct record_snapshot {
    GIRO_ALIGNAS_16 struct checksum file; /* of the whole file */
    uint64_t file_bytes;
    uint64_t lsn;         /* the last block that is in it */
    uint32_t segment;     /* the first segment that is not */
    uint32_t reserved_0;  /* 0 */
    uint64_t reserved[9]; /* 0 */
    uint32_t reserved_1;  /* 0 */
    uint16_t code;        /* RECORD_SYSTEM_SNAPSHOT */
    uint16_t flags;
    uint64_t timestamp; /* when it was completed */
};

/* A request of a session was executed, or a session registered: request_number is 0 then, and number the
 * record's address. In the same block as what the request did. See engine/sessions.h. */
struct record_session {
    GIRO_ALIGNAS_16 giro_u128 client;
    struct checksum request; /* of the request's header, as it came */
    uint64_t number;         /* of the session */
    uint64_t timestamp_first;
    uint32_t request_number;
    uint32_t release;
    uint32_t row;          /* of the table of sessions */
    uint32_t event_count;  /* event i has timestamp_first + i */
    uint32_t result_count; /* events that were not created: in the records behind this one */
    uint32_t reserved_0;   /* 0 */
    uint64_t reserved[5];  /* 0 */
    uint32_t reserved_1;   /* 0 */
    uint16_t code;         /* RECORD_SYSTEM_SESSION */
    uint16_t flags;
    uint64_t timestamp;
};

/* The result of an event that was not created. */
struct session_result {
    uint32_t index; /* of the event in its request */
    uint32_t code;
    uint64_t timestamp; /* as it was answered */
};

enum { SESSION_RESULTS = 7 };

struct record_session_results {
    GIRO_ALIGNAS_16 struct session_result results[SESSION_RESULTS]; /* in the order of events */
    uint32_t count;
    uint16_t code; /* RECORD_SYSTEM_SESSION_RESULTS */
    uint16_t flags;
    uint64_t timestamp;
};

/* One record of any kind. */
union record {
    struct giro_transfer transfer;
    struct giro_account account;
    struct record_digest digest;
    struct record_snapshot snapshot;
    struct giro_limits limits;
    struct giro_lease lease;
    struct giro_firing firing;
    struct giro_cut_off cut_off;
    struct record_session session;
    struct record_session_results session_results;
    uint8_t schedule[GIRO_RECORD_BYTES];
};

_Static_assert(sizeof(union record) == GIRO_RECORD_BYTES, "record size");
_Static_assert(offsetof(struct record_digest, code) == offsetof(struct giro_transfer, code),
               "code");
_Static_assert(offsetof(struct record_snapshot, code) == offsetof(struct giro_transfer, code),
               "code");
_Static_assert(offsetof(struct record_session, code) == offsetof(struct giro_transfer, code) &&
                   offsetof(struct record_session_results, code) ==
                       offsetof(struct giro_transfer, code),
               "code");
_Static_assert(offsetof(struct giro_limits, reserved) == offsetof(struct giro_transfer, code),
               "code");

_Static_assert(offsetof(struct giro_schedule, state) == offsetof(struct giro_transfer, code) &&
                   offsetof(struct giro_firing, code) == offsetof(struct giro_transfer, code),
               "code");
_Static_assert(offsetof(struct giro_cut_off, reserved_1) == offsetof(struct giro_transfer, code),
               "code");
_Static_assert(offsetof(struct giro_lease, result) == offsetof(struct giro_transfer, code), "code");

static inline enum record_kind record_kind(const union record *record)
{
    return (enum record_kind)(record->transfer.flags >> RECORD_KIND_SHIFT);
}

/* The code of a system record; 0 for any other. */
static inline uint16_t record_system(const union record *record)
{
    return record_kind(record) == RECORD_SYSTEM ? record->transfer.code : 0;
}

/* The recent end of the log, in memory: address a lies at base[a % records]. */
struct record_window {
    union record *base;
    uint64_t records; /* a power of two */
    uint64_t low;     /* the oldest address that is still there */
};

/* Records fetched from disk for one request: open addressing by address, half full at most. */
struct record_cache {
    uint64_t *addresses; /* 0: empty */
    union record *records;
    uint32_t slots; /* a power of two */
    uint32_t count;
};

/* Makes a cache for up to records_max records. Returns 0 or -ENOMEM. */
int record_cache_init(struct record_cache *cache, uint32_t records_max);
void record_cache_free(struct record_cache *cache);
void record_cache_clear(struct record_cache *cache);

/* Adds a record unless it is there. */
void record_cache_put(struct record_cache *cache, uint64_t address, const union record *record);

/* Returns NULL when the address is not there. */
const union record *record_cache_get(const struct record_cache *cache, uint64_t address);

/* The record at an address, NULL when it must be fetched first. cache may be NULL. */
static inline const union record *record_at(const struct record_window *window,
                                            const struct record_cache *cache, uint64_t address)
{
    assert(address != 0);
    if (address >= window->low)
        return &window->base[address & (window->records - 1)];
    return cache == NULL ? NULL : record_cache_get(cache, address);
}

#endif
