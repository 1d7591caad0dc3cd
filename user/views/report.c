/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the report that a person reads: verdict, causes, the table of functions, losses.
 *
 * The columns after `total s` are shares of the function's own total time; they add up to 100 %.
 * Native and kernel functions are not rows of it: their time is in the Python functions that called
 * them. Native ones have a table of their own, and view_json() has all.
 */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "views/paths.h"
#include "views/text.h"

#define COLUMNS_DEFAULT 80
#define LINES_DEFAULT   24 /* up to the end of the table */
#define ROWS_MIN        5
#define TABLE_LINES     2  /* the table's own first and last line */
#define NAME_WIDTH      30 /* of a name in a sentence */
#define PLACE_MIN       12 /* columns left for a function in a narrow terminal */
#define MEGABYTE        1e6

static void write_table_head(const struct report *report)
{
	report_colour(report, COLOUR_BOLD);
	fprintf(report->stream, "%7s %7s %4s %4s %4s %4s %4s", "self s", "total s", "cpu", "io",
		"lock", "gil", "idle");
	if (report->other)
		fprintf(report->stream, " %5s", "other");
	fprintf(report->stream, " %7s function", "waits");
	report_colour(report, COLOUR_NONE);
	fputc('\n', report->stream);
}

/*
 * A share of the row's total; "-" where there is nothing at all. What is most has a colour.
 * Returns the columns written.
 */
static int write_share(const struct report *report, int64_t part, int64_t whole, enum column column)
{
	static const enum colour colours[COLUMN_COUNT] = {
		[COLUMN_CPU] = COLOUR_RED,     [COLUMN_IO] = COLOUR_BLUE,
		[COLUMN_LOCK] = COLOUR_YELLOW, [COLUMN_GIL] = COLOUR_YELLOW,
		[COLUMN_IDLE] = COLOUR_DIM,    [COLUMN_OTHER] = COLOUR_DIM,
	};
	double share = whole > 0 ? (double)part * 100 / (double)whole : 0;
	bool most = share >= 50;
	char text[16] = "-";
	int width;

	if (part > 0)
		snprintf(text, sizeof(text), "%.0f%%", share);
	if (most)
		report_colour(report, colours[column]);
	width = fprintf(report->stream, " %*s", column == COLUMN_OTHER ? 5 : 4, text);
	if (most)
		report_colour(report, COLOUR_NONE);
	return width;
}

static void write_row(const struct report *report, uint32_t at)
{
	const struct summary_row *row = report->rows[at];
	int64_t columns[COLUMN_COUNT];
	char number[TEXT_NUMBER_BYTES];
	int column, used;

	column_sums(row->total, columns);
	used = fprintf(report->stream, "%7.2f %7.2f", (double)row->self_ns / SECOND,
		       (double)row->total_ns / SECOND);
	for (column = 0; column < (report->other ? COLUMN_COUNT : COLUMN_OTHER); column++)
		used += write_share(report, columns[column], row->total_ns, column);
	used += fprintf(report->stream, " %7s ", text_number(number, row->waits));
	report_place(report, &report->places[at],
		     report->columns > (size_t)used + PLACE_MIN ? report->columns - (size_t)used
								: PLACE_MIN);
	fputc('\n', report->stream);
}

static void write_table(const struct report *report, uint32_t rows)
{
	int64_t hidden_ns = 0;
	uint32_t at, hidden;

	if (!report->row_count) {
		fputs("  No function was seen.\n", report->stream);
		return;
	}
	write_table_head(report);
	for (at = 0; at < rows; at++)
		write_row(report, at);
	hidden = report->row_count - rows + report->rows_left;
	if (!hidden)
		return;
	for (at = 0; at < report->summary->row_count; at++)
		if (report->summary->rows[at].charged)
			hidden_ns += report->summary->rows[at].self_ns;
	for (at = 0; at < rows; at++)
		hidden_ns -= report->rows[at]->self_ns;
	fprintf(report->stream, "%7.2f in %" PRIu32 " more function%s: see -n\n",
		(double)hidden_ns / SECOND, hidden, hidden == 1 ? "" : "s");
}

static void write_losses(const struct report *report)
{
	const uint64_t *lost = report->profile->facts.lost;
	char number[TEXT_NUMBER_BYTES];
	bool any = false;
	int loss;

	for (loss = 0; loss < LOSS_COUNT; loss++) {
		if (!lost[loss])
			continue;
		if (!any)
			report_colour(report, COLOUR_YELLOW);
		fprintf(report->stream, "  lost: %s %s\n",
			text_number(number, (int64_t)(lost[loss] & INT64_MAX)), loss_text(loss));
		any = true;
	}
	if (any)
		report_colour(report, COLOUR_NONE);
}

static int write_foot(const struct report *report)
{
	const struct profile_facts *facts = &report->profile->facts;
	char number[TEXT_NUMBER_BYTES], *text = NULL, *name = NULL;
	bool lost = false;
	int loss, length;

	for (loss = 0; loss < LOSS_COUNT; loss++)
		lost |= facts->lost[loss] != 0;
	fputc('\n', report->stream);
	write_losses(report);
	if (report->options->recording)
		name = text_escape(report->options->recording);
	length = asprintf(&text,
			  "%spyebpf itself: %.2f s CPU, %.0f MB, %s samples at %" PRIu32 " Hz.%s%s",
			  lost ? "" : "lost: nothing. ", (double)facts->profiler_cpu_ns / SECOND,
			  (double)facts->profiler_rss_bytes / MEGABYTE,
			  text_number(number, (int64_t)(facts->captured & INT64_MAX)),
			  facts->rate_hz, name ? " Recording: " : "", name ? name : "");
	free(name);
	if (length < 0)
		return -ENOMEM;
	text_wrap(report->stream, text, 2, 2, report->columns);
	free(text);
	return 0;
}

struct ranked_row {
	const struct summary_row *row;
	int64_t value;
	bool by_name;
};

static int compare_rows(const void *left, const void *right)
{
	const struct ranked_row *a = left, *b = right;
	int order;

	if (a->by_name) {
		order = strcmp(a->row->name, b->row->name);
		if (order)
			return order;
	}
	if (a->value != b->value)
		return a->value < b->value ? 1 : -1;
	return a->row < b->row ? -1 : a->row > b->row; /* the largest self time first */
}

static int64_t sort_value(const struct summary_row *row, enum sort sort)
{
	static const int columns[SORT_COUNT] = {
		[SORT_CPU] = COLUMN_CPU, [SORT_IO] = COLUMN_IO,     [SORT_LOCK] = COLUMN_LOCK,
		[SORT_GIL] = COLUMN_GIL, [SORT_IDLE] = COLUMN_IDLE,
	};
	int64_t sums[COLUMN_COUNT];

	if (sort == SORT_SELF || sort == SORT_NAME)
		return row->self_ns;
	if (sort == SORT_TOTAL)
		return row->total_ns;
	if (sort == SORT_WAITS)
		return row->waits;
	column_sums(row->self, sums);
	return sums[columns[sort]];
}

/* Chooses the rows to show: those that time is charged to, in the wanted order. */
static int choose_rows(struct report *report)
{
	const struct summary *summary = report->summary;
	uint32_t most = report->options->rows ? report->options->rows : LINES_DEFAULT;
	struct ranked_row *ranked = calloc((size_t)summary->row_count + 1, sizeof(*ranked));
	uint32_t at, count = 0;

	if (!ranked)
		return -ENOMEM;
	for (at = 0; at < summary->row_count; at++) {
		if (!summary->rows[at].charged || summary->rows[at].total_ns <= 0)
			continue;
		ranked[count++] = (struct ranked_row){
			.row = &summary->rows[at],
			.value = sort_value(&summary->rows[at], report->options->sort),
			.by_name = report->options->sort == SORT_NAME,
		};
	}
	qsort(ranked, count, sizeof(*ranked), compare_rows);
	report->row_count = count < most ? count : most;
	report->rows_left = count - report->row_count;
	report->rows = calloc((size_t)report->row_count + 1, sizeof(*report->rows));
	for (at = 0; report->rows && at < report->row_count; at++) {
		const struct summary_row *row = ranked[at].row;

		report->rows[at] = row;
		report->other |= report_counts(row->total[STATE_OTHER], row->total_ns);
	}
	free(ranked);
	return report->rows ? 0 : -ENOMEM;
}

/* Spells the functions of the table, with files that cannot be mixed up. */
static int name_rows(struct report *report)
{
	uint32_t count = report->row_count, at;
	const char **paths = calloc((size_t)count + 1, sizeof(*paths));
	const char **shorts = calloc((size_t)count + 1, sizeof(*shorts));
	const struct summary_row *row;
	int result = -ENOMEM;

	report->places = calloc((size_t)count + 1, sizeof(*report->places));
	if (paths && shorts && report->places) {
		for (at = 0; at < count; at++)
			paths[at] = report->rows[at]->file;
		result = paths_shorten(paths, count, shorts);
		for (at = 0; at < count; at++) {
			row = report->rows[at];
			report->places[at] =
				(struct place){row->name, row->file, row->line, shorts[at]};
		}
	}
	free(paths);
	free(shorts);
	return result;
}

/* How many rows fit so that the table ends on the line that it should. */
static uint32_t fitting_rows(const struct report *report, uint32_t head)
{
	uint32_t lines = head + TABLE_LINES, rows;

	rows = lines + ROWS_MIN < LINES_DEFAULT ? LINES_DEFAULT - lines : ROWS_MIN;
	if (report->options->rows || rows > report->row_count)
		return report->row_count;
	return rows;
}

static uint32_t lines_of(const char *text)
{
	uint32_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

/* Stores the head, to be freed by the caller. */
static int make_head(const struct report *report, char **head)
{
	struct report inner = *report;
	char *text = NULL;
	size_t size;
	int result;

	inner.stream = open_memstream(&text, &size);
	if (!inner.stream)
		return -ENOMEM;
	result = report_head(&inner);
	if (fclose(inner.stream) && !result)
		result = -ENOMEM;
	if (result)
		free(text);
	else
		*head = text;
	return result;
}

/* Makes the head short enough for a few rows of the table, by leaving out what is not a cause. */
static int make_fitting_head(struct report *report, char **head)
{
	int result = make_head(report, head);

	while (!result && report->cause_count && !report->causes[report->cause_count - 1].cause &&
	       lines_of(*head) + TABLE_LINES + ROWS_MIN > LINES_DEFAULT) {
		report->cause_count--;
		free(*head);
		result = make_head(report, head);
	}
	return result;
}

static int write_report(struct report *report)
{
	char *head;
	int result = make_fitting_head(report, &head);

	if (result)
		return result;
	fputs(head, report->stream);
	write_table(report, fitting_rows(report, lines_of(head)));
	free(head);
	result = report_targets(report);
	if (!result)
		result = report_native(report);
	if (!result)
		result = report_holders(report);
	if (!result)
		result = report_rest(report);
	if (!result)
		result = write_foot(report);
	return !result && ferror(report->stream) ? -EIO : result;
}

int view_report(const struct profile *profile, const struct view_options *options, FILE *stream)
{
	struct report report = {.profile = profile, .options = options, .stream = stream};
	struct verdicts *verdicts = NULL;
	int result;

	report.columns = options->columns ? options->columns : COLUMNS_DEFAULT;
	report.name_width = NAME_WIDTH;
	result = summary_make(profile, &report.summary);
	if (!result)
		result = verdicts_make(profile, &verdicts);
	report.verdicts = verdicts;
	if (!result)
		result = waits_make(profile, report.verdicts->active, &report.waits);
	if (!result) {
		report_choose_causes(&report);
		result = report_name_causes(&report);
	}
	if (!result)
		result = choose_rows(&report);
	if (!result)
		result = name_rows(&report);
	if (!result)
		result = write_report(&report);
	free(report.rows);
	free(report.places);
	waits_free(report.waits);
	summary_free(report.summary);
	verdicts_free(verdicts);
	return result;
}
