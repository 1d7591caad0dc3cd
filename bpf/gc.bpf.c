// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns garbage collections, by the probes that CPython has where it was built with them
 * (Include/pydtrace.d), or by probes on the function that collects: which thread collects which
 * generation, and how long it takes. Where there are neither they are told from a flag of the
 * interpreter at each sample, see python.bpf.h.
 */
#include "collection.bpf.h"
#include "thread.bpf.h"

#include <bpf/bpf_tracing.h>
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

SEC("uprobe")
int enter_collector(struct pt_regs *registers)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	struct process_config *process;

	if (!thread)
		return 0;
	process = process_find(task);
	if (process && process->layout.version)
		collector_enter(thread, process, PT_REGS_PARM1(registers), PT_REGS_PARM2(registers),
				PT_REGS_SP(registers), OWN_THREAD);
	return 0;
}

SEC("uretprobe")
int leave_collector(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);

	if (thread)
		collector_leave(thread, task->tgid, OWN_THREAD);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
