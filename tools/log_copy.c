#include "tools/log_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char meta_name[] = "giro.meta";
static const char meta_hidden[] = "giro.meta.unfinished";

/* Renames a file of the directory itself, durably. */
static int meta_rename(const struct log_copy *copy, const char *from, const char *to,
                       struct error *error)
{
    const char *path = copy->directory.path;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result =
        folder < 0 || renameat(folder, from, folder, to) != 0 || fsync(folder) != 0 ? -errno : 0;
    if (folder >= 0)
        close(folder);
    return result == 0 ? 0
                       : error_set(error, result, "%s/%s: cannot rename to %s: %s", path, from, to,
                                   strerror(-result));
}

int log_copy_open(struct log_copy *copy, const struct directory *from, const char *path,
                  struct error *error)
{
    *copy = (struct log_copy){.fd = -1, .directory = {.shard_fd = -1, .lock_fd = -1}};
    int result = directory_format_as(path, &from->meta, error);
    if (result == 0)
        result = directory_open(path, DIRECTORY_EXCLUSIVE, 0, &copy->directory, error);
    if (result == 0)
        result = meta_rename(copy, meta_name, meta_hidden, error);
    if (result == 0)
        result = directory_segments(&copy->directory, &copy->segment_count, error);
    return result;
}

int log_copy_segments(struct log_copy *copy, uint32_t segment, struct error *error)
{
    for (; copy->segment_count < segment + 1 + DIRECTORY_SEGMENTS_AHEAD; copy->segment_count++) {
        int result = segment_make(&copy->directory, copy->segment_count, error);
        if (result != 0)
            return result;
    }
    return 0;
}

static int segment_use(struct log_copy *copy, uint32_t segment, struct error *error)
{
    if (copy->fd >= 0 && copy->segment == segment)
        return 0;
    if (copy->fd >= 0)
        close(copy->fd);
    copy->fd = -1;
    int result = log_copy_segments(copy, segment, error);
    if (result != 0)
        return result;
    copy->segment = segment;
    copy->fd = segment_open(&copy->directory, segment, O_RDWR | O_DSYNC, error);
    return copy->fd < 0 ? copy->fd : 0;
}

int log_copy_block(struct log_copy *copy, const struct block_header *header, struct error *error)
{
    int result = segment_use(copy, header->segment, error);
    if (result != 0)
        return result;
    ssize_t put = pwrite(copy->fd, header, header->block_bytes, header->offset);
    if (put == (ssize_t)header->block_bytes)
        return 0;
    result = put < 0 ? -errno : -ENOSPC;
    return error_set(error, result, "%s: writing block %" PRIu64 " failed: %s",
                     copy->directory.path, header->lsn, strerror(-result));
}

int log_copy_finish(struct log_copy *copy, struct error *error)
{
    int result = directory_sync(&copy->directory, error);
    return result == 0 ? meta_rename(copy, meta_hidden, meta_name, error) : result;
}

void log_copy_close(struct log_copy *copy)
{
    if (copy->fd >= 0)
        close(copy->fd);
    copy->fd = -1;
    directory_close(&copy->directory);
}
