/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the report that a person reads: verdict, causes, the table of functions, losses.
 *
 * The columns after `total s` are shares of the function's own total time; they add up to 100 %.
 * Native and kernel functions are not rows: their time is in the Python functions that called
 * them, and in view_json().
 */
#include "views/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "profile/summary.h"
#include "profile/table.h"
#include "profile/verdict.h"
#include "views/paths.h"
#include "views/text.h"

#define COLUMNS_DEFAULT  80
#define LINES_DEFAULT    24 /* up to the end of the table */
#define ROWS_MIN         5
#define CAUSES_MAX       3
#define CAUSE_PERCENT    5  /* of the time of all active threads: less is no cause worth naming */
#define PROCESSES_LONG   3  /* up to so many processes have a paragraph each */
#define PROCESSES_SHORT  5  /* of more than that, so many have a line */
#define PLACE_MIN        12 /* columns left for a function in a narrow terminal */
#define CAUSE_NAME_WIDTH 30
#define SECOND           1e9
#define MEGABYTE         1e6

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_BLUE, COLOUR_YELLOW };

/* A function as the report spells it. */
struct place {
	const char *name;
	const char *file;
	int32_t line;
	const char *short_file;
};

struct report {
	const struct profile *profile;
	const struct view_options *options;
	FILE *stream;
	size_t columns;
	struct summary *summary;
	struct verdicts *verdicts;
	const struct summary_row **rows; /* those to show, in order */
	struct place *places;            /* of the causes, then of the rows */
	uint32_t row_count;              /* shown at most */
	uint32_t rows_left;              /* charged rows that are not in `rows` */
	uint32_t cause_count;
	bool other; /* the table has a column for blocked otherwise */
};

static void colour(const struct report *report, enum colour which)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "\x1b[0m", [COLOUR_BOLD] = "\x1b[1m",  [COLOUR_DIM] = "\x1b[2m",
		[COLOUR_RED] = "\x1b[31m", [COLOUR_BLUE] = "\x1b[34m", [COLOUR_YELLOW] = "\x1b[33m",
	};

	if (report->options->colour)
		fputs(codes[which], report->stream);
}

/* Writes text from the recording in at most `columns`; returns the columns it took. */
static size_t write_text(const struct report *report, const char *text, size_t columns)
{
	char *escaped = text_escape(text);
	char *fitting = escaped ? text_shorten(escaped, columns) : NULL;
	size_t width = 0;

	if (fitting) {
		fputs(fitting, report->stream);
		width = text_width(fitting);
	}
	free(escaped);
	free(fitting);
	return width;
}

/* Writes "name file:line" in at most `columns`, the name shortened before the file is. */
static void write_place(const struct report *report, const struct place *place, size_t columns)
{
	char line[16] = "";
	char *file = text_escape(place->short_file), *name = text_escape(place->name);
	size_t file_width, name_width, taken;

	if (file && name) {
		if (place->line > 0)
			snprintf(line, sizeof(line), ":%" PRId32, place->line);
		name_width = text_width(name);
		file_width = *file ? text_width(file) + strlen(line) : 0;
		taken = file_width ? file_width + 1 : 0;
		if (name_width + taken > columns && taken > columns / 2) {
			taken = name_width < columns - columns / 2 ? columns - name_width
								   : columns / 2;
			file_width = taken - 1;
		}
		write_text(report, place->name, columns - taken);
		if (file_width) {
			fputc(' ', report->stream);
			write_text(report, place->short_file, file_width - strlen(line));
			fputs(line, report->stream);
		}
	}
	free(file);
	free(name);
}

static void write_duration(FILE *stream, double seconds)
{
	if (seconds >= 1)
		fprintf(stream, "%.1f s", seconds);
	else if (seconds >= 1e-3)
		fprintf(stream, "%.1f ms", seconds * 1e3);
	else
		fprintf(stream, "%.0f us", seconds * 1e6);
}

/* Whether a part is worth naming beside the whole. */
static bool counts(int64_t part, int64_t whole)
{
	return part > 0 && (double)part * 100 >= (double)whole * CAUSE_PERCENT;
}

static void write_cpu_cause(FILE *stream, const struct cause *cause)
{
	int64_t native = cause->running[LEAF_NATIVE], kernel = cause->running[LEAF_KERNEL];
	int64_t running = 0;
	int leaf;

	for (leaf = 0; leaf < LEAF_COUNT; leaf++)
		running += cause->running[leaf];
	fprintf(stream, "burns %.1f s of CPU", (double)running / SECOND);
	if (counts(native, running))
		fprintf(stream, ", %.1f s of it in C", (double)native / SECOND);
	if (counts(kernel, running))
		fprintf(stream, ", %.1f s%s in the kernel", (double)kernel / SECOND,
			counts(native, running) ? "" : " of it");
	if (counts(cause->ns - running, cause->ns))
		fprintf(stream, ", and waits %.1f s for a CPU",
			(double)(cause->ns - running) / SECOND);
}

static void write_wait_cause(const struct report *report, FILE *stream, const struct cause *cause)
{
	static const char *const objects[STATE_COUNT] = {
		[STATE_SOCKET] = "on sockets",
		[STATE_FILE] = "on files",
		[STATE_PIPE] = "on pipes",
		[STATE_FAULT] = "for page faults",
	};
	const char *target = report->profile->strings[cause->target];
	char number[TEXT_NUMBER_BYTES], *escaped;

	fprintf(stream, "waits %.1f s ", (double)cause->ns / SECOND);
	escaped = text_escape(target);
	if (cause->column == COLUMN_GIL)
		fputs("for the GIL", stream);
	else if (cause->column == COLUMN_LOCK)
		fputs("for locks", stream);
	else if (*target && escaped)
		fprintf(stream, "on %s", escaped);
	else
		fputs(objects[cause->state], stream);
	free(escaped);
	if (cause->waits) {
		fprintf(stream, ": %s wait%s of ", text_number(number, cause->waits),
			cause->waits == 1 ? "" : "s");
		write_duration(stream, (double)cause->ns / (double)cause->waits / SECOND);
	}
}

/* Writes "1. list_orders views.py:41 waits 6.2 s on 127.0.0.1:5432: 8 140 waits of 0.8 ms". */
static int write_cause(const struct report *report, uint32_t at)
{
	const struct cause *cause = &report->verdicts->causes[at];
	struct report inner = *report;
	char *text = NULL;
	size_t size;

	inner.stream = open_memstream(&text, &size);
	if (!inner.stream)
		return -ENOMEM;
	fprintf(inner.stream, "%" PRIu32 ". ", at + 1);
	if (cause->function < 0)
		fputs("thread ", inner.stream);
	write_text(&inner, report->places[at].name, CAUSE_NAME_WIDTH);
	if (*report->places[at].short_file) {
		fputc(' ', inner.stream);
		write_text(&inner, report->places[at].short_file, CAUSE_NAME_WIDTH);
		if (report->places[at].line > 0)
			fprintf(inner.stream, ":%" PRId32, report->places[at].line);
	}
	fputc(' ', inner.stream);
	if (cause->column == COLUMN_CPU)
		write_cpu_cause(inner.stream, cause);
	else
		write_wait_cause(report, inner.stream, cause);
	if (fclose(inner.stream)) {
		free(text);
		return -ENOMEM;
	}
	text_wrap(report->stream, text, 2, 5, report->columns);
	free(text);
	return 0;
}

/* Writes a sentence of the verdict, its first word bold. */
static int write_sentence(const struct report *report, char *text, bool bold)
{
	if (!text)
		return -ENOMEM;
	if (*text) {
		colour(report, bold ? COLOUR_BOLD : COLOUR_NONE);
		text_wrap(report->stream, text, 2, 2, report->columns);
		colour(report, COLOUR_NONE);
	}
	free(text);
	return 0;
}

/* "gunicorn app:wsgi  pid 4242  CPython 3.11.2 (/usr/bin/python3.11)", the command shortened. */
static void write_title(const struct report *report, const struct profile_process *process)
{
	const char *python = report->profile->strings[process->python];
	size_t version = strcspn(python, "("), room;
	char tail[96];

	while (version && python[version - 1] == ' ')
		version--;
	snprintf(tail, sizeof(tail), "  pid %" PRIu32 "%s%.*s", process->pid, version ? "  " : "",
		 (int)(version < 60 ? version : 60), python);
	room = report->columns - 1;
	room = room > strlen(tail) + 10 ? room - strlen(tail) : 10;
	colour(report, COLOUR_BOLD);
	write_text(report, report->profile->strings[process->command], room);
	write_text(report, tail, strlen(tail));
	colour(report, COLOUR_NONE);
	fputc('\n', report->stream);
}

static int write_process(const struct report *report, uint32_t at)
{
	const struct verdict *verdict = &report->verdicts->processes[at];
	int result;

	write_title(report, &report->profile->processes[at]);
	fprintf(report->stream, "  %.1f s, %" PRIu32 " of %" PRIu32 " thread%s active",
		(double)report->profile->facts.duration_ns / SECOND, verdict->active,
		verdict->threads, verdict->threads == 1 ? "" : "s");
	if (verdict->existed_ns > 0)
		fprintf(report->stream, ", %.1f %% accounted for",
			(double)verdict->charged_ns * 100 / (double)verdict->existed_ns);
	fputs(".\n", report->stream);
	result = write_sentence(report, verdict_text(verdict), true);
	if (!result)
		result = write_sentence(report, verdict_waited_text(verdict), false);
	return result;
}

/* What a process did beside idling, by which processes are ranked. */
static int64_t process_work(const struct verdict *verdict)
{
	return verdict->shares[SHARE_RUNNING] + verdict->shares[SHARE_RUNQUEUE] +
	       verdict->shares[SHARE_IO] + verdict->shares[SHARE_LOCK] + verdict->shares[SHARE_GIL];
}

/* Fills in the processes of the most work; returns how many. */
static uint32_t rank_processes(const struct report *report, uint32_t ranked[PROCESSES_SHORT])
{
	const struct verdict *verdicts = report->verdicts->processes;
	uint32_t count = 0, at, place;

	for (at = 0; at < report->profile->process_count; at++) {
		place = count < PROCESSES_SHORT ? count++ : PROCESSES_SHORT;
		for (; place > 0 &&
		       process_work(&verdicts[at]) > process_work(&verdicts[ranked[place - 1]]);
		     place--)
			if (place < PROCESSES_SHORT)
				ranked[place] = ranked[place - 1];
		if (place < PROCESSES_SHORT)
			ranked[place] = at;
	}
	return count;
}

/* "and 495 more processes: CPU-bound 300, Idle 195." */
static int write_other_processes(const struct report *report, const uint32_t *ranked,
				 uint32_t ranks)
{
	const struct verdict *verdicts = report->verdicts->processes;
	struct {
		const char *word;
		uint32_t count;
	} words[16] = {{0}};
	uint32_t at, rank, word, used = 0;
	FILE *stream = report->stream;

	for (at = 0; at < report->profile->process_count; at++) {
		for (rank = 0; rank < ranks && ranked[rank] != at; rank++)
			;
		if (rank < ranks)
			continue;
		for (word = 0; word < used; word++)
			if (!strcmp(words[word].word, verdict_word(&verdicts[at])))
				break;
		if (word == used && used < 16)
			words[used++].word = verdict_word(&verdicts[at]);
		if (word < 16)
			words[word].count++;
	}
	fprintf(stream, "  and %" PRIu32 " more process%s", report->profile->process_count - ranks,
		report->profile->process_count - ranks == 1 ? "" : "es");
	for (word = 0; word < used; word++)
		fprintf(stream, "%s%s %" PRIu32, word ? ", " : ": ", words[word].word,
			words[word].count);
	fputs(".\n", stream);
	return 0;
}

/* A line or two for a process: its pid, command and verdict. */
static int write_process_line(const struct report *report, uint32_t at)
{
	const struct profile_process *process = &report->profile->processes[at];
	char *verdict = verdict_text(&report->verdicts->processes[at]);
	char *command = text_escape(report->profile->strings[process->command]);
	char *name = command ? text_shorten(command, CAUSE_NAME_WIDTH) : NULL;
	char *line = NULL;
	int result = -ENOMEM;

	if (verdict && name &&
	    asprintf(&line, "%s (pid %" PRIu32 "): %s", name, process->pid, verdict) >= 0) {
		text_wrap(report->stream, line, 2, 4, report->columns);
		free(line);
		result = 0;
	}
	free(verdict);
	free(command);
	free(name);
	return result;
}

static int write_processes(const struct report *report)
{
	const struct profile *profile = report->profile;
	uint32_t ranked[PROCESSES_SHORT] = {0}, ranks, at;
	int result = 0;

	if (profile->process_count <= PROCESSES_LONG) {
		for (at = 0; at < profile->process_count && !result; at++) {
			if (at)
				fputc('\n', report->stream);
			result = write_process(report, at);
		}
		if (!profile->process_count)
			fputs("No process was seen.\n", report->stream);
		return result;
	}
	ranks = rank_processes(report, ranked);
	fprintf(report->stream, "%" PRIu32 " processes, %.1f s\n", profile->process_count,
		(double)profile->facts.duration_ns / SECOND);
	for (at = 0; at < ranks && !result; at++)
		result = write_process_line(report, ranked[at]);
	if (!result && profile->process_count > ranks)
		result = write_other_processes(report, ranked, ranks);
	return result;
}

static int write_head(const struct report *report)
{
	uint32_t at;
	int result = write_processes(report);

	for (at = 0; at < report->cause_count && !result; at++)
		result = write_cause(report, at);
	fputc('\n', report->stream);
	return result;
}

static void write_table_head(const struct report *report)
{
	colour(report, COLOUR_BOLD);
	fprintf(report->stream, "%7s %7s %4s %4s %4s %4s %4s", "self s", "total s", "cpu", "io",
		"lock", "gil", "idle");
	if (report->other)
		fprintf(report->stream, " %5s", "other");
	fprintf(report->stream, " %7s function", "waits");
	colour(report, COLOUR_NONE);
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
		colour(report, colours[column]);
	width = fprintf(report->stream, " %*s", column == COLUMN_OTHER ? 5 : 4, text);
	if (most)
		colour(report, COLOUR_NONE);
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
	write_place(report, &report->places[report->cause_count + at],
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
			colour(report, COLOUR_YELLOW);
		fprintf(report->stream, "  lost: %s %s\n",
			text_number(number, (int64_t)(lost[loss] & INT64_MAX)), loss_text(loss));
		any = true;
	}
	if (any)
		colour(report, COLOUR_NONE);
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
		report->other |= counts(row->total[STATE_OTHER], row->total_ns);
	}
	free(ranked);
	return report->rows ? 0 : -ENOMEM;
}

static void choose_causes(struct report *report)
{
	const struct verdicts *verdicts = report->verdicts;

	while (report->cause_count < CAUSES_MAX && report->cause_count < verdicts->cause_count &&
	       counts(verdicts->causes[report->cause_count].ns, verdicts->ns))
		report->cause_count++;
}

static struct place cause_place(const struct profile *profile, const struct cause *cause)
{
	const struct profile_function *function;

	if (cause->function < 0)
		return (struct place){.name = profile->strings[cause->thread],
				      .file = "(no Python frame)"};
	function = &profile->functions[cause->function];
	return (struct place){.name = profile->strings[function->name],
			      .file = profile->strings[function->filename],
			      .line = function->start_line};
}

/* Spells all functions that the report names, with files that cannot be mixed up. */
static int name_places(struct report *report)
{
	uint32_t count = report->cause_count + report->row_count, at;
	const char **paths = calloc((size_t)count + 1, sizeof(*paths));
	const char **shorts = calloc((size_t)count + 1, sizeof(*shorts));
	const struct summary_row *row;
	int result = -ENOMEM;

	report->places = calloc((size_t)count + 1, sizeof(*report->places));
	if (paths && shorts && report->places) {
		for (at = 0; at < report->cause_count; at++)
			report->places[at] =
				cause_place(report->profile, &report->verdicts->causes[at]);
		for (at = 0; at < report->row_count; at++) {
			row = report->rows[at];
			report->places[report->cause_count + at] = (struct place){
				.name = row->name, .file = row->file, .line = row->line};
		}
		for (at = 0; at < count; at++)
			paths[at] = report->places[at].file;
		result = paths_shorten(paths, count, shorts);
		for (at = 0; at < count; at++)
			report->places[at].short_file = shorts[at];
	}
	free(paths);
	free(shorts);
	return result;
}

/* How many rows fit so that the table ends on the line that it should. */
static uint32_t fitting_rows(const struct report *report, const char *head)
{
	uint32_t lines = 2, rows; /* the table's own first and last line */

	for (; *head; head++)
		lines += *head == '\n';
	rows = lines + ROWS_MIN < LINES_DEFAULT ? LINES_DEFAULT - lines : ROWS_MIN;
	if (report->options->rows || rows > report->row_count)
		return report->row_count;
	return rows;
}

static int write_report(struct report *report)
{
	FILE *stream = report->stream;
	char *head = NULL;
	size_t size;
	int result;

	report->stream = open_memstream(&head, &size);
	if (!report->stream)
		return -ENOMEM;
	result = write_head(report);
	if (fclose(report->stream) && !result)
		result = -ENOMEM;
	report->stream = stream;
	if (!result) {
		fputs(head, stream);
		write_table(report, fitting_rows(report, head));
		result = write_foot(report);
	}
	free(head);
	return !result && ferror(stream) ? -EIO : result;
}

int view_report(const struct profile *profile, const struct view_options *options, FILE *stream)
{
	struct report report = {.profile = profile, .options = options, .stream = stream};
	int result;

	report.columns = options->columns ? options->columns : COLUMNS_DEFAULT;
	result = summary_make(profile, &report.summary);
	if (!result)
		result = verdicts_make(profile, &report.verdicts);
	if (!result) {
		choose_causes(&report);
		result = choose_rows(&report);
	}
	if (!result)
		result = name_places(&report);
	if (!result)
		result = write_report(&report);
	free(report.rows);
	free(report.places);
	summary_free(report.summary);
	verdicts_free(report.verdicts);
	return result;
}
