/* Whether queries and the change stream tell what a world knows. */
#ifndef TESTS_FAULTS_HISTORY_H
#define TESTS_FAULTS_HISTORY_H

#include "tests/faults/world.h"

/* Sends a query; out: room for FRAME_EVENTS_MAX records of 128 bytes. */
enum frame_status history_query(struct client *client, enum frame_operation operation,
                                const void *filter, uint32_t filter_bytes, void *out,
                                uint32_t *out_count);

/* All transfers of an account, both sides, from a timestamp on: the filter. */
struct giro_account_filter history_account_filter(uint64_t account, uint64_t timestamp_min);

/* Right after world_check(): every kind of query answers what the world knows, by account, by user
 * data, by time, forwards and backwards, page by page. */
void history_check(struct world *world, uint16_t port);

/* As history_check(), when a file is damaged: queries that need what is lost may answer so. Returns
 * how many did. */
uint32_t history_check_damaged(struct world *world, uint16_t port, enum frame_status damage);

/* Takes a snapshot; FRAME_OK with the reply. */
enum frame_status history_snapshot(struct client *client, struct frame_snapshot *out);

/* Waits until the follower has followed everything that is durable now. */
void history_await_follower(uint16_t port);

/* Somebody who reads the changes, from the first one on, over any number of connections. */
struct subscriber {
    struct client connection;
    uint64_t ordinal; /* to ask for next */
    uint64_t last;    /* ordinal of the last change that came */
    uint64_t changes;
    uint64_t transfers;
    struct giro_balances balances[WORLD_ACCOUNTS]; /* what the changes add up to */
    bool *seen;                                    /* by number of the transfer */
    uint32_t seen_capacity;
};

void subscriber_init(struct subscriber *subscriber);
void subscriber_free(struct subscriber *subscriber);

/* Asks for the next changes. Returns false when the connection broke. */
bool subscriber_ask(struct subscriber *subscriber, uint32_t limit, uint32_t wait_ms);

/* Takes a reply: every change is one that was not seen before, in order, and its balances are what
 * the changes up to it add up to. Returns ordinals left to read. */
uint64_t subscriber_take(struct subscriber *subscriber, const struct world *world,
                         const struct reply *reply);

/* Reads to the end. Returns false when the connection broke. */
bool subscriber_catch_up(struct subscriber *subscriber, const struct world *world);

/* Right after world_check(), when it has caught up: nothing is missing. */
void subscriber_check(struct subscriber *subscriber, const struct world *world, uint16_t port);

#endif
