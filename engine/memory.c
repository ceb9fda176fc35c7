#include "engine/memory.h"

#include <assert.h>
#include <sys/mman.h>

static void *reserve(size_t size_bytes, int advice)
{
    assert(size_bytes > 0);
    void *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)madvise(memory, size_bytes, advice); /* advice only */
    return memory;
}

void *memory_reserve(size_t size_bytes)
{
    /* Random access to a table of gigabytes costs a TLB miss a touch without it. */
    return reserve(size_bytes, MADV_HUGEPAGE);
}

void *memory_reserve_sparse(size_t size_bytes)
{
    return reserve(size_bytes, MADV_NOHUGEPAGE);
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
