/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns loading, attaching and draining; see session.h. */
#include "capture/session.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/rights.h"
#include "capture/syscalls.h"
#include "capture/tracepoint.h"
#include "pyebpf.skel.h"
#include "record.h"
#include "symbol.h"

#define RING_BYTES      (2 << 20)
#define PROBES_MAX      1024
#define CLOSING_PROGRAM "close_threads"
#define LOOKING_PROGRAM "look_at_threads"
#define MESSAGE_PROGRAM "sample_message" /* that the two others of messages call */
#define NS_PER_SECOND   1000000000ULL

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

const char *session_wait_hook_at(size_t index)
{
	return index < WAIT_HOOK_COUNT ? wait_hooks[index].name : NULL;
}

struct session {
	struct session_options options;
	struct pyebpf *programs;
	struct pyebpf *closing; /* only close_threads, on the maps of the others */
	struct pyebpf *looking; /* only look_at_threads, the same */
	struct ring_buffer *ring;
	struct bpf_link **samplers; /* one per CPU */
	int cpu_count;
	struct bpf_link *probes[PROBES_MAX];
	uint32_t probe_count;
	size_t hook;        /* index into wait_hooks */
	uint64_t recursion; /* events lost to recursion, once detached */
};

/* The last complaint of libbpf or the kernel, for the error's sentence. */
static _Thread_local char complaint[512];

static __attribute__((format(printf, 2, 0))) int
complaint_keep(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(complaint, sizeof(complaint), format, arguments);
		complaint[strcspn(complaint, "\n")] = 0;
	}
	return 0;
}

/* Which of optional_programs have their tracepoint in this kernel: a bit each. */
static uint32_t optional_find(void)
{
	const char *names[OPTIONAL_COUNT];
	size_t i;

	for (i = 0; i < OPTIONAL_COUNT; i++)
		names[i] = optional_programs[i].tracepoint;
	return tracepoints_find(names, OPTIONAL_COUNT);
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

/* Programs that run at instructions of the targets. */
static bool program_is_probe(const char *name)
{
	return !strcmp(name, "free_code") || !strcmp(name, "begin_collection") ||
	       !strcmp(name, "end_collection") || !strcmp(name, "enter_collector") ||
	       !strcmp(name, "leave_collector");
}

static bool program_wanted(const struct bpf_program *program, const struct wait_hook *hook,
			   const struct session_options *options, uint32_t tracepoints)
{
	const char *name = bpf_program__name(program);
	size_t i;

	if (!strcmp(name, CLOSING_PROGRAM) || !strcmp(name, LOOKING_PROGRAM))
		return false;
	if (options->untouched && program_is_probe(name))
		return false;
	for (i = 0; i < OPTIONAL_COUNT; i++)
		if (!strcmp(name, optional_programs[i].program))
			return tracepoints >> i & 1 &&
			       optional_wanted(&optional_programs[i], options);
	return strncmp(name, "return_", strlen("return_")) != 0 || !strcmp(name, hook->program);
}

/* Programs that are attached by hand, later or once per CPU or process. */
static bool program_attached_later(const struct bpf_program *program)
{
	const char *name = bpf_program__name(program);

	return program_is_probe(name) || !strcmp(name, "sample_cpu") ||
	       !strcmp(name, MESSAGE_PROGRAM) || !strcmp(name, "enroll_threads") ||
	       !strcmp(name, "name_address");
}

static int maps_configure(struct pyebpf *programs, const struct session_options *options)
{
	uint32_t processes = options->many ? PROCESSES_MANY : PROCESSES_FEW;
	int error = bpf_map__set_max_entries(programs->maps.ring, RING_BYTES);

	if (!error)
		error = bpf_map__set_max_entries(programs->maps.processes, processes);
	if (!error)
		error = bpf_map__set_max_entries(programs->maps.address_spaces, processes);
	if (!error)
		error = bpf_map__set_max_entries(programs->maps.collections, processes);
	return error;
}

static int programs_configure(struct pyebpf *programs, const struct session_options *options,
			      const struct wait_hook *hook, uint32_t tracepoints)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, programs->obj)
	{
		bool wanted = program_wanted(program, hook, options, tracepoints);
		int error = bpf_program__set_autoload(program, wanted);

		if (error)
			return error;
		bpf_program__set_autoattach(program, !program_attached_later(program));
	}
	programs->rodata->period_ns = NS_PER_SECOND / options->rate_hz;
	programs->rodata->ring_bytes = RING_BYTES;
	programs->rodata->native_stacks = options->native;
	programs->rodata->follow_scope = options->follow;
	programs->rodata->follow_cgroup = options->cgroup;
	programs->rodata->follow_hierarchy = options->hierarchy;
	syscall_waits_fill((uint8_t *)programs->rodata->syscall_waits);
	return maps_configure(programs, options);
}

/* Tells the programs that count messages which one takes the samples, if this kernel has them. */
static int message_sampler_set(const struct pyebpf *programs)
{
	int descriptor = bpf_program__fd(programs->progs.sample_message);
	__u32 key = 0;

	if (descriptor < 0)
		return 0;
	return bpf_map__update_elem(programs->maps.message_sampler, &key, sizeof(key), &descriptor,
				    sizeof(descriptor), BPF_ANY);
}

/* Loads and attaches with this hook; on failure nothing stays. */
static int programs_open(const struct session_options *options, const struct wait_hook *hook,
			 uint32_t tracepoints, struct pyebpf **programs)
{
	struct pyebpf *opened = pyebpf__open();
	int error;

	if (!opened)
		return -errno;
	error = programs_configure(opened, options, hook, tracepoints);
	if (!error)
		error = pyebpf__load(opened);
	if (!error)
		error = message_sampler_set(opened);
	if (!error)
		error = pyebpf__attach(opened);
	if (error) {
		pyebpf__destroy(opened);
		return error;
	}
	*programs = opened;
	malloc_trim(0); /* the kernel's types took megabytes while loading */
	return 0;
}

/* Makes the object use the maps that another one has made. */
static int maps_share(struct pyebpf *programs, const struct pyebpf *owner)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, programs->obj)
	{
		struct bpf_map *other =
			bpf_object__find_map_by_name(owner->obj, bpf_map__name(map));
		int error = other ? bpf_map__reuse_fd(map, bpf_map__fd(other)) : -ENOENT;

		if (error)
			return error;
	}
	return 0;
}

/*
 * Loads a program that is not needed for the first sample, and takes the verifier longest, so that
 * it is not loaded with the others.
 */
static int program_open_late(const struct session *session, const char *name,
			     struct pyebpf **programs)
{
	struct pyebpf *opened = pyebpf__open();
	struct bpf_program *program;
	int error = opened ? 0 : -errno;

	if (error)
		return error;
	bpf_object__for_each_program(program, opened->obj)
	{
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
	}
	error = maps_share(opened, session->programs);
	if (!error)
		error = pyebpf__load(opened);
	if (error) {
		pyebpf__destroy(opened);
		return error;
	}
	*programs = opened;
	malloc_trim(0); /* see programs_open() */
	return 0;
}

/* Tries the hooks in turn; whether one works is not told by anything but loading and attaching. */
static int programs_open_best(struct session *session, struct error *error)
{
	uint32_t tracepoints = optional_find();
	int result = -ENOTSUP;

	for (session->hook = 0; session->hook < WAIT_HOOK_COUNT; session->hook++) {
		result = programs_open(&session->options, &wait_hooks[session->hook], tracepoints,
				       &session->programs);
		if (!result)
			return 0;
	}
	if (kernel_is_too_old())
		return error_set(error, -ENOTSUP, "this kernel is too old: " KERNEL_NEEDED);
	return error_set(error, result,
			 "the kernel refuses the BPF programs: %s (%s); `pyebpf "
			 "check` says which hooks it has",
			 complaint, strerror(-result));
}

static int handle_record(void *context, void *data, size_t bytes)
{
	struct session *session = context;

	session->options.handler(session->options.context, data, bytes);
	return 0;
}

int session_open(const struct session_options *options, struct session **session,
		 struct error *error)
{
	struct session *opened = calloc(1, sizeof(*opened));
	int result;

	if (!opened)
		return error_set(error, -ENOMEM, "no memory");
	libbpf_set_print(complaint_keep);
	opened->options = *options;
	result = programs_open_best(opened, error);
	if (result)
		goto fail;
	opened->ring = ring_buffer__new(bpf_map__fd(opened->programs->maps.ring), handle_record,
					opened, NULL);
	if (!opened->ring) {
		result =
			error_set(error, -errno, "cannot map the ring buffer: %s", strerror(errno));
		goto fail;
	}
	*session = opened;
	return 0;
fail:
	session_close(opened);
	return result;
}

static void session_detach(struct session *session)
{
	uint32_t i;

	for (i = 0; session->samplers && i < (uint32_t)session->cpu_count; i++) {
		bpf_link__destroy(session->samplers[i]);
		session->samplers[i] = NULL;
	}
	for (i = 0; i < session->probe_count; i++)
		bpf_link__destroy(session->probes[i]);
	session->probe_count = 0;
	if (session->programs)
		pyebpf__detach(session->programs);
}

void session_close(struct session *session)
{
	if (!session)
		return;
	session_detach(session);
	ring_buffer__free(session->ring);
	if (session->closing)
		pyebpf__destroy(session->closing);
	if (session->looking)
		pyebpf__destroy(session->looking);
	if (session->programs)
		pyebpf__destroy(session->programs);
	free(session->samplers);
	free(session);
}

int session_set_process(struct session *session, uint32_t pid, const struct process_config *config)
{
	return bpf_map__update_elem(session->programs->maps.processes, &pid, sizeof(pid), config,
				    sizeof(*config), BPF_ANY);
}

void session_forget_process(struct session *session, uint32_t pid, uint32_t index)
{
	struct process_config known;

	if (!session_get_process(session, pid, &known) && known.index == index)
		bpf_map__delete_elem(session->programs->maps.processes, &pid, sizeof(pid), 0);
}

void session_pass_process(struct session *session, uint32_t pid, uint32_t index)
{
	struct process_config config = {.flags = PROCESS_FOLLOW}, known;
	bool is_known = !session_get_process(session, pid, &known);

	if (is_known && known.index != index)
		return;
	if (is_known)
		config.flags = known.flags;
	config.flags |= PROCESS_PASSED_OVER;
	bpf_map__update_elem(session->programs->maps.processes, &pid, sizeof(pid), &config,
			     sizeof(config), is_known ? BPF_EXIST : BPF_NOEXIST);
}

int session_get_process(const struct session *session, uint32_t pid, struct process_config *config)
{
	return bpf_map__lookup_elem(session->programs->maps.processes, &pid, sizeof(pid), config,
				    sizeof(*config), 0);
}

int session_set_program(struct session *session, const struct program_key *key,
			const struct program_config *program)
{
	return bpf_map__update_elem(session->programs->maps.programs, key, sizeof(*key), program,
				    sizeof(*program), BPF_ANY);
}

int session_probe_free(struct session *session, pid_t pid, const char *file, uint64_t offset)
{
	struct bpf_link *link;

	if (session->options.untouched)
		return -EPERM;
	if (session->probe_count == PROBES_MAX)
		return -E2BIG;
	link = bpf_program__attach_uprobe(session->programs->progs.free_code, false, pid, file,
					  offset);
	if (!link)
		return -errno;
	session->probes[session->probe_count++] = link;
	return 0;
}

static int probe_add(struct session *session, struct bpf_link *link)
{
	if (!link)
		return -errno;
	session->probes[session->probe_count++] = link;
	return 0;
}

int session_probe_gc(struct session *session, pid_t pid, const char *file)
{
	int error;

	if (session->options.untouched)
		return -EPERM;
	if (session->probe_count + 2 > PROBES_MAX)
		return -E2BIG;
	/* The end first: a collection whose end is not seen would never end. */
	error = probe_add(session, bpf_program__attach_usdt(session->programs->progs.end_collection,
							    pid, file, "python", "gc__done", NULL));
	if (error)
		return error;
	return probe_add(session,
			 bpf_program__attach_usdt(session->programs->progs.begin_collection, pid,
						  file, "python", "gc__start", NULL));
}

int session_probe_collector(struct session *session, pid_t pid, const char *file, uint64_t offset)
{
	int error;

	if (session->options.untouched)
		return -EPERM;
	if (session->probe_count + 2 > PROBES_MAX)
		return -E2BIG;
	error = probe_add(session,
			  bpf_program__attach_uprobe(session->programs->progs.leave_collector, true,
						     pid, file, offset));
	if (error)
		return error;
	return probe_add(session,
			 bpf_program__attach_uprobe(session->programs->progs.enter_collector, false,
						    pid, file, offset));
}

int session_begin_gc(struct session *session, uint32_t pid)
{
	const struct collections none = {0};

	return bpf_map__update_elem(session->programs->maps.collections, &pid, sizeof(pid), &none,
				    sizeof(none), BPF_ANY);
}

int session_end_gc(const struct session *session, uint32_t pid, struct collections *counts)
{
	return bpf_map__lookup_and_delete_elem(session->programs->maps.collections, &pid,
					       sizeof(pid), counts, sizeof(*counts), 0);
}

int session_write_blocks(int descriptor, uint32_t first, const struct unwind_block *blocks,
			 uint32_t count)
{
	uint32_t *indices = calloc(count ? count : 1, sizeof(*indices));
	uint32_t done = count, i;
	int error = 0;

	if (!indices)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		indices[i] = first + i;
	if (count && bpf_map_update_batch(descriptor, indices, blocks, &done, NULL))
		error = -errno;
	free(indices);
	return error;
}

int session_add_chunk(struct session *session, uint32_t number, const struct unwind_block *blocks,
		      uint32_t count, int *descriptor)
{
	const struct bpf_map_create_opts options = {.sz = sizeof(options),
						    .map_flags = BPF_F_INNER_MAP};
	int chunk = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_chunk", sizeof(uint32_t),
				   sizeof(*blocks), count, &options);
	int error;

	if (chunk < 0)
		return chunk;
	error = blocks ? session_write_blocks(chunk, 0, blocks, count) : 0;
	if (!error)
		error = bpf_map__update_elem(session->programs->maps.unwind_chunks, &number,
					     sizeof(number), &chunk, sizeof(chunk), BPF_ANY);
	if (error || !descriptor)
		close(chunk);
	else
		*descriptor = chunk;
	return error;
}

int session_set_ranges(struct session *session, uint32_t pid, struct unwind_place place,
		       uint32_t count, uint64_t executable_pages)
{
	const struct bpf_map *map = session->programs->maps.address_spaces;
	struct address_space space = {0};

	if (bpf_map__lookup_elem(map, &pid, sizeof(pid), &space, sizeof(space), 0))
		memset(&space, 0, sizeof(space));
	space.ranges = place;
	space.range_count = count;
	space.executable_pages = executable_pages;
	return bpf_map__update_elem(map, &pid, sizeof(pid), &space, sizeof(space), BPF_ANY);
}

int session_get_ranges(const struct session *session, uint32_t pid, struct unwind_place *place)
{
	struct address_space space;
	int error = bpf_map__lookup_elem(session->programs->maps.address_spaces, &pid, sizeof(pid),
					 &space, sizeof(space), 0);

	if (!error)
		*place = space.ranges;
	return error;
}

/* Runs an iterator over all threads, and hands what it writes, thread records, to the handler. */
static int iterator_run(struct session *session, struct bpf_program *program)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	struct thread_record records[8];
	char *bytes = (char *)records;
	size_t have = 0, used;
	ssize_t count;
	int descriptor, error = 0;

	if (!link)
		return -errno;
	descriptor = bpf_iter_create(bpf_link__fd(link));
	if (descriptor < 0) {
		error = descriptor;
		goto out;
	}
	while ((count = read(descriptor, bytes + have, sizeof(records) - have)) > 0) {
		have += count;
		for (used = 0; have - used >= sizeof(records[0]); used += sizeof(records[0]))
			session->options.handler(session->options.context, bytes + used,
						 sizeof(records[0]));
		memmove(bytes, bytes + used, have - used);
		have -= used;
		session_consume(session); /* thousands of threads' stacks would fill the ring */
	}
	if (count < 0)
		error = -errno;
	close(descriptor);
out:
	bpf_link__destroy(link);
	return error;
}

int session_enroll(struct session *session, struct error *error)
{
	int result = iterator_run(session, session->programs->progs.enroll_threads);

	if (result)
		error_set(error, result, "cannot go through the threads: %s", strerror(-result));
	return result;
}

/* A clock on one CPU that ticks at the sampling rate while the CPU is not idle. */
static int sampler_open(uint32_t rate_hz, int cpu)
{
	struct perf_event_attr attribute = {.type = PERF_TYPE_SOFTWARE,
					    .size = sizeof(attribute),
					    .config = PERF_COUNT_SW_CPU_CLOCK,
					    .sample_period = NS_PER_SECOND / rate_hz,
					    .exclude_idle = 1};

	return syscall(SYS_perf_event_open, &attribute, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

int session_start(struct session *session, struct error *error)
{
	int cpu, count = libbpf_num_possible_cpus();

	if (count < 0)
		return error_set(error, count, "cannot count the CPUs: %s", strerror(-count));
	session->samplers = calloc(count, sizeof(*session->samplers));
	if (!session->samplers)
		return error_set(error, -ENOMEM, "no memory");
	session->programs->bss->following = 1;
	session->cpu_count = count;
	for (cpu = 0; cpu < count; cpu++) {
		int descriptor = sampler_open(session->options.rate_hz, cpu);

		if (descriptor < 0 && errno == ENODEV) /* possible, but not online */
			continue;
		if (descriptor < 0)
			return error_set(error, -errno, "cannot sample CPU %d: %s", cpu,
					 strerror(errno));
		session->samplers[cpu] = bpf_program__attach_perf_event(
			session->programs->progs.sample_cpu, descriptor);
		if (!session->samplers[cpu]) {
			int result = -errno;

			close(descriptor);
			return error_set(error, result, "cannot sample CPU %d: %s", cpu,
					 strerror(-result));
		}
	}
	return 0;
}

int session_prepare_finish(struct session *session, struct error *error)
{
	int result = program_open_late(session, CLOSING_PROGRAM, &session->closing);

	if (result)
		error_set(error, result,
			  "the kernel refuses the program that ends a recording: %s (%s)",
			  complaint, strerror(-result));
	return result;
}

int session_prepare_look(struct session *session, struct error *error)
{
	int result = program_open_late(session, LOOKING_PROGRAM, &session->looking);

	if (result)
		error_set(error, result,
			  "the kernel refuses the program that looks at threads: %s (%s)",
			  complaint, strerror(-result));
	return result;
}

int session_look(struct session *session)
{
	int error = iterator_run(session, session->looking->progs.look_at_threads);

	session_consume(session);
	return error;
}

int session_consume(struct session *session)
{
	return ring_buffer__consume(session->ring);
}

int session_descriptor(const struct session *session)
{
	return ring_buffer__epoll_fd(session->ring);
}

int session_name_address(void *context, uint64_t address, char *name, size_t size)
{
	struct session *session = context;
	struct symbol_query query = {.address = address};
	struct bpf_test_run_opts options = {
		.sz = sizeof(options), .ctx_in = &query, .ctx_size_in = sizeof(query)};
	int error = bpf_prog_test_run_opts(bpf_program__fd(session->programs->progs.name_address),
					   &options);

	if (error)
		return error;
	if (options.retval)
		return -EINVAL;
	query.name[sizeof(query.name) - 1] = 0;
	snprintf(name, size, "%s", query.name);
	return 0;
}

/* Events that the kernel did not deliver since the same program was running on that CPU. */
static uint64_t recursion_count(const struct session *session)
{
	struct bpf_program *program;
	uint64_t count = 0;

	bpf_object__for_each_program(program, session->programs->obj)
	{
		struct bpf_prog_info info = {0};
		__u32 size = sizeof(info);
		int descriptor = bpf_program__fd(program);

		if (descriptor >= 0 && !bpf_obj_get_info_by_fd(descriptor, &info, &size))
			count += info.recursion_misses;
	}
	return count;
}

int session_finish(struct session *session, struct error *error)
{
	int result = iterator_run(session, session->closing->progs.close_threads);

	session->recursion = recursion_count(session);
	session_detach(session);
	session_consume(session);
	if (result)
		error_set(error, result, "cannot close the threads' ledgers: %s",
			  strerror(-result));
	return result;
}

void session_count_losses(const struct session *session, uint64_t lost[LOSS_COUNT])
{
	int cpu, count = libbpf_num_possible_cpus();
	uint64_t *values = calloc(count > 0 ? count : 1, sizeof(*values));
	uint32_t reason;

	if (!values)
		return;
	for (reason = 0; reason < LOSS_COUNT; reason++)
		if (!bpf_map__lookup_elem(session->programs->maps.losses, &reason, sizeof(reason),
					  values, count * sizeof(*values), 0))
			for (cpu = 0; cpu < count; cpu++)
				lost[reason] += values[cpu];
	free(values);
	lost[LOSS_RECURSION] += session->recursion;
}

const char *session_wait_hook(const struct session *session)
{
	return wait_hooks[session->hook].name;
}

int session_try_hook(const char *hook, struct error *error)
{
	struct session_options options = {.rate_hz = 99};
	struct pyebpf *programs;
	size_t i;
	int result;

	libbpf_set_print(complaint_keep);
	for (i = 0; i < WAIT_HOOK_COUNT; i++) {
		if (strcmp(wait_hooks[i].name, hook) != 0)
			continue;
		complaint[0] = 0;
		result = programs_open(&options, &wait_hooks[i], optional_find(), &programs);
		if (result)
			return error_set(error, result, "%s",
					 complaint[0] ? complaint : strerror(-result));
		pyebpf__destroy(programs);
		return 0;
	}
	return error_set(error, -ENOENT, "no hook of this name");
}
