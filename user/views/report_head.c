/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the report's head: each process with its verdict, and the whole of it. */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "views/text.h"

#define PROCESSES_LONG  3 /* up to so many processes have a paragraph each */
#define PROCESSES_SHORT 5 /* of more than that, so many have a line */
#define NAME_WIDTH      30
#define CONTAINER_HEX   12 /* digits of a container's id, as container engines show it */
#define CONTAINER_WIDTH 24 /* of a name */

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

/*
 * The container of a process as it is shown beside others: the first digits of an id, else the name
 * shortened. "" if it has none or is alone. NULL: no memory.
 */
static char *container_text(const struct report *report, const struct profile_process *process)
{
	const char *container = report->profile->strings[process->container];
	char *escaped, *text;

	if (report->profile->process_count < 2)
		return strdup("");
	if (strspn(container, "0123456789abcdef") == strlen(container))
		return strndup(container, CONTAINER_HEX);
	escaped = text_escape(container);
	text = escaped ? text_shorten(escaped, CONTAINER_WIDTH) : NULL;
	free(escaped);
	return text;
}

/*
 * "gunicorn app:wsgi  pid 4242  container 0123456789ab  CPython 3.11.2 (/usr/bin/python3.11)", the
 * command shortened.
 */
static int write_title(const struct report *report, const struct profile_process *process)
{
	const char *python = report->profile->strings[process->python];
	char *container = container_text(report, process), *tail = NULL;
	size_t version = strcspn(python, "("), room;

	if (!container)
		return -ENOMEM;
	while (version && python[version - 1] == ' ')
		version--;
	if (asprintf(&tail, "  pid %" PRIu32 "%s%s%s%.*s", process->pid,
		     *container ? "  container " : "", container, version ? "  " : "",
		     (int)(version < 60 ? version : 60), python) < 0)
		tail = NULL;
	free(container);
	if (!tail)
		return -ENOMEM;
	room = report->columns - 1;
	room = room > strlen(tail) + 10 ? room - strlen(tail) : 10;
	report_colour(report, COLOUR_BOLD);
	report_text(report, report->profile->strings[process->command], room);
	report_text(report, tail, strlen(tail));
	report_colour(report, COLOUR_NONE);
	fputc('\n', report->stream);
	free(tail);
	return 0;
}

/* "10.0 s, 2 of 14 threads active, 99.9 % accounted for; 1 234 samples, 0 lost." */
static char *process_text(const struct report *report, const struct verdict *verdict)
{
	char accounted[48] = "", *basis = NULL, *text = NULL;
	bool alone = report->profile->process_count == 1;

	if (verdict->existed_ns > 0)
		snprintf(accounted, sizeof(accounted), ", %.1f %% accounted for",
			 (double)verdict->charged_ns * 100 / (double)verdict->existed_ns);
	if (alone) {
		basis = report_basis(report);
		if (!basis)
			return NULL;
	}
	if (asprintf(&text, "%.1f s, %" PRIu32 " of %" PRIu32 " thread%s active%s%s%s.",
		     (double)report->profile->facts.duration_ns / SECOND, verdict->active,
		     verdict->threads, verdict->threads == 1 ? "" : "s", accounted,
		     alone ? "; " : "", alone ? basis : "") < 0)
		text = NULL;
	free(basis);
	return text;
}

static int write_process(const struct report *report, uint32_t at)
{
	const struct verdict *verdict = &report->verdicts->processes[at];
	int result = write_title(report, &report->profile->processes[at]);

	if (!result)
		result = write_sentence(report, process_text(report, verdict), false);
	if (!result)
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

/* A line or two for a process: its pid, container, command and verdict. */
static int write_process_line(const struct report *report, uint32_t at)
{
	const struct profile_process *process = &report->profile->processes[at];
	char *verdict = verdict_text(&report->verdicts->processes[at]);
	char *command = text_escape(report->profile->strings[process->command]);
	char *name = command ? text_shorten(command, NAME_WIDTH) : NULL;
	char *container = container_text(report, process);
	char *line = NULL;
	int result = -ENOMEM;

	if (verdict && name && container &&
	    asprintf(&line, "%s (pid %" PRIu32 "%s%s): %s", name, process->pid,
		     *container ? ", container " : "", container, verdict) >= 0) {
		text_wrap(report->stream, line, 2, 4, report->columns);
		free(line);
		result = 0;
	}
	free(verdict);
	free(container);
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

static int write_cause(const struct report *report, uint32_t at)
{
	char *text = report_cause(report, at);

	if (!text)
		return -ENOMEM;
	text_wrap(report->stream, text, 2, 5, report->columns);
	free(text);
	return 0;
}

static int write_basis(const struct report *report)
{
	char *basis = report_basis(report);

	if (!basis)
		return -ENOMEM;
	fprintf(report->stream, "  From %s.\n", basis);
	free(basis);
	return 0;
}

int report_head(const struct report *report)
{
	uint32_t at;
	int result = write_processes(report);

	for (at = 0; at < report->cause_count && !result; at++)
		result = write_cause(report, at);
	if (!result && report->profile->process_count > 1)
		result = write_basis(report);
	fputc('\n', report->stream);
	return result;
}
