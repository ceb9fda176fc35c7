#include "net/frame.h"

#include <string.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* picks AVX2 or AVX-512 at run time; same result */
#endif

static uint64_t frame_checksum(const void *frame, uint32_t body_bytes)
{
    const size_t skip = sizeof(((struct frame_header *)0)->checksum);
    return XXH3_64bits((const char *)frame + skip, FRAME_HEADER_BYTES - skip + body_bytes);
}

void frame_seal(void *frame, uint32_t body_bytes)
{
    struct frame_header header;
    memcpy(&header, frame, sizeof header);
    header.magic = FRAME_MAGIC;
    header.version = FRAME_VERSION;
    header.body_bytes = body_bytes;
    memcpy(frame, &header, sizeof header);
    header.checksum = frame_checksum(frame, body_bytes);
    memcpy(frame, &header.checksum, sizeof header.checksum);
}

enum frame_status frame_check_header(const struct frame_header *header)
{
    if (header->magic != FRAME_MAGIC)
        return FRAME_BAD_MAGIC;
    if (header->version != FRAME_VERSION)
        return FRAME_BAD_VERSION;
    if (header->body_bytes > FRAME_BODY_BYTES_MAX)
        return FRAME_FRAME_TOO_LARGE;
    return FRAME_OK;
}

enum frame_status frame_check_body(const void *frame)
{
    struct frame_header header;
    memcpy(&header, frame, sizeof header);
    return header.checksum == frame_checksum(frame, header.body_bytes) ? FRAME_OK
                                                                       : FRAME_BAD_CHECKSUM;
}

const char *frame_status_name(uint32_t status)
{
    switch (status) {
#define STATUS_NAME(name, number, closes, text, meaning)                                           \
    case (number):                                                                                 \
        return text;
        FRAME_STATUSES(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "unknown";
    }
}

const char *frame_status_meaning(uint32_t status)
{
    switch (status) {
#define STATUS_MEANING(name, number, closes, text, meaning)                                        \
    case (number):                                                                                 \
        return meaning;
        FRAME_STATUSES(STATUS_MEANING)
#undef STATUS_MEANING
    default:
        return "unknown";
    }
}

bool frame_status_closes(uint32_t status)
{
    switch (status) {
#define STATUS_CLOSES(name, number, closes, text, meaning)                                         \
    case (number):                                                                                 \
        return closes;
        FRAME_STATUSES(STATUS_CLOSES)
#undef STATUS_CLOSES
    default:
        return true;
    }
}
