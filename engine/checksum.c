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

/* struct checksum_stream is never defined: it is the library's state under our name. */

static XXH3_state_t *state_of(struct checksum_stream *stream)
{
    return (XXH3_state_t *)stream;
}

struct checksum_stream *checksum_stream_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL)
        (void)XXH3_128bits_reset(state);
    return (struct checksum_stream *)state;
}

void checksum_stream_add(struct checksum_stream *stream, const void *data, size_t size_bytes)
{
    (void)XXH3_128bits_update(state_of(stream), data, size_bytes);
}

struct checksum checksum_stream_end(const struct checksum_stream *stream)
{
    XXH128_hash_t hash = XXH3_128bits_digest((const XXH3_state_t *)stream);
    return (struct checksum){.low = hash.low64, .high = hash.high64};
}

void checksum_stream_free(struct checksum_stream *stream)
{
    (void)XXH3_freeState(state_of(stream));
}
