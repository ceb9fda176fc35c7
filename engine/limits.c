#include "engine/limits.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>

int limits_init(struct limits_table *table, uint32_t accounts_max)
{
    *table = (struct limits_table){.capacity = accounts_max};
    table->rows = memory_reserve((size_t)accounts_max * sizeof *table->rows);
    table->by_account = memory_reserve((size_t)accounts_max * sizeof *table->by_account);
    if (table->rows != NULL && table->by_account != NULL)
        return 0;
    limits_free(table);
    return -ENOMEM;
}

void limits_free(struct limits_table *table)
{
    memory_release(table->rows, (size_t)table->capacity * sizeof *table->rows);
    memory_release(table->by_account, (size_t)table->capacity * sizeof *table->by_account);
    *table = (struct limits_table){0};
}

void limits_append(struct limits_table *table, const struct limits *row)
{
    assert(table->count < table->capacity && table->by_account[row->account_row] == 0);
    table->rows[table->count++] = *row;
    table->by_account[row->account_row] = table->count;
    table->counting += (row->flags & LIMITS_COUNT) != 0;
}

void limits_replace(struct limits_table *table, uint32_t number, const struct limits *row)
{
    struct limits *replaced = &table->rows[number];
    assert(number < table->count && replaced->account_row == row->account_row);
    table->counting -= (replaced->flags & LIMITS_COUNT) != 0;
    table->counting += (row->flags & LIMITS_COUNT) != 0;
    *replaced = *row;
}
