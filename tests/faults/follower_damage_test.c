/* Snapshots, manifests and indexes that are damaged, missing, or somebody else's: the start says
 * what it found and does without, queries refuse what they cannot prove, and nothing is ever wrong.
 *
 *   GIRO_DAMAGE_FLIPS   bytes flipped in each snapshot, at random (default: 3) */
#include "tests/faults/stage.h"

#include "wal/manifest.h"
#include "wal/sidecar.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(follower_damage, .fini = harness_clean, .timeout = 600);

static const char *const arguments[] = {STAGE_ARGUMENTS, "--snapshot-log-bytes", "1g", NULL};

/* A ledger that was stopped hard: two snapshots, sealed segments before, between and behind them,
 * and a copy of it that is damaged again and again. */
struct sample_ledger {
    struct stage stage;
    char pristine[PATH_BYTES];
    uint32_t older;
    uint32_t newer;
};

static void ledger_run(struct stage *stage, uint32_t answers)
{
    world_connect(&stage->world, stage->server.port);
    cr_assert(world_run(&stage->world, answers));
    world_finish(&stage->world);
    world_disconnect(&stage->world);
}

static void ledger_make(struct sample_ledger *ledger, uint64_t seed)
{
    struct stage *stage = &ledger->stage;
    stage_begin(stage, arguments, seed);
    stage->setup.kill_at = NULL;
    server_start(&stage->server, &stage->setup);
    ledger_run(stage, 200);
    ledger->older = stage_snapshot(stage);
    ledger_run(stage, 200);
    (void)stage_snapshot(stage); /* of three, the first one is dropped */
    ledger->older = stage_snapshot(stage);
    ledger_run(stage, 200);
    ledger->newer = stage_snapshot(stage);
    stage->world.events_per_request = 8000;
    const uint64_t sealed = stage_stats(stage).segments_sealed;
    while (stage_stats(stage).segments_sealed == sealed)
        ledger_run(stage, 20);
    stage_check_now(stage);
    server_kill(&stage->server);
    folder_make_in_memory(ledger->pristine);
    folder_copy(stage->data, ledger->pristine);
}

static void ledger_end(struct sample_ledger *ledger)
{
    folder_remove(ledger->pristine);
    stage_end(&ledger->stage);
}

/* The ledger as it was. */
static void ledger_reset(struct sample_ledger *ledger)
{
    folder_remove(ledger->stage.data);
    folder_make_in_memory(ledger->stage.data);
    folder_copy(ledger->pristine, ledger->stage.data);
}

static void shard_file(const struct stage *stage, const char *name, char path[PATH_BYTES])
{
    int length = snprintf(path, PATH_BYTES, "%s/shard-0/%s", stage->data, name);
    cr_assert(length < PATH_BYTES);
}

static void snapshot_path(const struct stage *stage, uint32_t segment, char path[PATH_BYTES])
{
    char name[SNAPSHOT_NAME_BYTES];
    snapshot_name(segment, name);
    shard_file(stage, name, path);
}

static uint64_t size_of(const char *path)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0, "%s", path);
    return (uint64_t)status.st_size;
}

static void byte_flip(const char *path, uint64_t offset)
{
    uint8_t byte;
    file_read(path, offset, &byte, 1);
    byte ^= 0x40;
    file_write(path, offset, &byte, 1);
}

static void file_clone(const char *from, const char *to)
{
    static char bytes[16 << 20];
    uint64_t size = size_of(from);
    cr_assert(size <= sizeof bytes);
    file_read(from, 0, bytes, size);
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

/* Starts on a damaged ledger. Which snapshot must be used, 0: none; words: what must be said. */
static void start_expect(struct stage *stage, uint32_t snapshot, const char *words,
                         const char *what)
{
    char loaded[64];
    int status;
    server_launch(&stage->server, &stage->setup);
    cr_assert(server_await(&stage->server, &status), "%s: it ended with %d:\n%s", what, status,
              stage->server.text);
    (void)server_text(&stage->server);
    (void)snprintf(loaded, sizeof loaded, "giro: snapshot of segment %u: ", snapshot);
    const char *used = strstr(stage->server.text, "giro: snapshot of segment ");
    cr_assert(snapshot == 0 ? used == NULL
                            : used != NULL && strstr(stage->server.text, loaded) == used,
              "%s: snapshot %u should be used:\n%s", what, snapshot, stage->server.text);
    cr_assert(words == NULL || strstr(stage->server.text, words) != NULL, "%s: \"%s\" missing:\n%s",
              what, words, stage->server.text);
    stage_check_now(stage);
}

/* A new snapshot, a hard stop, and it is used. */
static void next_snapshot_expect(struct stage *stage, const char *what)
{
    uint32_t segment = stage_snapshot(stage);
    stage_check_orphans(stage, what);
    server_kill(&stage->server);
    start_expect(stage, segment, NULL, what);
    server_kill(&stage->server);
}

/* ---- Snapshots --------------------------------------------------------------------------- */

enum damage { FLIPPED, CUT, EXTENDED, EMPTY, MISSING, DAMAGES };

static const char *const damage_names[] = {"flipped", "cut", "extended", "empty", "missing"};

static void file_damage(const char *path, enum damage damage, struct rng *rng)
{
    static const char more[5000];
    uint64_t size = size_of(path);
    switch (damage) {
    case FLIPPED:
        byte_flip(path, rng_below(rng, (uint32_t)size));
        break;
    case CUT:
        cr_assert_eq(truncate(path, (off_t)(1 + rng_below(rng, (uint32_t)size - 1))), 0);
        break;
    case EXTENDED:
        file_write(path, size, more, 1 + rng_below(rng, sizeof more));
        break;
    case EMPTY:
        cr_assert_eq(truncate(path, 0), 0);
        break;
    default:
        cr_assert_eq(unlink(path), 0);
        break;
    }
}

Test(follower_damage, a_damaged_snapshot_is_passed_over)
{
    static struct sample_ledger ledger;
    struct stage *stage = &ledger.stage;
    char path[PATH_BYTES];
    const uint32_t flips = environment_number("GIRO_DAMAGE_FLIPS", 3);
    ledger_make(&ledger, 0xda3);
    for (uint32_t i = 0; i < DAMAGES - 1 + flips; i++) {
        enum damage damage = i < DAMAGES ? (enum damage)i : FLIPPED;
        ledger_reset(&ledger);
        snapshot_path(stage, ledger.newer, path);
        file_damage(path, damage, &stage->world.rng);
        start_expect(stage, ledger.older, damage == MISSING ? "missing" : "damaged",
                     damage_names[damage]);
        if (i < DAMAGES)
            next_snapshot_expect(stage, damage_names[damage]);
        else
            server_kill(&stage->server);
        ledger_reset(&ledger);
        snapshot_path(stage, ledger.newer, path);
        file_damage(path, damage, &stage->world.rng);
        snapshot_path(stage, ledger.older, path);
        file_damage(path, damage, &stage->world.rng);
        start_expect(stage, 0, "no snapshot is used; the whole log is read", "both");
        server_kill(&stage->server);
    }
    ledger_end(&ledger);
}

/* The older snapshot was good when the newer one was not: it must not be the one that goes. */
Test(follower_damage, a_damaged_snapshot_does_not_displace_a_good_one)
{
    static struct sample_ledger ledger;
    struct stage *stage = &ledger.stage;
    char path[PATH_BYTES];
    ledger_make(&ledger, 0xda4);
    ledger_reset(&ledger);
    snapshot_path(stage, ledger.newer, path);
    byte_flip(path, size_of(path) / 2);
    start_expect(stage, ledger.older, "the snapshot before it is tried", "the newest one damaged");
    uint32_t newest = stage_snapshot(stage);
    server_kill(&stage->server);
    snapshot_path(stage, newest, path);
    byte_flip(path, size_of(path) / 2);
    start_expect(stage, ledger.older, NULL, "the next one damaged as well");
    server_kill(&stage->server);
    ledger_end(&ledger);
}

Test(follower_damage, a_snapshot_of_another_ledger_is_passed_over)
{
    static struct sample_ledger ledger;
    static struct sample_ledger other;
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    ledger_make(&ledger, 0xda5);
    ledger_make(&other, 0xda6);
    cr_assert_eq(ledger.newer, other.newer);
    ledger_reset(&ledger);
    snapshot_path(&other.stage, other.newer, from);
    snapshot_path(&ledger.stage, ledger.newer, to);
    file_clone(from, to);
    start_expect(&ledger.stage, ledger.older, "damaged", "another ledger's snapshot");
    next_snapshot_expect(&ledger.stage, "another ledger's snapshot");

    ledger_reset(&ledger);
    snapshot_path(&ledger.stage, ledger.newer, to);
    file_clone(from, to);
    shard_file(&other.stage, "manifest", from);
    shard_file(&ledger.stage, "manifest", to);
    file_clone(from, to);
    start_expect(&ledger.stage, 0, "manifest: ", "another ledger's snapshot and manifest");
    next_snapshot_expect(&ledger.stage, "another ledger's snapshot and manifest");
    ledger_end(&other);
    ledger_end(&ledger);
}

/* ---- The manifest ------------------------------------------------------------------------ */

/* Writes a manifest with its right checksum. */
static void manifest_change(const struct stage *stage, void (*change)(struct manifest *))
{
    struct manifest manifest;
    char path[PATH_BYTES];
    shard_file(stage, "manifest", path);
    file_read(path, 0, &manifest, sizeof manifest);
    change(&manifest);
    manifest.checksum = checksum_of(&manifest, offsetof(struct manifest, checksum));
    file_write(path, 0, &manifest, sizeof manifest);
}

static void make_newer(struct manifest *manifest)
{
    manifest->version = MANIFEST_VERSION + 1;
}

static void make_future(struct manifest *manifest)
{
    manifest->entries[0].segment = 70000;
}

static void make_swapped(struct manifest *manifest)
{
    struct manifest_entry first = manifest->entries[0];
    manifest->entries[0].file = manifest->entries[1].file;
    manifest->entries[1].file = first.file;
}

static void make_countless(struct manifest *manifest)
{
    manifest->count = UINT32_MAX;
}

Test(follower_damage, a_damaged_manifest_leaves_the_log)
{
    static struct sample_ledger ledger;
    struct stage *stage = &ledger.stage;
    char path[PATH_BYTES];
    ledger_make(&ledger, 0xda7);
    for (enum damage damage = 0; damage < DAMAGES; damage++) {
        ledger_reset(&ledger);
        shard_file(stage, "manifest", path);
        file_damage(path, damage, &stage->world.rng);
        start_expect(stage, 0, damage == MISSING ? NULL : "manifest: ", damage_names[damage]);
        next_snapshot_expect(stage, damage_names[damage]);
    }
    static const struct {
        void (*change)(struct manifest *);
        const char *words;
        const char *what;
    } changes[] = {
        {make_newer, "manifest: ", "version 2"},
        {make_countless, "manifest: ", "countless entries"},
        {make_future, "missing", "a segment that is not there yet"},
        {make_swapped, "damaged", "checksums swapped"},
    };
    for (uint32_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        ledger_reset(&ledger);
        manifest_change(stage, changes[i].change);
        start_expect(stage, changes[i].change == make_future ? ledger.older : 0, changes[i].words,
                     changes[i].what);
        next_snapshot_expect(stage, changes[i].what);
    }
    ledger_end(&ledger);
}

/* ---- Indexes ----------------------------------------------------------------------------- */

static void sidecar_path(const struct stage *stage, uint32_t segment, char path[PATH_BYTES])
{
    char name[SIDECAR_NAME_BYTES];
    sidecar_name(segment, name);
    shard_file(stage, name, path);
}

/* Flips a byte of the first page of a section. Returns false when the section is empty. */
static bool section_damage(const struct stage *stage, uint32_t segment,
                           enum sidecar_section section)
{
    struct sidecar_header header;
    char path[PATH_BYTES];
    sidecar_path(stage, segment, path);
    file_read(path, 0, &header, sizeof header);
    const struct sidecar_extent *extent = &header.sections[section];
    if (extent->items == 0)
        return false;
    byte_flip(path, (uint64_t)extent->page_first * SIDECAR_PAGE_BYTES + 12);
    return true;
}

/* Before the older snapshot: the log alone. Between the two: the older. Behind both: the newer, and
 * it is made again. */
static void sidecar_expect(struct sample_ledger *ledger, uint32_t segment, const char *what)
{
    uint32_t snapshot = segment < ledger->older   ? 0
                        : segment < ledger->newer ? ledger->older
                                                  : ledger->newer;
    start_expect(&ledger->stage, snapshot, ".idx: ", what);
    server_kill(&ledger->stage.server);
    start_expect(&ledger->stage, ledger->newer, NULL, "the start after that");
    cr_assert(strstr(ledger->stage.server.text, ".idx: ") == NULL, "%s", ledger->stage.server.text);
    server_kill(&ledger->stage.server);
}

Test(follower_damage, a_damaged_index_is_made_again)
{
    static struct sample_ledger ledger;
    struct stage *stage = &ledger.stage;
    char path[PATH_BYTES];
    char other[PATH_BYTES];
    ledger_make(&ledger, 0xda8);
    const uint32_t segments[] = {0, ledger.older, ledger.newer};
    for (uint32_t s = 0; s < 3; s++) {
        for (enum damage damage = 0; damage < DAMAGES; damage++) {
            ledger_reset(&ledger);
            sidecar_path(stage, segments[s], path);
            if (damage == FLIPPED)
                byte_flip(path, rng_below(&stage->world.rng, sizeof(struct sidecar_header)));
            else
                file_damage(path, damage, &stage->world.rng);
            if (damage == MISSING && segments[s] == ledger.newer) {
                start_expect(stage, ledger.newer, NULL, "a missing index");
                server_kill(&stage->server);
            } else {
                sidecar_expect(&ledger, segments[s], damage_names[damage]);
            }
        }
        ledger_reset(&ledger);
        sidecar_path(stage, segments[(s + 1) % 3], other);
        sidecar_path(stage, segments[s], path);
        file_clone(other, path);
        sidecar_expect(&ledger, segments[s], "another segment's");
    }
    ledger_end(&ledger);
}

/* Whichever section it is: what a query was refused once, the next start has mended. */
Test(follower_damage, a_damaged_section_is_made_again_by_a_start)
{
    static struct sample_ledger ledger;
    struct stage *stage = &ledger.stage;
    ledger_make(&ledger, 0xda9);
    for (enum sidecar_section section = 0; section < SECTION_COUNT; section++) {
        char what[64];
        ledger_reset(&ledger);
        (void)snprintf(what, sizeof what, "section %d of %u and %u", section, ledger.older,
                       ledger.newer);
        if (!section_damage(stage, ledger.older, section) ||
            !section_damage(stage, ledger.newer, section))
            continue;
        server_start(&stage->server, &stage->setup);
        world_check(&stage->world, stage->server.port);
        history_await_follower(stage->server.port);
        const struct rng same = stage->world.rng;
        uint32_t damaged =
            history_check_damaged(&stage->world, stage->server.port, FRAME_INDEX_DAMAGED);
        stage->world.rng = same;
        server_kill(&stage->server);
        server_start(&stage->server, &stage->setup);
        uint32_t again =
            history_check_damaged(&stage->world, stage->server.port, FRAME_INDEX_DAMAGED);
        cr_expect(again == 0, "%s: %u queries are refused after the start, and %u after another",
                  what, damaged, again);
        server_kill(&stage->server);
    }
    ledger_end(&ledger);
}

/* Reads the changes from the first one on. Returns whether they were refused before their end. */
static bool changes_refused(const struct stage *stage, enum frame_status status)
{
    struct giro_change_filter filter = {.limit = FRAME_CHANGES_MAX};
    struct frame_changes head = {0};
    struct client client;
    struct reply reply;
    bool refused;
    client_connect(&client, stage->server.port);
    do {
        uint64_t id = client_request(&client, FRAME_READ_CHANGES, &filter, sizeof filter);
        client_expect(&client, id, &reply);
        refused = reply.header.status == status;
        cr_assert(refused || reply.header.status == FRAME_OK, "changes: %s",
                  frame_status_name(reply.header.status));
        if (!refused)
            memcpy(&head, reply.body, sizeof head);
        filter.ordinal = head.ordinal_next;
    } while (!refused && head.ordinal_next < head.ordinal_end);
    client_close(&client);
    return refused;
}

/* Damage that comes while the server runs. */
static void running_try(struct sample_ledger *ledger, enum sidecar_section section)
{
    struct stage *stage = &ledger->stage;
    ledger_reset(ledger);
    server_start(&stage->server, &stage->setup);
    for (uint32_t segment = 0; segment <= ledger->newer; segment++)
        (void)section_damage(stage, segment, section);
    uint32_t damaged =
        history_check_damaged(&stage->world, stage->server.port, FRAME_INDEX_DAMAGED);
    /* Not what a query reads, or kept in memory. Of user data, only a few were asked for. */
    bool kept = section == SECTION_IDS || section == SECTION_CHUNKS || section == SECTION_BASE ||
                section == SECTION_RELEASED || section >= SECTION_ACCOUNTS_FENCES;
    cr_assert(section == SECTION_USER_DATA || kept == (damaged == 0), "section %d: %u refused",
              section, damaged);
    bool told = section == SECTION_BASE || section == SECTION_RELEASED;
    cr_assert(!told || changes_refused(stage, FRAME_INDEX_DAMAGED), "section %d: changes", section);
    cr_assert(damaged == 0 || strstr(server_text(&stage->server), ".idx: page ") != NULL, "%s",
              stage->server.text);
    ledger_run(stage, 20);
    world_check(&stage->world, stage->server.port);
    server_kill(&stage->server);
    server_start(&stage->server, &stage->setup);
    /* Found by somebody: made again. Of user data only a few were asked for, and a question ends at
     * the first index that is found damaged: others may be there to be found yet. */
    if (section == SECTION_USER_DATA)
        (void)history_check_damaged(&stage->world, stage->server.port, FRAME_INDEX_DAMAGED);
    else
        stage_check_now(stage);
    (void)stage_snapshot(stage);
    server_kill(&stage->server);
}

Test(follower_damage, an_index_damaged_while_it_is_used_refuses_what_needs_it)
{
    static struct sample_ledger ledger;
    struct stage *stage = &ledger.stage;
    ledger_make(&ledger, 0xdaa);
    const struct world before = stage->world;
    for (enum sidecar_section section = 0; section < SECTION_COUNT; section++) {
        struct rng rng = stage->world.rng;
        running_try(&ledger, section);
        /* What was written to the copy is gone with it. */
        for (uint32_t i = before.request_count; i < stage->world.request_count; i++)
            stage->world.requests[i].state = REQUEST_REFUSED;
        for (uint32_t i = before.transfer_count; i < stage->world.transfer_count; i++)
            stage->world.known[i] = (struct world_transfer){.code = stage->world.known[i].code};
        stage->world.rng = rng;
        memcpy(stage->world.clients, before.clients, sizeof before.clients);
    }
    ledger_end(&ledger);
}

/* Flips a byte in the middle of what a sealed segment holds: the fullest one. */
static void record_damage(const struct sample_ledger *ledger)
{
    struct sidecar_header header;
    char path[PATH_BYTES];
    uint32_t fullest = 0;
    uint32_t used_bytes = 0;
    for (uint32_t segment = 0; segment < ledger->newer; segment++) {
        sidecar_path(&ledger->stage, segment, path);
        file_read(path, 0, &header, sizeof header);
        if (header.facts.used_bytes > used_bytes) {
            used_bytes = header.facts.used_bytes;
            fullest = segment;
        }
    }
    segment_path(ledger->stage.data, fullest, path);
    byte_flip(path, used_bytes / 2);
}

/* A record of a sealed segment rots: queries and lookups that need it say so, and only those. */
Test(follower_damage, a_record_damaged_while_it_is_used_refuses_what_needs_it)
{
    static struct sample_ledger ledger;
    struct stage *stage = &ledger.stage;
    ledger_make(&ledger, 0xdab);
    ledger_reset(&ledger);
    server_start(&stage->server, &stage->setup);
    record_damage(&ledger);
    uint32_t damaged =
        history_check_damaged(&stage->world, stage->server.port, FRAME_RECORD_DAMAGED);
    cr_assert(damaged > 0, "nothing was refused");
    cr_assert(strstr(server_text(&stage->server), ".log: page ") != NULL, "%s", stage->server.text);
    cr_assert(changes_refused(stage, FRAME_RECORD_DAMAGED), "the changes went over the damage");
    ledger_run(stage, 20);
    (void)stage_snapshot(stage);
    server_kill(&stage->server);
    ledger_end(&ledger);
}
