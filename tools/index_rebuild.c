#include "tools/index_rebuild.h"

#include "engine/memory.h"
#include "tools/log_walk.h"
#include "wal/follower.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_NS = 1000 * 1000 };

/* The last segment that begins with a block: where the snapshot is to be taken. What its header says
 * is proven by whoever reads the log. */
static int segment_last(const struct log_walk *walk, uint32_t *out_segment, struct error *error)
{
    const struct directory *directory = &walk->directory;
    void *sector = aligned_alloc(4096, 4096);
    if (sector == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    int result = 0;
    *out_segment = 0;
    for (uint32_t segment = walk->reader.segment_count; segment-- > 0 && result == 0;) {
        struct block_place place = block_place_of(directory->meta.directory_id, segment, 0);
        int fd = segment_open(directory, segment, O_RDONLY, error);
        if (fd < 0) {
            result = fd;
            break;
        }
        bool begins = pread(fd, sector, 4096, 0) == 4096 &&
                      block_check_header(sector, &place, directory->meta.segment_bytes,
                                         directory->meta.sector_bytes) == BLOCK_OK;
        close(fd);
        if (!begins)
            continue;
        *out_segment = segment;
        break;
    }
    free(sector);
    return result;
}

/* Replays a block; a snapshot that is wanted of its segment is begun in front of it. */
static int block_replay(struct follower *follower, struct log_walk *walk, uint32_t last,
                        const struct block_header *header, const struct log_position *position,
                        struct error *error)
{
    uint32_t index;
    int result = 0;
    if (header->offset == 0 && header->segment == last && last > 0)
        result = snapshot_begin(&follower->snapshot, walk->ledger, position, error);
    if (result != 0)
        return result;
    if (follower_replay(follower, walk->ledger, header, &index) != 0)
        return log_walk_contradiction(walk, header, index, error);
    if (follower->off)
        return error_set(error, -EIO,
                         "%s: the index could not be written: see above; make room, "
                         "then run it again",
                         walk->directory.path);
    return 0;
}

static int log_replay(struct follower *follower, struct log_walk *walk, uint32_t last,
                      struct error *error)
{
    for (;;) {
        const struct block_header *header;
        const uint32_t epoch = walk->reader.epoch;
        const uint64_t written_at = walk->reader.written_at;
        int result = log_walk_next(walk, &header, error);
        if (result <= 0)
            return result;
        struct log_position position = {
            .segment = header->segment,
            .epoch = epoch,
            .lsn = header->lsn,
            .ordinal = header->ordinal,
            .written_at = written_at,
            .previous = header->previous,
        };
        result = block_replay(follower, walk, last, header, &position, error);
        if (result != 0)
            return result;
    }
}

static int snapshot_complete(struct follower *follower, const struct log_walk *walk,
                             struct error *error)
{
    const struct timespec pause = {.tv_nsec = WAIT_NS};
    if (!follower->snapshot.active)
        return 0;
    for (;;) {
        switch (snapshot_step(&follower->snapshot, walk->ledger, &follower->archive)) {
        case SNAPSHOT_WAITS:
            (void)nanosleep(&pause, NULL);
            break;
        case SNAPSHOT_WORKED:
            break;
        case SNAPSHOT_DONE:
            return 0;
        case SNAPSHOT_FAILED:
            return error_set(error, -EIO,
                             "%s: no snapshot; the indexes are complete, and a server starts from "
                             "the log alone",
                             follower->snapshot.writer.error.text);
        }
    }
}

static int walk_rebuild(struct log_walk *walk, struct follower *follower, struct error *error)
{
    const struct follower_options options = {
        .accounts_max = walk->config.accounts_max,
        .holds_max = walk->config.holds_max,
        .hash_seed = walk->config.hash_seed,
    };
    uint32_t last = 0;
    int result = segment_last(walk, &last, error);
    if (result == 0)
        result = follower_init(follower, &walk->directory, &options, error);
    if (result == 0)
        result = derived_remove(&walk->directory, 0, error);
    if (result == 0)
        result = log_replay(follower, walk, last, error);
    if (result == 0)
        result = snapshot_complete(follower, walk, error);
    if (result == 0) {
        log_end_describe(&walk->reader.end, &walk->directory, error);
        if (walk->reader.end.verdict == LOG_END_DAMAGED ||
            walk->reader.end.verdict == LOG_END_NEWER)
            result = -EBADMSG;
        else
            printf("%s\n", error->text);
    }
    return result;
}

int index_rebuild(const char *data, struct error *error)
{
    struct log_walk walk;
    struct follower *follower = memory_reserve(sizeof *follower);
    if (follower == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    int result = log_walk_open(&walk, data, DIRECTORY_EXCLUSIVE, error);
    if (result == 0) {
        result = walk_rebuild(&walk, follower, error);
        if (result == 0)
            result = directory_sync(&walk.directory, error);
        if (result == 0 && follower->snapshot.writer.entry.segment > 0)
            printf("%s: indexes of %u segments, and a snapshot of everything before segment %u, "
                   "up to block %" PRIu64 "\n",
                   data, follower->archive.count, follower->snapshot.writer.entry.segment,
                   follower->snapshot.writer.entry.lsn);
        else if (result == 0)
            printf("%s: nothing to index: the log has not left its first segment\n", data);
        follower_free(follower);
        log_walk_close(&walk);
    }
    memory_release(follower, sizeof *follower);
    return result;
}
