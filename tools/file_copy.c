#include "tools/file_copy.h"

#include "engine/record.h"
#include "wal/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char temporary[] = "copy.tmp";

void pace_spend(struct pace *pace, uint64_t bytes)
{
    if (pace->bytes_per_s == 0)
        return;
    uint64_t now = clock_monotonic_ns();
    if (pace->due < now)
        pace->due = now; /* what was lost is not made up for */
    pace->due += (uint64_t)((double)bytes / (double)pace->bytes_per_s * (double)GIRO_NS_PER_S);
    uint64_t wait = pace->due - now;
    const struct timespec pause = {.tv_sec = (time_t)(wait / GIRO_NS_PER_S),
                                   .tv_nsec = (long)(wait % GIRO_NS_PER_S)};
    (void)nanosleep(&pause, NULL);
}

int file_facts_read(int fd, const char *path, struct pace *pace, struct file_facts *out_facts,
                    struct error *error)
{
    struct file_facts facts = {0};
    char *piece = malloc(FILE_PIECE_BYTES);
    struct checksum_stream *stream = checksum_stream_new();
    int result = piece == NULL || stream == NULL ? -ENOMEM : 0;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (result == 0) {
        ssize_t got = pread(fd, piece, FILE_PIECE_BYTES, (off_t)facts.bytes);
        if (got == 0)
            break;
        if (got < 0) {
            result = -errno;
            break;
        }
        checksum_stream_add(stream, piece, (size_t)got);
        facts.bytes += (uint64_t)got;
        pace_spend(pace, (uint64_t)got);
    }
    if (result == 0) {
        facts.sum = checksum_stream_end(stream);
        *out_facts = facts;
    }
    checksum_stream_free(stream);
    free(piece);
    return result == 0
               ? 0
               : error_set(error, result, "%s: cannot be read: %s", path, strerror(-result));
}

static int writer_failed(const struct file_writer *writer, int result, struct error *error)
{
    return error_set(error, result, "%s/%s: cannot be written: %s%s", writer->folder, temporary,
                     strerror(-result),
                     result == -ENOSPC || result == -EDQUOT ? ": free some space, then run it again"
                                                            : "");
}

int file_writer_open(struct file_writer *writer, int folder_fd, const char *folder,
                     struct error *error)
{
    *writer = (struct file_writer){.folder_fd = folder_fd, .folder = folder};
    writer->fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (writer->fd < 0)
        return writer_failed(writer, -errno, error);
    writer->stream = checksum_stream_new();
    if (writer->stream != NULL)
        return 0;
    file_writer_drop(writer);
    return writer_failed(writer, -ENOMEM, error);
}

int file_writer_put(struct file_writer *writer, const void *data, size_t size_bytes,
                    struct error *error)
{
    for (size_t done = 0; done < size_bytes;) {
        ssize_t put = write(writer->fd, (const char *)data + done, size_bytes - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return writer_failed(writer, put < 0 ? -errno : -ENOSPC, error);
        done += (size_t)put;
    }
    checksum_stream_add(writer->stream, data, size_bytes);
    writer->bytes += size_bytes;
    return 0;
}

int file_writer_hole(struct file_writer *writer, uint64_t bytes, struct error *error)
{
    static const char zeros[4096];
    for (uint64_t left = bytes; left > 0;) {
        size_t size = left < sizeof zeros ? (size_t)left : sizeof zeros;
        checksum_stream_add(writer->stream, zeros, size);
        left -= size;
    }
    writer->bytes += bytes;
    return ftruncate(writer->fd, (off_t)writer->bytes) == 0 ? 0
                                                            : writer_failed(writer, -errno, error);
}

int file_writer_finish(struct file_writer *writer, const char *name, struct file_facts *out_facts,
                       struct error *error)
{
    if (fsync(writer->fd) != 0 ||
        renameat(writer->folder_fd, temporary, writer->folder_fd, name) != 0) {
        int result = -errno;
        file_writer_drop(writer);
        return writer_failed(writer, result, error);
    }
    *out_facts =
        (struct file_facts){.bytes = writer->bytes, .sum = checksum_stream_end(writer->stream)};
    /* Nobody reads it soon: the memory is better used by the server beside us. */
    (void)posix_fadvise(writer->fd, 0, 0, POSIX_FADV_DONTNEED);
    close(writer->fd);
    checksum_stream_free(writer->stream);
    writer->fd = -1;
    writer->stream = NULL;
    return 0;
}

void file_writer_drop(struct file_writer *writer)
{
    if (writer->fd < 0)
        return;
    close(writer->fd);
    checksum_stream_free(writer->stream);
    (void)unlinkat(writer->folder_fd, temporary, 0);
    writer->fd = -1;
    writer->stream = NULL;
}
