/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the two sources of struct python_layout: the generated table, and _Py_DebugOffsets as
 * they lie in real processes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "python/offsets.h"

/* The first words of _PyRuntime of live processes. */
/* clang-format off */
static const uint64_t words_3_13[] = { /* CPython 3.13.0 */
	0x7970677562656478, 0x30d00f0, 0, 283320, 608, 632, 194968, 7272, 7264, 7344, 7400,
	7656, 7640, 7648, 16, 7752, 0, 7768, 7760, 304, 0, 8, 16, 72, 152, 160, 232, 32, 80,
	8, 0, 56, 72, 70, 208, 112, 120, 128, 136, 68, 52, 96, 104, 200, 16, 8, 416, 24, 88,
	168, 32, 24, 16, 40, 24, 16, 48, 32, 40, 24, 16, 32, 16, 24, 40, 16, 32, 64, 32, 16,
	40, 240, 200,
};

static const uint64_t words_3_14[] = { /* CPython 3.14.10 */
	0x7970677562656478, 0x30e0af0, 0, 316616, 784, 808, 225864, 7280, 7272, 7344, 7360,
	7408, 7688, 7672, 7680, 16, 7784, 0, 7800, 7792, 7992, 0, 832, 0, 8, 16, 72, 152, 160,
	232, 32, 88, 8, 0, 56, 80, 74, 64, 0, 216, 112, 120, 128, 136, 68, 52, 96, 104, 208,
	0, 16, 8, 416, 24, 88, 168, 40, 32, 16, 40, 24, 16, 200, 24, 40, 32, 48, 32, 40, 24,
	16, 32, 16, 24, 40, 16, 32, 64, 32, 16, 40, 264, 192, 160, 24, 72, 67, 0, 8, 24, 304,
	8076, 0, 4, 512,
};

static const uint64_t words_3_15[] = { /* CPython 3.15.2 */
	0x7970677562656478, 0x30f02f0, 0, 346568, 912, 936, 226240, 7272, 7264, 7336, 7352,
	7400, 7592, 7576, 7584, 16, 7736, 0, 7752, 7744, 7944, 0, 888, 0, 8, 16, 72, 80, 88,
	96, 176, 184, 256, 32, 36, 40, 136, 288, 0, 88, 8, 0, 56, 80, 74, 64, 0, 216, 112,
	120, 128, 136, 68, 52, 96, 104, 208, 0, 16, 8, 424, 24, 88, 168, 32, 288, 944, 888,
	40, 32, 16, 40, 24, 16, 200, 24, 40, 32, 48, 32, 40, 24, 16, 32, 16, 24, 40, 16, 32,
	64, 32, 16, 40, 56, 176, 112, 120, 1120, 104, 160, 24, 72, 67, 0, 8, 24, 344, 8028, 0,
	4, 512,
};

/* clang-format on */

/* What the debug information of the same 3.13.0 says (tools/offset_table.c prints it). */
static const struct python_layout debug_information_3_13 = {
	.version = 0x030d,
	.frame_model = FRAME_MODEL_CURRENT,
	.line_format = LINE_FORMAT_LOCATIONS,
	.frame_owner_shim = 3,
	.instruction_scale = 1,
	.runtime_interpreters_head = 632,
	.interpreter_next = 7264,
	.interpreter_threads_head = 7344,
	.interpreter_gil = 16,
	.interpreter_gc_collecting = 7600,
	.gil_size = 208,
	.gil_last_holder = 8,
	.gil_locked = 16,
	.thread_prev = 0,
	.thread_next = 8,
	.thread_interpreter = 16,
	.thread_id = 152,
	.thread_frame = 72,
	.frame_previous = 8,
	.frame_code = 0,
	.frame_instruction = 56,
	.frame_owner = 70,
	.code_name = 120,
	.code_qualified_name = 128,
	.code_filename = 112,
	.code_first_line = 68,
	.code_line_table = 136,
	.code_instructions = 200,
	.code_version = 92,
	.object_type = 8,
	.bytes_size = 16,
	.bytes_data = 32,
	.text_length = 16,
	.text_hash = 24,
	.text_state = 32,
	.text_ascii_data = 40,
	.text_compact_data = 56,
	.text_kind_shift = 2,
};

static struct python_layout layout_of(const uint64_t *words, size_t size)
{
	struct python_layout layout;
	struct error error = {""};

	if (layout_from_debug_offsets(words, size, &layout, &error))
		fail_msg("%s", error.text);
	return layout;
}

/* Field by field the same as the debug information, but for sizes, which that does not tell. */
static void test_debug_information(void **state)
{
	struct python_layout layout = layout_of(words_3_13, sizeof(words_3_13));

	assert_int_equal(layout.thread_size, 160);
	assert_int_equal(layout.frame_size, 71);
	assert_int_equal(layout.code_size, 144);
	layout.thread_size = layout.frame_size = layout.code_size = 0;
	assert_memory_equal(&layout, &debug_information_3_13, sizeof(layout));
}

static void test_newer(void **state)
{
	struct python_layout layout = layout_of(words_3_14, sizeof(words_3_14));

	assert_int_equal(layout.version, 0x030e);
	assert_int_equal(layout.runtime_interpreters_head, 808);
	assert_int_equal(layout.interpreter_gc_collecting, 7408 + 192);
	assert_int_equal(layout.interpreter_gc_frame, 0);
	assert_int_equal(layout.interpreter_gc_statistics, 0);
	assert_int_equal(layout.gil_locked, 16);
	assert_int_equal(layout.gil_last_holder, 8);
	assert_int_equal(layout.thread_id, 152);
	assert_int_equal(layout.frame_owner, 74);
	assert_int_equal(layout.frame_code_tags, 1);
	assert_int_equal(layout.code_instructions, 208);

	layout = layout_of(words_3_15, sizeof(words_3_15));
	assert_int_equal(layout.version, 0x030f);
	assert_int_equal(layout.runtime_interpreters_head, 936);
	assert_int_equal(layout.interpreter_gc_collecting, 7400 + 112);
	assert_int_equal(layout.interpreter_gc_frame, 7400 + 120);
	assert_int_equal(layout.interpreter_gc_statistics, 7400 + 104);
	assert_int_equal(layout.gil_locked, 16);
	assert_int_equal(layout.gil_last_holder, 8);
	assert_int_equal(layout.thread_id, 176);
	assert_int_equal(layout.frame_owner, 74);
	assert_int_equal(layout.frame_code_tags, 3);
	assert_int_equal(layout.text_compact_data, 56);
}

static int result_of(const uint64_t *words, size_t size)
{
	struct python_layout layout = {.version = 42};
	struct error error;
	int result = layout_from_debug_offsets(words, size, &layout, &error);

	if (result)
		assert_int_equal(layout.version, 42); /* untouched */
	return result;
}

static void test_refused(void **state)
{
	uint64_t words[sizeof(words_3_15) / 8];

	memcpy(words, words_3_15, sizeof(words));
	words[2] = 1;
	assert_int_equal(result_of(words, sizeof(words)), -ENOTSUP); /* free-threaded */
	words[2] = 0;
	words[1] = 0x031000f0;
	assert_int_equal(result_of(words, sizeof(words)), -ENOTSUP); /* 3.16 */
	words[1] = words_3_15[1];
	assert_int_equal(result_of(words, sizeof(words)), 0);
	assert_int_equal(result_of(words, sizeof(words) - 8), -EINVAL);
	assert_int_equal(result_of(words, 16), -ENOENT);
	words[0] ^= 1;
	assert_int_equal(result_of(words, sizeof(words)), -ENOENT);
}

/* Groups of another minor version, under this one's number, must not pass for offsets. */
static void test_shifted(void **state)
{
	uint64_t words[128] = {0};

	memcpy(words, words_3_13, sizeof(words_3_13));
	words[1] = words_3_14[1];
	assert_int_equal(result_of(words, sizeof(words)), -EINVAL);
	words[1] = words_3_15[1];
	assert_int_equal(result_of(words, sizeof(words)), -EINVAL);
	memcpy(words, words_3_14, sizeof(words_3_14));
	words[1] = words_3_15[1];
	assert_int_equal(result_of(words, sizeof(words)), -EINVAL);
	memcpy(words, words_3_15, sizeof(words_3_15));
	words[1] = words_3_13[1];
	assert_int_equal(result_of(words, sizeof(words)), -EINVAL);
	words[1] = words_3_14[1];
	assert_int_equal(result_of(words, sizeof(words)), -EINVAL);
}

/* A value that is no offset, in any word that is used. */
static void test_hostile(void **state)
{
	uint64_t words[sizeof(words_3_14) / 8];
	size_t refused = 0;

	for (size_t i = 3; i < sizeof(words) / 8; i++) {
		memcpy(words, words_3_14, sizeof(words));
		words[i] = UINT64_MAX;
		refused += result_of(words, sizeof(words)) == -EINVAL;
	}
	assert_int_equal(refused, 31); /* as many as are read, without the groups' sizes */
}

static void test_table(void **state)
{
	struct python_layout layout = {.version = 42};

	assert_int_equal(layout_table_count, 6);
	for (uint32_t minor = 7; minor <= 12; minor++) {
		assert_int_equal(layout_from_table(PYTHON_VERSION(3, minor), &layout), 0);
		assert_int_equal(layout.version, 0x0300 + minor);
		assert_true(layout.thread_size >= layout.thread_id + 8);
		assert_true(layout.frame_size >= layout.frame_instruction + 4);
		assert_true(layout.code_size >= layout.code_line_table + 8);
		assert_true(minor >= 12 ? layout.interpreter_gil : layout.runtime_gil);
		assert_int_equal(layout.gil_size, 208);
	}
	layout.version = 42;
	assert_int_equal(layout_from_table(PYTHON_VERSION(3, 6), &layout), -ENOENT);
	assert_int_equal(layout_from_table(PYTHON_VERSION(3, 13), &layout), -ENOENT);
	assert_int_equal(layout.version, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_debug_information), cmocka_unit_test(test_newer),
		cmocka_unit_test(test_refused),           cmocka_unit_test(test_shifted),
		cmocka_unit_test(test_hostile),           cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
