/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the table of the report's head where there are many processes: a row for each program, with
 * all processes that run it. Leaves a few of them, with a paragraph each, to report_head.c.
 *
 * CPU time and the waits for a CPU are those of all threads, as the kernel counts them; the other
 * columns are of active threads, as verdicts are.
 */
#include "views/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"
#include "views/text.h"

#define ROWS_DEFAULT  8
#define WORDS_MAX     16
#define NUMBER_WIDTH  7  /* of a number and the space before it */
#define WORD_WIDTH    14 /* of what bounds a program, with a space before and behind it */
#define NAME_MIN      10
#define IN            " in "
#define COLUMNS_SMALL 70 /* below it there is no room for locks */

/* A program with all the processes of it: what they are called, where, and what runs them. */
struct program_identity {
	uint32_t command, container, python; /* strings */
};

struct program {
	uint32_t first; /* process of the most work */
	uint32_t processes;
	int64_t work_ns, first_work_ns;
	int64_t cpu_ns, queue_ns; /* of all threads */
	struct verdict verdict;   /* all of them added up */
};

struct programs_table {
	struct table keys;
	struct program *programs;
	uint32_t *of_process; /* index into programs, by process */
};

/* What a process did beside idling; nothing, if it never ran. */
static int64_t verdict_work(const struct verdict *verdict)
{
	const int64_t *shares = verdict->shares;

	if (!shares[SHARE_RUNNING])
		return 0;
	return shares[SHARE_RUNNING] + shares[SHARE_RUNQUEUE] + shares[SHARE_IO] +
	       shares[SHARE_LOCK] + shares[SHARE_GIL];
}

static void verdict_add(struct verdict *sum, const struct verdict *part)
{
	int i;

	sum->threads += part->threads;
	sum->active += part->active;
	sum->handover_ns += part->handover_ns;
	for (i = 0; i < SHARE_COUNT; i++)
		sum->shares[i] += part->shares[i];
	for (i = 0; i < LEAF_COUNT; i++)
		sum->running[i] += part->running[i];
}

/* Counts a process as one of its program. */
static int process_add(const struct report *report, struct programs_table *table, uint32_t at)
{
	const struct profile_process *process = &report->profile->processes[at];
	const struct program_identity key = {process->command, process->container, process->python};
	const struct verdict *verdict = &report->verdicts->processes[at];
	int64_t work = verdict_work(verdict);
	struct program *program;
	uint32_t id;
	int added = table_intern(&table->keys, &key, sizeof(key), &id, NULL);

	if (added < 0)
		return added;
	program = &table->programs[id];
	if (added || work > program->first_work_ns) {
		program->first = at;
		program->first_work_ns = work;
	}
	program->processes++;
	program->work_ns += work;
	verdict_add(&program->verdict, verdict);
	table->of_process[at] = id;
	return 0;
}

static void table_free(struct programs_table *table)
{
	table_clear(&table->keys);
	free(table->programs);
	free(table->of_process);
}

static void count_cpu(const struct profile *profile, struct programs_table *table)
{
	const struct profile_thread *thread;
	struct program *program;
	uint32_t at;

	for (at = 0; at < profile->thread_count; at++) {
		thread = &profile->threads[at];
		program = &table->programs[table->of_process[thread->process]];
		program->cpu_ns += thread->ns[STATE_RUNNING];
		program->queue_ns += thread->ns[STATE_RUNQUEUE];
	}
}

static int compare_programs(const void *left, const void *right)
{
	const struct program *a = left, *b = right;

	if (a->work_ns != b->work_ns)
		return a->work_ns < b->work_ns ? 1 : -1;
	return a->first < b->first ? -1 : a->first > b->first;
}

static int table_make(const struct report *report, struct programs_table *table)
{
	uint32_t count = report->profile->process_count, at;
	int result = 0;

	table->programs = calloc((size_t)count + 1, sizeof(*table->programs));
	table->of_process = calloc((size_t)count + 1, sizeof(*table->of_process));
	if (!table->programs || !table->of_process)
		return -ENOMEM;
	for (at = 0; at < count && !result; at++)
		result = process_add(report, table, at);
	if (result)
		return result;
	count_cpu(report->profile, table);
	qsort(table->programs, table->keys.count, sizeof(*table->programs), compare_programs);
	return 0;
}

static void write_seconds(FILE *stream, int64_t ns)
{
	if (ns < 5 * (int64_t)(SECOND / 1000))
		fprintf(stream, " %*s", NUMBER_WIDTH - 1, "-");
	else
		fprintf(stream, " %*.2f", NUMBER_WIDTH - 1, (double)ns / SECOND);
}

/*
 * Writes "gunicorn app:wsgi  12 pids in 0123456789ab" in at most `room` columns; the container comes
 * on a line of its own where there is no room for it.
 */
static int write_name(const struct report *report, const struct program *program, size_t room)
{
	const struct profile_process *process = &report->profile->processes[program->first];
	const char *command = report->profile->strings[process->command];
	char *container = report_container(report, process), tail[32];
	size_t used;

	if (!container)
		return -ENOMEM;
	if (program->processes == 1)
		snprintf(tail, sizeof(tail), "  pid %" PRIu32, process->pid);
	else
		snprintf(tail, sizeof(tail), "  %" PRIu32 " pids", program->processes);
	if (room < strlen(tail) + NAME_MIN)
		tail[0] = '\0';
	used = report_text(report, command, room - strlen(tail)) + strlen(tail);
	fputs(tail, report->stream);
	if (*container && used + strlen(IN) + text_width(container) > room)
		fprintf(report->stream, "\n%*s", (int)(report->columns - room), "");
	if (*container)
		fprintf(report->stream, "%s%s", IN, container);
	fputc('\n', report->stream);
	free(container);
	return 0;
}

static int write_program(const struct report *report, const struct program *program)
{
	const struct verdict *verdict = &program->verdict;
	bool locks = report->columns >= COLUMNS_SMALL;
	size_t used = WORD_WIDTH + NUMBER_WIDTH * (locks ? 5 : 3);

	write_seconds(report->stream, program->cpu_ns);
	write_seconds(report->stream, program->queue_ns);
	write_seconds(report->stream, verdict->shares[SHARE_IO]);
	if (locks) {
		write_seconds(report->stream, verdict->shares[SHARE_LOCK]);
		write_seconds(report->stream, verdict->shares[SHARE_GIL]);
	}
	fprintf(report->stream, " %-*s", WORD_WIDTH - 1, verdict_word(verdict));
	return write_name(report, program,
			  report->columns > used + NAME_MIN ? report->columns - used : NAME_MIN);
}

static void write_table_head(const struct report *report)
{
	report_colour(report, COLOUR_BOLD);
	fprintf(report->stream, "%*s%*s%*s", NUMBER_WIDTH, "cpu s", NUMBER_WIDTH, "want s",
		NUMBER_WIDTH, "io s");
	if (report->columns >= COLUMNS_SMALL)
		fprintf(report->stream, "%*s%*s", NUMBER_WIDTH, "lock s", NUMBER_WIDTH, "gil s");
	fprintf(report->stream, " %-*s%s", WORD_WIDTH - 1, "verdict", "program");
	report_colour(report, COLOUR_NONE);
	fputc('\n', report->stream);
}

/* "  and 495 more processes: CPU-bound 300, Idle 195; see -n." */
static int write_rest(const struct report *report, const struct program *programs, uint32_t count)
{
	const char *words[WORDS_MAX], *word;
	uint32_t counts[WORDS_MAX] = {0}, used = 0, all = 0, at, place;
	char *text = NULL;
	size_t size;
	FILE *stream;

	for (at = 0; at < count; at++) {
		word = verdict_word(&programs[at].verdict);
		for (place = 0; place < used && strcmp(words[place], word) != 0; place++)
			;
		if (place == WORDS_MAX)
			continue;
		if (place == used)
			words[used++] = word;
		counts[place] += programs[at].processes;
		all += programs[at].processes;
	}
	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	fprintf(stream, "and %" PRIu32 " more process%s of %" PRIu32 " program%s", all,
		all == 1 ? "" : "es", count, count == 1 ? "" : "s");
	for (place = 0; place < used; place++)
		fprintf(stream, "%s%s %" PRIu32, place ? ", " : ": ", words[place], counts[place]);
	fputs("; see -n.", stream);
	if (fclose(stream)) {
		free(text);
		return -ENOMEM;
	}
	text_wrap(report->stream, text, 2, 4, report->columns);
	free(text);
	return 0;
}

int report_programs(const struct report *report)
{
	uint32_t most = report->options->rows ? report->options->rows : ROWS_DEFAULT, shown, at;
	struct programs_table table = {.programs = NULL};
	int result = table_make(report, &table);

	if (result) {
		table_free(&table);
		return result;
	}
	fprintf(report->stream, "%" PRIu32 " processes of %" PRIu32 " program%s, %.1f s\n",
		report->profile->process_count, table.keys.count, table.keys.count == 1 ? "" : "s",
		(double)report->profile->facts.duration_ns / SECOND);
	write_table_head(report);
	shown = table.keys.count <= most + 1 ? table.keys.count : most;
	for (at = 0; at < shown && !result; at++)
		result = write_program(report, &table.programs[at]);
	if (!result && shown < table.keys.count)
		result = write_rest(report, table.programs + shown, table.keys.count - shown);
	table_free(&table);
	return result;
}
