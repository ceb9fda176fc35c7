/* Engine alone, in memory: what one core can execute and replay, without disk or network.
 *
 *     engine_bench [accounts] [transfers] [batch]
 *
 * Runs requests as engine/ledger.h tells over batches of plain transfers with random accounts and
 * time-ordered ids, then replays the same records into a second ledger and compares digests. */
#include "engine/ledger.h"
#include "engine/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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
}

int main(int argc, char **argv)
{
    uint32_t accounts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
    uint64_t transfers = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
    uint32_t batch = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : LEDGER_EVENTS_MAX;
    if (accounts < 2 || transfers == 0 || batch == 0 || batch > LEDGER_EVENTS_MAX) {
        fprintf(stderr, "usage: engine_bench [accounts >= 2] [transfers] [batch 1..%d]\n",
                LEDGER_EVENTS_MAX);
        return 2;
    }

    /* All records stay in memory, touched beforehand: page faults are not the engine's. */
    uint64_t window_records = 1 << 20;
    while (window_records < transfers + 1)
        window_records *= 2;
    union record *window = memory_reserve(window_records * sizeof *window);
    if (window == NULL) {
        fprintf(stderr, "engine_bench: not enough memory\n");
        return 1;
    }
    memset(window, 0, (transfers + 1) * sizeof *window);
    struct ledger *ledger = ledger_make(accounts, transfers, window, window_records);
    struct giro_transfer *events = memory_reserve(LEDGER_EVENTS_MAX * sizeof *events);
    struct giro_result *results = memory_reserve(LEDGER_EVENTS_MAX * sizeof *results);
    uint64_t *addresses = memory_reserve(LEDGER_FETCH_MAX * sizeof *addresses);
    struct ledger_output output = {.results = results};
    uint64_t timestamp = 1000000000000ull;
    uint64_t address = 1;

    for (uint32_t made = 0; made < accounts;) {
        uint32_t count = accounts - made < LEDGER_EVENTS_MAX ? accounts - made : LEDGER_EVENTS_MAX;
        memset(events, 0, count * sizeof *events);
        for (uint32_t i = 0; i < count; i++) {
            struct giro_account *account = &((union record *)events)[i].account;
            account->id = made + i + 1;
            account->ledger = 1;
            account->code = 1;
        }
        output.records = window;
        output.address = address;
        ledger_create_accounts(ledger, (const struct giro_account *)events, count, timestamp,
                               &output);
        timestamp += count;
        made += count;
    }
    struct ledger *replayed = ledger_make(accounts, transfers, window, window_records);
    for (uint32_t i = 0; i < accounts; i++) {
        union record record = {.account = ledger->accounts.rows[i]};
        uint32_t at;
        record.account.flags |= RECORD_ACCOUNT << RECORD_KIND_SHIFT;
        ledger_replay(replayed, &record, 1, 1, &at);
    }

    double execute_s = 0;
    uint64_t rejected = 0;
    uint64_t address_first = address;
    memset(events, 0, LEDGER_EVENTS_MAX * sizeof *events);
    for (uint64_t sent = 0; sent < transfers;) {
        uint32_t count = transfers - sent < batch ? (uint32_t)(transfers - sent) : batch;
        for (uint32_t i = 0; i < count; i++)
            event_make(&events[i], sent + i, accounts);
        output.records = &window[address];
        output.address = address;
        double start = seconds_now();
        if (ledger_create_transfers(ledger, events, count, timestamp, NULL, addresses, &output) !=
            0)
            abort(); /* everything is in the window */
        execute_s += seconds_now() - start;
        rejected += output.result_count;
        timestamp += count;
        address += output.record_count;
        sent += count;
    }

    double start = seconds_now();
    for (uint64_t at = address_first; at < address;) {
        uint32_t count =
            address - at < LEDGER_EVENTS_MAX ? (uint32_t)(address - at) : LEDGER_EVENTS_MAX;
        uint32_t index;
        if (ledger_replay(replayed, &window[at], count, at, &index) != 0) {
            fprintf(stderr, "engine_bench: replay refused a record\n");
            return 1;
        }
        at += count;
    }
    double replay_s = seconds_now() - start;
    struct checksum left = ledger_digest(ledger);
    struct checksum right = ledger_digest(replayed);
    printf("accounts %u transfers %llu batch %u rejected %llu\n", accounts,
           (unsigned long long)transfers, batch, (unsigned long long)rejected);
    printf("execute %.1f ns a transfer, %.2f M/s\n", execute_s * 1e9 / (double)transfers,
           (double)transfers / execute_s / 1e6);
    printf("replay  %.1f ns a transfer, %.2f M/s, digest %s\n", replay_s * 1e9 / (double)transfers,
           (double)transfers / replay_s / 1e6, checksum_equal(left, right) ? "equal" : "DIFFERENT");
    printf("index   %.2f bytes a transfer\n",
           (double)index_memory_bytes(&ledger->transfers) / (double)ledger->transfers.count);
    return checksum_equal(left, right) ? 0 : 1;
}
