/* A server of our own: a fresh data directory, `giro format`, `giro serve`, and its end. */
#ifndef BENCH_SERVER_PROCESS_H
#define BENCH_SERVER_PROCESS_H

#include "bench/options.h"

#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

struct server_process {
    pid_t pid;                /* 0: not running */
    char directory[PATH_MAX]; /* of this run: data/ and server.log; empty: none */
    char address[256];        /* HOST:PORT that it listens on */
    char compat[256];         /* the same for TigerBeetle's clients; empty: it does not */
    char io[32];              /* its I/O backend, when it said so, else "unknown" */
};

/* Makes a directory, formats it and starts the server with this very executable; returns once it
 * listens. Messages, the server's own included, go to stderr. The child dies with this process.
 * *out must be given to server_stop() and server_remove() even after a failure.
 * Returns 0, -EINTR or -errno. */
int server_start(const struct bench_options *options, const volatile sig_atomic_t *interrupted,
                 struct server_process *out);

/* CPU time that the server has used. */
uint64_t server_cpu_ns(const struct server_process *server);

/* Memory of it that is resident; 0: not known. */
uint64_t server_memory_bytes(const struct server_process *server);

/* What its data directory takes on disk, besides the log. */
struct server_disk {
    uint64_t segment_bytes; /* of one segment of the log; 0: not known */
    uint64_t index_bytes;   /* sidecars of sealed segments */
    uint64_t snapshot_bytes;
};

struct server_disk server_disk(const struct server_process *server);

/* Stops it with SIGTERM, and with SIGKILL after 30 s. Returns 0, or -EIO when it did not end
 * cleanly. Nothing happens when it does not run. */
int server_stop(struct server_process *server);

/* Removes its files. */
void server_remove(struct server_process *server);

#endif
