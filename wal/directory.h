/* The data directory.
 *
 *   DIR/giro.meta                   who this directory is: 512 bytes, written once by giro format
 *   DIR/lock                        held with flock() by whoever writes, or reads for recovery
 *   DIR/shard-0/0000000000.log ...  segments of the log, all of segment_bytes, numbered without gap
 *   DIR/shard-0/next.tmp            the segment that is being made; worthless
 *
 * giro.meta, little-endian:
 *
 *   offset | type  | field
 *        0 | u64   | magic "GIROMETA"
 *        8 | u32   | version, 1
 *       12 | u32   | shard_count, 1
 *       16 | u128  | directory_id, random
 *       32 | u32   | segment_bytes
 *       36 | u32   | sector_bytes
 *       40 | u64   | created_at, ns since the epoch
 *       48 |       | zeros
 *      496 | u128  | XXH3-128 of bytes 0 .. 496 */
#ifndef WAL_DIRECTORY_H
#define WAL_DIRECTORY_H

#include "engine/checksum.h"
#include "wal/error.h"

#include <dirent.h>
#include <stdint.h>

enum {
    DIRECTORY_VERSION = 1,
    DIRECTORY_SHARDS = 1, /* shards that this version serves */
    DIRECTORY_SEGMENT_BYTES_DEFAULT = 64 << 20,
    DIRECTORY_SEGMENT_BYTES_MIN = 1 << 20,
    DIRECTORY_SEGMENT_BYTES_MAX = 1 << 30,
    DIRECTORY_SEGMENTS_AHEAD = 3, /* made by giro format, and kept ready from then on */
};

struct directory_meta {
    uint64_t magic;
    uint32_t version;
    uint32_t shard_count;
    uint8_t directory_id[16];
    uint32_t segment_bytes; /* a power of two */
    uint32_t sector_bytes;  /* a power of two, at most 4096 */
    uint64_t created_at;
    uint8_t zeros[448];
    struct checksum checksum;
};

_Static_assert(sizeof(struct directory_meta) == 512, "meta size");

struct directory {
    char path[256];
    struct directory_meta meta;
    int shard_fd; /* DIR/shard-0 */
    int lock_fd;
};

struct directory_options {
    uint32_t segment_bytes;
    uint32_t segments_ahead;
    uint32_t shard_count;
};

enum directory_access {
    DIRECTORY_SHARED,    /* look only: refused while a server runs */
    DIRECTORY_EXCLUSIVE, /* write */
    DIRECTORY_UNLOCKED,  /* look only at what is never written again, beside a running server */
};

/* Makes a data directory with its first segments; refuses one that is not empty. */
int directory_format(const char *path, const struct directory_options *options,
                     struct error *error);

/* Makes a directory with the identity of another one, for a copy of its log. */
int directory_format_as(const char *path, const struct directory_meta *meta, struct error *error);

/* Writes giro.meta anew from the first block of the log and the size of its segment. */
int directory_rebuild_meta(const char *path, struct error *error);

/* Opens and locks a data directory, waiting up to a second for a lock that a dying server still
 * holds. shard_count: what the configuration says, 0 for whatever it was formatted with. */
int directory_open(const char *path, enum directory_access access, uint32_t shard_count,
                   struct directory *out_directory, struct error *error);
void directory_close(struct directory *directory);

/* Seed of the engine's hashes: a secret of this directory. */
uint64_t directory_hash_seed(const struct directory *directory);

enum { SEGMENT_NAME_BYTES = 16 };

/* Name of a segment file inside the shard's folder. */
void segment_name(uint32_t segment, char name[SEGMENT_NAME_BYTES]);

/* Counts the segments: numbered from 0 without gap. Returns 0, or -errno and what is wrong. */
int directory_segments(const struct directory *directory, uint32_t *out_count, struct error *error);

/* Opens one segment file: flags as for open(), O_DIRECT is added. Returns the descriptor or
 * -errno. */
int segment_open(const struct directory *directory, uint32_t segment, int flags,
                 struct error *error);

/* Makes one whole zeroed segment and waits until it is durable, under its final name. */
int segment_make(const struct directory *directory, uint32_t segment, struct error *error);

/* Makes a file's bytes from offset to segment_bytes zeros, durably; offset: a multiple of the
 * sector. */
int segment_zero(const struct directory *directory, int fd, uint32_t segment, uint32_t offset,
                 struct error *error);

/* Makes names and contents of the shard's folder durable. */
int directory_sync(const struct directory *directory, struct error *error);

/* Lists a folder from its beginning; the descriptor stays the caller's. NULL with errno set. */
DIR *directory_list(int folder_fd);

#endif
