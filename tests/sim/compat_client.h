/* Clients of the port for TigerBeetle's clients: each has a session and one request at a time, whose
 * bytes it sends, over any number of connections, until they are answered. Sometimes one begins a new
 * session; the server forgets the one that was used the longest ago.
 *
 * A request that changed something is executed once (judge.h), and every answer to it is the same to
 * the last byte. */
#ifndef TESTS_SIM_COMPAT_CLIENT_H
#define TESTS_SIM_COMPAT_CLIENT_H

#include "engine/ledger.h"
#include "net/compat_frame.h"
#include "tests/sim/client.h"

void compat_clients_start(const struct client_plan *plan);
void compat_clients_stop(void);
void compat_clients_refill(void);
void compat_clients_forget(void);
bool compat_clients_done(void);
void compat_clients_settle(void);

/* Told by the program: a batch of the request that is being executed, and what the request has led to;
 * that the follower was asked for the first of its queries; and that it is done. */
void compat_client_accounts(const struct giro_account *events, uint32_t count, uint64_t timestamp,
                            const struct ledger_output *output);
void compat_client_transfers(const struct giro_transfer *events, uint32_t count, uint64_t timestamp,
                             const struct ledger_output *output);
void compat_client_logged(const struct record_session *record, uint64_t address);
void compat_client_asked(int fd, const struct compat_header *header);
void compat_client_executed(int fd, const struct compat_header *header);

#endif
