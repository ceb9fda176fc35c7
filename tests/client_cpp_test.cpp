// giro.h in C++17: compiles without a warning, links against the shared library, and a call works.
#include <giro.h>

#include "tests/client_fake.h"

#include <cstddef>
#include <cstdio>
#include <cstring>

static_assert(sizeof(giro_account) == GIRO_RECORD_BYTES, "the records are the same in C++");
static_assert(sizeof(giro_transfer) == GIRO_RECORD_BYTES, "the records are the same in C++");
static_assert(sizeof(giro_account_filter) == 128, "the records are the same in C++");
static_assert(sizeof(giro_payment) == GIRO_RECORD_BYTES, "the records are the same in C++");
static_assert(offsetof(giro_payment, marks) == 112, "the records are the same in C++");
static_assert(sizeof(giro_lease) == GIRO_RECORD_BYTES, "the records are the same in C++");
static_assert(sizeof(giro_schedule) == 2 * GIRO_RECORD_BYTES, "the records are the same in C++");
static_assert(offsetof(giro_schedule, transfer) == 128, "the records are the same in C++");
static_assert(sizeof(giro_change) == 272, "the records are the same in C++");

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                           \
            return 1;                                                                              \
        }                                                                                          \
    } while (false)

int main()
{
    fake_options fake_options{};
    fake *server = fake_start(&fake_options);
    giro_client_options options{};
    options.address = fake_address(server);
    giro_client *client = nullptr;
    CHECK(giro_client_open(&options, &client) == GIRO_OK);

    giro_account account{};
    account.id = giro_id_time_ordered();
    account.ledger = 1;
    account.code = 1;
    struct giro_created created {
    };
    giro_result result{};
    CHECK(giro_create_accounts(client, &account, 1, &result, &created) == GIRO_OK);
    CHECK(created.result_count == 0);
    CHECK(giro_create_accounts(client, &account, 1, &result, &created) == GIRO_OK);
    CHECK(created.exists_count == 1);
    CHECK(std::strcmp(giro_account_result_name(result.code), "exists") == 0);

    giro_account found{};
    uint32_t count = 0;
    CHECK(giro_lookup_accounts(client, &account.id, 1, &found, &count) == GIRO_OK);
    CHECK(count == 1);
    CHECK(found.id == account.id);

    giro_request request{};
    request.operation = GIRO_STATS;
    struct giro_server_stats stats {
    };
    request.output.stats = &stats;
    CHECK(giro_call(client, &request) == GIRO_OK);
    CHECK(stats.accounts == 1);

    giro_payment payment{};
    CHECK(giro_lookup_payments(client, &account.id, 1, &payment, &count) == GIRO_OK);
    CHECK(count == 0);
    CHECK(payment.state != GIRO_PAYMENT_POSTED);

    giro_query_filter filter{};
    filter.ledger = 1;
    filter.limit = 1;
    CHECK(giro_query_accounts(client, &filter, &found, &count) == GIRO_OK);
    CHECK(count == 1);
    giro_change_filter change_filter{};
    change_filter.limit = 1;
    giro_change change{};
    giro_changes changes{};
    CHECK(giro_read_changes(client, &change_filter, &change, &changes) == GIRO_OK);
    CHECK(changes.count == 1);
    CHECK(change.kind == GIRO_CHANGE_ACCOUNT_CREATED);
    CHECK(change.record.account.id == account.id);
    CHECK(std::strcmp(giro_status_name(request.status), "ok") == 0);
    giro_client_close(client);
    fake_stop(server);
    return 0;
}
