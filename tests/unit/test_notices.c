/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that what holds of many processes is told once, and that there is an end to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "capture/notices.h"

static void test_none(void **state)
{
	struct notices *notices = notices_new();

	assert_string_equal(notices_text(notices), "");
	notices_free(notices);
	notices_free(NULL);
}

static void test_each_once(void **state)
{
	struct notices *notices = notices_new();

	notices_add(notices, 42, "first");
	assert_string_equal(notices_text(notices), "process 42: first\n");
	notices_add(notices, 7, "second");
	notices_add(notices, 43, "first");
	assert_string_equal(notices_text(notices),
			    "process 42 and 1 other: first\nprocess 7: second\n");
	notices_add(notices, 43, "first");
	notices_add(notices, 1, "");
	assert_string_equal(notices_text(notices), "process 42 and 2 others: first\n"
						   "process 7: second\nprocess 1: \n");
	notices_free(notices);
}

/* The text is the caller's again once it was added. */
static void test_text_is_copied(void **state)
{
	struct notices *notices = notices_new();
	char text[] = "one";

	notices_add(notices, 1, text);
	strcpy(text, "two");
	notices_add(notices, 2, text);
	assert_string_equal(notices_text(notices), "process 1: one\nprocess 2: two\n");
	notices_free(notices);
}

static size_t lines_count(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* A thousand kinds: a hundred are told, the others counted; known ones still find theirs. */
static void test_many_kinds(void **state)
{
	struct notices *notices = notices_new();
	const char *told;
	char text[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "kind %d", i);
		notices_add(notices, 10000 + i, text);
	}
	notices_add(notices, 1, "kind 99");
	notices_add(notices, 2, "kind 100"); /* not among them: counted once more */
	told = notices_text(notices);
	assert_int_equal(lines_count(told), 101);
	assert_int_equal(strncmp(told, "process 10000: kind 0\n", 22), 0);
	assert_non_null(strstr(told, "process 10099 and 1 other: kind 99\n"));
	assert_null(strstr(told, "kind 100"));
	assert_non_null(strstr(told, "and 901 more of other kinds\n"));
	notices_free(notices);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_text_is_copied),
		cmocka_unit_test(test_many_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
