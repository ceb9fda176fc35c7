/* The manifest: which snapshots there are.
 *
 *   DIR/shard-0/manifest           512 bytes, replaced as a whole
 *
 *   offset | type  | field
 *        0 | u64   | magic "GIROMANI"
 *        8 | u32   | version, 1
 *       12 | u32   | count of entries, 0 .. 2
 *       16 | u128  | directory_id
 *       32 | 2 x   | entries, the newest first, of 48 bytes each:
 *        0 | u32   |   segment: the snapshot holds everything before its beginning
 *        4 | u32   |   0
 *        8 | u64   |   lsn of the last block that is in it
 *       16 | u64   |   bytes of its file
 *       24 | u64   |   0
 *       32 | u128  |   XXH3-128 of its file
 *      128 |       | zeros
 *      496 | u128  | XXH3-128 of bytes 0 .. 496
 *
 * Without it, or when it is damaged, the log alone is enough: it is only read for longer. */
#ifndef WAL_MANIFEST_H
#define WAL_MANIFEST_H

#include "wal/directory.h"

enum { MANIFEST_VERSION = 1, MANIFEST_ENTRIES = 2, SNAPSHOT_NAME_BYTES = 32 };

struct manifest_entry {
    uint32_t segment;
    uint32_t reserved_0;
    uint64_t lsn;
    uint64_t file_bytes;
    uint64_t reserved_1;
    struct checksum file;
};

struct manifest {
    uint64_t magic;
    uint32_t version;
    uint32_t count;
    uint8_t directory_id[16];
    struct manifest_entry entries[MANIFEST_ENTRIES];
    uint8_t zeros[368];
    struct checksum checksum;
};

_Static_assert(sizeof(struct manifest) == 512, "manifest size");

/* Reads the manifest. Returns 0; -ENOENT when there is none, with an empty one in out_manifest;
 * -EBADMSG, -EXDEV or -EPROTO when it is damaged, foreign or of another version, likewise. */
int manifest_read(const struct directory *directory, struct manifest *out_manifest,
                  struct error *error);

/* Puts entry in front and drops the oldest one beyond MANIFEST_ENTRIES, durably. */
int manifest_add(const struct directory *directory, const struct manifest_entry *entry,
                 struct error *error);

/* Takes the entry of a snapshot that cannot be used out, durably. */
int manifest_drop(const struct directory *directory, uint32_t segment, struct error *error);

/* Name of a snapshot's file inside the shard's folder. */
void snapshot_name(uint32_t segment, char name[SNAPSHOT_NAME_BYTES]);

/* Deletes every snapshot file that the manifest does not name, and what an interrupted one left. */
void snapshots_tidy(const struct directory *directory, const struct manifest *manifest);

/* Deletes what was derived from segments from first on: sidecars, and snapshots of later ones; 0:
 * all of it. For whoever changes the log below them. */
int derived_remove(const struct directory *directory, uint32_t first, struct error *error);

#endif
