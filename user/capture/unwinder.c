/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns preparing native stacks; see unwinder.h. Lists of ranges are in range_lists.c. */
#include "capture/unwinder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "capture/range_lists.h"
#include "clock.h"
#include "native/unwind_table.h"
#include "path.h"

/* A list of ranges in the kernel, of processes that were forked from each other. */
struct shared_list {
	struct range_list list;
	uint32_t users;
};

/* A recorded process. */
struct space {
	pid_t pid;
	struct process process;
	struct unwind_range *ranges;
	uint32_t range_count;
	uint64_t executable_pages; /* as the kernel counts them in mm->exec_vm */
	struct shared_list *list;  /* as the kernel has it; NULL: none */
	bool changed;              /* its mappings are to be read */
	bool incomplete;           /* a table was made since the list was written */
	UT_hash_handle hh;
};

struct unwinder {
	struct unwind_maps maps;
	struct modules *modules;
	struct range_lists *lists;
	struct space *spaces;
	uint32_t chunk_count; /* the next number is one more */
	uint32_t tabled;      /* modules up to this number have been tried */
	bool work;            /* there is something to do */
	struct unwinder_costs costs;
};

struct unwinder *unwinder_new(const struct unwind_maps *maps, struct modules *modules)
{
	struct unwinder *unwinder = calloc(1, sizeof(*unwinder));

	if (!unwinder)
		return NULL;
	unwinder->maps = *maps;
	unwinder->modules = modules;
	unwinder->lists = range_lists_new(&unwinder->maps, &unwinder->chunk_count);
	if (unwinder->lists)
		return unwinder;
	free(unwinder);
	return NULL;
}

static void list_release(struct unwinder *unwinder, struct shared_list *list)
{
	if (!list || --list->users)
		return;
	range_lists_give(unwinder->lists, &list->list);
	free(list);
}

static void space_free(struct unwinder *unwinder, struct space *space)
{
	HASH_DEL(unwinder->spaces, space);
	list_release(unwinder, space->list);
	free(space->ranges);
	free(space);
}

void unwinder_free(struct unwinder *unwinder)
{
	struct space *space, *next;

	if (!unwinder)
		return;
	HASH_ITER (hh, unwinder->spaces, space, next) {
		space_free(unwinder, space);
	}
	range_lists_free(unwinder->lists);
	free(unwinder);
}

static struct space *space_find(const struct unwinder *unwinder, pid_t pid)
{
	struct space *space;

	HASH_FIND(hh, unwinder->spaces, &pid, sizeof(pid), space);
	return space;
}

int unwinder_add(struct unwinder *unwinder, const struct process *process)
{
	struct space *space = space_find(unwinder, process->pid);

	if (!space) {
		space = calloc(1, sizeof(*space));
		if (!space)
			return -ENOMEM;
		space->pid = process->pid;
		HASH_ADD(hh, unwinder->spaces, pid, sizeof(space->pid), space);
	}
	space->process = *process;
	space->changed = true;
	unwinder->work = true;
	return 0;
}

/* Whether the kernel side has the process' ranges in this list. */
static bool list_is_used(const struct unwinder *unwinder, pid_t pid, const struct shared_list *list)
{
	struct unwind_place place;

	return list && !unwind_maps_get_ranges(&unwinder->maps, (uint32_t)pid, &place) &&
	       place.chunk == list->list.place.chunk && place.block == list->list.place.block;
}

int unwinder_fork(struct unwinder *unwinder, pid_t parent, const struct process *process)
{
	const struct space *from = space_find(unwinder, parent);
	struct space *space;
	int error = unwinder_add(unwinder, process);

	if (error || !from)
		return error;
	space = space_find(unwinder, process->pid);
	if (from->changed || !list_is_used(unwinder, process->pid, from->list))
		return 0;
	free(space->ranges);
	space->range_count = 0;
	space->ranges = calloc(from->range_count + 1UL, sizeof(*space->ranges));
	if (!space->ranges)
		return -ENOMEM;
	memcpy(space->ranges, from->ranges, from->range_count * sizeof(*space->ranges));
	space->range_count = from->range_count;
	space->executable_pages = from->executable_pages;
	list_release(unwinder, space->list);
	space->list = from->list;
	space->list->users++;
	space->changed = false;
	space->incomplete = from->incomplete;
	return 0;
}

void unwinder_update(struct unwinder *unwinder, pid_t pid)
{
	struct space *space = space_find(unwinder, pid);

	if (!space)
		return;
	space->changed = true;
	unwinder->work = true;
}

void unwinder_remove(struct unwinder *unwinder, pid_t pid)
{
	struct space *space = space_find(unwinder, pid);

	if (space)
		space_free(unwinder, space);
}

const struct unwind_range *unwinder_find(const struct unwinder *unwinder, pid_t pid,
					 uint64_t address)
{
	const struct space *space = space_find(unwinder, pid);
	uint32_t i;

	for (i = 0; space && i < space->range_count; i++)
		if (address >= space->ranges[i].start && address < space->ranges[i].end)
			return &space->ranges[i];
	return NULL;
}

/* is_exec_mapping() in the kernel's mm/internal.h: writable ones and stacks do not count. */
static uint64_t mapping_executable_pages(const struct mapping *mapping)
{
	if (!mapping->executable || mapping->writable || !strcmp(mapping->path, "[stack]") ||
	    !strcmp(mapping->path, "[vsyscall]"))
		return 0;
	return (mapping->end - mapping->start) / (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool mapping_has_code(const struct mapping *mapping)
{
	return mapping->executable && mapping->start >> NATIVE_ADDRESS_BITS == 0;
}

/* A range whose file cannot be read stays one without a file. */
static int range_fill(struct unwinder *unwinder, const struct space *space,
		      const struct mapping *mapping, struct unwind_range *range)
{
	struct module *module = NULL;
	uint64_t bias;
	int error = modules_take(unwinder->modules, &space->process, mapping, &module);

	*range = (struct unwind_range){.start = mapping->start, .end = mapping->end};
	if (error == -ENOMEM)
		return error;
	if (!error && !elf_load_bias(&module->elf, mapping, &bias)) {
		range->file = module->number;
		range->bias = bias;
	}
	return 0;
}

/* Reads what the process maps. A process that has ended keeps what is known of it. */
static int space_read(struct unwinder *unwinder, struct space *space)
{
	struct unwind_range *ranges;
	uint64_t pages = 0;
	uint32_t count = 0;
	struct maps maps;
	int error = maps_read(&space->process, &maps);

	if (error)
		return error;
	ranges = calloc(maps.count ? maps.count : 1, sizeof(*ranges));
	if (!ranges)
		error = -ENOMEM;
	for (size_t i = 0; !error && i < maps.count && count < UNWIND_RANGES_MAX; i++)
		if (mapping_has_code(&maps.entries[i]))
			error = range_fill(unwinder, space, &maps.entries[i], &ranges[count++]);
	for (size_t i = 0; i < maps.count; i++)
		pages += mapping_executable_pages(&maps.entries[i]);
	maps_free(&maps);
	if (error) {
		free(ranges);
		return error;
	}
	free(space->ranges);
	space->ranges = ranges;
	space->range_count = count;
	space->executable_pages = pages;
	return 0;
}

/* Tells the kernel side of the ranges, with the tables that there are by now. */
static int space_publish(struct unwinder *unwinder, struct space *space)
{
	struct shared_list *list = calloc(1, sizeof(*list));
	uint32_t i;
	int error;

	if (!list)
		return -ENOMEM;
	list->users = 1;

	for (i = 0; i < space->range_count; i++) {
		const struct module *module =
			modules_find(unwinder->modules, space->ranges[i].file);

		if (!module)
			continue;
		space->ranges[i].chunk = (uint16_t)module->place.chunk;
		space->ranges[i].block = module->place.block;
	}
	error = range_lists_take(unwinder->lists, space->ranges, space->range_count, &list->list);
	if (error) {
		free(list);
		return error;
	}
	error = unwind_maps_set_ranges(&unwinder->maps, (uint32_t)space->pid, list->list.place,
				       space->range_count, space->executable_pages);
	list_release(unwinder, error ? list : space->list);
	if (!error)
		space->list = list;
	return error;
}

/* The interpreter and the C library are in nearly every stack. */
static bool module_is_urgent(const struct module *module)
{
	const char *name = path_base_name(module->path);

	return !strncmp(name, "python", 6) || !strncmp(name, "libpython", 9) ||
	       !strncmp(name, "libc.", 5) || !strncmp(name, "libc-", 5) || !strncmp(name, "ld-", 3);
}

/* Tables that are to become a chunk. */
struct batch {
	struct unwind_block *blocks;
	uint32_t count;
	struct module **modules;
	uint32_t module_count;
};

static int batch_append(struct batch *batch, struct module *module,
			const struct unwind_table *table)
{
	size_t blocks = (size_t)batch->count + table->block_count;
	struct unwind_block *grown = realloc(batch->blocks, blocks * sizeof(*grown));
	struct module **more;

	if (!grown)
		return -ENOMEM;
	batch->blocks = grown;
	more = realloc(batch->modules, (batch->module_count + 1) * sizeof(struct module *));
	if (!more)
		return -ENOMEM;
	batch->modules = more;
	batch->modules[batch->module_count++] = module;
	memcpy(batch->blocks + batch->count, table->blocks,
	       table->block_count * sizeof(*table->blocks));
	module->place.block = batch->count;
	module->source_bytes = table->source_bytes;
	batch->count += table->block_count;
	return 0;
}

/* A file without call frame information gets a table that knows nothing. */
static int module_table(struct module *module, struct batch *batch)
{
	struct unwind_block none = {{0}};
	struct unwind_table nothing = {.blocks = &none, .block_count = 1};
	struct unwind_table table = {0};
	int error = unwind_table_make_file(&module->elf, &table);

	module->table_tried = true;
	if (error == -ENOMEM)
		return error;
	error = batch_append(batch, module, error || !table.block_count ? &nothing : &table);
	unwind_table_free(&table);
	return error;
}

/* Makes tables until the time is over: first of what is urgent, then in the order of numbers. */
static int batch_fill(struct unwinder *unwinder, struct batch *batch, int64_t deadline)
{
	uint32_t count = modules_count(unwinder->modules), i, pass;
	int error = 0;

	for (pass = 0; pass < 2; pass++) {
		for (i = unwinder->tabled + 1; i <= count && !error && clock_now_ms() < deadline;
		     i++) {
			struct module *module = modules_find(unwinder->modules, (uint16_t)i);

			if (!module->table_tried && (pass || module_is_urgent(module)))
				error = module_table(module, batch);
		}
	}
	for (; unwinder->tabled < count; unwinder->tabled++)
		if (!modules_find(unwinder->modules, (uint16_t)(unwinder->tabled + 1))->table_tried)
			break;
	return error;
}

/* Gives the batch to the kernel and notes where its tables are. */
static int batch_publish(struct unwinder *unwinder, const struct batch *batch)
{
	uint32_t number = unwinder->chunk_count + 1, i;
	struct space *space, *next;
	int error;

	if (!batch->count)
		return 0;
	if (number >= UNWIND_CHUNKS_MAX)
		return -E2BIG;
	error = unwind_maps_add_chunk(&unwinder->maps, number, batch->blocks, batch->count, NULL);
	if (error)
		return error;
	unwinder->chunk_count = number;
	for (i = 0; i < batch->module_count; i++) {
		batch->modules[i]->place.chunk = number;
		unwinder->costs.source_bytes += batch->modules[i]->source_bytes;
	}
	unwinder->costs.files += batch->module_count;
	unwinder->costs.table_bytes += batch->count * sizeof(*batch->blocks);
	HASH_ITER (hh, unwinder->spaces, space, next) {
		space->incomplete = true;
	}
	return 0;
}

/* Reads and publishes what has changed. Errors are of one process: the others go on. */
static bool spaces_refresh(struct unwinder *unwinder, int64_t deadline)
{
	struct space *space, *next;
	bool more = false;

	HASH_ITER (hh, unwinder->spaces, space, next) {
		if (!space->changed && !space->incomplete)
			continue;
		if (clock_now_ms() >= deadline) {
			more = true;
			continue;
		}
		if (space->changed)
			space_read(unwinder, space);
		space->changed = false;
		space->incomplete = false;
		if (space->range_count)
			space_publish(unwinder, space);
	}
	return more;
}

bool unwinder_pending(const struct unwinder *unwinder)
{
	return unwinder->work;
}

/* Makes some tables. Without memory or chunks for them stacks stay short, which is counted. */
static bool tables_make(struct unwinder *unwinder, int64_t deadline)
{
	struct batch batch = {0};
	int error = batch_fill(unwinder, &batch, deadline);
	bool more;

	if (!error)
		error = batch_publish(unwinder, &batch);
	if (error)
		unwinder->tabled = modules_count(unwinder->modules);
	more = batch.count || unwinder->tabled < modules_count(unwinder->modules);
	free(batch.blocks);
	free(batch.modules);
	return more;
}

bool unwinder_poll(struct unwinder *unwinder)
{
	int64_t deadline = clock_now_ms() + UNWINDER_SLICE_MS;
	bool more;

	if (!unwinder->work)
		return false;
	more = spaces_refresh(unwinder, deadline);
	unwinder->work = tables_make(unwinder, deadline) || more;
	if (!unwinder->work && !unwinder->costs.ready_ns)
		unwinder->costs.ready_ns = (uint64_t)clock_now_ms() * 1000000;
	return unwinder->work;
}

void unwinder_measure(const struct unwinder *unwinder, struct unwinder_costs *costs)
{
	*costs = unwinder->costs;
	costs->list_bytes = range_lists_bytes(unwinder->lists);
}
