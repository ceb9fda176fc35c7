#include "bench/crowd.h"

#include "bench/clock.h"
#include "engine/result.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FLIGHT_MAX = 64, /* requests of one connection */
    OUT_BYTES = FRAME_HEADER_BYTES + GIRO_RECORD_BYTES,
    IN_BYTES = 512,
    EVENTS_MAX = 256,
    HALF_BYTES = FRAME_HEADER_BYTES + 20,
    SETTLE_S = 60,
    SWEPT_US = 500 * 1000, /* the server has noticed by then who is gone */
};

#define LATENCY_MAX_NS (600 * NS_PER_S)
#define AWAY_MAX_NS (2 * NS_PER_S)
#define SILENT_MAX_NS (15 * NS_PER_S)
#define RETRY_NS (200 * NS_PER_MS)
#define CONNECT_PAUSE_NS (NS_PER_MS / 10) /* between the first connects of two clients */

enum crash { CRASH_RESET, CRASH_CLOSE, CRASH_HALF, CRASH_VANISH };

const char *const crowd_crash_names[CROWD_CRASHES] = {"reset", "close", "half", "vanish"};

enum state {
    STATE_AWAY,       /* until back_ns */
    STATE_SILENT,     /* connected, half a frame was sent, until back_ns */
    STATE_CONNECTING, /* the rest has a socket and gets events */
    STATE_GREETING,
    STATE_HERE,
};

struct flight {
    uint64_t number;
    uint64_t due_ns;
    bool again; /* sent more than once, perhaps */
};

struct guest {
    int fd;
    enum state state;
    uint32_t absent; /* its place in the list of those who are away or silent */
    uint64_t back_ns;
    uint64_t here_since_ns;
    uint64_t here_ns; /* altogether, before that */
    uint64_t replies;
    uint64_t timestamp_last; /* that it was answered */
    uint32_t first;          /* oldest request that is not answered */
    uint32_t count;
    uint32_t sent; /* of these, over this connection */
    uint32_t out_bytes;
    uint32_t out_sent;
    uint32_t in_bytes;
    struct flight flights[FLIGHT_MAX]; /* a ring */
    _Alignas(16) uint8_t out[OUT_BYTES];
    uint8_t in[IN_BYTES];
};

struct crowd {
    struct crowd_config config;
    struct guest *guests;
    struct guest **absent;
    uint32_t absent_count;
    int epoll_fd;
    uint64_t random;
    giro_u128 id_base;
    uint64_t transfers; /* that exist */
    uint64_t next;      /* number of the next request */

    /* of the current run */
    struct crowd_result *result;
    struct hdr_histogram *second; /* latencies of this second */
    uint64_t second_replies;
    uint64_t start_ns;
    uint64_t end_ns;
    double rate;
    uint64_t run_requests;
    uint32_t turn;     /* whose turn it is */
    uint64_t crash_ns; /* when the next one crashes */
    uint64_t crash_every_ns;
};

__attribute__((format(printf, 2, 3))) static void problem_note(struct crowd *crowd,
                                                               const char *format, ...)
{
    if (crowd->result->problem[0] != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(crowd->result->problem, CROWD_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
}

/* ---- Coming and going -------------------------------------------------------------------- */

static void absent_add(struct crowd *crowd, struct guest *guest, enum state state, uint64_t back_ns)
{
    guest->state = state;
    guest->back_ns = back_ns;
    guest->absent = crowd->absent_count;
    crowd->absent[crowd->absent_count++] = guest;
}

static void absent_remove(struct crowd *crowd, const struct guest *guest)
{
    struct guest *last = crowd->absent[--crowd->absent_count];
    crowd->absent[guest->absent] = last;
    last->absent = guest->absent;
}

/* What was not answered will be sent again. */
static void guest_reset(struct guest *guest)
{
    guest->sent = 0;
    guest->out_bytes = 0;
    guest->out_sent = 0;
    guest->in_bytes = 0;
    for (uint32_t i = 0; i < guest->count; i++)
        guest->flights[(guest->first + i) % FLIGHT_MAX].again = true;
}

static void guest_leaves(struct guest *guest, uint64_t now_ns)
{
    if (guest->state == STATE_HERE)
        guest->here_ns += now_ns - guest->here_since_ns;
}

/* Closes the socket, with a reset or as the kernel sees fit. */
static void guest_disconnect(struct guest *guest, bool reset)
{
    const struct linger now = {.l_onoff = 1};
    if (guest->fd < 0)
        return;
    if (reset)
        (void)setsockopt(guest->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(guest->fd);
    guest->fd = -1;
    guest_reset(guest);
}

/* Something ended that should not have. */
static void guest_failed(struct crowd *crowd, struct guest *guest, const char *what, int error)
{
    uint64_t now_ns = clock_now_ns();
    crowd->result->errors++;
    problem_note(crowd, "connection %ld: %s: %s", (long)(guest - crowd->guests), what,
                 strerror(error));
    guest_leaves(guest, now_ns);
    guest_disconnect(guest, true);
    absent_add(crowd, guest, STATE_AWAY, now_ns + RETRY_NS);
}

static void guest_connect(struct crowd *crowd, struct guest *guest)
{
    const struct client_address *address = &crowd->config.address;
    const int on = 1;
    absent_remove(crowd, guest);
    guest->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = guest};
    guest->state = STATE_CONNECTING;
    if (guest->fd < 0 || epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, guest->fd, &event) != 0) {
        guest_failed(crowd, guest, "socket", errno);
        return;
    }
    (void)setsockopt(guest->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(guest->fd, (const struct sockaddr *)&address->storage, address->size_bytes) != 0 &&
        errno != EINPROGRESS)
        guest_failed(crowd, guest, "connect", errno);
}

/* Lets those come back whose time it is; all: everybody. */
static void absent_run(struct crowd *crowd, uint64_t now_ns, bool all)
{
    for (uint32_t i = 0; i < crowd->absent_count;) {
        struct guest *guest = crowd->absent[i];
        if (!all && guest->back_ns > now_ns) {
            i++;
            continue;
        }
        if (all && guest->state == STATE_AWAY && guest->back_ns > now_ns + RETRY_NS)
            guest->back_ns = now_ns;
        if (guest->state == STATE_AWAY && guest->back_ns > now_ns) {
            i++;
            continue;
        }
        guest_disconnect(guest, true);
        guest_connect(crowd, guest); /* takes it off the list, or puts it at the end */
    }
}

/* ---- Sending ----------------------------------------------------------------------------- */

static void request_build(struct crowd *crowd, struct guest *guest, uint64_t number)
{
    uint64_t bits = random_mix(crowd->config.seed ^ number);
    uint32_t accounts = crowd->config.accounts;
    uint32_t debit = random_below((uint32_t)bits, accounts);
    uint32_t credit = random_below((uint32_t)(bits >> 32), accounts - 1);
    struct frame_header header = {.operation = FRAME_CREATE_TRANSFERS, .request_id = number + 1};
    struct giro_transfer transfer = {
        .id = crowd->id_base + number,
        .debit_account_id = 1 + debit,
        .credit_account_id = 1 + credit + (credit >= debit),
        .amount = 1,
        .ledger = 1,
        .code = 1,
    };
    memcpy(guest->out, &header, sizeof header);
    memcpy(guest->out + sizeof header, &transfer, sizeof transfer);
    frame_seal(guest->out, sizeof transfer);
    guest->out_bytes = OUT_BYTES;
    guest->out_sent = 0;
}

/* Sends what there is until the socket is full. */
static void guest_send(struct crowd *crowd, struct guest *guest)
{
    for (;;) {
        if (guest->out_sent == guest->out_bytes) {
            if (guest->state != STATE_HERE || guest->sent == guest->count)
                return;
            uint32_t at = (guest->first + guest->sent) % FLIGHT_MAX;
            request_build(crowd, guest, guest->flights[at].number);
            guest->sent++;
        }
        ssize_t sent = send(guest->fd, guest->out + guest->out_sent,
                            guest->out_bytes - guest->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0) {
            guest_failed(crowd, guest, "send", errno);
            return;
        }
        guest->out_sent += (uint32_t)sent;
    }
}

/* Gives a connection the next request. */
static void request_add(struct crowd *crowd, struct guest *guest, uint64_t due_ns)
{
    assert(guest->count < FLIGHT_MAX);
    guest->flights[(guest->first + guest->count) % FLIGHT_MAX] =
        (struct flight){.number = crowd->next++, .due_ns = due_ns};
    guest->count++;
    crowd->result->requests++;
    guest_send(crowd, guest);
}

static void hello_send(struct crowd *crowd, struct guest *guest)
{
    struct frame_header header = {.operation = FRAME_HELLO, .request_id = 1};
    struct frame_hello hello = {.version_min = FRAME_VERSION, .version_max = FRAME_VERSION};
    _Static_assert(FRAME_HEADER_BYTES + sizeof hello <= OUT_BYTES, "hello fits");
    snprintf(hello.client, sizeof hello.client, "giro bench crowd");
    memcpy(guest->out, &header, sizeof header);
    memcpy(guest->out + sizeof header, &hello, sizeof hello);
    frame_seal(guest->out, sizeof hello);
    guest->out_bytes = FRAME_HEADER_BYTES + sizeof hello;
    guest->state = STATE_GREETING;
    guest_send(crowd, guest);
}

/* ---- Replies ----------------------------------------------------------------------------- */

static void latency_add(struct crowd *crowd, uint64_t latency_ns)
{
    if (latency_ns > crowd->result->wait_max_ns)
        crowd->result->wait_max_ns = latency_ns;
    if (latency_ns > LATENCY_MAX_NS)
        latency_ns = LATENCY_MAX_NS;
    hdr_record_value(crowd->result->latency_ns, (int64_t)latency_ns);
    hdr_record_value(crowd->second, (int64_t)latency_ns);
}

/* The outcome of the oldest request. Returns false when it is not the reply to that. */
static bool reply_take(struct crowd *crowd, struct guest *guest, const struct frame_header *header,
                       const uint8_t *body, uint64_t now_ns)
{
    struct flight *flight = &guest->flights[guest->first];
    struct frame_created created = {0};
    struct giro_result result = {0};
    bool existed = false;
    if (guest->sent == 0 || header->request_id != flight->number + 1 ||
        header->status != FRAME_OK || header->body_bytes < sizeof created)
        return false;
    memcpy(&created, body, sizeof created);
    if (created.result_count == 1 && header->body_bytes == sizeof created + sizeof result)
        memcpy(&result, body + sizeof created, sizeof result);
    existed = created.result_count == 1 && result.code == GIRO_TRANSFER_EXISTS && flight->again;
    if (created.result_count != 0 && !existed) {
        crowd->result->unexpected++;
        problem_note(crowd, "request %llu is answered %s", (unsigned long long)flight->number,
                     giro_transfer_result_name(result.code));
    }
    if (!existed && created.timestamp_first <= guest->timestamp_last) {
        crowd->result->unexpected++;
        problem_note(crowd, "request %llu: timestamps go back", (unsigned long long)flight->number);
    }
    if (!existed)
        guest->timestamp_last = created.timestamp_first;
    crowd->transfers++;
    crowd->result->repeated += flight->again;
    crowd->result->repeated_existed += existed;
    crowd->result->replies += !flight->again;
    if (!flight->again)
        latency_add(crowd, now_ns > flight->due_ns ? now_ns - flight->due_ns : 1);
    crowd->second_replies++;
    guest->replies++;
    guest->first = (guest->first + 1) % FLIGHT_MAX;
    guest->count--;
    guest->sent--;
    if (crowd->rate <= 0 && guest->count == 0 && now_ns < crowd->end_ns)
        request_add(crowd, guest, now_ns);
    return true;
}

/* One whole frame. Returns false when the connection is no more. */
static bool frame_take(struct crowd *crowd, struct guest *guest, const uint8_t *frame,
                       const struct frame_header *header, uint64_t now_ns)
{
    const bool greeting = guest->state == STATE_GREETING;
    if (frame_check_body(frame) != FRAME_OK) {
        guest_failed(crowd, guest, "a damaged reply", EBADMSG);
        return false;
    }
    if (greeting && header->operation == FRAME_HELLO && header->status == FRAME_OK) {
        guest->state = STATE_HERE;
        guest->here_since_ns = now_ns;
        guest_send(crowd, guest);
        if (guest->state == STATE_HERE && crowd->rate <= 0 && guest->count == 0 &&
            now_ns < crowd->end_ns)
            request_add(crowd, guest, now_ns);
        return guest->state == STATE_HERE;
    }
    if (!greeting && reply_take(crowd, guest, header, frame + FRAME_HEADER_BYTES, now_ns))
        return guest->fd >= 0;
    guest_failed(crowd, guest, frame_status_name(header->status), EPROTO);
    return false;
}

/* Takes every whole frame. Returns false when the connection is no more. */
static bool frames_take(struct crowd *crowd, struct guest *guest, uint64_t now_ns)
{
    _Alignas(16) uint8_t frame[IN_BYTES];
    uint32_t at = 0;
    while (guest->in_bytes - at >= FRAME_HEADER_BYTES) {
        struct frame_header header;
        memcpy(&header, guest->in + at, sizeof header);
        if (frame_check_header(&header) != FRAME_OK ||
            header.body_bytes > IN_BYTES - FRAME_HEADER_BYTES) {
            guest_failed(crowd, guest, "not a reply", EPROTO);
            return false;
        }
        uint32_t size = FRAME_HEADER_BYTES + header.body_bytes;
        if (guest->in_bytes - at < size)
            break;
        memcpy(frame, guest->in + at, size);
        at += size;
        if (!frame_take(crowd, guest, frame, &header, now_ns))
            return false;
    }
    guest->in_bytes -= at;
    memmove(guest->in, guest->in + at, guest->in_bytes);
    return true;
}

static void guest_receive(struct crowd *crowd, struct guest *guest)
{
    for (;;) {
        uint32_t room = IN_BYTES - guest->in_bytes;
        ssize_t got = recv(guest->fd, guest->in + guest->in_bytes, room, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            guest_failed(crowd, guest, "receive", got == 0 ? ECONNRESET : errno);
            return;
        }
        guest->in_bytes += (uint32_t)got;
        if (!frames_take(crowd, guest, clock_now_ns()) || (uint32_t)got < room)
            return;
    }
}

static void guest_event(struct crowd *crowd, struct guest *guest, uint32_t events)
{
    int error = 0;
    socklen_t size = sizeof error;
    switch (guest->state) {
    case STATE_AWAY:
        return;
    case STATE_SILENT: /* it does not look; but the server may have had enough of it */
        if ((events & (EPOLLHUP | EPOLLERR)) != 0 && guest->fd >= 0) {
            crowd->result->closed_by_server++;
            guest_disconnect(guest, true);
        }
        return;
    case STATE_CONNECTING:
        (void)getsockopt(guest->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0)
            guest_failed(crowd, guest, "connect", error);
        else if ((events & EPOLLOUT) != 0)
            hello_send(crowd, guest);
        return;
    case STATE_GREETING:
    case STATE_HERE:
        break;
    }
    guest_receive(crowd, guest);
    if (guest->state == STATE_HERE || guest->state == STATE_GREETING)
        guest_send(crowd, guest);
}

/* ---- Crashes ----------------------------------------------------------------------------- */

static void crash(struct crowd *crowd, struct guest *guest, uint64_t now_ns)
{
    enum crash kind = (enum crash)(random_next(&crowd->random) % CROWD_CRASHES);
    uint64_t away_ns = random_next(&crowd->random) % AWAY_MAX_NS;
    if ((kind == CRASH_HALF || kind == CRASH_VANISH) && guest->out_sent == guest->out_bytes) {
        request_build(crowd, guest, crowd->next); /* which will never be whole */
        (void)send(guest->fd, guest->out, HALF_BYTES, MSG_NOSIGNAL);
    }
    crowd->result->crashes[kind]++;
    guest_leaves(guest, now_ns);
    if (kind == CRASH_VANISH) {
        guest_reset(guest);
        absent_add(crowd, guest, STATE_SILENT,
                   now_ns + random_next(&crowd->random) % SILENT_MAX_NS);
        return;
    }
    guest_disconnect(guest, kind != CRASH_CLOSE);
    absent_add(crowd, guest, STATE_AWAY, now_ns + away_ns);
}

static void crashes_run(struct crowd *crowd, uint64_t now_ns)
{
    while (crowd->crash_every_ns != 0 && crowd->crash_ns <= now_ns && now_ns < crowd->end_ns) {
        struct guest *guest =
            &crowd->guests[random_next(&crowd->random) % crowd->config.connections];
        if (guest->state == STATE_HERE)
            crash(crowd, guest, now_ns);
        crowd->crash_ns += crowd->crash_every_ns;
    }
}

/* ---- The run ----------------------------------------------------------------------------- */

static uint64_t due_ns(const struct crowd *crowd, uint64_t request)
{
    return crowd->start_ns + (uint64_t)((double)request * (double)NS_PER_S / crowd->rate);
}

/* Sends what is due. Returns when the next one is. */
static uint64_t schedule(struct crowd *crowd)
{
    uint32_t passed = 0;
    if (crowd->rate <= 0)
        return UINT64_MAX;
    for (;;) {
        uint64_t due = due_ns(crowd, crowd->run_requests);
        uint64_t now_ns = clock_now_ns();
        if (due > now_ns || due >= crowd->end_ns)
            return due >= crowd->end_ns ? UINT64_MAX : due;
        struct guest *guest = &crowd->guests[crowd->turn];
        if (++crowd->turn == crowd->config.connections)
            crowd->turn = 0;
        if (guest->state != STATE_HERE || guest->count == FLIGHT_MAX) {
            if (++passed == crowd->config.connections)
                return now_ns + NS_PER_MS; /* nobody has room */
            continue;
        }
        passed = 0;
        if (now_ns - due > crowd->result->late_max_ns)
            crowd->result->late_max_ns = now_ns - due;
        crowd->run_requests++;
        request_add(crowd, guest, due);
    }
}

static void wait_and_handle(struct crowd *crowd, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now_ns = clock_now_ns();
    uint64_t most_ns = now_ns + NS_PER_MS; /* for those who come back */
    uint64_t end_ns = until_ns < most_ns ? until_ns : most_ns;
    struct timespec timeout = {.tv_nsec = end_ns > now_ns ? (long)(end_ns - now_ns) : 0};
    int count = epoll_pwait2(crowd->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
    for (int i = 0; i < count; i++)
        guest_event(crowd, events[i].data.ptr, events[i].events);
}

/* Since Linux 6.2 the size of the folder is the number of descriptors; before, they are counted. */
static uint32_t server_descriptors(pid_t pid)
{
    char path[64];
    struct stat status;
    uint32_t count = 0;
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    if (pid == 0 || stat(path, &status) != 0)
        return 0;
    if (status.st_size > 0)
        return (uint32_t)status.st_size;
    DIR *folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count > 2 ? count - 2 : 0;
}

static uint32_t in_flight(const struct crowd *crowd)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < crowd->config.connections; i++)
        count += crowd->guests[i].count;
    return count;
}

static void sample_take(struct crowd *crowd,
                        void (*each)(const struct crowd_sample *sample, uint32_t second))
{
    struct crowd_result *result = crowd->result;
    const struct crowd_sample sample = {
        .replies = crowd->second_replies,
        .p50_ns = hdr_value_at_percentile(crowd->second, 50),
        .p99_ns = hdr_value_at_percentile(crowd->second, 99),
        .p999_ns = hdr_value_at_percentile(crowd->second, 99.9),
        .max_ns = hdr_max(crowd->second),
        .memory_bytes = server_memory_bytes(crowd->config.server),
        .descriptors = server_descriptors(crowd->config.server->pid),
        .present = crowd->config.connections - crowd->absent_count,
        .in_flight = in_flight(crowd),
    };
    hdr_reset(crowd->second);
    crowd->second_replies = 0;
    result->samples[result->sample_count++] = sample;
    if (each != NULL)
        each(&sample, result->sample_count);
}

static int run_loop(struct crowd *crowd, uint64_t seconds,
                    void (*each)(const struct crowd_sample *sample, uint32_t second))
{
    uint64_t sample_ns = crowd->start_ns + NS_PER_S;
    for (;;) {
        uint64_t until_ns = schedule(crowd);
        wait_and_handle(crowd, until_ns < sample_ns ? until_ns : sample_ns);
        uint64_t now_ns = clock_now_ns();
        if (*crowd->config.interrupted)
            return -EINTR;
        crashes_run(crowd, now_ns);
        absent_run(crowd, now_ns, false);
        if (now_ns >= sample_ns && crowd->result->sample_count < seconds) {
            sample_take(crowd, each);
            sample_ns += NS_PER_S;
        }
        if (now_ns >= crowd->end_ns)
            return 0;
    }
}

/* Until everybody is there and everything is answered. */
static int settle(struct crowd *crowd)
{
    uint64_t until_ns = clock_now_ns() + SETTLE_S * NS_PER_S;
    for (;;) {
        uint64_t now_ns = clock_now_ns();
        absent_run(crowd, now_ns, true);
        uint32_t missing = in_flight(crowd);
        for (uint32_t i = 0; i < crowd->config.connections; i++)
            missing += crowd->guests[i].state != STATE_HERE;
        if (missing == 0)
            return 0;
        if (*crowd->config.interrupted)
            return -EINTR;
        if (now_ns > until_ns) {
            problem_note(crowd, "%u replies or connections are missing after %d s", missing,
                         SETTLE_S);
            return -ETIMEDOUT;
        }
        wait_and_handle(crowd, UINT64_MAX);
    }
}

/* What each connection got. */
static void shares_report(struct crowd *crowd)
{
    struct crowd_result *result = crowd->result;
    uint64_t now_ns = clock_now_ns();
    result->replies_min = UINT64_MAX;
    result->rate_min = -1;
    for (uint32_t i = 0; i < crowd->config.connections; i++) {
        struct guest *guest = &crowd->guests[i];
        uint64_t here_ns =
            guest->here_ns + (guest->state == STATE_HERE ? now_ns - guest->here_since_ns : 0);
        double rate = here_ns > 0 ? (double)guest->replies * 1e9 / (double)here_ns : 0;
        if (guest->replies < result->replies_min)
            result->replies_min = guest->replies;
        if (guest->replies > result->replies_max)
            result->replies_max = guest->replies;
        if (result->rate_min < 0 || rate < result->rate_min)
            result->rate_min = rate;
        if (rate > result->rate_max)
            result->rate_max = rate;
    }
}

static void run_begin(struct crowd *crowd, uint64_t seconds, double rate, uint32_t churn)
{
    crowd->rate = rate;
    crowd->run_requests = 0;
    crowd->turn = 0;
    crowd->second_replies = 0;
    crowd->start_ns = clock_now_ns();
    crowd->end_ns = crowd->start_ns + seconds * NS_PER_S;
    crowd->crash_every_ns = churn > 0 ? NS_PER_S / churn : 0;
    crowd->crash_ns = crowd->start_ns + crowd->crash_every_ns;
    hdr_reset(crowd->second);
    for (uint32_t i = 0; i < crowd->config.connections; i++) {
        struct guest *guest = &crowd->guests[i];
        guest->replies = 0;
        guest->here_ns = 0;
        guest->here_since_ns = crowd->start_ns;
        if (rate <= 0 && guest->state == STATE_HERE && guest->count == 0)
            request_add(crowd, guest, crowd->start_ns);
    }
}

int crowd_run(struct crowd *crowd, uint64_t seconds, double rate, uint32_t churn,
              void (*each)(const struct crowd_sample *sample, uint32_t second),
              struct crowd_result *out)
{
    *out = (struct crowd_result){0};
    out->samples = calloc(seconds + 1, sizeof *out->samples);
    crowd->result = out;
    if (out->samples == NULL || hdr_init(1, LATENCY_MAX_NS, 3, &out->latency_ns) != 0) {
        problem_note(crowd, "out of memory");
        return -ENOMEM;
    }
    out->descriptors_before = server_descriptors(crowd->config.server->pid);
    run_begin(crowd, seconds, rate, churn);
    int error = run_loop(crowd, seconds, each);
    out->elapsed_ns = clock_now_ns() - crowd->start_ns;
    if (error == 0)
        error = settle(crowd);
    shares_report(crowd);
    usleep(SWEPT_US);
    out->descriptors_after = server_descriptors(crowd->config.server->pid);
    return error;
}

void crowd_result_free(struct crowd_result *result)
{
    if (result->latency_ns != NULL)
        hdr_close(result->latency_ns);
    free(result->samples);
    *result = (struct crowd_result){0};
}

uint64_t crowd_transfers(const struct crowd *crowd)
{
    return crowd->transfers;
}

/* ---- Set-up ------------------------------------------------------------------------------ */

static int crowd_connect(struct crowd *crowd, char problem[CROWD_PROBLEM_BYTES])
{
    struct crowd_result result = {0};
    uint64_t now_ns = clock_now_ns();
    crowd->result = &result;
    for (uint32_t i = 0; i < crowd->config.connections; i++) {
        crowd->guests[i].fd = -1;
        absent_add(crowd, &crowd->guests[i], STATE_AWAY, now_ns + i * CONNECT_PAUSE_NS);
    }
    while (crowd->absent_count > 0 && result.errors == 0 && !*crowd->config.interrupted) {
        absent_run(crowd, clock_now_ns(), false);
        wait_and_handle(crowd, UINT64_MAX);
    }
    int error = result.errors > 0 ? -ECONNREFUSED : settle(crowd);
    snprintf(problem, CROWD_PROBLEM_BYTES, "%s", result.problem);
    return error;
}

int crowd_open(const struct crowd_config *config, struct crowd **out,
               char problem[CROWD_PROBLEM_BYTES])
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (crowd == NULL) {
        snprintf(problem, CROWD_PROBLEM_BYTES, "out of memory");
        return -ENOMEM;
    }
    crowd->config = *config;
    crowd->rate = 1;
    crowd->random = config->seed;
    crowd->id_base = (giro_u128)clock_read_ns(CLOCK_REALTIME) << 40 | 1;
    crowd->guests = aligned_alloc(16, config->connections * sizeof *crowd->guests);
    crowd->absent = calloc(config->connections, sizeof(struct guest *));
    crowd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (crowd->guests == NULL || crowd->absent == NULL || crowd->epoll_fd < 0 ||
        hdr_init(1, LATENCY_MAX_NS, 3, &crowd->second) != 0) {
        snprintf(problem, CROWD_PROBLEM_BYTES, "out of memory or descriptors");
        crowd->config.connections = 0;
        crowd_close(crowd);
        return -ENOMEM;
    }
    memset(crowd->guests, 0, config->connections * sizeof *crowd->guests);
    int error = crowd_connect(crowd, problem);
    if (error != 0)
        crowd_close(crowd);
    else
        *out = crowd;
    return error;
}

void crowd_close(struct crowd *crowd)
{
    if (crowd == NULL)
        return;
    for (uint32_t i = 0; i < crowd->config.connections; i++)
        guest_disconnect(&crowd->guests[i], false);
    if (crowd->epoll_fd >= 0)
        close(crowd->epoll_fd);
    if (crowd->second != NULL)
        hdr_close(crowd->second);
    free(crowd->guests);
    free(crowd->absent);
    free(crowd);
}
