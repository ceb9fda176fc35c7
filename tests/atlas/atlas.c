#include "tests/atlas/atlas.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEED_DEFAULT 20261123ull

enum {
    CASE_SECONDS_MAX = 180, /* a case that takes longer hangs: it takes some hundredths of one */
    FAILURES_PRINTED = 10,
    STRIDE = 100,
#ifdef __SANITIZE_ADDRESS__
    STRIDE_FACTOR = 4, /* an instrumented start takes so much longer */
#else
    STRIDE_FACTOR = 1,
#endif
};

static const char *const kind_names[CHANGE_KINDS] = {"flip", "zero",   "misdirect", "cut",
                                                     "grow", "delete", "swap"};
static const char *const mode_names[STAND_MODES] = {"snapshots", "log"};

/* ---- Crashes and hangs ------------------------------------------------------------------- */

static struct atlas *running;

/* Says which case it was: only what a signal handler may call. */
static void crash_report(int signal_number)
{
    static const char end[] = "'\n";
    (void)!write(running->stand.stderr_fd, running->again, strlen(running->again));
    (void)!write(running->stand.stderr_fd, running->current, strlen(running->current));
    (void)!write(running->stand.stderr_fd, end, sizeof end - 1);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static void crashes_watch(struct atlas *atlas)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
    running = atlas;
    (void)snprintf(atlas->again, sizeof atlas->again,
                   "atlas: crashed, or hung\n"
                   "again: GIRO_TEST_SEED=%" PRIu64 " GIRO_ATLAS=full GIRO_ATLAS_CASE='",
                   atlas->seed);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)signal(signals[i], crash_report);
}

/* ---- Changes ----------------------------------------------------------------------------- */

void change_name(const struct atlas *atlas, const struct change *change, enum stand_mode mode,
                 char out[ATLAS_CASE_BYTES])
{
    (void)snprintf(out, ATLAS_CASE_BYTES, "%s:%s:%" PRIu64 ":%" PRIu64 ":%s",
                   atlas->specimen.files[change->file].name, kind_names[change->kind],
                   change->offset, change->argument, mode_names[mode]);
}

/* The bytes that a change puts in the place of others; returns how many, 0 where it is not of that
 * kind. */
static uint32_t change_bytes(const struct specimen *specimen, const struct change *change,
                             uint8_t out[ATLAS_PAGE_BYTES])
{
    const struct specimen_file *file = &specimen->files[change->file];
    switch (change->kind) {
    case CHANGE_FLIP:
        out[0] = file->bytes[change->offset] ^ (uint8_t)change->argument;
        return 1;
    case CHANGE_ZERO:
        memset(out, 0, change->argument);
        return (uint32_t)change->argument;
    case CHANGE_MISDIRECT:
        memcpy(out, file->bytes + change->argument * ATLAS_PAGE_BYTES, ATLAS_PAGE_BYTES);
        return ATLAS_PAGE_BYTES;
    default:
        return 0;
    }
}

static void files_swap(const struct stand *stand, const char *a, const char *b)
{
    char first[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
    char second[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
    stand_file_path(stand, a, first, sizeof first);
    stand_file_path(stand, b, second, sizeof second);
    cr_assert_eq(renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE), 0, "%s and %s: %s",
                 first, second, strerror(errno));
}

void change_apply(struct atlas *atlas, const struct change *change)
{
    const struct specimen_file *file = &atlas->specimen.files[change->file];
    uint8_t bytes[ATLAS_PAGE_BYTES];
    char path[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
    uint32_t size = change_bytes(&atlas->specimen, change, bytes);
    stand_file_path(&atlas->stand, file->name, path, sizeof path);
    if (size > 0)
        stand_write(&atlas->stand, change->file, change->offset, bytes, size);
    if (change->kind == CHANGE_CUT)
        cr_assert_eq(truncate(path, (off_t)change->offset), 0);
    if (change->kind == CHANGE_GROW) {
        cr_assert(change->argument <= sizeof bytes);
        memset(bytes, 0x5a, sizeof bytes);
        stand_write(&atlas->stand, change->file, file->size, bytes, change->argument);
    }
    if (change->kind == CHANGE_DELETE)
        cr_assert_eq(unlink(path), 0);
    if (change->kind == CHANGE_SWAP)
        files_swap(&atlas->stand, file->name, atlas->specimen.files[change->argument].name);
}

/* Takes a change of bytes back. */
static void change_undo(struct atlas *atlas, const struct change *change)
{
    uint8_t bytes[ATLAS_PAGE_BYTES];
    uint32_t size = change_bytes(&atlas->specimen, change, bytes);
    if (size > 0)
        stand_write(&atlas->stand, change->file, change->offset,
                    atlas->specimen.files[change->file].bytes + change->offset, size);
}

/* ---- What must come of it ---------------------------------------------------------------- */

/* A change that is looked at block by block. */
struct log_damage {
    const struct specimen *specimen;
    const struct specimen_file *file;
    uint64_t begin; /* bytes from here on are what they were not before */
    uint32_t size;
    uint8_t bytes[ATLAS_PAGE_BYTES];
};

/* Whether any byte of a range is another one than it was. */
static bool range_differs(const struct log_damage *damage, uint64_t from, uint64_t end)
{
    uint64_t low = from > damage->begin ? from : damage->begin;
    uint64_t high = end < damage->begin + damage->size ? end : damage->begin + damage->size;
    return low < high && memcmp(damage->bytes + (low - damage->begin), damage->file->bytes + low,
                                high - low) != 0;
}

/* Whether the header of a block, of any of this log, now lies at or behind an offset where none was
 * written: by a misdirected write. exactly: at that offset. */
static bool header_brought(const struct log_damage *damage, uint64_t offset, bool exactly)
{
    for (uint32_t at = 0; at + BLOCK_HEADER_BYTES <= damage->size; at += ATLAS_SECTOR_BYTES) {
        uint64_t place = damage->begin + at;
        struct block_header header;
        memcpy(&header, damage->bytes + at, sizeof header);
        if (header.magic == BLOCK_MAGIC && (place == offset || (!exactly && place > offset)))
            return true;
    }
    return false;
}

/* Whether everything that was written from an offset on is zero now: a log that ends there. */
static bool zero_from(const struct log_damage *damage, uint64_t offset)
{
    uint64_t used = damage->specimen->used_bytes[damage->file->segment];
    if (damage->begin > offset || damage->begin + damage->size < used)
        return false;
    for (uint64_t at = offset; at < used; at++) {
        if (damage->bytes[at - damage->begin] != 0)
            return false;
    }
    return true;
}

/* What a reader of the log must make of damage in a segment that it reads. */
static enum outcome log_outcome(const struct log_damage *damage, enum outcome by_region)
{
    const struct specimen *specimen = damage->specimen;
    const uint32_t segment = damage->file->segment;
    uint32_t first = specimen->block_count;
    bool proof = segment < SPECIMEN_USED; /* the log goes on in the next one */
    for (uint32_t i = specimen->block_count; i > 0; i--) {
        const struct specimen_block *block = &specimen->blocks[i - 1];
        if (block->segment == segment &&
            range_differs(damage, block->offset, block->offset + block->bytes))
            first = i - 1;
    }
    if (first == specimen->block_count) {
        bool exactly = segment < SPECIMEN_USED; /* elsewhere in its tail nobody looks */
        return header_brought(damage, specimen->used_bytes[segment], exactly) ? OUTCOME_REFUSED
                                                                              : by_region;
    }
    for (uint32_t i = first + 1; i < specimen->block_count && !proof; i++) {
        const struct specimen_block *block = &specimen->blocks[i];
        proof = !range_differs(damage, block->offset, block->offset + BLOCK_HEADER_BYTES);
    }
    if (proof || (damage->size == ATLAS_PAGE_BYTES &&
                  header_brought(damage, specimen->blocks[first].offset, false)))
        return OUTCOME_REFUSED;
    if (first <= specimen->records_last)
        return OUTCOME_TORN;
    return zero_from(damage, specimen->blocks[first].offset) ? OUTCOME_HARMLESS : OUTCOME_CUT;
}

/* The last outcome of all regions that a change of bytes touches. OUTCOME_NONE: it changes
 * nothing. */
static enum outcome change_outcome(const struct atlas *atlas, const struct change *change,
                                   enum stand_mode mode, enum region *out_region)
{
    enum { GRAIN = 8 }; /* no region is finer */
    struct log_damage damage = {.specimen = &atlas->specimen,
                                .file = &atlas->specimen.files[change->file],
                                .begin = change->offset};
    enum outcome outcome = OUTCOME_NONE;
    damage.size = change_bytes(&atlas->specimen, change, damage.bytes);
    for (uint64_t at = change->offset / GRAIN * GRAIN; at < change->offset + damage.size;
         at += GRAIN) {
        if (!range_differs(&damage, at, at + GRAIN))
            continue;
        enum region region = region_at(&atlas->specimen, change->file, at);
        enum outcome one = region_outcome(region, damage.file->segment, mode);
        cr_assert_neq(one, OUTCOME_NONE, "no row for %s, segment %u", region_name(region),
                      damage.file->segment);
        if (outcome == OUTCOME_NONE)
            *out_region = region;
        outcome = one > outcome ? one : outcome;
    }
    bool is_read = mode == STAND_LOG || damage.file->segment >= SPECIMEN_NEWER;
    if (outcome != OUTCOME_NONE && damage.file->kind == SPECIMEN_LOG && is_read)
        outcome = log_outcome(&damage, outcome);
    return outcome;
}

/* ---- What came of it --------------------------------------------------------------------- */

/* Of a start that succeeded, with all answers the truth. */
static enum outcome served_outcome(struct atlas *atlas, const struct change *change,
                                   enum stand_mode mode)
{
    const struct stand *stand = &atlas->stand;
    uint32_t used = stand->shard.follower->snapshot_segment;
    bool sidecar = change != NULL && atlas->specimen.files[change->file].kind == SPECIMEN_SIDECAR;
    if (mode == STAND_SNAPSHOTS && used != SPECIMEN_NEWER)
        return used == SPECIMEN_OLDER ? OUTCOME_OLDER : OUTCOME_LOG;
    if (strstr(stand_said(&atlas->stand), "; cut\n") != NULL)
        return OUTCOME_CUT;
    if (sidecar && stand_file_sound(stand, change->file))
        return OUTCOME_REBUILT;
    return OUTCOME_HARMLESS;
}

static enum outcome answers_outcome(struct atlas *atlas, const struct change *change,
                                    enum stand_mode mode, struct error *why)
{
    if (!answers_collect(&atlas->answers, &atlas->stand)) {
        (void)error_set(why, 0, "the follower does not answer");
        return OUTCOME_WRONG;
    }
    struct answers_difference difference = answers_compare(&atlas->truth, &atlas->answers);
    if (difference.wrong == 0)
        return difference.refused > 0 ? OUTCOME_ANSWERS : served_outcome(atlas, change, mode);
    struct answers_difference torn = answers_compare(&atlas->torn, &atlas->answers);
    if (torn.wrong == 0 && torn.refused == 0)
        return OUTCOME_TORN;
    (void)error_set(why, 0, "%u answers are wrong, %u refused; the first wrong one: %s %" PRIu64,
                    difference.wrong, difference.refused,
                    difference.first != NULL ? difference.first->question : "one too few",
                    difference.first != NULL ? difference.first->subject : 0);
    return OUTCOME_WRONG;
}

/* What only queries needed, and they found damaged, was put out of the way: the next start has made
 * it again. */
static bool next_start_mends(struct atlas *atlas, const struct change *change, struct error *why)
{
    struct stand *stand = &atlas->stand;
    stand_stop(stand);
    bool started = stand_start(stand) == 0;
    enum outcome outcome = OUTCOME_WRONG;
    if (started)
        outcome = answers_outcome(atlas, change, STAND_SNAPSHOTS, why);
    if (outcome < OUTCOME_ANSWERS && stand_file_sound(stand, change->file))
        return true;
    (void)error_set(why, 0, "the next start has not mended it: %s", outcome_name(outcome));
    return false;
}

/* Whatever is noticed of a changed file is said, with its name; of a log with the name of the segment
 * where it ends, which may be the one before. A log that ends early in nothing but zeros is a sound
 * log: there is nothing to notice. */
static bool is_said(struct atlas *atlas, const struct change *change, enum outcome outcome,
                    struct error *why)
{
    const struct specimen_file *file = &atlas->specimen.files[change->file];
    const char *name = file->kind == SPECIMEN_LOG ? ".log: " : file->name;
    bool silent =
        outcome == OUTCOME_HARMLESS || outcome == OUTCOME_TORN || outcome == OUTCOME_WRONG;
    if (silent || strstr(stand_said(&atlas->stand), name) != NULL ||
        strstr(atlas->stand.error.text, name) != NULL)
        return true;
    (void)error_set(why, 0, "it ended with \"%s\", and nobody said a word of the file",
                    outcome_name(outcome));
    return false;
}

/* A refused start has changed neither the log nor the identity. */
static bool refusal_is_clean(struct atlas *atlas, const struct change *change, enum stand_mode mode,
                             struct error *why)
{
    const struct specimen *specimen = &atlas->specimen;
    change_undo(atlas, change);
    uint64_t restored = stand_restore(&atlas->stand, mode);
    for (uint32_t i = 0; i < specimen->file_count; i++) {
        bool kept =
            specimen->files[i].kind == SPECIMEN_LOG || specimen->files[i].kind == SPECIMEN_META;
        if (!kept || (restored & 1ull << i) == 0)
            continue;
        (void)error_set(why, 0, "the start was refused, and has changed %s",
                        specimen->files[i].name);
        return false;
    }
    return true;
}

/* Starts what is in the folder, asks everything, and stops. */
static enum outcome folder_outcome(struct atlas *atlas, const struct change *change,
                                   enum stand_mode mode, struct error *why)
{
    struct stand *stand = &atlas->stand;
    enum outcome outcome = OUTCOME_REFUSED;
    why->text[0] = 0;
    (void)alarm(CASE_SECONDS_MAX);
    if (stand_start(stand) == 0)
        outcome = answers_outcome(atlas, change, mode, why);
    bool mendable = outcome == OUTCOME_ANSWERS && change != NULL && change->kind == CHANGE_ZERO &&
                    change->argument == ATLAS_PAGE_BYTES &&
                    atlas->specimen.files[change->file].kind == SPECIMEN_SIDECAR;
    if (mendable && !next_start_mends(atlas, change, why))
        outcome = OUTCOME_WRONG;
    stand_stop(stand);
    bool of_bytes = change != NULL && change->kind <= CHANGE_MISDIRECT;
    if (of_bytes && !is_said(atlas, change, outcome, why))
        outcome = OUTCOME_WRONG;
    if (of_bytes && outcome == OUTCOME_REFUSED && !refusal_is_clean(atlas, change, mode, why))
        outcome = OUTCOME_WRONG;
    (void)alarm(0);
    return outcome;
}

/* ---- Cases ------------------------------------------------------------------------------- */

uint64_t atlas_random(const struct atlas *atlas, uint64_t a, uint64_t b)
{
    struct rng rng = {atlas->seed ^ a * 0x9e3779b97f4a7c15ull ^ b * 0xc2b2ae3d27d4eb4full};
    (void)rng_next(&rng);
    return rng_next(&rng);
}

bool atlas_enter(struct atlas *atlas, const char *name)
{
    if (atlas->only != NULL && strcmp(atlas->only, name) != 0)
        return false;
    (void)snprintf(atlas->current, sizeof atlas->current, "%s", name);
    return true;
}

void atlas_note(struct atlas *atlas, enum region region, uint32_t segment, enum outcome expected,
                enum outcome outcome, const char *why)
{
    atlas->cases++;
    atlas->counts[region][segment][outcome]++;
    if (outcome == expected)
        return;
    if (++atlas->failures > FAILURES_PRINTED)
        return;
    fprintf(stderr,
            "case %s (%s): %s instead of %s\n%s\n"
            "again: GIRO_TEST_SEED=%" PRIu64 " GIRO_ATLAS=full GIRO_ATLAS_CASE='%s'\n",
            atlas->current, region_name(region), outcome_name(outcome), outcome_name(expected), why,
            atlas->seed, atlas->current);
}

/* Every region of every segment, every kind of change and both starts have a case in the sample, and
 * so has whatever loses the end of the log. */
static bool is_sampled(struct atlas *atlas, const struct change *change, enum stand_mode mode,
                       enum region region, enum outcome expected)
{
    uint32_t segment = atlas->specimen.files[change->file].segment;
    uint32_t before = atlas->sampled[region][segment][change->kind][mode]++;
    uint64_t random = atlas_random(atlas, change->file * CHANGE_KINDS + change->kind,
                                   change->offset * STAND_MODES + mode);
    return atlas->full || before == 0 || expected == OUTCOME_TORN || random % atlas->stride == 0;
}

static void case_run(struct atlas *atlas, const struct change *change, enum stand_mode mode,
                     enum region region, enum outcome expected)
{
    struct error why;
    (void)stand_restore(&atlas->stand, mode);
    change_apply(atlas, change);
    enum outcome outcome = folder_outcome(atlas, change, mode, &why);
    char text[sizeof why.text + sizeof atlas->stand.error.text + STAND_SAID_BYTES];
    text[0] = 0;
    if (outcome != expected)
        (void)snprintf(text, sizeof text, "%s\n%s\n%s", why.text, atlas->stand.error.text,
                       stand_said(&atlas->stand));
    atlas_note(atlas, region, atlas->specimen.files[change->file].segment, expected, outcome, text);
}

void atlas_case(struct atlas *atlas, const struct change *change, enum stand_mode mode)
{
    char name[ATLAS_CASE_BYTES];
    enum region region = REGION_COUNT;
    enum outcome expected = change_outcome(atlas, change, mode, &region);
    if (expected == OUTCOME_NONE) {
        atlas->unchanged++;
        return;
    }
    change_name(atlas, change, mode, name);
    if (is_sampled(atlas, change, mode, region, expected) && atlas_enter(atlas, name))
        case_run(atlas, change, mode, region, expected);
}

void atlas_case_expect(struct atlas *atlas, const struct change *change, enum stand_mode mode,
                       enum outcome expected)
{
    char name[ATLAS_CASE_BYTES];
    change_name(atlas, change, mode, name);
    if (atlas_enter(atlas, name))
        case_run(atlas, change, mode, region_at(&atlas->specimen, change->file, change->offset),
                 expected);
}

void atlas_pair_expect(struct atlas *atlas, const struct change *first, const struct change *second,
                       enum stand_mode mode, enum outcome expected)
{
    char name[2 * ATLAS_CASE_BYTES];
    change_name(atlas, first, mode, name);
    size_t length = strlen(name);
    name[length++] = '+';
    change_name(atlas, second, mode, name + length);
    if (!atlas_enter(atlas, name))
        return;
    struct error why;
    (void)stand_restore(&atlas->stand, mode);
    change_apply(atlas, first);
    change_apply(atlas, second);
    enum outcome outcome = folder_outcome(atlas, NULL, mode, &why);
    atlas_note(atlas, region_at(&atlas->specimen, first->file, first->offset),
               atlas->specimen.files[first->file].segment, expected, outcome, why.text);
}

void atlas_stranger_expect(struct atlas *atlas, const char *name, const void *contents, size_t size,
                           enum stand_mode mode, enum outcome expected)
{
    char path[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
    char case_name[ATLAS_CASE_BYTES];
    struct error why;
    (void)snprintf(case_name, sizeof case_name, "%s:stranger:%zu:%s", name, size, mode_names[mode]);
    if (!atlas_enter(atlas, case_name))
        return;
    (void)stand_restore(&atlas->stand, mode);
    stand_file_path(&atlas->stand, name, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, contents, size) == (ssize_t)size, "%s", path);
    close(fd);
    enum outcome outcome = folder_outcome(atlas, NULL, mode, &why);
    atlas_note(atlas, REGION_LOCK, 0, expected, outcome, stand_said(&atlas->stand));
}

/* ---- The whole --------------------------------------------------------------------------- */

/* What is answered when the log ends before the last block of records. */
static void torn_learn(struct atlas *atlas)
{
    const struct specimen *specimen = &atlas->specimen;
    const struct specimen_block *last = &specimen->blocks[specimen->records_last];
    const uint32_t file = specimen_file(specimen, SPECIMEN_LOG, SPECIMEN_USED);
    static const uint8_t zeros[ATLAS_PAGE_BYTES * 8];
    uint32_t size = specimen->used_bytes[SPECIMEN_USED] - last->offset;
    cr_assert(size <= sizeof zeros && last->bytes > ATLAS_PAGE_BYTES);
    stand_write(&atlas->stand, file, last->offset, zeros, size);
    cr_assert_eq(stand_start(&atlas->stand), 0);
    bool answered = answers_collect(&atlas->torn, &atlas->stand);
    stand_stop(&atlas->stand);
    struct answers_difference difference = answers_compare(&atlas->truth, &atlas->torn);
    cr_assert(answered && difference.wrong > 0 && difference.refused == 0);
}

/* Equal seeds make equal specimens: or no case could be run again. */
static void specimen_print(const struct specimen *specimen)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < specimen->file_count; i++)
        sum = sum * 31 + checksum_of(specimen->files[i].bytes, specimen->files[i].size).low;
    fprintf(stderr, "specimen %016" PRIx64 "\n", sum);
}

static void truth_learn(struct atlas *atlas)
{
    answers_init(&atlas->truth);
    answers_init(&atlas->torn);
    answers_init(&atlas->answers);
    for (enum stand_mode mode = 0; mode < STAND_MODES; mode++) {
        (void)stand_restore(&atlas->stand, mode);
        int result = stand_start(&atlas->stand);
        bool answered = result == 0 && answers_collect(&atlas->truth, &atlas->stand);
        bool newest = answered && atlas->stand.shard.follower->snapshot_segment ==
                                      (mode == STAND_SNAPSHOTS ? (uint32_t)SPECIMEN_NEWER : 0u);
        stand_stop(&atlas->stand);
        cr_assert(newest, "%s\n%s", atlas->stand.error.text, stand_said(&atlas->stand));
        answers_check(&atlas->truth, &atlas->specimen);
    }
    (void)stand_restore(&atlas->stand, STAND_SNAPSHOTS);
    torn_learn(atlas);
}

void atlas_open(struct atlas *atlas)
{
    const char *size = getenv("GIRO_ATLAS");
    struct rng rng = rng_make(SEED_DEFAULT);
    *atlas = (struct atlas){.seed = rng.state,
                            .full = size != NULL && strcmp(size, "full") == 0,
                            .stride = STRIDE * STRIDE_FACTOR,
                            .only = getenv("GIRO_ATLAS_CASE")};
    specimen_make(&atlas->specimen, &rng);
    specimen_print(&atlas->specimen);
    stand_open(&atlas->stand, &atlas->specimen);
    truth_learn(atlas);
    crashes_watch(atlas);
}

static void counts_print(const struct atlas *atlas)
{
    static const char *const files[] = {"giro.meta", "lock", "manifest", ".log", ".idx", ".mdb"};
    for (enum region region = 0; region < REGION_COUNT; region++) {
        enum specimen_kind kind = region <= REGION_META_CHECKSUM       ? SPECIMEN_META
                                  : region <= REGION_MANIFEST_CHECKSUM ? SPECIMEN_MANIFEST
                                  : region == REGION_LOCK              ? SPECIMEN_LOCK
                                  : region <= REGION_LOG_TAIL          ? SPECIMEN_LOG
                                  : region < REGION_SNAPSHOT_FREE      ? SPECIMEN_SIDECAR
                                                                       : SPECIMEN_SNAPSHOT;
        for (uint32_t segment = 0; segment < SPECIMEN_SEGMENTS; segment++) {
            bool any = false;
            for (enum outcome outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
                uint64_t count = atlas->counts[region][segment][outcome];
                if (count == 0)
                    continue;
                if (!any)
                    fprintf(stderr, "| %s | %u | %s |", files[kind], segment, region_name(region));
                fprintf(stderr, "%s %s: %" PRIu64, any ? "," : "", outcome_name(outcome), count);
                any = true;
            }
            if (any)
                fprintf(stderr, " |\n");
        }
    }
}

void atlas_close(struct atlas *atlas)
{
    counts_print(atlas);
    fprintf(stderr, "%" PRIu64 " cases, %" PRIu64 " starts, %" PRIu64 " changes of nothing\n",
            atlas->cases, atlas->stand.starts, atlas->unchanged);
    uint32_t failures = atlas->failures;
    stand_close(&atlas->stand);
    answers_free(&atlas->truth);
    answers_free(&atlas->torn);
    answers_free(&atlas->answers);
    specimen_free(&atlas->specimen);
    cr_assert(atlas->cases > 0 || atlas->only != NULL, "no case was run");
    cr_assert_eq(failures, 0, "%u cases ended otherwise than the table says", failures);
}
