#include "tests/atlas/region.h"

/* By segment and by how the ledger is started. */
typedef enum outcome region_outcomes[SPECIMEN_SEGMENTS][STAND_MODES];

/* Nothing is served under an identity that is not certain. */
static const region_outcomes identity = {{OUTCOME_REFUSED, OUTCOME_REFUSED}};

/* Without it nobody knows which snapshots there are. */
static const region_outcomes manifest = {{OUTCOME_LOG}};

static const region_outcomes lock = {{OUTCOME_HARMLESS, OUTCOME_HARMLESS}};

/* What was acknowledged. A start that begins with a snapshot does not read what lies before it:
 * whoever asks for it is refused. */
static const region_outcomes acknowledged = {
    {OUTCOME_ANSWERS, OUTCOME_REFUSED},
    {OUTCOME_ANSWERS, OUTCOME_REFUSED},
    {OUTCOME_REFUSED, OUTCOME_REFUSED},
    {OUTCOME_REFUSED, OUTCOME_REFUSED},
};

/* The newer snapshot is not used, and behind the older one the damage is found. */
static const region_outcomes head = {{0}, {OUTCOME_REFUSED, OUTCOME_REFUSED}};

/* Nothing behind it proves that it was written before a crash; it holds no records. */
static const region_outcomes mark = {{0}, {0}, {0}, {OUTCOME_CUT, OUTCOME_CUT}};

/* Nobody's data, not even where the checksum of a page of a sealed log covers it: what was there
 * when the checksum was made is known. */
static const region_outcomes tail = {
    {OUTCOME_HARMLESS, OUTCOME_HARMLESS}, {OUTCOME_HARMLESS, OUTCOME_HARMLESS},
    {OUTCOME_HARMLESS, OUTCOME_HARMLESS}, {OUTCOME_CUT, OUTCOME_CUT},
    {OUTCOME_CUT, OUTCOME_CUT},
};

/* A start needs it: the snapshots that rely on it cannot be used. Where the log is read, every page
 * of an index is looked at, and it is made again. */
static const region_outcomes index_start = {
    {OUTCOME_LOG, OUTCOME_REBUILT},
    {OUTCOME_OLDER, OUTCOME_REBUILT},
    {OUTCOME_REBUILT, OUTCOME_REBUILT},
};

/* Only queries need it. */
static const region_outcomes index_query = {
    {OUTCOME_ANSWERS, OUTCOME_REBUILT},
    {OUTCOME_ANSWERS, OUTCOME_REBUILT},
    {OUTCOME_REBUILT, OUTCOME_REBUILT},
};

/* The older one is not looked at while the newer one is sound. */
static const region_outcomes snapshot = {{0}, {OUTCOME_HARMLESS}, {OUTCOME_OLDER}};

static const struct region_row {
    const char *name;
    const region_outcomes *outcomes;
} rows[REGION_COUNT] = {
    [REGION_META_HEAD] = {"magic, version, shard_count", &identity},
    [REGION_META_ID] = {"directory_id", &identity},
    [REGION_META_SIZES] = {"segment_bytes, sector_bytes", &identity},
    [REGION_META_CREATED] = {"created_at", &identity},
    [REGION_META_ZEROS] = {"zeros", &identity},
    [REGION_META_CHECKSUM] = {"checksum", &identity},
    [REGION_MANIFEST_HEAD] = {"magic, version, count, directory_id", &manifest},
    [REGION_MANIFEST_NEWER] = {"entry of the newer snapshot", &manifest},
    [REGION_MANIFEST_OLDER] = {"entry of the older snapshot", &manifest},
    [REGION_MANIFEST_ZEROS] = {"zeros", &manifest},
    [REGION_MANIFEST_CHECKSUM] = {"checksum", &manifest},
    [REGION_LOCK] = {"lock", &lock},
    [REGION_LOG_HEADER] = {"block headers", &acknowledged},
    [REGION_LOG_HEAD] = {"header of the last block before the newer snapshot", &head},
    [REGION_LOG_RECORDS] = {"records", &acknowledged},
    [REGION_LOG_PADDING] = {"padding of blocks", &acknowledged},
    [REGION_LOG_MARK] = {"the last block, an idle mark", &mark},
    [REGION_LOG_PAGE_END] = {"zeros behind the last block, to the end of its 4 KiB", &tail},
    [REGION_LOG_TAIL] = {"zeros behind that", &tail},
    [REGION_SIDECAR_HEADER] = {"header page", &index_start},
    [REGION_SIDECAR_SECTIONS + SECTION_RUNS] = {"runs", &index_start},
    [REGION_SIDECAR_SECTIONS + SECTION_IDS] = {"ids", &index_start},
    [REGION_SIDECAR_SECTIONS + SECTION_CHUNKS] = {"chunks", &index_start},
    [REGION_SIDECAR_SECTIONS + SECTION_LOG_PAGES] = {"log_pages", &index_query},
    [REGION_SIDECAR_SECTIONS + SECTION_ACCOUNTS] = {"accounts", &index_query},
    [REGION_SIDECAR_SECTIONS + SECTION_USER_DATA] = {"user_data", &index_query},
    [REGION_SIDECAR_SECTIONS + SECTION_HISTORY] = {"history", &index_query},
    [REGION_SIDECAR_SECTIONS + SECTION_BALANCES] = {"balances", &index_query},
    [REGION_SIDECAR_SECTIONS + SECTION_BASE] = {"base", &index_query},
    [REGION_SIDECAR_SECTIONS + SECTION_RELEASED] = {"released", &index_query},
    [REGION_SIDECAR_SECTIONS + SECTION_ACCOUNTS_FENCES] = {"accounts_fences", &index_start},
    [REGION_SIDECAR_SECTIONS + SECTION_USER_DATA_FENCES] = {"user_data_fences", &index_start},
    [REGION_SIDECAR_SECTIONS + SECTION_HISTORY_FENCES] = {"history_fences", &index_start},
    [REGION_SNAPSHOT_FREE] = {"free pages", &snapshot},
    [REGION_SNAPSHOT_META] = {"meta pages", &snapshot},
    [REGION_SNAPSHOT_BRANCH] = {"branch pages", &snapshot},
    [REGION_SNAPSHOT_LEAF] = {"leaf pages", &snapshot},
    [REGION_SNAPSHOT_OVERFLOW] = {"overflow pages", &snapshot},
};

static const char *const outcome_names[OUTCOME_COUNT] = {
    "nothing",         "harmless",        "cut",     "rebuilt", "older snapshot", "whole log",
    "answers refused", "last block torn", "refused", "WRONG",
};

const char *region_name(enum region region)
{
    return rows[region].name;
}

const char *outcome_name(enum outcome outcome)
{
    return outcome_names[outcome];
}

enum outcome region_outcome(enum region region, uint32_t segment, enum stand_mode mode)
{
    return (*rows[region].outcomes)[segment][mode];
}

/* ---- Where what lies --------------------------------------------------------------------- */

/* By the tables of docs/log-format.md, sections 1 and 15. */
static enum region meta_region(uint64_t offset)
{
    return offset < 16    ? REGION_META_HEAD
           : offset < 32  ? REGION_META_ID
           : offset < 40  ? REGION_META_SIZES
           : offset < 48  ? REGION_META_CREATED
           : offset < 496 ? REGION_META_ZEROS
                          : REGION_META_CHECKSUM;
}

static enum region manifest_region(uint64_t offset)
{
    return offset < 32    ? REGION_MANIFEST_HEAD
           : offset < 80  ? REGION_MANIFEST_NEWER
           : offset < 128 ? REGION_MANIFEST_OLDER
           : offset < 496 ? REGION_MANIFEST_ZEROS
                          : REGION_MANIFEST_CHECKSUM;
}

static enum region log_region(const struct specimen *specimen, uint32_t segment, uint64_t offset)
{
    const uint32_t used = specimen->used_bytes[segment];
    int32_t number = specimen_block_at(specimen, segment, (uint32_t)offset);
    if (number < 0)
        return used > 0 && offset / SIDECAR_PAGE_BYTES == (used - 1) / SIDECAR_PAGE_BYTES
                   ? REGION_LOG_PAGE_END
                   : REGION_LOG_TAIL;
    const struct specimen_block *block = &specimen->blocks[number];
    uint64_t at = offset - block->offset;
    if ((uint32_t)number + 1 == specimen->block_count)
        return REGION_LOG_MARK;
    if (at >= BLOCK_HEADER_BYTES)
        return at < BLOCK_HEADER_BYTES + (uint64_t)block->record_count * GIRO_RECORD_BYTES
                   ? REGION_LOG_RECORDS
                   : REGION_LOG_PADDING;
    bool named = segment + 1 == SPECIMEN_NEWER && block->offset + block->bytes == used;
    return named ? REGION_LOG_HEAD : REGION_LOG_HEADER;
}

static enum region sidecar_region(const struct specimen *specimen, uint32_t segment,
                                  uint64_t offset)
{
    const struct sidecar_header *header = &specimen->sidecars[segment];
    uint64_t page = offset / SIDECAR_PAGE_BYTES;
    for (unsigned i = SECTION_COUNT; i > 0 && page > 0; i--) {
        if (header->sections[i - 1].items > 0 && header->sections[i - 1].page_first <= page)
            return REGION_SIDECAR_SECTIONS + i - 1;
    }
    return REGION_SIDECAR_HEADER;
}

enum region region_at(const struct specimen *specimen, uint32_t file, uint64_t offset)
{
    const struct specimen_file *at = &specimen->files[file];
    if (offset >= at->size)
        offset = at->size > 0 ? at->size - 1 : 0;
    switch (at->kind) {
    case SPECIMEN_META:
        return meta_region(offset);
    case SPECIMEN_MANIFEST:
        return manifest_region(offset);
    case SPECIMEN_LOG:
        return log_region(specimen, at->segment, offset);
    case SPECIMEN_SIDECAR:
        return sidecar_region(specimen, at->segment, offset);
    case SPECIMEN_SNAPSHOT:
        return REGION_SNAPSHOT_FREE +
               specimen->page_kinds[at->segment][offset / SIDECAR_PAGE_BYTES];
    case SPECIMEN_LOCK:
        break;
    }
    return REGION_LOCK;
}
