/* Result codes in plain language: why an event was not created, and what to do. */
#ifndef TOOLS_REPL_RESULT_H
#define TOOLS_REPL_RESULT_H

#include <stdint.h>

/* One or two sentences; static. A code that this version does not know has a sentence too. */
const char *repl_account_result_text(uint32_t code);
const char *repl_transfer_result_text(uint32_t code);
const char *repl_limits_result_text(uint32_t code);
const char *repl_lease_result_text(uint32_t code);
const char *repl_schedule_result_text(uint32_t code);
const char *repl_cut_off_result_text(uint32_t code);

#endif
