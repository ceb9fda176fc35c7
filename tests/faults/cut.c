#include "tests/faults/cut.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECTOR_BYTES = 512,
    FILES_MAX = 512,
    LONG_PATH_BYTES = PATH_BYTES + UNSYNCED_NAME_BYTES + 32
};

/* How much of what was not synced a cut takes. */
enum cut_mode {
    CUT_NOTHING,
    CUT_ALL,
    CUT_SECTORS, /* every sector on its own */
    CUT_WRITES,  /* every write on its own */
    CUT_MODES,
};

struct journal {
    char *bytes;
    size_t size;
    const struct note **notes; /* whole ones, in order */
    bool *synced;              /* by note */
    uint32_t count;
};

/* A file of which notes were taken. */
struct file {
    uint64_t inode;
    uint64_t bytes;      /* its size */
    uint64_t bytes_safe; /* that it cannot get below */
    uint64_t bytes_left; /* after the cut */
    int fd;
    bool cut_short;   /* what was noted before that is void */
    uint8_t *settled; /* by sector: what is there stays */
};

struct cutting {
    struct cut *cut;
    struct rng *rng;
    enum cut_mode mode;
    struct journal journal;
    struct file files[FILES_MAX];
    uint32_t file_count;
    struct cut_result result;
};

/* ---- The journal ------------------------------------------------------------------------- */

static void journal_load(struct journal *journal, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *journal = (struct journal){0};
    if (fd < 0)
        return; /* no server ran */
    cr_assert_eq(fstat(fd, &status), 0);
    journal->size = (size_t)status.st_size;
    journal->bytes = malloc(journal->size + 1);
    journal->notes = calloc(journal->size / sizeof(struct note) + 1, sizeof(struct note *));
    journal->synced = calloc(journal->size / sizeof(struct note) + 1, sizeof(bool));
    cr_assert(journal->bytes != NULL && journal->notes != NULL && journal->synced != NULL);
    for (size_t done = 0; done < journal->size;) {
        ssize_t got = pread(fd, journal->bytes + done, journal->size - done, (off_t)done);
        cr_assert(got > 0);
        done += (size_t)got;
    }
    close(fd);
}

static void journal_free(struct journal *journal)
{
    free(journal->bytes);
    free(journal->notes);
    free(journal->synced);
}

/* A note is written in front of its act: of one that is not whole there was no act. */
static void journal_parse(struct journal *journal)
{
    size_t at = 0;
    while (journal->size - at >= sizeof(struct note)) {
        const struct note *note = (const struct note *)(const void *)(journal->bytes + at);
        size_t before =
            note->kind == NOTE_WRITE && !note->zeros ? UNSYNCED_BEFORE_BYTES(note->size) : 0;
        if (journal->size - at - sizeof *note < before)
            break;
        journal->notes[journal->count++] = note;
        at += sizeof *note + before;
    }
}

static bool of_names(const struct note *note)
{
    return note->kind == NOTE_CREATE || note->kind == NOTE_RENAME || note->kind == NOTE_UNLINK;
}

/* Up to which id a file, or the folder, is synced; 0: not at all. */
static uint64_t synced_until(const struct journal *journal, uint64_t inode)
{
    uint64_t until = 0;
    for (uint32_t i = 0; i < journal->count; i++) {
        const struct note *note = journal->notes[i];
        if (note->kind == NOTE_SYNC && note->inode == inode && note->until > until)
            until = note->until;
    }
    return until;
}

/* Ids are consecutive: notes can be found by them. */
static void journal_judge(struct journal *journal)
{
    uint64_t folder_until = synced_until(journal, UNSYNCED_FOLDER);
    uint64_t inode = UNSYNCED_FOLDER; /* that until was looked up for last */
    uint64_t until = 0;
    for (uint32_t i = 0; i < journal->count; i++) {
        const struct note *note = journal->notes[i];
        uint64_t first = journal->notes[0]->id;
        cr_assert_eq(note->id, first + i, "a note is missing");
        if (note->kind == NOTE_WRITTEN)
            journal->synced[note->until - first] = true;
        else if (of_names(note))
            journal->synced[i] = note->id <= folder_until;
        if (note->kind != NOTE_WRITE)
            continue;
        if (inode != note->inode)
            until = synced_until(journal, note->inode);
        inode = note->inode;
        journal->synced[i] |= note->id <= until;
    }
}

/* ---- Files ------------------------------------------------------------------------------- */

static int inode_open_in(const char *folder, uint64_t inode)
{
    char path[LONG_PATH_BYTES];
    struct stat status;
    DIR *listing = opendir(folder);
    int fd = -1;
    cr_assert(listing != NULL, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; fd < 0 && (entry = readdir(listing)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && stat(path, &status) == 0 && status.st_ino == inode)
            fd = open(path, O_RDWR | O_CLOEXEC);
    }
    closedir(listing);
    return fd;
}

static struct file *file_of(struct cutting *cutting, const struct note *note)
{
    struct stat status;
    for (uint32_t i = 0; i < cutting->file_count; i++) {
        if (cutting->files[i].inode == note->inode)
            return &cutting->files[i];
    }
    cr_assert(cutting->file_count < FILES_MAX);
    struct file *file = &cutting->files[cutting->file_count++];
    *file = (struct file){.inode = note->inode};
    file->fd = inode_open_in(cutting->cut->control->shard, note->inode);
    if (file->fd < 0)
        file->fd = inode_open_in(cutting->cut->control->kept, note->inode);
    cr_assert(file->fd >= 0, "inode %lu (%s) is gone", note->inode, note->name);
    cr_assert_eq(fstat(file->fd, &status), 0);
    file->bytes = (uint64_t)status.st_size;
    file->bytes_left = file->bytes;
    file->settled = calloc(file->bytes / SECTOR_BYTES + 1, 1);
    cr_assert(file->settled != NULL);
    return file;
}

static void files_close(struct cutting *cutting)
{
    for (uint32_t i = 0; i < cutting->file_count; i++) {
        struct file *file = &cutting->files[i];
        if (file->bytes_left < file->bytes) {
            cr_assert_eq(ftruncate(file->fd, (off_t)file->bytes_left), 0);
            cutting->result.files_shortened++;
        }
        close(file->fd);
        free(file->settled);
    }
}

/* ---- What is lost ------------------------------------------------------------------------ */

static bool lost(struct cutting *cutting)
{
    switch (cutting->mode) {
    case CUT_NOTHING:
        return false;
    case CUT_ALL:
        return true;
    case CUT_SECTORS:
    case CUT_WRITES:
    case CUT_MODES:
        break;
    }
    return rng_below(cutting->rng, 2) != 0;
}

/* Puts back what a part of a file was before a write. */
static void part_undo(struct cutting *cutting, struct file *file, const struct note *note,
                      uint64_t begin, uint64_t end)
{
    static const char zeros[SECTOR_BYTES];
    const char *before = note->zeros ? zeros : (const char *)(note + 1) + (begin - note->offset);
    ssize_t size = (ssize_t)(end - begin);
    cr_assert(pwrite(file->fd, before, (size_t)size, (off_t)begin) == size, "%s", strerror(errno));
    cutting->result.sectors_dropped++;
}

static void write_undo(struct cutting *cutting, struct file *file, const struct note *note)
{
    bool whole = cutting->mode == CUT_WRITES;
    bool all_lost = whole && lost(cutting);
    uint64_t end =
        note->offset + note->size < file->bytes ? note->offset + note->size : file->bytes;
    for (uint64_t at = note->offset; at < end;) {
        uint64_t next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        uint8_t *settled = &file->settled[at / SECTOR_BYTES];
        next = next < end ? next : end;
        if (*settled == 0 && (whole ? all_lost : lost(cutting)))
            part_undo(cutting, file, note, at, next);
        else
            *settled = 1;
        at = next;
    }
    if (note->offset + note->size <= note->file_bytes)
        return; /* it did not grow */
    if (note->file_bytes < file->bytes_left && lost(cutting))
        file->bytes_left = note->file_bytes;
}

static void write_settle(struct file *file, const struct note *note)
{
    uint64_t end = note->offset + note->size;
    for (uint64_t at = note->offset / SECTOR_BYTES; at * SECTOR_BYTES < end; at++) {
        if (at * SECTOR_BYTES < file->bytes)
            file->settled[at] = 1;
    }
    if (file->bytes_safe < end)
        file->bytes_safe = end;
}

/* From the last one back, so that every sector becomes what it was before the first write that is
 * lost of it. */
static void writes_undo(struct cutting *cutting)
{
    const struct journal *journal = &cutting->journal;
    for (uint32_t i = journal->count; i-- > 0;) {
        const struct note *note = journal->notes[i];
        if (note->kind != NOTE_WRITE && note->kind != NOTE_CUT)
            continue;
        struct file *file = file_of(cutting, note);
        if (file->cut_short)
            continue;
        if (note->kind == NOTE_CUT) {
            file->cut_short = true;
        } else if (journal->synced[i]) {
            write_settle(file, note);
        } else {
            write_undo(cutting, file, note);
            cutting->result.writes++;
        }
        if (file->bytes_left < file->bytes_safe)
            file->bytes_left = file->bytes_safe;
    }
}

/* ---- Names ------------------------------------------------------------------------------- */

static void kept_return(const struct cut *cut, uint64_t inode, const char *path)
{
    char kept[LONG_PATH_BYTES];
    (void)snprintf(kept, sizeof kept, "%s/%lu", cut->control->kept, inode);
    cr_assert(link(kept, path) == 0, "%s to %s: %s", kept, path, strerror(errno));
}

static bool is_inode(const char *path, uint64_t inode)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_ino == inode;
}

/* A note whose act was not begun, or failed, is passed over. */
static void name_undo(const struct cut *cut, const struct note *note)
{
    char path[LONG_PATH_BYTES];
    char path_to[LONG_PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", cut->control->shard, note->name);
    (void)snprintf(path_to, sizeof path_to, "%s/%s", cut->control->shard, note->name_to);
    switch (note->kind) {
    case NOTE_CREATE:
        if (is_inode(path, note->inode))
            (void)unlink(path);
        break;
    case NOTE_RENAME:
        if (!is_inode(path_to, note->inode) || access(path, F_OK) == 0)
            break;
        cr_assert_eq(rename(path_to, path), 0);
        if (note->replaced != 0)
            kept_return(cut, note->replaced, path_to);
        break;
    case NOTE_UNLINK:
        if (access(path, F_OK) != 0)
            kept_return(cut, note->inode, path);
        break;
    default:
        break;
    }
}

static void names_undo(struct cutting *cutting)
{
    const struct journal *journal = &cutting->journal;
    uint32_t unsynced = 0;
    for (uint32_t i = 0; i < journal->count; i++)
        unsynced += of_names(journal->notes[i]) && !journal->synced[i];
    uint32_t left = cutting->mode == CUT_NOTHING ? 0
                    : cutting->mode == CUT_ALL   ? unsynced
                                                 : rng_below(cutting->rng, unsynced + 1);
    cutting->result.names = unsynced;
    cutting->result.names_undone = left;
    for (uint32_t i = journal->count; i-- > 0 && left > 0;) {
        if (!of_names(journal->notes[i]) || journal->synced[i])
            continue;
        name_undo(cutting->cut, journal->notes[i]);
        left--;
    }
}

/* ---- The cut ----------------------------------------------------------------------------- */

static void kept_clear(const char *folder)
{
    char path[LONG_PATH_BYTES];
    DIR *listing = opendir(folder);
    cr_assert(listing != NULL, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            (void)unlink(path);
    }
    closedir(listing);
}

struct cut_result cut_power(struct cut *cut, struct rng *rng)
{
    static struct cutting cutting;
    cutting =
        (struct cutting){.cut = cut, .rng = rng, .mode = (enum cut_mode)rng_below(rng, CUT_MODES)};
    journal_load(&cutting.journal, cut->control->journal);
    journal_parse(&cutting.journal);
    journal_judge(&cutting.journal);
    writes_undo(&cutting);
    files_close(&cutting);
    names_undo(&cutting);
    journal_free(&cutting.journal);
    (void)unlink(cut->control->journal);
    kept_clear(cut->control->kept);
    atomic_store(&cut->control->armed, 0);
    return cutting.result;
}

void cut_begin(struct cut *cut)
{
    char folder[PATH_BYTES];
    *cut = (struct cut){0};
    folder_make_in_memory(folder);
    char *real = realpath(folder, NULL); /* as /proc tells the names of open files */
    cr_assert(real != NULL);
    int length = snprintf(cut->folder, PATH_BYTES, "%s", real);
    cr_assert(length < PATH_BYTES);
    length = snprintf(cut->data, PATH_BYTES, "%s/data", real);
    cr_assert(length < PATH_BYTES);
    free(real);
    data_format(cut->data);
    cut->control = shim_control_make(cut->folder, sizeof *cut->control, cut->control_path);
    (void)snprintf(cut->control->shard, sizeof cut->control->shard, "%s/shard-0", cut->data);
    (void)snprintf(cut->control->journal, sizeof cut->control->journal, "%s/journal", cut->folder);
    (void)snprintf(cut->control->kept, sizeof cut->control->kept, "%s/kept", cut->folder);
    cr_assert_eq(mkdir(cut->control->kept, 0700), 0);
    atomic_store(&cut->control->note, 1);
}

void cut_end(struct cut *cut)
{
    (void)munmap(cut->control, sizeof *cut->control);
    folder_remove(cut->folder);
}

void cut_arm(struct cut *cut, uint32_t at, bool log_too)
{
    cut->control->last[0] = 0;
    atomic_store(&cut->control->count, 0);
    atomic_store(&cut->control->at, at);
    atomic_store(&cut->control->log_too, log_too);
    atomic_store(&cut->control->armed, 1);
}
