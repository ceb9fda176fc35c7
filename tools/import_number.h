/* Numbers and dates as people and banks write them, read exactly: no floating point anywhere.
 *
 * Ids that come from elsewhere are made of a namespace and a value, so that customer 7, account 7
 * and transaction 7 of one bank are three different ids:
 *
 *   bits 127..112  0
 *   bits 111..96   namespace, 1 .. 65,535
 *   bits  95..0    value: the source's own number, or 96 bits of a hash of its text
 *
 * They are written "namespace:value". Ids made from the time have bits above 111 set, so the two
 * kinds never meet. */
#ifndef TOOLS_IMPORT_NUMBER_H
#define TOOLS_IMPORT_NUMBER_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 giro_i128;

#define NUMBER_I128_MAX ((giro_i128)(~(giro_u128)0 >> 1))

enum {
    NUMBER_TEXT_BYTES = 56, /* the longest number with thousands separators, and a 0 */
    NUMBER_SCALE_MAX = 18,
    NUMBER_NAMESPACE_MAX = 65535,
    NUMBER_TIMESTAMP_TEXT_BYTES = 40,
    NUMBER_DATE_TEXT_BYTES = 16,
};

enum number_status {
    NUMBER_OK,
    NUMBER_EMPTY,
    NUMBER_NOT_A_NUMBER,
    NUMBER_TOO_MANY_DECIMALS,
    NUMBER_TOO_LARGE,
    NUMBER_NOT_A_DATE,
    NUMBER_NO_SUCH_DAY,
    NUMBER_BEFORE_1970,
};

/* What is wrong, as the end of a sentence ("is not a number"). Static. */
const char *number_status_text(enum number_status status);

/* Reads a whole number, decimal or 0x hexadecimal, or NAMESPACE:VALUE.
 * text ends at size. *out is untouched unless NUMBER_OK is returned. */
enum number_status number_u128(const char *text, size_t size, giro_u128 *out);

/* Reads a decimal amount such as -1234.50 into minor units: with scale 2, -123450. Digits behind
 * the scale must be zeros: amounts are never rounded. mark is the decimal mark; group, if not 0,
 * may stand between digits in front of it. */
enum number_status number_decimal(const char *text, size_t size, unsigned scale, char mark,
                                  char group, giro_i128 *out);

/* The id of a source's own number, or of its text (IBAN, reference), in a namespace. */
giro_u128 number_id(uint32_t namespace_number, giro_u128 value);
giro_u128 number_id_text(uint32_t namespace_number, const char *text, size_t size);

/* Largest value in a namespace. */
#define NUMBER_ID_VALUE_MAX (((giro_u128)1 << 96) - 1)

/* A point in time: the day since 1970-01-01, and nanoseconds into it, UTC. */
struct number_time {
    uint32_t day;
    uint64_t ns;
    bool has_time; /* the text gave a time of day */
};

/* Reads a date in a format: "iso" (1993-01-31, with or without T10:30[:00[.5]] and Z or +01:00), or
 * a pattern of YYYY, YY, MM, DD, hh, mm, ss, and other characters as they are ("DD.MM.YYYY").
 * YY is 19YY from 69 on, else 20YY, as in POSIX. */
enum number_status number_date(const char *text, size_t size, const char *format,
                               struct number_time *out);

/* Whether a pattern has a year, a month and a day, or is "iso". */
bool number_date_format_valid(const char *format);

uint64_t number_timestamp(const struct number_time *time);

/* 1234567 as "1234567"; with scale 2, "12345.67"; with thousands, "12,345.67". Returns out. */
char *number_print(giro_u128 value, unsigned scale, bool thousands, char out[NUMBER_TEXT_BYTES]);
char *number_print_signed(giro_i128 value, unsigned scale, bool thousands,
                          char out[NUMBER_TEXT_BYTES]);

/* An id in a namespace as "namespace:value", any other as a decimal number. Returns out. */
char *number_print_id(giro_u128 id, char out[NUMBER_TEXT_BYTES]);

/* "1993-01-31". Returns out. */
char *number_print_day(uint32_t day, char out[NUMBER_DATE_TEXT_BYTES]);

/* "1993-01-31T10:30:00.000000001Z". Returns out. */
char *number_print_timestamp(uint64_t timestamp, char out[NUMBER_TIMESTAMP_TEXT_BYTES]);

#endif
