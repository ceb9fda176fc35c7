/* What lies where in a data directory, and what must come of damage there: the atlas itself.
 *
 * A region is a part of a file as docs/log-format.md names it. Each has an expected outcome by the
 * segment that its file belongs to, because a start treats segments differently:
 *
 *   segment | log                              | sidecar                    | snapshot
 *         0 | sealed, before both snapshots    | both snapshots need it     |
 *         1 | sealed, between the two          | the newer one needs it     | the older one
 *         2 | sealed, behind both: it is read  | no snapshot needs it       | the newer one
 *         3 | in use: read to its end          |                            |
 *         4 | ready: zeros                     |                            |
 *
 * and by how the ledger is started: with its snapshots, or from the log alone. */
#ifndef TESTS_ATLAS_REGION_H
#define TESTS_ATLAS_REGION_H

#include "tests/atlas/stand.h"

/* How a case ends; where a change touches several regions, the last one of theirs. */
enum outcome {
    OUTCOME_NONE,     /* no file of this region belongs to such a segment */
    OUTCOME_HARMLESS, /* every answer is the truth */
    OUTCOME_CUT,      /* the same, and what was behind the log's end was called torn, and cut */
    OUTCOME_REBUILT,  /* the same, and the damaged index was noticed and made again */
    OUTCOME_OLDER,    /* the same, after it was noticed and the older snapshot was used */
    OUTCOME_LOG,      /* the same, after it was noticed and the whole log was read */
    OUTCOME_ANSWERS,  /* answers that need what is damaged are refused, all others are the truth */
    OUTCOME_TORN,     /* the last blocks are called torn: the answers are those of the log before */
    OUTCOME_REFUSED,  /* the start is refused, and has not changed the log */
    OUTCOME_WRONG,    /* never: an answer that is neither the truth nor refused, or a hang */
    OUTCOME_COUNT,
};

enum region {
    REGION_META_HEAD,
    REGION_META_ID,
    REGION_META_SIZES,
    REGION_META_CREATED,
    REGION_META_ZEROS,
    REGION_META_CHECKSUM,
    REGION_MANIFEST_HEAD,
    REGION_MANIFEST_NEWER,
    REGION_MANIFEST_OLDER,
    REGION_MANIFEST_ZEROS,
    REGION_MANIFEST_CHECKSUM,
    REGION_LOCK,
    REGION_LOG_HEADER,
    REGION_LOG_HEAD, /* the header that the newer snapshot names */
    REGION_LOG_RECORDS,
    REGION_LOG_PADDING,
    REGION_LOG_MARK,     /* the last block: an idle mark */
    REGION_LOG_PAGE_END, /* zeros behind the last block, in the same 4 KiB */
    REGION_LOG_TAIL,     /* zeros behind that */
    REGION_SIDECAR_HEADER,
    REGION_SIDECAR_SECTIONS, /* and one for each section */
    REGION_SNAPSHOT_FREE = REGION_SIDECAR_SECTIONS + SECTION_COUNT,
    REGION_SNAPSHOT_META,
    REGION_SNAPSHOT_BRANCH,
    REGION_SNAPSHOT_LEAF,
    REGION_SNAPSHOT_OVERFLOW,
    REGION_COUNT,
};

const char *region_name(enum region region);
const char *outcome_name(enum outcome outcome);

/* The region of an offset of a file, beyond its end that of its last byte. */
enum region region_at(const struct specimen *specimen, uint32_t file, uint64_t offset);

/* The table. */
enum outcome region_outcome(enum region region, uint32_t segment, enum stand_mode mode);

#endif
