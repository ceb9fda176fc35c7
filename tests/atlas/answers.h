/* What a ledger answers when it is asked everything: every account and transfer by lookup, every
 * kind of query, all changes, and its digest.
 *
 * The questions are the same in the same order each time, so two ledgers are compared answer by
 * answer: an answer is the truth, byte for byte, or it is refused, or it is wrong. */
#ifndef TESTS_ATLAS_ANSWERS_H
#define TESTS_ATLAS_ANSWERS_H

#include "tests/atlas/stand.h"

enum { ANSWERS_MAX = 1024, ANSWERS_BYTES = 32 << 20 };

struct answer {
    const char *question;
    uint64_t subject; /* which account, transfer, segment or filter */
    bool refused;
    uint32_t offset; /* in bytes */
    uint32_t size;
};

struct answers {
    struct answer items[ANSWERS_MAX];
    uint32_t count;
    uint32_t used;
    char *bytes;
    /* Where batches of requests lie that the follower works on. */
    struct follower_request *pending[ANSWERS_MAX];
    uint32_t pending_first;
    uint32_t pending_count;
};

void answers_init(struct answers *answers);
void answers_free(struct answers *answers);

/* Asks the shard of a stand that was started. Returns false when it takes too long. */
bool answers_collect(struct answers *answers, struct stand *stand);

struct answers_difference {
    uint32_t refused;
    uint32_t wrong;
    const struct answer *first; /* that is wrong */
};

struct answers_difference answers_compare(const struct answers *truth,
                                          const struct answers *answers);

/* Fails the test unless the answers are what the specimen's own account of its contents says. */
void answers_check(const struct answers *answers, const struct specimen *specimen);

#endif
