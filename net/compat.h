/* TigerBeetle's protocol: its clients' requests become the ones that native clients make.
 *
 * A client registers a session, and then sends one request at a time, again and again until it is
 * answered, over whatever connection. What a session's last request that changes something has led to
 * is in the log, in the block of what it did (engine/sessions.h): when it comes again, after a lost
 * reply or a restart, the same results are sent and nothing is executed.
 *
 *   the request's number is the session's last one's and it creates: the same reply
 *   it is lower: ignored, the client has gone on
 *   it is higher: executed
 *
 * A connection whose message is damaged, or of another cluster, is closed. What cannot be answered at
 * the moment is not answered: the client sends it again. */
#ifndef NET_COMPAT_H
#define NET_COMPAT_H

#include "net/shard_state.h"

/* Executes the whole message at the front of a compatible connection's input. */
enum execution compat_execute(struct shard *shard, struct connection *connection);

/* Memory for that. Returns 0 or -ENOMEM. */
int compat_init(struct compat *compat);
void compat_free(struct compat *compat);

#endif
