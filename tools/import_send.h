/* Sends a plan to a server, and says what became of it. */
#ifndef TOOLS_IMPORT_SEND_H
#define TOOLS_IMPORT_SEND_H

#include "clients/c/giro.h"
#include "tools/import_plan.h"

#include <stdio.h>

enum { IMPORT_CODES_MAX = 256 };

/* What happened to accounts, or to transfers. */
struct import_count {
    uint32_t created;
    uint32_t existing; /* there already, with the same fields */
    uint32_t refused;
    uint32_t refused_by_code[IMPORT_CODES_MAX];
    struct import_origin refused_first[IMPORT_CODES_MAX]; /* the first row of each code */
};

struct import_outcome {
    struct import_count accounts;
    struct import_count transfers;
};

/* Sends accounts and then transfers. Nothing is sent when a transfer needs an account that neither
 * is there nor may be created: such a transfer's id would be spent for ever. Transfers are not sent
 * when an account was refused.
 * Returns false, after printing why to stderr, when not everything was sent. */
bool import_send(struct giro_client *client, const struct import_plan *plan,
                 struct import_outcome *outcome);

/* Prints rows read and what became of them; outcome NULL: a dry run. */
void import_summary(const struct import_plan *plan, const struct import_outcome *outcome,
                    FILE *out);

/* "1,234". Returns out. */
char *import_count_print(uint64_t count, char out[NUMBER_TEXT_BYTES]);

#endif
