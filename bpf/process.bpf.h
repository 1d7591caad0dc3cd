/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns finding a thread's process among the known ones, and telling user space of what befalls it.
 * Leaves to follow.bpf.h how processes become known by themselves.
 */
#ifndef PYEBPF_PROCESS_BPF_H
#define PYEBPF_PROCESS_BPF_H

#include "emit.bpf.h"

enum process_record_slot { PROCESS_RECORD_EVENT, PROCESS_RECORD_SAMPLE, PROCESS_RECORD_SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROCESS_RECORD_SLOTS);
	__type(key, __u32);
	__type(value, struct process_record);
} process_records __weak SEC(".maps");

/* Whether it is recorded or only followed. */
static __always_inline struct process_config *process_find_known(struct task_struct *task)
{
	__u32 pid = task->tgid;

	return bpf_map_lookup_elem(&processes, &pid);
}

/* NULL: it is not recorded. */
static __always_inline struct process_config *process_find(struct task_struct *task)
{
	struct process_config *process = process_find_known(task);

	return process && !(process->flags & PROCESS_PASSED_OVER) ? process : NULL;
}

/* A record without arguments, to be filled further. NULL cannot be. */
static __always_inline struct process_record *
process_record_begin(__u32 slot, __u32 kind, struct task_struct *task, __u32 index)
{
	struct process_record *record = bpf_map_lookup_elem(&process_records, &slot);

	if (!record)
		return NULL;
	__builtin_memset(record, 0, offsetof(struct process_record, arguments));
	record->head.kind = kind;
	record->head.size = sizeof(*record);
	record->head.pid = task->tgid;
	record->head.process = index;
	return record;
}

/*
 * `kind`: RECORD_EXIT or RECORD_MAPPINGS. Returns 0, or -1: the ring is full, which is counted.
 */
static __always_inline int process_send(struct task_struct *task, __u32 slot, __u32 kind,
					__u32 index)
{
	struct process_record *record = process_record_begin(slot, kind, task, index);

	if (!record)
		return -1;
	record->head.size = offsetof(struct process_record, arguments);
	return emit_urgent(record, offsetof(struct process_record, arguments), LOSS_THREAD_RECORD);
}

#endif
