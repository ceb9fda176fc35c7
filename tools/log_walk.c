#include "tools/log_walk.h"

#include "wal/log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WINDOW_SEGMENTS = 4 };

int log_walk_open(struct log_walk *walk, const char *data, enum directory_access access,
                  struct error *error)
{
    *walk = (struct log_walk){.directory = {.shard_fd = -1, .lock_fd = -1}};
    int result = directory_open(data, access, 0, &walk->directory, error);
    if (result != 0)
        return result;
    walk->window_bytes = (uint64_t)WINDOW_SEGMENTS * walk->directory.meta.segment_bytes;
    walk->window = log_window_make(walk->window_bytes);
    if (walk->window == NULL)
        result = error_set(error, -ENOMEM, "out of memory");
    if (result == 0)
        result = log_reader_open(&walk->reader, &walk->directory, walk->window, walk->window_bytes,
                                 NULL, error);
    if (result == 0) {
        /* No log can hold more of anything than it has room for records. */
        uint64_t records = (uint64_t)walk->reader.segment_count *
                           walk->directory.meta.segment_bytes / GIRO_RECORD_BYTES;
        uint32_t most = records < UINT32_MAX / 2 ? (uint32_t)records : UINT32_MAX / 2;
        walk->config = (struct ledger_config){
            .accounts_max = most,
            .holds_max = most,
            .transfers_max = records,
            .hash_seed = directory_hash_seed(&walk->directory),
        };
        if (ledger_create(&walk->config, &walk->ledger) != 0)
            result = error_set(error, -ENOMEM, "out of memory");
    }
    if (result != 0)
        log_walk_close(walk);
    return result;
}

void log_walk_close(struct log_walk *walk)
{
    log_reader_close(&walk->reader);
    ledger_destroy(walk->ledger);
    log_window_free(walk->window, walk->window_bytes);
    directory_close(&walk->directory);
}

int log_walk_next(struct log_walk *walk, const struct block_header **out_header,
                  struct error *error)
{
    return log_reader_next(&walk->reader, out_header, error);
}

int log_walk_apply(struct log_walk *walk, const struct block_header *header, struct error *error)
{
    const union record *records = block_records(header);
    uint64_t address = block_address(header, walk->directory.meta.segment_bytes);
    uint32_t index = 0;
    for (uint32_t i = 0; i < header->record_count; i++)
        walk->records[record_kind(&records[i])]++;
    if (ledger_replay(walk->ledger, records, header->record_count, address, &index) != 0)
        return log_walk_contradiction(walk, header, index, error);
    if (!ledger_replay_ends(walk->ledger))
        return log_walk_contradiction(walk, header, header->record_count - 1, error);
    return 0;
}

int log_walk_contradiction(const struct log_walk *walk, const struct block_header *header,
                           uint32_t index, struct error *error)
{
    return error_set(error, -EBADMSG,
                     "%s/shard-0/%010u.log: record %u of block %" PRIu64
                     " at offset %u contradicts the ledger before it",
                     walk->directory.path, header->segment, index, header->lsn, header->offset);
}

void u128_format(giro_u128 number, char out[U128_TEXT_BYTES])
{
    char digits[U128_TEXT_BYTES];
    int count = 0;
    do {
        digits[count++] = (char)('0' + (int)(number % 10));
        number /= 10;
    } while (number != 0);
    for (int i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    out[count] = 0;
}

void time_format(uint64_t ns, char out[TIME_TEXT_BYTES])
{
    time_t seconds = (time_t)(ns / GIRO_NS_PER_S);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    char text[24];
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, TIME_TEXT_BYTES, "%s.%09uZ", text, (unsigned)(ns % GIRO_NS_PER_S));
}

bool time_parse(const char *text, uint64_t *out_ns)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL) {
        char *end;
        errno = 0;
        uint64_t ns = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *end != 0 || !isdigit((unsigned char)text[0]))
            return false;
        *out_ns = ns;
        return true;
    }
    uint64_t fraction = 0;
    uint64_t unit = GIRO_NS_PER_S;
    if (*rest == '.') {
        for (rest++; isdigit((unsigned char)*rest) && unit > 1; rest++) {
            unit /= 10;
            fraction += (uint64_t)(*rest - '0') * unit;
        }
    }
    time_t seconds = timegm(&tm);
    if (seconds < 0 || (*rest != 0 && !(*rest == 'Z' && rest[1] == 0)))
        return false;
    *out_ns = (uint64_t)seconds * GIRO_NS_PER_S + fraction;
    return true;
}
