/* Comparing what was derived from a log, sidecars and snapshots, with the log. */
#ifndef TOOLS_INDEX_CHECK_H
#define TOOLS_INDEX_CHECK_H

#include "engine/ledger.h"
#include "wal/archive.h"
#include "wal/manifest.h"

#include <stdbool.h>

struct index_check {
    const struct directory *directory;
    struct segment_facts *segments; /* as the log has them; the last one is in use */
    uint32_t segment_count;
    uint32_t segments_room;
    struct record_snapshot *records; /* of snapshots, in the log */
    uint32_t record_count;
    uint32_t records_room;

    struct manifest manifest;
    bool manifest_damaged;
    struct error manifest_text;
    struct checksum digests[MANIFEST_ENTRIES]; /* of the state that each snapshot stands for */
    bool reached[MANIFEST_ENTRIES];            /* the log comes so far */

    uint32_t sidecars; /* sound ones */
    uint32_t snapshots;
    uint32_t damaged;
};

void index_check_begin(struct index_check *check, const struct directory *directory);
void index_check_free(struct index_check *check);

/* To be called with every block before it is applied; ledger: as it is then. */
void index_check_block(struct index_check *check, const struct block_header *header,
                       const struct ledger *ledger);

/* Reads everything that was derived, and prints a line about each file that is not as it should be.
 * config: of a ledger that is large enough for any snapshot. */
void index_check_end(struct index_check *check, const struct ledger_config *config);

#endif
