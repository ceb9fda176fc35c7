/* The corruption atlas through the program itself: what giro verify finds, and what becomes of a
 * damaged configuration.
 *
 * giro verify reads what no start reads: one change in every region of every segment, and its exit
 * status. 0: nothing that counts is damaged; 1: the log, or giro.meta, is; 2: something that is
 * derived from it.
 *
 * A configuration has no checksum: a changed byte is refused, or makes another configuration, with
 * which the ledger is what it was. That goes as far as the listener, whose address is one that cannot
 * be: whoever gets there has restored the ledger and said what it holds. */
#include "tests/atlas/atlas.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(atlas_program, .fini = scratch_clean, .timeout = 3600);

enum {
    TEXT_BYTES = 16 << 10,
    CONFIG_BYTES = 1024,
    CONFIG_STRIDE = 7, /* of bytes, unless everything is asked for */
    STATUS_SOUND = 0,
    STATUS_LOG = 1,
    STATUS_DERIVED = 2,
    STATUS_USAGE = 2,
};

static struct atlas atlas;
static char text[TEXT_BYTES]; /* what the program said last */

/* Runs the program with up to five arguments. Returns its exit status, or 128 and the signal. */
static int program_run(const char *const arguments[6])
{
    const char *program = getenv("GIRO");
    char *argv[8] = {0};
    int said = memfd_create("said", MFD_CLOEXEC);
    int status;
    argv[0] = (char *)(uintptr_t)(program != NULL ? program : GIRO_DEFAULT);
    for (int i = 0; i < 6 && arguments[i] != NULL; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    (void)alarm(180);
    pid_t pid = fork();
    cr_assert(said >= 0 && pid >= 0);
    if (pid == 0) {
        (void)dup2(said, STDOUT_FILENO);
        (void)dup2(said, STDERR_FILENO);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    (void)alarm(0);
    ssize_t got = pread(said, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = 0;
    close(said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- Verify ------------------------------------------------------------------------------ */

static int verify_run(void)
{
    const char *const arguments[6] = {"verify", "--data", atlas.stand.path};
    return program_run(arguments);
}

/* What verify must say of damage in a region. */
static int verify_status(enum region region, uint32_t segment)
{
    switch (region) {
    case REGION_LOCK:
    case REGION_LOG_MARK: /* torn is sound */
    case REGION_LOG_TAIL: /* no reader of the log looks there */
    case REGION_LOG_PAGE_END:
        return STATUS_SOUND;
    default:
        break;
    }
    if (region <= REGION_META_CHECKSUM ||
        (region >= REGION_LOG_HEADER && region <= REGION_LOG_TAIL))
        return STATUS_LOG;
    return STATUS_DERIVED;
}

/* In the words of the atlas. */
static enum outcome verify_outcome(int status)
{
    return status == STATUS_SOUND     ? OUTCOME_HARMLESS
           : status == STATUS_LOG     ? OUTCOME_REFUSED
           : status == STATUS_DERIVED ? OUTCOME_REBUILT
                                      : OUTCOME_WRONG;
}

/* A byte of the region that begins here is changed. */
static void verify_try(uint32_t file, uint64_t begin, uint64_t size, enum region region)
{
    const struct specimen_file *at = &atlas.specimen.files[file];
    uint64_t random = atlas_random(&atlas, file, begin);
    cr_assert(size > 0);
    const struct change change = {CHANGE_FLIP, file, begin + random % size,
                                  1 + (random >> 32) % 255};
    char name[ATLAS_CASE_BYTES];
    char why[TEXT_BYTES + 64];
    change_name(&atlas, &change, STAND_SNAPSHOTS, name);
    if (!atlas_enter(&atlas, name))
        return;
    (void)stand_restore(&atlas.stand, STAND_SNAPSHOTS);
    change_apply(&atlas, &change);
    int expected = verify_status(region, at->segment);
    int status = verify_run();
    (void)snprintf(why, sizeof why, "verify ends with %d instead of %d\n%s", status, expected,
                   text);
    uint64_t changed = stand_restore(&atlas.stand, STAND_SNAPSHOTS);
    bool kept = changed == 1ull << file; /* nothing but what was changed here */
    atlas_note(&atlas, region, at->segment, verify_outcome(expected),
               kept ? verify_outcome(status) : OUTCOME_WRONG, why);
}

/* One change in each run of bytes that belong to one region: every header, every field, and every
 * kind of page once; of regions that come again and again, in a sample. */
static void verify_file(uint32_t file)
{
    enum { GRAIN = 8, AGAIN = 3 };
    const struct specimen_file *at = &atlas.specimen.files[file];
    uint32_t tried[REGION_COUNT] = {0};
    for (uint64_t begin = 0; begin < at->size;) {
        enum region region = region_at(&atlas.specimen, file, begin);
        uint64_t end = begin;
        while (end < at->size && region_at(&atlas.specimen, file, end) == region)
            end += GRAIN;
        uint32_t limit = atlas.full ? AGAIN : 1;
        if (tried[region]++ < limit)
            verify_try(file, begin, end - begin, region);
        begin = end;
    }
}

Test(atlas_program, verify_finds_what_no_start_reads)
{
    atlas_open(&atlas);
    (void)stand_restore(&atlas.stand, STAND_SNAPSHOTS);
    cr_assert_eq(verify_run(), STATUS_SOUND, "%s", text);
    for (uint32_t i = 0; i < atlas.specimen.file_count; i++)
        verify_file(i);
    atlas_close(&atlas);
}

/* ---- Configuration ----------------------------------------------------------------------- */

static uint32_t config_make(char out[CONFIG_BYTES])
{
    int length = snprintf(out, CONFIG_BYTES,
                          "; a small ledger\n"
                          "data = %s\n"
                          "io = posix\n"
                          "accounts_max = %d\n"
                          "transfers_max = 128k\n"
                          "holds_max = %d\n"
                          "connections_max = 16\n"
                          "large_buffers = 4\n"
                          "window_bytes = 8m\n"
                          "block_bytes_max = 1m\n"
                          "segments_ahead = 1\n"
                          "idle_mark_ms = 5\n"
                          "follower = 1\n"
                          "snapshot_log_bytes = 1g\n"
                          "listen = nowhere\n",
                          atlas.stand.path, SPECIMEN_ACCOUNTS_MAX, SPECIMEN_HOLDS_MAX);
    cr_assert(length > 0 && length < CONFIG_BYTES);
    return (uint32_t)length;
}

/* What a start says that has restored the ledger. */
static bool truth_is_said(void)
{
    char words[128];
    const struct ledger *ledger = atlas.specimen.history.ledger;
    (void)snprintf(words, sizeof words, ": %u accounts, %" PRIu64 " transfers, %u open holds, ",
                   ledger->accounts.count, ledger->transfers_count, ledger->holds.count);
    return strstr(text, words) != NULL;
}

static enum outcome config_outcome(const char *path)
{
    const char *const arguments[6] = {"serve", "--config", path, "--listen", "nowhere"};
    int status = program_run(arguments);
    bool listens = strstr(text, "listen address \"nowhere\"") != NULL;
    if (status == STATUS_USAGE)
        return OUTCOME_REFUSED;
    if (status == 1 && listens)
        return truth_is_said() ? OUTCOME_HARMLESS : OUTCOME_WRONG;
    return status == 1 && strstr(text, "giro serve: ") != NULL ? OUTCOME_REFUSED : OUTCOME_WRONG;
}

static void config_write(const char *path, const char *config, uint32_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, config, size) == (ssize_t)size, "%s", path);
    close(fd);
}

Test(atlas_program, a_damaged_configuration_is_refused_or_another_one)
{
    char config[CONFIG_BYTES];
    char path[STAND_PATH_BYTES + 16];
    uint64_t ended[OUTCOME_COUNT] = {0};
    atlas_open(&atlas);
    uint32_t size = config_make(config);
    (void)snprintf(path, sizeof path, "%s.conf", atlas.stand.path);
    (void)stand_restore(&atlas.stand, STAND_SNAPSHOTS);
    config_write(path, config, size);
    cr_assert_eq(config_outcome(path), OUTCOME_HARMLESS, "%s", text);
    for (uint32_t at = 0; at < size; at++) {
        uint64_t random = atlas_random(&atlas, at, 77);
        char name[ATLAS_CASE_BYTES];
        uint8_t mask =
            (uint8_t)(random % 3 == 0 ? 1 + (random >> 8) % 255 : 1u << (random >> 8) % 8);
        (void)snprintf(name, sizeof name, "giro.conf:flip:%u:%u", at, mask);
        if ((!atlas.full && (at + atlas.seed) % CONFIG_STRIDE != 0) || !atlas_enter(&atlas, name))
            continue;
        (void)stand_restore(&atlas.stand, STAND_SNAPSHOTS);
        config[at] = (char)(config[at] ^ mask);
        config_write(path, config, size);
        enum outcome outcome = config_outcome(path);
        config[at] = (char)(config[at] ^ mask);
        ended[outcome]++;
        atlas.cases++;
        atlas.failures += outcome == OUTCOME_WRONG;
        if (outcome == OUTCOME_WRONG)
            fprintf(stderr,
                    "case %s: %s\nagain: GIRO_TEST_SEED=%" PRIu64 " GIRO_ATLAS=full "
                    "GIRO_ATLAS_CASE='%s'\n",
                    name, text, atlas.seed, name);
    }
    fprintf(stderr, "giro.conf, %u bytes: refused: %" PRIu64 ", harmless: %" PRIu64 "\n", size,
            ended[OUTCOME_REFUSED], ended[OUTCOME_HARMLESS]);
    (void)unlink(path);
    cr_assert(atlas.only != NULL || (ended[OUTCOME_REFUSED] > 0 && ended[OUTCOME_HARMLESS] > 0));
    atlas_close(&atlas);
}
