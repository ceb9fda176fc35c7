#include "tools/import_plan.h"

#include "tools/import_memory.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1u << 30 };

/* ---- errors ------------------------------------------------------------------------------ */

/* The row that is being read. */
struct row_reader {
    struct import_plan *plan;
    uint32_t file;
    const struct csv_row *row;
};

__attribute__((format(printf, 5, 6))) static bool complain_at(struct import_plan *plan,
                                                              uint32_t file, uint64_t line,
                                                              uint32_t position, const char *format,
                                                              ...)
{
    va_list arguments;
    plan->error_count++;
    if (plan->error_count > IMPORT_ERRORS_SHOWN)
        return false;
    fprintf(plan->errors, "giro %s: %s:", plan->command, plan->files[file].path);
    if (line > 0)
        fprintf(plan->errors, "%llu:", (unsigned long long)line);
    if (position > 0)
        fprintf(plan->errors, "%u:", position);
    fputc(' ', plan->errors);
    va_start(arguments, format);
    (void)vfprintf(plan->errors, format, arguments);
    va_end(arguments);
    fputc('\n', plan->errors);
    return false;
}

/* A field of the row is not what the mapping says that it is. */
static bool complain_field(const struct row_reader *reader, enum mapping_field field,
                           const char *what, const char *advice)
{
    const struct mapping_source *source = &reader->plan->mapping->sources[field];
    const struct csv_field *place = &reader->row->fields[source->columns[0].index];
    return complain_at(reader->plan, reader->file, reader->row->line, place->position,
                       "column \"%s\": \"%.60s\" %s: %s", source->columns[0].name, place->text,
                       what, advice);
}

/* ---- fields of a row --------------------------------------------------------------------- */

static struct mapping_text field_text(const struct row_reader *reader, enum mapping_field field)
{
    const struct mapping_source *source = &reader->plan->mapping->sources[field];
    return mapping_text_trim(&reader->row->fields[source->columns[0].index]);
}

static bool complain_unmapped(const struct row_reader *reader, enum mapping_field field)
{
    const struct mapping_source *source = &reader->plan->mapping->sources[field];
    char values[160] = "";
    size_t size = 0;
    for (uint32_t i = 0; i < source->column_count; i++) {
        struct mapping_text text =
            mapping_text_trim(&reader->row->fields[source->columns[i].index]);
        int shown = text.size > 30 ? 30 : (int)text.size;
        int added = snprintf(values + size, sizeof values - size, "%s%.*s", i == 0 ? "" : " | ",
                             shown == 0 ? 7 : shown, shown == 0 ? "(empty)" : text.text);
        size += added > 0 && (size_t)added < sizeof values - size ? (size_t)added : 0;
    }
    const struct csv_field *place = &reader->row->fields[source->columns[0].index];
    const char *name = mapping_field_name(field);
    return complain_at(reader->plan, reader->file, reader->row->line, place->position,
                       "no rule of [%s] fits \"%s\": add a line \"%s = ...\" to [%s] of %s", name,
                       values, values, name, reader->plan->mapping->path);
}

static giro_u128 field_max(enum mapping_field field)
{
    switch (field) {
    case FIELD_ID:
    case FIELD_ACCOUNT:
    case FIELD_COUNTERPARTY:
        return NUMBER_ID_VALUE_MAX;
    case FIELD_CODE:
        return UINT16_MAX;
    case FIELD_LEDGER:
    case FIELD_USER_DATA_32:
        return UINT32_MAX;
    case FIELD_USER_DATA_64:
        return UINT64_MAX;
    default:
        return GIRO_U128_MAX;
    }
}

static bool field_number_column(const struct row_reader *reader, enum mapping_field field,
                                giro_u128 *out)
{
    struct mapping_text text = field_text(reader, field);
    bool may_be_empty =
        field == FIELD_USER_DATA_128 || field == FIELD_USER_DATA_64 || field == FIELD_USER_DATA_32;
    if (text.size == 0 && may_be_empty) {
        *out = 0;
        return true;
    }
    enum number_status status = number_u128(text.text, text.size, out);
    if (status == NUMBER_OK && *out > field_max(field))
        status = NUMBER_TOO_LARGE;
    if (status == NUMBER_OK)
        return true;
    return complain_field(reader, field, number_status_text(status),
                          "correct the row, or the column in the mapping");
}

/* Reads a number from wherever the mapping says. rule: NULL, or gets the rule of a map. */
static bool field_number(const struct row_reader *reader, enum mapping_field field, giro_u128 *out,
                         const struct mapping_rule **out_rule)
{
    const struct mapping_source *source = &reader->plan->mapping->sources[field];
    const struct mapping_rule *rule;
    switch (source->kind) {
    case SOURCE_CONSTANT:
        *out = source->constant;
        return true;
    case SOURCE_MAP:
        rule = mapping_rule_find(source, reader->row);
        if (rule == NULL)
            return complain_unmapped(reader, field);
        *out = rule->number;
        if (out_rule != NULL)
            *out_rule = rule;
        return true;
    case SOURCE_COLUMN:
        return field_number_column(reader, field, out);
    default:
        *out = 0;
        return true;
    }
}

/* What an id was made from. */
struct id_source {
    giro_u128 id;
    struct mapping_text text; /* .text NULL: from a number */
    const char *label;
};

static bool field_id(const struct row_reader *reader, enum mapping_field field,
                     uint32_t namespace_number, struct id_source *out)
{
    const struct mapping_rule *rule = NULL;
    giro_u128 number;
    *out = (struct id_source){.label = ""};
    if (reader->plan->mapping->sources[field].kind == SOURCE_TEXT) {
        out->text = field_text(reader, field);
        if (out->text.size == 0)
            return complain_field(reader, field, "is empty", "an id is made from this column");
        out->id = number_id_text(namespace_number, out->text.text, out->text.size);
        return true;
    }
    if (!field_number(reader, field, &number, &rule))
        return false;
    out->id = number_id(namespace_number, number);
    if (rule != NULL)
        out->label = rule->label;
    return true;
}

static bool field_decimal(const struct row_reader *reader, enum mapping_field field, giro_i128 *out)
{
    const struct mapping *mapping = reader->plan->mapping;
    struct mapping_text text = field_text(reader, field);
    enum number_status status =
        number_decimal(text.text, text.size, mapping->scale, (char)mapping->decimal_mark,
                       (char)mapping->group_mark, out);
    if (status == NUMBER_OK)
        return true;
    return complain_field(reader, field, number_status_text(status),
                          "correct the row, or scale, decimal_mark or group_mark in the mapping");
}

static bool field_date(const struct row_reader *reader, struct number_time *out)
{
    const struct mapping *mapping = reader->plan->mapping;
    const struct mapping_source *source = &mapping->sources[FIELD_DATE];
    enum number_status status;
    *out = (struct number_time){0};
    if (source->kind == SOURCE_NONE)
        return true;
    if (source->kind == SOURCE_CONSTANT) {
        status = number_date(source->constant_text, strlen(source->constant_text), "iso", out);
        assert(status == NUMBER_OK); /* mapping_load() has seen to it */
        return true;
    }
    struct mapping_text text = field_text(reader, FIELD_DATE);
    status = number_date(text.text, text.size, mapping->date_format, out);
    if (status == NUMBER_OK)
        return true;
    char advice[MAPPING_DATE_FORMAT_BYTES + 80];
    (void)snprintf(advice, sizeof advice, "correct the row, or date_format (now %s) in the mapping",
                   mapping->date_format);
    return complain_field(reader, FIELD_DATE, number_status_text(status), advice);
}

/* ---- a row of transfers ------------------------------------------------------------------ */

static struct import_account *account_add(struct import_plan *plan)
{
    if (plan->account_count == plan->account_capacity) {
        plan->account_capacity = plan->account_capacity == 0 ? 1024 : 2 * plan->account_capacity;
        plan->accounts =
            import_memory(plan->accounts, plan->account_capacity, sizeof *plan->accounts);
    }
    struct import_account *account = &plan->accounts[plan->account_count++];
    *account = (struct import_account){.sequence = plan->account_count};
    return account;
}

/* Notes that a transfer needs an account. */
static bool account_need(const struct row_reader *reader, const struct id_source *source,
                         uint32_t ledger, bool counterparty)
{
    struct import_plan *plan = reader->plan;
    const struct mapping *mapping = plan->mapping;
    uint32_t index = import_ids_put(&plan->account_ids, source->id, plan->account_count);
    if (index == IMPORT_IDS_NONE) {
        struct import_account *account = account_add(plan);
        uint32_t code = counterparty ? mapping->counterparty_code : mapping->account_code;
        uint32_t flags = counterparty ? 0 : mapping->account_flags;
        account->account = (struct giro_account){
            .id = source->id, .ledger = ledger, .code = (uint16_t)code, .flags = (uint16_t)flags};
        account->origin = (struct import_origin){reader->file, (uint32_t)reader->row->line};
        account->counterparty = counterparty;
        account->text = source->text.text;
        account->text_size = source->text.size;
        account->label = source->label;
        return true;
    }
    const struct import_account *account = &plan->accounts[index];
    char id[NUMBER_TEXT_BYTES];
    if (account->account.ledger != ledger)
        return complain_at(plan, reader->file, reader->row->line, 1,
                           "account %s is in ledger %u here and in ledger %u in line %u: an "
                           "account has one ledger",
                           number_print_id(source->id, id), ledger, account->account.ledger,
                           account->origin.line);
    if (account->text != NULL && source->text.text != NULL &&
        (account->text_size != source->text.size ||
         memcmp(account->text, source->text.text, source->text.size) != 0))
        return complain_at(plan, reader->file, reader->row->line, 1,
                           "\"%s\" and \"%s\" in line %u have the same hash: number these accounts "
                           "in a column of their own",
                           source->text.text, account->text, account->origin.line);
    return true;
}

/* Reads the amount and which side the row's account is on. */
static bool row_amount(const struct row_reader *reader, struct import_transfer *out)
{
    giro_i128 amount;
    giro_u128 direction;
    if (!field_decimal(reader, FIELD_AMOUNT, &amount))
        return false;
    if (reader->plan->mapping->sources[FIELD_DIRECTION].kind == SOURCE_SIGN) {
        direction = amount < 0 ? MAPPING_DEBIT : MAPPING_CREDIT;
        amount = amount < 0 ? -amount : amount;
    } else if (!field_number(reader, FIELD_DIRECTION, &direction, NULL)) {
        return false;
    }
    if (amount < 0)
        return complain_field(reader, FIELD_AMOUNT, "is negative",
                              "correct the row, or set direction = sign in the mapping");
    out->transfer.amount = (giro_u128)amount;
    out->account_debited = direction == MAPPING_DEBIT;
    return true;
}

static bool row_numbers(const struct row_reader *reader, struct giro_transfer *out)
{
    giro_u128 code;
    giro_u128 ledger;
    giro_u128 data_64;
    giro_u128 data_32;
    if (!field_number(reader, FIELD_CODE, &code, NULL) ||
        !field_number(reader, FIELD_LEDGER, &ledger, NULL) ||
        !field_number(reader, FIELD_USER_DATA_128, &out->user_data_128, NULL) ||
        !field_number(reader, FIELD_USER_DATA_64, &data_64, NULL) ||
        !field_number(reader, FIELD_USER_DATA_32, &data_32, NULL))
        return false;
    if (code == 0 || ledger == 0)
        return complain_at(reader->plan, reader->file, reader->row->line, 1,
                           "the %s is 0: give 1 or more", code == 0 ? "code" : "ledger");
    out->code = (uint16_t)code;
    out->ledger = (uint32_t)ledger;
    out->user_data_64 = (uint64_t)data_64;
    out->user_data_32 = (uint32_t)data_32;
    return true;
}

static bool row_sides(const struct row_reader *reader, struct import_transfer *out)
{
    const struct mapping *mapping = reader->plan->mapping;
    struct id_source account;
    struct id_source counterparty;
    if (!field_id(reader, FIELD_ACCOUNT, mapping->account_namespace, &account) ||
        !field_id(reader, FIELD_COUNTERPARTY, mapping->counterparty_namespace, &counterparty))
        return false;
    if (account.id == counterparty.id)
        return complain_at(reader->plan, reader->file, reader->row->line, 1,
                           "account and counterparty are the same: a transfer needs two accounts");
    struct giro_transfer *transfer = &out->transfer;
    transfer->debit_account_id = out->account_debited ? account.id : counterparty.id;
    transfer->credit_account_id = out->account_debited ? counterparty.id : account.id;
    return account_need(reader, &account, transfer->ledger, false) &&
           account_need(reader, &counterparty, transfer->ledger, true);
}

static bool row_id(const struct row_reader *reader, uint32_t index, giro_u128 *out)
{
    struct import_plan *plan = reader->plan;
    struct id_source source;
    if (!field_id(reader, FIELD_ID, plan->mapping->transfer_namespace, &source))
        return false;
    uint32_t first = import_ids_put(&plan->transfer_ids, source.id, index);
    if (first != IMPORT_IDS_NONE) {
        const struct import_origin *origin = &plan->transfers[first].origin;
        char advice[256];
        (void)snprintf(advice, sizeof advice, "%s:%u has it already, so one of the two must go",
                       plan->files[origin->file].path, origin->line);
        return complain_field(reader, FIELD_ID, "comes twice", advice);
    }
    *out = source.id;
    return true;
}

static void transfer_row(const struct row_reader *reader)
{
    struct import_plan *plan = reader->plan;
    if (plan->transfer_count == plan->transfer_capacity) {
        plan->transfer_capacity = plan->transfer_capacity == 0 ? 4096 : 2 * plan->transfer_capacity;
        plan->transfers =
            import_memory(plan->transfers, plan->transfer_capacity, sizeof *plan->transfers);
    }
    struct import_transfer *transfer = &plan->transfers[plan->transfer_count];
    *transfer = (struct import_transfer){
        .sequence = plan->transfer_count,
        .origin = {reader->file, (uint32_t)reader->row->line},
    };
    if (!row_id(reader, plan->transfer_count, &transfer->transfer.id))
        return;
    plan->transfer_count++; /* also when more is wrong: its id is taken */
    if (!row_numbers(reader, &transfer->transfer) || !row_amount(reader, transfer) ||
        !row_sides(reader, transfer) || !field_date(reader, &transfer->time))
        return;
    if (plan->mapping->sources[FIELD_BALANCE].kind != SOURCE_NONE)
        (void)field_decimal(reader, FIELD_BALANCE, &transfer->balance);
    if (!plan->mapping->server_timestamps)
        transfer->transfer.flags |= GIRO_TRANSFER_IMPORTED;
}

/* ---- a row of accounts ------------------------------------------------------------------- */

static void account_row(const struct row_reader *reader)
{
    struct import_plan *plan = reader->plan;
    const struct mapping *mapping = plan->mapping;
    struct giro_transfer numbers = {0};
    struct number_time time;
    struct id_source source;
    if (!field_id(reader, FIELD_ID, mapping->account_namespace, &source))
        return;
    uint32_t first = import_ids_put(&plan->account_ids, source.id, plan->account_count);
    if (first != IMPORT_IDS_NONE) {
        char advice[80];
        (void)snprintf(advice, sizeof advice, "line %u has it already, so one of the two must go",
                       plan->accounts[first].origin.line);
        (void)complain_field(reader, FIELD_ID, "comes twice", advice);
        return;
    }
    struct import_account *account = account_add(plan);
    account->origin = (struct import_origin){reader->file, (uint32_t)reader->row->line};
    account->label = "";
    if (!row_numbers(reader, &numbers) || !field_date(reader, &time))
        return;
    account->time = time;
    account->account = (struct giro_account){
        .id = source.id,
        .user_data_128 = numbers.user_data_128,
        .user_data_64 = numbers.user_data_64,
        .user_data_32 = numbers.user_data_32,
        .ledger = numbers.ledger,
        .code = numbers.code,
        .flags = (uint16_t)mapping->account_flags,
    };
}

/* ---- files ------------------------------------------------------------------------------- */

/* Reads a whole file, with room for one more byte. */
static bool file_read(struct import_plan *plan, uint32_t index)
{
    struct import_file *file = &plan->files[index];
    size_t capacity = 1 << 20;
    FILE *stream = fopen(file->path, "re");
    if (stream == NULL)
        return complain_at(plan, index, 0, 0, "cannot open the file: %s", strerror(errno));
    file->text = import_memory(NULL, capacity, 1);
    for (;;) {
        size_t got = fread(file->text + file->size, 1, capacity - file->size - 1, stream);
        file->size += got;
        if (got == 0)
            break;
        if (file->size + 1 == capacity) {
            capacity *= 2;
            file->text = import_memory(file->text, capacity, 1);
        }
    }
    bool failed = ferror(stream) != 0;
    (void)fclose(stream);
    return failed ? complain_at(plan, index, 0, 0, "cannot read the file: %s", strerror(errno))
                  : true;
}

/* Whether a last line without a line end is a whole row. */
static bool tail_whole(const struct import_plan *plan, const char *tail, size_t size,
                       uint32_t columns)
{
    struct csv_format format = mapping_csv_format(plan->mapping);
    struct csv_reader reader;
    struct csv_row *row = import_memory(NULL, 1, sizeof *row);
    struct csv_error error;
    char *copy = import_text_copy(tail, size);
    csv_open(&reader, &format, copy, strlen(copy));
    bool whole = csv_next(&reader, row, &error) == CSV_ROW && row->count == columns;
    free(copy);
    free(row);
    return whole;
}

/* A file that ends in the middle of a row was cut: refuse it, or leave that row out if the mapping
 * says so. Checked before the rows are, which would find only that something is wrong. */
static bool tail_check(struct import_plan *plan, uint32_t index, struct csv_reader *reader,
                       uint32_t columns)
{
    struct import_file *file = &plan->files[index];
    if (plan->mapping->line_ends_in_quotes || reader->at == reader->end || reader->end[-1] == '\n')
        return true;
    const char *last = memrchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    char *tail = last == NULL ? reader->at : reader->at + (last + 1 - reader->at);
    if (tail_whole(plan, tail, (size_t)(reader->end - tail), columns))
        return true;
    uint32_t line = (uint32_t)reader->line;
    for (const char *at = reader->at; at < tail; at++)
        line += *at == '\n';
    if (!plan->mapping->drop_incomplete_last_row)
        return complain_at(plan, index, line, (uint32_t)(reader->end - tail) + 1,
                           "the file ends in the middle of a row: fetch the whole file, or set "
                           "incomplete_last_row = drop");
    file->dropped_line = line;
    reader->end = tail;
    return true;
}

static bool first_row(struct import_plan *plan, uint32_t index, const struct csv_row *row)
{
    char error[MAPPING_ERROR_BYTES];
    if (mapping_bind(plan->mapping, row, error))
        return true;
    return complain_at(plan, index, row->line, 1, "%s", error);
}

static void data_row(struct import_plan *plan, uint32_t index, const struct csv_row *row,
                     uint32_t columns)
{
    struct row_reader reader = {plan, index, row};
    struct import_file *file = &plan->files[index];
    if (row->count != columns) {
        const struct csv_field *last = &row->fields[row->count - 1];
        (void)complain_at(plan, index, row->line, last->position,
                          "%u columns instead of %u: correct the row; is a delimiter inside a "
                          "field that is not quoted?",
                          row->count, columns);
        return;
    }
    if (mapping_row_skipped(plan->mapping, row)) {
        file->rows_skipped++;
        return;
    }
    file->rows++;
    if (plan->mapping->kind == MAPPING_ACCOUNTS)
        account_row(&reader);
    else
        transfer_row(&reader);
}

static void file_rows(struct import_plan *plan, uint32_t index, struct csv_row *row)
{
    struct import_file *file = &plan->files[index];
    struct csv_format format = mapping_csv_format(plan->mapping);
    struct csv_reader reader;
    struct csv_error error;
    if (!file_read(plan, index))
        return;
    csv_open(&reader, &format, file->text, file->size);
    enum csv_status status = csv_next(&reader, row, &error);
    if (status == CSV_END)
        (void)complain_at(plan, index, 1, 1, "the file is empty: is it the right one?");
    if (status == CSV_ERROR)
        (void)complain_at(plan, index, error.line, error.position, "%s", error.text);
    if (status != CSV_ROW || !first_row(plan, index, row))
        return;
    uint32_t columns = row->count;
    if (!tail_check(plan, index, &reader, columns))
        return;
    if (!plan->mapping->header)
        data_row(plan, index, row, columns);
    while ((status = csv_next(&reader, row, &error)) != CSV_END) {
        if (status == CSV_ERROR)
            (void)complain_at(plan, index, error.line, error.position, "%s", error.text);
        else
            data_row(plan, index, row, columns);
        if (plan->transfer_count >= ROWS_MAX) {
            (void)complain_at(plan, index, row->line, 1, "too many rows: split the file");
            return;
        }
    }
}

/* ---- order and timestamps ---------------------------------------------------------------- */

static int time_compare(const struct number_time *a, uint32_t a_sequence,
                        const struct number_time *b, uint32_t b_sequence)
{
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    if (a->ns != b->ns)
        return a->ns < b->ns ? -1 : 1;
    return a_sequence < b_sequence ? -1 : a_sequence > b_sequence;
}

static int transfer_compare(const void *a, const void *b)
{
    const struct import_transfer *left = a;
    const struct import_transfer *right = b;
    return time_compare(&left->time, left->sequence, &right->time, right->sequence);
}

static int account_compare(const void *a, const void *b)
{
    const struct import_account *left = a;
    const struct import_account *right = b;
    return time_compare(&left->time, left->sequence, &right->time, right->sequence);
}

/* The first free timestamp from a time on, and not before the day's first_ns. */
static uint64_t timestamp_next(const struct number_time *time, uint64_t first_ns, uint64_t last)
{
    struct number_time at = *time;
    at.ns = at.ns < first_ns ? first_ns : at.ns;
    uint64_t timestamp = number_timestamp(&at);
    return timestamp > last ? timestamp : last + 1;
}

static void transfers_order(struct import_plan *plan)
{
    uint64_t last = 0;
    if (plan->transfer_count == 0)
        return;
    qsort(plan->transfers, plan->transfer_count, sizeof *plan->transfers, transfer_compare);
    for (uint32_t i = 0; i < plan->transfer_count; i++) {
        struct import_transfer *transfer = &plan->transfers[i];
        last = timestamp_next(&transfer->time, GIRO_NS_PER_S, last);
        transfer->transfer.timestamp = last;
    }
    import_ids_free(&plan->transfer_ids); /* it counted in the files' order */
    for (uint32_t i = 0; i < plan->transfer_count; i++)
        (void)import_ids_put(&plan->transfer_ids, plan->transfers[i].transfer.id, i);
}

/* Accounts that transfers need exist from the mapping's date on, else from the first transfer's
 * day; those of an account file from their own. */
static void accounts_order(struct import_plan *plan)
{
    const struct mapping *mapping = plan->mapping;
    uint64_t last = 0;
    if (plan->account_count == 0)
        return;
    for (uint32_t i = 0; i < plan->account_count && mapping->kind == MAPPING_TRANSFERS; i++) {
        plan->accounts[i].time = mapping->account_date_given
                                     ? mapping->account_date
                                     : (struct number_time){.day = plan->transfers[0].time.day};
    }
    qsort(plan->accounts, plan->account_count, sizeof *plan->accounts, account_compare);
    import_ids_free(&plan->account_ids);
    for (uint32_t i = 0; i < plan->account_count; i++) {
        struct import_account *account = &plan->accounts[i];
        (void)import_ids_put(&plan->account_ids, account->account.id, i);
        if (mapping->server_timestamps)
            continue;
        last = timestamp_next(&account->time, 1, last);
        account->account.timestamp = last;
        account->account.flags |= GIRO_ACCOUNT_IMPORTED;
    }
}

bool import_plan_read(struct import_plan *plan, const char *command, struct mapping *mapping,
                      char *const *paths, uint32_t path_count, FILE *errors)
{
    *plan = (struct import_plan){
        .mapping = mapping, .errors = errors, .command = command, .file_count = path_count};
    plan->files = import_memory(NULL, path_count + 1, sizeof *plan->files);
    struct csv_row *row = import_memory(NULL, 1, sizeof *row);
    for (uint32_t i = 0; i < path_count; i++)
        plan->files[i] = (struct import_file){.path = paths[i]};
    for (uint32_t i = 0; i < path_count; i++)
        file_rows(plan, i, row);
    free(row);
    if (plan->error_count > IMPORT_ERRORS_SHOWN)
        fprintf(errors, "giro %s: and %u more errors\n", command,
                plan->error_count - IMPORT_ERRORS_SHOWN);
    if (plan->error_count > 0)
        return false;
    transfers_order(plan);
    accounts_order(plan);
    return true;
}

void import_plan_free(struct import_plan *plan)
{
    for (uint32_t i = 0; i < plan->file_count; i++)
        free(plan->files[i].text);
    free(plan->files);
    free(plan->transfers);
    free(plan->accounts);
    import_ids_free(&plan->transfer_ids);
    import_ids_free(&plan->account_ids);
    *plan = (struct import_plan){0};
}
