/* How a spoilt log is judged: torn writes cut at every byte, and the decision table of wal/reader.h
 * row by row. What the reader calls torn is cut as a server cuts it, and read again. */
#include "tests/faults/sample.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(log_torn, .fini = harness_clean, .timeout = 300);
TestSuite(log_table, .fini = harness_clean, .timeout = 300);

enum { REPAIR_EVERY = 61 };

/* A sample and a sparse copy of it, in memory, to spoil. */
struct spoiler {
    struct sample sample;
    struct log_viewer viewer;
    char path[PATH_BYTES];
    char segment[3][PATH_BYTES];
};

static void spoiler_open(struct spoiler *spoiler, uint32_t ahead)
{
    sample_make(&spoiler->sample, ahead);
    folder_make_in_memory(spoiler->path);
    folder_copy(spoiler->sample.path, spoiler->path);
    for (uint32_t i = 0; i < 3; i++)
        segment_path(spoiler->path, i, spoiler->segment[i]);
    log_viewer_open(&spoiler->viewer, spoiler->path);
}

static void spoiler_close(struct spoiler *spoiler)
{
    log_viewer_close(&spoiler->viewer);
    sample_free(&spoiler->sample);
    folder_remove(spoiler->path);
}

/* The log must end this way, after so many blocks and with the state of that moment. */
static struct log_view expect(struct spoiler *spoiler, enum log_end_verdict verdict,
                              uint32_t blocks, const char *what)
{
    struct log_view view = log_viewer_read(&spoiler->viewer);
    cr_assert_eq(view.result, 0, "%s: %s", what, view.text.text);
    cr_assert_eq(view.end.verdict, verdict, "%s is called %s: %s", what,
                 log_end_name(view.end.verdict), view.text.text);
    cr_assert_eq(view.blocks, blocks, "%s: %lu blocks instead of %u", what, view.blocks, blocks);
    cr_assert(checksum_equal(view.digest, sample_digest(&spoiler->sample, blocks)),
              "%s: another ledger", what);
    cr_assert(view.balanced);
    return view;
}

static bool file_is_zero_from(const char *path, uint32_t from)
{
    static uint8_t bytes[SAMPLE_SEGMENT_BYTES];
    struct stat status;
    if (stat(path, &status) != 0 || status.st_size != SAMPLE_SEGMENT_BYTES)
        return false;
    file_read(path, 0, bytes, sizeof bytes);
    for (uint32_t i = from; i < sizeof bytes; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

/* Cuts what was called torn: then the log is clean, holds what it held, and is zero behind. */
static void expect_repair(struct spoiler *spoiler, const struct log_view *view, const char *what)
{
    log_viewer_cut(&spoiler->viewer, view);
    (void)expect(spoiler, LOG_END_CLEAN, (uint32_t)view->blocks, what);
    cr_assert(file_is_zero_from(spoiler->segment[0], view->end.offset), "%s: not cut", what);
}

/* ---- A write that was cut short ---------------------------------------------------------- */

enum cut { CUT_ZEROS, CUT_FILE };

static bool zero_from(const struct sample *sample, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (sample->bytes[i] != 0)
            return false;
    }
    return true;
}

/* Puts the last of block + 1 blocks back, whole up to offset. */
static void cut_from(const struct spoiler *spoiler, uint32_t block, uint32_t offset)
{
    static const uint8_t zeros[LOG_BLOCK_BYTES_MIN];
    const struct sample_block *last = &spoiler->sample.blocks[block];
    sample_restore(&spoiler->sample, spoiler->path, block + 1);
    file_write(spoiler->segment[0], offset, zeros, last->offset + last->bytes - offset);
}

/* One byte less than before: the caller goes from the end of the block to its begin. */
static void cut_apply(const struct spoiler *spoiler, uint32_t offset, enum cut cut)
{
    int fd = open(spoiler->segment[0], O_WRONLY | O_CLOEXEC);
    cr_assert(fd >= 0);
    int result = cut == CUT_FILE ? ftruncate(fd, offset) : (int)pwrite(fd, "", 1, offset) - 1;
    cr_assert_eq(result, 0);
    close(fd);
}

/* The last of block + 1 blocks, cut at one byte. What was padding is not missed. */
static void cut_one(struct spoiler *spoiler, uint32_t block, uint32_t offset, enum cut cut)
{
    const struct sample_block *last = &spoiler->sample.blocks[block];
    bool whole = zero_from(&spoiler->sample, offset, last->offset + last->bytes);
    bool clean = cut == CUT_ZEROS && (whole || offset == last->offset);
    char what[96];
    (void)snprintf(what, sizeof what, "block %u, %s at offset %u", block,
                   cut == CUT_FILE ? "file cut" : "zeros", offset);
    cut_apply(spoiler, offset, cut);
    struct log_view view =
        expect(spoiler, clean ? LOG_END_CLEAN : LOG_END_TORN, whole ? block + 1 : block, what);
    cr_assert_eq(view.unreadable_bytes, 0, "%s: reading the short file failed", what);
    if (view.end.verdict != LOG_END_TORN || offset % REPAIR_EVERY != 0)
        return;
    expect_repair(spoiler, &view, what);
    cut_from(spoiler, block, offset);
}

static void cut_everywhere(enum cut cut)
{
    struct spoiler spoiler;
    uint32_t cases = 0;
    spoiler_open(&spoiler, 0);
    for (uint32_t block = 0; block < spoiler.sample.block_count; block++) {
        const struct sample_block *last = &spoiler.sample.blocks[block];
        sample_restore(&spoiler.sample, spoiler.path, block + 1);
        for (uint32_t i = last->bytes; i > 0; i--, cases++)
            cut_one(&spoiler, block, last->offset + i - 1, cut);
    }
    fprintf(stderr, "%u cuts\n", cases);
    spoiler_close(&spoiler);
}

Test(log_torn, last_block_zero_from_every_byte_on)
{
    cut_everywhere(CUT_ZEROS);
}

Test(log_torn, file_cut_at_every_byte_of_the_last_block)
{
    cut_everywhere(CUT_FILE);
}

/* A disk writes sectors in any order: every subset of the last block's sectors is missing. */
Test(log_torn, every_subset_of_the_last_blocks_sectors)
{
    struct spoiler spoiler;
    static const uint8_t zeros[BLOCK_SECTOR_BYTES_MIN];
    spoiler_open(&spoiler, 0);
    for (uint32_t block = 0; block < spoiler.sample.block_count; block++) {
        const struct sample_block *last = &spoiler.sample.blocks[block];
        const uint32_t sectors = last->bytes / BLOCK_SECTOR_BYTES_MIN;
        for (uint32_t lost = 1; lost < 1u << sectors; lost++) {
            bool all = lost == (1u << sectors) - 1;
            sample_restore(&spoiler.sample, spoiler.path, block + 1);
            for (uint32_t i = 0; i < sectors; i++) {
                if ((lost >> i & 1) != 0)
                    file_write(spoiler.segment[0], last->offset + i * sizeof zeros, zeros,
                               sizeof zeros);
            }
            (void)expect(&spoiler, all ? LOG_END_CLEAN : LOG_END_TORN, block, "lost sectors");
        }
    }
    spoiler_close(&spoiler);
}

/* ---- Blocks made to order ---------------------------------------------------------------- */

static struct block_header header_of(const struct sample *sample, uint32_t block)
{
    struct block_header header;
    memcpy(&header, sample->bytes + sample->blocks[block].offset, sizeof header);
    return header;
}

/* An empty block as it would follow the sample: a mark, to be changed and sealed again. */
struct made_block {
    struct block_header header;
    uint8_t padding[BLOCK_SECTOR_BYTES_MIN - BLOCK_HEADER_BYTES];
};

static struct made_block made_next(const struct sample *sample)
{
    struct block_header last = header_of(sample, sample->block_count - 1);
    struct made_block made = {.header = last};
    made.header.offset = sample->end;
    made.header.lsn = last.lsn + 1;
    made.header.lsn_durable = last.lsn;
    made.header.ordinal = last.ordinal + last.record_count;
    made.header.record_count = 0;
    made.header.block_bytes = sizeof made;
    made.header.kind = BLOCK_IDLE;
    made.header.previous = last.header_checksum;
    return made;
}

static void made_write(struct spoiler *spoiler, struct made_block *made, uint32_t segment,
                       uint32_t offset)
{
    block_seal(&made->header);
    file_write(spoiler->segment[segment], offset, made, sizeof *made);
}

static void block_copy(struct spoiler *spoiler, uint32_t from, uint32_t to_offset)
{
    const struct sample_block *block = &spoiler->sample.blocks[from];
    file_write(spoiler->segment[0], to_offset, spoiler->sample.bytes + block->offset, block->bytes);
}

static void block_zero(struct spoiler *spoiler, uint32_t block)
{
    static const uint8_t zeros[LOG_BLOCK_BYTES_MIN];
    const struct sample_block *at = &spoiler->sample.blocks[block];
    file_write(spoiler->segment[0], at->offset, zeros, at->bytes);
}

/* ---- The table --------------------------------------------------------------------------- */

Test(log_table, zeros_and_nothing_behind_is_clean)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    struct log_view view = expect(&spoiler, LOG_END_CLEAN, count, "untouched");
    cr_assert_eq(view.end.found, BLOCK_EMPTY);
    cr_assert_eq(view.end.offset, spoiler.sample.end);
    cr_assert_eq(view.end.dirty_segments, 0);
    spoiler_close(&spoiler);
}

Test(log_table, a_block_that_follows_is_read)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    struct made_block made = made_next(&spoiler.sample);
    made_write(&spoiler, &made, 0, spoiler.sample.end);
    struct log_view view = log_viewer_read(&spoiler.viewer);
    cr_assert_eq(view.end.verdict, LOG_END_CLEAN);
    cr_assert_eq(view.blocks, spoiler.sample.block_count + 1);
    spoiler_close(&spoiler);
}

Test(log_table, anything_unsound_and_nothing_behind_is_torn)
{
    static const uint8_t garbage[3000] = {[0] = 7, [1234] = 8, [2999] = 9};
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    file_write(spoiler.segment[0], spoiler.sample.end, garbage, sizeof garbage);
    struct log_view view = expect(&spoiler, LOG_END_TORN, count, "garbage");
    cr_assert_eq(view.end.found, BLOCK_DAMAGED);
    expect_repair(&spoiler, &view, "garbage");
    spoiler_close(&spoiler);
}

Test(log_table, a_damaged_body_and_nothing_behind_is_torn)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    struct made_block made = made_next(&spoiler.sample);
    made_write(&spoiler, &made, 0, spoiler.sample.end);
    file_write(spoiler.segment[0], spoiler.sample.end + BLOCK_HEADER_BYTES, "x", 1);
    struct log_view view = expect(&spoiler, LOG_END_TORN, count, "damaged body");
    cr_assert(view.end.body_damaged);
    expect_repair(&spoiler, &view, "damaged body");
    spoiler_close(&spoiler);
}

Test(log_table, zeros_and_a_block_behind_is_damaged)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    for (uint32_t block = 0; block + 1 < spoiler.sample.block_count; block++) {
        block_zero(&spoiler, block);
        struct log_view view = expect(&spoiler, LOG_END_DAMAGED, block, "a lost block");
        cr_assert_eq(view.end.found, BLOCK_EMPTY);
        cr_assert_eq(view.end.proof_lsn, block + 2, "proof: the block right behind");
        cr_assert(strstr(view.text.text, "0000000000.log") != NULL, "%s", view.text.text);
        sample_restore(&spoiler.sample, spoiler.path, spoiler.sample.block_count);
    }
    spoiler_close(&spoiler);
}

Test(log_table, a_misdirected_block_with_blocks_behind_is_damaged)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const struct sample *sample = &spoiler.sample;
    for (uint32_t to = 0; to + 1 < sample->block_count; to++) {
        for (uint32_t from = 0; from < sample->block_count; from++) {
            if (from == to || sample->blocks[from].bytes > sample->blocks[to].bytes)
                continue;
            block_copy(&spoiler, from, sample->blocks[to].offset);
            struct log_view view = expect(&spoiler, LOG_END_DAMAGED, to, "a misdirected block");
            cr_assert_eq(view.end.found, BLOCK_MISPLACED);
            sample_restore(sample, spoiler.path, sample->block_count);
        }
    }
    spoiler_close(&spoiler);
}

Test(log_table, swapped_blocks_are_damaged)
{
    struct spoiler spoiler;
    uint32_t pairs = 0;
    spoiler_open(&spoiler, 2);
    const struct sample *sample = &spoiler.sample;
    for (uint32_t a = 0; a < sample->block_count; a++) {
        for (uint32_t b = a + 1; b < sample->block_count; b++) {
            if (sample->blocks[a].bytes != sample->blocks[b].bytes || a + 2 >= sample->block_count)
                continue;
            block_copy(&spoiler, a, sample->blocks[b].offset);
            block_copy(&spoiler, b, sample->blocks[a].offset);
            (void)expect(&spoiler, LOG_END_DAMAGED, a, "swapped blocks");
            sample_restore(sample, spoiler.path, sample->block_count);
            pairs++;
        }
    }
    cr_assert(pairs > 3);
    spoiler_close(&spoiler);
}

/* No crash leaves a sound block where it does not belong: it is a misdirected write, or a copy. */
Test(log_table, a_block_written_twice_is_damaged)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    for (uint32_t from = 0; from < count; from++) {
        block_copy(&spoiler, from, spoiler.sample.end);
        struct log_view view = expect(&spoiler, LOG_END_DAMAGED, count, "a block once more");
        cr_assert_eq(view.end.found, BLOCK_MISPLACED);
        sample_restore(&spoiler.sample, spoiler.path, count);
    }
    spoiler_close(&spoiler);
}

/* The same behind the end, in any segment, after zeros or after garbage. */
Test(log_table, a_misplaced_block_behind_the_end_is_damaged)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const struct sample *sample = &spoiler.sample;
    for (uint32_t segment = 0; segment < 3; segment++) {
        for (uint32_t garbage = 0; garbage < 2; garbage++) {
            if (garbage != 0)
                file_write(spoiler.segment[0], sample->end, "garbage", 7);
            file_write(spoiler.segment[segment], 1 << 20, sample->bytes, sample->blocks[0].bytes);
            (void)expect(&spoiler, LOG_END_DAMAGED, sample->block_count, "a stray block");
        }
        cr_assert_eq(truncate(spoiler.segment[segment], 0), 0);
        cr_assert_eq(truncate(spoiler.segment[segment], SAMPLE_SEGMENT_BYTES), 0);
        sample_restore(sample, spoiler.path, sample->block_count);
    }
    spoiler_close(&spoiler);
}

/* The proof may lie in any segment, however far behind. */
Test(log_table, a_block_in_a_later_segment_proves_damage)
{
    static const uint32_t offsets[] = {0, 512, 4096, SAMPLE_SEGMENT_BYTES / 2,
                                       SAMPLE_SEGMENT_BYTES - 512};
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    for (uint32_t segment = 1; segment < 3; segment++) {
        for (uint32_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
            static const struct made_block nothing;
            struct made_block made = made_next(&spoiler.sample);
            made.header.segment = segment;
            made.header.offset = offsets[i];
            made.header.lsn += 1; /* the one before it is missing */
            made.header.lsn_durable += 1;
            made_write(&spoiler, &made, segment, offsets[i]);
            struct log_view view = expect(&spoiler, LOG_END_DAMAGED, count, "a later segment");
            cr_assert_eq(view.end.proof_segment, segment);
            cr_assert_eq(view.end.proof_offset, offsets[i]);
            file_write(spoiler.segment[segment], offsets[i], &nothing, sizeof nothing);
        }
    }
    spoiler_close(&spoiler);
}

/* Sound and in its place, but not the one that belongs there. */
Test(log_table, a_sound_block_that_breaks_the_chain_is_damaged)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    for (uint32_t change = 0; change < 5; change++) {
        struct made_block made = made_next(&spoiler.sample);
        switch (change) {
        case 0:
            made.header.lsn++;
            break;
        case 1:
            made.header.lsn--;
            made.header.lsn_durable--;
            break;
        case 2:
            made.header.ordinal++;
            break;
        case 3:
            made.header.previous.low ^= 1;
            break;
        default:
            made.header.previous = header_of(&spoiler.sample, count - 2).header_checksum;
        }
        made_write(&spoiler, &made, 0, spoiler.sample.end);
        struct log_view view = expect(&spoiler, LOG_END_DAMAGED, count, "a broken chain");
        cr_assert_eq(view.end.offset, spoiler.sample.end);
        cr_assert(strstr(view.text.text, "continue") != NULL, "%s", view.text.text);
    }
    spoiler_close(&spoiler);
}

Test(log_table, a_newer_version_is_refused_and_not_cut)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    struct made_block made = made_next(&spoiler.sample);
    made.header.version = BLOCK_VERSION + 1;
    made_write(&spoiler, &made, 0, spoiler.sample.end);
    struct log_view view = expect(&spoiler, LOG_END_NEWER, count, "a newer block at the end");
    cr_assert(strstr(view.text.text, "newer version") != NULL, "%s", view.text.text);

    sample_restore(&spoiler.sample, spoiler.path, count);
    memcpy(&made, spoiler.sample.bytes, sizeof made); /* the first block is a start mark */
    made.header.version = BLOCK_VERSION + 1;
    made_write(&spoiler, &made, 0, 0);
    (void)expect(&spoiler, LOG_END_NEWER, 0, "a newer first block");
    spoiler_close(&spoiler);
}

/* Fields that the checksum holds and that contradict each other: only a bug writes them. */
Test(log_table, a_sealed_block_with_impossible_fields_is_not_read)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    for (uint32_t change = 0; change < 7; change++) {
        struct made_block made = made_next(&spoiler.sample);
        struct made_block whole = made;
        uint32_t values[] = {0, 511, 1024, UINT32_MAX, SAMPLE_SEGMENT_BYTES};
        if (change < 5)
            made.header.block_bytes = values[change];
        else if (change == 5)
            made.header.lsn_durable = made.header.lsn;
        else
            made.header.kind = BLOCK_KIND_MAX + 1;
        block_seal(&whole.header); /* of the size that is really there */
        made.header.body_checksum = whole.header.body_checksum;
        made.header.header_checksum =
            checksum_of(&made.header, offsetof(struct block_header, header_checksum));
        file_write(spoiler.segment[0], spoiler.sample.end, &made, sizeof made);
        struct log_view view = expect(&spoiler, LOG_END_TORN, count, "impossible fields");
        cr_assert_eq(view.end.found, BLOCK_DAMAGED, "change %u", change);
    }
    spoiler_close(&spoiler);
}

/* A block of another directory: segments are zeroed before they are used, so it came later. */
Test(log_table, a_foreign_block_behind_the_end_is_damaged)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    struct made_block made = made_next(&spoiler.sample);
    made.header.directory_id[3] ^= 1;
    made_write(&spoiler, &made, 0, spoiler.sample.end);
    struct log_view view = expect(&spoiler, LOG_END_DAMAGED, count, "a foreign block");
    cr_assert_eq(view.end.found, BLOCK_MISPLACED);
    spoiler_close(&spoiler);
}

/* Records are the clients' bytes: a torn block may hold what looks like the header of a block. They
 * do not know the directory's id, so it proves nothing, and cannot keep a server from starting. */
Test(log_table, a_forged_block_inside_a_torn_one_proves_nothing)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    const uint32_t place = spoiler.sample.end + 8 * BLOCK_SECTOR_BYTES_MIN;
    struct made_block made = made_next(&spoiler.sample);
    memset(made.header.directory_id, 0, sizeof made.header.directory_id);
    made.header.offset = place;
    made.header.lsn += 5;
    made_write(&spoiler, &made, 0, place);
    struct log_view view = expect(&spoiler, LOG_END_TORN, count, "a forged block");
    expect_repair(&spoiler, &view, "a forged block");
    spoiler_close(&spoiler);
}

/* One write is 4 MiB at most, so it cannot have left anything further behind. */
Test(log_table, more_than_one_write_leaves_is_damaged)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    const uint32_t end = spoiler.sample.end;
    file_write(spoiler.segment[0], end, "begin", 5);
    file_write(spoiler.segment[1], end - 3, "end", 3); /* 4 MiB in all */
    struct log_view view = expect(&spoiler, LOG_END_TORN, count, "as much as one write leaves");
    cr_assert_eq(view.end.dirty_segments, 2);
    file_write(spoiler.segment[1], end, "x", 1);
    (void)expect(&spoiler, LOG_END_DAMAGED, count, "a byte more");
    spoiler_close(&spoiler);
}

/* The log of one directory under the giro.meta of another, as after a mixed-up restore. Nothing of
 * it may be called torn: a server would zero a whole sound ledger. */
Test(log_table, a_whole_foreign_log_is_refused)
{
    struct spoiler spoiler;
    char other[PATH_BYTES];
    char meta[2][PATH_BYTES + 16];
    uint8_t bytes[sizeof(struct directory_meta)];
    const struct directory_options options = {
        .segment_bytes = SAMPLE_SEGMENT_BYTES, .segments_ahead = 0, .shard_count = 1};
    struct error error;
    spoiler_open(&spoiler, 2);
    log_viewer_close(&spoiler.viewer);
    folder_make(other);
    cr_assert_eq(directory_format(other, &options, &error), 0, "%s", error.text);
    (void)snprintf(meta[0], sizeof meta[0], "%s/giro.meta", other);
    (void)snprintf(meta[1], sizeof meta[1], "%s/giro.meta", spoiler.path);
    file_read(meta[0], 0, bytes, sizeof bytes);
    file_write(meta[1], 0, bytes, sizeof bytes);
    log_viewer_open(&spoiler.viewer, spoiler.path);
    struct log_view view = log_viewer_read(&spoiler.viewer);
    cr_assert(view.result != 0 || view.end.verdict == LOG_END_DAMAGED,
              "a foreign log is called %s: %s", log_end_name(view.end.verdict), view.text.text);
    folder_remove(other);
    spoiler_close(&spoiler);
}

/* ---- Files ------------------------------------------------------------------------------- */

static void expect_refused(struct spoiler *spoiler, int code, const char *words)
{
    struct log_view view = log_viewer_read(&spoiler->viewer);
    cr_assert_eq(view.result, code, "%d: %s", view.result, view.text.text);
    cr_assert(strstr(view.text.text, words) != NULL, "expected \"%s\": %s", words, view.text.text);
}

Test(log_table, a_missing_segment_in_the_middle_is_refused)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    cr_assert_eq(unlink(spoiler.segment[1]), 0);
    expect_refused(&spoiler, -ENOENT, "0000000001.log is missing");
    spoiler_close(&spoiler);
}

Test(log_table, a_missing_first_segment_is_refused)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    cr_assert_eq(unlink(spoiler.segment[0]), 0);
    expect_refused(&spoiler, -ENOENT, "0000000000.log is missing");
    cr_assert_eq(unlink(spoiler.segment[1]), 0);
    cr_assert_eq(unlink(spoiler.segment[2]), 0);
    expect_refused(&spoiler, -ENOENT, "0000000000.log is missing");
    spoiler_close(&spoiler);
}

Test(log_table, a_missing_ready_segment_is_no_loss)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    cr_assert_eq(unlink(spoiler.segment[2]), 0);
    (void)expect(&spoiler, LOG_END_CLEAN, spoiler.sample.block_count, "one ready segment less");
    spoiler_close(&spoiler);
}

Test(log_table, a_segment_that_is_too_long_is_refused)
{
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(truncate(spoiler.segment[i], SAMPLE_SEGMENT_BYTES + 1), 0);
        expect_refused(&spoiler, -EFBIG, "put the right one back");
        cr_assert_eq(truncate(spoiler.segment[i], SAMPLE_SEGMENT_BYTES), 0);
    }
    spoiler_close(&spoiler);
}

/* Ready segments that lost their bytes hold nothing: they are made whole again. */
Test(log_table, a_short_ready_segment_is_mended)
{
    static const off_t sizes[] = {0, 1, 511, 512, 4096, 1000000, SAMPLE_SEGMENT_BYTES - 1};
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    const uint32_t count = spoiler.sample.block_count;
    for (uint32_t segment = 1; segment < 3; segment++) {
        for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            char what[64];
            (void)snprintf(what, sizeof what, "segment %u with %ld bytes", segment, (long)sizes[i]);
            cr_assert_eq(truncate(spoiler.segment[segment], sizes[i]), 0);
            struct log_view view = expect(&spoiler, LOG_END_TORN, count, what);
            cr_assert_eq(view.unreadable_bytes, 0, "%s: reading failed", what);
            expect_repair(&spoiler, &view, what);
            cr_assert(file_is_zero_from(spoiler.segment[segment], 0), "%s: not mended", what);
        }
    }
    spoiler_close(&spoiler);
}

/* Reading a short segment must not write behind its place in the window. */
Test(log_table, a_short_segment_stays_in_its_place_of_the_window)
{
    const size_t window_bytes = 3u * SAMPLE_SEGMENT_BYTES;
    const size_t guard_bytes = 4096;
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    log_window_free(spoiler.viewer.window, spoiler.viewer.window_bytes);
    char *window = mmap(NULL, window_bytes + guard_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(window != MAP_FAILED);
    memset(window + window_bytes, 0x5a, guard_bytes);
    spoiler.viewer.window = window;
    spoiler.viewer.window_bytes = window_bytes;
    cr_assert_eq(truncate(spoiler.segment[2], 1000), 0);
    (void)expect(&spoiler, LOG_END_TORN, spoiler.sample.block_count, "a short last segment");
    for (size_t i = 0; i < guard_bytes; i++)
        cr_assert_eq(window[window_bytes + i], 0x5a, "byte %zu behind the window was written", i);
    (void)munmap(window + window_bytes, guard_bytes);
    spoiler_close(&spoiler);
}

Test(log_table, strangers_in_the_folder_are_ignored)
{
    static const char *const names[] = {"next.tmp", "0000000001.log.bak", "1.log", "notes",
                                        "0000000005.LOG"};
    struct spoiler spoiler;
    spoiler_open(&spoiler, 2);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_BYTES + 32];
        (void)snprintf(path, sizeof path, "%s/shard-0/%s", spoiler.path, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        cr_assert(fd >= 0 && write(fd, "something", 9) == 9);
        close(fd);
    }
    (void)expect(&spoiler, LOG_END_CLEAN, spoiler.sample.block_count, "strangers");
    spoiler_close(&spoiler);
}

/* ---- Across segments --------------------------------------------------------------------- */

enum { LARGE_RECORDS = 8190, LARGE_BLOCKS = 6 };

/* Blocks of a MiB: the fourth does not fit into the first segment any more. */
static void large_make(const char *path, struct sample *sample)
{
    static struct log_writer writer;
    struct giro_transfer *transfers = calloc(LARGE_RECORDS, sizeof *transfers);
    const struct giro_account accounts[] = {{.id = 1, .ledger = 1, .code = 1},
                                            {.id = 2, .ledger = 1, .code = 1}};
    cr_assert(transfers != NULL);
    sample_format(path, 2);
    log_writer_open(&writer, path);
    log_writer_accounts(&writer, accounts, 2);
    for (uint32_t block = 0; block < LARGE_BLOCKS; block++) {
        for (uint32_t i = 0; i < LARGE_RECORDS; i++)
            transfers[i] = (struct giro_transfer){.id = 1 + block * LARGE_RECORDS + i,
                                                  .debit_account_id = 1,
                                                  .credit_account_id = 2,
                                                  .amount = 1,
                                                  .ledger = 1,
                                                  .code = 1};
        log_writer_transfers(&writer, transfers, LARGE_RECORDS);
        const struct block_header *header = writer.log.write.buffer;
        sample->blocks[block] = (struct sample_block){
            .offset = header->offset,
            .bytes = header->segment,
            .digest = ledger_digest(writer.ledger),
        };
    }
    log_writer_close(&writer);
    free(transfers);
}

struct across {
    char path[PATH_BYTES];
    struct sample sample; /* .bytes of a block is its segment here */
    struct log_viewer viewer;
    char segment[2][PATH_BYTES];
};

static void across_open(struct across *across)
{
    folder_make(across->path);
    large_make(across->path, &across->sample);
    segment_path(across->path, 0, across->segment[0]);
    segment_path(across->path, 1, across->segment[1]);
    log_viewer_open(&across->viewer, across->path);
    cr_assert_eq(across->sample.blocks[2].bytes, 0);
    cr_assert_eq(across->sample.blocks[3].bytes, 1, "the fourth block opens the second segment");
    cr_assert_eq(across->sample.blocks[3].offset, 0);
}

/* blocks: large ones that are left */
static void across_expect(struct across *across, enum log_end_verdict verdict, uint32_t blocks,
                          const char *what)
{
    struct log_view view = log_viewer_read(&across->viewer);
    cr_assert_eq(view.result, 0, "%s: %s", what, view.text.text);
    cr_assert_eq(view.end.verdict, verdict, "%s is called %s: %s", what,
                 log_end_name(view.end.verdict), view.text.text);
    cr_assert_eq(view.blocks, blocks + 2, "%s: %lu blocks", what, view.blocks);
    cr_assert(checksum_equal(view.digest, across->sample.blocks[blocks - 1].digest), "%s", what);
}

static void across_close(struct across *across)
{
    log_viewer_close(&across->viewer);
    folder_remove(across->path);
}

Test(log_table, damage_at_the_end_of_a_segment_is_damage)
{
    struct across across;
    across_open(&across);
    across_expect(&across, LOG_END_CLEAN, LARGE_BLOCKS, "untouched");
    file_write(across.segment[0], across.sample.blocks[2].offset + 700000, "rot", 3);
    across_expect(&across, LOG_END_DAMAGED, 2, "the last body of a segment");
    across_close(&across);
}

Test(log_table, damage_at_the_begin_of_a_segment_is_damage)
{
    struct across across;
    across_open(&across);
    file_write(across.segment[1], 40, "rot", 3);
    across_expect(&across, LOG_END_DAMAGED, 3, "the first header of a segment");
    across_close(&across);
}

/* The rest of a segment that the next block did not fit into is nobody's. */
Test(log_table, rot_in_the_unused_rest_of_a_segment_is_harmless)
{
    struct across across;
    across_open(&across);
    file_write(across.segment[0], SAMPLE_SEGMENT_BYTES - 5000, "rot", 3);
    across_expect(&across, LOG_END_CLEAN, LARGE_BLOCKS, "the unused rest");
    across_close(&across);
}

/* The first block of a new segment, torn in its header and in its body: the end lies in the segment
 * before, or in the new one, and both are cut. */
Test(log_table, a_torn_first_block_of_a_segment_is_cut)
{
    for (uint32_t torn = 0; torn < 2; torn++) {
        struct across across;
        across_open(&across);
        cr_assert_eq(truncate(across.segment[1], torn == 0 ? 64 : 700000), 0);
        cr_assert_eq(truncate(across.segment[1], SAMPLE_SEGMENT_BYTES), 0);
        across_expect(&across, LOG_END_TORN, 3, torn == 0 ? "torn header" : "torn body");
        struct log_view view = log_viewer_read(&across.viewer);
        log_viewer_cut(&across.viewer, &view);
        across_expect(&across, LOG_END_CLEAN, 3, "after the cut");
        cr_assert(file_is_zero_from(across.segment[1], 0));
        across_close(&across);
    }
}
