/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns finding and remembering the places of native frames; see native_names.h. */
#include "capture/native_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "clock.h"
#include "native/perf_map.h"
#include "path.h"
#include "python/glue.h"

#define UNMAPPED       "[code that is not mapped]"
#define MAP_REFRESH_MS 1000 /* a process appends to its map as it generates code */
#define MAP_BYTES_MAX  (128U << 20)
#define NAME_SIZE      512 /* of `module+0x1234` */

struct place_key {
	uint64_t frame;
	uint64_t program; /* of addresses that belong to what a process runs, see below; else 0 */
};

struct known_place {
	struct place_key key;
	struct native_place place;
	UT_hash_handle hh;
};

/*
 * A process that may generate code. Its number is another one after an exec, and for another
 * process that gets its PID: what lay at an address says nothing of what lies there now.
 */
struct generator {
	uint32_t pid;
	uint32_t number;
	struct process process;
	struct perf_map *map;
	int64_t read_ms; /* CLOCK_MONOTONIC of the last attempt; 0: none */
	UT_hash_handle hh;
};

struct native_names {
	struct profile *profile;
	const struct modules *modules;
	const struct unwinder *unwinder;
	bool lines;
	struct known_place *places;
	struct generator *generators;
	uint32_t programs; /* numbers given to generators */
	size_t map_bytes;  /* of all maps */
};

struct native_names *native_names_new(struct profile *profile, const struct modules *modules,
				      const struct unwinder *unwinder, bool lines)
{
	struct native_names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	names->profile = profile;
	names->modules = modules;
	names->unwinder = unwinder;
	names->lines = lines;
	return names;
}

void native_names_free(struct native_names *names)
{
	struct known_place *place, *next_place;
	struct generator *generator, *next;

	if (!names)
		return;
	HASH_ITER (hh, names->places, place, next_place) {
		HASH_DEL(names->places, place);
		free(place);
	}
	HASH_ITER (hh, names->generators, generator, next) {
		HASH_DEL(names->generators, generator);
		perf_map_free(generator->map);
		free(generator);
	}
	free(names);
}

static void generator_forget(struct native_names *names, struct generator *generator)
{
	if (generator->map)
		names->map_bytes -= perf_map_bytes(generator->map);
	perf_map_free(generator->map);
	generator->map = NULL;
	generator->read_ms = 0;
}

int native_names_add_process(struct native_names *names, const struct process *process)
{
	uint32_t pid = (uint32_t)process->pid;
	struct generator *generator;

	HASH_FIND(hh, names->generators, &pid, sizeof(pid), generator);
	if (!generator) {
		generator = calloc(1, sizeof(*generator));
		if (!generator)
			return -ENOMEM;
		generator->pid = pid;
		HASH_ADD(hh, names->generators, pid, sizeof(generator->pid), generator);
	}
	generator->process = *process;
	generator->process.pidfd = -1; /* that is its owner's */
	generator->number = ++names->programs;
	generator_forget(names, generator);
	return 0;
}

static struct generator *generator_find(const struct native_names *names, uint32_t pid)
{
	struct generator *generator;

	HASH_FIND(hh, names->generators, &pid, sizeof(pid), generator);
	return generator;
}

/* Maps can be large, and processes many: then each is read again when it is needed. */
static void generator_keep(struct native_names *names, struct generator *generator,
			   struct perf_map *map)
{
	struct generator *other, *next;
	size_t bytes = perf_map_bytes(map);

	generator_forget(names, generator);
	if (names->map_bytes + bytes > MAP_BYTES_MAX) {
		HASH_ITER (hh, names->generators, other, next) {
			generator_forget(names, other);
		}
	}
	generator->map = map;
	generator->read_ms = clock_now_ms();
	names->map_bytes += bytes;
}

/* The name that a process gives to generated code; NULL: none (yet). */
static const char *generated_name(struct native_names *names, uint32_t pid, uint64_t address,
				  uint64_t *start)
{
	struct generator *generator = generator_find(names, pid);
	const char *name = NULL;
	struct perf_map *map;

	if (!generator)
		return NULL;
	if (generator->map)
		name = perf_map_find(generator->map, address, start);
	if (name || (generator->read_ms && clock_now_ms() - generator->read_ms < MAP_REFRESH_MS))
		return name;
	generator->read_ms = clock_now_ms();
	if (perf_map_read(&generator->process, &map))
		return NULL;
	/* Of a process that has ended, its PID can lead to another's. */
	if (generator->process.start_ticks && !process_alive(&generator->process)) {
		perf_map_free(map);
		return NULL;
	}
	generator_keep(names, generator, map);
	return perf_map_find(map, address, start);
}

/* Makes the location of a function at an address. 0 or -ENOMEM. */
static int place_locate(struct native_names *names, const char *name, const char *file,
			const struct profile_function *like, const struct profile_location *at,
			struct native_place *place)
{
	struct profile_function function = *like;
	struct profile_location location = *at;
	int error = profile_string(names->profile, name, &function.name);

	function.kind = KIND_NATIVE;
	if (!error)
		error = profile_string(names->profile, file, &function.filename);
	if (!error)
		error = profile_function(names->profile, &function, &location.function);
	if (!error)
		error = profile_location(names->profile, &location, &place->location);
	place->loop = place->named && name_is_interpreter_loop(name);
	place->glue = place->named && name_is_call_glue(name);
	return error;
}

/*
 * Code in no file. Without a name it is remembered as such only as long as the process names it
 * not. What is not even mapped was a library that has just gone, or no code at all.
 */
static int generated_place(struct native_names *names, uint32_t pid, uint64_t address, bool mapped,
			   struct native_place *place)
{
	static const struct profile_function function;
	static const struct profile_location location;
	uint64_t start;
	const char *name = mapped ? generated_name(names, pid, address, &start) : UNMAPPED;

	place->named = mapped && name;
	return place_locate(names, name ? name : PROFILE_GENERATED, "", &function, &location,
			    place);
}

static int module_place_fill(struct native_names *names, struct module *module, uint64_t address,
			     struct native_place *place)
{
	struct profile_function function = {.kind = KIND_NATIVE};
	struct profile_location location = {.address = address};
	struct module_place found;
	char unnamed[NAME_SIZE];
	uint32_t path, build_id;
	int error = module_name(module, address, names->lines, &found);

	if (!error)
		error = profile_string(names->profile, module->path, &path);
	if (!error)
		error = profile_string(names->profile, module->build_id, &build_id);
	if (!error)
		error = profile_module(names->profile, path, build_id, &function.module);
	if (error)
		return error;
	snprintf(unnamed, sizeof(unnamed), "%.400s+0x%" PRIx64, path_base_name(module->path),
		 found.start);
	location.line = found.source ? found.line : 0;
	place->file = module->number;
	place->named = found.name != NULL;
	return place_locate(names, found.name ? found.name : unnamed,
			    found.source ? found.source : module->path, &function, &location,
			    place);
}

static int place_fill(struct native_names *names, uint32_t pid, uint64_t frame,
		      struct native_place *place)
{
	uint16_t file = frame >> NATIVE_ADDRESS_BITS & NATIVE_FILE_MASK;
	uint64_t address = frame & NATIVE_ADDRESS_MASK;
	const struct unwind_range *range = NULL;
	struct module *module;

	/* What was mapped a moment ago may be known only now. */
	if (!file)
		range = unwinder_find(names->unwinder, (pid_t)pid, address);
	if (range && range->file) {
		file = range->file;
		address -= range->bias;
	}
	module = modules_find(names->modules, file);
	if (module)
		return module_place_fill(names, module, address, place);
	return generated_place(names, pid, address, range != NULL, place);
}

int native_names_find(struct native_names *names, uint32_t pid, uint64_t frame,
		      const struct native_place **place)
{
	struct place_key key = {.frame = frame & ~NATIVE_INTERPRETER};
	const struct generator *generator;
	struct known_place *known;
	int error;

	if (!(frame >> NATIVE_ADDRESS_BITS & NATIVE_FILE_MASK)) {
		generator = generator_find(names, pid);
		key.program = pid | (uint64_t)(generator ? generator->number : 0) << 32;
	}
	HASH_FIND(hh, names->places, &key, sizeof(key), known);
	if (!known) {
		known = calloc(1, sizeof(*known));
		if (!known)
			return -ENOMEM;
		known->key = key;
		error = place_fill(names, pid, key.frame, &known->place);
		if (error) {
			free(known);
			return error;
		}
		HASH_ADD(hh, names->places, key, sizeof(known->key), known);
	} else if (key.program && !known->place.named) {
		error = place_fill(names, pid, key.frame, &known->place);
		if (error)
			return error;
	}
	*place = &known->place;
	return 0;
}
