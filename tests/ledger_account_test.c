/* create_accounts: one event a row; the language is described in tests/ledger_fixture.h. */
#include "tests/ledger_fixture.h"

#include <criterion/criterion.h>

/* Not imported, every rule in order of precedence. */
static const char rules[] = "account A1 | created\n"
                            "\n"
                            "account A2 linked | linked_event_failed\n"
                            "account A3 code=0 | code_must_not_be_zero\n"
                            "\n"
                            "account A2 | created\n"
                            "account A3 linked | linked_event_chain_open\n"
                            "\n"
                            "at @A2+10\n"
                            "account A3 imported timestamp=now-1 | created\n"
                            "account A4 | imported_event_expected\n"
                            "\n"
                            "account A4 | created\n"
                            "account A5 imported timestamp=2 | imported_event_not_expected\n"
                            "\n"
                            "account A5 timestamp=1 | timestamp_must_be_zero\n"
                            "account A5 timestamp=now | timestamp_must_be_zero\n"
                            "account A5 reserved=1 | reserved_field\n"
                            "account A5 flags=0x80 | reserved_flag\n"
                            "account A5 flags=0x4000 | reserved_flag\n"
                            "account A5 flags=0x8000 | reserved_flag\n"
                            "account 0 | id_must_not_be_zero\n"
                            "account max | id_must_not_be_int_max\n"
                            "account A5 debits_must_not_exceed_credits "
                            "credits_must_not_exceed_debits | flags_are_mutually_exclusive\n"
                            "account A5 debits_pending=1 | debits_pending_must_be_zero\n"
                            "account A5 debits_posted=max | debits_posted_must_be_zero\n"
                            "account A5 credits_pending=max | credits_pending_must_be_zero\n"
                            "account A5 credits_posted=1 | credits_posted_must_be_zero\n"
                            "account A5 ledger=0 | ledger_must_not_be_zero\n"
                            "account A5 code=0 | code_must_not_be_zero\n"
                            "account A5 | created\n"
                            "account max-1 | created\n"
                            "\n"
                            "no_account A6 0 max\n"
                            "stored account A5\n"
                            "balance A1 0 0 0 0\n";

static const char flags[] =
    "account A1 debits_must_not_exceed_credits | created\n"
    "account A2 credits_must_not_exceed_debits | created\n"
    "account A3 history | created\n"
    "account A4 closed | created\n"
    "account A5 debits_must_not_exceed_credits history closed user_data_128=max user_data_64=7 "
    "user_data_32=0xffffffff ledger=0xffffffff code=0xffff | created\n"
    "account A6 linked history | created\n"
    "account A7 | created\n"
    "\n"
    "account A8 imported timestamp=@A7+1 | imported_event_timestamp_must_not_advance\n"
    "\n"
    "at @A7+1s\n"
    "account A8 imported timestamp=@A7+1 | created\n"
    "\n"
    "stored account A1 debits_must_not_exceed_credits\n"
    "stored account A2 credits_must_not_exceed_debits\n"
    "stored account A3 history\n"
    "stored account A4 closed\n"
    "stored account A5 debits_must_not_exceed_credits history closed user_data_128=max "
    "user_data_64=7 user_data_32=0xffffffff ledger=0xffffffff code=0xffff\n"
    "stored account A6 linked history\n"
    "stored account A8 imported\n"
    /* What the flags do. */
    "transfer T1 A1 A7 1 | exceeds_credits\n"
    "transfer T2 A7 A2 1 | exceeds_debits\n"
    "transfer T3 A7 A4 1 | credit_account_already_closed\n"
    "transfer T4 A7 A1 1 | created\n"
    "transfer T5 A1 A7 1 | created\n";

static const char exists[] =
    "account A1 history user_data_128=1 user_data_64=2 user_data_32=3 ledger=4 code=5 | created\n"
    "\n"
    "account A1 user_data_128=1 user_data_64=2 user_data_32=3 ledger=4 code=5 "
    "| exists_with_different_flags\n"
    "account A1 history closed user_data_128=1 user_data_64=2 user_data_32=3 ledger=4 code=5 "
    "| exists_with_different_flags\n"
    "account A1 history user_data_128=0 user_data_64=2 user_data_32=3 ledger=4 code=5 "
    "| exists_with_different_user_data_128\n"
    "account A1 history user_data_128=1 user_data_64=0 user_data_32=3 ledger=4 code=5 "
    "| exists_with_different_user_data_64\n"
    "account A1 history user_data_128=1 user_data_64=2 user_data_32=0 ledger=4 code=5 "
    "| exists_with_different_user_data_32\n"
    "account A1 history user_data_128=1 user_data_64=2 user_data_32=3 ledger=0 code=5 "
    "| exists_with_different_ledger\n"
    "account A1 history user_data_128=1 user_data_64=2 user_data_32=3 ledger=4 code=0 "
    "| exists_with_different_code\n"
    "account A1 history user_data_128=1 user_data_64=2 user_data_32=3 ledger=4 code=5 | exists\n"
    /* Comparing comes before the semantic checks, and balances are not compared. */
    "account A1 history user_data_128=1 user_data_64=2 user_data_32=3 ledger=4 code=5 "
    "debits_pending=1 debits_posted=1 credits_pending=1 credits_posted=1 | exists\n"
    /* Twice in one request. */
    "account A2 | created\n"
    "account A2 | exists\n"
    "account A2 ledger=2 | exists_with_different_ledger\n"
    "\n"
    /* A request's rules come before the comparison. */
    "account A2 timestamp=1 | timestamp_must_be_zero\n"
    "account A2 reserved=1 | reserved_field\n"
    "account A2 flags=0x80 | reserved_flag\n"
    "account A2 linked | linked_event_chain_open\n";

static const char imported[] =
    "account A1 imported timestamp=0 | imported_event_timestamp_out_of_range\n"
    "account A1 imported timestamp=0x8000000000000000 | imported_event_timestamp_out_of_range\n"
    "account A1 imported timestamp=max | imported_event_timestamp_out_of_range\n"
    "account A1 imported timestamp=0x7fffffffffffffff "
    "| imported_event_timestamp_must_not_advance\n"
    "account A1 imported timestamp=now | imported_event_timestamp_must_not_advance\n"
    "account A1 imported timestamp=1 | created\n"
    "account A2 imported timestamp=1 | imported_event_timestamp_must_not_regress\n"
    "account A2 imported timestamp=2 | created\n"
    "account A3 imported timestamp=1 | imported_event_timestamp_must_not_regress\n"
    "account A3 imported timestamp=now-1 | created\n"
    "account A4 timestamp=0 | imported_event_expected\n"
    "account A4 timestamp=now-1 | imported_event_expected\n"
    "\n"
    /* An existing account's timestamp is not compared. */
    "account A2 imported timestamp=9 | exists\n"
    "\n"
    "account A2 | exists_with_different_flags\n"
    /* Whether the request is imported is told by its first event, be it good or bad. */
    "account 0 | id_must_not_be_zero\n"
    "account A4 imported timestamp=now-1 | imported_event_not_expected\n"
    "\n"
    "account 0 imported timestamp=1 | id_must_not_be_zero\n"
    "account A4 | imported_event_expected\n"
    "\n"
    /* The server's timestamps go on above the imported ones. */
    "at @A3+100\n"
    "account A5 | created\n"
    "\n"
    "account A6 imported timestamp=@A5-1 | imported_event_timestamp_must_not_regress\n"
    "account A6 imported timestamp=@A5 | imported_event_timestamp_must_not_regress\n"
    "\n"
    "at @A5+100\n"
    "account A6 imported timestamp=@A5+1 | created\n"
    "\n"
    /* A transfer's timestamp is taken, too. */
    "transfer T1 A1 A2 1 | created\n"
    "\n"
    "at @T1+100\n"
    "account A7 imported timestamp=@T1 | imported_event_timestamp_must_not_regress\n"
    "account A7 imported timestamp=@T1+1 | created\n";

static const char chains[] =
    "account A1 | created\n"
    "\n"
    "save\n"
    /* The first failure gets its code, wherever it stands. */
    "account A2 linked | linked_event_failed\n"
    "account A3 linked | linked_event_failed\n"
    "account A4 ledger=0 | ledger_must_not_be_zero\n"
    "\n"
    "unchanged\n"
    "account A2 linked ledger=0 | ledger_must_not_be_zero\n"
    "account A3 linked code=0 | linked_event_failed\n"
    "account 0 | linked_event_failed\n"
    "\n"
    "unchanged\n"
    "account A2 linked | linked_event_failed\n"
    "account A3 linked code=0 | code_must_not_be_zero\n"
    "account A4 | linked_event_failed\n"
    "\n"
    "unchanged\n"
    "no_account A2 A3 A4\n"
    /* Open chains: of one, of several, after a failure. */
    "account A2 linked | linked_event_chain_open\n"
    "\n"
    "account A2 linked | linked_event_failed\n"
    "account A3 linked | linked_event_failed\n"
    "account A4 linked | linked_event_chain_open\n"
    "\n"
    "account A2 linked code=0 | code_must_not_be_zero\n"
    "account A3 linked | linked_event_failed\n"
    "account A4 linked | linked_event_chain_open\n"
    "\n"
    "unchanged\n"
    /* An id twice in a chain, and what exists in a chain. */
    "account A2 linked | linked_event_failed\n"
    "account A2 | exists_with_different_flags\n"
    "\n"
    "account A2 linked | linked_event_failed\n"
    "account A1 | exists\n"
    "\n"
    "account A1 linked | exists_with_different_flags\n"
    "account A2 | linked_event_failed\n"
    "\n"
    "account A2 linked | linked_event_failed\n"
    "account A3 timestamp=1 | timestamp_must_be_zero\n"
    "\n"
    "account A2 linked | linked_event_failed\n"
    "account A3 imported timestamp=1 | imported_event_not_expected\n"
    "\n"
    "unchanged\n"
    /* Neighbours of a broken chain stand; the broken chain's ids are free. */
    "account A2 | created\n"
    "account A3 linked | linked_event_failed\n"
    "account A4 linked | linked_event_failed\n"
    "account A1 history | exists_with_different_flags\n"
    "account A4 linked history | created\n"
    "account A3 history | created\n"
    "account A5 | created\n"
    "\n"
    "stored account A4 linked history\n"
    "stored account A3 history\n"
    "stored account A5\n";

/* The imported timestamp of a chain that was undone is free again. */
static const char chains_imported[] =
    "account A1 imported timestamp=10 | created\n"
    "account A2 imported linked timestamp=20 | linked_event_failed\n"
    "account A3 imported timestamp=20 | imported_event_timestamp_must_not_regress\n"
    "account A2 imported linked timestamp=15 | created\n"
    "account A3 imported timestamp=20 | created\n"
    "account A4 imported linked timestamp=30 | linked_event_failed\n"
    "account A5 imported linked timestamp=40 | linked_event_failed\n"
    "account A6 | imported_event_expected\n"
    "\n"
    "account A4 imported timestamp=21 | created\n";

static const char retry[] = "account A1 linked | created\n"
                            "account A2 linked | created\n"
                            "account A3 | created\n"
                            "\n"
                            "save\n"
                            "account A1 linked | exists\n"
                            "account A2 linked | exists\n"
                            "account A3 | exists\n"
                            "\n"
                            /* Between others, and twice in a row. */
                            "account A1 linked | exists\n"
                            "account A2 linked | exists\n"
                            "account A3 | exists\n"
                            "account A3 code=0 | exists_with_different_code\n"
                            "account A1 linked | exists\n"
                            "account A2 linked | exists\n"
                            "account A3 | exists\n"
                            "\n"
                            /* One member differs, is new, breaks a request's rule; or the chain is
                             * open: nothing was committed in this form. */
                            "account A1 linked | exists\n"
                            "account A2 linked code=2 | linked_event_failed\n"
                            "account A3 | linked_event_failed\n"
                            "\n"
                            "account A1 linked | exists\n"
                            "account A2 linked | linked_event_failed\n"
                            "account A4 | linked_event_failed\n"
                            "\n"
                            "account A1 linked | exists\n"
                            "account A2 linked | linked_event_failed\n"
                            "account A3 timestamp=1 | linked_event_failed\n"
                            "\n"
                            "account A1 linked | exists\n"
                            "account A2 linked | linked_event_chain_open\n"
                            "\n"
                            "account A4 linked | linked_event_failed\n"
                            "account A1 linked | exists\n"
                            "account A2 linked | linked_event_failed\n"
                            "account A3 | linked_event_failed\n"
                            "\n"
                            "unchanged\n"
                            /* A chain and its retry in one request. */
                            "account A4 linked | created\n"
                            "account A5 | created\n"
                            "account A4 linked | exists\n"
                            "account A5 | exists\n";

static const char *const tables[] = {rules,  flags,           exists, imported,
                                     chains, chains_imported, retry};

Test(ledger_account, answers_each_broken_rule)
{
    fixture_script_alone(rules, NULL);
}

Test(ledger_account, keeps_and_obeys_every_flag)
{
    fixture_script_alone(flags, NULL);
}

Test(ledger_account, compares_an_existing_id_field_by_field)
{
    fixture_script_alone(exists, NULL);
}

Test(ledger_account, imports_in_order_of_time)
{
    fixture_script_alone(imported, NULL);
}

Test(ledger_account, takes_back_a_broken_chain)
{
    fixture_script_alone(chains, NULL);
    fixture_script_alone(chains_imported, NULL);
}

Test(ledger_account, answers_exists_to_every_member_of_a_repeated_chain)
{
    fixture_script_alone(retry, NULL);
}

#define CODE_IS_COVERED(name, code, text)                                                          \
    cr_assert(coverage.account[code], "no row answers %s", text);

Test(ledger_account, has_a_row_for_every_result)
{
    struct fixture_coverage coverage = {0};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        fixture_script_alone(tables[i], &coverage);
    GIRO_ACCOUNT_RESULTS(CODE_IS_COVERED)
}

#undef CODE_IS_COVERED

Test(ledger_account, answers_the_earlier_of_two_broken_rules)
{
    static const char in_order[] = "linked | linked_event_chain_open\n"
                                   "first=linked | linked_event_failed\n"
                                   "first=imported only_imported=1 | imported_event_expected\n"
                                   "imported only_imported=2 | imported_event_not_expected\n"
                                   "timestamp=1 | timestamp_must_be_zero\n"
                                   "reserved=1 | reserved_field\n"
                                   "flags=0x80 | reserved_flag\n"
                                   "id=0 | id_must_not_be_zero\n"
                                   "id=max | id_must_not_be_int_max\n"
                                   "debits_must_not_exceed_credits credits_must_not_exceed_debits "
                                   "| flags_are_mutually_exclusive\n"
                                   "debits_pending=1 | debits_pending_must_be_zero\n"
                                   "debits_posted=1 | debits_posted_must_be_zero\n"
                                   "credits_pending=1 | credits_pending_must_be_zero\n"
                                   "credits_posted=1 | credits_posted_must_be_zero\n"
                                   "ledger=0 | ledger_must_not_be_zero\n"
                                   "code=0 | code_must_not_be_zero\n";
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    cr_assert(fixture_precedence(&fixture, "account 0", in_order) == 16 * 15 / 2 - 2);
    cr_assert(fixture.ledger->accounts.count == 0);
    fixture_free(&fixture);
}

Test(ledger_account, answers_the_earlier_of_two_broken_rules_when_imported)
{
    static const char in_order[] =
        "linked | linked_event_chain_open\n"
        "first=linked | linked_event_failed\n"
        "timestamp=0 | imported_event_timestamp_out_of_range\n"
        "timestamp=0x8000000000000000 | imported_event_timestamp_out_of_range\n"
        "timestamp=now | imported_event_timestamp_must_not_advance\n"
        "reserved=1 | reserved_field\n"
        "flags=0x80 | reserved_flag\n"
        "id=0 | id_must_not_be_zero\n"
        "id=max | id_must_not_be_int_max\n"
        "debits_must_not_exceed_credits credits_must_not_exceed_debits "
        "| flags_are_mutually_exclusive\n"
        "debits_pending=1 | debits_pending_must_be_zero\n"
        "debits_posted=1 | debits_posted_must_be_zero\n"
        "credits_pending=1 | credits_pending_must_be_zero\n"
        "credits_posted=1 | credits_posted_must_be_zero\n"
        "ledger=0 | ledger_must_not_be_zero\n"
        "code=0 | code_must_not_be_zero\n"
        "timestamp=@A1 | imported_event_timestamp_must_not_regress\n";
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, "account A1 | created", NULL);
    fixture.clock_ns += 1000;
    const char *base = "account 0 imported first=imported timestamp=now-1";
    cr_assert(fixture_precedence(&fixture, base, in_order) == 17 * 16 / 2 - 7);
    cr_assert(fixture.ledger->accounts.count == 1);
    fixture_free(&fixture);
}

Test(ledger_account, answers_the_earlier_of_two_differences)
{
    static const char in_order[] = "linked | linked_event_chain_open\n"
                                   "first=linked | linked_event_failed\n"
                                   "timestamp=1 | timestamp_must_be_zero\n"
                                   "reserved=1 | reserved_field\n"
                                   "flags=0x80 | reserved_flag\n"
                                   "closed | exists_with_different_flags\n"
                                   "user_data_128=9 | exists_with_different_user_data_128\n"
                                   "user_data_64=9 | exists_with_different_user_data_64\n"
                                   "user_data_32=9 | exists_with_different_user_data_32\n"
                                   "ledger=0 | exists_with_different_ledger\n"
                                   "code=0 | exists_with_different_code\n"
                                   "credits_posted=1 | exists\n"
                                   " | exists\n";
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, "account A1 history user_data_64=7 | created", NULL);
    const char *base = "account A1 history user_data_64=7";
    cr_assert(fixture_precedence(&fixture, base, in_order) == 13 * 12 / 2);
    fixture_free(&fixture);
}

Test(ledger_account, numbers_the_events_of_a_request)
{
    static const char script[] = "at 5s\n"
                                 "account A1 | created\n"
                                 "account A2 code=0 | code_must_not_be_zero\n"
                                 "account A3 | created\n";
    struct fixture fixture;
    struct giro_account account;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture, script, NULL);
    cr_assert(fixture_account(&fixture, 1, &account));
    cr_assert(account.timestamp == 5 * GIRO_NS_PER_S);
    cr_assert(fixture_account(&fixture, 3, &account));
    cr_assert(account.timestamp == 5 * GIRO_NS_PER_S + 2);
    fixture_free(&fixture);
}

Test(ledger_account, looks_up_in_the_order_asked_for_and_leaves_out_what_is_missing)
{
    static const giro_u128 ids[] = {3, 9, 1, 0, 3, GIRO_U128_MAX, 2};
    struct giro_account found[7];
    struct fixture fixture;
    fixture_init(&fixture, NULL);
    fixture_script(&fixture,
                   "account A1 | created\n"
                   "account A2 | created\n"
                   "account A3 | created\n",
                   NULL);
    cr_assert(ledger_lookup_accounts(fixture.ledger, ids, 7, found) == 4);
    cr_assert(found[0].id == 3);
    cr_assert(found[1].id == 1);
    cr_assert(found[2].id == 3);
    cr_assert(found[3].id == 2);
    cr_assert(ledger_lookup_accounts(fixture.ledger, ids, 0, found) == 0);
    fixture_free(&fixture);
}

Test(ledger_account, reports_when_there_is_no_room)
{
    struct ledger_config config = {
        .accounts_max = 4, .holds_max = 1, .transfers_max = 1, .transfers_expected = 1};
    struct ledger *ledger;
    cr_assert(ledger_create(&config, &ledger) == 0);
    cr_assert(ledger_room_accounts(ledger, 4) == LEDGER_ROOM);
    cr_assert(ledger_room_accounts(ledger, 5) == LEDGER_FULL_ACCOUNTS);
    ledger_destroy(ledger);
}
