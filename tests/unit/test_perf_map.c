/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the reader of /tmp/perf-PID.map: lines good and bad, pieces that overlap against the
 * obvious way to look them up, and files that somebody else has put there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/perf_map.h"

static struct perf_map *parsed(const char *text, size_t size)
{
	struct perf_map *map = NULL;

	assert_int_equal(perf_map_parse(text, size, &map), 0);
	return map;
}

static void assert_piece(const struct perf_map *map, uint64_t address, const char *name,
			 uint64_t wanted)
{
	uint64_t start = 0;
	const char *found = perf_map_find(map, address, &start);

	assert_non_null(found);
	assert_string_equal(found, name);
	assert_int_equal(start, wanted);
}

static void assert_nothing(const struct perf_map *map, uint64_t address)
{
	uint64_t start = 77;

	assert_null(perf_map_find(map, address, &start));
	assert_int_equal(start, 77);
}

static void test_lines(void **state)
{
	static const char text[] = "7f0000001000 10 py::f:/a b/c.py\n"
				   "7f0000002000 1 one\n"
				   "0x7F0000003000 0x20 LazyCompile:~x y.js:1\n"
				   "ffffffffffffff00 ff last\n"
				   "0 8 zero\n";
	struct perf_map *map = parsed(text, strlen(text));

	assert_piece(map, 0x7f0000001000, "py::f:/a b/c.py", 0x7f0000001000);
	assert_piece(map, 0x7f000000100f, "py::f:/a b/c.py", 0x7f0000001000);
	assert_nothing(map, 0x7f0000001010);
	assert_nothing(map, 0x7f0000000fff);
	assert_piece(map, 0x7f0000002000, "one", 0x7f0000002000);
	assert_nothing(map, 0x7f0000002001);
	assert_piece(map, 0x7f000000301f, "LazyCompile:~x y.js:1", 0x7f0000003000);
	assert_piece(map, 0xfffffffffffffffe, "last", 0xffffffffffffff00);
	assert_nothing(map, UINT64_MAX);
	assert_piece(map, 0, "zero", 0);
	perf_map_free(map);
}

/* None of these lines counts, and those between them do. */
static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"1000",
		"1000 10",
		"1000 10 ",
		"1000  10 x",
		" 1000 10 x",
		"1000 0 empty",
		"1000 -1 negative",
		"-1000 10 negative",
		"g000 10 no number",
		"1000 1g no number",
		"0x 10 no digits",
		"11111111111111111 10 too many digits",
		"ffffffffffffffff 1 at the end of numbers is the last one that fits",
		"ffffffffffffff00 101 past the end",
		"1000\t10\ttabs",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct perf_map *map;
		char text[256];
		int size =
			snprintf(text, sizeof(text), "5000 1 before\n%s\n6000 1 after\n", bad[i]);

		map = parsed(text, (size_t)size);
		assert_piece(map, 0x5000, "before", 0x5000);
		assert_nothing(map, 0x1000);
		assert_nothing(map, 0x1001);
		assert_nothing(map, 0xffffffffffffff00);
		assert_nothing(map, 0x1111111111111111);
		assert_piece(map, 0x6000, "after", 0x6000);
		perf_map_free(map);
	}
}

static void test_ends(void **state)
{
	static const char text[] = "1000 10 whole\n2000 10 still being writt";
	struct perf_map *map = parsed(text, strlen(text));

	assert_piece(map, 0x1000, "whole", 0x1000);
	assert_nothing(map, 0x2000);
	perf_map_free(map);
	map = parsed("", 0);
	assert_nothing(map, 0);
	perf_map_free(map);
	map = parsed("1000 10 x", 9);
	assert_nothing(map, 0x1000);
	perf_map_free(map);
	perf_map_free(NULL);
}

static void test_names(void **state)
{
	static const char text[] = "1000 10 caf\xe9\n"
				   "2000 10 caf\xc3\xa9\n"
				   "3000 10 nul\0nul\n"
				   "4000 \x00 bad\n"
				   "5000 10 after\n";
	char *large = malloc(10000), *end;
	struct perf_map *map = parsed(text, sizeof(text) - 1);
	const char *name;
	uint64_t start;

	assert_piece(map, 0x1000, "caf\xef\xbf\xbd", 0x1000);
	assert_piece(map, 0x2000, "caf\xc3\xa9", 0x2000);
	assert_piece(map, 0x3000,
		     "nul\xef\xbf\xbd"
		     "nul",
		     0x3000);
	assert_nothing(map, 0x4000);
	assert_piece(map, 0x5000, "after", 0x5000);
	perf_map_free(map);
	/* The cut at 4096 bytes falls into a character. */
	assert_non_null(large);
	end = stpcpy(large, "1000 10 x");
	for (int i = 0; i < 2000; i++)
		end = stpcpy(end, "\xc3\xa9");
	end = stpcpy(end, "\n2000 10 next\n");
	map = parsed(large, (size_t)(end - large));
	name = perf_map_find(map, 0x1000, &start);
	assert_non_null(name);
	assert_int_equal(strlen(name), 4001);
	perf_map_free(map);
	memset(large, '\xa9', 10000);
	for (size_t i = 0; i < 9000; i += 2)
		large[i] = '\xc3';
	memcpy(large, "1000 10 x", 9);
	memcpy(large + 9000, "\n2000 10 next\n", 14);
	map = parsed(large, 9014);
	name = perf_map_find(map, 0x1000, &start);
	assert_non_null(name);
	assert_true(strlen(name) > 4090 && strlen(name) <= 4096);
	assert_piece(map, 0x2000, "next", 0x2000);
	perf_map_free(map);
	free(large);
}

/* The one that was written last counts, whatever starts where. */
static void test_overlap(void **state)
{
	static const char text[] = "1000 1000 old\n"
				   "1400 100 inside\n"
				   "1800 1000 across\n"
				   "1480 10 inside the inside\n"
				   "1000 10 again\n"
				   "800 900 before\n"
				   "5000 10 same\n"
				   "5000 10 same place\n";
	struct perf_map *map = parsed(text, strlen(text));

	assert_piece(map, 0x800, "before", 0x800);
	assert_piece(map, 0x1000, "before", 0x800);
	assert_piece(map, 0x10ff, "before", 0x800);
	assert_piece(map, 0x1100, "old", 0x1000);
	assert_piece(map, 0x1400, "inside", 0x1400);
	assert_piece(map, 0x1485, "inside the inside", 0x1480);
	assert_piece(map, 0x1490, "inside", 0x1400);
	assert_piece(map, 0x1500, "old", 0x1000);
	assert_piece(map, 0x1800, "across", 0x1800);
	assert_piece(map, 0x27ff, "across", 0x1800);
	assert_nothing(map, 0x2800);
	assert_piece(map, 0x5005, "same place", 0x5000);
	perf_map_free(map);
}

#define RANDOM_PIECES 60
#define RANDOM_SPACE  400

/* Pieces at random, each address against the latest line that holds it. */
static void test_random(void **state)
{
	unsigned int seed = 1;

	for (int round = 0; round < 300; round++) {
		int holder[RANDOM_SPACE], starts[RANDOM_PIECES];
		char text[RANDOM_PIECES * 32], *end = text;
		struct perf_map *map;

		for (int i = 0; i < RANDOM_SPACE; i++)
			holder[i] = -1;
		for (int i = 0; i < RANDOM_PIECES; i++) {
			int start = rand_r(&seed) % RANDOM_SPACE;
			int size = 1 + rand_r(&seed) % (i % 3 ? 10 : RANDOM_SPACE);

			if (size > RANDOM_SPACE - start)
				size = RANDOM_SPACE - start;
			starts[i] = start;
			end += sprintf(end, "%x %x n%d\n", start, size, i);
			for (int at = start; at < start + size; at++)
				holder[at] = i;
		}
		map = parsed(text, (size_t)(end - text));
		for (int at = 0; at < RANDOM_SPACE; at++) {
			char name[16];

			snprintf(name, sizeof(name), "n%d", holder[at]);
			if (holder[at] < 0)
				assert_nothing(map, (uint64_t)at);
			else
				assert_piece(map, (uint64_t)at, name, (uint64_t)starts[holder[at]]);
		}
		perf_map_free(map);
	}
}

/* Where a map of this process is looked for. */
static void own_path(char path[64])
{
	snprintf(path, 64, "/tmp/perf-%d.map", getpid());
}

static int own_read(struct perf_map **map)
{
	struct process self;
	int error;

	assert_int_equal(process_open(getpid(), &self, NULL), 0);
	error = perf_map_read(&self, map);
	process_close(&self);
	return error;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_read(void **state)
{
	struct perf_map *map = NULL;
	char path[64];

	own_path(path);
	unlink(path);
	assert_int_equal(own_read(&map), -ENOENT);
	write_text(path, "1000 10 mine\n");
	assert_int_equal(own_read(&map), 0);
	assert_piece(map, 0x1008, "mine", 0x1000);
	perf_map_free(map);
	map = NULL;
	assert_int_equal(truncate(path, (64 << 20) + 1), 0); /* a hole, it takes no space */
	assert_int_equal(own_read(&map), -EFBIG);
	assert_null(map);
	unlink(path);
}

/* What is not a file of its own owner is neither read nor waited for. */
static void test_foreign(void **state)
{
	char path[64], other[80];
	struct perf_map *map = NULL;

	own_path(path);
	unlink(path);
	snprintf(other, sizeof(other), "%s.other", path);
	write_text(other, "1000 10 mine\n");
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(own_read(&map), -EPERM);
	unlink(path);
	unlink(other);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(own_read(&map), -EPERM);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(own_read(&map), -EPERM);
	rmdir(path);
	if (!geteuid()) {
		write_text(path, "1000 10 somebody else's\n");
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(own_read(&map), -EPERM);
		unlink(path);
	}
	assert_null(map);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),   cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_ends),    cmocka_unit_test(test_names),
		cmocka_unit_test(test_overlap), cmocka_unit_test(test_random),
		cmocka_unit_test(test_read),    cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
