#include "wal/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 4 << 20 };

void tail_open(struct tail *tail, const struct directory *directory, const struct log_feed *feed,
               const struct log_reader *reader)
{
    *tail = (struct tail){
        .directory = directory,
        .feed = feed,
        .position = (uint64_t)reader->segment * directory->meta.segment_bytes + reader->offset,
        .segment = reader->segment,
        .lsn = reader->lsn,
        .ordinal = reader->ordinal,
        .previous = reader->previous,
        .epoch = reader->epoch,
        .written_at = reader->written_at,
        .fd = -1,
    };
    tail->loaded = tail->position;
}

void tail_close(struct tail *tail)
{
    if (tail->fd >= 0)
        close(tail->fd);
    tail->fd = -1;
}

/* ThreadSanitizer is told to look away. */
#if defined(__SANITIZE_THREAD__)
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#else
#define AnnotateIgnoreReadsBegin(file, line)
#define AnnotateIgnoreReadsEnd(file, line)
#endif

/* The one data race that is meant: the writer may overwrite what is being copied, and the copy is
 * thrown away then. */
static void racing_copy(void *to, const void *from, uint32_t size)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    memcpy(to, from, size);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

/* Copies from the window; false when it was, or may have been, overwritten. */
static bool window_copy(const struct tail *tail, uint64_t position, void *to, uint32_t size)
{
    const struct log_feed *feed = tail->feed;
    if (position < atomic_load_explicit(&feed->low, memory_order_relaxed))
        return false;
    racing_copy(to, feed->memory + (position & (feed->window_bytes - 1)), size);
    /* Whatever the copy saw, it now sees low as it was then, or later: see window_overwrite(). */
    atomic_thread_fence(memory_order_acquire);
    return position >= atomic_load_explicit(&feed->low, memory_order_relaxed);
}

/* Whether the header is the one that the log must go on with at the tail's position. */
static bool header_continues(const struct tail *tail, const struct block_header *header)
{
    const struct directory_meta *meta = &tail->directory->meta;
    struct block_place place =
        block_place_of(meta->directory_id, (uint32_t)(tail->position / meta->segment_bytes),
                       (uint32_t)(tail->position % meta->segment_bytes));
    return block_check_header(header, &place, meta->segment_bytes, meta->sector_bytes) ==
               BLOCK_OK &&
           header->lsn == tail->lsn && header->ordinal == tail->ordinal &&
           checksum_equal(header->previous, tail->previous);
}

/* Reads from the file until the image holds size bytes from the tail's position on, or more. */
static int file_load(struct tail *tail, char *image, uint32_t size, uint64_t durable,
                     struct error *error)
{
    const uint64_t segment_bytes = tail->directory->meta.segment_bytes;
    const uint64_t begin = (uint64_t)tail->segment * segment_bytes;
    if (tail->fd < 0) {
        tail->fd = segment_open(tail->directory, tail->segment, O_RDONLY, error);
        if (tail->fd < 0)
            return tail->fd;
    }
    if (tail->loaded < tail->position)
        tail->loaded = tail->position;
    while (tail->loaded < tail->position + size) {
        uint64_t end = durable < begin + segment_bytes ? durable : begin + segment_bytes;
        uint64_t left = end - tail->loaded;
        uint64_t offset = tail->loaded - begin;
        ssize_t got =
            pread(tail->fd, image + offset, left < READ_BYTES ? left : READ_BYTES, (off_t)offset);
        if (got <= 0)
            return error_set(error, got < 0 ? -errno : -EIO,
                             "%s/shard-0/%010u.log: cannot read at offset %" PRIu64 ": %s",
                             tail->directory->path, tail->segment, offset,
                             got < 0 ? strerror(errno) : "the file is too short");
        tail->loaded += (uint64_t)got;
    }
    return 0;
}

/* A lack that passes: of descriptors, of memory. */
static bool error_passes(int result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOMEM || result == -EINTR ||
           result == -EAGAIN;
}

static enum tail_state block_taken(struct tail *tail, const struct block_header *header,
                                   const struct block_header **out_header)
{
    tail->position += header->block_bytes;
    tail->lsn++;
    tail->ordinal += header->record_count;
    tail->previous = header->header_checksum;
    tail->epoch = header->epoch;
    tail->written_at = header->written_at;
    *out_header = header;
    return TAIL_BLOCK;
}

/* The block at the tail's position, from the file. */
static enum tail_state file_next(struct tail *tail, char *image, uint64_t durable,
                                 const struct block_header **out_header, struct error *error)
{
    const uint64_t segment_bytes = tail->directory->meta.segment_bytes;
    const struct block_header *header =
        (const struct block_header *)(const void *)(image + tail->position % segment_bytes);
    int result = file_load(tail, image, BLOCK_HEADER_BYTES, durable, error);
    if (result == 0 && !header_continues(tail, header))
        return TAIL_NONE;
    if (result == 0)
        result = file_load(tail, image, header->block_bytes, durable, error);
    if (result != 0)
        return error_passes(result) ? TAIL_LATER : TAIL_FAILED;
    if (!block_check_body(header)) {
        (void)error_set(error, -EBADMSG,
                        "%s/shard-0/%010u.log: block %" PRIu64 " at offset %" PRIu64
                        " is damaged on disk: run giro verify --data %s",
                        tail->directory->path, tail->segment, tail->lsn,
                        tail->position % segment_bytes, tail->directory->path);
        return TAIL_FAILED;
    }
    return block_taken(tail, header, out_header);
}

/* The first header of the tail's segment, from the window or from the file. Returns 0 or -errno. */
static int first_header(struct tail *tail, struct block_header *out_header, struct error *error)
{
    if (window_copy(tail, tail->position, out_header, sizeof *out_header))
        return 0;
    int fd = segment_open(tail->directory, tail->segment, O_RDONLY, error);
    if (fd < 0)
        return fd;
    ssize_t got = pread(fd, tail->sector, sizeof tail->sector, 0);
    int result = got == sizeof tail->sector ? 0 : got < 0 ? -errno : -EIO;
    close(fd);
    memcpy(out_header, tail->sector, sizeof *out_header);
    return result == 0 ? 0
                       : error_set(error, result, "%s/shard-0/%010u.log: cannot read: %s",
                                   tail->directory->path, tail->segment, strerror(-result));
}

/* The log went on in the next segment: that is believed only when the block there continues the
 * chain. */
static enum tail_state segment_leave(struct tail *tail, uint64_t durable, struct error *error)
{
    const uint64_t segment_bytes = tail->directory->meta.segment_bytes;
    const uint64_t position = tail->position;
    const uint32_t segment = tail->segment;
    uint64_t next = ((uint64_t)tail->segment + 1) * segment_bytes;
    struct block_header header;
    if (next < durable) {
        tail->position = next;
        tail->segment++;
        int result = first_header(tail, &header, error);
        if (result == 0 && header_continues(tail, &header)) {
            tail_close(tail);
            tail->loaded = next;
            return TAIL_SEGMENT;
        }
        tail->position = position;
        tail->segment = segment;
        if (result != 0)
            return error_passes(result) ? TAIL_LATER : TAIL_FAILED;
    }
    (void)error_set(error, -EBADMSG,
                    "%s/shard-0/%010u.log: no block %" PRIu64 " at offset %" PRIu64
                    ", where it was written: run giro verify --data %s",
                    tail->directory->path, tail->segment, tail->lsn, tail->position % segment_bytes,
                    tail->directory->path);
    return TAIL_FAILED;
}

enum tail_state tail_next(struct tail *tail, char *image, const struct block_header **out_header,
                          struct error *error)
{
    const uint64_t segment_bytes = tail->directory->meta.segment_bytes;
    const uint64_t durable = atomic_load_explicit(&tail->feed->durable, memory_order_acquire);
    if (tail->position >= durable)
        return TAIL_NONE;
    uint64_t offset = tail->position % segment_bytes;
    if (tail->position / segment_bytes == tail->segment) {
        struct block_header header;
        char *block = image + offset;
        bool seen = window_copy(tail, tail->position, &header, sizeof header);
        bool there = seen && header_continues(tail, &header);
        if (there) {
            if (window_copy(tail, tail->position, block, header.block_bytes) &&
                header_continues(tail, (const struct block_header *)(const void *)block) &&
                block_check_body((const struct block_header *)(const void *)block))
                return block_taken(tail, (const struct block_header *)(const void *)block,
                                   out_header);
            /* Overwritten meanwhile: what the file had said about this place was copied over. */
            tail->loaded = tail->position;
        }
        if (!seen || there) {
            enum tail_state state = file_next(tail, image, durable, out_header, error);
            if (state != TAIL_NONE)
                return state;
        }
    }
    return segment_leave(tail, durable, error);
}
