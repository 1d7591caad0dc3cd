/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the tests of finding tracepoints in the running kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/tracepoint.h"

static void test_find(void **state)
{
	const char *const names[] = {"sched_switch", "sched_switc", "no_such_tracepoint",
				     "sched_process_exec"};

	(void)state;
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		skip();
	assert_int_equal(tracepoints_find(names, 4), 1U << 0 | 1U << 3);
	assert_int_equal(tracepoints_find(names, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_find)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
