/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the set of recorded processes; see targets.h. */
#include "capture/targets.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/unwinder.h"
#include "clock.h"

#define START_WAIT_MS 2000 /* for an interpreter that is being started */
#define RETRY_MS      5    /* while an interpreter is being started */
#define LATE_RETRY_MS 250  /* for a program that may load one later */

struct targets {
	struct target_world world;
	struct target *all;   /* by PID; the newest of each */
	struct target *ended; /* the same, of those whose end has been told */
	uint32_t count;
	uint32_t next_index;
	int64_t retry_ms; /* the earliest of all; 0: none */
	bool begun;
	char notices[4096];
};

/* Adds the line `process PID: TEXT`. */
static void notice_add(struct targets *targets, pid_t pid, const char *text)
{
	size_t used = strlen(targets->notices);

	snprintf(targets->notices + used, sizeof(targets->notices) - used, "process %d: %s\n",
		 (int)pid, text);
}

static struct target *target_find(const struct targets *targets, pid_t pid)
{
	struct target *target;

	HASH_FIND(hh, targets->all, &pid, sizeof(pid), target);
	return target;
}

/* Has the target looked at again at this time. */
static void target_retry(struct targets *targets, struct target *target, int64_t time_ms)
{
	target->retry_ms = time_ms;
	if (!targets->retry_ms || time_ms < targets->retry_ms)
		targets->retry_ms = time_ms;
}

static void target_remove(struct targets *targets, struct target *target)
{
	HASH_DEL(targets->all, target);
	recorder_remove_process(targets->world.recorder, target->index);
	if (targets->world.unwinder)
		unwinder_remove(targets->world.unwinder, target->process.pid);
	target_release(target);
	free(target);
}

struct targets *targets_new(struct profile *profile, struct recorder *recorder,
			    struct session *session, struct unwinder *unwinder);
