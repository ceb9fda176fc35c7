/* giro repl: accounts and transfers by hand, or from a script. docs/repl.md is the manual. */
#include "tools/command.h"
#include "tools/connection_options.h"
#include "tools/import_memory.h"
#include "tools/repl_run.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <histedit.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char repl_usage[] =
    "usage: giro repl [--connect HOST:PORT] [--command STATEMENTS] [--continue]\n"
    "\n"
    "Creates and looks up accounts and transfers. Reads statements from the terminal, or from\n"
    "standard input when that is not one: giro repl < script. \"help\" explains the language, and\n"
    "so does docs/repl.md.\n"
    "\n" CONNECTION_OPTION_HELP
    "  --command STATEMENTS  run these and end: --command \"lookup_accounts id=1; stats;\"\n"
    "  --continue            go on after a statement that failed\n"
    "\n"
    "Exit status: 0 done, 1 a statement failed, 2 wrong options.\n";

struct repl_options {
    const char *address;
    const char *command;
    bool go_on;
};

/* Returns -1 to go on, or an exit status. */
static int options_read(int argc, char **argv, struct repl_options *options)
{
    enum { CONNECT, COMMAND, CONTINUE, HELP };
    static const struct option names[] = {
        {"connect", required_argument, NULL, CONNECT},
        {"command", required_argument, NULL, COMMAND},
        {"continue", no_argument, NULL, CONTINUE},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case CONNECT:
            options->address = optarg;
            break;
        case COMMAND:
            options->command = optarg;
            break;
        case CONTINUE:
            options->go_on = true;
            break;
        case HELP:
            fputs(repl_usage, stdout);
            return EXIT_DONE;
        default:
            fputs(repl_usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    complain("repl", "\"%s\": statements go into --command or standard input", argv[optind]);
    return EXIT_USAGE;
}

/* ---- a script ---------------------------------------------------------------------------- */

/* Lines that are gathered until they hold whole statements. */
struct pending_text {
    char *text;
    size_t size;
    size_t capacity;
    uint32_t first_line;
    uint32_t lines;
};

static void pending_add(struct pending_text *pending, const char *line, size_t size)
{
    if (pending->size + size + 1 > pending->capacity) {
        pending->capacity = 2 * (pending->size + size + 1);
        pending->text = import_memory(pending->text, pending->capacity, 1);
    }
    assert(pending->text != NULL);
    memcpy(pending->text + pending->size, line, size);
    pending->size += size;
    pending->text[pending->size] = 0;
    pending->lines++;
}

static void pending_clear(struct pending_text *pending)
{
    pending->first_line += pending->lines;
    pending->lines = 0;
    pending->size = 0;
}

/* Whether the text ends behind a whole statement, blanks and comments aside. */
static bool pending_whole(const struct pending_text *pending)
{
    for (size_t at = 0; at < pending->size;) {
        bool closed;
        size_t length = repl_statement_end(pending->text + at, pending->size - at, &closed);
        if (!closed)
            return repl_statement_empty(pending->text + at, length);
        at += length + 1;
    }
    return true;
}

/* Runs statements as soon as their last line is there. */
static bool script_run(struct repl *repl, bool go_on)
{
    struct pending_text pending = {.first_line = 1};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    bool good = true;
    while ((good || go_on) && !repl->ended && (size = getline(&line, &capacity, stdin)) >= 0) {
        pending_add(&pending, line, (size_t)size);
        if (!pending_whole(&pending))
            continue;
        good &= repl_run(repl, pending.text, pending.size, "stdin", pending.first_line, go_on);
        pending_clear(&pending);
    }
    if ((good || go_on) && !repl->ended && pending.size > 0)
        good &= repl_run(repl, pending.text, pending.size, "stdin", pending.first_line, go_on);
    free(line);
    free(pending.text);
    return good;
}

/* ---- the terminal ------------------------------------------------------------------------ */

struct terminal {
    EditLine *edit;
    History *history;
    struct pending_text pending;
    char history_path[1024]; /* "" without one */
};

/* Makes a directory and those above it. */
static bool directories_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!made)
            return false;
    }
    return true;
}

/* The history is a convenience: where it cannot be kept, nothing is said. */
static void history_open(struct terminal *terminal)
{
    HistEvent event;
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    bool has_state = state != NULL && state[0] == '/';
    terminal->history = history_init();
    if (terminal->history == NULL)
        return;
    (void)history(terminal->history, &event, H_SETSIZE, 1000);
    (void)history(terminal->history, &event, H_SETUNIQUE, 1);
    if (!has_state && (home == NULL || home[0] != '/'))
        return;
    int size = has_state ? snprintf(terminal->history_path, sizeof terminal->history_path,
                                    "%s/giro/history", state)
                         : snprintf(terminal->history_path, sizeof terminal->history_path,
                                    "%s/.local/state/giro/history", home);
    if (size < 0 || (size_t)size >= sizeof terminal->history_path ||
        !directories_make(terminal->history_path))
        terminal->history_path[0] = 0;
    else
        (void)history(terminal->history, &event, H_LOAD, terminal->history_path);
}

static void history_close(struct terminal *terminal)
{
    HistEvent event;
    if (terminal->history == NULL)
        return;
    if (terminal->history_path[0] != 0) {
        mode_t mask = umask(077);
        (void)history(terminal->history, &event, H_SAVE, terminal->history_path);
        (void)umask(mask);
    }
    history_end(terminal->history);
}

static char *prompt(EditLine *edit)
{
    static char first[] = "giro> ";
    static char more[] = "  ... ";
    struct terminal *terminal = NULL;
    (void)el_get(edit, EL_CLIENTDATA, &terminal);
    return terminal != NULL && terminal->pending.size > 0 ? more : first;
}

/* The letters that all candidates go on with. */
static size_t common_size(const char *const *words, uint32_t count)
{
    size_t size = strlen(words[0]);
    for (uint32_t i = 1; i < count; i++) {
        size_t same = 0;
        while (same < size && words[i][same] == words[0][same])
            same++;
        size = same;
    }
    return size;
}

static void candidates_show(const char *const *words, uint32_t count)
{
    fputc('\n', stdout);
    for (uint32_t i = 0; i < count; i++)
        printf("%s%s", words[i], i + 1 == count ? "\n" : "  ");
    (void)fflush(stdout);
}

/* What follows a word that is complete. */
static const char *word_end(const char *word)
{
    if (repl_verb_find(word, strlen(word)) < REPL_VERBS)
        return " ";
    for (int verb = 0; verb < REPL_VERBS; verb++) {
        const struct repl_field *field = repl_verb_fields((enum repl_verb)verb);
        for (; field != NULL && field->name != NULL; field++) {
            if (strcmp(field->name, word) == 0)
                return "=";
        }
    }
    return "";
}

static unsigned char complete(EditLine *edit, int character)
{
    const char *words[REPL_WORDS_MAX];
    struct terminal *terminal = NULL;
    const LineInfo *line = el_line(edit);
    size_t start;
    (void)character;
    (void)el_get(edit, EL_CLIENTDATA, &terminal);
    if (terminal == NULL)
        return CC_ERROR;
    /* A statement may have begun on a line before. */
    struct pending_text whole = {0};
    if (terminal->pending.size > 0)
        pending_add(&whole, terminal->pending.text, terminal->pending.size);
    pending_add(&whole, line->buffer, (size_t)(line->cursor - line->buffer));
    uint32_t count = repl_complete(whole.text, whole.size, words, &start);
    size_t have = whole.size - start;
    free(whole.text);
    if (count == 0)
        return CC_ERROR;

    char rest[64];
    size_t common = common_size(words, count);
    if (common > have) {
        (void)snprintf(rest, sizeof rest, "%.*s", (int)(common - have), words[0] + have);
        (void)el_insertstr(edit, rest);
    }
    if (count == 1) {
        (void)el_insertstr(edit, word_end(words[0]));
        return CC_REFRESH;
    }
    if (common > have)
        return CC_REFRESH;
    candidates_show(words, count);
    return CC_REDISPLAY;
}

static volatile sig_atomic_t interrupted;

static void interrupt_handler(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* Commands without objects need no ; on a line of their own. */
static bool line_is_short_command(const struct pending_text *pending)
{
    size_t start = strspn(pending->text, " \t");
    size_t size = strcspn(pending->text + start, " \t\r\n;");
    enum repl_verb verb = repl_verb_find(pending->text + start, size);
    return pending->lines == 1 && verb < REPL_VERBS && repl_verb_fields(verb) == NULL;
}

static void line_take(struct repl *repl, struct terminal *terminal, const char *line, int size)
{
    HistEvent event;
    struct pending_text *pending = &terminal->pending;
    pending_add(pending, line, (size_t)size);
    if (terminal->history != NULL && !repl_statement_empty(line, (size_t)size))
        (void)history(terminal->history, &event, H_ENTER, line);
    if (!pending_whole(pending) && !line_is_short_command(pending))
        return;
    (void)repl_run(repl, pending->text, pending->size, NULL, 1, false);
    pending_clear(pending);
}

static void terminal_loop(struct repl *repl, struct terminal *terminal)
{
    while (!repl->ended) {
        int size = 0;
        const char *line = el_gets(terminal->edit, &size);
        if (interrupted) {
            /* Ctrl-C leaves the statement, not the program. */
            interrupted = 0;
            pending_clear(&terminal->pending);
            fputs("\n", stdout);
            continue;
        }
        if (line == NULL || size <= 0) {
            fputs("\n", stdout);
            return;
        }
        line_take(repl, terminal, line, size);
    }
}

static bool terminal_run(struct repl *repl, const char *address)
{
    struct terminal terminal = {.pending.first_line = 1};
    struct sigaction action = {.sa_handler = interrupt_handler};
    terminal.edit = el_init("giro", stdin, stdout, stderr);
    if (terminal.edit == NULL) {
        complain("repl", "the terminal cannot be used: try giro repl < script");
        return false;
    }
    (void)sigaction(SIGINT, &action, NULL);
    history_open(&terminal);
    (void)el_set(terminal.edit, EL_CLIENTDATA, &terminal);
    (void)el_set(terminal.edit, EL_PROMPT, prompt);
    (void)el_set(terminal.edit, EL_EDITOR, "emacs");
    (void)el_set(terminal.edit, EL_ADDFN, "complete", "complete the word", complete);
    (void)el_set(terminal.edit, EL_BIND, "\t", "complete", NULL);
    (void)el_set(terminal.edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    if (terminal.history != NULL)
        (void)el_set(terminal.edit, EL_HIST, history, terminal.history);
    printf("giro %s, connected to %s. help explains; Ctrl-D ends.\n", giro_version(), address);
    terminal_loop(repl, &terminal);
    history_close(&terminal);
    el_end(terminal.edit);
    free(terminal.pending.text);
    return true;
}

int repl_command(int argc, char **argv)
{
    struct repl_options options = {.address = CONNECTION_ADDRESS_DEFAULT};
    struct repl repl = {.out = stdout, .errors = stderr};
    bool good;
    int status = options_read(argc, argv, &options);
    if (status >= 0)
        return status;
    if (!connection_open("repl", options.address, &repl.client))
        return EXIT_FAILED;
    if (options.command != NULL)
        good = repl_run(&repl, options.command, strlen(options.command), "--command", 1,
                        options.go_on);
    else if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        good = terminal_run(&repl, options.address);
    else
        good = script_run(&repl, options.go_on);
    giro_client_close(repl.client);
    return good ? EXIT_DONE : EXIT_FAILED;
}
