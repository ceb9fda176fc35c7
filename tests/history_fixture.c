#include "tests/history_fixture.h"

#include "engine/memory.h"
#include "wal/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512, RECORDS_PER_BLOCK_MAX = LEDGER_EVENTS_MAX };

/* ---- Making ------------------------------------------------------------------------------ */

giro_u128 history_account_id(uint32_t number)
{
    return (giro_u128)(number % 3) << 96 | (number + 1);
}

static uint32_t account_number(giro_u128 id)
{
    return (uint32_t)id - 1;
}

giro_u128 history_transfer_id(uint64_t number)
{
    return (giro_u128)(number % 2) << 100 | number;
}

static uint64_t addresses_max(const struct history *history)
{
    return (uint64_t)history->options.segments_max * history->options.segment_bytes /
           GIRO_RECORD_BYTES;
}

static uint64_t records_max(const struct history *history)
{
    return history->options.records_max != 0 ? history->options.records_max
                                             : addresses_max(history);
}

struct ledger *history_ledger_make(const struct history *history, bool follows)
{
    const struct ledger_config config = {
        .accounts_max = history->options.accounts_max,
        .holds_max = history->options.holds_max,
        .transfers_max = follows ? 0 : records_max(history),
        .hash_seed = directory_hash_seed(&history->directory),
    };
    struct ledger *ledger;
    cr_assert(ledger_create(&config, &ledger) == 0);
    return ledger;
}

static void reference_open(struct history *history)
{
    history->records = memory_reserve(records_max(history) * sizeof *history->records);
    history->ordinals = memory_reserve(records_max(history) * 2 * sizeof *history->ordinals);
    history->accounts = memory_reserve(history->options.accounts_max * sizeof *history->accounts);
    cr_assert(history->records != NULL && history->ordinals != NULL && history->accounts != NULL);
}

static void follower_open(struct history *history)
{
    history->replica = history_ledger_make(history, true);
    history->reader = memory_reserve(sizeof *history->reader);
    cr_assert(history->reader != NULL);
    cr_assert_eq(live_init(&history->live, &history->directory, history->options.accounts_max), 0);
    cr_assert_eq(archive_init(&history->archive, &history->directory), 0);
    history->reader->archive = &history->archive;
    history->source = (struct query_source){history->replica, &history->live, history->reader};
    live_begin(&history->live, &history->position);
}

/* Makes the data directory, with an id that is the same in every run: hashes depend on it. Segments
 * may be large, because they are made by segment_begin() and have holes. */
static void directory_make(struct history *history)
{
    const struct directory_options format = {.segment_bytes = 4 << 20, .shard_count = 1};
    struct error error;
    struct directory_meta meta;
    char meta_path[SCRATCH_PATH_BYTES + 16];
    scratch_make(history->path);
    cr_assert_eq(directory_format(history->path, &format, &error), 0, "%s", error.text);
    (void)snprintf(meta_path, sizeof meta_path, "%s/giro.meta", history->path);
    int fd = open(meta_path, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && pread(fd, &meta, sizeof meta, 0) == sizeof meta);
    memset(meta.directory_id, 0xa5, sizeof meta.directory_id);
    meta.created_at = HISTORY_CLOCK_NS;
    meta.segment_bytes = history->options.segment_bytes;
    meta.checksum = checksum_of(&meta, offsetof(struct directory_meta, checksum));
    cr_assert(pwrite(fd, &meta, sizeof meta, 0) == sizeof meta);
    close(fd);
    cr_assert_eq(directory_open(history->path, DIRECTORY_EXCLUSIVE, 0, &history->directory, &error),
                 0, "%s", error.text);
}

void history_open(struct history *history, const struct history_options *options)
{
    *history = (struct history){
        .options = *options,
        .clock_ns = HISTORY_CLOCK_NS,
        .transfer_next = 1,
        .position = {.lsn = 1},
        .fd = -1,
    };
    cr_assert(options->segments_max <= HISTORY_SEGMENTS_MAX);
    directory_make(history);
    history->ledger = history_ledger_make(history, false);
    history->log = memory_reserve(addresses_max(history) * sizeof *history->log);
    history->addresses = calloc(LEDGER_FETCH_MAX, sizeof *history->addresses);
    history->results = calloc(LEDGER_EVENTS_MAX, sizeof *history->results);
    cr_assert(history->log != NULL && history->addresses != NULL && history->results != NULL);
    cr_assert_eq(log_map_init(&history->log_map), 0);
    history->ledger->window =
        (struct record_window){.base = history->log, .records = addresses_max(history), .low = 1};
    history->rolls = true;
    reference_open(history);
    follower_open(history);
}

void history_close(struct history *history)
{
    close(history->fd);
    archive_free(&history->archive);
    live_free(&history->live);
    ledger_destroy(history->replica);
    ledger_destroy(history->ledger);
    log_map_free(history->log_map);
    free(history->addresses);
    free(history->results);
    memory_release(history->reader, sizeof *history->reader);
    memory_release(history->log, addresses_max(history) * sizeof *history->log);
    memory_release(history->records, records_max(history) * sizeof *history->records);
    memory_release(history->ordinals, records_max(history) * 2 * sizeof *history->ordinals);
    memory_release(history->accounts, history->options.accounts_max * sizeof *history->accounts);
    directory_close(&history->directory);
    scratch_remove(history->path);
}

/* ---- The reference ----------------------------------------------------------------------- */

static void balances_add(struct history *history, const struct giro_transfer *transfer,
                         enum record_kind kind)
{
    struct giro_account *debit = &history->accounts[account_number(transfer->debit_account_id)];
    struct giro_account *credit = &history->accounts[account_number(transfer->credit_account_id)];
    giro_u128 amount = transfer->amount;
    const struct giro_transfer *pending = NULL;
    if (transfer->pending_id != 0)
        pending =
            &history->records[history->ordinals[(uint64_t)transfer->pending_id]].record->transfer;
    if (pending != NULL) {
        debit->debits_pending -= pending->amount;
        credit->credits_pending -= pending->amount;
    }
    if (kind == RECORD_SYSTEM || (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0) {
        if ((pending->flags & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
            debit->flags &= (uint16_t)~GIRO_ACCOUNT_CLOSED;
        if ((pending->flags & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
            credit->flags &= (uint16_t)~GIRO_ACCOUNT_CLOSED;
    } else if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0) {
        debit->debits_pending += amount;
        credit->credits_pending += amount;
        if ((transfer->flags & GIRO_TRANSFER_CLOSING_DEBIT) != 0)
            debit->flags |= GIRO_ACCOUNT_CLOSED;
        if ((transfer->flags & GIRO_TRANSFER_CLOSING_CREDIT) != 0)
            credit->flags |= GIRO_ACCOUNT_CLOSED;
    } else {
        debit->debits_posted += amount;
        credit->credits_posted += amount;
    }
}

static void reference_add(struct history *history, const union record *record)
{
    struct history_record *noted = &history->records[history->record_count];
    const enum record_kind kind = record_kind(record);
    noted->record = record;
    if (kind == RECORD_ACCOUNT) {
        struct giro_account *account = &history->accounts[history->account_count];
        cr_assert(account_number(record->account.id) == history->account_count);
        *account = record->account;
        account->flags &= RECORD_FLAGS_MASK;
        history->account_count++;
    } else if (kind == RECORD_TRANSFER || record_system(record) == RECORD_SYSTEM_EXPIRY) {
        balances_add(history, &record->transfer, kind);
        memcpy(&noted->debit,
               &history->accounts[account_number(record->transfer.debit_account_id)].debits_pending,
               sizeof noted->debit);
        memcpy(
            &noted->credit,
            &history->accounts[account_number(record->transfer.credit_account_id)].debits_pending,
            sizeof noted->credit);
    }
    /* What schedules have made has ids of another kind, and nothing refers to it. */
    if (kind == RECORD_TRANSFER && (uint64_t)record->transfer.id < history->transfer_next)
        history->ordinals[(uint64_t)record->transfer.id] = history->record_count;
    history->record_count++;
}

/* ---- Following --------------------------------------------------------------------------- */

struct checksum history_view_sum(const struct view *view)
{
    struct checksum_stream *stream = checksum_stream_new();
    checksum_stream_add(stream, view->blocks, view->block_count * sizeof *view->blocks);
    checksum_stream_add(stream, &view->ordinal_end, sizeof view->ordinal_end);
    for (uint32_t b = 0; b < view->block_count; b++) {
        uint32_t place = view->blocks[b].offset / GIRO_RECORD_BYTES + 1;
        for (uint32_t end = place + view->blocks[b].record_count; place < end; place++) {
            checksum_stream_add(stream, view_record(view, place), GIRO_RECORD_BYTES);
            if (record_moves(view_record(view, place)))
                checksum_stream_add(stream, &view->balances[place], sizeof view->balances[place]);
        }
    }
    struct checksum sum = checksum_stream_end(stream);
    checksum_stream_free(stream);
    return sum;
}

static int seal_run(struct history *history, struct error *error)
{
    int result;
    while ((result = live_seal(&history->live, error)) == 0) {
        if (history->while_sealing != NULL)
            history->while_sealing(history);
    }
    return result;
}

/* Seals as on a disk that is full: files cannot become larger than a page. */
static void seal_in_vain(struct history *history)
{
    struct rlimit before;
    struct error error;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit little = {.rlim_cur = SIDECAR_PAGE_BYTES, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
    cr_assert_eq(seal_run(history, &error), -EFBIG);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_assert(faccessat(history->directory.shard_fd, "index.tmp", F_OK, 0) != 0);
}

static void segment_seal(struct history *history, const struct log_position *position)
{
    struct live *live = &history->live;
    struct sidecar *sidecar;
    struct error error;
    history->view_sums[live->facts.segment] = history_view_sum(&live->view);
    for (uint32_t i = 0; i < history->seals_fail; i++)
        seal_in_vain(history);
    cr_assert_eq(seal_run(history, &error), 1, "%s", error.text);
    cr_assert_eq(sidecar_open(&history->directory, live->facts.segment, &sidecar, &error), 0, "%s",
                 error.text);
    archive_add(&history->archive, sidecar);
    live_begin(live, position);
}

static void rows_keep(struct history *history, const union record *records, uint32_t count)
{
    const struct ledger *replica = history->replica;
    for (uint32_t i = 0; i < count; i++) {
        if (history->snapshot == NULL || !history->snapshot->active || !record_moves(&records[i]))
            continue;
        snapshot_keep(history->snapshot, replica, replica->events[i].debit_row);
        snapshot_keep(history->snapshot, replica, replica->events[i].credit_row);
    }
}

/* As block_apply() of wal/follower.c. */
static void block_follow(struct history *history, const struct block_header *header)
{
    const union record *records = block_records(header);
    struct live *live = &history->live;
    const uint32_t place = header->offset / GIRO_RECORD_BYTES + 1;
    const uint64_t address =
        (uint64_t)header->segment * history->options.segment_bytes / GIRO_RECORD_BYTES + place;
    memcpy(live->view.image + header->offset, header, header->block_bytes);
    for (uint32_t done = 0, run; done < header->record_count; done += run) {
        const union record *part = &records[done];
        uint32_t failed = 0;
        run = ledger_replay_prepare(history->replica, part, header->record_count - done);
        cr_assert(run > 0 && run <= LEDGER_CHUNK_EVENTS);
        live_before(live, history->replica, part, run);
        rows_keep(history, part, run);
        cr_assert_eq(ledger_replay_apply(history->replica, part, run, address + done,
                                         history->effects, &failed),
                     0, "record %u of block %lu", done + failed, header->lsn);
        if (history->snapshot != NULL && history->snapshot->active)
            snapshot_keep_sides(history->snapshot, history->replica);
        live_after(live, history->replica, part, run, place + done, history->effects);
    }
    live_block(live, header);
    cr_assert_eq(history->replica->digests_failed, 0, "a digest differs in block %lu", header->lsn);
}

/* ---- Writing ----------------------------------------------------------------------------- */

static void segment_begin(struct history *history)
{
    char name[SEGMENT_NAME_BYTES];
    cr_assert(history->position.segment < history->options.segments_max, "the log is full");
    if (history->fd >= 0)
        close(history->fd);
    segment_name(history->position.segment, name);
    history->fd = openat(history->directory.shard_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(history->fd >= 0);
    cr_assert_eq(ftruncate(history->fd, history->options.segment_bytes), 0);
    history->offset = 0;
    history->rolls = false;
}

/* Makes sure that the open block, which is empty, has room for count records. */
static void block_place(struct history *history, uint32_t count)
{
    uint32_t bytes = block_size_bytes(count, SECTOR_BYTES);
    if (!history->rolls && bytes <= history->options.segment_bytes - history->offset)
        return;
    if (history->fd >= 0)
        history->position.segment++;
    segment_begin(history);
    if (history->position.segment > 0)
        segment_seal(history, &history->position);
}

static struct block_header *block_header(struct history *history)
{
    uint64_t begin =
        (uint64_t)history->position.segment * history->options.segment_bytes + history->offset;
    return (struct block_header *)(void *)((char *)history->log + begin);
}

static void block_write(struct history *history, enum block_kind kind)
{
    struct log_position *position = &history->position;
    struct block_header *header = block_header(history);
    const uint32_t bytes = block_size_bytes(history->open_records, SECTOR_BYTES);
    if (kind == BLOCK_START)
        position->epoch++;
    *header = (struct block_header){
        .magic = BLOCK_MAGIC,
        .version = BLOCK_VERSION,
        .segment = position->segment,
        .offset = history->offset,
        .lsn = position->lsn,
        .lsn_durable = position->lsn - 1,
        .ordinal = position->ordinal,
        .record_count = history->open_records,
        .block_bytes = bytes,
        .written_at = history->clock_ns,
        .epoch = position->epoch,
        .kind = (uint16_t)kind,
        .previous = position->previous,
    };
    memcpy(header->directory_id, history->directory.meta.directory_id, sizeof header->directory_id);
    memset((char *)header + BLOCK_HEADER_BYTES + history->open_records * GIRO_RECORD_BYTES, 0,
           bytes - BLOCK_HEADER_BYTES - history->open_records * GIRO_RECORD_BYTES);
    block_seal(header);
    log_map_add(history->log_map, &history->directory.meta, header);
    cr_assert(pwrite(history->fd, header, bytes, history->offset) == (ssize_t)bytes);
    for (uint32_t i = 0; i < history->open_records; i++)
        reference_add(history, block_records(header) + i);
    history->offset += bytes;
    history->open_records = 0;
    position->lsn++;
    position->ordinal += header->record_count;
    position->written_at = header->written_at;
    position->previous = header->header_checksum;
    block_follow(history, header);
}

void history_flush(struct history *history)
{
    if (history->open_records > 0)
        block_write(history, BLOCK_RECORDS);
}

void history_mark(struct history *history, enum block_kind kind)
{
    history_flush(history);
    block_place(history, 0);
    block_write(history, kind);
}

void history_roll(struct history *history)
{
    history_flush(history);
    history->rolls = true;
}

void history_enter(struct history *history)
{
    history_roll(history);
    block_place(history, 0);
}

static void output_open(struct history *history, uint32_t count, struct ledger_output *output)
{
    uint32_t together = history->open_records + count;
    if (history->open_records > 0 &&
        (together > RECORDS_PER_BLOCK_MAX || block_size_bytes(together, SECTOR_BYTES) >
                                                 history->options.segment_bytes - history->offset))
        history_flush(history);
    if (history->open_records == 0)
        block_place(history, count);
    union record *records =
        (union record *)(void *)(block_header(history) + 1) + history->open_records;
    *output = (struct ledger_output){
        .records = records,
        .address = (uint64_t)(records - history->log),
        .results = history->results,
    };
}

static void output_close(struct history *history, const struct ledger_output *output)
{
    history->open_records += output->record_count;
    history->result_count = output->result_count;
}

void history_accounts(struct history *history, const struct giro_account *events, uint32_t count)
{
    struct ledger_output output;
    output_open(history, count, &output);
    ledger_create_accounts(history->ledger, events, count, history->clock_ns, &output);
    history->clock_ns += count;
    output_close(history, &output);
}

void history_transfers(struct history *history, const struct giro_transfer *events, uint32_t count)
{
    struct ledger_output output;
    output_open(history, count, &output);
    cr_assert_eq(ledger_create_transfers(history->ledger, events, count, history->clock_ns, NULL,
                                         history->addresses, &output),
                 0);
    history->clock_ns += count;
    output_close(history, &output);
}

void history_limits(struct history *history, const struct giro_limits *events, uint32_t count)
{
    struct ledger_output output;
    output_open(history, count, &output);
    ledger_set_limits(history->ledger, events, count, history->clock_ns, &output);
    history->clock_ns += count;
    output_close(history, &output);
}

void history_leases(struct history *history, const struct giro_lease *events, uint32_t count)
{
    struct giro_lease *replies = calloc(count, sizeof *replies);
    struct ledger_output output;
    cr_assert(replies != NULL);
    output_open(history, count, &output);
    ledger_lease(history->ledger, events, count, history->clock_ns, replies, &output);
    history->clock_ns += count;
    output_close(history, &output);
    free(replies);
}

void history_session(struct history *history, giro_u128 client, uint32_t events, uint32_t failed)
{
    struct session_result *results = calloc(failed + 1, sizeof *results);
    const struct sessions *sessions = &history->ledger->sessions;
    const uint32_t known = sessions_find(sessions, client);
    struct ledger_output output;
    cr_assert(results != NULL && failed <= events);
    output_open(history, session_records(failed), &output);
    output.record_count = output.result_count = 0;
    struct record_session session = {
        .client = client,
        .request = {.low = history->clock_ns, .high = events},
        .timestamp_first = history->clock_ns,
        .release = 17 << 8,
        .row = known != SESSIONS_NONE ? known : sessions->count,
        .timestamp = history->clock_ns,
    };
    if (known != SESSIONS_NONE) {
        session.number = sessions->rows[known].number;
        session.request_number = sessions->rows[known].request + 1;
        session.event_count = events;
        session.result_count = failed;
    }
    for (uint32_t i = 0; i < failed; i++)
        results[i] =
            (struct session_result){.index = i, .code = 1 + i, .timestamp = history->clock_ns + i};
    ledger_log_session(history->ledger, &session, results, &output);
    history->clock_ns += 1 + events;
    output_close(history, &output);
    free(results);
}

void history_schedules(struct history *history, const struct giro_schedule *events, uint32_t count)
{
    struct ledger_output output;
    output_open(history, 2 * count, &output);
    ledger_create_schedules(history->ledger, events, count, history->clock_ns, &output);
    history->clock_ns += count;
    output_close(history, &output);
}

void history_cut_off(struct history *history, const struct giro_cut_off *events, uint32_t count)
{
    struct ledger_output output;
    output_open(history, count, &output);
    ledger_cut_off(history->ledger, events, count, history->clock_ns, &output);
    history->clock_ns += count;
    output_close(history, &output);
}

void history_cancel(struct history *history, const giro_u128 *ids, uint32_t count)
{
    struct ledger_output output;
    output_open(history, 2 * count, &output);
    ledger_cancel_schedules(history->ledger, ids, count, history->clock_ns, &output);
    history->clock_ns += count;
    output_close(history, &output);
}

void history_fire(struct history *history, uint32_t events_max)
{
    struct ledger_output output;
    output_open(history, events_max * LEDGER_FIRE_RECORDS, &output);
    cr_assert_eq(ledger_fire(history->ledger, history->clock_ns, events_max, NULL,
                             history->addresses, &output),
                 0);
    history->clock_ns += events_max + 1;
    output_close(history, &output);
}

void history_expire(struct history *history, uint32_t expired_max)
{
    struct ledger_output output;
    output_open(history, expired_max, &output);
    ledger_expire(history->ledger, history->clock_ns, expired_max, &output);
    history->clock_ns += expired_max + 1;
    output_close(history, &output);
}

void history_digest(struct history *history)
{
    struct ledger_output output;
    output_open(history, 1, &output);
    ledger_digest_record(history->ledger, 64, history->clock_ns, &output.records->digest);
    output.record_count = 1;
    output_close(history, &output);
}

/* ---- Random contents --------------------------------------------------------------------- */

/* Few values, so that many records share them. */
static giro_u128 user_data_128(struct rng *rng)
{
    static const giro_u128 values[] = {0, 0, 7, (giro_u128)1 << 100, GIRO_U128_MAX, 1};
    return values[rng_below(rng, 6)];
}

static struct giro_account account_make(struct history *history, struct rng *rng, uint32_t number)
{
    return (struct giro_account){
        .id = history_account_id(number),
        .ledger = 1 + number % 2,
        .code = (uint16_t)(1 + rng_below(rng, 3)),
        .flags = (number % 3 == 0 ? GIRO_ACCOUNT_HISTORY : 0) |
                 (number % 4 == 1 ? GIRO_ACCOUNT_SETTLES : 0),
        .user_data_128 = user_data_128(rng),
        .user_data_64 = rng_below(rng, 4),
        .user_data_32 = rng_below(rng, 3),
    };
}

/* Two different accounts of one ledger. */
static void sides_choose(struct history *history, struct rng *rng, const struct history_mix *mix,
                         struct giro_transfer *event)
{
    uint32_t debit = rng_below(rng, mix->accounts);
    if (rng_chance(rng, mix->hot_percent))
        debit = 0;
    uint32_t credit = rng_below(rng, mix->accounts) / 2 * 2 + debit % 2;
    if (credit == debit)
        credit = debit < 2 ? debit + 2 : debit - 2;
    event->debit_account_id = history_account_id(debit);
    event->credit_account_id = history_account_id(credit);
    event->ledger = 1 + debit % 2;
    if (rng_chance(rng, 50)) {
        event->debit_account_id = history_account_id(credit);
        event->credit_account_id = history_account_id(debit);
    }
}

static void resolve_choose(struct history *history, struct rng *rng, struct giro_transfer *event)
{
    const struct holds *holds = &history->ledger->holds;
    const struct hold *hold = &holds->slots[rng_below(rng, holds->slots_used)];
    event->pending_id = hold->record.id;
    event->flags = GIRO_TRANSFER_POST_PENDING;
    if (rng_chance(rng, 30))
        event->flags = GIRO_TRANSFER_VOID_PENDING;
    else
        event->amount = rng_chance(rng, 40) ? GIRO_U128_MAX : rng_below(rng, 100);
}

static struct giro_transfer transfer_make(struct history *history, struct rng *rng,
                                          const struct history_mix *mix)
{
    struct giro_transfer event = {
        .id = history_transfer_id(history->transfer_next++),
        .user_data_128 = user_data_128(rng),
        .user_data_64 = rng_below(rng, 4),
        .user_data_32 = rng_below(rng, 3),
    };
    if (history->ledger->holds.count > 0 && rng_chance(rng, 25)) {
        resolve_choose(history, rng, &event);
        if (event.pending_id != 0)
            return event;
        event.flags = 0;
    }
    sides_choose(history, rng, mix, &event);
    event.amount = rng_chance(rng, 5) ? (giro_u128)rng_next(rng) << 32 : 1 + rng_below(rng, 99);
    event.code = (uint16_t)(1 + rng_below(rng, 4));
    if (rng_chance(rng, 30)) {
        event.flags = GIRO_TRANSFER_PENDING;
        event.timeout = rng_chance(rng, 50) ? 1 + rng_below(rng, 20) : 0;
    }
    if (rng_chance(rng, 3)) /* burnt */
        event.credit_account_id = history_account_id(history->options.accounts_max);
    if (rng_chance(rng, 8))
        event.flags |= GIRO_TRANSFER_LINKED;
    return event;
}

/* Gives events old timestamps that are allowed, which increase. */
static void transfers_import(struct history *history, struct rng *rng, struct giro_transfer *events,
                             uint32_t count)
{
    uint64_t timestamp = history->ledger->transfer_timestamp_last;
    if (timestamp < history->accounts[1].timestamp)
        timestamp = history->accounts[1].timestamp;
    for (uint32_t i = 0; i < count; i++) {
        timestamp += 1 + rng_below(rng, 5);
        events[i].flags |= GIRO_TRANSFER_IMPORTED;
        events[i].timestamp = timestamp;
        events[i].timeout = 0;
    }
    history->clock_ns += 100000;
}

static void request_transfers(struct history *history, struct rng *rng,
                              const struct history_mix *mix, bool import)
{
    static struct giro_transfer events[LEDGER_EVENTS_MAX];
    uint32_t count = 1 + rng_below(rng, mix->events_max);
    for (uint32_t i = 0; i < count; i++)
        events[i] = transfer_make(history, rng, mix);
    events[count - 1].flags &= (uint16_t)~GIRO_TRANSFER_LINKED;
    if (import)
        transfers_import(history, rng, events, count);
    history_transfers(history, events, count);
}

static void request_accounts(struct history *history, struct rng *rng, uint32_t count)
{
    static struct giro_account events[LEDGER_EVENTS_MAX];
    uint32_t first = history->ledger->accounts.count;
    for (uint32_t i = 0; i < count; i++)
        events[i] = account_make(history, rng, first + i);
    history_accounts(history, events, count);
}

void history_begin(struct history *history, struct rng *rng, const struct history_mix *mix)
{
    struct giro_account old[2];
    for (uint32_t done = 0, count; done < mix->accounts && !mix->imports; done += count) {
        count = mix->accounts - done < LEDGER_EVENTS_MAX ? mix->accounts - done : LEDGER_EVENTS_MAX;
        request_accounts(history, rng, count);
        history_flush(history);
    }
    if (!mix->imports)
        return;
    /* Two old accounts, and what happened between them; new accounts come in between. */
    for (uint32_t i = 0; i < 2; i++) {
        old[i] = account_make(history, rng, 0);
        old[i].id = history_account_id(i);
        old[i].flags = GIRO_ACCOUNT_IMPORTED | GIRO_ACCOUNT_HISTORY;
        old[i].timestamp = 1000 + i;
    }
    history_accounts(history, old, 2);
    history_flush(history);
    const struct history_mix between = {.accounts = 2, .events_max = 1};
    for (uint32_t i = 2; i < mix->accounts; i++) {
        struct giro_transfer event = transfer_make(history, rng, &between);
        event.pending_id = 0;
        event.flags = 0;
        event.timeout = 0;
        event.debit_account_id = history_account_id(i % 2);
        event.credit_account_id = history_account_id(1 - i % 2);
        event.ledger = 1;
        event.code = 1;
        event.amount = 10;
        transfers_import(history, rng, &event, 1);
        history_transfers(history, &event, 1);
        request_accounts(history, rng, 1);
    }
    history_flush(history);
}

enum { LEASE_EVENTS_MAX = 4000, SCHEDULE_EVENTS_MAX = 2000 };

static void request_leases(struct history *history, struct rng *rng, const struct history_mix *mix)
{
    static struct giro_lease events[LEASE_EVENTS_MAX];
    const struct leases *leases = &history->ledger->leases;
    uint32_t count =
        1 + rng_below(rng, mix->objects < LEASE_EVENTS_MAX ? mix->objects : LEASE_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        events[i] = (struct giro_lease){.key = 1 + rng_below(rng, mix->objects),
                                        .owner = 1 + rng_below(rng, 3),
                                        .timeout_ms = 1 + rng_below(rng, 20000),
                                        .action = GIRO_LEASE_ACQUIRE};
        uint32_t row = leases_find(leases, events[i].key);
        if (row == LEASES_NONE || rng_chance(rng, 50))
            continue;
        events[i].owner = leases->rows[row].owner;
        events[i].token = leases->rows[row].token;
        events[i].action = rng_chance(rng, 60) ? GIRO_LEASE_RENEW : GIRO_LEASE_RELEASE;
        if (events[i].action == GIRO_LEASE_RELEASE)
            events[i].timeout_ms = 0;
    }
    history_leases(history, events, count);
}

static void request_schedules(struct history *history, struct rng *rng,
                              const struct history_mix *mix)
{
    uint32_t count =
        1 + rng_below(rng, mix->objects < SCHEDULE_EVENTS_MAX ? mix->objects : SCHEDULE_EVENTS_MAX);
    struct giro_schedule *events = calloc(count, sizeof *events);
    cr_assert(events != NULL);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer made = transfer_make(history, rng, mix);
        history->transfer_next--; /* its id is another one */
        events[i] = (struct giro_schedule){
            .id = ++history->schedule_next,
            .first = history->clock_ns + rng_below(rng, 10000) * GIRO_NS_PER_MS,
            .interval = 1 + rng_below(rng, 20),
            .occurrences = 1 + rng_below(rng, 8),
            .rule = GIRO_SCHEDULE_SECONDS,
            .retry_s = {1},
            .retries = 1,
            .transfer = {.debit_account_id = made.debit_account_id,
                         .credit_account_id = made.credit_account_id,
                         .amount = rng_below(rng, 50),
                         .ledger = 1,
                         .code = 1},
        };
    }
    history_schedules(history, events, count);
    free(events);
}

static void request_cancel(struct history *history, struct rng *rng)
{
    giro_u128 ids[16];
    uint32_t count = 1 + rng_below(rng, sizeof ids / sizeof ids[0]);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = 1 + rng_below(rng, (uint32_t)history->schedule_next + 1);
    history_cancel(history, ids, count);
}

static void request_objects(struct history *history, struct rng *rng, const struct history_mix *mix)
{
    uint32_t choice = rng_below(rng, 10);
    if (choice < 5)
        request_leases(history, rng, mix);
    else if (choice < 9)
        request_schedules(history, rng, mix);
    else
        request_cancel(history, rng);
}

void history_request(struct history *history, struct rng *rng, const struct history_mix *mix)
{
    history->clock_ns += rng_below(rng, 200) * 1000000ull;
    if (ledger_expiry_due(history->ledger, history->clock_ns))
        history_expire(history, 1 + rng_below(rng, 200));
    if (ledger_fire_due(history->ledger, history->clock_ns))
        history_fire(history, 1 + rng_below(rng, LEDGER_FIRE_MAX));
    if (mix->objects_chance != 0 && rng_chance(rng, mix->objects_chance))
        request_objects(history, rng, mix);
    else if (rng_chance(rng, mix->account_chance) &&
             history->ledger->accounts.count + 4 < history->options.accounts_max)
        request_accounts(history, rng, 1 + rng_below(rng, 4));
    else
        request_transfers(history, rng, mix, mix->imports && rng_chance(rng, 15));
    if (mix->sessions_chance != 0 && rng_chance(rng, mix->sessions_chance)) {
        const uint32_t events = rng_below(rng, 20);
        history_session(history, 1 + rng_below(rng, 5), events, rng_below(rng, events + 1));
    }
    if (rng_chance(rng, 10))
        history_digest(history);
    if (rng_chance(rng, 60))
        history_flush(history);
    if (rng_chance(rng, 3))
        history_mark(history, rng_chance(rng, 50) ? BLOCK_IDLE : BLOCK_START);
}
