/* Where an export comes from: the change stream of a server, or the log of a ledger that no server
 * has open. Both give the same changes, with the balances after each, in the order of ordinals.
 *
 * The stream ends where the history ended when it was first asked, so that an export of a busy
 * ledger comes to an end. It reads ahead by one reply: the next one is on its way while this one is
 * being written out. The log is read and replayed from its beginning, whatever is wanted of it. */
#ifndef TOOLS_EXPORT_SOURCE_H
#define TOOLS_EXPORT_SOURCE_H

#include "engine/record.h"

#include <stdbool.h>
#include <stdint.h>

/* Takes a change, borrowed for the call. Returns whether to go on. */
typedef bool export_take(void *context, const struct giro_change *change);

struct export_source {
    const char *data;    /* a data directory; NULL: the server at address */
    const char *address; /* host:port */
    uint64_t from;       /* the first ordinal to give */
    uint64_t to;         /* the first not to give any more */
    export_take *take;
    void *context;

    /* Set by export_source_run(). */
    uint64_t ordinal_next; /* everything before it was given, and taken */
    uint64_t ordinal_end;  /* of the history, as far as it was seen */
    bool beyond;           /* from lies behind the end of the history; nothing was printed */
};

/* Gives all changes from .. to. Returns false when it ended before that: because take() said so,
 * or for a reason that was printed, in the name of a subcommand. */
bool export_source_run(struct export_source *source, const char *command);

#endif
