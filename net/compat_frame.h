/* Messages of TigerBeetle's client protocol, releases 0.16 and 0.17, as docs/compatibility.md tells.
 *
 *   offset | type | field
 *        0 | u128 | checksum: AEGIS-128L (net/aegis.h) of the header behind it, bytes 16 .. 256
 *       32 | u128 | checksum of the body
 *       80 | u128 | cluster
 *       96 | u32  | size: 256 + body
 *      104 | u32  | view, 0
 *      108 | u32  | release of the client: major << 16 | minor << 8 | patch
 *      112 | u16  | protocol, 0
 *      114 | u8   | command
 *      128 |      | by command; everything else is 0
 *      256 |      | body
 *
 * A body of the newer operations holds several batches, each a call of its own: their elements one
 * after the other, then, read backwards from the end in u16, how many batches there are, and how many
 * elements each has; filled up in front with 0xff to a multiple of the element's size. */
#ifndef NET_COMPAT_FRAME_H
#define NET_COMPAT_FRAME_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COMPAT_HEADER_BYTES = 256,
    COMPAT_BODY_BYTES_MAX = (1 << 20) - COMPAT_HEADER_BYTES,
    COMPAT_BATCHES_MAX = 65534,
};

enum compat_command {
    COMPAT_PING = 3,
    COMPAT_PONG = 4,
    COMPAT_REQUEST = 5,
    COMPAT_REPLY = 8,
    COMPAT_EVICTION = 18,
};

enum compat_operation {
    COMPAT_REGISTER = 2,
    COMPAT_FIRST = 129, /* the oldest one: no batches; results only of what was not created */
    COMPAT_LAST = 147,
};

enum compat_eviction {
    COMPAT_NO_SESSION = 1,
    COMPAT_RELEASE_TOO_LOW = 2,
    COMPAT_INVALID_OPERATION = 4,
    COMPAT_INVALID_BODY = 5,
    COMPAT_INVALID_BODY_SIZE = 6,
    COMPAT_SESSION_TOO_LOW = 7,
    COMPAT_SESSION_RELEASE_MISMATCH = 8,
};

struct compat_header {
    GIRO_ALIGNAS_16 giro_u128 checksum;
    giro_u128 checksum_padding;
    giro_u128 checksum_body;
    giro_u128 checksum_body_padding;
    giro_u128 nonce_reserved;
    giro_u128 cluster;
    uint32_t size;
    uint32_t epoch;
    uint32_t view;
    uint32_t release;
    uint16_t protocol;
    uint8_t command;
    uint8_t replica;
    uint8_t reserved_frame[12];
    union {
        struct {
            giro_u128 parent;
            giro_u128 parent_padding;
            giro_u128 client;
            uint64_t session;
            uint64_t timestamp;
            uint32_t request;
            uint8_t operation;
            uint8_t reserved[3];
            uint32_t previous_request_latency;
            uint8_t reserved_1[52];
        } request;
        struct {
            giro_u128 request_checksum;
            giro_u128 request_checksum_padding;
            giro_u128 context;
            giro_u128 context_padding;
            giro_u128 client;
            uint64_t op;
            uint64_t commit;
            uint64_t timestamp;
            uint32_t request;
            uint8_t operation;
            uint8_t reserved[19];
        } reply;
        struct {
            giro_u128 client;
            uint64_t timestamp_monotonic;
            uint64_t session;
            uint8_t reserved[96];
        } ping;
        struct {
            uint64_t timestamp_monotonic;
            uint8_t reserved[120];
        } pong;
        struct {
            giro_u128 client;
            uint8_t reserved[111];
            uint8_t reason;
        } eviction;
    };
};

_Static_assert(sizeof(struct compat_header) == COMPAT_HEADER_BYTES, "no padding");
_Static_assert(offsetof(struct compat_header, size) == 96, "layout");
_Static_assert(offsetof(struct compat_header, request.client) == 160, "layout");
_Static_assert(offsetof(struct compat_header, request.operation) == 196, "layout");
_Static_assert(offsetof(struct compat_header, reply.client) == 192, "layout");
_Static_assert(offsetof(struct compat_header, reply.operation) == 236, "layout");
_Static_assert(offsetof(struct compat_header, eviction.reason) == 255, "layout");

/* What kind of request an operation is. */
enum compat_kind {
    COMPAT_CREATE_ACCOUNTS,
    COMPAT_CREATE_TRANSFERS,
    COMPAT_LOOKUP_ACCOUNTS,
    COMPAT_LOOKUP_TRANSFERS,
    COMPAT_GET_ACCOUNT_TRANSFERS,
    COMPAT_GET_ACCOUNT_BALANCES,
    COMPAT_QUERY_ACCOUNTS,
    COMPAT_QUERY_TRANSFERS,
    COMPAT_GET_CHANGES,
};

struct compat_format {
    enum compat_kind kind;
    bool batches; /* the body has a trailer */
    bool sparse;  /* results of 8 bytes, only of events that were not created */
    uint16_t result_bytes;
    uint16_t event_bytes;
};

/* NULL: no operation that is served here. */
const struct compat_format *compat_format_of(uint8_t operation);

/* The batches of a body. */
struct compat_batches {
    uint32_t count;
    uint32_t elements; /* of all batches */
    const uint8_t
        *counts; /* of the first batch's elements, u16; the next one is in front of it. NULL:
                              one batch of `elements` */
};

/* False when the trailer contradicts the body. */
bool compat_batches_read(const struct compat_format *format, const void *body, uint32_t bytes,
                         struct compat_batches *out);

static inline uint32_t compat_batch_elements(const struct compat_batches *batches, uint32_t batch)
{
    if (batches->counts == NULL)
        return batches->elements;
    const uint8_t *at = batches->counts - 2 * (size_t)batch;
    return at[0] | (uint32_t)at[1] << 8;
}

/* Bytes of a trailer. */
uint32_t compat_trailer_bytes(uint32_t batches, uint32_t element_bytes);

/* Checks a header whose body has not arrived: whether its checksum, size and cluster are right. */
bool compat_check_header(const struct compat_header *header, giro_u128 cluster);
bool compat_check_body(const struct compat_header *header);

/* Completes a header whose fields are set, of a message with size - 256 bytes of body: its checksums. */
void compat_seal(struct compat_header *header, const void *body);

#endif
