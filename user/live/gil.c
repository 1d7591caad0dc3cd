/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading the interpreters' global locks; see gil.h. */
#include "live/gil.h"

#include <stddef.h>

static uint64_t word_read(const struct process *process, uint64_t address)
{
	uint64_t word;

	return process_read(process, address, &word, sizeof(word)) ? 0 : word;
}

/* Whoever took the lock last has it still if it is locked (Python/ceval_gil.c, take_gil). */
static uint64_t holder_read(const struct process *process, const struct python_layout *layout,
			    uint64_t gil)
{
	int32_t locked;

	if (process_read(process, gil + layout->gil_locked, &locked, sizeof(locked)) || locked != 1)
		return 0;
	return word_read(process, gil + layout->gil_last_holder);
}

static void gil_add(const struct process *process, const struct process_config *config,
		    uint64_t address, struct gils *gils)
{
	uint32_t i;

	if (!address || gils->count == GILS_MAX)
		return;
	for (i = 0; i < gils->count; i++)
		if (gils->all[i].address == address)
			return;
	gils->all[gils->count++] =
		(struct gil){address, holder_read(process, &config->layout, address)};
}

void gils_read(const struct process *process, const struct process_config *config,
	       struct gils *gils)
{
	const struct python_layout *layout = &config->layout;
	uint64_t interpreter;
	uint32_t step;

	gils->count = 0;
	if (layout->runtime_gil)
		gil_add(process, config, config->runtime + layout->runtime_gil, gils);
	if (!layout->interpreter_gil)
		return;
	interpreter = word_read(process, config->runtime + layout->runtime_interpreters_head);
	for (step = 0; step < GILS_MAX && interpreter; step++) {
		gil_add(process, config, word_read(process, interpreter + layout->interpreter_gil),
			gils);
		interpreter = word_read(process, interpreter + layout->interpreter_next);
	}
}

const struct gil *gils_find(const struct gils *gils, const struct process_config *config,
			    uint64_t address)
{
	uint32_t i;

	for (i = 0; i < gils->count; i++)
		if (address >= gils->all[i].address &&
		    address - gils->all[i].address < config->layout.gil_size)
			return &gils->all[i];
	return NULL;
}

const struct gil *gils_of_thread(const struct gils *gils, const struct process *process,
				 const struct process_config *config, uint64_t python_thread)
{
	const struct python_layout *layout = &config->layout;
	uint64_t interpreter;

	if (!python_thread)
		return NULL;
	if (layout->runtime_gil)
		return gils->count ? &gils->all[0] : NULL;
	interpreter = word_read(process, python_thread + layout->thread_interpreter);
	if (!interpreter)
		return NULL;
	return gils_find(gils, config, word_read(process, interpreter + layout->interpreter_gil));
}
