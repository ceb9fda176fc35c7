#include "wal/view.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    STEP_RECORDS = 8192,
    STEP_ROWS = 8192,
    STEP_BYTES = 4 << 20,
};

int view_init(struct view *view, const struct directory *directory)
{
    const struct directory_meta *meta = &directory->meta;
    *view = (struct view){
        .segment_bytes = meta->segment_bytes,
        .blocks_max = meta->segment_bytes / meta->sector_bytes,
    };
    view->image = memory_reserve(view->segment_bytes);
    view->balances =
        memory_reserve((size_t)view->segment_bytes / GIRO_RECORD_BYTES * sizeof *view->balances);
    view->blocks = memory_reserve(view->blocks_max * sizeof *view->blocks);
    if (view->image != NULL && view->balances != NULL && view->blocks != NULL)
        return 0;
    view_free(view);
    return -ENOMEM;
}

void view_free(struct view *view)
{
    memory_release(view->image, view->segment_bytes);
    memory_release(view->balances,
                   (size_t)view->segment_bytes / GIRO_RECORD_BYTES * sizeof *view->balances);
    memory_release(view->blocks, view->blocks_max * sizeof *view->blocks);
    *view = (struct view){0};
}

void view_clear(struct view *view, uint32_t segment, uint64_t ordinal)
{
    view->segment = segment;
    view->block_count = 0;
    view->ordinal_end = ordinal;
}

void view_block_add(struct view *view, const struct block_header *header)
{
    assert(view->block_count < view->blocks_max);
    view->blocks[view->block_count++] = (struct view_block){
        .offset = header->offset,
        .record_count = header->record_count,
        .ordinal = header->ordinal,
    };
    view->ordinal_end = header->ordinal + header->record_count;
}

/* The last block whose first record is at or before an ordinal. */
static uint32_t block_of(const struct view *view, uint64_t ordinal)
{
    uint32_t low = 0;
    uint32_t high = view->block_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (view->blocks[middle].ordinal <= ordinal)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* 0: it is no change. */
static uint32_t system_change_kind(enum record_system code)
{
    switch (code) {
    case RECORD_SYSTEM_EXPIRY:
        return GIRO_CHANGE_PENDING_EXPIRED;
    case RECORD_SYSTEM_LIMITS:
        return GIRO_CHANGE_LIMITS_SET;
    case RECORD_SYSTEM_LEASE:
        return GIRO_CHANGE_LEASE;
    case RECORD_SYSTEM_SCHEDULE:
        return GIRO_CHANGE_SCHEDULE_CREATED;
    case RECORD_SYSTEM_CANCEL:
        return GIRO_CHANGE_SCHEDULE_CANCELLED;
    case RECORD_SYSTEM_FIRING:
        return GIRO_CHANGE_SCHEDULE_FIRED;
    case RECORD_SYSTEM_CUT_OFF:
        return GIRO_CHANGE_CUT_OFF;
    case RECORD_SYSTEM_DIGEST:
    case RECORD_SYSTEM_SNAPSHOT:
    case RECORD_SYSTEM_PAYMENT:
    case RECORD_SYSTEM_TEMPLATE:
    case RECORD_SYSTEM_SESSION:
    case RECORD_SYSTEM_SESSION_RESULTS:
        break;
    }
    return 0;
}

/* Where a change shows nothing, its record has what the log needs. */
static void change_conceal(uint32_t kind, struct giro_change *change)
{
    switch ((enum giro_change_kind)kind) {
    case GIRO_CHANGE_PENDING_EXPIRED:
        change->record.transfer.code = 0;
        change->record.transfer.flags = 0;
        break;
    case GIRO_CHANGE_LIMITS_SET:
        change->record.limits.reserved = 0;
        break;
    case GIRO_CHANGE_CUT_OFF:
        change->record.cut_off.reserved_1 = 0;
        break;
    case GIRO_CHANGE_LEASE:
        change->record.lease.result = 0;
        change->record.lease.row = 0;
        break;
    case GIRO_CHANGE_SCHEDULE_CANCELLED:
    case GIRO_CHANGE_SCHEDULE_FIRED:
        change->record.firing.code = 0;
        change->record.firing.row = 0;
        break;
    case GIRO_CHANGE_SCHEDULE_CREATED:
        change->record.transfer.code = GIRO_SCHEDULE_ACTIVE; /* which is its state */
        memset(&change->record.schedule[offsetof(struct giro_schedule, transfer_code)], 0,
               2 * sizeof(uint16_t));
        break;
    case GIRO_CHANGE_ACCOUNT_CREATED:
    case GIRO_CHANGE_TRANSFER_CREATED:
    case GIRO_CHANGE_PENDING_POSTED:
    case GIRO_CHANGE_PENDING_VOIDED:
        break;
    }
}

static uint32_t change_kind(const union record *record)
{
    switch (record_kind(record)) {
    case RECORD_ACCOUNT:
        return GIRO_CHANGE_ACCOUNT_CREATED;
    case RECORD_TRANSFER:
        if ((record->transfer.flags & GIRO_TRANSFER_POST_PENDING) != 0)
            return GIRO_CHANGE_PENDING_POSTED;
        if ((record->transfer.flags & GIRO_TRANSFER_VOID_PENDING) != 0)
            return GIRO_CHANGE_PENDING_VOIDED;
        return GIRO_CHANGE_TRANSFER_CREATED;
    case RECORD_SYSTEM:
        return system_change_kind((enum record_system)record->transfer.code);
    case RECORD_BURNT:
        return 0;
    }
    return 0;
}

/* The marks of a transfer are logged in front of it. */
static uint32_t change_marks(const union record *before, const union record *record)
{
    if (before == NULL || record_kind(record) != RECORD_TRANSFER ||
        record_system(before) != RECORD_SYSTEM_PAYMENT ||
        before->transfer.user_data_128 != record->transfer.id)
        return 0;
    return before->transfer.user_data_32;
}

bool change_from_record(const union record *record, const union record *before, uint64_t ordinal,
                        const struct giro_balances *debit, const struct giro_balances *credit,
                        struct giro_change *out)
{
    const uint32_t kind = change_kind(record);
    if (kind == 0)
        return false;
    *out = (struct giro_change){
        .ordinal = ordinal, .kind = kind, .marks = change_marks(before, record)};
    out->record.transfer = record->transfer;
    out->record.transfer.flags &= RECORD_FLAGS_MASK;
    change_conceal(kind, out);
    if (!record_moves(record))
        return true;
    out->debit = *debit;
    out->credit = *credit;
    return true;
}

uint32_t view_changes(const struct view *view, uint64_t *ordinal, uint32_t limit,
                      struct giro_change *changes)
{
    uint32_t count = 0;
    if (view->block_count == 0 || *ordinal >= view->ordinal_end)
        return 0;
    for (uint32_t b = block_of(view, *ordinal); b < view->block_count; b++) {
        const struct view_block *block = &view->blocks[b];
        for (; *ordinal < block->ordinal + block->record_count; (*ordinal)++) {
            uint32_t place =
                block->offset / GIRO_RECORD_BYTES + 1 + (uint32_t)(*ordinal - block->ordinal);
            const union record *record = view_record(view, place);
            if (change_kind(record) == 0)
                continue;
            if (count == limit)
                return count;
            const struct view_balances *balances = &view->balances[place];
            const bool first = *ordinal == block->ordinal;
            (void)change_from_record(record, first ? NULL : view_record(view, place - 1), *ordinal,
                                     &balances->debit, &balances->credit, &changes[count++]);
        }
    }
    return count;
}

/* ---- Of a sealed segment ----------------------------------------------------------------- */

int view_maker_init(struct view_maker *maker, const struct directory *directory,
                    const struct accounts *accounts)
{
    *maker = (struct view_maker){.accounts = accounts};
    int result = view_init(&maker->view, directory);
    if (result != 0)
        return result;
    maker->slots = memory_reserve(accounts->capacity * sizeof *maker->slots);
    maker->table = memory_reserve((size_t)maker->view.segment_bytes / GIRO_RECORD_BYTES * 2 *
                                  sizeof *maker->table);
    if (maker->slots != NULL && maker->table != NULL)
        return 0;
    view_maker_free(maker);
    return -ENOMEM;
}

void view_maker_free(struct view_maker *maker)
{
    if (maker->accounts == NULL)
        return;
    memory_release(maker->slots, maker->accounts->capacity * sizeof *maker->slots);
    memory_release(maker->table, (size_t)maker->view.segment_bytes / GIRO_RECORD_BYTES * 2 *
                                     sizeof *maker->table);
    view_free(&maker->view);
    *maker = (struct view_maker){0};
}

void view_maker_begin(struct view_maker *maker, struct archive_reader *reader, uint32_t segment)
{
    for (uint32_t i = 0; i < maker->slot_count; i++)
        maker->slots[maker->table[i].row] = 0;
    maker->slot_count = 0;
    maker->reader = reader;
    maker->base =
        (struct archive_bytes){.reader = reader, .segment = segment, .section = SECTION_BASE};
    maker->released =
        (struct archive_bytes){.reader = reader, .segment = segment, .section = SECTION_RELEASED};
    maker->base_row = 0;
    maker->base_done = false;
    maker->loaded_bytes = 0;
    maker->offset = 0;
    maker->done = false;
    view_clear(&maker->view, segment, reader->archive->sidecars[segment]->facts.ordinal_first);
}

/* Says what is wrong, unless the reader has said it. Returns -EBADMSG for the index, -EILSEQ for the
 * log. */
static int maker_damaged(struct view_maker *maker, enum archive_file file, const char *what)
{
    struct archive_reader *reader = maker->reader;
    if (reader->error.text[0] == 0) {
        reader->damaged = file;
        reader->damaged_segment = maker->view.segment;
        reader->damage = -EBADMSG;
        (void)error_set(&reader->error, -EBADMSG, "%s/shard-0/%010u.%s: %s",
                        reader->archive->directory->path, maker->view.segment,
                        file == ARCHIVE_LOG ? "log" : "idx", what);
    }
    return reader->damaged == ARCHIVE_LOG ? -EILSEQ : -EBADMSG;
}

/* Reads rows of the base. Returns 1 when there are no more, 0 or -errno. */
static int base_step(struct view_maker *maker)
{
    const uint32_t slots_max = maker->view.segment_bytes / GIRO_RECORD_BYTES * 2;
    for (uint32_t i = 0; i < STEP_ROWS; i++) {
        if (archive_bytes_end(&maker->base))
            return 1;
        struct view_slot *slot = &maker->table[maker->slot_count];
        giro_u128 delta;
        if (maker->slot_count == slots_max || !archive_number(&maker->base, &delta) ||
            !archive_number(&maker->base, &slot->balances.debits_pending) ||
            !archive_number(&maker->base, &slot->balances.debits_posted) ||
            !archive_number(&maker->base, &slot->balances.credits_pending) ||
            !archive_number(&maker->base, &slot->balances.credits_posted) ||
            maker->base_row + delta >= maker->accounts->count)
            return maker_damaged(maker, ARCHIVE_SIDECAR, "its base is damaged");
        maker->base_row += (uint64_t)delta;
        slot->row = (uint32_t)maker->base_row;
        maker->slots[slot->row] = ++maker->slot_count;
    }
    return 0;
}

/* Reads blocks into the image. Returns 1 when all are there, 0 or -errno. */
static int image_step(struct view_maker *maker)
{
    struct archive *archive = maker->reader->archive;
    uint32_t used = archive->sidecars[maker->view.segment]->facts.used_bytes;
    uint32_t left = used - maker->loaded_bytes;
    char name[SEGMENT_NAME_BYTES];
    segment_name(maker->view.segment, name);
    int fd = openat(archive->directory->shard_fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1
                         : pread(fd, maker->view.image + maker->loaded_bytes,
                                 left < STEP_BYTES ? left : STEP_BYTES, maker->loaded_bytes);
    int result = got < 0 ? -errno : got == 0 && left > 0 ? -EBADMSG : 0;
    if (fd >= 0)
        close(fd);
    if (result != 0)
        return maker_damaged(maker, ARCHIVE_LOG, "cannot be read");
    maker->loaded_bytes += (uint32_t)got;
    return maker->loaded_bytes == used;
}

static struct view_slot *slot_of(struct view_maker *maker, giro_u128 account_id)
{
    uint32_t row = accounts_find(maker->accounts, account_id);
    uint32_t slot = row == ACCOUNTS_NONE ? 0 : maker->slots[row];
    return slot == 0 ? NULL : &maker->table[slot - 1];
}

/* What a record did to its two accounts. released: what left pending, besides what was posted; with
 * a fact, which may post more than was pending, all that left it. */
static void record_follow(const union record *record, giro_u128 released,
                          struct giro_balances *debit, struct giro_balances *credit)
{
    const struct giro_transfer *transfer = &record->transfer;
    giro_u128 amount = transfer->amount;
    if (record_kind(record) == RECORD_SYSTEM ||
        (transfer->flags & GIRO_TRANSFER_VOID_PENDING) != 0) {
        debit->debits_pending -= amount;
        credit->credits_pending -= amount;
    } else if ((transfer->flags & GIRO_TRANSFER_PENDING) != 0) {
        debit->debits_pending += amount;
        credit->credits_pending += amount;
    } else {
        if ((transfer->flags & GIRO_TRANSFER_POST_PENDING) != 0) {
            if ((transfer->flags & GIRO_TRANSFER_FACT) == 0)
                released += amount;
            debit->debits_pending -= released;
            credit->credits_pending -= released;
        }
        debit->debits_posted += amount;
        credit->credits_posted += amount;
    }
}

static int record_step(struct view_maker *maker, uint32_t place)
{
    const union record *record = view_record(&maker->view, place);
    giro_u128 released = 0;
    if (!record_moves(record))
        return 0;
    struct view_slot *debit = slot_of(maker, record->transfer.debit_account_id);
    struct view_slot *credit = slot_of(maker, record->transfer.credit_account_id);
    bool posts = record_kind(record) == RECORD_TRANSFER &&
                 (record->transfer.flags & GIRO_TRANSFER_POST_PENDING) != 0;
    if (debit == NULL || credit == NULL || (posts && !archive_number(&maker->released, &released)))
        return maker_damaged(maker, ARCHIVE_SIDECAR, "does not belong to its log");
    record_follow(record, released, &debit->balances, &credit->balances);
    maker->view.balances[place].debit = debit->balances;
    maker->view.balances[place].credit = credit->balances;
    return 0;
}

/* Goes through blocks. Returns 1 at the end, 0 or -errno. */
static int blocks_step(struct view_maker *maker)
{
    const struct directory_meta *meta = &maker->reader->archive->directory->meta;
    struct view *view = &maker->view;
    uint32_t used = maker->reader->archive->sidecars[view->segment]->facts.used_bytes;
    struct block_place place = block_place_of(meta->directory_id, view->segment, 0);
    for (uint32_t records = 0; records < STEP_RECORDS;) {
        if (maker->offset >= used)
            return 1;
        const struct block_header *header =
            (const struct block_header *)(const void *)(view->image + maker->offset);
        place.offset = maker->offset;
        if (block_check_header(header, &place, meta->segment_bytes, meta->sector_bytes) !=
                BLOCK_OK ||
            header->block_bytes > used - maker->offset || !block_check_body(header))
            return maker_damaged(maker, ARCHIVE_LOG, "a block is damaged");
        for (uint32_t i = 0; i < header->record_count; i++) {
            int result = record_step(maker, maker->offset / GIRO_RECORD_BYTES + 1 + i);
            if (result != 0)
                return result;
        }
        view_block_add(view, header);
        maker->offset += header->block_bytes;
        records += header->record_count + 1;
    }
    return 0;
}

int view_maker_step(struct view_maker *maker)
{
    int result = 0;
    if (maker->done)
        return 1;
    if (!maker->base_done) {
        result = base_step(maker);
        maker->base_done = result > 0;
        return result < 0 ? result : 0;
    }
    if (maker->loaded_bytes <
        maker->reader->archive->sidecars[maker->view.segment]->facts.used_bytes) {
        result = image_step(maker);
        return result < 0 ? result : 0;
    }
    result = blocks_step(maker);
    maker->done = result > 0;
    return result;
}
