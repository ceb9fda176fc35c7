/* Engine alone, in memory: what one core can execute and replay, without disk or network.
 *
 *     engine_bench [accounts] [transfers] [batch] [workload]
 *
 * Runs requests as engine/ledger.h tells over batches of transfers with random accounts and
 * time-ordered ids, then replays the same records into a second ledger and compares digests.
 *
 * workload   plain     plain transfers
 *            limits    the same, and every account has limits
 *            captures  of four transfers one is a hold, two capture a part of it, the last the rest
 *            returns   every second one returns the one before it */
#include "engine/ledger.h"
#include "engine/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum workload { PLAIN, LIMITS, CAPTURES, RETURNS, WORKLOADS };

static const char *const workload_names[WORKLOADS] = {"plain", "limits", "captures", "returns"};

static uint64_t random_state = 42;

static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct ledger *ledger_make(uint32_t accounts, uint64_t transfers, union record *window,
                                  uint64_t window_records)
{
    struct ledger_config config = {
        .accounts_max = accounts + 1,
        .holds_max = 1 << 20,
        .transfers_max = transfers + LEDGER_EVENTS_MAX,
        .transfers_expected = 1 << 21,
        .hash_seed = 7,
    };
    struct ledger *ledger;
    if (ledger_create(&config, &ledger) != 0) {
        fprintf(stderr, "engine_bench: cannot reserve memory\n");
        exit(1);
    }
    ledger->window = (struct record_window){.base = window, .records = window_records, .low = 1};
    return ledger;
}

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

/* What the phases share. */
struct bench {
    uint32_t accounts;
    uint64_t transfers;
    uint32_t batch;
    enum workload workload;
    union record *window;
    uint64_t window_records;
    struct ledger *ledger;
    struct giro_transfer *events;
    uint64_t *addresses;
    struct ledger_output output;
    uint64_t timestamp;
    uint64_t address; /* of the next record */
    uint64_t rejected;
};

static bool bench_make(struct bench *bench)
{
    /* All records stay in memory, touched beforehand: page faults are not the engine's. */
    bench->window_records = 1 << 20;
    const uint64_t records = 2 * bench->transfers + bench->accounts + 1;
    while (bench->window_records < records)
        bench->window_records *= 2;
    bench->window = memory_reserve(bench->window_records * sizeof *bench->window);
    bench->events = memory_reserve(LEDGER_EVENTS_MAX * sizeof *bench->events);
    bench->addresses = memory_reserve(LEDGER_FETCH_MAX * sizeof *bench->addresses);
    bench->output.results = memory_reserve(LEDGER_EVENTS_MAX * sizeof(struct giro_result));
    if (bench->window == NULL || bench->events == NULL || bench->addresses == NULL ||
        bench->output.results == NULL)
        return false;
    memset(bench->window, 0, records * sizeof *bench->window);
    bench->ledger =
        ledger_make(bench->accounts, bench->transfers, bench->window, bench->window_records);
    bench->timestamp = 1000000000000ull;
    bench->address = 1;
    return true;
}

static void accounts_create(struct bench *bench)
{
    struct giro_account *events = (struct giro_account *)(void *)bench->events;
    for (uint32_t made = 0, count; made < bench->accounts; made += count) {
        count =
            bench->accounts - made < LEDGER_EVENTS_MAX ? bench->accounts - made : LEDGER_EVENTS_MAX;
        for (uint32_t i = 0; i < count; i++)
            events[i] = (struct giro_account){.id = made + i + 1, .ledger = 1, .code = 1};
        bench->output.records = bench->window;
        bench->output.address = bench->address;
        ledger_create_accounts(bench->ledger, events, count, bench->timestamp, &bench->output);
        bench->timestamp += count;
    }
    memset(bench->events, 0, LEDGER_EVENTS_MAX * sizeof *bench->events);
}

/* Limits that are far away: what they cost is looking. */
static void limits_set(struct bench *bench)
{
    struct giro_limits *events = (struct giro_limits *)(void *)bench->events;
    for (uint32_t made = 0, count; made < bench->accounts; made += count) {
        count =
            bench->accounts - made < LEDGER_EVENTS_MAX ? bench->accounts - made : LEDGER_EVENTS_MAX;
        for (uint32_t i = 0; i < count; i++)
            events[i] = (struct giro_limits){.account_id = made + i + 1,
                                             .balance_max = (giro_u128)1 << 100,
                                             .transfer_max = 1 << 20};
        bench->output.records = &bench->window[bench->address];
        bench->output.address = bench->address;
        ledger_set_limits(bench->ledger, events, count, bench->timestamp, &bench->output);
        bench->timestamp += count;
        bench->address += bench->output.record_count;
    }
    memset(bench->events, 0, LEDGER_EVENTS_MAX * sizeof *bench->events);
}

/* Returns the seconds that execution took. */
static double transfers_execute(struct bench *bench)
{
    double seconds = 0;
    for (uint64_t sent = 0, count; sent < bench->transfers; sent += count) {
        count = bench->transfers - sent < bench->batch ? bench->transfers - sent : bench->batch;
        for (uint32_t i = 0; i < count; i++) {
            event_make(&bench->events[i], sent + i, bench->accounts);
            event_shape(bench->events, i, bench->workload);
        }
        bench->output.records = &bench->window[bench->address];
        bench->output.address = bench->address;
        double start = seconds_now();
        if (ledger_create_transfers(bench->ledger, bench->events, (uint32_t)count, bench->timestamp,
                                    NULL, bench->addresses, &bench->output) != 0)
            abort(); /* everything is in the window */
        seconds += seconds_now() - start;
        bench->rejected += bench->output.result_count;
        bench->timestamp += count;
        bench->address += bench->output.record_count;
    }
    return seconds;
}

/* Replays everything into a second ledger. Returns the seconds that the transfers took. */
static double transfers_replay(const struct bench *bench, struct ledger *replayed)
{
    uint32_t index;
    for (uint32_t i = 0; i < bench->accounts; i++) {
        const struct giro_account *account = &bench->ledger->accounts.rows[i];
        union record record = {.account = {.id = account->id, /* as it was created */
                                           .ledger = account->ledger,
                                           .code = account->code,
                                           .flags = RECORD_ACCOUNT << RECORD_KIND_SHIFT,
                                           .timestamp = account->timestamp}};
        if (ledger_replay(replayed, &record, 1, 1, &index) != 0)
            abort();
    }
    double start = seconds_now();
    for (uint64_t at = 1, count; at < bench->address; at += count) {
        count = bench->address - at < LEDGER_EVENTS_MAX ? bench->address - at : LEDGER_EVENTS_MAX;
        if (ledger_replay(replayed, &bench->window[at], (uint32_t)count, at, &index) != 0)
            abort();
    }
    return seconds_now() - start;
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .accounts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000,
        .transfers = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000,
        .batch = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : LEDGER_EVENTS_MAX,
    };
    while (argc > 4 && bench.workload < WORKLOADS &&
           strcmp(argv[4], workload_names[bench.workload]) != 0)
        bench.workload++;
    if (bench.accounts < 2 || bench.transfers == 0 || bench.batch == 0 ||
        bench.batch > LEDGER_EVENTS_MAX || bench.workload == WORKLOADS) {
        fprintf(stderr,
                "usage: engine_bench [accounts >= 2] [transfers] [batch 1..%d]\n"
                "                    [plain | limits | captures | returns]\n",
                LEDGER_EVENTS_MAX);
        return 2;
    }
    if (!bench_make(&bench)) {
        fprintf(stderr, "engine_bench: not enough memory\n");
        return 1;
    }
    struct ledger *replayed =
        ledger_make(bench.accounts, bench.transfers, bench.window, bench.window_records);
    accounts_create(&bench);
    if (bench.workload == LIMITS)
        limits_set(&bench);
    double execute_s = transfers_execute(&bench);
    double replay_s = transfers_replay(&bench, replayed);
    double count = (double)bench.transfers;
    bool equal = checksum_equal(ledger_digest(bench.ledger), ledger_digest(replayed));
    printf("accounts %u transfers %llu batch %u rejected %llu\n", bench.accounts,
           (unsigned long long)bench.transfers, bench.batch, (unsigned long long)bench.rejected);
    printf("execute %.1f ns a transfer, %.2f M/s\n", execute_s * 1e9 / count,
           count / execute_s / 1e6);
    printf("replay  %.1f ns a transfer, %.2f M/s, digest %s\n", replay_s * 1e9 / count,
           count / replay_s / 1e6, equal ? "equal" : "DIFFERENT");
    printf("index   %.2f bytes a transfer\n", (double)index_memory_bytes(&bench.ledger->transfers) /
                                                  (double)bench.ledger->transfers.count);
    return equal ? 0 : 1;
}
