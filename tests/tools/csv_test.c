/* The CSV reader: a text, and what comes out of it, as one line. */
#include "tools/csv.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows as "[field|field] ", a last row without a line end as "[...]!", and an error as
 * "LINE:POSITION beginning of its text"; reading goes on behind an error. */
static char *read_all(const char *text, size_t size, struct csv_format format)
{
    char *copy = malloc(size + 1);
    struct csv_row *row = malloc(sizeof *row);
    char *out = NULL;
    size_t out_size = 0;
    FILE *stream = open_memstream(&out, &out_size);
    struct csv_reader reader;
    struct csv_error error;
    enum csv_status status;
    cr_assert(copy != NULL && row != NULL && stream != NULL);
    memcpy(copy, text, size);
    csv_open(&reader, &format, copy, size);
    while ((status = csv_next(&reader, row, &error)) != CSV_END) {
        if (status == CSV_ERROR) {
            fprintf(stream, "%u:%u %.20s ", (unsigned)error.line, error.position, error.text);
            continue;
        }
        fputc('[', stream);
        for (uint32_t i = 0; i < row->count; i++) {
            cr_assert_eq(strlen(row->fields[i].text), row->fields[i].size);
            fprintf(stream, "%s%s", i > 0 ? "|" : "", row->fields[i].text);
        }
        fputs(row->ended ? "] " : "]! ", stream);
    }
    (void)fclose(stream);
    free(copy);
    free(row);
    return out;
}

struct case_row {
    const char *text;
    const char *expected;
};

static void check(const struct case_row *rows, size_t count, struct csv_format format)
{
    for (size_t i = 0; i < count; i++) {
        char *got = read_all(rows[i].text, strlen(rows[i].text), format);
        cr_expect_str_eq(got, rows[i].expected, "%s: got %s", rows[i].text, got);
        free(got);
    }
}

#define CHECK(rows, ...) check(rows, sizeof rows / sizeof rows[0], (struct csv_format){__VA_ARGS__})

Test(csv, reads_rows)
{
    static const struct case_row rows[] = {
        {"", ""},
        {"\n\r\n\n", ""},
        {"a,b\n", "[a|b] "},
        {"a,b", "[a|b]! "},
        {"a,b\r\nc,d\r\n", "[a|b] [c|d] "},
        {"a,b\n\nc,d\n", "[a|b] [c|d] "},
        {",\n", "[|] "},
        {"a,\n", "[a|] "},
        {",,", "[||]! "},
        {" a , b \n", "[ a | b ] "},
        {"\xef\xbb\xbf"
         "a,b\n",
         "[a|b] "},
        {"\xef\xbb\xbf"
         "\"a\",b\n",
         "[a|b] "},
        {"\"a\",\"b\"\n", "[a|b] "},
        {"\"a\",\"b\"", "[a|b]! "},
        {"\"\",\"\"\r\n", "[|] "},
        {"\"a,b\",c\n", "[a,b|c] "},
        {"\"a\"\"b\",c\n", "[a\"b|c] "},
        {"\"\"\"\",\"\"\"\"\"\"\n", "[\"|\"\"] "},
        {"\"a\"\r\n\"b\"\r\n", "[a] [b] "},
    };
    CHECK(rows, .delimiter = ',', .quote = '"');
}

Test(csv, points_at_what_is_wrong_and_goes_on)
{
    static const struct case_row rows[] = {
        {"a,\"b\nc,d\n", "1:3 a quote is opened he [c|d] "},
        {"a\nb,\"c", "[a] 2:3 a quote is opened he "},
        {"\"a\"x,b\nc\n", "1:4 text behind a closin [c] "},
        {"\"a\" ,b\nc\n", "1:4 text behind a closin [c] "},
        {"a\"b\nc\n", "1:2 a quote inside a fie [c] "},
        {"a\rb\nc\n", "1:2 a CR without LF: con [c] "},
        {"a\r", "1:2 a CR without LF: con "},
    };
    CHECK(rows, .delimiter = ',', .quote = '"');
}

Test(csv, takes_line_ends_in_quotes_when_told)
{
    static const struct case_row rows[] = {
        {"\"a\nb\",c\nd,e\n", "[a\nb|c] [d|e] "},
        {"\"a\r\nb\",c\n\"d\"x\n", "[a\r\nb|c] 3:4 text behind a closin "},
        {"a,\"b\nc,d\n", "1:3 a quote is opened he "},
    };
    CHECK(rows, .delimiter = ',', .quote = '"', .line_ends_in_quotes = true);
}

Test(csv, knows_other_marks)
{
    static const struct case_row semicolons[] = {{"a;'b;c';d,e\n", "[a|b;c|d,e] "}};
    static const struct case_row tabs[] = {{"a\t\"b\tc\"\n", "[a|\"b|c\"] "}};
    CHECK(semicolons, .delimiter = ';', .quote = '\'');
    CHECK(tabs, .delimiter = '\t', .quote = 0);
}

Test(csv, refuses_nul_bytes)
{
    char *got = read_all("a\0,b\nc\n", 7, (struct csv_format){.delimiter = ',', .quote = '"'});
    cr_expect_str_eq(got, "1:2 a NUL byte: convert  [c] ", "%s", got);
    free(got);
}

Test(csv, refuses_rows_without_end)
{
    size_t size = CSV_ROW_BYTES_MAX + 100;
    char *text = malloc(size + 1);
    char *got;
    cr_assert_neq(text, NULL);
    memset(text, 'a', size);
    text[size - 3] = '\n';
    got = read_all(text, size, (struct csv_format){.delimiter = ',', .quote = '"'});
    cr_expect_str_eq(got, "1:1 a row longer than 65 [aa]! ", "%s", got);
    free(got);
    memset(text, ',', size);
    text[1000] = '\n';
    text[1001] = 'b';
    text[1002] = '\n';
    got = read_all(text, 1003, (struct csv_format){.delimiter = ',', .quote = '"'});
    cr_expect_str_eq(got, "1:257 more than 256 column [b] ", "%s", got);
    free(got);
    free(text);
}
