/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns leaving a computation that takes too much CPU time, in the thread that does it. Only for
 * code that holds nothing which must be given back (no memory, no lock), since it is left wherever
 * it is.
 */
#ifndef PYEBPF_TIME_LIMIT_H
#define PYEBPF_TIME_LIMIT_H

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

struct time_limit {
	timer_t timer;
	struct sigaction action; /* what SIGVTALRM did before */
	sigset_t mask;
};

/*
 * From here to time_limit_end(), a computation that has used `nanoseconds` of CPU time goes to
 * `*leave` by siglongjmp() with the value `reason`. Takes SIGVTALRM meanwhile; limits do not nest.
 * Returns 0, or -errno without having begun.
 */
int time_limit_begin(struct time_limit *limit, uint64_t nanoseconds, sigjmp_buf *leave, int reason);
void time_limit_end(struct time_limit *limit);

#endif
