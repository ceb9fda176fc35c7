#include "engine/journal.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>

int journal_init(struct journal *journal, uint32_t capacity)
{
    *journal = (struct journal){.capacity = capacity};
    journal->entries = memory_reserve_sparse(capacity * sizeof *journal->entries);
    return journal->entries != NULL ? 0 : -ENOMEM;
}

void journal_free(struct journal *journal)
{
    memory_release(journal->entries, journal->capacity * sizeof *journal->entries);
    *journal = (struct journal){0};
}

struct journal_entry *journal_add(struct journal *journal, enum journal_kind kind,
                                  enum ledger_table table, uint32_t slot, uint64_t address)
{
    assert(journal->count < journal->capacity);
    struct journal_entry *entry = &journal->entries[journal->count++];
    entry->address = address;
    entry->slot = slot;
    entry->kind = (uint16_t)kind;
    entry->table = (uint16_t)table;
    return entry;
}
