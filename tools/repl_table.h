/* A table of texts with a name over each column, printed aligned. */
#ifndef TOOLS_REPL_TABLE_H
#define TOOLS_REPL_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { REPL_COLUMNS_MAX = 20 };

struct repl_column {
    const char *name;
    bool left;   /* aligned left; else right, as numbers are */
    bool always; /* shown even when every cell is "0" or empty */
};

struct repl_table {
    const struct repl_column *columns;
    uint32_t column_count;
    char **cells; /* row by row */
    uint32_t cell_count;
    uint32_t cell_capacity;
};

void repl_table_begin(struct repl_table *table, const struct repl_column *columns,
                      uint32_t column_count);

/* Adds the next cell; copied. */
void repl_table_cell(struct repl_table *table, const char *text);

/* Prints the rows, without columns that say nothing, and frees the table. */
void repl_table_end(struct repl_table *table, FILE *out);

#endif
