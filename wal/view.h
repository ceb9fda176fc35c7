/* A segment in memory, with both balances after every record: what changes are read from.
 *
 * The segment in use always has one, kept by wal/live.h. A sealed segment gets one when somebody
 * asks for its changes: its blocks are read, and the balances follow from its sidecar's base,
 * record by record, without a look at any other segment. */
#ifndef WAL_VIEW_H
#define WAL_VIEW_H

#include "wal/archive.h"

struct view_block {
    uint32_t offset;
    uint32_t record_count;
    uint64_t ordinal;
};

/* Of the debit and of the credit account of one record, right after it. */
struct view_balances {
    struct giro_balances debit;
    struct giro_balances credit;
};

struct view {
    uint32_t segment;
    uint32_t segment_bytes;
    uint32_t block_count;
    uint32_t blocks_max;
    char *image;                    /* the segment's blocks, at their offsets */
    struct view_balances *balances; /* by place; only where record_moves() */
    struct view_block *blocks;
    uint64_t ordinal_end; /* behind the last record */
};

int view_init(struct view *view, const struct directory *directory);
void view_free(struct view *view);

void view_clear(struct view *view, uint32_t segment, uint64_t ordinal);

/* Takes note of a block whose bytes are in the image. */
void view_block_add(struct view *view, const struct block_header *header);

static inline const struct block_header *view_header(const struct view *view, uint32_t block)
{
    return (const struct block_header *)(const void *)(view->image + view->blocks[block].offset);
}

static inline const union record *view_record(const struct view *view, uint32_t place)
{
    return (const union record *)(const void *)(view->image + (size_t)place * GIRO_RECORD_BYTES);
}

/* Makes the change that a record is for subscribers; debit and credit are the balances right after
 * it, and are not looked at for an account or its limits. before: the record in front of it in its block, which has
 * its marks; NULL: none. Returns false, with nothing written, for a record that is no change. */
bool change_from_record(const union record *record, const union record *before, uint64_t ordinal,
                        const struct giro_balances *debit, const struct giro_balances *credit,
                        struct giro_change *out);

/* Copies up to limit changes from *ordinal on, and moves *ordinal behind the last record looked at.
 * Returns how many. */
uint32_t view_changes(const struct view *view, uint64_t *ordinal, uint32_t limit,
                      struct giro_change *changes);

/* ---- Of a sealed segment ----------------------------------------------------------------- */

/* Makes the view of a sealed segment, a step at a time. */
struct view_maker {
    struct view view;
    struct archive_reader *reader;
    const struct accounts *accounts; /* to find rows by id */
    uint32_t *slots;                 /* by row: slot + 1 in table; 0: not in this segment */
    struct view_slot *table;
    uint32_t slot_count;
    struct archive_bytes base;
    struct archive_bytes released;
    uint64_t base_row;
    uint32_t loaded_bytes; /* of the image */
    uint32_t offset;       /* of the next block to go through */
    bool base_done;
    bool done;
    uint64_t used_at; /* when it was last asked for, by the caller's count */
};

struct view_slot {
    struct giro_balances balances;
    uint32_t row;
};

int view_maker_init(struct view_maker *maker, const struct directory *directory,
                    const struct accounts *accounts);
void view_maker_free(struct view_maker *maker);

void view_maker_begin(struct view_maker *maker, struct archive_reader *reader, uint32_t segment);

/* Does about a millisecond of work. Returns 1 when the view is complete, 0 when there is more to
 * do, or -errno with reader->error set. */
int view_maker_step(struct view_maker *maker);

#endif
