/* The allocator that hdr_histogram.c asks its build for. */
#ifndef HDR_MALLOC_LIBC_H
#define HDR_MALLOC_LIBC_H

#include <stdlib.h>

#define hdr_malloc malloc
#define hdr_calloc calloc
#define hdr_realloc realloc
#define hdr_free free

#endif
