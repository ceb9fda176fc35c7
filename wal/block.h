/* Blocks: what one group commit writes. docs/log-format.md is the manual.
 *
 *   offset | type | field
 *        0 | u32  | magic "GBLK"
 *        4 | u16  | version, 2; 1 is the same without payments
 *        6 | u16  | shard
 *        8 | u128 | directory_id: of the data directory that this block belongs to
 *       24 | u32  | segment: number of the segment file
 *       28 | u32  | offset in the segment file, bytes
 *       32 | u64  | lsn: 1 for the first block, then one more each
 *       40 | u64  | lsn_durable: the last block known to be durable when this one was written
 *       48 | u64  | ordinal: number of records in all blocks before this one
 *       56 | u32  | record_count
 *       60 | u32  | block_bytes: header, records and padding, a multiple of the sector
 *       64 | u64  | written_at, ns since the epoch
 *       72 | u32  | epoch: number of starts of the server before this block
 *       76 | u16  | kind, enum block_kind
 *       78 | u16  | reserved, 0
 *       80 | u128 | previous: header_checksum of the block before, 0 for the first
 *       96 | u128 | body_checksum: XXH3-128 of bytes 128 .. block_bytes
 *      112 | u128 | header_checksum: XXH3-128 of bytes 0 .. 112
 *      128 |      | records of 128 bytes each (engine/records.h), then zeros up to block_bytes
 *
 * `previous` chains the headers, and each header holds its body's checksum: the header checksum of
 * the last block stands for the whole history. */
#ifndef WAL_BLOCK_H
#define WAL_BLOCK_H

#include "engine/checksum.h"
#include "engine/records.h"

#include <stddef.h>
#include <stdint.h>

enum {
    BLOCK_HEADER_BYTES = 128,
    BLOCK_VERSION = 2,
    BLOCK_VERSION_MIN = 1, /* that is still read */
    BLOCK_SECTOR_BYTES_MIN = 512,
    LOG_BLOCK_BYTES_MAX = 4 << 20, /* of any block of any log */
};

#define BLOCK_MAGIC 0x4b4c4247u /* "GBLK" */

enum block_kind {
    BLOCK_RECORDS = 0, /* accepted records */
    BLOCK_IDLE = 1,    /* no records: says that all blocks before it are durable */
    BLOCK_START = 2,   /* no records: the server started, a new epoch */
    BLOCK_STOP = 3,    /* no records: the server stopped cleanly */
    BLOCK_KIND_MAX = 3,
};

struct block_header {
    uint32_t magic;
    uint16_t version;
    uint16_t shard;
    uint8_t directory_id[16];
    uint32_t segment;
    uint32_t offset;
    uint64_t lsn;
    uint64_t lsn_durable;
    uint64_t ordinal;
    uint32_t record_count;
    uint32_t block_bytes;
    uint64_t written_at;
    uint32_t epoch;
    uint16_t kind;
    uint16_t reserved;
    struct checksum previous;
    struct checksum body_checksum;
    struct checksum header_checksum;
};

_Static_assert(sizeof(struct block_header) == BLOCK_HEADER_BYTES, "block header size");
_Static_assert(offsetof(struct block_header, lsn) == 32, "block header layout");
_Static_assert(offsetof(struct block_header, written_at) == 64, "block header layout");
_Static_assert(offsetof(struct block_header, previous) == 80, "block header layout");
_Static_assert(offsetof(struct block_header, header_checksum) == 112, "block header layout");

/* Where a block is expected to lie. */
struct block_place {
    uint8_t directory_id[16];
    uint16_t shard;
    uint32_t segment;
    uint32_t offset;
};

enum block_verdict {
    BLOCK_OK,
    BLOCK_EMPTY,     /* the header's 128 bytes are all zero */
    BLOCK_DAMAGED,   /* not a header: wrong magic or checksum, or fields that contradict it */
    BLOCK_NEWER,     /* sound, of a version that this program does not know */
    BLOCK_MISPLACED, /* sound, and belongs elsewhere: a misdirected or stale write */
};

/* Size on disk of a block of this many records. */
static inline uint32_t block_size_bytes(uint32_t record_count, uint32_t sector_bytes)
{
    uint32_t bytes = BLOCK_HEADER_BYTES + record_count * GIRO_RECORD_BYTES;
    return (bytes + sector_bytes - 1) / sector_bytes * sector_bytes;
}

/* Sets both checksums of a block whose other fields, records and padding are in place. */
void block_seal(struct block_header *header);

/* Judges a header by itself and against the place where it was read. */
enum block_verdict block_check_header(const struct block_header *header,
                                      const struct block_place *place, uint32_t segment_bytes,
                                      uint32_t sector_bytes);

/* Whether the body belongs to the header; the header was checked. */
bool block_check_body(const struct block_header *header);

/* The place of a block in a log: directory_id of 16 bytes, shard 0. */
static inline struct block_place block_place_of(const uint8_t *directory_id, uint32_t segment,
                                                uint32_t offset)
{
    struct block_place place = {.segment = segment, .offset = offset};
    memcpy(place.directory_id, directory_id, sizeof place.directory_id);
    return place;
}

/* The records of a block, and the log address of the first of them. */
static inline const union record *block_records(const struct block_header *header)
{
    return (const union record *)(const void *)(header + 1);
}

static inline uint64_t block_address(const struct block_header *header, uint32_t segment_bytes)
{
    uint64_t begin = (uint64_t)header->segment * segment_bytes + header->offset;
    return begin / GIRO_RECORD_BYTES + 1;
}

const char *block_kind_name(uint32_t kind);
const char *block_verdict_name(enum block_verdict verdict);

#endif
