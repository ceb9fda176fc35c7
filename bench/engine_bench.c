/* Engine alone, in memory: what one core can execute and replay, without disk or network.
 *
 *     engine_bench [accounts] [transfers] [batch] [workload,...] [rounds]
 *
 * Runs requests as engine/ledger.h tells over batches of transfers with random accounts and
 * time-ordered ids, then replays the same records into a second ledger and compares digests.
 *
 * workload   plain       plain transfers
 *            limits      the same, and every account has limits
 *            velocity-1  every account has limits with a slot: an amount by calendar days
 *            velocity-4  with four: amounts by calendar days, by sliding days and as an hourly rate,
 *                        and a number by calendar weeks
 *            leases      plain transfers, each request under a lease
 *            schedules   plain transfers, each made by a schedule of its own; all are due
 *            captures    of four transfers one is a hold, two capture a part of it, the last the rest
 *            returns     every second one returns the one before it
 *            all         all of them
 *
 * Two figures of execution: `execute` is all the time of a run, in which the kernel makes zeros of the
 * memory that the index grows into, which scatters; `batches` is the median of its batches.
 *
 * With several, each round runs each of them once, so that whatever else the machine does meets all
 * alike; every run has a ledger of its own, made anew. The records of all are in the same memory. */
#include "engine/ledger.h"
#include "engine/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum workload {
    PLAIN,
    LIMITS,
    VELOCITY_1,
    VELOCITY_4,
    LEASES,
    SCHEDULES,
    CAPTURES,
    RETURNS,
    WORKLOADS
};

static const char *const workload_names[WORKLOADS] = {
    "plain", "limits", "velocity-1", "velocity-4", "leases", "schedules", "captures", "returns"};

enum { ROUNDS_MAX = 99, SCHEDULES_PER_REQUEST = LEDGER_EVENTS_MAX / 2 };

/* Of the ledger's time while velocity is limited: the days change once. */
#define VELOCITY_SPAN_NS (172800 * GIRO_NS_PER_S) /* two days */

static uint64_t random_state = 42;

static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* The thread's own time, which others at work disturb less. */
static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- Transfers --------------------------------------------------------------------------- */

static void event_make(struct giro_transfer *event, uint64_t number, uint32_t accounts)
{
    uint64_t r = random_next();
    uint64_t debit = (r & 0xffffffff) * accounts >> 32;
    uint64_t credit = (r >> 32) * (accounts - 1) >> 32;
    event->id = ((giro_u128)(number >> 13) << 64 | (number + 1));
    event->debit_account_id = debit + 1;
    event->credit_account_id = (credit >= debit ? credit + 1 : credit) + 1;
    event->amount = (r & 1023) + 1;
    event->ledger = 1;
    event->code = 1;
    event->pending_id = 0;
    event->flags = 0;
}

/* Makes event number index of a batch what the workload wants it to be. */
static void event_shape(struct giro_transfer *events, uint32_t index, enum workload workload)
{
    struct giro_transfer *event = &events[index];
    if (workload == CAPTURES && index % 4 == 0) {
        event->flags = GIRO_TRANSFER_PENDING;
        event->amount += 1024;
    } else if (workload == CAPTURES) {
        event->flags = GIRO_TRANSFER_POST_PENDING;
        event->pending_id = events[index - index % 4].id;
        event->debit_account_id = event->credit_account_id = 0;
        event->amount = index % 4 == 3 ? GIRO_U128_MAX : event->amount / 4;
        if (index % 4 != 3)
            event->flags |= GIRO_TRANSFER_KEEP_OPEN;
    } else if (workload == RETURNS && index % 2 == 1) {
        event->flags = GIRO_TRANSFER_RETURN;
        event->pending_id = events[index - 1].id;
        event->debit_account_id = events[index - 1].credit_account_id;
        event->credit_account_id = events[index - 1].debit_account_id;
        event->amount = events[index - 1].amount;
    }
}

/* What all runs share. */
struct bench {
    uint32_t accounts;
    uint64_t transfers;
    uint32_t batch;
    uint32_t rounds;
    bool wanted[WORKLOADS];
    union record *window;
    uint64_t window_records;
    struct giro_transfer *events;
    uint64_t *addresses;
    struct giro_result *results;
    double *batches; /* seconds a transfer in each */
};

/* One run of one workload. */
struct run {
    const struct bench *bench;
    enum workload workload;
    struct ledger *ledger;
    struct ledger_output output;
    struct giro_fence fence;
    uint64_t timestamp;
    uint64_t address;      /* of the next record */
    uint64_t address_load; /* of the first one that was timed */
};

/* What came out of a run. */
struct outcome {
    double execute_ns; /* a transfer */
    double batches_ns; /* a transfer of the median batch; of schedules: as execute_ns */
    double replay_ns;
    double index_bytes;
    uint64_t rejected;
    bool equal; /* both ledgers */
};

static struct ledger *ledger_make(const struct bench *bench)
{
    struct ledger_config config = {
        .accounts_max = bench->accounts + 1,
        .holds_max = 1 << 20,
        .transfers_max = bench->transfers + LEDGER_EVENTS_MAX,
        .transfers_expected = 1 << 21,
        .hash_seed = 7,
    };
    struct ledger *ledger;
    if (ledger_create(&config, &ledger) != 0) {
        fprintf(stderr, "engine_bench: cannot reserve memory\n");
        exit(1);
    }
    ledger->window =
        (struct record_window){.base = bench->window, .records = bench->window_records, .low = 1};
    return ledger;
}

/* ---- Set-up ------------------------------------------------------------------------------ */

/* Records that a run writes at most, with room for the last request's. */
static uint64_t records_max(const struct bench *bench, enum workload workload)
{
    uint64_t records = 2 * (LEDGER_EVENTS_MAX + (uint64_t)bench->accounts) + bench->transfers;
    if (workload == RETURNS)
        records += bench->transfers;
    if (workload == SCHEDULES)
        records += 3 * bench->transfers;
    return records;
}

static bool bench_make(struct bench *bench)
{
    uint64_t records = 0;
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        if (bench->wanted[i] && records_max(bench, (enum workload)i) > records)
            records = records_max(bench, (enum workload)i);
    }
    /* All records stay in memory, touched beforehand: page faults are not the engine's. */
    bench->window_records = 1 << 20;
    while (bench->window_records < records)
        bench->window_records *= 2;
    bench->window = memory_reserve(bench->window_records * sizeof *bench->window);
    bench->events = memory_reserve(LEDGER_EVENTS_MAX * sizeof *bench->events);
    bench->addresses = memory_reserve(LEDGER_FETCH_MAX * sizeof *bench->addresses);
    bench->results = memory_reserve(LEDGER_EVENTS_MAX * sizeof *bench->results);
    bench->batches = memory_reserve((bench->transfers / bench->batch + 1) * sizeof *bench->batches);
    if (bench->window == NULL || bench->events == NULL || bench->addresses == NULL ||
        bench->results == NULL || bench->batches == NULL)
        return false;
    memset(bench->window, 0, records * sizeof *bench->window);
    return true;
}

/* Where the next request's effects go. */
static void request_begin(struct run *run)
{
    run->output.records = &run->bench->window[run->address];
    run->output.address = run->address;
}

static void request_end(struct run *run, uint64_t time_ns)
{
    run->timestamp += time_ns;
    run->address += run->output.record_count;
}

static uint32_t chunk(uint64_t done, uint64_t total, uint32_t most)
{
    return total - done < most ? (uint32_t)(total - done) : most;
}

static void accounts_create(struct run *run)
{
    const struct bench *bench = run->bench;
    struct giro_account *events = (struct giro_account *)(void *)bench->events;
    for (uint32_t made = 0, count; made < bench->accounts; made += count) {
        count = chunk(made, bench->accounts, LEDGER_EVENTS_MAX);
        for (uint32_t i = 0; i < count; i++)
            events[i] = (struct giro_account){.id = made + i + 1, .ledger = 1, .code = 1};
        request_begin(run);
        ledger_create_accounts(run->ledger, events, count, run->timestamp, &run->output);
        request_end(run, count);
    }
}

/* Limits that are far away: what they cost is looking, and counting. */
static struct giro_limits limits_make(enum workload workload, giro_u128 account_id)
{
    static const struct giro_velocity rules[GIRO_VELOCITY_SLOTS] = {
        {1, GIRO_PERIOD_DAYS, GIRO_WINDOW_CALENDAR, GIRO_VERDICT_REJECT, GIRO_VELOCITY_AMOUNT},
        {1, GIRO_PERIOD_DAYS, GIRO_WINDOW_SLIDING, GIRO_VERDICT_REJECT, GIRO_VELOCITY_AMOUNT},
        {1, GIRO_PERIOD_HOURS, GIRO_WINDOW_RATE, GIRO_VERDICT_REJECT, GIRO_VELOCITY_AMOUNT},
        {7, GIRO_PERIOD_DAYS, GIRO_WINDOW_CALENDAR, GIRO_VERDICT_REJECT, 0},
    };
    const uint32_t slots = workload == VELOCITY_4 ? 4 : workload == VELOCITY_1;
    struct giro_limits limits = {
        .account_id = account_id,
        .balance_max = (giro_u128)1 << 100,
        .transfer_max = 1 << 20,
    };
    for (uint32_t s = 0; s < slots; s++) {
        limits.velocity_max[s] = 1ull << 40;
        limits.velocity[s] = rules[s];
    }
    return limits;
}

static void limits_set(struct run *run)
{
    const struct bench *bench = run->bench;
    struct giro_limits *events = (struct giro_limits *)(void *)bench->events;
    for (uint32_t made = 0, count; made < bench->accounts; made += count) {
        count = chunk(made, bench->accounts, LEDGER_EVENTS_MAX);
        for (uint32_t i = 0; i < count; i++)
            events[i] = limits_make(run->workload, made + i + 1);
        request_begin(run);
        ledger_set_limits(run->ledger, events, count, run->timestamp, &run->output);
        request_end(run, count);
    }
}

/* The lease that all requests carry from then on. */
static void lease_acquire(struct run *run)
{
    const struct giro_lease event = {
        .key = 1,
        .owner = 1,
        .timeout_ms = GIRO_LEASE_TIMEOUT_MS_MAX,
        .action = GIRO_LEASE_ACQUIRE,
    };
    struct giro_lease reply;
    request_begin(run);
    ledger_lease(run->ledger, &event, 1, run->timestamp, &reply, &run->output);
    request_end(run, 1);
    run->fence = (struct giro_fence){.key = reply.key, .token = reply.token};
    run->output.fence = &run->fence;
}

/* One for each transfer, due within the same nanoseconds, in an order that is not theirs. */
static void schedules_create(struct run *run)
{
    const struct bench *bench = run->bench;
    struct giro_schedule *events = (struct giro_schedule *)(void *)bench->events;
    const uint64_t scatter = 2654435761; /* a prime, and more than there are schedules */
    const uint64_t due = run->timestamp + bench->transfers;
    memset(bench->events, 0, LEDGER_EVENTS_MAX * sizeof *bench->events);
    for (uint64_t made = 0, count; made < bench->transfers; made += count) {
        count = chunk(made, bench->transfers, SCHEDULES_PER_REQUEST);
        for (uint32_t i = 0; i < count; i++) {
            events[i] = (struct giro_schedule){
                .id = made + i + 1,
                .first = due + (made + i) * scatter % bench->transfers,
                .occurrences = 1,
                .interval = 1,
                .rule = GIRO_SCHEDULE_SECONDS,
            };
            event_make(&events[i].transfer, 0, bench->accounts);
            events[i].transfer.id = 0;
        }
        request_begin(run);
        ledger_create_schedules(run->ledger, events, (uint32_t)count, run->timestamp, &run->output);
        request_end(run, count);
    }
    run->timestamp = due + bench->transfers;
}

static void run_prepare(struct run *run)
{
    accounts_create(run);
    if (run->workload == LIMITS || run->workload == VELOCITY_1 || run->workload == VELOCITY_4)
        limits_set(run);
    if (run->workload == LEASES)
        lease_acquire(run);
    if (run->workload == SCHEDULES)
        schedules_create(run);
    run->address_load = run->address;
    memset(run->bench->events, 0, LEDGER_EVENTS_MAX * sizeof *run->bench->events);
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Sorts the values. */
static double median_of(double *values, uint64_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* ---- What is timed ----------------------------------------------------------------------- */

/* Returns the seconds that execution took; *out_median: of a transfer in the median batch. */
static double transfers_execute(struct run *run, double *out_median)
{
    const struct bench *bench = run->bench;
    const bool velocity = run->workload == VELOCITY_1 || run->workload == VELOCITY_4;
    const uint64_t step_ns = velocity ? VELOCITY_SPAN_NS / bench->transfers + 1 : 1;
    double seconds = 0;
    uint64_t batches = 0;
    for (uint64_t sent = 0, count; sent < bench->transfers; sent += count) {
        count = chunk(sent, bench->transfers, bench->batch);
        for (uint32_t i = 0; i < count; i++) {
            event_make(&bench->events[i], sent + i, bench->accounts);
            event_shape(bench->events, i, run->workload);
        }
        request_begin(run);
        double start = seconds_now();
        if (ledger_create_transfers(run->ledger, bench->events, (uint32_t)count, run->timestamp,
                                    NULL, bench->addresses, &run->output) != 0)
            abort(); /* everything is in the window */
        const double took = seconds_now() - start;
        seconds += took;
        bench->batches[batches++] = took / (double)count;
        request_end(run, count * step_ns);
    }
    *out_median = median_of(bench->batches, batches);
    return seconds;
}

/* The same for schedules that are due. */
static double schedules_fire(struct run *run)
{
    double start = seconds_now();
    while (ledger_fire_due(run->ledger, run->timestamp)) {
        request_begin(run);
        if (ledger_fire(run->ledger, run->timestamp, LEDGER_FIRE_MAX, NULL, run->bench->addresses,
                        &run->output) != 0)
            abort(); /* everything is in the window */
        request_end(run, LEDGER_FIRE_MAX);
    }
    return seconds_now() - start;
}

static void records_replay(const struct run *run, struct ledger *replayed, uint64_t begin,
                           uint64_t end)
{
    uint32_t index;
    for (uint64_t at = begin, count; at < end; at += count) {
        count = chunk(at, end, LEDGER_EVENTS_MAX);
        if (ledger_replay(replayed, &run->bench->window[at], (uint32_t)count, at, &index) != 0)
            abort();
    }
}

/* Replays everything into a second ledger. Returns the seconds that the transfers took. */
static double run_replay(const struct run *run, struct ledger *replayed)
{
    records_replay(run, replayed, 1, run->address_load);
    double start = seconds_now();
    records_replay(run, replayed, run->address_load, run->address);
    return seconds_now() - start;
}

static struct outcome run_measure(const struct bench *bench, enum workload workload)
{
    const double per_transfer = 1e9 / (double)bench->transfers;
    struct run run = {
        .bench = bench,
        .workload = workload,
        .ledger = ledger_make(bench),
        .output = {.results = bench->results},
        .timestamp = 1000 * GIRO_NS_PER_S,
        .address = 1,
    };
    run_prepare(&run);
    double batch_s = 0;
    const double execute_s =
        workload == SCHEDULES ? schedules_fire(&run) : transfers_execute(&run, &batch_s);
    struct ledger *replayed = ledger_make(bench);
    const struct outcome outcome = {
        .execute_ns = execute_s * per_transfer,
        .batches_ns = workload == SCHEDULES ? execute_s * per_transfer : batch_s * 1e9,
        .replay_ns = run_replay(&run, replayed) * per_transfer,
        .index_bytes = (double)index_memory_bytes(&run.ledger->transfers) /
                       (double)run.ledger->transfers.count,
        .rejected = bench->transfers - run.ledger->transfers_count,
        .equal = checksum_equal(ledger_digest(run.ledger), ledger_digest(replayed)),
    };
    ledger_destroy(run.ledger);
    ledger_destroy(replayed);
    return outcome;
}

/* ---- Rounds and report ------------------------------------------------------------------- */

/* Prints the spread. Returns the median. */
static double spread_print(const char *name, double *values, uint32_t count)
{
    double median = median_of(values, count);
    printf("%-8s %7.1f %7.1f %7.1f  %6.2f", name, values[0], median, values[count - 1],
           1e3 / median);
    return median;
}

/* Returns whether replay came to the same every time. plain_ns: the median without anything, or 0. */
static bool workload_print(enum workload workload, const struct outcome *outcomes, uint32_t count,
                           double *plain_ns)
{
    double execute[ROUNDS_MAX];
    double batches[ROUNDS_MAX];
    double replay[ROUNDS_MAX];
    bool equal = true;
    for (uint32_t i = 0; i < count; i++) {
        execute[i] = outcomes[i].execute_ns;
        batches[i] = outcomes[i].batches_ns;
        replay[i] = outcomes[i].replay_ns;
        equal &= outcomes[i].equal;
    }
    printf("%-10s ", workload_names[workload]);
    (void)spread_print("execute", execute, count);
    printf("\n%-10s ", "");
    double median = spread_print("batches", batches, count);
    if (workload == PLAIN)
        *plain_ns = median;
    if (*plain_ns != 0)
        printf("  %+7.1f", median - *plain_ns);
    printf("\n%-10s ", "");
    (void)spread_print("replay", replay, count);
    printf("  rejected %llu, digest %s, index %.2f bytes a transfer\n",
           (unsigned long long)outcomes[0].rejected, equal ? "equal" : "DIFFERENT",
           outcomes[0].index_bytes);
    return equal;
}

static bool rounds_run(const struct bench *bench)
{
    static struct outcome outcomes[WORKLOADS][ROUNDS_MAX];
    double plain_ns = 0;
    bool equal = true;
    for (uint32_t round = 0; round < bench->rounds; round++) {
        for (uint32_t i = 0; i < WORKLOADS; i++) {
            if (bench->wanted[i])
                outcomes[i][round] = run_measure(bench, (enum workload)i);
        }
    }
    printf("accounts %u, transfers %llu, batch %u, rounds %u\n", bench->accounts,
           (unsigned long long)bench->transfers, bench->batch, bench->rounds);
    printf("%-19s %7s %7s %7s  %6s  %7s\n", "ns a transfer", "min", "median", "max", "M/s",
           "- plain");
    for (uint32_t i = 0; i < WORKLOADS; i++) {
        if (bench->wanted[i])
            equal &= workload_print((enum workload)i, outcomes[i], bench->rounds, &plain_ns);
    }
    return equal;
}

/* Names separated by commas. */
static bool workloads_parse(const char *text, bool wanted[WORKLOADS])
{
    while (*text != 0) {
        const size_t size = strcspn(text, ",");
        uint32_t known = 0;
        for (uint32_t i = 0; i < WORKLOADS; i++) {
            bool named =
                strlen(workload_names[i]) == size && memcmp(text, workload_names[i], size) == 0;
            named |= size == 3 && memcmp(text, "all", 3) == 0;
            wanted[i] |= named;
            known += named;
        }
        if (known == 0)
            return false;
        text += text[size] == 0 ? size : size + 1;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .accounts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000,
        .transfers = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000,
        .batch = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : LEDGER_EVENTS_MAX,
        .rounds = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 1,
    };
    if (!workloads_parse(argc > 4 ? argv[4] : "plain", bench.wanted) || bench.accounts < 2 ||
        bench.transfers == 0 || bench.batch == 0 || bench.batch > LEDGER_EVENTS_MAX ||
        bench.rounds == 0 || bench.rounds > ROUNDS_MAX ||
        (bench.wanted[SCHEDULES] && bench.transfers > LEDGER_SCHEDULES_MAX)) {
        fprintf(stderr,
                "usage: engine_bench [accounts >= 2] [transfers] [batch 1..%d]\n"
                "                    [plain | limits | velocity-1 | velocity-4 | leases | "
                "schedules |\n"
                "                     captures | returns | all, separated by commas] "
                "[rounds 1..%d]\n",
                LEDGER_EVENTS_MAX, ROUNDS_MAX);
        return 2;
    }
    if (!bench_make(&bench)) {
        fprintf(stderr, "engine_bench: not enough memory\n");
        return 1;
    }
    return rounds_run(&bench) ? 0 : 1;
}
