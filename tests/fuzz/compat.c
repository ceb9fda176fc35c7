/* Fuzzes the protocol of TigerBeetle's clients: messages of several clients over several connections,
 * through the execution, the ledger, the log and the follower that a server has
 * (tests/fuzz/shard_rig.h), and natively made accounts, transfers and limits between them.
 *
 *   input   | room for few holds, for few transfers, 1 | steps: tests/fuzz/steps.h, and the kinds below
 *
 * What a server answers is told beforehand, from the protocol alone: a table of sessions, a reader of
 * trailers of its own, and a second ledger, the twin, whose native functions execute the batches one by
 * one. Of the twin's log nothing is ever forgotten, and sessions are not in it.
 *
 * Never: a message is answered, ignored, refused or evicted otherwise than told; a reply differs from
 * what was told in any byte; a create that comes again, over whatever connection, after whatever
 * restart, is answered otherwise than the first time or executed; one that was lost with the memory is
 * not executed; a lookup, a query or change events tell otherwise than the native functions do; a status
 * comes that clients do not know; the twin's accounts differ; a message waits for ever; debits and
 * credits of a ledger differ; the follower, or a start from the log, comes to another state. */
#include "net/aegis.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/shard_rig.h"
#include "tests/fuzz/steps.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 5,
    CONNECTIONS = 3,
    SEATS = 3, /* sessions that the rig remembers */
    EVENTS_MAX = 40,
    BATCHES_MAX = 1 << 13, /* in a body of steps */
    BODY_BYTES_MAX = 16 << 10,
    MESSAGE_BYTES_MAX = COMPAT_HEADER_BYTES + BODY_BYTES_MAX,
    KEPT_BYTES_MAX = 64 << 10, /* of a reply that may be asked for again */
    LOG_RECORDS = RIG_WINDOW_BYTES / GIRO_RECORD_BYTES,
    REPLY_BYTES_MAX = 1 << 20,
    EVENT_BYTES = 384,
    EVENTS_OF_REPLY_MAX = (REPLY_BYTES_MAX - COMPAT_HEADER_BYTES) / EVENT_BYTES,
    RELEASE = 17 << 8 | 9,
    RELEASE_MIN = 16 << 8 | 4,
    STATUS_MAX = 68,
    ACCOUNT_STATUS_MAX = 26,
    CLUSTER = 5,
};

#define STATUS_CREATED 0xffffffffu

/* Kinds of steps besides those of enum step_kind. */
enum {
    STEP_LOOKUP_ACCOUNTS = 5,
    STEP_LOOKUP_TRANSFERS,
    STEP_ACCOUNT_QUERY,
    STEP_QUERY,
    STEP_CHANGES,
    STEP_RAW, /* any operation and body */
    STEP_ROLL,
    STEP_DIGEST,
    STEP_FLUSH,
    STEP_REGISTER = STEP_LIMITS + 1,
    STEP_AGAIN, /* a client's last message */
    STEP_RESTART,
    STEP_PING,
    STEP_CLIENT,     /* who sends, over what, in which encoding, and what is wrong with it */
    STEP_KINDS = 40, /* the others are transfers */
};

/* The protocol, once more. */
enum kind {
    CREATE_ACCOUNTS,
    CREATE_TRANSFERS,
    LOOKUP_ACCOUNTS,
    LOOKUP_TRANSFERS,
    GET_TRANSFERS,
    GET_BALANCES,
    FIND_ACCOUNTS,
    FIND_TRANSFERS,
    CHANGES,
};

enum { OPERATION_FIRST = 129, OPERATION_BATCHES = 138, OPERATION_LAST = 147 };

static enum kind kind_of(uint8_t operation)
{
    if (operation < OPERATION_BATCHES)
        return (enum kind)(operation - 129);
    return (enum kind)(operation < 146 ? operation - 138 : operation - 146);
}

static uint32_t element_bytes(uint8_t operation)
{
    static const uint8_t bytes[] = {128, 128, 16, 16, 128, 128, 64, 64, 64};
    return bytes[kind_of(operation)];
}

static uint32_t result_bytes(uint8_t operation)
{
    if (kind_of(operation) == CHANGES)
        return EVENT_BYTES;
    return kind_of(operation) > CREATE_TRANSFERS ? 128 : operation < 146 ? 8 : 16;
}

static bool has_batches(uint8_t operation)
{
    return operation >= OPERATION_BATCHES;
}

struct message {
    struct compat_header header;
    _Alignas(16) char body[BODY_BYTES_MAX];
};

_Static_assert(offsetof(struct message, body) == COMPAT_HEADER_BYTES, "as it is sent");

/* One session, as the server must remember it. */
struct seat {
    giro_u128 client; /* 0: none */
    giro_u128 checksum;
    uint64_t number;
    uint64_t commit;
    uint32_t request;
    uint32_t release;
    uint32_t reply_bytes;
    char reply[KEPT_BYTES_MAX];
};

struct client {
    giro_u128 id;
    uint64_t session;
    uint32_t request;
    struct message last;
};

/* How the next message is sent; `spoilt` once. */
struct context {
    uint8_t client;
    uint8_t connection;
    uint8_t encoding; /* 0: the newest, 1, 2: the oldest, 3: natively */
    bool lazy;        /* its reply stays in the output for now */
    bool crash;       /* its reply is lost, and what it did is not durable */
    bool slow;        /* when it has to wait, others are executed first */
    struct step spoilt;
};

static struct connection native;
static struct connection connections[CONNECTIONS];
static struct client clients[CLIENTS];
static struct seat seats[SEATS];
static struct seat seats_before[SEATS];

/* A message in a connection's input that waits for old records, or for the follower. */
static struct waiting {
    struct message message;
    uint32_t bytes;
    char *frame; /* NULL: none waits */
} waiting[CONNECTIONS];
static bool overtaken; /* what is executed was begun before something else was */
static struct context context;
static uint32_t generation; /* of clients that have begun anew */
static struct message made; /* the message that is put together, and is sent */

/* ---- The twin ---------------------------------------------------------------------------- */

static struct ledger *twin;
static union record twin_log[LOG_RECORDS];
static uint64_t twin_next; /* address */
static struct giro_result twin_results[BODY_BYTES_MAX / sizeof(giro_u128)];
static uint64_t twin_addresses[LEDGER_FETCH_MAX];

static void twin_make(void)
{
    ledger_destroy(twin);
    MUST(ledger_create(rig_ledger_config(), &twin) == 0);
    twin->window = (struct record_window){.base = twin_log, .records = LOG_RECORDS, .low = 1};
}

/* Back to an address. */
static void twin_rebuild(uint64_t next)
{
    uint32_t index;
    twin_make();
    twin_next = next;
    MUST(ledger_replay(twin, &twin_log[1], (uint32_t)next - 1, 1, &index) == 0);
}

static struct ledger_output twin_output(void)
{
    MUST(twin_next + LEDGER_EVENTS_MAX < LOG_RECORDS);
    return (struct ledger_output){
        .records = &twin_log[twin_next], .address = twin_next, .results = twin_results};
}

/* Holds that the server has released. */
static void twin_expire(void)
{
    while (twin->expired_count < rig_shard.ledger->expired_count) {
        const struct hold *hold = holds_earliest(&twin->holds);
        struct ledger_output output = twin_output();
        MUST(hold != NULL);
        const uint64_t next = twin->timestamp_last + 1;
        ledger_expire(twin, hold->expires_at > next ? hold->expires_at : next, 1, &output);
        MUST(output.record_count == 1);
        twin_next++;
    }
}

/* One batch, or a native request. Returns how many results there are. */
static uint32_t twin_create(bool transfers, const void *events, uint32_t count, uint64_t timestamp,
                            bool baseline)
{
    struct ledger_output output = twin_output();
    output.baseline = baseline;
    if (count == 0)
        return 0;
    if (transfers)
        MUST(ledger_create_transfers(twin, events, count, timestamp, NULL, twin_addresses,
                                     &output) == 0);
    else
        ledger_create_accounts(twin, events, count, timestamp, &output);
    twin_next += output.record_count;
    return output.result_count;
}

static void twin_compare(void)
{
    const struct ledger *ledger = rig_shard.ledger;
    twin_expire();
    MUST(ledger->accounts.count == twin->accounts.count);
    for (uint32_t i = 0; i < twin->accounts.count; i++)
        MUST(memcmp(&ledger->accounts.rows[i], &twin->accounts.rows[i],
                    sizeof twin->accounts.rows[i]) == 0,
             "account %u", i);
    MUST(ledger->transfers_count == twin->transfers_count);
    MUST(ledger->burnt_count == twin->burnt_count);
    MUST(ledger->expired_count == twin->expired_count);
    MUST(ledger->holds.count == twin->holds.count);
}

/* ---- What a message must lead to ---------------------------------------------------------- */

enum verdict {
    REFUSED, /* the connection is closed */
    IGNORED, /* no reply */
    PONG,    /* ... */
    EVICTED, /* reason */
    REGISTERS,
    REPEATED, /* what the seat has kept */
    CREATES,
    LOOKS_UP,
    QUERIES,
    READS_CHANGES,
};

struct expected {
    enum verdict verdict;
    uint8_t reason;
    struct seat *seat;
    enum kind kind;
    uint32_t elements;
    uint32_t batch_count;
    uint16_t batches[BATCHES_MAX]; /* elements of each */
};

static struct expected expected;

static uint32_t trailer_bytes(uint32_t batches, uint32_t element)
{
    uint32_t bytes = element;
    while (bytes < 2 * batches + 2)
        bytes += element;
    return bytes;
}

static uint16_t number_at(const char *at)
{
    uint16_t number;
    memcpy(&number, at, sizeof number);
    return number;
}

/* Takes the batches of a body apart; false: there is something wrong with them. */
static bool batches_take(const struct message *message, uint32_t bytes)
{
    const uint8_t operation = message->header.request.operation;
    const uint32_t element = element_bytes(operation);
    expected.batch_count = 1;
    expected.elements = bytes / element;
    expected.batches[0] = (uint16_t)expected.elements;
    if (bytes % element != 0)
        return false;
    if (!has_batches(operation))
        return true;
    if (bytes == 0)
        return false;
    const uint32_t count = number_at(message->body + bytes - 2);
    const uint32_t trailer = trailer_bytes(count, element);
    if (count == 0 || count == UINT16_MAX || trailer > bytes)
        return false;
    MUST(count <= BATCHES_MAX);
    expected.batch_count = count;
    expected.elements = 0;
    for (uint32_t i = 0; i < count; i++) {
        expected.batches[i] = number_at(message->body + bytes - 4 - 2 * i);
        expected.elements += expected.batches[i];
    }
    for (uint32_t i = bytes - trailer; i < bytes - 2 - 2 * count; i++) {
        if (message->body[i] != (char)0xff)
            return false;
    }
    return (uint64_t)expected.elements * element + trailer == bytes;
}

static struct seat *seat_of(giro_u128 client)
{
    for (uint32_t i = 0; i < SEATS; i++) {
        if (seats[i].client == client)
            return &seats[i];
    }
    return NULL;
}

/* An empty one, or the one that was used the longest ago. */
static struct seat *seat_vacant(void)
{
    struct seat *vacant = &seats[0];
    for (uint32_t i = 1; i < SEATS && vacant->client != 0; i++) {
        if (seats[i].client == 0 || seats[i].commit < vacant->commit)
            vacant = &seats[i];
    }
    return vacant;
}

static enum verdict evicted(enum compat_eviction reason)
{
    expected.reason = (uint8_t)reason;
    return EVICTED;
}

static bool is_zero(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static enum verdict expect_register(const struct message *message)
{
    const struct compat_header *header = &message->header;
    if (header->release < RELEASE_MIN)
        return evicted(COMPAT_RELEASE_TOO_LOW);
    if (header->size != 2 * COMPAT_HEADER_BYTES)
        return evicted(COMPAT_INVALID_BODY_SIZE);
    if (!is_zero(message->body, COMPAT_HEADER_BYTES))
        return evicted(COMPAT_INVALID_BODY);
    expected.seat = seat_of(header->request.client);
    if (expected.seat == NULL)
        return REGISTERS;
    return expected.seat->request == 0 && header->request.request == 0 &&
                   expected.seat->checksum == header->checksum
               ? REPEATED
               : IGNORED;
}

/* The events of a create as the ledger must see them. */
static _Alignas(16) char events[BODY_BYTES_MAX];

static void events_take(const struct message *message)
{
    const bool transfers = expected.kind == CREATE_TRANSFERS;
    const uint16_t known = transfers ? 0x1ff : 0x3f;
    memcpy(events, message->body, (size_t)expected.elements * GIRO_RECORD_BYTES);
    for (uint32_t i = 0; i < expected.elements; i++) {
        struct giro_transfer *event = (struct giro_transfer *)(void *)events + i;
        if ((event->flags & ~known) != 0)
            event->flags |= 1 << 15;
    }
}

static enum verdict expect_create(const struct message *message)
{
    const struct ledger *ledger = rig_shard.ledger;
    if (expected.elements > LEDGER_EVENTS_MAX)
        return evicted(COMPAT_INVALID_BODY_SIZE);
    if (message->header.request.request == expected.seat->request)
        return REPEATED;
    events_take(message);
    const enum ledger_room room =
        expected.kind == CREATE_TRANSFERS
            ? ledger_room_transfers(ledger, (const struct giro_transfer *)(const void *)events,
                                    expected.elements)
            : ledger_room_accounts(ledger, expected.elements);
    return room == LEDGER_ROOM ? CREATES : evicted(COMPAT_INVALID_BODY_SIZE);
}

static enum verdict expect_operation(const struct message *message)
{
    const struct compat_header *header = &message->header;
    const uint8_t operation = header->request.operation;
    if (operation < OPERATION_FIRST || operation > OPERATION_LAST)
        return evicted(COMPAT_INVALID_OPERATION);
    expected.kind = kind_of(operation);
    if (!batches_take(message, header->size - COMPAT_HEADER_BYTES))
        return evicted(COMPAT_INVALID_BODY_SIZE);
    switch (expected.kind) {
    case CREATE_ACCOUNTS:
    case CREATE_TRANSFERS:
        return expect_create(message);
    case LOOKUP_ACCOUNTS:
    case LOOKUP_TRANSFERS:
        return LOOKS_UP;
    case CHANGES:
        return expected.elements == 1 ? READS_CHANGES : evicted(COMPAT_INVALID_BODY_SIZE);
    default:
        for (uint32_t i = 0; i < expected.batch_count; i++) {
            if (expected.batches[i] != 1)
                return evicted(COMPAT_INVALID_BODY_SIZE);
        }
        return QUERIES;
    }
}

static enum verdict expect_request(const struct message *message)
{
    const struct compat_header *header = &message->header;
    if (header->request.client == 0)
        return IGNORED;
    if (header->request.operation == COMPAT_REGISTER)
        return expect_register(message);
    const struct seat *seat = expected.seat = seat_of(header->request.client);
    if (seat == NULL)
        return evicted(COMPAT_NO_SESSION);
    if (header->request.session < seat->number)
        return evicted(COMPAT_SESSION_TOO_LOW);
    if (header->request.session > seat->number || header->request.request == 0 ||
        header->request.request < seat->request)
        return IGNORED;
    if (header->release != seat->release)
        return evicted(COMPAT_SESSION_RELEASE_MISMATCH);
    if (header->request.request == seat->request && header->checksum != seat->checksum)
        return IGNORED;
    return expect_operation(message);
}

static bool is_sound(const struct message *message, uint32_t bytes)
{
    const struct compat_header *header = &message->header;
    return header->checksum == aegis_checksum((const char *)header + sizeof(giro_u128),
                                              sizeof *header - sizeof(giro_u128)) &&
           header->size >= COMPAT_HEADER_BYTES && header->size <= REPLY_BYTES_MAX &&
           header->cluster == CLUSTER &&
           (header->size > bytes ||
            header->checksum_body ==
                aegis_checksum(message->body, header->size - COMPAT_HEADER_BYTES));
}

static void expect(const struct message *message, uint32_t bytes)
{
    expected.seat = NULL;
    expected.batch_count = expected.elements = 0;
    if (!is_sound(message, bytes))
        expected.verdict = REFUSED;
    else if (message->header.command == COMPAT_PING)
        expected.verdict = PONG;
    else if (message->header.command == COMPAT_REQUEST)
        expected.verdict = expect_request(message);
    else
        expected.verdict = IGNORED;
}

/* ---- The reply that must come ------------------------------------------------------------ */

/* Put together from what is known, and compared with what came. */
static struct {
    struct compat_header header;
    _Alignas(16) char body[REPLY_BYTES_MAX];
    uint32_t bytes; /* of the body */
} told;

static void told_add(const void *bytes, uint32_t count)
{
    MUST(told.bytes + count <= sizeof told.body);
    memcpy(told.body + told.bytes, bytes, count);
    told.bytes += count;
}

/* The trailer of a reply, from the results of each batch. */
static void told_trailer(uint8_t operation, const uint16_t *results)
{
    const uint32_t size = trailer_bytes(expected.batch_count, result_bytes(operation));
    char *end = told.body + told.bytes + size;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < expected.batch_count; i++)
        sum += results[i];
    MUST(sum * result_bytes(operation) == told.bytes);
    if (!has_batches(operation))
        return;
    MUST(told.bytes + size <= sizeof told.body);
    memset(told.body + told.bytes, 0xff, size);
    told.bytes += size;
    const uint16_t count = (uint16_t)expected.batch_count;
    memcpy(end - 2, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++)
        memcpy(end - 4 - 2 * i, &results[i], sizeof results[i]);
}

static void told_seal(void)
{
    told.header.size = COMPAT_HEADER_BYTES + told.bytes;
    told.header.cluster = CLUSTER;
    told.header.checksum_body = aegis_checksum(told.body, told.bytes);
    told.header.checksum = aegis_checksum((const char *)&told.header + sizeof(giro_u128),
                                          sizeof told.header - sizeof(giro_u128));
}

/* commit and timestamp are the server's choice, within limits. */
static void told_reply(const struct compat_header *request, uint64_t commit, uint64_t timestamp)
{
    MUST(commit != 0 && timestamp != 0);
    told.header = (struct compat_header){
        .release = request->release,
        .command = COMPAT_REPLY,
        .reply = {.request_checksum = request->checksum,
                  .client = request->request.client,
                  .op = commit,
                  .commit = commit,
                  .timestamp = timestamp,
                  .request = request->request.request,
                  .operation = request->request.operation},
    };
    told_seal();
}

static void told_compare(const char *reply, uint32_t bytes)
{
    MUST(bytes >= COMPAT_HEADER_BYTES && bytes <= REPLY_BYTES_MAX);
    MUST(bytes == COMPAT_HEADER_BYTES + told.bytes, "%u instead of %u", bytes - COMPAT_HEADER_BYTES,
         told.bytes);
    for (uint32_t i = 0; i < told.bytes; i++)
        MUST(reply[COMPAT_HEADER_BYTES + i] == told.body[i], "byte %u of %u of the body", i,
             told.bytes);
    for (uint32_t i = 0; i < COMPAT_HEADER_BYTES; i++)
        MUST(reply[i] == ((const char *)&told.header)[i], "byte %u of the header", i);
}

/* ---- Creates ----------------------------------------------------------------------------- */

/* Results of limits, which only native clients set, are the nearest that these clients know. */
static uint32_t status_of(uint32_t code)
{
    if (expected.kind != CREATE_TRANSFERS || code <= STATUS_MAX)
        return code;
    return code == GIRO_TRANSFER_ACCOUNT_BLOCKED ? GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED
                                                 : GIRO_TRANSFER_EXCEEDS_CREDITS;
}

/* Clients end when they get a status that they do not know. */
static void status_check(uint32_t status)
{
    const bool transfers = expected.kind == CREATE_TRANSFERS;
    MUST(status > 0 && status <= (transfers ? STATUS_MAX : ACCOUNT_STATUS_MAX), "%u", status);
    MUST(!transfers || status != 18);
}

/* When what an event is equal to was made. */
static uint64_t existing_timestamp(giro_u128 id)
{
    struct giro_transfer transfer;
    struct giro_account account;
    if (expected.kind == CREATE_TRANSFERS) {
        MUST(ledger_lookup_transfers(twin, &id, 1, NULL, &transfer) == 1);
        return transfer.timestamp;
    }
    MUST(ledger_lookup_accounts(twin, &id, 1, &account) == 1);
    return account.timestamp;
}

/* The event of the same chain, in front of event i, that has its id; i: there is none. */
static uint32_t chain_mate(const struct giro_transfer *batch, uint32_t i)
{
    const unsigned linked = expected.kind == CREATE_TRANSFERS ? (unsigned)GIRO_TRANSFER_LINKED
                                                              : (unsigned)GIRO_ACCOUNT_LINKED;
    for (uint32_t at = i; at > 0 && (batch[at - 1].flags & linked) != 0; at--) {
        if (batch[at - 1].id == batch[i].id)
            return at - 1;
    }
    return i;
}

/* The timestamp in the result of an event that was not created: see docs/compatibility.md. What it is
 * equal to may be of its own chain, which breaks there. */
static uint64_t failed_timestamp(const struct giro_transfer *batch, uint32_t i, uint32_t code,
                                 uint64_t timestamp)
{
    const uint32_t exists = expected.kind == CREATE_TRANSFERS ? (uint32_t)GIRO_TRANSFER_EXISTS
                                                              : (uint32_t)GIRO_ACCOUNT_EXISTS;
    const uint32_t at = code == exists ? chain_mate(batch, i) : i;
    if (code == exists && at == i)
        return existing_timestamp(batch[i].id);
    return (at != i || code == GIRO_TRANSFER_LINKED_EVENT_FAILED) && batch[at].timestamp != 0
               ? batch[at].timestamp
               : timestamp + at;
}

/* Executes a batch in the twin, and tells its results. Returns how many. */
static uint16_t batch_tell(uint8_t operation, uint32_t first, uint32_t count, uint64_t timestamp)
{
    const struct giro_transfer *batch = (const struct giro_transfer *)(const void *)events + first;
    const uint32_t failed =
        twin_create(expected.kind == CREATE_TRANSFERS, batch, count, timestamp, true);
    const uint32_t begin = told.bytes;
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t status = STATUS_CREATED;
        uint64_t at = batch[i].timestamp != 0 ? batch[i].timestamp : timestamp + i;
        if (next < failed && twin_results[next].index == i) {
            status = status_of(twin_results[next++].code);
            at = failed_timestamp(batch, i, status, timestamp);
            status_check(status);
        }
        MUST(at != 0);
        const uint32_t sparse[] = {i, status};
        const struct {
            uint64_t timestamp;
            uint32_t status;
            uint32_t reserved;
        } dense = {at, status, 0};
        if (result_bytes(operation) == sizeof dense)
            told_add(&dense, sizeof dense);
        else if (status != STATUS_CREATED)
            told_add(sparse, sizeof sparse);
    }
    MUST(next == failed);
    return (uint16_t)((told.bytes - begin) / result_bytes(operation));
}

/* The seat's last message is this one from here on. */
static void seat_take(struct seat *seat, const struct compat_header *request, const char *reply,
                      uint32_t bytes)
{
    MUST(bytes <= sizeof seat->reply);
    seat->checksum = request->checksum;
    seat->request = request->request.request;
    seat->commit = told.header.reply.commit;
    seat->reply_bytes = bytes;
    memcpy(seat->reply, reply, bytes);
}

static void create_check(const struct message *message, const char *reply, uint32_t bytes)
{
    static uint16_t results[BATCHES_MAX];
    const uint8_t operation = message->header.request.operation;
    const uint32_t last = expected.elements == 0 ? 0 : expected.elements - 1;
    struct compat_header header;
    uint32_t first = 0;
    MUST(bytes >= sizeof header);
    memcpy(&header, reply, sizeof header);
    const uint64_t timestamp = header.reply.timestamp - last;
    MUST(timestamp >= rig_timestamp_next && timestamp > rig_timestamp_before);
    MUST(header.reply.commit > expected.seat->commit);
    twin_expire();
    told.bytes = 0;
    for (uint32_t i = 0; i < expected.batch_count; i++) {
        results[i] = batch_tell(operation, first, expected.batches[i], timestamp + first);
        first += expected.batches[i];
    }
    told_trailer(operation, results);
    told_reply(&message->header, header.reply.commit, header.reply.timestamp);
    told_compare(reply, bytes);
    seat_take(expected.seat, &message->header, reply, bytes);
}

/* Of a body: its creates, if each has a record besides its own and fails, fit into a block. */
static void limit_check(uint32_t bytes)
{
    const uint32_t count = bytes / GIRO_RECORD_BYTES - 1;
    MUST(bytes >= 2 * GIRO_RECORD_BYTES && bytes <= REPLY_BYTES_MAX - COMPAT_HEADER_BYTES);
    MUST(2 * count + session_records(count) <= log_records_max(&rig_shard.log));
}

static void register_check(const struct message *message, const char *reply, uint32_t bytes)
{
    uint32_t limit[16] = {0};
    const struct compat_header *request = &message->header;
    struct compat_header header;
    MUST(bytes >= sizeof header);
    memcpy(&header, reply, sizeof header);
    for (uint32_t i = 0; i < SEATS; i++)
        MUST(header.reply.commit > seats[i].commit);
    MUST(bytes == sizeof header + sizeof limit);
    memcpy(limit, reply + sizeof header, sizeof limit[0]);
    limit_check(limit[0]);
    told.bytes = 0;
    told_add(limit, sizeof limit);
    told_reply(request, header.reply.commit, header.reply.timestamp);
    told_compare(reply, bytes);
    struct seat *seat = seat_vacant();
    seat->client = request->request.client;
    seat->number = header.reply.commit;
    seat->release = request->release;
    seat_take(seat, request, reply, bytes);
    seat->request = 0;
}

/* ---- Reads ------------------------------------------------------------------------------- */

/* Transfers in the order of the twin's log; NULL: there is no such record. */
static const struct giro_transfer *transfer_at(uint64_t address)
{
    return record_kind(&twin_log[address]) == RECORD_TRANSFER ? &twin_log[address].transfer : NULL;
}

static void lookup_tell(const struct message *message, uint16_t *results)
{
    giro_u128 id;
    const char *at = message->body;
    for (uint32_t batch = 0; batch < expected.batch_count; batch++) {
        results[batch] = 0;
        for (uint32_t i = 0; i < expected.batches[batch]; i++, at += sizeof id) {
            char row[GIRO_RECORD_BYTES];
            memcpy(&id, at, sizeof id);
            const uint32_t found = expected.kind == LOOKUP_TRANSFERS
                                       ? ledger_lookup_transfers(twin, &id, 1, NULL, row)
                                       : ledger_lookup_accounts(twin, &id, 1, row);
            if (found == 0)
                continue;
            told_add(row, sizeof row);
            results[batch]++;
        }
    }
}

/* Whether a filter asks for anything. */
static bool filter_formed(const struct rig_asked *asked, const char *filter)
{
    const struct giro_query_filter *query = &asked->filter;
    const bool account = expected.kind <= GET_BALANCES;
    uint32_t flags;
    memcpy(&flags, filter + (account ? 124 : 60), sizeof flags);
    if (query->limit == 0 || query->timestamp_min > GIRO_TIMESTAMP_MAX ||
        query->timestamp_max > GIRO_TIMESTAMP_MAX ||
        (query->timestamp_max != 0 && query->timestamp_min > query->timestamp_max))
        return false;
    if (!account)
        return flags <= 1 && is_zero(filter + 34, 6);
    if (asked->account_id == 0 || asked->account_id == GIRO_U128_MAX || flags > 7 ||
        (flags & 3) == 0 || !is_zero(filter + 46, 58))
        return false;
    const uint32_t row = accounts_find(&twin->accounts, asked->account_id);
    return !asked->balances || row == ACCOUNTS_NONE ||
           (twin->accounts.rows[row].flags & GIRO_ACCOUNT_HISTORY) != 0;
}

static const struct giro_transfer *searched(const struct rig_asked *asked, uint64_t i)
{
    return asked->accounts ? (const struct giro_transfer *)(const void *)&twin->accounts.rows[i]
                           : transfer_at(1 + i);
}

/* Tells what a filter finds. Balances are the server's: of them only the time is told here. */
static uint16_t query_tell(const char *filter, const char *reply, uint32_t reply_bytes)
{
    static const uint8_t natives[] = {FRAME_GET_ACCOUNT_TRANSFERS, FRAME_GET_ACCOUNT_BALANCES,
                                      FRAME_QUERY_ACCOUNTS, FRAME_QUERY_TRANSFERS};
    const struct rig_asked asked = rig_asked_of(natives[expected.kind - GET_TRANSFERS], filter);
    const uint64_t count = asked.accounts ? twin->accounts.count : twin_next - 1;
    const bool reversed = (asked.filter.flags & GIRO_QUERY_FILTER_REVERSED) != 0;
    uint16_t found = 0;
    for (uint64_t n = 0; filter_formed(&asked, filter) && n < count && found < asked.filter.limit;
         n++) {
        const struct giro_transfer *record = searched(&asked, reversed ? count - 1 - n : n);
        struct giro_account_balance balance;
        if (record == NULL || !rig_matches(&asked, record))
            continue;
        MUST(COMPAT_HEADER_BYTES + told.bytes + sizeof balance <= reply_bytes,
             "result %u is missing", found);
        memcpy(&balance, reply + COMPAT_HEADER_BYTES + told.bytes, sizeof balance);
        MUST(!asked.balances || balance.timestamp == record->timestamp, "balance %u", found);
        told_add(asked.balances ? (const void *)&balance : (const void *)record, sizeof *record);
        found++;
    }
    return found;
}

/* Takes what is there: filters of a message that was overtaken may have been answered at different
 * times. */
static void query_take(uint8_t operation, uint16_t *results, const char *reply, uint32_t bytes)
{
    const uint32_t trailer =
        has_batches(operation) ? trailer_bytes(expected.batch_count, result_bytes(operation)) : 0;
    MUST(bytes >= COMPAT_HEADER_BYTES + trailer);
    told_add(reply + COMPAT_HEADER_BYTES, bytes - COMPAT_HEADER_BYTES - trailer);
    results[0] = (uint16_t)(told.bytes / result_bytes(operation));
    for (uint32_t i = 0; i < expected.batch_count && trailer != 0; i++)
        results[i] = number_at(reply + bytes - 4 - 2 * i);
}

static void read_check(const struct message *message, const char *reply, uint32_t bytes)
{
    static uint16_t results[BATCHES_MAX];
    const uint8_t operation = message->header.request.operation;
    told.bytes = 0;
    if (expected.verdict == QUERIES && overtaken)
        query_take(operation, results, reply, bytes);
    if (expected.verdict == LOOKS_UP)
        lookup_tell(message, results);
    for (uint32_t i = 0; i < expected.batch_count && expected.verdict == QUERIES && !overtaken; i++)
        results[i] = query_tell(message->body + (size_t)i * element_bytes(operation), reply, bytes);
    told_trailer(operation, results);
    told_reply(&message->header, expected.seat->commit, rig_shard.ledger->timestamp_last);
    told_compare(reply, bytes);
}

/* ---- Natively ---------------------------------------------------------------------------- */

/* Sends a native request. Returns the reply's body, which lies in the output, or NULL when the status is
 * another one than FRAME_OK. */
static const char *native_ask(uint8_t operation, const void *from, uint32_t bytes)
{
    char *frame = aligned_alloc(16, FRAME_HEADER_BYTES + (bytes + 15) / 16 * 16);
    struct frame_header header = {.operation = operation, .body_bytes = bytes};
    enum frame_status status;
    bool full;
    MUST(frame != NULL);
    memcpy(frame, &header, sizeof header);
    memcpy(frame + FRAME_HEADER_BYTES, from, bytes);
    native.in = frame;
    native.in_begin = 0;
    native.in_end = FRAME_HEADER_BYTES + bytes;
    MUST(rig_execute(&native, &status, &full) == EXECUTION_DONE);
    free(frame);
    memcpy(&header, native.out, sizeof header);
    MUST(frame_check_header(&header) == FRAME_OK && frame_check_body(native.out) == FRAME_OK);
    return header.status == FRAME_OK ? native.out + FRAME_HEADER_BYTES : NULL;
}

static void native_limits(const struct step *step)
{
    const struct giro_limits limits = step_limits(step);
    struct frame_created head;
    const char *reply = native_ask(FRAME_SET_LIMITS, &limits, sizeof limits);
    if (reply != NULL) {
        struct ledger_output output = twin_output();
        memcpy(&head, reply, sizeof head);
        twin_expire();
        ledger_set_limits(twin, &limits, 1, head.timestamp_first, &output);
        twin_next += output.record_count;
        MUST(output.result_count == head.result_count);
    }
    rig_send(&native);
}

static void native_create(bool transfers, uint32_t count)
{
    struct frame_created head;
    const char *reply = native_ask(transfers ? FRAME_CREATE_TRANSFERS : FRAME_CREATE_ACCOUNTS,
                                   made.body, count * GIRO_RECORD_BYTES);
    if (reply != NULL) {
        memcpy(&head, reply, sizeof head);
        twin_expire();
        MUST(twin_create(transfers, made.body, count, head.timestamp_first, false) ==
             head.result_count);
        MUST(memcmp(reply + sizeof head, twin_results, head.result_count * sizeof *twin_results) ==
             0);
    }
    rig_send(&native);
    twin_compare();
}

/* ---- Change events, from the native changes ----------------------------------------------- */

struct event_account {
    giro_u128 id;
    struct giro_balances balances;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint16_t code;
    uint16_t flags;
};

struct change_event {
    giro_u128 id;
    giro_u128 amount;
    giro_u128 pending_id;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t timeout;
    uint16_t code;
    uint16_t flags;
    uint32_t ledger;
    uint8_t type;
    uint8_t reserved[39];
    struct event_account sides[2];
    uint64_t timestamp;
    uint64_t transfer_timestamp;
    uint64_t account_timestamps[2];
};

_Static_assert(sizeof(struct change_event) == EVENT_BYTES, "layout");

static struct change_event history[LOG_RECORDS];
static uint32_t history_count;
static bool history_ordered; /* by time: what was imported, or expired, may not be */

static void side_tell(struct change_event *event, uint32_t side, giro_u128 id,
                      const struct giro_balances *balances)
{
    struct giro_account account;
    MUST(ledger_lookup_accounts(twin, &id, 1, &account) == 1);
    event->account_timestamps[side] = account.timestamp;
    event->sides[side] = (struct event_account){
        .id = id,
        .balances = *balances,
        .user_data_128 = account.user_data_128,
        .user_data_64 = account.user_data_64,
        .user_data_32 = account.user_data_32,
        .code = account.code,
        .flags = account.flags,
    };
}

static void event_tell(const struct giro_change *change)
{
    const bool expiry = change->kind == GIRO_CHANGE_PENDING_EXPIRED;
    const struct giro_transfer *told_of = &change->record.transfer;
    struct change_event *event = &history[history_count];
    struct giro_transfer transfer;
    if (change->kind < GIRO_CHANGE_TRANSFER_CREATED || change->kind > GIRO_CHANGE_PENDING_EXPIRED)
        return;
    MUST(ledger_lookup_transfers(twin, expiry ? &told_of->pending_id : &told_of->id, 1, NULL,
                                 &transfer) == 1);
    memset(event, 0, sizeof *event);
    event->id = transfer.id;
    event->amount = transfer.amount;
    event->pending_id = transfer.pending_id;
    event->user_data_128 = transfer.user_data_128;
    event->user_data_64 = transfer.user_data_64;
    event->user_data_32 = transfer.user_data_32;
    event->timeout = transfer.timeout;
    event->code = transfer.code;
    event->flags = transfer.flags;
    event->ledger = transfer.ledger;
    event->type = change->kind == GIRO_CHANGE_TRANSFER_CREATED
                      ? (transfer.flags & GIRO_TRANSFER_PENDING) != 0
                      : (uint8_t)(change->kind - GIRO_CHANGE_PENDING_POSTED + 2);
    event->timestamp = told_of->timestamp;
    event->transfer_timestamp = transfer.timestamp;
    side_tell(event, 0, transfer.debit_account_id, &change->debit);
    side_tell(event, 1, transfer.credit_account_id, &change->credit);
    if (history_count > 0 && event->timestamp <= history[history_count - 1].timestamp)
        history_ordered = false;
    history_count++;
}

static void history_read(void)
{
    struct frame_changes head = {.ordinal_end = 1};
    history_count = 0;
    history_ordered = true;
    while (head.ordinal_next < head.ordinal_end) {
        const struct giro_change_filter filter = {.ordinal = head.ordinal_next,
                                                  .limit = FRAME_CHANGES_MAX};
        const char *reply = native_ask(FRAME_READ_CHANGES, &filter, sizeof filter);
        MUST(reply != NULL);
        memcpy(&head, reply, sizeof head);
        for (uint32_t i = 0; i < head.count; i++) {
            struct giro_change change;
            memcpy(&change, reply + sizeof head + i * sizeof change, sizeof change);
            event_tell(&change);
        }
        rig_send(&native);
    }
}

struct changes_filter {
    uint64_t timestamp_min;
    uint64_t timestamp_max;
    uint32_t limit;
    char reserved[44];
};

static bool changes_match(const struct changes_filter *filter, const struct change_event *event)
{
    return event->timestamp >= filter->timestamp_min &&
           (filter->timestamp_max == 0 || event->timestamp <= filter->timestamp_max);
}

/* When times are not in order, a reader that goes on may be told what is behind its last event only, and
 * one that was overtaken may not be told the last ones: then it is some of what there is, in its
 * order. */
static void changes_tell(const struct changes_filter *filter, const char *reply, uint32_t bytes)
{
    const uint32_t most =
        filter->limit < EVENTS_OF_REPLY_MAX ? filter->limit : (uint32_t)EVENTS_OF_REPLY_MAX;
    if (filter->limit == 0 || filter->timestamp_min > GIRO_TIMESTAMP_MAX ||
        filter->timestamp_max > GIRO_TIMESTAMP_MAX ||
        (filter->timestamp_max != 0 && filter->timestamp_min > filter->timestamp_max) ||
        !is_zero(filter->reserved, sizeof filter->reserved))
        return;
    for (uint32_t i = 0; i < history_count && told.bytes < most * EVENT_BYTES; i++) {
        const char *got = reply + COMPAT_HEADER_BYTES + told.bytes;
        const bool is_there = COMPAT_HEADER_BYTES + told.bytes + EVENT_BYTES <= bytes &&
                              memcmp(got, &history[i], EVENT_BYTES) == 0;
        if (changes_match(filter, &history[i]) && (history_ordered || is_there))
            told_add(&history[i], EVENT_BYTES);
    }
}

static void changes_check(const struct message *message, const char *reply, uint32_t bytes)
{
    struct changes_filter filter;
    memcpy(&filter, message->body, sizeof filter);
    history_read();
    told.bytes = 0;
    history_ordered = history_ordered && !overtaken;
    changes_tell(&filter, reply, bytes);
    told_reply(&message->header, expected.seat->commit, rig_shard.ledger->timestamp_last);
    told_compare(reply, bytes);
}

/* ---- A message --------------------------------------------------------------------------- */

static void eviction_check(const struct message *message, const char *reply, uint32_t bytes)
{
    const struct compat_header *request = &message->header;
    told.bytes = 0;
    told.header = (struct compat_header){
        .release = request->release,
        .command = COMPAT_EVICTION,
        .eviction = {.client = request->request.client, .reason = expected.reason},
    };
    told_seal();
    told_compare(reply, bytes);
}

static void pong_check(const struct message *message, const char *reply, uint32_t bytes)
{
    told.bytes = 0;
    told.header = (struct compat_header){
        .release = message->header.release,
        .command = COMPAT_PONG,
        .pong = {.timestamp_monotonic = message->header.ping.timestamp_monotonic},
    };
    told_seal();
    told_compare(reply, bytes);
}

static void reply_check(const struct message *message, const char *reply, uint32_t bytes)
{
    switch (expected.verdict) {
    case REFUSED:
    case IGNORED:
        MUST(bytes == 0);
        break;
    case PONG:
        pong_check(message, reply, bytes);
        break;
    case EVICTED:
        eviction_check(message, reply, bytes);
        break;
    case REGISTERS:
        register_check(message, reply, bytes);
        break;
    case REPEATED:
        MUST(bytes == expected.seat->reply_bytes && memcmp(reply, expected.seat->reply, bytes) == 0,
             "of request %u", expected.seat->request);
        break;
    case CREATES:
        create_check(message, reply, bytes);
        break;
    case LOOKS_UP:
    case QUERIES:
        read_check(message, reply, bytes);
        break;
    case READS_CHANGES:
        changes_check(message, reply, bytes);
        break;
    }
}

static void outputs_send(void)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        rig_send(&connections[i]);
}

/* What a client knows from a reply to what it has sent last. */
static void client_take(const struct compat_header *request, const char *reply)
{
    struct compat_header header;
    memcpy(&header, reply, sizeof header);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct client *client = &clients[i];
        if (client->id != request->request.client || header.command != COMPAT_REPLY)
            continue;
        if (request->request.operation == COMPAT_REGISTER)
            client->session = header.reply.commit;
        if (client->request < header.reply.request || request->request.operation == COMPAT_REGISTER)
            client->request = header.reply.request;
    }
}

/* What is durable does not stay in an output. */
static void durable_send(struct connection *connection)
{
    if (connection->mark_count > 0 && connection->marks[0].lsn <= rig_shard.log.lsn_durable)
        rig_send(connection);
}

/* Executes the message in a connection's input, and looks at its reply; false: it waits. */
static bool message_execute(uint32_t number, const struct message *message, uint32_t bytes)
{
    struct connection *connection = &connections[number];
    enum execution execution;
    enum frame_status status;
    uint32_t begin;
    bool full;
    for (;;) {
        expect(message, bytes);
        begin = connection->out_end;
        execution = rig_try(connection, &status, &full);
        if (execution != EXECUTION_WAIT_OUTPUT)
            break;
        rig_send(connection);
    }
    if (execution == EXECUTION_FETCHING)
        return false;
    MUST(execution == EXECUTION_DONE);
    const uint32_t reply_bytes = connection->out_end - begin;
    MUST(connection->compat_batch == 0 && connection->request == NULL && !connection->fetching);
    /* A full disk answers nobody who wants to write. */
    const bool writes = expected.verdict == CREATES || expected.verdict == REGISTERS;
    if (reply_bytes > 0 || !full || !writes)
        reply_check(message, connection->out + begin, reply_bytes);
    if (reply_bytes > 0 && !context.crash)
        client_take(&message->header, connection->out + begin);
    twin_compare();
    return true;
}

/* What waits in a connection comes to its end. */
static void waiting_finish(uint32_t number)
{
    struct waiting *slow = &waiting[number];
    if (slow->frame == NULL)
        return;
    overtaken = true;
    do {
        if (connections[number].fetching)
            rig_wait(&connections[number]);
    } while (!message_execute(number, &slow->message, slow->bytes));
    overtaken = false;
    free(slow->frame);
    slow->frame = NULL;
}

static void waiting_finish_all(void)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        waiting_finish(i);
}

/* Sends so many bytes of a message. */
static void message_run(const struct message *message, uint32_t bytes)
{
    const uint32_t number = context.connection;
    struct connection *connection = &connections[number];
    char *frame = aligned_alloc(16, (bytes + 15) / 16 * 16);
    enum frame_status status;
    MUST(frame != NULL);
    waiting_finish(number);
    memcpy(frame, message, bytes);
    connection->in = frame;
    connection->in_begin = 0;
    connection->in_end = bytes;
    connection->in_checked = false;
    durable_send(connection);
    expect(message, bytes);
    const enum frame_progress progress = connection_frame(connection, &status);
    MUST((progress == FRAME_REFUSED) == (expected.verdict == REFUSED));
    while (progress == FRAME_WHOLE && !message_execute(number, message, bytes)) {
        if (context.slow && !context.crash) {
            memcpy(&waiting[number].message, message, bytes);
            waiting[number].bytes = bytes;
            waiting[number].frame = frame;
            return;
        }
        rig_wait(connection);
    }
    free(frame);
    if (!context.lazy)
        rig_send(connection);
}

static void connections_open(void)
{
    rig_connection_open(&native, false);
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        rig_connection_open(&connections[i], true);
        connections[i].compat_cluster = CLUSTER;
    }
}

/* From the log, which leads to where it was. Replies that were not sent are lost. */
static void restart(void)
{
    waiting_finish_all();
    rig_settle();
    const struct checksum before = ledger_digest(rig_shard.ledger);
    connections_open();
    rig_restart();
    MUST(checksum_equal(before, ledger_digest(rig_shard.ledger)));
    twin_compare();
}

/* The server is gone before anything that the message did is durable. */
static void message_lose(const struct message *message, uint32_t bytes)
{
    const struct context before = context;
    waiting_finish_all();
    outputs_send();
    rig_settle();
    twin_expire();
    memcpy(seats_before, seats, sizeof seats);
    const uint64_t next = twin_next;
    context.lazy = context.crash = true;
    message_run(message, bytes);
    context = before;
    context.crash = false;
    connections_open();
    rig_restart();
    memcpy(seats, seats_before, sizeof seats);
    twin_rebuild(next);
    twin_compare();
}

static void message_send(const struct message *message, uint32_t bytes)
{
    if (context.crash)
        message_lose(message, bytes);
    else
        message_run(message, bytes);
    context.spoilt = (struct step){0};
}

/* ---- Putting a message together ---------------------------------------------------------- */

/* Ways in which the header is another one than a client's, before it is sealed. */
static void header_spoil(struct compat_header *header, const struct step *how)
{
    switch (how->spoilt) {
    case 1:
        header->request.session -= 1 + how->amount;
        break;
    case 2:
        header->request.session += 1 + how->amount;
        break;
    case 3:
        header->request.request += how->amount;
        break;
    case 4:
        header->request.request -= 1 + how->amount % 4;
        break;
    case 5: /* another message under the number of the last one */
        header->request.request--;
        header->request.previous_request_latency = 1 + how->amount;
        break;
    case 6:
        header->release = how->amount << 4;
        break;
    case 7:
        header->request.client = how->amount % 4;
        break;
    case 8:
        header->request.operation = how->amount;
        break;
    case 9:
        header->command = how->amount;
        break;
    case 10:
        header->cluster++;
        break;
    case 11:
        header->size += how->amount - 128u;
        break;
    case 12:
        ((char *)header)[how->amount] ^= (char)how->code;
        break;
    default:
        break;
    }
}

/* Ways in which a body, or a sealed message, is damaged. */
static void body_spoil(struct message *message, uint32_t *bytes, const struct step *how)
{
    if (how->spoilt == 13 && *bytes > how->amount)
        message->body[*bytes - 1 - how->amount] ^= (char)how->code;
    if (how->spoilt == 14 && *bytes > 2) /* the trailer's numbers */
        message->body[*bytes - 1 - how->amount % 4] = (char)how->code;
    if (how->spoilt == 15)
        *bytes = *bytes > how->amount ? *bytes - how->amount : 0;
}

static void message_seal(struct message *message)
{
    struct compat_header *header = &message->header;
    const uint32_t size = header->size;
    const bool within = size >= COMPAT_HEADER_BYTES && size <= sizeof *message;
    header->checksum_body = aegis_checksum(message->body, within ? size - COMPAT_HEADER_BYTES : 0);
    header->checksum = aegis_checksum((const char *)header + sizeof(giro_u128),
                                      sizeof *header - sizeof(giro_u128));
}

/* Sends the made body as a client's next request. */
static void request_send(uint8_t operation, uint32_t bytes)
{
    const struct step *how = &context.spoilt;
    struct client *client = &clients[context.client];
    struct compat_header *header = &made.header;
    body_spoil(&made, &bytes, how);
    const bool registers = operation == COMPAT_REGISTER;
    *header = (struct compat_header){
        .cluster = CLUSTER,
        .size = COMPAT_HEADER_BYTES + bytes,
        .release = RELEASE,
        .command = COMPAT_REQUEST,
        .request = {.client = client->id,
                    .session = registers ? 0 : client->session,
                    .request = registers ? 0 : client->request + 1,
                    .operation = operation},
    };
    header_spoil(header, how);
    message_seal(&made);
    if (how->spoilt == 16)
        ((char *)header)[how->amount] ^= (char)(how->code | 1);
    if (how->spoilt == 17 && bytes > 0)
        made.body[how->amount % bytes] ^= (char)(how->code | 1);
    memcpy(&client->last, &made, COMPAT_HEADER_BYTES + bytes);
    message_send(&made, COMPAT_HEADER_BYTES + bytes);
}

static void register_send(const struct step *step)
{
    struct client *client = &clients[context.client];
    if (step->spoilt % 4 == 1) /* its process has begun anew */
        client->id = 1 + context.client + (giro_u128)CLIENTS * ++generation;
    memset(made.body, 0, COMPAT_HEADER_BYTES);
    if (step->spoilt == 255)
        made.body[step->amount] = (char)step->code;
    request_send(COMPAT_REGISTER, COMPAT_HEADER_BYTES - (step->spoilt == 254 ? step->amount : 0));
}

static void again_send(void)
{
    const struct client *client = &clients[context.client];
    if (client->last.header.size >= COMPAT_HEADER_BYTES &&
        client->last.header.size <= sizeof client->last)
        message_send(&client->last, client->last.header.size);
}

static void ping_send(const struct step *step)
{
    made.header = (struct compat_header){
        .cluster = CLUSTER,
        .size = COMPAT_HEADER_BYTES,
        .release = RELEASE,
        .command = COMPAT_PING,
        .ping = {.client = clients[context.client].id, .timestamp_monotonic = step->amount},
    };
    message_seal(&made);
    message_send(&made, COMPAT_HEADER_BYTES);
}

/* Puts a trailer behind the elements of a body. Returns its size. */
static uint32_t trailer_put(uint32_t bytes, uint32_t element, const uint16_t *counts,
                            uint32_t count)
{
    const uint32_t size = trailer_bytes(count, element);
    const uint16_t batches = (uint16_t)count;
    MUST(bytes + size <= sizeof made.body);
    memset(made.body + bytes, 0xff, size);
    memcpy(made.body + bytes + size - 2, &batches, sizeof batches);
    for (uint32_t i = 0; i < count; i++)
        memcpy(made.body + bytes + size - 4 - 2 * i, &counts[i], sizeof counts[i]);
    return bytes + size;
}

/* The operation of a kind, as the client's release sends it. */
static uint8_t operation_of(enum kind kind)
{
    if (context.encoding == 2 || kind == CHANGES)
        return (uint8_t)(129 + kind);
    return (uint8_t)((context.encoding != 1 && kind <= CREATE_TRANSFERS ? 146 : 138) + kind);
}

static void batches_send(enum kind kind, uint32_t bytes, const uint16_t *counts, uint32_t count)
{
    const uint8_t operation = operation_of(kind);
    if (has_batches(operation))
        bytes = trailer_put(bytes, element_bytes(operation), counts, count);
    request_send(operation, bytes);
}

/* ---- Steps ------------------------------------------------------------------------------- */

static uint32_t step_kind_of(const struct step *step)
{
    const uint32_t kind = step->kind % STEP_KINDS;
    return kind <= STEP_CLIENT ? kind : STEP_TRANSFER;
}

static void event_make(const struct step *step, bool transfer, char *event)
{
    if (!transfer) {
        *(struct giro_account *)(void *)event = step_account(step, twin, rig_clock_ns);
        return;
    }
    struct giro_transfer made_of = step_transfer(step, twin, rig_clock_ns);
    if (context.encoding != 3 && step->spoilt % 16 != 7)
        made_of.flags &= 0x1ff; /* what clients of this protocol know */
    *(struct giro_transfer *)(void *)event = made_of;
}

/* A create of the steps that follow each other. Returns how many. */
static uint32_t create_run(const struct step *steps, uint32_t left)
{
    uint16_t counts[2 * EVENTS_MAX + 1] = {0};
    const uint32_t kind = step_kind_of(&steps[0]);
    const bool transfers = kind != STEP_ACCOUNT;
    uint32_t batches = 1;
    uint32_t count = 0;
    for (;;) {
        const struct step *step = &steps[count];
        event_make(step, transfers, made.body + (size_t)count * GIRO_RECORD_BYTES);
        count++;
        counts[batches - 1]++;
        const unsigned then = step->user_data >> 6; /* 0: the request ends */
        if (count == left || count == EVENTS_MAX || step_kind_of(step + 1) != kind || then == 0)
            break;
        batches += then == 1;
        batches += then == 1 && step->timestamp % 8 == 7; /* an empty one between them */
    }
    batches += steps[count - 1].timestamp % 8 == 7;
    if (context.encoding == 3)
        native_create(transfers, count);
    else
        batches_send(transfers ? CREATE_TRANSFERS : CREATE_ACCOUNTS, count * GIRO_RECORD_BYTES,
                     counts, batches);
    return count;
}

static void lookup_run(const struct step *step, enum kind kind)
{
    uint16_t counts[EVENTS_MAX] = {0};
    const uint32_t count = step->amount % EVENTS_MAX;
    const uint32_t each = step->code % 8;
    uint32_t batches = 1;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t number = (uint8_t)(step->id + i * step->debit);
        const giro_u128 id = kind == LOOKUP_TRANSFERS ? step_id(number) : step_account_id(number);
        memcpy(made.body + i * sizeof id, &id, sizeof id);
        batches += each != 0 && counts[batches - 1] == each;
        counts[batches - 1]++;
    }
    batches_send(kind, count * (uint32_t)sizeof(giro_u128), counts, batches);
}

static void query_run(const struct step *step)
{
    static const uint16_t ones[] = {1, 1, 1, 1};
    const uint64_t min = (step->spoilt & 1) != 0 ? RIG_CLOCK_NS + step->timestamp * 16ull : 0;
    const uint64_t max = (step->spoilt & 2) != 0 ? RIG_CLOCK_NS + step->amount * 256ull : 0;
    const uint32_t batches = context.encoding == 2 ? 1 : 1 + step->pending % 4;
    const bool account = step_kind_of(step) == STEP_ACCOUNT_QUERY;
    for (uint32_t i = 0; i < batches; i++) {
        const struct giro_account_filter of_account = {
            .account_id = step_account_id((uint8_t)(step->debit + i)),
            .user_data_128 = step->user_data & 3,
            .user_data_64 = step->user_data >> 2 & 3,
            .code = step->code % 4,
            .timestamp_min = min,
            .timestamp_max = max,
            .limit = step->credit == 255 ? UINT32_MAX : step->credit % 32,
            .flags = step->flags % 9,
            .reserved = {step->spoilt == 255},
        };
        const struct giro_query_filter of_all = {
            .user_data_128 = step->user_data & 3,
            .user_data_64 = step->user_data >> 2 & 3,
            .user_data_32 = step->user_data >> 4 & 3,
            .ledger = (step->ledger + i) % 3,
            .code = step->code % 3,
            .timestamp_min = min,
            .timestamp_max = max,
            .limit = step->credit == 255 ? UINT32_MAX : step->credit % 32,
            .flags = step->flags % 3,
        };
        if (account)
            memcpy(made.body + i * sizeof of_account, &of_account, sizeof of_account);
        else
            memcpy(made.body + i * sizeof of_all, &of_all, sizeof of_all);
    }
    const bool other = (step->spoilt & 4) != 0;
    const enum kind kind =
        account ? (other ? GET_BALANCES : GET_TRANSFERS) : (other ? FIND_ACCOUNTS : FIND_TRANSFERS);
    batches_send(kind, batches * (account ? 128 : 64), ones, batches);
}

/* From the beginning, or on behind the last event of somebody. */
static void changes_run(const struct step *step)
{
    const struct changes_filter filter = {
        .timestamp_min = (step->spoilt & 3) == 0    ? 0
                         : (step->spoilt & 1) == 0  ? RIG_CLOCK_NS + step->timestamp
                         : step->id < history_count ? history[step->id].timestamp + 1
                                                    : 0,
        .timestamp_max = (step->spoilt & 4) != 0 ? RIG_CLOCK_NS + step->pending * 4ull : 0,
        .limit = step->credit == 255 ? UINT32_MAX : step->credit % 16,
        .reserved = {step->spoilt == 255},
    };
    memcpy(made.body, &filter, sizeof filter);
    request_send(operation_of(CHANGES), sizeof filter);
}

/* Any operation, and a body that are the steps behind it, perhaps not whole. */
static void raw_run(const struct step *steps, uint32_t left)
{
    const uint8_t operation = steps[0].id < 240 ? 128 + steps[0].id % 21 : steps[0].id;
    const bool known = operation >= OPERATION_BATCHES && operation <= OPERATION_LAST;
    size_t bytes = (size_t)(steps[0].amount % 64) * STEP_BYTES + (steps[0].ledger < 16);
    if (bytes > (left - 1) * (size_t)STEP_BYTES)
        bytes = (left - 1) * (size_t)STEP_BYTES;
    memcpy(made.body, &steps[1], bytes);
    if (known && (steps[0].spoilt & 1) != 0) {
        const uint32_t element = element_bytes(operation);
        const uint16_t counts[] = {(uint16_t)(bytes / element)};
        bytes = trailer_put((uint32_t)(bytes / element * element), element, counts, 1);
    }
    request_send(operation, (uint32_t)bytes);
}

static void clock_move(const struct step *step)
{
    const struct hold *hold = holds_earliest(&rig_shard.ledger->holds);
    rig_clock_set(step->timeout % 2 == 1 && hold != NULL
                      ? hold->expires_at - step->id % 3
                      : rig_clock_ns + step->amount * (GIRO_NS_PER_S / 4) + step->id);
}

static void context_set(const struct step *step)
{
    context = (struct context){
        .client = step->id % CLIENTS,
        .connection = step->debit % CONNECTIONS,
        .encoding = step->credit % 4,
        .lazy = (step->flags & 1) != 0,
        .crash = (step->flags & 6) == 6,
        .slow = (step->flags & 8) != 0,
        .spoilt = *step,
    };
}

/* Runs a step, or the message that begins with it. Returns how many steps it took. */
static uint32_t step_run(const struct step *steps, uint32_t left)
{
    switch (step_kind_of(&steps[0])) {
    case STEP_EXPIRE:
        (void)shard_expire(&rig_shard);
        twin_compare();
        break;
    case STEP_CLOCK:
        clock_move(&steps[0]);
        break;
    case STEP_FORGET:
        rig_window_forget();
        break;
    case STEP_LOOKUP_ACCOUNTS:
        lookup_run(&steps[0], LOOKUP_ACCOUNTS);
        break;
    case STEP_LOOKUP_TRANSFERS:
        lookup_run(&steps[0], LOOKUP_TRANSFERS);
        break;
    case STEP_ACCOUNT_QUERY:
    case STEP_QUERY:
        query_run(&steps[0]);
        break;
    case STEP_CHANGES:
        changes_run(&steps[0]);
        break;
    case STEP_RAW:
        raw_run(steps, left);
        break;
    case STEP_ROLL:
        rig_roll();
        break;
    case STEP_DIGEST:
        rig_digest(1 + steps[0].id);
        break;
    case STEP_FLUSH:
        rig_mark();
        break;
    case STEP_LIMITS:
        native_limits(&steps[0]);
        break;
    case STEP_REGISTER:
        register_send(&steps[0]);
        break;
    case STEP_AGAIN:
        again_send();
        break;
    case STEP_RESTART:
        restart();
        break;
    case STEP_PING:
        ping_send(&steps[0]);
        break;
    case STEP_CLIENT:
        context_set(&steps[0]);
        break;
    default:
        return create_run(steps, left);
    }
    return 1;
}

/* ---- Start ------------------------------------------------------------------------------- */

static void begin(uint64_t room)
{
    rig_begin(room);
    connections_open();
    twin_make();
    twin_next = 1;
    history_count = 0;
    generation = 0;
    context = (struct context){0};
    for (uint32_t i = 0; i < SEATS; i++)
        seats[i] = (struct seat){0};
    for (uint32_t i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){.id = 1 + i};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(16) struct step steps[STEPS_MAX];
    struct input input = {data, size};
    const uint64_t room = input_number(&input, 1);
    const size_t count = input.left / STEP_BYTES < STEPS_MAX ? input.left / STEP_BYTES : STEPS_MAX;
    input_take(&input, steps, count * STEP_BYTES);
    begin(room);
    for (uint32_t at = 0; at < count;)
        at += step_run(&steps[at], (uint32_t)count - at);
    waiting_finish_all();
    outputs_send();
    twin_compare();
    rig_end();
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return steps_mutate(data, size, size_max, seed);
}

static void samples_write(void)
{
    static const struct step steps[] = {
        {.kind = STEP_REGISTER},
        {.kind = STEP_AGAIN},
        {.kind = STEP_ACCOUNT, .id = 1, .spoilt = 9, .user_data = 2 << 6, .flags = 8},
        {.kind = STEP_ACCOUNT, .id = 2, .spoilt = 9, .user_data = 1 << 6, .flags = 8},
        {.kind = STEP_ACCOUNT, .id = 3, .spoilt = 9},
        {.kind = STEP_AGAIN},
        {.kind = STEP_CLIENT, .id = 1, .debit = 1, .credit = 1},
        {.kind = STEP_REGISTER},
        {.id = 1, .debit = 1, .credit = 2, .amount = 60, .spoilt = 9, .user_data = 1 << 6},
        {.id = 2,
         .debit = 2,
         .credit = 3,
         .amount = 9,
         .flags = 2,
         .spoilt = 9,
         .user_data = 1 << 6},
        {.id = 1, .debit = 1, .credit = 2, .amount = 60, .spoilt = 9, .user_data = 2 << 6},
        {.id = 4, .debit = 1, .credit = 1, .amount = 60, .spoilt = 9},
        {.kind = STEP_AGAIN},
        {.kind = STEP_RESTART},
        {.kind = STEP_AGAIN},
        {.kind = STEP_CLIENT, .id = 2, .debit = 2, .credit = 2},
        {.kind = STEP_REGISTER},
        {.id = 3, .pending = 2, .amount = 9, .spoilt = 9, .flags = 4, .user_data = 2 << 6},
        {.id = 6, .debit = 1, .credit = 3, .timeout = 129, .flags = 2, .spoilt = 9},
        {.kind = STEP_CLOCK, .amount = 20},
        {.kind = STEP_FORGET},
        {.kind = STEP_LOOKUP_TRANSFERS, .id = 1, .debit = 1, .amount = 6, .code = 2},
        {.kind = STEP_LOOKUP_ACCOUNTS, .id = 1, .debit = 1, .amount = 3},
        {.kind = STEP_CHANGES, .credit = 15},
        {.kind = STEP_CLIENT, .id = 1, .debit = 1},
        {.kind = STEP_LOOKUP_TRANSFERS, .id = 1, .debit = 1, .amount = 6, .code = 2},
        {.kind = STEP_ACCOUNT_QUERY, .debit = 1, .credit = 9, .flags = 3, .pending = 2},
        {.kind = STEP_ACCOUNT_QUERY, .debit = 1, .credit = 9, .flags = 7, .spoilt = 4},
        {.kind = STEP_QUERY, .credit = 9, .pending = 1},
        {.kind = STEP_QUERY, .credit = 9, .spoilt = 4, .flags = 1},
        {.kind = STEP_CLIENT, .id = 1, .debit = 1, .flags = 7},
        {.id = 7, .debit = 1, .credit = 2, .amount = 5, .spoilt = 9},
        {.kind = STEP_AGAIN},
        {.kind = STEP_AGAIN},
        {.kind = STEP_CLIENT, .credit = 3},
        {.id = 8, .debit = 3, .credit = 1, .amount = 2, .spoilt = 9},
        {.kind = STEP_LIMITS, .id = 3, .debit = 255, .credit = 255, .pending = 20},
        {.kind = STEP_CLIENT, .flags = 1},
        {.id = 9, .debit = 1, .credit = 3, .amount = 63, .spoilt = 9},
        {.kind = STEP_PING, .amount = 3},
        {.kind = STEP_ROLL},
        {.kind = STEP_CLIENT, .id = 3},
        {.kind = STEP_REGISTER},
        {.kind = STEP_DIGEST, .id = 3},
        {.kind = STEP_CLIENT, .id = 1},
        {.kind = STEP_CHANGES, .credit = 3},
        {.kind = STEP_CHANGES, .credit = 3, .spoilt = 1, .id = 2},
        {.kind = STEP_CLIENT, .id = 1, .spoilt = 16, .amount = 130},
        {.kind = STEP_PING},
        {.kind = STEP_RAW, .id = 17, .amount = 8, .spoilt = 1},
        {.kind = STEP_FLUSH},
        {.kind = STEP_EXPIRE},
        {.kind = STEP_CLIENT, .id = 1, .debit = 1, .flags = 8},
        {.kind = STEP_QUERY, .credit = 9, .pending = 1},
        {.kind = STEP_CLIENT, .id = 4, .spoilt = 1},
        {.kind = STEP_REGISTER},
        {.kind = STEP_CLIENT, .id = 2, .spoilt = 1},
        {.kind = STEP_REGISTER},
        {.kind = STEP_CLIENT, .id = 0, .spoilt = 1},
        {.kind = STEP_REGISTER, .spoilt = 1},
        {.kind = STEP_CLIENT, .id = 1, .debit = 1},
        {.kind = STEP_LOOKUP_ACCOUNTS, .id = 1, .debit = 1, .amount = 3},
    };
    static uint8_t sample[1 + sizeof steps];
    memcpy(sample + 1, steps, sizeof steps);
    fuzz_sample("everything", sample, sizeof sample);
    fuzz_sample("creates", sample, 1 + 15 * STEP_BYTES);
    sample[0] = 3;
    fuzz_sample("little_room", sample, sizeof sample);
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    fuzz_quiet();
    if (fuzz_samples_wanted())
        samples_write();
    rig_make(CONNECTIONS + 1);
    return 0;
}
