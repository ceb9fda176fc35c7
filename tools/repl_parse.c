#include "tools/repl_parse.h"

#include "clients/c/giro.h"
#include "tools/import_memory.h"
#include "tools/import_number.h"
#include "tools/repl_time.h"

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
    uint32_t slots; /* of the present record that were given */
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

static bool action_read(struct parser *parser, struct repl_word word, giro_u128 *out)
{
    for (unsigned i = 0; repl_actions[i] != NULL; i++) {
        if (word_is(word, repl_actions[i])) {
            *out = GIRO_LEASE_ACQUIRE + i;
            return true;
        }
    }
    return wrong_word(parser, word, "action", repl_actions);
}

static bool ms_read(struct parser *parser, struct repl_word word, giro_u128 *out)
{
    struct repl_span span;
    if (!repl_span_read(word.text, word.size, &span) || span.unit > REPL_UNIT_DAYS ||
        repl_span_ms(span) > UINT32_MAX)
        return wrong(parser, word.text,
                     "\"%.*s\" is no time: give a number and ms, s, m, h or d, as in 30s",
                     shown(word), word.text);
    *out = repl_span_ms(span);
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
    case REPL_U8:
        return number_read(parser, word, UINT8_MAX, out);
    case REPL_TIMESTAMP:
        return timestamp_read(parser, word, out);
    case REPL_ACTION:
        return action_read(parser, word, out);
    case REPL_MS:
        return ms_read(parser, word, out);
    default:
        return number_read(parser, word, GIRO_U128_MAX, out);
    }
}

static void value_store(void *record, const struct repl_field *field, giro_u128 value)
{
    static const size_t sizes[] = {
        [REPL_ID] = 16,   [REPL_U128] = 16,     [REPL_U64] = 8, [REPL_U32] = 4,    [REPL_U16] = 2,
        [REPL_FLAGS] = 2, [REPL_TIMESTAMP] = 8, [REPL_U8] = 1,  [REPL_ACTION] = 2, [REPL_MS] = 4,
    };
    /* Little-endian, as engine/record.h makes sure: the low bytes come first. */
    memcpy((char *)record + field->offset, &value, sizes[field->type]);
}

/* ---- velocity limits --------------------------------------------------------------------- */

/* Takes the part in front of the next colon, or the rest for the last one. */
static bool part_take(struct parser *parser, struct repl_word *rest, enum repl_velocity_part part,
                      struct repl_word *out)
{
    static const char *const names[REPL_VELOCITY_PARTS] = {"maximum", "period",  "window",
                                                           "side",    "measure", "verdict"};
    const char *colon = memchr(rest->text, ':', rest->size);
    *out = *rest;
    if (part + 1 < REPL_VELOCITY_PARTS && colon != NULL) {
        out->size = (size_t)(colon - rest->text);
        *rest = (struct repl_word){colon + 1, rest->size - out->size - 1};
    } else {
        *rest = (struct repl_word){rest->text + rest->size, 0};
    }
    if (out->size > 0)
        return true;
    return wrong(parser, out->text,
                 "the %s is missing: write MAXIMUM:PERIOD:WINDOW:SIDE:MEASURE:VERDICT, as in "
                 "velocity=100000:1d:calendar:debits:amount:reject",
                 names[part]);
}

/* 30d: a number and a unit. What periods there are is for the server to judge. */
static bool period_read(struct parser *parser, struct repl_word word, struct giro_velocity *rule)
{
    const char *const *units = repl_velocity_words(REPL_VELOCITY_PERIOD);
    struct repl_word unit = word;
    giro_u128 period = 0;
    uint8_t index = 0;
    while (unit.size > 0 && isdigit((unsigned char)*unit.text)) {
        unit.text++;
        unit.size--;
    }
    while (units[index] != NULL && !word_is(unit, units[index]))
        index++;
    if (units[index] == NULL || number_u128(word.text, word.size - unit.size, &period) != NUMBER_OK)
        return wrong(parser, word.text,
                     "\"%.*s\" is no period: give a number and s, m, h, d or mo, as in 1d; a week "
                     "is 7d",
                     shown(word), word.text);
    if (period > UINT16_MAX)
        return wrong(parser, word.text, "\"%.*s\" is too long: at most 65535 of a unit",
                     shown(word), word.text);
    rule->period = (uint16_t)period;
    rule->unit = index;
    return true;
}

static bool part_read(struct parser *parser, struct repl_word word, enum repl_velocity_part part,
                      const char *kind, uint8_t *out)
{
    const char *const *words = repl_velocity_words(part);
    for (uint8_t i = 0; words[i] != NULL; i++) {
        if (word_is(word, words[i])) {
            *out = i;
            return true;
        }
    }
    return wrong_word(parser, word, kind, words);
}

static bool rule_read(struct parser *parser, const struct repl_word *parts,
                      struct giro_velocity *rule)
{
    uint8_t window = 0;
    uint8_t side = 0;
    uint8_t measure = 0;
    uint8_t verdict = 0;
    if (!period_read(parser, parts[REPL_VELOCITY_PERIOD], rule) ||
        !part_read(parser, parts[REPL_VELOCITY_WINDOW], REPL_VELOCITY_WINDOW, "window", &window) ||
        !part_read(parser, parts[REPL_VELOCITY_SIDE], REPL_VELOCITY_SIDE, "side", &side) ||
        !part_read(parser, parts[REPL_VELOCITY_MEASURE], REPL_VELOCITY_MEASURE, "measure",
                   &measure) ||
        !part_read(parser, parts[REPL_VELOCITY_VERDICT], REPL_VELOCITY_VERDICT, "verdict",
                   &verdict))
        return false;
    rule->window = (window + GIRO_WINDOW_CALENDAR) & 15;
    rule->verdict = verdict & 3;
    rule->flags =
        ((side != 0 ? GIRO_VELOCITY_CREDITS : 0) | (measure != 0 ? GIRO_VELOCITY_AMOUNT : 0)) &
        GIRO_VELOCITY_FLAGS_ALL;
    return true;
}

/* The next slot: 100000:1d:calendar:debits:amount:reject, or none for one that is not used. */
static bool velocity_read(struct parser *parser, struct giro_limits *limits)
{
    struct repl_word parts[REPL_VELOCITY_PARTS];
    giro_u128 maximum = 0;
    if (parser->slots == GIRO_VELOCITY_SLOTS)
        return wrong(parser, parser->at, "an account has no more than %d velocity limits",
                     GIRO_VELOCITY_SLOTS);
    struct repl_word word = value_take(parser);
    const uint32_t slot = parser->slots++;
    if (word_is(word, "none"))
        return true;
    for (unsigned part = 0; part < REPL_VELOCITY_PARTS; part++) {
        if (!part_take(parser, &word, (enum repl_velocity_part)part, &parts[part]))
            return false;
    }
    if (!number_read(parser, parts[REPL_VELOCITY_MAXIMUM], UINT64_MAX, &maximum) ||
        !rule_read(parser, parts, &limits->velocity[slot]))
        return false;
    limits->velocity_max[slot] = (uint64_t)maximum;
    return true;
}

/* ---- schedules --------------------------------------------------------------------------- */

/* 30d, 1mo, 1y: a rule and its interval. */
static bool every_read(struct parser *parser, struct giro_schedule *schedule)
{
    struct repl_word word = value_take(parser);
    struct repl_span span;
    bool good = repl_span_read(word.text, word.size, &span) && span.unit != REPL_UNIT_MS;
    uint64_t interval = 0;
    if (good && span.unit <= REPL_UNIT_DAYS) {
        schedule->rule = GIRO_SCHEDULE_SECONDS;
        interval = repl_span_ms(span) / 1000;
    } else if (good) {
        schedule->rule = span.unit == REPL_UNIT_MONTHS ? GIRO_SCHEDULE_MONTHS : GIRO_SCHEDULE_YEARS;
        interval = span.number;
    }
    if (!good || interval > UINT32_MAX)
        return wrong(parser, word.text,
                     "\"%.*s\" is no interval: give a number and s, m, h, d, mo or y, as in 1mo; "
                     "a week is 7d",
                     shown(word), word.text);
    schedule->interval = (uint32_t)interval;
    return true;
}

/* 1d,3d: how long after each refused attempt. No field begins with a digit, so that a comma in front
 * of one does not begin the next event. */
static bool retry_read(struct parser *parser, struct giro_schedule *schedule)
{
    for (;;) {
        struct repl_word word = value_take(parser);
        struct repl_span span;
        if (schedule->retries == GIRO_SCHEDULE_RETRIES_MAX)
            return wrong(parser, word.text, "a schedule has no more than %d retries",
                         GIRO_SCHEDULE_RETRIES_MAX);
        if (!repl_span_read(word.text, word.size, &span) || span.unit == REPL_UNIT_MS ||
            span.unit > REPL_UNIT_DAYS || repl_span_ms(span) / 1000 > UINT32_MAX)
            return wrong(parser, word.text,
                         "\"%.*s\" is no time: give numbers and s, m, h or d, as in 1d,3d",
                         shown(word), word.text);
        schedule->retry_s[schedule->retries++] = (uint32_t)(repl_span_ms(span) / 1000);
        if (parser->end - parser->at < 2 || *parser->at != ',' ||
            !isdigit((unsigned char)parser->at[1]))
            return true;
        parser->at++;
    }
}

/* The day of the month is that of the first occurrence, unless it is given. */
static void schedule_complete(struct giro_schedule *schedule)
{
    if (schedule->day == 0 &&
        (schedule->rule == GIRO_SCHEDULE_MONTHS || schedule->rule == GIRO_SCHEDULE_YEARS))
        schedule->day = repl_day_of_month(schedule->first);
}

/* ---- objects ----------------------------------------------------------------------------- */

static bool verb_looks_up(enum repl_verb verb)
{
    const struct repl_field *fields = repl_verb_fields(verb);
    return !repl_verb_has_filter(verb) && fields != NULL && fields[1].name == NULL;
}

static size_t record_bytes(enum repl_verb verb)
{
    if (verb_looks_up(verb))
        return sizeof(giro_u128);
    switch (verb) {
    case REPL_QUERY_ACCOUNTS:
    case REPL_QUERY_TRANSFERS:
        return sizeof(struct giro_query_filter);
    case REPL_CHANGES:
        return sizeof(struct giro_change_filter);
    case REPL_CREATE_SCHEDULES:
        return sizeof(struct giro_schedule);
    default: /* accounts, transfers, limits, leases, and the filter of one account */
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
    if (field->type == REPL_VELOCITY)
        *given &= ~(1u << index); /* one slot each time */
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
    if (field->type == REPL_VELOCITY)
        return velocity_read(parser, record);
    if (field->type == REPL_EVERY)
        return every_read(parser, record);
    if (field->type == REPL_RETRY)
        return retry_read(parser, record);
    if (!value_read(parser, field, &value))
        return false;
    value_store(record, field, value);
    return true;
}

/* It ends something for good: nothing of it is left out. */
static bool cut_off_complete(struct parser *parser, const char *start, uint32_t given)
{
    if ((given & 1) == 0)
        return wrong(parser, start, "ledger is missing: give ledger=NUMBER");
    if ((given & 2) == 0)
        return wrong(parser, start, "epoch is missing: give epoch=NUMBER, the one that ends");
    return true;
}

/* Fields up to a comma or the end. */
static bool object_read(struct parser *parser)
{
    const enum repl_verb verb = parser->statement->verb;
    const char *name = repl_verb_fields(verb)->name;
    const char *start = parser->at;
    uint32_t given = 0;
    if (parser->statement->count == REPL_EVENTS_MAX)
        return wrong(parser, parser->at, "more than %d in one statement: split it",
                     REPL_EVENTS_MAX);
    void *record = record_add(parser);
    parser->slots = 0;
    do {
        if (!field_read(parser, record, &given))
            return false;
        blanks_skip(parser);
    } while (parser->at < parser->end && *parser->at != ',');
    if (verb == REPL_CUT_OFF)
        return cut_off_complete(parser, start, given);
    if ((given & 1) == 0)
        return wrong(parser, start, "%s is missing: give %s=NUMBER%s", name, name,
                     repl_verb_fields(verb)->type == REPL_ID ? ", or id=new to make one" : "");
    if (verb == REPL_CREATE_SCHEDULES)
        schedule_complete(record);
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
    bool takes =
        statement->verb == REPL_SET || statement->verb == REPL_HELP || statement->verb == REPL_WAIT;
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
