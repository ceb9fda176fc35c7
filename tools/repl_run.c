#include "tools/repl_run.h"

#include "tools/import_memory.h"
#include "tools/import_number.h"
#include "tools/repl_help.h"
#include "tools/repl_objects.h"
#include "tools/repl_result.h"
#include "tools/repl_show.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings ---------------------------------------------------------------------------- */

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
    char key[NUMBER_TEXT_BYTES];
    fprintf(repl->out, "thousands %s\n", repl->thousands ? "on" : "off");
    if (repl->fence.token != 0)
        fprintf(repl->out, "fence %s %" PRIu64 "\n", number_print_id(repl->fence.key, key),
                repl->fence.token);
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
                    const struct repl_place *place)
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
        repl_error_show(repl, place, 0, "scales of too many ledgers: at most 64");
        return false;
    }
    const char *error = "write set scale DECIMALS, set scale LEDGER DECIMALS (up to 18), set "
                        "thousands on or off, or set fence KEY, set fence KEY TOKEN or set fence "
                        "off";
    if (argument_is(statement, 0, "fence") && repl_fence_set(repl, statement, &error))
        return true;
    repl_error_show(repl, place,
                    (size_t)(statement->arguments[0].text - place->text) - place->start, error);
    return false;
}

/* ---- creating ---------------------------------------------------------------------------- */

static giro_u128 event_id(const struct repl_statement *statement, uint32_t index)
{
    if (statement->verb == REPL_CREATE_ACCOUNTS)
        return statement->records.accounts[index].id;
    if (statement->verb == REPL_CUT_OFF)
        return statement->records.cut_offs[index].ledger;
    if (statement->verb == REPL_SET_LIMITS)
        return statement->records.limits[index].account_id;
    if (statement->verb == REPL_CREATE_SCHEDULES)
        return statement->records.schedules[index].id;
    if (statement->verb == REPL_CANCEL_SCHEDULES)
        return statement->records.ids[index];
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
    const char *name = giro_transfer_result_name(result->code);
    const char *text = repl_transfer_result_text(result->code);
    const char *what = "id";
    char id[NUMBER_TEXT_BYTES];
    if (statement->verb == REPL_CREATE_ACCOUNTS) {
        name = giro_account_result_name(result->code);
        text = repl_account_result_text(result->code);
    } else if (statement->verb == REPL_CUT_OFF) {
        what = "ledger";
        name = giro_cut_off_result_name(result->code);
        text = repl_cut_off_result_text(result->code);
    } else if (statement->verb == REPL_SET_LIMITS) {
        name = giro_limits_result_name(result->code);
        text = repl_limits_result_text(result->code);
    } else if (statement->verb == REPL_CREATE_SCHEDULES ||
               statement->verb == REPL_CANCEL_SCHEDULES) {
        name = giro_schedule_result_name(result->code);
        text = repl_schedule_result_text(result->code);
    }
    fprintf(repl->out, "  %u. %s %s: %s\n     %s\n", result->index + 1, what,
            number_print_id(event_id(statement, result->index), id), name, text);
}

static struct giro_request create_request(const struct repl *repl,
                                          const struct repl_statement *statement,
                                          const char **out_what)
{
    struct giro_request request = {.count = statement->count, .events.any = statement->records.any};
    switch (statement->verb) {
    case REPL_CREATE_ACCOUNTS:
        request.operation = GIRO_CREATE_ACCOUNTS;
        *out_what = "accounts created";
        break;
    case REPL_CUT_OFF:
        request.operation = GIRO_CUT_OFF;
        *out_what = "epochs ended";
        break;
    case REPL_SET_LIMITS:
        request.operation = GIRO_SET_LIMITS;
        *out_what = "accounts have these limits now";
        break;
    case REPL_CREATE_SCHEDULES:
        request.operation = GIRO_CREATE_SCHEDULES;
        *out_what = "schedules created";
        break;
    case REPL_CANCEL_SCHEDULES:
        request.operation = GIRO_CANCEL_SCHEDULES;
        *out_what = "schedules cancelled";
        break;
    default:
        request.operation = GIRO_CREATE_TRANSFERS;
        request.fence = repl->fence.token != 0 ? &repl->fence : NULL;
        *out_what = "transfers created";
        break;
    }
    return request;
}

static bool run_create(struct repl *repl, const struct repl_statement *statement,
                       const struct repl_place *place)
{
    const char *what;
    struct giro_request request = create_request(repl, statement, &what);
    request.output.results = import_memory(NULL, statement->count, sizeof *request.output.results);
    new_ids_show(repl, statement);
    int error = giro_call(repl->client, &request);
    if (error != 0) {
        free(request.output.results);
        return repl_request_failed(repl, place, error);
    }
    fprintf(repl->out, "%u of %u %s\n", statement->count - request.result_count, statement->count,
            what);
    for (uint32_t i = 0; i < request.result_count; i++)
        refusal_show(repl, statement, &request.output.results[i]);
    free(request.output.results);
    return request.result_count == request.exists_count;
}

/* ---- looking up -------------------------------------------------------------------------- */

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
        repl_cell_id(&table, account->id);
        repl_cell_number(&table, account->ledger);
        repl_cell_number(&table, account->code);
        repl_cell_amount(repl, &table, account->debits_posted, account->ledger);
        repl_cell_amount(repl, &table, account->credits_posted, account->ledger);
        if (pending) {
            repl_cell_amount(repl, &table, account->debits_pending, account->ledger);
            repl_cell_amount(repl, &table, account->credits_pending, account->ledger);
        } else {
            repl_table_cell(&table, "0");
            repl_table_cell(&table, "0");
        }
        repl_cell_number(&table, account->user_data_128);
        repl_cell_number(&table, account->user_data_64);
        repl_cell_number(&table, account->user_data_32);
        repl_cell_flags(&table, REPL_CREATE_ACCOUNTS, account->flags);
        repl_cell_timestamp(&table, account->timestamp);
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
        repl_cell_id(&table, transfer->id);
        repl_cell_id(&table, transfer->debit_account_id);
        repl_cell_id(&table, transfer->credit_account_id);
        repl_cell_amount(repl, &table, transfer->amount, transfer->ledger);
        repl_cell_number(&table, transfer->ledger);
        repl_cell_number(&table, transfer->code);
        repl_cell_id(&table, transfer->pending_id);
        repl_cell_number(&table, transfer->timeout);
        repl_cell_number(&table, transfer->user_data_128);
        repl_cell_number(&table, transfer->user_data_64);
        repl_cell_number(&table, transfer->user_data_32);
        repl_cell_flags(&table, REPL_CREATE_TRANSFERS, transfer->flags);
        repl_cell_timestamp(&table, transfer->timestamp);
    }
    repl_table_end(&table, repl->out);
}

static void payments_show(const struct repl *repl, const struct giro_payment *payments,
                          uint32_t count)
{
    static const char *const states[] = {
        [GIRO_PAYMENT_PENDING] = "pending",
        [GIRO_PAYMENT_POSTED] = "posted",
        [GIRO_PAYMENT_VOIDED] = "voided",
        [GIRO_PAYMENT_EXPIRED] = "expired",
    };
    static const struct repl_column columns[] = {
        {"id", false, true},        {"state", true, true},     {"amount", false, true},
        {"captured", false, false}, {"left", false, false},    {"returned", false, false},
        {"origin", false, false},   {"depth", false, false},   {"marks", true, false},
        {"deadline", true, false},  {"timestamp", true, true},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_payment *payment = &payments[i];
        bool known = payment->state < sizeof states / sizeof states[0] && payment->state != 0;
        repl_cell_id(&table, payment->id);
        repl_table_cell(&table, known ? states[payment->state] : "unknown");
        repl_cell_amount(repl, &table, payment->amount, payment->ledger);
        repl_cell_amount_or_0(repl, &table, payment->captured, payment->ledger);
        repl_cell_amount_or_0(repl, &table, payment->left, payment->ledger);
        repl_cell_amount_or_0(repl, &table, payment->returned, payment->ledger);
        repl_cell_id(&table, payment->origin);
        repl_cell_number(&table, payment->depth);
        repl_cell_marks(&table, payment->marks);
        repl_cell_timestamp_or_none(&table, payment->deadline);
        repl_cell_timestamp(&table, payment->timestamp);
    }
    repl_table_end(&table, repl->out);
}

/* The ledger tells how amounts are shown, and limits do not come with it. 0: not known. */
static uint32_t ledger_of(const struct repl *repl, giro_u128 account_id)
{
    struct giro_account account;
    uint32_t found = 0;
    if (repl->scale_count == 0 ||
        giro_lookup_accounts(repl->client, &account_id, 1, &account, &found) != 0 || found == 0)
        return 0;
    return account.ledger;
}

/* What a slot counts: amounts are shown as those of the ledger are, numbers of transfers as they
 * are. */
static char *measure_print(const struct repl *repl, const struct giro_velocity *rule,
                           uint64_t value, uint32_t ledger, char out[NUMBER_TEXT_BYTES])
{
    bool amounts = (rule->flags & GIRO_VELOCITY_AMOUNT) != 0;
    return number_print(value, amounts ? repl_scale_of(repl, ledger) : 0, repl->thousands, out);
}

/* Slots as set_limits takes them; the last ones that are not used are left out. */
static void cells_velocity(const struct repl *repl, struct repl_table *table,
                           const struct giro_limits *limits, uint32_t ledger)
{
    char text[REPL_VELOCITY_BYTES];
    char maximum[NUMBER_TEXT_BYTES];
    uint32_t used = GIRO_VELOCITY_SLOTS;
    while (used > 0 && limits->velocity[used - 1].window == GIRO_WINDOW_NONE)
        used--;
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        const struct giro_velocity *rule = &limits->velocity[s];
        (void)measure_print(repl, rule, limits->velocity_max[s], ledger, maximum);
        (void)repl_velocity_print(rule, maximum, text);
        repl_table_cell(table, s < used && text[0] == 0 ? "none" : text);
    }
}

static void limits_show(const struct repl *repl, const struct giro_limits *limits, uint32_t count)
{
    static const struct repl_column columns[] = {
        {"account_id", false, true},    {"floor", false, false},
        {"balance_max", false, false},  {"transfer_max", false, false},
        {"over_capture", false, false}, {"flags", true, false},
        {"velocity", true, false},      {"velocity", true, false},
        {"velocity", true, false},      {"velocity", true, false},
        {"timestamp", true, true},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t ledger = ledger_of(repl, limits[i].account_id);
        repl_cell_id(&table, limits[i].account_id);
        repl_cell_amount_or_0(repl, &table, limits[i].floor, ledger);
        repl_cell_amount_or_0(repl, &table, limits[i].balance_max, ledger);
        repl_cell_amount_or_0(repl, &table, limits[i].transfer_max, ledger);
        repl_cell_number(&table, limits[i].over_capture);
        repl_cell_flags(&table, REPL_SET_LIMITS, limits[i].flags);
        cells_velocity(repl, &table, &limits[i], ledger);
        repl_cell_timestamp(&table, limits[i].timestamp);
    }
    repl_table_end(&table, repl->out);
}

/* A row for each slot that is used. Returns whether there is one. */
static bool velocity_rows(const struct repl *repl, struct repl_table *table,
                          const struct giro_velocity_used *velocity,
                          const struct giro_limits *limits)
{
    bool any = false;
    char text[REPL_VELOCITY_BYTES];
    char number[NUMBER_TEXT_BYTES];
    const uint32_t ledger = ledger_of(repl, velocity->account_id);
    for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
        const struct giro_velocity *rule = &limits->velocity[s];
        if (rule->window == GIRO_WINDOW_NONE)
            continue;
        any = true;
        repl_cell_id(table, velocity->account_id);
        repl_cell_number(table, s);
        repl_table_cell(table, repl_velocity_print(rule, NULL, text));
        repl_table_cell(table, measure_print(repl, rule, velocity->used[s], ledger, number));
        repl_table_cell(table, measure_print(repl, rule, velocity->maximum[s], ledger, number));
        repl_cell_timestamp_or_none(table, velocity->end[s]);
        repl_cell_timestamp(table, velocity->timestamp);
    }
    return any;
}

/* limits: of these accounts, and perhaps of some more, in the same order. They tell what the slots
 * count. */
static void velocities_show(const struct repl *repl, const struct giro_velocity_used *velocities,
                            uint32_t count, const struct giro_limits *limits, uint32_t limits_count)
{
    static const struct repl_column columns[] = {
        {"account_id", false, true}, {"slot", false, true},    {"velocity", true, true},
        {"used", false, true},       {"maximum", false, true}, {"end", true, false},
        {"timestamp", true, true},
    };
    struct repl_table table;
    char text[NUMBER_TEXT_BYTES];
    uint32_t at = 0;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        while (at < limits_count && limits[at].account_id != velocities[i].account_id)
            at++;
        if (at == limits_count || !velocity_rows(repl, &table, &velocities[i], &limits[at]))
            fprintf(repl->out, "account %s has no velocity limits\n",
                    number_print_id(velocities[i].account_id, text));
    }
    repl_table_end(&table, repl->out);
}

static int velocities_get(const struct repl *repl, const struct repl_statement *statement,
                          struct giro_velocity_used *velocities, uint32_t *out_found)
{
    uint32_t limits_count = 0;
    const giro_u128 *ids = statement->records.ids;
    struct giro_limits *limits =
        aligned_alloc(16, (size_t)statement->count * sizeof(struct giro_limits));
    assert(limits != NULL);
    /* In this order: an account that got its first limits in between has some in the second. */
    int error = giro_get_velocity(repl->client, ids, statement->count, velocities, out_found);
    if (error == 0)
        error = giro_get_limits(repl->client, ids, statement->count, limits, &limits_count);
    if (error == 0)
        velocities_show(repl, velocities, *out_found, limits, limits_count);
    free(limits);
    return error;
}

static void settlements_show(const struct repl *repl, const struct giro_settlement *settlements,
                             uint32_t count)
{
    static const struct repl_column columns[] = {
        {"account_id", false, true},     {"ledger", false, true},
        {"epoch", false, true},          {"debits", false, true},
        {"credits", false, true},        {"count", false, true},
        {"debits_before", false, false}, {"credits_before", false, false},
        {"count_before", false, false},  {"begin", true, false},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_settlement *row = &settlements[i];
        repl_cell_id(&table, row->account_id);
        repl_cell_number(&table, row->ledger);
        repl_cell_number(&table, row->epoch);
        repl_cell_amount(repl, &table, row->debits, row->ledger);
        repl_cell_amount(repl, &table, row->credits, row->ledger);
        repl_cell_number(&table, row->count);
        repl_cell_amount_or_0(repl, &table, row->debits_before, row->ledger);
        repl_cell_amount_or_0(repl, &table, row->credits_before, row->ledger);
        repl_cell_number(&table, row->count_before);
        repl_cell_timestamp_or_none(&table, row->begin);
    }
    repl_table_end(&table, repl->out);
}

/* What an id is of that a lookup has not found, and what there is to say of it. */
static void missing_words(enum repl_verb verb, const char **what, const char **text)
{
    *text = "does not exist";
    switch (verb) {
    case REPL_LOOKUP_ACCOUNTS:
        *what = "account";
        break;
    case REPL_GET_LIMITS:
    case REPL_GET_VELOCITY:
        *what = "account";
        *text = "has no limits";
        break;
    case REPL_GET_SETTLEMENTS:
        *what = "account";
        *text = "does not settle";
        break;
    case REPL_LOOKUP_PAYMENTS:
        *what = "payment"; /* it may be a transfer all the same: a void, say */
        break;
    case REPL_GET_LEASES:
        *what = "lease";
        *text = "is nobody's";
        break;
    case REPL_GET_SCHEDULES:
    case REPL_WAIT_SCHEDULES:
        *what = "schedule";
        break;
    default:
        *what = "transfer";
        break;
    }
}

static size_t found_bytes(enum repl_verb verb)
{
    return verb == REPL_GET_SCHEDULES || verb == REPL_WAIT_SCHEDULES ? sizeof(struct giro_schedule)
                                                                     : GIRO_RECORD_BYTES;
}

/* Names the ids that were asked for and are not among those found. Replies keep the order. */
static void missing_show(const struct repl *repl, const struct repl_statement *statement,
                         const void *found, uint32_t found_count)
{
    uint32_t at = 0;
    char id_text[NUMBER_TEXT_BYTES];
    const char *what;
    const char *text;
    missing_words(statement->verb, &what, &text);
    for (uint32_t i = 0; i < statement->count; i++) {
        giro_u128 id = statement->records.ids[i];
        giro_u128 found_id = 0;
        if (at < found_count)
            memcpy(&found_id, (const char *)found + at * found_bytes(statement->verb),
                   sizeof found_id);
        if (at < found_count && found_id == id)
            at++;
        else
            fprintf(repl->out, "%s %s %s\n", what, number_print_id(id, id_text), text);
    }
}

static int schedules_get(const struct repl *repl, const struct repl_statement *statement,
                         struct giro_schedule *schedules, uint32_t *out_found)
{
    const giro_u128 *ids = statement->records.ids;
    int error = statement->verb == REPL_WAIT_SCHEDULES
                    ? repl_schedules_wait(repl, ids, statement->count, schedules, out_found)
                    : giro_get_schedules(repl->client, ids, statement->count, schedules, out_found);
    if (error == 0)
        repl_schedules_show(repl, schedules, *out_found);
    return error;
}

static bool run_lookup(struct repl *repl, const struct repl_statement *statement,
                       const struct repl_place *place)
{
    const giro_u128 *ids = statement->records.ids;
    uint32_t found = 0;
    void *records = aligned_alloc(16, statement->count * found_bytes(statement->verb));
    assert(records != NULL);
    int error = 0;
    switch (statement->verb) {
    case REPL_LOOKUP_ACCOUNTS:
        error = giro_lookup_accounts(repl->client, ids, statement->count, records, &found);
        if (error == 0)
            accounts_show(repl, records, found);
        break;
    case REPL_GET_SETTLEMENTS:
        error = giro_get_settlements(repl->client, ids, statement->count, records, &found);
        if (error == 0)
            settlements_show(repl, records, found);
        break;
    case REPL_GET_LIMITS:
        error = giro_get_limits(repl->client, ids, statement->count, records, &found);
        if (error == 0)
            limits_show(repl, records, found);
        break;
    case REPL_GET_VELOCITY:
        error = velocities_get(repl, statement, records, &found);
        break;
    case REPL_GET_LEASES:
        error = giro_get_leases(repl->client, ids, statement->count, records, &found);
        if (error == 0)
            repl_leases_show(repl, records, found);
        break;
    case REPL_GET_SCHEDULES:
    case REPL_WAIT_SCHEDULES:
        error = schedules_get(repl, statement, records, &found);
        break;
    case REPL_LOOKUP_PAYMENTS:
        error = giro_lookup_payments(repl->client, ids, statement->count, records, &found);
        if (error == 0)
            payments_show(repl, records, found);
        break;
    default:
        error = giro_lookup_transfers(repl->client, ids, statement->count, records, &found);
        if (error == 0)
            transfers_show(repl, records, found);
        break;
    }
    if (error == 0)
        missing_show(repl, statement, records, found);
    free(records);
    return error == 0 ? true : repl_request_failed(repl, place, error);
}

/* ---- queries ----------------------------------------------------------------------------- */

static void balances_show(const struct repl *repl, const struct giro_account_balance *balances,
                          uint32_t count, uint32_t ledger)
{
    static const struct repl_column columns[] = {
        {"debits_posted", false, true},   {"credits_posted", false, true},
        {"debits_pending", false, false}, {"credits_pending", false, false},
        {"timestamp", true, true},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        const struct giro_balances *balance = &balances[i].balances;
        repl_cell_amount(repl, &table, balance->debits_posted, ledger);
        repl_cell_amount(repl, &table, balance->credits_posted, ledger);
        repl_cell_amount_or_0(repl, &table, balance->debits_pending, ledger);
        repl_cell_amount_or_0(repl, &table, balance->credits_pending, ledger);
        repl_cell_timestamp(&table, balances[i].timestamp);
    }
    repl_table_end(&table, repl->out);
}

/* Says how to go on when a page is full and its end is not the end of what was asked for. */
static void next_page_show(const struct repl *repl, uint64_t last, uint64_t min, uint64_t max,
                           bool reversed)
{
    if (reversed && last > 1 && last > min)
        fprintf(repl->out, "the limit is reached: go on with timestamp_max=%" PRIu64 "\n",
                last - 1);
    else if (!reversed && last < GIRO_TIMESTAMP_MAX && (max == 0 || last < max))
        fprintf(repl->out, "the limit is reached: go on with timestamp_min=%" PRIu64 "\n",
                last + 1);
}

static uint64_t last_timestamp(const struct giro_request *request)
{
    uint32_t last = request->result_count - 1;
    switch (request->operation) {
    case GIRO_GET_ACCOUNT_BALANCES:
        return request->output.balances[last].timestamp;
    case GIRO_QUERY_ACCOUNTS:
        return request->output.accounts[last].timestamp;
    default:
        return request->output.transfers[last].timestamp;
    }
}

static void found_show(const struct repl *repl, const struct giro_request *request)
{
    const struct giro_account_filter *account = request->events.account_filter;
    const struct giro_query_filter *query = request->events.query_filter;
    const uint32_t count = request->result_count;
    bool of_account = false;
    if (count == 0) {
        fputs("nothing found\n", repl->out);
        return;
    }
    switch (request->operation) {
    case GIRO_GET_ACCOUNT_BALANCES:
        balances_show(repl, request->output.balances, count, ledger_of(repl, account->account_id));
        of_account = true;
        break;
    case GIRO_QUERY_ACCOUNTS:
        accounts_show(repl, request->output.accounts, count);
        break;
    default:
        transfers_show(repl, request->output.transfers, count);
        of_account = request->operation == GIRO_GET_ACCOUNT_TRANSFERS;
        break;
    }
    if (of_account && count == account->limit)
        next_page_show(repl, last_timestamp(request), account->timestamp_min,
                       account->timestamp_max,
                       (account->flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0);
    else if (!of_account && count == query->limit)
        next_page_show(repl, last_timestamp(request), query->timestamp_min, query->timestamp_max,
                       (query->flags & GIRO_QUERY_FILTER_REVERSED) != 0);
}

static bool run_query(struct repl *repl, const struct repl_statement *statement,
                      const struct repl_place *place)
{
    struct giro_request request = {.count = 1, .events.any = statement->records.any};
    switch (statement->verb) {
    case REPL_GET_ACCOUNT_TRANSFERS:
        request.operation = GIRO_GET_ACCOUNT_TRANSFERS;
        break;
    case REPL_GET_ACCOUNT_BALANCES:
        request.operation = GIRO_GET_ACCOUNT_BALANCES;
        break;
    case REPL_QUERY_ACCOUNTS:
        request.operation = GIRO_QUERY_ACCOUNTS;
        break;
    default:
        request.operation = GIRO_QUERY_TRANSFERS;
        break;
    }
    /* Room for the largest reply: the server refuses a limit beyond it. */
    request.output.any = aligned_alloc(16, (size_t)GIRO_QUERY_LIMIT_MAX * GIRO_RECORD_BYTES);
    assert(request.output.any != NULL);
    int error = giro_call(repl->client, &request);
    if (error == 0)
        found_show(repl, &request);
    free(request.output.any);
    return error == 0 ? true : repl_query_failed(repl, place, &request, error);
}

/* ---- changes ----------------------------------------------------------------------------- */

static void cell_kind(struct repl_table *table, uint32_t kind)
{
    const char *name = repl_change_kind_name(kind);
    if (name != NULL)
        repl_table_cell(table, name);
    else
        repl_cell_number(table, kind); /* of a server that knows more */
}

static void cells_balances(const struct repl *repl, struct repl_table *table,
                           const struct giro_balances *balances, uint32_t ledger)
{
    repl_cell_amount_or_0(repl, table, balances->debits_posted, ledger);
    repl_cell_amount_or_0(repl, table, balances->credits_posted, ledger);
    repl_cell_amount_or_0(repl, table, balances->debits_pending, ledger);
    repl_cell_amount_or_0(repl, table, balances->credits_pending, ledger);
}

/* Where a change has its id, all others have theirs, and its time as well. */
_Static_assert(
    offsetof(struct giro_lease, timestamp) == offsetof(struct giro_transfer, timestamp) &&
        offsetof(struct giro_schedule, timestamp) == offsetof(struct giro_transfer, timestamp) &&
        offsetof(struct giro_firing, timestamp) == offsetof(struct giro_transfer, timestamp),
    "change layout");

static bool change_moves(uint32_t kind)
{
    return kind >= GIRO_CHANGE_TRANSFER_CREATED && kind <= GIRO_CHANGE_PENDING_EXPIRED;
}

/* An account is shown in the columns of the debit account, of its limits nothing but whose they are:
 * get_limits shows them. A cut-off is shown as an account whose id is the epoch that ended. */
static void cells_change(const struct repl *repl, struct repl_table *table,
                         const struct giro_change *change)
{
    static const struct giro_transfer nothing;
    char detail[REPL_DETAIL_BYTES];
    const bool moves = change_moves(change->kind);
    const struct giro_transfer *transfer = moves ? &change->record.transfer : &nothing;
    uint32_t ledger = transfer->ledger;
    if (change->kind == GIRO_CHANGE_ACCOUNT_CREATED)
        ledger = change->record.account.ledger;
    else if (change->kind == GIRO_CHANGE_CUT_OFF)
        ledger = change->record.cut_off.ledger;
    repl_cell_number(table, change->ordinal);
    cell_kind(table, change->kind);
    repl_cell_id(table, change->record.transfer.id);
    repl_table_cell(table, repl_change_detail(change, detail));
    repl_cell_id(table, transfer->debit_account_id);
    repl_cell_id(table, transfer->credit_account_id);
    repl_cell_amount_or_0(repl, table, transfer->amount, ledger);
    repl_cell_number(table, ledger);
    repl_cell_id(table, transfer->pending_id);
    repl_cell_marks(table, change->marks);
    cells_balances(repl, table, &change->debit, ledger);
    cells_balances(repl, table, &change->credit, ledger);
    repl_cell_timestamp(table, change->record.transfer.timestamp);
}

static void changes_show(const struct repl *repl, const struct giro_change *changes,
                         const struct giro_changes *read)
{
    static const struct repl_column columns[] = {
        {"ordinal", false, true},
        {"change", true, true},
        {"id", false, true},
        {"detail", true, false},
        {"debit_account_id", false, false},
        {"credit_account_id", false, false},
        {"amount", false, false},
        {"ledger", false, true},
        {"pending_id", false, false},
        {"marks", true, false},
        {"debit.debits_posted", false, false},
        {"debit.credits_posted", false, false},
        {"debit.debits_pending", false, false},
        {"debit.credits_pending", false, false},
        {"credit.debits_posted", false, false},
        {"credit.credits_posted", false, false},
        {"credit.debits_pending", false, false},
        {"credit.credits_pending", false, false},
        {"timestamp", true, true},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < read->count; i++)
        cells_change(repl, &table, &changes[i]);
    repl_table_end(&table, repl->out);
    if (read->ordinal_next < read->ordinal_end)
        fprintf(repl->out, "go on with ordinal=%" PRIu64 "\n", read->ordinal_next);
    else
        fprintf(repl->out, "that is all: go on with ordinal=%" PRIu64 " later\n",
                read->ordinal_next);
}

static bool run_changes(struct repl *repl, const struct repl_statement *statement,
                        const struct repl_place *place)
{
    const size_t bytes = GIRO_CHANGES_LIMIT_MAX * sizeof(struct giro_change);
    struct giro_change *changes = aligned_alloc(16, bytes);
    assert(changes != NULL);
    struct giro_request request = {
        .operation = GIRO_READ_CHANGES,
        .count = 1,
        .events.change_filter = statement->records.change_filter,
        .output.changes = changes,
    };
    int error = giro_call(repl->client, &request);
    const struct giro_changes read = {
        .ordinal_next = request.ordinal_next,
        .ordinal_end = request.ordinal_end,
        .count = request.result_count,
    };
    if (error == 0)
        changes_show(repl, changes, &read);
    free(changes);
    return error == 0 ? true : repl_query_failed(repl, place, &request, error);
}

/* ---- the server -------------------------------------------------------------------------- */

static bool run_snapshot(struct repl *repl, const struct repl_place *place)
{
    enum { DEADLINE_MS = 600000 }; /* a large ledger takes a while to write */
    struct giro_server_snapshot snapshot = {0};
    struct giro_request request = {
        .operation = GIRO_SNAPSHOT, .deadline_ms = DEADLINE_MS, .output.snapshot = &snapshot};
    char text[NUMBER_TEXT_BYTES];
    int error = giro_call(repl->client, &request);
    if (error != 0)
        return repl_query_failed(repl, place, &request, error);
    fprintf(repl->out, "snapshot of everything up to block %" PRIu64 ": %s bytes; ", snapshot.lsn,
            number_print(snapshot.bytes, 0, repl->thousands, text));
    fprintf(repl->out, "a start reads the log from segment %" PRIu32 " on\n", snapshot.segment);
    return true;
}

static void stats_show(const struct repl *repl, const struct giro_server_stats *stats)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"accounts", stats->accounts},
        {"transfers", stats->transfers},
        {"open pending transfers", stats->holds_open},
        {"bytes of log", stats->log_bytes},
        {"blocks written since start", stats->blocks_written},
        {"requests since start", stats->requests},
        {"events since start", stats->events},
        {"events rejected since start", stats->events_rejected},
        {"queries since start", stats->queries},
        {"queries running", stats->queries_active},
        {"changes read since start", stats->changes},
        {"old records read from disk", stats->records_fetched},
        {"bytes of transfer index", stats->memory_index_bytes},
        {"bytes of the follower", stats->memory_follower_bytes},
        {"last durable block", stats->lsn_durable},
        {"... at the follower", stats->follower_lsn},
        {"bytes that it lags behind", stats->follower_lag_bytes},
        {"waits for it since start", stats->follower_throttled},
        {"digests checked since start", stats->digests_checked},
        {"sealed segments", stats->segments_sealed},
        {"snapshots since start", stats->snapshots},
        {"bytes of the newest", stats->snapshot_bytes},
        {"first segment not in it", stats->snapshot_segment},
        {"connections open", stats->connections},
        {"connections since start", stats->connections_accepted},
        {"connections timed out", stats->connections_timed_out},
        {"damaged frames", stats->frames_bad},
    };
    char text[NUMBER_TEXT_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fprintf(repl->out, "%-28s %20s\n", rows[i].name,
                number_print(rows[i].value, 0, repl->thousands, text));
    if (stats->snapshot_running != 0)
        fputs("a snapshot is being written\n", repl->out);
    if (stats->storage_full != 0)
        fputs("the disk is full: writes are refused until there is room\n", repl->out);
}

static bool run_stats(struct repl *repl, const struct repl_place *place)
{
    struct giro_server_stats stats;
    int error = giro_stats(repl->client, &stats);
    if (error != 0)
        return repl_request_failed(repl, place, error);
    stats_show(repl, &stats);
    return true;
}

/* ---- statements -------------------------------------------------------------------------- */

static bool run_help(struct repl *repl, const struct repl_statement *statement,
                     const struct repl_place *place)
{
    char error[REPL_ERROR_BYTES];
    const struct repl_word *topic = statement->argument_count > 0 ? statement->arguments : NULL;
    if (repl_help(topic, repl->out, error))
        return true;
    assert(topic != NULL); /* the overview is always there */
    repl_error_show(repl, place, (size_t)(topic->text - place->text) - place->start, error);
    return false;
}

static bool statement_run(struct repl *repl, const struct repl_statement *statement,
                          const struct repl_place *place)
{
    switch (statement->verb) {
    case REPL_CREATE_ACCOUNTS:
    case REPL_CREATE_TRANSFERS:
    case REPL_CUT_OFF:
    case REPL_SET_LIMITS:
    case REPL_CREATE_SCHEDULES:
    case REPL_CANCEL_SCHEDULES:
        return run_create(repl, statement, place);
    case REPL_LEASE:
        return repl_run_lease(repl, statement, place);
    case REPL_LOOKUP_ACCOUNTS:
    case REPL_LOOKUP_TRANSFERS:
    case REPL_LOOKUP_PAYMENTS:
    case REPL_GET_SETTLEMENTS:
    case REPL_GET_LIMITS:
    case REPL_GET_VELOCITY:
    case REPL_GET_LEASES:
    case REPL_GET_SCHEDULES:
    case REPL_WAIT_SCHEDULES:
        return run_lookup(repl, statement, place);
    case REPL_GET_ACCOUNT_TRANSFERS:
    case REPL_GET_ACCOUNT_BALANCES:
    case REPL_QUERY_ACCOUNTS:
    case REPL_QUERY_TRANSFERS:
        return run_query(repl, statement, place);
    case REPL_CHANGES:
        return run_changes(repl, statement, place);
    case REPL_SNAPSHOT:
        return run_snapshot(repl, place);
    case REPL_STATS:
        return run_stats(repl, place);
    case REPL_WAIT:
        if (repl_run_wait(statement))
            return true;
        repl_error_show(repl, place, 0, "write wait and a span of time, as in wait 500ms");
        return false;
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
        struct repl_place place = {text, size, at, source, first_line};
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
                repl_error_show(repl, &place, error.position, error.text);
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
