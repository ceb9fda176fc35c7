#include "tools/export_rows.h"

#include "engine/result.h"
#include "tools/import_number.h"
#include "tools/repl_words.h"

#include <stddef.h>
#include <string.h>

enum column_type {
    COLUMN_ORDINAL,
    COLUMN_KIND,
    COLUMN_TIME,
    COLUMN_FLAGS,
    COLUMN_MARKS,
    COLUMN_U128,
    COLUMN_U64,
    COLUMN_U32,
    COLUMN_U16,
    COLUMN_VELOCITY,
    COLUMN_ACTION,
    COLUMN_RESULT,
};

/* What a record of a change looks like. */
enum shape {
    SHAPE_TRANSFER,
    SHAPE_ACCOUNT,
    SHAPE_LIMITS,
    SHAPE_LEASE,
    SHAPE_SCHEDULE, /* its first half */
    SHAPE_CANCEL,   /* a firing, of which only the schedule is told */
    SHAPE_FIRING,
    SHAPE_CUT_OFF,
    SHAPES,
};

struct column {
    const char *name;
    enum column_type type;
    int places[SHAPES]; /* 1 + offset in struct giro_change; 0: there is no such field */
};

#define AT(member) (1 + (int)offsetof(struct giro_change, member))
#define IN_SCHEDULE(member) (AT(record.schedule) + (int)offsetof(struct giro_schedule, member))
#define OF_ALL_WITH_IDS(place)                                                                     \
    [SHAPE_TRANSFER] = (place), [SHAPE_ACCOUNT] = (place), [SHAPE_LIMITS] = (place),               \
    [SHAPE_LEASE] = (place), [SHAPE_SCHEDULE] = (place), [SHAPE_CANCEL] = (place),                 \
    [SHAPE_FIRING] = (place)
#define EVERYWHERE(place)                                                                          \
    {                                                                                              \
        OF_ALL_WITH_IDS(place), [SHAPE_CUT_OFF] = (place)                                          \
    }
#define TRANSFER(member, type)                                                                     \
    {                                                                                              \
#member, type,                                                                             \
        {                                                                                          \
            [SHAPE_TRANSFER] = AT(record.transfer.member)                                          \
        }                                                                                          \
    }
#define BOTH(member, type)                                                                         \
    {                                                                                              \
#member, type,                                                                             \
        {                                                                                          \
            [SHAPE_TRANSFER] = AT(record.transfer.member), [SHAPE_ACCOUNT] =                       \
                                                               AT(record.account.member)           \
        }                                                                                          \
    }
#define BALANCE(side, member)                                                                      \
    {                                                                                              \
#side "_account_" #member, COLUMN_U128,                                                    \
        {                                                                                          \
            [SHAPE_TRANSFER] = AT(side) + (int)offsetof(struct giro_balances, member)              \
        }                                                                                          \
    }
#define LIMITS(member, type)                                                                       \
    {                                                                                              \
#member, type,                                                                             \
        {                                                                                          \
            [SHAPE_LIMITS] = AT(record.limits.member)                                              \
        }                                                                                          \
    }
#define VELOCITY(slot)                                                                             \
    {                                                                                              \
        "velocity_" #slot, COLUMN_VELOCITY,                                                        \
        {                                                                                          \
            [SHAPE_LIMITS] = AT(record.limits.velocity[slot])                                      \
        }                                                                                          \
    }
#define LEASE(member, type)                                                                        \
    {                                                                                              \
#member, type,                                                                             \
        {                                                                                          \
            [SHAPE_LEASE] = AT(record.lease.member)                                                \
        }                                                                                          \
    }
#define FIRING(name, member, type)                                                                 \
    {                                                                                              \
        name, type,                                                                                \
        {                                                                                          \
            [SHAPE_FIRING] = AT(record.firing.member)                                              \
        }                                                                                          \
    }

/* All records have their timestamp last, and those with an id have it first. */
static const struct column columns[] = {
    {"ordinal", COLUMN_ORDINAL, EVERYWHERE(AT(ordinal))},
    {"kind", COLUMN_KIND, EVERYWHERE(AT(kind))},
    {"timestamp", COLUMN_U64, EVERYWHERE(AT(record.transfer.timestamp))},
    {"time", COLUMN_TIME, EVERYWHERE(AT(record.transfer.timestamp))},
    {"id", COLUMN_U128, {OF_ALL_WITH_IDS(AT(record.transfer.id))}},
    TRANSFER(debit_account_id, COLUMN_U128),
    TRANSFER(credit_account_id, COLUMN_U128),
    TRANSFER(amount, COLUMN_U128),
    TRANSFER(pending_id, COLUMN_U128),
    BOTH(user_data_128, COLUMN_U128),
    BOTH(user_data_64, COLUMN_U64),
    BOTH(user_data_32, COLUMN_U32),
    {"ledger",
     COLUMN_U32,
     {[SHAPE_TRANSFER] = AT(record.transfer.ledger),
      [SHAPE_ACCOUNT] = AT(record.account.ledger),
      [SHAPE_CUT_OFF] = AT(record.cut_off.ledger)}},
    {"code",
     COLUMN_U16,
     {[SHAPE_TRANSFER] = AT(record.transfer.code),
      [SHAPE_ACCOUNT] = AT(record.account.code),
      [SHAPE_SCHEDULE] = IN_SCHEDULE(transfer_code)}},
    {"flags",
     COLUMN_FLAGS,
     {[SHAPE_TRANSFER] = AT(record.transfer.flags),
      [SHAPE_ACCOUNT] = AT(record.account.flags),
      [SHAPE_LIMITS] = AT(record.limits.flags),
      [SHAPE_SCHEDULE] = IN_SCHEDULE(transfer_flags)}},
    TRANSFER(timeout, COLUMN_U32),
    {"marks", COLUMN_MARKS, {[SHAPE_TRANSFER] = AT(marks)}},
    BALANCE(debit, debits_pending),
    BALANCE(debit, debits_posted),
    BALANCE(debit, credits_pending),
    BALANCE(debit, credits_posted),
    BALANCE(credit, debits_pending),
    BALANCE(credit, debits_posted),
    BALANCE(credit, credits_pending),
    BALANCE(credit, credits_posted),
    LIMITS(floor, COLUMN_U128),
    LIMITS(balance_max, COLUMN_U128),
    LIMITS(transfer_max, COLUMN_U128),
    LIMITS(over_capture, COLUMN_U32),
    VELOCITY(0),
    VELOCITY(1),
    VELOCITY(2),
    VELOCITY(3),
    LEASE(action, COLUMN_ACTION),
    LEASE(owner, COLUMN_U128),
    LEASE(token, COLUMN_U64),
    LEASE(deadline, COLUMN_U64),
    FIRING("occurrence", occurrence, COLUMN_U32),
    FIRING("attempt", attempt, COLUMN_U32),
    FIRING("due", due, COLUMN_U64),
    {"next",
     COLUMN_U64,
     {[SHAPE_SCHEDULE] = IN_SCHEDULE(next), [SHAPE_FIRING] = AT(record.firing.next)}},
    FIRING("transfer_id", transfer_id, COLUMN_U128),
    FIRING("result", transfer_result, COLUMN_RESULT),
    {"epoch", COLUMN_U64, {[SHAPE_CUT_OFF] = AT(record.cut_off.epoch)}},
};

_Static_assert(GIRO_VELOCITY_SLOTS == 4, "a column for each");
_Static_assert(
    offsetof(struct giro_lease, timestamp) == offsetof(struct giro_transfer, timestamp) &&
        offsetof(struct giro_schedule, timestamp) == offsetof(struct giro_transfer, timestamp) &&
        offsetof(struct giro_firing, timestamp) == offsetof(struct giro_transfer, timestamp),
    "the same place");

#undef AT
#undef IN_SCHEDULE
#undef OF_ALL_WITH_IDS
#undef EVERYWHERE
#undef TRANSFER
#undef BOTH
#undef BALANCE
#undef LIMITS
#undef VELOCITY
#undef LEASE
#undef FIRING

enum { COLUMNS = sizeof columns / sizeof columns[0] };

static enum shape shape_of(uint32_t kind)
{
    switch (kind) {
    case GIRO_CHANGE_ACCOUNT_CREATED:
        return SHAPE_ACCOUNT;
    case GIRO_CHANGE_LIMITS_SET:
        return SHAPE_LIMITS;
    case GIRO_CHANGE_LEASE:
        return SHAPE_LEASE;
    case GIRO_CHANGE_SCHEDULE_CREATED:
        return SHAPE_SCHEDULE;
    case GIRO_CHANGE_SCHEDULE_CANCELLED:
        return SHAPE_CANCEL;
    case GIRO_CHANGE_SCHEDULE_FIRED:
        return SHAPE_FIRING;
    case GIRO_CHANGE_CUT_OFF:
        return SHAPE_CUT_OFF;
    default:
        return SHAPE_TRANSFER;
    }
}

/* Where a change has a column; NULL: it has no such field, or does not use the slot. */
static const char *field_of(const struct column *column, const struct giro_change *change)
{
    const int place = column->places[shape_of(change->kind)];
    struct giro_velocity rule;
    if (place == 0)
        return NULL;
    const char *field = (const char *)change + (place - 1);
    if (column->type != COLUMN_VELOCITY)
        return field;
    memcpy(&rule, field, sizeof rule);
    return rule.window == GIRO_WINDOW_NONE ? NULL : field;
}

static uint32_t slot_of(const struct giro_change *change, const char *field)
{
    return (uint32_t)((size_t)(field - (const char *)change->record.limits.velocity) /
                      sizeof(struct giro_velocity));
}

/* Where it has any. */
static uint16_t flags_of(const struct giro_change *change)
{
    struct giro_schedule schedule = {0};
    if (change->kind != GIRO_CHANGE_SCHEDULE_CREATED)
        return change->record.transfer.flags; /* others have them at the same place */
    memcpy(&schedule, change->record.schedule, sizeof change->record.schedule);
    return schedule.transfer_flags;
}

void export_flags(const struct giro_change *change, char out[EXPORT_FLAGS_BYTES])
{
    enum repl_verb verb = REPL_CREATE_TRANSFERS;
    if (change->kind == GIRO_CHANGE_ACCOUNT_CREATED)
        verb = REPL_CREATE_ACCOUNTS;
    else if (change->kind == GIRO_CHANGE_LIMITS_SET)
        verb = REPL_SET_LIMITS;
    (void)repl_flags_print(repl_verb_flags(verb), flags_of(change), out, EXPORT_FLAGS_BYTES);
}

void export_marks(const struct giro_change *change, char out[EXPORT_FLAGS_BYTES])
{
    (void)repl_flags_print(repl_marks, (uint16_t)change->marks, out, EXPORT_FLAGS_BYTES);
}

/* As set_limits of the repl takes it. */
static void velocity_put(struct export_output *output, const struct giro_limits *limits,
                         uint32_t slot)
{
    char maximum[NUMBER_TEXT_BYTES];
    char text[REPL_VELOCITY_BYTES];
    (void)number_print(limits->velocity_max[slot], 0, false, maximum);
    export_put(output, repl_velocity_print(&limits->velocity[slot], maximum, text));
}

/* The value without what a format puts around it. */
static void value_put(struct export_output *output, const struct giro_change *change,
                      enum column_type type, const char *field)
{
    char flags[EXPORT_FLAGS_BYTES];
    giro_u128 wide;
    uint64_t number = 0;
    switch (type) {
    case COLUMN_KIND:
        export_put(output, repl_change_kind_name(change->kind));
        return;
    case COLUMN_FLAGS:
        export_flags(change, flags);
        export_put(output, flags);
        return;
    case COLUMN_MARKS:
        export_marks(change, flags);
        export_put(output, flags);
        return;
    case COLUMN_VELOCITY:
        velocity_put(output, &change->record.limits, slot_of(change, field));
        return;
    case COLUMN_ACTION:
        export_put(output, repl_action_name(change->record.lease.action));
        return;
    case COLUMN_RESULT:
        export_put(output, giro_transfer_result_name(change->record.firing.transfer_result));
        return;
    case COLUMN_U128:
        memcpy(&wide, field, sizeof wide);
        export_put_u128(output, wide);
        return;
    case COLUMN_TIME:
    case COLUMN_U64:
    case COLUMN_ORDINAL:
        memcpy(&number, field, sizeof(uint64_t));
        break;
    case COLUMN_U32:
        memcpy(&number, field, sizeof(uint32_t));
        break;
    case COLUMN_U16:
        memcpy(&number, field, sizeof(uint16_t));
        break;
    }
    if (type == COLUMN_TIME)
        export_put_time(output, number);
    else
        export_put_u64(output, number);
}

void export_csv_header(struct export_output *output)
{
    for (int i = 0; i < COLUMNS; i++) {
        export_put(output, columns[i].name);
        export_put_char(output, i + 1 < COLUMNS ? ',' : '\n');
    }
}

/* No value has a comma, a quote or a line end in it: so by RFC 4180 none needs quotes. */
void export_csv_change(struct export_output *output, const struct giro_change *change)
{
    for (int i = 0; i < COLUMNS; i++) {
        const char *field = field_of(&columns[i], change);
        if (field != NULL)
            value_put(output, change, columns[i].type, field);
        export_put_char(output, i + 1 < COLUMNS ? ',' : '\n');
    }
}

/* ["pending","closing_debit"] */
static void json_names(struct export_output *output, const char *flags)
{
    export_put_char(output, '[');
    for (const char *name = flags; *name != 0;) {
        size_t size = strcspn(name, "|");
        export_put_char(output, '"');
        export_put_bytes(output, name, size);
        export_put_char(output, '"');
        name += size;
        if (*name == '|') {
            export_put_char(output, ',');
            name++;
        }
    }
    export_put_char(output, ']');
}

static void json_value(struct export_output *output, const struct giro_change *change,
                       const struct column *column)
{
    const char *field = field_of(column, change);
    if (field == NULL) {
        export_put(output, "null");
        return;
    }
    if (column->type == COLUMN_FLAGS || column->type == COLUMN_MARKS) {
        char names[EXPORT_FLAGS_BYTES];
        if (column->type == COLUMN_FLAGS)
            export_flags(change, names);
        else
            export_marks(change, names);
        json_names(output, names);
        return;
    }
    /* Many readers take a JSON number for a double, which is exact up to 2^53 only: what can be
     * larger is always a string. An ordinal counts records of 128 bytes, and cannot. */
    bool quoted =
        column->type != COLUMN_ORDINAL && column->type != COLUMN_U32 && column->type != COLUMN_U16;
    if (quoted)
        export_put_char(output, '"');
    value_put(output, change, column->type, field);
    if (quoted)
        export_put_char(output, '"');
}

void export_jsonl_change(struct export_output *output, const struct giro_change *change)
{
    for (int i = 0; i < COLUMNS; i++) {
        export_put(output, i == 0 ? "{\"" : ",\"");
        export_put(output, columns[i].name);
        export_put(output, "\":");
        json_value(output, change, &columns[i]);
    }
    export_put(output, "}\n");
}
