#include "wal/live.h"

#include "engine/memory.h"
#include "engine/planted.h"
#include "wal/log.h"

#include <assert.h>
#include <errno.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    USER_DATA_FIELDS = 3,
    ACCOUNTS_OF_A_TRANSFER = 2,
    SEAL_WORDS = 1024,             /* of 64 rows, in one step */
    POPULATE_BYTES_MAX = 64 << 20, /* of each array: larger segments fill slowly enough */
};

static size_t bits_bytes(uint32_t rows)
{
    return ((size_t)rows / 64 + 1) * sizeof(uint64_t);
}

static uint32_t pages_max(const struct live *live)
{
    return live->records_max / (SIDECAR_PAGE_BYTES / GIRO_RECORD_BYTES);
}

int live_init(struct live *live, const struct directory *directory, uint32_t accounts_max)
{
    *live = (struct live){
        .directory = directory,
        .rows_max = accounts_max,
        .records_max = directory->meta.segment_bytes / GIRO_RECORD_BYTES,
    };
    const uint64_t two = (uint64_t)live->records_max * ACCOUNTS_OF_A_TRANSFER;
    live->runs = memory_reserve(live->records_max * sizeof *live->runs);
    live->ids = memory_reserve(live->records_max * sizeof *live->ids);
    live->page_sums = memory_reserve(pages_max(live) * sizeof *live->page_sums);
    live->entries = memory_reserve(two * sizeof *live->entries);
    live->base = memory_reserve(two * sizeof *live->base);
    live->touched = memory_reserve(accounts_max * sizeof *live->touched);
    live->touched_bits = memory_reserve(bits_bytes(accounts_max));
    live->released = memory_reserve(live->records_max * sizeof *live->released);
    if (live->runs != NULL && live->ids != NULL && live->page_sums != NULL &&
        live->entries != NULL && live->base != NULL && live->touched != NULL &&
        live->touched_bits != NULL && live->released != NULL &&
        view_init(&live->view, directory) == 0 && postings_init(&live->accounts, two) == 0 &&
        postings_init(&live->user_data, (uint64_t)live->records_max * USER_DATA_FIELDS) == 0 &&
        postings_init(&live->history, two) == 0)
        return 0;
    live_free(live);
    return -ENOMEM;
}

void live_free(struct live *live)
{
    if (live->directory == NULL)
        return;
    if (live->step != LIVE_SEAL_NOT)
        sidecar_writer_abandon(&live->writer);
    const uint64_t two = (uint64_t)live->records_max * ACCOUNTS_OF_A_TRANSFER;
    memory_release(live->runs, live->records_max * sizeof *live->runs);
    memory_release(live->ids, live->records_max * sizeof *live->ids);
    memory_release(live->page_sums, pages_max(live) * sizeof *live->page_sums);
    memory_release(live->entries, two * sizeof *live->entries);
    memory_release(live->base, two * sizeof *live->base);
    memory_release(live->touched, live->rows_max * sizeof *live->touched);
    memory_release(live->touched_bits, bits_bytes(live->rows_max));
    memory_release(live->released, live->records_max * sizeof *live->released);
    view_free(&live->view);
    postings_free(&live->accounts);
    postings_free(&live->user_data);
    postings_free(&live->history);
    *live = (struct live){0};
}

static void populate(void *memory, size_t size)
{
    memory_populate(memory, size < POPULATE_BYTES_MAX ? size : POPULATE_BYTES_MAX);
}

void live_populate(struct live *live)
{
    const size_t records = live->records_max;
    populate(live->view.image, live->view.segment_bytes);
    populate(live->view.balances, records * sizeof *live->view.balances);
    populate(live->ids, records * sizeof *live->ids);
    populate(live->page_sums, pages_max(live) * sizeof *live->page_sums);
    populate(live->accounts.entries, records * ACCOUNTS_OF_A_TRANSFER * sizeof(uint64_t));
    populate(live->accounts.scratch, records * ACCOUNTS_OF_A_TRANSFER * sizeof(uint64_t));
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
    live->run_count = 0;
    live->id_count = 0;
    live->page_count = 0;
    live->entry_count = 0;
    live->base_count = 0;
    live->released_count = 0;
    live->generation++;
    memset(live->touched_bits, 0, bits_bytes(live->row_end));
    live->row_end = 0;
}

/* ---- Recording --------------------------------------------------------------------------- */

/* Keeps what a row's balances were when the segment began, the first time it is about to change. */
static void row_touch(struct live *live, const struct ledger *ledger, uint32_t row)
{
    if (row >= ledger->accounts.count || live->touched[row].generation == live->generation)
        return;
    live->touched[row] = (struct live_touch){live->generation, live->base_count};
    memcpy(&live->base[live->base_count], &ledger->accounts.rows[row].debits_pending,
           sizeof *live->base);
    live->base_count++;
    live->touched_bits[row / 64] |= 1ull << row % 64;
    if (row >= live->row_end)
        live->row_end = row + 1;
}

void live_before(struct live *live, const struct ledger *ledger, const union record *records,
                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct ledger_event *event = &ledger->events[i];
        if (event->debit_row < live->rows_max && event->credit_row < live->rows_max) {
            __builtin_prefetch(&live->touched[event->debit_row], 1, 3);
            __builtin_prefetch(&live->touched[event->credit_row], 1, 3);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!record_moves(&records[i]))
            continue;
        row_touch(live, ledger, ledger->events[i].debit_row);
        row_touch(live, ledger, ledger->events[i].credit_row);
    }
}

/* Takes note of a record whose id is in the transfer index. */
static void id_add(struct live *live, uint64_t hash, uint32_t place)
{
    struct id_run *run = live->run_count > 0 ? &live->runs[live->run_count - 1] : NULL;
    if (run == NULL || run->place + run->count != place) {
        assert(live->runs != NULL);
        run = &live->runs[live->run_count++];
        *run = (struct id_run){.place = place};
    }
    run->count++;
    live->ids[live->id_count++] = hash;
}

/* Posts a record under each of its user data, once under a key that two of them share. */
static void user_data_post(struct live *live, const struct ledger *ledger,
                           const union record *record, uint32_t place)
{
    const struct giro_transfer *fields = &record->transfer; /* accounts have them there as well */
    const giro_u128 values[USER_DATA_FIELDS] = {fields->user_data_128, fields->user_data_64,
                                                fields->user_data_32};
    static const uint32_t widths[USER_DATA_FIELDS] = {128, 64, 32};
    uint32_t keys[USER_DATA_FIELDS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < USER_DATA_FIELDS; i++) {
        if (values[i] == 0)
            continue;
        uint32_t key = user_data_key(values[i], widths[i], record_kind(record), ledger->hash_seed);
        bool posted = false;
        for (uint32_t j = 0; j < count; j++)
            posted = posted || keys[j] == key;
        if (posted)
            continue;
        keys[count++] = key;
        postings_add(&live->user_data, key, place);
    }
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
    if (!PLANTED(LOSE_POSTING) || (transfer->flags & GIRO_TRANSFER_PENDING) == 0)
        postings_add(&live->accounts, effect->credit_row, credit);
    history_add(live, ledger, effect->debit_row, &effect->debit, transfer->timestamp, debit);
    history_add(live, ledger, effect->credit_row, &effect->credit, transfer->timestamp, credit);
    if ((transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0)
        live->released[live->released_count++] = (transfer->flags & GIRO_TRANSFER_FACT) != 0
                                                     ? effect->released
                                                     : effect->released - transfer->amount;
    if (live->facts.transfer_first == 0)
        live->facts.transfer_first = transfer->timestamp;
    live->facts.transfer_last = transfer->timestamp;
    live->facts.transfers++;
}

/* Balances after every record are written always and read rarely: past the cache. */
static void balances_store(struct view_balances *to, const struct ledger_effect *effect)
{
#ifdef __SSE2__
    const __m128i *from = (const __m128i *)(const void *)effect;
    __m128i *lines = (__m128i *)(void *)to;
    for (unsigned i = 0; i < sizeof *to / sizeof *lines; i++)
        _mm_stream_si128(&lines[i], _mm_load_si128(&from[i]));
#else
    to->debit = effect->debit;
    to->credit = effect->credit;
#endif
}

_Static_assert(offsetof(struct ledger_effect, debit) == 0 &&
                   offsetof(struct ledger_effect, credit) == sizeof(struct giro_balances),
               "an effect begins with struct view_balances");

void live_after(struct live *live, const struct ledger *ledger, const union record *records,
                uint32_t count, uint32_t place, const struct ledger_effect *effects)
{
    for (uint32_t i = 0; i < count; i++) {
        const union record *record = &records[i];
        if (record_moves(record))
            balances_store(&live->view.balances[place + i], &effects[i]);
        switch (record_kind(record)) {
        case RECORD_TRANSFER:
            id_add(live, ledger->events[i].id_hash, place + i);
            transfer_record(live, ledger, &record->transfer, place + i, &effects[i]);
            user_data_post(live, ledger, record, place + i);
            break;
        case RECORD_ACCOUNT:
            user_data_post(live, ledger, record, place + i);
            live->facts.accounts++;
            break;
        case RECORD_BURNT:
            id_add(live, ledger->events[i].id_hash, place + i);
            break;
        case RECORD_SYSTEM:
            break;
        }
    }
}

/* Sums the pages before page number end, soon after they were filled: they are still in the cache. */
static void pages_sum(struct live *live, uint32_t end)
{
    const uint64_t seed = sidecar_seed(live->directory, live->view.segment);
    for (; live->page_count < end; live->page_count++)
        live->page_sums[live->page_count] = sidecar_log_page_sum(
            live->view.image + (size_t)live->page_count * SIDECAR_PAGE_BYTES, seed);
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
    pages_sum(live, facts->used_bytes / SIDECAR_PAGE_BYTES);
}

/* ---- Sealing ----------------------------------------------------------------------------- */

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

/* The sums of all pages in use. */
static void log_pages_write(struct live *live, struct sidecar_writer *writer)
{
    uint32_t used = live->facts.used_bytes;
    uint32_t pages = (used + SIDECAR_PAGE_BYTES - 1) / SIDECAR_PAGE_BYTES;
    /* Behind the last block, the file has zeros. */
    memset(live->view.image + used, 0, (size_t)pages * SIDECAR_PAGE_BYTES - used);
    pages_sum(live, pages);
    sidecar_write(writer, live->page_sums, pages);
}

/* Where the bases of a word's rows lie is anyone's guess: they are asked for a word ahead. Inline by
 * force, because the compiler takes a function that only prefetches for one that does nothing. */
static inline __attribute__((always_inline)) void bases_prefetch(const struct live *live,
                                                                 uint32_t word)
{
    if ((uint64_t)word * 64 >= live->row_end)
        return;
    for (uint64_t bits = live->touched_bits[word]; bits != 0; bits &= bits - 1) {
        uint32_t row = word * 64 + (uint32_t)__builtin_ctzll(bits);
        __builtin_prefetch(&live->base[live->touched[row].base], 0, 3);
    }
}

/* Writes the bases of some thousand rows more. Returns whether these were the last. */
static bool base_write(struct live *live, struct sidecar_writer *writer)
{
    for (uint32_t i = 0; i < SEAL_WORDS; i++, live->seal_word++) {
        uint32_t word = live->seal_word;
        if ((uint64_t)word * 64 >= live->row_end)
            return true;
        bases_prefetch(live, word + 1);
        for (uint64_t bits = live->touched_bits[word]; bits != 0; bits &= bits - 1) {
            uint32_t row = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const struct giro_balances *balances = &live->base[live->touched[row].base];
            sidecar_write_number(writer, row - live->seal_row);
            sidecar_write_number(writer, balances->debits_pending);
            sidecar_write_number(writer, balances->debits_posted);
            sidecar_write_number(writer, balances->credits_pending);
            sidecar_write_number(writer, balances->credits_posted);
            live->seal_row = row;
        }
    }
    return false;
}

static void fences_write(struct sidecar_writer *writer, enum sidecar_section section,
                         const struct postings *postings)
{
    sidecar_section_begin(writer, section, sizeof(uint64_t));
    for (uint64_t i = 0; i < postings->count; i += sidecar_items_per_page(sizeof(uint64_t)))
        sidecar_write(writer, &postings->entries[i], 1);
}

static void postings_write(struct sidecar_writer *writer, enum sidecar_section section,
                           struct postings *postings)
{
    sidecar_section_begin(writer, section, sizeof(uint64_t));
    sidecar_write(writer, postings_sort(postings), postings->count);
}

static void balances_write(struct live *live, struct sidecar_writer *writer)
{
    sidecar_section_begin(writer, SECTION_BALANCES, sizeof(struct history_entry));
    sidecar_write(writer, live->entries, live->entry_count);
}

static void released_write(struct live *live, struct sidecar_writer *writer)
{
    sidecar_section_begin(writer, SECTION_RELEASED, 1);
    for (uint32_t i = 0; i < live->released_count; i++)
        sidecar_write_number(writer, live->released[i]);
}

/* One step; sections follow in the order of enum sidecar_section. Returns whether the next one may
 * follow. */
static bool seal_step(struct live *live, struct sidecar_writer *writer)
{
    switch (live->step) {
    case LIVE_SEAL_NOT:
        break;
    case LIVE_SEAL_IDS:
        sidecar_section_begin(writer, SECTION_RUNS, sizeof(struct id_run));
        sidecar_write(writer, live->runs, live->run_count);
        sidecar_section_begin(writer, SECTION_IDS, sizeof(uint64_t));
        sidecar_write(writer, live->ids, live->id_count);
        break;
    case LIVE_SEAL_PAGES:
        sidecar_section_begin(writer, SECTION_CHUNKS, sizeof(uint32_t));
        chunks_write(live, writer);
        sidecar_section_begin(writer, SECTION_LOG_PAGES, sizeof(uint64_t));
        log_pages_write(live, writer);
        break;
    case LIVE_SEAL_SORT_ACCOUNTS:
        (void)postings_sort(&live->accounts);
        break;
    case LIVE_SEAL_ACCOUNTS:
        sidecar_section_begin(writer, SECTION_ACCOUNTS, sizeof(uint64_t));
        sidecar_write(writer, live->accounts.entries, live->accounts.count);
        break;
    case LIVE_SEAL_USER_DATA:
        postings_write(writer, SECTION_USER_DATA, &live->user_data);
        break;
    case LIVE_SEAL_HISTORY:
        postings_write(writer, SECTION_HISTORY, &live->history);
        balances_write(live, writer);
        break;
    case LIVE_SEAL_BASE_BEGIN:
        sidecar_section_begin(writer, SECTION_BASE, 1);
        live->seal_word = 0;
        live->seal_row = 0;
        break;
    case LIVE_SEAL_BASE:
        return base_write(live, writer);
    case LIVE_SEAL_RELEASED:
        released_write(live, writer);
        break;
    case LIVE_SEAL_FENCES:
        fences_write(writer, SECTION_ACCOUNTS_FENCES, &live->accounts);
        fences_write(writer, SECTION_USER_DATA_FENCES, &live->user_data);
        fences_write(writer, SECTION_HISTORY_FENCES, &live->history);
        break;
    }
    return true;
}

int live_seal(struct live *live, struct error *error)
{
    if (live->step == LIVE_SEAL_NOT) {
        int result =
            sidecar_writer_open(&live->writer, live->directory, live->facts.segment, error);
        if (result != 0)
            return result;
        live->step = LIVE_SEAL_IDS;
    }
    bool done = seal_step(live, &live->writer);
    if (!done || live->step != LIVE_SEAL_FENCES) {
        live->step += done;
        return 0;
    }
    live->step = LIVE_SEAL_NOT;
    int result = sidecar_writer_finish(&live->writer, &live->facts, error);
    return result == 0 ? 1 : result;
}

uint64_t live_memory_bytes(const struct live *live)
{
    return 2ull * live->view.segment_bytes +
           (live->accounts.count + live->user_data.count + live->history.count) * 16 +
           (uint64_t)live->entry_count * sizeof *live->entries +
           (uint64_t)live->base_count * sizeof *live->base +
           (uint64_t)live->row_end * sizeof *live->touched;
}
