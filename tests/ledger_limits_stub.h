/* Stands in for what the engine does not have yet, so that the tests of limits compile and link. */
#ifndef TESTS_LEDGER_LIMITS_STUB_H
#define TESTS_LEDGER_LIMITS_STUB_H

#include "engine/ledger.h"

enum { RECORD_SYSTEM_LIMITS = 5 };

static inline void ledger_set_limits(struct ledger *ledger, const struct giro_limits *events,
                                     uint32_t count, uint64_t timestamp,
                                     struct ledger_output *output)
{
    (void)ledger;
    (void)events;
    (void)count;
    (void)timestamp;
    output->record_count = 0;
    output->result_count = 0;
}

static inline uint32_t ledger_get_limits(const struct ledger *ledger, const giro_u128 *ids,
                                         uint32_t count, void *limits)
{
    (void)ledger;
    (void)ids;
    (void)count;
    (void)limits;
    return 0;
}

static inline enum ledger_room ledger_room_limits(const struct ledger *ledger, uint32_t count)
{
    (void)ledger;
    (void)count;
    return LEDGER_ROOM;
}

#endif
