/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks the decoding of str objects' characters and of bytes that may not be UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "python/text.h"

static void decode_check(uint32_t width, const void *characters, size_t bytes, const char *expected)
{
	char *text;

	assert_int_equal(text_decode(width, characters, bytes, &text), 0);
	assert_string_equal(text, expected);
	free(text);
}

static void test_widths(void **state)
{
	static const uint8_t latin1[] = {'a', 0xe9, 0x7f, 0x80, 0xff};
	static const uint16_t ucs2[] = {0x65e5, 'x', 0x7ff, 0x800, 0xffff};
	static const uint32_t ucs4[] = {0x1f600, 'x', 0xffff, 0x10000, 0x10ffff};

	decode_check(1, latin1, sizeof(latin1), "a\u00e9\x7f\xc2\x80\u00ff");
	decode_check(2, ucs2, sizeof(ucs2), "\u65e5x\xdf\xbf\u0800\xef\xbf\xbf");
	decode_check(4, ucs4, sizeof(ucs4), "\U0001f600x\xef\xbf\xbf\U00010000\xf4\x8f\xbf\xbf");
	decode_check(1, "", 0, "");
	decode_check(4, ucs4, 7, "\U0001f600"); /* what is no whole character is left out */
}

static void test_escapes(void **state)
{
	static const uint16_t ucs2[] = {'a', 0xdcff, 0xdc80, 0xd800, 0xdfff, 0xdc7f, 0};
	static const uint32_t ucs4[] = {0xdce9, 0x110000, 0xffffffff};

	decode_check(2, ucs2, sizeof(ucs2), "a\\xff\\x80\\ud800\\udfff\\udc7f\\x00");
	decode_check(4, ucs4, sizeof(ucs4), "\\xe9\ufffd\ufffd");
}

static void test_width_invalid(void **state)
{
	char *text = NULL;

	assert_int_equal(text_decode(0, "ab", 2, &text), -EINVAL);
	assert_int_equal(text_decode(3, "abc", 3, &text), -EINVAL);
	assert_null(text);
}

static void bytes_check(const char *bytes, size_t size, const char *expected)
{
	char *text;

	assert_int_equal(text_from_bytes(bytes, size, &text), 0);
	assert_string_equal(text, expected);
	free(text);
}

#define BYTES(literal) literal, sizeof(literal) - 1

static void test_bytes(void **state)
{
	bytes_check(BYTES(""), "");
	bytes_check(BYTES("caf\u00e9 \u65e5\U0001f600"), "caf\u00e9 \u65e5\U0001f600");
	bytes_check(BYTES("caf\xe9"), "caf\\xe9");
	bytes_check(BYTES("a\0b"), "a\\x00b");
	bytes_check(BYTES("\xc0\xaf"), "\\xc0\\xaf");                   /* too long a form */
	bytes_check(BYTES("\xe0\x80\x80"), "\\xe0\\x80\\x80");          /* the same */
	bytes_check(BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80");          /* a surrogate */
	bytes_check(BYTES("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
	bytes_check(BYTES("\xf0\x9f\x98"), "\\xf0\\x9f\\x98");          /* cut */
	bytes_check(BYTES("\xe6\x97"
			  "a"),
		    "\\xe6\\x97"
		    "a"); /* cut in the middle */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_width_invalid),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
