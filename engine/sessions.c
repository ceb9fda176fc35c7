#include "engine/sessions.h"

#include "engine/memory.h"

#include <assert.h>
#include <errno.h>

int sessions_init(struct sessions *sessions, uint32_t capacity, uint64_t hash_seed)
{
    *sessions = (struct sessions){.capacity = capacity, .hash_seed = hash_seed};
    sessions->rows = memory_reserve((size_t)capacity * sizeof *sessions->rows);
    if (sessions->rows != NULL && index_init(&sessions->index, capacity, 0, INDEX_LOAD_FAST) == 0)
        return 0;
    sessions_free(sessions);
    return -ENOMEM;
}

void sessions_free(struct sessions *sessions)
{
    memory_release(sessions->rows, (size_t)sessions->capacity * sizeof *sessions->rows);
    index_free(&sessions->index);
    *sessions = (struct sessions){0};
}

uint32_t sessions_find(const struct sessions *sessions, giro_u128 client)
{
    if (sessions->count == 0)
        return SESSIONS_NONE;
    struct index_cursor cursor =
        index_search(&sessions->index, id_hash(client, sessions->hash_seed));
    for (;;) {
        uint64_t value = index_next(&sessions->index, &cursor);
        if (value == 0)
            return SESSIONS_NONE;
        if (sessions->rows[value - 1].client == client)
            return (uint32_t)(value - 1);
    }
}

uint32_t sessions_vacant(const struct sessions *sessions, uint32_t most)
{
    if (sessions->count < most && sessions->count < sessions->capacity)
        return sessions->count;
    uint32_t row = 0;
    for (uint32_t i = 1; i < sessions->count; i++) {
        if (sessions->rows[i].address < sessions->rows[row].address)
            row = i;
    }
    return row;
}

void sessions_put(struct sessions *sessions, uint32_t row, const struct session *session)
{
    assert(row <= sessions->count && row < sessions->capacity);
    struct session *place = &sessions->rows[row];
    const bool is_new = row == sessions->count;
    if (!is_new && place->client != session->client)
        index_remove(&sessions->index, id_hash(place->client, sessions->hash_seed),
                     (uint64_t)row + 1);
    if (is_new || place->client != session->client)
        index_insert(&sessions->index, id_hash(session->client, sessions->hash_seed),
                     (uint64_t)row + 1);
    sessions->count += is_new;
    *place = *session;
}
