/* PostgreSQL as a peer: a prepared call of transfer_create() or transfers_create() (schema.sql),
 * with binary parameters, through libpq without blocking. PGUSER, PGPASSWORD and PGDATABASE are
 * libpq's own. */
#include "bench/peers/peer.h"

#include <assert.h>
#include <endian.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OID_INT8 = 20,
    OID_INT8_ARRAY = 1016,
    OID_UUID = 2950,
    OID_UUID_ARRAY = 2951,
    ARRAY_HEADER_BYTES = 20,
    UUID_BYTES = 16,
    INT8_BYTES = 8,
    PARAMETERS = 4, /* id, debit account, credit account, amount */
};

struct peer {
    PGconn *connection;
    bool batched;
    uint8_t *parameters[PARAMETERS];
    uint32_t created; /* of the reply that is arriving */
    bool answered;
};

const char peer_name[] = "peer_postgresql";

static struct peer *failed(struct peer *peer, const char *what)
{
    fprintf(stderr, "%s: %s: %s", peer_name, what, PQerrorMessage(peer->connection));
    peer_close(peer);
    return NULL;
}

static bool prepare(struct peer *peer)
{
    static const Oid one[PARAMETERS] = {OID_UUID, OID_INT8, OID_INT8, OID_INT8};
    static const Oid many[PARAMETERS] = {OID_UUID_ARRAY, OID_INT8_ARRAY, OID_INT8_ARRAY,
                                         OID_INT8_ARRAY};
    const char *call = peer->batched ? "select transfers_create($1, $2, $3, $4)"
                                     : "select transfer_create($1, $2, $3, $4)";
    PGresult *result =
        PQprepare(peer->connection, "call", call, PARAMETERS, peer->batched ? many : one);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return good;
}

struct peer *peer_open(const struct peer_address *address, uint32_t batch)
{
    static const char *const keys[] = {"host", "port", "sslmode", "gssencmode", NULL};
    const char *const values[] = {address->host, address->port, "disable", "disable", NULL};
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->batched = batch > 1;
    for (uint32_t i = 0; i < PARAMETERS; i++) {
        peer->parameters[i] =
            malloc(ARRAY_HEADER_BYTES + (size_t)batch * (sizeof(uint32_t) + UUID_BYTES));
        if (peer->parameters[i] == NULL) {
            peer_close(peer);
            return NULL;
        }
    }
    peer->connection = PQconnectdbParams(keys, values, 0);
    if (PQstatus(peer->connection) != CONNECTION_OK)
        return failed(peer, "connect");
    if (!prepare(peer))
        return failed(peer, "prepare");
    if (PQsetnonblocking(peer->connection, 1) != 0)
        return failed(peer, "set non-blocking");
    return peer;
}

void peer_close(struct peer *peer)
{
    if (peer == NULL)
        return;
    PQfinish(peer->connection);
    for (uint32_t i = 0; i < PARAMETERS; i++)
        free(peer->parameters[i]);
    free(peer);
}

int peer_fd(const struct peer *peer)
{
    return PQsocket(peer->connection);
}

static uint8_t *put_32(uint8_t *at, uint32_t value)
{
    uint32_t wire = htobe32(value);
    memcpy(at, &wire, sizeof wire);
    return at + sizeof wire;
}

static uint8_t *put_64(uint8_t *at, uint64_t value)
{
    uint64_t wire = htobe64(value);
    memcpy(at, &wire, sizeof wire);
    return at + sizeof wire;
}

/* Most significant byte first, so that time-ordered ids are ordered in the index as well. */
static uint8_t *put_uuid(uint8_t *at, giro_u128 id)
{
    return put_64(put_64(at, (uint64_t)(id >> 64)), (uint64_t)id);
}

/* The binary form of a one-dimensional array without NULLs, up to its first element. */
static uint8_t *put_array_header(uint8_t *at, uint32_t element_type, uint32_t count)
{
    const uint32_t words[] = {1, 0, element_type, count, 1};
    _Static_assert(sizeof words == ARRAY_HEADER_BYTES, "array header");
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++)
        at = put_32(at, words[i]);
    return at;
}

static void encode_one(struct peer *peer, const struct giro_transfer *transfer)
{
    put_uuid(peer->parameters[0], transfer->id);
    put_64(peer->parameters[1], (uint64_t)transfer->debit_account_id);
    put_64(peer->parameters[2], (uint64_t)transfer->credit_account_id);
    put_64(peer->parameters[3], (uint64_t)transfer->amount);
}

static void encode_many(struct peer *peer, const struct giro_transfer *transfers, uint32_t count)
{
    uint8_t *id = put_array_header(peer->parameters[0], OID_UUID, count);
    uint8_t *debit = put_array_header(peer->parameters[1], OID_INT8, count);
    uint8_t *credit = put_array_header(peer->parameters[2], OID_INT8, count);
    uint8_t *amount = put_array_header(peer->parameters[3], OID_INT8, count);
    for (uint32_t i = 0; i < count; i++) {
        id = put_uuid(put_32(id, UUID_BYTES), transfers[i].id);
        debit = put_64(put_32(debit, INT8_BYTES), (uint64_t)transfers[i].debit_account_id);
        credit = put_64(put_32(credit, INT8_BYTES), (uint64_t)transfers[i].credit_account_id);
        amount = put_64(put_32(amount, INT8_BYTES), (uint64_t)transfers[i].amount);
    }
}

int peer_send(struct peer *peer, const struct giro_transfer *transfers, uint32_t count)
{
    static const int binary[PARAMETERS] = {1, 1, 1, 1};
    const char *values[PARAMETERS];
    int sizes[PARAMETERS];
    for (uint32_t i = 0; i < PARAMETERS; i++) {
        uint32_t element = i == 0 ? UUID_BYTES : INT8_BYTES;
        values[i] = (const char *)peer->parameters[i];
        sizes[i] = (int)(peer->batched
                             ? ARRAY_HEADER_BYTES + count * (element + (uint32_t)sizeof(uint32_t))
                             : element);
    }
    if (peer->batched) {
        encode_many(peer, transfers, count);
    } else {
        assert(count == 1);
        encode_one(peer, transfers);
    }
    peer->created = 0;
    peer->answered = false;
    if (PQsendQueryPrepared(peer->connection, "call", PARAMETERS, values, sizes, binary, 1) != 1) {
        fprintf(stderr, "%s: send: %s", peer_name, PQerrorMessage(peer->connection));
        return -1;
    }
    return peer_flush(peer);
}

int peer_flush(struct peer *peer)
{
    int left = PQflush(peer->connection);
    if (left < 0)
        fprintf(stderr, "%s: send: %s", peer_name, PQerrorMessage(peer->connection));
    return left < 0 ? -1 : left == 0;
}

/* The function's result is the number of transfers created, a binary int4. */
static bool result_take(struct peer *peer, const PGresult *result)
{
    uint32_t wire;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 ||
        PQgetlength(result, 0, 0) != (int)sizeof wire) {
        fprintf(stderr, "%s: %s", peer_name, PQresultErrorMessage(result));
        return false;
    }
    memcpy(&wire, PQgetvalue(result, 0, 0), sizeof wire);
    peer->created = be32toh(wire);
    peer->answered = true;
    return true;
}

int peer_receive(struct peer *peer, uint32_t *out_created)
{
    if (PQconsumeInput(peer->connection) != 1) {
        fprintf(stderr, "%s: receive: %s", peer_name, PQerrorMessage(peer->connection));
        return -1;
    }
    while (PQisBusy(peer->connection) == 0) {
        PGresult *result = PQgetResult(peer->connection);
        if (result == NULL) {
            /* ready for the next call; also said when nothing was asked */
            int done = peer->answered;
            peer->answered = false;
            *out_created = peer->created;
            return done;
        }
        bool good = result_take(peer, result);
        PQclear(result);
        if (!good)
            return -1;
    }
    return 0;
}
