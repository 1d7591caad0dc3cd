/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the report's head: each process with its verdict, then the causes. */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "views/paths.h"
#include "views/symbol_text.h"
#include "views/text.h"

#define PROCESSES_LONG   3 /* up to so many processes have a paragraph each */
#define PROCESSES_SHORT  5 /* of more than that, so many have a line */
#define CAUSE_NAME_WIDTH 30

static void write_duration(FILE *stream, double seconds)
{
	if (seconds >= 1)
		fprintf(stream, "%.1f s", seconds);
	else if (seconds >= 1e-3)
		fprintf(stream, "%.1f ms", seconds * 1e3);
	else
		fprintf(stream, "%.0f us", seconds * 1e6);
}

/* Writes a text that the caller has allocated. */
static void write_taken(const struct report *report, const char *before, char *text)
{
	fputs(before, report->stream);
	if (text)
		report_text(report, text, CAUSE_NAME_WIDTH);
	free(text);
}

/* Writes ", 0.9 s of it in C (deflate, libz.so.1)". */
static void write_native(const struct report *report, int64_t ns, const struct cause *cause)
{
	const struct profile *profile = report->profile;
	const char *module = profile->strings[profile->modules[cause->native_module].path];
	const struct profile_function *function = NULL;

	fprintf(report->stream, ", %.1f s of it in C", (double)ns / SECOND);
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

static void write_cpu_cause(const struct report *report, const struct cause *cause)
{
	int64_t native = cause->running[LEAF_NATIVE], kernel = cause->running[LEAF_KERNEL];
	int64_t running = 0;
	FILE *stream = report->stream;
	int leaf;

	for (leaf = 0; leaf < LEAF_COUNT; leaf++)
		running += cause->running[leaf];
	fprintf(stream, "burns %.1f s of CPU", (double)running / SECOND);
	if (report_counts(native, running))
		write_native(report, native, cause);
	if (report_counts(kernel, running))
		fprintf(stream, ", %.1f s%s in the kernel", (double)kernel / SECOND,
			report_counts(native, running) ? "" : " of it");
	if (report_counts(cause->ns - running, cause->ns))
		fprintf(stream, ", and waits %.1f s for a CPU",
			(double)(cause->ns - running) / SECOND);
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
	report_text(&inner, report->places[at].name, CAUSE_NAME_WIDTH);
	if (*report->places[at].short_file) {
		fputc(' ', inner.stream);
		report_text(&inner, report->places[at].short_file, CAUSE_NAME_WIDTH);
		if (report->places[at].line > 0)
			fprintf(inner.stream, ":%" PRId32, report->places[at].line);
	}
	fputc(' ', inner.stream);
	if (cause->column == COLUMN_CPU)
		write_cpu_cause(&inner, cause);
	else
		write_wait_cause(&inner, cause);
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
		report_colour(report, bold ? COLOUR_BOLD : COLOUR_NONE);
		text_wrap(report->stream, text, 2, 2, report->columns);
		report_colour(report, COLOUR_NONE);
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
	report_colour(report, COLOUR_BOLD);
	report_text(report, report->profile->strings[process->command], room);
	report_text(report, tail, strlen(tail));
	report_colour(report, COLOUR_NONE);
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

int report_head(const struct report *report)
{
	uint32_t at;
	int result = write_processes(report);

	for (at = 0; at < report->cause_count && !result; at++)
		result = write_cause(report, at);
	fputc('\n', report->stream);
	return result;
}
