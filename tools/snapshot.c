/* giro snapshot: has a server write a snapshot. */
#include "tools/snapshot.h"
#include "tools/command.h"
#include "tools/connection_options.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

static const char usage[] =
    "usage: giro snapshot [--connect HOST:PORT]\n"
    "\n"
    "Has the server write a snapshot now, and waits until it is durable. The log goes on in a new\n"
    "segment; the next start reads it from there.\n"
    "\n" CONNECTION_OPTION_HELP;

bool snapshot_request(const char *command, const char *address, struct giro_server_snapshot *out)
{
    struct giro_client *client;
    if (!connection_open(command, address, &client))
        return false;
    /* However long it takes: a large ledger is written at a pace that spares the log. */
    struct giro_request request = {
        .operation = GIRO_SNAPSHOT, .deadline_ms = GIRO_DEADLINE_NONE, .output.snapshot = out};
    int error = giro_call(client, &request);
    giro_client_close(client);
    if (error != 0)
        complain(command, "%s: no snapshot: %s (%s)", address, giro_error_text(error),
                 giro_error_name(error));
    return error == 0;
}

int snapshot_command(int argc, char **argv)
{
    enum { CONNECT, HELP };
    static const struct option names[] = {
        {"connect", required_argument, NULL, CONNECT},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    const char *address = CONNECTION_ADDRESS_DEFAULT;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == HELP) {
            fputs(usage, stdout);
            return EXIT_DONE;
        }
        if (option != CONNECT) {
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
        address = optarg;
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct giro_server_snapshot snapshot = {0};
    if (!snapshot_request("snapshot", address, &snapshot))
        return EXIT_FAILED;
    printf("snapshot of everything up to block %" PRIu64 ": %" PRIu64
           " bytes; a start reads the log from segment %u on\n",
           snapshot.lsn, snapshot.bytes, snapshot.segment);
    return EXIT_DONE;
}
