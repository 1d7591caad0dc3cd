/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns which processes a capture is of, as its user named them: some, with their descendants or
 * without, a cgroup, or the whole host; and finding those that run already. Leaves those that begin
 * later to the kernel side (bpf/follow.bpf.h), and what is done with each to targets.h.
 *
 * Once in it, a process is recorded to its end, wherever it goes: a child whose parent has ended is
 * still a descendant, and one that is moved out of the cgroup goes on being recorded, so that its
 * times still add up. But what it starts from then on is not in the cgroup, and not recorded, nor is
 * the next program that it runs itself. A cgroup is the directory that was opened: removed and made
 * again, it is another.
 */
#ifndef PYEBPF_SCOPE_H
#define PYEBPF_SCOPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/targets.h"
#include "config.h"
#include "error.h"
#include "target/cgroup.h"

struct scope {
	const pid_t *pids; /* named; without Python it is an error, but not with `descendants` */
	uint32_t pid_count;
	pid_t starting;   /* a process that waits to run a command; 0: none */
	bool descendants; /* of those named too */
	bool host;
	const char *cgroup_path; /* NULL: none */
	bool lenient;         /* named ones that are gone by now are passed over, if any is left */
	struct cgroup cgroup; /* opened by scope_open() */
};

/* Finds the cgroup, if one is named. To be closed also after an error, which cgroup_open() has. */
int scope_open(struct scope *scope, struct error *error);
void scope_close(struct scope *scope);

/* Whether it is a cgroup without any process now. */
bool scope_is_empty(const struct scope *scope);

/* Whether processes come into it by themselves, and by what. */
bool scope_follows(const struct scope *scope);
enum follow_scope scope_kind(const struct scope *scope);

/*
 * Takes on the processes that are in it now, before targets_begin(). Returns 0 or -errno with a
 * sentence: one that was named cannot be recorded.
 */
int scope_take(const struct scope *scope, struct targets *targets, struct error *error);

/*
 * Takes on those that came into it unseen: between scope_take() and targets_begin(), or when
 * targets_take_entered() says so. Returns how many, or -errno.
 */
int scope_take_others(const struct scope *scope, struct targets *targets);

/*
 * Whether it is over: all recorded processes have ended, with `descendants` those that were named
 * too, or the cgroup was removed. The host is never over.
 */
bool scope_ended(const struct scope *scope, const struct targets *targets);

#endif
