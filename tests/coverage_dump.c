/* Linked into every program of a coverage build (tests/coverage.sh): a program that aborts, as a
 * server does whose disk fails, has its counters written first. SIGKILL leaves no time for that: what
 * only a killed server ran is not counted. */
#include <signal.h>
#include <stddef.h>

void __gcov_dump(void);

static void dump(int signal_number)
{
    (void)signal_number; /* the one that is sent again when this returns, by abort() */
    __gcov_dump();
}

static void __attribute__((constructor)) dump_arrange(void)
{
    const struct sigaction action = {.sa_handler = dump, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGABRT, &action, NULL);
}
