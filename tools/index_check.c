#include "tools/index_check.h"

#include "tools/log_walk.h"
#include "wal/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void index_check_begin(struct index_check *check, const struct directory *directory)
{
    *check = (struct index_check){.directory = directory};
    int result = manifest_read(directory, &check->manifest, &check->manifest_text);
    check->manifest_damaged = result != 0 && result != -ENOENT;
}

void index_check_free(struct index_check *check)
{
    free(check->segments);
    free(check->records);
    *check = (struct index_check){0};
}

/* Room for one more item. */
static void *room_make(void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room == 0 ? 64 : 2 * *room;
    items = realloc(items, *room * size);
    if (items == NULL)
        abort();
    return items;
}

/* ---- Following the log ------------------------------------------------------------------- */

static void digests_take(struct index_check *check, const struct block_header *header,
                         const struct ledger *ledger)
{
    for (uint32_t i = 0; i < check->manifest.count; i++) {
        if (check->manifest.entries[i].segment != header->segment)
            continue;
        check->digests[i] = ledger_digest(ledger);
        check->reached[i] = true;
    }
}

static void record_take(struct index_check *check, struct segment_facts *facts,
                        const union record *record)
{
    switch (record_kind(record)) {
    case RECORD_TRANSFER:
        if (facts->transfer_first == 0)
            facts->transfer_first = record->transfer.timestamp;
        facts->transfer_last = record->transfer.timestamp;
        facts->transfers++;
        break;
    case RECORD_ACCOUNT:
        facts->accounts++;
        break;
    case RECORD_SYSTEM:
        if (record_system(record) != RECORD_SYSTEM_SNAPSHOT)
            break;
        check->records = room_make(check->records, check->record_count, &check->records_room,
                                   sizeof *check->records);
        check->records[check->record_count++] = record->snapshot;
        break;
    case RECORD_BURNT:
        break;
    }
}

void index_check_block(struct index_check *check, const struct block_header *header,
                       const struct ledger *ledger)
{
    if (header->offset == 0) {
        digests_take(check, header, ledger);
        check->segments = room_make(check->segments, check->segment_count, &check->segments_room,
                                    sizeof *check->segments);
        check->segments[check->segment_count++] = (struct segment_facts){
            .segment = header->segment,
            .lsn_first = header->lsn,
            .ordinal_first = header->ordinal,
            .previous = header->previous,
        };
    }
    struct segment_facts *facts = &check->segments[check->segment_count - 1];
    for (uint32_t i = 0; i < header->record_count; i++)
        record_take(check, facts, &block_records(header)[i]);
    facts->epoch = header->epoch;
    facts->used_bytes = header->offset + header->block_bytes;
    facts->last_offset = header->offset;
    facts->lsn_end = header->lsn + 1;
    facts->ordinal_end = header->ordinal + header->record_count;
    facts->written_at = header->written_at;
    facts->head = header->header_checksum;
}

/* ---- Reading what was derived ------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void damaged(struct index_check *check,
                                                          const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("index      ");
    (void)vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    check->damaged++;
}

static void sidecar_check(struct index_check *check, uint32_t segment)
{
    struct sidecar *sidecar;
    struct error text;
    int result = sidecar_open(check->directory, segment, &sidecar, &text);
    if (result == -ENOENT)
        return; /* never made, or lost: the next start makes it */
    if (result != 0) {
        damaged(check, "%s", text.text);
        return;
    }
    bool same = segment + 1 < check->segment_count &&
                memcmp(&sidecar->facts, &check->segments[segment], sizeof sidecar->facts) == 0;
    sidecar_close(sidecar);
    if (segment + 1 >= check->segment_count)
        damaged(check, "%s/shard-0/%010u.idx: an index of a segment that the log has not left",
                check->directory->path, segment);
    else if (!same)
        damaged(check, "%s/shard-0/%010u.idx: does not belong to the log", check->directory->path,
                segment);
    else if (sidecar_verify(check->directory, segment, &text) != 0)
        damaged(check, "%s", text.text);
    else
        check->sidecars++;
}

/* Compares what a snapshot holds with the state that replay had there. Returns 0 or -errno: -EPROTO of
 * another version. */
static int snapshot_prove(const struct index_check *check, uint32_t i,
                          const struct ledger_config *config, struct error *error)
{
    const struct manifest_entry *entry = &check->manifest.entries[i];
    struct ledger *ledger;
    struct snapshot_meta meta;
    struct segment_facts *facts;
    if (ledger_create(config, &ledger) != 0)
        return error_set(error, -ENOMEM, "out of memory");
    int result = snapshot_load(check->directory, entry, ledger, &meta, &facts, error);
    ledger_destroy(ledger);
    if (result != 0)
        return result;
    bool same = checksum_equal(meta.digest, check->digests[i]) &&
                memcmp(facts, check->segments, entry->segment * sizeof *facts) == 0;
    free(facts);
    if (same)
        return 0;
    return error_set(error, -EBADMSG,
                     "%s/shard-0/snapshot-%010u.mdb: holds another state than the log leads to",
                     check->directory->path, entry->segment);
}

/* Whether the log names the file as it is. 1: it does, 0: it names it otherwise, -1: not at all. */
static int snapshot_recorded(const struct index_check *check, const struct manifest_entry *entry)
{
    int found = -1;
    for (uint32_t i = 0; i < check->record_count; i++) {
        const struct record_snapshot *record = &check->records[i];
        if (record->segment != entry->segment)
            continue;
        if (record->file_bytes == entry->file_bytes && record->lsn == entry->lsn &&
            checksum_equal(record->file, entry->file))
            return 1;
        found = 0;
    }
    return found;
}

static void snapshot_look(struct index_check *check, uint32_t i, const struct ledger_config *config)
{
    const struct manifest_entry *entry = &check->manifest.entries[i];
    struct error text;
    int result;
    if (snapshot_check(check->directory, entry, &text) != 0) {
        damaged(check, "%s", text.text);
    } else if (!check->reached[i] || entry->segment == 0 ||
               check->segments[entry->segment - 1].lsn_end != entry->lsn + 1) {
        damaged(check, "%s/shard-0/snapshot-%010u.mdb: of a state that the log does not lead to",
                check->directory->path, entry->segment);
    } else if ((result = snapshot_prove(check, i, config, &text)) == -EPROTO) {
        printf(
            "snapshot   of segment %u: of another version of giro: it is not used, and goes when "
            "there are two new ones\n",
            entry->segment);
    } else if (result != 0) {
        damaged(check, "%s", text.text);
    } else {
        check->snapshots++;
        if (snapshot_recorded(check, entry) == 0)
            printf("snapshot   of segment %u: not the file that the log names, but it holds the "
                   "right state: it was made again\n",
                   entry->segment);
    }
}

void index_check_end(struct index_check *check, const struct ledger_config *config)
{
    uint32_t count = 0;
    struct error text;
    if (check->manifest_damaged)
        damaged(check, "%s", check->manifest_text.text);
    for (uint32_t i = 0; i < check->manifest.count; i++)
        snapshot_look(check, i, config);
    if (directory_segments(check->directory, &count, &text) != 0)
        count = check->segment_count;
    for (uint32_t segment = 0; segment < count; segment++)
        sidecar_check(check, segment);
}
