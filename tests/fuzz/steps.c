#include "tests/fuzz/steps.h"

#include "tests/fuzz/fuzz.h"
#include "tests/ledger_model.h"
#include "tests/scratch.h"

#include <string.h>

/* ---- From a step to an event ------------------------------------------------------------- */

giro_u128 step_id(uint8_t number)
{
    if (number == 255)
        return GIRO_U128_MAX;
    return number % 2 == 0 ? (giro_u128)number << 64 | number : number;
}

/* 0, and ids that are mostly accounts. */
giro_u128 step_account_id(uint8_t number)
{
    return step_id(number < 224 ? number % 16 : number < 254 ? number % 48 : number);
}

static giro_u128 amount_of(uint8_t number)
{
    static const giro_u128 large[] = {
        GIRO_U128_MAX,         GIRO_U128_MAX - 1,  GIRO_U128_MAX - 2,         GIRO_U128_MAX / 2,
        GIRO_U128_MAX / 2 + 1, GIRO_U128_MAX - 40, (giro_u128)UINT64_MAX + 1, UINT64_MAX,
    };
    return number < 240 ? number % 64 : large[number % 8];
}

static uint32_t timeout_of(uint8_t number)
{
    return number < 128 ? 0 : number < 250 ? number % 4 : UINT32_MAX;
}

static uint64_t timestamp_of(uint8_t number, bool imported, const struct ledger *ledger,
                             uint64_t clock_ns)
{
    if (!imported)
        return number < 250 ? 0 : number;
    switch (number % 16) {
    case 0:
        return number < 128 ? 0 : 1ull << 63;
    case 1:
        return clock_ns;
    case 2:
        return clock_ns - 1;
    case 3:
        return ledger->account_timestamp_last;
    case 4:
        return number;
    default:
        return ledger->transfer_timestamp_last + number % 16 + number / 16;
    }
}

struct giro_transfer step_transfer(const struct step *step, const struct ledger *ledger,
                                   uint64_t clock_ns)
{
    struct giro_transfer event = {
        .id = step_id(step->id),
        .debit_account_id = step_account_id(step->debit),
        .credit_account_id = step_account_id(step->credit),
        .amount = amount_of(step->amount),
        .flags = step->flags & GIRO_TRANSFER_FLAGS_ALL,
        .ledger = step->ledger % 16 < 14 ? 1 + step->ledger % 2 : step->ledger % 4,
        .code = step->code % 16 < 15 ? 1 + step->code % 2 : 0,
        .user_data_128 = step->user_data & 3,
        .user_data_64 = step->user_data >> 2 & 3,
        .user_data_32 = step->user_data >> 4 & 3,
    };
    const uint16_t refers =
        GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_ADJUST;
    if ((event.flags & refers) != 0) {
        event.pending_id = step_id(step->pending);
        if (step->spoilt % 4 != 0) /* mostly everything else is inherited */
            event.debit_account_id = event.credit_account_id = event.ledger = event.code = 0;
    } else if ((event.flags & GIRO_TRANSFER_RETURN) != 0 || step->spoilt % 16 == 0) {
        event.pending_id = step_id(step->pending);
    }
    if ((event.flags & GIRO_TRANSFER_PENDING) != 0 || step->spoilt % 16 == 1)
        event.timeout = timeout_of(step->timeout);
    if (step->spoilt == 2)
        event.flags = step->flags;
    if (step->scheduled[0] >= 224) /* somebody takes the id of an attempt */
        event.id = model_schedule_transfer_id(step_id(step->scheduled[1] % 16),
                                              step->scheduled[0] % 4, step->scheduled[0] / 4 % 2);
    event.timestamp = timestamp_of(step->timestamp, (event.flags & GIRO_TRANSFER_IMPORTED) != 0,
                                   ledger, clock_ns);
    return event;
}

struct giro_account step_account(const struct step *step, const struct ledger *ledger,
                                 uint64_t clock_ns)
{
    struct giro_account event = {
        .id = step_account_id(step->id),
        .ledger = step->ledger % 16 < 14 ? 1 + step->ledger % 2 : step->ledger % 4,
        .code = step->code % 16 < 15 ? 1 + step->code % 2 : 0,
        .flags = step->flags & GIRO_ACCOUNT_FLAGS_ALL,
        .user_data_128 = step->user_data & 3,
        .user_data_64 = step->user_data >> 2 & 3,
        .user_data_32 = step->user_data >> 4 & 3,
    };
    giro_u128 *const balances[] = {&event.debits_pending, &event.debits_posted,
                                   &event.credits_pending, &event.credits_posted};
    if (step->spoilt < 4)
        *balances[step->spoilt] = step->amount;
    if (step->spoilt == 4)
        event.reserved = step->amount;
    if (step->spoilt == 5)
        event.flags = step->flags;
    event.timestamp =
        timestamp_of(step->timestamp, (event.flags & GIRO_ACCOUNT_IMPORTED) != 0, ledger, clock_ns);
    return event;
}

/* A slot of velocity limits, or none, out of what only transfers use. */
static void slot_set(struct giro_limits *event, const struct step *step)
{
    uint32_t number = step->ledger % GIRO_VELOCITY_SLOTS;
    event->velocity[number] = (struct giro_velocity){
        .period = step->code / 8,
        .unit = step->code % 8,
        .window = step->user_data & 3,
        .verdict = step->user_data >> 2 & 3,
        .flags = step->user_data >> 4 & 3,
    };
    event->velocity_max[number] = (uint64_t)amount_of(step->amount);
    if (event->velocity[number].window == GIRO_WINDOW_NONE && step->spoilt != 3) {
        event->velocity[number] = (struct giro_velocity){0};
        event->velocity_max[number] = 0;
    }
}

struct giro_limits step_limits(const struct step *step)
{
    struct giro_limits event = {
        .account_id = step_account_id(step->id),
        .floor = step->credit < 64 ? amount_of(step->amount) : 0,
        .balance_max = step->debit < 64 ? amount_of(step->debit * 4) : 0,
        .transfer_max = step->pending < 64 ? amount_of(step->pending * 4) : 0,
        .over_capture = step->timeout < 128 ? 0 : step->timeout * 400u,
        .flags = step->flags & GIRO_LIMITS_FLAGS_ALL,
        .timestamp = step->timestamp < 250 ? 0 : step->timestamp,
    };
    slot_set(&event, step);
    if (step->spoilt == 2)
        event.flags = step->flags;
    if (step->spoilt == 3)
        event.velocity[step->code % GIRO_VELOCITY_SLOTS].window = step->ledger & 0xf;
    if (step->spoilt == 4)
        event.reserved = step->code;
    if (step->spoilt == 5)
        event.over_capture = GIRO_OVER_CAPTURE_MAX + step->code - 2u;
    return event;
}

struct giro_cut_off step_cut_off(const struct step *step, const struct ledger *ledger)
{
    struct giro_cut_off event = {.ledger =
                                     step->ledger % 16 < 14 ? 1 + step->ledger % 2 : step->ledger};
    const struct epoch *epoch = settlements_epoch(&ledger->settlements, event.ledger);
    event.epoch = epoch != NULL ? epoch->epoch : 0;
    if (step->timeout % 8 == 1)
        event.epoch = step->amount;
    if (step->spoilt < sizeof event.reserved)
        event.reserved[step->spoilt] = step->code / 128;
    if (step->spoilt == 250)
        event.reserved_1 = step->code;
    if (step->spoilt == 251)
        event.flags = step->flags;
    if (step->spoilt == 252)
        event.timestamp = step->timestamp;
    if (step->spoilt == 253)
        event.ledger = 0;
    return event;
}

/* Whether a lease of this key is known; then it is copied. */
static bool lease_of(const struct ledger *ledger, giro_u128 key, struct giro_lease *out)
{
    return ledger_get_leases(ledger, &key, 1, out) == 1;
}

struct giro_lease step_lease(const struct step *step, const struct ledger *ledger)
{
    struct giro_lease known = {0};
    struct giro_lease event = {
        .key = step_account_id(step->debit) % 8,
        .owner = 1 + step->credit % 3,
        .timeout_ms = 1 + step->timeout * 20u,
        .action = (uint16_t)(step->code % 16 < 15 ? 1 + step->code % 3 : step->code),
    };
    bool there = lease_of(ledger, event.key, &known);
    if (event.action != GIRO_LEASE_ACQUIRE || step->spoilt == 240)
        event.token = known.token + (step->spoilt == 241);
    if (event.action != GIRO_LEASE_ACQUIRE && there && step->spoilt % 8 != 0)
        event.owner = known.owner;
    if (event.action == GIRO_LEASE_RELEASE)
        event.timeout_ms = step->spoilt == 242;
    if (step->spoilt < sizeof event.reserved)
        event.reserved[step->spoilt] = step->amount / 128;
    if (step->spoilt == 243)
        event.deadline = step->timestamp;
    if (step->spoilt == 244)
        event.row = step->amount;
    if (step->spoilt == 245)
        event.flags = step->flags;
    if (step->spoilt == 246)
        event.result = step->flags;
    if (step->spoilt == 247)
        event.timestamp = step->timestamp;
    if (step->spoilt == 248)
        event.key = GIRO_U128_MAX;
    if (step->spoilt == 249)
        event.timeout_ms = GIRO_LEASE_TIMEOUT_MS_MAX + step->amount % 2;
    return event;
}

struct giro_fence step_fence(const struct step *step, const struct ledger *ledger)
{
    struct giro_lease known = {0};
    const giro_u128 key = step_account_id(step->debit) % 8;
    (void)lease_of(ledger, key, &known);
    return (struct giro_fence){.key = key, .token = known.token + (step->spoilt == 241)};
}

/* The first of a month, so that day 1 fits, or any time. */
static void rule_choose(const struct step *step, uint64_t clock_ns, struct giro_schedule *event)
{
    const uint64_t february_2020 = 18293 * 86400 * GIRO_NS_PER_S;
    event->interval = step->spoilt == 230 ? UINT32_MAX : step->code % 4;
    event->rule = (uint8_t)(step->ledger % 16 < 14 ? GIRO_SCHEDULE_SECONDS : step->ledger % 5);
    event->first = clock_ns + step->timestamp * (GIRO_NS_PER_S / 8) - 8 * GIRO_NS_PER_S;
    if (event->rule == GIRO_SCHEDULE_SECONDS)
        return;
    event->first = february_2020 + step->timestamp;
    event->day = step->amount % 4 != 0 ? 1 : step->amount;
}

struct giro_schedule step_schedule(const struct step *step, uint64_t clock_ns)
{
    struct giro_schedule event = {
        .id = step_id(step->id),
        .occurrences = 1 + step->pending % 8,
        .retries = step->timeout % 4 == 3 ? step->timeout % 5 : 0,
        .transfer = {.debit_account_id = step_account_id(step->debit),
                     .credit_account_id = step_account_id(step->credit),
                     .amount = amount_of(step->amount),
                     .timeout = (step->flags & GIRO_TRANSFER_PENDING) != 0 ? step->timeout % 4 : 0,
                     .ledger = step->spoilt == 231 ? 2 : 1,
                     .code = step->spoilt != 232,
                     .flags =
                         step->flags & (GIRO_TRANSFER_PENDING | GIRO_TRANSFER_BALANCING_DEBIT |
                                        GIRO_TRANSFER_BALANCING_CREDIT | GIRO_TRANSFER_NO_LIMIT)},
    };
    rule_choose(step, clock_ns, &event);
    for (uint32_t i = 0; i < event.retries && i < GIRO_SCHEDULE_RETRIES_MAX; i++)
        event.retry_s[i] = step->spoilt == 233 ? UINT32_MAX : 1 + step->pending % 2;
    if (step->spoilt % 16 == 15)
        event.end = event.first + step->pending * (GIRO_NS_PER_S / 8);
    if (step->spoilt == 234)
        event.transfer.flags = step->flags;
    if (step->spoilt >= 235 && step->spoilt < 240)
        event.reserved[step->spoilt - 235] = step->amount;
    if (step->spoilt == 240)
        event.next = step->amount;
    if (step->spoilt == 241)
        event.timestamp = step->amount;
    if (step->spoilt == 242)
        event.flags = step->flags;
    if (step->spoilt == 243)
        event.transfer.pending_id = step->pending;
    return event;
}

/* ---- Mutation: of steps ------------------------------------------------------------------ */

/* Changes one field to another small value, or makes it equal to that of another step. */
static void step_change(struct rng *rng, uint8_t *step, const uint8_t *other)
{
    static const uint16_t follows[] = {
        GIRO_TRANSFER_POST_PENDING,
        GIRO_TRANSFER_POST_PENDING,
        GIRO_TRANSFER_VOID_PENDING,
        GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN,
        GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_FACT,
        GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_KEEP_OPEN,
        GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST,
    };
    uint32_t field = rng_below(rng, STEP_BYTES);
    switch (rng_below(rng, 4)) {
    case 0:
        step[field] ^= (uint8_t)(1u << rng_below(rng, 8));
        break;
    case 1:
        step[field] = (uint8_t)rng_next(rng);
        break;
    case 2:
        step[field] = other[field];
        break;
    default: { /* what one step made, another one resolves, raises or returns */
        uint16_t flags = follows[rng_below(rng, sizeof follows / sizeof follows[0])];
        step[offsetof(struct step, pending)] = other[offsetof(struct step, id)];
        if (rng_chance(rng, 30)) {
            step[offsetof(struct step, debit)] = other[offsetof(struct step, credit)];
            step[offsetof(struct step, credit)] = other[offsetof(struct step, debit)];
            flags = GIRO_TRANSFER_RETURN;
        }
        memcpy(&step[offsetof(struct step, flags)], &flags, sizeof flags);
    }
    }
}

static size_t steps_change(struct rng *rng, uint8_t *steps, size_t count, size_t count_max)
{
    uint8_t copy[STEP_BYTES];
    uint32_t at = rng_below(rng, (uint32_t)count);
    uint32_t from = rng_below(rng, (uint32_t)count);
    uint8_t *step = steps + (size_t)at * STEP_BYTES;
    memcpy(copy, steps + (size_t)from * STEP_BYTES, STEP_BYTES);
    switch (rng_below(rng, 5)) {
    case 0: /* once more, perhaps not quite the same */
        if (count == count_max)
            break;
        memmove(step + STEP_BYTES, step, (count - at) * STEP_BYTES);
        memcpy(step, copy, STEP_BYTES);
        if (rng_chance(rng, 60))
            step_change(rng, step, copy);
        return count + 1;
    case 1:
        memmove(step, step + STEP_BYTES, (count - at - 1) * STEP_BYTES);
        return count - 1;
    case 2:
        memcpy(steps + (size_t)from * STEP_BYTES, step, STEP_BYTES);
        memcpy(step, copy, STEP_BYTES);
        break;
    default:
        step_change(rng, step, copy);
    }
    return count;
}

size_t steps_mutate(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    struct rng rng = {seed};
    size_t count = size > 0 ? (size - 1) / STEP_BYTES : 0;
    size_t count_max = (size_max - 1) / STEP_BYTES;
    if (count == 0 || rng_chance(&rng, 10))
        return LLVMFuzzerMutate(data, size, size_max);
    for (uint32_t i = 1 + rng_below(&rng, 4); i > 0 && count > 0; i--)
        count = steps_change(&rng, data + 1, count, count_max < STEPS_MAX ? count_max : STEPS_MAX);
    if (rng_chance(&rng, 5))
        data[0] = (uint8_t)rng_next(&rng);
    return 1 + count * STEP_BYTES;
}
