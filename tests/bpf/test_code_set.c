/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks how code objects are known again: told of once, told of again when freed or when another
 * one lies at the address, and never held to be known when they are not.
 */
#include "made_python.h"

#define SET_KEYS (4096 * 4)

static void keys_run(struct run *run, struct bpf_program *program, uint64_t first, uint64_t count)
{
	struct mechanisms__bss *bss = run->programs->bss;

	bss->code_keys_first = first;
	bss->code_keys_count = count;
	bss->code_keys_held = 0;
	bss->code_keys_wrong = 0;
	run_program(program);
}

/* Far more than the set has room for: each is new, then known; no more are kept than fit. */
static void test_keys(void **state)
{
	struct run *run = *state;
	struct mechanisms__bss *bss = run->programs->bss;

	run_reset(run);
	keys_run(run, run->programs->progs.code_keys_add, 1ULL << 32, 100000);
	assert_int_equal(bss->code_keys_wrong, 0);
	assert_int_equal(bss->code_keys_held, 100000);
	keys_run(run, run->programs->progs.code_keys_count_held, 1ULL << 32, 100000);
	assert_in_range(bss->code_keys_held, SET_KEYS / 2, SET_KEYS);
	keys_run(run, run->programs->progs.code_keys_count_held, 1ULL << 40, 100000);
	assert_int_equal(bss->code_keys_held, 0);
	keys_run(run, run->programs->progs.code_keys_remove, 1ULL << 32, 100000);
	assert_int_equal(bss->code_keys_wrong, 0);
	keys_run(run, run->programs->progs.code_keys_count_held, 1ULL << 32, 100000);
	assert_int_equal(bss->code_keys_held, 0);
}

/* A set that is not full forgets nothing: 1,000 code objects are few enough. */
static void test_keys_few(void **state)
{
	struct run *run = *state;

	run_reset(run);
	keys_run(run, run->programs->progs.code_keys_add, 0x7f1234567000, 1000);
	keys_run(run, run->programs->progs.code_keys_count_held, 0x7f1234567000, 1000);
	assert_int_equal(run->programs->bss->code_keys_held, 1000);
}

static void check_known(struct run *run, struct made_python *python)
{
	int walk;

	made_thread_run(python, python->thread, made_stack(python, 20));
	for (walk = 0; walk < 3; walk++)
		made_python_walk(run, python);
	assert_int_equal(run_count(run, RECORD_CODE), 20);
	assert_int_equal(run_count(run, RECORD_LINES), 20);
	assert_int_equal(run_count(run, RECORD_SAMPLE), 3);
	run_expect_losses(run, -1);
}

static void test_known(void **state)
{
	made_python_each(*state, check_known);
}

/* Recursion: one code object in many frames is told of once. */
static void check_recursion(struct run *run, struct made_python *python)
{
	uint64_t code = made_code_numbered(python, 8), frame = 0;
	int i;

	for (i = 0; i < 50; i++)
		frame = made_frame(python, code, frame, i * 2);
	made_thread_run(python, python->thread, frame);
	made_python_walk(run, python);
	assert_int_equal(run_sample(run)->python_count, 50);
	assert_int_equal(run_count(run, RECORD_CODE), 1);
}

static void test_recursion(void **state)
{
	made_python_each(*state, check_recursion);
}

/* Without the probe's word the successor would go by the dead one's name. */
static void check_freed(struct run *run, struct made_python *python)
{
	uint64_t code = made_code_numbered(python, 1), other = made_code_numbered(python, 2);
	uint64_t caller = made_frame(python, other, 0, 2);

	made_thread_run(python, python->thread, made_frame(python, code, caller, 2));
	made_python_walk(run, python);
	expect_name(run, code, "function_1");
	run->programs->bss->freed_code = code;
	assert_int_equal(run_program(run->programs->progs.code_free), 0);
	made_word(code,
		  python->config.layout.code_qualified_name
			  ? python->config.layout.code_qualified_name
			  : python->config.layout.code_name,
		  made_ascii(python, "successor"));
	made_python_walk(run, python);
	expect_name(run, code, "successor");
	assert_int_equal(run_count(run, RECORD_CODE), 3);
	run_expect_losses(run, -1);
}

static void test_freed(void **state)
{
	made_python_each(*state, check_freed);
}

/* The same address in another process, or after an exec, is another code object. */
static void check_processes(struct run *run, struct made_python *python)
{
	uint64_t code = made_code_numbered(python, 1);

	made_thread_run(python, python->thread, made_frame(python, code, 0, 2));
	made_python_walk(run, python);
	python->config.index = MADE_PROCESS + 1;
	made_python_walk(run, python);
	assert_int_equal(run_count(run, RECORD_CODE), 2);
	assert_int_equal(run_code(run, code)->head.process, MADE_PROCESS + 1);
	assert_int_equal(run_sample(run)->head.process, MADE_PROCESS + 1);
}

static void test_processes(void **state)
{
	made_python_each(*state, check_processes);
}

static uint32_t identity_after(struct run *run, struct made_python *python)
{
	made_python_walk(run, python);
	assert_int_equal(run_sample(run)->python_count, 1);
	return run_sample(run)->python[0].identity;
}

/*
 * A code object that replaces another at its address, without a probe that would tell: another
 * first line, a name or a file name of another hash each make another identity, and a new record.
 */
static void check_checked(struct run *run, struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t code = made_code_numbered(python, 1);
	uint32_t identities[4], i, j;

	python->config.identity = IDENTITY_CHECKED;
	made_thread_run(python, python->thread, made_frame(python, code, 0, 2));
	identities[0] = identity_after(run, python);
	assert_int_equal(identity_after(run, python), identities[0]);
	assert_int_equal(run_count(run, RECORD_CODE), 1);
	made_int(code, layout->code_first_line, 77);
	identities[1] = identity_after(run, python);
	made_word(code, layout->code_name, made_ascii(python, "renamed"));
	identities[2] = identity_after(run, python);
	made_word(code, layout->code_filename, made_ascii(python, "/moved.py"));
	identities[3] = identity_after(run, python);
	for (i = 0; i < 4; i++)
		for (j = 0; j < i; j++)
			assert_int_not_equal(identities[i], identities[j]);
	assert_int_equal(run_count(run, RECORD_CODE), 4);
	assert_int_equal(run_code(run, code)->identity, identities[3]);
	run_expect_losses(run, -1);
}

static void test_checked(void **state)
{
	made_python_each(*state, check_checked);
}

/* From 3.12 on co_version, while it is not 0, says which code object it is. */
static void test_versions(void **state)
{
	struct run *run = *state;
	struct made_python python;
	uint32_t identities[3];
	uint64_t code;

	run_reset(run);
	made_python_new(&python, FRAME_MODEL_CURRENT);
	python.config.identity = IDENTITY_CHECKED;
	python.config.layout.code_version = 100;
	code = made_code_numbered(&python, 1);
	made_thread_run(&python, python.thread, made_frame(&python, code, 0, 2));
	made_int(code, 100, 4000);
	identities[0] = identity_after(run, &python);
	made_int(code, 100, 4001);
	identities[1] = identity_after(run, &python);
	made_int(code, 100, 0);
	identities[2] = identity_after(run, &python);
	assert_int_not_equal(identities[0], identities[1]);
	assert_int_not_equal(identities[1], identities[2]);
	made_int(code, python.config.layout.code_first_line, 78);
	assert_int_not_equal(identity_after(run, &python), identities[2]);
	made_int(code, 100, 4000);
	assert_int_equal(identity_after(run, &python), identities[0]);
	assert_int_equal(run_count(run, RECORD_CODE), 4);
	made_python_free(&python);
}

/* Walks until samples are dropped: in a ring that nobody reads. */
static uint32_t ring_fill(struct run *run)
{
	uint32_t walks = 0;

	while (!run_lost(run, LOSS_RING_FULL)) {
		run_program(run->programs->progs.walk_own);
		assert_true(walks++ < 1000);
	}
	return walks;
}

/*
 * Samples leave room for names. A code object that could not be told of for want of it stays
 * unknown, its frame says so, and it is told of as soon as there is room.
 */
static void test_ring_full(void **state)
{
	struct run *run = run_open(VIEW_OWN, 1 << 16);
	struct made_python python;
	uint32_t walks, i;

	made_python_new(&python, FRAME_MODEL_CFRAME);
	made_python_use(run, &python);
	walks = ring_fill(run);
	made_thread_run(&python, python.thread, made_stack(&python, 10));
	run_program(run->programs->progs.walk_own);
	run_expect_losses(run, LOSS_RING_FULL, 2, -1);
	made_thread_run(&python, python.thread, made_stack(&python, 200));
	run_program(run->programs->progs.walk_own);
	assert_true(run_lost(run, LOSS_CODE_UNNAMED) > 0);
	run_drain(run);
	assert_true(run_count(run, RECORD_CODE) > 10);
	assert_int_equal(run_count(run, RECORD_SAMPLE), walks - 1);
	run_walk(run);
	assert_int_equal(run_sample(run)->python_count, 200);
	for (i = 0; i < 200; i++) {
		assert_int_equal(run_sample(run)->python[i].identity, 0);
		assert_non_null(run_code(run, run_sample(run)->python[i].code));
	}
	made_python_free(&python);
	run_close(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),      cmocka_unit_test(test_keys_few),
		cmocka_unit_test(test_known),     cmocka_unit_test(test_recursion),
		cmocka_unit_test(test_freed),     cmocka_unit_test(test_processes),
		cmocka_unit_test(test_checked),   cmocka_unit_test(test_versions),
		cmocka_unit_test(test_ring_full),
	};

	return cmocka_run_group_tests(tests, run_set_up_own, run_tear_down);
}
