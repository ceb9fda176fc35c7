#include "tests/faults/disk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UMOUNT_TRIES = 500, UMOUNT_PAUSE_MS = 10, NO_LOG_FLUSH = 2 };

#define IOC_SHUTDOWN _IOR('X', 125, uint32_t) /* ext4 and xfs alike */

/* Runs a program of the system quietly. */
static bool run(const char *const *arguments)
{
    int status;
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool image_mount(const struct disk *disk)
{
    const char *const arguments[] = {"mount", "-t",        "ext4",      "-o",
                                     "loop",  disk->image, disk->mount, NULL};
    return run(arguments);
}

static bool memory_mount(const struct disk *disk, uint32_t mib, bool again)
{
    char options[48];
    (void)snprintf(options, sizeof options, "size=%um", mib);
    return mount("tmpfs", disk->memory, "tmpfs", again ? MS_REMOUNT : 0, options) == 0;
}

static bool image_make(const struct disk *disk, uint32_t size_mib)
{
    /* Without lazy work in the background, and with little room kept for itself. */
    const char *const arguments[] = {
        "mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=0,nodiscard",
        disk->image, NULL};
    int fd = open(disk->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool made = fd >= 0 && ftruncate(fd, (off_t)size_mib << 20) == 0;
    if (fd >= 0)
        close(fd);
    return made && run(arguments);
}

static bool refuse(struct disk *disk, const char *why)
{
    (void)snprintf(disk->why, sizeof disk->why, "%s", why);
    folder_remove(disk->folder);
    return false;
}

bool disk_make(struct disk *disk, uint32_t size_mib, uint32_t memory_mib)
{
    *disk = (struct disk){.why = ""};
    folder_make(disk->folder);
    (void)snprintf(disk->mount, sizeof disk->mount, "%s/" HARNESS_MOUNT, disk->folder);
    (void)snprintf(disk->memory, sizeof disk->memory, "%s/" HARNESS_MEMORY, disk->folder);
    (void)snprintf(disk->image, sizeof disk->image, "%s/image",
                   memory_mib != 0 ? disk->memory : disk->folder);
    cr_assert(mkdir(disk->mount, 0700) == 0 && mkdir(disk->memory, 0700) == 0);
    if (geteuid() != 0)
        return refuse(disk, "only root may mount a file system");
    if (memory_mib != 0 && !memory_mount(disk, memory_mib, false))
        return refuse(disk, "mounting a tmpfs is not permitted here");
    if (!image_make(disk, size_mib))
        return refuse(disk, "mkfs.ext4 is not installed, or there is no room for its image");
    if (!image_mount(disk))
        return refuse(disk, "mounting a loop device is not permitted here");
    return true;
}

void disk_memory_resize(struct disk *disk, uint32_t memory_mib)
{
    cr_assert(memory_mount(disk, memory_mib, true), "%s", strerror(errno));
}

void disk_power_off(struct disk *disk)
{
    const uint32_t how = NO_LOG_FLUSH;
    int fd = open(disk->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(fd >= 0, "%s", strerror(errno));
    cr_assert(ioctl(fd, IOC_SHUTDOWN, &how) == 0, "%s", strerror(errno));
    close(fd);
}

void disk_power_on(struct disk *disk)
{
    /* The kernel drops the last references of a killed process's ring a little later. */
    for (uint32_t i = 0; umount2(disk->mount, 0) != 0; i++) {
        cr_assert(i < UMOUNT_TRIES, "umount %s: %s", disk->mount, strerror(errno));
        pause_ms(UMOUNT_PAUSE_MS);
    }
    cr_assert(image_mount(disk));
}

uint64_t disk_position(const char *path, uint64_t offset)
{
    int block_bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && ioctl(fd, FIGETBSZ, &block_bytes) == 0, "%s: %s", path, strerror(errno));
    int block = (int)(offset / (uint64_t)block_bytes);
    cr_assert(ioctl(fd, FIBMAP, &block) == 0 && block != 0, "%s: %s", path, strerror(errno));
    close(fd);
    return (uint64_t)block * (uint64_t)block_bytes + offset % (uint64_t)block_bytes;
}

/* A loop device answers EIO where its file has ended. */
void disk_break(struct disk *disk, uint64_t position)
{
    struct stat status;
    sync(); /* what the file system still holds back must get below the break first */
    cr_assert(stat(disk->image, &status) == 0 && position < (uint64_t)status.st_size);
    disk->lost_from = position;
    disk->lost_bytes = (uint64_t)status.st_size - position;
    disk->lost = malloc(disk->lost_bytes);
    cr_assert(disk->lost != NULL);
    file_read(disk->image, position, disk->lost, disk->lost_bytes);
    cr_assert_eq(truncate(disk->image, (off_t)position), 0);
}

void disk_mend(struct disk *disk)
{
    file_write(disk->image, disk->lost_from, disk->lost, disk->lost_bytes);
    free(disk->lost);
    disk->lost = NULL;
}

uint64_t disk_flush_count(const struct disk *disk)
{
    enum { FLUSH_FIELD = 15 }; /* Documentation/block/stat.rst, counted from 0 */
    struct stat status;
    char path[64];
    char line[512];
    cr_assert_eq(stat(disk->mount, &status), 0);
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(status.st_dev),
                   minor(status.st_dev));
    FILE *file = fopen(path, "re");
    cr_assert(file != NULL && fgets(line, sizeof line, file) != NULL, "%s", path);
    (void)fclose(file);
    char *rest = NULL;
    const char *field = strtok_r(line, " \n", &rest);
    for (uint32_t i = 0; field != NULL && i < FLUSH_FIELD; i++)
        field = strtok_r(NULL, " \n", &rest);
    cr_assert(field != NULL, "%s has no flush count", path);
    return strtoull(field, NULL, 10);
}

static void ballast_path(const struct disk *disk, char out[PATH_BYTES + 32])
{
    (void)snprintf(out, PATH_BYTES + 32, "%s/ballast", disk->mount);
}

void disk_fill(const struct disk *disk, uint32_t mib)
{
    char path[PATH_BYTES + 32];
    ballast_path(disk, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && fallocate(fd, 0, 0, (off_t)mib << 20) == 0, "%s", strerror(errno));
    close(fd);
}

void disk_fill_up(const struct disk *disk)
{
    char path[PATH_BYTES + 32];
    off_t size = 0;
    ballast_path(disk, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0, "%s", strerror(errno));
    for (off_t piece = 1 << 20; piece >= 4096; piece /= 2) {
        while (fallocate(fd, 0, size, piece) == 0)
            size += piece;
    }
    close(fd);
}

void disk_free_space(const struct disk *disk)
{
    char path[PATH_BYTES + 32];
    ballast_path(disk, path);
    cr_assert_eq(unlink(path), 0);
}

void disk_remove(struct disk *disk)
{
    folder_remove(disk->folder);
}
