/* What every request must be answered with, and what must be left after a crash.
 *
 * The program tells the judge what it executes, in its order (hooks.c): the history, one entry a
 * request that changes anything, or an expiry. The judge executes the same with an independent model
 * (tests/ledger_model.h) and compares each result at once. From the history follows what each reply
 * must be, to the byte, and what each query may answer: everything up to the moment it was asked,
 * perhaps more, nothing that is not durable by then.
 *
 * A position counts entries. A reply that a client has got raises the floor: everything that it
 * depended on must survive whatever happens next. After a restart the ledger must be what it was at
 * some position from the floor on; the entries behind it never happened.
 *
 * Strict serialisability: the order of execution is the order of the history; every reply is what
 * this order gives; and what was asked after another reply had arrived is executed behind it. */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include "engine/ledger.h"
#include "net/frame.h"
#include "tests/ledger_model.h"

/* One accepted mutation, in the order of the change stream. */
struct judge_change {
    uint32_t entry;
    enum giro_change_kind kind;
    struct giro_account account; /* of GIRO_CHANGE_ACCOUNT_CREATED */
    struct giro_limits limits;   /* of GIRO_CHANGE_LIMITS_SET */
    struct giro_cut_off cut_off; /* of GIRO_CHANGE_CUT_OFF */
    struct giro_lease lease;     /* of GIRO_CHANGE_LEASE */
    struct giro_schedule
        schedule;              /* of GIRO_CHANGE_SCHEDULE_CREATED, where its first half is read */
    struct giro_firing firing; /* of GIRO_CHANGE_SCHEDULE_CANCELLED, _FIRED */
    struct giro_transfer transfer; /* of the others */
    uint32_t marks;
    struct giro_balances debit;
    struct giro_balances credit;
};

/* Since the process began. */
struct judge_counts {
    uint64_t leases;   /* acquired, renewed, released */
    uint64_t fenced;   /* requests of transfers */
    uint64_t not_held; /* events that were refused for want of the lease */
    uint64_t schedules;
    uint64_t attempts;
    uint64_t made;             /* transfers */
    uint64_t sessions;         /* registered */
    uint64_t session_requests; /* executed */
};

extern struct judge_counts judge_counts;

/* sessions_max: so many have a row. */
void judge_reset(uint32_t sessions_max);

const struct model *judge_model(void);
uint32_t judge_position(void);
uint32_t judge_floor(void);
void judge_floor_raise(uint32_t position);

/* ---- Told by the program ------------------------------------------------------------------ */

void judge_accounts(const struct ledger *ledger, const struct giro_account *events, uint32_t count,
                    uint64_t timestamp, const struct ledger_output *output);
void judge_limits(const struct ledger *ledger, const struct giro_limits *events, uint32_t count,
                  uint64_t timestamp, const struct ledger_output *output);
void judge_cut_off(const struct ledger *ledger, const struct giro_cut_off *events, uint32_t count,
                   uint64_t timestamp, const struct ledger_output *output);
void judge_transfers(const struct ledger *ledger, const struct giro_transfer *events,
                     uint32_t count, uint64_t timestamp, const struct ledger_output *output);
void judge_leases(const struct ledger *ledger, const struct giro_lease *events, uint32_t count,
                  uint64_t timestamp, const void *replies, const struct ledger_output *output);
void judge_schedules(const struct ledger *ledger, const struct giro_schedule *events,
                     uint32_t count, uint64_t timestamp, const struct ledger_output *output);
void judge_cancels(const struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                   uint64_t timestamp, const struct ledger_output *output);
void judge_firing(const struct ledger *ledger, uint64_t timestamp, uint32_t events_max,
                  const struct ledger_output *output);
void judge_expiry(const struct ledger *ledger, uint64_t timestamp, uint32_t records_max,
                  const struct ledger_output *output);
void judge_session(const struct ledger *ledger, const struct record_session *session);

/* A start has come to its end: what is this ledger? tail_lost: the disk lost the newest block. */
void judge_recovered(const struct ledger *ledger, bool tail_lost);

/* Whether two ledgers are the same, and as the model has it. */
void judge_state(const struct ledger *ledger);

/* Whether every schedule has fired once for each attempt, in order, whatever crashed in between. */
void judge_attempts(void);

/* Whether what is in front of a position is that a session's request was executed. */
bool judge_session_request(uint32_t position, giro_u128 client, uint32_t request);
bool judge_session_known(giro_u128 client);

/* What is told of leases. */
void judge_get_leases(const giro_u128 *keys, uint32_t count, const void *found,
                      uint32_t found_count);

/* ---- Judging replies: each returns NULL, or what is wrong ------------------------------------ */

/* The outcomes of the newest request, of so many events, with these results. Returns their size. */
uint32_t judge_outcomes(const struct giro_result *results, uint32_t result_count, uint32_t count,
                        char *out);

/* Bodies that lookups must be answered with now. Return their size. */
uint32_t judge_lookup_accounts(const giro_u128 *ids, uint32_t count, char *out);
uint32_t judge_lookup_transfers(const giro_u128 *ids, uint32_t count, char *out);
uint32_t judge_get_limits(const giro_u128 *ids, uint32_t count, char *out);
uint32_t judge_get_schedules(const giro_u128 *ids, uint32_t count, char *out);
uint32_t judge_lookup_payments(const giro_u128 *ids, uint32_t count, char *out);
uint32_t judge_get_settlements(const giro_u128 *ids, uint32_t count, char *out);

/* Settlements that a client has got: whatever happens, what they say of an epoch that is over stays, and
 * what was said of any epochs of an account is no more than is posted to it. */
const char *judge_settlements_told(const struct giro_settlement *settlements, uint32_t count);

/* A query that was asked at a position and is answered now; raises the floor by what it tells. */
const char *judge_account_transfers(const struct giro_account_filter *filter, uint32_t asked,
                                    const struct giro_transfer *found, uint32_t count);
const char *judge_account_balances(const struct giro_account_filter *filter, uint32_t asked,
                                   const struct giro_account_balance *found, uint32_t count);
const char *judge_query_transfers(const struct giro_query_filter *filter, uint32_t asked,
                                  const struct giro_transfer *found, uint32_t count);
const char *judge_query_accounts(const struct giro_query_filter *filter, uint32_t asked,
                                 const struct giro_account *found, uint32_t count);

/* The next changes of somebody who has read the first *seen of them. */
const char *judge_changes(uint32_t *seen, const struct giro_change *found, uint32_t count);
uint32_t judge_change_count(void);

#endif
