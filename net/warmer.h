/* Keeps memory present ahead of the tables that grow into it.
 *
 * The first touch of a page is a fault: the kernel, and in a virtual machine its host, must find
 * and clear memory, up to 2 MiB at a time. In the middle of a request that is a stall of
 * milliseconds. A thread of its own takes the faults instead, a little ahead of each table; the
 * shard only tells how far its tables have come. */
#ifndef NET_WARMER_H
#define NET_WARMER_H

#include "wal/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { WARMER_REGIONS_MAX = 8 };

struct warmer_region {
    char *base;
    size_t reserved_bytes;
    _Atomic size_t used_bytes; /* written by the shard, read by the thread */
    size_t used_before;        /* the thread's */
    size_t warm_bytes;         /* the thread's */
};

struct warmer {
    struct warmer_region regions[WARMER_REGIONS_MAX];
    unsigned region_count;
    pthread_t thread;
    atomic_bool stop;
    bool started;
};

/* Makes region number i (they are numbered from 0). Before warmer_start(). */
void warmer_add(struct warmer *warmer, unsigned i, void *base, size_t reserved_bytes);

/* Warms what is in use and starts the thread. Returns 0 or -errno. */
int warmer_start(struct warmer *warmer, struct error *error);
void warmer_stop(struct warmer *warmer);

/* Tells how much of region number i is in use now. */
static inline void warmer_used(struct warmer *warmer, unsigned i, size_t used_bytes)
{
    /* Only a hint travels with it: no other memory is ordered by this store. */
    atomic_store_explicit(&warmer->regions[i].used_bytes, used_bytes, memory_order_relaxed);
}

#endif
