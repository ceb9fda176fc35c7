/* Clocks that jump, by years and by a second, and that stand still, under load. Whatever the wall
 * clock says, timestamps increase, and holds expire by the times that the log has; timeouts of
 * connections keep to the clock that never jumps; and a server that is started under another clock
 * than the last one has everything. */
#include "tests/faults/clock_control.h"
#include "tests/faults/stage.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(clock, .fini = harness_clean, .timeout = 600);

#define NS_PER_S 1000000000ll
#define YEARS_NS(years) ((years)*31557600ll * NS_PER_S)
#define MINUTES_NS(minutes) ((minutes)*60ll * NS_PER_S)

enum { FRAME_TIMEOUT_MS = 3000 };

static const char *const arguments[] = {
    STAGE_ARGUMENTS, "--snapshot-log-bytes", "8m", "--frame-timeout-ms", "3000", NULL};

struct jumping {
    struct stage stage;
    struct clock_control *clock;
    char clock_path[PATH_BYTES];
};

static void jumping_begin(struct jumping *jumping, const char *io, uint64_t seed)
{
    struct stage *stage = &jumping->stage;
    stage_begin(stage, arguments, seed);
    jumping->clock = shim_control_make(stage->data, sizeof *jumping->clock, jumping->clock_path);
    stage->setup.io = io;
    stage->setup.kill_at = NULL;
    stage->setup.shim = SHIM_CLOCK;
    stage->setup.shim_control = jumping->clock_path;
    server_start(&stage->server, &stage->setup);
}

/* A row of what clocks may do. */
struct jump {
    int64_t offset_ns; /* of the wall clock from the truth */
    bool wall_stands;
    bool monotonic_stands;
};

static void jump_to(struct jumping *jumping, const struct jump *jump)
{
    struct clock_control *clock = jumping->clock;
    uint64_t looks = atomic_load(&clock->looks);
    atomic_store(&clock->wall_stands, jump->wall_stands);
    atomic_store(&clock->monotonic_stands, jump->monotonic_stands);
    atomic_store(&clock->wall_offset_ns, jump->offset_ns);
    for (uint64_t start = now_ms(); atomic_load(&clock->looks) < looks + 4; pause_ms(1))
        cr_assert(now_ms() - start < PATIENCE_MS, "nobody looks at the clock");
}

/* ---- Under load -------------------------------------------------------------------------- */

static const struct jump jumps[] = {
    {YEARS_NS(10), false, false},
    {-YEARS_NS(10), false, false},
    {0, false, false},
    {-NS_PER_S, false, false}, /* a leap second */
    {NS_PER_S, false, false},
    {0, true, false},
    {0, false, true},
    {-YEARS_NS(1), true, true},
    {YEARS_NS(1), false, false},
    {0, false, false},
};

/* world.h checks at every answer that timestamps keep to the order of things. */
static void jumps_try(const char *io, uint64_t seed)
{
    enum { ANSWERS = 250, JUMPS = sizeof jumps / sizeof jumps[0] };
    static struct jumping jumping;
    struct stage *stage = &jumping.stage;
    jumping_begin(&jumping, io, seed);
    for (uint32_t i = 0; i < JUMPS; i++) {
        world_connect(&stage->world, stage->server.port);
        cr_assert(world_run(&stage->world, ANSWERS));
        world_send(&stage->world); /* it jumps while they are under way */
        jump_to(&jumping, &jumps[i]);
        cr_assert(world_run(&stage->world, ANSWERS), "jump %u:\n%s", i,
                  server_text(&stage->server));
        world_finish(&stage->world);
        world_disconnect(&stage->world);
        stage_check_now(stage);
        if (i % 2 == 0)
            continue;
        server_kill(&stage->server); /* a start under this clock */
        server_start(&stage->server, &stage->setup);
        stage_check(stage);
    }
    server_stop(&stage->server);
    data_verify(stage->data);
    stage->setup.shim = SHIM_NONE; /* and under the true one */
    server_start(&stage->server, &stage->setup);
    stage_check(stage);
    server_stop(&stage->server);
    stage_end(stage);
}

Test(clock, timestamps_increase_over_jumps_io_uring)
{
    jumps_try("io_uring", 0xc10c);
}

Test(clock, timestamps_increase_over_jumps_posix)
{
    jumps_try("posix", 0xc10d);
}

/* ---- Holds ------------------------------------------------------------------------------- */

enum { DEBIT = 1, CREDIT = 2, HOUR_S = 3600 };

static giro_u128 pending_now(struct jumping *jumping)
{
    const giro_u128 id = DEBIT;
    struct giro_account account;
    struct client client;
    uint32_t found;
    client_connect(&client, jumping->stage.server.port);
    cr_assert_eq(client_lookup_accounts(&client, &id, 1, &account, &found), FRAME_OK);
    cr_assert_eq(found, 1);
    client_close(&client);
    return account.debits_pending;
}

static void hold_for_an_hour(struct jumping *jumping, uint64_t id, uint64_t amount)
{
    struct giro_transfer hold = transfer_of(id, DEBIT, CREDIT, amount);
    struct client client;
    uint32_t code;
    hold.flags = GIRO_TRANSFER_PENDING;
    hold.timeout = HOUR_S;
    client_connect(&client, jumping->stage.server.port);
    cr_assert_eq(client_create_transfers(&client, &hold, 1, &code, NULL), FRAME_OK);
    cr_assert_eq(code, GIRO_TRANSFER_CREATED, "%s", giro_transfer_result_name(code));
    client_close(&client);
}

/* What is held stays so for several of the server's looks at its clock. */
static void check_held(struct jumping *jumping, uint64_t amount, const char *when)
{
    enum { LOOKS_MS = 600 };
    pause_ms(LOOKS_MS);
    cr_assert(pending_now(jumping) == amount, "%s: %lu is held", when,
              (uint64_t)pending_now(jumping));
}

static void await_expired(struct jumping *jumping, const char *when)
{
    for (uint64_t start = now_ms(); pending_now(jumping) != 0; pause_ms(10))
        cr_assert(now_ms() - start < PATIENCE_MS, "%s: still held", when);
}

static void restart(struct jumping *jumping)
{
    server_kill(&jumping->stage.server);
    server_start(&jumping->stage.server, &jumping->stage.setup);
}

static void expiries_try(const char *io)
{
    static struct jumping jumping;
    struct client client;
    jumping_begin(&jumping, io, 0);
    client_connect(&client, jumping.stage.server.port);
    client_make_accounts(&client, DEBIT, 2);
    client_close(&client);

    hold_for_an_hour(&jumping, 1, 5);
    jump_to(&jumping, &(struct jump){MINUTES_NS(58), false, false});
    check_held(&jumping, 5, "two minutes before");
    jump_to(&jumping, &(struct jump){MINUTES_NS(120), false, false});
    await_expired(&jumping, "an hour late");

    /* The ledger's time is two hours ahead now, whatever the clock says later. */
    jump_to(&jumping, &(struct jump){-YEARS_NS(10), false, false});
    hold_for_an_hour(&jumping, 2, 7);
    check_held(&jumping, 7, "ten years back");
    restart(&jumping);
    check_held(&jumping, 7, "after a start ten years back");
    jump_to(&jumping, &(struct jump){MINUTES_NS(178), false, false});
    check_held(&jumping, 7, "two minutes before");
    restart(&jumping);
    check_held(&jumping, 7, "after a start two minutes before");
    jump_to(&jumping, &(struct jump){MINUTES_NS(182), false, false});
    await_expired(&jumping, "two minutes late");
    server_stop(&jumping.stage.server);
    data_verify(jumping.stage.data);
    stage_end(&jumping.stage);
}

Test(clock, holds_expire_by_the_ledgers_time_io_uring)
{
    expiries_try("io_uring");
}

Test(clock, holds_expire_by_the_ledgers_time_posix)
{
    expiries_try("posix");
}

/* ---- Timeouts ---------------------------------------------------------------------------- */

/* A client that stopped in the middle of a frame. */
static void half_frame_send(struct client *client, uint16_t port)
{
    char frame[FRAME_HEADER_BYTES + sizeof(struct giro_transfer)];
    const struct giro_transfer transfer = transfer_of(99, DEBIT, CREDIT, 1);
    uint32_t size = client_frame(frame, FRAME_CREATE_TRANSFERS, 9, &transfer, sizeof transfer);
    client_connect(client, port);
    cr_assert(client_send(client, frame, size / 2));
}

/* Neither ten years forth nor ten years back end the patience with a client; the clock that never
 * jumps does, and not while it stands. */
static void timeouts_try(const char *io)
{
    enum { SOON_MS = 800 };
    static const struct jump there[] = {
        {YEARS_NS(10), false, false}, {-YEARS_NS(10), false, false}, {0, false, true}};
    static struct jumping jumping;
    struct client slow;
    struct client witness;
    struct reply reply;
    jumping_begin(&jumping, io, 0);
    client_connect(&witness, jumping.stage.server.port);
    for (uint32_t i = 0; i < sizeof there / sizeof there[0]; i++) {
        half_frame_send(&slow, jumping.stage.server.port);
        cr_assert(client_ping(&witness, PATIENCE_MS));
        jump_to(&jumping, &there[i]);
        uint32_t wait_ms = there[i].monotonic_stands ? 2 * FRAME_TIMEOUT_MS : SOON_MS;
        cr_assert_eq(client_receive(&slow, &reply, wait_ms), CLIENT_SILENT,
                     "jump %u: it was not waited for", i);
        cr_assert(client_ping(&witness, PATIENCE_MS));
        jump_to(&jumping, &(struct jump){there[i].offset_ns, false, false});
        cr_assert_eq(client_receive(&slow, &reply, PATIENCE_MS), CLIENT_REPLY);
        cr_assert_eq(reply.header.status, FRAME_TIMED_OUT, "%s",
                     frame_status_name(reply.header.status));
        client_close(&slow);
    }
    client_close(&witness);
    server_stop(&jumping.stage.server);
    stage_end(&jumping.stage);
}

Test(clock, timeouts_keep_to_the_clock_that_never_jumps_io_uring)
{
    timeouts_try("io_uring");
}

Test(clock, timeouts_keep_to_the_clock_that_never_jumps_posix)
{
    timeouts_try("posix");
}
