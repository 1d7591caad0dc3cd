/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns what bounds the processes. Leaves the causes to causes.c, the wording to verdict_text.c. */
#include "profile/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"

#define ACTIVE_PART 200 /* a thread that ran for 1/200 of its time did something */

struct thread_time {
	int64_t handover_ns; /* seen in samples */
	int64_t clients_ns;  /* the same: waiting for the next request of a client */
	bool active;
};

struct builder {
	const struct profile *profile;
	struct verdicts *verdicts;
	struct table threads; /* by process and thread id */
	struct thread_time *times;
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

bool verdict_is_handover(const struct profile *profile, const struct profile_sample *sample)
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

bool verdict_is_client_wait(const struct profile *profile, const struct profile_sample *sample)
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
		       thread->ns[STATE_FILE] + thread->ns[STATE_FAULT] + thread->ns[STATE_GIL];

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
		if (verdict_is_handover(profile, sample))
			time->handover_ns += sample->ns;
		if (verdict_is_client_wait(profile, sample))
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

int64_t verdict_ns(const struct verdict *verdict)
{
	int64_t sum = 0;
	int share;

	for (share = 0; share < SHARE_COUNT; share++)
		sum += verdict->shares[share];
	return sum;
}

/* Says of each sample whether its thread is active, and what ran in those that are. */
static int mark_active(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	struct verdicts *verdicts = builder->verdicts;
	const struct profile_sample *sample;
	struct thread_time *time;
	uint32_t at;

	verdicts->active = calloc((size_t)profile->sample_count + 1, sizeof(*verdicts->active));
	if (!verdicts->active)
		return -ENOMEM;
	for (at = 0; at < profile->sample_count; at++) {
		sample = &profile->samples[at];
		if (find_time(builder, sample->key.process, sample->key.tid, &time))
			return -ENOMEM;
		verdicts->active[at] = time->active;
		if (time->active && sample->key.state == STATE_RUNNING)
			verdicts->processes[sample->key.process].running[sample->key.leaf] +=
				sample->ns;
	}
	return 0;
}

static int build(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	struct verdicts *verdicts = builder->verdicts;
	uint32_t at;
	int result;

	verdicts->processes =
		calloc((size_t)profile->process_count + 1, sizeof(*verdicts->processes));
	if (!verdicts->processes || add_idle_waits(builder))
		return -ENOMEM;
	for (at = 0; at < profile->thread_count; at++)
		if (add_thread(builder, &profile->threads[at]))
			return -ENOMEM;
	for (at = 0; at < profile->process_count; at++)
		verdicts->ns += verdict_ns(&verdicts->processes[at]);
	result = mark_active(builder);
	if (!result)
		result = exchanges_make(profile, verdicts->active, &verdicts->exchanges);
	return result ? result : causes_make(profile, verdicts);
}

int verdicts_make(const struct profile *profile, struct verdicts **verdicts)
{
	struct builder builder = {.profile = profile};
	int result = -ENOMEM;

	builder.verdicts = calloc(1, sizeof(*builder.verdicts));
	if (builder.verdicts)
		result = build(&builder);
	table_clear(&builder.threads);
	free(builder.times);
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
	free(verdicts->active);
	free(verdicts->causes);
	exchanges_free(&verdicts->exchanges);
	free(verdicts);
}
