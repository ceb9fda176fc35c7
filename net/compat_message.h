/* What the parts of the compatible port share: the message that is executed, and its reply. */
#ifndef NET_COMPAT_MESSAGE_H
#define NET_COMPAT_MESSAGE_H

#include "net/shard_state.h"

/* The message that is being executed. */
struct compat_message {
    struct shard *shard;
    struct connection *connection;
    struct compat_header *header;
    const struct compat_format *format;
    struct compat_batches batches;
    char *body;
};

/* Room for a message's body, or NULL and what to wait for. */
char *compat_body_reserve(const struct compat_message *message, uint32_t bytes,
                          enum execution *out_wait);

/* Sends the reply whose body lies in the reserved room, once a block is durable. commit: of the session's
 * last change, which orders replies. */
enum execution compat_reply_send(const struct compat_message *message, uint32_t body_bytes,
                                 uint64_t commit, uint64_t timestamp, uint64_t lsn);

/* The same for the session in a row, of what reads see. */
enum execution compat_read_send(const struct compat_message *message, uint32_t row,
                                uint32_t body_bytes, uint64_t lsn);

/* The client is told that it cannot go on. */
enum execution compat_evict(const struct compat_message *message, enum compat_eviction reason);

/* Not answered: the client sends it again. */
enum execution compat_ignore(void);

/* Executes a read of change events, for the session in a row (net/compat_changes.c). */
enum execution compat_execute_changes(const struct compat_message *message, uint32_t row);

#endif
