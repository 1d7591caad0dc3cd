// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the test programs that look at a thread from outside, as those at the end of a recording
 * do: of all threads only at the one that tests ask for.
 */
#define READ_OTHER_TASK

#include "mechanisms.bpf.h"

SEC("iter.s/task")
int walk_other(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct sampling sampling;
	struct thread *thread;

	if (!task || (__u32)task->pid != subject_tid)
		return 0;
	thread = thread_made(task);
	if (!thread || sample_begin(&sampling, SCRATCH_SNAPSHOT, task))
		return 0;
	sample_add_stack(&sampling, thread, task, task);
	sample_end(&sampling);
	return 0;
}

SEC("iter.s/task")
int classify_other(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct thread *thread;

	if (!task || (__u32)task->pid != subject_tid)
		return 0;
	thread = thread_made(task);
	if (thread)
		call_classify(thread, task, POLL_SNAPSHOT);
	return 0;
}

/* Of the system call that the thread is blocked in. */
SEC("iter.s/task")
int classify_blocked(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct thread *thread;

	if (!task || (__u32)task->pid != subject_tid)
		return 0;
	thread = thread_made(task);
	if (!thread)
		return 0;
	thread->task_state = task_state_read(task);
	thread->in_io_wait = 0;
	wait_classify(thread, task, made_call.now, POLL_SNAPSHOT);
	call_result.descriptor = thread->descriptor;
	call_result.state = thread->state;
	call_result.syscall = thread->syscall;
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
