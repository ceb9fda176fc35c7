/* The archive: all sealed segments, read through their sidecars.
 *
 * Pages of log files and sidecars are read through the page cache, which is safe because nobody
 * writes sealed files any more, and every page is checked when it is read. An archive belongs to
 * one thread at a time. */
#ifndef WAL_ARCHIVE_H
#define WAL_ARCHIVE_H

#include "wal/sidecar.h"

enum {
    ARCHIVE_FILES_MAX = 256, /* open at once */
    ARCHIVE_PAGES = 64,      /* that a reader keeps */
    ARCHIVE_AHEAD = 64,      /* pages that are asked for before they are read */
};

enum archive_file { ARCHIVE_LOG, ARCHIVE_SIDECAR };

/* What is kept in memory of a sidecar. */
struct sidecar {
    struct segment_facts facts;
    struct sidecar_extent sections[SECTION_COUNT];
    uint64_t *fences[3]; /* of SECTION_ACCOUNTS, SECTION_USER_DATA, SECTION_HISTORY */
};

struct archive_fd {
    uint32_t segment;
    enum archive_file file;
    int fd; /* -1: none */
};

struct archive {
    const struct directory *directory;
    struct sidecar **sidecars; /* by segment; NULL: not there */
    uint32_t count;            /* all segments before this one are there */
    struct archive_fd fds[ARCHIVE_FILES_MAX];
    uint64_t memory_bytes;
};

int archive_init(struct archive *archive, const struct directory *directory);
void archive_free(struct archive *archive);

/* Opens the sidecar of a segment and checks its header and what is kept in memory of it. Returns 0,
 * -ENOENT, -EBADMSG (damaged, or of another directory, segment or version), -ENOMEM. */
int sidecar_open(const struct directory *directory, uint32_t segment, struct sidecar **out_sidecar,
                 struct error *error);
void sidecar_close(struct sidecar *sidecar);

/* Checks every page of a sidecar. Returns 0, or -errno. */
int sidecar_verify(const struct directory *directory, uint32_t segment, struct error *error);

/* Puts a damaged sidecar out of the way, as NNNNNNNNNN.idx.bad, so that the next start makes it
 * again. False: it was not there any more. */
bool sidecar_discard(const struct directory *directory, uint32_t segment);

/* Adds segment number archive->count; the archive owns it from now on. */
void archive_add(struct archive *archive, struct sidecar *sidecar);

/* Forgets everything; used when a start begins again without a snapshot. */
void archive_clear(struct archive *archive);

/* Puts the ids of one sealed segment into a ledger's index, and its chunks into the map of
 * wal/log.h. */
int archive_restore(struct archive *archive, uint32_t segment, struct ledger *ledger,
                    uint32_t *log_map, struct error *error);

/* ---- Reading ----------------------------------------------------------------------------- */

struct archive_page {
    uint32_t segment;
    enum archive_file file;
    uint32_t number;
    bool valid;
    _Alignas(64) char bytes[SIDECAR_PAGE_BYTES];
};

/* A few pages, so that neighbours cost one read. */
struct archive_reader {
    struct archive *archive;
    struct archive_page pages[ARCHIVE_PAGES];
    uint64_t reads; /* of pages, from files: a measure of work */
    struct error error;
    enum archive_file damaged; /* which kind of file the error is about, */
    uint32_t damaged_segment;  /* of which segment */
    int damage;                /* -EBADMSG: its bytes are wrong; else why it could not be read */
};

/* Item number i of a section, or NULL: damaged or unreadable; reader->error says so. */
const void *archive_item(struct archive_reader *reader, uint32_t segment,
                         enum sidecar_section section, uint64_t i);

/* The record at a place of a segment, or NULL as above. Valid until the next call. */
const union record *archive_record(struct archive_reader *reader, uint32_t segment, uint32_t place);

/* Asks the kernel for the page of a record, without waiting for it. */
void archive_prefetch(struct archive_reader *reader, uint32_t segment, uint32_t place);

/* The first item of accounts, user_data or history that is not less than entry; the section's size
 * when there is none. False: damaged. */
bool archive_lower_bound(struct archive_reader *reader, uint32_t segment,
                         enum sidecar_section section, uint64_t entry, uint64_t *out_item);

/* Reads the bytes of a section one after the other. */
struct archive_bytes {
    struct archive_reader *reader;
    uint32_t segment;
    enum sidecar_section section;
    uint64_t next;
    uint32_t page_bytes; /* of the page in bytes, how many are valid, */
    uint32_t page_next;  /* and how many were taken */
    uint8_t page[SIDECAR_PAYLOAD_BYTES];
};

/* The next number of a section of bytes. False: damaged, or at its end. */
bool archive_number(struct archive_bytes *bytes, giro_u128 *out_number);

/* Whether every number was read. */
bool archive_bytes_end(const struct archive_bytes *bytes);

#endif
