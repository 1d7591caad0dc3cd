/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns time limits, by a timer of the thread's own CPU time: no other thread is disturbed. */
#include "native/time_limit.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id /* the C library's headers may lack the name of timer_create(2) */
#define sigev_notify_thread_id _sigev_un._tid
#endif

static _Thread_local sigjmp_buf *volatile destination; /* NULL: nothing is to be left */
static _Thread_local volatile sig_atomic_t value;

static void time_is_over(int signal_number)
{
	if (destination)
		siglongjmp(*destination, value);
}

int time_limit_begin(struct time_limit *limit, uint64_t nanoseconds, sigjmp_buf *leave, int reason)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
	struct itimerspec time = {.it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000),
					       .tv_nsec = (long)(nanoseconds % 1000000000)}};
	struct sigaction action = {.sa_handler = time_is_over};
	sigset_t set;

	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &limit->timer))
		return -errno;
	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, SIGVTALRM);
	sigaction(SIGVTALRM, &action, &limit->action);
	sigprocmask(SIG_UNBLOCK, &set, &limit->mask);
	value = reason;
	destination = leave;
	timer_settime(limit->timer, 0, &time, NULL);
	return 0;
}

void time_limit_end(struct time_limit *limit)
{
	destination = NULL;
	timer_delete(limit->timer);
	sigprocmask(SIG_SETMASK, &limit->mask, NULL);
	sigaction(SIGVTALRM, &limit->action, NULL);
}
