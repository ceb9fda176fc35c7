#include "tests/fuzz/log_image.h"

#include "tests/fuzz/fuzz.h"
#include "tests/history_fixture.h"
#include "tests/ledger_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    RECORDS_MAX = IMAGE_BYTES_MAX / GIRO_RECORD_BYTES,
    BLOCKS_MAX = IMAGE_BYTES_MAX / IMAGE_SECTOR_BYTES,
    SAMPLES = 3,
    SAMPLE_BYTES = 4 << 10, /* at least */
};

struct image image_of(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    size_t first = (size_t)input_number(&input, IMAGE_PREFIX_BYTES) * IMAGE_SECTOR_BYTES;
    if (input.left > IMAGE_BYTES_MAX)
        input.left = IMAGE_BYTES_MAX;
    if (first > input.left)
        first = input.left;
    return (struct image){
        .bytes = {input.at, input.at + first},
        .size = {first, input.left - first},
    };
}

void image_directory_make(struct directory *directory)
{
    static char path[SCRATCH_PATH_BYTES];
    *directory = (struct directory){
        .meta = {.segment_bytes = 64 << 10, .sector_bytes = IMAGE_SECTOR_BYTES, .shard_count = 1},
        .lock_fd = -1,
    };
    memset(directory->meta.directory_id, 0xa5, sizeof directory->meta.directory_id);
    scratch_make(path);
    (void)atexit(scratch_clean);
    (void)snprintf(directory->path, sizeof directory->path, "%s", path);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(folder >= 0 && mkdirat(folder, "shard-0", 0700) == 0);
    directory->shard_fd = openat(folder, "shard-0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(directory->shard_fd >= 0);
}

/* ---- Mutation ---------------------------------------------------------------------------- */

/* A log taken apart. */
struct parts {
    union record records[RECORDS_MAX];
    struct {
        struct block_header header;
        uint32_t records; /* that follow each other in records */
        bool begins_segment;
    } blocks[BLOCKS_MAX];
    uint32_t record_count;
    uint32_t block_count;
};

static struct parts parts;

static void segment_part(const uint8_t *bytes, size_t size, bool second)
{
    bool begins = second;
    while (size >= BLOCK_HEADER_BYTES && parts.block_count < BLOCKS_MAX) {
        struct block_header header;
        memcpy(&header, bytes, sizeof header);
        size_t room = (size - BLOCK_HEADER_BYTES) / GIRO_RECORD_BYTES;
        uint32_t count = header.record_count < room ? header.record_count : (uint32_t)room;
        if (count > RECORDS_MAX - parts.record_count)
            count = RECORDS_MAX - parts.record_count;
        parts.blocks[parts.block_count].header = header;
        parts.blocks[parts.block_count].records = count;
        parts.blocks[parts.block_count++].begins_segment = begins;
        memcpy(&parts.records[parts.record_count], bytes + BLOCK_HEADER_BYTES,
               (size_t)count * GIRO_RECORD_BYTES);
        parts.record_count += count;
        size_t whole = block_size_bytes(count, IMAGE_SECTOR_BYTES);
        begins = false;
        bytes += whole < size ? whole : size;
        size -= whole < size ? whole : size;
    }
}

static void image_part(const uint8_t *data, size_t size)
{
    struct image image = image_of(data, size);
    parts.record_count = 0;
    parts.block_count = 0;
    for (uint32_t i = 0; i < IMAGE_SEGMENTS; i++)
        segment_part(image.bytes[i], image.size[i], i == 1);
}

/* Adds or takes away a record at a place, in the block that it belongs to. */
static void record_insert(struct rng *rng, uint32_t at, const union record *record)
{
    uint32_t end = 0;
    uint32_t block = 0;
    if (parts.record_count == RECORDS_MAX || parts.block_count == 0)
        return;
    while (block + 1 < parts.block_count && end + parts.blocks[block].records < at)
        end += parts.blocks[block++].records;
    parts.blocks[block].records++;
    memmove(&parts.records[at + 1], &parts.records[at],
            (parts.record_count - at) * sizeof *parts.records);
    parts.records[at] = *record;
    parts.record_count++;
}

static void record_delete(uint32_t at)
{
    uint32_t end = 0;
    for (uint32_t block = 0; block < parts.block_count; block++) {
        end += parts.blocks[block].records;
        if (end <= at)
            continue;
        parts.blocks[block].records--;
        memmove(&parts.records[at], &parts.records[at + 1],
                (parts.record_count - at - 1) * sizeof *parts.records);
        parts.record_count--;
        return;
    }
}

/* Ids lie at 0, 16, 32 and 64 of a transfer, and every field at a multiple of 4 or 2. */
static void field_change(struct rng *rng, union record *record, const union record *other)
{
    static const uint8_t ids[] = {0, 16, 32, 64, 48};
    uint8_t *to = (uint8_t *)record;
    const uint8_t *from = (const uint8_t *)other;
    switch (rng_below(rng, 5)) {
    case 0:
        memcpy(to + ids[rng_below(rng, 5)], from + ids[rng_below(rng, 5)], 16);
        break;
    case 1:
        record->transfer.flags ^= (uint16_t)(1u << rng_below(rng, 16));
        break;
    case 2: {
        uint32_t at = rng_below(rng, GIRO_RECORD_BYTES / 4) * 4;
        memcpy(to + at, from + at, 4);
        break;
    }
    case 3:
        to[rng_below(rng, GIRO_RECORD_BYTES)] = (uint8_t)rng_next(rng);
        break;
    default:
        (void)LLVMFuzzerMutate(to, GIRO_RECORD_BYTES, GIRO_RECORD_BYTES);
    }
}

/* What names the transfer of another record: resolves or amends it, returns it, ends it. */
static void follower_insert(struct rng *rng, const struct giro_transfer *named)
{
    static const uint16_t flags[] = {
        GIRO_TRANSFER_POST_PENDING,
        GIRO_TRANSFER_POST_PENDING,
        GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_FACT,
        GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN,
        GIRO_TRANSFER_POST_PENDING | GIRO_TRANSFER_KEEP_OPEN | GIRO_TRANSFER_FACT,
        GIRO_TRANSFER_VOID_PENDING,
        GIRO_TRANSFER_VOID_PENDING | GIRO_TRANSFER_KEEP_OPEN,
        GIRO_TRANSFER_PENDING | GIRO_TRANSFER_ADJUST,
        GIRO_TRANSFER_RETURN,
        GIRO_TRANSFER_RETURN | GIRO_TRANSFER_PENDING,
        GIRO_TRANSFER_RETURN | GIRO_TRANSFER_FACT,
        RECORD_SYSTEM << RECORD_KIND_SHIFT,
    };
    union record record = {.transfer = *named};
    struct giro_transfer *transfer = &record.transfer;
    transfer->pending_id = named->id;
    transfer->id = rng_below(rng, 4096);
    transfer->flags = flags[rng_below(rng, sizeof flags / sizeof flags[0])];
    if (record_kind(&record) == RECORD_SYSTEM) {
        transfer->code = RECORD_SYSTEM_EXPIRY;
    } else if ((transfer->flags & GIRO_TRANSFER_RETURN) != 0) {
        transfer->debit_account_id = named->credit_account_id;
        transfer->credit_account_id = named->debit_account_id;
    }
    record_insert(rng, parts.record_count, &record);
}

/* Limits of an account, one slot of velocity limits among them. */
static union record limits_make(struct rng *rng, const struct giro_transfer *named)
{
    union record record = {
        .limits = {
            .account_id = named->credit_account_id,
            .transfer_max = rng_below(rng, 100),
            .over_capture = rng_below(rng, GIRO_OVER_CAPTURE_MAX + 2),
            .reserved = RECORD_SYSTEM_LIMITS,
            .flags = (uint16_t)(RECORD_SYSTEM << RECORD_KIND_SHIFT | rng_below(rng, 8)),
            .timestamp = named->timestamp,
        }};
    uint32_t slot = rng_below(rng, GIRO_VELOCITY_SLOTS);
    if (rng_chance(rng, 50))
        return record;
    record.limits.velocity_max[slot] = rng_below(rng, 4) == 0 ? rng_next(rng) : rng_below(rng, 100);
    record.limits.velocity[slot] = (struct giro_velocity){
        .period = (uint16_t)rng_below(rng, rng_chance(rng, 20) ? 1 << 16 : 4),
        .unit = (uint8_t)rng_below(rng, GIRO_PERIOD_MONTHS + 2),
        .window = rng_below(rng, GIRO_WINDOW_RATE + 2) & 0xf,
        .verdict = rng_below(rng, GIRO_VERDICT_REJECT + 1) & 3,
        .flags = rng_below(rng, GIRO_VELOCITY_FLAGS_ALL + 1) & 3,
    };
    return record;
}

/* In front of a transfer: what it needs besides; or limits of its account. */
static void companion_insert(struct rng *rng, uint32_t at)
{
    const struct giro_transfer named = parts.records[at].transfer;
    union record record = {.transfer = {
                               .debit_account_id = named.credit_account_id,
                               .credit_account_id = named.debit_account_id,
                               .amount = named.amount,
                               .pending_id = rng_chance(rng, 60) ? named.pending_id : 0,
                               .user_data_128 = named.id,
                               .user_data_32 = rng_chance(rng, 50) ? 1 + rng_below(rng, 31) : 0,
                               .code = RECORD_SYSTEM_PAYMENT,
                               .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
                               .timestamp = named.timestamp,
                           }};
    if (rng_chance(rng, 30))
        record = limits_make(rng, &named);
    record_insert(rng, at, &record);
}

/* A client's next request, or its registration, behind a record: with as many results as it says. */
static void session_insert(struct rng *rng, uint32_t at)
{
    const uint32_t failed = rng_chance(rng, 50) ? 0 : rng_below(rng, 16);
    union record record = {.session = {
                               .client = 1 + rng_below(rng, 6),
                               .timestamp_first = parts.records[at].transfer.timestamp,
                               .request_number = rng_chance(rng, 30) ? 0 : 1 + rng_below(rng, 40),
                               .row = rng_below(rng, 4),
                               .event_count = failed + rng_below(rng, 3),
                               .result_count = failed,
                               .code = RECORD_SYSTEM_SESSION,
                               .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
                               .timestamp = parts.records[at].transfer.timestamp,
                           }};
    const uint64_t timestamp = record.session.timestamp;
    record_insert(rng, ++at, &record);
    for (uint32_t done = 0; done < failed && at < parts.record_count; done += SESSION_RESULTS) {
        const uint32_t left = failed - done;
        record = (union record){.session_results = {
                                    .count = left < SESSION_RESULTS ? left : SESSION_RESULTS,
                                    .code = RECORD_SYSTEM_SESSION_RESULTS,
                                    .flags = RECORD_SYSTEM << RECORD_KIND_SHIFT,
                                    .timestamp = timestamp,
                                }};
        record_insert(rng, ++at, &record);
    }
}

static uint64_t session_numbers[8]; /* of clients 0 .. 7 */

/* A session's number is where it was registered: as it was, if the log had not moved meanwhile. */
static void session_renumber(union record *record, uint64_t address)
{
    struct record_session *session = &record->session;
    uint64_t *number = &session_numbers[session->client % 8];
    if (record_system(record) != RECORD_SYSTEM_SESSION)
        return;
    if (session->request_number == 0)
        *number = address;
    session->number = *number;
}

static void parts_mutate(struct rng *rng)
{
    union record other;
    uint32_t at;
    if (parts.record_count == 0)
        return;
    at = rng_below(rng, parts.record_count);
    other = parts.records[rng_below(rng, parts.record_count)];
    switch (rng_below(rng, 10)) {
    case 0:
        record_insert(rng, at, &other);
        break;
    case 1:
        record_delete(at);
        break;
    case 2:
        parts.records[at] = other;
        break;
    case 3:
        follower_insert(rng, &parts.records[at].transfer);
        break;
    case 4:
        companion_insert(rng, at);
        break;
    case 5:
        session_insert(rng, at);
        break;
    default:
        field_change(rng, &parts.records[at], &other);
    }
}

/* Makes a header what its place demands; strict: else it keeps what it says, and is only sealed. */
static void header_fill(const struct directory_meta *meta, struct block_header *header,
                        const struct block_header *before, uint32_t segment, uint32_t offset,
                        uint32_t records, bool strict)
{
    header->record_count = records;
    header->block_bytes = block_size_bytes(records, IMAGE_SECTOR_BYTES);
    if (before != NULL)
        header->previous = before->header_checksum;
    if (!strict)
        return;
    header->magic = BLOCK_MAGIC;
    header->version = BLOCK_VERSION;
    header->shard = 0;
    memcpy(header->directory_id, meta->directory_id, sizeof header->directory_id);
    header->segment = segment;
    header->offset = offset;
    header->lsn = before == NULL ? 1 : before->lsn + 1;
    header->lsn_durable = header->lsn - 1;
    header->ordinal = before == NULL ? 0 : before->ordinal + before->record_count;
    header->kind %= BLOCK_KIND_MAX + 1;
    if (before == NULL)
        header->previous = (struct checksum){0};
}

/* Puts the log together again, every block sealed. */
static size_t image_join(const struct directory_meta *meta, uint8_t *data, size_t size_max,
                         bool strict)
{
    static _Alignas(16) uint8_t bytes[IMAGE_BYTES_MAX + (8 << 10)];
    const struct block_header *before = NULL;
    size_t size = 0;
    size_t begin = 0; /* of the segment */
    uint32_t record = 0;
    uint32_t segment = 0;
    for (uint32_t b = 0; b < parts.block_count; b++) {
        uint32_t count = parts.blocks[b].records;
        size_t whole = block_size_bytes(count, IMAGE_SECTOR_BYTES);
        if (size + whole > IMAGE_BYTES_MAX || size + whole + IMAGE_PREFIX_BYTES > size_max)
            break;
        if (parts.blocks[b].begins_segment && segment == 0 && b > 0) {
            segment = 1;
            begin = size;
        }
        struct block_header *header = (struct block_header *)(void *)(bytes + size);
        memset(header, 0, whole);
        *header = parts.blocks[b].header;
        memcpy(header + 1, &parts.records[record], (size_t)count * GIRO_RECORD_BYTES);
        for (uint32_t i = 0; i < count && strict; i++)
            session_renumber((union record *)(void *)(header + 1) + i,
                             (segment * (uint64_t)meta->segment_bytes + size - begin) /
                                     GIRO_RECORD_BYTES +
                                 1 + i);
        header_fill(meta, header, before, segment, (uint32_t)(size - begin), count, strict);
        block_seal(header);
        before = header;
        record += count;
        size += whole;
    }
    uint16_t sectors = (uint16_t)((segment == 0 ? size : begin) / IMAGE_SECTOR_BYTES);
    memcpy(data, &sectors, sizeof sectors);
    memcpy(data + IMAGE_PREFIX_BYTES, bytes, size);
    return IMAGE_PREFIX_BYTES + size;
}

size_t image_mutate(const struct directory_meta *meta, uint8_t *data, size_t size, size_t size_max,
                    unsigned seed)
{
    struct rng rng = {seed};
    bool strict = !rng_chance(&rng, 8);
    if (size < IMAGE_PREFIX_BYTES + BLOCK_HEADER_BYTES || rng_chance(&rng, 5))
        return LLVMFuzzerMutate(data, size, size_max);
    image_part(data, size);
    for (uint32_t i = 1 + rng_below(&rng, 4); i > 0 && strict; i--)
        parts_mutate(&rng);
    if (!strict && parts.block_count > 0) {
        struct block_header *header = &parts.blocks[rng_below(&rng, parts.block_count)].header;
        (void)LLVMFuzzerMutate((uint8_t *)header, sizeof *header, sizeof *header);
    }
    if (rng_chance(&rng, 5) && parts.block_count > 0) {
        uint32_t block = rng_below(&rng, parts.block_count);
        parts.blocks[block].begins_segment = !parts.blocks[block].begins_segment;
    }
    return image_join(meta, data, size_max, strict);
}

/* ---- Samples ----------------------------------------------------------------------------- */

static void sample_write(uint32_t number)
{
    static struct history history;
    static uint8_t sample[IMAGE_PREFIX_BYTES + IMAGE_BYTES_MAX];
    const struct history_options options = {
        .segment_bytes = 4 << 20, .segments_max = 2, .accounts_max = 256, .holds_max = 8192};
    const struct history_mix mix = {.accounts = 6,
                                    .hot_percent = 20,
                                    .events_max = 6,
                                    .account_chance = 10,
                                    .imports = number == 1,
                                    .sessions_chance = 50 * number};
    struct rng rng = {number};
    char name[24];
    history_open(&history, &options);
    history_mark(&history, BLOCK_START);
    history_begin(&history, &rng, &mix);
    while (history.offset < SAMPLE_BYTES)
        history_request(&history, &rng, &mix);
    history_digest(&history);
    history_flush(&history);
    const size_t first = history.offset;
    if (number == 2)
        history_roll(&history);
    while (history.position.ordinal % 16 < 8)
        history_request(&history, &rng, &mix);
    history_mark(&history, BLOCK_STOP);
    size_t second = history.position.segment == 1 ? history.offset : history.offset - first;
    const char *log = (const char *)history.log;
    uint16_t sectors =
        (uint16_t)((history.position.segment == 1 ? first : first + second) / IMAGE_SECTOR_BYTES);
    memcpy(sample, &sectors, sizeof sectors);
    memcpy(sample + IMAGE_PREFIX_BYTES, log, first);
    memcpy(sample + IMAGE_PREFIX_BYTES + first,
           log + (history.position.segment == 1 ? options.segment_bytes : first), second);
    (void)snprintf(name, sizeof name, "log_%u", number);
    fuzz_sample(name, sample, IMAGE_PREFIX_BYTES + first + second);
    history_close(&history);
}

/* Whether a record is of one request with the one behind it. */
static bool announces(const union record *record)
{
    const uint16_t system = record_system(record);
    return system == RECORD_SYSTEM_PAYMENT || system == RECORD_SYSTEM_SCHEDULE ||
           (system == RECORD_SYSTEM_FIRING && record->firing.transfer_result == 0);
}

/* Payments, limits, cut-offs, leases and schedules: every kind of their records, in blocks of a few. */
static void sample_payments_write(void)
{
    static const char text[] = "account A1 settles | created\n"
                               "account A2 debits_must_not_exceed_credits | created\n"
                               "account A3 | created\n"
                               "\ntransfer T1 A1 A2 100 | created\n"
                               "\nlimits A2 floor=5 | set\n"
                               "limits A3 over_capture=2000 transfer_max=90 | set\n"
                               "\ncut_off 1 0 | done\n"
                               "\npending T2 A1 A3 50 timeout=9 | created\n"
                               "adjust T3 T2 10 timeout=20 | created\n"
                               "post T4 T2 20 keep_open | created\n"
                               "void T5 T2 5 keep_open | created\n"
                               "post T6 T2 40 | created\n"
                               "return T7 T4 A3 A1 10 pending | created\n"
                               "post T8 T7 12 fact | created\n"
                               "return T9 T8 A1 A3 3 | created\n"
                               "return T10 T9 A3 A1 1 fact | created\n"
                               "pending T11 A1 A3 7 timeout=1 | created\n"
                               "\nlimits A1 v0=60:1d:calendar:debits:amount:mark"
                               " v1=9:5s:sliding:credits:count:off v2=90:1h:rate:debits:amount:hold"
                               " v3=7:2M:calendar:credits:amount:off | set\n"
                               "\ntransfer T15 A1 A2 80 | created\n"
                               "transfer T16 A1 A2 80 | created\n"
                               "post T17 T16 80 | created\n"
                               "\nlimits A3 frozen | set\n"
                               "\ntransfer T12 A1 A3 200 fact | created\n"
                               "\ncut_off 1 1 | done\n"
                               "cut_off 2 0 | done\n"
                               "at now+3s\n"
                               "expire | 1\n"
                               "pending T13 A1 A2 8 | created\n"
                               "adjust T14 T13 1 | created\n"
                               "\nacquire K1 O1 1000 as=a | done\n"
                               "\nrenew K1 O1 $a 2000 | done\n"
                               "release K1 O1 $a | done\n"
                               "\nrepeat S1 A1 A2 3 first=now each=1s retry=1 | done\n"
                               "repeat S2 A2 A1 900 first=now each=1s pending retry=1:2 | done\n"
                               "fire | 2\n"
                               "cancel S1 | done\n"
                               "at now+1s\n"
                               "fire | 1\n";
    static uint8_t sample[IMAGE_PREFIX_BYTES + IMAGE_BYTES_MAX];
    const struct fixture_config config = {.log_records = 1 << 10};
    struct directory_meta meta = {0};
    struct fixture fixture;
    memset(meta.directory_id, 0xa5, sizeof meta.directory_id);
    memset(&parts, 0, sizeof parts);
    fixture_init(&fixture, &config);
    fixture_script(&fixture, text, NULL);
    for (uint64_t address = 1; address < fixture.address_next; address++) {
        if (fixture.log[address].transfer.timestamp == 0)
            continue; /* where a header would be */
        if (parts.record_count == 0 ||
            (parts.record_count % 8 == 0 && !announces(&parts.records[parts.record_count - 1])))
            parts.block_count++;
        parts.records[parts.record_count++] = fixture.log[address];
        parts.blocks[parts.block_count - 1].records++;
    }
    fixture_free(&fixture);
    fuzz_sample("payments", sample, image_join(&meta, sample, sizeof sample, true));
}

void image_samples_write(void)
{
    sample_payments_write();
    for (uint32_t i = 0; i < SAMPLES; i++)
        sample_write(i);
    fuzz_samples_end();
}
