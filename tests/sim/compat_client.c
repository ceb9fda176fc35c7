#include "tests/sim/compat_client.h"

#include "tests/ledger_random.h"
#include "tests/sim/judge.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMPAT_CLIENTS_MAX = 4,
    BATCHES_MAX = 3,
    EVENTS_MAX = BATCHES_MAX * LEDGER_RANDOM_EVENTS,
    BODY_BYTES_MAX = (EVENTS_MAX + 1) * GIRO_RECORD_BYTES,
    REGISTER_BYTES = 256,
    REGISTERED_BYTES = 64,
    RELEASE = 17 << 8 | 9,
    ASKED_NOT = -1,
    RETRY_NS = 20 * 1000 * 1000,
    RENEW_PERMILLE = 40,   /* of answers that are a session's last one */
    OWN_RESULTS = 127,     /* beyond it: those of the native protocol */
    FOREIGN_PERMILLE = 30, /* of events with flags of the native protocol */
};

/* Operations: those of every encoding. */
static const uint8_t account_operations[] = {129, 138, 146};
static const uint8_t transfer_operations[] = {130, 139, 147};
static const uint8_t account_lookups[] = {131, 140};
static const uint8_t transfer_lookups[] = {132, 141};
static const uint8_t queries[] = {133, 134, 135, 136, 142, 143, 144, 145};

union event {
    struct giro_account account;
    struct giro_transfer transfer;
};

/* What is wanted: the same whatever session asks for it. */
struct wish {
    uint8_t operation;
    uint32_t batches;
    uint32_t counts[BATCHES_MAX];
    uint32_t elements;
    union {
        union event events[EVENTS_MAX];
        giro_u128 ids[EVENTS_MAX];
        struct giro_account_filter account_filters[BATCHES_MAX];
        struct giro_query_filter query_filters[BATCHES_MAX];
    };
};

/* The result of one event. */
struct outcome {
    uint32_t code; /* 0: created */
    uint64_t timestamp;
};

struct compat_client {
    bool used;
    int connection;      /* -1: none */
    uint64_t generation; /* an event of an earlier connection is void */
    char *in;
    size_t in_bytes;
    size_t in_capacity;
    uint32_t left; /* requests to be made */

    giro_u128 id;     /* of the session, 0: it has none */
    uint64_t session; /* its number; 0: it is not registered yet */
    uint32_t request; /* number of the one under way, or of the last one */

    struct wish wish;
    bool wishes;      /* there is one that was not answered */
    bool waits;       /* the message has no answer yet */
    bool sent;        /* ... on this connection */
    uint64_t sending; /* number of the last time that it was sent */
    _Alignas(16) char message[COMPAT_HEADER_BYTES + BODY_BYTES_MAX];
    uint32_t message_bytes;
    uint32_t floor;  /* when it was sent: it is executed behind that */
    uint64_t losses; /* the same */

    bool executed;  /* what follows is of its last execution */
    uint32_t asked; /* position at which the follower was asked; ASKED_NOT */
    uint32_t settles;
    uint64_t commit;
    uint64_t timestamp;
    char body[BODY_BYTES_MAX];
    uint32_t body_bytes;
};

static struct {
    struct client_plan plan;
    struct compat_client clients[COMPAT_CLIENTS_MAX];
    uint64_t session_id;
    uint64_t sending;
    uint64_t losses;
    /* Of the request that is being executed, batch after batch. */
    struct outcome outcomes[EVENTS_MAX];
    uint32_t outcome_count;
} all;

static void client_next(struct compat_client *client);

static uint64_t chance_below(uint64_t limit)
{
    return random_below(RANDOM_CLIENTS, limit);
}

static const struct compat_header *message_header(const struct compat_client *client)
{
    return (const struct compat_header *)(const void *)client->message;
}

static bool creates(uint8_t operation)
{
    const enum compat_kind kind = compat_format_of(operation)->kind;
    return kind == COMPAT_CREATE_ACCOUNTS || kind == COMPAT_CREATE_TRANSFERS;
}

static bool looks_up(uint8_t operation)
{
    const enum compat_kind kind = compat_format_of(operation)->kind;
    return kind == COMPAT_LOOKUP_ACCOUNTS || kind == COMPAT_LOOKUP_TRANSFERS;
}

/* ---- Making requests --------------------------------------------------------------------- */

static uint32_t batch_make(enum compat_kind kind, struct wish *wish)
{
    union event *events = wish->events + wish->elements;
    struct giro_account accounts[LEDGER_RANDOM_EVENTS];
    struct giro_transfer transfers[LEDGER_RANDOM_EVENTS];
    uint32_t count = 0;
    switch (kind) {
    case COMPAT_CREATE_ACCOUNTS:
        count = client_make_accounts(accounts);
        for (uint32_t i = 0; i < count; i++) {
            if (!random_chance(RANDOM_CLIENTS, FOREIGN_PERMILLE))
                accounts[i].flags &= GIRO_ACCOUNT_SETTLES - 1;
            events[i].account = accounts[i];
        }
        break;
    case COMPAT_CREATE_TRANSFERS:
        count = client_make_transfers(transfers);
        for (uint32_t i = 0; i < count; i++) {
            if (!random_chance(RANDOM_CLIENTS, FOREIGN_PERMILLE))
                transfers[i].flags &= GIRO_TRANSFER_RETURN - 1;
            events[i].transfer = transfers[i];
        }
        break;
    case COMPAT_GET_ACCOUNT_TRANSFERS:
    case COMPAT_GET_ACCOUNT_BALANCES:
        client_make_account_filter(&wish->account_filters[wish->elements]);
        return 1;
    case COMPAT_QUERY_ACCOUNTS:
    case COMPAT_QUERY_TRANSFERS:
        client_make_query_filter(&wish->query_filters[wish->elements]);
        return 1;
    default:
        count = (uint32_t)chance_below(LEDGER_RANDOM_EVENTS);
        for (uint32_t i = 0; i < count; i++)
            wish->ids[wish->elements + i] = client_lookup_id(
                kind == COMPAT_LOOKUP_ACCOUNTS ? FRAME_LOOKUP_ACCOUNTS : FRAME_LOOKUP_TRANSFERS);
        break;
    }
    return count;
}

#define ONE_OF(operations) (operations)[chance_below(sizeof(operations))]

static void wish_make(struct compat_client *client)
{
    struct wish *wish = &client->wish;
    const uint64_t chance = chance_below(100);
    memset(wish, 0, sizeof *wish);
    if (chance < 12 || judge_model()->now.accounts_count == 0)
        wish->operation = ONE_OF(account_operations);
    else if (chance < 70)
        wish->operation = ONE_OF(transfer_operations);
    else if (chance < 80)
        wish->operation = ONE_OF(queries);
    else
        wish->operation = chance < 90 ? ONE_OF(account_lookups) : ONE_OF(transfer_lookups);
    const struct compat_format *format = compat_format_of(wish->operation);
    wish->batches = format->batches ? 1 + (uint32_t)chance_below(BATCHES_MAX) : 1;
    for (uint32_t batch = 0; batch < wish->batches; batch++) {
        wish->counts[batch] = batch_make(format->kind, wish);
        wish->elements += wish->counts[batch];
    }
    client->wishes = true;
}

/* Writes the trailer of batches with so many elements, behind bytes of a body, as net/compat_frame.h
 * says. Returns the bytes with it. */
static uint32_t trailer_write(const struct wish *wish, const uint32_t *counts, uint32_t size,
                              char *body, uint32_t bytes)
{
    if (!compat_format_of(wish->operation)->batches)
        return bytes;
    uint32_t end = bytes;
    while (end < bytes + 2 * wish->batches + 2)
        end += size;
    memset(body + bytes, 0xff, end - bytes);
    for (uint32_t i = 0; i <= wish->batches; i++) {
        const uint16_t number = (uint16_t)(i == 0 ? wish->batches : counts[i - 1]);
        memcpy(body + end - 2 * (i + 1), &number, sizeof number);
    }
    return end;
}

/* The message of the request under way, or of a new session's registration. */
static void message_make(struct compat_client *client)
{
    const struct wish *wish = &client->wish;
    char *body = client->message + COMPAT_HEADER_BYTES;
    uint32_t bytes = REGISTER_BYTES;
    struct compat_header header = {
        .release = RELEASE,
        .command = COMPAT_REQUEST,
        .request = {.client = client->id, .operation = COMPAT_REGISTER},
    };
    if (client->session == 0) {
        memset(body, 0, bytes);
    } else {
        const uint32_t size = compat_format_of(wish->operation)->event_bytes;
        header.request.session = client->session;
        header.request.request = client->request;
        header.request.operation = wish->operation;
        memcpy(body, wish->events, (size_t)wish->elements * size);
        bytes = trailer_write(wish, wish->counts, size, body, wish->elements * size);
    }
    header.size = COMPAT_HEADER_BYTES + bytes;
    compat_seal(&header, body);
    memcpy(client->message, &header, sizeof header);
    client->message_bytes = header.size;
    client->waits = true;
    client->executed = false;
}

static void session_begin(struct compat_client *client)
{
    client->id = (giro_u128)++all.session_id << 64 | 7;
    client->session = 0;
    client->request = 0;
    message_make(client);
}

/* ---- Sending ----------------------------------------------------------------------------- */

static void client_timed_out(void *context, uint64_t sending);

static void message_send(struct compat_client *client)
{
    client->sent = true;
    client->sending = ++all.sending;
    client->floor = judge_floor();
    client->losses = all.losses;
    client->asked = (uint32_t)ASKED_NOT;
    client_counts.session_requests++;
    network_send(client->connection, client->message, client->message_bytes);
    machine_at(machine_now() + all.plan.patience_ns, false, client_timed_out, client,
               client->sending);
}

/* ---- Connections ------------------------------------------------------------------------- */

static void client_connect(void *context, uint64_t generation);

static void connect_later(struct compat_client *client)
{
    const uint64_t after = RETRY_NS / 10 + chance_below(RETRY_NS);
    machine_at(machine_now() + after, false, client_connect, client, client->generation);
}

static void client_disconnected(void *context)
{
    struct compat_client *client = context;
    client_counts.session_retries += client->sent;
    client->connection = -1;
    client->in_bytes = 0;
    client->sent = false;
    client->generation++;
    connect_later(client);
}

static void client_hang_up(struct compat_client *client)
{
    if (client->connection < 0)
        return;
    network_hang_up(client->connection);
    client_disconnected(client);
}

static void client_timed_out(void *context, uint64_t sending)
{
    struct compat_client *client = context;
    if (!client->sent || client->sending != sending)
        return;
    client_counts.timeouts++;
    client_hang_up(client);
}

static void client_arrived(void *context, const char *bytes, size_t size);

static void client_connect(void *context, uint64_t generation)
{
    static const struct network_client functions = {client_arrived, client_disconnected};
    struct compat_client *client = context;
    if (!client->used || client->generation != generation || client->connection >= 0)
        return;
    client->connection = network_connect(NETWORK_COMPAT, &functions, client);
    if (client->connection < 0)
        connect_later(client);
    else
        client_next(client);
}

/* ---- What the program does with a message ------------------------------------------------- */

static void outcome_add(uint32_t code, uint64_t timestamp)
{
    if (all.outcome_count == EVENTS_MAX)
        machine_fail("a request is executed that nobody has sent");
    all.outcomes[all.outcome_count++] = (struct outcome){code, timestamp};
}

/* What this protocol has for the results of limits. */
static uint32_t transfer_code(uint32_t code)
{
    if (code == GIRO_TRANSFER_ACCOUNT_BLOCKED)
        return GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED;
    return code > OWN_RESULTS ? (uint32_t)GIRO_TRANSFER_EXCEEDS_CREDITS : code;
}

/* The events of a batch, of either kind. */
struct batch {
    const void *events;
    size_t size;
    uint32_t linked;
    uint32_t exists;
    uint32_t count;
    uint64_t timestamp;
    giro_u128 (*id)(const void *event);
    uint64_t (*given)(const void *event); /* the timestamp that it came with */
    bool (*is_linked)(const void *event);
    uint64_t (*known)(giro_u128 id); /* when it was made, as the model has it; 0: it was not */
};

static const void *batch_event(const struct batch *batch, uint32_t i)
{
    return (const char *)batch->events + i * batch->size;
}

/* When the event was made that event i finds in its place: in front of it in its own chain, which breaks
 * there, or at any time. */
static uint64_t existing_timestamp(const struct batch *batch, uint32_t i)
{
    const giro_u128 id = batch->id(batch_event(batch, i));
    for (uint32_t at = i; at > 0 && batch->is_linked(batch_event(batch, at - 1)); at--) {
        if (batch->id(batch_event(batch, at - 1)) != id)
            continue;
        const uint64_t given = batch->given(batch_event(batch, at - 1));
        return given != 0 ? given : batch->timestamp + at - 1;
    }
    return batch->known(id);
}

static void batch_follow(const struct batch *batch, const struct ledger_output *output)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        const uint64_t given = batch->given(batch_event(batch, i));
        uint32_t code = 0;
        uint64_t timestamp = batch->timestamp + i;
        if (failed < output->result_count && output->results[failed].index == i)
            code = output->results[failed++].code;
        if ((code == 0 || code == GIRO_TRANSFER_LINKED_EVENT_FAILED) && given != 0)
            timestamp = given;
        else if (code == batch->exists)
            timestamp = existing_timestamp(batch, i);
        outcome_add(batch->exists == GIRO_TRANSFER_EXISTS ? transfer_code(code) : code, timestamp);
    }
}

static giro_u128 account_id(const void *event)
{
    return ((const struct giro_account *)event)->id;
}

static uint64_t account_given(const void *event)
{
    return ((const struct giro_account *)event)->timestamp;
}

static bool account_is_linked(const void *event)
{
    return (((const struct giro_account *)event)->flags & GIRO_ACCOUNT_LINKED) != 0;
}

static uint64_t account_known(giro_u128 id)
{
    const struct giro_account *account = model_account(judge_model(), id);
    return account == NULL ? 0 : account->timestamp;
}

static giro_u128 transfer_id(const void *event)
{
    return ((const struct giro_transfer *)event)->id;
}

static uint64_t transfer_given(const void *event)
{
    return ((const struct giro_transfer *)event)->timestamp;
}

static bool transfer_is_linked(const void *event)
{
    return (((const struct giro_transfer *)event)->flags & GIRO_TRANSFER_LINKED) != 0;
}

static uint64_t transfer_known(giro_u128 id)
{
    const struct giro_transfer *transfer = model_transfer(judge_model(), id);
    return transfer == NULL ? 0 : transfer->timestamp;
}

void compat_client_accounts(const struct giro_account *events, uint32_t count, uint64_t timestamp,
                            const struct ledger_output *output)
{
    const struct batch batch = {
        .events = events,
        .size = sizeof *events,
        .exists = GIRO_ACCOUNT_EXISTS,
        .count = count,
        .timestamp = timestamp,
        .id = account_id,
        .given = account_given,
        .is_linked = account_is_linked,
        .known = account_known,
    };
    batch_follow(&batch, output);
}

void compat_client_transfers(const struct giro_transfer *events, uint32_t count, uint64_t timestamp,
                             const struct ledger_output *output)
{
    const struct batch batch = {
        .events = events,
        .size = sizeof *events,
        .exists = GIRO_TRANSFER_EXISTS,
        .count = count,
        .timestamp = timestamp,
        .id = transfer_id,
        .given = transfer_given,
        .is_linked = transfer_is_linked,
        .known = transfer_known,
    };
    batch_follow(&batch, output);
}

static void results_write(struct compat_client *client)
{
    const struct wish *wish = &client->wish;
    const struct compat_format *format = compat_format_of(wish->operation);
    const uint32_t created = UINT32_MAX;
    uint32_t counts[BATCHES_MAX] = {0};
    uint32_t next = 0;
    uint32_t bytes = 0;
    for (uint32_t batch = 0; batch < wish->batches; batch++) {
        for (uint32_t i = 0; i < wish->counts[batch]; i++) {
            const struct outcome *outcome = &all.outcomes[next++];
            const uint32_t sparse[2] = {i, outcome->code};
            const struct {
                uint64_t timestamp;
                uint32_t status;
                uint32_t reserved;
            } whole = {outcome->timestamp, outcome->code == 0 ? created : outcome->code, 0};
            if (format->sparse && outcome->code == 0)
                continue;
            memcpy(client->body + bytes, format->sparse ? (const void *)sparse : &whole,
                   format->result_bytes);
            bytes += format->result_bytes;
            counts[batch]++;
        }
    }
    client->body_bytes = trailer_write(wish, counts, format->result_bytes, client->body, bytes);
}

static void executed_set(struct compat_client *client, uint64_t commit, uint64_t timestamp)
{
    client->executed = true;
    client->settles = judge_position();
    client->commit = commit;
    client->timestamp = timestamp;
}

void compat_client_logged(const struct record_session *record, uint64_t address)
{
    const uint32_t count = all.outcome_count;
    all.outcome_count = 0;
    if (record->event_count != count)
        machine_fail("a session's record has %u events, and %u were executed", record->event_count,
                     count);
    for (uint32_t i = 0; i < COMPAT_CLIENTS_MAX; i++) {
        struct compat_client *client = &all.clients[i];
        if (!client->used || !client->waits || client->id != record->client ||
            message_header(client)->request.request != record->request_number)
            continue;
        executed_set(client, address, record->timestamp_first + (count == 0 ? 0 : count - 1));
        if (client->session == 0)
            client->body_bytes = REGISTERED_BYTES;
        else if (client->wish.elements != count)
            machine_fail("of %u events, %u were executed", client->wish.elements, count);
        else
            results_write(client);
    }
}

static void lookup_follow(struct compat_client *client)
{
    const struct wish *wish = &client->wish;
    const struct compat_format *format = compat_format_of(wish->operation);
    uint32_t counts[BATCHES_MAX] = {0};
    uint32_t first = 0;
    uint32_t bytes = 0;
    for (uint32_t batch = 0; batch < wish->batches; batch++) {
        const giro_u128 *ids = wish->ids + first;
        char *out = client->body + bytes;
        const uint32_t size = format->kind == COMPAT_LOOKUP_ACCOUNTS
                                  ? judge_lookup_accounts(ids, wish->counts[batch], out)
                                  : judge_lookup_transfers(ids, wish->counts[batch], out);
        counts[batch] = size / GIRO_RECORD_BYTES;
        first += wish->counts[batch];
        bytes += size;
    }
    client->body_bytes = trailer_write(wish, counts, GIRO_RECORD_BYTES, client->body, bytes);
    executed_set(client, 0, 0);
}

/* Whose message this is; NULL: nobody's any more. */
static struct compat_client *client_of(int fd, const struct compat_header *header)
{
    for (uint32_t i = 0; i < COMPAT_CLIENTS_MAX; i++) {
        struct compat_client *client = &all.clients[i];
        if (client->used && client->connection == fd - NETWORK_FD_FIRST && client->sent &&
            message_header(client)->checksum == header->checksum)
            return client;
    }
    return NULL;
}

void compat_client_asked(int fd, const struct compat_header *header)
{
    struct compat_client *client = client_of(fd, header);
    if (client != NULL)
        client->asked = judge_position();
}

void compat_client_executed(int fd, const struct compat_header *header)
{
    struct compat_client *client = client_of(fd, header);
    if (client == NULL)
        return;
    if (judge_position() < client->floor)
        machine_fail("a session's request is executed before something that was known when it was "
                     "sent");
    if (client->session == 0 || creates(client->wish.operation))
        return;
    if (looks_up(client->wish.operation)) {
        lookup_follow(client);
        return;
    }
    executed_set(client, 0, 0);
    if (client->asked != (uint32_t)ASKED_NOT)
        client->settles = client->asked;
}

/* ---- Judging replies --------------------------------------------------------------------- */

/* A create's body is known, a registration's begins with the largest body and is zeros from there on. */
static const char *body_judge(const struct compat_client *client, const char *body)
{
    uint32_t limit;
    if (client->session != 0)
        return memcmp(body, client->body, client->body_bytes) == 0 ? NULL : "its body is wrong";
    memcpy(&limit, body, sizeof limit);
    if (limit < BODY_BYTES_MAX || limit > COMPAT_BODY_BYTES_MAX)
        return "the largest body is too small or too large";
    for (uint32_t i = sizeof limit; i < REGISTERED_BYTES; i++) {
        if (body[i] != 0)
            return "its body is not zeros at the end";
    }
    return NULL;
}

static const char *query_judge(const struct compat_client *client, uint32_t batch,
                               const char *found, uint32_t count)
{
    static _Alignas(16) char items[COMPAT_BODY_BYTES_MAX];
    const struct giro_account_filter *account = &client->wish.account_filters[batch];
    const struct giro_query_filter *query = &client->wish.query_filters[batch];
    const void *all_items = items;
    memcpy(items, found, (size_t)count * GIRO_RECORD_BYTES);
    client_counts.queries++;
    switch (compat_format_of(client->wish.operation)->kind) {
    case COMPAT_GET_ACCOUNT_TRANSFERS:
        return judge_account_transfers(account, client->settles, all_items, count);
    case COMPAT_GET_ACCOUNT_BALANCES:
        if (client_no_history(account))
            return count == 0 ? NULL : "the account has no history";
        return judge_account_balances(account, client->settles, all_items, count);
    case COMPAT_QUERY_ACCOUNTS:
        return judge_query_accounts(query, client->settles, all_items, count);
    default:
        return judge_query_transfers(query, client->settles, all_items, count);
    }
}

/* The answers to all queries of a request, one after the other. */
static const char *queries_judge(const struct compat_client *client, const char *body,
                                 uint32_t bytes)
{
    const struct compat_format *format = compat_format_of(client->wish.operation);
    /* Its answer has as many batches, and its trailer is of the same form. */
    struct compat_format answer = *format;
    answer.event_bytes = format->result_bytes;
    struct compat_batches batches;
    if (!compat_batches_read(&answer, body, bytes, &batches) ||
        batches.count != client->wish.batches)
        return "its trailer is wrong";
    const char *wrong = NULL;
    for (uint32_t batch = 0; batch < batches.count && wrong == NULL; batch++) {
        const uint32_t count = compat_batch_elements(&batches, batch);
        wrong = query_judge(client, batch, body, count);
        body += (size_t)count * GIRO_RECORD_BYTES;
    }
    return wrong;
}

static const char *reply_judge(struct compat_client *client, const struct compat_header *reply,
                               const char *body)
{
    const struct compat_header *message = message_header(client);
    const bool changes = client->session == 0 || creates(client->wish.operation);
    if (!client->executed)
        return "nobody has executed it";
    if (changes && !judge_session_request(client->settles, client->id, message->request.request))
        return "what was executed is not there";
    const bool asks = !changes && !looks_up(client->wish.operation);
    if (!asks && reply->size != COMPAT_HEADER_BYTES + client->body_bytes)
        return "its size is wrong";
    struct compat_header expected = {
        .size = reply->size,
        .release = RELEASE,
        .command = COMPAT_REPLY,
        .reply = {.request_checksum = message->checksum,
                  .client = client->id,
                  .op = changes ? client->commit : reply->reply.op,
                  .commit = changes ? client->commit : reply->reply.op,
                  .timestamp = changes ? client->timestamp : reply->reply.timestamp,
                  .request = message->request.request,
                  .operation = message->request.operation},
    };
    compat_seal(&expected, body);
    if (memcmp(&expected, reply, sizeof expected) != 0)
        return "its header is wrong";
    judge_floor_raise(client->settles);
    return asks ? queries_judge(client, body, reply->size - COMPAT_HEADER_BYTES)
                : body_judge(client, body);
}

/* The session is over; whoever had it wants the same things in the next one. */
static void evicted(struct compat_client *client, const struct compat_header *header)
{
    client_counts.evictions++;
    if (header->eviction.client != client->id)
        machine_fail("a client is told of another one's session");
    if (header->eviction.reason == COMPAT_NO_SESSION) {
        if (judge_session_known(client->id))
            machine_fail("a session that is there is said not to be");
    } else if (header->eviction.reason != COMPAT_INVALID_BODY || !client_excuses.damage) {
        machine_fail("a client is evicted, for reason %u", header->eviction.reason);
    }
    session_begin(client);
    client_hang_up(client);
}

static void answered(struct compat_client *client, const struct compat_header *reply)
{
    client->waits = false;
    client->sent = false;
    if (client->session == 0) {
        client->session = reply->reply.op;
        if (client->wishes) {
            client->request++;
            message_make(client);
        }
    } else {
        client_counts.events += client->wish.elements;
        client->wishes = false;
        if (random_chance(RANDOM_CLIENTS, RENEW_PERMILLE))
            client->id = 0;
    }
    if (random_chance(RANDOM_CLIENTS, all.plan.vanish))
        client_hang_up(client);
    else
        client_next(client);
}

static void message_take(struct compat_client *client, const struct compat_header *header,
                         const char *body)
{
    if (!client->sent)
        machine_fail("session %" PRIu64 ": an answer that nobody asked for",
                     (uint64_t)(client->id >> 64));
    if (client->losses != all.losses) {
        client_hang_up(client);
        return;
    }
    if (header->command == COMPAT_EVICTION) {
        evicted(client, header);
        return;
    }
    const char *wrong = reply_judge(client, header, body);
    if (wrong != NULL)
        machine_fail("session %" PRIu64 ", request %u, operation %u: %s",
                     (uint64_t)(client->id >> 64), message_header(client)->request.request,
                     message_header(client)->request.operation, wrong);
    answered(client, header);
}

static void client_arrived(void *context, const char *bytes, size_t size)
{
    struct compat_client *client = context;
    const uint64_t generation = client->generation;
    if (client->in_bytes + size > client->in_capacity) {
        client->in_capacity = 2 * (client->in_bytes + size);
        client->in = realloc(client->in, client->in_capacity);
        if (client->in == NULL)
            machine_fail("out of memory");
    }
    memcpy(client->in + client->in_bytes, bytes, size);
    client->in_bytes += size;
    while (client->generation == generation && client->in_bytes >= COMPAT_HEADER_BYTES) {
        struct compat_header header;
        memcpy(&header, client->in, sizeof header);
        if (!compat_check_header(&header, 0))
            machine_fail("not a message of the compatible port");
        if (client->in_bytes < header.size)
            return;
        struct compat_header sealed = header;
        compat_seal(&sealed, client->in + COMPAT_HEADER_BYTES);
        if (memcmp(&sealed, &header, sizeof header) != 0)
            machine_fail("a message of the compatible port with a wrong checksum");
        message_take(client, &header, client->in + COMPAT_HEADER_BYTES);
        if (client->generation != generation)
            return;
        client->in_bytes -= header.size;
        memmove(client->in, client->in + header.size, client->in_bytes);
    }
}

/* ---- What a client does next --------------------------------------------------------------- */

static void think_done(void *context, uint64_t generation)
{
    struct compat_client *client = context;
    if (!client->used || client->generation != generation || client->connection < 0 || client->sent)
        return;
    if (!client->waits) {
        if (!client->wishes && client->left == 0)
            return;
        if (!client->wishes) {
            wish_make(client);
            client->left--;
        }
        if (client->id == 0) {
            session_begin(client);
        } else {
            client->request++;
            message_make(client);
        }
    }
    message_send(client);
}

static void client_next(struct compat_client *client)
{
    machine_at(machine_now() + 1 + chance_below(all.plan.think_ns + 1), false, think_done, client,
               client->generation);
}

void compat_clients_start(const struct client_plan *plan)
{
    assert(plan->sessions <= COMPAT_CLIENTS_MAX);
    compat_clients_stop();
    all.plan = *plan;
    all.session_id = 0;
    all.sending = 0;
    all.losses = 0;
    all.outcome_count = 0;
    for (uint32_t i = 0; i < plan->sessions; i++) {
        struct compat_client *client = &all.clients[i];
        client->used = true;
        client->left = plan->requests;
        connect_later(client);
    }
}

void compat_clients_stop(void)
{
    for (uint32_t i = 0; i < COMPAT_CLIENTS_MAX; i++) {
        struct compat_client *client = &all.clients[i];
        const uint64_t generation = client->generation + 1;
        free(client->in);
        memset(client, 0, sizeof *client);
        client->connection = -1;
        client->generation = generation;
    }
}

/* Gives every client as much to ask as it had at first. */
void compat_clients_refill(void)
{
    for (uint32_t i = 0; i < all.plan.sessions; i++) {
        struct compat_client *client = &all.clients[i];
        client->left = all.plan.requests;
        if (client->connection >= 0)
            client_next(client);
    }
}

/* What was acknowledged last is gone: sessions and requests with it. */
void compat_clients_forget(void)
{
    all.losses++;
    for (uint32_t i = 0; i < COMPAT_CLIENTS_MAX; i++)
        all.clients[i].floor = 0;
}

bool compat_clients_done(void)
{
    for (uint32_t i = 0; i < all.plan.sessions; i++) {
        const struct compat_client *client = &all.clients[i];
        if (client->left > 0 || client->wishes)
            return false;
    }
    return true;
}

void compat_clients_settle(void)
{
    all.plan.vanish = 0;
    all.plan.patience_ns = 60ull * 1000 * 1000 * 1000;
}
