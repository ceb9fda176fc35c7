#include "tools/repl_table.h"

#include "tools/import_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void repl_table_begin(struct repl_table *table, const struct repl_column *columns,
                      uint32_t column_count)
{
    assert(column_count <= REPL_COLUMNS_MAX);
    *table = (struct repl_table){.columns = columns, .column_count = column_count};
}

void repl_table_cell(struct repl_table *table, const char *text)
{
    if (table->cell_count == table->cell_capacity) {
        table->cell_capacity = table->cell_capacity == 0 ? 64 : 2 * table->cell_capacity;
        table->cells = import_memory(table->cells, table->cell_capacity, sizeof *table->cells);
    }
    table->cells[table->cell_count++] = import_text_copy(text, strlen(text));
}

/* The width of a column, or 0 for one that is not shown. */
static int column_width(const struct repl_table *table, uint32_t column)
{
    size_t width = strlen(table->columns[column].name);
    bool shown = table->columns[column].always;
    for (uint32_t i = column; i < table->cell_count; i += table->column_count) {
        size_t size = strlen(table->cells[i]);
        width = size > width ? size : width;
        shown = shown || (size > 0 && strcmp(table->cells[i], "0") != 0);
    }
    return shown ? (int)width : 0;
}

static void row_print(const struct repl_table *table, const int *widths, char *const *cells,
                      FILE *out)
{
    const char *between = "";
    uint32_t last = table->column_count - 1; /* of those that are shown: nothing fills it up */
    while (last > 0 && widths[last] == 0)
        last--;
    for (uint32_t i = 0; i < table->column_count; i++) {
        const char *text = cells == NULL ? table->columns[i].name : cells[i];
        if (widths[i] == 0)
            continue;
        if (table->columns[i].left)
            fprintf(out, "%s%-*s", between, i == last ? 0 : widths[i], text);
        else
            fprintf(out, "%s%*s", between, widths[i], text);
        between = "  ";
    }
    fputc('\n', out);
}

void repl_table_end(struct repl_table *table, FILE *out)
{
    int widths[REPL_COLUMNS_MAX];
    assert(table->cell_count % table->column_count == 0);
    for (uint32_t i = 0; i < table->column_count; i++)
        widths[i] = column_width(table, i);
    if (table->cell_count > 0)
        row_print(table, widths, NULL, out);
    for (uint32_t i = 0; i < table->cell_count; i += table->column_count)
        row_print(table, widths, &table->cells[i], out);
    for (uint32_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct repl_table){0};
}
