#include "wal/live.h"

#include "engine/hash.h"
#include "engine/memory.h"
#include "wal/log.h"

#include <assert.h>
#include <errno.h>

enum { USER_DATA_FIELDS = 3, ACCOUNTS_OF_A_TRANSFER = 2 };

int live_init(struct live *live, const struct directory *directory, uint32_t accounts_max)
{
    *live = (struct live){
        .directory = directory,
        .rows_max = accounts_max,
        .records_max = directory->meta.segment_bytes / GIRO_RECORD_BYTES,
    };
    const uint64_t two = (uint64_t)live->records_max * ACCOUNTS_OF_A_TRANSFER;
    live->entries = memory_reserve(two * sizeof *live->entries);
    live->base = memory_reserve(two * sizeof *live->base);
    live->touched = memory_reserve(accounts_max * sizeof *live->touched);
    live->released = memory_reserve(live->records_max * sizeof *live->released);
    if (live->entries != NULL && live->base != NULL && live->touched != NULL &&
        live->released != NULL && view_init(&live->view, directory) == 0 &&
        postings_init(&live->accounts, two) == 0 &&
        postings_init(&live->user_data, (uint64_t)live->records_max * USER_DATA_FIELDS) == 0 &&
        postings_init(&live->history, two) == 0 && postings_init(&live->base_rows, two) == 0)
        return 0;
    live_free(live);
    return -ENOMEM;
}

void live_free(struct live *live)
{
    if (live->directory == NULL)
        return;
    const uint64_t two = (uint64_t)live->records_max * ACCOUNTS_OF_A_TRANSFER;
    memory_release(live->entries, two * sizeof *live->entries);
    memory_release(live->base, two * sizeof *live->base);
    memory_release(live->touched, live->rows_max * sizeof *live->touched);
    memory_release(live->released, live->records_max * sizeof *live->released);
    view_free(&live->view);
    postings_free(&live->accounts);
    postings_free(&live->user_data);
    postings_free(&live->history);
    postings_free(&live->base_rows);
    *live = (struct live){0};
}

void live_begin(struct live *live, const struct log_position *position)
{
    view_clear(&live->view, position->segment, position->ordinal);
    live->facts = (struct segment_facts){
        .segment = position->segment,
        .epoch = position->epoch,
        .lsn_first = position->lsn,
        .lsn_end = position->lsn,
        .ordinal_first = position->ordinal,
        .ordinal_end = position->ordinal,
        .written_at = position->written_at,
        .previous = position->previous,
        .head = position->previous,
    };
    postings_clear(&live->accounts);
    postings_clear(&live->user_data);
    postings_clear(&live->history);
    postings_clear(&live->base_rows);
    live->entry_count = 0;
    live->base_count = 0;
    live->released_count = 0;
}

/* ---- Recording --------------------------------------------------------------------------- */

/* Keeps what a row's balances were when the segment began, the first time it is about to change. */
static void row_touch(struct live *live, const struct ledger *ledger, uint32_t row)
{
    if (row >= ledger->accounts.count || live->touched[row] == live->view.segment + 1)
        return;
    live->touched[row] = live->view.segment + 1;
    struct live_base *base = &live->base[live->base_count];
    memcpy(&base->balances, &ledger->accounts.rows[row].debits_pending, sizeof base->balances);
    base->row = row;
    postings_add(&live->base_rows, row, live->base_count);
    live->base_count++;
}

void live_before(struct live *live, const struct ledger *ledger, const union record *records,
                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!record_moves(&records[i]))
            continue;
        row_touch(live, ledger, ledger->events[i].debit_row);
        row_touch(live, ledger, ledger->events[i].credit_row);
    }
}

static void user_data_post(struct live *live, const union record *record, uint32_t place)
{
    const struct giro_transfer *fields = &record->transfer; /* accounts have them there as well */
    enum record_kind kind = record_kind(record);
    if (fields->user_data_128 != 0)
        postings_add(&live->user_data, user_data_key(fields->user_data_128, 128, kind), place);
    if (fields->user_data_64 != 0)
        postings_add(&live->user_data, user_data_key(fields->user_data_64, 64, kind), place);
    if (fields->user_data_32 != 0)
        postings_add(&live->user_data, user_data_key(fields->user_data_32, 32, kind), place);
}

static void history_add(struct live *live, const struct ledger *ledger, uint32_t row,
                        const struct giro_balances *balances, uint64_t timestamp, uint32_t at)
{
    if ((ledger->accounts.rows[row].flags & GIRO_ACCOUNT_HISTORY) == 0)
        return;
    live->entries[live->entry_count] = (struct history_entry){
        .balances = *balances,
        .timestamp = timestamp,
        .posting = at,
        .row = row,
    };
    postings_add(&live->history, row, live->entry_count);
    live->entry_count++;
}

static void transfer_record(struct live *live, const struct ledger *ledger,
                            const struct giro_transfer *transfer, uint32_t place,
                            const struct ledger_effect *effect)
{
    const uint32_t debit = place * 2;
    const uint32_t credit = place * 2 + 1;
    postings_add(&live->accounts, effect->debit_row, debit);
    postings_add(&live->accounts, effect->credit_row, credit);
    history_add(live, ledger, effect->debit_row, &effect->debit, transfer->timestamp, debit);
    history_add(live, ledger, effect->credit_row, &effect->credit, transfer->timestamp, credit);
    if ((transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0)
        live->released[live->released_count++] = effect->released - transfer->amount;
    if (live->facts.transfer_first == 0)
        live->facts.transfer_first = transfer->timestamp;
    live->facts.transfer_last = transfer->timestamp;
    live->facts.transfers++;
}

void live_after(struct live *live, const struct ledger *ledger, const union record *records,
                uint32_t count, uint32_t place, const struct ledger_effect *effects)
{
    for (uint32_t i = 0; i < count; i++) {
        const union record *record = &records[i];
        if (record_moves(record)) {
            live->view.balances[place + i].debit = effects[i].debit;
            live->view.balances[place + i].credit = effects[i].credit;
        }
        switch (record_kind(record)) {
        case RECORD_TRANSFER:
            transfer_record(live, ledger, &record->transfer, place + i, &effects[i]);
            user_data_post(live, record, place + i);
            break;
        case RECORD_ACCOUNT:
            user_data_post(live, record, place + i);
            live->facts.accounts++;
            break;
        case RECORD_BURNT:
        case RECORD_SYSTEM:
            break;
        }
    }
}

void live_block(struct live *live, const struct block_header *header)
{
    struct segment_facts *facts = &live->facts;
    assert(header->segment == facts->segment);
    view_block_add(&live->view, header);
    facts->epoch = header->epoch;
    facts->used_bytes = header->offset + header->block_bytes;
    facts->last_offset = header->offset;
    facts->lsn_end = header->lsn + 1;
    facts->ordinal_end = header->ordinal + header->record_count;
    facts->written_at = header->written_at;
    facts->head = header->header_checksum;
}

/* ---- Sealing ----------------------------------------------------------------------------- */

static bool has_id(const union record *record)
{
    return record_kind(record) == RECORD_TRANSFER || record_kind(record) == RECORD_BURNT;
}

static void runs_write(const struct live *live, struct sidecar_writer *writer)
{
    const struct view *view = &live->view;
    struct id_run run = {0};
    for (uint32_t b = 0; b < view->block_count; b++) {
        uint32_t place = view->blocks[b].offset / GIRO_RECORD_BYTES + 1;
        uint32_t end = place + view->blocks[b].record_count;
        for (; place < end; place++) {
            if (!has_id(view_record(view, place)))
                continue;
            if (run.count > 0 && run.place + run.count == place) {
                run.count++;
                continue;
            }
            if (run.count > 0)
                sidecar_write(writer, &run, 1);
            run = (struct id_run){.place = place, .count = 1};
        }
    }
    if (run.count > 0)
        sidecar_write(writer, &run, 1);
}

static void ids_write(const struct live *live, struct sidecar_writer *writer, uint64_t hash_seed)
{
    const struct view *view = &live->view;
    for (uint32_t b = 0; b < view->block_count; b++) {
        uint32_t place = view->blocks[b].offset / GIRO_RECORD_BYTES + 1;
        uint32_t end = place + view->blocks[b].record_count;
        for (; place < end; place++) {
            const union record *record = view_record(view, place);
            if (!has_id(record))
                continue;
            uint64_t hash = id_hash(record->transfer.id, hash_seed);
            sidecar_write(writer, &hash, 1);
        }
    }
}

static void chunks_write(const struct live *live, struct sidecar_writer *writer)
{
    const struct view *view = &live->view;
    const uint32_t sector_bytes = live->directory->meta.sector_bytes;
    uint32_t chunk = 0;
    for (uint32_t b = 0; b < view->block_count; b++) {
        const struct block_header *header = view_header(view, b);
        uint32_t entry = header->offset / sector_bytes + 1;
        for (; chunk * LOG_CHUNK_BYTES < header->offset + header->block_bytes; chunk++)
            sidecar_write(writer, &entry, 1);
    }
}

static void log_pages_write(struct live *live, struct sidecar_writer *writer)
{
    uint32_t used = live->facts.used_bytes;
    uint32_t pages = (used + SIDECAR_PAGE_BYTES - 1) / SIDECAR_PAGE_BYTES;
    /* Behind the last block, the file has zeros. */
    memset(live->view.image + used, 0, (size_t)pages * SIDECAR_PAGE_BYTES - used);
    for (uint32_t i = 0; i < pages; i++) {
        uint64_t sum =
            sidecar_log_page_sum(live->view.image + (size_t)i * SIDECAR_PAGE_BYTES, writer->seed);
        sidecar_write(writer, &sum, 1);
    }
}

static void base_write(struct live *live, struct sidecar_writer *writer)
{
    const uint64_t *rows = postings_sort(&live->base_rows);
    uint64_t row_before = 0;
    for (uint32_t i = 0; i < live->base_count; i++) {
        const struct giro_balances *balances = &live->base[(uint32_t)rows[i]].balances;
        uint64_t row = rows[i] >> 32;
        sidecar_write_number(writer, row - row_before);
        sidecar_write_number(writer, balances->debits_pending);
        sidecar_write_number(writer, balances->debits_posted);
        sidecar_write_number(writer, balances->credits_pending);
        sidecar_write_number(writer, balances->credits_posted);
        row_before = row;
    }
}

static void fences_write(struct sidecar_writer *writer, enum sidecar_section section,
                         const struct postings *postings)
{
    sidecar_section_begin(writer, section, sizeof(uint64_t));
    for (uint64_t i = 0; i < postings->count; i += sidecar_items_per_page(sizeof(uint64_t)))
        sidecar_write(writer, &postings->entries[i], 1);
}

int live_seal(struct live *live, uint64_t hash_seed, struct error *error)
{
    struct sidecar_writer writer;
    int result = sidecar_writer_open(&writer, live->directory, live->facts.segment, error);
    if (result != 0)
        return result;
    sidecar_section_begin(&writer, SECTION_RUNS, sizeof(struct id_run));
    runs_write(live, &writer);
    sidecar_section_begin(&writer, SECTION_IDS, sizeof(uint64_t));
    ids_write(live, &writer, hash_seed);
    sidecar_section_begin(&writer, SECTION_CHUNKS, sizeof(uint32_t));
    chunks_write(live, &writer);
    sidecar_section_begin(&writer, SECTION_LOG_PAGES, sizeof(uint64_t));
    log_pages_write(live, &writer);
    sidecar_section_begin(&writer, SECTION_ACCOUNTS, sizeof(uint64_t));
    sidecar_write(&writer, postings_sort(&live->accounts), live->accounts.count);
    sidecar_section_begin(&writer, SECTION_USER_DATA, sizeof(uint64_t));
    sidecar_write(&writer, postings_sort(&live->user_data), live->user_data.count);
    sidecar_section_begin(&writer, SECTION_HISTORY, sizeof(uint64_t));
    sidecar_write(&writer, postings_sort(&live->history), live->history.count);
    sidecar_section_begin(&writer, SECTION_BALANCES, sizeof(struct history_entry));
    sidecar_write(&writer, live->entries, live->entry_count);
    sidecar_section_begin(&writer, SECTION_BASE, 1);
    base_write(live, &writer);
    sidecar_section_begin(&writer, SECTION_RELEASED, 1);
    for (uint32_t i = 0; i < live->released_count; i++)
        sidecar_write_number(&writer, live->released[i]);
    fences_write(&writer, SECTION_ACCOUNTS_FENCES, &live->accounts);
    fences_write(&writer, SECTION_USER_DATA_FENCES, &live->user_data);
    fences_write(&writer, SECTION_HISTORY_FENCES, &live->history);
    return sidecar_writer_finish(&writer, &live->facts, error);
}

uint64_t live_memory_bytes(const struct live *live)
{
    return 2ull * live->view.segment_bytes +
           (live->accounts.count + live->user_data.count + live->history.count) * 16 +
           (uint64_t)live->entry_count * sizeof *live->entries +
           (uint64_t)live->base_count * (sizeof *live->base + 16);
}
