/* Small disks of a test's own: an ext4 file system in a file, on a loop device.
 *
 * They can be full, fail, and lose power without any harm to the machine, but need the right to
 * mount, which many containers do not have: a test that gets false from disk_make() is skipped, and
 * says why. */
#ifndef TESTS_FAULTS_DISK_H
#define TESTS_FAULTS_DISK_H

#include "tests/faults/harness.h"

struct disk {
    char folder[PATH_BYTES];
    char image[PATH_BYTES + 32];
    char mount[PATH_BYTES + 16]; /* where it is mounted */
    char memory[PATH_BYTES + 16];
    char *lost; /* what lies behind the break */
    uint64_t lost_from;
    uint64_t lost_bytes;
    char why[128]; /* disk_make() returned false */
};

/* Makes and mounts a disk of size_mib. memory_mib: its blocks are kept in a tmpfs of that size, and
 * writing more of them fails with EIO; 0: on the real disk. Returns false where that is not
 * permitted. */
bool disk_make(struct disk *disk, uint32_t size_mib, uint32_t memory_mib);

/* Changes the size of the tmpfs below it. */
void disk_memory_resize(struct disk *disk, uint32_t memory_mib);

/* Power off: from now on every operation fails with EIO, and what was not synced is lost. */
void disk_power_off(struct disk *disk);

/* Unmounts it and mounts it again. */
void disk_power_on(struct disk *disk);

/* Where on the disk a byte of a file lies. */
uint64_t disk_position(const char *path, uint64_t offset);

/* From this position on the disk returns nothing but EIO, until it is mended: then everything is
 * there again. */
void disk_break(struct disk *disk, uint64_t position);
void disk_mend(struct disk *disk);

/* How often the disk was told to empty its cache. */
uint64_t disk_flush_count(const struct disk *disk);

/* Fills mib of it, or all that is left, with a file, and takes that away again. */
void disk_fill(const struct disk *disk, uint32_t mib);
void disk_fill_up(const struct disk *disk);
void disk_free_space(const struct disk *disk);

void disk_remove(struct disk *disk);

#endif
