/* giro proof: shows that the ledger holds what the bank's files say, by looking everything up
 * again.
 *
 *   1. every row's transfer is looked up and compared, field by field, with what the files give
 *   2. the transfers are folded in the order of the ledger's timestamps, and the fold must equal
 * the balances of all accounts as the ledger reports them
 *   3. all debits must equal all credits
 *   4. the bank's own balances are compared with the ledger's, account by account and day by day
 *      (tools/proof_days.h has the rule)
 *
 * Nothing is taken from the import: only the mapping, the files and the server's answers. */
#include "tools/command.h"
#include "tools/connection_options.h"
#include "tools/import_memory.h"
#include "tools/import_send.h"
#include "tools/proof_days.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 30 };

/* What the ledger says, in the order of the plan, and what follows from it. */
struct proof {
    const struct import_plan *plan;
    struct giro_transfer *transfers; /* id 0: the ledger does not have it */
    struct giro_account *accounts;   /* id 0: the same */
    struct giro_account *folds;      /* balances that follow from the transfers */
    uint32_t *uses;                  /* transfers of each account */
    uint32_t transfers_missing;
    uint32_t transfers_different;
    uint32_t accounts_missing;
    uint32_t accounts_different;
    giro_u128 debits;
    giro_u128 credits;
    struct proof_days days;
};

/* ---- looking up -------------------------------------------------------------------------- */

static bool transfers_lookup(struct giro_client *client, struct proof *proof)
{
    const struct import_plan *plan = proof->plan;
    giro_u128 *ids = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *ids);
    struct giro_transfer *found = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *found);
    int error = 0;
    for (uint32_t at = 0; error == 0 && at < plan->transfer_count; at += GIRO_EVENTS_MAX) {
        uint32_t left = plan->transfer_count - at;
        uint32_t count = left < GIRO_EVENTS_MAX ? left : GIRO_EVENTS_MAX;
        uint32_t found_count = 0;
        for (uint32_t i = 0; i < count; i++)
            ids[i] = plan->transfers[at + i].transfer.id;
        error = giro_lookup_transfers(client, ids, count, found, &found_count);
        for (uint32_t i = 0; error == 0 && i < found_count; i++) {
            uint32_t index = import_ids_find(&plan->transfer_ids, found[i].id);
            assert(index != IMPORT_IDS_NONE);
            proof->transfers[index] = found[i];
        }
    }
    if (error != 0)
        connection_complain("proof", "looking the transfers up", error);
    free(ids);
    free(found);
    return error == 0;
}

static bool accounts_lookup(struct giro_client *client, struct proof *proof)
{
    const struct import_plan *plan = proof->plan;
    giro_u128 *ids = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *ids);
    struct giro_account *found = import_memory(NULL, GIRO_EVENTS_MAX, sizeof *found);
    int error = 0;
    for (uint32_t at = 0; error == 0 && at < plan->account_count; at += GIRO_EVENTS_MAX) {
        uint32_t left = plan->account_count - at;
        uint32_t count = left < GIRO_EVENTS_MAX ? left : GIRO_EVENTS_MAX;
        uint32_t found_count = 0;
        for (uint32_t i = 0; i < count; i++)
            ids[i] = plan->accounts[at + i].account.id;
        error = giro_lookup_accounts(client, ids, count, found, &found_count);
        for (uint32_t i = 0; error == 0 && i < found_count; i++) {
            uint32_t index = import_ids_find(&plan->account_ids, found[i].id);
            assert(index != IMPORT_IDS_NONE);
            proof->accounts[index] = found[i];
        }
    }
    if (error != 0)
        connection_complain("proof", "looking the accounts up", error);
    free(ids);
    free(found);
    return error == 0;
}

/* ---- 1. every row ------------------------------------------------------------------------ */

/* The first field in which two transfers differ, or NULL. */
static const char *transfer_difference(const struct giro_transfer *ledger,
                                       const struct giro_transfer *file)
{
    if (ledger->amount != file->amount)
        return "amount";
    if (ledger->debit_account_id != file->debit_account_id)
        return "debit_account_id";
    if (ledger->credit_account_id != file->credit_account_id)
        return "credit_account_id";
    if ((ledger->flags & GIRO_TRANSFER_IMPORTED) != 0 && ledger->timestamp != file->timestamp)
        return "timestamp";
    if (ledger->user_data_128 != file->user_data_128)
        return "user_data_128";
    if (ledger->user_data_64 != file->user_data_64)
        return "user_data_64";
    if (ledger->user_data_32 != file->user_data_32)
        return "user_data_32";
    if (ledger->ledger != file->ledger)
        return "ledger";
    if (ledger->code != file->code)
        return "code";
    return ledger->flags == file->flags ? NULL : "flags";
}

static void row_difference_print(const struct proof *proof, uint32_t index, const char *field)
{
    const struct import_transfer *row = &proof->plan->transfers[index];
    const struct import_file *file = &proof->plan->files[row->origin.file];
    uint32_t scale = proof->plan->mapping->scale;
    char id[NUMBER_TEXT_BYTES];
    char in_ledger[NUMBER_TEXT_BYTES];
    char in_file[NUMBER_TEXT_BYTES];
    (void)number_print_id(row->transfer.id, id);
    if (field == NULL)
        printf("  %s:%u: transfer %s is not in the ledger\n", file->path, row->origin.line, id);
    else if (strcmp(field, "amount") == 0)
        printf("  %s:%u: transfer %s: the ledger has amount %s, the file %s\n", file->path,
               row->origin.line, id,
               number_print(proof->transfers[index].amount, scale, true, in_ledger),
               number_print(row->transfer.amount, scale, true, in_file));
    else
        printf("  %s:%u: transfer %s: the ledger has another %s than the file\n", file->path,
               row->origin.line, id, field);
}

static void rows_compare(struct proof *proof)
{
    uint32_t shown = 0;
    for (uint32_t i = 0; i < proof->plan->transfer_count; i++) {
        const struct giro_transfer *ledger = &proof->transfers[i];
        const char *field = NULL;
        if (ledger->id == 0) {
            proof->transfers_missing++;
        } else {
            field = transfer_difference(ledger, &proof->plan->transfers[i].transfer);
            if (field == NULL)
                continue;
            proof->transfers_different++;
        }
        if (shown++ < LINES_MAX)
            row_difference_print(proof, i, field);
    }
    if (shown > LINES_MAX)
        printf("  and %u more rows\n", shown - LINES_MAX);
}

/* ---- 2. and 3. balances ------------------------------------------------------------------ */

static int by_timestamp(const void *a, const void *b)
{
    const struct giro_transfer *left = *(const struct giro_transfer *const *)a;
    const struct giro_transfer *right = *(const struct giro_transfer *const *)b;
    return left->timestamp < right->timestamp ? -1 : left->timestamp > right->timestamp;
}

/* The fold of an account of the plan; NULL where the ledger's transfer has an account of its own.
 */
static struct giro_account *fold_find(struct proof *proof, giro_u128 id)
{
    uint32_t index = import_ids_find(&proof->plan->account_ids, id);
    if (index == IMPORT_IDS_NONE)
        return NULL;
    proof->uses[index]++;
    return &proof->folds[index];
}

static void transfers_fold(struct proof *proof)
{
    uint32_t count = proof->plan->transfer_count;
    const struct giro_transfer **order = import_memory(NULL, count + 1, sizeof *order);
    for (uint32_t i = 0; i < count; i++)
        order[i] = &proof->transfers[i];
    qsort(order, count, sizeof *order, by_timestamp);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer *transfer = order[i];
        const uint16_t unposted = GIRO_TRANSFER_PENDING | GIRO_TRANSFER_VOID_PENDING;
        if (transfer->id == 0 || (transfer->flags & unposted) != 0)
            continue;
        struct giro_account *debit = fold_find(proof, transfer->debit_account_id);
        struct giro_account *credit = fold_find(proof, transfer->credit_account_id);
        if (debit != NULL)
            debit->debits_posted += transfer->amount;
        if (credit != NULL)
            credit->credits_posted += transfer->amount;
    }
    free(order);
}

static void account_difference_print(const struct proof *proof, uint32_t index)
{
    const struct giro_account *ledger = &proof->accounts[index];
    const struct giro_account *fold = &proof->folds[index];
    uint32_t scale = proof->plan->mapping->scale;
    char text[5][NUMBER_TEXT_BYTES];
    (void)number_print_id(proof->plan->accounts[index].account.id, text[0]);
    if (ledger->id == 0) {
        printf("  account %s is not in the ledger\n", text[0]);
        return;
    }
    printf("  account %s: the ledger has debits %s and credits %s, its transfers make %s and %s\n",
           text[0], number_print(ledger->debits_posted, scale, true, text[1]),
           number_print(ledger->credits_posted, scale, true, text[2]),
           number_print(fold->debits_posted, scale, true, text[3]),
           number_print(fold->credits_posted, scale, true, text[4]));
}

static void accounts_compare(struct proof *proof)
{
    uint32_t shown = 0;
    for (uint32_t i = 0; i < proof->plan->account_count; i++) {
        const struct giro_account *ledger = &proof->accounts[i];
        const struct giro_account *fold = &proof->folds[i];
        proof->debits += ledger->debits_posted;
        proof->credits += ledger->credits_posted;
        if (ledger->id != 0 && ledger->debits_posted == fold->debits_posted &&
            ledger->credits_posted == fold->credits_posted)
            continue;
        if (ledger->id == 0)
            proof->accounts_missing++;
        else
            proof->accounts_different++;
        if (shown++ < LINES_MAX)
            account_difference_print(proof, i);
    }
    if (shown > LINES_MAX)
        printf("  and %u more accounts\n", shown - LINES_MAX);
}

/* ---- 4. days ----------------------------------------------------------------------------- */

static int by_account_and_day(const void *a, const void *b)
{
    const struct proof_row *left = a;
    const struct proof_row *right = b;
    if (left->account != right->account)
        return left->account < right->account ? -1 : 1;
    return left->day < right->day ? -1 : left->day > right->day;
}

/* What a transfer of the ledger does to an account's balance. */
static giro_i128 balance_change(const struct proof *proof, const struct giro_transfer *transfer,
                                giro_u128 account)
{
    bool grows_by_credit = proof->plan->mapping->balance_direction == MAPPING_CREDIT;
    giro_i128 amount = (giro_i128)transfer->amount;
    if (transfer->id == 0)
        return 0;
    if (transfer->credit_account_id == account)
        return grows_by_credit ? amount : -amount;
    if (transfer->debit_account_id == account)
        return grows_by_credit ? -amount : amount;
    return 0;
}

static void days_compare(struct proof *proof)
{
    const struct import_plan *plan = proof->plan;
    const uint64_t ns_per_day = 86400 * GIRO_NS_PER_S;
    struct proof_row *rows = import_memory(NULL, plan->transfer_count + 1, sizeof *rows);
    for (uint32_t i = 0; i < plan->transfer_count; i++) {
        const struct import_transfer *row = &plan->transfers[i];
        const struct giro_transfer *ledger = &proof->transfers[i];
        giro_u128 account = import_row_account(row);
        bool dated = (ledger->flags & GIRO_TRANSFER_IMPORTED) != 0;
        rows[i] = (struct proof_row){
            .account = account,
            .day = dated ? (uint32_t)(ledger->timestamp / ns_per_day) : row->time.day,
            .change = balance_change(proof, ledger, account),
            .balance = row->balance,
        };
    }
    qsort(rows, plan->transfer_count, sizeof *rows, by_account_and_day);
    proof->days = proof_days_compare(rows, plan->transfer_count, plan->mapping->tolerance);
    free(rows);
}

/* ---- the report -------------------------------------------------------------------------- */

static void differing_print(const struct proof *proof)
{
    const struct proof_days *days = &proof->days;
    uint32_t scale = proof->plan->mapping->scale;
    char text[4][NUMBER_TEXT_BYTES];
    char date[NUMBER_DATE_TEXT_BYTES];
    if (days->differing_count == 0)
        return;
    printf("\n  %-12s  %-10s  %18s  %18s  %14s\n", "account", "date", "bank", "ledger",
           "difference");
    for (uint32_t i = 0; i < days->differing_count && i < LINES_MAX; i++) {
        const struct proof_day *day = &days->differing[i];
        printf("  %-12s  %-10s  %18s  %18s  %14s\n", number_print_id(day->account, text[0]),
               number_print_day(day->day, date),
               number_print_signed(day->bank, scale, true, text[1]),
               number_print_signed(day->expected, scale, true, text[2]),
               number_print_signed(day->bank - day->expected, scale, true, text[3]));
    }
    if (days->differing_count > LINES_MAX)
        printf("  and %u more account-days\n", days->differing_count - LINES_MAX);
}

/* The labelled account with the lowest id above last, or IMPORT_IDS_NONE. */
static uint32_t labelled_next(const struct import_plan *plan, giro_u128 last)
{
    uint32_t next = IMPORT_IDS_NONE;
    for (uint32_t i = 0; i < plan->account_count; i++) {
        const struct import_account *account = &plan->accounts[i];
        if (account->label[0] == 0 || account->account.id <= last)
            continue;
        if (next == IMPORT_IDS_NONE || account->account.id < plan->accounts[next].account.id)
            next = i;
    }
    return next;
}

static void counterparties_print(const struct proof *proof)
{
    const struct import_plan *plan = proof->plan;
    uint32_t scale = plan->mapping->scale;
    char text[4][NUMBER_TEXT_BYTES];
    uint32_t i = labelled_next(plan, 0);
    if (i == IMPORT_IDS_NONE)
        return;
    printf("\n  %-8s  %-34s  %9s  %18s  %18s\n", "account", "counterparty", "transfers", "debits",
           "credits");
    for (; i != IMPORT_IDS_NONE; i = labelled_next(plan, plan->accounts[i].account.id)) {
        const struct giro_account *ledger = &proof->accounts[i];
        printf("  %-8s  %-34s  %9s  %18s  %18s\n",
               number_print_id(plan->accounts[i].account.id, text[0]), plan->accounts[i].label,
               import_count_print(proof->uses[i], text[1]),
               number_print(ledger->debits_posted, scale, true, text[2]),
               number_print(ledger->credits_posted, scale, true, text[3]));
    }
}

static void line_print(const char *name, uint64_t count, const char *meaning)
{
    char text[NUMBER_TEXT_BYTES];
    printf("%-22s %20s  %s\n", name, import_count_print(count, text), meaning);
}

static void books_print(const struct proof *proof)
{
    const struct import_plan *plan = proof->plan;
    uint32_t scale = plan->mapping->scale;
    char text[NUMBER_TEXT_BYTES];
    line_print("transfers", plan->transfer_count, "rows of the files");
    line_print("  missing", proof->transfers_missing, "not in the ledger");
    line_print("  different", proof->transfers_different, "in the ledger with another value");
    line_print("accounts", plan->account_count, "customers and counterparties");
    line_print("  missing", proof->accounts_missing, "not in the ledger");
    line_print("  different", proof->accounts_different,
               "whose balance is not the fold of their transfers");
    printf("%-22s %20s  of all these accounts\n", "debits",
           number_print(proof->debits, scale, true, text));
    printf("%-22s %20s  %s\n", "credits", number_print(proof->credits, scale, true, text),
           proof->debits == proof->credits ? "equal" : "NOT EQUAL: the books do not balance");
}

static void days_print(const struct proof *proof)
{
    const struct proof_days *days = &proof->days;
    uint32_t scale = proof->plan->mapping->scale;
    char meaning[160];
    char text[NUMBER_TEXT_BYTES];
    char date[NUMBER_DATE_TEXT_BYTES];
    line_print("account-days", days->account_days, "days on which an account has transfers");
    (void)snprintf(meaning, sizeof meaning, "the bank's own balance is within %s of the ledger's",
                   number_print_signed(proof->plan->mapping->tolerance, scale, true, text));
    line_print("  agreeing", days->agreeing, meaning);
    (void)snprintf(meaning, sizeof meaning, "expected: no more than %u",
                   proof->plan->mapping->differing_max);
    line_print("  differing", days->differing_count, meaning);
    (void)snprintf(meaning, sizeof meaning, "of these, on %s, the last day of the files",
                   number_print_day(days->last_day, date));
    if (days->differing_last_day > 0)
        line_print("    last day", days->differing_last_day, meaning);
    (void)snprintf(meaning, sizeof meaning,
                   "agree with the ledger's own running balance; it is at most %s away",
                   number_print_signed(days->carried_away_max, scale, true, text));
    line_print("  carried", days->carried_agreeing, meaning);
}

static bool has_balance(const struct proof *proof)
{
    return proof->plan->mapping->sources[FIELD_BALANCE].kind != SOURCE_NONE;
}

static bool verdict_print(const struct proof *proof)
{
    const struct mapping *mapping = proof->plan->mapping;
    const struct proof_days *days = &proof->days;
    bool books = proof->transfers_missing == 0 && proof->transfers_different == 0 &&
                 proof->accounts_missing == 0 && proof->accounts_different == 0 &&
                 proof->debits == proof->credits;
    bool agrees = days->differing_count <= mapping->differing_max &&
                  days->account_days >= mapping->account_days_min;
    char text[3][NUMBER_TEXT_BYTES];
    fputc('\n', stdout);
    if (books && agrees && has_balance(proof)) {
        printf(
            "PROVEN: %s transfers are in the ledger as the bank has them, the books balance, and "
            "%s of %s account-days agree with the bank.\n",
            import_count_print(proof->plan->transfer_count, text[0]),
            import_count_print(days->agreeing, text[1]),
            import_count_print(days->account_days, text[2]));
        return true;
    }
    if (books && agrees) {
        printf("PROVEN: %s transfers are in the ledger as the files have them, and the books "
               "balance. The mapping gives no balance column to compare with.\n",
               import_count_print(proof->plan->transfer_count, text[0]));
        return true;
    }
    printf("NOT PROVEN: %s\n",
           !books ? "the ledger does not hold what the files say; see above"
           : days->differing_count > mapping->differing_max
               ? "more account-days differ from the bank than the mapping's differing_max"
               : "the files have fewer account-days than the mapping's account_days_min");
    return false;
}

/* ---- the command ------------------------------------------------------------------------- */

static void proof_free(struct proof *proof)
{
    free(proof->transfers);
    free(proof->accounts);
    free(proof->folds);
    free(proof->uses);
    free(proof->days.differing);
}

static void *zeroed(uint32_t count, size_t size_bytes)
{
    void *memory = import_memory(NULL, count + 1, size_bytes);
    memset(memory, 0, (count + 1) * size_bytes);
    return memory;
}

static bool proof_run(const struct import_plan *plan, const char *address)
{
    struct giro_client *client;
    struct proof proof = {
        .plan = plan,
        .transfers = zeroed(plan->transfer_count, sizeof *proof.transfers),
        .accounts = zeroed(plan->account_count, sizeof *proof.accounts),
        .folds = zeroed(plan->account_count, sizeof *proof.folds),
        .uses = zeroed(plan->account_count, sizeof *proof.uses),
    };
    bool proven = false;
    bool open = connection_open("proof", address, &client);
    if (open && transfers_lookup(client, &proof) && accounts_lookup(client, &proof)) {
        rows_compare(&proof);
        transfers_fold(&proof);
        accounts_compare(&proof);
        books_print(&proof);
        if (has_balance(&proof)) {
            days_compare(&proof);
            days_print(&proof);
            differing_print(&proof);
        }
        counterparties_print(&proof);
        proven = verdict_print(&proof);
    }
    if (open)
        giro_client_close(client);
    proof_free(&proof);
    return proven;
}

static const char proof_usage[] =
    "usage: giro proof --mapping FILE.ini [--connect HOST:PORT] CSVFILE...\n"
    "\n"
    "Compares the ledger with the files that were imported into it: every transfer, every\n"
    "account's balance, debits with credits, and the bank's own balances day by day.\n"
    "docs/import.md has the rule.\n"
    "\n" CONNECTION_OPTION_HELP "  --mapping FILE.ini    the mapping of the import (required)\n"
    "\n"
    "Exit status: 0 proven, 1 not proven, 2 wrong options.\n";

/* Returns -1 to go on, or an exit status. */
static int options_read(int argc, char **argv, const char **address, const char **mapping)
{
    enum { CONNECT, MAPPING, HELP };
    static const struct option names[] = {
        {"connect", required_argument, NULL, CONNECT},
        {"mapping", required_argument, NULL, MAPPING},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case CONNECT:
            *address = optarg;
            break;
        case MAPPING:
            *mapping = optarg;
            break;
        case HELP:
            fputs(proof_usage, stdout);
            return EXIT_DONE;
        default:
            fputs(proof_usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (*mapping != NULL && optind < argc)
        return -1;
    complain("proof",
             *mapping == NULL ? "give --mapping FILE.ini" : "give the CSV files of the import");
    fputs("giro proof --help tells the options.\n", stderr);
    return EXIT_USAGE;
}

int proof_command(int argc, char **argv)
{
    const char *address = CONNECTION_ADDRESS_DEFAULT;
    const char *mapping_path = NULL;
    char error[MAPPING_ERROR_BYTES];
    struct mapping mapping;
    struct import_plan plan;
    int status = options_read(argc, argv, &address, &mapping_path);
    if (status >= 0)
        return status;
    if (!mapping_load(&mapping, mapping_path, error)) {
        complain("proof", "%s", error);
        return EXIT_FAILED;
    }
    status = EXIT_FAILED;
    if (mapping.kind != MAPPING_TRANSFERS)
        complain("proof", "%s is a mapping of accounts: a proof needs one of transfers",
                 mapping_path);
    else if (import_plan_read(&plan, "proof", &mapping, argv + optind, (uint32_t)(argc - optind),
                              stderr)) {
        status = proof_run(&plan, address) ? EXIT_DONE : EXIT_FAILED;
        import_plan_free(&plan);
    } else {
        import_plan_free(&plan);
    }
    mapping_free(&mapping);
    return status;
}
