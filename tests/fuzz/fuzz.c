#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- Claims ------------------------------------------------------------------------------ */

void fuzz_failed(const char *file, int line, const char *claim, const char *format, ...)
{
    va_list arguments;
    dprintf(STDERR_FILENO, "%s:%d: must hold: %s:", file, line, claim);
    va_start(arguments, format);
    vdprintf(STDERR_FILENO, format, arguments);
    va_end(arguments);
    dprintf(STDERR_FILENO, "\n");
    abort();
}

void fuzz_start(void)
{
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

/* libFuzzer and the sanitizers keep writing to the descriptor; only the stream stderr is silenced. */
void fuzz_quiet(void)
{
    FILE *nowhere = fopen("/dev/null", "we");
    if (nowhere != NULL)
        stderr = nowhere;
}

/* ---- Inputs ------------------------------------------------------------------------------ */

void input_take(struct input *input, void *out, size_t size)
{
    size_t have = input->left < size ? input->left : size;
    memset(out, 0, size);
    if (have == 0)
        return;
    memcpy(out, input->at, have);
    input->at += have;
    input->left -= have;
}

uint64_t input_number(struct input *input, unsigned bytes)
{
    uint64_t number = 0;
    input_take(input, &number, bytes);
    return number;
}

uint32_t input_below(struct input *input, uint32_t limit)
{
    return (uint32_t)input_number(input, 2) % limit;
}

/* ---- Files ------------------------------------------------------------------------------- */

void fuzz_file_write(int folder_fd, const char *name, const void *data, size_t size)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(fd >= 0);
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)data + done, size - done);
        MUST(put > 0);
        done += (size_t)put;
    }
    close(fd);
}

static const char samples_variable[] = "GIRO_FUZZ_SAMPLES";

bool fuzz_samples_wanted(void)
{
    return getenv(samples_variable) != NULL;
}

void fuzz_sample(const char *name, const void *data, size_t size)
{
    const char *path = getenv(samples_variable);
    MUST(path != NULL);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(folder >= 0);
    fuzz_file_write(folder, name, data, size);
    close(folder);
}

void fuzz_samples_end(void)
{
    exit(EXIT_SUCCESS);
}
