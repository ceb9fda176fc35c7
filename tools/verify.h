/* The proof that a data directory is sound, for the commands that end with it. */
#ifndef TOOLS_VERIFY_H
#define TOOLS_VERIFY_H

/* Reads a whole data directory, as giro verify does, and prints what it finds, in the name of a
 * subcommand. Returns its exit status. */
int verify_data(const char *command, const char *data);

#endif
