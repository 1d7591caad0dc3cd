/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks how native and Python frames are joined: which native frames stand for the interpreter's
 * loop, which Python frames each call of it runs, and that a walk which has lost its way among
 * native frames is taken up at the next call of the loop, and only there.
 */
#include "made_calls.h"

#include <string.h>
#include <unistd.h>

#define JOINTS_MAX 256 /* as in bpf/scratch.bpf.h */

static const struct unwind_rule rule_unknown = {.cfa = UNWIND_UNKNOWN};

static void check_interleaved(struct made_calls *calls)
{
	made_calls_c(calls, 2);
	made_calls_loop(calls, 3);
	made_calls_c(calls, 1);
	made_calls_loop(calls, 1);
	made_calls_loop(calls, 1);
	made_calls_c(calls, 5);
	made_calls_loop(calls, 40);
	made_calls_c(calls, 3);
	made_calls_end(calls);
	made_native_use(calls->native);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, -1);
}

static void test_interleaved(void **state)
{
	made_calls_each(state, check_interleaved);
}

/* The loop itself is what runs, at any depth of its stack below the joint. */
static void check_innermost(struct made_calls *calls)
{
	made_calls_loop(calls, 2);
	made_calls_c(calls, 1);
	made_calls_loop(calls, 2);
	made_calls_end(calls);
	made_native_use(calls->native);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, -1);
}

static void test_innermost(void **state)
{
	made_calls_each(state, check_innermost);
}

/* A call of the loop that has no frame yet, or no more: none of the others' are taken for its. */
static void check_no_frames_yet(struct made_calls *calls)
{
	made_calls_c(calls, 1);
	made_calls_loop(calls, 0);
	made_calls_c(calls, 2);
	made_calls_loop(calls, 2);
	made_calls_c(calls, 1);
	made_calls_loop(calls, 1);
	made_calls_end(calls);
	made_native_use(calls->native);
	made_calls_expect(calls);
	made_calls_again(calls);
	made_calls_loop(calls, 0);
	made_calls_end(calls);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, -1);
}

static void test_no_frames_yet(void **state)
{
	made_calls_each(state, check_no_frames_yet);
}

/* C code that calls Python code that calls C code, deeper than joints are kept. */
static void check_many(struct made_calls *calls)
{
	uint32_t i;

	for (i = 0; i < JOINTS_MAX + 50; i++) {
		made_calls_c(calls, 2);
		made_calls_loop(calls, 1);
		if (i >= JOINTS_MAX && calls->version != MADE_3_10)
			calls->words[calls->word_count - 1] &= ~NATIVE_INTERPRETER;
	}
	made_calls_end(calls);
	made_native_use(calls->native);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, -1);
}

static void test_many(void **state)
{
	made_calls_each(state, check_many);
}

/* A thread without Python frames: nothing in its native stack can stand for any. */
static void check_no_python(struct made_calls *calls)
{
	made_calls_c(calls, 2);
	made_calls_end(calls);
	made_native_use(calls->native);
	made_calls_expect(calls);
	made_word(calls->python.thread, calls->python.config.layout.thread_id, 0x7eadbeef0000);
	run_program(calls->native->run->programs->progs.thread_forget);
	calls->flags |= SAMPLE_NO_THREAD;
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, -1);
}

static void test_no_python(void **state)
{
	made_calls_each(state, check_no_python);
}

/* Walks one frame that is in `loop` and whose call returns to where `caller` says. */
static void loop_range_check(struct made_native *native, uint64_t address, bool in_loop,
			     uint64_t return_address, bool caller_in_loop)
{
	const uint64_t words[2] = {native_word(address) | (in_loop ? NATIVE_INTERPRETER : 0),
				   native_word(return_address - 1) |
					   (caller_in_loop ? NATIVE_INTERPRETER : 0)};

	run_reset(native->run);
	native->at.ip = address;
	made_stack_word(native->at.sp + C_BYTES - 8, return_address);
	made_stack_word(native->at.sp + 2 * C_BYTES - 8, 0);
	made_native_walk(native);
	expect_native(native->run, SAMPLE_NATIVE | SAMPLE_NOT_PYTHON, 2, words);
}

/* Up to 3.10 the loop is two ranges of addresses at most, the second one of what is seldom run. */
static void test_loop_range(void **state)
{
	struct made_native native;
	uint64_t part[2];
	uint32_t i;

	made_native_new(&native, *state);
	for (i = 0; i < 2; i++) {
		made_function(&native, (struct unwind_rule){.cfa = UNWIND_SP, .offset = C_BYTES});
		part[i] = made_function(&native,
					(struct unwind_rule){.cfa = UNWIND_SP, .offset = C_BYTES});
		native.config.loop_start[i] = part[i];
		native.config.loop_end[i] = part[i] + FUNCTION_BYTES;
	}
	made_function(&native, (struct unwind_rule){.cfa = UNWIND_SP, .offset = C_BYTES});
	made_native_use(&native);
	for (i = 0; i < 2; i++) {
		uint64_t end = part[i] + FUNCTION_BYTES;

		loop_range_check(&native, part[i], true, part[i] + 1, true);
		loop_range_check(&native, part[i] - 1, false, part[i], false);
		loop_range_check(&native, end - 1, true, end, true);
		loop_range_check(&native, end, false, end + 1, false);
	}
	memset(native.config.loop_start, 0, sizeof(native.config.loop_start));
	memset(native.config.loop_end, 0, sizeof(native.config.loop_end));
	loop_range_check(&native, part[0], false, part[1], false);
	run_expect_losses(native.run, -1);
	made_native_free(&native);
}

/* Before 3.11 the loop is told even where its table is missing. */
static void test_loop_pending(void **state)
{
	struct unwind_range range = {.start = FUNCTIONS_START + MADE_BIAS,
				     .end = FUNCTIONS_START + MADE_BIAS + 0x10000,
				     .bias = MADE_BIAS,
				     .file = MADE_FILE};
	struct made_native native;
	uint64_t loop, word;

	made_native_new(&native, *state);
	loop = made_function(&native, rule_unknown);
	word = native_word(loop) | NATIVE_INTERPRETER;
	native.config.loop_start[1] = loop;
	native.config.loop_end[1] = loop + 16;
	native.at.ip = loop;
	made_native_use(&native);
	made_chunks_add_ranges(&native.chunks, native.space.ranges.block, &range, 1);
	made_native_walk(&native);
	expect_native(native.run, SAMPLE_NATIVE | SAMPLE_NOT_PYTHON | SAMPLE_NATIVE_CUT, 1, &word);
	run_expect_losses(native.run, LOSS_NATIVE_PENDING, 1, -1);
	made_native_free(&native);
}

/* Walks a sound stack, by which the process' loop becomes known. */
static void calls_learn(struct made_calls *calls)
{
	made_calls_c(calls, 1);
	made_calls_loop(calls, 1);
	made_calls_end(calls);
	made_native_use(calls->native);
	made_calls_expect(calls);
	made_calls_again(calls);
}

static void check_learnt(struct made_calls *calls)
{
	struct address_space space;

	calls_learn(calls);
	space = made_space_get(calls->native->run);
	if (calls->version == MADE_3_10) {
		assert_int_equal(space.loop_cfa_at, 0);
		return;
	}
	assert_int_equal(space.loop_cfa_at, LOOP_BYTES - LOOP_JOINT);
	assert_int_equal(space.loop_frame_pointer_at, LOOP_FP_AT);
}

static void test_learnt(void **state)
{
	made_calls_each(state, check_learnt);
}

/* Makes the last frame the outermost one that is found, if nothing is taken up. */
static void expect_cut(struct made_calls *calls)
{
	calls->flags |= SAMPLE_NATIVE_CUT;
	made_calls_expect(calls);
}

/*
 * Code without a table that Python code calls, and that calls Python code. The walk goes on at the
 * loop each time, and what it finds there is what it would have found without.
 */
static void check_taken_up(struct made_calls *calls)
{
	uint64_t bad = made_function(calls->native, rule_unknown);
	uint64_t by_fp =
		made_function(calls->native, (struct unwind_rule){.cfa = UNWIND_FP, .offset = 16});
	uint64_t loop_end;

	if (calls->version == MADE_3_10)
		return;
	calls_learn(calls);
	made_calls_function(calls, bad, 64);
	made_calls_loop_taken_up(calls, 3);
	made_calls_c(calls, 2);
	made_calls_loop(calls, 1);
	made_calls_function(calls, bad, 264);
	made_calls_loop_taken_up(calls, 1);
	/* The frame pointer that the loop has saved is its caller's again. */
	loop_end = calls->sp;
	made_stack_word(loop_end + 8 * LOOP_FP_AT, loop_end + 80);
	made_calls_function(calls, by_fp, 96);
	made_calls_end(calls);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, 2, -1);
}

static void test_taken_up(void **state)
{
	made_calls_each(state, check_taken_up);
}

/* Walks from a frame of this function, which cannot be followed, and is counted as this loss. */
static void taken_up_check(struct made_calls *calls, uint64_t function, enum loss loss)
{
	made_calls_again(calls);
	made_calls_c(calls, 1);
	made_calls_function(calls, function, 32);
	made_calls_loop_taken_up(calls, 2);
	made_calls_c(calls, 1);
	made_calls_end(calls);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, loss, 1, -1);
}

/*
 * The walk is taken up whatever it was that could not be followed: here from the second frame, by
 * which words are needed that lie behind either end of the stack.
 */
static void check_taken_up_from(struct made_calls *calls)
{
	const int16_t below = -(STACK_START + C_BYTES + 8);
	const int32_t above = STACK_PAGES * 4096 - STACK_START - C_BYTES + 16;
	const struct {
		struct unwind_rule rule;
		enum loss loss;
	} ways[] = {
		{{.cfa = UNWIND_SP, .offset = -8}, LOSS_NATIVE_INVALID},
		{{.cfa = UNWIND_SP, .offset = above}, LOSS_NATIVE_UNREADABLE},
		{{.cfa = UNWIND_SP_LOADED, .short_offset = below}, LOSS_NATIVE_UNREADABLE},
		{{.cfa = UNWIND_SP,
		  .offset = 16,
		  .frame_pointer = FRAME_POINTER_CFA,
		  .frame_pointer_at = below / 8 - 3},
		 LOSS_NATIVE_UNREADABLE},
		{{.cfa = UNWIND_REGISTER}, LOSS_NATIVE_UNKNOWN},
		{{.cfa = UNWIND_UNKNOWN}, LOSS_NATIVE_UNKNOWN},
	};
	uint64_t functions[6];
	uint32_t i;

	if (calls->version == MADE_3_10)
		return;
	for (i = 0; i < 6; i++)
		functions[i] = made_function(calls->native, ways[i].rule);
	calls_learn(calls);
	for (i = 0; i < 6; i++)
		taken_up_check(calls, functions[i], ways[i].loss);
}

static void test_taken_up_from(void **state)
{
	made_calls_each(state, check_taken_up_from);
}

/* No call of the loop is left, or none is known, or it was not followed before. */
static void check_not_taken_up(struct made_calls *calls)
{
	uint64_t bad = made_function(calls->native, rule_unknown);

	calls_learn(calls);
	made_calls_c(calls, 1);
	made_calls_loop(calls, 2);
	made_calls_function(calls, bad, 64);
	made_calls_end(calls);
	calls->word_count--;
	expect_cut(calls);
	run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
	made_calls_again(calls);
	made_space_set(calls->native->run, &calls->native->space);
	made_calls_function(calls, bad, 64);
	made_calls_loop(calls, 1);
	made_calls_end(calls);
	calls->word_count = 1;
	expect_cut(calls);
	run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
	assert_int_equal(made_space_get(calls->native->run).loop_cfa_at, 0);
}

static void test_not_taken_up(void **state)
{
	made_calls_each(state, check_not_taken_up);
}

/*
 * What is said to be known of the loop leads below the joint, or behind either end of the stack:
 * the loss is counted once, not twice.
 */
static void check_taken_up_nowhere(struct made_calls *calls)
{
	const uint32_t joint_at = STACK_START + 64 + LOOP_JOINT,
		       end = STACK_PAGES * 4096 - joint_at;
	const struct {
		uint32_t cfa_at;
		int32_t frame_pointer_at;
	} wild[] = {{1, -(int32_t)(joint_at / 8 + 2)},
		    {8, -(int32_t)(joint_at / 8 + 5)},
		    {16, (int32_t)(end / 8)},
		    {end + 9, -4},
		    {end + 16, -4},
		    {0x80000000, -2},
		    {0xffffffff, -2},
		    {0, -2}};
	uint64_t bad = made_function(calls->native, rule_unknown);
	struct address_space space;
	uint32_t i;

	if (calls->version == MADE_3_10)
		return;
	calls_learn(calls);
	space = made_space_get(calls->native->run);
	for (i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		made_calls_again(calls);
		space.loop_cfa_at = wild[i].cfa_at;
		space.loop_frame_pointer_at = wild[i].frame_pointer_at;
		made_space_set(calls->native->run, &space);
		made_calls_function(calls, bad, 64);
		made_calls_loop(calls, 1);
		made_calls_end(calls);
		calls->word_count = 1;
		expect_cut(calls);
		run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
	}
}

static void test_taken_up_nowhere(void **state)
{
	made_calls_each(state, check_taken_up_nowhere);
}

/* Joints that are said to be below the stack, or where there is no memory. */
static void check_wild_joints(struct made_calls *calls)
{
	const uint64_t wild[] = {8, calls->native->stack, 0x7fffffffff00, 0x8000deadbeef0000,
				 ~7ULL};
	uint64_t bad = made_function(calls->native, rule_unknown);
	uint32_t i;

	if (calls->version != MADE_3_11) /* elsewhere a joint must be readable */
		return;
	calls_learn(calls);
	for (i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		made_calls_again(calls);
		made_calls_loop(calls, 1);
		made_word(calls->cframe, calls->python.config.layout.cframe_previous, wild[i]);
		calls->cframe = 0;
		made_calls_function(calls, bad, 64);
		made_calls_loop(calls, 1);
		made_calls_end(calls);
		made_word(calls->python.thread, calls->python.config.layout.thread_frame,
			  calls->native->at.sp + LOOP_JOINT);
		made_word(calls->native->at.sp + LOOP_JOINT,
			  calls->python.config.layout.cframe_current_frame, calls->first_frame);
		calls->word_count = 2;
		expect_cut(calls);
		run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
	}
}

static void test_wild_joints(void **state)
{
	made_calls_each(state, check_wild_joints);
}

/* A loop that keeps its caller's frame pointer elsewhere, or not at all, cannot be taken up at. */
static void check_not_learnt(struct made_calls *calls)
{
	static const uint8_t kinds[] = {FRAME_POINTER_SAME, FRAME_POINTER_FP, FRAME_POINTER_LOST};
	struct made_native *native = calls->native;
	uint64_t index = (calls->in_loop - MADE_BIAS - FUNCTIONS_START) / FUNCTION_BYTES;
	uint32_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		native->table->rules[index].frame_pointer = kinds[i];
		native->table->rules[index].frame_pointer_at = 0;
		native->at.fp = native->stack;
		calls_learn(calls);
		assert_int_equal(made_space_get(native->run).loop_cfa_at, 0);
	}
}

static void test_not_learnt(void **state)
{
	made_calls_each(state, check_not_learnt);
}

#define GENERATED 0x1000000 /* where code lies that is of no file */

/* Makes a range of the process one without a file. What is known of the loop stays. */
static void generated_use(struct made_calls *calls)
{
	const struct unwind_range ranges[2] = {{.start = GENERATED, .end = GENERATED + 0x10000},
					       {.start = FUNCTIONS_START + MADE_BIAS,
						.end = FUNCTIONS_START + MADE_BIAS + 0x10000,
						.bias = MADE_BIAS,
						.file = MADE_FILE,
						.chunk = CHUNK_TABLES,
						.block = TABLE_BLOCK}};
	struct address_space space = made_space_get(calls->native->run);

	space.range_count = 2;
	made_chunks_add_ranges(&calls->native->chunks, space.ranges.block, ranges, 2);
	made_space_set(calls->native->run, &space);
}

static void generated_add(struct made_calls *calls)
{
	made_calls_function(calls, GENERATED + 64, 64);
	calls->words[calls->word_count - 1] = GENERATED + 64;
}

/* From 3.13 on code that lies in no file may be the interpreter's own work: no loss if taken up. */
static void check_compiled(struct made_calls *calls)
{
	if (calls->version == MADE_3_10)
		return;
	calls_learn(calls);
	generated_use(calls);
	generated_add(calls);
	made_calls_loop_taken_up(calls, 3);
	made_calls_c(calls, 1);
	made_calls_end(calls);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, calls->version < MADE_3_13, -1);
}

/* Code that is nowhere at all is no code of the interpreter's: here it lies behind such code. */
static void check_not_compiled(struct made_calls *calls)
{
	const uint64_t nowhere = GENERATED + 0x20000;

	if (calls->version == MADE_3_10)
		return;
	calls_learn(calls);
	generated_use(calls);
	made_calls_function(calls, nowhere, 64);
	calls->words[0] = nowhere;
	made_calls_loop_taken_up(calls, 1);
	made_calls_end(calls);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, LOSS_NATIVE_UNMAPPED, 1, -1);
}

/* The same where it cannot be taken up: then it is a loss, and only one. */
static void check_compiled_cut(struct made_calls *calls)
{
	bool known = calls->version < MADE_3_13;
	struct address_space space;

	if (calls->version == MADE_3_10)
		return;
	calls_learn(calls);
	generated_use(calls);
	generated_add(calls);
	made_calls_end(calls);
	calls->word_count = 1;
	expect_cut(calls);
	run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
	made_calls_again(calls);
	generated_add(calls);
	made_calls_loop(calls, 1);
	made_calls_end(calls);
	calls->word_count = 1;
	space = made_space_get(calls->native->run);
	space.loop_cfa_at = ~0U;
	made_space_set(calls->native->run, &space);
	expect_cut(calls);
	run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, known, LOSS_NATIVE_INVALID,
			  !known, -1);
}

static void test_compiled(void **state)
{
	made_calls_each(state, check_compiled);
	made_calls_each(state, check_not_compiled);
	made_calls_each(state, check_compiled_cut);
}

/*
 * After a thread with Python frames comes one without, on the same CPU: of the first one's loops
 * nothing may be found in its stack, and it may not be taken up at any of them.
 */
static void check_other_threads(struct made_calls *calls)
{
	uint64_t bad = made_function(calls->native, rule_unknown);
	uint32_t way;

	calls_learn(calls);
	for (way = 0; way < 2; way++) {
		made_calls_again(calls);
		made_calls_function(calls, bad, 64);
		made_calls_end(calls);
		calls->word_count = 1;
		calls->flags |= SAMPLE_NATIVE_CUT | (way ? SAMPLE_NO_THREAD : SAMPLE_NOT_PYTHON);
		if (way) {
			made_word(calls->python.thread, calls->python.config.layout.thread_id,
				  0x7eadbeef0000);
		} else {
			calls->native->config.layout.version = 0;
		}
		made_calls_expect(calls);
		run_expect_losses(calls->native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
	}
}

static void test_other_threads(void **state)
{
	made_calls_each(state, check_other_threads);
}

/*
 * Python's frames cannot be read further than the first one: no call of the loop is complete, so
 * that from 3.11 on none can be told. The native frames are all there.
 */
static void check_broken(struct made_calls *calls)
{
	uint32_t i;

	made_calls_c(calls, 1);
	made_calls_loop(calls, 2);
	made_calls_c(calls, 1);
	made_calls_loop(calls, 1);
	made_calls_end(calls);
	made_word(calls->first_frame, calls->python.config.layout.frame_previous, 64);
	for (i = 0; i < calls->word_count && calls->version != MADE_3_10; i++)
		calls->words[i] &= ~NATIVE_INTERPRETER;
	calls->code_count = 1;
	calls->flags |= SAMPLE_BROKEN;
	made_native_use(calls->native);
	made_calls_expect(calls);
	run_expect_losses(calls->native->run, LOSS_FRAME_UNREADABLE, 1, -1);
}

static void test_broken(void **state)
{
	made_calls_each(state, check_broken);
}

#define TESTS                                                                                 \
	cmocka_unit_test(test_interleaved), cmocka_unit_test(test_innermost),                 \
		cmocka_unit_test(test_no_frames_yet), cmocka_unit_test(test_many),            \
		cmocka_unit_test(test_no_python), cmocka_unit_test(test_loop_range),          \
		cmocka_unit_test(test_loop_pending), cmocka_unit_test(test_learnt),           \
		cmocka_unit_test(test_taken_up), cmocka_unit_test(test_taken_up_from),        \
		cmocka_unit_test(test_not_taken_up), cmocka_unit_test(test_taken_up_nowhere), \
		cmocka_unit_test(test_wild_joints), cmocka_unit_test(test_not_learnt),        \
		cmocka_unit_test(test_compiled), cmocka_unit_test(test_other_threads),        \
		cmocka_unit_test(test_broken)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("joints, by the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("joints, of another thread", tests,
						    run_set_up_other, run_tear_down);
}
