/* Statements of the repl about leases and schedules. */
#ifndef TOOLS_REPL_OBJECTS_H
#define TOOLS_REPL_OBJECTS_H

#include "tools/repl_show.h"

/* lease ...: what was done, and why the rest was not. The tokens are remembered: whoever renews or
 * releases without one, or sets a fence, means the one that this session got. */
bool repl_run_lease(struct repl *repl, const struct repl_statement *statement,
                    const struct repl_place *place);

/* set fence KEY [TOKEN], set fence off. Returns false with a text of what is wrong with it. */
bool repl_fence_set(struct repl *repl, const struct repl_statement *statement, const char **error);

void repl_leases_show(const struct repl *repl, const struct giro_lease *leases, uint32_t count);
void repl_schedules_show(const struct repl *repl, const struct giro_schedule *schedules,
                         uint32_t count);

/* As giro_get_schedules(), once no attempt of any of them is due, or REPL_WAIT_S have passed. */
enum { REPL_WAIT_S = 30 };
int repl_schedules_wait(const struct repl *repl, const giro_u128 *ids, uint32_t count,
                        struct giro_schedule *schedules, uint32_t *out_found);

/* wait 500ms. Returns false when it has no such span of time. */
bool repl_run_wait(const struct repl_statement *statement);

/* What a change of a lease or of a schedule says beyond its id. "" for any other. Returns out. */
enum { REPL_DETAIL_BYTES = 256 };
char *repl_change_detail(const struct giro_change *change, char out[REPL_DETAIL_BYTES]);

#endif
