/* What the fuzzers share: an input taken apart, a claim that must hold, samples to begin with.
 *
 * Each target is one file and one libFuzzer program. Its top says what may never happen; that memory
 * errors, undefined behaviour, failed assertions, leaks and hangs may not goes for all of them. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What libFuzzer calls, and what it offers to a mutator of our own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

/* Ends the process when a claim does not hold: libFuzzer keeps the input. What follows the condition
 * is a format and its values, and may be left out. */
#define MUST(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_failed(__FILE__, __LINE__, #condition, " " __VA_ARGS__);                          \
    } while (0)

__attribute__((noreturn, format(printf, 4, 5))) void
fuzz_failed(const char *file, int line, const char *claim, const char *format, ...);

/* An input that is read from its beginning; behind its end there are zeros. */
struct input {
    const uint8_t *at;
    size_t left;
};

void input_take(struct input *input, void *out, size_t size);

/* A number of one to eight bytes. */
uint64_t input_number(struct input *input, unsigned bytes);

/* 0 .. limit - 1, from two bytes. */
uint32_t input_below(struct input *input, uint32_t limit);

/* To be called first: the large tables of a ledger are made and thrown away for every input, and huge
 * pages, which the server wants for them, would be zeroed every time. */
void fuzz_start(void);

/* What stderr gets goes nowhere from here on, except libFuzzer's own words and those of
 * fuzz_failed(): thousands of messages a second would hide them. */
void fuzz_quiet(void);

/* Whether the target was asked for samples (GIRO_FUZZ_SAMPLES names an empty folder), to be written
 * with fuzz_sample() before fuzz_samples_end(), which ends the process. */
bool fuzz_samples_wanted(void);
void fuzz_sample(const char *name, const void *data, size_t size);
__attribute__((noreturn)) void fuzz_samples_end(void);

/* Makes file name of a folder hold exactly these bytes. */
void fuzz_file_write(int folder_fd, const char *name, const void *data, size_t size);

#endif
