/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compares bytecode_loops() with what real interpreters say of their own bytecode, instruction by
 * instruction: from committed functions of each version, and from the standard library of each
 * interpreter that is present. make_loops.py says what the lines of a file mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/bytecode.h"

#define FOLDER "tests/unit/"

/* What was compared of a stream. */
struct compared {
	size_t codes, units, loops, wrong;
};

/* The bytes of `hex`, to be freed. `-`: none. */
static uint8_t *hex_decode(const char *hex, size_t *size)
{
	uint8_t *bytes = malloc(strlen(hex) / 2 + 1);
	unsigned int byte;

	assert_non_null(bytes);
	for (*size = 0; *hex && *hex != '-'; hex += 2) {
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		bytes[(*size)++] = (uint8_t)byte;
	}
	return bytes;
}

/* Of a long function, some: each question costs a walk through all of it. */
static size_t step_of(size_t units)
{
	return units < 400 ? 1 : units / 200;
}

static void row_check(char *row, struct compared *compared)
{
	struct bytecode bytecode = {.version = (uint32_t)strtoul(strtok(row, " "), NULL, 10)};
	uint8_t *code = hex_decode(strtok(NULL, " "), &bytecode.size);
	uint8_t *exceptions = hex_decode(strtok(NULL, " "), &bytecode.exceptions_size);
	const char *expected = strtok(NULL, " \n");
	size_t unit;

	bytecode.code = code;
	bytecode.exceptions = exceptions;
	assert_int_equal(strlen(expected), bytecode.size / 2);
	compared->codes++;
	for (unit = 0; unit < bytecode.size / 2; unit += step_of(bytecode.size / 2)) {
		if (expected[unit] == '.')
			continue;
		compared->units++;
		compared->loops += expected[unit] == '1';
		if (bytecode_loops(&bytecode, unit * 2) == (expected[unit] == '1'))
			continue;
		if (!compared->wrong++)
			print_error("version %#x, code %zu, offset %zu: not %c\n", bytecode.version,
				    compared->codes, unit * 2, expected[unit]);
	}
	assert_false(bytecode_loops(&bytecode, bytecode.size));
	free(code);
	free(exceptions);
}

static struct compared stream_check(FILE *stream)
{
	struct compared compared = {0};
	size_t capacity = 0;
	char *row = NULL;

	while (getline(&row, &capacity, stream) > 0)
		row_check(row, &compared);
	free(row);
	return compared;
}

static void compared_expect(const char *what, const struct compared *compared, size_t least)
{
	print_message("%s: %zu instructions of %zu code objects, %zu in loops, %zu wrong\n", what,
		      compared->units, compared->codes, compared->loops, compared->wrong);
	assert_int_equal(compared->wrong, 0);
	assert_true(compared->units > least);
	assert_true(compared->loops > least / 20);
	assert_true(compared->loops < compared->units - least / 20);
}

static void test_committed(void **state)
{
	glob_t files;

	assert_int_equal(glob(FOLDER "data/loops-*.txt", 0, NULL, &files), 0);
	assert_true(files.gl_pathc >= 9); /* 3.7 to 3.15 */
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *file = fopen(files.gl_pathv[i], "r");
		struct compared compared;

		assert_non_null(file);
		compared = stream_check(file);
		fclose(file);
		compared_expect(files.gl_pathv[i], &compared, 1500);
	}
	globfree(&files);
}

static void interpreter_check(const char *python)
{
	struct compared compared;
	char command[PATH_MAX];
	FILE *stream;

	snprintf(command, sizeof(command), "%s - < " FOLDER "make_loops.py", python);
	stream = popen(command, "r");
	assert_non_null(stream);
	compared = stream_check(stream);
	assert_int_equal(pclose(stream), 0);
	compared_expect(python, &compared, 20000);
}

/* The machine's python3, pyenv's, and the commands in PYEBPF_TEST_PYTHONS, which `;` separates. */
static void test_live(void **state)
{
	const char *home = getenv("HOME"), *more = getenv("PYEBPF_TEST_PYTHONS");
	char pattern[PATH_MAX], *commands = strdup(more ? more : "");
	const char *ci = getenv("CI");
	bool any = false;
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.*/bin/python", home ? home : "");
	assert_non_null(commands);
	if (!glob(pattern, 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			if (strstr(found.gl_pathv[i], "/3.6"))
				continue; /* not in opcode_table.c */
			interpreter_check(found.gl_pathv[i]);
			any = true;
		}
		globfree(&found);
	}
	if (!system("command -v python3 > /dev/null")) {
		interpreter_check("python3");
		any = true;
	}
	for (char *save, *one = strtok_r(commands, ";", &save); one;
	     one = strtok_r(NULL, ";", &save))
		interpreter_check(one);
	free(commands);
	assert_true(any || !ci || strcmp(ci, "true") != 0);
}

/* A frame can be at one of the units behind an instruction: 3.11 and 3.12 leave it there in calls. */
static void test_caches(void **state)
{
	/* 3.12: 0 CALL with three caches, 8 JUMP_BACKWARD to 0, 10 CALL, 18 RETURN_VALUE */
	static const uint8_t code[] = {171, 0, 140, 9, 144, 144, 83, 0, 140, 5,
				       171, 0, 140, 9, 144, 144, 83, 0, 83,  0};
	struct bytecode bytecode = {.version = 0x030c, .code = code, .size = sizeof(code)};
	size_t at;

	for (at = 0; at < sizeof(code); at += 2)
		assert_int_equal(bytecode_loops(&bytecode, at), at < 10);
}

static void test_unknown(void **state)
{
	static const uint8_t code[] = {113, 0};
	struct bytecode bytecode = {.version = 0x030a, .code = code, .size = sizeof(code)};

	assert_true(bytecode_loops(&bytecode, 0)); /* JUMP_ABSOLUTE to itself */
	bytecode.version = 0x0306;
	assert_false(bytecode_loops(&bytecode, 0));
	bytecode.version = 0x030a;
	bytecode.size = 1;
	assert_false(bytecode_loops(&bytecode, 0));
	bytecode.size = 0;
	assert_false(bytecode_loops(&bytecode, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_committed),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_caches),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
