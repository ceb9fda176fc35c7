/* Loaded into a server with LD_PRELOAD: its clocks jump and stand still. tests/faults/clock_control.h tells
 * how it is told. */
#define SHIM_LIBRARY

#include "tests/faults/clock_control.h"

#include "tests/faults/shim.h"

#include <time.h>

#define NS_PER_S 1000000000ll

static struct clock_control *control;
static _Atomic int64_t wall_last_ns; /* where a clock stands that stands still */
static _Atomic int64_t monotonic_last_ns;

static void __attribute__((constructor)) control_open(void)
{
    control = shim_control_map(sizeof *control);
}

static void stand(_Atomic int64_t *last_ns, uint32_t stands, struct timespec *out)
{
    int64_t now = out->tv_sec * NS_PER_S + out->tv_nsec;
    if (stands == 0)
        atomic_store(last_ns, now);
    else
        now = atomic_load(last_ns);
    out->tv_sec = now / NS_PER_S;
    out->tv_nsec = now % NS_PER_S;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    REAL(clock_gettime);
    int result = real(id, out);
    if (control == NULL || result != 0 || (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC))
        return result;
    atomic_fetch_add(&control->looks, 1);
    if (id == CLOCK_MONOTONIC) {
        stand(&monotonic_last_ns, atomic_load(&control->monotonic_stands), out);
        return 0;
    }
    int64_t offset = atomic_load(&control->wall_offset_ns);
    out->tv_sec += offset / NS_PER_S;
    out->tv_nsec += offset % NS_PER_S;
    stand(&wall_last_ns, atomic_load(&control->wall_stands), out);
    return 0;
}
