/* Loaded into a server with LD_PRELOAD: ends it, or lets a call fail, at the k-th step of what its
 * threads do to files, and makes files slow. tests/faults/kill_at.h tells how it is told. */
/* Both names of a function are defined here, that of small files and that of large ones. */
#undef _FILE_OFFSET_BITS

#include "tests/faults/kill_at.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct kill_at *control;

static void __attribute__((constructor)) control_map(void)
{
    const char *path = getenv(KILL_AT_VARIABLE);
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        control = map;
}

static bool first_thread(void)
{
    return gettid() == getpid();
}

/* Counts a step. Returns false when it is the one that fails: errno is set. */
static bool step(const char *name, const char *path)
{
    if (control == NULL || atomic_load(&control->armed) == 0 || first_thread())
        return true;
    uint32_t number = atomic_fetch_add(&control->count, 1) + 1;
    if (number != atomic_load(&control->at))
        return true;
    (void)snprintf(control->last, sizeof control->last, "%s(%.40s)", name, path);
    int code = (int)atomic_load(&control->code);
    if (code == 0)
        (void)kill(getpid(), SIGKILL);
    errno = code;
    return false;
}

static void name_of(int fd, char path[256])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 255);
    path[length > 0 ? length : 0] = 0;
}

static const char *tail_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static bool step_fd(const char *name, int fd)
{
    char path[256];
    if (control == NULL || atomic_load(&control->armed) == 0 || first_thread())
        return true;
    name_of(fd, path);
    return step(name, tail_of(path));
}

static void pause_ms(uint32_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    atomic_fetch_add(&control->delayed, 1);
    (void)nanosleep(&pause, NULL);
}

static void slow(int fd)
{
    char path[256];
    uint32_t ms = control == NULL ? 0 : atomic_load(&control->delay_ms);
    if (ms == 0 || first_thread())
        return;
    name_of(fd, path);
    if (strstr(tail_of(path), control->words) != NULL)
        pause_ms(ms);
}

/* A copy that takes its time: whoever changes the source meanwhile shows in the second half. */
void *memcpy(void *to, const void *from, size_t size)
{
    enum { LARGE_BYTES = 64 << 10 };
    uint32_t ms = control == NULL || size < LARGE_BYTES ? 0 : atomic_load(&control->copy_ms);
    if (ms == 0 || first_thread())
        return memmove(to, from, size);
    (void)memmove(to, from, size / 2);
    pause_ms(ms);
    (void)memmove((char *)to + size / 2, (const char *)from + size / 2, size - size / 2);
    return to;
}

/* The next definition of a function, looked up once. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL)                                                                              \
    *(void **)(&real) = dlsym(RTLD_NEXT, #name)

/* Only opens that make or cut a file are steps. */
#define OPEN_MODE(flags)                                                                           \
    va_list list;                                                                                  \
    va_start(list, flags);                                                                         \
    mode_t mode = ((flags)&O_CREAT) != 0 ? va_arg(list, mode_t) : 0;                               \
    va_end(list);                                                                                  \
    if (((flags) & (O_CREAT | O_TRUNC)) != 0 && !step("open", tail_of(path)))                      \
    return -1

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    OPEN_MODE(flags);
    return real(path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    REAL(openat64);
    OPEN_MODE(flags);
    return real(folder, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    OPEN_MODE(flags);
    return real(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(openat);
    OPEN_MODE(flags);
    return real(folder, path, flags, mode);
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset)
{
    REAL(pread64);
    slow(fd);
    return real(fd, buffer, size, offset);
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset)
{
    REAL(pwrite64);
    slow(fd);
    return step_fd("pwrite", fd) ? real(fd, buffer, size, offset) : -1;
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    REAL(pwrite);
    slow(fd);
    return step_fd("pwrite", fd) ? real(fd, buffer, size, offset) : -1;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(pwritev);
    return step_fd("pwritev", fd) ? real(fd, parts, count, offset) : -1;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    return step_fd("writev", fd) ? real(fd, parts, count) : -1;
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    REAL(write);
    return step_fd("write", fd) ? real(fd, buffer, size) : -1;
}

int fsync(int fd)
{
    REAL(fsync);
    return step_fd("fsync", fd) ? real(fd) : -1;
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return step_fd("fdatasync", fd) ? real(fd) : -1;
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    return step_fd("ftruncate", fd) ? real(fd, size) : -1;
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    return step_fd("ftruncate", fd) ? real(fd, size) : -1;
}

int msync(void *address, size_t size, int flags)
{
    REAL(msync);
    return step("msync", "") ? real(address, size, flags) : -1;
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    return step("rename", tail_of(to)) ? real(from, to) : -1;
}

int renameat(int folder_from, const char *from, int folder_to, const char *to)
{
    REAL(renameat);
    return step("renameat", to) ? real(folder_from, from, folder_to, to) : -1;
}

int unlink(const char *path)
{
    REAL(unlink);
    return step("unlink", tail_of(path)) ? real(path) : -1;
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    return step("unlinkat", path) ? real(folder, path, flags) : -1;
}
