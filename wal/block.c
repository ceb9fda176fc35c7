#include "wal/block.h"

#include <string.h>

static struct checksum body_checksum(const struct block_header *header)
{
    return checksum_of(header + 1, header->block_bytes - BLOCK_HEADER_BYTES);
}

static struct checksum header_checksum(const struct block_header *header)
{
    return checksum_of(header, offsetof(struct block_header, header_checksum));
}

void block_seal(struct block_header *header)
{
    header->body_checksum = body_checksum(header);
    header->header_checksum = header_checksum(header);
}

static bool header_is_zero(const struct block_header *header)
{
    static const struct block_header zero;
    return memcmp(header, &zero, sizeof zero) == 0;
}

enum block_verdict block_check_header(const struct block_header *header,
                                      const struct block_place *place, uint32_t segment_bytes,
                                      uint32_t sector_bytes)
{
    if (header->magic != BLOCK_MAGIC)
        return header_is_zero(header) ? BLOCK_EMPTY : BLOCK_DAMAGED;
    if (!checksum_equal(header->header_checksum, header_checksum(header)))
        return BLOCK_DAMAGED;
    if (header->version < BLOCK_VERSION_MIN || header->version > BLOCK_VERSION)
        return BLOCK_NEWER;
    if (memcmp(header->directory_id, place->directory_id, sizeof place->directory_id) != 0 ||
        header->shard != place->shard || header->segment != place->segment ||
        header->offset != place->offset)
        return BLOCK_MISPLACED;
    /* The checksum holds, so only a bug writes these; they are input all the same. */
    if (header->lsn == 0 || header->lsn_durable >= header->lsn || header->kind > BLOCK_KIND_MAX ||
        header->offset > segment_bytes || header->block_bytes > segment_bytes - header->offset ||
        header->block_bytes % sector_bytes != 0 ||
        header->record_count > header->block_bytes / GIRO_RECORD_BYTES ||
        header->block_bytes != block_size_bytes(header->record_count, sector_bytes))
        return BLOCK_DAMAGED;
    return BLOCK_OK;
}

bool block_check_body(const struct block_header *header)
{
    return checksum_equal(header->body_checksum, body_checksum(header));
}

const char *block_kind_name(uint32_t kind)
{
    static const char *const names[] = {"records", "idle", "start", "stop"};
    return kind <= BLOCK_KIND_MAX ? names[kind] : "unknown";
}

const char *block_verdict_name(enum block_verdict verdict)
{
    switch (verdict) {
    case BLOCK_OK:
        return "sound";
    case BLOCK_EMPTY:
        return "empty";
    case BLOCK_DAMAGED:
        return "damaged";
    case BLOCK_NEWER:
        return "of a newer version";
    case BLOCK_MISPLACED:
        return "a sound block that belongs elsewhere (a misdirected write, or a file or giro.meta "
               "of another directory)";
    }
    return "unknown";
}
