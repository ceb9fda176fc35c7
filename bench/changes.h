/* Subscribers beside the load: each follows the change stream on a connection and thread of its own
 * and checks that ordinals increase and that timestamps of what was created do. */
#ifndef BENCH_CHANGES_H
#define BENCH_CHANGES_H

#include "bench/client.h"

#include <hdr_histogram.h>
#include <stdbool.h>

enum { CHANGES_PROBLEM_BYTES = 160 };

struct changes_config {
    struct client_address address;
    uint32_t subscribers;
    bool from_end; /* else from the beginning */
};

struct changes_result {
    uint64_t elapsed_ns;
    uint64_t events;  /* of all subscribers */
    uint64_t replies; /* that had any */
    uint64_t behind;  /* records that the slowest subscriber still had to go at the end */
    /* From a change's timestamp, which the server gives before it is durable, to its arrival, of
     * the newest transfer of each reply. Of a subscriber that began at the beginning: how far back
     * it still is. */
    struct hdr_histogram *age_ns;
};

struct changes;

/* As in bench/queries.h. */
int changes_open(const struct changes_config *config, struct changes **out,
                 char problem[CHANGES_PROBLEM_BYTES]);
int changes_start(struct changes *changes, char problem[CHANGES_PROBLEM_BYTES]);
int changes_stop(struct changes *changes, struct changes_result *out,
                 char problem[CHANGES_PROBLEM_BYTES]);
void changes_result_free(struct changes_result *result);
void changes_close(struct changes *changes);

#endif
