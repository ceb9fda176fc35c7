/* Statements: a text, and what it means or what is wrong with it. */
#include "tools/repl_parse.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(repl_parse, points_at_what_is_wrong)
{
    static const struct {
        const char *text;
        size_t position;
        const char *expected; /* the beginning */
    } rows[] = {
        {"", 0, "a command is expected here"},
        {"=", 0, "a command is expected here"},
        {"create_acounts id=1", 0, "unknown command \"create_acounts\": did you mean create_acco"},
        {"frobnicate", 0, "unknown command \"frobnicate\"; there are create_accounts, create_tr"},
        {"stats now", 6, "nothing follows stats"},
        {"exit;", 4, "nothing follows exit"},
        {"set a b c d e", 12, "this is too much"},
        {"create_accounts", 15, "a field such as id=1 is expected here"},
        {"create_accounts id", 18, "= is expected here, as in id=1"},
        {"create_accounts id 1", 19, "= is expected here, as in id=1"},
        {"create_accounts id=", 19, "a value for id is missing here"},
        {"create_accounts id=1,", 21, "a field such as id=1 is expected here"},
        {"create_accounts ledger=1", 16, "id is missing: give id=NUMBER, or id=new to make one"},
        {"lookup_accounts code=1", 16, "unknown field \"code\"; there are id"},
        {"create_accounts id=1 id=2", 21, "id is given twice: a comma begins the next event"},
        {"lookup_payments", 15, "a field such as id=1 is expected here"},
        {"lookup_payments id=", 19, "a value for id is missing here"},
        {"lookup_payments id=new", 19, "\"new\" is not a number"},
        {"lookup_payments id=1 id=2", 21, "id is given twice: a comma begins the next id"},
        {"lookup_payments pending_id=1", 16, "unknown field \"pending_id\"; there are id"},
        {"lookup_payment id=1", 0, "unknown command \"lookup_payment\": did you mean lookup_paym"},
        {"create_transfers id=1 flags=retrun", 28, "unknown flag \"retrun\": did you mean return"},
        {"lookup_accounts id=1 id=2", 21, "id is given twice: a comma begins the next id"},
        {"create_accounts id=1 leger=1", 21, "unknown field \"leger\": did you mean ledger?"},
        {"create_accounts id=1 amount=1", 21, "unknown field \"amount\"; there are id, ledger"},
        {"create_accounts id=x", 19, "\"x\" is not a number: give a decimal number, 0x"},
        {"create_accounts id=-1", 19, "\"-1\" is not a number"},
        {"create_transfers id=1 amount=1.50", 29, "\"1.50\": amounts are whole minor units"},
        {"create_accounts id=1 code=65536", 26, "\"65536\" is too large: at most 65535 fits here"},
        {"create_accounts id=1 ledger=4294967296", 28, "\"4294967296\" is too large"},
        {"create_accounts id=340282366920938463463374607431768211456", 19,
         "\"34028236692093846346"},
        {"create_accounts id=1 flags=histroy", 27,
         "unknown flag \"histroy\": did you mean history"},
        {"create_accounts id=1 flags=", 27, "a flag is missing here"},
        {"create_accounts id=1 flags=history|", 35, "a flag is missing here"},
        {"create_accounts id=1 flags=pending", 27, "unknown flag \"pending\"; there are linked"},
        {"create_accounts id=1 timestamp=2024-13-01", 31, "\"2024-13-01\" is a day or time"},
        {"lookup_accounts id=new", 19, "\"new\" is not a number"},
        {"get_account_transfers", 21, "account_id is missing: give account_id=NUMBER"},
        {"get_account_balances limit=1", 21, "account_id is missing: give account_id=NUMBER"},
        {"get_account_transfers id=1", 22, "unknown field \"id\"; there are account_id, flags"},
        {"get_account_transfers account_id=1, account_id=2", 34,
         "get_account_transfers has one filter: put blanks between its fields"},
        {"get_account_transfers account_id=1 flags=history", 41, "unknown flag \"history\"; there"},
        {"query_accounts limit=1 limit=2", 23, "limit is given twice"},
        {"query_accounts account_id=1", 15, "unknown field \"account_id\""},
        {"query_transfers flags=debits", 22, "unknown flag \"debits\"; there are reversed"},
        {"query_transfers timestamp_min=2024-02-30", 30, "\"2024-02-30\" is a day or time"},
        {"query_transfers limit", 21, "= is expected here, as in limit=1"},
        {"changes code=1", 8, "unknown field \"code\"; there are ordinal, limit, wait_ms"},
        {"changes wait=1", 8, "unknown field \"wait\": did you mean wait_ms?"},
        {"cut_off", 7, "a field such as ledger=1 is expected here"},
        {"cut_off epoch=1", 8, "ledger is missing: give ledger=NUMBER"},
        {"cut_off ledger=1", 8, "epoch is missing: give epoch=NUMBER, the one that ends"},
        {"cut_off ledger=1 epoch=0, ledger=2", 26, "epoch is missing: give epoch=NUMBER"},
        {"cut_off ledger=1 ledger=2", 17, "ledger is given twice: a comma begins the next event"},
        {"cut_off ledger=4294967296 epoch=0", 15, "\"4294967296\" is too large"},
        {"cut_off ledger=1 epoch=18446744073709551616", 23, "\"18446744073709551616\" is too la"},
        {"cut_off id=1", 8, "unknown field \"id\"; there are ledger, epoch"},
        {"get_settlements", 15, "a field such as id=1 is expected here"},
        {"get_settlements id=1 id=2", 21, "id is given twice: a comma begins the next id"},
        {"set_limits", 10, "a field such as account_id=1 is expected here"},
        {"set_limits id=1", 11, "unknown field \"id\"; there are account_id, floor"},
        {"set_limits account_id=1 flor=5", 24, "unknown field \"flor\": did you mean floor?"},
        {"set_limits account_id=1 floor=1.50", 30, "\"1.50\": amounts are whole minor units"},
        {"set_limits account_id=1 over_capture=4294967296", 37, "\"4294967296\" is too large"},
        {"set_limits account_id=1 flags=closed", 30, "unknown flag \"closed\"; there are block_d"},
        {"set_limits account_id=1 account_id=2", 24,
         "account_id is given twice: a comma begins the next event"},
        {"set_limit account_id=1", 0, "unknown command \"set_limit\": did you mean set_limits?"},
        {"set_limits account_id=1 velocity=", 33, "the maximum is missing: write MAXIMUM:PERIOD"},
        {"set_limits account_id=1 velocity=100", 36, "the period is missing: write MAXIMUM:PERIO"},
        {"set_limits account_id=1 velocity=100:1d", 39, "the window is missing: write MAXIMUM:PER"},
        {"set_limits account_id=1 velocity=100::rate", 37, "the period is missing: write MAXIMUM:"},
        {"set_limits account_id=1 velocity=5:1d:rate:debits:count", 55, "the verdict is missing"},
        {"set_limits account_id=1 velocity=5.00:1d:rate:debits:amount:off", 33,
         "\"5.00\": amounts are whole minor units"},
        {"set_limits account_id=1 velocity=18446744073709551616:1d:rate:debits:amount:off", 33,
         "\"18446744073709551616\" is too large: at most 18446744073709551615 fits here"},
        {"set_limits account_id=1 velocity=5:1w:rate:debits:count:off", 35,
         "\"1w\" is no period: give a number and s, m, h, d or mo, as in 1d; a week is 7d"},
        {"set_limits account_id=1 velocity=5:d:rate:debits:count:off", 35, "\"d\" is no period"},
        {"set_limits account_id=1 velocity=5:1:rate:debits:count:off", 35, "\"1\" is no period"},
        {"set_limits account_id=1 velocity=5:65536d:rate:debits:count:off", 35,
         "\"65536d\" is too long: at most 65535 of a unit"},
        {"set_limits account_id=1 velocity=5:1d:calender:debits:count:off", 38,
         "unknown window \"calender\": did you mean calendar?"},
        {"set_limits account_id=1 velocity=5:1d:rate:both:count:off", 43,
         "unknown side \"both\"; there are debits, credits"},
        {"set_limits account_id=1 velocity=5:1d:rate:debits:sum:off", 50,
         "unknown measure \"sum\"; there are count, amount"},
        {"set_limits account_id=1 velocity=5:1d:rate:debits:count:block", 56,
         "unknown verdict \"block\"; there are off, mark, hold, reject"},
        {"set_limits account_id=1 velocity=5:1d:rate:debits:count:hold:x", 56,
         "unknown verdict \"hold:x\""},
        {"set_limits account_id=1 velocity=none velocity=none velocity=none velocity=none "
         "velocity=none",
         89, "an account has no more than 4 velocity limits"},
        {"get_velocity", 12, "a field such as id=1 is expected here"},
        {"get_velocity account_id=1", 13, "unknown field \"account_id\"; there are id"},
        {"get_limits", 10, "a field such as id=1 is expected here"},
        {"get_limits account_id=1", 11, "unknown field \"account_id\"; there are id"},
        {"lease", 5, "a field such as key=1 is expected here"},
        {"lease owner=7", 6, "key is missing: give key=NUMBER"},
        {"lease key=1 action=aquire", 19, "unknown action \"aquire\": did you mean acquire?"},
        {"lease key=1 action=", 19, "a value for action is missing here"},
        {"lease key=1 timeout=30", 20, "\"30\" is no time: give a number and ms, s, m, h or d"},
        {"lease key=1 timeout=1mo", 20, "\"1mo\" is no time"},
        {"lease key=1 timeout=4294967295d", 20, "\"4294967295d\" is no time"},
        {"lease key=1 key=2", 12, "key is given twice: a comma begins the next event"},
        {"get_leases id=1", 11, "unknown field \"id\"; there are key"},
        {"get_leases key=1 key=2", 17, "key is given twice: a comma begins the next id"},
        {"create_schedules first=2027-01-31", 17, "id is missing: give id=NUMBER, or id=new"},
        {"create_schedules id=1 every=31", 28, "\"31\" is no interval: give a number and s, m"},
        {"create_schedules id=1 every=1w", 28, "\"1w\" is no interval"},
        {"create_schedules id=1 every=", 28, "\"\" is no interval"},
        {"create_schedules id=1 every=5ms", 28, "\"5ms\" is no interval"},
        {"create_schedules id=1 every=50000d", 28, "\"50000d\" is no interval"},
        {"create_schedules id=1 retry=1mo", 28, "\"1mo\" is no time: give numbers and s, m, h"},
        {"create_schedules id=1 retry=1d,3", 31, "\"3\" is no time"},
        {"create_schedules id=1 retry=1d,2d,3d,4d,5d", 40, "a schedule has no more than 4 retries"},
        {"create_schedules id=1 day=256", 26, "\"256\" is too large: at most 255 fits here"},
        {"create_schedules id=1 first=2027-02-30", 28, "\"2027-02-30\" is"},
        {"create_schedules id=1 flags=linked", 28, "unknown flag \"linked\"; there are pending"},
        {"create_schedules id=1 pending_id=2", 22, "unknown field \"pending_id\""},
        {"cancel_schedules id=new", 20, "\"new\" is not a number"},
        {"wait 1s 2s 3s 4s 5s", 17, "this is too much: see help wait"},
        {"get_limits id=new", 14, "\"new\" is not a number"},
        {"get_limits id=1 id=2", 16, "id is given twice: a comma begins the next id"},
        {"snapshot now", 9, "nothing follows snapshot"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct repl_statement statement;
        struct repl_error error = {0};
        bool good = repl_parse(rows[i].text, strlen(rows[i].text), &statement, &error);
        cr_expect_not(good, "%s", rows[i].text);
        cr_expect_eq(error.position, rows[i].position, "%s: %zu %s", rows[i].text, error.position,
                     error.text);
        cr_expect_eq(strncmp(error.text, rows[i].expected, strlen(rows[i].expected)), 0,
                     "%s: got %s", rows[i].text, error.text);
        if (good)
            repl_statement_free(&statement);
    }
}

static struct repl_statement parsed(const char *text)
{
    struct repl_statement statement;
    struct repl_error error = {0};
    cr_assert(repl_parse(text, strlen(text), &statement, &error), "%s: %s", text, error.text);
    return statement;
}

Test(repl_parse, reads_accounts)
{
    struct repl_statement statement =
        parsed("create_accounts id=1 ledger=0x2 code=10 flags=history|imported user_data_128=max\n"
               " user_data_64=5 user_data_32=6 timestamp=1970-01-01T00:00:01Z # the first\n"
               ", id = 2:576 , id=new ledger = 1 flags= linked | history code=7");
    const struct giro_account *accounts = statement.records.accounts;
    cr_assert_eq(statement.count, 3);
    cr_expect(accounts[0].id == 1);
    cr_expect_eq(accounts[0].ledger, 2);
    cr_expect_eq(accounts[0].code, 10);
    cr_expect_eq(accounts[0].flags, GIRO_ACCOUNT_HISTORY | GIRO_ACCOUNT_IMPORTED);
    cr_expect(accounts[0].user_data_128 == GIRO_U128_MAX);
    cr_expect_eq(accounts[0].user_data_64, 5);
    cr_expect_eq(accounts[0].user_data_32, 6);
    cr_expect_eq(accounts[0].timestamp, GIRO_NS_PER_S);
    cr_expect(accounts[1].id == ((giro_u128)2 << 96 | 576));
    cr_expect(accounts[2].id != 0);
    cr_expect(statement.id_is_new[2]);
    cr_expect_not(statement.id_is_new[0]);
    cr_expect_eq(accounts[2].flags, GIRO_ACCOUNT_HISTORY | GIRO_ACCOUNT_LINKED);
    cr_expect_eq(accounts[2].code, 7);
    repl_statement_free(&statement);
}

Test(repl_parse, reads_transfers)
{
    struct repl_statement statement =
        parsed("create_transfers id=8 debit_account_id=1 credit_account_id=2 amount=max "
               "pending_id=7 timeout=60 ledger=3 code=4 flags=0x3");
    const struct giro_transfer *transfer = statement.records.transfers;
    cr_assert_eq(statement.count, 1);
    cr_expect(transfer->debit_account_id == 1);
    cr_expect(transfer->credit_account_id == 2);
    cr_expect(transfer->amount == GIRO_U128_MAX);
    cr_expect(transfer->pending_id == 7);
    cr_expect_eq(transfer->timeout, 60);
    cr_expect_eq(transfer->ledger, 3);
    cr_expect_eq(transfer->code, 4);
    cr_expect_eq(transfer->flags, GIRO_TRANSFER_LINKED | GIRO_TRANSFER_PENDING);
    repl_statement_free(&statement);
    statement = parsed("create_transfers id=9 flags=return|keep_open|adjust|fact|no_limit");
    cr_expect_eq(statement.records.transfers[0].flags,
                 GIRO_TRANSFER_RETURN | GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_ADJUST |
                     GIRO_TRANSFER_FACT | GIRO_TRANSFER_NO_LIMIT);
    repl_statement_free(&statement);
}

Test(repl_parse, reads_cut_offs)
{
    struct repl_statement statement = parsed("cut_off ledger=978 epoch=0, epoch=max ledger=0x2");
    const struct giro_cut_off expected[] = {{.ledger = 978}, {.ledger = 2, .epoch = UINT64_MAX}};
    cr_assert_eq(statement.count, 2);
    cr_expect_eq(statement.verb, REPL_CUT_OFF);
    cr_expect_eq(memcmp(statement.records.cut_offs, expected, sizeof expected), 0);
    repl_statement_free(&statement);
    statement = parsed("get_settlements id=1, id=2:576");
    cr_assert_eq(statement.count, 2);
    cr_expect_eq(statement.verb, REPL_GET_SETTLEMENTS);
    cr_expect(statement.records.ids[1] == ((giro_u128)2 << 96 | 576));
    repl_statement_free(&statement);
}

Test(repl_parse, reads_limits)
{
    struct repl_statement statement =
        parsed("set_limits account_id=2:576 floor=max balance_max=5 transfer_max=0x10\n"
               " over_capture=2000 flags=block_debits|block_credits # the first\n"
               ", account_id = 7 flags = frozen");
    const struct giro_limits *limits = statement.records.limits;
    cr_assert_eq(statement.count, 2);
    cr_expect_eq(statement.verb, REPL_SET_LIMITS);
    cr_expect(limits[0].account_id == ((giro_u128)2 << 96 | 576));
    cr_expect(limits[0].floor == GIRO_U128_MAX);
    cr_expect(limits[0].balance_max == 5);
    cr_expect(limits[0].transfer_max == 16);
    cr_expect_eq(limits[0].over_capture, 2000);
    cr_expect_eq(limits[0].flags, GIRO_LIMITS_BLOCK_DEBITS | GIRO_LIMITS_BLOCK_CREDITS);
    const struct giro_limits frozen = {.account_id = 7, .flags = GIRO_LIMITS_FROZEN};
    cr_expect_eq(memcmp(&limits[1], &frozen, sizeof frozen), 0);
    repl_statement_free(&statement);
    statement = parsed("get_limits id=1, id=2:576");
    cr_assert_eq(statement.count, 2);
    cr_expect_eq(statement.verb, REPL_GET_LIMITS);
    cr_expect(statement.records.ids[1] == ((giro_u128)2 << 96 | 576));
    repl_statement_free(&statement);
}

Test(repl_parse, reads_velocity_limits)
{
    struct repl_statement statement =
        parsed("set_limits account_id=1 velocity=100000:1d:calendar:debits:amount:reject floor=5\n"
               " velocity=max:65535s:sliding:credits:count:off # the second\n"
               " velocity=none velocity = 0x10:3mo:calendar:credits:amount:hold\n"
               ", account_id=2 velocity=0:1m:rate:debits:count:mark, account_id=3 velocity=none");
    const struct giro_limits expected[] = {
        {.account_id = 1,
         .floor = 5,
         .velocity_max = {100000, UINT64_MAX, 0, 16},
         .velocity = {{.period = 1,
                       .unit = GIRO_PERIOD_DAYS,
                       .window = GIRO_WINDOW_CALENDAR,
                       .verdict = GIRO_VERDICT_REJECT,
                       .flags = GIRO_VELOCITY_AMOUNT},
                      {.period = 65535,
                       .unit = GIRO_PERIOD_SECONDS,
                       .window = GIRO_WINDOW_SLIDING,
                       .verdict = GIRO_VERDICT_OFF,
                       .flags = GIRO_VELOCITY_CREDITS},
                      {0},
                      {.period = 3,
                       .unit = GIRO_PERIOD_MONTHS,
                       .window = GIRO_WINDOW_CALENDAR,
                       .verdict = GIRO_VERDICT_HOLD,
                       .flags = GIRO_VELOCITY_AMOUNT | GIRO_VELOCITY_CREDITS}}},
        {.account_id = 2,
         .velocity = {{.period = 1,
                       .unit = GIRO_PERIOD_MINUTES,
                       .window = GIRO_WINDOW_RATE,
                       .verdict = GIRO_VERDICT_MARK}}},
        {.account_id = 3},
    };
    cr_assert_eq(statement.count, 3);
    cr_expect_eq(memcmp(statement.records.limits, expected, sizeof expected), 0);
    repl_statement_free(&statement);
    statement = parsed("set_limits account_id=1 velocity=5:2h:rate:debits:count:off");
    cr_expect_eq(statement.records.limits->velocity[0].unit, GIRO_PERIOD_HOURS);
    repl_statement_free(&statement);
    statement = parsed("get_velocity id=1, id=2:576");
    cr_assert_eq(statement.count, 2);
    cr_expect_eq(statement.verb, REPL_GET_VELOCITY);
    cr_expect(statement.records.ids[1] == ((giro_u128)2 << 96 | 576));
    repl_statement_free(&statement);
}

Test(repl_parse, reads_leases)
{
    struct repl_statement statement =
        parsed("lease action=acquire key=2:576 owner=7 timeout=30s # the first\n"
               ", key=1 action = renew owner=8 timeout=500ms token=max, key=3 action=release");
    const struct giro_lease expected[] = {
        {.key = (giro_u128)2 << 96 | 576,
         .owner = 7,
         .timeout_ms = 30000,
         .action = GIRO_LEASE_ACQUIRE},
        {.key = 1, .owner = 8, .token = UINT64_MAX, .timeout_ms = 500, .action = GIRO_LEASE_RENEW},
        {.key = 3, .action = GIRO_LEASE_RELEASE},
    };
    cr_expect_eq(statement.verb, REPL_LEASE);
    cr_assert_eq(statement.count, 3);
    cr_expect_eq(memcmp(statement.records.leases, expected, sizeof expected), 0);
    repl_statement_free(&statement);
    statement = parsed("get_leases key=1, key=2:576");
    cr_assert_eq(statement.count, 2);
    cr_expect_eq(statement.verb, REPL_GET_LEASES);
    cr_expect(statement.records.ids[1] == ((giro_u128)2 << 96 | 576));
    repl_statement_free(&statement);
}

Test(repl_parse, reads_schedules)
{
    const uint64_t day_ns = 86400 * GIRO_NS_PER_S;
    struct repl_statement statement = parsed(
        "create_schedules id=1 first=1970-01-31 every=1mo retry=1d,3d amount=999 ledger=1 code=2\n"
        " debit_account_id=3 credit_account_id=4 user_data_64=5 occurrences=12 end=1971-01-01,\n"
        "id=2 first=1970-01-28T06:00:00Z every=2y day=31 flags=pending|no_limit timeout=60,\n"
        "id=3 every=90m retry=30s, id=new first=1970-03-05 every=1mo");
    const struct giro_schedule expected[] = {
        {.id = 1,
         .first = 30 * day_ns,
         .end = 365 * day_ns,
         .occurrences = 12,
         .interval = 1,
         .retry_s = {86400, 3 * 86400},
         .rule = GIRO_SCHEDULE_MONTHS,
         .day = 31,
         .retries = 2,
         .transfer = {.debit_account_id = 3,
                      .credit_account_id = 4,
                      .amount = 999,
                      .user_data_64 = 5,
                      .ledger = 1,
                      .code = 2}},
        {.id = 2,
         .first = 27 * day_ns + day_ns / 4,
         .interval = 2,
         .rule = GIRO_SCHEDULE_YEARS,
         .day = 31,
         .transfer = {.timeout = 60, .flags = GIRO_TRANSFER_PENDING | GIRO_TRANSFER_NO_LIMIT}},
        {.id = 3, .interval = 5400, .retry_s = {30}, .rule = GIRO_SCHEDULE_SECONDS, .retries = 1},
    };
    cr_expect_eq(statement.verb, REPL_CREATE_SCHEDULES);
    cr_assert_eq(statement.count, 4);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        cr_expect_eq(memcmp(&statement.records.schedules[i], &expected[i], sizeof expected[i]), 0,
                     "row %zu", i);
    cr_expect(statement.id_is_new[3]);
    cr_expect_eq(statement.records.schedules[3].day, 5);
    repl_statement_free(&statement);
    statement = parsed("wait 500ms");
    cr_expect_eq(statement.verb, REPL_WAIT);
    cr_expect_eq(statement.argument_count, 1);
    repl_statement_free(&statement);
}

Test(repl_parse, reads_lookups_and_words)
{
    struct repl_statement statement = parsed("lookup_transfers id=1, id=0xff,id=max");
    cr_assert_eq(statement.count, 3);
    cr_expect(statement.records.ids[1] == 255);
    cr_expect(statement.records.ids[2] == GIRO_U128_MAX);
    repl_statement_free(&statement);
    statement = parsed("lookup_payments id=1, id=2:576");
    cr_assert_eq(statement.count, 2);
    cr_expect_eq(statement.verb, REPL_LOOKUP_PAYMENTS);
    cr_expect(statement.records.ids[1] == ((giro_u128)2 << 96 | 576));
    repl_statement_free(&statement);
    statement = parsed(" set scale 978 2 ");
    cr_expect_eq(statement.verb, REPL_SET);
    cr_expect_eq(statement.argument_count, 3);
    repl_statement_free(&statement);
    statement = parsed("quit");
    cr_expect_eq(statement.verb, REPL_EXIT);
    repl_statement_free(&statement);
}

Test(repl_parse, reads_filters)
{
    struct repl_statement statement =
        parsed("get_account_transfers account_id=2:576 flags=debits|reversed limit=7 code=3\n"
               " user_data_128=max user_data_64=5 user_data_32=6 timestamp_min=1 # the first\n"
               " timestamp_max=1970-01-01T00:00:01Z");
    const struct giro_account_filter *account = statement.records.account_filter;
    cr_assert_eq(statement.count, 1);
    cr_expect(account->account_id == ((giro_u128)2 << 96 | 576));
    cr_expect_eq(account->flags, GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_REVERSED);
    cr_expect_eq(account->limit, 7);
    cr_expect_eq(account->code, 3);
    cr_expect(account->user_data_128 == GIRO_U128_MAX);
    cr_expect_eq(account->user_data_64, 5);
    cr_expect_eq(account->user_data_32, 6);
    cr_expect_eq(account->timestamp_min, 1);
    cr_expect_eq(account->timestamp_max, GIRO_NS_PER_S);
    repl_statement_free(&statement);

    statement = parsed("query_accounts ledger=978 flags=reversed");
    const struct giro_query_filter *query = statement.records.query_filter;
    cr_expect_eq(query->ledger, 978);
    cr_expect_eq(query->flags, GIRO_QUERY_FILTER_REVERSED);
    cr_expect_eq(query->timestamp_max, 0);
    repl_statement_free(&statement);

    statement = parsed("changes ordinal=5 limit=0 wait_ms=max");
    const struct giro_change_filter *change = statement.records.change_filter;
    cr_expect_eq(change->ordinal, 5);
    cr_expect_eq(change->limit, 0);
    cr_expect_eq(change->wait_ms, UINT32_MAX);
    repl_statement_free(&statement);
}

Test(repl_parse, gives_filters_a_limit_and_both_sides)
{
    struct repl_statement statement = parsed("get_account_balances account_id=1 ");
    const struct giro_account_filter *account = statement.records.account_filter;
    cr_expect_eq(account->limit, REPL_LIMIT);
    cr_expect_eq(account->flags, GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS);
    repl_statement_free(&statement);
    statement = parsed("get_account_transfers account_id=1 flags=reversed");
    cr_expect_eq(statement.records.account_filter->flags, GIRO_ACCOUNT_FILTER_FLAGS_ALL);
    repl_statement_free(&statement);
    statement = parsed("get_account_transfers account_id=1 flags=credits");
    cr_expect_eq(statement.records.account_filter->flags, GIRO_ACCOUNT_FILTER_CREDITS);
    repl_statement_free(&statement);
    statement = parsed("query_transfers # all of them");
    cr_expect_eq(statement.count, 1);
    cr_expect_eq(statement.records.query_filter->limit, REPL_LIMIT);
    cr_expect_eq(statement.records.query_filter->flags, 0);
    repl_statement_free(&statement);
    statement = parsed("read_changes");
    cr_expect_eq(statement.verb, REPL_CHANGES);
    cr_expect_eq(statement.records.change_filter->limit, REPL_LIMIT);
    cr_expect_eq(statement.records.change_filter->ordinal, 0);
    repl_statement_free(&statement);
}

Test(repl_parse, finds_the_ends_of_statements)
{
    bool closed;
    cr_expect_eq(repl_statement_end("a;b", 3, &closed), 1);
    cr_expect(closed);
    cr_expect_eq(repl_statement_end("a # ; not\n;", 11, &closed), 10);
    cr_expect(closed);
    cr_expect_eq(repl_statement_end("abc", 3, &closed), 3);
    cr_expect_not(closed);
    cr_expect(repl_statement_empty(" # only this\n\t ", 15));
    cr_expect_not(repl_statement_empty(" # this\nx", 9));
}

Test(repl_parse, takes_one_request_and_no_more)
{
    static char text[REPL_EVENTS_MAX * 8 + 64];
    struct repl_statement statement;
    struct repl_error error = {0};
    size_t size = (size_t)snprintf(text, sizeof text, "lookup_accounts id=1");
    for (int i = 1; i < REPL_EVENTS_MAX; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, ",id=2");
    cr_assert(repl_parse(text, size, &statement, &error), "%s", error.text);
    cr_expect_eq(statement.count, REPL_EVENTS_MAX);
    repl_statement_free(&statement);
    size += (size_t)snprintf(text + size, sizeof text - size, ",id=2");
    cr_expect_not(repl_parse(text, size, &statement, &error));
    cr_expect_eq(strncmp(error.text, "more than 8190", 14), 0, "%s", error.text);
}
