#include "wal/manifest.h"

#include "wal/sidecar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_MAGIC 0x494e414d4f524947ull /* "GIROMANI" */

static const char manifest_name[] = "manifest";
static const char manifest_temporary[] = "manifest.tmp";

void snapshot_name(uint32_t segment, char name[SNAPSHOT_NAME_BYTES])
{
    (void)snprintf(name, SNAPSHOT_NAME_BYTES, "snapshot-%010u.mdb", segment);
}

/* Number in a snapshot's file name, -1 for any other name. */
static int64_t snapshot_segment(const char *name)
{
    char expected[SNAPSHOT_NAME_BYTES];
    static const char prefix[] = "snapshot-";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return -1;
    unsigned long number = strtoul(name + sizeof prefix - 1, NULL, 10);
    if (number > UINT32_MAX)
        return -1;
    snapshot_name((uint32_t)number, expected);
    return strcmp(name, expected) == 0 ? (int64_t)number : -1;
}

static struct checksum manifest_checksum(const struct manifest *manifest)
{
    return checksum_of(manifest, offsetof(struct manifest, checksum));
}

int manifest_read(const struct directory *directory, struct manifest *out_manifest,
                  struct error *error)
{
    struct manifest manifest;
    struct stat status;
    *out_manifest = (struct manifest){0};
    int fd = openat(directory->shard_fd, manifest_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "%s/shard-0/%s: %s", directory->path, manifest_name,
                         errno == ENOENT ? "missing" : strerror(errno));
    ssize_t got = read(fd, &manifest, sizeof manifest);
    bool whole = fstat(fd, &status) == 0 && status.st_size == sizeof manifest;
    close(fd);
    if (got != sizeof manifest || !whole || manifest.magic != MANIFEST_MAGIC ||
        !checksum_equal(manifest.checksum, manifest_checksum(&manifest)))
        return error_set(error, -EBADMSG, "%s/shard-0/%s: damaged", directory->path, manifest_name);
    if (manifest.version != MANIFEST_VERSION)
        return error_set(error, -EPROTO, "%s/shard-0/%s: written by another version of giro (%u)",
                         directory->path, manifest_name, manifest.version);
    if (manifest.count > MANIFEST_ENTRIES ||
        memcmp(manifest.directory_id, directory->meta.directory_id, 16) != 0)
        return error_set(error, -EXDEV, "%s/shard-0/%s: of another directory", directory->path,
                         manifest_name);
    *out_manifest = manifest;
    return 0;
}

static int manifest_write(const struct directory *directory, struct manifest *manifest,
                          struct error *error)
{
    manifest->magic = MANIFEST_MAGIC;
    manifest->version = MANIFEST_VERSION;
    memcpy(manifest->directory_id, directory->meta.directory_id, 16);
    manifest->checksum = manifest_checksum(manifest);
    int fd = openat(directory->shard_fd, manifest_temporary,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int result = fd < 0 ? -errno : 0;
    if (result == 0) {
        ssize_t put = write(fd, manifest, sizeof *manifest);
        if (put != sizeof *manifest)
            result = put < 0 ? -errno : -ENOSPC;
        else if (fsync(fd) != 0)
            result = -errno;
        close(fd);
    }
    if (result == 0 && (renameat(directory->shard_fd, manifest_temporary, directory->shard_fd,
                                 manifest_name) != 0 ||
                        fsync(directory->shard_fd) != 0))
        result = -errno;
    if (result == 0)
        return 0;
    (void)unlinkat(directory->shard_fd, manifest_temporary, 0);
    return error_set(error, result, "%s/shard-0/%s: cannot write: %s", directory->path,
                     manifest_name, strerror(-result));
}

int manifest_add(const struct directory *directory, const struct manifest_entry *entry,
                 struct error *error)
{
    struct manifest manifest;
    struct error ignored;
    (void)manifest_read(directory, &manifest, &ignored); /* unreadable: a new one begins */
    struct manifest next = {.count = 1, .entries = {*entry}};
    for (uint32_t i = 0; i < manifest.count && next.count < MANIFEST_ENTRIES; i++) {
        if (manifest.entries[i].segment != entry->segment)
            next.entries[next.count++] = manifest.entries[i];
    }
    return manifest_write(directory, &next, error);
}

int manifest_drop(const struct directory *directory, uint32_t segment, struct error *error)
{
    struct manifest manifest;
    int result = manifest_read(directory, &manifest, error);
    if (result != 0)
        return result;
    struct manifest next = {0};
    for (uint32_t i = 0; i < manifest.count; i++) {
        if (manifest.entries[i].segment != segment)
            next.entries[next.count++] = manifest.entries[i];
    }
    return manifest_write(directory, &next, error);
}

static bool manifest_names(const struct manifest *manifest, int64_t segment)
{
    for (uint32_t i = 0; i < manifest->count; i++) {
        if (manifest->entries[i].segment == segment)
            return true;
    }
    return false;
}

void snapshots_tidy(const struct directory *directory, const struct manifest *manifest)
{
    DIR *folder = directory_list(directory->shard_fd);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int64_t segment = snapshot_segment(entry->d_name);
        if ((segment >= 0 && !manifest_names(manifest, segment)) ||
            strcmp(entry->d_name, "snapshot.tmp") == 0)
            (void)unlinkat(directory->shard_fd, entry->d_name, 0);
    }
    closedir(folder);
}

/* Number of the segment of a sidecar, or of one that was put out of the way; -1: neither. */
static int64_t derived_segment(const char *name)
{
    char sidecar[SIDECAR_NAME_BYTES];
    const char *bad = strstr(name, ".bad");
    if (bad == NULL || bad[sizeof ".bad" - 1] != 0 || bad - name >= SIDECAR_NAME_BYTES)
        return sidecar_segment(name);
    (void)snprintf(sidecar, sizeof sidecar, "%.*s", (int)(bad - name), name);
    return sidecar_segment(sidecar);
}

int derived_remove(const struct directory *directory, uint32_t first, struct error *error)
{
    struct manifest manifest;
    struct error ignored;
    (void)manifest_read(directory, &manifest, &ignored);
    struct manifest kept = {0};
    for (uint32_t i = 0; i < manifest.count; i++) {
        if (manifest.entries[i].segment <= first && first > 0)
            kept.entries[kept.count++] = manifest.entries[i];
    }
    /* The manifest first: no crash leaves it naming a snapshot that is not to be used. */
    int result = manifest_write(directory, &kept, error);
    if (result != 0)
        return result;
    snapshots_tidy(directory, &kept);
    DIR *folder = directory_list(directory->shard_fd);
    if (folder == NULL)
        return error_set(error, -errno, "%s/shard-0: cannot list: %s", directory->path,
                         strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (derived_segment(entry->d_name) < (int64_t)first)
            continue;
        if (unlinkat(directory->shard_fd, entry->d_name, 0) != 0)
            result = error_set(error, -errno, "%s/shard-0/%s: cannot delete: %s", directory->path,
                               entry->d_name, strerror(errno));
    }
    closedir(folder);
    return result != 0 ? result : directory_sync(directory, error);
}
