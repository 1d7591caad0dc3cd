/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the profile's arrays and that each thing is in them once. Leaves to user/profile/table.c
 * the hashing.
 */
#include "profile/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"
#include "profile/utf8.h"

struct profile_index {
	struct table strings;
	struct table modules;
	struct table functions;
	struct table locations;
	struct table stacks; /* by struct stack_key */
	struct table samples;
};

/*
 * Stacks are long, so the table holds their digests only. Those that happen to have the same one
 * are told apart by `turn`: the first has 0, the next other one 1, and so on.
 */
struct stack_key {
	uint64_t digest;
	uint64_t turn;
};

struct profile *profile_new(void)
{
	struct profile *profile = calloc(1, sizeof(*profile));
	uint32_t id;

	if (!profile)
		return NULL;
	profile->index = calloc(1, sizeof(*profile->index));
	if (!profile->index || profile_string(profile, "", &id) ||
	    profile_module(profile, 0, 0, &id)) {
		profile_free(profile);
		return NULL;
	}
	return profile;
}

void profile_free(struct profile *profile)
{
	if (!profile)
		return;
	if (profile->index) {
		table_clear(&profile->index->strings); /* with the strings themselves */
		table_clear(&profile->index->modules);
		table_clear(&profile->index->functions);
		table_clear(&profile->index->locations);
		table_clear(&profile->index->stacks);
		table_clear(&profile->index->samples);
	}
	free(profile->index);
	free(profile->strings);
	free(profile->modules);
	free(profile->functions);
	free(profile->locations);
	free(profile->stacks);
	free(profile->stack_locations);
	free(profile->samples);
	free(profile->processes);
	free(profile->threads);
	free(profile->repeats);
	free(profile);
}

static int string_add(struct profile *profile, const char *text, uint32_t *id)
{
	const void *kept;
	void *grown;
	int added;

	grown = array_grow(profile->strings, profile->string_count, sizeof(*profile->strings));
	if (!grown)
		return -ENOMEM;
	profile->strings = grown;
	added = table_intern(&profile->index->strings, text, strlen(text) + 1, id, &kept);
	if (added < 0)
		return added;
	if (added)
		profile->strings[profile->string_count++] = (char *)kept;
	return 0;
}

int profile_string(struct profile *profile, const char *text, uint32_t *id)
{
	char *repaired;
	int result;

	if (utf8_valid(text))
		return string_add(profile, text, id);
	repaired = utf8_repair(text);
	if (!repaired)
		return -ENOMEM;
	result = string_add(profile, repaired, id);
	free(repaired);
	return result;
}

int profile_module(struct profile *profile, uint32_t path, uint32_t build_id, uint32_t *id)
{
	struct profile_module module = {.path = path, .build_id = build_id};
	void *grown;
	int added;

	grown = array_grow(profile->modules, profile->module_count, sizeof(module));
	if (!grown)
		return -ENOMEM;
	profile->modules = grown;
	added = table_intern(&profile->index->modules, &module, sizeof(module), id, NULL);
	if (added < 0)
		return added;
	if (added)
		profile->modules[profile->module_count++] = module;
	return 0;
}

int profile_function(struct profile *profile, const struct profile_function *function, uint32_t *id)
{
	void *grown;
	int added;

	grown = array_grow(profile->functions, profile->function_count, sizeof(*function));
	if (!grown)
		return -ENOMEM;
	profile->functions = grown;
	added = table_intern(&profile->index->functions, function, sizeof(*function), id, NULL);
	if (added < 0)
		return added;
	if (added)
		profile->functions[profile->function_count++] = *function;
	return 0;
}

int profile_location(struct profile *profile, const struct profile_location *location, uint32_t *id)
{
	void *grown;
	int added;

	grown = array_grow(profile->locations, profile->location_count, sizeof(*location));
	if (!grown)
		return -ENOMEM;
	profile->locations = grown;
	added = table_intern(&profile->index->locations, location, sizeof(*location), id, NULL);
	if (added < 0)
		return added;
	if (added)
		profile->locations[profile->location_count++] = *location;
	return 0;
}

/* FNV-1a over whole ids. */
static uint64_t stack_digest(const uint32_t *locations, uint32_t depth)
{
	uint64_t digest = 0xcbf29ce484222325;
	uint32_t at;

	for (at = 0; at < depth; at++)
		digest = (digest ^ locations[at]) * 0x100000001b3;
	return digest;
}

static bool stack_equal(const struct profile *profile, uint32_t id, const uint32_t *locations,
			uint32_t depth)
{
	const struct profile_stack *stack = &profile->stacks[id];

	return stack->depth == depth && (!depth || !memcmp(&profile->stack_locations[stack->first],
							   locations, depth * sizeof(*locations)));
}

/* Writes the locations of a new stack behind the others. They do not count before it is added. */
static int stack_reserve(struct profile *profile, uint32_t used, const uint32_t *locations,
			 uint32_t depth)
{
	uint32_t at;
	void *grown;

	if (depth > UINT32_MAX - 1 - used)
		return -ENOMEM;
	for (at = 0; at < depth; at++) {
		grown = array_grow(profile->stack_locations, used + at, sizeof(*locations));
		if (!grown)
			return -ENOMEM;
		profile->stack_locations = grown;
		profile->stack_locations[used + at] = locations[at];
	}
	grown = array_grow(profile->stacks, profile->stack_count, sizeof(*profile->stacks));
	if (!grown)
		return -ENOMEM;
	profile->stacks = grown;
	return 0;
}

/* Finds a stack, or the key under which it is to be added. Returns 1 when new, 0, or -ENOMEM. */
static int stack_intern(struct profile *profile, const uint32_t *locations, uint32_t depth,
			uint32_t *id)
{
	struct stack_key key = {.digest = stack_digest(locations, depth)};
	int added;

	for (;; key.turn++) {
		added = table_intern(&profile->index->stacks, &key, sizeof(key), id, NULL);
		if (added || stack_equal(profile, *id, locations, depth))
			return added;
	}
}

int profile_stack(struct profile *profile, const uint32_t *locations, uint32_t depth, uint32_t *id)
{
	const struct profile_stack *last;
	uint32_t found, used = 0;
	int added;

	if (profile->stack_count) {
		last = &profile->stacks[profile->stack_count - 1];
		used = last->first + last->depth;
	}
	added = stack_reserve(profile, used, locations, depth);
	if (!added)
		added = stack_intern(profile, locations, depth, &found);
	if (added < 0)
		return added;
	if (added)
		profile->stacks[profile->stack_count++] =
			(struct profile_stack){.depth = depth, .first = used};
	*id = found;
	return 0;
}

void profile_forget_stacks(struct profile *profile)
{
	table_clear(&profile->index->stacks);
	free(profile->stacks);
	free(profile->stack_locations);
	profile->stacks = NULL;
	profile->stack_locations = NULL;
	profile->stack_count = 0;
}

int profile_sample(struct profile *profile, const struct profile_key *key, uint32_t *id)
{
	void *grown;
	int added;

	grown = array_grow(profile->samples, profile->sample_count, sizeof(*profile->samples));
	if (!grown)
		return -ENOMEM;
	profile->samples = grown;
	added = table_intern(&profile->index->samples, key, sizeof(*key), id, NULL);
	if (added < 0)
		return added;
	if (added)
		profile->samples[profile->sample_count++] = (struct profile_sample){.key = *key};
	return 0;
}

int profile_process(struct profile *profile, const struct profile_process *process, uint32_t *id)
{
	void *grown;

	grown = array_grow(profile->processes, profile->process_count, sizeof(*process));
	if (!grown)
		return -ENOMEM;
	profile->processes = grown;
	*id = profile->process_count++;
	profile->processes[*id] = *process;
	return 0;
}

int profile_thread(struct profile *profile, const struct profile_thread *thread)
{
	void *grown;

	grown = array_grow(profile->threads, profile->thread_count, sizeof(*thread));
	if (!grown)
		return -ENOMEM;
	profile->threads = grown;
	profile->threads[profile->thread_count++] = *thread;
	return 0;
}

int profile_repeat(struct profile *profile, const struct profile_repeat *repeat)
{
	void *grown;

	grown = array_grow(profile->repeats, profile->repeat_count, sizeof(*repeat));
	if (!grown)
		return -ENOMEM;
	profile->repeats = grown;
	profile->repeats[profile->repeat_count++] = *repeat;
	return 0;
}

int64_t profile_stack_owner(const struct profile *profile, uint32_t stack)
{
	const struct profile_stack *frames = &profile->stacks[stack];
	uint32_t at, location, function;

	for (at = 0; at < frames->depth; at++) {
		location = profile->stack_locations[frames->first + at];
		function = profile->locations[location].function;
		if (profile->functions[function].kind == KIND_PYTHON)
			return location;
	}
	return -1;
}

bool profile_is_collection(const struct profile *profile, uint32_t function)
{
	const struct profile_function *it = &profile->functions[function];

	return it->kind == KIND_NATIVE && !it->module && !it->filename &&
	       !strncmp(profile->strings[it->name], "<gc", 3);
}

bool profile_stack_collects(const struct profile *profile, uint32_t stack, int64_t *collector)
{
	const struct profile_stack *frames = &profile->stacks[stack];
	uint32_t at, location, function;
	bool collects = false;

	*collector = -1;
	for (at = 0; at < frames->depth; at++) {
		location = profile->stack_locations[frames->first + at];
		function = profile->locations[location].function;
		if (!collects)
			collects = profile_is_collection(profile, function);
		else if (profile->functions[function].kind == KIND_PYTHON) {
			*collector = location;
			break;
		}
	}
	return collects;
}

bool profile_is_notice(const struct profile *profile, uint32_t function)
{
	const struct profile_function *it = &profile->functions[function];
	const char *name = profile->strings[it->name];

	return it->kind == KIND_NATIVE && !it->module && !it->filename && name[0] == '[' &&
	       strcmp(name, PROFILE_GENERATED) != 0;
}

const char *profile_code_file(const struct profile *profile, uint32_t function)
{
	const struct profile_function *it = &profile->functions[function];

	return profile->strings[it->module ? profile->modules[it->module].path : it->filename];
}

void profile_process_set(struct profile *profile, uint32_t id,
			 const struct profile_process *process)
{
	if (id < profile->process_count)
		profile->processes[id] = *process;
}
