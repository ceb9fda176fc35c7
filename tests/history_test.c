/* Queries and changes against a reference that scans a plain array: every kind of query and every
 * page of it, on random logs of several segments, also while blocks and seals come in between. */
#include "tests/history_fixture.h"
#include "wal/log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(history, .fini = scratch_clean);

enum {
    RESULTS_MAX = QUERY_RESULTS_MAX,
    SMALL_SEGMENT_BYTES = 4 << 20,
    MAKERS = 2,
};

#define SEED_DEFAULT 20231114ull

static const struct history_options small = {
    .segment_bytes = SMALL_SEGMENT_BYTES,
    .segments_max = 32,
    .accounts_max = 1 << 16,
    .holds_max = 1 << 16,
};

/* ---- Questions --------------------------------------------------------------------------- */

/* One query of any kind. */
struct question {
    enum query_kind kind;
    struct giro_account_filter account; /* of the first two kinds */
    struct giro_query_filter query;     /* of the others */
};

static bool of_account(const struct question *question)
{
    return question->kind == QUERY_ACCOUNT_TRANSFERS || question->kind == QUERY_ACCOUNT_BALANCES;
}

static bool is_reversed(const struct question *question)
{
    return of_account(question) ? (question->account.flags & GIRO_ACCOUNT_FILTER_REVERSED) != 0
                                : (question->query.flags & GIRO_QUERY_FILTER_REVERSED) != 0;
}

static uint32_t limit_of(const struct question *question)
{
    return of_account(question) ? question->account.limit : question->query.limit;
}

/* A timestamp of a record, or one beside it. */
static uint64_t timestamp_choose(const struct history *history, struct rng *rng)
{
    const union record *record = history->records[rng_next(rng) % history->record_count].record;
    return record->transfer.timestamp - 1 + rng_below(rng, 3);
}

/* A range that is not empty, or open at either end. */
static void times_choose(const struct history *history, struct rng *rng, uint64_t *min,
                         uint64_t *max)
{
    if (rng_chance(rng, 40))
        *min = timestamp_choose(history, rng);
    if (rng_chance(rng, 40))
        *max = timestamp_choose(history, rng);
    if (*max != 0 && *min > *max) {
        uint64_t swapped = *min;
        *min = *max;
        *max = swapped;
    }
}

static uint32_t limit_choose(struct rng *rng)
{
    static const uint32_t limits[] = {1, 2, 3, 31, 32, 33, 511, 512, 4096, RESULTS_MAX - 1};
    if (rng_chance(rng, 40))
        return limits[rng_below(rng, sizeof limits / sizeof limits[0])];
    return rng_chance(rng, 30) ? RESULTS_MAX : 1 + rng_below(rng, 300);
}

static giro_u128 user_data_128_choose(struct rng *rng)
{
    static const giro_u128 values[] = {7, (giro_u128)1 << 100, GIRO_U128_MAX, 1, 8};
    return values[rng_below(rng, 5)];
}

static void account_question(const struct history *history, struct rng *rng,
                             struct question *question)
{
    struct giro_account_filter *filter = &question->account;
    filter->account_id =
        history_account_id(rng_below(rng, rng_chance(rng, 50) ? 12 : history->account_count + 1));
    if (rng_chance(rng, 15))
        filter->user_data_128 = user_data_128_choose(rng);
    if (rng_chance(rng, 15))
        filter->user_data_64 = 1 + rng_below(rng, 4);
    if (rng_chance(rng, 15))
        filter->user_data_32 = 1 + rng_below(rng, 3);
    if (rng_chance(rng, 15))
        filter->code = (uint16_t)(1 + rng_below(rng, 5));
    times_choose(history, rng, &filter->timestamp_min, &filter->timestamp_max);
    filter->flags = 1 + rng_below(rng, 7);
    if ((filter->flags & 3) == 0)
        filter->flags |= 3;
    filter->limit = limit_choose(rng);
}

static void query_question(const struct history *history, struct rng *rng,
                           struct question *question)
{
    struct giro_query_filter *filter = &question->query;
    if (rng_chance(rng, 30))
        filter->user_data_128 = user_data_128_choose(rng);
    if (rng_chance(rng, 30))
        filter->user_data_64 = 1 + rng_below(rng, 4);
    if (rng_chance(rng, 30))
        filter->user_data_32 = 1 + rng_below(rng, 3);
    if (rng_chance(rng, 15))
        filter->ledger = 1 + rng_below(rng, 3);
    if (rng_chance(rng, 15))
        filter->code = (uint16_t)(1 + rng_below(rng, 5));
    times_choose(history, rng, &filter->timestamp_min, &filter->timestamp_max);
    filter->flags = rng_below(rng, 2);
    filter->limit = limit_choose(rng);
}

static struct question question_choose(const struct history *history, struct rng *rng)
{
    struct question question = {.kind = (enum query_kind)rng_below(rng, 4)};
    if (of_account(&question))
        account_question(history, rng, &question);
    else
        query_question(history, rng, &question);
    return question;
}

/* ---- The reference ----------------------------------------------------------------------- */

struct answer {
    uint32_t count;
    _Alignas(64) char bytes[RESULTS_MAX * GIRO_RECORD_BYTES];
};

static bool time_matches(uint64_t timestamp, uint64_t min, uint64_t max)
{
    return timestamp >= min && (max == 0 || timestamp <= max);
}

/* Accounts and transfers have these fields at the same places. */
static bool query_matches(const struct giro_query_filter *filter,
                          const struct giro_transfer *fields)
{
    if (filter->user_data_128 != 0 && filter->user_data_128 != fields->user_data_128)
        return false;
    if (filter->user_data_64 != 0 && filter->user_data_64 != fields->user_data_64)
        return false;
    if (filter->user_data_32 != 0 && filter->user_data_32 != fields->user_data_32)
        return false;
    if (filter->ledger != 0 && filter->ledger != fields->ledger)
        return false;
    if (filter->code != 0 && filter->code != fields->code)
        return false;
    return time_matches(fields->timestamp, filter->timestamp_min, filter->timestamp_max);
}

/* -1: no match, else which side of the account: 0 debit, 1 credit. */
static int account_matches(const struct giro_account_filter *filter,
                           const struct giro_transfer *transfer)
{
    int side;
    if ((filter->flags & GIRO_ACCOUNT_FILTER_DEBITS) != 0 &&
        transfer->debit_account_id == filter->account_id)
        side = 0;
    else if ((filter->flags & GIRO_ACCOUNT_FILTER_CREDITS) != 0 &&
             transfer->credit_account_id == filter->account_id)
        side = 1;
    else
        return -1;
    if (filter->user_data_128 != 0 && filter->user_data_128 != transfer->user_data_128)
        return -1;
    if (filter->user_data_64 != 0 && filter->user_data_64 != transfer->user_data_64)
        return -1;
    if (filter->user_data_32 != 0 && filter->user_data_32 != transfer->user_data_32)
        return -1;
    if (filter->code != 0 && filter->code != transfer->code)
        return -1;
    return time_matches(transfer->timestamp, filter->timestamp_min, filter->timestamp_max) ? side
                                                                                           : -1;
}

static void answer_add(struct answer *answer, const void *result)
{
    memcpy(answer->bytes + (size_t)answer->count * GIRO_RECORD_BYTES, result, GIRO_RECORD_BYTES);
    answer->count++;
}

static void naive_accounts(const struct history *history, const struct question *question,
                           uint32_t end, struct answer *answer)
{
    for (uint32_t i = 0; i < end && answer->count < limit_of(question); i++) {
        uint32_t at = is_reversed(question) ? end - 1 - i : i;
        const union record *account = (const union record *)(const void *)&history->accounts[at];
        if (query_matches(&question->query, &account->transfer))
            answer_add(answer, account);
    }
}

static void naive_record(const struct history *history, const struct question *question,
                         const struct history_record *noted, struct answer *answer)
{
    const struct giro_transfer *transfer = &noted->record->transfer;
    if (record_kind(noted->record) != RECORD_TRANSFER)
        return;
    if (question->kind == QUERY_TRANSFERS) {
        if (query_matches(&question->query, transfer))
            answer_add(answer, transfer);
        return;
    }
    int side = account_matches(&question->account, transfer);
    if (side < 0)
        return;
    if (question->kind == QUERY_ACCOUNT_TRANSFERS) {
        answer_add(answer, transfer);
        return;
    }
    struct giro_account_balance balance = {
        .balances = side == 0 ? noted->debit : noted->credit,
        .timestamp = transfer->timestamp,
    };
    answer_add(answer, &balance);
}

static bool has_history(const struct history *history, giro_u128 account_id)
{
    uint32_t number = (uint32_t)account_id - 1;
    return number < history->account_count &&
           (history->accounts[number].flags & GIRO_ACCOUNT_HISTORY) != 0;
}

/* What a question is to be answered with by somebody who knows the first `end` records, which made
 * so many accounts. */
static void naive_answer(const struct history *history, const struct question *question,
                         uint64_t end, uint32_t accounts, struct answer *answer)
{
    answer->count = 0;
    if (question->kind == QUERY_ACCOUNTS) {
        naive_accounts(history, question, accounts, answer);
        return;
    }
    if (question->kind == QUERY_ACCOUNT_BALANCES &&
        !has_history(history, question->account.account_id))
        return;
    for (uint64_t i = 0; i < end && answer->count < limit_of(question); i++)
        naive_record(history, question, &history->records[is_reversed(question) ? end - 1 - i : i],
                     answer);
}

/* ---- Comparing --------------------------------------------------------------------------- */

/* What happens between two slices. */
struct between {
    struct rng *rng;
    const struct history_mix *mix; /* NULL: nothing */
    uint32_t roll_percent;
};

static void between_run(struct history *history, const struct between *between)
{
    if (between == NULL || between->mix == NULL)
        return;
    if (rng_chance(between->rng, between->roll_percent) &&
        history->position.segment + 2 < history->options.segments_max)
        history_roll(history);
    history_request(history, between->rng, between->mix);
    if (rng_chance(between->rng, 70))
        history_flush(history);
}

static void question_print(const struct question *question)
{
    const struct giro_account_filter *account = &question->account;
    const struct giro_query_filter *query = &question->query;
    if (of_account(question))
        fprintf(stderr,
                "kind %d: account %lu, user data %lx %lu %u, code %u, %lu .. %lu, limit %u, flags "
                "%u\n",
                question->kind, (uint64_t)account->account_id, (uint64_t)account->user_data_128,
                account->user_data_64, account->user_data_32, account->code, account->timestamp_min,
                account->timestamp_max, account->limit, account->flags);
    else
        fprintf(stderr,
                "kind %d: user data %lx %lu %u, ledger %u, code %u, %lu .. %lu, limit %u, flags "
                "%u\n",
                question->kind, (uint64_t)query->user_data_128, query->user_data_64,
                query->user_data_32, query->ledger, query->code, query->timestamp_min,
                query->timestamp_max, query->limit, query->flags);
}

static void answers_compare(const struct question *question, const struct answer *expected,
                            const struct answer *answer)
{
    uint32_t i = 0;
    while (i < expected->count && i < answer->count &&
           memcmp(&expected->bytes[(size_t)i * GIRO_RECORD_BYTES],
                  &answer->bytes[(size_t)i * GIRO_RECORD_BYTES], GIRO_RECORD_BYTES) == 0)
        i++;
    if (i == expected->count && i == answer->count)
        return;
    question_print(question);
    cr_assert_fail("%u results, expected %u; number %u differs", answer->count, expected->count, i);
}

/* A query under way. */
static struct {
    const struct question *question; /* NULL: none */
    struct query query;
    uint64_t records_before;
    uint32_t accounts_before;
    uint32_t slices;
    int result;
    struct answer expected; /* as of the last slice */
} flight;

/* One slice. What came after a reversed query began is in front of where it began. */
static void flight_step(struct history *history)
{
    if (flight.question == NULL || flight.result != 0)
        return;
    flight.result = query_step(&flight.query, &history->source);
    flight.slices++;
    bool old = is_reversed(flight.question);
    if (flight.result != 0)
        naive_answer(history, flight.question, old ? flight.records_before : history->record_count,
                     old ? flight.accounts_before : history->account_count, &flight.expected);
}

/* Asks and compares; *answer: what was answered. Returns how many slices it took. */
static uint32_t question_ask(struct history *history, const struct question *question,
                             const struct between *between, struct answer *answer)
{
    if (of_account(question))
        query_account_begin(&flight.query, question->kind, &question->account, &history->source,
                            answer->bytes);
    else
        query_begin(&flight.query, question->kind, &question->query, &history->source,
                    answer->bytes);
    flight.question = question;
    flight.records_before = history->record_count;
    flight.accounts_before = history->account_count;
    flight.slices = 0;
    flight.result = 0;
    flight_step(history);
    while (flight.result == 0) {
        between_run(history, between);
        flight_step(history);
    }
    flight.question = NULL;
    cr_assert_eq(flight.result, 1, "%s", history->reader->error.text);
    answer->count = flight.query.count;
    answers_compare(question, &flight.expected, answer);
    return flight.slices;
}

/* Moves a question behind what was answered. Returns false when there cannot be any more. */
static bool question_turn(struct question *question, const struct answer *answer)
{
    if (answer->count == 0)
        return false;
    const char *last = &answer->bytes[(size_t)(answer->count - 1) * GIRO_RECORD_BYTES];
    uint64_t timestamp = question->kind == QUERY_ACCOUNT_BALANCES
                             ? ((const struct giro_account_balance *)(const void *)last)->timestamp
                             : ((const struct giro_transfer *)(const void *)last)->timestamp;
    uint64_t *min =
        of_account(question) ? &question->account.timestamp_min : &question->query.timestamp_min;
    uint64_t *max =
        of_account(question) ? &question->account.timestamp_max : &question->query.timestamp_max;
    if (is_reversed(question))
        *max = timestamp - 1;
    else
        *min = timestamp + 1;
    return *max == 0 || *min <= *max;
}

/* Every page of a question. Returns how many results they have together. */
static uint64_t pages_ask(struct history *history, struct question question,
                          const struct between *between)
{
    static struct answer answer;
    uint64_t results = 0;
    do {
        (void)question_ask(history, &question, between, &answer);
        results += answer.count;
    } while (question_turn(&question, &answer));
    return results;
}

static void questions_ask(struct history *history, struct rng *rng, uint32_t count,
                          const struct between *between)
{
    static struct answer answer;
    uint32_t sliced = 0;
    uint32_t answered = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct question question = question_choose(history, rng);
        if (limit_of(&question) >= 31 && rng_chance(rng, 5)) {
            (void)pages_ask(history, question, between);
            continue;
        }
        sliced += question_ask(history, &question, between, &answer) > 1;
        answered += answer.count > 0;
        between_run(history, rng_chance(rng, 20) ? between : NULL);
    }
    fprintf(stderr, "%lu records, %u segments: %u questions, %u answered, %u in slices\n",
            history->record_count, history->position.segment + 1, count, answered, sliced);
    cr_assert(answered > count / 4);
}

/* ---- Views and changes ------------------------------------------------------------------- */

static void maker_run(struct view_maker *maker, struct history *history, uint32_t segment)
{
    int result;
    view_maker_begin(maker, history->reader, segment);
    while ((result = view_maker_step(maker)) == 0)
        continue;
    cr_assert_eq(result, 1, "%s", history->reader->error.text);
}

/* The view of every sealed segment is what was recorded when it was in use. */
static void views_check(struct history *history)
{
    struct view_maker maker;
    cr_assert_eq(view_maker_init(&maker, &history->directory, &history->replica->accounts), 0);
    for (uint32_t segment = 0; segment < history->archive.count; segment++) {
        maker_run(&maker, history, segment);
        cr_assert(checksum_equal(history_view_sum(&maker.view), history->view_sums[segment]),
                  "segment %u", segment);
    }
    view_maker_free(&maker);
}

static uint32_t naive_kind(const union record *record)
{
    switch (record_kind(record)) {
    case RECORD_ACCOUNT:
        return GIRO_CHANGE_ACCOUNT_CREATED;
    case RECORD_TRANSFER:
        return (record->transfer.flags & GIRO_TRANSFER_POST_PENDING) != 0
                   ? GIRO_CHANGE_PENDING_POSTED
               : (record->transfer.flags & GIRO_TRANSFER_VOID_PENDING) != 0
                   ? GIRO_CHANGE_PENDING_VOIDED
                   : GIRO_CHANGE_TRANSFER_CREATED;
    default:
        return record_system(record) == RECORD_SYSTEM_EXPIRY ? GIRO_CHANGE_PENDING_EXPIRED : 0;
    }
}

static void change_check(const struct history *history, uint64_t ordinal,
                         const struct giro_change *change)
{
    const struct history_record *noted = &history->records[ordinal];
    struct giro_change expected = {.ordinal = ordinal, .kind = naive_kind(noted->record)};
    expected.record.transfer = noted->record->transfer;
    expected.debit = noted->debit;
    expected.credit = noted->credit;
    if (expected.kind == GIRO_CHANGE_ACCOUNT_CREATED)
        expected.record.account.flags &= GIRO_ACCOUNT_FLAGS_ALL;
    if (expected.kind == GIRO_CHANGE_PENDING_EXPIRED) {
        expected.record.transfer.code = 0;
        expected.record.transfer.flags = 0;
        cr_assert(change->record.transfer.id == 0);
    }
    cr_assert(change->ordinal == ordinal, "change %lu comes as %lu", ordinal, change->ordinal);
    cr_assert(memcmp(&expected, change, sizeof expected) == 0, "change %lu differs", ordinal);
}

/* Reads one page as changes_work() of wal/follower.c does. Returns how many changes. */
static uint32_t changes_read(struct history *history, struct view_maker *makers, uint64_t *ordinal,
                             uint32_t limit, struct giro_change *changes)
{
    const struct archive *archive = &history->archive;
    while (*ordinal < history->live.facts.ordinal_first) {
        uint32_t segment = archive->count - 1;
        while (archive->sidecars[segment]->facts.ordinal_first > *ordinal)
            segment--;
        struct view_maker *maker = &makers[segment % MAKERS];
        if (maker->reader == NULL || maker->view.segment != segment)
            maker_run(maker, history, segment);
        uint32_t count = view_changes(&maker->view, ordinal, limit, changes);
        if (count > 0)
            return count;
        *ordinal = archive->sidecars[segment]->facts.ordinal_end;
    }
    return view_changes(&history->live.view, ordinal, limit, changes);
}

/* One page of changes from an ordinal on. Returns where the next one begins. */
static uint64_t changes_check(struct history *history, struct view_maker *makers, uint64_t ordinal,
                              uint32_t limit)
{
    enum { LIMIT_MAX = 3854 };
    static struct giro_change changes[LIMIT_MAX];
    uint64_t next = ordinal;
    uint32_t count = changes_read(history, makers, &next, limit, changes);
    for (uint32_t i = 0; i < count; i++, ordinal++) {
        while (naive_kind(history->records[ordinal].record) == 0)
            ordinal++;
        change_check(history, ordinal, &changes[i]);
    }
    for (; ordinal < next; ordinal++)
        cr_assert(naive_kind(history->records[ordinal].record) == 0, "change %lu is missing",
                  ordinal);
    cr_assert(next == ordinal && count <= limit);
    return next;
}

static void makers_open(struct history *history, struct view_maker *makers)
{
    for (uint32_t i = 0; i < MAKERS; i++)
        cr_assert_eq(view_maker_init(&makers[i], &history->directory, &history->replica->accounts),
                     0);
}

static void makers_close(struct view_maker *makers)
{
    for (uint32_t i = 0; i < MAKERS; i++)
        view_maker_free(&makers[i]);
}

/* All of them, in pages of a size. */
static void changes_check_all(struct history *history, uint64_t ordinal, uint32_t limit)
{
    struct view_maker makers[MAKERS];
    makers_open(history, makers);
    while (ordinal < history->record_count) {
        uint64_t next = changes_check(history, makers, ordinal, limit);
        cr_assert(next > ordinal);
        ordinal = next;
    }
    cr_assert(ordinal == history->record_count);
    makers_close(makers);
}

/* Ids, outcomes and the log's map come back out of the sidecars as they were. */
static void restore_check(struct history *history)
{
    struct ledger *restored = history_ledger_make(history, false);
    const uint32_t chunks_per_segment = history->options.segment_bytes / LOG_CHUNK_BYTES;
    uint32_t *map;
    struct error error;
    cr_assert_eq(log_map_init(&map), 0);
    for (uint32_t i = 0; i < history->archive.count; i++)
        cr_assert_eq(archive_restore(&history->archive, i, restored, map, &error), 0, "%s",
                     error.text);
    const uint64_t sealed = history->live.facts.ordinal_first;
    restored->window = history->ledger->window;
    for (uint64_t i = 0; i < sealed; i++) {
        const union record *record = history->records[i].record;
        struct giro_transfer found;
        if (record_kind(record) == RECORD_TRANSFER)
            cr_assert(ledger_lookup_transfers(restored, &record->transfer.id, 1, NULL, &found) ==
                          1 &&
                      memcmp(&found, record, sizeof found) == 0);
    }
    for (uint32_t i = 0; i < history->archive.count * chunks_per_segment; i++)
        cr_assert_eq(map[i], history->log_map[i], "chunk %u", i);
    uint64_t ids = 0;
    for (uint64_t i = 0; i < sealed; i++)
        ids += record_kind(history->records[i].record) == RECORD_TRANSFER ||
               record_kind(history->records[i].record) == RECORD_BURNT;
    cr_assert(restored->transfers.count == ids);
    log_map_free(map);
    ledger_destroy(restored);
}

/* The replica has come to the state of the ledger that executed. */
static void replica_check(struct history *history)
{
    history_flush(history);
    cr_assert(checksum_equal(ledger_digest(history->replica), ledger_digest(history->ledger)));
    cr_assert(history->account_count == history->replica->accounts.count);
    cr_assert(memcmp(history->accounts, history->replica->accounts.rows,
                     history->account_count * sizeof *history->accounts) == 0,
              "the reference and the replica differ");
}

/* ---- The tests --------------------------------------------------------------------------- */

static void log_grow(struct history *history, struct rng *rng, const struct history_mix *mix,
                     uint32_t requests, uint32_t roll_percent)
{
    for (uint32_t i = 0; i < requests; i++) {
        history_request(history, rng, mix);
        if (rng_chance(rng, roll_percent))
            history_roll(history);
    }
    history_flush(history);
}

Test(history, answers_as_a_scan_does)
{
    static struct history history;
    const struct history_mix mix = {.accounts = 40,
                                    .hot_percent = 20,
                                    .events_max = 150,
                                    .account_chance = 10,
                                    .imports = true};
    struct rng rng = rng_make(SEED_DEFAULT);
    history_open(&history, &small);
    history_begin(&history, &rng, &mix);
    for (uint32_t round = 0; round < 4; round++) {
        log_grow(&history, &rng, &mix, 180, 1);
        questions_ask(&history, &rng, 1000, NULL);
    }
    replica_check(&history);
    views_check(&history);
    restore_check(&history);
    history_close(&history);
}

/* A query under way goes on between two steps of sealing, or another one is asked. */
static struct rng sealing_rng;

static void while_sealing(struct history *history)
{
    static struct answer answer;
    if (flight.question != NULL && rng_chance(&sealing_rng, 50)) {
        flight_step(history);
        return;
    }
    if (flight.question != NULL || rng_chance(&sealing_rng, 50))
        return;
    struct question question = question_choose(history, &sealing_rng);
    (void)question_ask(history, &question, NULL, &answer);
    struct giro_change changes[8];
    uint64_t ordinal = history->live.facts.ordinal_first;
    uint32_t count = view_changes(&history->live.view, &ordinal, 8, changes);
    for (uint32_t i = 0; i < count; i++)
        change_check(history, changes[i].ordinal, &changes[i]);
}

Test(history, answers_while_the_log_grows)
{
    static struct history history;
    const struct history_mix mix = {.accounts = 12,
                                    .hot_percent = 30,
                                    .events_max = 400,
                                    .account_chance = 10,
                                    .imports = true};
    const struct history_mix little = {.accounts = 12, .events_max = 40, .account_chance = 30};
    struct rng rng = rng_make(SEED_DEFAULT + 1);
    const struct between between = {.rng = &rng, .mix = &little, .roll_percent = 1};
    sealing_rng = rng_make(SEED_DEFAULT + 10);
    history_open(&history, &small);
    history.while_sealing = while_sealing;
    history_begin(&history, &rng, &mix);
    log_grow(&history, &rng, &mix, 250, 2);
    questions_ask(&history, &rng, 1000, &between);
    replica_check(&history);
    views_check(&history);
    restore_check(&history);
    history_close(&history);
}

/* About the segment in use only, with so few matches that it takes several slices. */
static struct question large_question(const struct history *history, struct rng *rng,
                                      uint32_t round)
{
    static const enum query_kind kinds[] = {QUERY_ACCOUNT_BALANCES, QUERY_ACCOUNT_TRANSFERS,
                                            QUERY_ACCOUNT_BALANCES, QUERY_TRANSFERS};
    struct question question = {.kind = kinds[round % 4]};
    const bool reversed = round % 3 == 2;
    uint64_t first = history->live.facts.transfer_first;
    question.account.account_id = history_account_id(0);
    question.account.flags = reversed ? 7 : 3;
    question.account.limit = RESULTS_MAX;
    question.account.user_data_32 = 1 + rng_below(rng, 2);
    question.account.timestamp_min = first;
    question.query.flags = reversed ? GIRO_QUERY_FILTER_REVERSED : 0;
    question.query.limit = RESULTS_MAX;
    question.query.code = (uint16_t)(1 + rng_below(rng, 4));
    question.query.timestamp_min = first;
    return question;
}

/* What a large segment in use answers in several slices, while it grows and is sealed between them:
 * the first slice was of the segment in use, the others are of a sealed one. */
Test(history, answers_while_a_large_segment_grows)
{
    enum { ROUNDS = 36, ROUND_RECORDS = 18000 };
    static struct history history;
    static struct answer answer;
    const struct history_options large = {.segment_bytes = 8 << 20,
                                          .segments_max = 128,
                                          .accounts_max = 1 << 16,
                                          .holds_max = 1 << 18,
                                          .records_max = 1 << 21};
    const struct history_mix mix = {.accounts = 10, .hot_percent = 100, .events_max = 8000};
    const struct history_mix little = {.accounts = 10, .hot_percent = 90, .events_max = 300};
    struct rng rng = rng_make(SEED_DEFAULT + 7);
    const struct between between = {.rng = &rng, .mix = &little, .roll_percent = 100};
    uint32_t sliced = 0;
    sealing_rng = rng_make(SEED_DEFAULT + 11);
    history_open(&history, &large);
    history.while_sealing = while_sealing;
    history_begin(&history, &rng, &mix);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        history_roll(&history);
        uint64_t end = history.record_count + ROUND_RECORDS;
        while (history.record_count < end)
            history_request(&history, &rng, &mix);
        history_flush(&history);
        struct question question = large_question(&history, &rng, round);
        sliced += question_ask(&history, &question, &between, &answer) > 1;
    }
    fprintf(stderr, "%lu records, %u segments, %u questions in slices\n", history.record_count,
            history.position.segment + 1, sliced);
    cr_assert(sliced > ROUNDS / 2 && history.position.segment > ROUNDS * 5 / 4);
    replica_check(&history);
    views_check(&history);
    history_close(&history);
}

Test(history, has_one_hot_account)
{
    static struct history history;
    const struct history_options large = {.segment_bytes = 64 << 20,
                                          .segments_max = 2,
                                          .accounts_max = 1 << 10,
                                          .holds_max = 1 << 18};
    const struct history_mix mix = {.accounts = 20, .hot_percent = 100, .events_max = 8000};
    struct rng rng = rng_make(SEED_DEFAULT + 2);
    history_open(&history, &large);
    history_begin(&history, &rng, &mix);
    while (history.record_count < 260 * 1000)
        history_request(&history, &rng, &mix);
    history_flush(&history);
    for (uint32_t sealed = 0; sealed < 2; sealed++) {
        struct question question = {.kind = QUERY_ACCOUNT_TRANSFERS};
        question.account.account_id = history_account_id(0);
        question.account.flags = 3;
        question.account.limit = RESULTS_MAX;
        question.kind = sealed != 0 ? QUERY_ACCOUNT_BALANCES : QUERY_ACCOUNT_TRANSFERS;
        uint64_t forward = pages_ask(&history, question, NULL);
        cr_assert(forward > 200 * 1000, "only %lu", forward);
        question.account.flags = 7;
        if (sealed != 0)
            cr_assert(pages_ask(&history, question, NULL) == forward);
        questions_ask(&history, &rng, 30, NULL);
        if (sealed == 0) {
            history_roll(&history);
            history_mark(&history, BLOCK_IDLE);
            cr_assert_eq(history.archive.count, 1);
        }
    }
    replica_check(&history);
    views_check(&history);
    history_close(&history);
}

/* Segments of every sort: only marks, only accounts, only burnt ids, only digests, one transfer, one
 * expiry; of the accounts that a transfer is about, the last one may be at any boundary. */
static void segment_of_a_sort(struct history *history, struct rng *rng, uint32_t sort)
{
    const struct history_mix accounts = {.accounts = 2, .events_max = 1, .account_chance = 100};
    const struct history_mix transfers = {.accounts = 2000, .events_max = 300};
    struct giro_transfer event = {
        .id = history_transfer_id(history->transfer_next++),
        .debit_account_id = history_account_id(0),
        .credit_account_id =
            history_account_id(sort % 2 != 0 ? 64 * (1 + rng_below(rng, 30)) : 4000000),
        .amount = 5,
        .ledger = 1,
        .code = 1,
        .user_data_64 = 2,
        .timeout = sort == 5 ? 1 : 0,
        .flags = sort == 5 ? GIRO_TRANSFER_PENDING : 0,
    };
    switch (sort) {
    case 0:
        history_mark(history, BLOCK_IDLE);
        history_mark(history, BLOCK_START);
        break;
    case 1:
        history_request(history, rng, &accounts);
        break;
    case 2: /* burnt */
    case 3: /* one transfer */
    case 5: /* one hold */
        history_transfers(history, &event, 1);
        break;
    case 4:
        history_digest(history);
        break;
    case 6:
        history->clock_ns += 3 * GIRO_NS_PER_S;
        history_expire(history, 1);
        break;
    default:
        for (uint32_t i = 0; i < 4; i++)
            history_request(history, rng, &transfers);
    }
    history_roll(history);
}

Test(history, has_segments_of_every_sort)
{
    static struct history history;
    const struct history_mix mix = {.accounts = 2000, .events_max = 200, .account_chance = 5};
    struct rng rng = rng_make(SEED_DEFAULT + 3);
    for (uint32_t round = 0; round < 4; round++) {
        history_open(&history, &small);
        if (round % 2 == 0)
            history_mark(&history, BLOCK_START);
        if (round % 2 == 0)
            history_roll(&history);
        history_begin(&history, &rng, &mix);
        history_roll(&history);
        for (uint32_t i = 0; i < 20; i++)
            segment_of_a_sort(&history, &rng, i < 8 ? i : rng_below(&rng, 8));
        history_mark(&history, BLOCK_IDLE);
        questions_ask(&history, &rng, 200, NULL);
        changes_check_all(&history, 0, 100);
        replica_check(&history);
        views_check(&history);
        restore_check(&history);
        history_close(&history);
    }
}

Test(history, tells_changes_from_every_ordinal)
{
    static struct history history;
    const struct history_mix mix = {
        .accounts = 12, .events_max = 30, .account_chance = 10, .imports = true};
    struct rng rng = rng_make(SEED_DEFAULT + 4);
    struct view_maker makers[MAKERS];
    history_open(&history, &small);
    history_begin(&history, &rng, &mix);
    for (uint32_t i = 0; i < 160; i++) {
        history_request(&history, &rng, &mix);
        if (i % 20 == 19)
            history_roll(&history);
        if (i % 40 == 39) {
            history_mark(&history, BLOCK_IDLE); /* a segment without records */
            history_roll(&history);
        }
    }
    history_mark(&history, BLOCK_IDLE);
    makers_open(&history, makers);
    for (uint64_t ordinal = 0; ordinal <= history.record_count; ordinal++)
        (void)changes_check(&history, makers, ordinal, 1 + rng_below(&rng, 40));
    makers_close(makers);
    changes_check_all(&history, 0, 1);
    changes_check_all(&history, 0, 3854);
    changes_check_all(&history, history.record_count / 2, 77);
    views_check(&history);
    history_close(&history);
}

/* A disk without room: segments are sealed again and again, and answer all the while. */
Test(history, answers_while_sealing_fails)
{
    static struct history history;
    const struct history_mix mix = {
        .accounts = 30, .events_max = 200, .account_chance = 5, .imports = true};
    struct rng rng = rng_make(SEED_DEFAULT + 8);
    sealing_rng = rng_make(SEED_DEFAULT + 9);
    history_open(&history, &small);
    history.while_sealing = while_sealing;
    history.seals_fail = 2;
    history_begin(&history, &rng, &mix);
    log_grow(&history, &rng, &mix, 300, 3);
    questions_ask(&history, &rng, 100, NULL);
    replica_check(&history);
    views_check(&history);
    restore_check(&history);
    /* The last segment is left half sealed. */
    struct error error;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(live_seal(&history.live, &error), 0);
    questions_ask(&history, &rng, 100, NULL);
    history_close(&history);
}

/* ---- Cases ------------------------------------------------------------------------------- */

/* Lists of every length about that of a slice, so that some of them end exactly where it does. */
Test(history, ends_slices_anywhere)
{
    enum { KEYS = 100, LENGTH_MIN = 220, ROWS = KEYS * LENGTH_MIN + KEYS * (KEYS - 1) / 2 };
    static struct history history;
    static struct giro_account accounts[ROWS];
    struct rng rng = rng_make(SEED_DEFAULT + 5);
    for (uint32_t key = 0, row = 0; key < KEYS; key++) {
        for (uint32_t i = 0; i < LENGTH_MIN + key; i++)
            accounts[row++] =
                (struct giro_account){.ledger = 1, .code = 1, .user_data_64 = 1 + key};
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t other = i + rng_below(&rng, ROWS - i);
        struct giro_account swapped = accounts[i];
        accounts[i] = accounts[other];
        accounts[other] = swapped;
        accounts[i].id = history_account_id(i);
    }
    history_open(&history, &small);
    for (uint32_t done = 0; done < ROWS; done += 1000) {
        history_accounts(&history, &accounts[done], ROWS - done < 1000 ? ROWS - done : 1000);
        history_flush(&history);
    }
    history_roll(&history);
    history_mark(&history, BLOCK_IDLE);
    /* What the reader still has of one list makes the next one shorter: several rounds. */
    for (uint32_t i = 0; i < 10 * KEYS; i++) {
        struct question question = {.kind = QUERY_ACCOUNTS};
        question.query.user_data_64 = 1 + i * (1 + i / KEYS * 2) % KEYS;
        question.query.limit = RESULTS_MAX;
        question.query.flags = i % 5 != 0 ? GIRO_QUERY_FILTER_REVERSED : 0;
        (void)pages_ask(&history, question, NULL);
    }
    history_close(&history);
}

struct keyed {
    uint32_t key;
    uint32_t value;
};

static int keyed_compare(const void *left, const void *right)
{
    uint32_t a = ((const struct keyed *)left)->key;
    uint32_t b = ((const struct keyed *)right)->key;
    return a < b ? -1 : a > b;
}

/* A value of 128 bits of an account or a transfer and one of 64 bits of a transfer whose keys are the
 * same. False: none among many. */
static bool keys_collide(const struct history *history, enum record_kind kind, uint32_t *out_wide,
                         uint32_t *out_narrow)
{
    enum { VALUES = 1 << 18 };
    static struct keyed keyed[VALUES];
    const uint64_t seed = history->replica->hash_seed;
    for (uint32_t i = 0; i < VALUES; i++)
        keyed[i] = (struct keyed){user_data_key(i + 1, 128, kind, seed), i + 1};
    qsort(keyed, VALUES, sizeof keyed[0], keyed_compare);
    for (uint32_t i = 0; i < VALUES; i++) {
        struct keyed wanted = {.key = user_data_key(i + 1, 64, RECORD_TRANSFER, seed)};
        const struct keyed *found = bsearch(&wanted, keyed, VALUES, sizeof keyed[0], keyed_compare);
        if (found == NULL)
            continue;
        *out_wide = found->value;
        *out_narrow = i + 1;
        return true;
    }
    return false;
}

static const struct history_mix none = {.accounts = 4, .events_max = 1};

Test(history, answers_a_record_once_whose_user_data_collide)
{
    static struct history history;
    static struct answer answer;
    uint32_t wide;
    uint32_t narrow;
    struct rng rng = rng_make(SEED_DEFAULT + 6);
    history_open(&history, &small);
    cr_assert(keys_collide(&history, RECORD_TRANSFER, &wide, &narrow));
    history_begin(&history, &rng, &none);
    struct giro_transfer event = {.id = history_transfer_id(history.transfer_next++),
                                  .debit_account_id = history_account_id(0),
                                  .credit_account_id = history_account_id(2),
                                  .amount = 1,
                                  .ledger = 1,
                                  .code = 1,
                                  .user_data_128 = wide,
                                  .user_data_64 = narrow};
    history_transfers(&history, &event, 1);
    history_flush(&history);
    struct question question = {.kind = QUERY_TRANSFERS};
    question.query.user_data_128 = wide;
    question.query.limit = 10;
    (void)question_ask(&history, &question, NULL, &answer);
    history_roll(&history);
    history_mark(&history, BLOCK_IDLE);
    (void)question_ask(&history, &question, NULL, &answer);
    history_close(&history);
}

/* Imported transfers are old, and accounts made between them are not: no list has both. */
Test(history, finds_old_transfers_among_new_accounts)
{
    static struct history history;
    static struct answer answer;
    uint32_t wide;
    uint32_t narrow;
    history_open(&history, &small);
    cr_assert_not(keys_collide(&history, RECORD_ACCOUNT, &wide, &narrow));
    for (uint32_t i = 0; i < 2; i++) {
        struct giro_account account = {.id = history_account_id(i),
                                       .ledger = 1,
                                       .code = 1,
                                       .flags = GIRO_ACCOUNT_IMPORTED,
                                       .timestamp = 10 + i};
        history_accounts(&history, &account, 1);
    }
    for (uint32_t i = 0; i < 16; i++) {
        struct giro_transfer event = {.id = history_transfer_id(history.transfer_next++),
                                      .debit_account_id = history_account_id(0),
                                      .credit_account_id = history_account_id(1),
                                      .amount = 1,
                                      .ledger = 1,
                                      .code = 1,
                                      .user_data_64 = 5,
                                      .flags = GIRO_TRANSFER_IMPORTED,
                                      .timestamp = 100 + 10 * i};
        struct giro_account account = {
            .id = history_account_id(2 + i), .ledger = 1, .code = 1, .user_data_64 = 5};
        history_transfers(&history, &event, 1);
        history_accounts(&history, &account, 1);
    }
    history_roll(&history);
    history_mark(&history, BLOCK_IDLE);
    for (uint64_t timestamp = 95; timestamp < 265; timestamp++) {
        struct question question = {.kind = QUERY_TRANSFERS};
        question.query.user_data_64 = 5;
        question.query.limit = 100;
        question.query.timestamp_min = timestamp;
        (void)question_ask(&history, &question, NULL, &answer);
        question.query.timestamp_min = 0;
        question.query.timestamp_max = timestamp;
        (void)question_ask(&history, &question, NULL, &answer);
    }
    history_close(&history);
}
