/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns naming and trimming kernel stacks. */
#include "capture/kernel_stack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "symbol.h"

/* An address that was seen before. */
struct kernel_place {
	uint64_t address;
	uint32_t location;
	bool scheduler; /* one of the functions in which a thread leaves its CPU */
	UT_hash_handle hh;
};

struct kernel_stacks {
	struct profile *profile;
	kernel_namer *namer;
	void *context;
	struct kernel_place *places;
};

struct kernel_stacks *kernel_stacks_new(struct profile *profile)
{
	struct kernel_stacks *stacks = calloc(1, sizeof(*stacks));

	if (stacks)
		stacks->profile = profile;
	return stacks;
}

void kernel_stacks_free(struct kernel_stacks *stacks)
{
	struct kernel_place *place, *next;

	if (!stacks)
		return;
	HASH_ITER (hh, stacks->places, place, next) {
		HASH_DEL(stacks->places, place);
		free(place);
	}
	free(stacks);
}

void kernel_stacks_name_by(struct kernel_stacks *stacks, kernel_namer *namer, void *context)
{
	stacks->namer = namer;
	stacks->context = context;
}

/* Where a thread goes to sleep, or is looked at when it comes back: below is how it waits. */
static bool name_is_scheduler(const char *name)
{
	static const char *const names[] = {"__schedule",
					    "schedule",
					    "preempt_schedule",
					    "preempt_schedule_common",
					    "preempt_schedule_irq",
					    "preempt_schedule_notrace",
					    "schedule_preempt_disabled"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* Splits `name [module]`, as the kernel writes it. Returns the module; "" is the kernel itself. */
static const char *module_split(char *name)
{
	char *module = strstr(name, " [");

	if (!module)
		return "";
	*module = 0;
	module += 2;
	module[strcspn(module, "]")] = 0;
	return module;
}

static int place_name(struct kernel_stacks *stacks, struct kernel_place *place)
{
	struct profile_function function = {.kind = KIND_KERNEL};
	struct profile_location location = {.address = place->address};
	char name[SYMBOL_NAME_SIZE] = "[kernel]";
	const char *module;
	int error;

	if (stacks->namer)
		stacks->namer(stacks->context, place->address, name, sizeof(name));
	module = module_split(name);
	place->scheduler = name_is_scheduler(name);
	error = profile_string(stacks->profile, name, &function.name);
	if (!error)
		error = profile_string(stacks->profile, *module ? module : "[kernel.kallsyms]",
				       &function.filename);
	if (!error)
		error = profile_function(stacks->profile, &function, &location.function);
	if (!error)
		error = profile_location(stacks->profile, &location, &place->location);
	return error;
}

static int place_find(struct kernel_stacks *stacks, uint64_t address, struct kernel_place **found)
{
	struct kernel_place *place;
	int error;

	HASH_FIND(hh, stacks->places, &address, sizeof(address), place);
	if (!place) {
		place = calloc(1, sizeof(*place));
		if (!place)
			return -ENOMEM;
		place->address = address;
		error = place_name(stacks, place);
		if (error) {
			free(place);
			return error;
		}
		HASH_ADD(hh, stacks->places, address, sizeof(place->address), place);
	}
	*found = place;
	return 0;
}

/*
 * The outermost of the scheduler's frames stays, for it says that the thread gave its CPU up; what
 * came before it in `locations` is dropped.
 */
int kernel_stacks_locate(struct kernel_stacks *stacks, const __u64 *addresses, uint32_t count,
			 uint32_t *locations, uint32_t *depth)
{
	uint32_t start = *depth, i;

	for (i = 0; i < count; i++) {
		struct kernel_place *place;
		int error = place_find(stacks, addresses[i], &place);

		if (error)
			return error;
		if (place->scheduler)
			*depth = start;
		locations[(*depth)++] = place->location;
	}
	return 0;
}
