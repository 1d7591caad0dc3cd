/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the recorded processes by their PIDs, and that the kernel side knows of each what is known of
 * it here. Leaves one process to target.h, which ones there are to targets.h, what befalls them to
 * target_events.h.
 */
#ifndef PYEBPF_TARGET_SET_H
#define PYEBPF_TARGET_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/known_programs.h"
#include "capture/notices.h"
#include "capture/target.h"
#include "config.h"

struct target_set {
	struct target_world world;
	struct target *all; /* by PID; NULL: none */
	struct known_programs *known;
	struct notices *notices;
	int64_t retry_ms; /* CLOCK_MONOTONIC at which something is to be done, first; 0: nothing is */
	bool begun;       /* the kernel side is told of each as it is taken on */
};

/* NULL: there is none. */
struct target *target_set_find(const struct target_set *set, pid_t pid);

/* Adds a process, instead of what was known under its PID. NULL: no memory. */
struct target *target_set_append(struct target_set *set, pid_t pid, uint32_t index);

/* Ends what is recorded of a process, and frees it. */
void target_set_remove(struct target_set *set, struct target *target);

/* Adds to the profile what is known of a process only at the end, or has it left out. */
void target_set_finish(struct target_set *set, struct target *target);

/* Has something done, or the target looked at again, at this time (CLOCK_MONOTONIC). */
void target_set_wake(struct target_set *set, int64_t time_ms);
void target_set_retry(struct target_set *set, struct target *target, int64_t time_ms);

/* What the kernel side has under the target's PID, perhaps of another program. 0 or -errno. */
int target_set_known(const struct target_set *set, const struct target *target,
		     struct process_config *known);

/*
 * Has the kernel side know what is known of a target now. Not where it has taken the process on
 * itself meanwhile, or with another program: of that an event tells, which is on its way. Returns 0;
 * -ESRCH if the process has ended: one that lives on after it was told of is seen to end; -errno.
 */
int target_set_tell(struct target_set *set, struct target *target);

/*
 * Takes back what the kernel side was told of a process whose end it may not have seen: another one
 * with its PID would be taken for it. What was recorded until then is not sure to be its own.
 */
void target_set_forget(struct target_set *set, struct target *target);

#endif
