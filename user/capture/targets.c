/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns which processes are recorded; see targets.h. */
#include "capture/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/noticed.h"
#include "capture/target_events.h"
#include "capture/target_search.h"
#include "capture/target_set.h"
#include "clock.h"

#define ENTERED_MAX 256

struct targets {
	struct target_set set;
	struct noticed *noticed;
	uint32_t next_index;
	bool host;                  /* every process of the host is in question */
	bool endless;               /* processes can come after all have ended */
	pid_t entered[ENTERED_MAX]; /* those that came into the cgroup, not looked at yet */
	uint32_t entered_count;     /* more than fit: so many that each is to be looked for */
	bool unenrolled;            /* processes were taken on whose threads are not recorded yet */
};

static void event_join(struct targets *targets, pid_t pid)
{
	if (targets->entered_count < ENTERED_MAX)
		targets->entered[targets->entered_count] = pid;
	if (targets->entered_count <= ENTERED_MAX)
		targets->entered_count++;
}

/* Something has befallen a process. */
static void targets_handle(void *context, const struct process_record *record)
{
	struct targets *targets = context;

	if (record->head.kind == RECORD_JOIN)
		event_join(targets, (pid_t)record->head.pid);
	else
		target_events_handle(&targets->set, record);
}

struct targets *targets_new(struct profile *profile, struct recorder *recorder,
			    struct session *session, struct unwinder *unwinder)
{
	struct targets *targets = calloc(1, sizeof(*targets));

	if (!targets)
		return NULL;
	targets->set.world = (struct target_world){.profile = profile,
						   .recorder = recorder,
						   .session = session,
						   .unwinder = unwinder,
						   .programs = programs_new()};
	targets->set.notices = notices_new();
	targets->set.known = known_programs_new(session);
	if (!targets->set.world.programs || !targets->set.notices || !targets->set.known) {
		targets_free(targets);
		return NULL;
	}
	cgroups_new(NULL, &targets->set.world.cgroups); /* without: by the processes' own words */
	targets->next_index = 1;
	recorder_on_event(recorder, targets_handle, targets);
	return targets;
}

void targets_free(struct targets *targets)
{
	struct target *target, *next;

	if (!targets)
		return;
	HASH_ITER (hh, targets->set.all, target, next) {
		HASH_DEL(targets->set.all, target);
		target_release(target);
		free(target);
	}
	known_programs_free(targets->set.known);
	noticed_free(targets->noticed);
	notices_free(targets->set.notices);
	probed_files_free(targets->set.world.probed);
	cgroups_free(targets->set.world.cgroups);
	programs_free(targets->set.world.programs);
	free(targets);
}

int targets_follow(struct targets *targets, enum follow_scope scope)
{
	targets->host = scope == FOLLOW_HOST;
	targets->endless = scope != FOLLOW_NONE;
	targets->set.world.probed = probed_files_new();
	targets->set.world.flags = PROCESS_FOLLOW;
	return targets->set.world.probed ? 0 : -ENOMEM;
}

int targets_begin(struct targets *targets, struct error *error)
{
	struct target *target, *next;
	int result;

	targets->set.begun = true;
	HASH_ITER (hh, targets->set.all, target, next) {
		collections_begin(&target->process, &target->collections);
		result = session_set_process(targets->set.world.session,
					     (uint32_t)target->process.pid, &target->config);
		if (result)
			return error_set(error, result, "cannot record %d: %s",
					 (int)target->process.pid, strerror(-result));
	}
	return 0;
}

/* Opens and configures a target that is new; what fails is for the caller to remove. */
static int target_take(struct targets *targets, struct target *target, enum target_mode mode)
{
	struct interpreter interpreter = {0};
	int64_t patience = mode == TARGET_MUST_BE_PYTHON ? START_WAIT_MS : 0;
	bool python = mode != TARGET_MAY_BECOME_PYTHON;
	int result;

	target->mode = mode;
	result = process_open(target->process.pid, &target->process, &target->last);
	if (!result && python)
		result = target_inspect(&targets->set.world, target, &interpreter,
					clock_now_ms() + patience);
	if (result)
		return result;
	result = target_configure(&targets->set.world, target, python ? &interpreter : NULL);
	interpreter_release(&interpreter);
	if (!result)
		result = target_set_tell(&targets->set, target);
	if (result)
		error_set(&target->last, result, "%s", strerror(-result));
	return result;
}

/* Takes on a process in which an interpreter is being started, without one. Returns 0 or -errno. */
static int target_await(struct targets *targets, struct target *target)
{
	int result = target_configure(&targets->set.world, target, NULL);

	if (!result)
		result = target_set_tell(&targets->set, target);
	if (result)
		return result;
	target->begun_ms = clock_now_ms();
	target_set_retry(&targets->set, target, clock_now_ms() + RETRY_MS);
	return 0;
}

/* Gives up a process that was to be taken on; its children may still be looked at. */
static void target_pass(struct targets *targets, struct target *target, int error)
{
	pid_t pid = target->process.pid;
	uint32_t index = target->index;
	bool followed = target->mode == TARGET_MAY_BE_FOLLOWED && error != -ESRCH;

	if (target_mode_is_optional(target->mode) && target_error_is_refusal(error))
		notices_add(targets->set.notices, pid, target->last.text);
	target_set_remove(&targets->set, target);
	if (followed)
		session_pass_process(targets->set.world.session, (uint32_t)pid, index);
}

int targets_add(struct targets *targets, pid_t pid, enum target_mode mode, struct error *error)
{
	struct target *target;
	int result;

	if (target_set_find(&targets->set, pid))
		return 0;
	target = target_set_append(&targets->set, pid, targets->next_index++);
	if (!target)
		return error_set(error, -ENOMEM, "no memory");
	result = target_take(targets, target, mode);
	if (target_mode_is_optional(mode) && target_error_may_pass(result))
		result = target_await(targets, target);
	if (!result) {
		targets->unenrolled = targets->set.begun;
		return 0;
	}
	error_set(error, result, "cannot attach to %d: %s", (int)pid, target->last.text);
	target_pass(targets, target, result);
	return result;
}

bool targets_has(const struct targets *targets, pid_t pid)
{
	return target_set_find(&targets->set, pid) != NULL;
}

bool targets_follows(const struct targets *targets, pid_t pid)
{
	struct process_config known;

	/* The kernel side forgets processes that end. */
	return !session_get_process(targets->set.world.session, (uint32_t)pid, &known);
}

void targets_notice_python(struct targets *targets, pid_t pid)
{
	if (noticed_add(&targets->noticed, pid, clock_now_ms()))
		notices_add(targets->set.notices, pid, strerror(ENOMEM));
	else
		target_set_wake(&targets->set, noticed_due_ms(targets->noticed));
}

/* Looks at a process that has mapped what may be a Python, whether it is known or not. */
static void noticed_look(struct targets *targets, pid_t pid)
{
	struct target *target = target_set_find(&targets->set, pid);
	struct process_config known;
	struct error error;

	if (target) {
		if (!target->python)
			target_set_retry(&targets->set, target, clock_now_ms());
		return;
	}
	if (session_get_process(targets->set.world.session, (uint32_t)pid, &known)) {
		if (targets->host)
			targets_add(targets, pid, TARGET_ONLY_PYTHON, &error);
		return;
	}
	/* One that is recorded is told of by an event, which is on its way. */
	if (known.flags & PROCESS_PASSED_OVER && known.flags & PROCESS_FOLLOW)
		targets_add(targets, pid, TARGET_MAY_BE_FOLLOWED, &error);
}

bool targets_take_entered(struct targets *targets)
{
	uint32_t i, count = targets->entered_count;
	bool others = count > ENTERED_MAX;
	struct error error;

	for (i = 0; i < count && i < ENTERED_MAX; i++)
		if (!target_set_find(&targets->set, targets->entered[i]))
			others |= !targets_add(targets, targets->entered[i], TARGET_MAY_BE_FOLLOWED,
					       &error);
	targets->entered_count = 0;
	return others;
}

int targets_check(struct targets *targets, struct error *error)
{
	struct target *target, *next;
	pid_t ended = 0;

	for (target = targets->set.all; target; target = next) {
		next = target->hh.next;
		if (target->index >= PROCESS_INDEX_KERNEL || process_alive(&target->process))
			continue;
		ended = target->process.pid;
		target_set_forget(&targets->set, target);
		target_set_remove(&targets->set, target);
	}
	if (ended && !targets->set.all && !targets->endless)
		return error_set(error, -ESRCH, "process %d ended before it could be recorded",
				 (int)ended);
	return 0;
}

void targets_finish(struct targets *targets)
{
	struct target *target, *next;

	HASH_ITER (hh, targets->set.all, target, next) {
		target_set_finish(&targets->set, target);
	}
}

/* Looks at those whose time has come. */
static void targets_look(struct targets *targets)
{
	int64_t now = clock_now_ms();
	pid_t pid;

	if (!targets->set.retry_ms || targets->set.retry_ms > now)
		return;
	while ((pid = noticed_take(&targets->noticed, now)))
		noticed_look(targets, pid);
	target_search_due(&targets->set, now);
	if (targets->noticed)
		target_set_wake(&targets->set, noticed_due_ms(targets->noticed));
}

void targets_poll(struct targets *targets)
{
	struct error error;

	targets_look(targets);
	if (targets->unenrolled && session_enroll(targets->set.world.session, &error))
		notices_add(targets->set.notices, 0, error.text);
	targets->unenrolled = false;
}

int targets_poll_timeout(const struct targets *targets)
{
	int64_t left = targets->set.retry_ms - clock_now_ms();

	if (!targets->set.retry_ms)
		return -1;
	return left > 0 ? (int)left : 0;
}

const struct process *targets_process(const struct targets *targets, uint32_t process,
				      const struct process_config **config)
{
	const struct target *target;

	for (target = targets->set.all; target; target = target->hh.next) {
		if (!target->described || target->profile_process != process)
			continue;
		*config = &target->config;
		return &target->process;
	}
	return NULL;
}

bool targets_alive(const struct targets *targets)
{
	const struct target *target;

	if (targets->endless)
		return true;
	for (target = targets->set.all; target; target = target->hh.next)
		if (target_alive(target))
			return true;
	return false;
}

const char *targets_notices(struct targets *targets)
{
	return notices_text(targets->set.notices);
}
