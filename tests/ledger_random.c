#include "tests/ledger_random.h"

#include <string.h>

/* ---- Chance ------------------------------------------------------------------------------ */

static uint64_t next(struct ledger_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t ledger_random_below(struct ledger_random *random, uint64_t limit)
{
    return next(random) % limit;
}

static bool chance(struct ledger_random *random, uint32_t percent)
{
    return ledger_random_below(random, 100) < percent;
}

/* ---- Events ------------------------------------------------------------------------------ */

giro_u128 ledger_random_id(uint64_t number)
{
    return number % 2 == 0 ? (giro_u128)number << 64 | number : number;
}

/* The one that a schedule is about to make, or has tried in vain. */
static giro_u128 scheduled_id(struct ledger_random *random)
{
    const struct model *model = random->model;
    const struct giro_schedule *row =
        &model->schedules[ledger_random_below(random, model->schedules_count)];
    if (row->last_id != 0 && chance(random, 50))
        return row->last_id;
    return model_schedule_transfer_id(row->id, row->occurrence, row->attempt);
}

static giro_u128 transfer_id(struct ledger_random *random)
{
    if (random->model->schedules_count != 0 && chance(random, 1))
        return scheduled_id(random);
    if (chance(random, 1))
        return chance(random, 50) ? 0 : GIRO_U128_MAX;
    if (chance(random, 10))
        return ledger_random_id(1 + ledger_random_below(random, random->id_next));
    return ledger_random_id(random->id_next++);
}

static uint32_t ledger_of(uint64_t account_id)
{
    return account_id <= 7 ? 1 : account_id <= 10 ? 2 : 3;
}

static giro_u128 amount(struct ledger_random *random, uint32_t ledger)
{
    static const giro_u128 large[] = {
        GIRO_U128_MAX,
        GIRO_U128_MAX - 1,
        GIRO_U128_MAX - 2,
        GIRO_U128_MAX / 2,
        GIRO_U128_MAX / 2 + 1,
        GIRO_U128_MAX - 40,
        1,
        2,
        (giro_u128)UINT64_MAX,
        (giro_u128)UINT64_MAX + 1,
        0,
        3,
    };
    if (ledger == 3)
        return large[ledger_random_below(random, sizeof large / sizeof large[0])];
    return chance(random, 4) ? GIRO_U128_MAX : ledger_random_below(random, 50);
}

static void accounts_choose(struct ledger_random *random, struct giro_transfer *event)
{
    static const struct {
        uint32_t first;
        uint32_t count;
    } groups[] = {{1, 7}, {1, 7}, {1, 7}, {8, 3}, {8, 3}, {11, 6}};
    const struct model_state *state = &random->model->now;
    uint64_t newest = (uint64_t)state->accounts[state->accounts_count - 1].id;
    uint64_t group = ledger_random_below(random, 6);
    uint64_t debit = groups[group].first + ledger_random_below(random, groups[group].count);
    uint64_t credit = groups[group].first + ledger_random_below(random, groups[group].count);
    if (debit == credit && !chance(random, 3))
        credit = groups[group].first + (debit - groups[group].first + 1) % groups[group].count;
    event->ledger = ledger_of(debit);
    if (chance(random, 2))
        credit = 1 + ledger_random_below(random, LEDGER_RANDOM_ACCOUNTS + 2);
    if (chance(random, 1))
        debit = LEDGER_RANDOM_ACCOUNTS + 1;
    /* The newest account is of ledger 3, too; an imported transfer may be older. */
    if (event->ledger == 3 && chance(random, 30))
        *(chance(random, 50) ? &debit : &credit) = newest;
    event->debit_account_id = debit;
    event->credit_account_id = credit;
}

/* Plain, pending, balancing, closing. */
static void plain_choose(struct ledger_random *random, struct giro_transfer *event)
{
    accounts_choose(random, event);
    event->code = (uint16_t)(1 + ledger_random_below(random, 2));
    event->amount = amount(random, event->ledger);
    if (chance(random, 45)) {
        event->flags |= GIRO_TRANSFER_PENDING;
        if (chance(random, 60))
            event->timeout = (uint32_t)(1 + ledger_random_below(random, 3));
        if (chance(random, 3))
            event->timeout = UINT32_MAX;
        random->pending_ids[random->pending_count++ % LEDGER_RANDOM_SENT] = event->id;
    }
    if (chance(random, 8))
        event->flags |= GIRO_TRANSFER_BALANCING_DEBIT;
    if (chance(random, 8))
        event->flags |= GIRO_TRANSFER_BALANCING_CREDIT;
    /* Closing for good would soon stop everything. */
    if (event->timeout != 0 && event->timeout != UINT32_MAX && chance(random, 6))
        event->flags |=
            chance(random, 50) ? GIRO_TRANSFER_CLOSING_DEBIT : GIRO_TRANSFER_CLOSING_CREDIT;
}

/* Mostly one that is open; else one of late, whatever became of it. */
static giro_u128 pending_choose(struct ledger_random *random)
{
    const struct model *model = random->model;
    uint32_t count = model->now.transfers_count;
    uint32_t back = (uint32_t)ledger_random_below(random, 20);
    for (uint32_t i = count > back ? count - back : 0; i > 0 && chance(random, 95); i--) {
        if (model->now.status[i - 1] == MODEL_PENDING)
            return model->transfers[i - 1].id;
    }
    return random->pending_ids[ledger_random_below(random, LEDGER_RANDOM_SENT)];
}

static void resolve_choose(struct ledger_random *random, struct giro_transfer *event)
{
    bool voids = chance(random, 40);
    event->flags |= voids ? GIRO_TRANSFER_VOID_PENDING : GIRO_TRANSFER_POST_PENDING;
    event->pending_id = pending_choose(random);
    if (chance(random, 3))
        event->pending_id = transfer_id(random);
    event->amount = voids ? 0 : GIRO_U128_MAX;
    if (chance(random, 40))
        event->amount = ledger_random_below(random, 50);
    const struct giro_transfer *pending = model_transfer(random->model, event->pending_id);
    if (pending != NULL && chance(random, 20)) {
        event->debit_account_id = pending->debit_account_id;
        event->credit_account_id = pending->credit_account_id;
        event->ledger = pending->ledger;
        event->code = pending->code;
        event->amount = pending->amount;
    }
}

/* ---- Payments ---------------------------------------------------------------------------- */

/* NULL when there is no such transfer. */
static const struct model_note *note_of(const struct ledger_random *random, giro_u128 id)
{
    const struct giro_transfer *transfer = model_transfer(random->model, id);
    return transfer == NULL ? NULL : &random->model->now.notes[transfer - random->model->transfers];
}

/* Mostly a part of what is left of something, all of it, or a little more. */
static giro_u128 part_choose(struct ledger_random *random, giro_u128 left)
{
    uint64_t some = ledger_random_below(random, 50);
    switch (ledger_random_below(random, 8)) {
    case 0:
        return left;
    case 1:
        return left + 1 + some / 8;
    case 2:
        return GIRO_U128_MAX;
    case 3:
        return some;
    case 4:
        return left - left / 4;
    default:
        return left > some ? some : left / 2;
    }
}

static giro_u128 hold_left(const struct ledger_random *random, giro_u128 id)
{
    const struct model_note *hold = note_of(random, id);
    return hold != NULL ? hold->left : 0;
}

/* Often one that is itself a return. */
static giro_u128 hold_choose(struct ledger_random *random)
{
    enum { RECENT = 80 };
    const struct model *model = random->model;
    uint32_t count = model->now.transfers_count;
    for (uint32_t back = 1; back <= RECENT && back <= count && !chance(random, 2); back++) {
        const struct giro_transfer *transfer = &model->transfers[count - back];
        if (model->now.status[count - back] == MODEL_PENDING &&
            ((transfer->flags & GIRO_TRANSFER_RETURN) != 0 || chance(random, 5)))
            return transfer->id;
    }
    return pending_choose(random);
}

/* As much as the credit account's limits let a hold capture, or one more; 0 when there is none to
 * begin with. */
static giro_u128 over_capture_choose(struct ledger_random *random, giro_u128 id)
{
    const struct giro_transfer *hold = model_transfer(random->model, id);
    const struct giro_limits *limits =
        hold != NULL ? model_limits(random->model, hold->credit_account_id) : NULL;
    if (limits == NULL || limits->over_capture == 0)
        return 0;
    const struct model_note *note = note_of(random, id);
    return note->amount - note->taken + note->amount * limits->over_capture / 10000 +
           ledger_random_below(random, 2);
}

/* A part of a hold is captured, or more than the hold. */
static void capture_choose(struct ledger_random *random, struct giro_transfer *event)
{
    event->pending_id = hold_choose(random);
    event->amount = part_choose(random, hold_left(random, event->pending_id));
    event->flags |= GIRO_TRANSFER_POST_PENDING;
    if (chance(random, 75))
        event->flags |= GIRO_TRANSFER_KEEP_OPEN;
    if (chance(random, 25)) {
        event->flags |= GIRO_TRANSFER_FACT;
        if (chance(random, 60))
            event->amount = hold_left(random, event->pending_id) + ledger_random_below(random, 20);
    }
    giro_u128 over = over_capture_choose(random, event->pending_id);
    if (over != 0 && chance(random, 40))
        event->amount = over;
}

static void release_choose(struct ledger_random *random, struct giro_transfer *event)
{
    event->pending_id = hold_choose(random);
    event->amount = part_choose(random, hold_left(random, event->pending_id));
    event->flags |= GIRO_TRANSFER_VOID_PENDING;
    if (chance(random, 90))
        event->flags |= GIRO_TRANSFER_KEEP_OPEN;
}

static void adjust_choose(struct ledger_random *random, struct giro_transfer *event)
{
    const struct giro_transfer *pending;
    event->pending_id = hold_choose(random);
    if (chance(random, 3))
        event->pending_id = transfer_id(random);
    event->flags |= GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST;
    event->amount = amount(random, chance(random, 10) ? 3 : 1);
    if (chance(random, 40))
        event->amount = ledger_random_below(random, 5);
    if (chance(random, 50))
        event->timeout = (uint32_t)(1 + ledger_random_below(random, 4));
    if (chance(random, 3))
        event->timeout = UINT32_MAX;
    pending = model_transfer(random->model, event->pending_id);
    if (pending != NULL && chance(random, 20)) {
        event->debit_account_id = pending->debit_account_id;
        event->credit_account_id = pending->credit_account_id;
        event->ledger = pending->ledger;
        event->code = pending->code;
    }
}

/* Of some recent transfers the one that is the most returns deep, so that returns of returns come
 * about. NULL when there is none. */
static const struct giro_transfer *origin_choose(struct ledger_random *random)
{
    enum { RECENT = 60 };
    const struct model *model = random->model;
    const struct model_note *best = NULL;
    if (random->posted.id != 0 && chance(random, 20))
        return &random->posted;
    uint32_t count = model->now.transfers_count;
    uint32_t tries = chance(random, 35) ? RECENT : 3;
    for (uint32_t i = 0; i < tries && count > 0; i++) {
        uint32_t back = (uint32_t)ledger_random_below(random, count < RECENT ? count : RECENT);
        const struct model_note *note = &model->now.notes[count - 1 - back];
        if (model->now.status[count - 1 - back] == MODEL_SETTLED &&
            (best == NULL || note->depth > best->depth))
            best = note;
    }
    return best == NULL ? NULL : &model->transfers[best - model->now.notes];
}

/* The other way round, and seldom to another account, which may be the same owner's. */
static void return_accounts_choose(struct ledger_random *random, struct giro_transfer *event,
                                   const struct giro_transfer *origin)
{
    event->debit_account_id = origin->credit_account_id;
    event->credit_account_id = origin->debit_account_id;
    if (chance(random, 4)) {
        event->debit_account_id = origin->debit_account_id;
        event->credit_account_id = origin->credit_account_id;
    }
    giro_u128 *side = chance(random, 50) ? &event->debit_account_id : &event->credit_account_id;
    uint64_t other = (uint64_t)*side + 2 * (1 + ledger_random_below(random, 2));
    if (chance(random, 15) && ledger_of(other) == origin->ledger)
        *side = other;
}

static void return_choose(struct ledger_random *random, struct giro_transfer *event)
{
    const struct giro_transfer *origin = origin_choose(random);
    if (origin == NULL) {
        plain_choose(random, event);
        return;
    }
    const struct model_note *note = note_of(random, origin->id);
    giro_u128 there = note != NULL ? note->amount : origin->amount;
    giro_u128 taken = note != NULL ? note->taken : 0;
    return_accounts_choose(random, event, origin);
    event->flags |= GIRO_TRANSFER_RETURN;
    event->pending_id = origin->id;
    event->ledger = origin->ledger;
    event->code = (uint16_t)(1 + ledger_random_below(random, 2));
    event->amount = part_choose(random, there > taken ? there - taken : 0);
    if (chance(random, 3))
        event->pending_id = ledger_random_id(random->id_next + 1000);
    if (chance(random, 3))
        event->pending_id = pending_choose(random);
    if (chance(random, 20)) {
        event->flags |= GIRO_TRANSFER_FACT;
        if (chance(random, 50))
            event->amount = ledger_random_below(random, 50);
    }
    if (chance(random, 30)) {
        event->flags |= GIRO_TRANSFER_PENDING;
        if (chance(random, 60))
            event->timeout = (uint32_t)(1 + ledger_random_below(random, 3));
        random->pending_ids[random->pending_count++ % LEDGER_RANDOM_SENT] = event->id;
    }
}

/* About as much as an account's transfer_max or balance_max; 0 when it has neither. */
static giro_u128 limit_choose(struct ledger_random *random, giro_u128 account_id)
{
    const struct giro_limits *limits = model_limits(random->model, account_id);
    if (limits == NULL)
        return 0;
    giro_u128 max = limits->transfer_max != 0 ? limits->transfer_max : limits->balance_max;
    return max == 0 || max > GIRO_U128_MAX - 2 ? 0 : max + ledger_random_below(random, 3);
}

/* Small, so that accounts with a limit come back to it. */
static void fact_choose(struct ledger_random *random, struct giro_transfer *event)
{
    plain_choose(random, event);
    event->flags |= GIRO_TRANSFER_FACT;
    if (!chance(random, 10))
        event->flags &=
            (uint16_t) ~(GIRO_TRANSFER_BALANCING_DEBIT | GIRO_TRANSFER_BALANCING_CREDIT);
    if (chance(random, 80))
        event->amount = ledger_random_below(random, 8);
    giro_u128 limit = limit_choose(random, chance(random, 50) ? event->debit_account_id
                                                              : event->credit_account_id);
    if (limit != 0 && chance(random, 50))
        event->amount = limit;
}

static void payment_choose(struct ledger_random *random, struct giro_transfer *event)
{
    static const uint16_t spoiling[] = {
        GIRO_TRANSFER_RETURN,          GIRO_TRANSFER_KEEP_OPEN,
        GIRO_TRANSFER_ADJUST,          GIRO_TRANSFER_FACT,
        GIRO_TRANSFER_NO_LIMIT,        GIRO_TRANSFER_PENDING,
        GIRO_TRANSFER_CLOSING_DEBIT,   GIRO_TRANSFER_CLOSING_CREDIT,
        GIRO_TRANSFER_BALANCING_DEBIT, GIRO_TRANSFER_BALANCING_CREDIT,
    };
    uint64_t kind = ledger_random_below(random, 20);
    if (kind < 5)
        capture_choose(random, event);
    else if (kind < 7)
        release_choose(random, event);
    else if (kind < 10)
        adjust_choose(random, event);
    else if (kind < 17)
        return_choose(random, event);
    else
        fact_choose(random, event);
    if (chance(random, 4))
        event->flags ^= spoiling[ledger_random_below(random, sizeof spoiling / sizeof *spoiling)];
    if (event->timeout == 0 && kind >= 17) /* as in plain_choose() */
        event->flags &= (uint16_t) ~(GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_CLOSING_CREDIT);
}

/* ---- Requests of transfers ------------------------------------------------------------------ */

/* Breaks a rule that goes by one field. */
static void field_spoil(struct ledger_random *random, struct giro_transfer *event)
{
    switch (ledger_random_below(random, 16)) {
    case 0:
        event->flags ^= (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 1:
        event->flags ^= (uint16_t)(1u << ledger_random_below(random, 14));
        break;
    case 2:
        event->timestamp = 1 + ledger_random_below(random, UINT64_MAX);
        break;
    case 3:
        event->debit_account_id = ledger_random_below(random, LEDGER_RANDOM_ACCOUNTS + 3);
        break;
    case 4:
        event->credit_account_id = ledger_random_below(random, LEDGER_RANDOM_ACCOUNTS + 3);
        break;
    case 5:
        event->debit_account_id = GIRO_U128_MAX;
        break;
    case 6:
        event->credit_account_id = GIRO_U128_MAX;
        break;
    case 7:
        event->amount++;
        break;
    case 8:
        event->pending_id = chance(random, 50) ? event->id : GIRO_U128_MAX;
        break;
    case 9:
        event->pending_id = 0;
        break;
    case 10:
        event->timeout++;
        break;
    case 11:
        event->ledger = (uint32_t)ledger_random_below(random, 4);
        break;
    case 12:
        event->code = (uint16_t)ledger_random_below(random, 3);
        break;
    case 13:
        event->user_data_128++;
        break;
    case 14:
        event->user_data_64++;
        break;
    default:
        event->user_data_32++;
    }
}

static void event_choose(struct ledger_random *random, struct giro_transfer *event)
{
    *event = (struct giro_transfer){.id = transfer_id(random)};
    if (chance(random, 25))
        payment_choose(random, event);
    else if (chance(random, 30))
        resolve_choose(random, event);
    else
        plain_choose(random, event);
    if (event->debit_account_id != 0 && event->credit_account_id != 0 &&
        (event->flags & GIRO_TRANSFER_PENDING) == 0)
        random->posted = *event;
    if (chance(random, 3))
        event->flags |= GIRO_TRANSFER_NO_LIMIT;
    if (chance(random, 20))
        event->user_data_128 = ledger_random_below(random, 3);
    if (chance(random, 20))
        event->user_data_64 = ledger_random_below(random, 3);
    if (chance(random, 20))
        event->user_data_32 = (uint32_t)ledger_random_below(random, 3);
    if (chance(random, 4))
        field_spoil(random, event);
    if (chance(random, 15))
        event->flags |= GIRO_TRANSFER_LINKED;
}

/* An event that was sent before, as it was or nearly so. */
static void event_repeat(struct ledger_random *random, struct giro_transfer *event)
{
    const struct ledger_random_sent *sent =
        &random->history[ledger_random_below(random, LEDGER_RANDOM_SENT)];
    if (sent->count == 0)
        return;
    *event = sent->events[ledger_random_below(random, sent->count)];
    if (chance(random, 50))
        field_spoil(random, event);
    else if (chance(random, 20)) /* as if it had been held, or not */
        event->flags ^= GIRO_TRANSFER_PENDING;
}

/* Turns a request into one that is imported, with timestamps that mostly fit. */
static void request_import(struct ledger_random *random, struct giro_transfer *events,
                           uint32_t count)
{
    uint64_t timestamp =
        chance(random, 50) ? random->timestamp_last : random->transfer_timestamp_last;
    random->clock_ns += 200;
    for (uint32_t i = 0; i < count; i++) {
        timestamp += 1 + ledger_random_below(random, 4);
        events[i].flags |= GIRO_TRANSFER_IMPORTED;
        events[i].timestamp = timestamp;
        if (!chance(random, 5))
            events[i].timeout = 0;
        if (chance(random, 3))
            events[i].timestamp -= ledger_random_below(random, 1000);
        if (chance(random, 1))
            events[i].timestamp = random->clock_ns;
        if (chance(random, 1))
            events[i].timestamp = ledger_random_below(random, 2) << 63;
        if (chance(random, 1))
            events[i].timestamp = random->model->now.accounts[0].timestamp;
        if (chance(random, 1))
            events[i].flags ^= GIRO_TRANSFER_IMPORTED;
    }
}

uint32_t ledger_random_transfers(struct ledger_random *random, struct giro_transfer *events)
{
    const struct ledger_random_sent *sent =
        &random->history[ledger_random_below(random, LEDGER_RANDOM_SENT)];
    if (sent->count != 0 && chance(random, 8)) {
        memcpy(events, sent->events, sizeof sent->events);
        return sent->count;
    }
    uint32_t count = 1 + (uint32_t)ledger_random_below(random, LEDGER_RANDOM_EVENTS);
    for (uint32_t i = 0; i < count; i++) {
        event_choose(random, &events[i]);
        if (chance(random, 5))
            event_repeat(random, &events[i]);
    }
    if (!chance(random, 5)) /* mostly the last chain ends */
        events[count - 1].flags &= (uint16_t)~GIRO_TRANSFER_LINKED;
    if (chance(random, 12))
        request_import(random, events, count);
    struct ledger_random_sent *slot = &random->history[random->sent_count++ % LEDGER_RANDOM_SENT];
    memcpy(slot->events, events, count * sizeof *events);
    slot->count = count;
    return count;
}

static void account_spoil(struct ledger_random *random, struct giro_account *event)
{
    giro_u128 *const balances[] = {&event->debits_pending, &event->debits_posted,
                                   &event->credits_pending, &event->credits_posted};
    switch (ledger_random_below(random, 11)) {
    case 0:
        event->reserved = 1;
        break;
    case 1:
        event->flags ^= (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 2:
        event->id = chance(random, 50) ? 0 : GIRO_U128_MAX;
        break;
    case 3:
        event->ledger = 0;
        break;
    case 4:
        event->code = 0;
        break;
    case 5:
        event->timestamp = 1 + ledger_random_below(random, 9);
        break;
    case 6:
        event->user_data_64 = 1;
        break;
    default:
        *balances[ledger_random_below(random, 4)] = 1;
    }
}

/* An account's fields follow from its id, so that repeating it answers exists. */
static struct giro_account account_of(uint64_t id)
{
    static const uint16_t flags[] = {0,
                                     0,
                                     GIRO_ACCOUNT_HISTORY,
                                     GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS,
                                     0,
                                     GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS,
                                     0};
    return (struct giro_account){
        .id = id,
        .ledger = ledger_of(id),
        .code = 1,
        .flags = flags[id % 7] | (id % 3 != 0 ? GIRO_ACCOUNT_SETTLES : 0),
        .user_data_128 = id % 2,
        .user_data_32 = (uint32_t)(id % 3),
    };
}

uint32_t ledger_random_accounts(struct ledger_random *random, struct giro_account *events)
{
    uint32_t count = 1 + (uint32_t)ledger_random_below(random, 6);
    bool imported = chance(random, 20);
    uint64_t timestamp = random->timestamp_last;
    if (imported)
        random->clock_ns += 200;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = chance(random, 50)
                          ? 1 + ledger_random_below(random, LEDGER_RANDOM_ACCOUNTS)
                          : 101 + ledger_random_below(random, LEDGER_RANDOM_ACCOUNTS_MORE);
        events[i] = account_of(id);
        if (imported) {
            timestamp += ledger_random_below(random, 4);
            events[i].flags |= GIRO_ACCOUNT_IMPORTED;
            events[i].timestamp = chance(random, 5) ? random->clock_ns : timestamp;
            if (chance(random, 5))
                events[i].timestamp = ledger_random_below(random, 2) << 63;
        }
        if (chance(random, 20))
            account_spoil(random, &events[i]);
        if (chance(random, 3))
            events[i].user_data_128++;
        if (chance(random, 3))
            events[i].user_data_32++;
        if (chance(random, 3))
            events[i].ledger++;
        if (chance(random, 3))
            events[i].code++;
        if (chance(random, 2))
            events[i].flags |= GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS |
                               GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS;
        if (chance(random, 1))
            events[i].flags ^= GIRO_ACCOUNT_IMPORTED;
        if (chance(random, 30))
            events[i].flags |= GIRO_ACCOUNT_LINKED;
    }
    return count;
}

static void slot_spoil(struct ledger_random *random, struct giro_limits *event)
{
    uint64_t number = ledger_random_below(random, GIRO_VELOCITY_SLOTS);
    struct giro_velocity *slot = &event->velocity[number];
    switch (ledger_random_below(random, 6)) {
    case 0:
        slot->window = ledger_random_below(random, 16) & 0xf;
        break;
    case 1:
        slot->unit = (uint8_t)(GIRO_PERIOD_MONTHS + ledger_random_below(random, 2));
        break;
    case 2:
        slot->window = GIRO_WINDOW_CALENDAR;
        slot->period = 0;
        break;
    case 3:
        slot->verdict = GIRO_VERDICT_MARK;
        break;
    case 4:
        slot->flags ^= (1 + ledger_random_below(random, 3)) & 3;
        break;
    default:
        event->velocity_max[number] = 1;
    }
}

static void limits_spoil(struct ledger_random *random, struct giro_limits *event)
{
    switch (ledger_random_below(random, 11)) {
    case 0:
        event->timestamp = 1 + ledger_random_below(random, 9);
        break;
    case 1:
        event->reserved = (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 2:
    case 8:
    case 9:
        slot_spoil(random, event);
        break;
    case 3:
        event->flags ^= (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 4:
        event->account_id = chance(random, 50) ? 0 : GIRO_U128_MAX;
        break;
    case 5:
        event->account_id = LEDGER_RANDOM_ACCOUNTS + 1 + ledger_random_below(random, 2);
        break;
    case 6:
        event->over_capture = GIRO_OVER_CAPTURE_MAX + 1;
        break;
    case 7:
        event->over_capture = UINT32_MAX;
        break;
    default:
        event->floor = 1 + ledger_random_below(random, 9);
    }
}

/* A little more than a sum is now, and seldom a little less. */
static giro_u128 near(struct ledger_random *random, giro_u128 sum)
{
    giro_u128 some = ledger_random_below(random, 60);
    if (chance(random, 20))
        return sum > some ? sum - some : 1;
    return sum < GIRO_U128_MAX - some ? sum + some : GIRO_U128_MAX;
}

/* What an account has on the side that its balance_max is for. */
static giro_u128 balance_of(const struct giro_account *account)
{
    giro_u128 debits = account->debits_posted;
    giro_u128 credits = account->credits_posted;
    if ((account->flags & GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS) != 0)
        return debits + account->debits_pending > credits
                   ? debits + account->debits_pending - credits
                   : 0;
    return credits + account->credits_pending > debits ? credits + account->credits_pending - debits
                                                       : 0;
}

/* About as much as passes through an account within the window, which is mostly so short that some
 * windows pass. */
static void slot_choose(struct ledger_random *random, const struct giro_account *account,
                        struct giro_velocity *slot, uint64_t *max)
{
    static const uint64_t large[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 40, 50};
    bool counted = chance(random, 50);
    *slot = (struct giro_velocity){
        .period = (uint16_t)(1 + ledger_random_below(random, 4)),
        .window = (1 + ledger_random_below(random, 3)) & 3,
        .verdict = ledger_random_below(random, 4) & 3,
        .flags = (ledger_random_below(random, 2) * GIRO_VELOCITY_CREDITS |
                  (counted ? 0 : GIRO_VELOCITY_AMOUNT)) &
                 3,
    };
    if (chance(random, 10)) {
        slot->unit = (uint8_t)ledger_random_below(random, 1 + GIRO_PERIOD_MONTHS);
        slot->period = (uint16_t)(1 + ledger_random_below(random, 14));
        if (slot->unit == GIRO_PERIOD_MONTHS)
            slot->window = GIRO_WINDOW_CALENDAR;
    }
    *max = 1 + ledger_random_below(random, counted ? 30 : 600);
    if (chance(random, 5))
        *max = 0;
    if (!counted && account->ledger == 3)
        *max = large[ledger_random_below(random, sizeof large / sizeof *large)];
}

/* The slots of before, often counting on with another maximum or verdict, and new ones. */
static void slots_choose(struct ledger_random *random, const struct giro_account *account,
                         struct giro_limits *event)
{
    const struct giro_limits *before = model_limits(random->model, account->id);
    for (uint32_t i = 0; i < GIRO_VELOCITY_SLOTS; i++) {
        if (chance(random, 20)) {
            slot_choose(random, account, &event->velocity[i], &event->velocity_max[i]);
        } else if (before != NULL && before->velocity[i].window != GIRO_WINDOW_NONE &&
                   chance(random, 60)) {
            event->velocity[i] = before->velocity[i];
            event->velocity_max[i] = before->velocity_max[i];
            if (chance(random, 40))
                event->velocity[i].verdict = ledger_random_below(random, 4) & 3;
            if (chance(random, 40))
                event->velocity_max[i] += ledger_random_below(random, 20);
        }
    }
}

static void limits_choose(struct ledger_random *random, const struct giro_account *account,
                          struct giro_limits *event)
{
    static const uint32_t over_captures[] = {0, 1, 500, 2000, GIRO_OVER_CAPTURE_MAX};
    const uint16_t guarded =
        GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS | GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS;
    if (chance(random, (account->flags & guarded) != 0 ? 60 : 1))
        event->floor = ledger_random_below(random, 80);
    if (event->floor != 0 && chance(random, 3))
        event->floor = GIRO_U128_MAX - ledger_random_below(random, 3);
    if (chance(random, 25))
        event->balance_max = near(random, balance_of(account));
    if (chance(random, 12))
        event->transfer_max = near(random, account->ledger == 3 ? UINT64_MAX : 30);
    if (chance(random, 50))
        event->over_capture = over_captures[ledger_random_below(random, sizeof over_captures /
                                                                            sizeof *over_captures)];
    if (chance(random, 12))
        event->flags = (uint16_t)(1u << ledger_random_below(random, 3));
    slots_choose(random, account, event);
}

/* A blocked account is soon open again, or everything would come to stand still. */
static uint32_t limits_unblock(struct ledger_random *random, struct giro_limits *events)
{
    const struct model *model = random->model;
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->now.accounts_count && count < LEDGER_RANDOM_EVENTS / 2; i++) {
        const struct giro_limits *row = model_limits(model, model->now.accounts[i].id);
        if (row == NULL || row->flags == 0 || !chance(random, 80))
            continue;
        events[count] = *row;
        events[count].timestamp = 0;
        events[count++].flags = 0;
    }
    return count;
}

uint32_t ledger_random_limits(struct ledger_random *random, struct giro_limits *events)
{
    const struct model_state *state = &random->model->now;
    uint32_t count = limits_unblock(random, events);
    uint32_t more = 1 + (uint32_t)ledger_random_below(random, 5);
    for (uint32_t i = 0; i < more; i++, count++) {
        /* Mostly of those that there were first: few transfers are about the others. */
        uint64_t accounts = state->accounts_count;
        if (accounts > LEDGER_RANDOM_ACCOUNTS && !chance(random, 10))
            accounts = LEDGER_RANDOM_ACCOUNTS;
        const struct giro_account *account =
            &state->accounts[ledger_random_below(random, accounts)];
        events[count] = (struct giro_limits){.account_id = account->id};
        if (!chance(random, 20)) /* else all zeros */
            limits_choose(random, account, &events[count]);
        if (chance(random, 20))
            limits_spoil(random, &events[count]);
    }
    return count;
}

static void cut_off_spoil(struct ledger_random *random, struct giro_cut_off *event)
{
    switch (ledger_random_below(random, 7)) {
    case 0:
        event->timestamp = 1 + ledger_random_below(random, 9);
        break;
    case 1:
        event->reserved[ledger_random_below(random, sizeof event->reserved)] = 1;
        break;
    case 2:
        event->reserved_1 = (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 3:
        event->flags = (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 4:
        event->ledger = 0;
        break;
    case 5:
        event->epoch += 1 + ledger_random_below(random, 3);
        break;
    default:
        event->epoch = ledger_random_below(random, event->epoch + 1);
    }
}

uint32_t ledger_random_cut_offs(struct ledger_random *random, struct giro_cut_off *events)
{
    uint32_t count = 1 + (uint32_t)ledger_random_below(random, 4);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ledger = 1 + (uint32_t)ledger_random_below(random, 3);
        if (chance(random, 5))
            ledger += 3 + (uint32_t)ledger_random_below(random, 5);
        events[i] = (struct giro_cut_off){
            .epoch = model_epoch(random->model, ledger),
            .ledger = ledger,
        };
        if (chance(random, 30))
            cut_off_spoil(random, &events[i]);
    }
    return count;
}

/* ---- Leases ------------------------------------------------------------------------------ */

static void lease_spoil(struct ledger_random *random, struct giro_lease *event)
{
    switch (ledger_random_below(random, 12)) {
    case 0:
        event->timestamp = 1;
        break;
    case 1:
        event->reserved[ledger_random_below(random, sizeof event->reserved)] = 1;
        break;
    case 2:
        event->deadline = 1;
        break;
    case 3:
        event->row = 1;
        break;
    case 4:
        event->flags = (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 5:
        event->key = chance(random, 50) ? 0 : GIRO_U128_MAX;
        break;
    case 6:
        event->owner = 0;
        break;
    case 7:
        event->action = (uint16_t)(4 * ledger_random_below(random, 3));
        break;
    case 8:
        event->timeout_ms = chance(random, 50) ? 0 : GIRO_LEASE_TIMEOUT_MS_MAX + 1;
        break;
    case 9:
        event->timeout_ms = GIRO_LEASE_TIMEOUT_MS_MAX;
        break;
    case 10:
        event->result = 1;
        break;
    default:
        event->token++;
    }
}

static void lease_choose(struct ledger_random *random, struct giro_lease *event)
{
    *event = (struct giro_lease){
        .key = 1 + ledger_random_below(random, LEDGER_RANDOM_KEYS),
        .owner = 1 + ledger_random_below(random, 3),
        .timeout_ms = (uint32_t)(1 + ledger_random_below(random, 2500)),
        .action = GIRO_LEASE_ACQUIRE,
    };
    const struct giro_lease *lease = model_lease_of(random->model, event->key);
    if (lease == NULL || chance(random, 45))
        return;
    event->action = chance(random, 65) ? GIRO_LEASE_RENEW : GIRO_LEASE_RELEASE;
    event->token = lease->token;
    if (!chance(random, 15))
        event->owner = lease->owner;
    if (event->action == GIRO_LEASE_RELEASE)
        event->timeout_ms = 0;
}

uint32_t ledger_random_leases(struct ledger_random *random, struct giro_lease *events)
{
    uint32_t count = 1 + (uint32_t)ledger_random_below(random, 6);
    for (uint32_t i = 0; i < count; i++) {
        lease_choose(random, &events[i]);
        if (chance(random, 12))
            lease_spoil(random, &events[i]);
    }
    return count;
}

bool ledger_random_fence(struct ledger_random *random, struct giro_fence *fence)
{
    *fence = (struct giro_fence){0};
    if (!chance(random, 15))
        return false;
    const struct giro_lease *lease =
        model_lease_of(random->model, 1 + ledger_random_below(random, LEDGER_RANDOM_KEYS));
    if (lease != NULL)
        *fence = (struct giro_fence){.key = lease->key, .token = lease->token};
    if (chance(random, 5))
        fence->token--;
    return true;
}

/* ---- Schedules --------------------------------------------------------------------------- */

static void schedule_spoil_more(struct ledger_random *random, struct giro_schedule *event)
{
    switch (ledger_random_below(random, 10)) {
    case 0:
        event->transfer.flags ^= (uint16_t)(1u << ledger_random_below(random, 16));
        break;
    case 1:
        event->transfer.debit_account_id = LEDGER_RANDOM_ACCOUNTS + 1;
        break;
    case 2:
        event->transfer.credit_account_id = LEDGER_RANDOM_ACCOUNTS + 2;
        break;
    case 3:
        event->transfer.ledger = (uint32_t)ledger_random_below(random, 4);
        break;
    case 4:
        event->transfer.code = 0;
        break;
    case 5:
        event->transfer.timeout ^= 1;
        break;
    case 6:
        event->transfer.id = 1;
        break;
    case 7:
        event->transfer.amount++;
        break;
    case 8:
        event->transfer.credit_account_id = event->transfer.debit_account_id;
        break;
    default:
        event->transfer.credit_account_id = 1 + ledger_random_below(random, 16);
    }
}

static void schedule_spoil(struct ledger_random *random, struct giro_schedule *event)
{
    switch (ledger_random_below(random, 20)) {
    case 0:
        event->timestamp = 1;
        break;
    case 1:
        event->flags = 1;
        break;
    case 2:
        event->state = GIRO_SCHEDULE_ACTIVE;
        break;
    case 3:
        event->id = chance(random, 50) ? 0 : GIRO_U128_MAX;
        break;
    case 4:
        event->rule = (uint8_t)ledger_random_below(random, 5);
        break;
    case 5:
        event->interval = 0;
        break;
    case 6:
        event->first = ledger_random_below(random, 2) << 63;
        break;
    case 7:
        event->day ^= (uint8_t)(1u << ledger_random_below(random, 8));
        break;
    case 8:
        event->end = event->first - 1;
        break;
    case 9:
        event->retries = (uint8_t)ledger_random_below(random, 6);
        break;
    case 10:
        event->retry_s[ledger_random_below(random, GIRO_SCHEDULE_RETRIES_MAX)] ^= 1;
        break;
    default:
        schedule_spoil_more(random, event);
    }
}

/* Months or years, whose first occurrence lies some months back, on one of their last days. */
static void months_choose(struct ledger_random *random, struct giro_schedule *event)
{
    const uint64_t day_ns = 86400 * GIRO_NS_PER_S;
    const uint64_t january_2020 = 18262 * day_ns;
    struct giro_schedule monthly = {.rule = GIRO_SCHEDULE_MONTHS, .interval = 1};
    monthly.day = (uint8_t)(26 + ledger_random_below(random, 6));
    monthly.first =
        january_2020 + (monthly.day - 1u) * day_ns + ledger_random_below(random, day_ns);
    uint64_t months = random->clock_ns / (day_ns * 365 / 12) - 600; /* about */
    months = months > 5000 ? 0 : months;
    event->rule = chance(random, 70) ? GIRO_SCHEDULE_MONTHS : GIRO_SCHEDULE_YEARS;
    event->interval = 1 + (uint32_t)ledger_random_below(random, 4);
    event->day = monthly.day;
    event->first = model_schedule_due(
        &monthly, (uint32_t)(months - ledger_random_below(random, months < 20 ? 1 : 20)));
    if (chance(random, 5))
        event->interval = UINT32_MAX;
}

static void when_choose(struct ledger_random *random, struct giro_schedule *event)
{
    event->rule = GIRO_SCHEDULE_SECONDS;
    event->interval = 1 + (uint32_t)ledger_random_below(random, 3);
    event->first =
        random->clock_ns - 2 * GIRO_NS_PER_S + ledger_random_below(random, 4 * GIRO_NS_PER_S);
    if (chance(random, 20))
        months_choose(random, event);
    if (chance(random, 80))
        event->occurrences = 1 + (uint32_t)ledger_random_below(random, 6);
    if (chance(random, 30))
        event->end = event->first + ledger_random_below(random, 8 * GIRO_NS_PER_S);
    if (chance(random, 60))
        event->retries = (uint8_t)ledger_random_below(random, 1 + GIRO_SCHEDULE_RETRIES_MAX);
    for (uint32_t i = 0; i < event->retries; i++)
        event->retry_s[i] =
            chance(random, 4) ? UINT32_MAX : 1 + (uint32_t)ledger_random_below(random, 2);
}

static void schedule_choose(struct ledger_random *random, struct giro_schedule *event)
{
    struct giro_transfer *transfer = &event->transfer;
    *event = (struct giro_schedule){.id = ledger_random_id(++random->schedule_next)};
    when_choose(random, event);
    accounts_choose(random, transfer);
    transfer->code = (uint16_t)(1 + ledger_random_below(random, 2));
    transfer->amount = amount(random, transfer->ledger);
    transfer->user_data_64 = ledger_random_below(random, 3);
    if (chance(random, 30)) {
        transfer->flags |= GIRO_TRANSFER_PENDING;
        transfer->timeout = (uint32_t)ledger_random_below(random, 4);
    }
    if (chance(random, 10))
        transfer->flags |= GIRO_TRANSFER_BALANCING_DEBIT;
    if (chance(random, 10))
        transfer->flags |= GIRO_TRANSFER_BALANCING_CREDIT;
    if (chance(random, 5))
        transfer->flags |= GIRO_TRANSFER_NO_LIMIT;
}

/* One that was sent before. */
static void schedule_repeat(struct ledger_random *random, struct giro_schedule *event)
{
    const struct model *model = random->model;
    if (model->schedules_count == 0)
        return;
    *event = model->schedules[ledger_random_below(random, model->schedules_count)];
    event->next = 0;
    event->made = 0;
    event->last_id = 0;
    event->occurrence = 0;
    event->attempt = 0;
    event->last_result = 0;
    event->state = 0;
    event->timestamp = 0;
}

uint32_t ledger_random_schedules(struct ledger_random *random, struct giro_schedule *events)
{
    bool full = random->model->schedules_count + LEDGER_RANDOM_EVENTS > MODEL_SCHEDULES_MAX;
    uint32_t count = 1 + (uint32_t)ledger_random_below(random, 4);
    for (uint32_t i = 0; i < count; i++) {
        schedule_choose(random, &events[i]);
        if (full || chance(random, 15))
            schedule_repeat(random, &events[i]);
        if (chance(random, 25))
            schedule_spoil(random, &events[i]);
    }
    return count;
}

uint32_t ledger_random_cancels(struct ledger_random *random, giro_u128 *ids)
{
    uint32_t count = 1 + (uint32_t)ledger_random_below(random, 3);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = ledger_random_id(1 + ledger_random_below(random, random->schedule_next + 2));
    return count;
}

/* ---- At the start ------------------------------------------------------------------------ */

uint32_t ledger_random_first_accounts(struct ledger_random *random, struct giro_account *events)
{
    uint32_t count = 0;
    uint64_t late = 1 + ledger_random_below(random, LEDGER_RANDOM_ACCOUNTS);
    for (uint64_t id = 1; id <= LEDGER_RANDOM_ACCOUNTS; id++) {
        if (id != late)
            events[count++] = account_of(id);
    }
    return count;
}
