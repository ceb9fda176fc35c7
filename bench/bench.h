/* The load generator: `giro bench`. bench/README.md is the manual. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <signal.h>

/* Runs `giro bench ARGS`; argv[0] is the command's name, options begin at argv[1].
 * Returns the exit status: 0 when every run finished, every result was the expected one and the
 * books balanced, 1 when not, 2 for wrong options. */
int bench_command(int argc, char **argv);

/* `giro bench crowd`, by which bench_command() goes on when that is its first argument. */
int crowd_command(int argc, char **argv, const volatile sig_atomic_t *interrupted);

#endif
