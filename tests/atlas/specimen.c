#include "tests/atlas/specimen.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILLERS = 5400, /* accounts that do nothing: so many that LMDB needs a branch page */
    FILLERS_AT_A_TIME = 250,
    FILLER_LEDGER = 3,
    SPECIAL_LEDGER = 7,
    LAST_EVENTS = 100,
    PAGE = 4096,
};

static const struct history_mix mix = {
    .accounts = 40, .hot_percent = 20, .events_max = 40, .account_chance = 0, .imports = true};

/* ---- Contents ---------------------------------------------------------------------------- */

/* The number of the first of five accounts that have every flag between them. */
static uint32_t specials_create(struct history *history)
{
    static const uint16_t flags[] = {
        GIRO_ACCOUNT_LINKED | GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS,
        GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS | GIRO_ACCOUNT_HISTORY,
        0,
        0,
        0,
    };
    enum { COUNT = sizeof flags / sizeof flags[0] };
    struct giro_account events[COUNT] = {0};
    uint32_t first = history->ledger->accounts.count;
    for (uint32_t i = 0; i < COUNT; i++) {
        events[i].id = history_account_id(first + i);
        events[i].ledger = SPECIAL_LEDGER;
        events[i].code = 1;
        events[i].flags = flags[i];
    }
    history_accounts(history, events, COUNT);
    history_flush(history);
    cr_assert_eq(history->result_count, 0);
    return first;
}

static giro_u128 special_transfer(struct history *history, uint32_t debit, uint32_t credit,
                                  giro_u128 amount, uint16_t flags, giro_u128 pending_id)
{
    struct giro_transfer event = {
        .id = history_transfer_id(history->transfer_next++),
        .debit_account_id = history_account_id(debit),
        .credit_account_id = history_account_id(credit),
        .amount = amount,
        .pending_id = pending_id,
        .ledger = SPECIAL_LEDGER,
        .code = 9,
        .flags = flags,
    };
    history_transfers(history, &event, 1);
    return event.id;
}

/* Every flag of a transfer that the random requests leave out, and an id that is burnt. */
static void specials_transfer(struct history *history, uint32_t first)
{
    const uint32_t limited = first;
    const uint32_t owing = first + 1;
    const uint32_t other = first + 2;
    const uint32_t closing = first + 3;
    const uint32_t last = first + 4;
    (void)special_transfer(history, other, limited, 500, 0, 0);
    (void)special_transfer(history, limited, other, GIRO_U128_MAX, GIRO_TRANSFER_BALANCING_DEBIT,
                           0);
    (void)special_transfer(history, owing, other, 300, 0, 0);
    (void)special_transfer(history, other, owing, GIRO_U128_MAX, GIRO_TRANSFER_BALANCING_CREDIT, 0);
    giro_u128 closes = special_transfer(history, closing, last, 1,
                                        GIRO_TRANSFER_PENDING | GIRO_TRANSFER_CLOSING_DEBIT, 0);
    (void)special_transfer(history, closing, last, 0, GIRO_TRANSFER_VOID_PENDING, closes);
    (void)special_transfer(history, other, closing, 1,
                           GIRO_TRANSFER_PENDING | GIRO_TRANSFER_CLOSING_CREDIT, 0);
    (void)special_transfer(history, limited, other, 1000000, 0, 0); /* exceeds its credits: burnt */
    history_flush(history);
}

static void fillers_create(struct history *history)
{
    static struct giro_account events[FILLERS_AT_A_TIME];
    for (uint32_t done = 0; done < FILLERS; done += FILLERS_AT_A_TIME) {
        uint32_t first = history->ledger->accounts.count;
        uint32_t left = FILLERS - done;
        uint32_t count = left < FILLERS_AT_A_TIME ? left : FILLERS_AT_A_TIME;
        for (uint32_t i = 0; i < count; i++)
            events[i] = (struct giro_account){.id = history_account_id(first + i),
                                              .user_data_32 = (first + i) % 1000 == 0,
                                              .ledger = FILLER_LEDGER,
                                              .code = 1};
        history_accounts(history, events, count);
        history_flush(history);
    }
}

/* Random requests up to an offset of the segment in use. */
static void requests_run(struct history *history, struct rng *rng, uint32_t offset)
{
    uint32_t segment = history->position.segment;
    while (history->offset < offset)
        history_request(history, rng, &mix);
    history_mark(history, BLOCK_STOP);
    history_mark(history, BLOCK_START);
    if (history->offset % PAGE == 0) /* there is something behind the last block in its page */
        history_mark(history, BLOCK_IDLE);
    cr_assert_eq(history->position.segment, segment);
}

/* The record that says that a snapshot was completed: in the place of a digest, because the fixture
 * writes those. */
static void snapshot_record_add(struct history *history, const struct manifest_entry *entry)
{
    history_digest(history);
    uint64_t begin = (uint64_t)history->position.segment * history->options.segment_bytes +
                     history->offset + BLOCK_HEADER_BYTES;
    union record *record = &history->log[begin / GIRO_RECORD_BYTES + history->open_records - 1];
    record->snapshot = (struct record_snapshot){
        .file = entry->file,
        .file_bytes = entry->file_bytes,
        .lsn = entry->lsn,
        .segment = entry->segment,
        .code = RECORD_SYSTEM_SNAPSHOT,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = history->clock_ns,
    };
    history_flush(history);
}

/* Goes on in the next segment, with a snapshot of everything before it. */
static void snapshot_take(struct history *history)
{
    static struct snapshot snapshot;
    const struct snapshot_options options = {.map_bytes = 0};
    struct error error;
    enum snapshot_progress progress;
    cr_assert_eq(snapshot_init(&snapshot, &history->directory, &options), 0);
    history_enter(history);
    cr_assert_eq(snapshot_begin(&snapshot, history->replica, &history->position, &error), 0, "%s",
                 error.text);
    while ((progress = snapshot_step(&snapshot, history->replica, &history->archive)) !=
           SNAPSHOT_DONE) {
        cr_assert_neq(progress, SNAPSHOT_FAILED, "%s", snapshot.writer.error.text);
        usleep(100);
    }
    history_mark(history, BLOCK_IDLE);
    history_digest(history);
    history_flush(history);
    snapshot_record_add(history, &snapshot.writer.entry);
    snapshot_free(&snapshot);
}

/* The last block of records is larger than a page, so that no page holds two of them. */
static void last_block(struct history *history)
{
    static struct giro_transfer events[LAST_EVENTS];
    for (uint32_t i = 0; i < LAST_EVENTS; i++)
        events[i] = (struct giro_transfer){
            .id = history_transfer_id(history->transfer_next++),
            .debit_account_id = history_account_id(2 * (i % 10)),
            .credit_account_id = history_account_id(2 * (i % 10) + 2),
            .amount = 1 + i,
            .user_data_64 = i % 3,
            .ledger = 1,
            .code = 1,
        };
    history_transfers(history, events, LAST_EVENTS);
    history_flush(history);
    cr_assert_eq(history->result_count, 0);
    history_mark(history, BLOCK_IDLE);
}

static void contents_make(struct history *history, struct rng *rng)
{
    struct error error;
    history_mark(history, BLOCK_START);
    history_begin(history, rng, &mix);
    specials_transfer(history, specials_create(history));
    cr_assert(history->ledger->accounts.count <= SPECIMEN_MOVING);
    fillers_create(history);
    requests_run(history, rng, 860 << 10);
    snapshot_take(history);
    requests_run(history, rng, 150 << 10);
    snapshot_take(history);
    requests_run(history, rng, 120 << 10);
    history_roll(history);
    history_mark(history, BLOCK_IDLE);
    requests_run(history, rng, 100 << 10);
    last_block(history);
    cr_assert_eq(history->position.segment, SPECIMEN_USED);
    cr_assert_eq(segment_make(&history->directory, SPECIMEN_READY, &error), 0, "%s", error.text);
}

/* ---- Files ------------------------------------------------------------------------------- */

static void file_take(struct specimen *specimen, const char *name, enum specimen_kind kind,
                      uint32_t segment)
{
    struct specimen_file *file = &specimen->files[specimen->file_count++];
    char path[SCRATCH_PATH_BYTES + SPECIMEN_NAME_BYTES];
    struct stat status;
    cr_assert(specimen->file_count <= SPECIMEN_FILES_MAX);
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    (void)snprintf(path, sizeof path, "%s/%s", specimen->history.path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && fstat(fd, &status) == 0, "%s", path);
    file->kind = kind;
    file->segment = segment;
    file->size = (uint64_t)status.st_size;
    file->bytes = aligned_alloc(PAGE, (file->size / PAGE + 1) * PAGE);
    cr_assert(file->bytes != NULL);
    cr_assert_eq(read(fd, file->bytes, file->size), (ssize_t)file->size);
    close(fd);
}

static void shard_file_take(struct specimen *specimen, const char *name, enum specimen_kind kind,
                            uint32_t segment)
{
    char path[SPECIMEN_NAME_BYTES];
    (void)snprintf(path, sizeof path, "shard-0/%s", name);
    file_take(specimen, path, kind, segment);
}

static void files_take(struct specimen *specimen)
{
    char name[SNAPSHOT_NAME_BYTES];
    file_take(specimen, "giro.meta", SPECIMEN_META, 0);
    file_take(specimen, "lock", SPECIMEN_LOCK, 0);
    shard_file_take(specimen, "manifest", SPECIMEN_MANIFEST, 0);
    for (uint32_t segment = 0; segment < SPECIMEN_SEGMENTS; segment++) {
        segment_name(segment, name);
        shard_file_take(specimen, name, SPECIMEN_LOG, segment);
        sidecar_name(segment, name);
        if (segment < SPECIMEN_USED)
            shard_file_take(specimen, name, SPECIMEN_SIDECAR, segment);
        snapshot_name(segment, name);
        if (segment == SPECIMEN_OLDER || segment == SPECIMEN_NEWER)
            shard_file_take(specimen, name, SPECIMEN_SNAPSHOT, segment);
    }
}

/* ---- Where what lies --------------------------------------------------------------------- */

static void blocks_find(struct specimen *specimen)
{
    for (uint32_t segment = 0; segment <= SPECIMEN_USED; segment++) {
        const struct specimen_file *file =
            &specimen->files[specimen_file(specimen, SPECIMEN_LOG, segment)];
        uint32_t offset = 0;
        while (offset < file->size) {
            struct block_header header;
            memcpy(&header, file->bytes + offset, sizeof header);
            if (header.magic != BLOCK_MAGIC)
                break;
            if (offset == 0)
                specimen->ordinal_first[segment] = header.ordinal;
            cr_assert(specimen->block_count < SPECIMEN_BLOCKS_MAX);
            if (header.record_count > 0)
                specimen->records_last = specimen->block_count;
            specimen->blocks[specimen->block_count++] =
                (struct specimen_block){segment, offset, header.block_bytes, header.record_count};
            offset += header.block_bytes;
        }
        specimen->used_bytes[segment] = offset;
    }
    specimen->ordinal_first[SPECIMEN_READY] = specimen->history.record_count;
    cr_assert_eq(specimen->records_last + 2, specimen->block_count);
}

/* As far as LMDB 0.9 documents the layout of its pages in its source; tests/format/lmdb_file.py has
 * it as a table. */
struct lmdb_walk {
    const uint8_t *bytes;
    uint64_t pages;
    uint8_t *kinds;
};

static uint64_t number_at(const uint8_t *bytes, uint32_t size)
{
    uint64_t number = 0;
    memcpy(&number, bytes, size);
    return number;
}

/* Notes the pages of a tree, and of the trees whose roots are in its leaves. */
static void tree_walk(struct lmdb_walk *walk, uint64_t root) /* NOLINT(misc-no-recursion) */
{
    enum { HEAD = 16, NODE_HEAD = 8, IS_BRANCH = 1, BIG_VALUE = 1, DATABASE = 2, ROOT_AT = 40 };
    if (root == UINT64_MAX)
        return;
    cr_assert(root > 1 && root < walk->pages);
    const uint8_t *page = walk->bytes + root * PAGE;
    bool is_branch = (number_at(page + 10, 2) & IS_BRANCH) != 0;
    walk->kinds[root] = is_branch ? SPECIMEN_PAGE_BRANCH : SPECIMEN_PAGE_LEAF;
    uint32_t lower = (uint32_t)number_at(page + 12, 2);
    for (uint32_t at = HEAD; at < lower; at += 2) {
        const uint8_t *node = page + number_at(page + at, 2);
        const uint8_t *value = node + NODE_HEAD + number_at(node + 6, 2);
        uint64_t flags = number_at(node + 4, 2);
        if (is_branch) {
            tree_walk(walk, number_at(node, 6));
        } else if ((flags & DATABASE) != 0) {
            tree_walk(walk, number_at(value + ROOT_AT, 8));
        } else if ((flags & BIG_VALUE) != 0) {
            uint64_t first = number_at(value, 8);
            uint64_t count = number_at(walk->bytes + first * PAGE + 12, 4);
            for (uint64_t i = 0; i < count; i++)
                walk->kinds[first + i] = SPECIMEN_PAGE_OVERFLOW;
        }
    }
}

static void pages_find(struct specimen *specimen, uint32_t segment)
{
    enum { FREE_ROOT_AT = 40 + 40, MAIN_ROOT_AT = 88 + 40, TRANSACTION_AT = 144 };
    const struct specimen_file *file =
        &specimen->files[specimen_file(specimen, SPECIMEN_SNAPSHOT, segment)];
    struct lmdb_walk walk = {file->bytes, file->size / PAGE, calloc(file->size / PAGE, 1)};
    cr_assert(walk.kinds != NULL && file->size % PAGE == 0);
    const uint8_t *meta = file->bytes;
    if (number_at(meta + PAGE + TRANSACTION_AT, 8) > number_at(meta + TRANSACTION_AT, 8))
        meta += PAGE;
    walk.kinds[0] = walk.kinds[1] = SPECIMEN_PAGE_META;
    tree_walk(&walk, number_at(meta + FREE_ROOT_AT, 8));
    tree_walk(&walk, number_at(meta + MAIN_ROOT_AT, 8));
    specimen->page_kinds[segment] = walk.kinds;
}

/* ---- The whole --------------------------------------------------------------------------- */

uint32_t specimen_file(const struct specimen *specimen, enum specimen_kind kind, uint32_t segment)
{
    for (uint32_t i = 0; i < specimen->file_count; i++) {
        if (specimen->files[i].kind == kind && specimen->files[i].segment == segment)
            return i;
    }
    cr_assert_fail("no such file");
    return 0;
}

int32_t specimen_block_at(const struct specimen *specimen, uint32_t segment, uint32_t offset)
{
    uint64_t position = (uint64_t)segment * SPECIMEN_SEGMENT_BYTES + offset;
    uint32_t low = 0;
    uint32_t high = specimen->block_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        const struct specimen_block *block = &specimen->blocks[middle];
        if ((uint64_t)block->segment * SPECIMEN_SEGMENT_BYTES + block->offset <= position)
            low = middle;
        else
            high = middle;
    }
    const struct specimen_block *block = &specimen->blocks[low];
    bool inside = block->segment == segment && offset < block->offset + block->bytes;
    return inside ? (int32_t)low : -1;
}

void specimen_make(struct specimen *specimen, struct rng *rng)
{
    const struct history_options options = {
        .segment_bytes = SPECIMEN_SEGMENT_BYTES,
        .segments_max = 8,
        .accounts_max = SPECIMEN_ACCOUNTS_MAX,
        .holds_max = SPECIMEN_HOLDS_MAX,
    };
    struct history *history = &specimen->history;
    history_open(history, &options);
    contents_make(history, rng);
    files_take(specimen);
    blocks_find(specimen);
    for (uint32_t segment = 0; segment < SPECIMEN_USED; segment++) {
        const struct specimen_file *file =
            &specimen->files[specimen_file(specimen, SPECIMEN_SIDECAR, segment)];
        memcpy(&specimen->sidecars[segment], file->bytes, sizeof specimen->sidecars[segment]);
    }
    pages_find(specimen, SPECIMEN_OLDER);
    pages_find(specimen, SPECIMEN_NEWER);
    scratch_remove(history->path);
}

void specimen_free(struct specimen *specimen)
{
    for (uint32_t i = 0; i < specimen->file_count; i++)
        free(specimen->files[i].bytes);
    for (uint32_t segment = 0; segment < SPECIMEN_SEGMENTS; segment++)
        free(specimen->page_kinds[segment]);
    history_close(&specimen->history);
}
