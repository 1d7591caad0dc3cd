/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks the parser of /proc/PID/maps on what kernels write and on what they never write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "target/maps.h"

static struct maps parsed(const char *text)
{
	struct maps maps;

	assert_int_equal(maps_parse(text, strlen(text), &maps), 0);
	return maps;
}

static void test_fields(void **state)
{
	struct maps maps = parsed(
		"00400000-0041f000 r--p 00000000 fe:01 1573 /usr/bin/python3.11\n"
		"0041f000-006d2000 r-xp 0001f000 103:0a 1573                    /usr/bin/python3.11\n"
		"7f0000000000-7f0000001000 rw-s 00000000 00:00 0 \n"
		"7f0000001000-7f0000002000 ---p 00000000 00:00 0\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]\n");

	assert_int_equal(maps.count, 5);
	assert_int_equal(maps.entries[1].start, 0x41f000);
	assert_int_equal(maps.entries[1].end, 0x6d2000);
	assert_int_equal(maps.entries[1].offset, 0x1f000);
	assert_int_equal(maps.entries[1].device_major, 0x103);
	assert_int_equal(maps.entries[1].device_minor, 0xa);
	assert_int_equal(maps.entries[1].inode, 1573);
	assert_true(maps.entries[1].executable && maps.entries[1].readable);
	assert_false(maps.entries[1].writable || maps.entries[1].shared);
	assert_string_equal(maps.entries[1].path, "/usr/bin/python3.11");
	assert_true(maps.entries[2].shared && maps.entries[2].writable);
	assert_string_equal(maps.entries[2].path, "");
	assert_string_equal(maps.entries[3].path, "");
	assert_string_equal(maps.entries[4].path, "[vsyscall]");
	assert_false(mapping_same_file(&maps.entries[0], &maps.entries[1]));
	assert_false(mapping_same_file(&maps.entries[2], &maps.entries[3]));
	maps_free(&maps);
	assert_null(maps.entries);
}

static void test_paths(void **state)
{
	struct maps maps =
		parsed("1000-2000 r--p 0 08:01 7 /a path/with  spaces\n"
		       "2000-3000 r--p 0 08:01 7 /line\\012break\\012\n"
		       "3000-4000 r--p 0 08:01 7 /gone.so (deleted)\n"
		       "4000-5000 r--p 0 08:01 7 (deleted)\n"
		       "5000-6000 r--p 0 08:01 7 /back\\slash\\01\n"
		       "6000-7000 rw-s 0 00:01 3 /memfd:x (deleted)"); /* no newline at the end */

	assert_int_equal(maps.count, 6);
	assert_string_equal(maps.entries[0].path, "/a path/with  spaces");
	assert_string_equal(maps.entries[1].path, "/line\nbreak\n");
	assert_string_equal(maps.entries[2].path, "/gone.so");
	assert_true(maps.entries[2].deleted);
	assert_string_equal(maps.entries[3].path, "(deleted)");
	assert_false(maps.entries[3].deleted);
	assert_string_equal(maps.entries[4].path, "/back\\slash\\01");
	assert_true(maps.entries[5].deleted);
	maps_free(&maps);
}

static void test_find(void **state)
{
	struct maps maps = parsed("1000-2000 r--p 0 08:01 7 /a\n"
				  "2000-3000 r--p 0 08:01 7 /b\n"
				  "8000-9000 r--p 0 08:01 7 /c\n");

	assert_null(maps_find(&maps, 0xfff));
	assert_ptr_equal(maps_find(&maps, 0x1000), &maps.entries[0]);
	assert_ptr_equal(maps_find(&maps, 0x1fff), &maps.entries[0]);
	assert_ptr_equal(maps_find(&maps, 0x2000), &maps.entries[1]);
	assert_null(maps_find(&maps, 0x3000));
	assert_ptr_equal(maps_find(&maps, 0x8fff), &maps.entries[2]);
	assert_null(maps_find(&maps, UINT64_MAX));
	maps_free(&maps);
}

static void test_invalid(void **state)
{
	static const char *const texts[] = {
		"\n",
		"1000-2000",
		"1000-2000 ",
		"2000-1000 r--p 0 08:01 7 /backwards\n",
		"1000-1000 r--p 0 08:01 7 /empty\n",
		"1000-2000 x--p 0 08:01 7 /flag\n",
		"1000-2000 r--q 0 08:01 7 /flag\n",
		"1000-2000 r--p 0 08:01 /no-inode\n",
		"1000-2000 r--p 0 0801 7 /no-colon\n",
		"-2000 r--p 0 08:01 7 /no-start\n",
		"10000000000000000-2 r--p 0 08:01 7 /too-large\n",
		"1000-2000 r--p 0 100000000:01 7 /device\n",
		"2000-3000 r--p 0 08:01 7 /b\n1000-2000 r--p 0 08:01 7 /a\n",
		"1000-3000 r--p 0 08:01 7 /a\n2000-4000 r--p 0 08:01 7 /overlap\n",
	};
	struct maps maps = {.count = 42};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (maps_parse(texts[i], strlen(texts[i]), &maps) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(maps.count, 42); /* untouched */
	}
	assert_int_equal(maps_parse("1000-2000 r--p 0 08:01 7 /a\0b\n", 31, &maps), -EINVAL);
	assert_int_equal(maps_parse("", 0, &maps), 0);
	assert_int_equal(maps.count, 0);
	maps_free(&maps);
}

static void test_own(void **state)
{
	const struct mapping *mapping;
	struct process process;
	struct error error;
	struct maps maps;

	assert_int_equal(process_open(getpid(), &process, &error), 0);
	assert_int_equal(maps_read(&process, &maps), 0);
	mapping = maps_find(&maps, (uint64_t)(uintptr_t)test_own);
	assert_non_null(mapping);
	assert_true(mapping->executable && mapping->inode);
	mapping = maps_find(&maps, (uint64_t)(uintptr_t)&maps);
	assert_non_null(mapping);
	assert_string_equal(mapping->path, "[stack]");
	maps_free(&maps);
	process_close(&process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields), cmocka_unit_test(test_paths),
		cmocka_unit_test(test_find),   cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
