/* Records that have left the memory window are read back from disk, with their checksum proven: the
 * answers are the same as on the first day, and a record that rotted is called damaged. */
#include "tests/faults/client.h"
#include "tests/faults/harness.h"
#include "wal/block.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(old_records, .fini = harness_clean, .timeout = 600);

enum {
    TRANSFERS = 400000, /* 51 MB of log, three times the window */
    TRANSFERS_FEW = 200000,
    ACCOUNTS = 50,
    SINGLES = 30, /* blocks of one record between large ones */
    HOLDS = 100,  /* among the very first */
    SEGMENT_BYTES = 4 << 20,
    SEARCH_BYTES = 1 << 20,
    ROOM = 50000, /* for more than was asked for */
};

#define ID_FIRST 1000ull
#define ID_BURNT 900ull
#define ID_POST 100000000ull

static const char *const arguments[] = {
    "--window-bytes", "16m", "--accounts-max", "1000", "--holds-max", "8192", NULL};

/* Everything that was ever acknowledged. */
struct past {
    struct giro_transfer *transfers; /* as answered: with timestamps */
    uint32_t count;
    struct server server;
    struct client client;
    struct server_setup setup;
    char data[PATH_BYTES];
    struct rng rng;
};

static void past_send(struct past *past, uint32_t count)
{
    static uint32_t codes[FRAME_EVENTS_MAX];
    uint64_t timestamp;
    struct giro_transfer *transfers = &past->transfers[past->count];
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = past->count + i;
        transfers[i] = transfer_of(ID_FIRST + number, 1 + number % ACCOUNTS,
                                   1 + (number + 1 + number % 7) % ACCOUNTS, 1 + number % 1000);
        transfers[i].user_data_128 = (giro_u128)rng_next(&past->rng) << 64 | number;
        transfers[i].user_data_64 = rng_next(&past->rng);
        transfers[i].flags = number < HOLDS ? GIRO_TRANSFER_PENDING : 0;
    }
    cr_assert_eq(client_create_transfers(&past->client, transfers, count, codes, &timestamp),
                 FRAME_OK);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(codes[i], GIRO_TRANSFER_CREATED, "%s", giro_transfer_result_name(codes[i]));
        transfers[i].timestamp = timestamp + i;
    }
    past->count += count;
}

static void past_burn(struct past *past)
{
    struct giro_transfer transfer = transfer_of(ID_BURNT, 999, 1, 1);
    uint32_t code;
    cr_assert_eq(client_create_transfers(&past->client, &transfer, 1, &code, NULL), FRAME_OK);
    cr_assert_eq(code, GIRO_TRANSFER_DEBIT_ACCOUNT_NOT_FOUND);
}

/* Large blocks and small ones by turns, far more than the window holds. */
static void past_make(struct past *past, const char *io, uint32_t count)
{
    *past = (struct past){.rng = rng_make(0x01d)};
    past->transfers = calloc(count + ROOM, sizeof *past->transfers);
    cr_assert(past->transfers != NULL);
    folder_make(past->data);
    data_format(past->data);
    past->setup = (struct server_setup){.data = past->data, .io = io, .arguments = arguments};
    server_start(&past->server, &past->setup);
    client_connect(&past->client, past->server.port);
    client_make_accounts(&past->client, 1, ACCOUNTS);
    past_burn(past);
    past_send(past, HOLDS);
    while (past->count < count) {
        past_send(past, FRAME_EVENTS_MAX - rng_below(&past->rng, 3000));
        for (uint32_t i = 0; i < SINGLES; i++)
            past_send(past, 1 + rng_below(&past->rng, 5));
    }
}

static void past_restart(struct past *past)
{
    client_close(&past->client);
    server_stop(&past->server);
    server_start(&past->server, &past->setup);
    client_connect(&past->client, past->server.port);
}

static void past_free(struct past *past)
{
    client_close(&past->client);
    server_stop(&past->server);
    folder_remove(past->data);
    free(past->transfers);
}

static uint64_t fetched_count(struct past *past)
{
    struct frame_stats stats;
    client_stats(&past->client, &stats);
    return stats.records_fetched;
}

/* ---- Lookups ----------------------------------------------------------------------------- */

static void expect_same(const struct past *past, const struct reply *reply, const uint32_t *numbers,
                        uint32_t count)
{
    cr_assert_eq(reply->header.status, FRAME_OK, "%s", frame_status_name(reply->header.status));
    uint32_t found = reply->header.body_bytes / GIRO_RECORD_BYTES;
    for (uint32_t i = 0; i < count; i++)
        cr_assert(i < found && memcmp((const char *)reply->body + i * GIRO_RECORD_BYTES,
                                      &past->transfers[numbers[i]], GIRO_RECORD_BYTES) == 0,
                  "transfer %u of %u is not what was acknowledged (%u of %u found)", numbers[i],
                  past->count, found, count);
    cr_assert_eq(found, count);
}

/* Random ones, or, with span, those from a random one on. */
static uint32_t pick(struct past *past, uint32_t *numbers, uint32_t count, bool span)
{
    uint32_t from = rng_below(&past->rng, past->count - FRAME_EVENTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = span ? from + i : rng_below(&past->rng, past->count);
    return count;
}

static uint64_t lookup_send(struct client *client, const uint32_t *numbers, uint32_t count)
{
    giro_u128 ids[FRAME_EVENTS_MAX];
    for (uint32_t i = 0; i < count; i++)
        ids[i] = ID_FIRST + numbers[i];
    return client_request(client, FRAME_LOOKUP_TRANSFERS, ids, count * (uint32_t)sizeof ids[0]);
}

static void check_lookups(struct past *past, uint32_t rounds)
{
    static uint32_t numbers[FRAME_EVENTS_MAX];
    struct reply reply;
    uint64_t fetched = fetched_count(past);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t count = round % 4 == 0   ? FRAME_EVENTS_MAX
                         : round % 4 == 1 ? 1
                                          : 1 + rng_below(&past->rng, 300);
        (void)pick(past, numbers, count, round % 3 == 0);
        uint64_t id = lookup_send(&past->client, numbers, count);
        client_expect(&past->client, id, &reply);
        expect_same(past, &reply, numbers, count);
    }
    cr_assert(fetched_count(past) > fetched, "nothing came from disk");
}

/* Every one of them, in order: also those at the edge between memory and disk. */
static void check_all(struct past *past)
{
    static uint32_t numbers[FRAME_EVENTS_MAX];
    struct reply reply;
    for (uint32_t begin = 0; begin < past->count; begin += FRAME_EVENTS_MAX) {
        uint32_t count = past->count - begin;
        count = count < FRAME_EVENTS_MAX ? count : FRAME_EVENTS_MAX;
        for (uint32_t i = 0; i < count; i++)
            numbers[i] = begin + i;
        uint64_t id = lookup_send(&past->client, numbers, count);
        client_expect(&past->client, id, &reply);
        expect_same(past, &reply, numbers, count);
    }
}

/* More clients at once than the server has fetches. */
static void check_lookups_together(struct past *past)
{
    enum { CLIENTS = 10, REQUESTS = 6, IDS = 200 };
    static uint32_t numbers[CLIENTS][REQUESTS][IDS];
    struct client clients[CLIENTS];
    uint64_t ids[CLIENTS][REQUESTS];
    struct reply reply;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client_connect(&clients[i], past->server.port);
        for (uint32_t j = 0; j < REQUESTS; j++) {
            (void)pick(past, numbers[i][j], IDS, false);
            ids[i][j] = lookup_send(&clients[i], numbers[i][j], IDS);
        }
    }
    cr_assert(client_ping(&past->client, PATIENCE_MS));
    for (uint32_t i = 0; i < CLIENTS; i++) {
        for (uint32_t j = 0; j < REQUESTS; j++) {
            client_expect(&clients[i], ids[i][j], &reply);
            expect_same(past, &reply, numbers[i][j], IDS);
        }
        client_close(&clients[i]);
    }
}

/* ---- Creates that meet old records ------------------------------------------------------- */

static struct giro_transfer again(const struct past *past, uint32_t number)
{
    struct giro_transfer transfer = past->transfers[number];
    transfer.timestamp = 0;
    return transfer;
}

/* Old ids once more: the same, and with one field changed. */
static void check_duplicates(struct past *past)
{
    static struct giro_transfer events[FRAME_EVENTS_MAX];
    static uint32_t codes[FRAME_EVENTS_MAX];
    static const uint32_t expected[] = {
        GIRO_TRANSFER_EXISTS,
        GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_AMOUNT,
        GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_64,
        GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_USER_DATA_128,
        GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID,
        GIRO_TRANSFER_EXISTS_WITH_DIFFERENT_CODE,
    };
    struct frame_stats before;
    struct frame_stats after;
    client_stats(&past->client, &before);
    for (uint32_t i = 0; i < FRAME_EVENTS_MAX; i++) {
        events[i] = again(past, rng_below(&past->rng, past->count));
        events[i].amount += i % 6 == 1;
        events[i].user_data_64 ^= i % 6 == 2;
        events[i].user_data_128 ^= (giro_u128)(i % 6 == 3) << 100;
        events[i].debit_account_id += i % 6 == 4 ? 1000 : 0;
        events[i].code = i % 6 == 5 ? 7 : 1;
    }
    cr_assert_eq(client_create_transfers(&past->client, events, FRAME_EVENTS_MAX, codes, NULL),
                 FRAME_OK);
    for (uint32_t i = 0; i < FRAME_EVENTS_MAX; i++)
        cr_assert_eq(codes[i], expected[i % 6], "%s instead of %s",
                     giro_transfer_result_name(codes[i]),
                     giro_transfer_result_name(expected[i % 6]));
    client_stats(&past->client, &after);
    cr_assert_eq(after.transfers, before.transfers);
}

static uint32_t create_one(struct past *past, struct giro_transfer transfer)
{
    uint32_t code;
    cr_assert_eq(client_create_transfers(&past->client, &transfer, 1, &code, NULL), FRAME_OK);
    return code;
}

/* A burnt id stays burnt; an old hold can be posted once, whole or in part. */
static void check_old_fates(struct past *past, uint32_t hold)
{
    struct giro_transfer post = {.id = ID_POST + hold,
                                 .pending_id = ID_FIRST + hold,
                                 .amount = GIRO_U128_MAX,
                                 .flags = GIRO_TRANSFER_POST_PENDING};
    struct giro_transfer second = post;
    second.id += HOLDS;
    cr_assert_eq(create_one(past, transfer_of(ID_BURNT, 1, 2, 1)), GIRO_TRANSFER_ID_ALREADY_FAILED);
    cr_assert_eq(create_one(past, post), GIRO_TRANSFER_CREATED);
    cr_assert_eq(create_one(past, post), GIRO_TRANSFER_EXISTS);
    cr_assert_eq(create_one(past, second), GIRO_TRANSFER_PENDING_TRANSFER_ALREADY_POSTED);
    second.pending_id = ID_FIRST + HOLDS; /* an old one that never was a hold */
    cr_assert_eq(create_one(past, second), GIRO_TRANSFER_PENDING_TRANSFER_NOT_PENDING);
}

static void old_records_try(const char *io)
{
    static struct past past;
    past_make(&past, io, TRANSFERS);
    for (uint32_t start = 0; start < 2; start++) {
        check_all(&past);
        check_lookups(&past, 60);
        check_lookups_together(&past);
        check_duplicates(&past);
        check_old_fates(&past, start);
        past_restart(&past);
    }
    check_lookups(&past, 20);
    past_free(&past);
}

Test(old_records, are_what_they_were_io_uring)
{
    old_records_try("io_uring");
}

Test(old_records, are_what_they_were_posix)
{
    old_records_try("posix");
}

/* A mark is a block too, and takes the place of the oldest records in memory. */
Test(old_records, an_idle_mark_hides_nothing)
{
    static struct past past;
    enum { ROUNDS = 6, MARKED_MS = 50 };
    past_make(&past, NULL, TRANSFERS_FEW);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        past_send(&past, 1000 + rng_below(&past.rng, 4000)); /* the edge is elsewhere every time */
        pause_ms(MARKED_MS);
        check_all(&past);
    }
    past_free(&past);
}

/* The same for an id that is sent again: it must not be created twice. */
Test(old_records, an_idle_mark_lets_nothing_be_created_twice)
{
    static struct past past;
    static struct giro_transfer events[FRAME_EVENTS_MAX];
    static uint32_t codes[FRAME_EVENTS_MAX];
    enum { MARKED_MS = 50 };
    past_make(&past, NULL, TRANSFERS_FEW);
    pause_ms(MARKED_MS);
    for (uint32_t begin = 0; begin < past.count; begin += FRAME_EVENTS_MAX) {
        uint32_t count = past.count - begin;
        count = count < FRAME_EVENTS_MAX ? count : FRAME_EVENTS_MAX;
        for (uint32_t i = 0; i < count; i++)
            events[i] = again(&past, begin + i);
        cr_assert_eq(client_create_transfers(&past.client, events, count, codes, NULL), FRAME_OK);
        for (uint32_t i = 0; i < count; i++)
            cr_assert_eq(codes[i], GIRO_TRANSFER_EXISTS, "transfer %u of %u was %s a second time",
                         begin + i, past.count, giro_transfer_result_name(codes[i]));
    }
    past_free(&past);
}

/* Walks the blocks of one segment; returns how many had padding, all of which must be zeros. */
static uint32_t padding_check(const char *segment)
{
    static char bytes[SEGMENT_BYTES];
    uint32_t padded = 0;
    file_read(segment, 0, bytes, sizeof bytes);
    for (uint32_t at = 0; at < SEGMENT_BYTES;) {
        struct block_header header;
        memcpy(&header, bytes + at, sizeof header);
        if (header.magic != BLOCK_MAGIC)
            break;
        uint32_t used = BLOCK_HEADER_BYTES + header.record_count * GIRO_RECORD_BYTES;
        for (uint32_t i = used; i < header.block_bytes; i++)
            cr_assert_eq(bytes[at + i], 0, "%s: padding of the block at %u", segment, at);
        padded += used < header.block_bytes;
        at += header.block_bytes;
    }
    return padded;
}

/* Blocks are built over what the window held a round ago: none of that may reach the disk. */
Test(old_records, do_not_show_through_the_padding_of_new_blocks)
{
    static struct past past;
    char segment[PATH_BYTES];
    uint32_t padded = 0;
    past_make(&past, NULL, TRANSFERS_FEW);
    for (uint32_t i = 0;; i++) {
        segment_path(past.data, i, segment);
        if (access(segment, R_OK) != 0)
            break;
        padded += padding_check(segment);
    }
    cr_assert(padded > 2 * SINGLES);
    past_free(&past);
}

/* ---- Rot --------------------------------------------------------------------------------- */

/* Position in a segment of the record with this id. */
static uint32_t record_find(const char *segment, giro_u128 id)
{
    static char bytes[SEARCH_BYTES];
    for (uint32_t begin = 0; begin < SEGMENT_BYTES; begin += SEARCH_BYTES) {
        file_read(segment, begin, bytes, sizeof bytes);
        for (uint32_t at = 0; at < SEARCH_BYTES; at += GIRO_RECORD_BYTES) {
            if (memcmp(bytes + at, &id, sizeof id) == 0)
                return begin + at;
        }
    }
    cr_assert_fail("the record is not in %s", segment);
    return 0;
}

static enum frame_status lookup_one(struct client *client, uint32_t number)
{
    struct reply reply;
    uint64_t id = lookup_send(client, &number, 1);
    cr_assert(id != 0, "the connection was closed");
    client_expect(client, id, &reply);
    return reply.header.status;
}

/* A create that must be compared with a damaged record is not executed, not even in part. */
static void create_is_refused(struct past *past, uint32_t rotten)
{
    struct client client;
    struct frame_stats before;
    struct frame_stats after;
    struct giro_transfer events[3] = {transfer_of(ID_POST - 2, 1, 2, 1), again(past, rotten),
                                      transfer_of(ID_POST - 1, 1, 2, 1)};
    client_stats(&past->client, &before);
    client_connect(&client, past->server.port);
    cr_assert_eq(client_create_transfers(&client, events, 3, NULL, NULL), FRAME_RECORD_DAMAGED);
    client_close(&client);
    client_stats(&past->client, &after);
    cr_assert_eq(after.transfers, before.transfers);
    cr_assert_eq(create_one(past, events[0]), GIRO_TRANSFER_CREATED);
}

/* One byte of an old record changes on disk while the server runs. */
static void rot_try(const char *io)
{
    static struct past past;
    enum { ROTTEN = 5, NEIGHBOUR = 6, FAR = 20000 };
    char segment[PATH_BYTES];
    uint8_t byte;
    past_make(&past, io, TRANSFERS_FEW);
    segment_path(past.data, 0, segment);
    uint32_t at = record_find(segment, past.transfers[ROTTEN].id) + 48; /* its amount */
    file_read(segment, at, &byte, 1);
    byte ^= 1;
    file_write(segment, at, &byte, 1);

    cr_assert_eq(lookup_one(&past.client, FAR), FRAME_OK);
    struct client client;
    client_connect(&client, past.server.port);
    cr_assert_eq(lookup_one(&client, ROTTEN), FRAME_RECORD_DAMAGED);
    client_close(&client);
    server_expect(&past.server, "a block on disk is damaged");
    cr_assert(strstr(past.server.text, "0000000000.log") != NULL, "%s", past.server.text);
    client_connect(&client, past.server.port);
    cr_assert_eq(lookup_one(&client, NEIGHBOUR), FRAME_RECORD_DAMAGED, "of the same block");
    client_close(&client);
    cr_assert(client_ping(&past.client, PATIENCE_MS));
    create_is_refused(&past, ROTTEN);

    byte ^= 1;
    file_write(segment, at, &byte, 1);
    cr_assert_eq(lookup_one(&past.client, ROTTEN), FRAME_OK);
    past_restart(&past);
    check_lookups(&past, 5);
    past_free(&past);
}

Test(old_records, that_rot_are_called_damaged_io_uring)
{
    rot_try("io_uring");
}

Test(old_records, that_rot_are_called_damaged_posix)
{
    rot_try("posix");
}

/* A status tells whether the connection lives on, and requests behind a damaged one are served. */
Test(old_records, a_damaged_one_does_not_close_the_connection)
{
    static struct past past;
    enum { ROTTEN = 5, FAR = 20000 };
    char segment[PATH_BYTES];
    struct client client;
    past_make(&past, NULL, TRANSFERS_FEW);
    segment_path(past.data, 0, segment);
    file_write(segment, record_find(segment, past.transfers[ROTTEN].id) + 60, "rot", 3);
    client_connect(&client, past.server.port);
    enum frame_status status = lookup_one(&client, ROTTEN);
    cr_assert_eq(status, FRAME_RECORD_DAMAGED);
    cr_assert_eq(client_ping(&client, PATIENCE_MS), !frame_status_closes(status),
                 "%s is said to keep the connection", frame_status_name(status));
    cr_assert_eq(lookup_one(&client, FAR), FRAME_OK);
    client_close(&client);
    past_free(&past);
}
