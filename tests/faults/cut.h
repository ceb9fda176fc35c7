/* Power cuts of a server that runs with unsynced.c; tests/faults/unsynced.h has the model. */
#ifndef TESTS_FAULTS_CUT_H
#define TESTS_FAULTS_CUT_H

#include "tests/faults/harness.h"
#include "tests/faults/unsynced.h"

struct cut {
    struct unsynced *control;
    char folder[PATH_BYTES]; /* of the notes */
    char control_path[PATH_BYTES];
    char data[PATH_BYTES];
};

/* What a cut did. */
struct cut_result {
    uint32_t writes; /* pieces that were not synced */
    uint32_t sectors_dropped;
    uint32_t files_shortened;
    uint32_t names; /* that were not synced */
    uint32_t names_undone;
};

/* Makes a data directory whose servers are watched: give server_setup the shim SHIM_UNSYNCED and
 * cut->control_path. */
void cut_begin(struct cut *cut);
void cut_end(struct cut *cut);

/* From now on: the server ends at this step, 0: at none. log_too: see struct unsynced. */
void cut_arm(struct cut *cut, uint32_t at, bool log_too);

/* The power goes: no server may run. What was not synced is lost in part, by the generator's will;
 * after that everything that is left is on the disk. */
struct cut_result cut_power(struct cut *cut, struct rng *rng);

#endif
