#include "engine/settlements.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>

int settlements_init(struct settlements *settlements, uint32_t accounts_max)
{
    *settlements = (struct settlements){.capacity = accounts_max};
    settlements->rows = memory_reserve((size_t)accounts_max * sizeof *settlements->rows);
    settlements->by_account =
        memory_reserve((size_t)accounts_max * sizeof *settlements->by_account);
    settlements->epochs = memory_reserve(SETTLEMENTS_EPOCHS_MAX * sizeof *settlements->epochs);
    if (settlements->rows != NULL && settlements->by_account != NULL && settlements->epochs != NULL)
        return 0;
    settlements_free(settlements);
    return -ENOMEM;
}

void settlements_free(struct settlements *settlements)
{
    memory_release(settlements->rows, (size_t)settlements->capacity * sizeof *settlements->rows);
    memory_release(settlements->by_account,
                   (size_t)settlements->capacity * sizeof *settlements->by_account);
    memory_release(settlements->epochs, SETTLEMENTS_EPOCHS_MAX * sizeof *settlements->epochs);
    *settlements = (struct settlements){0};
}

void settlements_append(struct settlements *settlements, const struct settlement *row)
{
    assert(settlements->count < settlements->capacity &&
           settlements->by_account[row->account_row] == 0);
    settlements->rows[settlements->count++] = *row;
    settlements->by_account[row->account_row] = settlements->count;
}

void settlements_pop(struct settlements *settlements, uint32_t account_row)
{
    assert(settlements->by_account[account_row] == settlements->count);
    settlements->by_account[account_row] = 0;
    settlements->count--;
}

/* There are a few ledgers, one a currency. */
const struct epoch *settlements_epoch(const struct settlements *settlements, uint32_t ledger)
{
    for (uint32_t i = 0; i < settlements->epoch_count; i++) {
        if (settlements->epochs[i].ledger == ledger)
            return &settlements->epochs[i];
    }
    return NULL;
}

void settlements_cut(struct settlements *settlements, const struct epoch *epoch)
{
    const struct epoch *known = settlements_epoch(settlements, epoch->ledger);
    assert(known != NULL || settlements->epoch_count < SETTLEMENTS_EPOCHS_MAX);
    if (known == NULL)
        known = &settlements->epochs[settlements->epoch_count++];
    settlements->epochs[known - settlements->epochs] = *epoch;
}

void settlement_roll(struct settlement *row, uint64_t epoch)
{
    if (row->epoch == epoch)
        return;
    row->debits_before = row->debits;
    row->credits_before = row->credits;
    row->count_before = row->count;
    row->epoch_before = row->epoch;
    row->debits = 0;
    row->credits = 0;
    row->count = 0;
    row->epoch = epoch;
}
