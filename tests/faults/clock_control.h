/* What a test tells clock.c, the library that is loaded into a server in front of the C library: a
 * file that both map. Clocks of the kernel are what they are: sleeps and timeouts of system calls
 * take as long as ever. */
#ifndef TESTS_FAULTS_CLOCK_CONTROL_H
#define TESTS_FAULTS_CLOCK_CONTROL_H

#include <stdatomic.h>
#include <stdint.h>

struct clock_control {
    _Atomic int64_t wall_offset_ns;    /* of CLOCK_REALTIME from the truth */
    _Atomic uint32_t wall_stands;      /* it stands still */
    _Atomic uint32_t monotonic_stands; /* CLOCK_MONOTONIC stands still */
    _Atomic uint64_t looks;            /* how often either clock was read */
};

#endif
