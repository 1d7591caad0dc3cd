/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks what is told of garbage collections: by the interpreter's flag, by probes around each
 * one, and by probes on the function that collects, with memory of all kinds.
 */
#include "made_python.h"

#include <string.h>

/* Where things lie in struct _gc_runtime_state from its flag on or before it, 3.8 to 3.13. */
#define GENERATION(number) (-176 + 24 * (number))
#define THRESHOLD          16
#define COUNT              20
#define STATISTICS(number) (-72 + 24 * (number))
#define LIVED_LONG         24
#define LIVED_LONG_PENDING 32
#define COLLECTING         256 /* offset of the flag in the made-up interpreter */
#define INTERPRETER_BYTES  512

static const uint64_t nowhere[] = {
	1, 64, 0x8000deadbeef0000, 0xffffffff81000000, ~0ULL, 0x7fffffffff00};
#define NOWHERE_COUNT (sizeof(nowhere) / sizeof(nowhere[0]))

/* Gives the interpreter room for the state of its collector. */
static void collector_make(struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t interpreter = made_memory(python, INTERPRETER_BYTES);

	memcpy((void *)interpreter, (void *)python->interpreter, 128);
	made_word(python->config.runtime, layout->runtime_interpreters_head, interpreter);
	made_word(python->thread, layout->thread_interpreter, interpreter);
	python->interpreter = interpreter;
	python->config.layout.interpreter_gc_collecting = COLLECTING;
	/* Thresholds of a collector that never has anything to do. */
	for (int i = 0; i < GENERATIONS; i++)
		made_int(interpreter, (uint32_t)(COLLECTING + GENERATION(i) + THRESHOLD), 700);
}

static void gil_hold(struct made_python *python, uint64_t thread)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t gil = python->config.runtime + layout->runtime_gil;

	if (!layout->runtime_gil) {
		gil = made_memory(python, layout->gil_size);
		made_word(python->interpreter, layout->interpreter_gil, gil);
	}
	made_word(gil, layout->gil_last_holder, thread);
}

static void expect_flag(struct run *run, struct made_python *python, uint32_t flag)
{
	run_reset(run);
	made_python_walk(run, python);
	assert_int_equal(run_sample(run)->gc_flag, flag);
	assert_int_equal(run_sample(run)->gc, 0);
	run_expect_losses(run, -1);
}

static void check_flag(struct run *run, struct made_python *python)
{
	collector_make(python);
	gil_hold(python, python->thread);
	made_thread_run(python, python->thread, made_stack(python, 3));
	made_int(python->interpreter, COLLECTING, 1);
	made_int(python->interpreter, COLLECTING + 4, -1); /* padding */
	expect_flag(run, python, 0);                       /* nobody asks for it */
	python->config.gc_by_flag = 1;
	expect_flag(run, python, 1);
	made_int(python->interpreter, COLLECTING, 0);
	expect_flag(run, python, 0);
	/* The flag is the interpreter's: another thread collects. */
	made_int(python->interpreter, COLLECTING, 1);
	gil_hold(python, python->thread + 8);
	expect_flag(run, python, 0);
}

static void test_flag(void **state)
{
	made_python_each(*state, check_flag);
}

static void check_flag_nowhere(struct run *run, struct made_python *python)
{
	const struct python_layout sound = python->config.layout;
	uint32_t i;

	collector_make(python);
	gil_hold(python, python->thread);
	made_thread_run(python, python->thread, made_stack(python, 3));
	made_int(python->interpreter, COLLECTING, 1);
	python->config.gc_by_flag = 1;
	for (i = 0; i < NOWHERE_COUNT && sound.interpreter_gil; i++) {
		made_word(python->interpreter, sound.interpreter_gil, nowhere[i]);
		expect_flag(run, python, 0);
	}
	gil_hold(python, python->thread);
	python->config.layout.interpreter_gc_collecting = 0xfffffff0;
	expect_flag(run, python, 0);
	python->config.layout.interpreter_gc_collecting = 0;
	expect_flag(run, python, 0);
	python->config.layout.runtime_gc_collecting = 0xfffffff0;
	expect_flag(run, python, 0);
}

static void test_flag_nowhere(void **state)
{
	made_python_each(*state, check_flag_nowhere);
}

/* In 3.8 the state is the runtime's; from 3.15 on the interpreter keeps who set it off. */
static void check_flag_places(struct run *run, struct made_python *python)
{
	uint64_t inner, outer, frame;

	python->config.gc_by_flag = 1;
	gil_hold(python, python->thread);
	outer = made_frame(python, made_code_numbered(python, 1), 0, 2);
	inner = made_frame(python, made_code_numbered(python, 2), outer, 2);
	frame = made_frame(python, made_code_numbered(python, 3), inner, 2);
	made_thread_run(python, python->thread, frame);
	python->config.layout.interpreter_gc_collecting = 0;
	python->config.layout.runtime_gc_collecting = 480;
	made_int(python->config.runtime, 480, 1);
	expect_flag(run, python, 1);
	assert_int_equal(run_sample(run)->gc_inside, 0);
	collector_make(python);
	made_int(python->interpreter, COLLECTING, 1);
	python->config.layout.runtime_gc_collecting = 0;
	python->config.layout.interpreter_gc_frame = COLLECTING + 8;
	made_word(python->interpreter, COLLECTING + 8, outer);
	expect_flag(run, python, 1);
	assert_int_equal(run_sample(run)->gc_inside, 2);
	made_word(python->interpreter, COLLECTING + 8, nowhere[2]);
	expect_flag(run, python, 1);
	assert_int_equal(run_sample(run)->gc_inside, 0);
}

static void test_flag_places(void **state)
{
	made_python_each(*state, check_flag_places);
}

static uint32_t collections_map(const struct run *run)
{
	return (uint32_t)bpf_map__fd(run->programs->maps.collections);
}

static void counts_reset(const struct run *run)
{
	const struct collections none = {0};
	uint32_t pid = run->programs->bss->subject_pid;

	assert_int_equal(bpf_map_update_elem((int)collections_map(run), &pid, &none, BPF_ANY), 0);
}

static void expect_counts(const struct run *run, uint64_t young, uint64_t middle, uint64_t old)
{
	uint32_t pid = run->programs->bss->subject_pid;
	struct collections counts;

	assert_int_equal(bpf_map_lookup_elem((int)collections_map(run), &pid, &counts), 0);
	assert_int_equal(counts.count[0], young);
	assert_int_equal(counts.count[1], middle);
	assert_int_equal(counts.count[2], old);
	assert_true(counts.longest_ns <= counts.ns);
	assert_int_equal(!counts.ns, !(young + middle + old));
}

static void begin(struct run *run, int64_t generation)
{
	run->programs->bss->made_call.number = generation;
	assert_int_equal(run_program(run->programs->progs.collection_begins), 0);
}

static void end(struct run *run)
{
	assert_int_equal(run_program(run->programs->progs.collection_ends), 0);
}

static void check_probes(struct run *run, struct made_python *python)
{
	uint64_t outer = made_stack(python, 4), finalizer;

	counts_reset(run);
	end(run); /* of one that began before the recording */
	expect_counts(run, 0, 0, 0);
	made_thread_run(python, python->thread, outer);
	made_python_use(run, python);
	begin(run, 1);
	expect_counts(run, 0, 0, 0);
	/* A finalizer runs in it. */
	finalizer = made_frame(python, made_code_numbered(python, 9), outer, 0);
	made_thread_run(python, python->thread, finalizer);
	made_python_walk(run, python);
	assert_int_equal(run_sample(run)->gc, 2);
	assert_int_equal(run_sample(run)->gc_flag, 0);
	assert_int_equal(run_sample(run)->gc_inside, 1);
	begin(run, 0); /* which collects in another interpreter */
	end(run);
	end(run);
	end(run);
	expect_counts(run, 1, 1, 0);
	made_python_walk(run, python);
	assert_int_equal(run_sample(run)->gc, 0);
	begin(run, -1);
	end(run);
	begin(run, GENERATIONS);
	end(run);
	expect_counts(run, 1, 1, 0);
	run_expect_losses(run, -1);
}

static void test_probes(void **state)
{
	made_python_each(*state, check_probes);
}

static void enter(struct run *run, uint64_t thread, int64_t generation, uint64_t stack)
{
	run->programs->bss->made_call.arguments[0] = thread;
	run->programs->bss->made_call.arguments[1] = stack;
	run->programs->bss->made_call.number = generation;
	assert_int_equal(run_program(run->programs->progs.collector_enters), 0);
}

static void leave(struct run *run)
{
	assert_int_equal(run_program(run->programs->progs.collector_leaves), 0);
}

/* What the sample of a collection that is under way says of its generation. */
static uint32_t generation_shown(struct run *run, struct made_python *python)
{
	made_python_walk(run, python);
	return run_sample(run)->gc;
}

static void collected(const struct made_python *python, int generation)
{
	uint64_t *counter = (void *)(python->interpreter + (uint64_t)COLLECTING +
				     (uint64_t)STATISTICS(generation));

	++*counter;
}

static void check_collector(struct run *run, struct made_python *python)
{
	uint64_t top = made_memory(python, 16);

	counts_reset(run);
	collector_make(python);
	made_thread_run(python, python->thread, made_stack(python, 4));
	made_python_use(run, python);
	enter(run, python->thread, 1, top);
	assert_int_equal(generation_shown(run, python), 2);
	collected(python, 1);
	leave(run);
	expect_counts(run, 0, 1, 0);
	/* The interpreter's counters are right, whatever the argument was. */
	enter(run, python->thread, 0, top);
	collected(python, 2);
	leave(run);
	expect_counts(run, 0, 1, 1);
	/* Called, but it did not collect. */
	enter(run, python->thread, 0, top);
	leave(run);
	/* Called for the same again while it is at it. */
	enter(run, python->thread, 0, top);
	enter(run, python->thread, -1, top - 256);
	leave(run);
	collected(python, 0);
	leave(run);
	leave(run);
	expect_counts(run, 1, 1, 1);
	/* One whose return was not seen does not hide the next. */
	enter(run, python->thread, 0, top);
	enter(run, python->thread, 2, top);
	assert_int_equal(generation_shown(run, python), 3);
	collected(python, 2);
	leave(run);
	expect_counts(run, 1, 1, 2);
	assert_int_equal(generation_shown(run, python), 0);
	run_expect_losses(run, -1);
}

static void test_collector(void **state)
{
	made_python_each(*state, check_collector);
}

static void generation_set(struct made_python *python, int generation, int32_t count)
{
	made_int(python->interpreter, (uint32_t)(COLLECTING + GENERATION(generation) + COUNT),
		 count);
}

/* Which generation is due, where the caller leaves it to the collector. */
static void check_due(struct run *run, struct made_python *python)
{
	collector_make(python);
	made_thread_run(python, python->thread, made_stack(python, 2));
	made_python_use(run, python);
	enter(run, python->thread, -1, 0);
	assert_int_equal(generation_shown(run, python), GC_UNNUMBERED);
	leave(run);
	generation_set(python, 0, 701);
	enter(run, python->thread, -1, 0);
	assert_int_equal(generation_shown(run, python), 1);
	leave(run);
	generation_set(python, 2, 701);
	made_word(python->interpreter, COLLECTING + LIVED_LONG, 400);
	made_word(python->interpreter, COLLECTING + LIVED_LONG_PENDING, 99);
	enter(run, python->thread, -1, 0);
	assert_int_equal(generation_shown(run, python), 1);
	leave(run);
	generation_set(python, 1, 701);
	enter(run, python->thread, -1, 0);
	assert_int_equal(generation_shown(run, python), 2);
	leave(run);
	made_word(python->interpreter, COLLECTING + LIVED_LONG_PENDING, 100);
	enter(run, python->thread, -1, 0);
	assert_int_equal(generation_shown(run, python), 3);
	leave(run);
}

static void test_due(void **state)
{
	made_python_each(*state, check_due);
}

/* Arguments that are none: nothing is counted wrongly, and the time is still the collector's. */
static void check_collector_nowhere(struct run *run, struct made_python *python)
{
	uint32_t i;

	counts_reset(run);
	collector_make(python);
	made_thread_run(python, python->thread, made_stack(python, 2));
	made_python_use(run, python);
	for (i = 0; i < NOWHERE_COUNT; i++) {
		enter(run, nowhere[i], (int64_t)nowhere[i], nowhere[i]);
		assert_true(generation_shown(run, python) <= GC_UNNUMBERED);
		leave(run);
		assert_int_equal(generation_shown(run, python), 0);
	}
	run_expect_losses(run, -1);
}

static void test_collector_nowhere(void **state)
{
	made_python_each(*state, check_collector_nowhere);
}

int main(void)
{
	const struct CMUnitTest flags[] = {cmocka_unit_test(test_flag),
					   cmocka_unit_test(test_flag_nowhere),
					   cmocka_unit_test(test_flag_places)};
	const struct CMUnitTest probes[] = {
		cmocka_unit_test(test_probes), cmocka_unit_test(test_collector),
		cmocka_unit_test(test_due), cmocka_unit_test(test_collector_nowhere)};
	int failed = cmocka_run_group_tests_name("collections, by the flag", flags, run_set_up_own,
						 run_tear_down);

	failed += cmocka_run_group_tests_name("collections, by the flag of another thread", flags,
					      run_set_up_other, run_tear_down);
	return failed + cmocka_run_group_tests_name("collections, by probes", probes,
						    run_set_up_own, run_tear_down);
}
