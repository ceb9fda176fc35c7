/* Runs the tests of a program: see tests/tsan/criterion/criterion.h.
 *
 *   PROGRAM [-jN] [--filter SUITE/TEST]     both may have wildcards
 *   CRITERION_LEFT_OUT=SUITE/TEST           in the environment: one that is not run
 *
 * Ends with the line that Criterion ends with, and status 1 when a test failed. */
#include <criterion/criterion.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_SKIPPED = 77, SLOWER = 4 /* ThreadSanitizer, at least */ };

static struct criterion_suite *suites;
static struct criterion_test *tests;
static struct criterion_test **tests_end = &tests;

/* Of the test that this process runs. */
static struct criterion_options current;
static bool current_failed;

void criterion_suite_add(struct criterion_suite *suite)
{
    suite->next = suites;
    suites = suite;
}

void criterion_test_add(struct criterion_test *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

static struct criterion_options options_of(const struct criterion_test *test)
{
    struct criterion_options options = test->options;
    for (const struct criterion_suite *suite = suites; suite != NULL; suite = suite->next) {
        if (strcmp(suite->name, test->suite) != 0)
            continue;
        if (options.init == NULL)
            options.init = suite->options.init;
        if (options.fini == NULL)
            options.fini = suite->options.fini;
        if (options.timeout == 0)
            options.timeout = suite->options.timeout;
    }
    return options;
}

static void __attribute__((noreturn)) test_end(int status)
{
    if (current.fini != NULL)
        current.fini();
    exit(status);
}

void criterion_failed(bool fatal, const char *file, int line, const char *claim, const char *format,
                      ...)
{
    va_list list;
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, claim);
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    current_failed = true;
    if (fatal)
        test_end(EXIT_FAILURE);
}

void criterion_skip(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    test_end(STATUS_SKIPPED);
}

static void __attribute__((noreturn)) test_run(const struct criterion_test *test)
{
    current = options_of(test);
    (void)alarm((unsigned)current.timeout * SLOWER);
    if (current.init != NULL)
        current.init();
    test->run();
    test_end(current_failed ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Returns whether it ended as it should. */
static bool test_passes(const struct criterion_test *test)
{
    int status;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        test_run(test);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (test->options.signal != 0)
        return WIFSIGNALED(status) && WTERMSIG(status) == test->options.signal;
    if (WIFSIGNALED(status))
        fprintf(stderr, "signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) &&
           (WEXITSTATUS(status) == EXIT_SUCCESS || WEXITSTATUS(status) == STATUS_SKIPPED);
}

int main(int argc, char **argv)
{
    const char *filter = "*";
    const char *left_out = getenv("CRITERION_LEFT_OUT");
    unsigned passed = 0;
    unsigned failed = 0;
    char name[256];
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--filter") == 0)
            filter = argv[i + 1];
    }
    for (const struct criterion_test *test = tests; test != NULL; test = test->next) {
        (void)snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
        if (fnmatch(filter, name, 0) != 0 || (left_out != NULL && strcmp(left_out, name) == 0))
            continue;
        bool good = test_passes(test);
        passed += good;
        failed += !good;
        fprintf(stderr, "[%s] %s\n", good ? "PASS" : "FAIL", name);
    }
    fprintf(stderr, "[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: 0\n",
            passed + failed, passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
