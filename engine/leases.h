/* Leases: who may act on something, until when, and the token that proves it.
 *
 * A lease is current until its deadline, as long as nobody was given it since. Its token is where in
 * the log it was acquired: a later one is greater, whatever the key. Nothing happens when a lease
 * expires: it is compared with the time of whoever asks. Its row is taken by another key then, or
 * by the same one again; which row that is stands in the log, so that replay need not choose. */
#ifndef ENGINE_LEASES_H
#define ENGINE_LEASES_H

#include "engine/hash.h"
#include "engine/index.h"
#include "engine/record.h"

#include <stdbool.h>

struct lease {
    GIRO_ALIGNAS_16 giro_u128 key;
    giro_u128 owner;
    uint64_t token;
    uint64_t deadline; /* 0: released */
};

_Static_assert(sizeof(struct lease) == 48, "no padding in struct lease");

struct leases {
    struct lease *rows;
    struct index index; /* key -> row + 1 */
    uint64_t hash_seed;
    uint32_t count;
    uint32_t capacity;
    uint32_t looked_at; /* where the search for a row that can be taken goes on */
};

#define LEASES_NONE UINT32_MAX

/* Returns 0 or -ENOMEM. */
int leases_init(struct leases *leases, uint32_t capacity, uint64_t hash_seed);
void leases_free(struct leases *leases);

/* Row of a key; LEASES_NONE: it has none. */
uint32_t leases_find(const struct leases *leases, giro_u128 key);

/* A row for a key that has none: of a lease that is over, or the next new one; LEASES_NONE: all
 * leases that there is room for are current. */
uint32_t leases_vacant(struct leases *leases, uint64_t time);

/* Puts a lease into a row, which is at most count. */
void leases_put(struct leases *leases, uint32_t row, const struct lease *lease);

static inline bool lease_is_current(const struct lease *lease, uint64_t time)
{
    return lease->deadline > time;
}

#endif
