/* The rules of the ledger for one event: what stands against it, and its execution when nothing does.
 *
 * Every check returns one named result and changes nothing. The order of the checks is the order of
 * precedence that docs/protocol.md promises. What has passed them is applied (engine/apply.h), which
 * cannot fail. */
#ifndef ENGINE_RULES_H
#define ENGINE_RULES_H

#include "engine/ledger.h"

/* Transfers that name a hold, and inherit from it what they leave out. */
#define HOLD_FLAGS (GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_ADJUST)

/* An event that is executed, and where to. */
struct execution {
    const struct record_cache *cache;
    const struct giro_transfer *event;
    const struct ledger_event *prepared;
    const struct giro_fence *fence; /* NULL: the request carries no lease */
    uint64_t now;
    uint64_t timestamp;    /* now, or the event's own when it is imported */
    union record *records; /* room for two */
    uint64_t address;      /* of the first */
    uint32_t record_count; /* out */
};

/* Executes a transfer, or an account, whose place in its request is sound. Returns its result: when
 * it is 0, record_count records were made and applied, else nothing has changed. */
uint32_t transfer_execute(struct ledger *ledger, struct execution *execution);
uint32_t account_execute(struct ledger *ledger, const struct giro_account *event,
                         uint64_t timestamp, union record *record);

/* Whether an event is well-formed and its id is new (created), burnt, or exists, and how far it is
 * equal then. */
enum giro_transfer_result transfer_identity(const struct ledger *ledger,
                                            const struct record_cache *cache,
                                            const struct giro_transfer *event, uint64_t hash);
enum giro_account_result account_identity(const struct ledger *ledger,
                                          const struct giro_account *event);

/* Whether a transfer may be what a schedule makes. */
enum giro_schedule_result template_check(const struct ledger *ledger,
                                         const struct giro_transfer *event);

/* ---- Records by id ----------------------------------------------------------------------- */

/* The record that was accepted, or burnt, under this id; NULL when the id is new. */
static inline const union record *record_find(const struct ledger *ledger,
                                              const struct record_cache *cache, giro_u128 id,
                                              uint64_t hash, uint64_t *out_address)
{
    struct index_cursor cursor = index_search(&ledger->transfers, hash);
    for (;;) {
        uint64_t address = index_next(&ledger->transfers, &cursor);
        if (address == 0)
            return NULL;
        const union record *record = record_at(&ledger->window, cache, address);
        assert(record != NULL); /* chunk_missing() or ledger_prepare_lookup() asked for it */
        if (record->transfer.id == id) {
            *out_address = address;
            return record;
        }
    }
}

/* Lists the records that may be stored under a hash and that are out of memory. */
static inline uint32_t missing_add(const struct ledger *ledger, const struct record_cache *cache,
                                   uint64_t hash, uint64_t *addresses, uint32_t count)
{
    struct index_cursor cursor = index_search(&ledger->transfers, hash);
    for (;;) {
        uint64_t address = index_next(&ledger->transfers, &cursor);
        if (address == 0)
            return count;
        if (record_at(&ledger->window, cache, address) == NULL && count < LEDGER_FETCH_MAX)
            addresses[count++] = address;
    }
}

#endif
