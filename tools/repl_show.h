/* What all statements of the repl show in the same way: errors, and the cells of tables. */
#ifndef TOOLS_REPL_SHOW_H
#define TOOLS_REPL_SHOW_H

#include "tools/repl_run.h"
#include "tools/repl_table.h"

/* Where a statement stands, for error messages. */
struct repl_place {
    const char *text; /* the whole text */
    size_t size;
    size_t start; /* of the statement */
    const char *source;
    uint32_t first_line;
};

/* Prints the line, a mark under the column, and what is wrong. position: in the statement. */
void repl_error_show(struct repl *repl, const struct repl_place *place, size_t position,
                     const char *what);

/* Show why there is no answer. They return false. A request that the server refused by a status says
 * more than its error does. */
bool repl_request_failed(struct repl *repl, const struct repl_place *place, int error);
bool repl_query_failed(struct repl *repl, const struct repl_place *place,
                       const struct giro_request *request, int error);

/* Decimals of a ledger's amounts. */
uint32_t repl_scale_of(const struct repl *repl, uint32_t ledger);

/* Each adds a cell. With ..._or_0, and ..._or_none, a column of nothing but 0 is not shown. */
void repl_cell_amount(const struct repl *repl, struct repl_table *table, giro_u128 amount,
                      uint32_t ledger);
void repl_cell_amount_or_0(const struct repl *repl, struct repl_table *table, giro_u128 amount,
                           uint32_t ledger);
void repl_cell_number(struct repl_table *table, giro_u128 number);
void repl_cell_id(struct repl_table *table, giro_u128 id);
void repl_cell_timestamp(struct repl_table *table, uint64_t timestamp);
void repl_cell_timestamp_or_none(struct repl_table *table, uint64_t timestamp);
void repl_cell_flags(struct repl_table *table, enum repl_verb verb, uint16_t flags);
void repl_cell_marks(struct repl_table *table, uint32_t marks);

#endif
