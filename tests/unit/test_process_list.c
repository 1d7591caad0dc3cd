/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks lists of processes on a family that is made for it: which are there, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/process_list.h"

/*
 * A child of ours that heads a family: it has a child and a grandchild, and another grandchild
 * whose parent has ended, so that it is the head's own by now (PR_SET_CHILD_SUBREAPER).
 */
struct made {
	pid_t head, child, grandchild, orphan;
};

static pid_t fork_and_wait(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

/* In the head: has a process between it and the orphan, which ends. */
static pid_t orphan_make(void)
{
	pid_t between, orphan = 0;
	int ends[2];

	if (pipe(ends))
		_exit(1);
	between = fork();
	if (!between) {
		orphan = fork_and_wait();
		_exit(write(ends[1], &orphan, sizeof(orphan)) != sizeof(orphan));
	}
	if (read(ends[0], &orphan, sizeof(orphan)) != sizeof(orphan))
		_exit(1);
	waitpid(between, NULL, 0);
	return orphan;
}

static void head_run(int out)
{
	struct made made = {.head = getpid()};
	int ends[2];

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pipe(ends))
		_exit(1);
	made.child = fork();
	if (!made.child) {
		pid_t grandchild = fork_and_wait();

		if (write(ends[1], &grandchild, sizeof(grandchild)) != sizeof(grandchild))
			_exit(1);
		for (;;)
			pause();
	}
	if (read(ends[0], &made.grandchild, sizeof(pid_t)) != sizeof(pid_t))
		_exit(1);
	made.orphan = orphan_make();
	if (write(out, &made, sizeof(made)) != sizeof(made))
		_exit(1);
	for (;;)
		pause();
}

static void made_begin(struct made *made)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	made->head = fork();
	if (!made->head)
		head_run(ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], made, sizeof(*made)), sizeof(*made));
	close(ends[0]);
}

static void made_end(const struct made *made)
{
	kill(made->grandchild, SIGKILL);
	kill(made->orphan, SIGKILL);
	kill(made->child, SIGKILL);
	kill(made->head, SIGKILL);
	waitpid(made->head, NULL, 0);
}

static size_t list_count(const pid_t *pids, size_t count, pid_t pid)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += pids[i] == pid;
	return found;
}

static void test_all(void **state)
{
	struct made made;
	pid_t *pids;
	size_t count;

	made_begin(&made);
	assert_int_equal(process_list_all(&pids, &count), 0);
	assert_int_equal(list_count(pids, count, getpid()), 1);
	assert_int_equal(list_count(pids, count, made.head), 1);
	assert_int_equal(list_count(pids, count, made.orphan), 1);
	assert_int_equal(list_count(pids, count, 1), 1);
	assert_int_equal(list_count(pids, count, 0), 0);
	free(pids);
	made_end(&made);
}

static void test_descendants(void **state)
{
	struct made made;
	pid_t *pids;
	size_t count;

	made_begin(&made);
	assert_int_equal(process_list_descendants(made.head, &pids, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(list_count(pids, count, made.child), 1);
	assert_int_equal(list_count(pids, count, made.grandchild), 1);
	assert_int_equal(list_count(pids, count, made.orphan), 1);
	free(pids);
	assert_int_equal(process_list_descendants(made.child, &pids, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(pids[0], made.grandchild);
	free(pids);
	assert_int_equal(process_list_descendants(getpid(), &pids, &count), 0);
	assert_int_equal(count, 4);
	free(pids);
	/* Of the first process all that are not kernel threads. */
	assert_int_equal(process_list_descendants(1, &pids, &count), 0);
	assert_int_equal(list_count(pids, count, getpid()), getpid() != 1);
	assert_int_equal(list_count(pids, count, made.grandchild), 1);
	assert_int_equal(list_count(pids, count, 1), 0);
	free(pids);
	made_end(&made);
}

static void test_without_descendants(void **state)
{
	pid_t pid = fork_and_wait(), *pids;
	size_t count = 1;

	assert_int_equal(process_list_descendants(pid, &pids, &count), 0);
	assert_int_equal(count, 0);
	free(pids);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(process_list_descendants(pid, &pids, &count), 0);
	assert_int_equal(count, 0);
	free(pids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_descendants),
		cmocka_unit_test(test_without_descendants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
