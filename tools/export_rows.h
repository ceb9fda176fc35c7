/* Changes as lines of CSV and as lines of JSON: the same columns, in the same order. docs/export.md
 * describes them. */
#ifndef TOOLS_EXPORT_ROWS_H
#define TOOLS_EXPORT_ROWS_H

#include "tools/export_output.h"

void export_csv_header(struct export_output *output);

/* One change; its kind is one that repl_change_kind_name() knows. */
void export_csv_change(struct export_output *output, const struct giro_change *change);
void export_jsonl_change(struct export_output *output, const struct giro_change *change);

/* The names of a change's flags, and of its marks, with a bar between them. */
enum { EXPORT_FLAGS_BYTES = 512 };
void export_flags(const struct giro_change *change, char out[EXPORT_FLAGS_BYTES]);
void export_marks(const struct giro_change *change, char out[EXPORT_FLAGS_BYTES]);

#endif
