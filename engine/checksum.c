#include "engine/checksum.h"

#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* picks AVX2 or AVX-512 at run time; same result */
#endif

struct checksum checksum_of(const void *data, size_t size_bytes)
{
    XXH128_hash_t hash = XXH3_128bits(data, size_bytes);
    return (struct checksum){.low = hash.low64, .high = hash.high64};
}
