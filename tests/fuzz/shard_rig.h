/* A server's parts without its loop, for fuzzers of what it executes: one thread, no sockets.
 *
 *   frame -> net/execute.c, net/compat.c, net/query.c -> ledger -> log window -> block -> segment file
 *         <- reply <------------------------------------ queries <- live segment, sidecar <- follower
 *
 * The disk is a folder; a write is durable when it is asked to be, and the clock is a number. What is
 * in memory of the log can be forgotten, so that old records are fetched, and everything can be
 * started again from the log. Snapshots are left out: they have a thread (and a fuzzer) of their
 * own. */
#ifndef TESTS_FUZZ_SHARD_RIG_H
#define TESTS_FUZZ_SHARD_RIG_H

#include "net/shard_state.h"

enum {
    RIG_SEGMENTS = 4,
    RIG_SEGMENT_BYTES = 1 << 20,
    RIG_WINDOW_BYTES = RIG_SEGMENTS * RIG_SEGMENT_BYTES,
    RIG_ACCOUNTS_MAX = 48,
    RIG_HOLDS_MAX = 24,
    RIG_HOLDS_FEW = 2,
    RIG_TRANSFERS_MAX = 1024,
    RIG_TRANSFERS_FEW = 12,
};

#define RIG_CLOCK_NS 1577836800000000000ull
#define RIG_CLOCK_MAX_NS 8000000000000000000ull /* a jump ends before */

extern struct shard rig_shard;
extern uint64_t rig_clock_ns;
extern uint64_t
    rig_timestamp_before;           /* at the last try of an execution: what the ledger had seen */
extern uint64_t rig_timestamp_next; /* ... and the next one then */

/* Once. large_buffers: of all outputs together. */
void rig_make(uint32_t large_buffers);

/* A connection to nobody, with an output of its own, or the same one anew. Its input is its user's. */
void rig_connection_open(struct connection *connection, bool compat);

/* An empty log and an empty ledger. room: bit 0, for few holds; bit 1, for few transfers. */
void rig_begin(uint64_t room);

/* The configuration of its ledger, for others that are to be compared with it. */
const struct ledger_config *rig_ledger_config(void);

/* What must hold in the end; nothing may wait to be executed, or to be sent. */
void rig_end(void);

/* Everything that was executed becomes durable and is followed. */
void rig_settle(void);

/* What is durable leaves the memory: it is fetched from its file from here on. */
void rig_window_forget(void);

/* The server ends without a word and starts again: what is not durable is gone, and so are all
 * connections. */
void rig_restart(void);

/* Takes the clock for what is executed next. */
void rig_time_keep(void);

/* Executes the frame at the front of a connection's input until it waits for anything but the log. The
 * disk is full (*out_full) when a segment is waited for: none is made here. */
enum execution rig_try(struct connection *connection, enum frame_status *out_status,
                       bool *out_full);

/* What a connection waits for after EXECUTION_FETCHING comes about, and perhaps what others wait for. */
void rig_wait(struct connection *connection);

/* Both, until it is done or refused, or until replies have to be sent first. */
enum execution rig_execute(struct connection *connection, enum frame_status *out_status,
                           bool *out_full);

/* Sends all that is in a connection's output. */
void rig_send(struct connection *connection);

/* What a fetch asks for comes. */
void rig_fetch(struct shard_fetch *fetch);

/* Moves the clock forward, if that is forward. */
void rig_clock_set(uint64_t to);

/* Logs a digest of so many rows, if there is room. */
void rig_digest(uint32_t rows);

/* The log goes on in the next segment, if there is one. */
void rig_roll(void);

/* A block without records. */
void rig_mark(void);

/* ---- Queries, by a search through everything --------------------------------------------- */

struct rig_asked {
    struct giro_query_filter filter;
    giro_u128 account_id; /* 0: any */
    uint32_t sides;
    bool accounts;
    bool balances;
};

/* What a query of the native protocol asks for. */
struct rig_asked rig_asked_of(uint8_t operation, const void *filter);

/* Whether it finds a record. Accounts have the fields that are compared where transfers have them. */
bool rig_matches(const struct rig_asked *asked, const struct giro_transfer *record);

#endif
