/* Redis as a peer: EVALSHA of transfer.lua through hiredis without blocking. REDISCLI_AUTH holds
 * the password, as for redis-cli. */
#include "bench/peers/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCRIPT_BYTES_MAX = 64 * 1024,
    SHA_BYTES = 40,
    ID_BYTES = 16,
    NUMBER_BYTES = 24,
    FIELDS = 4, /* id, debit account, credit account, amount */
    COMMAND_WORDS = 3,
    CONNECT_TIMEOUT_S = 30,
};

struct peer {
    redisContext *context;
    char sha[SHA_BYTES + 1];
    const char **words;                  /* of one command */
    size_t *sizes;                       /* of each word */
    char (*texts)[FIELDS][NUMBER_BYTES]; /* the words that are not constant */
};

const char peer_name[] = "peer_redis";

static struct peer *failed(struct peer *peer, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", peer_name, what, why);
    peer_close(peer);
    return NULL;
}

/* Runs a command at set-up time; returns its reply, which the caller frees, or NULL. */
static redisReply *command(struct peer *peer, int count, const char **words)
{
    redisReply *reply = redisCommandArgv(peer->context, count, words, NULL);
    if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
        return reply;
    fprintf(stderr, "%s: %s: %s\n", peer_name, words[0],
            reply != NULL ? reply->str : peer->context->errstr);
    if (reply != NULL)
        freeReplyObject(reply);
    return NULL;
}

static bool authenticate(struct peer *peer)
{
    const char *words[] = {"AUTH", getenv("REDISCLI_AUTH")};
    if (words[1] == NULL)
        return true;
    redisReply *reply = command(peer, 2, words);
    if (reply != NULL)
        freeReplyObject(reply);
    return reply != NULL;
}

static bool script_load(struct peer *peer, const char *path)
{
    char text[SCRIPT_BYTES_MAX];
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    size_t size = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL)
        fclose(file);
    if (size == 0) {
        fprintf(stderr, "%s: cannot read the script\n", peer_name);
        return false;
    }
    text[size] = 0;
    const char *words[] = {"SCRIPT", "LOAD", text};
    redisReply *reply = command(peer, 3, words);
    if (reply == NULL)
        return false;
    bool good = reply->type == REDIS_REPLY_STRING && reply->len == SHA_BYTES;
    if (good)
        memcpy(peer->sha, reply->str, SHA_BYTES);
    freeReplyObject(reply);
    return good;
}

struct peer *peer_open(const struct peer_address *address, uint32_t batch)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    size_t words = COMMAND_WORDS + (size_t)batch * FIELDS;
    peer->words = calloc(words, sizeof *peer->words);
    peer->sizes = calloc(words, sizeof *peer->sizes);
    peer->texts = calloc(batch, sizeof *peer->texts);
    if (peer->words == NULL || peer->sizes == NULL || peer->texts == NULL)
        return failed(peer, "open", "out of memory");
    const struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_S};
    peer->context =
        redisConnectWithTimeout(address->host, (int)strtol(address->port, NULL, 10), timeout);
    if (peer->context == NULL || peer->context->err != 0)
        return failed(peer, "connect",
                      peer->context == NULL ? "out of memory" : peer->context->errstr);
    if (!authenticate(peer) || !script_load(peer, address->script)) {
        peer_close(peer);
        return NULL;
    }
    /* From here on as hiredis's own asynchronous mode has it. */
    int flags = fcntl(peer->context->fd, F_GETFL);
    if (flags < 0 || fcntl(peer->context->fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return failed(peer, "set non-blocking", strerror(errno));
    peer->context->flags &= ~REDIS_BLOCK;
    return peer;
}

void peer_close(struct peer *peer)
{
    if (peer == NULL)
        return;
    if (peer->context != NULL)
        redisFree(peer->context);
    free(peer->words);
    free(peer->sizes);
    free(peer->texts);
    free(peer);
}

int peer_fd(const struct peer *peer)
{
    return peer->context->fd;
}

static void word_set(struct peer *peer, size_t at, const char *word, size_t size)
{
    peer->words[at] = word;
    peer->sizes[at] = size;
}

static void number_set(struct peer *peer, size_t at, char text[NUMBER_BYTES], giro_u128 number)
{
    int size = snprintf(text, NUMBER_BYTES, "%" PRIu64, (uint64_t)number);
    word_set(peer, at, text, (size_t)size);
}

int peer_send(struct peer *peer, const struct giro_transfer *transfers, uint32_t count)
{
    word_set(peer, 0, "EVALSHA", 7);
    word_set(peer, 1, peer->sha, SHA_BYTES);
    word_set(peer, 2, "0", 1);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = COMMAND_WORDS + (size_t)i * FIELDS;
        char(*texts)[NUMBER_BYTES] = peer->texts[i];
        memcpy(texts[0], &transfers[i].id, ID_BYTES);
        word_set(peer, at, texts[0], ID_BYTES);
        number_set(peer, at + 1, texts[1], transfers[i].debit_account_id);
        number_set(peer, at + 2, texts[2], transfers[i].credit_account_id);
        number_set(peer, at + 3, texts[3], transfers[i].amount);
    }
    int words = (int)(COMMAND_WORDS + count * FIELDS);
    if (redisAppendCommandArgv(peer->context, words, peer->words, peer->sizes) != REDIS_OK) {
        fprintf(stderr, "%s: send: %s\n", peer_name, peer->context->errstr);
        return -1;
    }
    return peer_flush(peer);
}

int peer_flush(struct peer *peer)
{
    int done = 0;
    if (redisBufferWrite(peer->context, &done) != REDIS_OK) {
        fprintf(stderr, "%s: send: %s\n", peer_name, peer->context->errstr);
        return -1;
    }
    return done;
}

int peer_receive(struct peer *peer, uint32_t *out_created)
{
    void *reply = NULL;
    if (redisBufferRead(peer->context) != REDIS_OK ||
        redisGetReplyFromReader(peer->context, &reply) != REDIS_OK) {
        fprintf(stderr, "%s: receive: %s\n", peer_name, peer->context->errstr);
        return -1;
    }
    if (reply == NULL)
        return 0;
    const redisReply *answer = reply;
    bool good = answer->type == REDIS_REPLY_INTEGER;
    if (good)
        *out_created = (uint32_t)answer->integer;
    else
        fprintf(stderr, "%s: %s\n", peer_name,
                answer->type == REDIS_REPLY_ERROR ? answer->str : "unexpected reply");
    freeReplyObject(reply);
    return good ? 1 : -1;
}
