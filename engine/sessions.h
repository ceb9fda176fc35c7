/* Sessions of clients that send a request again until it is answered: what was answered last.
 *
 * A client numbers its requests, one at a time. The row of its session has the number and the
 * checksum of the last one that changed something, and where in the log its results are, so that the
 * same request, should it come again, is answered and not executed. Requests that change nothing
 * leave no trace: executing them again does no harm.
 *
 * A session's number is where in the log it was registered. Which row it has stands there too, so
 * that replay need not choose whom it replaces. */
#ifndef ENGINE_SESSIONS_H
#define ENGINE_SESSIONS_H

#include "engine/checksum.h"
#include "engine/hash.h"
#include "engine/index.h"
#include "engine/record.h"

enum { SESSIONS_MAX = 65536 };

struct session {
    GIRO_ALIGNAS_16 giro_u128 client;
    struct checksum checksum; /* of the last request */
    uint64_t number;
    uint64_t address;         /* of the last RECORD_SYSTEM_SESSION */
    uint64_t timestamp_first; /* of the last request's first event */
    uint64_t reserved;        /* 0 */
    uint32_t request;         /* number of the last one; 0: it was registered */
    uint32_t release;         /* of the client */
    uint32_t event_count;     /* of the last request */
    uint32_t result_count;    /* ... that were not created */
};

_Static_assert(sizeof(struct session) == 80, "no padding in struct session");

struct sessions {
    struct session *rows;
    struct index index; /* client -> row + 1 */
    uint64_t hash_seed;
    uint32_t count;
    uint32_t capacity;
};

#define SESSIONS_NONE UINT32_MAX

/* Returns 0 or -ENOMEM. */
int sessions_init(struct sessions *sessions, uint32_t capacity, uint64_t hash_seed);
void sessions_free(struct sessions *sessions);

/* Row of a client; SESSIONS_NONE: it has none. */
uint32_t sessions_find(const struct sessions *sessions, giro_u128 client);

/* A row for a client that has none, of at most most: the next one, or that of the session whose last
 * request is the longest ago. */
uint32_t sessions_vacant(const struct sessions *sessions, uint32_t most);

/* Puts a session into a row, which is at most count. */
void sessions_put(struct sessions *sessions, uint32_t row, const struct session *session);

#endif
