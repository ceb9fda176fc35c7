/* Queries over the history: what the follower answers, a slice at a time.
 *
 * A query walks the sealed segments and the one in use in order of time, or against it, and in each
 * the postings of its account or user datum, or every record where it has neither. Timestamps of
 * transfers increase with their place in the log, imported ones included, and so do those of
 * accounts; so where to begin is found by bisection. */
#ifndef WAL_QUERY_H
#define WAL_QUERY_H

#include "wal/archive.h"
#include "wal/live.h"

enum query_kind {
    QUERY_ACCOUNT_TRANSFERS, /* -> struct giro_transfer */
    QUERY_ACCOUNT_BALANCES,  /* -> struct giro_account_balance */
    QUERY_ACCOUNTS,          /* -> struct giro_account */
    QUERY_TRANSFERS,         /* -> struct giro_transfer */
};

enum { QUERY_RESULTS_MAX = 8190 };

/* What is searched, all of it the follower's. */
struct query_source {
    const struct ledger *ledger;
    struct live *live;
    struct archive_reader *reader;
};

struct query {
    enum query_kind kind;
    /* The filter: a zero field does not filter. */
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t ledger;
    uint16_t code;
    bool debits;
    bool credits;
    bool reversed;
    uint32_t limit;
    uint64_t timestamp_min;
    uint64_t timestamp_max;

    /* What is walked. */
    bool walks_all;               /* no postings: every record */
    enum sidecar_section section; /* else: the postings, */
    uint32_t key;                 /* of this key */
    bool nothing;                 /* the account does not exist */

    /* How far it has come. */
    bool entered;     /* the segment's range is known */
    uint32_t segment; /* the one being walked */
    uint64_t item;    /* the next one; reversed: behind the next one */
    uint64_t item_end;
    uint64_t ahead;    /* items whose pages were asked for */
    uint32_t run_next; /* walks_all: how many records of the run `item` are done */
    /* The segment in use may be sealed between two slices: both ways of walking it go on from the
     * last posting, or place, that was looked at. */
    bool resumes;
    uint32_t resume_segment;
    uint32_t resume;
    bool done;

    uint32_t count;
    char *output; /* room for limit results of 128 bytes */
};

/* Prepares a query from a filter that was checked. output: as above. */
void query_account_begin(struct query *query, enum query_kind kind,
                         const struct giro_account_filter *filter,
                         const struct query_source *source, char *output);
void query_begin(struct query *query, enum query_kind kind, const struct giro_query_filter *filter,
                 const struct query_source *source, char *output);

/* Does a slice of the work. Returns 1 when query->count results are complete, 0 when there is more
 * to do, or with source->reader->error set -EBADMSG: an index is damaged, or -EILSEQ: the log is. */
int query_step(struct query *query, const struct query_source *source);

#endif
