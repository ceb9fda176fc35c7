/* What a test tells kill_at.c, the library that is loaded into a server in front of the C library,
 * and what that tells the test: a file that both map.
 *
 * Only calls of other threads than the first are counted: those of the follower and of the thread
 * that writes snapshots, and those of the posix backend's. */
#ifndef TESTS_FAULTS_KILL_AT_H
#define TESTS_FAULTS_KILL_AT_H

#include <stdatomic.h>
#include <stdint.h>

#define KILL_AT_VARIABLE "GIRO_KILL_AT" /* name of the file */

enum {
    KILL_AT_WORDS_BYTES = 32,
    KILL_AT_CALLS_BYTES = 64, /* of the last call's name */
};

struct kill_at {
    _Atomic uint32_t armed;    /* calls that change files are counted */
    _Atomic uint32_t count;    /* so far */
    _Atomic uint32_t at;       /* the call with this number, from 1 on, ... 0: none */
    _Atomic uint32_t code;     /* ... fails with this errno, 0: does not come back: SIGKILL */
    _Atomic uint32_t delay_ms; /* before every read and write of a file whose path has words */
    _Atomic uint32_t delayed;  /* calls */
    _Atomic uint32_t copy_ms;  /* in the middle of every large copy in memory */
    char words[KILL_AT_WORDS_BYTES];
    char last[KILL_AT_CALLS_BYTES]; /* what call number `at` was */
};

#endif
