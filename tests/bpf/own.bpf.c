// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the test programs that look at the thread that runs them, as the programs on the scheduler
 * and on the CPU's clock do: its Python frames, its descriptors, a system call it could be in.
 */
#include "mechanisms.bpf.h"
#include "waker.bpf.h"

__u32 descriptor = 0;
struct descriptor_result descriptor_result = {};

SEC("raw_tp")
int identify(void *context)
{
	__u64 both = bpf_get_current_pid_tgid();

	subject_pid = both >> 32;
	subject_tid = both;
	return 0;
}

SEC("raw_tp")
int walk_own(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_made(task);
	struct sampling sampling;

	if (!thread || sample_begin(&sampling, SCRATCH_CPU, task))
		return 1;
	sample_add_stack(&sampling, thread, task, OWN_THREAD);
	sample_end(&sampling);
	return 0;
}

/* A tick at made_call.now that finds the thread at work. */
SEC("raw_tp")
int tick_own(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_made(task);
	struct sampling sampling;

	if (!thread || sample_begin(&sampling, SCRATCH_CPU, task))
		return 1;
	sampling.sample->time_ns = made_call.now;
	sample_add_stack(&sampling, thread, task, OWN_THREAD);
	gil_tick_note(thread, task, OWN_THREAD, sampling.sample);
	sample_end(&sampling);
	return 0;
}

/* The end at made_call.now of the wait that classify_own was told of: a sample that says why. */
SEC("raw_tp")
int wait_end_own(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_made(task);
	struct sampling sampling;

	if (!thread || sample_begin(&sampling, SCRATCH_OFFCPU, task))
		return 1;
	sampling.sample->state = call_result.state;
	thread->capture.length_ns = made_call.now - thread->gil_began_ns;
	sample_add_stack(&sampling, thread, task, OWN_THREAD);
	sample_add_others(&sampling, thread, task, OWN_THREAD);
	sample_end(&sampling);
	return 0;
}

/* The thread, as if in made_call, wakes itself after `made_call.now` ns in call_result.state. */
SEC("raw_tp")
int wake_own(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct syscall call = {.number = made_call.number};
	struct thread *thread = thread_made(task);

	if (!thread)
		return 1;
	__builtin_memcpy(call.arguments, made_call.arguments, sizeof(call.arguments));
	thread->mode = THREAD_BLOCKED;
	thread->state = call_result.state;
	thread->descriptor = call_result.descriptor;
	thread->since_ns = 0;
	__builtin_memset(&thread->strata, 0, sizeof(thread->strata));
	__builtin_memset(&thread->waker, 0xff, sizeof(thread->waker));
	waker_note(thread, task, &call, made_call.now);
	waker_result = thread->waker;
	thread->mode = THREAD_RUNNING;
	return 0;
}

/* The registers with which the thread has come into the kernel to run this program. */
SEC("raw_tp")
int show_registers(void *context)
{
	registers_show(bpf_get_current_task_btf());
	return 0;
}

/* As if a program that takes a sample had been interrupted, and as if it had ended. */
SEC("raw_tp")
int scratch_hold(void *context)
{
	struct sample_record *sample;
	struct scratch *scratch;

	return scratch_acquire(SCRATCH_CPU, &scratch, &sample) ? 1 : 0;
}

SEC("raw_tp")
int scratch_give(void *context)
{
	__u32 slot = SCRATCH_CPU;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &slot);

	if (scratch)
		scratch_release(scratch);
	return 0;
}

/* Forgets what is remembered of the thread, as if it had just begun. */
SEC("raw_tp")
int thread_forget(void *context)
{
	bpf_task_storage_delete(&threads, bpf_get_current_task_btf());
	return 0;
}

SEC("raw_tp")
int classify_own(void *context)
{
	struct thread *thread = thread_made(bpf_get_current_task_btf());

	if (!thread)
		return 1;
	call_classify(thread, OWN_THREAD, POLL_SWITCH);
	return 0;
}

/* The end of a wait for the GIL, for the next one to be its continuation or not. */
SEC("raw_tp")
int gil_wait_end(void *context)
{
	struct thread *thread = thread_made(bpf_get_current_task_btf());

	if (!thread)
		return 1;
	thread->since_ns = 0;
	thread->continued = 0;
	ledger_wait_end(thread, STATE_GIL, made_call.now);
	thread->gil_ended_ns = made_call.now;
	return 0;
}

/* Of the system call that the thread really is in: the one that runs this program. */
SEC("raw_tp")
int classify_real(void *context)
{
	struct thread *thread = thread_made(bpf_get_current_task_btf());

	if (!thread)
		return 1;
	thread->task_state = made_call.task_state;
	thread->in_io_wait = made_call.in_io_wait;
	wait_classify(thread, OWN_THREAD, made_call.now, POLL_SWITCH);
	call_result.descriptor = thread->descriptor;
	call_result.state = thread->state;
	call_result.syscall = thread->syscall;
	return 0;
}

SEC("raw_tp")
int describe(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct descriptor_table table = descriptor_table_read(task);

	descriptor_result.kind = descriptor_kind(table.files, table.owner, descriptor);
	__builtin_memset(&descriptor_result.target, 0, sizeof(descriptor_result.target));
	target_read(task, descriptor, &descriptor_result.target);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
