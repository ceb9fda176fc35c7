#include "tools/export_rows.h"

#include "tools/repl_words.h"

#include <stddef.h>

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
};

enum { ABSENT = -1 };

struct column {
    const char *name;
    enum column_type type;
    int transfer; /* offset in struct giro_change */
    int account;  /* the same for an account that was created; ABSENT: it has no such field */
    int limits;   /* ... for limits that were set */
};

#define BOTH(member, type)                                                                         \
    {                                                                                              \
#member, type, offsetof(struct giro_change, record.transfer.member),                       \
            offsetof(struct giro_change, record.account.member), ABSENT                            \
    }
#define TRANSFER(member, type)                                                                     \
    {                                                                                              \
#member, type, offsetof(struct giro_change, record.transfer.member), ABSENT, ABSENT        \
    }
#define BALANCE(side, member)                                                                      \
    {                                                                                              \
#side "_account_" #member, COLUMN_U128,                                                    \
            offsetof(struct giro_change, side) + offsetof(struct giro_balances, member), ABSENT,   \
            ABSENT                                                                                 \
    }

#define LIMITS(member, type)                                                                       \
    {                                                                                              \
#member, type, ABSENT, ABSENT, offsetof(struct giro_change, record.limits.member)          \
    }
#define ALL(name, type, member, of_limits)                                                         \
    {                                                                                              \
        name, type, offsetof(struct giro_change, record.transfer.member),                          \
            offsetof(struct giro_change, record.account.member),                                   \
            offsetof(struct giro_change, record.limits.of_limits)                                  \
    }

static const struct column columns[] = {
    {"ordinal", COLUMN_ORDINAL, offsetof(struct giro_change, ordinal),
     offsetof(struct giro_change, ordinal), offsetof(struct giro_change, ordinal)},
    {"kind", COLUMN_KIND, offsetof(struct giro_change, kind), offsetof(struct giro_change, kind),
     offsetof(struct giro_change, kind)},
    ALL("timestamp", COLUMN_U64, timestamp, timestamp),
    ALL("time", COLUMN_TIME, timestamp, timestamp),
    ALL("id", COLUMN_U128, id, account_id),
    TRANSFER(debit_account_id, COLUMN_U128),
    TRANSFER(credit_account_id, COLUMN_U128),
    TRANSFER(amount, COLUMN_U128),
    TRANSFER(pending_id, COLUMN_U128),
    BOTH(user_data_128, COLUMN_U128),
    BOTH(user_data_64, COLUMN_U64),
    BOTH(user_data_32, COLUMN_U32),
    BOTH(ledger, COLUMN_U32),
    BOTH(code, COLUMN_U16),
    ALL("flags", COLUMN_FLAGS, flags, flags),
    TRANSFER(timeout, COLUMN_U32),
    {"marks", COLUMN_MARKS, offsetof(struct giro_change, marks), ABSENT, ABSENT},
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
};

#undef BOTH
#undef TRANSFER
#undef BALANCE
#undef LIMITS
#undef ALL

enum { COLUMNS = sizeof columns / sizeof columns[0] };

/* Where a change has a column; ABSENT: it has no such field. */
static int offset_of(const struct column *column, const struct giro_change *change)
{
    switch (change->kind) {
    case GIRO_CHANGE_ACCOUNT_CREATED:
        return column->account;
    case GIRO_CHANGE_LIMITS_SET:
        return column->limits;
    default:
        return column->transfer;
    }
}

void export_flags(const struct giro_change *change, char out[EXPORT_FLAGS_BYTES])
{
    enum repl_verb verb = REPL_CREATE_TRANSFERS;
    if (change->kind == GIRO_CHANGE_ACCOUNT_CREATED)
        verb = REPL_CREATE_ACCOUNTS;
    else if (change->kind == GIRO_CHANGE_LIMITS_SET)
        verb = REPL_SET_LIMITS;
    /* All three records have their flags at the same place. */
    (void)repl_flags_print(repl_verb_flags(verb), change->record.transfer.flags, out,
                           EXPORT_FLAGS_BYTES);
}

void export_marks(const struct giro_change *change, char out[EXPORT_FLAGS_BYTES])
{
    (void)repl_flags_print(repl_marks, (uint16_t)change->marks, out, EXPORT_FLAGS_BYTES);
}

/* The value without what a format puts around it. */
static void value_put(struct export_output *output, const struct giro_change *change,
                      enum column_type type, int offset)
{
    const char *field = (const char *)change + offset;
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
        int offset = offset_of(&columns[i], change);
        if (offset != ABSENT)
            value_put(output, change, columns[i].type, offset);
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
    int offset = offset_of(column, change);
    if (offset == ABSENT) {
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
    value_put(output, change, column->type, offset);
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
