/* Where a damaged ledger is started: a folder in memory, put back to what it was before each case,
 * and the real start of a shard in this process, without a listener.
 *
 *   directory_open, shard_log_start   ->  ledger, log, follower: what shard_serve() has when it
 *                                         begins to listen
 *
 * What a start says on stderr is kept, for whoever looks whether it said it. */
#ifndef TESTS_ATLAS_STAND_H
#define TESTS_ATLAS_STAND_H

#include "net/shard_state.h"
#include "tests/atlas/specimen.h"

enum {
    STAND_PATH_BYTES = 160,
    STAND_SAID_BYTES = 16 << 10,
};

/* With what the specimen's folder is started. */
enum stand_mode {
    STAND_SNAPSHOTS, /* all of it: the start begins with the newer snapshot */
    STAND_LOG,       /* without manifest and snapshots: it reads the whole log */
    STAND_MODES,
};

struct stand {
    const struct specimen *specimen;
    char path[STAND_PATH_BYTES];
    struct shard_options options;
    struct io *io;
    int notify[2];
    struct shard shard;
    struct error error; /* why it did not start */
    int said_fd;
    int stderr_fd; /* where stderr goes when nothing is started */
    char said[STAND_SAID_BYTES];
    uint64_t starts;
    char *compared; /* scratch */
};

void stand_open(struct stand *stand, const struct specimen *specimen);
void stand_close(struct stand *stand);

/* Puts every file back that is not as in the specimen, and removes what is not in it. Returns the
 * files that were put back: a bit for each number. */
uint64_t stand_restore(struct stand *stand, enum stand_mode mode);

/* Whether a file is there and, byte for byte, as in the specimen. */
bool stand_file_sound(const struct stand *stand, uint32_t file);

/* DIR/name */
void stand_file_path(const struct stand *stand, const char *name, char *out, size_t size);

/* Changes bytes of a file, which must be there. */
void stand_write(const struct stand *stand, uint32_t file, uint64_t offset, const void *bytes,
                 size_t size);

/* Starts. Returns 0, or -errno with stand->error; to be followed by stand_stop() in either case. */
int stand_start(struct stand *stand);
void stand_stop(struct stand *stand);

/* What was said since the start. */
const char *stand_said(struct stand *stand);

/* Takes stderr back, for whoever has to say something while the shard runs. */
void stand_stderr_restore(struct stand *stand);

#endif
