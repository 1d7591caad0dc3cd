/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns who ends a thread's wait for a lock or a pipe: looked at in the waker's own context, for
 * those waits alone that will be captured.
 */
#ifndef PYEBPF_WAKER_BPF_H
#define PYEBPF_WAKER_BPF_H

#include "gil.bpf.h"
#include "ledger.bpf.h"

/*
 * Whether the running thread is the one that wakes, and not one that a timer or a device happened
 * to interrupt: it must be in a system call that can end such a wait.
 */
static __always_inline bool waker_is_current(const struct thread *thread, struct task_struct *task)
{
	struct syscall call;

	syscall_read(task, &call);
	if (call.number < 0 || call.number >= SYSCALLS_MAX)
		return false;
	if (thread->state != STATE_LOCK)
		return true;
	return syscall_waits[call.number] == WAIT_FUTEX || syscall_waits[call.number] == WAIT_OTHER;
}

/* The waker's innermost Python frame, if it is a thread of the same process. */
static __always_inline void waker_frame_read(struct task_struct *task, struct thread_waker *waker)
{
	const struct process_config *process = process_find(task);
	struct thread *thread = thread_find(task);
	__u64 frame;

	if (!process || !process->layout.version || !thread || !thread->python_thread)
		return;
	frame = holder_frame(&process->layout, thread->python_thread, OWN_THREAD);
	frame = frame_skip_shims(&process->layout, frame, OWN_THREAD);
	if (frame)
		holder_fill(process, frame, OWN_THREAD, &waker->frame);
}

/* `thread`, of process `pid`, is being woken. */
static __always_inline void waker_note(struct thread *thread, __u32 pid, __u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_waker *waker = &thread->waker;

	__builtin_memset(waker, 0, sizeof(*waker));
	if (thread->state != STATE_LOCK && thread->state != STATE_PIPE)
		return;
	if (!ledger_will_capture(thread, now - thread->since_ns) || !waker_is_current(thread, task))
		return;
	waker->pid = task->tgid;
	waker->tid = task->pid;
	BPF_CORE_READ_STR_INTO(&waker->comm, task, comm);
	if (waker->pid == pid)
		waker_frame_read(task, waker);
}

#endif
