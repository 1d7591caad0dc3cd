/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns why a blocked thread waits: from the scheduler's state, the system call and its arguments
 * to a state of the ledger. Leaves descriptors to descriptor.bpf.h, the GIL's address to
 * python.bpf.h.
 */
#ifndef PYEBPF_WAIT_BPF_H
#define PYEBPF_WAIT_BPF_H

#include "gil.bpf.h"
#include "poll.bpf.h"
#include "python.bpf.h"
#include "thread.bpf.h"

/* include/uapi/linux/futex.h */
#define FUTEX_CLOCK_REALTIME_FLAG 256
#define FUTEX_COMMAND_MASK        127
#define FUTEX_COMMAND_WAIT_BITSET 9

/*
 * A thread that wants the GIL sleeps on a condition with a time-out of 5 ms, asks the holder to let
 * go and sleeps again, with short waits for a mutex between; one that must let go waits until
 * another has taken it, and then wants it back (Python/ceval_gil.h, take_gil, drop_gil). To a user
 * that is one wait: the next part continues it if it comes at once when the thread has a CPU again.
 */
static __always_inline void gil_wait_begin(struct thread *thread, struct syscall *call, __u64 now,
					   subject_t subject)
{
	__u64 deadline[2] = {};

	thread->continued = now - thread->gil_ended_ns < thread->gil_pause_ns;
	thread->gil_began_ns = now;
	thread->gil_deadline_ns = 0;
	if (call->arguments[3] && !(call->arguments[1] & FUTEX_CLOCK_REALTIME_FLAG) &&
	    (call->arguments[1] & FUTEX_COMMAND_MASK) == FUTEX_COMMAND_WAIT_BITSET &&
	    !user_read(deadline, sizeof(deadline), call->arguments[3], subject))
		thread->gil_deadline_ns = deadline[0] * 1000000000ULL + deadline[1];
}

static __always_inline __u32 wait_futex(struct thread *thread, subject_t subject,
					struct syscall *call, __u64 now)
{
	const struct process_config *process = process_find(subject_task(subject));

	if (!process || !python_gil_contains(thread, subject, call->arguments[0]))
		return STATE_LOCK;
	gil_wait_begin(thread, call, now, subject);
	gil_holder_read(thread, subject, process, &thread->gil_holder);
	return STATE_GIL;
}

/*
 * Without a system call it is a page fault. It waits for a disk, or, in a sleep that a signal may
 * end, for a file system that is a program (FUSE) or for memory that a program fills (userfaultfd).
 * Any other is a wait for a lock of the kernel's, which is no major fault.
 */
static __always_inline __u32 wait_fault(const struct thread *thread)
{
	if (thread->in_io_wait || thread->task_state & TASK_INTERRUPTIBLE_STATE)
		return STATE_FAULT;
	return STATE_OTHER;
}

/*
 * Whether the thread blocks in what its system call is for. Calls that wait for others do so where a
 * signal can end it; if none can, the thread is at memory of its own that it gives to the call, or
 * that the kernel writes on the way out of it (restartable sequences).
 */
static __always_inline bool wait_is_the_call(const struct thread *thread, __u32 wait)
{
	return wait < WAIT_ACCEPT || thread->task_state & TASK_INTERRUPTIBLE_STATE;
}

static __always_inline __u32 wait_syscall(struct thread *thread, subject_t subject,
					  struct syscall *call, __u64 now, __u32 slot,
					  __s32 *descriptor)
{
	__u32 number = call->number;
	__u32 wait = number < SYSCALLS_MAX ? syscall_waits[number] : WAIT_OTHER;
	__u32 state;

	if (!wait_is_the_call(thread, wait))
		return wait_fault(thread);
	switch (wait) {
	case WAIT_DESCRIPTOR:
		*descriptor = call->arguments[0];
		state = descriptor_state(subject, *descriptor);
		return state == STATE_ACCEPT ? STATE_SOCKET : state;
	case WAIT_ACCEPT:
		*descriptor = call->arguments[0];
		return STATE_ACCEPT;
	case WAIT_POLL:
	case WAIT_PPOLL:
	case WAIT_SELECT:
	case WAIT_EPOLL:
		return poll_state(subject, call, wait, slot, descriptor);
	case WAIT_FUTEX:
		return wait_futex(thread, subject, call, now);
	case WAIT_FILE:
		return STATE_FILE;
	case WAIT_SLEEP:
		return STATE_SLEEP;
	case WAIT_CHILD:
		return STATE_CHILD;
	}
	return thread->in_io_wait ? STATE_FILE : STATE_OTHER;
}

/*
 * Finds the state, system call and descriptor of a thread that blocks, or that blocked and has not
 * left its system call. `slot` is an enum poll_slot.
 */
CHECKED_ONCE int wait_classify(struct thread *thread, subject_t subject, __u64 now, __u32 slot)
{
	struct syscall call;
	__s32 descriptor = -1;

	if (!thread)
		return -1;
	syscall_read(subject_task(subject), &call);
	thread->continued = 0;
	thread->syscall = call.number;
	if (thread->task_state & (TASK_STOPPED_STATE | TASK_TRACED_STATE | TASK_FROZEN_STATE))
		thread->state = STATE_STOPPED;
	else if (call.number >= 0)
		thread->state = wait_syscall(thread, subject, &call, now, slot, &descriptor);
	else
		thread->state = wait_fault(thread);
	if (thread->state != STATE_GIL)
		thread->gil_pause_ns = 0;
	thread->descriptor = descriptor;
	return 0;
}

#endif
