/* Completion, suggestions, and a sentence for every result. */
#include "engine/result.h"
#include "tools/repl_result.h"
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
        {"", "create_accounts create_transfers set_limits lookup_accounts lookup_transfers "
             "lookup_payments get_limits get_account_transfers get_account_balances "
             "query_accounts query_transfers changes "
             "snapshot stats set help exit"},
        {"look", "lookup_accounts lookup_transfers lookup_payments"},
        {"stats; cr", "create_accounts create_transfers"},
        {"help lookup_a", "lookup_accounts"},
        {"set ", "scale thousands"},
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
                                        "credits_must_not_exceed_debits history imported closed"},
        {"create_accounts id=1 flags=h", "history"},
        {"create_accounts id=1 flags=history|i", "imported"},
        {"create_accounts id=1 flags=history | i", "imported"},
        {"create_accounts id=1 flags=history i", "id"},
        {"create_transfers id=1 flags=pending|clo", "closing_debit closing_credit"},
        {"get", "get_limits get_account_transfers get_account_balances"},
        {"s", "set_limits snapshot stats set"},
        {"set_l", "set_limits"},
        {"set_limits ", "account_id floor balance_max transfer_max over_capture flags"},
        {"set_limits account_id=1 flags=", "block_debits block_credits frozen"},
        {"set_limits account_id=1, acc", "account_id"},
        {"get_limits ", "id"},
        {"help get_l", "get_limits"},
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
    cr_expect_str_eq(repl_flags_print(repl_marks, 0x1f, text, 128),
                     "over_cap|negative|blocked|over_transfer|over_balance");
    cr_expect_str_eq(repl_flags_print(repl_verb_flags(REPL_SET_LIMITS), 0xf, text, 128),
                     "block_debits|block_credits|frozen|0x8");
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
    for (uint32_t code = 0; code <= GIRO_LIMITS_RESULT_MAX; code++) {
        if (strcmp(giro_limits_result_name(code), "unknown") != 0)
            cr_expect_neq(repl_limits_result_text(code), unknown, "limits %u", code);
    }
    cr_expect_eq(repl_transfer_result_text(18), unknown); /* the unused code */
    cr_expect_eq(repl_limits_result_text(9999), unknown);
}
