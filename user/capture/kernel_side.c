/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns choosing, loading and attaching programs; see kernel_side.h. */
#include "capture/kernel_side.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "capture/rights.h"
#include "capture/syscalls.h"
#include "capture/tracepoint.h"

#define RING_BYTES      (2 << 20)
#define COMPLAINT_SIZE  512
#define NS_PER_SECOND   1000000000ULL
#define MESSAGE_PROGRAM "sample_message" /* that the two others of messages call */

/* One per row: the program of bpf/offcpu.bpf.c and the hook's name for a reader. Best first. */
struct wait_hook {
	const char *program;
	const char *name;
};

static const struct wait_hook wait_hooks[] = {
	{"return_sched_exit", "tp_btf/sched_exit_tp"},
	{"return_schedule", "fexit/schedule"},
	{"return_syscall", "tp_btf/sys_exit"},
};
#define WAIT_HOOK_COUNT (sizeof(wait_hooks) / sizeof(wait_hooks[0]))

/* What of struct session_options asks for a program. */
enum program_option { OPTION_MESSAGES, OPTION_MEMORY, OPTION_CGROUP };

/* Programs that are loaded where the kernel has their tracepoint, and if they are asked for. */
struct optional_program {
	const char *program;
	const char *tracepoint;
	enum program_option option;
};

static const struct optional_program optional_programs[] = {
	{"move_process", "cgroup_attach_task", OPTION_CGROUP},
	{"send_message", "sock_send_length", OPTION_MESSAGES}, /* from Linux 6.3 on */
	{"receive_message", "sock_recv_length", OPTION_MESSAGES},
	{MESSAGE_PROGRAM, "sock_send_length", OPTION_MESSAGES},
	{"grow_memory", "mm_page_alloc", OPTION_MEMORY},
};
#define OPTIONAL_COUNT (sizeof(optional_programs) / sizeof(optional_programs[0]))

/* Which of the objects of struct kernel_side loads a program. */
enum part { PART_EVENTS, PART_SAMPLERS, PART_CLOSING, PART_LOOKING };

/* How a program is attached: by hand is later, or once per CPU; to targets are probes. */
enum attachment { ATTACH_AT_ONCE, ATTACH_BY_HAND, ATTACH_TO_TARGETS };

struct program_role {
	const char *program;
	enum part part;
	enum attachment attachment;
};

/*
 * All others are of PART_EVENTS, and attached at once. PART_EVENTS and PART_SAMPLERS take the
 * verifier about as long.
 */
static const struct program_role program_roles[] = {
	{"enroll_threads", PART_EVENTS, ATTACH_BY_HAND},
	{"name_address", PART_EVENTS, ATTACH_BY_HAND},
	{"sample_cpu", PART_SAMPLERS, ATTACH_BY_HAND},
	{MESSAGE_PROGRAM, PART_SAMPLERS, ATTACH_BY_HAND},
	{"send_message", PART_SAMPLERS, ATTACH_AT_ONCE},
	{"receive_message", PART_SAMPLERS, ATTACH_AT_ONCE},
	{"grow_memory", PART_SAMPLERS, ATTACH_AT_ONCE},
	{"free_code", PART_SAMPLERS, ATTACH_TO_TARGETS},
	{"begin_collection", PART_SAMPLERS, ATTACH_TO_TARGETS},
	{"end_collection", PART_SAMPLERS, ATTACH_TO_TARGETS},
	{"enter_collector", PART_SAMPLERS, ATTACH_TO_TARGETS},
	{"leave_collector", PART_SAMPLERS, ATTACH_TO_TARGETS},
	{"close_threads", PART_CLOSING, ATTACH_BY_HAND},
	{"look_at_threads", PART_LOOKING, ATTACH_BY_HAND},
};
#define PROGRAM_ROLES (sizeof(program_roles) / sizeof(program_roles[0]))

/* The loading of one part, perhaps in a thread of its own. */
struct loading {
	enum part part;
	const struct session_options *options;
	const struct wait_hook *hook; /* of PART_EVENTS */
	const struct pyebpf_maps *maps;
	struct pyebpf *loaded; /* the result */
	char complaint[COMPLAINT_SIZE];
};

/* The last complaint of libbpf or the kernel, for the error's sentence. */
static _Thread_local char complaint[COMPLAINT_SIZE];

static __attribute__((format(printf, 2, 0))) int
complaint_keep(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(complaint, sizeof(complaint), format, arguments);
		complaint[strcspn(complaint, "\n")] = 0;
	}
	return 0;
}

const char *kernel_side_hook_at(size_t index)
{
	return index < WAIT_HOOK_COUNT ? wait_hooks[index].name : NULL;
}

static bool optional_wanted(const struct optional_program *program,
			    const struct session_options *options)
{
	switch (program->option) {
	case OPTION_MEMORY:
		return options->memory;
	case OPTION_CGROUP:
		return options->follow == FOLLOW_CGROUP;
	case OPTION_MESSAGES:
		return !options->untouched;
	}
	return false;
}

static const struct program_role *program_role(const char *name)
{
	static const struct program_role other = {NULL, PART_EVENTS, ATTACH_AT_ONCE};
	size_t i;

	for (i = 0; i < PROGRAM_ROLES; i++)
		if (!strcmp(name, program_roles[i].program))
			return &program_roles[i];
	return &other;
}

/* Which of optional_programs are to be loaded with this part: a bit each. */
static uint32_t optional_find(const struct loading *loading)
{
	const char *names[OPTIONAL_COUNT];
	uint32_t wanted = 0;
	size_t i;

	for (i = 0; i < OPTIONAL_COUNT; i++) {
		names[i] = optional_programs[i].tracepoint;
		if (program_role(optional_programs[i].program)->part == loading->part &&
		    optional_wanted(&optional_programs[i], loading->options))
			wanted |= 1U << i;
	}
	return wanted ? wanted & tracepoints_find(names, OPTIONAL_COUNT) : 0;
}

static bool program_wanted(const char *name, const struct loading *loading, uint32_t optional)
{
	const struct program_role *role = program_role(name);
	size_t i;

	if (role->part != loading->part ||
	    (loading->options->untouched && role->attachment == ATTACH_TO_TARGETS))
		return false;
	for (i = 0; i < OPTIONAL_COUNT; i++)
		if (!strcmp(name, optional_programs[i].program))
			return optional >> i & 1;
	return strncmp(name, "return_", strlen("return_")) != 0 ||
	       !strcmp(name, loading->hook->program);
}

static int programs_choose(struct pyebpf *object, const struct loading *loading)
{
	uint32_t optional = optional_find(loading);
	struct bpf_program *program;

	bpf_object__for_each_program(program, object->obj)
	{
		const char *name = bpf_program__name(program);
		bool wanted = program_wanted(name, loading, optional);
		int error = bpf_program__set_autoload(program, wanted);

		if (error)
			return error;
		bpf_program__set_autoattach(program,
					    program_role(name)->attachment == ATTACH_AT_ONCE);
	}
	return 0;
}

static int maps_configure(struct pyebpf_maps *object, const struct session_options *options)
{
	uint32_t processes = options->many ? PROCESSES_MANY : PROCESSES_FEW;
	int error = bpf_map__set_max_entries(object->maps.ring, RING_BYTES);

	if (!error)
		error = bpf_map__set_max_entries(object->maps.processes, processes);
	if (!error)
		error = bpf_map__set_max_entries(object->maps.address_spaces, processes);
	if (!error)
		error = bpf_map__set_max_entries(object->maps.collections, processes);
	if (error)
		return error;
	object->rodata->period_ns = NS_PER_SECOND / options->rate_hz;
	object->rodata->ring_bytes = RING_BYTES;
	object->rodata->native_stacks = options->native;
	object->rodata->follow_scope = options->follow;
	object->rodata->follow_cgroup = options->cgroup;
	object->rodata->follow_hierarchy = options->hierarchy;
	syscall_waits_fill((uint8_t *)object->rodata->syscall_waits);
	return 0;
}

/*
 * Makes the object use the maps that have been made. Both files have the same in the same order; by
 * name they cannot be told, since libbpf puts the object's before those of variables.
 */
static int maps_share(struct pyebpf *object, const struct pyebpf_maps *owner)
{
	struct bpf_map *other = bpf_object__next_map(owner->obj, NULL);
	struct bpf_map *map;

	bpf_object__for_each_map(map, object->obj)
	{
		int error = -EINVAL;

		if (other && bpf_map__type(map) == bpf_map__type(other) &&
		    bpf_map__value_size(map) == bpf_map__value_size(other))
			error = bpf_map__reuse_fd(map, bpf_map__fd(other));
		if (error)
			return error;
		other = bpf_object__next_map(owner->obj, other);
	}
	return 0;
}

/* Loads the part's programs. */
static int part_load(struct loading *loading)
{
	struct pyebpf *object = pyebpf__open();
	int error = object ? 0 : -errno;

	if (error)
		return error;
	error = programs_choose(object, loading);
	if (!error)
		error = maps_share(object, loading->maps);
	if (!error)
		error = pyebpf__load(object);
	if (error) {
		pyebpf__destroy(object);
		memcpy(loading->complaint, complaint, sizeof(complaint));
		return error;
	}
	loading->loaded = object;
	return 0;
}

/* The same as a thread, whose result is 0 or -errno. */
static void *part_load_beside(void *context)
{
	return (void *)(intptr_t)part_load(context);
}

/* Tells the programs that count messages which one takes the samples, if this kernel has them. */
static int message_sampler_set(const struct kernel_side *side)
{
	int descriptor = bpf_program__fd(side->samplers->progs.sample_message);
	__u32 key = 0;

	if (descriptor < 0)
		return 0;
	return bpf_map__update_elem(side->maps->maps.message_sampler, &key, sizeof(key),
				    &descriptor, sizeof(descriptor), BPF_ANY);
}

/* Tries the hooks in turn; whether one works is not told by anything but loading and attaching. */
static int events_open(struct kernel_side *side, struct loading *loading,
		       const struct wait_hook *hooks, size_t count)
{
	int error = -ENOTSUP;
	size_t i;

	for (i = 0; i < count; i++) {
		loading->hook = &hooks[i];
		error = part_load(loading);
		if (error)
			continue;
		side->events = loading->loaded;
		side->hook = hooks[i].name;
		error = pyebpf__attach(side->events);
		if (!error)
			return 0;
		memcpy(loading->complaint, complaint, sizeof(complaint));
		pyebpf__destroy(side->events);
		side->events = NULL;
	}
	return error;
}

static int samplers_attach(struct kernel_side *side, struct pyebpf *loaded)
{
	int error;

	side->samplers = loaded;
	error = message_sampler_set(side);
	return error ? error : pyebpf__attach(loaded);
}

/* Makes the maps. None of the object's programs is loaded. */
static int maps_open(struct kernel_side *side, const struct session_options *options)
{
	struct bpf_program *program;
	int error;

	side->maps = pyebpf_maps__open();
	if (!side->maps)
		return -errno;
	error = maps_configure(side->maps, options);
	bpf_object__for_each_program(program, side->maps->obj)
	{
		if (!error)
			error = bpf_program__set_autoload(program, false);
	}
	return error ? error : pyebpf_maps__load(side->maps);
}

/* Opens with one of these hooks. On failure the kernel's answer is in `complaint`. */
static int side_open(const struct session_options *options, struct kernel_side *side,
		     const struct wait_hook *hooks, size_t count)
{
	struct loading events = {.part = PART_EVENTS, .options = options};
	struct loading samplers = {.part = PART_SAMPLERS, .options = options};
	pthread_t thread;
	void *outcome;
	int error;

	libbpf_set_print(complaint_keep);
	error = maps_open(side, options);
	if (error)
		return error;
	events.maps = side->maps;
	samplers.maps = side->maps;
	error = pthread_create(&thread, NULL, part_load_beside, &samplers);
	if (error)
		return -error;
	error = events_open(side, &events, hooks, count);
	pthread_join(thread, &outcome);
	if (!outcome && !error)
		error = samplers_attach(side, samplers.loaded);
	else if (!outcome)
		pyebpf__destroy(samplers.loaded);
	if (error)
		memcpy(complaint, events.complaint, sizeof(complaint));
	else if (outcome)
		memcpy(complaint, samplers.complaint, sizeof(complaint));
	malloc_trim(0); /* the kernel's types took megabytes while loading */
	return error ? error : (int)(intptr_t)outcome;
}

int kernel_side_open(const struct session_options *options, struct kernel_side *side,
		     struct error *error)
{
	int result = side_open(options, side, wait_hooks, WAIT_HOOK_COUNT);

	if (!result)
		return 0;
	if (kernel_is_too_old())
		return error_set(error, -ENOTSUP, "this kernel is too old: " KERNEL_NEEDED);
	return error_set(error, result,
			 "the kernel refuses the BPF programs: %s (%s); `pyebpf "
			 "check` says which hooks it has",
			 complaint, strerror(-result));
}

/* Loads a part beside those that run already. */
static int part_load_late(const struct kernel_side *side, enum part part, struct pyebpf **object,
			  const char *what, struct error *error)
{
	const struct session_options none = {0};
	struct loading loading = {.part = part, .options = &none, .maps = side->maps};
	int result = part_load(&loading);

	if (result)
		return error_set(error, result, "the kernel refuses the program that %s: %s (%s)",
				 what, loading.complaint, strerror(-result));
	*object = loading.loaded;
	malloc_trim(0); /* see side_open() */
	return 0;
}

int kernel_side_load_closing(struct kernel_side *side, struct error *error)
{
	return part_load_late(side, PART_CLOSING, &side->closing, "ends a recording", error);
}

int kernel_side_load_looking(struct kernel_side *side, struct error *error)
{
	return part_load_late(side, PART_LOOKING, &side->looking, "looks at threads", error);
}

void kernel_side_detach(struct kernel_side *side)
{
	if (side->samplers)
		pyebpf__detach(side->samplers);
	if (side->events)
		pyebpf__detach(side->events);
}

void kernel_side_close(struct kernel_side *side)
{
	struct pyebpf *const objects[] = {side->looking, side->closing, side->samplers,
					  side->events};
	size_t i;

	for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		if (objects[i])
			pyebpf__destroy(objects[i]);
	if (side->maps)
		pyebpf_maps__destroy(side->maps);
	memset(side, 0, sizeof(*side));
}

static uint64_t recursion_count(const struct pyebpf *object)
{
	struct bpf_program *program;
	uint64_t count = 0;

	bpf_object__for_each_program(program, object->obj)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);
		int descriptor = bpf_program__fd(program);

		if (descriptor >= 0 && !bpf_obj_get_info_by_fd(descriptor, &info, &size))
			count += info.recursion_misses;
	}
	return count;
}

uint64_t kernel_side_recursion(const struct kernel_side *side)
{
	return recursion_count(side->events) + recursion_count(side->samplers);
}

int kernel_side_try_hook(const char *hook, struct error *error)
{
	const struct session_options options = {.rate_hz = 99};
	struct kernel_side side = {0};
	size_t i;
	int result;

	for (i = 0; i < WAIT_HOOK_COUNT; i++) {
		if (strcmp(wait_hooks[i].name, hook) != 0)
			continue;
		complaint[0] = 0;
		result = side_open(&options, &side, &wait_hooks[i], 1);
		kernel_side_close(&side);
		if (result)
			return error_set(error, result, "%s",
					 complaint[0] ? complaint : strerror(-result));
		return 0;
	}
	return error_set(error, -ENOENT, "no hook of this name");
}
