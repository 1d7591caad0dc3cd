/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the report's second table: the native functions that burned CPU themselves, and from which
 * Python function most of that came. Those that only wait or call are in view_json().
 */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "views/paths.h"
#include "views/symbol_text.h"

#define HEAD         "native code"
#define ROWS_DEFAULT 5
#define GAP          2  /* columns between the function and its caller */
#define PLACES_MIN   40 /* columns for both; in less there is only the function */
#define CALLER_PART  45 /* percent of the room that a long caller gets */
#define SHARE_WIDTH  5  /* columns of "100% " */

struct native_row {
	const struct summary_row *row;
	struct place place;
	struct place caller;
	double part;         /* of the row's self time that came from the caller */
	char *name, *module; /* what `place` points to */
};

struct native_table {
	const struct report *report;
	struct native_row *rows;
	bool *ambiguous; /* by module: the path does not tell which */
	uint32_t count;  /* of all; so many are shown: */
	uint32_t shown;
	int64_t cpu_ns; /* of all */
	size_t place_width, caller_width;
};

static int compare_rows(const void *left, const void *right)
{
	const struct native_row *a = left, *b = right;
	int64_t ran = a->row->self[STATE_RUNNING], other_ran = b->row->self[STATE_RUNNING];

	if (ran != other_ran)
		return ran < other_ran ? 1 : -1;
	return a->row < b->row ? -1 : a->row > b->row;
}

/* The collector's time is told apart, and its frames are no code. */
static bool is_collection(const struct summary_row *row)
{
	return !*row->file && !strncmp(row->name, "<gc", 3);
}

static int find_rows(struct native_table *table)
{
	const struct summary *summary = table->report->summary;
	const struct summary_row *row;
	uint32_t at, most = table->report->options->rows;

	table->rows = calloc((size_t)summary->row_count + 1, sizeof(*table->rows));
	if (!table->rows)
		return -ENOMEM;
	for (at = 0; at < summary->row_count; at++) {
		row = &summary->rows[at];
		if (row->function < 0 || row->kind != KIND_NATIVE ||
		    row->self[STATE_RUNNING] <= 0 || is_collection(row) ||
		    profile_is_notice(table->report->profile, (uint32_t)row->function))
			continue;
		table->cpu_ns += row->self[STATE_RUNNING];
		table->rows[table->count++].row = row;
	}
	qsort(table->rows, table->count, sizeof(*table->rows), compare_rows);
	most = most ? most : ROWS_DEFAULT;
	table->shown = table->count < most ? table->count : most;
	return 0;
}

/* Fills in where most of a row's time came from. */
static void find_caller(const struct report *report, struct native_row *row)
{
	const struct profile *profile = report->profile;
	const struct profile_location *location;
	const struct summary_caller *caller;
	uint32_t count;

	row->caller = (struct place){.name = "", .file = ""};
	caller = summary_callers(report->summary, (uint32_t)(row->row - report->summary->rows),
				 &count);
	if (!caller)
		return;
	row->part = (double)caller->ns / (double)row->row->self_ns;
	if (caller->location < 0) {
		row->caller.name = profile->strings[caller->thread];
		row->caller.file = "(thread)";
		return;
	}
	location = &profile->locations[caller->location];
	row->caller = report_function(profile, location->function);
	row->caller.line = location->line;
}

/* Finds the modules that have their path in common with another one. */
static int find_ambiguous(struct native_table *table)
{
	const struct profile *profile = table->report->profile;
	uint32_t *first = calloc(profile->string_count, sizeof(*first)), at, path;

	table->ambiguous = calloc(profile->module_count, sizeof(*table->ambiguous));
	for (at = 1; first && table->ambiguous && at < profile->module_count; at++) {
		path = profile->modules[at].path;
		if (first[path])
			table->ambiguous[first[path]] = table->ambiguous[at] = true;
		else
			first[path] = at;
	}
	free(first);
	return first && table->ambiguous ? 0 : -ENOMEM;
}

/* The module's name, with the start of its build-id where the path does not tell which file it is. */
static char *row_module(const struct native_table *table, const struct native_row *row)
{
	const struct profile *profile = table->report->profile;
	const struct profile_function *function = &profile->functions[row->row->function];
	const char *build_id = profile->strings[profile->modules[function->module].build_id];
	char *module, *text;

	if (symbol_is_offset(row->place.name, row->place.file))
		return strdup("");
	module = module_text(row->place.short_file);
	if (!module || !*build_id || !table->ambiguous[function->module])
		return module;
	if (asprintf(&text, "%s@%.8s", module, build_id) < 0)
		text = NULL;
	free(module);
	return text;
}

static int name_rows(struct native_table *table)
{
	const char **paths = calloc((size_t)2 * table->shown + 1, sizeof(*paths));
	const char **shorts = calloc((size_t)2 * table->shown + 1, sizeof(*shorts));
	struct native_row *row;
	int result = paths && shorts ? find_ambiguous(table) : -ENOMEM;
	uint32_t at;

	for (at = 0; at < table->shown && !result; at++) {
		row = &table->rows[at];
		row->place = report_function(table->report->profile, (uint32_t)row->row->function);
		row->place.line = 0;
		find_caller(table->report, row);
		paths[2 * at] = row->place.file;
		paths[2 * at + 1] = row->caller.file;
	}
	if (!result)
		result = paths_shorten(paths, 2 * table->shown, shorts);
	for (at = 0; at < table->shown && !result; at++) {
		row = &table->rows[at];
		row->caller.short_file = shorts[2 * at + 1];
		row->place.short_file = shorts[2 * at];
		row->module = row_module(table, row);
		row->name = symbol_text(row->place.name);
		row->place.short_file = row->module;
		row->place.name = row->name;
		result = row->module && row->name ? 0 : -ENOMEM;
	}
	free(paths);
	free(shorts);
	return result;
}

static void measure(struct native_table *table)
{
	size_t width;
	uint32_t at;

	table->place_width = strlen(HEAD);
	table->caller_width = 0;
	for (at = 0; at < table->shown; at++) {
		width = report_place_width(&table->rows[at].place);
		if (width > table->place_width)
			table->place_width = width;
		width = SHARE_WIDTH + report_place_width(&table->rows[at].caller);
		if (width > table->caller_width)
			table->caller_width = width;
	}
}

/* Leaves the version out of `libz.so.1.2.13` and of `libz.so.1.2.13+0x5d80`. */
static void cut_version(char *text)
{
	char *end = strstr(text, ".so"), *offset = end ? strstr(end, "+0x") : NULL;

	if (!end || end == text || strchr(end, '@'))
		return;
	if (offset)
		memmove(end, offset, strlen(offset) + 1);
	else
		*end = '\0';
}

/* Does so in the rows that would take more than `columns`. */
static void cut_versions(struct native_table *table, size_t columns)
{
	struct native_row *row;
	uint32_t at;

	for (at = 0; at < table->shown; at++) {
		row = &table->rows[at];
		if (report_place_width(&row->place) <= columns)
			continue;
		cut_version(row->module);
		if (!*row->module) /* the name may be the module's, see row_module() */
			cut_version(row->name);
	}
}

/* Leaves the class out of the callers that would take more than `columns`. */
static void cut_classes(struct native_table *table, size_t columns)
{
	const char *dot;
	uint32_t at;

	for (at = 0; at < table->shown; at++) {
		dot = strrchr(table->rows[at].caller.name, '.');
		if (dot && dot[1] && report_place_width(&table->rows[at].caller) > columns)
			table->rows[at].caller.name = dot + 1;
	}
}

/* Shares the columns that there are between functions and callers. */
static void fit(struct native_table *table, size_t room)
{
	size_t caller = room * CALLER_PART / 100;

	measure(table);
	if (room < PLACES_MIN) {
		cut_versions(table, room);
		measure(table);
		if (table->place_width > room)
			table->place_width = room;
		table->caller_width = 0;
	} else if (table->place_width + GAP + table->caller_width > room) {
		if (table->caller_width < caller)
			caller = table->caller_width;
		cut_versions(table, room - GAP - caller);
		measure(table);
		if (table->place_width + GAP + caller > room)
			table->place_width = room - GAP - caller;
		table->caller_width = room - GAP - table->place_width;
		cut_classes(table, table->caller_width - SHARE_WIDTH);
	}
}

static void write_row(const struct native_table *table, const struct native_row *row)
{
	const struct report *report = table->report;
	int64_t running = report->summary->states[STATE_RUNNING];
	int64_t ran = row->row->self[STATE_RUNNING];
	double share = running > 0 ? (double)ran * 100 / (double)running : 0;
	size_t used;

	fprintf(report->stream, "%7.2f %7.2f %5.0f%% ", (double)row->row->self_ns / SECOND,
		(double)row->row->total_ns / SECOND, share);
	used = report_place(report, &row->place, table->place_width);
	if (table->caller_width) {
		fprintf(report->stream, "%*s%3.0f%% ", (int)(table->place_width - used + GAP), "",
			row->part * 100);
		report_place(report, &row->caller, table->caller_width - SHARE_WIDTH);
	}
	fputc('\n', report->stream);
}

static void write_table(struct native_table *table)
{
	const struct report *report = table->report;
	int64_t hidden_ns = table->cpu_ns;
	uint32_t at, hidden = table->count - table->shown;
	int used;

	fputc('\n', report->stream);
	report_colour(report, COLOUR_BOLD);
	used = fprintf(report->stream, "%7s %7s %6s ", "self s", "total s", "of cpu");
	fit(table, report->columns > (size_t)used ? report->columns - (size_t)used : 0);
	if (table->caller_width)
		fprintf(report->stream, "%-*s", (int)(table->place_width + GAP), HEAD);
	fputs(table->caller_width ? "called from" : HEAD, report->stream);
	report_colour(report, COLOUR_NONE);
	fputc('\n', report->stream);
	for (at = 0; at < table->shown; at++) {
		write_row(table, &table->rows[at]);
		hidden_ns -= table->rows[at].row->self[STATE_RUNNING];
	}
	if (hidden)
		fprintf(report->stream, "%7.2f in %" PRIu32 " more native function%s: see -n\n",
			(double)hidden_ns / SECOND, hidden, hidden == 1 ? "" : "s");
}

int report_native(const struct report *report)
{
	struct native_table table = {.report = report};
	uint32_t at;
	int result = find_rows(&table);

	if (!result && table.count && report_matters(report, table.cpu_ns)) {
		result = name_rows(&table);
		if (!result)
			write_table(&table);
	}
	for (at = 0; at < table.shown; at++) {
		free(table.rows[at].name);
		free(table.rows[at].module);
	}
	free(table.ambiguous);
	free(table.rows);
	return result;
}
