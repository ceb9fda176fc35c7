#include "tests/sim/random.h"

static uint64_t states[RANDOM_STREAMS];

/* SplitMix64, by Sebastiano Vigna, public domain. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

void random_seed(uint64_t seed)
{
    for (uint64_t stream = 0; stream < RANDOM_STREAMS; stream++)
        states[stream] = mix(seed * RANDOM_STREAMS + stream + 1);
}

uint64_t random_next(enum random_stream stream)
{
    return mix(states[stream] += 0x9e3779b97f4a7c15ull);
}

uint64_t random_below(enum random_stream stream, uint64_t limit)
{
    return random_next(stream) % limit;
}

uint64_t random_skewed(enum random_stream stream, uint64_t min, uint64_t max)
{
    uint32_t bits = 1;
    while (bits < 63 && (max - min) >> bits != 0)
        bits++;
    uint64_t range = 1ull << (1 + random_below(stream, bits));
    uint64_t value = min + random_below(stream, range);
    return value < max ? value : max;
}

bool random_chance(enum random_stream stream, uint32_t permille)
{
    return random_below(stream, 1000) < permille;
}
