/* Rows of a CSV text, read in place and strictly: what is doubtful is an error with its place.
 *
 * Fields are separated by one delimiter and may be quoted; a quote inside a quoted field is written
 * twice. A line ends with LF or CRLF; the last one may end with the text. Lines that are empty are
 * skipped, and so is a UTF-8 byte order mark. Bytes are not interpreted otherwise: any encoding in
 * which the delimiter, the quote and the line end are one byte will do.
 *
 * Refused: a quote that is opened and not closed, or closed in the middle of a field; a quote
 * inside a field that is not quoted; a line end inside quotes, unless line_ends_in_quotes says that
 * they are meant (a lost quote would otherwise swallow the rest of the file); NUL bytes (UTF-16 has
 * them); a CR that no LF follows; rows longer than CSV_ROW_BYTES_MAX or CSV_COLUMNS_MAX. */
#ifndef TOOLS_CSV_H
#define TOOLS_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CSV_COLUMNS_MAX = 256, CSV_ROW_BYTES_MAX = 64 << 10 };

struct csv_format {
    char delimiter;
    char quote; /* 0: quotes are ordinary characters */
    bool line_ends_in_quotes;
};

struct csv_field {
    char *text; /* unquoted; a 0 follows it */
    size_t size;
    uint32_t position; /* of its first byte in its line, from 1 */
};

struct csv_row {
    struct csv_field fields[CSV_COLUMNS_MAX];
    uint32_t count;
    uint64_t line; /* on which it begins, from 1 */
    bool ended;    /* a line end follows it: false only for a last row without one */
};

struct csv_reader {
    struct csv_format format;
    char *at;
    char *end;
    char *line_start;
    uint64_t line;
};

struct csv_error {
    uint64_t line;
    uint32_t position; /* from 1 */
    const char *text;  /* what is wrong and what to do; static */
};

enum csv_status { CSV_ROW, CSV_END, CSV_ERROR };

/* text: size bytes that the reader may change, and one more that it may set to 0. */
void csv_open(struct csv_reader *reader, const struct csv_format *format, char *text, size_t size);

/* Reads the next row; its fields point into the text. After CSV_ERROR the reader has moved to the
 * next line, so that more errors can be found, except in a field that is never closed. */
enum csv_status csv_next(struct csv_reader *reader, struct csv_row *row, struct csv_error *error);

#endif
