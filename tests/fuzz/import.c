/* Fuzzes the import: a mapping file and a CSV file, as giro import and giro proof read them.
 *
 *   input   | text of the mapping | 0 | text of the CSV file
 *
 * Never: a field lies outside of its text, or out of order; a row that is written and read again has
 * other fields; a number that was read and printed is
 * read as another one; a plan without errors holds an id twice, a transfer that the server would
 * refuse for its form, timestamps out of order, or a transfer whose accounts are not in it. */
#include "tests/fuzz/fuzz.h"
#include "tools/import_plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int mapping_file = -1;
static int csv_file = -1;
static char mapping_path[40];
static char csv_path[40];
static FILE *nowhere;

static void file_set(int fd, const void *text, size_t size)
{
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, text, size, 0) == (ssize_t)size);
}

/* ---- Fields ------------------------------------------------------------------------------ */

/* A number that is written with nothing but digits is printed as it was written. */
static void digits_check(const struct csv_field *field, const char *printed)
{
    const char *text = field->text;
    if (strspn(text, "0123456789") != field->size)
        return;
    text += strspn(text, "0");
    MUST(strcmp(text[0] == 0 ? "0" : text, printed) == 0, "%s %s", text, printed);
}

static void numbers_check(const struct csv_field *field)
{
    char text[NUMBER_TEXT_BYTES];
    struct number_time time;
    giro_u128 number = 0;
    giro_u128 again;
    giro_i128 amount;
    giro_i128 amount_again;
    if (number_u128(field->text, field->size, &number) == NUMBER_OK) {
        digits_check(field, number_print(number, 0, false, text));
        (void)number_print_id(number, text);
        MUST(number_u128(text, strlen(text), &again) == NUMBER_OK && again == number);
    }
    if (number_decimal(field->text, field->size, 2, '.', ',', &amount) == NUMBER_OK) {
        (void)number_print_signed(amount, 2, true, text);
        MUST(number_decimal(text, strlen(text), 2, '.', ',', &amount_again) == NUMBER_OK);
        MUST(amount_again == amount);
    }
    if (number_date(field->text, field->size, "iso", &time) == NUMBER_OK) {
        char date[NUMBER_TIMESTAMP_TEXT_BYTES];
        struct number_time time_again;
        (void)number_print_timestamp(number_timestamp(&time), date);
        MUST(number_date(date, strlen(date), "iso", &time_again) == NUMBER_OK);
        MUST(number_timestamp(&time_again) == number_timestamp(&time));
    }
}

static void row_check(const struct csv_row *row, const char *text, const char *end)
{
    const char *last = text;
    MUST(row->count > 0 && row->count <= CSV_COLUMNS_MAX);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct csv_field *field = &row->fields[i];
        MUST(field->text >= last && field->text + field->size <= end);
        MUST(field->text[field->size] == 0 && strlen(field->text) == field->size);
        MUST(field->position > 0);
        last = field->text + field->size;
        numbers_check(field);
    }
}

/* Writes a row with every field quoted and reads it again: the same fields. */
static void row_again(const struct csv_row *row, struct csv_format format)
{
    static struct csv_row again;
    struct csv_reader reader;
    struct csv_error error;
    size_t size = 0;
    for (uint32_t i = 0; i < row->count; i++)
        size += 2 * row->fields[i].size + 3;
    char *text = malloc(size + 1);
    MUST(text != NULL);
    size = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        text[size++] = format.quote;
        for (size_t k = 0; k < row->fields[i].size; k++) {
            if (row->fields[i].text[k] == format.quote)
                text[size++] = format.quote;
            text[size++] = row->fields[i].text[k];
        }
        text[size++] = format.quote;
        text[size++] = (char)(i + 1 < row->count ? format.delimiter : '\n');
    }
    csv_open(&reader, &format, text, size);
    if (size <= CSV_ROW_BYTES_MAX) {
        MUST(csv_next(&reader, &again, &error) == CSV_ROW && again.count == row->count);
        for (uint32_t i = 0; i < row->count; i++)
            MUST(again.fields[i].size == row->fields[i].size &&
                 memcmp(again.fields[i].text, row->fields[i].text, row->fields[i].size) == 0);
        MUST(csv_next(&reader, &again, &error) == CSV_END);
    }
    free(text);
}

static void csv_check(const uint8_t *data, size_t size, struct csv_format format)
{
    static struct csv_row row;
    struct csv_reader reader;
    struct csv_error error;
    enum csv_status status;
    uint64_t line = 0;
    char *text = malloc(size + 1);
    MUST(text != NULL);
    memcpy(text, data, size);
    csv_open(&reader, &format, text, size);
    while ((status = csv_next(&reader, &row, &error)) != CSV_END) {
        uint64_t now = status == CSV_ROW ? row.line : error.line;
        MUST(now >= line && now > 0);
        line = now;
        if (status != CSV_ROW)
            continue;
        row_check(&row, text, text + size);
        if (format.quote != 0)
            row_again(&row, format);
    }
    free(text);
}

/* ---- Plans ------------------------------------------------------------------------------- */

static void transfer_check(struct import_plan *plan, uint32_t index)
{
    const struct import_transfer *row = &plan->transfers[index];
    const struct giro_transfer *transfer = &row->transfer;
    uint32_t debit = import_ids_find(&plan->account_ids, transfer->debit_account_id);
    uint32_t credit = import_ids_find(&plan->account_ids, transfer->credit_account_id);
    MUST(import_ids_find(&plan->transfer_ids, transfer->id) == index);
    MUST(transfer->id != 0 && transfer->id != GIRO_U128_MAX);
    MUST(transfer->debit_account_id != transfer->credit_account_id);
    MUST(transfer->ledger != 0 && transfer->code != 0);
    MUST(debit < plan->account_count && credit < plan->account_count);
    MUST(plan->accounts[debit].account.ledger == transfer->ledger);
    MUST(plan->accounts[credit].account.ledger == transfer->ledger);
    MUST(index == 0 || transfer->timestamp > plan->transfers[index - 1].transfer.timestamp);
}

static void plan_check(struct import_plan *plan)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < plan->account_count; i++) {
        const struct giro_account *account = &plan->accounts[i].account;
        MUST(import_ids_find(&plan->account_ids, account->id) == i);
        MUST(account->id != 0 && account->id != GIRO_U128_MAX);
        MUST(account->ledger != 0);
        MUST(plan->mapping->server_timestamps || account->timestamp > last);
        last = account->timestamp;
    }
    for (uint32_t i = 0; i < plan->transfer_count; i++)
        transfer_check(plan, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t mapping_size = strnlen((const char *)data, size);
    const uint8_t *csv = data + mapping_size + (mapping_size < size);
    size_t csv_size = size - (size_t)(csv - data);
    char *const paths[] = {csv_path};
    char error[MAPPING_ERROR_BYTES];
    struct mapping mapping;
    struct csv_format format = {.delimiter = ',', .quote = '"'};
    file_set(mapping_file, data, mapping_size);
    if (mapping_load(&mapping, mapping_path, error)) {
        struct import_plan plan;
        format = mapping_csv_format(&mapping);
        file_set(csv_file, csv, csv_size);
        if (import_plan_read(&plan, "import", &mapping, paths, 1, nowhere))
            plan_check(&plan);
        import_plan_free(&plan);
        mapping_free(&mapping);
    } else {
        MUST(strnlen(error, sizeof error) < sizeof error);
    }
    csv_check(csv, csv_size, format);
    return 0;
}

static int file_make(const char *name, char path[40])
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    MUST(fd >= 0);
    (void)snprintf(path, 40, "/proc/self/fd/%d", fd);
    return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    mapping_file = file_make("mapping", mapping_path);
    csv_file = file_make("csv", csv_path);
    nowhere = fopen("/dev/null", "we");
    MUST(nowhere != NULL);
    return 0;
}
