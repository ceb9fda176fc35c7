/* A hash table from ids to indexes, for the ids of one import. */
#ifndef TOOLS_IMPORT_IDS_H
#define TOOLS_IMPORT_IDS_H

#include "engine/record.h"

#include <stdint.h>

#define IMPORT_IDS_NONE UINT32_MAX

struct import_ids_slot {
    giro_u128 id;
    uint32_t index; /* IMPORT_IDS_NONE: empty */
};

/* Zero is an empty table. */
struct import_ids {
    struct import_ids_slot *slots;
    uint32_t slot_count; /* a power of two, or 0 */
    uint32_t count;
};

/* Returns the index that is stored for id; where there is none, stores index and returns
 * IMPORT_IDS_NONE. The process ends when memory does. */
uint32_t import_ids_put(struct import_ids *ids, giro_u128 id, uint32_t index);

/* Returns the index that is stored for id, or IMPORT_IDS_NONE. */
uint32_t import_ids_find(const struct import_ids *ids, giro_u128 id);

void import_ids_free(struct import_ids *ids);

#endif
