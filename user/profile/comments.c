/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the spelling of the comments, both ways. */
#include "profile/comments.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "profile/table.h"

#define FORMAT_KEY     "pyebpf recording: "
#define LOSS_KEY       "lost "
#define PROCESS_KEY    "process: "
#define THREAD_KEY     "thread: "
#define JSON_BYTES_MAX (256 * 1024) /* of one process or thread; bounds the parser's memory */

enum fact_type { FACT_STRING, FACT_U32, FACT_COUNT, FACT_SIGNED };

struct fact {
	const char *key;
	enum fact_type type;
	size_t offset; /* of the value in struct profile_facts */
};

static const struct fact facts[] = {
	{"command line: ", FACT_STRING, offsetof(struct profile_facts, command_line)},
	{"host: ", FACT_STRING, offsetof(struct profile_facts, host)},
	{"kernel: ", FACT_STRING, offsetof(struct profile_facts, kernel)},
	{"pyebpf version: ", FACT_STRING, offsetof(struct profile_facts, version)},
	{"wait hook: ", FACT_STRING, offsetof(struct profile_facts, wait_hook)},
	{"rate_hz: ", FACT_U32, offsetof(struct profile_facts, rate_hz)},
	{"captured: ", FACT_COUNT, offsetof(struct profile_facts, captured)},
	{"profiler cpu_ns: ", FACT_SIGNED, offsetof(struct profile_facts, profiler_cpu_ns)},
	{"profiler rss_bytes: ", FACT_SIGNED, offsetof(struct profile_facts, profiler_rss_bytes)},
	{"unwind tables: ", FACT_U32, offsetof(struct profile_facts, tables)},
	{"unwind tables bytes: ", FACT_SIGNED, offsetof(struct profile_facts, table_bytes)},
	{"unwind tables source_bytes: ", FACT_SIGNED,
	 offsetof(struct profile_facts, table_source_bytes)},
	{"unwind tables ready_ns: ", FACT_SIGNED, offsetof(struct profile_facts, tables_ready_ns)},
};
#define FACTS (sizeof(facts) / sizeof(facts[0]))

__attribute__((format(printf, 2, 3))) static int line_add(struct comments *comments,
							  const char *format, ...)
{
	va_list arguments;
	void *grown;
	int length;

	grown = array_grow(comments->lines, comments->count, sizeof(*comments->lines));
	if (!grown)
		return -ENOMEM;
	comments->lines = grown;
	va_start(arguments, format);
	length = vasprintf(&comments->lines[comments->count], format, arguments);
	va_end(arguments);
	if (length < 0)
		return -ENOMEM;
	comments->count++;
	return 0;
}

static int line_add_json(struct comments *comments, const char *key, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	int result = text ? line_add(comments, "%s%s", key, text) : -ENOMEM;

	free(text);
	json_decref(object);
	return result;
}

static int line_add_fact(struct comments *comments, const struct profile *profile,
			 const struct fact *fact)
{
	const void *value = (const char *)&profile->facts + fact->offset;

	switch (fact->type) {
	case FACT_STRING:
		return line_add(comments, "%s%s", fact->key,
				profile->strings[*(const uint32_t *)value]);
	case FACT_U32:
		return line_add(comments, "%s%" PRIu32, fact->key, *(const uint32_t *)value);
	case FACT_COUNT:
		return line_add(comments, "%s%" PRIu64, fact->key, *(const uint64_t *)value);
	default:
		return line_add(comments, "%s%" PRId64, fact->key, *(const int64_t *)value);
	}
}

/* {"running": [ns, times blocked], …}, without the states that the thread never was in. */
static json_t *thread_states(const struct profile_thread *thread)
{
	json_t *states = json_object();
	int state;

	for (state = 0; state < STATE_COUNT && states; state++) {
		if (!thread->ns[state] && !thread->waits[state])
			continue;
		if (json_object_set_new(states, state_name(state),
					json_pack("[I,I]", (json_int_t)thread->ns[state],
						  (json_int_t)thread->waits[state]))) {
			json_decref(states);
			states = NULL;
		}
	}
	return states;
}

int comments_make(const struct profile *profile, struct comments *comments)
{
	char **strings = profile->strings;
	const struct profile_process *process;
	const struct profile_thread *thread;
	struct comments made = {0};
	int result;
	uint32_t at;

	result = line_add(&made, "%s%d", FORMAT_KEY, COMMENTS_FORMAT_VERSION);
	for (at = 0; !result && at < FACTS; at++)
		result = line_add_fact(&made, profile, &facts[at]);
	for (at = 0; !result && at < LOSS_COUNT; at++)
		result = line_add(&made, LOSS_KEY "%s: %" PRIu64, loss_name(at),
				  profile->facts.lost[at]);
	for (at = 0; !result && at < profile->process_count; at++) {
		process = &profile->processes[at];
		result = line_add_json(&made, PROCESS_KEY,
				       json_pack("{s:I,s:s,s:s}", "pid", (json_int_t)process->pid,
						 "command", strings[process->command], "python",
						 strings[process->python]));
	}
	for (at = 0; !result && at < profile->thread_count; at++) {
		thread = &profile->threads[at];
		result = line_add_json(
			&made, THREAD_KEY,
			json_pack("{s:I,s:I,s:s,s:I,s:I,s:o}", "process",
				  (json_int_t)thread->process, "tid", (json_int_t)thread->tid,
				  "name", strings[thread->name], "start_ns",
				  (json_int_t)thread->start_ns, "end_ns",
				  (json_int_t)thread->end_ns, "states", thread_states(thread)));
	}
	if (result) {
		comments_free(&made);
		return result;
	}
	*comments = made;
	return 0;
}

void comments_free(struct comments *comments)
{
	uint32_t at;

	for (at = 0; at < comments->count; at++)
		free(comments->lines[at]);
	free(comments->lines);
	*comments = (struct comments){0};
}

static int invalid(struct error *error, const char *line)
{
	return error_set(error, -EINVAL, "damaged recording: the comment `%.60s` makes no sense",
			 line);
}

/* The whole text must be a number from 0 to `largest`. */
static int number_read(const char *text, uint64_t largest, uint64_t *number)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value > largest)
		return -EINVAL;
	*number = value;
	return 0;
}

int comments_check_format(const char *first, struct error *error)
{
	uint64_t version;

	if (!first || strncmp(first, FORMAT_KEY, strlen(FORMAT_KEY)))
		return error_set(
			error, -EINVAL,
			"it is a pprof profile, but pyebpf did not record it (try `go tool "
			"pprof`)");
	if (number_read(first + strlen(FORMAT_KEY), UINT32_MAX, &version) || !version)
		return invalid(error, first);
	if (version > COMMENTS_FORMAT_VERSION)
		return error_set(error, -EINVAL,
				 "a newer pyebpf recorded it (format %" PRIu64
				 ", this one reads up to %d): update pyebpf",
				 version, COMMENTS_FORMAT_VERSION);
	return 0;
}

static int fact_read(struct profile *profile, const struct fact *fact, const char *text)
{
	void *value = (char *)&profile->facts + fact->offset;
	uint64_t number;

	if (fact->type == FACT_STRING)
		return profile_string(profile, text, value);
	if (number_read(text,
			fact->type == FACT_U32     ? UINT32_MAX
			: fact->type == FACT_COUNT ? UINT64_MAX
						   : INT64_MAX,
			&number))
		return -EINVAL;
	if (fact->type == FACT_U32)
		*(uint32_t *)value = (uint32_t)number;
	else if (fact->type == FACT_COUNT)
		*(uint64_t *)value = number;
	else
		*(int64_t *)value = (int64_t)number;
	return 0;
}

/* `text` is "reason: count". A reason not known here would be a loss kept quiet: refuse it. */
static int loss_read(struct profile *profile, const char *text)
{
	const char *colon = strchr(text, ':');
	char name[64];
	uint64_t count;
	int loss;

	if (!colon || colon[1] != ' ' || (size_t)(colon - text) >= sizeof(name))
		return -EINVAL;
	snprintf(name, sizeof(name), "%.*s", (int)(colon - text), text);
	loss = loss_find(name);
	if (loss < 0 || number_read(colon + 2, UINT64_MAX, &count))
		return -EINVAL;
	profile->facts.lost[loss] = count;
	return 0;
}

static int process_read(struct profile *profile, json_t *object)
{
	struct profile_process process = {0};
	const char *command, *python;
	json_int_t pid;
	uint32_t id;
	int result;

	if (json_unpack(object, "{s:I,s:s,s:s}", "pid", &pid, "command", &command, "python",
			&python) ||
	    pid < 0 || pid > UINT32_MAX)
		return -EINVAL;
	process.pid = (uint32_t)pid;
	result = profile_string(profile, command, &process.command);
	if (!result)
		result = profile_string(profile, python, &process.python);
	return result ? result : profile_process(profile, &process, &id);
}

static int thread_states_read(struct profile_thread *thread, json_t *states)
{
	json_int_t ns, waits;
	const char *name;
	json_t *pair;
	int state;

	json_object_foreach (states, name, pair) {
		state = state_find(name);
		if (state < 0 || json_unpack(pair, "[I,I]", &ns, &waits) || ns < 0 || waits < 0)
			return -EINVAL;
		thread->ns[state] = ns;
		thread->waits[state] = waits;
	}
	return 0;
}

static int thread_read(struct profile *profile, json_t *object)
{
	json_int_t process, tid, start, end;
	struct profile_thread thread = {0};
	const char *name;
	json_t *states;
	int result;

	if (json_unpack(object, "{s:I,s:I,s:s,s:I,s:I,s:o}", "process", &process, "tid", &tid,
			"name", &name, "start_ns", &start, "end_ns", &end, "states", &states) ||
	    process < 0 || process >= profile->process_count || tid < 0 || tid > UINT32_MAX ||
	    start < 0 || end < start || !json_is_object(states))
		return -EINVAL;
	thread.process = (uint32_t)process;
	thread.tid = (uint32_t)tid;
	thread.start_ns = start;
	thread.end_ns = end;
	result = thread_states_read(&thread, states);
	if (!result)
		result = profile_string(profile, name, &thread.name);
	return result ? result : profile_thread(profile, &thread);
}

static int object_read(struct profile *profile, const char *text,
		       int (*read)(struct profile *, json_t *))
{
	json_t *object;
	int result;

	if (strlen(text) > JSON_BYTES_MAX)
		return -EINVAL;
	object = json_loads(text, 0, NULL);
	result = object ? read(profile, object) : -EINVAL;
	json_decref(object);
	return result;
}

static int line_read(struct profile *profile, const char *line)
{
	size_t length, at;

	if (!strncmp(line, LOSS_KEY, strlen(LOSS_KEY)))
		return loss_read(profile, line + strlen(LOSS_KEY));
	if (!strncmp(line, PROCESS_KEY, strlen(PROCESS_KEY)))
		return object_read(profile, line + strlen(PROCESS_KEY), process_read);
	if (!strncmp(line, THREAD_KEY, strlen(THREAD_KEY)))
		return object_read(profile, line + strlen(THREAD_KEY), thread_read);
	for (at = 0; at < FACTS; at++) {
		length = strlen(facts[at].key);
		if (!strncmp(line, facts[at].key, length))
			return fact_read(profile, &facts[at], line + length);
	}
	return 0;
}

int comments_read_line(struct profile *profile, const char *line, struct error *error)
{
	int result = line_read(profile, line);

	if (result == -ENOMEM)
		return error_set(error, result, "no memory for the recording");
	return result ? invalid(error, line) : 0;
}
