/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the report for scripts, whose names are a promise. Times are seconds; of states only those
 * that are not 0 are written. Parts that a recording cannot have are left out.
 */
#include "views/view.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "profile/names.h"
#include "profile/summary.h"
#include "profile/verdict.h"

#define SECOND 1e9
#define DIGITS 15 /* of a real number: all that a double keeps */

/*
 * Functions here return a new reference, or NULL where memory ran out; NULL as a part makes the
 * whole NULL.
 */

/* Moves `value` into the object. */
static json_t *put(json_t *object, const char *key, json_t *value)
{
	if (!object) {
		json_decref(value);
		return NULL;
	}
	if (!value || json_object_set_new(object, key, value)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *append(json_t *array, json_t *value)
{
	if (!array) {
		json_decref(value);
		return NULL;
	}
	if (!value || json_array_append_new(array, value)) {
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *seconds(int64_t ns)
{
	return json_real((double)ns / SECOND);
}

static json_t *json_states(const int64_t ns[STATE_COUNT])
{
	json_t *object = json_object();
	int state;

	for (state = 0; state < STATE_COUNT; state++)
		if (ns[state])
			object = put(object, state_name(state), seconds(ns[state]));
	return object;
}

static json_t *json_running(const int64_t ns[LEAF_COUNT])
{
	json_t *object = json_object();
	int leaf;

	for (leaf = 0; leaf < LEAF_COUNT; leaf++)
		object = put(object, leaf_name(leaf), seconds(ns[leaf]));
	return object;
}

static json_t *json_verdict(const struct profile *profile, const struct verdicts *verdicts)
{
	json_t *array = json_array();
	char *text, *waited;
	uint32_t at;

	for (at = 0; at < profile->process_count; at++) {
		text = verdict_text(&verdicts->processes[at]);
		waited = verdict_waited_text(&verdicts->processes[at]);
		array = append(array, text && waited ? json_sprintf("%s%s%s", text,
								    *waited ? " " : "", waited)
						     : NULL);
		free(text);
		free(waited);
	}
	return array;
}

static json_t *json_thread(const struct profile *profile, const struct profile_thread *thread)
{
	return json_pack("{s:I,s:s,s:o,s:o}", "tid", (json_int_t)thread->tid, "name",
			 profile->strings[thread->name], "seconds",
			 seconds(thread->end_ns - thread->start_ns), "states",
			 json_states(thread->ns));
}

static json_t *json_processes(const struct profile *profile)
{
	json_t *array = json_array(), *threads;
	uint32_t at;

	for (at = 0; at < profile->process_count; at++)
		array = append(array,
			       json_pack("{s:I,s:s,s:s,s:[]}", "pid",
					 (json_int_t)profile->processes[at].pid, "command",
					 profile->strings[profile->processes[at].command], "python",
					 profile->strings[profile->processes[at].python],
					 "threads"));
	for (at = 0; at < profile->thread_count && array; at++) {
		threads = json_object_get(json_array_get(array, profile->threads[at].process),
					  "threads");
		if (json_array_append_new(threads, json_thread(profile, &profile->threads[at]))) {
			json_decref(array);
			array = NULL;
		}
	}
	return array;
}

static const char *row_class(const struct summary_row *row)
{
	/* A function that only calls others is bounded by what they do. */
	const int64_t *states = row->self_ns ? row->self : row->total;
	int64_t columns[COLUMN_COUNT];
	int column, most = 0;

	column_sums(states, columns);
	for (column = 1; column < COLUMN_COUNT; column++)
		if (columns[column] > columns[most])
			most = column;
	return column_name(most);
}

/* The lines of a row. *next is its first one, and is moved to that of the row after it. */
static json_t *json_lines(const struct summary *summary, uint32_t row, uint32_t *next)
{
	json_t *object = json_object();
	char key[16];

	for (; *next < summary->line_count && summary->lines[*next].row == row; (*next)++) {
		snprintf(key, sizeof(key), "%" PRId32, summary->lines[*next].line);
		object = put(object, key, json_states(summary->lines[*next].ns));
	}
	return object;
}

/* Adds what tells native functions of one name and module path apart, where it is known. */
static json_t *put_native(json_t *object, const struct profile *profile,
			  const struct summary_row *row)
{
	const struct profile_function *function;
	const char *build_id;

	if (row->function < 0 || row->kind != KIND_NATIVE)
		return object;
	function = &profile->functions[row->function];
	build_id = profile->strings[profile->modules[function->module].build_id];
	if (*build_id)
		object = put(object, "build_id", json_string(build_id));
	if (function->filename && strcmp(profile->strings[function->filename], row->file) != 0)
		object = put(object, "source", json_string(profile->strings[function->filename]));
	return object;
}

static json_t *json_functions(const struct profile *profile, const struct summary *summary)
{
	const struct summary_row *row;
	json_t *array = json_array(), *function, *lines;
	uint32_t at, next = 0;

	for (at = 0; at < summary->row_count; at++) {
		row = &summary->rows[at];
		lines = json_lines(summary, at, &next);
		if (!row->total_ns && !row->waits) {
			json_decref(lines);
			continue;
		}
		function = json_pack("{s:s,s:s,s:i,s:s,s:s}", "function", row->name, "file",
				     row->file, "line", (int)row->line, "kind",
				     kind_name(row->kind), "class", row_class(row));
		function = put_native(function, profile, row);
		function = put(function, "self", json_states(row->self));
		function = put(function, "total", json_states(row->total));
		function = put(function, "running", json_running(row->running));
		function = put(function, "waits", json_integer(row->waits));
		array = append(array, put(function, "lines", lines));
	}
	return array;
}

static json_t *json_targets(const struct summary *summary)
{
	const struct summary_target *target;
	const struct summary_row *row;
	json_t *array = json_array();
	uint32_t at;

	for (at = 0; at < summary->target_count; at++) {
		target = &summary->targets[at];
		row = &summary->rows[target->row];
		array = append(array,
			       json_pack("{s:s,s:s,s:i,s:s,s:s,s:I,s:o}", "function", row->name,
					 "file", row->file, "line", (int)row->line, "state",
					 state_name(target->state), "target", target->target,
					 "waits", (json_int_t)target->waits, "seconds",
					 seconds(target->ns)));
	}
	return array;
}

static json_t *json_lost(const struct profile_facts *facts)
{
	json_t *object = json_object();
	int loss;

	for (loss = 0; loss < LOSS_COUNT; loss++)
		object = put(object, loss_name(loss),
			     json_integer((json_int_t)(facts->lost[loss] & INT64_MAX)));
	return object;
}

static json_t *json_environment(const struct profile *profile)
{
	const struct profile_facts *facts = &profile->facts;
	const struct {
		const char *key;
		uint32_t text;
	} texts[] = {
		{"command_line", facts->command_line},
		{"host", facts->host},
		{"kernel", facts->kernel},
		{"version", facts->version},
		{"wait_hook", facts->wait_hook},
	};
	json_t *object = json_object();
	size_t at;

	for (at = 0; at < sizeof(texts) / sizeof(texts[0]); at++)
		if (texts[at].text)
			object = put(object, texts[at].key,
				     json_string(profile->strings[texts[at].text]));
	return put(object, "start_unix_s", seconds(facts->start_unix_ns));
}

static json_t *json_profiler(const struct profile_facts *facts)
{
	json_t *profiler = json_pack("{s:o,s:I,s:I}", "cpu_s", seconds(facts->profiler_cpu_ns),
				     "rss_bytes", (json_int_t)facts->profiler_rss_bytes, "samples",
				     (json_int_t)(facts->captured & INT64_MAX));

	if (!facts->tables)
		return profiler;
	return put(profiler, "native",
		   json_pack("{s:I,s:I,s:I,s:o}", "tables", (json_int_t)facts->tables,
			     "table_bytes", (json_int_t)facts->table_bytes, "source_bytes",
			     (json_int_t)facts->table_source_bytes, "tables_ready_s",
			     seconds(facts->tables_ready_ns)));
}

static json_t *json_report(const struct profile *profile, const struct summary *summary,
			   const struct verdicts *verdicts)
{
	const struct profile_facts *facts = &profile->facts;
	json_t *totals = put(json_object(), "states", json_states(summary->states));
	json_t *report = put(json_object(), "duration_s", seconds(facts->duration_ns));

	totals = put(totals, "running", json_running(summary->running));
	report = put(report, "rate_hz", json_integer(facts->rate_hz));
	report = put(report, "verdict", json_verdict(profile, verdicts));
	report = put(report, "processes", json_processes(profile));
	report = put(report, "totals", totals);
	report = put(report, "functions", json_functions(profile, summary));
	report = put(report, "targets", json_targets(summary));
	report = put(report, "lost", json_lost(facts));
	report = put(report, "profiler", json_profiler(facts));
	return put(report, "environment", json_environment(profile));
}

int view_json(const struct profile *profile, const struct view_options *options, FILE *stream)
{
	struct summary *summary = NULL;
	struct verdicts *verdicts = NULL;
	json_t *report = NULL;
	int result;

	result = summary_make(profile, &summary);
	if (!result)
		result = verdicts_make(profile, &verdicts);
	if (!result) {
		report = json_report(profile, summary, verdicts);
		result = report ? 0 : -ENOMEM;
	}
	if (!result && (json_dumpf(report, stream, JSON_INDENT(1) | JSON_REAL_PRECISION(DIGITS)) ||
			fputc('\n', stream) == EOF))
		result = -EIO;
	json_decref(report);
	verdicts_free(verdicts);
	summary_free(summary);
	return result;
}
