/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the report's head: each process with its verdict, and the whole of it. */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "views/text.h"

#define PROCESSES_LONG  3  /* up to so many processes have a paragraph each */
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

char *report_container(const struct report *report, const struct profile_process *process)
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
	char *container = report_container(report, process), *tail = NULL;
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

static int write_processes(const struct report *report)
{
	const struct profile *profile = report->profile;
	int result = 0;
	uint32_t at;

	if (profile->process_count > PROCESSES_LONG)
		return report_programs(report);
	for (at = 0; at < profile->process_count && !result; at++) {
		if (at)
			fputc('\n', report->stream);
		result = write_process(report, at);
	}
	if (!profile->process_count)
		fputs("No process was seen.\n", report->stream);
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
