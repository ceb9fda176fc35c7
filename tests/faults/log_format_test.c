/* The bytes on disk, written down here a second time: by offset, with little-endian stores and
 * XXH3, without the structs and constants of wal/ and engine/. Logs that exist must stay readable:
 * when this test fails, the format has changed, and needs a new version number. */
#include "tests/faults/sample.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

TestSuite(log_format, .fini = harness_clean, .timeout = 60);

#define CLOCK 1700000000000000000ull
#define SECOND 1000000000ull

/* ---- Stores ------------------------------------------------------------------------------ */

static void put(uint8_t *at, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void put_checksum(uint8_t *at, const void *data, size_t size)
{
    XXH128_hash_t hash = XXH3_128bits(data, size);
    put(at, hash.low64, 8);
    put(at + 8, hash.high64, 8);
}

/* ---- giro.meta --------------------------------------------------------------------------- */

static uint32_t sector_bytes_of(const uint8_t *meta)
{
    return (uint32_t)(meta[36] | meta[37] << 8);
}

Test(log_format, meta)
{
    char data[PATH_BYTES];
    char path[PATH_BYTES + 16];
    uint8_t expected[512] = {0};
    uint8_t found[512];
    struct stat status;
    folder_make(data);
    sample_format(data, 1);
    (void)snprintf(path, sizeof path, "%s/giro.meta", data);
    file_read(path, 0, found, sizeof found);

    memcpy(expected, "GIROMETA", 8);
    put(expected + 8, 1, 4);  /* version */
    put(expected + 12, 1, 4); /* shards */
    for (uint32_t i = 0; i < 16; i++)
        expected[16 + i] = (uint8_t)(0xa0 + i);
    put(expected + 32, 4 << 20, 4);
    put(expected + 36, sector_bytes_of(found), 4); /* of this disk: 512 to 4096 */
    put(expected + 40, CLOCK, 8);
    put_checksum(expected + 496, expected, 496);
    cr_assert_arr_eq(found, expected, sizeof expected);
    cr_assert(stat(path, &status) == 0 && status.st_size == 512);
}

/* ---- Blocks ------------------------------------------------------------------------------ */

enum { RECORDS, IDLE, START, STOP, LOG_BYTES = 64 << 10 };

struct golden {
    uint8_t bytes[LOG_BYTES];
    uint32_t size;
    uint16_t version;
    uint32_t sector;
    uint64_t lsn;
    uint64_t ordinal;
    uint32_t epoch;
    const uint8_t *previous; /* header checksum of the block before */
};

/* The records lie behind the header already. */
static void golden_block(struct golden *golden, uint16_t kind, uint32_t count)
{
    uint8_t *block = golden->bytes + golden->size;
    uint32_t size = 128 + 128 * count;
    size = (size + golden->sector - 1) / golden->sector * golden->sector;
    golden->lsn++;
    memcpy(block, "GBLK", 4);
    put(block + 4, golden->version, 2);
    put(block + 6, 0, 2); /* shard */
    for (uint32_t i = 0; i < 16; i++)
        block[8 + i] = (uint8_t)(0xa0 + i);
    put(block + 24, 0, 4); /* segment */
    put(block + 28, golden->size, 4);
    put(block + 32, golden->lsn, 8);
    put(block + 40, golden->lsn - 1, 8); /* durable: all before it */
    put(block + 48, golden->ordinal, 8);
    put(block + 56, count, 4);
    put(block + 60, size, 4);
    put(block + 64, CLOCK + (golden->lsn - 1) * SECOND, 8);
    put(block + 72, golden->epoch, 4);
    put(block + 76, kind, 2);
    put(block + 78, 0, 2);
    if (golden->previous != NULL)
        memcpy(block + 80, golden->previous, 16);
    put_checksum(block + 96, block + 128, size - 128);
    put_checksum(block + 112, block, 112);
    golden->previous = block + 112;
    golden->ordinal += count;
    golden->size += size;
}

/* Place of a record of the block that is being made. */
static uint8_t *golden_record(struct golden *golden, uint32_t index)
{
    return golden->bytes + golden->size + 128 + 128 * index;
}

static uint64_t golden_clock(const struct golden *golden)
{
    return CLOCK + golden->lsn * SECOND;
}

static void golden_accounts(struct golden *golden)
{
    uint8_t *record = golden_record(golden, 0);
    put(record, 0x1111111111111111, 8);
    put(record + 8, 0x2222222222222222, 8);
    put(record + 80, 0x33, 8);    /* user_data_128 */
    put(record + 88, 0x44, 8);    /* its upper half */
    put(record + 96, 0x55, 8);    /* user_data_64 */
    put(record + 104, 0x66, 4);   /* user_data_32 */
    put(record + 112, 700, 4);    /* ledger */
    put(record + 116, 0x77, 2);   /* code */
    put(record + 118, 0x4008, 2); /* an account, history */
    put(record + 120, golden_clock(golden), 8);
    record = golden_record(golden, 1);
    put(record, 2, 8);
    put(record + 112, 700, 4);
    put(record + 116, 1, 2);
    put(record + 118, 0x4000, 2);
    put(record + 120, golden_clock(golden) + 1, 8);
    golden_block(golden, RECORDS, 2);
}

static void golden_transfers(struct golden *golden)
{
    uint8_t *record = golden_record(golden, 0);
    put(record, 0x0a, 8);
    put(record + 8, 0x0b, 8);
    put(record + 16, 0x1111111111111111, 8); /* debit */
    put(record + 24, 0x2222222222222222, 8);
    put(record + 32, 2, 8);  /* credit */
    put(record + 48, 12, 8); /* amount */
    put(record + 56, 1, 8);  /* its upper half */
    put(record + 80, 0x0c, 8);
    put(record + 96, 0x0d, 8);
    put(record + 104, 0x0e, 4);
    put(record + 108, 3, 4); /* timeout */
    put(record + 112, 700, 4);
    put(record + 116, 9, 2);
    put(record + 118, 2, 2); /* a transfer, pending */
    put(record + 120, golden_clock(golden), 8);
    /* The second one burnt its id: id, timestamp and the result, 21. */
    record = golden_record(golden, 1);
    put(record, 0x0f, 8);
    put(record + 116, 21, 2);
    put(record + 118, 0x8000, 2);
    put(record + 120, golden_clock(golden) + 1, 8);
    golden_block(golden, RECORDS, 2);
}

/* pending_id, accounts, amount and ledger of the hold; code 1. */
static void golden_expiry(struct golden *golden)
{
    uint8_t *record = golden_record(golden, 0);
    put(record + 16, 0x1111111111111111, 8);
    put(record + 24, 0x2222222222222222, 8);
    put(record + 32, 2, 8);
    put(record + 48, 12, 8);
    put(record + 56, 1, 8);
    put(record + 64, 0x0a, 8);
    put(record + 72, 0x0b, 8);
    put(record + 112, 700, 4);
    put(record + 116, 1, 2);
    put(record + 118, 0xc000, 2);
    put(record + 120, golden_clock(golden), 8);
    golden_block(golden, RECORDS, 1);
}

static void golden_make(struct golden *golden)
{
    golden->epoch = 1;
    golden_block(golden, START, 0);
    golden_accounts(golden);
    golden_transfers(golden);
    golden_block(golden, IDLE, 0);
    golden_block(golden, IDLE, 0);
    golden_block(golden, IDLE, 0);
    golden_expiry(golden);
    golden_block(golden, STOP, 0);
    golden->epoch = 2;
    golden_block(golden, START, 0);
}

static void log_make(const char *data)
{
    static struct log_writer writer;
    const giro_u128 large = (giro_u128)0x2222222222222222 << 64 | 0x1111111111111111;
    const struct giro_account accounts[] = {
        {.id = large,
         .user_data_128 = (giro_u128)0x44 << 64 | 0x33,
         .user_data_64 = 0x55,
         .user_data_32 = 0x66,
         .ledger = 700,
         .code = 0x77,
         .flags = GIRO_ACCOUNT_HISTORY},
        {.id = 2, .ledger = 700, .code = 1},
    };
    const struct giro_transfer transfers[] = {
        {.id = (giro_u128)0x0b << 64 | 0x0a,
         .debit_account_id = large,
         .credit_account_id = 2,
         .amount = (giro_u128)1 << 64 | 12,
         .user_data_128 = 0x0c,
         .user_data_64 = 0x0d,
         .user_data_32 = 0x0e,
         .timeout = 3,
         .ledger = 700,
         .code = 9,
         .flags = GIRO_TRANSFER_PENDING},
        {.id = 0x0f,
         .debit_account_id = 99,
         .credit_account_id = 2,
         .amount = 1,
         .ledger = 700,
         .code = 1},
    };
    log_writer_open(&writer, data);
    log_writer_accounts(&writer, accounts, 2);
    log_writer_transfers(&writer, transfers, 2);
    for (uint32_t i = 0; i < 3; i++) /* until the hold is due */
        log_writer_mark(&writer, BLOCK_IDLE);
    log_writer_expire(&writer);
    log_writer_mark(&writer, BLOCK_STOP);
    log_writer_close(&writer);
    log_writer_open(&writer, data);
    log_writer_close(&writer);
}

/* Names the first byte that differs. */
static void expect_bytes(const uint8_t *found, const uint8_t *expected, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        cr_assert_eq(found[i], expected[i], "offset %u: %02x instead of %02x", i, found[i],
                     expected[i]);
}

Test(log_format, every_byte_of_a_log)
{
    static struct golden golden;
    static uint8_t found[LOG_BYTES];
    uint8_t meta[512];
    char data[PATH_BYTES];
    char path[PATH_BYTES + 16];
    folder_make(data);
    sample_format(data, 1);
    (void)snprintf(path, sizeof path, "%s/giro.meta", data);
    file_read(path, 0, meta, sizeof meta);
    golden.sector = sector_bytes_of(meta);
    golden.version = 2;
    golden_make(&golden);
    log_make(data);
    segment_path(data, 0, path);
    file_read(path, 0, found, sizeof found);
    expect_bytes(found, golden.bytes, sizeof found); /* zeros behind the end, too */
}

/* The last header's checksum stands for the whole history: this is the one that version 1 had on a
 * disk with sectors of 512 bytes, whoever computes it. */
Test(log_format, checksum_of_a_known_history)
{
    static struct golden golden;
    static const uint8_t known[16] = {0x91, 0xaa, 0xa3, 0xc4, 0xe9, 0x00, 0x47, 0x61,
                                      0x84, 0x2a, 0x7e, 0x5c, 0xae, 0x65, 0xb6, 0x35};
    golden.sector = 512;
    golden.version = 1;
    golden_make(&golden);
    cr_assert_arr_eq(golden.previous, known, sizeof known);
}

/* ---- What a reader must do with it --------------------------------------------------- */

static void golden_read(uint16_t version)
{
    static struct golden golden;
    struct log_viewer viewer;
    uint8_t meta[512];
    char data[PATH_BYTES];
    char path[PATH_BYTES + 16];
    folder_make(data);
    sample_format(data, 1);
    (void)snprintf(path, sizeof path, "%s/giro.meta", data);
    file_read(path, 0, meta, sizeof meta);
    golden.sector = sector_bytes_of(meta);
    golden.version = version;
    golden_make(&golden);
    segment_path(data, 0, path);
    file_write(path, 0, golden.bytes, golden.size);
    log_viewer_open(&viewer, data);
    struct log_view view = log_viewer_read(&viewer);
    cr_assert_eq(view.result, 0, "%s", view.text.text);
    cr_assert_eq(view.end.verdict, LOG_END_CLEAN, "%s", view.text.text);
    cr_assert_eq(view.blocks, golden.lsn);
    cr_assert_eq(view.end.offset, golden.size);
    cr_assert(view.balanced);
    log_viewer_close(&viewer);
}

/* A log made of the golden bytes alone is read, record by record. */
Test(log_format, the_golden_log_is_read)
{
    golden_read(2);
}

/* Logs from before payments have blocks of version 1. */
Test(log_format, the_golden_log_of_version_1_is_read)
{
    golden_read(1);
}
