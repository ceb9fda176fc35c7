/* Rot: every byte of a log changed, one at a time, and every bit of its headers.
 *
 * A change in any block but the last must be called damage, because a later block proves that what
 * was there had been acknowledged. A change in the last block cannot be told from a write that a
 * crash tore, and is called torn. Nothing may ever be read as something else. */
#include "tests/faults/sample.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

TestSuite(log_flip, .fini = harness_clean, .timeout = 300);

struct flipper {
    struct sample sample;
    struct log_viewer viewer;
    char path[PATH_BYTES]; /* a sparse copy in memory: reading it costs no disk */
    int fd;
    uint64_t cases;
};

static void flipper_open(struct flipper *flipper)
{
    char segment[PATH_BYTES];
    sample_make(&flipper->sample, 0);
    folder_make_in_memory(flipper->path);
    folder_copy(flipper->sample.path, flipper->path);
    segment_path(flipper->path, 0, segment);
    flipper->fd = open(segment, O_RDWR | O_CLOEXEC);
    cr_assert(flipper->fd >= 0);
    flipper->cases = 0;
    log_viewer_open(&flipper->viewer, flipper->path);
}

static void flipper_close(struct flipper *flipper)
{
    log_viewer_close(&flipper->viewer);
    close(flipper->fd);
    sample_free(&flipper->sample);
    folder_remove(flipper->path);
    fprintf(stderr, "%lu changes\n", flipper->cases);
}

static struct log_view flip_and_read(struct flipper *flipper, uint32_t offset, uint8_t mask)
{
    uint8_t good = offset < flipper->sample.end ? flipper->sample.bytes[offset] : 0;
    uint8_t bad = good ^ mask;
    cr_assert_eq(pwrite(flipper->fd, &bad, 1, offset), 1);
    struct log_view view = log_viewer_read(&flipper->viewer);
    cr_assert_eq(pwrite(flipper->fd, &good, 1, offset), 1);
    flipper->cases++;
    return view;
}

/* The log must end before the block that was changed, with the state that was there then. */
static void expect_end(const struct flipper *flipper, const struct log_view *view, uint32_t block,
                       uint32_t offset, uint8_t mask)
{
    const struct sample *sample = &flipper->sample;
    enum log_end_verdict verdict = block + 1 < sample->block_count ? LOG_END_DAMAGED : LOG_END_TORN;
    uint32_t place = block < sample->block_count ? sample->blocks[block].offset : sample->end;
    cr_assert_eq(view->result, 0, "offset %u ^ %02x: %s", offset, mask, view->text.text);
    cr_assert_eq(view->end.verdict, verdict, "offset %u ^ %02x is called %s: %s", offset, mask,
                 log_end_name(view->end.verdict), view->text.text);
    cr_assert_eq(view->blocks, block, "offset %u ^ %02x: %lu blocks instead of %u", offset, mask,
                 view->blocks, block);
    cr_assert(view->end.segment == 0 && view->end.offset == place, "offset %u ^ %02x: end at %u",
              offset, mask, view->end.offset);
    cr_assert(checksum_equal(view->digest, sample_digest(sample, block)),
              "offset %u ^ %02x: another ledger", offset, mask);
    cr_assert(view->balanced);
}

/* Changes every byte_step-th byte of the blocks with every mask given. */
static void flip_blocks(struct flipper *flipper, bool headers, const uint8_t *masks, uint32_t count)
{
    for (uint32_t block = 0; block < flipper->sample.block_count; block++) {
        const struct sample_block *at = &flipper->sample.blocks[block];
        uint32_t begin = at->offset + (headers ? 0 : BLOCK_HEADER_BYTES);
        uint32_t end = at->offset + (headers ? BLOCK_HEADER_BYTES : at->bytes);
        for (uint32_t offset = begin; offset < end; offset++) {
            for (uint32_t i = 0; i < count; i++) {
                struct log_view view = flip_and_read(flipper, offset, masks[i]);
                expect_end(flipper, &view, block, offset, masks[i]);
            }
        }
    }
}

Test(log_flip, every_bit_of_every_header_is_noticed)
{
    static const uint8_t bits[] = {1, 2, 4, 8, 16, 32, 64, 128};
    struct flipper flipper;
    flipper_open(&flipper);
    flip_blocks(&flipper, true, bits, 8);
    flipper_close(&flipper);
}

/* One mask a byte: the checksum does not know bits from bytes. The seed chooses. */
Test(log_flip, every_byte_of_every_body_is_noticed)
{
    struct rng rng = rng_make(1);
    struct flipper flipper;
    flipper_open(&flipper);
    const uint8_t mask = (uint8_t)(1 + rng_below(&rng, 255));
    flip_blocks(&flipper, false, &mask, 1);
    flipper_close(&flipper);
}

/* Behind the end there were zeros: whatever is there now was never acknowledged, and is cut. */
Test(log_flip, anything_behind_the_end_is_a_torn_tail)
{
    struct flipper flipper;
    flipper_open(&flipper);
    const uint32_t count = flipper.sample.block_count;
    for (uint32_t i = 0; i < 700; i++) {
        uint32_t offset = i < 650 ? flipper.sample.end + i : SAMPLE_SEGMENT_BYTES - (i - 649);
        struct log_view view = flip_and_read(&flipper, offset, 0x10);
        expect_end(&flipper, &view, count, offset, 0x10);
    }
    flipper_close(&flipper);
}
