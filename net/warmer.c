#include "net/warmer.h"

#include "engine/memory.h"

#include <assert.h>
#include <string.h>
#include <time.h>

enum {
    AHEAD_BYTES = 4 << 20, /* at least */
    AHEAD_INTERVALS = 4,   /* or what the table grew in so many intervals */
    STEP_BYTES = 2 << 20,  /* a huge page */
    INTERVAL_NS = 10 * 1000 * 1000,
};

void warmer_add(struct warmer *warmer, unsigned i, void *base, size_t reserved_bytes)
{
    assert(i < WARMER_REGIONS_MAX);
    assert(i == warmer->region_count);
    warmer->region_count++;
    warmer->regions[i].base = base;
    warmer->regions[i].reserved_bytes = reserved_bytes;
}

static void region_warm(struct warmer_region *region)
{
    size_t used = atomic_load_explicit(&region->used_bytes, memory_order_relaxed);
    /* Tables shrink too, by a row or a line that is taken back. */
    size_t growth = used > region->used_before ? used - region->used_before : 0;
    size_t ahead = AHEAD_INTERVALS * growth;
    region->used_before = used;
    size_t target = used + (ahead > AHEAD_BYTES ? ahead : AHEAD_BYTES);
    target = (target + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    if (target > region->reserved_bytes)
        target = region->reserved_bytes;
    if (target <= region->warm_bytes)
        return;
    memory_populate(region->base + region->warm_bytes, target - region->warm_bytes);
    region->warm_bytes = target;
}

static void *warmer_run(void *argument)
{
    struct warmer *warmer = argument;
    const struct timespec interval = {.tv_nsec = INTERVAL_NS};
    while (!atomic_load_explicit(&warmer->stop, memory_order_relaxed)) {
        for (unsigned i = 0; i < warmer->region_count; i++)
            region_warm(&warmer->regions[i]);
        (void)nanosleep(&interval, NULL);
    }
    return NULL;
}

int warmer_start(struct warmer *warmer, struct error *error)
{
    for (unsigned i = 0; i < warmer->region_count; i++) {
        struct warmer_region *region = &warmer->regions[i];
        region->used_before = atomic_load_explicit(&region->used_bytes, memory_order_relaxed);
        region_warm(region);
    }
    int result = pthread_create(&warmer->thread, NULL, warmer_run, warmer);
    if (result != 0)
        return error_set(error, -result, "cannot start a thread: %s", strerror(result));
    warmer->started = true;
    return 0;
}

void warmer_stop(struct warmer *warmer)
{
    if (!warmer->started)
        return;
    atomic_store_explicit(&warmer->stop, true, memory_order_relaxed);
    pthread_join(warmer->thread, NULL);
    warmer->started = false;
}
