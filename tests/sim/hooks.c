/* The program's own functions that the simulator looks at as they are called: the references come to
 * __wrap_NAME (meson.build), which calls NAME. Nothing here changes what they do. */
#include "tests/sim/hooks.h"

#include "net/shard_state.h"
#include "tests/sim/client.h"
#include "tests/sim/compat_client.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge.h"
#include "tests/sim/machine.h"

#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

const char *const hooks_row_names[ROWS] = {
    "zeros, zeros behind: clean",
    "zeros or garbage, garbage behind: torn",
    "header sound, body damaged, garbage behind: torn",
    "zeros or garbage, a sound header behind: damaged",
    "body damaged, a sound header behind: damaged",
    "sound, breaks number or chain: damaged",
    "sound, belongs elsewhere: damaged",
    "sound, newer version",
    "more than one write leaves: damaged",
    "not readable: damaged",
};

uint64_t hooks_rows[ROWS];
enum hooks_row hooks_last_row;
uint64_t hooks_digests_checked;
bool hooks_tail_lost;
uint32_t hooks_end_segment;
uint32_t hooks_end_offset;

static struct shard *running;

const struct ledger *hooks_ledger(void)
{
    return running == NULL ? NULL : running->ledger;
}

const struct ledger *hooks_follower_ledger(void)
{
    return running == NULL || !running->follower->started ? NULL : running->follower->ledger;
}

bool hooks_follower_is_even(void)
{
    return running != NULL && running->follower->started && !running->log.in_flight &&
           running->log.open_records == 0 && follower_lag_bytes(running->follower) == 0;
}

/* The life's count goes into the sum when its follower is freed, or the life is. */
static void digests_collect(void)
{
    if (running != NULL)
        hooks_digests_checked += atomic_load_explicit(&running->follower->counters.digests_checked,
                                                      memory_order_relaxed);
}

void __wrap_follower_free(struct follower *follower)
{
    digests_collect();
    running = NULL;
    follower_free(follower);
}

void hooks_life_ended(void)
{
    digests_collect();
    running = NULL;
}

/* ---- The start --------------------------------------------------------------------------- */

static struct log_end last_end;

/* What is left of a torn block is zeroed before anything is written in its place. */
static void cut_check(const struct shard *shard)
{
    char path[64];
    bool torn = hooks_last_row == ROW_TORN_BODY || hooks_last_row == ROW_TORN_GARBAGE;
    if (!torn || disk_wounds_log() > 0)
        return;
    (void)snprintf(path, sizeof path, "shard-0/%010u.log", last_end.segment);
    /* Nothing but the first block of this start. */
    if (!disk_is_zero_from(path, last_end.offset + shard->directory.meta.sector_bytes))
        machine_fail("%s: what was torn is not gone behind %u", path, last_end.offset);
}

int __wrap_shard_log_start(struct shard *shard, struct error *error)
{
    int result = shard_log_start(shard, error);
    if (result == 0) {
        running = shard;
        cut_check(shard);
        judge_recovered(shard->ledger, hooks_tail_lost);
    }
    return result;
}

static enum hooks_row row_of(const struct log_end *end)
{
    switch (end->verdict) {
    case LOG_END_CLEAN:
        return ROW_CLEAN;
    case LOG_END_TORN:
        return end->body_damaged ? ROW_TORN_BODY : ROW_TORN_GARBAGE;
    case LOG_END_NEWER:
        return ROW_NEWER;
    case LOG_END_DAMAGED:
        break;
    }
    if (end->unreadable)
        return ROW_UNREADABLE;
    if (end->found == BLOCK_OK && !end->body_damaged)
        return ROW_DAMAGED_CHAIN;
    if (end->found == BLOCK_MISPLACED)
        return ROW_DAMAGED_ELSEWHERE;
    if (end->proof)
        return end->body_damaged ? ROW_DAMAGED_BODY : ROW_DAMAGED_GARBAGE;
    return ROW_TOO_MUCH;
}

int __wrap_log_reader_next(struct log_reader *reader, const struct block_header **out_header,
                           struct error *error)
{
    int result = log_reader_next(reader, out_header, error);
    if (result == 0) {
        hooks_last_row = row_of(&reader->end);
        hooks_rows[hooks_last_row]++;
        last_end = reader->end;
        hooks_end_segment = last_end.segment;
        hooks_end_offset = last_end.offset;
    }
    return result;
}

/* ---- Execution --------------------------------------------------------------------------- */

static enum execution execute_compat(struct shard *shard, struct connection *connection,
                                     enum frame_status *out_status)
{
    struct compat_header header;
    memcpy(&header, connection_compat_header(connection), sizeof header);
    int fd = connection->fd;
    bool begun = connection->request != NULL || connection->compat_batch > 0;
    enum execution execution = shard_execute(shard, connection, out_status);
    if (execution == EXECUTION_DONE)
        compat_client_executed(fd, &header);
    else if (!begun && connection->request != NULL)
        compat_client_asked(fd, &header);
    return execution;
}

enum execution __wrap_shard_execute(struct shard *shard, struct connection *connection,
                                    enum frame_status *out_status)
{
    struct frame_header header;
    if (connection->compat)
        return execute_compat(shard, connection, out_status);
    memcpy(&header, connection_header(connection), sizeof header);
    int fd = connection->fd;
    bool waits = connection->request != NULL;
    enum execution execution = shard_execute(shard, connection, out_status);
    if (execution == EXECUTION_DONE)
        client_executed(fd, &header);
    else if (!waits && connection->request != NULL)
        client_asked(fd, &header);
    return execution;
}

void __wrap_ledger_create_accounts(struct ledger *ledger, const struct giro_account *events,
                                   uint32_t count, uint64_t timestamp, struct ledger_output *output)
{
    ledger_create_accounts(ledger, events, count, timestamp, output);
    judge_accounts(ledger, events, count, timestamp, output);
    if (output->baseline)
        compat_client_accounts(events, count, timestamp, output);
    else
        client_created(output, timestamp);
}

uint32_t __wrap_ledger_create_transfers(struct ledger *ledger, const struct giro_transfer *events,
                                        uint32_t count, uint64_t timestamp,
                                        const struct record_cache *cache, uint64_t *addresses,
                                        struct ledger_output *output)
{
    uint32_t missing =
        ledger_create_transfers(ledger, events, count, timestamp, cache, addresses, output);
    if (missing > 0)
        return missing;
    judge_transfers(ledger, events, count, timestamp, output);
    if (output->baseline)
        compat_client_transfers(events, count, timestamp, output);
    else
        client_created(output, timestamp);
    return 0;
}

void __wrap_ledger_log_session(struct ledger *ledger, const struct record_session *session,
                               const struct session_result *results, struct ledger_output *output)
{
    uint64_t address = output->address + output->record_count;
    ledger_log_session(ledger, session, results, output);
    judge_session(ledger, session);
    compat_client_logged(session, address);
}

void __wrap_ledger_set_limits(struct ledger *ledger, const struct giro_limits *events,
                              uint32_t count, uint64_t timestamp, struct ledger_output *output)
{
    ledger_set_limits(ledger, events, count, timestamp, output);
    judge_limits(ledger, events, count, timestamp, output);
    client_created(output, timestamp);
}

void __wrap_ledger_cut_off(struct ledger *ledger, const struct giro_cut_off *events, uint32_t count,
                           uint64_t timestamp, struct ledger_output *output)
{
    ledger_cut_off(ledger, events, count, timestamp, output);
    judge_cut_off(ledger, events, count, timestamp, output);
    client_created(output, timestamp);
}

void __wrap_ledger_lease(struct ledger *ledger, const struct giro_lease *events, uint32_t count,
                         uint64_t timestamp, void *replies, struct ledger_output *output)
{
    ledger_lease(ledger, events, count, timestamp, replies, output);
    judge_leases(ledger, events, count, timestamp, replies, output);
    client_told(replies, count * (uint32_t)sizeof *events);
}

/* Which of the leases that are over are still known follows from no rule: whatever the judge lets pass
 * is what the client must get. */
uint32_t __wrap_ledger_get_leases(const struct ledger *ledger, const giro_u128 *keys,
                                  uint32_t count, void *leases)
{
    uint32_t found = ledger_get_leases(ledger, keys, count, leases);
    judge_get_leases(keys, count, leases, found);
    client_told(leases, found * (uint32_t)sizeof(struct giro_lease));
    return found;
}

void __wrap_ledger_create_schedules(struct ledger *ledger, const struct giro_schedule *events,
                                    uint32_t count, uint64_t timestamp,
                                    struct ledger_output *output)
{
    ledger_create_schedules(ledger, events, count, timestamp, output);
    judge_schedules(ledger, events, count, timestamp, output);
    client_created(output, timestamp);
}

void __wrap_ledger_cancel_schedules(struct ledger *ledger, const giro_u128 *ids, uint32_t count,
                                    uint64_t timestamp, struct ledger_output *output)
{
    ledger_cancel_schedules(ledger, ids, count, timestamp, output);
    judge_cancels(ledger, ids, count, timestamp, output);
    client_created(output, timestamp);
}

uint32_t __wrap_ledger_fire(struct ledger *ledger, uint64_t timestamp, uint32_t events_max,
                            const struct record_cache *cache, uint64_t *addresses,
                            struct ledger_output *output)
{
    uint32_t missing = ledger_fire(ledger, timestamp, events_max, cache, addresses, output);
    if (missing == 0)
        judge_firing(ledger, timestamp, events_max, output);
    return missing;
}

void __wrap_ledger_expire(struct ledger *ledger, uint64_t timestamp, uint32_t records_max,
                          struct ledger_output *output)
{
    ledger_expire(ledger, timestamp, records_max, output);
    judge_expiry(ledger, timestamp, records_max, output);
}
