#include "tests/scratch.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDERS_MAX = 8 };

static char folders[FOLDERS_MAX][SCRATCH_PATH_BYTES];

struct rng rng_make(uint64_t seed)
{
    const char *text = getenv("GIRO_TEST_SEED");
    if (text != NULL)
        seed = strtoull(text, NULL, 0);
    fprintf(stderr, "GIRO_TEST_SEED=%lu\n", seed);
    return (struct rng){seed};
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint32_t rng_below(struct rng *rng, uint32_t limit)
{
    return (uint32_t)(rng_next(rng) % limit);
}

bool rng_chance(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}

void scratch_make(char path[SCRATCH_PATH_BYTES])
{
    const char *base = getenv("GIRO_TEST_DIR");
    if (base == NULL)
        base = GIRO_TEST_DIR_DEFAULT;
    (void)snprintf(path, SCRATCH_PATH_BYTES, "%s/giro-scratch-XXXXXX", base);
    cr_assert(mkdtemp(path) != NULL, "%s", path);
    for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
        if (folders[i][0] != 0)
            continue;
        memcpy(folders[i], path, SCRATCH_PATH_BYTES);
        return;
    }
    cr_assert_fail("too many folders");
}

static int entry_remove(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}

void scratch_remove(const char *path)
{
    (void)nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
    for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
        if (strcmp(folders[i], path) == 0)
            folders[i][0] = 0;
    }
}

void scratch_clean(void)
{
    for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
        if (folders[i][0] != 0)
            scratch_remove(folders[i]);
    }
}
