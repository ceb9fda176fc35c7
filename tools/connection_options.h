/* --connect HOST:PORT, as every subcommand that talks to a server has it. */
#ifndef TOOLS_CONNECTION_OPTIONS_H
#define TOOLS_CONNECTION_OPTIONS_H

#include "clients/c/giro.h"

#include <stdbool.h>

#define CONNECTION_ADDRESS_DEFAULT "127.0.0.1:4470"
#define CONNECTION_OPTION_HELP                                                                     \
    "  --connect HOST:PORT   the server; [IPV6]:PORT too (127.0.0.1:4470)\n"

/* Opens a client, or prints to stderr why it cannot and what to do, in the name of a subcommand.
 * Returns whether out_client was set; end it with giro_client_close(). */
bool connection_open(const char *command, const char *address, struct giro_client **out_client);

/* Prints a failed call's error to stderr: what was being done, why it failed, and what to do. */
void connection_complain(const char *command, const char *doing, int error);

#endif
