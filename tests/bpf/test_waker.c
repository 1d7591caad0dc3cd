/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks who is said to have ended a wait for a lock or a pipe: only a thread in a call that can,
 * on the same lock or pipe. The thread wakes itself: what it "waits" in is bpf(2), whose first
 * argument, the command, stands for the futex's address.
 */
#include "made_python.h"

#include <linux/bpf.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct thread_waker *wake(struct run *run, enum state state, int descriptor,
				       const struct made_call *call)
{
	struct mechanisms__bss *bss = run->programs->bss;

	bss->made_call = *call;
	bss->call_result.state = state;
	bss->call_result.descriptor = descriptor;
	assert_int_equal(run_program(run->programs->progs.wake_own), 0);
	return &bss->waker_result;
}

static void expect_waker(struct run *run, const struct thread_waker *waker, bool found)
{
	assert_int_equal(waker->tid, found ? run->programs->bss->subject_tid : 0);
	assert_int_equal(waker->pid, found ? run->programs->bss->subject_pid : 0);
}

static void futex_check(struct run *run, uint64_t address, uint64_t operation, bool wakes)
{
	const struct made_call call = {
		.number = SYS_futex, .arguments = {address, operation, 1}, .now = PERIOD_NS};

	expect_waker(run, wake(run, STATE_LOCK, -1, &call), wakes);
}

static void test_futex(void **state)
{
	const uint64_t same = BPF_PROG_TEST_RUN, other = 0x7f0012345678;
	struct made_call call = {.number = SYS_read, .arguments = {same}, .now = PERIOD_NS};
	struct run *run = *state;

	run_reset(run);
	futex_check(run, same, FUTEX_WAKE, true);
	futex_check(run, same, FUTEX_WAKE_PRIVATE, true);
	futex_check(run, same, FUTEX_WAKE_BITSET_PRIVATE, true);
	futex_check(run, same, FUTEX_UNLOCK_PI, true);
	futex_check(run, other, FUTEX_WAKE_PRIVATE, false);
	futex_check(run, other, FUTEX_WAKE_OP_PRIVATE, true); /* it wakes at two addresses */
	futex_check(run, other, FUTEX_CMP_REQUEUE_PRIVATE, true);
	/* A thread that waits itself, and was interrupted by what ends the wait. */
	futex_check(run, same, FUTEX_WAIT, false);
	futex_check(run, same, FUTEX_WAIT_BITSET_PRIVATE, false);
	futex_check(run, same, FUTEX_WAKE | 32, false);
	futex_check(run, same, ~0ULL, false);
	expect_waker(run, wake(run, STATE_LOCK, -1, &call), false);
	call.number = -1;
	expect_waker(run, wake(run, STATE_LOCK, -1, &call), false);
	call.number = SYSCALLS_MAX;
	expect_waker(run, wake(run, STATE_LOCK, -1, &call), false);
	call.number = SYS_munmap;
	expect_waker(run, wake(run, STATE_LOCK, -1, &call), false);
	/* Other waits have no waker, and what is remembered of them is not touched. */
	call.number = SYS_futex;
	call.arguments[1] = FUTEX_WAKE;
	assert_int_equal(wake(run, STATE_SOCKET, -1, &call)->tid, 0xffffffff);
}

static void pipe_check(struct run *run, int waits, int64_t number, uint64_t descriptor, bool wakes)
{
	const struct made_call call = {
		.number = number, .arguments = {descriptor, 0, 1 << 30}, .now = PERIOD_NS};

	expect_waker(run, wake(run, STATE_PIPE, waits, &call), wakes);
}

static void test_pipe(void **state)
{
	struct run *run = *state;
	int first[2], second[2];

	run_reset(run);
	assert_int_equal(pipe(first), 0);
	assert_int_equal(pipe(second), 0);
	pipe_check(run, first[0], SYS_write, (uint64_t)first[1], true);
	pipe_check(run, first[0], SYS_writev, (uint64_t)first[1], true);
	pipe_check(run, first[1], SYS_read, (uint64_t)first[0], true);
	pipe_check(run, first[0], SYS_write, (uint64_t)second[1], false);
	pipe_check(run, first[0], SYS_poll, (uint64_t)first[1], false);
	pipe_check(run, first[0], SYS_nanosleep, (uint64_t)first[1], false);
	pipe_check(run, first[0], SYS_futex, (uint64_t)first[1], false);
	pipe_check(run, first[0], SYS_dup2, (uint64_t)second[1], true);
	pipe_check(run, -1, SYS_write, (uint64_t)first[1], false);
	close(first[1]);
	pipe_check(run, first[0], SYS_close, (uint64_t)first[1], true); /* the last writer */
	close(first[0]);
	close(second[0]);
	close(second[1]);
}

/* Only waits that will be captured are worth the look. */
static void test_not_captured(void **state)
{
	struct made_call call = {.number = SYS_futex,
				 .arguments = {BPF_PROG_TEST_RUN, FUTEX_WAKE},
				 .now = PERIOD_NS - 1};
	struct run *run = *state;

	run_reset(run);
	/* The point of the stratum is at its start: the first wait is hit, at whatever length. */
	expect_waker(run, wake(run, STATE_LOCK, -1, &call), true);
	call.now = 0;
	expect_waker(run, wake(run, STATE_LOCK, -1, &call), false);
}

static const struct thread_waker *wake_futex(struct run *run)
{
	const struct made_call call = {.number = SYS_futex,
				       .arguments = {BPF_PROG_TEST_RUN, FUTEX_WAKE},
				       .now = PERIOD_NS};

	return wake(run, STATE_LOCK, -1, &call);
}

/* The function is found without a sample before, and after the thread state has become another. */
static void check_function(struct run *run, struct made_python *python)
{
	uint64_t first = made_code_numbered(python, 1), second = made_code_numbered(python, 2);
	uint64_t thread;

	made_python_use(run, python);
	assert_int_equal(wake_futex(run)->frames[0].code, 0);
	made_thread_run(python, python->thread, made_frame(python, first, 0, 4));
	assert_int_equal(wake_futex(run)->frames[0].code, first);
	assert_int_equal(wake_futex(run)->frames[1].code, 0);
	assert_int_equal(wake_futex(run)->frames[0].instruction, 4);
	made_thread_unlink(python, python->thread);
	made_word(python->thread, python->config.layout.thread_id, 0x7eadbeef0000);
	thread = made_thread(python, python->interpreter, (uint64_t)pthread_self());
	made_thread_run(python, thread, made_frame(python, second, 0, 4));
	assert_int_equal(wake_futex(run)->frames[0].code, second);
	made_thread_unlink(python, thread);
	made_word(thread, python->config.layout.thread_id, 0x7eadbeef0000);
	assert_int_equal(wake_futex(run)->frames[0].code, 0);
	expect_waker(run, wake_futex(run), true);
}

/* The innermost frames, over those that run no Python code, and no further than they make sense. */
static void check_frames(struct run *run, struct made_python *python)
{
	uint64_t codes[WAKER_FRAMES_MAX + 1], frames[WAKER_FRAMES_MAX + 1], frame = 0;
	const struct thread_waker *waker;
	uint32_t i;

	for (i = WAKER_FRAMES_MAX + 1; i-- > 0;) {
		codes[i] = made_code_numbered(python, i);
		frame = frames[i] = made_frame(python, codes[i], frame, 2);
		if (i == 2 && python->config.layout.frame_owner)
			frame = made_shim(python, frame);
	}
	made_python_use(run, python);
	made_thread_run(python, python->thread, frame);
	waker = wake_futex(run);
	for (i = 0; i < WAKER_FRAMES_MAX; i++)
		assert_int_equal(waker->frames[i].code, codes[i]);
	made_word(frames[1], python->config.layout.frame_code, python->filename);
	waker = wake_futex(run);
	assert_int_equal(waker->frames[0].code, codes[0]);
	assert_int_equal(waker->frames[1].code, 0);
	made_word(frames[0], python->config.layout.frame_previous, python->guard);
	assert_int_equal(wake_futex(run)->frames[1].code, 0);
	made_word(frames[0], python->config.layout.frame_previous, frames[0]);
	assert_int_equal(wake_futex(run)->frames[3].code, codes[0]);
	run_expect_losses(run, -1);
}

static void test_frames(void **state)
{
	made_python_each(*state, check_frames);
}

static void test_function(void **state)
{
	made_python_each(*state, check_function);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_futex), cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_not_captured), cmocka_unit_test(test_function),
		cmocka_unit_test(test_frames)};

	return cmocka_run_group_tests_name("wakers", tests, run_set_up_own, run_tear_down);
}
