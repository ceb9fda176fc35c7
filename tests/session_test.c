/* Sessions: their records, replay, rows that are replaced, and what is refused. */
#include "engine/ledger.h"
#include "engine/memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { RECORDS = 1 << 12, EVENTS_MAX = 4096 };

static struct ledger *ledger_make(void)
{
    const struct ledger_config config = {
        .accounts_max = 64, .holds_max = 64, .transfers_max = 1024, .hash_seed = 3};
    struct ledger *ledger;
    cr_assert(ledger_create(&config, &ledger) == 0);
    return ledger;
}

struct rig {
    struct ledger *ledger;
    union record *records;
    uint64_t address; /* of the next record */
    uint64_t clock;
};

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){.ledger = ledger_make(), .address = 1, .clock = GIRO_NS_PER_S};
    rig->records = memory_reserve(RECORDS * sizeof *rig->records);
    cr_assert(rig->records != NULL);
    rig->ledger->window =
        (struct record_window){.base = rig->records, .records = RECORDS, .low = 1};
}

static void rig_close(struct rig *rig)
{
    ledger_destroy(rig->ledger);
    memory_release(rig->records, RECORDS * sizeof *rig->records);
}

/* Logs a request of a session; its first `failed` events were not created. Returns its record. */
static const struct record_session *session_log(struct rig *rig, giro_u128 client, uint32_t row,
                                                uint32_t request, uint32_t events, uint32_t failed)
{
    static struct session_result results[EVENTS_MAX];
    struct ledger_output output = {.records = &rig->records[rig->address], .address = rig->address};
    struct record_session session = {
        .client = client,
        .request = {.low = request * 3ull, .high = ~0ull - request},
        .timestamp_first = rig->clock,
        .request_number = request,
        .release = 0x1109,
        .row = row,
        .event_count = events,
        .result_count = failed,
        .timestamp = rig->clock + events,
    };
    if (request != 0)
        session.number = rig->ledger->sessions.rows[row].number;
    for (uint32_t i = 0; i < failed; i++)
        results[i] = (struct session_result){.index = i, .code = i + 1, .timestamp = 7 * i};
    ledger_log_session(rig->ledger, &session, results, &output);
    cr_assert(output.record_count == session_records(failed));
    rig->address += output.record_count;
    rig->clock += events + 1;
    return &output.records[0].session;
}

static void replay_compare(const struct rig *rig)
{
    struct ledger *replayed = ledger_make();
    uint32_t index;
    cr_assert(ledger_replay(replayed, &rig->records[1], (uint32_t)rig->address - 1, 1, &index) ==
              0);
    cr_assert(checksum_equal(ledger_digest(replayed), ledger_digest(rig->ledger)));
    cr_assert(replayed->sessions.count == rig->ledger->sessions.count);
    cr_assert(memcmp(replayed->sessions.rows, rig->ledger->sessions.rows,
                     replayed->sessions.count * sizeof *replayed->sessions.rows) == 0);
    for (uint32_t i = 0; i < replayed->sessions.count; i++)
        cr_assert(sessions_find(&replayed->sessions, replayed->sessions.rows[i].client) == i);
    ledger_destroy(replayed);
}

Test(session, requests)
{
    static const uint32_t failed[] = {0, 1, 6, 7, 8, 13, 14, 15, 4095};
    struct rig rig;
    rig_open(&rig);
    const struct record_session *first = session_log(&rig, 11, 0, 0, 0, 0);
    cr_assert(first->number == 1 && first->code == RECORD_SYSTEM_SESSION);
    for (uint32_t i = 0; i < sizeof failed / sizeof failed[0]; i++) {
        const uint64_t address = rig.address;
        const uint64_t clock = rig.clock;
        const uint32_t events = failed[i] + i;
        const struct record_session *record = session_log(&rig, 11, 0, i + 1, events, failed[i]);
        const struct session *row = &rig.ledger->sessions.rows[0];
        cr_assert(row->number == 1 && row->address == address && row->request == i + 1);
        cr_assert(row->timestamp_first == clock && row->release == 0x1109);
        cr_assert(row->event_count == events && row->result_count == failed[i]);
        cr_assert(checksum_equal(row->checksum, record->request));
        for (uint32_t at = 0; at < failed[i]; at++) {
            const struct record_session_results *results =
                &rig.records[address + 1 + at / SESSION_RESULTS].session_results;
            const struct session_result *result = &results->results[at % SESSION_RESULTS];
            cr_assert(results->code == RECORD_SYSTEM_SESSION_RESULTS);
            cr_assert(result->index == at && result->code == at + 1 && result->timestamp == 7 * at);
        }
        cr_assert(rig.ledger->timestamp_last == clock + events);
    }
    replay_compare(&rig);
    rig_close(&rig);
}

/* A full table gives the row that was used the longest ago to the next client. */
Test(session, rows)
{
    struct rig rig;
    rig_open(&rig);
    struct sessions *sessions = &rig.ledger->sessions;
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert(sessions_vacant(sessions, 5) == i);
        (void)session_log(&rig, 100 + i, i, 0, 0, 0);
    }
    (void)session_log(&rig, 100, 0, 1, 3, 1);
    (void)session_log(&rig, 102, 2, 1, 0, 0);
    cr_assert(sessions_vacant(sessions, 6) == 5);
    cr_assert(sessions_vacant(sessions, 5) == 1);
    const uint64_t address = rig.address;
    (void)session_log(&rig, 200, 1, 0, 0, 0);
    cr_assert(sessions_find(sessions, 101) == SESSIONS_NONE);
    cr_assert(sessions_find(sessions, 200) == 1 && sessions->rows[1].number == address);
    cr_assert(sessions_vacant(sessions, 5) == 3);
    cr_assert(sessions_vacant(sessions, 1) == 3);
    replay_compare(&rig);
    rig_close(&rig);
}

/* What no server has written. */
Test(session, replay_refuses)
{
    static const struct {
        const char *what;
        size_t offset;
        uint32_t size;
        uint64_t value;
        bool registers; /* the record is of a session that is registered; else of its request 2 */
        int error;
    } cases[] = {
        {"client 0", offsetof(struct record_session, client), 8, 0, true, -EBADMSG},
        {"another number", offsetof(struct record_session, number), 8, 77, true, -EBADMSG},
        {"a row behind the next", offsetof(struct record_session, row), 4, 3, true, -EBADMSG},
        {"a row beyond all", offsetof(struct record_session, row), 4, SESSIONS_MAX, true, -ENOSPC},
        {"more results than events", offsetof(struct record_session, result_count), 4, 1, true,
         -EBADMSG},
        {"too many events", offsetof(struct record_session, event_count), 4, 8191, true, -EBADMSG},
        {"not its row", offsetof(struct record_session, row), 4, 1, false, -EBADMSG},
        {"the next row", offsetof(struct record_session, row), 4, 2, false, -EBADMSG},
        {"another session", offsetof(struct record_session, number), 8, 2, false, -EBADMSG},
        {"a request again", offsetof(struct record_session, request_number), 4, 1, false, -EBADMSG},
        {"a client without session", offsetof(struct record_session, client), 8, 99, false,
         -EBADMSG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig;
        uint32_t index = 99;
        rig_open(&rig);
        (void)session_log(&rig, 5, 0, 0, 0, 0);
        (void)session_log(&rig, 6, 1, 0, 0, 0);
        (void)session_log(&rig, 5, 0, 1, 0, 0);
        const uint64_t at = rig.address;
        (void)(cases[i].registers ? session_log(&rig, 7, 2, 0, 0, 0)
                                  : session_log(&rig, 5, 0, 2, 0, 0));
        memcpy((char *)&rig.records[at] + cases[i].offset, &cases[i].value, cases[i].size);
        struct ledger *replayed = ledger_make();
        cr_assert(ledger_replay(replayed, &rig.records[1], (uint32_t)rig.address - 1, 1, &index) ==
                      cases[i].error,
                  "%s", cases[i].what);
        cr_assert(index == at - 1, "%s", cases[i].what);
        ledger_destroy(replayed);
        rig_close(&rig);
    }
}

/* Results stand behind their session, all of them, and nowhere else. */
Test(session, replay_results)
{
    static const struct {
        const char *what;
        uint32_t record; /* behind the session with 9 results */
        uint32_t count;  /* that it says instead */
        uint32_t error_at;
    } cases[] = {
        {"fewer in the first", 1, 6, 1}, {"none in the first", 1, 0, 1},
        {"more in the first", 1, 8, 1},  {"more in the last", 2, 3, 2},
        {"fewer in the last", 2, 1, 2},
    };
    struct rig rig;
    uint32_t index;
    rig_open(&rig);
    (void)session_log(&rig, 5, 0, 0, 0, 0);
    const uint64_t at = rig.address;
    (void)session_log(&rig, 5, 0, 1, 9, 9);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record_session_results *results = &rig.records[at + cases[i].record].session_results;
        const uint32_t count = results->count;
        results->count = cases[i].count;
        struct ledger *replayed = ledger_make();
        cr_assert(ledger_replay(replayed, &rig.records[1], (uint32_t)rig.address - 1, 1, &index) ==
                      -EBADMSG,
                  "%s", cases[i].what);
        cr_assert(index == at - 1 + cases[i].error_at, "%s", cases[i].what);
        results->count = count;
        ledger_destroy(replayed);
    }
    struct ledger *replayed = ledger_make();
    cr_assert(ledger_replay(replayed, &rig.records[1], (uint32_t)at + 1, 1, &index) == 0);
    cr_assert(!ledger_replay_ends(replayed));
    cr_assert(ledger_replay(replayed, &rig.records[at + 2], 1, at + 2, &index) == 0);
    cr_assert(ledger_replay_ends(replayed));
    cr_assert(ledger_replay(replayed, &rig.records[at + 2], 1, at + 3, &index) == -EBADMSG);
    ledger_destroy(replayed);
    rig_close(&rig);
}

Test(session, restore)
{
    static const struct {
        const char *what;
        size_t offset;
        uint32_t size;
        uint64_t value;
    } cases[] = {
        {"client 0", offsetof(struct session, client), 8, 0},
        {"a client twice", offsetof(struct session, client), 8, 5},
        {"number 0", offsetof(struct session, number), 8, 0},
        {"registered later", offsetof(struct session, number), 8, 1000},
        {"no request", offsetof(struct session, request), 4, 0},
        {"registered just now", offsetof(struct session, address), 8, 2},
        {"reserved", offsetof(struct session, reserved), 8, 1},
        {"more results than events", offsetof(struct session, result_count), 4, 10},
        {"too many events", offsetof(struct session, event_count), 4, 8191},
    };
    struct rig rig;
    rig_open(&rig);
    (void)session_log(&rig, 5, 0, 0, 0, 0);
    (void)session_log(&rig, 6, 1, 0, 0, 0);
    (void)session_log(&rig, 6, 1, 4, 9, 2);
    struct table_rows rows = ledger_rows(rig.ledger, LEDGER_SESSIONS);
    cr_assert(rows.count == 2 && rows.row_bytes == sizeof(struct session));
    struct ledger *restored = ledger_make();
    cr_assert(ledger_restore_rows(restored, LEDGER_SESSIONS, rows.rows, rows.count) == 0);
    cr_assert(memcmp(restored->sessions.rows, rows.rows, rows.count * rows.row_bytes) == 0);
    cr_assert(sessions_find(&restored->sessions, 6) == 1);
    ledger_destroy(restored);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session bad[2];
        memcpy(bad, rows.rows, sizeof bad);
        memcpy((char *)&bad[1] + cases[i].offset, &cases[i].value, cases[i].size);
        restored = ledger_make();
        cr_assert(ledger_restore_rows(restored, LEDGER_SESSIONS, bad, 2) == -EBADMSG, "%s",
                  cases[i].what);
        ledger_destroy(restored);
    }
    rig_close(&rig);
}

/* A digest changes with a session, and is what it was while there is none. */
Test(session, digest)
{
    struct rig rig;
    struct record_digest digest;
    rig_open(&rig);
    const struct checksum before = ledger_digest(rig.ledger);
    ledger_digest_record(rig.ledger, 16, 1, &digest);
    cr_assert(ledger_digest_matches(rig.ledger, &digest));
    (void)session_log(&rig, 5, 0, 0, 0, 0);
    cr_assert(!checksum_equal(before, ledger_digest(rig.ledger)));
    cr_assert(!ledger_digest_matches(rig.ledger, &digest));
    ledger_digest_record(rig.ledger, 16, 1, &digest);
    cr_assert(digest.side_table == LEDGER_SESSIONS && digest.side_count == 1);
    cr_assert(ledger_digest_matches(rig.ledger, &digest));
    rig.ledger->sessions.rows[0].request++;
    cr_assert(!ledger_digest_matches(rig.ledger, &digest));
    rig_close(&rig);
}
