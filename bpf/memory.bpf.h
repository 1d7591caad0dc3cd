/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns how a recorded process' memory and registers are read. A program that looks at other threads
 * than its own defines READ_OTHER_TASK before it includes anything, must be sleepable, and gives
 * the thread; all others read the memory of the thread they run in.
 */
#ifndef PYEBPF_MEMORY_BPF_H
#define PYEBPF_MEMORY_BPF_H

#include "kernel.h"

/*
 * The thread that is looked at. In a program that looks at its own thread it is no pointer, so
 * that functions can be CHECKED_ONCE: global ones, which the verifier checks for themselves and
 * not again at each call with all that the caller may have come from.
 */
#ifdef READ_OTHER_TASK
typedef struct task_struct *subject_t;
#define CHECKED_ONCE static __noinline

static __always_inline struct task_struct *subject_task(subject_t subject)
{
	return subject;
}
#else
typedef __u64 subject_t;
#define CHECKED_ONCE __weak
#define OWN_THREAD   0

static __always_inline struct task_struct *subject_task(subject_t subject)
{
	return bpf_get_current_task_btf();
}
#endif

/*
 * The length itself, or 0 where it is more than `most`. Where the compiler keeps a length on the
 * stack, comparing one load of it proves nothing of the next load to verifiers before Linux 6.8:
 * to be called right where the length is used, even if it has been compared before.
 */
static __always_inline __u64 bounded(__u64 length, __u64 most)
{
	asm volatile("if %0 <= %1 goto +1; %0 = 0" : "+r"(length) : "ri"(most));
	return length;
}

/* Reads `bytes` at a user address; 0, or not 0 with *to unspecified. */
static __always_inline long user_read(void *to, __u32 bytes, __u64 address, subject_t subject)
{
#ifdef READ_OTHER_TASK
	return bpf_copy_from_user_task(to, bytes, (const void *)address, subject, 0);
#else
	return bpf_probe_read_user(to, bytes, (const void *)address);
#endif
}

static __always_inline __u64 user_read_word(__u64 address, subject_t subject)
{
	__u64 word = 0;

	return user_read(&word, sizeof(word), address, subject) ? 0 : word;
}

/* The system call a thread is in. */
struct syscall {
	__s64 number; /* -1: none: it faulted, was preempted or got a signal in user mode */
	__u64 arguments[4];
};

static __always_inline void syscall_read(struct task_struct *task, struct syscall *call)
{
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);

	call->number = (__s64)registers->orig_ax;
	call->arguments[0] = registers->di;
	call->arguments[1] = registers->si;
	call->arguments[2] = registers->dx;
	call->arguments[3] = registers->r10;
}

/* What pthread_self() is in the thread: glibc and musl keep it in the thread pointer. */
static __always_inline __u64 thread_pointer_read(struct task_struct *task)
{
	return task->thread.fsbase;
}

#endif
