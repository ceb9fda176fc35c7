/* The corruption atlas, byte by byte: no byte of a block, of an index, of a snapshot, of the manifest
 * or of giro.meta can change without the check noticing that everybody who reads it goes through.
 *
 *   what                        | check                      | who reads it only through that
 *   header of a block           | block_check_header()       | start, follower, fetch, views, verify
 *   records and padding         | block_check_body()         | the same
 *   page of a sealed log        | sidecar_log_page_sum()     | queries
 *   page of an index            | sidecar_page_check()       | start, queries, views, verify
 *   snapshot                    | its XXH3-128 as a whole    | start, verify
 *   manifest                    | manifest_read()            | start, follower, verify
 *   giro.meta                   | directory_open()           | all
 *   zeros behind the log's end  | block_check_header()       | start, verify: no header comes of them
 *
 * What follows from a check that notices, does not depend on which byte it was: starts_test.c shows
 * it with one byte of every sector. Headers, head pages, manifest and giro.meta: every bit; all else:
 * one mask a byte, which the seed chooses. A checksum knows no bytes from bits. Unless GIRO_ATLAS is
 * "full", one in some bytes of snapshots, whose checksum takes long. */
#include "tests/atlas/atlas.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(atlas_bytes, .fini = scratch_clean, .timeout = 3600);

static struct atlas atlas;

enum { SNAPSHOT_STRIDE = 97 };

static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};

/* ---- Tallies ----------------------------------------------------------------------------- */

/* A file whose bytes are being changed, one at a time, in a copy of a part of it. */
struct part {
    uint32_t file;
    uint64_t begin; /* offset of the copy */
    uint8_t *bytes; /* the copy */
    uint64_t tally; /* changes */
    uint64_t failures;
};

static struct part part_begin(enum specimen_kind kind, uint32_t segment)
{
    struct part part = {.file = specimen_file(&atlas.specimen, kind, segment),
                        .bytes = aligned_alloc(ATLAS_PAGE_BYTES, SPECIMEN_SEGMENT_BYTES)};
    cr_assert(part.bytes != NULL);
    (void)snprintf(atlas.current, sizeof atlas.current, "%s:bytes",
                   atlas.specimen.files[part.file].name);
    return part;
}

static void part_load(struct part *part, uint64_t begin, uint64_t size)
{
    cr_assert(size <= SPECIMEN_SEGMENT_BYTES);
    part->begin = begin;
    memcpy(part->bytes, atlas.specimen.files[part->file].bytes + begin, size);
}

static void part_end(struct part *part, const char *what)
{
    fprintf(stderr, "%s: %s: %" PRIu64 " changes\n", atlas.specimen.files[part->file].name, what,
            part->tally);
    free(part->bytes);
    atlas.cases += part->tally;
    cr_assert(part->tally > 0, "nothing was changed");
    cr_assert_eq(part->failures, 0, "%" PRIu64 " changes were not noticed", part->failures);
}

/* The mask for a byte. */
static uint8_t mask_of(const struct part *part, uint64_t at)
{
    return (uint8_t)(1 + atlas_random(&atlas, part->file, part->begin + at) % 255);
}

static void byte_note(struct part *part, uint64_t at, uint8_t mask, bool noticed)
{
    part->tally++;
    if (noticed || part->failures++ >= 10)
        return;
    fprintf(stderr,
            "%s: offset %" PRIu64 " ^ %02x is not noticed\nagain: GIRO_TEST_SEED=%" PRIu64 "\n",
            atlas.specimen.files[part->file].name, part->begin + at, mask, atlas.seed);
}

typedef bool (*part_check)(const struct part *part, uint64_t at);

/* Changes a byte by each mask; the copy is as before on return. */
static void byte_change(struct part *part, uint64_t at, const uint8_t *masks, uint32_t count,
                        part_check notices)
{
    for (uint32_t i = 0; i < count; i++) {
        part->bytes[at] ^= masks[i];
        byte_note(part, at, masks[i], notices(part, at));
        part->bytes[at] ^= masks[i];
    }
}

static void bytes_change(struct part *part, uint64_t from, uint64_t end, part_check notices)
{
    for (uint64_t at = from; at < end; at++) {
        uint8_t mask = mask_of(part, at);
        byte_change(part, at, &mask, 1, notices);
    }
}

static void bits_change(struct part *part, uint64_t from, uint64_t end, part_check notices)
{
    for (uint64_t at = from; at < end; at++)
        byte_change(part, at, bits, 8, notices);
}

/* ---- Blocks ------------------------------------------------------------------------------ */

static const struct directory_meta *directory_meta(void)
{
    return &atlas.specimen.history.directory.meta;
}

static enum block_verdict header_verdict(const struct part *part, uint64_t at)
{
    const struct block_header *header =
        (const struct block_header *)(const void *)(part->bytes + at);
    struct block_place place =
        block_place_of(directory_meta()->directory_id, atlas.specimen.files[part->file].segment,
                       (uint32_t)(part->begin + at));
    return block_check_header(header, &place, directory_meta()->segment_bytes,
                              directory_meta()->sector_bytes);
}

static bool header_notices(const struct part *part, uint64_t at)
{
    return header_verdict(part, 0) == BLOCK_DAMAGED;
}

static bool body_notices(const struct part *part, uint64_t at)
{
    return !block_check_body((const struct block_header *)(const void *)part->bytes);
}

Test(atlas_bytes, every_bit_of_every_block_header)
{
    atlas_open(&atlas);
    for (uint32_t segment = 0; segment <= SPECIMEN_USED; segment++) {
        struct part part = part_begin(SPECIMEN_LOG, segment);
        for (uint32_t i = 0; i < atlas.specimen.block_count; i++) {
            if (atlas.specimen.blocks[i].segment != segment)
                continue;
            part_load(&part, atlas.specimen.blocks[i].offset, atlas.specimen.blocks[i].bytes);
            cr_assert(header_verdict(&part, 0) == BLOCK_OK && !body_notices(&part, 0));
            bits_change(&part, 0, BLOCK_HEADER_BYTES, header_notices);
        }
        part_end(&part, "headers");
    }
    atlas_close(&atlas);
}

Test(atlas_bytes, every_byte_of_every_block_body)
{
    atlas_open(&atlas);
    for (uint32_t segment = 0; segment <= SPECIMEN_USED; segment++) {
        struct part part = part_begin(SPECIMEN_LOG, segment);
        for (uint32_t i = 0; i < atlas.specimen.block_count; i++) {
            const struct specimen_block *block = &atlas.specimen.blocks[i];
            if (block->segment != segment)
                continue;
            part_load(&part, block->offset, block->bytes);
            bytes_change(&part, BLOCK_HEADER_BYTES, block->bytes, body_notices);
        }
        part_end(&part, "bodies");
    }
    atlas_close(&atlas);
}

/* Nothing comes of a changed zero that a reader would take for a block, sound or misplaced, or of a
 * newer version: so it proves nothing, and hides nothing. */
static bool tail_is_none(const struct part *part, uint64_t at)
{
    enum block_verdict verdict = header_verdict(part, at / ATLAS_SECTOR_BYTES * ATLAS_SECTOR_BYTES);
    return verdict == BLOCK_EMPTY || verdict == BLOCK_DAMAGED;
}

Test(atlas_bytes, every_byte_behind_the_end_of_every_segment)
{
    atlas_open(&atlas);
    for (uint32_t segment = 0; segment < SPECIMEN_SEGMENTS; segment++) {
        struct part part = part_begin(SPECIMEN_LOG, segment);
        part_load(&part, 0, SPECIMEN_SEGMENT_BYTES);
        bytes_change(&part, atlas.specimen.used_bytes[segment], SPECIMEN_SEGMENT_BYTES,
                     tail_is_none);
        part_end(&part, "zeros behind the last block");
    }
    atlas_close(&atlas);
}

/* ---- Pages ------------------------------------------------------------------------------- */

/* The sum of a page of a sealed log, in its index. */
static uint64_t page_sum(const struct part *part, uint64_t page)
{
    const uint64_t per_page = sidecar_items_per_page(sizeof(uint64_t));
    const uint32_t segment = atlas.specimen.files[part->file].segment;
    const struct specimen_file *sidecar =
        &atlas.specimen.files[specimen_file(&atlas.specimen, SPECIMEN_SIDECAR, segment)];
    const struct sidecar_extent *extent =
        &atlas.specimen.sidecars[segment].sections[SECTION_LOG_PAGES];
    uint64_t sum;
    cr_assert(page < extent->items);
    memcpy(&sum,
           sidecar->bytes + (extent->page_first + page / per_page) * SIDECAR_PAGE_BYTES + 8 +
               page % per_page * sizeof sum,
           sizeof sum);
    return sum;
}

static uint64_t seed_of(const struct part *part)
{
    return sidecar_seed(&atlas.specimen.history.directory,
                        atlas.specimen.files[part->file].segment);
}

static bool log_page_notices(const struct part *part, uint64_t at)
{
    return sidecar_log_page_sum(part->bytes, seed_of(part)) !=
           page_sum(part, part->begin / SIDECAR_PAGE_BYTES);
}

Test(atlas_bytes, every_byte_of_every_page_of_a_sealed_log)
{
    atlas_open(&atlas);
    for (uint32_t segment = 0; segment < SPECIMEN_USED; segment++) {
        struct part part = part_begin(SPECIMEN_LOG, segment);
        for (uint64_t at = 0; at < atlas.specimen.used_bytes[segment]; at += SIDECAR_PAGE_BYTES) {
            uint64_t left = atlas.specimen.used_bytes[segment] - at;
            part_load(&part, at, SIDECAR_PAGE_BYTES);
            cr_assert(!log_page_notices(&part, 0));
            bytes_change(&part, 0, left < SIDECAR_PAGE_BYTES ? left : SIDECAR_PAGE_BYTES,
                         log_page_notices);
        }
        part_end(&part, "bytes of pages");
    }
    atlas_close(&atlas);
}

static bool index_page_notices(const struct part *part, uint64_t at)
{
    return !sidecar_page_check(part->bytes, seed_of(part),
                               (uint32_t)(part->begin / SIDECAR_PAGE_BYTES));
}

Test(atlas_bytes, every_byte_of_every_index)
{
    atlas_open(&atlas);
    for (uint32_t segment = 0; segment < SPECIMEN_USED; segment++) {
        struct part part = part_begin(SPECIMEN_SIDECAR, segment);
        for (uint64_t at = 0; at < atlas.specimen.files[part.file].size; at += SIDECAR_PAGE_BYTES) {
            part_load(&part, at, SIDECAR_PAGE_BYTES);
            cr_assert(!index_page_notices(&part, 0));
            bytes_change(&part, 0, SIDECAR_PAGE_BYTES, index_page_notices);
            if (at == 0)
                bits_change(&part, 0, sizeof(struct sidecar_header), index_page_notices);
        }
        part_end(&part, "pages");
    }
    atlas_close(&atlas);
}

/* ---- Snapshots --------------------------------------------------------------------------- */

static struct checksum snapshot_sum; /* of the one that is being changed, by the manifest */

static bool snapshot_notices(const struct part *part, uint64_t at)
{
    struct checksum sum = checksum_of(part->bytes, atlas.specimen.files[part->file].size);
    return !checksum_equal(sum, snapshot_sum);
}

Test(atlas_bytes, every_byte_of_every_snapshot)
{
    struct manifest manifest;
    atlas_open(&atlas);
    memcpy(&manifest,
           atlas.specimen.files[specimen_file(&atlas.specimen, SPECIMEN_MANIFEST, 0)].bytes,
           sizeof manifest);
    cr_assert_eq(manifest.count, 2);
    for (uint32_t i = 0; i < manifest.count; i++) {
        struct part part = part_begin(SPECIMEN_SNAPSHOT, manifest.entries[i].segment);
        const uint64_t size = atlas.specimen.files[part.file].size;
        const uint64_t stride = atlas.full ? 1 : SNAPSHOT_STRIDE;
        snapshot_sum = manifest.entries[i].file;
        part_load(&part, 0, size);
        cr_assert(!snapshot_notices(&part, 0));
        for (uint64_t at = atlas.seed % stride; at < size; at += stride)
            bytes_change(&part, at, at + 1, snapshot_notices);
        part_end(&part, "bytes");
    }
    atlas_close(&atlas);
}

/* ---- Manifest and identity --------------------------------------------------------------- */

static bool manifest_notices(const struct part *part, uint64_t at)
{
    struct directory directory = atlas.specimen.history.directory;
    struct manifest manifest;
    struct error error;
    char path[STAND_PATH_BYTES + 16];
    (void)snprintf(directory.path, sizeof directory.path, "%s", atlas.stand.path);
    stand_write(&atlas.stand, part->file, at, part->bytes + at, 1);
    stand_file_path(&atlas.stand, "shard-0", path, sizeof path);
    directory.shard_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = manifest_read(&directory, &manifest, &error);
    close(directory.shard_fd);
    stand_write(&atlas.stand, part->file, at, atlas.specimen.files[part->file].bytes + at, 1);
    return result < 0 && result != -ENOENT && manifest.count == 0;
}

static bool meta_notices(const struct part *part, uint64_t at)
{
    struct directory directory;
    struct error error;
    stand_write(&atlas.stand, part->file, at, part->bytes + at, 1);
    int result = directory_open(atlas.stand.path, DIRECTORY_EXCLUSIVE, 0, &directory, &error);
    if (result == 0)
        directory_close(&directory);
    stand_write(&atlas.stand, part->file, at, atlas.specimen.files[part->file].bytes + at, 1);
    return result != 0;
}

Test(atlas_bytes, every_bit_of_manifest_and_identity)
{
    atlas_open(&atlas);
    (void)stand_restore(&atlas.stand, STAND_SNAPSHOTS);
    struct part manifest = part_begin(SPECIMEN_MANIFEST, 0);
    part_load(&manifest, 0, sizeof(struct manifest));
    cr_assert(!manifest_notices(&manifest, 0));
    bits_change(&manifest, 0, sizeof(struct manifest), manifest_notices);
    part_end(&manifest, "bits");
    struct part meta = part_begin(SPECIMEN_META, 0);
    part_load(&meta, 0, sizeof(struct directory_meta));
    cr_assert(!meta_notices(&meta, 0));
    bits_change(&meta, 0, sizeof(struct directory_meta), meta_notices);
    part_end(&meta, "bits");
    atlas_close(&atlas);
}
