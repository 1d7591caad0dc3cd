/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a live view says of each process as a whole: its name, and its verdict in the last
 * window and since the last reset. Leaves to rows.h the tables and when there is a window.
 */
#ifndef PYEBPF_LIVE_PROCESSES_H
#define PYEBPF_LIVE_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "profile/verdict.h"

/* Of which time. */
enum period { PERIOD_WINDOW, PERIOD_ALL, PERIOD_COUNT };

struct live_process {
	uint32_t pid;
	char *command;
	char *python;
	struct verdict verdicts[PERIOD_COUNT];
	uint32_t window; /* number of the last one that it was seen in */
	UT_hash_handle hh;
};

/* Starts zeroed. */
struct live_processes {
	struct live_process *all;
	uint32_t window; /* number of the last one, from 1 on */
};

/* Above so many, those that have ended are forgotten. */
#define LIVE_PROCESSES_MAX 2048

/* Adds a window, which becomes the last one. Returns 0 or -ENOMEM. */
int live_processes_add(struct live_processes *processes, const struct profile *window);

/*
 * Stores those that were seen in the period, the busiest first, to be freed by the caller, and
 * their count. Of PERIOD_ALL there are also some that have ended. Returns 0 or -ENOMEM.
 */
int live_processes_choose(const struct live_processes *processes, enum period period,
			  const struct live_process ***chosen, uint32_t *count);

/* Whether it was seen in the last window. */
bool live_process_lives(const struct live_processes *processes, const struct live_process *process);

void live_processes_reset(struct live_processes *processes);
void live_processes_clear(struct live_processes *processes);

#endif
