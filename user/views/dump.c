/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the dump for a person: py-spy's layout, with each thread's state behind its name, and
 * deadlocks at a process' end.
 */
#include "views/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "views/paths.h"
#include "views/symbol_text.h"
#include "views/text.h"

#define PYTHON_PREFIX "CPython "
#define KERNEL_FILE   "[kernel.kallsyms]"
#define MS            1000000.0
#define SECOND        1000000000.0

struct writing {
	const struct dump *dump;
	const struct profile *profile;
	const struct dump_options *options;
	const char **files; /* of each function of the profile, shortened */
	FILE *stream;
	int error;
};

static const char *string_of(const struct writing *writing, uint32_t id)
{
	return writing->profile->strings[id];
}

/* Writes a text of the target made harmless, and in a colour if there are any. */
static void text_put(struct writing *writing, const char *colour, const char *text)
{
	char *escaped = text_escape(text);

	if (!escaped) {
		writing->error = -ENOMEM;
		return;
	}
	if (writing->options->colour && *colour)
		fprintf(writing->stream, "\033[%sm%s\033[0m", colour, escaped);
	else
		fputs(escaped, writing->stream);
	free(escaped);
}

static void length_put(FILE *stream, int64_t ns)
{
	double seconds = (double)ns / SECOND;

	if (ns < (int64_t)MS)
		fputs("below 1 ms", stream);
	else if (seconds < 0.9995)
		fprintf(stream, "%.0f ms", (double)ns / MS);
	else if (seconds < 600)
		fprintf(stream, "%.1f s", seconds);
	else if (seconds < 7200)
		fprintf(stream, "%.0f min", seconds / 60);
	else
		fprintf(stream, "%.1f h", seconds / 3600);
}

const char *lock_kind_name(enum lock_kind kind)
{
	static const char *const names[] = {
		[LOCK_NONE] = "",
		[LOCK_GIL] = "GIL",
		[LOCK_MUTEX] = "C mutex",
		[LOCK_RECURSIVE] = "RLock",
	};

	return names[kind];
}

const char *dump_activity(const struct dump_thread *thread)
{
	if (state_column(thread->key.state) == COLUMN_CPU)
		return thread->holds_gil ? "active+gil" : "active";
	return thread->holds_gil ? "idle+gil" : "idle";
}

bool dump_shows(const struct dump *dump, const struct dump_options *options, uint32_t location)
{
	const struct profile *profile = dump->profile;
	uint32_t function = profile->locations[location].function;

	return options->native || profile->functions[function].kind == KIND_PYTHON ||
	       profile_is_notice(profile, function);
}

/* What the thread waits for: a lock and its holder, or the state's target. */
static void wait_put(struct writing *writing, const struct dump_thread *thread)
{
	const struct dump_lock *lock = &thread->lock;
	const struct profile_key *key = &thread->key;

	if (lock->kind > LOCK_GIL)
		fprintf(writing->stream, " (%s)", lock_kind_name(lock->kind));
	if (lock->holder != DUMP_NOBODY) {
		fprintf(writing->stream, " held by %" PRIu32,
			writing->dump->threads[lock->holder].tid);
	} else if (key->state == STATE_GIL && key->gil_holder) {
		fputs(" held by ", writing->stream);
		text_put(writing, "", string_of(writing, key->gil_holder));
	} else if (state_column(key->state) != COLUMN_CPU && key->target) {
		fputc(' ', writing->stream);
		text_put(writing, "", string_of(writing, key->target));
	} else if (key->state == STATE_OTHER && key->syscall) {
		fprintf(writing->stream, " %s", string_of(writing, key->syscall));
	}
}

/* Whether the target's name says the state too: `pipe`, `unix socket`. */
static bool target_is_state(const struct writing *writing, const struct dump_thread *thread)
{
	const char *state = state_name(thread->key.state);
	const char *target = string_of(writing, thread->key.target);
	size_t length = strlen(target), tail = strlen(state);

	return thread->lock.kind == LOCK_NONE && length >= tail &&
	       !strcmp(target + length - tail, state) &&
	       (length == tail || target[length - tail - 1] == ' ');
}

static void state_put(struct writing *writing, const struct dump_thread *thread)
{
	if (!thread->read)
		return;
	fputs("  ", writing->stream);
	if (target_is_state(writing, thread)) {
		text_put(writing, "", string_of(writing, thread->key.target));
	} else {
		fputs(state_name(thread->key.state), writing->stream);
		wait_put(writing, thread);
	}
	if (thread->length_ns >= 0) {
		fputs(", ", writing->stream);
		length_put(writing->stream, thread->length_ns);
	}
}

static void frame_put(struct writing *writing, uint32_t location)
{
	const struct profile_location *place = &writing->profile->locations[location];
	const struct profile_function *function = &writing->profile->functions[place->function];
	char *name = function->kind == KIND_NATIVE ? symbol_text(string_of(writing, function->name))
						   : strdup(string_of(writing, function->name));

	if (!name) {
		writing->error = -ENOMEM;
		return;
	}
	fputs("    ", writing->stream);
	text_put(writing, "32", name);
	free(name);
	if (*writing->files[place->function]) {
		fputs(" (", writing->stream);
		text_put(writing, "36", writing->files[place->function]);
		if (place->line > 0)
			fprintf(writing->stream, ":%" PRId32, place->line);
		fputc(')', writing->stream);
	}
	fputc('\n', writing->stream);
}

static void stack_put(struct writing *writing, const struct dump_thread *thread)
{
	const struct profile_stack *stack;
	uint32_t i;

	if (!thread->read) {
		fputs("    [stack not read]\n", writing->stream);
		return;
	}
	stack = &writing->profile->stacks[thread->key.stack];
	for (i = 0; i < stack->depth; i++) {
		uint32_t location = writing->profile->stack_locations[stack->first + i];

		if (dump_shows(writing->dump, writing->options, location))
			frame_put(writing, location);
	}
}

static void thread_put(struct writing *writing, const struct dump_thread *thread)
{
	char tid[16];

	snprintf(tid, sizeof(tid), "%" PRIu32, thread->tid);
	fputs("Thread ", writing->stream);
	text_put(writing, "1;33", tid);
	fprintf(writing->stream, " (%s): \"", dump_activity(thread));
	text_put(writing, "", string_of(writing, thread->key.thread));
	fputc('"', writing->stream);
	state_put(writing, thread);
	fputc('\n', writing->stream);
	stack_put(writing, thread);
}

/* `Thread 4242 "x" waits for an RLock that thread 4250 holds`. */
static void wait_line_put(struct writing *writing, const struct dump_thread *thread)
{
	static const char *const locks[] = {
		[LOCK_NONE] = "a lock",
		[LOCK_GIL] = "the GIL",
		[LOCK_MUTEX] = "a C mutex",
		[LOCK_RECURSIVE] = "an RLock",
	};
	const struct dump_thread *holder = &writing->dump->threads[thread->lock.holder];

	fprintf(writing->stream, "    Thread %" PRIu32 " \"", thread->tid);
	text_put(writing, "", string_of(writing, thread->key.thread));
	fprintf(writing->stream, "\" waits for %s that ", locks[thread->lock.kind]);
	if (holder == thread)
		fputs("it holds itself\n", writing->stream);
	else
		fprintf(writing->stream, "thread %" PRIu32 " holds\n", holder->tid);
}

static void cycle_put(struct writing *writing, const struct dump_cycle *cycle)
{
	const uint32_t *threads = &writing->dump->cycle_threads[cycle->first];
	uint32_t i;

	fputc('\n', writing->stream);
	if (cycle->count == 1)
		text_put(writing, "1;31", "Deadlock: a thread waits for itself.");
	else
		text_put(writing, "1;31", "Deadlock: these threads wait for each other.");
	fputc('\n', writing->stream);
	for (i = 0; i < cycle->count; i++)
		wait_line_put(writing, &writing->dump->threads[threads[i]]);
}

static void head_put(struct writing *writing, uint32_t id)
{
	const struct profile_process *process = &writing->profile->processes[id];
	const char *python = string_of(writing, process->python);
	char pid[16];

	snprintf(pid, sizeof(pid), "%" PRIu32, process->pid);
	fputs("Process ", writing->stream);
	text_put(writing, "1;33", pid);
	fputs(": ", writing->stream);
	text_put(writing, "", string_of(writing, process->command));
	fputc('\n', writing->stream);
	if (!strncmp(python, PYTHON_PREFIX, strlen(PYTHON_PREFIX))) {
		fputs("Python v", writing->stream);
		text_put(writing, "", python + strlen(PYTHON_PREFIX));
		fputc('\n', writing->stream);
	}
	fputc('\n', writing->stream);
}

static void cycles_put(struct writing *writing, uint32_t process)
{
	const struct dump *dump = writing->dump;
	uint32_t i;

	for (i = 0; i < dump->cycle_count; i++) {
		uint32_t thread = dump->cycle_threads[dump->cycles[i].first];

		if (dump->threads[thread].key.process == process)
			cycle_put(writing, &dump->cycles[i]);
	}
}

/* A native function's file, without its path; "" where its name has it already. */
static const char *module_name(const struct writing *writing, uint32_t id)
{
	const struct profile_function *function = &writing->profile->functions[id];
	const char *file = string_of(writing, function->filename);

	if (!strcmp(file, KERNEL_FILE))
		return "kernel";
	return symbol_is_offset(string_of(writing, function->name), file) ? "" : path_name(file);
}

/* Python files get as few components as tell them apart, modules their last one. */
static int files_shorten(struct writing *writing)
{
	const struct profile *profile = writing->profile;
	uint32_t count = profile->function_count, i;
	const char **paths = calloc(count + 1, sizeof(*paths));
	int error = paths ? 0 : -ENOMEM;

	writing->files = calloc(count + 1, sizeof(*writing->files));
	if (!writing->files)
		error = -ENOMEM;
	for (i = 0; !error && i < count; i++)
		paths[i] = profile->functions[i].kind == KIND_PYTHON
				   ? string_of(writing, profile->functions[i].filename)
				   : "";
	if (!error)
		error = paths_shorten(paths, count, writing->files);
	for (i = 0; !error && i < count; i++)
		if (profile->functions[i].kind != KIND_PYTHON)
			writing->files[i] = module_name(writing, i);
	free(paths);
	return error;
}

static void processes_put(struct writing *writing)
{
	const struct dump *dump = writing->dump;
	uint32_t i;

	for (i = 0; i < dump->thread_count; i++) {
		uint32_t process = dump->threads[i].key.process;

		if (!i || dump->threads[i - 1].key.process != process) {
			if (i)
				fputc('\n', writing->stream);
			head_put(writing, process);
		}
		thread_put(writing, &dump->threads[i]);
		if (i + 1 == dump->thread_count || dump->threads[i + 1].key.process != process)
			cycles_put(writing, process);
	}
}

int view_dump(const struct dump *dump, const struct dump_options *options, FILE *stream)
{
	struct writing writing = {
		.dump = dump, .profile = dump->profile, .options = options, .stream = stream};

	writing.error = files_shorten(&writing);
	if (!writing.error)
		processes_put(&writing);
	free(writing.files);
	if (!writing.error && ferror(stream))
		writing.error = -EIO;
	return writing.error;
}
