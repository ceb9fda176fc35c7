/* kill -9 among everything that the ledger can do: accounts with every flag, imports, chains, holds,
 * balancing and closing transfers, broken fields, repetitions; beside it queries, changes and
 * snapshots. The independent model (tests/ledger_model.h) judges every reply, every account and
 * every transfer.
 *
 * One client asks, one request at a time, so that the model knows the order; it reads the timestamp
 * out of the reply. Of the request under way at a kill nobody knows whether it was executed. It is
 * sent again, as a client would; what the model would answer if it had been and if it had not been
 * is compared with the reply, which tells the two apart wherever they differ.
 *
 *   GIRO_MIX_ROUNDS   kills of each test (default: 12) */
#include "tests/faults/stage.h"
#include "tests/ledger_random.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(mix, .fini = harness_clean, .timeout = 900);

enum { EVENTS = LEDGER_RANDOM_EVENTS, REQUESTS_MAX = 90 };

static const char *const arguments[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "1m", NULL};

/* A request of either kind. */
struct request {
    bool accounts;
    uint32_t count;
    union {
        struct giro_account account[EVENTS];
        struct giro_transfer transfer[EVENTS];
    };
};

struct mix {
    struct rng rng;
    struct ledger_random random;
    struct model model;
    struct model other; /* as if the request under way had been executed */
    struct server server;
    struct server_setup setup;
    struct client client;
    struct client beside; /* queries and snapshots, unanswered at the kill */
    uint64_t timestamp;   /* of the last event */
    uint64_t requests;
    uint64_t executed; /* of those under way at a kill */
    uint64_t unknown;
    uint32_t codes_seen[GIRO_TRANSFER_RESULT_MAX + 1];
    char data[PATH_BYTES];
};

/* ---- Requests ---------------------------------------------------------------------------- */

/* Holds that expire do so at a time that no reply tells. */
static void timeouts_strip(struct request *request)
{
    for (uint32_t i = 0; i < request->count; i++)
        request->transfer[i].timeout = 0;
}

static void request_make(struct mix *mix, struct request *request)
{
    struct ledger_random *random = &mix->random;
    random->model = &mix->model;
    random->timestamp_last = mix->timestamp;
    random->transfer_timestamp_last = mix->timestamp;
    random->clock_ns = mix->timestamp + 1;
    request->accounts = rng_below(&mix->rng, 8) == 0;
    if (request->accounts) {
        request->count = ledger_random_accounts(random, request->account);
        return;
    }
    request->count = ledger_random_transfers(random, request->transfer);
    timeouts_strip(request);
}

static uint64_t request_send(struct mix *mix, const struct request *request)
{
    return client_request(&mix->client,
                          request->accounts ? FRAME_CREATE_ACCOUNTS : FRAME_CREATE_TRANSFERS,
                          request->account, request->count * GIRO_RECORD_BYTES);
}

static void model_execute(struct model *model, const struct request *request, uint64_t timestamp,
                          uint32_t *codes)
{
    if (request->accounts)
        model_create_accounts(model, request->account, request->count, timestamp, codes);
    else
        model_create_transfers(model, request->transfer, request->count, timestamp, codes);
}

/* Codes, one an event, and the timestamp of the first, out of a reply. */
static uint64_t reply_read(const struct request *request, const struct reply *reply,
                           uint32_t *codes)
{
    struct frame_created created;
    cr_assert_eq(reply->header.status, FRAME_OK, "%s", frame_status_name(reply->header.status));
    memcpy(&created, reply->body, sizeof created);
    for (uint32_t i = 0; i < request->count; i++)
        codes[i] = 0; /* created */
    for (uint32_t i = 0; i < created.result_count; i++) {
        struct giro_result result;
        memcpy(&result, (const char *)reply->body + sizeof created + i * sizeof result,
               sizeof result);
        cr_assert(result.index < request->count);
        codes[result.index] = result.code;
    }
    return created.timestamp_first;
}

static const char *code_name(const struct request *request, uint32_t code)
{
    return request->accounts ? giro_account_result_name(code) : giro_transfer_result_name(code);
}

/* ---- Comparing --------------------------------------------------------------------------- */

static void accounts_compare(struct mix *mix)
{
    giro_u128 ids[MODEL_ACCOUNTS_MAX] = {0};
    struct giro_account found[MODEL_ACCOUNTS_MAX];
    const struct model_state *state = &mix->model.now;
    uint32_t count;
    for (uint32_t i = 0; i < state->accounts_count; i++)
        ids[i] = state->accounts[i].id;
    cr_assert_eq(client_lookup_accounts(&mix->client, ids, state->accounts_count, found, &count),
                 FRAME_OK);
    cr_assert_eq(count, state->accounts_count, "%u accounts instead of %u", count,
                 state->accounts_count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(memcmp(&found[i], &state->accounts[i], sizeof found[i]) == 0,
                  "request %lu: account %lu differs", mix->requests, (uint64_t)ids[i]);
}

static void transfers_compare(struct mix *mix)
{
    giro_u128 ids[EVENTS];
    struct giro_transfer found[EVENTS];
    uint32_t count = 0;
    for (uint64_t number = 0; number <= mix->random.id_next; number++) {
        uint32_t found_count;
        uint32_t at = 0;
        ids[count++] = ledger_random_id(number);
        if (count < EVENTS && number != mix->random.id_next)
            continue;
        cr_assert_eq(client_lookup_transfers(&mix->client, ids, count, found, &found_count),
                     FRAME_OK);
        for (uint32_t i = 0; i < count; i++) {
            const struct giro_transfer *expected = model_transfer(&mix->model, ids[i]);
            if (expected == NULL)
                continue;
            cr_assert(at < found_count && memcmp(expected, &found[at], sizeof *expected) == 0,
                      "transfer %lu is missing or differs", number);
            at++;
        }
        cr_assert_eq(at, found_count, "found what should not be there");
        count = 0;
    }
}

/* The follower tells the same: every account, in order. */
static void query_compare(struct mix *mix)
{
    static struct giro_account found[FRAME_EVENTS_MAX];
    const struct giro_query_filter all = {.limit = FRAME_EVENTS_MAX};
    uint32_t count;
    cr_assert_eq(history_query(&mix->client, FRAME_QUERY_ACCOUNTS, &all, sizeof all, found, &count),
                 FRAME_OK);
    cr_assert_eq(count, mix->model.now.accounts_count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(memcmp(&found[i], &mix->model.now.accounts[i], sizeof found[i]) == 0,
                  "a query tells another account %lu", (uint64_t)found[i].id);
}

/* ---- Asking ------------------------------------------------------------------------------ */

static void codes_compare(struct mix *mix, const struct request *request, const uint32_t *expected,
                          const uint32_t *codes)
{
    for (uint32_t i = 0; i < request->count; i++) {
        cr_assert(codes[i] == expected[i], "request %lu, event %u: %s instead of %s", mix->requests,
                  i, code_name(request, codes[i]), code_name(request, expected[i]));
        if (!request->accounts)
            mix->codes_seen[codes[i]]++;
    }
}

static void timestamp_take(struct mix *mix, const struct request *request, uint64_t timestamp)
{
    cr_assert(timestamp > mix->timestamp, "request %lu: timestamps go back", mix->requests);
    mix->timestamp = timestamp + request->count - 1;
}

static void request_ask(struct mix *mix, const struct request *request)
{
    uint32_t codes[EVENTS];
    uint32_t expected[EVENTS];
    struct reply reply;
    client_expect(&mix->client, request_send(mix, request), &reply);
    uint64_t timestamp = reply_read(request, &reply, codes);
    model_execute(&mix->model, request, timestamp, expected);
    codes_compare(mix, request, expected, codes);
    timestamp_take(mix, request, timestamp);
    mix->requests++;
}

/* ---- The request under way --------------------------------------------------------------- */

static bool imported(const struct request *request, uint32_t i)
{
    return request->accounts ? (request->account[i].flags & GIRO_ACCOUNT_IMPORTED) != 0
                             : (request->transfer[i].flags & GIRO_TRANSFER_IMPORTED) != 0;
}

/* Timestamp of a record that exists now and did not before, 0: there is none. */
static uint64_t new_timestamp(struct mix *mix, const struct request *request, uint32_t i)
{
    struct giro_account account;
    struct giro_transfer transfer;
    uint32_t found = 0;
    if (request->accounts) {
        const giro_u128 id = request->account[i].id;
        (void)client_lookup_accounts(&mix->client, &id, 1, &account, &found);
        return found == 1 && model_account(&mix->model, id) == NULL ? account.timestamp : 0;
    }
    const giro_u128 id = request->transfer[i].id;
    (void)client_lookup_transfers(&mix->client, &id, 1, &transfer, &found);
    return found == 1 && model_transfer(&mix->model, id) == NULL ? transfer.timestamp : 0;
}

/* When the request was executed, if it was and something that it made tells; 0: nothing does. */
static uint64_t executed_at(struct mix *mix, const struct request *request)
{
    for (uint32_t i = 0; i < request->count; i++) {
        uint64_t timestamp = imported(request, i) ? 0 : new_timestamp(mix, request, i);
        /* The second of two events with one id may be the one that was created. */
        for (uint32_t k = 0; timestamp != 0 && k < request->count; k++) {
            uint32_t codes[EVENTS];
            mix->other = mix->model;
            if (timestamp - k <= mix->timestamp)
                break;
            model_execute(&mix->other, request, timestamp - k, codes);
            if (codes[k] == 0 && !imported(request, k) &&
                (request->accounts ? request->account[k].id == request->account[i].id
                                   : request->transfer[k].id == request->transfer[i].id))
                return timestamp - k;
        }
    }
    return 0;
}

/* Sends it again: the reply says which of the two worlds it is. */
static void request_resolve(struct mix *mix, const struct request *request)
{
    uint32_t codes[EVENTS];
    uint32_t expected[EVENTS];
    uint32_t expected_other[EVENTS];
    uint32_t ignored[EVENTS];
    struct reply reply;
    uint64_t before = executed_at(mix, request);
    client_expect(&mix->client, request_send(mix, request), &reply);
    uint64_t timestamp = reply_read(request, &reply, codes);
    if (before == 0) /* imports, which only must not be ahead of it, and burnt ids */
        before = timestamp - request->count;
    mix->other = mix->model;
    model_execute(&mix->other, request, before, ignored);
    model_execute(&mix->other, request, timestamp, expected_other);
    model_execute(&mix->model, request, timestamp, expected);
    if (memcmp(codes, expected_other, request->count * sizeof codes[0]) == 0 &&
        memcmp(codes, expected, request->count * sizeof codes[0]) != 0) {
        mix->model = mix->other;
        mix->executed++;
    } else {
        codes_compare(mix, request, expected, codes);
    }
    timestamp_take(mix, request, timestamp);
    mix->unknown++;
}

/* ---- Rounds ------------------------------------------------------------------------------ */

static void connect_all(struct mix *mix)
{
    client_connect(&mix->client, mix->server.port);
    client_connect(&mix->beside, mix->server.port);
}

/* Asks beside the requests for what is not waited for. */
static void beside_ask(struct mix *mix)
{
    const struct giro_query_filter all = {.limit = FRAME_EVENTS_MAX};
    struct reply reply;
    while (client_receive(&mix->beside, &reply, 0) == CLIENT_REPLY)
        continue;
    if (rng_below(&mix->rng, 2) == 0)
        (void)client_request(&mix->beside, FRAME_SNAPSHOT, NULL, 0);
    else
        (void)client_request(&mix->beside, FRAME_QUERY_TRANSFERS, &all, sizeof all);
}

static void mix_round(struct mix *mix)
{
    enum { PAUSE_MS = 3, COMPARE_EVERY = 16, ASK_EVERY = 20 };
    static struct request request;
    uint32_t requests = 1 + rng_below(&mix->rng, REQUESTS_MAX);
    for (uint32_t i = 0; i < requests; i++) {
        if (i % ASK_EVERY == 0)
            beside_ask(mix);
        request_make(mix, &request);
        request_ask(mix, &request);
        if (i % COMPARE_EVERY == 0)
            accounts_compare(mix);
    }
    request_make(mix, &request);
    cr_assert(request_send(mix, &request) != 0);
    pause_ms(rng_below(&mix->rng, PAUSE_MS));
    server_kill(&mix->server);
    client_close(&mix->client);
    client_close(&mix->beside);
    server_start(&mix->server, &mix->setup);
    connect_all(mix);
    request_resolve(mix, &request);
    accounts_compare(mix);
    transfers_compare(mix);
    query_compare(mix);
}

static void mix_begin(struct mix *mix, const char *io, uint64_t seed)
{
    static struct request first = {.accounts = true};
    memset(mix, 0, sizeof *mix);
    folder_make(mix->data); /* a real disk */
    data_format(mix->data);
    mix->setup = (struct server_setup){.data = mix->data, .io = io, .arguments = arguments};
    mix->rng = rng_make(seed);
    mix->random.state = rng_next(&mix->rng);
    mix->random.id_next = 1;
    mix->random.model = &mix->model;
    server_start(&mix->server, &mix->setup);
    connect_all(mix);
    first.count = ledger_random_first_accounts(&mix->random, first.account);
    request_ask(mix, &first);
}

static void mix_try(const char *io, uint64_t seed)
{
    struct mix *mix = calloc(1, sizeof *mix);
    const uint32_t rounds = environment_number("GIRO_MIX_ROUNDS", 12);
    uint32_t codes = 0;
    cr_assert(mix != NULL);
    mix_begin(mix, io, seed);
    for (uint32_t round = 0; round < rounds; round++)
        mix_round(mix);
    for (uint32_t code = 0; code <= GIRO_TRANSFER_RESULT_MAX; code++)
        codes += mix->codes_seen[code] != 0;
    client_close(&mix->client);
    client_close(&mix->beside);
    server_stop(&mix->server);
    data_verify(mix->data);
    fprintf(stderr,
            "%s: %u kills, %lu requests, %lu of %lu under way at a kill had been executed, %u "
            "result codes\n",
            io, rounds, mix->requests, mix->executed, mix->unknown, codes);
    cr_assert(rounds < 10 || codes > 30, "only %u result codes", codes);
    folder_remove(mix->data);
    free(mix);
}

Test(mix, everything_survives_kills_io_uring)
{
    mix_try("io_uring", 0x3171);
}

Test(mix, everything_survives_kills_posix)
{
    mix_try("posix", 0x3172);
}
