/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns what is told to the kernel side and read from it; see session.h. */
#include "capture/session.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/kernel_side.h"
#include "record.h"
#include "symbol.h"

#define PROBES_MAX    1024
#define NS_PER_SECOND 1000000000ULL

struct session {
	struct session_options options;
	struct kernel_side side;
	struct ring_buffer *ring;
	struct bpf_link **samplers; /* one per CPU */
	int cpu_count;
	struct bpf_link *probes[PROBES_MAX];
	uint32_t probe_count;
	uint64_t recursion; /* events lost to recursion, once detached */
};

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
	opened->options = *options;
	result = kernel_side_open(options, &opened->side, error);
	if (result)
		goto fail;
	opened->ring = ring_buffer__new(bpf_map__fd(opened->side.maps->maps.ring), handle_record,
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
	kernel_side_detach(&session->side);
}

void session_close(struct session *session)
{
	if (!session)
		return;
	session_detach(session);
	ring_buffer__free(session->ring);
	kernel_side_close(&session->side);
	free(session->samplers);
	free(session);
}

int session_set_process(struct session *session, uint32_t pid, const struct process_config *config)
{
	return bpf_map__update_elem(session->side.maps->maps.processes, &pid, sizeof(pid), config,
				    sizeof(*config), BPF_ANY);
}

void session_forget_process(struct session *session, uint32_t pid, uint32_t index)
{
	struct process_config known;

	if (!session_get_process(session, pid, &known) && known.index == index)
		bpf_map__delete_elem(session->side.maps->maps.processes, &pid, sizeof(pid), 0);
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
	bpf_map__update_elem(session->side.maps->maps.processes, &pid, sizeof(pid), &config,
			     sizeof(config), is_known ? BPF_EXIST : BPF_NOEXIST);
}

int session_get_process(const struct session *session, uint32_t pid, struct process_config *config)
{
	return bpf_map__lookup_elem(session->side.maps->maps.processes, &pid, sizeof(pid), config,
				    sizeof(*config), 0);
}

int session_set_program(struct session *session, const struct program_key *key,
			const struct program_config *program)
{
	return bpf_map__update_elem(session->side.maps->maps.programs, key, sizeof(*key), program,
				    sizeof(*program), BPF_ANY);
}

int session_probe_free(struct session *session, pid_t pid, const char *file, uint64_t offset)
{
	struct bpf_link *link;

	if (session->options.untouched)
		return -EPERM;
	if (session->probe_count == PROBES_MAX)
		return -E2BIG;
	link = bpf_program__attach_uprobe(session->side.samplers->progs.free_code, false, pid, file,
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
	error = probe_add(session,
			  bpf_program__attach_usdt(session->side.samplers->progs.end_collection,
						   pid, file, "python", "gc__done", NULL));
	if (error)
		return error;
	return probe_add(session,
			 bpf_program__attach_usdt(session->side.samplers->progs.begin_collection,
						  pid, file, "python", "gc__start", NULL));
}

int session_probe_collector(struct session *session, pid_t pid, const char *file, uint64_t offset)
{
	int error;

	if (session->options.untouched)
		return -EPERM;
	if (session->probe_count + 2 > PROBES_MAX)
		return -E2BIG;
	error = probe_add(session,
			  bpf_program__attach_uprobe(session->side.samplers->progs.leave_collector,
						     true, pid, file, offset));
	if (error)
		return error;
	return probe_add(session,
			 bpf_program__attach_uprobe(session->side.samplers->progs.enter_collector,
						    false, pid, file, offset));
}

int session_begin_gc(struct session *session, uint32_t pid)
{
	const struct collections none = {0};

	return bpf_map__update_elem(session->side.maps->maps.collections, &pid, sizeof(pid), &none,
				    sizeof(none), BPF_ANY);
}

int session_end_gc(const struct session *session, uint32_t pid, struct collections *counts)
{
	return bpf_map__lookup_and_delete_elem(session->side.maps->maps.collections, &pid,
					       sizeof(pid), counts, sizeof(*counts), 0);
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
	int result = iterator_run(session, session->side.events->progs.enroll_threads);

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
	session->side.maps->bss->following = 1;
	session->cpu_count = count;
	for (cpu = 0; cpu < count; cpu++) {
		int descriptor = sampler_open(session->options.rate_hz, cpu);

		if (descriptor < 0 && errno == ENODEV) /* possible, but not online */
			continue;
		if (descriptor < 0)
			return error_set(error, -errno, "cannot sample CPU %d: %s", cpu,
					 strerror(errno));
		session->samplers[cpu] = bpf_program__attach_perf_event(
			session->side.samplers->progs.sample_cpu, descriptor);
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
	return kernel_side_load_closing(&session->side, error);
}

int session_prepare_look(struct session *session, struct error *error)
{
	return kernel_side_load_looking(&session->side, error);
}

void session_keep_looks(struct session *session, uint64_t from_ns)
{
	session->side.maps->bss->looks_kept_from_ns = from_ns;
}

int session_look(struct session *session)
{
	int error = iterator_run(session, session->side.looking->progs.look_at_threads);

	session_consume(session);
	return error;
}

struct unwind_maps session_unwind_maps(const struct session *session)
{
	return (struct unwind_maps){.chunks = session->side.maps->maps.unwind_chunks,
				    .address_spaces = session->side.maps->maps.address_spaces};
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
	int error = bpf_prog_test_run_opts(
		bpf_program__fd(session->side.events->progs.name_address), &options);

	if (error)
		return error;
	if (options.retval)
		return -EINVAL;
	query.name[sizeof(query.name) - 1] = 0;
	snprintf(name, size, "%s", query.name);
	return 0;
}

int session_finish(struct session *session, struct error *error)
{
	int result = iterator_run(session, session->side.closing->progs.close_threads);

	session->recursion = kernel_side_recursion(&session->side);
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
		if (!bpf_map__lookup_elem(session->side.maps->maps.losses, &reason, sizeof(reason),
					  values, count * sizeof(*values), 0))
			for (cpu = 0; cpu < count; cpu++)
				lost[reason] += values[cpu];
	free(values);
	lost[LOSS_RECURSION] += session->recursion;
}

const char *session_wait_hook(const struct session *session)
{
	return session->side.hook;
}
