/* Fuzzes the index of a sealed segment: a sound one, changed anywhere and sealed again page by page,
 * under everything that reads it: opening, restoring ids at start, queries, old changes.
 *
 *   input   | queries, 8 bytes each, 4 of them | patches: tests/fuzz/patches.h
 *
 * Never: a query or a view goes on for ever, or finds more than it was asked for; a page that was
 * changed and not sealed again passes. What a sealed page says wrongly cannot be known here: the
 * answer is wrong, or an error, and the process lives. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/patches.h"
#include "tests/history_fixture.h"
#include "wal/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SEALED_BYTES = 32 << 10,
    ACCOUNTS_MAX = 64,
    QUERIES = 4,
    LIMIT_MAX = 64,
    STEPS_MAX = 20000,
    CHANGES = 16,
};

static struct history history;
static struct archive archive;
static struct archive_reader reader;
static uint32_t *log_map;
static char *sound; /* the index as it was written */
static uint32_t pages;
static int file = -1;

/* ---- What reads it ----------------------------------------------------------------------- */

static void ids_restore(void)
{
    struct ledger *ledger = history_ledger_make(&history, false);
    struct error error;
    int result = archive_restore(&archive, 0, ledger, log_map, &error);
    MUST(result == 0 || result == -EBADMSG || result == -ENOSPC, "%d", result);
    ledger_destroy(ledger);
}

static void query_run(struct query *query, uint32_t limit)
{
    const struct query_source source = {history.replica, &history.live, &reader};
    int result = 0;
    for (uint32_t steps = 0; result == 0; steps++) {
        result = query_step(query, &source);
        MUST(steps < STEPS_MAX);
        MUST(query->count <= limit);
    }
    MUST(result == 1 || result == -EBADMSG || result == -EILSEQ, "%d", result);
    MUST(result == 1 || reader.error.text[0] != 0);
}

static void query_take(struct input *input)
{
    struct query query;
    enum query_kind kind = (enum query_kind)(input_number(input, 1) % 4);
    uint32_t account = (uint32_t)input_number(input, 1) % 16;
    uint32_t limit = 1 + (uint32_t)input_number(input, 1) % LIMIT_MAX;
    uint32_t flags = (uint32_t)input_number(input, 1);
    uint32_t data = (uint32_t)input_number(input, 1);
    uint64_t from = HISTORY_CLOCK_NS + input_number(input, 3) * 10000;
    const struct query_source source = {history.replica, &history.live, &reader};
    char *output = malloc((size_t)limit * GIRO_RECORD_BYTES);
    MUST(output != NULL);
    if (kind == QUERY_ACCOUNT_TRANSFERS || kind == QUERY_ACCOUNT_BALANCES) {
        const struct giro_account_filter filter = {
            .account_id = history_account_id(account),
            .limit = limit,
            .flags = flags & GIRO_ACCOUNT_FILTER_FLAGS_ALL,
            .timestamp_min = (flags & 8) != 0 ? from : 0,
            .timestamp_max = (flags & 16) != 0 ? from + 100000000 : 0,
            .user_data_64 = data % 4,
        };
        query_account_begin(&query, kind, &filter, &source, output);
    } else {
        const struct giro_query_filter filter = {
            .limit = limit,
            .flags = flags & GIRO_QUERY_FILTER_FLAGS_ALL,
            .timestamp_min = (flags & 8) != 0 ? from : 0,
            .user_data_128 = (flags & 32) != 0 ? 7 : 0,
            .user_data_64 = data % 4,
            .user_data_32 = data / 4 % 3,
        };
        query_begin(&query, kind, &filter, &source, output);
    }
    query_run(&query, limit);
    free(output);
}

static void changes_read(void)
{
    static struct view_maker maker;
    static struct giro_change changes[CHANGES];
    uint64_t ordinal = 0;
    int result = 0;
    MUST(view_maker_init(&maker, &history.directory, &history.replica->accounts) == 0);
    reader.error.text[0] = 0;
    view_maker_begin(&maker, &reader, 0);
    for (uint32_t steps = 0; result == 0; steps++) {
        result = view_maker_step(&maker);
        MUST(steps < STEPS_MAX);
    }
    MUST(result == 1 || result == -EBADMSG || result == -EILSEQ, "%d", result);
    while (result == 1) {
        uint64_t before = ordinal;
        uint32_t count = view_changes(&maker.view, &ordinal, CHANGES, changes);
        MUST(count <= CHANGES && ordinal >= before);
        if (ordinal == before)
            break;
    }
    view_maker_free(&maker);
}

static void everything_read(struct input queries)
{
    struct sidecar *sidecar;
    struct error error;
    int result = sidecar_open(&history.directory, 0, &sidecar, &error);
    MUST(result == 0 || result == -EBADMSG, "%d", result);
    if (result != 0)
        return;
    archive_add(&archive, sidecar);
    for (uint32_t i = 0; i < ARCHIVE_PAGES; i++)
        reader.pages[i].valid = false;
    ids_restore();
    for (uint32_t i = 0; i < QUERIES; i++)
        query_take(&queries);
    changes_read();
    archive_clear(&archive);
}

/* ---- The file ---------------------------------------------------------------------------- */

static void page_write(uint32_t number, const char *page)
{
    MUST(pwrite(file, page, SIDECAR_PAGE_BYTES, (off_t)number * SIDECAR_PAGE_BYTES) ==
         SIDECAR_PAGE_BYTES);
}

/* Whether a page has the checksum that sealing it would give it. */
static bool page_sealed(const char *page, uint64_t seed, uint32_t number)
{
    char again[SIDECAR_PAGE_BYTES];
    memcpy(again, page, sizeof again);
    sidecar_page_seal(again, seed, number);
    return memcmp(again, page, sizeof again) == 0;
}

/* Writes the patches; sealed says whether every page is sound by its checksum. */
static uint32_t patches_write(struct input *input, uint32_t *patched, bool *out_sealed)
{
    const uint64_t seed = sidecar_seed(&history.directory, 0);
    uint32_t count = 0;
    *out_sealed = true;
    while (input->left >= PATCH_BYTES && count < PATCHES_MAX) {
        char page[SIDECAR_PAGE_BYTES];
        struct patch patch = patch_take(input, pages, 8);
        MUST(pread(file, page, sizeof page, (off_t)patch.page * SIDECAR_PAGE_BYTES) == sizeof page);
        patch_apply(&patch, page);
        if (!patch.unsealed)
            sidecar_page_seal(page, seed, patch.page);
        page_write(patch.page, page);
        patched[count++] = patch.page;
    }
    for (uint32_t i = 0; i < count; i++) {
        char page[SIDECAR_PAGE_BYTES];
        MUST(pread(file, page, sizeof page, (off_t)patched[i] * SIDECAR_PAGE_BYTES) == sizeof page);
        *out_sealed = *out_sealed && page_sealed(page, seed, patched[i]);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct input queries = input;
    uint32_t patched[PATCHES_MAX];
    uint8_t skipped[QUERIES * 8];
    struct error error;
    bool sealed;
    input_take(&input, skipped, sizeof skipped);
    uint32_t count = patches_write(&input, patched, &sealed);
    MUST((sidecar_verify(&history.directory, 0, &error) == 0) == sealed);
    everything_read(queries);
    for (uint32_t i = 0; i < count; i++)
        page_write(patched[i], sound + (size_t)patched[i] * SIDECAR_PAGE_BYTES);
    return 0;
}

/* ---- Start ------------------------------------------------------------------------------- */

static void history_make(void)
{
    const struct history_options options = {.segment_bytes = DIRECTORY_SEGMENT_BYTES_MIN,
                                            .segments_max = 4,
                                            .accounts_max = ACCOUNTS_MAX,
                                            .holds_max = 8192};
    const struct history_mix mix = {
        .accounts = 12, .hot_percent = 30, .events_max = 8, .account_chance = 10};
    struct rng rng = {5};
    struct stat status;
    (void)atexit(scratch_clean);
    history_open(&history, &options);
    history.directory.meta.sector_bytes = BLOCK_SECTOR_BYTES_MIN; /* as the fixture writes */
    history_begin(&history, &rng, &mix);
    while (history.position.segment == 0 && history.offset < SEALED_BYTES)
        history_request(&history, &rng, &mix);
    history_enter(&history);
    history_request(&history, &rng, &mix);
    history_flush(&history);
    archive_clear(&history.archive); /* ours takes its place */
    file = openat(history.directory.shard_fd, "0000000000.idx", O_RDWR | O_CLOEXEC);
    MUST(file >= 0 && fstat(file, &status) == 0);
    pages = (uint32_t)(status.st_size / SIDECAR_PAGE_BYTES);
    sound = malloc((size_t)status.st_size);
    MUST(sound != NULL && pread(file, sound, (size_t)status.st_size, 0) == status.st_size);
}

static void samples_write(void)
{
    uint8_t sample[QUERIES * 8 + 3 * PATCH_BYTES] = {0};
    for (uint32_t i = 0; i < QUERIES; i++) {
        const uint8_t query[] = {(uint8_t)i, (uint8_t)(i * 3), 60, 3};
        memcpy(&sample[(size_t)i * 8], query, sizeof query);
    }
    fuzz_sample("sound", sample, (size_t)QUERIES * 8);
    for (uint32_t page = 0; page < pages && page < 24; page += 3) {
        char name[16];
        for (uint32_t i = 0; i < 3; i++) {
            const uint8_t patch[] = {(uint8_t)(page + i), 0, (uint8_t)(8 * i), 0, 4, 1};
            memcpy(&sample[(size_t)QUERIES * 8 + (size_t)i * PATCH_BYTES], patch, sizeof patch);
        }
        (void)snprintf(name, sizeof name, "page_%u", page);
        fuzz_sample(name, sample, sizeof sample);
    }
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    history_make();
    if (fuzz_samples_wanted())
        samples_write();
    MUST(archive_init(&archive, &history.directory) == 0 && log_map_init(&log_map) == 0);
    reader.archive = &archive;
    return 0;
}
