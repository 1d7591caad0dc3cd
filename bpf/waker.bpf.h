/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns who ends a thread's wait for a lock or a pipe: looked at in the waker's own context, for
 * those waits alone that will be captured.
 */
#ifndef PYEBPF_WAKER_BPF_H
#define PYEBPF_WAKER_BPF_H

#include "gil.bpf.h"
#include "descriptor.bpf.h"
#include "ledger.bpf.h"
#include "wait.bpf.h"

/* A thread that has none may be one of C code, with hundreds of others to look through. */
#define WAKER_SEARCH_PAUSE_NS 1000000

/* include/uapi/linux/futex.h: the commands that wake, as bits, and those of another address too */
#define FUTEX_COMMANDS_WAKE                                                          \
	(1 << 1 /* WAKE */ | 1 << 3 /* REQUEUE */ | 1 << 4 /* CMP_REQUEUE */ |       \
	 1 << 5 /* WAKE_OP */ | 1 << 7 /* UNLOCK_PI */ | 1 << 10 /* WAKE_BITSET */ | \
	 1 << 12 /* CMP_REQUEUE_PI */)
#define FUTEX_COMMANDS_WAKE_ONE (1 << 1 | 1 << 7 | 1 << 10)

/*
 * Whether a futex call wakes who is in the call `wait`. In one process its address must be the same.
 */
static __always_inline bool futex_call_wakes(const struct syscall *call, const struct syscall *wait,
					     bool same_process)
{
	__u32 command = 1U << (call->arguments[1] & 31);

	if (call->arguments[1] & FUTEX_COMMAND_MASK & ~31ULL || !(command & FUTEX_COMMANDS_WAKE))
		return false;
	if (!same_process || !(command & FUTEX_COMMANDS_WAKE_ONE))
		return true;
	return call->arguments[0] == wait->arguments[0];
}

/*
 * Whether a call on a descriptor is on the pipe, eventfd or the like that `waited` is an end of.
 * What it closes is no descriptor any more.
 */
static __always_inline bool descriptor_call_wakes(const struct syscall *call,
						  struct task_struct *task, struct file *waited)
{
	__u64 files = descriptor_table_read(task).files;
	struct file *first = descriptor_file(files, call->arguments[0]);
	struct file *second = descriptor_file(files, call->arguments[2]); /* of splice() */
	void *both = waited ? BPF_CORE_READ(waited, private_data) : NULL;

	if (!first)
		return true;
	if (!both)
		return false;
	return BPF_CORE_READ(first, private_data) == both ||
	       (second && BPF_CORE_READ(second, private_data) == both);
}

/*
 * Whether the running thread is the one that ends `thread`'s wait, and not one that a timer or a
 * device happened to interrupt: it must be in a call that can.
 */
static __always_inline bool waker_is_current(const struct thread *thread, struct task_struct *woken,
					     struct task_struct *task, const struct syscall *call)
{
	struct syscall wait;
	__u32 kind;

	if (!task->mm) /* a kernel's thread, or one that ends: that has given its pipes back */
		return thread->state == STATE_PIPE && task->flags & TASK_EXITING;
	if (task->flags & TASK_EXITING)
		return true;
	if (call->number < 0 || call->number >= SYSCALLS_MAX)
		return false;
	kind = syscall_waits[call->number];
	syscall_read(woken, &wait);
	if (thread->state == STATE_LOCK)
		return kind == WAIT_FUTEX &&
		       futex_call_wakes(call, &wait, woken->tgid == task->tgid);
	if (kind == WAIT_DESCRIPTOR)
		return descriptor_call_wakes(
			call, task,
			descriptor_file(descriptor_table_read(woken).files, thread->descriptor));
	return kind == WAIT_OTHER;
}

/*
 * Whether thread->python_thread is the running thread's own. It is looked for where it is not known
 * yet, is another's by now, or may be one of several.
 */
static __always_inline bool waker_thread_find(struct thread *thread, struct task_struct *task,
					      const struct process_config *process, __u64 now)
{
	if (thread->python_thread && thread->python_interpreter &&
	    user_read_word(thread->python_thread + process->layout.thread_id, OWN_THREAD) ==
		    thread_pointer_read(task))
		return true;
	if (thread->searched_ns && now - thread->searched_ns < WAKER_SEARCH_PAUSE_NS)
		return false;
	if (!python_thread_search(thread, OWN_THREAD, process))
		return true;
	thread->searched_ns = now;
	return false;
}

/* The waker's innermost Python frames, if it is a thread of the same process. */
static __always_inline void waker_frames_read(struct task_struct *task, struct thread_waker *waker,
					      __u64 now)
{
	const struct process_config *process = process_find(task);
	struct thread *thread = thread_find(task);
	__u64 frame;
	__u32 at;

	if (!process || !process->layout.version || !thread ||
	    !waker_thread_find(thread, task, process, now))
		return;
	frame = holder_frame(&process->layout, thread->python_thread, OWN_THREAD);
	for (at = 0; at < WAKER_FRAMES_MAX; at++) {
		frame = frame_skip_shims(&process->layout, frame, OWN_THREAD);
		if (!frame || holder_fill(process, frame, OWN_THREAD, &waker->frames[at]))
			return;
		frame = user_read_word(frame + process->layout.frame_previous, OWN_THREAD);
	}
}

/* The running thread, which is in `call`, wakes `thread`, whose task is `woken`. */
static __always_inline void waker_note(struct thread *thread, struct task_struct *woken,
				       const struct syscall *call, __u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_waker *waker = &thread->waker;

	if (thread->mode != THREAD_BLOCKED) /* it has not left its CPU: no wait ends */
		return;
	if (thread->state != STATE_LOCK && thread->state != STATE_PIPE)
		return;
	__builtin_memset(waker, 0, sizeof(*waker));
	if (!ledger_will_capture(thread, now - thread->since_ns) ||
	    !waker_is_current(thread, woken, task, call))
		return;
	waker->pid = task->tgid;
	waker->tid = task->pid;
	BPF_CORE_READ_STR_INTO(&waker->comm, task, comm);
	if (waker->pid == (__u32)woken->tgid)
		waker_frames_read(task, waker, now);
}

#endif
