#include "tools/export_source.h"

#include "net/frame.h"
#include "tools/command.h"
#include "tools/connection_options.h"
#include "tools/import_memory.h"
#include "tools/log_walk.h"
#include "wal/view.h"

#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdlib.h>

/* ---- The change stream of a server ------------------------------------------------------- */

enum {
    REPLIES = 2,
    /* The server may have to read a whole segment from its disk first, beside its other work. */
    DEADLINE_MS = 120000,
};

struct reply {
    struct giro_request request;
    struct giro_change_filter filter;
    struct giro_change *changes;
    sem_t complete;
};

struct stream {
    struct export_source *source;
    const char *command;
    struct giro_client *client;
    struct reply replies[REPLIES];
    uint64_t end; /* what to read up to */
};

static void reply_complete(struct giro_request *request)
{
    (void)sem_post(&((struct reply *)request->user_data)->complete);
}

static void stream_fail(const struct stream *stream, const struct reply *reply, int error)
{
    const char *address = stream->source->address;
    if (error == GIRO_EFILTER)
        complain(stream->command, "%s: ordinal %" PRIu64 ": %s: %s", address, reply->filter.ordinal,
                 giro_status_name(reply->request.status), giro_status_text(reply->request.status));
    else
        complain(stream->command, "%s: reading the changes from ordinal %" PRIu64 " on: %s (%s)",
                 address, reply->filter.ordinal, giro_error_text(error), giro_error_name(error));
}

static bool reply_ask(const struct stream *stream, struct reply *reply, uint64_t ordinal)
{
    reply->filter = (struct giro_change_filter){
        .ordinal = ordinal,
        .limit = GIRO_CHANGES_LIMIT_MAX,
        .wait_ms = 1000, /* not waited for: there is something before the end */
    };
    int error = giro_submit(stream->client, &reply->request);
    if (error != 0)
        stream_fail(stream, reply, error);
    return error == 0;
}

/* Waits for a reply, asks for the one after it, and gives this one's changes. */
static bool reply_give(struct stream *stream, struct reply *reply, struct reply *next)
{
    struct export_source *source = stream->source;
    const struct giro_request *request = &reply->request;
    while (sem_wait(&reply->complete) != 0)
        continue; /* interrupted by a signal */
    if (request->error == GIRO_EFILTER && request->status == FRAME_FILTER_ORDINAL &&
        reply->filter.ordinal == source->from)
        source->beyond = true;
    else if (request->error != 0)
        stream_fail(stream, reply, request->error);
    if (request->error != 0)
        return false;
    if (source->ordinal_end == 0) {
        source->ordinal_end = request->ordinal_end;
        stream->end = source->to < request->ordinal_end ? source->to : request->ordinal_end;
    }
    uint64_t ordinal_next = request->ordinal_next;
    if (ordinal_next < stream->end && !reply_ask(stream, next, ordinal_next))
        return false;
    for (uint32_t i = 0; i < request->result_count; i++) {
        const struct giro_change *change = &reply->changes[i];
        if (change->ordinal >= stream->end)
            break;
        if (!source->take(source->context, change))
            return false;
        source->ordinal_next = change->ordinal + 1;
    }
    source->ordinal_next = ordinal_next < stream->end ? ordinal_next : stream->end;
    return true;
}

static bool stream_run(struct export_source *source, const char *command)
{
    struct stream stream = {.source = source, .command = command, .end = UINT64_MAX};
    if (!connection_open(command, source->address, &stream.client))
        return false;
    for (int i = 0; i < REPLIES; i++) {
        struct reply *reply = &stream.replies[i];
        reply->changes = import_memory(NULL, GIRO_CHANGES_LIMIT_MAX, sizeof reply->changes[0]);
        (void)sem_init(&reply->complete, 0, 0);
        reply->request = (struct giro_request){
            .operation = GIRO_READ_CHANGES,
            .count = 1,
            .deadline_ms = DEADLINE_MS,
            .events.change_filter = &reply->filter,
            .output.changes = reply->changes,
            .completed = reply_complete,
            .user_data = reply,
        };
    }
    bool given = reply_ask(&stream, &stream.replies[0], source->from);
    for (int i = 0; given && (i == 0 || source->ordinal_next < stream.end); i++)
        given =
            reply_give(&stream, &stream.replies[i % REPLIES], &stream.replies[(i + 1) % REPLIES]);
    giro_client_close(stream.client); /* whatever is still asked for is complete then */
    for (int i = 0; i < REPLIES; i++) {
        free(stream.replies[i].changes);
        (void)sem_destroy(&stream.replies[i].complete);
    }
    return given;
}

/* ---- The log of a data directory --------------------------------------------------------- */

/* Applies a block and gives its changes. Returns 1, 0 when it is enough, or -errno. */
static int block_give(struct export_source *source, struct log_walk *walk,
                      const struct block_header *header, struct error *error)
{
    struct ledger_effect effects[LEDGER_CHUNK_EVENTS];
    const union record *records = block_records(header);
    uint64_t address = block_address(header, walk->directory.meta.segment_bytes);
    uint32_t index = 0;
    for (uint32_t done = 0, run; done < header->record_count; done += run) {
        run = ledger_replay_prepare(walk->ledger, &records[done], header->record_count - done);
        if (ledger_replay_apply(walk->ledger, &records[done], run, address + done, effects,
                                &index) != 0)
            return log_walk_contradiction(walk, header, done + index, error);
        for (uint32_t i = 0; i < run; i++) {
            uint64_t ordinal = header->ordinal + done + i;
            struct giro_change change;
            if (ordinal >= source->to)
                return 0;
            if (ordinal < source->from)
                continue;
            const union record *record = &records[done + i];
            if (change_from_record(record, record == records ? NULL : record - 1, ordinal,
                                   &effects[i].debit, &effects[i].credit, &change) &&
                !source->take(source->context, &change))
                return -ECANCELED;
            source->ordinal_next = ordinal + 1;
        }
    }
    return 1;
}

/* The log was read up to its end: is that where it ended? */
static bool end_sound(const struct log_walk *walk, const char *command)
{
    enum log_end_verdict verdict = walk->reader.end.verdict;
    struct error text;
    if (walk->ledger->digests_failed > 0)
        complain(command,
                 "warning: at %" PRIu64 " places the log says that the server's memory "
                 "differed from it; giro verify tells where",
                 walk->ledger->digests_failed);
    if (verdict == LOG_END_CLEAN)
        return true;
    log_end_describe(&walk->reader.end, &walk->directory, &text);
    complain(command, "%s", text.text);
    return verdict == LOG_END_TORN; /* nobody was told of what is torn */
}

static bool log_run(struct export_source *source, const char *command)
{
    struct log_walk walk;
    const struct block_header *header;
    struct error error;
    int result;
    if (log_walk_open(&walk, source->data, DIRECTORY_SHARED, &error) != 0) {
        complain(command, "%s", error.text);
        return false;
    }
    while ((result = log_walk_next(&walk, &header, &error)) > 0) {
        source->ordinal_end = header->ordinal + header->record_count;
        result = block_give(source, &walk, header, &error);
        if (result <= 0)
            break;
    }
    bool given = result == 0;
    if (result < 0 && result != -ECANCELED)
        complain(command, "%s", error.text);
    if (given && source->ordinal_next < source->to)
        given = end_sound(&walk, command);
    source->beyond = given && source->from > source->ordinal_end;
    log_walk_close(&walk);
    return given;
}

bool export_source_run(struct export_source *source, const char *command)
{
    source->ordinal_next = source->from;
    source->ordinal_end = 0;
    source->beyond = false;
    return source->data != NULL ? log_run(source, command) : stream_run(source, command);
}
