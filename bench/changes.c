#include "bench/changes.h"

#include "bench/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 100 }; /* an end is noticed at least so often */

#define AGE_MAX_NS (3600 * NS_PER_S)

struct subscriber {
    struct changes *changes;
    struct client *client;
    pthread_t thread;
    bool started;
    uint64_t ordinal;
    uint64_t created_last; /* timestamp */
    struct changes_result result;
    int error;
    char problem[CHANGES_PROBLEM_BYTES];
};

struct changes {
    struct changes_config config;
    struct subscriber *subscribers;
    uint64_t start_ns;
    atomic_bool stop;
};

__attribute__((format(printf, 3, 4))) static int fail(struct subscriber *subscriber, int error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(subscriber->problem, sizeof subscriber->problem, format, arguments);
    va_end(arguments);
    return error;
}

/* Reads from the subscriber's ordinal on. *out_events: borrowed until the next call. */
static int changes_read(struct subscriber *subscriber, uint32_t limit, uint32_t wait_ms,
                        struct frame_changes *out_head, const uint8_t **out_events)
{
    const struct giro_change_filter filter = {
        .ordinal = subscriber->ordinal,
        .limit = limit,
        .wait_ms = wait_ms,
    };
    const void *reply;
    uint32_t bytes;
    uint32_t status;
    int error = client_call(subscriber->client, FRAME_READ_CHANGES, &filter, sizeof filter, &reply,
                            &bytes, &status);
    if (error != 0)
        return fail(subscriber, error, "read_changes: %s",
                    error == -EREMOTEIO ? frame_status_name(status) : strerror(-error));
    if (bytes < sizeof *out_head)
        return fail(subscriber, -EPROTO, "read_changes: a reply of %u bytes", bytes);
    memcpy(out_head, reply, sizeof *out_head);
    if (out_head->count > limit ||
        bytes != sizeof *out_head + out_head->count * sizeof(struct giro_change))
        return fail(subscriber, -EPROTO, "read_changes: %u changes in %u bytes", out_head->count,
                    bytes);
    *out_events = (const uint8_t *)reply + sizeof *out_head;
    return 0;
}

static int events_check(struct subscriber *subscriber, const struct frame_changes *head,
                        const uint8_t *events)
{
    uint64_t ordinal_min = subscriber->ordinal;
    assert(events != NULL);
    for (uint32_t i = 0; i < head->count; i++) {
        struct giro_change change;
        memcpy(&change, events + (size_t)i * sizeof change, sizeof change);
        if (change.ordinal < ordinal_min || change.ordinal >= head->ordinal_next)
            return fail(subscriber, -EPROTO, "read_changes: ordinal %llu is out of order",
                        (unsigned long long)change.ordinal);
        ordinal_min = change.ordinal + 1;
        uint64_t timestamp = change.record.transfer.timestamp;
        if (change.kind < GIRO_CHANGE_ACCOUNT_CREATED || change.kind > GIRO_CHANGE_CUT_OFF)
            return fail(subscriber, -EPROTO, "read_changes: kind %u", change.kind);
        if (change.kind == GIRO_CHANGE_TRANSFER_CREATED) {
            if (timestamp <= subscriber->created_last)
                return fail(subscriber, -EPROTO, "read_changes: timestamps do not increase");
            subscriber->created_last = timestamp;
        }
    }
    return 0;
}

static void age_record(struct subscriber *subscriber)
{
    uint64_t now = clock_read_ns(CLOCK_REALTIME);
    uint64_t then = subscriber->created_last;
    if (then == 0)
        return; /* only accounts so far */
    uint64_t age = now > then ? now - then : 1;
    hdr_record_value(subscriber->result.age_ns, (int64_t)(age < AGE_MAX_NS ? age : AGE_MAX_NS));
}

static void *subscriber_run(void *argument)
{
    struct subscriber *subscriber = argument;
    const struct changes *changes = subscriber->changes;
    while (subscriber->error == 0 && !atomic_load_explicit(&changes->stop, memory_order_relaxed)) {
        struct frame_changes head = {0};
        const uint8_t *events = NULL;
        subscriber->error = changes_read(subscriber, FRAME_CHANGES_MAX, WAIT_MS, &head, &events);
        if (subscriber->error == 0)
            subscriber->error = events_check(subscriber, &head, events);
        if (subscriber->error != 0)
            break;
        subscriber->ordinal = head.ordinal_next;
        subscriber->result.behind = head.ordinal_end - head.ordinal_next;
        subscriber->result.events += head.count;
        subscriber->result.replies += head.count > 0;
        if (head.count > 0)
            age_record(subscriber);
    }
    return NULL;
}

int changes_start(struct changes *changes, char problem[CHANGES_PROBLEM_BYTES])
{
    int error = 0;
    changes->start_ns = clock_now_ns();
    for (uint32_t i = 0; error == 0 && i < changes->config.subscribers; i++) {
        struct subscriber *subscriber = &changes->subscribers[i];
        struct frame_changes head = {0};
        const uint8_t *events;
        error = changes_read(subscriber, 1, 0, &head, &events);
        if (error != 0) {
            memcpy(problem, subscriber->problem, CHANGES_PROBLEM_BYTES);
            break;
        }
        if (changes->config.from_end)
            subscriber->ordinal = head.ordinal_end;
        error = -pthread_create(&subscriber->thread, NULL, subscriber_run, subscriber);
        subscriber->started = error == 0;
        if (error != 0)
            snprintf(problem, CHANGES_PROBLEM_BYTES, "cannot start a thread");
    }
    return error;
}

int changes_stop(struct changes *changes, struct changes_result *out,
                 char problem[CHANGES_PROBLEM_BYTES])
{
    *out = (struct changes_result){.elapsed_ns = clock_now_ns() - changes->start_ns};
    int error = hdr_init(1, AGE_MAX_NS, 3, &out->age_ns) != 0 ? -ENOMEM : 0;
    if (error != 0)
        snprintf(problem, CHANGES_PROBLEM_BYTES, "out of memory");
    atomic_store(&changes->stop, true);
    for (uint32_t i = 0; i < changes->config.subscribers; i++) {
        struct subscriber *subscriber = &changes->subscribers[i];
        if (!subscriber->started)
            continue;
        pthread_join(subscriber->thread, NULL);
        subscriber->started = false;
        out->events += subscriber->result.events;
        out->replies += subscriber->result.replies;
        if (subscriber->result.behind > out->behind)
            out->behind = subscriber->result.behind;
        if (error == 0)
            hdr_add(out->age_ns, subscriber->result.age_ns);
        if (error == 0 && subscriber->error != 0) {
            error = subscriber->error;
            memcpy(problem, subscriber->problem, CHANGES_PROBLEM_BYTES);
        }
    }
    return error;
}

void changes_result_free(struct changes_result *result)
{
    if (result->age_ns != NULL)
        hdr_close(result->age_ns);
    result->age_ns = NULL;
}

int changes_open(const struct changes_config *config, struct changes **out,
                 char problem[CHANGES_PROBLEM_BYTES])
{
    struct changes *changes = calloc(1, sizeof *changes);
    struct subscriber *subscribers = calloc(config->subscribers, sizeof *subscribers);
    if (changes == NULL || subscribers == NULL) {
        free(changes);
        free(subscribers);
        snprintf(problem, CHANGES_PROBLEM_BYTES, "out of memory");
        return -ENOMEM;
    }
    changes->config = *config;
    changes->subscribers = subscribers;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < config->subscribers; i++) {
        subscribers[i].changes = changes;
        if (hdr_init(1, AGE_MAX_NS, 3, &subscribers[i].result.age_ns) != 0)
            error = -ENOMEM;
        if (error == 0)
            error = client_open(&config->address, &subscribers[i].client);
        if (error != 0)
            snprintf(problem, CHANGES_PROBLEM_BYTES, "changes: cannot connect: %s",
                     strerror(-error));
    }
    if (error != 0) {
        changes_close(changes);
        return error;
    }
    *out = changes;
    return 0;
}

void changes_close(struct changes *changes)
{
    if (changes == NULL)
        return;
    atomic_store(&changes->stop, true);
    for (uint32_t i = 0; i < changes->config.subscribers; i++) {
        struct subscriber *subscriber = &changes->subscribers[i];
        if (subscriber->started)
            pthread_join(subscriber->thread, NULL);
        client_close(subscriber->client);
        changes_result_free(&subscriber->result);
    }
    free(changes->subscribers);
    free(changes);
}
