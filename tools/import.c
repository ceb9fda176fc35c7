/* giro import: CSV files into the ledger. docs/import.md is the manual. */
#include "tools/command.h"
#include "tools/connection_options.h"
#include "tools/import_send.h"

#include <getopt.h>
#include <stdio.h>

static const char import_usage[] =
    "usage: giro import --mapping FILE.ini [--connect HOST:PORT] [--dry-run] CSVFILE...\n"
    "\n"
    "Imports the rows of CSV files as transfers, or as accounts, by the rules in FILE.ini.\n"
    "All files are read and checked whole before anything is sent. Ids are made from the\n"
    "files' own ids, so an import that was cut short, or is run twice, does no harm.\n"
    "docs/import.md describes the mapping file.\n"
    "\n" CONNECTION_OPTION_HELP "  --mapping FILE.ini    how columns become fields (required)\n"
    "  --dry-run             read and check only; no server is needed\n"
    "\n"
    "Exit status: 0 everything is in the ledger, 1 something is wrong, 2 wrong options.\n";

struct import_options {
    const char *address;
    const char *mapping;
    bool dry_run;
};

/* Returns -1 to go on, or an exit status. */
static int options_read(int argc, char **argv, struct import_options *options)
{
    enum { CONNECT, MAPPING, DRY_RUN, HELP };
    static const struct option names[] = {
        {"connect", required_argument, NULL, CONNECT},
        {"mapping", required_argument, NULL, MAPPING},
        {"dry-run", no_argument, NULL, DRY_RUN},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case CONNECT:
            options->address = optarg;
            break;
        case MAPPING:
            options->mapping = optarg;
            break;
        case DRY_RUN:
            options->dry_run = true;
            break;
        case HELP:
            fputs(import_usage, stdout);
            return EXIT_DONE;
        default:
            fputs(import_usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (options->mapping != NULL && optind < argc)
        return -1;
    complain("import",
             options->mapping == NULL ? "give --mapping FILE.ini" : "give at least one CSV file");
    fputs("giro import --help tells the options.\n", stderr);
    return EXIT_USAGE;
}

static int plan_run(const struct import_options *options, const struct import_plan *plan)
{
    struct import_outcome outcome;
    struct giro_client *client;
    if (options->dry_run) {
        import_summary(plan, NULL, stdout);
        return EXIT_DONE;
    }
    if (!connection_open("import", options->address, &client))
        return EXIT_FAILED;
    bool sent = import_send(client, plan, &outcome);
    giro_client_close(client);
    import_summary(plan, &outcome, stdout);
    bool refused = outcome.accounts.refused > 0 || outcome.transfers.refused > 0;
    return sent && !refused ? EXIT_DONE : EXIT_FAILED;
}

int import_command(int argc, char **argv)
{
    struct import_options options = {.address = CONNECTION_ADDRESS_DEFAULT};
    struct mapping mapping;
    struct import_plan plan;
    char error[MAPPING_ERROR_BYTES];
    int status = options_read(argc, argv, &options);
    if (status >= 0)
        return status;
    if (!mapping_load(&mapping, options.mapping, error)) {
        complain("import", "%s", error);
        return EXIT_FAILED;
    }
    status = EXIT_FAILED;
    if (import_plan_read(&plan, "import", &mapping, argv + optind, (uint32_t)(argc - optind),
                         stderr))
        status = plan_run(&options, &plan);
    else
        complain("import", "nothing was sent");
    import_plan_free(&plan);
    mapping_free(&mapping);
    return status;
}
