#include "tools/export_hledger.h"

#include "tools/export_rows.h"
#include "tools/import_memory.h"
#include "tools/repl_words.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum { ACCOUNTS_MAX = 1 << 30, ACCOUNTS_EXPECTED = 1 << 16 };

/* One of the two accounts of a change: what it was, what it is, and what of it is the change's. */
struct side {
    giro_u128 account_id;
    const char *name;
    bool negative; /* credits are negative in hledger */
    giro_u128 posted;
    giro_u128 pending;
    giro_u128 pending_before;
};

/* What a change moves. */
struct movement {
    struct side sides[2];
    bool posts; /* amount is posted */
    bool pends; /* pending balances change, by amount or by what they differ */
    bool releases;
};

int export_hledger_init(struct export_hledger *hledger)
{
    uint64_t seed = 0; /* clients choose ids: they must not be able to choose them badly */
    *hledger = (struct export_hledger){0};
    (void)!getrandom(&seed, sizeof seed, 0);
    return accounts_init(&hledger->accounts, ACCOUNTS_MAX, ACCOUNTS_EXPECTED, seed);
}

void export_hledger_free(struct export_hledger *hledger)
{
    accounts_free(&hledger->accounts);
    free(hledger->ledgers);
    *hledger = (struct export_hledger){0};
}

/* ---- Accounts ---------------------------------------------------------------------------- */

/* Returns whether a ledger number is new. */
static bool ledger_add(struct export_hledger *hledger, uint32_t ledger)
{
    uint32_t low = 0;
    uint32_t high = hledger->ledger_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (hledger->ledgers[middle] < ledger)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < hledger->ledger_count && hledger->ledgers[low] == ledger)
        return false;
    uint32_t count = hledger->ledger_count++;
    if ((count & (count - 1)) == 0) /* a power of two: full */
        hledger->ledgers =
            import_memory(hledger->ledgers, count == 0 ? 1 : 2 * (size_t)count, sizeof(uint32_t));
    memmove(&hledger->ledgers[low + 1], &hledger->ledgers[low],
            (count - low) * sizeof hledger->ledgers[0]);
    hledger->ledgers[low] = ledger;
    return true;
}

/* L7:A12 */
static void account_put(struct export_output *output, uint32_t ledger, giro_u128 id)
{
    export_put_char(output, 'L');
    export_put_u64(output, ledger);
    export_put(output, ":A");
    export_put_u128(output, id);
}

static void tag_put(struct export_output *output, const char *name, giro_u128 value)
{
    if (value == 0)
        return;
    export_put(output, ", ");
    export_put(output, name);
    export_put_char(output, ':');
    export_put_u128(output, value);
}

static void names_put(struct export_output *output, const char *name, const char *names)
{
    if (names[0] == 0)
        return;
    export_put(output, ", ");
    export_put(output, name);
    export_put_char(output, ':');
    export_put(output, names);
}

static void flags_put(struct export_output *output, const char *name,
                      const struct giro_change *change)
{
    char flags[EXPORT_FLAGS_BYTES];
    export_flags(change, flags);
    names_put(output, name, flags);
}

static void marks_put(struct export_output *output, const struct giro_change *change)
{
    char marks[EXPORT_FLAGS_BYTES];
    export_marks(change, marks);
    names_put(output, "marks", marks);
}

/* The account with what is known of it, as tags, which its postings inherit: so they have names of
 * their own. Its four parts are not declared, although hledger --strict would want them to be: with
 * tens of thousands of declared accounts hledger's reports take ten times as long. */
static void declaration_put(struct export_output *output, const struct giro_change *change,
                            bool ledger_is_new)
{
    const struct giro_account *account = &change->record.account;
    export_put_char(output, '\n');
    if (ledger_is_new) {
        export_put(output, "commodity 1000. \"L");
        export_put_u64(output, account->ledger);
        export_put(output, "\"\n\n");
    }
    export_put(output, "account ");
    account_put(output, account->ledger, account->id);
    export_put(output, "  ; account_created:");
    export_put_time(output, account->timestamp);
    tag_put(output, "account_code", account->code);
    flags_put(output, "account_flags", change);
    tag_put(output, "account_user_data_128", account->user_data_128);
    tag_put(output, "account_user_data_64", account->user_data_64);
    tag_put(output, "account_user_data_32", account->user_data_32);
    export_put_char(output, '\n');
}

static const char *account_take(struct export_hledger *hledger, const struct giro_change *change,
                                bool shown, struct export_output *output)
{
    const struct giro_account *account = &change->record.account;
    if (accounts_find(&hledger->accounts, account->id) != ACCOUNTS_NONE)
        return "creates an account that is there already";
    if (hledger->accounts.count == hledger->accounts.capacity)
        return "is one account more than this program can keep";
    (void)accounts_append(&hledger->accounts, account);
    bool ledger_is_new = ledger_add(hledger, account->ledger);
    if (shown)
        declaration_put(output, change, ledger_is_new);
    return NULL;
}

/* ---- Transfers --------------------------------------------------------------------------- */

static void movement_set(const struct giro_change *change, const struct giro_account *debit,
                         const struct giro_account *credit, struct movement *out)
{
    const struct giro_transfer *transfer = &change->record.transfer;
    *out = (struct movement){
        .sides = {{.account_id = transfer->debit_account_id,
                   .name = ":debits",
                   .posted = change->debit.debits_posted,
                   .pending = change->debit.debits_pending,
                   .pending_before = debit->debits_pending},
                  {.account_id = transfer->credit_account_id,
                   .name = ":credits",
                   .negative = true,
                   .posted = change->credit.credits_posted,
                   .pending = change->credit.credits_pending,
                   .pending_before = credit->credits_pending}},
    };
    if (change->kind == GIRO_CHANGE_TRANSFER_CREATED) {
        out->pends = (transfer->flags & GIRO_TRANSFER_PENDING) != 0;
        out->posts = !out->pends;
    } else {
        out->posts = change->kind == GIRO_CHANGE_PENDING_POSTED;
        out->pends = true;
        out->releases = true;
    }
}

static void amount_put(struct export_output *output, uint32_t ledger, bool negative,
                       giro_u128 amount)
{
    if (negative && amount != 0)
        export_put_char(output, '-');
    export_put_u128(output, amount);
    export_put(output, " \"L");
    export_put_u64(output, ledger);
    export_put_char(output, '"');
}

/* One posting; balance NULL: without an assertion. */
static void posting_put(struct export_output *output, const char *prefix, uint32_t ledger,
                        const struct side *side, bool negative, giro_u128 amount,
                        const giro_u128 *balance)
{
    export_put(output, "    ");
    export_put(output, prefix);
    account_put(output, ledger, side->account_id);
    export_put(output, side->name);
    export_put(output, "  ");
    amount_put(output, ledger, negative, amount);
    if (balance != NULL) {
        export_put(output, " = ");
        amount_put(output, ledger, side->negative, *balance);
    }
    export_put_char(output, '\n');
}

static void head_put(struct export_output *output, const struct giro_change *change)
{
    static const char *const words[] = {
        [GIRO_CHANGE_TRANSFER_CREATED] = "transfer",
        [GIRO_CHANGE_PENDING_POSTED] = "post",
        [GIRO_CHANGE_PENDING_VOIDED] = "void",
        [GIRO_CHANGE_PENDING_EXPIRED] = "expiry",
    };
    const struct giro_transfer *transfer = &change->record.transfer;
    export_put_char(output, '\n');
    export_put_date(output, transfer->timestamp);
    if (transfer->id != 0) { /* an expiry has none */
        export_put(output, " (");
        export_put_u128(output, transfer->id);
        export_put_char(output, ')');
    }
    export_put_char(output, ' ');
    export_put(output,
               (transfer->flags & GIRO_TRANSFER_PENDING) != 0 ? "pending" : words[change->kind]);
    if (transfer->code != 0) {
        export_put(output, " code ");
        export_put_u64(output, transfer->code);
    }
    export_put(output, "\n    ; ordinal:");
    export_put_u64(output, change->ordinal);
    export_put(output, ", time:");
    export_put_time(output, transfer->timestamp);
    export_put(output, ", kind:");
    export_put(output, repl_change_kind_name(change->kind));
    tag_put(output, "id", transfer->id);
    tag_put(output, "code", transfer->code);
    tag_put(output, "pending_id", transfer->pending_id);
    tag_put(output, "timeout", transfer->timeout);
    flags_put(output, "flags", change);
    marks_put(output, change);
    tag_put(output, "user_data_128", transfer->user_data_128);
    tag_put(output, "user_data_64", transfer->user_data_64);
    tag_put(output, "user_data_32", transfer->user_data_32);
    export_put_char(output, '\n');
}

static void transaction_put(const struct export_hledger *hledger, const struct giro_change *change,
                            const struct movement *movement, struct export_output *output)
{
    const struct giro_transfer *transfer = &change->record.transfer;
    bool asserts =
        change->kind != GIRO_CHANGE_PENDING_EXPIRED && transfer->timestamp > hledger->expiry_last;
    head_put(output, change);
    for (int i = 0; i < 2 && movement->posts; i++) {
        const struct side *side = &movement->sides[i];
        posting_put(output, "", transfer->ledger, side, side->negative, transfer->amount,
                    &side->posted);
    }
    for (int i = 0; i < 2 && movement->pends; i++) {
        const struct side *side = &movement->sides[i];
        bool falls = side->pending < side->pending_before;
        giro_u128 amount = transfer->amount;
        if (movement->releases)
            amount =
                falls ? side->pending_before - side->pending : side->pending - side->pending_before;
        posting_put(output, "pending:", transfer->ledger, side,
                    side->negative != (movement->releases && falls), amount,
                    asserts ? &side->pending : NULL);
    }
}

/* The part of a change that hledger cannot see: what must not have changed. */
static bool others_kept(const struct giro_change *change, const struct giro_account *debit,
                        const struct giro_account *credit)
{
    return change->debit.credits_pending == debit->credits_pending &&
           change->debit.credits_posted == debit->credits_posted &&
           change->credit.debits_pending == credit->debits_pending &&
           change->credit.debits_posted == credit->debits_posted;
}

static void balances_set(struct giro_account *account, const struct giro_balances *balances)
{
    account->debits_pending = balances->debits_pending;
    account->debits_posted = balances->debits_posted;
    account->credits_pending = balances->credits_pending;
    account->credits_posted = balances->credits_posted;
}

const char *export_hledger_change(struct export_hledger *hledger, const struct giro_change *change,
                                  bool shown, struct export_output *output)
{
    const struct giro_transfer *transfer = &change->record.transfer;
    struct movement movement;
    if (change->kind == GIRO_CHANGE_ACCOUNT_CREATED)
        return account_take(hledger, change, shown, output);
    if (change->kind >= GIRO_CHANGE_LIMITS_SET)
        return NULL; /* it, leases, schedules and cut-offs move nothing */
    uint32_t debit_row = accounts_find(&hledger->accounts, transfer->debit_account_id);
    uint32_t credit_row = accounts_find(&hledger->accounts, transfer->credit_account_id);
    if (debit_row == ACCOUNTS_NONE || credit_row == ACCOUNTS_NONE || debit_row == credit_row)
        return "moves money of an account that was not created before it";
    struct giro_account *debit = &hledger->accounts.rows[debit_row];
    struct giro_account *credit = &hledger->accounts.rows[credit_row];
    if (debit->ledger != transfer->ledger || credit->ledger != transfer->ledger)
        return "is in another ledger than its accounts";
    if (!others_kept(change, debit, credit))
        return "came with balances that do not follow from those before it";
    movement_set(change, debit, credit, &movement);
    if (shown)
        transaction_put(hledger, change, &movement, output);
    balances_set(debit, &change->debit);
    balances_set(credit, &change->credit);
    if (change->kind == GIRO_CHANGE_PENDING_EXPIRED && transfer->timestamp > hledger->expiry_last)
        hledger->expiry_last = transfer->timestamp;
    return NULL;
}
