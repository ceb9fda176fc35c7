/* giro format and giro serve. */
#include "engine/sessions.h"
#include "net/shard.h"
#include "tools/command.h"
#include "tools/import_number.h"
#include "wal/directory.h"
#include "wal/log.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- format ------------------------------------------------------------------------------ */

static const char format_usage[] =
    "usage: giro format --data DIR [options]\n"
    "\n"
    "Makes a new, empty ledger in DIR, which must be empty or not exist.\n"
    "\n"
    "  --data DIR            the data directory\n"
    "  --segment-bytes N     size of a log segment, a power of two, 1m to 1g (64m)\n"
    "  --segments-ahead N    segments to make beforehand, besides the first (3)\n"
    "  --shards N            shards; this version has 1\n";

int format_command(int argc, char **argv)
{
    enum { DATA, SEGMENT_BYTES, SEGMENTS_AHEAD, SHARDS, HELP };
    static const struct option names[] = {
        {"data", required_argument, NULL, DATA},
        {"segment-bytes", required_argument, NULL, SEGMENT_BYTES},
        {"segments-ahead", required_argument, NULL, SEGMENTS_AHEAD},
        {"shards", required_argument, NULL, SHARDS},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    const char *data = NULL;
    uint64_t segment_bytes = DIRECTORY_SEGMENT_BYTES_DEFAULT;
    uint64_t ahead = DIRECTORY_SEGMENTS_AHEAD;
    uint64_t shards = DIRECTORY_SHARDS;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        bool good = true;
        switch (option) {
        case DATA:
            data = optarg;
            break;
        case SEGMENT_BYTES:
            good = number_parse(optarg, DIRECTORY_SEGMENT_BYTES_MIN, DIRECTORY_SEGMENT_BYTES_MAX,
                                &segment_bytes);
            break;
        case SEGMENTS_AHEAD:
            good = number_parse(optarg, 0, LOG_SEGMENTS_MAX / 2, &ahead);
            break;
        case SHARDS:
            good = number_parse(optarg, 1, UINT16_MAX, &shards);
            break;
        case HELP:
            fputs(format_usage, stdout);
            return EXIT_DONE;
        default:
            good = false;
        }
        if (!good) {
            if (optarg != NULL)
                complain("format", "\"%s\" is not a value that this option takes", optarg);
            fputs(format_usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (data == NULL || optind != argc) {
        fputs(format_usage, stderr);
        return EXIT_USAGE;
    }
    struct directory_options options = {
        .segment_bytes = (uint32_t)segment_bytes,
        .segments_ahead = (uint32_t)ahead,
        .shard_count = (uint32_t)shards,
    };
    struct error error;
    if (directory_format(data, &options, &error) != 0) {
        complain("format", "%s", error.text);
        return EXIT_FAILED;
    }
    printf("%s: a new ledger, %u log segments of %u MiB ready\n", data, 1 + options.segments_ahead,
           options.segment_bytes >> 20);
    return EXIT_DONE;
}

/* ---- serve ------------------------------------------------------------------------------- */

/* Every setting has one name, in the configuration file and, with dashes, on the command line. */
enum setting_type { SETTING_TEXT, SETTING_U32, SETTING_U64, SETTING_U128, SETTING_IO };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
    uint64_t min;
    uint64_t max;
    const char *help;
};

#define SETTING(member) offsetof(struct shard_options, member)

static const struct setting settings[] = {
    {"data", SETTING_TEXT, SETTING(data), 0, 0, "the data directory (required)"},
    {"listen", SETTING_TEXT, SETTING(listen), 0, 0, "HOST:PORT or [IPV6]:PORT (127.0.0.1:4470)"},
    {"compat_listen", SETTING_TEXT, SETTING(compat_listen), 0, 0,
     "HOST:PORT for TigerBeetle's clients (none)"},
    {"compat_cluster", SETTING_U128, SETTING(compat_cluster), 0, 0,
     "the cluster id that they name, up to 128 bits (0)"},
    {"compat_sessions_max", SETTING_U32, SETTING(compat_sessions_max), 1, SESSIONS_MAX,
     "sessions of theirs that are remembered (8192)"},
    {"io", SETTING_IO, SETTING(io_mode), 0, 0,
     "auto, io_uring or posix (auto: io_uring where it is allowed)"},
    {"shards", SETTING_U32, SETTING(shards), 1, 65535, "must be what the directory was made with"},
    {"accounts_max", SETTING_U32, SETTING(accounts_max), 1, 1u << 31, "accounts (16m)"},
    {"transfers_max", SETTING_U64, SETTING(transfers_max), 1, 1ull << 38, "transfers (1g)"},
    {"holds_max", SETTING_U32, SETTING(holds_max), 8192, 1u << 30, "open pending transfers (4m)"},
    {"payments_max", SETTING_U32, SETTING(payments_max), 8192, 1u << 31,
     "returns, returned and amended transfers (16m)"},
    {"connections_max", SETTING_U32, SETTING(connections_max), 1, 1u << 20,
     "open connections (10000)"},
    {"large_buffers", SETTING_U32, SETTING(large_buffers), 1, 1u << 16,
     "1 MiB buffers for requests, and as many for replies (256)"},
    {"window_bytes", SETTING_U64, SETTING(window_bytes), 4 << 20, 1ull << 36,
     "newest part of the log kept in memory, a power of two (256m)"},
    {"block_bytes_max", SETTING_U32, SETTING(block_bytes_max), LOG_BLOCK_BYTES_MIN,
     LOG_BLOCK_BYTES_MAX, "largest group commit (4m)"},
    {"segments_ahead", SETTING_U32, SETTING(segments_ahead), 1, 1u << 16,
     "log segments to keep ready (3)"},
    {"idle_mark_ms", SETTING_U32, SETTING(idle_mark_ms), 1, 60000,
     "an idle log marks its end after (5)"},
    {"spin_us", SETTING_U32, SETTING(spin_us), 0, 100000,
     "look for the end of a log write so long before sleeping; 0: never (500)"},
    {"frame_timeout_ms", SETTING_U32, SETTING(frame_timeout_ms), 10, 3600000,
     "a client must finish a frame within (10000)"},
    {"send_timeout_ms", SETTING_U32, SETTING(send_timeout_ms), 10, 3600000,
     "a client must read something within (30000)"},
    {"follower", SETTING_U32, SETTING(follower), 0, 1,
     "1: queries, change stream, snapshots; 0: none of them (1)"},
    {"follower_lag_max", SETTING_U64, SETTING(follower_lag_max), 1 << 20, 1ull << 40,
     "log bytes that the follower may be behind before creates wait for it (64m)"},
    {"snapshot_log_bytes", SETTING_U64, SETTING(snapshot_log_bytes), 1 << 20, 1ull << 44,
     "least log between two snapshots; more when a snapshot is larger (1g)"},
    {"snapshot_bytes_per_s", SETTING_U64, SETTING(snapshot_bytes_per_s), 0, 1ull << 40,
     "pace at which a snapshot is written; 0: no limit (500m)"},
    {"snapshot_map_bytes", SETTING_U64, SETTING(snapshot_map_bytes), 0, 1ull << 44,
     "LMDB's map of a snapshot; 0: as large as needed (0)"},
};

enum { SETTINGS = sizeof settings / sizeof settings[0], NAME_BYTES = 64 };

static bool io_mode_parse(const char *text, enum io_mode *out)
{
    if (strcmp(text, "auto") == 0)
        *out = IO_MODE_AUTO;
    else if (strcmp(text, "io_uring") == 0)
        *out = IO_MODE_URING;
    else if (strcmp(text, "posix") == 0)
        *out = IO_MODE_POSIX;
    else
        return false;
    return true;
}

/* Copies of the texts, which live as long as the process. */
static char *texts[SETTINGS];

static bool setting_set(const struct setting *setting, const char *text,
                        struct shard_options *options)
{
    char *place = (char *)options + setting->offset;
    uint64_t number;
    switch (setting->type) {
    case SETTING_TEXT:
        free(texts[setting - settings]);
        texts[setting - settings] = strdup(text);
        if (texts[setting - settings] == NULL) {
            complain("serve", "out of memory");
            exit(EXIT_FAILED);
        }
        *(const char **)(void *)place = texts[setting - settings];
        return text[0] != 0;
    case SETTING_IO:
        return io_mode_parse(text, (enum io_mode *)(void *)place);
    case SETTING_U128:
        return number_u128(text, strlen(text), (giro_u128 *)(void *)place) == NUMBER_OK;
    case SETTING_U32:
        if (!number_parse(text, setting->min, setting->max, &number))
            return false;
        *(uint32_t *)(void *)place = (uint32_t)number;
        return true;
    case SETTING_U64:
        if (!number_parse(text, setting->min, setting->max, &number))
            return false;
        *(uint64_t *)(void *)place = number;
        return true;
    }
    return false;
}

static void flag_name(const struct setting *setting, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%s", setting->name);
    for (char *c = out; *c != 0; c++) {
        if (*c == '_')
            *c = '-';
    }
}

static void serve_usage(FILE *out)
{
    fputs("usage: giro serve --data DIR [--config FILE] [options]\n\n"
          "Serves the ledger in DIR until SIGTERM or SIGINT. A configuration file has lines\n"
          "\"name = value\" with the names below, written with _ instead of -; options on the\n"
          "command line win. Numbers may end in k, m or g.\n\n",
          out);
    for (int i = 0; i < SETTINGS; i++) {
        char name[NAME_BYTES];
        flag_name(&settings[i], name);
        fprintf(out, "  --%-18s %s\n", name, settings[i].help);
    }
}

struct config_read {
    const char *path;
    struct shard_options *options;
    bool failed;
    bool seen[SETTINGS];
};

/* Called by inih for every line; 1: accepted. */
static int config_line(void *user, const char *section, const char *name, const char *value)
{
    struct config_read *config = user;
    for (int i = 0; i < SETTINGS; i++) {
        if (section[0] != 0 || strcmp(name, settings[i].name) != 0)
            continue;
        /* The parser gives an indented line as one more value of the setting above it. */
        if (config->seen[i]) {
            complain("serve", "%s: %s is set twice, or the line behind it is indented",
                     config->path, name);
            config->failed = true;
            return 0;
        }
        config->seen[i] = true;
        if (setting_set(&settings[i], value, config->options))
            return 1;
        complain("serve", "%s: %s = %s: not a value that this setting takes: %s", config->path,
                 name, value, settings[i].help);
        config->failed = true;
        return 0;
    }
    complain("serve", "%s: unknown setting \"%s\"%s: see giro serve --help", config->path, name,
             section[0] != 0 ? " in a [section]" : "");
    config->failed = true;
    return 0;
}

static bool config_load(const char *path, struct shard_options *options)
{
    struct config_read config = {.path = path, .options = options};
    int result = ini_parse(path, config_line, &config);
    if (result < 0)
        complain("serve", "%s: cannot read the configuration file: %s", path, strerror(errno));
    else if (result > 0 && !config.failed)
        complain("serve", "%s:%d: not a line \"name = value\"", path, result);
    return result == 0;
}

/* Returns -1 to go on, or an exit status. */
static int serve_options(int argc, char **argv, struct shard_options *options)
{
    enum { CONFIG = SETTINGS, HELP };
    static char flags[SETTINGS][NAME_BYTES];
    struct option names[SETTINGS + 3] = {0};
    for (int i = 0; i < SETTINGS; i++) {
        flag_name(&settings[i], flags[i]);
        names[i] = (struct option){flags[i], required_argument, NULL, i};
    }
    names[SETTINGS] = (struct option){"config", required_argument, NULL, CONFIG};
    names[SETTINGS + 1] = (struct option){"help", no_argument, NULL, HELP};

    /* The file first, whatever its place, so that options win over it. */
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == CONFIG && !config_load(optarg, options))
            return EXIT_USAGE;
    }
    opterr = 1;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == HELP) {
            serve_usage(stdout);
            return EXIT_DONE;
        }
        if (option == CONFIG)
            continue;
        if (option < 0 || option >= SETTINGS) {
            serve_usage(stderr);
            return EXIT_USAGE;
        }
        if (!setting_set(&settings[option], optarg, options)) {
            complain("serve", "--%s %s: not a value that this option takes: %s", flags[option],
                     optarg, settings[option].help);
            return EXIT_USAGE;
        }
    }
    if (options->data == NULL || optind != argc) {
        serve_usage(stderr);
        return EXIT_USAGE;
    }
    return -1;
}

static int stop_write_fd;

static void stop_handler(int signal_number)
{
    (void)signal_number;
    const int saved_errno = errno;
    const char byte = 1;
    (void)!send(stop_write_fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    errno = saved_errno;
}

/* SIGTERM and SIGINT make the returned socket readable. */
static int stop_prepare(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return -errno;
    stop_write_fd = pair[1];
    struct sigaction action = {.sa_handler = stop_handler, .sa_flags = SA_RESTART};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return pair[0];
}

int serve_command(int argc, char **argv)
{
    struct shard_options options = shard_options_default();
    int status = serve_options(argc, argv, &options);
    if (status >= 0)
        return status;
    int stop_fd = stop_prepare();
    if (stop_fd < 0) {
        complain("serve", "cannot make a socket pair: %s", strerror(-stop_fd));
        return EXIT_FAILED;
    }
    struct error error;
    if (shard_serve(&options, stop_fd, &error) != 0) {
        complain("serve", "%s", error.text);
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}
