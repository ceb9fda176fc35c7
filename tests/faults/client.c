#include "tests/faults/client.h"

#include "tests/faults/harness.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void client_connect_silent(struct client *client, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int on = 1;
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    cr_assert(client->fd >= 0, "%s", strerror(errno));
    client->in = aligned_alloc(16, FRAME_BYTES_MAX);
    cr_assert(client->in != NULL);
    cr_assert(connect(client->fd, (const struct sockaddr *)&address, sizeof address) == 0,
              "port %u: %s", port, strerror(errno));
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void client_connect(struct client *client, uint16_t port)
{
    char hello[FRAME_HEADER_BYTES + sizeof(struct frame_hello)];
    struct reply reply;
    client_connect_silent(client, port);
    cr_assert(client_send(client, hello, client_hello_frame(hello)));
    client_expect(client, ++client->request_id, &reply);
    cr_assert_eq(reply.header.status, FRAME_OK, "hello: %s",
                 frame_status_name(reply.header.status));
    cr_assert_eq(reply.header.body_bytes, sizeof(struct frame_welcome));
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    free(client->in);
    *client = (struct client){.fd = -1};
}

bool client_send(struct client *client, const void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t sent = send(client->fd, (const char *)bytes + done, size - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        done += sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

uint32_t client_frame(void *out, enum frame_operation operation, uint64_t request_id,
                      const void *body, uint32_t body_bytes)
{
    const struct frame_header header = {.operation = (uint8_t)operation, .request_id = request_id};
    memcpy(out, &header, sizeof header);
    if (body_bytes != 0)
        memcpy((char *)out + FRAME_HEADER_BYTES, body, body_bytes);
    frame_seal(out, body_bytes);
    return FRAME_HEADER_BYTES + body_bytes;
}

uint32_t client_hello_frame(void *out)
{
    const struct frame_hello hello = {
        .version_min = FRAME_VERSION, .version_max = FRAME_VERSION, .client = "fault test"};
    return client_frame(out, FRAME_HELLO, 1, &hello, sizeof hello);
}

uint64_t client_request(struct client *client, enum frame_operation operation, const void *body,
                        uint32_t body_bytes)
{
    char *frame = malloc(FRAME_HEADER_BYTES + body_bytes);
    cr_assert(frame != NULL);
    uint32_t size = client_frame(frame, operation, ++client->request_id, body, body_bytes);
    bool sent = client_send(client, frame, size);
    free(frame);
    return sent ? client->request_id : 0;
}

/* Bytes that the frame under way still lacks. */
static uint32_t frame_lacks(const struct client *client)
{
    struct frame_header header;
    if (client->in_have < FRAME_HEADER_BYTES)
        return FRAME_HEADER_BYTES - client->in_have;
    memcpy(&header, client->in, sizeof header);
    cr_assert_eq(frame_check_header(&header), FRAME_OK, "the server sent a malformed header");
    return FRAME_HEADER_BYTES + header.body_bytes - client->in_have;
}

static void frame_take(struct client *client, struct reply *reply)
{
    memcpy(&reply->header, client->in, sizeof reply->header);
    reply->body = client->in + FRAME_HEADER_BYTES;
    client->in_have = 0;
    cr_assert_eq(frame_check_body(client->in), FRAME_OK, "the server sent a bad checksum");
    cr_assert_eq(reply->header.flags, FRAME_FLAG_REPLY);
}

enum client_event client_receive(struct client *client, struct reply *reply, uint32_t timeout_ms)
{
    uint64_t deadline = now_ms() + timeout_ms;
    for (;;) {
        uint32_t lacks = frame_lacks(client);
        if (lacks == 0) {
            frame_take(client, reply);
            return CLIENT_REPLY;
        }
        ssize_t got = recv(client->fd, client->in + client->in_have, lacks, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return CLIENT_CLOSED;
        if (got > 0) {
            client->in_have += (uint32_t)got;
            continue;
        }
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        uint64_t now = now_ms();
        if (now >= deadline && timeout_ms != 0)
            return CLIENT_SILENT;
        if (timeout_ms == 0 || poll(&wait, 1, (int)(deadline - now)) == 0)
            return CLIENT_SILENT;
    }
}

void client_expect(struct client *client, uint64_t request_id, struct reply *reply)
{
    enum client_event event = client_receive(client, reply, PATIENCE_MS);
    cr_assert_eq(event, CLIENT_REPLY, "no reply to request %lu: %s", request_id,
                 event == CLIENT_CLOSED ? "closed" : "silence");
    cr_assert_eq(reply->header.request_id, request_id, "reply to %lu instead of %lu: %s",
                 reply->header.request_id, request_id, frame_status_name(reply->header.status));
}

bool client_ping(struct client *client, uint32_t timeout_ms)
{
    struct reply reply;
    uint64_t id = client_request(client, FRAME_PING, NULL, 0);
    return id != 0 && client_receive(client, &reply, timeout_ms) == CLIENT_REPLY &&
           reply.header.request_id == id && reply.header.status == FRAME_OK;
}

/* A request that the server must answer. */
static struct reply client_call(struct client *client, enum frame_operation operation,
                                const void *body, size_t body_bytes)
{
    struct reply reply;
    uint64_t id = client_request(client, operation, body, (uint32_t)body_bytes);
    cr_assert(id != 0, "the connection broke");
    client_expect(client, id, &reply);
    cr_assert_eq(reply.header.operation, operation);
    return reply;
}

void client_stats(struct client *client, struct frame_stats *out_stats)
{
    struct reply reply = client_call(client, FRAME_STATS, NULL, 0);
    cr_assert_eq(reply.header.body_bytes, sizeof *out_stats);
    memcpy(out_stats, reply.body, sizeof *out_stats);
}

static enum frame_status created(const struct reply *reply, uint32_t count, uint32_t *out_codes,
                                 uint64_t *out_timestamp)
{
    struct frame_created head;
    if (reply->header.status != FRAME_OK)
        return reply->header.status;
    memcpy(&head, reply->body, sizeof head);
    cr_assert_eq(reply->header.body_bytes,
                 sizeof head + head.result_count * sizeof(struct giro_result));
    if (out_timestamp != NULL)
        *out_timestamp = head.timestamp_first;
    if (out_codes == NULL)
        return FRAME_OK;
    memset(out_codes, 0, count * sizeof *out_codes);
    for (uint32_t i = 0; i < head.result_count; i++) {
        struct giro_result result;
        memcpy(&result, (const char *)reply->body + sizeof head + i * sizeof result, sizeof result);
        cr_assert(result.index < count);
        out_codes[result.index] = result.code;
    }
    return FRAME_OK;
}

enum frame_status client_create_accounts(struct client *client, const struct giro_account *accounts,
                                         uint32_t count, uint32_t *out_codes)
{
    struct reply reply =
        client_call(client, FRAME_CREATE_ACCOUNTS, accounts, count * sizeof *accounts);
    return created(&reply, count, out_codes, NULL);
}

enum frame_status client_create_transfers(struct client *client,
                                          const struct giro_transfer *transfers, uint32_t count,
                                          uint32_t *out_codes, uint64_t *out_timestamp)
{
    struct reply reply =
        client_call(client, FRAME_CREATE_TRANSFERS, transfers, count * sizeof *transfers);
    return created(&reply, count, out_codes, out_timestamp);
}

static enum frame_status found(const struct reply *reply, uint32_t count, void *out,
                               uint32_t *out_found)
{
    if (reply->header.status != FRAME_OK)
        return reply->header.status;
    cr_assert_eq(reply->header.body_bytes % GIRO_RECORD_BYTES, 0);
    cr_assert(reply->header.body_bytes <= count * GIRO_RECORD_BYTES);
    memcpy(out, reply->body, reply->header.body_bytes);
    *out_found = reply->header.body_bytes / GIRO_RECORD_BYTES;
    return FRAME_OK;
}

enum frame_status client_lookup_accounts(struct client *client, const giro_u128 *ids,
                                         uint32_t count, struct giro_account *out,
                                         uint32_t *out_found)
{
    struct reply reply = client_call(client, FRAME_LOOKUP_ACCOUNTS, ids, count * sizeof *ids);
    return found(&reply, count, out, out_found);
}

enum frame_status client_lookup_transfers(struct client *client, const giro_u128 *ids,
                                          uint32_t count, struct giro_transfer *out,
                                          uint32_t *out_found)
{
    struct reply reply = client_call(client, FRAME_LOOKUP_TRANSFERS, ids, count * sizeof *ids);
    return found(&reply, count, out, out_found);
}

void client_make_accounts(struct client *client, uint64_t first, uint32_t count)
{
    struct giro_account *accounts = calloc(count, sizeof *accounts);
    uint32_t *codes = calloc(count, sizeof *codes);
    cr_assert(accounts != NULL && codes != NULL);
    for (uint32_t i = 0; i < count; i++)
        accounts[i] = (struct giro_account){.id = first + i, .ledger = 1, .code = 1};
    cr_assert_eq(client_create_accounts(client, accounts, count, codes), FRAME_OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(codes[i] == GIRO_ACCOUNT_CREATED || codes[i] == GIRO_ACCOUNT_EXISTS, "%s",
                  giro_account_result_name(codes[i]));
    free(accounts);
    free(codes);
}

struct giro_transfer transfer_of(uint64_t id, uint64_t debit, uint64_t credit, uint64_t amount)
{
    return (struct giro_transfer){
        .id = id,
        .debit_account_id = debit,
        .credit_account_id = credit,
        .amount = amount,
        .ledger = 1,
        .code = 1,
    };
}
