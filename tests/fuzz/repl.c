/* Fuzzes the language of the repl: a text of statements, and the completion of an unfinished one.
 *
 * Never: an error points outside of the text, or says nothing; a statement ends where no ; is; a
 * statement has more records than one request may have; a completion does not begin with what is
 * there. */
#include "tests/fuzz/fuzz.h"
#include "tools/repl_parse.h"

#include <stdlib.h>
#include <string.h>

static void statement_check(const struct repl_statement *statement, const char *text, size_t size)
{
    MUST(statement->verb < REPL_VERBS);
    MUST(statement->count <= REPL_EVENTS_MAX);
    MUST(statement->argument_count <= REPL_ARGUMENTS_MAX);
    MUST(!repl_verb_has_filter(statement->verb) || statement->count == 1);
    for (uint32_t i = 0; i < statement->argument_count; i++) {
        const struct repl_word *word = &statement->arguments[i];
        MUST(word->size > 0 && word->text >= text && word->text + word->size <= text + size);
    }
}

/* A copy that ends where the text ends: not even a 0 follows. */
static void statement_parse(const char *text, size_t size)
{
    struct repl_statement statement;
    struct repl_error error = {0};
    char *copy = malloc(size > 0 ? size : 1);
    MUST(copy != NULL);
    memcpy(copy, text, size);
    if (repl_parse(copy, size, &statement, &error)) {
        statement_check(&statement, copy, size);
        MUST(!repl_statement_empty(copy, size));
        repl_statement_free(&statement);
    } else {
        MUST(error.position <= size && error.text[0] != 0);
        MUST(memchr(error.text, 0, sizeof error.text) != NULL);
    }
    free(copy);
}

/* text: a 0 follows, as libedit has it. */
static void completion_check(const char *text, size_t size)
{
    const char *words[REPL_WORDS_MAX];
    size_t start;
    uint32_t count = repl_complete(text, size, words, &start);
    MUST(count < REPL_WORDS_MAX && words[count] == NULL && start <= size);
    for (uint32_t i = 0; i < count; i++)
        MUST(strncmp(words[i], text + start, size - start) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    MUST(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    for (size_t at = 0; at < size;) {
        bool closed;
        size_t end = repl_statement_end(text + at, size - at, &closed);
        MUST(end <= size - at && (!closed || text[at + end] == ';'));
        MUST(closed || end == size - at);
        statement_parse(text + at, end);
        at += end + 1;
    }
    completion_check(text, size);
    free(text);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    return 0;
}
