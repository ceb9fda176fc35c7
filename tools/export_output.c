#include "tools/export_output.h"

#include "tools/import_memory.h"
#include "tools/import_number.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SECOND_BYTES = 19, /* 2026-01-31T23:59:59 */
    DATE_BYTES = 10,
    U64_DIGITS_MAX = 20,
    GROUP_DIGITS = 19, /* the most that always fit into 64 bits */
};

int export_output_open(struct export_output *output, const char *path, uint64_t ordinal)
{
    *output = (struct export_output){
        .path = path,
        .fd = STDOUT_FILENO,
        .ordinal_written = ordinal,
        .ordinal_buffered = ordinal,
        .time_second = UINT64_MAX,
    };
    if (path != NULL)
        output->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (output->fd < 0)
        return errno;
    output->buffer = import_memory(NULL, 1, EXPORT_BUFFER_BYTES + EXPORT_RECORD_BYTES_MAX);
    output->at = output->buffer;
    return 0;
}

/* Writes the buffer. Only a file that the export made may be cut: whatever standard output leads
 * to can have been there before. */
static bool flush(struct export_output *output)
{
    const char *from = output->buffer;
    while (from < output->at) {
        ssize_t put = write(output->fd, from, (size_t)(output->at - from));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            output->error = put < 0 ? errno : ENOSPC;
            if (output->path != NULL)
                (void)!ftruncate(output->fd, (off_t)output->bytes_written);
            return false;
        }
        from += put;
    }
    output->bytes_written += (uint64_t)(output->at - output->buffer);
    output->ordinal_written = output->ordinal_buffered;
    output->at = output->buffer;
    return true;
}

int export_output_close(struct export_output *output)
{
    if (output->fd < 0)
        return output->error;
    if (output->error == 0)
        (void)flush(output);
    if (output->path != NULL) {
        if (fsync(output->fd) != 0 && output->error == 0)
            output->error = errno;
        if (close(output->fd) != 0 && output->error == 0)
            output->error = errno;
    }
    free(output->buffer);
    output->buffer = NULL;
    output->fd = -1;
    return output->error;
}

bool export_record_end(struct export_output *output, uint64_t ordinal_next)
{
    size_t used = (size_t)(output->at - output->buffer);
    assert(used <= EXPORT_BUFFER_BYTES + EXPORT_RECORD_BYTES_MAX);
    output->ordinal_buffered = ordinal_next;
    return used < EXPORT_BUFFER_BYTES || flush(output);
}

void export_put_u64(struct export_output *output, uint64_t number)
{
    char digits[U64_DIGITS_MAX];
    size_t count = 0;
    do {
        digits[U64_DIGITS_MAX - ++count] = (char)('0' + (int)(number % 10));
        number /= 10;
    } while (number != 0);
    export_put_bytes(output, digits + U64_DIGITS_MAX - count, count);
}

static void put_digits(struct export_output *output, uint64_t number, size_t count)
{
    for (size_t i = count; i-- > 0; number /= 10)
        output->at[i] = (char)('0' + (int)(number % 10));
    output->at += count;
}

/* A division of 128 bits takes ten times one of 64: two of them split off 19 digits each. */
void export_put_u128(struct export_output *output, giro_u128 number)
{
    const uint64_t group = 10000000000000000000ull;
    if (number <= UINT64_MAX) {
        export_put_u64(output, (uint64_t)number);
        return;
    }
    uint64_t low = (uint64_t)(number % group);
    export_put_u128(output, number / group);
    put_digits(output, low, GROUP_DIGITS);
}

/* Many records share a second. */
static void time_prepare(struct export_output *output, uint64_t timestamp)
{
    char text[NUMBER_TIMESTAMP_TEXT_BYTES];
    if (timestamp / GIRO_NS_PER_S == output->time_second)
        return;
    output->time_second = timestamp / GIRO_NS_PER_S;
    (void)number_print_timestamp(timestamp, text);
    memcpy(output->time_text, text, SECOND_BYTES);
}

void export_put_time(struct export_output *output, uint64_t timestamp)
{
    time_prepare(output, timestamp);
    export_put_bytes(output, output->time_text, SECOND_BYTES);
    export_put_char(output, '.');
    put_digits(output, timestamp % GIRO_NS_PER_S, 9);
    export_put_char(output, 'Z');
}

void export_put_date(struct export_output *output, uint64_t timestamp)
{
    time_prepare(output, timestamp);
    export_put_bytes(output, output->time_text, DATE_BYTES);
}
