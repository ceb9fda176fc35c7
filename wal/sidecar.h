/* Sidecars: the index of one sealed segment, in a file beside it.
 *
 *   DIR/shard-0/0000000007.idx     written once, when the log went on in segment 8
 *
 * Everything in it follows from the log: a sidecar that is missing, torn or damaged is noticed, and
 * made again by replay. It is synced before a snapshot relies on it. docs/log-format.md is the
 * manual.
 *
 * The file is pages of 4,096 bytes: a checksum of 8, XXH3-64 seeded with directory, segment and
 * page, and 4,088 bytes of items, none of which crosses a page. Whoever reads a page checks it: no
 * damage and no stranger's file passes, and nothing has to be read as a whole. Page 0 is the header;
 * behind it follow the sections:
 *
 *   section        | item                | order   | what for
 *   runs           | u32 place, u32 count| place   | where ids and transfers lie in the segment
 *   ids            | u64                 | place   | hash of the id of every record in runs: the
 *                  |                     |         | transfer index is rebuilt from them
 *   chunks         | u32                 | place   | by 64 KiB: sector + 1 of the covering block
 *   log_pages      | u64                 | place   | XXH3-64 of every 4 KiB of the segment that is in
 *                  |                     |         | use: old records are read by the page, proven
 *   accounts       | u64 row, posting    | value   | transfers of an account
 *   user_data      | u64 hash, posting   | value   | records with a user datum that is not 0
 *   history        | u64 row, entry      | value   | by account: its entries in
 *   balances       | struct history_entry| place   | balances after each transfer, of history accounts
 *   base           | bytes               | row     | of every account that a transfer or an expiry names: what
 *                  |                     |         | they were when the segment began
 *   released       | bytes               | place   | of every post: what it released, besides
 *                  |                     |         | what it posted; of a fact: all that it released
 *   *_fences       | u64                 | value   | the first item of every page of accounts,
 *                  |                     |         | user_data and history
 *
 * A place is a record's address less that of the segment's beginning. An account posting is the
 * place * 2, plus 1 when the account is credited. base and released are numbers of 7 bits a byte,
 * least first, the top bit set in all but the last: base has the row less the one before, and the
 * four balances.
 *
 * With base and released, a segment alone is enough to tell every balance after every record in it:
 * that is how old changes are read (wal/view.h). */
#ifndef WAL_SIDECAR_H
#define WAL_SIDECAR_H

#include "engine/ledger.h"
#include "wal/block.h"
#include "wal/directory.h"
#include "wal/reader.h"

#define SIDECAR_MAGIC 0x3152414345444953ull /* "SIDECAR1" */

enum {
    SIDECAR_VERSION = 1,
    SIDECAR_PAGE_BYTES = 4096,
    SIDECAR_PAYLOAD_BYTES = SIDECAR_PAGE_BYTES - 8,
    SIDECAR_NAME_BYTES = 16,
};

/* What a sealed segment is: in its sidecar's header, and in the catalogue of every snapshot. */
struct segment_facts {
    uint32_t segment;
    uint32_t epoch;         /* of its last block */
    uint32_t used_bytes;    /* blocks, to the end of the last one */
    uint32_t last_offset;   /* of its last block */
    uint64_t lsn_first;     /* of its first block */
    uint64_t lsn_end;       /* of the first block behind it */
    uint64_t ordinal_first; /* likewise */
    uint64_t ordinal_end;
    uint64_t written_at;      /* of its last block */
    struct checksum previous; /* chain value in front of its first block */
    struct checksum head;     /* header checksum of its last block */
    uint64_t transfer_first;  /* timestamps of its first and last transfer; 0: it has none */
    uint64_t transfer_last;
    uint64_t transfers;
    uint64_t accounts; /* created in it */
};

enum sidecar_section {
    SECTION_RUNS,
    SECTION_IDS,
    SECTION_CHUNKS,
    SECTION_LOG_PAGES,
    SECTION_ACCOUNTS,
    SECTION_USER_DATA,
    SECTION_HISTORY,
    SECTION_BALANCES,
    SECTION_BASE,
    SECTION_RELEASED,
    SECTION_ACCOUNTS_FENCES,
    SECTION_USER_DATA_FENCES,
    SECTION_HISTORY_FENCES,
    SECTION_COUNT,
};

struct sidecar_extent {
    uint32_t page_first;
    uint32_t item_bytes;
    uint64_t items;
};

struct sidecar_header {
    uint64_t checksum; /* of the page, as of every page */
    uint64_t magic;
    uint32_t version;
    uint32_t page_count;
    uint8_t directory_id[16];
    struct segment_facts facts;
    struct sidecar_extent sections[SECTION_COUNT];
};

_Static_assert(sizeof(struct segment_facts) == 120, "facts");
_Static_assert(sizeof(struct sidecar_header) <= SIDECAR_PAGE_BYTES, "header page");

/* Consecutive records whose ids are in the transfer index. */
struct id_run {
    uint32_t place;
    uint32_t count;
};

/* An account's balances after one transfer. */
struct history_entry {
    struct giro_balances balances;
    uint64_t timestamp;
    uint32_t posting; /* as in SECTION_ACCOUNTS */
    uint32_t row;
};

_Static_assert(sizeof(struct history_entry) == 80, "history entry");

/* Name of a sidecar inside the shard's folder. */
void sidecar_name(uint32_t segment, char name[SIDECAR_NAME_BYTES]);

/* Number of the segment that a file of this name is the sidecar of; -1: none. */
int64_t sidecar_segment(const char *name);

/* Seed of the checksums of a segment's pages. */
uint64_t sidecar_seed(const struct directory *directory, uint32_t segment);

/* Checks and sets a page's checksum. */
bool sidecar_page_check(const void *page, uint64_t seed, uint32_t number);
void sidecar_page_seal(void *page, uint64_t seed, uint32_t number);

/* Checksum of one page of a segment's log file. */
uint64_t sidecar_log_page_sum(const void *page, uint64_t seed);

/* 32 bits for a user datum: width tells which of the three fields it is, 128, 64 or 32. The lowest
 * bit is 1 for accounts and 0 for transfers, so that the two never share a list: each is in order of
 * time by itself. seed: that of the ledger's hashes; nobody can choose data that meet in one list. */
uint32_t user_data_key(giro_u128 value, uint32_t width, enum record_kind kind, uint64_t seed);

static inline uint32_t sidecar_items_per_page(uint32_t item_bytes)
{
    return SIDECAR_PAYLOAD_BYTES / item_bytes;
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* Sections are written one after the other, in the order of enum sidecar_section. */
struct sidecar_writer {
    const struct directory *directory;
    struct sidecar_header header;
    uint64_t seed;
    int fd;
    int error; /* of the first write that failed; checked at the end */
    enum sidecar_section section;
    char *buffer;   /* pages that are not written yet */
    uint32_t pages; /* in buffer, the one being filled included */
    uint32_t used;  /* bytes of items in that one */
};

int sidecar_writer_open(struct sidecar_writer *writer, const struct directory *directory,
                        uint32_t segment, struct error *error);
void sidecar_section_begin(struct sidecar_writer *writer, enum sidecar_section section,
                           uint32_t item_bytes);

/* Appends count items of the section's size. */
void sidecar_write(struct sidecar_writer *writer, const void *items, uint64_t count);

/* Appends a number, 7 bits a byte, to a section of bytes. */
void sidecar_write_number(struct sidecar_writer *writer, giro_u128 number);

/* Completes the file under its name. Returns 0, or -errno with nothing left behind. */
int sidecar_writer_finish(struct sidecar_writer *writer, const struct segment_facts *facts,
                          struct error *error);

/* Puts the sidecar of a segment, but not its name, onto the disk. Returns 0 or -errno; -ENOENT: there
 * is none. */
int sidecar_sync(const struct directory *directory, uint32_t segment);

/* Gives up: nothing is left behind. */
void sidecar_writer_abandon(struct sidecar_writer *writer);

#endif
