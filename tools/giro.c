/* giro: one program, one subcommand for each thing to do. */
#include "bench/bench.h"
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct command commands[] = {
    {"format", format_command, "make a new data directory"},
    {"serve", serve_command, "serve a ledger"},
    {"repl", repl_command, "create and look up accounts and transfers by hand"},
    {"import", import_command, "import CSV files"},
    {"proof", proof_command, "compare the ledger with imported files, day by day"},
    {"export", export_command, "write the journal as CSV, as JSON lines, or for hledger"},
    {"verify", verify_command, "prove that a log and its ledger are sound"},
    {"recover", recover_command, "look into a log, rebuild a directory, cut what is damaged"},
    {"snapshot", snapshot_command, "have a server write a snapshot"},
    {"backup", backup_command, "copy a ledger, while its server runs"},
    {"restore", restore_command, "make a data directory from a backup"},
    {"bench", bench_command, "measure a server under load, beside what the disk can do"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void usage(FILE *out)
{
    fputs("usage: giro COMMAND [options]\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\ngiro COMMAND --help tells the options of a command.\n", out);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("giro %s\n", GIRO_VERSION);
        return EXIT_DONE;
    }
    bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0;
    if (!help)
        fprintf(stderr, "giro: unknown command \"%s\"\n", argv[1]);
    usage(help ? stdout : stderr);
    return help ? EXIT_DONE : EXIT_USAGE;
}
