#include "bench/firings.h"

#include "bench/clock.h"
#include "engine/result.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_S = 30 /* for the last one, besides what the rest may take */ };

#define LOOK_NS (5 * NS_PER_MS)
#define CREATE_NS 20000     /* what creating one may take */
#define FIRE_NS 100000      /* what firing one may take */
#define SCATTER 2654435761u /* a prime greater than any count */
#define INTERVAL_S 86400    /* never used: each has one occurrence */
#define LATE_MAX_NS (3600 * NS_PER_S)

struct firings {
    struct firings_config config;
    struct client *client;
    struct client *look_client;
    pthread_t thread;
    bool started;
    giro_u128 id_first;
    uint32_t last;      /* the one that is due last */
    uint64_t due_first; /* the server's time */
    uint64_t due_at;    /* the same by the monotonic clock */
    uint64_t create_ns;
    uint64_t firing_ns;
    int look_error;
    char look_problem[FIRINGS_PROBLEM_BYTES];
    atomic_bool now;
    atomic_bool done; /* the last one has fired */
    atomic_bool stop;
};

const atomic_bool *firings_now(const struct firings *firings)
{
    return &firings->now;
}

__attribute__((format(printf, 3, 4))) static int fail(char problem[FIRINGS_PROBLEM_BYTES],
                                                      int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, FIRINGS_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    return error;
}

static int call(struct client *client, enum frame_operation operation, const void *body,
                uint32_t body_bytes, const void **out_reply, uint32_t *out_reply_bytes,
                char problem[FIRINGS_PROBLEM_BYTES])
{
    uint32_t status;
    int error =
        client_call(client, operation, body, body_bytes, out_reply, out_reply_bytes, &status);
    return error == 0 ? 0
                      : fail(problem, error, "schedules: %s",
                             error == -EREMOTEIO ? frame_status_name(status) : strerror(-error));
}

static int sleep_until(const struct firings *firings, uint64_t at_ns)
{
    for (uint64_t now; (now = clock_now_ns()) < at_ns;) {
        if (*firings->config.interrupted)
            return -EINTR;
        uint64_t left = at_ns - now < 20 * NS_PER_MS ? at_ns - now : 20 * NS_PER_MS;
        const struct timespec nap = {.tv_nsec = (long)left};
        (void)nanosleep(&nap, NULL);
    }
    return 0;
}

/* ---- Creating them ----------------------------------------------------------------------- */

/* They are due in an order that is not that of their rows. */
static uint32_t place_of(const struct firings *firings, uint32_t index)
{
    return (uint32_t)((uint64_t)index * SCATTER % firings->config.count);
}

static uint64_t due_of(const struct firings *firings, uint32_t index)
{
    const struct firings_config *config = &firings->config;
    if (config->count == 1)
        return firings->due_first;
    return firings->due_first + (uint64_t)((giro_u128)config->within_ns * place_of(firings, index) /
                                           (config->count - 1));
}

/* Of those that are due at the same time, the one created last fires last. */
static uint32_t last_of(const struct firings *firings)
{
    uint32_t index = firings->config.count - 1;
    while (firings->config.within_ns != 0 && place_of(firings, index) != firings->config.count - 1)
        index--;
    return index;
}

static void schedule_make(const struct firings *firings, uint32_t index, uint64_t *random,
                          struct giro_schedule *out)
{
    *out = (struct giro_schedule){
        .id = firings->id_first + index,
        .first = due_of(firings, index),
        .occurrences = 1,
        .interval = INTERVAL_S,
        .rule = GIRO_SCHEDULE_SECONDS,
        .transfer = {.debit_account_id = workload_pick(firings->config.workload, random),
                     .amount = 1,
                     .ledger = WORKLOAD_LEDGER,
                     .code = WORKLOAD_CODE},
    };
    do {
        out->transfer.credit_account_id = workload_pick(firings->config.workload, random);
    } while (out->transfer.credit_account_id == out->transfer.debit_account_id);
}

static uint32_t chunk(uint32_t done, uint32_t total)
{
    return total - done < FRAME_SCHEDULES_MAX ? total - done : FRAME_SCHEDULES_MAX;
}

/* None may fail. */
static int created_check(const void *reply, uint32_t bytes, char problem[FIRINGS_PROBLEM_BYTES])
{
    struct frame_created created;
    struct giro_result result;
    if (bytes < sizeof created)
        return fail(problem, -EPROTO, "create_schedules: a reply of %u bytes", bytes);
    memcpy(&created, reply, sizeof created);
    if (created.result_count == 0)
        return 0;
    if (bytes < sizeof created + sizeof result)
        return fail(problem, -EPROTO, "create_schedules: a reply of %u bytes", bytes);
    memcpy(&result, (const char *)reply + sizeof created, sizeof result);
    return fail(problem, -EPROTO, "create_schedules: %s", giro_schedule_result_name(result.code));
}

static int create_all(struct firings *firings, struct giro_schedule *events,
                      char problem[FIRINGS_PROBLEM_BYTES])
{
    uint64_t random = random_mix(firings->config.seed ^ SCATTER);
    int error = 0;
    for (uint32_t done = 0, count; error == 0 && done < firings->config.count; done += count) {
        const void *reply;
        uint32_t bytes;
        count = chunk(done, firings->config.count);
        for (uint32_t i = 0; i < count; i++)
            schedule_make(firings, done + i, &random, &events[i]);
        error = call(firings->client, FRAME_CREATE_SCHEDULES, events,
                     count * (uint32_t)sizeof *events, &reply, &bytes, problem);
        if (error == 0)
            error = created_check(reply, bytes, problem);
    }
    return error;
}

int firings_create(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES])
{
    const struct firings_config *config = &firings->config;
    /* When the load begins is fixed before it is known how long this takes. */
    const uint64_t start = clock_now_ns();
    const uint64_t begin = start + NS_PER_S + config->count * (uint64_t)CREATE_NS;
    struct giro_schedule *events = aligned_alloc(16, FRAME_BODY_BYTES_MAX);
    if (events == NULL)
        return fail(problem, -ENOMEM, "out of memory");
    firings->id_first = (giro_u128)clock_read_ns(CLOCK_REALTIME) << 64 | 1;
    firings->due_at = begin + config->after_ns;
    firings->due_first = client_server_ns(firings->client) + (firings->due_at - start);
    int error = create_all(firings, events, problem);
    free(events);
    if (error != 0)
        return error;
    firings->create_ns = clock_now_ns() - start;
    if (clock_now_ns() >= firings->due_at)
        return fail(problem, -ETIMEDOUT,
                    "the schedules were due before all were created, in %.1f s: raise "
                    "--schedules-after",
                    (double)firings->create_ns / 1e9);
    error = sleep_until(firings, begin);
    return error == 0 ? 0 : fail(problem, error, "interrupted");
}

/* ---- Looking ----------------------------------------------------------------------------- */

/* Whether the last one has fired. */
static int look(struct firings *firings, bool *out_done)
{
    const giro_u128 id = firings->id_first + firings->last;
    struct giro_schedule schedule;
    const void *reply;
    uint32_t bytes;
    int error = call(firings->look_client, FRAME_GET_SCHEDULES, &id, sizeof id, &reply, &bytes,
                     firings->look_problem);
    if (error != 0)
        return error;
    if (bytes != sizeof schedule)
        return fail(firings->look_problem, -ENOENT, "get_schedules: the last one is not there");
    memcpy(&schedule, reply, sizeof schedule);
    *out_done = schedule.state == GIRO_SCHEDULE_OVER;
    return 0;
}

static void *look_run(void *argument)
{
    struct firings *firings = argument;
    bool done = false;
    while (firings->look_error == 0 && !done &&
           !atomic_load_explicit(&firings->stop, memory_order_relaxed)) {
        const struct timespec nap = {.tv_nsec = LOOK_NS};
        (void)nanosleep(&nap, NULL);
        if (clock_now_ns() < firings->due_at)
            continue;
        atomic_store_explicit(&firings->now, true, memory_order_relaxed);
        firings->look_error = look(firings, &done);
    }
    if (done)
        firings->firing_ns = clock_now_ns() - firings->due_at;
    atomic_store_explicit(&firings->now, false, memory_order_relaxed);
    atomic_store_explicit(&firings->done, true, memory_order_release);
    return NULL;
}

int firings_start(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES])
{
    int error = -pthread_create(&firings->thread, NULL, look_run, firings);
    firings->started = error == 0;
    return error == 0 ? 0 : fail(problem, error, "cannot start a thread");
}

int firings_wait(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES])
{
    const uint64_t until = firings->due_at + firings->config.within_ns +
                           firings->config.count * (uint64_t)FIRE_NS + WAIT_S * NS_PER_S;
    while (!atomic_load_explicit(&firings->done, memory_order_acquire)) {
        if (sleep_until(firings, clock_now_ns() + LOOK_NS) != 0)
            return fail(problem, -EINTR, "interrupted");
        if (clock_now_ns() > until)
            return fail(problem, -ETIMEDOUT, "schedules: the last one does not fire");
    }
    return 0;
}

int firings_stop(struct firings *firings, char problem[FIRINGS_PROBLEM_BYTES])
{
    atomic_store(&firings->stop, true);
    if (firings->started)
        pthread_join(firings->thread, NULL);
    firings->started = false;
    if (firings->look_error != 0)
        memcpy(problem, firings->look_problem, FIRINGS_PROBLEM_BYTES);
    return firings->look_error;
}

/* ---- What became of them ------------------------------------------------------------------ */

/* Some of them: the ids of their transfers, and when these were due. */
struct part {
    uint32_t count;
    giro_u128 ids[FRAME_SCHEDULES_MAX];
    uint64_t due[FRAME_SCHEDULES_MAX];
};

static int part_read(struct firings *firings, uint32_t done, struct part *part,
                     struct firings_result *out, char problem[FIRINGS_PROBLEM_BYTES])
{
    const uint32_t count = chunk(done, firings->config.count);
    const void *reply;
    uint32_t bytes;
    for (uint32_t i = 0; i < count; i++)
        part->ids[i] = firings->id_first + done + i;
    int error = call(firings->client, FRAME_GET_SCHEDULES, part->ids,
                     count * (uint32_t)sizeof *part->ids, &reply, &bytes, problem);
    if (error != 0)
        return error;
    if (bytes != count * sizeof(struct giro_schedule))
        return fail(problem, -ENOENT, "get_schedules: %u bytes for %u schedules", bytes, count);
    part->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct giro_schedule schedule;
        memcpy(&schedule, (const char *)reply + i * sizeof schedule, sizeof schedule);
        if (schedule.state != GIRO_SCHEDULE_OVER)
            return fail(problem, -EPROTO, "a schedule did not fire, though one after it did");
        out->refused += schedule.made == 0;
        if (schedule.made == 0)
            continue;
        part->ids[part->count] = schedule.last_id;
        part->due[part->count++] = schedule.first;
    }
    return 0;
}

static int part_measure(struct firings *firings, const struct part *part,
                        struct firings_result *out, char problem[FIRINGS_PROBLEM_BYTES])
{
    const void *reply;
    uint32_t bytes;
    if (part->count == 0)
        return 0;
    int error = call(firings->client, FRAME_LOOKUP_TRANSFERS, part->ids,
                     part->count * (uint32_t)sizeof *part->ids, &reply, &bytes, problem);
    if (error != 0)
        return error;
    if (bytes != part->count * sizeof(struct giro_transfer))
        return fail(problem, -ENOENT, "lookup_transfers: a schedule's transfer is not there");
    for (uint32_t i = 0; i < part->count; i++) {
        struct giro_transfer transfer;
        memcpy(&transfer, (const char *)reply + i * sizeof transfer, sizeof transfer);
        if (transfer.timestamp < part->due[i] || transfer.amount != 1)
            return fail(problem, -EPROTO, "a schedule's transfer is early, or not the one");
        const uint64_t late = transfer.timestamp - part->due[i];
        const uint64_t end = transfer.timestamp - firings->due_first;
        hdr_record_value(out->late_ns, (int64_t)(late < LATE_MAX_NS ? late : LATE_MAX_NS));
        out->fire_ns = end > out->fire_ns ? end : out->fire_ns;
    }
    out->made += part->count;
    return 0;
}

int firings_read(struct firings *firings, struct firings_result *out,
                 char problem[FIRINGS_PROBLEM_BYTES])
{
    *out = (struct firings_result){
        .count = firings->config.count,
        .create_ns = firings->create_ns,
        .firing_ns = firings->firing_ns,
    };
    struct part *part = calloc(1, sizeof *part);
    int error = 0;
    if (part == NULL || hdr_init(1, LATE_MAX_NS, 3, &out->late_ns) != 0) {
        free(part);
        return fail(problem, -ENOMEM, "out of memory");
    }
    for (uint32_t done = 0; error == 0 && done < out->count; done += chunk(done, out->count)) {
        error = part_read(firings, done, part, out, problem);
        if (error == 0)
            error = part_measure(firings, part, out, problem);
    }
    free(part);
    return error;
}

void firings_result_free(struct firings_result *result)
{
    if (result->late_ns != NULL)
        hdr_close(result->late_ns);
    result->late_ns = NULL;
}

/* ---- Set-up ------------------------------------------------------------------------------ */

int firings_open(const struct firings_config *config, struct firings **out,
                 char problem[FIRINGS_PROBLEM_BYTES])
{
    struct firings *firings = calloc(1, sizeof *firings);
    if (firings == NULL)
        return fail(problem, -ENOMEM, "out of memory");
    firings->config = *config;
    firings->last = last_of(firings);
    int error = client_open(&config->address, &firings->client);
    if (error == 0)
        error = client_open(&config->address, &firings->look_client);
    if (error != 0) {
        firings_close(firings);
        return fail(problem, error, "schedules: cannot connect: %s", strerror(-error));
    }
    *out = firings;
    return 0;
}

void firings_close(struct firings *firings)
{
    if (firings == NULL)
        return;
    atomic_store(&firings->stop, true);
    if (firings->started)
        pthread_join(firings->thread, NULL);
    client_close(firings->client);
    client_close(firings->look_client);
    free(firings);
}
