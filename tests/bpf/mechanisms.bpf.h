/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Owns the variables through which tests talk to the programs of several files. */
#ifndef PYEBPF_MECHANISMS_BPF_H
#define PYEBPF_MECHANISMS_BPF_H

#include "mechanisms.h"
#include "registers.bpf.h"

struct made_registers made_registers __weak = {};

/* As the product reads them. */
static __always_inline void registers_show(struct task_struct *task)
{
	struct native_registers native;
	__u32 i;

	native_registers_read(task, &native);
	made_registers.ip = native.ip;
	made_registers.sp = native.sp;
	made_registers.fp = native.fp;
	for (i = 0; i < MADE_REGISTERS; i++)
		made_registers.numbered[i] = register_read(task, i);
}

static __always_inline void made_registers_read(struct task_struct *task,
						struct native_registers *native)
{
	native_registers_read(task, native);
	if (!made_registers.made)
		return;
	native->ip = made_registers.ip;
	native->sp = made_registers.sp;
	native->fp = made_registers.fp;
}

static __always_inline __u64 made_register_read(struct task_struct *task, __u32 number)
{
	__u64 value = register_read(task, number);

	/* Else the compiler makes the two reads one, of one pointer or the other. */
	asm volatile("" : "+r"(value));
	if (made_registers.made && number < MADE_REGISTERS)
		value = made_registers.numbered[number];
	return value;
}

/* From here on the product's walk can be given registers: nothing else of it is another's. */
#define native_registers_read(task, native) made_registers_read(task, native)
#define register_read(task, number)         made_register_read(task, number)

#include "enroll.bpf.h"
#include "sample.bpf.h"

__u32 subject_pid __weak = 0; /* set by identify(), as the kernel's root namespace has them */
__u32 subject_tid __weak = 0;
struct made_call made_call __weak = {};
struct call_result call_result __weak = {};
struct thread_waker waker_result __weak = {};

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
	thread->task_state = made_call.task_state;
	thread->continued = 0;
	call_result.state = wait_syscall(thread, subject, &call, made_call.now, slot, &descriptor);
	call_result.descriptor = descriptor;
	call_result.continued = thread->continued;
	call_result.gil_deadline_ns = thread->gil_deadline_ns;
	call_result.gil_holder = thread->gil_holder;
}

#endif
