/* What the ledger answers without changing: accounts, transfers, payments, limits. */
#include "engine/rules.h"

#include <assert.h>
#include <string.h>

uint32_t ledger_prepare_lookup(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                               const struct record_cache *cache, uint64_t *addresses)
{
    uint32_t missing = 0;
    assert(count <= LEDGER_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        missing =
            missing_add(ledger, cache, id_hash(ids[i], ledger->hash_seed), addresses, missing);
    return missing;
}

uint32_t ledger_prepare_transfers(const struct ledger *ledger, const struct giro_transfer *events,
                                  uint32_t count, const struct record_cache *cache,
                                  uint64_t *addresses)
{
    uint32_t missing = 0;
    assert(count <= LEDGER_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        missing = missing_add(ledger, cache, id_hash(events[i].id, ledger->hash_seed), addresses,
                              missing);
        if (events[i].pending_id != 0)
            missing = missing_add(ledger, cache, id_hash(events[i].pending_id, ledger->hash_seed),
                                  addresses, missing);
    }
    return missing;
}

uint32_t ledger_lookup_accounts(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                void *accounts)
{
    char *out = accounts;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = accounts_find(&ledger->accounts, ids[i]);
        if (row == ACCOUNTS_NONE)
            continue;
        memcpy(out, &ledger->accounts.rows[row], GIRO_RECORD_BYTES);
        out += GIRO_RECORD_BYTES;
    }
    return (uint32_t)((out - (char *)accounts) / GIRO_RECORD_BYTES);
}

uint32_t ledger_lookup_transfers(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                 const struct record_cache *cache, void *transfers)
{
    char *out = transfers;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address;
        const union record *record =
            record_find(ledger, cache, ids[i], id_hash(ids[i], ledger->hash_seed), &address);
        if (record == NULL || record_kind(record) != RECORD_TRANSFER)
            continue;
        memcpy(out, record, GIRO_RECORD_BYTES);
        out += GIRO_RECORD_BYTES;
    }
    return (uint32_t)((out - (char *)transfers) / GIRO_RECORD_BYTES);
}

static uint16_t payment_state(enum hold_state state)
{
    static const uint16_t states[] = {
        [HOLD_OPEN] = GIRO_PAYMENT_PENDING,
        [HOLD_POSTED] = GIRO_PAYMENT_POSTED,
        [HOLD_VOIDED] = GIRO_PAYMENT_VOIDED,
        [HOLD_EXPIRED] = GIRO_PAYMENT_EXPIRED,
    };
    return states[state];
}

/* What became of a transfer, as far as its record and the table of payments tell. */
static struct giro_payment payment_of(const struct ledger *ledger,
                                      const struct giro_transfer *transfer, uint64_t address)
{
    struct giro_payment payment = {
        .id = transfer->id,
        .amount = transfer->amount,
        .origin = transfer->pending_id,
        .timestamp = transfer->timestamp,
        .ledger = transfer->ledger,
        .state = GIRO_PAYMENT_POSTED,
    };
    const bool is_hold = (transfer->flags & GIRO_TRANSFER_PENDING) != 0;
    if (is_hold) {
        enum hold_state state = holds_outcome(&ledger->holds, address);
        payment.state = payment_state(state);
        payment.left = transfer->amount;
    }
    uint32_t row = payments_find(&ledger->payments, transfer->id);
    if (row == PAYMENTS_NONE)
        return payment;
    const struct payment *kept = &ledger->payments.rows[row];
    payment.amount = kept->amount;
    payment.amended = is_hold;
    payment.captured = is_hold ? kept->taken : 0;
    payment.returned = is_hold ? 0 : kept->taken;
    payment.left = kept->left;
    payment.marks = kept->marks;
    payment.depth = kept->depth;
    return payment;
}

uint32_t ledger_lookup_payments(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                const struct record_cache *cache, void *payments)
{
    const unsigned told_by_hold = GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_ADJUST;
    char *out = payments;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t address;
        const union record *record =
            record_find(ledger, cache, ids[i], id_hash(ids[i], ledger->hash_seed), &address);
        if (record == NULL || record_kind(record) != RECORD_TRANSFER ||
            (record->transfer.flags & told_by_hold) != 0)
            continue;
        struct giro_payment payment = payment_of(ledger, &record->transfer, address);
        const struct hold *hold = holds_find(&ledger->holds, ids[i]);
        if (hold != NULL)
            payment.deadline = hold->expires_at;
        memcpy(out, &payment, sizeof payment);
        out += sizeof payment;
    }
    return (uint32_t)((out - (char *)payments) / GIRO_RECORD_BYTES);
}

uint32_t ledger_get_limits(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                           void *limits)
{
    char *out = limits;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = accounts_find(&ledger->accounts, ids[i]);
        const struct limits *kept = row == ACCOUNTS_NONE ? NULL : limits_of(&ledger->limits, row);
        if (kept == NULL)
            continue;
        struct giro_limits found = {
            .account_id = ids[i],
            .floor = kept->floor,
            .balance_max = kept->balance_max,
            .transfer_max = kept->transfer_max,
            .over_capture = kept->over_capture,
            .flags = kept->flags & GIRO_LIMITS_FLAGS_ALL,
            .timestamp = kept->timestamp,
        };
        for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
            found.velocity_max[s] = kept->slots[s].maximum;
            found.velocity[s] = kept->slots[s].rule;
        }
        memcpy(out, &found, sizeof found);
        out += sizeof found;
    }
    return (uint32_t)((out - (char *)limits) / GIRO_RECORD_BYTES);
}

uint32_t ledger_get_velocity(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                             uint64_t time, void *velocities)
{
    char *out = velocities;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = accounts_find(&ledger->accounts, ids[i]);
        const struct limits *kept = row == ACCOUNTS_NONE ? NULL : limits_of(&ledger->limits, row);
        if (kept == NULL)
            continue;
        struct giro_velocity_used used = {.account_id = ids[i], .timestamp = time};
        for (uint32_t s = 0; s < GIRO_VELOCITY_SLOTS; s++) {
            used.used[s] = velocity_used(&kept->slots[s], time, &used.end[s]);
            used.maximum[s] = kept->slots[s].maximum;
        }
        memcpy(out, &used, sizeof used);
        out += sizeof used;
    }
    return (uint32_t)((out - (char *)velocities) / GIRO_RECORD_BYTES);
}

uint32_t ledger_get_leases(const struct ledger *ledger, const giro_u128 *keys, uint32_t count,
                           void *leases)
{
    char *out = leases;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = leases_find(&ledger->leases, keys[i]);
        if (row == LEASES_NONE)
            continue;
        const struct lease *kept = &ledger->leases.rows[row];
        const struct giro_lease found = {
            .key = kept->key,
            .owner = kept->owner,
            .token = kept->token,
            .deadline = kept->deadline,
        };
        memcpy(out, &found, sizeof found);
        out += sizeof found;
    }
    return (uint32_t)((out - (char *)leases) / GIRO_RECORD_BYTES);
}

uint32_t ledger_get_schedules(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                              void *schedules)
{
    char *out = schedules;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = schedules_find(&ledger->schedules, ids[i]);
        if (row == SCHEDULES_NONE)
            continue;
        memcpy(out, &ledger->schedules.rows[row], sizeof(struct giro_schedule));
        out += sizeof(struct giro_schedule);
    }
    return (uint32_t)((size_t)(out - (char *)schedules) / sizeof(struct giro_schedule));
}

uint32_t ledger_get_settlements(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                void *settlements)
{
    char *out = settlements;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t account_row = accounts_find(&ledger->accounts, ids[i]);
        const uint32_t number =
            account_row == ACCOUNTS_NONE ? 0 : ledger->settlements.by_account[account_row];
        if (number == 0)
            continue;
        const uint32_t ledger_number = ledger->accounts.rows[account_row].ledger;
        const struct epoch *epoch = settlements_epoch(&ledger->settlements, ledger_number);
        struct settlement row = ledger->settlements.rows[number - 1];
        struct giro_settlement found = {.account_id = ids[i], .ledger = ledger_number};
        if (epoch != NULL) {
            settlement_roll(&row, epoch->epoch);
            found.epoch = epoch->epoch;
            found.begin = epoch->timestamp;
        }
        found.debits = row.debits;
        found.credits = row.credits;
        found.count = row.count;
        if (found.epoch != 0 && row.epoch_before == found.epoch - 1) {
            found.debits_before = row.debits_before;
            found.credits_before = row.credits_before;
            found.count_before = row.count_before;
        }
        memcpy(out, &found, sizeof found);
        out += sizeof found;
    }
    return (uint32_t)((out - (char *)settlements) / GIRO_RECORD_BYTES);
}

bool ledger_payment(const struct ledger *ledger, giro_u128 id, struct ledger_payment *out)
{
    uint32_t row = payments_find(&ledger->payments, id);
    if (row == PAYMENTS_NONE)
        return false;
    const struct payment *payment = &ledger->payments.rows[row];
    *out = (struct ledger_payment){
        .amount = payment->amount,
        .taken = payment->taken,
        .left = payment->left,
        .marks = payment->marks,
        .depth = payment->depth,
    };
    return true;
}
