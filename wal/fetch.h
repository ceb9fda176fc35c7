/* Reads old records back from the segment files, asynchronously and with their checksum proven.
 *
 * A record is only as good as the checksum of its block, so the whole block is read: from the map
 * of the log (wal/log.h) follows a block at or before the record, from there the headers lead on.
 * Addresses are fetched in order, each block once. */
#ifndef WAL_FETCH_H
#define WAL_FETCH_H

#include "wal/log.h"

struct log_fetch {
    struct io_op op;
    struct log *log;
    struct record_cache cache; /* of whoever asked */
    uint64_t *addresses;       /* room for addresses_max; sorted by log_fetch_start() */
    uint32_t addresses_max;
    uint32_t count;
    uint32_t next; /* the first address that is not in the cache yet */
    char *buffer;  /* from position begin of the log */
    uint64_t begin;
    uint32_t have;       /* bytes read */
    uint64_t chunk;      /* that the buffer was begun for */
    uint64_t damaged_at; /* position of a block that failed its checksum */
};

/* Makes a fetch for up to addresses_max records at a time, with a cache for cache_records.
 * Returns 0 or -ENOMEM. */
int log_fetch_init(struct log_fetch *fetch, struct log *log, uint32_t addresses_max,
                   uint32_t cache_records);
void log_fetch_free(struct log_fetch *fetch);

/* Starts fetching the first count of fetch->addresses into fetch->cache. */
void log_fetch_start(struct log_fetch *fetch, uint32_t count);

enum log_fetch_state {
    LOG_FETCH_AGAIN, /* a read is under way */
    LOG_FETCH_DONE,
    LOG_FETCH_DAMAGED,
};

/* To be called with every completed operation of this fetch. */
enum log_fetch_state log_fetch_step(struct log_fetch *fetch);

#endif
