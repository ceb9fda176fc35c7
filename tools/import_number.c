#include "tools/import_number.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const uint64_t ns_per_day = 86400 * GIRO_NS_PER_S;

const char *number_status_text(enum number_status status)
{
    switch (status) {
    case NUMBER_OK:
        return "is good";
    case NUMBER_EMPTY:
        return "is empty";
    case NUMBER_NOT_A_NUMBER:
        return "is not a number";
    case NUMBER_TOO_MANY_DECIMALS:
        return "has more decimals than the scale allows, and amounts are never rounded";
    case NUMBER_TOO_LARGE:
        return "is too large";
    case NUMBER_NOT_A_DATE:
        return "is not a date of this format";
    case NUMBER_NO_SUCH_DAY:
        return "is a day or time that does not exist";
    case NUMBER_BEFORE_1970:
        return "is before 1970, the first year that timestamps can hold";
    }
    return "is wrong";
}

/* ---- whole numbers ----------------------------------------------------------------------- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

static enum number_status digits_read(const char *text, size_t size, unsigned base, giro_u128 *out)
{
    giro_u128 value = 0;
    if (size == 0)
        return NUMBER_EMPTY;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)digit_value(text[i]);
        if (digit >= base)
            return NUMBER_NOT_A_NUMBER;
        if (value > (GIRO_U128_MAX - digit) / base)
            return NUMBER_TOO_LARGE;
        value = value * base + digit;
    }
    *out = value;
    return NUMBER_OK;
}

static enum number_status plain_read(const char *text, size_t size, giro_u128 *out)
{
    if (size >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        enum number_status status = digits_read(text + 2, size - 2, 16, out);
        return status == NUMBER_EMPTY ? NUMBER_NOT_A_NUMBER : status;
    }
    return digits_read(text, size, 10, out);
}

enum number_status number_u128(const char *text, size_t size, giro_u128 *out)
{
    const char *colon = memchr(text, ':', size);
    if (colon == NULL)
        return plain_read(text, size, out);

    size_t head = (size_t)(colon - text);
    giro_u128 namespace_number;
    giro_u128 value;
    if (plain_read(text, head, &namespace_number) != NUMBER_OK ||
        plain_read(colon + 1, size - head - 1, &value) != NUMBER_OK)
        return NUMBER_NOT_A_NUMBER;
    if (namespace_number == 0 || namespace_number > NUMBER_NAMESPACE_MAX ||
        value > NUMBER_ID_VALUE_MAX)
        return NUMBER_TOO_LARGE;
    *out = number_id((uint32_t)namespace_number, value);
    return NUMBER_OK;
}

/* ---- ids --------------------------------------------------------------------------------- */

giro_u128 number_id(uint32_t namespace_number, giro_u128 value)
{
    assert(namespace_number >= 1);
    assert(namespace_number <= NUMBER_NAMESPACE_MAX);
    assert(value <= NUMBER_ID_VALUE_MAX);
    return (giro_u128)namespace_number << 96 | value;
}

giro_u128 number_id_text(uint32_t namespace_number, const char *text, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(text, size);
    giro_u128 value = ((giro_u128)hash.high64 << 64 | hash.low64) & NUMBER_ID_VALUE_MAX;
    return number_id(namespace_number, value);
}

/* ---- amounts ----------------------------------------------------------------------------- */

/* Appends a digit to a magnitude below 2^127; false when it would not fit. */
static bool magnitude_add(giro_i128 *magnitude, char digit)
{
    int value = digit - '0';
    if (*magnitude > (NUMBER_I128_MAX - value) / 10)
        return false;
    *magnitude = *magnitude * 10 + value;
    return true;
}

/* Reads the digits behind the decimal mark and fills up to the scale. */
static enum number_status decimals_read(const char *text, size_t size, unsigned scale,
                                        giro_i128 *magnitude)
{
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)text[i]))
            return NUMBER_NOT_A_NUMBER;
        if (i >= scale && text[i] != '0')
            return NUMBER_TOO_MANY_DECIMALS;
        if (i < scale && !magnitude_add(magnitude, text[i]))
            return NUMBER_TOO_LARGE;
    }
    for (size_t i = size; i < scale; i++) {
        if (!magnitude_add(magnitude, '0'))
            return NUMBER_TOO_LARGE;
    }
    return NUMBER_OK;
}

enum number_status number_decimal(const char *text, size_t size, unsigned scale, char mark,
                                  char group, giro_i128 *out)
{
    assert(scale <= NUMBER_SCALE_MAX);
    if (size == 0)
        return NUMBER_EMPTY;
    bool negative = text[0] == '-';
    size_t at = negative || text[0] == '+' ? 1 : 0;
    size_t digits = 0;
    giro_i128 magnitude = 0;
    for (; at < size && text[at] != mark; at++) {
        if (group != 0 && text[at] == group && digits > 0)
            continue;
        if (!isdigit((unsigned char)text[at]))
            return NUMBER_NOT_A_NUMBER;
        if (!magnitude_add(&magnitude, text[at]))
            return NUMBER_TOO_LARGE;
        digits++;
    }
    size_t decimals = at < size ? size - at - 1 : 0;
    if (digits == 0 || (at < size && decimals == 0))
        return NUMBER_NOT_A_NUMBER;
    enum number_status status = decimals_read(text + size - decimals, decimals, scale, &magnitude);
    if (status == NUMBER_OK)
        *out = negative ? -magnitude : magnitude;
    return status;
}

/* ---- dates ------------------------------------------------------------------------------- */

struct date_parts {
    unsigned year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
    uint32_t fraction_ns;
    int offset_minutes; /* east of UTC */
    bool has_time;
};

static bool leap_year(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap_year(year) ? 1u : 0u);
}

/* Days from 1970-01-01 to a date from then on, counting years from March, so that the leap day is
 * the last of its year. */
static uint32_t civil_day(unsigned year, unsigned month, unsigned day)
{
    unsigned march_year = month <= 2 ? year - 1 : year;
    unsigned march_month = month <= 2 ? month + 9 : month - 3;
    unsigned before_year = march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400;
    unsigned before_month = (153 * march_month + 2) / 5;
    const unsigned before_1970 = 719468; /* days from 0000-03-01 to 1970-01-01 */
    return before_year + before_month + day - 1 - before_1970;
}

static void civil_date(uint32_t day, unsigned *year, unsigned *month, unsigned *of_month)
{
    *year = 1970;
    *month = 1;
    while (day >= (leap_year(*year) ? 366u : 365u))
        day -= leap_year((*year)++) ? 366u : 365u;
    while (day >= month_days(*year, *month))
        day -= month_days(*year, (*month)++);
    *of_month = day + 1;
}

static enum number_status parts_time(const struct date_parts *parts, struct number_time *out)
{
    if (parts->month < 1 || parts->month > 12 || parts->day < 1 ||
        parts->day > month_days(parts->year, parts->month))
        return NUMBER_NO_SUCH_DAY;
    if (parts->hour > 23 || parts->minute > 59 || parts->second > 59)
        return NUMBER_NO_SUCH_DAY;
    if (parts->year < 1970)
        return NUMBER_BEFORE_1970;
    if (parts->year > 2261) /* timestamps end in April 2262 */
        return NUMBER_TOO_LARGE;

    int64_t second = (int64_t)civil_day(parts->year, parts->month, parts->day) * 86400;
    second += parts->hour * 3600 + parts->minute * 60 + parts->second;
    second -= (int64_t)parts->offset_minutes * 60;
    if (second < 0)
        return NUMBER_BEFORE_1970;
    out->day = (uint32_t)(second / 86400);
    out->ns = (uint64_t)(second % 86400) * GIRO_NS_PER_S + parts->fraction_ns;
    out->has_time = parts->has_time;
    return NUMBER_OK;
}

struct cursor {
    const char *at;
    const char *end;
};

/* Reads exactly count digits. */
static bool digits_take(struct cursor *cursor, unsigned count, unsigned *out)
{
    unsigned value = 0;
    if ((size_t)(cursor->end - cursor->at) < count)
        return false;
    for (unsigned i = 0; i < count; i++, cursor->at++) {
        if (!isdigit((unsigned char)*cursor->at))
            return false;
        value = value * 10 + (unsigned)(*cursor->at - '0');
    }
    *out = value;
    return true;
}

static bool char_take(struct cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

struct date_token {
    const char *text;
    size_t offset;
};

#define TOKEN(text, member)                                                                        \
    {                                                                                              \
        text, offsetof(struct date_parts, member)                                                  \
    }

/* YYYY before YY. */
static const struct date_token date_tokens[] = {
    TOKEN("YYYY", year), TOKEN("YY", year),   TOKEN("MM", month),  TOKEN("DD", day),
    TOKEN("hh", hour),   TOKEN("mm", minute), TOKEN("ss", second),
};

#undef TOKEN

enum { DATE_TOKENS = sizeof date_tokens / sizeof date_tokens[0] };

static const struct date_token *token_at(const char *format)
{
    for (int i = 0; i < DATE_TOKENS; i++) {
        if (strncmp(format, date_tokens[i].text, strlen(date_tokens[i].text)) == 0)
            return &date_tokens[i];
    }
    return NULL;
}

static bool token_take(struct cursor *cursor, const struct date_token *token,
                       struct date_parts *parts)
{
    unsigned value;
    if (!digits_take(cursor, (unsigned)strlen(token->text), &value))
        return false;
    if (strcmp(token->text, "YY") == 0)
        value += value >= 69 ? 1900 : 2000;
    if (token->text[0] == 'h')
        parts->has_time = true;
    *(unsigned *)(void *)((char *)parts + token->offset) = value;
    return true;
}

static bool pattern_read(struct cursor *cursor, const char *format, struct date_parts *parts)
{
    while (*format != 0) {
        const struct date_token *token = token_at(format);
        if (token == NULL ? !char_take(cursor, *format) : !token_take(cursor, token, parts))
            return false;
        format += token == NULL ? 1 : strlen(token->text);
    }
    return cursor->at == cursor->end;
}

static bool fraction_take(struct cursor *cursor, struct date_parts *parts)
{
    unsigned digit;
    uint32_t unit = 100000000;
    if (!digits_take(cursor, 1, &digit))
        return false;
    do {
        parts->fraction_ns += digit * unit;
        unit /= 10; /* digits behind the ninth count nothing */
    } while (digits_take(cursor, 1, &digit));
    return true;
}

static bool offset_take(struct cursor *cursor, struct date_parts *parts)
{
    unsigned hours;
    unsigned minutes = 0;
    if (cursor->at == cursor->end || char_take(cursor, 'Z'))
        return true;
    bool west = char_take(cursor, '-');
    if (!west && !char_take(cursor, '+'))
        return false;
    if (!digits_take(cursor, 2, &hours))
        return false;
    (void)char_take(cursor, ':');
    if (cursor->at != cursor->end && !digits_take(cursor, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    parts->offset_minutes = (int)(hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

static bool iso_read(struct cursor *cursor, struct date_parts *parts)
{
    if (!digits_take(cursor, 4, &parts->year) || !char_take(cursor, '-') ||
        !digits_take(cursor, 2, &parts->month) || !char_take(cursor, '-') ||
        !digits_take(cursor, 2, &parts->day))
        return false;
    if (cursor->at == cursor->end)
        return true;
    parts->has_time = true;
    if ((!char_take(cursor, 'T') && !char_take(cursor, ' ')) ||
        !digits_take(cursor, 2, &parts->hour) || !char_take(cursor, ':') ||
        !digits_take(cursor, 2, &parts->minute))
        return false;
    if (char_take(cursor, ':') && !digits_take(cursor, 2, &parts->second))
        return false;
    if (char_take(cursor, '.') && !fraction_take(cursor, parts))
        return false;
    return offset_take(cursor, parts) && cursor->at == cursor->end;
}

enum number_status number_date(const char *text, size_t size, const char *format,
                               struct number_time *out)
{
    struct cursor cursor = {text, text + size};
    struct date_parts parts = {0};
    if (size == 0)
        return NUMBER_EMPTY;
    bool read = strcmp(format, "iso") == 0 ? iso_read(&cursor, &parts)
                                           : pattern_read(&cursor, format, &parts);
    return read ? parts_time(&parts, out) : NUMBER_NOT_A_DATE;
}

bool number_date_format_valid(const char *format)
{
    if (strcmp(format, "iso") == 0)
        return true;
    return strstr(format, "YY") != NULL && strstr(format, "MM") != NULL &&
           strstr(format, "DD") != NULL;
}

uint64_t number_timestamp(const struct number_time *time)
{
    return time->day * ns_per_day + time->ns;
}

/* ---- printing ---------------------------------------------------------------------------- */

char *number_print(giro_u128 value, unsigned scale, bool thousands, char out[NUMBER_TEXT_BYTES])
{
    char reversed[NUMBER_TEXT_BYTES];
    size_t size = 0;
    assert(scale <= NUMBER_SCALE_MAX);
    for (unsigned digit = 0; value != 0 || digit <= scale; digit++) {
        if (digit == scale && scale > 0)
            reversed[size++] = '.';
        if (thousands && digit > scale && (digit - scale) % 3 == 0)
            reversed[size++] = ',';
        reversed[size++] = (char)('0' + (int)(value % 10));
        value /= 10;
    }
    assert(size < NUMBER_TEXT_BYTES);
    for (size_t i = 0; i < size; i++)
        out[i] = reversed[size - 1 - i];
    out[size] = 0;
    return out;
}

char *number_print_signed(giro_i128 value, unsigned scale, bool thousands,
                          char out[NUMBER_TEXT_BYTES])
{
    if (value >= 0)
        return number_print((giro_u128)value, scale, thousands, out);
    char magnitude[NUMBER_TEXT_BYTES];
    (void)number_print(-(giro_u128)value, scale, thousands, magnitude);
    int size = snprintf(out, NUMBER_TEXT_BYTES, "-%s", magnitude);
    assert(size < NUMBER_TEXT_BYTES);
    return out;
}

char *number_print_id(giro_u128 id, char out[NUMBER_TEXT_BYTES])
{
    giro_u128 namespace_number = id >> 96;
    char value[NUMBER_TEXT_BYTES];
    if (namespace_number == 0 || namespace_number > NUMBER_NAMESPACE_MAX)
        return number_print(id, 0, false, out);
    (void)number_print(id & NUMBER_ID_VALUE_MAX, 0, false, value);
    int size = snprintf(out, NUMBER_TEXT_BYTES, "%u:%s", (unsigned)namespace_number, value);
    assert(size < NUMBER_TEXT_BYTES);
    return out;
}

char *number_print_day(uint32_t day, char out[NUMBER_DATE_TEXT_BYTES])
{
    unsigned year;
    unsigned month;
    unsigned of_month;
    civil_date(day, &year, &month, &of_month);
    (void)snprintf(out, NUMBER_DATE_TEXT_BYTES, "%04u-%02u-%02u", year % 10000, month % 100,
                   of_month % 100);
    return out;
}

char *number_print_timestamp(uint64_t timestamp, char out[NUMBER_TIMESTAMP_TEXT_BYTES])
{
    char date[NUMBER_DATE_TEXT_BYTES];
    uint64_t ns = timestamp % ns_per_day;
    unsigned second = (unsigned)(ns / GIRO_NS_PER_S);
    (void)number_print_day((uint32_t)(timestamp / ns_per_day), date);
    (void)snprintf(out, NUMBER_TIMESTAMP_TEXT_BYTES, "%sT%02u:%02u:%02u.%09uZ", date,
                   second / 3600 % 100, second / 60 % 60, second % 60,
                   (unsigned)(ns % GIRO_NS_PER_S));
    return out;
}
