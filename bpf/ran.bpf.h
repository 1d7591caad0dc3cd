/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what had the CPU while a thread was in the run queue: any of the tasks that a tick of the
 * CPU's clock found there meanwhile, else the last one. The last one alone is often one that
 * seldom runs, and for a few microseconds: the scheduler then goes on with who waits longest.
 */
#ifndef PYEBPF_RAN_BPF_H
#define PYEBPF_RAN_BPF_H

#include "kernel.h"
#include "thread.bpf.h"

#define CPU_TICKS 8

struct cpu_tick {
	__u64 time_ns;
	char comm[COMM_SIZE];
};

struct cpu_ticks {
	__u64 next; /* index of the oldest, modulo CPU_TICKS */
	struct cpu_tick ticks[CPU_TICKS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_ticks);
} cpu_ticks __weak SEC(".maps");

static __always_inline struct cpu_ticks *cpu_ticks_find(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&cpu_ticks, &only);
}

/* At a tick of this CPU, which `task` has: whoever it is. */
static __always_inline void cpu_tick_note(struct task_struct *task)
{
	struct cpu_ticks *ticks = cpu_ticks_find();
	struct cpu_tick *tick;

	if (!ticks)
		return;
	tick = &ticks->ticks[ticks->next++ & (CPU_TICKS - 1)];
	tick->time_ns = bpf_ktime_get_ns();
	BPF_CORE_READ_STR_INTO(&tick->comm, task, comm);
}

/*
 * The thread gets this CPU, which `previous` has had until now. Fills thread->ran; empty: the CPU
 * was idle.
 */
static __always_inline void ran_note(struct thread *thread, struct task_struct *previous, __u64 now)
{
	__u64 length = thread->capture.runqueue_length_ns;
	struct cpu_ticks *ticks = cpu_ticks_find();
	__u32 at, found = 0;

	__builtin_memset(thread->ran, 0, sizeof(thread->ran));
	for (at = 0; ticks && at < CPU_TICKS; at++) {
		const struct cpu_tick *tick = &ticks->ticks[at];

		if (now - tick->time_ns < length && bpf_get_prandom_u32() % ++found == 0)
			__builtin_memcpy(thread->ran, tick->comm, sizeof(thread->ran));
	}
	if (!found && previous->pid)
		BPF_CORE_READ_STR_INTO(&thread->ran, previous, comm);
}

#endif
