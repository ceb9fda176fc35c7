/* The words of the repl's language: verbs, fields, flags, and the word that was probably meant. */
#ifndef TOOLS_REPL_WORDS_H
#define TOOLS_REPL_WORDS_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum repl_verb {
    REPL_CREATE_ACCOUNTS,
    REPL_CREATE_TRANSFERS,
    REPL_CUT_OFF,
    REPL_SET_LIMITS,
    REPL_LOOKUP_ACCOUNTS,
    REPL_LOOKUP_TRANSFERS,
    REPL_LOOKUP_PAYMENTS,
    REPL_GET_SETTLEMENTS,
    REPL_GET_LIMITS,
    REPL_GET_VELOCITY,
    REPL_LEASE,
    REPL_GET_LEASES,
    REPL_CREATE_SCHEDULES,
    REPL_CANCEL_SCHEDULES,
    REPL_GET_SCHEDULES,
    REPL_WAIT_SCHEDULES,
    REPL_GET_ACCOUNT_TRANSFERS,
    REPL_GET_ACCOUNT_BALANCES,
    REPL_QUERY_ACCOUNTS,
    REPL_QUERY_TRANSFERS,
    REPL_CHANGES,
    REPL_SNAPSHOT,
    REPL_STATS,
    REPL_WAIT,
    REPL_SET,
    REPL_HELP,
    REPL_EXIT,
    REPL_VERBS,
};

enum { REPL_WORDS_MAX = 64 }; /* candidates of one completion */

enum repl_field_type {
    REPL_ID,   /* u128; "new" makes one */
    REPL_U128, /* "max" is the largest */
    REPL_U64,
    REPL_U32,
    REPL_U16,
    REPL_U8,
    REPL_FLAGS,
    REPL_TIMESTAMP, /* nanoseconds, or a date as in ISO 8601 */
    REPL_ACTION,    /* enum giro_lease_action, by its name */
    REPL_MS,        /* a span of time, in u32 milliseconds */
    REPL_VELOCITY,  /* the next slot of the record, each time that it is given */
    REPL_EVERY,     /* a span of time: rule and interval of the schedule */
    REPL_RETRY,     /* spans with commas between: the schedule's retries */
};

/* What a velocity limit is written with, colons between: 100000:1d:calendar:debits:amount:reject. */
enum repl_velocity_part {
    REPL_VELOCITY_MAXIMUM,
    REPL_VELOCITY_PERIOD,
    REPL_VELOCITY_WINDOW,
    REPL_VELOCITY_SIDE,
    REPL_VELOCITY_MEASURE,
    REPL_VELOCITY_VERDICT,
    REPL_VELOCITY_PARTS,
};

enum { REPL_VELOCITY_BYTES = 128 }; /* of the longest, with decimals and thousands separators */

struct repl_field {
    const char *name;
    enum repl_field_type type;
    size_t offset; /* in the record */
};

struct repl_flag {
    const char *name;
    uint16_t bit;
};

const char *repl_verb_name(enum repl_verb verb);

/* Returns REPL_VERBS for a word that is none. "quit" is "exit", "read_changes" is "changes". */
enum repl_verb repl_verb_find(const char *word, size_t size);

/* Fields of a statement's objects, ended by a name of NULL; NULL for verbs without objects. */
const struct repl_field *repl_verb_fields(enum repl_verb verb);

/* Whether a statement has one filter instead of objects with a comma between them. */
bool repl_verb_has_filter(enum repl_verb verb);

/* Flags, ended by a name of NULL; NULL for verbs without flags. */
const struct repl_flag *repl_verb_flags(enum repl_verb verb);

/* Names of enum giro_lease_action, from acquire on, ended by NULL. */
extern const char *const repl_actions[];

/* "acquire"; a server may know more of them: "unknown". */
const char *repl_action_name(uint32_t action);

/* "active", "over", "cancelled", likewise. */
const char *repl_schedule_state_name(uint32_t state);

/* enum giro_transfer_mark, ended likewise. */
extern const struct repl_flag repl_marks[];

/* "transfer_created"; NULL for a kind that this version does not know. Static. */
const char *repl_change_kind_name(uint32_t kind);

/* "history|imported"; "" for none; bits without a name in hexadecimal. Returns out. */
char *repl_flags_print(const struct repl_flag *flags, uint16_t value, char *out, size_t out_bytes);

/* The words of a part, ended by NULL; those of the period are its units. windows begin with
 * GIRO_WINDOW_CALENDAR, all others with 0. NULL for the maximum. */
const char *const *repl_velocity_words(enum repl_velocity_part part);

/* A velocity limit as it is written, "" for a slot that is not used. maximum: NULL leaves it out.
 * Returns out. */
char *repl_velocity_print(const struct giro_velocity *rule, const char *maximum,
                          char out[REPL_VELOCITY_BYTES]);

/* The word of a list, ended by NULL, that is nearest to what was written, or NULL if none is near.
 */
const char *repl_nearest(const char *word, size_t size, const char *const *words);

/* The words that may stand at the end of an unfinished statement, ended by NULL. start gets where
 * the word to be completed begins. Returns how many begin with what is there. */
uint32_t repl_complete(const char *text, size_t size, const char *words[REPL_WORDS_MAX],
                       size_t *start);

#endif
