/* What the tests use of Criterion, for ThreadSanitizer: under that, the library does not start its
 * processes. tests/tsan/run.sh gives it to Meson in the library's place, so that every test program
 * is built as it is.
 *
 * Each test runs in a process of its own, one after the other. A failed assertion ends it after the
 * suite's .fini; a failed expectation lets it go on. Only the main thread of a test may assert. */
#ifndef TESTS_TSAN_CRITERION_H
#define TESTS_TSAN_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct criterion_options {
    void (*init)(void);
    void (*fini)(void);
    int signal;  /* that ends a test which passes; 0: it returns */
    int timeout; /* seconds; 0: the suite's */
};

struct criterion_suite {
    const char *name;
    struct criterion_options options;
    struct criterion_suite *next;
};

struct criterion_test {
    const char *suite;
    const char *name;
    void (*run)(void);
    struct criterion_options options;
    struct criterion_test *next;
};

void criterion_suite_add(struct criterion_suite *suite);
void criterion_test_add(struct criterion_test *test);

/* Takes note of a failure, whose text is a format that may be empty, and ends the test if fatal. */
void criterion_failed(bool fatal, const char *file, int line, const char *claim, const char *format,
                      ...);
void criterion_skip(const char *format, ...) __attribute__((noreturn));

#define TestSuite(suite_name, ...)                                                                 \
    static struct criterion_suite suite_name##_suite = {.name = #suite_name,                       \
                                                        .options = {__VA_ARGS__}};                 \
    static void __attribute__((constructor)) suite_name##_suite_add(void)                          \
    {                                                                                              \
        criterion_suite_add(&suite_name##_suite);                                                  \
    }                                                                                              \
    struct criterion_suite

#define Test(suite_name, test_name, ...)                                                           \
    static void suite_name##_##test_name##_run(void);                                              \
    static struct criterion_test suite_name##_##test_name##_test = {                               \
        .suite = #suite_name,                                                                      \
        .name = #test_name,                                                                        \
        .run = suite_name##_##test_name##_run,                                                     \
        .options = {__VA_ARGS__}};                                                                 \
    static void __attribute__((constructor)) suite_name##_##test_name##_add(void)                  \
    {                                                                                              \
        criterion_test_add(&suite_name##_##test_name##_test);                                      \
    }                                                                                              \
    static void suite_name##_##test_name##_run(void)

#define CR_CHECK(fatal, condition, claim, ...)                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            criterion_failed(fatal, __FILE__, __LINE__, claim, "" __VA_ARGS__);                    \
    } while (0)
#define CR_COMPARE(fatal, a, operator, b, ...)                                                     \
    CR_CHECK(fatal, (a) operator(b), #a " " #operator" " #b, __VA_ARGS__)

#define cr_assert(condition, ...) CR_CHECK(true, condition, #condition, __VA_ARGS__)
#define cr_assert_not(condition, ...) CR_CHECK(true, !(condition), "not " #condition, __VA_ARGS__)
#define cr_assert_null(pointer, ...) CR_COMPARE(true, pointer, ==, NULL, __VA_ARGS__)
#define cr_assert_not_null(pointer, ...) CR_COMPARE(true, pointer, !=, NULL, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) CR_COMPARE(true, a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) CR_COMPARE(true, a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) CR_COMPARE(true, a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) CR_COMPARE(true, a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) CR_COMPARE(true, a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) CR_COMPARE(true, a, >=, b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) CR_COMPARE(true, strcmp(a, b), ==, 0, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) CR_COMPARE(true, strcmp(a, b), !=, 0, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...) CR_COMPARE(true, memcmp(a, b, size), ==, 0, __VA_ARGS__)
#define cr_assert_fail(...) CR_CHECK(true, false, "not reached", __VA_ARGS__)

#define cr_expect(condition, ...) CR_CHECK(false, condition, #condition, __VA_ARGS__)
#define cr_expect_not(condition, ...) CR_CHECK(false, !(condition), "not " #condition, __VA_ARGS__)
#define cr_expect_null(pointer, ...) CR_COMPARE(false, pointer, ==, NULL, __VA_ARGS__)
#define cr_expect_not_null(pointer, ...) CR_COMPARE(false, pointer, !=, NULL, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) CR_COMPARE(false, a, ==, b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) CR_COMPARE(false, a, !=, b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) CR_COMPARE(false, a, <, b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) CR_COMPARE(false, a, <=, b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) CR_COMPARE(false, a, >, b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) CR_COMPARE(false, a, >=, b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) CR_COMPARE(false, strcmp(a, b), ==, 0, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) CR_COMPARE(false, strcmp(a, b), !=, 0, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, size, ...) CR_COMPARE(false, memcmp(a, b, size), ==, 0, __VA_ARGS__)
#define cr_expect_fail(...) CR_CHECK(false, false, "not reached", __VA_ARGS__)

#define cr_skip_test(...) criterion_skip("" __VA_ARGS__)
#define cr_skip(...) criterion_skip("" __VA_ARGS__)

#endif
