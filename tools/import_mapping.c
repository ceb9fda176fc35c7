#include "tools/import_mapping.h"

#include "tools/import_memory.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ------------------------------------------------------------------------------ */

enum { KINDS_NUMBER = 1 << SOURCE_COLUMN | 1 << SOURCE_CONSTANT | 1 << SOURCE_MAP };

struct field_rule {
    const char *name;
    unsigned sources;  /* bits 1 << enum source_kind */
    unsigned kinds;    /* bits 1 << enum mapping_kind: which know the field */
    unsigned required; /* the same: which must have it */
    giro_u128 max;
};

enum {
    OF_TRANSFERS = 1 << MAPPING_TRANSFERS,
    OF_ACCOUNTS = 1 << MAPPING_ACCOUNTS,
    OF_BOTH = OF_TRANSFERS | OF_ACCOUNTS,
};

static const struct field_rule field_rules[FIELDS] = {
    [FIELD_ID] = {"id", 1 << SOURCE_COLUMN | 1 << SOURCE_TEXT, OF_BOTH, OF_BOTH,
                  NUMBER_ID_VALUE_MAX},
    [FIELD_ACCOUNT] = {"account", KINDS_NUMBER | 1 << SOURCE_TEXT, OF_TRANSFERS, OF_TRANSFERS,
                       NUMBER_ID_VALUE_MAX},
    [FIELD_COUNTERPARTY] = {"counterparty", KINDS_NUMBER | 1 << SOURCE_TEXT, OF_TRANSFERS,
                            OF_TRANSFERS, NUMBER_ID_VALUE_MAX},
    [FIELD_DIRECTION] = {"direction", 1 << SOURCE_CONSTANT | 1 << SOURCE_MAP | 1 << SOURCE_SIGN,
                         OF_TRANSFERS, OF_TRANSFERS, MAPPING_CREDIT},
    [FIELD_AMOUNT] = {"amount", 1 << SOURCE_COLUMN, OF_TRANSFERS, OF_TRANSFERS, 0},
    [FIELD_DATE] = {"date", 1 << SOURCE_COLUMN | 1 << SOURCE_CONSTANT, OF_BOTH, 0, 0},
    [FIELD_CODE] = {"code", KINDS_NUMBER, OF_BOTH, OF_BOTH, UINT16_MAX},
    [FIELD_LEDGER] = {"ledger", KINDS_NUMBER, OF_BOTH, OF_BOTH, UINT32_MAX},
    [FIELD_USER_DATA_128] = {"user_data_128", KINDS_NUMBER, OF_BOTH, 0, GIRO_U128_MAX},
    [FIELD_USER_DATA_64] = {"user_data_64", KINDS_NUMBER, OF_BOTH, 0, UINT64_MAX},
    [FIELD_USER_DATA_32] = {"user_data_32", KINDS_NUMBER, OF_BOTH, 0, UINT32_MAX},
    [FIELD_BALANCE] = {"balance", 1 << SOURCE_COLUMN, OF_TRANSFERS, 0, 0},
};

const char *mapping_field_name(enum mapping_field field)
{
    return field_rules[field].name;
}

/* ---- settings ---------------------------------------------------------------------------- */

struct choice {
    const char *name;
    uint32_t value;
};

static const struct choice kind_choices[] = {
    {"transfers", MAPPING_TRANSFERS}, {"accounts", MAPPING_ACCOUNTS}, {0}};
static const struct choice delimiter_choices[] = {
    {"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}, {"pipe", '|'}, {0}};
static const struct choice quote_choices[] = {{"double", '"'}, {"single", '\''}, {"none", 0}, {0}};
static const struct choice yes_choices[] = {{"yes", 1}, {"no", 0}, {0}};
static const struct choice incomplete_choices[] = {{"refuse", 0}, {"drop", 1}, {0}};
static const struct choice mark_choices[] = {{"point", '.'}, {"comma", ','}, {0}};
static const struct choice group_choices[] = {{"none", 0},    {"comma", ','},       {"point", '.'},
                                              {"blank", ' '}, {"apostrophe", '\''}, {0}};
static const struct choice timestamp_choices[] = {{"imported", 0}, {"server", 1}, {0}};
static const struct choice create_choices[] = {{"all", MAPPING_CREATE_ALL},
                                               {"counterparty", MAPPING_CREATE_COUNTERPARTY},
                                               {"none", MAPPING_CREATE_NONE},
                                               {0}};
static const struct choice direction_choices[] = {
    {"debit", MAPPING_DEBIT}, {"credit", MAPPING_CREDIT}, {0}};
static const struct choice account_flag_choices[] = {
    {"debits_must_not_exceed_credits", GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS},
    {"credits_must_not_exceed_debits", GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS},
    {"history", GIRO_ACCOUNT_HISTORY},
    {"none", 0},
    {0}};

enum setting_type { TYPE_CHOICE, TYPE_FLAGS, TYPE_NUMBER, TYPE_FORMAT, TYPE_DATE, TYPE_AMOUNT };

struct setting {
    const char *section;
    const char *name;
    enum setting_type type;
    size_t offset;
    const struct choice *choices;
    uint32_t min;
    uint32_t max;
    const char *help; /* the values that it takes */
};

#define AT(member) offsetof(struct mapping, member)

static const struct setting settings[] = {
    {"file", "kind", TYPE_CHOICE, AT(kind), kind_choices, 0, 0, "transfers or accounts"},
    {"file", "delimiter", TYPE_CHOICE, AT(delimiter), delimiter_choices, 0, 0,
     "comma, semicolon, tab or pipe"},
    {"file", "quote", TYPE_CHOICE, AT(quote), quote_choices, 0, 0, "double, single or none"},
    {"file", "header", TYPE_CHOICE, AT(header), yes_choices, 0, 0, "yes or no"},
    {"file", "line_ends_in_quotes", TYPE_CHOICE, AT(line_ends_in_quotes), yes_choices, 0, 0,
     "yes or no"},
    {"file", "incomplete_last_row", TYPE_CHOICE, AT(drop_incomplete_last_row), incomplete_choices,
     0, 0, "refuse or drop"},
    {"file", "decimal_mark", TYPE_CHOICE, AT(decimal_mark), mark_choices, 0, 0, "point or comma"},
    {"file", "group_mark", TYPE_CHOICE, AT(group_mark), group_choices, 0, 0,
     "none, comma, point, blank or apostrophe"},
    {"file", "scale", TYPE_NUMBER, AT(scale), NULL, 0, NUMBER_SCALE_MAX,
     "the decimals of an amount, 0 to 18"},
    {"file", "date_format", TYPE_FORMAT, AT(date_format), NULL, 0, 0,
     "iso, or a pattern of YYYY or YY, MM, DD, hh, mm, ss"},
    {"file", "timestamps", TYPE_CHOICE, AT(server_timestamps), timestamp_choices, 0, 0,
     "imported or server"},
    {"ids", "transfer", TYPE_NUMBER, AT(transfer_namespace), NULL, 1, NUMBER_NAMESPACE_MAX,
     "a number from 1 to 65535"},
    {"ids", "account", TYPE_NUMBER, AT(account_namespace), NULL, 1, NUMBER_NAMESPACE_MAX,
     "a number from 1 to 65535"},
    {"ids", "counterparty", TYPE_NUMBER, AT(counterparty_namespace), NULL, 1, NUMBER_NAMESPACE_MAX,
     "a number from 1 to 65535"},
    {"accounts", "create", TYPE_CHOICE, AT(create), create_choices, 0, 0,
     "all, counterparty or none"},
    {"accounts", "code", TYPE_NUMBER, AT(account_code), NULL, 1, UINT16_MAX,
     "a number from 1 to 65535"},
    {"accounts", "counterparty_code", TYPE_NUMBER, AT(counterparty_code), NULL, 1, UINT16_MAX,
     "a number from 1 to 65535"},
    {"accounts", "flags", TYPE_FLAGS, AT(account_flags), account_flag_choices, 0, 0,
     "none, or history, debits_must_not_exceed_credits, credits_must_not_exceed_debits, with | "
     "between them"},
    {"accounts", "date", TYPE_DATE, AT(account_date), NULL, 0, 0, "a date such as 1992-12-31"},
    {"proof", "tolerance", TYPE_AMOUNT, AT(tolerance), NULL, 0, 0, "an amount such as 0.10"},
    {"proof", "differing_max", TYPE_NUMBER, AT(differing_max), NULL, 0, UINT32_MAX, "a number"},
    {"proof", "account_days_min", TYPE_NUMBER, AT(account_days_min), NULL, 0, UINT32_MAX,
     "a number"},
    {"proof", "balance_grows_by", TYPE_CHOICE, AT(balance_direction), direction_choices, 0, 0,
     "debit or credit"},
};

#undef AT

enum { SETTINGS = sizeof settings / sizeof settings[0] };

static const struct mapping mapping_default = {
    .delimiter = ',',
    .quote = '"',
    .header = 1,
    .decimal_mark = '.',
    .scale = 2,
    .date_format = "iso",
    .transfer_namespace = 1,
    .account_namespace = 2,
    .counterparty_namespace = 3,
    .account_code = 1,
    .counterparty_code = 1,
    .balance_direction = MAPPING_CREDIT,
};

/* ---- reading ----------------------------------------------------------------------------- */

/* State while inih reads. The reader counts the lines, since the handler is not told. */
struct load {
    struct mapping *mapping;
    FILE *file;
    uint32_t line;
    bool failed;
    bool line_too_long;
    char *error;
    char tolerance[NUMBER_TEXT_BYTES]; /* parsed at the end, when the scale is known */
};

__attribute__((format(printf, 2, 3))) static int refuse(struct load *load, const char *format, ...)
{
    va_list arguments;
    if (load->failed)
        return 0;
    load->failed = true;
    int size = load->line == 0
                   ? snprintf(load->error, MAPPING_ERROR_BYTES, "%s: ", load->mapping->path)
                   : snprintf(load->error, MAPPING_ERROR_BYTES, "%s:%u: ", load->mapping->path,
                              load->line);
    if (size < 0 || size >= MAPPING_ERROR_BYTES)
        return 0;
    va_start(arguments, format);
    (void)vsnprintf(load->error + size, (size_t)(MAPPING_ERROR_BYTES - size), format, arguments);
    va_end(arguments);
    return 0;
}

static char *copy(const char *text)
{
    return import_text_copy(text, strlen(text));
}

static char *copy_trimmed(const char *text, size_t size)
{
    while (size > 0 && isspace((unsigned char)text[0])) {
        text++;
        size--;
    }
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    return import_text_copy(text, size);
}

/* Splits at a separator into trimmed copies. Returns how many, or max + 1. */
static uint32_t split(const char *text, char separator, char **parts, uint32_t max)
{
    for (uint32_t count = 0; count < max; count++) {
        const char *end = strchrnul(text, separator);
        parts[count] = copy_trimmed(text, (size_t)(end - text));
        if (*end == 0)
            return count + 1;
        text = end + 1;
    }
    return max + 1;
}

static bool choice_find(const struct choice *choices, const char *name, uint32_t *out)
{
    for (; choices->name != NULL; choices++) {
        if (strcmp(choices->name, name) == 0) {
            *out = choices->value;
            return true;
        }
    }
    return false;
}

static bool flags_parse(const struct choice *choices, const char *text, uint32_t *out)
{
    char *names[4] = {0};
    uint32_t flags = 0;
    uint32_t count = split(text, '|', names, 4);
    bool good = count <= 4;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t flag = 0;
        if (good && i < count)
            good = choice_find(choices, names[i], &flag);
        flags |= flag;
        free(names[i]);
    }
    if (good)
        *out = flags;
    return good;
}

static bool number_in_range(const char *text, giro_u128 min, giro_u128 max, giro_u128 *out)
{
    giro_u128 value;
    if (number_u128(text, strlen(text), &value) != NUMBER_OK || value < min || value > max)
        return false;
    *out = value;
    return true;
}

static bool setting_parse(struct load *load, const struct setting *setting, const char *value)
{
    void *place = (char *)load->mapping + setting->offset;
    giro_u128 number;
    switch (setting->type) {
    case TYPE_CHOICE:
        return choice_find(setting->choices, value, place);
    case TYPE_FLAGS:
        return flags_parse(setting->choices, value, place);
    case TYPE_NUMBER:
        if (!number_in_range(value, setting->min, setting->max, &number))
            return false;
        *(uint32_t *)place = (uint32_t)number;
        return true;
    case TYPE_FORMAT: {
        const char *format = strcmp(value, "yymmdd") == 0 ? "YYMMDD" : value;
        if (!number_date_format_valid(format))
            return false;
        return snprintf(place, MAPPING_DATE_FORMAT_BYTES, "%s", format) < MAPPING_DATE_FORMAT_BYTES;
    }
    case TYPE_DATE:
        load->mapping->account_date_given = true;
        return number_date(value, strlen(value), "iso", place) == NUMBER_OK;
    case TYPE_AMOUNT:
        return snprintf(load->tolerance, sizeof load->tolerance, "%s", value) <
               (int)sizeof load->tolerance;
    }
    return false;
}

static int setting_line(struct load *load, const char *section, const char *name, const char *value)
{
    bool section_known = false;
    for (int i = 0; i < SETTINGS; i++) {
        const struct setting *setting = &settings[i];
        if (strcmp(section, setting->section) != 0)
            continue;
        section_known = true;
        if (strcmp(name, setting->name) != 0)
            continue;
        if (setting_parse(load, setting, value))
            return 1;
        return refuse(load, "%s = %s: give %s", name, value, setting->help);
    }
    if (section_known)
        return refuse(load, "[%s] has no setting \"%s\": see docs/import.md", section, name);
    return refuse(load, "unknown section [%s]: see docs/import.md", section);
}

/* ---- [fields] ---------------------------------------------------------------------------- */

static int field_find(const char *name)
{
    for (int i = 0; i < FIELDS; i++) {
        if (strcmp(field_rules[i].name, name) == 0)
            return i;
    }
    return -1;
}

static int source_columns(struct load *load, struct mapping_source *source, const char *names)
{
    char *parts[MAPPING_COLUMNS_MAX] = {0};
    uint32_t max = source->kind == SOURCE_MAP ? MAPPING_COLUMNS_MAX : 1;
    uint32_t count = split(names, ',', parts, max);
    for (uint32_t i = 0; i < max; i++)
        source->columns[i].name = parts[i];
    source->column_count = count <= max ? count : max;
    if (count > max && max == 1)
        return refuse(load, "\"%s\": give one column", names);
    if (count > max)
        return refuse(load, "\"%s\": a map looks at no more than %d columns", names,
                      MAPPING_COLUMNS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i][0] == 0)
            return refuse(load, "\"%s\": a column's name is missing", names);
    }
    return 1;
}

static int source_constant(struct load *load, struct mapping_source *source, int field,
                           const char *value)
{
    uint32_t direction;
    source->constant_text = copy(value);
    if (field == FIELD_DATE)
        return 1; /* read with the other dates, once the date format is known */
    if (field == FIELD_DIRECTION) {
        if (!choice_find(direction_choices, value, &direction))
            return refuse(load, "direction = constant %s: give debit or credit", value);
        source->constant = direction;
        return 1;
    }
    if (!number_in_range(value, 0, field_rules[field].max, &source->constant))
        return refuse(load, "%s = constant %s: not a number that fits into this field",
                      field_rules[field].name, value);
    return 1;
}

static int field_line(struct load *load, const char *name, const char *value)
{
    static const struct choice kinds[] = {{"column", SOURCE_COLUMN},     {"text", SOURCE_TEXT},
                                          {"constant", SOURCE_CONSTANT}, {"map", SOURCE_MAP},
                                          {"sign", SOURCE_SIGN},         {0}};
    int field = field_find(name);
    if (field < 0)
        return refuse(load, "[fields] has no field \"%s\": see docs/import.md", name);
    struct mapping_source *source = &load->mapping->sources[field];
    if (source->kind != SOURCE_NONE)
        return refuse(load, "%s is given twice: keep one", name);

    size_t word_size = strcspn(value, " \t");
    char *word = import_text_copy(value, word_size);
    const char *rest = value + word_size + strspn(value + word_size, " \t");
    uint32_t kind = SOURCE_NONE;
    bool known = choice_find(kinds, word, &kind);
    free(word);
    if (!known || (field_rules[field].sources & 1u << kind) == 0)
        return refuse(load,
                      "%s = %s: a value begins with column, text, constant, map or sign, and this "
                      "field takes not all of them: see docs/import.md",
                      name, value);
    if ((rest[0] == 0) != (kind == SOURCE_SIGN))
        return refuse(load, "%s = %s: %s", name, value,
                      kind == SOURCE_SIGN ? "nothing follows \"sign\"" : "something is missing");
    source->kind = kind;
    source->line = load->line;
    if (kind == SOURCE_CONSTANT)
        return source_constant(load, source, field, rest);
    return kind == SOURCE_SIGN ? 1 : source_columns(load, source, rest);
}

/* ---- maps and [skip] --------------------------------------------------------------------- */

/* "(empty)" stands for an empty value: a key of a mapping file cannot be empty. */
static void value_empty(char **value)
{
    if (strcmp(*value, "(empty)") == 0)
        (*value)[0] = 0;
}

/* Splits "31 Interest paid" into a number and a label; a direction is a word. */
static bool rule_result(struct mapping_rule *rule, int field, const char *value)
{
    uint32_t direction;
    if (field == FIELD_DIRECTION) {
        rule->label = copy("");
        if (!choice_find(direction_choices, value, &direction))
            return false;
        rule->number = direction;
        return true;
    }
    size_t size = strcspn(value, " \t");
    rule->label = copy_trimmed(value + size, strlen(value + size));
    if (number_u128(value, size, &rule->number) != NUMBER_OK)
        return false;
    return rule->number <= field_rules[field].max;
}

static int rule_line(struct load *load, int field, const char *name, const char *value)
{
    struct mapping_source *source = &load->mapping->sources[field];
    struct mapping_rule *rule;
    source->rules = import_memory(source->rules, source->rule_count + 1, sizeof *rule);
    rule = &source->rules[source->rule_count++];
    *rule = (struct mapping_rule){.line = load->line};
    rule->value_count = split(name, '|', rule->values, MAPPING_COLUMNS_MAX);
    bool good = rule_result(rule, field, value);
    if (rule->value_count > MAPPING_COLUMNS_MAX)
        return refuse(load, "%s: more than %d values", name, MAPPING_COLUMNS_MAX);
    for (uint32_t i = 0; i < rule->value_count; i++)
        value_empty(&rule->values[i]);
    if (!good)
        return refuse(load, "%s = %s: give %s", name, value,
                      field == FIELD_DIRECTION
                          ? "debit or credit"
                          : "a number that fits, and then a label if you like");
    return 1;
}

static int skip_line(struct load *load, const char *name, const char *value)
{
    struct mapping *mapping = load->mapping;
    mapping->skips = import_memory(mapping->skips, mapping->skip_count + 1, sizeof *mapping->skips);
    struct mapping_skip *skip = &mapping->skips[mapping->skip_count++];
    *skip = (struct mapping_skip){
        .column.name = copy(name),
        .value = copy(value),
        .line = load->line,
    };
    value_empty(&skip->value);
    return 1;
}

/* Called by inih for every "name = value"; 1: go on. */
static int mapping_line(void *user, const char *section, const char *name, const char *value)
{
    struct load *load = user;
    if (load->failed)
        return 0;
    if (strcmp(section, "fields") == 0)
        return field_line(load, name, value);
    if (strcmp(section, "skip") == 0)
        return skip_line(load, name, value);
    int field = field_find(section);
    if (field >= 0 && (field_rules[field].sources & 1u << SOURCE_MAP) != 0)
        return rule_line(load, field, name, value);
    return setting_line(load, section, name, value);
}

/* Reads a line for inih. Blanks in front are taken off: inih would take such a line for the rest of
 * the line before it. */
static char *line_reader(char *out, int size, void *stream)
{
    struct load *load = stream;
    if (fgets(out, size, load->file) == NULL)
        return NULL;
    load->line++;
    size_t length = strlen(out);
    if (length > 0 && out[length - 1] != '\n' && !feof(load->file)) {
        load->line_too_long = true;
        (void)refuse(load, "the line is longer than %d bytes: shorten it", size - 2);
    }
    size_t blanks = strspn(out, " \t");
    memmove(out, out + blanks, length - blanks + 1);
    return out;
}

/* ---- checks of the whole ----------------------------------------------------------------- */

static bool source_check(struct load *load, int field)
{
    const struct field_rule *rule = &field_rules[field];
    const struct mapping_source *source = &load->mapping->sources[field];
    unsigned kind = 1u << load->mapping->kind;
    const char *of = load->mapping->kind == MAPPING_ACCOUNTS ? "accounts" : "transfers";
    load->line = source->line;
    if (source->kind == SOURCE_NONE && (rule->required & kind) != 0)
        return refuse(load, "[fields] gives no %s, which a mapping of %s needs", rule->name, of);
    if (source->kind != SOURCE_NONE && (rule->kinds & kind) == 0)
        return refuse(load, "a mapping of %s has no field %s: remove it", of, rule->name);
    if (source->kind == SOURCE_MAP && source->rule_count == 0)
        return refuse(load, "%s is a map, and there is no section [%s]: add it", rule->name,
                      rule->name);
    for (uint32_t i = 0; i < source->rule_count; i++) {
        load->line = source->rules[i].line;
        if (source->kind != SOURCE_MAP)
            return refuse(load, "[%s] is there, but [fields] has no %s = map ...", rule->name,
                          rule->name);
        if (source->rules[i].value_count != source->column_count)
            return refuse(load, "%u values for a map of %u columns: write VALUE | VALUE",
                          source->rules[i].value_count, source->column_count);
    }
    return true;
}

static bool date_check(struct load *load)
{
    struct mapping *mapping = load->mapping;
    const struct mapping_source *date = &mapping->sources[FIELD_DATE];
    struct number_time time;
    load->line = date->line;
    if (date->kind == SOURCE_NONE && !mapping->server_timestamps)
        return refuse(load, "[fields] gives no date: add it, or set timestamps = server");
    if (date->kind != SOURCE_CONSTANT)
        return true;
    enum number_status status =
        number_date(date->constant_text, strlen(date->constant_text), "iso", &time);
    if (status != NUMBER_OK)
        return refuse(load, "date = constant %s: give a date such as 1992-12-31",
                      date->constant_text);
    return true;
}

static bool mapping_check(struct load *load)
{
    struct mapping *mapping = load->mapping;
    for (int i = 0; i < FIELDS; i++) {
        if (!source_check(load, i))
            return false;
    }
    if (!date_check(load))
        return false;
    load->line = 0;
    if (mapping->delimiter == mapping->quote || mapping->decimal_mark == mapping->group_mark)
        return refuse(load, "[file]: two of its marks are the same character: change one");
    if (mapping->transfer_namespace == mapping->account_namespace ||
        mapping->transfer_namespace == mapping->counterparty_namespace)
        return refuse(load, "[ids]: give transfers a namespace of their own");
    if (load->tolerance[0] == 0)
        return true;
    enum number_status status = number_decimal(load->tolerance, strlen(load->tolerance),
                                               mapping->scale, '.', 0, &mapping->tolerance);
    if (status != NUMBER_OK || mapping->tolerance < 0)
        return refuse(load, "[proof]: tolerance = %s: give an amount such as 0.10",
                      load->tolerance);
    return true;
}

bool mapping_load(struct mapping *mapping, const char *path, char error[MAPPING_ERROR_BYTES])
{
    struct load load = {.mapping = mapping, .error = error};
    *mapping = mapping_default;
    mapping->path = copy(path);
    load.file = fopen(path, "re");
    if (load.file == NULL) {
        (void)snprintf(error, MAPPING_ERROR_BYTES, "%s: cannot open the mapping file: %s", path,
                       strerror(errno));
        mapping_free(mapping);
        return false;
    }
    int result = ini_parse_stream(line_reader, &load, mapping_line, &load);
    (void)fclose(load.file);
    if (result > 0 && !load.failed) {
        load.line = (uint32_t)result;
        (void)refuse(&load, "not a line \"name = value\" and not a [section]");
    }
    if (load.failed || !mapping_check(&load)) {
        mapping_free(mapping);
        return false;
    }
    return true;
}

static void source_free(struct mapping_source *source)
{
    for (uint32_t i = 0; i < MAPPING_COLUMNS_MAX; i++)
        free(source->columns[i].name);
    for (uint32_t i = 0; i < source->rule_count; i++) {
        for (uint32_t k = 0; k < MAPPING_COLUMNS_MAX; k++)
            free(source->rules[i].values[k]);
        free(source->rules[i].label);
    }
    free(source->rules);
    free(source->constant_text);
}

void mapping_free(struct mapping *mapping)
{
    for (int i = 0; i < FIELDS; i++)
        source_free(&mapping->sources[i]);
    for (uint32_t i = 0; i < mapping->skip_count; i++) {
        free(mapping->skips[i].column.name);
        free(mapping->skips[i].value);
    }
    free(mapping->skips);
    free(mapping->path);
    *mapping = (struct mapping){0};
}

/* ---- a file's columns -------------------------------------------------------------------- */

static bool column_find(const struct mapping_column *column, const struct csv_row *first,
                        bool header, uint32_t *out)
{
    giro_u128 number;
    if (column->name[0] == '#' && number_in_range(column->name + 1, 1, first->count, &number)) {
        *out = (uint32_t)number - 1;
        return true;
    }
    for (uint32_t i = 0; header && i < first->count; i++) {
        struct mapping_text name = mapping_text_trim(&first->fields[i]);
        if (strlen(column->name) == name.size && memcmp(column->name, name.text, name.size) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool column_bind(const struct mapping *mapping, struct mapping_column *column, uint32_t line,
                        const struct csv_row *first, char error[MAPPING_ERROR_BYTES])
{
    if (column_find(column, first, mapping->header, &column->index))
        return true;
    (void)snprintf(error, MAPPING_ERROR_BYTES,
                   "none of the %u columns is \"%s\", which %s:%u asks for: %s", first->count,
                   column->name, mapping->path, line,
                   mapping->header ? "compare the names, and the delimiter, with the header"
                                   : "without a header they are called #1, #2, ...");
    return false;
}

bool mapping_bind(struct mapping *mapping, const struct csv_row *first,
                  char error[MAPPING_ERROR_BYTES])
{
    for (int field = 0; field < FIELDS; field++) {
        struct mapping_source *source = &mapping->sources[field];
        for (uint32_t i = 0; i < source->column_count; i++) {
            if (!column_bind(mapping, &source->columns[i], source->line, first, error))
                return false;
        }
    }
    for (uint32_t i = 0; i < mapping->skip_count; i++) {
        struct mapping_skip *skip = &mapping->skips[i];
        if (!column_bind(mapping, &skip->column, skip->line, first, error))
            return false;
    }
    return true;
}

struct csv_format mapping_csv_format(const struct mapping *mapping)
{
    return (struct csv_format){
        .delimiter = (char)mapping->delimiter,
        .quote = (char)mapping->quote,
        .line_ends_in_quotes = mapping->line_ends_in_quotes,
    };
}

/* ---- a row ------------------------------------------------------------------------------- */

struct mapping_text mapping_text_trim(const struct csv_field *field)
{
    struct mapping_text trimmed = {field->text, field->size};
    while (trimmed.size > 0 && isspace((unsigned char)trimmed.text[0])) {
        trimmed.text++;
        trimmed.size--;
    }
    while (trimmed.size > 0 && isspace((unsigned char)trimmed.text[trimmed.size - 1]))
        trimmed.size--;
    return trimmed;
}

static bool value_fits(const char *value, const struct csv_row *row, uint32_t column)
{
    assert(column < row->count);
    struct mapping_text text = mapping_text_trim(&row->fields[column]);
    return strlen(value) == text.size && memcmp(value, text.text, text.size) == 0;
}

const struct mapping_rule *mapping_rule_find(const struct mapping_source *source,
                                             const struct csv_row *row)
{
    assert(source->kind == SOURCE_MAP);
    for (uint32_t i = 0; i < source->rule_count; i++) {
        const struct mapping_rule *rule = &source->rules[i];
        bool fits = true;
        for (uint32_t k = 0; fits && k < source->column_count; k++)
            fits = strcmp(rule->values[k], "*") == 0 ||
                   value_fits(rule->values[k], row, source->columns[k].index);
        if (fits)
            return rule;
    }
    return NULL;
}

bool mapping_row_skipped(const struct mapping *mapping, const struct csv_row *row)
{
    for (uint32_t i = 0; i < mapping->skip_count; i++) {
        if (value_fits(mapping->skips[i].value, row, mapping->skips[i].column.index))
            return true;
    }
    return false;
}
