// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns walking the native stacks of threads that are stopped, with what the product walks with, and
 * handing each to the one who reads the iterator, with the reason if it was cut.
 */
#define READ_OTHER_TASK

#include "native.bpf.h"
#include "walked.h"

__u32 subject_pid = 0; /* as the root namespace has it */
__u32 subject_tid = 0; /* 0: all threads of the process */

static __always_inline __u64 *loss_find(__u32 reason)
{
	return bpf_map_lookup_elem(&losses, &reason);
}

static __always_inline void losses_forget(void)
{
	__u32 reason;

	for (reason = 0; reason < LOSS_COUNT; reason++) {
		__u64 *count = loss_find(reason);

		if (count)
			*count = 0;
	}
}

/* The first of the reasons that was counted. */
static __always_inline __u32 loss_counted(void)
{
	__u32 reason;

	for (reason = 0; reason < LOSS_COUNT; reason++) {
		const __u64 *count = loss_find(reason);

		if (count && *count)
			return reason;
	}
	return LOSS_COUNT;
}

static __always_inline void walked_write(struct seq_file *file, struct task_struct *task,
					 struct sample_record *sample)
{
	struct walked_head head = {.tid = task->pid, .flags = sample->flags};
	struct syscall call;

	syscall_read(task, &call);
	head.syscall = call.number;
	head.loss = loss_counted();
	head.count = sample->native_count;
	bpf_seq_write(file, &head, sizeof(head));
	bpf_seq_write(file, sample->frames,
		      bounded(head.count * sizeof(__u64), NATIVE_FRAMES_MAX * sizeof(__u64)));
}

SEC("iter.s/task")
int walk_stopped(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct process_config *process;
	struct sample_record *sample;
	struct scratch *scratch;

	if (!task || (__u32)task->tgid != subject_pid)
		return 0;
	if (subject_tid && (__u32)task->pid != subject_tid)
		return 0;
	process = process_find(task);
	if (!process || scratch_acquire(SCRATCH_SNAPSHOT, &scratch, &sample))
		return 0;
	losses_forget();
	__builtin_memset(sample, 0, offsetof(struct sample_record, frames));
	scratch->joint_count = 0;
	native_walk(task, process, scratch, sample);
	walked_write(context->meta->seq, task, sample);
	scratch_release(scratch);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
