#include "tools/repl_parse.h"

#include "clients/c/giro.h"
#include "tools/import_memory.h"
#include "tools/import_number.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    const char *text;
    const char *at;
    const char *end;
    struct repl_statement *statement;
    uint32_t capacity;
    struct repl_error *error;
};

__attribute__((format(printf, 3, 4))) static bool wrong(struct parser *parser, const char *place,
                                                        const char *format, ...)
{
    va_list arguments;
    parser->error->position = (size_t)(place - parser->text);
    va_start(arguments, format);
    (void)vsnprintf(parser->error->text, sizeof parser->error->text, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- words ------------------------------------------------------------------------------- */

static void blanks_skip(struct parser *parser)
{
    while (parser->at < parser->end) {
        if (*parser->at == '#') {
            const char *line_end = memchr(parser->at, '\n', (size_t)(parser->end - parser->at));
            parser->at = line_end == NULL ? parser->end : line_end;
        } else if (isspace((unsigned char)*parser->at)) {
            parser->at++;
        } else {
            return;
        }
    }
}

/* Takes letters, digits and underscores. */
static struct repl_word word_take(struct parser *parser)
{
    struct repl_word word = {parser->at, 0};
    while (parser->at < parser->end && (isalnum((unsigned char)*parser->at) || *parser->at == '_'))
        parser->at++;
    word.size = (size_t)(parser->at - word.text);
    return word;
}

/* Takes everything up to a blank, a comma or a comment. */
static struct repl_word value_take(struct parser *parser)
{
    struct repl_word word = {parser->at, 0};
    while (parser->at < parser->end && !isspace((unsigned char)*parser->at) && *parser->at != ',' &&
           *parser->at != '#')
        parser->at++;
    word.size = (size_t)(parser->at - word.text);
    return word;
}

static bool word_is(struct repl_word word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.text, text, word.size) == 0;
}

static int shown(struct repl_word word)
{
    return word.size > 40 ? 40 : (int)word.size;
}

/* "unknown field "x"", and the word that was probably meant, or all of them. */
static bool wrong_word(struct parser *parser, struct repl_word word, const char *kind,
                       const char *const *words)
{
    const char *nearest = repl_nearest(word.text, word.size, words);
    char all[160] = "";
    size_t size = 0;
    if (nearest != NULL)
        return wrong(parser, word.text, "unknown %s \"%.*s\": did you mean %s?", kind, shown(word),
                     word.text, nearest);
    for (; *words != NULL && size < sizeof all; words++)
        size +=
            (size_t)snprintf(all + size, sizeof all - size, "%s%s", size > 0 ? ", " : "", *words);
    return wrong(parser, word.text, "unknown %s \"%.*s\"; there are %s%s", kind, shown(word),
                 word.text, all, size >= sizeof all ? "..." : "");
}

/* ---- values ------------------------------------------------------------------------------ */

static bool number_wrong(struct parser *parser, struct repl_word word, enum number_status status)
{
    if (memchr(word.text, '.', word.size) != NULL)
        return wrong(parser, word.text,
                     "\"%.*s\": amounts are whole minor units: 10.50 with two decimals is 1050",
                     shown(word), word.text);
    return wrong(parser, word.text,
                 "\"%.*s\" %s: give a decimal number, 0x and hexadecimal digits, or max",
                 shown(word), word.text, number_status_text(status));
}

static bool number_read(struct parser *parser, struct repl_word word, giro_u128 max, giro_u128 *out)
{
    char text[NUMBER_TEXT_BYTES];
    if (word_is(word, "max")) {
        *out = max;
        return true;
    }
    enum number_status status = number_u128(word.text, word.size, out);
    if (status != NUMBER_OK)
        return number_wrong(parser, word, status);
    if (*out <= max)
        return true;
    return wrong(parser, word.text, "\"%.*s\" is too large: at most %s fits here", shown(word),
                 word.text, number_print(max, 0, false, text));
}

static bool timestamp_read(struct parser *parser, struct repl_word word, giro_u128 *out)
{
    struct number_time time;
    if (memchr(word.text, '-', word.size) == NULL)
        return number_read(parser, word, UINT64_MAX, out);
    enum number_status status = number_date(word.text, word.size, "iso", &time);
    if (status != NUMBER_OK)
        return wrong(parser, word.text, "\"%.*s\" %s: give nanoseconds, or 2024-01-31T10:30:00Z",
                     shown(word), word.text, number_status_text(status));
    *out = number_timestamp(&time);
    return true;
}

static bool flag_read(struct parser *parser, struct repl_word word, uint16_t *out)
{
    const struct repl_flag *flag = repl_verb_flags(parser->statement->verb);
    const char *names[REPL_WORDS_MAX] = {0};
    for (uint32_t i = 0; flag->name != NULL; flag++, i++) {
        names[i] = flag->name;
        if (word_is(word, flag->name)) {
            *out |= flag->bit;
            return true;
        }
    }
    return wrong_word(parser, word, "flag", names);
}

/* Flags with | between them, or a number. */
static bool flags_read(struct parser *parser, giro_u128 *out)
{
    uint16_t flags = 0;
    if (parser->at < parser->end && isdigit((unsigned char)*parser->at))
        return number_read(parser, value_take(parser), UINT16_MAX, out);
    for (;;) {
        struct repl_word word = word_take(parser);
        if (word.size == 0)
            return wrong(parser, parser->at, "a flag is missing here");
        if (!flag_read(parser, word, &flags))
            return false;
        const char *behind = parser->at;
        blanks_skip(parser);
        if (parser->at == parser->end || *parser->at != '|') {
            parser->at = behind;
            break;
        }
        parser->at++;
        blanks_skip(parser);
    }
    *out = flags;
    return true;
}

static bool id_read(struct parser *parser, struct repl_word word, giro_u128 *out)
{
    if (!word_is(word, "new"))
        return number_read(parser, word, GIRO_U128_MAX, out);
    parser->statement->id_is_new[parser->statement->count - 1] = true;
    *out = giro_id_time_ordered();
    return true;
}

static bool value_read(struct parser *parser, const struct repl_field *field, giro_u128 *out)
{
    if (field->type == REPL_FLAGS)
        return flags_read(parser, out);
    struct repl_word word = value_take(parser);
    if (word.size == 0)
        return wrong(parser, parser->at, "a value for %s is missing here", field->name);
    switch (field->type) {
    case REPL_ID:
        return id_read(parser, word, out);
    case REPL_U64:
        return number_read(parser, word, UINT64_MAX, out);
    case REPL_U32:
        return number_read(parser, word, UINT32_MAX, out);
    case REPL_U16:
        return number_read(parser, word, UINT16_MAX, out);
    case REPL_TIMESTAMP:
        return timestamp_read(parser, word, out);
    default:
        return number_read(parser, word, GIRO_U128_MAX, out);
    }
}

static void value_store(void *record, const struct repl_field *field, giro_u128 value)
{
    static const size_t sizes[] = {
        [REPL_ID] = 16, [REPL_U128] = 16, [REPL_U64] = 8,       [REPL_U32] = 4,
        [REPL_U16] = 2, [REPL_FLAGS] = 2, [REPL_TIMESTAMP] = 8,
    };
    /* Little-endian, as engine/record.h makes sure: the low bytes come first. */
    memcpy((char *)record + field->offset, &value, sizes[field->type]);
}

/* ---- objects ----------------------------------------------------------------------------- */

static bool verb_looks_up(enum repl_verb verb)
{
    return verb == REPL_LOOKUP_ACCOUNTS || verb == REPL_LOOKUP_TRANSFERS ||
           verb == REPL_LOOKUP_PAYMENTS || verb == REPL_GET_LIMITS;
}

static size_t record_bytes(enum repl_verb verb)
{
    switch (verb) {
    case REPL_LOOKUP_ACCOUNTS:
    case REPL_LOOKUP_TRANSFERS:
    case REPL_LOOKUP_PAYMENTS:
    case REPL_GET_LIMITS:
        return sizeof(giro_u128);
    case REPL_QUERY_ACCOUNTS:
    case REPL_QUERY_TRANSFERS:
        return sizeof(struct giro_query_filter);
    case REPL_CHANGES:
        return sizeof(struct giro_change_filter);
    default: /* accounts, transfers, and the filter of one account */
        return GIRO_RECORD_BYTES;
    }
}

/* What a filter asks for unless it says otherwise. */
static void filter_preset(struct repl_statement *statement)
{
    switch (statement->verb) {
    case REPL_GET_ACCOUNT_TRANSFERS:
    case REPL_GET_ACCOUNT_BALANCES:
        statement->records.account_filter->limit = REPL_LIMIT;
        break;
    case REPL_QUERY_ACCOUNTS:
    case REPL_QUERY_TRANSFERS:
        statement->records.query_filter->limit = REPL_LIMIT;
        break;
    case REPL_CHANGES:
        statement->records.change_filter->limit = REPL_LIMIT;
        break;
    default:
        break;
    }
}

/* Adds an empty record and returns it. */
static void *record_add(struct parser *parser)
{
    struct repl_statement *statement = parser->statement;
    size_t bytes = record_bytes(statement->verb);
    if (statement->count == parser->capacity) {
        parser->capacity = parser->capacity == 0 ? 16 : 2 * parser->capacity;
        statement->records.any = import_memory(statement->records.any, parser->capacity, bytes);
        statement->id_is_new = import_memory(statement->id_is_new, parser->capacity, sizeof(bool));
    }
    void *record = (char *)statement->records.any + statement->count * bytes;
    memset(record, 0, bytes);
    statement->id_is_new[statement->count++] = false;
    return record;
}

static const struct repl_field *field_take(struct parser *parser, uint32_t *out_index)
{
    const struct repl_field *fields = repl_verb_fields(parser->statement->verb);
    const char *names[REPL_WORDS_MAX] = {0};
    struct repl_word word = word_take(parser);
    for (uint32_t i = 0; fields[i].name != NULL; i++) {
        names[i] = fields[i].name;
        if (word_is(word, fields[i].name)) {
            *out_index = i;
            return &fields[i];
        }
    }
    if (word.size == 0)
        (void)wrong(parser, parser->at, "a field such as %s=1 is expected here", names[0]);
    else
        (void)wrong_word(parser, word, "field", names);
    return NULL;
}

/* name = value */
static bool field_read(struct parser *parser, void *record, uint32_t *given)
{
    uint32_t index = 0;
    const char *start = parser->at;
    giro_u128 value = 0;
    const struct repl_field *field = field_take(parser, &index);
    if (field == NULL)
        return false;
    if ((*given & 1u << index) != 0 && repl_verb_has_filter(parser->statement->verb))
        return wrong(parser, start, "%s is given twice", field->name);
    if ((*given & 1u << index) != 0)
        return wrong(parser, start, "%s is given twice: a comma begins the next %s", field->name,
                     verb_looks_up(parser->statement->verb) ? "id" : "event");
    *given |= 1u << index;
    blanks_skip(parser);
    if (parser->at == parser->end || *parser->at != '=')
        return wrong(parser, parser->at, "= is expected here, as in %s=1", field->name);
    parser->at++;
    blanks_skip(parser);
    if (!value_read(parser, field, &value))
        return false;
    value_store(record, field, value);
    return true;
}

/* Fields up to a comma or the end. */
static bool object_read(struct parser *parser)
{
    const char *start = parser->at;
    uint32_t given = 0;
    if (parser->statement->count == REPL_EVENTS_MAX)
        return wrong(parser, parser->at, "more than %d in one statement: split it",
                     REPL_EVENTS_MAX);
    void *record = record_add(parser);
    do {
        if (!field_read(parser, record, &given))
            return false;
        blanks_skip(parser);
    } while (parser->at < parser->end && *parser->at != ',');
    if ((given & 1) == 0 && parser->statement->verb == REPL_SET_LIMITS)
        return wrong(parser, start, "account_id is missing: give account_id=NUMBER");
    if ((given & 1) == 0)
        return wrong(parser, start, "id is missing: give id=NUMBER%s",
                     verb_looks_up(parser->statement->verb) ? "" : ", or id=new to make one");
    return true;
}

/* An account's filter needs the account, and means both sides unless it names one. */
static bool account_filter_complete(struct parser *parser, const char *start, uint32_t given)
{
    const uint32_t sides = GIRO_ACCOUNT_FILTER_DEBITS | GIRO_ACCOUNT_FILTER_CREDITS;
    struct giro_account_filter *filter = parser->statement->records.account_filter;
    if ((given & 1) == 0)
        return wrong(parser, start, "account_id is missing: give account_id=NUMBER");
    if ((filter->flags & sides) == 0)
        filter->flags |= sides;
    return true;
}

/* Fields up to the end, or none: what is left out does not filter. */
static bool filter_read(struct parser *parser)
{
    const enum repl_verb verb = parser->statement->verb;
    uint32_t given = 0;
    void *record = record_add(parser);
    filter_preset(parser->statement);
    blanks_skip(parser);
    const char *start = parser->at;
    while (parser->at < parser->end) {
        if (*parser->at == ',')
            return wrong(parser, parser->at, "%s has one filter: put blanks between its fields",
                         repl_verb_name(verb));
        if (!field_read(parser, record, &given))
            return false;
        blanks_skip(parser);
    }
    if (verb == REPL_GET_ACCOUNT_TRANSFERS || verb == REPL_GET_ACCOUNT_BALANCES)
        return account_filter_complete(parser, start, given);
    return true;
}

static bool objects_read(struct parser *parser)
{
    for (;;) {
        blanks_skip(parser);
        if (!object_read(parser))
            return false;
        if (parser->at == parser->end)
            return true;
        assert(*parser->at == ',');
        parser->at++;
    }
}

static bool arguments_read(struct parser *parser)
{
    struct repl_statement *statement = parser->statement;
    bool takes = statement->verb == REPL_SET || statement->verb == REPL_HELP;
    for (blanks_skip(parser); parser->at < parser->end; blanks_skip(parser)) {
        if (!takes)
            return wrong(parser, parser->at, "nothing follows %s: put a ; between statements",
                         repl_verb_name(statement->verb));
        if (statement->argument_count == REPL_ARGUMENTS_MAX)
            return wrong(parser, parser->at, "this is too much: see help %s",
                         repl_verb_name(statement->verb));
        struct repl_word word = value_take(parser);
        if (word.size == 0)
            return wrong(parser, parser->at, "a word is expected here");
        statement->arguments[statement->argument_count++] = word;
    }
    return true;
}

static bool statement_read(struct parser *parser)
{
    const char *names[REPL_VERBS + 1] = {0};
    for (int i = 0; i < REPL_VERBS; i++)
        names[i] = repl_verb_name((enum repl_verb)i);
    blanks_skip(parser);
    struct repl_word word = word_take(parser);
    parser->statement->verb = repl_verb_find(word.text, word.size);
    if (word.size == 0)
        return wrong(parser, parser->at, "a command is expected here: help lists them");
    if (parser->statement->verb == REPL_VERBS)
        return wrong_word(parser, word, "command", names);
    if (repl_verb_fields(parser->statement->verb) == NULL)
        return arguments_read(parser);
    return repl_verb_has_filter(parser->statement->verb) ? filter_read(parser)
                                                         : objects_read(parser);
}

bool repl_parse(const char *text, size_t size, struct repl_statement *out, struct repl_error *error)
{
    struct parser parser = {
        .text = text, .at = text, .end = text + size, .statement = out, .error = error};
    *out = (struct repl_statement){0};
    if (statement_read(&parser))
        return true;
    repl_statement_free(out);
    return false;
}

void repl_statement_free(struct repl_statement *statement)
{
    free(statement->records.any);
    free(statement->id_is_new);
    *statement = (struct repl_statement){0};
}

/* ---- statements in a text ---------------------------------------------------------------- */

size_t repl_statement_end(const char *text, size_t size, bool *closed)
{
    bool comment = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n')
            comment = false;
        else if (text[i] == '#')
            comment = true;
        else if (text[i] == ';' && !comment) {
            *closed = true;
            return i;
        }
    }
    *closed = false;
    return size;
}

bool repl_statement_empty(const char *text, size_t size)
{
    struct parser parser = {.at = text, .end = text + size};
    blanks_skip(&parser);
    return parser.at == parser.end;
}
