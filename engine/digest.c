/* The tables of the ledger, and digests: of some rows and the counters, which travel in the log and show
 * whether two states are the same, and of the whole state. */
#include "engine/ledger.h"

#include <assert.h>

struct table_rows ledger_rows(const struct ledger *ledger, enum ledger_table table)
{
    switch (table) {
    case LEDGER_ACCOUNTS:
        return (struct table_rows){ledger->accounts.rows, ledger->accounts.count,
                                   sizeof *ledger->accounts.rows};
    case LEDGER_PAYMENTS:
        return (struct table_rows){ledger->payments.rows, ledger->payments.count,
                                   sizeof *ledger->payments.rows};
    case LEDGER_LIMITS:
        return (struct table_rows){ledger->limits.rows, ledger->limits.count,
                                   sizeof *ledger->limits.rows};
    case LEDGER_LEASES:
        return (struct table_rows){ledger->leases.rows, ledger->leases.count,
                                   sizeof *ledger->leases.rows};
    case LEDGER_SCHEDULES:
        return (struct table_rows){ledger->schedules.rows, ledger->schedules.count,
                                   sizeof *ledger->schedules.rows};
    case LEDGER_EPOCHS:
        return (struct table_rows){ledger->settlements.epochs, ledger->settlements.epoch_count,
                                   sizeof *ledger->settlements.epochs};
    case LEDGER_SETTLEMENTS:
        return (struct table_rows){ledger->settlements.rows, ledger->settlements.count,
                                   sizeof *ledger->settlements.rows};
    case LEDGER_SESSIONS:
        return (struct table_rows){ledger->sessions.rows, ledger->sessions.count,
                                   sizeof *ledger->sessions.rows};
    case LEDGER_TABLES:
        break;
    }
    assert(false);
    return (struct table_rows){0};
}

/* ---- Digest records ---------------------------------------------------------------------- */

/* Digests are of so many tables, and of those behind them up to the last that has rows: a table that
 * later versions add changes no digest until it is used. */
enum { TABLES_ALWAYS = LEDGER_SETTLEMENTS + 1 };

/* As u64 each, so that what is checked has no padding. */
static uint64_t table_counts(const struct ledger *ledger)
{
    uint64_t counts[LEDGER_TABLES];
    uint32_t tables = LEDGER_TABLES;
    for (enum ledger_table table = 0; table < LEDGER_TABLES; table++)
        counts[table] = ledger_rows(ledger, table).count;
    while (tables > TABLES_ALWAYS && counts[tables - 1] == 0)
        tables--;
    return checksum_of(counts, tables * sizeof counts[0]).low;
}

static struct checksum rows_checksum(const struct table_rows *rows, uint64_t first, uint64_t count)
{
    return checksum_of((const char *)rows->rows + first * rows->row_bytes,
                       (size_t)count * rows->row_bytes);
}

/* The next table, but for accounts, with rows that this round has not come to; a round is over when
 * there is none. */
static enum ledger_table side_next(struct ledger *ledger)
{
    for (uint32_t rounds = 0; rounds < 2; rounds++) {
        enum ledger_table table = ledger->digest_table;
        for (uint32_t i = 1; i < LEDGER_TABLES; i++) {
            table = table + 1 == LEDGER_TABLES ? LEDGER_ACCOUNTS + 1 : table + 1;
            if (ledger->digest_next[table] < ledger_rows(ledger, table).count)
                return table;
        }
        for (uint32_t i = LEDGER_ACCOUNTS + 1; i < LEDGER_TABLES; i++)
            ledger->digest_next[i] = 0;
    }
    return LEDGER_ACCOUNTS; /* no other table has rows */
}

/* 0 for no rows. */
static uint64_t side_sum(const struct ledger *ledger, enum ledger_table table, uint32_t first,
                         uint32_t count)
{
    struct table_rows rows = ledger_rows(ledger, table);
    return count == 0 ? 0 : rows_checksum(&rows, first, count).low;
}

static uint32_t rows_take(struct ledger *ledger, enum ledger_table table, uint32_t rows_max,
                          uint32_t *out_first)
{
    const uint32_t count = ledger_rows(ledger, table).count;
    uint32_t *next = &ledger->digest_next[table];
    *out_first = *next < count ? *next : 0;
    uint32_t left = count - *out_first;
    uint32_t taken = left < rows_max ? left : rows_max;
    *next = *out_first + taken;
    return taken;
}

void ledger_digest_record(struct ledger *ledger, uint32_t rows_max, uint64_t timestamp,
                          struct record_digest *out)
{
    uint32_t first;
    uint32_t side_first = 0;
    uint32_t side_count = 0;
    const struct table_rows accounts = ledger_rows(ledger, LEDGER_ACCOUNTS);
    const uint32_t count = rows_take(ledger, LEDGER_ACCOUNTS, rows_max, &first);
    const enum ledger_table side = side_next(ledger);
    if (side != LEDGER_ACCOUNTS) {
        side_count = rows_take(ledger, side, rows_max, &side_first);
        ledger->digest_table = side;
    }
    *out = (struct record_digest){
        .rows = rows_checksum(&accounts, first, count),
        .row_first = first,
        .row_count = count,
        .accounts = ledger->accounts.count,
        .transfers = ledger->transfers_count,
        .burnt = ledger->burnt_count,
        .expired = ledger->expired_count,
        .holds = ledger->holds.count,
        .account_timestamp_last = ledger->account_timestamp_last,
        .transfer_timestamp_last = ledger->transfer_timestamp_last,
        .table_counts = table_counts(ledger),
        .side_rows = side_sum(ledger, side, side_first, side_count),
        .side_first = side_first,
        .side_count = side_count,
        .side_table = side,
        .code = RECORD_SYSTEM_DIGEST,
        .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
        .timestamp = timestamp,
    };
}

/* Whether there are so many rows from first on. */
static bool rows_there(const struct ledger *ledger, enum ledger_table table, uint64_t first,
                       uint64_t count)
{
    const uint64_t rows = ledger_rows(ledger, table).count;
    return first <= rows && count <= rows - first;
}

bool ledger_digest_matches(const struct ledger *ledger, const struct record_digest *digest)
{
    if (digest->accounts != ledger->accounts.count ||
        digest->table_counts != table_counts(ledger) || digest->side_table >= LEDGER_TABLES ||
        !rows_there(ledger, LEDGER_ACCOUNTS, digest->row_first, digest->row_count) ||
        (digest->side_table == LEDGER_ACCOUNTS && digest->side_count != 0) ||
        !rows_there(ledger, digest->side_table, digest->side_first, digest->side_count))
        return false;
    const struct table_rows accounts = ledger_rows(ledger, LEDGER_ACCOUNTS);
    struct checksum rows = rows_checksum(&accounts, digest->row_first, digest->row_count);
    return checksum_equal(rows, digest->rows) && digest->transfers == ledger->transfers_count &&
           digest->burnt == ledger->burnt_count && digest->expired == ledger->expired_count &&
           digest->holds == ledger->holds.count &&
           digest->account_timestamp_last == ledger->account_timestamp_last &&
           digest->transfer_timestamp_last == ledger->transfer_timestamp_last &&
           digest->side_rows ==
               side_sum(ledger, digest->side_table, digest->side_first, digest->side_count);
}

/* ---- Digest and sums --------------------------------------------------------------------- */

uint64_t ledger_digest_holds(const struct ledger *ledger)
{
    uint64_t sum = 0; /* a sum, because slot numbers depend on history */
    for (uint32_t i = 0; i < ledger->holds.slots_used; i++) {
        const struct hold *hold = &ledger->holds.slots[i];
        const struct {
            struct giro_transfer record;
            uint64_t expires_at;
            uint64_t reserved;
        } state = {.record = hold->record, .expires_at = hold->expires_at};
        if (hold->record.id != 0)
            sum += checksum_of(&state, sizeof state).low;
    }
    return sum;
}

struct checksum ledger_digest_of(const struct checksum rows[LEDGER_TABLES], uint64_t holds,
                                 const struct ledger_totals *totals)
{
    const uint64_t state[] = {
        holds,
        totals->account_timestamp_last,
        totals->transfer_timestamp_last,
        totals->transfers,
        totals->burnt,
        totals->expired,
    };
    const struct checksum none = checksum_of(NULL, 0);
    char all[LEDGER_TABLES * sizeof *rows + sizeof state];
    uint32_t tables = LEDGER_TABLES;
    while (tables > TABLES_ALWAYS && checksum_equal(rows[tables - 1], none))
        tables--;
    memcpy(all, rows, tables * sizeof *rows);
    memcpy(all + tables * sizeof *rows, state, sizeof state);
    return checksum_of(all, tables * sizeof *rows + sizeof state);
}

struct checksum ledger_digest(const struct ledger *ledger)
{
    struct ledger_totals totals = ledger_totals(ledger);
    struct checksum sums[LEDGER_TABLES];
    for (enum ledger_table table = 0; table < LEDGER_TABLES; table++) {
        struct table_rows rows = ledger_rows(ledger, table);
        sums[table] = rows_checksum(&rows, 0, rows.count);
    }
    return ledger_digest_of(sums, ledger_digest_holds(ledger), &totals);
}

struct ledger_sums ledger_sum(const struct ledger *ledger, uint32_t ledger_number)
{
    struct ledger_sums sums = {0};
    for (uint32_t i = 0; i < ledger->accounts.count; i++) {
        const struct giro_account *account = &ledger->accounts.rows[i];
        if (ledger_number == 0 || account->ledger == ledger_number)
            ledger_sums_add(&sums, account);
    }
    return sums;
}
