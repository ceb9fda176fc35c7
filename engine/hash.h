/* Hash of a 128-bit id, for every table of the engine.
 *
 * The seed comes from the data directory's random id, which no client ever sees: ids are chosen by
 * clients, and must not be choosable so that they meet in one bucket. */
#ifndef ENGINE_HASH_H
#define ENGINE_HASH_H

#include "engine/record.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Ids that follow each other are near each other: 64 of them, aligned, share all bits of their hash but
 * the topmost six, in which each has its own. An index turns that into one page of 64 buckets, one id a
 * bucket, so that ids that count up cost one page walk for 64 of them. Other ids lose nothing: groups
 * are spread like single ids. */
enum { ID_GROUP_BITS = 6 };

static inline uint64_t id_hash(giro_u128 id, uint64_t seed)
{
    giro_u128 group = id >> ID_GROUP_BITS;
    uint64_t hash = XXH3_64bits_withSeed(&group, sizeof group, seed) ^ (uint64_t)id
                                                                           << (64 - ID_GROUP_BITS);
    /* The topmost fingerprint of an index is taken: see engine/index.h. */
    return hash >> 40 == 0xffffff ? hash ^ 1ull << 40 : hash;
}

#endif
