/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks the walk over Python frames, in each model of frames and from both points of view. */
#include "made_python.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_order(struct run *run, struct made_python *python)
{
	static const int32_t instructions[] = {-1, 0, 2, 254, 70000};
	uint64_t codes[5], frame = 0;
	const struct sample_record *sample;
	uint32_t i;

	for (i = 5; i-- > 0;) {
		codes[i] = made_code_numbered(python, i);
		frame = made_frame(python, codes[i], frame, instructions[i]);
	}
	made_thread_run(python, python->thread, frame);
	made_python_walk(run, python);
	expect_stack(run, 0, 5, codes);
	sample = run_sample(run);
	for (i = 0; i < 5; i++) {
		assert_int_equal(sample->python[i].instruction, instructions[i]);
		assert_int_equal(sample->python[i].identity, 0);
		assert_int_equal(run_code(run, codes[i])->first_line, i + 1);
	}
	expect_name(run, codes[0], "function_0");
	expect_name(run, codes[4], "function_4");
	assert_int_equal(sample->head.process, MADE_PROCESS);
	assert_int_equal(sample->head.pid, run->programs->bss->subject_pid);
	assert_int_equal(sample->tid, run->programs->bss->subject_tid);
	/* Every name comes before the sample that needs it. */
	assert_int_equal(run_count(run, RECORD_CODE), 5);
	assert_ptr_equal(run->records[run->count - 1], &sample->head);
	run_expect_losses(run, -1);
}

static void test_order(void **state)
{
	made_python_each(*state, check_order);
}

static void check_no_frames(struct run *run, struct made_python *python)
{
	made_thread_run(python, python->thread, 0);
	made_python_walk(run, python);
	expect_stack(run, 0, 0, NULL);
	made_word(python->thread, python->config.layout.thread_frame, 0);
	made_python_walk(run, python);
	expect_stack(run, 0, 0, NULL);
	run_expect_losses(run, -1);
}

static void test_no_frames(void **state)
{
	made_python_each(*state, check_no_frames);
}

static void test_no_interpreter(void **state)
{
	struct run *run = *state;
	struct made_python python;

	run_reset(run);
	made_python_new(&python, FRAME_MODEL_CFRAME);
	python.config.layout.version = 0;
	made_python_walk(run, &python);
	expect_stack(run, SAMPLE_NOT_PYTHON, 0, NULL);
	run_expect_losses(run, -1);
	made_python_free(&python);
}

/* Walks a stack of this depth with frames one above the other and a code object in each. */
static void depth_check(struct run *run, struct made_python *python, uint32_t depth, bool whole)
{
	static uint64_t codes[2 * PYTHON_FRAMES_MAX];
	uint64_t frame = 0;
	uint32_t i;

	run_reset(run);
	for (i = depth; i-- > 0;)
		codes[i] = made_code_numbered(python, i);
	for (i = depth; i-- > 0;)
		frame = made_frame(python, codes[i], frame, (int32_t)i * 2);
	made_thread_run(python, python->thread, frame);
	made_python_walk(run, python);
	expect_stack(run, whole ? 0 : SAMPLE_CUT, whole ? depth : PYTHON_FRAMES_MAX, codes);
	run_expect_losses(run, LOSS_STACK_CUT, whole ? 0 : 1, -1);
	assert_int_equal(run_count(run, RECORD_CODE), whole ? depth : PYTHON_FRAMES_MAX);
	expect_name(run, codes[999], "function_999");
	assert_int_equal(run_sample(run)->python[999].instruction, 2 * 999);
}

static void check_deep(struct run *run, struct made_python *python)
{
	depth_check(run, python, 1000, true);
	depth_check(run, python, PYTHON_FRAMES_MAX, true);
	depth_check(run, python, PYTHON_FRAMES_MAX + 1, false);
	depth_check(run, python, 1600, false);
}

static void test_deep(void **state)
{
	made_python_each(*state, check_deep);
}

/* Three frames: at the start of a readable page, at its end, and at each place in between. */
static void check_page_ends(struct run *run, struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t last = python->guarded + page - layout->frame_size;
	uint64_t codes[3], place;
	uint32_t i;

	for (i = 0; i < 3; i++)
		codes[i] = made_code_numbered(python, i);
	for (place = python->guarded + 128; place + 128 < last; place += 152) {
		made_frame_at(python, last, codes[2], 0, 4);
		made_frame_at(python, place, codes[1], last, 2);
		made_frame_at(python, python->guarded, codes[0], place, 0);
		made_thread_run(python, python->thread, python->guarded);
		made_python_walk(run, python);
		expect_stack(run, 0, 3, codes);
	}
	run_expect_losses(run, -1);
}

static void test_page_ends(void **state)
{
	made_python_each(*state, check_page_ends);
}

/* A frame that begins on one page and ends on the next, with each number of bytes on the first. */
static void check_across_pages(struct run *run, struct made_python *python)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t memory = made_memory(python, 4 * page), boundary = (memory / page + 2) * page;
	uint64_t code = made_code_numbered(python, 1), outer = made_code_numbered(python, 2);
	uint64_t codes[2] = {code, outer};
	uint32_t before;

	for (before = 8; before < python->config.layout.frame_size; before += 8) {
		uint64_t caller = boundary - before - 200;

		made_frame_at(python, caller, outer, 0, 6);
		made_frame_at(python, boundary - before, code, caller, 8);
		made_thread_run(python, python->thread, boundary - before);
		made_python_walk(run, python);
		expect_stack(run, 0, 2, codes);
		assert_int_equal(run_sample(run)->python[0].instruction, 8);
		assert_int_equal(run_sample(run)->python[1].instruction, 6);
	}
	run_expect_losses(run, -1);
}

static void test_across_pages(void **state)
{
	made_python_each(*state, check_across_pages);
}

/*
 * A data stack in three chunks, each a mapping of its own with nothing readable around it, and a
 * generator's frame, which lies on the heap, between every two.
 */
static void check_chunks(struct run *run, struct made_python *python)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t codes[60], frame = 0, chunks[3];
	uint32_t i;

	for (i = 0; i < 3; i++) {
		uint8_t *pages =
			mmap(NULL, 6 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		assert_true(pages != MAP_FAILED);
		chunks[i] = (uint64_t)pages + page;
		assert_int_equal(mprotect(pages + page, 4 * page, PROT_READ | PROT_WRITE), 0);
		memset(pages + page, 0, 4 * page);
	}
	for (i = 60; i-- > 0;) {
		codes[i] = made_code_numbered(python, i);
		if (i % 2) {
			frame = made_frame(python, codes[i], frame, 10);
		} else {
			uint64_t place = chunks[i / 20] + (20 - i % 20) * 480;

			made_frame_at(python, place, codes[i], frame, 12);
			frame = place;
		}
	}
	made_thread_run(python, python->thread, frame);
	made_python_walk(run, python);
	expect_stack(run, 0, 60, codes);
	run_expect_losses(run, -1);
	for (i = 0; i < 3; i++)
		munmap((void *)(chunks[i] - page), 6 * page);
}

static void test_chunks(void **state)
{
	made_python_each(*state, check_chunks);
}

static void check_shims(struct run *run, struct made_python *python)
{
	uint64_t codes[6], frame = 0;
	uint32_t i;

	if (!python->config.layout.frame_owner)
		return;
	for (i = 6; i-- > 0;) {
		codes[i] = made_code_numbered(python, i);
		frame = made_shim(python, frame);
		frame = made_frame(python, codes[i], frame, 2);
		made_char(frame, python->config.layout.frame_owner, (uint8_t)(i % 3));
	}
	made_thread_run(python, python->thread, made_shim(python, made_shim(python, frame)));
	made_python_walk(run, python);
	expect_stack(run, 0, 6, codes);
	run_expect_losses(run, -1);
}

static void test_shims(void **state)
{
	made_python_each(*state, check_shims);
}

/* C code that calls Python code that calls C code: a shim for each frame, and too many of both. */
static void check_shims_deep(struct run *run, struct made_python *python)
{
	static uint64_t codes[PYTHON_FRAMES_MAX];
	uint64_t frame = 0, code = made_code_numbered(python, 1);
	uint32_t i;

	if (!python->config.layout.frame_owner)
		return;
	for (i = 0; i < 1600; i++)
		frame = made_shim(python, made_frame(python, code, frame, 2));
	for (i = 0; i < PYTHON_FRAMES_MAX; i++)
		codes[i] = code;
	made_thread_run(python, python->thread, frame);
	made_python_walk(run, python);
	expect_stack(run, SAMPLE_CUT, PYTHON_FRAMES_MAX, codes);
	run_expect_losses(run, LOSS_STACK_CUT, 1, -1);
}

static void test_shims_deep(void **state)
{
	made_python_each(*state, check_shims_deep);
}

/* From 3.14 on the low bit of the code pointer, on free-threaded builds two, says who owns it. */
static void test_tags(void **state)
{
	struct run *run = *state;
	uint32_t tags;

	for (tags = 1; tags <= 3; tags += 2) {
		struct made_python python;
		uint64_t code, frame;

		run_reset(run);
		made_python_new(&python, FRAME_MODEL_CURRENT);
		python.config.layout.frame_code_tags = tags;
		code = made_code_numbered(&python, 3);
		frame = made_frame(&python, code, 0, 14);
		made_word(frame, python.config.layout.frame_code, code | tags);
		made_thread_run(&python, python.thread, frame);
		made_python_walk(run, &python);
		expect_stack(run, 0, 1, &code);
		assert_int_equal(run_sample(run)->python[0].instruction, 14);
		expect_name(run, code, "function_3");
		run_expect_losses(run, -1);
		made_python_free(&python);
	}
}

static uint32_t opcode_seen(struct run *run, struct made_python *python, uint64_t frame)
{
	run_reset(run);
	made_thread_run(python, python->thread, frame);
	made_python_walk(run, python);
	run_expect_losses(run, -1);
	return run_sample(run)->opcode;
}

/* The opcode is that of the innermost frame's instruction, whoever may call it. */
static void check_opcode(struct run *run, struct made_python *python)
{
	struct python_layout *layout = &python->config.layout;
	uint64_t caller = made_stack(python, 2), code = made_code_numbered(python, 5), frame;
	bool object = layout->frame_model == FRAME_MODEL_OBJECT;
	uint32_t at;

	layout->code_bytecode = object ? 104 : 0;
	made_word(code, 104, made_bytes(python, 100));
	for (at = 0; at < 100; at++)
		if (!object)
			made_char(code, layout->code_instructions + at, made_pattern(at));
	for (at = 0; at < 100; at += 2) {
		frame = made_frame(python, code, caller, (int32_t)at);
		assert_int_equal(opcode_seen(run, python, frame), made_pattern(at));
	}
	/* No instruction was begun; the instructions cannot be read; there is no frame. */
	frame = made_frame(python, code, caller, -1);
	assert_int_equal(opcode_seen(run, python, frame), OPCODE_UNKNOWN);
	if (object) {
		made_word(code, 104, python->guard);
		frame = made_frame(python, code, caller, 0);
		assert_int_equal(opcode_seen(run, python, frame), OPCODE_UNKNOWN);
	}
	assert_int_equal(opcode_seen(run, python, 0), OPCODE_UNKNOWN);
}

static void test_opcode(void **state)
{
	made_python_each(*state, check_opcode);
}

/* A sample that is taken while another one is being put together is counted, not mixed into it. */
static void test_nested(void **state)
{
	struct run *run = *state;
	struct made_python python;

	if (run->viewpoint != VIEW_OWN)
		return;
	run_reset(run);
	made_python_new(&python, FRAME_MODEL_OBJECT);
	made_thread_run(&python, python.thread, made_stack(&python, 3));
	made_python_use(run, &python);
	assert_int_equal(run_program(run->programs->progs.scratch_hold), 0);
	run_walk(run);
	assert_int_equal(run->count, 0);
	run_expect_losses(run, LOSS_NESTED, 1, -1);
	run_program(run->programs->progs.scratch_give);
	run_walk(run);
	assert_int_equal(run_sample(run)->python_count, 3);
	made_python_free(&python);
}

#define TESTS                                                                          \
	cmocka_unit_test(test_order), cmocka_unit_test(test_no_frames),                \
		cmocka_unit_test(test_no_interpreter), cmocka_unit_test(test_deep),    \
		cmocka_unit_test(test_page_ends), cmocka_unit_test(test_across_pages), \
		cmocka_unit_test(test_chunks), cmocka_unit_test(test_shims),           \
		cmocka_unit_test(test_shims_deep), cmocka_unit_test(test_tags),        \
		cmocka_unit_test(test_opcode), cmocka_unit_test(test_nested)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("frames of the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("frames of another thread", tests,
						    run_set_up_other, run_tear_down);
}
