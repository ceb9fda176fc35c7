/* Lets one call of the program's own code to the C library fail: the linker puts these in front
 * (-Wl,--wrap=..., see tests/meson.build), so that libraries, LMDB among them, are left alone.
 *
 *   calls that make something     malloc, calloc, aligned_alloc, mmap, pthread_create
 *   calls about files             open, openat, pread, pwrite, read, write, fsync, fdatasync, fstat,
 *                                 renameat, unlinkat, mkdir, mkdirat, flock, fdopendir
 *   others                        getrandom, eventfd, epoll_create1, epoll_ctl */
#ifndef TESTS_FAILING_CALLS_H
#define TESTS_FAILING_CALLS_H

#include <stdbool.h>
#include <stdint.h>

enum failing_mode {
    FAILING_REFUSED, /* errno is EIO, or what the kind of call gives when it is refused */
    FAILING_SHORT,   /* half of it is done, where the call may be short */
    FAILING_ON,      /* refused, and every later call of the same name as well */
};

/* From now on calls are counted, in all threads, and number at, from 1 on, fails. */
void failing_calls_arm(uint32_t at, enum failing_mode mode);

/* Back to normal. Returns the name of the call that failed; NULL: there were fewer. */
const char *failing_calls_disarm(void);

/* Whether a call of this name may be short: those that read and write. NULL: no. */
bool failing_calls_may_be_short(const char *name);

#endif
