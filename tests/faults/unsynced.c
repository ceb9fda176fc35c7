/* Loaded into a server with LD_PRELOAD: notes what was not synced. tests/faults/unsynced.h has the
 * model, tests/faults/cut.c what becomes of the notes. */
/* Both names of a function are defined here, that of small files and that of large ones. */
#undef _FILE_OFFSET_BITS
#define SHIM_LIBRARY

#include "tests/faults/unsynced.h"

#include "tests/faults/shim.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { CALLS_MAX = 32, CHUNK_BYTES = 64 << 10 };

static struct unsynced *control;
static int journal_fd = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Calls that have not returned: a sync does not wait for them. */
static struct {
    uint64_t id; /* 0: free */
    uint64_t inode;
} calls[CALLS_MAX];

static void __attribute__((constructor)) control_open(void)
{
    control = shim_control_map(sizeof *control);
    if (control != NULL)
        journal_fd = (int)syscall(SYS_openat, AT_FDCWD, control->journal,
                                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* ---- Steps ------------------------------------------------------------------------------- */

static void step(const char *name, const char *path, const char *when)
{
    if (atomic_load(&control->armed) == 0)
        return;
    if (atomic_fetch_add(&control->count, 1) + 1 != atomic_load(&control->at))
        return;
    (void)snprintf(control->last, sizeof control->last, "%s %s(%.48s)", when, name, path);
    (void)kill(getpid(), SIGKILL);
}

/* ---- Which files ------------------------------------------------------------------------- */

/* What a descriptor of one of the shard's files, or of its folder, is called. */
struct watched {
    char path[UNSYNCED_PATH_BYTES];
    struct stat status;
    bool folder;
};

static const char *name_of(const struct watched *file)
{
    return file->folder ? "folder" : strrchr(file->path, '/') + 1;
}

static bool watched_fd(int fd, struct watched *file)
{
    char link[64];
    if (control == NULL || journal_fd < 0)
        return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, file->path, sizeof file->path - 1);
    size_t shard = strlen(control->shard);
    if (length < (ssize_t)shard || memcmp(file->path, control->shard, shard) != 0)
        return false;
    file->path[length] = 0;
    file->folder = (size_t)length == shard;
    return (file->folder || file->path[shard] == '/') && fstat(fd, &file->status) == 0;
}

/* The name in the shard's folder that a call means; NULL: some other file. */
static const char *watched_name(int folder, const char *path)
{
    struct watched file;
    if (control == NULL || journal_fd < 0)
        return NULL;
    size_t shard = strlen(control->shard);
    if (strncmp(path, control->shard, shard) == 0 && path[shard] == '/')
        return path + shard + 1;
    if (folder == AT_FDCWD || strchr(path, '/') != NULL || !watched_fd(folder, &file))
        return NULL;
    return file.folder ? path : NULL;
}

static bool name_status(const char *name, struct stat *status)
{
    char path[UNSYNCED_PATH_BYTES + UNSYNCED_NAME_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", control->shard, name);
    return stat(path, status) == 0;
}

/* A file that is about to lose its name gets another one. */
static void keep(const char *name, uint64_t inode)
{
    char from[UNSYNCED_PATH_BYTES + UNSYNCED_NAME_BYTES];
    char to[UNSYNCED_PATH_BYTES + 32];
    (void)snprintf(from, sizeof from, "%s/%s", control->shard, name);
    (void)snprintf(to, sizeof to, "%s/%lu", control->kept, inode);
    (void)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- Notes ------------------------------------------------------------------------------- */

static void journal_write(const void *bytes, size_t size)
{
    if (syscall(SYS_write, journal_fd, bytes, size) != (ssize_t)size)
        abort(); /* a test without notes proves nothing */
}

static void note_write(struct note *note)
{
    note->id = atomic_fetch_add(&control->note, 1);
    journal_write(note, sizeof *note);
}

/* id: of its first note. */
static void call_begin(uint64_t id, uint64_t inode)
{
    uint32_t slot = 0;
    while (slot < CALLS_MAX && calls[slot].id != 0)
        slot++;
    if (slot == CALLS_MAX)
        abort();
    calls[slot].id = id;
    calls[slot].inode = inode;
}

static void call_end(uint64_t id)
{
    for (uint32_t i = 0; i < CALLS_MAX; i++) {
        if (calls[i].id == id)
            calls[i].id = 0;
    }
}

/* The last id that a sync of this inode covers which begins now. */
static uint64_t sync_until(uint64_t inode)
{
    uint64_t until = atomic_load(&control->note) - 1;
    for (uint32_t i = 0; i < CALLS_MAX; i++) {
        if (calls[i].id != 0 && calls[i].inode == inode && calls[i].id <= until)
            until = calls[i].id - 1;
    }
    return until;
}

/* Reads what lies at a place of a file, through a descriptor that may read it, without O_DIRECT. */
static bool before_read(int fd, uint64_t offset, char *out, size_t size)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reader = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    size_t done = 0;
    while (reader >= 0 && done < size) {
        ssize_t got = syscall(SYS_pread64, reader, out + done, size - done, offset + done);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    if (reader >= 0)
        (void)syscall(SYS_close, reader);
    memset(out + done, 0, size - done); /* beyond the end */
    return reader >= 0;
}

static bool all_zeros(const char *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Notes a piece of a write. Returns its id. */
static uint64_t piece_note(int fd, const struct watched *file, uint64_t offset, size_t size)
{
    static char before[CHUNK_BYTES]; /* under the mutex */
    struct note note = {
        .kind = NOTE_WRITE,
        .inode = file->status.st_ino,
        .offset = offset,
        .size = size,
        .file_bytes = (uint64_t)file->status.st_size,
    };
    if (offset >= note.file_bytes)
        note.zeros = 1;
    else if (!before_read(fd, offset, before, size))
        abort();
    else
        note.zeros = all_zeros(before, size);
    (void)snprintf(note.name, sizeof note.name, "%s", name_of(file));
    note_write(&note);
    if (!note.zeros)
        journal_write(before, UNSYNCED_BEFORE_BYTES(size));
    return note.id;
}

/* ---- Writes ------------------------------------------------------------------------------ */

struct writing {
    bool watched;
    bool synced;
    bool stepped;
    uint64_t first; /* ids of its pieces */
    uint64_t last;
    struct watched file;
};

static struct writing write_begin(const char *name, int fd, uint64_t offset, size_t size,
                                  bool synced)
{
    struct writing writing = {.watched = watched_fd(fd, &writing.file) && !writing.file.folder};
    if (!writing.watched || size == 0)
        return (struct writing){.watched = false};
    writing.synced = synced || (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    writing.stepped = !writing.synced || atomic_load(&control->log_too) != 0;
    pthread_mutex_lock(&mutex);
    for (size_t done = 0; done < size; done += CHUNK_BYTES) {
        size_t piece = size - done < CHUNK_BYTES ? size - done : CHUNK_BYTES;
        writing.last = piece_note(fd, &writing.file, offset + done, piece);
        if (done == 0)
            writing.first = writing.last;
    }
    call_begin(writing.first, writing.file.status.st_ino);
    pthread_mutex_unlock(&mutex);
    if (writing.stepped)
        step(name, name_of(&writing.file), "before");
    return writing;
}

static ssize_t write_end(const char *name, const struct writing *writing, ssize_t result)
{
    int code = errno;
    if (!writing->watched)
        return result;
    if (writing->stepped)
        step(name, name_of(&writing->file), "after");
    pthread_mutex_lock(&mutex);
    call_end(writing->first);
    for (uint64_t id = writing->first; id <= writing->last; id++) {
        if (!writing->synced || result < 0 ||
            (atomic_load(&control->lies) & UNSYNCED_LIE_WRITE) != 0)
            continue;
        note_write(&(struct note){.kind = NOTE_WRITTEN, .until = id});
    }
    pthread_mutex_unlock(&mutex);
    errno = code;
    return result;
}

static size_t parts_bytes(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

static uint64_t position_of(int fd)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at < 0 ? 0 : (uint64_t)at;
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset)
{
    REAL(pwrite64);
    struct writing writing = write_begin("pwrite", fd, (uint64_t)offset, size, false);
    return write_end("pwrite", &writing, real(fd, buffer, size, offset));
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    REAL(pwrite);
    struct writing writing = write_begin("pwrite", fd, (uint64_t)offset, size, false);
    return write_end("pwrite", &writing, real(fd, buffer, size, offset));
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags)
{
    REAL(pwritev64v2);
    struct writing writing = write_begin("pwritev", fd, (uint64_t)offset, parts_bytes(parts, count),
                                         (flags & RWF_DSYNC) != 0);
    return write_end("pwritev", &writing, real(fd, parts, count, offset, flags));
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    REAL(write);
    struct writing writing = write_begin("write", fd, position_of(fd), size, false);
    return write_end("write", &writing, real(fd, buffer, size));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    struct writing writing =
        write_begin("writev", fd, position_of(fd), parts_bytes(parts, count), false);
    return write_end("writev", &writing, real(fd, parts, count));
}

/* ---- Syncs ------------------------------------------------------------------------------- */

struct syncing {
    bool watched;
    uint64_t inode;
    uint64_t until;
    struct watched file;
};

static struct syncing sync_begin(const char *name, int fd)
{
    struct syncing syncing = {.watched = watched_fd(fd, &syncing.file)};
    if (!syncing.watched)
        return syncing;
    syncing.inode = syncing.file.folder ? UNSYNCED_FOLDER : syncing.file.status.st_ino;
    pthread_mutex_lock(&mutex);
    syncing.until = sync_until(syncing.inode);
    pthread_mutex_unlock(&mutex);
    step(name, name_of(&syncing.file), "before");
    return syncing;
}

static int sync_end(const char *name, const struct syncing *syncing, int result)
{
    int code = errno;
    if (!syncing->watched)
        return result;
    step(name, name_of(&syncing->file), "after");
    uint32_t lie = syncing->file.folder ? UNSYNCED_LIE_FOLDER : UNSYNCED_LIE_FILE;
    if (result == 0 && (atomic_load(&control->lies) & lie) == 0) {
        pthread_mutex_lock(&mutex);
        note_write(
            &(struct note){.kind = NOTE_SYNC, .inode = syncing->inode, .until = syncing->until});
        pthread_mutex_unlock(&mutex);
    }
    errno = code;
    return result;
}

int fsync(int fd)
{
    REAL(fsync);
    struct syncing syncing = sync_begin("fsync", fd);
    return sync_end("fsync", &syncing, real(fd));
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    struct syncing syncing = sync_begin("fdatasync", fd);
    return sync_end("fdatasync", &syncing, real(fd));
}

/* ---- Names and sizes --------------------------------------------------------------------- */

/* Notes an act on names; what loses its name is kept. Returns its id, 0: nothing of ours. */
static uint64_t name_begin(const char *call, enum note_kind kind, const char *name,
                           const char *name_to)
{
    struct stat status;
    struct note note = {.kind = kind};
    if (name == NULL || !name_status(name, &status))
        return 0;
    note.inode = status.st_ino;
    (void)snprintf(note.name, sizeof note.name, "%s", name);
    if (name_to != NULL) {
        (void)snprintf(note.name_to, sizeof note.name_to, "%s", name_to);
        if (name_status(name_to, &status)) {
            note.replaced = status.st_ino;
            keep(name_to, note.replaced);
        }
    } else {
        keep(name, note.inode);
    }
    pthread_mutex_lock(&mutex);
    note_write(&note);
    call_begin(note.id, UNSYNCED_FOLDER);
    pthread_mutex_unlock(&mutex);
    step(call, name, "before");
    return note.id;
}

static int name_end(const char *call, uint64_t id, const char *name, int result)
{
    int code = errno;
    if (id == 0)
        return result;
    step(call, name, "after");
    pthread_mutex_lock(&mutex);
    call_end(id);
    pthread_mutex_unlock(&mutex);
    errno = code;
    return result;
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    const char *name = watched_name(AT_FDCWD, from);
    uint64_t id = name_begin("rename", NOTE_RENAME, name, watched_name(AT_FDCWD, to));
    return name_end("rename", id, name, real(from, to));
}

int renameat(int folder_from, const char *from, int folder_to, const char *to)
{
    REAL(renameat);
    const char *name = watched_name(folder_from, from);
    uint64_t id = name_begin("rename", NOTE_RENAME, name, watched_name(folder_to, to));
    return name_end("rename", id, name, real(folder_from, from, folder_to, to));
}

int unlink(const char *path)
{
    REAL(unlink);
    const char *name = watched_name(AT_FDCWD, path);
    uint64_t id = name_begin("unlink", NOTE_UNLINK, name, NULL);
    return name_end("unlink", id, name, real(path));
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    const char *name = watched_name(folder, path);
    uint64_t id = name_begin("unlink", NOTE_UNLINK, name, NULL);
    return name_end("unlink", id, name, real(folder, path, flags));
}

static void cut_note(uint64_t inode, uint64_t size, uint64_t file_bytes)
{
    if (size >= file_bytes)
        return;
    pthread_mutex_lock(&mutex);
    note_write(
        &(struct note){.kind = NOTE_CUT, .inode = inode, .size = size, .file_bytes = file_bytes});
    pthread_mutex_unlock(&mutex);
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    struct watched file;
    bool ours = watched_fd(fd, &file);
    int result = real(fd, size);
    if (ours && result == 0)
        cut_note(file.status.st_ino, (uint64_t)size, (uint64_t)file.status.st_size);
    return result;
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}

/* What an open that may make or empty a file finds. */
struct opening {
    const char *name; /* NULL: nothing of ours */
    bool exists;
    struct stat status;
};

static struct opening open_begin(int folder, const char *path, int flags)
{
    struct opening opening = {.name = NULL};
    if ((flags & (O_CREAT | O_TRUNC)) == 0)
        return opening;
    opening.name = watched_name(folder, path);
    if (opening.name == NULL)
        return opening;
    opening.exists = name_status(opening.name, &opening.status);
    step("open", opening.name, "before");
    return opening;
}

static int open_end(const struct opening *opening, int flags, int fd)
{
    int code = errno;
    struct stat status;
    if (opening->name == NULL || fd < 0)
        return fd;
    if (!opening->exists && fstat(fd, &status) == 0) {
        struct note note = {.kind = NOTE_CREATE, .inode = status.st_ino};
        (void)snprintf(note.name, sizeof note.name, "%s", opening->name);
        pthread_mutex_lock(&mutex);
        note_write(&note);
        pthread_mutex_unlock(&mutex);
    } else if ((flags & O_TRUNC) != 0) {
        cut_note(opening->status.st_ino, 0, (uint64_t)opening->status.st_size);
    }
    step("open", opening->name, "after");
    errno = code;
    return fd;
}

#define OPEN_MODE(flags)                                                                           \
    va_list list;                                                                                  \
    va_start(list, flags);                                                                         \
    mode_t mode = ((flags)&O_CREAT) != 0 ? va_arg(list, mode_t) : 0;                               \
    va_end(list)

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    OPEN_MODE(flags);
    struct opening opening = open_begin(AT_FDCWD, path, flags);
    return open_end(&opening, flags, real(path, flags, mode));
}

int openat64(int folder, const char *path, int flags, ...)
{
    REAL(openat64);
    OPEN_MODE(flags);
    struct opening opening = open_begin(folder, path, flags);
    return open_end(&opening, flags, real(folder, path, flags, mode));
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    OPEN_MODE(flags);
    struct opening opening = open_begin(AT_FDCWD, path, flags);
    return open_end(&opening, flags, real(path, flags, mode));
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(openat);
    OPEN_MODE(flags);
    struct opening opening = open_begin(folder, path, flags);
    return open_end(&opening, flags, real(folder, path, flags, mode));
}
