#include "bench/client.h"

#include "bench/clock.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { REPLY_TIMEOUT_S = 30 };

struct client {
    int fd;
    uint64_t request_id;
    uint64_t ahead_ns; /* of our clock is the server's; wraps around */
    uint8_t *frame;    /* FRAME_BYTES_MAX, for the request and then for its reply */
};

int client_resolve(const char *text, struct client_address *out)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return -EINVAL;
    const char *begin = text;
    const char *end = colon;
    if (*begin == '[' && end > begin && end[-1] == ']') {
        begin++;
        end--;
    }
    size_t size = (size_t)(end - begin);
    if (size == 0 || size >= sizeof host)
        return -EINVAL;
    memcpy(host, begin, size);
    host[size] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -EHOSTUNREACH;
    *out = (struct client_address){.size_bytes = found->ai_addrlen};
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

/* A signal ends it. */
int client_send(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        at += sent;
        size -= (size_t)sent;
    }
    return 0;
}

int client_receive(int fd, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        ssize_t received = recv(fd, at, size, 0);
        if (received == 0)
            return -ECONNRESET;
        if (received < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        at += received;
        size -= (size_t)received;
    }
    return 0;
}

/* Receives the reply to the request whose header is given into frame. */
static int reply_receive(int fd, const struct frame_header *request, uint8_t *frame,
                         uint32_t frame_bytes_max, uint32_t *out_body_bytes, uint32_t *out_status)
{
    struct frame_header header;
    int error = client_receive(fd, frame, sizeof header);
    if (error != 0)
        return error;
    memcpy(&header, frame, sizeof header);
    if (frame_check_header(&header) != FRAME_OK ||
        header.body_bytes > frame_bytes_max - FRAME_HEADER_BYTES)
        return -EPROTO;
    error = client_receive(fd, frame + sizeof header, header.body_bytes);
    if (error != 0)
        return error;
    if (frame_check_body(frame) != FRAME_OK)
        return -EBADMSG;
    if (header.status != FRAME_OK) {
        *out_status = header.status;
        return -EREMOTEIO;
    }
    if (header.flags != FRAME_FLAG_REPLY || header.operation != request->operation ||
        header.request_id != request->request_id)
        return -EPROTO;
    *out_body_bytes = header.body_bytes;
    return 0;
}

static int hello(int fd, struct frame_welcome *out, uint32_t *out_status)
{
    struct {
        struct frame_header header;
        struct frame_hello hello;
    } request = {
        .header = {.operation = FRAME_HELLO},
        .hello = {.version_min = FRAME_VERSION, .version_max = FRAME_VERSION},
    };
    struct {
        struct frame_header header;
        struct frame_welcome welcome;
    } reply;
    snprintf(request.hello.client, sizeof request.hello.client, "giro bench");
    frame_seal(&request, sizeof request.hello);
    int error = client_send(fd, &request, sizeof request);
    if (error != 0)
        return error;
    uint32_t body_bytes = 0;
    error = reply_receive(fd, &request.header, (uint8_t *)&reply, sizeof reply, &body_bytes,
                          out_status);
    if (error != 0)
        return error;
    if (body_bytes != sizeof reply.welcome)
        return -EPROTO;
    *out = reply.welcome;
    return 0;
}

static int congestion_set(int fd, const char *name)
{
    if (name == NULL ||
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0)
        return 0;
    return -errno;
}

int client_socket(const struct client_address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const int on = 1;
    const struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
    int error = congestion_set(fd, address->congestion);
    if (error == 0 &&
        (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
         setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
         setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
         connect(fd, (const struct sockaddr *)&address->storage, address->size_bytes) != 0))
        error = -errno;
    if (error != 0) {
        close(fd);
        return error;
    }
    return fd;
}

int client_connect(const struct client_address *address, struct frame_welcome *out_welcome,
                   uint32_t *out_status)
{
    *out_status = FRAME_OK;
    int fd = client_socket(address);
    if (fd < 0)
        return fd;
    int error = hello(fd, out_welcome, out_status);
    if (error != 0) {
        close(fd);
        return error;
    }
    return fd;
}

int client_open(const struct client_address *address, struct client **out)
{
    struct frame_welcome welcome = {0};
    uint32_t status;
    struct client *client = calloc(1, sizeof *client);
    uint8_t *frame = malloc(FRAME_BYTES_MAX);
    int fd = client == NULL || frame == NULL ? -ENOMEM : client_connect(address, &welcome, &status);
    if (fd < 0) {
        free(frame);
        free(client);
        return fd;
    }
    client->fd = fd;
    client->ahead_ns = welcome.time_ns - clock_read_ns(CLOCK_REALTIME);
    client->frame = frame;
    *out = client;
    return 0;
}

void client_close(struct client *client)
{
    if (client == NULL)
        return;
    close(client->fd);
    free(client->frame);
    free(client);
}

uint64_t client_server_ns(const struct client *client)
{
    return clock_read_ns(CLOCK_REALTIME) + client->ahead_ns;
}

void client_timeout(struct client *client, uint32_t seconds)
{
    const struct timeval timeout = {.tv_sec = seconds};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

int client_call(struct client *client, enum frame_operation operation, const void *body,
                uint32_t body_bytes, const void **out_reply, uint32_t *out_reply_bytes,
                uint32_t *out_status)
{
    assert(body_bytes <= FRAME_BODY_BYTES_MAX);
    struct frame_header header = {
        .operation = (uint8_t)operation,
        .request_id = ++client->request_id,
    };
    *out_status = FRAME_OK;
    memcpy(client->frame, &header, sizeof header);
    if (body_bytes > 0)
        memcpy(client->frame + sizeof header, body, body_bytes);
    frame_seal(client->frame, body_bytes);
    int error = client_send(client->fd, client->frame, sizeof header + body_bytes);
    if (error == 0)
        error = reply_receive(client->fd, &header, client->frame, FRAME_BYTES_MAX, out_reply_bytes,
                              out_status);
    if (error == 0)
        *out_reply = client->frame + sizeof header;
    return error;
}
