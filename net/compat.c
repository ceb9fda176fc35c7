#include "net/compat.h"

#include "net/compat_message.h"

#include "engine/memory.h"
#include "engine/planted.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    RELEASE_MIN = 16 << 8 | 4, /* 0.16.4 */
    REGISTER_BYTES = 256,
    REGISTERED_BYTES = 64,
    RESULT_CREATED = -1,
};

/* Flags that a client of this protocol cannot mean: they count as reserved ones. */
enum {
    ACCOUNT_FLAGS = GIRO_ACCOUNT_SETTLES - 1,
    TRANSFER_FLAGS = GIRO_TRANSFER_RETURN - 1,
    RESERVED_FLAG = 1 << 15,
};

/* One result of the newer operations. */
struct result {
    uint64_t timestamp;
    uint32_t status;
    uint32_t reserved;
};

int compat_init(struct compat *compat)
{
    compat->results = memory_reserve(LEDGER_EVENTS_MAX * sizeof *compat->results);
    compat->failed = memory_reserve(LEDGER_EVENTS_MAX * sizeof *compat->failed);
    return compat->results == NULL || compat->failed == NULL ? -ENOMEM : 0;
}

void compat_free(struct compat *compat)
{
    memory_release(compat->results, LEDGER_EVENTS_MAX * sizeof *compat->results);
    memory_release(compat->failed, LEDGER_EVENTS_MAX * sizeof *compat->failed);
}

/* ---- Replies ----------------------------------------------------------------------------- */

/* Room for a message's body, or NULL and what to wait for. */
char *compat_body_reserve(const struct compat_message *message, uint32_t bytes,
                          enum execution *out_wait)
{
    struct connection *connection = message->connection;
    char *frame = connection_reply_reserve(connection, &message->shard->out_pool, bytes);
    *out_wait = connection->starved ? EXECUTION_WAIT_BUFFER : EXECUTION_WAIT_OUTPUT;
    return frame == NULL ? NULL : frame + COMPAT_HEADER_BYTES;
}

/* Sends a message whose body lies in the reserved room once a block is durable. */
static enum execution message_send(const struct compat_message *message,
                                   struct compat_header *reply, uint32_t body_bytes, uint64_t lsn)
{
    struct connection *connection = message->connection;
    char *frame = connection->out + connection->out_end;
    reply->cluster = message->header->cluster;
    reply->release = message->header->release;
    reply->size = COMPAT_HEADER_BYTES + body_bytes;
    compat_seal(reply, frame + COMPAT_HEADER_BYTES);
    memcpy(frame, reply, sizeof *reply);
    connection_reply_bytes(connection, reply->size, lsn);
    return EXECUTION_DONE;
}

/* commit: of the session's last change, which orders replies. */
enum execution compat_reply_send(const struct compat_message *message, uint32_t body_bytes,
                                 uint64_t commit, uint64_t timestamp, uint64_t lsn)
{
    const struct compat_header *header = message->header;
    struct compat_header reply = {
        .command = COMPAT_REPLY,
        .reply = {.request_checksum = header->checksum,
                  .client = header->request.client,
                  .op = commit,
                  .commit = commit,
                  .timestamp = timestamp,
                  .request = header->request.request,
                  .operation = header->request.operation},
    };
    return message_send(message, &reply, body_bytes, lsn);
}

/* The client is told that it cannot go on. */
enum execution compat_evict(const struct compat_message *message, enum compat_eviction reason)
{
    enum execution wait;
    if (compat_body_reserve(message, 0, &wait) == NULL)
        return wait;
    struct compat_header eviction = {
        .command = COMPAT_EVICTION,
        .eviction = {.client = message->header->request.client, .reason = (uint8_t)reason},
    };
    return message_send(message, &eviction, 0, log_lsn_visible(&message->shard->log));
}

static enum execution pong(const struct compat_message *message)
{
    enum execution wait;
    if (compat_body_reserve(message, 0, &wait) == NULL)
        return wait;
    struct compat_header reply = {
        .command = COMPAT_PONG,
        .pong = {.timestamp_monotonic = message->header->ping.timestamp_monotonic},
    };
    /* Replies that wait for the disk may be in front of it, and leave in the order of their blocks. */
    return message_send(message, &reply, 0, log_lsn_visible(&message->shard->log));
}

/* Not answered: the client sends it again. */
enum execution compat_ignore(void)
{
    return EXECUTION_DONE;
}

/* ---- Batches ----------------------------------------------------------------------------- */

/* Remembers how many results a batch has where the request says how many elements: the reply's
 * trailer is the same otherwise. */
static void batch_results_set(const struct compat_message *message, uint32_t batch,
                              uint32_t results)
{
    uint8_t *trailer = (uint8_t *)message->body + message->header->size - COMPAT_HEADER_BYTES;
    if (!message->format->batches)
        return;
    trailer[-4 - 2 * (ptrdiff_t)batch] = (uint8_t)results;
    trailer[-3 - 2 * (ptrdiff_t)batch] = (uint8_t)(results >> 8);
}

static uint32_t reply_trailer_bytes(const struct compat_message *message)
{
    return message->format->batches
               ? compat_trailer_bytes(message->batches.count, message->format->result_bytes)
               : 0;
}

/* Completes a reply's body of results. Returns its size. */
static uint32_t trailer_put(const struct compat_message *message, char *reply, uint32_t bytes)
{
    const uint32_t trailer = reply_trailer_bytes(message);
    if (trailer == 0)
        return bytes;
    const uint32_t counts = 2 * message->batches.count + 2;
    const char *from = message->body + message->header->size - COMPAT_HEADER_BYTES - counts;
    memset(reply + bytes, 0xff, trailer - counts);
    memcpy(reply + bytes + trailer - counts, from, counts);
    return bytes + trailer;
}

/* ---- Creating ---------------------------------------------------------------------------- */

static bool creates_transfers(const struct compat_message *message)
{
    return message->format->kind == COMPAT_CREATE_TRANSFERS;
}

/* Accounts have flags and timestamp where transfers have them. */
static struct giro_transfer *event_of(const struct compat_message *message, uint32_t index)
{
    return (struct giro_transfer *)(void *)message->body + index;
}

static void flags_reserve(const struct compat_message *message)
{
    const unsigned known =
        creates_transfers(message) ? (unsigned)TRANSFER_FLAGS : (unsigned)ACCOUNT_FLAGS;
    struct giro_transfer *events = event_of(message, 0);
    const uint32_t count = message->batches.elements;
    unsigned used = 0;
    for (uint32_t i = 0; i < count; i++)
        used |= events[i].flags;
    if ((used & ~known) == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if ((events[i].flags & ~known) != 0)
            events[i].flags |= RESERVED_FLAG;
    }
}

/* Results that this protocol does not have, of limits that were set over the native one, as the
 * nearest that it has. */
static uint32_t code_of(const struct compat_message *message, uint32_t code)
{
    if (!creates_transfers(message) || code < GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT)
        return code;
    return code == GIRO_TRANSFER_ACCOUNT_BLOCKED ? GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED
                                                 : GIRO_TRANSFER_EXCEEDS_CREDITS;
}

/* When what exists was made. What the event's own chain had made comes first: the chain has broken at
 * the event, and whatever has that id now was made behind it. */
static uint64_t existing_timestamp(const struct compat_message *message, uint32_t batch_first,
                                   uint32_t index, uint64_t processed)
{
    struct shard *shard = message->shard;
    const unsigned linked =
        creates_transfers(message) ? (unsigned)GIRO_TRANSFER_LINKED : (unsigned)GIRO_ACCOUNT_LINKED;
    const giro_u128 id = event_of(message, index)->id;
    for (uint32_t at = index; at > batch_first; at--) {
        const struct giro_transfer *before = event_of(message, at - 1);
        if ((before->flags & linked) == 0)
            break;
        if (before->id == id)
            return before->timestamp != 0 ? before->timestamp : processed - (index - (at - 1));
    }
    if (creates_transfers(message)) {
        struct giro_transfer transfer = {0};
        (void)ledger_lookup_transfers(shard->ledger, &id, 1,
                                      shard_fetch_cache(shard, message->connection), &transfer);
        assert(transfer.timestamp != 0);
        return transfer.timestamp;
    }
    return shard->ledger->accounts.rows[accounts_find(&shard->ledger->accounts, id)].timestamp;
}

/* When an event that was not created was looked at, or what it is equal to was made. */
static uint64_t result_timestamp(const struct compat_message *message, uint32_t batch_first,
                                 uint32_t index, uint32_t code, uint64_t processed)
{
    const uint32_t exists =
        creates_transfers(message) ? (uint32_t)GIRO_TRANSFER_EXISTS : (uint32_t)GIRO_ACCOUNT_EXISTS;
    const uint64_t given = event_of(message, index)->timestamp;
    if (code == exists)
        return existing_timestamp(message, batch_first, index, processed);
    return code == GIRO_TRANSFER_LINKED_EVENT_FAILED && given != 0 ? given : processed;
}

/* Executes one batch after the others, whose records and results are before its. Returns how many
 * addresses have to be fetched first. */
static uint32_t batch_execute(const struct compat_message *message, uint32_t first, uint32_t count,
                              uint64_t timestamp, struct ledger_output *output)
{
    struct shard *shard = message->shard;
    if (count == 0) {
        output->record_count = output->result_count = 0;
        return 0;
    }
    const struct giro_transfer *events = event_of(message, first);
    if (creates_transfers(message))
        return ledger_create_transfers(shard->ledger, events, count, timestamp,
                                       shard_fetch_cache(shard, message->connection),
                                       shard->addresses, output);
    ledger_create_accounts(shard->ledger, (const struct giro_account *)(const void *)events, count,
                           timestamp, output);
    return 0;
}

/* Executes all batches. Returns how many addresses have to be fetched first; 0: it is done, and logged
 * with the session. */
static uint32_t batches_execute(const struct compat_message *message, uint32_t row,
                                uint64_t timestamp, union record *records, uint64_t address)
{
    struct shard *shard = message->shard;
    struct compat *compat = &shard->compat;
    const struct compat_batches *batches = &message->batches;
    struct ledger_output output = {.results = compat->results, .baseline = true};
    uint32_t first = 0;
    uint32_t used = 0;
    uint32_t failed = 0;
    if (creates_transfers(message) && batches->count > 1) {
        const uint32_t missing = ledger_prepare_transfers(
            shard->ledger, event_of(message, 0), batches->elements,
            shard_fetch_cache(shard, message->connection), shard->addresses);
        if (missing > 0)
            return missing;
    }
    for (uint32_t batch = 0; batch < batches->count; batch++) {
        const uint32_t count = compat_batch_elements(batches, batch);
        output.records = records + used;
        output.address = address + used;
        const uint32_t missing = batch_execute(message, first, count, timestamp + first, &output);
        if (missing > 0)
            return missing; /* there is only this batch */
        for (uint32_t i = 0; i < output.result_count; i++) {
            const uint32_t index = first + compat->results[i].index;
            const uint32_t code = code_of(message, compat->results[i].code);
            compat->failed[failed++] = (struct session_result){
                .index = index,
                .code = code,
                .timestamp = result_timestamp(message, first, index, code, timestamp + index),
            };
        }
        used += output.record_count;
        first += count;
    }
    const struct compat_header *header = message->header;
    const struct record_session session = {
        .client = header->request.client,
        .request = {.low = (uint64_t)header->checksum, .high = (uint64_t)(header->checksum >> 64)},
        .number = shard->ledger->sessions.rows[row].number,
        .timestamp_first = timestamp,
        .request_number = header->request.request,
        .release = header->release,
        .row = row,
        .event_count = first,
        .result_count = failed,
        .timestamp = timestamp + (first == 0 ? 0 : first - 1),
    };
    output.records = records;
    output.address = address;
    output.record_count = used;
    ledger_log_session(shard->ledger, &session, compat->failed, &output);
    log_commit(&shard->log, output.record_count);
    shard->stats.events += first;
    shard->stats.events_rejected += failed;
    return 0;
}

/* Whether a batch's events bring their own timestamps: all of those that were created do, or none. */
static bool batch_imports(const struct compat_message *message, uint32_t first, uint32_t end)
{
    const unsigned imported = creates_transfers(message) ? (unsigned)GIRO_TRANSFER_IMPORTED
                                                         : (unsigned)GIRO_ACCOUNT_IMPORTED;
    return first < end && (event_of(message, first)->flags & imported) != 0;
}

/* Writes the results of events in a row that were all created. The events, which lie 128 bytes apart,
 * are looked at only where their timestamps are needed. Returns where the next result goes. */
static char *created_write(const struct compat_message *message, uint32_t first, uint32_t end,
                           uint64_t timestamp_first, bool imports, char *out)
{
    struct result result = {.status = (uint32_t)RESULT_CREATED};
    if (message->format->sparse)
        return out;
    for (uint32_t i = first; i < end; i++) {
        result.timestamp = imports ? event_of(message, i)->timestamp : timestamp_first + i;
        memcpy(out, &result, sizeof result);
        out += sizeof result;
    }
    return out;
}

/* index: of the event in its batch. */
static char *failed_write(const struct compat_message *message, const struct session_result *failed,
                          uint32_t index, char *out)
{
    const struct giro_result sparse = {.index = index, .code = failed->code};
    const struct result result = {.timestamp = failed->timestamp, .status = failed->code};
    if (message->format->sparse)
        memcpy(out, &sparse, sizeof sparse);
    else
        memcpy(out, &result, sizeof result);
    return out + message->format->result_bytes;
}

/* Writes the results of the session's last request, from what failed. Returns the size of the body. */
static uint32_t results_write(const struct compat_message *message, const struct session *session,
                              const struct session_result *failed, char *reply)
{
    const struct session_result *const failed_end = failed + session->result_count;
    char *out = reply;
    uint32_t first = 0;
    for (uint32_t batch = 0; batch < message->batches.count; batch++) {
        const uint32_t end = first + compat_batch_elements(&message->batches, batch);
        const bool imports = batch_imports(message, first, end);
        const char *begin = out;
        uint32_t index = first;
        for (; failed < failed_end && failed->index < end; failed++) {
            out = created_write(message, index, failed->index, session->timestamp_first, imports,
                                out);
            out = failed_write(message, failed, failed->index - first, out);
            index = failed->index + 1;
        }
        out = created_write(message, index, end, session->timestamp_first, imports, out);
        batch_results_set(message, batch, (uint32_t)(out - begin) / message->format->result_bytes);
        first = end;
    }
    return trailer_put(message, reply, (uint32_t)(out - reply));
}

static enum execution created(const struct compat_message *message, uint32_t row,
                              const struct session_result *failed, char *reply)
{
    const struct session *session = &message->shard->ledger->sessions.rows[row];
    const uint32_t bytes = results_write(message, session, failed, reply);
    const uint32_t last = session->event_count == 0 ? 0 : session->event_count - 1;
    return compat_reply_send(message, bytes, session->address, session->timestamp_first + last,
                             log_lsn_visible(&message->shard->log));
}

static uint32_t created_bytes(const struct compat_message *message)
{
    return message->batches.elements * message->format->result_bytes + reply_trailer_bytes(message);
}

/* The results of the session's last request, which are in the log, once more. */
static enum execution execute_again(const struct compat_message *message, uint32_t row)
{
    struct shard *shard = message->shard;
    const struct session *session = &shard->ledger->sessions.rows[row];
    const struct record_cache *cache = shard_fetch_cache(shard, message->connection);
    const uint32_t records = session_records(session->result_count) - 1;
    enum execution wait;
    uint32_t missing = 0;
    if (session->event_count != message->batches.elements)
        return compat_evict(message, COMPAT_INVALID_BODY);
    char *reply = compat_body_reserve(message, created_bytes(message), &wait);
    if (reply == NULL)
        return wait;
    shard->ledger->window = shard->log.window;
    for (uint32_t i = 0; i < records; i++) {
        const uint64_t address = session->address + 1 + i;
        const union record *record = record_at(&shard->ledger->window, cache, address);
        if (record == NULL)
            shard->addresses[missing++] = address;
        else if (!PLANTED(FORGET_RESULTS))
            memcpy(shard->compat.failed + (size_t)i * SESSION_RESULTS,
                   record->session_results.results,
                   record->session_results.count * sizeof *shard->compat.failed);
    }
    if (missing > 0)
        return shard_fetch_start(shard, message->connection, missing);
    return created(message, row, shard->compat.failed, reply);
}

/* Why the ledger has no room for a message; false: it has. */
static bool ledger_is_full(const struct compat_message *message, enum frame_status *out_status)
{
    const struct shard *shard = message->shard;
    const uint32_t count = message->batches.elements;
    if (creates_transfers(message))
        *out_status = shard_transfers_room(shard, event_of(message, 0), count);
    else
        *out_status = ledger_room_accounts(shard->ledger, count) == LEDGER_ROOM
                          ? FRAME_OK
                          : FRAME_ACCOUNTS_FULL;
    return *out_status != FRAME_OK;
}

static enum execution execute_create(const struct compat_message *message, uint32_t row)
{
    struct shard *shard = message->shard;
    const struct compat_batches *batches = &message->batches;
    enum frame_status status;
    enum execution wait;
    if (batches->elements > LEDGER_EVENTS_MAX ||
        created_bytes(message) > (uint32_t)COMPAT_BODY_BYTES_MAX)
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    const struct session *session = &shard->ledger->sessions.rows[row];
    if (message->header->request.request == session->request && !PLANTED(EXECUTE_AGAIN))
        return execute_again(message, row);
    flags_reserve(message);
    if (shard->throttled)
        return atomic_load_explicit(&shard->follower->seal_failing, memory_order_relaxed)
                   ? compat_ignore()
                   : EXECUTION_WAIT_BUFFER;
    if (ledger_is_full(message, &status)) {
        fprintf(stderr, "giro: a client is evicted: %s: %s\n", frame_status_name(status),
                frame_status_meaning(status));
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    }
    uint32_t records = session_records(batches->elements);
    records += creates_transfers(message)
                   ? ledger_records_max(shard->ledger, event_of(message, 0), batches->elements)
                   : batches->elements;
    if (records > log_records_max(&shard->log))
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    char *reply = compat_body_reserve(message, created_bytes(message), &wait);
    if (reply == NULL)
        return wait;
    if (creates_transfers(message) && !shard_expire(shard) && !shard->log.storage_full)
        return EXECUTION_WAIT_LOG;
    union record *room;
    uint64_t address;
    if (log_reserve(&shard->log, records, &room, &address) != LOG_ROOM)
        return shard->log.storage_full ? compat_ignore() : EXECUTION_WAIT_LOG;
    shard->ledger->window = shard->log.window;
    const uint32_t missing =
        batches_execute(message, row, shard_timestamp_next(shard), room, address);
    if (missing > 0)
        return shard_fetch_start(shard, message->connection, missing);
    return created(message, row, shard->compat.failed, reply);
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* Of what reads see. */
enum execution compat_read_send(const struct compat_message *message, uint32_t row,
                                uint32_t body_bytes, uint64_t lsn)
{
    const struct ledger *ledger = message->shard->ledger;
    return compat_reply_send(message, body_bytes, ledger->sessions.rows[row].address,
                             ledger->timestamp_last, lsn);
}

static enum execution execute_lookup(const struct compat_message *message, uint32_t row)
{
    struct shard *shard = message->shard;
    const struct compat_batches *batches = &message->batches;
    const giro_u128 *ids = (const giro_u128 *)(const void *)message->body;
    const bool transfers = message->format->kind == COMPAT_LOOKUP_TRANSFERS;
    const uint32_t bytes = batches->elements * GIRO_RECORD_BYTES + reply_trailer_bytes(message);
    enum execution wait;
    if (batches->elements > LEDGER_EVENTS_MAX || bytes > COMPAT_BODY_BYTES_MAX)
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    char *reply = compat_body_reserve(message, bytes, &wait);
    if (reply == NULL)
        return wait;
    const struct record_cache *cache = shard_fetch_cache(shard, message->connection);
    shard->ledger->window = shard->log.window;
    const uint32_t missing =
        transfers
            ? ledger_prepare_lookup(shard->ledger, ids, batches->elements, cache, shard->addresses)
            : 0;
    if (missing > 0)
        return shard_fetch_start(shard, message->connection, missing);
    uint32_t first = 0;
    uint32_t done = 0;
    for (uint32_t batch = 0; batch < batches->count; batch++) {
        const uint32_t count = compat_batch_elements(batches, batch);
        char *out = reply + (size_t)done * GIRO_RECORD_BYTES;
        const uint32_t found =
            transfers ? ledger_lookup_transfers(shard->ledger, ids + first, count, cache, out)
                      : ledger_lookup_accounts(shard->ledger, ids + first, count, out);
        batch_results_set(message, batch, found);
        first += count;
        done += found;
    }
    shard->stats.events += first;
    return compat_read_send(message, row, trailer_put(message, reply, done * GIRO_RECORD_BYTES),
                            log_lsn_visible(&shard->log));
}

static enum follower_request_kind query_kind(const struct compat_message *message)
{
    switch (message->format->kind) {
    case COMPAT_GET_ACCOUNT_TRANSFERS:
        return FOLLOWER_ACCOUNT_TRANSFERS;
    case COMPAT_GET_ACCOUNT_BALANCES:
        return FOLLOWER_ACCOUNT_BALANCES;
    case COMPAT_QUERY_ACCOUNTS:
        return FOLLOWER_ACCOUNTS;
    default:
        return FOLLOWER_TRANSFERS;
    }
}

/* The filter of a batch, for at most so many results. Both kinds end in limit and flags. */
static void filter_limit(const struct compat_message *message, uint32_t batch, uint32_t limit_max,
                         void *filter)
{
    const uint32_t size = message->format->event_bytes;
    uint32_t limit;
    memcpy(filter, message->body + (size_t)batch * size, size);
    char *at = (char *)filter + size - 2 * sizeof limit;
    memcpy(&limit, at, sizeof limit);
    limit = limit < limit_max ? limit : limit_max;
    memcpy(at, &limit, sizeof limit);
}

/* Every batch is one filter. Returns whether that is so. */
static bool queries_formed(const struct compat_message *message)
{
    for (uint32_t batch = 0; batch < message->batches.count; batch++) {
        if (compat_batch_elements(&message->batches, batch) != 1)
            return false;
    }
    return true;
}

/* Adds a completed answer to the reply. */
static void query_answered(const struct compat_message *message, char *reply)
{
    struct connection *connection = message->connection;
    const struct follower_request *request = connection->request;
    const uint32_t bytes = request->count * GIRO_RECORD_BYTES;
    memcpy(reply + connection->compat_bytes, request->output, bytes);
    batch_results_set(message, connection->compat_batch, request->count);
    connection->compat_batch++;
    connection->compat_bytes += bytes;
    connection->compat_lsn = request->fence_lsn;
    shard_query_end(message->shard, connection);
}

/* Asks the follower one filter after the other, each with what room the ones before it have left. The
 * reply grows in the output, which is empty: nothing else is executed or sent meanwhile. */
static enum execution execute_queries(const struct compat_message *message, uint32_t row)
{
    struct shard *shard = message->shard;
    struct connection *connection = message->connection;
    const bool begun = connection->compat_batch > 0 || connection->request != NULL;
    const uint32_t room = COMPAT_BODY_BYTES_MAX - reply_trailer_bytes(message);
    union {
        struct giro_account_filter account;
        struct giro_query_filter query;
    } filter;
    enum execution execution;
    if (!begun && !queries_formed(message))
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    if (!begun && connection->out_end != 0)
        return EXECUTION_WAIT_OUTPUT;
    char *reply = compat_body_reserve(message, COMPAT_BODY_BYTES_MAX, &execution);
    if (reply == NULL)
        return execution;
    if (!begun)
        connection->compat_lsn = log_lsn_visible(&shard->log);
    if (connection->request != NULL && connection->request->result != 0) {
        shard_query_end(shard, connection);
        return compat_ignore();
    }
    if (connection->request != NULL)
        query_answered(message, reply);
    while (connection->compat_batch < message->batches.count) {
        const uint32_t left = (room - connection->compat_bytes) / GIRO_RECORD_BYTES;
        filter_limit(message, connection->compat_batch, left, &filter);
        const enum frame_status status =
            shard_query_begin(shard, connection, query_kind(message), &filter,
                              message->format->event_bytes, &execution);
        if (status == FRAME_FOLLOWER_OFF)
            return compat_ignore();
        if (status == FRAME_OK)
            return execution;
        batch_results_set(message, connection->compat_batch,
                          0); /* what asks for nothing finds nothing */
        connection->compat_batch++;
    }
    return compat_read_send(message, row, trailer_put(message, reply, connection->compat_bytes),
                            connection->compat_lsn);
}

/* ---- Sessions ---------------------------------------------------------------------------- */

static bool is_last_request(const struct compat_message *message, const struct session *session)
{
    const struct compat_header *header = message->header;
    return session->request == header->request.request &&
           session->checksum.low == (uint64_t)header->checksum &&
           session->checksum.high == (uint64_t)(header->checksum >> 64);
}

/* The largest body of a request. Even if each event has a record besides its own, and fails, they fit
 * into one block of the log. */
static uint32_t batch_size_limit(const struct shard *shard)
{
    const uint64_t records = log_records_max(&shard->log) - session_records(0);
    const uint64_t events = (records - 1) * SESSION_RESULTS / (2 * SESSION_RESULTS + 1);
    const uint64_t bytes = (events + 1) * GIRO_RECORD_BYTES; /* the last one: a trailer */
    return bytes < COMPAT_BODY_BYTES_MAX ? (uint32_t)bytes : (uint32_t)COMPAT_BODY_BYTES_MAX;
}

static enum execution registered(const struct compat_message *message,
                                 const struct session *session, char *reply)
{
    const uint32_t limit = batch_size_limit(message->shard);
    memset(reply, 0, REGISTERED_BYTES);
    memcpy(reply, &limit, sizeof limit);
    return compat_reply_send(message, REGISTERED_BYTES, session->number, session->timestamp_first,
                             log_lsn_visible(&message->shard->log));
}

static enum execution execute_register(const struct compat_message *message)
{
    struct shard *shard = message->shard;
    const struct compat_header *header = message->header;
    struct sessions *sessions = &shard->ledger->sessions;
    enum execution wait;
    if (header->release < RELEASE_MIN)
        return compat_evict(message, COMPAT_RELEASE_TOO_LOW);
    if (header->size != COMPAT_HEADER_BYTES + REGISTER_BYTES)
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    if (!all_zero((const uint8_t *)message->body, REGISTER_BYTES))
        return compat_evict(message, COMPAT_INVALID_BODY);
    char *reply = compat_body_reserve(message, REGISTERED_BYTES, &wait);
    if (reply == NULL)
        return wait;
    const uint32_t known = sessions_find(sessions, header->request.client);
    if (known != SESSIONS_NONE)
        return is_last_request(message, &sessions->rows[known])
                   ? registered(message, &sessions->rows[known], reply)
                   : compat_ignore();
    struct ledger_output output = {0};
    if (log_reserve(&shard->log, session_records(0), &output.records, &output.address) != LOG_ROOM)
        return shard->log.storage_full ? compat_ignore() : EXECUTION_WAIT_LOG;
    const uint64_t now = shard_timestamp_next(shard);
    const uint32_t row = sessions_vacant(sessions, shard->options->compat_sessions_max);
    const struct record_session session = {
        .client = header->request.client,
        .request = {.low = (uint64_t)header->checksum, .high = (uint64_t)(header->checksum >> 64)},
        .timestamp_first = now,
        .release = header->release,
        .row = row,
        .timestamp = now,
    };
    ledger_log_session(shard->ledger, &session, NULL, &output);
    log_commit(&shard->log, output.record_count);
    return registered(message, &sessions->rows[row], reply);
}

/* A request of a registered session whose number is not too low. */
static enum execution execute_operation(struct compat_message *message, uint32_t row)
{
    const struct compat_header *header = message->header;
    if (message->format == NULL)
        return compat_evict(message, COMPAT_INVALID_OPERATION);
    const bool begun =
        message->connection->compat_batch > 0 || message->connection->request != NULL;
    message->batches = (struct compat_batches){0};
    if (!compat_batches_read(message->format, message->body, header->size - COMPAT_HEADER_BYTES,
                             &message->batches) &&
        !begun) /* then its counts have been replaced by those of the results */
        return compat_evict(message, COMPAT_INVALID_BODY_SIZE);
    switch (message->format->kind) {
    case COMPAT_CREATE_ACCOUNTS:
    case COMPAT_CREATE_TRANSFERS:
        return execute_create(message, row);
    case COMPAT_LOOKUP_ACCOUNTS:
    case COMPAT_LOOKUP_TRANSFERS:
        return execute_lookup(message, row);
    case COMPAT_GET_CHANGES:
        return compat_execute_changes(message, row);
    default:
        return execute_queries(message, row);
    }
}

static enum execution execute_request(struct compat_message *message)
{
    const struct compat_header *header = message->header;
    const struct sessions *sessions = &message->shard->ledger->sessions;
    if (header->request.client == 0)
        return compat_ignore();
    if (header->request.operation == COMPAT_REGISTER)
        return execute_register(message);
    const uint32_t row = sessions_find(sessions, header->request.client);
    if (row == SESSIONS_NONE)
        return compat_evict(message, COMPAT_NO_SESSION);
    const struct session *session = &sessions->rows[row];
    if (header->request.session < session->number)
        return compat_evict(message, COMPAT_SESSION_TOO_LOW);
    if (header->request.session > session->number || header->request.request == 0 ||
        header->request.request < session->request)
        return compat_ignore();
    if (header->release != session->release)
        return compat_evict(message, COMPAT_SESSION_RELEASE_MISMATCH);
    if (header->request.request == session->request && !is_last_request(message, session))
        return compat_ignore();
    message->format = compat_format_of(header->request.operation);
    return execute_operation(message, row);
}

enum execution compat_execute(struct shard *shard, struct connection *connection)
{
    struct compat_message message = {
        .shard = shard,
        .connection = connection,
        .header = connection_compat_header(connection),
    };
    message.body = (char *)(message.header + 1);
    enum execution execution = EXECUTION_DONE;
    if (message.header->command == COMPAT_PING)
        execution = pong(&message);
    else if (message.header->command == COMPAT_REQUEST)
        execution = connection->damaged ? compat_evict(&message, COMPAT_INVALID_BODY)
                                        : execute_request(&message);
    if (execution == EXECUTION_DONE) {
        shard->stats.requests++;
        connection_reply_none(connection, &shard->out_pool);
        shard_query_drop(shard, connection); /* of a session that ended while it was answered */
        connection->damaged = false;
        connection->queued = false;
        connection->compat_batch = 0;
        connection->compat_bytes = 0;
        connection->compat_pages = 0;
    }
    return execution;
}
