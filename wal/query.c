#include "wal/query.h"

#include "engine/hash.h"

#include <assert.h>
#include <errno.h>

enum {
    SLICE_READS = 256,     /* pages from files in one slice: about a millisecond when warm */
    SLICE_RECORDS = 16384, /* looked at in one slice */
    SLICE_ROWS = 64 << 10, /* account rows looked at in one slice */
};

/* ---- Matching ---------------------------------------------------------------------------- */

static bool fields_match(const struct query *query, const union record *record)
{
    const struct giro_transfer *fields = &record->transfer; /* accounts have them there as well */
    return (query->user_data_128 == 0 || query->user_data_128 == fields->user_data_128) &&
           (query->user_data_64 == 0 || query->user_data_64 == fields->user_data_64) &&
           (query->user_data_32 == 0 || query->user_data_32 == fields->user_data_32) &&
           (query->ledger == 0 || query->ledger == fields->ledger) &&
           (query->code == 0 || query->code == fields->code);
}

static bool timestamp_matches(const struct query *query, uint64_t timestamp)
{
    return timestamp >= query->timestamp_min && timestamp <= query->timestamp_max;
}

/* Whether a timestamp lies beyond the last one that the query is still interested in. */
static bool timestamp_beyond(const struct query *query, uint64_t timestamp)
{
    return query->reversed ? timestamp < query->timestamp_min : timestamp > query->timestamp_max;
}

static bool side_matches(const struct query *query, uint32_t account_posting)
{
    return (account_posting & 1) != 0 ? query->credits : query->debits;
}

/* ---- Results ----------------------------------------------------------------------------- */

static void transfer_emit(struct query *query, const struct giro_transfer *transfer)
{
    memcpy(query->output + (size_t)query->count * GIRO_RECORD_BYTES, transfer, sizeof *transfer);
    query->count++;
}

static void balance_emit(struct query *query, const struct history_entry *entry)
{
    struct giro_account_balance balance = {
        .balances = entry->balances,
        .timestamp = entry->timestamp,
    };
    memcpy(query->output + (size_t)query->count * GIRO_RECORD_BYTES, &balance, sizeof balance);
    query->count++;
}

/* Accounts are gathered as row numbers, in the output's own memory; rows_emit() turns them into
 * accounts, all as of one moment. */
static void row_emit(struct query *query, uint32_t row)
{
    memcpy(query->output + (size_t)query->count * sizeof row, &row, sizeof row);
    query->count++;
}

static void rows_emit(struct query *query, const struct ledger *ledger)
{
    /* From the last one on: what is written never covers a row number that is still to be read. */
    for (uint32_t i = query->count; i > 0; i--) {
        uint32_t row;
        memcpy(&row, query->output + (size_t)(i - 1) * sizeof row, sizeof row);
        memcpy(query->output + (size_t)(i - 1) * GIRO_RECORD_BYTES, &ledger->accounts.rows[row],
               GIRO_RECORD_BYTES);
    }
}

/* Looks at one record that a walk or a posting led to. */
static void record_look(struct query *query, const struct query_source *source,
                        const union record *record)
{
    enum record_kind wanted = query->kind == QUERY_ACCOUNTS ? RECORD_ACCOUNT : RECORD_TRANSFER;
    if (record_kind(record) != wanted || !timestamp_matches(query, record->transfer.timestamp) ||
        !fields_match(query, record))
        return;
    if (query->kind == QUERY_ACCOUNTS)
        row_emit(query, accounts_find(&source->ledger->accounts, record->account.id));
    else
        transfer_emit(query, &record->transfer);
}

/* ---- The segment in use ------------------------------------------------------------------ */

/* Whether a place, or posting, of the segment was looked at before. */
static bool looked_at(const struct query *query, uint32_t at)
{
    return query->resumes && query->resume_segment == query->segment &&
           (query->reversed ? at >= query->resume : at <= query->resume);
}

static void look_taken(struct query *query, uint32_t at)
{
    query->resumes = true;
    query->resume_segment = query->segment;
    query->resume = at;
}

/* Walks every record. Returns 1 when the segment is through, 0: more to do. */
static int live_walk_blocks(struct query *query, const struct query_source *source)
{
    const struct view *view = &source->live->view;
    uint32_t looks = 0;
    for (uint32_t i = 0; i < view->block_count && query->count < query->limit; i++) {
        const struct view_block *block =
            &view->blocks[query->reversed ? view->block_count - 1 - i : i];
        uint32_t first = block->offset / GIRO_RECORD_BYTES + 1;
        if (block->record_count == 0 ||
            (looked_at(query, first) && looked_at(query, first + block->record_count - 1)))
            continue;
        for (uint32_t r = 0; r < block->record_count && query->count < query->limit; r++) {
            uint32_t at = first + (query->reversed ? block->record_count - 1 - r : r);
            if (looked_at(query, at))
                continue;
            if (looks++ == SLICE_RECORDS)
                return 0;
            record_look(query, source, view_record(view, at));
            look_taken(query, at);
        }
    }
    return 1;
}

/* Looks at one posting. at: as it stands in the postings. */
static void live_look(struct query *query, const struct query_source *source, uint32_t at)
{
    const struct live *live = source->live;
    if (query->section == SECTION_USER_DATA) {
        record_look(query, source, view_record(&live->view, at));
        return;
    }
    const struct history_entry *entry =
        query->section == SECTION_HISTORY ? &live->entries[at] : NULL;
    uint32_t side = entry != NULL ? entry->posting : at;
    const union record *record = view_record(&live->view, side / 2);
    if (!side_matches(query, side) || !timestamp_matches(query, record->transfer.timestamp) ||
        !fields_match(query, record))
        return;
    if (entry != NULL)
        balance_emit(query, entry);
    else
        transfer_emit(query, &record->transfer);
}

/* Walks postings. Returns as live_walk_blocks(). */
static int live_walk_postings(struct query *query, const struct query_source *source)
{
    struct live *live = source->live;
    struct postings *postings = query->section == SECTION_ACCOUNTS    ? &live->accounts
                                : query->section == SECTION_USER_DATA ? &live->user_data
                                                                      : &live->history;
    struct postings_search search;
    uint32_t at;
    uint32_t looks = 0;
    postings_search_begin(&search, postings, query->key, query->reversed);
    while (query->count < query->limit && postings_search_next(&search, &at)) {
        if (looked_at(query, at))
            continue;
        if (looks++ == SLICE_RECORDS)
            return 0;
        live_look(query, source, at);
        look_taken(query, at);
    }
    return 1;
}

/* ---- Sealed segments --------------------------------------------------------------------- */

/* What a posting leads to. */
struct found {
    struct history_entry entry; /* of SECTION_HISTORY; a copy: items are not aligned */
    const union record *record; /* NULL until it is needed, for SECTION_HISTORY */
    uint64_t timestamp;
    uint32_t posting;
    uint32_t place;
};

/* Reads item number i of the query's postings. False: damaged. */
static bool item_read(const struct query *query, struct archive_reader *reader, uint64_t i,
                      struct found *out)
{
    const uint64_t *entry = archive_item(reader, query->segment, query->section, i);
    *out = (struct found){0};
    if (entry == NULL)
        return false;
    out->posting = (uint32_t)*entry;
    out->place = query->section == SECTION_USER_DATA ? out->posting : out->posting / 2;
    if (query->section == SECTION_HISTORY) {
        const void *item = archive_item(reader, query->segment, SECTION_BALANCES, (uint32_t)*entry);
        if (item == NULL)
            return false;
        memcpy(&out->entry, item, sizeof out->entry);
        out->posting = out->entry.posting;
        out->place = out->posting / 2;
        out->timestamp = out->entry.timestamp;
        return true;
    }
    out->record = archive_record(reader, query->segment, out->place);
    if (out->record == NULL)
        return false;
    out->timestamp = out->record->transfer.timestamp;
    return true;
}

/* Narrows a range of postings to those from a timestamp on: the first item in begin .. end that is
 * not before it. */
static bool items_bisect(const struct query *query, struct archive_reader *reader, uint64_t begin,
                         uint64_t end, uint64_t timestamp, uint64_t *out_item)
{
    while (begin < end) {
        uint64_t middle = begin + (end - begin) / 2;
        struct found found;
        if (!item_read(query, reader, middle, &found))
            return false;
        if (found.timestamp < timestamp)
            begin = middle + 1;
        else
            end = middle;
    }
    *out_item = begin;
    return true;
}

/* Finds the range of the query's postings in the segment. False: damaged. */
static bool segment_enter(struct query *query, struct archive_reader *reader)
{
    const struct segment_facts *facts = &reader->archive->sidecars[query->segment]->facts;
    uint64_t begin;
    uint64_t end;
    query->entered = true;
    query->run_next = 0;
    bool transfers = query->kind != QUERY_ACCOUNTS;
    if (transfers && (facts->transfers == 0 || facts->transfer_last < query->timestamp_min ||
                      facts->transfer_first > query->timestamp_max)) {
        query->item = query->item_end = query->ahead = 0;
        return true;
    }
    if (query->walks_all) {
        begin = 0;
        end = reader->archive->sidecars[query->segment]->sections[SECTION_RUNS].items;
    } else {
        bool resumes = query->resumes && query->resume_segment == query->segment;
        uint32_t from = resumes && !query->reversed ? query->resume + 1 : 0;
        uint32_t to = resumes && query->reversed ? query->resume : UINT32_MAX;
        if (!archive_lower_bound(reader, query->segment, query->section, posting(query->key, from),
                                 &begin) ||
            !archive_lower_bound(reader, query->segment, query->section, posting(query->key, to),
                                 &end))
            return false;
        if (begin < end && transfers && facts->transfer_first < query->timestamp_min &&
            !items_bisect(query, reader, begin, end, query->timestamp_min, &begin))
            return false;
        if (begin < end && transfers && facts->transfer_last > query->timestamp_max &&
            !items_bisect(query, reader, begin, end, query->timestamp_max + 1, &end))
            return false;
    }
    query->item = query->reversed ? end : begin;
    query->item_end = query->reversed ? begin : end;
    query->ahead = query->item;
    return true;
}

/* Asks for the pages that the next items will need, so that a cold disk is not waited for one by
 * one. */
static void items_prefetch(struct query *query, struct archive_reader *reader)
{
    uint64_t wanted = query->limit - query->count;
    if (wanted > ARCHIVE_AHEAD)
        wanted = ARCHIVE_AHEAD;
    while (query->ahead != query->item_end &&
           (query->reversed ? query->item - query->ahead : query->ahead - query->item) < wanted) {
        uint64_t i = query->reversed ? --query->ahead : query->ahead++;
        const uint64_t *entry = archive_item(reader, query->segment, query->section, i);
        if (entry == NULL)
            return; /* reading it will say so */
        if (query->section == SECTION_ACCOUNTS)
            archive_prefetch(reader, query->segment, (uint32_t)*entry / 2);
        else if (query->section == SECTION_USER_DATA)
            archive_prefetch(reader, query->segment, (uint32_t)*entry);
    }
}

/* Looks at one posting of a sealed segment. False: damaged. */
static bool item_look(struct query *query, const struct query_source *source, uint64_t i)
{
    struct found found;
    if (!item_read(query, source->reader, i, &found))
        return false;
    if (query->section == SECTION_USER_DATA) {
        record_look(query, source, found.record);
        return true;
    }
    if (!side_matches(query, found.posting) || !timestamp_matches(query, found.timestamp))
        return true;
    if (query->section != SECTION_HISTORY) {
        if (fields_match(query, found.record))
            transfer_emit(query, &found.record->transfer);
        return true;
    }
    if (query->user_data_128 != 0 || query->user_data_64 != 0 || query->user_data_32 != 0 ||
        query->code != 0) {
        found.record = archive_record(source->reader, query->segment, found.place);
        if (found.record == NULL)
            return false;
        if (!fields_match(query, found.record))
            return true;
    }
    balance_emit(query, &found.entry);
    return true;
}

/* Walks postings. Returns 1 when the segment is through, 0 or -errno. */
static int items_walk(struct query *query, const struct query_source *source)
{
    const uint64_t reads_end = source->reader->reads + SLICE_READS;
    for (uint32_t looks = 0; query->item != query->item_end; looks++) {
        if (query->count == query->limit)
            return 1;
        if (source->reader->reads >= reads_end || looks == SLICE_RECORDS)
            return 0;
        items_prefetch(query, source->reader);
        uint64_t i = query->reversed ? --query->item : query->item++;
        if (!item_look(query, source, i))
            return -EBADMSG;
    }
    return 1;
}

/* Walks every record with an id, run by run. Returns 1 when the segment is through, 0 or -errno. */
static int runs_walk(struct query *query, const struct query_source *source)
{
    const uint64_t reads_end = source->reader->reads + SLICE_READS;
    for (uint32_t looks = 0; query->item != query->item_end;) {
        uint64_t i = query->reversed ? query->item - 1 : query->item;
        const struct id_run *item = archive_item(source->reader, query->segment, SECTION_RUNS, i);
        if (item == NULL)
            return -EBADMSG;
        struct id_run run = *item;
        for (; query->run_next < run.count; query->run_next++, looks++) {
            if (query->count == query->limit)
                return 1;
            if (source->reader->reads >= reads_end || looks == SLICE_RECORDS)
                return 0;
            uint32_t place = query->reversed ? run.place + run.count - 1 - query->run_next
                                             : run.place + query->run_next;
            const union record *record = archive_record(source->reader, query->segment, place);
            if (record == NULL)
                return -EBADMSG;
            if (looked_at(query, place))
                continue;
            if (record_kind(record) == RECORD_TRANSFER &&
                timestamp_beyond(query, record->transfer.timestamp)) {
                query->item = query->item_end;
                return 1;
            }
            record_look(query, source, record);
        }
        query->run_next = 0;
        query->item = query->reversed ? i : i + 1;
    }
    return 1;
}

/* ---- The whole --------------------------------------------------------------------------- */

/* Accounts without user data to go by: the rows themselves. */
static int accounts_walk(struct query *query, const struct query_source *source)
{
    const struct accounts *accounts = &source->ledger->accounts;
    if (!query->entered) {
        query->entered = true;
        query->item = query->reversed ? accounts->count : 0;
    }
    for (uint32_t looks = 0; looks < SLICE_ROWS; looks++) {
        uint64_t end = query->reversed ? 0 : accounts->count;
        if (query->item == end || query->count == query->limit)
            return 1;
        uint64_t row = query->reversed ? --query->item : query->item++;
        const union record *record = (const union record *)&accounts->rows[row];
        if (timestamp_beyond(query, record->account.timestamp))
            return 1;
        if (timestamp_matches(query, record->account.timestamp) && fields_match(query, record))
            row_emit(query, (uint32_t)row);
    }
    return 0;
}

/* Goes on to the next segment in the query's direction; false: there is none. */
static bool segment_next(struct query *query)
{
    query->entered = false;
    if (query->reversed && query->segment == 0)
        return false;
    query->segment = query->reversed ? query->segment - 1 : query->segment + 1;
    return true;
}

/* One segment, or a slice of it. Returns 1 when it is through, 0 or -errno. */
static int segment_walk(struct query *query, const struct query_source *source)
{
    if (query->segment >= source->reader->archive->count) {
        int result =
            query->walks_all ? live_walk_blocks(query, source) : live_walk_postings(query, source);
        query->done = result == 1 && !query->reversed;
        return result;
    }
    if (!query->entered && !segment_enter(query, source->reader))
        return -EBADMSG;
    return query->walks_all ? runs_walk(query, source) : items_walk(query, source);
}

/* What to answer when the reader met damage: of the log itself, or of an index. */
static int damage_of(const struct archive_reader *reader)
{
    return reader->damaged == ARCHIVE_LOG ? -EILSEQ : -EBADMSG;
}

int query_step(struct query *query, const struct query_source *source)
{
    const uint64_t reads_end = source->reader->reads + SLICE_READS;
    source->reader->error.text[0] = 0;
    if (query->kind == QUERY_ACCOUNTS && query->walks_all) {
        int result = accounts_walk(query, source);
        if (result == 1)
            rows_emit(query, source->ledger);
        return result;
    }
    while (!query->done && !query->nothing && query->count < query->limit) {
        int result = segment_walk(query, source);
        if (result <= 0)
            return result == 0 ? 0 : damage_of(source->reader);
        if (!query->done && !segment_next(query))
            query->done = true;
        if (!query->done && source->reader->reads >= reads_end)
            return 0;
    }
    if (query->kind == QUERY_ACCOUNTS)
        rows_emit(query, source->ledger);
    return 1;
}

static void times_set(struct query *query, uint64_t timestamp_min, uint64_t timestamp_max)
{
    query->timestamp_min = timestamp_min;
    query->timestamp_max = timestamp_max == 0 ? GIRO_TIMESTAMP_MAX : timestamp_max;
}

void query_account_begin(struct query *query, enum query_kind kind,
                         const struct giro_account_filter *filter,
                         const struct query_source *source, char *output)
{
    uint32_t row = accounts_find(&source->ledger->accounts, filter->account_id);
    *query = (struct query){
        .kind = kind,
        .user_data_128 = filter->user_data_128,
        .user_data_64 = filter->user_data_64,
        .user_data_32 = filter->user_data_32,
        .code = filter->code,
        .debits = (filter->flags & GIRO_ACCOUNT_FILTER_DEBITS) != 0,
        .credits = (filter->flags & GIRO_ACCOUNT_FILTER_CREDITS) != 0,
        .reversed = (filter->flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0,
        .limit = filter->limit,
        .section = kind == QUERY_ACCOUNT_BALANCES ? SECTION_HISTORY : SECTION_ACCOUNTS,
        .key = row,
        .nothing = row == ACCOUNTS_NONE,
        .output = output,
    };
    times_set(query, filter->timestamp_min, filter->timestamp_max);
    query->segment = query->reversed ? source->reader->archive->count : 0;
}

void query_begin(struct query *query, enum query_kind kind, const struct giro_query_filter *filter,
                 const struct query_source *source, char *output)
{
    const uint64_t seed = source->ledger->hash_seed;
    enum record_kind records = kind == QUERY_ACCOUNTS ? RECORD_ACCOUNT : RECORD_TRANSFER;
    *query = (struct query){
        .kind = kind,
        .user_data_128 = filter->user_data_128,
        .user_data_64 = filter->user_data_64,
        .user_data_32 = filter->user_data_32,
        .ledger = filter->ledger,
        .code = filter->code,
        .reversed = (filter->flags & GIRO_QUERY_FILTER_REVERSED) != 0,
        .limit = filter->limit,
        .section = SECTION_USER_DATA,
        .output = output,
    };
    times_set(query, filter->timestamp_min, filter->timestamp_max);
    /* The widest of the data that are given is the likeliest to be rare. */
    if (filter->user_data_128 != 0)
        query->key = user_data_key(filter->user_data_128, 128, records, seed);
    else if (filter->user_data_64 != 0)
        query->key = user_data_key(filter->user_data_64, 64, records, seed);
    else if (filter->user_data_32 != 0)
        query->key = user_data_key(filter->user_data_32, 32, records, seed);
    else
        query->walks_all = true;
    query->segment = query->reversed ? source->reader->archive->count : 0;
}
