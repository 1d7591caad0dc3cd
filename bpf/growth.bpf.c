// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the growth of resident memory: pages that the kernel gives to a recorded thread which has
 * touched memory for the first time, in user mode or within a system call. Only with --memory. A
 * sample is taken where a point in each so many bytes is hit.
 */
#include "sample.bpf.h"

#define PAGE_MOVABLE_FLAG 0x8 /* __GFP_MOVABLE, include/linux/gfp_types.h: memory of users */

/* The next page that the thread gets is for a fault. One that needs none leaves this behind. */
static __always_inline void fault_begin(void)
{
	struct thread *thread = thread_find(bpf_get_current_task_btf());

	if (thread)
		thread->faults = 1;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(fault_user)
{
	fault_begin();
	return 0;
}

SEC("tp_btf/page_fault_kernel")
int BPF_PROG(fault_kernel)
{
	fault_begin();
	return 0;
}

/* How many bytes a sample of the growth stands for; 0: none is taken. */
static __always_inline __u64 growth_count(struct thread *thread, __u64 bytes)
{
	__u64 before = thread->grown_bytes, after = before + bytes, strata;

	thread->grown_bytes = after;
	/* The point lies at the same offset, drawn once, in each stratum of the thread's growth. */
	if (!thread->growth_point)
		thread->growth_point = 1 + bpf_get_prandom_u32() % GROWTH_STRATUM;
	before += GROWTH_STRATUM - thread->growth_point;
	after += GROWTH_STRATUM - thread->growth_point;
	strata = after / GROWTH_STRATUM - before / GROWTH_STRATUM;
	return strata * GROWTH_STRATUM;
}

SEC("tp_btf/mm_page_alloc")
int BPF_PROG(grow_memory, struct page *page, unsigned int order, unsigned int flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	struct sampling sampling;
	__u64 bytes;

	if (!thread || !thread->faults || !page || order > 20 || !(flags & PAGE_MOVABLE_FLAG))
		return 0;
	thread->faults = 0;
	bytes = growth_count(thread, (__u64)PAGE_BYTES << order);
	if (!bytes || sample_begin(&sampling, SCRATCH_EVENT, task))
		return 0;
	sampling.sample->state = STATE_RUNNING;
	sampling.sample->grown_bytes = bytes;
	sample_add_python(&sampling, thread, task, OWN_THREAD);
	sample_end(&sampling);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
