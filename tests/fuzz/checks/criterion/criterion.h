/* Criterion's assertions for a fuzzer, which has no test that could fail: the process ends, and
 * libFuzzer keeps the input. So the fixtures of the tests are those of the fuzzers too. */
#ifndef TESTS_FUZZ_CHECKS_CRITERION_H
#define TESTS_FUZZ_CHECKS_CRITERION_H

#include "tests/fuzz/fuzz.h"

#include <string.h>

#define cr_assert(condition, ...) MUST(condition, __VA_ARGS__)
#define cr_assert_eq(left, right, ...) MUST((left) == (right), __VA_ARGS__)
#define cr_assert_neq(left, right, ...) MUST((left) != (right), __VA_ARGS__)
#define cr_assert_fail(...) MUST(false, __VA_ARGS__)

#endif
