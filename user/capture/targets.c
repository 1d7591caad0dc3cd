/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the list of recorded processes; see targets.h. */
#include "capture/targets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture/collections.h"
#include "clock.h"
#include "python/interpreter.h"
#include "target/process.h"

#define START_WAIT_MS 2000 /* for an interpreter that is being started */
#define RETRY_MS      5    /* while an interpreter is being started */
#define LATE_RETRY_MS 250  /* for a program that may load one later */

struct target {
	struct process process;
	uint32_t index;           /* struct record.process */
	uint32_t profile_process; /* of the profile, once described */
	bool described;
	enum target_mode mode;
	struct collection_watch collections;
	struct process_config config; /* as the kernel side has it, or is to get it */
	bool ended;
	bool python;
	int64_t retry_ms; /* CLOCK_MONOTONIC at which to look again; 0: no need */
	struct error last;
};

struct targets {
	struct profile *profile;
	struct recorder *recorder;
	struct session *session;
	struct unwinder *unwinder;
	struct target *all;
	uint32_t count;
	uint32_t room;
	uint32_t next_index;
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

/*
 * Describes the program that the process runs now to the profile; `python` "": unknown. A program
 * before it of which nothing is known but that it came first, as a shell's before its exec, is
 * counted as part of it.
 */
static int target_describe(struct targets *targets, struct target *target, const char *python)
{
	struct profile_process process = {.pid = target->process.pid};
	char *command = NULL;
	int error = process_command(target->process.pid, &command);

	error = profile_string(targets->profile, error ? target->process.command : command,
			       &process.command);
	free(command);
	if (!error)
		error = profile_string(targets->profile, python, &process.python);
	if (error)
		return error;
	if (!target->described || target->python)
		error = profile_process(targets->profile, &process, &target->profile_process);
	else
		profile_process_set(targets->profile, target->profile_process, &process);
	target->described |= !error;
	return error;
}

/* What the kernel side needs to walk the interpreter's stacks. */
static void config_fill(struct targets *targets, const struct target *target,
			const struct interpreter *interpreter, struct process_config *config)
{
	int i;

	config->layout = interpreter->layout;
	config->runtime = interpreter->runtime;
	config->code_type = interpreter->code_type;
	config->text_start = interpreter->text_start;
	config->text_end = interpreter->text_end;
	for (i = 0; i < 2; i++) {
		config->loop_start[i] = interpreter->loop_start[i];
		config->loop_end[i] = interpreter->loop_end[i];
	}
	if (interpreter->code_dealloc.address && interpreter->code_dealloc.cheap &&
	    !session_probe_free(targets->session, target->process.pid, interpreter->file,
				interpreter->code_dealloc.offset))
		config->identity = IDENTITY_FREED;
}

/* Tells recorder and unwinder of the program that the process runs now. */
static int target_register(struct targets *targets, const struct target *target,
			   const struct process_config *config)
{
	const struct recorder_process process = {.process = &target->process,
						 .index = target->index,
						 .number = target->profile_process,
						 .layout = &config->layout,
						 .text_start = config->text_start};
	int error = recorder_add_process(targets->recorder, &process);

	if (!error && targets->unwinder)
		error = unwinder_add(targets->unwinder, &target->process);
	return error;
}

/* Tells the kernel side and the recorder of the program that the process runs now. */
static int target_configure(struct targets *targets, struct target *target,
			    const struct interpreter *interpreter)
{
	struct process_config config = {.index = target->index, .identity = IDENTITY_CHECKED};
	char python[512] = "";
	int error;

	if (interpreter) {
		config_fill(targets, target, interpreter, &config);
		collections_watch(targets->session, &target->process, interpreter,
				  &target->collections);
		config.gc_by_flag = target->collections.source == GC_SAMPLED;
		snprintf(python, sizeof(python), "CPython %s (%s)", interpreter->version,
			 interpreter->path);
	}
	error = target_describe(targets, target, python);
	target->python = interpreter != NULL;
	if (!error)
		error = target_register(targets, target, &config);
	target->config = config;
	if (!error && targets->begun)
		error = session_set_process(targets->session, target->process.pid, &config);
	return error;
}

int targets_begin(struct targets *targets, struct error *error)
{
	uint32_t i;
	int result = 0;

	for (i = 0; !result && i < targets->count; i++)
		result =
			session_set_process(targets->session, (uint32_t)targets->all[i].process.pid,
					    &targets->all[i].config);
	targets->begun = true;
	return result ? error_set(error, result, "cannot record %d: %s",
				  targets->all[i - 1].process.pid, strerror(-result))
		      : 0;
}

/* Records of the new program may follow at once, and get a process of the profile to go to. */
static void target_exec(struct targets *targets, struct target *target, uint32_t index)
{
	const struct process_config config = {.index = index};
	int error;

	if (target->python)
		notice_add(targets, target->process.pid,
			   "ran another program during the recording");
	target->index = index;
	error = target_describe(targets, target, "");
	target->python = false;
	if (!error)
		error = target_register(targets, target, &config);
	if (error)
		notice_add(targets, target->process.pid, strerror(-error));
	target->retry_ms = clock_now_ms();
}

/* The process runs another program now, or none any more. */
static void target_changed(void *context, uint32_t kind, uint32_t pid, uint32_t index)
{
	struct targets *targets = context;
	uint32_t i;

	for (i = 0; i < targets->count; i++) {
		struct target *target = &targets->all[i];

		if ((uint32_t)target->process.pid != pid)
			continue;
		if (kind == RECORD_MAPPINGS) {
			if (targets->unwinder)
				unwinder_update(targets->unwinder, target->process.pid);
		} else if (kind == RECORD_EXEC) {
			target_exec(targets, target, index);
		} else if (target->index == index) {
			target->ended = true;
			target->retry_ms = 0;
		}
	}
}

struct targets *targets_new(struct profile *profile, struct recorder *recorder,
			    struct session *session, struct unwinder *unwinder)
{
	struct targets *targets = calloc(1, sizeof(*targets));

	if (!targets)
		return NULL;
	targets->profile = profile;
	targets->recorder = recorder;
	targets->session = session;
	targets->unwinder = unwinder;
	targets->next_index = 1;
	recorder_on_event(recorder, target_changed, targets);
	return targets;
}

void targets_free(struct targets *targets)
{
	uint32_t i;

	if (!targets)
		return;
	for (i = 0; i < targets->count; i++)
		process_close(&targets->all[i].process);
	free(targets->all);
	free(targets);
}

/* Finds the interpreter, and waits for one that is being started. */
static int target_inspect(struct target *target, struct interpreter *interpreter,
			  int64_t deadline_ms)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
	int error;

	for (;;) {
		error = interpreter_inspect(&target->process, interpreter, &target->last);
		if (error != -EAGAIN || clock_now_ms() >= deadline_ms)
			return error;
		nanosleep(&pause, NULL);
	}
}

static struct target *target_append(struct targets *targets)
{
	if (targets->count == targets->room) {
		uint32_t room = targets->room ? 2 * targets->room : 8;
		struct target *grown = realloc(targets->all, room * sizeof(*grown));

		if (!grown)
			return NULL;
		targets->all = grown;
		targets->room = room;
	}
	memset(&targets->all[targets->count], 0, sizeof(*targets->all));
	return &targets->all[targets->count];
}

int targets_add(struct targets *targets, pid_t pid, enum target_mode mode, struct error *error)
{
	struct interpreter interpreter = {0};
	struct target *target = target_append(targets);
	int result;

	if (!target)
		return error_set(error, -ENOMEM, "no memory");
	target->mode = mode;
	target->index = targets->next_index;
	result = process_open(pid, &target->process, &target->last);
	if (result)
		return error_set(error, result, "cannot attach to %d: %s", pid, target->last.text);
	if (mode == TARGET_MUST_BE_PYTHON) {
		result = target_inspect(target, &interpreter, clock_now_ms() + START_WAIT_MS);
		if (result) {
			error_set(error, result, "cannot attach to %d: %s", pid, target->last.text);
			goto fail;
		}
	}
	result = target_configure(targets, target,
				  mode == TARGET_MUST_BE_PYTHON ? &interpreter : NULL);
	interpreter_release(&interpreter);
	if (result) {
		error_set(error, result, "cannot attach to %d: %s", pid, strerror(-result));
		goto fail;
	}
	targets->next_index++;
	targets->count++;
	return 0;
fail:
	process_close(&target->process);
	return result;
}

static void target_look(struct targets *targets, struct target *target)
{
	struct interpreter interpreter = {0};
	int error = target_inspect(target, &interpreter, 0);

	if (error == -ESRCH) {
		target->retry_ms = 0;
		return;
	}
	if (error) {
		target->retry_ms = clock_now_ms() + (error == -EAGAIN ? RETRY_MS : LATE_RETRY_MS);
		return;
	}
	error = target_configure(targets, target, &interpreter);
	interpreter_release(&interpreter);
	if (error)
		notice_add(targets, target->process.pid, strerror(-error));
	target->retry_ms = 0;
}

void targets_finish(struct targets *targets)
{
	uint32_t i;

	for (i = 0; i < targets->count; i++) {
		const struct target *target = &targets->all[i];
		struct profile_process process;

		if (!target->described)
			continue;
		process = targets->profile->processes[target->profile_process];
		collections_read(targets->session, &target->process, &target->collections,
				 &process.gc);
		profile_process_set(targets->profile, target->profile_process, &process);
	}
}

void targets_poll(struct targets *targets)
{
	int64_t now = clock_now_ms();
	uint32_t i;

	for (i = 0; i < targets->count; i++)
		if (targets->all[i].retry_ms && targets->all[i].retry_ms <= now)
			target_look(targets, &targets->all[i]);
}

int targets_poll_timeout(const struct targets *targets)
{
	int64_t now = clock_now_ms(), least = -1;
	uint32_t i;

	for (i = 0; i < targets->count; i++) {
		int64_t left = targets->all[i].retry_ms - now;

		if (!targets->all[i].retry_ms)
			continue;
		if (left < 0)
			left = 0;
		if (least < 0 || left < least)
			least = left;
	}
	return (int)least;
}

const struct process *targets_process(const struct targets *targets, uint32_t process,
				      const struct process_config **config)
{
	uint32_t i;

	for (i = 0; i < targets->count; i++) {
		const struct target *target = &targets->all[i];

		if (!target->described || target->profile_process != process || target->ended)
			continue;
		*config = &target->config;
		return &target->process;
	}
	return NULL;
}

uint32_t targets_alive(const struct targets *targets)
{
	uint32_t i, alive = 0;

	for (i = 0; i < targets->count; i++)
		alive += !targets->all[i].ended && process_alive(&targets->all[i].process);
	return alive;
}

bool targets_any_python(const struct targets *targets)
{
	uint32_t i;

	for (i = 0; i < targets->profile->process_count; i++)
		if (targets->profile->processes[i].python)
			return true;
	return false;
}

const char *targets_notices(const struct targets *targets)
{
	return targets->notices;
}
