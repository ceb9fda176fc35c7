/* A server that cannot start says why in one line and ends with status 1; one that cannot have
 * io_uring does without it, or says so when it was told not to. */
#include "tests/faults/client.h"
#include "tests/faults/harness.h"
#include "wal/directory.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(environment, .fini = harness_clean, .timeout = 300);

static const char complaint[] = "giro serve: ";

static uint32_t lines_with(const char *text, const char *words)
{
    uint32_t count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at += strlen(words))
        count++;
    return count;
}

/* Status 1 and one line of complaint with these words in it (NULL: none more). */
static void expect_refusal(const struct server_setup *setup, const char *words, const char *more)
{
    struct server server;
    int status = -1;
    server_launch(&server, setup);
    bool listens = server_await(&server, &status);
    cr_assert(!listens, "it serves, although \"%s\"", words);
    cr_assert_eq(status, 1, "status %d:\n%s", status, server.text);
    cr_assert_eq(lines_with(server.text, complaint), 1, "%s", server.text);
    const char *line = strstr(server.text, complaint);
    const char *end = strchr(line, '\n');
    cr_assert(end != NULL && end[1] == 0, "the complaint is not the last line:\n%s", server.text);
    cr_assert(strstr(line, words) != NULL, "expected \"%s\":\n%s", words, server.text);
    cr_assert(more == NULL || strstr(line, more) != NULL, "expected \"%s\":\n%s", more,
              server.text);
}

static void expect_refusal_of(const char *data, const char *words, const char *more)
{
    expect_refusal(&(struct server_setup){.data = data}, words, more);
}

/* After all that was wrong, the directory is still what it was. */
static void expect_serves(const char *data)
{
    struct server server;
    struct client client;
    server_start(&server, &(struct server_setup){.data = data});
    client_connect(&client, server.port);
    cr_assert(client_ping(&client, PATIENCE_MS));
    client_close(&client);
    server_stop(&server);
}

static void path_in(char out[PATH_BYTES + 32], const char *data, const char *name)
{
    (void)snprintf(out, PATH_BYTES + 32, "%s/%s", data, name);
}

/* ---- The data directory ------------------------------------------------------------------ */

Test(environment, no_directory)
{
    char data[PATH_BYTES];
    char missing[PATH_BYTES + 32];
    folder_make(data);
    path_in(missing, data, "missing");
    expect_refusal_of(missing, "No such file or directory", "giro format");
}

Test(environment, a_file_instead_of_a_directory)
{
    char data[PATH_BYTES];
    char file[PATH_BYTES + 32];
    folder_make(data);
    path_in(file, data, "file");
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    expect_refusal_of(file, "Not a directory", file);
}

Test(environment, not_formatted)
{
    char data[PATH_BYTES];
    folder_make(data);
    expect_refusal_of(data, "not a Giro data directory", "giro format");
}

Test(environment, formatted_twice_keeps_the_first)
{
    char data[PATH_BYTES];
    struct error error;
    const struct directory_options options = {
        .segment_bytes = 4 << 20, .segments_ahead = 1, .shard_count = 1};
    folder_make(data);
    data_format(data);
    cr_assert_neq(directory_format(data, &options, &error), 0);
    cr_assert(strstr(error.text, "not empty") != NULL, "%s", error.text);
    expect_serves(data);
}

Test(environment, in_use_by_a_running_server)
{
    struct server server;
    struct client client;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data});
    /* The second one must not truncate the file that the first one says its words into. */
    char alias[PATH_BYTES + 32];
    char alias_path[PATH_BYTES];
    folder_make(alias_path);
    path_in(alias, alias_path, "alias");
    cr_assert_eq(symlink(data, alias), 0);
    expect_refusal_of(alias, "in use by another giro process", NULL);
    client_connect(&client, server.port);
    cr_assert(client_ping(&client, PATIENCE_MS));
    client_close(&client);
    server_stop(&server);
    expect_serves(data);
}

/* A dying server holds its lock a little longer: the next one waits for it. */
Test(environment, a_lock_that_is_about_to_go_is_waited_for)
{
    struct server server;
    char data[PATH_BYTES];
    char lock[PATH_BYTES + 32];
    folder_make(data);
    data_format(data);
    path_in(lock, data, "lock");
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0);
    server_launch(&server, &(struct server_setup){.data = data});
    pause_ms(200);
    close(fd);
    cr_assert(server_await(&server, NULL), "%s", server.text);
    server_stop(&server);
}

/* ---- giro.meta --------------------------------------------------------------------------- */

struct meta_file {
    char data[PATH_BYTES];
    char path[PATH_BYTES + 32];
    struct directory_meta good;
};

static void meta_open(struct meta_file *file)
{
    folder_make(file->data);
    data_format(file->data);
    path_in(file->path, file->data, "giro.meta");
    file_read(file->path, 0, &file->good, sizeof file->good);
}

static void meta_write(const struct meta_file *file, struct directory_meta meta)
{
    meta.checksum = checksum_of(&meta, offsetof(struct directory_meta, checksum));
    file_write(file->path, 0, &meta, sizeof meta);
}

Test(environment, meta_with_any_byte_changed)
{
    struct meta_file file;
    meta_open(&file);
    for (uint32_t offset = 0; offset < sizeof file.good; offset += offset < 64 ? 9 : 61) {
        uint8_t bytes[sizeof file.good];
        memcpy(bytes, &file.good, sizeof bytes);
        bytes[offset] ^= 0x40;
        file_write(file.path, 0, bytes, sizeof bytes);
        expect_refusal_of(file.data, "giro.meta is damaged", "giro recover");
    }
    file_write(file.path, 0, &file.good, sizeof file.good);
    expect_serves(file.data);
}

Test(environment, meta_cut_short)
{
    static const off_t sizes[] = {0, 1, 8, 256, 511};
    struct meta_file file;
    meta_open(&file);
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        file_write(file.path, 0, &file.good, sizeof file.good);
        cr_assert_eq(truncate(file.path, sizes[i]), 0);
        expect_refusal_of(file.data, "giro.meta is damaged", "giro recover");
    }
}

Test(environment, meta_of_another_version)
{
    struct meta_file file;
    meta_open(&file);
    struct directory_meta meta = file.good;
    meta.version = DIRECTORY_VERSION + 1;
    meta_write(&file, meta);
    expect_refusal_of(file.data, "format version 2", "version");
}

Test(environment, meta_of_more_shards)
{
    struct meta_file file;
    meta_open(&file);
    struct directory_meta meta = file.good;
    meta.shard_count = 4;
    meta_write(&file, meta);
    expect_refusal_of(file.data, "4 shard", "shards = 4");
}

/* A sound checksum around sizes that no format could have written. */
Test(environment, meta_with_impossible_sizes)
{
    static const uint32_t sizes[][2] = {
        /* segment_bytes, sector_bytes */
        {0, 512},        {4 << 20, 0},   {(4 << 20) + 512, 512}, {4096, 512},
        {4 << 20, 8192}, {4 << 20, 600}, {1u << 31, 512},
    };
    struct meta_file file;
    meta_open(&file);
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct directory_meta meta = file.good;
        meta.segment_bytes = sizes[i][0];
        meta.sector_bytes = sizes[i][1];
        meta_write(&file, meta);
        expect_refusal_of(file.data, file.data, NULL);
    }
    file_write(file.path, 0, &file.good, sizeof file.good);
    expect_serves(file.data);
}

Test(environment, the_shards_folder_is_missing)
{
    char data[PATH_BYTES];
    char from[PATH_BYTES + 32];
    char to[PATH_BYTES + 32];
    folder_make(data);
    data_format(data);
    path_in(from, data, "shard-0");
    path_in(to, data, "elsewhere");
    cr_assert_eq(rename(from, to), 0);
    expect_refusal_of(data, "shard-0", "No such file or directory");
}

/* ---- Options ----------------------------------------------------------------------------- */

Test(environment, options_that_do_not_fit_the_directory)
{
    static const struct {
        const char *arguments[5];
        const char *words;
        const char *more;
    } rows[] = {
        {{"--shards", "2", NULL}, "formatted for 1 shard", "shards = 1"},
        {{"--window-bytes", "17000000", NULL}, "window_bytes", "power of two"},
        {{"--window-bytes", "48m", NULL}, "window_bytes", "power of two"},
        {{"--accounts-max", "1", "--holds-max", "8192", NULL}, NULL, NULL}, /* allowed */
    };
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct server_setup setup = {.data = data, .arguments = rows[i].arguments};
        struct server server;
        if (rows[i].words != NULL) {
            expect_refusal(&setup, rows[i].words, rows[i].more);
            continue;
        }
        server_start(&server, &setup);
        server_stop(&server);
    }
}

/* A window must hold four segments, and segments may be larger than 4 MiB. */
Test(environment, a_window_of_less_than_four_segments)
{
    static const char *const arguments[] = {"--window-bytes", "16m", NULL};
    const struct directory_options options = {
        .segment_bytes = 8 << 20, .segments_ahead = 0, .shard_count = 1};
    char data[PATH_BYTES];
    struct error error;
    folder_make(data);
    cr_assert_eq(directory_format(data, &options, &error), 0, "%s", error.text);
    expect_refusal(&(struct server_setup){.data = data, .arguments = arguments}, "window_bytes",
                   "segments");
}

Test(environment, limits_below_what_the_ledger_holds)
{
    static const char *const arguments[] = {"--accounts-max", "3", NULL};
    struct server server;
    struct client client;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data});
    client_connect(&client, server.port);
    client_make_accounts(&client, 1, 4);
    client_close(&client);
    server_stop(&server);
    expect_refusal(&(struct server_setup){.data = data, .arguments = arguments}, "raise",
                   "accounts_max");
    expect_serves(data);
}

Test(environment, addresses_that_cannot_be_listened_on)
{
    static const char *const rows[][2] = {
        {"203.0.113.1:0", "cannot listen"},
        {"nonsense", "HOST:PORT"},
        {"127.0.0.1:", "HOST:PORT"},
        {":4470", "HOST:PORT"},
        {"127.0.0.1:99999", ""},
    };
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_refusal(&(struct server_setup){.data = data, .listen = rows[i][0]}, rows[i][1],
                       rows[i][0]);
    expect_serves(data);
}

Test(environment, port_in_use)
{
    struct server server;
    char data[2][PATH_BYTES];
    char address[32];
    for (uint32_t i = 0; i < 2; i++) {
        folder_make(data[i]);
        data_format(data[i]);
    }
    server_start(&server, &(struct server_setup){.data = data[0]});
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", server.port);
    expect_refusal(&(struct server_setup){.data = data[1], .listen = address}, "in use", address);
    server_stop(&server);
}

/* ---- io_uring forbidden ------------------------------------------------------------------ */

Test(environment, io_uring_forbidden_and_auto_serves_with_posix)
{
    struct server server;
    struct client client;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    server_start(&server,
                 &(struct server_setup){.data = data, .io = "auto", .sandbox = SANDBOX_NO_URING});
    cr_assert(strstr(server_text(&server), "io_uring is not available") != NULL, "%s", server.text);
    cr_assert(strstr(server.text, "Operation not permitted") != NULL, "%s", server.text);
    cr_assert(strstr(server.text, "I/O backend: posix") != NULL, "%s", server.text);
    client_connect(&client, server.port);
    client_make_accounts(&client, 1, 10);
    client_close(&client);
    server_stop(&server);
    expect_serves(data);
}

Test(environment, io_uring_forbidden_and_demanded_is_refused)
{
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    expect_refusal(
        &(struct server_setup){.data = data, .io = "io_uring", .sandbox = SANDBOX_NO_URING},
        "io_uring is not available", "--io posix");
    expect_serves(data);
}

Test(environment, auto_takes_io_uring_where_it_may)
{
    struct server server;
    char data[PATH_BYTES];
    folder_make(data);
    data_format(data);
    server_start(&server, &(struct server_setup){.data = data, .io = "auto"});
    cr_assert(strstr(server_text(&server), "I/O backend: io_uring") != NULL, "%s", server.text);
    server_stop(&server);
}

/* ---- A torn log and a real server -------------------------------------------------------- */

/* Spoils what lies behind the last block: a server says torn, cuts, and goes on. */
Test(environment, a_torn_tail_is_cut_and_the_next_start_is_clean)
{
    static uint8_t garbage[3 * 4096];
    struct server server;
    struct client client;
    struct frame_stats stats;
    char data[PATH_BYTES];
    char segment[PATH_BYTES];
    folder_make(data);
    data_format(data);
    segment_path(data, 0, segment);
    memset(garbage, 0x77, sizeof garbage);
    for (uint32_t round = 0; round < 4; round++) {
        server_start(&server, &(struct server_setup){.data = data});
        cr_assert_eq(strstr(server_text(&server), "torn tail") != NULL, round > 0, "%s",
                     server.text);
        client_connect(&client, server.port);
        client_make_accounts(&client, 1 + round * 100, 100);
        client_stats(&client, &stats);
        cr_assert_eq(stats.accounts, (round + 1) * 100);
        client_close(&client);
        server_stop(&server);
        /* Behind the stop mark; log_bytes were counted before it and before the idle mark. */
        file_write(segment, stats.log_bytes + 8192, garbage, sizeof garbage);
    }
    server_start(&server, &(struct server_setup){.data = data});
    cr_assert(strstr(server_text(&server), "torn tail") != NULL, "%s", server.text);
    server_stop(&server);
    server_start(&server, &(struct server_setup){.data = data});
    cr_assert(strstr(server_text(&server), "torn tail") == NULL, "%s", server.text);
    server_stop(&server);
    uint8_t behind[sizeof garbage];
    file_read(segment, stats.log_bytes + 16384, behind, sizeof behind);
    for (uint32_t i = 0; i < sizeof behind; i++)
        cr_assert_eq(behind[i], 0, "byte %u behind the cut is not zero", i);
}

Test(environment, damage_is_refused_and_nothing_is_changed)
{
    struct server server;
    struct client client;
    char data[PATH_BYTES];
    char segment[PATH_BYTES];
    uint8_t byte;
    folder_make(data);
    data_format(data);
    segment_path(data, 0, segment);
    server_start(&server, &(struct server_setup){.data = data});
    client_connect(&client, server.port);
    client_make_accounts(&client, 1, 10);
    client_make_accounts(&client, 11, 10);
    client_close(&client);
    server_stop(&server);
    file_read(segment, 700, &byte, 1); /* in the first block of accounts, behind the start mark */
    byte ^= 1;
    file_write(segment, 700, &byte, 1);
    for (uint32_t i = 0; i < 2; i++)
        expect_refusal_of(data, "acknowledged data is damaged", "0000000000.log");
    byte ^= 1;
    file_write(segment, 700, &byte, 1);
    expect_serves(data);
}

/* A segment that was being made when the power went is worthless, and made anew. */
Test(environment, a_stale_unfinished_segment_is_overwritten)
{
    char data[PATH_BYTES];
    char stale[PATH_BYTES + 32];
    static uint8_t garbage[6 << 20];
    folder_make(data);
    data_format(data);
    path_in(stale, data, "shard-0/next.tmp");
    memset(garbage, 0x33, sizeof garbage);
    close(open(stale, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    file_write(stale, 0, garbage, sizeof garbage);
    static const char *const arguments[] = {"--segments-ahead", "6", NULL};
    struct server server;
    struct stat status;
    char last[PATH_BYTES];
    segment_path(data, 6, last);
    server_start(&server, &(struct server_setup){.data = data, .arguments = arguments});
    for (uint64_t start = now_ms(); stat(last, &status) != 0; pause_ms(5))
        cr_assert(now_ms() - start < PATIENCE_MS, "the segments are not made");
    server_stop(&server);
    for (uint32_t segment = 3; segment <= 6; segment++) {
        char path[PATH_BYTES];
        segment_path(data, segment, path);
        cr_assert(stat(path, &status) == 0 && status.st_size == 4 << 20, "%s", path);
        file_read(path, 0, garbage, 4 << 20);
        for (uint32_t i = 0; i < 4 << 20; i++)
            cr_assert_eq(garbage[i], 0, "%s holds garbage", path);
    }
    expect_serves(data);
}
