#include "tools/repl_objects.h"

#include "engine/result.h"
#include "tools/import_memory.h"
#include "tools/import_number.h"
#include "tools/repl_result.h"
#include "tools/repl_time.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- leases ------------------------------------------------------------------------------ */

/* The newest lease of a key that this session got; owner 0: whoever it got it for. */
static const struct repl_lease *lease_known(const struct repl *repl, giro_u128 key, giro_u128 owner)
{
    const struct repl_lease *newest = NULL;
    for (uint32_t i = 0; i < REPL_LEASES_MAX; i++) {
        const struct repl_lease *lease = &repl->leases[i];
        if (lease->token != 0 && lease->key == key && (owner == 0 || lease->owner == owner) &&
            (newest == NULL || lease->token > newest->token))
            newest = lease;
    }
    return newest;
}

/* The oldest one is forgotten for it. */
static void lease_remember(struct repl *repl, const struct giro_lease *lease)
{
    struct repl_lease *place = &repl->leases[0];
    for (uint32_t i = 0; i < REPL_LEASES_MAX; i++) {
        if (repl->leases[i].key == lease->key && repl->leases[i].owner == lease->owner) {
            place = &repl->leases[i];
            break;
        }
        if (repl->leases[i].token < place->token)
            place = &repl->leases[i];
    }
    *place = (struct repl_lease){.key = lease->key, .owner = lease->owner, .token = lease->token};
}

static void tokens_fill(const struct repl *repl, struct giro_lease *leases, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct repl_lease *known = lease_known(repl, leases[i].key, leases[i].owner);
        if (leases[i].action != GIRO_LEASE_ACQUIRE && leases[i].token == 0 && known != NULL)
            leases[i].token = known->token;
    }
}

/* "acquired by 7, token 1184, until 2027-01-31T10:30:00.000000000Z" */
static void lease_print(const struct giro_lease *lease, char *out, size_t out_bytes)
{
    static const char *const words[] = {
        [GIRO_LEASE_ACQUIRE] = "acquired",
        [GIRO_LEASE_RENEW] = "renewed",
        [GIRO_LEASE_RELEASE] = "released",
    };
    char owner[NUMBER_TEXT_BYTES];
    char until[NUMBER_TIMESTAMP_TEXT_BYTES];
    const bool known = lease->action != 0 && lease->action < sizeof words / sizeof words[0];
    int size = snprintf(out, out_bytes, "%s by %s", known ? words[lease->action] : "changed",
                        number_print_id(lease->owner, owner));
    if (lease->deadline != 0)
        (void)snprintf(out + size, out_bytes - (size_t)size, ", token %" PRIu64 ", until %s",
                       lease->token, number_print_timestamp(lease->deadline, until));
}

static void lease_show(const struct repl *repl, uint32_t index, const struct giro_lease *lease)
{
    char key[NUMBER_TEXT_BYTES];
    char owner[NUMBER_TEXT_BYTES];
    char text[REPL_DETAIL_BYTES];
    (void)number_print_id(lease->key, key);
    if (lease->result == GIRO_LEASE_RESULT_DONE) {
        lease_print(lease, text, sizeof text);
        fprintf(repl->out, "  %u. key %s: %s\n", index + 1, key, text);
        return;
    }
    fprintf(repl->out, "  %u. key %s: %s\n     ", index + 1, key,
            giro_lease_result_name(lease->result));
    if (lease->result == GIRO_LEASE_RESULT_HELD_BY_ANOTHER)
        fprintf(repl->out, "Owner %s has it until %s. ", number_print_id(lease->owner, owner),
                number_print_timestamp(lease->deadline, text));
    fprintf(repl->out, "%s\n", repl_lease_result_text(lease->result));
}

bool repl_run_lease(struct repl *repl, const struct repl_statement *statement,
                    const struct repl_place *place)
{
    struct giro_lease *leases = statement->records.leases;
    uint32_t refused = 0;
    tokens_fill(repl, leases, statement->count);
    int error = giro_change_leases(repl->client, leases, statement->count, leases, &refused);
    if (error != 0)
        return repl_request_failed(repl, place, error);
    fprintf(repl->out, "%u of %u leases changed\n", statement->count - refused, statement->count);
    for (uint32_t i = 0; i < statement->count; i++) {
        lease_show(repl, i, &leases[i]);
        if (leases[i].result == GIRO_LEASE_RESULT_DONE && leases[i].action == GIRO_LEASE_ACQUIRE)
            lease_remember(repl, &leases[i]);
    }
    return refused == 0;
}

bool repl_fence_set(struct repl *repl, const struct repl_statement *statement, const char **error)
{
    const struct repl_word *words = statement->arguments;
    giro_u128 key = 0;
    giro_u128 token = 0;
    *error = "write set fence KEY, set fence KEY TOKEN, or set fence off";
    if (statement->argument_count == 2 && words[1].size == 3 &&
        memcmp(words[1].text, "off", 3) == 0) {
        repl->fence = (struct giro_fence){0};
        return true;
    }
    if (statement->argument_count < 2 || statement->argument_count > 3 ||
        number_u128(words[1].text, words[1].size, &key) != NUMBER_OK ||
        (statement->argument_count == 3 &&
         (number_u128(words[2].text, words[2].size, &token) != NUMBER_OK || token > UINT64_MAX)))
        return false;
    const struct repl_lease *known = lease_known(repl, key, 0);
    *error = "this session has not acquired a lease of this key: give its token, too";
    if (statement->argument_count == 2 && known == NULL)
        return false;
    repl->fence = (struct giro_fence){
        .key = key, .token = statement->argument_count == 3 ? (uint64_t)token : known->token};
    return true;
}

void repl_leases_show(const struct repl *repl, const struct giro_lease *leases, uint32_t count)
{
    static const struct repl_column columns[] = {
        {"key", false, true},
        {"owner", false, true},
        {"token", false, true},
        {"until", true, true},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        repl_cell_id(&table, leases[i].key);
        repl_cell_id(&table, leases[i].owner);
        repl_cell_number(&table, leases[i].token);
        if (leases[i].deadline != 0)
            repl_cell_timestamp(&table, leases[i].deadline);
        else
            repl_table_cell(&table, "released");
    }
    repl_table_end(&table, repl->out);
}

/* ---- schedules --------------------------------------------------------------------------- */

static void cells_rule(struct repl_table *table, const struct giro_schedule *schedule)
{
    char every[REPL_SPAN_BYTES];
    char retries[REPL_RETRIES_BYTES];
    repl_cell_timestamp(table, schedule->first);
    repl_table_cell(table, repl_every_print(schedule, every));
    repl_cell_number(table, schedule->day);
    repl_cell_number(table, schedule->occurrences);
    repl_cell_timestamp_or_none(table, schedule->end);
    repl_table_cell(table, repl_retries_print(schedule, retries));
}

/* occurrence and attempt are those of the next attempt; last_result is told once there was one. */
static void cells_progress(struct repl_table *table, const struct giro_schedule *schedule)
{
    const bool tried = schedule->last_id != 0;
    repl_cell_timestamp_or_none(table, schedule->next);
    repl_cell_number(table, schedule->occurrence);
    repl_cell_number(table, schedule->attempt);
    repl_cell_number(table, schedule->made);
    repl_cell_number(table, schedule->last_id);
    repl_table_cell(table, tried ? giro_transfer_result_name(schedule->last_result) : "");
}

static void cells_made(const struct repl *repl, struct repl_table *table,
                       const struct giro_transfer *transfer)
{
    repl_cell_id(table, transfer->debit_account_id);
    repl_cell_id(table, transfer->credit_account_id);
    repl_cell_amount(repl, table, transfer->amount, transfer->ledger);
    repl_cell_number(table, transfer->ledger);
    repl_cell_number(table, transfer->code);
    repl_cell_flags(table, REPL_CREATE_SCHEDULES, transfer->flags);
}

void repl_schedules_show(const struct repl *repl, const struct giro_schedule *schedules,
                         uint32_t count)
{
    static const struct repl_column columns[] = {
        {"id", false, true},
        {"state", true, true},
        {"first", true, true},
        {"every", true, true},
        {"day", false, false},
        {"occurrences", false, false},
        {"end", true, false},
        {"retry", true, false},
        {"next", true, false},
        {"occurrence", false, false},
        {"attempt", false, false},
        {"made", false, true},
        {"last_id", false, false},
        {"last_result", true, false},
        {"debit_account_id", false, true},
        {"credit_account_id", false, true},
        {"amount", false, true},
        {"ledger", false, true},
        {"code", false, true},
        {"flags", true, false},
    };
    struct repl_table table;
    repl_table_begin(&table, columns, sizeof columns / sizeof columns[0]);
    for (uint32_t i = 0; i < count; i++) {
        repl_cell_id(&table, schedules[i].id);
        repl_table_cell(&table, repl_schedule_state_name(schedules[i].state));
        cells_rule(&table, &schedules[i]);
        cells_progress(&table, &schedules[i]);
        cells_made(repl, &table, &schedules[i].transfer);
    }
    repl_table_end(&table, repl->out);
}

/* ---- waiting ----------------------------------------------------------------------------- */

static uint64_t wall_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * GIRO_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void pause_ms(uint64_t ms)
{
    const struct timespec span = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000 * GIRO_NS_PER_MS)};
    nanosleep(&span, NULL);
}

static bool any_due(const struct giro_schedule *schedules, uint32_t count)
{
    const uint64_t now = wall_clock_ns();
    for (uint32_t i = 0; i < count; i++) {
        if (schedules[i].next != 0 && schedules[i].next <= now)
            return true;
    }
    return false;
}

int repl_schedules_wait(const struct repl *repl, const giro_u128 *ids, uint32_t count,
                        struct giro_schedule *schedules, uint32_t *out_found)
{
    enum { PAUSE_MS = 10 };
    for (uint32_t pauses = 0;; pauses++) {
        int error = giro_get_schedules(repl->client, ids, count, schedules, out_found);
        if (error != 0 || pauses == REPL_WAIT_S * 1000 / PAUSE_MS ||
            !any_due(schedules, *out_found))
            return error;
        pause_ms(PAUSE_MS);
    }
}

bool repl_run_wait(const struct repl_statement *statement)
{
    struct repl_span span;
    if (statement->argument_count != 1 ||
        !repl_span_read(statement->arguments[0].text, statement->arguments[0].size, &span) ||
        span.unit > REPL_UNIT_DAYS)
        return false;
    pause_ms(repl_span_ms(span));
    return true;
}

/* ---- changes ----------------------------------------------------------------------------- */

static void schedule_print(const struct giro_schedule *schedule, char *out, size_t out_bytes)
{
    char first[NUMBER_TIMESTAMP_TEXT_BYTES];
    char every[REPL_SPAN_BYTES];
    (void)snprintf(out, out_bytes, "from %s every %s",
                   number_print_timestamp(schedule->first, first),
                   repl_every_print(schedule, every));
}

static void firing_print(const struct giro_firing *firing, char *out, size_t out_bytes)
{
    char next[NUMBER_TIMESTAMP_TEXT_BYTES];
    int size = snprintf(out, out_bytes, "occurrence %u attempt %u: %s", firing->occurrence,
                        firing->attempt, giro_transfer_result_name(firing->transfer_result));
    if (firing->next != 0)
        (void)snprintf(out + size, out_bytes - (size_t)size, ", next %s",
                       number_print_timestamp(firing->next, next));
}

char *repl_change_detail(const struct giro_change *change, char out[REPL_DETAIL_BYTES])
{
    struct giro_schedule schedule = {0};
    out[0] = 0;
    switch (change->kind) {
    case GIRO_CHANGE_LEASE:
        lease_print(&change->record.lease, out, REPL_DETAIL_BYTES);
        break;
    case GIRO_CHANGE_SCHEDULE_CREATED:
        memcpy(&schedule, change->record.schedule, sizeof change->record.schedule);
        schedule_print(&schedule, out, REPL_DETAIL_BYTES);
        break;
    case GIRO_CHANGE_SCHEDULE_FIRED:
        firing_print(&change->record.firing, out, REPL_DETAIL_BYTES);
        break;
    default:
        break;
    }
    return out;
}
