/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns looking for interpreters that are not there yet; see target_search.h. */
#include "capture/target_search.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

#define LATE_RETRY_MS 250 /* for a program that may load one later */
#define SETTLE_MS     100 /* what is said of a process that has just begun may be wrong until then */

/* The target has no Python that can be recorded; its children may have. */
static void target_refuse(struct target_set *set, struct target *target)
{
	target_drop(&set->world, target);
	target_set_remove(set, target);
}

/* Whether it runs another program than the one looked at: of that an event is on its way. */
static bool target_has_changed(const struct target_set *set, const struct target *target)
{
	struct process_config known;

	return set->begun && !target_set_known(set, target, &known) && known.index &&
	       known.index != target->index;
}

/* The target has no Python by now: whether it is to be looked at again, and when. */
static void target_wait(struct target_set *set, struct target *target, int error)
{
	int64_t now = clock_now_ms();
	struct program_config pass = {.verdict = FOLLOW_PASS};
	char path[64];
	bool patient;

	if (target_error_may_pass(error) && now < target->begun_ms + SETTLE_MS) {
		target_set_retry(set, target, now + RETRY_MS);
		return;
	}
	if (target_mode_is_optional(target->mode) && target_error_is_refusal(error)) {
		notices_add(set->notices, target->process.pid, target->last.text);
		target_refuse(set, target);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)target->process.door);
	if (target_mode_is_optional(target->mode) && error == -ENOEXEC &&
	    programs_kind(set->world.programs, path) == PROGRAM_OTHER) {
		if (target_has_changed(set, target))
			return;
		if (target->program.inode)
			session_set_program(set->world.session, &target->program, &pass);
		target_refuse(set, target);
		return;
	}
	patient = now < target->begun_ms + START_WAIT_MS;
	target_set_retry(set, target, now + (patient ? RETRY_MS : LATE_RETRY_MS));
}

/* Keeps what the next process of the same program is to begin with. */
static int program_learn(struct target_set *set, const struct target *target)
{
	struct known_program program = {.collections = target->collections};

	if (target_program(target, &program.config))
		return 0;
	program.python = set->world.profile->processes[target->profile_process].python;
	return known_programs_add(set->known, &target->program, &program);
}

static void target_look(struct target_set *set, struct target *target)
{
	struct interpreter interpreter = {0};
	int error = 0;

	target->retry_ms = 0;
	if (!target->process.start_ticks)
		error = process_open(target->process.pid, &target->process, &target->last);
	if (!error)
		error = target_inspect(&set->world, target, &interpreter, 0);
	if (error == -ESRCH || target_has_changed(set, target))
		return;
	if (error) {
		target_wait(set, target, error);
		return;
	}
	error = target_configure(&set->world, target, &interpreter);
	interpreter_release(&interpreter);
	if (!error)
		error = target_set_tell(set, target);
	if (!error && target->program.inode)
		error = program_learn(set, target);
	if (error && error != -ESRCH)
		notices_add(set->notices, target->process.pid, strerror(-error));
}

void target_search_due(struct target_set *set, int64_t now_ms)
{
	struct target *target, *next;

	HASH_ITER (hh, set->all, target, next) {
		if (target->retry_ms && target->retry_ms <= now_ms)
			target_look(set, target);
	}
	set->retry_ms = 0;
	HASH_ITER (hh, set->all, target, next) {
		if (target->retry_ms)
			target_set_wake(set, target->retry_ms);
	}
}
