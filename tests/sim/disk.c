#include "tests/sim/disk.h"

#include "tests/sim/machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    FILES_MAX = 2048,
    NAMES_MAX = 1024,
    OPS_MAX = 512,
    DESCRIPTORS_MAX = 4096,
    WOUNDS_MAX = 64,
    FULL_FOR_NS = 400 * 1000 * 1000,
};

/* A sector of a file, between what a program sees and what is stable. */
enum sector_state {
    SECTOR_STABLE,
    SECTOR_WRITTEN,
    SECTOR_FORSAKEN, /* its sync failed: no later one will write it */
};

/* One file, with a name or without one any more. */
struct file {
    int fd; /* of our own; -1: unused */
    ino_t inode;
    char *stable;
    uint64_t stable_bytes;
    uint64_t stable_capacity;
    uint8_t *unstable; /* enum sector_state by sector */
    uint64_t unstable_capacity;
    bool any_unstable;
};

enum name_op_kind { NAME_ADD, NAME_MOVE, NAME_REMOVE };

/* What happened to the names of a folder since it was synced. */
struct name_op {
    enum name_op_kind kind;
    char path[DISK_PATH_BYTES];
    char path_to[DISK_PATH_BYTES];
    struct file *file;
};

struct name {
    char path[DISK_PATH_BYTES]; /* inside the root; "": unused */
    struct file *file;
};

struct names {
    struct name names[NAMES_MAX];
};

struct wound {
    struct file *file; /* NULL: unused */
    uint64_t offset;
    uint32_t size;
    bool in_log;
    char *healthy;
    bool lost; /* what was acknowledged is not there; else: what should not be is */
    bool seen; /* it was there when disk_tail_lost() was asked last */
};

struct descriptor {
    struct file *file; /* NULL: a folder, or not ours */
    bool syncs;
    char folder[DISK_PATH_BYTES]; /* of a folder: its path with a slash behind it, "" the root's */
    bool is_folder;
};

struct disk_faults disk_faults;
struct disk_counts disk_counts;

static struct {
    char folder[256];
    struct file files[FILES_MAX];
    struct names now;
    struct names stable;
    struct name_op ops[OPS_MAX];
    uint32_t op_count;
    struct descriptor descriptors[DESCRIPTORS_MAX];
    struct wound wounds[WOUNDS_MAX];
    bool tail_lost;
    bool log_forsaken;        /* what was zeroed in a log may come back */
    bool tail_cut;            /* the program has written over what was lost: nothing heals that */
    struct wound *tail_wound; /* what was lost then */
    struct wound *tail_wound_seen;
    uint64_t full_until;

    /* The log write under way. */
    struct file *log_file; /* NULL: none */
    const char *log_bytes;
    size_t log_size;
    uint64_t log_offset;
    /* The last one that was acknowledged, and what was there before: rot there is nobody's to tell. */
    struct file *tail_file;
    uint64_t tail_offset;
    uint64_t tail_bytes;
    char *tail_before;
    uint32_t unnamed_writes; /* of late, to a file whose name is not stable */
    /* A write that the disk has kept to itself. */
    struct file *late_file; /* NULL: none */
    uint64_t late_offset;
    uint64_t late_bytes;
    char *late;
    bool late_due; /* a life has passed since */
} disk;

/* ---- Files and names --------------------------------------------------------------------- */

static struct file *name_find(const struct names *names, const char *path)
{
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        if (strcmp(names->names[i].path, path) == 0)
            return names->names[i].file;
    }
    return NULL;
}

static void name_set(struct names *names, const char *path, struct file *file)
{
    struct name *unused = NULL;
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        struct name *name = &names->names[i];
        if (strcmp(name->path, path) == 0) {
            name->file = file;
            if (file == NULL)
                name->path[0] = 0;
            return;
        }
        if (name->path[0] == 0 && unused == NULL)
            unused = name;
    }
    if (file == NULL)
        return;
    if (unused == NULL)
        machine_fail("the simulated disk has too many files");
    (void)snprintf(unused->path, sizeof unused->path, "%s", path);
    unused->file = file;
}

static bool is_log(const char *path)
{
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".log") == 0;
}

static const char *path_of(const struct file *file)
{
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        if (disk.now.names[i].path[0] != 0 && disk.now.names[i].file == file)
            return disk.now.names[i].path;
    }
    return "(without a name)";
}

static void file_free(struct file *file)
{
    close(file->fd);
    free(file->stable);
    free(file->unstable);
    *file = (struct file){.fd = -1};
}

static uint64_t file_bytes(const struct file *file)
{
    struct stat status;
    return fstat(file->fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* The file behind a descriptor just opened; a new one is empty on the disk. */
static struct file *file_of_open(int fd)
{
    struct stat status;
    struct file *unused = NULL;
    if (fstat(fd, &status) != 0)
        machine_fail("fstat: %s", strerror(errno));
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        if (file->fd >= 0 && file->inode == status.st_ino)
            return file;
        if (file->fd < 0 && unused == NULL)
            unused = file;
    }
    if (unused == NULL)
        machine_fail("the simulated disk has too many files");
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *unused = (struct file){.fd = open(path, O_RDWR | O_CLOEXEC, 0), .inode = status.st_ino};
    if (unused->fd < 0)
        machine_fail("%s: %s", path, strerror(errno));
    return unused;
}

static void unstable_reserve(struct file *file, uint64_t bytes)
{
    uint64_t sectors = (bytes + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES;
    if (sectors <= file->unstable_capacity)
        return;
    uint64_t capacity = file->unstable_capacity < 2048 ? 2048 : file->unstable_capacity;
    while (capacity < sectors)
        capacity *= 2;
    file->unstable = realloc(file->unstable, capacity);
    if (file->unstable == NULL)
        machine_fail("out of memory");
    memset(file->unstable + file->unstable_capacity, 0, capacity - file->unstable_capacity);
    file->unstable_capacity = capacity;
}

static void stable_resize(struct file *file, uint64_t bytes)
{
    if (bytes > file->stable_capacity) {
        uint64_t capacity = file->stable_capacity < 4096 ? 4096 : file->stable_capacity;
        while (capacity < bytes)
            capacity *= 2;
        file->stable = realloc(file->stable, capacity);
        if (file->stable == NULL)
            machine_fail("out of memory");
        file->stable_capacity = capacity;
    }
    if (bytes > file->stable_bytes)
        memset(file->stable + file->stable_bytes, 0, bytes - file->stable_bytes);
    file->stable_bytes = bytes;
}

static void unstable_mark(struct file *file, uint64_t offset, uint64_t size)
{
    unstable_reserve(file, offset + size);
    file->any_unstable = true;
    for (uint64_t sector = offset / DISK_SECTOR_BYTES; sector * DISK_SECTOR_BYTES < offset + size;
         sector++)
        file->unstable[sector] = SECTOR_WRITTEN;
}

/* What a program wrote to a range is stable. */
static void range_settle(struct file *file, const void *bytes, uint64_t size, uint64_t offset)
{
    if (offset + size > file->stable_bytes)
        stable_resize(file, offset + size);
    memcpy(file->stable + offset, bytes, size);
}

static void file_settle(struct file *file)
{
    uint64_t bytes = file_bytes(file);
    stable_resize(file, bytes);
    if (!file->any_unstable)
        return;
    unstable_reserve(file, bytes);
    uint64_t sectors = (bytes + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES;
    for (uint64_t begin = 0; begin < sectors; begin++) {
        uint64_t end = begin;
        while (end < sectors && file->unstable[end] == SECTOR_WRITTEN)
            end++;
        if (end == begin)
            continue;
        uint64_t offset = begin * DISK_SECTOR_BYTES;
        uint64_t size = (end == sectors ? bytes : end * DISK_SECTOR_BYTES) - offset;
        if (pread(file->fd, file->stable + offset, size, (off_t)offset) != (ssize_t)size)
            machine_fail("%s: cannot be read", path_of(file));
        begin = end;
    }
    file->any_unstable = false;
    for (uint64_t sector = 0; sector < file->unstable_capacity; sector++) {
        if (file->unstable[sector] == SECTOR_WRITTEN)
            file->unstable[sector] = SECTOR_STABLE;
        file->any_unstable = file->any_unstable || file->unstable[sector] != SECTOR_STABLE;
    }
}

/* ---- Opening ----------------------------------------------------------------------------- */

static void folder_clear(const char *folder)
{
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        char path[600];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (unlink(path) != 0) {
            folder_clear(path);
            (void)rmdir(path);
        }
    }
    if (listing != NULL)
        (void)closedir(listing);
}

void disk_open(const char *folder)
{
    static bool used;
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        if (used && disk.files[i].fd >= 0)
            file_free(&disk.files[i]);
        disk.files[i].fd = -1;
    }
    for (uint32_t i = 0; i < WOUNDS_MAX; i++)
        free(disk.wounds[i].healthy);
    used = true;
    memset(&disk.now, 0, sizeof disk.now);
    memset(&disk.stable, 0, sizeof disk.stable);
    memset(disk.descriptors, 0, sizeof disk.descriptors);
    memset(disk.wounds, 0, sizeof disk.wounds);
    disk.op_count = 0;
    disk.tail_lost = false;
    disk.log_forsaken = false;
    disk.full_until = 0;
    disk.log_file = NULL;
    disk.tail_file = NULL;
    disk.late_file = NULL;
    disk.unnamed_writes = 0;
    memset(&disk_counts, 0, sizeof disk_counts);
    memset(&disk_faults, 0, sizeof disk_faults);
    (void)snprintf(disk.folder, sizeof disk.folder, "%s", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        machine_fail("%s: cannot make: %s", folder, strerror(errno));
    folder_clear(folder);
}

const char *disk_folder(void)
{
    return disk.folder;
}

/* A path inside the root, from whatever a program gave. Returns whether it lies there. */
static bool path_resolve(int folder, const char *path, char out[DISK_PATH_BYTES])
{
    size_t root = strlen(disk.folder);
    const char *base = "";
    if (path[0] == '/') {
        if (strncmp(path, disk.folder, root) != 0 || (path[root] != '/' && path[root] != 0))
            return false;
        path += root + (path[root] == '/');
    } else {
        if (folder < 0 || folder >= DESCRIPTORS_MAX || !disk.descriptors[folder].is_folder)
            return false;
        base = disk.descriptors[folder].folder;
    }
    int length = snprintf(out, DISK_PATH_BYTES, "%s%s", base, path);
    return length >= 0 && length < DISK_PATH_BYTES;
}

static void op_add(enum name_op_kind kind, const char *path, const char *path_to, struct file *file)
{
    if (disk.op_count == OPS_MAX)
        machine_fail("too many names were changed without a sync of their folder");
    struct name_op *op = &disk.ops[disk.op_count++];
    *op = (struct name_op){.kind = kind, .file = file};
    (void)snprintf(op->path, sizeof op->path, "%s", path);
    (void)snprintf(op->path_to, sizeof op->path_to, "%s", path_to);
}

static bool is_full(void)
{
    return machine_now() < disk.full_until;
}

static void full_begin(void)
{
    if (!random_chance(RANDOM_DISK, disk_faults.full))
        return;
    disk.full_until = machine_now() + random_below(RANDOM_DISK, FULL_FOR_NS);
    disk_counts.full++;
    machine_trace("disk: full");
}

int disk_open_file(int folder, const char *path, int flags, unsigned mode)
{
    char inside[DISK_PATH_BYTES];
    char whole[sizeof disk.folder + DISK_PATH_BYTES];
    if (!path_resolve(folder, path, inside)) {
        int fd = open(path, flags, mode);
        return fd < 0 ? -errno : fd;
    }
    (void)snprintf(whole, sizeof whole, "%s/%s", disk.folder, inside);
    bool exists = name_find(&disk.now, inside) != NULL;
    if ((flags & O_CREAT) != 0 && !exists) {
        full_begin();
        if (is_full())
            return -ENOSPC;
    }
    bool syncs = (flags & O_DSYNC) != 0;
    int fd = open(whole, flags & ~(O_DIRECT | O_SYNC | O_DSYNC), mode);
    if (fd < 0)
        return -errno;
    if (fd >= DESCRIPTORS_MAX)
        machine_fail("too many descriptors");
    struct descriptor *descriptor = &disk.descriptors[fd];
    *descriptor = (struct descriptor){.syncs = syncs};
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        descriptor->is_folder = true;
        (void)snprintf(descriptor->folder, sizeof descriptor->folder, "%.*s%s", DISK_PATH_BYTES - 2,
                       inside, inside[0] == 0 ? "" : "/");
        return fd;
    }
    descriptor->file = file_of_open(fd);
    if (!exists) {
        name_set(&disk.now, inside, descriptor->file);
        op_add(NAME_ADD, inside, "", descriptor->file);
    }
    if ((flags & O_TRUNC) != 0)
        descriptor->file->any_unstable = true;
    return fd;
}

void disk_close_file(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX)
        disk.descriptors[fd] = (struct descriptor){0};
    close(fd);
}

static struct descriptor *descriptor_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX ? &disk.descriptors[fd] : NULL;
}

/* ---- Wounds ------------------------------------------------------------------------------ */

static struct wound *wound_add(struct file *file, uint64_t offset, uint32_t size,
                               const void *healthy)
{
    for (uint32_t i = 0; i < WOUNDS_MAX; i++) {
        struct wound *wound = &disk.wounds[i];
        if (wound->healthy != NULL)
            continue;
        *wound = (struct wound){
            .file = file,
            .offset = offset,
            .size = size,
            .in_log = is_log(path_of(file)),
            .healthy = malloc(size),
        };
        if (wound->healthy == NULL)
            machine_fail("out of memory");
        memcpy(wound->healthy, healthy, size);
        return wound;
    }
    machine_fail("the simulated disk has too many wounds");
}

/* A program has written to a range: what was wounded there is healthy as it is now. */
static void wounds_refresh(const struct file *file, const char *bytes, uint64_t size,
                           uint64_t offset)
{
    for (uint32_t i = 0; i < WOUNDS_MAX; i++) {
        struct wound *wound = &disk.wounds[i];
        uint64_t begin = wound->offset > offset ? wound->offset : offset;
        uint64_t end = wound->offset + wound->size < offset + size ? wound->offset + wound->size
                                                                   : offset + size;
        if (wound->file != file || begin >= end)
            continue;
        disk.tail_cut = disk.tail_cut || wound == disk.tail_wound;
        memcpy(wound->healthy + (begin - wound->offset), bytes + (begin - offset), end - begin);
        if (begin == wound->offset && end == wound->offset + wound->size)
            wound->file = NULL;
    }
}

/* ---- Reading and writing ------------------------------------------------------------------ */

uint64_t disk_write_latency(void)
{
    if (random_chance(RANDOM_DISK, disk_faults.stall)) {
        disk_counts.stalls++;
        return random_skewed(RANDOM_DISK, 1000 * 1000, 3000ull * 1000 * 1000);
    }
    return disk_faults.latency_ns / 2 + random_below(RANDOM_DISK, disk_faults.latency_ns + 1);
}

uint64_t disk_read_latency(void)
{
    return 1000 + disk_write_latency() / 8;
}

/* A fault of a write, as -errno, 0: none. Shortens *size now and then. */
static int write_fault(size_t *size, uint32_t error_chance, bool interruptible)
{
    if (interruptible && random_chance(RANDOM_DISK, disk_faults.interrupted)) {
        disk_counts.interruptions++;
        return random_chance(RANDOM_DISK, 500) ? -EINTR : -EAGAIN;
    }
    if (random_chance(RANDOM_DISK, error_chance)) {
        disk_counts.write_errors++;
        machine_trace("disk: EIO");
        return -EIO;
    }
    if (*size > DISK_SECTOR_BYTES && random_chance(RANDOM_DISK, disk_faults.short_write)) {
        uint64_t sectors = *size / DISK_SECTOR_BYTES;
        disk_counts.short_writes++;
        *size = (1 + random_below(RANDOM_DISK, sectors)) * DISK_SECTOR_BYTES;
    }
    return 0;
}

ssize_t disk_write(int fd, const void *bytes, size_t size, uint64_t offset, bool interruptible)
{
    struct descriptor *descriptor = descriptor_of(fd);
    if (descriptor == NULL || descriptor->file == NULL)
        return -EBADF;
    struct file *file = descriptor->file;
    int fault = write_fault(&size, disk_faults.write_error, interruptible);
    if (fault != 0)
        return fault;
    if (offset + size > file_bytes(file) && is_full())
        return -ENOSPC;
    if (pwrite(file->fd, bytes, size, (off_t)offset) != (ssize_t)size)
        machine_fail("%s: cannot be written: %s", path_of(file), strerror(errno));
    wounds_refresh(file, bytes, size, offset);
    if (descriptor->syncs)
        range_settle(file, bytes, size, offset);
    else
        unstable_mark(file, offset, size);
    return (ssize_t)size;
}

ssize_t disk_read(int fd, void *bytes, size_t size, uint64_t offset)
{
    if (random_chance(RANDOM_DISK, disk_faults.read_error)) {
        disk_counts.read_errors++;
        machine_trace("disk: read error");
        return -EIO;
    }
    ssize_t got = pread(fd, bytes, size, (off_t)offset);
    return got < 0 ? -errno : got;
}

int disk_truncate(int fd, uint64_t size)
{
    struct descriptor *descriptor = descriptor_of(fd);
    if (descriptor == NULL || descriptor->file == NULL)
        return -EBADF;
    descriptor->file->any_unstable = true;
    return ftruncate(descriptor->file->fd, (off_t)size) == 0 ? 0 : -errno;
}

static bool in_folder(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && strchr(path + length, '/') == NULL;
}

static void op_apply(struct names *names, const struct name_op *op)
{
    switch (op->kind) {
    case NAME_ADD:
        name_set(names, op->path, op->file);
        break;
    case NAME_MOVE:
        name_set(names, op->path, NULL);
        name_set(names, op->path_to, op->file);
        break;
    case NAME_REMOVE:
        name_set(names, op->path, NULL);
        break;
    }
}

static void folder_settle(const char *folder)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < disk.op_count; i++) {
        if (in_folder(disk.ops[i].path, folder))
            op_apply(&disk.stable, &disk.ops[i]);
        else
            disk.ops[kept++] = disk.ops[i];
    }
    disk.op_count = kept;
}

/* A sync that fails leaves the page cache as it is, and calls some of it written that is not: the
 * next one succeeds, and does not write it either. */
static void file_forsake(struct file *file)
{
    for (uint64_t sector = 0; sector < file->unstable_capacity; sector++) {
        if (file->unstable[sector] != SECTOR_WRITTEN || !random_chance(RANDOM_DISK, 500))
            continue;
        file->unstable[sector] = SECTOR_FORSAKEN;
        disk.log_forsaken = disk.log_forsaken || is_log(path_of(file));
    }
}

bool disk_log_forsaken(void)
{
    return disk.log_forsaken;
}

int disk_sync(int fd, bool interruptible)
{
    struct descriptor *descriptor = descriptor_of(fd);
    if (descriptor == NULL || (descriptor->file == NULL && !descriptor->is_folder))
        return -EBADF;
    size_t size = 0;
    int fault = write_fault(&size, disk_faults.write_error, interruptible);
    if (fault == -EIO && descriptor->file != NULL)
        file_forsake(descriptor->file);
    if (fault == -EIO)
        return fault;
    if (descriptor->is_folder)
        folder_settle(descriptor->folder);
    else
        file_settle(descriptor->file);
    return 0;
}

int disk_rename(int folder, const char *from, const char *to)
{
    char path[DISK_PATH_BYTES];
    char path_to[DISK_PATH_BYTES];
    char whole[sizeof disk.folder + DISK_PATH_BYTES];
    char whole_to[sizeof disk.folder + DISK_PATH_BYTES];
    if (!path_resolve(folder, from, path) || !path_resolve(folder, to, path_to))
        return -EXDEV;
    (void)snprintf(whole, sizeof whole, "%s/%s", disk.folder, path);
    (void)snprintf(whole_to, sizeof whole_to, "%s/%s", disk.folder, path_to);
    if (rename(whole, whole_to) != 0)
        return -errno;
    struct name_op op = {.kind = NAME_MOVE, .file = name_find(&disk.now, path)};
    op_add(NAME_MOVE, path, path_to, op.file);
    op_apply(&disk.now, &disk.ops[disk.op_count - 1]);
    return 0;
}

int disk_unlink(int folder, const char *path)
{
    char inside[DISK_PATH_BYTES];
    char whole[sizeof disk.folder + DISK_PATH_BYTES];
    if (!path_resolve(folder, path, inside))
        return -ENOENT;
    (void)snprintf(whole, sizeof whole, "%s/%s", disk.folder, inside);
    if (unlink(whole) != 0)
        return -errno;
    op_add(NAME_REMOVE, inside, "", name_find(&disk.now, inside));
    op_apply(&disk.now, &disk.ops[disk.op_count - 1]);
    return 0;
}

/* ---- The log's writes -------------------------------------------------------------------- */

static void bytes_keep(char **kept, const char *bytes, size_t size)
{
    *kept = realloc(*kept, size > 0 ? size : 1);
    if (*kept == NULL)
        machine_fail("out of memory");
    memcpy(*kept, bytes, size);
}

static void log_store(struct file *file, const char *bytes, size_t size, uint64_t offset)
{
    if (pwrite(file->fd, bytes, size, (off_t)offset) != (ssize_t)size)
        machine_fail("%s: cannot be written: %s", path_of(file), strerror(errno));
    range_settle(file, bytes, size, offset);
}

void disk_log_write_begin(int fd, const void *bytes, size_t size, uint64_t offset)
{
    struct descriptor *descriptor = descriptor_of(fd);
    if (descriptor == NULL || descriptor->file == NULL)
        machine_fail("a write of the log to descriptor %d", fd);
    if (disk.log_file != NULL)
        machine_fail("two writes of the log at a time");
    if (offset + size > file_bytes(descriptor->file))
        machine_fail("a write of the log behind the end of its segment");
    disk.log_file = descriptor->file;
    disk.log_bytes = bytes;
    disk.log_size = size;
    disk.log_offset = offset;
}

/* Somewhere else in the log, aligned as it was. */
static bool log_misdirect(struct file *file, size_t size, uint64_t offset)
{
    uint64_t slots = file->stable_bytes / 4096;
    uint64_t place = random_below(RANDOM_DISK, slots) * 4096 + offset % 4096;
    if (place + size > file->stable_bytes || (place < offset + size && offset < place + size))
        return false;
    wound_add(file, place, (uint32_t)size, file->stable + place);
    log_store(file, disk.log_bytes, size, place);
    disk_counts.misdirected_writes++;
    machine_trace("disk: the write went to %" PRIu64 " instead", place);
    return true;
}

int disk_log_write_end(void)
{
    struct file *file = disk.log_file;
    size_t size = disk.log_size;
    uint64_t offset = disk.log_offset;
    disk_counts.log_writes++;
    disk.log_file = NULL;
    int fault = write_fault(&size, disk_faults.log_error, true);
    if (fault == -EIO && size > 0) {
        /* Some of it may be there nevertheless. */
        uint64_t part = random_below(RANDOM_DISK, size / DISK_SECTOR_BYTES + 1);
        log_store(file, disk.log_bytes, part * DISK_SECTOR_BYTES, offset);
    }
    if (fault != 0)
        return fault;
    disk.tail_file = file;
    disk.tail_offset = offset;
    disk.tail_bytes = size;
    disk.tail_lost = false;
    bool named = disk.op_count == 0 || name_find(&disk.stable, path_of(file)) == file;
    disk.unnamed_writes = named ? 0 : disk.unnamed_writes + 1;
    bytes_keep(&disk.tail_before, file->stable + offset, size);
    bool goes_wrong =
        random_chance(RANDOM_DISK, disk_faults.lost + disk_faults.misdirected) && offset > 0;
    if (goes_wrong) {
        bool elsewhere = random_below(RANDOM_DISK, disk_faults.lost + disk_faults.misdirected) >=
                         disk_faults.lost;
        wounds_refresh(file, disk.log_bytes, size, offset);
        disk.tail_wound = wound_add(file, offset, (uint32_t)size, disk.log_bytes);
        disk.tail_wound->lost = true;
        disk.tail_lost = true;
        disk.tail_cut = false;
        if (elsewhere && log_misdirect(file, size, offset))
            return (int)size;
        disk_counts.lost_writes++;
        machine_trace("disk: the write of %zu bytes at %" PRIu64 " is lost", size, offset);
        return (int)size;
    }
    log_store(file, disk.log_bytes, size, offset);
    wounds_refresh(file, disk.log_bytes, size, offset);
    return (int)size;
}

bool disk_log_writing(void)
{
    return disk.log_file != NULL;
}

bool disk_names_unstable(void)
{
    return disk.op_count > 0;
}

bool disk_name_removed(void)
{
    for (uint32_t i = 0; i < disk.op_count; i++) {
        const struct name_op *op = &disk.ops[i];
        if (op->kind == NAME_REMOVE && strstr(op->path, ".tmp") == NULL)
            return true;
    }
    return false;
}

bool disk_tail_unnamed(void)
{
    enum { FEW = 4 };
    return disk.unnamed_writes >= FEW;
}

/* ---- Ends -------------------------------------------------------------------------------- */

void disk_settle(void)
{
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        if (disk.files[i].fd >= 0)
            file_settle(&disk.files[i]);
    }
    for (uint32_t i = 0; i < disk.op_count; i++)
        op_apply(&disk.stable, &disk.ops[i]);
    disk.op_count = 0;
}

/* The newest write of the log, which was acknowledged, is not there after all. */
static void tail_lose(void)
{
    struct file *file = disk.tail_file;
    if (file == NULL || disk.tail_lost || disk_faults.lost == 0 || !random_chance(RANDOM_DISK, 333))
        return;
    disk.late_file = file;
    disk.late_offset = disk.tail_offset;
    disk.late_bytes = disk.tail_bytes;
    disk.late_due = false;
    bytes_keep(&disk.late, file->stable + disk.tail_offset, disk.tail_bytes);
    disk.tail_wound = wound_add(file, disk.tail_offset, (uint32_t)disk.tail_bytes, disk.late);
    disk.tail_wound->lost = true;
    log_store(file, disk.tail_before, disk.tail_bytes, disk.tail_offset);
    disk.tail_lost = true;
    disk.tail_cut = false;
    disk_counts.lost_writes++;
    machine_trace("disk: the newest write, %" PRIu64 " bytes at %" PRIu64 ", is lost",
                  disk.tail_bytes, disk.tail_offset);
}

/* And comes when something else was written in its place, with something more behind it. */
static bool late_write_come(void)
{
    struct file *file = disk.late_file;
    if (file == NULL)
        return false;
    bool was_due = disk.late_due;
    disk.late_due = true;
    bool newest = file == disk.tail_file && disk.tail_offset < disk.late_offset + disk.late_bytes;
    if (!was_due || newest || disk.tail_lost)
        return false;
    disk.late_file = NULL;
    if (memcmp(file->stable + disk.late_offset, disk.late, disk.late_bytes) == 0)
        return false;
    wound_add(file, disk.late_offset, (uint32_t)disk.late_bytes, file->stable + disk.late_offset);
    log_store(file, disk.late, disk.late_bytes, disk.late_offset);
    disk_counts.late_writes++;
    machine_trace("disk: a lost write comes late, %" PRIu64 " bytes at %" PRIu64, disk.late_bytes,
                  disk.late_offset);
    return true;
}

static void descriptors_forget(void)
{
    memset(disk.descriptors, 0, sizeof disk.descriptors);
    disk.full_until = 0;
}

static bool names_have(const struct names *names, const struct file *file)
{
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        if (names->names[i].path[0] != 0 && names->names[i].file == file)
            return true;
    }
    return false;
}

/* Forgets the files that no name leads to any more, not even after a power failure. */
static void files_tidy(void)
{
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        bool named = names_have(&disk.now, file) || names_have(&disk.stable, file);
        for (uint32_t j = 0; j < disk.op_count; j++)
            named = named || disk.ops[j].file == file;
        if (file->fd < 0 || named)
            continue;
        for (uint32_t j = 0; j < WOUNDS_MAX; j++) {
            if (disk.wounds[j].file == file)
                disk.wounds[j].file = NULL;
        }
        disk.tail_file = disk.tail_file == file ? NULL : disk.tail_file;
        disk.late_file = disk.late_file == file ? NULL : disk.late_file;
        file_free(file);
    }
}

void disk_process_died(void)
{
    disk_counts.process_deaths++;
    if (disk.log_file != NULL && random_chance(RANDOM_DISK, 500)) {
        log_store(disk.log_file, disk.log_bytes, disk.log_size, disk.log_offset);
        wounds_refresh(disk.log_file, disk.log_bytes, disk.log_size, disk.log_offset);
    }
    disk.log_file = NULL;
    descriptors_forget();
    files_tidy();
}

/* What became of one sector: old is what was stable, new what was being written. */
static void sector_choose(char *out, const char *old, const char *new, size_t size)
{
    uint64_t chance = random_below(RANDOM_DISK, 100);
    disk_counts.sectors_unstable++;
    memcpy(out, new, size);
    if (chance < 40)
        return;
    memcpy(out, old, size);
    if (chance < 80) {
        disk_counts.sectors_old++;
    } else if (chance < 90) {
        size_t torn = 8 * (1 + random_below(RANDOM_DISK, size < 16 ? 1 : size / 8 - 1));
        memcpy(out, new, torn < size ? torn : size);
        disk_counts.sectors_torn++;
    } else {
        for (size_t i = 0; i < size; i++)
            out[i] = (char)random_next(RANDOM_DISK);
        disk_counts.sectors_garbage++;
    }
}

/* The write of the log that was under way. */
static void log_write_fail(void)
{
    struct file *file = disk.log_file;
    if (file == NULL)
        return;
    /* Mostly some of it; now and then nothing or all. */
    uint64_t how = random_below(RANDOM_DISK, 4);
    for (uint64_t at = 0; at < disk.log_size && how > 0; at += DISK_SECTOR_BYTES) {
        char sector[DISK_SECTOR_BYTES];
        size_t size = disk.log_size - at < sizeof sector ? disk.log_size - at : sizeof sector;
        if (how == 1)
            memcpy(sector, disk.log_bytes + at, size);
        else
            sector_choose(sector, file->stable + disk.log_offset + at, disk.log_bytes + at, size);
        log_store(file, sector, size, disk.log_offset + at);
        wounds_refresh(file, sector, size, disk.log_offset + at);
    }
    disk.log_file = NULL;
}

/* What is left of a file becomes both what is stable and what is seen. */
static void file_power_fail(struct file *file)
{
    uint64_t now = file_bytes(file);
    uint64_t bytes = file->stable_bytes;
    if (now != bytes && random_chance(RANDOM_DISK, 500))
        bytes = now;
    uint64_t old_bytes = file->stable_bytes;
    stable_resize(file, bytes > old_bytes ? bytes : old_bytes);
    uint64_t sectors = (bytes + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES;
    unstable_reserve(file, bytes);
    for (uint64_t sector = 0; sector < sectors && file->any_unstable; sector++) {
        char seen[DISK_SECTOR_BYTES] = {0};
        char left[DISK_SECTOR_BYTES];
        uint64_t offset = sector * DISK_SECTOR_BYTES;
        size_t size = bytes - offset < sizeof seen ? bytes - offset : sizeof seen;
        if (file->unstable[sector] == SECTOR_STABLE)
            continue;
        (void)!pread(file->fd, seen, size, (off_t)offset);
        if (file->unstable[sector] == SECTOR_WRITTEN)
            sector_choose(left, file->stable + offset, seen, size);
        else
            memcpy(left, file->stable + offset, size);
        memcpy(file->stable + offset, left, size);
        if (pwrite(file->fd, left, size, (off_t)offset) != (ssize_t)size)
            machine_fail("%s: cannot be written", path_of(file));
    }
    stable_resize(file, bytes);
    if (ftruncate(file->fd, (off_t)bytes) != 0 ||
        (now < bytes && pwrite(file->fd, file->stable + now, bytes - now, (off_t)now) < 0))
        machine_fail("%s: cannot be made %" PRIu64 " bytes long", path_of(file), bytes);
    if (file->unstable_capacity > 0)
        memset(file->unstable, 0, file->unstable_capacity);
    file->any_unstable = false;
}

/* Makes a file again whose name was removed, and not for good. */
static struct file *file_revive(struct file *file, const char *whole)
{
    int fd = open(whole, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        machine_fail("%s: %s", whole, strerror(errno));
    if (file->stable_bytes > 0 &&
        pwrite(fd, file->stable, file->stable_bytes, 0) != (ssize_t)file->stable_bytes)
        machine_fail("%s: cannot be written", whole);
    struct file *revived = file_of_open(fd);
    close(fd);
    stable_resize(revived, file->stable_bytes);
    if (file->stable_bytes > 0)
        memcpy(revived->stable, file->stable, file->stable_bytes);
    for (uint32_t i = 0; i < WOUNDS_MAX; i++) {
        if (disk.wounds[i].file == file)
            disk.wounds[i].file = revived;
    }
    return revived;
}

static void whole_path(const char *path, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/%s", disk.folder, path);
}

/* Puts the names of the folder into the state that the disk has. */
static void names_restore(void)
{
    char whole[sizeof disk.folder + DISK_PATH_BYTES];
    char whole_to[sizeof disk.folder + DISK_PATH_BYTES];
    /* Out of the way first: a name may have moved from one file to another. */
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        struct name *name = &disk.now.names[i];
        if (name->path[0] == 0 || name_find(&disk.stable, name->path) == name->file)
            continue;
        whole_path(name->path, whole, sizeof whole);
        (void)snprintf(whole_to, sizeof whole_to, "%s/.%u", disk.folder, i);
        if (rename(whole, whole_to) != 0)
            machine_fail("%s: cannot be moved: %s", whole, strerror(errno));
        disk_counts.names_lost++;
    }
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        struct name *name = &disk.stable.names[i];
        if (name->path[0] == 0 || name_find(&disk.now, name->path) == name->file)
            continue;
        whole_path(name->path, whole, sizeof whole);
        bool moved = false;
        for (uint32_t j = 0; j < NAMES_MAX && !moved; j++) {
            (void)snprintf(whole_to, sizeof whole_to, "%s/.%u", disk.folder, j);
            moved = disk.now.names[j].path[0] != 0 && disk.now.names[j].file == name->file &&
                    rename(whole_to, whole) == 0;
        }
        if (!moved)
            name->file = file_revive(name->file, whole);
    }
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        (void)snprintf(whole_to, sizeof whole_to, "%s/.%u", disk.folder, i);
        (void)unlink(whole_to);
    }
    disk.now = disk.stable;
}

void disk_power_failed(void)
{
    disk_counts.power_failures++;
    /* Not both at once: what would prove the one could be the other. */
    if (!late_write_come())
        tail_lose();
    log_write_fail();
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        if (disk.files[i].fd >= 0)
            file_power_fail(&disk.files[i]);
    }
    /* A journal commits changes of names in their order. */
    uint32_t kept = (uint32_t)random_below(RANDOM_DISK, disk.op_count + 1);
    if (random_chance(RANDOM_DISK, 400))
        kept = 0;
    for (uint32_t i = 0; i < kept; i++)
        op_apply(&disk.stable, &disk.ops[i]);
    disk.op_count = 0;
    names_restore();
    descriptors_forget();
    files_tidy();
}

/* ---- Rot and wounds ---------------------------------------------------------------------- */

static bool in_tail(const struct file *file, uint64_t offset)
{
    return file == disk.tail_file && offset >= disk.tail_offset &&
           offset < disk.tail_offset + disk.tail_bytes;
}

void disk_rot(void)
{
    struct name *name = NULL;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        struct name *candidate = &disk.now.names[i];
        if (candidate->path[0] != 0 && candidate->file->stable_bytes > 0 &&
            random_below(RANDOM_DISK, ++seen) == 0)
            name = candidate;
    }
    if (name == NULL)
        return;
    struct file *file = name->file;
    /* Mostly where something is: a log's rest is zeros. */
    uint64_t offset = 0;
    for (uint32_t tries = 0; tries < 40; tries++) {
        offset = random_below(RANDOM_DISK, file->stable_bytes);
        if (file->stable[offset] != 0 || tries % 10 == 9)
            break;
    }
    if (in_tail(file, offset))
        return;
    wound_add(file, offset, 1, file->stable + offset);
    char flipped = (char)(file->stable[offset] ^ (char)(1u << random_below(RANDOM_DISK, 8)));
    file->stable[offset] = flipped;
    if (pwrite(file->fd, &flipped, 1, (off_t)offset) != 1)
        machine_fail("%s: cannot be written", name->path);
    disk_counts.flips++;
    machine_trace("disk: a bit of %s flips at %" PRIu64, name->path, offset);
}

static uint32_t wounds_count(bool in_log)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < WOUNDS_MAX; i++)
        count += disk.wounds[i].file != NULL && disk.wounds[i].in_log == in_log;
    return count;
}

uint32_t disk_wounds_log(void)
{
    return wounds_count(true);
}

uint32_t disk_wounds_other(void)
{
    return wounds_count(false);
}

bool disk_index_missing(void)
{
    static const char bad[] = ".idx.bad";
    char index[DISK_PATH_BYTES];
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        const char *path = disk.now.names[i].path;
        const char *end = strstr(path, bad);
        if (end == NULL)
            continue;
        (void)snprintf(index, sizeof index, "%.*s.idx", (int)(end - path), path);
        if (name_find(&disk.now, index) == NULL)
            return true;
    }
    return false;
}

bool disk_tail_lost(void)
{
    disk.tail_wound_seen = disk.tail_wound;
    for (uint32_t i = 0; i < WOUNDS_MAX; i++)
        disk.wounds[i].seen = disk.wounds[i].file != NULL;
    return disk.tail_lost;
}

void disk_tail_accept(uint32_t segment, uint32_t offset)
{
    for (uint32_t i = 0; i < WOUNDS_MAX; i++) {
        struct wound *wound = &disk.wounds[i];
        uint32_t number;
        if (wound->file == NULL || !wound->lost || !wound->seen ||
            sscanf(path_of(wound->file), "shard-0/%10u.log", &number) != 1)
            continue;
        if (number > segment || (number == segment && wound->offset + wound->size > offset))
            wound->file = NULL;
    }
    disk.tail_wound_seen->file = NULL;
}

/* What failed syncs have forsaken is written after all. */
static void forsaken_heal(void)
{
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        bool healed = false;
        for (uint64_t sector = 0; file->fd >= 0 && sector < file->unstable_capacity; sector++) {
            if (file->unstable[sector] != SECTOR_FORSAKEN)
                continue;
            file->unstable[sector] = SECTOR_WRITTEN;
            healed = true;
        }
        if (healed)
            file_settle(file);
    }
    disk.log_forsaken = false;
}

void disk_heal(void)
{
    /* The newest first: what an older one names healthy may lie below it. */
    for (uint32_t i = WOUNDS_MAX; i > 0; i--) {
        struct wound *wound = &disk.wounds[i - 1];
        if (wound->file != NULL) {
            log_store(wound->file, wound->healthy, wound->size, wound->offset);
            machine_trace("disk: %u bytes of %s at %" PRIu64 " are healed", wound->size,
                          path_of(wound->file), wound->offset);
        }
        free(wound->healthy);
        *wound = (struct wound){0};
    }
    disk.tail_lost = disk.tail_lost && disk.tail_cut;
    disk.late_file = NULL;
    forsaken_heal();
}

bool disk_is_zero_from(const char *path, uint64_t offset)
{
    const struct file *file = name_find(&disk.now, path);
    char bytes[4096];
    ssize_t got = 0;
    bool zero = file != NULL;
    while (zero && (got = pread(file->fd, bytes, sizeof bytes, (off_t)offset)) > 0) {
        zero = bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)got - 1) == 0;
        offset += (uint64_t)got;
    }
    return zero && got == 0;
}

uint64_t disk_log_digest(void)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        const struct name *name = &disk.now.names[i];
        if (is_log(name->path) || strcmp(name->path, "giro.meta") == 0)
            digest += XXH3_64bits_withSeed(name->file->stable, name->file->stable_bytes,
                                           XXH3_64bits(name->path, strlen(name->path)));
    }
    return digest;
}
