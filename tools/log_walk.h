/* Reading a whole data directory, for the commands that look at one while no server runs. */
#ifndef TOOLS_LOG_WALK_H
#define TOOLS_LOG_WALK_H

#include "engine/ledger.h"
#include "wal/directory.h"
#include "wal/reader.h"

struct log_walk {
    struct directory directory;
    struct log_reader reader;
    struct ledger *ledger;
    struct ledger_config config; /* of ledger: no log of this size can hold more */
    void *window;
    uint64_t window_bytes;
    uint64_t records[4]; /* by enum record_kind */
};

/* Opens and locks a directory and prepares to read its log from the beginning. */
int log_walk_open(struct log_walk *walk, const char *data, enum directory_access access,
                  struct error *error);
void log_walk_close(struct log_walk *walk);

/* Reads the next block. Returns 1 with it, 0 at the end (walk->reader.end tells how), -errno. */
int log_walk_next(struct log_walk *walk, const struct block_header **out_header,
                  struct error *error);

/* Applies a block that was read to walk->ledger. Returns 0 or -errno. */
int log_walk_apply(struct log_walk *walk, const struct block_header *header, struct error *error);

/* The error of a record that replay refused. Returns -EBADMSG. */
int log_walk_contradiction(const struct log_walk *walk, const struct block_header *header,
                           uint32_t index, struct error *error);

enum { U128_TEXT_BYTES = 40, TIME_TEXT_BYTES = 40 };

/* Decimal digits of a number, and a time as 2026-01-31T23:59:59.123456789Z. */
void u128_format(giro_u128 number, char out[U128_TEXT_BYTES]);
void time_format(uint64_t ns, char out[TIME_TEXT_BYTES]);

/* The reverse of time_format(); also takes plain nanoseconds, and fewer digits of a second. */
bool time_parse(const char *text, uint64_t *out_ns);

#endif
