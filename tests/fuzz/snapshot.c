/* Fuzzes the loading of a snapshot: a sound LMDB file, changed anywhere.
 *
 *   input   | flags, 1 | patches: tests/fuzz/patches.h
 *
 * Flag 0 clear: the manifest knows the checksum of the sound file, patches go anywhere, the header
 * pages and the trees of LMDB included.
 * Never: a file that was changed passes snapshot_check(), which is what keeps LMDB, which trusts what
 * it maps, from ever seeing it.
 *
 * Flag 0 set: the manifest knows the file as it is, and every chunk is sealed again; patches go only
 * into what LMDB hands out, its values. That is as far as a file can be hostile here. One whose LMDB
 * pages are wrong and whose checksum is right ends the process: mdb_get() follows whatever page number
 * it reads (SIGBUS, within a second of fuzzing). Damage does not make such a file, nor does a client;
 * who can write both the snapshot and the manifest of a data directory can.
 * Never: what is loaded has not the digest that the snapshot names, or debits and credits that differ;
 * a lookup in it, or a hold, leads outside of the ledger.
 *
 * Flag 1 set as well: the snapshot names the digest of what it holds, whatever that is, so that rows of
 * any content are loaded.
 * Never: what must hold of any books (tests/fuzz/books.h) does not, at once or when they are worked on. */
#include "tests/fuzz/books.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/patches.h"
#include "tests/history_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The end of a month. */
#define HISTORY_FEBRUARY_2024_NS (19782 * 86400 * GIRO_NS_PER_S)

enum { SEGMENTS = 2, ACCOUNTS_MAX = 256, VALUES_MAX = 256, VALUE_BYTES_MAX = 4096 };

/* Where a value of the database lies in the file. */
struct value {
    size_t offset;
    size_t size;
    bool chunk; /* begins with a struct snapshot_chunk */
};

static struct history history;
static struct manifest_entry entry;
static char name[SNAPSHOT_NAME_BYTES];
static char *sound;
static char *bytes;
static struct value values[VALUES_MAX]; /* the first is the snapshot's own description */
static uint32_t value_count;
static int file = -1;
static giro_u128 amended_hold;

/* ---- Loading ----------------------------------------------------------------------------- */

static void ledger_check(const struct ledger *ledger, const struct snapshot_meta *meta)
{
    struct ledger_sums sums = ledger_sum(ledger, 0);
    MUST(sums.debits_posted == sums.credits_posted);
    MUST(sums.debits_pending == sums.credits_pending);
    MUST(checksum_equal(ledger_digest(ledger), meta->digest));
    MUST(ledger->accounts.count == meta->rows[LEDGER_ACCOUNTS]);
    for (uint32_t i = 0; i < ledger->holds.slots_used; i++)
        MUST(holds_outcome(&ledger->holds, ledger->holds.slots[i].address) == HOLD_OPEN);
    books_check(ledger);
}

/* Returns the digest of what was loaded. believed: the snapshot's digest was made to fit. */
static struct checksum load(const struct manifest_entry *as, bool believed)
{
    struct ledger *ledger = history_ledger_make(&history, false);
    struct snapshot_meta meta;
    struct segment_facts *facts = NULL;
    struct error error;
    int result = snapshot_load(&history.directory, as, ledger, &meta, &facts, &error);
    MUST(result <= 0);
    if (result == 0 && !believed)
        ledger_check(ledger, &meta);
    struct checksum digest = ledger_digest(ledger);
    if (result == 0 && believed) {
        MUST(checksum_equal(digest, meta.digest));
        books_check(ledger);
        books_work(ledger);
    }
    free(facts);
    ledger_destroy(ledger);
    return digest;
}

/* ---- Changing ---------------------------------------------------------------------------- */

static bool anywhere_change(struct input *input)
{
    for (uint32_t i = 0; i < PATCHES_MAX && input->left >= PATCH_BYTES; i++) {
        struct patch patch = patch_take(input, (uint32_t)(entry.file_bytes / PATCH_PAGE_BYTES), 0);
        patch_apply(&patch, bytes + (size_t)patch.page * PATCH_PAGE_BYTES);
    }
    return memcmp(bytes, sound, entry.file_bytes) != 0;
}

static void values_change(struct input *input)
{
    for (uint32_t i = 0; i < PATCHES_MAX && input->left >= PATCH_BYTES; i++) {
        struct patch patch = patch_take(input, value_count, 0);
        const struct value *value = &values[patch.page];
        struct snapshot_chunk head;
        if (value->size < patch.bytes)
            continue;
        patch.offset %= (uint32_t)(value->size - patch.bytes) + 1;
        patch_apply(&patch, bytes + value->offset);
        if (!value->chunk || patch.unsealed)
            continue;
        memcpy(&head, bytes + value->offset, sizeof head);
        head.checksum = checksum_of(bytes + value->offset + sizeof head, value->size - sizeof head);
        memcpy(bytes + value->offset, &head, sizeof head);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct error error;
    uint64_t flags = input_number(&input, 1);
    bool trusted = (flags & 1) != 0;
    struct manifest_entry as = entry;
    bool changed = true;
    memcpy(bytes, sound, entry.file_bytes);
    if (trusted)
        values_change(&input);
    else
        changed = anywhere_change(&input);
    MUST(pwrite(file, bytes, entry.file_bytes, 0) == (ssize_t)entry.file_bytes);
    if (trusted)
        as.file = checksum_of(bytes, entry.file_bytes);
    int result = snapshot_check(&history.directory, &as, &error);
    MUST(result == (trusted || !changed ? 0 : -EBADMSG), "%d", result);
    if (result != 0)
        return 0;
    struct checksum digest = load(&as, false);
    if (!trusted || (flags & 2) == 0)
        return 0;
    memcpy(bytes + values[0].offset + offsetof(struct snapshot_meta, digest), &digest,
           sizeof digest);
    MUST(pwrite(file, bytes, entry.file_bytes, 0) == (ssize_t)entry.file_bytes);
    as.file = checksum_of(bytes, entry.file_bytes);
    (void)load(&as, true);
    return 0;
}

/* ---- Start ------------------------------------------------------------------------------- */

static void values_add(MDB_txn *txn, const char *base, const char *database, bool chunk)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    MUST(mdb_dbi_open(txn, database, MDB_INTEGERKEY, &dbi) == 0);
    MUST(mdb_cursor_open(txn, dbi, &cursor) == 0);
    while (mdb_cursor_get(cursor, &key, &data, MDB_NEXT) == 0) {
        MUST(value_count < VALUES_MAX);
        values[value_count++] = (struct value){
            .offset = (size_t)((const char *)data.mv_data - base),
            .size = data.mv_size,
            .chunk = chunk,
        };
    }
    mdb_cursor_close(cursor);
}

/* Finds every value in the file. */
static void values_find(void)
{
    char path[SCRATCH_PATH_BYTES + 64];
    MDB_env *env;
    MDB_txn *txn;
    MDB_envinfo info;
    (void)snprintf(path, sizeof path, "%s/shard-0/%s", history.path, name);
    MUST(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, SNAPSHOT_DATABASES) == 0);
    MUST(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0600) == 0);
    MUST(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
    MUST(mdb_env_info(env, &info) == 0);
    /* LMDB does not say where its map begins: a value tells, whose bytes are looked for. */
    MDB_dbi dbi;
    uint64_t zero = 0;
    MDB_val key = {.mv_size = sizeof zero, .mv_data = &zero};
    MDB_val meta;
    MUST(mdb_dbi_open(txn, "meta", MDB_INTEGERKEY, &dbi) == 0);
    MUST(mdb_get(txn, dbi, &key, &meta) == 0);
    const char *found = memmem(sound, entry.file_bytes, meta.mv_data, meta.mv_size);
    MUST(found != NULL);
    const char *base = (const char *)meta.mv_data - (found - sound);
    values_add(txn, base, "meta", false);
    values_add(txn, base, "segments", false);
    values_add(txn, base, "accounts", true);
    values_add(txn, base, "payments", true);
    values_add(txn, base, "limits", true);
    values_add(txn, base, "leases", true);
    values_add(txn, base, "schedules", true);
    values_add(txn, base, "epochs", true);
    values_add(txn, base, "settlements", true);
    values_add(txn, base, "sessions", true);
    values_add(txn, base, "holds", true);
    values_add(txn, base, "outcomes", true);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

static void snapshot_make(void)
{
    static struct snapshot snapshot;
    const struct snapshot_options options = {0};
    struct error error;
    enum snapshot_progress progress;
    MUST(snapshot_init(&snapshot, &history.directory, &options) == 0);
    MUST(snapshot_begin(&snapshot, history.replica, &history.position, &error) == 0);
    while ((progress = snapshot_step(&snapshot, history.replica, &history.archive)) ==
               SNAPSHOT_WORKED ||
           progress == SNAPSHOT_WAITS)
        ;
    MUST(progress == SNAPSHOT_DONE, "%s", snapshot.writer.error.text);
    entry = snapshot.writer.entry;
    snapshot_free(&snapshot);
}

/* Velocity limits of every window, one of them used up. */
static void limits_make(giro_u128 debit, giro_u128 credit)
{
    const struct giro_limits limits[] = {
        {.account_id = debit,
         .transfer_max = 1000,
         .velocity_max = {5, 1 << 20, 1 << 20, 7},
         .velocity = {{.period = 1, .unit = GIRO_PERIOD_DAYS, .window = GIRO_WINDOW_CALENDAR},
                      {.period = 9,
                       .unit = GIRO_PERIOD_SECONDS,
                       .window = GIRO_WINDOW_SLIDING,
                       .verdict = GIRO_VERDICT_MARK,
                       .flags = GIRO_VELOCITY_AMOUNT},
                      {.period = 1,
                       .unit = GIRO_PERIOD_HOURS,
                       .window = GIRO_WINDOW_RATE,
                       .flags = GIRO_VELOCITY_AMOUNT | GIRO_VELOCITY_CREDITS},
                      {.period = 2,
                       .unit = GIRO_PERIOD_MONTHS,
                       .window = GIRO_WINDOW_CALENDAR,
                       .flags = GIRO_VELOCITY_CREDITS}}},
        {.account_id = credit, .over_capture = 500},
    };
    history_limits(&history, limits, 2);
}

/* Sessions of some requests, and just registered; leases; a schedule that makes something, one that is refused, one of months; epochs of both ledgers
 * that accounts are of, and of one without any. */
static void objects_make(giro_u128 debit, giro_u128 credit)
{
    const struct giro_lease leases[] = {
        {.key = 1, .owner = 1, .timeout_ms = 1, .action = GIRO_LEASE_ACQUIRE},
        {.key = 2, .owner = 1, .timeout_ms = 86400000, .action = GIRO_LEASE_ACQUIRE},
    };
    const struct giro_cut_off cut_offs[] = {{.ledger = 1}, {.ledger = 2}, {.ledger = 7}};
    struct giro_schedule schedules[3];
    for (uint32_t i = 0; i < 3; i++)
        schedules[i] = (struct giro_schedule){
            .id = ++history.schedule_next,
            .first = i < 2 ? history.clock_ns : HISTORY_FEBRUARY_2024_NS,
            .interval = 1,
            .rule = i < 2 ? GIRO_SCHEDULE_SECONDS : GIRO_SCHEDULE_MONTHS,
            .day = i < 2 ? 0 : 31,
            .retry_s = {i == 1 ? 1 : 0},
            .retries = i == 1,
            .transfer = {.debit_account_id = i == 1 ? history_account_id(4) : debit,
                         .credit_account_id = credit,
                         .amount = i == 1 ? GIRO_U128_MAX : 1,
                         .ledger = 1,
                         .code = 1},
        };
    history_leases(&history, leases, 2);
    history_schedules(&history, schedules, 3);
    history_cut_off(&history, cut_offs, 3);
    history_fire(&history, 3);
    for (uint32_t i = 0; i < 12; i++)
        history_session(&history, 1 + i % 5, i, i / 2);
}

/* Holds that were amended, returns of returns, marks, limits. */
static void payments_make(void)
{
    const giro_u128 debit = history_account_id(0);
    const giro_u128 credit = history_account_id(2); /* of the same ledger */
    struct giro_transfer events[16];
    uint32_t count = 0;
    giro_u128 origin = 0;
    for (uint32_t depth = 0; depth <= PAYMENT_DEPTH_MAX; depth++) {
        giro_u128 id = history_transfer_id(history.transfer_next++);
        events[count++] = (struct giro_transfer){
            .id = id,
            .debit_account_id = depth % 2 == 0 ? debit : credit,
            .credit_account_id = depth % 2 == 0 ? credit : debit,
            .amount = 100,
            .pending_id = origin,
            .flags = depth == 0 ? 0 : GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT,
        };
        origin = id;
    }
    const giro_u128 hold = history_transfer_id(history.transfer_next++);
    amended_hold = hold;
    events[count++] = (struct giro_transfer){.id = hold,
                                             .debit_account_id = debit,
                                             .credit_account_id = credit,
                                             .amount = 30,
                                             .timeout = 1 << 20,
                                             .flags = GIRO_TRANSFER_PENDING};
    events[count++] =
        (struct giro_transfer){.id = history_transfer_id(history.transfer_next++),
                               .debit_account_id = debit,
                               .credit_account_id = credit,
                               .amount = 9,
                               .pending_id = hold,
                               .flags = GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN};
    for (uint32_t i = 0; i < count; i++) {
        events[i].ledger = history.ledger->accounts.rows[0].ledger;
        events[i].code = 1;
    }
    limits_make(debit, credit);
    history_transfers(&history, events, count);
    objects_make(debit, credit);
    history_flush(&history);
}

static void history_make(void)
{
    const struct history_options options = {.segment_bytes = DIRECTORY_SEGMENT_BYTES_MIN,
                                            .segments_max = 4,
                                            .accounts_max = ACCOUNTS_MAX,
                                            .holds_max = 8192};
    const struct history_mix mix = {.accounts = 40,
                                    .hot_percent = 10,
                                    .events_max = 8,
                                    .account_chance = 10,
                                    .objects_chance = 10,
                                    .objects = 6};
    struct rng rng = {6};
    struct stat status;
    (void)atexit(scratch_clean);
    history_open(&history, &options);
    history.directory.meta.sector_bytes = BLOCK_SECTOR_BYTES_MIN; /* as the fixture writes */
    history_begin(&history, &rng, &mix);
    payments_make();
    for (uint32_t segment = 1; segment <= SEGMENTS; segment++) {
        for (uint32_t i = 0; i < 40; i++)
            history_request(&history, &rng, &mix);
        history_enter(&history);
    }
    MUST(history.replica->payments.count > PAYMENT_DEPTH_MAX);
    MUST(history.replica->limits.counting == 1 && history.replica->leases.count > 0);
    MUST(history.replica->schedules.deadlines.count > 0 && history.replica->sessions.count == 5);
    MUST(history.replica->settlements.epoch_count == 3 && history.replica->settlements.count > 0);
    snapshot_make();
    archive_clear(&history.archive);
    snapshot_name(entry.segment, name);
    file = openat(history.directory.shard_fd, name, O_RDWR | O_CLOEXEC);
    MUST(file >= 0 && fstat(file, &status) == 0 && (uint64_t)status.st_size == entry.file_bytes);
    sound = malloc(entry.file_bytes);
    bytes = malloc(entry.file_bytes);
    MUST(sound != NULL && bytes != NULL);
    MUST(pread(file, sound, entry.file_bytes, 0) == status.st_size);
    values_find();
}

/* One patch of a value, with a digest that is made to fit. how: as in tests/fuzz/patches.h. */
static void patched_write(const char *sample_name, uint32_t number, size_t offset, uint8_t how)
{
    const uint8_t sample[1 + PATCH_BYTES] = {3,
                                             (uint8_t)number,
                                             (uint8_t)(number >> 8),
                                             (uint8_t)offset,
                                             (uint8_t)(offset >> 8),
                                             how,
                                             1,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0,
                                             0x80};
    fuzz_sample(sample_name, sample, sizeof sample);
}

/* What was once believed: a hold that has one more left than its row of payments says, and a time behind
 * all times. The last place where the hold's id stands is among the holds. */
static void believed_write(void)
{
    uint32_t number = value_count;
    const char *found = NULL;
    while (found == NULL && number-- > 0)
        found = memmem(sound + values[number].offset, values[number].size, &amended_hold,
                       sizeof amended_hold);
    MUST(found != NULL);
    const size_t at = (size_t)(found - sound) - values[number].offset;
    patched_write("hold_and_row_differ", number, at + offsetof(struct giro_transfer, amount), 4);
    patched_write(
        "later_than_time", 0,
        offsetof(struct snapshot_meta, totals) + offsetof(struct ledger_totals, timestamp_last), 7);
}

static void samples_write(void)
{
    uint8_t sample[1 + 2 * PATCH_BYTES] = {0};
    fuzz_sample("sound", sample, 1);
    believed_write();
    for (uint32_t i = 0; i < 6; i++) {
        char file_name[16];
        sample[0] = (uint8_t)(i % 4);
        for (uint32_t p = 0; p < 2; p++) {
            const uint8_t patch[] = {(uint8_t)(3 * i + p), 0, (uint8_t)(16 * i + 20 * p), 0, 4, 1};
            memcpy(&sample[1 + (size_t)p * PATCH_BYTES], patch, sizeof patch);
        }
        (void)snprintf(file_name, sizeof file_name, "patched_%u", i);
        fuzz_sample(file_name, sample, sizeof sample);
    }
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    history_make();
    if (fuzz_samples_wanted())
        samples_write();
    return 0;
}
