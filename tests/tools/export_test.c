/* The formats of giro export, change by change. What a server really sends, and what hledger says to
 * it, is in export_end_to_end.sh. */
#include "engine/result.h"
#include "tools/export_hledger.h"
#include "tools/export_rows.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define U64_NEXT ((giro_u128)1 << 64)

struct fixture {
    struct export_output output;
    struct export_hledger hledger;
    uint64_t ordinal;
    uint64_t timestamp;
};

static void begin(struct fixture *fixture)
{
    *fixture = (struct fixture){.timestamp = 1 * GIRO_NS_PER_S};
    cr_assert_eq(export_output_open(&fixture->output, NULL, 0), 0);
    cr_assert_eq(export_hledger_init(&fixture->hledger), 0);
}

static void end(struct fixture *fixture)
{
    fixture->output.at = fixture->output.buffer; /* nothing goes to standard output */
    cr_assert_eq(export_output_close(&fixture->output), 0);
    export_hledger_free(&fixture->hledger);
}

/* What was put since the last call. */
static const char *text(struct fixture *fixture)
{
    *fixture->output.at = 0;
    fixture->output.at = fixture->output.buffer;
    return fixture->output.buffer;
}

static struct giro_change account(struct fixture *fixture, giro_u128 id)
{
    return (struct giro_change){
        .ordinal = fixture->ordinal++,
        .kind = GIRO_CHANGE_ACCOUNT_CREATED,
        .record.account = {.id = id,
                           .ledger = 7,
                           .code = 3,
                           .flags = GIRO_ACCOUNT_HISTORY,
                           .timestamp = ++fixture->timestamp},
    };
}

/* Between the accounts 1 and 2, with what the debit side and the credit side have after it. */
static struct giro_change moved(struct fixture *fixture, uint32_t kind, uint16_t flags,
                                giro_u128 amount, giro_u128 pending, giro_u128 posted)
{
    return (struct giro_change){
        .ordinal = fixture->ordinal++,
        .kind = kind,
        .record.transfer = {.id = kind == GIRO_CHANGE_PENDING_EXPIRED ? 0 : 100,
                            .debit_account_id = 1,
                            .credit_account_id = 2,
                            .amount = amount,
                            .pending_id = kind == GIRO_CHANGE_TRANSFER_CREATED ? 0 : 99,
                            .ledger = 7,
                            .code = kind == GIRO_CHANGE_PENDING_EXPIRED ? 0 : 5,
                            .flags = flags,
                            .timestamp = ++fixture->timestamp},
        .debit = {.debits_pending = pending, .debits_posted = posted},
        .credit = {.credits_pending = pending, .credits_posted = posted},
    };
}

static const char *hledger_take(struct fixture *fixture, const struct giro_change *change)
{
    return export_hledger_change(&fixture->hledger, change, true, &fixture->output);
}

/* The postings of one change: its lines behind the comment. */
static const char *postings(struct fixture *fixture, const struct giro_change *change)
{
    cr_assert_null(hledger_take(fixture, change));
    const char *comment = strstr(text(fixture), "\n    ; ");
    cr_assert_not_null(comment);
    return strchr(comment + 1, '\n') + 1;
}

static void accounts_create(struct fixture *fixture)
{
    for (giro_u128 id = 1; id <= 2; id++) {
        struct giro_change change = account(fixture, id);
        cr_assert_null(hledger_take(fixture, &change));
    }
    (void)text(fixture);
}

Test(export_output, prints_numbers_of_128_bits)
{
    static const struct {
        giro_u128 number;
        const char *text;
    } rows[] = {
        {0, "0"},
        {9, "9"},
        {UINT64_MAX, "18446744073709551615"},
        {U64_NEXT, "18446744073709551616"},
        {(giro_u128)10000000000000000000ull * 10, "100000000000000000000"},
        {(giro_u128)10000000000000000000ull * 10000000000000000000ull,
         "100000000000000000000000000000000000000"},
        {(giro_u128)10000000000000000000ull * 10000000000000000000ull - 1,
         "99999999999999999999999999999999999999"},
        {GIRO_U128_MAX, "340282366920938463463374607431768211455"},
    };
    struct fixture fixture;
    begin(&fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        export_put_u128(&fixture.output, rows[i].number);
        cr_assert_str_eq(text(&fixture), rows[i].text);
    }
    end(&fixture);
}

Test(export_output, prints_times)
{
    struct fixture fixture;
    begin(&fixture);
    export_put_time(&fixture.output, 1);
    export_put_char(&fixture.output, ' ');
    export_put_time(&fixture.output, 2 * GIRO_NS_PER_S - 1);
    cr_assert_str_eq(text(&fixture),
                     "1970-01-01T00:00:00.000000001Z 1970-01-01T00:00:01.999999999Z");
    export_put_time(&fixture.output, GIRO_TIMESTAMP_MAX);
    cr_assert_str_eq(text(&fixture), "2262-04-11T23:47:16.854775807Z");
    export_put_date(&fixture.output, 951782400 * GIRO_NS_PER_S);
    cr_assert_str_eq(text(&fixture), "2000-02-29");
    end(&fixture);
}

Test(export_output, makes_new_files_only)
{
    struct export_output output;
    char path[] = "export_test.XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(export_output_open(&output, path, 0), EEXIST);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(export_output_open(&output, "no such folder/file", 0), ENOENT);
}

/* The second part of what was written does not fit: the file ends behind the first. */
Test(export_output, cuts_a_full_file_between_two_records)
{
    enum { ROOM_BYTES = EXPORT_BUFFER_BYTES * 3 / 2 };
    struct export_output output;
    char path[] = "export_test.XXXXXX";
    char record[1000];
    struct stat status;
    memset(record, 'x', sizeof record);
    cr_assert_geq(mkstemp(path), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(export_output_open(&output, path, 7), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ROOM_BYTES, ROOM_BYTES}), 0);
    uint64_t ordinal = 7;
    do
        export_put_bytes(&output, record, sizeof record);
    while (export_record_end(&output, ++ordinal) && ordinal < 10000);
    cr_assert_eq(export_output_close(&output), EFBIG);
    cr_assert_eq(output.bytes_written, (output.ordinal_written - 7) * sizeof record);
    cr_assert_gt(output.bytes_written, ROOM_BYTES / 2);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq((uint64_t)status.st_size, output.bytes_written);
    cr_assert_eq(unlink(path), 0);
}

Test(export_rows, csv_has_a_name_for_every_column)
{
    struct fixture fixture;
    begin(&fixture);
    export_csv_header(&fixture.output);
    struct giro_change created = account(&fixture, 1);
    struct giro_change change =
        moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED,
              GIRO_TRANSFER_PENDING | GIRO_TRANSFER_CLOSING_DEBIT | GIRO_TRANSFER_NO_LIMIT,
              GIRO_U128_MAX, 4, 5);
    change.record.transfer.user_data_128 = U64_NEXT;
    change.record.transfer.user_data_64 = UINT64_MAX;
    change.record.transfer.user_data_32 = UINT32_MAX;
    change.record.transfer.timeout = 60;
    change.marks = GIRO_MARK_OVER_CAP | GIRO_MARK_NEGATIVE;
    const struct giro_change limits = {
        .ordinal = 2,
        .kind = GIRO_CHANGE_LIMITS_SET,
        .record.limits = {.account_id = 2,
                          .floor = 100,
                          .transfer_max = GIRO_U128_MAX,
                          .over_capture = 2000,
                          .velocity_max = {0, UINT64_MAX, 0, 5},
                          .velocity = {{0},
                                       {.period = 1,
                                        .unit = GIRO_PERIOD_DAYS,
                                        .window = GIRO_WINDOW_CALENDAR,
                                        .verdict = GIRO_VERDICT_REJECT,
                                        .flags = GIRO_VELOCITY_AMOUNT},
                                       {0},
                                       {.period = 30,
                                        .unit = GIRO_PERIOD_MINUTES,
                                        .window = GIRO_WINDOW_SLIDING,
                                        .verdict = GIRO_VERDICT_HOLD,
                                        .flags = GIRO_VELOCITY_CREDITS}},
                          .flags = GIRO_LIMITS_FROZEN,
                          .timestamp = 1000000003},
    };
    export_csv_change(&fixture.output, &created);
    export_csv_change(&fixture.output, &change);
    const struct giro_change cut_off = {
        .ordinal = 3,
        .kind = GIRO_CHANGE_CUT_OFF,
        .record.cut_off = {.ledger = 7, .epoch = UINT64_MAX, .timestamp = 1000000004},
    };
    export_csv_change(&fixture.output, &limits);
    export_csv_change(&fixture.output, &cut_off);
    cr_assert_str_eq(
        text(&fixture),
        "ordinal,kind,timestamp,time,id,debit_account_id,credit_account_id,amount,pending_id,"
        "user_data_128,user_data_64,user_data_32,ledger,code,flags,timeout,marks,"
        "debit_account_debits_pending,debit_account_debits_posted,debit_account_credits_pending,"
        "debit_account_credits_posted,credit_account_debits_pending,credit_account_debits_posted,"
        "credit_account_credits_pending,credit_account_credits_posted,"
        "floor,balance_max,transfer_max,over_capture,velocity_0,velocity_1,velocity_2,"
        "velocity_3,action,owner,token,deadline,occurrence,attempt,due,next,transfer_id,result,"
        "epoch\n"
        "0,account_created,1000000001,1970-01-01T00:00:01.000000001Z,1,,,,,0,0,0,7,3,history,,,,,,,"
        ",,,,,,,,,,,,,,,,,,,,,,\n"
        "1,transfer_created,1000000002,1970-01-01T00:00:01.000000002Z,100,1,2,"
        "340282366920938463463374607431768211455,0,18446744073709551616,18446744073709551615,"
        "4294967295,7,5,pending|closing_debit|no_limit,60,over_cap|negative,4,5,0,0,0,0,4,5,"
        ",,,,,,,,,,,,,,,,,,\n"
        "2,limits_set,1000000003,1970-01-01T00:00:01.000000003Z,2,,,,,,,,,,frozen,,,,,,,,,,,100,0,"
        "340282366920938463463374607431768211455,2000,,18446744073709551615:1d:calendar:debits:"
        "amount:reject,,5:30m:sliding:credits:count:hold,,,,,,,,,,,\n"
        "3,cut_off,1000000004,1970-01-01T00:00:01.000000004Z,,,,,,,,,7,,,,,,,,,,,,,,,,,,,,,,,,,,,,,"
        ",,"
        "18446744073709551615\n");
    end(&fixture);
}

/* Leases and schedules: what an attempt led to is in the line of the transfer behind it. */
Test(export_rows, csv_has_leases_and_schedules)
{
    struct fixture fixture;
    struct giro_schedule schedule = {.id = 7,
                                     .first = 5,
                                     .interval = 1,
                                     .rule = GIRO_SCHEDULE_SECONDS,
                                     .next = 5,
                                     .transfer_code = 9,
                                     .transfer_flags = GIRO_TRANSFER_PENDING,
                                     .state = GIRO_SCHEDULE_ACTIVE,
                                     .timestamp = 3};
    struct giro_change created = {.ordinal = 2, .kind = GIRO_CHANGE_SCHEDULE_CREATED};
    memcpy(created.record.schedule, &schedule, sizeof created.record.schedule);
    const struct giro_change rows[] = {
        {.ordinal = 1,
         .kind = GIRO_CHANGE_LEASE,
         .record.lease = {.key = 500,
                          .owner = GIRO_U128_MAX,
                          .token = 77,
                          .deadline = 8,
                          .timeout_ms = 6,
                          .action = GIRO_LEASE_RENEW,
                          .timestamp = 2}},
        created,
        {.ordinal = 4,
         .kind = GIRO_CHANGE_SCHEDULE_FIRED,
         .record.firing = {.schedule_id = 7,
                           .transfer_id = GIRO_U128_MAX,
                           .due = 5,
                           .next = 6,
                           .occurrence = 1,
                           .attempt = 2,
                           .transfer_result = GIRO_TRANSFER_EXCEEDS_CREDITS,
                           .timestamp = 9}},
        {.ordinal = 5,
         .kind = GIRO_CHANGE_SCHEDULE_CANCELLED,
         .record.firing = {.schedule_id = 7, .timestamp = 10}},
    };
    begin(&fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        export_csv_change(&fixture.output, &rows[i]);
    cr_assert_str_eq(text(&fixture),
                     "1,lease,2,1970-01-01T00:00:00.000000002Z,500,,,,,,,,,,,,,,,,,,,,,,,,,,,,,"
                     "renew,340282366920938463463374607431768211455,77,8,,,,,,,\n"
                     "2,schedule_created,3,1970-01-01T00:00:00.000000003Z,7,,,,,,,,,9,pending,,,,,,"
                     ",,,,,,,,,,,,,,,,,,,,5,,,\n"
                     "4,schedule_fired,9,1970-01-01T00:00:00.000000009Z,7,,,,,,,,,,,,,,,,,,,,,,,,,,"
                     ",,,,,,,1,2,5,6,340282366920938463463374607431768211455,exceeds_credits,\n"
                     "5,schedule_cancelled,10,1970-01-01T00:00:00.000000010Z,7,,,,,,,,,,,,,,,,,,,,,"
                     ",,,,,,,,,,,,,,,,,,\n");
    end(&fixture);
}

Test(export_rows, json_has_strings_where_numbers_may_exceed_a_double)
{
    struct fixture fixture;
    begin(&fixture);
    struct giro_change created = account(&fixture, 1);
    struct giro_change change = moved(&fixture, GIRO_CHANGE_PENDING_EXPIRED, 0, 4, 0, 5);
    export_jsonl_change(&fixture.output, &created);
    cr_assert_str_eq(
        text(&fixture),
        "{\"ordinal\":0,\"kind\":\"account_created\",\"timestamp\":\"1000000001\","
        "\"time\":\"1970-01-01T00:00:01.000000001Z\",\"id\":\"1\",\"debit_account_id\":null,"
        "\"credit_account_id\":null,\"amount\":null,\"pending_id\":null,\"user_data_128\":\"0\","
        "\"user_data_64\":\"0\",\"user_data_32\":0,\"ledger\":7,\"code\":3,"
        "\"flags\":[\"history\"],\"timeout\":null,\"marks\":null,\"debit_account_debits_pending\":"
        "null,"
        "\"debit_account_debits_posted\":null,\"debit_account_credits_pending\":null,"
        "\"debit_account_credits_posted\":null,\"credit_account_debits_pending\":null,"
        "\"credit_account_debits_posted\":null,\"credit_account_credits_pending\":null,"
        "\"credit_account_credits_posted\":null,\"floor\":null,\"balance_max\":null,"
        "\"transfer_max\":null,\"over_capture\":null,\"velocity_0\":null,\"velocity_1\":null,"
        "\"velocity_2\":null,\"velocity_3\":null,"
        "\"action\":null,\"owner\":null,\"token\":null,\"deadline\":null,\"occurrence\":null,"
        "\"attempt\":null,\"due\":null,\"next\":null,\"transfer_id\":null,\"result\":null,"
        "\"epoch\":null}\n");
    export_jsonl_change(&fixture.output, &change);
    cr_assert_str_eq(
        text(&fixture),
        "{\"ordinal\":1,\"kind\":\"pending_expired\",\"timestamp\":\"1000000002\","
        "\"time\":\"1970-01-01T00:00:01.000000002Z\",\"id\":\"0\",\"debit_account_id\":\"1\","
        "\"credit_account_id\":\"2\",\"amount\":\"4\",\"pending_id\":\"99\","
        "\"user_data_128\":\"0\",\"user_data_64\":\"0\",\"user_data_32\":0,\"ledger\":7,"
        "\"code\":0,\"flags\":[],\"timeout\":0,\"marks\":[],\"debit_account_debits_pending\":\"0\","
        "\"debit_account_debits_posted\":\"5\",\"debit_account_credits_pending\":\"0\","
        "\"debit_account_credits_posted\":\"0\",\"credit_account_debits_pending\":\"0\","
        "\"credit_account_debits_posted\":\"0\",\"credit_account_credits_pending\":\"0\","
        "\"credit_account_credits_posted\":\"5\",\"floor\":null,\"balance_max\":null,"
        "\"transfer_max\":null,\"over_capture\":null,\"velocity_0\":null,\"velocity_1\":null,"
        "\"velocity_2\":null,\"velocity_3\":null,"
        "\"action\":null,\"owner\":null,\"token\":null,\"deadline\":null,\"occurrence\":null,"
        "\"attempt\":null,\"due\":null,\"next\":null,\"transfer_id\":null,\"result\":null,"
        "\"epoch\":null}\n");
    const struct giro_change limits = {
        .kind = GIRO_CHANGE_LIMITS_SET,
        .record.limits = {.account_id = 2,
                          .velocity_max = {5},
                          .velocity = {{.period = 30,
                                        .unit = GIRO_PERIOD_MINUTES,
                                        .window = GIRO_WINDOW_RATE,
                                        .verdict = GIRO_VERDICT_MARK}}},
    };
    export_jsonl_change(&fixture.output, &limits);
    const char *end_of_line = strstr(text(&fixture), "\"over_capture\"");
    cr_assert_not_null(end_of_line);
    cr_assert_str_eq(
        end_of_line,
        "\"over_capture\":0,\"velocity_0\":\"5:30m:rate:debits:count:"
        "mark\",\"velocity_1\":null,\"velocity_2\":null,"
        "\"velocity_3\":null,"
        "\"action\":null,\"owner\":null,\"token\":null,\"deadline\":null,\"occurrence\":null,"
        "\"attempt\":null,\"due\":null,\"next\":null,\"transfer_id\":null,\"result\":null,"
        "\"epoch\":null}\n");
    const struct giro_change cut_off = {
        .kind = GIRO_CHANGE_CUT_OFF,
        .record.cut_off = {.ledger = 7, .epoch = 5, .timestamp = 1000000004},
    };
    export_jsonl_change(&fixture.output, &cut_off);
    end_of_line = strstr(text(&fixture), "{\"ordinal\":0,\"kind\":\"cut_off\"");
    cr_assert_not_null(end_of_line);
    cr_expect_not_null(strstr(end_of_line, "\"id\":null,"));
    cr_expect_not_null(strstr(end_of_line, "\"ledger\":7,\"code\":null,\"flags\":null,"));
    cr_expect_not_null(strstr(end_of_line, "\"result\":null,\"epoch\":\"5\"}\n"));
    end(&fixture);
}

Test(export_hledger, declares_accounts_and_each_ledger_once)
{
    struct fixture fixture;
    begin(&fixture);
    struct giro_change change = account(&fixture, 1);
    cr_assert_null(hledger_take(&fixture, &change));
    cr_assert_str_eq(text(&fixture),
                     "\ncommodity 1000. \"L7\"\n\n"
                     "account L7:A1  ; account_created:1970-01-01T00:00:01.000000001Z"
                     ", account_code:3, account_flags:history\n");
    uint32_t ledgers[] = {9, 8, 7, 10, 9, 1, 8};
    for (uint32_t i = 0; i < 7; i++) {
        change = account(&fixture, 10 + i);
        change.record.account.ledger = ledgers[i];
        cr_assert_null(hledger_take(&fixture, &change));
        bool is_new = i != 2 && i != 4 && i != 6;
        cr_assert_eq(strstr(text(&fixture), "commodity") != NULL, is_new, "%u", i);
    }
    end(&fixture);
}

Test(export_hledger, a_transfer_is_two_postings)
{
    struct fixture fixture;
    begin(&fixture);
    accounts_create(&fixture);
    struct giro_change change = moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, 0, 25, 0, 25);
    change.record.transfer.user_data_64 = 77;
    cr_assert_null(hledger_take(&fixture, &change));
    cr_assert_str_eq(text(&fixture), "\n1970-01-01 (100) transfer code 5\n"
                                     "    ; ordinal:2, time:1970-01-01T00:00:01.000000003Z, "
                                     "kind:transfer_created, id:100, code:5, user_data_64:77\n"
                                     "    L7:A1:debits  25 \"L7\" = 25 \"L7\"\n"
                                     "    L7:A2:credits  -25 \"L7\" = -25 \"L7\"\n");
    end(&fixture);
}

/* Whatever rules a ledger has for it: how much a post or a void leaves pending, and how much more a
 * later transfer reserves, is in the balances. */
Test(export_hledger, releases_what_the_balances_say)
{
    struct fixture fixture;
    begin(&fixture);
    accounts_create(&fixture);
    struct giro_change change =
        moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, GIRO_TRANSFER_PENDING, 100, 100, 0);
    cr_assert_str_eq(postings(&fixture, &change),
                     "    pending:L7:A1:debits  100 \"L7\" = 100 \"L7\"\n"
                     "    pending:L7:A2:credits  -100 \"L7\" = -100 \"L7\"\n");
    change = moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, GIRO_TRANSFER_PENDING, 20, 120, 0);
    cr_assert_str_eq(postings(&fixture, &change),
                     "    pending:L7:A1:debits  20 \"L7\" = 120 \"L7\"\n"
                     "    pending:L7:A2:credits  -20 \"L7\" = -120 \"L7\"\n");
    change = moved(&fixture, GIRO_CHANGE_PENDING_POSTED, GIRO_TRANSFER_POST_PENDING, 30, 90, 30);
    cr_assert_str_eq(postings(&fixture, &change),
                     "    L7:A1:debits  30 \"L7\" = 30 \"L7\"\n"
                     "    L7:A2:credits  -30 \"L7\" = -30 \"L7\"\n"
                     "    pending:L7:A1:debits  -30 \"L7\" = 90 \"L7\"\n"
                     "    pending:L7:A2:credits  30 \"L7\" = -90 \"L7\"\n");
    change = moved(&fixture, GIRO_CHANGE_PENDING_VOIDED, GIRO_TRANSFER_VOID_PENDING, 15, 75, 30);
    cr_assert_str_eq(postings(&fixture, &change),
                     "    pending:L7:A1:debits  -15 \"L7\" = 75 \"L7\"\n"
                     "    pending:L7:A2:credits  15 \"L7\" = -75 \"L7\"\n");
    change = moved(&fixture, GIRO_CHANGE_PENDING_POSTED, GIRO_TRANSFER_POST_PENDING, 0, 0, 30);
    cr_assert_str_eq(postings(&fixture, &change),
                     "    L7:A1:debits  0 \"L7\" = 30 \"L7\"\n"
                     "    L7:A2:credits  0 \"L7\" = -30 \"L7\"\n"
                     "    pending:L7:A1:debits  -75 \"L7\" = 0 \"L7\"\n"
                     "    pending:L7:A2:credits  75 \"L7\" = 0 \"L7\"\n");
    end(&fixture);
}

/* hledger checks assertions in the order of dates. */
Test(export_hledger, asserts_no_pending_balance_out_of_the_order_of_time)
{
    struct fixture fixture;
    begin(&fixture);
    accounts_create(&fixture);
    struct giro_change change =
        moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, GIRO_TRANSFER_PENDING, 5, 5, 0);
    (void)postings(&fixture, &change);
    uint64_t imported_at = fixture.timestamp + 1;
    fixture.timestamp += 86400 * GIRO_NS_PER_S;
    change = moved(&fixture, GIRO_CHANGE_PENDING_EXPIRED, 0, 5, 0, 0);
    cr_assert_null(hledger_take(&fixture, &change));
    cr_assert_str_eq(text(&fixture), "\n1970-01-02 expiry\n"
                                     "    ; ordinal:3, time:1970-01-02T00:00:01.000000004Z, "
                                     "kind:pending_expired, pending_id:99\n"
                                     "    pending:L7:A1:debits  -5 \"L7\"\n"
                                     "    pending:L7:A2:credits  5 \"L7\"\n");
    change = moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED,
                   GIRO_TRANSFER_PENDING | GIRO_TRANSFER_IMPORTED, 2, 2, 0);
    change.record.transfer.timestamp = imported_at;
    cr_assert_str_eq(postings(&fixture, &change), "    pending:L7:A1:debits  2 \"L7\"\n"
                                                  "    pending:L7:A2:credits  -2 \"L7\"\n");
    change = moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, GIRO_TRANSFER_IMPORTED, 1, 2, 1);
    change.record.transfer.timestamp = imported_at + 1;
    cr_assert_str_eq(postings(&fixture, &change), "    L7:A1:debits  1 \"L7\" = 1 \"L7\"\n"
                                                  "    L7:A2:credits  -1 \"L7\" = -1 \"L7\"\n");
    change = moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, GIRO_TRANSFER_PENDING, 3, 5, 1);
    cr_assert_str_eq(postings(&fixture, &change),
                     "    pending:L7:A1:debits  3 \"L7\" = 5 \"L7\"\n"
                     "    pending:L7:A2:credits  -3 \"L7\" = -5 \"L7\"\n");
    end(&fixture);
}

Test(export_hledger, knows_balances_that_were_not_shown)
{
    struct fixture fixture;
    begin(&fixture);
    accounts_create(&fixture);
    struct giro_change change =
        moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, GIRO_TRANSFER_PENDING, 100, 100, 0);
    cr_assert_null(export_hledger_change(&fixture.hledger, &change, false, &fixture.output));
    cr_assert_str_eq(text(&fixture), "");
    change = moved(&fixture, GIRO_CHANGE_PENDING_POSTED, GIRO_TRANSFER_POST_PENDING, 10, 0, 10);
    cr_assert_not_null(
        strstr(postings(&fixture, &change), "pending:L7:A1:debits  -100 \"L7\" = 0"));
    end(&fixture);
}

Test(export_hledger, refuses_what_cannot_be)
{
    struct fixture fixture;
    begin(&fixture);
    accounts_create(&fixture);
    struct giro_change change = account(&fixture, 2);
    cr_assert_not_null(hledger_take(&fixture, &change), "an account twice");

    const struct giro_change sound = moved(&fixture, GIRO_CHANGE_TRANSFER_CREATED, 0, 25, 0, 25);
    change = sound;
    change.record.transfer.debit_account_id = 3;
    cr_assert_not_null(hledger_take(&fixture, &change), "no debit account");
    change = sound;
    change.record.transfer.credit_account_id = 3;
    cr_assert_not_null(hledger_take(&fixture, &change), "no credit account");
    change = sound;
    change.record.transfer.credit_account_id = 1;
    cr_assert_not_null(hledger_take(&fixture, &change), "one account");
    change = sound;
    change.record.transfer.ledger = 8;
    cr_assert_not_null(hledger_take(&fixture, &change), "another ledger");
    giro_u128 *const kept[] = {&change.debit.credits_pending, &change.debit.credits_posted,
                               &change.credit.debits_pending, &change.credit.debits_posted};
    for (int i = 0; i < 4; i++) {
        change = sound;
        *kept[i] = 1;
        cr_assert_not_null(hledger_take(&fixture, &change), "the other side moved: %d", i);
    }
    cr_assert_str_eq(text(&fixture), "");
    cr_assert_null(hledger_take(&fixture, &sound));
    end(&fixture);
}
