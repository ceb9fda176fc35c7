/* Events and what happens between them, in 16 bytes each: inputs that name few ids, amounts and times,
 * so that events meet. Whatever the bytes, a step is one that makes some sense. */
#ifndef TESTS_FUZZ_STEPS_H
#define TESTS_FUZZ_STEPS_H

#include "engine/ledger.h"

enum { STEPS_MAX = 160, STEP_BYTES = 16 };

enum step_kind {
    STEP_TRANSFER,
    STEP_ACCOUNT,
    STEP_EXPIRE,
    STEP_CLOCK,
    STEP_FORGET,
    STEP_LIMITS = 14, /* between them: kinds of the requests' own */
    STEP_CUT_OFF = 21,
    STEP_LEASE = 24,
    STEP_SCHEDULE = 25,
    STEP_CANCEL = 26,
    STEP_FIRE = 27,
    STEP_FENCED = 28, /* a transfer of a request that carries a lease */
};

/* One event, or what happens between two requests. */
struct step {
    uint8_t kind; /* enum step_kind, or one of the target's own; any other is a transfer */
    uint8_t id;
    uint8_t debit;
    uint8_t credit;
    uint8_t pending;
    uint8_t amount;
    uint16_t flags;
    uint8_t ledger;
    uint8_t code;
    uint8_t timeout;
    uint8_t timestamp;
    uint8_t user_data;    /* two bits each; the two topmost: 0 ends the request */
    uint8_t spoilt;       /* a rule that is seldom broken */
    uint8_t scheduled[2]; /* a transfer that has the id of an attempt of a schedule, seldom */
};

_Static_assert(sizeof(struct step) == STEP_BYTES, "step");

/* The ids that steps name. */
giro_u128 step_id(uint8_t number);
giro_u128 step_account_id(uint8_t number);

/* The event of a step; imported times are near the ledger's last ones. */
struct giro_transfer step_transfer(const struct step *step, const struct ledger *ledger,
                                   uint64_t clock_ns);
struct giro_account step_account(const struct step *step, const struct ledger *ledger,
                                 uint64_t clock_ns);

struct giro_limits step_limits(const struct step *step);

/* Mostly of the epoch that a ledger is in. */
struct giro_cut_off step_cut_off(const struct step *step, const struct ledger *ledger);

/* Mostly of a lease that is there, under its token. */
struct giro_lease step_lease(const struct step *step, const struct ledger *ledger);
struct giro_fence step_fence(const struct step *step, const struct ledger *ledger);

/* Of some seconds from now on, or of months. */
struct giro_schedule step_schedule(const struct step *step, uint64_t clock_ns);

/* A mutator for inputs of one byte of options and steps. */
size_t steps_mutate(uint8_t *data, size_t size, size_t size_max, unsigned seed);

#endif
