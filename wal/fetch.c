#include "wal/fetch.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The largest block that any log may hold, and the chunk in front of it. */
enum { BUFFER_BYTES = LOG_BLOCK_BYTES_MAX + 2 * LOG_CHUNK_BYTES };

int log_fetch_init(struct log_fetch *fetch, struct log *log, uint32_t addresses_max,
                   uint32_t cache_records)
{
    *fetch = (struct log_fetch){.log = log, .addresses_max = addresses_max};
    fetch->addresses = memory_reserve(addresses_max * sizeof *fetch->addresses);
    fetch->buffer = memory_reserve(BUFFER_BYTES);
    if (fetch->addresses == NULL || fetch->buffer == NULL ||
        record_cache_init(&fetch->cache, cache_records) != 0) {
        log_fetch_free(fetch);
        return -ENOMEM;
    }
    return 0;
}

void log_fetch_free(struct log_fetch *fetch)
{
    if (fetch->log == NULL)
        return;
    memory_release(fetch->addresses, fetch->addresses_max * sizeof *fetch->addresses);
    memory_release(fetch->buffer, BUFFER_BYTES);
    record_cache_free(&fetch->cache);
    fetch->log = NULL;
}

static void read_submit(struct log_fetch *fetch, uint64_t end)
{
    const uint64_t segment_bytes = fetch->log->directory->meta.segment_bytes;
    uint64_t from = fetch->begin + fetch->have;
    assert(end - fetch->begin <= BUFFER_BYTES);
    fetch->op = (struct io_op){
        .kind = IO_READ,
        .fd = fetch->log->segment_fds[from / segment_bytes],
        .buffer = fetch->buffer + fetch->have,
        .size = end - from,
        .offset = from & (segment_bytes - 1),
        .owner = LOG_OWNER_FETCH,
    };
    io_submit(fetch->log->io, &fetch->op);
}

/* Starts reading around the next address: from the block that covers its chunk's first byte to the
 * chunk's end. */
static enum log_fetch_state chunk_start(struct log_fetch *fetch)
{
    const struct directory_meta *meta = &fetch->log->directory->meta;
    uint64_t position = fetch->addresses[fetch->next] * GIRO_RECORD_BYTES;
    uint64_t chunk = position / LOG_CHUNK_BYTES;
    uint32_t sector = fetch->log->chunk_blocks[chunk];
    if (sector == 0) {
        fetch->damaged_at = position;
        return LOG_FETCH_DAMAGED;
    }
    uint64_t segment = position / meta->segment_bytes;
    fetch->begin = segment * meta->segment_bytes + (uint64_t)(sector - 1) * meta->sector_bytes;
    fetch->have = 0;
    fetch->chunk = chunk;
    read_submit(fetch, (chunk + 1) * LOG_CHUNK_BYTES);
    return LOG_FETCH_AGAIN;
}

static int address_compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

void log_fetch_start(struct log_fetch *fetch, uint32_t count)
{
    assert(count > 0 && count <= fetch->addresses_max);
    qsort(fetch->addresses, count, sizeof *fetch->addresses, address_compare);
    fetch->count = count;
    fetch->next = 0;
    if (chunk_start(fetch) != LOG_FETCH_AGAIN)
        abort(); /* every block that was read or written is in the map */
}

static enum log_fetch_state damaged(struct log_fetch *fetch, uint64_t position)
{
    fetch->damaged_at = position;
    return LOG_FETCH_DAMAGED;
}

/* Takes every wanted record of one sound block into the cache. */
static void block_take(struct log_fetch *fetch, const struct block_header *header, uint64_t begin)
{
    const union record *records = block_records(header);
    uint64_t first = begin / GIRO_RECORD_BYTES + 1;
    while (fetch->next < fetch->count &&
           fetch->addresses[fetch->next] < first + header->record_count) {
        uint64_t address = fetch->addresses[fetch->next];
        record_cache_put(&fetch->cache, address, &records[address - first]);
        fetch->next++;
    }
}

enum log_fetch_state log_fetch_step(struct log_fetch *fetch)
{
    const struct directory_meta *meta = &fetch->log->directory->meta;
    if (fetch->op.result == -EINTR || fetch->op.result == -EAGAIN) {
        io_submit(fetch->log->io, &fetch->op);
        return LOG_FETCH_AGAIN;
    }
    if (fetch->op.result != (int32_t)fetch->op.size)
        return damaged(fetch, fetch->begin + fetch->have);
    fetch->have += (uint32_t)fetch->op.size;

    struct block_place place =
        block_place_of(meta->directory_id, (uint32_t)(fetch->begin / meta->segment_bytes), 0);
    uint64_t at = fetch->begin;
    while (fetch->next < fetch->count) {
        uint64_t wanted = fetch->addresses[fetch->next] * GIRO_RECORD_BYTES;
        if (at + BLOCK_HEADER_BYTES > fetch->begin + fetch->have || wanted < at)
            return chunk_start(fetch);
        const struct block_header *header =
            (const struct block_header *)(const void *)(fetch->buffer + (at - fetch->begin));
        place.offset = (uint32_t)(at & (meta->segment_bytes - 1));
        if (block_check_header(header, &place, meta->segment_bytes, meta->sector_bytes) != BLOCK_OK)
            /* Behind the last block of a segment there is none; before the wanted one there is. */
            return wanted / LOG_CHUNK_BYTES == fetch->chunk ? damaged(fetch, at)
                                                            : chunk_start(fetch);
        uint64_t end = at + header->block_bytes;
        if (wanted >= end) {
            at = end;
            continue;
        }
        if (end > fetch->begin + fetch->have) {
            if (end - fetch->begin > BUFFER_BYTES) {
                fetch->have = 0; /* begin the buffer with this block */
                fetch->begin = at;
            }
            read_submit(fetch, end);
            return LOG_FETCH_AGAIN;
        }
        if (!block_check_body(header) || (wanted - at) / GIRO_RECORD_BYTES > header->record_count)
            return damaged(fetch, at);
        block_take(fetch, header, at);
    }
    return LOG_FETCH_DONE;
}
