/* Fuzzes replay: blocks whose checksums and chain hold, whatever their records say, followed as the
 * server does at its start: into a ledger with ids and into one that only follows, with the segment's
 * index. Input: tests/fuzz/log_image.h; segment 0 alone.
 *
 * Never: the two ledgers differ, in what they refuse or in what they hold; debits and credits differ,
 * posted or pending, over all accounts; an account is not found by its id; what must hold of any books
 * (tests/fuzz/books.h) does not; a copy, which is made as from a snapshot, is refused or another; the
 * sidecar that is written cannot be read, does not hold every id, or tells other balances than those
 * recorded. */
#include "tests/fuzz/books.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_image.h"
#include "tests/history_fixture.h"
#include "wal/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACCOUNTS_MAX = 256, HOLDS_MAX = 8192 };

static struct directory directory;
static struct live live;
static struct archive archive;
static struct archive_reader reader;
static uint32_t *log_map;
static size_t image_dirty; /* bytes of the image that are perhaps not zero */

static struct ledger *ledger_make(uint64_t transfers_max)
{
    const struct ledger_config config = {
        .accounts_max = ACCOUNTS_MAX,
        .holds_max = HOLDS_MAX,
        .transfers_max = transfers_max,
        .hash_seed = directory_hash_seed(&directory),
    };
    struct ledger *ledger;
    MUST(ledger_create(&config, &ledger) == 0);
    return ledger;
}

/* ---- Following --------------------------------------------------------------------------- */

static int block_follow(struct ledger *follower, const struct block_header *header,
                        uint32_t *out_index)
{
    static struct ledger_effect effects[LEDGER_CHUNK_EVENTS];
    const union record *records = block_records(header);
    const uint64_t address = block_address(header, directory.meta.segment_bytes);
    const uint32_t place = header->offset / GIRO_RECORD_BYTES + 1;
    for (uint32_t done = 0, run; done < header->record_count; done += run) {
        run = ledger_replay_prepare(follower, &records[done], header->record_count - done);
        MUST(run > 0 && run <= LEDGER_CHUNK_EVENTS && done + run <= header->record_count);
        live_before(&live, follower, &records[done], run);
        int result =
            ledger_replay_apply(follower, &records[done], run, address + done, effects, out_index);
        if (result != 0) {
            *out_index += done;
            return result;
        }
        live_after(&live, follower, &records[done], run, place + done, effects);
    }
    live_block(&live, header);
    return 0;
}

/* Follows blocks as long as they are sound and nobody refuses. Returns whether nobody did. */
static bool blocks_follow(struct ledger *ledger, struct ledger *follower)
{
    const struct directory_meta *meta = &directory.meta;
    struct log_position position = {.lsn = 1};
    uint32_t offset = 0;
    for (;;) {
        const struct block_header *header =
            (const struct block_header *)(const void *)(live.view.image + offset);
        struct block_place place = block_place_of(meta->directory_id, 0, offset);
        if (offset == meta->segment_bytes ||
            block_check_header(header, &place, meta->segment_bytes, meta->sector_bytes) !=
                BLOCK_OK ||
            header->lsn != position.lsn || header->ordinal != position.ordinal ||
            !checksum_equal(header->previous, position.previous) || !block_check_body(header))
            return true;
        uint32_t index = 0;
        uint32_t index_follower = 0;
        int result = ledger_replay(ledger, block_records(header), header->record_count,
                                   block_address(header, meta->segment_bytes), &index);
        int result_follower = block_follow(follower, header, &index_follower);
        MUST(result == result_follower && index == index_follower);
        MUST(result == 0 || result == -EBADMSG || result == -ENOSPC);
        if (result != 0)
            return false;
        log_map_add(log_map, meta, header);
        offset += header->block_bytes;
        position.lsn++;
        position.ordinal += header->record_count;
        position.previous = header->header_checksum;
    }
}

/* ---- What must hold ---------------------------------------------------------------------- */

static void ledger_check(const struct ledger *ledger)
{
    struct ledger_sums sums = ledger_sum(ledger, 0);
    MUST(sums.debits_posted == sums.credits_posted);
    MUST(sums.debits_pending == sums.credits_pending);
    for (uint32_t row = 0; row < ledger->accounts.count; row++)
        MUST(accounts_find(&ledger->accounts, ledger->accounts.rows[row].id) == row);
    books_check(ledger);
}

static void copy_check(const struct ledger *ledger)
{
    struct ledger *copy = ledger_make(0);
    MUST(ledger_copy(copy, ledger, directory.meta.segment_bytes / GIRO_RECORD_BYTES) == 0);
    MUST(checksum_equal(ledger_digest(copy), ledger_digest(ledger)));
    books_work(copy);
    ledger_destroy(copy);
}

static void view_check(const struct ledger *follower, struct checksum recorded)
{
    static struct view_maker maker;
    int result;
    MUST(view_maker_init(&maker, &directory, &follower->accounts) == 0);
    reader.error.text[0] = 0;
    view_maker_begin(&maker, &reader, 0);
    while ((result = view_maker_step(&maker)) == 0)
        ;
    MUST(result == 1, "%d %s", result, reader.error.text);
    MUST(checksum_equal(history_view_sum(&maker.view), recorded));
    view_maker_free(&maker);
}

/* Writes the sidecar and reads everything back that a start, or a reader of changes, would. */
static void sidecar_check(const struct ledger *ledger, const struct ledger *follower)
{
    struct checksum recorded = history_view_sum(&live.view);
    struct ledger *restored = ledger_make(1 << 16);
    struct sidecar *sidecar;
    struct error error;
    int result;
    while ((result = live_seal(&live, &error)) == 0)
        ;
    MUST(result == 1, "%s", error.text);
    fuzz_file_write(directory.shard_fd, "0000000000.log", live.view.image, live.facts.used_bytes);
    MUST(sidecar_open(&directory, 0, &sidecar, &error) == 0, "%s", error.text);
    MUST(sidecar_verify(&directory, 0, &error) == 0, "%s", error.text);
    archive_add(&archive, sidecar);
    MUST(archive_restore(&archive, 0, restored, log_map, &error) == 0, "%s", error.text);
    MUST(restored->transfers.count == ledger->transfers.count);
    view_check(follower, recorded);
    archive_clear(&archive);
    memset(reader.pages, 0, sizeof reader.pages);
    ledger_destroy(restored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image = image_of(data, size);
    struct ledger *ledger = ledger_make(1 << 16);
    struct ledger *follower = ledger_make(0);
    const struct log_position begin = {.lsn = 1};
    live_begin(&live, &begin);
    memset(live.view.image, 0, image_dirty);
    memcpy(live.view.image, image.bytes[0], image.size[0]);
    image_dirty = image.size[0];
    bool whole = blocks_follow(ledger, follower);
    ledger_check(ledger);
    MUST(checksum_equal(ledger_digest(ledger), ledger_digest(follower)));
    if (whole && ledger_replay_ends(ledger))
        copy_check(ledger);
    if (whole && live.view.block_count > 0)
        sidecar_check(ledger, follower);
    ledger_destroy(ledger);
    ledger_destroy(follower);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return image_mutate(&directory.meta, data, size, size_max, seed);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    if (fuzz_samples_wanted())
        image_samples_write();
    image_directory_make(&directory);
    MUST(live_init(&live, &directory, ACCOUNTS_MAX) == 0);
    MUST(archive_init(&archive, &directory) == 0 && log_map_init(&log_map) == 0);
    reader.archive = &archive;
    return 0;
}
