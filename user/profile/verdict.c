/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the verdict's arithmetic. Leaves its wording to verdict_text.c. */
#include "profile/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"

#define NO_NAME     UINT32_MAX
#define ACTIVE_PART 200 /* a thread that ran for 1/200 of its time did something */

struct thread_time {
	int64_t handover_ns; /* seen in samples */
	int64_t clients_ns;  /* the same: waiting for the next request of a client */
	bool active;
};

/* How long the innermost frame of a cause was a native function, or one of a module. */
struct native_time {
	uint32_t cause; /* as numbered before the causes are sorted */
	uint32_t module;
	uint32_t name;    /* string, of the function; NO_NAME: for any of the module */
	uint32_t example; /* a function of that name */
	int64_t ns;
};

struct builder {
	const struct profile *profile;
	struct verdicts *verdicts;
	struct table threads; /* by process and thread id */
	struct thread_time *times;
	struct table causes;
	struct table natives; /* by cause, and function or module */
	struct native_time *native_times;
};

/* Files of the standard library in which a thread waits for the work of another one. */
static bool is_handover_file(const char *path)
{
	static const char *const files[] = {"/threading.py", "/queue.py"};
	static const char *const rooms[] = {"/concurrent/futures/", "/multiprocessing/"};
	size_t length = strlen(path), size, at;

	for (at = 0; at < 2; at++) {
		size = strlen(files[at]);
		if (length >= size && !strcmp(path + length - size, files[at]))
			return true;
		if (strstr(path, rooms[at]))
			return true;
	}
	return false;
}

static bool is_handover(const struct profile *profile, const struct profile_sample *sample)
{
	const struct profile_function *function;
	int64_t owner;

	if (sample->key.state != STATE_LOCK)
		return false;
	owner = profile_stack_owner(profile, sample->key.stack);
	if (owner < 0)
		return false;
	function = &profile->functions[profile->locations[owner].function];
	return is_handover_file(profile->strings[function->filename]);
}

static bool is_client_wait(const struct profile *profile, const struct profile_sample *sample)
{
	return sample->key.state == STATE_SOCKET &&
	       target_is_client(profile->strings[sample->key.target]);
}

/* Takes a part of the time that a thread has in a state: as much as was seen, and is there. */
static int64_t take_part(int64_t *seen_ns, int64_t whole_ns)
{
	int64_t part = *seen_ns < whole_ns ? *seen_ns : whole_ns;

	/* Thread ids can be used again: what one thread does not use up is left for the next. */
	*seen_ns -= part;
	return part;
}

static bool is_active(const struct profile_thread *thread, int64_t clients_ns)
{
	int64_t work = thread->ns[STATE_RUNNING] + thread->ns[STATE_SOCKET] - clients_ns +
		       thread->ns[STATE_FILE] + thread->ns[STATE_FAULT];

	return work > 0 && work >= (thread->end_ns - thread->start_ns) / ACTIVE_PART;
}

static enum share state_share(enum state state)
{
	static const enum share shares[COLUMN_COUNT] = {
		[COLUMN_CPU] = SHARE_RUNNING, [COLUMN_IO] = SHARE_IO,
		[COLUMN_LOCK] = SHARE_LOCK,   [COLUMN_GIL] = SHARE_GIL,
		[COLUMN_IDLE] = SHARE_IDLE,   [COLUMN_OTHER] = SHARE_OTHER,
	};

	if (state == STATE_RUNQUEUE)
		return SHARE_RUNQUEUE;
	return state == STATE_POLL ? SHARE_EVENTS : shares[state_column(state)];
}

/* Finds or adds what is known of a thread. */
static int find_time(struct builder *builder, uint32_t process, uint32_t tid,
		     struct thread_time **time)
{
	uint32_t key[2] = {process, tid}, id;
	void *grown;
	int added;

	grown = array_grow(builder->times, builder->threads.count, sizeof(*builder->times));
	if (!grown)
		return -ENOMEM;
	builder->times = grown;
	added = table_intern(&builder->threads, key, sizeof(key), &id, NULL);
	if (added < 0)
		return added;
	if (added)
		builder->times[id] = (struct thread_time){0};
	*time = &builder->times[id];
	return 0;
}

/* Adds up what waits are known from samples not to be for the work itself. */
static int add_idle_waits(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	const struct profile_sample *sample;
	struct thread_time *time;
	uint32_t at;

	for (at = 0; at < profile->sample_count; at++) {
		sample = &profile->samples[at];
		if (find_time(builder, sample->key.process, sample->key.tid, &time))
			return -ENOMEM;
		if (is_handover(profile, sample))
			time->handover_ns += sample->ns;
		if (is_client_wait(profile, sample))
			time->clients_ns += sample->ns;
	}
	return 0;
}

static void add_active(struct verdict *verdict, const struct profile_thread *thread,
		       struct thread_time *time, int64_t clients)
{
	int64_t handover = take_part(&time->handover_ns, thread->ns[STATE_LOCK]);
	int state;

	time->active = true;
	verdict->active++;
	for (state = 0; state < STATE_COUNT; state++)
		verdict->shares[state_share(state)] += thread->ns[state];
	verdict->shares[SHARE_LOCK] -= handover;
	verdict->handover_ns += handover;
	verdict->shares[SHARE_IO] -= clients;
	verdict->shares[SHARE_IDLE] += clients;
}

static int add_thread(struct builder *builder, const struct profile_thread *thread)
{
	struct verdict *verdict = &builder->verdicts->processes[thread->process];
	struct thread_time *time;
	int64_t clients;
	int state, most = 0;

	if (find_time(builder, thread->process, thread->tid, &time))
		return -ENOMEM;
	verdict->threads++;
	verdict->existed_ns += thread->end_ns - thread->start_ns;
	for (state = 0; state < STATE_COUNT; state++) {
		verdict->charged_ns += thread->ns[state];
		if (thread->ns[state] > thread->ns[most])
			most = state;
	}
	if (!thread->ns[most])
		most = STATE_OTHER;
	clients = take_part(&time->clients_ns, thread->ns[STATE_SOCKET]);
	if (is_active(thread, clients))
		add_active(verdict, thread, time, clients);
	else
		verdict->waited[most]++;
	return 0;
}

/* The standard library, what was installed beside it, and what the interpreter brings along. */
static bool is_library_file(const char *path)
{
	static const char *const parts[] = {"/lib/python3.", "/site-packages/", "/dist-packages/"};
	size_t at;

	for (at = 0; at < sizeof(parts) / sizeof(parts[0]); at++)
		if (strstr(path, parts[at]))
			return true;
	return path[0] == '<' && strcmp(path, "<string>") && strcmp(path, "<stdin>");
}

/*
 * The function to name as the cause of a stack's time: the innermost that is the program's own. A
 * socket is read in socket.py whoever waits for it. -1: the stack has no Python function.
 */
static int64_t cause_location(const struct profile *profile, uint32_t stack)
{
	const struct profile_stack *frames = &profile->stacks[stack];
	uint32_t at, id;

	for (at = 0; at < frames->depth; at++) {
		const struct profile_function *function;

		id = profile->stack_locations[frames->first + at];
		function = &profile->functions[profile->locations[id].function];
		if (function->kind == KIND_PYTHON &&
		    !is_library_file(profile->strings[function->filename]))
			return id;
	}
	return profile_stack_owner(profile, stack);
}

/* Whether a sample is part of a cause, and of which: fills what tells causes apart. */
static bool cause_of(const struct profile *profile, const struct profile_sample *sample,
		     struct cause *cause)
{
	int64_t owner = cause_location(profile, sample->key.stack);

	memset(cause, 0, sizeof(*cause));
	cause->native_function = -1;
	cause->function = owner < 0 ? -1 : (int64_t)profile->locations[owner].function;
	cause->thread = owner < 0 ? sample->key.thread : 0;
	cause->column = state_column(sample->key.state);
	if (cause->column == COLUMN_IO) {
		cause->state = sample->key.state;
		cause->target = sample->key.target;
	}
	return cause->column != COLUMN_IDLE && cause->column != COLUMN_OTHER &&
	       sample->key.state != STATE_POLL && !is_handover(profile, sample) &&
	       !is_client_wait(profile, sample);
}

static int add_native_time(struct builder *builder, const struct native_time *time)
{
	uint32_t id;
	void *grown;
	int added;

	grown = array_grow(builder->native_times, builder->natives.count, sizeof(*time));
	if (!grown)
		return -ENOMEM;
	builder->native_times = grown;
	added = table_intern(&builder->natives, time, offsetof(struct native_time, example), &id,
			     NULL);
	if (added < 0)
		return added;
	if (added)
		builder->native_times[id] = *time;
	else
		builder->native_times[id].ns += time->ns;
	return 0;
}

/* Adds a sample that ran native code to what its innermost function and module had. */
static int add_native(struct builder *builder, const struct profile_sample *sample, uint32_t cause)
{
	const struct profile *profile = builder->profile;
	const struct profile_stack *stack = &profile->stacks[sample->key.stack];
	struct native_time time = {.cause = cause, .ns = sample->ns};
	const struct profile_function *function;
	int result;

	if (sample->key.state != STATE_RUNNING || sample->key.leaf != LEAF_NATIVE || !stack->depth)
		return 0;
	time.example = profile->locations[profile->stack_locations[stack->first]].function;
	function = &profile->functions[time.example];
	if (function->kind != KIND_NATIVE || profile_is_notice(profile, time.example))
		return 0;
	time.module = function->module;
	time.name = function->name;
	result = add_native_time(builder, &time);
	time.name = NO_NAME;
	return result || !time.module ? result : add_native_time(builder, &time);
}

/* Tells the causes which native function and module had at least half of their native time. */
static void name_natives(struct builder *builder)
{
	const struct native_time *time;
	struct cause *cause;
	uint32_t at;

	for (at = 0; at < builder->natives.count; at++) {
		time = &builder->native_times[at];
		cause = &builder->verdicts->causes[time->cause];
		if (time->ns < cause->running[LEAF_NATIVE] - time->ns)
			continue;
		if (time->name == NO_NAME)
			cause->native_module = time->module;
		else if (cause->native_function < 0)
			cause->native_function = time->example;
	}
}

static int add_cause(struct builder *builder, const struct profile_sample *sample)
{
	struct verdicts *verdicts = builder->verdicts;
	struct cause cause;
	uint32_t id;
	void *grown;
	int added;

	if (!cause_of(builder->profile, sample, &cause))
		return 0;
	grown = array_grow(verdicts->causes, verdicts->cause_count, sizeof(cause));
	if (!grown)
		return -ENOMEM;
	verdicts->causes = grown;
	added = table_intern(&builder->causes, &cause, offsetof(struct cause, ns), &id, NULL);
	if (added < 0)
		return added;
	if (added)
		verdicts->causes[verdicts->cause_count++] = cause;
	verdicts->causes[id].ns += sample->ns;
	verdicts->causes[id].waits += sample->waits;
	if (sample->key.state == STATE_RUNNING)
		verdicts->causes[id].running[sample->key.leaf] += sample->ns;
	return add_native(builder, sample, id);
}

static int compare_causes(const void *left, const void *right)
{
	const struct cause *a = left, *b = right;

	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	return memcmp(a, b, offsetof(struct cause, ns));
}

static int add_causes(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	const struct profile_sample *sample;
	struct thread_time *time;
	uint32_t at;

	for (at = 0; at < profile->sample_count; at++) {
		sample = &profile->samples[at];
		if (find_time(builder, sample->key.process, sample->key.tid, &time))
			return -ENOMEM;
		if (!time->active)
			continue;
		if (sample->key.state == STATE_RUNNING)
			builder->verdicts->processes[sample->key.process]
				.running[sample->key.leaf] += sample->ns;
		if (add_cause(builder, sample))
			return -ENOMEM;
	}
	name_natives(builder);
	if (builder->verdicts->cause_count)
		qsort(builder->verdicts->causes, builder->verdicts->cause_count,
		      sizeof(struct cause), compare_causes);
	return 0;
}

int64_t verdict_ns(const struct verdict *verdict)
{
	int64_t sum = 0;
	int share;

	for (share = 0; share < SHARE_COUNT; share++)
		sum += verdict->shares[share];
	return sum;
}

static int build(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	struct verdicts *verdicts = builder->verdicts;
	uint32_t at;

	verdicts->processes =
		calloc((size_t)profile->process_count + 1, sizeof(*verdicts->processes));
	if (!verdicts->processes || add_idle_waits(builder))
		return -ENOMEM;
	for (at = 0; at < profile->thread_count; at++)
		if (add_thread(builder, &profile->threads[at]))
			return -ENOMEM;
	for (at = 0; at < profile->process_count; at++)
		verdicts->ns += verdict_ns(&verdicts->processes[at]);
	return add_causes(builder);
}

int verdicts_make(const struct profile *profile, struct verdicts **verdicts)
{
	struct builder builder = {.profile = profile};
	int result = -ENOMEM;

	builder.verdicts = calloc(1, sizeof(*builder.verdicts));
	if (builder.verdicts)
		result = build(&builder);
	table_clear(&builder.threads);
	table_clear(&builder.causes);
	table_clear(&builder.natives);
	free(builder.times);
	free(builder.native_times);
	if (result)
		verdicts_free(builder.verdicts);
	else
		*verdicts = builder.verdicts;
	return result;
}

void verdicts_free(struct verdicts *verdicts)
{
	if (!verdicts)
		return;
	free(verdicts->processes);
	free(verdicts->causes);
	free(verdicts);
}
