#include "tests/atlas/answers.h"

#include "net/frame.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    LOOKUP_ACCOUNTS = 2048, /* at a time */
    LOOKUP_TRANSFERS = 64,
    REVERSED = 4,            /* accounts that are asked for backwards as well */
    PATIENCE_MS = 60 * 1000, /* before it is called a hang */
    BOTH = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS,
};

static const char question_state[] = "state";
static const char question_accounts[] = "lookup of accounts";
static const char question_transfers[] = "lookup of transfers";
static const char question_changes[] = "changes of segment";
static const char question_account_transfers[] = "transfers of account";
static const char question_account_reversed[] = "transfers, newest first, of account";
static const char question_balances[] = "balances of account";
static const char question_query_accounts[] = "accounts by filter";
static const char question_query_transfers[] = "transfers by filter";

void answers_init(struct answers *answers)
{
    *answers = (struct answers){.bytes = malloc(ANSWERS_BYTES)};
    cr_assert(answers->bytes != NULL);
}

void answers_free(struct answers *answers)
{
    free(answers->bytes);
}

static struct answer *answer_add(struct answers *answers, const char *question, uint64_t subject)
{
    cr_assert(answers->count < ANSWERS_MAX);
    struct answer *answer = &answers->items[answers->count++];
    *answer = (struct answer){.question = question, .subject = subject, .offset = answers->used};
    return answer;
}

/* Room for the answer that was added last. */
static void *answer_room(struct answers *answers, uint32_t size)
{
    cr_assert(answers->used + size <= ANSWERS_BYTES);
    return answers->bytes + answers->used;
}

static void answer_end(struct answers *answers, uint32_t size)
{
    struct answer *answer = &answers->items[answers->count - 1];
    answers->used += size;
    answer->size = answers->used - answer->offset;
}

/* ---- Lookups ----------------------------------------------------------------------------- */

static void state_ask(struct answers *answers, const struct ledger *ledger)
{
    struct {
        struct checksum digest;
        struct ledger_totals totals;
        uint64_t accounts;
        uint64_t holds;
    } state = {ledger_digest(ledger), ledger_totals(ledger), ledger->accounts.count,
               ledger->holds.count};
    (void)answer_add(answers, question_state, 0);
    memcpy(answer_room(answers, sizeof state), &state, sizeof state);
    answer_end(answers, sizeof state);
}

/* Behind the last account there are ids that nobody has. */
static void accounts_ask(struct answers *answers, const struct ledger *ledger, uint32_t count)
{
    static giro_u128 ids[LOOKUP_ACCOUNTS];
    for (uint32_t first = 0; first < count + 1; first += LOOKUP_ACCOUNTS) {
        for (uint32_t i = 0; i < LOOKUP_ACCOUNTS; i++)
            ids[i] = history_account_id(first + i);
        (void)answer_add(answers, question_accounts, first);
        void *out = answer_room(answers, LOOKUP_ACCOUNTS * GIRO_RECORD_BYTES);
        uint32_t found = ledger_lookup_accounts(ledger, ids, LOOKUP_ACCOUNTS, out);
        answer_end(answers, found * GIRO_RECORD_BYTES);
    }
}

/* Waits for a fetch. Returns whether everything was there. */
static bool fetch_await(struct stand *stand, struct log_fetch *fetch)
{
    struct io_op *done[IO_BATCH_MAX];
    for (;;) {
        int count = io_wait(stand->io, done, GIRO_NS_PER_S, 0);
        cr_assert(count >= 0);
        for (int i = 0; i < count; i++) {
            cr_assert(done[i] == &fetch->op);
            enum log_fetch_state state = log_fetch_step(fetch);
            if (state != LOG_FETCH_AGAIN)
                return state == LOG_FETCH_DONE;
        }
    }
}

/* As net/execute.c does it: what is not in memory is fetched until nothing is missing. */
static void transfers_ask(struct answers *answers, struct stand *stand, uint64_t end)
{
    static giro_u128 ids[LOOKUP_TRANSFERS];
    struct ledger *ledger = stand->shard.ledger;
    struct log_fetch fetch;
    ledger->window = stand->shard.log.window;
    cr_assert_eq(log_fetch_init(&fetch, &stand->shard.log, LEDGER_FETCH_MAX, LEDGER_CACHE_RECORDS),
                 0);
    for (uint64_t first = 1; first < end + 1; first += LOOKUP_TRANSFERS) {
        uint32_t missing = 0;
        bool sound = true;
        for (uint32_t i = 0; i < LOOKUP_TRANSFERS; i++)
            ids[i] = history_transfer_id(first + i);
        record_cache_clear(&fetch.cache);
        while (sound && (missing = ledger_prepare_lookup(ledger, ids, LOOKUP_TRANSFERS,
                                                         &fetch.cache, fetch.addresses)) > 0) {
            log_fetch_start(&fetch, missing);
            sound = fetch_await(stand, &fetch);
        }
        struct answer *answer = answer_add(answers, question_transfers, first);
        answer->refused = !sound;
        if (!sound)
            continue;
        void *out = answer_room(answers, LOOKUP_TRANSFERS * GIRO_RECORD_BYTES);
        uint32_t found = ledger_lookup_transfers(ledger, ids, LOOKUP_TRANSFERS, &fetch.cache, out);
        answer_end(answers, found * GIRO_RECORD_BYTES);
    }
    log_fetch_free(&fetch);
}

/* ---- The follower ------------------------------------------------------------------------ */

/* A request to fill in; its answer has its place in the order of the questions. */
static struct follower_request *request_begin(struct answers *answers, struct stand *stand,
                                              enum follower_request_kind kind, const char *question,
                                              uint64_t subject)
{
    struct follower_request *request = follower_request(stand->shard.follower, kind);
    cr_assert(request != NULL);
    memset(&request->filter, 0, sizeof request->filter);
    request->fence_lsn = 0;
    (void)answer_add(answers, question, subject);
    answers->pending[answers->pending_count++] = request;
    return request;
}

/* Takes the answer of a completed request, and gives that back. */
static void request_take(struct answers *answers, struct follower *follower,
                         struct follower_request *request, struct answer *answer)
{
    const uint32_t record_bytes = request->kind == FOLLOWER_CHANGES ? sizeof(struct giro_change)
                                                                    : (uint32_t)GIRO_RECORD_BYTES;
    const uint32_t size = request->count * record_bytes;
    /* There is no other way to refuse: anything else is a fault of its own. */
    cr_assert(request->result == 0 || request->result == -EBADMSG || request->result == -EILSEQ,
              "%s %lu: %s", answer->question, answer->subject, strerror(-request->result));
    answer->refused = request->result != 0;
    answer->offset = answers->used;
    answer->size = answer->refused ? 0 : size;
    if (!answer->refused)
        memcpy(answer_room(answers, size), request->output, size);
    answers->used += answer->size;
    follower_release(follower, request);
}

/* Waits until all requests are completed, and takes their answers in the order of the questions. */
static bool requests_end(struct answers *answers, struct stand *stand)
{
    struct follower *follower = stand->shard.follower;
    struct pollfd readable = {.fd = stand->notify[0], .events = POLLIN};
    uint32_t left = answers->pending_count;
    char bytes[256];
    while (left > 0) {
        while (left > 0 && follower_completed(follower) != NULL)
            left--;
        if (left > 0 && poll(&readable, 1, PATIENCE_MS) <= 0)
            return false;
        (void)!recv(stand->notify[0], bytes, sizeof bytes, MSG_DONTWAIT);
    }
    for (uint32_t i = 0; i < answers->pending_count; i++)
        request_take(answers, follower, answers->pending[i],
                     &answers->items[answers->pending_first + i]);
    answers->pending_count = 0;
    return true;
}

static void requests_begin(struct answers *answers)
{
    answers->pending_first = answers->count;
    answers->pending_count = 0;
}

static void account_ask(struct answers *answers, struct stand *stand, uint32_t number, bool history)
{
    const struct giro_account_filter filter = {
        .account_id = history_account_id(number), .limit = FRAME_EVENTS_MAX, .flags = BOTH};
    struct follower_request *request = request_begin(answers, stand, FOLLOWER_ACCOUNT_TRANSFERS,
                                                     question_account_transfers, number);
    request->filter.account = filter;
    follower_submit(stand->shard.follower, request);
    if (number < REVERSED) {
        request = request_begin(answers, stand, FOLLOWER_ACCOUNT_TRANSFERS,
                                question_account_reversed, number);
        request->filter.account = filter;
        request->filter.account.flags |= GIRO_ACCOUNT_FILTER_REVERSED;
        follower_submit(stand->shard.follower, request);
    }
    if (!history)
        return;
    request = request_begin(answers, stand, FOLLOWER_ACCOUNT_BALANCES, question_balances, number);
    request->filter.account = filter;
    follower_submit(stand->shard.follower, request);
}

/* The filters of queries over everything: each value of user data that anybody has, and none. */
static const struct giro_query_filter filters[] = {
    {.limit = FRAME_EVENTS_MAX},
    {.user_data_128 = 7, .limit = FRAME_EVENTS_MAX},
    {.user_data_128 = (giro_u128)1 << 100, .limit = FRAME_EVENTS_MAX},
    {.user_data_128 = GIRO_U128_MAX, .limit = FRAME_EVENTS_MAX},
    {.user_data_128 = 1, .limit = FRAME_EVENTS_MAX},
    {.user_data_64 = 1, .limit = FRAME_EVENTS_MAX},
    {.user_data_64 = 2, .limit = FRAME_EVENTS_MAX},
    {.user_data_64 = 3, .limit = FRAME_EVENTS_MAX},
    {.user_data_32 = 1, .limit = FRAME_EVENTS_MAX},
    {.user_data_32 = 2, .limit = FRAME_EVENTS_MAX},
};

enum { FILTERS = sizeof filters / sizeof filters[0] };

static void queries_ask(struct answers *answers, struct stand *stand)
{
    for (uint32_t i = 0; i < FILTERS; i++) {
        struct follower_request *request =
            request_begin(answers, stand, FOLLOWER_ACCOUNTS, question_query_accounts, i);
        request->filter.query = filters[i];
        follower_submit(stand->shard.follower, request);
        request = request_begin(answers, stand, FOLLOWER_TRANSFERS, question_query_transfers, i);
        request->filter.query = filters[i];
        follower_submit(stand->shard.follower, request);
    }
}

/* One read of changes. Returns 1 when there may be more in the segment, 0 when there are none or they
 * are refused, -1 when there is no answer. */
static int changes_read(struct answers *answers, struct stand *stand, uint32_t segment,
                        uint64_t *ordinal)
{
    requests_begin(answers);
    struct follower_request *request =
        request_begin(answers, stand, FOLLOWER_CHANGES, question_changes, segment);
    request->filter.change.ordinal = *ordinal;
    request->filter.change.limit = FRAME_CHANGES_MAX;
    follower_submit(stand->shard.follower, request);
    if (!requests_end(answers, stand))
        return -1;
    *ordinal = request->changes.ordinal_next; /* nobody has been given the request since */
    return answers->items[answers->count - 1].size > 0;
}

/* All changes, segment by segment: one that cannot be read does not hide the next. */
static bool changes_ask(struct answers *answers, struct stand *stand)
{
    const struct specimen *specimen = stand->specimen;
    for (uint32_t segment = 0; segment <= SPECIMEN_USED; segment++) {
        uint64_t ordinal = specimen->ordinal_first[segment];
        int more = 1;
        while (more > 0 && ordinal < specimen->ordinal_first[segment + 1])
            more = changes_read(answers, stand, segment, &ordinal);
        if (more < 0)
            return false;
    }
    return true;
}

bool answers_collect(struct answers *answers, struct stand *stand)
{
    const struct history *history = &stand->specimen->history;
    const struct ledger *ledger = stand->shard.ledger;
    answers->count = 0;
    answers->used = 0;
    state_ask(answers, ledger);
    accounts_ask(answers, ledger, history->account_count);
    transfers_ask(answers, stand, history->transfer_next);
    requests_begin(answers);
    for (uint32_t number = 0; number < SPECIMEN_MOVING; number++)
        account_ask(answers, stand, number,
                    (history->accounts[number].flags & GIRO_ACCOUNT_HISTORY) != 0);
    queries_ask(answers, stand);
    return requests_end(answers, stand) && changes_ask(answers, stand);
}

/* ---- Comparing --------------------------------------------------------------------------- */

static bool question_same(const struct answer *a, const struct answer *b)
{
    return a->question == b->question && a->subject == b->subject;
}

/* Changes may come in more or fewer pieces, when a part of them is refused: a question that the
 * truth has and the answers do not have was not asked, because the one before it was refused. */
struct answers_difference answers_compare(const struct answers *truth,
                                          const struct answers *answers)
{
    struct answers_difference difference = {0};
    uint32_t t = 0;
    for (uint32_t i = 0; i < answers->count; i++) {
        const struct answer *answer = &answers->items[i];
        while (t < truth->count && !question_same(&truth->items[t], answer))
            t++;
        bool wrong = t == truth->count;
        if (!wrong && !answer->refused)
            wrong = answer->size != truth->items[t].size ||
                    memcmp(answers->bytes + answer->offset, truth->bytes + truth->items[t].offset,
                           answer->size) != 0;
        difference.refused += answer->refused;
        difference.wrong += wrong;
        if (wrong && difference.first == NULL)
            difference.first = answer;
        t++;
    }
    if (difference.refused == 0 && answers->count != truth->count)
        difference.wrong++;
    return difference;
}

/* ---- The truth --------------------------------------------------------------------------- */

/* What an answer must be, gathered record by record. */
struct expectation {
    const struct specimen *specimen;
    char *bytes;
    uint32_t used;
};

static void expect_bytes(struct expectation *expectation, const void *bytes, uint32_t size)
{
    cr_assert(expectation->used + size <= ANSWERS_BYTES);
    memcpy(expectation->bytes + expectation->used, bytes, size);
    expectation->used += size;
}

static void expect_transfer(struct expectation *expectation, const struct giro_transfer *transfer)
{
    struct giro_transfer out = *transfer;
    out.flags &= RECORD_FLAGS_MASK;
    expect_bytes(expectation, &out, sizeof out);
}

static bool is_transfer(const struct history_record *record)
{
    return record_kind(record->record) == RECORD_TRANSFER;
}

static void lookups_expect(struct expectation *expectation, const struct answer *answer)
{
    const struct history *history = &expectation->specimen->history;
    if (answer->question == question_accounts) {
        for (uint64_t i = answer->subject; i < answer->subject + LOOKUP_ACCOUNTS; i++) {
            if (i < history->account_count)
                expect_bytes(expectation, &history->accounts[i], GIRO_RECORD_BYTES);
        }
        return;
    }
    for (uint64_t i = answer->subject; i < answer->subject + LOOKUP_TRANSFERS; i++) {
        const struct history_record *record = &history->records[history->ordinals[i]];
        if (i < history->transfer_next && is_transfer(record) &&
            record->record->transfer.id == history_transfer_id(i))
            expect_transfer(expectation, &record->record->transfer);
    }
}

/* What a record adds to the answer about an account. */
static void account_record_expect(struct expectation *expectation, const struct answer *answer,
                                  const struct history_record *record)
{
    const giro_u128 id = history_account_id((uint32_t)answer->subject);
    const struct giro_transfer *transfer = &record->record->transfer;
    bool debited = is_transfer(record) && transfer->debit_account_id == id;
    bool credited = is_transfer(record) && transfer->credit_account_id == id;
    if (!debited && !credited)
        return;
    if (answer->question != question_balances) {
        expect_transfer(expectation, transfer);
        return;
    }
    const struct giro_account_balance balance = {
        .balances = debited ? record->debit : record->credit, .timestamp = transfer->timestamp};
    expect_bytes(expectation, &balance, sizeof balance);
}

static void change_expect(struct expectation *expectation, uint64_t ordinal,
                          const struct history_record *record)
{
    struct giro_change change = {.ordinal = ordinal};
    change.record.transfer = record->record->transfer;
    change.record.transfer.flags &= RECORD_FLAGS_MASK;
    change.debit = record->debit;
    change.credit = record->credit;
    switch (record_kind(record->record)) {
    case RECORD_ACCOUNT:
        change.kind = GIRO_CHANGE_ACCOUNT_CREATED;
        break;
    case RECORD_TRANSFER:
        change.kind = GIRO_CHANGE_TRANSFER_CREATED;
        if ((record->record->transfer.flags & GIRO_TRANSFER_POST_PENDING) != 0)
            change.kind = GIRO_CHANGE_PENDING_POSTED;
        if ((record->record->transfer.flags & GIRO_TRANSFER_VOID_PENDING) != 0)
            change.kind = GIRO_CHANGE_PENDING_VOIDED;
        break;
    case RECORD_SYSTEM:
        if (record_system(record->record) != RECORD_SYSTEM_EXPIRY)
            return;
        change.kind = GIRO_CHANGE_PENDING_EXPIRED;
        change.record.transfer.code = 0;
        change.record.transfer.flags = 0;
        break;
    case RECORD_BURNT:
        return;
    }
    expect_bytes(expectation, &change, sizeof change);
}

static void changes_expect(struct expectation *expectation, const struct answer *answer,
                           uint64_t *ordinal)
{
    const struct specimen *specimen = expectation->specimen;
    if (*ordinal < specimen->ordinal_first[answer->subject])
        *ordinal = specimen->ordinal_first[answer->subject];
    while (*ordinal < specimen->ordinal_first[answer->subject + 1] &&
           expectation->used < answer->size) {
        change_expect(expectation, *ordinal, &specimen->history.records[*ordinal]);
        (*ordinal)++;
    }
}

static bool filter_takes(const struct giro_query_filter *filter, const struct giro_account *record)
{
    return (filter->user_data_128 == 0 || filter->user_data_128 == record->user_data_128) &&
           (filter->user_data_64 == 0 || filter->user_data_64 == record->user_data_64) &&
           (filter->user_data_32 == 0 || filter->user_data_32 == record->user_data_32);
}

static void queries_expect(struct expectation *expectation, const struct answer *answer)
{
    const struct history *history = &expectation->specimen->history;
    const struct giro_query_filter *filter = &filters[answer->subject];
    for (uint64_t i = 0; i < history->account_count && answer->question == question_query_accounts;
         i++) {
        if (filter_takes(filter, &history->accounts[i]))
            expect_bytes(expectation, &history->accounts[i], GIRO_RECORD_BYTES);
    }
    for (uint64_t i = 0; i < history->record_count && answer->question == question_query_transfers;
         i++) {
        /* User data lie at the same place in both. */
        if (is_transfer(&history->records[i]) &&
            filter_takes(filter, &history->records[i].record->account))
            expect_transfer(expectation, &history->records[i].record->transfer);
    }
}

static void account_expect(struct expectation *expectation, const struct answer *answer)
{
    const struct history *history = &expectation->specimen->history;
    for (uint64_t i = 0; i < history->record_count; i++) {
        uint64_t at =
            answer->question == question_account_reversed ? history->record_count - 1 - i : i;
        account_record_expect(expectation, answer, &history->records[at]);
    }
}

void answers_check(const struct answers *answers, const struct specimen *specimen)
{
    struct expectation expectation = {.specimen = specimen, .bytes = malloc(ANSWERS_BYTES)};
    uint64_t ordinal = 0;
    cr_assert(expectation.bytes != NULL);
    for (uint32_t i = 0; i < answers->count; i++) {
        const struct answer *answer = &answers->items[i];
        expectation.used = 0;
        if (answer->question == question_state)
            continue;
        if (answer->question == question_accounts || answer->question == question_transfers)
            lookups_expect(&expectation, answer);
        else if (answer->question == question_changes)
            changes_expect(&expectation, answer, &ordinal);
        else if (answer->question == question_query_accounts ||
                 answer->question == question_query_transfers)
            queries_expect(&expectation, answer);
        else
            account_expect(&expectation, answer);
        cr_assert(!answer->refused, "%s %lu is refused", answer->question, answer->subject);
        cr_assert_eq(answer->size, expectation.used, "%s %lu: %u bytes instead of %u",
                     answer->question, answer->subject, answer->size, expectation.used);
        cr_assert(memcmp(answers->bytes + answer->offset, expectation.bytes, answer->size) == 0,
                  "%s %lu", answer->question, answer->subject);
    }
    free(expectation.bytes);
}
