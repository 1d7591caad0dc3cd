/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns profile_narrow(). */
#include "profile/narrow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_OUT UINT32_MAX

/* Copies what has ids, all of it and in order, so that the ids stay the same. */
static int copy_items(const struct profile *from, struct profile *to)
{
	const struct profile_stack *stack;
	uint32_t at, id;
	int result = 0;

	to->facts = from->facts;
	for (at = 0; at < from->string_count && !result; at++)
		result = profile_string(to, from->strings[at], &id);
	for (at = 0; at < from->function_count && !result; at++)
		result = profile_function(to, &from->functions[at], &id);
	for (at = 0; at < from->location_count && !result; at++)
		result = profile_location(to, &from->locations[at], &id);
	for (at = 0; at < from->stack_count && !result; at++) {
		stack = &from->stacks[at];
		result = profile_stack(to,
				       stack->depth ? &from->stack_locations[stack->first] : NULL,
				       stack->depth, &id);
	}
	return result;
}

/* Marks the processes that stay: those of that pid, and with that thread. */
static void find_processes(const struct profile *profile, uint32_t pid, uint32_t tid,
			   uint32_t *kept)
{
	uint32_t at;

	for (at = 0; at < profile->process_count; at++)
		kept[at] = tid || (pid && profile->processes[at].pid != pid) ? LEFT_OUT : 0;
	if (!tid)
		return;
	for (at = 0; at < profile->thread_count; at++)
		if (profile->threads[at].tid == tid)
			kept[profile->threads[at].process] = 0;
	for (at = 0; at < profile->sample_count; at++)
		if (profile->samples[at].key.tid == tid)
			kept[profile->samples[at].key.process] = 0;
	for (at = 0; at < profile->process_count; at++)
		if (pid && profile->processes[at].pid != pid)
			kept[at] = LEFT_OUT;
}

/* Copies what belongs to the processes that stay; kept[] then holds their new ids. */
static int copy_kept(const struct profile *from, uint32_t tid, uint32_t *kept, struct profile *to)
{
	struct profile_thread thread;
	struct profile_sample sample;
	uint32_t at, id;
	int result = 0;

	for (at = 0; at < from->process_count && !result; at++)
		if (kept[at] != LEFT_OUT)
			result = profile_process(to, &from->processes[at], &kept[at]);
	for (at = 0; at < from->thread_count && !result; at++) {
		thread = from->threads[at];
		if (kept[thread.process] == LEFT_OUT || (tid && thread.tid != tid))
			continue;
		thread.process = kept[thread.process];
		result = profile_thread(to, &thread);
	}
	for (at = 0; at < from->sample_count && !result; at++) {
		sample = from->samples[at];
		if (kept[sample.key.process] == LEFT_OUT || (tid && sample.key.tid != tid))
			continue;
		sample.key.process = kept[sample.key.process];
		result = profile_sample(to, &sample.key, &id);
		if (!result)
			to->samples[id] = sample;
	}
	return result;
}

int profile_narrow(const struct profile *profile, uint32_t pid, uint32_t tid,
		   struct profile **narrowed, struct error *error)
{
	struct profile *to = profile_new();
	uint32_t *kept = calloc((size_t)profile->process_count + 1, sizeof(*kept));
	int result = -ENOMEM;

	if (to && kept) {
		find_processes(profile, pid, tid, kept);
		result = copy_items(profile, to);
		if (!result)
			result = copy_kept(profile, tid, kept, to);
	}
	free(kept);
	if (!result && (pid || tid) && !to->process_count) {
		if (tid)
			result = error_set(error, -ESRCH, "no thread %" PRIu32 " in the recording",
					   tid);
		else
			result = error_set(error, -ESRCH, "no process %" PRIu32 " in the recording",
					   pid);
	} else if (result) {
		error_set(error, result, "no memory for the recording");
	}
	if (result)
		profile_free(to);
	else
		*narrowed = to;
	return result;
}
