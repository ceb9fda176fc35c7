#include "wal/sidecar.h"

#include "engine/hash.h"
#include "wal/directory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_PAGES = 256 };

static const char temporary[] = "index.tmp";

void sidecar_name(uint32_t segment, char name[SIDECAR_NAME_BYTES])
{
    (void)snprintf(name, SIDECAR_NAME_BYTES, "%010u.idx", segment);
}

int64_t sidecar_segment(const char *name)
{
    char expected[SIDECAR_NAME_BYTES];
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    if (end == name || number > UINT32_MAX)
        return -1;
    sidecar_name((uint32_t)number, expected);
    return strcmp(name, expected) == 0 ? (int64_t)number : -1;
}

uint64_t sidecar_seed(const struct directory *directory, uint32_t segment)
{
    return directory_hash_seed(directory) ^ (uint64_t)segment << 32;
}

static uint64_t page_sum(const void *page, uint64_t seed, uint32_t number)
{
    return XXH3_64bits_withSeed((const char *)page + sizeof(uint64_t), SIDECAR_PAYLOAD_BYTES,
                                seed ^ number);
}

bool sidecar_page_check(const void *page, uint64_t seed, uint32_t number)
{
    uint64_t sum;
    memcpy(&sum, page, sizeof sum);
    return sum == page_sum(page, seed, number);
}

void sidecar_page_seal(void *page, uint64_t seed, uint32_t number)
{
    uint64_t sum = page_sum(page, seed, number);
    memcpy(page, &sum, sizeof sum);
}

uint64_t sidecar_log_page_sum(const void *page, uint64_t seed)
{
    return XXH3_64bits_withSeed(page, SIDECAR_PAGE_BYTES, seed);
}

uint32_t user_data_key(giro_u128 value, uint32_t width, enum record_kind kind, uint64_t seed)
{
    uint32_t hash = (uint32_t)XXH3_64bits_withSeed(&value, sizeof value, seed ^ width);
    return (hash & ~1u) | (kind == RECORD_ACCOUNT);
}

/* ---- Writing ----------------------------------------------------------------------------- */

static char *page_at(const struct sidecar_writer *writer, uint32_t number)
{
    return writer->buffer + (size_t)number * SIDECAR_PAGE_BYTES;
}

static void buffer_write(struct sidecar_writer *writer)
{
    size_t size = (size_t)writer->pages * SIDECAR_PAGE_BYTES;
    off_t offset = (off_t)writer->header.page_count * SIDECAR_PAGE_BYTES;
    for (uint32_t i = 0; i < writer->pages; i++)
        sidecar_page_seal(page_at(writer, i), writer->seed, writer->header.page_count + i);
    for (size_t done = 0; done < size && writer->error == 0;) {
        ssize_t put = pwrite(writer->fd, writer->buffer + done, size - done, offset + (off_t)done);
        if (put > 0)
            done += (size_t)put;
        else if (errno != EINTR)
            writer->error = put < 0 ? -errno : -ENOSPC;
    }
    /* Off to the disk in pieces: a lump at the end would hold up the log's writes. */
    (void)sync_file_range(writer->fd, offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
    writer->header.page_count += writer->pages;
    writer->pages = 0;
}

static void page_begin(struct sidecar_writer *writer)
{
    if (writer->pages == BUFFER_PAGES)
        buffer_write(writer);
    memset(page_at(writer, writer->pages), 0, SIDECAR_PAGE_BYTES);
    writer->pages++;
    writer->used = 0;
}

int sidecar_writer_open(struct sidecar_writer *writer, const struct directory *directory,
                        uint32_t segment, struct error *error)
{
    *writer = (struct sidecar_writer){
        .directory = directory,
        .seed = sidecar_seed(directory, segment),
    };
    writer->buffer = malloc((size_t)BUFFER_PAGES * SIDECAR_PAGE_BYTES);
    if (writer->buffer == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    writer->fd =
        openat(directory->shard_fd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (writer->fd < 0) {
        int result = -errno;
        free(writer->buffer);
        return error_set(error, result, "%s/shard-0/%s: cannot make: %s", directory->path,
                         temporary, strerror(-result));
    }
    writer->header.page_count = 1; /* the header's, which is written last */
    return 0;
}

void sidecar_section_begin(struct sidecar_writer *writer, enum sidecar_section section,
                           uint32_t item_bytes)
{
    writer->section = section;
    writer->header.sections[section] = (struct sidecar_extent){
        .page_first = writer->header.page_count + writer->pages,
        .item_bytes = item_bytes,
    };
    writer->used = SIDECAR_PAYLOAD_BYTES; /* the first item begins a page */
}

void sidecar_write(struct sidecar_writer *writer, const void *items, uint64_t count)
{
    struct sidecar_extent *extent = &writer->header.sections[writer->section];
    const uint32_t item_bytes = extent->item_bytes;
    const char *from = items;
    extent->items += count;
    while (count > 0) {
        uint32_t room = (SIDECAR_PAYLOAD_BYTES - writer->used) / item_bytes;
        if (room == 0) {
            page_begin(writer);
            continue;
        }
        uint64_t fit = count < room ? count : room;
        char *page = page_at(writer, writer->pages - 1);
        memcpy(page + sizeof(uint64_t) + writer->used, from, fit * item_bytes);
        writer->used += (uint32_t)fit * item_bytes;
        from += fit * item_bytes;
        count -= fit;
    }
}

/* Nearly every number fits 64 bits, and nearly every one the page: without a copy. */
static bool number_write_in_page(struct sidecar_writer *writer, giro_u128 number)
{
    enum { BYTES_MAX = (64 + 6) / 7 };
    uint64_t low = (uint64_t)number;
    if (number >> 64 != 0 || SIDECAR_PAYLOAD_BYTES - writer->used < BYTES_MAX)
        return false;
    char *page = page_at(writer, writer->pages - 1) + sizeof(uint64_t);
    uint32_t used = writer->used;
    while (low >= 0x80) {
        page[used++] = (char)((low & 0x7f) | 0x80);
        low >>= 7;
    }
    page[used++] = (char)low;
    writer->header.sections[writer->section].items += used - writer->used;
    writer->used = used;
    return true;
}

void sidecar_write_number(struct sidecar_writer *writer, giro_u128 number)
{
    uint8_t bytes[(128 + 6) / 7];
    uint32_t count = 0;
    if (number_write_in_page(writer, number))
        return;
    while (number >= 0x80) {
        bytes[count++] = (uint8_t)(number & 0x7f) | 0x80;
        number >>= 7;
    }
    bytes[count++] = (uint8_t)number;
    sidecar_write(writer, bytes, count);
}

/* The header page, in front of everything. */
static void header_write(struct sidecar_writer *writer, const struct segment_facts *facts)
{
    struct sidecar_header *header = &writer->header;
    uint32_t page_count = header->page_count;
    header->magic = SIDECAR_MAGIC;
    header->version = SIDECAR_VERSION;
    header->facts = *facts;
    memcpy(header->directory_id, writer->directory->meta.directory_id, sizeof header->directory_id);
    memset(writer->buffer, 0, SIDECAR_PAGE_BYTES);
    memcpy(writer->buffer, header, sizeof *header);
    header->page_count = 0;
    writer->pages = 1;
    buffer_write(writer);
    header->page_count = page_count;
}

int sidecar_writer_finish(struct sidecar_writer *writer, const struct segment_facts *facts,
                          struct error *error)
{
    const struct directory *directory = writer->directory;
    char name[SIDECAR_NAME_BYTES];
    sidecar_name(facts->segment, name);
    if (writer->pages > 0)
        buffer_write(writer);
    header_write(writer, facts);
    close(writer->fd);
    free(writer->buffer);
    if (writer->error == 0 &&
        renameat(directory->shard_fd, temporary, directory->shard_fd, name) != 0)
        writer->error = -errno;
    if (writer->error == 0)
        return 0;
    (void)unlinkat(directory->shard_fd, temporary, 0);
    return error_set(error, writer->error, "%s/shard-0/%s: cannot write: %s", directory->path, name,
                     strerror(-writer->error));
}

int sidecar_sync(const struct directory *directory, uint32_t segment)
{
    char name[SIDECAR_NAME_BYTES];
    sidecar_name(segment, name);
    int fd = openat(directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 || fdatasync(fd) != 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return result;
}

void sidecar_writer_abandon(struct sidecar_writer *writer)
{
    close(writer->fd);
    free(writer->buffer);
    (void)unlinkat(writer->directory->shard_fd, temporary, 0);
}
