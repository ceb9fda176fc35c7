/* A simulated machine, in one thread: time, threads, and what they wait for.
 *
 *   the program under test            its threads are fibers; every call of the C library that could
 *      engine, wal, net, LMDB         block, tell the time or leave the process comes here instead
 *        |                            (calls.c, by the linker's --wrap; io.c in place of wal/io.c)
 *   machine   time and fibers
 *   disk      files on a disk that forgets, tears and rots            (disk.h)
 *   network   connections that delay, split and break                 (network.h)
 *        |
 *   clients   ask, retry, and judge the answers                       (client.h, judge.h)
 *
 * Time stands still while code runs, except that looking at the clock takes some. When no fiber can
 * go on, it jumps to the next event. Which of several fibers goes on is chance, and so is everything
 * else that a real machine leaves open; all chance comes from one seed (random.h): the same seed
 * gives the same run, to the last byte.
 *
 * A life is one process of the program under test. It ends when its main function returns, when it
 * aborts, or when the machine ends it at any event; what it had open and allocated is taken back. */
#ifndef TESTS_SIM_MACHINE_H
#define TESTS_SIM_MACHINE_H

#include "tests/sim/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MACHINE_FIBERS = 16,
    MACHINE_STACK_BYTES = 4 << 20,
};

/* ---- A run ------------------------------------------------------------------------------- */

/* Forgets everything and starts time. */
void machine_reset(void);

/* Nanoseconds of the clock that never jumps. */
uint64_t machine_now(void);

/* Nanoseconds since the epoch, as this machine's clock has it. */
uint64_t machine_wall(void);

/* Sets that clock forward or back. */
void machine_clock_jump(int64_t ns);

/* Both clocks as a program sees them: each look takes a moment. */
uint64_t machine_look_monotonic(void);
uint64_t machine_look_wall(void);

/* Lets fire(context, argument) be called at a time. Belongs to the life: is forgotten with it. */
typedef void machine_fire(void *context, uint64_t argument);
void machine_at(uint64_t time, bool of_life, machine_fire *fire, void *context, uint64_t argument);

/* Runs fibers and events until stop(context) is true, or nothing is left to happen. Returns whether
 * it stopped for the former. */
bool machine_run(bool (*stop)(void *context), void *context);

/* Scheduling decisions and events since machine_reset(). */
uint64_t machine_steps(void);

/* ---- What happened, for comparison and for reading ---------------------------------------- */

extern bool machine_tracing;

/* Takes note of what happened: goes into the digest of the run, and to stdout when tracing. */
void machine_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void machine_trace_bytes(const void *bytes, size_t size);
uint64_t machine_trace_digest(void);

/* Ends the process: this run found a defect. Prints the words, the seed and how to run it again. */
void machine_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What machine_fail() prints about the run; set by whoever started it. */
extern const char *machine_run_text;

/* ---- Lives ------------------------------------------------------------------------------- */

enum life_end {
    LIFE_RUNS,
    LIFE_RETURNED,
    LIFE_ABORTED,
};

/* Starts a life with a main fiber. */
void life_begin(void *(*run)(void *), void *argument);
enum life_end life_state(void);

/* Ends it wherever it is: its fibers never go on. */
void life_end(void);

/* Memory, maps and descriptors that it still has; 0 after an orderly return. */
uint32_t life_leftovers(void);

/* ---- Fibers: for the calls that the program makes ----------------------------------------- */

/* Whether the caller is a fiber of the program under test. */
bool fiber_running(void);

/* Starts another one. Returns its number, or -1. */
int fiber_spawn(void *(*run)(void *), void *argument);

/* Waits for its end. */
void *fiber_join(int number);

/* Gives others a turn, perhaps. */
void fiber_yield(void);

/* Waits until somebody wakes who waits for this, or until a time (UINT64_MAX: without end). Returns
 * whether it was woken. */
bool fiber_wait(const void *what, uint64_t until);

/* Wakes one of those who wait for it, by chance, or all. */
void fiber_wake(const void *what, bool all);

/* Takes time. */
void fiber_pause(uint64_t ns);

/* The life aborts here. */
void fiber_abort(void) __attribute__((noreturn));

/* ---- Resources of a life, for calls.c ------------------------------------------------------ */

enum resource { RESOURCE_MEMORY, RESOURCE_MAP, RESOURCE_FILE, RESOURCE_KINDS };

void resource_add(enum resource kind, uint64_t name, uint64_t size);

/* Returns whether it was there. */
bool resource_remove(enum resource kind, uint64_t name);

/* Gives one back when the life ends with it; in calls.c, which knows the real calls. */
void resource_release(enum resource kind, uint64_t name, uint64_t size);

#endif
