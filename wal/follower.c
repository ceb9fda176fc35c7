#include "wal/follower.h"

#include "engine/memory.h"
#include "engine/planted.h"
#include "wal/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    APPLY_NS = 1000 * 1000, /* of replay before others get their turn */
    NAP_NS = 1000 * 1000,
    NAP_FOR_NS = 50 * 1000 * 1000, /* after there was something to do */
    SLEEP_NS = 250 * 1000 * 1000,
    REQUESTS_NS = 1000 * 1000, /* at least, for all of them while there are blocks to follow */
    SEAL_RETRY_NS = 500 * 1000 * 1000,
    SNAPSHOT_RETRY_BYTES = 256 << 20,      /* of log, after one failed */
    SNAPSHOT_STEPS = SNAPSHOT_BATCHES / 2, /* in a row, a fraction of a millisecond each */
    VIEW_HELD_NS = 1000 * 1000 * 1000,     /* that a view being made is not taken away, */
    VIEW_KEPT_NS = 100 * 1000 * 1000,      /* and one that was made and is being read */
};

int follower_init(struct follower *follower, const struct directory *directory,
                  const struct follower_options *options, struct error *error)
{
    *follower = (struct follower){.directory = directory, .options = *options, .notify_fd = -1};
    follower->tail.fd = -1;
    (void)sem_init(&follower->wake, 0, 0);
    pthread_mutex_init(&follower->published_mutex, NULL);
    struct ledger_config config = {
        .accounts_max = options->accounts_max,
        .holds_max = options->holds_max,
        .payments_max = options->payments_max,
        .accounts_expected = options->accounts_expected,
        .hash_seed = options->hash_seed,
    };
    follower->reader = memory_reserve(sizeof *follower->reader);
    bool made = follower->reader != NULL && ledger_create(&config, &follower->ledger) == 0 &&
                live_init(&follower->live, directory, options->accounts_max) == 0 &&
                archive_init(&follower->archive, directory) == 0 &&
                snapshot_init(&follower->snapshot, directory, &options->snapshot) == 0;
    for (uint32_t i = 0; i < FOLLOWER_REQUESTS && made; i++) {
        follower->requests[i].number = i;
        follower->requests[i].output = memory_reserve_sparse(FOLLOWER_OUTPUT_BYTES);
        made = follower->requests[i].output != NULL;
        follower->free[follower->free_count++] = FOLLOWER_REQUESTS - 1 - i;
    }
    if (made) {
        follower->reader->archive = &follower->archive;
        return 0;
    }
    follower_free(follower);
    return error_set(error, -ENOMEM,
                     "cannot reserve address space for the follower: " MEMORY_RESERVE_ADVICE);
}

void follower_free(struct follower *follower)
{
    if (follower->directory == NULL)
        return;
    follower_stop(follower);
    tail_close(&follower->tail);
    snapshot_free(&follower->snapshot);
    for (uint32_t i = 0; i < FOLLOWER_VIEWS; i++)
        view_maker_free(&follower->views[i]);
    for (uint32_t i = 0; i < FOLLOWER_REQUESTS; i++)
        memory_release(follower->requests[i].output, FOLLOWER_OUTPUT_BYTES);
    archive_free(&follower->archive);
    live_free(&follower->live);
    ledger_destroy(follower->ledger);
    memory_release(follower->reader, sizeof *follower->reader);
    (void)sem_destroy(&follower->wake);
    pthread_mutex_destroy(&follower->published_mutex);
    *follower = (struct follower){0};
}

/* ---- At start ---------------------------------------------------------------------------- */

/* Whether the last block of a segment is on disk the one that its sidecar and the snapshot name. */
static int segment_head_check(const struct directory *directory, const struct segment_facts *facts,
                              struct error *error)
{
    _Alignas(4096) static char sector[4096];
    int fd = segment_open(directory, facts->segment, O_RDONLY, error);
    if (fd < 0)
        return fd;
    off_t offset = facts->last_offset / (off_t)sizeof sector * (off_t)sizeof sector;
    ssize_t got = pread(fd, sector, sizeof sector, offset);
    close(fd);
    const struct block_header *header =
        (const struct block_header *)(const void *)(sector + facts->last_offset % sizeof sector);
    struct block_place place =
        block_place_of(directory->meta.directory_id, facts->segment, facts->last_offset);
    if (got == sizeof sector &&
        block_check_header(header, &place, directory->meta.segment_bytes,
                           directory->meta.sector_bytes) == BLOCK_OK &&
        checksum_equal(header->header_checksum, facts->head))
        return 0;
    return error_set(error, -EBADMSG,
                     "%s/shard-0/%010u.log: its last block is not the one at offset %u that the "
                     "snapshot knows",
                     directory->path, facts->segment, facts->last_offset);
}

static bool facts_join(const struct segment_facts *facts, const struct segment_facts *next)
{
    return facts->lsn_end == next->lsn_first && facts->ordinal_end == next->ordinal_first &&
           checksum_equal(facts->head, next->previous);
}

/* Opens the sidecars of all segments before the snapshot, which must be the ones that it knows, and
 * restores ids and log map from them. */
static int sidecars_restore(struct follower *follower, struct ledger *ledger, uint32_t *log_map,
                            uint32_t count, const struct segment_facts *facts, struct error *error)
{
    uint64_t print_at = clock_monotonic_ns() + GIRO_NS_PER_S;
    for (uint32_t segment = 0; segment + 1 < count; segment++) {
        if (!facts_join(&facts[segment], &facts[segment + 1]))
            return error_set(error, -EBADMSG,
                             "%s/shard-0: segments %u and %u do not join up in the snapshot's "
                             "catalogue",
                             follower->directory->path, segment, segment + 1);
    }
    for (uint32_t segment = 0; segment < count; segment++) {
        struct sidecar *sidecar;
        int result = sidecar_open(follower->directory, segment, &sidecar, error);
        if (result != 0)
            return result;
        if (memcmp(&sidecar->facts, &facts[segment], sizeof *facts) != 0) {
            sidecar_close(sidecar);
            (void)sidecar_discard(follower->directory, segment);
            return error_set(error, -EBADMSG,
                             "%s/shard-0/%010u.idx: not the sidecar that the snapshot knows",
                             follower->directory->path, segment);
        }
        archive_add(&follower->archive, sidecar);
    }
    for (uint32_t segment = 0; segment < count; segment++) {
        int result = archive_restore(&follower->archive, segment, ledger, log_map, error);
        if (result == -EBADMSG)
            (void)sidecar_discard(follower->directory, segment); /* made again by reading the log */
        if (result != 0)
            return result;
        if (clock_monotonic_ns() < print_at)
            continue;
        fprintf(stderr, "giro: reading indexes: segment %u of %u, %" PRIu64 " ids\n", segment + 1,
                count, ledger->transfers.count);
        print_at += GIRO_NS_PER_S;
    }
    return count == 0 ? 0
                      : segment_head_check(follower->directory,
                                           &follower->archive.sidecars[count - 1]->facts, error);
}

/* Whether ids and catalogue lead up to where the snapshot is. */
static bool restored_matches(const struct ledger *ledger, const struct snapshot_meta *meta,
                             const struct segment_facts *facts)
{
    uint32_t count = meta->position.segment;
    const struct log_position *position = &meta->position;
    return ledger->transfers.count == meta->totals.transfers + meta->totals.burnt &&
           (count == 0 || (facts[count - 1].lsn_end == position->lsn &&
                           facts[count - 1].ordinal_end == position->ordinal &&
                           checksum_equal(facts[count - 1].head, position->previous)));
}

/* Tries one entry of the manifest. Returns 1, 0 when the ledger is still empty, or -errno. */
static int entry_restore(struct follower *follower, struct ledger *ledger, uint32_t *log_map,
                         const struct manifest_entry *entry, struct log_position *out_position,
                         struct error *error)
{
    struct snapshot_meta meta;
    struct segment_facts *facts;
    uint64_t start = clock_monotonic_ns();
    struct error ignored;
    int result = snapshot_check(follower->directory, entry, error);
    if (result != 0) {
        /* Later ones must not push out the sound one for its sake. */
        if (result == -EBADMSG || result == -ENOENT)
            (void)manifest_drop(follower->directory, entry->segment, &ignored);
        return 0;
    }
    result = snapshot_load(follower->directory, entry, ledger, &meta, &facts, error);
    if (result == -EBADMSG || result == -EXDEV)
        (void)manifest_drop(follower->directory, entry->segment, &ignored);
    if (result != 0)
        return result;
    uint64_t loaded = clock_monotonic_ns();
    result = sidecars_restore(follower, ledger, log_map, meta.position.segment, facts, error);
    if (result == 0 && !restored_matches(ledger, &meta, facts))
        result = error_set(error, -EBADMSG,
                           "%s/shard-0: the sidecars hold %" PRIu64
                           " ids, and the snapshot of segment %u another number, or they end "
                           "elsewhere",
                           follower->directory->path, ledger->transfers.count, entry->segment);
    free(facts);
    if (result != 0) {
        archive_clear(&follower->archive);
        return result;
    }
    fprintf(stderr,
            "giro: snapshot of segment %u: %" PRIu64 " accounts loaded in %.2f s, %" PRIu64
            " ids of %u segments in %.2f s\n",
            entry->segment, meta.rows[LEDGER_ACCOUNTS], (double)(loaded - start) * 1e-9,
            ledger->transfers.count, meta.position.segment,
            (double)(clock_monotonic_ns() - loaded) * 1e-9);
    *out_position = meta.position;
    follower->snapshot_segment = entry->segment;
    follower->snapshot_bytes = entry->file_bytes;
    follower->snapshot_lsn = entry->lsn;
    follower->snapshot.writer.segments_synced = entry->segment;
    follower->live.facts.epoch = meta.position.epoch;
    follower->live.facts.written_at = meta.position.written_at;
    return 1;
}

/* The newest snapshot that has not failed in this start; NULL: none is left. */
static const struct manifest_entry *entry_next(const struct follower *follower,
                                               const struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->count; i++) {
        bool passed_over = false;
        for (uint32_t j = 0; j < follower->passed_over_count; j++)
            passed_over = passed_over || follower->passed_over[j] == manifest->entries[i].segment;
        if (!passed_over && follower->passed_over_count < MANIFEST_ENTRIES)
            return &manifest->entries[i];
    }
    return NULL;
}

int follower_restore(struct follower *follower, struct ledger *ledger, uint32_t *log_map,
                     struct log_position *out_position, struct error *error)
{
    struct manifest manifest;
    struct error text;
    int result = manifest_read(follower->directory, &manifest, &text);
    if (result != 0 && result != -ENOENT)
        fprintf(stderr, "giro: %s: no snapshot is used; the whole log is read\n", text.text);
    else
        snapshots_tidy(follower->directory, &manifest);
    (void)unlinkat(follower->directory->shard_fd, "index.tmp", 0);
    (void)unlinkat(follower->directory->shard_fd, "manifest.tmp", 0);
    const struct manifest_entry *entry;
    while ((entry = entry_next(follower, &manifest)) != NULL) {
        follower->passed_over[follower->passed_over_count++] = entry->segment;
        result = entry_restore(follower, ledger, log_map, entry, out_position, &text);
        if (result > 0)
            return 1;
        fprintf(stderr, "giro: %s: %s\n", text.text,
                entry_next(follower, &manifest) != NULL
                    ? "the snapshot before it is tried"
                    : "no snapshot is used; the whole log is read");
        if (result < 0)
            return error_set(error, result, "%s", text.text);
    }
    return 0;
}

/* Whether a sound sidecar of the segment that begins with this block is there already. The reader
 * has the whole segment in memory: its last block proves that the sidecar is of this very log. */
static struct sidecar *sidecar_find(struct follower *follower, const struct block_header *first)
{
    struct sidecar *sidecar;
    struct error text;
    if (first->offset != 0)
        return NULL;
    int result = sidecar_open(follower->directory, first->segment, &sidecar, &text);
    if (result == 0) {
        /* No snapshot has put it onto the disk yet: all of it is looked at. */
        result = sidecar_verify(follower->directory, first->segment, &text);
        if (result != 0)
            sidecar_close(sidecar);
    }
    if (result != 0) {
        if (result != -ENOENT)
            fprintf(stderr, "giro: %s: made again\n", text.text);
        return NULL;
    }
    const struct segment_facts *facts = &sidecar->facts;
    struct block_header last;
    memcpy(&last, (const char *)first + facts->last_offset, sizeof last);
    if (facts->lsn_first == first->lsn && facts->last_offset < facts->used_bytes &&
        checksum_equal(facts->previous, first->previous) &&
        checksum_equal(facts->head, last.header_checksum))
        return sidecar;
    fprintf(stderr, "giro: %s/shard-0/%010u.idx: does not belong to the log: made again\n",
            follower->directory->path, first->segment);
    sidecar_close(sidecar);
    return NULL;
}

/* The state of the log in front of a block. */
static struct log_position position_before(const struct block_header *header, uint32_t epoch,
                                           uint64_t written_at)
{
    return (struct log_position){
        .segment = header->segment,
        .epoch = epoch,
        .lsn = header->lsn,
        .ordinal = header->ordinal,
        .written_at = written_at,
        .previous = header->previous,
    };
}

/* Replays one block's records, and records what they did when the segment is recorded. */
static int block_apply(struct follower *follower, struct ledger *ledger,
                       const struct block_header *header, uint32_t *out_index)
{
    const union record *records = block_records(header);
    const uint64_t address = block_address(header, follower->directory->meta.segment_bytes);
    const uint32_t place = header->offset / GIRO_RECORD_BYTES + 1;
    struct live *live = &follower->live;
    for (uint32_t done = 0, run; done < header->record_count; done += run) {
        const union record *part = &records[done];
        run = ledger_replay_prepare(ledger, part, header->record_count - done);
        if (follower->recording)
            live_before(live, ledger, part, run);
        for (uint32_t i = 0; i < run && follower->snapshot.active; i++) {
            if (!record_moves(&part[i]))
                continue;
            snapshot_keep(&follower->snapshot, ledger, ledger->events[i].debit_row);
            snapshot_keep(&follower->snapshot, ledger, ledger->events[i].credit_row);
        }
        int result = ledger_replay_apply(ledger, part, run, address + done,
                                         follower->recording ? follower->effects : NULL, out_index);
        if (result != 0) {
            *out_index += done;
            return result;
        }
        if (follower->snapshot.active)
            snapshot_keep_sides(&follower->snapshot, ledger);
        if (follower->recording)
            live_after(live, ledger, part, run, place + done, follower->effects);
    }
    if (follower->recording)
        live_block(live, header);
    return 0;
}

/* A step of writing the sidecar of the segment that is complete. Returns 1 when it is written and
 * in the archive, 0 when there is more to do, or -errno. */
static int segment_seal(struct follower *follower, struct error *error)
{
    struct sidecar *sidecar;
    int result = live_seal(&follower->live, error);
    if (result <= 0)
        return result;
    result = sidecar_open(follower->directory, follower->live.facts.segment, &sidecar, error);
    if (result != 0)
        return result;
    archive_add(&follower->archive, sidecar);
    return 1;
}

/* At start: the whole sidecar of the segment in live, on the disk, because an older snapshot may rely
 * on it. Returns 0 or -errno. */
static int segment_seal_whole(struct follower *follower, struct error *error)
{
    int result;
    do {
        result = segment_seal(follower, error);
    } while (result == 0);
    if (result < 0)
        return result;
    result = sidecar_sync(follower->directory, follower->live.facts.segment);
    if (result != 0)
        return error_set(error, result, "%s/shard-0/%010u.idx: cannot be synced: %s",
                         follower->directory->path, follower->live.facts.segment,
                         strerror(-result));
    return directory_sync(follower->directory, error);
}

/* The log went on in the next segment: the one before gets its sidecar, the new one is recorded
 * unless it has one already. */
static int segment_enter(struct follower *follower, const struct block_header *header)
{
    struct live *live = &follower->live;
    struct error text;
    if (follower->recording) {
        int result = segment_seal_whole(follower, &text);
        if (result < 0) {
            follower->recording = false;
            fprintf(stderr,
                    "giro: %s: no queries, changes and snapshots until there is room and the "
                    "server is started again\n",
                    text.text);
            return result;
        }
    }
    struct log_position position =
        position_before(header, live->facts.epoch, live->facts.written_at);
    live_begin(live, &position);
    struct sidecar *sidecar = sidecar_find(follower, header);
    follower->recording = sidecar == NULL;
    if (sidecar != NULL) {
        live->facts = sidecar->facts;
        archive_add(&follower->archive, sidecar);
    }
    return 0;
}

int follower_replay(struct follower *follower, struct ledger *ledger,
                    const struct block_header *header, uint32_t *out_index)
{
    *out_index = 0;
    if (header->offset == 0 && !follower->off)
        follower->off = segment_enter(follower, header) != 0;
    if (follower->recording)
        memcpy(follower->live.view.image + header->offset, header, header->block_bytes);
    return block_apply(follower, ledger, header, out_index);
}

/* ---- Waking and telling ------------------------------------------------------------------ */

/* Wakes the thread when it sleeps. Whoever submits stores its entry, then looks at asleep; the
 * thread stores asleep, then looks for entries: one of the two sees the other. */
void follower_wake(struct follower *follower)
{
    if (atomic_exchange(&follower->asleep, FOLLOWER_AWAKE) != FOLLOWER_AWAKE)
        (void)sem_post(&follower->wake);
}

static void ring_put(struct follower_ring *ring, uint32_t number)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    ring->entries[head % FOLLOWER_REQUESTS] = number;
    atomic_store_explicit(&ring->head, head + 1, memory_order_seq_cst);
}

static bool ring_get(struct follower_ring *ring, uint32_t *out_number)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&ring->head, memory_order_seq_cst))
        return false;
    *out_number = ring->entries[tail % FOLLOWER_REQUESTS];
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

static void shard_notify(struct follower *follower)
{
    const char byte = 1;
    /* When the socket is full, there is something in it that wakes the shard. */
    if (follower->notify_fd >= 0)
        (void)!send(follower->notify_fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void request_complete(struct follower *follower, struct follower_request *request,
                             int result)
{
    request->result = result;
    if (request->kind != FOLLOWER_SNAPSHOT)
        atomic_fetch_add_explicit(&follower->counters.queries, 1, memory_order_relaxed);
    ring_put(&follower->completed, request->number);
    shard_notify(follower);
}

static void follower_fail(struct follower *follower, enum follower_failure failure,
                          const struct error *error)
{
    follower->failure_text = *error;
    atomic_store_explicit(&follower->wants_digests, false, memory_order_relaxed);
    atomic_store_explicit(&follower->failure, failure, memory_order_release);
    fprintf(stderr, "giro: the follower stopped: %s; %s\n", error->text,
            failure == FOLLOWER_STOPPED
                ? "transfers and lookups go on, queries and snapshots do not until a restart"
                : "the shard stops as well");
    shard_notify(follower);
}

/* ---- Snapshots --------------------------------------------------------------------------- */

uint64_t follower_log_since_snapshot(const struct follower *follower, uint64_t log_bytes)
{
    uint64_t segment =
        atomic_load_explicit(&follower->counters.snapshot_segment, memory_order_relaxed);
    uint64_t begin = segment * follower->directory->meta.segment_bytes;
    return log_bytes > begin ? log_bytes - begin : 0;
}

static void snapshot_failed(struct follower *follower, uint32_t segment)
{
    follower->attempts_ended = follower->attempts;
    follower->attempt_failed = follower->attempts;
    follower->snapshot_wanted = 0;
    follower->snapshot_not_before =
        segment + 1 + SNAPSHOT_RETRY_BYTES / follower->directory->meta.segment_bytes;
}

/* Begins a snapshot at the beginning of a segment when one is wanted, or due: when reading the log
 * behind the last one would cost more than writing another. */
static void snapshot_consider(struct follower *follower, const struct log_position *position)
{
    struct snapshot *snapshot = &follower->snapshot;
    uint64_t since = (uint64_t)(position->segment - follower->snapshot_segment) *
                     follower->directory->meta.segment_bytes;
    uint64_t outweighs = 2 * follower->snapshot_bytes;
    if (outweighs < follower->options.snapshot_log_bytes)
        outweighs = follower->options.snapshot_log_bytes;
    bool due = since >= outweighs && position->segment >= follower->snapshot_not_before;
    bool wanted = follower->snapshot_wanted != 0 && position->segment >= follower->snapshot_wanted;
    if (snapshot->active || (!due && !wanted))
        return;
    struct error error;
    follower->attempts++;
    if (snapshot_begin(snapshot, follower->ledger, position, &error) == 0) {
        snapshot_demand_proof(snapshot);
        atomic_store_explicit(&follower->counters.snapshot_running, 1, memory_order_relaxed);
        return;
    }
    fprintf(stderr, "giro: no snapshot: %s; the log is complete without it\n", error.text);
    snapshot_failed(follower, position->segment);
}

static void snapshot_done(struct follower *follower)
{
    const struct manifest_entry *entry = &follower->snapshot.writer.entry;
    follower->snapshot_segment = entry->segment;
    follower->snapshot_bytes = entry->file_bytes;
    follower->snapshot_lsn = entry->lsn;
    if (follower->snapshot_wanted <= entry->segment)
        follower->snapshot_wanted = 0;
    pthread_mutex_lock(&follower->published_mutex);
    follower->published = *entry;
    atomic_store_explicit(&follower->publishes, true, memory_order_relaxed);
    pthread_mutex_unlock(&follower->published_mutex);
    atomic_fetch_add_explicit(&follower->counters.snapshots, 1, memory_order_relaxed);
    atomic_store_explicit(&follower->counters.snapshot_segment, entry->segment,
                          memory_order_relaxed);
    atomic_store_explicit(&follower->counters.snapshot_bytes, entry->file_bytes,
                          memory_order_relaxed);
    shard_notify(follower);
}

/* Does a slice of the snapshot that is being taken. Returns whether there was anything to do. */
static bool snapshot_work(struct follower *follower)
{
    if (!follower->snapshot.active)
        return false;
    enum snapshot_progress progress = SNAPSHOT_WORKED;
    bool worked = false;
    for (uint32_t i = 0; i < SNAPSHOT_STEPS && progress == SNAPSHOT_WORKED; i++) {
        progress = snapshot_step(&follower->snapshot, follower->ledger, &follower->archive);
        worked = worked || progress != SNAPSHOT_WAITS;
    }
    switch (progress) {
    case SNAPSHOT_WAITS:
    case SNAPSHOT_WORKED:
        if (snapshot_awaits_proof(&follower->snapshot) !=
            atomic_load_explicit(&follower->wants_digests, memory_order_relaxed)) {
            atomic_store_explicit(&follower->wants_digests,
                                  snapshot_awaits_proof(&follower->snapshot), memory_order_relaxed);
            shard_notify(follower);
        }
        return worked;
    case SNAPSHOT_DONE:
        snapshot_done(follower);
        break;
    case SNAPSHOT_FAILED:
        fprintf(stderr,
                "giro: the snapshot of segment %u failed: %s; the one before it and the log are "
                "complete without it\n",
                follower->snapshot.segment, follower->snapshot.writer.error.text);
        snapshot_failed(follower, follower->snapshot.segment);
        break;
    }
    follower->attempts_ended = follower->attempts;
    atomic_store_explicit(&follower->wants_digests, false, memory_order_relaxed);
    atomic_store_explicit(&follower->counters.snapshot_running, 0, memory_order_relaxed);
    return true;
}

/* ---- Replay ------------------------------------------------------------------------------ */

static void counters_update(struct follower *follower)
{
    struct follower_counters *counters = &follower->counters;
    atomic_store_explicit(&counters->lsn, follower->tail.lsn - 1, memory_order_relaxed);
    atomic_store_explicit(&counters->position, follower->tail.position, memory_order_relaxed);
    atomic_store_explicit(&counters->digests_checked, follower->ledger->digests_checked,
                          memory_order_relaxed);
}

/* Takes what was submitted. A snapshot is wanted from the moment that it is asked for: before the
 * log comes to its segment. */
static void requests_take(struct follower *follower)
{
    uint32_t number;
    while (ring_get(&follower->submitted, &number)) {
        struct follower_request *request = &follower->requests[number];
        request->begun = false;
        request->count = 0;
        request->attempt = follower->attempts_ended;
        if (request->kind == FOLLOWER_SNAPSHOT &&
            follower->snapshot_wanted < request->filter.snapshot_segment)
            follower->snapshot_wanted = request->filter.snapshot_segment;
        follower->active[follower->active_count++] = number;
    }
}

/* Writes the sidecar of the segment that is complete, again and again while the disk is full. */
static bool seal_work(struct follower *follower)
{
    struct error error;
    uint64_t now = clock_monotonic_ns();
    if (now < follower->seal_at)
        return false;
    int result = segment_seal(follower, &error);
    if (result == 0)
        return true;
    if (result < 0) {
        if (!atomic_load_explicit(&follower->seal_failing, memory_order_relaxed))
            fprintf(stderr,
                    "giro: %s: the index of segment %u is tried again and again; when it is too "
                    "far behind, requests wait\n",
                    error.text, follower->live.facts.segment);
        atomic_store_explicit(&follower->seal_failing, true, memory_order_relaxed);
        follower->seal_at = now + SEAL_RETRY_NS;
        return false;
    }
    if (atomic_load_explicit(&follower->seal_failing, memory_order_relaxed))
        fprintf(stderr, "giro: the index of segment %u is written\n", follower->live.facts.segment);
    atomic_store_explicit(&follower->seal_failing, false, memory_order_relaxed);
    follower->seal_at = 0;
    follower->seal_due = false;
    struct log_position position = {
        .segment = follower->tail.segment,
        .epoch = follower->tail.epoch,
        .lsn = follower->tail.lsn,
        .ordinal = follower->tail.ordinal,
        .written_at = follower->tail.written_at,
        .previous = follower->tail.previous,
    };
    atomic_store_explicit(&follower->counters.segments_sealed, follower->archive.count,
                          memory_order_relaxed);
    atomic_store_explicit(&follower->counters.memory_bytes,
                          live_memory_bytes(&follower->live) + follower->archive.memory_bytes +
                              (uint64_t)follower->ledger->accounts.count * GIRO_RECORD_BYTES +
                              index_memory_bytes(&follower->ledger->accounts.index) +
                              (uint64_t)follower->ledger->holds.slots_used * sizeof(struct hold),
                          memory_order_relaxed);
    live_begin(&follower->live, &position);
    requests_take(follower);
    snapshot_consider(follower, &position);
    return true;
}

static void mismatch_report(struct follower *follower)
{
    struct error error;
    uint64_t position = follower->ledger->digest_failed_first * GIRO_RECORD_BYTES;
    uint64_t segment_bytes = follower->directory->meta.segment_bytes;
    const struct record_digest *digest =
        &view_record(&follower->live.view, (uint32_t)(position % segment_bytes / GIRO_RECORD_BYTES))
             ->digest;
    (void)error_set(&error, -EBADMSG,
                    "the server's state differs from what its log says, at %s/shard-0/%010" PRIu64
                    ".log, offset %" PRIu64 ", in account rows %" PRIu64 " to %" PRIu64
                    " or in the counters: memory was damaged, or replay differs from execution",
                    follower->directory->path, position / segment_bytes, position % segment_bytes,
                    digest->row_first, digest->row_first + digest->row_count);
    follower_fail(follower, FOLLOWER_MISMATCH, &error);
}

/* The digests of a block agreed: a snapshot may be waiting for them. */
static void digests_count(struct follower *follower, const struct block_header *header)
{
    const union record *records = block_records(header);
    for (uint32_t i = 0; i < header->record_count; i++) {
        if (record_system(&records[i]) == RECORD_SYSTEM_DIGEST)
            snapshot_agreed(&follower->snapshot, follower->ledger, &records[i].digest);
    }
}

/* Follows one block. Returns whether there was one. */
static bool block_follow(struct follower *follower)
{
    const struct block_header *header;
    struct error error;
    uint32_t index;
    if (follower->seal_due)
        return seal_work(follower);
    switch (tail_next(&follower->tail, follower->live.view.image, &header, &error)) {
    case TAIL_NONE:
    case TAIL_LATER:
        return false;
    case TAIL_SEGMENT:
        follower->seal_due = true;
        return seal_work(follower);
    case TAIL_FAILED:
        follower_fail(follower, FOLLOWER_STOPPED, &error);
        return false;
    case TAIL_BLOCK:
        break;
    }
    uint64_t failed_before = follower->ledger->digests_failed;
    if (block_apply(follower, follower->ledger, header, &index) != 0) {
        (void)error_set(&error, -EBADMSG,
                        "%s/shard-0/%010u.log: record %u of block %" PRIu64
                        " at offset %u contradicts the state that the follower has",
                        follower->directory->path, header->segment, index, header->lsn,
                        header->offset);
        follower_fail(follower, FOLLOWER_MISMATCH, &error);
        return false;
    }
    counters_update(follower);
    if (follower->ledger->digests_failed != failed_before) {
        mismatch_report(follower);
        return true;
    }
    if (snapshot_awaits_proof(&follower->snapshot))
        digests_count(follower, header);
    return true;
}

static bool blocks_follow(struct follower *follower)
{
    uint64_t end = clock_monotonic_ns() + APPLY_NS;
    bool any = false;
    while (atomic_load_explicit(&follower->failure, memory_order_relaxed) == FOLLOWER_SOUND &&
           block_follow(follower)) {
        any = true;
        if (clock_monotonic_ns() >= end)
            break;
    }
    return any;
}

/* ---- Changes ----------------------------------------------------------------------------- */

/* Says what a reader found. An index whose bytes are wrong is put out of the way: the next start
 * makes it again. */
/* Says what a query has found. Returns what it is answered with: its result, or -ECANCELED when only
 * we are short of something and nothing is damaged. */
static int damage_say(struct follower *follower, int result)
{
    const struct archive_reader *reader = follower->reader;
    if (reader->damage == -EMFILE || reader->damage == -ENFILE || reader->damage == -ENOMEM) {
        fprintf(stderr, "giro: a query could not be answered: %s: raise the limit\n",
                reader->error.text);
        return -ECANCELED;
    }
    if (reader->damaged == ARCHIVE_SIDECAR && reader->damage == -EBADMSG) {
        if (sidecar_discard(follower->directory, reader->damaged_segment))
            fprintf(stderr,
                    "giro: a query found %s; it was renamed to .idx.bad, and the next start makes "
                    "it again from the log\n",
                    reader->error.text);
        return result;
    }
    fprintf(stderr, "giro: a query found %s: run giro verify --data %s\n", reader->error.text,
            follower->directory->path);
    return result;
}

/* The sealed segment that holds an ordinal. */
static uint32_t segment_of_ordinal(const struct archive *archive, uint64_t ordinal)
{
    uint32_t low = 0;
    uint32_t high = archive->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (archive->sidecars[middle]->facts.ordinal_first <= ordinal)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int views_prepare(struct follower *follower)
{
    for (uint32_t i = 0; i < FOLLOWER_VIEWS && !follower->views_ready; i++) {
        if (view_maker_init(&follower->views[i], follower->directory,
                            &follower->ledger->accounts) != 0) {
            while (i-- > 0)
                view_maker_free(&follower->views[i]);
            return -ENOMEM;
        }
    }
    follower->views_ready = true;
    return 0;
}

/* The view of a sealed segment, begun when there is none; NULL: others are being made. */
static struct view_maker *view_of(struct follower *follower, uint32_t segment, uint64_t now)
{
    struct view_maker *oldest = NULL;
    for (uint32_t i = 0; i < FOLLOWER_VIEWS; i++) {
        struct view_maker *maker = &follower->views[i];
        if (maker->reader != NULL && maker->view.segment == segment) {
            maker->used_at = now;
            return maker;
        }
        uint64_t held_ns = maker->done ? VIEW_KEPT_NS : VIEW_HELD_NS;
        bool held = maker->reader != NULL && now - maker->used_at < held_ns;
        if (!held && (oldest == NULL || maker->used_at < oldest->used_at))
            oldest = maker;
    }
    if (oldest != NULL) {
        view_maker_begin(oldest, follower->reader, segment);
        oldest->used_at = now;
    }
    return oldest;
}

enum work {
    WORK_DONE,
    WORK_MORE,
    WORK_WAIT, /* for something to come */
};

static enum work changes_done(struct follower *follower, struct follower_request *request,
                              uint64_t ordinal, int result)
{
    request->changes.ordinal_next = ordinal;
    request->changes.ordinal_end = follower->live.view.ordinal_end;
    atomic_fetch_add_explicit(&follower->counters.changes, request->count, memory_order_relaxed);
    request_complete(follower, request, result);
    return WORK_DONE;
}

/* Where to look for changes by transfers, or expiries, from a timestamp on: where the last segment
 * begins whose last transfer is earlier. Transfers ascend, and behind them come expiries that are
 * later. */
static uint64_t ordinal_of_transfer(const struct follower *follower, uint64_t timestamp)
{
    const struct archive *archive = &follower->archive;
    uint64_t ordinal = 0;
    for (uint32_t i = 0; i < archive->count; i++) {
        const struct segment_facts *facts = &archive->sidecars[i]->facts;
        if (facts->transfer_last >= timestamp)
            break;
        if (facts->transfers != 0)
            ordinal = facts->ordinal_first;
    }
    return ordinal;
}

/* Changes of sealed segments. Returns 1 when the ordinal was moved, 0 when it takes longer. */
static int changes_of_sealed(struct follower *follower, struct follower_request *request,
                             uint64_t *ordinal, uint64_t now)
{
    const uint64_t before = *ordinal;
    uint32_t segment = segment_of_ordinal(&follower->archive, before);
    if (views_prepare(follower) != 0)
        return -ENOMEM;
    struct view_maker *maker = view_of(follower, segment, now);
    if (maker == NULL)
        return -EAGAIN;
    int result = view_maker_step(maker);
    if (result < 0)
        maker->reader = NULL; /* nobody gets it as it is */
    if (result <= 0)
        return result;
    request->count = view_changes(&maker->view, ordinal, request->filter.change.limit,
                                  (struct giro_change *)(void *)request->output);
    uint64_t end = follower->archive.sidecars[segment]->facts.ordinal_end;
    if (request->count == 0 && *ordinal < end)
        *ordinal = end;
    if (*ordinal == before) {
        follower->reader->damage = -EBADMSG;
        (void)error_set(&follower->reader->error, -EBADMSG, "%s/shard-0/%010u.idx: ends too early",
                        follower->directory->path, segment);
        return -EILSEQ;
    }
    return 1;
}

static enum work changes_work(struct follower *follower, struct follower_request *request)
{
    const struct giro_change_filter *filter = &request->filter.change;
    uint64_t now = clock_monotonic_ns();
    uint64_t *ordinal = &request->changes.ordinal_next;
    if (!request->begun) {
        request->begun = true;
        request->count = 0;
        request->deadline = now + filter->wait_ms * 1000000ull;
        *ordinal = filter->ordinal;
        if (*ordinal == 0 && request->filter.changes.timestamp_min != 0)
            *ordinal = ordinal_of_transfer(follower, request->filter.changes.timestamp_min);
    }
    follower->reader->error.text[0] = 0;
    if (*ordinal < follower->live.facts.ordinal_first && follower->archive.count > 0) {
        int result = changes_of_sealed(follower, request, ordinal, now);
        if (result == -EAGAIN)
            return WORK_WAIT;
        if (result < 0) {
            if (result != -ENOMEM)
                result = damage_say(follower, result);
            return changes_done(follower, request, *ordinal, result);
        }
        return request->count > 0 ? changes_done(follower, request, *ordinal, 0) : WORK_MORE;
    }
    request->count = view_changes(&follower->live.view, ordinal, filter->limit,
                                  (struct giro_change *)(void *)request->output);
    if (request->count > 0 || now >= request->deadline)
        return changes_done(follower, request, *ordinal, 0);
    return WORK_WAIT;
}

/* ---- Requests ---------------------------------------------------------------------------- */

static enum work query_work(struct follower *follower, struct follower_request *request)
{
    struct query_source source = {follower->ledger, &follower->live, follower->reader};
    if (!request->begun) {
        request->begun = true;
        if (request->kind == FOLLOWER_ACCOUNT_TRANSFERS ||
            request->kind == FOLLOWER_ACCOUNT_BALANCES)
            query_account_begin(&request->query, (enum query_kind)request->kind,
                                &request->filter.account, &source, request->output);
        else
            query_begin(&request->query, (enum query_kind)request->kind, &request->filter.query,
                        &source, request->output);
    }
    int result = query_step(&request->query, &source);
    if (result == 0)
        return WORK_MORE;
    if (result < 0)
        result = damage_say(follower, result);
    request->count = request->query.count;
    request_complete(follower, request, result < 0 ? result : 0);
    return WORK_DONE;
}

static enum work snapshot_request_work(struct follower *follower, struct follower_request *request)
{
    uint32_t wanted = request->filter.snapshot_segment;
    if (follower->snapshot_segment >= wanted && !follower->snapshot.active) {
        request->snapshot = (struct manifest_entry){
            .segment = follower->snapshot_segment,
            .file_bytes = follower->snapshot_bytes,
            .lsn = follower->snapshot_lsn,
        };
        request_complete(follower, request, 0);
        return WORK_DONE;
    }
    if (follower->attempt_failed > request->attempt ||
        atomic_load_explicit(&follower->seal_failing, memory_order_relaxed)) {
        request_complete(follower, request, -EIO);
        return WORK_DONE;
    }
    /* Another snapshot was being written when the log came to that segment: the next one, then. */
    if (!follower->snapshot.active && follower->live.facts.segment >= wanted &&
        follower->roll_asked != follower->live.facts.segment) {
        follower->roll_asked = follower->live.facts.segment;
        follower->snapshot_wanted = wanted;
        atomic_store_explicit(&follower->wants_roll, true, memory_order_relaxed);
        shard_notify(follower);
    }
    return WORK_WAIT;
}

static enum work request_work(struct follower *follower, struct follower_request *request)
{
    enum follower_failure failure = atomic_load_explicit(&follower->failure, memory_order_relaxed);
    bool cancelled = atomic_load_explicit(&request->cancelled, memory_order_relaxed) ||
                     atomic_load(&follower->stop);
    if (cancelled || failure != FOLLOWER_SOUND) {
        request_complete(follower, request, cancelled ? -ECANCELED : -EPIPE);
        return WORK_DONE;
    }
    if (request->fence_lsn >= follower->tail.lsn && request->kind != FOLLOWER_SNAPSHOT &&
        !PLANTED(SKIP_FENCE))
        return WORK_WAIT;
    switch (request->kind) {
    case FOLLOWER_CHANGES:
        return changes_work(follower, request);
    case FOLLOWER_SNAPSHOT:
        return snapshot_request_work(follower, request);
    default:
        return query_work(follower, request);
    }
}

/* A slice for every request in turn: for all of them, or when there are blocks to follow, for as
 * many as half the time takes that those took. Returns whether one of them can go on at once. */
static bool requests_work(struct follower *follower, uint64_t replay_ns)
{
    uint64_t share_ns = replay_ns / 2 > REQUESTS_NS ? replay_ns / 2 : REQUESTS_NS;
    uint64_t end = clock_monotonic_ns() + share_ns;
    bool more = false;
    requests_take(follower);
    uint32_t turns = follower->active_count;
    for (uint32_t i = 0; i < turns && follower->active_count > 0; i++) {
        uint32_t at = follower->active_next % follower->active_count;
        enum work work = request_work(follower, &follower->requests[follower->active[at]]);
        more = more || work == WORK_MORE;
        if (work == WORK_DONE)
            follower->active[at] = follower->active[--follower->active_count];
        else
            follower->active_next = at + 1;
        if (work == WORK_WAIT)
            continue;
        if (tail_lag_bytes(&follower->tail) > 0 && clock_monotonic_ns() >= end) {
            more = true;
            break;
        }
    }
    atomic_store_explicit(&follower->counters.queries_active, follower->active_count,
                          memory_order_relaxed);
    return more;
}

/* ---- The thread -------------------------------------------------------------------------- */

/* Naps while blocks keep coming, so that the shard need not wake it for each; else sleeps. The
 * clock must not be one that can be set. */
static void follower_sleep(struct follower *follower)
{
    struct timespec until;
    uint64_t now = clock_monotonic_ns();
    bool naps = follower->active_count > 0 || follower->snapshot.active || follower->seal_due ||
                now - follower->worked_at < NAP_FOR_NS;
    atomic_store(&follower->asleep, naps ? FOLLOWER_NAPS : FOLLOWER_SLEEPS);
    bool nothing = atomic_load(&follower->submitted.head) == atomic_load(&follower->submitted.tail);
    /* A block came just before it lay down; or it cannot take it, and looks again now and then. */
    naps = naps || atomic_load(&follower->tail.feed->durable) > follower->tail.position;
    if (nothing && !atomic_load(&follower->stop)) {
        now += naps ? NAP_NS : SLEEP_NS;
        until.tv_sec = (time_t)(now / GIRO_NS_PER_S);
        until.tv_nsec = (long)(now % GIRO_NS_PER_S);
        (void)sem_clockwait(&follower->wake, CLOCK_MONOTONIC, &until);
    }
    atomic_store(&follower->asleep, FOLLOWER_AWAKE);
}

static void *follower_run(void *argument)
{
    struct follower *follower = argument;
    /* Where cores are short, it must not push the shard aside whenever it wakes up. */
    const struct sched_param none = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    for (;;) {
        uint64_t start = clock_monotonic_ns();
        bool work = blocks_follow(follower);
        uint64_t replay_ns = clock_monotonic_ns() - start;
        work = snapshot_work(follower) || work;
        work = requests_work(follower, replay_ns) || work;
        /* What was submitted before it was told to stop is there by now. */
        if (atomic_load(&follower->stop) && follower->active_count == 0 &&
            atomic_load(&follower->submitted.head) == atomic_load(&follower->submitted.tail))
            return NULL;
        if (work)
            follower->worked_at = clock_monotonic_ns();
        else
            follower_sleep(follower);
    }
}

int follower_start(struct follower *follower, const struct ledger *ledger,
                   const struct log_reader *reader, const struct log_feed *feed, int notify_fd,
                   struct error *error)
{
    const uint64_t segment_bytes = follower->directory->meta.segment_bytes;
    if (follower->off)
        return 0;
    int result = ledger_copy(follower->ledger, ledger,
                             ((uint64_t)reader->segment + 1) * segment_bytes / GIRO_RECORD_BYTES);
    if (result != 0)
        return error_set(error, result, "the follower has no room for the ledger");
    follower->notify_fd = notify_fd;
    live_populate(&follower->live);
    tail_open(&follower->tail, follower->directory, feed, reader);
    if (follower->recording && reader->offset == 0 &&
        follower->archive.count + 1 == reader->segment) {
        /* The first block of the segment that the log went on in was torn. */
        result = segment_seal_whole(follower, error);
        if (result < 0)
            return result;
        follower->recording = false;
    }
    if (follower->archive.count != reader->segment)
        return error_set(error, -EBADMSG,
                         "%s/shard-0/%010u.idx: an index of a segment that the log has not left: "
                         "run giro recover --data %s --rebuild-index",
                         follower->directory->path, reader->segment, follower->directory->path);
    if (!follower->recording) { /* the log has no block yet, or none in this segment */
        struct log_position position = {
            .segment = reader->segment,
            .epoch = reader->epoch,
            .lsn = reader->lsn,
            .ordinal = reader->ordinal,
            .written_at = reader->written_at,
            .previous = reader->previous,
        };
        live_begin(&follower->live, &position);
        follower->recording = true;
    }
    counters_update(follower);
    atomic_store_explicit(&follower->counters.snapshot_segment, follower->snapshot_segment,
                          memory_order_relaxed);
    atomic_store_explicit(&follower->counters.snapshot_bytes, follower->snapshot_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&follower->counters.segments_sealed, follower->archive.count,
                          memory_order_relaxed);
    result = pthread_create(&follower->thread, NULL, follower_run, follower);
    if (result != 0)
        return error_set(error, -result, "cannot start a thread: %s", strerror(result));
    follower->started = true;
    return 0;
}

void follower_hurry(struct follower *follower)
{
    atomic_store_explicit(&follower->snapshot.writer.bytes_per_s, 0, memory_order_relaxed);
}

void follower_stop(struct follower *follower)
{
    if (!follower->started)
        return;
    atomic_store(&follower->stop, true);
    follower_wake(follower);
    pthread_join(follower->thread, NULL);
    follower->started = false;
}

/* ---- For the shard ----------------------------------------------------------------------- */

struct follower_request *follower_request(struct follower *follower,
                                          enum follower_request_kind kind)
{
    if (follower->free_count == 0 ||
        (kind == FOLLOWER_CHANGES && follower->changes_count == FOLLOWER_CHANGES_MAX))
        return NULL;
    follower->changes_count += kind == FOLLOWER_CHANGES;
    struct follower_request *request = &follower->requests[follower->free[--follower->free_count]];
    atomic_store_explicit(&request->cancelled, false, memory_order_relaxed);
    request->kind = kind;
    return request;
}

void follower_submit(struct follower *follower, struct follower_request *request)
{
    ring_put(&follower->submitted, request->number);
    follower_wake(follower);
}

struct follower_request *follower_completed(struct follower *follower)
{
    uint32_t number;
    return ring_get(&follower->completed, &number) ? &follower->requests[number] : NULL;
}

void follower_release(struct follower *follower, struct follower_request *request)
{
    follower->changes_count -= request->kind == FOLLOWER_CHANGES;
    follower->free[follower->free_count++] = request->number;
}

uint64_t follower_lag_bytes(const struct follower *follower)
{
    uint64_t durable = atomic_load_explicit(&follower->tail.feed->durable, memory_order_relaxed);
    uint64_t position = atomic_load_explicit(&follower->counters.position, memory_order_relaxed);
    return durable > position ? durable - position : 0;
}

enum follower_failure follower_failure(const struct follower *follower)
{
    return atomic_load_explicit(&follower->failure, memory_order_acquire);
}

bool follower_wants_roll(struct follower *follower)
{
    return atomic_load_explicit(&follower->wants_roll, memory_order_relaxed) &&
           atomic_exchange_explicit(&follower->wants_roll, false, memory_order_relaxed);
}

bool follower_published(struct follower *follower, struct manifest_entry *out_entry)
{
    if (!atomic_load_explicit(&follower->publishes, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&follower->published_mutex);
    *out_entry = follower->published;
    atomic_store_explicit(&follower->publishes, false, memory_order_relaxed);
    pthread_mutex_unlock(&follower->published_mutex);
    return true;
}
