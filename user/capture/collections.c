/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns watching garbage collections; see collections.h. */
#include "capture/collections.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define INTERPRETERS_MAX 64

/* struct gc_generation_stats (Include/internal/pycore_gc.h, 3.8: pycore_pymem.h), up to 3.14. */
struct generation_statistics {
	uint64_t collections;
	uint64_t collected;
	uint64_t uncollectable;
};

/* The same from 3.15 on (pycore_interp_structs.h); all but time stamps and size are sums. */
struct timed_statistics {
	int64_t start, stop; /* ns */
	uint64_t collections;
	uint64_t collected;
	uint64_t uncollectable;
	uint64_t candidates;
	double seconds;
	uint64_t heap_size;
};

/*
 * struct gc_stats of 3.15: for each generation the last collections in a ring, and an index of the
 * last one, a byte in a word.
 */
#define RING_YOUNG 11
#define RING_OLD   3

struct young_ring {
	struct timed_statistics items[RING_YOUNG];
	uint8_t last;
};

struct old_ring {
	struct timed_statistics items[RING_OLD];
	uint8_t last;
};

struct rings {
	struct young_ring young;
	struct old_ring old[GC_GENERATIONS - 1];
};

static int ring_add(const struct timed_statistics *items, uint32_t count, uint8_t last,
		    uint64_t *collections, struct collection_counters *counters)
{
	const struct timed_statistics *item;

	if (last >= count)
		return -1;
	item = &items[last];
	if (!(item->seconds >= 0 && item->seconds < 1e9))
		return -1;
	*collections += item->collections;
	counters->seconds += item->seconds;
	return 0;
}

static int rings_read(const struct process *process, uint64_t address,
		      struct collection_counters *counters)
{
	struct rings rings;
	int error = process_read(process, address, &address, sizeof(address)), i;

	if (!error)
		error = process_read(process, address, &rings, sizeof(rings));
	if (!error)
		error = ring_add(rings.young.items, RING_YOUNG, rings.young.last,
				 &counters->collections[0], counters);
	for (i = 0; !error && i < GC_GENERATIONS - 1; i++)
		error = ring_add(rings.old[i].items, RING_OLD, rings.old[i].last,
				 &counters->collections[i + 1], counters);
	return error;
}

/* Up to 3.14 the statistics lie right before the flag `collecting`. */
static int statistics_read(const struct process *process, uint64_t collecting,
			   struct collection_counters *counters)
{
	struct generation_statistics statistics[GC_GENERATIONS];
	int error, i;

	error = process_read(process, collecting - sizeof(statistics), statistics,
			     sizeof(statistics));
	for (i = 0; !error && i < GC_GENERATIONS; i++)
		counters->collections[i] += statistics[i].collections;
	return error;
}

static int interpreter_read(const struct process *process, const struct python_layout *layout,
			    uint64_t interpreter, struct collection_counters *counters)
{
	if (layout->interpreter_gc_statistics)
		return rings_read(process, interpreter + layout->interpreter_gc_statistics,
				  counters);
	return statistics_read(process, interpreter + layout->interpreter_gc_collecting, counters);
}

/* Adds up the counters of all interpreters. Returns 0, or not 0: they cannot be read. */
static int counters_read(const struct process *process, const struct collection_watch *watch,
			 struct collection_counters *counters)
{
	const struct python_layout *layout = &watch->layout;
	uint64_t interpreter;
	int error;

	memset(counters, 0, sizeof(*counters));
	if (layout->runtime_gc_collecting)
		return statistics_read(process, watch->runtime + layout->runtime_gc_collecting,
				       counters);
	error = process_read(process, watch->runtime + layout->runtime_interpreters_head,
			     &counters->newest, sizeof(counters->newest));
	interpreter = counters->newest;
	while (!error && interpreter) {
		if (++counters->interpreters > INTERPRETERS_MAX)
			return -1;
		error = interpreter_read(process, layout, interpreter, counters);
		if (!error)
			error = process_read(process, interpreter + layout->interpreter_next,
					     &interpreter, sizeof(interpreter));
	}
	return error;
}

/*
 * From 6.11 to 6.13 a function with a return probe comes back by a system call, which a seccomp
 * filter that does not know it forbids: the process would die.
 */
static bool kernel_returns_safely(void)
{
	struct utsname name;
	unsigned int major, minor;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major != 6 || minor < 11 || minor > 13;
}

static int collectors_probe(struct session *session, const struct process *process,
			    const struct interpreter *interpreter)
{
	int error = -ENOENT, i;

	if (!kernel_returns_safely())
		return -ENOTSUP;
	for (i = 0; i < COLLECTORS_MAX && interpreter->collectors[i]; i++) {
		error = session_probe_collector(session, process->pid, interpreter->file,
						interpreter->collectors[i]);
		if (error)
			return error;
	}
	return error;
}

void collections_watch(struct session *session, const struct process *process,
		       const struct interpreter *interpreter, struct collection_watch *watch)
{
	memset(watch, 0, sizeof(*watch));
	watch->layout = interpreter->layout;
	watch->runtime = interpreter->runtime;
	if (!session_probe_gc(session, process->pid, interpreter->file)) {
		watch->source = GC_USDT;
		return;
	}
	if (!collectors_probe(session, process, interpreter)) {
		watch->source = GC_UPROBE;
		return;
	}
	if (!interpreter->layout.interpreter_gc_collecting &&
	    !interpreter->layout.runtime_gc_collecting)
		return;
	watch->source = GC_SAMPLED;
	collections_begin(process, watch);
}

void collections_begin(const struct process *process, struct collection_watch *watch)
{
	if (watch->source == GC_SAMPLED)
		watch->counted = !counters_read(process, watch, &watch->before);
}

/* What the interpreter itself has counted, if its interpreters are the same as at the start. */
static void counters_compare(const struct process *process, const struct collection_watch *watch,
			     struct profile_gc *gc)
{
	const struct collection_counters *before = &watch->before;
	struct collection_counters now;
	int i;

	if (!watch->counted || counters_read(process, watch, &now) ||
	    now.newest != before->newest || now.interpreters != before->interpreters)
		return;
	for (i = 0; i < GC_GENERATIONS; i++)
		if (now.collections[i] < before->collections[i] ||
		    now.collections[i] - before->collections[i] > UINT32_MAX)
			return;
	for (i = 0; i < GC_GENERATIONS; i++)
		gc->collections[i] = now.collections[i] - before->collections[i];
	gc->counted = true;
	if (!watch->layout.interpreter_gc_statistics || now.seconds < before->seconds)
		return;
	gc->ns = (int64_t)((now.seconds - before->seconds) * 1e9);
	gc->timed = true;
}

void collections_read(const struct session *session, const struct process *process,
		      const struct collection_watch *watch, struct profile_gc *gc)
{
	struct collections counts = {0};

	gc->source = watch->source;
	if (watch->source == GC_SAMPLED) {
		counters_compare(process, watch, gc);
	} else if (watch->source != GC_UNKNOWN &&
		   !session_count_gc(session, (uint32_t)process->pid, &counts)) {
		memcpy(gc->collections, counts.count, sizeof(gc->collections));
		gc->ns = (int64_t)counts.ns;
		gc->longest_ns = (int64_t)counts.longest_ns;
	}
}
