/* Making everything that is derived from a log again. */
#ifndef TOOLS_INDEX_REBUILD_H
#define TOOLS_INDEX_REBUILD_H

#include "wal/error.h"

/* Deletes all sidecars and snapshots of a directory that nobody has open, reads its log, and makes
 * them again, with a snapshot at the beginning of the last segment in use. Prints the result.
 * Returns 0 or -errno. */
int index_rebuild(const char *data, struct error *error);

#endif
