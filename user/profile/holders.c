/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the finding of functions by the labels that name them, and of the native code that they
 * mostly ran: who has the GIL for long is often a C extension that does not give it back.
 */
#include "profile/holders.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL UINT32_MAX /* in the place of a native function's name: any, also none */

struct builder {
	const struct profile *profile;
	struct waits *waits;
	struct tallies labels;  /* by the string of a label */
	struct tallies natives; /* running time by function, native name, native module */
	struct holder_row **of; /* by function; NULL: it is no holder */
};

void label_split(const char *label, size_t *name, size_t *file, int32_t *line)
{
	const char *open = strstr(label, " ("), *colon = strrchr(label, ':'), *at;
	size_t length = strlen(label);
	int64_t number = 0;

	*name = length;
	*file = 0;
	*line = 0;
	if (!open || !colon || colon < open + 2 || label[length - 1] != ')')
		return;
	for (at = colon + 1; *at >= '0' && *at <= '9' && number <= INT32_MAX; at++)
		number = number * 10 + (*at - '0');
	if (at != label + length - 1 || at == colon + 1 || number > INT32_MAX)
		return;
	*name = (size_t)(open - label);
	*file = (size_t)(colon - open - 2);
	*line = (int32_t)number;
}

static int keep_text(struct waits *waits, const char *text, size_t length, const char **kept)
{
	char *copy;
	void *grown;

	grown = array_grow(waits->labels, waits->label_count, sizeof(*waits->labels));
	if (!grown)
		return -ENOMEM;
	waits->labels = grown;
	copy = strndup(text, length);
	if (!copy)
		return -ENOMEM;
	waits->labels[waits->label_count++] = copy;
	*kept = copy;
	return 0;
}

static int add_labels(struct builder *builder, const bool *active)
{
	const struct profile *profile = builder->profile;
	const struct profile_sample *sample;
	struct tally part, *tally;
	uint32_t at;

	for (at = 0; at < profile->sample_count; at++) {
		sample = &profile->samples[at];
		if (sample->key.state != STATE_GIL || !sample->key.gil_holder)
			continue;
		part = tally_of(sample, !active || active[at]);
		if (tally_find(&builder->labels, (uint32_t[TALLY_KEYS]){sample->key.gil_holder},
			       &tally))
			return -ENOMEM;
		tally_add(tally, &part);
	}
	return 0;
}

static int make_rows(struct builder *builder)
{
	struct waits *waits = builder->waits;
	struct holder_row *holder;
	const char *label;
	uint32_t at;
	size_t name, file;
	int result = 0;

	waits->holders = calloc((size_t)builder->labels.count + 1, sizeof(*waits->holders));
	if (!waits->holders)
		return -ENOMEM;
	waits->holder_count = builder->labels.count;
	for (at = 0; at < builder->labels.count && !result; at++) {
		holder = &waits->holders[at];
		*holder = (struct holder_row){.sums = builder->labels.items[at],
					      .function = -1,
					      .native = "",
					      .native_file = ""};
		label = builder->profile->strings[holder->sums.key[0]];
		label_split(label, &name, &file, &holder->line);
		result = keep_text(waits, label, name, &holder->name);
		if (!result)
			result = keep_text(waits, label + name + (file ? 2 : 0), file,
					   &holder->file);
	}
	if (waits->holder_count)
		qsort(waits->holders, waits->holder_count, sizeof(*holder), tally_compare);
	return result;
}

/* Finds the holders among the functions: a Python function's label is known to one holder at most. */
static int find_functions(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	const struct profile_function *function;
	struct waits *waits = builder->waits;
	struct table labels = {0};
	uint32_t at, id;
	char *label;
	int added = 0, length;

	builder->of = calloc((size_t)profile->function_count + 1, sizeof(*builder->of));
	if (!builder->of)
		return -ENOMEM;
	for (at = 0; at < waits->holder_count && added >= 0; at++) {
		label = profile->strings[waits->holders[at].sums.key[0]];
		added = table_intern(&labels, label, strlen(label), &id, NULL);
	}
	for (at = 0; at < profile->function_count && waits->holder_count && added >= 0; at++) {
		function = &profile->functions[at];
		if (function->kind != KIND_PYTHON)
			continue;
		length = asprintf(&label, "%s (%s:%" PRId32 ")", profile->strings[function->name],
				  profile->strings[function->filename], function->start_line);
		added = length < 0 ? -ENOMEM
				   : table_intern(&labels, label, (size_t)length, &id, NULL);
		if (!added && id < waits->holder_count && waits->holders[id].function < 0) {
			waits->holders[id].function = at;
			builder->of[at] = &waits->holders[id];
		}
		if (length >= 0)
			free(label);
	}
	table_clear(&labels);
	return added < 0 ? -ENOMEM : 0;
}

/* The innermost native function of a stack that no Python function is inside of; -1: none. */
static int64_t native_leaf(const struct profile *profile, const struct profile_stack *stack)
{
	uint32_t at, function;

	for (at = 0; at < stack->depth; at++) {
		function = profile->locations[profile->stack_locations[stack->first + at]].function;
		if (profile->functions[function].kind == KIND_KERNEL)
			continue;
		if (profile->functions[function].kind == KIND_PYTHON ||
		    profile_is_notice(profile, function))
			return -1;
		return function;
	}
	return -1;
}

static int add_native(struct builder *builder, const struct profile_sample *sample)
{
	const struct profile *profile = builder->profile;
	int64_t owner = profile_stack_owner(profile, sample->key.stack), leaf;
	uint32_t key[TALLY_KEYS] = {0, ALL, 0, 0};
	struct tally *tally;

	if (sample->key.state != STATE_RUNNING || owner < 0 ||
	    !builder->of[profile->locations[owner].function])
		return 0;
	key[0] = profile->locations[owner].function;
	if (tally_find(&builder->natives, key, &tally))
		return -ENOMEM;
	tally->ns += sample->ns;
	leaf = native_leaf(profile, &profile->stacks[sample->key.stack]);
	if (leaf < 0)
		return 0;
	key[1] = profile->functions[leaf].name;
	key[2] = profile->functions[leaf].module;
	if (tally_find(&builder->natives, key, &tally))
		return -ENOMEM;
	tally->ns += sample->ns;
	return 0;
}

/* Names the native function that had more than half of a holder's own running time. */
static int find_natives(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	struct holder_row *holder;
	struct tally *all, native;
	uint32_t at;

	for (at = 0; at < profile->sample_count; at++)
		if (add_native(builder, &profile->samples[at]))
			return -ENOMEM;
	for (at = 0; at < builder->natives.count; at++) {
		native = builder->natives.items[at];
		if (native.key[1] == ALL)
			continue;
		if (tally_find(&builder->natives, (uint32_t[TALLY_KEYS]){native.key[0], ALL}, &all))
			return -ENOMEM;
		holder = builder->of[native.key[0]];
		if (native.ns <= all->ns - native.ns)
			continue;
		holder->native = profile->strings[native.key[1]];
		holder->native_file = profile->strings[profile->modules[native.key[2]].path];
	}
	return 0;
}

int holders_make(const struct profile *profile, const bool *active, struct waits *waits)
{
	struct builder builder = {.profile = profile, .waits = waits};
	int result = add_labels(&builder, active);

	if (!result)
		result = make_rows(&builder);
	if (!result)
		result = find_functions(&builder);
	if (!result && waits->holder_count)
		result = find_natives(&builder);
	tallies_clear(&builder.labels);
	tallies_clear(&builder.natives);
	free(builder.of);
	return result;
}
