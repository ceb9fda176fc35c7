#include "tests/sim/client.h"

#include "tests/ledger_random.h"
#include "tests/sim/judge.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIPELINE_MAX = 8,
    BULK_EVENTS_MAX = 600,
    BULK_TRANSFERS_MAX = MODEL_TRANSFERS_MAX / 2, /* beyond it no more large requests */
    SCHEDULES_UNDER_WAY = 200, /* in requests that are not executed yet, at most */
    RETRY_NS = 20 * 1000 * 1000,
    QUERY_LIMIT_MAX = 2000,
};

enum client_kind { CLIENT_WORKER, CLIENT_SUBSCRIBER, CLIENT_STRANGER };

/* One request, until it is answered for good. */
struct request {
    uint64_t id; /* of the last time it was sent */
    uint8_t operation;
    uint16_t flags;
    uint32_t body_bytes;
    char *body;
    bool sent;
    bool created;                  /* the ledger executed it: the answer must be `expected` */
    bool executed;                 /* an answer was made */
    uint32_t floor;                /* when it was sent: it is executed behind that */
    uint32_t asked;                /* position at which a query was asked */
    uint32_t settles;              /* position that its answer depends on */
    struct client_excuses excuses; /* when it was answered */
    uint64_t losses;
    char *expected;
    uint32_t expected_bytes;
};

struct client {
    enum client_kind kind;
    bool used;
    int connection; /* -1: none */
    bool greeted;
    uint64_t generation; /* an event of an earlier connection is void */
    char *in;
    size_t in_bytes;
    size_t in_capacity;
    struct request requests[PIPELINE_MAX]; /* in the order of sending */
    uint32_t request_count;
    uint32_t left; /* requests to be made */
    uint32_t seen; /* changes, of a subscriber */
    uint64_t ordinal;
};

struct client_counts client_counts;
struct client_excuses client_excuses;

static struct {
    struct client_plan plan;
    struct client clients[CLIENTS_MAX];
    struct ledger_random random;
    uint64_t request_id;
    uint64_t losses; /* how often that happened */
    struct {
        uint64_t timestamp;
        uint32_t result_count;
        struct giro_result results[LEDGER_EVENTS_MAX];
        bool valid;
    } created;
    struct {
        char body[FRAME_BODY_BYTES_MAX];
        uint32_t bytes;
        bool valid;
    } told;
} all;

static void client_next(struct client *client);

/* ---- Making requests --------------------------------------------------------------------- */

static void body_set(struct request *request, uint8_t operation, const void *body, size_t bytes)
{
    request->operation = operation;
    request->body_bytes = (uint32_t)bytes;
    request->body = malloc(bytes > 0 ? bytes : 1);
    if (request->body == NULL)
        machine_fail("out of memory");
    if (bytes > 0)
        memcpy(request->body, body, bytes);
}

static uint64_t chance_below(uint64_t limit)
{
    return random_below(RANDOM_CLIENTS, limit);
}

/* What a generator of requests may know. */
static void random_prepare(void)
{
    const struct model *model = judge_model();
    struct ledger_random *random = &all.random;
    uint64_t accounts_last = 0;
    uint64_t transfers_last = 0;
    if (model->now.accounts_count > 0)
        accounts_last = model->now.accounts[model->now.accounts_count - 1].timestamp;
    if (model->now.transfers_count > 0)
        transfers_last = model->transfers[model->now.transfers_count - 1].timestamp;
    random->model = model;
    random->timestamp_last = accounts_last > transfers_last ? accounts_last : transfers_last;
    random->transfer_timestamp_last = transfers_last;
    random->clock_ns = machine_wall() + 1000 * 1000;
}

uint32_t client_make_accounts(struct giro_account *events)
{
    random_prepare();
    uint32_t count = judge_model()->now.accounts_count > 0
                         ? ledger_random_accounts(&all.random, events)
                         : ledger_random_first_accounts(&all.random, events);
    if (judge_model()->now.accounts_count + count >= MODEL_ACCOUNTS_MAX)
        count = 1;
    return count;
}

static void make_accounts(struct request *request)
{
    struct giro_account events[LEDGER_RANDOM_EVENTS];
    uint32_t count = client_make_accounts(events);
    body_set(request, FRAME_CREATE_ACCOUNTS, events, count * sizeof events[0]);
}

/* Many plain transfers, to fill the log. */
static void make_bulk(struct request *request)
{
    static struct giro_transfer events[BULK_EVENTS_MAX];
    uint32_t count = 1 + (uint32_t)chance_below(BULK_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        events[i] = (struct giro_transfer){
            .id = ledger_random_id(all.random.id_next++),
            .debit_account_id = 1 + chance_below(7),
            .credit_account_id = 1 + chance_below(7),
            .amount = chance_below(1000),
            .user_data_64 = i % 5,
            .ledger = 1,
            .code = 1,
        };
    body_set(request, FRAME_CREATE_TRANSFERS, events, count * sizeof events[0]);
}

/* None as soon as those that are under way might be too many for the model. */
uint32_t client_make_transfers(struct giro_transfer *events)
{
    random_prepare();
    uint32_t count = ledger_random_transfers(&all.random, events);
    if (judge_model()->now.transfers_count + 4 * LEDGER_RANDOM_EVENTS * CLIENTS_MAX * PIPELINE_MAX >
        MODEL_TRANSFERS_MAX)
        count = 0;
    return count;
}

static void make_transfers(struct request *request)
{
    struct giro_transfer events[LEDGER_RANDOM_EVENTS];
    if (judge_model()->now.transfers_count < BULK_TRANSFERS_MAX &&
        random_chance(RANDOM_CLIENTS, all.plan.bulk)) {
        make_bulk(request);
        return;
    }
    uint32_t count = client_make_transfers(events);
    uint8_t operation =
        chance_below(4) == 0 ? FRAME_CREATE_TRANSFERS_OUTCOMES : FRAME_CREATE_TRANSFERS;
    struct {
        struct giro_fence fence;
        struct giro_transfer events[LEDGER_RANDOM_EVENTS];
    } fenced;
    if (!ledger_random_fence(&all.random, &fenced.fence)) {
        body_set(request, operation, events, count * sizeof events[0]);
        return;
    }
    memcpy(fenced.events, events, count * sizeof events[0]);
    body_set(request, operation, &fenced, sizeof fenced.fence + count * sizeof events[0]);
    request->flags = FRAME_FLAG_FENCED;
}

static void make_leases(struct request *request)
{
    struct giro_lease events[LEDGER_RANDOM_EVENTS];
    random_prepare();
    uint32_t count = ledger_random_leases(&all.random, events);
    body_set(request, FRAME_LEASE, events, count * sizeof events[0]);
}

static void make_cancels(struct request *request)
{
    giro_u128 ids[LEDGER_RANDOM_EVENTS];
    random_prepare();
    uint32_t count = ledger_random_cancels(&all.random, ids);
    body_set(request, FRAME_CANCEL_SCHEDULES, ids, count * sizeof ids[0]);
}

/* Each comes to its end: where the clock jumps by years, no end would be in sight. */
static void make_schedules(struct request *request)
{
    struct giro_schedule events[LEDGER_RANDOM_EVENTS];
    if (judge_model()->schedules_count + SCHEDULES_UNDER_WAY > MODEL_SCHEDULES_MAX) {
        make_cancels(request);
        return;
    }
    random_prepare();
    uint32_t count = ledger_random_schedules(&all.random, events);
    for (uint32_t i = 0; i < count; i++) {
        if (events[i].occurrences == 0)
            events[i].occurrences = 1 + (uint32_t)chance_below(6);
    }
    body_set(request, FRAME_CREATE_SCHEDULES, events, count * sizeof events[0]);
}

static void make_limits(struct request *request)
{
    struct giro_limits events[LEDGER_RANDOM_EVENTS];
    random_prepare();
    uint32_t count = ledger_random_limits(&all.random, events);
    body_set(request, FRAME_SET_LIMITS, events, count * sizeof events[0]);
}

static void make_cut_off(struct request *request)
{
    struct giro_cut_off events[LEDGER_RANDOM_EVENTS];
    random_prepare();
    uint32_t count = ledger_random_cut_offs(&all.random, events);
    body_set(request, FRAME_CUT_OFF, events, count * sizeof events[0]);
}

giro_u128 client_lookup_id(uint8_t operation)
{
    switch (operation) {
    case FRAME_LOOKUP_ACCOUNTS:
    case FRAME_GET_LIMITS:
    case FRAME_GET_SETTLEMENTS:
        return 1 + chance_below(140);
    case FRAME_GET_LEASES:
        return chance_below(LEDGER_RANDOM_KEYS + 2);
    case FRAME_GET_SCHEDULES:
        return ledger_random_id(chance_below(all.random.schedule_next + 2));
    default:
        return ledger_random_id(chance_below(all.random.id_next + 1));
    }
}

static void make_lookup(struct request *request, uint8_t operation)
{
    giro_u128 ids[40];
    uint32_t count = (uint32_t)chance_below(sizeof ids / sizeof ids[0]);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = client_lookup_id(operation);
    body_set(request, operation, ids, count * sizeof ids[0]);
}

static void make_lease_or_schedule(struct request *request)
{
    uint64_t chance = chance_below(16);
    if (chance < 7)
        make_leases(request);
    else if (chance < 11)
        make_schedules(request);
    else if (chance < 12)
        make_cancels(request);
    else
        make_lookup(request, chance < 14 ? FRAME_GET_LEASES : FRAME_GET_SCHEDULES);
}

static uint32_t limit_choose(void)
{
    return (uint32_t)random_skewed(RANDOM_CLIENTS, 1, QUERY_LIMIT_MAX);
}

/* The time of some transfer, or nearly. */
static uint64_t time_choose(void)
{
    const struct model *model = judge_model();
    if (model->now.transfers_count == 0 || chance_below(3) != 0)
        return 0;
    uint64_t time = model->transfers[chance_below(model->now.transfers_count)].timestamp;
    /* An id that is only taken has none. */
    return time == 0 || time >= GIRO_TIMESTAMP_MAX ? 0 : time + chance_below(3) - 1;
}

static void times_choose(uint64_t *min, uint64_t *max)
{
    *min = time_choose();
    *max = time_choose();
    if (*max != 0 && *min > *max) {
        uint64_t kept = *min;
        *min = *max;
        *max = kept;
    }
}

void client_make_account_filter(struct giro_account_filter *filter)
{
    *filter = (struct giro_account_filter){
        .account_id = 1 + chance_below(LEDGER_RANDOM_ACCOUNTS + 2),
        .limit = limit_choose(),
        .flags = 1 + (uint32_t)chance_below(3) + 4 * (uint32_t)chance_below(2),
    };
    if (chance_below(4) == 0)
        filter->user_data_128 = chance_below(3);
    if (chance_below(4) == 0)
        filter->user_data_64 = chance_below(3);
    if (chance_below(4) == 0)
        filter->user_data_32 = (uint32_t)chance_below(3);
    if (chance_below(4) == 0)
        filter->code = (uint16_t)chance_below(3);
    times_choose(&filter->timestamp_min, &filter->timestamp_max);
}

static void make_account_query(struct request *request, uint8_t operation)
{
    struct giro_account_filter filter;
    client_make_account_filter(&filter);
    body_set(request, operation, &filter, sizeof filter);
}

void client_make_query_filter(struct giro_query_filter *filter)
{
    *filter = (struct giro_query_filter){
        .limit = limit_choose(),
        .flags = (uint32_t)chance_below(2),
    };
    if (chance_below(3) == 0)
        filter->user_data_128 = chance_below(3);
    if (chance_below(3) == 0)
        filter->user_data_64 = chance_below(3);
    if (chance_below(3) == 0)
        filter->user_data_32 = (uint32_t)chance_below(3);
    if (chance_below(3) == 0)
        filter->code = (uint16_t)chance_below(3);
    if (chance_below(3) == 0)
        filter->ledger = (uint32_t)chance_below(4);
    times_choose(&filter->timestamp_min, &filter->timestamp_max);
}

static void make_query(struct request *request, uint8_t operation)
{
    struct giro_query_filter filter;
    client_make_query_filter(&filter);
    body_set(request, operation, &filter, sizeof filter);
}

static void make_changes(const struct client *client, struct request *request)
{
    struct giro_change_filter filter = {
        .ordinal = client->ordinal,
        .limit = (uint32_t)random_skewed(RANDOM_CLIENTS, 1, FRAME_CHANGES_MAX),
        .wait_ms = (uint32_t)random_skewed(RANDOM_CLIENTS, 0, 2000),
    };
    body_set(request, FRAME_READ_CHANGES, &filter, sizeof filter);
}

static void request_make(struct client *client, struct request *request)
{
    *request = (struct request){0};
    if (client->kind == CLIENT_SUBSCRIBER) {
        make_changes(client, request);
        return;
    }
    uint64_t chance = chance_below(100);
    if (random_chance(RANDOM_CLIENTS, all.plan.snapshot))
        body_set(request, FRAME_SNAPSHOT, NULL, 0);
    else if (chance < 8 || judge_model()->now.accounts_count == 0)
        make_accounts(request);
    else if (chance < 11)
        make_limits(request);
    else if (chance < 14)
        make_cut_off(request);
    else if (chance < 26)
        make_lease_or_schedule(request);
    else if (chance < 70)
        make_transfers(request);
    else if (chance < 72)
        make_lookup(request, FRAME_GET_SETTLEMENTS);
    else if (chance < 76)
        make_lookup(request, chance < 75 ? FRAME_LOOKUP_ACCOUNTS : FRAME_GET_LIMITS);
    else if (chance < 82)
        make_lookup(request, chance < 79 ? FRAME_LOOKUP_TRANSFERS : FRAME_LOOKUP_PAYMENTS);
    else if (chance < 86)
        make_account_query(request, FRAME_GET_ACCOUNT_TRANSFERS);
    else if (chance < 89)
        make_account_query(request, FRAME_GET_ACCOUNT_BALANCES);
    else if (chance < 93)
        make_query(request, FRAME_QUERY_ACCOUNTS);
    else if (chance < 97)
        make_query(request, FRAME_QUERY_TRANSFERS);
    else
        body_set(request, chance < 98 ? FRAME_STATS : FRAME_PING, NULL, 0);
}

/* ---- Sending ----------------------------------------------------------------------------- */

static void frame_send(struct client *client, uint8_t operation, uint16_t flags, uint64_t id,
                       const void *body, uint32_t body_bytes)
{
    static _Alignas(16) char frame[FRAME_BYTES_MAX];
    struct frame_header header = {.operation = operation, .flags = flags, .request_id = id};
    memcpy(frame, &header, sizeof header);
    if (body_bytes > 0)
        memcpy(frame + sizeof header, body, body_bytes);
    frame_seal(frame, body_bytes);
    network_send(client->connection, frame, sizeof header + body_bytes);
}

static void client_timed_out(void *context, uint64_t id);

static void request_send(struct client *client, struct request *request)
{
    request->id = ++all.request_id;
    request->sent = true;
    request->created = false;
    request->executed = false;
    request->floor = judge_floor();
    free(request->expected);
    request->expected = NULL;
    client_counts.requests++;
    client_counts.operations[request->operation]++;
    frame_send(client, request->operation, request->flags, request->id, request->body,
               request->body_bytes);
    machine_at(machine_now() + all.plan.patience_ns, false, client_timed_out, client, request->id);
}

static void request_free(struct request *request)
{
    free(request->body);
    free(request->expected);
    *request = (struct request){0};
}

/* ---- Connections ------------------------------------------------------------------------- */

static void client_connect(void *context, uint64_t generation);

static void connect_later(struct client *client)
{
    uint64_t after = RETRY_NS / 10 + chance_below(RETRY_NS);
    machine_at(machine_now() + after, false, client_connect, client, client->generation);
}

/* The connection is gone, and with it the knowledge of what became of the requests. */
static void client_disconnected(struct client *client)
{
    client->connection = -1;
    client->greeted = false;
    client->in_bytes = 0;
    client->generation++;
    for (uint32_t i = 0; i < client->request_count; i++) {
        client_counts.retries += client->requests[i].sent;
        client->requests[i].sent = false;
    }
    connect_later(client);
}

static void client_broken(void *context)
{
    client_disconnected(context);
}

static void client_hang_up(struct client *client)
{
    if (client->connection < 0)
        return;
    network_hang_up(client->connection);
    client_disconnected(client);
}

static void client_timed_out(void *context, uint64_t id)
{
    struct client *client = context;
    for (uint32_t i = 0; i < client->request_count; i++) {
        if (client->requests[i].sent && client->requests[i].id == id) {
            client_counts.timeouts++;
            machine_trace("client %td: request %" PRIu64 " takes too long", client - all.clients,
                          id);
            client_hang_up(client);
            return;
        }
    }
}

static void client_arrived(void *context, const char *bytes, size_t size);

static void client_connect(void *context, uint64_t generation)
{
    static const struct network_client functions = {client_arrived, client_broken};
    struct client *client = context;
    if (!client->used || client->generation != generation || client->connection >= 0)
        return;
    client->connection = network_connect(NETWORK_NATIVE, &functions, client);
    if (client->connection < 0) {
        connect_later(client);
        return;
    }
    struct frame_hello hello = {.version_min = 1, .version_max = 1, .client = "simulated"};
    frame_send(client, FRAME_HELLO, 0, 0, &hello, sizeof hello);
    if (client->kind == CLIENT_STRANGER)
        client_next(client);
}

/* ---- What the program does with a frame ------------------------------------------------------ */

static struct request *request_of(int fd, uint64_t id)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &all.clients[i];
        if (!client->used || client->connection != fd - NETWORK_FD_FIRST)
            continue;
        for (uint32_t j = 0; j < client->request_count; j++) {
            if (client->requests[j].sent && client->requests[j].id == id)
                return &client->requests[j];
        }
    }
    return NULL;
}

static void expect(struct request *request, const void *bytes, uint32_t size)
{
    free(request->expected);
    request->expected = malloc(size > 0 ? size : 1);
    if (request->expected == NULL)
        machine_fail("out of memory");
    if (size > 0)
        memcpy(request->expected, bytes, size);
    request->expected_bytes = size;
}

void client_created(const struct ledger_output *output, uint64_t timestamp)
{
    all.created.timestamp = timestamp;
    all.created.result_count = output->result_count;
    memcpy(all.created.results, output->results,
           output->result_count * sizeof all.created.results[0]);
    all.created.valid = true;
}

void client_told(const void *body, uint32_t bytes)
{
    memcpy(all.told.body, body, bytes);
    all.told.bytes = bytes;
    all.told.valid = true;
}

static void created_expect(struct request *request)
{
    static char body[FRAME_BODY_BYTES_MAX];
    struct frame_created head = {.timestamp_first = all.created.timestamp,
                                 .result_count = all.created.result_count};
    uint32_t bytes = all.created.result_count * (uint32_t)sizeof all.created.results[0];
    uint32_t size = sizeof head;
    memcpy(body, &head, sizeof head);
    if (request->operation == FRAME_CREATE_TRANSFERS_OUTCOMES)
        size += judge_outcomes(all.created.results, all.created.result_count,
                               request->body_bytes / GIRO_RECORD_BYTES, body + size);
    memcpy(body + size, all.created.results, bytes);
    expect(request, body, size + bytes);
    request->created = true;
}

void client_asked(int fd, const struct frame_header *header)
{
    struct request *request = request_of(fd, header->request_id);
    if (request != NULL)
        request->asked = judge_position();
}

void client_executed(int fd, const struct frame_header *header)
{
    static char body[FRAME_BODY_BYTES_MAX];
    struct request *request = request_of(fd, header->request_id);
    bool created = all.created.valid;
    bool told = all.told.valid;
    all.created.valid = false;
    all.told.valid = false;
    if (request == NULL || header->operation != request->operation)
        return;
    if (judge_position() < request->floor)
        machine_fail("request %" PRIu64 " is executed before something that was known when it was "
                     "sent",
                     request->id);
    request->executed = true;
    request->settles = judge_position();
    request->excuses = client_excuses;
    request->losses = all.losses;
    const giro_u128 *ids = (const giro_u128 *)(void *)request->body;
    uint32_t count = request->body_bytes / (uint32_t)sizeof *ids;
    switch (request->operation) {
    case FRAME_CREATE_ACCOUNTS:
    case FRAME_SET_LIMITS:
    case FRAME_CUT_OFF:
    case FRAME_CREATE_SCHEDULES:
    case FRAME_CANCEL_SCHEDULES:
    case FRAME_CREATE_TRANSFERS:
    case FRAME_CREATE_TRANSFERS_OUTCOMES:
        if (created)
            created_expect(request);
        break;
    case FRAME_LEASE:
    case FRAME_GET_LEASES:
        request->created = told;
        if (told)
            expect(request, all.told.body, all.told.bytes);
        break;
    case FRAME_GET_SCHEDULES:
        expect(request, body, judge_get_schedules(ids, count, body));
        break;
    case FRAME_LOOKUP_ACCOUNTS:
        expect(request, body, judge_lookup_accounts(ids, count, body));
        break;
    case FRAME_LOOKUP_TRANSFERS:
        expect(request, body, judge_lookup_transfers(ids, count, body));
        break;
    case FRAME_GET_LIMITS:
        expect(request, body, judge_get_limits(ids, count, body));
        break;
    case FRAME_GET_SETTLEMENTS:
        expect(request, body, judge_get_settlements(ids, count, body));
        break;
    case FRAME_LOOKUP_PAYMENTS:
        expect(request, body, judge_lookup_payments(ids, count, body));
        break;
    default:
        break;
    }
}

/* ---- Judging replies --------------------------------------------------------------------- */

static bool is_query(uint8_t operation)
{
    return operation >= FRAME_GET_ACCOUNT_TRANSFERS && operation <= FRAME_READ_CHANGES;
}

/* Whether the follower answers it: then it depends on what there was when it was asked for. */
static bool is_followers(uint8_t operation)
{
    return is_query(operation) || operation == FRAME_SNAPSHOT;
}

/* Whether the answer is as good as none: the request is to be sent again. */
static bool status_means_later(uint32_t status, const struct request *request)
{
    switch (status) {
    case FRAME_QUERY_CANCELLED:
        return true;
    case FRAME_FOLLOWER_OFF:
        return request->excuses.follower_off;
    case FRAME_STORAGE_FULL:
        client_counts.refused++;
        return request->excuses.full && !request->created;
    case FRAME_SNAPSHOT_FAILED:
        return request->excuses.full || request->excuses.damage;
    case FRAME_RECORD_DAMAGED:
    case FRAME_INDEX_DAMAGED:
        client_counts.damaged++;
        return request->excuses.damage && !request->created;
    default:
        return false;
    }
}

static const char *changes_judge(struct client *client, const struct request *request,
                                 const char *body, uint32_t bytes)
{
    static struct giro_change changes[FRAME_CHANGES_MAX];
    struct giro_change_filter filter;
    struct frame_changes head;
    memcpy(&filter, request->body, sizeof filter);
    if (bytes < sizeof head)
        return "no head";
    memcpy(&head, body, sizeof head);
    if (head.count > filter.limit || bytes != sizeof head + head.count * sizeof changes[0])
        return "the head does not fit its body";
    memcpy(changes, body + sizeof head, head.count * sizeof changes[0]);
    if (head.ordinal_next < filter.ordinal || head.ordinal_next > head.ordinal_end)
        return "ordinals out of order";
    client_counts.changes += head.count;
    client->ordinal = head.ordinal_next;
    return judge_changes(&client->seen, changes, head.count);
}

static const char *query_judge(struct client *client, const struct request *request,
                               const char *body, uint32_t bytes)
{
    static _Alignas(16) char found[FRAME_BODY_BYTES_MAX];
    const void *items = found;
    const void *filter = request->body;
    uint32_t count = bytes / GIRO_RECORD_BYTES;
    client_counts.queries++;
    if (request->operation == FRAME_READ_CHANGES)
        return changes_judge(client, request, body, bytes);
    if (bytes % GIRO_RECORD_BYTES != 0)
        return "not a number of records";
    memcpy(found, body, bytes);
    switch (request->operation) {
    case FRAME_GET_ACCOUNT_TRANSFERS:
        return judge_account_transfers(filter, request->asked, items, count);
    case FRAME_GET_ACCOUNT_BALANCES:
        return judge_account_balances(filter, request->asked, items, count);
    case FRAME_QUERY_ACCOUNTS:
        return judge_query_accounts(filter, request->asked, items, count);
    default:
        return judge_query_transfers(filter, request->asked, items, count);
    }
}

static const char *settlements_judge(const char *body, uint32_t bytes)
{
    static struct giro_settlement settlements[FRAME_EVENTS_MAX];
    memcpy(settlements, body, bytes);
    return judge_settlements_told(settlements, bytes / (uint32_t)sizeof settlements[0]);
}

bool client_no_history(const struct giro_account_filter *filter)
{
    const struct giro_account *account = model_account(judge_model(), filter->account_id);
    return account != NULL && (account->flags & GIRO_ACCOUNT_HISTORY) == 0;
}

static bool no_history(const struct request *request)
{
    struct giro_account_filter filter;
    memcpy(&filter, request->body, sizeof filter);
    return client_no_history(&filter);
}

/* Whether its reply is one that the ledger has given. */
static bool changes_something(uint8_t operation)
{
    static const uint8_t operations[] = {
        FRAME_CREATE_ACCOUNTS,  FRAME_CREATE_TRANSFERS, FRAME_CREATE_TRANSFERS_OUTCOMES,
        FRAME_SET_LIMITS,       FRAME_CUT_OFF,          FRAME_LEASE,
        FRAME_CREATE_SCHEDULES, FRAME_CANCEL_SCHEDULES,
    };
    return memchr(operations, operation, sizeof operations) != NULL;
}

static const char *reply_judge(struct client *client, struct request *request,
                               const struct frame_header *header, const char *body)
{
    if (!request->executed)
        return "nobody has executed it";
    if (header->status == FRAME_FILTER_NO_HISTORY &&
        request->operation == FRAME_GET_ACCOUNT_BALANCES)
        return no_history(request) ? NULL : "the account has a history";
    if (header->status == FRAME_FILTER_ORDINAL && request->operation == FRAME_READ_CHANGES)
        return "what was read once is not there any more";
    if (header->status != FRAME_OK)
        return "its status has no reason";
    judge_floor_raise(is_followers(request->operation) ? request->asked : request->settles);
    if (is_query(request->operation))
        return query_judge(client, request, body, header->body_bytes);
    if (changes_something(request->operation)) {
        if (!request->created)
            return "it was not executed, and is said to be";
        client_counts.events += request->body_bytes / GIRO_RECORD_BYTES;
    }
    if (request->expected == NULL)
        return NULL;
    if (header->body_bytes != request->expected_bytes)
        return "its size is wrong";
    if (memcmp(body, request->expected, request->expected_bytes) != 0)
        return "its body is wrong";
    return request->operation == FRAME_GET_SETTLEMENTS ? settlements_judge(body, header->body_bytes)
                                                       : NULL;
}

static void reply_take(struct client *client, const struct frame_header *header, const char *body)
{
    struct request *request = &client->requests[0];
    if (header->operation == FRAME_HELLO && !client->greeted) {
        if (header->status == FRAME_OK) {
            client->greeted = true;
            client_next(client);
        } else {
            client_hang_up(client);
        }
        return;
    }
    if (client->kind == CLIENT_STRANGER)
        return;
    if (header->status == FRAME_TIMED_OUT || header->status == FRAME_SHUTTING_DOWN ||
        header->status == FRAME_TOO_MANY_CONNECTIONS) {
        client_hang_up(client);
        return;
    }
    if (client->request_count == 0 || header->request_id != request->id)
        machine_fail("client %td: an answer that nobody asked for: request %" PRIu64
                     ", operation %u, status %u",
                     client - all.clients, header->request_id, header->operation, header->status);
    bool lost = request->executed && request->losses != all.losses;
    if (lost || status_means_later(header->status, request)) {
        client_hang_up(client);
        return;
    }
    const char *wrong = reply_judge(client, request, header, body);
    if (wrong != NULL)
        machine_fail("client %td, request %" PRIu64 ", operation %u, status %s: %s",
                     client - all.clients, request->id, request->operation,
                     frame_status_name(header->status), wrong);
    request_free(request);
    client->request_count--;
    memmove(client->requests, client->requests + 1,
            client->request_count * sizeof client->requests[0]);
    if (random_chance(RANDOM_CLIENTS, all.plan.vanish))
        client_hang_up(client);
    else
        client_next(client);
}

static void client_arrived(void *context, const char *bytes, size_t size)
{
    struct client *client = context;
    if (client->in_bytes + size > client->in_capacity) {
        client->in_capacity = 2 * (client->in_bytes + size);
        client->in = realloc(client->in, client->in_capacity);
        if (client->in == NULL)
            machine_fail("out of memory");
    }
    memcpy(client->in + client->in_bytes, bytes, size);
    client->in_bytes += size;
    uint64_t generation = client->generation;
    size_t at = 0;
    struct frame_header header;
    while (client->generation == generation && client->in_bytes - at >= sizeof header) {
        memcpy(&header, client->in + at, sizeof header);
        if (frame_check_header(&header) != FRAME_OK)
            machine_fail("client %td: not a frame", client - all.clients);
        size_t whole = sizeof header + header.body_bytes;
        if (client->in_bytes - at < whole)
            break;
        memmove(client->in, client->in + at, client->in_bytes - at);
        client->in_bytes -= at;
        if (frame_check_body(client->in) != FRAME_OK)
            machine_fail("client %td: a frame with a wrong checksum", client - all.clients);
        at = whole;
        reply_take(client, &header, client->in + sizeof header);
    }
    if (client->generation != generation)
        return;
    memmove(client->in, client->in + at, client->in_bytes - at);
    client->in_bytes -= at;
}

/* ---- What a client does next --------------------------------------------------------------- */

static void stranger_send(struct client *client)
{
    static _Alignas(16) char frame[4096];
    static const uint8_t operations[] = {1,  2,  3,  16, 17, 18, 19, 20, 21, 22, 23,
                                         24, 30, 31, 32, 33, 34, 35, 36, 37, 77};
    struct frame_header header = {
        .operation = operations[chance_below(sizeof operations)],
        .request_id = random_next(RANDOM_CLIENTS),
    };
    uint32_t bytes = (uint32_t)chance_below(sizeof frame - sizeof header);
    if (chance_below(2) == 0)
        bytes -= bytes % GIRO_RECORD_BYTES;
    for (uint32_t i = 0; i < bytes; i++)
        frame[sizeof header + i] = chance_below(3) == 0 ? (char)chance_below(256) : 0;
    memcpy(frame, &header, sizeof header);
    frame_seal(frame, bytes);
    for (uint64_t flips = chance_below(3); flips > 0; flips--)
        frame[chance_below(sizeof header + bytes)] ^= (char)(1u << chance_below(8));
    client_counts.stranger_frames++;
    network_send(client->connection, frame,
                 chance_below(8) == 0 ? chance_below(sizeof header + bytes)
                                      : sizeof header + bytes);
}

static void think_done(void *context, uint64_t generation)
{
    struct client *client = context;
    if (!client->used || client->generation != generation || client->connection < 0)
        return;
    if (client->kind == CLIENT_STRANGER) {
        stranger_send(client);
        if (chance_below(4) == 0)
            client_hang_up(client);
        else
            client_next(client);
        return;
    }
    for (uint32_t i = 0; i < client->request_count; i++) {
        if (!client->requests[i].sent)
            request_send(client, &client->requests[i]);
    }
    uint32_t pipeline = client->kind == CLIENT_SUBSCRIBER ? 1 : all.plan.pipeline;
    while (client->left > 0 && client->request_count < pipeline) {
        struct request *request = &client->requests[client->request_count++];
        request_make(client, request);
        client->left -= client->kind == CLIENT_WORKER;
        request_send(client, request);
    }
}

static void client_next(struct client *client)
{
    machine_at(machine_now() + 1 + chance_below(all.plan.think_ns + 1), false, think_done, client,
               client->generation);
}

void clients_start(const struct client_plan *plan)
{
    uint32_t count = plan->workers + plan->subscribers + plan->strangers;
    clients_stop();
    memset(&all.random, 0, sizeof all.random);
    all.random.state = random_next(RANDOM_CLIENTS);
    all.random.id_next = 1;
    all.plan = *plan;
    all.request_id = 0;
    all.losses = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct client *client = &all.clients[i];
        client->kind = i < plan->workers                       ? CLIENT_WORKER
                       : i < plan->workers + plan->subscribers ? CLIENT_SUBSCRIBER
                                                               : CLIENT_STRANGER;
        client->used = true;
        client->connection = -1;
        client->left = client->kind == CLIENT_WORKER ? plan->requests : 1;
        connect_later(client);
    }
}

void clients_refill(void)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &all.clients[i];
        if (!client->used || client->kind != CLIENT_WORKER)
            continue;
        client->left = all.plan.requests;
        if (client->greeted)
            client_next(client);
    }
}

/* What it has read may be gone as well: it begins again. */
static void subscriber_begin(struct client *client)
{
    client_hang_up(client);
    for (uint32_t i = 0; i < client->request_count; i++)
        request_free(&client->requests[i]);
    client->request_count = 0;
    client->left = 1;
    client->seen = 0;
    client->ordinal = 0;
}

void clients_forget_floor(void)
{
    all.losses++;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &all.clients[i];
        for (uint32_t j = 0; j < client->request_count; j++)
            client->requests[j].floor = 0;
        if (client->used && client->kind == CLIENT_SUBSCRIBER)
            subscriber_begin(client);
    }
}

void clients_stop(void)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &all.clients[i];
        for (uint32_t j = 0; j < client->request_count; j++)
            request_free(&client->requests[j]);
        free(client->in);
        uint64_t generation = client->generation + 1;
        *client = (struct client){.connection = -1, .generation = generation};
    }
}

bool clients_done(void)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        const struct client *client = &all.clients[i];
        if (!client->used || client->kind == CLIENT_STRANGER)
            continue;
        if (client->kind == CLIENT_SUBSCRIBER && client->seen < judge_change_count())
            return false;
        if (client->kind == CLIENT_WORKER && client->left + client->request_count > 0)
            return false;
    }
    return true;
}

void clients_settle(void)
{
    all.plan.vanish = 0;
    all.plan.patience_ns = 60ull * 1000 * 1000 * 1000;
    all.plan.strangers = 0;
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &all.clients[i];
        if (client->used && client->kind == CLIENT_STRANGER) {
            client_hang_up(client);
            client->used = false;
        }
    }
}
