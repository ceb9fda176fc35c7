#include "tests/failing_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic uint32_t fails_at; /* 0: not armed */
static _Atomic uint32_t count;
static _Atomic enum failing_mode fails_how;
static const char *_Atomic failed;

void failing_calls_arm(uint32_t at, enum failing_mode mode)
{
    atomic_store(&failed, NULL);
    atomic_store(&count, 0);
    atomic_store(&fails_how, mode);
    atomic_store(&fails_at, at);
}

const char *failing_calls_disarm(void)
{
    atomic_store(&fails_at, 0);
    return atomic_load(&failed);
}

bool failing_calls_may_be_short(const char *name)
{
    static const char *const names[] = {"pread64", "pwrite64", "read", "write"};
    for (uint32_t i = 0; name != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Whether this call is the one, or is to fail like it; then errno is set. */
static bool fails(const char *name, int code)
{
    uint32_t at = atomic_load(&fails_at);
    const char *before = atomic_load(&failed);
    if (at == 0)
        return false;
    bool again =
        atomic_load(&fails_how) == FAILING_ON && before != NULL && strcmp(before, name) == 0;
    if (atomic_fetch_add(&count, 1) + 1 != at && !again)
        return false;
    atomic_store(&failed, name);
    errno = code;
    return true;
}

static bool is_short(void)
{
    return atomic_load(&fails_how) == FAILING_SHORT;
}

/* What stands in front of a function that returns -1, or something else, when it fails. */
#define WRAP(type, name, parameters, arguments, failure, code)                                     \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails(#name, code) ? (failure) : __real_##name arguments;                           \
    }

/* The same for one that may do half of it. */
#define WRAP_SHORT(name, parameters, arguments, half)                                              \
    ssize_t __real_##name parameters;                                                              \
    ssize_t __wrap_##name parameters;                                                              \
    ssize_t __wrap_##name parameters                                                               \
    {                                                                                              \
        if (!fails(#name, EIO))                                                                    \
            return __real_##name arguments;                                                        \
        return is_short() ? __real_##name half : -1;                                               \
    }

/* And for one that may be given a mode. */
#define WRAP_OPEN(name, parameters, arguments, real_parameters)                                    \
    int __real_##name real_parameters;                                                             \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;                           \
        va_end(list);                                                                              \
        return fails(#name, EMFILE) ? -1 : __real_##name arguments;                                \
    }

/* clang-format off */
WRAP(void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP(void *, calloc, (size_t number, size_t size), (number, size), NULL, ENOMEM)
WRAP(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size), NULL, ENOMEM)
WRAP(void *, mmap64, (void *at, size_t size, int access, int flags, int fd, off_t offset),
     (at, size, access, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP(int, pthread_create,
     (pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
     (thread, attributes, run, argument), EAGAIN, EAGAIN)

WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode),
          (const char *path, int flags, mode_t mode))
WRAP_OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode),
          (int folder, const char *path, int flags, mode_t mode))
WRAP_SHORT(pread64, (int fd, void *to, size_t size, off_t offset), (fd, to, size, offset),
           (fd, to, size / 2, offset))
WRAP_SHORT(pwrite64, (int fd, const void *from, size_t size, off_t offset),
           (fd, from, size, offset), (fd, from, size / 2, offset))
WRAP_SHORT(read, (int fd, void *to, size_t size), (fd, to, size), (fd, to, size / 2))
WRAP_SHORT(write, (int fd, const void *from, size_t size), (fd, from, size), (fd, from, size / 2))
WRAP(int, fsync, (int fd), (fd), -1, EIO)
WRAP(int, fdatasync, (int fd), (fd), -1, EIO)
WRAP(int, fstat64, (int fd, struct stat *out), (fd, out), -1, EIO)
WRAP(int, renameat, (int from, const char *name, int to, const char *name_to),
     (from, name, to, name_to), -1, EIO)
WRAP(int, unlinkat, (int folder, const char *name, int flags), (folder, name, flags), -1, EIO)
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, ENOSPC)
WRAP(int, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), -1, ENOSPC)
WRAP(int, flock, (int fd, int operation), (fd, operation), -1, EIO)
WRAP(DIR *, fdopendir, (int fd), (fd), NULL, ENOMEM)
WRAP(ssize_t, getrandom, (void *to, size_t size, unsigned flags), (to, size, flags), -1, EINTR)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
WRAP(int, epoll_ctl, (int epoll, int operation, int fd, struct epoll_event *event),
     (epoll, operation, fd, event), -1, ENOSPC)
