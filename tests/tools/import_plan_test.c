/* Files and a mapping: the plan that comes out of them, or the errors. */
#include "tests/tools/import_fixture.h"
#include "tools/import_plan.h"

static const char mapping_text[] = "[file]\n"
                                   "delimiter = semicolon\n"
                                   "date_format = yymmdd\n"
                                   "[fields]\n"
                                   "id = column id\n"
                                   "account = column account\n"
                                   "counterparty = map operation, symbol\n"
                                   "direction = map type\n"
                                   "amount = column amount\n"
                                   "date = column date\n"
                                   "code = constant 7\n"
                                   "ledger = constant 203\n"
                                   "user_data_64 = column other\n"
                                   "balance = column balance\n"
                                   "[direction]\n"
                                   "IN = credit\n"
                                   "OUT = debit\n"
                                   "[counterparty]\n"
                                   "CASH | (empty) = 11 Cash\n"
                                   "CASH | FEE = 12 Fees\n"
                                   "(empty) | * = 13 Interest\n"
                                   "[skip]\n"
                                   "type = VOID\n";

#define HEADER "id;account;date;type;operation;symbol;amount;balance;other\n"

static struct mapping mapping;
static struct import_plan plan;
static char directory[64];

/* Reads a.csv with a text, and b.csv too if there is one. Returns what was printed; free() it. */
static char *plan_read(const char *map, const char *a, const char *b, bool *good)
{
    static char a_name[] = "a.csv";
    static char b_name[] = "b.csv";
    char *const names[] = {a_name, b_name};
    char error[MAPPING_ERROR_BYTES] = "";
    char *out = NULL;
    size_t out_size = 0;
    FILE *stream = open_memstream(&out, &out_size);
    directory_enter(directory);
    file_write("m.ini", map);
    file_write("a.csv", a);
    if (b != NULL)
        file_write("b.csv", b);
    cr_assert(mapping_load(&mapping, "m.ini", error), "%s", error);
    *good = import_plan_read(&plan, "import", &mapping, names, b == NULL ? 1 : 2, stream);
    (void)fclose(stream);
    return out;
}

static void plan_end(char *out)
{
    import_plan_free(&plan);
    mapping_free(&mapping);
    directory_leave(directory);
    free(out);
}

static void expect_error(const char *map, const char *csv, const char *expected)
{
    bool good;
    char *out = plan_read(map, csv, NULL, &good);
    cr_expect_not(good, "%s", csv);
    cr_expect_neq(strstr(out, expected), NULL, "%s: got %s", csv, out);
    plan_end(out);
}

Test(import_plan, makes_transfers)
{
    bool good;
    char *out = plan_read(mapping_text,
                          HEADER "5;576;930102;\"OUT\";\"CASH\";\" \";12.50;87.50;\n"
                                 "4;576;930101;IN;CASH;FEE;100.00;100.00;\"77\"\n"
                                 "6;9;930101;VOID;x;x;x;x;x\n"
                                 "7;577;930101;IN;;UROK;1.00;1.00;\n",
                          NULL, &good);
    cr_assert(good, "%s", out);
    cr_assert_eq(plan.transfer_count, 3);
    cr_assert_eq(plan.account_count, 5);
    cr_expect_eq(plan.files[0].rows, 3);
    cr_expect_eq(plan.files[0].rows_skipped, 1);

    /* In the order of time, and of the file within a day: from the day's second second on. */
    const uint64_t day = 8401ull * 86400 * GIRO_NS_PER_S; /* 1993-01-01 */
    const struct giro_transfer *transfer = &plan.transfers[0].transfer;
    cr_expect(transfer->id == number_id(1, 4));
    cr_expect(transfer->debit_account_id == number_id(3, 12));
    cr_expect(transfer->credit_account_id == number_id(2, 576));
    cr_expect(transfer->amount == 10000);
    cr_expect_eq(transfer->code, 7);
    cr_expect_eq(transfer->ledger, 203);
    cr_expect_eq(transfer->user_data_64, 77);
    cr_expect_eq(transfer->flags, GIRO_TRANSFER_IMPORTED);
    cr_expect_eq(transfer->timestamp, day + GIRO_NS_PER_S);
    cr_expect_eq(plan.transfers[1].transfer.timestamp, day + GIRO_NS_PER_S + 1);
    cr_expect_eq(plan.transfers[2].transfer.timestamp, day + 86400 * GIRO_NS_PER_S + GIRO_NS_PER_S);
    cr_expect(plan.transfers[2].transfer.debit_account_id == number_id(2, 576));
    cr_expect(plan.transfers[2].balance == 8750);
    cr_expect_eq(plan.transfers[2].origin.line, 2);

    /* Accounts come before the first transfer. */
    for (uint32_t i = 0; i < plan.account_count; i++) {
        cr_expect_eq(plan.accounts[i].account.timestamp, day + 1 + i);
        cr_expect_eq(plan.accounts[i].account.flags, GIRO_ACCOUNT_IMPORTED);
        cr_expect_eq(import_ids_find(&plan.account_ids, plan.accounts[i].account.id), i);
    }
    plan_end(out);
}

Test(import_plan, orders_rows_of_all_files)
{
    bool good;
    char *out = plan_read(mapping_text, HEADER "1;1;930102;IN;CASH;;1;1;\n",
                          HEADER "2;1;930101;IN;CASH;;2;2;\n3;1;930102;IN;CASH;;3;3;\n", &good);
    cr_assert(good, "%s", out);
    cr_assert_eq(plan.transfer_count, 3);
    cr_expect(plan.transfers[0].transfer.id == number_id(1, 2));
    cr_expect(plan.transfers[1].transfer.id == number_id(1, 1));
    cr_expect(plan.transfers[2].transfer.id == number_id(1, 3));
    cr_expect_lt(plan.transfers[1].transfer.timestamp, plan.transfers[2].transfer.timestamp);
    plan_end(out);
}

Test(import_plan, points_at_bad_rows)
{
    static const struct {
        const char *rows;
        const char *expected;
    } rows[] = {
        {"1;1;930101;IN;CASH;;1\n", "a.csv:2:21: 7 columns instead of 9"},
        {"x;1;930101;IN;CASH;;1;1;\n", "a.csv:2:1: column \"id\": \"x\" is not a number"},
        {";1;930101;IN;CASH;;1;1;\n", "a.csv:2:1: column \"id\": \"\" is empty"},
        {"1;1;930101;IN;CASH;;1;1;\n1;1;930101;IN;CASH;;1;1;\n",
         "a.csv:3:1: column \"id\": \"1\" comes twice: a.csv:2 has it already"},
        {"1;1;930101;IN;CASH;;1.005;1;\n", "a.csv:2:21: column \"amount\": \"1.005\" has more"},
        {"1;1;930101;IN;CASH;;1,5;1;\n", "a.csv:2:21: column \"amount\": \"1,5\" is not a number"},
        {"1;1;930101;IN;CASH;;-1;1;\n", "a.csv:2:21: column \"amount\": \"-1\" is negative"},
        {"1;1;930101;IN;CASH;;1;;\n", "a.csv:2:23: column \"balance\": \"\" is empty"},
        {"1;1;930230;IN;CASH;;1;1;\n", "a.csv:2:5: column \"date\": \"930230\" is a day or time"},
        {"1;1;1993-01-01;IN;CASH;;1;1;\n", "is not a date of this format: correct the row, or "
                                           "date_format (now YYMMDD)"},
        {"1;1;930101;UP;CASH;;1;1;\n", "a.csv:2:12: no rule of [direction] fits \"UP\": add a line "
                                       "\"UP = ...\" to [direction] of m.ini"},
        {"1;1;930101;IN;CASH;Y;1;1;\n", "a.csv:2:15: no rule of [counterparty] fits \"CASH | Y\""},
        {"1;1;930101;IN;\"CASH;;1;1;\n", "a.csv:2:15: a quote is opened here and not closed"},
        {"1;1;930101;IN;CASH;;1;1;x\n", "a.csv:2:25: column \"other\": \"x\" is not a number"},
        {"1;1;930101;IN;CASH;;1;1;\n2;1;9301", "a.csv:3:9: the file ends in the middle of a row"},
    };
    char csv[400];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(csv, sizeof csv, "%s%s", HEADER, rows[i].rows);
        expect_error(mapping_text, csv, rows[i].expected);
    }
}

Test(import_plan, points_at_bad_files)
{
    expect_error(mapping_text, "", "a.csv:1:1: the file is empty");
    expect_error(mapping_text, "id;account\n", "a.csv:1:1: none of the 2 columns is");
    expect_error(mapping_text, "id,account,date\n", "m.ini:5 asks for: compare the names, and the");
}

Test(import_plan, counts_the_errors_that_it_does_not_show)
{
    char csv[2048] = HEADER;
    bool good;
    for (int i = 0; i < 25; i++)
        (void)snprintf(csv + strlen(csv), sizeof csv - strlen(csv), "x;\n");
    char *out = plan_read(mapping_text, csv, NULL, &good);
    cr_expect_not(good);
    cr_expect_neq(strstr(out, "a.csv:21:"), NULL, "%s", out);
    cr_expect_eq(strstr(out, "a.csv:22:"), NULL, "%s", out);
    cr_expect_neq(strstr(out, "giro import: and 5 more errors\n"), NULL, "%s", out);
    plan_end(out);
}

Test(import_plan, drops_an_incomplete_last_row_when_told)
{
    char map[2048];
    bool good;
    (void)snprintf(map, sizeof map, "[file]\nincomplete_last_row = drop\n%s", mapping_text);
    char *out = plan_read(map, HEADER "1;1;930101;IN;CASH;;1;1;\n2;1;930101;\"I", NULL, &good);
    cr_assert(good, "%s", out);
    cr_expect_eq(plan.transfer_count, 1);
    cr_expect_eq(plan.files[0].dropped_line, 3);
    plan_end(out);
    out = plan_read(map, HEADER "1;1;930101;IN;CASH;;1;1;5", NULL, &good);
    cr_assert(good, "%s", out); /* whole, although no line end follows */
    cr_expect_eq(plan.transfer_count, 1);
    cr_expect_eq(plan.transfers[0].transfer.user_data_64, 5);
    plan_end(out);
}

Test(import_plan, reads_files_without_header_signed_amounts_and_texts)
{
    static const char map[] = "[file]\n"
                              "header = no\n"
                              "[fields]\n"
                              "id = column #1\n"
                              "account = text #2\n"
                              "counterparty = constant 9\n"
                              "direction = sign\n"
                              "amount = column #3\n"
                              "date = column #4\n"
                              "code = constant 1\n"
                              "ledger = constant 978\n";
    bool good;
    char *out = plan_read(map, "1,CZ65 0800,-1.50,2024-01-31T10:30\n2,CZ65 0800,2,2024-01-31\n",
                          NULL, &good);
    cr_assert(good, "%s", out);
    cr_assert_eq(plan.transfer_count, 2);
    cr_expect(plan.transfers[1].transfer.debit_account_id == number_id_text(2, "CZ65 0800", 9));
    cr_expect(plan.transfers[1].transfer.amount == 150);
    cr_expect(plan.transfers[0].transfer.credit_account_id == number_id_text(2, "CZ65 0800", 9));
    cr_expect_eq(plan.transfers[1].transfer.timestamp, 1706697000 * GIRO_NS_PER_S);
    plan_end(out);
    expect_error(map, "1,a,1\n", "without a header they are called #1, #2, ...");
}

Test(import_plan, makes_accounts)
{
    static const char map[] = "[file]\n"
                              "kind = accounts\n"
                              "[fields]\n"
                              "id = column id\n"
                              "code = map kind\n"
                              "ledger = constant 1\n"
                              "date = column opened\n"
                              "[code]\n"
                              "current = 10\n"
                              "* = 11\n"
                              "[accounts]\n"
                              "flags = history\n";
    bool good;
    char *out =
        plan_read(map, "id,kind,opened\n5,current,1993-01-02\n6,other,1993-01-01\n", NULL, &good);
    cr_assert(good, "%s", out);
    cr_assert_eq(plan.account_count, 2);
    cr_expect(plan.accounts[0].account.id == number_id(2, 6));
    cr_expect_eq(plan.accounts[0].account.code, 11);
    cr_expect_eq(plan.accounts[1].account.code, 10);
    cr_expect_eq(plan.accounts[1].account.flags, GIRO_ACCOUNT_HISTORY | GIRO_ACCOUNT_IMPORTED);
    plan_end(out);
    expect_error(map, "id,kind,opened\n5,a,1993-01-02\n5,a,1993-01-02\n",
                 "a.csv:3:1: column \"id\": \"5\" comes twice: line 2 has it already");
}
