/* See calls.c. */
#ifndef TESTS_SIM_CALLS_H
#define TESTS_SIM_CALLS_H

/* The process is gone, and with it its mutexes and semaphores. */
void calls_life_ended(void);

#endif
