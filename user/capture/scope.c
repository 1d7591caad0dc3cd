/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns finding the processes of a scope; see scope.h. */
#include "capture/scope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/process_list.h"

#define ROUNDS_MAX 4 /* a fork bomb would have one look for ever */

int scope_open(struct scope *scope, struct error *error)
{
	scope->cgroup.fd = -1;
	return scope->cgroup_path ? cgroup_open(scope->cgroup_path, &scope->cgroup, error) : 0;
}

void scope_close(struct scope *scope)
{
	if (scope->cgroup.path)
		cgroup_close(&scope->cgroup);
	scope->cgroup = (struct cgroup){.fd = -1};
}

bool scope_is_empty(const struct scope *scope)
{
	pid_t *pids;
	size_t count;

	if (!scope->cgroup_path || cgroup_pids(&scope->cgroup, &pids, &count))
		return false;
	free(pids);
	return !count;
}

bool scope_follows(const struct scope *scope)
{
	return scope->host || scope->descendants || scope->cgroup_path;
}

enum follow_scope scope_kind(const struct scope *scope)
{
	if (scope->host)
		return FOLLOW_HOST;
	return scope->cgroup_path ? FOLLOW_CGROUP : FOLLOW_NONE;
}

static int named_take(const struct scope *scope, struct targets *targets, struct error *error)
{
	enum target_mode mode = scope->descendants ? TARGET_MAY_BE_FOLLOWED : TARGET_MUST_BE_PYTHON;
	uint32_t i, taken = 0;
	int result = 0;

	for (i = 0; i < scope->pid_count; i++) {
		result = targets_add(targets, scope->pids[i], mode, error);
		if (scope->descendants && result != -ESRCH && result != -EINVAL)
			result = 0; /* its children count, whatever process it is */
		if (result && !scope->lenient)
			return result;
		taken += !result;
	}
	return taken ? 0 : result;
}

/* Takes on those of a list with Python. Returns how many are new, or -errno. */
static int list_take(const struct scope *scope, struct targets *targets, const pid_t *pids,
		     size_t count)
{
	/* On the host each program is looked at when it begins: nobody's children are waited for. */
	enum target_mode mode = scope->host ? TARGET_ONLY_PYTHON : TARGET_MAY_BE_FOLLOWED;
	struct error error;
	int taken = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (!targets_has(targets, pids[i]))
			taken += !targets_add(targets, pids[i], mode, &error);
	return taken;
}

static int descendants_take(const struct scope *scope, struct targets *targets, pid_t ancestor)
{
	pid_t *pids;
	size_t count;
	int result = process_list_descendants(ancestor, &pids, &count);

	if (result)
		return result;
	result = list_take(scope, targets, pids, count);
	free(pids);
	return result;
}

static int host_take(const struct scope *scope, struct targets *targets)
{
	pid_t *pids;
	size_t count;
	int result = process_list_all(&pids, &count);

	if (result)
		return result;
	result = list_take(scope, targets, pids, count);
	free(pids);
	return result;
}

static int cgroup_take(const struct scope *scope, struct targets *targets)
{
	pid_t *pids;
	size_t count;
	int result = cgroup_pids(&scope->cgroup, &pids, &count);

	if (result)
		return result;
	result = list_take(scope, targets, pids, count);
	free(pids);
	return result;
}

/* One look at who is there. Returns how many are new, or -errno. */
static int others_take(const struct scope *scope, struct targets *targets)
{
	int result = 0, taken = 0;
	uint32_t i;

	for (i = 0; scope->descendants && i < scope->pid_count && result >= 0; i++) {
		result = descendants_take(scope, targets, scope->pids[i]);
		taken += result;
	}
	if (result >= 0 && scope->cgroup_path) {
		result = cgroup_take(scope, targets);
		taken += result;
	}
	if (result >= 0 && scope->host) {
		result = host_take(scope, targets);
		taken += result;
	}
	return result < 0 ? result : taken;
}

int scope_take_others(const struct scope *scope, struct targets *targets)
{
	int taken = 0, round, result = 1;

	/* Those that were found may have forked before they were known to the kernel side. */
	for (round = 0; round < ROUNDS_MAX && result > 0; round++) {
		result = others_take(scope, targets);
		taken += result;
	}
	return result < 0 ? result : taken;
}

/* Whether one of those whose descendants count still runs, be it a Python or not. */
static bool ancestor_lives(const struct scope *scope, const struct targets *targets)
{
	uint32_t i;

	if (scope->starting && targets_follows(targets, scope->starting))
		return true;
	for (i = 0; i < scope->pid_count; i++)
		if (targets_follows(targets, scope->pids[i]))
			return true;
	return false;
}

bool scope_ended(const struct scope *scope, const struct targets *targets)
{
	if (scope->cgroup_path)
		return cgroup_removed(&scope->cgroup);
	if (targets_alive(targets))
		return false;
	return !scope->descendants || !ancestor_lives(scope, targets);
}

int scope_take(const struct scope *scope, struct targets *targets, struct error *error)
{
	int result = 0;

	if (scope->starting)
		result = targets_add(targets, scope->starting, TARGET_MAY_BECOME_PYTHON, error);
	if (!result && scope->pid_count)
		result = named_take(scope, targets, error);
	if (result)
		return result;
	result = others_take(scope, targets);
	if (result < 0)
		return error_set(error, result, "cannot list processes: %s", strerror(-result));
	return 0;
}
