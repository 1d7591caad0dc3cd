/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns adding verdicts up; see processes.h. */
#include "live/processes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void process_remove(struct live_processes *processes, struct live_process *process)
{
	HASH_DEL(processes->all, process);
	free(process->command);
	free(process->python);
	free(process);
}

void live_processes_clear(struct live_processes *processes)
{
	struct live_process *process, *next;

	HASH_ITER (hh, processes->all, process, next) {
		process_remove(processes, process);
	}
}

bool live_process_lives(const struct live_processes *processes, const struct live_process *process)
{
	return process->window == processes->window;
}

/* Threads are counted as they are: those of the window, or the most that there were. */
static void verdict_add(struct verdict *sum, const struct verdict *part)
{
	int i;

	if (part->threads > sum->threads)
		sum->threads = part->threads;
	if (part->active > sum->active)
		sum->active = part->active;
	for (i = 0; i < STATE_COUNT; i++)
		sum->waited[i] = part->waited[i];
	for (i = 0; i < SHARE_COUNT; i++)
		sum->shares[i] += part->shares[i];
	for (i = 0; i < LEAF_COUNT; i++)
		sum->running[i] += part->running[i];
	sum->handover_ns += part->handover_ns;
	sum->charged_ns += part->charged_ns;
	sum->existed_ns += part->existed_ns;
}

static struct live_process *process_find(struct live_processes *processes, uint32_t pid)
{
	struct live_process *process;

	HASH_FIND(hh, processes->all, &pid, sizeof(pid), process);
	if (process)
		return process;
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->pid = pid;
	HASH_ADD(hh, processes->all, pid, sizeof(process->pid), process);
	return process;
}

static int text_replace(char **text, const char *by)
{
	char *copy;

	if (*text && !strcmp(*text, by))
		return 0;
	copy = strdup(by);
	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* A process that runs another program is the same one, under its new name. */
static int process_add(struct live_processes *processes, const struct profile *profile,
		       const struct profile_process *part, const struct verdict *verdict)
{
	struct live_process *process = process_find(processes, part->pid);

	if (!process || text_replace(&process->command, profile->strings[part->command]) ||
	    text_replace(&process->python, profile->strings[part->python]))
		return -ENOMEM;
	if (process->window != processes->window)
		memset(&process->verdicts[PERIOD_WINDOW], 0,
		       sizeof(process->verdicts[PERIOD_WINDOW]));
	process->window = processes->window;
	verdict_add(&process->verdicts[PERIOD_WINDOW], verdict);
	verdict_add(&process->verdicts[PERIOD_ALL], verdict);
	return 0;
}

static void ended_forget(struct live_processes *processes)
{
	struct live_process *process, *next;

	if (HASH_COUNT(processes->all) <= LIVE_PROCESSES_MAX)
		return;
	HASH_ITER (hh, processes->all, process, next) {
		if (!live_process_lives(processes, process))
			process_remove(processes, process);
	}
}

int live_processes_add(struct live_processes *processes, const struct profile *window)
{
	struct verdicts *verdicts;
	uint32_t i;
	int error = verdicts_make(window, &verdicts);

	if (error)
		return error;
	processes->window++;
	for (i = 0; !error && i < window->process_count; i++)
		if (verdicts->processes[i].threads || window->process_count == 1)
			error = process_add(processes, window, &window->processes[i],
					    &verdicts->processes[i]);
	verdicts_free(verdicts);
	ended_forget(processes);
	return error;
}

static int64_t busy_time(const struct verdict *verdict)
{
	const int64_t *shares = verdict->shares;

	return shares[SHARE_RUNNING] + shares[SHARE_RUNQUEUE] + shares[SHARE_IO] +
	       shares[SHARE_LOCK] + shares[SHARE_GIL];
}

static int compare_busy(const void *left, const void *right, void *context)
{
	const struct live_process *a = *(const struct live_process *const *)left;
	const struct live_process *b = *(const struct live_process *const *)right;
	const enum period *period = context;
	int64_t one = busy_time(&a->verdicts[*period]), other = busy_time(&b->verdicts[*period]);

	if (one != other)
		return one < other ? 1 : -1;
	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

int live_processes_choose(const struct live_processes *processes, enum period period,
			  const struct live_process ***chosen, uint32_t *count)
{
	const struct live_process **found =
		calloc((size_t)HASH_COUNT(processes->all) + 1, sizeof(*found));
	const struct live_process *process;

	if (!found)
		return -ENOMEM;
	*count = 0;
	for (process = processes->all; process; process = process->hh.next)
		if (period == PERIOD_ALL || live_process_lives(processes, process))
			found[(*count)++] = process;
	qsort_r(found, *count, sizeof(*found), compare_busy, &period);
	*chosen = found;
	return 0;
}

void live_processes_reset(struct live_processes *processes)
{
	struct live_process *process, *next;

	HASH_ITER (hh, processes->all, process, next) {
		memset(&process->verdicts[PERIOD_ALL], 0, sizeof(process->verdicts[PERIOD_ALL]));
		if (!live_process_lives(processes, process))
			process_remove(processes, process);
	}
}
