/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the recorded processes by their PIDs; see target_set.h. */
#include "capture/target_set.h"

#include <errno.h>
#include <stdlib.h>

#include "capture/unwinder.h"
#include "target/process.h"

struct target *target_set_find(const struct target_set *set, pid_t pid)
{
	struct target *target;

	HASH_FIND(hh, set->all, &pid, sizeof(pid), target);
	return target;
}

void target_set_wake(struct target_set *set, int64_t time_ms)
{
	if (!set->retry_ms || time_ms < set->retry_ms)
		set->retry_ms = time_ms;
}

void target_set_retry(struct target_set *set, struct target *target, int64_t time_ms)
{
	target->retry_ms = time_ms;
	target_set_wake(set, time_ms);
}

/* Where others are followed, a command that only starts them (a shell) is none of them. */
static bool target_is_left_out(const struct target_set *set, const struct target *target)
{
	return target->described && !target->python &&
	       (target_mode_is_optional(target->mode) || set->world.flags & PROCESS_FOLLOW);
}

void target_set_finish(struct target_set *set, struct target *target)
{
	target_finish(&set->world, target);
	if (target_is_left_out(set, target))
		recorder_leave_out(set->world.recorder, target->profile_process);
}

void target_set_remove(struct target_set *set, struct target *target)
{
	target_set_finish(set, target);
	HASH_DEL(set->all, target);
	recorder_remove_process(set->world.recorder, target->index);
	if (set->world.unwinder)
		unwinder_remove(set->world.unwinder, target->process.pid);
	target_release(target);
	free(target);
}

struct target *target_set_append(struct target_set *set, pid_t pid, uint32_t index)
{
	struct target *target = target_set_find(set, pid);

	if (target) /* its end was not told, since the ring was full */
		target_set_remove(set, target);
	target = calloc(1, sizeof(*target));
	if (!target)
		return NULL;
	target->process = (struct process){.pid = pid, .door = pid, .pidfd = -1};
	target->index = index;
	target->mode = TARGET_ONLY_PYTHON;
	target->config.flags = set->world.flags;
	HASH_ADD(hh, set->all, process.pid, sizeof(target->process.pid), target);
	return target;
}

void target_set_forget(struct target_set *set, struct target *target)
{
	session_forget_process(set->world.session, (uint32_t)target->process.pid, target->index);
	if (target->index >= PROCESS_INDEX_KERNEL || !target->described)
		return;
	recorder_leave_out(set->world.recorder, target->profile_process);
	target->described = false;
}

int target_set_known(const struct target_set *set, const struct target *target,
		     struct process_config *known)
{
	return session_get_process(set->world.session, (uint32_t)target->process.pid, known);
}

int target_set_tell(struct target_set *set, struct target *target)
{
	struct process_config known;
	bool is_known;
	int result;

	if (!set->begun)
		return 0;
	is_known = !target_set_known(set, target, &known);
	if (target->index >= PROCESS_INDEX_KERNEL && (!is_known || known.index != target->index))
		return -ESRCH;
	if (is_known && !(known.flags & PROCESS_PASSED_OVER) && known.index != target->index)
		return 0;
	if (is_known) { /* it may have left the cgroup, or be there again */
		target->config.flags &= ~(uint32_t)PROCESS_FOLLOW;
		target->config.flags |= known.flags & PROCESS_FOLLOW;
	}
	result = session_set_process(set->world.session, (uint32_t)target->process.pid,
				     &target->config);
	if (result || target_alive(target))
		return result;
	target_set_forget(set, target);
	return -ESRCH;
}
