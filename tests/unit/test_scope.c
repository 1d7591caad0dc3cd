/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks which processes a scope takes on, in which mode, and what is an error. The set of targets
 * is one of the test's own, so that no BPF program is needed: what is done with a process there,
 * tests/e2e/test_scopes.py sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/scope.h"

#define KNOWN_MAX 32

/* Stands for user/capture/targets.c. */
struct targets {
	struct {
		pid_t pid;
		int error; /* what taking it on returns */
		bool follows;
		int asked;
		enum target_mode mode; /* in which it was asked for last */
		bool taken;
	} known[KNOWN_MAX];
	int count;
	bool alive;
	int forks_left; /* whenever one is taken on, a child of this process is made */
	int others;     /* taken on, without being expected */
};

static int known_find(const struct targets *targets, pid_t pid)
{
	for (int i = 0; i < targets->count; i++)
		if (targets->known[i].pid == pid)
			return i;
	return -1;
}

static int expect(struct targets *targets, pid_t pid, int error)
{
	targets->known[targets->count].pid = pid;
	targets->known[targets->count].error = error;
	return targets->count++;
}

static pid_t child_make(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	return pid;
}

static void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int targets_add(struct targets *targets, pid_t pid, enum target_mode mode, struct error *error)
{
	int at = known_find(targets, pid);

	if (at < 0) {
		targets->others++;
		return -ENOEXEC;
	}
	targets->known[at].asked++;
	targets->known[at].mode = mode;
	targets->known[at].taken = !targets->known[at].error;
	if (targets->known[at].taken && targets->forks_left-- > 0)
		expect(targets, child_make(), 0);
	if (!targets->known[at].error)
		return 0;
	return error_set(error, targets->known[at].error, "cannot attach to %d: no", (int)pid);
}

bool targets_has(const struct targets *targets, pid_t pid)
{
	int at = known_find(targets, pid);

	return at >= 0 && targets->known[at].taken;
}

bool targets_follows(const struct targets *targets, pid_t pid)
{
	int at = known_find(targets, pid);

	return at >= 0 && targets->known[at].follows;
}

bool targets_alive(const struct targets *targets)
{
	return targets->alive;
}

static void test_kinds(void **state)
{
	struct scope named = {.pid_count = 1}, tree = {.descendants = true};
	struct scope host = {.host = true}, cgroup = {.cgroup_path = "/x"};

	assert_int_equal(scope_kind(&named), FOLLOW_NONE);
	assert_int_equal(scope_kind(&tree), FOLLOW_NONE);
	assert_int_equal(scope_kind(&host), FOLLOW_HOST);
	assert_int_equal(scope_kind(&cgroup), FOLLOW_CGROUP);
	assert_false(scope_follows(&named));
	assert_true(scope_follows(&tree) && scope_follows(&host) && scope_follows(&cgroup));
	assert_false(scope_is_empty(&named));
}

static void test_named(void **state)
{
	const pid_t pids[] = {100, 200};
	struct scope scope = {.pids = pids, .pid_count = 2};
	struct targets targets = {0};
	struct error error = {""};

	expect(&targets, 100, 0);
	expect(&targets, 200, 0);
	assert_int_equal(scope_open(&scope, &error), 0);
	assert_int_equal(scope_take(&scope, &targets, &error), 0);
	assert_true(targets.known[0].taken && targets.known[1].taken);
	assert_int_equal(targets.known[0].mode, TARGET_MUST_BE_PYTHON);
	assert_int_equal(scope_take_others(&scope, &targets), 0);
	assert_int_equal(targets.known[0].asked + targets.known[1].asked, 2);
	scope_close(&scope);
	scope_close(&scope);
}

static void test_starting(void **state)
{
	struct scope scope = {.starting = 100};
	struct targets targets = {0};
	struct error error;

	expect(&targets, 100, 0);
	assert_int_equal(scope_take(&scope, &targets, &error), 0);
	assert_int_equal(targets.known[0].mode, TARGET_MAY_BECOME_PYTHON);
}

static int take_two(bool descendants, bool lenient, int first, int second)
{
	const pid_t pids[] = {4194303, 4194302}; /* that nobody has, nor children */
	struct scope scope = {
		.pids = pids, .pid_count = 2, .descendants = descendants, .lenient = lenient};
	struct targets targets = {0};
	struct error error = {""};
	int result;

	expect(&targets, pids[0], first);
	expect(&targets, pids[1], second);
	result = scope_take(&scope, &targets, &error);
	assert_int_equal(!strncmp(error.text, "cannot attach to 41943", 22), first || second);
	return result;
}

static void test_named_without_python(void **state)
{
	assert_int_equal(take_two(false, false, -ENOEXEC, 0), -ENOEXEC);
	assert_int_equal(take_two(false, false, 0, -ESRCH), -ESRCH);
	/* With descendants they may be whatever they are, if only they are. */
	assert_int_equal(take_two(true, false, -ENOEXEC, -EACCES), 0);
	assert_int_equal(take_two(true, false, 0, -ESRCH), -ESRCH);
	assert_int_equal(take_two(true, false, -EINVAL, 0), -EINVAL);
	/* Again, after a while: one is enough. */
	assert_int_equal(take_two(false, true, -ESRCH, 0), 0);
	assert_int_equal(take_two(false, true, -ESRCH, -ENOEXEC), -ENOEXEC);
	assert_int_equal(take_two(true, true, -ESRCH, 0), 0);
	assert_int_equal(take_two(true, true, -ESRCH, -ESRCH), -ESRCH);
}

static void test_descendants(void **state)
{
	const pid_t pids[] = {getpid()};
	struct scope scope = {.pids = pids, .pid_count = 1, .descendants = true};
	pid_t one = child_make(), other = child_make();
	struct targets targets = {0};
	struct error error;

	expect(&targets, getpid(), -ENOEXEC);
	expect(&targets, one, 0);
	expect(&targets, other, -ENOEXEC);
	assert_int_equal(scope_take(&scope, &targets, &error), 0);
	assert_int_equal(targets.known[0].mode, TARGET_MAY_BE_FOLLOWED);
	assert_true(targets.known[1].taken);
	assert_int_equal(targets.known[1].mode, TARGET_MAY_BE_FOLLOWED);
	assert_int_equal(targets.known[2].asked, 1);
	assert_int_equal(targets.others, 0);
	/* What was taken is not asked again, what was not may be one by now. */
	targets.known[2].error = 0;
	assert_int_equal(scope_take_others(&scope, &targets), 1);
	assert_int_equal(targets.known[1].asked, 1);
	assert_true(targets.known[2].taken);
	assert_int_equal(scope_take_others(&scope, &targets), 0);
	child_end(one);
	child_end(other);
}

/* Those that fork while they are taken on are looked for again; a fork bomb has its end. */
static void test_forking_descendants(void **state)
{
	const pid_t pids[] = {getpid()};
	struct scope scope = {.pids = pids, .pid_count = 1, .descendants = true};
	pid_t first = child_make();
	struct targets targets = {.forks_left = 2};
	int taken;

	expect(&targets, first, 0);
	assert_int_equal(scope_take_others(&scope, &targets), 3);
	targets.forks_left = 100;
	expect(&targets, child_make(), 0);
	taken = scope_take_others(&scope, &targets);
	assert_in_range(taken, 2, 10);
	for (int i = 0; i < targets.count; i++)
		child_end(targets.known[i].pid);
}

static void test_host(void **state)
{
	struct scope scope = {.host = true};
	struct targets targets = {0};
	struct error error;
	pid_t pid = child_make();

	expect(&targets, pid, 0);
	assert_int_equal(scope_take(&scope, &targets, &error), 0);
	assert_true(targets.known[0].taken);
	assert_int_equal(targets.known[0].mode, TARGET_ONLY_PYTHON);
	assert_true(targets.others > 1);
	child_end(pid);
}

static void test_end(void **state)
{
	const pid_t pids[] = {100, 200};
	struct scope scope = {.pids = pids, .pid_count = 2};
	struct targets targets = {.alive = true};

	assert_false(scope_ended(&scope, &targets));
	targets.alive = false;
	assert_true(scope_ended(&scope, &targets));
	/* A shell that was named with its descendants may start one yet. */
	scope.descendants = true;
	assert_true(scope_ended(&scope, &targets));
	expect(&targets, 200, 0);
	targets.known[0].follows = true;
	assert_false(scope_ended(&scope, &targets));
	scope.pid_count = 0;
	assert_true(scope_ended(&scope, &targets));
	scope.starting = 200;
	assert_false(scope_ended(&scope, &targets));
	scope.descendants = false;
	assert_true(scope_ended(&scope, &targets));
}

static void procs_write(const char *directory, pid_t pid)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%d", (int)pid);
	assert_int_equal(fclose(file), 0);
}

static void cgroup_check(const char *directory)
{
	struct scope scope = {.cgroup_path = directory};
	struct targets targets = {0};
	struct error error;
	pid_t pid = child_make();

	expect(&targets, pid, 0);
	assert_int_equal(scope_open(&scope, &error), 0);
	assert_true(scope_is_empty(&scope));
	assert_int_equal(scope_take(&scope, &targets, &error), 0);
	assert_int_equal(targets.known[0].asked, 0);
	procs_write(directory, pid);
	assert_false(scope_is_empty(&scope));
	assert_int_equal(scope_take_others(&scope, &targets), 1);
	assert_int_equal(targets.known[0].mode, TARGET_MAY_BE_FOLLOWED);
	assert_int_equal(scope_take_others(&scope, &targets), 0);
	child_end(pid);
	assert_false(scope_ended(&scope, &targets)); /* another may come */
	assert_int_equal(rmdir(directory), 0);
	assert_true(scope_ended(&scope, &targets));
	scope_close(&scope);
}

static void test_cgroup(void **state)
{
	char point[] = "/tmp/test_scope.XXXXXX", directory[64];

	assert_non_null(mkdtemp(point));
	if (mount("none", point, "cgroup2", 0, NULL)) {
		rmdir(point);
		print_message("no cgroup2 can be mounted here\n");
		skip();
	}
	snprintf(directory, sizeof(directory), "%s/pyebpf_scope_%d", point, (int)getpid());
	assert_int_equal(mkdir(directory, 0755), 0);
	cgroup_check(directory);
	assert_int_equal(umount(point), 0);
	assert_int_equal(rmdir(point), 0);
}

static void test_no_cgroup(void **state)
{
	struct scope scope = {.cgroup_path = "no/such/cgroup"};
	struct error error = {""};

	assert_int_equal(scope_open(&scope, &error), -ENOENT);
	assert_true(error.text[0]);
	scope_close(&scope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),       cmocka_unit_test(test_named),
		cmocka_unit_test(test_starting),    cmocka_unit_test(test_named_without_python),
		cmocka_unit_test(test_descendants), cmocka_unit_test(test_forking_descendants),
		cmocka_unit_test(test_host),        cmocka_unit_test(test_end),
		cmocka_unit_test(test_cgroup),      cmocka_unit_test(test_no_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
