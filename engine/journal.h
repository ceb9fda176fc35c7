/* The journal: what rows were before records changed them.
 *
 * It is of one request, or of one chunk that is replayed. A chain or a request that fails is taken
 * back with it, newest entry first, and a snapshot that is being written learns which rows to set
 * aside. Accounts are not in it: a record tells what it did to them. */
#ifndef ENGINE_JOURNAL_H
#define ENGINE_JOURNAL_H

#include "engine/leases.h"
#include "engine/limits.h"
#include "engine/payments.h"
#include "engine/record.h"
#include "engine/sessions.h"
#include "engine/settlements.h"

/* Tables of rows, numbered as they were made and never deleted, that digests and snapshots treat
 * alike. The numbers are part of the formats. */
enum ledger_table {
    LEDGER_ACCOUNTS,
    LEDGER_PAYMENTS,
    LEDGER_LIMITS,
    LEDGER_LEASES,
    LEDGER_SCHEDULES,
    LEDGER_EPOCHS,
    LEDGER_SETTLEMENTS,
    LEDGER_SESSIONS,
    LEDGER_TABLES,
};

enum journal_kind {
    JOURNAL_CHANGED, /* a row of a table: before has it */
    JOURNAL_ADDED,   /* a row of payments, which was not there */
    JOURNAL_HOLD,    /* a hold's amount, deadline and row of payments */
};

struct journal_entry {
    uint64_t address; /* of the record that changed it */
    uint32_t slot;    /* the row, or the slot of the hold */
    uint16_t kind;    /* enum journal_kind */
    uint16_t table;   /* enum ledger_table, unless it is a hold */
    union {
        struct payment payment;
        struct limits limits;
        struct lease lease;
        struct giro_schedule schedule;
        struct epoch epoch;
        struct settlement settlement;
        struct session session;
        struct {
            giro_u128 amount;
            uint64_t expires_at;
            uint32_t payment;
        } hold;
    } before;
};

struct journal {
    struct journal_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

/* capacity: entries before it is emptied. Returns 0 or -ENOMEM. */
int journal_init(struct journal *journal, uint32_t capacity);
void journal_free(struct journal *journal);

/* Adds an entry, whose `before` the caller sets. */
struct journal_entry *journal_add(struct journal *journal, enum journal_kind kind,
                                  enum ledger_table table, uint32_t slot, uint64_t address);

/* The same for a row of a table that is about to change. */
static inline struct journal_entry *journal_change(struct journal *journal, enum ledger_table table,
                                                   uint32_t row, uint64_t address)
{
    return journal_add(journal, JOURNAL_CHANGED, table, row, address);
}

/* What is in the journal is final. */
static inline void journal_clear(struct journal *journal)
{
    journal->count = 0;
}

#endif
