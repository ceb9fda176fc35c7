/* Fuzzes the reading of a log: two segment files with any contents, read as at every start.
 * Input: tests/fuzz/log_image.h.
 *
 * Never: a block is returned that is not the next one in its chain; a log is called clean although
 * something lies behind its end, or torn although a sound header of this directory lies there; what
 * is cut reads otherwise than before the cut, or not as clean. */
#include "wal/reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_image.h"
#include "wal/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW_SEGMENTS = 4 };

static struct directory directory;
static void *window;

/* What came out of one reading. */
struct reading {
    uint64_t blocks;
    struct checksum head;
    struct log_end end;
};

static void segment_write(uint32_t segment, const uint8_t *bytes, size_t size)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(segment, name);
    fuzz_file_write(directory.shard_fd, name, bytes, size);
    int fd = openat(directory.shard_fd, name, O_RDWR | O_CLOEXEC);
    MUST(fd >= 0 && ftruncate(fd, directory.meta.segment_bytes) == 0);
    close(fd);
}

static struct reading log_read(void)
{
    struct reading reading = {0};
    struct log_reader reader;
    const struct block_header *header;
    struct error error;
    int result;
    MUST(log_reader_open(&reader, &directory, window,
                         (uint64_t)WINDOW_SEGMENTS * directory.meta.segment_bytes, NULL,
                         &error) == 0);
    while ((result = log_reader_next(&reader, &header, &error)) > 0) {
        MUST(header->lsn == ++reading.blocks);
        MUST(checksum_equal(header->previous, reading.head));
        MUST(block_check_body(header));
        reading.head = header->header_checksum;
    }
    MUST(result == 0, "%s", error.text);
    reading.end = reader.end;
    log_end_describe(&reader.end, &directory, &error);
    MUST(memchr(error.text, 0, sizeof error.text) != NULL && error.text[0] != 0);
    log_reader_close(&reader);
    return reading;
}

/* A byte of the log as it was written. */
static size_t image_size(const struct image *image, uint32_t segment)
{
    return segment < IMAGE_SEGMENTS ? image->size[segment] : 0;
}

/* Whether a sound header of this directory, of any version and place, lies behind the end. */
static bool proof_exists(const struct image *image, const struct log_end *end)
{
    for (uint32_t segment = end->segment; segment < IMAGE_SEGMENTS; segment++) {
        size_t at = segment == end->segment ? end->offset + IMAGE_SECTOR_BYTES : 0;
        for (; at + BLOCK_HEADER_BYTES <= image_size(image, segment); at += IMAGE_SECTOR_BYTES) {
            struct block_header header;
            memcpy(&header, image->bytes[segment] + at, sizeof header);
            struct checksum sum =
                checksum_of(&header, offsetof(struct block_header, header_checksum));
            if (header.magic == BLOCK_MAGIC && checksum_equal(sum, header.header_checksum) &&
                memcmp(header.directory_id, directory.meta.directory_id, 16) == 0 &&
                (header.version < BLOCK_VERSION_MIN || header.version > BLOCK_VERSION ||
                 header.segment != segment || header.offset != at || header.shard != 0 ||
                 header.lsn > 0))
                return true;
        }
    }
    return false;
}

static bool dirty_exists(const struct image *image, const struct log_end *end)
{
    for (uint32_t segment = end->segment; segment < IMAGE_SEGMENTS; segment++) {
        for (size_t at = segment == end->segment ? end->offset : 0; at < image_size(image, segment);
             at++) {
            if (image->bytes[segment][at] != 0)
                return true;
        }
    }
    return false;
}

static void reading_check(const struct image *image, const struct reading *reading)
{
    const struct log_end *end = &reading->end;
    struct error error;
    MUST(end->segment < IMAGE_SEGMENTS && end->lsn == reading->blocks + 1);
    switch (end->verdict) {
    case LOG_END_CLEAN:
        MUST(!dirty_exists(image, end));
        break;
    case LOG_END_TORN: {
        MUST(dirty_exists(image, end) && !end->proof);
        MUST(log_end_cut(end, &directory, &error) == 0, "%s", error.text);
        struct reading again = log_read();
        MUST(again.end.verdict == LOG_END_CLEAN && again.blocks == reading->blocks);
        MUST(checksum_equal(again.head, reading->head));
        break;
    }
    case LOG_END_DAMAGED:
        MUST(dirty_exists(image, end));
        MUST(end->proof || end->too_much || end->found == BLOCK_OK ||
             end->found == BLOCK_MISPLACED);
        break;
    case LOG_END_NEWER:
        MUST(end->found == BLOCK_NEWER);
        break;
    }
    if (end->proof)
        MUST(proof_exists(image, end) && end->verdict != LOG_END_CLEAN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image = image_of(data, size);
    for (uint32_t i = 0; i < IMAGE_SEGMENTS; i++)
        segment_write(i, image.bytes[i], image.size[i]);
    struct reading reading = log_read();
    reading_check(&image, &reading);
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
    window = log_window_make((uint64_t)WINDOW_SEGMENTS * directory.meta.segment_bytes);
    MUST(window != NULL);
    return 0;
}
