#include "wal/directory.h"

#include "wal/block.h"
#include "wal/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define META_MAGIC 0x4154454d4f524947ull /* "GIROMETA" */

enum {
    ZERO_BYTES = 1 << 20,
    LOCK_TRIES = 20,
    LOCK_TRY_NS = 50 * 1000 * 1000,
    SECTOR_BYTES_MAX = 4096,
};

static const char shard_folder[] = "shard-0";

void segment_name(uint32_t segment, char name[SEGMENT_NAME_BYTES])
{
    (void)snprintf(name, SEGMENT_NAME_BYTES, "%010u.log", segment);
}

static struct checksum meta_checksum(const struct directory_meta *meta)
{
    return checksum_of(meta, offsetof(struct directory_meta, checksum));
}

uint64_t directory_hash_seed(const struct directory *directory)
{
    return checksum_of(directory->meta.directory_id, sizeof directory->meta.directory_id).low;
}

/* The unit in which files of this folder can be written with O_DIRECT, 0 where it cannot be told.
 */
static uint32_t direct_io_alignment(int fd)
{
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) != 0 ||
        (status.stx_mask & STATX_DIOALIGN) == 0)
        return 0;
    return status.stx_dio_offset_align;
}

int segment_open(const struct directory *directory, uint32_t segment, int flags,
                 struct error *error)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(segment, name);
    int fd = openat(directory->shard_fd, name, flags | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(error, -errno, "%s/%s/%s: cannot open: %s%s", directory->path,
                         shard_folder, name, strerror(errno),
                         errno == EINVAL   ? " (this file system has no direct I/O: put the data "
                                             "directory on ext4 or xfs)"
                         : errno == EMFILE ? " (every segment is an open file: raise the limit, "
                                             "LimitNOFILE)"
                                           : "");
    return fd;
}

int segment_zero(const struct directory *directory, int fd, uint32_t segment, uint32_t offset,
                 struct error *error)
{
    void *zeros = mmap(NULL, ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (zeros == MAP_FAILED)
        return error_set(error, -ENOMEM, "out of memory");
    int result = 0;
    while (offset < directory->meta.segment_bytes) {
        uint32_t left = directory->meta.segment_bytes - offset;
        size_t size = left < ZERO_BYTES ? left : ZERO_BYTES;
        ssize_t written = pwrite(fd, zeros, size, offset);
        if (written <= 0) {
            result = written < 0 ? -errno : -EIO;
            break;
        }
        offset += (uint32_t)written;
    }
    (void)munmap(zeros, ZERO_BYTES);
    if (result == 0 && fdatasync(fd) != 0)
        result = -errno;
    if (result != 0)
        return error_set(error, result, "%s/%s: zeroing segment %u failed at offset %u: %s",
                         directory->path, shard_folder, segment, offset, strerror(-result));
    return 0;
}

int directory_sync(const struct directory *directory, struct error *error)
{
    if (fsync(directory->shard_fd) != 0)
        return error_set(error, -errno, "%s/%s: sync of the folder failed: %s", directory->path,
                         shard_folder, strerror(errno));
    return 0;
}

int segment_make(const struct directory *directory, uint32_t segment, struct error *error)
{
    int fd = segment_open(directory, segment, O_RDWR | O_CREAT | O_TRUNC, error);
    if (fd < 0)
        return fd;
    int result = segment_zero(directory, fd, segment, 0, error);
    close(fd);
    return result == 0 ? directory_sync(directory, error) : result;
}

DIR *directory_list(int folder_fd)
{
    int copy = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    if (folder != NULL)
        rewinddir(folder);
    else if (copy >= 0)
        close(copy);
    return folder;
}

static bool folder_is_empty(int fd)
{
    DIR *folder = directory_list(fd);
    if (folder == NULL)
        return false;
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, "lost+found") == 0);
    closedir(folder);
    return empty;
}

static int path_set(struct directory *directory, const char *path, struct error *error)
{
    if (strlen(path) >= sizeof directory->path)
        return error_set(error, -ENAMETOOLONG, "the data directory's path is longer than %zu bytes",
                         sizeof directory->path - 1);
    (void)snprintf(directory->path, sizeof directory->path, "%s", path);
    return 0;
}

/* Writes giro.meta last: a directory without it was not formatted to the end. */
static int meta_write(int folder_fd, const char *path, const struct directory_meta *meta,
                      struct error *error)
{
    int fd = openat(folder_fd, "giro.meta.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool sound = fd >= 0 && write(fd, meta, sizeof *meta) == sizeof *meta && fsync(fd) == 0;
    int code = sound ? 0 : -errno;
    if (fd >= 0)
        close(fd);
    if (sound && (renameat(folder_fd, "giro.meta.tmp", folder_fd, "giro.meta") != 0 ||
                  fsync(folder_fd) != 0))
        code = -errno;
    return code == 0
               ? 0
               : error_set(error, code, "%s/giro.meta: cannot write: %s", path, strerror(-code));
}

/* Makes the shard's folder, its first segments and giro.meta, whose sector is what the device needs;
 * a meta that has a checksum is a copy and must stay as it is. */
static int format_folder(int folder_fd, struct directory *directory, uint32_t segments,
                         struct error *error)
{
    struct directory_meta *meta = &directory->meta;
    if (mkdirat(folder_fd, shard_folder, 0700) != 0)
        return error_set(error, -errno, "%s/%s: cannot make: %s", directory->path, shard_folder,
                         strerror(errno));
    directory->shard_fd = openat(folder_fd, shard_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->shard_fd < 0)
        return error_set(error, -errno, "%s/%s: cannot open: %s", directory->path, shard_folder,
                         strerror(errno));
    int probe = segment_open(directory, 0, O_RDWR | O_CREAT, error);
    if (probe < 0)
        return probe;
    uint32_t alignment = direct_io_alignment(probe);
    close(probe);
    if (alignment == 0 || alignment > SECTOR_BYTES_MAX)
        alignment = SECTOR_BYTES_MAX;
    if (alignment > meta->sector_bytes && meta->checksum.low != 0)
        return error_set(error, -EINVAL,
                         "%s: this device writes sectors of %u bytes, and the blocks to be copied "
                         "have %u: choose another device",
                         directory->path, alignment, meta->sector_bytes);
    if (alignment > meta->sector_bytes)
        meta->sector_bytes = alignment;
    for (uint32_t segment = 0; segment < segments; segment++) {
        int result = segment_make(directory, segment, error);
        if (result != 0)
            return result;
    }
    meta->checksum = meta_checksum(meta);
    return meta_write(folder_fd, directory->path, meta, error);
}

static bool segment_bytes_allowed(uint32_t bytes)
{
    return bytes >= DIRECTORY_SEGMENT_BYTES_MIN && bytes <= DIRECTORY_SEGMENT_BYTES_MAX &&
           (bytes & (bytes - 1)) == 0;
}

static bool sector_bytes_allowed(uint32_t bytes)
{
    return bytes >= BLOCK_SECTOR_BYTES_MIN && bytes <= SECTOR_BYTES_MAX &&
           (bytes & (bytes - 1)) == 0;
}

static int format(const char *path, const struct directory_meta *meta, uint32_t segments,
                  struct error *error)
{
    struct directory directory = {.meta = *meta, .shard_fd = -1, .lock_fd = -1};
    int result = path_set(&directory, path, error);
    if (result != 0)
        return result;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(error, -errno, "%s: cannot make: %s", path, strerror(errno));
    int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return error_set(error, -errno, "%s: cannot open: %s", path, strerror(errno));
    if (!folder_is_empty(folder_fd))
        result = error_set(error, -ENOTEMPTY,
                           "%s is not empty: format makes a new ledger and never touches what is "
                           "there; choose another directory",
                           path);
    else
        result = format_folder(folder_fd, &directory, segments, error);
    if (directory.shard_fd >= 0)
        close(directory.shard_fd);
    close(folder_fd);
    return result;
}

int directory_format(const char *path, const struct directory_options *options, struct error *error)
{
    if (!segment_bytes_allowed(options->segment_bytes))
        return error_set(error, -EINVAL, "segment size must be a power of two from %d to %d bytes",
                         DIRECTORY_SEGMENT_BYTES_MIN, DIRECTORY_SEGMENT_BYTES_MAX);
    if (options->shard_count != DIRECTORY_SHARDS)
        return error_set(error, -EINVAL, "this version serves %d shard: use --shards %d",
                         DIRECTORY_SHARDS, DIRECTORY_SHARDS);
    struct directory_meta meta = {
        .magic = META_MAGIC,
        .version = DIRECTORY_VERSION,
        .shard_count = options->shard_count,
        .segment_bytes = options->segment_bytes,
        .sector_bytes = BLOCK_SECTOR_BYTES_MIN,
        .created_at = clock_wall_ns(),
    };
    if (getrandom(meta.directory_id, sizeof meta.directory_id, 0) != sizeof meta.directory_id)
        return error_set(error, -EIO, "no random numbers from the kernel");
    return format(path, &meta, 1 + options->segments_ahead, error);
}

int directory_format_as(const char *path, const struct directory_meta *meta, struct error *error)
{
    return format(path, meta, 1 + DIRECTORY_SEGMENTS_AHEAD, error);
}

int directory_rebuild_meta(const char *path, struct error *error)
{
    struct directory directory = {.shard_fd = -1, .lock_fd = -1};
    struct block_header header = {0};
    struct stat status = {0};
    int result = path_set(&directory, path, error);
    if (result != 0)
        return result;
    int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = folder_fd < 0 ? -1 : openat(folder_fd, "shard-0/0000000000.log", O_RDONLY | O_CLOEXEC);
    bool read_whole =
        fd >= 0 && fstat(fd, &status) == 0 && pread(fd, &header, sizeof header, 0) == sizeof header;
    if (fd >= 0)
        close(fd);
    struct block_place place = {0};
    memcpy(place.directory_id, header.directory_id, sizeof place.directory_id);
    if (!read_whole)
        result = error_set(error, -ENOENT, "%s/shard-0/0000000000.log: cannot be read", path);
    /* The first block is the empty one of the first start: as large as a sector. */
    else if (header.lsn != 1 || header.record_count != 0 ||
             !sector_bytes_allowed(header.block_bytes) || status.st_size > UINT32_MAX ||
             !segment_bytes_allowed((uint32_t)status.st_size) ||
             block_check_header(&header, &place, (uint32_t)status.st_size, header.block_bytes) !=
                 BLOCK_OK)
        result = error_set(error, -EBADMSG,
                           "%s/shard-0/0000000000.log: its first block or its size is damaged "
                           "too: restore giro.meta from a copy",
                           path);
    if (result == 0) {
        directory.meta = (struct directory_meta){
            .magic = META_MAGIC,
            .version = DIRECTORY_VERSION,
            .shard_count = DIRECTORY_SHARDS,
            .segment_bytes = (uint32_t)status.st_size,
            .sector_bytes = header.block_bytes,
            .created_at = header.written_at,
        };
        memcpy(directory.meta.directory_id, header.directory_id, sizeof header.directory_id);
        directory.meta.checksum = meta_checksum(&directory.meta);
        result = meta_write(folder_fd, path, &directory.meta, error);
    }
    if (folder_fd >= 0)
        close(folder_fd);
    return result;
}

static int meta_read(int folder_fd, struct directory *directory, struct error *error)
{
    struct directory_meta *meta = &directory->meta;
    int fd = openat(folder_fd, "giro.meta", O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return error_set(error, -errno, "%s/giro.meta: cannot open: %s", directory->path,
                         strerror(errno));
    if (fd < 0)
        return error_set(error, -errno,
                         "%s is not a Giro data directory (%s/giro.meta: %s): make one with giro "
                         "format --data %s",
                         directory->path, directory->path, strerror(errno), directory->path);
    ssize_t got = read(fd, meta, sizeof *meta);
    close(fd);
    if (got != sizeof *meta || meta->magic != META_MAGIC ||
        !checksum_equal(meta->checksum, meta_checksum(meta)))
        return error_set(error, -EBADMSG,
                         "%s/giro.meta is damaged: restore it from a copy, or rebuild it from the "
                         "log with giro recover --data %s --rebuild-meta",
                         directory->path, directory->path);
    if (meta->version == DIRECTORY_VERSION &&
        (!segment_bytes_allowed(meta->segment_bytes) || !sector_bytes_allowed(meta->sector_bytes)))
        return error_set(error, -EBADMSG,
                         "%s/giro.meta names impossible sizes (segments of %u bytes, sectors of "
                         "%u): restore it from a copy",
                         directory->path, meta->segment_bytes, meta->sector_bytes);
    if (meta->version != DIRECTORY_VERSION)
        return error_set(error, -EPROTO,
                         "%s has format version %u, this program reads version %d: use the "
                         "version of giro that wrote it, or a newer one",
                         directory->path, meta->version, DIRECTORY_VERSION);
    return 0;
}

static int lock_take(int folder_fd, struct directory *directory, enum directory_access access,
                     struct error *error)
{
    directory->lock_fd = openat(folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (directory->lock_fd < 0)
        return error_set(error, -errno, "%s/lock: cannot open: %s", directory->path,
                         strerror(errno));
    int operation = access == DIRECTORY_EXCLUSIVE ? LOCK_EX : LOCK_SH;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(directory->lock_fd, operation | LOCK_NB) == 0)
            return 0;
        /* A killed server keeps the lock until the kernel has finished its last write. */
        const struct timespec pause = {.tv_nsec = LOCK_TRY_NS};
        (void)nanosleep(&pause, NULL);
    }
    return error_set(error, -EBUSY,
                     "%s is in use by another giro process: stop it first, or choose another "
                     "data directory",
                     directory->path);
}

/* A directory may have been moved to a device with larger sectors. */
static int sector_check(const struct directory *directory, struct error *error)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(0, name);
    int fd = openat(directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    uint32_t alignment = fd < 0 ? 0 : direct_io_alignment(fd);
    if (fd >= 0)
        close(fd);
    if (alignment <= directory->meta.sector_bytes)
        return 0;
    return error_set(error, -EINVAL,
                     "%s: this device writes sectors of %u bytes, and the log was made with %u: "
                     "move the directory to another device",
                     directory->path, alignment, directory->meta.sector_bytes);
}

int directory_open(const char *path, enum directory_access access, uint32_t shard_count,
                   struct directory *out_directory, struct error *error)
{
    struct directory directory = {.shard_fd = -1, .lock_fd = -1};
    int result = path_set(&directory, path, error);
    if (result != 0)
        return result;
    int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return error_set(error, -errno, "%s: cannot open the data directory: %s", path,
                         strerror(errno));
    if (folder_fd < 0)
        return error_set(error, -errno,
                         "%s: cannot open the data directory: %s; make one with giro format "
                         "--data %s",
                         path, strerror(errno), path);
    result = meta_read(folder_fd, &directory, error);
    if (result == 0 && access != DIRECTORY_UNLOCKED)
        result = lock_take(folder_fd, &directory, access, error);
    if (result == 0 && (directory.meta.shard_count != DIRECTORY_SHARDS ||
                        (shard_count != 0 && shard_count != directory.meta.shard_count)))
        result = error_set(error, -EINVAL,
                           "%s was formatted for %u shard(s), and %u are configured: set "
                           "shards = %u",
                           path, directory.meta.shard_count,
                           shard_count != 0 ? shard_count : DIRECTORY_SHARDS,
                           directory.meta.shard_count);
    if (result == 0) {
        directory.shard_fd = openat(folder_fd, shard_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory.shard_fd < 0)
            result = error_set(error, -errno, "%s/%s: cannot open: %s", path, shard_folder,
                               strerror(errno));
    }
    if (result == 0 && access != DIRECTORY_UNLOCKED)
        result = sector_check(&directory, error);
    close(folder_fd);
    if (result != 0) {
        directory_close(&directory);
        return result;
    }
    *out_directory = directory;
    return 0;
}

void directory_close(struct directory *directory)
{
    if (directory->shard_fd >= 0)
        close(directory->shard_fd);
    if (directory->lock_fd >= 0)
        close(directory->lock_fd);
    directory->shard_fd = -1;
    directory->lock_fd = -1;
}

/* Number of a file named like a segment, -1 for any other. */
static int64_t segment_number(const char *name)
{
    char expected[SEGMENT_NAME_BYTES];
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    if (end == name || number > UINT32_MAX)
        return -1;
    segment_name((uint32_t)number, expected);
    return strcmp(name, expected) == 0 ? (int64_t)number : -1;
}

int directory_segments(const struct directory *directory, uint32_t *out_count, struct error *error)
{
    DIR *folder = directory_list(directory->shard_fd);
    if (folder == NULL)
        return error_set(error, -errno, "%s/%s: cannot list: %s", directory->path, shard_folder,
                         strerror(errno));
    int64_t highest = -1;
    uint32_t found = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int64_t number = segment_number(entry->d_name);
        if (number < 0)
            continue;
        found++;
        highest = number > highest ? number : highest;
    }
    closedir(folder);
    if (found == 0)
        return error_set(error, -ENOENT,
                         "%s/%s: the log's first segment 0000000000.log is missing: restore the "
                         "directory from a backup",
                         directory->path, shard_folder);
    for (uint32_t segment = 0; found != highest + 1 && segment <= highest; segment++) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(segment, name);
        if (faccessat(directory->shard_fd, name, F_OK, 0) != 0)
            return error_set(error, -ENOENT,
                             "%s/%s/%s is missing while later segments are there: put the file "
                             "back, or restore the directory from a backup",
                             directory->path, shard_folder, name);
    }
    *out_count = found;
    return 0;
}
