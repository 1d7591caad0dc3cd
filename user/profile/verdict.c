/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the verdict's arithmetic and wording. */
#include "profile/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"

#define ACTIVE_PART   200 /* a thread that ran for 1/200 of its time did something */
#define MIXED_PERCENT 40  /* below this the largest share bounds nothing */
#define SECOND        1e9

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
	struct table causes;
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
	return 0;
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
		if (time->active && add_cause(builder, sample))
			return -ENOMEM;
	}
	if (builder->verdicts->cause_count)
		qsort(builder->verdicts->causes, builder->verdicts->cause_count,
		      sizeof(struct cause), compare_causes);
	return 0;
}

static int64_t shares_sum(const struct verdict *verdict)
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
		verdicts->ns += shares_sum(&verdicts->processes[at]);
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
	free(verdicts->causes);
	free(verdicts);
}

static int percent(int64_t part, int64_t whole)
{
	return whole > 0 ? (int)((double)part * 100 / (double)whole + 0.5) : 0;
}

const char *verdict_word(const struct verdict *verdict)
{
	static const char *const words[SHARE_COUNT] = {
		[SHARE_RUNNING] = "CPU-bound",   [SHARE_IO] = "I/O-bound",
		[SHARE_EVENTS] = "Event-driven", [SHARE_LOCK] = "Lock-bound",
		[SHARE_GIL] = "GIL-bound",       [SHARE_IDLE] = "Mostly idle",
		[SHARE_OTHER] = "Blocked",
	};
	int64_t shares[SHARE_COUNT];
	int share, most = SHARE_RUNNING;

	if (!verdict->threads)
		return "Not seen";
	if (!shares_sum(verdict))
		return "Idle";
	memcpy(shares, verdict->shares, sizeof(shares));
	shares[SHARE_RUNNING] += shares[SHARE_RUNQUEUE];
	shares[SHARE_RUNQUEUE] = 0;
	for (share = 0; share < SHARE_COUNT; share++)
		if (shares[share] > shares[most])
			most = share;
	return percent(shares[most], shares_sum(verdict)) < MIXED_PERCENT ? "Mixed" : words[most];
}

/* Writes "71 % waiting on I/O, …", the largest share first, without those that round to 0 %. */
static void write_shares(const struct verdict *verdict, FILE *stream)
{
	static const char *const texts[SHARE_COUNT] = {
		[SHARE_RUNNING] = "on CPU",    [SHARE_RUNQUEUE] = "waiting for a CPU",
		[SHARE_IO] = "waiting on I/O", [SHARE_EVENTS] = "waiting for events",
		[SHARE_LOCK] = "for locks",    [SHARE_GIL] = "for the GIL",
		[SHARE_IDLE] = "idle",         [SHARE_OTHER] = "blocked otherwise",
	};
	bool written[SHARE_COUNT] = {false};
	int64_t sum = shares_sum(verdict);
	const char *before = "";
	int turn, share, most;

	for (turn = 0; turn < SHARE_COUNT; turn++) {
		most = -1;
		for (share = 0; share < SHARE_COUNT; share++)
			if (!written[share] &&
			    (most < 0 || verdict->shares[share] > verdict->shares[most]))
				most = share;
		written[most] = true;
		if (!percent(verdict->shares[most], sum))
			break;
		fprintf(stream, "%s%d %% %s", before, percent(verdict->shares[most], sum),
			texts[most]);
		before = ", ";
	}
}

/* Ends a stream opened by open_memstream(). */
static char *finish(FILE *stream, char **text)
{
	bool failed = ferror(stream);

	if (fclose(stream) || failed) {
		free(*text);
		return NULL;
	}
	return *text;
}

char *verdict_text(const struct verdict *verdict)
{
	int64_t sum = shares_sum(verdict);
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fprintf(stream, "%s: ", verdict_word(verdict));
	if (!verdict->threads) {
		fputs("none of its threads was seen.", stream);
	} else if (!sum) {
		fputs("no thread did more than wait.", stream);
	} else {
		write_shares(verdict, stream);
		fputc('.', stream);
		if (percent(verdict->handover_ns, sum + verdict->handover_ns) >= 5)
			fprintf(stream, " Beside that, %.1f s of waiting for other threads' work.",
				(double)verdict->handover_ns / SECOND);
	}
	return finish(stream, &text);
}

char *verdict_waited_text(const struct verdict *verdict)
{
	uint32_t left = verdict->threads - verdict->active, counts[STATE_COUNT];
	const char *before = ": ";
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	int state, most;

	if (!stream)
		return NULL;
	memcpy(counts, verdict->waited, sizeof(counts));
	if (left)
		fprintf(stream, "%" PRIu32 " thread%s only waited", left, left == 1 ? "" : "s");
	while (left) {
		most = 0;
		for (state = 0; state < STATE_COUNT; state++)
			if (counts[state] > counts[most])
				most = state;
		fprintf(stream, "%s%s %" PRIu32, before, state_name(most), counts[most]);
		before = ", ";
		left -= counts[most];
		counts[most] = 0;
	}
	if (verdict->threads > verdict->active)
		fputc('.', stream);
	return finish(stream, &text);
}
