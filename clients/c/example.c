/* Moves 25.00 from one account to another, prints both balances and the first one's transfers.
 * Usage: c_example [HOST:PORT]. Build: cc example.c $(pkg-config --cflags --libs giro) */
#include <giro.h>

#include <inttypes.h>
#include <stdio.h>

static int fail(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, giro_error_text(error));
    return 1;
}

/* Prints the newest transfers of an account. */
static int transfers_print(struct giro_client *client, giro_u128 account_id)
{
    struct giro_transfer transfers[10];
    struct giro_account_filter filter = {.account_id = account_id,
                                         .limit = sizeof transfers / sizeof transfers[0],
                                         .flags = GIRO_ACCOUNT_FILTER_DEBITS |
                                                  GIRO_ACCOUNT_FILTER_CREDITS |
                                                  GIRO_ACCOUNT_FILTER_REVERSED};
    uint32_t count = 0;
    int error = giro_get_account_transfers(client, &filter, transfers, &count);
    for (uint32_t i = 0; i < count; i++)
        printf("transfer at %" PRIu64 ": %" PRIu64 "\n", transfers[i].timestamp,
               (uint64_t)transfers[i].amount);
    return error;
}

int main(int argc, char **argv)
{
    struct giro_client_options options = {.address = argc > 1 ? argv[1] : "127.0.0.1:4470"};
    struct giro_client *client;
    struct giro_created created;
    struct giro_result result;
    int error = giro_client_open(&options, &client);
    if (error != 0)
        return fail("open", error);

    giro_u128 ids[2] = {giro_id_time_ordered(), giro_id_time_ordered()};
    struct giro_account accounts[2] = {{.id = ids[0], .ledger = 1, .code = 10},
                                       {.id = ids[1], .ledger = 1, .code = 10}};
    error = giro_create_accounts(client, accounts, 2, NULL, &created);
    if (error != 0 || created.result_count > 0)
        return fail("accounts", error);

    struct giro_transfer transfer = {.id = giro_id_time_ordered(),
                                     .debit_account_id = ids[0],
                                     .credit_account_id = ids[1],
                                     .amount = 2500,
                                     .ledger = 1,
                                     .code = 1};
    error = giro_create_transfers(client, &transfer, 1, &result, &created);
    if (error != 0)
        return fail("transfer", error);
    if (created.result_count > 0)
        printf("refused: %s\n", giro_transfer_result_name(result.code));

    uint32_t found = 0;
    error = giro_lookup_accounts(client, ids, 2, accounts, &found);
    if (error != 0)
        return fail("lookup", error);
    for (uint32_t i = 0; i < found; i++)
        printf("account %" PRIu32 ": debits %" PRIu64 ", credits %" PRIu64 "\n", i,
               (uint64_t)accounts[i].debits_posted, (uint64_t)accounts[i].credits_posted);
    error = transfers_print(client, ids[0]);
    if (error != 0)
        return fail("query", error);
    giro_client_close(client);
    return 0;
}
