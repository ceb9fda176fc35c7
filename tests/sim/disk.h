/* A disk that forgets, tears and rots.
 *
 * Files are real ones in a folder in memory, so that they can be read, listed and mapped as they are;
 * what they hold is what a program sees through the page cache. Beside each of them the disk keeps
 * what would be left of it without power: `stable`. A write becomes stable when its file is synced,
 * a name when its folder is.
 *
 * When the power fails, each sector that is not stable is by chance the old one, the new one, torn
 * in its middle, or garbage; a file's length and the names of a folder likewise are old, new, or in
 * between. When only the process dies, nothing is lost, except that a write under way may not have
 * begun.
 *
 * And it can be worse, each by its own chance (struct disk_faults): no room, errors, slow, writes
 * that went elsewhere or nowhere, bits that flip. What the disk did to data that it had acknowledged
 * is remembered as wounds, so that a run knows what may be refused, and can heal them. */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { DISK_SECTOR_BYTES = 512, DISK_PATH_BYTES = 64 };

/* Chances in permille of an operation, or of an end of life where it says so. */
struct disk_faults {
    uint32_t write_error; /* EIO of a write or of a sync */
    uint32_t log_error;   /* EIO of a write of the log */
    uint32_t read_error;  /* EIO of a read, once */
    uint32_t short_write; /* fewer bytes than asked for */
    uint32_t interrupted; /* EINTR or EAGAIN, nothing done */
    uint32_t lost;        /* a log write that was acknowledged and not stored; the newest
                              one at a power failure: of a third; it may come late */
    uint32_t misdirected; /* ... or stored elsewhere in the log */
    uint32_t rot;         /* a flipped bit somewhere, at the end of a life */
    uint32_t full;        /* the disk is full for a while, at each file made */
    uint32_t stall;       /* an operation takes up to seconds */
    uint64_t latency_ns;  /* of a write, most of the time */
};

extern struct disk_faults disk_faults;

/* What the disk did, since disk_open(). */
struct disk_counts {
    uint64_t power_failures;
    uint64_t process_deaths;
    uint64_t sectors_unstable; /* at power failures */
    uint64_t sectors_old;
    uint64_t sectors_torn;
    uint64_t sectors_garbage;
    uint64_t names_lost;
    uint64_t write_errors;
    uint64_t read_errors;
    uint64_t short_writes;
    uint64_t interruptions;
    uint64_t lost_writes;
    uint64_t misdirected_writes;
    uint64_t late_writes;
    uint64_t flips;
    uint64_t full;
    uint64_t stalls;
    uint64_t log_writes;
};

extern struct disk_counts disk_counts;

/* An empty disk in a folder of its own, which is made if need be, and whose files are removed. */
void disk_open(const char *folder);
const char *disk_folder(void);

/* Everything there is becomes stable. */
void disk_settle(void);

/* ---- What a program does: these return bytes, a descriptor or 0, or -errno ------------------ */

/* folder: a descriptor of the disk's root or of a folder in it, or AT_FDCWD with a path inside the
 * root. interruptible: it may end with EINTR or EAGAIN, as operations of io_uring do and calls on files
 * do not. */
int disk_open_file(int folder, const char *path, int flags, unsigned mode);
void disk_close_file(int fd);
ssize_t disk_write(int fd, const void *bytes, size_t size, uint64_t offset, bool interruptible);
ssize_t disk_read(int fd, void *bytes, size_t size, uint64_t offset);
int disk_truncate(int fd, uint64_t size);
int disk_sync(int fd, bool interruptible);
int disk_rename(int folder, const char *from, const char *to);
int disk_unlink(int folder, const char *path);

/* A write of the log in two steps: begin, and end when it is stable. Between the two, a power
 * failure leaves some of its sectors. One at a time. Returns bytes or -errno from the end. */
void disk_log_write_begin(int fd, const void *bytes, size_t size, uint64_t offset);
int disk_log_write_end(void);

/* How long the next operation takes. */
uint64_t disk_write_latency(void);
uint64_t disk_read_latency(void);

/* Moments at which an end hurts: such a write is under way; names were changed and not synced; the
 * newest few were acknowledged, and their file has no stable name. */
bool disk_log_writing(void);
bool disk_names_unstable(void);
bool disk_tail_unnamed(void);

/* ... and a file was deleted that is not a temporary one. */
bool disk_name_removed(void);

/* ---- Ends -------------------------------------------------------------------------------- */

/* The process is gone; its writes under way were finished or never begun. */
void disk_process_died(void);

/* The power is gone. */
void disk_power_failed(void);

/* Flips a bit of a file that is stable, by chance of any, and takes note of the wound. */
void disk_rot(void);

/* Whether a failed sync has forsaken something of a log: a start that cut the log may have to do so
 * again. */
bool disk_log_forsaken(void);

/* ---- Wounds ------------------------------------------------------------------------------ */

/* Acknowledged data that the disk does not have any more: in the log, elsewhere. */
uint32_t disk_wounds_log(void);
uint32_t disk_wounds_other(void);

/* An index was put away as damaged and has not been made again: it is missing, however well the disk
 * may be by now. */
bool disk_index_missing(void);

/* The newest log write was lost or went elsewhere: nothing on the disk can tell. Such a write may
 * still come, lives later, over what was written in its place. */
bool disk_tail_lost(void);

/* The program has gone on without the write that was lost when disk_tail_lost() was asked last, at
 * this place of the log: what was lost there and behind it is missing nowhere any more. */
void disk_tail_accept(uint32_t segment, uint32_t offset);

/* Puts back what was lost, as from a backup. */
void disk_heal(void);

/* Whether a file, by its path inside the root, holds only zeros from an offset on. */
bool disk_is_zero_from(const char *path, uint64_t offset);

/* Checksum of the log's files, and of giro.meta, as they are. */
uint64_t disk_log_digest(void);

#endif
