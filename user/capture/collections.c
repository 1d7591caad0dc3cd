/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns watching garbage collections; see collections.h. */
#include "capture/collections.h"

#include <string.h>

#define STATISTICS_VERSION 0x030e /* the last one whose counters lie as below */

/* struct gc_generation_stats (Include/internal/pycore_gc.h, 3.7: internal/mem.h) */
struct generation_statistics {
	uint64_t collections;
	uint64_t collected;
	uint64_t uncollectable;
};

/*
 * Address of the statistics of the main interpreter: up to 3.14 they lie right before the flag
 * `collecting`. 0: not known.
 */
static uint64_t counters_find(const struct process *process, const struct interpreter *interpreter)
{
	const struct python_layout *layout = &interpreter->layout;
	uint64_t head;

	if (!layout->interpreter_gc_collecting || layout->version > STATISTICS_VERSION)
		return 0;
	if (process_read(process, interpreter->runtime + layout->runtime_interpreters_head, &head,
			 sizeof(head)))
		return 0;
	return head + layout->interpreter_gc_collecting -
	       GC_GENERATIONS * sizeof(struct generation_statistics);
}

static int counters_read(const struct process *process, uint64_t address,
			 uint64_t counts[GC_GENERATIONS])
{
	struct generation_statistics statistics[GC_GENERATIONS];
	int error, i;

	if (!address)
		return -1;
	error = process_read(process, address, statistics, sizeof(statistics));
	for (i = 0; !error && i < GC_GENERATIONS; i++)
		counts[i] = statistics[i].collections;
	return error;
}

void collections_watch(struct session *session, const struct process *process,
		       const struct interpreter *interpreter, struct collection_watch *watch)
{
	memset(watch, 0, sizeof(*watch));
	if (!session_probe_gc(session, process->pid, interpreter->file)) {
		watch->source = GC_USDT;
		return;
	}
	if (!interpreter->layout.interpreter_gc_collecting)
		return;
	watch->source = GC_SAMPLED;
	watch->counters = counters_find(process, interpreter);
	if (counters_read(process, watch->counters, watch->before))
		watch->counters = 0;
}

void collections_read(const struct session *session, const struct process *process,
		      const struct collection_watch *watch, struct profile_gc *gc)
{
	struct collections counts = {0};
	uint64_t now[GC_GENERATIONS];
	int i;

	gc->source = watch->source;
	if (watch->source == GC_USDT &&
	    !session_count_gc(session, (uint32_t)process->pid, &counts)) {
		memcpy(gc->collections, counts.count, sizeof(gc->collections));
		gc->ns = (int64_t)counts.ns;
		gc->longest_ns = (int64_t)counts.longest_ns;
	}
	if (watch->source == GC_SAMPLED && !counters_read(process, watch->counters, now))
		for (i = 0; i < GC_GENERATIONS; i++)
			gc->collections[i] = now[i] - watch->before[i];
}
