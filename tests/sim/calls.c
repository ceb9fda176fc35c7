/* The calls of the program to the C library, as the simulated machine answers them.
 *
 * The linker lets every reference of engine, wal, net and LMDB to a function NAME of the list in
 * meson.build come to __wrap_NAME; the simulator's own references go to the C library. Calls that are
 * not in the list have no effect that a run must see: calls.sh holds this list and what the program
 * refers to against each other. */
#include "tests/sim/disk.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* Sets errno as the C library does. */
static long result_of(long result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* ---- Threads ----------------------------------------------------------------------------- */

enum { SYNCS_MAX = 256, SCHEDULE_YIELD = 30 /* permille of calls */ };

/* A mutex or a semaphore, by its address. */
struct sync {
    const void *address; /* NULL: unused */
    bool locked;
    uint32_t value;
};

static struct sync syncs[SYNCS_MAX];

static struct sync *sync_of(const void *address)
{
    struct sync *unused = NULL;
    for (uint32_t i = 0; i < SYNCS_MAX; i++) {
        if (syncs[i].address == address)
            return &syncs[i];
        if (syncs[i].address == NULL && unused == NULL)
            unused = &syncs[i];
    }
    if (unused == NULL)
        machine_fail("too many mutexes");
    *unused = (struct sync){.address = address};
    return unused;
}

static int sync_forget(const void *address)
{
    sync_of(address)->address = NULL;
    return 0;
}

void calls_life_ended(void)
{
    memset(syncs, 0, sizeof syncs);
}

static void yield_perhaps(void)
{
    if (random_chance(RANDOM_SCHEDULE, SCHEDULE_YIELD))
        fiber_yield();
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    (void)attributes;
    int number = fiber_spawn(run, argument);
    if (number < 0)
        return EAGAIN;
    *out = (pthread_t)number;
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **out)
{
    void *result = fiber_join((int)thread);
    if (out != NULL)
        *out = result;
    return 0;
}

int __wrap_pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param)
{
    (void)thread;
    (void)policy;
    (void)param;
    return 0;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    (void)attributes;
    *sync_of(mutex) = (struct sync){.address = mutex};
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    return sync_forget(mutex);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    yield_perhaps();
    while (sync_of(mutex)->locked)
        (void)fiber_wait(mutex, UINT64_MAX);
    sync_of(mutex)->locked = true;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    sync_of(mutex)->locked = false;
    fiber_wake(mutex, false);
    yield_perhaps();
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    (void)condition;
    (void)attributes;
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *condition)
{
    (void)condition;
    return 0;
}

/* Wakes up for no reason now and then, as it may. */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    sync_of(mutex)->locked = false;
    fiber_wake(mutex, false);
    bool spurious = random_chance(RANDOM_SCHEDULE, 100);
    (void)fiber_wait(condition, spurious ? machine_now() + 1000 : UINT64_MAX);
    return __wrap_pthread_mutex_lock(mutex);
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    fiber_wake(condition, random_chance(RANDOM_SCHEDULE, 50));
    return 0;
}

int __wrap_sem_init(sem_t *semaphore, int shared, unsigned value)
{
    (void)shared;
    *sync_of(semaphore) = (struct sync){.address = semaphore, .value = value};
    return 0;
}

int __wrap_sem_destroy(sem_t *semaphore)
{
    return sync_forget(semaphore);
}

int __wrap_sem_post(sem_t *semaphore)
{
    sync_of(semaphore)->value++;
    fiber_wake(semaphore, false);
    yield_perhaps();
    return 0;
}

int __wrap_sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    uint64_t end = (uint64_t)until->tv_sec * 1000000000u + (uint64_t)until->tv_nsec;
    if (clock != CLOCK_MONOTONIC)
        machine_fail("a thread waits by a clock that can be set");
    while (sync_of(semaphore)->value == 0) {
        if (machine_now() >= end)
            return (int)result_of(-ETIMEDOUT);
        (void)fiber_wait(semaphore, end);
    }
    sync_of(semaphore)->value--;
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    fiber_pause((uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec);
    return 0;
}

int __wrap_sched_yield(void)
{
    fiber_yield();
    return 0;
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void *memory_note(void *memory, size_t size)
{
    if (memory != NULL && fiber_running())
        resource_add(RESOURCE_MEMORY, (uint64_t)(uintptr_t)memory, size);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return memory_note(malloc(size), size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_note(calloc(count, size), count * size);
}

void __wrap_free(void *memory)
{
    if (memory != NULL && fiber_running())
        (void)resource_remove(RESOURCE_MEMORY, (uint64_t)(uintptr_t)memory);
    free(memory);
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (memory != NULL && fiber_running())
        (void)resource_remove(RESOURCE_MEMORY, (uint64_t)(uintptr_t)memory);
    return memory_note(realloc(memory, size), size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return memory_note(aligned_alloc(alignment, size), size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    int result = posix_memalign(out, alignment, size);
    if (result == 0)
        (void)memory_note(*out, size);
    return result;
}

static void *map(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *memory = mmap(address, size, protection, flags, fd, offset);
    if (memory != MAP_FAILED && fiber_running())
        resource_add(RESOURCE_MAP, (uint64_t)(uintptr_t)memory, size);
    return memory;
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return map(address, size, protection, flags, fd, offset);
}

void *__wrap_mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return map(address, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *memory, size_t size)
{
    if (fiber_running())
        (void)resource_remove(RESOURCE_MAP, (uint64_t)(uintptr_t)memory);
    return munmap(memory, size);
}

/* Advice to make memory present costs more than all the rest of a short life. */
int __wrap_madvise(void *memory, size_t size, int advice)
{
    (void)memory;
    (void)size;
    (void)advice;
    return 0;
}

void resource_release(enum resource kind, uint64_t name, uint64_t size)
{
    void *memory = (void *)(uintptr_t)name;
    switch (kind) {
    case RESOURCE_MEMORY:
        free(memory);
        break;
    case RESOURCE_MAP:
        (void)munmap(memory, size);
        break;
    case RESOURCE_FILE:
        if (network_owns((int)name))
            network_close((int)name);
        else
            disk_close_file((int)name);
        break;
    case RESOURCE_KINDS:
        break;
    }
}

/* ---- Files ------------------------------------------------------------------------------- */

static void take_time(uint64_t ns)
{
    fiber_pause(ns);
}

static int open_file(int folder, const char *path, int flags, unsigned mode)
{
    int fd = disk_open_file(folder, path, flags, mode);
    if (fd >= 0 && fiber_running())
        resource_add(RESOURCE_FILE, (uint64_t)fd, 0);
    yield_perhaps();
    return (int)result_of(fd);
}

#define MODE_OF(flags, mode)                                                                       \
    va_list arguments;                                                                             \
    va_start(arguments, flags);                                                                    \
    unsigned mode = ((flags)&O_CREAT) != 0 ? va_arg(arguments, unsigned) : 0;                      \
    va_end(arguments)

int __wrap_open(const char *path, int flags, ...)
{
    MODE_OF(flags, mode);
    return open_file(AT_FDCWD, path, flags, mode);
}

int __wrap_open64(const char *path, int flags, ...)
{
    MODE_OF(flags, mode);
    return open_file(AT_FDCWD, path, flags, mode);
}

int __wrap_openat(int folder, const char *path, int flags, ...)
{
    MODE_OF(flags, mode);
    return open_file(folder, path, flags, mode);
}

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    MODE_OF(flags, mode);
    return open_file(folder, path, flags, mode);
}

int __wrap_close(int fd)
{
    (void)resource_remove(RESOURCE_FILE, (uint64_t)fd);
    if (network_owns(fd))
        network_close(fd);
    else
        disk_close_file(fd);
    return 0;
}

static ssize_t read_at(int fd, void *bytes, size_t size, off_t offset)
{
    take_time(disk_read_latency());
    return result_of(disk_read(fd, bytes, size, (uint64_t)offset));
}

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
    return read_at(fd, bytes, size, offset);
}

ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset)
{
    return read_at(fd, bytes, size, offset);
}

/* The files that are read and written from where the last call ended are read and written whole. */
ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
    ssize_t got = read_at(fd, bytes, size, lseek(fd, 0, SEEK_CUR));
    if (got > 0)
        (void)lseek(fd, got, SEEK_CUR);
    return got;
}

static ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset)
{
    take_time(disk_write_latency());
    return result_of(disk_write(fd, bytes, size, (uint64_t)offset, false));
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return write_at(fd, bytes, size, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    return write_at(fd, bytes, size, offset);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    ssize_t put = write_at(fd, bytes, size, lseek(fd, 0, SEEK_CUR));
    if (put > 0)
        (void)lseek(fd, put, SEEK_CUR);
    return put;
}

ssize_t __wrap_writev(int fd, const struct iovec *parts, int count)
{
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        ssize_t put = __wrap_write(fd, parts[i].iov_base, parts[i].iov_len);
        if (put < 0)
            return sum > 0 ? sum : put;
        sum += put;
        if ((size_t)put < parts[i].iov_len)
            break;
    }
    return sum;
}

static int sync_file(int fd)
{
    take_time(disk_write_latency());
    return (int)result_of(disk_sync(fd, false));
}

int __wrap_fsync(int fd)
{
    return sync_file(fd);
}

int __wrap_fdatasync(int fd)
{
    return sync_file(fd);
}

int __wrap_sync_file_range(int fd, off_t offset, off_t size, unsigned flags)
{
    (void)fd;
    (void)offset;
    (void)size;
    (void)flags;
    take_time(disk_write_latency());
    return 0; /* which promises nothing */
}

int __wrap_ftruncate(int fd, off_t size)
{
    return (int)result_of(disk_truncate(fd, (uint64_t)size));
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    (void)to_folder;
    take_time(disk_write_latency() / 8);
    return (int)result_of(disk_rename(from_folder, from, to));
}

int __wrap_unlinkat(int folder, const char *path, int flags)
{
    (void)flags;
    return (int)result_of(disk_unlink(folder, path));
}

int __wrap_unlink(const char *path)
{
    return (int)result_of(disk_unlink(AT_FDCWD, path));
}

/* The lock of a killed server is held until its last write is done; nobody else wants it here. */
int __wrap_flock(int fd, int operation)
{
    (void)fd;
    (void)operation;
    return random_chance(RANDOM_DISK, 50) ? (int)result_of(-EWOULDBLOCK) : 0;
}

int __wrap_statx(int folder, const char *path, int flags, unsigned mask, struct statx *out)
{
    if (statx(folder, path, flags, mask, out) != 0)
        return -1;
    out->stx_mask |= STATX_DIOALIGN;
    out->stx_dio_offset_align = DISK_SECTOR_BYTES;
    return 0;
}

/* ---- Sockets ----------------------------------------------------------------------------- */

struct error;
int __wrap_listener_open(const char *address, char *out_address, size_t out_size,
                         struct error *error)
{
    (void)error;
    if (out_size > 0)
        out_address[0] = 0;
    return network_listen(strcmp(address, NETWORK_COMPAT_ADDRESS) == 0 ? NETWORK_COMPAT
                                                                       : NETWORK_NATIVE);
}

void __wrap_listener_prepare(int fd)
{
    (void)fd;
}

int __wrap_socketpair(int domain, int type, int protocol, int fds[2])
{
    (void)domain;
    (void)type;
    (void)protocol;
    return network_pair(fds);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    return result_of(network_recv(fd, bytes, size, (flags & MSG_PEEK) != 0));
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    (void)flags;
    return result_of(network_send_now(fd, bytes, size));
}

int __wrap_shutdown(int fd, int how)
{
    return (int)result_of(network_shutdown(fd, how));
}

/* ---- The process ------------------------------------------------------------------------- */

void __wrap_abort(void)
{
    machine_trace("the program aborts");
    fiber_abort();
}

ssize_t __wrap_getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++)
        ((char *)bytes)[i] = (char)random_next(RANDOM_KERNEL);
    return (ssize_t)size;
}

int __wrap_setrlimit64(int resource, const struct rlimit *limit)
{
    (void)resource;
    (void)limit;
    return 0;
}
