#include "tests/faults/harness.h"

#include "tests/faults/kill_at.h"
#include "tests/faults/shim.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    FOLDERS_MAX = 64,
    ARGUMENTS_MAX = 48,
    COPY_BYTES = 64 << 10,
    UMOUNT_TRIES = 500,
    UMOUNT_PAUSE_MS = 10,
};

static const char folder_prefix[] = "giro-test-";

/* By value: a test's own struct server is gone when an assertion has ended the test. */
static struct {
    pid_t pid; /* 0: free */
    char text_path[PATH_BYTES];
} running[SERVERS_MAX];

static char folders[FOLDERS_MAX][PATH_BYTES];
static uint32_t folder_serial;

/* ---- Seeds and clocks -------------------------------------------------------------------- */

struct rng rng_make(uint64_t seed)
{
    const char *text = getenv("GIRO_TEST_SEED");
    if (text != NULL)
        seed = strtoull(text, NULL, 0);
    fprintf(stderr, "seed: GIRO_TEST_SEED=%lu\n", seed);
    return (struct rng){.state = seed};
}

uint64_t rng_next(struct rng *rng)
{
    /* splitmix64 */
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *rng, uint32_t limit)
{
    return (uint32_t)(rng_next(rng) % limit);
}

uint32_t environment_number(const char *name, uint32_t fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : (uint32_t)strtoul(text, NULL, 10);
}

uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void pause_ms(uint32_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&pause, NULL);
}

/* ---- Folders ----------------------------------------------------------------------------- */

static const char *folder_base(void)
{
    const char *base = getenv("GIRO_TEST_DIR");
    return base == NULL ? GIRO_TEST_DIR_DEFAULT : base;
}

static void path_join(char out[PATH_BYTES], const char *folder, const char *name)
{
    int length = snprintf(out, PATH_BYTES, "%s/%s", folder, name);
    cr_assert(length < PATH_BYTES, "path too long: %s/%s", folder, name);
}

/* Removes a tree of the shape that tests make: folders two deep. */
static void tree_remove(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        (void)unlink(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char inner[PATH_BYTES];
        path_join(inner, path, entry->d_name);
        if (entry->d_type == DT_DIR)
            tree_remove(inner);
        else
            (void)unlink(inner);
    }
    closedir(folder);
    (void)rmdir(path);
}

static void mount_release(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    struct stat inner;
    struct stat outer;
    path_join(path, folder, name);
    if (stat(path, &inner) != 0 || stat(folder, &outer) != 0 || inner.st_dev == outer.st_dev)
        return;
    for (uint32_t i = 0; umount2(path, 0) != 0 && i < UMOUNT_TRIES; i++)
        pause_ms(UMOUNT_PAUSE_MS);
}

/* What is mounted inside first: nobody wants to remove the files of a mounted disk one by one. */
static void private_remove(const char *path)
{
    mount_release(path, HARNESS_MOUNT);
    mount_release(path, HARNESS_MEMORY);
    tree_remove(path);
}

/* A test that was killed could not clean up: its folder's name tells which process that was. */
static void leftovers_remove(const char *base)
{
    DIR *folder = opendir(base);
    cr_assert(folder != NULL, "GIRO_TEST_DIR %s: %s", base, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const size_t length = sizeof folder_prefix - 1;
        if (strncmp(entry->d_name, folder_prefix, length) != 0)
            continue;
        pid_t owner = (pid_t)strtol(entry->d_name + length, NULL, 10);
        if (owner <= 0 || kill(owner, 0) == 0 || errno != ESRCH)
            continue;
        char path[PATH_BYTES];
        path_join(path, base, entry->d_name);
        private_remove(path);
    }
    closedir(folder);
}

static void folder_make_in(const char *base, char path[PATH_BYTES])
{
    char name[64];
    uint32_t slot = 0;
    if (folder_serial == 0)
        leftovers_remove(base);
    (void)snprintf(name, sizeof name, "%s%d-%u", folder_prefix, (int)getpid(), folder_serial++);
    path_join(path, base, name);
    cr_assert(mkdir(path, 0700) == 0, "%s: %s", path, strerror(errno));
    while (slot < FOLDERS_MAX && folders[slot][0] != 0)
        slot++;
    cr_assert(slot < FOLDERS_MAX);
    memcpy(folders[slot], path, PATH_BYTES);
}

void folder_make(char path[PATH_BYTES])
{
    folder_make_in(folder_base(), path);
}

static bool direct_io_allowed(const char *folder)
{
    char path[PATH_BYTES];
    path_join(path, folder, "probe");
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    (void)unlink(path);
    return fd >= 0;
}

void folder_make_in_memory(char path[PATH_BYTES])
{
    static const char base[] = "/dev/shm";
    if (access(base, W_OK) == 0) {
        leftovers_remove(base);
        folder_make_in(base, path);
        if (direct_io_allowed(path))
            return;
        folder_remove(path);
    }
    folder_make(path);
}

void folder_remove(const char *path)
{
    private_remove(path);
    for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
        if (strcmp(folders[i], path) == 0)
            folders[i][0] = 0;
    }
}

static void file_copy(const char *from, const char *to)
{
    static const char zeros[COPY_BYTES];
    char bytes[COPY_BYTES];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(in >= 0 && out >= 0, "%s to %s: %s", from, to, strerror(errno));
    off_t offset = 0;
    for (ssize_t got; (got = read(in, bytes, sizeof bytes)) > 0; offset += got) {
        if (memcmp(bytes, zeros, (size_t)got) != 0)
            cr_assert(pwrite(out, bytes, (size_t)got, offset) == got);
    }
    cr_assert(ftruncate(out, offset) == 0);
    close(in);
    close(out);
}

void folder_copy(const char *from, const char *to)
{
    DIR *folder = opendir(from);
    cr_assert(folder != NULL, "%s: %s", from, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner_from[PATH_BYTES];
        char inner_to[PATH_BYTES];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        path_join(inner_from, from, entry->d_name);
        path_join(inner_to, to, entry->d_name);
        if (entry->d_type != DT_DIR) {
            file_copy(inner_from, inner_to);
            continue;
        }
        cr_assert(mkdir(inner_to, 0700) == 0 || errno == EEXIST);
        folder_copy(inner_from, inner_to);
    }
    closedir(folder);
}

void segment_path(const char *data, uint32_t segment, char out[PATH_BYTES])
{
    int length = snprintf(out, PATH_BYTES, "%s/shard-0/%010u.log", data, segment);
    cr_assert(length < PATH_BYTES);
}

void file_read(const char *path, uint64_t offset, void *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0, "%s: %s", path, strerror(errno));
    cr_assert(pread(fd, out, size, (off_t)offset) == (ssize_t)size, "%s: short", path);
    close(fd);
}

void file_write(const char *path, uint64_t offset, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert(fd >= 0, "%s: %s", path, strerror(errno));
    cr_assert(pwrite(fd, bytes, size, (off_t)offset) == (ssize_t)size, "%s", strerror(errno));
    cr_assert(fdatasync(fd) == 0);
    close(fd);
}

/* ---- Programs ---------------------------------------------------------------------------- */

static const char *giro_path(void)
{
    const char *path = getenv("GIRO");
    return path == NULL ? GIRO_DEFAULT : path;
}

/* Runs a command of giro's on a directory; what it says is shown when it fails. */
static void giro_run(const char *command, const char *data, const char *option, const char *value)
{
    char text[4096];
    size_t have = 0;
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execl(giro_path(), "giro", command, "--data", data, option, value, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    char more[256];
    for (ssize_t got; (got = read(ends[0], more, sizeof more)) > 0;) {
        size_t fit = sizeof text - 1 - have < (size_t)got ? sizeof text - 1 - have : (size_t)got;
        memcpy(text + have, more, fit);
        have += fit;
    }
    close(ends[0]);
    text[have] = 0;
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "giro %s --data %s failed:\n%s",
              command, data, text);
}

void data_format(const char *data)
{
    giro_run("format", data, "--segment-bytes", "4m");
}

void data_verify(const char *data)
{
    giro_run("verify", data, NULL, NULL);
}

static void *control_make(const char *folder, const char *name, size_t size, char path[PATH_BYTES])
{
    path_join(path, folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "%s", strerror(errno));
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    cr_assert(map != MAP_FAILED, "%s", strerror(errno));
    return map;
}

struct kill_at *kill_at_make(const char *folder, char path[PATH_BYTES])
{
    return control_make(folder, "kill_at", sizeof(struct kill_at), path);
}

void *shim_control_make(const char *folder, size_t size, char path[PATH_BYTES])
{
    return control_make(folder, "shim", size, path);
}

/* Makes io_uring_setup fail as it does in a container that forbids it. */
static void uring_forbid(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(126);
}

static void library_load(const char *library, const char *variable, const char *control)
{
    (void)setenv("LD_PRELOAD", library, 1);
    (void)setenv(variable, control, 1);
    char options[256];
    const char *given = getenv("ASAN_OPTIONS");
    (void)snprintf(options, sizeof options, "%s:verify_asan_link_order=0",
                   given != NULL ? given : "");
    (void)setenv("ASAN_OPTIONS", options, 1);
}

static void limit_set(__rlimit_resource_t resource, uint64_t max)
{
    const struct rlimit limit = {max, max};
    if (max != 0)
        (void)setrlimit(resource, &limit);
}

static void limits_set(const struct server_setup *setup)
{
    if (setup->file_bytes_max != 0)
        (void)signal(SIGXFSZ, SIG_IGN);
    limit_set(RLIMIT_FSIZE, setup->file_bytes_max);
    limit_set(RLIMIT_AS, setup->address_bytes_max);
    limit_set(RLIMIT_DATA, setup->data_bytes_max);
    limit_set(RLIMIT_NOFILE, setup->descriptors_max);
}

/* In the child, between fork and exec. */
static void child_prepare(const struct server_setup *setup, int text_fd)
{
    static const char *const libraries[] = {
        [SHIM_NONE] = NULL,
        [SHIM_UNSYNCED] = GIRO_UNSYNCED,
        [SHIM_STARVE] = GIRO_STARVE,
        [SHIM_CLOCK] = GIRO_CLOCK,
    };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(text_fd, STDERR_FILENO);
    if (setup->quiet_core) {
        const struct rlimit limit = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &limit);
    }
    if (setup->kill_at != NULL)
        library_load(GIRO_KILL_AT, KILL_AT_VARIABLE, setup->kill_at);
    if (setup->shim != SHIM_NONE)
        library_load(libraries[setup->shim], SHIM_VARIABLE, setup->shim_control);
    if (setup->sandbox == SANDBOX_NO_URING)
        uring_forbid();
    limits_set(setup);
}

static void server_register(const struct server *server)
{
    uint32_t i = 0;
    while (i < SERVERS_MAX && running[i].pid != 0)
        i++;
    cr_assert(i < SERVERS_MAX, "more than %d servers in one test", SERVERS_MAX);
    running[i].pid = server->pid;
    memcpy(running[i].text_path, server->text_path, PATH_BYTES);
}

static void server_forget(struct server *server)
{
    for (uint32_t i = 0; i < SERVERS_MAX; i++) {
        if (running[i].pid == server->pid)
            running[i].pid = 0;
    }
    server->pid = 0;
}

/* Not in the data directory: its disk may be full, or fail. */
static void text_path_make(char path[PATH_BYTES])
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%d-stderr-%u", folder_prefix, (int)getpid(),
                   folder_serial++);
    path_join(path, folder_base(), name);
}

void server_launch(struct server *server, const struct server_setup *setup)
{
    const char *arguments[ARGUMENTS_MAX] = {
        "giro",     "serve",
        "--data",   setup->data,
        "--io",     setup->io == NULL ? "io_uring" : setup->io,
        "--listen", setup->listen == NULL ? "127.0.0.1:0" : setup->listen,
    };
    uint32_t count = 8;
    for (uint32_t i = 0; setup->arguments != NULL && setup->arguments[i] != NULL; i++) {
        cr_assert(count < ARGUMENTS_MAX - 1);
        arguments[count++] = setup->arguments[i];
    }
    *server = (struct server){0};
    text_path_make(server->text_path);
    int text_fd = open(server->text_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    cr_assert(text_fd >= 0, "%s: %s", server->text_path, strerror(errno));
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        child_prepare(setup, text_fd);
        (void)execv(giro_path(), (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(text_fd);
    server->pid = pid;
    server_register(server);
}

const char *server_text(struct server *server)
{
    int fd = open(server->text_path, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0, "%s: %s", server->text_path, strerror(errno));
    ssize_t got = read(fd, server->text, sizeof server->text - 1);
    close(fd);
    server->text[got > 0 ? got : 0] = 0;
    return server->text;
}

static int status_of(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

/* Reaps it if it has ended. */
static bool server_ended(struct server *server, int *out_status)
{
    int wait_status;
    pid_t pid = waitpid(server->pid, &wait_status, WNOHANG);
    cr_assert(pid >= 0);
    if (pid == 0)
        return false;
    (void)server_text(server);
    (void)unlink(server->text_path);
    server_forget(server);
    *out_status = status_of(wait_status);
    cr_assert(strstr(server->text, "Sanitizer") == NULL, "%s", server->text);
    cr_assert(strstr(server->text, "runtime error") == NULL, "%s", server->text);
    return true;
}

bool server_await(struct server *server, int *out_status)
{
    static const char listening[] = "giro: listening on ";
    int status;
    for (uint64_t start = now_ms(); now_ms() - start < PATIENCE_MS; pause_ms(2)) {
        bool ended = server_ended(server, &status);
        const char *line = strstr(ended ? server->text : server_text(server), listening);
        const char *colon = line == NULL ? NULL : strchr(line + sizeof listening - 1, ':');
        if (ended && out_status != NULL)
            *out_status = status;
        if (ended)
            return false;
        if (colon != NULL && strchr(colon, '\n') != NULL) {
            server->port = (uint16_t)strtoul(colon + 1, NULL, 10);
            return true;
        }
    }
    cr_assert_fail("the server neither listens nor ends:\n%s", server->text);
    return false;
}

void server_start(struct server *server, const struct server_setup *setup)
{
    server_launch(server, setup);
    cr_assert(server_await(server, NULL), "the server did not start:\n%s", server->text);
}

int server_wait(struct server *server)
{
    int status;
    for (uint64_t start = now_ms(); now_ms() - start < PATIENCE_MS; pause_ms(2)) {
        if (server_ended(server, &status))
            return status;
    }
    cr_assert_fail("the server does not end:\n%s", server_text(server));
    return -1;
}

void server_kill(struct server *server)
{
    cr_assert(server->pid > 0);
    (void)kill(server->pid, SIGKILL);
    cr_assert_eq(server_wait(server), 128 + SIGKILL, "it had ended before:\n%s", server->text);
}

void server_stop(struct server *server)
{
    cr_assert(server->pid > 0);
    (void)kill(server->pid, SIGTERM);
    int status = server_wait(server);
    cr_assert_eq(status, 0, "a clean stop ended with status %d:\n%s", status, server->text);
}

void server_expect(struct server *server, const char *words)
{
    for (uint64_t start = now_ms(); now_ms() - start < PATIENCE_MS; pause_ms(5)) {
        if (strstr(server_text(server), words) != NULL)
            return;
    }
    cr_assert_fail("expected \"%s\", the server said:\n%s", words, server->text);
}

uint64_t server_memory_kib(const struct server *server)
{
    char path[64];
    char line[256];
    unsigned long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)server->pid);
    FILE *file = fopen(path, "re");
    cr_assert(file != NULL, "%s", path);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    }
    (void)fclose(file);
    return kib;
}

void harness_clean(void)
{
    for (uint32_t i = 0; i < SERVERS_MAX; i++) {
        if (running[i].pid == 0)
            continue;
        (void)kill(running[i].pid, SIGKILL);
        (void)waitpid(running[i].pid, NULL, 0);
        (void)unlink(running[i].text_path);
        running[i].pid = 0;
    }
    for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
        if (folders[i][0] != 0)
            folder_remove(folders[i]);
    }
}
