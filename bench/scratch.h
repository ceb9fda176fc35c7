/* Temporary directories of the benchmarks. */
#ifndef BENCH_SCRATCH_H
#define BENCH_SCRATCH_H

#include <stddef.h>

/* Makes DIR/giro-bench-XXXXXX, private to the user. path: size bytes for its name.
 * Returns 0 or -errno. */
int scratch_make(const char *parent, char *path, size_t size);

/* Removes a directory with all that is in it; says on stderr when it cannot. */
void scratch_remove(const char *path);

#endif
