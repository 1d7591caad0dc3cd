/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the ledger of a thread: each interval between two scheduler events is charged to one state,
 * and which of the waits are captured with their stack. Leaves to wait.bpf.h why a thread waits,
 * to sample.bpf.h the stack.
 *
 * Invariant: outside of the functions here, since_ns - start_ns is the sum of all totals, plus
 * unknown_ns.
 */
#ifndef PYEBPF_LEDGER_BPF_H
#define PYEBPF_LEDGER_BPF_H

#include "emit.bpf.h"
#include "thread.bpf.h"

/*
 * Wall time on a CPU that the kernel does not count as executed was taken by interrupts or by a
 * hypervisor. Below this the difference is that of two clock readings, and is made up for by the
 * next ones.
 */
#define STOLEN_MIN_NS 10000
#define TICK_MAX_NS   10000000 /* between two of a kernel's ticks: 100 a second at least */

static __always_inline void ledger_charge(struct thread *thread, __u32 state, __u64 ns)
{
	if (state < STATE_COUNT)
		thread->totals[state].ns += ns;
}

/*
 * For how long a thread may run between two waits for the GIL that are one to a user: after one
 * that ran out, or was for the GIL's mutex or for its successor to take over, and after one that
 * was woken before its time but may have lost the lock to another thread.
 */
#define GIL_PAUSE_NS       100000
#define GIL_PAUSE_WOKEN_NS 15000

/*
 * Short waits are captured where a point in time hits them: one point, evenly random, in each
 * stretch of period_ns of a thread's accumulated short waits in a state. So a wait of length L is
 * captured L / period_ns times on average, each standing for period_ns, and the estimate is
 * closer than by independent draws. Returns the time that the wait stands for; 0: not captured.
 */
static __always_inline __u64 stratum_advance(struct thread *thread, __u32 state, __u64 length)
{
	struct stratum *stratum;
	__u64 end, ns = 0;

	if (state >= STATE_COUNT)
		return 0;
	stratum = &thread->strata[state];
	if (!stratum->position && !stratum->point)
		stratum->point = bpf_get_prandom_u32() % (__u32)period_ns;
	end = stratum->position + length;
	if (stratum->position <= stratum->point && stratum->point < end)
		ns = period_ns;
	if (end >= period_ns) {
		end -= period_ns;
		stratum->point = bpf_get_prandom_u32() % (__u32)period_ns;
		if (stratum->point < end)
			ns += period_ns;
	}
	stratum->position = end;
	return ns;
}

/* Whether ledger_weigh() would capture a wait of this length in the thread's state. */
static __always_inline bool ledger_will_capture(const struct thread *thread, __u64 length)
{
	const struct stratum *stratum;
	__u32 state = thread->state;

	if (length >= period_ns)
		return true;
	if (state >= STATE_COUNT)
		return false;
	stratum = &thread->strata[state];
	/* The point of a next stratum is not drawn yet: as good as captured. */
	return stratum->position + length >= period_ns ||
	       (stratum->position <= stratum->point && stratum->point < stratum->position + length);
}

/* A function of its own, as those below that are __weak, for the verifier to check but once. */
__weak __u64 ledger_weigh(struct thread *thread, __u32 state, __u64 length)
{
	if (!thread)
		return 0;
	return length >= period_ns ? length : stratum_advance(thread, state, length);
}

static __always_inline void ledger_wait_end(struct thread *thread, __u32 state, __u64 length)
{
	if (state >= STATE_COUNT)
		return;
	ledger_charge(thread, state, length);
	thread->totals[state].waits += !thread->continued;
	thread->capture.ns = ledger_weigh(thread, state, length);
	thread->capture.length_ns = length;
	if (state == STATE_GIL)
		thread->gil_pause_ns = thread->since_ns + length < thread->gil_deadline_ns
					       ? GIL_PAUSE_WOKEN_NS
					       : GIL_PAUSE_NS;
}

static __always_inline void ledger_runqueue_end(struct thread *thread, __u64 length)
{
	ledger_charge(thread, STATE_RUNQUEUE, length);
	thread->capture.runqueue_ns += ledger_weigh(thread, STATE_RUNQUEUE, length);
	thread->capture.runqueue_length_ns = length;
}

static __always_inline __u64 executed_read(struct task_struct *task)
{
	return task->se.sum_exec_runtime;
}

/*
 * Has the thread run, by the kernel's count, some time longer than it had its CPU. The kernel counts
 * from before a thread is woken on an idle CPU: wakeup_preempt() in kernel/sched/core.c tells the
 * other CPU, which takes long in a virtual machine, before the wake-up is reported, and has the run
 * queue's clock not read again on the way out of idleness. So it is the end of the time away, some
 * ten microseconds each time. Returns how much of it there was.
 */
static __always_inline __u64 ledger_away_shorten(struct thread *thread, __u64 ns)
{
	__u64 queued = ns < thread->queued_ns ? ns : thread->queued_ns;
	__u64 blocked = ns - queued < thread->blocked_ns ? ns - queued : thread->blocked_ns;

	if (thread->state >= STATE_COUNT)
		blocked = 0;
	else
		thread->totals[thread->state].ns -= blocked;
	thread->totals[STATE_RUNQUEUE].ns -= queued;
	return queued + blocked;
}

/*
 * Closes an interval in which the thread ran. It is charged what the kernel counts, which is what
 * the process' own clocks tell; what that lacks by more than `slack` was stolen.
 */
static __always_inline void ledger_run_charge(struct thread *thread, __u64 count, __u64 slack,
					      __u64 now)
{
	__u64 running = now - thread->since_ns;
	__s64 ahead = thread->ahead_ns + (__s64)(running - (count - thread->executed_ns));
	__u64 moved;

	if (ahead > (__s64)slack) {
		moved = (__u64)ahead < running ? (__u64)ahead : running;
		ledger_runqueue_end(thread, moved);
		running -= moved;
		ahead -= moved;
	} else if (ahead < 0) {
		moved = ledger_away_shorten(thread, (__u64)-ahead);
		running += moved;
		ahead += moved;
	}
	/* Of a thread that ran when it became known the kernel counts up to a tick too much. */
	thread->ahead_ns = ahead > -STOLEN_MIN_NS ? ahead : -STOLEN_MIN_NS;
	thread->queued_ns = 0;
	thread->blocked_ns = 0;
	ledger_charge(thread, STATE_RUNNING, running);
	thread->executed_ns = count;
	thread->since_ns = now;
}

static __always_inline void ledger_run_end(struct thread *thread, __u64 count, __u64 now)
{
	ledger_run_charge(thread, count, STOLEN_MIN_NS, now);
}

/* The same of a thread that still runs: the kernel counts its time at ticks and switches alone. */
static __always_inline void ledger_run_stop(struct thread *thread, __u64 count, __u64 now)
{
	ledger_run_charge(thread, count, TICK_MAX_NS, now);
}

/* How long a thread that blocked was so until `now`; the rest it was runnable. */
static __always_inline __u64 ledger_blocked_length(const struct thread *thread, __u64 now)
{
	if (thread->woken_ns > thread->since_ns && thread->woken_ns < now)
		return thread->woken_ns - thread->since_ns;
	return now - thread->since_ns;
}

/* Closes an interval in which the thread was off its CPU, having blocked or not. */
static __always_inline void ledger_away_end(struct thread *thread, bool blocked_first, __u64 now)
{
	__u64 blocked = blocked_first ? ledger_blocked_length(thread, now) : 0;
	__u64 runnable = now - thread->since_ns - blocked;

	thread->blocked_ns = 0;
	if (blocked_first) {
		if (thread->state == STATE_UNKNOWN) {
			thread->unknown_ns += blocked;
		} else {
			ledger_wait_end(thread, thread->state, blocked);
			thread->blocked_ns = blocked;
		}
	}
	if (runnable)
		ledger_runqueue_end(thread, runnable);
	thread->queued_ns = runnable;
	thread->since_ns = now;
}

/* The thread gets a CPU. */
__weak int ledger_switch_in(struct thread *thread, __u64 executed, __u64 now)
{
	if (!thread)
		return 0;
	thread->sequence++;
	if (thread->mode == THREAD_RUNNING) /* its leaving was missed, while storage was made say */
		thread->state = STATE_UNKNOWN;
	ledger_away_end(thread, thread->mode != THREAD_RUNNABLE, now);
	if (thread->state == STATE_GIL && thread->mode == THREAD_BLOCKED)
		thread->gil_ended_ns = now;
	thread->executed_ns = executed;
	thread->mode = THREAD_RUNNING;
	thread->sequence++;
	return 0;
}

/*
 * Some kernels now and then switch to a thread without reporting it (seen on 6.18, with ftrace
 * too). What was missed is told from the time that the thread has executed since it left.
 */
static __always_inline void ledger_switch_in_late(struct thread *thread, __u64 executed, __u64 now)
{
	__u64 ran = executed - thread->executed_ns;
	__u64 away = now - thread->since_ns;

	loss_count(LOSS_SWITCH);
	ledger_switch_in(thread, thread->executed_ns, now - (ran < away ? ran : away));
	__builtin_memset(&thread->capture, 0, sizeof(thread->capture)); /* its stack is gone */
}

/* The thread leaves its CPU. If it blocks, the caller classifies the wait afterwards. */
__weak int ledger_switch_out(struct thread *thread, __u64 executed, bool blocks, __u64 now)
{
	if (!thread)
		return 0;
	if (thread->mode != THREAD_RUNNING)
		ledger_switch_in_late(thread, executed, now);
	thread->sequence++;
	ledger_run_end(thread, executed, now);
	thread->mode = blocks ? THREAD_BLOCKED : THREAD_RUNNABLE;
	thread->sequence++;
	return 0;
}

static __always_inline void ledger_wake(struct thread *thread, __u64 now)
{
	if (thread->mode == THREAD_BLOCKED && thread->woken_ns <= thread->since_ns)
		thread->woken_ns = now;
}

#endif
