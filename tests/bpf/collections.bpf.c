// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the test programs that begin and end garbage collections of the thread that runs them, as
 * probes do: made_call has what a probe would be given.
 */
#include "mechanisms.bpf.h"

#include "collection.bpf.h"

SEC("raw_tp")
int collection_begins(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_made(task);

	if (!thread)
		return 1;
	collection_begin(thread, process_find(task), (int)made_call.number, OWN_THREAD);
	return 0;
}

SEC("raw_tp")
int collection_ends(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_made(task);

	if (!thread)
		return 1;
	collection_end(thread, task->tgid);
	return 0;
}

SEC("raw_tp")
int collector_enters(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_made(task);
	struct process_config *process = process_find(task);

	if (!thread || !process)
		return 1;
	collector_enter(thread, process, made_call.arguments[0], (int)made_call.number,
			made_call.arguments[1], OWN_THREAD);
	return 0;
}

SEC("raw_tp")
int collector_leaves(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_made(task);

	if (!thread)
		return 1;
	collector_leave(thread, task->tgid, OWN_THREAD);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
