/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns what events do to the set of recorded processes; see target_events.h. */
#include "capture/target_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/unwinder.h"
#include "clock.h"

/*
 * A process that forked just before its parent's interpreter was found has begun without one on the
 * kernel side. Unless it runs another program by now, it is told.
 */
static void target_catch_up(struct target_set *set, struct target *target)
{
	struct process_config known;

	if (target->python && !target_set_known(set, target, &known) &&
	    known.index == target->index && !known.runtime)
		target_set_tell(set, target);
}

/*
 * The process has been taken on by the kernel side, as a child of one that is known. One whose
 * parent was passed over just when it forked is looked at for itself.
 */
static void event_fork(struct target_set *set, const struct process_record *record)
{
	struct target *parent = target_set_find(set, (pid_t)record->parent), *target;
	bool known = parent && parent->index == record->previous;
	int64_t retry_ms = known ? parent->retry_ms : clock_now_ms();
	int error = -ENOMEM;

	target = target_set_append(set, (pid_t)record->head.pid, record->head.process);
	if (target && known)
		error = target_fork(&set->world, target, parent);
	else if (target)
		error = target_exec(&set->world, target);
	if (error)
		notices_add(set->notices, (pid_t)record->head.pid, strerror(-error));
	else if (retry_ms)
		target_set_retry(set, target, retry_ms);
	else
		target_catch_up(set, target);
}

/* The kernel side has recorded the program from its first instruction on. */
static int target_use_known(struct target_set *set, struct target *target,
			    const struct known_program *known, uint64_t start_code)
{
	return target_exec_known(&set->world, target, &known->config.process,
				 set->world.profile->strings[known->python], &known->collections,
				 start_code);
}

/* Records of the new program may follow at once, and get a process of the profile to go to. */
static void target_change(struct target_set *set, struct target *target,
			  const struct process_record *record)
{
	const struct known_program *known = known_programs_find(set->known, &record->program);
	int64_t now = clock_now_ms();
	int error;

	if (target->python && !set->world.flags)
		notices_add(set->notices, target->process.pid,
			    "ran another program during the recording");
	target_finish(&set->world, target);
	recorder_remove_process(set->world.recorder, target->index);
	target->index = record->head.process;
	target->program = record->program;
	target->cgroup = record->cgroup;
	free(target->command);
	target->command = NULL;
	process_command_parse(record->arguments, record->arguments_bytes, "", &target->command);
	if (known && record->verdict == FOLLOW_PYTHON)
		error = target_use_known(set, target, known, record->start_code);
	else
		error = target_exec(&set->world, target);
	if (error)
		notices_add(set->notices, target->process.pid, strerror(-error));
	target->begun_ms = now;
	if (!target->python)
		target_set_retry(set, target, now);
}

static void event_exec(struct target_set *set, const struct process_record *record)
{
	pid_t pid = (pid_t)record->head.pid;
	struct target *target = target_set_find(set, pid);

	if (record->passed_over) {
		if (target)
			target_set_remove(set, target);
		return;
	}
	if (!target && set->world.flags)
		target = target_set_append(set, pid, record->head.process);
	if (target)
		target_change(set, target, record);
}

void target_events_handle(struct target_set *set, const struct process_record *record)
{
	struct target *target = target_set_find(set, (pid_t)record->head.pid);

	switch (record->head.kind) {
	case RECORD_FORK:
		event_fork(set, record);
		break;
	case RECORD_EXEC:
		event_exec(set, record);
		break;
	case RECORD_MAPPINGS:
		if (target && set->world.unwinder)
			unwinder_update(set->world.unwinder, target->process.pid);
		if (target && !target->python)
			target_set_retry(set, target, clock_now_ms());
		break;
	case RECORD_EXIT:
		if (target)
			target_set_remove(set, target);
		break;
	}
}
