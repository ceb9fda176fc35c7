#include "bench/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

enum { DESCRIPTORS_MAX = 16 };

int scratch_make(const char *parent, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/giro-bench-XXXXXX", parent);
    if (length < 0 || (size_t)length >= size)
        return -ENAMETOOLONG;
    return mkdtemp(path) != NULL ? 0 : -errno;
}

static int entry_remove(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    return remove(path);
}

void scratch_remove(const char *path)
{
    if (nftw(path, entry_remove, DESCRIPTORS_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        fprintf(stderr, "bench: cannot remove all of %s\n", path);
}
