/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns profile_narrow(): a copy of what stays, with new ids for all of it. */
#include "profile/narrow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_OUT UINT32_MAX /* of a process, location or stack: it has no new id (yet) */

/* The arrays hold new ids, by the ids in `from`. */
struct copier {
	const struct profile *from;
	struct profile *to;
	const struct narrowing *narrowing;
	uint32_t *processes;
	uint32_t *locations;
	uint32_t *stacks;
	uint32_t *frames; /* room for the deepest stack */
};

/* Replaces the id of a string by its new one. */
static int move_string(struct copier *copier, uint32_t *id)
{
	return profile_string(copier->to, copier->from->strings[*id], id);
}

static int move_strings(struct copier *copier, uint32_t *const ids[], size_t count)
{
	size_t at;
	int result = 0;

	for (at = 0; at < count && !result; at++)
		result = move_string(copier, ids[at]);
	return result;
}

static int copy_facts(struct copier *copier)
{
	struct profile_facts *facts = &copier->to->facts;
	uint32_t *const ids[] = {&facts->command_line, &facts->host, &facts->kernel,
				 &facts->version, &facts->wait_hook};

	*facts = copier->from->facts;
	return move_strings(copier, ids, sizeof(ids) / sizeof(ids[0]));
}

static int copy_function(struct copier *copier, uint32_t function, uint32_t *id)
{
	struct profile_function copy = copier->from->functions[function];
	struct profile_module module = copier->from->modules[copy.module];
	uint32_t *const ids[] = {&copy.name, &copy.filename, &module.path, &module.build_id};
	int result = move_strings(copier, ids, sizeof(ids) / sizeof(ids[0]));

	if (!result)
		result = profile_module(copier->to, module.path, module.build_id, &copy.module);
	return result ? result : profile_function(copier->to, &copy, id);
}

static int copy_location(struct copier *copier, uint32_t location, uint32_t *id)
{
	struct profile_location copy = copier->from->locations[location];
	uint32_t *known = &copier->locations[location];
	int result;

	if (*known == LEFT_OUT) {
		result = copy_function(copier, copy.function, &copy.function);
		if (!result)
			result = profile_location(copier->to, &copy, known);
		if (result)
			return result;
	}
	*id = *known;
	return 0;
}

static bool frame_stays(const struct copier *copier, uint32_t location, bool outermost)
{
	uint32_t function = copier->from->locations[location].function;

	return !copier->narrowing->python_only ||
	       copier->from->functions[function].kind == KIND_PYTHON ||
	       (outermost && profile_is_notice(copier->from, function));
}

static int copy_stack(struct copier *copier, uint32_t stack, uint32_t *id)
{
	const struct profile_stack *from = &copier->from->stacks[stack];
	uint32_t *known = &copier->stacks[stack], location, at, depth = 0;
	int result = 0;

	if (*known == LEFT_OUT) {
		for (at = 0; at < from->depth && !result; at++) {
			location = copier->from->stack_locations[from->first + at];
			if (frame_stays(copier, location, at + 1 == from->depth))
				result = copy_location(copier, location, &copier->frames[depth++]);
		}
		if (!result)
			result = profile_stack(copier->to, copier->frames, depth, known);
		if (result)
			return result;
	}
	*id = *known;
	return 0;
}

/* Marks the processes that stay: those of that pid, and with that thread. */
static void find_processes(struct copier *copier)
{
	const struct profile *profile = copier->from;
	uint32_t pid = copier->narrowing->pid, tid = copier->narrowing->tid, at;
	uint32_t *kept = copier->processes;

	for (at = 0; at < profile->process_count; at++)
		kept[at] = tid ? LEFT_OUT : 0;
	for (at = 0; tid && at < profile->thread_count; at++)
		if (profile->threads[at].tid == tid)
			kept[profile->threads[at].process] = 0;
	for (at = 0; tid && at < profile->sample_count; at++)
		if (profile->samples[at].key.tid == tid)
			kept[profile->samples[at].key.process] = 0;
	for (at = 0; at < profile->process_count; at++)
		if ((pid && profile->processes[at].pid != pid) ||
		    (at < copier->narrowing->left_out_count && copier->narrowing->left_out[at]))
			kept[at] = LEFT_OUT;
}

static int copy_processes(struct copier *copier)
{
	struct profile_process copy;
	uint32_t at;
	int result = 0;

	for (at = 0; at < copier->from->process_count && !result; at++) {
		uint32_t *const ids[] = {&copy.command, &copy.python, &copy.container,
					 &copy.cgroup};

		if (copier->processes[at] == LEFT_OUT)
			continue;
		copy = copier->from->processes[at];
		if (copier->narrowing->tid)
			copy.gc = (struct profile_gc){0};
		result = move_strings(copier, ids, sizeof(ids) / sizeof(ids[0]));
		if (!result)
			result = profile_process(copier->to, &copy, &copier->processes[at]);
	}
	return result;
}

/* Whether what is known of a thread of a process stays. */
static bool thread_stays(const struct copier *copier, uint32_t process, uint32_t tid)
{
	return copier->processes[process] != LEFT_OUT &&
	       (!copier->narrowing->tid || tid == copier->narrowing->tid);
}

static int copy_threads(struct copier *copier)
{
	struct profile_thread copy;
	uint32_t at;
	int result = 0;

	for (at = 0; at < copier->from->thread_count && !result; at++) {
		copy = copier->from->threads[at];
		if (!thread_stays(copier, copy.process, copy.tid))
			continue;
		copy.process = copier->processes[copy.process];
		result = move_string(copier, &copy.name);
		if (!result)
			result = profile_thread(copier->to, &copy);
	}
	return result;
}

static void add_values(struct profile_sample *sum, const struct profile_sample *part)
{
	sum->ns += part->ns;
	sum->waits += part->waits;
	sum->sends += part->sends;
	sum->receives += part->receives;
	sum->grown_bytes += part->grown_bytes;
	if (part->longest_ns > sum->longest_ns)
		sum->longest_ns = part->longest_ns;
}

/* Samples that differ in frames alone that do not stay become one. */
static int copy_samples(struct copier *copier)
{
	const struct profile_sample *from;
	struct profile_key key;
	uint32_t at, id;
	int result = 0;

	for (at = 0; at < copier->from->sample_count && !result; at++) {
		uint32_t *const ids[] = {&key.thread, &key.syscall, &key.target, &key.gil_holder,
					 &key.waker};

		from = &copier->from->samples[at];
		key = from->key;
		if (!thread_stays(copier, key.process, key.tid))
			continue;
		key.process = copier->processes[key.process];
		result = move_strings(copier, ids, sizeof(ids) / sizeof(ids[0]));
		if (!result)
			result = copy_stack(copier, from->key.stack, &key.stack);
		if (!result)
			result = profile_sample(copier->to, &key, &id);
		if (result)
			break;
		add_values(&copier->to->samples[id], from);
	}
	return result;
}

/* None stays for one thread: they are counted for all of a process together. */
static int copy_repeats(struct copier *copier)
{
	struct profile_repeat copy;
	uint32_t at;
	int result = 0;

	for (at = 0; at < copier->from->repeat_count && !result; at++) {
		copy = copier->from->repeats[at];
		if (copier->processes[copy.process] == LEFT_OUT || copier->narrowing->tid)
			continue;
		copy.process = copier->processes[copy.process];
		result = copy_function(copier, copy.caller, &copy.caller);
		if (!result)
			result = copy_function(copier, copy.function, &copy.function);
		if (!result)
			result = copy_location(copier, copy.location, &copy.location);
		if (!result)
			result = move_string(copier, &copy.target);
		if (!result)
			result = profile_repeat(copier->to, &copy);
	}
	return result;
}

static uint32_t *new_ids(uint32_t count)
{
	size_t bytes = ((size_t)count + 1) * sizeof(uint32_t);
	uint32_t *ids = malloc(bytes);

	if (ids)
		memset(ids, 0xff, bytes); /* LEFT_OUT */
	return ids;
}

static int copy_all(struct copier *copier)
{
	uint32_t at, deepest = 0;
	int result;

	for (at = 0; at < copier->from->stack_count; at++)
		if (copier->from->stacks[at].depth > deepest)
			deepest = copier->from->stacks[at].depth;
	copier->to = profile_new();
	copier->processes = new_ids(copier->from->process_count);
	copier->locations = new_ids(copier->from->location_count);
	copier->stacks = new_ids(copier->from->stack_count);
	copier->frames = new_ids(deepest);
	if (!copier->to || !copier->processes || !copier->locations || !copier->stacks ||
	    !copier->frames)
		return -ENOMEM;
	find_processes(copier);
	result = copy_facts(copier);
	if (!result)
		result = copy_processes(copier);
	if (!result)
		result = copy_threads(copier);
	if (!result)
		result = copy_samples(copier);
	return result ? result : copy_repeats(copier);
}

int profile_narrow(const struct profile *profile, const struct narrowing *narrowing,
		   struct profile **narrowed, struct error *error)
{
	struct copier copier = {.from = profile, .narrowing = narrowing};
	int result = copy_all(&copier);

	free(copier.processes);
	free(copier.locations);
	free(copier.stacks);
	free(copier.frames);
	if (result)
		error_set(error, result, "no memory for the recording");
	else if (narrowing->tid && !copier.to->process_count)
		result = error_set(error, -ESRCH, "no thread %" PRIu32 " in the recording",
				   narrowing->tid);
	else if (narrowing->pid && !copier.to->process_count)
		result = error_set(error, -ESRCH, "no process %" PRIu32 " in the recording",
				   narrowing->pid);
	if (result)
		profile_free(copier.to);
	else
		*narrowed = copier.to;
	return result;
}
