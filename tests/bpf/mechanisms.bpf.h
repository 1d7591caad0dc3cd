/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Owns the variables through which tests talk to the programs of several files. */
#ifndef PYEBPF_MECHANISMS_BPF_H
#define PYEBPF_MECHANISMS_BPF_H

#include "enroll.bpf.h"
#include "mechanisms.h"
#include "sample.bpf.h"

__u32 subject_pid __weak = 0; /* set by identify(), as the kernel's root namespace has them */
__u32 subject_tid __weak = 0;
struct made_call made_call __weak = {};
struct call_result call_result __weak = {};

/* The thread's storage, made where it has none. */
static __always_inline struct thread *thread_made(struct task_struct *task)
{
	struct thread *thread =
		bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (thread)
		thread->mode = THREAD_RUNNING;
	return thread;
}

static __always_inline void call_classify(struct thread *thread, subject_t subject, __u32 slot)
{
	struct syscall call = {.number = made_call.number};
	__s32 descriptor = -1;

	__builtin_memcpy(call.arguments, made_call.arguments, sizeof(call.arguments));
	thread->in_io_wait = made_call.in_io_wait;
	thread->continued = 0;
	call_result.state = wait_syscall(thread, subject, &call, made_call.now, slot, &descriptor);
	call_result.descriptor = descriptor;
	call_result.continued = thread->continued;
	call_result.gil_deadline_ns = thread->gil_deadline_ns;
}

#endif
