/* A ledger with a follower, its server, its clients, and what is known of all of them. */
#ifndef TESTS_FAULTS_STAGE_H
#define TESTS_FAULTS_STAGE_H

#include "tests/faults/history.h"

/* A small window, few accounts, snapshots as fast as they can be. */
#define STAGE_ARGUMENTS                                                                            \
    "--window-bytes", "16m", "--accounts-max", "1000", "--holds-max", "100000",                    \
        "--snapshot-bytes-per-s", "0"

struct stage {
    struct world world;
    struct subscriber subscriber;
    struct server server;
    struct server_setup setup;
    struct kill_at *control;
    char data[PATH_BYTES];
    char control_path[PATH_BYTES];
};

/* A new ledger in a folder of its own, with segments of 4 MiB; the server is not started. */
void stage_begin(struct stage *stage, const char *const *arguments, uint64_t seed);
void stage_end(struct stage *stage);

/* Everything acknowledged is there, and queries tell it. */
void stage_check_now(struct stage *stage);

/* The same, then everything unknown is retried, and the changes tell it too. */
void stage_check(struct stage *stage);

/* Nothing that belongs to a snapshot lies in the shard's folder and is not named by the manifest. */
void stage_check_orphans(const struct stage *stage, const char *when);

struct frame_stats stage_stats(const struct stage *stage);

/* Takes a snapshot, which must succeed. Returns its segment. */
uint32_t stage_snapshot(struct stage *stage);

#endif
