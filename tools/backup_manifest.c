#include "tools/backup_manifest.h"

#include "wal/log.h"
#include "wal/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 160, HEX_BYTES = 33 };

static const char temporary[] = BACKUP_MANIFEST_NAME ".tmp";

void backup_file_name(const struct backup_manifest *manifest, uint32_t file,
                      char name[BACKUP_NAME_BYTES])
{
    char base[SNAPSHOT_NAME_BYTES];
    if (file == 0) {
        (void)snprintf(name, BACKUP_NAME_BYTES, "giro.meta");
        return;
    }
    if (file == backup_file_snapshot(manifest))
        snapshot_name(manifest->segment, base);
    else if (file % 2 == 1)
        sidecar_name(file / 2, base);
    else
        segment_name(file / 2 - 1, base);
    (void)snprintf(name, BACKUP_NAME_BYTES, "shard-0/%s", base);
}

int backup_manifest_init(struct backup_manifest *manifest, uint32_t segment)
{
    *manifest = (struct backup_manifest){.segment = segment};
    manifest->files = calloc(backup_files(segment), sizeof *manifest->files);
    return manifest->files == NULL ? -ENOMEM : 0;
}

void backup_manifest_free(struct backup_manifest *manifest)
{
    free(manifest->files);
    *manifest = (struct backup_manifest){0};
}

/* ---- Writing ----------------------------------------------------------------------------- */

static void hex_format(struct checksum sum, char out[HEX_BYTES])
{
    (void)snprintf(out, HEX_BYTES, "%016" PRIx64 "%016" PRIx64, sum.high, sum.low);
}

static void text_print(const struct backup_manifest *manifest, FILE *out)
{
    char hex[HEX_BYTES];
    char name[BACKUP_NAME_BYTES];
    fprintf(out, "giro backup %d\ndirectory ", BACKUP_VERSION);
    for (unsigned i = 0; i < sizeof manifest->directory_id; i++)
        fprintf(out, "%02x", manifest->directory_id[i]);
    fprintf(out, "\nsegment %u\nlsn %" PRIu64 "\nwritten_at %" PRIu64 "\n", manifest->segment,
            manifest->lsn, manifest->written_at);
    for (uint32_t i = 0; i < backup_files(manifest->segment); i++) {
        backup_file_name(manifest, i, name);
        hex_format(manifest->files[i].sum, hex);
        fprintf(out, "file %s %" PRIu64 " %s\n", name, manifest->files[i].bytes, hex);
    }
}

/* The whole text, malloc()ed; NULL: out of memory. */
static char *text_make(const struct backup_manifest *manifest, size_t *out_bytes)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, out_bytes);
    if (out == NULL)
        return NULL;
    text_print(manifest, out);
    if (fflush(out) == 0) {
        char hex[HEX_BYTES];
        hex_format(checksum_of(text, *out_bytes), hex);
        fprintf(out, "checksum %s\n", hex);
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

int backup_manifest_write(int folder_fd, const char *path, const struct backup_manifest *manifest,
                          struct error *error)
{
    size_t bytes = 0;
    char *text = text_make(manifest, &bytes);
    int result = text == NULL ? -ENOMEM : 0;
    int fd = -1;
    if (result == 0) {
        fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        result = fd < 0 ? -errno : 0;
    }
    for (size_t done = 0; result == 0 && done < bytes;) {
        ssize_t put = write(fd, text + done, bytes - done);
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            result = put < 0 ? -errno : -ENOSPC;
    }
    free(text);
    if (result == 0 &&
        (fsync(fd) != 0 || renameat(folder_fd, temporary, folder_fd, BACKUP_MANIFEST_NAME) != 0 ||
         fsync(folder_fd) != 0))
        result = -errno;
    if (fd >= 0)
        close(fd);
    if (result == 0)
        return 0;
    (void)unlinkat(folder_fd, temporary, 0);
    return error_set(error, result, "%s/%s: cannot be written: %s", path, BACKUP_MANIFEST_NAME,
                     strerror(-result));
}

/* ---- Reading ----------------------------------------------------------------------------- */

static bool hex_parse(const char *text, size_t digits, uint64_t *out)
{
    static const char alphabet[] = "0123456789abcdef";
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        const char *digit = text[i] == 0 ? NULL : strchr(alphabet, text[i]);
        if (digit == NULL)
            return false;
        value = value << 4 | (uint64_t)(digit - alphabet);
    }
    *out = value;
    return true;
}

static bool sum_parse(const char *text, struct checksum *out)
{
    return strlen(text) == HEX_BYTES - 1 && hex_parse(text, 16, &out->high) &&
           hex_parse(text + 16, 16, &out->low);
}

/* Takes the next line, without its end, from *at. */
static bool line_next(const char **at, const char *end, char line[LINE_BYTES])
{
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    if (stop == NULL || stop - *at >= LINE_BYTES)
        return false;
    memcpy(line, *at, (size_t)(stop - *at));
    line[stop - *at] = 0;
    *at = stop + 1;
    return true;
}

/* The rest of a line that begins with a word and a space; NULL: it does not. */
static const char *line_word(const char *line, const char *word)
{
    size_t size = strlen(word);
    return strncmp(line, word, size) == 0 && line[size] == ' ' ? line + size + 1 : NULL;
}

static bool number_line(const char **at, const char *end, const char *word, uint64_t max,
                        uint64_t *out)
{
    char line[LINE_BYTES];
    if (!line_next(at, end, line))
        return false;
    const char *text = line_word(line, word);
    char *stop;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &stop, 10);
    return errno == 0 && *stop == 0 && *out <= max;
}

static bool file_line(const char **at, const char *end, const struct backup_manifest *manifest,
                      uint32_t file)
{
    char line[LINE_BYTES];
    char expected[LINE_BYTES];
    char name[BACKUP_NAME_BYTES];
    struct file_facts *facts = &manifest->files[file];
    if (!line_next(at, end, line))
        return false;
    backup_file_name(manifest, file, name);
    (void)snprintf(expected, sizeof expected, "file %s", name);
    const char *text = line_word(line, expected);
    char *stop;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    facts->bytes = strtoull(text, &stop, 10);
    return errno == 0 && *stop == ' ' && sum_parse(stop + 1, &facts->sum);
}

static bool head_parse(const char **at, const char *end, struct backup_manifest *manifest,
                       uint64_t *out_segment)
{
    char line[LINE_BYTES];
    const char *id;
    if (!line_next(at, end, line) || (id = line_word(line, "directory")) == NULL ||
        strlen(id) != HEX_BYTES - 1)
        return false;
    for (unsigned i = 0; i < sizeof manifest->directory_id; i++) {
        uint64_t byte;
        if (!hex_parse(id + 2ul * i, 2, &byte))
            return false;
        manifest->directory_id[i] = (uint8_t)byte;
    }
    return number_line(at, end, "segment", LOG_SEGMENTS_MAX, out_segment) &&
           number_line(at, end, "lsn", UINT64_MAX, &manifest->lsn) &&
           number_line(at, end, "written_at", UINT64_MAX, &manifest->written_at);
}

/* Returns 0, -EBADMSG, -EPROTO (of another version) or -ENOMEM. */
static int text_parse(const char *text, size_t bytes, struct backup_manifest *out_manifest)
{
    struct backup_manifest head = {0};
    struct checksum sum;
    uint64_t segment;
    char line[LINE_BYTES];
    const size_t last_bytes = strlen("checksum ") + HEX_BYTES;
    if (bytes < last_bytes)
        return -EBADMSG;
    const char *at = text;
    const char *end = text + bytes - last_bytes;
    const char *last = end;
    if (!line_next(&last, text + bytes, line) || last != text + bytes ||
        line_word(line, "checksum") == NULL || !sum_parse(line_word(line, "checksum"), &sum) ||
        !checksum_equal(sum, checksum_of(text, (size_t)(end - text))))
        return -EBADMSG;
    if (!line_next(&at, end, line) || line_word(line, "giro backup") == NULL)
        return -EBADMSG;
    if (strcmp(line_word(line, "giro backup"), "1") != 0)
        return -EPROTO;
    if (!head_parse(&at, end, &head, &segment))
        return -EBADMSG;
    if (backup_manifest_init(out_manifest, (uint32_t)segment) != 0)
        return -ENOMEM;
    memcpy(out_manifest->directory_id, head.directory_id, sizeof head.directory_id);
    out_manifest->lsn = head.lsn;
    out_manifest->written_at = head.written_at;
    bool whole = true;
    for (uint32_t i = 0; i < backup_files(out_manifest->segment) && whole; i++)
        whole = file_line(&at, end, out_manifest, i);
    if (whole && at == end)
        return 0;
    backup_manifest_free(out_manifest);
    return -EBADMSG;
}

int backup_manifest_read(int folder_fd, const char *path, struct backup_manifest *out_manifest,
                         struct error *error)
{
    struct stat status;
    int fd = openat(folder_fd, BACKUP_MANIFEST_NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "%s/%s: %s", path, BACKUP_MANIFEST_NAME,
                         errno == ENOENT ? "missing: not a backup, or the first one was never "
                                           "completed"
                                         : strerror(errno));
    int result = fstat(fd, &status) != 0 ? -errno : 0;
    char *text = result == 0 ? malloc((size_t)status.st_size + 1) : NULL;
    size_t bytes = 0;
    if (result == 0 && text == NULL)
        result = -ENOMEM;
    while (result == 0 && bytes < (size_t)status.st_size) {
        ssize_t got = read(fd, text + bytes, (size_t)status.st_size - bytes);
        if (got <= 0)
            result = got < 0 ? -errno : -EBADMSG;
        else
            bytes += (size_t)got;
    }
    close(fd);
    if (result == 0)
        result = text_parse(text, bytes, out_manifest);
    free(text);
    if (result == 0)
        return 0;
    return error_set(error, result, "%s/%s: %s", path, BACKUP_MANIFEST_NAME,
                     result == -EBADMSG  ? "damaged: the backup cannot be told from it; use "
                                           "another backup"
                     : result == -EPROTO ? "written by another version of giro: use that one"
                                         : strerror(-result));
}

int backup_file_check(const struct backup_manifest *manifest, uint32_t file, int folder_fd,
                      const char *path, bool reads, struct pace *pace, struct error *error)
{
    const struct file_facts *expected = &manifest->files[file];
    struct file_facts found;
    struct stat status;
    char name[BACKUP_NAME_BYTES];
    char whole[512];
    backup_file_name(manifest, file, name);
    (void)snprintf(whole, sizeof whole, "%s/%s", path, name);
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        int result = -errno;
        if (fd >= 0)
            close(fd);
        return error_set(error, result, "%s: %s", whole,
                         result == -ENOENT ? "missing" : strerror(-result));
    }
    int result = 0;
    if ((uint64_t)status.st_size != expected->bytes)
        result = error_set(error, -EBADMSG,
                           "%s: damaged: it has %lld bytes and was backed up with %" PRIu64, whole,
                           (long long)status.st_size, expected->bytes);
    if (result == 0 && reads)
        result = file_facts_read(fd, whole, pace, &found, error);
    if (result == 0 && reads && !checksum_equal(found.sum, expected->sum))
        result =
            error_set(error, -EBADMSG,
                      "%s: damaged: its checksum is not the one that it was backed up with", whole);
    close(fd);
    return result;
}
