/* Memory for tools that run once and end: it is there, or the process says so and exits. */
#ifndef TOOLS_IMPORT_MEMORY_H
#define TOOLS_IMPORT_MEMORY_H

#include <stddef.h>

/* As reallocarray(); never NULL. */
void *import_memory(void *memory, size_t count, size_t size_bytes);

/* As strndup(); never NULL. */
char *import_text_copy(const char *text, size_t size);

#endif
