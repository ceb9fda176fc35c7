/* Snapshots that are taken while the ledger goes on, and what is loaded of them; the manifest. */
#include "tests/history_fixture.h"
#include "wal/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEED_DEFAULT 19991231ull

TestSuite(snapshot, .fini = scratch_clean);
TestSuite(manifest, .fini = scratch_clean);

static const struct history_options small = {
    .segment_bytes = 4 << 20,
    .segments_max = 32,
    .accounts_max = 1 << 17,
    .holds_max = 1 << 17,
};

/* ---- Taking ------------------------------------------------------------------------------ */

/* What there was when the snapshot began. */
struct moment {
    struct ledger *ledger; /* with ids */
    struct log_position position;
    struct checksum digest;
    uint64_t address_end;
    uint64_t transfer_next;
    uint32_t segment;
};

static void ids_restore(struct history *history, uint32_t segments, struct ledger *ledger)
{
    struct error error;
    uint32_t *map;
    cr_assert_eq(log_map_init(&map), 0);
    for (uint32_t i = 0; i < segments; i++)
        cr_assert_eq(archive_restore(&history->archive, i, ledger, map, &error), 0, "%s",
                     error.text);
    log_map_free(map);
    ledger->window = history->ledger->window;
}

static struct moment moment_keep(struct history *history)
{
    struct moment moment = {
        .ledger = history_ledger_make(history, false),
        .position = history->position,
        .digest = ledger_digest(history->replica),
        .transfer_next = history->transfer_next,
        .segment = history->position.segment,
    };
    moment.address_end =
        (uint64_t)moment.segment * history->options.segment_bytes / GIRO_RECORD_BYTES;
    cr_assert_eq(ledger_copy(moment.ledger, history->ledger, moment.address_end), 0);
    ids_restore(history, moment.segment, moment.ledger);
    return moment;
}

static void snapshot_open(struct snapshot *snapshot, struct history *history, uint64_t map_bytes)
{
    const struct snapshot_options options = {.map_bytes = map_bytes};
    cr_assert_eq(snapshot_init(snapshot, &history->directory, &options), 0);
    history->snapshot = snapshot;
}

/* Begins a segment, and the snapshot of everything before it. */
static struct moment snapshot_start(struct history *history)
{
    struct error error;
    history_enter(history);
    struct moment moment = moment_keep(history);
    cr_assert_eq(snapshot_begin(history->snapshot, history->replica, &history->position, &error), 0,
                 "%s", error.text);
    return moment;
}

/* Ends the epochs of both ledgers that there are accounts of, or of one that nobody uses. */
static void epochs_end(struct history *history, struct rng *rng)
{
    struct giro_cut_off events[3];
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t ledger = i < 2 ? i + 1 : 3 + rng_below(rng, 40);
        const struct epoch *epoch = settlements_epoch(&history->ledger->settlements, ledger);
        events[i] = (struct giro_cut_off){
            .epoch = epoch != NULL ? epoch->epoch : 0,
            .ledger = ledger,
        };
    }
    history_cut_off(history, events, 3);
    cr_assert_eq(history->result_count, 0);
}

/* Steps until the snapshot is over; between two steps that did something, the log goes on. */
static enum snapshot_progress snapshot_run(struct history *history, struct rng *rng,
                                           const struct history_mix *mix, uint32_t requests)
{
    for (;;) {
        switch (snapshot_step(history->snapshot, history->replica, &history->archive)) {
        case SNAPSHOT_DONE:
            return SNAPSHOT_DONE;
        case SNAPSHOT_FAILED:
            return SNAPSHOT_FAILED;
        case SNAPSHOT_WAITS:
            usleep(200);
            break;
        case SNAPSHOT_WORKED:
            for (uint32_t i = 0; i < requests; i++)
                history_request(history, rng, mix);
            if (requests > 0 && rng_chance(rng, 30))
                epochs_end(history, rng);
            history_flush(history);
        }
    }
}

static bool file_there(const struct history *history, const char *name)
{
    return faccessat(history->directory.shard_fd, name, F_OK, 0) == 0;
}

/* ---- Comparing --------------------------------------------------------------------------- */

static void holds_compare(const struct ledger *expected, const struct ledger *loaded)
{
    const struct holds *holds = &expected->holds;
    cr_assert_eq(loaded->holds.count, holds->count);
    cr_assert_eq(loaded->holds.deadlines.count, holds->deadlines.count);
    for (uint32_t i = 0; i < holds->slots_used; i++) {
        const struct hold *hold = &holds->slots[i];
        if (hold->record.id == 0)
            continue;
        const struct hold *other = holds_find(&loaded->holds, hold->record.id);
        cr_assert(other != NULL);
        cr_assert(memcmp(&hold->record, &other->record, sizeof hold->record) == 0);
        cr_assert(hold->address == other->address && hold->expires_at == other->expires_at);
        cr_assert(hold->debit_row == other->debit_row && hold->credit_row == other->credit_row);
    }
}

/* Rows of a table, one by one. */
static void rows_compare(const struct ledger *expected, const struct ledger *loaded,
                         enum ledger_table table, const char *name)
{
    const struct table_rows one = ledger_rows(expected, table);
    const struct table_rows other = ledger_rows(loaded, table);
    cr_assert_eq(other.count, one.count, "%u %s, expected %u", other.count, name, one.count);
    for (uint32_t i = 0; i < one.count; i++)
        cr_assert(memcmp((const char *)one.rows + (size_t)i * one.row_bytes,
                         (const char *)other.rows + (size_t)i * one.row_bytes, one.row_bytes) == 0,
                  "row %u of %s differs", i, name);
}

static void objects_compare(const struct ledger *expected, const struct ledger *loaded)
{
    rows_compare(expected, loaded, LEDGER_LEASES, "leases");
    rows_compare(expected, loaded, LEDGER_SCHEDULES, "schedules");
    for (uint32_t i = 0; i < expected->leases.count; i++)
        cr_assert_eq(leases_find(&loaded->leases, expected->leases.rows[i].key), i);
    for (uint32_t i = 0; i < expected->schedules.count; i++)
        cr_assert_eq(schedules_find(&loaded->schedules, expected->schedules.rows[i].id), i);
    cr_assert_eq(loaded->schedules.deadlines.count, expected->schedules.deadlines.count);
}

/* Both fire the same from here on, until nothing is due. */
static void firings_compare(struct moment *moment, struct ledger *loaded)
{
    static union record expected[LEDGER_FIRE_MAX * LEDGER_FIRE_RECORDS];
    static union record records[LEDGER_FIRE_MAX * LEDGER_FIRE_RECORDS];
    static uint64_t addresses[LEDGER_FETCH_MAX];
    uint64_t time = moment->ledger->timestamp_last + 30 * GIRO_NS_PER_S;
    uint64_t address = moment->address_end + (1 << 20);
    for (;; time += LEDGER_FIRE_MAX) {
        struct ledger_output one = {.records = expected, .address = address};
        struct ledger_output other = {.records = records, .address = address};
        cr_assert_eq(ledger_fire(moment->ledger, time, LEDGER_FIRE_MAX, NULL, addresses, &one), 0);
        cr_assert_eq(ledger_fire(loaded, time, LEDGER_FIRE_MAX, NULL, addresses, &other), 0);
        cr_assert_eq(other.record_count, one.record_count);
        cr_assert(memcmp(records, expected, one.record_count * sizeof records[0]) == 0);
        address += one.record_count;
        if (one.record_count == 0)
            break;
    }
    cr_assert(checksum_equal(ledger_digest(moment->ledger), ledger_digest(loaded)));
}

/* One event of a request of its own. Returns its code; *out_record: what was written. */
static uint32_t event_execute(struct ledger *ledger, const struct giro_transfer *event,
                              uint64_t timestamp, uint64_t address, union record *out_record)
{
    static uint64_t addresses[LEDGER_FETCH_MAX];
    struct giro_result result = {0};
    struct ledger_output output = {.records = out_record, .address = address, .results = &result};
    memset(out_record, 0, sizeof *out_record);
    cr_assert_eq(ledger_create_transfers(ledger, event, 1, timestamp, NULL, addresses, &output), 0);
    return output.result_count > 0 ? result.code : 0;
}

/* Posts and voids of whatever was pending are answered as by the ledger of that moment. */
static void answers_compare(struct history *history, const struct moment *moment,
                            struct ledger *loaded, struct rng *rng)
{
    uint64_t timestamp = moment->ledger->timestamp_last;
    uint32_t counts[256] = {0};
    uint64_t ordinal_end = moment->position.ordinal;
    for (uint64_t i = 0; i < ordinal_end; i++) {
        const struct giro_transfer *pending = &history->records[i].record->transfer;
        if (record_kind(history->records[i].record) != RECORD_TRANSFER ||
            (pending->flags & GIRO_TRANSFER_PENDING) == 0)
            continue;
        struct giro_transfer event = {
            .id = history_transfer_id(history->transfer_next + i),
            .pending_id = pending->id,
            .amount = rng_chance(rng, 50) ? GIRO_U128_MAX : rng_below(rng, 20),
            .flags = GIRO_TRANSFER_POST_PENDING,
        };
        if (rng_chance(rng, 50)) {
            event.flags = GIRO_TRANSFER_VOID_PENDING;
            event.amount = 0;
        }
        union record expected;
        union record record;
        uint64_t address = moment->address_end + 1 + i;
        timestamp++;
        uint32_t code = event_execute(moment->ledger, &event, timestamp, address, &expected);
        cr_assert_eq(event_execute(loaded, &event, timestamp, address, &record), code);
        cr_assert(memcmp(&record, &expected, sizeof record) == 0);
        counts[code]++;
    }
    fprintf(stderr, "created %u, posted %u, voided %u, expired %u\n", counts[0],
            counts[GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_POSTED],
            counts[GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_VOIDED],
            counts[GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED]);
    cr_assert(checksum_equal(ledger_digest(moment->ledger), ledger_digest(loaded)));
}

static struct manifest_entry newest(const struct history *history)
{
    struct manifest manifest;
    struct error error;
    cr_assert_eq(manifest_read(&history->directory, &manifest, &error), 0, "%s", error.text);
    cr_assert(manifest.count > 0);
    return manifest.entries[0];
}

static void meta_check(const struct history *history, const struct moment *moment,
                       const struct snapshot_meta *meta, const struct segment_facts *facts)
{
    struct ledger_sums sums = ledger_sum(moment->ledger, 0);
    struct ledger_totals totals = ledger_totals(moment->ledger);
    cr_assert(memcmp(&meta->sums, &sums, sizeof sums) == 0);
    cr_assert(memcmp(&meta->totals, &totals, sizeof totals) == 0);
    cr_assert(memcmp(&meta->position, &moment->position, sizeof meta->position) == 0);
    cr_assert(checksum_equal(meta->digest, moment->digest));
    cr_assert_eq(meta->rows[LEDGER_ACCOUNTS], moment->ledger->accounts.count);
    cr_assert_eq(meta->rows[LEDGER_LEASES], moment->ledger->leases.count);
    cr_assert_eq(meta->rows[LEDGER_SCHEDULES], moment->ledger->schedules.count);
    cr_assert_eq(meta->holds, moment->ledger->holds.count);
    for (uint32_t i = 0; i < moment->segment; i++)
        cr_assert(memcmp(&facts[i], &history->archive.sidecars[i]->facts, sizeof facts[i]) == 0,
                  "segment %u", i);
}

/* Loads the newest snapshot, which is the one of this moment. */
static struct ledger *moment_load(struct history *history, const struct moment *moment)
{
    const struct manifest_entry entry = newest(history);
    struct snapshot_meta meta;
    struct segment_facts *facts;
    struct error error;
    cr_assert_eq(entry.segment, moment->segment);
    cr_assert_eq(entry.lsn, moment->position.lsn - 1);
    cr_assert(memcmp(&entry, &history->snapshot->writer.entry, sizeof entry) == 0);
    cr_assert_eq(snapshot_check(&history->directory, &entry, &error), 0, "%s", error.text);
    struct ledger *loaded = history_ledger_make(history, false);
    cr_assert_eq(snapshot_load(&history->directory, &entry, loaded, &meta, &facts, &error), 0, "%s",
                 error.text);
    meta_check(history, moment, &meta, facts);
    free(facts);
    return loaded;
}

static void moment_check(struct history *history, struct moment *moment, struct rng *rng)
{
    struct ledger *loaded = moment_load(history, moment);
    cr_assert(checksum_equal(ledger_digest(loaded), moment->digest));
    cr_assert(memcmp(loaded->accounts.rows, moment->ledger->accounts.rows,
                     loaded->accounts.count * sizeof *loaded->accounts.rows) == 0);
    for (uint32_t i = 0; i < loaded->accounts.count; i++)
        cr_assert_eq(accounts_find(&loaded->accounts, loaded->accounts.rows[i].id), i);
    rows_compare(moment->ledger, loaded, LEDGER_EPOCHS, "epochs");
    rows_compare(moment->ledger, loaded, LEDGER_SETTLEMENTS, "settlements");
    holds_compare(moment->ledger, loaded);
    objects_compare(moment->ledger, loaded);
    for (uint64_t i = 0; i < moment->position.ordinal; i++) {
        uint64_t address = (uint64_t)(history->records[i].record - history->log);
        cr_assert_eq(holds_outcome(&loaded->holds, address),
                     holds_outcome(&moment->ledger->holds, address), "address %lu", address);
    }
    ids_restore(history, moment->segment, loaded);
    answers_compare(history, moment, loaded, rng);
    firings_compare(moment, loaded);
    ledger_destroy(loaded);
}

static void moment_free(struct moment *moment)
{
    ledger_destroy(moment->ledger);
}

/* ---- Snapshots while the ledger goes on -------------------------------------------------- */

struct workload {
    struct history_mix mix;
    uint32_t requests_before;
    uint32_t requests_between; /* two steps */
};

/* Returns how many rows of epochs and settlements changed while they were being written. */
/* aside: how many rows were set aside, by table, is added. */
static void workload_run(const struct workload *workload, struct rng *rng, uint32_t *aside)
{
    static struct history history;
    static struct snapshot snapshot;
    history_open(&history, &small);
    history_begin(&history, rng, &workload->mix);
    snapshot_open(&snapshot, &history, 0);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < workload->requests_before; i++)
            history_request(&history, rng, &workload->mix);
        epochs_end(&history, rng);
        struct moment moment = snapshot_start(&history);
        uint64_t records = history.record_count;
        enum snapshot_progress progress =
            snapshot_run(&history, rng, &workload->mix, workload->requests_between);
        cr_assert_eq(progress, SNAPSHOT_DONE, "%s", snapshot.writer.error.text);
        fprintf(stderr, "%u accounts, %u holds, %lu records meanwhile, %u rows set aside\n",
                moment.ledger->accounts.count, moment.ledger->holds.count,
                history.record_count - records, snapshot.tables[LEDGER_ACCOUNTS].kept_count);
        for (uint32_t table = 0; table < LEDGER_TABLES; table++)
            aside[table] += snapshot.tables[table].kept_count;
        moment_check(&history, &moment, rng);
        moment_free(&moment);
    }
    history_flush(&history);
    cr_assert(checksum_equal(ledger_digest(history.replica), ledger_digest(history.ledger)));
    snapshot_free(&snapshot);
    history_close(&history);
}

Test(snapshot, shows_one_moment)
{
    static const struct workload workloads[] = {
        {{.accounts = 30000, .hot_percent = 10, .events_max = 400, .account_chance = 10}, 40, 8},
        {{.accounts = 20000, .events_max = 60, .account_chance = 30}, 200, 10},
        {{.accounts = 60, .hot_percent = 50, .events_max = 200, .account_chance = 5}, 100, 20},
        {{.accounts = 40, .events_max = 100, .account_chance = 5, .imports = true}, 100, 20},
    };
    struct rng rng = rng_make(SEED_DEFAULT);
    uint32_t aside[LEDGER_TABLES] = {0};
    for (uint32_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        workload_run(&workloads[i], &rng, aside);
    cr_assert(aside[LEDGER_EPOCHS] + aside[LEDGER_SETTLEMENTS] > 100,
              "only %u and %u rows of epochs and settlements were set aside", aside[LEDGER_EPOCHS],
              aside[LEDGER_SETTLEMENTS]);
}

/* Leases and schedules change while their rows are written; some of the rows of leases are of another
 * key then. */
Test(snapshot, shows_leases_and_schedules_of_one_moment)
{
    static const struct workload workloads[] = {
        {{.accounts = 60, .events_max = 20, .objects_chance = 60, .objects = 60000}, 60, 4},
        {{.accounts = 2000, .events_max = 60, .objects_chance = 30, .objects = 300}, 100, 5},
        {{.accounts = 30, .events_max = 20, .objects_chance = 90, .objects = 8}, 60, 20},
    };
    uint32_t aside[LEDGER_TABLES] = {0};
    struct rng rng = rng_make(SEED_DEFAULT + 8);
    for (uint32_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        workload_run(&workloads[i], &rng, aside);
    cr_assert(aside[LEDGER_LEASES] > 100 && aside[LEDGER_SCHEDULES] > 100,
              "only %u and %u rows of leases and schedules were set aside", aside[LEDGER_LEASES],
              aside[LEDGER_SCHEDULES]);
}

Test(snapshot, has_a_hundred_thousand_accounts)
{
    const struct workload workload = {
        {.accounts = 100000, .events_max = 4000, .account_chance = 2}, 4, 1};
    struct rng rng = rng_make(SEED_DEFAULT + 1);
    uint32_t aside[LEDGER_TABLES] = {0};
    workload_run(&workload, &rng, aside);
}

/* Chunks of rows, full or not, and none. */
Test(snapshot, has_any_number_of_accounts)
{
    static const uint32_t counts[] = {0, 1, 30, 31, 32, 61, 62, 63};
    static struct history history;
    static struct snapshot snapshot;
    struct rng rng = rng_make(SEED_DEFAULT + 2);
    for (uint32_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const struct history_mix mix = {.accounts = counts[i], .events_max = 20};
        history_open(&history, &small);
        history_mark(&history, BLOCK_START);
        history_begin(&history, &rng, &mix);
        for (uint32_t r = 0; r < 20 && counts[i] > 8; r++)
            history_request(&history, &rng, &mix);
        snapshot_open(&snapshot, &history, 0);
        struct moment moment = snapshot_start(&history);
        cr_assert_eq(snapshot_run(&history, &rng, &mix, 0), SNAPSHOT_DONE);
        moment_check(&history, &moment, &rng);
        moment_free(&moment);
        snapshot_free(&snapshot);
        history_close(&history);
    }
}

/* A log of many gigabytes that has next to nothing in it: outcomes are few and far between. */
Test(snapshot, leaves_out_empty_outcomes)
{
    static struct history history;
    static struct snapshot snapshot;
    const struct history_options large = {.segment_bytes = DIRECTORY_SEGMENT_BYTES_MAX,
                                          .segments_max = 16,
                                          .accounts_max = 1 << 10,
                                          .holds_max = 1 << 12,
                                          .records_max = 1 << 16};
    const struct history_mix mix = {.accounts = 20, .events_max = 60};
    struct rng rng = rng_make(SEED_DEFAULT + 3);
    history_open(&history, &large);
    history_begin(&history, &rng, &mix);
    for (uint32_t segment = 0; segment < 12; segment++) {
        for (uint32_t i = 0; i < 5; i++)
            history_request(&history, &rng, &mix);
        history_enter(&history);
    }
    history_mark(&history, BLOCK_IDLE);
    snapshot_open(&snapshot, &history, 0);
    struct moment moment = snapshot_start(&history);
    cr_assert_eq(snapshot_run(&history, &rng, &mix, 5), SNAPSHOT_DONE);
    cr_assert(newest(&history).file_bytes < 1 << 20);
    moment_check(&history, &moment, &rng);
    moment_free(&moment);
    snapshot_free(&snapshot);
    history_close(&history);
}

/* ---- What goes wrong --------------------------------------------------------------------- */

static struct ledger *limited_make(const struct history *history, uint32_t accounts, uint32_t holds)
{
    const struct ledger_config config = {.accounts_max = accounts,
                                         .holds_max = holds,
                                         .transfers_max = 1000,
                                         .hash_seed = directory_hash_seed(&history->directory)};
    struct ledger *ledger;
    cr_assert_eq(ledger_create(&config, &ledger), 0);
    return ledger;
}

static void load_expect(struct history *history, const struct manifest_entry *entry,
                        uint32_t accounts, uint32_t holds, int expected)
{
    struct snapshot_meta meta;
    struct segment_facts *facts = NULL;
    struct error error = {0};
    struct ledger *ledger = limited_make(history, accounts, holds);
    cr_assert_eq(snapshot_load(&history->directory, entry, ledger, &meta, &facts, &error),
                 expected);
    cr_assert((error.text[0] != 0) == (expected != 0));
    free(facts);
    ledger_destroy(ledger);
}

/* A small history with a snapshot. */
static struct manifest_entry small_make(struct history *history, struct snapshot *snapshot,
                                        struct rng *rng)
{
    const struct history_mix mix = {.accounts = 100, .events_max = 50};
    history_open(history, &small);
    history_begin(history, rng, &mix);
    for (uint32_t i = 0; i < 50; i++)
        history_request(history, rng, &mix);
    snapshot_open(snapshot, history, 0);
    struct moment moment = snapshot_start(history);
    moment_free(&moment);
    cr_assert_eq(snapshot_run(history, rng, &mix, 0), SNAPSHOT_DONE);
    return newest(history);
}

Test(snapshot, is_not_loaded_beyond_limits)
{
    static struct history history;
    static struct snapshot snapshot;
    struct rng rng = rng_make(SEED_DEFAULT + 4);
    struct manifest_entry entry = small_make(&history, &snapshot, &rng);
    uint32_t accounts = history.replica->accounts.count;
    uint32_t holds = history.replica->holds.count;
    cr_assert(holds > 1);
    load_expect(&history, &entry, accounts, holds, 0);
    load_expect(&history, &entry, accounts - 1, holds, -ENOSPC);
    load_expect(&history, &entry, 1, holds, -ENOSPC);
    load_expect(&history, &entry, accounts, holds - 1, -ENOSPC);
    load_expect(&history, &entry, accounts, 1, -ENOSPC);
    entry.segment++; /* no such file */
    cr_assert_eq(snapshot_check(&history.directory, &entry, &(struct error){0}), -ENOENT);
    entry.segment--;
    entry.lsn++;
    load_expect(&history, &entry, accounts, holds, -EXDEV);
    snapshot_free(&snapshot);
    history_close(&history);
}

/* No byte of the file can change, and no page of it go missing, without being noticed. */
Test(snapshot, is_checked_as_a_whole)
{
    static struct history history;
    static struct snapshot snapshot;
    char name[SNAPSHOT_NAME_BYTES];
    struct error error;
    struct rng rng = rng_make(SEED_DEFAULT + 5);
    struct manifest_entry entry = small_make(&history, &snapshot, &rng);
    snapshot_name(entry.segment, name);
    int fd = openat(history.directory.shard_fd, name, O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0);
    for (uint32_t i = 0; i < 300; i++) {
        off_t at = (off_t)(rng_next(&rng) % entry.file_bytes);
        uint8_t byte;
        cr_assert_eq(pread(fd, &byte, 1, at), 1);
        uint8_t flipped = byte ^ (uint8_t)(1u << rng_below(&rng, 8));
        cr_assert_eq(pwrite(fd, &flipped, 1, at), 1);
        cr_assert_eq(snapshot_check(&history.directory, &entry, &error), -EBADMSG);
        cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    }
    cr_assert_eq(snapshot_check(&history.directory, &entry, &error), 0);
    cr_assert_eq(ftruncate(fd, (off_t)entry.file_bytes + 1), 0);
    cr_assert_eq(snapshot_check(&history.directory, &entry, &error), -EBADMSG);
    cr_assert_eq(ftruncate(fd, (off_t)entry.file_bytes - 4096), 0);
    cr_assert_eq(snapshot_check(&history.directory, &entry, &error), -EBADMSG);
    close(fd);
    snapshot_free(&snapshot);
    history_close(&history);
}

Test(snapshot, leaves_nothing_when_it_is_given_up)
{
    static struct history history;
    static struct snapshot snapshot;
    const struct history_mix mix = {.accounts = 30000, .events_max = 200};
    struct rng rng = rng_make(SEED_DEFAULT + 6);
    history_open(&history, &small);
    history_begin(&history, &rng, &mix);
    snapshot_open(&snapshot, &history, 0);
    for (uint32_t steps = 0; steps < 8; steps++) {
        struct moment moment = snapshot_start(&history);
        snapshot_demand_proof(&snapshot); /* else a slow step lets the writer finish first */
        moment_free(&moment);
        for (uint32_t i = 0; i < steps; i++) {
            (void)snapshot_step(&snapshot, history.replica, &history.archive);
            history_request(&history, &rng, &mix);
        }
        history_flush(&history);
        snapshot_abandon(&snapshot);
        cr_assert_not(snapshot.active);
        cr_assert_not(file_there(&history, "snapshot.tmp"));
        cr_assert_not(file_there(&history, "manifest"));
    }
    struct moment moment = snapshot_start(&history);
    cr_assert_eq(snapshot_run(&history, &rng, &mix, 3), SNAPSHOT_DONE);
    moment_check(&history, &moment, &rng);
    moment_free(&moment);
    snapshot_free(&snapshot);
    history_close(&history);
}

Test(snapshot, fails_when_its_map_is_too_small)
{
    static struct history history;
    static struct snapshot snapshot;
    const struct history_mix mix = {.accounts = 30000, .events_max = 200};
    struct rng rng = rng_make(SEED_DEFAULT + 7);
    history_open(&history, &small);
    history_begin(&history, &rng, &mix);
    snapshot_open(&snapshot, &history, 1 << 20);
    struct moment moment = snapshot_start(&history);
    cr_assert_eq(snapshot_run(&history, &rng, &mix, 2), SNAPSHOT_FAILED);
    cr_assert(strstr(snapshot.writer.error.text, "snapshot_map_bytes") != NULL, "%s",
              snapshot.writer.error.text);
    cr_assert_not(file_there(&history, "snapshot.tmp"));
    cr_assert_not(file_there(&history, "manifest"));
    moment_free(&moment);
    snapshot_free(&snapshot);
    history_close(&history);
}

/* One that must be proven is not there before digest records of every row have agreed. */
Test(snapshot, waits_for_its_proof)
{
    static struct history history;
    static struct snapshot snapshot;
    const struct history_mix mix = {.accounts = 100, .events_max = 20};
    struct rng rng = rng_make(SEED_DEFAULT + 8);
    history_open(&history, &small);
    history_begin(&history, &rng, &mix);
    snapshot_open(&snapshot, &history, 0);
    struct moment moment = snapshot_start(&history);
    snapshot_demand_proof(&snapshot);
    cr_assert_not(snapshot_awaits_proof(&snapshot));
    cr_assert_eq(snapshot_step(&snapshot, history.replica, &history.archive), SNAPSHOT_WORKED);
    for (uint32_t rows = 0; rows < 100; rows += 25) {
        cr_assert(snapshot_awaits_proof(&snapshot));
        for (uint32_t i = 0; i < 20; i++) {
            cr_assert_eq(snapshot_step(&snapshot, history.replica, &history.archive),
                         SNAPSHOT_WAITS);
            usleep(1000);
        }
        cr_assert_not(file_there(&history, "manifest"));
        snapshot_agreed(&snapshot, history.replica,
                        &(struct record_digest){.row_count = 25, .accounts = 100});
    }
    /* Every fourth account settles. */
    cr_assert(snapshot_awaits_proof(&snapshot));
    snapshot_agreed(&snapshot, history.replica,
                    &(struct record_digest){.side_table = LEDGER_SETTLEMENTS, .side_count = 24});
    cr_assert(snapshot_awaits_proof(&snapshot));
    snapshot_agreed(&snapshot, history.replica,
                    &(struct record_digest){.side_table = LEDGER_SETTLEMENTS, .side_count = 1});
    cr_assert_not(snapshot_awaits_proof(&snapshot));
    cr_assert_eq(snapshot_run(&history, &rng, &mix, 0), SNAPSHOT_DONE);
    moment_check(&history, &moment, &rng);
    moment_free(&moment);
    moment = snapshot_start(&history);
    snapshot_demand_proof(&snapshot);
    cr_assert_eq(snapshot_step(&snapshot, history.replica, &history.archive), SNAPSHOT_WORKED);
    snapshot_abandon(&snapshot);
    cr_assert_not(file_there(&history, "snapshot.tmp"));
    moment_free(&moment);
    snapshot_free(&snapshot);
    history_close(&history);
}

/* ---- The manifest ------------------------------------------------------------------------ */

static const struct history_options tiny = {
    .segment_bytes = 4 << 20,
    .segments_max = 4,
    .accounts_max = 1 << 10,
    .holds_max = 1 << 10,
};

static struct history kept;

static void file_make(const char *name)
{
    int fd = openat(kept.directory.shard_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0);
    close(fd);
}

static struct manifest_entry entry_of(uint32_t segment, uint64_t bytes)
{
    return (struct manifest_entry){.segment = segment, .lsn = 10 * segment, .file_bytes = bytes};
}

static void add(uint32_t segment, uint64_t bytes)
{
    struct manifest_entry entry = entry_of(segment, bytes);
    struct error error;
    char name[SNAPSHOT_NAME_BYTES];
    snapshot_name(segment, name);
    file_make(name);
    cr_assert_eq(manifest_add(&kept.directory, &entry, &error), 0, "%s", error.text);
}

/* The manifest has these entries, the newest first, and no file is left of writing it. */
static void expect(uint32_t count, uint32_t first, uint32_t second)
{
    struct manifest manifest;
    struct error error;
    cr_assert_eq(manifest_read(&kept.directory, &manifest, &error), 0, "%s", error.text);
    cr_assert_eq(manifest.count, count);
    if (count > 0)
        cr_assert_eq(manifest.entries[0].segment, first);
    if (count > 1)
        cr_assert_eq(manifest.entries[1].segment, second);
    cr_assert_not(file_there(&kept, "manifest.tmp"));
}

Test(manifest, names_the_newest_two)
{
    struct manifest manifest;
    struct error error;
    history_open(&kept, &tiny);
    cr_assert_eq(manifest_read(&kept.directory, &manifest, &error), -ENOENT);
    cr_assert_eq(manifest.count, 0);
    add(5, 100);
    expect(1, 5, 0);
    add(8, 200);
    expect(2, 8, 5);
    add(11, 300);
    expect(2, 11, 8);
    add(11, 301); /* made again: replaced */
    expect(2, 11, 8);
    add(8, 302); /* likewise, and in front */
    expect(2, 8, 11);
    cr_assert_eq(manifest_read(&kept.directory, &manifest, &error), 0);
    struct manifest_entry entry = entry_of(8, 302);
    cr_assert(memcmp(&manifest.entries[0], &entry, sizeof entry) == 0);
    cr_assert_eq(manifest_drop(&kept.directory, 99, &error), 0);
    expect(2, 8, 11);
    cr_assert_eq(manifest_drop(&kept.directory, 8, &error), 0);
    expect(1, 11, 0);
    cr_assert_eq(manifest_drop(&kept.directory, 11, &error), 0);
    expect(0, 0, 0);
    add(12, 1);
    expect(1, 12, 0);
    history_close(&kept);
}

static void manifest_put(const struct manifest *manifest, size_t size)
{
    int fd =
        openat(kept.directory.shard_fd, "manifest", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, manifest, size) == (ssize_t)size);
    close(fd);
}

static void manifest_put_sound(struct manifest manifest)
{
    manifest.checksum = checksum_of(&manifest, offsetof(struct manifest, checksum));
    manifest_put(&manifest, sizeof manifest);
}

static void read_expect(int expected)
{
    struct manifest manifest;
    struct error error = {0};
    memset(&manifest, 0xee, sizeof manifest);
    cr_assert_eq(manifest_read(&kept.directory, &manifest, &error), expected, "%s", error.text);
    if (expected != 0)
        cr_assert(manifest.count == 0 && error.text[0] != 0);
}

Test(manifest, is_not_believed_when_damaged)
{
    struct manifest sound;
    struct manifest spoilt;
    struct error error;
    history_open(&kept, &tiny);
    add(5, 100);
    add(8, 200);
    cr_assert_eq(manifest_read(&kept.directory, &sound, &error), 0);
    for (uint32_t bit = 0; bit < sizeof sound * 8; bit++) {
        spoilt = sound;
        ((uint8_t *)&spoilt)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        manifest_put(&spoilt, sizeof spoilt);
        read_expect(-EBADMSG);
    }
    manifest_put(&sound, sizeof sound - 1);
    read_expect(-EBADMSG);
    manifest_put(&sound, 0);
    read_expect(-EBADMSG);
    struct manifest longer[2] = {sound, sound};
    manifest_put(longer, sizeof sound + 1);
    read_expect(-EBADMSG);
    spoilt = sound;
    spoilt.version++;
    manifest_put_sound(spoilt);
    read_expect(-EPROTO);
    spoilt = sound;
    spoilt.directory_id[3] ^= 1;
    manifest_put_sound(spoilt);
    read_expect(-EXDEV);
    spoilt = sound;
    spoilt.count = MANIFEST_ENTRIES + 1;
    manifest_put_sound(spoilt);
    cr_assert(manifest_read(&kept.directory, &spoilt, &error) != 0);
    cr_assert_eq(spoilt.count, 0);
    manifest_put_sound(sound);
    read_expect(0);
    /* A new one begins where the old one cannot be read. */
    manifest_put(&sound, 7);
    add(20, 1);
    expect(1, 20, 0);
    history_close(&kept);
}

static const char *const strangers[] = {
    "snapshot-5.mdb",
    "snapshot-0000000005.mdb.bak",
    "snapshot-00000000055.mdb",
    "notes",
    "0000000003.log",
    "5.idx",
    "notes.bad",
    "0000000005.idx.bad.bad",
    "5.idx.bad",
};

static void strangers_make(void)
{
    for (uint32_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        file_make(strangers[i]);
}

static void strangers_check(void)
{
    for (uint32_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        cr_assert(file_there(&kept, strangers[i]), "%s", strangers[i]);
}

Test(manifest, tidies_what_it_does_not_name)
{
    struct manifest manifest;
    struct error error;
    history_open(&kept, &tiny);
    strangers_make();
    add(3, 1);
    add(5, 1);
    add(8, 1);
    file_make("snapshot.tmp");
    file_make("snapshot-4294967295.mdb");
    file_make("0000000001.idx");
    cr_assert_eq(manifest_read(&kept.directory, &manifest, &error), 0);
    for (uint32_t i = 0; i < 2; i++) {
        snapshots_tidy(&kept.directory, &manifest);
        cr_assert_not(file_there(&kept, "snapshot-0000000003.mdb"));
        cr_assert_not(file_there(&kept, "snapshot-4294967295.mdb"));
        cr_assert_not(file_there(&kept, "snapshot.tmp"));
        cr_assert(file_there(&kept, "snapshot-0000000005.mdb"));
        cr_assert(file_there(&kept, "snapshot-0000000008.mdb"));
        cr_assert(file_there(&kept, "0000000001.idx"));
        cr_assert(file_there(&kept, "manifest"));
        strangers_check();
    }
    history_close(&kept);
}

/* Of a sidecar that was put out of the way. */
static const char *bad_name(uint32_t segment, char name[SIDECAR_NAME_BYTES + 8])
{
    sidecar_name(segment, name);
    return strcat(name, ".bad");
}

Test(manifest, removes_what_was_derived)
{
    static const struct {
        uint32_t first;
        uint32_t snapshots; /* of those of segments 5 and 8 that stay */
        uint32_t sidecars;  /* of 0 .. 9 that stay */
    } rows[] = {{0, 0, 0}, {1, 0, 1}, {4, 0, 4}, {5, 1, 5},
                {7, 1, 7}, {8, 2, 8}, {9, 2, 9}, {20, 2, 10}};
    struct error error;
    for (uint32_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        char name[SIDECAR_NAME_BYTES];
        char bad[SIDECAR_NAME_BYTES + 8];
        history_open(&kept, &tiny);
        strangers_make();
        add(5, 1);
        add(8, 1);
        for (uint32_t i = 0; i < 10; i++) {
            sidecar_name(i, name);
            file_make(name);
            file_make(bad_name(i, bad));
        }
        cr_assert_eq(derived_remove(&kept.directory, rows[r].first, &error), 0, "%s", error.text);
        expect(rows[r].snapshots, rows[r].snapshots == 2 ? 8 : 5, 5);
        cr_assert_eq(file_there(&kept, "snapshot-0000000005.mdb"), rows[r].snapshots > 0);
        cr_assert_eq(file_there(&kept, "snapshot-0000000008.mdb"), rows[r].snapshots > 1);
        for (uint32_t i = 0; i < 10; i++) {
            sidecar_name(i, name);
            cr_assert_eq(file_there(&kept, name), i < rows[r].sidecars, "first %u: %s",
                         rows[r].first, name);
            cr_assert_eq(file_there(&kept, bad_name(i, bad)), i < rows[r].sidecars, "first %u: %s",
                         rows[r].first, bad);
        }
        strangers_check();
        history_close(&kept);
    }
}
