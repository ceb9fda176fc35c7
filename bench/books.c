#include "bench/books.h"

#include "engine/result.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static int fail(char problem[BOOKS_PROBLEM_BYTES], int error,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, BOOKS_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    return error;
}

static int call_failed(char problem[BOOKS_PROBLEM_BYTES], const char *call, int error,
                       uint32_t status)
{
    return fail(problem, error, "%s: %s", call,
                error == -EREMOTEIO ? frame_status_name(status) : strerror(-error));
}

static uint32_t chunk(uint32_t done, uint32_t total)
{
    return total - done < FRAME_EVENTS_MAX ? total - done : FRAME_EVENTS_MAX;
}

/* Every result must be `exists`: the account is there already, with equal fields. */
static int created_check(const uint8_t *reply, uint32_t reply_bytes,
                         char problem[BOOKS_PROBLEM_BYTES])
{
    struct frame_created created;
    if (reply_bytes < sizeof created)
        return fail(problem, -EPROTO, "create_accounts: the reply is too short");
    memcpy(&created, reply, sizeof created);
    if (reply_bytes != sizeof created + created.result_count * sizeof(struct giro_result))
        return fail(problem, -EPROTO, "create_accounts: the reply's size does not fit its count");
    for (uint32_t i = 0; i < created.result_count; i++) {
        struct giro_result result;
        memcpy(&result, reply + sizeof created + i * sizeof result, sizeof result);
        if (result.code != GIRO_ACCOUNT_EXISTS)
            return fail(problem, -EEXIST, "create_accounts: %s",
                        giro_account_result_name(result.code));
    }
    return 0;
}

int books_open(struct client *client, const struct workload *workload,
               char problem[BOOKS_PROBLEM_BYTES])
{
    uint32_t total = workload_accounts(workload);
    struct giro_account *accounts = aligned_alloc(16, FRAME_BODY_BYTES_MAX);
    int error = 0;
    if (accounts == NULL)
        return fail(problem, -ENOMEM, "out of memory");
    for (uint32_t done = 0; error == 0 && done < total;) {
        const void *reply;
        uint32_t reply_bytes;
        uint32_t status;
        uint32_t count = chunk(done, total);
        for (uint32_t i = 0; i < count; i++)
            workload_account(workload, done + i, &accounts[i]);
        error = client_call(client, FRAME_CREATE_ACCOUNTS, accounts, count * GIRO_RECORD_BYTES,
                            &reply, &reply_bytes, &status);
        if (error != 0)
            error = call_failed(problem, "create_accounts", error, status);
        else
            error = created_check(reply, reply_bytes, problem);
        done += count;
    }
    free(accounts);
    return error;
}

static void books_add(struct books *books, const uint8_t *reply, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct giro_account account;
        memcpy(&account, reply + (size_t)i * sizeof account, sizeof account);
        books->debits_posted += account.debits_posted;
        books->credits_posted += account.credits_posted;
        books->debits_pending += account.debits_pending;
        books->credits_pending += account.credits_pending;
    }
}

int books_read(struct client *client, const struct workload *workload, struct books *out,
               char problem[BOOKS_PROBLEM_BYTES])
{
    uint32_t total = workload_accounts(workload);
    giro_u128 *ids = calloc(FRAME_EVENTS_MAX, sizeof *ids);
    struct books books = {0};
    int error = 0;
    if (ids == NULL)
        return fail(problem, -ENOMEM, "out of memory");
    for (uint32_t done = 0; error == 0 && done < total;) {
        const void *reply;
        uint32_t reply_bytes;
        uint32_t status;
        uint32_t count = chunk(done, total);
        for (uint32_t i = 0; i < count; i++) {
            struct giro_account account;
            workload_account(workload, done + i, &account);
            ids[i] = account.id;
        }
        error = client_call(client, FRAME_LOOKUP_ACCOUNTS, ids, count * (uint32_t)sizeof *ids,
                            &reply, &reply_bytes, &status);
        if (error != 0)
            error = call_failed(problem, "lookup_accounts", error, status);
        else if (reply_bytes != count * GIRO_RECORD_BYTES)
            error = fail(problem, -ENOENT, "lookup_accounts: %u accounts of %u",
                         reply_bytes / GIRO_RECORD_BYTES, count);
        else
            books_add(&books, reply, count);
        done += count;
    }
    free(ids);
    if (error == 0)
        *out = books;
    return error;
}

bool books_balanced(const struct books *books)
{
    return books->debits_posted == books->credits_posted &&
           books->debits_pending == books->credits_pending;
}
