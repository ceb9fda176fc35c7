/* What an import will do: every row of every file, read and checked before anything is sent.
 *
 * Transfers are in the order of their time, and rows of the same time in the order of the files and
 * of the rows in them. Imported timestamps follow from that order: a row with a date has the first
 * free nanosecond from its day's second second on, a row with a time of day the first free one from
 * that time on. The first second of a day is for accounts. So the same files give the same
 * timestamps whenever they are read.
 *
 * Everything that is wrong is reported with FILE:LINE:COLUMN; after IMPORT_ERRORS_SHOWN errors only
 * counted. */
#ifndef TOOLS_IMPORT_PLAN_H
#define TOOLS_IMPORT_PLAN_H

#include "tools/import_ids.h"
#include "tools/import_mapping.h"

#include <stdio.h>

enum { IMPORT_ERRORS_SHOWN = 20 };

struct import_origin {
    uint32_t file;
    uint32_t line;
};

struct import_transfer {
    struct giro_transfer transfer;
    giro_i128 balance; /* of the row's account, as the file says; 0 without a balance column */
    struct number_time time;
    uint32_t sequence; /* in the files */
    struct import_origin origin;
    bool account_debited; /* the row's account is the debit account */
};

struct import_account {
    struct giro_account account;
    struct number_time time;
    uint32_t sequence;
    struct import_origin origin; /* where it is used first */
    bool counterparty;
    const char *text; /* NULL, or what its id was made from */
    size_t text_size;
    const char *label; /* of the rule that names it; "" without one */
};

struct import_file {
    const char *path; /* the caller's */
    char *text;
    size_t size;
    uint32_t rows; /* without header and skipped rows */
    uint32_t rows_skipped;
    uint32_t dropped_line; /* of an incomplete last row that was left out; 0: none */
};

struct import_plan {
    struct mapping *mapping; /* the caller's */
    struct import_file *files;
    uint32_t file_count;
    struct import_transfer *transfers;
    uint32_t transfer_count;
    struct import_account *accounts; /* that the transfers need; or the rows of account files */
    uint32_t account_count;
    struct import_ids transfer_ids;
    struct import_ids account_ids; /* id -> index into accounts */
    uint32_t error_count;

    FILE *errors;
    const char *command; /* "import" or "proof": who reports them */
    uint32_t transfer_capacity;
    uint32_t account_capacity;
};

/* Reads the files. Returns whether there was no error; errors were printed either way. End it with
 * import_plan_free() in both cases. paths and mapping must live as long as the plan. */
bool import_plan_read(struct import_plan *plan, const char *command, struct mapping *mapping,
                      char *const *paths, uint32_t path_count, FILE *errors);

void import_plan_free(struct import_plan *plan);

static inline giro_u128 import_row_account(const struct import_transfer *row)
{
    return row->account_debited ? row->transfer.debit_account_id : row->transfer.credit_account_id;
}

#endif
