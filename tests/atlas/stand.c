#include "tests/atlas/stand.h"

#include "engine/memory.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COMPARE_BYTES = 256 << 10,
    TRANSFERS_MAX = 1 << 17,
    WINDOW_SEGMENTS = 8,
};

static const char in_memory[] = "/dev/shm";
static const char prefix[] = "giro-atlas-";

/* ---- The folder -------------------------------------------------------------------------- */

void stand_file_path(const struct stand *stand, const char *name, char *out, size_t size)
{
    int length = snprintf(out, size, "%s/%s", stand->path, name);
    cr_assert(length > 0 && (size_t)length < size);
}

static bool file_wanted(const struct specimen_file *file, enum stand_mode mode)
{
    return mode == STAND_SNAPSHOTS ||
           (file->kind != SPECIMEN_MANIFEST && file->kind != SPECIMEN_SNAPSHOT);
}

static bool name_wanted(const struct specimen *specimen, const char *name, enum stand_mode mode)
{
    for (uint32_t i = 0; specimen != NULL && i < specimen->file_count; i++) {
        if (strcmp(specimen->files[i].name, name) == 0)
            return file_wanted(&specimen->files[i], mode);
    }
    return specimen != NULL && strcmp(name, "shard-0") == 0;
}

/* Removes everything in a folder that the specimen does not have; all of it when it is NULL. */
static void folder_sweep(const struct stand *stand, const char *folder,
                         const struct specimen *specimen, enum stand_mode mode)
{
    char path[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
    stand_file_path(stand, folder, path, sizeof path);
    DIR *entries = opendir(path);
    if (entries == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char name[sizeof entry->d_name + 16];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(name, sizeof name, "%s%s%s", folder, folder[0] != 0 ? "/" : "",
                       entry->d_name);
        if (!name_wanted(specimen, name, mode))
            (void)unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
}

static void folder_remove(struct stand *stand)
{
    char path[STAND_PATH_BYTES + 16];
    folder_sweep(stand, "shard-0", NULL, STAND_LOG);
    stand_file_path(stand, "shard-0", path, sizeof path);
    (void)rmdir(path);
    folder_sweep(stand, "", NULL, STAND_LOG);
    (void)rmdir(stand->path);
}

/* Folders of atlases that were killed. */
static void leftovers_remove(void)
{
    DIR *entries = opendir(in_memory);
    if (entries == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        struct stand stand;
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0)
            continue;
        long pid = strtol(entry->d_name + sizeof prefix - 1, NULL, 10);
        if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        (void)snprintf(stand.path, sizeof stand.path, "%s/%s%ld", in_memory, prefix, pid);
        folder_remove(&stand);
    }
    closedir(entries);
}

/* A folder in memory where that has direct I/O, which the log needs; else where scratch folders
 * are. */
static void folder_make(struct stand *stand)
{
    char path[STAND_PATH_BYTES + 16];
    leftovers_remove();
    (void)snprintf(stand->path, sizeof stand->path, "%s/%s%ld", in_memory, prefix, (long)getpid());
    bool made = mkdir(stand->path, 0700) == 0;
    stand_file_path(stand, "probe", path, sizeof path);
    int fd = made ? open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) {
        close(fd);
        (void)unlink(path);
    } else {
        char scratch[SCRATCH_PATH_BYTES];
        (void)rmdir(stand->path);
        scratch_make(scratch);
        cr_assert(strlen(scratch) < sizeof stand->path);
        memcpy(stand->path, scratch, strlen(scratch) + 1);
    }
    stand_file_path(stand, "shard-0", path, sizeof path);
    cr_assert_eq(mkdir(path, 0700), 0, "%s", path);
}

static bool bytes_same(const struct stand *stand, int fd, const struct specimen_file *file)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || (uint64_t)status.st_size != file->size)
        return false;
    for (uint64_t done = 0; done < file->size;) {
        uint64_t left = file->size - done;
        ssize_t got =
            pread(fd, stand->compared, left < COMPARE_BYTES ? left : COMPARE_BYTES, (off_t)done);
        if (got <= 0 || memcmp(stand->compared, file->bytes + done, (size_t)got) != 0)
            return false;
        done += (uint64_t)got;
    }
    return true;
}

bool stand_file_sound(const struct stand *stand, uint32_t file)
{
    char path[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
    stand_file_path(stand, stand->specimen->files[file].name, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool same = fd >= 0 && bytes_same(stand, fd, &stand->specimen->files[file]);
    if (fd >= 0)
        close(fd);
    return same;
}

void stand_write(const struct stand *stand, uint32_t file, uint64_t offset, const void *bytes,
                 size_t size)
{
    char path[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
    stand_file_path(stand, stand->specimen->files[file].name, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0, "%s: %s", path, strerror(errno));
    cr_assert_eq(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

uint64_t stand_restore(struct stand *stand, enum stand_mode mode)
{
    const struct specimen *specimen = stand->specimen;
    uint64_t restored = 0;
    folder_sweep(stand, "", specimen, mode);
    folder_sweep(stand, "shard-0", specimen, mode);
    for (uint32_t i = 0; i < specimen->file_count; i++) {
        const struct specimen_file *file = &specimen->files[i];
        char path[STAND_PATH_BYTES + SPECIMEN_NAME_BYTES];
        if (!file_wanted(file, mode) || stand_file_sound(stand, i))
            continue;
        restored |= 1ull << i;
        stand_file_path(stand, file->name, path, sizeof path);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        cr_assert(fd >= 0, "%s: %s", path, strerror(errno));
        cr_assert_eq(pwrite(fd, file->bytes, file->size, 0), (ssize_t)file->size);
        cr_assert_eq(ftruncate(fd, (off_t)file->size), 0);
        close(fd);
    }
    return restored;
}

/* ---- What is said ------------------------------------------------------------------------ */

static void said_begin(struct stand *stand)
{
    (void)fflush(stderr);
    cr_assert_eq(ftruncate(stand->said_fd, 0), 0);
    (void)lseek(stand->said_fd, 0, SEEK_SET);
    (void)dup2(stand->said_fd, STDERR_FILENO);
}

void stand_stderr_restore(struct stand *stand)
{
    (void)dup2(stand->stderr_fd, STDERR_FILENO);
}

const char *stand_said(struct stand *stand)
{
    ssize_t got = pread(stand->said_fd, stand->said, sizeof stand->said - 1, 0);
    stand->said[got > 0 ? got : 0] = 0;
    return stand->said;
}

/* ---- Starting ---------------------------------------------------------------------------- */

int stand_start(struct stand *stand)
{
    struct shard *shard = &stand->shard;
    stand->starts++;
    stand->error.text[0] = 0;
    said_begin(stand);
    *shard = (struct shard){
        .options = &stand->options,
        .io = stand->io,
        .stop_fd = -1,
        .listeners = {{.fd = -1}, {.fd = -1}},
        .notify_fd = -1,
        .follower_notify_fd = stand->notify[1],
        .directory = {.shard_fd = -1, .lock_fd = -1},
        .monotonic_ns = clock_monotonic_ns(),
    };
    int result = directory_open(stand->options.data, DIRECTORY_EXCLUSIVE, 0, &shard->directory,
                                &stand->error);
    return result == 0 ? shard_log_start(shard, &stand->error) : result;
}

/* As shard_free() of net/shard.c does it, for what was made here. */
void stand_stop(struct stand *stand)
{
    struct shard *shard = &stand->shard;
    if (shard->follower != NULL)
        follower_free(shard->follower);
    memory_release(shard->follower, sizeof *shard->follower);
    if (shard->log.segment_count > 0 && log_quiet(&shard->log))
        log_close(&shard->log);
    directory_close(&shard->directory);
    ledger_destroy(shard->ledger);
    log_map_free(shard->log.chunk_blocks);
    log_window_free(shard->window, stand->options.window_bytes);
    *shard = (struct shard){.directory = {.shard_fd = -1, .lock_fd = -1}};
    stand_stderr_restore(stand);
}

void stand_open(struct stand *stand, const struct specimen *specimen)
{
    struct error error;
    *stand = (struct stand){.specimen = specimen, .options = shard_options_default()};
    /* Each start touches a little of many tables: a huge page of each would cost more than all the
     * rest of a case. */
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    folder_make(stand);
    stand->options.data = stand->path;
    stand->options.accounts_max = SPECIMEN_ACCOUNTS_MAX;
    stand->options.holds_max = SPECIMEN_HOLDS_MAX;
    stand->options.transfers_max = TRANSFERS_MAX;
    stand->options.window_bytes = (uint64_t)WINDOW_SEGMENTS * SPECIMEN_SEGMENT_BYTES;
    stand->options.block_bytes_max = LOG_BLOCK_BYTES_MIN;
    stand->options.segments_ahead = 1;
    stand->compared = malloc(COMPARE_BYTES);
    stand->said_fd = memfd_create("said", MFD_CLOEXEC);
    stand->stderr_fd = dup(STDERR_FILENO);
    cr_assert(stand->compared != NULL && stand->said_fd >= 0 && stand->stderr_fd >= 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, stand->notify),
                 0);
    cr_assert_eq(io_open(IO_MODE_POSIX, &stand->io, &error), 0, "%s", error.text);
}

void stand_close(struct stand *stand)
{
    io_close(stand->io);
    close(stand->notify[0]);
    close(stand->notify[1]);
    close(stand->said_fd);
    close(stand->stderr_fd);
    free(stand->compared);
    folder_remove(stand);
}
