#include "wal/snapshot.h"

#include "engine/memory.h"
#include "engine/planted.h"
#include "wal/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 << 10, /* small enough not to hold up a commit */
    MAP_SPARE_BYTES = 64 << 20,
    KEY_BYTES = sizeof(uint64_t),
};

static const char temporary[] = "snapshot.tmp";

static const char *const database_names[SNAPSHOT_DATABASES] = {
    [LEDGER_ACCOUNTS] = "accounts",       [LEDGER_PAYMENTS] = "payments",
    [LEDGER_LIMITS] = "limits",           [LEDGER_LEASES] = "leases",
    [LEDGER_SCHEDULES] = "schedules",     [LEDGER_EPOCHS] = "epochs",
    [LEDGER_SETTLEMENTS] = "settlements", [LEDGER_SESSIONS] = "sessions",
    [SNAPSHOT_HOLDS] = "holds",           [SNAPSHOT_OUTCOMES] = "outcomes",
    [SNAPSHOT_SEGMENTS] = "segments",     [SNAPSHOT_META] = "meta",
};

_Static_assert(SNAPSHOT_CHUNK_HOLDS * sizeof(struct snapshot_hold) <= SNAPSHOT_CHUNK_BYTES,
               "holds of a chunk");
_Static_assert(sizeof(struct snapshot_chunk) == 32, "chunk head");

/* ---- The thread that writes -------------------------------------------------------------- */

/* An error of LMDB or of the system, as -errno. */
static int lmdb_error(struct snapshot_writer *writer, const char *what, int code)
{
    int result = code > 0 ? -code : code == MDB_MAP_FULL ? -EFBIG : -EIO;
    return error_set(&writer->error, result, "%s/shard-0/%s: %s: %s", writer->directory->path,
                     temporary, what, mdb_strerror(code));
}

static int system_error(struct snapshot_writer *writer, const char *what)
{
    int code = errno;
    return error_set(&writer->error, -code, "%s/shard-0/%s: %s: %s", writer->directory->path,
                     temporary, what, strerror(code));
}

static void shard_path(const struct directory *directory, const char *name, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/shard-0/%s", directory->path, name);
}

static int environment_open(struct snapshot_writer *writer, MDB_env **out_env,
                            MDB_dbi databases[SNAPSHOT_DATABASES])
{
    char path[sizeof writer->directory->path + 64];
    shard_path(writer->directory, temporary, path, sizeof path);
    (void)unlink(path);
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    uint64_t map = writer->map_bytes;
    if (map == 0)
        map = writer->expected_bytes + writer->expected_bytes / 2 + MAP_SPARE_BYTES;
    int code = mdb_env_create(&env);
    if (code == 0)
        code = mdb_env_set_mapsize(env, map);
    if (code == 0)
        code = mdb_env_set_maxdbs(env, SNAPSHOT_DATABASES);
    if (code == 0)
        code = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | MDB_NOSYNC, 0600);
    if (code == 0)
        code = mdb_txn_begin(env, NULL, 0, &txn);
    for (int i = 0; i < SNAPSHOT_DATABASES && code == 0; i++)
        code = mdb_dbi_open(txn, database_names[i], MDB_CREATE | MDB_INTEGERKEY, &databases[i]);
    if (code == 0)
        code = mdb_txn_commit(txn);
    else if (txn != NULL)
        mdb_txn_abort(txn);
    if (code == 0) {
        *out_env = env;
        return 0;
    }
    if (env != NULL)
        mdb_env_close(env);
    return lmdb_error(writer, "cannot be made", code);
}

static int batch_write(struct snapshot_writer *writer, const struct snapshot_batch *batch,
                       MDB_env *env, const MDB_dbi databases[SNAPSHOT_DATABASES])
{
    MDB_txn *txn;
    int code = mdb_txn_begin(env, NULL, 0, &txn);
    if (code != 0)
        return lmdb_error(writer, "cannot begin a transaction", code);
    for (uint32_t i = 0; i < batch->put_count && code == 0; i++) {
        struct snapshot_put *put = &batch->puts[i];
        MDB_val key = {.mv_size = KEY_BYTES, .mv_data = &put->key};
        MDB_val value = {.mv_size = put->size, .mv_data = NULL};
        code = mdb_put(txn, databases[put->database], &key, &value, MDB_APPEND | MDB_RESERVE);
        if (code == 0)
            memcpy(value.mv_data, batch->memory + put->offset, put->size);
    }
    if (code == 0)
        code = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (code == MDB_MAP_FULL)
        return lmdb_error(writer, "snapshot_map_bytes is too small for this ledger: raise it",
                          code);
    if (code != 0)
        return lmdb_error(writer, "cannot be written", code);
    /* What the last batch began is waited for, what this one wrote is begun: never more than two of
     * them are in memory only. Errors show when the file is synced and read back. */
    int fd;
    if (mdb_env_get_fd(env, &fd) == 0)
        (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
    return 0;
}

/* Checksum of a whole file as the disk has it, not as the page cache remembers it. */
static int file_sum(int fd, uint64_t bytes, struct checksum *out)
{
    char *buffer = aligned_alloc(4096, READ_BYTES);
    struct checksum_stream *stream = checksum_stream_new();
    int result = buffer == NULL || stream == NULL ? -ENOMEM : 0;
    for (uint64_t done = 0; done < bytes && result == 0;) {
        ssize_t got = pread(fd, buffer, READ_BYTES, (off_t)done);
        if (got > 0) {
            checksum_stream_add(stream, buffer, (size_t)got);
            done += (uint64_t)got;
        } else {
            result = got < 0 ? -errno : -EIO;
        }
    }
    if (result == 0)
        *out = checksum_stream_end(stream);
    checksum_stream_free(stream);
    free(buffer);
    return result;
}

/* Puts the sidecars onto the disk that the snapshot relies on. */
static int sidecars_sync(struct snapshot_writer *writer)
{
    for (uint32_t segment = writer->segments_synced; segment < writer->entry.segment; segment++) {
        char name[SIDECAR_NAME_BYTES];
        int result = sidecar_sync(writer->directory, segment);
        if (result == -ENOENT)
            continue; /* it was damaged and put away: the next start sees that */
        sidecar_name(segment, name);
        if (result != 0)
            return error_set(&writer->error, result, "%s/shard-0/%s: cannot be synced: %s",
                             writer->directory->path, name, strerror(-result));
    }
    writer->segments_synced = writer->entry.segment;
    return 0;
}

/* Waits until the snapshot is proven; false: it was abandoned. */
static bool proof_await(struct snapshot_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    while (!writer->proven && writer->state != SNAPSHOT_WRITER_ABANDON)
        pthread_cond_wait(&writer->changed, &writer->mutex);
    bool proven = writer->proven && writer->state != SNAPSHOT_WRITER_ABANDON;
    pthread_mutex_unlock(&writer->mutex);
    return proven;
}

/* Reads the finished file back, gives it its name and enters it into the manifest. */
static int file_publish(struct snapshot_writer *writer)
{
    const struct directory *directory = writer->directory;
    char name[SNAPSHOT_NAME_BYTES];
    struct stat status;
    int fd = openat(directory->shard_fd, temporary, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return system_error(writer, "cannot be read back");
    int result = fstat(fd, &status) != 0 ? system_error(writer, "cannot be read back") : 0;
    if (result == 0) {
        writer->entry.file_bytes = (uint64_t)status.st_size;
        errno = -file_sum(fd, writer->entry.file_bytes, &writer->entry.file);
        if (errno != 0)
            result = system_error(writer, "cannot be read back");
    }
    if (result == 0 && !PLANTED(SKIP_SNAPSHOT_SYNC) && fsync(fd) != 0)
        result = system_error(writer, "cannot be synced");
    close(fd);
    snapshot_name(writer->entry.segment, name);
    if (result == 0)
        result = sidecars_sync(writer);
    if (result == 0 && !proof_await(writer))
        result = error_set(&writer->error, -ECANCELED, "abandoned");
    if (result == 0 && (renameat(directory->shard_fd, temporary, directory->shard_fd, name) != 0 ||
                        fsync(directory->shard_fd) != 0))
        result = system_error(writer, "cannot be renamed");
    if (result == 0 && PLANTED(PRUNE_EARLY))
        snapshots_tidy(directory, &(struct manifest){.count = 1, .entries = {writer->entry}});
    if (result == 0)
        result = manifest_add(directory, &writer->entry, &writer->error);
    if (result != 0)
        return result;
    struct manifest manifest;
    struct error ignored;
    if (manifest_read(directory, &manifest, &ignored) == 0)
        snapshots_tidy(directory, &manifest);
    return 0;
}

static void pause_for(uint64_t ns)
{
    struct timespec pause = {.tv_sec = (time_t)(ns / GIRO_NS_PER_S),
                             .tv_nsec = (long)(ns % GIRO_NS_PER_S)};
    (void)nanosleep(&pause, NULL);
}

/* Waits for a batch. Returns it, or NULL when no more will come. */
static struct snapshot_batch *batch_await(struct snapshot_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    while (writer->state == SNAPSHOT_WRITER_RUNS && writer->filled == writer->written)
        pthread_cond_wait(&writer->changed, &writer->mutex);
    bool more = writer->state != SNAPSHOT_WRITER_ABANDON && writer->filled != writer->written;
    struct snapshot_batch *batch = &writer->batches[writer->written % SNAPSHOT_BATCHES];
    pthread_mutex_unlock(&writer->mutex);
    return more ? batch : NULL;
}

static void batch_written(struct snapshot_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    writer->written++;
    pthread_mutex_unlock(&writer->mutex);
}

static enum snapshot_writer_state writer_state(struct snapshot_writer *writer, uint32_t *out_queued)
{
    pthread_mutex_lock(&writer->mutex);
    enum snapshot_writer_state state = writer->state;
    *out_queued = writer->filled - writer->written;
    pthread_mutex_unlock(&writer->mutex);
    return state;
}

/* Writes batches as they come, at the pace that was set. */
static int batches_write(struct snapshot_writer *writer, MDB_env *env,
                         const MDB_dbi databases[SNAPSHOT_DATABASES])
{
    uint64_t due = clock_monotonic_ns();
    struct snapshot_batch *batch;
    while ((batch = batch_await(writer)) != NULL) {
        int result = batch_write(writer, batch, env, databases);
        if (result != 0)
            return result;
        uint64_t now = clock_monotonic_ns();
        uint64_t bytes_per_s = atomic_load_explicit(&writer->bytes_per_s, memory_order_relaxed);
        if (bytes_per_s != 0) {
            due += batch->used_bytes * GIRO_NS_PER_S / bytes_per_s;
            if (due > now)
                pause_for(due - now);
            else
                due = now; /* what was lost is not made up for */
        }
        batch_written(writer);
    }
    uint32_t queued;
    return writer_state(writer, &queued) == SNAPSHOT_WRITER_ABANDON
               ? error_set(&writer->error, -ECANCELED, "abandoned")
               : 0;
}

static void *writer_run(void *argument)
{
    struct snapshot_writer *writer = argument;
    MDB_dbi databases[SNAPSHOT_DATABASES];
    MDB_env *env = NULL;
    int result = environment_open(writer, &env, databases);
    if (result == 0) {
        result = batches_write(writer, env, databases);
        int code = result == 0 && !PLANTED(SKIP_SNAPSHOT_SYNC) ? mdb_env_sync(env, 1) : 0;
        if (code != 0)
            result = lmdb_error(writer, "cannot be synced", code);
        mdb_env_close(env);
    }
    if (result == 0)
        result = file_publish(writer);
    if (result != 0)
        (void)unlinkat(writer->directory->shard_fd, temporary, 0);
    pthread_mutex_lock(&writer->mutex);
    writer->state = result == 0 ? SNAPSHOT_WRITER_DONE : SNAPSHOT_WRITER_FAILED;
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

static void writer_signal(struct snapshot_writer *writer, enum snapshot_writer_state state)
{
    pthread_mutex_lock(&writer->mutex);
    if (writer->state == SNAPSHOT_WRITER_RUNS || state == SNAPSHOT_WRITER_ABANDON) {
        if (writer->state != SNAPSHOT_WRITER_FAILED && writer->state != SNAPSHOT_WRITER_DONE)
            writer->state = state;
    }
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
}

/* Hands the batch over that was filled. */
static void batch_submit(struct snapshot_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    writer->filled++;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
}

/* Room for one value in the batch; NULL: it is full. */
static void *batch_put(struct snapshot_batch *batch, uint32_t database, uint64_t key, uint32_t size)
{
    uint32_t offset = (batch->used_bytes + 15) / 16 * 16;
    if (batch->put_count == SNAPSHOT_BATCH_PUTS || offset + size > SNAPSHOT_BATCH_BYTES)
        return NULL;
    batch->puts[batch->put_count++] =
        (struct snapshot_put){.database = database, .size = size, .offset = offset, .key = key};
    batch->used_bytes = offset + size;
    return batch->memory + offset;
}

/* ---- Taking one -------------------------------------------------------------------------- */

static size_t holds_bytes(const struct snapshot *snapshot)
{
    return ((size_t)snapshot->holds_most + 1) * sizeof *snapshot->holds;
}

int snapshot_init(struct snapshot *snapshot, const struct directory *directory,
                  const struct snapshot_options *options)
{
    *snapshot = (struct snapshot){
        .writer = {.directory = directory,
                   .map_bytes = options->map_bytes,
                   .bytes_per_s = options->bytes_per_s},
    };
    struct snapshot_writer *writer = &snapshot->writer;
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->changed, NULL);
    bool made = true;
    for (uint32_t i = 0; i < SNAPSHOT_BATCHES; i++) {
        struct snapshot_batch *batch = &writer->batches[i];
        batch->memory = memory_reserve(SNAPSHOT_BATCH_BYTES);
        batch->puts = memory_reserve(SNAPSHOT_BATCH_PUTS * sizeof *batch->puts);
        made = made && batch->memory != NULL && batch->puts != NULL;
    }
    if (made)
        return 0;
    snapshot_free(snapshot);
    return -ENOMEM;
}

/* What only an active snapshot needs is given back when it is over. */
static void table_end(struct snapshot_table *table)
{
    memory_release(table->aside, (size_t)table->rows * sizeof *table->aside);
    memory_release(table->kept, (size_t)table->rows * table->row_bytes);
    if (table->digest != NULL)
        checksum_stream_free(table->digest);
    table->aside = NULL;
    table->kept = NULL;
    table->digest = NULL;
}

static bool table_begin(struct snapshot_table *table, const struct ledger *ledger,
                        enum ledger_table number)
{
    const struct table_rows rows = ledger_rows(ledger, number);
    *table = (struct snapshot_table){
        .table = number,
        .row_bytes = rows.row_bytes,
        .chunk_rows = SNAPSHOT_CHUNK_BYTES / rows.row_bytes,
        .rows = rows.count,
        .digest = checksum_stream_new(),
    };
    if (rows.count == 0)
        return table->digest != NULL;
    table->aside = memory_reserve((size_t)rows.count * sizeof *table->aside);
    table->kept = memory_reserve((size_t)rows.count * rows.row_bytes);
    return table->digest != NULL && table->aside != NULL && table->kept != NULL;
}

static void snapshot_release(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < LEDGER_TABLES; i++)
        table_end(&snapshot->tables[i]);
    memory_release(snapshot->holds, holds_bytes(snapshot));
    snapshot->holds = NULL;
    snapshot->active = false;
    snapshot->writer.state = SNAPSHOT_WRITER_NONE;
}

void snapshot_free(struct snapshot *snapshot)
{
    struct snapshot_writer *writer = &snapshot->writer;
    if (writer->directory == NULL)
        return;
    if (snapshot->active)
        snapshot_abandon(snapshot);
    for (uint32_t i = 0; i < SNAPSHOT_BATCHES; i++) {
        struct snapshot_batch *batch = &writer->batches[i];
        memory_release(batch->memory, SNAPSHOT_BATCH_BYTES);
        memory_release(batch->puts, SNAPSHOT_BATCH_PUTS * sizeof *batch->puts);
    }
    pthread_mutex_destroy(&writer->mutex);
    pthread_cond_destroy(&writer->changed);
    *snapshot = (struct snapshot){0};
}

static void holds_keep(struct snapshot *snapshot, const struct ledger *ledger)
{
    snapshot->hold_count = 0;
    for (uint32_t i = 0; i < ledger->holds.slots_used; i++) {
        const struct hold *hold = &ledger->holds.slots[i];
        if (hold->record.id != 0)
            snapshot->holds[snapshot->hold_count++] = (struct snapshot_hold){
                .record = hold->record, .address = hold->address, .expires_at = hold->expires_at};
    }
}

/* Bytes of the table of outcomes for the log before the snapshot's segment. */
static uint64_t outcomes_bytes(const struct snapshot *snapshot)
{
    return (uint64_t)snapshot->segment * snapshot->writer.directory->meta.segment_bytes /
           GIRO_RECORD_BYTES / 4;
}

/* About how large the file will be at most. */
static uint64_t expected_bytes(const struct snapshot *snapshot)
{
    uint64_t chunks = snapshot->hold_count / SNAPSHOT_CHUNK_HOLDS +
                      outcomes_bytes(snapshot) / SNAPSHOT_CHUNK_BYTES + snapshot->segment;
    for (uint32_t i = 0; i < LEDGER_TABLES; i++)
        chunks += snapshot->tables[i].rows / snapshot->tables[i].chunk_rows;
    return chunks * 4200;
}

int snapshot_begin(struct snapshot *snapshot, const struct ledger *ledger,
                   const struct log_position *position, struct error *error)
{
    struct snapshot_writer *writer = &snapshot->writer;
    assert(!snapshot->active);
    snapshot->holds_most = ledger->holds.count;
    snapshot->holds = memory_reserve(holds_bytes(snapshot));
    bool made = true;
    for (enum ledger_table table = 0; table < LEDGER_TABLES; table++)
        made = table_begin(&snapshot->tables[table], ledger, table) && made;
    if (!made || snapshot->holds == NULL) {
        snapshot_release(snapshot);
        return error_set(error, -ENOMEM, "out of address space for a snapshot");
    }
    snapshot->phase = SNAPSHOT_PHASE_TABLES;
    snapshot->next = 0;
    snapshot->segment = position->segment;
    snapshot->position = *position;
    snapshot->totals = ledger_totals(ledger);
    holds_keep(snapshot, ledger);
    snapshot->digest_holds = ledger_digest_holds(ledger);
    snapshot->sums = (struct ledger_sums){0};
    memset(snapshot->rows_proven, 0, sizeof snapshot->rows_proven);
    snapshot->proven = true;
    writer->filled = 0;
    writer->written = 0;
    writer->proven = snapshot->proven;
    writer->error = (struct error){0};
    writer->entry = (struct manifest_entry){.segment = position->segment, .lsn = position->lsn - 1};
    writer->expected_bytes = expected_bytes(snapshot);
    writer->state = SNAPSHOT_WRITER_RUNS;
    int result = pthread_create(&writer->thread, NULL, writer_run, writer);
    if (result != 0) {
        snapshot_release(snapshot);
        return error_set(error, -result, "cannot start a thread: %s", strerror(result));
    }
    snapshot->active = true;
    return 0;
}

/* Writes one chunk of size bytes of items; false: the batch is full. */
static bool chunk_put(struct snapshot *snapshot, uint32_t database, uint64_t key, uint64_t first,
                      uint32_t count, const void *items, uint32_t size)
{
    struct snapshot_chunk head = {.first = first, .count = count};
    char *value = batch_put(snapshot->batch, database, key, (uint32_t)sizeof head + size);
    if (value == NULL)
        return false;
    head.checksum = checksum_of(items, size);
    memcpy(value, &head, sizeof head);
    memcpy(value + sizeof head, items, size);
    return true;
}

/* A chunk of rows as they were at the snapshot's moment; live: as they are now. */
static void chunk_gather(const struct snapshot_table *table, const char *live, uint32_t first,
                         uint32_t count, char *rows)
{
    memcpy(rows, live + (size_t)first * table->row_bytes, (size_t)count * table->row_bytes);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t aside = table->aside[first + i];
        if (aside != 0)
            memcpy(rows + (size_t)i * table->row_bytes,
                   table->kept + (size_t)(aside - 1) * table->row_bytes, table->row_bytes);
    }
}

static bool table_put(struct snapshot *snapshot, struct snapshot_table *table, const void *live)
{
    uint32_t chunks = (table->rows + table->chunk_rows - 1) / table->chunk_rows;
    for (; table->chunk_next < chunks; table->chunk_next++) {
        _Alignas(struct giro_account) char rows[SNAPSHOT_CHUNK_BYTES];
        uint32_t first = table->chunk_next * table->chunk_rows;
        uint32_t left = table->rows - first;
        uint32_t count = left < table->chunk_rows ? left : table->chunk_rows;
        chunk_gather(table, live, first, count, rows);
        if (!chunk_put(snapshot, table->table, table->chunk_next, first, count, rows,
                       count * table->row_bytes))
            return false;
        checksum_stream_add(table->digest, rows, (size_t)count * table->row_bytes);
        if (table->table == LEDGER_ACCOUNTS)
            for (uint32_t i = 0; i < count; i++)
                ledger_sums_add(&snapshot->sums, &((const struct giro_account *)(void *)rows)[i]);
    }
    return true;
}

static bool tables_put(struct snapshot *snapshot, const struct ledger *ledger)
{
    for (; snapshot->next < LEDGER_TABLES; snapshot->next++) {
        struct snapshot_table *table = &snapshot->tables[snapshot->next];
        if (!table_put(snapshot, table, ledger_rows(ledger, table->table).rows))
            return false;
    }
    return true;
}

static bool holds_put(struct snapshot *snapshot)
{
    for (; snapshot->next < snapshot->hold_count; snapshot->next += SNAPSHOT_CHUNK_HOLDS) {
        uint64_t left = snapshot->hold_count - snapshot->next;
        uint32_t count = left < SNAPSHOT_CHUNK_HOLDS ? (uint32_t)left : SNAPSHOT_CHUNK_HOLDS;
        if (!chunk_put(snapshot, SNAPSHOT_HOLDS, snapshot->next / SNAPSHOT_CHUNK_HOLDS,
                       snapshot->next, count, &snapshot->holds[snapshot->next],
                       count * (uint32_t)sizeof *snapshot->holds))
            return false;
    }
    return true;
}

static bool outcomes_put(struct snapshot *snapshot, const struct ledger *ledger)
{
    static const uint8_t zeros[SNAPSHOT_CHUNK_BYTES];
    enum { LOOKS_MAX = 4096 }; /* 16 MiB of zeros at a time */
    uint64_t end = outcomes_bytes(snapshot);
    for (uint32_t looks = 0; snapshot->next < end; looks++) {
        uint64_t left = end - snapshot->next;
        uint32_t size = left < SNAPSHOT_CHUNK_BYTES ? (uint32_t)left : SNAPSHOT_CHUNK_BYTES;
        const uint8_t *bytes = &ledger->holds.outcome[snapshot->next];
        if (looks == LOOKS_MAX)
            return false;
        if (memcmp(bytes, zeros, size) != 0 &&
            !chunk_put(snapshot, SNAPSHOT_OUTCOMES, snapshot->next / SNAPSHOT_CHUNK_BYTES,
                       snapshot->next, size, bytes, size))
            return false;
        snapshot->next += size;
    }
    return true;
}

static bool segments_put(struct snapshot *snapshot, const struct archive *archive)
{
    for (; snapshot->next < snapshot->segment; snapshot->next++) {
        void *value = batch_put(snapshot->batch, SNAPSHOT_SEGMENTS, snapshot->next,
                                sizeof(struct segment_facts));
        if (value == NULL)
            return false;
        memcpy(value, &archive->sidecars[snapshot->next]->facts, sizeof(struct segment_facts));
    }
    return true;
}

static bool meta_put(struct snapshot *snapshot)
{
    const struct directory_meta *directory = &snapshot->writer.directory->meta;
    struct snapshot_meta meta = {
        .version = SNAPSHOT_VERSION,
        .segment_bytes = directory->segment_bytes,
        .position = snapshot->position,
        .totals = snapshot->totals,
        .holds = snapshot->hold_count,
        .sums = snapshot->sums,
    };
    struct checksum rows[LEDGER_TABLES];
    for (uint32_t i = 0; i < LEDGER_TABLES; i++) {
        meta.rows[i] = snapshot->tables[i].rows;
        rows[i] = checksum_stream_end(snapshot->tables[i].digest);
    }
    meta.digest = ledger_digest_of(rows, snapshot->digest_holds, &snapshot->totals);
    memcpy(meta.directory_id, directory->directory_id, sizeof meta.directory_id);
    void *value = batch_put(snapshot->batch, SNAPSHOT_META, 0, sizeof meta);
    if (value == NULL)
        return false;
    memcpy(value, &meta, sizeof meta);
    return true;
}

/* Fills the batch; true when everything is in it or in those before it. */
static bool batch_fill(struct snapshot *snapshot, const struct ledger *ledger,
                       const struct archive *archive)
{
    for (;;) {
        bool whole = false;
        switch (snapshot->phase) {
        case SNAPSHOT_PHASE_TABLES:
            whole = tables_put(snapshot, ledger);
            break;
        case SNAPSHOT_PHASE_HOLDS:
            whole = holds_put(snapshot);
            break;
        case SNAPSHOT_PHASE_OUTCOMES:
            whole = outcomes_put(snapshot, ledger);
            break;
        case SNAPSHOT_PHASE_SEGMENTS:
            whole = segments_put(snapshot, archive);
            break;
        case SNAPSHOT_PHASE_META:
            whole = meta_put(snapshot);
            break;
        case SNAPSHOT_PHASE_FINISH:
            return true;
        }
        if (!whole)
            return false;
        snapshot->phase++;
        snapshot->next = 0;
    }
}

enum snapshot_progress snapshot_step(struct snapshot *snapshot, const struct ledger *ledger,
                                     const struct archive *archive)
{
    struct snapshot_writer *writer = &snapshot->writer;
    uint32_t queued;
    enum snapshot_writer_state state = writer_state(writer, &queued);
    if (state == SNAPSHOT_WRITER_DONE || state == SNAPSHOT_WRITER_FAILED) {
        pthread_join(writer->thread, NULL);
        snapshot_release(snapshot);
        return state == SNAPSHOT_WRITER_DONE ? SNAPSHOT_DONE : SNAPSHOT_FAILED;
    }
    if (state != SNAPSHOT_WRITER_RUNS || queued == SNAPSHOT_BATCHES)
        return SNAPSHOT_WAITS;
    snapshot->batch = &writer->batches[writer->filled % SNAPSHOT_BATCHES];
    snapshot->batch->put_count = 0;
    snapshot->batch->used_bytes = 0;
    bool last = batch_fill(snapshot, ledger, archive);
    batch_submit(writer);
    if (last)
        writer_signal(writer, SNAPSHOT_WRITER_ENDS);
    return SNAPSHOT_WORKED;
}

void snapshot_demand_proof(struct snapshot *snapshot)
{
    struct snapshot_writer *writer = &snapshot->writer;
    snapshot->proven = snapshot->tables[LEDGER_ACCOUNTS].rows == 0;
    pthread_mutex_lock(&writer->mutex);
    writer->proven = snapshot->proven;
    pthread_mutex_unlock(&writer->mutex);
}

void snapshot_agreed(struct snapshot *snapshot, const struct ledger *ledger,
                     const struct record_digest *digest)
{
    struct snapshot_writer *writer = &snapshot->writer;
    snapshot->rows_proven[LEDGER_ACCOUNTS] += digest->row_count;
    snapshot->rows_proven[digest->side_table] += digest->side_count;
    for (enum ledger_table table = 0; table < LEDGER_TABLES; table++) {
        if (snapshot->rows_proven[table] < ledger_rows(ledger, table).count)
            return;
    }
    snapshot->proven = true;
    pthread_mutex_lock(&writer->mutex);
    writer->proven = true;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
}

void snapshot_abandon(struct snapshot *snapshot)
{
    writer_signal(&snapshot->writer, SNAPSHOT_WRITER_ABANDON);
    pthread_join(snapshot->writer.thread, NULL);
    snapshot_release(snapshot);
}

/* ---- Loading one ------------------------------------------------------------------------- */

int snapshot_check(const struct directory *directory, const struct manifest_entry *entry,
                   struct error *error)
{
    char name[SNAPSHOT_NAME_BYTES];
    struct stat status;
    struct checksum sum;
    snapshot_name(entry->segment, name);
    int fd = openat(directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        int result = -errno;
        if (fd >= 0)
            close(fd);
        return error_set(error, result, "%s/shard-0/%s: %s", directory->path, name,
                         result == -ENOENT ? "missing" : strerror(-result));
    }
    int result = 0;
    if ((uint64_t)status.st_size != entry->file_bytes)
        result =
            error_set(error, -EBADMSG,
                      "%s/shard-0/%s: damaged: it has %lld bytes and was written with %" PRIu64,
                      directory->path, name, (long long)status.st_size, entry->file_bytes);
    if (result == 0) {
        /* Through the page cache, which LMDB maps: what is checked here is what it will see. */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        result = file_sum(fd, entry->file_bytes, &sum);
        if (result != 0)
            (void)error_set(error, result, "%s/shard-0/%s: cannot be read: %s", directory->path,
                            name, strerror(-result));
        else if (!checksum_equal(sum, entry->file))
            result = error_set(error, -EBADMSG,
                               "%s/shard-0/%s: damaged: its checksum is not the one that it was "
                               "written with",
                               directory->path, name);
    }
    close(fd);
    return result;
}

/* One snapshot file, open for loading. */
struct loading {
    const struct directory *directory;
    struct ledger *ledger;
    MDB_env *env;
    MDB_txn *txn;
    struct snapshot_meta meta;
    struct segment_facts *facts;
    enum ledger_table table; /* being read */
    uint64_t done;           /* items of the database being read */
};

typedef int (*loading_take)(struct loading *loading, uint64_t key, const char *items,
                            const struct snapshot_chunk *head, size_t size);

/* Walks a database of chunks. */
static int chunks_load(struct loading *loading, uint32_t database, loading_take take)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int code = mdb_dbi_open(loading->txn, database_names[database], MDB_INTEGERKEY, &dbi);
    if (code == 0)
        code = mdb_cursor_open(loading->txn, dbi, &cursor);
    if (code != 0)
        return -EBADMSG;
    int result = 0;
    loading->done = 0;
    while (result == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct snapshot_chunk head;
        uint64_t number;
        if (key.mv_size != KEY_BYTES || value.mv_size < sizeof head) {
            result = -EBADMSG;
            break;
        }
        memcpy(&number, key.mv_data, sizeof number);
        memcpy(&head, value.mv_data, sizeof head);
        const char *items = (const char *)value.mv_data + sizeof head;
        size_t size = value.mv_size - sizeof head;
        if (!checksum_equal(head.checksum, checksum_of(items, size)))
            result = -EBADMSG;
        else
            result = take(loading, number, items, &head, size);
    }
    mdb_cursor_close(cursor);
    return result != 0 ? result : code == MDB_NOTFOUND ? 0 : -EBADMSG;
}

/* The rows of loading->table: they must be those behind the last one's. */
static int rows_take(struct loading *loading, uint64_t key, const char *items,
                     const struct snapshot_chunk *head, size_t size)
{
    _Alignas(struct giro_account) char rows[SNAPSHOT_CHUNK_BYTES]; /* where they are aligned */
    const uint32_t row_bytes = ledger_rows(loading->ledger, loading->table).row_bytes;
    if (head->first != loading->done || head->count > sizeof rows / row_bytes ||
        size != (size_t)head->count * row_bytes)
        return -EBADMSG;
    memcpy(rows, items, size);
    loading->done += head->count;
    if ((loading->table == LEDGER_LIMITS && PLANTED(FORGET_LIMITS)) ||
        (loading->table == LEDGER_SESSIONS && PLANTED(FORGET_SESSIONS)))
        return 0;
    return ledger_restore_rows(loading->ledger, loading->table, rows, head->count);
}

static int holds_take(struct loading *loading, uint64_t key, const char *items,
                      const struct snapshot_chunk *head, size_t size)
{
    struct snapshot_hold hold;
    if (head->first != loading->done || size != head->count * sizeof hold)
        return -EBADMSG;
    for (uint32_t i = 0; i < head->count; i++) {
        memcpy(&hold, items + i * sizeof hold, sizeof hold);
        int result =
            ledger_restore_hold(loading->ledger, &hold.record, hold.address, hold.expires_at);
        if (result != 0)
            return result;
    }
    loading->done += head->count;
    return 0;
}

static int outcomes_take(struct loading *loading, uint64_t key, const char *items,
                         const struct snapshot_chunk *head, size_t size)
{
    uint64_t end = (uint64_t)loading->meta.position.segment * loading->meta.segment_bytes /
                   GIRO_RECORD_BYTES / 4;
    if (size != head->count || head->first > end || size > end - head->first)
        return -EBADMSG;
    if (!PLANTED(FORGET_OUTCOMES))
        memcpy(&loading->ledger->holds.outcome[head->first], items, size);
    return 0;
}

/* Reads one plain value of a database. */
static int value_load(struct loading *loading, enum snapshot_database database, uint64_t number,
                      void *out, size_t size)
{
    MDB_dbi dbi;
    MDB_val key = {.mv_size = sizeof number, .mv_data = &number};
    MDB_val value;
    if (mdb_dbi_open(loading->txn, database_names[database], MDB_INTEGERKEY, &dbi) != 0 ||
        mdb_get(loading->txn, dbi, &key, &value) != 0 || value.mv_size != size)
        return -EBADMSG;
    memcpy(out, value.mv_data, size);
    return 0;
}

static int meta_load(struct loading *loading, const struct manifest_entry *entry)
{
    const struct snapshot_meta *meta = &loading->meta;
    const struct directory_meta *directory = &loading->directory->meta;
    int result = value_load(loading, SNAPSHOT_META, 0, &loading->meta, sizeof loading->meta);
    if (result != 0)
        return result;
    if (meta->version != SNAPSHOT_VERSION)
        return -EPROTO;
    bool belongs = meta->segment_bytes == directory->segment_bytes &&
                   memcmp(meta->directory_id, directory->directory_id, 16) == 0 &&
                   meta->position.segment == entry->segment && meta->position.lsn == entry->lsn + 1;
    return belongs ? 0 : -EXDEV;
}

static int facts_load(struct loading *loading)
{
    uint32_t count = loading->meta.position.segment;
    loading->facts = calloc(count > 0 ? count : 1, sizeof *loading->facts);
    if (loading->facts == NULL)
        return -ENOMEM;
    int result = 0;
    for (uint32_t i = 0; i < count && result == 0; i++)
        result =
            value_load(loading, SNAPSHOT_SEGMENTS, i, &loading->facts[i], sizeof loading->facts[i]);
    return result;
}

static int state_load(struct loading *loading, const struct manifest_entry *entry)
{
    int result = meta_load(loading, entry);
    if (result == 0)
        result = facts_load(loading);
    for (enum ledger_table table = 0; table < LEDGER_TABLES && result == 0; table++) {
        loading->table = table;
        result = chunks_load(loading, table, rows_take);
        if (result == 0 && loading->done != loading->meta.rows[table])
            result = -EBADMSG;
    }
    if (result == 0 && !ledger_restored_rows_fit(loading->ledger))
        result = -EBADMSG;
    if (result == 0)
        result = chunks_load(loading, SNAPSHOT_OUTCOMES, outcomes_take);
    if (result == 0)
        result = chunks_load(loading, SNAPSHOT_HOLDS, holds_take); /* resets their outcomes */
    if (result == 0 && loading->done != loading->meta.holds)
        result = -EBADMSG;
    if (result != 0)
        return result;
    const struct ledger_sums *sums = &loading->meta.sums;
    if (sums->debits_posted != sums->credits_posted ||
        sums->debits_pending != sums->credits_pending)
        return -EBADMSG;
    if (loading->meta.totals.timestamp_last > GIRO_TIMESTAMP_MAX)
        return -EBADMSG;
    ledger_restore_totals(loading->ledger, &loading->meta.totals);
    return checksum_equal(ledger_digest(loading->ledger), loading->meta.digest) ? 0 : -EBADMSG;
}

static const char *load_error_text(int result)
{
    switch (result) {
    case -EBADMSG:
        return "damaged: its contents contradict themselves";
    case -EPROTO:
        return "written by another version of giro";
    case -EXDEV:
        return "of another directory, or misplaced";
    case -ENOSPC:
        return "holds more than the limits allow: raise accounts_max, holds_max or payments_max";
    default:
        return strerror(-result);
    }
}

int snapshot_load(const struct directory *directory, const struct manifest_entry *entry,
                  struct ledger *ledger, struct snapshot_meta *out_meta,
                  struct segment_facts **out_facts, struct error *error)
{
    struct loading loading = {.directory = directory, .ledger = ledger};
    char name[SNAPSHOT_NAME_BYTES];
    char path[sizeof directory->path + 64];
    snapshot_name(entry->segment, name);
    shard_path(directory, name, path, sizeof path);
    int code = mdb_env_create(&loading.env);
    if (code == 0)
        code = mdb_env_set_maxdbs(loading.env, SNAPSHOT_DATABASES);
    if (code == 0)
        code =
            mdb_env_open(loading.env, path,
                         MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD, 0600);
    if (code == 0)
        code = mdb_txn_begin(loading.env, NULL, MDB_RDONLY, &loading.txn);
    int result = code == 0 ? state_load(&loading, entry) : -EBADMSG;
    if (loading.txn != NULL)
        mdb_txn_abort(loading.txn);
    if (loading.env != NULL)
        mdb_env_close(loading.env);
    if (result == 0) {
        *out_meta = loading.meta;
        *out_facts = loading.facts;
        return 0;
    }
    free(loading.facts);
    return error_set(error, result, "%s/shard-0/%s: %s", directory->path, name,
                     code != 0 ? mdb_strerror(code) : load_error_text(result));
}
