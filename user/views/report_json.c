/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the report for scripts, whose names are a promise. Times are seconds; of states only those
 * that are not 0 are written. Parts that a recording cannot have are left out.
 */
#include "views/view.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "profile/summary.h"
#include "profile/verdict.h"
#include "profile/waits.h"
#include "views/json_parts.h"
#include "views/report.h"

#define NAME_WIDTH 1000 /* columns */

/* Functions here return a new reference or NULL, see json_parts.h. */

static json_t *json_states(const int64_t ns[STATE_COUNT])
{
	json_t *object = json_object();
	int state;

	for (state = 0; state < STATE_COUNT; state++)
		if (ns[state])
			object = json_put(object, state_name(state), json_seconds(ns[state]));
	return object;
}

static json_t *json_running(const int64_t ns[LEAF_COUNT])
{
	json_t *object = json_object();
	int leaf;

	for (leaf = 0; leaf < LEAF_COUNT; leaf++)
		object = json_put(object, leaf_name(leaf), json_seconds(ns[leaf]));
	return object;
}

/* Moves a text into the array; NULL: there was no memory for it. */
static json_t *append_text(json_t *array, char *text)
{
	array = json_append(array, text ? json_string(text) : NULL);
	free(text);
	return array;
}

/* The sentences on the processes, in their order; then the causes, and what all that rests on. */
static json_t *json_verdict(const struct profile *profile, const struct verdicts *verdicts)
{
	const struct view_options options = {0};
	struct report report = {.profile = profile, .options = &options, .name_width = NAME_WIDTH};
	json_t *array = json_array();
	char *text, *waited, *basis;
	uint32_t at;

	for (at = 0; at < profile->process_count; at++) {
		text = verdict_text(&verdicts->processes[at]);
		waited = verdict_waited_text(&verdicts->processes[at]);
		array = json_append(array, text && waited ? json_sprintf("%s%s%s", text,
									 *waited ? " " : "", waited)
							  : NULL);
		free(text);
		free(waited);
	}
	report.verdicts = verdicts;
	report_choose_causes(&report);
	if (report_name_causes(&report)) {
		json_decref(array);
		return NULL;
	}
	for (at = 0; at < report.cause_count; at++)
		array = append_text(array, report_cause(&report, at));
	basis = report_basis(&report);
	array = json_append(array, basis ? json_sprintf("From %s, in %.1f s.", basis,
							(double)profile->facts.duration_ns / SECOND)
					 : NULL);
	free(basis);
	return array;
}

static json_t *json_thread(const struct profile *profile, const struct profile_thread *thread)
{
	return json_pack("{s:I,s:s,s:o,s:o}", "tid", (json_int_t)thread->tid, "name",
			 profile->strings[thread->name], "seconds",
			 json_seconds(thread->end_ns - thread->start_ns), "states",
			 json_states(thread->ns));
}

static json_t *json_process(const struct profile *profile, const struct profile_process *process)
{
	json_t *object = json_pack("{s:I,s:s,s:s,s:[]}", "pid", (json_int_t)process->pid, "command",
				   profile->strings[process->command], "python",
				   profile->strings[process->python], "threads");

	if (process->container)
		object = json_put(object, "container",
				  json_string(profile->strings[process->container]));
	if (process->cgroup)
		object = json_put(object, "cgroup", json_string(profile->strings[process->cgroup]));
	return json_put_gc(object, &process->gc, profile->facts.rate_hz);
}

static json_t *json_processes(const struct profile *profile)
{
	json_t *array = json_array(), *threads;
	uint32_t at;

	for (at = 0; at < profile->process_count; at++)
		array = json_append(array, json_process(profile, &profile->processes[at]));
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
		object = json_put(object, key, json_states(summary->lines[*next].ns));
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
		object = json_put(object, "build_id", json_string(build_id));
	if (function->filename && strcmp(profile->strings[function->filename], row->file) != 0)
		object = json_put(object, "source",
				  json_string(profile->strings[function->filename]));
	return object;
}

/* Adds by how much memory has grown in a row, and in its lines. */
static json_t *put_growth(json_t *object, const struct summary *summary, uint32_t row)
{
	const struct summary_line *lines;
	json_t *grown = json_object();
	uint32_t at, count;
	char key[16];

	lines = summary_lines(summary, row, &count);
	for (at = 0; at < count; at++) {
		snprintf(key, sizeof(key), "%" PRId32, lines[at].line);
		if (lines[at].grown)
			grown = json_put(grown, key, json_integer(lines[at].grown));
	}
	object = json_put(object, "grown_bytes", json_integer(summary->rows[row].grown));
	object =
		json_put(object, "grown_total_bytes", json_integer(summary->rows[row].grown_total));
	return json_put(object, "grown_lines", grown);
}

static json_t *json_functions(const struct profile *profile, const struct summary *summary)
{
	const struct summary_row *row;
	json_t *array = json_array(), *function, *lines;
	bool gc = summary->running[LEAF_GC] || gc_of_all(profile).source != GC_UNKNOWN;
	uint32_t at, next = 0;

	for (at = 0; at < summary->row_count; at++) {
		row = &summary->rows[at];
		lines = json_lines(summary, at, &next);
		if (!row->total_ns && !row->waits && !row->grown_total) {
			json_decref(lines);
			continue;
		}
		function = json_pack("{s:s,s:s,s:i,s:s,s:s}", "function", row->name, "file",
				     row->file, "line", (int)row->line, "kind",
				     kind_name(row->kind), "class", row_class(row));
		function = put_native(function, profile, row);
		function = json_put(function, "self", json_states(row->self));
		function = json_put(function, "total", json_states(row->total));
		function = json_put(function, "running", json_running(row->running));
		function = json_put(function, "waits", json_integer(row->waits));
		if (gc)
			function = json_put(function, "gc_s", json_seconds(row->gc_ns));
		if (summary->grows)
			function = put_growth(function, summary, at);
		array = json_append(array, json_put(function, "lines", lines));
	}
	return array;
}

static json_t *json_lost(const struct profile_facts *facts)
{
	json_t *object = json_object();
	int loss;

	for (loss = 0; loss < LOSS_COUNT; loss++)
		object = json_put(object, loss_name(loss),
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
			object = json_put(object, texts[at].key,
					  json_string(profile->strings[texts[at].text]));
	return json_put(object, "start_unix_s", json_seconds(facts->start_unix_ns));
}

static json_t *json_profiler(const struct profile_facts *facts)
{
	json_t *profiler = json_pack("{s:o,s:I,s:I}", "cpu_s", json_seconds(facts->profiler_cpu_ns),
				     "rss_bytes", (json_int_t)facts->profiler_rss_bytes, "samples",
				     (json_int_t)(facts->captured & INT64_MAX));

	if (!facts->tables)
		return profiler;
	return json_put(profiler, "native",
			json_pack("{s:I,s:I,s:I,s:o}", "tables", (json_int_t)facts->tables,
				  "table_bytes", (json_int_t)facts->table_bytes, "source_bytes",
				  (json_int_t)facts->table_source_bytes, "tables_ready_s",
				  json_seconds(facts->tables_ready_ns)));
}

static json_t *json_report(const struct profile *profile, const struct summary *summary,
			   const struct verdicts *verdicts, const struct waits *waits)
{
	const struct profile_facts *facts = &profile->facts;
	json_t *totals = json_put(json_object(), "states", json_states(summary->states));
	json_t *report = json_put(json_object(), "duration_s", json_seconds(facts->duration_ns));

	totals = json_put(totals, "running", json_running(summary->running));
	report = json_put(report, "rate_hz", json_integer(facts->rate_hz));
	report = json_put(report, "verdict", json_verdict(profile, verdicts));
	report = json_put(report, "processes", json_processes(profile));
	report = json_put(report, "totals", totals);
	report = json_put(report, "functions", json_functions(profile, summary));
	report = json_put_waits(report, profile, waits);
	report = json_put_repeats(report, profile, &verdicts->exchanges);
	report = json_put_all_gc(report, profile);
	report = json_put(report, "lost", json_lost(facts));
	report = json_put(report, "profiler", json_profiler(facts));
	return json_put(report, "environment", json_environment(profile));
}

int view_json(const struct profile *profile, const struct view_options *options, FILE *stream)
{
	struct summary *summary = NULL;
	struct verdicts *verdicts = NULL;
	struct waits *waits = NULL;
	json_t *report = NULL;
	int result;

	result = summary_make(profile, &summary);
	if (!result)
		result = verdicts_make(profile, &verdicts);
	if (!result)
		result = waits_make(profile, verdicts->active, &waits);
	if (!result) {
		report = json_report(profile, summary, verdicts, waits);
		result = report ? 0 : -ENOMEM;
	}
	if (!result &&
	    (json_dumpf(report, stream, json_flags(stream, 1)) || fputc('\n', stream) == EOF))
		result = -EIO;
	json_decref(report);
	waits_free(waits);
	verdicts_free(verdicts);
	summary_free(summary);
	return result;
}
