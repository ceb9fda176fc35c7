/* The ledger that the corruption atlas damages: every kind of record, in five small segments.
 *
 *   segment 0   sealed   start, imports, accounts with every flag, 5,400 more accounts, transfers
 *   segment 1   sealed   begins with the older snapshot
 *   segment 2   sealed   begins with the newer snapshot
 *   segment 3   in use   ends with a block of many records, and the idle mark behind it
 *   segment 4   ready    zeros
 *
 * It is made by tests/history_fixture.h, so it is the same bytes in every run of the same seed, and
 * there is a plain account of what is in it. Its files are kept in memory. */
#ifndef TESTS_ATLAS_SPECIMEN_H
#define TESTS_ATLAS_SPECIMEN_H

#include "tests/history_fixture.h"

enum {
    SPECIMEN_FILES_MAX = 24,
    SPECIMEN_NAME_BYTES = 48,
    SPECIMEN_BLOCKS_MAX = 4096,
    SPECIMEN_SEGMENT_BYTES = DIRECTORY_SEGMENT_BYTES_MIN,
    SPECIMEN_OLDER = 1, /* segments of the two snapshots */
    SPECIMEN_NEWER = 2,
    SPECIMEN_USED = 3,  /* the segment in use */
    SPECIMEN_READY = 4, /* the one behind it */
    SPECIMEN_SEGMENTS = 5,
    SPECIMEN_ACCOUNTS_MAX = 1 << 13,
    SPECIMEN_HOLDS_MAX = 1 << 13,
    SPECIMEN_MOVING = 48, /* the first accounts: all that transfers are about */
};

enum specimen_kind {
    SPECIMEN_META,
    SPECIMEN_LOCK,
    SPECIMEN_MANIFEST,
    SPECIMEN_LOG,
    SPECIMEN_SIDECAR,
    SPECIMEN_SNAPSHOT,
};

struct specimen_file {
    char name[SPECIMEN_NAME_BYTES]; /* within the data directory */
    enum specimen_kind kind;
    uint32_t segment; /* of a log, sidecar or snapshot */
    uint8_t *bytes;
    uint64_t size;
};

struct specimen_block {
    uint32_t segment;
    uint32_t offset;
    uint32_t bytes;
    uint32_t record_count;
};

struct specimen {
    struct history history; /* what it holds, by the reference */
    struct specimen_file files[SPECIMEN_FILES_MAX];
    uint32_t file_count;
    struct specimen_block blocks[SPECIMEN_BLOCKS_MAX];
    uint32_t block_count;
    uint32_t used_bytes[SPECIMEN_SEGMENTS];    /* of blocks */
    uint64_t ordinal_first[SPECIMEN_SEGMENTS]; /* of each segment's first block */
    uint32_t records_last;                     /* number of the last block that has records */
    struct sidecar_header sidecars[SPECIMEN_SEGMENTS]; /* of the sealed ones */
    uint8_t *page_kinds[SPECIMEN_SEGMENTS]; /* of snapshots, by page: enum specimen_page */
};

/* What a page of an LMDB file is. */
enum specimen_page {
    SPECIMEN_PAGE_FREE,
    SPECIMEN_PAGE_META,
    SPECIMEN_PAGE_BRANCH,
    SPECIMEN_PAGE_LEAF,
    SPECIMEN_PAGE_OVERFLOW,
};

/* Makes it, in a scratch folder that is gone again on return. */
void specimen_make(struct specimen *specimen, struct rng *rng);
void specimen_free(struct specimen *specimen);

/* The file of a kind and segment (0 where it has none). */
uint32_t specimen_file(const struct specimen *specimen, enum specimen_kind kind, uint32_t segment);

/* The block that an offset of a segment lies in, or -1. */
int32_t specimen_block_at(const struct specimen *specimen, uint32_t segment, uint32_t offset);

#endif
