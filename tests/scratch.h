/* What the tests of the follower's parts share: a seed, and a private folder on a real disk.
 *
 *   GIRO_TEST_SEED   replaces the seed of every randomised test
 *   GIRO_TEST_DIR    where private folders go (default: the build folder) */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { SCRATCH_PATH_BYTES = 200 };

struct rng {
    uint64_t state;
};

/* A generator from GIRO_TEST_SEED, or from seed where it is not set; prints which. */
struct rng rng_make(uint64_t seed);
uint64_t rng_next(struct rng *rng);

/* 0 .. limit - 1 */
uint32_t rng_below(struct rng *rng, uint32_t limit);
bool rng_chance(struct rng *rng, uint32_t percent);

/* Makes a private, empty folder. */
void scratch_make(char path[SCRATCH_PATH_BYTES]);
void scratch_remove(const char *path);

/* Removes what is left, also after a failed assertion: every suite's .fini. */
void scratch_clean(void);

#endif
