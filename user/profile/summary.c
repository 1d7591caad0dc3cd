/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the computing of struct summary, in one pass over the samples. */
#include "profile/summary.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"

#define NS_PER_SECOND 1e9
#define NO_ROW        UINT32_MAX
#define NOT_SAMPLED   "[not sampled]"
#define NEGLIGIBLE    2000 /* of the whole time, the part that need not have its row of samples */

struct builder {
	const struct profile *profile;
	struct summary *summary;
	uint32_t *rows;        /* by function; see find_rows() */
	uint32_t *seen;        /* by row: number of the last sample that it was counted for */
	uint32_t *thread_rows; /* by the string of a thread's name: its row, or NO_ROW */
	struct table lines;    /* by row and line */
	struct table callers;  /* by row and what called */
	uint32_t sample;       /* number of the current one, from 1 on */
};

int64_t states_sum(const int64_t states[STATE_COUNT])
{
	int64_t sum = 0;
	int state;

	for (state = 0; state < STATE_COUNT; state++)
		sum += states[state];
	return sum;
}

/*
 * A function's row is the one of its own number, but native functions that differ in the source
 * file alone share the first one's: they are pieces of one.
 */
static int find_rows(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	const struct profile_function *function;
	struct table natives = {0};
	uint32_t *first, key[2], at, id;
	int added = 0;

	builder->rows = calloc((size_t)profile->function_count + 1, sizeof(*builder->rows));
	first = calloc((size_t)profile->function_count + 1, sizeof(*first));
	for (at = 0; builder->rows && first && at < profile->function_count; at++) {
		function = &profile->functions[at];
		builder->rows[at] = at;
		if (function->kind != KIND_NATIVE || !function->module)
			continue;
		key[0] = function->name;
		key[1] = function->module;
		added = table_intern(&natives, key, sizeof(key), &id, NULL);
		if (added < 0)
			break;
		if (added)
			first[id] = at;
		builder->rows[at] = first[id];
	}
	table_clear(&natives);
	free(first);
	return !builder->rows || !first || added < 0 ? -ENOMEM : 0;
}

/* The rows of functions come first, in the functions' order, until they are sorted. */
static int add_function_rows(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	const struct profile_function *function;
	struct summary_row *row;
	uint32_t at;
	void *grown;

	for (at = 0; at < profile->function_count; at++) {
		grown = array_grow(builder->summary->rows, at, sizeof(*row));
		if (!grown)
			return -ENOMEM;
		builder->summary->rows = grown;
		function = &profile->functions[at];
		row = &builder->summary->rows[at];
		*row = (struct summary_row){
			.function = at,
			.name = profile->strings[function->name],
			.file = profile_code_file(profile, at),
			.line = function->start_line,
			.kind = function->kind,
			.charged = function->kind == KIND_PYTHON,
		};
		builder->summary->row_count = at + 1;
	}
	return 0;
}

/* Adds a row that stands for no function. */
static int add_row(struct summary *summary, const char *name, const char *thread, uint32_t *row)
{
	char *label = NULL;
	void *grown;

	grown = array_grow(summary->rows, summary->row_count, sizeof(*summary->rows));
	if (!grown)
		return -ENOMEM;
	summary->rows = grown;
	grown = array_grow(summary->labels, summary->label_count, sizeof(*summary->labels));
	if (!grown)
		return -ENOMEM;
	summary->labels = grown;
	if (thread && asprintf(&label, "[thread %s]", thread) < 0)
		return -ENOMEM;
	if (label)
		summary->labels[summary->label_count++] = label;
	*row = summary->row_count++;
	summary->rows[*row] = (struct summary_row){.function = -1,
						   .name = name,
						   .file = label ? label : "",
						   .kind = KIND_NATIVE,
						   .charged = true};
	return 0;
}

static int add_line(struct builder *builder, uint32_t row, int32_t line,
		    const struct profile_sample *sample)
{
	struct summary *summary = builder->summary;
	struct summary_line key = {.row = row, .line = line};
	uint32_t id;
	void *grown;
	int added;

	grown = array_grow(summary->lines, summary->line_count, sizeof(*summary->lines));
	if (!grown)
		return -ENOMEM;
	summary->lines = grown;
	added = table_intern(&builder->lines, &key, offsetof(struct summary_line, ns), &id, NULL);
	if (added < 0)
		return added;
	if (added)
		summary->lines[summary->line_count++] = key;
	summary->lines[id].ns[sample->key.state] += sample->ns;
	summary->lines[id].grown += sample->grown_bytes;
	return 0;
}

/* Adds to the Python place that called a native row, or to the thread where none did. */
static int add_caller(struct builder *builder, uint32_t row, const struct profile_sample *sample)
{
	struct summary *summary = builder->summary;
	struct summary_caller key = {.row = row};
	uint32_t id;
	void *grown;
	int added;

	key.location = profile_stack_owner(builder->profile, sample->key.stack);
	key.thread = key.location < 0 ? sample->key.thread : 0;
	grown = array_grow(summary->callers, summary->caller_count, sizeof(*summary->callers));
	if (!grown)
		return -ENOMEM;
	summary->callers = grown;
	added = table_intern(&builder->callers, &key, offsetof(struct summary_caller, ns), &id,
			     NULL);
	if (added < 0)
		return added;
	if (added)
		summary->callers[summary->caller_count++] = key;
	summary->callers[id].ns += sample->ns;
	return 0;
}

static void charge_self(struct summary_row *row, const struct profile_sample *sample)
{
	row->self[sample->key.state] += sample->ns;
	if (sample->key.state == STATE_RUNNING)
		row->running[sample->key.leaf] += sample->ns;
	row->grown += sample->grown_bytes;
}

static void charge_total(struct summary_row *row, const struct profile_sample *sample)
{
	row->total[sample->key.state] += sample->ns;
	row->waits += sample->waits;
	row->grown_total += sample->grown_bytes;
}

/* Finds the row that a sample is charged to, and the line (0: none) in its function. */
static int find_charged(struct builder *builder, const struct profile_sample *sample, uint32_t *row,
			int32_t *line)
{
	const struct profile *profile = builder->profile;
	int64_t owner = profile_stack_owner(profile, sample->key.stack);
	uint32_t *known = &builder->thread_rows[sample->key.thread];
	int result = 0;

	*line = 0;
	if (owner >= 0) {
		*row = profile->locations[owner].function;
		*line = profile->locations[owner].line;
		return 0;
	}
	if (*known == NO_ROW)
		result = add_row(builder->summary, SUMMARY_NO_PYTHON,
				 profile->strings[sample->key.thread], known);
	*row = *known;
	if (!result)
		charge_total(&builder->summary->rows[*row], sample);
	return result;
}

/* Charges a sample to the native or kernel function that is its innermost frame. */
static int add_leaf(struct builder *builder, const struct profile_sample *sample,
		    const struct profile_location *leaf)
{
	const struct profile_function *functions = builder->profile->functions;
	uint32_t at = builder->rows[leaf->function];
	struct summary_row *row = &builder->summary->rows[at];
	int result = 0;

	charge_self(row, sample);
	/* Lines of another source file than the row's would be taken for its own. */
	if (leaf->line && functions[at].filename == functions[leaf->function].filename)
		result = add_line(builder, at, leaf->line, sample);
	if (!result && row->kind == KIND_NATIVE)
		result = add_caller(builder, at, sample);
	return result;
}

/* Adds a sample to the totals of all functions on its stack, and to its native leaf. */
static int add_stack(struct builder *builder, const struct profile_sample *sample)
{
	const struct profile *profile = builder->profile;
	const struct profile_stack *stack = &profile->stacks[sample->key.stack];
	struct summary_row *rows = builder->summary->rows;
	const struct profile_location *location;
	uint32_t at, row;

	for (at = 0; at < stack->depth; at++) {
		location = &profile->locations[profile->stack_locations[stack->first + at]];
		row = builder->rows[location->function];
		if (builder->seen[row] != builder->sample)
			charge_total(&rows[row], sample);
		builder->seen[row] = builder->sample;
		if (!at && !rows[row].charged && add_leaf(builder, sample, location))
			return -ENOMEM;
	}
	return 0;
}

/* A collection is put to the function that set it off: a finalizer in between is part of it. */
static void add_collection(struct builder *builder, const struct profile_sample *sample)
{
	const struct profile *profile = builder->profile;
	int64_t collector;
	uint32_t function;

	if (!sample->ns || !profile_stack_collects(profile, sample->key.stack, &collector))
		return;
	builder->summary->gc_ns += sample->ns;
	if (collector < 0)
		return;
	function = profile->locations[collector].function;
	builder->summary->rows[builder->rows[function]].gc_ns += sample->ns;
}

static int add_sample(struct builder *builder, const struct profile_sample *sample)
{
	uint32_t row;
	int32_t line;
	int result;

	result = find_charged(builder, sample, &row, &line);
	if (result)
		return result;
	charge_self(&builder->summary->rows[row], sample);
	if (sample->key.state == STATE_RUNNING)
		builder->summary->running[sample->key.leaf] += sample->ns;
	add_collection(builder, sample);
	builder->summary->grown += sample->grown_bytes;
	builder->summary->grows |= sample->grown_bytes != 0;
	if (row < builder->profile->function_count)
		result = add_line(builder, row, line, sample);
	return result ? result : add_stack(builder, sample);
}

/* Takes the exact totals from the ledgers and gives what no sample stands for a row of its own. */
static int add_totals(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	struct summary *summary = builder->summary;
	int64_t sampled[STATE_COUNT] = {0}, missing[STATE_COUNT] = {0};
	uint32_t at, row;
	int state, result;

	for (at = 0; at < profile->sample_count; at++)
		sampled[profile->samples[at].key.state] += profile->samples[at].ns;
	for (at = 0; at < profile->thread_count; at++)
		for (state = 0; state < STATE_COUNT; state++)
			summary->states[state] += profile->threads[at].ns[state];
	if (!profile->thread_count)
		memcpy(summary->states, sampled, sizeof(sampled));
	for (state = 0; state < STATE_COUNT; state++)
		if (summary->states[state] > sampled[state])
			missing[state] = summary->states[state] - sampled[state];
	if (states_sum(missing) <= states_sum(summary->states) / NEGLIGIBLE)
		return 0;
	result = add_row(summary, NOT_SAMPLED, NULL, &row);
	if (result)
		return result;
	memcpy(summary->rows[row].self, missing, sizeof(missing));
	memcpy(summary->rows[row].total, missing, sizeof(missing));
	return 0;
}

struct order {
	uint32_t row; /* as it was built */
	struct summary_row values;
};

static int compare_rows(const void *left, const void *right)
{
	const struct order *a = left, *b = right;

	if (a->values.self_ns != b->values.self_ns)
		return a->values.self_ns < b->values.self_ns ? 1 : -1;
	if (a->values.total_ns != b->values.total_ns)
		return a->values.total_ns < b->values.total_ns ? 1 : -1;
	return a->row < b->row ? -1 : a->row > b->row;
}

static int compare_lines(const void *left, const void *right)
{
	const struct summary_line *a = left, *b = right;

	if (a->row != b->row)
		return a->row < b->row ? -1 : 1;
	return a->line < b->line ? -1 : a->line > b->line;
}

static int compare_callers(const void *left, const void *right)
{
	const struct summary_caller *a = left, *b = right;

	if (a->row != b->row)
		return a->row < b->row ? -1 : 1;
	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	if (a->location != b->location)
		return a->location < b->location ? -1 : 1;
	return a->thread < b->thread ? -1 : a->thread > b->thread;
}

/* Has lines and callers follow their rows to their new places, and sorts them. */
static void follow(struct summary *summary, const uint32_t *place)
{
	uint32_t at;

	for (at = 0; at < summary->line_count; at++)
		summary->lines[at].row = place[summary->lines[at].row];
	for (at = 0; at < summary->caller_count; at++)
		summary->callers[at].row = place[summary->callers[at].row];
	if (summary->line_count)
		qsort(summary->lines, summary->line_count, sizeof(*summary->lines), compare_lines);
	if (summary->caller_count)
		qsort(summary->callers, summary->caller_count, sizeof(*summary->callers),
		      compare_callers);
}

static int sort(struct summary *summary)
{
	size_t count = (size_t)summary->row_count + 1;
	struct order *order = calloc(count, sizeof(*order));
	uint32_t *place = calloc(count, sizeof(*place)), at;

	if (!order || !place) {
		free(order);
		free(place);
		return -ENOMEM;
	}
	for (at = 0; at < summary->row_count; at++) {
		summary->rows[at].self_ns = states_sum(summary->rows[at].self);
		summary->rows[at].total_ns = states_sum(summary->rows[at].total);
		order[at] = (struct order){.row = at, .values = summary->rows[at]};
	}
	qsort(order, summary->row_count, sizeof(*order), compare_rows);
	for (at = 0; at < summary->row_count; at++) {
		summary->rows[at] = order[at].values;
		place[order[at].row] = at;
	}
	follow(summary, place);
	free(order);
	free(place);
	return 0;
}

static int build(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	uint32_t at;
	int result;

	builder->seen = calloc((size_t)profile->function_count + 1, sizeof(*builder->seen));
	builder->thread_rows = malloc(profile->string_count * sizeof(*builder->thread_rows));
	if (!builder->seen || !builder->thread_rows)
		return -ENOMEM;
	memset(builder->thread_rows, 0xff, profile->string_count * sizeof(*builder->thread_rows));
	result = find_rows(builder);
	if (!result)
		result = add_function_rows(builder);
	for (at = 0; at < profile->sample_count && !result; at++) {
		builder->sample = at + 1;
		result = add_sample(builder, &profile->samples[at]);
	}
	if (!result)
		result = add_totals(builder);
	return result ? result : sort(builder->summary);
}

int summary_make(const struct profile *profile, struct summary **summary)
{
	struct builder builder = {.profile = profile};
	int result = -ENOMEM;

	builder.summary = calloc(1, sizeof(*builder.summary));
	if (builder.summary)
		result = build(&builder);
	free(builder.rows);
	free(builder.seen);
	free(builder.thread_rows);
	table_clear(&builder.lines);
	table_clear(&builder.callers);
	if (result)
		summary_free(builder.summary);
	else
		*summary = builder.summary;
	return result;
}

void summary_free(struct summary *summary)
{
	uint32_t at;

	if (!summary)
		return;
	for (at = 0; at < summary->label_count; at++)
		free(summary->labels[at]);
	free(summary->labels);
	free(summary->rows);
	free(summary->lines);
	free(summary->callers);
	free(summary);
}

const struct summary_caller *summary_callers(const struct summary *summary, uint32_t row,
					     uint32_t *count)
{
	uint32_t low = 0, high = summary->caller_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (summary->callers[middle].row < row)
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < summary->caller_count; (*count)++)
		if (summary->callers[low + *count].row != row)
			break;
	return *count ? &summary->callers[low] : NULL;
}

const struct summary_line *summary_lines(const struct summary *summary, uint32_t row,
					 uint32_t *count)
{
	uint32_t low = 0, high = summary->line_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (summary->lines[middle].row < row)
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < summary->line_count; (*count)++)
		if (summary->lines[low + *count].row != row)
			break;
	return *count ? &summary->lines[low] : NULL;
}

struct profile_gc gc_of_all(const struct profile *profile)
{
	struct profile_gc all = {.source = GC_UNKNOWN};
	const struct profile_gc *gc;
	uint32_t at;
	int generation;

	for (at = 0; at < profile->process_count; at++) {
		gc = &profile->processes[at].gc;
		if (gc->source == GC_SAMPLED) {
			all.counted = gc->counted && (all.counted || all.source != GC_SAMPLED);
			all.timed = gc->timed && (all.timed || all.source != GC_SAMPLED);
		}
		if (gc->source > all.source)
			all.source = gc->source;
		for (generation = 0; generation < GC_GENERATIONS; generation++)
			all.collections[generation] += gc->collections[generation];
		all.ns += gc->ns;
		if (gc->longest_ns > all.longest_ns)
			all.longest_ns = gc->longest_ns;
	}
	return all;
}

bool gc_is_counted(const struct profile_gc *gc)
{
	return gc->source != GC_UNKNOWN && (gc->source != GC_SAMPLED || gc->counted);
}

/* Captured samples are a Poisson process of one each period. */
int64_t gc_deviation(const struct profile_gc *gc, uint32_t rate_hz)
{
	if (gc->source != GC_SAMPLED || gc->timed || !rate_hz)
		return 0;
	return (int64_t)sqrt((double)gc->ns * (NS_PER_SECOND / rate_hz));
}
