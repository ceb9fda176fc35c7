/* The corruption atlas, case by case through the real start: every sector and every page of every
 * file is changed, the ledger is started, and everything is asked.
 *
 * Each case ends as the table in region.c says: refused, made good, or without any effect; never
 * with a wrong answer, a crash or a hang. Twice where that differs: with the snapshots that are
 * there, and from the log alone.
 *
 *   sector   one byte of each 512 is changed, and each is zeroed
 *   page     each 4 KiB is zeroed, and replaced by another page of its file: a misdirected write
 *   file     cut, grown, emptied, deleted, exchanged with another one, and strangers beside it
 *
 * That no byte of a sector differs from the one that was chosen, is what bytes_test.c proves. What
 * is not repeated here: logs cut at every byte, and the decision table of the log's end
 * (tests/faults/log_recovery_test.c), real servers on damaged snapshots and indexes
 * (tests/faults/follower_damage_test.c). */
#include "tests/atlas/atlas.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(atlas_starts, .fini = scratch_clean, .timeout = 7200);

static struct atlas atlas;

/* ---- Sectors and pages ------------------------------------------------------------------- */

static void unit_flip(uint32_t file, uint64_t offset, uint32_t size, enum stand_mode mode)
{
    uint64_t random = atlas_random(&atlas, file, offset);
    const struct change change = {
        .kind = CHANGE_FLIP,
        .file = file,
        .offset = offset + random % size,
        .argument = 1 + (random >> 32) % 255,
    };
    atlas_case(&atlas, &change, mode);
}

static void unit_zero(uint32_t file, uint64_t offset, uint32_t size, enum stand_mode mode)
{
    const struct change change = {CHANGE_ZERO, file, offset, size};
    atlas_case(&atlas, &change, mode);
}

static void page_misdirect(uint32_t file, uint64_t offset, enum stand_mode mode)
{
    uint64_t pages = atlas.specimen.files[file].size / ATLAS_PAGE_BYTES;
    uint64_t page = offset / ATLAS_PAGE_BYTES;
    uint64_t other = atlas_random(&atlas, file, ~offset) % (pages - 1);
    const struct change change = {CHANGE_MISDIRECT, file, offset, other + (other >= page)};
    atlas_case(&atlas, &change, mode);
}

/* Behind the end of a log one sector of a page is as any other: nobody reads anything but headers
 * there. */
static bool flip_wanted(uint32_t file, uint64_t offset)
{
    return offset % ATLAS_PAGE_BYTES == 0 ||
           region_at(&atlas.specimen, file, offset) != REGION_LOG_TAIL;
}

static void file_damage(uint32_t file, enum stand_mode mode)
{
    const uint64_t size = atlas.specimen.files[file].size;
    for (uint64_t at = 0; at < size; at += ATLAS_SECTOR_BYTES) {
        if (flip_wanted(file, at))
            unit_flip(file, at, ATLAS_SECTOR_BYTES, mode);
        unit_zero(file, at, ATLAS_SECTOR_BYTES, mode);
    }
    for (uint64_t at = 0; at + ATLAS_PAGE_BYTES <= size; at += ATLAS_PAGE_BYTES) {
        unit_zero(file, at, ATLAS_PAGE_BYTES, mode);
        page_misdirect(file, at, mode);
    }
}

static void files_damage(enum specimen_kind kind, enum stand_mode mode)
{
    for (uint32_t i = 0; i < atlas.specimen.file_count; i++) {
        if (atlas.specimen.files[i].kind == kind)
            file_damage(i, mode);
    }
}

Test(atlas_starts, log_with_snapshots)
{
    atlas_open(&atlas);
    files_damage(SPECIMEN_LOG, STAND_SNAPSHOTS);
    atlas_close(&atlas);
}

Test(atlas_starts, log_alone)
{
    atlas_open(&atlas);
    files_damage(SPECIMEN_LOG, STAND_LOG);
    atlas_close(&atlas);
}

Test(atlas_starts, indexes_with_snapshots)
{
    atlas_open(&atlas);
    files_damage(SPECIMEN_SIDECAR, STAND_SNAPSHOTS);
    atlas_close(&atlas);
}

Test(atlas_starts, indexes_from_the_log_alone)
{
    atlas_open(&atlas);
    files_damage(SPECIMEN_SIDECAR, STAND_LOG);
    atlas_close(&atlas);
}

Test(atlas_starts, snapshots)
{
    atlas_open(&atlas);
    files_damage(SPECIMEN_SNAPSHOT, STAND_SNAPSHOTS);
    atlas_close(&atlas);
}

/* One sector each: by the field, which all of them have a region for. */
Test(atlas_starts, identity_and_manifest)
{
    enum { FIELD = 8 };
    atlas_open(&atlas);
    for (uint64_t at = 0; at < ATLAS_SECTOR_BYTES; at += FIELD) {
        unit_flip(specimen_file(&atlas.specimen, SPECIMEN_META, 0), at, FIELD, STAND_SNAPSHOTS);
        unit_flip(specimen_file(&atlas.specimen, SPECIMEN_META, 0), at, FIELD, STAND_LOG);
        unit_flip(specimen_file(&atlas.specimen, SPECIMEN_MANIFEST, 0), at, FIELD, STAND_SNAPSHOTS);
    }
    files_damage(SPECIMEN_META, STAND_SNAPSHOTS);
    files_damage(SPECIMEN_MANIFEST, STAND_SNAPSHOTS);
    atlas_close(&atlas);
}

/* ---- Whole files ------------------------------------------------------------------------- */

/* What comes of a file that is lost (deleted, emptied, cut in its middle), and of one that is
 * longer than it was. */
struct file_row {
    enum specimen_kind kind;
    uint32_t segment;
    enum outcome deleted[STAND_MODES];
    enum outcome emptied[STAND_MODES];
    enum outcome cut[STAND_MODES]; /* in the middle of what is used of it */
    enum outcome grown[STAND_MODES];
};

/* What a file loses at the end of the log cannot be told from what was never written, except that
 * no crash leaves a short segment: the start says so. */
static const struct file_row file_rows[] = {
    {SPECIMEN_META,
     0,
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_HARMLESS, OUTCOME_HARMLESS}}, /* nobody reads on */
    {SPECIMEN_LOCK,
     0,
     {OUTCOME_HARMLESS, OUTCOME_HARMLESS},
     {OUTCOME_HARMLESS, OUTCOME_HARMLESS},
     {OUTCOME_HARMLESS, OUTCOME_HARMLESS},
     {OUTCOME_HARMLESS, OUTCOME_HARMLESS}},
    {SPECIMEN_MANIFEST, 0, {OUTCOME_LOG}, {OUTCOME_LOG}, {OUTCOME_LOG}, {OUTCOME_LOG}},
    {SPECIMEN_LOG,
     0,
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_ANSWERS, OUTCOME_REFUSED},
     {OUTCOME_ANSWERS, OUTCOME_REFUSED},
     {OUTCOME_HARMLESS, OUTCOME_REFUSED}},
    {SPECIMEN_LOG,
     1,
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_HARMLESS, OUTCOME_REFUSED}},
    {SPECIMEN_LOG,
     2,
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_REFUSED, OUTCOME_REFUSED},
     {OUTCOME_REFUSED, OUTCOME_REFUSED}},
    {SPECIMEN_LOG,
     4,
     {OUTCOME_HARMLESS, OUTCOME_HARMLESS},
     {OUTCOME_CUT, OUTCOME_CUT},
     {OUTCOME_CUT, OUTCOME_CUT},
     {OUTCOME_REFUSED, OUTCOME_REFUSED}},
    {SPECIMEN_SIDECAR,
     0,
     {OUTCOME_LOG, OUTCOME_REBUILT},
     {OUTCOME_LOG, OUTCOME_REBUILT},
     {OUTCOME_LOG, OUTCOME_REBUILT},
     {OUTCOME_LOG, OUTCOME_REBUILT}},
    {SPECIMEN_SIDECAR,
     1,
     {OUTCOME_OLDER, OUTCOME_REBUILT},
     {OUTCOME_OLDER, OUTCOME_REBUILT},
     {OUTCOME_OLDER, OUTCOME_REBUILT},
     {OUTCOME_OLDER, OUTCOME_REBUILT}},
    {SPECIMEN_SIDECAR,
     2,
     {OUTCOME_REBUILT, OUTCOME_REBUILT},
     {OUTCOME_REBUILT, OUTCOME_REBUILT},
     {OUTCOME_REBUILT, OUTCOME_REBUILT},
     {OUTCOME_REBUILT, OUTCOME_REBUILT}},
    {SPECIMEN_SNAPSHOT,
     1,
     {OUTCOME_HARMLESS},
     {OUTCOME_HARMLESS},
     {OUTCOME_HARMLESS},
     {OUTCOME_HARMLESS}},
    {SPECIMEN_SNAPSHOT, 2, {OUTCOME_OLDER}, {OUTCOME_OLDER}, {OUTCOME_OLDER}, {OUTCOME_OLDER}},
};

static void row_run(const struct file_row *row, enum stand_mode mode)
{
    const uint32_t file = specimen_file(&atlas.specimen, row->kind, row->segment);
    const uint64_t size = atlas.specimen.files[file].size;
    uint64_t used = row->kind == SPECIMEN_LOG && row->segment < SPECIMEN_USED
                        ? atlas.specimen.used_bytes[row->segment]
                        : size;
    const struct change delete = {CHANGE_DELETE, file, 0, 0};
    const struct change empty = {CHANGE_CUT, file, 0, 0};
    atlas_case_expect(&atlas, &delete, mode, row->deleted[mode]);
    atlas_case_expect(&atlas, &empty, mode, row->emptied[mode]);
    /* The last one in the header of the last block: what that has behind it are zeros. */
    const uint64_t cuts[] = {1, used / 2 / ATLAS_PAGE_BYTES * ATLAS_PAGE_BYTES,
                             used - ATLAS_SECTOR_BYTES + BLOCK_HEADER_BYTES - 1};
    for (unsigned i = 0; i < sizeof cuts / sizeof cuts[0] && size > 0; i++) {
        const struct change cut = {CHANGE_CUT, file, cuts[i], 0};
        atlas_case_expect(&atlas, &cut, mode, row->cut[mode]);
    }
    const uint64_t more[] = {1, ATLAS_PAGE_BYTES};
    for (unsigned i = 0; i < sizeof more / sizeof more[0]; i++) {
        const struct change grow = {CHANGE_GROW, file, size, more[i]};
        atlas_case_expect(&atlas, &grow, mode, row->grown[mode]);
    }
}

static bool mode_has(const struct file_row *row, enum stand_mode mode)
{
    return row->deleted[mode] != OUTCOME_NONE;
}

Test(atlas_starts, files_lost_cut_and_grown)
{
    atlas_open(&atlas);
    for (unsigned i = 0; i < sizeof file_rows / sizeof file_rows[0]; i++) {
        for (enum stand_mode mode = 0; mode < STAND_MODES; mode++) {
            if (mode_has(&file_rows[i], mode))
                row_run(&file_rows[i], mode);
        }
    }
    atlas_close(&atlas);
}

/* The zeros behind the last block of a segment were cut off. The one in use gets them back. A sealed
 * one is as good without, but a lookup, which reads 64 KiB at a time, wants them whole, and is
 * refused. */
Test(atlas_starts, segments_cut_behind_their_last_block)
{
    atlas_open(&atlas);
    for (uint32_t segment = 0; segment <= SPECIMEN_USED; segment++) {
        const uint32_t file = specimen_file(&atlas.specimen, SPECIMEN_LOG, segment);
        const uint64_t used = atlas.specimen.used_bytes[segment];
        const uint64_t page = (used + ATLAS_PAGE_BYTES - 1) / ATLAS_PAGE_BYTES * ATLAS_PAGE_BYTES;
        const uint64_t chunk = (used + LOG_CHUNK_BYTES - 1) / LOG_CHUNK_BYTES * LOG_CHUNK_BYTES;
        const uint64_t cuts[] = {page, chunk, SPECIMEN_SEGMENT_BYTES - 1};
        for (unsigned i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
            const struct change cut = {CHANGE_CUT, file, cuts[i], 0};
            bool whole = cuts[i] >= chunk;
            for (enum stand_mode mode = 0; mode < STAND_MODES; mode++) {
                bool fetched = mode == STAND_SNAPSHOTS && segment < SPECIMEN_NEWER;
                enum outcome sealed = whole || !fetched ? OUTCOME_HARMLESS : OUTCOME_ANSWERS;
                atlas_case_expect(&atlas, &cut, mode,
                                  segment == SPECIMEN_USED ? OUTCOME_CUT : sealed);
            }
        }
    }
    atlas_close(&atlas);
}

/* A segment in use that ends in front of its last block of records has lost it. */
Test(atlas_starts, the_segment_in_use_cut_in_its_last_blocks)
{
    atlas_open(&atlas);
    const struct specimen_block *last = &atlas.specimen.blocks[atlas.specimen.records_last];
    const uint32_t file = specimen_file(&atlas.specimen, SPECIMEN_LOG, SPECIMEN_USED);
    const uint64_t cuts[] = {last->offset, last->offset + 1, last->offset + last->bytes / 2};
    for (unsigned i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        const struct change cut = {CHANGE_CUT, file, cuts[i], 0};
        atlas_case_expect(&atlas, &cut, STAND_SNAPSHOTS, OUTCOME_TORN);
        atlas_case_expect(&atlas, &cut, STAND_LOG, OUTCOME_TORN);
    }
    const struct change grow = {CHANGE_GROW, file, SPECIMEN_SEGMENT_BYTES, 1};
    const struct change delete = {CHANGE_DELETE, file, 0, 0};
    for (enum stand_mode mode = 0; mode < STAND_MODES; mode++) {
        atlas_case_expect(&atlas, &grow, mode, OUTCOME_REFUSED);
        atlas_case_expect(&atlas, &delete, mode, OUTCOME_REFUSED);
    }
    atlas_close(&atlas);
}

/* ---- Files in each other's place --------------------------------------------------------- */

static void swap_run(enum specimen_kind kind, uint32_t a, uint32_t b, enum stand_mode mode,
                     enum outcome expected)
{
    const struct change swap = {CHANGE_SWAP, specimen_file(&atlas.specimen, kind, a), 0,
                                specimen_file(&atlas.specimen, kind, b)};
    atlas_case_expect(&atlas, &swap, mode, expected);
}

Test(atlas_starts, files_exchanged)
{
    atlas_open(&atlas);
    for (uint32_t a = 0; a < SPECIMEN_SEGMENTS; a++) {
        for (uint32_t b = a + 1; b < SPECIMEN_SEGMENTS; b++) {
            swap_run(SPECIMEN_LOG, a, b, STAND_SNAPSHOTS, OUTCOME_REFUSED);
            swap_run(SPECIMEN_LOG, a, b, STAND_LOG, OUTCOME_REFUSED);
        }
    }
    for (uint32_t a = 0; a < SPECIMEN_USED; a++) {
        for (uint32_t b = a + 1; b < SPECIMEN_USED; b++) {
            swap_run(SPECIMEN_SIDECAR, a, b, STAND_SNAPSHOTS, a == 0 ? OUTCOME_LOG : OUTCOME_OLDER);
            swap_run(SPECIMEN_SIDECAR, a, b, STAND_LOG, OUTCOME_REBUILT);
        }
    }
    swap_run(SPECIMEN_SNAPSHOT, SPECIMEN_OLDER, SPECIMEN_NEWER, STAND_SNAPSHOTS, OUTCOME_LOG);
    const struct change swap = {CHANGE_SWAP, specimen_file(&atlas.specimen, SPECIMEN_META, 0), 0,
                                specimen_file(&atlas.specimen, SPECIMEN_MANIFEST, 0)};
    atlas_case_expect(&atlas, &swap, STAND_SNAPSHOTS, OUTCOME_REFUSED);
    atlas_close(&atlas);
}

/* Files that do not belong there: what a crash left, garbage, and copies under wrong names. */
Test(atlas_starts, strangers)
{
    static const char *const worthless[] = {
        "giro.meta.tmp",
        "cut-17-3.bin",
        "dump-server-17.accounts",
        "shard-0/next.tmp",
        "shard-0/index.tmp",
        "shard-0/snapshot.tmp",
        "shard-0/manifest.tmp",
        "shard-0/0000000001.idx.bad",
        "shard-0/0000000001.log.copy",
        "shard-0/1.log",
        "shard-0/snapshot-0000000003.mdb",
        "shard-0/0000000003.idx",
        "shard-0/0000000009.idx",
    };
    atlas_open(&atlas);
    const struct specimen_file *contents[] = {
        &atlas.specimen.files[specimen_file(&atlas.specimen, SPECIMEN_SIDECAR, 2)],
        &atlas.specimen.files[specimen_file(&atlas.specimen, SPECIMEN_MANIFEST, 0)],
    };
    for (unsigned i = 0; i < sizeof worthless / sizeof worthless[0]; i++) {
        for (unsigned c = 0; c < 2; c++) {
            for (enum stand_mode mode = 0; mode < STAND_MODES; mode++)
                atlas_stranger_expect(&atlas, worthless[i], contents[c]->bytes, contents[c]->size,
                                      mode, OUTCOME_HARMLESS);
        }
    }
    /* A gap in front of it: what was there is lost. */
    const struct specimen_file *log =
        &atlas.specimen.files[specimen_file(&atlas.specimen, SPECIMEN_LOG, 0)];
    atlas_stranger_expect(&atlas, "shard-0/0000000007.log", log->bytes, log->size, STAND_SNAPSHOTS,
                          OUTCOME_REFUSED);
    /* No gap, and blocks of another place: a file was put back under a wrong name. */
    atlas_stranger_expect(&atlas, "shard-0/0000000005.log", log->bytes, log->size, STAND_SNAPSHOTS,
                          OUTCOME_REFUSED);
    atlas_close(&atlas);
}

/* Both snapshots at once, and the newer one with an index that the older one needs. */
Test(atlas_starts, more_than_one_file)
{
    atlas_open(&atlas);
    const uint32_t newer = specimen_file(&atlas.specimen, SPECIMEN_SNAPSHOT, SPECIMEN_NEWER);
    const uint32_t others[] = {
        specimen_file(&atlas.specimen, SPECIMEN_SNAPSHOT, SPECIMEN_OLDER),
        specimen_file(&atlas.specimen, SPECIMEN_SIDECAR, 0),
        specimen_file(&atlas.specimen, SPECIMEN_MANIFEST, 0),
    };
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct change first = {CHANGE_FLIP, newer, atlas_random(&atlas, i, 1) % 700000, 1};
        const struct change second = {CHANGE_FLIP, others[i], 8 * i + 16, 0x20};
        atlas_pair_expect(&atlas, &first, &second, STAND_SNAPSHOTS, OUTCOME_LOG);
    }
    atlas_close(&atlas);
}
