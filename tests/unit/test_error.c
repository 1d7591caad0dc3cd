/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences about targets, which go to a terminal as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"
#include "profile/utf8.h"

static void test_plain(void **state)
{
	struct error error;

	assert_int_equal(error_set(&error, -5, "no %s: %d", "größe", 7), -5);
	assert_string_equal(error.text, "no größe: 7");
	assert_int_equal(error_set(NULL, -6, "nowhere"), -6);
}

static void test_what_a_terminal_obeys(void **state)
{
	struct error error;

	error_set(&error, -1, "%s", "a\033[2Jb\nc\td\177e");
	assert_string_equal(error.text, "a?[2Jb?c?d?e");
	error_set(&error, -1, "%s",
		  "a\xc2\x9b"
		  "31mb"); /* U+009B is ESC [ too */
	assert_string_equal(error.text, "a?31mb");
	error_set(&error, -1, "%s",
		  "a\xe2\x80\xae"
		  "b\xe2\x81\xa6"
		  "c"); /* U+202E, U+2066 */
	assert_string_equal(error.text, "a?b?c");
	error_set(&error, -1, "%s", "a\xff\xc3+b");
	assert_string_equal(error.text, "a??+b");
}

/* What does not fit may end within a character. */
static void test_cut(void **state)
{
	char text[2 * sizeof(((struct error *)0)->text) + 1];
	struct error error;
	size_t i;

	for (i = 0; i + 1 < sizeof(text); i++)
		text[i] = i % 2 ? '\xb6' : '\xc3';
	text[i] = '\0';
	error_set(&error, -1, "%s", text);
	assert_true(utf8_valid(error.text));
	error_set(&error, -1, ".%s", text);
	assert_true(utf8_valid(error.text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_what_a_terminal_obeys),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
