/* Memory of the engine: address space is reserved once, at its full limit, when a ledger is made.
 *
 * Tables grow by touching the next page of what they reserved, so growing never moves a row,
 * never copies a table and never asks an allocator. Untouched pages cost nothing. */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H

#include <stddef.h>

/* For messages about address space that cannot be had: the maps of what a log may hold alone take
 * more than any machine has memory, whatever the settings say. */
#define MEMORY_RESERVE_ADVICE                                                                      \
    "giro reserves some 550 GiB and uses what its data needs: lift the limit of address space "    \
    "(ulimit -v, LimitAS) and of data (ulimit -d, LimitDATA); to limit its memory use a control "  \
    "group instead"

/* Reserves size_bytes of zeroed, page-aligned memory with huge pages where the kernel has them.
 * Returns NULL when the address space cannot be had. Release with memory_release(). */
void *memory_reserve(size_t size_bytes);

/* The same with pages of the ordinary size: for many buffers of which little is touched. */
void *memory_reserve_sparse(size_t size_bytes);

/* Makes pages of reserved memory present, so that touching them later does not fault. A hint: does
 * nothing where the kernel cannot. Any thread may call it while another uses the memory. */
void memory_populate(void *memory, size_t size_bytes);

/* Releases what memory_reserve(size_bytes) returned; NULL is allowed. */
void memory_release(void *memory, size_t size_bytes);

#endif
