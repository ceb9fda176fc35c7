/* Errors of the environment, with words for the person who has to act on them.
 *
 * A function that takes a struct error returns 0 or -errno; on failure it has written one line that
 * names the file and says what to do. It never prints: whoever called it decides. */
#ifndef WAL_ERROR_H
#define WAL_ERROR_H

struct error {
    char text[640];
};

/* Writes the line and returns code (negative errno), so that `return error_set(...)` reads well. */
int error_set(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
