#include "engine/memory.h"

#include <assert.h>
#include <sys/mman.h>

void *memory_reserve(size_t size_bytes)
{
    assert(size_bytes > 0);
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    /* Advice only: random access to a table of gigabytes costs a TLB miss a touch without it. */
    (void)madvise(memory, size_bytes, MADV_HUGEPAGE);
    return memory;
}

void memory_populate(void *memory, size_t size_bytes)
{
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; the headers of Debian 12 may be older */
#endif
    (void)madvise(memory, size_bytes, MADV_POPULATE_WRITE);
}

void memory_release(void *memory, size_t size_bytes)
{
    if (memory != NULL)
        (void)munmap(memory, size_bytes);
}
