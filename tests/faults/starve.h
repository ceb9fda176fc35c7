/* What a test tells starve.c, the library that is loaded into a server in front of the C library,
 * and what that tells the test: a file that both map.
 *
 * Calls of the kinds wanted are counted, of all threads: those of libraries count as the server's
 * own do, for whoever asked, there is no memory. Stacks of threads and what io_uring maps are not
 * seen; a thread that cannot be made is a kind of its own. */
#ifndef TESTS_FAULTS_STARVE_H
#define TESTS_FAULTS_STARVE_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    STARVE_MEMORY = 1,      /* malloc() and its kin: NULL, ENOMEM */
    STARVE_MAPS = 2,        /* mmap(): ENOMEM */
    STARVE_THREADS = 4,     /* pthread_create(): EAGAIN */
    STARVE_DESCRIPTORS = 8, /* open(), socket() and their kin: EMFILE */
};

struct starve {
    _Atomic uint32_t kinds; /* 0: nothing is counted and nothing fails */
    _Atomic uint32_t count; /* calls so far */
    _Atomic uint32_t at;    /* the call with this number fails, from 1 on */
    _Atomic uint32_t ever;  /* and all that come after it */
    _Atomic uint32_t failed;
    char last[32]; /* name of the call that failed last */
};

#endif
