/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks which PyThreadState is taken for the thread's own, and when it is no longer believed. */
#include "made_python.h"

#include <pthread.h>

#define ELSEWHERE 0x7eadbeef0000 /* a thread pointer that no thread of this test has */

static uint64_t own_pointer(void)
{
	return (uint64_t)pthread_self();
}

/* Gives a thread state one frame, of a code object of its own. */
static uint64_t thread_give(struct made_python *python, uint64_t thread, uint32_t number)
{
	uint64_t code = made_code_numbered(python, number);

	made_thread_run(python, thread, made_frame(python, code, 0, 2));
	return code;
}

static void expect_no_state(const struct run *run)
{
	expect_stack(run, SAMPLE_NO_THREAD, 0, NULL);
}

static void check_among_others(struct run *run, struct made_python *python)
{
	uint64_t code = thread_give(python, python->thread, 1);
	uint32_t i;

	for (i = 0; i < 300; i++)
		thread_give(python, made_thread(python, python->interpreter, ELSEWHERE + i), 100);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	run_expect_losses(run, -1);
}

static void test_among_others(void **state)
{
	made_python_each(*state, check_among_others);
}

static void check_not_python(struct run *run, struct made_python *python)
{
	made_word(python->thread, python->config.layout.thread_id, ELSEWHERE);
	thread_give(python, python->thread, 1);
	made_python_walk(run, python);
	expect_no_state(run);
	run_expect_losses(run, -1);
	/* Not yet initialised: no interpreter. */
	made_word(python->config.runtime, python->config.layout.runtime_interpreters_head, 0);
	made_python_walk(run, python);
	expect_no_state(run);
	run_expect_losses(run, -1);
}

static void test_not_python(void **state)
{
	made_python_each(*state, check_not_python);
}

/* The state that was found is freed and another one made, elsewhere in the list or at its head. */
static void check_stale(struct run *run, struct made_python *python)
{
	uint64_t old = python->thread, code = thread_give(python, old, 1), fresh;
	uint64_t neighbour = made_thread(python, python->interpreter, ELSEWHERE);

	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	made_thread_unlink(python, old);
	made_python_walk(run, python);
	expect_no_state(run);
	fresh = made_thread(python, python->interpreter, own_pointer());
	code = thread_give(python, fresh, 2);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	made_thread_unlink(python, fresh);
	made_thread_unlink(python, neighbour);
	made_python_walk(run, python);
	expect_no_state(run);
	run_expect_losses(run, -1);
}

static void test_stale(void **state)
{
	made_python_each(*state, check_stale);
}

/* The memory of a freed state is given to another thread, in the list as well. */
static void check_taken_over(struct run *run, struct made_python *python)
{
	uint64_t code = thread_give(python, python->thread, 1);

	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	made_word(python->thread, python->config.layout.thread_id, ELSEWHERE);
	made_python_walk(run, python);
	expect_no_state(run);
	made_word(python->thread, python->config.layout.thread_id, own_pointer());
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
}

static void test_taken_over(void **state)
{
	made_python_each(*state, check_taken_over);
}

/* A freed state that still points to its neighbours, who no longer point to it. */
static void check_dangling(struct run *run, struct made_python *python)
{
	uint64_t code = thread_give(python, python->thread, 1);

	made_thread(python, python->interpreter, ELSEWHERE);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	made_thread_unlink(python, python->thread);
	made_python_walk(run, python);
	expect_no_state(run);
}

static void test_dangling(void **state)
{
	made_python_each(*state, check_dangling);
}

/* Sub-interpreters: the thread has a state in two of them and runs Python in the one or the other. */
static void check_interpreters(struct run *run, struct made_python *python)
{
	uint64_t second = made_interpreter(python), third = made_interpreter(python);
	uint64_t inner = made_thread(python, second, own_pointer());
	uint64_t codes[2] = {thread_give(python, python->thread, 1), 0};

	made_thread(python, third, ELSEWHERE);
	/* In the new interpreter it has no frames, so the old one's count. */
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &codes[0]);
	codes[1] = thread_give(python, inner, 2);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &codes[1]);
	/* It leaves the sub-interpreter: where frames are chunks, tstate->cframe stays set. */
	made_word(inner, python->config.layout.thread_frame, 0);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &codes[0]);
	run_expect_losses(run, -1);
}

static void test_interpreters(void **state)
{
	made_python_each(*state, check_interpreters);
}

/* A state known in the only interpreter is not taken for the thread's when another one is made. */
static void check_new_interpreter(struct run *run, struct made_python *python)
{
	uint64_t codes[2] = {thread_give(python, python->thread, 1), 0};
	uint64_t second;

	made_python_walk(run, python);
	expect_stack(run, 0, 1, &codes[0]);
	second = made_interpreter(python);
	codes[1] = thread_give(python, made_thread(python, second, own_pointer()), 2);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &codes[1]);
}

static void test_new_interpreter(void **state)
{
	made_python_each(*state, check_new_interpreter);
}

/* The interpreter is torn down and another made, as Py_Finalize() and Py_Initialize() do. */
static void check_restart(struct run *run, struct made_python *python)
{
	uint64_t code = thread_give(python, python->thread, 1);

	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	made_word(python->config.runtime, python->config.layout.runtime_interpreters_head, 0);
	made_python_walk(run, python);
	expect_no_state(run);
	code = thread_give(python, made_thread(python, made_interpreter(python), own_pointer()), 2);
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
	run_expect_losses(run, -1);
}

static void test_restart(void **state)
{
	made_python_each(*state, check_restart);
}

#define TESTS                                                                         \
	cmocka_unit_test(test_among_others), cmocka_unit_test(test_not_python),       \
		cmocka_unit_test(test_stale), cmocka_unit_test(test_taken_over),      \
		cmocka_unit_test(test_dangling), cmocka_unit_test(test_interpreters), \
		cmocka_unit_test(test_new_interpreter), cmocka_unit_test(test_restart)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("thread states, by the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("thread states, of another thread", tests,
						    run_set_up_other, run_tear_down);
}
