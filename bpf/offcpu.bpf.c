// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the scheduler's events: a thread leaves its CPU, is woken, gets one again, and comes back
 * to where it waited. The first three keep the ledger; in the last the thread can be looked at in
 * its own context, and the waits that were chosen get their stack there.
 */

#include "ledger.bpf.h"
#include "ran.bpf.h"
#include "sample.bpf.h"
#include "waker.bpf.h"

static __always_inline void thread_leave(struct thread *thread, struct task_struct *task,
					 bool preempted, __u64 now)
{
	__u32 state = task_state_read(task);
	bool blocks = !preempted && state != TASK_RUNNING_STATE;

	ledger_switch_out(thread, executed_read(task), blocks, now);
	if (!blocks)
		return;
	thread->task_state = state;
	thread->in_io_wait = BPF_CORE_READ_BITFIELD_PROBED(task, in_iowait);
	wait_classify(thread, OWN_THREAD, now, POLL_SWITCH);
}

static __always_inline void thread_come(struct thread *thread, struct task_struct *task,
					struct task_struct *previous, __u64 now)
{
	ledger_switch_in(thread, executed_read(task), now);
	if (thread->capture.runqueue_ns)
		ran_note(thread, previous, now);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switch_threads, bool preempted, struct task_struct *previous, struct task_struct *next)
{
	struct thread *leaves = thread_find(previous);
	struct thread *comes = thread_find(next);
	__u64 now;

	if (!leaves && !comes)
		return 0;
	now = bpf_ktime_get_ns();
	if (leaves)
		thread_leave(leaves, previous, preempted, now);
	if (comes)
		thread_come(comes, next, previous, now);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(wake_thread, struct task_struct *task)
{
	struct thread *thread = thread_find(task);

	if (thread)
		ledger_wake(thread, bpf_ktime_get_ns());
	return 0;
}

/* Always in the waker's context; sched_wakeup may be on the CPU that the thread is to run on. */
SEC("tp_btf/sched_waking")
int BPF_PROG(note_waker, struct task_struct *task)
{
	struct thread *thread = thread_find(task);
	struct syscall call;

	if (!thread || (thread->state != STATE_LOCK && thread->state != STATE_PIPE))
		return 0;
	syscall_read(bpf_get_current_task_btf(), &call);
	waker_note(thread, task, &call, bpf_ktime_get_ns());
	return 0;
}

static __always_inline void thread_return(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	struct sampling sampling;
	__u64 unknown;

	if (!thread)
		return;
	if (thread->mode != THREAD_RUNNING) /* see ledger_switch_in_late(): here it is in time */
		ledger_switch_in(thread, executed_read(task), bpf_ktime_get_ns());
	unknown = thread->unknown_ns;
	if (!thread->capture.ns && !thread->capture.runqueue_ns && !unknown)
		return;
	if (unknown) {
		wait_classify(thread, OWN_THREAD, bpf_ktime_get_ns(), POLL_RETURN);
		thread->unknown_ns = 0;
		ledger_wait_end(thread, thread->state, unknown);
	}
	if (process_find(task) && !sample_begin(&sampling, SCRATCH_OFFCPU, task)) {
		sample_add_wait(sampling.sample, thread, OWN_THREAD, POLL_RETURN);
		sample_add_stack(&sampling, thread, task, OWN_THREAD);
		sample_add_kernel(sampling.sample,
				  bpf_get_stack(context, sample_kernel_room(sampling.sample),
						KERNEL_FRAMES_BYTES, 0));
		sample_add_others(&sampling, thread, task, OWN_THREAD);
		sample_end(&sampling);
	}
	__builtin_memset(&thread->capture, 0, sizeof(thread->capture));
}

/*
 * The hooks of the way back, best first: user/capture/session.c loads the first that works. A
 * kretprobe on schedule() is not among them: each thread that sleeps there holds one of its few
 * instances (ten, or two a CPU: kernel/kprobes.c), and the returns of all others are passed over.
 */

SEC("tp_btf/sched_exit_tp")
int BPF_PROG(return_sched_exit, bool switched)
{
	if (switched)
		thread_return(ctx);
	return 0;
}

SEC("fexit/schedule")
int BPF_PROG(return_schedule)
{
	thread_return(ctx);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(return_syscall)
{
	thread_return(ctx);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
