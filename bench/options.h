/* The options of `giro bench`. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench/queries.h"
#include "bench/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTIONS_PASSED_MAX = 32 };

struct bench_options {
    const char *connect;            /* HOST:PORT of a running server, or NULL with spawn */
    const char *compat;             /* HOST:PORT of its port for TigerBeetle's clients, or NULL */
    bool protocols[WIRE_PROTOCOLS]; /* each repeat is a run over each of these in turn */
    bool spawn;                     /* format and serve a fresh data directory for each repeat */
    bool keep;                      /* leave the data directory of a spawned server */
    const char *directory;          /* --data: where a spawned server's files go; NULL: here */
    const char *io;                 /* I/O backend of a spawned server, or NULL for its default */
    const char *serve_passed[OPTIONS_PASSED_MAX]; /* more arguments of `giro serve` */
    uint32_t serve_passed_count;
    const char *format_passed[OPTIONS_PASSED_MAX]; /* more arguments of `giro format` */
    uint32_t format_passed_count;

    uint32_t accounts;
    uint64_t transfers;      /* 0: until the time is over */
    uint64_t warmup;         /* transfers before the measured ones; 0: by time, if any */
    uint64_t seconds;        /* end the measured load then at the latest; 0: no limit */
    uint64_t warmup_seconds; /* the same for the warm-up */
    uint32_t batch;          /* transfers a request */
    uint32_t connections;
    uint32_t depth;         /* requests in flight a connection */
    const char *congestion; /* TCP congestion control of the client, or NULL: the system's */
    uint64_t rate;          /* transfers a second on a fixed schedule; 0: closed loop */
    double zipf;            /* exponent; 0: uniform */
    uint32_t hot_accounts;
    uint32_t hot_percent; /* of transfers whose credit side is one of the hot accounts */
    bool ids_random;
    uint32_t two_phase_percent;
    uint32_t rejected_percent;
    uint32_t history_percent; /* of accounts that keep their balances after each transfer */
    bool user_data;           /* transfers and accounts have a user_data_64 */
    uint32_t repeat;
    uint64_t seed;

    /* beside the load */
    uint32_t queries;                  /* connections that send queries */
    uint64_t query_rate;               /* queries a second of all of them; 0: closed loop */
    uint32_t query_mix[QUERIES_KINDS]; /* shares */
    uint32_t query_account;            /* 0: as the load picks them */
    uint32_t changes;                  /* subscribers */
    bool changes_from_end;
    uint64_t snapshot_every; /* seconds; 0: never */
    uint32_t schedules;
    uint64_t schedules_after;  /* seconds from the load's begin to the first one */
    uint64_t schedules_within; /* seconds from there to the last one */

    bool json;
    const char *json_path; /* NULL: standard output */
    bool progress;
};

/* Fills *out from the command line; messages go to stderr.
 * Returns 0, 1 when help was printed, or -EINVAL. */
int options_parse(int argc, char **argv, struct bench_options *out);

/* How many protocols there are. */
static inline uint32_t options_protocol_count(const struct bench_options *options)
{
    return (uint32_t)options->protocols[WIRE_NATIVE] + options->protocols[WIRE_COMPAT];
}

/* A decimal number with an optional k, M or G, between min and max. Returns 0, or -EINVAL with a
 * message that names the option. */
int options_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
