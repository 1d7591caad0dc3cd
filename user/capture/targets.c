/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the set of recorded processes; see targets.h. */
#include "capture/targets.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/notices.h"
#include "capture/unwinder.h"
#include "clock.h"

#define START_WAIT_MS 2000 /* for an interpreter that is being started */
#define RETRY_MS      5    /* while an interpreter is being started */
#define LATE_RETRY_MS 250  /* for a program that may load one later */
#define NOTICED_MS    10   /* from the mapping of a Python to the event of an exec that maps it */
#define SETTLE_MS     100 /* what is said of a process that has just begun may be wrong until then */
#define ENTERED_MAX   256

/* A program that followed processes have run, and that is an interpreter itself. */
struct known_program {
	struct program_key key;
	struct program_config config;
	uint32_t python; /* string of the profile */
	struct collection_watch collections;
	UT_hash_handle hh;
};

/* A process that is not known, or was passed over, and has mapped what may be a Python. */
struct noticed {
	pid_t pid;
	int64_t due_ms;
	UT_hash_handle hh;
};

struct targets {
	struct target_world world;
	struct noticed *noticed; /* the first is due first */
	struct target *all;      /* by PID */
	struct known_program *known;
	uint32_t next_index;
	int64_t retry_ms; /* the earliest of all targets'; 0: none */
	bool begun;
	bool host;                  /* every process of the host is in question */
	bool endless;               /* processes can come after all have ended */
	pid_t entered[ENTERED_MAX]; /* those that came into the cgroup, not looked at yet */
	uint32_t entered_count;     /* more than fit: so many that each is to be looked for */
	bool unenrolled;            /* processes were taken on whose threads are not recorded yet */
	struct notices *notices;
};

static struct target *target_find(const struct targets *targets, pid_t pid)
{
	struct target *target;

	HASH_FIND(hh, targets->all, &pid, sizeof(pid), target);
	return target;
}

/* Has targets_poll() do something at this time. */
static void targets_wake(struct targets *targets, int64_t time_ms)
{
	if (!targets->retry_ms || time_ms < targets->retry_ms)
		targets->retry_ms = time_ms;
}

/* Has the target looked at again at this time. */
static void target_retry(struct targets *targets, struct target *target, int64_t time_ms)
{
	target->retry_ms = time_ms;
	targets_wake(targets, time_ms);
}

/* Whether the process goes without saying if it has no Python. */
static bool mode_is_optional(enum target_mode mode)
{
	return mode == TARGET_ONLY_PYTHON || mode == TARGET_MAY_BE_FOLLOWED;
}

/* Where others are followed, a command that only starts them (a shell) is none of them. */
static bool target_is_left_out(const struct targets *targets, const struct target *target)
{
	return target->described && !target->python &&
	       (mode_is_optional(target->mode) || targets->world.flags & PROCESS_FOLLOW);
}

/* Whether an error is of a Python that cannot be recorded, now or later. */
static bool is_refusal(int error)
{
	return error == -ENOTSUP || error == -EPROTO || error == -EACCES;
}

/*
 * Whether a process that has only just begun may be another case in a moment: what lies where its
 * interpreter's data will be is something else until its file is mapped whole.
 */
static bool error_may_pass(int error)
{
	return error == -EAGAIN || error == -ENOTSUP || error == -EPROTO;
}

static void target_remove(struct targets *targets, struct target *target)
{
	target_finish(&targets->world, target);
	if (target_is_left_out(targets, target))
		recorder_leave_out(targets->world.recorder, target->profile_process);
	HASH_DEL(targets->all, target);
	recorder_remove_process(targets->world.recorder, target->index);
	if (targets->world.unwinder)
		unwinder_remove(targets->world.unwinder, target->process.pid);
	target_release(target);
	free(target);
}

/* NULL: no memory. */
static struct target *target_append(struct targets *targets, pid_t pid, uint32_t index)
{
	struct target *target = target_find(targets, pid);

	if (target) /* its end was not told, since the ring was full */
		target_remove(targets, target);
	target = calloc(1, sizeof(*target));
	if (!target)
		return NULL;
	target->process = (struct process){.pid = pid, .door = pid, .pidfd = -1};
	target->index = index;
	target->mode = TARGET_ONLY_PYTHON;
	target->config.flags = targets->world.flags;
	HASH_ADD(hh, targets->all, process.pid, sizeof(target->process.pid), target);
	return target;
}

static struct known_program *known_find(const struct targets *targets,
					const struct program_key *key)
{
	struct known_program *known;

	HASH_FIND(hh, targets->known, key, sizeof(*key), known);
	return known;
}

/*
 * Takes back what the kernel side was told of a process whose end it may not have seen: another one
 * with its PID would be taken for it. What was recorded until then is not sure to be its own.
 */
static void target_forget(struct targets *targets, struct target *target)
{
	session_forget_process(targets->world.session, (uint32_t)target->process.pid,
			       target->index);
	if (target->index >= PROCESS_INDEX_KERNEL || !target->described)
		return;
	recorder_leave_out(targets->world.recorder, target->profile_process);
	target->described = false;
}

/* One of which only events have told so far has not been opened. */
static bool target_alive(const struct target *target)
{
	if (target->process.start_ticks)
		return process_alive(&target->process);
	return !kill(target->process.pid, 0) || errno == EPERM;
}

/* What the kernel side has under the target's PID, perhaps of another program. 0 or -errno. */
static int target_known(const struct targets *targets, const struct target *target,
			struct process_config *known)
{
	return session_get_process(targets->world.session, (uint32_t)target->process.pid, known);
}

/*
 * Has the kernel side know what is known of a target now. Not where it has taken the process on
 * itself meanwhile, or with another program: of that an event tells, which is on its way. Returns
 * -ESRCH if the process has ended: one that lives on after it was told of is seen to end.
 */
static int target_tell(struct targets *targets, struct target *target)
{
	struct process_config known;
	bool is_known;
	int result;

	if (!targets->begun)
		return 0;
	is_known = !target_known(targets, target, &known);
	if (target->index >= PROCESS_INDEX_KERNEL && (!is_known || known.index != target->index))
		return -ESRCH;
	if (is_known && !(known.flags & PROCESS_PASSED_OVER) && known.index != target->index)
		return 0;
	if (is_known) { /* it may have left the cgroup, or be there again */
		target->config.flags &= ~(uint32_t)PROCESS_FOLLOW;
		target->config.flags |= known.flags & PROCESS_FOLLOW;
	}
	result = session_set_process(targets->world.session, (uint32_t)target->process.pid,
				     &target->config);
	if (result || target_alive(target))
		return result;
	target_forget(targets, target);
	return -ESRCH;
}

/*
 * A process that forked just before its parent's interpreter was found has begun without one on the
 * kernel side. Unless it runs another program by now, it is told.
 */
static void target_catch_up(struct targets *targets, struct target *target)
{
	struct process_config known;

	if (target->python && !target_known(targets, target, &known) &&
	    known.index == target->index && !known.runtime)
		target_tell(targets, target);
}

/*
 * The process has been taken on by the kernel side, as a child of one that is known. One whose
 * parent was passed over just when it forked is looked at for itself.
 */
static void event_fork(struct targets *targets, const struct process_record *record)
{
	struct target *parent = target_find(targets, (pid_t)record->parent), *target;
	bool known = parent && parent->index == record->previous;
	int64_t retry_ms = known ? parent->retry_ms : clock_now_ms();
	int error = -ENOMEM;

	target = target_append(targets, (pid_t)record->head.pid, record->head.process);
	if (target && known)
		error = target_fork(&targets->world, target, parent);
	else if (target)
		error = target_exec(&targets->world, target);
	if (error)
		notices_add(targets->notices, (pid_t)record->head.pid, strerror(-error));
	else if (retry_ms)
		target_retry(targets, target, retry_ms);
	else
		target_catch_up(targets, target);
}

/* The kernel side has recorded the program from its first instruction on. */
static int target_use_known(struct targets *targets, struct target *target,
			    const struct known_program *known, uint64_t start_code)
{
	return target_exec_known(&targets->world, target, &known->config.process,
				 targets->world.profile->strings[known->python],
				 &known->collections, start_code);
}

/* Records of the new program may follow at once, and get a process of the profile to go to. */
static void target_change(struct targets *targets, struct target *target,
			  const struct process_record *record)
{
	const struct known_program *known = known_find(targets, &record->program);
	int64_t now = clock_now_ms();
	int error;

	if (target->python && !targets->world.flags)
		notices_add(targets->notices, target->process.pid,
			    "ran another program during the recording");
	target_finish(&targets->world, target);
	recorder_remove_process(targets->world.recorder, target->index);
	target->index = record->head.process;
	target->program = record->program;
	target->cgroup = record->cgroup;
	free(target->command);
	target->command = NULL;
	process_command_parse(record->arguments, record->arguments_bytes, "", &target->command);
	if (known && record->verdict == FOLLOW_PYTHON)
		error = target_use_known(targets, target, known, record->start_code);
	else
		error = target_exec(&targets->world, target);
	if (error)
		notices_add(targets->notices, target->process.pid, strerror(-error));
	target->patient_ms = now + START_WAIT_MS;
	if (!target->python)
		target_retry(targets, target, now);
}

static void event_exec(struct targets *targets, const struct process_record *record)
{
	pid_t pid = (pid_t)record->head.pid;
	struct target *target = target_find(targets, pid);

	if (record->passed_over) {
		if (target)
			target_remove(targets, target);
		return;
	}
	if (!target && targets->world.flags)
		target = target_append(targets, pid, record->head.process);
	if (target)
		target_change(targets, target, record);
}

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
	struct target *target = target_find(targets, (pid_t)record->head.pid);

	switch (record->head.kind) {
	case RECORD_FORK:
		event_fork(targets, record);
		break;
	case RECORD_EXEC:
		event_exec(targets, record);
		break;
	case RECORD_MAPPINGS:
		if (target && targets->world.unwinder)
			unwinder_update(targets->world.unwinder, target->process.pid);
		if (target && !target->python)
			target_retry(targets, target, clock_now_ms());
		break;
	case RECORD_EXIT:
		if (target)
			target_remove(targets, target);
		break;
	case RECORD_JOIN:
		event_join(targets, (pid_t)record->head.pid);
		break;
	}
}

struct targets *targets_new(struct profile *profile, struct recorder *recorder,
			    struct session *session, struct unwinder *unwinder)
{
	struct targets *targets = calloc(1, sizeof(*targets));

	if (!targets)
		return NULL;
	targets->world = (struct target_world){.profile = profile,
					       .recorder = recorder,
					       .session = session,
					       .unwinder = unwinder,
					       .programs = programs_new()};
	targets->notices = notices_new();
	if (!targets->world.programs || !targets->notices) {
		targets_free(targets);
		return NULL;
	}
	cgroups_new(NULL, &targets->world.cgroups); /* without: by the processes' own words */
	targets->next_index = 1;
	recorder_on_event(recorder, targets_handle, targets);
	return targets;
}

void targets_free(struct targets *targets)
{
	struct target *target, *next_target;
	struct known_program *known, *next;
	struct noticed *noticed, *next_noticed;

	if (!targets)
		return;
	HASH_ITER (hh, targets->noticed, noticed, next_noticed) {
		HASH_DEL(targets->noticed, noticed);
		free(noticed);
	}
	HASH_ITER (hh, targets->all, target, next_target) {
		HASH_DEL(targets->all, target);
		target_release(target);
		free(target);
	}
	HASH_ITER (hh, targets->known, known, next) {
		HASH_DEL(targets->known, known);
		free(known);
	}
	notices_free(targets->notices);
	probed_files_free(targets->world.probed);
	cgroups_free(targets->world.cgroups);
	programs_free(targets->world.programs);
	free(targets);
}

int targets_follow(struct targets *targets, enum follow_scope scope)
{
	targets->host = scope == FOLLOW_HOST;
	targets->endless = scope != FOLLOW_NONE;
	targets->world.probed = probed_files_new();
	targets->world.flags = PROCESS_FOLLOW;
	return targets->world.probed ? 0 : -ENOMEM;
}

int targets_begin(struct targets *targets, struct error *error)
{
	struct target *target, *next;
	int result;

	targets->begun = true;
	HASH_ITER (hh, targets->all, target, next) {
		collections_begin(&target->process, &target->collections);
		result = session_set_process(targets->world.session, (uint32_t)target->process.pid,
					     &target->config);
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
		result = target_inspect(&targets->world, target, &interpreter,
					clock_now_ms() + patience);
	if (result)
		return result;
	result = target_configure(&targets->world, target, python ? &interpreter : NULL);
	interpreter_release(&interpreter);
	if (!result)
		result = target_tell(targets, target);
	if (result)
		error_set(&target->last, result, "%s", strerror(-result));
	return result;
}

/* Takes on a process in which an interpreter is being started, without one. Returns 0 or -errno. */
static int target_await(struct targets *targets, struct target *target)
{
	int result = target_configure(&targets->world, target, NULL);

	if (!result)
		result = target_tell(targets, target);
	if (result)
		return result;
	target->patient_ms = clock_now_ms() + START_WAIT_MS;
	target_retry(targets, target, clock_now_ms() + RETRY_MS);
	return 0;
}

/* Gives up a process that was to be taken on; its children may still be looked at. */
static void target_pass(struct targets *targets, struct target *target, int error)
{
	pid_t pid = target->process.pid;
	uint32_t index = target->index;
	bool followed = target->mode == TARGET_MAY_BE_FOLLOWED && error != -ESRCH;

	if (mode_is_optional(target->mode) && is_refusal(error))
		notices_add(targets->notices, pid, target->last.text);
	target_remove(targets, target);
	if (followed)
		session_pass_process(targets->world.session, (uint32_t)pid, index);
}

int targets_add(struct targets *targets, pid_t pid, enum target_mode mode, struct error *error)
{
	struct target *target;
	int result;

	if (target_find(targets, pid))
		return 0;
	target = target_append(targets, pid, targets->next_index++);
	if (!target)
		return error_set(error, -ENOMEM, "no memory");
	result = target_take(targets, target, mode);
	if (mode_is_optional(mode) && error_may_pass(result))
		result = target_await(targets, target);
	if (!result) {
		targets->unenrolled = targets->begun;
		return 0;
	}
	error_set(error, result, "cannot attach to %d: %s", (int)pid, target->last.text);
	target_pass(targets, target, result);
	return result;
}

bool targets_has(const struct targets *targets, pid_t pid)
{
	return target_find(targets, pid) != NULL;
}

bool targets_follows(const struct targets *targets, pid_t pid)
{
	struct process_config known;

	/* The kernel side forgets processes that end. */
	return !session_get_process(targets->world.session, (uint32_t)pid, &known);
}

/*
 * An exec maps the program before it is told of, so that whether a process is known is asked only
 * some time after it mapped something.
 */
void targets_notice_python(struct targets *targets, pid_t pid)
{
	struct noticed *noticed;

	HASH_FIND(hh, targets->noticed, &pid, sizeof(pid), noticed);
	if (noticed)
		return;
	noticed = calloc(1, sizeof(*noticed));
	if (!noticed) {
		notices_add(targets->notices, pid, strerror(ENOMEM));
		return;
	}
	noticed->pid = pid;
	noticed->due_ms = clock_now_ms() + NOTICED_MS;
	HASH_ADD(hh, targets->noticed, pid, sizeof(noticed->pid), noticed);
	targets_wake(targets, noticed->due_ms);
}

/* Looks at a process that has mapped what may be a Python, whether it is known or not. */
static void noticed_look(struct targets *targets, pid_t pid)
{
	struct target *target = target_find(targets, pid);
	struct process_config known;
	struct error error;

	if (target) {
		if (!target->python)
			target_retry(targets, target, clock_now_ms());
		return;
	}
	if (session_get_process(targets->world.session, (uint32_t)pid, &known)) {
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
		if (!target_find(targets, targets->entered[i]))
			others |= !targets_add(targets, targets->entered[i], TARGET_MAY_BE_FOLLOWED,
					       &error);
	targets->entered_count = 0;
	return others;
}

/* What the next process of the same program is to begin with. */
static int program_learn(struct targets *targets, const struct target *target)
{
	struct known_program *known = known_find(targets, &target->program);
	struct program_config config;
	int error = target_program(target, &config);

	if (error || known)
		return 0;
	known = calloc(1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	known->key = target->program;
	known->config = config;
	known->collections = target->collections;
	known->python = targets->world.profile->processes[target->profile_process].python;
	HASH_ADD(hh, targets->known, key, sizeof(known->key), known);
	return session_set_program(targets->world.session, &known->key, &config);
}

/* The target has no Python that can be recorded; its children may have. */
static void target_refuse(struct targets *targets, struct target *target)
{
	target_drop(&targets->world, target);
	target_remove(targets, target);
}

/* Whether it runs another program than the one looked at: of that an event is on its way. */
static bool target_has_changed(const struct targets *targets, const struct target *target)
{
	struct process_config known;

	return targets->begun && !target_known(targets, target, &known) && known.index &&
	       known.index != target->index;
}

/* The target has no Python by now: whether it is to be looked at again, and when. */
static void target_wait(struct targets *targets, struct target *target, int error)
{
	int64_t now = clock_now_ms();
	struct program_config pass = {.verdict = FOLLOW_PASS};
	char path[64];

	if (error_may_pass(error) && now < target->patient_ms - START_WAIT_MS + SETTLE_MS) {
		target_retry(targets, target, now + RETRY_MS);
		return;
	}
	if (mode_is_optional(target->mode) && is_refusal(error)) {
		notices_add(targets->notices, target->process.pid, target->last.text);
		target_refuse(targets, target);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)target->process.door);
	if (mode_is_optional(target->mode) && error == -ENOEXEC &&
	    programs_kind(targets->world.programs, path) == PROGRAM_OTHER) {
		if (target_has_changed(targets, target))
			return;
		if (target->program.inode)
			session_set_program(targets->world.session, &target->program, &pass);
		target_refuse(targets, target);
		return;
	}
	target_retry(targets, target, now + (now < target->patient_ms ? RETRY_MS : LATE_RETRY_MS));
}

static void target_look(struct targets *targets, struct target *target)
{
	struct interpreter interpreter = {0};
	int error = 0;

	target->retry_ms = 0;
	if (!target->process.start_ticks)
		error = process_open(target->process.pid, &target->process, &target->last);
	if (!error)
		error = target_inspect(&targets->world, target, &interpreter, 0);
	if (error == -ESRCH || target_has_changed(targets, target))
		return;
	if (error) {
		target_wait(targets, target, error);
		return;
	}
	error = target_configure(&targets->world, target, &interpreter);
	interpreter_release(&interpreter);
	if (!error)
		error = target_tell(targets, target);
	if (!error && target->program.inode)
		error = program_learn(targets, target);
	if (error && error != -ESRCH)
		notices_add(targets->notices, target->process.pid, strerror(-error));
}

int targets_check(struct targets *targets, struct error *error)
{
	struct target *target, *next;
	pid_t ended = 0;

	for (target = targets->all; target; target = next) {
		next = target->hh.next;
		if (target->index >= PROCESS_INDEX_KERNEL || process_alive(&target->process))
			continue;
		ended = target->process.pid;
		target_forget(targets, target);
		target_remove(targets, target);
	}
	if (ended && !targets->all && !targets->endless)
		return error_set(error, -ESRCH, "process %d ended before it could be recorded",
				 (int)ended);
	return 0;
}

void targets_finish(struct targets *targets)
{
	struct target *target, *next;

	HASH_ITER (hh, targets->all, target, next) {
		target_finish(&targets->world, target);
		if (target_is_left_out(targets, target))
			recorder_leave_out(targets->world.recorder, target->profile_process);
	}
}

static void targets_look_at_noticed(struct targets *targets, int64_t now)
{
	struct noticed *noticed;

	while ((noticed = targets->noticed) && noticed->due_ms <= now) {
		HASH_DEL(targets->noticed, noticed);
		noticed_look(targets, noticed->pid);
		free(noticed);
	}
}

/* Looks again at those whose time has come. */
static void targets_look(struct targets *targets)
{
	struct target *target, *next;
	int64_t now = clock_now_ms();

	if (!targets->retry_ms || targets->retry_ms > now)
		return;
	targets_look_at_noticed(targets, now);
	HASH_ITER (hh, targets->all, target, next) {
		if (target->retry_ms && target->retry_ms <= now)
			target_look(targets, target);
	}
	targets->retry_ms = 0;
	HASH_ITER (hh, targets->all, target, next) {
		if (target->retry_ms)
			targets_wake(targets, target->retry_ms);
	}
	if (targets->noticed)
		targets_wake(targets, targets->noticed->due_ms);
}

void targets_poll(struct targets *targets)
{
	struct error error;

	targets_look(targets);
	if (targets->unenrolled && session_enroll(targets->world.session, &error))
		notices_add(targets->notices, 0, error.text);
	targets->unenrolled = false;
}

int targets_poll_timeout(const struct targets *targets)
{
	int64_t left = targets->retry_ms - clock_now_ms();

	if (!targets->retry_ms)
		return -1;
	return left > 0 ? (int)left : 0;
}

const struct process *targets_process(const struct targets *targets, uint32_t process,
				      const struct process_config **config)
{
	const struct target *target;

	for (target = targets->all; target; target = target->hh.next) {
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
	for (target = targets->all; target; target = target->hh.next)
		if (target_alive(target))
			return true;
	return false;
}

const char *targets_notices(struct targets *targets)
{
	return notices_text(targets->notices);
}
