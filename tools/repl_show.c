#include "tools/repl_show.h"

#include "tools/import_number.h"

#include <string.h>

/* ---- errors ------------------------------------------------------------------------------ */

void repl_error_show(struct repl *repl, const struct repl_place *place, size_t position,
                     const char *what)
{
    size_t at = place->start + position;
    size_t line_start = at;
    size_t line_end = at;
    uint32_t line = place->first_line;
    (void)fflush(repl->out); /* both often go to the same place */
    while (line_start > 0 && place->text[line_start - 1] != '\n')
        line_start--;
    while (line_end < place->size && place->text[line_end] != '\n')
        line_end++;
    for (size_t i = 0; i < line_start; i++)
        line += place->text[i] == '\n';
    fprintf(repl->errors, "  %.*s\n  ", (int)(line_end - line_start), place->text + line_start);
    for (size_t i = line_start; i < at; i++)
        fputc(place->text[i] == '\t' ? '\t' : ' ', repl->errors);
    fputs("^\n", repl->errors);
    if (place->source != NULL)
        fprintf(repl->errors, "%s:%u:", place->source, line);
    else
        fputs("column ", repl->errors);
    fprintf(repl->errors, "%zu: %s\n", at - line_start + 1, what);
}

bool repl_request_failed(struct repl *repl, const struct repl_place *place, int error)
{
    char text[REPL_ERROR_BYTES];
    const char *advice = giro_error_outcome_unknown(error)
                             ? "; say the same again, with the same ids, to learn what became of it"
                             : "";
    (void)snprintf(text, sizeof text, "%s (%s)%s", giro_error_text(error), giro_error_name(error),
                   advice);
    repl_error_show(repl, place, 0, text);
    return false;
}

bool repl_query_failed(struct repl *repl, const struct repl_place *place,
                       const struct giro_request *request, int error)
{
    char text[REPL_ERROR_BYTES];
    if (error != 0 && request->status != 0)
        (void)snprintf(text, sizeof text, "%s: %s", giro_status_name(request->status),
                       giro_status_text(request->status));
    else
        (void)snprintf(text, sizeof text, "%s (%s)", giro_error_text(error),
                       giro_error_name(error));
    repl_error_show(repl, place, 0, text);
    return false;
}

/* ---- cells ------------------------------------------------------------------------------- */

uint32_t repl_scale_of(const struct repl *repl, uint32_t ledger)
{
    uint32_t scale = 0;
    for (uint32_t i = 0; i < repl->scale_count; i++) {
        if (repl->scales[i].ledger == ledger)
            return repl->scales[i].scale;
        if (repl->scales[i].ledger == 0)
            scale = repl->scales[i].scale;
    }
    return scale;
}

void repl_cell_amount(const struct repl *repl, struct repl_table *table, giro_u128 amount,
                      uint32_t ledger)
{
    char text[NUMBER_TEXT_BYTES];
    repl_table_cell(table,
                    number_print(amount, repl_scale_of(repl, ledger), repl->thousands, text));
}

void repl_cell_amount_or_0(const struct repl *repl, struct repl_table *table, giro_u128 amount,
                           uint32_t ledger)
{
    if (amount == 0)
        repl_table_cell(table, "0");
    else
        repl_cell_amount(repl, table, amount, ledger);
}

void repl_cell_number(struct repl_table *table, giro_u128 number)
{
    char text[NUMBER_TEXT_BYTES];
    repl_table_cell(table, number_print(number, 0, false, text));
}

void repl_cell_id(struct repl_table *table, giro_u128 id)
{
    char text[NUMBER_TEXT_BYTES];
    repl_table_cell(table, number_print_id(id, text));
}

void repl_cell_timestamp(struct repl_table *table, uint64_t timestamp)
{
    char text[NUMBER_TIMESTAMP_TEXT_BYTES];
    repl_table_cell(table, number_print_timestamp(timestamp, text));
}

void repl_cell_timestamp_or_none(struct repl_table *table, uint64_t timestamp)
{
    if (timestamp != 0)
        repl_cell_timestamp(table, timestamp);
    else
        repl_table_cell(table, "");
}

void repl_cell_flags(struct repl_table *table, enum repl_verb verb, uint16_t flags)
{
    char text[256];
    repl_table_cell(table, repl_flags_print(repl_verb_flags(verb), flags, text, sizeof text));
}

void repl_cell_marks(struct repl_table *table, uint32_t marks)
{
    char text[256];
    repl_table_cell(table, repl_flags_print(repl_marks, (uint16_t)marks, text, sizeof text));
}
