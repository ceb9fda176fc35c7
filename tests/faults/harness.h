/* Ground under the fault tests: seeds, private folders on a real disk, and real servers.
 *
 *   GIRO             the program under test (default: the one that this build made)
 *   GIRO_TEST_DIR    where private folders go (default: the build folder); a real disk, because
 *                    the log needs O_DIRECT
 *   GIRO_TEST_SEED   replaces the seed of every randomised test
 *
 * Whatever a test starts or makes is registered, and harness_clean(), which every suite names as
 * its .fini, ends and removes what is left, also after a failed assertion. A server dies with the
 * test that started it, and a folder whose test was killed is removed by the next one. */
#ifndef TESTS_FAULTS_HARNESS_H
#define TESTS_FAULTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct kill_at;

enum {
    PATH_BYTES = 224,
    SERVERS_MAX = 8,
    /* How long anything may take before a test gives up: for sanitizer builds on a busy machine. */
    PATIENCE_MS = 60 * 1000,
    SERVER_TEXT_BYTES = 32 << 10,
};

/* ---- Seeds ------------------------------------------------------------------------------- */

struct rng {
    uint64_t state;
};

/* A generator from GIRO_TEST_SEED, or from seed where it is not set; prints which. */
struct rng rng_make(uint64_t seed);
uint64_t rng_next(struct rng *rng);

/* 0 .. limit - 1 */
uint32_t rng_below(struct rng *rng, uint32_t limit);

/* A number from the environment, fallback where it is not set. */
uint32_t environment_number(const char *name, uint32_t fallback);

uint64_t now_ms(void); /* of a clock that never jumps */
void pause_ms(uint32_t ms);

/* ---- Folders ----------------------------------------------------------------------------- */

/* Makes a private, empty folder. */
void folder_make(char path[PATH_BYTES]);

/* As folder_make(), in memory where that allows O_DIRECT: for files that are only read again. */
void folder_make_in_memory(char path[PATH_BYTES]);
void folder_remove(const char *path);

/* Whatever is mounted at these names inside a private folder is unmounted before it is removed. */
#define HARNESS_MOUNT "mount"
#define HARNESS_MEMORY "memory"

/* Copies a data directory: sparse where it is zero, so that even many copies are cheap. */
void folder_copy(const char *from, const char *to);

/* out: DIR/shard-0/000000000N.log */
void segment_path(const char *data, uint32_t segment, char out[PATH_BYTES]);

/* Reads and writes bytes of a file past the page cache's back: what is written is on its way to
 * the disk when the call returns, for readers with O_DIRECT too. */
void file_read(const char *path, uint64_t offset, void *out, size_t size);
void file_write(const char *path, uint64_t offset, const void *bytes, size_t size);

/* ---- Programs ---------------------------------------------------------------------------- */

/* A data directory with segments of 4 MiB, made by giro format. */
void data_format(const char *data);

/* A library in front of the C library, besides kill_at.c. */
enum shim {
    SHIM_NONE,
    SHIM_UNSYNCED, /* tests/faults/unsynced.h */
    SHIM_STARVE,   /* tests/faults/starve.h */
    SHIM_CLOCK,    /* tests/faults/clock_control.h */
};

enum sandbox {
    SANDBOX_NONE,
    SANDBOX_NO_URING, /* a seccomp filter: io_uring_setup fails with EPERM */
};

struct server_setup {
    const char *data;
    const char *io;               /* NULL: io_uring */
    const char *listen;           /* NULL: any port on loopback */
    const char *const *arguments; /* further ones, NULL at the end; may be NULL */
    enum sandbox sandbox;
    uint64_t file_bytes_max; /* writes beyond fail with EFBIG; 0: no limit */
    bool quiet_core;         /* it is expected to abort: no core file */
    const char *kill_at; /* file that tells tests/faults/kill_at.c what to do; NULL: not loaded */
    enum shim shim;
    const char *shim_control;   /* file that tells it what to do */
    uint64_t address_bytes_max; /* RLIMIT_AS; 0: no limit */
    uint64_t data_bytes_max;    /* RLIMIT_DATA */
    uint32_t descriptors_max;   /* RLIMIT_NOFILE */
};

struct server {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char text_path[PATH_BYTES]; /* what it says on stderr */
    char text[SERVER_TEXT_BYTES];
};

/* Starts giro serve; does not wait. */
void server_launch(struct server *server, const struct server_setup *setup);

/* Makes that file inside a folder, all zeros, and maps it for good. */
struct kill_at *kill_at_make(const char *folder, char path[PATH_BYTES]);

/* The same for another library's file of this size. */
void *shim_control_make(const char *folder, size_t size, char path[PATH_BYTES]);

/* Waits until it listens. Returns false when it ended instead: then it is reaped, text is set, and
 * out_status, which may be NULL, is its exit status or 128 + signal. */
bool server_await(struct server *server, int *out_status);

/* Both; the test fails when it does not listen. */
void server_start(struct server *server, const struct server_setup *setup);

/* SIGKILL, reaped. */
void server_kill(struct server *server);

/* SIGTERM; the test fails unless it stops cleanly with status 0. */
void server_stop(struct server *server);

/* Waits until it ends by itself. Returns its exit status or 128 + signal. */
int server_wait(struct server *server);

/* What it has said on stderr so far. */
const char *server_text(struct server *server);

/* Waits until it has said so; fails the test when it does not. */
void server_expect(struct server *server, const char *words);

/* Resident memory of a running server. */
uint64_t server_memory_kib(const struct server *server);

/* giro verify of a directory that no server has open: the test fails unless it is sound. */
void data_verify(const char *data);

/* Ends every server and removes every folder that is left. */
void harness_clean(void);

#endif
