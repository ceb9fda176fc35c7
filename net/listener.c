#include "net/listener.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, HOST_BYTES = 256 };

/* Splits HOST:PORT at the last colon and takes the brackets off an IPv6 host. */
static bool address_split(const char *address, char host[HOST_BYTES], const char **out_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == 0)
        return false;
    size_t length = (size_t)(colon - address);
    if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    if (length == 0 || length >= HOST_BYTES)
        return false;
    memcpy(host, address, length);
    host[length] = 0;
    *out_port = colon + 1;
    /* getaddrinfo() would take 99999 for 34463. */
    char *end;
    unsigned long port = strtoul(*out_port, &end, 10);
    return isdigit((unsigned char)(*out_port)[0]) && *end == 0 && port <= UINT16_MAX;
}

static void address_print(int fd, char *out, size_t out_size)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    out[0] = 0;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0 ||
        getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    (void)snprintf(out, out_size, bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int listener_open(const char *address, char *out_address, size_t out_size, struct error *error)
{
    char host[HOST_BYTES];
    const char *port;
    if (!address_split(address, host, &port))
        return error_set(
            error, -EINVAL,
            "listen address \"%s\": write HOST:PORT or [IPV6]:PORT, with a port from 0 to "
            "65535",
            address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int result = getaddrinfo(host, port, &hints, &found);
    if (result != 0)
        return error_set(error, -EINVAL, "listen address \"%s\": %s", address,
                         gai_strerror(result));
    const int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool listening = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    int code = listening ? 0 : -errno;
    freeaddrinfo(found);
    if (!listening) {
        if (fd >= 0)
            close(fd);
        return error_set(error, code, "cannot listen on %s: %s", address, strerror(-code));
    }
    address_print(fd, out_address, out_size);
    return fd;
}

static bool peer_is_local(int fd)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return false;
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)(const void *)&peer;
        return ntohl(address->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)(const void *)&peer;
    return peer.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->sin6_addr);
}

void listener_prepare(int fd)
{
    static const char reno[] = "reno";
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    /* Where BBR is the default it paces with timers what never leaves the machine. */
    if (peer_is_local(fd))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof reno - 1);
}
