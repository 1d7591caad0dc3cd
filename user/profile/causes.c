/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the finding of the causes, and of what is worth telling of each. */
#include "profile/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profile/library.h"
#include "profile/table.h"
#include "profile/tally.h"

#define NO_NAME UINT32_MAX

/* How long the innermost frame of a cause was a native function, or one of a module. */
struct native_time {
	uint32_t cause; /* as numbered before the causes are sorted */
	uint32_t module;
	uint32_t name;    /* string, of the function; NO_NAME: for any of the module */
	uint32_t example; /* a function of that name */
	int64_t ns;
};

/* Of what the time of a cause is told apart further: struct tally.key[1], after the cause. */
enum detail { DETAIL_LINE, DETAIL_HOLDER, DETAIL_WAKER };

struct causes {
	const struct profile *profile;
	struct verdicts *verdicts;
	struct table table;
	struct tallies details; /* by cause, detail, and line or string */
	struct table natives;   /* by cause, and function or module */
	struct native_time *native_times;
};

/* All that many small round trips cost is one cause: what waits for the answers and what does not. */
static void cause_is_pattern(const struct exchanges *exchanges, uint32_t at, struct cause *cause)
{
	cause->function = exchanges->items[at].function;
	cause->thread = 0;
	cause->column = COLUMN_IO;
	cause->state = STATE_SOCKET;
	cause->target = exchanges->items[at].target;
	cause->exchange = at;
}

/* Whether a sample is part of a cause, and of which: fills what tells causes apart. */
static bool cause_of(const struct profile *profile, const struct exchanges *exchanges,
		     const struct profile_sample *sample, struct cause *cause)
{
	int64_t owner = stack_own_location(profile, sample->key.stack);
	enum column column = state_column(sample->key.state);
	uint32_t at;

	memset(cause, 0, sizeof(*cause));
	cause->native_function = -1;
	cause->exchange = -1;
	cause->function = owner < 0 ? -1 : (int64_t)profile->locations[owner].function;
	cause->thread = owner < 0 ? sample->key.thread : 0;
	cause->column = column;
	if (column == COLUMN_IO) {
		cause->state = sample->key.state;
		cause->target = sample->key.target;
	}
	for (at = 0; at < exchanges->count; at++) {
		if (!exchange_is_many(&exchanges->items[at]) ||
		    !exchange_has(profile, &exchanges->items[at], sample->key.stack))
			continue;
		cause_is_pattern(exchanges, at, cause);
		break;
	}
	return column != COLUMN_IDLE && column != COLUMN_OTHER && sample->key.state != STATE_POLL &&
	       !verdict_is_handover(profile, sample) && !verdict_is_client_wait(profile, sample);
}

static int add_native_time(struct causes *causes, const struct native_time *time)
{
	uint32_t id;
	void *grown;
	int added;

	grown = array_grow(causes->native_times, causes->natives.count, sizeof(*time));
	if (!grown)
		return -ENOMEM;
	causes->native_times = grown;
	added = table_intern(&causes->natives, time, offsetof(struct native_time, example), &id,
			     NULL);
	if (added < 0)
		return added;
	if (added)
		causes->native_times[id] = *time;
	else
		causes->native_times[id].ns += time->ns;
	return 0;
}

/* Adds a sample that ran native code to what its innermost function and module had. */
static int add_native(struct causes *causes, const struct profile_sample *sample, uint32_t cause)
{
	const struct profile *profile = causes->profile;
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
	result = add_native_time(causes, &time);
	time.name = NO_NAME;
	return result || !time.module ? result : add_native_time(causes, &time);
}

/* Tells the causes which native function and module had at least half of their native time. */
static void name_natives(struct causes *causes)
{
	const struct native_time *time;
	struct cause *cause;
	uint32_t at;

	for (at = 0; at < causes->natives.count; at++) {
		time = &causes->native_times[at];
		cause = &causes->verdicts->causes[time->cause];
		if (time->ns < cause->running[LEAF_NATIVE] - time->ns)
			continue;
		if (time->name == NO_NAME)
			cause->native_module = time->module;
		else if (cause->native_function < 0)
			cause->native_function = time->example;
	}
}

static int add_detail(struct causes *causes, uint32_t cause, enum detail detail, uint32_t value,
		      int64_t ns)
{
	struct tally *tally;

	if (!value)
		return 0;
	if (tally_find(&causes->details, (uint32_t[TALLY_KEYS]){cause, detail, value}, &tally))
		return -ENOMEM;
	tally->ns += ns;
	return 0;
}

/* Adds to the line that was run, to who had the GIL, and to who ended the wait. */
static int add_details(struct causes *causes, const struct profile_sample *sample, uint32_t cause)
{
	const struct profile *profile = causes->profile;
	int64_t owner = stack_own_location(profile, sample->key.stack);
	int32_t line = owner < 0 ? 0 : profile->locations[owner].line;
	int result;

	result = add_detail(causes, cause, DETAIL_LINE, line > 0 ? (uint32_t)line : 0, sample->ns);
	if (!result)
		result = add_detail(causes, cause, DETAIL_HOLDER, sample->key.gil_holder,
				    sample->ns);
	if (result)
		return result;
	return add_detail(causes, cause, DETAIL_WAKER, sample->key.waker, sample->ns);
}

/* Tells the causes what had at least half of their time. */
static void name_details(struct causes *causes)
{
	const struct tally *detail;
	struct cause *cause;
	uint32_t at;

	for (at = 0; at < causes->details.count; at++) {
		detail = &causes->details.items[at];
		cause = &causes->verdicts->causes[detail->key[0]];
		if (detail->ns < cause->ns - detail->ns)
			continue;
		if (detail->key[1] == DETAIL_LINE) {
			cause->line = (int32_t)detail->key[2];
		} else if (detail->key[1] == DETAIL_HOLDER) {
			cause->gil_holder = detail->key[2];
			cause->holder_ns = detail->ns;
		} else {
			cause->waker = detail->key[2];
			cause->waker_ns = detail->ns;
		}
	}
}

static int add_cause(struct causes *causes, const struct profile_sample *sample)
{
	struct verdicts *verdicts = causes->verdicts;
	struct cause cause;
	uint32_t id;
	void *grown;
	int added;

	if (!cause_of(causes->profile, &verdicts->exchanges, sample, &cause))
		return 0;
	grown = array_grow(verdicts->causes, verdicts->cause_count, sizeof(cause));
	if (!grown)
		return -ENOMEM;
	verdicts->causes = grown;
	added = table_intern(&causes->table, &cause, offsetof(struct cause, ns), &id, NULL);
	if (added < 0)
		return added;
	if (added)
		verdicts->causes[verdicts->cause_count++] = cause;
	verdicts->causes[id].ns += sample->ns;
	verdicts->causes[id].waits += sample->waits;
	if (sample->key.state == STATE_RUNNING)
		verdicts->causes[id].running[sample->key.leaf] += sample->ns;
	if (add_details(causes, sample, id))
		return -ENOMEM;
	return add_native(causes, sample, id);
}

static int compare_causes(const void *left, const void *right)
{
	const struct cause *a = left, *b = right;

	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	return memcmp(a, b, offsetof(struct cause, ns));
}

static int find_causes(struct causes *causes)
{
	const struct profile *profile = causes->profile;
	struct verdicts *verdicts = causes->verdicts;
	uint32_t at;

	for (at = 0; at < profile->sample_count; at++)
		if (verdicts->active[at] && add_cause(causes, &profile->samples[at]))
			return -ENOMEM;
	name_natives(causes);
	name_details(causes);
	if (verdicts->cause_count)
		qsort(verdicts->causes, verdicts->cause_count, sizeof(struct cause),
		      compare_causes);
	return 0;
}

int causes_make(const struct profile *profile, struct verdicts *verdicts)
{
	struct causes causes = {.profile = profile, .verdicts = verdicts};
	int result = find_causes(&causes);

	table_clear(&causes.table);
	table_clear(&causes.natives);
	tallies_clear(&causes.details);
	free(causes.native_times);
	return result;
}
