/* Power cuts without a disk of one's own: a server is loaded with unsynced.c, which notes whatever
 * the server does to files of its shard and what of it was synced; once the server was killed,
 * unsynced_cut() puts the shard's folder into a state that a power cut may leave.
 *
 * What a cut may do to what was not synced
 *   data       every sector of 512 bytes, of every write, on its own: there, or as it was before
 *   sizes      a file that grew may have any of the sizes that it had since its last sync
 *   names      creations, renames and unlinks are undone from the last one back to any of them:
 *              file systems keep the order of these
 *   cuts       a file that was made shorter stays so: only leftovers are
 *
 * What is safe: a write to a descriptor with O_DSYNC or with RWF_DSYNC, once it has returned; data
 * and size of a file that were complete when fsync() or fdatasync() of it began, once that has
 * returned; names that were there when fsync() of the folder began. Not even fsync() of a new file
 * saves its name, although most file systems do that.
 *
 * Notes go to a file in front of the act, so that a kill at any instruction leaves no act without
 * its note. Files that lose their name get another one elsewhere, so that a cut can give it back.
 *
 * Only the posix backend: io_uring does not go through the C library. */
#ifndef TESTS_FAULTS_UNSYNCED_H
#define TESTS_FAULTS_UNSYNCED_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    UNSYNCED_PATH_BYTES = 256,
    UNSYNCED_NAME_BYTES = 48,
    UNSYNCED_LAST_BYTES = 96,
};

/* Lies that a disk may tell: it says that something was synced, and it was not. */
enum {
    UNSYNCED_LIE_WRITE = 1,  /* of writes with O_DSYNC or RWF_DSYNC */
    UNSYNCED_LIE_FILE = 2,   /* fsync() and fdatasync() of files */
    UNSYNCED_LIE_FOLDER = 4, /* fsync() of the folder */
};

/* In the file that test and library map. A call has two steps: before it, and after it but before
 * anybody knows that it has returned. */
struct unsynced {
    _Atomic uint64_t note;    /* id of the next one */
    _Atomic uint32_t armed;   /* steps are counted ... */
    _Atomic uint32_t log_too; /* ... also those of the log's synced writes */
    _Atomic uint32_t count;
    _Atomic uint32_t at; /* the step with this number, from 1 on, is the last: SIGKILL; 0: none */
    _Atomic uint32_t lies;
    char last[UNSYNCED_LAST_BYTES];    /* the call of step number `at` */
    char shard[UNSYNCED_PATH_BYTES];   /* the folder whose files are watched */
    char journal[UNSYNCED_PATH_BYTES]; /* where the notes go */
    char kept[UNSYNCED_PATH_BYTES];    /* folder for files without a name, by inode */
};

enum note_kind {
    NOTE_WRITE,   /* bytes of the file before it follow, unless they are zeros */
    NOTE_CUT,     /* the file was made shorter */
    NOTE_CREATE,  /* name */
    NOTE_RENAME,  /* name to name_to, where there may have been another file */
    NOTE_UNLINK,  /* name */
    NOTE_WRITTEN, /* the write with the id `until` is synced */
    NOTE_SYNC,    /* all notes of this inode up to the id `until` are synced */
};

#define UNSYNCED_FOLDER 0ull /* in place of the inode: the shard's folder */

/* Bytes behind the note of a write that had size bytes before it, so that the next one is aligned. */
#define UNSYNCED_BEFORE_BYTES(size) (((size) + 7) / 8 * 8)

struct note {
    uint64_t id;
    uint32_t kind;
    uint32_t zeros; /* the bytes before were zeros, or beyond the end of the file */
    uint64_t inode;
    uint64_t replaced; /* inode that lost its name to a rename, 0: none */
    uint64_t offset;
    uint64_t size;
    uint64_t file_bytes; /* before */
    uint64_t until;
    char name[UNSYNCED_NAME_BYTES];
    char name_to[UNSYNCED_NAME_BYTES];
};

#endif
