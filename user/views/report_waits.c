/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the tables of what active threads waited for, by function, and of who had the GIL meanwhile.
 * Waits for new work are not in them; view_json() has all.
 */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "views/paths.h"
#include "views/symbol_text.h"
#include "views/text.h"

#define HEAD          "waits for"
#define PLACE_HEAD    "function"
#define NUMBER_WIDTH  8 /* columns of a number and the space behind it */
#define HOLDERS_HEAD  "held the GIL while others waited"
#define ROWS_DEFAULT  5
#define COLUMNS_SMALL 70 /* below it there is no room for the lengths of waits */
#define COLUMNS_LARGE 100
#define DURATION_SIZE 32

struct row {
	const struct target_row *target;
	const char *text; /* the target; of files, the path's end where there is little room */
	const char *short_text;
	struct place place;
	char *file; /* what the place of a thread points to */
};

struct table_shape {
	size_t target, place; /* columns of the texts; place 0: left out */
	bool mean, longest, sends, receives;
};

static const char *duration(char text[DURATION_SIZE], int64_t ns)
{
	if (ns >= 100 * (int64_t)SECOND)
		snprintf(text, DURATION_SIZE, "%.0f s", (double)ns / SECOND);
	else if (ns >= (int64_t)SECOND)
		snprintf(text, DURATION_SIZE, "%.1f s", (double)ns / SECOND);
	else if (ns >= 10000000)
		snprintf(text, DURATION_SIZE, "%.0f ms", (double)ns / 1e6);
	else if (ns >= 1000000)
		snprintf(text, DURATION_SIZE, "%.1f ms", (double)ns / 1e6);
	else if (ns > 0)
		snprintf(text, DURATION_SIZE, "%.0f us", (double)ns / 1e3);
	else
		snprintf(text, DURATION_SIZE, "-");
	return text;
}

/* Whether a row says what an active thread's work waited for. */
static bool is_shown(const struct target_row *target)
{
	enum state state = target->sums.key[WAIT_STATE];

	return target->sums.active_ns > 0 && state_column(state) == COLUMN_IO &&
	       !target_is_client(target->target);
}

static int compare(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	int64_t ns = a->target->sums.active_ns, other_ns = b->target->sums.active_ns;

	if (ns != other_ns)
		return ns < other_ns ? 1 : -1;
	return a->target < b->target ? -1 : a->target > b->target;
}

static struct row *find_rows(const struct report *report, uint32_t *count, int64_t *ns)
{
	const struct waits *waits = report->waits;
	struct row *rows = calloc((size_t)waits->target_count + 1, sizeof(*rows));
	uint32_t at;

	*count = 0;
	*ns = 0;
	for (at = 0; rows && at < waits->target_count; at++) {
		if (!is_shown(&waits->targets[at]))
			continue;
		rows[(*count)++].target = &waits->targets[at];
		*ns += waits->targets[at].sums.active_ns;
	}
	if (rows)
		qsort(rows, *count, sizeof(*rows), compare);
	return rows;
}

/* What a tally is charged to, without its short_file. *file: what the caller is to free. */
static struct place place_of(const struct profile *profile, const uint32_t key[TALLY_KEYS],
			     char **file)
{
	*file = NULL;
	if (key[WAIT_FUNCTION] != WAIT_NO_FUNCTION)
		return report_function(profile, key[WAIT_FUNCTION]);
	if (asprintf(file, "[thread %s]", profile->strings[key[WAIT_THREAD]]) < 0)
		*file = NULL;
	return (struct place){.name = SUMMARY_NO_PYTHON, .file = *file ? *file : ""};
}

static int name_rows(const struct report *report, struct row *rows, uint32_t count)
{
	const char **paths = calloc((size_t)2 * count + 1, sizeof(*paths));
	const char **shorts = calloc((size_t)2 * count + 1, sizeof(*shorts));
	int result = -ENOMEM;
	uint32_t at;

	if (paths && shorts) {
		for (at = 0; at < count; at++) {
			rows[at].place = place_of(report->profile, rows[at].target->sums.key,
						  &rows[at].file);
			rows[at].text = rows[at].target->target;
			paths[at] = rows[at].place.file;
			paths[count + at] = rows[at].text;
		}
		result = paths_shorten(paths, count, shorts);
		if (!result)
			result = paths_shorten(paths + count, count, shorts + count);
		for (at = 0; at < count; at++) {
			rows[at].place.short_file = shorts[at];
			rows[at].short_text = shorts[count + at];
		}
	}
	free(paths);
	free(shorts);
	return result;
}

static size_t target_width(const char *target)
{
	char *escaped = text_escape(target);
	size_t width = escaped ? text_width(escaped) : 0;

	free(escaped);
	return width;
}

void report_fit(size_t room, size_t *left, size_t *right)
{
	size_t half = room * 45 / 100;

	if (*left + REPORT_GAP + *right <= room)
		return;
	if (room < REPORT_PLACES_MIN) {
		*left = room;
		*right = 0;
		return;
	}
	/* The one that needs less than its part leaves the rest to the other. */
	if (*left > half && *right + REPORT_GAP + half > room)
		*left = half;
	else if (*left > half)
		*left = room - REPORT_GAP - *right;
	*right = room - REPORT_GAP - *left;
}

/* The columns that the longest target and place take. */
static void measure(const struct row *rows, uint32_t count, struct table_shape *shape)
{
	size_t width;
	uint32_t at;

	shape->target = strlen(HEAD);
	shape->place = strlen(PLACE_HEAD);
	for (at = 0; at < count; at++) {
		width = target_width(rows[at].text);
		shape->target = width > shape->target ? width : shape->target;
		width = report_place_width(&rows[at].place);
		shape->place = width > shape->place ? width : shape->place;
	}
}

static struct table_shape find_shape(const struct report *report, struct row *rows, uint32_t count)
{
	struct table_shape shape = {.mean = report->columns >= COLUMNS_SMALL};
	size_t used = 2 * NUMBER_WIDTH, room;
	uint32_t at;

	for (at = 0; at < count; at++) {
		shape.longest |= shape.mean && rows[at].target->sums.longest_ns > 0;
		shape.sends |= shape.mean && rows[at].target->sums.sends > 0;
		shape.receives |=
			report->columns >= COLUMNS_LARGE && rows[at].target->sums.receives > 0;
	}
	used += NUMBER_WIDTH * ((size_t)shape.mean + shape.longest + shape.sends + shape.receives);
	used += shape.receives; /* its head is longer */
	room = report->columns > used ? report->columns - used : 0;
	measure(rows, count, &shape);
	if (shape.target + REPORT_GAP + shape.place > room) {
		for (at = 0; at < count; at++)
			rows[at].text = rows[at].short_text;
		measure(rows, count, &shape);
	}
	report_fit(room, &shape.target, &shape.place);
	return shape;
}

static void write_row(const struct report *report, const struct row *row,
		      const struct table_shape *shape)
{
	const struct tally *sums = &row->target->sums;
	char number[TEXT_NUMBER_BYTES], text[DURATION_SIZE];
	FILE *stream = report->stream;
	size_t used;

	fprintf(stream, "%7.2f %7s ", (double)sums->ns / SECOND, text_number(number, sums->waits));
	if (shape->mean)
		fprintf(stream, "%7s ",
			duration(text, sums->waits > 0 ? sums->ns / sums->waits : 0));
	if (shape->longest)
		fprintf(stream, "%7s ", duration(text, sums->longest_ns));
	if (shape->sends)
		fprintf(stream, "%7s ", sums->sends ? text_number(number, sums->sends) : "-");
	if (shape->receives)
		fprintf(stream, "%8s ", sums->receives ? text_number(number, sums->receives) : "-");
	used = report_text(report, row->text, shape->target);
	if (shape->place) {
		fprintf(stream, "%*s", (int)(shape->target - used + REPORT_GAP), "");
		report_place(report, &row->place, shape->place);
	}
	fputc('\n', stream);
}

static void write_head(const struct report *report, const struct table_shape *shape)
{
	FILE *stream = report->stream;

	fputc('\n', stream);
	report_colour(report, COLOUR_BOLD);
	fprintf(stream, "%7s %7s ", "total s", "waits");
	if (shape->mean)
		fprintf(stream, "%7s ", "mean");
	if (shape->longest)
		fprintf(stream, "%7s ", "longest");
	if (shape->sends)
		fprintf(stream, "%7s ", "sends");
	if (shape->receives)
		fprintf(stream, "%8s ", "receives");
	if (shape->place)
		fprintf(stream, "%-*s%s", (int)(shape->target + REPORT_GAP), HEAD, PLACE_HEAD);
	else
		fputs(HEAD, stream);
	report_colour(report, COLOUR_NONE);
	fputc('\n', stream);
}

static void write_table(const struct report *report, struct row *rows, uint32_t shown,
			uint32_t count)
{
	struct table_shape shape = find_shape(report, rows, shown);
	int64_t hidden_ns = 0;
	uint32_t at;

	write_head(report, &shape);
	for (at = 0; at < shown; at++)
		write_row(report, &rows[at], &shape);
	for (at = shown; at < count; at++)
		hidden_ns += rows[at].target->sums.ns;
	if (count > shown)
		fprintf(report->stream, "%7.2f in %" PRIu32 " more target%s: see -n\n",
			(double)hidden_ns / SECOND, count - shown, count - shown == 1 ? "" : "s");
}

int report_targets(const struct report *report)
{
	uint32_t most = report->options->rows ? report->options->rows : ROWS_DEFAULT;
	uint32_t count, shown, at;
	int64_t ns;
	struct row *rows = find_rows(report, &count, &ns);
	int result = rows ? 0 : -ENOMEM;

	/* Without -n, nothing that matters little. */
	for (shown = 0; shown < count && shown < most; shown++)
		if (shown && !report->options->rows &&
		    !report_matters(report, rows[shown].target->sums.active_ns))
			break;
	if (!result && report_matters(report, ns)) {
		result = name_rows(report, rows, shown);
		if (!result)
			write_table(report, rows, shown, count);
	}
	for (at = 0; rows && at < shown; at++)
		free(rows[at].file);
	free(rows);
	return result;
}

/* Writes "deflate libz.so.1" of the native code that a holder mostly ran, in at most `columns`. */
static int write_native(const struct report *report, const struct holder_row *holder,
			size_t columns)
{
	char *name = symbol_text(holder->native), *module = NULL;
	struct place place = {.name = name, .short_file = ""};

	if (name && !symbol_is_offset(holder->native, holder->native_file))
		module = module_text(path_name(holder->native_file));
	if (module)
		place.short_file = module;
	if (name)
		report_place(report, &place, columns);
	free(module);
	free(name);
	return name ? 0 : -ENOMEM;
}

/* Writes a line of the table of holders, but for who it was. Returns the columns that it took. */
static size_t write_held(const struct report *report, int64_t ns)
{
	int64_t all = report->waits->gil.ns;

	return (size_t)fprintf(report->stream, "%7.2f %5.0f%% ", (double)ns / SECOND,
			       all > 0 ? (double)ns * 100 / (double)all : 0);
}

static int write_holder(const struct report *report, const struct holder_row *holder,
			const char *short_file)
{
	struct place place = {holder->name, holder->file, holder->line, short_file};
	size_t used = write_held(report, holder->sums.ns), left, right = 0, took;
	size_t room = report->columns > used ? report->columns - used : 0;
	int result = 0;

	left = report_place_width(&place);
	if (*holder->native)
		right = strlen("  in ") + target_width(holder->native) + 1 +
			target_width(path_name(holder->native_file));
	if (left + right > room && right)
		report_fit(room, &left, &right);
	took = report_place(report, &place, left < room ? left : room);
	if (right && room > took + REPORT_GAP + strlen("in ")) {
		fputs(holder->line ? "  in " : " in ", report->stream);
		result = write_native(report, holder, room - took - strlen("  in "));
	}
	fputc('\n', report->stream);
	return result;
}

/* Spells the files of the holders that are shown. */
static const char **short_files(const struct waits *waits, uint32_t count)
{
	const char **paths = calloc((size_t)count + 1, sizeof(*paths));
	const char **shorts = calloc((size_t)count + 1, sizeof(*shorts));
	int result = -ENOMEM;
	uint32_t at;

	if (paths && shorts) {
		for (at = 0; at < count; at++)
			paths[at] = waits->holders[at].file;
		result = paths_shorten(paths, count, shorts);
	}
	free(paths);
	if (!result)
		return shorts;
	free(shorts);
	return NULL;
}

int report_holders(const struct report *report)
{
	uint32_t most = report->options->rows ? report->options->rows : ROWS_DEFAULT, at, shown;
	const struct waits *waits = report->waits;
	int64_t known_ns = 0, hidden_ns = 0;
	const char **shorts;
	int result = 0;

	if (!waits->holder_count || !report_matters(report, waits->gil.active_ns))
		return 0;
	/* Without -n, no parts that round to 0 %. */
	for (shown = 0; shown < waits->holder_count && shown < most; shown++)
		if (shown && !report->options->rows &&
		    waits->holders[shown].sums.ns < waits->gil.ns / 100)
			break;
	shorts = short_files(waits, shown);
	if (!shorts)
		return -ENOMEM;
	fputc('\n', report->stream);
	report_colour(report, COLOUR_BOLD);
	fprintf(report->stream, "%7s %6s %s", "waits s", "of all", HOLDERS_HEAD);
	report_colour(report, COLOUR_NONE);
	fputc('\n', report->stream);
	for (at = 0; at < waits->holder_count; at++) {
		known_ns += waits->holders[at].sums.ns;
		if (at >= shown)
			hidden_ns += waits->holders[at].sums.ns;
		else if (!result)
			result = write_holder(report, &waits->holders[at], shorts[at]);
	}
	free(shorts);
	if (shown < waits->holder_count)
		fprintf(report->stream, "%7.2f in %" PRIu32 " more function%s: see -n\n",
			(double)hidden_ns / SECOND, waits->holder_count - shown,
			waits->holder_count - shown == 1 ? "" : "s");
	if (report_counts(waits->gil.ns - known_ns, waits->gil.ns)) {
		write_held(report, waits->gil.ns - known_ns);
		fputs("not known\n", report->stream);
	}
	return result;
}
