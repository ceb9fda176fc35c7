/* A server for the client's tests: speaks the protocol over real sockets, keeps what it creates in
 * memory, and misbehaves on request. It knows just enough of the ledger's rules to tell whether
 * requests were merged rightly: ids, linked chains, imported or not. It finds what filters ask for,
 * but does not judge them, counts every transfer as posted, keeps limits and minds none of them,
 * never waits for changes, lets no lease expire, and fires no schedule. It counts the epochs of ledger
 * numbers, but adds nothing up. */
#ifndef TESTS_CLIENT_FAKE_H
#define TESTS_CLIENT_FAKE_H

#include "engine/record.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fake_action {
    FAKE_ANSWER,
    FAKE_STATUS,           /* answer with this status, execute nothing; close if it says so */
    FAKE_STATUS_NAMELESS,  /* the same, with request_id 0 */
    FAKE_STATUS_WRONG_ID,  /* the same, with the id of another request */
    FAKE_DROP,             /* close; execute nothing */
    FAKE_EXECUTE_AND_DROP, /* execute, then close without a reply */
    FAKE_SILENT,           /* execute, never reply, read on */
    FAKE_DRIP,             /* reply byte by byte */
    FAKE_HALF,             /* close in the middle of the reply */
    FAKE_GARBAGE,          /* text of another protocol */
    FAKE_BAD_VERSION,      /* from here on: a reply that is wrong in one way */
    FAKE_BAD_CHECKSUM,
    FAKE_BAD_SIZE,
    FAKE_NO_REPLY_FLAG,
    FAKE_WRONG_ID,
    FAKE_WRONG_OPERATION,
    FAKE_TWICE,
    FAKE_STATUS_WITH_BODY,
    FAKE_BODY_CUT,
    FAKE_BODY_LONG,
    FAKE_RESULT_COUNT,
    FAKE_INDEX_TOO_LARGE,
    FAKE_INDEX_DESCENDING,
    FAKE_CODE_ZERO,
    FAKE_TIMESTAMP_ZERO,
    FAKE_TIMESTAMP_TOO_LARGE,
    FAKE_RECORD_NOT_ASKED_FOR,
    FAKE_PATCH, /* as fake_options.patch says */
    FAKE_ACTIONS,
};

struct fake_step {
    enum fake_action action;
    uint32_t status;
};

/* How FAKE_PATCH falsifies the body of a reply. */
struct fake_patch {
    uint32_t body_bytes; /* if not 0: cut it, or fill it up with zeros, to this size */
    uint32_t at;
    uint32_t size_bytes; /* then put so many bytes of the value there; at most 8 */
    uint64_t value;
};

struct fake_options {
    bool ipv6;
    uint32_t events_max;            /* in the welcome; 0: the protocol's */
    uint32_t welcome_version;       /* 0: the protocol's */
    uint32_t receive_buffer_bytes;  /* 0: the system's */
    const struct fake_step *hellos; /* one for each hello; then FAKE_ANSWER; borrowed */
    uint32_t hello_count;
    const struct fake_step *steps; /* one for each other frame; then FAKE_ANSWER; borrowed */
    uint32_t step_count;
    struct fake_patch patch;
    uint32_t drop_percent; /* of the frames behind the steps, dropped before or after executing */
    uint64_t seed;
};

struct fake_frame {
    uint32_t connection; /* 0 is the first */
    uint32_t operation;
    uint32_t event_count;
    giro_u128 first_id;   /* of its first event; 0 without events */
    uint64_t fence_token; /* 0: it is not fenced */
};

struct fake;

struct fake *fake_start(const struct fake_options *options);
void fake_stop(struct fake *fake);
const char *fake_address(const struct fake *fake); /* "host:port" */

/* While held, frames other than hello wait unread. */
void fake_hold(struct fake *fake);
void fake_release(struct fake *fake);
/* Lets one frame through. */
void fake_release_one(struct fake *fake);
/* Frames that arrived intact, without hello, and the i-th of them. */
uint32_t fake_frame_count(struct fake *fake);
struct fake_frame fake_frame_at(struct fake *fake, uint32_t index);
/* Frames that came damaged, larger than announced, or half. */
uint32_t fake_frames_bad(struct fake *fake);
/* How many transfers have this id. */
uint32_t fake_transfer_count(struct fake *fake, giro_u128 id);

#ifdef __cplusplus
}
#endif

#endif
