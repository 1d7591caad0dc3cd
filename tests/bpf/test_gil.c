/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks who is said to hold the interpreter's lock while another thread waits for it: by what is
 * read at both ends of the wait, by the ticks within it, and from memory that makes no sense.
 */
#include "made_python.h"

#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

#define OTHER_THREAD 0x7eadbeef0000

/* An interpreter whose lock another thread has. */
struct held {
	struct run *run;
	struct made_python *python;
	uint64_t gil;
	uint64_t holder; /* PyThreadState of the one that has it */
	uint64_t code;   /* of the holder's innermost frame */
};

/* No test before has seen ticks of a lock at this address. */
static void ticks_forget(struct run *run, uint64_t gil)
{
	const uint64_t key[2] = {gil, run->programs->bss->subject_pid};

	bpf_map_delete_elem(bpf_map__fd(run->programs->maps.gil_ticks), key);
}

static uint64_t gil_new(struct run *run, struct made_python *python, uint64_t interpreter)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t gil = python->config.runtime + layout->runtime_gil;

	if (layout->interpreter_gil) {
		gil = made_memory(python, layout->gil_size);
		made_word(interpreter, layout->interpreter_gil, gil);
	}
	made_int(gil, layout->gil_locked, 1);
	ticks_forget(run, gil);
	return gil;
}

/* The holder runs another function from now on. Returns its code object. */
static uint64_t held_run(struct held *held, uint32_t number)
{
	uint64_t code = made_code_numbered(held->python, number);
	uint64_t caller = made_frame(held->python, made_code_numbered(held->python, 99), 0, 4);

	made_thread_run(held->python, held->holder, made_frame(held->python, code, caller, 6));
	return code;
}

static void held_by(struct held *held, uint64_t thread)
{
	made_word(held->gil, held->python->config.layout.gil_last_holder, thread);
}

static struct held held_new(struct run *run, struct made_python *python)
{
	struct held held = {.run = run, .python = python};

	held.gil = gil_new(run, python, python->interpreter);
	held.holder = made_thread(python, python->interpreter, OTHER_THREAD);
	held.code = held_run(&held, 1);
	held_by(&held, held.holder);
	made_python_use(run, python);
	return held;
}

/* The calling thread begins to wait. `timeout`: struct timespec *, NULL: none. */
static const struct call_result *wait_begin(const struct held *held, const void *timeout,
					    uint64_t now)
{
	struct mechanisms__bss *bss = held->run->programs->bss;

	bss->made_call = (struct made_call){
		.number = SYS_futex,
		.arguments = {held->gil + 40, FUTEX_WAIT_BITSET, 0, (uint64_t)timeout},
		.now = now,
		.task_state = SLEEP_INTERRUPTIBLE};
	run_program(held->run->programs->progs.classify_own);
	assert_int_equal(bss->call_result.state, STATE_GIL);
	return &bss->call_result;
}

static const struct python_frame *wait_end(const struct held *held, uint64_t now)
{
	held->run->programs->bss->made_call.now = now;
	assert_int_equal(run_program(held->run->programs->progs.wait_end_own), 0);
	run_drain(held->run);
	return run_sample(held->run)->holder;
}

static void expect_holders(const struct python_frame *holders, uint64_t first, uint64_t second)
{
	assert_int_equal(holders[0].code, first);
	assert_int_equal(holders[1].code, second);
}

static void check_good(struct run *run, struct made_python *python)
{
	struct held held = held_new(run, python);

	assert_int_equal(wait_begin(&held, NULL, 1000)->gil_holder.code, held.code);
	expect_holders(wait_end(&held, 2000), held.code, held.code);
	assert_int_equal(run_sample(run)->holder[0].instruction, 6);
	expect_name(run, held.code, "function_1");
	run_expect_losses(run, -1);
}

/* One that is woken was let in by a call of the holder's, which is not where it worked. */
static void check_ends(struct run *run, struct made_python *python)
{
	const struct timespec deadline = {.tv_nsec = 5000000};
	struct held held = held_new(run, python);
	uint64_t second;

	wait_begin(&held, &deadline, 1000);
	second = held_run(&held, 2);
	expect_holders(wait_end(&held, 5100000), held.code, second);
	expect_name(run, held.code, "function_1");
	expect_name(run, second, "function_2");
	wait_begin(&held, &deadline, 1000);
	held_run(&held, 3);
	expect_holders(wait_end(&held, 4000000), second, second);
}

/* A thread that has given up the lock, and waits for another to take it, does not hold it. */
static void check_own(struct run *run, struct made_python *python)
{
	struct held held = held_new(run, python);

	made_thread_run(python, python->thread, made_stack(python, 2));
	held_by(&held, python->thread);
	assert_int_equal(wait_begin(&held, NULL, 1000)->gil_holder.code, 0);
	expect_holders(wait_end(&held, 2000), 0, 0);
	wait_begin(&held, NULL, 1000);
	held_by(&held, held.holder);
	expect_holders(wait_end(&held, 2000), held.code, held.code);
	run_expect_losses(run, -1);
}

/* A tick finds the calling thread with the lock, in a function of this number. */
static uint64_t tick(struct held *held, uint32_t number, uint64_t now)
{
	uint64_t code = made_code_numbered(held->python, number);

	made_thread_run(held->python, held->python->thread, made_frame(held->python, code, 0, 8));
	held->run->programs->bss->made_call.now = now;
	assert_int_equal(run_program(held->run->programs->progs.tick_own), 0);
	run_drain(held->run);
	return code;
}

static void check_ticks(struct run *run, struct made_python *python)
{
	struct held held = held_new(run, python);
	uint64_t codes[12], seen[12] = {0}, chosen;
	uint32_t i, at;

	held_by(&held, python->thread);
	for (i = 0; i < 12; i++)
		codes[i] = tick(&held, 10 + i, 1000 * (i + 1));
	held_by(&held, held.holder);
	wait_begin(&held, NULL, 12001); /* all are before it */
	expect_holders(wait_end(&held, 20000), held.code, held.code);
	wait_begin(&held, NULL, 500); /* the first ones are forgotten, so that these are after it */
	expect_holders(wait_end(&held, 4900), held.code, held.code);
	wait_begin(&held, NULL, 6500); /* one is in it */
	expect_holders(wait_end(&held, 7500), codes[6], codes[6]);
	expect_name(run, codes[6], "function_16");
	assert_int_equal(run_sample(run)->holder[0].instruction, 8);
	for (i = 0; i < 300; i++) { /* three are in it: each has its part of a hundred */
		wait_begin(&held, NULL, 8500);
		chosen = wait_end(&held, 11500)[0].code;
		for (at = 0; codes[at] != chosen; at++)
			assert_true(at + 1 < 12);
		seen[at]++;
	}
	for (i = 0; i < 12; i++)
		assert_true(i >= 8 && i < 11 ? seen[i] > 40 : !seen[i]);
	run_expect_losses(run, -1);
}

/* A thread that works without the lock is no holder, whoever had it last. */
static void check_ticks_without(struct run *run, struct made_python *python)
{
	struct held held = held_new(run, python);

	tick(&held, 10, 1000);
	held_by(&held, python->thread);
	made_int(held.gil, python->config.layout.gil_locked, 0);
	tick(&held, 11, 2000);
	made_int(held.gil, python->config.layout.gil_locked, 1);
	held_by(&held, held.holder);
	wait_begin(&held, NULL, 500);
	expect_holders(wait_end(&held, 5000), held.code, held.code);
}

/* From 3.12 on: the lock of the interpreter that is waited for, not of the one that has frames. */
static void check_interpreters(struct run *run, struct made_python *python)
{
	struct held first = held_new(run, python), second = first;
	uint64_t interpreter = made_interpreter(python), tick_code;

	if (!python->config.layout.interpreter_gil)
		return;
	second.gil = gil_new(run, python, interpreter);
	second.holder = made_thread(python, interpreter, OTHER_THREAD + 4096);
	second.code = held_run(&second, 2);
	held_by(&second, second.holder);
	made_thread_run(python, made_thread(python, interpreter, (uint64_t)pthread_self()),
			made_stack(python, 1));
	run_walk(run); /* the thread is found in the second */
	wait_begin(&first, NULL, 1000);
	expect_holders(wait_end(&first, 2000), first.code, first.code);
	wait_begin(&second, NULL, 3000);
	expect_holders(wait_end(&second, 4000), second.code, second.code);
	wait_begin(&first, NULL, 5000);
	run_walk(run); /* as of each sample: this may not change what was waited for */
	expect_holders(wait_end(&first, 6000), first.code, first.code);
	made_python_free(python);
	made_python_new(python, FRAME_MODEL_CURRENT);
	run_reset(run);
	first = held_new(run, python);
	second.gil = gil_new(run, python, made_interpreter(python));
	held_by(&first, python->thread);
	tick_code = tick(&first, 10, 1500);
	held_by(&first, first.holder);
	wait_begin(&first, NULL, 1000);
	expect_holders(wait_end(&first, 2000), tick_code, tick_code);
	wait_begin(&second, NULL, 1000); /* nobody has it */
	expect_holders(wait_end(&second, 2000), 0, 0);
}

static void expect_nobody(const struct held *held)
{
	assert_int_equal(wait_begin(held, NULL, 1000)->gil_holder.code, 0);
	expect_holders(wait_end(held, 2000), 0, 0);
}

/* Whatever word is broken, and whatever it then says, nobody is named. */
static void check_hostile(struct run *run, struct made_python *python)
{
	struct held held = held_new(run, python);
	const struct python_layout *layout = &python->config.layout;
	const uint64_t wild[] = {
		0, 8, python->guard, python->guarded + 4088, 0x8000deadbeef0000, ~7ULL, held.gil};
	uint64_t frame, i;

	for (i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		held_by(&held, wild[i]);
		expect_nobody(&held);
		held_by(&held, held.holder);
		made_word(held.holder, layout->thread_frame, wild[i]);
		expect_nobody(&held);
		frame = made_frame(python, held.code, 0, 2);
		made_thread_run(python, held.holder, frame);
		made_word(frame, layout->frame_code, wild[i]);
		expect_nobody(&held);
	}
	frame = made_frame(python, python->filename, 0, 2); /* an object, but no code */
	made_thread_run(python, held.holder, frame);
	expect_nobody(&held);
	held_run(&held, 5);
	wait_begin(&held, NULL, 1000);
	held_by(&held, python->guard);
	assert_int_not_equal(wait_end(&held, 2000)[1].code, 0);
	run_expect_losses(run, -1);
}

/* Frames of no code, one above the other in a ring, or too many of them. */
static void check_shims(struct run *run, struct made_python *python)
{
	struct held held = held_new(run, python);
	uint64_t frame, i;

	if (!python->config.layout.frame_owner)
		return;
	frame = made_frame(python, held.code, 0, 2);
	for (i = 0; i < 2; i++)
		frame = made_shim(python, frame);
	made_thread_run(python, held.holder, frame);
	wait_begin(&held, NULL, 1000);
	expect_holders(wait_end(&held, 2000), held.code, held.code);
	made_word(frame, python->config.layout.frame_previous, frame);
	expect_nobody(&held);
	made_word(frame, python->config.layout.frame_previous, python->guard);
	expect_nobody(&held);
	made_thread_run(python, held.holder, made_shim(python, 0));
	expect_nobody(&held);
}

#define TEST(name)                                      \
	static void test_##name(void **state)           \
	{                                               \
		made_python_each(*state, check_##name); \
	}

TEST(good)
TEST(ends)
TEST(own)
TEST(ticks)
TEST(ticks_without)
TEST(interpreters)
TEST(hostile)
TEST(shims)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),          cmocka_unit_test(test_ends),
		cmocka_unit_test(test_own),           cmocka_unit_test(test_ticks),
		cmocka_unit_test(test_ticks_without), cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_hostile),       cmocka_unit_test(test_shims),
	};

	return cmocka_run_group_tests_name("holders of the GIL", tests, run_set_up_own,
					   run_tear_down);
}
