/* How what ran beside the load is shown. */
#ifndef BENCH_REPORT_BESIDE_H
#define BENCH_REPORT_BESIDE_H

#include "bench/report.h"

#include <jansson.h>

/* Lines for one run; none when nothing ran beside it. */
void report_beside_print(uint32_t number, const struct report_run *run);

/* The same, added to a run's object. */
void report_beside_json(json_t *json, const struct report_run *run);

#endif
