/* The segment in use, as the follower sees it: its records, the balances after each of them, and
 * its index while it grows. When the log goes on in the next segment, it is sealed: its sidecar is
 * written, and everything begins again. */
#ifndef WAL_LIVE_H
#define WAL_LIVE_H

#include "wal/postings.h"
#include "wal/sidecar.h"
#include "wal/view.h"

/* What an account's balances were when the segment began. */
struct live_base {
    struct giro_balances balances;
    uint32_t row;
};

struct live {
    const struct directory *directory;
    struct view view;
    struct segment_facts facts; /* so far */
    struct postings accounts;   /* as in wal/sidecar.h */
    struct postings user_data;
    struct postings history;
    struct id_run *runs;
    uint64_t *ids;
    uint64_t *page_sums; /* of the pages of the image that are complete */
    struct history_entry *entries;
    struct live_base *base;
    struct postings base_rows; /* key: row, place: index in base */
    uint32_t *touched;         /* by row: 1 + the segment that has its base */
    giro_u128 *released;       /* of every post */
    uint32_t run_count;
    uint32_t id_count;
    uint32_t page_count;
    uint32_t entry_count;
    uint32_t base_count;
    uint32_t released_count;
    uint32_t rows_max;
    uint32_t records_max;
};

/* Returns 0 or -ENOMEM. accounts_max: of the ledgers that will be followed. */
int live_init(struct live *live, const struct directory *directory, uint32_t accounts_max);
void live_free(struct live *live);

/* Begins a segment at its first block. */
void live_begin(struct live *live, const struct log_position *position);

/* To be called with records that were prepared for replay, before and after they are applied. */
void live_before(struct live *live, const struct ledger *ledger, const union record *records,
                 uint32_t count);
void live_after(struct live *live, const struct ledger *ledger, const union record *records,
                uint32_t count, uint32_t place, const struct ledger_effect *effects);

/* Takes note of a block whose records were applied and whose bytes lie in view.image. */
void live_block(struct live *live, const struct block_header *header);

/* Writes the sidecar. Can be called again when it failed. Returns 0 or -errno. */
int live_seal(struct live *live, struct error *error);

/* Memory in use, in bytes. */
uint64_t live_memory_bytes(const struct live *live);

#endif
