#include "engine/payments.h"

#include "engine/journal.h"
#include "engine/memory.h"
#include "engine/planted.h"

#include <assert.h>
#include <errno.h>

int payments_init(struct payments *payments, uint32_t capacity, struct journal *journal,
                  uint64_t hash_seed)
{
    assert(capacity > 0 && capacity < PAYMENTS_NONE);
    *payments = (struct payments){
        .capacity = capacity,
        .hash_seed = hash_seed,
        .journal = journal,
    };
    payments->rows = memory_reserve((size_t)capacity * sizeof *payments->rows);
    if (payments->rows == NULL || index_init(&payments->index, capacity, 0, INDEX_LOAD_FAST) != 0) {
        payments_free(payments);
        return -ENOMEM;
    }
    return 0;
}

void payments_free(struct payments *payments)
{
    memory_release(payments->rows, (size_t)payments->capacity * sizeof *payments->rows);
    index_free(&payments->index);
    *payments = (struct payments){0};
}

uint32_t payments_find(const struct payments *payments, giro_u128 id)
{
    if (payments->count == 0)
        return PAYMENTS_NONE;
    struct index_cursor cursor = index_search(&payments->index, id_hash(id, payments->hash_seed));
    for (;;) {
        uint64_t value = index_next(&payments->index, &cursor);
        if (value == 0)
            return PAYMENTS_NONE;
        if (payments->rows[value - 1].id == id)
            return (uint32_t)(value - 1);
    }
}

uint32_t payments_append(struct payments *payments, const struct payment *row)
{
    assert(payments->count < payments->capacity);
    uint32_t number = payments->count++;
    payments->rows[number] = *row;
    index_insert(&payments->index, id_hash(row->id, payments->hash_seed), (uint64_t)number + 1);
    return number;
}

uint32_t payments_add(struct payments *payments, const struct payment *row, uint64_t address)
{
    uint32_t number = payments_append(payments, row);
    (void)journal_add(payments->journal, JOURNAL_ADDED, LEDGER_PAYMENTS, number, address);
    return number;
}

struct payment *payments_change(struct payments *payments, uint32_t row, uint64_t address)
{
    assert(row < payments->count);
    journal_change(payments->journal, LEDGER_PAYMENTS, row, address)->before.payment =
        payments->rows[row];
    return &payments->rows[row];
}

void payments_restore(struct payments *payments, const struct journal_entry *entry)
{
    if (entry->kind == JOURNAL_CHANGED) {
        payments->rows[entry->slot] = entry->before.payment;
        return;
    }
    assert(entry->kind == JOURNAL_ADDED && entry->slot + 1 == payments->count);
    uint32_t row = --payments->count;
    index_remove(&payments->index, id_hash(payments->rows[row].id, payments->hash_seed),
                 (uint64_t)row + 1);
}

bool payment_has_room(const struct payments *payments, uint32_t row, giro_u128 amount)
{
    bool counts = true; /* at this level */
    for (uint32_t next = row + 1; next != 0; counts = !counts) {
        const struct payment *payment = &payments->rows[next - 1];
        if (counts && !PLANTED(SKIP_CAP) &&
            (payment->taken > payment->amount || amount > payment->amount - payment->taken))
            return false;
        next = payment->parent;
    }
    return true;
}

giro_u128 payment_rest(const struct payments *payments, uint32_t row)
{
    giro_u128 rest = GIRO_U128_MAX;
    bool counts = true; /* at this level */
    for (uint32_t next = row + 1; next != 0; counts = !counts) {
        const struct payment *payment = &payments->rows[next - 1];
        giro_u128 here = amount_deduct(payment->amount, payment->taken);
        if (counts && here < rest)
            rest = here;
        next = payment->parent;
    }
    return rest;
}

/* Goes up from a row, and adds to what is taken, or deducts, at every second level. */
static void levels_change(struct payments *payments, uint32_t row, bool from_first, bool add,
                          giro_u128 amount, uint64_t address)
{
    bool counts = from_first;
    for (uint32_t next = row + 1; next != 0; counts = !counts) {
        uint32_t here = next - 1;
        next = payments->rows[here].parent;
        if (!counts)
            continue;
        struct payment *payment = payments_change(payments, here, address);
        payment->taken =
            add ? amount_add(payment->taken, amount) : amount_deduct(payment->taken, amount);
    }
}

void payment_reserve(struct payments *payments, uint32_t row, giro_u128 amount, uint64_t address)
{
    levels_change(payments, row, true, true, amount, address);
}

void payment_settle(struct payments *payments, uint32_t row, giro_u128 amount, uint64_t address)
{
    levels_change(payments, row, false, false, amount, address);
}

void payment_release(struct payments *payments, uint32_t row, giro_u128 amount, uint64_t address)
{
    levels_change(payments, row, true, false, amount, address);
}
