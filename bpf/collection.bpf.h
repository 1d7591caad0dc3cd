/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns a garbage collection from its beginning to its end, and the counts of each process'. Only
 * those are counted that begin and end inside the recording; samples tell of the others too, if
 * they began in it.
 */
#ifndef PYEBPF_COLLECTION_BPF_H
#define PYEBPF_COLLECTION_BPF_H

#include "config.bpf.h"
#include "process.bpf.h"
#include "python.bpf.h"
#include "record.h"

/* User space makes an entry for each process that has probes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* process, as in `processes` */
	__type(value, struct collections);
} collections __weak SEC(".maps");

/* Its threads collect one at a time for each interpreter: only several interpreters can race. */
static __always_inline void collection_count(__u32 pid, __u32 generation, __u64 ns)
{
	struct collections *counts = bpf_map_lookup_elem(&collections, &pid);

	if (!counts || generation >= GENERATIONS)
		return;
	__sync_fetch_and_add(&counts->count[generation], 1);
	__sync_fetch_and_add(&counts->ns, ns);
	if (ns > counts->longest_ns)
		counts->longest_ns = ns;
}

/*
 * The thread begins to collect. In a finalizer it may run another interpreter's code and collect
 * for that one: such a collection is counted, in the time of the one around it.
 */
static __always_inline void collection_begin(struct thread *thread,
					     const struct process_config *process, int generation,
					     subject_t subject)
{
	if (generation < 0 || generation >= GENERATIONS)
		return;
	if (thread->gc) {
		thread->gc_nested = generation + 1;
		return;
	}
	thread->gc = generation + 1;
	thread->gc_frame = process ? python_frame_find(thread, process, subject) : 0;
	thread->gc_start_ns = bpf_ktime_get_ns();
}

static __always_inline void collection_end(struct thread *thread, __u32 pid)
{
	if (thread->gc_nested) {
		collection_count(pid, thread->gc_nested - 1, 0);
		thread->gc_nested = 0;
	} else if (thread->gc) {
		collection_count(pid, thread->gc - 1, bpf_ktime_get_ns() - thread->gc_start_ns);
		thread->gc = 0;
	}
}

#endif
