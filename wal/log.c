#include "wal/log.h"

#include "engine/memory.h"
#include "engine/planted.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ZERO_WRITE_BYTES = 1 << 20,      /* small enough not to hold up a commit */
    ZERO_WRITE_BYTES_LATE = 4 << 20, /* when the log is about to wait for the segment */
    ZERO_PAUSE_NS = 5 * 1000 * 1000, /* between writes while there is time: about 180 MB/s */
    SEGMENT_RETRY_NS = 500 * 1000 * 1000,
};

static const char segment_temporary[] = "next.tmp";

/* ---- Memory and positions ---------------------------------------------------------------- */

void *log_window_make(uint64_t window_bytes)
{
    return memory_reserve(window_bytes);
}

void log_window_free(void *window, uint64_t window_bytes)
{
    memory_release(window, window_bytes);
}

static uint64_t segment_bytes(const struct log *log)
{
    return log->directory->meta.segment_bytes;
}

static struct block_header *block_at(const struct log *log, uint64_t position)
{
    return (struct block_header *)(void *)(log->memory +
                                           (position & (log->options.window_bytes - 1)));
}

/* ---- The map from address to block ------------------------------------------------------- */

static size_t map_bytes(void)
{
    return (RECORD_ADDRESS_MAX + 1) * GIRO_RECORD_BYTES / LOG_CHUNK_BYTES * sizeof(uint32_t);
}

int log_map_init(uint32_t **out_map)
{
    *out_map = memory_reserve(map_bytes());
    return *out_map == NULL ? -ENOMEM : 0;
}

void log_map_free(uint32_t *map)
{
    memory_release(map, map_bytes());
}

void log_map_add(uint32_t *map, const struct directory_meta *meta,
                 const struct block_header *header)
{
    uint64_t begin = (uint64_t)header->segment * meta->segment_bytes + header->offset;
    uint64_t end = begin + header->block_bytes;
    uint64_t chunk = (begin + LOG_CHUNK_BYTES - 1) / LOG_CHUNK_BYTES;
    for (; chunk * LOG_CHUNK_BYTES < end; chunk++)
        map[chunk] = header->offset / meta->sector_bytes + 1;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static int segments_open(struct log *log, struct error *error)
{
    log->segment_fds = memory_reserve(LOG_SEGMENTS_MAX * sizeof *log->segment_fds);
    log->maker.zeros =
        mmap(NULL, ZERO_WRITE_BYTES_LATE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (log->segment_fds == NULL || log->maker.zeros == MAP_FAILED) {
        log->segment_count = 0; /* none is open */
        return error_set(error, -ENOMEM, "out of memory");
    }
    for (uint32_t segment = 0; segment < log->segment_count; segment++) {
        int fd = segment_open(log->directory, segment, O_RDWR, error);
        if (fd < 0) {
            log->segment_count = segment;
            return fd;
        }
        log->segment_fds[segment] = fd;
    }
    /* Whatever was read is what is on the disk, not in a cache that a crash may still empty. */
    for (uint32_t segment = (uint32_t)(log->open_begin / segment_bytes(log));
         segment < log->segment_count; segment++) {
        if (fdatasync(log->segment_fds[segment]) != 0)
            return error_set(error, -errno, "%s: sync of segment %u failed: %s",
                             log->directory->path, segment, strerror(errno));
    }
    return directory_sync(log->directory, error);
}

int log_open(struct log *log, struct io *io, const struct log_reader *reader,
             const struct log_options *options, struct error *error)
{
    const struct directory_meta *meta = &reader->directory->meta;
    assert((options->window_bytes & (options->window_bytes - 1)) == 0);
    *log = (struct log){
        .io = io,
        .directory = reader->directory,
        .options = *options,
        .memory = reader->window,
        .open_begin = (uint64_t)reader->segment * meta->segment_bytes + reader->offset,
        .lsn = reader->lsn,
        .lsn_durable = reader->lsn - 1,
        .ordinal = reader->ordinal,
        .previous = reader->previous,
        .epoch = reader->epoch + 1,
        .segment_count = reader->segment_count,
        .maker.fd = -1,
    };
    uint64_t window_segments = options->window_bytes / meta->segment_bytes;
    uint64_t low_segment =
        reader->segment_count > window_segments ? reader->segment_count - window_segments : 0;
    if (low_segment < reader->segment_first)
        low_segment = reader->segment_first; /* nothing before it was read */
    log->window = (struct record_window){
        .base = (union record *)(void *)log->memory,
        .records = options->window_bytes / GIRO_RECORD_BYTES,
        .low = low_segment * meta->segment_bytes / GIRO_RECORD_BYTES,
    };
    log->feed.memory = log->memory;
    log->feed.window_bytes = options->window_bytes;
    atomic_init(&log->feed.durable, log->open_begin);
    atomic_init(&log->feed.low, log->window.low * GIRO_RECORD_BYTES);
    int result = segments_open(log, error);
    if (result != 0)
        log_close(log);
    return result;
}

void log_close(struct log *log)
{
    assert(log_quiet(log));
    for (uint32_t segment = 0; segment < log->segment_count; segment++)
        close(log->segment_fds[segment]);
    memory_release(log->segment_fds, LOG_SEGMENTS_MAX * sizeof *log->segment_fds);
    if (log->maker.zeros != NULL && log->maker.zeros != MAP_FAILED)
        (void)munmap(log->maker.zeros, ZERO_WRITE_BYTES_LATE);
    log->segment_fds = NULL;
    log->segment_count = 0;
}

/* ---- Appending --------------------------------------------------------------------------- */

/* Moves the empty open block to the next segment when this one has no room for size_bytes. */
static bool open_block_place(struct log *log, uint32_t size_bytes)
{
    uint64_t used = log->open_begin & (segment_bytes(log) - 1);
    uint64_t segment = log->open_begin / segment_bytes(log);
    bool rolls = segment < log->roll_to && log->roll_to < log->segment_count;
    if (segment < log->segment_count && segment_bytes(log) - used >= size_bytes && !rolls)
        return true;
    if (used != 0)
        segment++;
    if (segment >= log->segment_count)
        return false;
    log->open_begin = segment * segment_bytes(log);
    return true;
}

/* The open block may grow to size_bytes: what the window held there one round ago is gone. */
static void window_overwrite(struct log *log, uint32_t size_bytes)
{
    uint64_t end = log->open_begin + size_bytes;
    if (end <= log->options.window_bytes)
        return;
    uint64_t low = (end - log->options.window_bytes) / GIRO_RECORD_BYTES;
    if (low <= log->window.low || PLANTED(FORGET_WINDOW))
        return;
    log->window.low = low;
    /* Whoever reads something newer from there must see this: the fence keeps the store in front of
     * the writes to the window, and pairs with the one in wal/tail.c. */
    atomic_store_explicit(&log->feed.low, low * GIRO_RECORD_BYTES, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

enum log_room log_reserve(struct log *log, uint32_t count, union record **out_records,
                          uint64_t *out_address)
{
    uint32_t sector = log->directory->meta.sector_bytes;
    uint32_t size = block_size_bytes(log->open_records + count, sector);
    assert(count <= log_records_max(log));
    if (log->open_records == 0) {
        if (!open_block_place(log, size))
            return LOG_FULL;
    } else {
        uint64_t used = log->open_begin & (segment_bytes(log) - 1);
        if (size > log->options.block_bytes_max || size > segment_bytes(log) - used)
            return LOG_BUSY;
    }
    uint64_t begin =
        log->open_begin + BLOCK_HEADER_BYTES + (uint64_t)log->open_records * GIRO_RECORD_BYTES;
    *out_address = begin / GIRO_RECORD_BYTES;
    *out_records = (union record *)(void *)block_at(log, begin);
    window_overwrite(log, size);
    return LOG_ROOM;
}

void log_commit(struct log *log, uint32_t count)
{
    log->open_records += count;
}

/* Seals the open block and starts its write. From here on its bytes belong to the disk. */
static void block_submit(struct log *log, enum block_kind kind, uint64_t written_at)
{
    struct block_header *header = block_at(log, log->open_begin);
    uint32_t records_bytes = log->open_records * GIRO_RECORD_BYTES;
    uint32_t block_bytes = block_size_bytes(log->open_records, log->directory->meta.sector_bytes);
    assert(!log->in_flight);
    *header = (struct block_header){
        .magic = BLOCK_MAGIC,
        .version = BLOCK_VERSION,
        .segment = (uint32_t)(log->open_begin / segment_bytes(log)),
        .offset = (uint32_t)(log->open_begin & (segment_bytes(log) - 1)),
        .lsn = log->lsn,
        .lsn_durable = log->lsn_durable,
        .ordinal = log->ordinal,
        .record_count = log->open_records,
        .block_bytes = block_bytes,
        .written_at = written_at,
        .epoch = log->epoch,
        .kind = (uint16_t)kind,
        .previous = log->previous,
    };
    memcpy(header->directory_id, log->directory->meta.directory_id, sizeof header->directory_id);
    memset((char *)(header + 1) + records_bytes, 0,
           block_bytes - BLOCK_HEADER_BYTES - records_bytes);
    block_seal(header);
    log_map_add(log->chunk_blocks, &log->directory->meta, header);

    log->write = (struct io_op){
        .kind = IO_LOG_WRITE,
        .fd = log->segment_fds[header->segment],
        .buffer = header,
        .size = block_bytes,
        .offset = header->offset,
        .owner = LOG_OWNER_WRITE,
    };
    log->in_flight = true;
    log->in_flight_lsn = log->lsn;
    log->in_flight_end = log->open_begin + block_bytes;
    log->open_begin += block_bytes;
    if (PLANTED(REUSE_BUFFER) && block_bytes > log->directory->meta.sector_bytes)
        log->open_begin -= log->directory->meta.sector_bytes;
    log->lsn++;
    log->ordinal += log->open_records;
    log->open_records = 0;
    log->previous = header->header_checksum;
    io_submit(log->io, &log->write);
}

void log_flush(struct log *log, uint64_t written_at)
{
    if (!log->in_flight && log->open_records > 0)
        block_submit(log, BLOCK_RECORDS, written_at);
}

bool log_mark(struct log *log, enum block_kind kind, uint64_t written_at)
{
    assert(log->open_records == 0);
    uint32_t size = block_size_bytes(0, log->directory->meta.sector_bytes);
    if (!open_block_place(log, size))
        return false;
    window_overwrite(log, size);
    block_submit(log, kind, written_at);
    return true;
}

uint32_t log_roll(struct log *log)
{
    uint64_t segment = log->open_begin / segment_bytes(log);
    bool empty = log->open_records == 0 && (log->open_begin & (segment_bytes(log) - 1)) == 0;
    uint32_t target = (uint32_t)(empty ? segment : segment + 1);
    if (log->roll_to < target)
        log->roll_to = target;
    return log->roll_to;
}

/* A log whose write failed must not go on: what is on the disk is unknown, and after a failed flush
 * the kernel may report success while data is gone. A restart reads what is really there. */
static void __attribute__((noreturn)) write_failed(const struct log *log)
{
    int result = log->write.result;
    const struct block_header *header = log->write.buffer;
    fprintf(stderr,
            "giro: write of block %" PRIu64 " failed: %s/shard-0/%010u.log, offset %u, %u bytes: "
            "%s (errno %d): stopping; what was acknowledged is safe, and a restart tells what else "
            "is\n",
            header->lsn, log->directory->path, header->segment, header->offset, header->block_bytes,
            result < 0 ? strerror(-result) : "short write", result < 0 ? -result : 0);
    abort();
}

void log_write_done(struct log *log)
{
    if (log->write.result == -EAGAIN || log->write.result == -EINTR) {
        io_submit(log->io, &log->write); /* nothing was written */
        return;
    }
    bool accepted = (PLANTED(ACCEPT_SHORT_WRITE) && log->write.result > 0) ||
                    (PLANTED(IGNORE_WRITE_ERROR) && log->write.result < 0);
    if (log->write.result != (int32_t)log->write.size && !accepted)
        write_failed(log);
    log->in_flight = false;
    log->lsn_durable = log->in_flight_lsn;
    log->blocks_written++;
    atomic_store(&log->feed.durable, log->in_flight_end);
}

/* ---- Segments made ahead ----------------------------------------------------------------- */

/* A segment is made of real zeros: writing into blocks that were merely allocated costs the file
 * system a journal commit with every group commit, half as much time again. It is written with
 * pauses while there is time, and in larger writes without any when only one segment is left ahead.
 * It gets its final name only once it is on the disk, so a segment with a name is always whole. */

/* Whether at most one segment is left ahead of the one in use. */
static bool segment_is_late(const struct log *log)
{
    return log->segment_count <= log->open_begin / segment_bytes(log) + 2;
}

static void segment_submit(struct log *log, enum segment_step step)
{
    struct segment_maker *maker = &log->maker;
    maker->step = step;
    maker->op = (struct io_op){.fd = maker->fd, .owner = LOG_OWNER_SEGMENT};
    switch (step) {
    case SEGMENT_CREATE:
        maker->op.kind = IO_CREATE;
        maker->op.fd = log->directory->shard_fd;
        maker->op.path = segment_temporary;
        break;
    case SEGMENT_ZERO:
        maker->op.kind = IO_WRITE;
        maker->op.buffer = maker->zeros;
        maker->op.size = segment_is_late(log) ? ZERO_WRITE_BYTES_LATE : ZERO_WRITE_BYTES;
        if (maker->op.size > segment_bytes(log) - maker->offset)
            maker->op.size = segment_bytes(log) - maker->offset;
        maker->op.offset = maker->offset;
        break;
    case SEGMENT_SYNC:
        maker->op.kind = IO_FSYNC;
        break;
    case SEGMENT_RENAME:
        segment_name(log->segment_count, maker->name);
        maker->op.kind = IO_RENAME;
        maker->op.fd = log->directory->shard_fd;
        maker->op.path = segment_temporary;
        maker->op.path_to = maker->name;
        break;
    case SEGMENT_SYNC_FOLDER:
        maker->op.kind = IO_FSYNC;
        maker->op.fd = log->directory->shard_fd;
        break;
    case SEGMENT_IDLE:
        return;
    }
    io_submit(log->io, &maker->op);
}

/* Gives the room back and tries again later; anything but a full disk is the end. */
static void segment_failed(struct log *log, int result, uint64_t monotonic_ns)
{
    struct segment_maker *maker = &log->maker;
    if (maker->fd >= 0)
        close(maker->fd);
    maker->fd = -1;
    maker->step = SEGMENT_IDLE;
    (void)unlinkat(log->directory->shard_fd, segment_temporary, 0);
    if (result != -ENOSPC && result != -EDQUOT && result != -EMFILE && result != -ENFILE &&
        result != -ENOMEM) {
        fprintf(stderr,
                "giro: making segment %u failed: %s/shard-0/%s, offset %u: %s (errno %d): "
                "stopping\n",
                log->segment_count, log->directory->path, segment_temporary, maker->offset,
                strerror(-result), -result);
        abort();
    }
    if (!log->storage_full)
        fprintf(stderr,
                "giro: no room for the next log segment in %s: %s; writes go on in what is "
                "ready and are refused after that; %s\n",
                log->directory->path, strerror(-result),
                result == -EMFILE || result == -ENFILE ? "raise the limit of open files"
                                                       : "free some space");
    log->storage_full = true;
    maker->retry_at = monotonic_ns + SEGMENT_RETRY_NS;
}

static void segment_finish(struct log *log)
{
    struct segment_maker *maker = &log->maker;
    log->segment_fds[log->segment_count] = maker->fd;
    log->segment_count++;
    maker->fd = -1;
    maker->step = SEGMENT_IDLE;
    if (log->storage_full)
        fprintf(stderr, "giro: there is room in %s again: writes are accepted\n",
                log->directory->path);
    log->storage_full = false;
}

static void segment_advance(struct log *log, uint64_t monotonic_ns)
{
    struct segment_maker *maker = &log->maker;
    int result = maker->op.result;
    if (result == -EINTR || result == -EAGAIN) {
        io_submit(log->io, &maker->op);
        return;
    }
    if (result < 0) {
        segment_failed(log, result, monotonic_ns);
        return;
    }
    switch (maker->step) {
    case SEGMENT_CREATE:
        maker->fd = result;
        maker->offset = 0;
        segment_submit(log, SEGMENT_ZERO);
        break;
    case SEGMENT_ZERO:
        maker->offset += (uint32_t)result;
        maker->paused = true;
        maker->resume_at = monotonic_ns + ZERO_PAUSE_NS;
        break;
    case SEGMENT_SYNC:
        segment_submit(log, SEGMENT_RENAME);
        break;
    case SEGMENT_RENAME:
        if (PLANTED(SKIP_FOLDER_SYNC))
            segment_finish(log);
        else
            segment_submit(log, SEGMENT_SYNC_FOLDER);
        break;
    case SEGMENT_SYNC_FOLDER:
        segment_finish(log);
        break;
    case SEGMENT_IDLE:
        break;
    }
}

/* Records have addresses of RECORD_ADDRESS_BITS. */
static uint64_t segments_max(const struct log *log)
{
    uint64_t addressed = (RECORD_ADDRESS_MAX + 1) * GIRO_RECORD_BYTES / segment_bytes(log);
    return addressed < LOG_SEGMENTS_MAX ? addressed : LOG_SEGMENTS_MAX;
}

/* Goes on zeroing after a pause, or gives up when the log is closing. */
static void segment_resume(struct log *log, uint64_t monotonic_ns)
{
    struct segment_maker *maker = &log->maker;
    if (log->stopping) {
        close(maker->fd);
        maker->fd = -1;
        maker->step = SEGMENT_IDLE;
        maker->paused = false;
        (void)unlinkat(log->directory->shard_fd, segment_temporary, 0);
    } else if (monotonic_ns >= maker->resume_at || segment_is_late(log)) {
        maker->paused = false;
        segment_submit(log, maker->offset < segment_bytes(log) ? SEGMENT_ZERO
                            : PLANTED(SKIP_SEGMENT_SYNC)       ? SEGMENT_RENAME
                                                               : SEGMENT_SYNC);
    }
}

void log_segments_run(struct log *log, uint64_t monotonic_ns, bool completed)
{
    if (completed)
        segment_advance(log, monotonic_ns);
    if (log->maker.paused)
        segment_resume(log, monotonic_ns);
    uint32_t used = (uint32_t)(log->open_begin / segment_bytes(log)) + 1;
    bool wanted = log->segment_count < used + log->options.segments_ahead && !log->stopping;
    if (wanted && log->segment_count >= segments_max(log)) {
        log->storage_full = true; /* as far as this log can ever go */
        return;
    }
    if (wanted && log->maker.step == SEGMENT_IDLE && monotonic_ns >= log->maker.retry_at)
        segment_submit(log, SEGMENT_CREATE);
}
