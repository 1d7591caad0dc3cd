// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns garbage collections, by the probes that CPython has where it was built with them
 * (Include/pydtrace.d): which thread collects which generation, and how long it takes. Builds
 * without probes are told from a flag of the interpreter at each sample, see python.bpf.h.
 */
#include "collection.bpf.h"
#include "thread.bpf.h"

#include <bpf/usdt.bpf.h>

SEC("usdt")
int BPF_USDT(begin_collection, int generation)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);

	if (thread)
		collection_begin(thread, process_find(task), generation, OWN_THREAD);
	return 0;
}

SEC("usdt")
int BPF_USDT(end_collection)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);

	if (thread)
		collection_end(thread, task->tgid);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
