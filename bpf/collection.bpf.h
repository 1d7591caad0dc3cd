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

/* struct gc_generation and what follows in struct _gc_runtime_state, 3.8 to 3.13, pycore_gc.h. */
struct generation_state {
	__u64 objects[2];
	__s32 threshold;
	__s32 count;
};

struct generation_statistics {
	__u64 collections;
	__u64 collected;
	__u64 uncollectable;
};

struct collector_state {
	struct generation_state generations[GENERATIONS];
	__u64 youngest;
	struct generation_state permanent;
	struct generation_statistics statistics[GENERATIONS];
	__u64 collecting; /* an int */
	__u64 garbage;
	__u64 callbacks;
	__u64 lived_long;
	__u64 lived_long_pending;
};

/* Which generation is due: what gc_select_generation() of 3.13 does. -1: none. */
static __always_inline int generation_due(const struct collector_state *state)
{
	const struct generation_state *generations = state->generations;

	if (generations[2].count > generations[2].threshold &&
	    state->lived_long_pending >= state->lived_long / 4)
		return 2;
	if (generations[1].count > generations[1].threshold)
		return 1;
	return generations[0].count > generations[0].threshold ? 0 : -1;
}

/* Address of the flag `collecting` of the interpreter that this PyThreadState belongs to. */
static __always_inline __u64 collecting_find(const struct process_config *process, __u64 thread,
					     subject_t subject)
{
	const struct python_layout *layout = &process->layout;

	if (layout->runtime_gc_collecting)
		return process->runtime + layout->runtime_gc_collecting;
	if (!layout->interpreter_gc_collecting || !thread)
		return 0;
	return user_read_word(thread + layout->thread_interpreter, subject) +
	       layout->interpreter_gc_collecting;
}

/*
 * The thread calls the function that collects. From 3.9 on its arguments are the PyThreadState and
 * the generation, which in 3.13 can be -1: the one that is due. Before, the compiler may have left
 * out either. The stack's top is the return address, which a return probe then hides.
 */
static __always_inline void collector_enter(struct thread *thread,
					    const struct process_config *process, __u64 first,
					    int second, __u64 stack, subject_t subject)
{
	bool arguments = process->layout.version >= 0x0309;
	int generation = arguments ? second : -1;
	struct collector_state state;
	__u64 collecting;
	__u32 i;

	/*
	 * A call further down the stack is one inside the other: of another interpreter, or refused
	 * since a collection is under way. Else the return of the one before was not seen.
	 */
	if (thread->gc && stack < thread->gc_return_at) {
		thread->gc_nested++;
		return;
	}
	thread->gc_nested = 0;
	thread->gc_frame = python_frame_find(thread, process, subject);
	collecting = collecting_find(process, arguments ? first : thread->python_thread, subject);
	thread->gc_statistics = 0;
	if (collecting &&
	    !user_read(&state, sizeof(state),
		       collecting - offsetof(struct collector_state, collecting), subject)) {
		thread->gc_statistics = collecting - offsetof(struct collector_state, collecting) +
					offsetof(struct collector_state, statistics);
		for (i = 0; i < GENERATIONS; i++)
			thread->gc_counts[i] = state.statistics[i].collections;
		if (arguments && generation < 0)
			generation = generation_due(&state);
	}
	thread->gc_return_at = stack;
	thread->gc_return = user_read_word(stack, subject);
	thread->gc = generation < 0 || generation >= GENERATIONS ? GC_UNNUMBERED : generation + 1;
	thread->gc_start_ns = bpf_ktime_get_ns();
}

/* The function returns. The interpreter's counters tell what it has collected, if anything. */
static __always_inline void collector_leave(struct thread *thread, __u32 pid, subject_t subject)
{
	struct generation_statistics statistics[GENERATIONS];
	__u64 ns = bpf_ktime_get_ns() - thread->gc_start_ns;
	__u32 i;

	if (thread->gc_nested) {
		thread->gc_nested--;
		return;
	}
	if (!thread->gc)
		return;
	if (!thread->gc_statistics ||
	    user_read(statistics, sizeof(statistics), thread->gc_statistics, subject)) {
		collection_count(pid, thread->gc - 1, ns);
	} else {
		for (i = 0; i < GENERATIONS; i++)
			if (statistics[i].collections == thread->gc_counts[i] + 1) {
				collection_count(pid, i, ns);
				break;
			}
	}
	thread->gc = 0;
	thread->gc_return_at = 0;
}

#endif
