/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns following calls and counting their messages; see repeats.h. */
#include "capture/repeats.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "profile/library.h"

/* A call that is under way, as far as samples show it. Its messages are those to `target`. */
struct level {
	struct repeat_frame now;
	int32_t first; /* instruction at which it was first seen */
	bool moved;    /* it has been elsewhere since */
	uint32_t target;
	uint32_t function; /* innermost one of the user's that sent, or this level's own */
	uint64_t sends;
	uint32_t weight; /* of each of them */
	uint32_t site;   /* location of most of them, and how many more than of others */
	uint64_t site_lead;
};

struct thread_key {
	uint32_t process;
	uint32_t tid;
};

struct followed {
	struct thread_key key;
	struct level levels[REPEAT_FRAMES_MAX];
	uint32_t depth;
	UT_hash_handle hh;
};

struct pattern_key {
	uint32_t process;
	uint32_t caller;
	uint32_t function;
	uint32_t target;
};

struct pattern {
	struct pattern_key key;
	uint32_t site;
	uint32_t depth; /* of the caller, from the outermost frame on */
	uint64_t calls, sends, most;
	UT_hash_handle hh;
};

struct repeats {
	struct profile *profile;
	struct followed *threads;
	struct pattern *patterns;
};

struct repeats *repeats_new(struct profile *profile)
{
	struct repeats *repeats = calloc(1, sizeof(*repeats));

	if (repeats)
		repeats->profile = profile;
	return repeats;
}

void repeats_free(struct repeats *repeats)
{
	struct followed *thread, *next_thread;
	struct pattern *pattern, *next;

	if (!repeats)
		return;
	HASH_ITER (hh, repeats->threads, thread, next_thread) {
		HASH_DEL(repeats->threads, thread);
		free(thread);
	}
	HASH_ITER (hh, repeats->patterns, pattern, next) {
		HASH_DEL(repeats->patterns, pattern);
		free(pattern);
	}
	free(repeats);
}

static struct followed *thread_find(struct repeats *repeats, uint32_t process, uint32_t tid)
{
	struct thread_key key = {.process = process, .tid = tid};
	struct followed *thread;

	HASH_FIND(hh, repeats->threads, &key, sizeof(key), thread);
	if (thread)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (!thread)
		return NULL;
	thread->key = key;
	HASH_ADD(hh, repeats->threads, key, sizeof(thread->key), thread);
	return thread;
}

static uint32_t function_of(const struct repeats *repeats, uint32_t location)
{
	return repeats->profile->locations[location].function;
}

/* The call has ended, or nothing more is seen of it: what it sent is counted. */
static int level_close(struct repeats *repeats, const struct followed *thread, uint32_t depth)
{
	const struct level *level = &thread->levels[depth];
	struct pattern_key key = {.process = thread->key.process,
				  .caller = function_of(repeats, level->now.location),
				  .function = level->function,
				  .target = level->target};
	struct pattern *pattern;

	if (level->sends < 2)
		return 0;
	HASH_FIND(hh, repeats->patterns, &key, sizeof(key), pattern);
	if (!pattern) {
		pattern = calloc(1, sizeof(*pattern));
		if (!pattern)
			return -ENOMEM;
		pattern->key = key;
		HASH_ADD(hh, repeats->patterns, key, sizeof(pattern->key), pattern);
	}
	pattern->calls += level->weight;
	pattern->sends += level->sends * level->weight;
	pattern->depth = depth;
	if (level->sends > pattern->most) {
		pattern->most = level->sends;
		pattern->site = level->site;
	}
	return 0;
}

static int levels_close(struct repeats *repeats, struct followed *thread, uint32_t depth)
{
	int error = 0;

	while (thread->depth > depth) {
		int result = level_close(repeats, thread, --thread->depth);

		error = error ? error : result;
	}
	return error;
}

/*
 * How many of the thread's open calls go on in this stack; the last of them may have moved. Only
 * places from which messages are sent tell of a function's next call: in between it may be anywhere.
 */
static uint32_t levels_match(const struct repeats *repeats, const struct followed *thread,
			     const struct repeat_frame *frames, uint32_t count, bool sends)
{
	uint32_t depth, looping = 0;

	for (depth = 0; depth < thread->depth && depth < count; depth++) {
		const struct level *level = &thread->levels[depth];
		bool stays = level->now.instruction == frames[depth].instruction;

		if (frames[depth].loops)
			looping = depth + 1;

		if (function_of(repeats, level->now.location) !=
		    function_of(repeats, frames[depth].location))
			return depth;
		if (!stays && sends && level->moved && !frames[depth].loops &&
		    frames[depth].instruction == level->first)
			return looping;
		if (!stays)
			return depth + 1;
	}
	return sends ? looping : depth;
}

static void level_open(struct level *level, const struct repeat_frame *frame)
{
	memset(level, 0, sizeof(*level));
	level->now = *frame;
	level->first = frame->instruction;
}

static void level_move(struct level *level, const struct repeat_frame *frame)
{
	level->moved |= level->now.instruction != frame->instruction;
	level->now = *frame;
}

/* Of several targets the one that was first counts; others are those of other functions' calls. */
static void level_send(struct level *level, uint32_t target, uint32_t function, uint32_t weight)
{
	if (!level->sends) {
		level->target = target;
		level->function = function;
		level->weight = weight;
	}
	if (level->target != target)
		return;
	level->sends++;
	if (level->site == level->now.location || !level->site_lead) {
		level->site = level->now.location;
		level->site_lead++;
	} else {
		level->site_lead--;
	}
}

static bool location_is_library(const struct repeats *repeats, uint32_t location)
{
	const struct profile *profile = repeats->profile;
	const struct profile_function *function =
		&profile->functions[profile->locations[location].function];

	return file_is_library(profile->strings[function->filename]);
}

/* The innermost function that is not a library's, from `depth` on; else the one at `depth`. */
static uint32_t sender_find(const struct repeats *repeats, const struct followed *thread,
			    uint32_t depth)
{
	uint32_t at;

	for (at = thread->depth; at-- > depth;)
		if (!location_is_library(repeats, thread->levels[at].now.location))
			return function_of(repeats, thread->levels[at].now.location);
	return function_of(repeats, thread->levels[depth].now.location);
}

int repeats_observe(struct repeats *repeats, uint32_t process, uint32_t tid,
		    const struct repeat_frame *frames, uint32_t count, uint32_t target,
		    uint32_t weight)
{
	struct followed *thread = thread_find(repeats, process, tid);
	uint32_t depth, matched;
	int error;

	if (!thread)
		return -ENOMEM;
	if (count > REPEAT_FRAMES_MAX)
		count = REPEAT_FRAMES_MAX;
	matched = levels_match(repeats, thread, frames, count, weight > 0);
	error = levels_close(repeats, thread, matched);
	if (!weight)
		return error;
	if (matched)
		level_move(&thread->levels[matched - 1], &frames[matched - 1]);
	for (depth = matched; depth < count; depth++)
		level_open(&thread->levels[depth], &frames[depth]);
	thread->depth = count;
	for (depth = 0; depth < count; depth++)
		level_send(&thread->levels[depth], target, sender_find(repeats, thread, depth),
			   weight);
	return error;
}

void repeats_forget(struct repeats *repeats, uint32_t process, uint32_t tid)
{
	struct followed *thread = thread_find(repeats, process, tid);

	if (thread)
		thread->depth = 0;
}

static bool pattern_counts(const struct pattern *pattern)
{
	return pattern->sends >= REPEAT_MIN * pattern->calls;
}

/* Whether another pattern says the same of a caller that is nearer to the messages. */
static bool pattern_is_outdone(const struct repeats *repeats, const struct pattern *pattern)
{
	const struct pattern *other;
	bool library = location_is_library(repeats, pattern->site), other_library;

	for (other = repeats->patterns; other; other = other->hh.next) {
		if (other == pattern || !pattern_counts(other) ||
		    other->key.process != pattern->key.process ||
		    other->key.target != pattern->key.target ||
		    other->key.function != pattern->key.function)
			continue;
		other_library = location_is_library(repeats, other->site);
		if (other_library != library ? library : other->depth > pattern->depth)
			return true;
	}
	return false;
}

int repeats_finish(struct repeats *repeats)
{
	struct followed *thread;
	struct pattern *pattern;
	int error = 0;

	for (thread = repeats->threads; thread && !error; thread = thread->hh.next)
		error = levels_close(repeats, thread, 0);
	for (pattern = repeats->patterns; pattern && !error; pattern = pattern->hh.next) {
		struct profile_repeat repeat = {.process = pattern->key.process,
						.caller = pattern->key.caller,
						.function = pattern->key.function,
						.location = pattern->site,
						.target = pattern->key.target,
						.calls = pattern->calls,
						.sends = pattern->sends,
						.most = pattern->most};

		if (pattern_counts(pattern) && !pattern_is_outdone(repeats, pattern))
			error = profile_repeat(repeats->profile, &repeat);
	}
	return error;
}
