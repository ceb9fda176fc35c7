/* Runs statements of the repl against a server and prints what became of them. */
#ifndef TOOLS_REPL_RUN_H
#define TOOLS_REPL_RUN_H

#include "clients/c/giro.h"
#include "tools/repl_parse.h"

#include <stdio.h>

enum { REPL_SCALES_MAX = 64, REPL_LEASES_MAX = 16 };

struct repl_scale {
    uint32_t ledger; /* 0: every ledger that has none of its own */
    uint32_t scale;
};

/* A lease that the session has acquired. */
struct repl_lease {
    giro_u128 key;
    giro_u128 owner;
    uint64_t token; /* 0: none */
};

struct repl {
    struct giro_client *client;
    struct repl_lease leases[REPL_LEASES_MAX];
    struct giro_fence fence; /* of transfers that are created; token 0: none */
    struct repl_scale scales[REPL_SCALES_MAX];
    uint32_t scale_count;
    bool thousands;
    bool ended; /* exit was said */
    FILE *out;
    FILE *errors;
};

/* Runs the statements of a text. source: NULL, or the name that errors are given with, followed by
 * the line; first_line: the line on which the text begins. Stops at the first statement that fails
 * unless go_on is set. An event that `exists` has not failed. Returns whether none failed. */
bool repl_run(struct repl *repl, const char *text, size_t size, const char *source,
              uint32_t first_line, bool go_on);

#endif
