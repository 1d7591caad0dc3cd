/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns following calls and counting their messages; see repeats.h. */
#include "capture/repeats.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "profile/library.h"

#define SENDERS_MAX 4 /* that are told apart in one call */

/* What is sent in a call to one target by one function. */
struct sender {
	uint32_t target;
	uint32_t function; /* innermost one of the user's that sends, else the innermost */
	uint64_t sends;
	uint64_t weight;    /* of all of them */
	uint32_t site;      /* location in the call of most of them, */
	uint64_t site_lead; /* and how many more than of others */
};

/* A call that is under way, as far as messages show it. */
struct level {
	struct repeat_frame now;
	int32_t first; /* instruction at which it was first seen */
	bool moved;    /* it has been elsewhere since */
	bool begun;    /* the thread's message before was sampled, and not in this call */
	bool unsure;   /* it may be several: a new one would look the same */
	uint32_t sender_count;
	struct sender senders[SENDERS_MAX];
};

struct thread_key {
	uint32_t process;
	uint32_t tid;
};

struct followed {
	struct thread_key key;
	struct level levels[REPEAT_FRAMES_MAX];
	uint32_t depth;
	uint64_t number; /* of the message before; 0: there was none */
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
	uint32_t depth;             /* of the caller, from the outermost frame on */
	uint64_t calls, sends;      /* of which all was seen, and the messages in them */
	uint64_t parts, part_sends; /* of which one end was seen */
	uint64_t unsure_sends;      /* in calls that may be several */
	uint64_t weight;            /* of all messages */
	uint64_t most;              /* in a call */
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

static struct pattern *pattern_find(struct repeats *repeats, const struct pattern_key *key)
{
	struct pattern *pattern;

	HASH_FIND(hh, repeats->patterns, key, sizeof(*key), pattern);
	if (pattern)
		return pattern;
	pattern = calloc(1, sizeof(*pattern));
	if (!pattern)
		return NULL;
	pattern->key = *key;
	HASH_ADD(hh, repeats->patterns, key, sizeof(pattern->key), pattern);
	return pattern;
}

/* Adds what a call's sender has sent. One message alone is no pattern. */
static int sender_close(struct repeats *repeats, const struct followed *thread, uint32_t depth,
			const struct sender *sender, bool ended)
{
	const struct level *level = &thread->levels[depth];
	struct pattern_key key = {.process = thread->key.process,
				  .caller = function_of(repeats, level->now.location),
				  .function = sender->function,
				  .target = sender->target};
	struct pattern *pattern;

	if (sender->sends < 2)
		return 0;
	pattern = pattern_find(repeats, &key);
	if (!pattern)
		return -ENOMEM;
	pattern->depth = depth;
	pattern->weight += sender->weight;
	if (level->unsure) {
		pattern->unsure_sends += sender->sends;
		if (!pattern->most)
			pattern->site = sender->site;
		return 0;
	}
	if (level->begun && ended) {
		pattern->calls++;
		pattern->sends += sender->sends;
	} else if (level->begun || ended) {
		pattern->parts++;
		pattern->part_sends += sender->sends;
	} else {
		return 0;
	}
	if (sender->sends > pattern->most) {
		pattern->most = sender->sends;
		pattern->site = sender->site;
	}
	return 0;
}

/* The call has ended, or nothing more is seen of it: what it sent is counted. */
static int level_close(struct repeats *repeats, const struct followed *thread, uint32_t depth,
		       bool ended)
{
	const struct level *level = &thread->levels[depth];
	uint32_t at;
	int error = 0;

	for (at = 0; at < level->sender_count && !error; at++)
		error = sender_close(repeats, thread, depth, &level->senders[at], ended);
	return error;
}

static int levels_close(struct repeats *repeats, struct followed *thread, uint32_t depth,
			bool ended)
{
	int error = 0;

	while (thread->depth > depth) {
		int result = level_close(repeats, thread, --thread->depth, ended);

		error = error ? error : result;
	}
	return error;
}

/*
 * Whether the function was called anew: it is where the call was first seen, or before where it was
 * last, and in no loop that would have led back there.
 */
static bool level_begins(const struct level *level, const struct repeat_frame *frame)
{
	return !frame->loops && (frame->instruction < level->now.instruction ||
				 (level->moved && frame->instruction == level->first));
}

/*
 * Of two loops, one inside of a call that the other makes, the outer may have gone on: then the
 * call is a new one. That shows if such calls send from another place first; else it does not.
 */
static void levels_doubt(struct followed *thread, const struct repeat_frame *frames,
			 uint32_t looping)
{
	uint32_t depth = looping - 1, outer;

	for (outer = depth; outer-- > 0 && !frames[outer].loops;)
		if (thread->levels[outer + 1].moved)
			return;
	if (outer == UINT32_MAX || thread->levels[outer + 1].moved)
		return;
	for (; depth > outer; depth--)
		thread->levels[depth].unsure = true;
}

/* How many of the thread's open calls go on in this stack; the last of them may have moved. */
static uint32_t levels_match(const struct repeats *repeats, struct followed *thread,
			     const struct repeat_frame *frames, uint32_t count)
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
		if (!stays && level_begins(level, &frames[depth]))
			break;
		if (!stays)
			return depth + 1;
	}
	if (looping)
		levels_doubt(thread, frames, looping);
	return looping;
}

static void level_open(struct level *level, const struct repeat_frame *frame, bool begun)
{
	memset(level, 0, sizeof(*level));
	level->now = *frame;
	level->begun = begun;
	level->first = frame->instruction;
}

static void level_move(struct level *level, const struct repeat_frame *frame)
{
	level->moved |= level->now.instruction != frame->instruction;
	level->now = *frame;
}

/* NULL: there are too many already. */
static struct sender *level_sender(struct level *level, uint32_t target, uint32_t function)
{
	struct sender *sender = level->senders;
	uint32_t at;

	for (at = 0; at < level->sender_count; at++, sender++)
		if (sender->target == target && sender->function == function)
			return sender;
	if (level->sender_count == SENDERS_MAX)
		return NULL;
	level->sender_count++;
	*sender = (struct sender){.target = target, .function = function};
	return sender;
}

static void level_send(struct level *level, uint32_t target, uint32_t function, uint32_t weight)
{
	struct sender *sender = level_sender(level, target, function);

	if (!sender)
		return;
	sender->sends++;
	sender->weight += weight;
	if (sender->site == level->now.location || !sender->site_lead) {
		sender->site = level->now.location;
		sender->site_lead++;
	} else {
		sender->site_lead--;
	}
}

static bool location_is_library(const struct repeats *repeats, uint32_t location)
{
	const struct profile *profile = repeats->profile;
	const struct profile_function *function =
		&profile->functions[profile->locations[location].function];

	return file_is_library(profile->strings[function->filename]);
}

/* The depth of the innermost function that is not a library's, else of the innermost one. */
static uint32_t sender_find(const struct repeats *repeats, const struct followed *thread)
{
	uint32_t at;

	for (at = thread->depth; at-- > 0;)
		if (!location_is_library(repeats, thread->levels[at].now.location))
			return at;
	return thread->depth - 1;
}

/* Whether the message is the one right after the last that was seen of the thread. */
static bool message_follows(const struct followed *thread, const struct repeat_message *message)
{
	return thread->number && message->number == thread->number + 1;
}

int repeats_observe(struct repeats *repeats, const struct repeat_message *message)
{
	struct followed *thread = thread_find(repeats, message->process, message->tid);
	uint32_t count = message->count, depth, matched = 0, sender, function;
	bool follows;
	int error;

	if (!thread)
		return -ENOMEM;
	if (count > REPEAT_FRAMES_MAX)
		count = REPEAT_FRAMES_MAX;
	follows = message_follows(thread, message);
	if (follows)
		matched = levels_match(repeats, thread, message->frames, count);
	error = levels_close(repeats, thread, matched, follows);
	if (matched)
		level_move(&thread->levels[matched - 1], &message->frames[matched - 1]);
	for (depth = matched; depth < count; depth++)
		level_open(&thread->levels[depth], &message->frames[depth], follows);
	thread->depth = count;
	thread->number = message->number;
	if (!count)
		return error;
	sender = sender_find(repeats, thread);
	function = function_of(repeats, thread->levels[sender].now.location);
	for (depth = 0; depth <= sender; depth++)
		level_send(&thread->levels[depth], message->target, function, message->weight);
	return error;
}

static bool pattern_counts(const struct repeats *repeats, const struct pattern *pattern)
{
	if (pattern->calls)
		return pattern->sends >= REPEAT_MIN * pattern->calls;
	/* A loop of a library's around the program's functions is that of a server. */
	if (!pattern->parts)
		return pattern->unsure_sends >= REPEAT_MIN &&
		       !location_is_library(repeats, pattern->site);
	/* A call that loops itself and of which no end was seen is a program's main loop. */
	return pattern->key.caller != pattern->key.function &&
	       pattern->part_sends >= REPEAT_MIN * pattern->parts;
}

/* A comprehension's own frame (Python/compile.c gives it such a name): its function says more. */
static bool function_is_comprehension(const struct repeats *repeats, uint32_t function)
{
	const struct profile *profile = repeats->profile;
	const char *name = profile->strings[profile->functions[function].name];
	const char *last = strrchr(name, '<');

	return last && (!strcmp(last, "<genexpr>") || !strcmp(last, "<listcomp>") ||
			!strcmp(last, "<setcomp>") || !strcmp(last, "<dictcomp>"));
}

/* How little a pattern's caller says to the user whose program it is. */
static int pattern_remoteness(const struct repeats *repeats, const struct pattern *pattern)
{
	if (location_is_library(repeats, pattern->site))
		return 2;
	return function_is_comprehension(repeats, pattern->key.caller);
}

/* Whether another pattern says the same of a caller that says more, or is nearer to the messages. */
static bool pattern_is_outdone(const struct repeats *repeats, const struct pattern *pattern)
{
	const struct pattern *other;
	int own = pattern_remoteness(repeats, pattern), others;

	for (other = repeats->patterns; other; other = other->hh.next) {
		if (other == pattern || !pattern_counts(repeats, other) ||
		    other->key.process != pattern->key.process ||
		    other->key.target != pattern->key.target ||
		    other->key.function != pattern->key.function)
			continue;
		others = pattern_remoteness(repeats, other);
		if (others != own ? others < own : other->depth > pattern->depth)
			return true;
	}
	return false;
}

/* What the pattern stands for: all its messages, in as many calls as those seen whole tell. */
static struct profile_repeat pattern_repeat(const struct pattern *pattern)
{
	struct profile_repeat repeat = {.process = pattern->key.process,
					.caller = pattern->key.caller,
					.function = pattern->key.function,
					.location = pattern->site,
					.target = pattern->key.target,
					.calls = pattern->parts,
					.sends = pattern->part_sends,
					.most = pattern->most,
					.at_least = !pattern->calls};
	double each;

	if (!pattern->calls && !pattern->parts) {
		repeat.sends = pattern->weight;
		repeat.at_least = false;
	}
	if (!pattern->calls)
		return repeat;
	each = (double)pattern->sends / (double)pattern->calls;
	repeat.calls = (uint64_t)fmax(1, round((double)pattern->weight / each));
	repeat.sends = (uint64_t)llround((double)repeat.calls * each);
	return repeat;
}

int repeats_finish(struct repeats *repeats)
{
	struct followed *thread;
	struct pattern *pattern;
	int error = 0;

	for (thread = repeats->threads; thread && !error; thread = thread->hh.next)
		error = levels_close(repeats, thread, 0, false);
	for (pattern = repeats->patterns; pattern && !error; pattern = pattern->hh.next) {
		struct profile_repeat repeat = pattern_repeat(pattern);

		if (pattern_counts(repeats, pattern) && !pattern_is_outdone(repeats, pattern))
			error = profile_repeat(repeats->profile, &repeat);
	}
	return error;
}
