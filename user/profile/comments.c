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
#define REPEAT_KEY     "repeat: "
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

/* The process, with what is known of its garbage collections. */
static json_t *process_object(const struct profile *profile, const struct profile_process *process)
{
	const struct profile_gc *gc = &process->gc;
	json_t *object = json_pack("{s:I,s:s,s:s}", "pid", (json_int_t)process->pid, "command",
				   profile->strings[process->command], "python",
				   profile->strings[process->python]);
	json_t *part;

	if (!object || gc->source == GC_UNKNOWN)
		return object;
	part = json_pack("{s:s,s:[I,I,I],s:I,s:I,s:b,s:b}", "by", gc_source_name(gc->source),
			 "collections", (json_int_t)gc->collections[0],
			 (json_int_t)gc->collections[1], (json_int_t)gc->collections[2], "ns",
			 (json_int_t)gc->ns, "longest_ns", (json_int_t)gc->longest_ns, "counted",
			 gc->counted, "timed", gc->timed);
	if (part && !json_object_set_new(object, "gc", part))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *thread_object(const struct profile *profile, const struct profile_thread *thread)
{
	return json_pack("{s:I,s:I,s:s,s:I,s:I,s:o}", "process", (json_int_t)thread->process, "tid",
			 (json_int_t)thread->tid, "name", profile->strings[thread->name],
			 "start_ns", (json_int_t)thread->start_ns, "end_ns",
			 (json_int_t)thread->end_ns, "states", thread_states(thread));
}

/* ["index", "/srv/views.py", 30] */
static json_t *function_object(const struct profile *profile, uint32_t function)
{
	const struct profile_function *it = &profile->functions[function];

	return json_pack("[s,s,i]", profile->strings[it->name], profile->strings[it->filename],
			 (int)it->start_line);
}

static json_t *repeat_object(const struct profile *profile, const struct profile_repeat *repeat)
{
	return json_pack("{s:I,s:o,s:i,s:o,s:s,s:I,s:I,s:I,s:b}", "process",
			 (json_int_t)repeat->process, "caller",
			 function_object(profile, repeat->caller), "line",
			 (int)profile->locations[repeat->location].line, "function",
			 function_object(profile, repeat->function), "target",
			 profile->strings[repeat->target], "calls", (json_int_t)repeat->calls,
			 "sends", (json_int_t)repeat->sends, "most", (json_int_t)repeat->most,
			 "at_least", repeat->at_least);
}

int comments_make(const struct profile *profile, struct comments *comments)
{
	struct comments made = {0};
	int result;
	uint32_t at;

	result = line_add(&made, "%s%d", FORMAT_KEY, COMMENTS_FORMAT_VERSION);
	for (at = 0; !result && at < FACTS; at++)
		result = line_add_fact(&made, profile, &facts[at]);
	for (at = 0; !result && at < LOSS_COUNT; at++)
		result = line_add(&made, LOSS_KEY "%s: %" PRIu64, loss_name(at),
				  profile->facts.lost[at]);
	for (at = 0; !result && at < profile->process_count; at++)
		result = line_add_json(&made, PROCESS_KEY,
				       process_object(profile, &profile->processes[at]));
	for (at = 0; !result && at < profile->thread_count; at++)
		result = line_add_json(&made, THREAD_KEY,
				       thread_object(profile, &profile->threads[at]));
	for (at = 0; !result && at < profile->repeat_count; at++)
		result = line_add_json(&made, REPEAT_KEY,
				       repeat_object(profile, &profile->repeats[at]));
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

static int gc_read(struct profile_gc *gc, json_t *object)
{
	json_int_t counts[GC_GENERATIONS], ns, longest;
	const char *by;
	int source, at, counted = 0, timed = 0;

	if (!object)
		return 0;
	if (json_unpack(object, "{s:s,s:[I,I,I],s:I,s:I,s?b,s?b}", "by", &by, "collections",
			&counts[0], &counts[1], &counts[2], "ns", &ns, "longest_ns", &longest,
			"counted", &counted, "timed", &timed) ||
	    ns < 0 || longest < 0)
		return -EINVAL;
	source = gc_source_find(by);
	if (source < 0)
		return -EINVAL;
	for (at = 0; at < GC_GENERATIONS; at++) {
		if (counts[at] < 0)
			return -EINVAL;
		gc->collections[at] = (uint64_t)counts[at];
	}
	gc->source = (enum gc_source)source;
	gc->ns = ns;
	gc->longest_ns = longest;
	gc->counted = counted;
	gc->timed = timed;
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
	result = gc_read(&process.gc, json_object_get(object, "gc"));
	if (!result)
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

/* Finds a Python function; adds it where no sample has it. */
static int function_read(struct profile *profile, json_t *object, uint32_t *id)
{
	struct profile_function function = {.kind = KIND_PYTHON};
	const char *name, *file;
	json_int_t line;
	int result;

	if (json_unpack(object, "[s,s,I!]", &name, &file, &line) || line < INT32_MIN ||
	    line > INT32_MAX)
		return -EINVAL;
	function.start_line = (int32_t)line;
	result = profile_string(profile, name, &function.name);
	if (!result)
		result = profile_string(profile, file, &function.filename);
	return result ? result : profile_function(profile, &function, id);
}

/* Small enough that the sum over all repeats, of which there are at most 2^23, does not overflow. */
static bool is_count(json_int_t count)
{
	return count >= 0 && count <= INT64_C(1) << 39;
}

static int repeat_read(struct profile *profile, json_t *object)
{
	struct profile_repeat repeat = {0};
	struct profile_location location = {0};
	json_int_t process, line, calls, sends, most;
	json_t *caller, *function;
	const char *target;
	int at_least = 0, result;

	if (json_unpack(object, "{s:I,s:o,s:I,s:o,s:s,s:I,s:I,s:I,s?b}", "process", &process,
			"caller", &caller, "line", &line, "function", &function, "target", &target,
			"calls", &calls, "sends", &sends, "most", &most, "at_least", &at_least) ||
	    process < 0 || process >= profile->process_count || line < INT32_MIN ||
	    line > INT32_MAX || !is_count(calls) || !is_count(sends) || most < 0 || most > sends)
		return -EINVAL;
	repeat.process = (uint32_t)process;
	repeat.calls = (uint64_t)calls;
	repeat.sends = (uint64_t)sends;
	repeat.most = (uint64_t)most;
	repeat.at_least = at_least;
	result = function_read(profile, caller, &repeat.caller);
	if (!result)
		result = function_read(profile, function, &repeat.function);
	location.function = repeat.caller;
	location.line = (int32_t)line;
	if (!result)
		result = profile_location(profile, &location, &repeat.location);
	if (!result)
		result = profile_string(profile, target, &repeat.target);
	return result ? result : profile_repeat(profile, &repeat);
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

static int line_result(int result, const char *line, struct error *error)
{
	if (result == -ENOMEM)
		return error_set(error, result, "no memory for the recording");
	return result ? invalid(error, line) : 0;
}

int comments_read_line(struct profile *profile, const char *line, struct error *error)
{
	return line_result(line_read(profile, line), line, error);
}

int comments_read_repeat(struct profile *profile, const char *line, struct error *error)
{
	size_t length = strlen(REPEAT_KEY);

	if (strncmp(line, REPEAT_KEY, length) != 0)
		return 0;
	return line_result(object_read(profile, line + length, repeat_read), line, error);
}
