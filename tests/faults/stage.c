#include "tests/faults/stage.h"

#include "wal/manifest.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CLIENTS = 3, HISTORY_ACCOUNTS = 4, EVENTS = 100 };

void stage_begin(struct stage *stage, const char *const *arguments, uint64_t seed)
{
    memset(stage, 0, sizeof *stage);
    folder_make_in_memory(stage->data);
    data_format(stage->data);
    stage->control = kill_at_make(stage->data, stage->control_path);
    stage->setup = (struct server_setup){
        .data = stage->data, .arguments = arguments, .kill_at = stage->control_path};
    world_init(&stage->world, seed, CLIENTS);
    stage->world.history_accounts = HISTORY_ACCOUNTS;
    stage->world.events_per_request = EVENTS;
    subscriber_init(&stage->subscriber);
}

void stage_end(struct stage *stage)
{
    subscriber_free(&stage->subscriber);
    world_free(&stage->world);
    folder_remove(stage->data);
}

void stage_check_now(struct stage *stage)
{
    world_check(&stage->world, stage->server.port);
    history_await_follower(stage->server.port);
    history_check(&stage->world, stage->server.port);
}

void stage_check(struct stage *stage)
{
    stage_check_now(stage);
    world_retry(&stage->world, stage->server.port);
    stage_check_now(stage);
    client_connect(&stage->subscriber.connection, stage->server.port);
    cr_assert(subscriber_catch_up(&stage->subscriber, &stage->world));
    client_close(&stage->subscriber.connection);
    subscriber_check(&stage->subscriber, &stage->world, stage->server.port);
}

struct frame_stats stage_stats(const struct stage *stage)
{
    struct client client;
    struct frame_stats stats;
    client_connect(&client, stage->server.port);
    client_stats(&client, &stats);
    client_close(&client);
    return stats;
}

uint32_t stage_snapshot(struct stage *stage)
{
    struct client client;
    struct frame_snapshot snapshot = {0};
    client_connect(&client, stage->server.port);
    enum frame_status status = history_snapshot(&client, &snapshot);
    cr_assert_eq(status, FRAME_OK, "snapshot: %s\n%s", frame_status_name(status),
                 server_text(&stage->server));
    client_close(&client);
    return snapshot.segment;
}

static bool named(const struct manifest *manifest, const char *file)
{
    char name[SNAPSHOT_NAME_BYTES];
    for (uint32_t i = 0; i < manifest->count; i++) {
        snapshot_name(manifest->entries[i].segment, name);
        if (strcmp(file, name) == 0)
            return true;
    }
    return strncmp(file, "snapshot", strlen("snapshot")) != 0;
}

void stage_check_orphans(const struct stage *stage, const char *when)
{
    struct manifest manifest = {0};
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/shard-0/manifest", stage->data);
    if (access(path, F_OK) == 0)
        file_read(path, 0, &manifest, sizeof manifest);
    (void)snprintf(path, sizeof path, "%s/shard-0", stage->data);
    DIR *folder = opendir(path);
    cr_assert(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        cr_assert(named(&manifest, entry->d_name), "%s: %s is left over", when, entry->d_name);
    closedir(folder);
}
