/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns naming and trimming kernel stacks. */
#include "capture/kernel_stack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native/kernel_symbols.h"

#define SYMBOLS_FILE "/proc/kallsyms"

struct kernel_stacks {
	struct profile *profile;
	struct kernel_symbols symbols;
	bool tried; /* to read them; without any, frames are `[kernel]` */
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
	if (!stacks)
		return;
	kernel_symbols_free(&stacks->symbols);
	free(stacks);
}

/* Where a thread goes to sleep, or is looked at when it comes back: below is how it waits. */
static bool name_is_scheduler(const char *name)
{
	return !strcmp(name, "__schedule") || !strcmp(name, "schedule") ||
	       !strcmp(name, "preempt_schedule_irq") || !strcmp(name, "preempt_schedule") ||
	       !strcmp(name, "preempt_schedule_common") ||
	       !strcmp(name, "preempt_schedule_notrace") ||
	       !strcmp(name, "schedule_preempt_disabled");
}

/* The outermost of the scheduler's frames stays, for it says that the thread gave its CPU up. */
static uint32_t scheduler_frames(struct kernel_stacks *stacks, const __u64 *addresses,
				 uint32_t count)
{
	uint32_t i, skip = 0;

	for (i = 0; i < count; i++) {
		const char *module;
		const char *name = kernel_symbols_find(&stacks->symbols, addresses[i], &module);

		if (name && name_is_scheduler(name))
			skip = i;
	}
	return skip;
}

static int frame_locate(struct kernel_stacks *stacks, uint64_t address, uint32_t *location)
{
	struct profile_function function = {.kind = KIND_KERNEL};
	struct profile_location place = {.address = address};
	const char *module = "";
	const char *name = kernel_symbols_find(&stacks->symbols, address, &module);
	int error = profile_string(stacks->profile, name ? name : "[kernel]", &function.name);

	if (!error)
		error = profile_string(stacks->profile, *module ? module : "[kernel.kallsyms]",
				       &function.filename);
	if (!error)
		error = profile_function(stacks->profile, &function, &place.function);
	if (!error)
		error = profile_location(stacks->profile, &place, location);
	return error;
}

int kernel_stacks_locate(struct kernel_stacks *stacks, const __u64 *addresses, uint32_t count,
			 uint32_t *locations, uint32_t *depth)
{
	uint32_t i;
	int error = 0;

	if (!count)
		return 0;
	if (!stacks->tried) {
		stacks->tried = true;
		kernel_symbols_read(SYMBOLS_FILE, &stacks->symbols);
	}
	for (i = scheduler_frames(stacks, addresses, count); !error && i < count; i++)
		error = frame_locate(stacks, addresses[i], &locations[(*depth)++]);
	return error;
}
