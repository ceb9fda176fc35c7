/* The mapping file of giro import: how the columns of a CSV file become transfers or accounts.
 *
 * docs/import.md is the manual. A mapping is read whole and checked before any CSV file is: what
 * comes out of mapping_load() is complete, and every number in it is within its range. */
#ifndef TOOLS_IMPORT_MAPPING_H
#define TOOLS_IMPORT_MAPPING_H

#include "tools/csv.h"
#include "tools/import_number.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MAPPING_ERROR_BYTES = 512,
    MAPPING_COLUMNS_MAX = 4, /* that one map looks at */
    MAPPING_DATE_FORMAT_BYTES = 40,
};

enum mapping_kind { MAPPING_TRANSFERS, MAPPING_ACCOUNTS };
enum mapping_create { MAPPING_CREATE_ALL, MAPPING_CREATE_COUNTERPARTY, MAPPING_CREATE_NONE };
enum mapping_direction { MAPPING_DEBIT, MAPPING_CREDIT };

/* What a row gives. [fields] of the mapping file names them. */
enum mapping_field {
    FIELD_ID,
    FIELD_ACCOUNT,
    FIELD_COUNTERPARTY,
    FIELD_DIRECTION,
    FIELD_AMOUNT,
    FIELD_DATE,
    FIELD_CODE,
    FIELD_LEDGER,
    FIELD_USER_DATA_128,
    FIELD_USER_DATA_64,
    FIELD_USER_DATA_32,
    FIELD_BALANCE,
    FIELDS,
};

const char *mapping_field_name(enum mapping_field field);

enum source_kind {
    SOURCE_NONE,
    SOURCE_COLUMN,   /* the number, amount or date in a column */
    SOURCE_TEXT,     /* the id made from the text of a column */
    SOURCE_CONSTANT, /* the same for every row */
    SOURCE_MAP,      /* looked up in the section that has the field's name */
    SOURCE_SIGN,     /* direction only: a negative amount is a debit of the account */
};

struct mapping_column {
    char *name;
    uint32_t index; /* set by mapping_bind() */
};

/* VALUE | VALUE = NUMBER label. A value of "*" fits everything, an empty one only itself. */
struct mapping_rule {
    char *values[MAPPING_COLUMNS_MAX];
    uint32_t value_count;
    uint32_t line;
    giro_u128 number;
    char *label; /* "" where there is none */
};

struct mapping_source {
    enum source_kind kind;
    uint32_t line; /* of the mapping file; 0 for a field that it does not give */
    struct mapping_column columns[MAPPING_COLUMNS_MAX];
    uint32_t column_count;
    giro_u128 constant;
    char *constant_text;
    struct mapping_rule *rules;
    uint32_t rule_count;
};

struct mapping_skip {
    struct mapping_column column;
    char *value;
    uint32_t line;
};

struct mapping {
    char *path;

    /* [file] */
    uint32_t kind; /* enum mapping_kind */
    uint32_t delimiter;
    uint32_t quote;
    uint32_t header;
    uint32_t line_ends_in_quotes;
    uint32_t drop_incomplete_last_row;
    uint32_t decimal_mark;
    uint32_t group_mark;
    uint32_t scale;
    uint32_t server_timestamps;
    char date_format[MAPPING_DATE_FORMAT_BYTES];

    /* [ids] */
    uint32_t transfer_namespace;
    uint32_t account_namespace;
    uint32_t counterparty_namespace;

    /* [accounts] */
    uint32_t create; /* enum mapping_create */
    uint32_t account_code;
    uint32_t counterparty_code;
    uint32_t account_flags; /* enum giro_account_flag */
    struct number_time account_date;
    bool account_date_given;

    /* [proof] */
    giro_i128 tolerance;
    uint32_t differing_max;
    uint32_t account_days_min;
    uint32_t balance_direction; /* enum mapping_direction: the side that makes the balance grow */

    struct mapping_source sources[FIELDS];
    struct mapping_skip *skips;
    uint32_t skip_count;
};

/* Reads and checks a mapping file. Returns false with "FILE:LINE: what is wrong, what to do" in
 * error; true: end it with mapping_free(). */
bool mapping_load(struct mapping *mapping, const char *path, char error[MAPPING_ERROR_BYTES]);
void mapping_free(struct mapping *mapping);

/* Finds the mapping's columns in the first row of a file: by their names when it is a header, else
 * only as #1, #2, ... Returns false with what is wrong, to be put behind the file's name. */
bool mapping_bind(struct mapping *mapping, const struct csv_row *first,
                  char error[MAPPING_ERROR_BYTES]);

struct csv_format mapping_csv_format(const struct mapping *mapping);

/* The first rule of a map that fits the row's values, or NULL. Blanks around values do not count.
 */
const struct mapping_rule *mapping_rule_find(const struct mapping_source *source,
                                             const struct csv_row *row);

/* Whether [skip] says to leave the row out. */
bool mapping_row_skipped(const struct mapping *mapping, const struct csv_row *row);

/* A field of a row without the blanks around it. */
struct mapping_text {
    const char *text;
    size_t size;
};
struct mapping_text mapping_text_trim(const struct csv_field *field);

#endif
