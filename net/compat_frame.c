#include "net/compat_frame.h"

#include "net/aegis.h"

#include <string.h>

enum {
    ACCOUNT_FILTER = 128,
    QUERY_FILTER = 64,
    ID = 16,
    RECORD = 128,
    RESULT = 16,
    SPARSE = 8,
    CHANGE = 384
};

#define OLD(kind, event, result)                                                                   \
    {                                                                                              \
        kind, false, (result) == SPARSE, result, event                                             \
    }
#define NEW(kind, event, result)                                                                   \
    {                                                                                              \
        kind, true, (result) == SPARSE, result, event                                              \
    }

/* From COMPAT_FIRST on. */
static const struct compat_format formats[] = {
    OLD(COMPAT_CREATE_ACCOUNTS, RECORD, SPARSE),
    OLD(COMPAT_CREATE_TRANSFERS, RECORD, SPARSE),
    OLD(COMPAT_LOOKUP_ACCOUNTS, ID, RECORD),
    OLD(COMPAT_LOOKUP_TRANSFERS, ID, RECORD),
    OLD(COMPAT_GET_ACCOUNT_TRANSFERS, ACCOUNT_FILTER, RECORD),
    OLD(COMPAT_GET_ACCOUNT_BALANCES, ACCOUNT_FILTER, RECORD),
    OLD(COMPAT_QUERY_ACCOUNTS, QUERY_FILTER, RECORD),
    OLD(COMPAT_QUERY_TRANSFERS, QUERY_FILTER, RECORD),
    OLD(COMPAT_GET_CHANGES, QUERY_FILTER, CHANGE),
    NEW(COMPAT_CREATE_ACCOUNTS, RECORD, SPARSE),
    NEW(COMPAT_CREATE_TRANSFERS, RECORD, SPARSE),
    NEW(COMPAT_LOOKUP_ACCOUNTS, ID, RECORD),
    NEW(COMPAT_LOOKUP_TRANSFERS, ID, RECORD),
    NEW(COMPAT_GET_ACCOUNT_TRANSFERS, ACCOUNT_FILTER, RECORD),
    NEW(COMPAT_GET_ACCOUNT_BALANCES, ACCOUNT_FILTER, RECORD),
    NEW(COMPAT_QUERY_ACCOUNTS, QUERY_FILTER, RECORD),
    NEW(COMPAT_QUERY_TRANSFERS, QUERY_FILTER, RECORD),
    NEW(COMPAT_CREATE_ACCOUNTS, RECORD, RESULT),
    NEW(COMPAT_CREATE_TRANSFERS, RECORD, RESULT),
};

_Static_assert(sizeof formats / sizeof formats[0] == COMPAT_LAST - COMPAT_FIRST + 1, "operations");

const struct compat_format *compat_format_of(uint8_t operation)
{
    if (operation < COMPAT_FIRST || operation > COMPAT_LAST)
        return NULL;
    return &formats[operation - COMPAT_FIRST];
}

uint32_t compat_trailer_bytes(uint32_t batches, uint32_t element_bytes)
{
    const uint32_t bytes = 2 * batches + 2;
    return (bytes + element_bytes - 1) / element_bytes * element_bytes;
}

bool compat_batches_read(const struct compat_format *format, const void *body, uint32_t bytes,
                         struct compat_batches *out)
{
    const uint32_t size = format->event_bytes;
    const uint8_t *end = (const uint8_t *)body + bytes;
    *out = (struct compat_batches){.count = 1, .elements = bytes / size};
    if (!format->batches)
        return bytes % size == 0;
    if (bytes < 2 || bytes % size != 0)
        return false;
    out->count = end[-2] | (uint32_t)end[-1] << 8;
    if (out->count == 0 || out->count > COMPAT_BATCHES_MAX)
        return false;
    const uint32_t trailer = compat_trailer_bytes(out->count, size);
    if (trailer > bytes)
        return false;
    out->counts = end - 4;
    out->elements = 0;
    for (uint32_t i = 0; i < out->count; i++)
        out->elements += compat_batch_elements(out, i);
    if ((uint64_t)out->elements * size != bytes - trailer)
        return false;
    for (const uint8_t *at = end - trailer; at < end - 2 - 2 * (size_t)out->count; at++) {
        if (*at != 0xff)
            return false;
    }
    return true;
}

/* ---- Checksums --------------------------------------------------------------------------- */

static giro_u128 header_checksum(const struct compat_header *header)
{
    return aegis_checksum((const char *)header + sizeof header->checksum,
                          sizeof *header - sizeof header->checksum);
}

static giro_u128 body_checksum(const struct compat_header *header, const void *body)
{
    return aegis_checksum(body, header->size - sizeof *header);
}

bool compat_check_header(const struct compat_header *header, giro_u128 cluster)
{
    return header->checksum == header_checksum(header) && header->size >= COMPAT_HEADER_BYTES &&
           header->size <= COMPAT_HEADER_BYTES + COMPAT_BODY_BYTES_MAX &&
           header->cluster == cluster;
}

bool compat_check_body(const struct compat_header *header)
{
    return header->checksum_body == body_checksum(header, header + 1);
}

void compat_seal(struct compat_header *header, const void *body)
{
    header->checksum_body = body_checksum(header, body);
    header->checksum = header_checksum(header);
}
