/* Completion, suggestions, and a sentence for every result. */
#include "engine/result.h"
#include "tools/repl_result.h"
#include "tools/repl_time.h"
#include "tools/repl_words.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(repl_words, complete_what_may_stand_there)
{
    static const struct {
        const char *text;
        const char *expected; /* candidates, a blank between them */
    } rows[] = {
        {"", "create_accounts create_transfers cut_off set_limits lookup_accounts "
             "lookup_transfers lookup_payments get_settlements get_limits get_velocity lease "
             "get_leases create_schedules cancel_schedules get_schedules wait_schedules "
             "get_account_transfers get_account_balances query_accounts query_transfers changes "
             "snapshot stats wait set help exit"},
        {"look", "lookup_accounts lookup_transfers lookup_payments"},
        {"stats; cr", "create_accounts create_transfers create_schedules"},
        {"cu", "cut_off"},
        {"cut_off ", "ledger epoch"},
        {"cut_off ledger=1 epoch=0, e", "epoch"},
        {"get_settlements ", "id"},
        {"help get_s", "get_settlements get_schedules"},
        {"create_accounts id=1 flags=history|s", "settles"},
        {"help lookup_a", "lookup_accounts"},
        {"set ", "scale thousands fence"},
        {"set f", "fence"},
        {"set th", "thousands"},
        {"lookup_accounts ", "id"},
        {"lookup_accounts id=", ""},
        {"lookup_payments ", "id"},
        {"help lookup_p", "lookup_payments"},
        {"create_transfers id=1 flags=re", "return"},
        {"create_transfers id=1 flags=post_pending_transfer|k", "keep_open"},
        {"create_transfers id=1 flags=pending|a", "adjust"},
        {"create_transfers id=1 flags=return|f", "fact"},
        {"create_accounts id=1 us", "user_data_128 user_data_64 user_data_32"},
        {"create_accounts id=1, l", "ledger"},
        {"create_transfers id=1 de", "debit_account_id"},
        {"create_accounts id=1 flags=", "linked debits_must_not_exceed_credits "
                                        "credits_must_not_exceed_debits history imported closed "
                                        "settles"},
        {"create_accounts id=1 flags=h", "history"},
        {"create_accounts id=1 flags=history|i", "imported"},
        {"create_accounts id=1 flags=history | i", "imported"},
        {"create_accounts id=1 flags=history i", "id"},
        {"create_transfers id=1 flags=pending|clo", "closing_debit closing_credit"},
        {"get",
         "get_settlements get_limits get_velocity get_leases get_schedules get_account_transfers "
         "get_account_balances"},
        {"lease ", "key owner action timeout token"},
        {"lease action=", "acquire renew release"},
        {"lease key=1 action=re", "renew release"},
        {"lease key=1 owner=", ""},
        {"lease key=1, o", "owner"},
        {"get_leases ", "key"},
        {"create_schedules id=1 e", "every end"},
        {"create_schedules id=1 every=", ""},
        {"create_schedules id=1 retry=1d,3d d", "day debit_account_id"},
        {"create_schedules id=1 flags=b", "balancing_debit balancing_credit"},
        {"cancel_schedules ", "id"},
        {"wait_schedules ", "id"},
        {"w", "wait_schedules wait"},
        {"wait ", ""},
        {"s", "set_limits snapshot stats set"},
        {"set_l", "set_limits"},
        {"set_limits ", "account_id floor balance_max transfer_max over_capture velocity flags"},
        {"set_limits account_id=1 vel", "velocity"},
        {"set_limits account_id=1 velocity=", ""},
        {"set_limits account_id=1 velocity=5:1d", ""},
        {"set_limits account_id=1 velocity=5:1d:", "calendar sliding rate"},
        {"set_limits account_id=1 velocity=5:1d:s", "sliding"},
        {"set_limits account_id=1 velocity=5:1d:rate:", "debits credits"},
        {"set_limits account_id=1 velocity=5:1d:rate:debits:a", "amount"},
        {"set_limits account_id=1 velocity=5:1d:rate:debits:amount:", "off mark hold reject"},
        {"set_limits account_id=1 velocity=5:1d:rate:debits:amount:hold fla", "flags"},
        {"get_velocity ", "id"},
        {"set_limits account_id=1 flags=", "block_debits block_credits frozen"},
        {"set_limits account_id=1, acc", "account_id"},
        {"get_limits ", "id"},
        {"help get_l", "get_limits get_leases"},
        {"get_account_balances ac", "account_id"},
        {"get_account_transfers account_id=1 flags=", "debits credits reversed"},
        {"query_accounts ", "ledger code flags limit timestamp_min timestamp_max user_data_128 "
                            "user_data_64 user_data_32"},
        {"query_transfers flags=r", "reversed"},
        {"changes ", "ordinal limit wait_ms"},
        {"read_changes o", "ordinal"},
        {"snapshot ", ""},
        {"nonsense id", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *words[REPL_WORDS_MAX];
        char got[512] = "";
        size_t start;
        uint32_t count = repl_complete(rows[i].text, strlen(rows[i].text), words, &start);
        for (uint32_t k = 0; k < count; k++)
            (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", k > 0 ? " " : "",
                           words[k]);
        cr_expect_str_eq(got, rows[i].expected, "%s: got %s", rows[i].text, got);
    }
}

Test(repl_words, suggest_only_what_is_near)
{
    static const char *const words[] = {"amount", "code", "id", "debit_account_id", NULL};
    static const struct {
        const char *word;
        const char *expected;
    } rows[] = {
        {"ammount", "amount"}, {"amuont", "amount"},
        {"cod", "code"},       {"debit_acount_id", "debit_account_id"},
        {"di", "id"},          {"debit", "debit_account_id"},
        {"zzzz", NULL},        {"xy", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *got = repl_nearest(rows[i].word, strlen(rows[i].word), words);
        cr_expect_eq(got == NULL, rows[i].expected == NULL, "%s", rows[i].word);
        if (got != NULL && rows[i].expected != NULL)
            cr_expect_str_eq(got, rows[i].expected);
    }
}

Test(repl_words, print_flags)
{
    char text[128];
    cr_expect_str_eq(repl_flags_print(repl_verb_flags(REPL_CREATE_ACCOUNTS), 0, text, 128), "");
    cr_expect_str_eq(repl_flags_print(repl_verb_flags(REPL_CREATE_TRANSFERS), 3, text, 128),
                     "linked|pending");
    cr_expect_str_eq(repl_flags_print(repl_verb_flags(REPL_CREATE_ACCOUNTS), 0x4001, text, 128),
                     "linked|0x4000");
    cr_expect_str_eq(repl_flags_print(repl_verb_flags(REPL_CREATE_TRANSFERS), 0x3e00, text, 128),
                     "return|keep_open|adjust|fact|no_limit");
    cr_expect_str_eq(repl_flags_print(repl_marks, 3, text, 128), "over_cap|negative");
    cr_expect_str_eq(repl_flags_print(repl_marks, 1 << 9, text, 128), "0x200");
    cr_expect_str_eq(repl_flags_print(repl_marks, 0x7f, text, 128),
                     "over_cap|negative|blocked|over_transfer|over_balance|over_velocity|held");
    cr_expect_str_eq(repl_flags_print(repl_verb_flags(REPL_SET_LIMITS), 0xf, text, 128),
                     "block_debits|block_credits|frozen|0x8");
}

Test(repl_words, print_velocity_limits)
{
    static const struct {
        struct giro_velocity rule;
        const char *maximum;
        const char *expected;
    } rows[] = {
        {{0}, "0", ""},
        {{0}, NULL, ""},
        {{.period = 1,
          .unit = GIRO_PERIOD_DAYS,
          .window = GIRO_WINDOW_CALENDAR,
          .verdict = GIRO_VERDICT_REJECT,
          .flags = GIRO_VELOCITY_AMOUNT},
         "1,000.00",
         "1,000.00:1d:calendar:debits:amount:reject"},
        {{.period = 3,
          .unit = GIRO_PERIOD_MONTHS,
          .window = GIRO_WINDOW_CALENDAR,
          .verdict = GIRO_VERDICT_HOLD,
          .flags = GIRO_VELOCITY_CREDITS},
         NULL,
         "3mo:calendar:credits:count:hold"},
        {{.period = 30, .unit = GIRO_PERIOD_SECONDS, .window = GIRO_WINDOW_SLIDING},
         "5",
         "5:30s:sliding:debits:count:off"},
        {{.period = 65535,
          .unit = GIRO_PERIOD_MINUTES,
          .window = GIRO_WINDOW_RATE,
          .verdict = GIRO_VERDICT_MARK,
          .flags = GIRO_VELOCITY_FLAGS_ALL},
         "0",
         "0:65535m:rate:credits:amount:mark"},
        {{.period = 2, .unit = GIRO_PERIOD_HOURS, .window = 9},
         "0",
         "0:2h:unknown:debits:count:off"},
        {{.period = 2, .unit = 200, .window = GIRO_WINDOW_RATE},
         "0",
         "0:2unknown:rate:debits:count:off"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[REPL_VELOCITY_BYTES];
        cr_expect_str_eq(repl_velocity_print(&rows[i].rule, rows[i].maximum, text),
                         rows[i].expected, "row %zu: %s", i, text);
    }
}

Test(repl_time, reads_spans)
{
    static const struct {
        const char *text;
        bool good;
        struct repl_span span;
        uint64_t ms;
    } rows[] = {
        {"500ms", true, {500, REPL_UNIT_MS}, 500},
        {"30s", true, {30, REPL_UNIT_SECONDS}, 30000},
        {"0m", true, {0, REPL_UNIT_MINUTES}, 0},
        {"12h", true, {12, REPL_UNIT_HOURS}, 43200000},
        {"7d", true, {7, REPL_UNIT_DAYS}, 604800000},
        {"1mo", true, {1, REPL_UNIT_MONTHS}, 0},
        {"4294967295y", true, {UINT32_MAX, REPL_UNIT_YEARS}, 0},
        {"4294967296y", false, {0}, 0},
        {"", false, {0}, 0},
        {"30", false, {0}, 0},
        {"s", false, {0}, 0},
        {"1w", false, {0}, 0},
        {"1 d", false, {0}, 0},
        {"-1d", false, {0}, 0},
        {"1ds", false, {0}, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct repl_span span = {0};
        cr_expect_eq(repl_span_read(rows[i].text, strlen(rows[i].text), &span), rows[i].good, "%s",
                     rows[i].text);
        cr_expect_eq(span.number, rows[i].span.number, "%s", rows[i].text);
        cr_expect_eq(span.unit, rows[i].span.unit, "%s", rows[i].text);
        cr_expect_eq(repl_span_ms(span), rows[i].ms, "%s", rows[i].text);
    }
}

Test(repl_time, prints_rules_as_they_are_given)
{
    static const struct {
        struct giro_schedule schedule;
        const char *every;
        const char *retry;
    } rows[] = {
        {{.rule = GIRO_SCHEDULE_SECONDS, .interval = 604800}, "7d", ""},
        {{.rule = GIRO_SCHEDULE_SECONDS, .interval = 86401, .retries = 1, .retry_s = {86400}},
         "86401s",
         "1d"},
        {{.rule = GIRO_SCHEDULE_SECONDS, .interval = 5400, .retries = 2, .retry_s = {3600, 60}},
         "90m",
         "1h,1m"},
        {{.rule = GIRO_SCHEDULE_MONTHS, .interval = 3}, "3mo", ""},
        {{.rule = GIRO_SCHEDULE_YEARS,
          .interval = UINT32_MAX,
          .retries = 4,
          .retry_s = {UINT32_MAX, 1, UINT32_MAX, UINT32_MAX}},
         "4294967295y",
         "4294967295s,1s,4294967295s,4294967295s"},
        {{.rule = 9, .interval = 3, .retries = 9, .retry_s = {60, 60, 60, 60}},
         "unknown",
         "1m,1m,1m,1m"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char every[REPL_SPAN_BYTES];
        char retry[REPL_RETRIES_BYTES];
        cr_expect_str_eq(repl_every_print(&rows[i].schedule, every), rows[i].every, "row %zu", i);
        cr_expect_str_eq(repl_retries_print(&rows[i].schedule, retry), rows[i].retry, "row %zu", i);
    }
    cr_expect_eq(repl_day_of_month(0), 1);
    cr_expect_eq(repl_day_of_month(59 * 86400 * GIRO_NS_PER_S - 1), 28);
    cr_expect_eq(repl_day_of_month(58 * 86400 * GIRO_NS_PER_S - 1), 27);
}

Test(repl_result, explains_every_code)
{
    const char *unknown = repl_account_result_text(9999);
    for (uint32_t code = 0; code <= GIRO_ACCOUNT_RESULT_MAX; code++) {
        if (strcmp(giro_account_result_name(code), "unknown") != 0)
            cr_expect_neq(repl_account_result_text(code), unknown, "account %u", code);
    }
    for (uint32_t code = 0; code <= GIRO_TRANSFER_RESULT_MAX; code++) {
        if (strcmp(giro_transfer_result_name(code), "unknown") != 0)
            cr_expect_neq(repl_transfer_result_text(code), unknown, "transfer %u", code);
    }
    for (uint32_t code = 0; code <= GIRO_CUT_OFF_RESULT_MAX; code++) {
        if (strcmp(giro_cut_off_result_name(code), "unknown") != 0)
            cr_expect_neq(repl_cut_off_result_text(code), unknown, "cut-off %u", code);
    }
    for (uint32_t code = 0; code <= GIRO_LIMITS_RESULT_MAX; code++) {
        if (strcmp(giro_limits_result_name(code), "unknown") != 0)
            cr_expect_neq(repl_limits_result_text(code), unknown, "limits %u", code);
    }
    for (uint32_t code = 0; code <= GIRO_LEASE_RESULT_MAX; code++) {
        if (strcmp(giro_lease_result_name(code), "unknown") != 0)
            cr_expect_neq(repl_lease_result_text(code), unknown, "lease %u", code);
    }
    for (uint32_t code = 0; code <= GIRO_SCHEDULE_RESULT_MAX; code++) {
        if (strcmp(giro_schedule_result_name(code), "unknown") != 0)
            cr_expect_neq(repl_schedule_result_text(code), unknown, "schedule %u", code);
    }
    cr_expect_eq(repl_lease_result_text(9999), unknown);
    cr_expect_eq(repl_schedule_result_text(1), unknown);
    cr_expect_eq(repl_transfer_result_text(18), unknown); /* the unused code */
    cr_expect_eq(repl_cut_off_result_text(9999), unknown);
    cr_expect_eq(repl_limits_result_text(9999), unknown);
}
