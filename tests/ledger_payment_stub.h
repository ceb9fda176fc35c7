/* Stands in for what engine/ledger.h is to offer: to be deleted with the #include of it. */
#ifndef TESTS_LEDGER_PAYMENT_STUB_H
#define TESTS_LEDGER_PAYMENT_STUB_H

#include "engine/ledger.h"

struct ledger_payment {
    giro_u128 amount;
    giro_u128 taken;
    giro_u128 left;
    uint32_t marks;
    uint32_t depth;
};

static inline bool ledger_payment(const struct ledger *ledger, giro_u128 id,
                                  struct ledger_payment *out)
{
    (void)ledger;
    (void)id;
    *out = (struct ledger_payment){0};
    return false;
}

#endif
