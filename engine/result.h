/* Result codes of create_accounts and create_transfers, one code a rule.
 *
 * The numbers are part of the protocol and never change. The order in which the rules are tried is
 * the order of the checks in engine/ledger.c; docs/protocol.md lists it. */
#ifndef GIRO_RESULT_H
#define GIRO_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, code, "name") */
#define GIRO_ACCOUNT_RESULTS(X)                                                                    \
    X(CREATED, 0, "created")                                                                       \
    X(LINKED_EVENT_FAILED, 1, "linked_event_failed")                                               \
    X(LINKED_EVENT_CHAIN_OPEN, 2, "linked_event_chain_open")                                       \
    X(TIMESTAMP_MUST_BE_ZERO, 3, "timestamp_must_be_zero")                                         \
    X(RESERVED_FIELD, 4, "reserved_field")                                                         \
    X(RESERVED_FLAG, 5, "reserved_flag")                                                           \
    X(ID_MUST_NOT_BE_ZERO, 6, "id_must_not_be_zero")                                               \
    X(ID_MUST_NOT_BE_INT_MAX, 7, "id_must_not_be_int_max")                                         \
    X(FLAGS_ARE_MUTUALLY_EXCLUSIVE, 8, "flags_are_mutually_exclusive")                             \
    X(DEBITS_PENDING_MUST_BE_ZERO, 9, "debits_pending_must_be_zero")                               \
    X(DEBITS_POSTED_MUST_BE_ZERO, 10, "debits_posted_must_be_zero")                                \
    X(CREDITS_PENDING_MUST_BE_ZERO, 11, "credits_pending_must_be_zero")                            \
    X(CREDITS_POSTED_MUST_BE_ZERO, 12, "credits_posted_must_be_zero")                              \
    X(LEDGER_MUST_NOT_BE_ZERO, 13, "ledger_must_not_be_zero")                                      \
    X(CODE_MUST_NOT_BE_ZERO, 14, "code_must_not_be_zero")                                          \
    X(EXISTS_WITH_DIFFERENT_FLAGS, 15, "exists_with_different_flags")                              \
    X(EXISTS_WITH_DIFFERENT_USER_DATA_128, 16, "exists_with_different_user_data_128")              \
    X(EXISTS_WITH_DIFFERENT_USER_DATA_64, 17, "exists_with_different_user_data_64")                \
    X(EXISTS_WITH_DIFFERENT_USER_DATA_32, 18, "exists_with_different_user_data_32")                \
    X(EXISTS_WITH_DIFFERENT_LEDGER, 19, "exists_with_different_ledger")                            \
    X(EXISTS_WITH_DIFFERENT_CODE, 20, "exists_with_different_code")                                \
    X(EXISTS, 21, "exists")                                                                        \
    X(IMPORTED_EVENT_EXPECTED, 22, "imported_event_expected")                                      \
    X(IMPORTED_EVENT_NOT_EXPECTED, 23, "imported_event_not_expected")                              \
    X(IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, 24, "imported_event_timestamp_out_of_range")          \
    X(IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE, 25, "imported_event_timestamp_must_not_advance")  \
    X(IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS, 26, "imported_event_timestamp_must_not_regress")

#define GIRO_TRANSFER_RESULTS(X)                                                                   \
    X(CREATED, 0, "created")                                                                       \
    X(LINKED_EVENT_FAILED, 1, "linked_event_failed")                                               \
    X(LINKED_EVENT_CHAIN_OPEN, 2, "linked_event_chain_open")                                       \
    X(TIMESTAMP_MUST_BE_ZERO, 3, "timestamp_must_be_zero")                                         \
    X(RESERVED_FLAG, 4, "reserved_flag")                                                           \
    X(ID_MUST_NOT_BE_ZERO, 5, "id_must_not_be_zero")                                               \
    X(ID_MUST_NOT_BE_INT_MAX, 6, "id_must_not_be_int_max")                                         \
    X(FLAGS_ARE_MUTUALLY_EXCLUSIVE, 7, "flags_are_mutually_exclusive")                             \
    X(DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, 8, "debit_account_id_must_not_be_zero")                   \
    X(DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, 9, "debit_account_id_must_not_be_int_max")             \
    X(CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, 10, "credit_account_id_must_not_be_zero")                \
    X(CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, 11, "credit_account_id_must_not_be_int_max")          \
    X(ACCOUNTS_MUST_BE_DIFFERENT, 12, "accounts_must_be_different")                                \
    X(PENDING_ID_MUST_BE_ZERO, 13, "pending_id_must_be_zero")                                      \
    X(PENDING_ID_MUST_NOT_BE_ZERO, 14, "pending_id_must_not_be_zero")                              \
    X(PENDING_ID_MUST_NOT_BE_INT_MAX, 15, "pending_id_must_not_be_int_max")                        \
    X(PENDING_ID_MUST_BE_DIFFERENT, 16, "pending_id_must_be_different")                            \
    X(TIMEOUT_RESERVED_FOR_PENDING_TRANSFER, 17, "timeout_reserved_for_pending_transfer")          \
    X(LEDGER_MUST_NOT_BE_ZERO, 19, "ledger_must_not_be_zero")                                      \
    X(CODE_MUST_NOT_BE_ZERO, 20, "code_must_not_be_zero")                                          \
    X(DEBIT_ACCOUNT_NOT_FOUND, 21, "debit_account_not_found")                                      \
    X(CREDIT_ACCOUNT_NOT_FOUND, 22, "credit_account_not_found")                                    \
    X(ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER, 23, "accounts_must_have_the_same_ledger")                \
    X(TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS, 24,                                          \
      "transfer_must_have_the_same_ledger_as_accounts")                                            \
    X(PENDING_TRANSFER_NOT_FOUND, 25, "pending_transfer_not_found")                                \
    X(PENDING_TRANSFER_NOT_PENDING, 26, "pending_transfer_not_pending")                            \
    X(PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID, 27,                                         \
      "pending_transfer_has_different_debit_account_id")                                           \
    X(PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID, 28,                                        \
      "pending_transfer_has_different_credit_account_id")                                          \
    X(PENDING_TRANSFER_HAS_DIFFERENT_LEDGER, 29, "pending_transfer_has_different_ledger")          \
    X(PENDING_TRANSFER_HAS_DIFFERENT_CODE, 30, "pending_transfer_has_different_code")              \
    X(EXCEEDS_PENDING_TRANSFER_AMOUNT, 31, "exceeds_pending_transfer_amount")                      \
    X(PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT, 32, "pending_transfer_has_different_amount")          \
    X(PENDING_TRANSFER_ALREADY_POSTED, 33, "pending_transfer_already_posted")                      \
    X(PENDING_TRANSFER_ALREADY_VOIDED, 34, "pending_transfer_already_voided")                      \
    X(PENDING_TRANSFER_EXPIRED, 35, "pending_transfer_expired")                                    \
    X(EXISTS_WITH_DIFFERENT_FLAGS, 36, "exists_with_different_flags")                              \
    X(EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID, 37, "exists_with_different_debit_account_id")        \
    X(EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID, 38, "exists_with_different_credit_account_id")      \
    X(EXISTS_WITH_DIFFERENT_AMOUNT, 39, "exists_with_different_amount")                            \
    X(EXISTS_WITH_DIFFERENT_PENDING_ID, 40, "exists_with_different_pending_id")                    \
    X(EXISTS_WITH_DIFFERENT_USER_DATA_128, 41, "exists_with_different_user_data_128")              \
    X(EXISTS_WITH_DIFFERENT_USER_DATA_64, 42, "exists_with_different_user_data_64")                \
    X(EXISTS_WITH_DIFFERENT_USER_DATA_32, 43, "exists_with_different_user_data_32")                \
    X(EXISTS_WITH_DIFFERENT_TIMEOUT, 44, "exists_with_different_timeout")                          \
    X(EXISTS_WITH_DIFFERENT_CODE, 45, "exists_with_different_code")                                \
    X(EXISTS, 46, "exists")                                                                        \
    X(OVERFLOWS_DEBITS_PENDING, 47, "overflows_debits_pending")                                    \
    X(OVERFLOWS_CREDITS_PENDING, 48, "overflows_credits_pending")                                  \
    X(OVERFLOWS_DEBITS_POSTED, 49, "overflows_debits_posted")                                      \
    X(OVERFLOWS_CREDITS_POSTED, 50, "overflows_credits_posted")                                    \
    X(OVERFLOWS_DEBITS, 51, "overflows_debits")                                                    \
    X(OVERFLOWS_CREDITS, 52, "overflows_credits")                                                  \
    X(OVERFLOWS_TIMEOUT, 53, "overflows_timeout")                                                  \
    X(EXCEEDS_CREDITS, 54, "exceeds_credits")                                                      \
    X(EXCEEDS_DEBITS, 55, "exceeds_debits")                                                        \
    X(IMPORTED_EVENT_EXPECTED, 56, "imported_event_expected")                                      \
    X(IMPORTED_EVENT_NOT_EXPECTED, 57, "imported_event_not_expected")                              \
    X(IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, 58, "imported_event_timestamp_out_of_range")          \
    X(IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE, 59, "imported_event_timestamp_must_not_advance")  \
    X(IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS, 60, "imported_event_timestamp_must_not_regress")  \
    X(IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT, 61,                                    \
      "imported_event_timestamp_must_postdate_debit_account")                                      \
    X(IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT, 62,                                   \
      "imported_event_timestamp_must_postdate_credit_account")                                     \
    X(IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO, 63, "imported_event_timeout_must_be_zero")              \
    X(CLOSING_TRANSFER_MUST_BE_PENDING, 64, "closing_transfer_must_be_pending")                    \
    X(DEBIT_ACCOUNT_ALREADY_CLOSED, 65, "debit_account_already_closed")                            \
    X(CREDIT_ACCOUNT_ALREADY_CLOSED, 66, "credit_account_already_closed")                          \
    X(EXISTS_WITH_DIFFERENT_LEDGER, 67, "exists_with_different_ledger")                            \
    X(ID_ALREADY_FAILED, 68, "id_already_failed")                                                  \
    X(EXCEEDS_ORIGIN_AMOUNT, 128, "exceeds_origin_amount")                                         \
    X(ORIGIN_NOT_FOUND, 129, "origin_not_found")                                                   \
    X(ORIGIN_NOT_RETURNABLE, 130, "origin_not_returnable")                                         \
    X(ADJUST_TARGET_NOT_OPEN, 131, "adjust_target_not_open")                                       \
    X(VELOCITY_EXCEEDED, 132, "velocity_exceeded")                                                 \
    X(ACCOUNT_BLOCKED, 133, "account_blocked")                                                     \
    X(LEASE_NOT_HELD, 134, "lease_not_held")                                                       \
    X(EXCEEDS_MAX_BALANCE, 135, "exceeds_max_balance")                                             \
    X(OVER_CAPTURE_NOT_ALLOWED, 136, "over_capture_not_allowed")                                   \
    X(EXCEEDS_MAX_TRANSFER, 137, "exceeds_max_transfer")                                           \
    X(ORIGIN_HAS_DIFFERENT_ACCOUNTS, 138, "origin_has_different_accounts")

#define GIRO_LIMITS_RESULTS(X)                                                                     \
    X(SET, 0, "set")                                                                               \
    X(TIMESTAMP_MUST_BE_ZERO, 3, "timestamp_must_be_zero")                                         \
    X(RESERVED_FIELD, 4, "reserved_field")                                                         \
    X(RESERVED_FLAG, 5, "reserved_flag")                                                           \
    X(ACCOUNT_ID_MUST_NOT_BE_ZERO, 6, "account_id_must_not_be_zero")                               \
    X(ACCOUNT_ID_MUST_NOT_BE_INT_MAX, 7, "account_id_must_not_be_int_max")                         \
    X(ACCOUNT_NOT_FOUND, 8, "account_not_found")                                                   \
    X(OVER_CAPTURE_OUT_OF_RANGE, 9, "over_capture_out_of_range")                                   \
    X(FLOOR_NEEDS_LIMIT_FLAG, 10, "floor_needs_limit_flag")                                        \
    X(VELOCITY_WINDOW_UNKNOWN, 11, "velocity_window_unknown")                                      \
    X(VELOCITY_PERIOD_OUT_OF_RANGE, 12, "velocity_period_out_of_range")                            \
    X(VELOCITY_UNUSED_MUST_BE_ZERO, 13, "velocity_unused_must_be_zero")

#define GIRO_LEASE_RESULTS(X)                                                                      \
    X(DONE, 0, "done")                                                                             \
    X(TIMESTAMP_MUST_BE_ZERO, 3, "timestamp_must_be_zero")                                         \
    X(RESERVED_FIELD, 4, "reserved_field")                                                         \
    X(KEY_MUST_NOT_BE_ZERO, 5, "key_must_not_be_zero")                                             \
    X(KEY_MUST_NOT_BE_INT_MAX, 6, "key_must_not_be_int_max")                                       \
    X(OWNER_MUST_NOT_BE_ZERO, 7, "owner_must_not_be_zero")                                         \
    X(ACTION_UNKNOWN, 8, "action_unknown")                                                         \
    X(TIMEOUT_OUT_OF_RANGE, 9, "timeout_out_of_range")                                             \
    X(TOKEN_MUST_BE_ZERO, 10, "token_must_be_zero")                                                \
    X(HELD_BY_ANOTHER, 11, "held_by_another")                                                      \
    X(NOT_HELD, 12, "not_held")                                                                    \
    X(LEASES_FULL, 13, "leases_full")

#define GIRO_SCHEDULE_RESULTS(X)                                                                   \
    X(DONE, 0, "done")                                                                             \
    X(TIMESTAMP_MUST_BE_ZERO, 3, "timestamp_must_be_zero")                                         \
    X(RESERVED_FIELD, 4, "reserved_field")                                                         \
    X(RESERVED_FLAG, 5, "reserved_flag")                                                           \
    X(ID_MUST_NOT_BE_ZERO, 6, "id_must_not_be_zero")                                               \
    X(ID_MUST_NOT_BE_INT_MAX, 7, "id_must_not_be_int_max")                                         \
    X(EXISTS_WITH_DIFFERENT_FIELDS, 8, "exists_with_different_fields")                             \
    X(EXISTS, 9, "exists")                                                                         \
    X(RULE_UNKNOWN, 10, "rule_unknown")                                                            \
    X(INTERVAL_MUST_NOT_BE_ZERO, 11, "interval_must_not_be_zero")                                  \
    X(FIRST_OUT_OF_RANGE, 12, "first_out_of_range")                                                \
    X(FIRST_NOT_ON_DAY, 13, "first_not_on_day")                                                    \
    X(END_BEFORE_FIRST, 14, "end_before_first")                                                    \
    X(RETRIES_OUT_OF_RANGE, 15, "retries_out_of_range")                                            \
    X(TRANSFER_FLAGS_NOT_ALLOWED, 16, "transfer_flags_not_allowed")                                \
    X(TRANSFER_FIELDS, 17, "transfer_fields")                                                      \
    X(DEBIT_ACCOUNT_NOT_FOUND, 18, "debit_account_not_found")                                      \
    X(CREDIT_ACCOUNT_NOT_FOUND, 19, "credit_account_not_found")                                    \
    X(ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER, 20, "accounts_must_have_the_same_ledger")                \
    X(NOT_FOUND, 21, "not_found")                                                                  \
    X(ALREADY_OVER, 22, "already_over")

#define GIRO_CUT_OFF_RESULTS(X)                                                                    \
    X(DONE, 0, "done")                                                                             \
    X(TIMESTAMP_MUST_BE_ZERO, 3, "timestamp_must_be_zero")                                         \
    X(RESERVED_FIELD, 4, "reserved_field")                                                         \
    X(RESERVED_FLAG, 5, "reserved_flag")                                                           \
    X(LEDGER_MUST_NOT_BE_ZERO, 6, "ledger_must_not_be_zero")                                       \
    X(EPOCH_IS_OVER, 7, "epoch_is_over")                                                           \
    X(EPOCH_HAS_NOT_BEGUN, 8, "epoch_has_not_begun")                                               \
    X(LEDGERS_FULL, 9, "ledgers_full")

#define GIRO_RESULT_ENUMERATOR(name, code, text) GIRO_ACCOUNT_##name = (code),
enum giro_account_result { GIRO_ACCOUNT_RESULTS(GIRO_RESULT_ENUMERATOR) };
#undef GIRO_RESULT_ENUMERATOR

#define GIRO_RESULT_ENUMERATOR(name, code, text) GIRO_TRANSFER_##name = (code),
enum giro_transfer_result { GIRO_TRANSFER_RESULTS(GIRO_RESULT_ENUMERATOR) };
#undef GIRO_RESULT_ENUMERATOR

#define GIRO_RESULT_ENUMERATOR(name, code, text) GIRO_LIMITS_RESULT_##name = (code),
enum giro_limits_result { GIRO_LIMITS_RESULTS(GIRO_RESULT_ENUMERATOR) };
#undef GIRO_RESULT_ENUMERATOR

#define GIRO_RESULT_ENUMERATOR(name, code, text) GIRO_SCHEDULE_RESULT_##name = (code),
enum giro_schedule_result { GIRO_SCHEDULE_RESULTS(GIRO_RESULT_ENUMERATOR) };
#undef GIRO_RESULT_ENUMERATOR

#define GIRO_RESULT_ENUMERATOR(name, code, text) GIRO_CUT_OFF_RESULT_##name = (code),
enum giro_cut_off_result { GIRO_CUT_OFF_RESULTS(GIRO_RESULT_ENUMERATOR) };
#undef GIRO_RESULT_ENUMERATOR

#define GIRO_RESULT_ENUMERATOR(name, code, text) GIRO_LEASE_RESULT_##name = (code),
enum giro_lease_result { GIRO_LEASE_RESULTS(GIRO_RESULT_ENUMERATOR) };
#undef GIRO_RESULT_ENUMERATOR

enum {
    GIRO_ACCOUNT_RESULT_MAX = 26,
    GIRO_TRANSFER_RESULT_MAX = 138,
    GIRO_LIMITS_RESULT_MAX = 13,
    GIRO_LEASE_RESULT_MAX = 13,
    GIRO_SCHEDULE_RESULT_MAX = 22,
    GIRO_CUT_OFF_RESULT_MAX = 9
};

/* The name of a code as docs/protocol.md spells it, "unknown" for a code that has none. Static. */
const char *giro_account_result_name(uint32_t code);
const char *giro_transfer_result_name(uint32_t code);
const char *giro_limits_result_name(uint32_t code);
const char *giro_lease_result_name(uint32_t code);
const char *giro_schedule_result_name(uint32_t code);
const char *giro_cut_off_result_name(uint32_t code);

/* Whether a transfer that failed with this code might have succeeded at another moment. Its id is
 * burnt: retrying it answers id_already_failed for ever. */
bool giro_transfer_result_is_transient(uint32_t code);

#ifdef __cplusplus
}
#endif

#endif
