/* Mapping files: a text, and the error that it gets. */
#include "tests/tools/import_fixture.h"
#include "tools/import_mapping.h"

/* A mapping that is right, for tests that add to it. */
#define GOOD                                                                                       \
    "[fields]\n"                                                                                   \
    "id = column id\n"                                                                             \
    "account = column account\n"                                                                   \
    "counterparty = constant 9\n"                                                                  \
    "direction = sign\n"                                                                           \
    "amount = column amount\n"                                                                     \
    "date = column date\n"                                                                         \
    "code = constant 1\n"                                                                          \
    "ledger = constant 1\n"

Test(mapping, names_what_is_wrong_and_where)
{
    static const struct {
        const char *text;
        const char *expected; /* the beginning of the error; NULL: none */
    } rows[] = {
        {GOOD, NULL},
        {"# a comment\n\n[file]\n  scale = 3\n" GOOD, NULL},
        {"[fields\n", "m.ini:1: not a line \"name = value\" and not a [section]"},
        {"[fields]\nnonsense\n", "m.ini:2: not a line \"name = value\" and not a [section]"},
        {"[fiels]\nid = column id\n", "m.ini:2: unknown section [fiels]"},
        {"[file]\ndelimeter = comma\n", "m.ini:2: [file] has no setting \"delimeter\""},
        {"[file]\ndelimiter = x\n", "m.ini:2: delimiter = x: give comma, semicolon, tab or pipe"},
        {"[file]\nscale = 19\n", "m.ini:2: scale = 19: give the decimals of an amount, 0 to 18"},
        {"[file]\nscale = -1\n", "m.ini:2: scale = -1: give"},
        {"[file]\ndate_format = DDMM\n", "m.ini:2: date_format = DDMM: give iso, or a pattern"},
        {"[ids]\naccount = 0\n", "m.ini:2: account = 0: give a number from 1 to 65535"},
        {"[ids]\ntransfer = 2\n" GOOD, "m.ini: [ids]: give transfers a namespace of their own"},
        {"[file]\ndecimal_mark = comma\ngroup_mark = comma\n" GOOD, "m.ini: [file]: two of its"},
        {"[accounts]\nflags = history|closed\n", "m.ini:2: flags = history|closed: give none, or"},
        {"[accounts]\ndate = 31.12.1992\n", "m.ini:2: date = 31.12.1992: give a date such as"},
        {"[fields]\nidd = column id\n", "m.ini:2: [fields] has no field \"idd\""},
        {"[fields]\nid = id\n", "m.ini:2: id = id: a value begins with column, text, constant"},
        {"[fields]\nid = constant 1\n", "m.ini:2: id = constant 1: a value begins with"},
        {"[fields]\nid = column\n", "m.ini:2: id = column: something is missing"},
        {"[fields]\nid = column a\nid = column b\n", "m.ini:3: id is given twice: keep one"},
        {"[fields]\nid = column a, b\n", "m.ini:2: \"a, b\": give one column"},
        {"[fields]\ncode = map a, b, c, d, e\n", "m.ini:2: \"a, b, c, d, e\": a map looks at no"},
        {"[fields]\ncode = map a,,b\n", "m.ini:2: \"a,,b\": a column's name is missing"},
        {"[fields]\ncode = constant 65536\n", "m.ini:2: code = constant 65536: not a number that"},
        {"[fields]\ndirection = constant up\n", "m.ini:2: direction = constant up: give debit or"},
        {"[fields]\ndirection = sign amount\n", "m.ini:2: direction = sign amount: nothing"},
        {"[fields]\nid = column id\n", "m.ini: [fields] gives no account, which a mapping of"},
        {"[file]\nkind = accounts\n" GOOD, "m.ini:5: a mapping of accounts has no field account"},
        {GOOD "user_data_64 = map type\n", "m.ini:10: user_data_64 is a map, and there is no"},
        {GOOD "[code]\nx = 1\n", "m.ini:11: [code] is there, but [fields] has no code = map ..."},
        {GOOD "user_data_64 = map type\n[user_data_64]\na = b\n", "m.ini:12: a = b: give a number"},
        {GOOD "user_data_32 = map type\n[user_data_32]\na = 4294967296\n",
         "m.ini:12: a = 4294967296: give a number that fits"},
        {GOOD "user_data_64 = map type\n[user_data_64]\na | b = 1\n",
         "m.ini:12: 2 values for a map of 1 columns: write VALUE | VALUE"},
        {GOOD "[direction]\na = debit\n", "m.ini:11: [direction] is there, but [fields] has no"},
        {GOOD "[proof]\ntolerance = 0.001\n", "m.ini: [proof]: tolerance = 0.001: give an amount"},
        {"[file]\nscale = 3\n" GOOD "[proof]\ntolerance = 0.001\n", NULL},
    };
    char path[64];
    directory_enter(path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mapping mapping;
        char error[MAPPING_ERROR_BYTES] = "";
        file_write("m.ini", rows[i].text);
        bool good = mapping_load(&mapping, "m.ini", error);
        cr_expect_eq(good, rows[i].expected == NULL, "%s: %s", rows[i].text, error);
        if (rows[i].expected != NULL)
            cr_expect_eq(strncmp(error, rows[i].expected, strlen(rows[i].expected)), 0,
                         "%s: got %s", rows[i].text, error);
        if (good)
            mapping_free(&mapping);
    }
    directory_leave(path);
}

Test(mapping, refuses_lines_that_are_too_long)
{
    char path[64];
    char text[600];
    char error[MAPPING_ERROR_BYTES];
    struct mapping mapping;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    directory_enter(path);
    file_write("m.ini", text);
    cr_expect_not(mapping_load(&mapping, "m.ini", error));
    cr_expect_neq(strstr(error, "m.ini:1: the line is longer than"), NULL, "%s", error);
    cr_expect_not(mapping_load(&mapping, "none.ini", error));
    cr_expect_neq(strstr(error, "none.ini: cannot open the mapping file"), NULL, "%s", error);
    directory_leave(path);
}
