/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compares line_table_lookup() with the lines that real interpreters give, instruction by
 * instruction: from committed tables of each version, and from all of the standard library of each
 * interpreter that is present. make_line_tables.py says what the lines of a file mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/lines.h"

#define FOLDER "tests/unit/"

static size_t hex_decode(const char *hex, uint8_t *bytes)
{
	size_t size = 0;

	for (; *hex && *hex != '-'; hex += 2) {
		unsigned int byte;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		bytes[size++] = (uint8_t)byte;
	}
	return size;
}

/* Checks one line of a file. Returns how many instructions were compared. */
static size_t row_check(char *row)
{
	uint32_t format = (uint32_t)strtoul(strtok(row, " "), NULL, 10);
	int32_t first = (int32_t)strtol(strtok(NULL, " "), NULL, 10);
	char *hex = strtok(NULL, " "), *runs = strtok(NULL, " \n");
	uint8_t *table = malloc(strlen(hex) / 2 + 1);
	size_t size = hex_decode(hex, table), units = 0;

	for (char *run = strtok(runs, ","); run; run = strtok(NULL, ",")) {
		int expected = *run == '-' ? -ENOENT : atoi(run);
		int count = atoi(strchr(run, '*') + 1);

		for (int i = 0; i < count; i++, units++) {
			int line = line_table_lookup(format, table, size, first, (int)units * 2);

			if (line != expected)
				print_error("first line %d, offset %zu\n", first, units * 2);
			assert_int_equal(line, expected);
		}
	}
	assert_int_equal(line_table_lookup(format, table, size, first, -1), first);
	free(table);
	return units;
}

static size_t stream_check(FILE *stream)
{
	size_t capacity = 0, units = 0;
	char *row = NULL;

	while (getline(&row, &capacity, stream) > 0)
		units += row_check(row);
	free(row);
	return units;
}

static void test_committed(void **state)
{
	glob_t files;

	assert_int_equal(glob(FOLDER "data/lines-*.txt", 0, NULL, &files), 0);
	assert_true(files.gl_pathc >= 9); /* 3.7 to 3.15 */
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *file = fopen(files.gl_pathv[i], "r");

		assert_non_null(file);
		assert_true(stream_check(file) > 1000);
		fclose(file);
	}
	globfree(&files);
}

static void interpreter_check(const char *python)
{
	char command[PATH_MAX];
	size_t units;
	FILE *stream;

	snprintf(command, sizeof(command), "%s - < " FOLDER "make_line_tables.py", python);
	stream = popen(command, "r");
	assert_non_null(stream);
	units = stream_check(stream);
	assert_int_equal(pclose(stream), 0);
	assert_true(units > 100000);
	print_message("%s: %zu instructions\n", python, units);
}

/* The machine's python3, pyenv's, and the commands in PYEBPF_TEST_PYTHONS, which `;` separates. */
static void test_live(void **state)
{
	const char *home = getenv("HOME"), *more = getenv("PYEBPF_TEST_PYTHONS");
	char pattern[PATH_MAX], *commands = strdup(more ? more : "");
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.*/bin/python", home ? home : "");
	assert_non_null(commands);
	if (!glob(pattern, 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			interpreter_check(found.gl_pathv[i]);
		globfree(&found);
	}
	if (!system("command -v python3 > /dev/null"))
		interpreter_check("python3");
	for (char *save, *one = strtok_r(commands, ";", &save); one;
	     one = strtok_r(NULL, ";", &save))
		interpreter_check(one);
	free(commands);
}

static void test_invalid(void **state)
{
	static const uint8_t odd[] = {2, 1, 2};
	static const uint8_t no_start[] = {0x00};
	static const uint8_t cut_short[] = {0x80};
	static const uint8_t cut_long[] = {0xf0, 0x02, 0x00};
	static const uint8_t endless[] = {0xe8, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x01};
	static const uint8_t negative[] = {0xe8, 0x0b}; /* line -5 + 1 */
	static const uint8_t down[] = {2, 0xf6};        /* -10 lines */

	assert_int_equal(line_table_lookup(LINE_FORMAT_LNOTAB, odd, 3, 1, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LINETABLE, odd, 3, 1, 9), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, no_start, 1, 1, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, cut_short, 1, 1, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, cut_long, 3, 1, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, endless, 8, 1, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, negative, 2, 1, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, negative, 2, 9, 0), 4);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LINETABLE, down, 2, 3, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LINETABLE, down, 2, 30, 0), 20);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, negative, 2, INT_MAX, 0),
			 INT_MAX - 5);
	assert_int_equal(line_table_lookup(3, odd, 2, 1, 0), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LNOTAB, odd, 2, 1, -2), -EINVAL);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LNOTAB, odd, 2, -1, -1), -EINVAL);
}

/* An empty table: in the old format all is the first line, in the others nothing has a line. */
static void test_empty(void **state)
{
	assert_int_equal(line_table_lookup(LINE_FORMAT_LNOTAB, NULL, 0, 7, 100), 7);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LINETABLE, NULL, 0, 7, 0), -ENOENT);
	assert_int_equal(line_table_lookup(LINE_FORMAT_LOCATIONS, NULL, 0, 7, 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_committed),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
