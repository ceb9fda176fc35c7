#include "wal/reader.h"

#include "engine/planted.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_BYTES = 4 << 20,
    READ_RETRY_BYTES = 4096, /* the unit in which a failed read is tried again */
};

static char *segment_memory(const struct log_reader *reader, uint32_t segment)
{
    uint64_t begin = (uint64_t)segment * reader->directory->meta.segment_bytes;
    return reader->window + begin % reader->window_bytes;
}

/* Reads one range of a segment that begins at a position of the log. What the disk refuses to return
 * becomes zeros and is remembered: zeros alone would look like the end of the log. */
static void range_read(struct log_reader *reader, int fd, char *buffer, uint32_t size,
                       uint64_t position)
{
    const uint64_t offset = position % reader->directory->meta.segment_bytes;
    uint32_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, buffer + done, size - done, (off_t)(offset + done));
        if (got == 0) { /* a file that was cut short */
            memset(buffer + done, 0, size - done);
            return;
        }
        if (got > 0) {
            done += (uint32_t)got;
        } else if (size > READ_RETRY_BYTES) {
            for (; done < size; done += READ_RETRY_BYTES)
                range_read(reader, fd, buffer + done, READ_RETRY_BYTES, position + done);
        } else {
            memset(buffer + done, 0, size - done);
            reader->unreadable_bytes += size - done;
            reader->unreadable_end = position + size;
            return;
        }
    }
}

static int segment_load(struct log_reader *reader, uint32_t segment, struct error *error)
{
    const uint32_t segment_bytes = reader->directory->meta.segment_bytes;
    int fd = segment_open(reader->directory, segment, O_RDONLY, error);
    if (fd < 0)
        return fd;
    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_size > (off_t)segment_bytes) {
        close(fd);
        return error_set(error, -EFBIG,
                         "%s: segment %u has %lld bytes, more than the %u it was made with: it is "
                         "not a file of this log; put the right one back",
                         reader->directory->path, segment, (long long)status.st_size,
                         segment_bytes);
    }
    char *memory = segment_memory(reader, segment);
    uint64_t begin = (uint64_t)segment * segment_bytes;
    for (uint32_t offset = 0; offset < segment_bytes; offset += READ_BYTES) {
        uint32_t left = segment_bytes - offset;
        range_read(reader, fd, memory + offset, left < READ_BYTES ? left : READ_BYTES,
                   begin + offset);
    }
    close(fd);
    return 0;
}

static void *read_ahead_run(void *argument)
{
    struct log_reader *reader = argument;
    pthread_mutex_lock(&reader->mutex);
    while (!reader->stop && reader->loaded < reader->segment_count && reader->load_error == 0) {
        if (reader->loaded >= reader->allowed) {
            pthread_cond_wait(&reader->changed, &reader->mutex);
            continue;
        }
        uint32_t segment = reader->loaded;
        pthread_mutex_unlock(&reader->mutex);
        struct error text;
        int result = segment_load(reader, segment, &text);
        pthread_mutex_lock(&reader->mutex);
        if (result != 0) {
            reader->load_error = result;
            reader->load_text = text;
        } else {
            reader->loaded = segment + 1;
        }
        pthread_cond_signal(&reader->changed);
    }
    pthread_mutex_unlock(&reader->mutex);
    return NULL;
}

/* Waits until a segment is in the window, and lets the thread read the next one. */
static int segment_wait(struct log_reader *reader, uint32_t segment, struct error *error)
{
    pthread_mutex_lock(&reader->mutex);
    reader->allowed = segment + 2;
    pthread_cond_signal(&reader->changed);
    while (reader->loaded <= segment && reader->load_error == 0)
        pthread_cond_wait(&reader->changed, &reader->mutex);
    int result = reader->loaded > segment ? 0 : reader->load_error;
    if (result != 0)
        *error = reader->load_text;
    pthread_mutex_unlock(&reader->mutex);
    return result;
}

int log_reader_open(struct log_reader *reader, const struct directory *directory, void *window,
                    uint64_t window_bytes, const struct log_position *from, struct error *error)
{
    assert(window_bytes % directory->meta.segment_bytes == 0);
    assert(window_bytes >= 3ull * directory->meta.segment_bytes);
    *reader = (struct log_reader){
        .directory = directory,
        .window = window,
        .window_bytes = window_bytes,
        .lsn = 1,
    };
    if (from != NULL) {
        reader->segment_first = reader->segment = from->segment;
        reader->loaded = from->segment;
        reader->lsn = from->lsn;
        reader->ordinal = from->ordinal;
        reader->previous = from->previous;
        reader->epoch = from->epoch;
        reader->written_at = from->written_at;
    }
    int result = directory_segments(directory, &reader->segment_count, error);
    if (result != 0)
        return result;
    if (reader->segment >= reader->segment_count)
        return error_set(error, -ENOENT, "%s: segment %u is missing: restore it from a backup",
                         directory->path, reader->segment);
    pthread_mutex_init(&reader->mutex, NULL);
    pthread_cond_init(&reader->changed, NULL);
    result = pthread_create(&reader->thread, NULL, read_ahead_run, reader);
    if (result != 0)
        return error_set(error, -result, "cannot start a thread: %s", strerror(result));
    reader->started = true;
    return 0;
}

void log_reader_close(struct log_reader *reader)
{
    if (!reader->started)
        return;
    pthread_mutex_lock(&reader->mutex);
    reader->stop = true;
    pthread_cond_signal(&reader->changed);
    pthread_mutex_unlock(&reader->mutex);
    pthread_join(reader->thread, NULL);
    pthread_mutex_destroy(&reader->mutex);
    pthread_cond_destroy(&reader->changed);
    reader->started = false;
}

static struct block_place place_at(const struct log_reader *reader, uint32_t segment,
                                   uint32_t offset)
{
    return block_place_of(reader->directory->meta.directory_id, segment, offset);
}

/* The header at a place of a loaded segment, and what it is worth. */
static enum block_verdict header_at(const struct log_reader *reader, uint32_t segment,
                                    uint32_t offset, const struct block_header **out_header)
{
    const struct directory_meta *meta = &reader->directory->meta;
    struct block_place place = place_at(reader, segment, offset);
    const char *at = segment_memory(reader, segment) + offset;
    *out_header = (const struct block_header *)(const void *)at;
    return block_check_header(*out_header, &place, meta->segment_bytes, meta->sector_bytes);
}

static bool header_continues(const struct log_reader *reader, const struct block_header *header)
{
    if (PLANTED(SKIP_CHAIN))
        return true;
    return header->lsn == reader->lsn && header->ordinal == reader->ordinal &&
           checksum_equal(header->previous, reader->previous);
}

static bool segment_is_short(const struct log_reader *reader, uint32_t segment)
{
    char name[SEGMENT_NAME_BYTES];
    struct stat status;
    segment_name(segment, name);
    return fstatat(reader->directory->shard_fd, name, &status, 0) == 0 &&
           status.st_size < (off_t)reader->directory->meta.segment_bytes;
}

/* A header that this log's server wrote, wherever it belongs. Nobody else knows the directory's id. */
static bool header_is_ours(const struct log_reader *reader, const struct block_header *header,
                           enum block_verdict verdict)
{
    return (verdict == BLOCK_OK || verdict == BLOCK_MISPLACED || verdict == BLOCK_NEWER) &&
           memcmp(header->directory_id, reader->directory->meta.directory_id,
                  sizeof header->directory_id) == 0;
}

/* Extends the dirty range by what is not zero in a segment from offset on. */
static void dirty_find(struct log_reader *reader, uint32_t segment, uint32_t offset)
{
    struct log_end *end = &reader->end;
    const uint32_t segment_bytes = reader->directory->meta.segment_bytes;
    const uint64_t *words = (const uint64_t *)(const void *)segment_memory(reader, segment);
    uint32_t first = offset;
    uint32_t last = segment_bytes;
    while (first < last && words[first / 8] == 0)
        first += 8;
    while (last > first && words[last / 8 - 1] == 0)
        last -= 8;
    if (segment_is_short(reader, segment)) {
        end->is_short = true;
        end->dirty_segments = segment - end->segment + 1;
    }
    if (first == last)
        return;
    if (end->dirty_end == 0)
        end->dirty_begin = (uint64_t)segment * segment_bytes + first;
    end->dirty_end = (uint64_t)segment * segment_bytes + last;
    end->dirty_segments = segment - end->segment + 1;
}

/* Looks for a sound header in one segment from offset on, and for anything but zeros. */
static void segment_look_on(struct log_reader *reader, uint32_t segment, uint32_t offset)
{
    const struct directory_meta *meta = &reader->directory->meta;
    struct log_end *end = &reader->end;
    dirty_find(reader, segment, offset);
    for (; offset < meta->segment_bytes && !end->proof; offset += meta->sector_bytes) {
        const struct block_header *header;
        bool at_end = segment == end->segment && offset == end->offset;
        enum block_verdict verdict = header_at(reader, segment, offset, &header);
        if (at_end || !header_is_ours(reader, header, verdict) || PLANTED(IGNORE_PROOF))
            continue;
        end->proof = true;
        end->proof_segment = segment;
        end->proof_offset = offset;
        end->proof_lsn = header->lsn;
    }
}

/* Decides by the table at the top of reader.h. */
static int end_judge(struct log_reader *reader, enum block_verdict found, bool contradicts,
                     struct error *error)
{
    struct log_end *end = &reader->end;
    *end = (struct log_end){
        .segment = reader->segment,
        .offset = reader->offset,
        .lsn = reader->lsn,
        .found = found,
        .body_damaged = found == BLOCK_OK && !contradicts,
    };
    segment_look_on(reader, reader->segment, reader->offset);
    for (uint32_t segment = reader->segment + 1; segment < reader->segment_count; segment++) {
        int result = segment_wait(reader, segment, error);
        if (result != 0)
            return result;
        segment_look_on(reader, segment, 0);
    }
    uint64_t position =
        (uint64_t)end->segment * reader->directory->meta.segment_bytes + end->offset;
    end->unreadable = reader->unreadable_bytes > 0 && reader->unreadable_end > position;
    end->too_much = end->dirty_end - end->dirty_begin > LOG_BLOCK_BYTES_MAX;
    if (found == BLOCK_NEWER)
        end->verdict = LOG_END_NEWER;
    else if (contradicts || end->proof || end->unreadable || end->too_much)
        end->verdict = PLANTED(CUT_DAMAGE) ? LOG_END_TORN : LOG_END_DAMAGED;
    else if (end->dirty_segments != 0)
        end->verdict = LOG_END_TORN;
    else
        end->verdict = LOG_END_CLEAN;
    return 0;
}

/* Whether the log goes on in the next segment, because the block did not fit into this one. */
static int next_segment_continues(struct log_reader *reader, bool *out_continues,
                                  struct error *error)
{
    const struct block_header *header;
    *out_continues = false;
    if (reader->segment + 1 >= reader->segment_count)
        return 0;
    int result = segment_wait(reader, reader->segment + 1, error);
    if (result != 0)
        return result;
    *out_continues = header_at(reader, reader->segment + 1, 0, &header) == BLOCK_OK &&
                     header_continues(reader, header);
    return 0;
}

int log_reader_next(struct log_reader *reader, const struct block_header **out_header,
                    struct error *error)
{
    const struct block_header *header = NULL;
    enum block_verdict verdict = BLOCK_EMPTY;
    int result = segment_wait(reader, reader->segment, error);
    if (result != 0)
        return result;
    if (reader->offset < reader->directory->meta.segment_bytes)
        verdict = header_at(reader, reader->segment, reader->offset, &header);
    if (verdict == BLOCK_MISPLACED)
        return end_judge(reader, verdict, true, error);
    if (verdict != BLOCK_OK) {
        bool continues;
        result = next_segment_continues(reader, &continues, error);
        if (result != 0)
            return result;
        if (!continues)
            return end_judge(reader, verdict, false, error);
        reader->segment++;
        reader->offset = 0;
        (void)header_at(reader, reader->segment, 0, &header);
    }
    if (!header_continues(reader, header))
        return end_judge(reader, BLOCK_OK, true, error);
    if (!PLANTED(SKIP_BODY_CHECK) && !block_check_body(header))
        return end_judge(reader, BLOCK_OK, false, error);

    reader->offset += header->block_bytes;
    reader->lsn++;
    reader->ordinal += header->record_count;
    reader->previous = header->header_checksum;
    reader->epoch = header->epoch;
    reader->written_at = header->written_at;
    reader->kind = (enum block_kind)header->kind;
    *out_header = header;
    return 1;
}

void log_end_describe(const struct log_end *end, const struct directory *directory,
                      struct error *out_text)
{
    char name[SEGMENT_NAME_BYTES];
    char why[128] = "";
    segment_name(end->segment, name);
    if (end->proof)
        (void)snprintf(why, sizeof why,
                       ", while block %" PRIu64 " in %010u.log at offset %u proves that the log "
                       "went on",
                       end->proof_lsn, end->proof_segment, end->proof_offset);
    else if (end->unreadable)
        (void)snprintf(why, sizeof why, ", and the disk does not return what lies there");
    else if (end->too_much)
        (void)snprintf(why, sizeof why, ", and more lies behind it than one write leaves");
    const char *found = end->body_damaged        ? "a block whose body is damaged"
                        : end->found == BLOCK_OK ? "a sound block that does not continue the chain"
                                                 : block_verdict_name(end->found);
    switch (end->verdict) {
    case LOG_END_CLEAN:
        (void)error_set(out_text, 0, "%s/shard-0/%s: the log ends cleanly at offset %u",
                        directory->path, name, end->offset);
        break;
    case LOG_END_TORN:
        (void)error_set(out_text, 0,
                        "%s/shard-0/%s: torn tail at offset %u: block %" PRIu64
                        " was being written when the server or the machine stopped and had not "
                        "been acknowledged (found: %s)%s",
                        directory->path, name, end->offset, end->lsn, found,
                        end->is_short ? "; a segment file is shorter than it was made, which no "
                                        "crash does: if this is a copy, copy it again"
                                      : "");
        break;
    case LOG_END_NEWER:
        (void)error_set(out_text, 0,
                        "%s/shard-0/%s: block %" PRIu64
                        " at offset %u was written by a newer version: use that version of giro",
                        directory->path, name, end->lsn, end->offset);
        break;
    case LOG_END_DAMAGED:
        (void)error_set(out_text, 0,
                        "%s/shard-0/%s: acknowledged data is damaged: block %" PRIu64
                        " at offset %u is %s%s; nothing was changed: restore from a backup, or "
                        "see giro recover --data %s",
                        directory->path, name, end->lsn, end->offset, found, why, directory->path);
        break;
    }
}

int log_end_cut(const struct log_end *end, const struct directory *directory, struct error *error)
{
    if (PLANTED(LEAVE_TORN))
        return 0;
    for (uint32_t i = 0; i < end->dirty_segments; i++) {
        uint32_t segment = end->segment + i;
        int fd = segment_open(directory, segment, O_RDWR, error);
        if (fd < 0)
            return fd;
        int result = segment_zero(directory, fd, segment, i == 0 ? end->offset : 0, error);
        close(fd);
        if (result != 0)
            return result;
    }
    return directory_sync(directory, error);
}
