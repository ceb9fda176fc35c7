#include "wal/archive.h"

#include "engine/memory.h"
#include "wal/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int archive_init(struct archive *archive, const struct directory *directory)
{
    *archive = (struct archive){.directory = directory};
    for (uint32_t i = 0; i < ARCHIVE_FILES_MAX; i++)
        archive->fds[i].fd = -1;
    archive->sidecars = memory_reserve(LOG_SEGMENTS_MAX * sizeof *archive->sidecars);
    return archive->sidecars == NULL ? -ENOMEM : 0;
}

void archive_clear(struct archive *archive)
{
    for (uint32_t i = 0; i < ARCHIVE_FILES_MAX; i++) {
        if (archive->fds[i].fd >= 0)
            close(archive->fds[i].fd);
        archive->fds[i].fd = -1;
    }
    for (uint32_t segment = 0; segment < archive->count; segment++) {
        sidecar_close(archive->sidecars[segment]);
        archive->sidecars[segment] = NULL;
    }
    archive->count = 0;
    archive->memory_bytes = 0;
}

void archive_free(struct archive *archive)
{
    if (archive->sidecars == NULL)
        return;
    archive_clear(archive);
    memory_release(archive->sidecars, LOG_SEGMENTS_MAX * sizeof *archive->sidecars);
    archive->sidecars = NULL;
}

/* ---- Opening a sidecar ------------------------------------------------------------------- */

/* The three sections that have fences, and those. */
static const struct {
    enum sidecar_section section;
    enum sidecar_section fences;
} fenced[3] = {
    {SECTION_ACCOUNTS, SECTION_ACCOUNTS_FENCES},
    {SECTION_USER_DATA, SECTION_USER_DATA_FENCES},
    {SECTION_HISTORY, SECTION_HISTORY_FENCES},
};

static int page_read(int fd, uint64_t seed, uint32_t number, void *page)
{
    ssize_t got = pread(fd, page, SIDECAR_PAGE_BYTES, (off_t)number * SIDECAR_PAGE_BYTES);
    if (got < 0)
        return -errno;
    return got == SIDECAR_PAGE_BYTES && sidecar_page_check(page, seed, number) ? 0 : -EBADMSG;
}

/* Whether every section lies inside the file, with items of the size that this program knows. */
static bool extents_plausible(const struct sidecar_header *header)
{
    static const uint32_t item_bytes[SECTION_COUNT] = {
        [SECTION_RUNS] = sizeof(struct id_run),
        [SECTION_IDS] = 8,
        [SECTION_CHUNKS] = 4,
        [SECTION_LOG_PAGES] = 8,
        [SECTION_ACCOUNTS] = 8,
        [SECTION_USER_DATA] = 8,
        [SECTION_HISTORY] = 8,
        [SECTION_BALANCES] = sizeof(struct history_entry),
        [SECTION_BASE] = 1,
        [SECTION_RELEASED] = 1,
        [SECTION_ACCOUNTS_FENCES] = 8,
        [SECTION_USER_DATA_FENCES] = 8,
        [SECTION_HISTORY_FENCES] = 8,
    };
    for (unsigned i = 0; i < SECTION_COUNT; i++) {
        const struct sidecar_extent *extent = &header->sections[i];
        if (extent->item_bytes != item_bytes[i] || extent->items > UINT32_MAX * 16ull)
            return false;
        uint64_t per_page = sidecar_items_per_page(extent->item_bytes);
        uint64_t pages = (extent->items + per_page - 1) / per_page;
        if (extent->page_first + pages > header->page_count)
            return false;
    }
    for (unsigned i = 0; i < 3; i++) {
        uint64_t per_page = sidecar_items_per_page(8);
        uint64_t pages = (header->sections[fenced[i].section].items + per_page - 1) / per_page;
        if (header->sections[fenced[i].fences].items != pages)
            return false;
    }
    return true;
}

static int fences_load(int fd, uint64_t seed, struct sidecar *sidecar)
{
    char page[SIDECAR_PAGE_BYTES];
    const uint64_t per_page = sidecar_items_per_page(8);
    for (unsigned f = 0; f < 3; f++) {
        const struct sidecar_extent *extent = &sidecar->sections[fenced[f].fences];
        if (extent->items == 0)
            continue;
        sidecar->fences[f] = malloc(extent->items * sizeof(uint64_t));
        if (sidecar->fences[f] == NULL)
            return -ENOMEM;
        for (uint64_t i = 0; i < extent->items; i += per_page) {
            int result = page_read(fd, seed, extent->page_first + (uint32_t)(i / per_page), page);
            if (result != 0)
                return result;
            uint64_t left = extent->items - i;
            memcpy(&sidecar->fences[f][i], page + 8,
                   (left < per_page ? left : per_page) * sizeof(uint64_t));
        }
    }
    return 0;
}

static int sidecar_load(const struct directory *directory, uint32_t segment, int fd,
                        struct sidecar *sidecar)
{
    _Alignas(64) char page[SIDECAR_PAGE_BYTES];
    const struct sidecar_header *header = (const struct sidecar_header *)(const void *)page;
    const uint64_t seed = sidecar_seed(directory, segment);
    struct stat status;
    int result = page_read(fd, seed, 0, page);
    if (result != 0)
        return result;
    if (header->magic != SIDECAR_MAGIC || header->version != SIDECAR_VERSION ||
        header->facts.segment != segment ||
        memcmp(header->directory_id, directory->meta.directory_id, 16) != 0 ||
        fstat(fd, &status) != 0 ||
        status.st_size != (off_t)header->page_count * SIDECAR_PAGE_BYTES ||
        header->facts.used_bytes > directory->meta.segment_bytes || !extents_plausible(header))
        return -EBADMSG;
    sidecar->facts = header->facts;
    memcpy(sidecar->sections, header->sections, sizeof sidecar->sections);
    return fences_load(fd, seed, sidecar);
}

int sidecar_open(const struct directory *directory, uint32_t segment, struct sidecar **out_sidecar,
                 struct error *error)
{
    char name[SIDECAR_NAME_BYTES];
    sidecar_name(segment, name);
    int fd = openat(directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "%s/shard-0/%s: %s", directory->path, name,
                         errno == ENOENT ? "missing" : strerror(errno));
    struct sidecar *sidecar = calloc(1, sizeof *sidecar);
    int result = sidecar == NULL ? -ENOMEM : sidecar_load(directory, segment, fd, sidecar);
    close(fd);
    if (result != 0) {
        sidecar_close(sidecar);
        return error_set(error, result, "%s/shard-0/%s: %s", directory->path, name,
                         result == -EBADMSG ? "damaged" : strerror(-result));
    }
    *out_sidecar = sidecar;
    return 0;
}

int sidecar_verify(const struct directory *directory, uint32_t segment, struct error *error)
{
    enum { READ_PAGES = 256 };
    char name[SIDECAR_NAME_BYTES];
    sidecar_name(segment, name);
    const uint64_t seed = sidecar_seed(directory, segment);
    char *pages = malloc((size_t)READ_PAGES * SIDECAR_PAGE_BYTES);
    int fd = openat(directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    int result = pages == NULL ? -ENOMEM : fd < 0 ? -errno : 0;
    uint32_t number = 0;
    while (result == 0) {
        ssize_t got = pread(fd, pages, (size_t)READ_PAGES * SIDECAR_PAGE_BYTES,
                            (off_t)number * SIDECAR_PAGE_BYTES);
        if (got <= 0) {
            result = got < 0 ? -errno : 0;
            break;
        }
        if (got % SIDECAR_PAGE_BYTES != 0)
            result = -EBADMSG;
        for (ssize_t i = 0; i < got / SIDECAR_PAGE_BYTES && result == 0; i++, number++) {
            if (!sidecar_page_check(pages + i * SIDECAR_PAGE_BYTES, seed, number))
                result = -EBADMSG;
        }
    }
    if (fd >= 0)
        close(fd);
    free(pages);
    return result == 0
               ? 0
               : error_set(error, result, "%s/shard-0/%s: page %u: %s", directory->path, name,
                           number, result == -EBADMSG ? "damaged" : strerror(-result));
}

bool sidecar_discard(const struct directory *directory, uint32_t segment)
{
    char name[SIDECAR_NAME_BYTES];
    char bad[SIDECAR_NAME_BYTES + sizeof ".bad"];
    sidecar_name(segment, name);
    (void)snprintf(bad, sizeof bad, "%s.bad", name);
    return renameat(directory->shard_fd, name, directory->shard_fd, bad) == 0;
}

void sidecar_close(struct sidecar *sidecar)
{
    if (sidecar == NULL)
        return;
    for (unsigned f = 0; f < 3; f++)
        free(sidecar->fences[f]);
    free(sidecar);
}

void archive_add(struct archive *archive, struct sidecar *sidecar)
{
    assert(sidecar->facts.segment == archive->count);
    archive->sidecars[archive->count++] = sidecar;
    archive->memory_bytes += sizeof *sidecar;
    for (unsigned f = 0; f < 3; f++)
        archive->memory_bytes += sidecar->sections[fenced[f].fences].items * sizeof(uint64_t);
}

/* ---- Restoring the index ----------------------------------------------------------------- */

/* Walks the items of a section page by page. */
struct section_walk {
    const struct sidecar_extent *extent;
    uint64_t seed;
    int fd;
    uint64_t next;
    _Alignas(64) char page[SIDECAR_PAGE_BYTES];
};

/* The items from `next` to the end of their page; 0: no more; -errno. */
static int64_t section_next(struct section_walk *walk, const void **out_items)
{
    const struct sidecar_extent *extent = walk->extent;
    const uint64_t per_page = sidecar_items_per_page(extent->item_bytes);
    uint64_t left = extent->items - walk->next;
    *out_items = walk->page + 8;
    if (left == 0)
        return 0;
    int result = page_read(walk->fd, walk->seed,
                           extent->page_first + (uint32_t)(walk->next / per_page), walk->page);
    if (result != 0)
        return result;
    uint64_t count = left < per_page ? left : per_page;
    walk->next += count;
    return (int64_t)count;
}

static int chunks_restore(struct section_walk *walk, uint32_t *map)
{
    const void *items;
    int64_t count;
    while ((count = section_next(walk, &items)) > 0) {
        memcpy(map, items, (size_t)count * sizeof *map);
        map += count;
    }
    return (int)count;
}

/* Hashes come by the page, addresses by the run: both are walked side by side. */
static int ids_restore(struct section_walk *runs, struct section_walk *ids, struct ledger *ledger,
                       uint64_t segment_address, uint32_t segment_records)
{
    const void *items;
    struct id_run run[SIDECAR_PAYLOAD_BYTES / sizeof(struct id_run)] = {0};
    int64_t run_count = 0;
    int64_t r = 0;
    uint32_t done = 0; /* of run[r] */
    for (int64_t count; (count = section_next(ids, &items)) != 0;) {
        if (count < 0)
            return (int)count;
        const uint64_t *hashes = items;
        for (int64_t i = 0; i < count;) {
            if (r == run_count) {
                const void *page_runs;
                run_count = section_next(runs, &page_runs);
                if (run_count <= 0)
                    return run_count < 0 ? (int)run_count : -EBADMSG;
                memcpy(run, page_runs, (size_t)run_count * sizeof run[0]);
                r = 0;
            }
            if (run[r].place == 0 || run[r].place > segment_records ||
                run[r].count > segment_records - run[r].place)
                return -EBADMSG;
            uint32_t fit = run[r].count - done;
            if (fit > count - i)
                fit = (uint32_t)(count - i);
            int result =
                ledger_restore_ids(ledger, hashes + i, fit, segment_address + run[r].place + done);
            if (result != 0)
                return result;
            i += fit;
            done += fit;
            if (done == run[r].count) {
                done = 0;
                r++;
            }
        }
    }
    return 0;
}

int archive_restore(struct archive *archive, uint32_t segment, struct ledger *ledger,
                    uint32_t *log_map, struct error *error)
{
    const struct directory *directory = archive->directory;
    const struct sidecar *sidecar = archive->sidecars[segment];
    const uint64_t begin = (uint64_t)segment * directory->meta.segment_bytes;
    const uint64_t seed = sidecar_seed(directory, segment);
    char name[SIDECAR_NAME_BYTES];
    sidecar_name(segment, name);
    int fd = openat(directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -errno : 0;
    if (result == 0) {
        struct section_walk chunks = {&sidecar->sections[SECTION_CHUNKS], seed, fd, 0, {0}};
        struct section_walk runs = {&sidecar->sections[SECTION_RUNS], seed, fd, 0, {0}};
        struct section_walk ids = {&sidecar->sections[SECTION_IDS], seed, fd, 0, {0}};
        /* Ahead of the walk: the kernel reads the two large sections in one go. */
        (void)posix_fadvise(
            fd, 0, (off_t)sidecar->sections[SECTION_LOG_PAGES].page_first * SIDECAR_PAGE_BYTES,
            POSIX_FADV_WILLNEED);
        result = sidecar->sections[SECTION_CHUNKS].items <=
                         directory->meta.segment_bytes / LOG_CHUNK_BYTES
                     ? chunks_restore(&chunks, &log_map[begin / LOG_CHUNK_BYTES])
                     : -EBADMSG;
        if (result == 0)
            result = ids_restore(&runs, &ids, ledger, begin / GIRO_RECORD_BYTES,
                                 directory->meta.segment_bytes / GIRO_RECORD_BYTES);
        close(fd);
    }
    if (result == 0)
        return 0;
    return error_set(error, result, "%s/shard-0/%s: %s", directory->path, name,
                     result == -EBADMSG  ? "damaged"
                     : result == -ENOSPC ? "holds more ids than transfers_max allows"
                                         : strerror(-result));
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* The descriptor of a file, from a small table where a newcomer takes its slot. */
static int archive_fd(struct archive *archive, uint32_t segment, enum archive_file file)
{
    struct archive_fd *slot = &archive->fds[(segment * 2 + file) % ARCHIVE_FILES_MAX];
    if (slot->fd >= 0 && slot->segment == segment && slot->file == file)
        return slot->fd;
    if (slot->fd >= 0)
        close(slot->fd);
    char name[SIDECAR_NAME_BYTES];
    if (file == ARCHIVE_LOG)
        segment_name(segment, name);
    else
        sidecar_name(segment, name);
    int fd = openat(archive->directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    *slot = (struct archive_fd){.segment = segment, .file = file, .fd = fd < 0 ? -1 : fd};
    if (fd < 0)
        return -errno;
    /* One record in a page and the next one far away: reading ahead would only waste. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    return fd;
}

static void reader_damaged(struct archive_reader *reader, uint32_t segment, enum archive_file file,
                           uint32_t number, int result)
{
    const struct directory *directory = reader->archive->directory;
    char name[SIDECAR_NAME_BYTES];
    if (file == ARCHIVE_LOG)
        segment_name(segment, name);
    else
        sidecar_name(segment, name);
    reader->damaged = file;
    reader->damaged_segment = segment;
    reader->damage = result;
    (void)error_set(&reader->error, result, "%s/shard-0/%s: page %u: %s", directory->path, name,
                    number, result == -EBADMSG ? "damaged on disk" : strerror(-result));
}

/* The slot of a page, read if need be; NULL when it cannot be read. *out_fresh: it was read now and
 * is still to be checked. */
static struct archive_page *reader_page(struct archive_reader *reader, uint32_t segment,
                                        enum archive_file file, uint32_t number, bool *out_fresh)
{
    struct archive_page *page = &reader->pages[(number * 2 + file + segment * 7) % ARCHIVE_PAGES];
    *out_fresh = false;
    if (page->valid && page->segment == segment && page->file == file && page->number == number)
        return page;
    page->valid = false;
    int fd = archive_fd(reader->archive, segment, file);
    int result = fd < 0 ? fd : 0;
    if (result == 0) {
        ssize_t got =
            pread(fd, page->bytes, SIDECAR_PAGE_BYTES, (off_t)number * SIDECAR_PAGE_BYTES);
        result = got == SIDECAR_PAGE_BYTES ? 0 : got < 0 ? -errno : -EBADMSG;
    }
    reader->reads++;
    if (result != 0) {
        reader_damaged(reader, segment, file, number, result);
        return NULL;
    }
    *out_fresh = true;
    page->segment = segment;
    page->file = file;
    page->number = number;
    return page;
}

static const char *sidecar_page(struct archive_reader *reader, uint32_t segment, uint32_t number)
{
    bool fresh;
    struct archive_page *page = reader_page(reader, segment, ARCHIVE_SIDECAR, number, &fresh);
    if (page == NULL)
        return NULL;
    if (fresh && !sidecar_page_check(page->bytes, sidecar_seed(reader->archive->directory, segment),
                                     number)) {
        reader_damaged(reader, segment, ARCHIVE_SIDECAR, number, -EBADMSG);
        return NULL;
    }
    page->valid = true;
    return page->bytes;
}

const void *archive_item(struct archive_reader *reader, uint32_t segment,
                         enum sidecar_section section, uint64_t i)
{
    const struct sidecar_extent *extent = &reader->archive->sidecars[segment]->sections[section];
    const uint64_t per_page = sidecar_items_per_page(extent->item_bytes);
    if (i >= extent->items) { /* an item of another section leads here: one of the two is wrong */
        reader_damaged(reader, segment, ARCHIVE_SIDECAR, extent->page_first, -EBADMSG);
        return NULL;
    }
    const char *page = sidecar_page(reader, segment, extent->page_first + (uint32_t)(i / per_page));
    return page == NULL ? NULL : page + 8 + i % per_page * extent->item_bytes;
}

const union record *archive_record(struct archive_reader *reader, uint32_t segment, uint32_t place)
{
    const uint32_t records_per_page = SIDECAR_PAGE_BYTES / GIRO_RECORD_BYTES;
    uint32_t number = place / records_per_page;
    bool fresh;
    struct archive_page *page = reader_page(reader, segment, ARCHIVE_LOG, number, &fresh);
    if (page == NULL)
        return NULL;
    if (fresh) {
        /* Behind the last block lie the zeros that the sum was made from, or what no reader of the
         * log looks at. */
        uint64_t used = reader->archive->sidecars[segment]->facts.used_bytes;
        uint64_t begin = (uint64_t)number * SIDECAR_PAGE_BYTES;
        if (used > begin && used - begin < SIDECAR_PAGE_BYTES)
            memset(page->bytes + (used - begin), 0, SIDECAR_PAGE_BYTES - (used - begin));
        const uint64_t *sum = archive_item(reader, segment, SECTION_LOG_PAGES, number);
        if (sum == NULL)
            return NULL;
        uint64_t seed = sidecar_seed(reader->archive->directory, segment);
        if (*sum != sidecar_log_page_sum(page->bytes, seed)) {
            reader_damaged(reader, segment, ARCHIVE_LOG, number, -EBADMSG);
            return NULL;
        }
    }
    page->valid = true;
    return (const union record *)(const void *)(page->bytes + (size_t)(place % records_per_page) *
                                                                  GIRO_RECORD_BYTES);
}

void archive_prefetch(struct archive_reader *reader, uint32_t segment, uint32_t place)
{
    int fd = archive_fd(reader->archive, segment, ARCHIVE_LOG);
    off_t offset = (off_t)place * GIRO_RECORD_BYTES / SIDECAR_PAGE_BYTES * SIDECAR_PAGE_BYTES;
    if (fd >= 0)
        (void)posix_fadvise(fd, offset, SIDECAR_PAGE_BYTES, POSIX_FADV_WILLNEED);
}

bool archive_lower_bound(struct archive_reader *reader, uint32_t segment,
                         enum sidecar_section section, uint64_t entry, uint64_t *out_item)
{
    const struct sidecar *sidecar = reader->archive->sidecars[segment];
    const uint64_t per_page = sidecar_items_per_page(8);
    const uint64_t items = sidecar->sections[section].items;
    unsigned f = 0;
    while (fenced[f].section != section)
        f++;
    /* The page before the first one that begins at or behind the entry. */
    uint64_t pages = sidecar->sections[fenced[f].fences].items;
    uint64_t low = 0;
    uint64_t high = pages;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (sidecar->fences[f][middle] < entry)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) {
        *out_item = 0;
        return true;
    }
    uint64_t begin = (low - 1) * per_page;
    uint64_t end = begin + per_page < items ? begin + per_page : items;
    while (begin < end) {
        uint64_t middle = begin + (end - begin) / 2;
        const uint64_t *item = archive_item(reader, segment, section, middle);
        if (item == NULL)
            return false;
        if (*item < entry)
            begin = middle + 1;
        else
            end = middle;
    }
    *out_item = begin;
    return true;
}

/* Takes the page that the next byte lies on out of the reader, where others need the room. */
static bool bytes_load(struct archive_bytes *bytes)
{
    const struct sidecar_extent *extent =
        &bytes->reader->archive->sidecars[bytes->segment]->sections[bytes->section];
    if (bytes->next >= extent->items)
        return false;
    const void *item = archive_item(bytes->reader, bytes->segment, bytes->section, bytes->next);
    if (item == NULL)
        return false;
    uint64_t left = extent->items - bytes->next;
    bytes->page_bytes = left < SIDECAR_PAYLOAD_BYTES ? (uint32_t)left : SIDECAR_PAYLOAD_BYTES;
    bytes->page_next = 0;
    memcpy(bytes->page, item, bytes->page_bytes);
    bytes->next += bytes->page_bytes;
    return true;
}

bool archive_number(struct archive_bytes *bytes, giro_u128 *out_number)
{
    giro_u128 number = 0;
    for (unsigned shift = 0; shift < 128; shift += 7) {
        if (bytes->page_next == bytes->page_bytes && !bytes_load(bytes))
            return false;
        uint8_t byte = bytes->page[bytes->page_next++];
        number |= (giro_u128)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out_number = number;
            return true;
        }
    }
    return false;
}

bool archive_bytes_end(const struct archive_bytes *bytes)
{
    return bytes->page_next == bytes->page_bytes &&
           bytes->next ==
               bytes->reader->archive->sidecars[bytes->segment]->sections[bytes->section].items;
}
