#include "engine/result.h"

#define RESULT_NAME(name, number, text)                                                            \
    case (number):                                                                                 \
        return text;
#define RESULT_NAMES(of, results)                                                                  \
    const char *giro_##of##_result_name(uint32_t code)                                             \
    {                                                                                              \
        switch (code) {                                                                            \
            results(RESULT_NAME) default : return "unknown";                                       \
        }                                                                                          \
    }

RESULT_NAMES(account, GIRO_ACCOUNT_RESULTS)
RESULT_NAMES(transfer, GIRO_TRANSFER_RESULTS)
RESULT_NAMES(limits, GIRO_LIMITS_RESULTS)
RESULT_NAMES(lease, GIRO_LEASE_RESULTS)
RESULT_NAMES(schedule, GIRO_SCHEDULE_RESULTS)
RESULT_NAMES(cut_off, GIRO_CUT_OFF_RESULTS)

bool giro_transfer_result_is_transient(uint32_t code)
{
    switch (code) {
    case GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND:
    case GIRO_TRANSFER_CREDIT_ACCOUNT_NOT_FOUND:
    case GIRO_TRANSFER_PENDING_TRANSFER_NOT_FOUND:
    case GIRO_TRANSFER_DEBIT_ACCOUNT_ALREADY_CLOSED:
    case GIRO_TRANSFER_CREDIT_ACCOUNT_ALREADY_CLOSED:
    case GIRO_TRANSFER_EXCEEDS_CREDITS:
    case GIRO_TRANSFER_EXCEEDS_DEBITS:
    case GIRO_TRANSFER_EXCEEDS_ORIGIN_AMOUNT:
    case GIRO_TRANSFER_ORIGIN_NOT_FOUND:
    case GIRO_TRANSFER_VELOCITY_EXCEEDED:
    case GIRO_TRANSFER_ACCOUNT_BLOCKED:
    case GIRO_TRANSFER_EXCEEDS_MAX_BALANCE:
    case GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED:
    case GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER:
        return true;
    default:
        return false;
    }
}
