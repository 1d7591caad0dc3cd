/* SPDX-License-Identifier: BSD-2-Clause */
#include "run.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/syscalls.h"

static int record_add(void *context, void *data, size_t bytes)
{
	struct run *run = context;
	struct record **grown = realloc(run->records, (run->count + 1) * sizeof(*grown));
	struct record *copy = malloc(bytes);

	assert_non_null(grown);
	assert_non_null(copy);
	memcpy(copy, data, bytes);
	assert_true(bytes >= sizeof(*copy));
	assert_int_equal(copy->size, bytes);
	run->records = grown;
	run->records[run->count++] = copy;
	return 0;
}

static void thread_pin(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

struct run *run_open(enum viewpoint viewpoint, uint32_t ring_bytes)
{
	struct run *run = calloc(1, sizeof(*run));
	int error;

	assert_non_null(run);
	thread_pin();
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	run->viewpoint = viewpoint;
	run->programs = mechanisms__open();
	assert_non_null(run->programs);
	run->programs->rodata->period_ns = PERIOD_NS;
	run->programs->rodata->ring_bytes = ring_bytes;
	syscall_waits_fill((uint8_t *)run->programs->rodata->syscall_waits);
	assert_int_equal(bpf_map__set_max_entries(run->programs->maps.ring, ring_bytes), 0);
	error = mechanisms__load(run->programs);
	if (error)
		fail_msg("the kernel refuses the programs: %s (root is needed)", strerror(-error));
	run->ring = ring_buffer__new(bpf_map__fd(run->programs->maps.ring), record_add, run, NULL);
	assert_non_null(run->ring);
	run_program(run->programs->progs.identify);
	assert_true(run->programs->bss->subject_tid > 0);
	return run;
}

static void records_forget(struct run *run)
{
	size_t i;

	for (i = 0; i < run->count; i++)
		free(run->records[i]);
	free(run->records);
	run->records = NULL;
	run->count = 0;
}

void run_close(struct run *run)
{
	records_forget(run);
	ring_buffer__free(run->ring);
	mechanisms__destroy(run->programs);
	free(run);
}

int run_set_up_own(void **state)
{
	*state = run_open(VIEW_OWN, 4 << 20);
	return 0;
}

int run_set_up_other(void **state)
{
	*state = run_open(VIEW_OTHER, 4 << 20);
	return 0;
}

int run_tear_down(void **state)
{
	run_close(*state);
	return 0;
}

/* Sets all values of a map with keys from 0 to zero. */
static void map_clear(const struct bpf_map *map)
{
	uint32_t entries = bpf_map__max_entries(map);
	bool per_cpu = bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY;
	size_t bytes = bpf_map__value_size(map);
	void *zeros;
	uint32_t key;

	if (per_cpu)
		bytes = (bytes + 7) / 8 * 8 * (size_t)libbpf_num_possible_cpus();
	zeros = calloc(1, bytes);
	assert_non_null(zeros);
	for (key = 0; key < entries; key++)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, zeros, BPF_ANY), 0);
	free(zeros);
}

void run_reset(struct run *run)
{
	run_drain(run);
	records_forget(run);
	map_clear(run->programs->maps.losses);
	map_clear(run->programs->maps.known_codes);
	run_program(run->programs->progs.thread_forget);
}

int run_program(struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	return (int)options.retval;
}

void run_iterator(struct bpf_program *program)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	char byte;
	int iterator;

	assert_non_null(link);
	iterator = bpf_iter_create(bpf_link__fd(link));
	assert_true(iterator >= 0);
	assert_int_equal(read(iterator, &byte, 1), 0);
	close(iterator);
	bpf_link__destroy(link);
}

void run_walk(struct run *run)
{
	if (run->viewpoint == VIEW_OWN)
		run_program(run->programs->progs.walk_own);
	else
		run_iterator(run->programs->progs.walk_other);
	run_drain(run);
}

void run_drain(struct run *run)
{
	assert_true(ring_buffer__consume(run->ring) >= 0);
}

const struct sample_record *run_sample(const struct run *run)
{
	size_t i;

	for (i = run->count; i > 0; i--)
		if (run->records[i - 1]->kind == RECORD_SAMPLE)
			return (const struct sample_record *)run->records[i - 1];
	fail_msg("no sample came");
	return NULL;
}

const struct code_record *run_code(const struct run *run, uint64_t code)
{
	size_t i;

	for (i = run->count; i > 0; i--) {
		const struct code_record *record = (const void *)run->records[i - 1];

		if (record->head.kind == RECORD_CODE && record->code == code)
			return record;
	}
	return NULL;
}

size_t run_count(const struct run *run, enum record_kind kind)
{
	size_t i, count = 0;

	for (i = 0; i < run->count; i++)
		count += run->records[i]->kind == kind;
	return count;
}

uint64_t run_lost(const struct run *run, enum loss loss)
{
	uint64_t counts[1024], sum = 0;
	uint32_t key = loss;
	int cpus = libbpf_num_possible_cpus(), i;

	assert_in_range(cpus, 1, 1024);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(run->programs->maps.losses), &key, counts),
			 0);
	for (i = 0; i < cpus; i++)
		sum += counts[i];
	return sum;
}

void run_expect_losses(const struct run *run, ...)
{
#define LOSS_NAME(identifier, name, text) name,
	static const char *const names[] = {LOSS_LIST(LOSS_NAME)};
	uint64_t expected[LOSS_COUNT] = {0};
	va_list arguments;
	int loss;

	va_start(arguments, run);
	while ((loss = va_arg(arguments, int)) >= 0)
		expected[loss] = (uint64_t)va_arg(arguments, int);
	va_end(arguments);
	for (loss = 0; loss < LOSS_COUNT; loss++)
		if (run_lost(run, (enum loss)loss) != expected[loss])
			fail_msg("lost %s: %lu, not %lu", names[loss],
				 (unsigned long)run_lost(run, (enum loss)loss),
				 (unsigned long)expected[loss]);
}

uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}
