/* Loaded into a server with LD_PRELOAD: memory, maps, threads and descriptors run out at the k-th
 * call, once or for ever. tests/faults/starve.h tells how it is told. */
/* Both names of a function are defined here, that of small files and that of large ones. */
#undef _FILE_OFFSET_BITS
#define SHIM_LIBRARY

#include "tests/faults/starve.h"

#include "tests/faults/shim.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static struct starve *control;

static void __attribute__((constructor)) control_open(void)
{
    control = shim_control_map(sizeof *control);
}

/* Counts a call. Returns whether it is one that fails. */
static bool starves(uint32_t kind, const char *name)
{
    if (control == NULL || (atomic_load(&control->kinds) & kind) == 0)
        return false;
    uint32_t number = atomic_fetch_add(&control->count, 1) + 1;
    uint32_t at = atomic_load(&control->at);
    if (number != at && (atomic_load(&control->ever) == 0 || number < at))
        return false;
    (void)strncpy(control->last, name, sizeof control->last - 1);
    atomic_fetch_add(&control->failed, 1);
    return true;
}

/* ---- Memory ------------------------------------------------------------------------------ */

/* Looking the next definitions up would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    return starves(STARVE_MEMORY, "malloc") ? no_memory() : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return starves(STARVE_MEMORY, "calloc") ? no_memory() : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return starves(STARVE_MEMORY, "realloc") ? no_memory() : __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return starves(STARVE_MEMORY, "aligned_alloc") ? no_memory() : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory =
        starves(STARVE_MEMORY, "posix_memalign") ? NULL : __libc_memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
    REAL(mmap64);
    if (starves(STARVE_MAPS, "mmap")) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(address, size, protection, flags, fd, offset);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return mmap64(address, size, protection, flags, fd, offset);
}

/* ---- Threads and descriptors ------------------------------------------------------------- */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    REAL(pthread_create);
    return starves(STARVE_THREADS, "pthread_create") ? EAGAIN
                                                     : real(thread, attributes, run, argument);
}

static bool no_descriptor(const char *name)
{
    if (!starves(STARVE_DESCRIPTORS, name))
        return false;
    errno = EMFILE;
    return true;
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
    return no_descriptor("open") ? -1 : real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    REAL(open);
    OPEN_MODE(flags);
    return no_descriptor("open") ? -1 : real(path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    REAL(openat64);
    OPEN_MODE(flags);
    return no_descriptor("openat") ? -1 : real(folder, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(openat);
    OPEN_MODE(flags);
    return no_descriptor("openat") ? -1 : real(folder, path, flags, mode);
}

DIR *opendir(const char *path)
{
    REAL(opendir);
    return no_descriptor("opendir") ? NULL : real(path);
}

int dup(int fd)
{
    REAL(dup);
    return no_descriptor("dup") ? -1 : real(fd);
}

int socket(int domain, int type, int protocol)
{
    REAL(socket);
    return no_descriptor("socket") ? -1 : real(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int out[2])
{
    REAL(socketpair);
    return no_descriptor("socketpair") ? -1 : real(domain, type, protocol, out);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    REAL(accept4);
    return no_descriptor("accept4") ? -1 : real(fd, address, size, flags);
}

int epoll_create1(int flags)
{
    REAL(epoll_create1);
    return no_descriptor("epoll_create1") ? -1 : real(flags);
}

int eventfd(unsigned count, int flags)
{
    REAL(eventfd);
    return no_descriptor("eventfd") ? -1 : real(count, flags);
}
