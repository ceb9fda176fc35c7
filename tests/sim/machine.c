#include "tests/sim/machine.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <xxhash.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBER_ASAN 1
#else
#define FIBER_ASAN 0
#endif

/* 2023-11-14 */
#define WALL_BEGIN_NS 1700000000000000000ull

enum { LOOK_NS = 400, STEPS_MAX = 50 * 1000 * 1000 };

enum fiber_state { FIBER_FREE, FIBER_READY, FIBER_WAITS, FIBER_ENDED };

struct fiber {
    enum fiber_state state;
    ucontext_t context;
    char *stack;
    void *(*run)(void *);
    void *argument;
    void *result;
    const void *waits_for;
    bool woken;
    uint64_t wait_number; /* a timer of an earlier wait is void */
    int saved_errno;
    void *fake_stack;
};

struct event {
    uint64_t time;
    uint64_t number; /* among those of the same time, the older first */
    bool of_life;
    machine_fire *fire;
    void *context;
    uint64_t argument;
};

static struct {
    uint64_t now;
    int64_t wall_offset;
    uint64_t steps;
    uint64_t trace_digest;

    struct event *events; /* a heap */
    uint32_t event_count;
    uint32_t event_capacity;
    uint64_t event_number;

    struct fiber fibers[MACHINE_FIBERS];
    struct fiber *current;
    ucontext_t scheduler;
    const void *scheduler_stack;
    size_t scheduler_stack_bytes;
    enum life_end life;
} machine;

bool machine_tracing;
const char *machine_run_text = "";

/* ---- What happened ----------------------------------------------------------------------- */

void machine_trace_bytes(const void *bytes, size_t size)
{
    machine.trace_digest = XXH3_64bits_withSeed(bytes, size, machine.trace_digest);
}

void machine_trace(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    size_t size = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    machine_trace_bytes(&machine.now, sizeof machine.now);
    machine_trace_bytes(line, size);
    if (machine_tracing)
        printf("%14.6f ms %s\n", (double)machine.now * 1e-6, line);
}

uint64_t machine_trace_digest(void)
{
    return machine.trace_digest;
}

void machine_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n%s, at %.6f ms, step %" PRIu64 "\n", machine_run_text, (double)machine.now * 1e-6,
           machine.steps);
    (void)fflush(stdout);
    _Exit(1);
}

/* ---- Time -------------------------------------------------------------------------------- */

uint64_t machine_now(void)
{
    return machine.now;
}

uint64_t machine_wall(void)
{
    return WALL_BEGIN_NS + machine.now + (uint64_t)machine.wall_offset;
}

void machine_clock_jump(int64_t ns)
{
    machine.wall_offset += ns;
    machine_trace("clock: jumps by %.3f s", (double)ns * 1e-9);
}

uint64_t machine_look_monotonic(void)
{
    machine.now += 1 + random_below(RANDOM_CLOCK, LOOK_NS);
    return machine.now;
}

uint64_t machine_look_wall(void)
{
    machine.now += 1 + random_below(RANDOM_CLOCK, LOOK_NS);
    return machine_wall();
}

uint64_t machine_steps(void)
{
    return machine.steps;
}

/* ---- Events ------------------------------------------------------------------------------ */

static bool event_before(const struct event *left, const struct event *right)
{
    return left->time != right->time ? left->time < right->time : left->number < right->number;
}

static void event_swap(uint32_t left, uint32_t right)
{
    struct event kept = machine.events[left];
    machine.events[left] = machine.events[right];
    machine.events[right] = kept;
}

static void event_sift_up(uint32_t at)
{
    while (at > 0 && event_before(&machine.events[at], &machine.events[(at - 1) / 2])) {
        event_swap(at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void event_sift_down(uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < machine.event_count &&
                event_before(&machine.events[child], &machine.events[least]))
                least = child;
        }
        if (least == at)
            return;
        event_swap(at, least);
        at = least;
    }
}

void machine_at(uint64_t time, bool of_life, machine_fire *fire, void *context, uint64_t argument)
{
    if (machine.event_count == machine.event_capacity) {
        machine.event_capacity = machine.event_capacity == 0 ? 1024 : 2 * machine.event_capacity;
        machine.events = realloc(machine.events, machine.event_capacity * sizeof *machine.events);
        if (machine.events == NULL)
            machine_fail("out of memory");
    }
    machine.events[machine.event_count] = (struct event){
        .time = time,
        .number = machine.event_number++,
        .of_life = of_life,
        .fire = fire,
        .context = context,
        .argument = argument,
    };
    event_sift_up(machine.event_count++);
}

static void event_fire(void)
{
    struct event event = machine.events[0];
    machine.events[0] = machine.events[--machine.event_count];
    event_sift_down(0);
    if (event.time > machine.now)
        machine.now = event.time;
    machine.steps++;
    event.fire(event.context, event.argument);
}

static void events_of_life_forget(void)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < machine.event_count; i++) {
        if (!machine.events[i].of_life)
            machine.events[kept++] = machine.events[i];
    }
    machine.event_count = kept;
    for (uint32_t i = kept / 2 + 1; i > 0; i--)
        event_sift_down(i - 1);
}

/* ---- Switching between fibers ------------------------------------------------------------- */

bool fiber_running(void)
{
    return machine.current != NULL;
}

static void fiber_switch(struct fiber *fiber)
{
    machine.current = fiber;
    int kept = errno;
    errno = fiber->saved_errno;
#if FIBER_ASAN
    void *fake_stack;
    __sanitizer_start_switch_fiber(&fake_stack, fiber->stack, MACHINE_STACK_BYTES);
#endif
    (void)swapcontext(&machine.scheduler, &fiber->context);
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
    errno = kept;
    machine.current = NULL;
}

/* Back to the scheduler; returns when the fiber is chosen again. */
static void fiber_leave(void)
{
    struct fiber *fiber = machine.current;
    fiber->saved_errno = errno;
#if FIBER_ASAN
    __sanitizer_start_switch_fiber(fiber->state == FIBER_ENDED ? NULL : &fiber->fake_stack,
                                   machine.scheduler_stack, machine.scheduler_stack_bytes);
#endif
    (void)swapcontext(&fiber->context, &machine.scheduler);
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &machine.scheduler_stack,
                                    &machine.scheduler_stack_bytes);
#endif
}

static void fiber_main(void)
{
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(NULL, &machine.scheduler_stack, &machine.scheduler_stack_bytes);
#endif
    struct fiber *fiber = machine.current;
    fiber->result = fiber->run(fiber->argument);
    fiber->state = FIBER_ENDED;
    fiber_wake(fiber, true);
    if (fiber == &machine.fibers[0])
        machine.life = LIFE_RETURNED;
    for (;;)
        fiber_leave();
}

/* An unused fiber with a clean stack, NULL when there is none. */
static struct fiber *fiber_unused(void)
{
    uint32_t i = 0;
    while (i < MACHINE_FIBERS && machine.fibers[i].state != FIBER_FREE)
        i++;
    if (i == MACHINE_FIBERS)
        return NULL;
    struct fiber *fiber = &machine.fibers[i];
    if (fiber->stack == NULL)
        fiber->stack = mmap(NULL, MACHINE_STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber->stack == MAP_FAILED)
        machine_fail("no memory for a stack");
#if FIBER_ASAN
    __asan_unpoison_memory_region(fiber->stack, MACHINE_STACK_BYTES);
#endif
    return fiber;
}

int fiber_spawn(void *(*run)(void *), void *argument)
{
    struct fiber *fiber = fiber_unused();
    if (fiber == NULL)
        return -1;
    char *stack = fiber->stack;
    uint64_t wait_number = fiber->wait_number + 1;
    memset(fiber, 0, sizeof *fiber);
    fiber->state = FIBER_READY;
    fiber->stack = stack;
    fiber->run = run;
    fiber->argument = argument;
    fiber->wait_number = wait_number;
    (void)getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = MACHINE_STACK_BYTES;
    makecontext(&fiber->context, fiber_main, 0);
    return (int)(fiber - machine.fibers);
}

void *fiber_join(int number)
{
    struct fiber *fiber = &machine.fibers[number];
    while (fiber->state != FIBER_ENDED)
        (void)fiber_wait(fiber, UINT64_MAX);
    fiber->state = FIBER_FREE;
    return fiber->result;
}

/* ---- Waiting ----------------------------------------------------------------------------- */

void fiber_yield(void)
{
    machine.current->state = FIBER_READY;
    fiber_leave();
}

static void timer_fire(void *context, uint64_t wait_number)
{
    struct fiber *fiber = context;
    if (fiber->state == FIBER_WAITS && fiber->wait_number == wait_number)
        fiber->state = FIBER_READY;
}

bool fiber_wait(const void *what, uint64_t until)
{
    struct fiber *fiber = machine.current;
    fiber->state = FIBER_WAITS;
    fiber->waits_for = what;
    fiber->woken = false;
    fiber->wait_number++;
    if (until != UINT64_MAX)
        machine_at(until, true, timer_fire, fiber, fiber->wait_number);
    fiber_leave();
    fiber->waits_for = NULL;
    return fiber->woken;
}

void fiber_wake(const void *what, bool all)
{
    uint32_t first = (uint32_t)random_below(RANDOM_SCHEDULE, MACHINE_FIBERS);
    for (uint32_t i = 0; i < MACHINE_FIBERS; i++) {
        struct fiber *fiber = &machine.fibers[(first + i) % MACHINE_FIBERS];
        if (fiber->state != FIBER_WAITS || fiber->waits_for != what)
            continue;
        fiber->state = FIBER_READY;
        fiber->woken = true;
        fiber->waits_for = NULL;
        if (!all)
            return;
    }
}

void fiber_pause(uint64_t ns)
{
    uint64_t end = machine.now + ns;
    while (machine.now < end)
        (void)fiber_wait(NULL, end);
}

void fiber_abort(void)
{
    machine.life = LIFE_ABORTED;
    machine.current->state = FIBER_ENDED;
    for (;;)
        fiber_leave();
}

/* ---- The scheduler ----------------------------------------------------------------------- */

static struct fiber *fiber_choose(void)
{
    struct fiber *ready[MACHINE_FIBERS];
    uint32_t count = 0;
    if (machine.life != LIFE_RUNS)
        return NULL;
    for (uint32_t i = 0; i < MACHINE_FIBERS; i++) {
        if (machine.fibers[i].state == FIBER_READY)
            ready[count++] = &machine.fibers[i];
    }
    if (count <= 1)
        return count == 0 ? NULL : ready[0];
    return ready[random_below(RANDOM_SCHEDULE, count)];
}

bool machine_run(bool (*stop)(void *context), void *context)
{
    while (!stop(context)) {
        if (machine.steps++ > STEPS_MAX)
            machine_fail("no end: something goes round in circles");
        struct fiber *fiber = fiber_choose();
        if (machine.event_count > 0 && (fiber == NULL || machine.events[0].time <= machine.now))
            event_fire();
        else if (fiber != NULL)
            fiber_switch(fiber);
        else
            return false;
    }
    return true;
}

/* ---- Lives ------------------------------------------------------------------------------- */

struct resource_table {
    uint64_t *names; /* open addressing; 0: free, 1: removed */
    uint64_t *sizes;
    uint32_t capacity;
    uint32_t used; /* removed ones included */
    uint32_t count;
};

static struct resource_table resources[RESOURCE_KINDS];

static uint32_t resource_slot(const struct resource_table *table, uint64_t name)
{
    uint64_t hash = name * 0x9e3779b97f4a7c15ull >> 20;
    uint32_t at = (uint32_t)hash & (table->capacity - 1);
    while (table->names[at] != 0 && table->names[at] != name)
        at = (at + 1) & (table->capacity - 1);
    return at;
}

static void resource_grow(struct resource_table *table)
{
    struct resource_table old = *table;
    table->capacity = table->count < 2048 ? 8192 : 4 * table->count;
    while ((table->capacity & (table->capacity - 1)) != 0)
        table->capacity &= table->capacity - 1;
    table->names = calloc(table->capacity, sizeof *table->names);
    table->sizes = calloc(table->capacity, sizeof *table->sizes);
    if (table->names == NULL || table->sizes == NULL)
        machine_fail("out of memory");
    table->used = table->count;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.names[i] > 1) {
            uint32_t at = resource_slot(table, old.names[i]);
            table->names[at] = old.names[i];
            table->sizes[at] = old.sizes[i];
        }
    }
    free(old.names);
    free(old.sizes);
}

/* Names are shifted by 2: descriptors begin at 0. */
void resource_add(enum resource kind, uint64_t name, uint64_t size)
{
    struct resource_table *table = &resources[kind];
    if (2 * table->used >= table->capacity)
        resource_grow(table);
    uint32_t at = resource_slot(table, name + 2);
    table->used += table->names[at] == 0;
    table->count++;
    table->names[at] = name + 2;
    table->sizes[at] = size;
}

bool resource_remove(enum resource kind, uint64_t name)
{
    struct resource_table *table = &resources[kind];
    if (table->count == 0)
        return false;
    uint32_t at = resource_slot(table, name + 2);
    if (table->names[at] == 0)
        return false;
    table->names[at] = 1;
    table->count--;
    return true;
}

uint32_t life_leftovers(void)
{
    uint32_t count = 0;
    for (uint32_t kind = 0; kind < RESOURCE_KINDS; kind++)
        count += resources[kind].count;
    return count;
}

static int name_compare(const void *left, const void *right)
{
    uint64_t one = *(const uint64_t *)left;
    uint64_t other = *(const uint64_t *)right;
    return (one > other) - (one < other);
}

/* Descriptors in their order, whatever that of the table is: the other ends notice. */
static void files_release(void)
{
    struct resource_table *table = &resources[RESOURCE_FILE];
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->capacity; i++) {
        if (table->names[i] > 1)
            table->names[count++] = table->names[i];
    }
    if (count > 0)
        qsort(table->names, count, sizeof *table->names, name_compare);
    for (uint32_t i = 0; i < count; i++)
        resource_release(RESOURCE_FILE, table->names[i] - 2, 0);
    table->count = 0;
}

static void resources_release(void)
{
    files_release();
    for (uint32_t kind = 0; kind < RESOURCE_KINDS; kind++) {
        struct resource_table *table = &resources[kind];
        for (uint32_t i = 0; i < table->capacity && table->count > 0; i++) {
            if (table->names[i] <= 1)
                continue;
            resource_release((enum resource)kind, table->names[i] - 2, table->sizes[i]);
            table->count--;
        }
        if (table->capacity > 0)
            memset(table->names, 0, table->capacity * sizeof *table->names);
        table->used = 0;
    }
}

void life_begin(void *(*run)(void *), void *argument)
{
    assert(machine.current == NULL);
    machine.life = LIFE_RUNS;
    (void)fiber_spawn(run, argument);
}

enum life_end life_state(void)
{
    return machine.life;
}

void life_end(void)
{
    assert(machine.current == NULL);
    for (uint32_t i = 0; i < MACHINE_FIBERS; i++) {
        machine.fibers[i].state = FIBER_FREE;
        machine.fibers[i].wait_number++;
    }
    events_of_life_forget();
    resources_release();
}

void machine_reset(void)
{
    life_end();
    machine.now = 0;
    machine.wall_offset = 0;
    machine.steps = 0;
    machine.trace_digest = 0;
    machine.event_count = 0;
    machine.event_number = 0;
}
