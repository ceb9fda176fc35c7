/* The segment in use, as the follower sees it: its records, the balances after each of them, and
 * its index while it grows. When the log goes on in the next segment, it is sealed: its sidecar is
 * written, and everything begins again. */
#ifndef WAL_LIVE_H
#define WAL_LIVE_H

#include "wal/postings.h"
#include "wal/sidecar.h"
#include "wal/view.h"

/* Whether an account's balances changed in this segment, and where they are as they were when it
 * began. */
struct live_touch {
    uint32_t generation; /* that of the segment when they did */
    uint32_t base;
};

/* Steps of sealing: the sections of a sidecar, sorts apart. */
enum live_seal_step {
    LIVE_SEAL_NOT,
    LIVE_SEAL_IDS,
    LIVE_SEAL_PAGES,
    LIVE_SEAL_SORT_ACCOUNTS,
    LIVE_SEAL_ACCOUNTS,
    LIVE_SEAL_USER_DATA,
    LIVE_SEAL_HISTORY,
    LIVE_SEAL_BASE_BEGIN,
    LIVE_SEAL_BASE,
    LIVE_SEAL_RELEASED,
    LIVE_SEAL_FENCES,
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
    struct giro_balances *base; /* of rows that changed, in the order in which they did */
    struct live_touch *touched; /* by row */
    uint64_t *touched_bits;     /* by row: a bit for those of this segment, to walk them in order */
    uint32_t generation;
    giro_u128 *released; /* of every post */
    uint32_t run_count;
    uint32_t id_count;
    uint32_t page_count;
    uint32_t entry_count;
    uint32_t base_count;
    uint32_t released_count;
    uint32_t rows_max;
    uint32_t records_max;
    uint32_t row_end; /* behind the last row that changed */
    enum live_seal_step step;
    uint32_t seal_word; /* of touched_bits, to be written next */
    uint32_t seal_row;  /* written last */
    struct sidecar_writer writer;
};

/* Returns 0 or -ENOMEM. accounts_max: of the ledgers that will be followed. */
int live_init(struct live *live, const struct directory *directory, uint32_t accounts_max);
void live_free(struct live *live);

/* Makes the memory present that every segment fills: the first touch of a page holds up a whole
 * core of a virtual machine, and with it the log's writes. */
void live_populate(struct live *live);

/* Begins a segment at its first block. */
void live_begin(struct live *live, const struct log_position *position);

/* To be called with records that were prepared for replay, before and after they are applied. */
void live_before(struct live *live, const struct ledger *ledger, const union record *records,
                 uint32_t count);
void live_after(struct live *live, const struct ledger *ledger, const union record *records,
                uint32_t count, uint32_t place, const struct ledger_effect *effects);

/* Takes note of a block whose records were applied and whose bytes lie in view.image. */
void live_block(struct live *live, const struct block_header *header);

/* Writes the sidecar, a step of some milliseconds at a time; the segment can be searched meanwhile.
 * Returns 1 when it is done, 0 when there is more to do, or -errno: then it may be begun again. */
int live_seal(struct live *live, struct error *error);

/* Memory in use, in bytes. */
uint64_t live_memory_bytes(const struct live *live);

#endif
