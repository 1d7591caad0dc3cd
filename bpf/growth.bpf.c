// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the growth of resident memory: anonymous memory that the kernel gives to a recorded thread,
 * where it is touched for the first time in user mode or within a system call, or asked for at once
 * (MAP_POPULATE). Only with --memory.
 *
 * One event, which tells by its flags what the memory is for: a page fault costs a microsecond or
 * two, so that each more would be a percent or two of a program that does nothing but grow. Not
 * charged are page cache, page tables, copies of a page that was resident before (after a fork),
 * and shared memory, which is page cache to the kernel.
 */
#include "sample.bpf.h"

/* include/linux/gfp_types.h, before Linux 5.19 gfp.h */
#define PAGE_MOVABLE      0x8 /* memory of users, and page cache */
#define PAGE_ZERO         0x100
#define PAGE_NO_EMERGENCY 0x80000 /* __GFP_NOMEMALLOC */

#define ORDER_MAX         20
#define STRATUM_MAX       (2 << 20)
#define STRATUM_MIN_NS    800000 /* about the least time between two samples of a thread */

/*
 * New anonymous memory is given as pages that are zero (mm/memory.c, alloc_anon_folio), page cache
 * and copies are overwritten at once. Larger pages are zeroed later, but tried for in a way that
 * page cache is not (vma_thp_gfp_mask(): GFP_TRANSHUGE_LIGHT). The shared page of zeros of that
 * size is not movable.
 */
static __always_inline bool page_is_own(__u32 order, __u32 flags)
{
	__u32 wanted = PAGE_MOVABLE | (order ? PAGE_NO_EMERGENCY : PAGE_ZERO);

	return (flags & wanted) == wanted;
}

/* Begins a stratum: longer ones where memory grows fast, so that samples stay few. */
static __always_inline void stratum_begin(struct growth *growth)
{
	__u64 now = bpf_ktime_get_ns(), ns = now - growth->stratum_ns;

	if (!growth->stratum)
		growth->stratum = GROWTH_STRATUM;
	else if (ns < STRATUM_MIN_NS && growth->stratum < STRATUM_MAX)
		growth->stratum *= 2;
	else if (ns > 4 * STRATUM_MIN_NS && growth->stratum > GROWTH_STRATUM)
		growth->stratum /= 2;
	growth->stratum_ns = now;
	growth->point = 1 + bpf_get_prandom_u32() % growth->stratum;
}

/*
 * How many bytes a sample of the growth stands for; 0: none is taken. Each stratum has one point,
 * anywhere in it, and the growth that reaches it stands for the stratum. Growth of a whole stratum
 * at once stands for itself.
 */
static __always_inline __u64 growth_count(struct growth *growth, __u64 bytes)
{
	__u32 position = growth->position, after = position + bytes;
	__u64 count = 0;

	if (!growth->stratum)
		stratum_begin(growth);
	if (bytes >= growth->stratum)
		return bytes;
	if (position < growth->point && after >= growth->point)
		count = growth->stratum;
	if (after >= growth->stratum) {
		after -= growth->stratum;
		stratum_begin(growth);
		if (after >= growth->point)
			count += growth->stratum;
	}
	growth->position = after;
	return count;
}

static __always_inline void growth_charge(struct thread *thread, struct task_struct *task,
					  __u64 bytes)
{
	struct sampling sampling;

	bytes = growth_count(&thread->growth, bytes);
	if (!bytes || sample_begin(&sampling, SCRATCH_EVENT, task))
		return;
	sampling.sample->state = STATE_RUNNING;
	sampling.sample->grown_bytes = bytes;
	sample_add_python(&sampling, thread, task, OWN_THREAD);
	sample_end(&sampling);
}

SEC("tp_btf/mm_page_alloc")
int BPF_PROG(grow_memory, struct page *page, unsigned int order, unsigned int flags)
{
	struct task_struct *task;
	struct thread *thread;

	if (!page_is_own(order, flags) || !page || order > ORDER_MAX)
		return 0;
	task = bpf_get_current_task_btf();
	thread = thread_find(task);
	if (thread)
		growth_charge(thread, task, (__u64)PAGE_BYTES << order);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
