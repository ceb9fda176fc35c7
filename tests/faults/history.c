#include "tests/faults/history.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMPARED_BYTES = offsetof(struct giro_transfer, timestamp),
    ACCOUNTS_LOOKED_AT = 6,
    USER_DATA_LOOKED_AT = 12,
};

/* ---- Asking ------------------------------------------------------------------------------ */

enum frame_status history_query(struct client *client, enum frame_operation operation,
                                const void *filter, uint32_t filter_bytes, void *out,
                                uint32_t *out_count)
{
    struct reply reply;
    uint64_t id = client_request(client, operation, filter, filter_bytes);
    cr_assert(id != 0, "the connection broke");
    client_expect(client, id, &reply);
    cr_assert_eq(reply.header.operation, operation);
    *out_count = reply.header.body_bytes / GIRO_RECORD_BYTES;
    cr_assert(reply.header.status == FRAME_OK || reply.header.body_bytes == 0);
    memcpy(out, reply.body, reply.header.body_bytes);
    return reply.header.status;
}

struct giro_account_filter history_account_filter(uint64_t account, uint64_t timestamp_min)
{
    return (struct giro_account_filter){
        .account_id = account,
        .timestamp_min = timestamp_min,
        .limit = FRAME_EVENTS_MAX,
        .flags = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS,
    };
}

enum frame_status history_snapshot(struct client *client, struct frame_snapshot *out)
{
    struct reply reply;
    uint64_t id = client_request(client, FRAME_SNAPSHOT, NULL, 0);
    cr_assert(id != 0, "the connection broke");
    client_expect(client, id, &reply);
    if (reply.header.status == FRAME_OK)
        memcpy(out, reply.body, sizeof *out);
    return reply.header.status;
}

void history_await_follower(uint16_t port)
{
    struct client client;
    struct frame_stats stats;
    client_connect(&client, port);
    client_stats(&client, &stats);
    const uint64_t lsn = stats.lsn_durable;
    for (uint64_t start = now_ms(); stats.follower_lsn < lsn; pause_ms(5)) {
        cr_assert(now_ms() - start < PATIENCE_MS, "the follower does not follow: %lu of %lu",
                  stats.follower_lsn, lsn);
        client_stats(&client, &stats);
    }
    client_close(&client);
}

/* ---- What is to be answered -------------------------------------------------------------- */

/* Numbers of the transfers that exist, in the order of time. */
struct timeline {
    const struct world *world;
    uint32_t *order;
    uint32_t count;
    enum frame_status damage; /* that queries may answer; FRAME_OK: none */
    uint32_t damaged;         /* how many did */
};

/* Asks; false when damage was answered, as it may be. */
static bool timeline_ask(struct timeline *timeline, struct client *client,
                         enum frame_operation operation, const void *filter, uint32_t filter_bytes,
                         void *out, uint32_t *out_count)
{
    enum frame_status status =
        history_query(client, operation, filter, filter_bytes, out, out_count);
    if (status == FRAME_OK)
        return true;
    cr_assert(status == timeline->damage, "operation %d: %s", operation, frame_status_name(status));
    timeline->damaged++;
    return false;
}

static int timeline_compare(const void *left, const void *right, void *context)
{
    const struct world *world = context;
    const uint64_t a = world->known[*(const uint32_t *)left].timestamp;
    const uint64_t b = world->known[*(const uint32_t *)right].timestamp;
    return a < b ? -1 : a > b;
}

static struct timeline timeline_make(struct world *world)
{
    struct timeline timeline = {.world = world};
    timeline.order = calloc(world->transfer_count + 1, sizeof *timeline.order);
    cr_assert(timeline.order != NULL);
    for (uint32_t i = 0; i < world->transfer_count; i++) {
        if (world->known[i].found)
            timeline.order[timeline.count++] = i;
    }
    qsort_r(timeline.order, timeline.count, sizeof *timeline.order, timeline_compare, world);
    return timeline;
}

static void transfer_compare(const struct world *world, uint32_t i,
                             const struct giro_transfer *answer, const char *where)
{
    cr_assert(memcmp(answer, &world->transfers[i], COMPARED_BYTES) == 0,
              "%s: transfer %u is not what was sent: id %lu", where, i, (uint64_t)answer->id);
    cr_assert_eq(answer->timestamp, world->known[i].timestamp, "%s: timestamp of transfer %u",
                 where, i);
}

static bool touches(const struct giro_transfer *transfer, uint64_t account)
{
    return transfer->debit_account_id == account || transfer->credit_account_id == account;
}

/* ---- Queries ----------------------------------------------------------------------------- */

/* All transfers, page by page. */
static void check_walk(struct timeline *timeline, struct client *client, void *out, uint32_t limit)
{
    struct giro_query_filter filter = {.limit = limit};
    const struct giro_transfer *answer = out;
    uint32_t count;
    uint32_t at = 0;
    do {
        if (!timeline_ask(timeline, client, FRAME_QUERY_TRANSFERS, &filter, sizeof filter, out,
                          &count))
            return;
        for (uint32_t i = 0; i < count; i++, at++) {
            cr_assert(at < timeline->count, "a transfer that is not known, id %lu",
                      (uint64_t)answer[i].id);
            transfer_compare(timeline->world, timeline->order[at], &answer[i], "query_transfers");
        }
        filter.timestamp_min = count == 0 ? 0 : answer[count - 1].timestamp + 1;
    } while (count == limit);
    cr_assert_eq(at, timeline->count, "query_transfers: %u of %u", at, timeline->count);
}

/* The newest ones, the newest first. */
static void check_reversed(struct timeline *timeline, struct client *client, void *out)
{
    enum { NEWEST = 100 };
    const struct giro_query_filter filter = {.limit = NEWEST, .flags = GIRO_QUERY_FILTER_REVERSED};
    const struct giro_transfer *answer = out;
    uint32_t count;
    if (!timeline_ask(timeline, client, FRAME_QUERY_TRANSFERS, &filter, sizeof filter, out, &count))
        return;
    cr_assert_eq(count, timeline->count < NEWEST ? timeline->count : NEWEST);
    for (uint32_t i = 0; i < count; i++)
        transfer_compare(timeline->world, timeline->order[timeline->count - 1 - i], &answer[i],
                         "query_transfers, reversed");
}

static void check_account(struct timeline *timeline, struct client *client, void *out,
                          uint64_t account)
{
    const struct giro_transfer *answer = out;
    struct giro_account_filter filter = history_account_filter(account, 0);
    uint32_t count = FRAME_EVENTS_MAX;
    uint32_t i = FRAME_EVENTS_MAX;
    for (uint32_t at = 0; at < timeline->count; at++) {
        if (!touches(&timeline->world->transfers[timeline->order[at]], account))
            continue;
        if (i == count) {
            cr_assert_eq(count, FRAME_EVENTS_MAX, "account %lu: fewer transfers than known",
                         account);
            if (!timeline_ask(timeline, client, FRAME_GET_ACCOUNT_TRANSFERS, &filter, sizeof filter,
                              out, &count))
                return;
            cr_assert(count > 0);
            filter.timestamp_min = answer[count - 1].timestamp + 1;
            i = 0;
        }
        transfer_compare(timeline->world, timeline->order[at], &answer[i++],
                         "get_account_transfers");
    }
    cr_assert(i == count, "account %lu: more transfers than known", account);
}

static void check_user_data(struct timeline *timeline, struct world *world, struct client *client,
                            void *out)
{
    const struct giro_transfer *answer = out;
    for (uint32_t i = 0; i < USER_DATA_LOOKED_AT && timeline->count > 0; i++) {
        uint32_t number = timeline->order[rng_below(&world->rng, timeline->count)];
        const struct giro_transfer *transfer = &world->transfers[number];
        struct giro_query_filter filter = {.limit = 2};
        uint32_t count;
        if (i % 2 == 0)
            filter.user_data_128 = transfer->user_data_128;
        else
            filter.user_data_64 = transfer->user_data_64;
        if (!timeline_ask(timeline, client, FRAME_QUERY_TRANSFERS, &filter, sizeof filter, out,
                          &count))
            return;
        cr_assert_eq(count, 1, "transfer %u is found %u times by its user data", number, count);
        transfer_compare(world, number, &answer[0], "query by user data");
    }
}

/* What one transfer does to the balances of one of its accounts. */
static void balances_apply(const struct world *world, const struct giro_transfer *transfer,
                           bool debit, struct giro_balances *balances)
{
    giro_u128 *pending = debit ? &balances->debits_pending : &balances->credits_pending;
    giro_u128 *posted = debit ? &balances->debits_posted : &balances->credits_posted;
    if (transfer->pending_id != 0)
        *pending -= world->transfers[(uint64_t)transfer->pending_id - WORLD_TRANSFER_FIRST].amount;
    if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0)
        *pending += transfer->amount;
    else if ((transfer->flags & GIRO_TRANSFER_VOID_PENDING) == 0)
        *posted += transfer->amount;
}

static void check_balances(struct timeline *timeline, struct client *client, void *out,
                           uint64_t account)
{
    const struct giro_account_balance *answer = out;
    struct giro_account_filter filter = history_account_filter(account, 0);
    struct giro_balances balances = {0};
    uint32_t count = FRAME_EVENTS_MAX;
    uint32_t i = FRAME_EVENTS_MAX;
    for (uint32_t at = 0; at < timeline->count; at++) {
        const struct giro_transfer *transfer = &timeline->world->transfers[timeline->order[at]];
        if (!touches(transfer, account))
            continue;
        if (i == count) {
            if (!timeline_ask(timeline, client, FRAME_GET_ACCOUNT_BALANCES, &filter, sizeof filter,
                              out, &count))
                return;
            cr_assert(count > 0, "account %lu: fewer balances than transfers", account);
            filter.timestamp_min = answer[count - 1].timestamp + 1;
            i = 0;
        }
        balances_apply(timeline->world, transfer, transfer->debit_account_id == account, &balances);
        cr_assert_eq(answer[i].timestamp, timeline->world->known[timeline->order[at]].timestamp);
        cr_assert(memcmp(&answer[i].balances, &balances, sizeof balances) == 0,
                  "account %lu: balances after transfer %u", account, timeline->order[at]);
        i++;
    }
    cr_assert(i == count, "account %lu: more balances than transfers", account);
}

static void check_accounts(struct timeline *timeline, struct client *client, void *out)
{
    const struct giro_query_filter filter = {.limit = FRAME_EVENTS_MAX, .ledger = 1};
    const struct giro_account *answer = out;
    uint32_t count;
    if (!timeline_ask(timeline, client, FRAME_QUERY_ACCOUNTS, &filter, sizeof filter, out, &count))
        return;
    cr_assert_eq(count, WORLD_ACCOUNTS);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(answer[i].id == WORLD_ACCOUNT_FIRST + i);
}

uint32_t history_check_damaged(struct world *world, uint16_t port, enum frame_status damage)
{
    struct client client;
    struct timeline timeline = timeline_make(world);
    timeline.damage = damage;
    void *out = aligned_alloc(16, (size_t)FRAME_EVENTS_MAX * GIRO_RECORD_BYTES);
    cr_assert(out != NULL);
    client_connect(&client, port);
    check_walk(&timeline, &client, out, FRAME_EVENTS_MAX - rng_below(&world->rng, 500));
    check_reversed(&timeline, &client, out);
    check_user_data(&timeline, world, &client, out);
    check_accounts(&timeline, &client, out);
    for (uint32_t i = 0; i < ACCOUNTS_LOOKED_AT; i++)
        check_account(&timeline, &client, out,
                      WORLD_ACCOUNT_FIRST + (i == 0 ? 0 : rng_below(&world->rng, WORLD_ACCOUNTS)));
    for (uint32_t i = 0; i < world->history_accounts; i++)
        check_balances(&timeline, &client, out, WORLD_ACCOUNT_FIRST + i);
    client_close(&client);
    free(out);
    free(timeline.order);
    return timeline.damaged;
}

void history_check(struct world *world, uint16_t port)
{
    (void)history_check_damaged(world, port, FRAME_OK);
}

/* ---- Changes ----------------------------------------------------------------------------- */

void subscriber_init(struct subscriber *subscriber)
{
    *subscriber = (struct subscriber){.connection.fd = -1};
}

void subscriber_free(struct subscriber *subscriber)
{
    if (subscriber->connection.fd >= 0)
        client_close(&subscriber->connection);
    free(subscriber->seen);
    *subscriber = (struct subscriber){.connection.fd = -1};
}

bool subscriber_ask(struct subscriber *subscriber, uint32_t limit, uint32_t wait_ms)
{
    const struct giro_change_filter filter = {
        .ordinal = subscriber->ordinal, .limit = limit, .wait_ms = wait_ms};
    return client_request(&subscriber->connection, FRAME_READ_CHANGES, &filter, sizeof filter) != 0;
}

static void seen_mark(struct subscriber *subscriber, uint32_t number, uint32_t transfer_count)
{
    cr_assert(number < transfer_count, "a change of an unknown transfer");
    if (subscriber->seen_capacity < transfer_count) {
        subscriber->seen = realloc(subscriber->seen, 2 * (size_t)transfer_count);
        cr_assert(subscriber->seen != NULL);
        memset(subscriber->seen + subscriber->seen_capacity, 0,
               2 * (size_t)transfer_count - subscriber->seen_capacity);
        subscriber->seen_capacity = 2 * transfer_count;
    }
    cr_assert(!subscriber->seen[number], "transfer %u came twice", number);
    subscriber->seen[number] = true;
    subscriber->transfers++;
}

static struct giro_balances *balances_of(struct subscriber *subscriber, giro_u128 account)
{
    cr_assert(account >= WORLD_ACCOUNT_FIRST && account < WORLD_ACCOUNT_FIRST + WORLD_ACCOUNTS);
    return &subscriber->balances[(uint64_t)account - WORLD_ACCOUNT_FIRST];
}

static void change_take(struct subscriber *subscriber, const struct world *world,
                        const struct giro_change *change)
{
    const struct giro_transfer *transfer = &change->record.transfer;
    cr_assert(subscriber->changes == 0 || change->ordinal > subscriber->last,
              "ordinal %lu after %lu", change->ordinal, subscriber->last);
    subscriber->last = change->ordinal;
    subscriber->changes++;
    if (change->kind == GIRO_CHANGE_ACCOUNT_CREATED)
        return;
    struct giro_balances *debit = balances_of(subscriber, transfer->debit_account_id);
    struct giro_balances *credit = balances_of(subscriber, transfer->credit_account_id);
    if (change->kind == GIRO_CHANGE_PENDING_EXPIRED) {
        debit->debits_pending -= transfer->amount;
        credit->credits_pending -= transfer->amount;
    } else {
        uint32_t number = (uint32_t)((uint64_t)transfer->id - WORLD_TRANSFER_FIRST);
        seen_mark(subscriber, number, world->transfer_count);
        cr_assert(memcmp(transfer, &world->transfers[number], COMPARED_BYTES) == 0,
                  "change %lu: transfer %u is not what was sent", change->ordinal, number);
        balances_apply(world, transfer, true, debit);
        balances_apply(world, transfer, false, credit);
    }
    cr_assert(memcmp(&change->debit, debit, sizeof *debit) == 0, "change %lu: debit balances",
              change->ordinal);
    cr_assert(memcmp(&change->credit, credit, sizeof *credit) == 0, "change %lu: credit balances",
              change->ordinal);
}

uint64_t subscriber_take(struct subscriber *subscriber, const struct world *world,
                         const struct reply *reply)
{
    struct frame_changes head;
    cr_assert_eq(reply->header.status, FRAME_OK, "read_changes from %lu: %s", subscriber->ordinal,
                 frame_status_name(reply->header.status));
    memcpy(&head, reply->body, sizeof head);
    cr_assert_eq(reply->header.body_bytes, sizeof head + head.count * sizeof(struct giro_change));
    for (uint32_t i = 0; i < head.count; i++) {
        struct giro_change change;
        memcpy(&change, (const char *)reply->body + sizeof head + i * sizeof change, sizeof change);
        cr_assert(change.ordinal >= subscriber->ordinal && change.ordinal < head.ordinal_next);
        change_take(subscriber, world, &change);
    }
    cr_assert(head.ordinal_next >= subscriber->ordinal);
    subscriber->ordinal = head.ordinal_next;
    return head.ordinal_end - head.ordinal_next;
}

bool subscriber_catch_up(struct subscriber *subscriber, const struct world *world)
{
    struct reply reply;
    uint64_t left;
    do {
        if (!subscriber_ask(subscriber, FRAME_CHANGES_MAX, 0))
            return false;
        enum client_event event = client_receive(&subscriber->connection, &reply, PATIENCE_MS);
        cr_assert(event != CLIENT_SILENT, "no changes come");
        if (event != CLIENT_REPLY)
            return false;
        left = subscriber_take(subscriber, world, &reply);
    } while (left > 0);
    return true;
}

void subscriber_check(struct subscriber *subscriber, const struct world *world, uint16_t port)
{
    giro_u128 ids[WORLD_ACCOUNTS];
    struct giro_account found[WORLD_ACCOUNTS];
    struct client client;
    uint32_t count;
    for (uint32_t i = 0; i < world->transfer_count; i++)
        cr_assert(!world->known[i].found || subscriber->seen[i], "no change tells of transfer %u",
                  i);
    cr_assert_eq(subscriber->transfers, world_found_count(world));
    for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++)
        ids[i] = WORLD_ACCOUNT_FIRST + i;
    client_connect(&client, port);
    cr_assert_eq(client_lookup_accounts(&client, ids, WORLD_ACCOUNTS, found, &count), FRAME_OK);
    for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++) {
        bool expiring = ids[i] == WORLD_EXPIRING_DEBIT || ids[i] == WORLD_EXPIRING_CREDIT;
        cr_assert(expiring || memcmp(&found[i].debits_pending, &subscriber->balances[i],
                                     sizeof(struct giro_balances)) == 0,
                  "account %u: the changes add up to other balances", i + 1);
    }
    client_close(&client);
}
