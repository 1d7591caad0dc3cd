/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns which processes are recorded: taking on those that were named, and those that come by
 * themselves where a cgroup or the whole host is recorded. Leaves what befalls them to
 * target_events.h, finding their interpreters to target_search.h and target.h.
 */
#ifndef PYEBPF_TARGETS_H
#define PYEBPF_TARGETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/recorder.h"
#include "capture/session.h"
#include "capture/target.h"
#include "error.h"
#include "profile/profile.h"

struct targets;

/* `unwinder` NULL: without native stacks. All must outlive the targets. NULL: no memory. */
struct targets *targets_new(struct profile *profile, struct recorder *recorder,
			    struct session *session, struct unwinder *unwinder);
void targets_free(struct targets *targets);

/*
 * Has those taken on from now on followed: their children, and what these run, are recorded too.
 * Probes are put into files from now on, for all processes that run them. `scope`
 * says which come without being named. Returns 0 or -ENOMEM.
 */
int targets_follow(struct targets *targets, enum follow_scope scope);

/*
 * Takes a process on. Waits up to two seconds for an interpreter that is only just starting, but
 * not where Python is not demanded: there a process that cannot be attached to is passed over, with
 * a notice if it has a Python. Errors as process_open() and interpreter_inspect(), with a sentence
 * `cannot attach to PID: …`. Threads that it has are recorded from the next session_enroll() on.
 */
int targets_add(struct targets *targets, pid_t pid, enum target_mode mode, struct error *error);

/* Whether a process was taken on, and has not ended. */
bool targets_has(const struct targets *targets, pid_t pid);

/* The process has mapped a file that may be a Python: it is looked at, whether known or not. */
void targets_notice_python(struct targets *targets, pid_t pid);

/*
 * Takes on the processes that have entered the recorded cgroup since this was asked last. Returns
 * whether there may be others to be looked for: children that a Python had before it was known.
 */
bool targets_take_entered(struct targets *targets);

/*
 * Has the kernel side know the processes that were taken on: threads that begin from now on are
 * recorded. Those taken on later are known at once. Returns 0 or -errno.
 */
int targets_begin(struct targets *targets, struct error *error);

/*
 * To be called once the kernel side sees processes end: drops those that have ended before that,
 * since their PIDs may be others' by now. Returns 0, or -ESRCH: no process is left to be recorded.
 */
int targets_check(struct targets *targets, struct error *error);

/*
 * Looks again for the interpreter of processes that have none yet, if it is time to. To be called
 * often; it costs nothing when there is nothing to do.
 */
void targets_poll(struct targets *targets);

/*
 * Fills in what is known of the processes only at the end: their garbage collections. To be called
 * once the session's events have ended.
 */
void targets_finish(struct targets *targets);

/* Milliseconds in which targets_poll() wants to be called again; -1: only after an event. */
int targets_poll_timeout(const struct targets *targets);

/*
 * The living process with this number in the profile, and what the kernel side knows of it; both
 * valid until the next targets_add() or targets_poll(). NULL: there is none.
 */
const struct process *targets_process(const struct targets *targets, uint32_t process,
				      const struct process_config **config);

/* Whether the process runs and is recorded, or only its children are. */
bool targets_follows(const struct targets *targets, pid_t pid);

/* Whether one of the recorded processes still runs, or more can come of themselves. */
bool targets_alive(const struct targets *targets);

/* What went wrong with processes on the way, one sentence each (ending in a newline), or "". */
const char *targets_notices(struct targets *targets);

#endif
