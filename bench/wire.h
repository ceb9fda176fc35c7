/* What a connection of the load speaks: how requests are framed and replies are read. The load itself
 * (bench/load.h) knows events and results only.
 *
 *   native   Giro's own protocol, any number of requests in flight
 *   compat   that of TigerBeetle's clients: a session, one request in flight, one batch in each; the
 *            results of all events come back and are reduced to those that were not created
 *
 * Replies are checked as far as the protocol says: checksums, sizes, that it is the reply to the
 * request. Failures are -errno with a text in problem. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include "bench/client.h"
#include "engine/record.h"

#include <stdint.h>

enum { WIRE_PROBLEM_BYTES = 160 };

enum wire_protocol { WIRE_NATIVE, WIRE_COMPAT, WIRE_PROTOCOLS };

extern const char *const wire_names[WIRE_PROTOCOLS];

struct wire {
    enum wire_protocol protocol;
    /* of a session, WIRE_COMPAT only */
    giro_u128 client;
    giro_u128 parent;   /* context of the last reply */
    giro_u128 checksum; /* of the request in flight */
    uint64_t session;
    uint64_t request_id;
    uint32_t request;             /* its number */
    struct giro_result *failures; /* of the reply that was read last */
};

/* A reply to create_transfers. */
struct wire_reply {
    uint64_t request_id;
    uint32_t status;       /* enum frame_status; what WIRE_COMPAT refuses is an error */
    uint32_t result_count; /* events that were not created */
    const uint8_t
        *results; /* struct giro_result of each, at any alignment; borrowed from the reply,
                                or from the wire until the next one */
    uint64_t timestamp_last;  /* of the last event; 0: none was created */
    uint64_t timestamp_first; /* of the first one */
};

/* Transfers of one request, at most. */
uint32_t wire_events_max(enum wire_protocol protocol);

/* Bytes of a request, and of a reply at most. */
uint32_t wire_request_bytes(enum wire_protocol protocol, uint32_t events);
uint32_t wire_reply_bytes_max(enum wire_protocol protocol, uint32_t events);

/* Connects a blocking socket and exchanges what comes before requests of up to so many events.
 * Returns the descriptor, which the caller closes, or -errno; *out is to be closed in either case. */
int wire_open(enum wire_protocol protocol, const struct client_address *address, uint32_t events,
              struct wire *out, char problem[WIRE_PROBLEM_BYTES]);
void wire_close(struct wire *wire);

/* Where a request's events go in its frame, which is aligned to 16 bytes. */
struct giro_transfer *wire_events(const struct wire *wire, uint8_t *frame);

/* Completes a request whose events are there. */
void wire_request_seal(struct wire *wire, uint8_t *frame, uint64_t request_id, uint32_t events);

/* Looks for a whole reply at the begin of what was received. bytes_max: room for one.
 * *out_bytes: its size, 0 as long as it is not whole. */
int wire_reply_find(const struct wire *wire, const uint8_t *bytes, uint32_t size,
                    uint32_t bytes_max, uint32_t *out_bytes, char problem[WIRE_PROBLEM_BYTES]);

/* Reads a whole reply to the oldest request in flight, which has so many events. */
int wire_reply_read(struct wire *wire, const uint8_t *frame, uint32_t events,
                    struct wire_reply *out, char problem[WIRE_PROBLEM_BYTES]);

#endif
