/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the translation of a capture's samples into a profile of their own; see window.h. */
#include "live/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "profile/estimate.h"

/* From ids of the source to ids here, + 1; 0: not translated yet. */
struct translation {
	uint32_t *ids;
	uint32_t room;
};

struct window {
	const struct profile *source;
	struct profile *profile;
	struct estimates *estimates;
	struct translation strings, functions, locations, stacks;
	uint32_t *frames; /* of the stack being translated */
	uint32_t frames_room;
};

struct window *window_new(const struct profile *source)
{
	struct window *window = calloc(1, sizeof(*window));

	if (!window)
		return NULL;
	window->source = source;
	window->profile = profile_new();
	if (window->profile)
		window->estimates = estimates_new(window->profile);
	if (window->estimates)
		return window;
	window_free(window);
	return NULL;
}

void window_free(struct window *window)
{
	if (!window)
		return;
	free(window->strings.ids);
	free(window->functions.ids);
	free(window->locations.ids);
	free(window->stacks.ids);
	free(window->frames);
	estimates_free(window->estimates);
	profile_free(window->profile);
	free(window);
}

/* The place of an id's translation; NULL: no memory. */
static uint32_t *translation_at(struct translation *translation, uint32_t id)
{
	if (id >= translation->room) {
		size_t room = id < 512 ? 1024 : 2 * (size_t)id;
		uint32_t *grown = reallocarray(translation->ids, room, sizeof(*grown));

		if (!grown || room > UINT32_MAX)
			return NULL;
		memset(grown + translation->room, 0, (room - translation->room) * sizeof(*grown));
		translation->ids = grown;
		translation->room = (uint32_t)room;
	}
	return &translation->ids[id];
}

static int string_translate(struct window *window, uint32_t *id)
{
	uint32_t *known = translation_at(&window->strings, *id), own;

	if (!known)
		return -ENOMEM;
	if (!*known) {
		if (profile_string(window->profile, window->source->strings[*id], &own))
			return -ENOMEM;
		*known = own + 1;
	}
	*id = *known - 1;
	return 0;
}

static int module_translate(struct window *window, uint32_t *id)
{
	struct profile_module module = window->source->modules[*id];
	int error = string_translate(window, &module.path);

	if (!error)
		error = string_translate(window, &module.build_id);
	return error ? error : profile_module(window->profile, module.path, module.build_id, id);
}

static int function_translate(struct window *window, uint32_t *id)
{
	struct profile_function function = window->source->functions[*id];
	uint32_t *known = translation_at(&window->functions, *id);
	int error = known ? 0 : -ENOMEM;

	if (!error && *known) {
		*id = *known - 1;
		return 0;
	}
	if (!error)
		error = string_translate(window, &function.name);
	if (!error)
		error = string_translate(window, &function.filename);
	if (!error && function.module)
		error = module_translate(window, &function.module);
	if (!error)
		error = profile_function(window->profile, &function, id);
	if (!error)
		*known = *id + 1;
	return error;
}

static int location_translate(struct window *window, uint32_t *id)
{
	struct profile_location location = window->source->locations[*id];
	uint32_t *known = translation_at(&window->locations, *id);
	int error = known ? 0 : -ENOMEM;

	if (!error && *known) {
		*id = *known - 1;
		return 0;
	}
	if (!error)
		error = function_translate(window, &location.function);
	if (!error)
		error = profile_location(window->profile, &location, id);
	if (!error)
		*known = *id + 1;
	return error;
}

static int frames_reserve(struct window *window, uint32_t depth)
{
	uint32_t *grown;

	if (depth <= window->frames_room)
		return 0;
	grown = reallocarray(window->frames, depth, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	window->frames = grown;
	window->frames_room = depth;
	return 0;
}

static int stack_translate(struct window *window, uint32_t *id)
{
	const struct profile_stack *stack = &window->source->stacks[*id];
	uint32_t *known = translation_at(&window->stacks, *id), at;
	int error = known ? frames_reserve(window, stack->depth) : -ENOMEM;

	if (!error && *known) {
		*id = *known - 1;
		return 0;
	}
	for (at = 0; !error && at < stack->depth; at++) {
		window->frames[at] = window->source->stack_locations[stack->first + at];
		error = location_translate(window, &window->frames[at]);
	}
	if (!error)
		error = profile_stack(window->profile, window->frames, stack->depth, id);
	if (!error)
		*known = *id + 1;
	return error;
}

/* What a live view tells apart: the rest of a key would only make more of the same. */
static int key_translate(struct window *window, const struct profile_key *source,
			 struct profile_key *key)
{
	int error;

	memset(key, 0, sizeof(*key));
	key->process = source->process;
	key->tid = source->tid;
	key->thread = source->thread;
	key->state = source->state;
	key->leaf = source->leaf;
	key->target = source->target;
	key->stack = source->stack;
	error = string_translate(window, &key->thread);
	if (!error)
		error = string_translate(window, &key->target);
	return error ? error : stack_translate(window, &key->stack);
}

int window_add_exact(struct window *window, const struct profile_key *source, uint64_t ns)
{
	struct profile_key key;
	int error = key_translate(window, source, &key);

	return error ? error : estimates_add_exact(window->estimates, &key, ns, 0);
}

int window_add_sampled(struct window *window, const struct profile_key *source, uint64_t ns)
{
	struct profile_key key;
	int error = key_translate(window, source, &key);

	return error ? error : estimates_add_sampled(window->estimates, &key, ns, 0);
}

int window_add_thread(struct window *window, const struct profile_thread *source)
{
	struct profile_thread thread = *source;
	int error = string_translate(window, &thread.name);

	return error ? error : profile_thread(window->profile, &thread);
}

void window_forget_stacks(struct window *window)
{
	if (window->stacks.ids)
		memset(window->stacks.ids, 0, window->stacks.room * sizeof(*window->stacks.ids));
}

uint32_t window_samples(const struct window *window)
{
	return window->profile->sample_count;
}

static int processes_copy(struct window *window)
{
	uint32_t i, id;
	int error = 0;

	for (i = 0; !error && i < window->source->process_count; i++) {
		struct profile_process process = window->source->processes[i];

		error = string_translate(window, &process.command);
		if (!error)
			error = string_translate(window, &process.python);
		if (!error)
			error = profile_process(window->profile, &process, &id);
	}
	return error;
}

int window_finish(struct window *window, struct profile **profile)
{
	int error = processes_copy(window);

	if (!error)
		error = estimates_finish(window->estimates);
	if (error)
		return error;
	*profile = window->profile;
	window->profile = NULL;
	return 0;
}
