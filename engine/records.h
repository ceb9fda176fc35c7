/* Records of the log, and how the engine reads old ones back.
 *
 * Every accepted mutation is one 128-byte record in the log. A record's address is its position in
 * the log in units of 128 bytes, block headers and padding counted: from an address follow segment
 * file and offset without any table. Address 0 is always a block header, so 0 means "none".
 *
 * The two topmost bits of `flags` (offset 118 in accounts and transfers alike) tell the kind:
 *
 *   kind             | bits | layout
 *   RECORD_TRANSFER  | 00   | struct giro_transfer as accepted: actual amount, inherited fields
 *   RECORD_ACCOUNT   | 01   | struct giro_account as created
 *   RECORD_BURNT     | 10   | transfer layout: id, timestamp; code = the result that burnt the id
 *   RECORD_SYSTEM    | 11   | transfer layout; code = enum record_system
 *
 *   RECORD_SYSTEM_EXPIRY: pending_id = the expired transfer, debit_account_id, credit_account_id,
 *   amount and ledger copied from it; timestamp = when its balances were released.
 *
 * The engine performs no I/O. It reads recent records from the log window, the memory in which the
 * log's blocks are built, and older ones from a record_cache, which the caller fills with exactly
 * the addresses that the ledger asked for. */
#ifndef ENGINE_RECORDS_H
#define ENGINE_RECORDS_H

#include "engine/record.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define RECORD_ADDRESS_BITS 40
#define RECORD_ADDRESS_MAX ((1ull << RECORD_ADDRESS_BITS) - 1)

enum record_kind {
    RECORD_TRANSFER = 0,
    RECORD_ACCOUNT = 1,
    RECORD_BURNT = 2,
    RECORD_SYSTEM = 3,
};

enum { RECORD_KIND_SHIFT = 14, RECORD_FLAGS_MASK = (1 << RECORD_KIND_SHIFT) - 1 };

enum record_system {
    RECORD_SYSTEM_EXPIRY = 1,
};

/* One record of any kind. */
union record {
    struct giro_transfer transfer;
    struct giro_account account;
};

_Static_assert(sizeof(union record) == GIRO_RECORD_BYTES, "record size");

static inline enum record_kind record_kind(const union record *record)
{
    return (enum record_kind)(record->transfer.flags >> RECORD_KIND_SHIFT);
}

/* The recent end of the log, in memory: address a lies at base[a % records]. */
struct record_window {
    union record *base;
    uint64_t records; /* a power of two */
    uint64_t low;     /* the oldest address that is still there */
};

/* Records fetched from disk for one request: open addressing by address, half full at most. */
struct record_cache {
    uint64_t *addresses; /* 0: empty */
    union record *records;
    uint32_t slots; /* a power of two */
    uint32_t count;
};

/* Makes a cache for up to records_max records. Returns 0 or -ENOMEM. */
int record_cache_init(struct record_cache *cache, uint32_t records_max);
void record_cache_free(struct record_cache *cache);
void record_cache_clear(struct record_cache *cache);

/* Adds a record unless it is there. */
void record_cache_put(struct record_cache *cache, uint64_t address, const union record *record);

/* Returns NULL when the address is not there. */
const union record *record_cache_get(const struct record_cache *cache, uint64_t address);

/* The record at an address, NULL when it must be fetched first. cache may be NULL. */
static inline const union record *record_at(const struct record_window *window,
                                            const struct record_cache *cache, uint64_t address)
{
    assert(address != 0);
    if (address >= window->low)
        return &window->base[address & (window->records - 1)];
    return cache == NULL ? NULL : record_cache_get(cache, address);
}

#endif
