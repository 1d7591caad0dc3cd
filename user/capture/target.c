/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns one recorded process; see target.h. */
#include "capture/target.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "capture/unwinder.h"
#include "clock.h"

#define RETRY_MS 5 /* while an interpreter is being started */

struct probed_file {
	struct {
		uint64_t device, inode;
		int64_t changed_s, changed_ns;
	} key;
	bool freed; /* struct process_config.identity is IDENTITY_FREED */
	enum gc_source collections;
	UT_hash_handle hh;
};

struct probed_files {
	struct probed_file *all;
};

struct probed_files *probed_files_new(void)
{
	return calloc(1, sizeof(struct probed_files));
}

void probed_files_free(struct probed_files *files)
{
	struct probed_file *file, *next;

	if (!files)
		return;
	HASH_ITER (hh, files->all, file, next) {
		HASH_DEL(files->all, file);
		free(file);
	}
	free(files);
}

int target_inspect(const struct target_world *world, struct target *target,
		   struct interpreter *interpreter, int64_t deadline_ms)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
	int error;

	for (;;) {
		error = interpreter_inspect_known(world->programs, &target->process, interpreter,
						  &target->last);
		if (error != -EAGAIN || clock_now_ms() >= deadline_ms)
			return error;
		nanosleep(&pause, NULL);
	}
}

/* Adds the cgroup that the process is in, and its container, as far as they can be told. */
static int place_add(const struct target_world *world, const struct target *target,
		     struct profile_process *process)
{
	const struct cgroup_place *known = NULL;
	struct cgroup_place own = {0};
	int error = 0;

	/* Its own words first: they tell of containers in hierarchies of version 1 too. */
	if (!cgroup_place_of(target->process.pid, &own))
		known = &own;
	else if (target->cgroup && world->cgroups)
		cgroups_find(world->cgroups, target->cgroup, &known);
	if (known && known->path[0])
		error = profile_string(world->profile, known->path, &process->cgroup);
	if (!error && known && known->container[0])
		error = profile_string(world->profile, known->container, &process->container);
	cgroup_place_free(&own);
	return error;
}

/*
 * Describes the program that the process runs now to the profile; `python` "": unknown. A program
 * before it of which nothing is known but that it came first, as a shell's before its exec, is
 * counted as part of it.
 */
static int target_describe(const struct target_world *world, struct target *target,
			   const char *python)
{
	struct profile_process process = {.pid = target->process.pid};
	const char *known = target->command ? target->command : target->process.command;
	char *command = NULL;
	int error = target->command ? -ENOENT : process_command(target->process.door, &command);

	error = profile_string(world->profile, error ? known : command, &process.command);
	free(command);
	if (!error)
		error = profile_string(world->profile, python, &process.python);
	if (!error)
		error = place_add(world, target, &process);
	if (error)
		return error;
	if (!target->described || target->python)
		error = profile_process(world->profile, &process, &target->profile_process);
	else
		profile_process_set(world->profile, target->profile_process, &process);
	target->described |= !error;
	return error;
}

/* Tells recorder and unwinder of the program that the process runs now. */
static int target_register(const struct target_world *world, const struct target *target,
			   const struct target *parent)
{
	const struct recorder_process process = {.process = &target->process,
						 .index = target->index,
						 .number = target->profile_process,
						 .layout = &target->config.layout,
						 .text_start = target->config.text_start};
	int error = recorder_add_process(world->recorder, &process);

	if (error || !world->unwinder)
		return error;
	if (parent)
		return unwinder_fork(world->unwinder, parent->process.pid, &target->process);
	return unwinder_add(world->unwinder, &target->process);
}

static bool probe_free_put(const struct target_world *world, pid_t pid,
			   const struct interpreter *interpreter)
{
	return interpreter->code_dealloc.address && interpreter->code_dealloc.cheap &&
	       !session_probe_free(world->session, pid, interpreter->file,
				   interpreter->code_dealloc.offset);
}

/* Finds the probes of an interpreter's file, or puts them there. NULL: no memory, or no file. */
static const struct probed_file *file_probe(const struct target_world *world,
					    const struct interpreter *interpreter)
{
	struct probed_file *file, *made = calloc(1, sizeof(*made));
	struct stat stat_buffer;

	if (!made || stat(interpreter->file, &stat_buffer)) {
		free(made);
		return NULL;
	}
	made->key.device = stat_buffer.st_dev;
	made->key.inode = stat_buffer.st_ino;
	made->key.changed_s = stat_buffer.st_mtim.tv_sec;
	made->key.changed_ns = stat_buffer.st_mtim.tv_nsec;
	HASH_FIND(hh, world->probed->all, &made->key, sizeof(made->key), file);
	if (file) {
		free(made);
		return file;
	}
	made->freed = probe_free_put(world, -1, interpreter);
	made->collections = collections_probe(world->session, -1, interpreter);
	HASH_ADD(hh, world->probed->all, key, sizeof(made->key), made);
	return made;
}

/* Puts the probes into the process, or finds those of its interpreter's file. */
static void target_probe(const struct target_world *world, struct target *target,
			 const struct interpreter *interpreter)
{
	pid_t pid = target->process.pid;
	const struct probed_file *file = NULL;
	enum gc_source source;

	if (world->probed)
		file = file_probe(world, interpreter);
	if (file ? file->freed : probe_free_put(world, pid, interpreter))
		target->config.identity = IDENTITY_FREED;
	source = file ? file->collections : collections_probe(world->session, pid, interpreter);
	collections_watch(world->session, &target->process, interpreter, source,
			  &target->collections);
}

/* What the kernel side needs to walk the interpreter's stacks. */
static void config_fill(const struct interpreter *interpreter, struct process_config *config)
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
}

/* Whether the file is the one that the process was started from. */
static bool file_is_program(const struct target *target, const char *file)
{
	struct stat program, other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)target->process.door);
	return !stat(path, &program) && !stat(file, &other) && program.st_dev == other.st_dev &&
	       program.st_ino == other.st_ino;
}

int target_configure(const struct target_world *world, struct target *target,
		     const struct interpreter *interpreter)
{
	uint32_t flags = target->config.flags | world->flags;
	char python[512] = "";
	int error;

	target->config = (struct process_config){
		.index = target->index, .identity = IDENTITY_CHECKED, .flags = flags};
	if (interpreter) {
		config_fill(interpreter, &target->config);
		target_probe(world, target, interpreter);
		target->config.gc_by_flag = target->collections.source == GC_SAMPLED;
		snprintf(python, sizeof(python), "CPython %s (%s)", interpreter->version,
			 interpreter->path);
	}
	error = target_describe(world, target, python);
	target->python = interpreter != NULL;
	target->own_program = interpreter && file_is_program(target, interpreter->file);
	return error ? error : target_register(world, target, NULL);
}

int target_fork(const struct target_world *world, struct target *target,
		const struct target *parent)
{
	struct profile_process process = {.pid = target->process.pid};
	const struct profile_process *from = &world->profile->processes[parent->profile_process];
	int error;

	process.command = from->command;
	process.python = from->python;
	process.container = from->container;
	process.cgroup = from->cgroup;
	process.gc.source = parent->collections.source;
	error = profile_process(world->profile, &process, &target->profile_process);
	if (error)
		return error;
	target->described = true;
	target->python = parent->python;
	target->mode = TARGET_ONLY_PYTHON;
	target->config = parent->config;
	target->config.index = target->index;
	target->collections.source = parent->collections.source;
	return target_register(world, target, parent);
}

int target_exec(const struct target_world *world, struct target *target)
{
	int error;

	target->config =
		(struct process_config){.index = target->index, .flags = target->config.flags};
	error = target_describe(world, target, "");
	target->python = false;
	return error ? error : target_register(world, target, NULL);
}

/* Adds to each address that is known. */
static void config_move(struct process_config *config, uint64_t by)
{
	__u64 *const addresses[] = {&config->runtime,       &config->code_type,
				    &config->text_start,    &config->text_end,
				    &config->loop_start[0], &config->loop_start[1],
				    &config->loop_end[0],   &config->loop_end[1]};
	size_t i;

	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		if (*addresses[i])
			*addresses[i] += by;
}

int target_exec_known(const struct target_world *world, struct target *target,
		      const struct process_config *config, const char *python,
		      const struct collection_watch *collections, uint64_t start_code)
{
	uint32_t flags = target->config.flags;
	int error;

	target->config = *config;
	config_move(&target->config, start_code);
	target->config.index = target->index;
	target->config.flags = flags;
	target->collections = (struct collection_watch){.source = collections->source};
	if (collections->source == GC_USDT)
		session_begin_gc(world->session, (uint32_t)target->process.pid);
	error = target_describe(world, target, python);
	target->python = true;
	return error ? error : target_register(world, target, NULL);
}

int target_program(const struct target *target, struct program_config *config)
{
	uint64_t start_code;
	int error;

	if (!target->own_program || target->config.identity != IDENTITY_FREED)
		return -ENOENT;
	error = process_start_code(&target->process, &start_code);
	if (error)
		return error;
	*config = (struct program_config){.verdict = FOLLOW_PYTHON, .process = target->config};
	config_move(&config->process, 0 - start_code);
	return 0;
}

void target_drop(const struct target_world *world, struct target *target)
{
	session_pass_process(world->session, (uint32_t)target->process.pid, target->index);
	if (target->described)
		recorder_leave_out(world->recorder, target->profile_process);
	target->described = false;
}

void target_finish(const struct target_world *world, struct target *target)
{
	struct profile_process process;

	if (!target->described)
		return;
	process = world->profile->processes[target->profile_process];
	collections_read(world->session, &target->process, &target->collections, &process.gc);
	profile_process_set(world->profile, target->profile_process, &process);
}

void target_release(struct target *target)
{
	free(target->command);
	target->command = NULL;
	process_close(&target->process);
}

bool target_mode_is_optional(enum target_mode mode)
{
	return mode == TARGET_ONLY_PYTHON || mode == TARGET_MAY_BE_FOLLOWED;
}

/* One of which only events have told so far has not been opened. */
bool target_alive(const struct target *target)
{
	if (target->process.start_ticks)
		return process_alive(&target->process);
	return !kill(target->process.pid, 0) || errno == EPERM;
}

bool target_error_is_refusal(int error)
{
	return error == -ENOTSUP || error == -EPROTO || error == -EACCES;
}

bool target_error_may_pass(int error)
{
	return error == -EAGAIN || error == -ENOTSUP || error == -EPROTO;
}
