/* The subcommands of giro, and what they share: options, numbers, messages.
 *
 * Exit status of every command: 0 done, 1 it could not be done or found something wrong, 2 wrong
 * options. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int format_command(int argc, char **argv);
int serve_command(int argc, char **argv);
int verify_command(int argc, char **argv);
int recover_command(int argc, char **argv);
int backup_command(int argc, char **argv);
int restore_command(int argc, char **argv);
int snapshot_command(int argc, char **argv);
int repl_command(int argc, char **argv);
int import_command(int argc, char **argv);
int proof_command(int argc, char **argv);
int export_command(int argc, char **argv);

/* Reads a whole number with an optional binary suffix k, m, g ("64m" = 67,108,864).
 * Returns false, with nothing changed, unless it lies within min .. max. */
bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* Prints "giro COMMAND: ..." to stderr. */
void complain(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
