/* The simulated backend of wal/io.h, in place of io_uring and posix. */
#ifndef TESTS_SIM_IO_H
#define TESTS_SIM_IO_H

#include <stdint.h>

struct io_op;

/* Lets the program's io_wait() report an operation whose result is set, after a while. */
void io_complete(struct io_op *op, uint64_t after_ns);

/* The process is gone, and with it whatever was under way. */
void io_life_ended(void);

#endif
