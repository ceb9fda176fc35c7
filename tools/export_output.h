/* Where an export goes: a file of its own, or standard output.
 *
 * Text gathers in a buffer and is written between two records, never in the middle of one. So when
 * a write fails it is known before which ordinal everything was written; a file that was made for
 * the export is cut there, and ends with a whole record.
 *
 *   export_put...()         any number of times: one record, at most EXPORT_RECORD_BYTES_MAX
 *   export_record_end()     false: it could not be written, go on with nothing
 *   export_output_close()   after the last one, also after a failure */
#ifndef TOOLS_EXPORT_OUTPUT_H
#define TOOLS_EXPORT_OUTPUT_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    EXPORT_BUFFER_BYTES = 1 << 20,
    EXPORT_RECORD_BYTES_MAX = 8 << 10,
    EXPORT_TIME_BYTES = 32,
};

struct export_output {
    const char *path; /* NULL: standard output */
    int fd;
    char *buffer; /* EXPORT_BUFFER_BYTES, and room for a record */
    char *at;
    uint64_t bytes_written;    /* between two records */
    uint64_t ordinal_written;  /* everything before it was written */
    uint64_t ordinal_buffered; /* ... or waits in the buffer */
    int error;                 /* errno of the first write that failed; 0: none */
    uint64_t time_second;      /* whose text is time_text */
    char time_text[EXPORT_TIME_BYTES];
};

/* path: a file that does not exist yet; NULL: standard output. ordinal: the first that is wanted.
 * Returns 0 or an errno. */
int export_output_open(struct export_output *output, const char *path, uint64_t ordinal);

/* Writes what is left, makes a file durable, and closes it. Returns 0, or the errno of the first
 * failure since the output was opened. */
int export_output_close(struct export_output *output);

/* A record is complete: everything before ordinal_next is in the output. Returns whether it could
 * be written, as far as it was tried. */
bool export_record_end(struct export_output *output, uint64_t ordinal_next);

static inline void export_put_bytes(struct export_output *output, const char *text, size_t size)
{
    memcpy(output->at, text, size);
    output->at += size;
}

static inline void export_put(struct export_output *output, const char *text)
{
    export_put_bytes(output, text, strlen(text));
}

static inline void export_put_char(struct export_output *output, char c)
{
    *output->at++ = c;
}

/* Decimal digits. */
void export_put_u64(struct export_output *output, uint64_t number);
void export_put_u128(struct export_output *output, giro_u128 number);

/* 2026-01-31T23:59:59.123456789Z, and 2026-01-31. */
void export_put_time(struct export_output *output, uint64_t timestamp);
void export_put_date(struct export_output *output, uint64_t timestamp);

#endif
