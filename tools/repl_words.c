#include "tools/repl_words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const verb_names[REPL_VERBS + 1] = {
    [REPL_CREATE_ACCOUNTS] = "create_accounts",
    [REPL_CREATE_TRANSFERS] = "create_transfers",
    [REPL_CUT_OFF] = "cut_off",
    [REPL_SET_LIMITS] = "set_limits",
    [REPL_LOOKUP_ACCOUNTS] = "lookup_accounts",
    [REPL_LOOKUP_TRANSFERS] = "lookup_transfers",
    [REPL_LOOKUP_PAYMENTS] = "lookup_payments",
    [REPL_GET_SETTLEMENTS] = "get_settlements",
    [REPL_GET_LIMITS] = "get_limits",
    [REPL_GET_VELOCITY] = "get_velocity",
    [REPL_LEASE] = "lease",
    [REPL_GET_LEASES] = "get_leases",
    [REPL_CREATE_SCHEDULES] = "create_schedules",
    [REPL_CANCEL_SCHEDULES] = "cancel_schedules",
    [REPL_GET_SCHEDULES] = "get_schedules",
    [REPL_WAIT_SCHEDULES] = "wait_schedules",
    [REPL_GET_ACCOUNT_TRANSFERS] = "get_account_transfers",
    [REPL_GET_ACCOUNT_BALANCES] = "get_account_balances",
    [REPL_QUERY_ACCOUNTS] = "query_accounts",
    [REPL_QUERY_TRANSFERS] = "query_transfers",
    [REPL_CHANGES] = "changes",
    [REPL_SNAPSHOT] = "snapshot",
    [REPL_STATS] = "stats",
    [REPL_WAIT] = "wait",
    [REPL_SET] = "set",
    [REPL_HELP] = "help",
    [REPL_EXIT] = "exit",
};

#define FIELD(record, member, type)                                                                \
    {                                                                                              \
#member, type, offsetof(struct record, member)                                             \
    }

static const struct repl_field account_fields[] = {
    FIELD(giro_account, id, REPL_ID),
    FIELD(giro_account, ledger, REPL_U32),
    FIELD(giro_account, code, REPL_U16),
    FIELD(giro_account, flags, REPL_FLAGS),
    FIELD(giro_account, user_data_128, REPL_U128),
    FIELD(giro_account, user_data_64, REPL_U64),
    FIELD(giro_account, user_data_32, REPL_U32),
    FIELD(giro_account, timestamp, REPL_TIMESTAMP),
    {0},
};

static const struct repl_field transfer_fields[] = {
    FIELD(giro_transfer, id, REPL_ID),
    FIELD(giro_transfer, debit_account_id, REPL_U128),
    FIELD(giro_transfer, credit_account_id, REPL_U128),
    FIELD(giro_transfer, amount, REPL_U128),
    FIELD(giro_transfer, pending_id, REPL_U128),
    FIELD(giro_transfer, ledger, REPL_U32),
    FIELD(giro_transfer, code, REPL_U16),
    FIELD(giro_transfer, flags, REPL_FLAGS),
    FIELD(giro_transfer, timeout, REPL_U32),
    FIELD(giro_transfer, user_data_128, REPL_U128),
    FIELD(giro_transfer, user_data_64, REPL_U64),
    FIELD(giro_transfer, user_data_32, REPL_U32),
    FIELD(giro_transfer, timestamp, REPL_TIMESTAMP),
    {0},
};

static const struct repl_field cut_off_fields[] = {
    FIELD(giro_cut_off, ledger, REPL_U32),
    FIELD(giro_cut_off, epoch, REPL_U64),
    {0},
};

static const struct repl_field limits_fields[] = {
    FIELD(giro_limits, account_id, REPL_U128),  FIELD(giro_limits, floor, REPL_U128),
    FIELD(giro_limits, balance_max, REPL_U128), FIELD(giro_limits, transfer_max, REPL_U128),
    FIELD(giro_limits, over_capture, REPL_U32), FIELD(giro_limits, velocity, REPL_VELOCITY),
    FIELD(giro_limits, flags, REPL_FLAGS),      {0},
};

static const struct repl_field lease_fields[] = {
    FIELD(giro_lease, key, REPL_U128),
    FIELD(giro_lease, owner, REPL_U128),
    FIELD(giro_lease, action, REPL_ACTION),
    {"timeout", REPL_MS, offsetof(struct giro_lease, timeout_ms)},
    FIELD(giro_lease, token, REPL_U64),
    {0},
};

/* Of its transfer, which has these fields under the same names in create_transfers. */
#define MADE(member, type)                                                                         \
    {                                                                                              \
#member, type, offsetof(struct giro_schedule, transfer.member)                             \
    }

static const struct repl_field schedule_fields[] = {
    FIELD(giro_schedule, id, REPL_ID),
    FIELD(giro_schedule, first, REPL_TIMESTAMP),
    {"every", REPL_EVERY, 0},
    FIELD(giro_schedule, day, REPL_U8),
    FIELD(giro_schedule, occurrences, REPL_U32),
    FIELD(giro_schedule, end, REPL_TIMESTAMP),
    {"retry", REPL_RETRY, 0},
    MADE(debit_account_id, REPL_U128),
    MADE(credit_account_id, REPL_U128),
    MADE(amount, REPL_U128),
    MADE(ledger, REPL_U32),
    MADE(code, REPL_U16),
    MADE(flags, REPL_FLAGS),
    MADE(timeout, REPL_U32),
    MADE(user_data_128, REPL_U128),
    MADE(user_data_64, REPL_U64),
    MADE(user_data_32, REPL_U32),
    {0},
};

#undef MADE

static const struct repl_field account_filter_fields[] = {
    FIELD(giro_account_filter, account_id, REPL_U128),
    FIELD(giro_account_filter, flags, REPL_FLAGS),
    FIELD(giro_account_filter, limit, REPL_U32),
    FIELD(giro_account_filter, timestamp_min, REPL_TIMESTAMP),
    FIELD(giro_account_filter, timestamp_max, REPL_TIMESTAMP),
    FIELD(giro_account_filter, code, REPL_U16),
    FIELD(giro_account_filter, user_data_128, REPL_U128),
    FIELD(giro_account_filter, user_data_64, REPL_U64),
    FIELD(giro_account_filter, user_data_32, REPL_U32),
    {0},
};

static const struct repl_field query_filter_fields[] = {
    FIELD(giro_query_filter, ledger, REPL_U32),
    FIELD(giro_query_filter, code, REPL_U16),
    FIELD(giro_query_filter, flags, REPL_FLAGS),
    FIELD(giro_query_filter, limit, REPL_U32),
    FIELD(giro_query_filter, timestamp_min, REPL_TIMESTAMP),
    FIELD(giro_query_filter, timestamp_max, REPL_TIMESTAMP),
    FIELD(giro_query_filter, user_data_128, REPL_U128),
    FIELD(giro_query_filter, user_data_64, REPL_U64),
    FIELD(giro_query_filter, user_data_32, REPL_U32),
    {0},
};

static const struct repl_field change_filter_fields[] = {
    FIELD(giro_change_filter, ordinal, REPL_U64),
    FIELD(giro_change_filter, limit, REPL_U32),
    FIELD(giro_change_filter, wait_ms, REPL_U32),
    {0},
};

#undef FIELD

static const struct repl_field lookup_fields[] = {{"id", REPL_U128, 0}, {0}};
static const struct repl_field key_fields[] = {{"key", REPL_U128, 0}, {0}};

static const struct repl_flag account_flags[] = {
    {"linked", GIRO_ACCOUNT_LINKED},
    {"debits_must_not_exceed_credits", GIRO_ACCOUNT_DEBITS_MUST_NOT_EXCEED_CREDITS},
    {"credits_must_not_exceed_debits", GIRO_ACCOUNT_CREDITS_MUST_NOT_EXCEED_DEBITS},
    {"history", GIRO_ACCOUNT_HISTORY},
    {"imported", GIRO_ACCOUNT_IMPORTED},
    {"closed", GIRO_ACCOUNT_CLOSED},
    {"settles", GIRO_ACCOUNT_SETTLES},
    {0},
};

static const struct repl_flag transfer_flags[] = {
    {"linked", GIRO_TRANSFER_LINKED},
    {"pending", GIRO_TRANSFER_PENDING},
    {"post_pending_transfer", GIRO_TRANSFER_POST_PENDING},
    {"void_pending_transfer", GIRO_TRANSFER_VOID_PENDING},
    {"balancing_debit", GIRO_TRANSFER_BALANCING_DEBIT},
    {"balancing_credit", GIRO_TRANSFER_BALANCING_CREDIT},
    {"closing_debit", GIRO_TRANSFER_CLOSING_DEBIT},
    {"closing_credit", GIRO_TRANSFER_CLOSING_CREDIT},
    {"imported", GIRO_TRANSFER_IMPORTED},
    {"return", GIRO_TRANSFER_RETURN},
    {"keep_open", GIRO_TRANSFER_KEEP_OPEN},
    {"adjust", GIRO_TRANSFER_ADJUST},
    {"fact", GIRO_TRANSFER_FACT},
    {"no_limit", GIRO_TRANSFER_NO_LIMIT},
    {0},
};

static const struct repl_flag limits_flags[] = {
    {"block_debits", GIRO_LIMITS_BLOCK_DEBITS},
    {"block_credits", GIRO_LIMITS_BLOCK_CREDITS},
    {"frozen", GIRO_LIMITS_FROZEN},
    {0},
};

/* What the transfer of a schedule may have. */
static const struct repl_flag schedule_flags[] = {
    {"pending", GIRO_TRANSFER_PENDING},
    {"balancing_debit", GIRO_TRANSFER_BALANCING_DEBIT},
    {"balancing_credit", GIRO_TRANSFER_BALANCING_CREDIT},
    {"no_limit", GIRO_TRANSFER_NO_LIMIT},
    {0},
};

const char *const repl_actions[] = {"acquire", "renew", "release", NULL};

const struct repl_flag repl_marks[] = {
    {"over_cap", GIRO_MARK_OVER_CAP},
    {"negative", GIRO_MARK_NEGATIVE},
    {"blocked", GIRO_MARK_BLOCKED},
    {"over_transfer", GIRO_MARK_OVER_TRANSFER},
    {"over_balance", GIRO_MARK_OVER_BALANCE},
    {"over_velocity", GIRO_MARK_OVER_VELOCITY},
    {"held", GIRO_MARK_HELD},
    {0},
};

static const struct repl_flag account_filter_flags[] = {
    {"debits", GIRO_ACCOUNT_FILTER_DEBITS},
    {"credits", GIRO_ACCOUNT_FILTER_CREDITS},
    {"reversed", GIRO_ACCOUNT_FILTER_REVERSED},
    {0},
};

static const struct repl_flag query_filter_flags[] = {
    {"reversed", GIRO_QUERY_FILTER_REVERSED},
    {0},
};

const char *repl_verb_name(enum repl_verb verb)
{
    return verb_names[verb];
}

enum repl_verb repl_verb_find(const char *word, size_t size)
{
    if (size == 4 && memcmp(word, "quit", 4) == 0)
        return REPL_EXIT;
    if (size == 12 && memcmp(word, "read_changes", 12) == 0)
        return REPL_CHANGES;
    for (int i = 0; i < REPL_VERBS; i++) {
        if (strlen(verb_names[i]) == size && memcmp(word, verb_names[i], size) == 0)
            return (enum repl_verb)i;
    }
    return REPL_VERBS;
}

const struct repl_field *repl_verb_fields(enum repl_verb verb)
{
    switch (verb) {
    case REPL_CREATE_ACCOUNTS:
        return account_fields;
    case REPL_CREATE_TRANSFERS:
        return transfer_fields;
    case REPL_CUT_OFF:
        return cut_off_fields;
    case REPL_SET_LIMITS:
        return limits_fields;
    case REPL_LOOKUP_ACCOUNTS:
    case REPL_LOOKUP_TRANSFERS:
    case REPL_LOOKUP_PAYMENTS:
    case REPL_GET_SETTLEMENTS:
    case REPL_GET_LIMITS:
    case REPL_GET_VELOCITY:
    case REPL_CANCEL_SCHEDULES:
    case REPL_GET_SCHEDULES:
    case REPL_WAIT_SCHEDULES:
        return lookup_fields;
    case REPL_LEASE:
        return lease_fields;
    case REPL_GET_LEASES:
        return key_fields;
    case REPL_CREATE_SCHEDULES:
        return schedule_fields;
    case REPL_GET_ACCOUNT_TRANSFERS:
    case REPL_GET_ACCOUNT_BALANCES:
        return account_filter_fields;
    case REPL_QUERY_ACCOUNTS:
    case REPL_QUERY_TRANSFERS:
        return query_filter_fields;
    case REPL_CHANGES:
        return change_filter_fields;
    default:
        return NULL;
    }
}

bool repl_verb_has_filter(enum repl_verb verb)
{
    return verb >= REPL_GET_ACCOUNT_TRANSFERS && verb <= REPL_CHANGES;
}

const struct repl_flag *repl_verb_flags(enum repl_verb verb)
{
    switch (verb) {
    case REPL_CREATE_ACCOUNTS:
        return account_flags;
    case REPL_CREATE_TRANSFERS:
        return transfer_flags;
    case REPL_SET_LIMITS:
        return limits_flags;
    case REPL_CREATE_SCHEDULES:
        return schedule_flags;
    case REPL_GET_ACCOUNT_TRANSFERS:
    case REPL_GET_ACCOUNT_BALANCES:
        return account_filter_flags;
    case REPL_QUERY_ACCOUNTS:
    case REPL_QUERY_TRANSFERS:
        return query_filter_flags;
    default:
        return NULL;
    }
}

const char *repl_change_kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [GIRO_CHANGE_ACCOUNT_CREATED] = "account_created",
        [GIRO_CHANGE_TRANSFER_CREATED] = "transfer_created",
        [GIRO_CHANGE_PENDING_POSTED] = "pending_posted",
        [GIRO_CHANGE_PENDING_VOIDED] = "pending_voided",
        [GIRO_CHANGE_PENDING_EXPIRED] = "pending_expired",
        [GIRO_CHANGE_CUT_OFF] = "cut_off",
        [GIRO_CHANGE_LIMITS_SET] = "limits_set",
        [GIRO_CHANGE_LEASE] = "lease",
        [GIRO_CHANGE_SCHEDULE_CREATED] = "schedule_created",
        [GIRO_CHANGE_SCHEDULE_CANCELLED] = "schedule_cancelled",
        [GIRO_CHANGE_SCHEDULE_FIRED] = "schedule_fired",
    };
    return kind < sizeof names / sizeof names[0] ? names[kind] : NULL;
}

const char *repl_action_name(uint32_t action)
{
    const uint32_t known = sizeof repl_actions / sizeof repl_actions[0] - 1;
    return action >= GIRO_LEASE_ACQUIRE && action - GIRO_LEASE_ACQUIRE < known
               ? repl_actions[action - GIRO_LEASE_ACQUIRE]
               : "unknown";
}

const char *repl_schedule_state_name(uint32_t state)
{
    static const char *const names[] = {
        [GIRO_SCHEDULE_ACTIVE] = "active",
        [GIRO_SCHEDULE_OVER] = "over",
        [GIRO_SCHEDULE_CANCELLED] = "cancelled",
    };
    return state != 0 && state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

char *repl_flags_print(const struct repl_flag *flags, uint16_t value, char *out, size_t out_bytes)
{
    size_t size = 0;
    out[0] = 0;
    for (; flags->name != NULL && size < out_bytes; flags++) {
        if ((value & flags->bit) == 0)
            continue;
        size += (size_t)snprintf(out + size, out_bytes - size, "%s%s", size > 0 ? "|" : "",
                                 flags->name);
        value &= (uint16_t)~flags->bit;
    }
    if (value != 0 && size < out_bytes)
        (void)snprintf(out + size, out_bytes - size, "%s0x%x", size > 0 ? "|" : "", value);
    return out;
}

/* ---- velocity limits --------------------------------------------------------------------- */

const char *const *repl_velocity_words(enum repl_velocity_part part)
{
    static const char *const units[] = {"s", "m", "h", "d", "mo", NULL};
    static const char *const windows[] = {"calendar", "sliding", "rate", NULL};
    static const char *const sides[] = {"debits", "credits", NULL};
    static const char *const measures[] = {"count", "amount", NULL};
    static const char *const verdicts[] = {"off", "mark", "hold", "reject", NULL};
    static const char *const *const words[REPL_VELOCITY_PARTS] = {
        [REPL_VELOCITY_PERIOD] = units,     [REPL_VELOCITY_WINDOW] = windows,
        [REPL_VELOCITY_SIDE] = sides,       [REPL_VELOCITY_MEASURE] = measures,
        [REPL_VELOCITY_VERDICT] = verdicts,
    };
    return words[part];
}

/* A server may know more of them. */
static const char *velocity_word(enum repl_velocity_part part, unsigned index)
{
    const char *const *words = repl_velocity_words(part);
    while (*words != NULL && index > 0) {
        words++;
        index--;
    }
    return *words != NULL ? *words : "unknown";
}

char *repl_velocity_print(const struct giro_velocity *rule, const char *maximum,
                          char out[REPL_VELOCITY_BYTES])
{
    out[0] = 0;
    if (rule->window == GIRO_WINDOW_NONE)
        return out;
    (void)snprintf(out, REPL_VELOCITY_BYTES, "%s%s%u%s:%s:%s:%s:%s", maximum == NULL ? "" : maximum,
                   maximum == NULL ? "" : ":", rule->period,
                   velocity_word(REPL_VELOCITY_PERIOD, rule->unit),
                   velocity_word(REPL_VELOCITY_WINDOW, rule->window - 1u),
                   velocity_word(REPL_VELOCITY_SIDE, (rule->flags & GIRO_VELOCITY_CREDITS) != 0),
                   velocity_word(REPL_VELOCITY_MEASURE, (rule->flags & GIRO_VELOCITY_AMOUNT) != 0),
                   velocity_word(REPL_VELOCITY_VERDICT, rule->verdict));
    return out;
}

/* ---- the nearest word -------------------------------------------------------------------- */

enum { WORD_BYTES_MAX = 48 };

/* How many letters to insert, remove, change or swap with their neighbour to get from a to b. */
static unsigned word_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    if (a_size > WORD_BYTES_MAX || b_size > WORD_BYTES_MAX)
        return WORD_BYTES_MAX;
    for (size_t k = 0; k <= b_size; k++)
        rows[0][k] = (unsigned)k;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_size; k++) {
            unsigned best = above[k - 1] + (a[i - 1] != b[k - 1]);
            best = above[k] + 1 < best ? above[k] + 1 : best;
            best = row[k - 1] + 1 < best ? row[k - 1] + 1 : best;
            bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            if (swapped && rows[(i - 2) % 3][k - 2] + 1 < best)
                best = rows[(i - 2) % 3][k - 2] + 1;
            row[k] = best;
        }
    }
    return rows[a_size % 3][b_size];
}

const char *repl_nearest(const char *word, size_t size, const char *const *words)
{
    const char *nearest = NULL;
    unsigned nearest_distance = WORD_BYTES_MAX;
    for (; *words != NULL; words++) {
        size_t length = strlen(*words);
        unsigned distance = word_distance(word, size, *words, length);
        unsigned allowed = length <= 4 ? 1 : 2 + (unsigned)length / 8;
        bool begun = size >= 3 && size < length && memcmp(word, *words, size) == 0;
        if (begun && distance > allowed)
            distance = allowed; /* the beginning of a word counts as near */
        if (distance <= allowed && distance < nearest_distance) {
            nearest = *words;
            nearest_distance = distance;
        }
    }
    return nearest;
}

/* ---- completion -------------------------------------------------------------------------- */

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

struct completion {
    const char *prefix;
    size_t prefix_size;
    const char **words;
    uint32_t count;
};

static void candidate(struct completion *completion, const char *word)
{
    if (strlen(word) < completion->prefix_size ||
        memcmp(word, completion->prefix, completion->prefix_size) != 0 ||
        completion->count + 1 == REPL_WORDS_MAX)
        return;
    completion->words[completion->count++] = word;
}

/* The verb of the unfinished statement; REPL_VERBS while there is none. */
static enum repl_verb verb_before(const char *text, size_t size, size_t start)
{
    size_t from = start;
    while (from > 0 && text[from - 1] != ';')
        from--;
    while (from < start && !word_char(text[from]))
        from++;
    size_t to = from;
    while (to < start && word_char(text[to]))
        to++;
    (void)size;
    return to == from ? REPL_VERBS : repl_verb_find(text + from, to - from);
}

/* Whether the word at start belongs to a list of flags: flags=a|b */
static bool flags_before(const char *text, size_t start)
{
    while (start > 0 && (word_char(text[start - 1]) || strchr("| ", text[start - 1]) != NULL)) {
        if (text[start - 1] == ' ' && start > 1 && text[start - 2] != '|' && text[start] != '|')
            return false; /* a blank that is not beside a bar ends the list */
        start--;
    }
    return start >= 6 && memcmp(text + start - 6, "flags=", 6) == 0;
}

/* The words of the part of a velocity limit that stands at start, NULL where there is none. */
static const char *const *velocity_before(const char *text, size_t start)
{
    static const char name[] = "velocity=";
    const size_t name_size = sizeof name - 1;
    unsigned part = REPL_VELOCITY_MAXIMUM;
    while (start > 0 && (word_char(text[start - 1]) || text[start - 1] == ':')) {
        part += text[start - 1] == ':';
        start--;
    }
    bool is_velocity = start >= name_size && memcmp(text + start - name_size, name, name_size) == 0;
    return is_velocity && part > REPL_VELOCITY_PERIOD && part < REPL_VELOCITY_PARTS
               ? repl_velocity_words((enum repl_velocity_part)part)
               : NULL;
}

uint32_t repl_complete(const char *text, size_t size, const char *words[REPL_WORDS_MAX],
                       size_t *start)
{
    static const char *const settings[] = {"scale", "thousands", "fence", NULL};
    static const char action[] = "action=";
    size_t at = size;
    while (at > 0 && word_char(text[at - 1]))
        at--;
    struct completion completion = {.prefix = text + at, .prefix_size = size - at, .words = words};
    enum repl_verb verb = verb_before(text, size, at);
    const struct repl_field *field = verb < REPL_VERBS ? repl_verb_fields(verb) : NULL;
    const struct repl_flag *flag = verb < REPL_VERBS ? repl_verb_flags(verb) : NULL;
    const char *const *part = verb == REPL_SET_LIMITS ? velocity_before(text, at) : NULL;
    if (verb == REPL_LEASE && at >= sizeof action - 1 &&
        memcmp(text + at - (sizeof action - 1), action, sizeof action - 1) == 0)
        part = repl_actions;
    *start = at;
    if (verb == REPL_VERBS || verb == REPL_HELP) {
        for (int i = 0; i < REPL_VERBS; i++)
            candidate(&completion, verb_names[i]);
    } else if (verb == REPL_SET) {
        for (int i = 0; settings[i] != NULL; i++)
            candidate(&completion, settings[i]);
    } else if (flag != NULL && flags_before(text, at)) {
        for (; flag->name != NULL; flag++)
            candidate(&completion, flag->name);
    } else if (part != NULL) {
        for (; *part != NULL; part++)
            candidate(&completion, *part);
    } else if (field != NULL && (at == 0 || text[at - 1] != '=')) {
        for (; field->name != NULL; field++)
            candidate(&completion, field->name);
    }
    words[completion.count] = NULL;
    return completion.count;
}
