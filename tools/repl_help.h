/* The manual inside the repl. */
#ifndef TOOLS_REPL_HELP_H
#define TOOLS_REPL_HELP_H

#include "tools/repl_parse.h"

#include <stdio.h>

/* Prints help on a topic (a command, fields, flags, numbers, the name of a result or a
 * status, or nothing).
 * Returns false, with a message in error, if there is none. */
bool repl_help(const struct repl_word *topic, FILE *out, char error[REPL_ERROR_BYTES]);

#endif
