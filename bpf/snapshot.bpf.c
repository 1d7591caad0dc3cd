// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the moments at which all threads are looked at from outside: the start of a recording, when
 * their storage is made; its end, when their ledgers are closed and the stacks of those that are
 * still blocked are taken; and in between, for those who watch, what these would be now.
 */
#define READ_OTHER_TASK

#include "enroll.bpf.h"
#include "sample.bpf.h"

SEC("iter/task")
int enroll_threads(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	__u32 mode = THREAD_BLOCKED;

	if (!task || task->flags & TASK_EXITING || !process_find(task) || thread_find(task))
		return 0;
	if (task->on_cpu)
		mode = THREAD_RUNNING;
	else if (task_state_read(task) == TASK_RUNNING_STATE)
		mode = THREAD_RUNNABLE;
	thread_enroll(task, bpf_ktime_get_ns(), mode);
	return 0;
}

/* Differs once a thread has run and left its CPU again. */
static __always_inline __u64 task_switches(struct task_struct *task)
{
	return task->nvcsw + task->nivcsw;
}

/*
 * Takes the stack of a thread that has been away until now; nobody changed it if it still is.
 * Returns 0, or -1: it was not sent.
 */
static __always_inline int thread_capture(struct thread *thread, struct task_struct *task,
					  __u64 switches, __u32 flags)
{
	struct sampling sampling;
	struct sample_record *sample;
	int error = 0;

	if (sample_begin(&sampling, SCRATCH_SNAPSHOT, task))
		return -1;
	sample = sampling.sample;
	sample->flags = flags;
	sample_add_wait(sample, thread, task, POLL_SNAPSHOT);
	sample_add_stack(&sampling, thread, task, task);
	sample_add_kernel(sample, bpf_get_task_stack(task, sample_kernel_room(sample),
						     KERNEL_FRAMES_BYTES, 0));
	sample_add_others(&sampling, thread, task, task);
	if (task->on_cpu || task_switches(task) != switches) {
		if (!(flags & SAMPLE_LOOK)) /* else the wait has ended, and is sampled as such */
			loss_count(LOSS_WAIT_STACK);
		sample->python_count = 0;
		sample->kernel_count = 0;
		sample->native_count = 0;
		sample->flags |= SAMPLE_UNREAD;
		error = -1;
	}
	return sample_end(&sampling) ? -1 : error;
}

/*
 * Ends the events' work on a thread: once it is closed none of them touches it. Returns the mode
 * that it had, once no event is in the middle of changing it.
 */
static __always_inline __u32 thread_seal(struct thread *thread)
{
	__u32 mode = THREAD_CLOSED;
	__u32 attempt, sequence;

	for (attempt = 0; attempt < 8; attempt++) {
		sequence = *(volatile __u32 *)&thread->sequence;
		mode = *(volatile __u32 *)&thread->mode;
		*(volatile __u32 *)&thread->mode = THREAD_CLOSED;
		if (!(sequence & 1) && *(volatile __u32 *)&thread->sequence == sequence)
			break;
		if (mode != THREAD_CLOSED)
			*(volatile __u32 *)&thread->mode = mode;
	}
	return mode;
}

/* Closes the open interval, and captures it if it is chosen. */
static __always_inline void thread_close(struct thread *thread, struct task_struct *task, __u64 now)
{
	__u64 switches = task_switches(task);
	__u32 mode = thread_seal(thread);

	if (mode == THREAD_RUNNING) {
		ledger_run_stop(thread, executed_read(task), now);
		return;
	}
	if (mode == THREAD_BLOCKED && thread->state == STATE_UNKNOWN)
		wait_classify(thread, task, now, POLL_SNAPSHOT);
	ledger_away_end(thread, mode == THREAD_BLOCKED, now);
	if (thread->capture.ns || thread->capture.runqueue_ns)
		thread_capture(thread, task, switches, 0);
}

SEC("iter.s/task")
int close_threads(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct process_config *process;
	struct thread_record *record = thread_record_find(THREAD_RECORD_SNAPSHOT);
	struct thread *thread;

	if (!task || !record)
		return 0;
	thread = bpf_task_storage_get(&threads, task, 0, 0);
	process = process_find(task);
	if (!thread || !process || thread->mode == THREAD_CLOSED || thread->mode == THREAD_NEW)
		return 0;
	thread_close(thread, task, bpf_ktime_get_ns());
	thread_record_fill(record, thread, task, process);
	bpf_seq_write(context->meta->seq, record, sizeof(*record));
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread);
} thread_copies SEC(".maps");

/* Copies a thread's storage. Returns NULL where an event is changing it. */
static __always_inline struct thread *thread_copy(struct thread *thread)
{
	__u32 slot = 0, sequence = *(volatile __u32 *)&thread->sequence;
	struct thread *copy = bpf_map_lookup_elem(&thread_copies, &slot);

	if (!copy || sequence & 1)
		return NULL;
	__builtin_memcpy(copy, thread, sizeof(*copy));
	return *(volatile __u32 *)&thread->sequence == sequence ? copy : NULL;
}

/*
 * The scheduler's clock when a thread last left its CPU, or for one that runs, as of the last tick:
 * when it was given the CPU, and what it has executed since. 0: not known.
 */
static __always_inline __u64 task_left(struct task_struct *task)
{
	struct sched_info *info = &task->sched_info;

	if (!bpf_core_field_exists(info->last_arrival) || !info->last_arrival)
		return 0;
	return info->last_arrival + task->se.sum_exec_runtime - task->se.prev_sum_exec_runtime;
}

/*
 * How long a thread has been away that was so before it became known, by the clock of the
 * scheduler, compared with that of the thread which runs here. Exact to a tick or two, and what a
 * hypervisor took from the two while they ran. se.exec_start is not that: its clock leaves out
 * what was ever taken from each CPU, and so goes apart between CPUs by seconds.
 */
static __always_inline __u64 away_length(struct task_struct *task)
{
	__u64 here = task_left(bpf_get_current_task_btf()), there = task_left(task);

	return there && here > there ? here - there : 0;
}

/* Has the whole of the open interval captured, as it would be if it ended now. */
static __always_inline void copy_close(struct thread *copy, struct task_struct *task, __u64 now)
{
	__u64 since = now - copy->since_ns, length = since, away;

	if (copy->mode == THREAD_BLOCKED && copy->state == STATE_UNKNOWN) {
		wait_classify(copy, task, now, POLL_SNAPSHOT);
		away = away_length(task);
		length = away > since ? away : since;
	}
	ledger_away_end(copy, copy->mode == THREAD_BLOCKED, now);
	__builtin_memset(&copy->capture, 0, sizeof(copy->capture));
	if (copy->mode == THREAD_BLOCKED) {
		copy->capture.ns = since;
		copy->capture.length_ns = length;
	} else {
		copy->capture.runqueue_ns = since;
		copy->capture.runqueue_length_ns = since;
	}
}

__u64 looks_kept_from_ns __weak = 0; /* see session_keep_looks(); 0: none is kept */

/* Whether user space still has the stack with which the thread waits, from a look before. */
static __always_inline bool look_is_kept(const struct thread *thread)
{
	return thread->mode == THREAD_BLOCKED && thread->looked_ns > thread->since_ns &&
	       looks_kept_from_ns && thread->looked_ns >= looks_kept_from_ns;
}

/*
 * Writes each thread's ledger as it is now, without changing it, and sends a sample (SAMPLE_LOOK)
 * of each that is away, with the whole time since it left its CPU.
 */
SEC("iter.s/task")
int look_at_threads(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct thread_record *record = thread_record_find(THREAD_RECORD_SNAPSHOT);
	struct process_config *process;
	struct thread *thread, *copy;
	__u64 switches, now;
	bool kept;

	if (!task || !record)
		return 0;
	thread = bpf_task_storage_get(&threads, task, 0, 0);
	process = process_find(task);
	if (!thread || !process || thread->mode == THREAD_CLOSED || thread->mode == THREAD_NEW)
		return 0;
	switches = task_switches(task);
	now = bpf_ktime_get_ns();
	copy = thread_copy(thread);
	if (!copy)
		return 0;
	kept = look_is_kept(copy);
	if (copy->mode == THREAD_RUNNING) {
		ledger_run_stop(copy, executed_read(task), now);
	} else {
		copy_close(copy, task, now);
		if (!kept && !thread_capture(copy, task, switches, SAMPLE_LOOK))
			thread->looked_ns = now;
	}
	thread_record_fill(record, copy, task, process);
	record->still_away = kept;
	bpf_seq_write(context->meta->seq, record, sizeof(*record));
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
