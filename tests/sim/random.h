/* Chance, from one seed. Every concern has a stream of its own, so that a run with fewer faults or
 * fewer requests is still much like the one that it was cut down from. */
#ifndef TESTS_SIM_RANDOM_H
#define TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

enum random_stream {
    RANDOM_PLAN,
    RANDOM_SCHEDULE,
    RANDOM_CLOCK,
    RANDOM_DISK,
    RANDOM_NETWORK,
    RANDOM_CLIENTS,
    RANDOM_KERNEL, /* what the program under test draws */
    RANDOM_STREAMS,
};

/* Starts all streams. */
void random_seed(uint64_t seed);

uint64_t random_next(enum random_stream stream);

/* 0 .. limit - 1; limit > 0. */
uint64_t random_below(enum random_stream stream, uint64_t limit);

/* min .. max, small numbers far more often than large ones: each power of two is as likely. */
uint64_t random_skewed(enum random_stream stream, uint64_t min, uint64_t max);

/* True in permille of 1,000 cases. */
bool random_chance(enum random_stream stream, uint32_t permille);

#endif
