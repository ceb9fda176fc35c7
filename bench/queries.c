#include "bench/queries.h"

#include "bench/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_SMALL = 100, PAGE_LARGE = 1000 };

#define LATENCY_MAX_NS (600 * NS_PER_S)
#define NAP_NS (20 * NS_PER_MS) /* an end is noticed at least so often */

const char *const queries_names[QUERIES_KINDS] = {
    [QUERIES_TRANSFERS_100_NEWEST] = "transfers_100_newest",
    [QUERIES_TRANSFERS_1000_NEWEST] = "transfers_1000_newest",
    [QUERIES_TRANSFERS_100_RANDOM] = "transfers_100_random",
    [QUERIES_TRANSFERS_1000_RANDOM] = "transfers_1000_random",
    [QUERIES_BALANCES_100] = "balances_100_newest",
    [QUERIES_USER_DATA] = "user_data_100_newest",
    [QUERIES_ACCOUNTS] = "accounts_100_by_code",
};

struct asker {
    struct queries *queries;
    struct client *client;
    pthread_t thread;
    bool started;
    uint32_t number;
    uint64_t random;
    struct queries_result result;
    int error;
    char problem[QUERIES_PROBLEM_BYTES];
};

struct queries {
    struct queries_config config;
    struct asker *askers;
    uint32_t mix_total;
    uint64_t timestamp_first; /* of the ledger's oldest transfer, or of the start */
    uint64_t start_ns;
    atomic_bool stop;
};

/* One query, and what its reply must be like. */
struct question {
    enum queries_kind kind;
    enum frame_operation operation;
    uint32_t limit;
    bool reversed;
    giro_u128 account;      /* 0: not by account */
    uint64_t user_data_64;  /* 0: not by user data */
    uint64_t timestamp_min; /* 0: none */
};

__attribute__((format(printf, 3, 4))) static int fail(struct asker *asker, int error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(asker->problem, sizeof asker->problem, format, arguments);
    va_end(arguments);
    return error;
}

/* ---- Asking ------------------------------------------------------------------------------ */

static enum queries_kind kind_pick(struct asker *asker)
{
    const struct queries *queries = asker->queries;
    uint32_t at = random_below((uint32_t)random_next(&asker->random), queries->mix_total);
    uint32_t kind = 0;
    while (at >= queries->config.mix[kind])
        at -= queries->config.mix[kind++];
    return (enum queries_kind)kind;
}

/* From the ledger's oldest transfer to now. */
static uint64_t moment_pick(struct asker *asker)
{
    uint64_t first = asker->queries->timestamp_first;
    uint64_t now = clock_read_ns(CLOCK_REALTIME);
    uint64_t span = now > first ? now - first : 1;
    return first + (uint64_t)((giro_u128)random_next(&asker->random) * span >> 64);
}

static giro_u128 account_pick(struct asker *asker, bool history)
{
    const struct queries_config *config = &asker->queries->config;
    if (config->account != 0)
        return config->account;
    return history ? workload_pick_history(config->workload, &asker->random)
                   : workload_pick(config->workload, &asker->random);
}

static struct question question_make(struct asker *asker)
{
    struct question question = {
        .kind = kind_pick(asker),
        .operation = FRAME_GET_ACCOUNT_TRANSFERS,
        .limit = PAGE_SMALL,
        .reversed = true,
    };
    switch (question.kind) {
    case QUERIES_TRANSFERS_1000_NEWEST:
        question.limit = PAGE_LARGE;
        break;
    case QUERIES_TRANSFERS_1000_RANDOM:
        question.limit = PAGE_LARGE;
        question.reversed = false;
        break;
    case QUERIES_TRANSFERS_100_RANDOM:
    case QUERIES_ACCOUNTS:
        question.reversed = false;
        break;
    default:
        break;
    }
    if (question.kind == QUERIES_ACCOUNTS) {
        question.operation = FRAME_QUERY_ACCOUNTS;
    } else if (question.kind == QUERIES_USER_DATA) {
        question.operation = FRAME_QUERY_TRANSFERS;
        question.user_data_64 =
            workload_pick_user_data(asker->queries->config.workload, &asker->random);
    } else {
        bool balances = question.kind == QUERIES_BALANCES_100;
        if (balances)
            question.operation = FRAME_GET_ACCOUNT_BALANCES;
        question.account = account_pick(asker, balances);
        if (!question.reversed)
            question.timestamp_min = moment_pick(asker);
    }
    return question;
}

static int question_send(struct asker *asker, const struct question *question,
                         const void **out_reply, uint32_t *out_bytes)
{
    const struct giro_account_filter by_account = {
        .account_id = question->account,
        .timestamp_min = question->timestamp_min,
        .limit = question->limit,
        .flags = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS |
                 (question->reversed ? GIRO_ACCOUNT_FILTER_REVERSED : 0),
    };
    const struct giro_query_filter by_field = {
        .user_data_64 = question->user_data_64,
        .code = question->user_data_64 == 0 ? WORKLOAD_CODE : 0,
        .limit = question->limit,
        .flags = question->reversed ? GIRO_QUERY_FILTER_REVERSED : 0,
    };
    bool account = question->account != 0;
    uint32_t status;
    int error = client_call(
        asker->client, question->operation, account ? (const void *)&by_account : &by_field,
        account ? sizeof by_account : sizeof by_field, out_reply, out_bytes, &status);
    if (error == 0)
        return 0;
    return fail(asker, error, "query %s: %s", queries_names[question->kind],
                error == -EREMOTEIO ? frame_status_name(status) : strerror(-error));
}

/* ---- Checking ---------------------------------------------------------------------------- */

static bool record_belongs(const struct question *question, const uint8_t *bytes,
                           uint64_t *out_timestamp)
{
    struct giro_account_balance balance;
    struct giro_transfer record; /* an account has code, user data and timestamp there as well */
    if (question->kind == QUERIES_BALANCES_100) {
        memcpy(&balance, bytes, sizeof balance);
        *out_timestamp = balance.timestamp;
        return balance.balances.debits_posted + balance.balances.credits_posted +
                   balance.balances.debits_pending + balance.balances.credits_pending >
               0;
    }
    memcpy(&record, bytes, sizeof record);
    *out_timestamp = record.timestamp;
    if (question->kind == QUERIES_ACCOUNTS)
        return record.code == WORKLOAD_CODE;
    if (question->kind == QUERIES_USER_DATA)
        return record.user_data_64 == question->user_data_64;
    return record.debit_account_id == question->account ||
           record.credit_account_id == question->account;
}

/* How many records the reply must have at least: more than that cannot be known here. */
static uint32_t count_min(const struct asker *asker, const struct question *question)
{
    if (question->kind != QUERIES_ACCOUNTS)
        return 0;
    uint32_t accounts = workload_accounts(asker->queries->config.workload);
    return accounts < question->limit ? accounts : question->limit;
}

static int reply_check(struct asker *asker, const struct question *question, const uint8_t *reply,
                       uint32_t bytes)
{
    const char *name = queries_names[question->kind];
    uint32_t count = bytes / GIRO_RECORD_BYTES;
    uint64_t before = 0;
    if (bytes % GIRO_RECORD_BYTES != 0 || count > question->limit)
        return fail(asker, -EPROTO, "query %s: a reply of %u bytes", name, bytes);
    if (count < count_min(asker, question))
        return fail(asker, -EPROTO, "query %s: only %u records", name, count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t timestamp;
        if (!record_belongs(question, reply + (size_t)i * GIRO_RECORD_BYTES, &timestamp))
            return fail(asker, -EPROTO, "query %s: record %u does not belong there", name, i);
        bool ordered = i == 0 || (question->reversed ? timestamp < before : timestamp > before);
        if (!ordered || timestamp < question->timestamp_min)
            return fail(asker, -EPROTO, "query %s: record %u is out of order", name, i);
        before = timestamp;
    }
    asker->result.records[question->kind] += count;
    return 0;
}

/* ---- The threads ------------------------------------------------------------------------- */

/* Returns false when the end came first. */
static bool sleep_until(const struct queries *queries, uint64_t until_ns)
{
    while (!atomic_load_explicit(&queries->stop, memory_order_relaxed)) {
        uint64_t now = clock_now_ns();
        if (now >= until_ns)
            return true;
        uint64_t left = until_ns - now < NAP_NS ? until_ns - now : NAP_NS;
        const struct timespec nap = {.tv_nsec = (long)left};
        (void)nanosleep(&nap, NULL);
    }
    return false;
}

static void *asker_run(void *argument)
{
    struct asker *asker = argument;
    const struct queries *queries = asker->queries;
    const struct queries_config *config = &queries->config;
    for (uint64_t k = 0; asker->error == 0; k++) {
        giro_u128 turn = (giro_u128)k * config->connections + asker->number;
        uint64_t due =
            config->rate == 0 ? 0 : queries->start_ns + (uint64_t)(turn * NS_PER_S / config->rate);
        if (!sleep_until(queries, due))
            break;
        struct question question = question_make(asker);
        const void *reply;
        uint32_t bytes;
        uint64_t from = config->rate == 0 ? clock_now_ns() : due;
        asker->error = question_send(asker, &question, &reply, &bytes);
        if (asker->error != 0)
            break;
        uint64_t took = clock_now_ns() - from;
        asker->error = reply_check(asker, &question, reply, bytes);
        hdr_record_value(asker->result.latency_ns[question.kind],
                         (int64_t)(took < LATENCY_MAX_NS ? took : LATENCY_MAX_NS));
        asker->result.count[question.kind]++;
    }
    return NULL;
}

static int result_init(struct queries_result *result)
{
    *result = (struct queries_result){0};
    for (uint32_t kind = 0; kind < QUERIES_KINDS; kind++) {
        if (hdr_init(1, LATENCY_MAX_NS, 3, &result->latency_ns[kind]) != 0)
            return -ENOMEM;
    }
    return 0;
}

void queries_result_free(struct queries_result *result)
{
    for (uint32_t kind = 0; kind < QUERIES_KINDS; kind++) {
        if (result->latency_ns[kind] != NULL)
            hdr_close(result->latency_ns[kind]);
        result->latency_ns[kind] = NULL;
    }
}

/* Where random moments begin: at the ledger's oldest transfer. */
static int oldest_find(struct queries *queries, char problem[QUERIES_PROBLEM_BYTES])
{
    const struct giro_query_filter oldest = {.limit = 1};
    struct giro_transfer transfer = {.timestamp = clock_read_ns(CLOCK_REALTIME)};
    const void *reply;
    uint32_t bytes;
    uint32_t status;
    int error = client_call(queries->askers[0].client, FRAME_QUERY_TRANSFERS, &oldest,
                            sizeof oldest, &reply, &bytes, &status);
    if (error != 0) {
        snprintf(problem, QUERIES_PROBLEM_BYTES, "queries: %s",
                 error == -EREMOTEIO ? frame_status_name(status) : strerror(-error));
        return error;
    }
    if (bytes == sizeof transfer)
        memcpy(&transfer, reply, sizeof transfer);
    queries->timestamp_first = transfer.timestamp;
    return 0;
}

int queries_start(struct queries *queries, char problem[QUERIES_PROBLEM_BYTES])
{
    int error = oldest_find(queries, problem);
    queries->start_ns = clock_now_ns();
    for (uint32_t i = 0; error == 0 && i < queries->config.connections; i++) {
        struct asker *asker = &queries->askers[i];
        error = -pthread_create(&asker->thread, NULL, asker_run, asker);
        asker->started = error == 0;
        if (error != 0)
            snprintf(problem, QUERIES_PROBLEM_BYTES, "cannot start a thread");
    }
    return error;
}

int queries_stop(struct queries *queries, struct queries_result *out,
                 char problem[QUERIES_PROBLEM_BYTES])
{
    int error = result_init(out);
    if (error != 0)
        snprintf(problem, QUERIES_PROBLEM_BYTES, "out of memory");
    out->elapsed_ns = clock_now_ns() - queries->start_ns;
    atomic_store(&queries->stop, true);
    for (uint32_t i = 0; i < queries->config.connections; i++) {
        struct asker *asker = &queries->askers[i];
        if (!asker->started)
            continue;
        pthread_join(asker->thread, NULL);
        asker->started = false;
        for (uint32_t kind = 0; error == 0 && kind < QUERIES_KINDS; kind++) {
            out->count[kind] += asker->result.count[kind];
            out->records[kind] += asker->result.records[kind];
            hdr_add(out->latency_ns[kind], asker->result.latency_ns[kind]);
        }
        if (error == 0 && asker->error != 0) {
            error = asker->error;
            memcpy(problem, asker->problem, QUERIES_PROBLEM_BYTES);
        }
    }
    return error;
}

/* ---- Set-up ------------------------------------------------------------------------------ */

int queries_open(const struct queries_config *config, struct queries **out,
                 char problem[QUERIES_PROBLEM_BYTES])
{
    struct queries *queries = calloc(1, sizeof *queries);
    struct asker *askers = calloc(config->connections, sizeof *askers);
    if (queries == NULL || askers == NULL) {
        free(queries);
        free(askers);
        snprintf(problem, QUERIES_PROBLEM_BYTES, "out of memory");
        return -ENOMEM;
    }
    queries->config = *config;
    queries->askers = askers;
    for (uint32_t kind = 0; kind < QUERIES_KINDS; kind++)
        queries->mix_total += config->mix[kind];
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < config->connections; i++) {
        struct asker *asker = &askers[i];
        asker->queries = queries;
        asker->number = i;
        asker->random = random_mix(config->seed + i + 1);
        error = result_init(&asker->result);
        if (error == 0)
            error = client_open(&config->address, &asker->client);
        if (error != 0)
            snprintf(problem, QUERIES_PROBLEM_BYTES, "queries: cannot connect: %s",
                     strerror(-error));
    }
    if (error != 0) {
        queries_close(queries);
        return error;
    }
    *out = queries;
    return 0;
}

void queries_close(struct queries *queries)
{
    if (queries == NULL)
        return;
    atomic_store(&queries->stop, true);
    for (uint32_t i = 0; i < queries->config.connections; i++) {
        struct asker *asker = &queries->askers[i];
        if (asker->started)
            pthread_join(asker->thread, NULL);
        client_close(asker->client);
        queries_result_free(&asker->result);
    }
    free(queries->askers);
    free(queries);
}
