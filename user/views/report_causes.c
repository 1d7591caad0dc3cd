/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the causes as sentences: function, what it did and for how long, the share of the active
 * threads' time, the line, and how often. Only what the recording carries is said.
 */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "views/paths.h"
#include "views/symbol_text.h"
#include "views/text.h"

#define CAUSES_MAX   3
#define PATTERNS_MAX 2   /* of patterns behind these */
#define SAMPLES_FEW  100 /* below that shares of CPU time are off by several percent */

/* What an item's places are. */
enum { PLACE_FUNCTION, PLACE_PEER, PLACE_CALLER };

void report_duration(FILE *stream, double seconds)
{
	if (seconds >= 1)
		fprintf(stream, "%.1f s", seconds);
	else if (seconds >= 1e-3)
		fprintf(stream, seconds >= 1e-2 ? "%.0f ms" : "%.1f ms", seconds * 1e3);
	else
		fprintf(stream, "%.0f us", seconds * 1e6);
}

/* Writes "6.2 s", or "0.06 s" of what is less than a second. */
static void write_seconds(FILE *stream, int64_t ns)
{
	fprintf(stream, ns < (int64_t)SECOND ? "%.2f s" : "%.1f s", (double)ns / SECOND);
}

/* Writes a text that the caller has allocated. */
static void write_taken(const struct report *report, const char *before, char *text)
{
	fputs(before, report->stream);
	if (text)
		report_text(report, text, report->name_width);
	free(text);
}

/* Writes " (55 %)", of the time of all active threads. */
static void write_part(const struct report *report, int64_t ns)
{
	if (report->verdicts->ns > 0)
		fprintf(report->stream, " (%.0f %%)",
			(double)ns * 100 / (double)report->verdicts->ns);
}

/* Writes "name file:line", the parts shortened. */
static void write_place(const struct report *report, const struct place *place)
{
	report_text(report, place->name, report->name_width);
	if (!*place->short_file)
		return;
	fputc(' ', report->stream);
	report_text(report, place->short_file, report->name_width);
	if (place->line > 0)
		fprintf(report->stream, ":%" PRId32, place->line);
}

/* Writes ", 0.9 s of it in C (deflate, libz.so.1)". */
static void write_native(const struct report *report, int64_t ns, const struct cause *cause)
{
	const struct profile *profile = report->profile;
	const char *module = profile->strings[profile->modules[cause->native_module].path];
	const struct profile_function *function = NULL;

	fputs(", ", report->stream);
	write_seconds(report->stream, ns);
	fputs(" of it in C", report->stream);
	if (cause->native_function >= 0) {
		function = &profile->functions[cause->native_function];
		module = profile_code_file(profile, (uint32_t)cause->native_function);
		write_taken(report, " (", symbol_text(profile->strings[function->name]));
		if (symbol_is_offset(profile->strings[function->name], module))
			module = "";
	}
	if (*module)
		write_taken(report, function ? ", " : " (", module_text(path_name(module)));
	if (function || *module)
		fputc(')', report->stream);
}

static void write_line(const struct report *report, const struct cause *cause)
{
	if (cause->line > 0)
		fprintf(report->stream, ", in line %" PRId32, cause->line);
}

static void write_cpu_cause(const struct report *report, const struct cause *cause)
{
	static const struct {
		enum leaf leaf;
		const char *text;
	} leaves[] = {{LEAF_KERNEL, "in the kernel"}, {LEAF_GC, "collecting garbage"}};
	int64_t native = cause->running[LEAF_NATIVE], running = 0, part;
	FILE *stream = report->stream;
	bool any = false;
	int leaf;

	for (leaf = 0; leaf < LEAF_COUNT; leaf++)
		running += cause->running[leaf];
	fputs("burns ", stream);
	write_seconds(stream, running);
	fputs(" of CPU", stream);
	write_part(report, running);
	write_line(report, cause);
	if (report_counts(native, running)) {
		write_native(report, native, cause);
		any = true;
	}
	for (leaf = 0; leaf < 2; leaf++) {
		part = cause->running[leaves[leaf].leaf];
		if (!report_counts(part, running))
			continue;
		fputs(", ", stream);
		write_seconds(stream, part);
		fprintf(stream, "%s %s", any ? "" : " of it", leaves[leaf].text);
		any = true;
	}
	if (!report_counts(cause->ns - running, cause->ns))
		return;
	fputs(", and waits ", stream);
	write_seconds(stream, cause->ns - running);
	fputs(" for a CPU", stream);
}

/* Writes ", most of it for render_page views.py:80": who had the GIL, or ended the waits. */
static void write_others(const struct report *report, const struct cause *cause)
{
	const struct profile *profile = report->profile;

	if (cause->column == COLUMN_GIL && cause->gil_holder) {
		write_taken(report, "; ", label_text(profile->strings[cause->gil_holder]));
		fputs(" had it for ", report->stream);
		write_seconds(report->stream, cause->holder_ns);
		fputs(" of that", report->stream);
	} else if (cause->column == COLUMN_LOCK && cause->waker) {
		write_taken(report, "; ", label_text(profile->strings[cause->waker]));
		fputs(" ended ", report->stream);
		write_seconds(report->stream, cause->waker_ns);
		fputs(" of them", report->stream);
	}
}

static void write_wait_cause(const struct report *report, const struct cause *cause)
{
	static const char *const objects[STATE_COUNT] = {
		[STATE_SOCKET] = "on sockets",
		[STATE_FILE] = "on files",
		[STATE_PIPE] = "on pipes",
		[STATE_FAULT] = "for page faults",
	};
	const char *target = report->profile->strings[cause->target];
	char number[TEXT_NUMBER_BYTES], *escaped;
	FILE *stream = report->stream;

	fputs("waits ", stream);
	write_seconds(stream, cause->ns);
	fputc(' ', stream);
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
	write_part(report, cause->ns);
	write_line(report, cause);
	if (cause->waits) {
		fprintf(stream, ": %s wait%s of ", text_number(number, cause->waits),
			cause->waits == 1 ? "" : "s");
		report_duration(stream, (double)cause->ns / (double)cause->waits / SECOND);
	}
	write_others(report, cause);
}

/* Writes " sends 800 messages to 127.0.0.1:5432 in each call", as far as calls could be told apart. */
static void write_messages(const struct report *report, const struct exchange *exchange)
{
	uint64_t calls = exchange->calls ? exchange->calls : 1;
	uint64_t each = (exchange->sends + calls / 2) / calls;
	char number[TEXT_NUMBER_BYTES];
	FILE *stream = report->stream;

	fprintf(stream, " sends %s%s messages", exchange->at_least ? "more than " : "",
		text_number(number, (int64_t)each));
	if (exchange->calls && !exchange->at_least && exchange->most > each + each / 2)
		fprintf(stream, " (up to %s)", text_number(number, (int64_t)exchange->most));
	fputs(" to ", stream);
	report_text(report, report->profile->strings[exchange->target], report->name_width);
	if (exchange->calls)
		fputs(exchange->calls == 1 ? " in a call" : " in each call", stream);
	else
		fputs(" in a loop", stream);
}

/*
 * Writes "list_orders views.py:41 sends 800 messages to 127.0.0.1:5432 in each call of index
 * views.py:30 (8 calls, from line 33)".
 */
static void write_pattern(const struct report *report, const struct cause_item *item)
{
	const struct exchange *exchange = item->exchange;
	int32_t line = report->profile->locations[exchange->location].line;
	char number[TEXT_NUMBER_BYTES];
	FILE *stream = report->stream;
	const char *before = "";

	write_place(report, &item->places[PLACE_PEER]);
	write_messages(report, exchange);
	if (exchange->caller != exchange->function) {
		fputs(" of ", stream);
		write_place(report, &item->places[PLACE_CALLER]);
	}
	if (!exchange->calls && line <= 0)
		return;
	fputs(" (", stream);
	if (exchange->calls) {
		fprintf(stream, "%s call%s", text_number(number, (int64_t)exchange->calls),
			exchange->calls == 1 ? "" : "s");
		before = ", ";
	}
	if (line > 0)
		fprintf(stream, "%sfrom line %" PRId32, before, line);
	fputc(')', stream);
}

static void write_pattern_cause(const struct report *report, const struct cause_item *item)
{
	const struct exchange *exchange = item->exchange;
	FILE *stream = report->stream;
	char number[TEXT_NUMBER_BYTES];

	write_pattern(report, item);
	fputs(", takes ", stream);
	write_seconds(stream, item->cause->ns);
	write_part(report, item->cause->ns);
	if (exchange->waits && exchange->ns) {
		fputs(", ", stream);
		write_seconds(stream, exchange->ns);
		fprintf(stream, " of it in %s wait%s of ", text_number(number, exchange->waits),
			exchange->waits == 1 ? "" : "s");
		report_duration(stream, (double)exchange->ns / (double)exchange->waits / SECOND);
	}
	fputs(exchange->calls ? ": the N+1 pattern" : ": many round trips", stream);
}

char *report_cause(const struct report *report, uint32_t at)
{
	const struct cause_item *item = &report->causes[at];
	struct report inner = *report;
	char *text = NULL;
	size_t size;

	inner.stream = open_memstream(&text, &size);
	if (!inner.stream)
		return NULL;
	fprintf(inner.stream, "%" PRIu32 ". ", at + 1);
	if (item->exchange) {
		write_pattern_cause(&inner, item);
	} else {
		if (item->cause->function < 0)
			fputs("thread ", inner.stream);
		write_place(&inner, &item->places[PLACE_FUNCTION]);
		fputc(' ', inner.stream);
		if (item->cause->column == COLUMN_CPU)
			write_cpu_cause(&inner, item->cause);
		else
			write_wait_cause(&inner, item->cause);
	}
	if (fclose(inner.stream)) {
		free(text);
		return NULL;
	}
	return text;
}

char *report_basis(const struct report *report)
{
	const struct profile_facts *facts = &report->profile->facts;
	char samples[TEXT_NUMBER_BYTES], losses[TEXT_NUMBER_BYTES], *text;
	uint64_t lost = 0;
	int loss;

	for (loss = 0; loss < LOSS_COUNT; loss++)
		if (__builtin_add_overflow(lost, facts->lost[loss], &lost))
			lost = INT64_MAX;
	if (asprintf(&text, "%s%s sample%s, %s lost", facts->captured < SAMPLES_FEW ? "only " : "",
		     text_number(samples, (int64_t)(facts->captured & INT64_MAX)),
		     facts->captured == 1 ? "" : "s",
		     text_number(losses, (int64_t)(lost & INT64_MAX))) < 0)
		return NULL;
	return text;
}

static struct place cause_place(const struct profile *profile, const struct cause *cause)
{
	if (cause->function < 0)
		return (struct place){.name = profile->strings[cause->thread],
				      .file = "(no Python frame)"};
	return report_function(profile, (uint32_t)cause->function);
}

static void add_item(struct report *report, const struct cause *cause)
{
	struct cause_item *item = &report->causes[report->cause_count++];
	const struct exchange *exchange = NULL;
	uint32_t at;

	if (cause->exchange >= 0)
		exchange = &report->verdicts->exchanges.items[cause->exchange];

	*item = (struct cause_item){.cause = cause, .exchange = exchange};
	for (at = 0; at < CAUSE_PLACES; at++)
		item->places[at] = (struct place){.name = "", .file = ""};
	item->places[PLACE_FUNCTION] = cause_place(report->profile, cause);
	if (!exchange)
		return;
	item->places[PLACE_PEER] = report_function(report->profile, exchange->function);
	item->places[PLACE_CALLER] = report_function(report->profile, exchange->caller);
}

void report_choose_causes(struct report *report)
{
	const struct verdicts *verdicts = report->verdicts;
	const struct cause *cause;
	uint32_t at, patterns = 0;

	_Static_assert(CAUSES_MAX + PATTERNS_MAX <= CAUSE_ITEMS_MAX, "room for all items");
	for (at = 0; at < CAUSES_MAX && at < verdicts->cause_count; at++) {
		cause = &verdicts->causes[at];
		if (!report_counts(cause->ns, verdicts->ns))
			break;
		add_item(report, cause);
	}
	for (; at < verdicts->cause_count && patterns < PATTERNS_MAX; at++) {
		cause = &verdicts->causes[at];
		if (cause->exchange < 0 || !report_counts(cause->ns, verdicts->ns))
			continue;
		add_item(report, cause);
		patterns++;
	}
}

int report_name_causes(struct report *report)
{
	const char *paths[CAUSE_ITEMS_MAX * CAUSE_PLACES] = {NULL};
	const char *shorts[CAUSE_ITEMS_MAX * CAUSE_PLACES] = {NULL};
	uint32_t count = report->cause_count * CAUSE_PLACES, at;
	int result;

	for (at = 0; at < count; at++)
		paths[at] = report->causes[at / CAUSE_PLACES].places[at % CAUSE_PLACES].file;
	result = paths_shorten(paths, count, shorts);
	for (at = 0; at < count && !result; at++)
		report->causes[at / CAUSE_PLACES].places[at % CAUSE_PLACES].short_file = shorts[at];
	return result;
}
