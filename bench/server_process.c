#include "bench/server_process.h"

#include "bench/clock.h"
#include "bench/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ARGUMENTS_MAX = OPTIONS_PASSED_MAX + 16,
    LOG_BYTES_MAX = 16 * 1024,
    START_TIMEOUT_S = 120,
    STOP_TIMEOUT_S = 30,
    POLL_INTERVAL_US = 5000,
};

struct arguments {
    const char *values[ARGUMENTS_MAX]; /* the last one used is followed by NULL */
    uint32_t count;
};

static void arguments_add(struct arguments *arguments, const char *value)
{
    if (arguments->count < ARGUMENTS_MAX - 1)
        arguments->values[arguments->count++] = value;
}

static void log_path(const struct server_process *server, char *path, size_t size)
{
    snprintf(path, size, "%.*s/server.log", (int)(size - 16), server->directory);
}

/* Runs in the child: both output streams go to the log file. */
__attribute__((noreturn)) static void child_run(const char *log, const struct arguments *arguments,
                                                pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (getppid() == parent && fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0 &&
        dup2(fd, STDERR_FILENO) >= 0) {
        char *values[ARGUMENTS_MAX];
        memcpy(values, arguments->values, sizeof values);
        execv("/proc/self/exe", values);
        dprintf(STDERR_FILENO, "cannot execute: %s\n", strerror(errno));
    }
    _exit(127);
}

static int child_start(const struct server_process *server, const struct arguments *arguments,
                       pid_t *out)
{
    char log[PATH_MAX];
    log_path(server, log, sizeof log);
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        child_run(log, arguments, parent);
    *out = pid;
    return 0;
}

/* Waits for the child up to the timeout. Returns 1 with its wait status, or 0. */
static int child_wait(pid_t pid, uint32_t timeout_s, int *out_status)
{
    uint64_t until_ns = clock_now_ns() + timeout_s * NS_PER_S;
    for (;;) {
        pid_t ended = waitpid(pid, out_status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR))
            return 1;
        if (clock_now_ns() >= until_ns)
            return 0;
        usleep(POLL_INTERVAL_US);
    }
}

static uint32_t log_read(const struct server_process *server, char *text, uint32_t size)
{
    char path[PATH_MAX];
    log_path(server, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0 ? (uint32_t)got : 0;
}

static void log_show(const struct server_process *server)
{
    char text[LOG_BYTES_MAX];
    if (log_read(server, text, sizeof text) > 0)
        fprintf(stderr, "--- the server said:\n%s---\n", text);
}

/* `listening on HOST:PORT`, once that line is complete. The line of the other port, where there is
 * one, comes before it and goes on with a blank. */
static bool log_find_address(struct server_process *server, const char *text)
{
    static const char mark[] = "listening on ";
    for (const char *at = strstr(text, mark); at != NULL; at = strstr(at, mark)) {
        at += sizeof mark - 1;
        size_t size = strcspn(at, " ,;\n");
        if (at[size] == 0 || size == 0 || size >= sizeof server->address)
            return false;
        bool native = at[size] != ' ';
        char *out = native ? server->address : server->compat;
        memcpy(out, at, size);
        out[size] = 0;
        if (native)
            return true;
    }
    return false;
}

static void log_find_io(struct server_process *server, const struct bench_options *options,
                        const char *text)
{
    const char *io = "unknown";
    if (options->io != NULL)
        io = options->io;
    else if (strstr(text, "io_uring") != NULL && strstr(text, "posix") == NULL)
        io = "io_uring";
    else if (strstr(text, "posix") != NULL && strstr(text, "io_uring") == NULL)
        io = "posix";
    snprintf(server->io, sizeof server->io, "%s", io);
}

static int server_format(const struct bench_options *options, const struct server_process *server,
                         const char *data)
{
    struct arguments arguments = {0};
    arguments_add(&arguments, "giro");
    arguments_add(&arguments, "format");
    arguments_add(&arguments, "--data");
    arguments_add(&arguments, data);
    for (uint32_t i = 0; i < options->format_passed_count; i++)
        arguments_add(&arguments, options->format_passed[i]);
    pid_t pid = 0;
    int error = child_start(server, &arguments, &pid);
    if (error != 0)
        return error;
    int status = 0;
    if (child_wait(pid, START_TIMEOUT_S, &status) == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int server_serve(const struct bench_options *options, const char *data,
                        struct server_process *server)
{
    struct arguments arguments = {0};
    arguments_add(&arguments, "giro");
    arguments_add(&arguments, "serve");
    arguments_add(&arguments, "--data");
    arguments_add(&arguments, data);
    arguments_add(&arguments, "--listen");
    arguments_add(&arguments, "127.0.0.1:0");
    if (options->protocols[WIRE_COMPAT]) {
        arguments_add(&arguments, "--compat-listen");
        arguments_add(&arguments, "127.0.0.1:0");
    }
    if (options->io != NULL) {
        arguments_add(&arguments, "--io");
        arguments_add(&arguments, options->io);
    }
    for (uint32_t i = 0; i < options->serve_passed_count; i++)
        arguments_add(&arguments, options->serve_passed[i]);
    return child_start(server, &arguments, &server->pid);
}

/* Until it listens. */
static int server_await(const struct bench_options *options,
                        const volatile sig_atomic_t *interrupted, struct server_process *server)
{
    char text[LOG_BYTES_MAX];
    uint64_t until_ns = clock_now_ns() + START_TIMEOUT_S * NS_PER_S;
    for (;;) {
        log_read(server, text, sizeof text);
        if (log_find_address(server, text)) {
            log_find_io(server, options, text);
            return 0;
        }
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            server->pid = 0;
            return -ECHILD;
        }
        if (*interrupted)
            return -EINTR;
        if (clock_now_ns() > until_ns)
            return -ETIMEDOUT;
        usleep(POLL_INTERVAL_US);
    }
}

int server_start(const struct bench_options *options, const volatile sig_atomic_t *interrupted,
                 struct server_process *out)
{
    *out = (struct server_process){0};
    const char *parent = options->directory != NULL ? options->directory : ".";
    char data[PATH_MAX];
    int error = scratch_make(parent, out->directory, sizeof out->directory);
    if (error != 0) {
        out->directory[0] = 0;
        fprintf(stderr, "giro bench: cannot make a directory in %s: %s\n", parent,
                strerror(-error));
        return error;
    }
    snprintf(data, sizeof data, "%.*s/data", PATH_MAX - 8, out->directory);
    error = server_format(options, out, data);
    if (error != 0) {
        fprintf(stderr, "giro bench: `giro format` failed\n");
        log_show(out);
        return error;
    }
    error = server_serve(options, data, out);
    if (error == 0)
        error = server_await(options, interrupted, out);
    if (error != 0 && error != -EINTR) {
        fprintf(stderr, "giro bench: `giro serve` did not start: %s\n", strerror(-error));
        log_show(out);
    }
    return error;
}

uint64_t server_cpu_ns(const struct server_process *server)
{
    clockid_t clock;
    if (server->pid == 0 || clock_getcpuclockid(server->pid, &clock) != 0)
        return 0;
    return clock_read_ns(clock);
}

uint64_t server_memory_bytes(const struct server_process *server)
{
    char path[64];
    unsigned long long pages = 0;
    if (server->pid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)server->pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool name_ends(const char *name, const char *suffix)
{
    size_t size = strlen(name);
    size_t tail = strlen(suffix);
    return size >= tail && strcmp(name + size - tail, suffix) == 0;
}

struct server_disk server_disk(const struct server_process *server)
{
    struct server_disk disk = {0};
    char path[PATH_MAX];
    if (server->directory[0] == 0)
        return disk;
    snprintf(path, sizeof path, "%.*s/data/shard-0", PATH_MAX - 16, server->directory);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return disk;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat info;
        if (fstatat(dirfd(directory), entry->d_name, &info, 0) != 0)
            continue;
        uint64_t bytes = (uint64_t)info.st_blocks * 512;
        if (name_ends(entry->d_name, ".idx"))
            disk.index_bytes += bytes;
        else if (name_ends(entry->d_name, ".mdb"))
            disk.snapshot_bytes += bytes;
        else if (name_ends(entry->d_name, ".log"))
            disk.segment_bytes = (uint64_t)info.st_size;
    }
    closedir(directory);
    return disk;
}

int server_stop(struct server_process *server)
{
    if (server->pid == 0)
        return 0;
    int status = 0;
    kill(server->pid, SIGTERM);
    if (child_wait(server->pid, STOP_TIMEOUT_S, &status) == 0) {
        fprintf(stderr, "giro bench: the server did not stop in %d s; killed\n", STOP_TIMEOUT_S);
        kill(server->pid, SIGKILL);
        waitpid(server->pid, &status, 0);
    }
    server->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    fprintf(stderr, "giro bench: the server ended with %s %d\n",
            WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    log_show(server);
    return -EIO;
}

void server_remove(struct server_process *server)
{
    if (server->directory[0] == 0)
        return;
    scratch_remove(server->directory);
    server->directory[0] = 0;
}
