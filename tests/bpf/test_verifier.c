/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the budget of the verifier: how many instructions it walks for each program decides how long
 * a recording takes to begin. tests/bpf/verifier_budget.txt holds what was measured, by program;
 * a program may grow by a tenth before the file must be changed, in a commit that says why.
 *
 * Verifiers differ, so on another kernel series than the file's the counts are only printed.
 */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "pyebpf.skel.h"

#define BUDGET_FILE "tests/bpf/verifier_budget.txt"
#define SLACK       64 /* instructions: of the smallest programs a tenth is nothing */

/* The allowance of a program; 0: the file does not have it. The first line names the kernel. */
static unsigned int budget_find(const char *program, char kernel[32])
{
	FILE *file = fopen(BUDGET_FILE, "re");
	unsigned int count, found = 0;
	char name[64];

	assert_non_null(file);
	assert_int_equal(fscanf(file, "kernel %31s\n", kernel), 1);
	while (fscanf(file, "%63s %u\n", name, &count) == 2)
		if (!strcmp(name, program))
			found = count;
	fclose(file);
	return found;
}

static bool kernel_matches(const char *series)
{
	struct utsname system;

	assert_int_equal(uname(&system), 0);
	return !strncmp(system.release, series, strlen(series));
}

static void program_compare(const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);
	const char *name = bpf_program__name(program);
	char kernel[32];
	unsigned int allowed = budget_find(name, kernel);

	if (bpf_program__fd(program) < 0)
		return;
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
	print_message("%-20s %6u of %6u\n", name, info.verified_insns, allowed);
	if (!kernel_matches(kernel))
		return;
	if (!allowed)
		fail_msg("%s is not in %s", name, BUDGET_FILE);
	if (info.verified_insns > allowed + allowed / 10 + SLACK)
		fail_msg("%s: the verifier walks %u instructions, the budget is %u", name,
			 info.verified_insns, allowed);
}

static void test_budget(void **state)
{
	struct pyebpf *programs = pyebpf__open();
	struct bpf_program *program;

	(void)state;
	assert_non_null(programs);
	bpf_object__for_each_program(program, programs->obj)
	{
		const char *name = bpf_program__name(program);

		bpf_program__set_autoload(program, strncmp(name, "return_", 7) != 0 ||
							   !strcmp(name, "return_sched_exit") ||
							   !strcmp(name, "return_syscall"));
	}
	assert_int_equal(pyebpf__load(programs), 0);
	bpf_object__for_each_program(program, programs->obj) program_compare(program);
	pyebpf__destroy(programs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_budget)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
