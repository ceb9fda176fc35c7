#include "tests/faults/world.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    ACCOUNT_FIRST = WORLD_ACCOUNT_FIRST,
    EXPIRING_DEBIT = WORLD_EXPIRING_DEBIT,
    EXPIRING_CREDIT = WORLD_EXPIRING_CREDIT,
    ORDINARY_ACCOUNTS = WORLD_ACCOUNTS - 2,
    ACCOUNT_MISSING = 999999,
    COMPARED_BYTES = offsetof(struct giro_transfer, timestamp),
};

#define TRANSFER_ID_FIRST WORLD_TRANSFER_FIRST

void world_init(struct world *world, uint64_t seed, uint32_t client_count)
{
    *world = (struct world){
        .rng = rng_make(seed), .client_count = client_count, .events_per_request = 600};
    cr_assert(client_count <= WORLD_CLIENTS_MAX);
    for (uint32_t i = 0; i < client_count; i++)
        world->clients[i].connection.fd = -1;
}

void world_free(struct world *world)
{
    world_disconnect(world);
    free(world->transfers);
    free(world->known);
    free(world->requests);
}

static void history_accounts_make(struct world *world)
{
    for (uint32_t i = 0; i < world->history_accounts; i++) {
        const struct giro_account account = {
            .id = ACCOUNT_FIRST + i, .ledger = 1, .code = 1, .flags = GIRO_ACCOUNT_HISTORY};
        uint32_t code;
        cr_assert_eq(client_create_accounts(&world->clients[0].connection, &account, 1, &code),
                     FRAME_OK);
        cr_assert(code == GIRO_ACCOUNT_CREATED || code == GIRO_ACCOUNT_EXISTS, "%s",
                  giro_account_result_name(code));
    }
}

void world_connect(struct world *world, uint16_t port)
{
    for (uint32_t i = 0; i < world->client_count; i++)
        client_connect(&world->clients[i].connection, port);
    history_accounts_make(world);
    client_make_accounts(&world->clients[0].connection, ACCOUNT_FIRST + world->history_accounts,
                         WORLD_ACCOUNTS - world->history_accounts);
}

void world_disconnect(struct world *world)
{
    for (uint32_t i = 0; i < world->client_count; i++)
        client_close(&world->clients[i].connection);
}

/* ---- Making requests --------------------------------------------------------------------- */

static void *grown(void *array, uint32_t *capacity, uint32_t needed, size_t size)
{
    if (needed <= *capacity)
        return array;
    *capacity = needed * 2;
    array = realloc(array, *capacity * size);
    cr_assert(array != NULL);
    return array;
}

/* Appends a transfer with an id of its own; code: what it must be answered with. */
static struct giro_transfer *transfer_add(struct world *world, uint32_t code)
{
    uint32_t capacity = world->transfer_capacity;
    uint32_t i = world->transfer_count++;
    world->known = grown(world->known, &capacity, i + 1, sizeof *world->known);
    world->transfers =
        grown(world->transfers, &world->transfer_capacity, i + 1, sizeof *world->transfers);
    uint32_t debit = ACCOUNT_FIRST + rng_below(&world->rng, ORDINARY_ACCOUNTS);
    uint32_t credit = ACCOUNT_FIRST + rng_below(&world->rng, ORDINARY_ACCOUNTS - 1);
    if (credit >= debit)
        credit++;
    world->known[i] = (struct world_transfer){.code = code};
    world->transfers[i] =
        transfer_of(TRANSFER_ID_FIRST + i, debit, credit, 1 + rng_below(&world->rng, 1000000));
    world->transfers[i].user_data_128 = rng_next(&world->rng);
    world->transfers[i].user_data_64 = rng_next(&world->rng);
    world->transfers[i].user_data_32 = rng_below(&world->rng, UINT32_MAX);
    world->transfers[i].code = (uint16_t)(1 + rng_below(&world->rng, 60000));
    return &world->transfers[i];
}

static void make_holds(struct world *world, struct world_client *client)
{
    uint32_t count = 1 + rng_below(&world->rng, 4);
    for (uint32_t i = 0; i < count; i++) {
        struct giro_transfer *transfer = transfer_add(world, GIRO_TRANSFER_CREATED);
        transfer->flags = GIRO_TRANSFER_PENDING;
        if (rng_below(&world->rng, 8) == 0) {
            transfer->timeout = 1;
            transfer->debit_account_id = EXPIRING_DEBIT;
            transfer->credit_account_id = EXPIRING_CREDIT;
        } else if (client->hold_count < WORLD_HOLDS_KEPT) {
            client->holds[client->hold_count++] = world->transfer_count - 1;
        }
    }
}

/* Posts, in part or in full, or voids one hold of this client, with every field given, so that what
 * is stored is what was sent. */
static void make_resolve(struct world *world, struct world_client *client)
{
    uint32_t pick = rng_below(&world->rng, client->hold_count);
    uint32_t hold_at = client->holds[pick];
    struct giro_transfer *transfer = transfer_add(world, GIRO_TRANSFER_CREATED);
    const struct giro_transfer *hold = &world->transfers[hold_at];
    client->holds[pick] = client->holds[--client->hold_count];
    transfer->pending_id = hold->id;
    transfer->debit_account_id = hold->debit_account_id;
    transfer->credit_account_id = hold->credit_account_id;
    transfer->code = hold->code;
    transfer->amount = hold->amount;
    transfer->flags = GIRO_TRANSFER_VOID_PENDING;
    if (rng_below(&world->rng, 3) != 0) {
        transfer->flags = GIRO_TRANSFER_POST_PENDING;
        transfer->amount = 1 + rng_below(&world->rng, (uint32_t)hold->amount);
    }
}

/* A chain; a bad one fails at a member that names a missing account. */
static void make_chain(struct world *world, bool bad)
{
    uint32_t count = 2 + rng_below(&world->rng, 5);
    uint32_t bad_at = bad ? rng_below(&world->rng, count) : count;
    world->chain_count++;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t code = !bad          ? GIRO_TRANSFER_CREATED
                        : i == bad_at ? GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND
                                      : GIRO_TRANSFER_LINKED_EVENT_FAILED;
        struct giro_transfer *transfer = transfer_add(world, code);
        world->known[world->transfer_count - 1].chain = world->chain_count;
        transfer->flags = i + 1 < count ? GIRO_TRANSFER_LINKED : 0;
        if (i == bad_at)
            transfer->debit_account_id = ACCOUNT_MISSING;
    }
}

static void make_batch(struct world *world, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        (void)transfer_add(world, GIRO_TRANSFER_CREATED);
}

/* A request of a random kind, not sent yet. */
static struct world_request *request_make(struct world *world, uint32_t client)
{
    uint32_t first = world->transfer_count;
    uint32_t kind = rng_below(&world->rng, 100);
    struct world_client *owner = &world->clients[client];
    if (world->batches_only)
        make_batch(world, 1 + rng_below(&world->rng, world->events_per_request));
    else if (kind < 35)
        make_batch(world, 1);
    else if (kind < 50)
        make_holds(world, owner);
    else if (kind < 70 && owner->hold_count > 0)
        make_resolve(world, owner);
    else if (kind < 80)
        make_chain(world, kind < 72);
    else if (kind < 97)
        make_batch(world, 2 + rng_below(&world->rng, 60));
    else
        make_batch(world, 1 + rng_below(&world->rng, world->events_per_request));
    world->requests = grown(world->requests, &world->request_capacity, world->request_count + 1,
                            sizeof *world->requests);
    struct world_request *request = &world->requests[world->request_count++];
    *request = (struct world_request){
        .first = first, .count = world->transfer_count - first, .client = client};
    return request;
}

/* ---- Sending and answers ----------------------------------------------------------------- */

static bool request_send(struct world *world, struct client *connection,
                         struct world_request *request)
{
    request->state = REQUEST_SENT;
    request->after = world->timestamp_last;
    request->request_id =
        client_request(connection, FRAME_CREATE_TRANSFERS, &world->transfers[request->first],
                       (uint32_t)(request->count * sizeof(struct giro_transfer)));
    return request->request_id != 0;
}

/* Codes and timestamps of an answer. again: it may have been executed before. */
static void answer_take(struct world *world, struct world_request *request,
                        const struct reply *reply, bool again)
{
    struct frame_created head;
    uint32_t codes[FRAME_EVENTS_MAX] = {0};
    cr_assert_eq(reply->header.request_id, request->request_id);
    if (reply->header.status != FRAME_OK) {
        request->state = REQUEST_REFUSED;
        world->refused_count++;
        return;
    }
    memcpy(&head, reply->body, sizeof head);
    const char *results = (const char *)reply->body + sizeof head;
    for (uint32_t i = 0; i < head.result_count; i++) {
        struct giro_result result;
        memcpy(&result, results + i * sizeof result, sizeof result);
        codes[result.index] = result.code;
    }
    for (uint32_t i = 0; i < request->count; i++) {
        struct world_transfer *known = &world->known[request->first + i];
        bool repeated =
            again && ((known->code == GIRO_TRANSFER_CREATED && codes[i] == GIRO_TRANSFER_EXISTS) ||
                      (known->code == GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND &&
                       codes[i] == GIRO_TRANSFER_ID_ALREADY_FAILED));
        cr_assert(codes[i] == known->code || repeated, "transfer %u is answered %s instead of %s",
                  request->first + i, giro_transfer_result_name(codes[i]),
                  giro_transfer_result_name(known->code));
        if (codes[i] != GIRO_TRANSFER_CREATED)
            continue;
        known->timestamp = head.timestamp_first + i;
        cr_assert(known->timestamp > request->after,
                  "transfer %u is of %lu, and was sent after one of %lu was answered",
                  request->first + i, known->timestamp, request->after);
        if (world->timestamp_last < known->timestamp)
            world->timestamp_last = known->timestamp;
    }
    request->state = REQUEST_ACKED;
    world->acked_count++;
}

/* The client's next request in line, which exists. */
static struct world_request *request_oldest(struct world *world, uint32_t client)
{
    struct world_client *owner = &world->clients[client];
    while (world->requests[owner->oldest].client != client ||
           world->requests[owner->oldest].state != REQUEST_SENT)
        owner->oldest++;
    return &world->requests[owner->oldest];
}

/* Takes the answers that are there. Returns false when the connection broke. */
static bool answers_take(struct world *world, uint32_t client, uint32_t *out_count)
{
    struct world_client *owner = &world->clients[client];
    struct reply reply;
    *out_count = 0;
    for (;;) {
        enum client_event event = client_receive(&owner->connection, &reply, 0);
        if (event != CLIENT_REPLY)
            return event == CLIENT_SILENT;
        cr_assert(owner->under_way > 0, "an answer to nothing: %s",
                  frame_status_name(reply.header.status));
        answer_take(world, request_oldest(world, client), &reply, false);
        owner->under_way--;
        (*out_count)++;
    }
}

static bool pipeline_fill(struct world *world, uint32_t client)
{
    struct world_client *owner = &world->clients[client];
    while (owner->under_way < WORLD_PIPELINE) {
        owner->under_way++;
        if (!request_send(world, &owner->connection, request_make(world, client)))
            return false;
    }
    return true;
}

static void wait_readable(const struct world *world)
{
    struct pollfd polls[WORLD_CLIENTS_MAX];
    for (uint32_t i = 0; i < world->client_count; i++)
        polls[i] = (struct pollfd){.fd = world->clients[i].connection.fd, .events = POLLIN};
    cr_assert(poll(polls, world->client_count, PATIENCE_MS) > 0, "the server is silent");
}

bool world_run(struct world *world, uint32_t answers)
{
    uint32_t taken = 0;
    while (taken < answers) {
        for (uint32_t i = 0; i < world->client_count; i++) {
            if (!pipeline_fill(world, i))
                return false;
        }
        wait_readable(world);
        for (uint32_t i = 0; i < world->client_count; i++) {
            uint32_t count;
            bool alive = answers_take(world, i, &count);
            taken += count;
            if (!alive)
                return false;
        }
    }
    return true;
}

void world_send(struct world *world)
{
    for (uint32_t i = 0; i < world->client_count; i++)
        cr_assert(pipeline_fill(world, i), "the connection broke");
}

static uint32_t under_way(const struct world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->client_count; i++)
        count += world->clients[i].under_way;
    return count;
}

void world_finish(struct world *world)
{
    while (under_way(world) > 0) {
        wait_readable(world);
        for (uint32_t i = 0; i < world->client_count; i++) {
            uint32_t count;
            cr_assert(answers_take(world, i, &count), "the connection broke");
        }
    }
}

void world_crashed(struct world *world)
{
    uint32_t count;
    for (uint32_t i = 0; i < world->client_count; i++) {
        (void)answers_take(world, i, &count);
        world->clients[i].under_way = 0;
        world->clients[i].oldest = 0;
    }
    for (uint32_t i = 0; i < world->request_count; i++) {
        if (world->requests[i].state != REQUEST_SENT)
            continue;
        world->requests[i].state = REQUEST_UNKNOWN;
        world->unknown_count++;
    }
    world_disconnect(world);
}

/* ---- Comparing --------------------------------------------------------------------------- */

static void found_compare(struct world *world, uint32_t i, const struct giro_transfer *found)
{
    struct world_transfer *known = &world->known[i];
    cr_assert(memcmp(found, &world->transfers[i], COMPARED_BYTES) == 0,
              "transfer %u is not what was sent", i);
    cr_assert(found->timestamp != 0);
    cr_assert(known->timestamp == 0 || known->timestamp == found->timestamp,
              "transfer %u: another timestamp", i);
    known->timestamp = found->timestamp;
    known->found = true;
}

/* Looks all transfers up, in the largest requests possible. Returns FRAME_OK, or how the first
 * request was answered that was refused. */
static enum frame_status find_all(struct world *world, struct client *connection)
{
    enum frame_status status = FRAME_OK;
    giro_u128 *ids = calloc(FRAME_EVENTS_MAX, sizeof *ids);
    struct giro_transfer *found = calloc(FRAME_EVENTS_MAX, sizeof *found);
    cr_assert(ids != NULL && found != NULL);
    for (uint32_t begin = 0; begin < world->transfer_count; begin += FRAME_EVENTS_MAX) {
        uint32_t count = world->transfer_count - begin;
        uint32_t found_count = 0;
        count = count < FRAME_EVENTS_MAX ? count : FRAME_EVENTS_MAX;
        for (uint32_t i = 0; i < count; i++) {
            ids[i] = world->transfers[begin + i].id;
            world->known[begin + i].found = false;
        }
        enum frame_status answer =
            client_lookup_transfers(connection, ids, count, found, &found_count);
        status = status == FRAME_OK ? answer : status;
        for (uint32_t i = 0, at = 0; at < found_count; i++) {
            cr_assert(i < count, "found what was not asked for");
            if (found[at].id == ids[i])
                found_compare(world, begin + i, &found[at++]);
        }
    }
    free(ids);
    free(found);
    return status;
}

/* Whether any transfer of a request that must succeed was found; all of a chain must be. */
static bool request_found(const struct world *world, const struct world_request *request,
                          bool *out_should)
{
    uint32_t found = 0;
    uint32_t should = 0;
    for (uint32_t i = request->first; i < request->first + request->count; i++) {
        const struct world_transfer *known = &world->known[i];
        found += known->found;
        should += known->code == GIRO_TRANSFER_CREATED;
        cr_assert(!known->found || known->code == GIRO_TRANSFER_CREATED,
                  "transfer %u failed and exists", i);
    }
    /* A request is one piece of one block, so not only chains are found whole. */
    cr_assert(found == 0 || found == should, "request at %u is found in part: %u of %u%s",
              request->first, found, should,
              world->known[request->first].chain != 0 ? ", a chain" : "");
    *out_should = should > 0;
    return found > 0;
}

static void check_requests(struct world *world)
{
    bool lost[WORLD_CLIENTS_MAX] = {false};
    for (uint32_t i = 0; i < world->request_count; i++) {
        const struct world_request *request = &world->requests[i];
        bool should;
        bool found = request_found(world, request, &should);
        switch (request->state) {
        case REQUEST_ACKED:
            cr_assert(found == should, "an acknowledged request is lost: transfers %u .. %u",
                      request->first, request->first + request->count - 1);
            break;
        case REQUEST_REFUSED:
            cr_assert(!found, "a refused request exists");
            break;
        case REQUEST_SENT:
        case REQUEST_UNKNOWN:
            cr_assert(!found || !lost[request->client],
                      "request at %u is there, one before it of the same client is not",
                      request->first);
            lost[request->client] |= should && !found;
            world->unknown_found += found;
            break;
        }
    }
}

static struct giro_account *account_of(struct giro_account *accounts, giro_u128 id)
{
    return &accounts[(uint32_t)id - ACCOUNT_FIRST];
}

/* What the transfers found add up to. */
static void fold(struct world *world, struct giro_account *sums)
{
    for (uint32_t i = 0; i < world->transfer_count; i++) {
        const struct giro_transfer *transfer = &world->transfers[i];
        if (!world->known[i].found)
            continue;
        struct giro_account *debit = account_of(sums, transfer->debit_account_id);
        struct giro_account *credit = account_of(sums, transfer->credit_account_id);
        if (transfer->pending_id != 0) {
            const struct giro_transfer *hold =
                &world->transfers[(uint64_t)transfer->pending_id - TRANSFER_ID_FIRST];
            debit->debits_pending -= hold->amount;
            credit->credits_pending -= hold->amount;
        }
        if (transfer->flags == GIRO_TRANSFER_PENDING) {
            debit->debits_pending += transfer->amount;
            credit->credits_pending += transfer->amount;
        } else if (transfer->flags != GIRO_TRANSFER_VOID_PENDING) {
            debit->debits_posted += transfer->amount;
            credit->credits_posted += transfer->amount;
        }
    }
}

static void check_balances(struct world *world, struct client *connection)
{
    giro_u128 ids[WORLD_ACCOUNTS];
    struct giro_account found[WORLD_ACCOUNTS];
    struct giro_account sums[WORLD_ACCOUNTS] = {0};
    uint32_t count;
    for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++)
        ids[i] = ACCOUNT_FIRST + i;
    cr_assert_eq(client_lookup_accounts(connection, ids, WORLD_ACCOUNTS, found, &count), FRAME_OK);
    cr_assert_eq(count, WORLD_ACCOUNTS);
    fold(world, sums);
    giro_u128 debits = 0;
    giro_u128 credits = 0;
    for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++) {
        bool expiring = ids[i] == EXPIRING_DEBIT || ids[i] == EXPIRING_CREDIT;
        debits += found[i].debits_posted;
        credits += found[i].credits_posted;
        cr_assert(found[i].debits_posted == sums[i].debits_posted, "account %u", i);
        cr_assert(found[i].credits_posted == sums[i].credits_posted, "account %u", i);
        cr_assert(found[i].debits_pending == sums[i].debits_pending || expiring, "account %u", i);
        cr_assert(found[i].credits_pending == sums[i].credits_pending || expiring, "account %u", i);
    }
    cr_assert(debits == credits);
    cr_assert(account_of(found, EXPIRING_DEBIT)->debits_pending ==
              account_of(found, EXPIRING_CREDIT)->credits_pending);
}

static int timestamp_compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void check_timestamps(const struct world *world)
{
    uint64_t *timestamps = calloc(world->transfer_count + 1, sizeof *timestamps);
    uint32_t count = 0;
    cr_assert(timestamps != NULL);
    for (uint32_t i = 0; i < world->transfer_count; i++) {
        if (world->known[i].found)
            timestamps[count++] = world->known[i].timestamp;
    }
    qsort(timestamps, count, sizeof *timestamps, timestamp_compare);
    for (uint32_t i = 1; i < count; i++)
        cr_assert(timestamps[i] != timestamps[i - 1], "two transfers at %lu", timestamps[i]);
    free(timestamps);
}

uint32_t world_found_count(const struct world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->transfer_count; i++)
        count += world->known[i].found;
    return count;
}

void world_check(struct world *world, uint16_t port)
{
    struct client connection;
    struct frame_stats stats;
    client_connect(&connection, port);
    cr_assert_eq(find_all(world, &connection), FRAME_OK);
    check_requests(world);
    check_balances(world, &connection);
    check_timestamps(world);
    client_stats(&connection, &stats);
    cr_assert_eq(stats.accounts, WORLD_ACCOUNTS);
    cr_assert_eq(stats.transfers, world_found_count(world), "%lu transfers exist, %u are known",
                 stats.transfers, world_found_count(world));
    client_close(&connection);
}

uint32_t world_lost_count(struct world *world, uint16_t port)
{
    struct client connection;
    uint32_t lost = 0;
    client_connect(&connection, port);
    (void)find_all(world, &connection); /* what cannot be looked up is not there */
    client_close(&connection);
    for (uint32_t i = 0; i < world->request_count; i++) {
        const struct world_request *request = &world->requests[i];
        uint32_t missing = 0;
        for (uint32_t k = request->first; k < request->first + request->count; k++)
            missing += world->known[k].code == GIRO_TRANSFER_CREATED && !world->known[k].found;
        lost += request->state == REQUEST_ACKED && missing > 0;
    }
    return lost;
}

void world_retry(struct world *world, uint16_t port)
{
    struct client connection;
    struct reply reply;
    client_connect(&connection, port);
    for (uint32_t i = 0; i < world->request_count; i++) {
        struct world_request *request = &world->requests[i];
        if (request->state != REQUEST_UNKNOWN)
            continue;
        cr_assert(request_send(world, &connection, request));
        client_expect(&connection, request->request_id, &reply);
        answer_take(world, request, &reply, true);
        cr_assert_eq(request->state, REQUEST_ACKED);
    }
    client_close(&connection);
}
