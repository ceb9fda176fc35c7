/* Amounts, ids, dates: a text, and exactly what it means. */
#include "tools/import_number.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(number_decimal, is_exact)
{
    static const struct {
        const char *text;
        unsigned scale;
        char mark;
        char group;
        enum number_status status;
        const char *expected; /* minor units */
    } rows[] = {
        {"700.00", 2, '.', 0, NUMBER_OK, "70000"},
        {"0.01", 2, '.', 0, NUMBER_OK, "1"},
        {"0.1", 2, '.', 0, NUMBER_OK, "10"},
        {"5", 2, '.', 0, NUMBER_OK, "500"},
        {"-5.25", 2, '.', 0, NUMBER_OK, "-525"},
        {"+5.25", 2, '.', 0, NUMBER_OK, "525"},
        {"-0.01", 2, '.', 0, NUMBER_OK, "-1"},
        {"007", 0, '.', 0, NUMBER_OK, "7"},
        {"1.500", 2, '.', 0, NUMBER_OK, "150"},
        {"1.501", 2, '.', 0, NUMBER_TOO_MANY_DECIMALS, NULL},
        {"1.5", 0, '.', 0, NUMBER_TOO_MANY_DECIMALS, NULL},
        {"1.0", 0, '.', 0, NUMBER_OK, "1"},
        {"1,50", 2, ',', '.', NUMBER_OK, "150"},
        {"1.234.567,50", 2, ',', '.', NUMBER_OK, "123456750"},
        {"1,234,567.5", 2, '.', ',', NUMBER_OK, "123456750"},
        {"1 234,5", 2, ',', ' ', NUMBER_OK, "123450"},
        {"1,50", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {",50", 2, '.', ',', NUMBER_NOT_A_NUMBER, NULL},
        {"", 2, '.', 0, NUMBER_EMPTY, NULL},
        {"-", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {".", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {".5", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {"5.", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {"5.x", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {"1e3", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {"--1", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {"1.2.3", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        {"nan", 2, '.', 0, NUMBER_NOT_A_NUMBER, NULL},
        /* 2^127 - 1 is the last that fits. */
        {"170141183460469231731687303715884105727", 0, '.', 0, NUMBER_OK,
         "170141183460469231731687303715884105727"},
        {"1701411834604692317316873037158841057.27", 2, '.', 0, NUMBER_OK,
         "170141183460469231731687303715884105727"},
        {"170141183460469231731687303715884105728", 0, '.', 0, NUMBER_TOO_LARGE, NULL},
        {"1701411834604692317316873037158841057.28", 2, '.', 0, NUMBER_TOO_LARGE, NULL},
        {"17014118346046923173168730371588410573", 2, '.', 0, NUMBER_TOO_LARGE, NULL},
        {"99999999999999999999999999999999999999999999", 0, '.', 0, NUMBER_TOO_LARGE, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        giro_i128 value = -77;
        char text[NUMBER_TEXT_BYTES];
        enum number_status status = number_decimal(
            rows[i].text, strlen(rows[i].text), rows[i].scale, rows[i].mark, rows[i].group, &value);
        cr_expect_eq(status, rows[i].status, "%s: status %d", rows[i].text, (int)status);
        (void)number_print_signed(value, 0, false, text);
        cr_expect_str_eq(text, rows[i].expected == NULL ? "-77" : rows[i].expected, "%s: %s",
                         rows[i].text, text);
    }
}

Test(number_u128, reads_decimal_hexadecimal_and_namespaces)
{
    static const struct {
        const char *text;
        enum number_status status;
        const char *expected;
    } rows[] = {
        {"0", NUMBER_OK, "0"},
        {"18446744073709551616", NUMBER_OK, "18446744073709551616"},
        {"340282366920938463463374607431768211455", NUMBER_OK,
         "340282366920938463463374607431768211455"},
        {"340282366920938463463374607431768211456", NUMBER_TOO_LARGE, NULL},
        {"0xff", NUMBER_OK, "255"},
        {"0XfF", NUMBER_OK, "255"},
        {"0xffffffffffffffffffffffffffffffff", NUMBER_OK,
         "340282366920938463463374607431768211455"},
        {"0x100000000000000000000000000000000", NUMBER_TOO_LARGE, NULL},
        {"0x", NUMBER_NOT_A_NUMBER, NULL},
        {"", NUMBER_EMPTY, NULL},
        {"-1", NUMBER_NOT_A_NUMBER, NULL},
        {"12a", NUMBER_NOT_A_NUMBER, NULL},
        {" 1", NUMBER_NOT_A_NUMBER, NULL},
        {"2:576", NUMBER_OK, "2:576"},
        {"65535:1", NUMBER_OK, "65535:1"},
        {"0:1", NUMBER_TOO_LARGE, NULL},
        {"65536:1", NUMBER_TOO_LARGE, NULL},
        {"1:0x1000000000000000000000000", NUMBER_TOO_LARGE, NULL},
        {"1:", NUMBER_NOT_A_NUMBER, NULL},
        {":1", NUMBER_NOT_A_NUMBER, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        giro_u128 value = 77;
        char text[NUMBER_TEXT_BYTES];
        enum number_status status = number_u128(rows[i].text, strlen(rows[i].text), &value);
        cr_expect_eq(status, rows[i].status, "%s: status %d", rows[i].text, (int)status);
        cr_expect_str_eq(number_print_id(value, text),
                         rows[i].expected == NULL ? "77" : rows[i].expected, "%s: %s", rows[i].text,
                         text);
    }
}

Test(number_id, keeps_kinds_apart)
{
    cr_expect(number_id(1, 7) != number_id(2, 7));
    cr_expect(number_id(1, 7) == ((giro_u128)1 << 96 | 7));
    cr_expect(number_id_text(1, "CZ65", 4) == number_id_text(1, "CZ65", 4));
    cr_expect(number_id_text(1, "CZ65", 4) != number_id_text(1, "CZ66", 4));
    cr_expect(number_id_text(1, "CZ65", 4) != number_id_text(2, "CZ65", 4));
    cr_expect(number_id_text(9, "CZ65", 4) >> 96 == 9);
}

Test(number_date, reads_formats)
{
    static const struct {
        const char *text;
        const char *format;
        enum number_status status;
        const char *expected;
    } rows[] = {
        {"930101", "YYMMDD", NUMBER_OK, "1993-01-01T00:00:00.000000000Z"},
        {"690101", "YYMMDD", NUMBER_BEFORE_1970, NULL},
        {"680101", "YYMMDD", NUMBER_OK, "2068-01-01T00:00:00.000000000Z"},
        {"700101", "YYMMDD", NUMBER_OK, "1970-01-01T00:00:00.000000000Z"},
        {"19930228", "YYYYMMDD", NUMBER_OK, "1993-02-28T00:00:00.000000000Z"},
        {"31.12.1999", "DD.MM.YYYY", NUMBER_OK, "1999-12-31T00:00:00.000000000Z"},
        {"12/31/99 23:59:58", "MM/DD/YY hh:mm:ss", NUMBER_OK, "1999-12-31T23:59:58.000000000Z"},
        {"2000-02-29", "iso", NUMBER_OK, "2000-02-29T00:00:00.000000000Z"},
        {"2100-02-29", "iso", NUMBER_NO_SUCH_DAY, NULL},
        {"1993-02-29", "iso", NUMBER_NO_SUCH_DAY, NULL},
        {"1993-13-01", "iso", NUMBER_NO_SUCH_DAY, NULL},
        {"1993-00-01", "iso", NUMBER_NO_SUCH_DAY, NULL},
        {"1993-01-00", "iso", NUMBER_NO_SUCH_DAY, NULL},
        {"2024-01-31T10:30", "iso", NUMBER_OK, "2024-01-31T10:30:00.000000000Z"},
        {"2024-01-31 10:30:05", "iso", NUMBER_OK, "2024-01-31T10:30:05.000000000Z"},
        {"2024-01-31T10:30:05.25Z", "iso", NUMBER_OK, "2024-01-31T10:30:05.250000000Z"},
        {"2024-01-31T10:30:05.1234567891Z", "iso", NUMBER_OK, "2024-01-31T10:30:05.123456789Z"},
        {"2024-01-31T00:30:00+01:00", "iso", NUMBER_OK, "2024-01-30T23:30:00.000000000Z"},
        {"2024-12-31T23:30:00-0130", "iso", NUMBER_OK, "2025-01-01T01:00:00.000000000Z"},
        {"2024-01-31T24:00", "iso", NUMBER_NO_SUCH_DAY, NULL},
        {"2024-01-31T10:60", "iso", NUMBER_NO_SUCH_DAY, NULL},
        {"2024-01-31T10", "iso", NUMBER_NOT_A_DATE, NULL},
        {"2024-01-31x", "iso", NUMBER_NOT_A_DATE, NULL},
        {"2024-1-31", "iso", NUMBER_NOT_A_DATE, NULL},
        {"93010", "YYMMDD", NUMBER_NOT_A_DATE, NULL},
        {"9301011", "YYMMDD", NUMBER_NOT_A_DATE, NULL},
        {"", "YYMMDD", NUMBER_EMPTY, NULL},
        {"1969-12-31", "iso", NUMBER_BEFORE_1970, NULL},
        {"1970-01-01T00:30+01:00", "iso", NUMBER_BEFORE_1970, NULL},
        {"2261-12-31", "iso", NUMBER_OK, "2261-12-31T00:00:00.000000000Z"},
        {"2262-01-01", "iso", NUMBER_TOO_LARGE, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct number_time time = {0};
        char text[NUMBER_TIMESTAMP_TEXT_BYTES];
        enum number_status status =
            number_date(rows[i].text, strlen(rows[i].text), rows[i].format, &time);
        cr_expect_eq(status, rows[i].status, "%s: status %d", rows[i].text, (int)status);
        if (rows[i].expected == NULL)
            continue;
        (void)number_print_timestamp(number_timestamp(&time), text);
        cr_expect_str_eq(text, rows[i].expected, "%s: %s", rows[i].text, text);
    }
}

Test(number_date, counts_every_day)
{
    uint32_t expected = 0;
    for (unsigned year = 1970; year < 2262; year++) {
        for (unsigned month = 1; month <= 12; month++) {
            for (unsigned day = 1; day <= 31; day++) {
                struct number_time time;
                char text[NUMBER_DATE_TEXT_BYTES];
                char back[NUMBER_DATE_TEXT_BYTES];
                (void)snprintf(text, sizeof text, "%04u-%02u-%02u", year % 10000, month % 100,
                               day % 100);
                if (number_date(text, 10, "iso", &time) == NUMBER_NO_SUCH_DAY)
                    continue;
                cr_assert_eq(time.day, expected++, "%s", text);
                cr_assert_str_eq(number_print_day(time.day, back), text);
            }
        }
    }
}

Test(number_print, places_marks)
{
    static const struct {
        giro_i128 value;
        unsigned scale;
        bool thousands;
        const char *expected;
    } rows[] = {
        {0, 0, false, "0"},
        {0, 2, true, "0.00"},
        {5, 2, false, "0.05"},
        {-5, 2, true, "-0.05"},
        {1234567, 0, true, "1,234,567"},
        {1234567, 2, true, "12,345.67"},
        {1234567, 2, false, "12345.67"},
        {100000, 2, true, "1,000.00"},
        {999, 0, true, "999"},
        {-1000, 0, true, "-1,000"},
    };
    char text[NUMBER_TEXT_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_str_eq(number_print_signed(rows[i].value, rows[i].scale, rows[i].thousands, text),
                         rows[i].expected, "%s", text);
    cr_expect_str_eq(number_print(GIRO_U128_MAX, 0, true, text),
                     "340,282,366,920,938,463,463,374,607,431,768,211,455");
    cr_expect_str_eq(number_print_signed(-NUMBER_I128_MAX - 1, 1, true, text),
                     "-17,014,118,346,046,923,173,168,730,371,588,410,572.8");
}
