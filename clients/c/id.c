#include "clients/c/giro.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

enum { ID_RANDOM_BITS = 80 };

/* The one piece of state that all clients of a process share: ids have to grow across them. */
static pthread_mutex_t id_mutex = PTHREAD_MUTEX_INITIALIZER;
static giro_u128 id_last;

static uint64_t wall_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Within a millisecond, or when the clock was set back, an id is the one before plus a random step
 * of 64 bits instead of plus one: a child of fork(), which starts from the same id_last, does not
 * get its parent's ids. Some hundred thousand steps fit before they reach into the next
 * millisecond, which harms nothing. */
giro_u128 giro_id_time_ordered(void)
{
    struct {
        uint64_t low;
        uint64_t high;
    } random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return 0;

    giro_u128 id = (giro_u128)(wall_clock_ms() & 0xffffffffffffull) << ID_RANDOM_BITS;
    id |= (giro_u128)(random.high & 0xffff) << 64;
    id |= random.low;
    pthread_mutex_lock(&id_mutex);
    if (id <= id_last)
        id = id_last + 1 + random.low;
    id_last = id;
    pthread_mutex_unlock(&id_mutex);
    return id;
}

giro_u128 giro_schedule_transfer_id(giro_u128 schedule_id, uint32_t occurrence, uint32_t attempt)
{
    const struct {
        giro_u128 schedule_id;
        uint32_t occurrence;
        uint32_t attempt;
        uint64_t zeros;
    } key = {schedule_id, occurrence, attempt, 0};
    _Static_assert(sizeof key == 32, "no padding");
    const XXH128_hash_t hash = XXH3_128bits(&key, sizeof key);
    return (giro_u128)hash.high64 << 64 | hash.low64;
}
