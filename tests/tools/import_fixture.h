/* Files with a given text, for tests of the import: below a directory that each test has for itself. */
#ifndef TESTS_TOOLS_IMPORT_FIXTURE_H
#define TESTS_TOOLS_IMPORT_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Makes a directory, and goes there, so that errors name files without it. */
static inline void directory_enter(char path[64])
{
    (void)snprintf(path, 64, "/tmp/giro-import-XXXXXX");
    cr_assert_neq(mkdtemp(path), NULL);
    cr_assert_eq(chdir(path), 0);
}

static inline void directory_leave(const char *path)
{
    (void)unlink("m.ini");
    (void)unlink("a.csv");
    (void)unlink("b.csv");
    cr_assert_eq(chdir("/"), 0);
    (void)rmdir(path);
}

static inline void file_write(const char *name, const char *text)
{
    FILE *file = fopen(name, "we");
    cr_assert_neq(file, NULL);
    cr_assert_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    cr_assert_eq(fclose(file), 0);
}

#endif
