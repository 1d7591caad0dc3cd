/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the dump for scripts, whose names are a promise. Times are seconds; what is not known is
 * left out.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "profile/names.h"
#include "views/dump.h"
#include "views/json_parts.h"

/* Functions here return a new reference or NULL, see json_parts.h. */

static json_t *json_text(const struct dump *dump, uint32_t id)
{
	return json_string(dump->profile->strings[id]);
}

static json_t *json_frame(const struct dump *dump, uint32_t location)
{
	const struct profile *profile = dump->profile;
	const struct profile_location *place = &profile->locations[location];
	const struct profile_function *function = &profile->functions[place->function];
	json_t *object = json_put(json_object(), "function", json_text(dump, function->name));

	object = json_put(object, "file", json_text(dump, function->filename));
	object = json_put(object, "line", json_integer(place->line));
	return json_put(object, "kind",
			json_string(profile_is_notice(profile, place->function)
					    ? "notice"
					    : kind_name(function->kind)));
}

static json_t *json_frames(const struct dump *dump, const struct dump_options *options,
			   const struct dump_thread *thread)
{
	const struct profile_stack *stack = &dump->profile->stacks[thread->key.stack];
	json_t *array = json_array();
	uint32_t i;

	for (i = 0; i < stack->depth; i++) {
		uint32_t location = dump->profile->stack_locations[stack->first + i];

		if (dump_shows(dump, options, location))
			array = json_append(array, json_frame(dump, location));
	}
	return array;
}

/* The lock that the thread waits for, as far as it is known. */
static json_t *json_put_lock(json_t *object, const struct dump *dump,
			     const struct dump_thread *thread)
{
	const struct dump_lock *lock = &thread->lock;

	if (lock->kind != LOCK_NONE)
		object = json_put(object, "lock", json_string(lock_kind_name(lock->kind)));
	if (lock->holder != DUMP_NOBODY)
		object = json_put(object, "held_by", json_integer(dump->threads[lock->holder].tid));
	else if (thread->key.gil_holder)
		object = json_put(object, "gil_holder", json_text(dump, thread->key.gil_holder));
	return object;
}

static json_t *json_put_state(json_t *object, const struct dump *dump,
			      const struct dump_thread *thread)
{
	const struct profile_key *key = &thread->key;
	bool away = state_column(key->state) != COLUMN_CPU;

	object = json_put(object, "state", json_string(state_name(key->state)));
	if (thread->length_ns >= 0)
		object = json_put(object, "seconds", json_seconds(thread->length_ns));
	if (away && key->target)
		object = json_put(object, "target", json_text(dump, key->target));
	if (away && key->syscall)
		object = json_put(object, "syscall", json_text(dump, key->syscall));
	return json_put_lock(object, dump, thread);
}

static json_t *json_thread(const struct dump *dump, const struct dump_options *options,
			   const struct dump_thread *thread)
{
	json_t *object = json_put(json_object(), "tid", json_integer(thread->tid));

	object = json_put(object, "name", json_text(dump, thread->key.thread));
	object = json_put(object, "active",
			  json_boolean(state_column(thread->key.state) == COLUMN_CPU));
	object = json_put(object, "holds_gil", json_boolean(thread->holds_gil));
	object = json_put(object, "read", json_boolean(thread->read));
	if (!thread->read)
		return object;
	object = json_put_state(object, dump, thread);
	return json_put(object, "frames", json_frames(dump, options, thread));
}

static json_t *json_threads(const struct dump *dump, const struct dump_options *options,
			    uint32_t process)
{
	json_t *array = json_array();
	uint32_t i;

	for (i = 0; i < dump->thread_count; i++)
		if (dump->threads[i].key.process == process)
			array = json_append(array, json_thread(dump, options, &dump->threads[i]));
	return array;
}

static json_t *json_cycle(const struct dump *dump, const struct dump_cycle *cycle)
{
	json_t *array = json_array();
	uint32_t i;

	for (i = 0; i < cycle->count; i++) {
		const struct dump_thread *thread =
			&dump->threads[dump->cycle_threads[cycle->first + i]];
		json_t *object = json_put(json_object(), "tid", json_integer(thread->tid));

		array = json_append(array, json_put_lock(object, dump, thread));
	}
	return array;
}

static json_t *json_cycles(const struct dump *dump, uint32_t process)
{
	json_t *array = json_array();
	uint32_t i;

	for (i = 0; i < dump->cycle_count; i++) {
		uint32_t thread = dump->cycle_threads[dump->cycles[i].first];

		if (dump->threads[thread].key.process == process)
			array = json_append(array, json_cycle(dump, &dump->cycles[i]));
	}
	return array;
}

static json_t *json_process(const struct dump *dump, const struct dump_options *options,
			    uint32_t id)
{
	const struct profile_process *process = &dump->profile->processes[id];
	json_t *object = json_put(json_object(), "pid", json_integer(process->pid));

	object = json_put(object, "command", json_text(dump, process->command));
	object = json_put(object, "python", json_text(dump, process->python));
	object = json_put(object, "threads", json_threads(dump, options, id));
	return json_put(object, "deadlocks", json_cycles(dump, id));
}

int view_dump_json(const struct dump *dump, const struct dump_options *options, FILE *stream)
{
	json_t *processes = json_array(), *whole;
	uint32_t i;
	int error;

	for (i = 0; i < dump->profile->process_count; i++)
		processes = json_append(processes, json_process(dump, options, i));
	whole = json_put(json_object(), "processes", processes);
	if (!whole)
		return -ENOMEM;
	error = json_dumpf(whole, stream, json_flags(stream, 2));
	json_decref(whole);
	if (error || fputc('\n', stream) == EOF)
		return ferror(stream) ? -EIO : -ENOMEM;
	return 0;
}
