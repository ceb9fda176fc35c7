/* The manifest of a backup: what belongs to it, and what each file is.
 *
 *   BACKUP/backup.manifest     text, replaced as a whole when everything that it names is durable
 *
 *   giro backup 1                              format and its version
 *   directory 0123456789abcdef0123456789abcdef id of the data directory
 *   segment 8                                  the snapshot's: everything before it is there
 *   lsn 4711                                   last block
 *   written_at 1764000000000000000             when that block was written, ns since the epoch
 *   file NAME BYTES XXH3-128                   giro.meta, then of every segment sidecar and log,
 *   ...                                        then the snapshot
 *   checksum 0123456789abcdef0123456789abcdef  XXH3-128 of all bytes before this line
 *
 * Which files there are follows from `segment` alone, so names are written for people and only
 * compared when they are read. Checksums are numbers of 32 hexadecimal digits, as everywhere. */
#ifndef TOOLS_BACKUP_MANIFEST_H
#define TOOLS_BACKUP_MANIFEST_H

#include "tools/file_copy.h"
#include "wal/manifest.h"

#include <stdbool.h>

enum { BACKUP_VERSION = 1, BACKUP_NAME_BYTES = 64 };

#define BACKUP_MANIFEST_NAME "backup.manifest"
#define BACKUP_LOCK_NAME "backup.lock" /* held by giro backup; tells a backup from anything else */

struct backup_manifest {
    uint8_t directory_id[16];
    uint32_t segment;
    uint64_t lsn;
    uint64_t written_at;
    struct file_facts *files; /* backup_files() */
};

/* Number of files of a backup, and the places of some of them. */
static inline uint32_t backup_files(uint32_t segment)
{
    return 2 * segment + 2;
}

static inline uint32_t backup_file_sidecar(uint32_t segment)
{
    return 1 + 2 * segment;
}

static inline uint32_t backup_file_log(uint32_t segment)
{
    return 2 + 2 * segment;
}

static inline uint32_t backup_file_snapshot(const struct backup_manifest *manifest)
{
    return 1 + 2 * manifest->segment;
}

/* Name of a file below the backup's folder, and of the data directory's alike. */
void backup_file_name(const struct backup_manifest *manifest, uint32_t file,
                      char name[BACKUP_NAME_BYTES]);

/* Makes one with files of no size. Returns 0 or -ENOMEM. */
int backup_manifest_init(struct backup_manifest *manifest, uint32_t segment);
void backup_manifest_free(struct backup_manifest *manifest);

/* Reads the manifest of the backup at path. Returns 0, -ENOENT, -EBADMSG, ... */
int backup_manifest_read(int folder_fd, const char *path, struct backup_manifest *out_manifest,
                         struct error *error);

/* Replaces it, durably. */
int backup_manifest_write(int folder_fd, const char *path, const struct backup_manifest *manifest,
                          struct error *error);

/* Whether a file of the backup has the size that the manifest says and, when told to read it, the
 * checksum. Returns 0, -ENOENT, -EBADMSG or another -errno, and what is wrong. */
int backup_file_check(const struct backup_manifest *manifest, uint32_t file, int folder_fd,
                      const char *path, bool reads, struct pace *pace, struct error *error);

#endif
