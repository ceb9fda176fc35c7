/* Changes as a journal of hledger, an independent double-entry program. docs/export.md describes
 * it for its readers.
 *
 * The four balances of an account become four accounts of hledger, so that each can be compared:
 *
 *   L7:A12:debits             debits_posted
 *   L7:A12:credits           -credits_posted
 *   pending:L7:A12:debits     debits_pending
 *   pending:L7:A12:credits   -credits_pending
 *
 * Every change is a transaction of two postings, or four for a post: its amount, and what it takes
 * off the pending balances. The amounts are the records'; only how much a post, a void or an
 * expiry releases stands in no record, and is the difference of the balances before and after.
 * Behind each posting stands the balance that Giro says it led to, as an assertion, which hledger
 * checks against its own sum.
 *
 * Assertions are checked in the order of dates. Transfers are in that order, whatever was imported
 * when. An expiry has the server's time, and imported transfers may follow that are older: so an
 * expiry asserts nothing, and neither does a pending balance of a transfer that is older than an
 * expiry before it. */
#ifndef TOOLS_EXPORT_HLEDGER_H
#define TOOLS_EXPORT_HLEDGER_H

#include "engine/accounts.h"
#include "tools/export_output.h"

struct export_hledger {
    struct accounts accounts; /* with their balances after the last change */
    uint32_t *ledgers;        /* that have been declared, ascending */
    uint32_t ledger_count;
    uint64_t expiry_last; /* the latest of them */
};

/* Returns 0 or -ENOMEM. */
int export_hledger_init(struct export_hledger *hledger);
void export_hledger_free(struct export_hledger *hledger);

/* Takes the next change of a history from its beginning on, and puts it into the output when
 * shown. Its kind is one that repl_change_kind_name() knows. Returns NULL, or why the change cannot
 * be: the end of a sentence, static. */
const char *export_hledger_change(struct export_hledger *hledger, const struct giro_change *change,
                                  bool shown, struct export_output *output);

#endif
