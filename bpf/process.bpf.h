/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Owns finding a thread's process among the recorded ones, and telling user space of what befalls it. */
#ifndef PYEBPF_PROCESS_BPF_H
#define PYEBPF_PROCESS_BPF_H

#include "emit.bpf.h"

static __always_inline struct process_config *process_find(struct task_struct *task)
{
	__u32 pid = task->tgid;

	return bpf_map_lookup_elem(&processes, &pid);
}

/*
 * `kind`: RECORD_EXEC, RECORD_EXIT or RECORD_MAPPINGS. Returns 0, or -1: the ring is full, which is
 * counted.
 */
static __always_inline int process_send(struct task_struct *task, __u32 kind, __u32 index)
{
	struct process_record record = {
		.head = {
			.kind = kind, .size = sizeof(record), .pid = task->tgid, .process = index}};

	return emit_urgent(&record, sizeof(record), LOSS_THREAD_RECORD);
}

#endif
