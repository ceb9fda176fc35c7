/* Statements of the repl, as docs/repl.md describes them, read into records. */
#ifndef TOOLS_REPL_PARSE_H
#define TOOLS_REPL_PARSE_H

#include "tools/repl_words.h"

enum {
    REPL_EVENTS_MAX = 8190, /* of one statement: one request */
    REPL_LIMIT = 100,       /* of a filter that gives none */
    REPL_ARGUMENTS_MAX = 4,
    REPL_ERROR_BYTES = 256,
};

/* A word in the statement's text. */
struct repl_word {
    const char *text;
    size_t size;
};

struct repl_statement {
    enum repl_verb verb;
    uint32_t count; /* of the records */
    union {
        struct giro_account *accounts;
        struct giro_transfer *transfers;
        giro_u128 *ids;
        struct giro_account_filter *account_filter; /* one */
        struct giro_query_filter *query_filter;
        struct giro_change_filter *change_filter;
        struct giro_cut_off *cut_offs;
        struct giro_limits *limits;
        struct giro_lease *leases;
        struct giro_schedule *schedules;
        void *any;
    } records;
    bool *id_is_new;                                /* of creates: which ids were made for "new" */
    struct repl_word arguments[REPL_ARGUMENTS_MAX]; /* of set, wait and help */
    uint32_t argument_count;
};

struct repl_error {
    size_t position; /* in the text that was parsed */
    char text[REPL_ERROR_BYTES];
};

/* Finds the end of the first statement: the place of its ';' or size. closed: whether it has one.
 */
size_t repl_statement_end(const char *text, size_t size, bool *closed);

/* Whether a statement has nothing but blanks and comments. */
bool repl_statement_empty(const char *text, size_t size);

/* Reads one statement, without its ';'. Returns false with what is wrong and where; true: end it
 * with repl_statement_free(). A comment goes from # to the end of its line. */
bool repl_parse(const char *text, size_t size, struct repl_statement *out,
                struct repl_error *error);

void repl_statement_free(struct repl_statement *statement);

#endif
