/* giro backup: copies a ledger while its server runs.
 *
 * Only what is never written again is read: giro.meta, the segments before a snapshot's, their
 * sidecars, and the snapshot. So no lock is needed, and the server knows nothing of it.
 *
 *   1. The newest snapshot of the source's manifest is opened, first of all: the server may delete
 *      the file at any time, and an open one can still be read to its end.
 *   2. Every sidecar before it tells what its segment is; they must continue each other.
 *   3. What BACKUP does not have is copied, each file under a temporary name, synced, renamed.
 *      Every block of a segment is checked on the way, and the chain through all of them.
 *   4. The folder is synced, then the manifest is replaced: from here on the new backup counts.
 *   5. Older snapshots go.
 *
 * A failure before 4 leaves the backup before it as it was, and takes back what was copied. No name
 * that its manifest lists is ever written to with other contents: segments and their sidecars never
 * change, and each snapshot has a name of its own. */
#include "tools/backup_manifest.h"
#include "tools/command.h"
#include "tools/log_walk.h"
#include "tools/snapshot.h"
#include "wal/archive.h"
#include "wal/block.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: giro backup --data DIR --to BACKUP [options]\n"
    "\n"
    "Copies the ledger in DIR to BACKUP, whether its server runs or not, up to its newest\n"
    "snapshot. BACKUP must be empty, not exist, or hold an older backup of DIR: then only what is\n"
    "new is copied. giro restore makes a data directory of it.\n"
    "\n"
    "  --connect HOST:PORT   have the server of DIR write a snapshot first, so that everything\n"
    "                        acknowledged before is in the backup\n"
    "  --verify              read what BACKUP has already, and copy again what is damaged\n"
    "  --bytes-per-s N       read no faster than that; may end in k, m or g (no limit)\n";

enum { MANIFEST_TRIES = 10, READ_BYTES = 4 << 20, READ_ALIGNMENT = 4096 };

struct backup {
    const char *data;
    const char *to;
    const char *connect;
    bool verify;
    struct pace pace;

    struct directory from;
    struct manifest_entry entry; /* the snapshot */
    int snapshot_fd;

    struct directory target; /* BACKUP as a data directory, for its sidecars */
    int target_fd;
    int lock_fd;
    bool has_previous;
    struct backup_manifest previous;
    struct backup_manifest next;

    char *image; /* of a segment */
    uint32_t copied;
    uint64_t copied_bytes;
};

/* ---- The source -------------------------------------------------------------------------- */

/* Opens the newest snapshot that there is. */
static int snapshot_choose(struct backup *backup, struct error *error)
{
    const struct directory *from = &backup->from;
    char name[SNAPSHOT_NAME_BYTES];
    for (int i = 0; i < MANIFEST_TRIES; i++) {
        struct manifest manifest;
        int result = manifest_read(from, &manifest, error);
        if ((result == 0 && manifest.count == 0) || result == -ENOENT)
            return error_set(
                error, -ENOENT,
                "%s has no snapshot yet, and a backup reaches to the newest one: start "
                "its server, then add --connect HOST:PORT, or run giro snapshot first",
                backup->data);
        if (result != 0)
            return result;
        backup->entry = manifest.entries[0];
        snapshot_name(backup->entry.segment, name);
        backup->snapshot_fd = openat(from->shard_fd, name, O_RDONLY | O_CLOEXEC);
        if (backup->snapshot_fd >= 0)
            return 0;
        if (errno != ENOENT)
            break;
        /* The server has just written a newer one and deleted this: read the manifest again. */
    }
    return error_set(error, -errno,
                     "%s/shard-0/%s: %s: have a new one written by giro snapshot, or run giro "
                     "recover --data %s --rebuild-index while no server runs",
                     backup->data, name, strerror(errno), backup->data);
}

/* Whether the server that was asked for a snapshot is the one of this directory. */
static bool server_is_ours(const struct backup *backup,
                           const struct giro_server_snapshot *requested)
{
    const struct manifest_entry *entry = &backup->entry;
    return entry->segment > requested->segment ||
           (entry->segment == requested->segment && entry->lsn == requested->lsn &&
            entry->file_bytes == requested->bytes);
}

static int source_open(struct backup *backup, struct error *error)
{
    struct giro_server_snapshot requested = {0};
    int result = directory_open(backup->data, DIRECTORY_UNLOCKED, 0, &backup->from, error);
    if (result != 0)
        return result;
    if (backup->connect != NULL && !snapshot_request("backup", backup->connect, &requested))
        return error_set(error, -EIO, "nothing was backed up");
    result = snapshot_choose(backup, error);
    if (result == 0 && backup->connect != NULL && !server_is_ours(backup, &requested))
        result = error_set(error, -EXDEV,
                           "%s: the snapshot that the server at %s wrote is not there: it serves "
                           "another directory; choose the right --connect",
                           backup->data, backup->connect);
    if (result == 0 && backup->entry.segment == 0)
        result =
            error_set(error, -ENOENT, "%s: nothing to back up yet: the log is empty", backup->data);
    return result;
}

/* ---- The target -------------------------------------------------------------------------- */

static bool folder_is_empty(int fd)
{
    DIR *folder = directory_list(fd);
    if (folder == NULL)
        return false;
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, "lost+found") == 0);
    closedir(folder);
    return empty;
}

/* Opens BACKUP, which is a backup or empty, and locks it. */
static int target_lock(struct backup *backup, struct error *error)
{
    if (mkdir(backup->to, 0700) != 0 && errno != EEXIST)
        return error_set(error, -errno, "%s: cannot make: %s", backup->to, strerror(errno));
    backup->target_fd = open(backup->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (backup->target_fd < 0)
        return error_set(error, -errno, "%s: cannot open: %s", backup->to, strerror(errno));
    if (faccessat(backup->target_fd, BACKUP_LOCK_NAME, F_OK, 0) != 0 &&
        !folder_is_empty(backup->target_fd))
        return error_set(error, -ENOTEMPTY,
                         "%s is neither empty nor a backup: nothing there is touched; choose "
                         "another directory",
                         backup->to);
    backup->lock_fd =
        openat(backup->target_fd, BACKUP_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (backup->lock_fd < 0)
        return error_set(error, -errno, "%s/%s: cannot open: %s", backup->to, BACKUP_LOCK_NAME,
                         strerror(errno));
    if (flock(backup->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(error, -EBUSY,
                         "%s is in use by another giro backup or restore: wait for it", backup->to);
    return 0;
}

static int target_open(struct backup *backup, struct error *error)
{
    struct directory *target = &backup->target;
    int result = target_lock(backup, error);
    if (result != 0)
        return result;
    target->meta = backup->from.meta;
    if (strlen(backup->to) >= sizeof target->path)
        return error_set(error, -ENAMETOOLONG, "the backup's path is longer than %zu bytes",
                         sizeof target->path - 1);
    (void)snprintf(target->path, sizeof target->path, "%s", backup->to);
    if (mkdirat(backup->target_fd, "shard-0", 0700) == 0 && fsync(backup->target_fd) != 0)
        return error_set(error, -errno, "%s: cannot be synced: %s", backup->to, strerror(errno));
    target->shard_fd = openat(backup->target_fd, "shard-0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target->shard_fd < 0)
        return error_set(error, -errno, "%s/shard-0: cannot open: %s", backup->to, strerror(errno));
    result = backup_manifest_read(backup->target_fd, backup->to, &backup->previous, error);
    if (result != 0)
        return result == -ENOENT ? 0 : result;
    backup->has_previous = true;
    if (memcmp(backup->previous.directory_id, backup->from.meta.directory_id, 16) != 0)
        return error_set(error, -EXDEV,
                         "%s is a backup of another data directory: choose another one",
                         backup->to);
    if (backup->previous.segment > backup->entry.segment)
        return error_set(error, -ESTALE,
                         "%s reaches further (to block %" PRIu64 ") than the newest snapshot of %s "
                         "(block %" PRIu64 "): keep it, and choose another directory, or run giro "
                         "snapshot first",
                         backup->to, backup->previous.lsn, backup->data, backup->entry.lsn);
    return 0;
}

/* Whether BACKUP has a file of the new manifest already. Its facts are then taken over. */
static bool file_kept(struct backup *backup, uint32_t file, uint32_t file_previous)
{
    struct error why;
    if (!backup->has_previous || file_previous >= backup_files(backup->previous.segment))
        return false;
    if (backup_file_check(&backup->previous, file_previous, backup->target_fd, backup->to,
                          backup->verify, &backup->pace, &why) != 0) {
        printf("%s: copied again\n", why.text);
        return false;
    }
    backup->next.files[file] = backup->previous.files[file_previous];
    return true;
}

static void file_copied(struct backup *backup, uint32_t file, const struct file_facts *facts)
{
    backup->next.files[file] = *facts;
    backup->copied++;
    backup->copied_bytes += facts->bytes;
}

/* ---- Segments ---------------------------------------------------------------------------- */

static int segment_damaged(const struct backup *backup, const struct segment_facts *facts,
                           uint32_t offset, const char *what, struct error *error)
{
    return error_set(error, -EBADMSG,
                     "%s/shard-0/%010u.log: damaged at offset %u: %s; stop the server and run giro "
                     "verify --data %s",
                     backup->data, facts->segment, offset, what, backup->data);
}

/* Reads what a segment has in use, past the page cache, and lets nothing pass that is not there. */
static int segment_read(struct backup *backup, const struct segment_facts *facts,
                        struct error *error)
{
    const uint32_t segment_bytes = backup->from.meta.segment_bytes;
    struct stat status;
    int fd = segment_open(&backup->from, facts->segment, O_RDONLY, error);
    if (fd < 0)
        return fd;
    int result = fstat(fd, &status) != 0 ? -errno : 0;
    if (result == 0 && status.st_size != (off_t)segment_bytes)
        result = error_set(error, -EBADMSG,
                           "%s/shard-0/%010u.log: has %lld bytes and was made with %u: put the "
                           "right file back",
                           backup->data, facts->segment, (long long)status.st_size, segment_bytes);
    uint32_t end = (facts->used_bytes + READ_ALIGNMENT - 1) / READ_ALIGNMENT * READ_ALIGNMENT;
    for (uint32_t done = 0; result == 0 && done < end;) {
        uint32_t size = end - done < READ_BYTES ? end - done : READ_BYTES;
        ssize_t got = pread(fd, backup->image + done, size, done);
        if (got <= 0) {
            result =
                error_set(error, got < 0 ? -errno : -EIO,
                          "%s/shard-0/%010u.log: cannot be read at offset %u: %s", backup->data,
                          facts->segment, done, got < 0 ? strerror(errno) : "the file ends there");
            break;
        }
        done += (uint32_t)got;
        pace_spend(&backup->pace, (uint64_t)got);
    }
    close(fd);
    return result;
}

/* Checks every block, that each continues the one before, and that the last is the one that the
 * sidecar names. */
static int segment_prove(const struct backup *backup, const struct segment_facts *facts,
                         struct error *error)
{
    const struct directory_meta *meta = &backup->from.meta;
    struct block_place place = block_place_of(meta->directory_id, facts->segment, 0);
    struct checksum previous = facts->previous;
    uint64_t lsn = facts->lsn_first;
    uint64_t ordinal = facts->ordinal_first;
    uint32_t last = 0;
    while (place.offset < facts->used_bytes) {
        const struct block_header *header =
            (const struct block_header *)(const void *)(backup->image + place.offset);
        enum block_verdict verdict =
            block_check_header(header, &place, meta->segment_bytes, meta->sector_bytes);
        if (verdict != BLOCK_OK)
            return segment_damaged(backup, facts, place.offset, block_verdict_name(verdict), error);
        if (header->block_bytes > facts->used_bytes - place.offset || header->lsn != lsn ||
            header->ordinal != ordinal || !checksum_equal(header->previous, previous))
            return segment_damaged(backup, facts, place.offset,
                                   "a sound block that does not continue the chain", error);
        if (!block_check_body(header))
            return segment_damaged(backup, facts, place.offset, "a block whose body is damaged",
                                   error);
        last = place.offset;
        place.offset += header->block_bytes;
        previous = header->header_checksum;
        ordinal += header->record_count;
        lsn++;
    }
    if (last != facts->last_offset || lsn != facts->lsn_end || ordinal != facts->ordinal_end ||
        !checksum_equal(previous, facts->head))
        return segment_damaged(backup, facts, last, "not the last block that its sidecar knows",
                               error);
    return 0;
}

/* Copies a segment; behind its last block the copy is a hole, which reads as the zeros that it is. */
static int segment_copy(struct backup *backup, const struct segment_facts *facts,
                        struct error *error)
{
    struct file_writer writer;
    struct file_facts copy;
    char name[SEGMENT_NAME_BYTES];
    segment_name(facts->segment, name);
    int result = segment_read(backup, facts, error);
    if (result == 0)
        result = segment_prove(backup, facts, error);
    if (result == 0)
        result = file_writer_open(&writer, backup->target.shard_fd, backup->to, error);
    if (result != 0)
        return result;
    result = file_writer_put(&writer, backup->image, facts->used_bytes, error);
    if (result == 0)
        result =
            file_writer_hole(&writer, backup->from.meta.segment_bytes - facts->used_bytes, error);
    if (result == 0)
        result = file_writer_finish(&writer, name, &copy, error);
    if (result == 0)
        file_copied(backup, backup_file_log(facts->segment), &copy);
    else
        file_writer_drop(&writer);
    return result;
}

/* ---- Sidecars, the snapshot, giro.meta --------------------------------------------------- */

static int sidecar_copy(struct backup *backup, uint32_t segment, struct error *error)
{
    struct file_writer writer;
    struct file_facts copy;
    char page[SIDECAR_PAGE_BYTES];
    char name[SIDECAR_NAME_BYTES];
    uint64_t seed = sidecar_seed(&backup->from, segment);
    sidecar_name(segment, name);
    int fd = openat(backup->from.shard_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "%s/shard-0/%s: %s", backup->data, name, strerror(errno));
    int result = file_writer_open(&writer, backup->target.shard_fd, backup->to, error);
    if (result != 0) {
        close(fd);
        return result;
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    ssize_t got = 0;
    for (uint32_t number = 0; result == 0; number++) {
        got = pread(fd, page, sizeof page, (off_t)number * SIDECAR_PAGE_BYTES);
        if (got == 0)
            break;
        if (got != sizeof page || !sidecar_page_check(page, seed, number))
            result = error_set(error, -EBADMSG,
                               "%s/shard-0/%s: page %u is damaged: restart the server, which makes "
                               "the file again, or run giro recover --data %s --rebuild-index",
                               backup->data, name, number, backup->data);
        else
            result = file_writer_put(&writer, page, sizeof page, error);
        pace_spend(&backup->pace, sizeof page);
    }
    close(fd);
    if (result == 0)
        result = file_writer_finish(&writer, name, &copy, error);
    if (result == 0)
        file_copied(backup, backup_file_sidecar(segment), &copy);
    else
        file_writer_drop(&writer);
    return result;
}

/* Copies a piece after the other. Returns 0 or -errno. */
static int stream_copy(struct backup *backup, int fd, const char *path, struct file_writer *writer,
                       struct error *error)
{
    char *piece = malloc(FILE_PIECE_BYTES);
    if (piece == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    int result = 0;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (result == 0) {
        ssize_t got = pread(fd, piece, FILE_PIECE_BYTES, (off_t)writer->bytes);
        if (got == 0)
            break;
        if (got < 0) {
            result = error_set(error, -errno, "%s: cannot be read: %s", path, strerror(errno));
            break;
        }
        result = file_writer_put(writer, piece, (size_t)got, error);
        pace_spend(&backup->pace, (uint64_t)got);
    }
    free(piece);
    return result;
}

static int snapshot_copy(struct backup *backup, struct error *error)
{
    const struct manifest_entry *entry = &backup->entry;
    const uint32_t file = backup_file_snapshot(&backup->next);
    struct file_writer writer;
    struct file_facts copy = {0};
    char name[SNAPSHOT_NAME_BYTES];
    char path[sizeof backup->from.path + 64];
    /* The same place of the older manifest is the snapshot as long as it is of the same segment. */
    if (backup->has_previous && backup->previous.segment == entry->segment &&
        file_kept(backup, file, file))
        return 0;
    snapshot_name(entry->segment, name);
    (void)snprintf(path, sizeof path, "%s/shard-0/%s", backup->data, name);
    int result = file_writer_open(&writer, backup->target.shard_fd, backup->to, error);
    if (result != 0)
        return result;
    result = stream_copy(backup, backup->snapshot_fd, path, &writer, error);
    if (result == 0 && (writer.bytes != entry->file_bytes ||
                        !checksum_equal(checksum_stream_end(writer.stream), entry->file)))
        result = error_set(error, -EBADMSG,
                           "%s: damaged: it is not what the manifest says; have a new one written "
                           "by giro snapshot, or with --connect",
                           path);
    if (result == 0)
        result = file_writer_finish(&writer, name, &copy, error);
    if (result == 0)
        file_copied(backup, file, &copy);
    else
        file_writer_drop(&writer);
    return result;
}

static int meta_copy(struct backup *backup, struct error *error)
{
    struct file_writer writer;
    struct file_facts copy = {0};
    if (file_kept(backup, 0, 0))
        return 0;
    int result = file_writer_open(&writer, backup->target_fd, backup->to, error);
    if (result != 0)
        return result;
    result = file_writer_put(&writer, &backup->from.meta, sizeof backup->from.meta, error);
    if (result == 0)
        result = file_writer_finish(&writer, "giro.meta", &copy, error);
    if (result == 0)
        file_copied(backup, 0, &copy);
    else
        file_writer_drop(&writer);
    return result;
}

/* ---- The backup -------------------------------------------------------------------------- */

/* What a segment is, and that it continues the one before. */
static int facts_read(struct backup *backup, uint32_t segment, struct segment_facts *facts,
                      struct error *error)
{
    const struct segment_facts before = *facts;
    struct sidecar *sidecar;
    struct error text;
    int result = sidecar_open(&backup->from, segment, &sidecar, &text);
    if (result != 0)
        return error_set(error, result,
                         "%s: restart the server, which makes the file again, or run giro recover "
                         "--data %s --rebuild-index while no server runs",
                         text.text, backup->data);
    *facts = sidecar->facts;
    sidecar_close(sidecar);
    if (segment == 0 ||
        (facts->lsn_first == before.lsn_end && facts->ordinal_first == before.ordinal_end &&
         checksum_equal(facts->previous, before.head)))
        return 0;
    return error_set(error, -EBADMSG,
                     "%s/shard-0/%010u.idx: does not continue the segment before it: restart the "
                     "server, or run giro recover --data %s --rebuild-index while no server runs",
                     backup->data, segment, backup->data);
}

/* What BACKUP has of a segment must be of the same history: a log that was cut or restored, and
 * went on differently, has other blocks under the same numbers. */
static int history_check(const struct backup *backup, const struct segment_facts *facts,
                         struct error *error)
{
    struct sidecar *sidecar;
    struct error text;
    int result = sidecar_open(&backup->target, facts->segment, &sidecar, &text);
    if (result != 0)
        return error_set(error, result, "%s: run giro backup with --verify, which copies it again",
                         text.text);
    bool same = memcmp(&sidecar->facts, facts, sizeof *facts) == 0;
    sidecar_close(sidecar);
    return same ? 0
                : error_set(error, -ESTALE,
                            "%s holds another history: segment %u differs from the one in %s, "
                            "whose log was cut or restored; keep the old backup, and choose "
                            "another directory",
                            backup->to, facts->segment, backup->data);
}

static int segments_copy(struct backup *backup, struct error *error)
{
    struct segment_facts facts = {0};
    int result = 0;
    for (uint32_t segment = 0; segment < backup->entry.segment && result == 0; segment++) {
        uint32_t sidecar = backup_file_sidecar(segment);
        uint32_t log = backup_file_log(segment);
        bool old = backup->has_previous && segment < backup->previous.segment;
        result = facts_read(backup, segment, &facts, error);
        if (result != 0)
            break;
        bool kept = old && file_kept(backup, sidecar, sidecar);
        if (kept)
            result = history_check(backup, &facts, error);
        else
            result = sidecar_copy(backup, segment, error);
        if (result == 0 && !(old && file_kept(backup, log, log)))
            result = segment_copy(backup, &facts, error);
    }
    if (result == 0 && facts.lsn_end != backup->entry.lsn + 1)
        return error_set(error, -EBADMSG,
                         "%s/shard-0/manifest: the snapshot of segment %u does not belong to this "
                         "log: run giro recover --data %s --rebuild-index while no server runs",
                         backup->data, backup->entry.segment, backup->data);
    backup->next.lsn = backup->entry.lsn;
    backup->next.written_at = facts.written_at;
    return result;
}

/* Takes back what was copied in vain: perhaps the disk is full. */
static void copies_remove(const struct backup *backup)
{
    char name[BACKUP_NAME_BYTES];
    uint32_t snapshot = backup_file_snapshot(&backup->next);
    uint32_t first = backup->has_previous ? backup_file_snapshot(&backup->previous) : 0;
    for (uint32_t i = first; i < backup_files(backup->next.segment); i++) {
        bool kept = i == snapshot && backup->has_previous &&
                    backup->previous.segment == backup->next.segment;
        backup_file_name(&backup->next, i, name);
        if (backup->next.files[i].bytes != 0 && !kept)
            (void)unlinkat(backup->target_fd, name, 0);
    }
}

static int backup_files_copy(struct backup *backup, struct error *error)
{
    if (backup_manifest_init(&backup->next, backup->entry.segment) != 0)
        return error_set(error, -ENOMEM, "out of memory");
    memcpy(backup->next.directory_id, backup->from.meta.directory_id, 16);
    backup->image = mmap(NULL, backup->from.meta.segment_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (backup->image == MAP_FAILED) {
        backup->image = NULL;
        return error_set(error, -ENOMEM, "out of memory");
    }
    int result = meta_copy(backup, error);
    if (result == 0)
        result = segments_copy(backup, error);
    if (result == 0)
        result = snapshot_copy(backup, error);
    if (result == 0)
        result = directory_sync(&backup->target, error);
    if (result != 0) {
        copies_remove(backup);
        return result;
    }
    result = backup_manifest_write(backup->target_fd, backup->to, &backup->next, error);
    if (result == 0)
        snapshots_tidy(&backup->target, &(struct manifest){.count = 1, .entries = {backup->entry}});
    return result;
}

static void backup_close(struct backup *backup)
{
    if (backup->image != NULL)
        (void)munmap(backup->image, backup->from.meta.segment_bytes);
    if (backup->snapshot_fd >= 0)
        close(backup->snapshot_fd);
    if (backup->target_fd >= 0)
        close(backup->target_fd);
    if (backup->lock_fd >= 0)
        close(backup->lock_fd);
    backup_manifest_free(&backup->previous);
    backup_manifest_free(&backup->next);
    directory_close(&backup->target);
    directory_close(&backup->from);
}

static int backup_run(struct backup *backup)
{
    struct error error;
    char written[TIME_TEXT_BYTES];
    int result = source_open(backup, &error);
    if (result == 0)
        result = target_open(backup, &error);
    if (result == 0)
        result = backup_files_copy(backup, &error);
    if (result != 0) {
        complain("backup", "%s%s", error.text,
                 backup->has_previous ? "; the backup that was there is as it was" : "");
    } else {
        time_format(backup->next.written_at, written);
        printf("%s: everything up to block %" PRIu64 ", written %s: %u files of %" PRIu64
               " bytes copied, %u were there\n",
               backup->to, backup->next.lsn, written, backup->copied, backup->copied_bytes,
               backup_files(backup->next.segment) - backup->copied);
    }
    backup_close(backup);
    return result == 0 ? EXIT_DONE : EXIT_FAILED;
}

int backup_command(int argc, char **argv)
{
    enum { DATA, TO, CONNECT, VERIFY, PACE, HELP };
    static const struct option names[] = {
        {"data", required_argument, NULL, DATA},
        {"to", required_argument, NULL, TO},
        {"connect", required_argument, NULL, CONNECT},
        {"verify", no_argument, NULL, VERIFY},
        {"bytes-per-s", required_argument, NULL, PACE},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    struct backup backup = {
        .from = {.shard_fd = -1, .lock_fd = -1},
        .target = {.shard_fd = -1, .lock_fd = -1},
        .snapshot_fd = -1,
        .target_fd = -1,
        .lock_fd = -1,
    };
    bool good = true;
    int option;
    while (good && (option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case DATA:
            backup.data = optarg;
            break;
        case TO:
            backup.to = optarg;
            break;
        case CONNECT:
            backup.connect = optarg;
            break;
        case VERIFY:
            backup.verify = true;
            break;
        case PACE:
            good = number_parse(optarg, 1, UINT64_MAX, &backup.pace.bytes_per_s);
            if (!good)
                complain("backup", "\"%s\" is not a value that this option takes", optarg);
            break;
        case HELP:
            fputs(usage, stdout);
            return EXIT_DONE;
        default:
            good = false;
        }
    }
    if (!good || backup.data == NULL || backup.to == NULL || optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return backup_run(&backup);
}
