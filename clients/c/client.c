/* The public functions: opening and closing, submitting and waiting. */
#include "clients/c/client.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

_Static_assert((int)GIRO_EVENTS_MAX == (int)FRAME_EVENTS_MAX, "protocol");
_Static_assert((int)GIRO_QUERY_LIMIT_MAX == (int)FRAME_EVENTS_MAX, "protocol");
_Static_assert((int)GIRO_CHANGES_LIMIT_MAX == (int)FRAME_CHANGES_MAX, "protocol");
_Static_assert((int)GIRO_CHANGES_WAIT_MS_MAX == (int)FRAME_CHANGES_WAIT_MS_MAX, "protocol");
_Static_assert((int)GIRO_PING == (int)FRAME_PING, "protocol");
_Static_assert((int)GIRO_STATS == (int)FRAME_STATS, "protocol");
_Static_assert((int)GIRO_CREATE_ACCOUNTS == (int)FRAME_CREATE_ACCOUNTS, "protocol");
_Static_assert((int)GIRO_CREATE_TRANSFERS == (int)FRAME_CREATE_TRANSFERS, "protocol");
_Static_assert((int)GIRO_LOOKUP_ACCOUNTS == (int)FRAME_LOOKUP_ACCOUNTS, "protocol");
_Static_assert((int)GIRO_LOOKUP_TRANSFERS == (int)FRAME_LOOKUP_TRANSFERS, "protocol");
_Static_assert((int)GIRO_CREATE_TRANSFERS_OUTCOMES == (int)FRAME_CREATE_TRANSFERS_OUTCOMES,
               "protocol");
_Static_assert((int)GIRO_OUTCOMES_MAX == (int)FRAME_OUTCOMES_MAX, "protocol");
_Static_assert((int)GIRO_SET_LIMITS == (int)FRAME_SET_LIMITS, "protocol");
_Static_assert((int)GIRO_CUT_OFF == (int)FRAME_CUT_OFF, "protocol");
_Static_assert((int)GIRO_GET_SETTLEMENTS == (int)FRAME_GET_SETTLEMENTS, "protocol");
_Static_assert((int)GIRO_GET_LIMITS == (int)FRAME_GET_LIMITS, "protocol");
_Static_assert((int)GIRO_GET_VELOCITY == (int)FRAME_GET_VELOCITY, "protocol");
_Static_assert((int)GIRO_LEASE == (int)FRAME_LEASE, "protocol");
_Static_assert((int)GIRO_GET_LEASES == (int)FRAME_GET_LEASES, "protocol");
_Static_assert((int)GIRO_CREATE_SCHEDULES == (int)FRAME_CREATE_SCHEDULES, "protocol");
_Static_assert((int)GIRO_CANCEL_SCHEDULES == (int)FRAME_CANCEL_SCHEDULES, "protocol");
_Static_assert((int)GIRO_GET_SCHEDULES == (int)FRAME_GET_SCHEDULES, "protocol");
_Static_assert((int)GIRO_SCHEDULES_MAX == (int)FRAME_SCHEDULES_MAX, "protocol");
_Static_assert(GIRO_FENCED_MAX * sizeof(struct giro_transfer) + sizeof(struct giro_fence) <=
                   FRAME_BODY_BYTES_MAX,
               "protocol");
_Static_assert((int)GIRO_OUTCOMES_MAX <= (int)GIRO_FENCED_MAX, "protocol");
_Static_assert((int)GIRO_LOOKUP_PAYMENTS == (int)FRAME_LOOKUP_PAYMENTS, "protocol");
_Static_assert((int)GIRO_GET_ACCOUNT_TRANSFERS == (int)FRAME_GET_ACCOUNT_TRANSFERS, "protocol");
_Static_assert((int)GIRO_GET_ACCOUNT_BALANCES == (int)FRAME_GET_ACCOUNT_BALANCES, "protocol");
_Static_assert((int)GIRO_QUERY_ACCOUNTS == (int)FRAME_QUERY_ACCOUNTS, "protocol");
_Static_assert((int)GIRO_QUERY_TRANSFERS == (int)FRAME_QUERY_TRANSFERS, "protocol");
_Static_assert((int)GIRO_READ_CHANGES == (int)FRAME_READ_CHANGES, "protocol");
_Static_assert((int)GIRO_SNAPSHOT == (int)FRAME_SNAPSHOT, "protocol");

enum {
    CONNECT_TIMEOUT_MS = 5000,
    DEADLINE_MS = 30000,
    FRAMES_IN_FLIGHT = 8,
    REQUESTS = 16384,
    RESENDS = 4,
    BACKOFF_MIN_MS = 20,
    BACKOFF_MAX_MS = 2000,
    FLAGS_ALL = GIRO_OPEN_WITHOUT_SERVER | GIRO_WAIT_WHEN_FULL | GIRO_NEVER_RESEND,
};

const char *giro_version(void)
{
    return GIRO_VERSION;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static struct giro_client_options options_complete(const struct giro_client_options *given)
{
    struct giro_client_options options = *given;
    options.client_name = given->client_name != NULL ? given->client_name : "libgiro/" GIRO_VERSION;
    options.connect_timeout_ms = or_default(given->connect_timeout_ms, CONNECT_TIMEOUT_MS);
    options.deadline_ms = or_default(given->deadline_ms, DEADLINE_MS);
    options.frames_in_flight_max = or_default(given->frames_in_flight_max, FRAMES_IN_FLIGHT);
    options.requests_max = or_default(given->requests_max, REQUESTS);
    options.resends_max = or_default(given->resends_max, RESENDS);
    options.backoff_min_ms = or_default(given->backoff_min_ms, BACKOFF_MIN_MS);
    options.backoff_max_ms = or_default(given->backoff_max_ms, BACKOFF_MAX_MS);
    return options;
}

static bool name_valid(const char *name)
{
    size_t length = strnlen(name, GIRO_CLIENT_NAME_BYTES_MAX + 1);
    if (length > GIRO_CLIENT_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] < ' ' || name[i] > '~')
            return false;
    return true;
}

static bool options_valid(const struct giro_client_options *options)
{
    return options->address != NULL && name_valid(options->client_name) &&
           options->frames_in_flight_max <= GIRO_FRAMES_IN_FLIGHT_MAX &&
           options->requests_max <= GIRO_REQUESTS_MAX &&
           options->backoff_min_ms <= options->backoff_max_ms &&
           (options->flags & ~(uint32_t)FLAGS_ALL) == 0;
}

static void client_free(struct giro_client *client)
{
    struct io *io = &client->io;
    for (uint32_t i = 0; io->frames != NULL && i < client->options.frames_in_flight_max; i++)
        free(io->frames[i].ids);
    free(io->frames);
    free(io->deadlines.heap);
    free(io->sender.body);
    free(io->receiver.bytes);
    XXH3_freeState(io->sender.checksum);
    if (client->wake_fd >= 0)
        close(client->wake_fd);
    pthread_cond_destroy(&client->opened);
    pthread_cond_destroy(&client->room);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

/* Everything that the client will ever allocate. */
static int buffers_allocate(struct giro_client *client)
{
    struct io *io = &client->io;
    const uint32_t frames_max = client->options.frames_in_flight_max;
    io->frames = calloc(frames_max, sizeof *io->frames);
    io->deadlines.capacity = client->options.requests_max;
    io->deadlines.heap = calloc(client->options.requests_max, sizeof *io->deadlines.heap);
    io->sender.body = malloc(FRAME_BODY_BYTES_MAX);
    io->sender.checksum = XXH3_createState();
    io->receiver.bytes = malloc(FRAME_BYTES_MAX);
    if (io->frames == NULL || io->deadlines.heap == NULL || io->sender.body == NULL ||
        io->sender.checksum == NULL || io->receiver.bytes == NULL)
        return GIRO_ENOMEM;
    for (uint32_t i = 0; i < frames_max; i++)
        if ((io->frames[i].ids = malloc(GIRO_EVENTS_MAX * sizeof(giro_u128))) == NULL)
            return GIRO_ENOMEM;
    return 0;
}

static void locks_init(struct giro_client *client)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&client->mutex, NULL);
    pthread_cond_init(&client->room, &monotonic);
    pthread_cond_init(&client->opened, NULL);
    pthread_condattr_destroy(&monotonic);
}

static int client_init(struct giro_client *client, const struct giro_client_options *options)
{
    struct io *io = &client->io;
    client->options = *options;
    client->options.address = NULL; /* the caller's */
    client->options.client_name = NULL;
    memcpy(client->name, options->client_name, strlen(options->client_name) + 1);
    client->wake_fd = -1;
    client->open_result = OPEN_PENDING;
    locks_init(client);
    io->socket = -1;
    io->state = CONNECTION_WAITING;
    io->backoff_ms = options->backoff_min_ms;
    int error = giro_address_parse(options->address, client);
    if (error == 0)
        error = buffers_allocate(client);
    if (error != 0)
        return error;
    client->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (client->wake_fd < 0 ||
        getrandom(&io->random, sizeof io->random, 0) != (ssize_t)sizeof io->random)
        return GIRO_ESYSTEM;
    io->random |= 1; /* xorshift must not start at 0 */
    return 0;
}

/* The I/O thread is not for the application's signals. */
static int thread_start(struct giro_client *client)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&client->thread, NULL, giro_io_main, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return GIRO_ESYSTEM;
    }
    pthread_setname_np(client->thread, "giro");
    return 0;
}

static int open_wait(struct giro_client *client)
{
    pthread_mutex_lock(&client->mutex);
    while (client->open_result == OPEN_PENDING)
        pthread_cond_wait(&client->opened, &client->mutex);
    int result = client->open_result;
    pthread_mutex_unlock(&client->mutex);
    return result;
}

int giro_client_open(const struct giro_client_options *given, struct giro_client **out_client)
{
    const struct giro_client_options options = options_complete(given);
    if (!options_valid(&options))
        return GIRO_EINVAL;
    struct giro_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return GIRO_ENOMEM;
    int error = client_init(client, &options);
    if (error == 0)
        error = thread_start(client);
    if (error != 0) {
        client_free(client);
        return error;
    }
    if ((options.flags & GIRO_OPEN_WITHOUT_SERVER) == 0)
        error = open_wait(client);
    if (error != 0) {
        giro_client_close(client);
        return error;
    }
    *out_client = client;
    return 0;
}

static bool on_io_thread(const struct giro_client *client)
{
    return pthread_equal(pthread_self(), client->thread) != 0;
}

void giro_client_close(struct giro_client *client)
{
    if (client == NULL)
        return;
    assert(!on_io_thread(client)); /* a callback must not close its client */
    pthread_mutex_lock(&client->mutex);
    client->closing = true;
    giro_wake(client);
    pthread_cond_broadcast(&client->room);
    while (client->waiting_for_room > 0)
        pthread_cond_wait(&client->room, &client->mutex);
    pthread_mutex_unlock(&client->mutex);
    pthread_join(client->thread, NULL);
    client_free(client);
}

void giro_client_status(struct giro_client *client, struct giro_client_state *out_state)
{
    pthread_mutex_lock(&client->mutex);
    *out_state = client->status;
    out_state->requests_outstanding = client->requests_outstanding;
    pthread_mutex_unlock(&client->mutex);
}

/* ---- Submitting -------------------------------------------------------------------------- */

/* What a filter holds is for the server to judge, which names the field that is wrong. */
static bool request_valid(const struct giro_request *request)
{
    const bool has_events = request->events.any != NULL && request->count <= GIRO_EVENTS_MAX;
    const bool has_output = request->output.any != NULL;
    if (request->fence != NULL &&
        (!request_is_of_transfers(request) || request->count > GIRO_FENCED_MAX))
        return false;
    switch (request->operation) {
    case GIRO_PING:
        return request->count == 0;
    case GIRO_STATS:
    case GIRO_SNAPSHOT:
        return request->count == 0 && has_output;
    case GIRO_CREATE_ACCOUNTS:
    case GIRO_CREATE_TRANSFERS:
    case GIRO_CUT_OFF:
    case GIRO_SET_LIMITS:
    case GIRO_CANCEL_SCHEDULES:
        return request->count >= 1 && has_events;
    case GIRO_CREATE_SCHEDULES:
        return request->count >= 1 && request->count <= GIRO_SCHEDULES_MAX && has_events;
    case GIRO_CREATE_TRANSFERS_OUTCOMES:
        return request->count >= 1 && request->count <= GIRO_OUTCOMES_MAX && has_events &&
               request->outcomes != NULL;
    case GIRO_LOOKUP_ACCOUNTS:
    case GIRO_LOOKUP_TRANSFERS:
    case GIRO_LOOKUP_PAYMENTS:
    case GIRO_GET_SETTLEMENTS:
    case GIRO_GET_LIMITS:
    case GIRO_GET_VELOCITY:
    case GIRO_LEASE:
    case GIRO_GET_LEASES:
        return request->count >= 1 && has_events && has_output;
    case GIRO_GET_SCHEDULES:
        return request->count >= 1 && request->count <= GIRO_SCHEDULES_MAX && has_events &&
               has_output;
    case GIRO_GET_ACCOUNT_TRANSFERS:
    case GIRO_GET_ACCOUNT_BALANCES:
    case GIRO_QUERY_ACCOUNTS:
    case GIRO_QUERY_TRANSFERS:
    case GIRO_READ_CHANGES:
        return request->count == 1 && has_events && has_output;
    }
    return false;
}

static uint64_t deadline_ns(const struct giro_client *client, const struct giro_request *request)
{
    uint32_t given_ms = or_default(request->deadline_ms, client->options.deadline_ms);
    uint64_t ms = given_ms;
    if (given_ms == GIRO_DEADLINE_NONE)
        return UINT64_MAX;
    if (request->operation == GIRO_READ_CHANGES)
        ms += request->events.change_filter->wait_ms; /* the server is meant to wait so long */
    return giro_clock_ns() + ms * 1000000;
}

/* With the mutex held. Returns 0 once there is room for a request. */
static int room_wait(struct giro_client *client, uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / GIRO_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % GIRO_NS_PER_S)};
    bool may_wait = (client->options.flags & GIRO_WAIT_WHEN_FULL) != 0 && !on_io_thread(client);
    int expired = 0;
    client->waiting_for_room++;
    while (may_wait && expired == 0 && !client->closing &&
           client->requests_outstanding == client->options.requests_max)
        expired = until_ns == UINT64_MAX
                      ? pthread_cond_wait(&client->room, &client->mutex)
                      : pthread_cond_timedwait(&client->room, &client->mutex, &until);
    if (--client->waiting_for_room == 0 && client->closing)
        pthread_cond_broadcast(&client->room); /* giro_client_close() waits for us to leave */
    if (client->closing)
        return GIRO_ENOTSENT;
    if (client->requests_outstanding < client->options.requests_max)
        return 0;
    return may_wait ? GIRO_ENOTSENT : GIRO_EAGAIN;
}

/* Whether the I/O thread, when it went to sleep, would have sent this request at once. */
static bool is_sent_at_once(const struct giro_client *client, const struct giro_request *request)
{
    return request->count >= client->send_count_min ||
           (request->internal.alone && client->send_count_min != UINT32_MAX);
}

/* The I/O thread is woken only when it would do something at once. While the frames in flight are
 * enough, the next reply wakes it anyway, and requests gather meanwhile. */
static void inbox_add(struct giro_client *client, struct giro_request *request)
{
    giro_list_append(&client->inbox, request);
    client->requests_outstanding++;
    if (client->sleeping &&
        (is_sent_at_once(client, request) || request->internal.deadline_ns < client->wake_at_ns))
        giro_wake(client);
}

/* waiter: of giro_call(); NULL: completed() is called. */
static int request_enqueue(struct giro_client *client, struct giro_request *request, sem_t *waiter)
{
    if (!request_valid(request))
        return GIRO_EINVAL;
    uint64_t until_ns = deadline_ns(client, request);
    pthread_mutex_lock(&client->mutex);
    int error = request->internal.outstanding ? GIRO_EINVAL : room_wait(client, until_ns);
    if (error == 0) {
        request->error = 0;
        request->status = 0;
        request->result_count = 0;
        request->exists_count = 0;
        request->resent = false;
        request->timestamp_first = 0;
        request->ordinal_next = 0;
        request->ordinal_end = 0;
        request->internal = (struct giro_request_internal){
            .waiter = waiter,
            .deadline_ns = until_ns,
            .outstanding = true,
            .alone = request_travels_alone(request),
        };
        inbox_add(client, request);
    }
    pthread_mutex_unlock(&client->mutex);
    return error;
}

int giro_submit(struct giro_client *client, struct giro_request *request)
{
    return request->completed != NULL ? request_enqueue(client, request, NULL) : GIRO_EINVAL;
}

void giro_cancel(struct giro_client *client, struct giro_request *request)
{
    pthread_mutex_lock(&client->mutex);
    if (request->internal.outstanding && !request->internal.cancelled) {
        request->internal.cancelled = true;
        request->internal.cancel_next = client->cancelled;
        client->cancelled = request;
        giro_wake(client);
    }
    pthread_mutex_unlock(&client->mutex);
}

int giro_call(struct giro_client *client, struct giro_request *request)
{
    sem_t done;
    if (on_io_thread(client))
        return GIRO_ECALLBACK;
    if (sem_init(&done, 0, 0) != 0)
        return GIRO_ESYSTEM;
    int error = request_enqueue(client, request, &done);
    if (error == 0) {
        while (sem_wait(&done) != 0)
            ; /* interrupted by a signal */
        error = request->error;
    }
    sem_destroy(&done);
    return error;
}

/* ---- Calls that wait --------------------------------------------------------------------- */

static int create(struct giro_client *client, struct giro_request *request,
                  struct giro_created *out_created)
{
    int error = giro_call(client, request);
    if (error == 0)
        *out_created = (struct giro_created){
            .timestamp_first = request->timestamp_first,
            .result_count = request->result_count,
            .exists_count = request->exists_count,
            .resent = request->resent,
        };
    return error;
}

int giro_create_accounts(struct giro_client *client, const struct giro_account *accounts,
                         uint32_t count, struct giro_result *results,
                         struct giro_created *out_created)
{
    struct giro_request request = {
        .operation = GIRO_CREATE_ACCOUNTS,
        .count = count,
        .events.accounts = accounts,
        .output.results = results,
    };
    return create(client, &request, out_created);
}

int giro_cut_off_ledgers(struct giro_client *client, const struct giro_cut_off *cut_offs,
                         uint32_t count, struct giro_result *results,
                         struct giro_created *out_created)
{
    struct giro_request request = {
        .operation = GIRO_CUT_OFF,
        .count = count,
        .events.cut_offs = cut_offs,
        .output.results = results,
    };
    return create(client, &request, out_created);
}

int giro_set_limits(struct giro_client *client, const struct giro_limits *limits, uint32_t count,
                    struct giro_result *results, struct giro_created *out_created)
{
    struct giro_request request = {
        .operation = GIRO_SET_LIMITS,
        .count = count,
        .events.limits = limits,
        .output.results = results,
    };
    return create(client, &request, out_created);
}

int giro_create_transfers(struct giro_client *client, const struct giro_transfer *transfers,
                          uint32_t count, struct giro_result *results,
                          struct giro_created *out_created)
{
    struct giro_request request = {
        .operation = GIRO_CREATE_TRANSFERS,
        .count = count,
        .events.transfers = transfers,
        .output.results = results,
    };
    return create(client, &request, out_created);
}

int giro_create_transfers_outcomes(struct giro_client *client,
                                   const struct giro_transfer *transfers, uint32_t count,
                                   struct giro_outcome *outcomes, struct giro_result *results,
                                   struct giro_created *out_created)
{
    struct giro_request request = {
        .operation = GIRO_CREATE_TRANSFERS_OUTCOMES,
        .count = count,
        .events.transfers = transfers,
        .output.results = results,
        .outcomes = outcomes,
    };
    return create(client, &request, out_created);
}

int giro_create_schedules(struct giro_client *client, const struct giro_schedule *schedules,
                          uint32_t count, struct giro_result *results,
                          struct giro_created *out_created)
{
    struct giro_request request = {
        .operation = GIRO_CREATE_SCHEDULES,
        .count = count,
        .events.schedules = schedules,
        .output.results = results,
    };
    return create(client, &request, out_created);
}

int giro_cancel_schedules(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                          struct giro_result *results, struct giro_created *out_created)
{
    struct giro_request request = {
        .operation = GIRO_CANCEL_SCHEDULES,
        .count = count,
        .events.ids = ids,
        .output.results = results,
    };
    return create(client, &request, out_created);
}

/* Anything that is told how many records it has found, or refused. */
static int read_records(struct giro_client *client, struct giro_request *request,
                        uint32_t *out_count)
{
    int error = giro_call(client, request);
    if (error == 0)
        *out_count = request->result_count;
    return error;
}

int giro_lookup_accounts(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                         struct giro_account *accounts, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_LOOKUP_ACCOUNTS,
        .count = count,
        .events.ids = ids,
        .output.accounts = accounts,
    };
    return read_records(client, &request, out_found);
}

int giro_lookup_transfers(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                          struct giro_transfer *transfers, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_LOOKUP_TRANSFERS,
        .count = count,
        .events.ids = ids,
        .output.transfers = transfers,
    };
    return read_records(client, &request, out_found);
}

int giro_lookup_payments(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                         struct giro_payment *payments, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_LOOKUP_PAYMENTS,
        .count = count,
        .events.ids = ids,
        .output.payments = payments,
    };
    return read_records(client, &request, out_found);
}

int giro_get_settlements(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                         struct giro_settlement *settlements, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_GET_SETTLEMENTS,
        .count = count,
        .events.ids = ids,
        .output.settlements = settlements,
    };
    return read_records(client, &request, out_found);
}

int giro_get_limits(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                    struct giro_limits *limits, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_GET_LIMITS,
        .count = count,
        .events.ids = ids,
        .output.limits = limits,
    };
    return read_records(client, &request, out_found);
}

int giro_get_velocity(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                      struct giro_velocity_used *velocities, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_GET_VELOCITY,
        .count = count,
        .events.ids = ids,
        .output.velocities = velocities,
    };
    return read_records(client, &request, out_found);
}

int giro_change_leases(struct giro_client *client, const struct giro_lease *events, uint32_t count,
                       struct giro_lease *leases, uint32_t *out_refused)
{
    struct giro_request request = {
        .operation = GIRO_LEASE,
        .count = count,
        .events.leases = events,
        .output.leases = leases,
    };
    return read_records(client, &request, out_refused);
}

int giro_get_leases(struct giro_client *client, const giro_u128 *keys, uint32_t count,
                    struct giro_lease *leases, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_GET_LEASES,
        .count = count,
        .events.ids = keys,
        .output.leases = leases,
    };
    return read_records(client, &request, out_found);
}

int giro_get_schedules(struct giro_client *client, const giro_u128 *ids, uint32_t count,
                       struct giro_schedule *schedules, uint32_t *out_found)
{
    struct giro_request request = {
        .operation = GIRO_GET_SCHEDULES,
        .count = count,
        .events.ids = ids,
        .output.schedules = schedules,
    };
    return read_records(client, &request, out_found);
}

int giro_get_account_transfers(struct giro_client *client, const struct giro_account_filter *filter,
                               struct giro_transfer *transfers, uint32_t *out_count)
{
    struct giro_request request = {
        .operation = GIRO_GET_ACCOUNT_TRANSFERS,
        .count = 1,
        .events.account_filter = filter,
        .output.transfers = transfers,
    };
    return read_records(client, &request, out_count);
}

int giro_get_account_balances(struct giro_client *client, const struct giro_account_filter *filter,
                              struct giro_account_balance *balances, uint32_t *out_count)
{
    struct giro_request request = {
        .operation = GIRO_GET_ACCOUNT_BALANCES,
        .count = 1,
        .events.account_filter = filter,
        .output.balances = balances,
    };
    return read_records(client, &request, out_count);
}

int giro_query_accounts(struct giro_client *client, const struct giro_query_filter *filter,
                        struct giro_account *accounts, uint32_t *out_count)
{
    struct giro_request request = {
        .operation = GIRO_QUERY_ACCOUNTS,
        .count = 1,
        .events.query_filter = filter,
        .output.accounts = accounts,
    };
    return read_records(client, &request, out_count);
}

int giro_query_transfers(struct giro_client *client, const struct giro_query_filter *filter,
                         struct giro_transfer *transfers, uint32_t *out_count)
{
    struct giro_request request = {
        .operation = GIRO_QUERY_TRANSFERS,
        .count = 1,
        .events.query_filter = filter,
        .output.transfers = transfers,
    };
    return read_records(client, &request, out_count);
}

int giro_read_changes(struct giro_client *client, const struct giro_change_filter *filter,
                      struct giro_change *changes, struct giro_changes *out_changes)
{
    struct giro_request request = {
        .operation = GIRO_READ_CHANGES,
        .count = 1,
        .events.change_filter = filter,
        .output.changes = changes,
    };
    int error = giro_call(client, &request);
    if (error == 0)
        *out_changes = (struct giro_changes){
            .ordinal_next = request.ordinal_next,
            .ordinal_end = request.ordinal_end,
            .count = request.result_count,
        };
    return error;
}

int giro_snapshot(struct giro_client *client, struct giro_server_snapshot *out_snapshot)
{
    struct giro_request request = {.operation = GIRO_SNAPSHOT, .output.snapshot = out_snapshot};
    return giro_call(client, &request);
}

int giro_ping(struct giro_client *client)
{
    struct giro_request request = {.operation = GIRO_PING};
    return giro_call(client, &request);
}

int giro_stats(struct giro_client *client, struct giro_server_stats *out_stats)
{
    struct giro_request request = {.operation = GIRO_STATS, .output.stats = out_stats};
    return giro_call(client, &request);
}
