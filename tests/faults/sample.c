#include "tests/faults/sample.h"

#include "engine/memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACCOUNTS_MAX = 1024, HOLDS_MAX = 8192, TRANSFERS_MAX = 1 << 20, SEGMENTS_AHEAD = 1 };

#define SECOND_NS 1000000000ull

/* ---- Writing ----------------------------------------------------------------------------- */

void sample_format(const char *path, uint32_t ahead)
{
    const struct directory_options options = {
        .segment_bytes = SAMPLE_SEGMENT_BYTES, .segments_ahead = ahead, .shard_count = 1};
    struct error error;
    struct directory_meta meta;
    char meta_path[PATH_BYTES + 16];
    cr_assert_eq(directory_format(path, &options, &error), 0, "%s", error.text);
    (void)snprintf(meta_path, sizeof meta_path, "%s/giro.meta", path);
    file_read(meta_path, 0, &meta, sizeof meta);
    for (uint32_t i = 0; i < sizeof meta.directory_id; i++)
        meta.directory_id[i] = (uint8_t)(0xa0 + i);
    meta.created_at = SAMPLE_CLOCK_NS;
    meta.checksum = checksum_of(&meta, offsetof(struct directory_meta, checksum));
    file_write(meta_path, 0, &meta, sizeof meta);
}

static struct ledger *ledger_make(const struct directory *directory)
{
    const struct ledger_config config = {
        .accounts_max = ACCOUNTS_MAX,
        .holds_max = HOLDS_MAX,
        .transfers_max = TRANSFERS_MAX,
        .hash_seed = directory_hash_seed(directory),
    };
    struct ledger *ledger;
    cr_assert_eq(ledger_create(&config, &ledger), 0);
    return ledger;
}

static int block_replay(struct ledger *ledger, const struct directory *directory,
                        const struct block_header *header)
{
    uint32_t index;
    return ledger_replay(ledger, block_records(header), header->record_count,
                         block_address(header, directory->meta.segment_bytes), &index);
}

void log_writer_open(struct log_writer *writer, const char *path)
{
    const struct log_options options = {.window_bytes = SAMPLE_WINDOW_BYTES,
                                        .block_bytes_max = LOG_BLOCK_BYTES_MIN,
                                        .segments_ahead = SEGMENTS_AHEAD};
    const struct block_header *header;
    struct error error;
    uint32_t *map;
    int result;
    cr_assert_eq(directory_open(path, DIRECTORY_EXCLUSIVE, 0, &writer->directory, &error), 0, "%s",
                 error.text);
    cr_assert_eq(io_open(IO_MODE_POSIX, &writer->io, &error), 0, "%s", error.text);
    writer->ledger = ledger_make(&writer->directory);
    writer->addresses = calloc(LEDGER_FETCH_MAX, sizeof *writer->addresses);
    writer->window = log_window_make(SAMPLE_WINDOW_BYTES);
    writer->clock_ns = SAMPLE_CLOCK_NS;
    cr_assert(writer->window != NULL && writer->addresses != NULL && log_map_init(&map) == 0);
    cr_assert_eq(log_reader_open(&writer->reader, &writer->directory, writer->window,
                                 SAMPLE_WINDOW_BYTES, NULL, &error),
                 0, "%s", error.text);
    while ((result = log_reader_next(&writer->reader, &header, &error)) > 0) {
        cr_assert_eq(block_replay(writer->ledger, &writer->directory, header), 0);
        log_map_add(map, &writer->directory.meta, header);
        writer->clock_ns = header->written_at + SECOND_NS;
    }
    cr_assert_eq(result, 0, "%s", error.text);
    cr_assert_eq(writer->reader.end.verdict, LOG_END_CLEAN);
    cr_assert_eq(log_open(&writer->log, writer->io, &writer->reader, &options, &error), 0, "%s",
                 error.text);
    log_reader_close(&writer->reader);
    writer->log.chunk_blocks = map;
    log_writer_mark(writer, BLOCK_START);
}

static void wait_durable(struct log_writer *writer)
{
    while (writer->log.in_flight) {
        struct io_op *done[IO_BATCH_MAX];
        int count = io_wait(writer->io, done, SECOND_NS, 0);
        cr_assert(count >= 0);
        for (int i = 0; i < count; i++) {
            cr_assert_eq(done[i]->owner, LOG_OWNER_WRITE);
            log_write_done(&writer->log);
        }
    }
    writer->clock_ns += SECOND_NS;
}

void log_writer_mark(struct log_writer *writer, enum block_kind kind)
{
    cr_assert(log_mark(&writer->log, kind, writer->clock_ns));
    wait_durable(writer);
}

static void block_begin(struct log_writer *writer, uint32_t count, struct ledger_output *output)
{
    *output = (struct ledger_output){.results = writer->results};
    cr_assert_eq(log_reserve(&writer->log, count, &output->records, &output->address), LOG_ROOM);
    writer->ledger->window = writer->log.window;
}

static void block_end(struct log_writer *writer, const struct ledger_output *output)
{
    cr_assert(output->record_count > 0);
    log_commit(&writer->log, output->record_count);
    writer->result_count = output->result_count;
    log_flush(&writer->log, writer->clock_ns);
    wait_durable(writer);
}

void log_writer_accounts(struct log_writer *writer, const struct giro_account *accounts,
                         uint32_t count)
{
    struct ledger_output output;
    block_begin(writer, count, &output);
    ledger_create_accounts(writer->ledger, accounts, count, writer->clock_ns, &output);
    block_end(writer, &output);
}

void log_writer_transfers(struct log_writer *writer, const struct giro_transfer *transfers,
                          uint32_t count)
{
    struct ledger_output output;
    block_begin(writer, count, &output);
    cr_assert_eq(ledger_create_transfers(writer->ledger, transfers, count, writer->clock_ns, NULL,
                                         writer->addresses, &output),
                 0);
    block_end(writer, &output);
}

void log_writer_expire(struct log_writer *writer)
{
    struct ledger_output output;
    block_begin(writer, 16, &output);
    ledger_expire(writer->ledger, writer->clock_ns, 16, &output);
    block_end(writer, &output);
}

void log_writer_close(struct log_writer *writer)
{
    uint32_t *map = writer->log.chunk_blocks;
    log_close(&writer->log);
    io_close(writer->io);
    ledger_destroy(writer->ledger);
    log_map_free(map);
    log_window_free(writer->window, SAMPLE_WINDOW_BYTES);
    directory_close(&writer->directory);
    free(writer->addresses);
}

/* ---- The sample -------------------------------------------------------------------------- */

static void block_note(struct sample *sample, const struct log_writer *writer)
{
    const struct block_header *header = writer->log.write.buffer;
    cr_assert(sample->block_count < SAMPLE_BLOCKS_MAX && header->segment == 0);
    sample->blocks[sample->block_count++] = (struct sample_block){
        .offset = header->offset,
        .bytes = header->block_bytes,
        .kind = (enum block_kind)header->kind,
        .digest = ledger_digest(writer->ledger),
    };
    sample->end = header->offset + header->block_bytes;
}

static const struct giro_account sample_accounts[] = {
    {.id = 1, .ledger = 1, .code = 10, .user_data_128 = 71, .user_data_64 = 72},
    {.id = 2, .ledger = 1, .code = 11, .user_data_32 = 73},
    {.id = 3, .ledger = 1, .code = 12, .flags = GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS},
    {.id = GIRO_U128_MAX - 1, .ledger = 1, .code = 13},
};
static const struct giro_transfer sample_plain[] = {
    {.id = 101,
     .debit_account_id = 1,
     .credit_account_id = 2,
     .amount = 500,
     .ledger = 1,
     .code = 1,
     .user_data_128 = 81},
    {.id = 102,
     .debit_account_id = 2,
     .credit_account_id = 3,
     .amount = 120,
     .ledger = 1,
     .code = 2,
     .user_data_64 = 82},
    {.id = 103,
     .debit_account_id = 1,
     .credit_account_id = GIRO_U128_MAX - 1,
     .amount = (giro_u128)1 << 100,
     .ledger = 1,
     .code = 3,
     .user_data_32 = 83},
};
static const struct giro_transfer sample_holds[] = {
    {.id = 201,
     .debit_account_id = 1,
     .credit_account_id = 2,
     .amount = 40,
     .ledger = 1,
     .code = 1,
     .flags = GIRO_TRANSFER_PENDING},
    {.id = 202,
     .debit_account_id = 2,
     .credit_account_id = 1,
     .amount = 41,
     .ledger = 1,
     .code = 1,
     .flags = GIRO_TRANSFER_PENDING},
    {.id = 203,
     .debit_account_id = 3,
     .credit_account_id = 1,
     .amount = 42,
     .ledger = 1,
     .code = 1,
     .flags = GIRO_TRANSFER_PENDING,
     .timeout = 2},
    {.id = 204,
     .debit_account_id = 1,
     .credit_account_id = 3,
     .amount = 43,
     .ledger = 1,
     .code = 1,
     .flags = GIRO_TRANSFER_PENDING,
     .timeout = 1000000},
};
static const struct giro_transfer sample_resolve[] = {
    {.id = 301, .pending_id = 201, .amount = 15, .flags = GIRO_TRANSFER_POST_PENDING},
    {.id = 302, .pending_id = 202, .flags = GIRO_TRANSFER_VOID_PENDING},
};
static const struct giro_transfer sample_refused[] = {
    {.id = 401,
     .debit_account_id = 3,
     .credit_account_id = 1,
     .amount = 1000,
     .ledger = 1,
     .code = 1}, /* exceeds_credits: burnt */
    {.id = 402,
     .debit_account_id = 1,
     .credit_account_id = 9,
     .amount = 1,
     .ledger = 1,
     .code = 1}, /* credit_account_not_found: burnt */
    {.id = 403, .debit_account_id = 1, .credit_account_id = 2, .amount = 7, .ledger = 1, .code = 1},
};

static void sample_first_epoch(struct sample *sample, struct log_writer *writer)
{
    block_note(sample, writer);
    log_writer_accounts(writer, sample_accounts, 4);
    block_note(sample, writer);
    log_writer_transfers(writer, sample_plain, 3);
    block_note(sample, writer);
    log_writer_transfers(writer, sample_holds, 4);
    block_note(sample, writer);
    log_writer_mark(writer, BLOCK_IDLE);
    block_note(sample, writer);
    log_writer_transfers(writer, sample_resolve, 2);
    block_note(sample, writer);
    log_writer_transfers(writer, sample_refused, 3);
    cr_assert_eq(writer->result_count, 2);
    block_note(sample, writer);
    log_writer_expire(writer);
    block_note(sample, writer);
    log_writer_mark(writer, BLOCK_STOP);
    block_note(sample, writer);
}

static void sample_second_epoch(struct sample *sample, struct log_writer *writer)
{
    const struct giro_transfer chain[] = {
        {.id = 501,
         .debit_account_id = 1,
         .credit_account_id = 2,
         .amount = 1,
         .ledger = 1,
         .code = 1,
         .flags = GIRO_TRANSFER_LINKED},
        {.id = 502,
         .debit_account_id = 2,
         .credit_account_id = 3,
         .amount = 2,
         .ledger = 1,
         .code = 1,
         .flags = GIRO_TRANSFER_LINKED},
        {.id = 503,
         .debit_account_id = 3,
         .credit_account_id = 1,
         .amount = 3,
         .ledger = 1,
         .code = 1},
    };
    block_note(sample, writer);
    log_writer_transfers(writer, chain, 3);
    cr_assert_eq(writer->result_count, 0);
    block_note(sample, writer);
    log_writer_mark(writer, BLOCK_IDLE);
    block_note(sample, writer);
}

void sample_make(struct sample *sample, uint32_t ahead)
{
    static struct log_writer writer;
    char segment[PATH_BYTES];
    *sample = (struct sample){.block_count = 0};
    folder_make(sample->path);
    sample_format(sample->path, ahead);

    log_writer_open(&writer, sample->path);
    sample->meta = writer.directory.meta;
    struct ledger *empty = ledger_make(&writer.directory);
    sample->empty = ledger_digest(empty);
    ledger_destroy(empty);
    sample_first_epoch(sample, &writer);
    log_writer_close(&writer);

    log_writer_open(&writer, sample->path);
    sample_second_epoch(sample, &writer);
    log_writer_close(&writer);

    sample->bytes = malloc(sample->end);
    cr_assert(sample->bytes != NULL);
    segment_path(sample->path, 0, segment);
    file_read(segment, 0, sample->bytes, sample->end);
}

void sample_free(struct sample *sample)
{
    free(sample->bytes);
    folder_remove(sample->path);
}

struct checksum sample_digest(const struct sample *sample, uint32_t count)
{
    return count == 0 ? sample->empty : sample->blocks[count - 1].digest;
}

void sample_restore(const struct sample *sample, const char *path, uint32_t count)
{
    char segment[PATH_BYTES];
    uint32_t kept = count < sample->block_count ? sample->blocks[count].offset : sample->end;
    segment_path(path, 0, segment);
    int fd = open(segment, O_WRONLY | O_TRUNC | O_CLOEXEC);
    cr_assert(fd >= 0);
    cr_assert(write(fd, sample->bytes, kept) == (ssize_t)kept);
    cr_assert(ftruncate(fd, SAMPLE_SEGMENT_BYTES) == 0);
    close(fd);
}

/* ---- Reading ----------------------------------------------------------------------------- */

void log_viewer_open(struct log_viewer *viewer, const char *path)
{
    struct error error;
    viewer->window_bytes = SAMPLE_WINDOW_BYTES;
    viewer->window = log_window_make(viewer->window_bytes);
    cr_assert(viewer->window != NULL);
    cr_assert_eq(directory_open(path, DIRECTORY_EXCLUSIVE, 0, &viewer->directory, &error), 0, "%s",
                 error.text);
}

void log_viewer_close(struct log_viewer *viewer)
{
    directory_close(&viewer->directory);
    log_window_free(viewer->window, viewer->window_bytes);
}

static bool sums_balanced(const struct ledger *ledger)
{
    struct ledger_sums sums = ledger_sum(ledger, 0);
    return sums.debits_posted == sums.credits_posted && sums.debits_pending == sums.credits_pending;
}

struct log_view log_viewer_read(struct log_viewer *viewer)
{
    struct log_view view = {.blocks = 0};
    struct log_reader reader;
    const struct block_header *header;
    struct ledger *ledger = ledger_make(&viewer->directory);
    view.result = log_reader_open(&reader, &viewer->directory, viewer->window, viewer->window_bytes,
                                  NULL, &view.text);
    int more = view.result == 0;
    while (more > 0) {
        more = log_reader_next(&reader, &header, &view.text);
        if (more < 0)
            view.result = more;
        if (more <= 0)
            break;
        view.result = block_replay(ledger, &viewer->directory, header);
        more = view.result == 0;
        view.blocks++;
    }
    view.end = reader.end;
    view.unreadable_bytes = reader.unreadable_bytes;
    log_reader_close(&reader);
    if (view.result == 0) {
        log_end_describe(&view.end, &viewer->directory, &view.text);
        view.digest = ledger_digest(ledger);
        view.balanced = sums_balanced(ledger);
    }
    ledger_destroy(ledger);
    return view;
}

void log_viewer_cut(struct log_viewer *viewer, const struct log_view *view)
{
    struct error error;
    cr_assert_eq(view->end.verdict, LOG_END_TORN);
    cr_assert_eq(log_end_cut(&view->end, &viewer->directory, &error), 0, "%s", error.text);
}

const char *log_end_name(enum log_end_verdict verdict)
{
    static const char *const names[] = {"clean", "torn", "damaged", "newer"};
    return names[verdict];
}
