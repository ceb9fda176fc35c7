#include "tools/import_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
    if (memory != NULL)
        return memory;
    fputs("giro: out of memory\n", stderr);
    exit(EXIT_FAILURE);
}

void *import_memory(void *memory, size_t count, size_t size_bytes)
{
    return must(reallocarray(memory, count, size_bytes));
}

char *import_text_copy(const char *text, size_t size)
{
    return must(strndup(text, size));
}
