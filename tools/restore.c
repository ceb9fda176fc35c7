/* giro restore: makes a data directory from a backup.
 *
 * Every file of the backup is read and compared with its manifest before anything is made. Without
 * a limit the files are copied as they are, and a server starts from the snapshot. Behind it the
 * log gets one idle mark, in the segment that the snapshot begins: it says that everything before
 * it is durable, which is so, and without a block there nothing but the snapshot would tell that
 * the log has left the segment before, whose sidecar is complete.
 *
 * With a limit the log is rebuilt block by block up to it; indexes are made by the first start. */
#include "tools/backup_manifest.h"
#include "tools/command.h"
#include "tools/log_copy.h"
#include "tools/log_walk.h"
#include "tools/verify.h"
#include "wal/archive.h"
#include "wal/io.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char usage[] =
    "usage: giro restore --from BACKUP --data NEWDIR [options]\n"
    "\n"
    "Makes a data directory from what giro backup wrote. NEWDIR must be empty or not exist.\n"
    "Every file of the backup is checked first, and the result is proven as by giro verify.\n"
    "\n"
    "  --until-lsn N         last block to restore\n"
    "  --until-time T        last block written at or before T: 2026-01-31T23:59:59Z or\n"
    "                        nanoseconds since the epoch\n"
    "  --no-verify           leave out the proof at the end\n";

struct restore {
    const char *from;
    const char *data;
    struct log_limit limit;
    bool no_verify;
    struct backup_manifest manifest;
    struct directory directory; /* the backup, as a data directory */
    int folder_fd;
    int lock_fd;
    uint64_t lsn; /* last block restored */
    uint64_t written_at;
};

/* ---- The backup -------------------------------------------------------------------------- */

static int from_open(struct restore *restore, struct error *error)
{
    struct pace unpaced = {0};
    struct error text;
    restore->folder_fd = open(restore->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->folder_fd < 0)
        return error_set(error, -errno, "%s: cannot open: %s", restore->from, strerror(errno));
    /* A backup on a read-only medium may be without; nobody writes there either. */
    restore->lock_fd = openat(restore->folder_fd, BACKUP_LOCK_NAME, O_RDONLY | O_CLOEXEC);
    if (restore->lock_fd >= 0 && flock(restore->lock_fd, LOCK_SH | LOCK_NB) != 0)
        return error_set(error, -EBUSY, "%s is being written by giro backup: wait for it",
                         restore->from);
    int result = backup_manifest_read(restore->folder_fd, restore->from, &restore->manifest, error);
    for (uint32_t i = 0; result == 0 && i < backup_files(restore->manifest.segment); i++) {
        result = backup_file_check(&restore->manifest, i, restore->folder_fd, restore->from, true,
                                   &unpaced, &text);
        if (result != 0)
            return error_set(error, result,
                             "%s: nothing was restored: run giro backup --verify, which copies it "
                             "again while the ledger is there, or use another backup",
                             text.text);
    }
    if (result == 0)
        result = directory_open(restore->from, DIRECTORY_UNLOCKED, 0, &restore->directory, error);
    if (result == 0 &&
        memcmp(restore->directory.meta.directory_id, restore->manifest.directory_id, 16) != 0)
        result = error_set(error, -EXDEV, "%s: its files are of another directory", restore->from);
    return result;
}

/* ---- Whole files ------------------------------------------------------------------------- */

/* Copies one file, all of it, and compares it once more on the way. */
static int file_restore(const struct restore *restore, uint32_t file, struct log_copy *copy,
                        struct error *error)
{
    struct file_writer writer;
    struct file_facts facts;
    char name[BACKUP_NAME_BYTES];
    backup_file_name(&restore->manifest, file, name);
    int fd = openat(restore->folder_fd, name, O_RDONLY | O_CLOEXEC);
    char *piece = malloc(FILE_PIECE_BYTES);
    int result = fd < 0 ? -errno : piece == NULL ? -ENOMEM : 0;
    if (result != 0)
        (void)error_set(error, result, "%s/%s: %s", restore->from, name, strerror(-result));
    if (result == 0)
        result = file_writer_open(&writer, copy->directory.shard_fd, restore->data, error);
    bool opened = result == 0;
    for (ssize_t got = 1; result == 0 && got > 0;) {
        got = pread(fd, piece, FILE_PIECE_BYTES, (off_t)writer.bytes);
        result = got < 0 ? error_set(error, -errno, "%s/%s: cannot be read: %s", restore->from,
                                     name, strerror(errno))
                         : file_writer_put(&writer, piece, (size_t)got, error);
    }
    if (result == 0)
        result = file_writer_finish(&writer, strrchr(name, '/') + 1, &facts, error);
    else if (opened)
        file_writer_drop(&writer);
    if (result == 0 && !checksum_equal(facts.sum, restore->manifest.files[file].sum))
        result = error_set(error, -EBADMSG,
                           "%s/%s: read differently the second time: the disk or "
                           "the memory of this machine is bad",
                           restore->from, name);
    free(piece);
    if (fd >= 0)
        close(fd);
    return result;
}

/* The mark behind the last segment. */
static int mark_write(const struct restore *restore, struct log_copy *copy, struct error *error)
{
    const struct directory_meta *meta = &restore->directory.meta;
    const uint32_t segment = restore->manifest.segment;
    struct sidecar *sidecar;
    int result = sidecar_open(&copy->directory, segment - 1, &sidecar, error);
    if (result != 0)
        return result;
    const struct segment_facts facts = sidecar->facts;
    sidecar_close(sidecar);
    struct block_header *block = aligned_alloc(4096, 4096);
    if (block == NULL)
        return error_set(error, -ENOMEM, "out of memory");
    memset(block, 0, 4096);
    *block = (struct block_header){
        .magic = BLOCK_MAGIC,
        .version = BLOCK_VERSION,
        .segment = segment,
        .lsn = facts.lsn_end,
        .lsn_durable = facts.lsn_end - 1,
        .ordinal = facts.ordinal_end,
        .block_bytes = block_size_bytes(0, meta->sector_bytes),
        .written_at = clock_wall_ns(),
        .epoch = facts.epoch,
        .kind = BLOCK_IDLE,
        .previous = facts.head,
    };
    memcpy(block->directory_id, meta->directory_id, sizeof block->directory_id);
    block_seal(block);
    result = log_copy_block(copy, block, error);
    free(block);
    return result;
}

static int whole_restore(struct restore *restore, struct log_copy *copy, struct error *error)
{
    const struct backup_manifest *manifest = &restore->manifest;
    int result = 0;
    for (uint32_t i = 1; result == 0 && i < backup_files(manifest->segment); i++)
        result = file_restore(restore, i, copy, error);
    if (result == 0 && copy->segment_count < manifest->segment)
        copy->segment_count = manifest->segment;
    if (result == 0)
        result = directory_sync(&copy->directory, error);
    if (result == 0)
        result = mark_write(restore, copy, error);
    const struct file_facts *snapshot = &manifest->files[backup_file_snapshot(manifest)];
    struct manifest_entry entry = {
        .segment = manifest->segment,
        .lsn = manifest->lsn,
        .file_bytes = snapshot->bytes,
        .file = snapshot->sum,
    };
    if (result == 0)
        result = manifest_add(&copy->directory, &entry, error);
    restore->lsn = manifest->lsn;
    restore->written_at = manifest->written_at;
    return result;
}

/* ---- Up to a limit ----------------------------------------------------------------------- */

static int limited_restore(struct restore *restore, struct log_copy *copy, struct error *error)
{
    const struct backup_manifest *manifest = &restore->manifest;
    const struct block_header *header;
    struct log_limit limit = restore->limit;
    struct log_walk walk;
    if (limit.until_lsn > manifest->lsn)
        limit.until_lsn = manifest->lsn; /* an interrupted backup may have left more */
    int result = log_walk_open(&walk, restore->from, DIRECTORY_UNLOCKED, error);
    if (result != 0)
        return result;
    while ((result = log_walk_next(&walk, &header, error)) > 0) {
        if (log_limit_passed(&limit, header))
            break;
        result = log_walk_apply(&walk, header, error);
        if (result == 0)
            result = log_copy_block(copy, header, error);
        if (result != 0)
            break;
        restore->lsn = header->lsn;
        restore->written_at = header->written_at;
    }
    if (result == 0 && restore->lsn != manifest->lsn) {
        struct error text;
        log_end_describe(&walk.reader.end, &walk.directory, &text);
        result = error_set(error, -EBADMSG, "%s; use another backup", text.text);
    }
    log_walk_close(&walk);
    return result < 0 ? result : 0;
}

/* ---- The command ------------------------------------------------------------------------- */

static int restore_files(struct restore *restore, struct error *error)
{
    struct log_copy copy;
    bool limited = log_limit_given(&restore->limit);
    if (restore->limit.until_lsn != UINT64_MAX && restore->limit.until_lsn > restore->manifest.lsn)
        return error_set(error, -ERANGE,
                         "%s ends with block %" PRIu64 ": use a later backup, or restore without "
                         "--until-lsn",
                         restore->from, restore->manifest.lsn);
    int result = log_copy_open(&copy, &restore->directory, restore->data, error);
    bool made = result == 0;
    if (result == 0)
        result =
            limited ? limited_restore(restore, &copy, error) : whole_restore(restore, &copy, error);
    if (result == 0)
        result = log_copy_finish(&copy, error);
    log_copy_close(&copy);
    if (result != 0 && made) {
        struct error text = *error;
        (void)error_set(error, result, "%s; %s is not complete: delete it, then restore again",
                        text.text, restore->data);
    }
    return result;
}

static int restore_run(struct restore *restore)
{
    struct error error;
    char written[TIME_TEXT_BYTES];
    int status = EXIT_DONE;
    int result = from_open(restore, &error);
    if (result == 0)
        result = restore_files(restore, &error);
    if (result == 0) {
        if (restore->limit.until_time != UINT64_MAX && restore->lsn == restore->manifest.lsn)
            printf("the whole backup was written before that time: all of it was restored\n");
        if (!restore->no_verify)
            status = verify_data("restore", restore->data);
        time_format(restore->written_at, written);
        printf("%s: restored up to block %" PRIu64 ", written %s%s\n", restore->data, restore->lsn,
               restore->lsn == 0 ? "never: nothing is so old" : written,
               status == EXIT_DONE ? "" : "; it did NOT pass the proof: see above");
    } else {
        complain("restore", "%s", error.text);
    }
    backup_manifest_free(&restore->manifest);
    directory_close(&restore->directory);
    if (restore->folder_fd >= 0)
        close(restore->folder_fd);
    if (restore->lock_fd >= 0)
        close(restore->lock_fd);
    return result == 0 && status == EXIT_DONE ? EXIT_DONE : EXIT_FAILED;
}

int restore_command(int argc, char **argv)
{
    enum { FROM, DATA, UNTIL_LSN, UNTIL_TIME, NO_VERIFY, HELP };
    static const struct option names[] = {
        {"from", required_argument, NULL, FROM},
        {"data", required_argument, NULL, DATA},
        {"until-lsn", required_argument, NULL, UNTIL_LSN},
        {"until-time", required_argument, NULL, UNTIL_TIME},
        {"no-verify", no_argument, NULL, NO_VERIFY},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    struct restore restore = {
        .limit = {UINT64_MAX, UINT64_MAX},
        .directory = {.shard_fd = -1, .lock_fd = -1},
        .folder_fd = -1,
        .lock_fd = -1,
    };
    bool good = true;
    int option;
    while (good && (option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case FROM:
            restore.from = optarg;
            break;
        case DATA:
            restore.data = optarg;
            break;
        case UNTIL_LSN:
            good = number_parse(optarg, 1, UINT64_MAX - 1, &restore.limit.until_lsn);
            break;
        case UNTIL_TIME:
            good = time_parse(optarg, &restore.limit.until_time);
            break;
        case NO_VERIFY:
            restore.no_verify = true;
            break;
        case HELP:
            fputs(usage, stdout);
            return EXIT_DONE;
        default:
            good = false;
        }
        if (!good && optarg != NULL)
            complain("restore", "\"%s\" is not a value that this option takes", optarg);
    }
    if (!good || restore.from == NULL || restore.data == NULL || optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return restore_run(&restore);
}
