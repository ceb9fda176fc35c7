/* The start of a shard: from what the disk has to a ledger, a follower and a log that goes on.
 *
 *   newest sound snapshot -> ids from the sidecars before it -> replay of the log behind it
 *
 * and without a usable snapshot, replay of the whole log, which makes every sidecar that is missing.
 * A snapshot is only a shortcut: when the log behind it contradicts it, it is the one to go. */
#include "net/shard_state.h"

#include "engine/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    WINDOW_SEGMENTS_MIN = 4,
    ACCOUNTS_EXPECTED = 1 << 18, /* an index of 5 MiB to start with */
};

static void progress_print(const struct shard *shard, const struct log_reader *reader)
{
    fprintf(stderr, "giro: reading the log: segment %u of %u, %" PRIu64 " transfers\n",
            reader->segment, reader->segment_count, shard->ledger->transfers_count);
}

static int replay_block(struct shard *shard, const struct block_header *header, struct error *error)
{
    uint32_t index = 0;
    int result = 0;
    if (shard->options->follower != 0)
        result = follower_replay(shard->follower, shard->ledger, header, &index);
    else
        result = ledger_replay(shard->ledger, block_records(header), header->record_count,
                               block_address(header, shard->directory.meta.segment_bytes), &index);
    if (result == 0 && !ledger_replay_ends(shard->ledger)) {
        index = header->record_count - 1;
        result = -EBADMSG;
    }
    log_map_add(shard->log.chunk_blocks, &shard->directory.meta, header);
    if (result == -ENOSPC)
        return error_set(error, result,
                         "%s holds more than the limits allow: raise accounts_max, transfers_max, "
                         "holds_max or payments_max",
                         shard->directory.path);
    if (result != 0)
        return error_set(error, -ESTALE,
                         "%s/shard-0/%010u.log: record %u of block %" PRIu64
                         " at offset %u contradicts the ledger: nothing was changed; run giro "
                         "verify --data %s",
                         shard->directory.path, header->segment, index, header->lsn, header->offset,
                         shard->directory.path);
    return 0;
}

/* Reads the whole log into the ledger. */
static int shard_replay(struct shard *shard, struct log_reader *reader, bool restored,
                        struct error *error)
{
    const struct block_header *header;
    uint64_t print_at = clock_monotonic_ns() + SHARD_PROGRESS_NS;
    int result;
    while ((result = log_reader_next(reader, &header, error)) > 0) {
        result = replay_block(shard, header, error);
        if (result != 0)
            return result;
        if (clock_monotonic_ns() < print_at)
            continue;
        progress_print(shard, reader);
        print_at += SHARD_PROGRESS_NS;
        char byte;
        if (recv(shard->stop_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            return error_set(error, -ECANCELED, "stopped while reading the log");
    }
    if (result != 0)
        return result;
    /* A snapshot is begun when the first block of its segment is durable. */
    if (restored && reader->segment == reader->segment_first && reader->offset == 0)
        return error_set(error, -EBADMSG,
                         "%s/shard-0/%010u.log: acknowledged data is damaged: there is no block at "
                         "its beginning, and there was one when the snapshot before it was taken; "
                         "nothing was changed: restore from a backup; if what was behind it is "
                         "lost for good, giro recover --data %s --rebuild-index forgets it",
                         shard->directory.path, reader->segment, shard->directory.path);
    struct error text;
    log_end_describe(&reader->end, &shard->directory, &text);
    if (reader->end.verdict == LOG_END_TORN) {
        fprintf(stderr, "giro: %s; cut\n", text.text);
        return log_end_cut(&reader->end, &shard->directory, error);
    }
    return reader->end.verdict == LOG_END_CLEAN ? 0 : error_set(error, -EBADMSG, "%s", text.text);
}

static int ledger_make(struct shard *shard, struct error *error)
{
    const struct shard_options *options = shard->options;
    uint32_t segment_count;
    int result = directory_segments(&shard->directory, &segment_count, error);
    if (result != 0)
        return result;
    /* About as many transfers as the log may hold: a good start for the index. */
    uint64_t segments =
        segment_count > DIRECTORY_SEGMENTS_AHEAD ? segment_count - DIRECTORY_SEGMENTS_AHEAD : 1;
    uint64_t expected = segments * (shard->directory.meta.segment_bytes / GIRO_RECORD_BYTES) / 2;
    struct ledger_config config = {
        .accounts_max = options->accounts_max,
        .holds_max = options->holds_max,
        .payments_max = options->payments_max,
        .transfers_max = options->transfers_max,
        .accounts_expected =
            ACCOUNTS_EXPECTED < options->accounts_max ? ACCOUNTS_EXPECTED : options->accounts_max,
        .transfers_expected = expected < options->transfers_max ? expected : options->transfers_max,
        .hash_seed = directory_hash_seed(&shard->directory),
    };
    if (ledger_create(&config, &shard->ledger) != 0)
        return error_set(error, -ENOMEM,
                         "cannot reserve address space for the ledger: " MEMORY_RESERVE_ADVICE);
    return 0;
}

/* Makes the ledger and brings it to the newest usable snapshot. Returns 1 with its position, 0
 * when the log is to be read from its beginning, or -errno. */
static int ledger_restore(struct shard *shard, struct log_position *out_position,
                          struct error *error)
{
    for (;;) {
        int result = ledger_make(shard, error);
        if (result == 0 && log_map_init(&shard->log.chunk_blocks) != 0)
            result = error_set(error, -ENOMEM, "out of address space");
        if (result != 0)
            return result;
        result = follower_restore(shard->follower, shard->ledger, shard->log.chunk_blocks,
                                  out_position, error);
        if (result >= 0)
            return result;
        /* Half a snapshot is of no use: the next one, or the log alone, begins with nothing. */
        ledger_destroy(shard->ledger);
        log_map_free(shard->log.chunk_blocks);
        shard->ledger = NULL;
        shard->log.chunk_blocks = NULL;
    }
}

static int follower_make(struct shard *shard, struct error *error)
{
    const struct shard_options *options = shard->options;
    struct follower_options follower = {
        .accounts_max = options->accounts_max,
        .holds_max = options->holds_max,
        .payments_max = options->payments_max,
        .accounts_expected =
            ACCOUNTS_EXPECTED < options->accounts_max ? ACCOUNTS_EXPECTED : options->accounts_max,
        .hash_seed = directory_hash_seed(&shard->directory),
        .snapshot_log_bytes = options->snapshot_log_bytes,
        .snapshot = {.bytes_per_s = options->snapshot_bytes_per_s,
                     .map_bytes = options->snapshot_map_bytes},
    };
    if (shard->follower == NULL)
        shard->follower = memory_reserve(sizeof *shard->follower);
    if (shard->follower == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    return follower_init(shard->follower, &shard->directory, &follower, error);
}

/* What a start has made so far is thrown away, and so is everything that was derived from the log:
 * it contradicts the log, which is right. */
static int start_over(struct shard *shard, struct error *error)
{
    fprintf(stderr,
            "giro: %s: the snapshot contradicts the log behind it: it is deleted, and the whole "
            "log is read\n",
            shard->directory.path);
    ledger_destroy(shard->ledger);
    log_map_free(shard->log.chunk_blocks);
    shard->ledger = NULL;
    shard->log.chunk_blocks = NULL;
    follower_free(shard->follower);
    return derived_remove(&shard->directory, 0, error);
}

/* restored: the ledger came from a snapshot. Returns -ESTALE when that contradicts the log. */
static int recover_and_open(struct shard *shard, struct log_reader *reader, bool restored,
                            struct error *error)
{
    const struct shard_options *options = shard->options;
    struct log_options log_options = {
        .window_bytes = options->window_bytes,
        .block_bytes_max = options->block_bytes_max,
        .segments_ahead = options->segments_ahead,
    };
    uint64_t start = clock_monotonic_ns();
    uint64_t lsn_first = reader->lsn;
    int result = shard_replay(shard, reader, restored, error);
    if (restored && (result == -ESTALE || shard->ledger->digests_failed > 0))
        return -ESTALE;
    if (result != 0)
        return result;
    fprintf(stderr,
            "giro: %s: %u accounts, %" PRIu64 " transfers, %u open holds, %" PRIu64
            " blocks read in %.2f s\n",
            options->data, shard->ledger->accounts.count, shard->ledger->transfers_count,
            shard->ledger->holds.count, reader->lsn - lsn_first,
            (double)(clock_monotonic_ns() - start) * 1e-9);
    if (shard->ledger->digests_failed > 0)
        fprintf(stderr,
                "giro: warning: at %" PRIu64 " places the log says that the server's memory "
                "differed from it, first at log position %" PRIu64
                "; the state is the log's; transfers accepted after that may have been judged by "
                "wrong balances\n",
                shard->ledger->digests_failed,
                shard->ledger->digest_failed_first * GIRO_RECORD_BYTES);
    uint32_t *map = shard->log.chunk_blocks;
    result = log_open(&shard->log, shard->io, reader, &log_options, error);
    shard->log.chunk_blocks = map;
    shard->digest_position = shard->log.open_begin;
    if (result == 0 && options->follower != 0)
        result = follower_start(shard->follower, shard->ledger, reader, &shard->log.feed,
                                shard->follower_notify_fd, error);
    return result;
}

/* Brings the ledger to the end of the log and opens that for writing. Returns 0; 1 when a snapshot
 * turned out to be wrong, and it has to be done again without; or -errno. */
static int log_recover(struct shard *shard, struct error *error)
{
    struct log_position position;
    struct log_reader reader;
    int restored = follower_make(shard, error);
    if (restored == 0)
        restored = ledger_restore(shard, &position, error);
    if (restored < 0)
        return restored;
    int result =
        log_reader_open(&reader, &shard->directory, shard->window, shard->options->window_bytes,
                        restored > 0 ? &position : NULL, error);
    if (result == 0)
        result = recover_and_open(shard, &reader, restored > 0, error);
    log_reader_close(&reader);
    if (result != -ESTALE || restored == 0)
        return result;
    result = start_over(shard, error);
    return result == 0 ? 1 : result;
}

/* Reads the log and starts a new epoch: the first block of this start is durable on return. */
int shard_log_start(struct shard *shard, struct error *error)
{
    const struct shard_options *options = shard->options;
    uint64_t segment_bytes = shard->directory.meta.segment_bytes;
    if ((options->window_bytes & (options->window_bytes - 1)) != 0 ||
        options->window_bytes < WINDOW_SEGMENTS_MIN * segment_bytes)
        return error_set(error, -EINVAL,
                         "window_bytes must be a power of two and at least %d segments of %" PRIu64
                         " bytes",
                         WINDOW_SEGMENTS_MIN, segment_bytes);
    shard->window = log_window_make(options->window_bytes);
    if (shard->window == NULL)
        return error_set(
            error, -ENOMEM,
            "cannot reserve %" PRIu64
            " bytes for the log window: lower window_bytes, or: " MEMORY_RESERVE_ADVICE,
            options->window_bytes);
    int result;
    while ((result = log_recover(shard, error)) > 0)
        ;
    if (result != 0)
        return result;
    if (!log_mark(&shard->log, BLOCK_START, clock_wall_ns())) {
        /* The log is full to the last segment: the next one is made first. */
        while (shard->log.segment_count <= shard->log.open_begin / segment_bytes) {
            log_segments_run(&shard->log, clock_monotonic_ns(), false);
            if (shard_turn(shard, SHARD_PROGRESS_NS) != 0 || shard->log.storage_full)
                return error_set(error, -ENOSPC,
                                 "%s: no room for the next log segment of %" PRIu64
                                 " bytes: free some space",
                                 options->data, segment_bytes);
        }
        (void)log_mark(&shard->log, BLOCK_START, clock_wall_ns());
    }
    while (shard->log.in_flight) {
        result = shard_turn(shard, SHARD_PROGRESS_NS);
        if (result != 0)
            return error_set(error, result, "waiting for the first write: %s", strerror(-result));
    }
    return 0;
}
