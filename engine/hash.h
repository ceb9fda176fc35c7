/* Hash of a 128-bit id, for every table of the engine.
 *
 * The seed comes from the data directory's random id, which no client ever sees: ids are chosen by
 * clients, and must not be choosable so that they meet in one bucket. */
#ifndef ENGINE_HASH_H
#define ENGINE_HASH_H

#include "engine/record.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t id_hash(giro_u128 id, uint64_t seed)
{
    uint64_t hash = XXH3_64bits_withSeed(&id, sizeof id, seed);
    /* The topmost fingerprint of an index is taken: see engine/index.h. */
    return hash >> 40 == 0xffffff ? hash ^ 1ull << 40 : hash;
}

#endif
