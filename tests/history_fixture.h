/* A log of several segments in a real folder, what a follower makes of it, and a plain account of
 * both to compare with.
 *
 *   requests -> ledger -> block -> segment file -> replica, live segment, sidecars, archive
 *                              \-> reference: an array of all records, and what each of them led to
 *
 * Blocks are written by nothing but wal/block.h, and followed as wal/follower.c does, without server,
 * threads and clock: the test decides when a block ends, when the log goes on in the next segment,
 * and what happens in between. The reference knows the rules of balances and nothing of the engine.
 *
 * Accounts are numbered from 0 on and transfers from 1 on; their ids follow from these numbers. */
#ifndef TESTS_HISTORY_FIXTURE_H
#define TESTS_HISTORY_FIXTURE_H

#include "engine/ledger.h"
#include "tests/scratch.h"
#include "wal/archive.h"
#include "wal/live.h"
#include "wal/query.h"
#include "wal/snapshot.h"
#include "wal/view.h"

enum { HISTORY_SEGMENTS_MAX = 128 };

/* In 2023. */
#define HISTORY_CLOCK_NS 1700000000000000000ull

struct history_options {
    uint32_t segment_bytes;
    uint32_t segments_max; /* a power of two */
    uint32_t accounts_max;
    uint32_t holds_max;
    uint64_t records_max; /* 0: as many as the segments have room for */
};

/* One record, and both balances right after it, when it changes any. */
struct history_record {
    const union record *record;
    struct giro_balances debit;
    struct giro_balances credit;
};

struct history {
    char path[SCRATCH_PATH_BYTES];
    struct history_options options;
    struct directory directory;

    /* Writing. */
    struct ledger *ledger;
    union record *log; /* all of it, by address */
    uint64_t clock_ns;
    uint64_t transfer_next; /* number of the next transfer */
    uint64_t schedule_next; /* id of the next schedule, less 1 */
    struct log_position position;
    uint32_t offset;
    uint32_t open_records; /* of the open block */
    bool rolls;            /* the next block begins a segment */
    int fd;                /* of the segment in use */
    uint64_t *addresses;
    struct giro_result *results;
    uint32_t result_count; /* of the last request */
    uint32_t *log_map;     /* as the log makes it */

    /* The reference. */
    struct history_record *records; /* by ordinal */
    struct giro_account *accounts;  /* by number */
    uint64_t *ordinals;             /* by number of the transfer */
    uint64_t record_count;
    uint32_t account_count;

    /* Following. */
    struct ledger *replica;
    struct live live;
    struct archive archive;
    struct archive_reader *reader;
    struct query_source source;
    struct snapshot *snapshot; /* NULL, or one that may be active */
    struct ledger_effect effects[LEDGER_CHUNK_EVENTS];
    struct checksum view_sums[HISTORY_SEGMENTS_MAX]; /* of what live had recorded */
    void (*while_sealing)(struct history *history);  /* after each step of it; may be NULL */
    uint32_t seals_fail; /* how often each segment is sealed in vain before: the disk is full */
};

void history_open(struct history *history, const struct history_options *options);
void history_close(struct history *history);

giro_u128 history_account_id(uint32_t number);
giro_u128 history_transfer_id(uint64_t number);

/* A ledger with the limits of this history; follows: without ids. */
struct ledger *history_ledger_make(const struct history *history, bool follows);

/* Each of these adds the records of one request to the open block. New transfers are numbered by the
 * caller with history->transfer_next. */
void history_accounts(struct history *history, const struct giro_account *events, uint32_t count);
void history_transfers(struct history *history, const struct giro_transfer *events, uint32_t count);
void history_limits(struct history *history, const struct giro_limits *events, uint32_t count);
void history_leases(struct history *history, const struct giro_lease *events, uint32_t count);
/* The next request of a client, which registers first; the first `failed` of its events were not
 * created. */
void history_session(struct history *history, giro_u128 client, uint32_t events, uint32_t failed);
void history_schedules(struct history *history, const struct giro_schedule *events, uint32_t count);
void history_cancel(struct history *history, const giro_u128 *ids, uint32_t count);
void history_fire(struct history *history, uint32_t events_max);
void history_cut_off(struct history *history, const struct giro_cut_off *events, uint32_t count);
void history_expire(struct history *history, uint32_t records_max);

/* Adds a digest record of the executing ledger. */
void history_digest(struct history *history);

/* Writes the open block, if it has records, and follows it. */
void history_flush(struct history *history);

/* Writes a block without records and follows it. */
void history_mark(struct history *history, enum block_kind kind);

/* The next block begins a segment, and the one before is sealed then. */
void history_roll(struct history *history);

/* The same at once: the segment is begun and has no block yet. */
void history_enter(struct history *history);

/* Checksum of the blocks of a view and of the balances of all records in it that have any. */
struct checksum history_view_sum(const struct view *view);

/* ---- Random contents --------------------------------------------------------------------- */

struct history_mix {
    uint32_t accounts;       /* that transfers are about */
    uint32_t hot_percent;    /* of transfers debit account 0 */
    uint32_t events_max;     /* of a request */
    uint32_t account_chance; /* percent of requests that make accounts */
    bool imports;            /* now and then, and everything at first */
    uint32_t objects_chance; /* percent of requests that are of leases and schedules */
    uint32_t objects;        /* keys that are leased, and schedules of one request */
    uint32_t
        sessions_chance; /* percent of requests that are of one of a few clients with sessions */
};

/* Runs one random request, and perhaps ends the block. */
void history_request(struct history *history, struct rng *rng, const struct history_mix *mix);

/* The first accounts of a mix; with imports, many of them and transfers between them are old. */
void history_begin(struct history *history, struct rng *rng, const struct history_mix *mix);

#endif
