/* Closed loop load on a peer, made and measured like the one of `giro bench`: the same accounts,
 * amounts and ids, one thread, epoll, one request in flight on each connection.
 *
 *     NAME --host HOST --port PORT [--script FILE] --accounts N --connections N --batch N
 *          --seconds N --warmup-seconds N --seed N
 *
 * Prints one JSON object. Exit status 0 when every transfer was created. */
#include "bench/clock.h"
#include "bench/peers/peer.h"
#include "bench/workload.h"

#include <errno.h>
#include <getopt.h>
#include <hdr_histogram.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, IDLE_TIMEOUT_MS = 30000, TRANSFERS_MAX = 8190 };

#define LATENCY_MAX_NS (600 * NS_PER_S)

struct options {
    struct peer_address address;
    uint32_t accounts;
    uint32_t connections;
    uint32_t batch;
    uint32_t seconds;
    uint32_t warmup_seconds;
    uint64_t seed;
};

struct connection {
    struct peer *peer;
    uint64_t start_ns;
    bool in_flight;
    bool unsent; /* the socket was full */
};

struct load {
    struct options options;
    struct workload *workload;
    struct workload_lane lane;
    struct giro_transfer *events; /* one request, used again for each */
    struct connection *connections;
    int epoll_fd;
    uint64_t requests_made;
    uint32_t in_flight;
    /* of the measured part */
    uint64_t requests;
    uint64_t transfers;
    uint64_t created;
    uint64_t reply_last_ns;
    struct hdr_histogram *latency_ns;
};

static bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || text[0] == '-' || value < min || value > max)
        return false;
    *out = value;
    return true;
}

static bool option_parse(int id, const char *text, struct options *out)
{
    uint64_t value = 0;
    bool good = true;
    switch (id) {
    case 'h':
        out->address.host = text;
        break;
    case 'p':
        out->address.port = text;
        break;
    case 'l':
        out->address.script = text;
        break;
    case 'a':
        good = number_parse(text, 2, 1u << 30, &value);
        out->accounts = (uint32_t)value;
        break;
    case 'c':
        good = number_parse(text, 1, 10000, &value);
        out->connections = (uint32_t)value;
        break;
    case 'b':
        good = number_parse(text, 1, TRANSFERS_MAX, &value);
        out->batch = (uint32_t)value;
        break;
    case 't':
        good = number_parse(text, 1, 100000, &value);
        out->seconds = (uint32_t)value;
        break;
    case 'w':
        good = number_parse(text, 0, 100000, &value);
        out->warmup_seconds = (uint32_t)value;
        break;
    case 's':
        good = number_parse(text, 0, UINT64_MAX, &value);
        out->seed = value;
        break;
    default:
        return false;
    }
    if (!good)
        fprintf(stderr, "%s: not a usable number: %s\n", peer_name, text);
    return good;
}

static bool options_parse(int argc, char **argv, struct options *out)
{
    static const struct option table[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"script", required_argument, NULL, 'l'},
        {"accounts", required_argument, NULL, 'a'},
        {"connections", required_argument, NULL, 'c'},
        {"batch", required_argument, NULL, 'b'},
        {"seconds", required_argument, NULL, 't'},
        {"warmup-seconds", required_argument, NULL, 'w'},
        {"seed", required_argument, NULL, 's'},
        {0},
    };
    *out = (struct options){
        .address = {.host = "127.0.0.1"},
        .accounts = 10000,
        .connections = 64,
        .batch = 1,
        .seconds = 5,
        .warmup_seconds = 1,
        .seed = 42,
    };
    for (int id; (id = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (!option_parse(id, optarg, out))
            return false;
    }
    if (out->address.port == NULL || optind != argc) {
        fprintf(stderr, "%s: --port is missing, or there is an argument too many\n", peer_name);
        return false;
    }
    return true;
}

/* Waits for output only while there is some: epoll is level-triggered here, which the client
 * libraries expect. */
static int interest_set(struct load *load, struct connection *connection, int operation,
                        bool output)
{
    struct epoll_event event = {
        .events = EPOLLIN | (output ? (uint32_t)EPOLLOUT : 0u),
        .data.ptr = connection,
    };
    connection->unsent = output;
    return epoll_ctl(load->epoll_fd, operation, peer_fd(connection->peer), &event);
}

static bool connection_send(struct load *load, struct connection *connection)
{
    struct workload_outcome outcome;
    workload_request(load->workload, &load->lane, load->requests_made++, load->events,
                     load->options.batch, NULL, &outcome);
    connection->start_ns = clock_now_ns();
    connection->in_flight = true;
    load->in_flight++;
    int sent = peer_send(connection->peer, load->events, load->options.batch);
    if (sent == 0)
        return interest_set(load, connection, EPOLL_CTL_MOD, true) == 0;
    return sent > 0;
}

static void reply_count(struct load *load, const struct connection *connection, uint32_t created,
                        uint64_t measured_from_ns)
{
    if (connection->start_ns < measured_from_ns)
        return;
    uint64_t now_ns = clock_now_ns();
    hdr_record_value(load->latency_ns, (int64_t)(now_ns - connection->start_ns));
    load->requests++;
    load->transfers += load->options.batch;
    load->created += created;
    load->reply_last_ns = now_ns;
}

static bool connection_handle(struct load *load, struct connection *connection, bool more,
                              uint64_t measured_from_ns)
{
    if (connection->unsent) {
        int sent = peer_flush(connection->peer);
        if (sent < 0)
            return false;
        if (sent > 0 && interest_set(load, connection, EPOLL_CTL_MOD, false) != 0)
            return false;
    }
    uint32_t created = 0;
    int done = peer_receive(connection->peer, &created);
    if (done <= 0)
        return done == 0;
    if (!connection->in_flight) {
        fprintf(stderr, "%s: a reply to no request\n", peer_name);
        return false;
    }
    connection->in_flight = false;
    load->in_flight--;
    reply_count(load, connection, created, measured_from_ns);
    return !more || connection_send(load, connection);
}

/* Until `until_ns`, and then until the last reply. Requests begun before measured_from_ns are not
 * counted. */
static bool load_run(struct load *load, uint64_t until_ns, uint64_t measured_from_ns)
{
    for (uint32_t i = 0; i < load->options.connections; i++) {
        if (!connection_send(load, &load->connections[i]))
            return false;
    }
    while (load->in_flight > 0) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, IDLE_TIMEOUT_MS);
        if (count <= 0) {
            fprintf(stderr, "%s: no reply for %d s\n", peer_name, IDLE_TIMEOUT_MS / 1000);
            return false;
        }
        bool more = clock_now_ns() < until_ns;
        for (int i = 0; i < count; i++) {
            if (!connection_handle(load, events[i].data.ptr, more, measured_from_ns))
                return false;
        }
    }
    return true;
}

static bool load_open(struct load *load)
{
    const struct options *options = &load->options;
    struct workload_config workload = {.accounts = options->accounts, .seed = options->seed};
    load->events = aligned_alloc(64, (size_t)options->batch * sizeof *load->events);
    load->connections = calloc(options->connections, sizeof *load->connections);
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load->events == NULL || load->connections == NULL || load->epoll_fd < 0 ||
        workload_create(&workload, &load->workload) != 0 ||
        hdr_init(1, LATENCY_MAX_NS, 3, &load->latency_ns) != 0) {
        fprintf(stderr, "%s: out of memory\n", peer_name);
        return false;
    }
    for (uint32_t i = 0; i < options->connections; i++) {
        struct connection *connection = &load->connections[i];
        connection->peer = peer_open(&options->address, options->batch);
        if (connection->peer == NULL)
            return false;
        if (interest_set(load, connection, EPOLL_CTL_ADD, false) != 0) {
            fprintf(stderr, "%s: epoll: %s\n", peer_name, strerror(errno));
            return false;
        }
    }
    return true;
}

static double latency_us(const struct load *load, double percentile)
{
    return (double)hdr_value_at_percentile(load->latency_ns, percentile) / 1e3;
}

static void report(const struct load *load, uint64_t measured_from_ns, uint64_t cpu_ns)
{
    uint64_t elapsed_ns = load->reply_last_ns - measured_from_ns;
    double seconds = elapsed_ns > 0 ? (double)elapsed_ns / 1e9 : 1.0;
    double transfers = load->transfers > 0 ? (double)load->transfers : 1.0;
    printf("{\"transfers_per_second\": %.1f, \"requests_per_second\": %.1f, "
           "\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, "
           "\"max\": %.1f}, \"transfers\": %llu, \"created\": %llu, "
           "\"client_cpu_ns_per_transfer\": %.1f, \"seconds\": %.3f}\n",
           (double)load->transfers / seconds, (double)load->requests / seconds,
           latency_us(load, 50), latency_us(load, 90), latency_us(load, 99), latency_us(load, 99.9),
           (double)hdr_max(load->latency_ns) / 1e3, (unsigned long long)load->transfers,
           (unsigned long long)load->created, (double)cpu_ns / transfers, seconds);
}

static void load_close(struct load *load)
{
    for (uint32_t i = 0; load->connections != NULL && i < load->options.connections; i++)
        peer_close(load->connections[i].peer);
    if (load->latency_ns != NULL)
        hdr_close(load->latency_ns);
    workload_destroy(load->workload);
    free(load->connections);
    free(load->events);
}

/* Warm-up, load, report. Returns whether every transfer was created. */
static bool load_measure(struct load *load)
{
    uint64_t start_ns = clock_now_ns();
    if (load->options.warmup_seconds > 0 &&
        !load_run(load, start_ns + load->options.warmup_seconds * NS_PER_S, UINT64_MAX))
        return false;
    uint64_t measured_from_ns = clock_now_ns();
    uint64_t cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (!load_run(load, measured_from_ns + load->options.seconds * NS_PER_S, measured_from_ns))
        return false;
    report(load, measured_from_ns, clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns);
    return load->created == load->transfers;
}

int main(int argc, char **argv)
{
    struct load load = {.epoll_fd = -1};
    if (!options_parse(argc, argv, &load.options))
        return 2;
    signal(SIGPIPE, SIG_IGN);
    bool good = load_open(&load) && load_measure(&load);
    load_close(&load);
    if (load.epoll_fd >= 0)
        close(load.epoll_fd);
    return good ? 0 : 1;
}
