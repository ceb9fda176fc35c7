/* The records of the ledger: accounts and transfers, 128 bytes each, little-endian.
 *
 * This header is both the engine's own definition and the one that the C client installs, so it
 * compiles as C11 and as C++17 and includes nothing of the engine.
 *
 * Amounts and balances are unsigned 128-bit integers in the ledger's minor unit (cents).
 * Timestamps are nanoseconds since the Unix epoch, assigned by the server, unique over accounts
 * and transfers together and strictly increasing. The same bytes travel on the wire, lie in memory
 * and are stored in the log; docs/protocol.md and docs/log-format.md show them by offset. */
#ifndef GIRO_RECORD_H
#define GIRO_RECORD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define GIRO_STATIC_ASSERT static_assert
#define GIRO_ALIGNAS_16 alignas(16)
#else
#define GIRO_STATIC_ASSERT _Static_assert
#define GIRO_ALIGNAS_16 _Alignas(16)
#endif

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Giro's formats are little-endian and are used in place: this machine is not supported."
#endif

__extension__ typedef unsigned __int128 giro_u128;

#define GIRO_U128_MAX (~(giro_u128)0)
#define GIRO_TIMESTAMP_MAX ((uint64_t)INT64_MAX)
#define GIRO_NS_PER_S 1000000000ull
enum { GIRO_RECORD_BYTES = 128 };

enum giro_account_flag {
    GIRO_ACCOUNT_LINKED = 1 << 0,
    GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS = 1 << 1,
    GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS = 1 << 2,
    GIRO_ACCOUNT_HISTORY = 1 << 3,
    GIRO_ACCOUNT_IMPORTED = 1 << 4,
    GIRO_ACCOUNT_CLOSED = 1 << 5,
    GIRO_ACCOUNT_FLAGS_ALL = (1 << 6) - 1,
};

enum giro_transfer_flag {
    GIRO_TRANSFER_LINKED = 1 << 0,
    GIRO_TRANSFER_PENDING = 1 << 1,
    GIRO_TRANSFER_POST_PENDING = 1 << 2,
    GIRO_TRANSFER_VOID_PENDING = 1 << 3,
    GIRO_TRANSFER_BALANCING_DEBIT = 1 << 4,
    GIRO_TRANSFER_BALANCING_CREDIT = 1 << 5,
    GIRO_TRANSFER_CLOSING_DEBIT = 1 << 6,
    GIRO_TRANSFER_CLOSING_CREDIT = 1 << 7,
    GIRO_TRANSFER_IMPORTED = 1 << 8,
    GIRO_TRANSFER_FLAGS_ALL = (1 << 9) - 1,
};

struct giro_account {
    GIRO_ALIGNAS_16 giro_u128 id;
    giro_u128 debits_pending;
    giro_u128 debits_posted;
    giro_u128 credits_pending;
    giro_u128 credits_posted;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t reserved; /* 0 */
    uint32_t ledger;
    uint16_t code;
    uint16_t flags; /* enum giro_account_flag */
    uint64_t timestamp;
};

struct giro_transfer {
    GIRO_ALIGNAS_16 giro_u128 id;
    giro_u128 debit_account_id;
    giro_u128 credit_account_id;
    giro_u128 amount;
    giro_u128 pending_id;
    giro_u128 user_data_128;
    uint64_t user_data_64;
    uint32_t user_data_32;
    uint32_t timeout; /* seconds; only for pending transfers */
    uint32_t ledger;
    uint16_t code;
    uint16_t flags; /* enum giro_transfer_flag */
    uint64_t timestamp;
};

/* One result of a create request: only events that were not created are reported. */
struct giro_result {
    uint32_t index; /* of the event in its request */
    uint32_t code;  /* enum giro_account_result or enum giro_transfer_result */
};

GIRO_STATIC_ASSERT(sizeof(struct giro_account) == GIRO_RECORD_BYTES, "account size");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, credits_posted) == 64, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, user_data_64) == 96, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, ledger) == 112, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, flags) == 118, "account layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_account, timestamp) == 120, "account layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_transfer) == GIRO_RECORD_BYTES, "transfer size");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, amount) == 48, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, user_data_64) == 96, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, timeout) == 108, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, flags) == 118, "transfer layout");
GIRO_STATIC_ASSERT(offsetof(struct giro_transfer, timestamp) == 120, "transfer layout");
GIRO_STATIC_ASSERT(sizeof(struct giro_result) == 8, "result size");

#endif
