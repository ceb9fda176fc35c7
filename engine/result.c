#include "engine/result.h"

const char *giro_account_result_name(uint32_t code)
{
    switch (code) {
#define RESULT_NAME(name, number, text)                                                            \
    case (number):                                                                                 \
        return text;
        GIRO_ACCOUNT_RESULTS(RESULT_NAME)
#undef RESULT_NAME
    default:
        return "unknown";
    }
}

const char *giro_transfer_result_name(uint32_t code)
{
    switch (code) {
#define RESULT_NAME(name, number, text)                                                            \
    case (number):                                                                                 \
        return text;
        GIRO_TRANSFER_RESULTS(RESULT_NAME)
#undef RESULT_NAME
    default:
        return "unknown";
    }
}

const char *giro_limits_result_name(uint32_t code)
{
    switch (code) {
#define RESULT_NAME(name, number, text)                                                            \
    case (number):                                                                                 \
        return text;
        GIRO_LIMITS_RESULTS(RESULT_NAME)
#undef RESULT_NAME
    default:
        return "unknown";
    }
}

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
    case GIRO_TRANSFER_ACCOUNT_BLOCKED:
    case GIRO_TRANSFER_EXCEEDS_MAX_BALANCE:
    case GIRO_TRANSFER_OVER_CAPTURE_NOT_ALLOWED:
    case GIRO_TRANSFER_EXCEEDS_MAX_TRANSFER:
        return true;
    default:
        return false;
    }
}
