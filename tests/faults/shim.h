/* What the libraries have in common that tests load into a server in front of the C library.
 *
 * Each is told what to do by a file that it and the test map: struct unsynced, starve or clock_control.
 * It is named by an environment variable; a library without one does nothing. */
#ifndef TESTS_FAULTS_SHIM_H
#define TESTS_FAULTS_SHIM_H

#define SHIM_VARIABLE "GIRO_SHIM_CONTROL" /* name of the file */

#ifdef SHIM_LIBRARY

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The next definition of a function, looked up once. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL)                                                                              \
    *(void **)(&real) = dlsym(RTLD_NEXT, #name)

/* By system calls: none of the functions that the library replaces is gone through. */
static inline void *shim_control_map(size_t size)
{
    const char *path = getenv(SHIM_VARIABLE);
    if (path == NULL)
        return NULL;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *map =
        (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)0);
    (void)syscall(SYS_close, fd);
    return map == MAP_FAILED ? NULL : map;
}

#endif
#endif
