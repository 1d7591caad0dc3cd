// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the growth of resident memory: memory of its own that a recorded thread makes resident, by
 * touching it for the first time, in user mode or within a system call, or by asking for it at once
 * (MAP_POPULATE). Only with --memory. What grows is what the kernel counts as the process' anonymous
 * or shared memory: no page cache, no page tables, no copy of a page that was resident before.
 *
 * From Linux 6.2 on each change of these counters is an event, but it does not say by how much:
 * one page, unless a larger block has just been allocated. Before that, each thread counts for
 * itself and tells the process now and then; there the allocation within a page fault is what is
 * looked at (see grow_by_allocation). user/capture/session.c chooses.
 */
#include "sample.bpf.h"

/* include/linux/mm_types_task.h */
#define MEMBER_ANONYMOUS 1 /* MM_ANONPAGES */
#define MEMBER_SHARED    3 /* MM_SHMEMPAGES */

/* include/linux/gfp_types.h, before Linux 5.19 gfp.h */
#define PAGE_MOVABLE_FLAG 0x8
#define PAGE_ZERO_FLAG    0x100

#define ORDER_MAX      20
#define ORDER_HUGE     9        /* of a transparent huge page, 2 MiB */
#define STRATUM_MAX    (2 << 20)
#define STRATUM_MIN_NS 800000   /* the most samples a thread pays for: one in so long */

/* arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/mman*.h */
#define SYSCALL_MMAP          9
#define SYSCALL_MADVISE       28
#define SYSCALL_MLOCK         149
#define SYSCALL_MLOCK2        325
#define MAP_POPULATE_FLAG     0x8000
#define MADVISE_POPULATE_WRITE 23

/* System calls that make memory resident without a page fault and do not take any away. */
static __always_inline bool syscall_populates(const struct syscall *call)
{
	switch (call->number) {
	case SYSCALL_MMAP:
		return call->arguments[3] & MAP_POPULATE_FLAG;
	case SYSCALL_MADVISE:
		return call->arguments[2] == MADVISE_POPULATE_WRITE;
	case SYSCALL_MLOCK:
	case SYSCALL_MLOCK2:
		return true;
	}
	return false;
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

/*
 * A system call's page fault, say of read() into new memory. The mark says in which one: if the
 * fault makes nothing resident it is left behind, and must not be taken for one of munmap().
 */
SEC("tp_btf/page_fault_kernel")
int BPF_PROG(fault_kernel)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	struct syscall call;

	if (!thread)
		return 0;
	syscall_read(task, &call);
	thread->growth.fault = call.number + FAULT_IN_SYSCALL;
	thread->growth.order = 0;
	return 0;
}

/* A block of several pages: if what is resident changes next, it is by as many. */
SEC("tp_btf/mm_page_alloc")
int BPF_PROG(grow_block, struct page *page, unsigned int order, unsigned int flags)
{
	struct task_struct *task;
	struct thread *thread;
	struct syscall call;

	if (!order || !(flags & PAGE_MOVABLE_FLAG) || !page || order > ORDER_MAX)
		return 0;
	task = bpf_get_current_task_btf();
	thread = thread_find(task);
	if (!thread)
		return 0;
	syscall_read(task, &call);
	thread->growth.order = order;
	thread->growth.order_syscall = call.number;
	return 0;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(grow_memory, struct mm_struct *memory, int member)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	struct syscall call;
	__u32 order, fault;

	if (!thread || memory != task->mm)
		return 0;
	syscall_read(task, &call);
	order = thread->growth.order;
	if (call.number != thread->growth.order_syscall || order > ORDER_MAX)
		order = 0;
	thread->growth.order = 0;
	if (member != MEMBER_ANONYMOUS && member != MEMBER_SHARED)
		return 0;
	fault = thread->growth.fault;
	thread->growth.fault = 0;
	/* In user mode only a fault comes here; a system call may give memory back, too. */
	if (call.number < 0 || fault == call.number + FAULT_IN_SYSCALL || syscall_populates(&call))
		growth_charge(thread, task, (__u64)PAGE_BYTES << order);
	return 0;
}

/*
 * Before Linux 6.2. Memory of the process' own is zeroed when it is given, page cache and copies
 * are not: but for huge pages, which are zeroed later. Shared memory is not counted there.
 */
SEC("tp_btf/page_fault_user")
int BPF_PROG(fault_user)
{
	struct thread *thread = thread_find(bpf_get_current_task_btf());

	if (thread)
		thread->growth.fault = FAULT_IN_USER;
	return 0;
}

SEC("tp_btf/mm_page_alloc")
int BPF_PROG(grow_by_allocation, struct page *page, unsigned int order, unsigned int flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);

	if (!thread || !thread->growth.fault || !page || !(flags & PAGE_MOVABLE_FLAG))
		return 0;
	if (order ? order != ORDER_HUGE : !(flags & PAGE_ZERO_FLAG))
		return 0;
	thread->growth.fault = 0;
	growth_charge(thread, task, (__u64)PAGE_BYTES << order);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
