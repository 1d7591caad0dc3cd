/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns adding windows up; see rows.h. */
#include "live/rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live/processes.h"
#include "profile/summary.h"
#include "profile/table.h"
#include "profile/tally.h"

#define ROWS_MAX 20000 /* of one view; then those with the least time are dropped */
#define NO_ROW   UINT32_MAX

/* The fixed part of what rows are found by; name and file follow, each with its NUL. */
struct row_key {
	uint32_t pid;
	uint32_t tid;
	int32_t line;
	uint32_t kind;
};

struct row_table {
	struct table table;
	struct row *rows;
	uint32_t count;
};

struct rows {
	bool native;
	uint32_t window; /* number of the last one, from 1 on */
	struct row_table views[ROWS_VIEWS];
	struct row_head heads[PERIOD_COUNT];
	struct live_processes processes;
	uint64_t sample; /* number of the last one */
};

/* A window while it is added. Arrays by function and location: the rows of each, or NO_ROW. */
struct adding {
	struct rows *rows;
	const struct profile *profile;
	uint32_t *function_rows, *location_rows;
	struct tallies places; /* time of threads by process, tid, location + 1 and state */
	struct table threads;  /* those with a ledger, by process and tid */
	uint32_t *thread_rows; /* the row of each of them */
	uint32_t thread_count;
};

struct rows *rows_new(bool native)
{
	struct rows *rows = calloc(1, sizeof(*rows));

	if (rows)
		rows->native = native;
	return rows;
}

static void where_forget(struct row *row)
{
	free(row->where);
	free(row->where_file);
	row->where = NULL;
	row->where_file = NULL;
}

static void table_free(struct row_table *table)
{
	uint32_t i;

	for (i = 0; i < table->count; i++)
		where_forget(&table->rows[i]);
	free(table->rows);
	table_clear(&table->table);
	memset(table, 0, sizeof(*table));
}

void rows_free(struct rows *rows)
{
	int view;

	if (!rows)
		return;
	for (view = 0; view < ROWS_VIEWS; view++)
		table_free(&rows->views[view]);
	live_processes_clear(&rows->processes);
	free(rows);
}

/* Finds or adds a row and stores its number. Returns 0 or -ENOMEM. */
static int row_find(struct row_table *table, const struct row_key *key, const char *name,
		    const char *file, uint32_t *id)
{
	size_t name_size = strlen(name) + 1, file_size = strlen(file) + 1;
	size_t size = sizeof(*key) + name_size + file_size;
	struct row *grown = array_grow(table->rows, table->count, sizeof(*grown));
	const void *kept;
	char *bytes;
	int added;

	if (!grown)
		return -ENOMEM;
	table->rows = grown;
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, key, sizeof(*key));
	memcpy(bytes + sizeof(*key), name, name_size);
	memcpy(bytes + sizeof(*key) + name_size, file, file_size);
	added = table_intern(&table->table, bytes, size, id, &kept);
	free(bytes);
	if (added < 0)
		return added;
	if (added) {
		const char *text = (const char *)kept + sizeof(*key);

		table->rows[table->count++] = (struct row){.name = text,
							   .file = text + name_size,
							   .line = key->line,
							   .pid = key->pid,
							   .tid = key->tid,
							   .kind = key->kind};
	}
	return 0;
}

/* The times of a row; those of the last window begin anew with each. */
static struct row *row_touch(struct rows *rows, enum row_view view, uint32_t id)
{
	struct row *row = &rows->views[view].rows[id];

	if (row->window != rows->window)
		memset(&row->times[PERIOD_WINDOW], 0, sizeof(row->times[PERIOD_WINDOW]));
	row->window = rows->window;
	return row;
}

static void row_add_self(struct rows *rows, enum row_view view, uint32_t id,
			 const struct profile_sample *sample)
{
	struct row *row = row_touch(rows, view, id);

	row->times[PERIOD_WINDOW].self[sample->key.state] += sample->ns;
	row->times[PERIOD_ALL].self[sample->key.state] += sample->ns;
}

/* Once a sample. */
static void row_add_total(struct rows *rows, enum row_view view, uint32_t id,
			  const struct profile_sample *sample)
{
	struct row *row = row_touch(rows, view, id);

	if (row->sample == rows->sample)
		return;
	row->sample = rows->sample;
	row->times[PERIOD_WINDOW].total[sample->key.state] += sample->ns;
	row->times[PERIOD_ALL].total[sample->key.state] += sample->ns;
}

/* The rows of a location: of its function, and of its line. */
static int location_rows(struct adding *adding, uint32_t location, uint32_t ids[2])
{
	const struct profile *profile = adding->profile;
	const struct profile_location *place = &profile->locations[location];
	const struct profile_function *function = &profile->functions[place->function];
	const char *name = profile->strings[function->name];
	const char *file = profile_code_file(profile, place->function);
	struct row_key key = {.line = function->start_line, .kind = function->kind};
	int error = 0;

	ids[0] = adding->function_rows[place->function];
	ids[1] = adding->location_rows[location];
	if (ids[0] == NO_ROW)
		error = row_find(&adding->rows->views[ROWS_FUNCTION], &key, name, file, &ids[0]);
	if (!error && ids[1] == NO_ROW) {
		key.line = place->line;
		error = row_find(&adding->rows->views[ROWS_LINE], &key, name, file, &ids[1]);
	}
	if (error)
		return error;
	adding->function_rows[place->function] = ids[0];
	adding->location_rows[location] = ids[1];
	return 0;
}

static int both_add_self(struct adding *adding, uint32_t location,
			 const struct profile_sample *sample)
{
	uint32_t ids[2];
	int error = location_rows(adding, location, ids);

	if (error)
		return error;
	row_add_self(adding->rows, ROWS_FUNCTION, ids[0], sample);
	row_add_self(adding->rows, ROWS_LINE, ids[1], sample);
	return 0;
}

/* Time without a Python function goes by the thread, and by what is known of the stack. */
static int stackless_add(struct adding *adding, const struct profile_sample *sample)
{
	const struct profile *profile = adding->profile;
	const struct profile_stack *stack = &profile->stacks[sample->key.stack];
	const struct row_key key = {.kind = KIND_PYTHON};
	const char *name = SUMMARY_NO_PYTHON;
	uint32_t at, function, id;
	int view, error = 0;

	for (at = 0; at < stack->depth; at++) {
		function = profile->locations[profile->stack_locations[stack->first + at]].function;
		if (profile_is_notice(profile, function))
			name = profile->strings[profile->functions[function].name];
	}
	for (view = ROWS_FUNCTION; !error && view <= ROWS_LINE; view++) {
		error = row_find(&adding->rows->views[view], &key, name,
				 profile->strings[sample->key.thread], &id);
		if (error)
			return error;
		row_add_self(adding->rows, view, id, sample);
		row_add_total(adding->rows, view, id, sample);
	}
	return error;
}

static bool location_is_shown(const struct adding *adding, uint32_t location)
{
	uint32_t function = adding->profile->locations[location].function;

	if (adding->profile->functions[function].kind == KIND_PYTHON)
		return true;
	return adding->rows->native && !profile_is_notice(adding->profile, function);
}

static int stack_add(struct adding *adding, const struct profile_sample *sample)
{
	const struct profile *profile = adding->profile;
	const struct profile_stack *stack = &profile->stacks[sample->key.stack];
	uint32_t at, ids[2];
	int error = 0;

	for (at = 0; !error && at < stack->depth; at++) {
		uint32_t location = profile->stack_locations[stack->first + at];
		const struct profile_location *place = &profile->locations[location];

		if (!location_is_shown(adding, location))
			continue;
		error = location_rows(adding, location, ids);
		if (error)
			break;
		row_add_total(adding->rows, ROWS_FUNCTION, ids[0], sample);
		row_add_total(adding->rows, ROWS_LINE, ids[1], sample);
		if (!at && profile->functions[place->function].kind != KIND_PYTHON)
			error = both_add_self(adding, location, sample);
	}
	return error;
}

static int place_add(struct adding *adding, const struct profile_sample *sample, int64_t owner)
{
	const uint32_t key[TALLY_KEYS] = {sample->key.process, sample->key.tid,
					  (uint32_t)(owner + 1), sample->key.state};
	struct tally *tally;
	int error = tally_find(&adding->places, key, &tally);

	if (!error)
		tally->ns += sample->ns;
	return error;
}

static int sample_add(struct adding *adding, const struct profile_sample *sample)
{
	int64_t owner = profile_stack_owner(adding->profile, sample->key.stack);
	int error = place_add(adding, sample, owner);

	adding->rows->sample++;
	if (error)
		return error;
	error = owner < 0 ? stackless_add(adding, sample)
			  : both_add_self(adding, (uint32_t)owner, sample);
	return error ? error : stack_add(adding, sample);
}

static int ledger_add(struct adding *adding, enum row_view view, const struct row_key *key,
		      const char *name, const int64_t ns[STATE_COUNT], uint32_t *id)
{
	struct row *row;
	int period, state, error = row_find(&adding->rows->views[view], key, name, "", id);

	if (error)
		return error;
	row = row_touch(adding->rows, view, *id);
	for (period = 0; period < PERIOD_COUNT; period++)
		for (state = 0; state < STATE_COUNT; state++) {
			row->times[period].self[state] += ns[state];
			row->times[period].total[state] += ns[state];
		}
	return 0;
}

/* Notes the row of a thread. One whose ledger comes in parts has it already. */
static int thread_note(struct adding *adding, const struct profile_thread *thread, uint32_t row)
{
	const uint32_t key[2] = {thread->process, thread->tid};
	uint32_t *grown, id;
	int added = table_intern(&adding->threads, key, sizeof(key), &id, NULL);

	if (added <= 0)
		return added;
	grown = array_grow(adding->thread_rows, id, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	adding->thread_rows = grown;
	adding->thread_rows[adding->thread_count++] = row;
	return 0;
}

static int thread_add(struct adding *adding, const struct profile_thread *thread)
{
	const struct profile *profile = adding->profile;
	const struct profile_process *process = &profile->processes[thread->process];
	struct row_key key = {.pid = process->pid, .tid = thread->tid};
	int period, state, error;
	uint32_t id;

	for (period = 0; period < PERIOD_COUNT; period++)
		for (state = 0; state < STATE_COUNT; state++)
			adding->rows->heads[period].states[state] += thread->ns[state];
	error = ledger_add(adding, ROWS_THREAD, &key, profile->strings[thread->name], thread->ns,
			   &id);
	if (!error)
		error = thread_note(adding, thread, id);
	key.tid = 0;
	return error ? error
		     : ledger_add(adding, ROWS_PROCESS, &key, profile->strings[process->command],
				  thread->ns, &id);
}

/* Says where a thread was: the place with the most of its time, which comes first. */
static int where_set(struct adding *adding, const struct tally *place)
{
	const struct profile *profile = adding->profile;
	const struct profile_location *location;
	const struct profile_function *function;
	struct row *row;
	uint32_t id;

	if (table_intern(&adding->threads, place->key, 2 * sizeof(*place->key), &id, NULL) < 0)
		return -ENOMEM;
	if (id >= adding->thread_count) /* no ledger tells of it */
		return 0;
	row = &adding->rows->views[ROWS_THREAD].rows[adding->thread_rows[id]];
	if (row->sample == adding->rows->window)
		return 0;
	row->sample = adding->rows->window;
	row->state = place->key[3];
	where_forget(row);
	if (!place->key[2])
		return 0;
	location = &profile->locations[place->key[2] - 1];
	function = &profile->functions[location->function];
	row->where = strdup(profile->strings[function->name]);
	row->where_file = strdup(profile->strings[function->filename]);
	row->where_line = location->line;
	return row->where && row->where_file ? 0 : -ENOMEM;
}

static int threads_add(struct adding *adding)
{
	uint32_t i;
	int error = 0;

	for (i = 0; !error && i < adding->profile->thread_count; i++)
		error = thread_add(adding, &adding->profile->threads[i]);
	tallies_sort(&adding->places);
	for (i = 0; !error && i < adding->places.count; i++)
		error = where_set(adding, &adding->places.items[i]);
	return error;
}

/* profile_gc.ns of a window is what the window adds. */
static void head_add(struct rows *rows, const struct profile *profile)
{
	const struct profile_gc gc = gc_of_all(profile);
	int period;

	memset(&rows->heads[PERIOD_WINDOW], 0, sizeof(rows->heads[PERIOD_WINDOW]));
	for (period = 0; period < PERIOD_COUNT; period++) {
		rows->heads[period].ns += profile->facts.duration_ns;
		rows->heads[period].gc_ns += gc.ns;
		rows->heads[period].gc_known = gc.source != GC_UNKNOWN;
	}
}

/* All time of a row since the reset, with what was idle. */
static int64_t row_weight(const struct row *row)
{
	return row_time(&row->times[PERIOD_ALL], ORDER_TOTAL, true);
}

static int compare_weights(const void *left, const void *right)
{
	int64_t a = row_weight(left), b = row_weight(right);

	return a < b ? 1 : a > b ? -1 : 0;
}

static int row_copy(struct row_table *table, const struct row *row)
{
	const struct row_key key = {row->pid, row->tid, row->line, row->kind};
	uint32_t id;
	int error = row_find(table, &key, row->name, row->file, &id);
	const char *name, *file;

	if (error)
		return error;
	name = table->rows[id].name;
	file = table->rows[id].file;
	table->rows[id] = *row;
	table->rows[id].name = name;
	table->rows[id].file = file;
	return 0;
}

/* Drops the rows that have had the least time, if there are too many. */
static int table_prune(struct row_table *table)
{
	struct row_table kept = {0};
	uint32_t i;
	int error = 0;

	if (table->count < ROWS_MAX)
		return 0;
	qsort(table->rows, table->count, sizeof(*table->rows), compare_weights);
	for (i = 0; !error && i < ROWS_MAX / 2; i++) {
		error = row_copy(&kept, &table->rows[i]);
		if (!error) { /* these are the copy's now */
			table->rows[i].where = NULL;
			table->rows[i].where_file = NULL;
		}
	}
	if (error) {
		table_free(&kept);
		return error;
	}
	table_free(table);
	*table = kept;
	return 0;
}

int rows_add(struct rows *rows, const struct profile *profile)
{
	struct adding adding = {.rows = rows, .profile = profile};
	uint32_t i;
	int view, error = 0;

	adding.function_rows = malloc(((size_t)profile->function_count + 1) * sizeof(uint32_t));
	adding.location_rows = malloc(((size_t)profile->location_count + 1) * sizeof(uint32_t));
	if (!adding.function_rows || !adding.location_rows)
		error = -ENOMEM;
	for (i = 0; !error && i < profile->function_count; i++)
		adding.function_rows[i] = NO_ROW;
	for (i = 0; !error && i < profile->location_count; i++)
		adding.location_rows[i] = NO_ROW;
	rows->window++;
	for (view = 0; !error && view < ROWS_VIEWS; view++)
		error = table_prune(&rows->views[view]);
	head_add(rows, profile);
	for (i = 0; !error && i < profile->sample_count; i++)
		error = sample_add(&adding, &profile->samples[i]);
	if (!error)
		error = threads_add(&adding);
	if (!error)
		error = live_processes_add(&rows->processes, profile);
	tallies_clear(&adding.places);
	table_clear(&adding.threads);
	free(adding.thread_rows);
	free(adding.function_rows);
	free(adding.location_rows);
	return error;
}

void rows_add_gil(struct rows *rows, double share)
{
	int64_t running = rows->heads[PERIOD_WINDOW].states[STATE_RUNNING];
	int period;

	for (period = 0; period < PERIOD_COUNT; period++)
		rows->heads[period].gil_held_ns += (int64_t)((double)running * share);
}

const struct row_head *rows_head(const struct rows *rows, enum period period)
{
	return &rows->heads[period];
}

const struct live_processes *rows_processes(const struct rows *rows)
{
	return &rows->processes;
}

const struct row *rows_table(const struct rows *rows, enum row_view view, uint32_t *count)
{
	*count = rows->views[view].count;
	return rows->views[view].rows;
}

uint32_t rows_window(const struct rows *rows)
{
	return rows->window;
}

/* Rows stay: those of the last window are shown on. */
void rows_reset(struct rows *rows)
{
	uint32_t i;
	int view;

	for (view = 0; view < ROWS_VIEWS; view++)
		for (i = 0; i < rows->views[view].count; i++) {
			struct row *row = &rows->views[view].rows[i];

			memset(&row->times[PERIOD_ALL], 0, sizeof(row->times[PERIOD_ALL]));
		}
	live_processes_reset(&rows->processes);
	memset(&rows->heads[PERIOD_ALL], 0, sizeof(rows->heads[PERIOD_ALL]));
}
