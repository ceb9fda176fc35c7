#include "tools/import_send.h"

#include "tools/command.h"
#include "tools/connection_options.h"
#include "tools/import_memory.h"
#include "tools/repl_result.h"

#include <assert.h>
#include <stdlib.h>

static void count_result(struct import_count *count, uint32_t code, uint32_t exists,
                         struct import_origin origin)
{
    if (code == exists) {
        count->existing++;
        return;
    }
    uint32_t slot = code < IMPORT_CODES_MAX ? code : IMPORT_CODES_MAX - 1;
    if (count->refused_by_code[slot]++ == 0)
        count->refused_first[slot] = origin;
    count->refused++;
}

/* ---- accounts ---------------------------------------------------------------------------- */

/* Marks which of the plan's accounts the ledger has, and checks that they are in the right ledger.
 * Returns false after printing what is wrong. */
static bool accounts_known(struct giro_client *client, const struct import_plan *plan, bool *known)
{
    giro_u128 *ids = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *ids);
    struct giro_account *found = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *found);
    char id[NUMBER_TEXT_BYTES];
    bool good = true;
    for (uint32_t at = 0; good && at < plan->account_count; at += GIRO_EVENTS_MAX) {
        uint32_t left = plan->account_count - at;
        uint32_t count = left < GIRO_EVENTS_MAX ? left : GIRO_EVENTS_MAX;
        uint32_t found_count = 0;
        for (uint32_t i = 0; i < count; i++)
            ids[i] = plan->accounts[at + i].account.id;
        int error = giro_lookup_accounts(client, ids, count, found, &found_count);
        if (error != 0)
            connection_complain("import", "looking the accounts up", error);
        good = error == 0;
        for (uint32_t i = 0; i < found_count; i++) {
            uint32_t index = import_ids_find(&plan->account_ids, found[i].id);
            assert(index != IMPORT_IDS_NONE);
            known[index] = true;
            if (found[i].ledger == plan->accounts[index].account.ledger)
                continue;
            complain("import", "account %s is in ledger %u, and the mapping says %u: correct it",
                     number_print_id(found[i].id, id), found[i].ledger,
                     plan->accounts[index].account.ledger);
            good = false;
        }
    }
    free(ids);
    free(found);
    return good;
}

/* Whether the mapping lets the import create what is missing. */
static bool accounts_allowed(const struct import_plan *plan, const bool *known)
{
    enum { SHOWN = 5 };
    uint32_t create = plan->mapping->create;
    uint32_t missing = 0;
    char id[NUMBER_TEXT_BYTES];
    for (uint32_t i = 0; i < plan->account_count; i++) {
        const struct import_account *account = &plan->accounts[i];
        if (known[i] || create == MAPPING_CREATE_ALL ||
            (create == MAPPING_CREATE_COUNTERPARTY && account->counterparty))
            continue;
        if (missing++ < SHOWN)
            complain("import", "%s:%u: account %s does not exist",
                     plan->files[account->origin.file].path, account->origin.line,
                     number_print_id(account->account.id, id));
    }
    if (missing == 0)
        return true;
    complain("import",
             "%u accounts are missing and nothing was sent: import the accounts first, or set "
             "create = all in [accounts] of %s",
             missing, plan->mapping->path);
    return false;
}

/* Creates the accounts that are not known. known NULL: all of them. */
static bool accounts_create(struct giro_client *client, const struct import_plan *plan,
                            const bool *known, struct import_count *count)
{
    struct giro_account *batch = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *batch);
    struct giro_result *results = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *results);
    struct import_origin *origins = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *origins);
    int error = 0;
    for (uint32_t at = 0; error == 0 && at < plan->account_count;) {
        struct giro_created created;
        uint32_t size = 0;
        for (; at < plan->account_count && size < GIRO_EVENTS_MAX; at++) {
            if (known != NULL && known[at])
                continue;
            origins[size] = plan->accounts[at].origin;
            batch[size++] = plan->accounts[at].account;
        }
        if (size == 0)
            break;
        error = giro_create_accounts(client, batch, size, results, &created);
        if (error != 0)
            break;
        count->created += size - created.result_count;
        for (uint32_t i = 0; i < created.result_count; i++)
            count_result(count, results[i].code, GIRO_ACCOUNT_EXISTS, origins[results[i].index]);
    }
    if (error != 0)
        connection_complain("import", "creating accounts", error);
    free(batch);
    free(results);
    free(origins);
    return error == 0;
}

static bool accounts_send(struct giro_client *client, const struct import_plan *plan,
                          struct import_count *count)
{
    if (plan->mapping->kind == MAPPING_ACCOUNTS)
        return accounts_create(client, plan, NULL, count);
    bool *known = import_memory(NULL, plan->account_count + 1, sizeof *known);
    for (uint32_t i = 0; i < plan->account_count; i++)
        known[i] = false;
    bool good = accounts_known(client, plan, known) && accounts_allowed(plan, known);
    for (uint32_t i = 0; good && i < plan->account_count; i++)
        count->existing += known[i];
    good = good && accounts_create(client, plan, known, count);
    free(known);
    return good;
}

/* ---- transfers --------------------------------------------------------------------------- */

static bool transfers_send(struct giro_client *client, const struct import_plan *plan,
                           struct import_count *count)
{
    struct giro_transfer *batch = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *batch);
    struct giro_result *results = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *results);
    int error = 0;
    for (uint32_t at = 0; error == 0 && at < plan->transfer_count; at += GIRO_EVENTS_MAX) {
        struct giro_created created;
        uint32_t left = plan->transfer_count - at;
        uint32_t size = left < GIRO_EVENTS_MAX ? left : GIRO_EVENTS_MAX;
        for (uint32_t i = 0; i < size; i++)
            batch[i] = plan->transfers[at + i].transfer;
        error = giro_create_transfers(client, batch, size, results, &created);
        if (error != 0)
            break;
        count->created += size - created.result_count;
        for (uint32_t i = 0; i < created.result_count; i++)
            count_result(count, results[i].code, GIRO_TRANSFER_EXISTS,
                         plan->transfers[at + results[i].index].origin);
    }
    if (error != 0)
        connection_complain("import", "creating transfers", error);
    free(batch);
    free(results);
    return error == 0;
}

bool import_send(struct giro_client *client, const struct import_plan *plan,
                 struct import_outcome *outcome)
{
    *outcome = (struct import_outcome){0};
    if (!accounts_send(client, plan, &outcome->accounts))
        return false;
    if (outcome->accounts.refused > 0) {
        if (plan->transfer_count > 0)
            complain("import", "accounts were refused, so no transfer was sent");
        return plan->transfer_count == 0;
    }
    return transfers_send(client, plan, &outcome->transfers);
}

/* ---- summary ----------------------------------------------------------------------------- */

char *import_count_print(uint64_t count, char out[NUMBER_TEXT_BYTES])
{
    return number_print(count, 0, true, out);
}

static void refusals_print(const struct import_plan *plan, const struct import_count *count,
                           bool accounts, FILE *out)
{
    char number[NUMBER_TEXT_BYTES];
    for (uint32_t code = 0; code < IMPORT_CODES_MAX; code++) {
        if (count->refused_by_code[code] == 0)
            continue;
        const char *name =
            accounts ? giro_account_result_name(code) : giro_transfer_result_name(code);
        const char *meaning =
            accounts ? repl_account_result_text(code) : repl_transfer_result_text(code);
        fprintf(out, "  refused: %s %s, first %s:%u\n           %s\n",
                import_count_print(count->refused_by_code[code], number), name,
                plan->files[count->refused_first[code].file].path, count->refused_first[code].line,
                meaning);
    }
}

static void count_print(const struct import_plan *plan, const char *what, bool accounts,
                        const struct import_count *count, FILE *out)
{
    char created[NUMBER_TEXT_BYTES];
    char existing[NUMBER_TEXT_BYTES];
    char refused[NUMBER_TEXT_BYTES];
    fprintf(out, "%-10s %s created, %s already there, %s refused\n", what,
            import_count_print(count->created, created),
            import_count_print(count->existing, existing),
            import_count_print(count->refused, refused));
    refusals_print(plan, count, accounts, out);
}

static void files_print(const struct import_plan *plan, FILE *out)
{
    char rows[NUMBER_TEXT_BYTES];
    char skipped[NUMBER_TEXT_BYTES];
    for (uint32_t i = 0; i < plan->file_count; i++) {
        const struct import_file *file = &plan->files[i];
        fprintf(out, "%-10s %s: %s rows", "read", file->path, import_count_print(file->rows, rows));
        if (file->rows_skipped > 0)
            fprintf(out, ", %s skipped", import_count_print(file->rows_skipped, skipped));
        fputc('\n', out);
        if (file->dropped_line > 0)
            fprintf(out, "%-10s %s:%u: the file ends in the middle of this row; left out\n",
                    "dropped", file->path, file->dropped_line);
    }
}

void import_summary(const struct import_plan *plan, const struct import_outcome *outcome, FILE *out)
{
    char accounts[NUMBER_TEXT_BYTES];
    char transfers[NUMBER_TEXT_BYTES];
    files_print(plan, out);
    if (outcome == NULL) {
        fprintf(out, "%-10s %s accounts and %s transfers are good; nothing was sent\n", "dry run",
                import_count_print(plan->account_count, accounts),
                import_count_print(plan->transfer_count, transfers));
        return;
    }
    count_print(plan, "accounts", true, &outcome->accounts, out);
    if (plan->mapping->kind == MAPPING_TRANSFERS)
        count_print(plan, "transfers", false, &outcome->transfers, out);
}
