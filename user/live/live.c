/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns threads between two looks; see live.h. */
#include "live/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "live/window.h"
#include "profile/table.h"

#define LOOKS_MISSED_MAX 3 /* a thread that so many looks did not see has ended */

struct thread_key {
	uint32_t process;
	uint32_t tid;
};

struct thread {
	struct thread_key key;
	struct live_ledger shown; /* what windows before this one have; all zero: nothing */
	struct live_ledger now;   /* as the last look, or the thread's end before it, has it */
	struct live_ledger end;   /* if it ended while a look went on, but after that */
	uint64_t exact_ns[STATE_COUNT]; /* known exactly of this window */
	struct live_sample away;        /* of the last look that came with one; all zero: none */
	bool is_away;                   /* still so in the last look */
	uint32_t look;                  /* number of the last one that saw it */
	bool ended;                     /* `end` is there */
	UT_hash_handle hh;
};

struct live {
	const struct profile *source;
	struct window *window;
	struct thread *threads;
	struct live_sample *late; /* taken while a look went on */
	uint32_t late_count;
	int64_t *gc_ns; /* of collections, by process: what windows before this one have */
	uint32_t gc_count;
	uint64_t start_ns; /* of the window */
	uint32_t look;
	bool looking;
	int error;
};

struct live *live_new(const struct profile *source, uint64_t start_ns)
{
	struct live *live = calloc(1, sizeof(*live));

	if (!live)
		return NULL;
	live->source = source;
	live->start_ns = start_ns;
	live->window = window_new(source);
	if (live->window)
		return live;
	live_free(live);
	return NULL;
}

void live_free(struct live *live)
{
	struct thread *thread, *next;

	if (!live)
		return;
	HASH_ITER (hh, live->threads, thread, next) {
		HASH_DEL(live->threads, thread);
		free(thread);
	}
	window_free(live->window);
	free(live->late);
	free(live->gc_ns);
	free(live);
}

static struct thread *thread_find(struct live *live, uint32_t process, uint32_t tid)
{
	struct thread_key key = {process, tid};
	struct thread *thread;

	HASH_FIND(hh, live->threads, &key, sizeof(key), thread);
	if (thread)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (!thread) {
		live->error = -ENOMEM;
		return NULL;
	}
	thread->key = key;
	thread->look = live->look;
	HASH_ADD(hh, live->threads, key, sizeof(thread->key), thread);
	return thread;
}

static void thread_remove(struct live *live, struct thread *thread)
{
	HASH_DEL(live->threads, thread);
	free(thread);
}

/* The part of an interval, `length` long until `end_ns`, between two times. */
static uint64_t interval_clip(uint64_t end_ns, uint64_t length, uint64_t from, uint64_t until)
{
	uint64_t begin_ns = length < end_ns ? end_ns - length : 0;

	if (begin_ns < from)
		begin_ns = from;
	if (end_ns > until)
		end_ns = until;
	return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

/*
 * Adds what an interval of a sample has in the window, which ends at `until`. Exact ones, which
 * stand for themselves, count with their part; short ones stand for others of their kind, count in
 * the window in which they end, and are scaled.
 */
static void interval_add(struct live *live, struct thread *thread, const struct profile_key *key,
			 uint64_t end_ns, uint64_t ns, uint64_t length, uint64_t until)
{
	int error = 0;

	if (ns != length) {
		if (end_ns <= until)
			error = window_add_sampled(live->window, key, ns);
	} else {
		ns = interval_clip(end_ns, length, thread->shown.end_ns, until);
		thread->exact_ns[key->state] += ns;
		if (ns)
			error = window_add_exact(live->window, key, ns);
	}
	if (error)
		live->error = error;
}

static struct profile_key runqueue_key(const struct live_sample *sample)
{
	struct profile_key key = sample->key;

	key.state = STATE_RUNQUEUE;
	key.target = 0;
	return key;
}

static void sample_count(struct live *live, struct thread *thread, const struct live_sample *sample,
			 uint64_t until)
{
	struct profile_key key = runqueue_key(sample);

	if (sample->ns)
		interval_add(live, thread, &sample->key,
			     sample->time_ns - sample->runqueue_length_ns, sample->ns,
			     sample->length_ns, until);
	if (sample->runqueue_ns)
		interval_add(live, thread, &key, sample->time_ns, sample->runqueue_ns,
			     sample->runqueue_length_ns, until);
}

static void late_add(struct live *live, const struct live_sample *sample)
{
	struct live_sample *grown = array_grow(live->late, live->late_count, sizeof(*grown));

	if (!grown) {
		live->error = -ENOMEM;
		return;
	}
	live->late = grown;
	live->late[live->late_count++] = *sample;
}

void live_add_sample(struct live *live, const struct live_sample *sample)
{
	struct thread *thread;

	if (sample->key.state >= STATE_COUNT)
		return;
	if (live->looking && !sample->look) {
		late_add(live, sample);
		return;
	}
	thread = thread_find(live, sample->key.process, sample->key.tid);
	if (!thread)
		return;
	if (!sample->look) {
		sample_count(live, thread, sample, UINT64_MAX);
		return;
	}
	thread->away = *sample;
	thread->is_away = true;
}

/*
 * What the thread did since the window before. A wait that was there when the thread became known
 * may be understood otherwise when it ends: then the one state has less than it had, and the
 * other one more than the window is long. The difference is taken from the largest.
 */
static void ledger_difference(const struct thread *thread, struct profile_thread *part)
{
	const struct live_ledger *now = &thread->now, *shown = &thread->shown;
	int64_t missing = 0;
	int state, most = 0;

	memset(part, 0, sizeof(*part));
	part->process = now->process;
	part->tid = now->tid;
	part->name = now->name;
	part->start_ns = (int64_t)(shown->end_ns ? shown->end_ns : now->start_ns);
	part->end_ns = (int64_t)now->end_ns;
	for (state = 0; state < STATE_COUNT; state++) {
		part->ns[state] = (int64_t)(now->ns[state] - shown->ns[state]);
		if (part->ns[state] < 0) {
			missing -= part->ns[state];
			part->ns[state] = 0;
		}
		if (part->ns[state] > part->ns[most])
			most = state;
	}
	part->ns[most] -= missing < part->ns[most] ? missing : part->ns[most];
}

/* Adds what a look saw: a thread that is still away. The ledger says how much of it there is. */
static void away_count(struct live *live, struct thread *thread, const struct profile_thread *part)
{
	const struct live_sample *away = &thread->away;
	struct profile_key key = away->key;
	int64_t left, queued = part->ns[STATE_RUNQUEUE] - (int64_t)thread->exact_ns[STATE_RUNQUEUE];
	uint64_t ns = interval_clip(thread->now.end_ns, away->ns + away->runqueue_ns,
				    thread->shown.end_ns, UINT64_MAX);
	int error = 0;

	left = part->ns[key.state] - (int64_t)thread->exact_ns[key.state];
	if (left > (int64_t)ns)
		left = (int64_t)ns;
	if (left > 0)
		error = window_add_exact(live->window, &key, (uint64_t)left);
	/* The rest is that it has been woken, and waits for a CPU. */
	ns -= left > 0 ? (uint64_t)left : 0;
	key = runqueue_key(away);
	if (key.state != away->key.state && queued > 0 && ns && !error)
		error = window_add_exact(live->window, &key,
					 (uint64_t)queued < ns ? (uint64_t)queued : ns);
	if (error)
		live->error = error;
}

/* The thread is where the last look with a sample saw it: all of the window. */
static void away_go_on(struct thread *thread)
{
	if (!thread->away.ns)
		return;
	thread->away.ns += thread->now.end_ns - thread->shown.end_ns;
	thread->is_away = true;
}

/* Gives the window what the thread did in it, and begins the next one. */
static void thread_settle(struct live *live, struct thread *thread)
{
	struct profile_thread part;

	ledger_difference(thread, &part);
	if (thread->is_away)
		away_count(live, thread, &part);
	if (window_add_thread(live->window, &part))
		live->error = -ENOMEM;
	thread->shown = thread->now;
	memset(thread->exact_ns, 0, sizeof(thread->exact_ns));
	thread->is_away = false;
}

void live_add_ledger(struct live *live, const struct live_ledger *ledger)
{
	struct thread *thread = thread_find(live, ledger->process, ledger->tid);

	if (!thread)
		return;
	if (!live->looking) {
		thread->now = *ledger;
		thread_settle(live, thread);
		thread_remove(live, thread);
	} else if (thread->look == live->look && thread->now.end_ns) {
		thread->ended = true;
		thread->end = *ledger;
	} else {
		thread->now = *ledger;
		thread->look = live->look;
		if (ledger->still_away)
			away_go_on(thread);
	}
}

void live_look_begin(struct live *live)
{
	live->looking = true;
	live->look++;
}

/* Counts what was sampled while the look went on; `rest`: what is of the window that follows. */
static void late_count(struct live *live, bool rest)
{
	uint32_t i;

	for (i = 0; i < live->late_count; i++) {
		const struct live_sample *sample = &live->late[i];
		struct thread *thread = thread_find(live, sample->key.process, sample->key.tid);

		if (!thread)
			return;
		if (!rest)
			sample_count(live, thread, sample, thread->now.end_ns);
		else if (sample->time_ns > thread->shown.end_ns)
			sample_count(live, thread, sample, UINT64_MAX);
	}
}

/* Returns when the threads were looked at, on average; `now_ns`: there are none. */
static uint64_t threads_settle(struct live *live, uint64_t now_ns)
{
	struct thread *thread, *next;
	uint64_t before = 0,
		 count = 0; /* of all looks together, by how much they were before now */

	HASH_ITER (hh, live->threads, thread, next) {
		if (thread->look == live->look && thread->now.end_ns) {
			before += now_ns > thread->now.end_ns ? now_ns - thread->now.end_ns : 0;
			count++;
			thread_settle(live, thread);
		} else if (live->look - thread->look >= LOOKS_MISSED_MAX) {
			thread_remove(live, thread);
		}
	}
	return count ? now_ns - before / count : now_ns;
}

/* What ended while the look went on is of the next window. */
static void ended_settle(struct live *live)
{
	struct thread *thread, *next;

	HASH_ITER (hh, live->threads, thread, next) {
		if (!thread->ended)
			continue;
		thread->now = thread->end;
		thread_settle(live, thread);
		thread_remove(live, thread);
	}
}

/* Collections that a process' probes tell of are counted from the capture's start. */
static int collections_cut(struct live *live, struct profile *profile)
{
	uint32_t i;

	while (live->gc_count < profile->process_count) {
		int64_t *grown = array_grow(live->gc_ns, live->gc_count, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		live->gc_ns = grown;
		live->gc_ns[live->gc_count++] = 0;
	}
	for (i = 0; i < profile->process_count; i++) {
		struct profile_process process = profile->processes[i];

		process.gc.ns -= live->gc_ns[i];
		live->gc_ns[i] += process.gc.ns;
		profile_process_set(profile, i, &process);
	}
	return 0;
}

/* Where collections are only sampled, so is the time that they take. */
static void collections_add(struct profile *profile)
{
	uint32_t i;

	for (i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		struct profile_process process = profile->processes[sample->key.process];

		if (process.gc.source != GC_SAMPLED || sample->key.leaf != LEAF_GC)
			continue;
		process.gc.ns += sample->ns;
		profile_process_set(profile, sample->key.process, &process);
	}
}

static int window_close(struct live *live, uint64_t now_ns, struct profile **profile)
{
	struct window *next = window_new(live->source);
	int error = next ? window_finish(live->window, profile) : -ENOMEM;

	if (error) {
		window_free(next);
		return error;
	}
	window_free(live->window);
	live->window = next;
	(*profile)->facts.duration_ns = (int64_t)(now_ns - live->start_ns);
	live->start_ns = now_ns;
	error = collections_cut(live, *profile);
	collections_add(*profile);
	return error;
}

int live_look_end(struct live *live, uint64_t now_ns, struct profile **profile)
{
	int error;

	*profile = NULL;
	live->looking = false;
	late_count(live, false);
	now_ns = threads_settle(live, now_ns);
	error = window_close(live, now_ns, profile);
	if (error)
		live->error = error;
	late_count(live, true);
	ended_settle(live);
	free(live->late);
	live->late = NULL;
	live->late_count = 0;
	if (live->error) {
		profile_free(*profile);
		*profile = NULL;
	}
	return live->error;
}

uint32_t live_pending(const struct live *live)
{
	return window_samples(live->window);
}

void live_forget_stacks(struct live *live)
{
	struct thread *thread, *next;

	HASH_ITER (hh, live->threads, thread, next) {
		memset(&thread->away, 0, sizeof(thread->away));
	}
	window_forget_stacks(live->window);
}
