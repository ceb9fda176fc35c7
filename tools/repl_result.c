#include "tools/repl_result.h"

#include "engine/result.h"

#include <stddef.h>

#define SENTENCE_FAILED                                                                            \
    "Another event of its linked chain failed, so none of the chain was applied."
#define SENTENCE_CHAIN_OPEN                                                                        \
    "The request ends inside a linked chain: leave the linked flag off the chain's last event."
#define SENTENCE_TIMESTAMP                                                                         \
    "The server gives the timestamp: leave it 0, or set the imported flag on every event."
#define SENTENCE_FLAG "A flag is set that does not exist: see help flags."
#define SENTENCE_ID_ZERO "The id is 0: choose another; id=new makes one."
#define SENTENCE_ID_MAX "The id is the largest 128-bit number, which is reserved: choose another."
#define SENTENCE_LEDGER_ZERO "The ledger is 0: give the number of the ledger, 1 or more."
#define SENTENCE_CODE_ZERO "The code is 0: give a number of your own for its kind, 1 or more."
#define SENTENCE_IMPORTED_EXPECTED                                                                 \
    "The request's first event is imported and this one is not: do not mix them in a request."
#define SENTENCE_IMPORTED_NOT                                                                      \
    "This event is imported and the request's first one is not: do not mix them in a request."
#define SENTENCE_RANGE "An imported event needs a timestamp: nanoseconds since 1970, 1 or more."
#define SENTENCE_ADVANCE                                                                           \
    "The imported timestamp lies in the server's future: import only what has happened."
#define SENTENCE_EXISTS "It was created before with the same fields: nothing is left to do."
#define SENTENCE_DIFFERENT(field)                                                                  \
    "The id is taken, and " field                                                                  \
    " differs: look the id up, and use a new one if this is a new event."

static const char *const account_texts[] = {
    [GIRO_ACCOUNT_CREATED] = "It was created.",
    [GIRO_ACCOUNT_LINKED_EVENT_FAILED] = SENTENCE_FAILED,
    [GIRO_ACCOUNT_LINKED_EVENT_CHAIN_OPEN] = SENTENCE_CHAIN_OPEN,
    [GIRO_ACCOUNT_TIMESTAMP_MUST_BE_ZERO] = SENTENCE_TIMESTAMP,
    [GIRO_ACCOUNT_RESERVED_FIELD] = "The reserved field is not 0: set it to 0.",
    [GIRO_ACCOUNT_RESERVED_FLAG] = SENTENCE_FLAG,
    [GIRO_ACCOUNT_ID_MUST_NOT_BE_ZERO] = SENTENCE_ID_ZERO,
    [GIRO_ACCOUNT_ID_MUST_NOT_BE_INT_MAX] = SENTENCE_ID_MAX,
    [GIRO_ACCOUNT_FLAGS_ARE_MUTUALLY_EXCLUSIVE] =
        "debits_must_not_exceed_credits and credits_must_not_exceed_debits exclude each other: "
        "choose one.",
    [GIRO_ACCOUNT_DEBITS_PENDING_MUST_BE_ZERO] =
        "A new account has no balance: leave debits_pending 0 and create transfers.",
    [GIRO_ACCOUNT_DEBITS_POSTED_MUST_BE_ZERO] =
        "A new account has no balance: leave debits_posted 0 and create transfers.",
    [GIRO_ACCOUNT_CREDITS_PENDING_MUST_BE_ZERO] =
        "A new account has no balance: leave credits_pending 0 and create transfers.",
    [GIRO_ACCOUNT_CREDITS_POSTED_MUST_BE_ZERO] =
        "A new account has no balance: leave credits_posted 0 and create transfers.",
    [GIRO_ACCOUNT_LEDGER_MUST_NOT_BE_ZERO] = SENTENCE_LEDGER_ZERO,
    [GIRO_ACCOUNT_CODE_MUST_NOT_BE_ZERO] = SENTENCE_CODE_ZERO,
    [GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS] = SENTENCE_DIFFERENT("the set of flags"),
    [GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_128] = SENTENCE_DIFFERENT("user_data_128"),
    [GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_64] = SENTENCE_DIFFERENT("user_data_64"),
    [GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_USER_DATA_32] = SENTENCE_DIFFERENT("user_data_32"),
    [GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_LEDGER] = SENTENCE_DIFFERENT("ledger"),
    [GIRO_ACCOUNT_EXISTS_WITH_DIFFERENT_CODE] = SENTENCE_DIFFERENT("code"),
    [GIRO_ACCOUNT_EXISTS] = SENTENCE_EXISTS,
    [GIRO_ACCOUNT_IMPORTED_EVENT_EXPECTED] = SENTENCE_IMPORTED_EXPECTED,
    [GIRO_ACCOUNT_IMPORTED_EVENT_NOT_EXPECTED] = SENTENCE_IMPORTED_NOT,
    [GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE] = SENTENCE_RANGE,
    [GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE] = SENTENCE_ADVANCE,
    [GIRO_ACCOUNT_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS] =
        "The ledger has a later event already: import in the order of time, accounts before the "
        "transfers that follow them.",
};

static const char *const transfer_texts[] = {
    [GIRO_TRANSFER_CREATED] = "It was created.",
    [GIRO_TRANSFER_LINKED_EVENT_FAILED] = SENTENCE_FAILED,
    [GIRO_TRANSFER_LINKED_EVENT_CHAIN_OPEN] = SENTENCE_CHAIN_OPEN,
    [GIRO_TRANSFER_TIMESTAMP_MUST_BE_ZERO] = SENTENCE_TIMESTAMP,
    [GIRO_TRANSFER_RESERVED_FLAG] = SENTENCE_FLAG,
    [GIRO_TRANSFER_ID_MUST_NOT_BE_ZERO] = SENTENCE_ID_ZERO,
    [GIRO_TRANSFER_ID_MUST_NOT_BE_INT_MAX] = SENTENCE_ID_MAX,
    [GIRO_TRANSFER_FLAGS_ARE_MUTUALLY_EXCLUSIVE] =
        "These flags do not go together: post, void and pending exclude each other, keep_open "
        "needs "
        "post or void, adjust needs pending, and return, fact and balancing go with few: see help "
        "flags.",
    [GIRO_TRANSFER_DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO] =
        "There is no debit account: give debit_account_id.",
    [GIRO_TRANSFER_DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX] =
        "debit_account_id is the largest 128-bit number, which no account has: correct it.",
    [GIRO_TRANSFER_CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO] =
        "There is no credit account: give credit_account_id.",
    [GIRO_TRANSFER_CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX] =
        "credit_account_id is the largest 128-bit number, which no account has: correct it.",
    [GIRO_TRANSFER_ACCOUNTS_MUST_BE_DIFFERENT] =
        "Debit and credit account are the same: a transfer needs two accounts.",
    [GIRO_TRANSFER_PENDING_ID_MUST_BE_ZERO] =
        "Only post, void, adjust and return have a pending_id: leave it 0, or set one of these "
        "flags.",
    [GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_ZERO] =
        "It is about another transfer, posted, voided, adjusted or returned: give pending_id.",
    [GIRO_TRANSFER_PENDING_ID_MUST_NOT_BE_INT_MAX] =
        "pending_id is the largest 128-bit number, which no transfer has: correct it.",
    [GIRO_TRANSFER_PENDING_ID_MUST_BE_DIFFERENT] =
        "pending_id is the transfer's own id: it is a transfer with an id of its own.",
    [GIRO_TRANSFER_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER] =
        "Only a pending transfer has a timeout: leave it 0, or set the pending flag.",
    [GIRO_TRANSFER_LEDGER_MUST_NOT_BE_ZERO] = SENTENCE_LEDGER_ZERO,
    [GIRO_TRANSFER_CODE_MUST_NOT_BE_ZERO] = SENTENCE_CODE_ZERO,
    [GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND] =
        "The debit account does not exist: create it, then send the transfer under a new id; this "
        "id is spent.",
    [GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND] =
        "The credit account does not exist: create it, then send the transfer under a new id; this "
        "id is spent.",
    [GIRO_TRANSFER_ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER] =
        "The two accounts are in different ledgers: exchange between ledgers takes two linked "
        "transfers, one in each.",
    [GIRO_TRANSFER_TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS] =
        "The transfer's ledger is not the accounts' ledger: correct it.",
    [GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND] =
        "No transfer has the id pending_id: correct it, under a new id; this id is spent.",
    [GIRO_TRANSFER_PENDING_TRANSFER_NOT_PENDING] =
        "pending_id is a transfer that is not pending: there is nothing to post, void or adjust.",
    [GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID] =
        "The pending transfer has another debit account: leave debit_account_id 0 to inherit it.",
    [GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID] =
        "The pending transfer has another credit account: leave credit_account_id 0 to inherit it.",
    [GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_LEDGER] =
        "The pending transfer has another ledger: leave ledger 0 to inherit it.",
    [GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_CODE] =
        "The pending transfer has another code: leave code 0 to inherit it.",
    [GIRO_TRANSFER_EXCEEDS_PENDING_TRANSFER_AMOUNT] =
        "More than what is left of the pending transfer: lower it; max posts all that is left.",
    [GIRO_TRANSFER_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT] =
        "A void releases all that is left of the pending transfer: give amount 0, or add keep_open "
        "to release a part.",
    [GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_POSTED] =
        "The pending transfer was posted before: nothing is left to post or void.",
    [GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_VOIDED] =
        "The pending transfer was voided before: nothing is left to post or void.",
    [GIRO_TRANSFER_PENDING_TRANSFER_EXPIRED] =
        "The pending transfer's timeout has passed and its amount was released: start over.",
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_FLAGS] = SENTENCE_DIFFERENT("the set of flags"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID] = SENTENCE_DIFFERENT("debit_account_id"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID] =
        SENTENCE_DIFFERENT("credit_account_id"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_AMOUNT] = SENTENCE_DIFFERENT("amount"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_PENDING_ID] = SENTENCE_DIFFERENT("pending_id"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_128] = SENTENCE_DIFFERENT("user_data_128"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_64] = SENTENCE_DIFFERENT("user_data_64"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_32] = SENTENCE_DIFFERENT("user_data_32"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_TIMEOUT] = SENTENCE_DIFFERENT("timeout"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CODE] = SENTENCE_DIFFERENT("code"),
    [GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_LEDGER] = SENTENCE_DIFFERENT("ledger"),
    [GIRO_TRANSFER_EXISTS] = SENTENCE_EXISTS,
    [GIRO_TRANSFER_OVERFLOWS_DEBITS_PENDING] =
        "The debit account's debits_pending would exceed 128 bits: check the amount.",
    [GIRO_TRANSFER_OVERFLOWS_CREDITS_PENDING] =
        "The credit account's credits_pending would exceed 128 bits: check the amount.",
    [GIRO_TRANSFER_OVERFLOWS_DEBITS_POSTED] =
        "The debit account's debits_posted would exceed 128 bits: check the amount.",
    [GIRO_TRANSFER_OVERFLOWS_CREDITS_POSTED] =
        "The credit account's credits_posted would exceed 128 bits: check the amount.",
    [GIRO_TRANSFER_OVERFLOWS_DEBITS] =
        "The debit account's debits, pending and posted, would exceed 128 bits: check the amount.",
    [GIRO_TRANSFER_OVERFLOWS_CREDITS] = "The credit account's credits, pending and posted, would "
                                        "exceed 128 bits: check the amount.",
    [GIRO_TRANSFER_OVERFLOWS_TIMEOUT] = "The timeout ends after the last timestamp: shorten it.",
    [GIRO_TRANSFER_EXCEEDS_CREDITS] =
        "The debit account's debits must not exceed its credits, and with this amount they would: "
        "not enough funds. Try again under a new id when there are; this id is spent.",
    [GIRO_TRANSFER_EXCEEDS_DEBITS] =
        "The credit account's credits must not exceed its debits, and with this amount they would. "
        "Try again under a new id when there is room; this id is spent.",
    [GIRO_TRANSFER_IMPORTED_EVENT_EXPECTED] = SENTENCE_IMPORTED_EXPECTED,
    [GIRO_TRANSFER_IMPORTED_EVENT_NOT_EXPECTED] = SENTENCE_IMPORTED_NOT,
    [GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE] = SENTENCE_RANGE,
    [GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE] = SENTENCE_ADVANCE,
    [GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS] =
        "The ledger has a later transfer already, or an account with this very timestamp: import "
        "in the order of time, a day's rows together.",
    [GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT] =
        "The debit account is younger than the transfer: import the account with an earlier "
        "timestamp.",
    [GIRO_TRANSFER_IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT] =
        "The credit account is younger than the transfer: import the account with an earlier "
        "timestamp.",
    [GIRO_TRANSFER_IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO] =
        "An imported transfer cannot expire: leave timeout 0.",
    [GIRO_TRANSFER_CLOSING_TRANSFER_MUST_BE_PENDING] =
        "closing_debit and closing_credit need the pending flag, so that a void can reopen the "
        "account: set it.",
    [GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED] =
        "The debit account is closed: void its closing transfer to reopen it, and use a new id; "
        "this id is spent.",
    [GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED] =
        "The credit account is closed: void its closing transfer to reopen it, and use a new id; "
        "this id is spent.",
    [GIRO_TRANSFER_ID_ALREADY_FAILED] =
        "A transfer with this id failed before, and an id is judged once: use a new id.",
    [GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT] =
        "Less than that of the returned transfer is left to return: lower the amount, or max for "
        "all that is left, under a new id; this id is spent.",
    [GIRO_TRANSFER_ORIGIN_NOT_FOUND] =
        "No transfer has the id pending_id, so there is nothing to return: correct it, under a new "
        "id; this id is spent.",
    [GIRO_TRANSFER_ORIGIN_NOT_RETURNABLE] =
        "pending_id is a transfer that was not posted, or the sixth return in a row: a capture is "
        "returned by the id of its post.",
    [GIRO_TRANSFER_ADJUST_TARGET_NOT_OPEN] =
        "The pending transfer was posted, voided, or has expired: start a new one.",
    [GIRO_TRANSFER_ORIGIN_HAS_DIFFERENT_ACCOUNTS] =
        "A return goes the other way, between the accounts of the returned transfer: one of them "
        "may be another account with the same user_data_128, its owner.",
    [GIRO_TRANSFER_VELOCITY_EXCEEDED] =
        "Too much, or too often, within the window of an account's velocity limits: see "
        "get_velocity. Try again under a new id when the window has moved on; this id is spent.",
    [GIRO_TRANSFER_ACCOUNT_BLOCKED] =
        "An account is blocked or frozen by its limits: see get_limits. This id is spent.",
    [GIRO_TRANSFER_LEASE_NOT_HELD] =
        "The lease that the request names is over, or somebody has acquired it since: see "
        "get_leases. Acquire it again before you go on; the id is not spent.",
    [GIRO_TRANSFER_EXCEEDS_MAX_BALANCE] =
        "An account's balance would exceed the balance_max of its limits: see get_limits. This id "
        "is spent.",
    [GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED] =
        "More than the hold and the over_capture of the credit account's limits: lower the amount, "
        "under a new id; this id is spent.",
    [GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER] =
        "The amount exceeds the transfer_max of an account's limits: see get_limits. This id is "
        "spent.",
};

static const char *const limits_texts[] = {
    [GIRO_LIMITS_RESULT_SET] = "They are in force.",
    [GIRO_LIMITS_RESULT_TIMESTAMP_MUST_BE_ZERO] = "The server gives the timestamp: leave it 0.",
    [GIRO_LIMITS_RESULT_RESERVED_FIELD] = "A reserved field is not 0: set it to 0.",
    [GIRO_LIMITS_RESULT_RESERVED_FLAG] = SENTENCE_FLAG,
    [GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_ZERO] = "There is no account: give account_id.",
    [GIRO_LIMITS_RESULT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX] =
        "account_id is the largest 128-bit number, which no account has: correct it.",
    [GIRO_LIMITS_RESULT_ACCOUNT_NOT_FOUND] = "The account does not exist: create it first.",
    [GIRO_LIMITS_RESULT_OVER_CAPTURE_OUT_OF_RANGE] =
        "over_capture is more than 100,000 basis points, ten times the hold: lower it.",
    [GIRO_LIMITS_RESULT_FLOOR_NEEDS_LIMIT_FLAG] =
        "A floor needs an account that was created with a limit flag: leave it 0.",
    [GIRO_LIMITS_RESULT_VELOCITY_WINDOW_UNKNOWN] =
        ("A velocity limit has a window or a unit that the server does not know, or months in a "
         "window that is not calendar: give days."),
    [GIRO_LIMITS_RESULT_VELOCITY_PERIOD_OUT_OF_RANGE] =
        ("A velocity limit has a period of 0, or of more than 1,200 months: give 1 or more, or "
         "none for a "
         "slot without a limit."),
    [GIRO_LIMITS_RESULT_VELOCITY_UNUSED_MUST_BE_ZERO] =
        ("A slot without a window has a maximum, a period, a verdict or flags: set all of it to 0, "
         "or give it a window."),
};

static const char *const lease_texts[] = {
    [GIRO_LEASE_RESULT_DONE] = "It was done.",
    [GIRO_LEASE_RESULT_TIMESTAMP_MUST_BE_ZERO] = "The server gives the timestamp: leave it 0.",
    [GIRO_LEASE_RESULT_RESERVED_FIELD] =
        "A reserved field, or one that only the server sets, is not 0: set it to 0.",
    [GIRO_LEASE_RESULT_KEY_MUST_NOT_BE_ZERO] =
        "There is no key: give the number of what is leased.",
    [GIRO_LEASE_RESULT_KEY_MUST_NOT_BE_INT_MAX] =
        "The key is the largest 128-bit number, which is reserved: choose another.",
    [GIRO_LEASE_RESULT_OWNER_MUST_NOT_BE_ZERO] =
        "There is no owner: give a number of your own for who acts.",
    [GIRO_LEASE_RESULT_ACTION_UNKNOWN] = "Give action=acquire, action=renew or action=release.",
    [GIRO_LEASE_RESULT_TIMEOUT_OUT_OF_RANGE] =
        "To acquire and to renew take a timeout, up to one day; to release takes none.",
    [GIRO_LEASE_RESULT_TOKEN_MUST_BE_ZERO] = "Whoever acquires is given a token: leave it 0.",
    [GIRO_LEASE_RESULT_HELD_BY_ANOTHER] = "Wait for its release or its end, and acquire it then.",
    [GIRO_LEASE_RESULT_NOT_HELD] =
        "The lease is over, or is not this owner's under this token: acquire it.",
    [GIRO_LEASE_RESULT_LEASES_FULL] = "As many leases as there is room for are held: release some.",
};

static const char *const schedule_texts[] = {
    [GIRO_SCHEDULE_RESULT_DONE] = "It was done.",
    [GIRO_SCHEDULE_RESULT_TIMESTAMP_MUST_BE_ZERO] = "The server gives the timestamp: leave it 0.",
    [GIRO_SCHEDULE_RESULT_RESERVED_FIELD] =
        "A reserved field, or one that only the server sets, is not 0: set it to 0.",
    [GIRO_SCHEDULE_RESULT_RESERVED_FLAG] = "A schedule has no flags, only its transfer has.",
    [GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_ZERO] = SENTENCE_ID_ZERO,
    [GIRO_SCHEDULE_RESULT_ID_MUST_NOT_BE_INT_MAX] = SENTENCE_ID_MAX,
    [GIRO_SCHEDULE_RESULT_EXISTS_WITH_DIFFERENT_FIELDS] =
        ("The id is taken by another schedule, be it over: see get_schedules, and use a new id. To "
         "change a schedule, cancel it and create another."),
    [GIRO_SCHEDULE_RESULT_EXISTS] = SENTENCE_EXISTS,
    [GIRO_SCHEDULE_RESULT_RULE_UNKNOWN] = "There is no rule: give every=1mo, say, or every=7d.",
    [GIRO_SCHEDULE_RESULT_INTERVAL_MUST_NOT_BE_ZERO] = "The interval is 0: give 1 or more.",
    [GIRO_SCHEDULE_RESULT_FIRST_OUT_OF_RANGE] =
        ("There is no first occurrence: give first=2027-01-31, or a time with it; it may have "
         "passed."),
    [GIRO_SCHEDULE_RESULT_FIRST_NOT_ON_DAY] =
        ("first is not on the day of the month that the schedule has, nor on the last one of a "
         "shorter month: leave day out to take that of first. Seconds, hours and days have none."),
    [GIRO_SCHEDULE_RESULT_END_BEFORE_FIRST] = "The end is before the first occurrence.",
    [GIRO_SCHEDULE_RESULT_RETRIES_OUT_OF_RANGE] =
        "There are at most four retries, each some time after the attempt before it.",
    [GIRO_SCHEDULE_RESULT_TRANSFER_FLAGS_NOT_ALLOWED] =
        "Its transfer may be pending, balancing_debit, balancing_credit and no_limit.",
    [GIRO_SCHEDULE_RESULT_TRANSFER_FIELDS] =
        ("Its transfer is not one that could be: give two different accounts, a ledger and a code, "
         "and a timeout only when it is pending."),
    [GIRO_SCHEDULE_RESULT_DEBIT_ACCOUNT_NOT_FOUND] =
        "The debit account does not exist: create it first.",
    [GIRO_SCHEDULE_RESULT_CREDIT_ACCOUNT_NOT_FOUND] =
        "The credit account does not exist: create it first.",
    [GIRO_SCHEDULE_RESULT_ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER] =
        "The two accounts, and the transfer, are not all of one ledger.",
    [GIRO_SCHEDULE_RESULT_NOT_FOUND] = "No schedule has this id.",
    [GIRO_SCHEDULE_RESULT_ALREADY_OVER] =
        "It is over, or was cancelled before: nothing is left to do.",
};

static const char *const cut_off_texts[] = {
    [GIRO_CUT_OFF_RESULT_DONE] = "The epoch has ended, and the next one has begun.",
    [GIRO_CUT_OFF_RESULT_TIMESTAMP_MUST_BE_ZERO] = "The server gives the timestamp: leave it 0.",
    [GIRO_CUT_OFF_RESULT_RESERVED_FIELD] = "A reserved field is not 0: set it to 0.",
    [GIRO_CUT_OFF_RESULT_RESERVED_FLAG] = "A cut-off has no flags: leave them 0.",
    [GIRO_CUT_OFF_RESULT_LEDGER_MUST_NOT_BE_ZERO] = SENTENCE_LEDGER_ZERO,
    [GIRO_CUT_OFF_RESULT_EPOCH_IS_OVER] =
        "The epoch was ended before: nothing is left to do. get_settlements shows the present one.",
    [GIRO_CUT_OFF_RESULT_EPOCH_HAS_NOT_BEGUN] =
        "The ledger is still in an earlier epoch: end that one first. get_settlements shows it.",
    [GIRO_CUT_OFF_RESULT_LEDGERS_FULL] =
        "1,024 ledger numbers were cut off, and there is no room for more: is this the right one?",
};

static const char unknown[] =
    "This version of giro does not know the code: use the version of the server.";

const char *repl_account_result_text(uint32_t code)
{
    if (code >= sizeof account_texts / sizeof account_texts[0] || account_texts[code] == NULL)
        return unknown;
    return account_texts[code];
}

const char *repl_transfer_result_text(uint32_t code)
{
    if (code >= sizeof transfer_texts / sizeof transfer_texts[0] || transfer_texts[code] == NULL)
        return unknown;
    return transfer_texts[code];
}

const char *repl_cut_off_result_text(uint32_t code)
{
    if (code >= sizeof cut_off_texts / sizeof cut_off_texts[0] || cut_off_texts[code] == NULL)
        return unknown;
    return cut_off_texts[code];
}

const char *repl_limits_result_text(uint32_t code)
{
    if (code >= sizeof limits_texts / sizeof limits_texts[0] || limits_texts[code] == NULL)
        return unknown;
    return limits_texts[code];
}

const char *repl_lease_result_text(uint32_t code)
{
    if (code >= sizeof lease_texts / sizeof lease_texts[0] || lease_texts[code] == NULL)
        return unknown;
    return lease_texts[code];
}

const char *repl_schedule_result_text(uint32_t code)
{
    if (code >= sizeof schedule_texts / sizeof schedule_texts[0] || schedule_texts[code] == NULL)
        return unknown;
    return schedule_texts[code];
}
