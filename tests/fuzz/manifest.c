/* Fuzzes the manifest of snapshots: any 512 bytes, or more, or fewer, with the checksum made right
 * again or not, and identity, version and size too, as the flags say.
 *
 *   input   | flags, 1 | operation, 1 | the file
 *
 * Never: a file of another size, identity, version or checksum is accepted; more entries come out than
 * there are; adding and dropping entries loses another one, or leaves a file that is not sound; a file
 * that has nothing to do with snapshots is deleted. */
#include "wal/manifest.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/log_image.h"
#include "wal/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct directory directory;
static uint64_t magic;

static bool entry_named(const struct manifest *manifest, uint32_t segment)
{
    for (uint32_t i = 0; i < manifest->count; i++) {
        if (manifest->entries[i].segment == segment)
            return true;
    }
    return false;
}

static struct manifest manifest_now(void)
{
    struct manifest manifest;
    struct error error;
    MUST(manifest_read(&directory, &manifest, &error) == 0, "%s", error.text);
    MUST(manifest.count <= MANIFEST_ENTRIES);
    return manifest;
}

static bool exists(const char *name)
{
    struct stat status;
    return fstatat(directory.shard_fd, name, &status, 0) == 0;
}

/* Files beside the manifest: a snapshot that it names or not, and strangers. */
static void tidy_check(const struct manifest *manifest)
{
    static const char stranger[] = "snapshot-0000000001.mdb.old";
    char name[SNAPSHOT_NAME_BYTES];
    snapshot_name(1, name);
    fuzz_file_write(directory.shard_fd, name, "", 0);
    fuzz_file_write(directory.shard_fd, stranger, "", 0);
    snapshots_tidy(&directory, manifest);
    MUST(exists(name) == entry_named(manifest, 1));
    MUST(exists(stranger) && exists("0000000000.log"));
}

static void derived_check(uint32_t first)
{
    char name[SIDECAR_NAME_BYTES];
    struct error error;
    sidecar_name(first, name);
    fuzz_file_write(directory.shard_fd, name, "", 0);
    MUST(derived_remove(&directory, first, &error) == 0, "%s", error.text);
    MUST(!exists(name) && exists("0000000000.log"));
    struct manifest manifest = manifest_now();
    for (uint32_t i = 0; i < manifest.count; i++)
        MUST(first > 0 && manifest.entries[i].segment <= first);
}

static void operation_run(uint64_t operation, const struct manifest *before)
{
    const struct manifest_entry entry = {.segment = (uint32_t)(operation >> 2) % 8, .lsn = 9};
    struct error error;
    struct manifest after;
    switch (operation % 4) {
    case 0:
        MUST(manifest_add(&directory, &entry, &error) == 0, "%s", error.text);
        after = manifest_now();
        MUST(after.count > 0 && memcmp(&after.entries[0], &entry, sizeof entry) == 0);
        break;
    case 1:
        MUST(manifest_drop(&directory, before->entries[0].segment, &error) == 0);
        after = manifest_now();
        MUST(!entry_named(&after, before->entries[0].segment));
        for (uint32_t i = 0; i < before->count; i++)
            MUST(before->entries[i].segment == before->entries[0].segment ||
                 entry_named(&after, before->entries[i].segment));
        break;
    case 2:
        tidy_check(before);
        break;
    default:
        derived_check(entry.segment);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint64_t flags = input_number(&input, 1);
    uint64_t operation = input_number(&input, 1);
    struct manifest manifest = {0};
    struct manifest read;
    struct error error;
    size_t file_size = input.left < sizeof manifest + 8 ? input.left : sizeof manifest + 8;
    uint8_t bytes[sizeof manifest + 8];
    memcpy(bytes, input.at, file_size);
    memcpy(&manifest, bytes, file_size < sizeof manifest ? file_size : sizeof manifest);
    if ((flags & 2) != 0) {
        manifest.magic = magic;
        if ((flags & 8) == 0)
            manifest.version = MANIFEST_VERSION;
        memcpy(manifest.directory_id, directory.meta.directory_id, 16);
    }
    const struct checksum sum = checksum_of(&manifest, offsetof(struct manifest, checksum));
    if ((flags & 1) != 0)
        manifest.checksum = sum;
    if ((flags & 4) != 0)
        file_size = sizeof manifest;
    memcpy(bytes, &manifest, file_size < sizeof manifest ? file_size : sizeof manifest);
    fuzz_file_write(directory.shard_fd, "manifest", bytes, file_size);
    int result = manifest_read(&directory, &read, &error);
    bool sound = file_size == sizeof manifest && checksum_equal(manifest.checksum, sum) &&
                 manifest.magic == magic && manifest.version == MANIFEST_VERSION &&
                 manifest.count <= MANIFEST_ENTRIES &&
                 memcmp(manifest.directory_id, directory.meta.directory_id, 16) == 0;
    MUST((result == 0) == sound);
    MUST(result == 0 || result == -EBADMSG || result == -EXDEV || result == -EPROTO);
    MUST(memcmp(&read, sound ? &manifest : &(struct manifest){0}, sizeof read) == 0);
    if (sound)
        operation_run(operation, &read);
    return 0;
}

static void samples_write(void)
{
    uint8_t sample[2 + sizeof(struct manifest)] = {7};
    struct manifest manifest = {.count = 2, .entries = {{.segment = 5, .lsn = 7}, {.segment = 1}}};
    memcpy(sample + 2, &manifest, sizeof manifest);
    for (uint8_t operation = 0; operation < 4; operation++) {
        const char name[] = {'o', 'p', (char)('0' + operation), 0};
        sample[1] = operation;
        fuzz_sample(name, sample, sizeof sample);
    }
    fuzz_samples_end();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    if (fuzz_samples_wanted())
        samples_write();
    image_directory_make(&directory);
    fuzz_file_write(directory.shard_fd, "0000000000.log", "", 0);
    memcpy(&magic, "GIROMANI", sizeof magic);
    return 0;
}
