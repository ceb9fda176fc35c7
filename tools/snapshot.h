/* Asking a server for a snapshot. */
#ifndef TOOLS_SNAPSHOT_H
#define TOOLS_SNAPSHOT_H

#include "clients/c/giro.h"

#include <stdbool.h>

/* Has the server at an address write a snapshot and waits for it. Prints to stderr why it could not,
 * in the name of a subcommand. Returns whether out was set. */
bool snapshot_request(const char *command, const char *address, struct giro_server_snapshot *out);

#endif
