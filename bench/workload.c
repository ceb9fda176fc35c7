#include "bench/workload.h"

#include "bench/clock.h"
#include "engine/result.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

/* One column of the alias table: the column's own rank below the threshold, the alias above. */
struct alias {
    uint32_t threshold;
    uint32_t alias;
};

struct workload {
    struct workload_config config;
    struct alias *aliases;  /* accounts of them, or NULL: uniform */
    uint64_t scatter;       /* spreads the popular ranks over the accounts */
    uint64_t random_ids;    /* state of the random ids */
    giro_u128 time_id_next; /* the next time-ordered id */
    uint64_t time_id_ms;
};

/* Accounts with the same user datum are so many apart. */
enum { ACCOUNT_GROUPS = 1000 };

/* Ids outside of 1 .. accounts. The first account exists but may not spend, the second does not. */
#define ACCOUNT_WITHOUT_FUNDS (((giro_u128)1 << 64) + 1)
#define ACCOUNT_MISSING (((giro_u128)1 << 64) + 2)

/* Walker's alias method in Vose's form: a Zipf-distributed rank for one random number, one table
 * line and no pow(). Returns 0 or -ENOMEM. */
static int aliases_create(uint32_t count, double exponent, struct alias **out)
{
    struct alias *table = malloc(count * sizeof *table);
    double *share = malloc(count * sizeof *share);
    uint32_t *order = malloc(count * sizeof *order);
    if (table == NULL || share == NULL || order == NULL) {
        free(table);
        free(share);
        free(order);
        return -ENOMEM;
    }
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += share[i] = pow((double)i + 1, -exponent);
    /* order: columns below the average from the front, the others from the back */
    uint32_t small = 0;
    uint32_t large = count;
    for (uint32_t i = 0; i < count; i++) {
        share[i] *= count / sum;
        order[share[i] < 1.0 ? small++ : --large] = i;
    }
    for (uint32_t done = 0; done < small && large < count; done++) {
        uint32_t low = order[done];
        uint32_t high = order[large];
        table[low] = (struct alias){.threshold = (uint32_t)(share[low] * 0x1p32), .alias = high};
        share[high] -= 1.0 - share[low];
        share[low] = -1.0; /* done */
        if (share[high] < 1.0) {
            large++;
            order[small++] = high;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (share[i] >= 0.0) /* left over: full, but for rounding */
            table[i] = (struct alias){.threshold = UINT32_MAX, .alias = i};
    }
    free(share);
    free(order);
    *out = table;
    return 0;
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* A step near the golden section of count that visits every account once. */
static uint64_t scatter_choose(uint32_t count)
{
    uint64_t step = (uint64_t)(count * 0.6180339887) | 1;
    while (greatest_common_divisor(step, count) != 1)
        step++;
    return step;
}

int workload_create(const struct workload_config *config, struct workload **out)
{
    assert(config->accounts >= 2);
    struct workload *workload = calloc(1, sizeof *workload);
    if (workload == NULL)
        return -ENOMEM;
    workload->config = *config;
    /* The clock goes into the ids so that a second run on the same server uses others. */
    workload->random_ids = random_mix(config->seed) ^ clock_read_ns(CLOCK_REALTIME);
    workload->scatter = scatter_choose(config->accounts);
    if (config->zipf > 0 && aliases_create(config->accounts, config->zipf, &workload->aliases)) {
        free(workload);
        return -ENOMEM;
    }
    *out = workload;
    return 0;
}

void workload_destroy(struct workload *workload)
{
    if (workload == NULL)
        return;
    free(workload->aliases);
    free(workload);
}

uint32_t workload_accounts(const struct workload *workload)
{
    return workload->config.accounts + WORKLOAD_EXTRA_ACCOUNTS;
}

void workload_account(const struct workload *workload, uint32_t index, struct giro_account *out)
{
    *out = (struct giro_account){
        .id = (giro_u128)index + 1,
        .ledger = WORKLOAD_LEDGER,
        .code = WORKLOAD_CODE,
        .user_data_64 = workload->config.user_data ? index % ACCOUNT_GROUPS + 1 : 0,
    };
    if (index % 100 < workload->config.history_percent)
        out->flags = GIRO_ACCOUNT_HISTORY;
    if (index >= workload->config.accounts) {
        out->id = ACCOUNT_WITHOUT_FUNDS;
        out->flags = GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS;
    }
}

static uint32_t account_pick(const struct workload *workload, uint32_t bits, uint64_t *random)
{
    uint32_t rank = random_below(bits, workload->config.accounts);
    if (workload->aliases == NULL)
        return rank;
    struct alias alias = workload->aliases[rank];
    if ((uint32_t)random_next(random) >= alias.threshold)
        rank = alias.alias;
    return (uint32_t)(rank * workload->scatter % workload->config.accounts);
}

/* Two different accounts as ids. */
static void accounts_pick(const struct workload *workload, uint64_t *random, giro_u128 *out_debit,
                          giro_u128 *out_credit)
{
    const struct workload_config *config = &workload->config;
    uint64_t bits = random_next(random);
    uint32_t debit = account_pick(workload, (uint32_t)bits, random);
    uint32_t credit = account_pick(workload, (uint32_t)(bits >> 32), random);
    if (config->hot_accounts > 0) {
        uint64_t hot = random_next(random);
        if (random_below((uint32_t)hot, 100) < config->hot_percent)
            credit = random_below((uint32_t)(hot >> 32), config->hot_accounts);
    }
    if (credit == debit)
        debit = debit + 1 == config->accounts ? 0 : debit + 1;
    *out_debit = (giro_u128)debit + 1;
    *out_credit = (giro_u128)credit + 1;
}

giro_u128 workload_pick(const struct workload *workload, uint64_t *random)
{
    return (giro_u128)account_pick(workload, (uint32_t)random_next(random), random) + 1;
}

giro_u128 workload_pick_history(const struct workload *workload, uint64_t *random)
{
    const struct workload_config *config = &workload->config;
    uint32_t index = account_pick(workload, (uint32_t)random_next(random), random);
    /* The first of every hundred keep it. */
    index -= index % 100;
    uint32_t left = config->accounts - index;
    uint32_t keep = left < config->history_percent ? left : config->history_percent;
    return (giro_u128)index + random_below((uint32_t)random_next(random), keep) + 1;
}

/* As many different ones as accounts: what one customer or merchant has to do with. */
uint64_t workload_pick_user_data(const struct workload *workload, uint64_t *random)
{
    return (uint64_t)random_below((uint32_t)random_next(random), workload->config.accounts) + 1;
}

/* Milliseconds in the upper 48 bits, random bits below them that count up within a millisecond. */
static void time_ids_advance(struct workload *workload)
{
    uint64_t now_ms = clock_read_ns(CLOCK_REALTIME) / NS_PER_MS;
    if (now_ms <= workload->time_id_ms)
        return;
    workload->time_id_ms = now_ms;
    uint64_t high = random_next(&workload->random_ids) >> 49; /* 15 bits: room to count up */
    workload->time_id_next =
        (giro_u128)(now_ms << 16 | high) << 64 | random_next(&workload->random_ids);
}

static giro_u128 id_make(struct workload *workload)
{
    if (!workload->config.ids_random)
        return workload->time_id_next++;
    uint64_t high = random_next(&workload->random_ids) >> 1; /* never the largest, never 0 */
    return (giro_u128)high << 64 | random_next(&workload->random_ids) | 1;
}

static void transfer_make(struct workload *workload, uint64_t *random, struct giro_transfer *out)
{
    *out = (struct giro_transfer){
        .id = id_make(workload),
        .amount = (random_next(random) & 1023) + 1,
        .ledger = WORKLOAD_LEDGER,
        .code = WORKLOAD_CODE,
    };
    accounts_pick(workload, random, &out->debit_account_id, &out->credit_account_id);
    if (workload->config.user_data)
        out->user_data_64 = workload_pick_user_data(workload, random);
}

/* Every second one opens a hold, every other resolves the oldest: three posts to one void. */
static void two_phase_make(struct workload *workload, struct workload_lane *lane, uint64_t *random,
                           struct giro_transfer *out, struct workload_outcome *outcome)
{
    transfer_make(workload, random, out);
    uint64_t amount = (uint64_t)out->amount;
    uint64_t choice = random_next(random);
    bool resolve = lane->pending_count > 0 &&
                   ((choice & 1) != 0 || lane->pending_count == WORKLOAD_PENDING_MAX);
    if (!resolve) {
        out->flags = GIRO_TRANSFER_PENDING;
        uint32_t at = (lane->pending_first + lane->pending_count++) % WORKLOAD_PENDING_MAX;
        lane->pending[at] = *out;
        outcome->pending_delta += (int64_t)amount;
        return;
    }
    const struct giro_transfer *pending = &lane->pending[lane->pending_first];
    lane->pending_first = (lane->pending_first + 1) % WORKLOAD_PENDING_MAX;
    lane->pending_count--;
    bool post = (choice >> 1 & 3) != 0;
    *out = (struct giro_transfer){
        .id = out->id,
        .pending_id = pending->id,
        .amount = post ? GIRO_U128_MAX : 0,
        .flags = post ? GIRO_TRANSFER_POST_PENDING : GIRO_TRANSFER_VOID_PENDING,
    };
    outcome->pending_delta -= (int64_t)pending->amount;
    outcome->posted += post ? (uint64_t)pending->amount : 0;
}

/* The everyday refusals in turn: no funds, a retry, one account twice, an unknown account.
 * Returns the result that the event must get. */
static uint32_t rejected_make(struct workload *workload, struct workload_lane *lane,
                              uint64_t *random, struct giro_transfer *out)
{
    transfer_make(workload, random, out);
    switch (random_next(random) & 3) {
    case 0:
        if (lane->plain.id != 0) {
            *out = lane->plain;
            return GIRO_TRANSFER_EXISTS;
        }
        out->debit_account_id = out->credit_account_id;
        return GIRO_TRANSFER_ACCOUNTS_MUST_BE_DIFFERENT;
    case 1:
        out->debit_account_id = out->credit_account_id;
        return GIRO_TRANSFER_ACCOUNTS_MUST_BE_DIFFERENT;
    case 2:
        out->credit_account_id = ACCOUNT_MISSING;
        return GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND;
    default:
        out->debit_account_id = ACCOUNT_WITHOUT_FUNDS;
        return GIRO_TRANSFER_EXCEEDS_CREDITS;
    }
}

/* A request of plain transfers only, the common case. */
static void plain_request(struct workload *workload, uint64_t *random, struct giro_transfer *events,
                          uint32_t event_count, struct workload_outcome *outcome)
{
    for (uint32_t i = 0; i < event_count; i++) {
        transfer_make(workload, random, &events[i]);
        outcome->posted += (uint64_t)events[i].amount;
    }
}

void workload_request(struct workload *workload, struct workload_lane *lane, uint64_t number,
                      struct giro_transfer *events, uint32_t event_count,
                      struct giro_result *failures, struct workload_outcome *out)
{
    const struct workload_config *config = &workload->config;
    uint64_t random = random_mix(config->seed + 1) ^ random_mix(number);
    struct workload_outcome outcome = {.events = event_count};
    if (!config->ids_random)
        time_ids_advance(workload);
    if (config->two_phase_percent + config->rejected_percent == 0) {
        plain_request(workload, &random, events, event_count, &outcome);
        *out = outcome;
        return;
    }
    for (uint32_t i = 0; i < event_count; i++) {
        uint32_t kind = random_below((uint32_t)random_next(&random), 100);
        if (kind < config->rejected_percent) {
            uint32_t code = rejected_make(workload, lane, &random, &events[i]);
            failures[outcome.failed++] = (struct giro_result){.index = i, .code = code};
        } else if (kind - config->rejected_percent < config->two_phase_percent) {
            two_phase_make(workload, lane, &random, &events[i], &outcome);
        } else {
            transfer_make(workload, &random, &events[i]);
            outcome.posted += (uint64_t)events[i].amount;
            lane->plain = events[i];
        }
    }
    *out = outcome;
}
