/* The C client against tests/client_fake.c. Nothing here asserts that something was fast: tests
 * that need a deadline to pass wait for it, and everything else waits for what it needs. */
#include "clients/c/giro.h"
#include "net/frame.h"
#include "tests/client_fake.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHORT_MS = 100, THREADS = 64 };

/* ---- Tools ------------------------------------------------------------------------------- */

static struct giro_client *client_open(struct fake *fake, struct giro_client_options options)
{
    struct giro_client *client = NULL;
    options.address = fake_address(fake);
    if (options.backoff_min_ms == 0)
        options.backoff_min_ms = 1;
    int error = giro_client_open(&options, &client);
    cr_assert_eq(error, 0, "open: %s", giro_error_text(error));
    return client;
}

/* A fake that is told what to do with its first frames. */
#define FAKE_WITH_STEPS(...)                                                                       \
    fake_start(&(struct fake_options){                                                             \
        .steps = (const struct fake_step[]){__VA_ARGS__},                                          \
        .step_count = sizeof((const struct fake_step[]){__VA_ARGS__}) / sizeof(struct fake_step)})

static struct giro_transfer transfer_of(giro_u128 id)
{
    return (struct giro_transfer){.id = id,
                                  .debit_account_id = 1,
                                  .credit_account_id = 2,
                                  .amount = 100,
                                  .ledger = 1,
                                  .code = 1};
}

static struct giro_account account_of(giro_u128 id)
{
    return (struct giro_account){.id = id, .ledger = 1, .code = 1};
}

/* A request whose completion can be waited for. */
struct tracked {
    struct giro_request request;
    struct giro_transfer transfers[4];
    struct giro_account accounts[4];
    struct giro_cut_off cut_offs[4];
    struct giro_limits limits[4];
    struct giro_lease leases[4];
    struct giro_outcome outcomes[4];
    struct giro_fence fence;
    struct giro_result results[4];
    giro_u128 ids[4];
    sem_t done;
};

static void tracked_completed(struct giro_request *request)
{
    struct tracked *tracked = request->user_data;
    sem_post(&tracked->done);
}

static struct tracked *tracked_new(enum giro_operation operation, uint32_t count)
{
    struct tracked *tracked = aligned_alloc(16, (sizeof *tracked + 15) / 16 * 16);
    *tracked = (struct tracked){.request = {.operation = operation,
                                            .count = count,
                                            .completed = tracked_completed,
                                            .user_data = tracked}};
    sem_init(&tracked->done, 0, 0);
    return tracked;
}

/* count transfers with ids from first_id on. */
static struct tracked *tracked_transfers(giro_u128 first_id, uint32_t count)
{
    struct tracked *tracked = tracked_new(GIRO_CREATE_TRANSFERS, count);
    for (uint32_t i = 0; i < count; i++)
        tracked->transfers[i] = transfer_of(first_id + i);
    tracked->request.events.transfers = tracked->transfers;
    tracked->request.output.results = tracked->results;
    return tracked;
}

static struct tracked *tracked_account(giro_u128 id)
{
    struct tracked *tracked = tracked_new(GIRO_CREATE_ACCOUNTS, 1);
    tracked->accounts[0] = account_of(id);
    tracked->request.events.accounts = tracked->accounts;
    tracked->request.output.results = tracked->results;
    return tracked;
}

/* The same as tracked_transfers(), with their outcomes. */
static struct tracked *tracked_outcomes(giro_u128 first_id, uint32_t count)
{
    struct tracked *tracked = tracked_transfers(first_id, count);
    tracked->request.operation = GIRO_CREATE_TRANSFERS_OUTCOMES;
    tracked->request.outcomes = tracked->outcomes;
    return tracked;
}

/* The same as tracked_transfers(), under a fence. */
static struct tracked *tracked_fenced(giro_u128 first_id, uint32_t count, giro_u128 key,
                                      uint64_t token)
{
    struct tracked *tracked = tracked_transfers(first_id, count);
    tracked->fence = (struct giro_fence){.key = key, .token = token};
    tracked->request.fence = &tracked->fence;
    return tracked;
}

static struct tracked *tracked_lease(giro_u128 key, giro_u128 owner)
{
    struct tracked *tracked = tracked_new(GIRO_LEASE, 1);
    tracked->leases[0] = (struct giro_lease){
        .key = key, .owner = owner, .timeout_ms = 1000, .action = GIRO_LEASE_ACQUIRE};
    tracked->request.events.leases = tracked->leases;
    tracked->request.output.leases = tracked->leases;
    return tracked;
}

static struct giro_schedule schedule_of(giro_u128 id)
{
    return (struct giro_schedule){.id = id,
                                  .first = GIRO_NS_PER_S,
                                  .interval = 1,
                                  .rule = GIRO_SCHEDULE_SECONDS,
                                  .transfer = transfer_of(0)};
}

static struct tracked *tracked_limits(giro_u128 account_id, uint16_t flags)
{
    struct tracked *tracked = tracked_new(GIRO_SET_LIMITS, 1);
    tracked->limits[0] = (struct giro_limits){.account_id = account_id, .flags = flags};
    tracked->request.events.limits = tracked->limits;
    tracked->request.output.results = tracked->results;
    return tracked;
}

static struct tracked *tracked_cut_off(uint32_t ledger, uint64_t epoch)
{
    struct tracked *tracked = tracked_new(GIRO_CUT_OFF, 1);
    tracked->cut_offs[0] = (struct giro_cut_off){.ledger = ledger, .epoch = epoch};
    tracked->request.events.cut_offs = tracked->cut_offs;
    tracked->request.output.results = tracked->results;
    return tracked;
}

static struct tracked *submit(struct giro_client *client, struct tracked *tracked)
{
    cr_assert_eq(giro_submit(client, &tracked->request), 0);
    return tracked;
}

static int outcome(struct tracked *tracked)
{
    while (sem_wait(&tracked->done) != 0)
        ;
    return tracked->request.error;
}

static void tracked_free(struct tracked *tracked)
{
    sem_destroy(&tracked->done);
    free(tracked);
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static struct giro_client_state status_of(struct giro_client *client)
{
    struct giro_client_state status;
    giro_client_status(client, &status);
    return status;
}

static void wait_outstanding(struct giro_client *client, uint32_t count)
{
    while (status_of(client).requests_outstanding != count)
        pause_ms(1);
}

static void wait_in_flight(struct giro_client *client, uint32_t frames)
{
    while (status_of(client).frames_in_flight < frames)
        pause_ms(1);
}

static int create_one(struct giro_client *client, giro_u128 id, struct giro_created *created)
{
    struct giro_transfer transfer = transfer_of(id);
    return giro_create_transfers(client, &transfer, 1, NULL, created);
}

static void end(struct giro_client *client, struct fake *fake)
{
    giro_client_close(client);
    fake_stop(fake);
}

/* Fills the pipe of a client with one frame in flight: what follows gathers behind it. */
static struct tracked *plug(struct fake *fake, struct giro_client *client)
{
    fake_hold(fake);
    struct tracked *first = submit(client, tracked_new(GIRO_PING, 0));
    wait_in_flight(client, 1);
    return first;
}

/* ---- Open -------------------------------------------------------------------------------- */

Test(client_open, rejects_options_out_of_range)
{
    static const struct giro_client_options rows[] = {
        {.address = NULL},
        {.address = "127.0.0.1:1", .client_name = "a name of thirty-two characters.."},
        {.address = "127.0.0.1:1", .client_name = "tab\t"},
        {.address = "127.0.0.1:1", .frames_in_flight_max = GIRO_FRAMES_IN_FLIGHT_MAX + 1},
        {.address = "127.0.0.1:1", .requests_max = GIRO_REQUESTS_MAX + 1},
        {.address = "127.0.0.1:1", .backoff_min_ms = 3, .backoff_max_ms = 2},
        {.address = "127.0.0.1:1", .flags = 1u << 31},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct giro_client *client = NULL;
        cr_expect_eq(giro_client_open(&rows[i], &client), GIRO_EINVAL, "row %zu", i);
        cr_expect_null(client);
    }
}

Test(client_open, rejects_malformed_addresses)
{
    /* The hosts exist: it is the form that is wrong. */
    static const char *const rows[] = {
        "",
        ":",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:000001",
        "127.0.0.1:1x",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        ":7400",
        "::1:7400",
        "[::1]",
        "[::1]7400",
        "[::1:1",
        "[]:1",
        "[localhost]:1",
        "[::g]:1",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct giro_client *client = NULL;
        struct giro_client_options options = {.address = rows[i]};
        cr_expect_eq(giro_client_open(&options, &client), GIRO_EADDRESS, "%s", rows[i]);
    }
}

Test(client_open, reports_a_refused_connection)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    char address[64];
    snprintf(address, sizeof address, "%s", fake_address(fake));
    fake_stop(fake); /* nobody listens there now */
    struct giro_client_options options = {.address = address};
    struct giro_client *client = NULL;
    cr_assert_eq(giro_client_open(&options, &client), GIRO_EUNREACHABLE);
    cr_assert_null(client);
}

Test(client_open, reports_what_the_server_answers_to_hello)
{
    static const struct {
        struct fake_step hello;
        uint32_t welcome_version;
        int error;
    } rows[] = {
        {{FAKE_STATUS, FRAME_TOO_MANY_CONNECTIONS}, 0, GIRO_EBUSY},
        {{FAKE_STATUS_NAMELESS, FRAME_TOO_MANY_CONNECTIONS}, 0, GIRO_EBUSY},
        {{FAKE_STATUS, FRAME_SHUTTING_DOWN}, 0, GIRO_ESHUTDOWN},
        {{FAKE_STATUS, FRAME_BAD_VERSION}, 0, GIRO_EVERSION},
        {{FAKE_BAD_VERSION, 0}, 0, GIRO_EVERSION},
        {{FAKE_ANSWER, 0}, 2, GIRO_EVERSION},
        {{FAKE_STATUS, FRAME_STORAGE_FULL}, 0, GIRO_EPROTOCOL},
        {{FAKE_GARBAGE, 0}, 0, GIRO_EPROTOCOL},
        {{FAKE_BAD_CHECKSUM, 0}, 0, GIRO_EPROTOCOL},
        {{FAKE_WRONG_ID, 0}, 0, GIRO_EPROTOCOL},
        {{FAKE_WRONG_OPERATION, 0}, 0, GIRO_EPROTOCOL},
        {{FAKE_NO_REPLY_FLAG, 0}, 0, GIRO_EPROTOCOL},
        {{FAKE_BODY_CUT, 0}, 0, GIRO_EPROTOCOL},
        {{FAKE_DROP, 0}, 0, GIRO_EUNREACHABLE},
        {{FAKE_HALF, 0}, 0, GIRO_EUNREACHABLE},
        {{FAKE_SILENT, 0}, 0, GIRO_EUNREACHABLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake *fake =
            fake_start(&(struct fake_options){.hellos = &rows[i].hello,
                                              .hello_count = 1,
                                              .welcome_version = rows[i].welcome_version});
        struct giro_client_options options = {.address = fake_address(fake),
                                              .connect_timeout_ms = SHORT_MS};
        if (rows[i].hello.action != FAKE_SILENT)
            options.connect_timeout_ms = 0;
        struct giro_client *client = NULL;
        int error = giro_client_open(&options, &client);
        cr_expect_eq(error, rows[i].error, "row %zu: %s", i, giro_error_name(error));
        cr_expect_null(client);
        fake_stop(fake);
    }
}

Test(client_open, takes_ipv6_and_names)
{
    struct fake *fake = fake_start(&(struct fake_options){.ipv6 = true});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    cr_expect_eq(giro_ping(client), 0);
    end(client, fake);

    fake = fake_start(&(struct fake_options){0});
    char address[64];
    snprintf(address, sizeof address, "localhost%s", strchr(fake_address(fake), ':'));
    struct giro_client_options options = {.address = address};
    cr_assert_eq(giro_client_open(&options, &client), 0);
    cr_expect_eq(giro_ping(client), 0);
    end(client, fake);
}

Test(client_open, without_server_waits_in_the_background)
{
    static const struct fake_step busy = {FAKE_STATUS, FRAME_TOO_MANY_CONNECTIONS};
    struct fake *fake = fake_start(&(struct fake_options){.hellos = &busy, .hello_count = 1});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.flags = GIRO_OPEN_WITHOUT_SERVER});
    cr_expect_eq(giro_ping(client), 0); /* once the second attempt was welcome */
    struct giro_client_state status = status_of(client);
    cr_expect_eq(status.connections, 1);
    cr_expect_eq(status.connection_error, GIRO_EBUSY);
    end(client, fake);
}

/* ---- Calls ------------------------------------------------------------------------------- */

Test(client_call, creates_looks_up_pings_and_counts)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_account accounts[3] = {account_of(7), account_of(0), account_of(8)};
    struct giro_result results[3] = {0};
    struct giro_created created;
    cr_assert_eq(giro_create_accounts(client, accounts, 3, results, &created), 0);
    cr_expect_eq(created.result_count, 1);
    cr_expect_eq(created.exists_count, 0);
    cr_expect_eq(created.resent, false);
    cr_expect_eq(results[0].index, 1);
    cr_expect_eq(results[0].code, GIRO_ACCOUNT_ID_MUST_NOT_BE_ZERO);

    struct giro_account found_accounts[3];
    uint32_t found = 0;
    const giro_u128 ids[3] = {8, 9, 7};
    cr_assert_eq(giro_lookup_accounts(client, ids, 3, found_accounts, &found), 0);
    cr_expect_eq(found, 2);
    cr_expect(found_accounts[0].id == 8 && found_accounts[1].id == 7);
    cr_expect_eq(found_accounts[0].timestamp, created.timestamp_first + 2);

    struct giro_transfer transfer = transfer_of(5);
    cr_assert_eq(giro_create_transfers(client, &transfer, 1, NULL, &created), 0);
    cr_expect_eq(created.result_count, 0);
    cr_assert_eq(giro_create_transfers(client, &transfer, 1, NULL, &created), 0);
    cr_expect_eq(created.result_count, 1);
    cr_expect_eq(created.exists_count, 1);
    cr_assert_eq(giro_lookup_transfers(client, &transfer.id, 1, &transfer, &found), 0);
    cr_expect_eq(found, 1);

    struct giro_payment payments[3];
    const giro_u128 payment_ids[3] = {6, 5, 5};
    cr_assert_eq(giro_lookup_payments(client, payment_ids, 3, payments, &found), 0);
    cr_expect_eq(found, 2);
    cr_expect(payments[0].id == 5 && payments[1].id == 5);
    cr_expect(payments[0].amount == transfer.amount);
    cr_expect_eq(payments[0].timestamp, transfer.timestamp);
    cr_expect_eq(payments[0].state, GIRO_PAYMENT_POSTED);

    struct giro_server_stats stats;
    cr_assert_eq(giro_stats(client, &stats), 0);
    cr_expect_eq(stats.accounts, 2);
    cr_expect_eq(stats.transfers, 1);
    cr_expect_eq(stats.memory_index_bytes, 77);
    cr_expect_eq(stats.memory_follower_bytes, 78);
    cr_expect_eq(giro_ping(client), 0);
    end(client, fake);
}

Test(client_call, tells_the_outcomes_of_transfers)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    const struct giro_outcome nothing = {.code = GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO};
    struct giro_transfer transfers[3] = {transfer_of(5), transfer_of(0), transfer_of(6)};
    struct giro_outcome outcomes[3];
    struct giro_result results[3] = {0};
    struct giro_created created;
    transfers[2].amount = 7;
    memset(outcomes, 0xab, sizeof outcomes);
    cr_assert_eq(giro_create_transfers_outcomes(client, transfers, 3, outcomes, results, &created),
                 0);
    cr_expect_eq(created.result_count, 1);
    cr_expect_eq(results[0].index, 1);
    cr_expect_eq(results[0].code, GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO);
    cr_expect(outcomes[0].amount == 100 && outcomes[2].amount == 7);
    cr_expect(outcomes[0].debit.debits_posted == 100 && outcomes[2].credit.credits_posted == 7);
    cr_expect_eq(outcomes[0].code, 0);
    cr_expect_eq(outcomes[0].timestamp, created.timestamp_first);
    cr_expect_eq(outcomes[2].timestamp, created.timestamp_first + 2);
    cr_expect_eq(memcmp(&outcomes[1], &nothing, sizeof nothing), 0);

    cr_assert_eq(giro_create_transfers_outcomes(client, transfers, 1, outcomes, NULL, &created), 0);
    cr_expect_eq(created.exists_count, 1);
    cr_expect_eq(outcomes[0].code, GIRO_TRANSFER_EXISTS);
    cr_expect(outcomes[0].amount == 0);
    end(client, fake);
}

Test(client_call, cuts_ledgers_off_and_gets_settlements)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_account accounts[3] = {account_of(7), account_of(8), account_of(9)};
    accounts[0].flags = accounts[1].flags = GIRO_ACCOUNT_SETTLES;
    accounts[1].ledger = 2;
    accounts[1].code = 5;
    const struct giro_cut_off cut_offs[3] = {
        {.ledger = 1, .epoch = 0}, {.ledger = 2, .epoch = 1}, {.ledger = 1, .epoch = 1}};
    struct giro_settlement settlements[4];
    struct giro_result results[3];
    struct giro_created created;
    const giro_u128 ids[4] = {8, 9, 10, 7};
    uint32_t found = 9;
    cr_assert_eq(giro_create_accounts(client, accounts, 3, NULL, &created), 0);
    cr_assert_eq(giro_cut_off_ledgers(client, cut_offs, 3, results, &created), 0);
    cr_assert_eq(created.result_count, 1);
    cr_expect_eq(created.exists_count, 0);
    cr_expect_gt(created.timestamp_first, 0);
    cr_expect_eq(results[0].index, 1);
    cr_expect_eq(results[0].code, GIRO_CUT_OFF_RESULT_EPOCH_HAS_NOT_BEGUN);

    cr_assert_eq(giro_get_settlements(client, ids, 4, settlements, &found), 0);
    cr_assert_eq(found, 2);
    cr_expect(settlements[0].account_id == 8 && settlements[1].account_id == 7);
    cr_expect(settlements[0].epoch == 0 && settlements[1].epoch == 2);
    cr_expect(settlements[0].ledger == 2 && settlements[0].debits_before == 5);

    cr_assert_eq(giro_cut_off_ledgers(client, cut_offs, 3, results, &created), 0);
    cr_assert_eq(created.result_count, 3);
    cr_expect_eq(created.exists_count, 2);
    cr_expect_eq(results[0].code, GIRO_CUT_OFF_RESULT_EPOCH_IS_OVER);
    cr_expect_str_eq(giro_cut_off_result_name(results[0].code), "epoch_is_over");
    end(client, fake);
}

Test(client_call, sets_and_gets_limits)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_account accounts[2] = {account_of(7), account_of(8)};
    struct giro_limits limits[3] = {{.account_id = 8, .floor = 5, .flags = GIRO_LIMITS_FROZEN},
                                    {.account_id = 9, .balance_max = 6},
                                    {.account_id = 7, .transfer_max = 7, .over_capture = 2000}};
    struct giro_limits found_limits[3];
    struct giro_result results[3] = {0};
    struct giro_created created;
    const giro_u128 ids[3] = {7, 9, 8};
    uint32_t found = 9;
    cr_assert_eq(giro_create_accounts(client, accounts, 2, NULL, &created), 0);
    cr_assert_eq(giro_get_limits(client, ids, 3, found_limits, &found), 0);
    cr_expect_eq(found, 0);
    cr_assert_eq(giro_set_limits(client, limits, 3, results, &created), 0);
    cr_expect_eq(created.result_count, 1);
    cr_expect_eq(created.exists_count, 0);
    cr_expect_eq(results[0].index, 1);
    cr_expect_eq(results[0].code, GIRO_LIMITS_RESULT_ACCOUNT_NOT_FOUND);

    cr_assert_eq(giro_get_limits(client, ids, 3, found_limits, &found), 0);
    cr_assert_eq(found, 2);
    cr_expect(found_limits[0].account_id == 7 && found_limits[1].account_id == 8);
    cr_expect(found_limits[0].transfer_max == 7 && found_limits[1].floor == 5);
    cr_expect_eq(found_limits[0].over_capture, 2000);
    cr_expect_eq(found_limits[0].timestamp, created.timestamp_first + 2);
    cr_expect_eq(found_limits[1].flags, GIRO_LIMITS_FROZEN);

    const struct giro_limits none = {.account_id = 8};
    cr_assert_eq(giro_set_limits(client, &none, 1, NULL, &created), 0);
    cr_assert_eq(giro_get_limits(client, &none.account_id, 1, found_limits, &found), 0);
    cr_assert_eq(found, 1);
    cr_expect(found_limits[0].floor == 0 && found_limits[0].flags == 0);
    cr_expect_eq(found_limits[0].timestamp, created.timestamp_first);
    end(client, fake);
}

Test(client_call, gets_velocity)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_account accounts[2] = {account_of(7), account_of(8)};
    const struct giro_velocity rule = {.period = 1,
                                       .unit = GIRO_PERIOD_DAYS,
                                       .window = GIRO_WINDOW_SLIDING,
                                       .verdict = GIRO_VERDICT_HOLD,
                                       .flags = GIRO_VELOCITY_AMOUNT};
    struct giro_limits limits[2] = {
        {.account_id = 8, .velocity_max = {5, 0, 0, 6}, .velocity = {rule, {0}, {0}, rule}},
        {.account_id = 7, .floor = 7}};
    struct giro_limits found_limits;
    struct giro_velocity_used used[3];
    struct giro_created created;
    const giro_u128 ids[3] = {7, 9, 8};
    uint32_t found = 9;
    cr_assert_eq(giro_create_accounts(client, accounts, 2, NULL, &created), 0);
    cr_assert_eq(giro_get_velocity(client, ids, 3, used, &found), 0);
    cr_expect_eq(found, 0);
    cr_assert_eq(giro_set_limits(client, limits, 2, NULL, &created), 0);
    cr_expect_eq(created.result_count, 0);
    cr_assert_eq(giro_get_limits(client, &ids[2], 1, &found_limits, &found), 0);
    cr_assert_eq(found, 1);
    cr_expect_eq(memcmp(found_limits.velocity, limits[0].velocity, sizeof limits[0].velocity), 0);

    cr_assert_eq(giro_get_velocity(client, ids, 3, used, &found), 0);
    cr_assert_eq(found, 2);
    cr_expect(used[0].account_id == 7 && used[1].account_id == 8);
    cr_expect(used[0].maximum[0] == 0 && used[0].used[0] == 0);
    cr_expect(used[1].maximum[0] == 5 && used[1].maximum[3] == 6);
    cr_expect(used[1].used[0] == 5 && used[1].used[1] == 0 && used[1].used[3] == 6);
    cr_expect_gt(used[1].timestamp, created.timestamp_first);
    end(client, fake);
}

Test(client_call, acquires_renews_and_releases_leases)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_lease events[3] = {
        {.key = 7, .owner = 1, .timeout_ms = 1000, .action = GIRO_LEASE_ACQUIRE},
        {.key = 8, .owner = 1, .timeout_ms = 2000, .action = GIRO_LEASE_ACQUIRE},
        {.key = 7, .owner = 2, .timeout_ms = 3000, .action = GIRO_LEASE_ACQUIRE},
    };
    struct giro_lease leases[3];
    const giro_u128 keys[3] = {8, 9, 7};
    uint32_t refused = 9;
    uint32_t found = 9;
    cr_assert_eq(giro_change_leases(client, events, 3, leases, &refused), 0);
    cr_expect_eq(refused, 1);
    cr_expect_eq(leases[0].result, GIRO_LEASE_RESULT_DONE);
    cr_expect(leases[0].token != 0 && leases[1].token > leases[0].token);
    cr_expect_eq(leases[1].deadline, leases[1].timestamp + 2000 * GIRO_NS_PER_MS);
    cr_expect_eq(leases[2].result, GIRO_LEASE_RESULT_HELD_BY_ANOTHER);
    cr_expect(leases[2].owner == 1 && leases[2].token == 0);
    cr_expect_eq(leases[2].deadline, leases[0].deadline);

    events[0].action = GIRO_LEASE_RENEW; /* without the token */
    events[1] = (struct giro_lease){
        .key = 8, .owner = 1, .token = leases[1].token, .action = GIRO_LEASE_RELEASE};
    cr_assert_eq(giro_change_leases(client, events, 2, events, &refused), 0,
                 "over the events themselves");
    cr_expect_eq(refused, 1);
    cr_expect_eq(events[0].result, GIRO_LEASE_RESULT_NOT_HELD);
    cr_expect_eq(events[1].result, GIRO_LEASE_RESULT_DONE);
    cr_assert_eq(giro_get_leases(client, keys, 3, leases, &found), 0);
    cr_assert_eq(found, 2);
    cr_expect(leases[0].key == 8 && leases[1].key == 7);
    cr_expect(leases[0].deadline == 0 && leases[1].deadline != 0);
    end(client, fake);
}

Test(client_call, creates_and_cancels_schedules)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_schedule schedules[3] = {schedule_of(7), schedule_of(0), schedule_of(8)};
    struct giro_schedule found_schedules[3];
    struct giro_result results[3] = {0};
    struct giro_created created;
    const giro_u128 ids[3] = {8, 9, 7};
    uint32_t found = 9;
    schedules[2].transfer.amount = 55;
    cr_assert_eq(giro_create_schedules(client, schedules, 3, results, &created), 0);
    cr_expect_eq(created.result_count, 1);
    cr_expect_eq(results[0].index, 1);
    cr_expect_eq(results[0].code, GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_ZERO);
    cr_assert_eq(giro_create_schedules(client, schedules, 1, results, &created), 0);
    cr_expect_eq(created.exists_count, 1);
    cr_assert_eq(giro_get_schedules(client, ids, 3, found_schedules, &found), 0);
    cr_assert_eq(found, 2);
    cr_expect(found_schedules[0].id == 8 && found_schedules[1].id == 7);
    cr_expect(found_schedules[0].transfer.amount == 55 && found_schedules[0].first != 0);
    cr_expect_eq(found_schedules[0].state, GIRO_SCHEDULE_ACTIVE);
    cr_expect(found_schedules[1].transfer.amount == 100);

    cr_assert_eq(giro_cancel_schedules(client, ids, 2, results, &created), 0);
    cr_expect_eq(created.result_count, 1);
    cr_expect_eq(results[0].index, 1);
    cr_expect_eq(results[0].code, GIRO_SCHEDULE_RESULT_NOT_FOUND);
    cr_assert_eq(giro_cancel_schedules(client, ids, 1, results, &created), 0);
    cr_expect_eq(results[0].code, GIRO_SCHEDULE_RESULT_ALREADY_OVER);
    cr_expect_eq(created.exists_count, 1);
    cr_assert_eq(giro_get_schedules(client, ids, 1, found_schedules, &found), 0);
    cr_assert_eq(found, 1);
    cr_expect_eq(found_schedules[0].state, GIRO_SCHEDULE_CANCELLED);
    end(client, fake);
}

Test(client_call, carries_the_most_schedules)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    const uint32_t count = GIRO_SCHEDULES_MAX;
    struct giro_schedule *schedules = aligned_alloc(16, (count + 1) * sizeof *schedules);
    struct giro_result *results = calloc(GIRO_EVENTS_MAX, sizeof *results);
    giro_u128 *ids = aligned_alloc(16, GIRO_EVENTS_MAX * sizeof *ids);
    struct giro_created created;
    uint32_t found = 0;
    for (uint32_t i = 0; i <= count; i++)
        schedules[i] = schedule_of(i + 1);
    for (uint32_t i = 0; i < GIRO_EVENTS_MAX; i++)
        ids[i] = i + 1;
    cr_assert_eq(giro_create_schedules(client, schedules, count, results, &created), 0);
    cr_expect_eq(created.result_count, 0);
    cr_expect_eq(giro_create_schedules(client, schedules, count + 1, NULL, &created), GIRO_EINVAL);
    cr_assert_eq(giro_get_schedules(client, ids, count, schedules, &found), 0);
    cr_expect_eq(found, count);
    for (uint32_t i = 0; i < found; i++)
        cr_assert(schedules[i].id == ids[i]);
    cr_expect_eq(giro_get_schedules(client, ids, count + 1, schedules, &found), GIRO_EINVAL);
    cr_assert_eq(giro_cancel_schedules(client, ids, GIRO_EVENTS_MAX, results, &created), 0);
    cr_expect_eq(created.result_count, GIRO_EVENTS_MAX - count);
    cr_expect_eq(fake_frame_count(fake), 3);
    end(client, fake);
    free(ids);
    free(results);
    free(schedules);
}

/* As the server makes them: docs/protocol.md. */
Test(client_call, names_the_transfers_of_schedules)
{
    static const struct {
        giro_u128 schedule_id;
        uint32_t occurrence;
        uint32_t attempt;
        uint64_t high;
        uint64_t low;
    } rows[] = {
        {1, 0, 0, 0x4a679b01e5e1d782, 0x09daa6f9bc42cae9},
        {1, 1, 0, 0xda8a840ca0a0ac0f, 0xf01a7b0603186b9b},
        {1, 0, 1, 0xcf82dd92a51de94c, 0x1aa02bee35277e09},
        {((giro_u128)1 << 127) + 5, UINT32_MAX, 4, 0x22e05ee63f97de54, 0x984434ee9e30be00},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const giro_u128 id =
            giro_schedule_transfer_id(rows[i].schedule_id, rows[i].occurrence, rows[i].attempt);
        cr_expect(id == ((giro_u128)rows[i].high << 64 | rows[i].low), "row %zu", i);
    }
}

/* A fence takes the place of one event, and is no reason to copy them. */
Test(client_call, carries_the_largest_fenced_request)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer *transfers =
        aligned_alloc(16, GIRO_EVENTS_MAX * sizeof(struct giro_transfer));
    struct giro_outcome *outcomes =
        aligned_alloc(16, GIRO_EVENTS_MAX * sizeof(struct giro_outcome));
    struct tracked *lease = submit(client, tracked_lease(7, 1));
    cr_assert_eq(outcome(lease), 0);
    struct giro_fence fence = {.key = 7, .token = lease->leases[0].token};
    struct giro_request request = {.operation = GIRO_CREATE_TRANSFERS,
                                   .count = GIRO_FENCED_MAX,
                                   .events.transfers = transfers,
                                   .fence = &fence};
    for (uint32_t i = 0; i < GIRO_EVENTS_MAX; i++)
        transfers[i] = transfer_of(i + 1);
    cr_assert_eq(giro_call(client, &request), 0);
    cr_expect_eq(request.result_count, 0);
    request.operation = GIRO_CREATE_TRANSFERS_OUTCOMES;
    request.count = GIRO_OUTCOMES_MAX;
    request.outcomes = outcomes;
    cr_assert_eq(giro_call(client, &request), 0);
    cr_expect_eq(request.exists_count, GIRO_OUTCOMES_MAX);
    fence.token++;
    request.operation = GIRO_CREATE_TRANSFERS;
    request.events.transfers = &transfers[GIRO_FENCED_MAX];
    request.count = 1;
    cr_assert_eq(giro_call(client, &request), 0);
    cr_expect_eq(request.result_count, 1);
    cr_expect_eq(fake_transfer_count(fake, GIRO_EVENTS_MAX), 0);
    cr_expect_eq(fake_frame_at(fake, 1).fence_token, lease->leases[0].token);
    cr_expect_eq(fake_frame_at(fake, 1).event_count, GIRO_FENCED_MAX);
    cr_expect(fake_frame_at(fake, 1).first_id == 1);

    request.count = GIRO_FENCED_MAX + 1;
    cr_expect_eq(giro_call(client, &request), GIRO_EINVAL);
    request.operation = GIRO_CREATE_ACCOUNTS;
    request.count = 1;
    cr_expect_eq(giro_call(client, &request), GIRO_EINVAL, "only transfers have fences");
    request.operation = GIRO_PING;
    request.count = 0;
    cr_expect_eq(giro_call(client, &request), GIRO_EINVAL);
    end(client, fake);
    tracked_free(lease);
    free(outcomes);
    free(transfers);
}

Test(client_call, carries_the_most_outcomes)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    const uint32_t count = GIRO_OUTCOMES_MAX;
    struct giro_transfer *transfers = aligned_alloc(16, (count + 1) * sizeof *transfers);
    struct giro_outcome *outcomes = aligned_alloc(16, (count + 1) * sizeof *outcomes);
    struct giro_result *results = calloc(count + 1, sizeof *results);
    struct giro_created created;
    for (uint32_t i = 0; i <= count; i++)
        transfers[i] = transfer_of(i + 1);
    for (uint32_t round = 0; round < 2; round++) {
        cr_assert_eq(
            giro_create_transfers_outcomes(client, transfers, count, outcomes, results, &created),
            0);
        cr_expect_eq(created.exists_count, round * count);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_eq(outcomes[i].code, round * GIRO_TRANSFER_EXISTS);
            cr_assert(outcomes[i].amount == 100 * (1 - round));
        }
    }
    cr_expect_eq(
        giro_create_transfers_outcomes(client, transfers, count + 1, outcomes, NULL, &created),
        GIRO_EINVAL);
    cr_expect_eq(fake_frame_count(fake), 2);
    end(client, fake);
    free(results);
    free(outcomes);
    free(transfers);
}

Test(client_call, carries_the_largest_request)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer *transfers =
        aligned_alloc(16, GIRO_EVENTS_MAX * sizeof(struct giro_transfer));
    struct giro_result *results = calloc(GIRO_EVENTS_MAX, sizeof *results);
    giro_u128 *ids = aligned_alloc(16, GIRO_EVENTS_MAX * sizeof *ids);
    struct giro_created created;
    uint32_t found = 0;
    for (uint32_t i = 0; i < GIRO_EVENTS_MAX; i++) {
        ids[i] = i + 1;
        transfers[i] = transfer_of(ids[i]);
    }
    cr_assert_eq(giro_create_transfers(client, transfers, GIRO_EVENTS_MAX, results, &created), 0);
    cr_expect_eq(created.result_count, 0);
    cr_assert_eq(giro_create_transfers(client, transfers, GIRO_EVENTS_MAX, results, &created), 0);
    cr_expect_eq(created.exists_count, GIRO_EVENTS_MAX);
    cr_expect_eq(results[GIRO_EVENTS_MAX - 1].index, GIRO_EVENTS_MAX - 1);
    cr_assert_eq(giro_lookup_transfers(client, ids, GIRO_EVENTS_MAX, transfers, &found), 0);
    cr_expect_eq(found, GIRO_EVENTS_MAX);
    for (uint32_t i = 0; i < found; i++)
        cr_assert(transfers[i].id == ids[i]);
    struct giro_payment *payments =
        aligned_alloc(16, GIRO_EVENTS_MAX * sizeof(struct giro_payment));
    cr_assert_eq(giro_lookup_payments(client, ids, GIRO_EVENTS_MAX, payments, &found), 0);
    cr_expect_eq(found, GIRO_EVENTS_MAX);
    for (uint32_t i = 0; i < found; i++)
        cr_assert(payments[i].id == ids[i]);
    end(client, fake);
    free(payments);
    free(ids);
    free(results);
    free(transfers);
}

Test(client_call, rejects_bad_arguments)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer transfer = transfer_of(1);
    struct giro_created created;
    uint32_t found = 0;
    cr_expect_eq(giro_create_transfers(client, &transfer, 0, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_create_transfers(client, NULL, 1, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_create_transfers(client, &transfer, GIRO_EVENTS_MAX + 1, NULL, &created),
                 GIRO_EINVAL);
    cr_expect_eq(giro_lookup_transfers(client, &transfer.id, 1, NULL, &found), GIRO_EINVAL);
    struct giro_payment payment;
    cr_expect_eq(giro_lookup_payments(client, &transfer.id, 1, NULL, &found), GIRO_EINVAL);
    cr_expect_eq(giro_lookup_payments(client, &transfer.id, 0, &payment, &found), GIRO_EINVAL);
    cr_expect_eq(giro_lookup_payments(client, NULL, 1, &payment, &found), GIRO_EINVAL);
    struct giro_outcome outcome;
    cr_expect_eq(giro_create_transfers_outcomes(client, &transfer, 1, NULL, NULL, &created),
                 GIRO_EINVAL);
    cr_expect_eq(giro_create_transfers_outcomes(client, &transfer, 0, &outcome, NULL, &created),
                 GIRO_EINVAL);
    cr_expect_eq(giro_create_transfers_outcomes(client, NULL, 1, &outcome, NULL, &created),
                 GIRO_EINVAL);
    struct giro_limits limits = {.account_id = 1};
    cr_expect_eq(giro_set_limits(client, &limits, 0, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_set_limits(client, NULL, 1, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_set_limits(client, &limits, GIRO_EVENTS_MAX + 1, NULL, &created),
                 GIRO_EINVAL);
    cr_expect_eq(giro_get_limits(client, &transfer.id, 1, NULL, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_limits(client, &transfer.id, 0, &limits, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_limits(client, NULL, 1, &limits, &found), GIRO_EINVAL);
    const struct giro_cut_off cut_off = {.ledger = 1};
    struct giro_settlement settlement;
    cr_expect_eq(giro_cut_off_ledgers(client, &cut_off, 0, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_cut_off_ledgers(client, NULL, 1, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_get_settlements(client, &transfer.id, 1, NULL, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_settlements(client, &transfer.id, 0, &settlement, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_settlements(client, NULL, 1, &settlement, &found), GIRO_EINVAL);
    struct giro_velocity_used velocity;
    cr_expect_eq(giro_get_velocity(client, &transfer.id, 1, NULL, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_velocity(client, &transfer.id, 0, &velocity, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_velocity(client, NULL, 1, &velocity, &found), GIRO_EINVAL);
    struct giro_lease lease = {.key = 1};
    cr_expect_eq(giro_change_leases(client, &lease, 1, NULL, &found), GIRO_EINVAL);
    cr_expect_eq(giro_change_leases(client, &lease, 0, &lease, &found), GIRO_EINVAL);
    cr_expect_eq(giro_change_leases(client, NULL, 1, &lease, &found), GIRO_EINVAL);
    cr_expect_eq(giro_change_leases(client, &lease, GIRO_EVENTS_MAX + 1, &lease, &found),
                 GIRO_EINVAL);
    cr_expect_eq(giro_get_leases(client, &transfer.id, 1, NULL, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_leases(client, &transfer.id, 0, &lease, &found), GIRO_EINVAL);
    struct giro_schedule schedule = schedule_of(1);
    cr_expect_eq(giro_create_schedules(client, &schedule, 0, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_create_schedules(client, NULL, 1, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_cancel_schedules(client, &transfer.id, 0, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_cancel_schedules(client, NULL, 1, NULL, &created), GIRO_EINVAL);
    cr_expect_eq(giro_get_schedules(client, &transfer.id, 1, NULL, &found), GIRO_EINVAL);
    cr_expect_eq(giro_get_schedules(client, NULL, 1, &schedule, &found), GIRO_EINVAL);
    cr_expect_eq(giro_stats(client, NULL), GIRO_EINVAL);
    struct giro_request request = {.operation = GIRO_PING};
    cr_expect_eq(giro_submit(client, &request), GIRO_EINVAL, "no callback");
    request.operation = (enum giro_operation)1;
    cr_expect_eq(giro_call(client, &request), GIRO_EINVAL, "hello is not for callers");
    request.operation = (enum giro_operation)99;
    cr_expect_eq(giro_call(client, &request), GIRO_EINVAL);
    cr_expect_eq(fake_frame_count(fake), 0);
    end(client, fake);
}

Test(client_call, respects_the_server_s_limit)
{
    struct fake *fake = fake_start(&(struct fake_options){.events_max = 3});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer transfers[4] = {transfer_of(1), transfer_of(2), transfer_of(3),
                                         transfer_of(4)};
    struct giro_created created;
    cr_expect_eq(giro_create_transfers(client, transfers, 4, NULL, &created), GIRO_ETOOBIG);
    cr_expect_eq(giro_create_transfers(client, transfers, 3, NULL, &created), 0);
    struct giro_outcome outcomes[4];
    cr_expect_eq(giro_create_transfers_outcomes(client, transfers, 4, outcomes, NULL, &created),
                 GIRO_ETOOBIG);
    const struct giro_limits limits[4] = {0};
    cr_expect_eq(giro_set_limits(client, limits, 4, NULL, &created), GIRO_ETOOBIG);
    const struct giro_schedule schedules[4] = {schedule_of(1)};
    cr_expect_eq(giro_create_schedules(client, schedules, 4, NULL, &created), GIRO_ETOOBIG);
    cr_expect_eq(fake_frame_count(fake), 1);
    end(client, fake);
}

Test(client_call, reads_slow_and_scattered_replies)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_DRIP, 0}, {FAKE_DRIP, 0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_created created;
    struct giro_server_stats stats;
    cr_expect_eq(create_one(client, 1, &created), 0);
    cr_expect_eq(giro_stats(client, &stats), 0);
    cr_expect_eq(stats.transfers, 1);
    end(client, fake);
}

/* ---- Batches ----------------------------------------------------------------------------- */

struct caller {
    struct giro_client *client;
    giro_u128 id; /* 0: invalid, gets a result */
    pthread_t thread;
    int error;
    struct giro_created created;
    struct giro_result result;
};

static void *caller_main(void *argument)
{
    struct caller *caller = argument;
    struct giro_transfer transfer = transfer_of(caller->id);
    caller->error =
        giro_create_transfers(caller->client, &transfer, 1, &caller->result, &caller->created);
    return NULL;
}

Test(client_batch, gathers_the_calls_of_many_threads)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *first = plug(fake, client);
    static struct caller callers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.client = client, .id = i % 3 == 0 ? 0 : 100 + i};
        pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]);
    }
    wait_outstanding(client, THREADS + 1);
    fake_release(fake);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(callers[i].thread, NULL);

    cr_expect_eq(fake_frame_count(fake), 2, "one ping, one create with everything");
    cr_expect_eq(fake_frame_at(fake, 1).event_count, THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        struct giro_transfer stored;
        uint32_t found = 0;
        cr_expect_eq(callers[i].error, 0);
        cr_expect_eq(callers[i].created.result_count, i % 3 == 0);
        if (i % 3 == 0) {
            cr_expect_eq(callers[i].result.index, 0);
            cr_expect_eq(callers[i].result.code, GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO);
            continue;
        }
        giro_lookup_transfers(client, &callers[i].id, 1, &stored, &found);
        cr_expect_eq(found, 1);
        cr_expect_eq(stored.timestamp, callers[i].created.timestamp_first);
    }
    outcome(first);
    tracked_free(first);
    end(client, fake);
}

/* Behind a plug: submits the rows, then says how many events each frame had. */
static void expect_frames(struct fake *fake, struct giro_client *client, struct tracked **rows,
                          uint32_t row_count, const uint32_t *frames, uint32_t frame_count)
{
    struct tracked *first = plug(fake, client);
    for (uint32_t i = 0; i < row_count; i++)
        submit(client, rows[i]);
    fake_release(fake);
    cr_expect_eq(outcome(first), 0);
    for (uint32_t i = 0; i < row_count; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    cr_expect_eq(fake_frame_count(fake), 1 + frame_count);
    for (uint32_t i = 0; i < frame_count && 1 + i < fake_frame_count(fake); i++)
        cr_expect_eq(fake_frame_at(fake, 1 + i).event_count, frames[i], "frame %u", i);
    tracked_free(first);
}

static void expect_result(const struct tracked *tracked, uint32_t position, uint32_t index,
                          uint32_t code)
{
    cr_assert_lt(position, tracked->request.result_count);
    cr_expect_eq(tracked->results[position].index, index);
    cr_expect_eq(tracked->results[position].code, code, "%s",
                 giro_transfer_result_name(tracked->results[position].code));
}

Test(client_batch, rebases_the_indexes_of_results)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_transfers(10, 2), tracked_transfers(20, 3),
                              tracked_transfers(30, 1), tracked_transfers(20, 4)};
    rows[0]->transfers[1].id = 0;
    rows[1]->transfers[2].id = 10;
    expect_frames(fake, client, rows, 4, (const uint32_t[]){10}, 1);
    cr_expect_eq(rows[0]->request.result_count, 1);
    expect_result(rows[0], 0, 1, GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO);
    cr_expect_eq(rows[1]->request.result_count, 1);
    expect_result(rows[1], 0, 2, GIRO_TRANSFER_EXISTS);
    cr_expect_eq(rows[1]->request.exists_count, 1);
    cr_expect_eq(rows[2]->request.result_count, 0);
    cr_expect_eq(rows[3]->request.result_count, 2);
    expect_result(rows[3], 0, 0, GIRO_TRANSFER_EXISTS);
    expect_result(rows[3], 1, 1, GIRO_TRANSFER_EXISTS);
    uint64_t first = rows[0]->request.timestamp_first;
    cr_expect_eq(rows[1]->request.timestamp_first, first + 2);
    cr_expect_eq(rows[2]->request.timestamp_first, first + 5);
    cr_expect_eq(rows[3]->request.timestamp_first, first + 6);
    end(client, fake);
    for (int i = 0; i < 4; i++)
        tracked_free(rows[i]);
}

/* Each request gets the outcomes of its own events, whether it shares a frame or not. */
Test(client_batch, hands_out_outcomes)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *first = plug(fake, client);
    struct tracked *rows[] = {tracked_outcomes(10, 2), tracked_outcomes(20, 3),
                              tracked_transfers(30, 1), tracked_outcomes(40, 1)};
    static const struct giro_outcome refused = {.code = GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO};
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t k = 0; k < 4; k++)
            rows[i]->transfers[k].amount = 10 * i + k;
    }
    rows[0]->transfers[1].id = 0;
    rows[1]->transfers[0].id = 0;
    for (uint32_t i = 0; i < 4; i++)
        submit(client, rows[i]);
    fake_release(fake);
    for (uint32_t i = 0; i < 4; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    cr_expect_eq(outcome(first), 0);
    expect_result(rows[0], 0, 1, refused.code);
    expect_result(rows[1], 0, 0, refused.code);
    cr_expect(rows[0]->outcomes[0].amount == 0 && rows[0]->outcomes[0].code == 0);
    cr_expect_eq(memcmp(&rows[0]->outcomes[1], &refused, sizeof refused), 0);
    cr_expect_eq(memcmp(&rows[1]->outcomes[0], &refused, sizeof refused), 0);
    cr_expect(rows[1]->outcomes[1].amount == 11 && rows[1]->outcomes[2].amount == 12);
    cr_expect_eq(rows[1]->outcomes[1].timestamp, rows[1]->request.timestamp_first + 1);
    cr_expect(rows[3]->outcomes[0].amount == 30);
    end(client, fake);
    tracked_free(first);
    for (int i = 0; i < 4; i++)
        tracked_free(rows[i]);
}

/* The bits that are flags of limits are `linked` and `imported` elsewhere: here they mean nothing. */
Test(client_batch, takes_flags_of_limits_for_nothing_else)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct giro_account accounts[2] = {account_of(1), account_of(2)};
    struct giro_created created;
    cr_assert_eq(giro_create_accounts(client, accounts, 2, NULL, &created), 0);
    struct tracked *first = plug(fake, client);
    struct tracked *rows[] = {
        tracked_limits(1, GIRO_LIMITS_BLOCK_DEBITS),
        tracked_limits(3, GIRO_ACCOUNT_IMPORTED | GIRO_TRANSFER_IMPORTED),
        tracked_limits(2, GIRO_LIMITS_FROZEN),
    };
    for (uint32_t i = 0; i < 3; i++)
        submit(client, rows[i]);
    fake_release(fake);
    for (uint32_t i = 0; i < 3; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    cr_expect_eq(outcome(first), 0);
    cr_expect_eq(fake_frame_at(fake, 2).operation, GIRO_SET_LIMITS);
    cr_expect_eq(rows[0]->request.result_count, 0);
    expect_result(rows[1], 0, 0, GIRO_LIMITS_RESULT_ACCOUNT_NOT_FOUND);
    cr_expect_eq(rows[2]->request.result_count, 0);
    end(client, fake);
    tracked_free(first);
    for (int i = 0; i < 3; i++)
        tracked_free(rows[i]);
}

/* One frame has one fence, and what has none is not to be fenced. */
Test(client_batch, shares_a_frame_only_under_the_same_fence)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *lease = submit(client, tracked_lease(7, 1));
    cr_assert_eq(outcome(lease), 0);
    const uint64_t token = lease->leases[0].token;
    struct tracked *rows[] = {
        tracked_fenced(10, 2, 7, token),
        tracked_fenced(20, 1, 7, token),
        tracked_transfers(30, 1),
        tracked_fenced(40, 1, 7, token),
        tracked_fenced(50, 1, 7, token + 1),
        tracked_fenced(60, 2, 8, token),
        tracked_transfers(70, 1),
    };
    static const uint32_t frames[] = {3, 1, 1, 1, 2, 1};
    const uint64_t tokens[] = {token, 0, token, token + 1, token, 0};
    struct tracked *first = plug(fake, client);
    for (uint32_t i = 0; i < 7; i++)
        submit(client, rows[i]);
    fake_release(fake);
    for (uint32_t i = 0; i < 7; i++) {
        const bool refused = i == 4 || i == 5;
        cr_expect_eq(outcome(rows[i]), 0);
        cr_expect_eq(rows[i]->request.result_count, refused ? rows[i]->request.count : 0);
        if (refused)
            expect_result(rows[i], 0, 0, GIRO_TRANSFER_LEASE_NOT_HELD);
    }
    cr_expect_eq(outcome(first), 0);
    cr_assert_eq(fake_frame_count(fake), 2 + 6);
    for (uint32_t i = 0; i < 6; i++) {
        cr_expect_eq(fake_frame_at(fake, 2 + i).event_count, frames[i], "frame %u", i);
        cr_expect_eq(fake_frame_at(fake, 2 + i).fence_token, tokens[i], "frame %u", i);
    }
    end(client, fake);
    tracked_free(lease);
    tracked_free(first);
    for (int i = 0; i < 7; i++)
        tracked_free(rows[i]);
}

Test(client_batch, hands_out_leases)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_lease(7, 1), tracked_lease(8, 1), tracked_lease(7, 2)};
    expect_frames(fake, client, rows, 3, (const uint32_t[]){3}, 1);
    cr_expect_eq(rows[0]->request.result_count, 0);
    cr_expect(rows[0]->leases[0].key == 7 && rows[0]->leases[0].token != 0);
    cr_expect(rows[1]->leases[0].key == 8 && rows[1]->leases[0].token > rows[0]->leases[0].token);
    cr_expect_eq(rows[2]->request.result_count, 1);
    cr_expect_eq(rows[2]->leases[0].result, GIRO_LEASE_RESULT_HELD_BY_ANOTHER);
    cr_expect(rows[2]->leases[0].owner == 1);
    end(client, fake);
    for (int i = 0; i < 3; i++)
        tracked_free(rows[i]);
}

/* Each gets its own results, in the order in which they were submitted. */
Test(client_batch, merges_cut_offs)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *first = plug(fake, client);
    struct tracked *rows[] = {tracked_cut_off(1, 0), tracked_cut_off(1, 0), tracked_cut_off(1, 1)};
    for (uint32_t i = 0; i < 3; i++)
        submit(client, rows[i]);
    fake_release(fake);
    for (uint32_t i = 0; i < 3; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    cr_expect_eq(outcome(first), 0);
    cr_expect_eq(fake_frame_count(fake), 2);
    cr_expect_eq(fake_frame_at(fake, 1).operation, GIRO_CUT_OFF);
    cr_expect_eq(fake_frame_at(fake, 1).event_count, 3);
    expect_result(rows[1], 0, 0, GIRO_CUT_OFF_RESULT_EPOCH_IS_OVER);
    cr_expect_eq(rows[0]->request.result_count | rows[2]->request.result_count, 0);
    cr_expect_eq(rows[1]->request.exists_count, 1);
    end(client, fake);
    tracked_free(first);
    for (int i = 0; i < 3; i++)
        tracked_free(rows[i]);
}

Test(client_batch, ends_a_frame_with_an_open_chain)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_transfers(10, 2), tracked_transfers(20, 2),
                              tracked_transfers(30, 1), tracked_transfers(40, 1)};
    rows[0]->transfers[0].flags = GIRO_TRANSFER_LINKED; /* a whole chain */
    rows[1]->transfers[1].flags = GIRO_TRANSFER_LINKED; /* an open one */
    expect_frames(fake, client, rows, 4, (const uint32_t[]){4, 2}, 2);
    cr_expect_eq(rows[0]->request.result_count, 0);
    cr_expect_eq(rows[1]->request.result_count, 1);
    expect_result(rows[1], 0, 1, GIRO_TRANSFER_LINKED_EVENT_CHAIN_OPEN);
    cr_expect_eq(rows[2]->request.result_count, 0, "not part of its neighbour's chain");
    cr_expect_eq(rows[3]->request.result_count, 0);
    end(client, fake);
    for (int i = 0; i < 4; i++)
        tracked_free(rows[i]);
}

Test(client_batch, ends_a_frame_with_an_open_chain_of_accounts)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_account(10), tracked_account(20)};
    rows[0]->accounts[0].flags = GIRO_ACCOUNT_LINKED;
    expect_frames(fake, client, rows, 2, (const uint32_t[]){1, 1}, 2);
    expect_result(rows[0], 0, 0, GIRO_ACCOUNT_LINKED_EVENT_CHAIN_OPEN);
    cr_expect_eq(rows[1]->request.result_count, 0);
    end(client, fake);
    tracked_free(rows[0]);
    tracked_free(rows[1]);
}

Test(client_batch, keeps_imported_and_other_events_apart)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_transfers(10, 1), tracked_transfers(20, 2),
                              tracked_transfers(30, 1), tracked_account(40), tracked_account(50)};
    rows[1]->transfers[0].flags = GIRO_TRANSFER_IMPORTED;
    rows[1]->transfers[1].flags = GIRO_TRANSFER_IMPORTED;
    rows[4]->accounts[0].flags = GIRO_ACCOUNT_IMPORTED;
    expect_frames(fake, client, rows, 5, (const uint32_t[]){1, 2, 1, 1, 1}, 5);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(rows[i]->request.result_count, 0);
    end(client, fake);
    for (int i = 0; i < 5; i++)
        tracked_free(rows[i]);
}

Test(client_batch, keeps_the_order_of_submission)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_transfers(10, 1), tracked_account(20), tracked_account(21),
                              tracked_transfers(30, 1), tracked_transfers(31, 1)};
    expect_frames(fake, client, rows, 5, (const uint32_t[]){1, 2, 2}, 3);
    cr_expect_eq(fake_frame_at(fake, 2).operation, GIRO_CREATE_ACCOUNTS);
    cr_expect(fake_frame_at(fake, 3).first_id == 30);
    end(client, fake);
    for (int i = 0; i < 5; i++)
        tracked_free(rows[i]);
}

static void *ping_main(void *argument)
{
    cr_expect_eq(giro_ping(argument), 0);
    return NULL;
}

/* Two small frames in flight are enough: more small requests wait for company, those that cannot
 * get any, and large ones, do not. */
Test(client_batch, holds_small_frames_back)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct tracked *rows[] = {tracked_transfers(10, 1), tracked_transfers(20, 1),
                              tracked_transfers(30, 1), tracked_transfers(40, 1),
                              tracked_account(50)};
    giro_u128 *ids = aligned_alloc(16, 2000 * sizeof *ids);
    struct giro_transfer *found = aligned_alloc(16, 2000 * sizeof *found);
    memset(ids, 0x11, 2000 * sizeof *ids);
    fake_hold(fake);
    for (uint32_t i = 0; i < 5; i++) {
        submit(client, rows[i]);
        wait_in_flight(client, i < 2 ? i + 1 : 2);
        if (i == 2) { /* something else to wake up for */
            struct tracked *cancelled = submit(client, tracked_transfers(60, 1));
            giro_cancel(client, &cancelled->request);
            cr_expect_eq(outcome(cancelled), GIRO_ENOTSENT);
            tracked_free(cancelled);
        }
    }
    struct tracked *last = tracked_new(GIRO_LOOKUP_TRANSFERS, 2000);
    last->request.events.ids = ids;
    last->request.output.transfers = found;
    submit(client, last);
    wait_in_flight(client, 5); /* the third and fourth in one, the account, the lookup */
    fake_release(fake);
    cr_expect_eq(outcome(last), 0);
    for (uint32_t i = 0; i < 5; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    cr_expect_eq(fake_frame_at(fake, 2).event_count, 2);
    cr_expect_eq(fake_frame_at(fake, 3).operation, GIRO_CREATE_ACCOUNTS);
    end(client, fake);
    tracked_free(last);
    for (uint32_t i = 0; i < 5; i++)
        tracked_free(rows[i]);
    free(ids);
    free(found);
}

/* Nobody can have waited for a call that is still waiting itself: it may be passed over. */
Test(client_batch, passes_over_calls_that_wait)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    pthread_t thread;
    fake_hold(fake);
    struct tracked *first = submit(client, tracked_account(1));
    wait_in_flight(client, 1);
    struct tracked *second = submit(client, tracked_transfers(10, 1));
    pthread_create(&thread, NULL, ping_main, client);
    wait_outstanding(client, 3);
    struct tracked *third = submit(client, tracked_transfers(20, 1));
    fake_release(fake);
    pthread_join(thread, NULL);
    cr_expect_eq(outcome(first) | outcome(second) | outcome(third), 0);
    cr_expect_eq(fake_frame_count(fake), 3);
    cr_expect_eq(fake_frame_at(fake, 1).event_count, 2);
    end(client, fake);
    tracked_free(first);
    tracked_free(second);
    tracked_free(third);
}

Test(client_batch, stays_within_the_server_s_limit)
{
    struct fake *fake = fake_start(&(struct fake_options){.events_max = 7});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_transfers(10, 3), tracked_transfers(20, 4),
                              tracked_transfers(30, 4), tracked_transfers(40, 4),
                              tracked_transfers(50, 1)};
    expect_frames(fake, client, rows, 5, (const uint32_t[]){7, 4, 5}, 3);
    end(client, fake);
    for (int i = 0; i < 5; i++)
        tracked_free(rows[i]);
}

static struct tracked *tracked_lookup(const giro_u128 *ids, uint32_t count)
{
    struct tracked *tracked = tracked_new(GIRO_LOOKUP_TRANSFERS, count);
    memcpy(tracked->ids, ids, count * sizeof *ids);
    tracked->request.events.ids = tracked->ids;
    tracked->request.output.transfers = tracked->transfers;
    return tracked;
}

Test(client_batch, splits_lookups_by_their_ids)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct giro_created created;
    for (giro_u128 id = 1; id <= 4; id++)
        create_one(client, id, &created);
    struct tracked *rows[] = {tracked_lookup((const giro_u128[]){1, 99, 2}, 3),
                              tracked_lookup((const giro_u128[]){98}, 1),
                              tracked_lookup((const giro_u128[]){2, 2, 97, 1}, 4),
                              tracked_lookup((const giro_u128[]){99, 1, 4}, 3)};
    struct tracked *first = plug(fake, client);
    for (int i = 0; i < 4; i++)
        submit(client, rows[i]);
    giro_cancel(client, &rows[2]->request); /* in the queue: leaves no trace */
    cr_expect_eq(outcome(rows[2]), GIRO_ENOTSENT);
    submit(client, rows[2]);
    fake_release(fake);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    cr_expect_eq(fake_frame_at(fake, 5).event_count, 11);
    cr_expect_eq(rows[0]->request.result_count, 2);
    cr_expect(rows[0]->transfers[0].id == 1 && rows[0]->transfers[1].id == 2);
    cr_expect_eq(rows[1]->request.result_count, 0);
    cr_expect_eq(rows[2]->request.result_count, 3);
    cr_expect(rows[2]->transfers[0].id == 2 && rows[2]->transfers[1].id == 2 &&
              rows[2]->transfers[2].id == 1);
    cr_expect_eq(rows[3]->request.result_count, 2);
    cr_expect(rows[3]->transfers[0].id == 1 && rows[3]->transfers[1].id == 4);
    outcome(first);
    end(client, fake);
    tracked_free(first);
    for (int i = 0; i < 4; i++)
        tracked_free(rows[i]);
}

/* Sends the three rows in one frame; then the first and, if told so, the second give up while the
 * frame is in flight: the others must not notice. */
static void give_up_in_flight(struct fake *fake, struct giro_client *client, struct tracked **rows,
                              uint32_t count)
{
    struct tracked *first = plug(fake, client);
    uint64_t frames_sent = status_of(client).frames_sent;
    for (int i = 0; i < 3; i++)
        submit(client, rows[i]);
    fake_release_one(fake);
    cr_expect_eq(outcome(first), 0);
    while (status_of(client).frames_sent == frames_sent)
        pause_ms(1);
    for (uint32_t i = 0; i < count; i++) {
        giro_cancel(client, &rows[i]->request);
        cr_expect_eq(outcome(rows[i]), GIRO_ECANCELED);
        memset(rows[i]->ids, 0xff, sizeof rows[i]->ids);
    }
    fake_release(fake);
    for (uint32_t i = count; i < 3; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    tracked_free(first);
}

Test(client_batch, splits_lookups_around_those_who_gave_up)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct giro_created created;
    create_one(client, 1, &created);
    create_one(client, 2, &created);
    for (uint32_t count = 1; count <= 2; count++) {
        struct tracked *rows[] = {tracked_lookup((const giro_u128[]){1, 2, 98}, 3),
                                  tracked_lookup((const giro_u128[]){99, 1}, 2),
                                  tracked_lookup((const giro_u128[]){2, 99}, 2)};
        give_up_in_flight(fake, client, rows, count);
        for (uint32_t i = count; i < 3; i++) {
            cr_expect_eq(rows[i]->request.result_count, 1);
            cr_expect(rows[i]->transfers[0].id == (giro_u128)i);
        }
        cr_expect_eq(rows[0]->request.result_count, 0);
        for (int i = 0; i < 3; i++)
            tracked_free(rows[i]);
    }
    end(client, fake);
}

Test(client_batch, splits_creates_around_those_who_gave_up)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    for (uint32_t count = 1; count <= 2; count++) {
        struct tracked *rows[] = {tracked_transfers(0, 2), tracked_transfers(100 * count, 2),
                                  tracked_transfers(100 * count + 10, 3)};
        rows[1]->transfers[1].id = 0;
        rows[2]->transfers[2].id = 0;
        give_up_in_flight(fake, client, rows, count);
        for (uint32_t i = count; i < 3; i++) {
            cr_expect_eq(rows[i]->request.result_count, 1);
            expect_result(rows[i], 0, i, GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO);
        }
        cr_expect_eq(rows[0]->request.result_count, 0);
        for (int i = 0; i < 3; i++)
            tracked_free(rows[i]);
    }
    end(client, fake);
}

Test(client_batch, tries_the_requests_of_a_refused_frame_alone)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_ANSWER, 0}, {FAKE_STATUS, FRAME_HOLDS_FULL},
                                        {FAKE_ANSWER, 0}, {FAKE_STATUS, FRAME_HOLDS_FULL});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_transfers(10, 1), tracked_transfers(20, 2),
                              tracked_transfers(30, 1)};
    struct tracked *first = plug(fake, client);
    for (int i = 0; i < 3; i++)
        submit(client, rows[i]);
    fake_release(fake);
    cr_expect_eq(outcome(first), 0);
    cr_expect_eq(outcome(rows[0]), 0);
    cr_expect_eq(outcome(rows[1]), GIRO_EHOLDSFULL);
    cr_expect_eq(outcome(rows[2]), 0);
    cr_expect_eq(rows[2]->request.resent, false, "a refused frame was not executed");
    cr_expect_eq(fake_frame_count(fake), 5);
    end(client, fake);
    tracked_free(first);
    for (int i = 0; i < 3; i++)
        tracked_free(rows[i]);
}

/* ---- Deadlines and cancelling ------------------------------------------------------------ */

Test(client_deadline, tells_never_sent_from_unknown)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    fake_hold(fake);
    struct tracked *sent = tracked_transfers(10, 1);
    struct tracked *queued = tracked_transfers(20, 1);
    sent->request.deadline_ms = SHORT_MS;
    queued->request.deadline_ms = SHORT_MS;
    submit(client, sent);
    wait_in_flight(client, 1);
    submit(client, queued);
    cr_expect_eq(outcome(sent), GIRO_ETIMEDOUT);
    cr_expect_eq(outcome(queued), GIRO_ENOTSENT);
    cr_expect(giro_error_outcome_unknown(GIRO_ETIMEDOUT));
    cr_expect_not(giro_error_outcome_unknown(GIRO_ENOTSENT));
    fake_release(fake);

    /* The late reply is nobody's, and the connection goes on. The same ids tell the outcome. */
    struct giro_created created;
    cr_expect_eq(create_one(client, 10, &created), 0);
    cr_expect_eq(created.exists_count, 1);
    cr_expect_eq(created.resent, false);
    cr_expect_eq(create_one(client, 20, &created), 0);
    cr_expect_eq(created.exists_count, 0);
    cr_expect_eq(status_of(client).connections, 1);
    end(client, fake);
    tracked_free(sent);
    tracked_free(queued);
}

Test(client_deadline, passes_while_there_is_no_connection)
{
    static const struct fake_step busy[] = {{FAKE_SILENT, 0}, {FAKE_SILENT, 0}};
    struct fake *fake = fake_start(&(struct fake_options){.hellos = busy, .hello_count = 2});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.flags = GIRO_OPEN_WITHOUT_SERVER,
                                                       .deadline_ms = SHORT_MS});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), GIRO_ENOTSENT);
    cr_expect_eq(fake_frame_count(fake), 0);
    end(client, fake);
}

Test(client_deadline, orders_many_different_ones)
{
    enum { COUNT = 200 };
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *first = plug(fake, client);
    struct tracked *rows[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        rows[i] = tracked_transfers(100 + i, 1);
        /* Every third has time enough, in an order that makes the heap work. */
        rows[i]->request.deadline_ms = i % 3 == 0 ? 3600000 + i * 7919 % 1000 : 1 + i * 31 % 97;
        submit(client, rows[i]);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        if (i % 3 != 0)
            cr_expect_eq(outcome(rows[i]), GIRO_ENOTSENT);
    cr_expect_eq(status_of(client).requests_outstanding, 1 + (COUNT + 2) / 3);
    fake_release(fake);
    outcome(first);
    for (uint32_t i = 0; i < COUNT; i += 3)
        cr_expect_eq(outcome(rows[i]), 0);
    end(client, fake);
    tracked_free(first);
    for (uint32_t i = 0; i < COUNT; i++)
        tracked_free(rows[i]);
}

/* What is half written when its caller gives up is finished from a copy: the caller's memory is his
 * again, and the server must not see a damaged frame. */
Test(client_deadline, returns_the_memory_of_a_half_written_request)
{
    enum { COUNT = 16 };
    struct fake *fake = fake_start(&(struct fake_options){.receive_buffer_bytes = 4096});
    struct giro_client *client = client_open(
        fake, (struct giro_client_options){.frames_in_flight_max = COUNT, .deadline_ms = SHORT_MS});
    struct tracked *rows[COUNT];
    struct giro_transfer *events[COUNT];
    fake_hold(fake);
    for (uint32_t i = 0; i < COUNT; i++) {
        events[i] = aligned_alloc(16, GIRO_EVENTS_MAX * sizeof(struct giro_transfer));
        for (uint32_t k = 0; k < GIRO_EVENTS_MAX; k++)
            events[i][k] = transfer_of((giro_u128)i * GIRO_EVENTS_MAX + k + 1);
        rows[i] = tracked_fenced(1, 1, 7, 1 + i); /* and so is that of its fence */
        rows[i]->request.count = GIRO_FENCED_MAX;
        rows[i]->request.output.results = NULL;
        rows[i]->request.events.transfers = events[i];
        submit(client, rows[i]);
    }
    bool unsent = false;
    for (uint32_t i = 0; i < COUNT; i++) {
        int error = outcome(rows[i]);
        cr_expect(error == GIRO_ETIMEDOUT || error == GIRO_ENOTSENT);
        unsent |= error == GIRO_ENOTSENT;
        memset(events[i], 0xee, GIRO_EVENTS_MAX * sizeof(struct giro_transfer));
        free(events[i]);
        tracked_free(rows[i]);
    }
    cr_assert(unsent, "the socket took everything: the test shows nothing");
    fake_release(fake);
    struct giro_request ping = {.operation = GIRO_PING, .deadline_ms = GIRO_DEADLINE_NONE};
    cr_expect_eq(giro_call(client, &ping), 0);
    cr_expect_eq(fake_frames_bad(fake), 0);
    cr_expect_gt(fake_frame_count(fake), 1);
    cr_expect_eq(status_of(client).connections, 1);
    end(client, fake);
}

Test(client_cancel, tells_never_sent_from_unknown)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *sent = plug(fake, client);
    struct tracked *queued = submit(client, tracked_transfers(20, 1));
    giro_cancel(client, &queued->request);
    giro_cancel(client, &queued->request);
    giro_cancel(client, &sent->request);
    cr_expect_eq(outcome(queued), GIRO_ENOTSENT);
    cr_expect_eq(outcome(sent), GIRO_ECANCELED);
    giro_cancel(client, &sent->request); /* not outstanding: nothing happens */
    fake_release(fake);
    cr_expect_eq(giro_ping(client), 0);
    cr_expect_eq(fake_transfer_count(fake, 20), 0);
    end(client, fake);
    tracked_free(sent);
    tracked_free(queued);
}

/* Cancellations race with replies, at changing distances: every request completes once, one way or
 * the other. */
Test(client_cancel, races_with_replies)
{
    enum { ROUNDS = 2000, COUNT = 8 };
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct tracked *rows[COUNT];
        for (uint32_t i = 0; i < COUNT; i++)
            rows[i] = submit(client, tracked_transfers(1000 + round * COUNT + i, 1));
        for (volatile uint32_t spin = round * 37 % 100 * 500; spin > 0; spin--)
            ;
        for (uint32_t i = 0; i < COUNT; i++)
            giro_cancel(client, &rows[(i * 5 + round) % COUNT]->request);
        for (uint32_t i = 0; i < COUNT; i++) {
            int error = outcome(rows[i]);
            cr_expect(error == 0 || error == GIRO_ENOTSENT || error == GIRO_ECANCELED);
            if (error == GIRO_ENOTSENT)
                cr_expect_eq(fake_transfer_count(fake, 1000 + round * COUNT + i), 0);
            tracked_free(rows[i]);
        }
    }
    end(client, fake);
}

/* Cancellations that fall between a reply and its callback, which a large write keeps apart. */
Test(client_cancel, of_requests_that_were_just_answered)
{
    enum { ROUNDS = 200, COUNT = 64 };
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    const size_t events_bytes = GIRO_EVENTS_MAX * sizeof(struct giro_transfer);
    struct giro_transfer *events = aligned_alloc(16, events_bytes);
    memset(events, 0, events_bytes);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct tracked *rows[COUNT];
        struct tracked *first = plug(fake, client);
        for (uint32_t i = 0; i < COUNT; i++)
            rows[i] = submit(client, tracked_transfers(1000 + round * COUNT + i, 1));
        struct tracked *large = tracked_new(GIRO_CREATE_TRANSFERS, GIRO_EVENTS_MAX);
        large->request.events.transfers = events;
        submit(client, large);
        fake_release_one(fake);
        outcome(first);
        fake_release(fake);
        for (uint32_t i = 0; i < COUNT; i++) {
            for (volatile uint32_t spin = 500 * (round % 20); spin > 0; spin--)
                ;
            giro_cancel(client, &rows[i]->request);
        }
        for (uint32_t i = 0; i < COUNT; i++) {
            cr_expect(outcome(rows[i]) == 0 || rows[i]->request.error == GIRO_ECANCELED);
            tracked_free(rows[i]);
        }
        cr_expect_eq(outcome(large), 0);
        cr_expect_eq(large->request.result_count, GIRO_EVENTS_MAX);
        tracked_free(large);
        tracked_free(first);
    }
    end(client, fake);
    free(events);
}

/* ---- Reconnecting and resending ---------------------------------------------------------- */

Test(client_resend, after_a_break_before_execution)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_DROP, 0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), 0);
    cr_expect_eq(created.result_count, 0);
    cr_expect(created.resent);
    cr_expect_eq(fake_frame_at(fake, 1).connection, 1);
    cr_expect_eq(create_one(client, 2, &created), 0);
    cr_expect_not(created.resent);
    struct giro_client_state status = status_of(client);
    cr_expect_eq(status.connections, 2);
    cr_expect_eq(status.requests_resent, 1);
    cr_expect_eq(status.connection_error, GIRO_EDISCONNECTED);
    end(client, fake);
}

Test(client_resend, after_a_break_behind_execution)
{
    static const enum fake_action rows[] = {FAKE_EXECUTE_AND_DROP, FAKE_HALF,    FAKE_BAD_CHECKSUM,
                                            FAKE_BAD_SIZE,         FAKE_GARBAGE, FAKE_BAD_VERSION};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_step step = {rows[i], 0};
        struct fake *fake = fake_start(&(struct fake_options){.steps = &step, .step_count = 1});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct giro_created created;
        cr_expect_eq(create_one(client, 1, &created), 0, "row %zu", i);
        cr_expect_eq(created.exists_count, 1, "its own first attempt");
        cr_expect(created.resent);
        cr_expect_eq(fake_transfer_count(fake, 1), 1);
        end(client, fake);
    }
}

Test(client_resend, keeps_order_and_leaves_out_those_who_gave_up)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_DROP, 0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 2});
    fake_hold(fake);
    struct tracked *rows[] = {tracked_account(1), tracked_transfers(10, 1), tracked_account(2),
                              tracked_transfers(20, 1)};
    for (uint32_t i = 0; i < 4; i++) {
        submit(client, rows[i]);
        wait_in_flight(client, i < 2 ? i + 1 : 2);
    }
    giro_cancel(client, &rows[1]->request);
    cr_expect_eq(outcome(rows[1]), GIRO_ECANCELED);
    fake_release(fake);
    cr_expect_eq(outcome(rows[0]) | outcome(rows[2]) | outcome(rows[3]), 0);
    cr_expect_eq(fake_frame_count(fake), 3, "the dropped one, then two: accounts, transfer");
    cr_expect_eq(fake_frame_at(fake, 1).operation, GIRO_CREATE_ACCOUNTS);
    cr_expect_eq(fake_frame_at(fake, 1).event_count, 2);
    cr_expect(fake_frame_at(fake, 2).first_id == 20);
    cr_expect(rows[0]->request.resent);
    cr_expect_not(rows[2]->request.resent || rows[3]->request.resent, "they had not been sent");
    cr_expect_eq(fake_transfer_count(fake, 10), 0, "it has completed: it must not come to life");
    end(client, fake);
    for (int i = 0; i < 4; i++)
        tracked_free(rows[i]);
}

Test(client_resend, ends_at_resends_max)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_EXECUTE_AND_DROP, 0}, {FAKE_DROP, 0}, {FAKE_DROP, 0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){.resends_max = 2});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), GIRO_EDISCONNECTED);
    cr_expect(giro_error_outcome_unknown(GIRO_EDISCONNECTED));
    cr_expect_eq(fake_frame_count(fake), 3);
    cr_expect_eq(create_one(client, 1, &created), 0);
    cr_expect_eq(created.exists_count, 1);
    end(client, fake);
}

Test(client_resend, of_creates_can_be_forbidden)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_DROP, 0}, {FAKE_DROP, 0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.flags = GIRO_NEVER_RESEND});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), GIRO_EDISCONNECTED);
    cr_expect_eq(giro_ping(client), 0, "a read is resent");
    cr_expect_eq(fake_frame_count(fake), 3);
    end(client, fake);
}

/* Outcomes come from the attempt that was answered. */
Test(client_resend, of_outcomes_tells_that_they_exist)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_EXECUTE_AND_DROP, 0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer transfer = transfer_of(1);
    struct giro_outcome outcome;
    struct giro_created created;
    cr_assert_eq(giro_create_transfers_outcomes(client, &transfer, 1, &outcome, NULL, &created), 0);
    cr_expect(created.resent);
    cr_expect_eq(created.exists_count, 1);
    cr_expect_eq(outcome.code, GIRO_TRANSFER_EXISTS);
    cr_expect_eq(fake_transfer_count(fake, 1), 1);
    end(client, fake);
}

/* An epoch ends once, however often its end is asked for. */
Test(client_resend, of_cut_offs_tells_that_the_epoch_is_over)
{
    static const enum fake_action rows[] = {FAKE_DROP, FAKE_EXECUTE_AND_DROP};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct fake_step step = {rows[i], 0};
        struct fake *fake = fake_start(&(struct fake_options){.steps = &step, .step_count = 1});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        const struct giro_cut_off cut_off = {.ledger = 1}, next = {.ledger = 1, .epoch = 1};
        struct giro_created created;
        cr_assert_eq(giro_cut_off_ledgers(client, &cut_off, 1, NULL, &created), 0);
        cr_expect(created.resent);
        cr_expect_eq(created.result_count, rows[i] != FAKE_DROP, "row %zu", i);
        cr_expect_eq(created.exists_count, created.result_count, "row %zu", i);
        cr_expect_eq(fake_frame_count(fake), 2);
        cr_assert_eq(giro_cut_off_ledgers(client, &next, 1, NULL, &created), 0);
        cr_expect_eq(created.result_count, 0, "row %zu: cut off once", i);
        end(client, fake);
    }
}

/* Whether it was executed or not: somebody else may have set other limits meanwhile. */
Test(client_resend, of_limits_never_happens)
{
    static const enum fake_action rows[] = {FAKE_DROP, FAKE_EXECUTE_AND_DROP, FAKE_HALF,
                                            FAKE_BAD_CHECKSUM};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct fake_step steps[] = {
            {FAKE_ANSWER, 0}, {rows[i], 0}, {FAKE_DROP, 0}, {FAKE_ANSWER, 0}};
        struct fake *fake = fake_start(&(struct fake_options){.steps = steps, .step_count = 4});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        const struct giro_account account = account_of(1);
        const struct giro_limits limits = {.account_id = 1, .floor = 5};
        struct giro_limits found_limits;
        struct giro_created created;
        uint32_t found = 0;
        cr_assert_eq(giro_create_accounts(client, &account, 1, NULL, &created), 0);
        int error = giro_set_limits(client, &limits, 1, NULL, &created);
        cr_expect(giro_error_outcome_unknown(error), "row %zu: %s", i, giro_error_name(error));
        cr_expect_eq(fake_frame_count(fake), 2, "row %zu", i);
        cr_assert_eq(giro_get_limits(client, &limits.account_id, 1, &found_limits, &found), 0);
        cr_expect_eq(found, rows[i] != FAKE_DROP, "row %zu", i);
        cr_expect_eq(fake_frame_count(fake), 4, "row %zu: reading them is sent again", i);
        end(client, fake);
    }
}

/* A second token would fence what was sent under the first. */
Test(client_resend, of_leases_never_happens)
{
    static const enum fake_action rows[] = {FAKE_DROP, FAKE_EXECUTE_AND_DROP, FAKE_HALF};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake *fake = FAKE_WITH_STEPS({rows[i], 0}, {FAKE_DROP, 0});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct tracked *lease = submit(client, tracked_lease(7, 1));
        int error = outcome(lease);
        const giro_u128 key = 7;
        struct giro_lease known;
        uint32_t found = 0;
        cr_expect(giro_error_outcome_unknown(error), "row %zu: %s", i, giro_error_name(error));
        cr_expect_eq(lease->leases[0].token, 0, "row %zu", i);
        cr_expect_eq(fake_frame_count(fake), 1, "row %zu", i);
        cr_assert_eq(giro_get_leases(client, &key, 1, &known, &found), 0);
        cr_expect_eq(found, rows[i] != FAKE_DROP, "row %zu", i);
        cr_expect_eq(fake_frame_count(fake), 3, "row %zu: reading them is sent again", i);
        end(client, fake);
        tracked_free(lease);
    }
}

Test(client_resend, of_schedules_tells_that_they_exist)
{
    struct fake *fake =
        FAKE_WITH_STEPS({FAKE_EXECUTE_AND_DROP, 0}, {FAKE_ANSWER, 0}, {FAKE_EXECUTE_AND_DROP, 0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    const struct giro_schedule schedule = schedule_of(7);
    struct giro_created created;
    cr_assert_eq(giro_create_schedules(client, &schedule, 1, NULL, &created), 0);
    cr_expect(created.resent);
    cr_expect_eq(created.exists_count, 1);
    cr_assert_eq(giro_cancel_schedules(client, &schedule.id, 1, NULL, &created), 0);
    cr_expect(created.resent);
    cr_expect_eq(created.exists_count, 1);
    end(client, fake);
}

/* With the fence that it had. */
Test(client_resend, of_fenced_transfers_keeps_the_fence)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_ANSWER, 0}, {FAKE_DROP, 0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct tracked *lease = submit(client, tracked_lease(7, 1));
    cr_assert_eq(outcome(lease), 0);
    struct tracked *fenced = submit(client, tracked_fenced(10, 2, 7, lease->leases[0].token));
    cr_assert_eq(outcome(fenced), 0);
    cr_expect_eq(fenced->request.result_count, 0);
    cr_assert_eq(fake_frame_count(fake), 3);
    cr_expect_eq(fake_frame_at(fake, 2).fence_token, lease->leases[0].token);
    end(client, fake);
    tracked_free(lease);
    tracked_free(fenced);
}

/* What waited behind it was not sent, and is sent over the next connection. */
Test(client_resend, of_limits_that_were_not_sent_is_no_resend)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_DROP, 0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *first = plug(fake, client);
    struct tracked *limits = submit(client, tracked_limits(1, 0));
    fake_release(fake);
    cr_expect_eq(outcome(first), 0);
    cr_expect_eq(outcome(limits), 0);
    cr_expect_not(limits->request.resent);
    cr_expect_eq(fake_frame_count(fake), 3);
    end(client, fake);
    tracked_free(first);
    tracked_free(limits);
}

/* A refusal of the second attempt says nothing about the first. */
Test(client_resend, makes_a_refusal_unknown)
{
    struct fake *fake =
        FAKE_WITH_STEPS({FAKE_EXECUTE_AND_DROP, 0}, {FAKE_STATUS, FRAME_STORAGE_FULL},
                        {FAKE_DROP, 0}, {FAKE_STATUS, FRAME_RECORD_DAMAGED});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), GIRO_EDISCONNECTED);
    cr_expect_eq(fake_transfer_count(fake, 1), 1);
    struct giro_transfer transfer;
    uint32_t found = 0;
    cr_expect_eq(giro_lookup_transfers(client, &(giro_u128){1}, 1, &transfer, &found),
                 GIRO_EDAMAGED, "a read has no outcome to be unsure about");
    end(client, fake);
}

Test(client_resend, follows_a_server_that_shuts_down)
{
    struct fake *fake = FAKE_WITH_STEPS(
        {FAKE_STATUS, FRAME_SHUTTING_DOWN}, {FAKE_STATUS_NAMELESS, FRAME_SHUTTING_DOWN},
        {FAKE_STATUS, FRAME_BAD_CHECKSUM}, {FAKE_STATUS_NAMELESS, FRAME_TIMED_OUT});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), 0);
    cr_expect(created.resent);
    cr_expect_eq(fake_frame_count(fake), 5);
    end(client, fake);
}

/* Many threads, a connection that breaks all the time: everything is created once, and everybody
 * learns of it. */
struct stress {
    struct giro_client *client;
    giro_u128 first_id;
    pthread_t thread;
    uint32_t wrong;
};

enum { STRESS_THREADS = 8, STRESS_CALLS = 200 };

static void *stress_main(void *argument)
{
    struct stress *stress = argument;
    for (uint32_t i = 0; i < STRESS_CALLS; i++) {
        struct giro_created created = {0};
        int error = create_one(stress->client, stress->first_id + i, &created);
        bool right = created.result_count == 0 ||
                     (created.result_count == 1 && created.exists_count == 1 && created.resent);
        stress->wrong += error != 0 || !right;
    }
    return NULL;
}

Test(client_resend, creates_everything_once_over_a_connection_that_breaks)
{
    const uint64_t seed = 20240917;
    struct fake *fake = fake_start(&(struct fake_options){.drop_percent = 20, .seed = seed});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.resends_max = 1000, .backoff_max_ms = 2});
    struct stress stresses[STRESS_THREADS];
    for (uint32_t i = 0; i < STRESS_THREADS; i++) {
        stresses[i] = (struct stress){.client = client, .first_id = 1 + (giro_u128)i * 100000};
        pthread_create(&stresses[i].thread, NULL, stress_main, &stresses[i]);
    }
    for (uint32_t i = 0; i < STRESS_THREADS; i++) {
        pthread_join(stresses[i].thread, NULL);
        cr_expect_eq(stresses[i].wrong, 0, "seed %llu", (unsigned long long)seed);
        for (uint32_t k = 0; k < STRESS_CALLS; k++)
            cr_expect_eq(fake_transfer_count(fake, stresses[i].first_id + k), 1);
    }
    cr_expect_gt(status_of(client).connections, 1);
    end(client, fake);
}

/* ---- Replies that cannot be -------------------------------------------------------------- */

static const struct {
    enum fake_action action;
    enum giro_operation operation;
} contradictions[] = {
    {FAKE_NO_REPLY_FLAG, GIRO_CREATE_TRANSFERS},
    {FAKE_WRONG_ID, GIRO_CREATE_TRANSFERS},
    {FAKE_WRONG_OPERATION, GIRO_CREATE_TRANSFERS},
    {FAKE_STATUS_WITH_BODY, GIRO_CREATE_TRANSFERS},
    {FAKE_BODY_CUT, GIRO_CREATE_TRANSFERS},
    {FAKE_BODY_LONG, GIRO_CREATE_TRANSFERS},
    {FAKE_RESULT_COUNT, GIRO_CREATE_TRANSFERS},
    {FAKE_INDEX_TOO_LARGE, GIRO_CREATE_TRANSFERS},
    {FAKE_INDEX_DESCENDING, GIRO_CREATE_TRANSFERS},
    {FAKE_CODE_ZERO, GIRO_CREATE_TRANSFERS},
    {FAKE_TIMESTAMP_ZERO, GIRO_CREATE_TRANSFERS},
    {FAKE_TIMESTAMP_TOO_LARGE, GIRO_CREATE_TRANSFERS},
    {FAKE_BODY_CUT, GIRO_LOOKUP_TRANSFERS},
    {FAKE_BODY_LONG, GIRO_LOOKUP_TRANSFERS},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_LOOKUP_TRANSFERS},
    {FAKE_BODY_CUT, GIRO_LOOKUP_PAYMENTS},
    {FAKE_BODY_LONG, GIRO_LOOKUP_PAYMENTS},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_LOOKUP_PAYMENTS},
    {FAKE_BODY_LONG, GIRO_GET_LIMITS},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_GET_LIMITS},
    {FAKE_BODY_LONG, GIRO_GET_SETTLEMENTS},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_GET_SETTLEMENTS},
    {FAKE_BODY_CUT, GIRO_CUT_OFF},
    {FAKE_RESULT_COUNT, GIRO_CUT_OFF},
    {FAKE_CODE_ZERO, GIRO_CUT_OFF},
    {FAKE_TIMESTAMP_ZERO, GIRO_CUT_OFF},
    {FAKE_BODY_LONG, GIRO_GET_VELOCITY},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_GET_VELOCITY},
    {FAKE_BODY_CUT, GIRO_SET_LIMITS},
    {FAKE_BODY_LONG, GIRO_SET_LIMITS},
    {FAKE_RESULT_COUNT, GIRO_SET_LIMITS},
    {FAKE_INDEX_TOO_LARGE, GIRO_SET_LIMITS},
    {FAKE_INDEX_DESCENDING, GIRO_SET_LIMITS},
    {FAKE_CODE_ZERO, GIRO_SET_LIMITS},
    {FAKE_TIMESTAMP_ZERO, GIRO_SET_LIMITS},
    {FAKE_WRONG_OPERATION, GIRO_CREATE_TRANSFERS_OUTCOMES},
    {FAKE_BODY_CUT, GIRO_CREATE_TRANSFERS_OUTCOMES},
    {FAKE_BODY_LONG, GIRO_CREATE_TRANSFERS_OUTCOMES},
    {FAKE_RESULT_COUNT, GIRO_CREATE_TRANSFERS_OUTCOMES},
    {FAKE_BODY_CUT, GIRO_LEASE},
    {FAKE_BODY_LONG, GIRO_LEASE},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_LEASE},
    {FAKE_WRONG_OPERATION, GIRO_LEASE},
    {FAKE_BODY_LONG, GIRO_GET_LEASES},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_GET_LEASES},
    {FAKE_BODY_CUT, GIRO_CREATE_SCHEDULES},
    {FAKE_BODY_LONG, GIRO_CREATE_SCHEDULES},
    {FAKE_RESULT_COUNT, GIRO_CREATE_SCHEDULES},
    {FAKE_INDEX_TOO_LARGE, GIRO_CREATE_SCHEDULES},
    {FAKE_TIMESTAMP_ZERO, GIRO_CREATE_SCHEDULES},
    {FAKE_BODY_LONG, GIRO_CANCEL_SCHEDULES},
    {FAKE_INDEX_DESCENDING, GIRO_CANCEL_SCHEDULES},
    {FAKE_CODE_ZERO, GIRO_CANCEL_SCHEDULES},
    {FAKE_BODY_LONG, GIRO_GET_SCHEDULES},
    {FAKE_RECORD_NOT_ASKED_FOR, GIRO_GET_SCHEDULES},
    {FAKE_BODY_CUT, GIRO_STATS},
    {FAKE_BODY_LONG, GIRO_STATS},
    {FAKE_BODY_LONG, GIRO_PING},
};

Test(client_reply, that_contradicts_its_request_is_a_protocol_error)
{
    const struct giro_limits limits[2] = {{.account_id = 1}, {.account_id = 2}};
    struct giro_limits found_limits[2];
    const struct giro_lease leases[2] = {{.key = 1, .action = GIRO_LEASE_ACQUIRE},
                                         {.key = 2, .action = GIRO_LEASE_RENEW}};
    const struct giro_schedule schedules[2] = {schedule_of(1), schedule_of(2)};
    struct giro_schedule found_schedules[2];
    struct giro_lease found_leases[2];
    const struct giro_cut_off cut_offs[2] = {{.ledger = 1}, {.ledger = 2}};
    struct giro_settlement settlements[2];
    struct giro_velocity_used velocities[2];
    struct giro_outcome outcomes[2];
    struct giro_transfer transfers[2] = {transfer_of(1), transfer_of(2)};
    const giro_u128 ids[2] = {1, 2};
    for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
        const enum giro_operation operation = contradictions[i].operation;
        const struct fake_step steps[] = {{FAKE_ANSWER, 0}, {contradictions[i].action, 0}};
        struct fake *fake = fake_start(&(struct fake_options){.steps = steps, .step_count = 2});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct giro_created created;
        struct giro_transfer found[2];
        struct giro_payment payments[2];
        struct giro_server_stats stats;
        cr_assert_eq(giro_create_transfers(client, transfers, 2, NULL, &created), 0);
        struct giro_request request = {.operation = operation,
                                       .count = operation < GIRO_CREATE_ACCOUNTS ? 0 : 2};
        switch (operation) {
        case GIRO_CREATE_TRANSFERS_OUTCOMES:
            request.outcomes = outcomes;
            request.events.transfers = transfers;
            break;
        case GIRO_CREATE_TRANSFERS:
            request.events.transfers = transfers;
            break;
        case GIRO_CUT_OFF:
            request.events.cut_offs = cut_offs;
            break;
        case GIRO_SET_LIMITS:
            request.events.limits = limits;
            break;
        case GIRO_LEASE:
            request.events.leases = leases;
            break;
        case GIRO_CREATE_SCHEDULES:
            request.events.schedules = schedules;
            break;
        default:
            request.events.ids = ids;
            break;
        }
        if (operation == GIRO_LOOKUP_TRANSFERS)
            request.output.transfers = found;
        else if (operation == GIRO_LOOKUP_PAYMENTS)
            request.output.payments = payments;
        else if (operation == GIRO_GET_LIMITS)
            request.output.limits = found_limits;
        else if (operation == GIRO_GET_SETTLEMENTS)
            request.output.settlements = settlements;
        else if (operation == GIRO_GET_VELOCITY)
            request.output.velocities = velocities;
        else if (operation == GIRO_LEASE || operation == GIRO_GET_LEASES)
            request.output.leases = found_leases;
        else if (operation == GIRO_GET_SCHEDULES)
            request.output.schedules = found_schedules;
        else if (operation == GIRO_STATS)
            request.output.stats = &stats;
        int error = giro_call(client, &request);
        cr_expect_eq(error, GIRO_EPROTOCOL, "row %zu: %s", i, giro_error_name(error));
        cr_expect_eq(giro_ping(client), 0, "row %zu: a new connection", i);
        cr_expect_eq(status_of(client).connections, 2);
        end(client, fake);
    }
}

/* What was done has a token and a time, what was refused has neither. */
Test(client_reply, with_leases_that_contradict_themselves_is_a_protocol_error)
{
    enum {
        NEXT = sizeof(struct giro_lease),
        TOKEN = offsetof(struct giro_lease, token),
        RESULT = offsetof(struct giro_lease, result),
        TIME = offsetof(struct giro_lease, timestamp),
    };
    static const struct fake_patch rows[] = {
        {.at = 0, .size_bytes = 1, .value = 3},
        {.at = TOKEN, .size_bytes = 8, .value = 0},
        {.at = RESULT, .size_bytes = 2, .value = 12},
        {.at = TIME, .size_bytes = 8, .value = 0},
        {.at = TIME, .size_bytes = 8, .value = UINT64_MAX},
        {.at = NEXT + TOKEN, .size_bytes = 8, .value = 5},
        {.at = NEXT + RESULT, .size_bytes = 2, .value = 0},
        {.at = NEXT + TIME, .size_bytes = 8, .value = 5},
        {.body_bytes = NEXT},
        {.body_bytes = 3 * NEXT},
    };
    const struct giro_lease events[2] = {{.key = 1, .action = GIRO_LEASE_ACQUIRE},
                                         {.key = 2, .action = GIRO_LEASE_RENEW}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct fake_step step = {FAKE_PATCH, 0};
        struct fake *fake =
            fake_start(&(struct fake_options){.steps = &step, .step_count = 1, .patch = rows[i]});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct giro_lease leases[2];
        uint32_t refused = 9;
        int error = giro_change_leases(client, events, 2, leases, &refused);
        cr_expect_eq(error, GIRO_EPROTOCOL, "row %zu: %s", i, giro_error_name(error));
        cr_expect_eq(refused, 9, "row %zu", i);
        cr_expect_eq(giro_ping(client), 0, "row %zu: a new connection", i);
        end(client, fake);
    }
}

/* The codes of outcomes and the results must agree. */
Test(client_reply, with_outcomes_that_contradict_the_results_is_a_protocol_error)
{
    enum { AT = sizeof(struct frame_created), CODE = offsetof(struct giro_outcome, code) };
    enum { SIZE = sizeof(struct giro_outcome), RESULTS = AT + 2 * SIZE };
    static const struct fake_patch rows[] = {
        {.at = AT + CODE, .size_bytes = 4, .value = 5},        /* a code without a result */
        {.at = AT + SIZE + CODE, .size_bytes = 4, .value = 0}, /* a result without a code */
        {.at = AT + SIZE + CODE, .size_bytes = 4, .value = 7}, /* another code */
        {.at = RESULTS + 4, .size_bytes = 4, .value = 7},
        {.at = RESULTS, .size_bytes = 4, .value = 0}, /* the result of another event */
        {.at = RESULTS, .size_bytes = 4, .value = 2},
        {.at = 8, .size_bytes = 4, .value = 0},
        {.at = 0, .size_bytes = 8, .value = 0},
        {.body_bytes = RESULTS},
        {.body_bytes = AT + 8},
        {.body_bytes = AT - 1},
    };
    struct giro_transfer transfers[2] = {transfer_of(1), transfer_of(0)};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct fake_step step = {FAKE_PATCH, 0};
        struct fake *fake =
            fake_start(&(struct fake_options){.steps = &step, .step_count = 1, .patch = rows[i]});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct giro_outcome outcomes[2];
        struct giro_created created;
        int error = giro_create_transfers_outcomes(client, transfers, 2, outcomes, NULL, &created);
        cr_expect_eq(error, GIRO_EPROTOCOL, "row %zu: %s", i, giro_error_name(error));
        cr_expect_eq(giro_ping(client), 0, "row %zu: a new connection", i);
        end(client, fake);
    }
}

Test(client_reply, that_nobody_asked_for_breaks_the_connection)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_TWICE, 0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), 0);
    while (status_of(client).connections < 2)
        pause_ms(1);
    cr_expect_eq(status_of(client).connection_error, GIRO_EPROTOCOL);
    cr_expect_eq(giro_ping(client), 0);
    end(client, fake);
}

Test(client_reply, with_a_status_for_another_request_is_a_protocol_error)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_STATUS_WRONG_ID, FRAME_SHUTTING_DOWN});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_created created;
    cr_expect_eq(create_one(client, 1, &created), GIRO_EPROTOCOL);
    cr_expect_eq(giro_ping(client), 0);
    end(client, fake);
}

Test(client_reply, out_of_order_spares_the_others_in_flight)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_WRONG_ID, 0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 2});
    fake_hold(fake);
    struct tracked *first = submit(client, tracked_transfers(10, 1));
    wait_in_flight(client, 1);
    struct tracked *second = submit(client, tracked_transfers(20, 1));
    wait_in_flight(client, 2);
    fake_release(fake);
    cr_expect_eq(outcome(first), GIRO_EPROTOCOL);
    cr_expect_eq(outcome(second), 0);
    cr_expect(second->request.resent);
    end(client, fake);
    tracked_free(first);
    tracked_free(second);
}

Test(client_reply, statuses_become_errors)
{
    static const struct {
        uint32_t status;
        int error;
        uint64_t connections;
    } rows[] = {
        {FRAME_STORAGE_FULL, GIRO_ESTORAGEFULL, 1},
        {FRAME_ACCOUNTS_FULL, GIRO_EACCOUNTSFULL, 1},
        {FRAME_TRANSFERS_FULL, GIRO_ETRANSFERSFULL, 1},
        {FRAME_HOLDS_FULL, GIRO_EHOLDSFULL, 1},
        {FRAME_PAYMENTS_FULL, GIRO_EPAYMENTSFULL, 1},
        {FRAME_SCHEDULES_FULL, GIRO_ESCHEDULESFULL, 1},
        {FRAME_FENCE_RESERVED, GIRO_EREFUSED, 1},
        {FRAME_RECORD_DAMAGED, GIRO_EDAMAGED, 1},
        {FRAME_TOO_MANY_EVENTS, GIRO_ETOOBIG, 1},
        {FRAME_BODY_SIZE, GIRO_EREFUSED, 1},
        {FRAME_UNKNOWN_OPERATION, GIRO_EREFUSED, 2},
        {FRAME_BAD_FLAGS, GIRO_EREFUSED, 2},
        {FRAME_FRAME_TOO_LARGE, GIRO_EREFUSED, 2},
        {FRAME_BAD_MAGIC, GIRO_EPROTOCOL, 2},
        {FRAME_HELLO_EXPECTED, GIRO_EPROTOCOL, 2},
        {999, GIRO_EPROTOCOL, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_step step = {FAKE_STATUS, rows[i].status};
        struct fake *fake = fake_start(&(struct fake_options){.steps = &step, .step_count = 1});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct giro_created created;
        int error = create_one(client, 1, &created);
        cr_expect_eq(error, rows[i].error, "status %u: %s", rows[i].status, giro_error_name(error));
        cr_expect_eq(giro_ping(client), 0);
        cr_expect_eq(status_of(client).connections, rows[i].connections);
        end(client, fake);
    }
}

/* ---- Queries ----------------------------------------------------------------------------- */

enum { QUERY_TRANSFERS = 6 };

/* Accounts 1 and 2, and transfers 11 .. 16 of 1, 2, .. between them, every second one the other way
 * round and with another code. Returns the timestamp of the first transfer. */
static uint64_t query_ledger(struct giro_client *client)
{
    struct giro_account accounts[2] = {account_of(1), account_of(2)};
    struct giro_transfer transfers[QUERY_TRANSFERS];
    struct giro_created created;
    accounts[1].code = 2;
    cr_assert_eq(giro_create_accounts(client, accounts, 2, NULL, &created), 0);
    for (uint32_t i = 0; i < QUERY_TRANSFERS; i++) {
        transfers[i] = transfer_of(11 + i);
        transfers[i].amount = 1 + i;
        transfers[i].code = (uint16_t)(1 + i % 2);
        transfers[i].debit_account_id = 1 + i % 2;
        transfers[i].credit_account_id = 2 - i % 2;
        transfers[i].user_data_64 = i;
    }
    cr_assert_eq(giro_create_transfers(client, transfers, QUERY_TRANSFERS, NULL, &created), 0);
    cr_assert_eq(created.result_count, 0);
    return created.timestamp_first;
}

Test(client_query, finds_what_the_filters_ask_for)
{
    enum { DEBITS = GIRO_ACCOUNT_FILTER_DEBITS, REVERSED = GIRO_ACCOUNT_FILTER_REVERSED };
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer transfers[QUERY_TRANSFERS];
    struct giro_account_balance balances[QUERY_TRANSFERS];
    struct giro_account accounts[2];
    uint32_t count = 99;
    uint64_t first = query_ledger(client);

    struct giro_account_filter account = {
        .account_id = 1, .limit = 2, .flags = DEBITS | REVERSED, .timestamp_max = first + 3};
    cr_assert_eq(giro_get_account_transfers(client, &account, transfers, &count), 0);
    cr_expect_eq(count, 2);
    cr_expect(transfers[0].id == 13 && transfers[1].id == 11);
    account.flags = GIRO_ACCOUNT_FILTER_CREDITS;
    account.timestamp_min = first + 1;
    cr_assert_eq(giro_get_account_balances(client, &account, balances, &count), 0);
    cr_expect_eq(count, 2);
    cr_expect(balances[1].balances.debits_posted == 1 + 3);
    cr_expect(balances[1].balances.credits_posted == 2 + 4);
    cr_expect_eq(balances[1].timestamp, first + 3);

    struct giro_query_filter query = {.code = 2, .limit = QUERY_TRANSFERS};
    cr_assert_eq(giro_query_accounts(client, &query, accounts, &count), 0);
    cr_expect_eq(count, 1);
    cr_expect(accounts[0].id == 2);
    cr_assert_eq(giro_query_transfers(client, &query, transfers, &count), 0);
    cr_expect_eq(count, 3);
    query = (struct giro_query_filter){.user_data_64 = 5, .ledger = 1, .limit = 1};
    cr_assert_eq(giro_query_transfers(client, &query, transfers, &count), 0);
    cr_expect_eq(count, 1);
    query.ledger = 2;
    cr_assert_eq(giro_query_transfers(client, &query, transfers, &count), 0);
    cr_expect_eq(count, 0);
    end(client, fake);
}

Test(client_query, reads_page_by_page)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer page[4];
    query_ledger(client);
    for (uint32_t reversed = 0; reversed <= 1; reversed++) {
        struct giro_query_filter filter = {.limit = 4, .flags = reversed};
        uint32_t seen = 0;
        uint32_t count = 4;
        while (count == 4) {
            cr_assert_eq(giro_query_transfers(client, &filter, page, &count), 0);
            for (uint32_t i = 0; i < count; i++, seen++)
                cr_expect(page[i].id == (reversed ? 16 - seen : 11 + seen));
            if (count > 0 && reversed)
                filter.timestamp_max = page[count - 1].timestamp - 1;
            else if (count > 0)
                filter.timestamp_min = page[count - 1].timestamp + 1;
        }
        cr_expect_eq(seen, QUERY_TRANSFERS);
    }
    end(client, fake);
}

Test(client_query, reads_changes_where_the_last_read_ended)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_change changes[3];
    struct giro_changes read = {0};
    struct giro_change_filter filter = {.limit = 3};
    query_ledger(client);
    cr_assert_eq(giro_read_changes(client, &filter, changes, &read), 0);
    cr_expect_eq(read.count, 3);
    cr_expect_lt(read.ordinal_next, read.ordinal_end);
    cr_expect_eq(changes[0].kind, GIRO_CHANGE_ACCOUNT_CREATED);
    cr_expect(changes[1].record.account.id == 2);
    cr_expect_eq(changes[2].kind, GIRO_CHANGE_TRANSFER_CREATED);
    cr_expect(changes[2].record.transfer.id == 11);
    cr_expect(changes[2].debit.debits_posted == 1);
    uint32_t seen = read.count;
    while (read.count > 0) {
        filter.ordinal = read.ordinal_next;
        cr_assert_eq(giro_read_changes(client, &filter, changes, &read), 0);
        seen += read.count;
    }
    cr_expect_eq(seen, 2 + QUERY_TRANSFERS);
    cr_expect_eq(read.ordinal_next, read.ordinal_end);
    end(client, fake);
}

Test(client_query, carries_the_largest_replies)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_transfer *transfers = aligned_alloc(16, GIRO_EVENTS_MAX * sizeof *transfers);
    struct giro_change *changes = aligned_alloc(16, GIRO_CHANGES_LIMIT_MAX * sizeof *changes);
    struct giro_created created;
    struct giro_changes read;
    uint32_t count = 0;
    for (uint32_t i = 0; i < GIRO_EVENTS_MAX; i++)
        transfers[i] = transfer_of(1 + i);
    cr_assert_eq(giro_create_transfers(client, transfers, GIRO_EVENTS_MAX, NULL, &created), 0);
    struct giro_account_filter filter = {
        .account_id = 2, .limit = GIRO_QUERY_LIMIT_MAX, .flags = GIRO_ACCOUNT_FILTER_CREDITS};
    cr_assert_eq(giro_get_account_transfers(client, &filter, transfers, &count), 0);
    cr_expect_eq(count, GIRO_EVENTS_MAX);
    cr_expect(transfers[GIRO_EVENTS_MAX - 1].id == GIRO_EVENTS_MAX);
    struct giro_change_filter all = {.limit = GIRO_CHANGES_LIMIT_MAX};
    cr_assert_eq(giro_read_changes(client, &all, changes, &read), 0);
    cr_expect_eq(read.count, GIRO_CHANGES_LIMIT_MAX);
    cr_expect(changes[GIRO_CHANGES_LIMIT_MAX - 1].record.transfer.id == GIRO_CHANGES_LIMIT_MAX);
    end(client, fake);
    free(changes);
    free(transfers);
}

Test(client_query, takes_a_snapshot)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_server_snapshot snapshot = {0};
    cr_assert_eq(giro_snapshot(client, &snapshot), 0);
    cr_expect_eq(snapshot.lsn, 5);
    cr_expect_eq(snapshot.bytes, 4096);
    cr_expect_eq(snapshot.segment, 2);
    end(client, fake);
}

Test(client_query, rejects_bad_arguments)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct giro_query_filter query = {.limit = 1};
    struct giro_account_filter account = {.account_id = 1, .limit = 1};
    struct giro_change_filter change = {.limit = 1};
    struct giro_transfer transfer;
    struct giro_changes read;
    uint32_t count = 0;
    cr_expect_eq(giro_get_account_transfers(client, NULL, &transfer, &count), GIRO_EINVAL);
    cr_expect_eq(giro_get_account_transfers(client, &account, NULL, &count), GIRO_EINVAL);
    cr_expect_eq(giro_get_account_balances(client, &account, NULL, &count), GIRO_EINVAL);
    cr_expect_eq(giro_query_accounts(client, &query, NULL, &count), GIRO_EINVAL);
    cr_expect_eq(giro_query_transfers(client, NULL, &transfer, &count), GIRO_EINVAL);
    cr_expect_eq(giro_read_changes(client, &change, NULL, &read), GIRO_EINVAL);
    cr_expect_eq(giro_snapshot(client, NULL), GIRO_EINVAL);
    for (uint32_t i = 0; i <= 2; i += 2) {
        struct giro_request request = {.operation = GIRO_QUERY_TRANSFERS,
                                       .count = i,
                                       .events.query_filter = &query,
                                       .output.transfers = &transfer};
        cr_expect_eq(giro_call(client, &request), GIRO_EINVAL, "one filter");
    }
    cr_expect_eq(fake_frame_count(fake), 0);
    end(client, fake);
}

/* A request for each operation that has a filter, or none but travels alone. */
static struct tracked *tracked_query(enum giro_operation operation)
{
    static const struct giro_query_filter query = {.limit = 4};
    static const struct giro_account_filter account = {.account_id = 1,
                                                       .limit = 4,
                                                       .flags = GIRO_ACCOUNT_FILTER_DEBITS |
                                                                GIRO_ACCOUNT_FILTER_CREDITS};
    static const struct giro_change_filter change = {.limit = 1};
    struct tracked *tracked = tracked_new(operation, operation == GIRO_SNAPSHOT ? 0 : 1);
    if (operation == GIRO_GET_ACCOUNT_TRANSFERS || operation == GIRO_GET_ACCOUNT_BALANCES)
        tracked->request.events.account_filter = &account;
    else if (operation == GIRO_READ_CHANGES)
        tracked->request.events.change_filter = &change;
    else if (operation != GIRO_SNAPSHOT)
        tracked->request.events.query_filter = &query;
    tracked->request.output.transfers = tracked->transfers; /* room enough for any of them */
    return tracked;
}

Test(client_query, travels_alone_and_in_order)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 1});
    struct tracked *rows[] = {tracked_transfers(10, 1),
                              tracked_transfers(20, 1),
                              tracked_query(GIRO_QUERY_TRANSFERS),
                              tracked_query(GIRO_QUERY_TRANSFERS),
                              tracked_query(GIRO_SNAPSHOT),
                              tracked_query(GIRO_SNAPSHOT),
                              tracked_query(GIRO_READ_CHANGES),
                              tracked_transfers(30, 1)};
    expect_frames(fake, client, rows, 8, (const uint32_t[]){2, 1, 1, 0, 0, 1, 1}, 7);
    cr_expect_eq(rows[2]->request.result_count, 2, "what was submitted before it");
    cr_expect_eq(rows[6]->request.result_count, 1);
    cr_expect_gt(rows[6]->request.ordinal_end, rows[6]->request.ordinal_next);
    end(client, fake);
    for (int i = 0; i < 8; i++)
        tracked_free(rows[i]);
}

/* Small frames wait for company while two are in flight; a query will never have any. */
Test(client_query, is_not_held_back)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct tracked *rows[] = {tracked_transfers(10, 1), tracked_account(20),
                              tracked_query(GIRO_QUERY_TRANSFERS), tracked_query(GIRO_READ_CHANGES),
                              tracked_query(GIRO_SNAPSHOT)};
    fake_hold(fake);
    for (uint32_t i = 0; i < 5; i++) {
        submit(client, rows[i]);
        wait_in_flight(client, i + 1);
    }
    fake_release(fake);
    for (uint32_t i = 0; i < 5; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    end(client, fake);
    for (int i = 0; i < 5; i++)
        tracked_free(rows[i]);
}

static const enum giro_operation queries[] = {GIRO_GET_ACCOUNT_TRANSFERS, GIRO_GET_ACCOUNT_BALANCES,
                                              GIRO_QUERY_ACCOUNTS,        GIRO_QUERY_TRANSFERS,
                                              GIRO_READ_CHANGES,          GIRO_SNAPSHOT};

Test(client_query, tells_why_it_was_refused)
{
    static const struct {
        uint32_t status;
        int error;
    } rows[] = {
        {FRAME_FILTER_ACCOUNT_ID, GIRO_EFILTER},    {FRAME_FILTER_TIMESTAMP_MIN, GIRO_EFILTER},
        {FRAME_FILTER_TIMESTAMP_MAX, GIRO_EFILTER}, {FRAME_FILTER_TIMESTAMPS, GIRO_EFILTER},
        {FRAME_FILTER_LIMIT, GIRO_EFILTER},         {FRAME_FILTER_FLAGS, GIRO_EFILTER},
        {FRAME_FILTER_RESERVED, GIRO_EFILTER},      {FRAME_FILTER_NO_HISTORY, GIRO_EFILTER},
        {FRAME_FILTER_ORDINAL, GIRO_EFILTER},       {FRAME_FILTER_WAIT, GIRO_EFILTER},
        {FRAME_INDEX_DAMAGED, GIRO_EINDEX},         {FRAME_SNAPSHOT_FAILED, GIRO_ESNAPSHOT},
        {FRAME_RECORD_DAMAGED, GIRO_EDAMAGED},      {FRAME_QUERY_CANCELLED, GIRO_EQUERYCANCELED},
        {FRAME_FOLLOWER_OFF, GIRO_EFOLLOWEROFF},    {FRAME_BODY_SIZE, GIRO_EREFUSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_step step = {FAKE_STATUS, rows[i].status};
        struct fake *fake = fake_start(&(struct fake_options){.steps = &step, .step_count = 1});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct tracked *tracked = submit(client, tracked_query(queries[i % 6]));
        cr_expect_eq(outcome(tracked), rows[i].error, "row %zu", i);
        cr_expect_eq(tracked->request.status, rows[i].status, "row %zu", i);
        cr_expect_eq(outcome(submit(client, tracked)), 0, "row %zu: the connection goes on", i);
        cr_expect_eq(tracked->request.status, 0);
        cr_expect_eq(status_of(client).connections, 1);
        end(client, fake);
        tracked_free(tracked);
    }
}

/* A server that does not know queries closes the connection, and is not asked again. */
Test(client_query, is_refused_by_an_older_server)
{
    struct fake *fake = FAKE_WITH_STEPS({FAKE_STATUS, FRAME_UNKNOWN_OPERATION});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    struct tracked *tracked = submit(client, tracked_query(GIRO_QUERY_ACCOUNTS));
    cr_expect_eq(outcome(tracked), GIRO_EREFUSED);
    cr_expect_eq(tracked->request.status, FRAME_UNKNOWN_OPERATION);
    cr_expect_eq(giro_ping(client), 0);
    cr_expect_eq(fake_frame_count(fake), 2);
    end(client, fake);
    tracked_free(tracked);
}

Test(client_query, is_sent_again_when_the_connection_breaks)
{
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct fake *fake = FAKE_WITH_STEPS({FAKE_ANSWER, 0}, {FAKE_ANSWER, 0}, {FAKE_DROP, 0},
                                            {FAKE_HALF, 0}, {FAKE_STATUS, FRAME_SHUTTING_DOWN});
        struct giro_client *client =
            client_open(fake, (struct giro_client_options){.flags = GIRO_NEVER_RESEND});
        query_ledger(client);
        struct tracked *tracked = submit(client, tracked_query(queries[i]));
        cr_expect_eq(outcome(tracked), 0, "row %zu", i);
        cr_expect(tracked->request.resent);
        cr_expect_eq(tracked->request.status, 0);
        cr_expect_eq(fake_frame_count(fake), 2 + 4);
        end(client, fake);
        tracked_free(tracked);
    }
}

/* The reply to what was given up comes all the same and must not be taken for the next one. */
Test(client_query, may_be_given_up_in_flight)
{
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct fake *fake = fake_start(&(struct fake_options){0});
        struct giro_client *client =
            client_open(fake, (struct giro_client_options){.frames_in_flight_max = 2});
        query_ledger(client);
        fake_hold(fake);
        struct tracked *tracked = submit(client, tracked_query(queries[i]));
        wait_in_flight(client, 1);
        struct tracked *next = submit(client, tracked_query(GIRO_QUERY_ACCOUNTS));
        wait_in_flight(client, 2);
        giro_cancel(client, &tracked->request);
        cr_expect_eq(outcome(tracked), GIRO_ECANCELED);
        memset(tracked->transfers, 0xee, sizeof tracked->transfers);
        fake_release(fake);
        cr_expect_eq(outcome(next), 0);
        cr_expect_eq(next->request.result_count, 2);
        cr_expect_eq(tracked->request.result_count, 0);
        cr_expect_eq(((const uint8_t *)tracked->transfers)[0], 0xee, "its memory is its owner's");
        cr_expect_eq(status_of(client).connections, 1);
        end(client, fake);
        tracked_free(tracked);
        tracked_free(next);
    }
}

/* The server waits up to wait_ms before it answers: that is no part of the deadline. */
Test(client_query, of_changes_has_the_time_that_it_may_wait)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client =
        client_open(fake, (struct giro_client_options){.frames_in_flight_max = 2});
    const struct giro_change_filter patient = {.limit = 1, .wait_ms = GIRO_CHANGES_WAIT_MS_MAX};
    const struct giro_change_filter hasty = {.limit = 1, .wait_ms = 1};
    struct tracked *rows[] = {tracked_query(GIRO_READ_CHANGES), tracked_query(GIRO_READ_CHANGES)};
    rows[0]->request.events.change_filter = &patient;
    rows[1]->request.events.change_filter = &hasty;
    fake_hold(fake);
    for (uint32_t i = 0; i < 2; i++) {
        rows[i]->request.deadline_ms = SHORT_MS;
        submit(client, rows[i]);
    }
    cr_expect_eq(outcome(rows[1]), GIRO_ETIMEDOUT);
    fake_release(fake);
    cr_expect_eq(outcome(rows[0]), 0);
    end(client, fake);
    tracked_free(rows[0]);
    tracked_free(rows[1]);
}

/* Where a field lies in the i-th record, or change, of a reply. */
#define RECORD_AT(i, record, field) ((i)*GIRO_RECORD_BYTES + offsetof(struct record, field))
#define CHANGE_AT(i, field)                                                                        \
    (sizeof(struct frame_changes) + (i) * sizeof(struct giro_change) +                             \
     offsetof(struct giro_change, field))
#define CHANGES_AT(field) offsetof(struct frame_changes, field)

/* The replies to tracked_query() on query_ledger(), each falsified in one way. The first transfer
 * has timestamp 1002, the fake's ordinals are timestamps, and changes are asked for from 1001 on,
 * two at most. */
static const struct {
    enum giro_operation operation;
    struct fake_patch patch;
} false_replies[] = {
    {GIRO_GET_ACCOUNT_TRANSFERS, {.body_bytes = 127}},
    {GIRO_GET_ACCOUNT_TRANSFERS, {.body_bytes = 5 * 128}}, /* more than the limit */
    {GIRO_GET_ACCOUNT_TRANSFERS,                           /* another account's */
     {.at = RECORD_AT(0, giro_transfer, debit_account_id), .size_bytes = 8, .value = 3}},
    {GIRO_GET_ACCOUNT_TRANSFERS, /* twice */
     {.at = RECORD_AT(1, giro_transfer, timestamp), .size_bytes = 8, .value = 1002}},
    {GIRO_GET_ACCOUNT_TRANSFERS, /* before the one before it */
     {.at = RECORD_AT(2, giro_transfer, timestamp), .size_bytes = 8, .value = 1001}},
    {GIRO_GET_ACCOUNT_TRANSFERS,
     {.at = RECORD_AT(0, giro_transfer, timestamp), .size_bytes = 8, .value = 0}},
    {GIRO_GET_ACCOUNT_TRANSFERS,
     {.at = RECORD_AT(3, giro_transfer, timestamp), .size_bytes = 8, .value = 1ull << 63}},
    {GIRO_GET_ACCOUNT_BALANCES, {.body_bytes = 5 * 128}},
    {GIRO_GET_ACCOUNT_BALANCES, {.body_bytes = 100}},
    {GIRO_GET_ACCOUNT_BALANCES,
     {.at = RECORD_AT(1, giro_account_balance, timestamp), .size_bytes = 8, .value = 1002}},
    {GIRO_GET_ACCOUNT_BALANCES,
     {.at = RECORD_AT(0, giro_account_balance, timestamp), .size_bytes = 8, .value = 0}},
    {GIRO_QUERY_ACCOUNTS, {.body_bytes = 5 * 128}},
    {GIRO_QUERY_ACCOUNTS, {.body_bytes = 200}},
    {GIRO_QUERY_ACCOUNTS,
     {.at = RECORD_AT(1, giro_account, timestamp), .size_bytes = 8, .value = 1000}},
    {GIRO_QUERY_TRANSFERS, {.body_bytes = 8}},
    {GIRO_QUERY_TRANSFERS, {.body_bytes = 8190 * 128}},
    {GIRO_QUERY_TRANSFERS,
     {.at = RECORD_AT(1, giro_transfer, timestamp), .size_bytes = 8, .value = 7}},
    {GIRO_READ_CHANGES, {.body_bytes = 31}},
    {GIRO_READ_CHANGES, {.body_bytes = 32}}, /* but a count of 2 */
    {GIRO_READ_CHANGES, {.body_bytes = 32 + 2 * 272 + 8}},
    {GIRO_READ_CHANGES, {.at = CHANGES_AT(count), .size_bytes = 4, .value = 1}},
    {GIRO_READ_CHANGES, /* more than the limit */
     {.body_bytes = 32 + 3 * 272, .at = CHANGES_AT(count), .size_bytes = 4, .value = 3}},
    {GIRO_READ_CHANGES, /* would wrap */
     {.at = CHANGES_AT(count), .size_bytes = 4, .value = 0xf0f0f0f2}},
    {GIRO_READ_CHANGES, {.at = CHANGES_AT(ordinal_next), .size_bytes = 8, .value = 1002}},
    {GIRO_READ_CHANGES, {.at = CHANGES_AT(ordinal_next), .size_bytes = 8, .value = 1009}},
    {GIRO_READ_CHANGES, {.at = CHANGES_AT(ordinal_end), .size_bytes = 8, .value = 1002}},
    {GIRO_READ_CHANGES, {.at = CHANGE_AT(0, ordinal), .size_bytes = 8, .value = 1000}},
    {GIRO_READ_CHANGES, {.at = CHANGE_AT(1, ordinal), .size_bytes = 8, .value = 1001}},
    {GIRO_READ_CHANGES, {.at = CHANGE_AT(1, ordinal), .size_bytes = 8, .value = 1003}},
    {GIRO_READ_CHANGES, {.at = CHANGE_AT(1, ordinal), .size_bytes = 8, .value = UINT64_MAX}},
    {GIRO_READ_CHANGES, {.at = CHANGE_AT(0, kind), .size_bytes = 4, .value = 0}},
    {GIRO_SNAPSHOT, {.body_bytes = 16}},
    {GIRO_SNAPSHOT, {.body_bytes = 32}},
};

Test(client_query, does_not_believe_what_contradicts_its_filter)
{
    const struct fake_step steps[] = {{FAKE_ANSWER, 0}, {FAKE_ANSWER, 0}, {FAKE_PATCH, 0}};
    const struct giro_change_filter change = {.ordinal = 1001, .limit = 2};
    for (size_t i = 0; i < sizeof false_replies / sizeof *false_replies; i++) {
        struct fake *fake = fake_start(&(struct fake_options){
            .steps = steps, .step_count = 3, .patch = false_replies[i].patch});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        cr_assert_eq(query_ledger(client), 1002);
        struct tracked *tracked = tracked_query(false_replies[i].operation);
        if (tracked->request.operation == GIRO_READ_CHANGES)
            tracked->request.events.change_filter = &change;
        int error = outcome(submit(client, tracked));
        cr_expect_eq(error, GIRO_EPROTOCOL, "row %zu: %s", i, giro_error_name(error));
        cr_expect_eq(tracked->request.result_count, 0);
        cr_expect_eq(outcome(submit(client, tracked)), 0, "row %zu: on a new connection", i);
        cr_expect_eq(status_of(client).connections, 2);
        end(client, fake);
        tracked_free(tracked);
    }
}

/* Every field of a filter that a record can be held against. */
Test(client_query, does_not_believe_records_that_the_filter_leaves_out)
{
    const struct fake_step steps[] = {{FAKE_ANSWER, 0}, {FAKE_ANSWER, 0}, {FAKE_PATCH, 0}};
    static const struct {
        struct giro_query_filter filter;
        uint32_t at;
        uint64_t value;
    } rows[] = {
        {{.ledger = 1}, RECORD_AT(0, giro_transfer, ledger), 2},
        {{.code = 1}, RECORD_AT(0, giro_transfer, code), 2},
        {{.user_data_64 = 1}, RECORD_AT(0, giro_transfer, user_data_64), 2},
        {{.user_data_64 = 1}, RECORD_AT(0, giro_transfer, user_data_64), 0},
        {{.timestamp_min = 1003}, RECORD_AT(0, giro_transfer, timestamp), 1002},
        {{.timestamp_max = 1003, .flags = 1}, RECORD_AT(0, giro_transfer, timestamp), 1004},
        {{.flags = 1}, RECORD_AT(1, giro_transfer, timestamp), 1008},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake *fake = fake_start(&(struct fake_options){
            .steps = steps,
            .step_count = 3,
            .patch = {.at = rows[i].at, .size_bytes = 2, .value = rows[i].value}});
        struct giro_client *client = client_open(fake, (struct giro_client_options){0});
        struct giro_query_filter filter = rows[i].filter;
        struct giro_transfer found[2];
        uint32_t count = 0;
        query_ledger(client);
        filter.limit = 2;
        int error = giro_query_transfers(client, &filter, found, &count);
        cr_expect_eq(error, GIRO_EPROTOCOL, "row %zu: %s", i, giro_error_name(error));
        cr_expect_eq(giro_query_transfers(client, &filter, found, &count), 0, "row %zu", i);
        cr_expect_geq(count, 1);
        end(client, fake);
    }
}

#undef RECORD_AT
#undef CHANGE_AT
#undef CHANGES_AT

/* ---- Limits, callbacks, closing ---------------------------------------------------------- */

Test(client_queue, refuses_beyond_requests_max)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){.requests_max = 3});
    fake_hold(fake);
    struct tracked *rows[4];
    for (uint32_t i = 0; i < 4; i++) {
        rows[i] = tracked_transfers(1 + i, 1);
        cr_expect_eq(giro_submit(client, &rows[i]->request), i < 3 ? 0 : GIRO_EAGAIN);
    }
    struct giro_created created;
    cr_expect_eq(create_one(client, 9, &created), GIRO_EAGAIN);
    cr_expect_eq(giro_submit(client, &rows[0]->request), GIRO_EINVAL, "it is outstanding");
    fake_release(fake);
    for (uint32_t i = 0; i < 3; i++)
        cr_expect_eq(outcome(rows[i]), 0);
    cr_expect_eq(create_one(client, 9, &created), 0);
    end(client, fake);
    for (uint32_t i = 0; i < 4; i++)
        tracked_free(rows[i]);
}

Test(client_queue, waits_for_room_when_asked_to)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(
        fake, (struct giro_client_options){.requests_max = 1, .flags = GIRO_WAIT_WHEN_FULL});
    struct tracked *first = plug(fake, client);
    struct tracked *second = tracked_transfers(20, 1);
    second->request.deadline_ms = SHORT_MS;
    cr_expect_eq(giro_submit(client, &second->request), GIRO_ENOTSENT, "no room in time");
    static struct caller callers[4];
    for (uint32_t i = 0; i < 4; i++) {
        callers[i] = (struct caller){.client = client, .id = 30 + i};
        pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]);
    }
    fake_release(fake);
    for (uint32_t i = 0; i < 4; i++) {
        pthread_join(callers[i].thread, NULL);
        cr_expect_eq(callers[i].error, 0);
        cr_expect_eq(fake_transfer_count(fake, 30 + i), 1);
    }
    outcome(first);
    end(client, fake);
    tracked_free(first);
    tracked_free(second);
}

/* Submits itself until it has been completed five times, and tries what a callback must not do. */
struct again {
    struct giro_request request;
    struct giro_request other;
    struct giro_client *client;
    uint32_t count;
    int error;
    int other_error;
    int blocking_error;
    sem_t done;
};

static void again_completed(struct giro_request *request)
{
    struct again *again = request->user_data;
    again->blocking_error = giro_ping(again->client);
    if (++again->count == 5) {
        sem_post(&again->done);
        return;
    }
    again->error = giro_submit(again->client, request);
    again->other_error = giro_submit(again->client, &again->other); /* there is room for one */
}

Test(client_callback, may_submit_but_not_block)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(
        fake, (struct giro_client_options){.requests_max = 1, .flags = GIRO_WAIT_WHEN_FULL});
    struct again again = {.client = client, .request = {.operation = GIRO_PING}};
    again.request.completed = again_completed;
    again.request.user_data = &again;
    again.other = again.request;
    sem_init(&again.done, 0, 0);
    cr_assert_eq(giro_submit(client, &again.request), 0);
    while (sem_wait(&again.done) != 0)
        ;
    cr_expect_eq(again.error, 0);
    cr_expect_eq(again.other_error, GIRO_EAGAIN);
    cr_expect_eq(again.blocking_error, GIRO_ECALLBACK);
    cr_expect_eq(fake_frame_count(fake), 5);
    end(client, fake);
    sem_destroy(&again.done);
}

static void *create_main(void *argument)
{
    struct caller *caller = argument;
    struct giro_transfer transfer = transfer_of(caller->id);
    caller->error = giro_create_transfers(caller->client, &transfer, 1, NULL, &caller->created);
    return NULL;
}

Test(client_close, completes_what_is_outstanding)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(
        fake, (struct giro_client_options){
                  .frames_in_flight_max = 1, .requests_max = 3, .flags = GIRO_WAIT_WHEN_FULL});
    fake_hold(fake);
    struct tracked *sent = submit(client, tracked_transfers(10, 1));
    wait_in_flight(client, 1);
    struct tracked *queued = submit(client, tracked_transfers(20, 1));
    struct caller waiting = {.client = client, .id = 30};
    struct caller unaccepted = {.client = client, .id = 40};
    pthread_create(&waiting.thread, NULL, create_main, &waiting);
    wait_outstanding(client, 3);
    pthread_create(&unaccepted.thread, NULL, create_main, &unaccepted);
    pause_ms(SHORT_MS); /* most likely it waits for room by now; if not, it will be refused */
    giro_client_close(client);
    pthread_join(waiting.thread, NULL);
    pthread_join(unaccepted.thread, NULL);
    cr_expect_eq(outcome(sent), GIRO_ECLOSED);
    cr_expect_eq(outcome(queued), GIRO_ENOTSENT);
    cr_expect_eq(waiting.error, GIRO_ENOTSENT);
    cr_expect_eq(unaccepted.error, GIRO_ENOTSENT);
    fake_stop(fake);
    tracked_free(sent);
    tracked_free(queued);
}

static void resubmit_completed(struct giro_request *request)
{
    struct again *again = request->user_data;
    again->error = request->error;
    again->blocking_error = giro_submit(again->client, request);
}

Test(client_close, lets_nothing_in_any_more)
{
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct giro_client *client = client_open(fake, (struct giro_client_options){0});
    fake_hold(fake);
    struct again again = {.client = client, .request = {.operation = GIRO_PING}};
    again.request.completed = resubmit_completed;
    again.request.user_data = &again;
    cr_assert_eq(giro_submit(client, &again.request), 0);
    wait_in_flight(client, 1);
    end(client, fake);
    cr_expect_eq(again.error, GIRO_ECLOSED);
    cr_expect_eq(again.blocking_error, GIRO_ENOTSENT);
}

Test(client_close, works_in_every_state_of_the_connection)
{
    static const struct fake_step silent = {FAKE_SILENT, 0};
    giro_client_close(NULL);
    for (int i = 0; i < 20; i++) { /* at different moments of connecting */
        struct fake *fake =
            fake_start(&(struct fake_options){.hellos = &silent, .hello_count = (uint32_t)i % 2});
        struct giro_client *client =
            client_open(fake, (struct giro_client_options){.flags = GIRO_OPEN_WITHOUT_SERVER});
        if (i % 4 == 3)
            pause_ms(i);
        end(client, fake);
    }
    struct giro_client_options options = {.address = "localhost:1",
                                          .flags = GIRO_OPEN_WITHOUT_SERVER};
    struct giro_client *client = NULL;
    cr_assert_eq(giro_client_open(&options, &client), 0);
    giro_client_close(client);
}

/* ---- Helpers ----------------------------------------------------------------------------- */

Test(client_error, every_code_has_a_name_a_text_and_an_outcome)
{
    for (int error = 0; error >= GIRO_ESCHEDULESFULL; error--) {
        bool unknown = error <= GIRO_ETIMEDOUT && error >= GIRO_EPROTOCOL;
        cr_expect_str_neq(giro_error_name(error), "unknown", "%d", error);
        cr_expect_str_neq(giro_error_text(error), "unknown", "%d", error);
        cr_expect_eq(giro_error_outcome_unknown(error), unknown, "%d", error);
    }
    cr_expect_str_eq(giro_error_name(GIRO_ESCHEDULESFULL - 1), "unknown");
    cr_expect_str_eq(giro_error_text(1), "unknown");
}

Test(client_error, values_are_kept)
{
    cr_expect_eq(GIRO_EINVAL, -1);
    cr_expect_eq(GIRO_EPROTOCOL, -23);
    cr_expect_eq(GIRO_EFILTER, -24);
    cr_expect_eq(GIRO_EINDEX, -25);
    cr_expect_eq(GIRO_ESNAPSHOT, -26);
    cr_expect_eq(GIRO_EQUERYCANCELED, -27);
    cr_expect_eq(GIRO_EFOLLOWEROFF, -28);
    cr_expect_eq(GIRO_ESCHEDULESFULL, -30);
}

Test(client_status, has_a_name_and_a_text)
{
    cr_expect_str_eq(giro_status_name(FRAME_OK), "ok");
    cr_expect_str_eq(giro_status_name(FRAME_FILTER_LIMIT), "filter_limit");
    cr_expect_str_eq(giro_status_text(FRAME_FILTER_WAIT), "wait_ms exceeds 60,000");
    cr_expect_str_eq(giro_status_name(999), "unknown");
    cr_expect_str_eq(giro_status_text(999), "unknown");
}

enum { IDS = 20000 };

static void *ids_main(void *argument)
{
    giro_u128 *ids = argument;
    for (int i = 0; i < IDS; i++)
        ids[i] = giro_id_time_ordered();
    return NULL;
}

static int id_compare(const void *left, const void *right)
{
    giro_u128 a = *(const giro_u128 *)left;
    giro_u128 b = *(const giro_u128 *)right;
    return a < b ? -1 : a > b;
}

Test(client_id, grows_and_never_repeats)
{
    enum { ID_THREADS = 4 };
    giro_u128 *ids = aligned_alloc(16, sizeof(giro_u128) * ID_THREADS * IDS);
    pthread_t threads[ID_THREADS];
    uint64_t before_ms = (uint64_t)time(NULL) * 1000;
    for (size_t i = 0; i < ID_THREADS; i++)
        pthread_create(&threads[i], NULL, ids_main, ids + i * IDS);
    for (size_t i = 0; i < ID_THREADS; i++) {
        pthread_join(threads[i], NULL);
        for (size_t k = 1; k < IDS; k++)
            cr_assert(ids[i * IDS + k] > ids[i * IDS + k - 1]);
    }
    cr_expect_geq((uint64_t)(ids[0] >> 80), before_ms - 1000);
    qsort(ids, (size_t)ID_THREADS * IDS, sizeof *ids, id_compare);
    for (size_t i = 1; i < (size_t)ID_THREADS * IDS; i++)
        cr_assert(ids[i] != ids[i - 1]);
    free(ids);
}
