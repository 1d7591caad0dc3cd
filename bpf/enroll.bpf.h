/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Owns the first and the last word on a thread: making its storage, handing over its ledger. */
#ifndef PYEBPF_ENROLL_BPF_H
#define PYEBPF_ENROLL_BPF_H

#include "ledger.bpf.h"
#include "python.bpf.h"

/* The same thread, of another program: its ledger begins anew, and nothing is known of Python. */
static __always_inline void thread_restart(struct thread *thread, struct task_struct *task,
					   __u64 now)
{
	thread->start_ns = now;
	thread->since_ns = now;
	thread->executed_ns = executed_read(task);
	thread->queued_ns = 0;
	thread->blocked_ns = 0;
	thread->ahead_ns = 0;
	thread->python_thread = 0;
	thread->gil = 0;
	thread->searched_ns = 0;
	__builtin_memset(thread->totals, 0, sizeof(thread->totals));
	__builtin_memset(thread->messages, 0, sizeof(thread->messages));
	__builtin_memset(&thread->capture, 0, sizeof(thread->capture));
}

static __always_inline void thread_enroll(struct task_struct *task, __u64 now, __u32 mode)
{
	struct thread *thread =
		bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!thread) {
		loss_count(LOSS_THREAD_STORAGE);
		return;
	}
	thread_restart(thread, task, now); /* it may be known from a program before */
	thread->state = STATE_UNKNOWN;
	thread->syscall = -1;
	thread->descriptor = -1;
	thread->task_state = task_state_read(task);
	thread->in_io_wait = BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait);
	barrier(); /* an event on another CPU may use the storage from here on */
	thread->mode = mode;
}

enum thread_record_slot { THREAD_RECORD_END, THREAD_RECORD_SNAPSHOT, THREAD_RECORD_SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, THREAD_RECORD_SLOTS);
	__type(key, __u32);
	__type(value, struct thread_record);
} thread_records __weak SEC(".maps");

static __always_inline struct thread_record *thread_record_find(__u32 slot)
{
	return bpf_map_lookup_elem(&thread_records, &slot);
}

static __always_inline void thread_record_fill(struct thread_record *record,
					       const struct thread *thread,
					       struct task_struct *task,
					       const struct process_config *process)
{
	record->head.kind = RECORD_THREAD;
	record->head.size = sizeof(*record);
	record->head.pid = task->tgid;
	record->head.process = process->index;
	record->tid = task->pid;
	record->still_away = 0;
	record->start_ns = thread->start_ns;
	record->end_ns = thread->since_ns;
	BPF_CORE_READ_STR_INTO(&record->comm, task, comm);
	__builtin_memcpy(record->totals, thread->totals, sizeof(record->totals));
	record->messages[MESSAGE_SENT] = thread->messages[MESSAGE_SENT].count;
	record->messages[MESSAGE_RECEIVED] = thread->messages[MESSAGE_RECEIVED].count;
}

#endif
