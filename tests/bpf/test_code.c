/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks what the programs tell of code objects: names of all widths and lengths, line tables. */
#include "made_python.h"

#include <stdlib.h>
#include <string.h>

#define LINES_MAX (LINES_CHUNK * LINES_CHUNKS_MAX)

/* Takes a sample of one frame with this code object. */
static void code_walk(struct run *run, struct made_python *python, uint64_t code)
{
	run_reset(run);
	made_thread_run(python, python->thread, made_frame(python, code, 0, 2));
	made_python_walk(run, python);
	expect_stack(run, 0, 1, &code);
}

static const struct code_record *code_told(const struct run *run, uint64_t code)
{
	const struct code_record *record = run_code(run, code);

	assert_non_null(record);
	assert_int_equal(record->head.size, offsetof(struct code_record, text) +
						    record->name.bytes + record->filename.bytes);
	return record;
}

/* A name of `length` characters comes whole, or cut to what the profiler keeps. */
static void name_check(struct run *run, struct made_python *python, uint32_t width, bool ascii,
		       uint32_t length)
{
	uint32_t characters[NAME_BYTES_MAX + 8], bytes = width * length;
	bool cut = bytes > NAME_BYTES_MAX;
	const struct code_record *record;
	uint64_t code;
	uint32_t i;

	for (i = 0; i < sizeof(characters); i++)
		((uint8_t *)characters)[i] = ascii ? (uint8_t)('a' + i % 26) : made_pattern(i);
	code = made_code(python, made_text(python, width, ascii, characters, length), 3);
	code_walk(run, python, code);
	record = code_told(run, code);
	assert_int_equal(record->name.width, width);
	assert_int_equal(record->name.cut, cut);
	assert_int_equal(record->name.bytes, cut ? NAME_BYTES_MAX : bytes);
	assert_memory_equal(record->text, characters, record->name.bytes);
	assert_int_equal(record->filename.bytes, strlen("/made/up.py"));
	assert_memory_equal(record->text + record->name.bytes, "/made/up.py",
			    record->filename.bytes);
	run_expect_losses(run, LOSS_NAME_CUT, cut, -1);
}

static void check_names(struct run *run, struct made_python *python)
{
	static const uint32_t lengths[] = {0, 1, 3, 300, 511, 512, 513, 1024, 1025, 2048, 2049};
	size_t i;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		name_check(run, python, 1, true, lengths[i]);
		name_check(run, python, 1, false, lengths[i]);
		name_check(run, python, 2, false, lengths[i]);
		name_check(run, python, 4, false, lengths[i]);
	}
}

static void test_names(void **state)
{
	made_python_each(*state, check_names);
}

static void filename_check(struct run *run, struct made_python *python, uint32_t length)
{
	char *path = malloc(length + 1);
	bool cut = length > FILENAME_BYTES_MAX;
	uint64_t code = made_code(python, made_ascii(python, "named"), 9);
	const struct code_record *record;

	assert_non_null(path);
	memset(path, 'p', length);
	path[length] = 0;
	made_word(code, python->config.layout.code_filename, made_ascii(python, path));
	code_walk(run, python, code);
	record = code_told(run, code);
	assert_int_equal(record->filename.cut, cut);
	assert_int_equal(record->name.cut, 0);
	assert_int_equal(record->filename.bytes, cut ? FILENAME_BYTES_MAX : length);
	assert_memory_equal(record->text + strlen("named"), path, record->filename.bytes);
	run_expect_losses(run, LOSS_NAME_CUT, cut, -1);
	free(path);
}

static void check_filenames(struct run *run, struct made_python *python)
{
	filename_check(run, python, 0);
	filename_check(run, python, 1);
	filename_check(run, python, FILENAME_BYTES_MAX - 1);
	filename_check(run, python, FILENAME_BYTES_MAX);
	filename_check(run, python, FILENAME_BYTES_MAX + 1);
	filename_check(run, python, 3 * FILENAME_BYTES_MAX);
}

static void test_filenames(void **state)
{
	made_python_each(*state, check_filenames);
}

/* Name and file name both at their limits: the largest record that there is. */
static void check_largest(struct run *run, struct made_python *python)
{
	char longest[FILENAME_BYTES_MAX + 2];
	uint64_t text, code;

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	text = made_ascii(python, longest);
	code = made_code(python, text, 1);
	made_word(code, python->config.layout.code_filename, text);
	code_walk(run, python, code);
	assert_int_equal(code_told(run, code)->head.size,
			 offsetof(struct code_record, text) + NAME_BYTES_MAX + FILENAME_BYTES_MAX);
	run_expect_losses(run, LOSS_NAME_CUT, 1, -1);
}

static void test_largest(void **state)
{
	made_python_each(*state, check_largest);
}

/* The pieces of the line table that came, in order, are its first `bytes` bytes. */
static void lines_expect(const struct run *run, uint64_t code, uint32_t bytes)
{
	uint32_t seen = 0;
	size_t i, j;

	for (i = 0; i < run->count; i++) {
		const struct lines_record *lines = (const void *)run->records[i];

		if (lines->head.kind != RECORD_LINES)
			continue;
		assert_int_equal(lines->code, code);
		assert_int_equal(lines->head.process, MADE_PROCESS);
		assert_int_equal(lines->head.size,
				 offsetof(struct lines_record, data) + lines->bytes);
		assert_int_equal(lines->offset, seen);
		assert_true(lines->bytes == LINES_CHUNK || seen + lines->bytes == bytes);
		for (j = 0; j < lines->bytes; j++)
			if (lines->data[j] != made_pattern(seen + j))
				fail_msg("byte %zu of the line table differs", seen + j);
		seen += lines->bytes;
		/* All of them precede the code object. */
		assert_int_equal(run->records[i + 1]->kind,
				 seen == bytes ? RECORD_CODE : RECORD_LINES);
	}
	assert_int_equal(seen, bytes);
}

static void lines_check(struct run *run, struct made_python *python, uint32_t bytes)
{
	uint64_t code = made_code(python, made_ascii(python, "lined"), 5);
	bool cut = bytes > LINES_MAX;
	size_t used;

	used = python->used;
	made_word(code, python->config.layout.code_line_table, made_bytes(python, bytes));
	code_walk(run, python, code);
	lines_expect(run, code, cut ? LINES_MAX : bytes);
	assert_int_equal(code_told(run, code)->lines_bytes, cut ? LINES_MAX : bytes);
	assert_int_equal(code_told(run, code)->first_line, 5);
	run_expect_losses(run, LOSS_LINES_CUT, cut, -1);
	memset(python->memory + used, 0, python->used - used);
	python->used = used;
}

static void check_lines(struct run *run, struct made_python *python)
{
	lines_check(run, python, 0);
	lines_check(run, python, 1);
	lines_check(run, python, LINES_CHUNK - 1);
	lines_check(run, python, LINES_CHUNK);
	lines_check(run, python, LINES_CHUNK + 1);
	lines_check(run, python, 3 * LINES_CHUNK + 77);
	lines_check(run, python, LINES_MAX - 1);
	lines_check(run, python, LINES_MAX);
	lines_check(run, python, LINES_MAX + 1);
	lines_check(run, python, 2 * LINES_MAX);
}

static void test_lines(void **state)
{
	made_python_each(*state, check_lines);
}

/* Walks again, with all that is remembered. Returns what is told of the code object; NULL: nothing. */
static const struct code_record *code_walk_again(struct run *run, const struct made_python *python,
						 uint64_t code)
{
	size_t before = run_count(run, RECORD_CODE);

	made_python_walk(run, python);
	return run_count(run, RECORD_CODE) > before ? run_code(run, code) : NULL;
}

/* What cannot be read is tried again, but not for ever; what can be then has its lines. */
static void check_unread_lines(struct run *run, struct made_python *python)
{
	uint32_t offset = python->config.layout.code_line_table, told = 0, mended = 0, i;
	uint64_t code = made_code(python, made_ascii(python, "unread"), 5);

	made_word(code, offset, python->guard);
	code_walk(run, python, code);
	run_expect_losses(run, LOSS_LINES_CUT, 1, -1);
	assert_int_equal(code_told(run, code)->lines_bytes, 0);
	for (i = 0; i < 1000; i++)
		told += code_walk_again(run, python, code) != NULL;
	/* It is told of once more with a chance of seven in eight, each time. */
	assert_in_range(told, 0, 300);
	assert_null(code_walk_again(run, python, code));
	for (i = 0; i < 100; i++) {
		const struct code_record *record;

		made_word(code, offset, python->guard);
		code_walk(run, python, code);
		made_word(code, offset, made_bytes(python, 20));
		record = code_walk_again(run, python, code);
		mended += record && record->lines_bytes == 20;
		assert_null(code_walk_again(run, python, code));
	}
	assert_in_range(mended, 50, 100);
}

static void test_unread_lines(void **state)
{
	made_python_each(*state, check_unread_lines);
}

/* First lines are taken as they are: 0 of module code, negative ones of hand-made code objects. */
static void check_first_lines(struct run *run, struct made_python *python)
{
	static const int32_t lines[] = {0, 1, -1, 0x7fffffff};
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint64_t code = made_code(python, made_ascii(python, "first"), lines[i]);

		code_walk(run, python, code);
		assert_int_equal(code_told(run, code)->first_line, lines[i]);
	}
}

static void test_first_lines(void **state)
{
	made_python_each(*state, check_first_lines);
}

#define TESTS                                                                 \
	cmocka_unit_test(test_names), cmocka_unit_test(test_filenames),       \
		cmocka_unit_test(test_largest), cmocka_unit_test(test_lines), \
		cmocka_unit_test(test_unread_lines), cmocka_unit_test(test_first_lines)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("code objects of the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("code objects of another thread", tests,
						    run_set_up_other, run_tear_down);
}
