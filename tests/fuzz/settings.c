/* Fuzzes the settings of giro serve: a configuration file, and options on the command line.
 *
 *   input   | text of the file | 0 | option | 0 | option | 0 ...
 *
 * Never: options are accepted without a data directory, or with a number outside of its limits, an
 * empty text or an I/O backend that does not exist. */
#include "tools/serve.c" /* NOLINT(bugprone-suspicious-include): its parts are static */

#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>

enum { OPTIONS_MAX = 24, OPTION_BYTES_MAX = 200 };

static int file = -1;
static char file_path[40];

/* The server itself is not here. */
struct shard_options shard_options_default(void)
{
    return (struct shard_options){.listen = "127.0.0.1:4470"};
}

int shard_serve(const struct shard_options *options, int stop_fd, struct error *error)
{
    return -1;
}

static uint64_t number_of(const struct setting *setting, const struct shard_options *options)
{
    const void *place = (const char *)options + setting->offset;
    return setting->type == SETTING_U32 ? *(const uint32_t *)place : *(const uint64_t *)place;
}

static void options_check(const struct shard_options *options)
{
    static const struct shard_options defaults = {0};
    MUST(options->data != NULL && options->data[0] != 0);
    MUST(options->listen[0] != 0);
    MUST(options->compat_listen == NULL || options->compat_listen[0] != 0);
    MUST(options->compat_sessions_max <= SESSIONS_MAX);
    MUST(options->io_mode == IO_MODE_AUTO || options->io_mode == IO_MODE_URING ||
         options->io_mode == IO_MODE_POSIX);
    for (int i = 0; i < SETTINGS; i++) {
        if (settings[i].type != SETTING_U32 && settings[i].type != SETTING_U64)
            continue;
        uint64_t number = number_of(&settings[i], options);
        MUST(number == number_of(&settings[i], &defaults) ||
                 (number >= settings[i].min && number <= settings[i].max),
             "%s = %lu", settings[i].name, number);
    }
}

/* Takes the next text that ends with a 0. */
static size_t text_take(struct input *input, char *out, size_t size_max)
{
    size_t size = strnlen((const char *)input->at, input->left);
    size_t kept = size < size_max ? size : size_max;
    memcpy(out, input->at, kept);
    out[kept] = 0;
    input->at += size;
    input->left -= size;
    if (input->left > 0)
        (void)input_number(input, 1);
    return kept;
}

static void file_take(struct input *input)
{
    size_t size = strnlen((const char *)input->at, input->left);
    MUST(ftruncate(file, 0) == 0);
    MUST(pwrite(file, input->at, size, 0) == (ssize_t)size);
    input->at += size;
    input->left -= size;
    if (input->left > 0)
        (void)input_number(input, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char words[OPTIONS_MAX][OPTION_BYTES_MAX + 1];
    static char serve[] = "serve";
    static char config[] = "--config";
    char *arguments[OPTIONS_MAX + 4] = {serve, config, file_path};
    struct input input = {data, size};
    int count = 3;
    file_take(&input);
    for (int i = 0; i < OPTIONS_MAX && input.left > 0; i++) {
        (void)text_take(&input, words[i], OPTION_BYTES_MAX);
        if (strncmp(words[i], "--conf", 6) != 0) /* no file but ours */
            arguments[count++] = words[i];
    }
    struct shard_options options = shard_options_default();
    optind = 0; /* getopt_long() begins anew */
    int status = serve_options(count, arguments, &options);
    MUST(status == -1 || status == EXIT_DONE || status == EXIT_USAGE);
    if (status == -1)
        options_check(&options);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_start();
    fuzz_quiet();
    (void)freopen("/dev/null", "we", stdout);
    file = memfd_create("settings", MFD_CLOEXEC);
    MUST(file >= 0);
    (void)snprintf(file_path, sizeof file_path, "/proc/self/fd/%d", file);
    return 0;
}
