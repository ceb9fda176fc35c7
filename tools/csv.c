#include "tools/csv.h"

#include <assert.h>
#include <string.h>

void csv_open(struct csv_reader *reader, const struct csv_format *format, char *text, size_t size)
{
    assert(format->delimiter != format->quote);
    bool marked = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
    char *start = marked ? text + 3 : text;
    text[size] = 0;
    *reader = (struct csv_reader){
        .format = *format,
        .at = start,
        .end = text + size,
        .line_start = start,
        .line = 1,
    };
}

static enum csv_status error_at(const struct csv_reader *reader, const char *place,
                                const char *text, struct csv_error *error)
{
    assert(place >= reader->line_start);
    *error = (struct csv_error){reader->line, (uint32_t)(place - reader->line_start) + 1, text};
    return CSV_ERROR;
}

static void line_begin(struct csv_reader *reader, char *start)
{
    reader->at = start;
    reader->line_start = start;
    reader->line++;
}

static void line_skip(struct csv_reader *reader)
{
    char *line_end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    if (line_end == NULL)
        reader->at = reader->end;
    else
        line_begin(reader, line_end + 1);
}

/* Whether a line ends at place: the text's end, LF, or CRLF. */
static bool line_ends(const struct csv_reader *reader, const char *place)
{
    return place == reader->end || *place == '\n' ||
           (*place == '\r' && place + 1 < reader->end && place[1] == '\n');
}

static enum csv_status plain_field(struct csv_reader *reader, struct csv_field *field,
                                   struct csv_error *error)
{
    char *at = reader->at;
    for (; !line_ends(reader, at) && *at != reader->format.delimiter; at++) {
        if (*at == 0)
            return error_at(reader, at, "a NUL byte: convert the file to UTF-8 (iconv -f UTF-16)",
                            error);
        if (*at == '\r')
            return error_at(reader, at, "a CR without LF: convert the line ends (tr '\\r' '\\n')",
                            error);
        if (*at == reader->format.quote && reader->format.quote != 0)
            return error_at(reader, at,
                            "a quote inside a field that is not quoted: quote the whole field and "
                            "double the quote, or set quote = none",
                            error);
    }
    field->text = reader->at;
    field->size = (size_t)(at - reader->at);
    reader->at = at;
    return CSV_ROW;
}

/* Reads a quoted field, moving its text left over the doubled quotes. */
static enum csv_status quoted_field(struct csv_reader *reader, struct csv_field *field,
                                    struct csv_error *error)
{
    const char quote = reader->format.quote;
    char *opening = reader->at;
    char *to = opening + 1;
    struct csv_error unclosed;
    (void)error_at(reader, opening, "a quote is opened here and never closed: close it", &unclosed);
    field->text = to;
    for (char *at = opening + 1; at < reader->end; at++) {
        if (*at == quote && (at + 1 == reader->end || at[1] != quote)) {
            field->size = (size_t)(to - field->text);
            reader->at = at + 1;
            if (line_ends(reader, at + 1) || at[1] == reader->format.delimiter)
                return CSV_ROW;
            return error_at(reader, at + 1,
                            "text behind a closing quote: double the quotes inside the field",
                            error);
        }
        if (*at == quote)
            at++;
        if (*at == 0)
            return error_at(reader, at, "a NUL byte: convert the file to UTF-8 (iconv -f UTF-16)",
                            error);
        if (*at == '\n' && !reader->format.line_ends_in_quotes) {
            *error = unclosed;
            error->text = "a quote is opened here and not closed on this line: close it, or set "
                          "line_ends_in_quotes = yes if fields span lines";
            return CSV_ERROR;
        }
        if (*at == '\n')
            line_begin(reader, at + 1);
        *to++ = *at;
    }
    reader->at = reader->end;
    *error = unclosed;
    return CSV_ERROR;
}

static enum csv_status field_read(struct csv_reader *reader, struct csv_field *field,
                                  struct csv_error *error)
{
    field->position = (uint32_t)(reader->at - reader->line_start) + 1;
    if (reader->at < reader->end && reader->format.quote != 0 &&
        *reader->at == reader->format.quote)
        return quoted_field(reader, field, error);
    return plain_field(reader, field, error);
}

/* Steps over the line end and then ends the fields' texts: not before, since the byte behind a
 * field is what tells where it ends. */
static void row_end(struct csv_reader *reader, struct csv_row *row)
{
    row->ended = reader->at < reader->end;
    if (row->ended)
        line_begin(reader, reader->at + (*reader->at == '\r' ? 2 : 1));
    for (uint32_t i = 0; i < row->count; i++)
        row->fields[i].text[row->fields[i].size] = 0;
}

static void blank_lines_skip(struct csv_reader *reader)
{
    while (reader->at < reader->end && line_ends(reader, reader->at))
        line_begin(reader, reader->at + (*reader->at == '\r' ? 2 : 1));
}

enum csv_status csv_next(struct csv_reader *reader, struct csv_row *row, struct csv_error *error)
{
    blank_lines_skip(reader);
    if (reader->at == reader->end)
        return CSV_END;
    const char *start = reader->at;
    row->count = 0;
    row->line = reader->line;
    for (;;) {
        enum csv_status status = CSV_ERROR;
        if (row->count == CSV_COLUMNS_MAX)
            (void)error_at(reader, reader->at, "more than 256 columns: is the delimiter right?",
                           error);
        else
            status = field_read(reader, &row->fields[row->count], error);
        if (status == CSV_ROW && reader->at - start > CSV_ROW_BYTES_MAX)
            status = error_at(reader, reader->line_start,
                              "a row longer than 65,536 bytes: is this a CSV file, and is a quote "
                              "missing?",
                              error);
        if (status != CSV_ROW) {
            line_skip(reader);
            return status;
        }
        row->count++;
        if (line_ends(reader, reader->at))
            break;
        reader->at++; /* the delimiter */
    }
    row_end(reader, row);
    return CSV_ROW;
}
