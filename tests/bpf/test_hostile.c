/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that no memory of a process leads the programs astray: pointers to nowhere, rings where
 * lists should be, wild lengths. What cannot be had is counted under its reason, the rest stays.
 */
#include "made_python.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NON_CANONICAL 0x8000deadbeef0000
#define KERNEL        0xffffffff81000000

/* Addresses at which nothing can be read: the last one is a page that may not be. */
static uint64_t nowhere(const struct made_python *python, uint32_t which)
{
	const uint64_t addresses[] = {
		1, 64, NON_CANONICAL, KERNEL, ~0ULL, 0x7fffffffff00, python->guard};

	assert_true(which < sizeof(addresses) / sizeof(addresses[0]));
	return addresses[which];
}
#define NOWHERE_COUNT 7

static uint64_t code_name_field(const struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;

	return layout->code_qualified_name ? layout->code_qualified_name : layout->code_name;
}

/* Takes a sample of `outer`, as the caller of one frame that is sound. */
static uint64_t walk_under_sound(struct run *run, struct made_python *python, uint64_t outer)
{
	uint64_t code = made_code_numbered(python, 1);

	run_reset(run);
	made_thread_run(python, python->thread, made_frame(python, code, outer, 2));
	made_python_walk(run, python);
	return code;
}

static void check_frame_nowhere(struct run *run, struct made_python *python)
{
	uint32_t i;

	for (i = 0; i < NOWHERE_COUNT; i++) {
		uint64_t code = walk_under_sound(run, python, nowhere(python, i));

		expect_stack(run, SAMPLE_BROKEN, 1, &code);
		expect_name(run, code, "function_1");
		run_expect_losses(run, LOSS_FRAME_UNREADABLE, 1, -1);
	}
}

static void test_frame_nowhere(void **state)
{
	made_python_each(*state, check_frame_nowhere);
}

/* The innermost frame itself is nowhere. */
static void check_first_nowhere(struct run *run, struct made_python *python)
{
	uint32_t i;

	for (i = 0; i < NOWHERE_COUNT; i++) {
		run_reset(run);
		made_thread_run(python, python->thread, nowhere(python, i));
		made_python_walk(run, python);
		expect_stack(run, SAMPLE_BROKEN, 0, NULL);
		run_expect_losses(run, LOSS_FRAME_UNREADABLE, 1, -1);
	}
}

static void test_first_nowhere(void **state)
{
	made_python_each(*state, check_first_nowhere);
}

/* From 3.11 to 3.12 there is an object between the thread state and the frame. */
static void test_cframe_nowhere(void **state)
{
	struct run *run = *state;
	struct made_python python;
	uint32_t i;

	made_python_new(&python, FRAME_MODEL_CFRAME);
	for (i = 0; i < NOWHERE_COUNT; i++) {
		run_reset(run);
		made_word(python.thread, python.config.layout.thread_frame, nowhere(&python, i));
		made_python_walk(run, &python);
		expect_stack(run, SAMPLE_BROKEN, 0, NULL);
		run_expect_losses(run, LOSS_FRAME_UNREADABLE, 1, -1);
	}
	made_python_free(&python);
}

/* A frame whose end cannot be read: it begins just before a page that may not be. */
static void check_frame_half(struct run *run, struct made_python *python)
{
	uint64_t end = python->guarded + (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t code = walk_under_sound(run, python, end - 8);

	expect_stack(run, SAMPLE_BROKEN, 1, &code);
	run_expect_losses(run, LOSS_FRAME_UNREADABLE, 1, -1);
}

static void test_frame_half(void **state)
{
	made_python_each(*state, check_frame_half);
}

/* A ring of frames is walked as far as a stack may be deep, and no further. */
static void check_frame_ring(struct run *run, struct made_python *python)
{
	static uint64_t codes[PYTHON_FRAMES_MAX];
	uint32_t length, i;

	for (length = 1; length <= 3; length++) {
		uint64_t first = made_stack(python, 1), frame = first, code;

		run_reset(run);
		code = made_code_numbered(python, 9);
		for (i = 1; i < length; i++)
			frame = made_frame(python, code, frame, 2);
		made_frame_at(python, first, code, frame, 4);
		for (i = 0; i < PYTHON_FRAMES_MAX; i++)
			codes[i] = code;
		made_thread_run(python, python->thread, frame);
		made_python_walk(run, python);
		expect_stack(run, SAMPLE_CUT, PYTHON_FRAMES_MAX, codes);
		run_expect_losses(run, LOSS_STACK_CUT, 1, -1);
		assert_int_equal(run_count(run, RECORD_CODE), 1);
	}
}

static void test_frame_ring(void **state)
{
	made_python_each(*state, check_frame_ring);
}

static void check_shim_ring(struct run *run, struct made_python *python)
{
	uint64_t shim, code;

	if (!python->config.layout.frame_owner)
		return;
	shim = made_shim(python, 0);
	made_word(shim, python->config.layout.frame_previous, shim);
	code = walk_under_sound(run, python, shim);
	expect_stack(run, SAMPLE_CUT, 1, &code);
	run_expect_losses(run, LOSS_STACK_CUT, 1, -1);
}

static void test_shim_ring(void **state)
{
	made_python_each(*state, check_shim_ring);
}

/* What a frame calls its code object cannot be read: the frame stays, without a name. */
static void check_code_nowhere(struct run *run, struct made_python *python)
{
	uint32_t i;

	for (i = 0; i < NOWHERE_COUNT; i++) {
		uint64_t bad =
			nowhere(python, i) & ~(uint64_t)python->config.layout.frame_code_tags;
		uint64_t last = made_code_numbered(python, 2);
		uint64_t outer = made_frame(python, bad, made_frame(python, last, 0, 4), 2);
		uint64_t codes[3] = {walk_under_sound(run, python, outer), bad, last};

		if (!bad || bad >> 47)
			continue; /* check_code_never() */
		expect_stack(run, 0, 3, codes);
		assert_int_equal(run_sample(run)->python[1].identity, FRAME_UNNAMED);
		assert_null(run_code(run, bad));
		expect_name(run, last, "function_2");
		run_expect_losses(run, LOSS_CODE_UNNAMED, 1, -1);
	}
}

static void test_code_nowhere(void **state)
{
	made_python_each(*state, check_code_nowhere);
}

/* What cannot be read of the interpreter's own code needs no name: it is left out of tracebacks. */
static void check_code_glue(struct run *run, struct made_python *python)
{
	bool glue = python->config.layout.version >= 0x030d;
	uint64_t bad = 0x2000, last = made_code_numbered(python, 2);
	uint64_t outer = made_frame(python, bad, made_frame(python, last, 0, 4), 2);
	uint64_t codes[3];

	python->config.text_end = 0x1000;
	codes[0] = walk_under_sound(run, python, outer);
	codes[1] = bad;
	codes[2] = last;
	expect_stack(run, 0, 3, codes);
	assert_int_equal(run_sample(run)->python[1].identity, glue ? FRAME_GLUE : FRAME_UNNAMED);
	expect_name(run, last, "function_2");
	run_expect_losses(run, glue ? -1 : LOSS_CODE_UNNAMED, glue ? 0 : 1, -1);
}

static void test_code_glue(void **state)
{
	made_python_each(*state, check_code_glue);
}

/* No address that a code object can have: the frame is none, and what lies beyond is not known. */
static void check_code_never(struct run *run, struct made_python *python)
{
	const uint64_t never[] = {0, NON_CANONICAL, KERNEL, 1ULL << 48, (1ULL << 48) * 3 + 4096};
	uint32_t i, index;

	for (index = 0; index < 2; index++) {
		python->config.index = index ? MADE_PROCESS : 1;
		for (i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
			uint64_t outer = made_frame(python, never[i], made_stack(python, 1), 2);
			uint64_t code = walk_under_sound(run, python, outer);

			expect_stack(run, SAMPLE_BROKEN, 1, &code);
			run_expect_losses(run, LOSS_FRAME_INVALID, 1, -1);
		}
	}
}

static void test_code_never(void **state)
{
	made_python_each(*state, check_code_never);
}

/* An object of another type where the code object should be. */
static void check_code_type(struct run *run, struct made_python *python)
{
	uint64_t wrong = made_code_numbered(python, 2);
	uint64_t outer = made_frame(python, wrong, made_stack(python, 4), 2);
	uint64_t code;

	made_word(wrong, python->config.layout.object_type, python->text_type);
	code = walk_under_sound(run, python, outer);
	expect_stack(run, SAMPLE_BROKEN, 1, &code);
	expect_name(run, code, "function_1");
	assert_null(run_code(run, wrong));
	run_expect_losses(run, LOSS_FRAME_INVALID, 1, -1);
}

static void test_code_type(void **state)
{
	made_python_each(*state, check_code_type);
}

/* Takes a sample whose outer frame has a code object with this name or file name. */
static uint64_t text_walk(struct run *run, struct made_python *python, uint64_t field,
			  uint64_t text)
{
	uint64_t code = made_code_numbered(python, 2);

	made_word(code, (uint32_t)field, text);
	walk_under_sound(run, python, made_frame(python, code, 0, 2));
	assert_int_equal(run_sample(run)->python_count, 2);
	assert_int_equal(run_sample(run)->flags, 0);
	return code;
}

static void text_expect_unnamed(struct run *run, struct made_python *python, uint64_t field,
				uint64_t text)
{
	uint64_t code = text_walk(run, python, field, text);

	assert_int_equal(run_sample(run)->python[1].identity, FRAME_UNNAMED);
	assert_null(run_code(run, code));
	run_expect_losses(run, LOSS_CODE_UNNAMED, 1, -1);
}

/* A str of 2^40 characters, of which a few hundred exist, in its own memory or at its end. */
static void text_wild_check(struct run *run, struct made_python *python, uint64_t field)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t text = made_ascii(python, "wild"), end = python->guarded, code;

	made_word(text, layout->text_length, 1ULL << 40);
	made_memory(python, 2 * FILENAME_BYTES_MAX);
	code = text_walk(run, python, field, text);
	assert_non_null(run_code(run, code));
	assert_memory_equal(run_code(run, code)->text + (field == layout->code_filename ? 10 : 0),
			    "wild", 4);
	run_expect_losses(run, LOSS_NAME_CUT, 1, -1);
	end += (uint64_t)sysconf(_SC_PAGESIZE) - 256;
	memcpy((void *)end, (void *)text, 64);
	text_expect_unnamed(run, python, field, end);
	made_word(text, layout->text_length, ~0ULL); /* more than can be mapped */
	text_expect_unnamed(run, python, field, text);
}

static void check_texts(struct run *run, struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t fields[2] = {code_name_field(python), layout->code_filename};
	uint64_t text = made_ascii(python, "hostile");
	uint32_t kind, i, j;

	for (i = 0; i < 2; i++) {
		text_expect_unnamed(run, python, fields[i], 0);
		for (j = 0; j < NOWHERE_COUNT; j++)
			text_expect_unnamed(run, python, fields[i], nowhere(python, j));
		for (kind = 0; kind < 8; kind++) {
			if (kind == 1 || kind == 2 || kind == 4)
				continue;
			made_int(text, layout->text_state,
				 (int32_t)((kind | 24) << layout->text_kind_shift));
			text_expect_unnamed(run, python, fields[i], text);
		}
		/* Not compact: the characters are elsewhere, as no name's are. */
		made_int(text, layout->text_state, 1 << layout->text_kind_shift);
		text_expect_unnamed(run, python, fields[i], text);
		text_wild_check(run, python, fields[i]);
	}
}

static void test_texts(void **state)
{
	made_python_each(*state, check_texts);
}

static void lines_walk(struct run *run, struct made_python *python, uint64_t table, uint32_t bytes)
{
	uint64_t code = made_code_numbered(python, 2);
	uint32_t sent = 0;
	size_t i;

	made_word(code, python->config.layout.code_line_table, table);
	walk_under_sound(run, python, made_frame(python, code, 0, 2));
	expect_name(run, code, "function_2");
	for (i = 0; i < run->count; i++)
		if (run->records[i]->kind == RECORD_LINES &&
		    ((const struct lines_record *)run->records[i])->code == code)
			sent += ((const struct lines_record *)run->records[i])->bytes;
	assert_int_equal(sent, bytes);
	assert_int_equal(run_code(run, code)->lines_bytes, bytes);
}

/* Line tables of 4 GiB and of 2^63 bytes, in memory that goes on or that ends. */
static void check_lines_wild(struct run *run, struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t most = LINES_CHUNK * LINES_CHUNKS_MAX, table = made_bytes(python, 2 * most);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = python->guarded + page - 200;

	made_word(table, layout->bytes_size, 4ULL << 30);
	lines_walk(run, python, table, (uint32_t)most);
	run_expect_losses(run, LOSS_LINES_CUT, 1, -1);
	made_word(table, layout->bytes_size, 1ULL << 63);
	lines_walk(run, python, table, (uint32_t)most);
	run_expect_losses(run, LOSS_LINES_CUT, 1, -1);
	made_word(end, layout->bytes_size, 4ULL << 30);
	lines_walk(run, python, end, 0);
	run_expect_losses(run, LOSS_LINES_CUT, 1, -1);
	/* Two pieces of three: what came is told, and that it is not all is counted. */
	table = (uint64_t)python->memory + python->bytes - layout->bytes_data - 2 * LINES_CHUNK;
	made_word(table, layout->bytes_size, 3 * LINES_CHUNK);
	lines_walk(run, python, table, 2 * LINES_CHUNK);
	run_expect_losses(run, LOSS_LINES_CUT, 1, -1);
}

static void test_lines_wild(void **state)
{
	made_python_each(*state, check_lines_wild);
}

static void check_lines_nowhere(struct run *run, struct made_python *python)
{
	uint32_t i;

	for (i = 0; i < NOWHERE_COUNT; i++) {
		lines_walk(run, python, nowhere(python, i), 0);
		run_expect_losses(run, LOSS_LINES_CUT, 1, -1);
	}
	lines_walk(run, python, 0, 0);
	run_expect_losses(run, LOSS_LINES_CUT, 1, -1);
}

static void test_lines_nowhere(void **state)
{
	made_python_each(*state, check_lines_nowhere);
}

/* The runtime's, the interpreter's and the thread's links lead to nowhere. */
static void check_threads_nowhere(struct run *run, struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	const uint64_t links[3] = {python->config.runtime + layout->runtime_interpreters_head,
				   python->interpreter + layout->interpreter_threads_head,
				   python->thread + layout->thread_next};
	uint32_t i, link;

	made_word(python->thread, layout->thread_id, 0x7eadbeef0000);
	for (link = 0; link < 3; link++) {
		uint64_t sound;

		memcpy(&sound, (void *)links[link], sizeof(sound));
		for (i = 0; i < NOWHERE_COUNT; i++) {
			run_reset(run);
			made_word(links[link], 0, nowhere(python, i));
			made_python_walk(run, python);
			expect_stack(run, SAMPLE_NO_THREAD, 0, NULL);
			run_expect_losses(run, LOSS_THREAD_STATE, 1, -1);
		}
		made_word(links[link], 0, sound);
	}
}

static void test_threads_nowhere(void **state)
{
	made_python_each(*state, check_threads_nowhere);
}

static void check_runtime_nowhere(struct run *run, struct made_python *python)
{
	uint32_t i;

	for (i = 0; i < NOWHERE_COUNT; i++) {
		run_reset(run);
		python->config.runtime = nowhere(python, i);
		made_python_walk(run, python);
		expect_stack(run, SAMPLE_NO_THREAD, 0, NULL);
		run_expect_losses(run, LOSS_THREAD_STATE, 1, -1);
	}
}

static void test_runtime_nowhere(void **state)
{
	made_python_each(*state, check_runtime_nowhere);
}

/* Rings of thread states and of interpreters in which the thread's own state is not. */
static void check_thread_rings(struct run *run, struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t second = made_thread(python, python->interpreter, 0x7eadbeef1000);

	made_word(python->thread, layout->thread_id, 0x7eadbeef0000);
	made_word(python->thread, layout->thread_next, second);
	made_python_walk(run, python);
	expect_stack(run, SAMPLE_NO_THREAD, 0, NULL);
	run_expect_losses(run, LOSS_THREAD_STATE, 1, -1);
	run_reset(run);
	made_word(python->thread, layout->thread_next, 0);
	made_word(python->interpreter, layout->interpreter_next, python->interpreter);
	made_python_walk(run, python);
	expect_stack(run, SAMPLE_NO_THREAD, 0, NULL);
	run_expect_losses(run, LOSS_THREAD_STATE, 1, -1);
}

static void test_thread_rings(void **state)
{
	made_python_each(*state, check_thread_rings);
}

/* Each frame of a sample is named by a record before it, or says that it has no name. */
static void sample_expect_named(const struct run *run, size_t at)
{
	const struct sample_record *sample = (const void *)run->records[at];
	uint32_t i;

	assert_true(sample->python_count <= PYTHON_FRAMES_MAX);
	assert_int_equal(sample->head.size,
			 offsetof(struct sample_record, python) +
				 sample->python_count * sizeof(struct python_frame));
	for (i = 0; i < sample->python_count; i++) {
		const struct python_frame *frame = &sample->python[i];
		uint64_t address = frame->code & ~PYTHON_FRAME_ENTRY;
		bool named = frame->identity == FRAME_UNNAMED;
		size_t j;

		for (j = 0; !named && j < at; j++) {
			const struct code_record *code = (const void *)run->records[j];

			named = code->head.kind == RECORD_CODE && code->code == address &&
				code->identity == frame->identity;
		}
		if (!named)
			fail_msg("frame %u of code object %llx has no name", i,
				 (unsigned long long)address);
	}
}

static uint64_t hostile_word(const struct made_python *python, uint64_t *seed)
{
	uint64_t random = random_next(seed);

	switch (random % 6) {
	case 0:
		return nowhere(python, (uint32_t)(random >> 8) % NOWHERE_COUNT);
	case 1:
		return random;
	case 2:
		return (random >> 8) % 10000;
	case 3:
		return ~0ULL << (random >> 8) % 64;
	}
	return (uint64_t)python->memory + (random >> 8) % python->used / 8 * 8;
}

/* An interpreter with words of its memory overwritten at random, again and again. */
static void check_random(struct run *run, struct made_python *python)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL + python->config.layout.frame_model;
	uint8_t *sound = malloc(python->bytes);
	int round, i;

	assert_non_null(sound);
	made_thread_run(python, python->thread, made_stack(python, 30));
	memcpy(sound, python->memory, python->used);
	for (round = 0; round < 600; round++) {
		memcpy(python->memory, sound, python->used);
		for (i = 0; i <= round / 40; i++)
			made_word((uint64_t)python->memory +
					  random_next(&seed) % (python->used - 16) / 8 * 8,
				  0, hostile_word(python, &seed));
		python->config.identity =
			round % 2 ? (uint32_t)IDENTITY_CHECKED : (uint32_t)IDENTITY_FREED;
		run_reset(run);
		made_python_walk(run, python);
		/* Thirty line tables of a wild length can fill the ring. */
		assert_int_equal(run_count(run, RECORD_SAMPLE) + run_lost(run, LOSS_RING_FULL), 1);
		if (run_count(run, RECORD_SAMPLE))
			sample_expect_named(run, run->count - 1);
	}
	free(sound);
}

static void test_random(void **state)
{
	made_python_each(*state, check_random);
}

#define TESTS                                                                                 \
	cmocka_unit_test(test_frame_nowhere), cmocka_unit_test(test_first_nowhere),           \
		cmocka_unit_test(test_cframe_nowhere), cmocka_unit_test(test_frame_half),     \
		cmocka_unit_test(test_frame_ring), cmocka_unit_test(test_shim_ring),          \
		cmocka_unit_test(test_code_nowhere), cmocka_unit_test(test_code_glue),        \
		cmocka_unit_test(test_code_never), cmocka_unit_test(test_code_type),          \
		cmocka_unit_test(test_texts), cmocka_unit_test(test_lines_wild),              \
		cmocka_unit_test(test_lines_nowhere), cmocka_unit_test(test_threads_nowhere), \
		cmocka_unit_test(test_runtime_nowhere), cmocka_unit_test(test_thread_rings),  \
		cmocka_unit_test(test_random)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("hostile memory, by the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("hostile memory, of another thread", tests,
						    run_set_up_other, run_tear_down);
}
