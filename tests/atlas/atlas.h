/* Cases of the corruption atlas: a change to one file, a start, and everything asked.
 *
 *   GIRO_ATLAS        "full": every sector and page; else a sample that has every region
 *   GIRO_ATLAS_CASE   one case, as a failure printed it: nothing else is run
 *   GIRO_TEST_SEED    replaces the seed, which chooses bits, bytes, pages and the sample
 *
 * A failure prints the case and how to run it again; so does a crash, and a case that hangs. */
#ifndef TESTS_ATLAS_ATLAS_H
#define TESTS_ATLAS_ATLAS_H

#include "tests/atlas/answers.h"
#include "tests/atlas/region.h"

enum {
    ATLAS_SECTOR_BYTES = 512,
    ATLAS_PAGE_BYTES = 4096,
    ATLAS_CASE_BYTES = 160, /* of a case's name */
};

enum change_kind {
    CHANGE_FLIP,      /* bits of one byte: the mask in argument */
    CHANGE_ZERO,      /* argument bytes become zero */
    CHANGE_MISDIRECT, /* a page becomes what another one is, whose number is in argument */
    CHANGE_CUT,       /* the file ends at the offset */
    CHANGE_GROW,      /* argument bytes are added, of garbage */
    CHANGE_DELETE,
    CHANGE_SWAP, /* with the file whose number is in argument */
    CHANGE_KINDS,
};

struct change {
    enum change_kind kind;
    uint32_t file;
    uint64_t offset;
    uint64_t argument;
};

struct atlas {
    struct specimen specimen;
    struct stand stand;
    struct answers truth;
    struct answers torn; /* what is answered without the last block of records */
    struct answers answers;
    uint64_t seed;
    bool full;
    uint32_t stride;  /* of the sample */
    const char *only; /* GIRO_ATLAS_CASE */
    char current[2 * ATLAS_CASE_BYTES];
    char again[128]; /* what is printed in front of it after a crash */
    uint64_t cases;
    uint64_t unchanged; /* changes that change nothing: zeros that were zeros */
    uint32_t failures;
    uint64_t counts[REGION_COUNT][SPECIMEN_SEGMENTS][OUTCOME_COUNT];
    uint32_t sampled[REGION_COUNT][SPECIMEN_SEGMENTS][CHANGE_KINDS][STAND_MODES];
};

/* Makes specimen, stand and truth; the truth is checked against what the specimen is known to hold. */
void atlas_open(struct atlas *atlas);

/* Prints how many cases of each region ended how, and fails the test when one ended otherwise than
 * the table says. */
void atlas_close(struct atlas *atlas);

/* A number that depends on the seed and two others alone. */
uint64_t atlas_random(const struct atlas *atlas, uint64_t a, uint64_t b);

/* Runs a case, unless the sample leaves it out, or it changes nothing. What must come of it follows
 * from the table and, for the log's end, from the rules of docs/log-format.md, section 6. */
void atlas_case(struct atlas *atlas, const struct change *change, enum stand_mode mode);

/* The same where the table does not say what must come of it. */
void atlas_case_expect(struct atlas *atlas, const struct change *change, enum stand_mode mode,
                       enum outcome expected);

/* The same with two changes at once, of different files. */
void atlas_pair_expect(struct atlas *atlas, const struct change *first, const struct change *second,
                       enum stand_mode mode, enum outcome expected);

/* The same with files that do not belong there: contents is written to DIR/name. */
void atlas_stranger_expect(struct atlas *atlas, const char *name, const void *contents, size_t size,
                           enum stand_mode mode, enum outcome expected);

/* Whether a case of a name is to be run, apart from the sample; notes it for whoever asks what ran
 * when it crashed. */
bool atlas_enter(struct atlas *atlas, const char *name);

/* Notes how a case ended. said: what the start said, or why it is wrong. */
void atlas_note(struct atlas *atlas, enum region region, uint32_t segment, enum outcome expected,
                enum outcome outcome, const char *why);

void change_name(const struct atlas *atlas, const struct change *change, enum stand_mode mode,
                 char out[ATLAS_CASE_BYTES]);

/* Makes a change in the stand's folder. */
void change_apply(struct atlas *atlas, const struct change *change);

#endif
