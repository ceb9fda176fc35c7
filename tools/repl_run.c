#include "tools/repl_run.h"

#include "tools/import_memory.h"
#include "tools/import_number.h"
#include "tools/repl_help.h"
#include "tools/repl_result.h"
#include "tools/repl_table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ------------------------------------------------------------------------------ */

/* Where a statement stands, for error messages. */
struct place {
    const char *text; /* the whole text */
    size_t size;
    size_t start; /* of the statement */
    const char *source;
    uint32_t first_line;
};

/* Prints the line, a mark under the column, and what is wrong. */
static void error_show(struct repl *repl, const struct place *place, size_t position,
                       const char *what)
{
    size_t at = place->start + position;
    size_t line_start = at;
    size_t line_end = at;
    uint32_t line = place->first_line;
    (void)fflush(repl->out); /* both often go to the same place */
    while (line_start > 0 && place->text[line_start - 1] != '\n')
        line_start--;
    while (line_end < place->size && place->text[line_end] != '\n')
        line_end++;
    for (size_t i = 0; i < line_start; i++)
        line += place->text[i] == '\n';
    fprintf(repl->errors, "  %.*s\n  ", (int)(line_end - line_start), place->text + line_start);
    for (size_t i = line_start; i < at; i++)
        fputc(place->text[i] == '\t' ? '\t' : ' ', repl->errors);
    fputs("^\n", repl->errors);
    if (place->source != NULL)
        fprintf(repl->errors, "%s:%u:", place->source, line);
    else
        fputs("column ", repl->errors);
    fprintf(repl->errors, "%zu: %s\n", at - line_start + 1, what);
}

static bool request_failed(struct repl *repl, const struct place *place, int error)
{
    char text[REPL_ERROR_BYTES];
    const char *advice = giro_error_outcome_unknown(error)
                             ? "; say the same again, with the same ids, to learn what became of it"
                             : "";
    (void)snprintf(text, sizeof text, "%s (%s)%s", giro_error_text(error), giro_error_name(error),
                   advice);
    error_show(repl, place, 0, text);
    return false;
}

/* ---- settings ---------------------------------------------------------------------------- */

static uint32_t scale_of(const struct repl *repl, uint32_t ledger)
{
    uint32_t scale = 0;
    for (uint32_t i = 0; i < repl->scale_count; i++) {
        if (repl->scales[i].ledger == ledger)
            return repl->scales[i].scale;
        if (repl->scales[i].ledger == 0)
            scale = repl->scales[i].scale;
    }
    return scale;
}

static bool scale_set(struct repl *repl, uint32_t ledger, uint32_t scale)
{
    uint32_t i = 0;
    while (i < repl->scale_count && repl->scales[i].ledger != ledger)
        i++;
    if (i == REPL_SCALES_MAX)
        return false;
    repl->scales[i] = (struct repl_scale){ledger, scale};
    repl->scale_count = i == repl->scale_count ? i + 1 : repl->scale_count;
    return true;
}

static void settings_show(const struct repl *repl)
{
    fprintf(repl->out, "thousands %s\n", repl->thousands ? "on" : "off");
    if (repl->scale_count == 0)
        fputs("scale 0\n", repl->out);
    for (uint32_t i = 0; i < repl->scale_count; i++) {
        if (repl->scales[i].ledger == 0)
            fprintf(repl->out, "scale %u\n", repl->scales[i].scale);
        else
            fprintf(repl->out, "scale %u %u\n", repl->scales[i].ledger, repl->scales[i].scale);
    }
}

static bool argument_is(const struct repl_statement *statement, uint32_t index, const char *text)
{
    const struct repl_word *word = &statement->arguments[index];
    return index < statement->argument_count && word->size == strlen(text) &&
           memcmp(word->text, text, word->size) == 0;
}

static bool argument_number(const struct repl_statement *statement, uint32_t index, giro_u128 max,
                            uint32_t *out)
{
    giro_u128 number;
    const struct repl_word *word = &statement->arguments[index];
    if (number_u128(word->text, word->size, &number) != NUMBER_OK || number > max)
        return false;
    *out = (uint32_t)number;
    return true;
}

static bool run_set(struct repl *repl, const struct repl_statement *statement,
                    const struct place *place)
{
    uint32_t ledger = 0;
    uint32_t scale = 0;
    uint32_t count = statement->argument_count;
    bool on = argument_is(statement, 1, "on");
    if (count == 0) {
        settings_show(repl);
        return true;
    }
    if (argument_is(statement, 0, "thousands") && count == 2 &&
        (on || argument_is(statement, 1, "off"))) {
        repl->thousands = on;
        return true;
    }
    if (argument_is(statement, 0, "scale") && (count == 2 || count == 3) &&
        (count == 2 || argument_number(statement, 1, UINT32_MAX, &ledger)) &&
        argument_number(statement, count - 1, NUMBER_SCALE_MAX, &scale)) {
        if (scale_set(repl, ledger, scale))
            return true;
        error_show(repl, place, 0, "scales of too many ledgers: at most 64");
        return false;
    }
    error_show(repl, place, (size_t)(statement->arguments[0].text - place->text) - place->start,
               "write set scale DECIMALS, set scale LEDGER DECIMALS (up to 18), or set thousands "
               "on or off");
    return false;
}

/* ---- creating ---------------------------------------------------------------------------- */

static giro_u128 event_id(const struct repl_statement *statement, uint32_t index)
{
    if (statement->verb == REPL_CREATE_ACCOUNTS)
        return statement->records.accounts[index].id;
    return statement->records.transfers[index].id;
}

static void new_ids_show(const struct repl *repl, const struct repl_statement *statement)
{
    char id[NUMBER_TEXT_BYTES];
    for (uint32_t i = 0; i < statement->count; i++) {
        if (statement->id_is_new[i])
            fprintf(repl->out, "new id %s\n", number_print_id(event_id(statement, i), id));
    }
}

static void refusal_show(const struct repl *repl, const struct repl_statement *statement,
                         const struct giro_result *result)
{
    bool accounts = statement->verb == REPL_CREATE_ACCOUNTS;
    char id[NUMBER_TEXT_BYTES];
    fprintf(repl->out, "  %u. id %s: %s\n     %s\n", result->index + 1,
            number_print_id(event_id(statement, result->index), id),
            accounts ? giro_account_result_name(result->code)
                     : giro_transfer_result_name(result->code),
            accounts ? repl_account_result_text(result->code)
                     : repl_transfer_result_text(result->code));
}

static bool run_create(struct repl *repl, const struct repl_statement *statement,
                       const struct place *place)
{
    bool accounts = statement->verb == REPL_CREATE_ACCOUNTS;
    struct giro_created created;
    struct giro_result *results = import_memory(NULL, statement->count, sizeof *results);
    new_ids_show(repl, statement);
    int error = accounts ? giro_create_accounts(repl->client, statement->records.accounts,
                                                statement->count, results, &created)
                         : giro_create_transfers(repl->client, statement->records.transfers,
                                                 statement->count, results, &created);
    if (error != 0) {
        free(results);
        return request_failed(repl, place, error);
    }
    fprintf(repl->out, "%u of %u %s created\n", statement->count - created.result_count,
            statement->count, accounts ? "accounts" : "transfers");
    for (uint32_t i = 0; i < created.result_count; i++)
        refusal_show(repl, statement, &results[i]);
    free(results);
    return created.result_count == created.exists_count;
}

/* ---- looking up -------------------------------------------------------------------------- */

static void cell_amount(const struct repl *repl, struct repl_table *table, giro_u128 amount,
                        uint32_t ledger)
{
    char text[NUMBER_TEXT_BYTES];
    repl_table_cell(table, number_print(amount, scale_of(repl, ledger), repl->thousands, text));
}

static void cell_number(struct repl_table *table, giro_u128 number)
{
    char text[NUMBER_TEXT_BYTES];
    repl_table_cell(table, number_print(number, 0, false, text));
}

static void cell_id(struct repl_table *table, giro_u128 id)
{
    char text[NUMBER_TEXT_BYTES];
    repl_table_cell(table, number_print_id(id, text));
}

static void cell_timestamp(struct repl_table *table, uint64_t timestamp)
{
    char text[NUMBER_TIMESTAMP_TEXT_BYTES];
    repl_table_cell(table, number_print_timestamp(timestamp, text));
}

static void cell_flags(struct repl_table *table, enum repl_verb verb, uint16_t flags)
{
    char text[256];
    repl_table_cell(table, repl_flags_print(repl_verb_flags(verb), flags, text, sizeof text));
}

static void accounts_show(const struct repl *repl, const struct giro_account *accounts,
                          uint32_t count)
{
    static const struct repl_column columns[] = {
        {"id", false, true},
        {"ledger", false, true},
        {"code", false, true},
        {"debits_posted", false, true},
        {"credits_posted", false, true},
        {"debits_pending", false, false},
        {"credits_pending", false, false},
        {"user_data_128", false, false},
        {"user_data_64", false, false},
        {"user_data_32", false, false},
        {"flags", true, false},
        {"timestamp", true, true},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_account *account = &accounts[i];
        bool pending = account->debits_pending != 0 || account->credits_pending != 0;
        cell_id(&table, account->id);
        cell_number(&table, account->ledger);
        cell_number(&table, account->code);
        cell_amount(repl, &table, account->debits_posted, account->ledger);
        cell_amount(repl, &table, account->credits_posted, account->ledger);
        if (pending) {
            cell_amount(repl, &table, account->debits_pending, account->ledger);
            cell_amount(repl, &table, account->credits_pending, account->ledger);
        } else {
            repl_table_cell(&table, "0");
            repl_table_cell(&table, "0");
        }
        cell_number(&table, account->user_data_128);
        cell_number(&table, account->user_data_64);
        cell_number(&table, account->user_data_32);
        cell_flags(&table, REPL_CREATE_ACCOUNTS, account->flags);
        cell_timestamp(&table, account->timestamp);
    }
    repl_table_end(&table, repl->out);
}

static void transfers_show(const struct repl *repl, const struct giro_transfer *transfers,
                           uint32_t count)
{
    static const struct repl_column columns[] = {
        {"id", false, true},
        {"debit_account_id", false, true},
        {"credit_account_id", false, true},
        {"amount", false, true},
        {"ledger", false, true},
        {"code", false, true},
        {"pending_id", false, false},
        {"timeout", false, false},
        {"user_data_128", false, false},
        {"user_data_64", false, false},
        {"user_data_32", false, false},
        {"flags", true, false},
        {"timestamp", true, true},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_transfer *transfer = &transfers[i];
        cell_id(&table, transfer->id);
        cell_id(&table, transfer->debit_account_id);
        cell_id(&table, transfer->credit_account_id);
        cell_amount(repl, &table, transfer->amount, transfer->ledger);
        cell_number(&table, transfer->ledger);
        cell_number(&table, transfer->code);
        cell_id(&table, transfer->pending_id);
        cell_number(&table, transfer->timeout);
        cell_number(&table, transfer->user_data_128);
        cell_number(&table, transfer->user_data_64);
        cell_number(&table, transfer->user_data_32);
        cell_flags(&table, REPL_CREATE_TRANSFERS, transfer->flags);
        cell_timestamp(&table, transfer->timestamp);
    }
    repl_table_end(&table, repl->out);
}

/* Names the ids that were asked for and are not among those found. Replies keep the order. */
static void missing_show(const struct repl *repl, const struct repl_statement *statement,
                         const void *found, uint32_t found_count)
{
    uint32_t at = 0;
    char text[NUMBER_TEXT_BYTES];
    for (uint32_t i = 0; i < statement->count; i++) {
        giro_u128 id = statement->records.ids[i];
        giro_u128 found_id = 0;
        if (at < found_count)
            memcpy(&found_id, (const char *)found + (size_t)at * GIRO_RECORD_BYTES,
                   sizeof found_id);
        if (at < found_count && found_id == id)
            at++;
        else
            fprintf(repl->out, "%s %s does not exist\n",
                    statement->verb == REPL_LOOKUP_ACCOUNTS ? "account" : "transfer",
                    number_print_id(id, text));
    }
}

static bool run_lookup(struct repl *repl, const struct repl_statement *statement,
                       const struct place *place)
{
    bool accounts = statement->verb == REPL_LOOKUP_ACCOUNTS;
    uint32_t found = 0;
    void *records = aligned_alloc(16, (size_t)statement->count * GIRO_RECORD_BYTES);
    assert(records != NULL);
    int error = accounts ? giro_lookup_accounts(repl->client, statement->records.ids,
                                                statement->count, records, &found)
                         : giro_lookup_transfers(repl->client, statement->records.ids,
                                                 statement->count, records, &found);
    if (error == 0 && accounts)
        accounts_show(repl, records, found);
    else if (error == 0)
        transfers_show(repl, records, found);
    if (error == 0)
        missing_show(repl, statement, records, found);
    free(records);
    return error == 0 ? true : request_failed(repl, place, error);
}

static bool run_stats(struct repl *repl, const struct place *place)
{
    struct giro_server_stats stats;
    int error = giro_stats(repl->client, &stats);
    if (error != 0)
        return request_failed(repl, place, error);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"accounts", stats.accounts},
        {"transfers", stats.transfers},
        {"open pending transfers", stats.holds_open},
        {"bytes of log", stats.log_bytes},
        {"blocks written since start", stats.blocks_written},
        {"requests since start", stats.requests},
        {"events since start", stats.events},
        {"events rejected since start", stats.events_rejected},
        {"old records read from disk", stats.records_fetched},
        {"bytes of transfer index", stats.memory_index_bytes},
        {"connections open", stats.connections},
        {"connections since start", stats.connections_accepted},
        {"connections timed out", stats.connections_timed_out},
        {"damaged frames", stats.frames_bad},
    };
    char text[NUMBER_TEXT_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fprintf(repl->out, "%-28s %20s\n", rows[i].name,
                number_print(rows[i].value, 0, repl->thousands, text));
    if (stats.storage_full != 0)
        fputs("the disk is full: writes are refused until there is room\n", repl->out);
    return true;
}

/* ---- statements -------------------------------------------------------------------------- */

static bool run_help(struct repl *repl, const struct repl_statement *statement,
                     const struct place *place)
{
    char error[REPL_ERROR_BYTES];
    const struct repl_word *topic = statement->argument_count > 0 ? statement->arguments : NULL;
    if (repl_help(topic, repl->out, error))
        return true;
    assert(topic != NULL); /* the overview is always there */
    error_show(repl, place, (size_t)(topic->text - place->text) - place->start, error);
    return false;
}

static bool statement_run(struct repl *repl, const struct repl_statement *statement,
                          const struct place *place)
{
    switch (statement->verb) {
    case REPL_CREATE_ACCOUNTS:
    case REPL_CREATE_TRANSFERS:
        return run_create(repl, statement, place);
    case REPL_LOOKUP_ACCOUNTS:
    case REPL_LOOKUP_TRANSFERS:
        return run_lookup(repl, statement, place);
    case REPL_STATS:
        return run_stats(repl, place);
    case REPL_SET:
        return run_set(repl, statement, place);
    case REPL_HELP:
        return run_help(repl, statement, place);
    default:
        repl->ended = true;
        return true;
    }
}

bool repl_run(struct repl *repl, const char *text, size_t size, const char *source,
              uint32_t first_line, bool go_on)
{
    bool all_good = true;
    for (size_t at = 0; at < size && !repl->ended;) {
        bool closed;
        size_t length = repl_statement_end(text + at, size - at, &closed);
        struct place place = {text, size, at, source, first_line};
        struct repl_statement statement;
        struct repl_error error;
        if (!repl_statement_empty(text + at, length)) {
            bool good = repl_parse(text + at, length, &statement, &error);
            if (good) {
                while (place.start < size && strchr(" \t\r\n", text[place.start]) != NULL)
                    place.start++; /* messages about the whole statement point at its first word */
                good = statement_run(repl, &statement, &place);
                repl_statement_free(&statement);
            } else {
                error_show(repl, &place, error.position, error.text);
            }
            all_good = all_good && good;
            if (!good && !go_on)
                return false;
        }
        at += length + (closed ? 1 : 0);
    }
    (void)fflush(repl->out);
    return all_good;
}
