/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the report says last, each where it matters: garbage collection, what ran while
 * functions wanted a CPU, who ended waits, and where memory has grown.
 */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "views/paths.h"
#include "views/text.h"

#define FUNCTIONS_MAX 3 /* named in a sentence */
#define ROWS_DEFAULT  5 /* of memory */
#define MEGABYTE      1e6
#define NAME_WIDTH    40

/* Writes "list_orders views.py:41", with the file's last component. */
static void write_function(const struct report *report, const struct place *place)
{
	report_text(report, place->name, NAME_WIDTH);
	if (!*place->file)
		return;
	fputc(' ', report->stream);
	report_text(report, path_name(place->file), NAME_WIDTH);
	if (place->line > 0)
		fprintf(report->stream, ":%" PRId32, place->line);
}

static void write_owner(const struct report *report, const uint32_t key[TALLY_KEYS])
{
	struct place place;

	if (key[WAIT_FUNCTION] == WAIT_NO_FUNCTION) {
		fputs("thread ", report->stream);
		report_text(report, report->profile->strings[key[WAIT_THREAD]], NAME_WIDTH);
		return;
	}
	place = report_function(report->profile, key[WAIT_FUNCTION]);
	write_function(report, &place);
}

/* Begins a paragraph: what is written to *inner is wrapped by end_paragraph(). */
static int begin_paragraph(const struct report *report, struct report *inner, char **text,
			   size_t *size)
{
	*inner = *report;
	*text = NULL;
	inner->stream = open_memstream(text, size);
	return inner->stream ? 0 : -ENOMEM;
}

static int end_paragraph(const struct report *report, struct report *inner, char **text)
{
	if (fclose(inner->stream)) {
		free(*text);
		return -ENOMEM;
	}
	text_wrap(report->stream, *text, 2, 4, report->columns);
	free(*text);
	return 0;
}

/* The functions that set off the longest collections, the largest first; returns how many. */
static uint32_t rank_collectors(const struct summary *summary,
				const struct summary_row *ranked[FUNCTIONS_MAX])
{
	const struct summary_row *row;
	uint32_t count = 0, at, place;

	for (at = 0; at < summary->row_count; at++) {
		row = &summary->rows[at];
		if (row->gc_ns <= 0)
			continue;
		place = count < FUNCTIONS_MAX ? count++ : FUNCTIONS_MAX;
		for (; place > 0 && row->gc_ns > ranked[place - 1]->gc_ns; place--)
			if (place < FUNCTIONS_MAX)
				ranked[place] = ranked[place - 1];
		if (place < FUNCTIONS_MAX)
			ranked[place] = row;
	}
	return count;
}

/* Which way collections were seen, and how exact that is. */
static const char *collections_exactness(const struct profile_gc *gc)
{
	static const char *const sources[GC_SOURCE_COUNT] = {
		[GC_UNKNOWN] = "",
		[GC_USDT] = "Each one was timed, at the interpreter's own probes (USDT).",
		[GC_UPROBE] = "Each one was timed, at the collector's function (uprobe).",
		[GC_SAMPLED] = "From samples alone: how many there were is not known.",
	};

	if (gc->source == GC_SAMPLED && gc->timed)
		return "Counted and timed by the interpreter; where, is from samples.";
	if (gc->source == GC_SAMPLED && gc->counted)
		return "Counted by the interpreter; the time is from samples.";
	return sources[gc->source];
}

static void write_counts(const struct report *report, const struct profile_gc *gc)
{
	char number[TEXT_NUMBER_BYTES];
	int generation;

	fputs("; of generation", report->stream);
	for (generation = 0; generation < GC_GENERATIONS; generation++)
		fprintf(report->stream, "%s %d: %s", generation ? "," : "", generation,
			text_number(number, (int64_t)(gc->collections[generation] & INT64_MAX)));
}

static void write_collections(const struct report *report, const struct profile_gc *gc)
{
	const struct summary_row *ranked[FUNCTIONS_MAX] = {NULL};
	int64_t deviation = gc_deviation(gc, report->profile->facts.rate_hz);
	FILE *stream = report->stream;
	struct place place;
	uint32_t count, at;

	fprintf(stream, "garbage collection: %.2f s", (double)gc->ns / SECOND);
	if (deviation)
		fprintf(stream, " +- %.2f", (double)deviation / SECOND);
	fprintf(stream, " (%.0f %%)",
		report->verdicts->ns > 0 ? (double)gc->ns * 100 / (double)report->verdicts->ns : 0);
	if (gc->source != GC_SAMPLED) {
		fputs(", the longest ", stream);
		report_duration(stream, (double)gc->longest_ns / SECOND);
	}
	if (gc_is_counted(gc))
		write_counts(report, gc);
	count = rank_collectors(report->summary, ranked);
	for (at = 0; at < count; at++) {
		place = (struct place){.name = ranked[at]->name,
				       .file = ranked[at]->file,
				       .line = ranked[at]->line};
		fputs(at ? ", " : ". Most in ", stream);
		write_function(report, &place);
		/* Only a part: samples are not as exact as the probes. */
		fprintf(stream, " (%.0f %%)",
			(double)ranked[at]->gc_ns * 100 / (double)report->summary->gc_ns);
	}
	fprintf(stream, ". %s", collections_exactness(gc));
}

static int report_collections(const struct report *report)
{
	struct profile_gc gc = gc_of_all(report->profile);
	struct report inner;
	char *text;
	size_t size;

	if (gc.source == GC_UNKNOWN || !report_matters(report, gc.ns))
		return 0;
	if (begin_paragraph(report, &inner, &text, &size))
		return -ENOMEM;
	write_collections(&inner, &gc);
	return end_paragraph(report, &inner, &text);
}

typedef bool (*tally_filter)(const struct tally *tally);

/* The tallies of the most active time that pass the filter, the largest first; returns how many. */
static uint32_t rank(const struct tallies *tallies, tally_filter passes,
		     const struct tally *ranked[FUNCTIONS_MAX], int64_t *ns)
{
	const struct tally *tally;
	uint32_t count = 0, at, place;

	*ns = 0;
	for (at = 0; at < tallies->count; at++) {
		tally = &tallies->items[at];
		if (!passes(tally) || tally->active_ns <= 0)
			continue;
		*ns += tally->active_ns;
		place = count < FUNCTIONS_MAX ? count++ : FUNCTIONS_MAX;
		for (; place > 0 && tally->active_ns > ranked[place - 1]->active_ns; place--)
			if (place < FUNCTIONS_MAX)
				ranked[place] = ranked[place - 1];
		if (place < FUNCTIONS_MAX)
			ranked[place] = tally;
	}
	return count;
}

/* Begins an item of a list: with what it is of, unless that of the item before it is the same. */
static void write_next_owner(const struct report *report, const struct tally *const ranked[],
			     uint32_t at)
{
	if (at)
		fputs(", ", report->stream);
	if (at && !memcmp(ranked[at]->key, ranked[at - 1]->key, 2 * sizeof(uint32_t)))
		return;
	write_owner(report, ranked[at]->key);
	fputc(' ', report->stream);
}

static bool is_any(const struct tally *tally)
{
	return true;
}

/* Who ended a wait says something where it was another thread's doing. */
static bool is_handed(const struct tally *tally)
{
	return tally->key[WAIT_STATE] == STATE_LOCK || tally->key[WAIT_STATE] == STATE_PIPE;
}

/* "wanted a CPU: list_orders views.py:41 while postgres ran (0.30 s), while make ran (0.10 s)." */
static int report_runqueue(const struct report *report)
{
	const struct tally *ranked[FUNCTIONS_MAX];
	struct report inner;
	uint32_t count, at;
	char *text;
	size_t size;
	int64_t ns;

	count = rank(&report->waits->runqueue, is_any, ranked, &ns);
	if (!report_matters(report, ns))
		return 0;
	if (begin_paragraph(report, &inner, &text, &size))
		return -ENOMEM;
	fputs("wanted a CPU: ", inner.stream);
	for (at = 0; at < count; at++) {
		write_next_owner(&inner, ranked, at);
		fputs("while ", inner.stream);
		report_text(&inner, report->profile->strings[ranked[at]->key[WAIT_OTHER]],
			    NAME_WIDTH);
		fprintf(inner.stream, " ran (%.2f s)", (double)ranked[at]->ns / SECOND);
	}
	fputc('.', inner.stream);
	return end_paragraph(report, &inner, &text);
}

/* "woken: Condition.wait cond.py:20 by push queue.py:12 (lock, 1.50 s), by thread worker (…)." */
static int report_wakers(const struct report *report)
{
	const struct tally *ranked[FUNCTIONS_MAX];
	struct report inner;
	uint32_t count, at;
	char *text, *waker;
	size_t size;
	int64_t ns;

	count = rank(&report->waits->wakers, is_handed, ranked, &ns);
	if (!report_matters(report, ns))
		return 0;
	if (begin_paragraph(report, &inner, &text, &size))
		return -ENOMEM;
	fputs("woken: ", inner.stream);
	for (at = 0; at < count; at++) {
		write_next_owner(&inner, ranked, at);
		waker = label_text(report->profile->strings[ranked[at]->key[WAIT_OTHER]]);
		fputs("by ", inner.stream);
		report_text(&inner, waker ? waker : "", NAME_WIDTH);
		free(waker);
		fprintf(inner.stream, " (%s, %.2f s)", state_name(ranked[at]->key[WAIT_STATE]),
			(double)ranked[at]->ns / SECOND);
	}
	fputc('.', inner.stream);
	return end_paragraph(report, &inner, &text);
}

static int compare_growth(const void *left, const void *right)
{
	const struct summary_row *a = *(const struct summary_row *const *)left;
	const struct summary_row *b = *(const struct summary_row *const *)right;

	if (a->grown != b->grown)
		return a->grown < b->grown ? 1 : -1;
	return a < b ? -1 : a > b;
}

/* Writes a row of memory, with the line where most of it was. */
static void write_growth(const struct report *report, const struct summary_row *row)
{
	const struct summary_line *lines, *most = NULL;
	struct place place = {row->name, row->file, row->line, path_name(row->file)};
	char line[64] = "";
	uint32_t count, at;
	size_t used, room;

	lines = summary_lines(report->summary, (uint32_t)(row - report->summary->rows), &count);
	for (at = 0; at < count; at++)
		if (lines[at].line > 0 && (!most || lines[at].grown > most->grown))
			most = &lines[at];
	if (most && most->grown > 0)
		snprintf(line, sizeof(line), ", %.1f in line %" PRId32,
			 (double)most->grown / MEGABYTE, most->line);
	used = (size_t)fprintf(report->stream, "%7.1f %8.1f ", (double)row->grown / MEGABYTE,
			       (double)row->grown_total / MEGABYTE);
	room = report->columns > used ? report->columns - used : 0;
	if (room < REPORT_PLACES_MIN)
		line[0] = '\0';
	report_place(report, &place, room > strlen(line) ? room - strlen(line) : 0);
	fprintf(report->stream, "%s\n", line);
}

static int report_memory(const struct report *report)
{
	const struct summary *summary = report->summary;
	uint32_t most = report->options->rows ? report->options->rows : ROWS_DEFAULT;
	const struct summary_row **rows;
	uint32_t at, count = 0;
	int64_t hidden = 0;

	if (!summary->grows)
		return 0;
	rows = calloc((size_t)summary->row_count + 1, sizeof(const struct summary_row *));
	if (!rows)
		return -ENOMEM;
	for (at = 0; at < summary->row_count; at++)
		if (summary->rows[at].charged && summary->rows[at].grown > 0)
			rows[count++] = &summary->rows[at];
	qsort(rows, count, sizeof(const struct summary_row *), compare_growth);
	fputc('\n', report->stream);
	report_colour(report, COLOUR_BOLD);
	fprintf(report->stream, "%7s %8s %s", "self MB", "total MB", "memory grown in");
	report_colour(report, COLOUR_NONE);
	fputc('\n', report->stream);
	for (at = 0; at < count; at++) {
		if (at < most)
			write_growth(report, rows[at]);
		else
			hidden += rows[at]->grown;
	}
	if (count > most)
		fprintf(report->stream, "%7.1f in %" PRIu32 " more function%s: see -n\n",
			(double)hidden / MEGABYTE, count - most, count - most == 1 ? "" : "s");
	free(rows);
	return 0;
}

int report_rest(const struct report *report)
{
	struct report inner = *report;
	char *text = NULL;
	size_t size;
	int result;

	inner.stream = open_memstream(&text, &size);
	if (!inner.stream)
		return -ENOMEM;
	result = report_collections(&inner);
	if (!result)
		result = report_runqueue(&inner);
	if (!result)
		result = report_wakers(&inner);
	if (fclose(inner.stream) && !result)
		result = -ENOMEM;
	if (!result && size)
		fprintf(report->stream, "\n%s", text);
	free(text);
	return result ? result : report_memory(report);
}
