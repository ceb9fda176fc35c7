/* A client that sends whatever bytes a test wants, and understands what comes back.
 *
 * It is made of net/frame.h alone, not of the C client, so that it can also do everything that a
 * well-behaved client never does. */
#ifndef TESTS_FAULTS_CLIENT_H
#define TESTS_FAULTS_CLIENT_H

#include "engine/result.h"
#include "net/frame.h"

struct client {
    int fd; /* -1: none */
    uint64_t request_id;
    char *in; /* one frame */
    uint32_t in_have;
};

/* A reply; body is the client's memory until the next one is received. */
struct reply {
    struct frame_header header;
    const void *body;
};

enum client_event {
    CLIENT_REPLY,
    CLIENT_CLOSED, /* by the server, orderly or with a reset */
    CLIENT_SILENT, /* nothing came in the time given */
};

/* Connects without a word. The test fails when the server does not accept. */
void client_connect_silent(struct client *client, uint16_t port);

/* Connects and is welcomed. */
void client_connect(struct client *client, uint16_t port);
void client_close(struct client *client);

/* Sends all of it. Returns false when the connection broke. */
bool client_send(struct client *client, const void *bytes, size_t size);

/* Seals a request and sends it. Returns its id, 0 when the connection broke. */
uint64_t client_request(struct client *client, enum frame_operation operation, const void *body,
                        uint32_t body_bytes);

/* Writes a sealed request into out, FRAME_HEADER_BYTES + body_bytes of room; returns its size. */
uint32_t client_frame(void *out, enum frame_operation operation, uint64_t request_id,
                      const void *body, uint32_t body_bytes);

/* Writes a sealed hello into out; returns its size. */
uint32_t client_hello_frame(void *out);

/* Waits for one whole frame; the test fails when it is not a sound reply. */
enum client_event client_receive(struct client *client, struct reply *reply, uint32_t timeout_ms);

/* The reply to the next request in line; the test fails when it does not come. */
void client_expect(struct client *client, uint64_t request_id, struct reply *reply);

/* Request and reply, for tests that go step by step. Those that return a status leave everything
 * else untouched when it is not FRAME_OK. */

/* False when there is no answer within the time. */
bool client_ping(struct client *client, uint32_t timeout_ms);
void client_stats(struct client *client, struct frame_stats *out_stats);

/* out_codes: one an event, may be NULL; out_timestamp: of the first event, may be NULL. */
enum frame_status client_create_accounts(struct client *client, const struct giro_account *accounts,
                                         uint32_t count, uint32_t *out_codes);
enum frame_status client_create_transfers(struct client *client,
                                          const struct giro_transfer *transfers, uint32_t count,
                                          uint32_t *out_codes, uint64_t *out_timestamp);

/* out: room for count. */
enum frame_status client_lookup_accounts(struct client *client, const giro_u128 *ids,
                                         uint32_t count, struct giro_account *out,
                                         uint32_t *out_found);
enum frame_status client_lookup_transfers(struct client *client, const giro_u128 *ids,
                                          uint32_t count, struct giro_transfer *out,
                                          uint32_t *out_found);

/* count accounts of ledger 1 with ids from first on. */
void client_make_accounts(struct client *client, uint64_t first, uint32_t count);

/* A plain transfer between two accounts of ledger 1. */
struct giro_transfer transfer_of(uint64_t id, uint64_t debit, uint64_t credit, uint64_t amount);

#endif
