/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks reading bytecode from a process, which is this one, with code objects made up in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "capture/code_loops.h"

#define PROCESS 3

/* Enough of PyBytesObject. */
struct made_bytes {
	uint64_t references, type;
	int64_t size, hash;
	uint8_t data[16];
};

/* Enough of PyCodeObject of 3.12 and, with the bytecode behind a pointer, of 3.10. */
struct made_code {
	uint64_t references, type;
	int64_t size; /* code units */
	void *constants, *names, *exceptions;
	void *lines, *bytecode;
	uint8_t code[16];
};

static const struct python_layout layout_3_12 = {
	.version = 0x030c,
	.object_type = offsetof(struct made_bytes, type),
	.bytes_size = offsetof(struct made_bytes, size),
	.bytes_data = offsetof(struct made_bytes, data),
	.code_line_table = offsetof(struct made_code, lines),
	.code_instructions = offsetof(struct made_code, code),
};

static const struct python_layout layout_3_10 = {
	.version = 0x030a,
	.object_type = offsetof(struct made_bytes, type),
	.bytes_size = offsetof(struct made_bytes, size),
	.bytes_data = offsetof(struct made_bytes, data),
	.code_line_table = offsetof(struct made_code, lines),
	.code_bytecode = offsetof(struct made_code, bytecode),
};

/* 3.12: NOP, NOP, JUMP_BACKWARD to 0 in three units; and without the jump. */
static const uint8_t looping[] = {9, 0, 9, 0, 140, 3};
static const uint8_t straight[] = {9, 0, 9, 0, 83, 0};

static struct made_bytes made_bytes(const uint8_t *data, size_t size)
{
	struct made_bytes bytes = {.type = 7, .size = (int64_t)size};

	if (size)
		memcpy(bytes.data, data, size);
	return bytes;
}

static struct code_loops *made_loops(const struct python_layout *layout)
{
	struct process process = {.pid = getpid(), .door = getpid(), .pidfd = -1};
	struct code_loops *loops = code_loops_new();

	assert_non_null(loops);
	assert_int_equal(code_loops_add_process(loops, PROCESS, &process, layout), 0);
	return loops;
}

static bool loop_at(struct code_loops *loops, uint64_t code, int32_t instruction)
{
	struct python_frame frame = {.code = code, .instruction = instruction};
	bool in_loop = !instruction;

	assert_int_equal(code_loops_find(loops, PROCESS, &frame, &in_loop), 0);
	return in_loop;
}

static void test_reads(void **state)
{
	struct made_bytes empty = made_bytes(NULL, 0);
	struct made_code code = {.size = 3, .exceptions = &empty, .lines = &empty};
	struct code_loops *loops = made_loops(&layout_3_12);
	uint64_t address = (uintptr_t)&code;

	memcpy(code.code, looping, sizeof(looping));
	assert_true(loop_at(loops, address, 0));
	assert_true(loop_at(loops, address | PYTHON_FRAME_ENTRY, 4));
	assert_false(loop_at(loops, address, -1));
	assert_false(loop_at(loops, address, 6));
	assert_false(loop_at(loops, 8, 0)); /* not mapped */
	code_loops_free(loops);
}

static void test_reads_object(void **state)
{
	static const uint8_t jumping[] = {9, 0, 113, 0, 83, 0}; /* 3.10: JUMP_ABSOLUTE to 0 */
	struct made_bytes bytes = made_bytes(jumping, sizeof(jumping));
	struct made_code code = {.bytecode = &bytes};
	struct code_loops *loops = made_loops(&layout_3_10);

	assert_true(loop_at(loops, (uintptr_t)&code, 0));
	assert_false(loop_at(loops, (uintptr_t)&code, 4));
	code_loops_free(loops);
}

/* NOP, RETURN_VALUE, and a handler that goes back: only exceptions make it a loop. */
static void test_reads_exceptions(void **state)
{
	static const uint8_t handled[] = {9, 0, 83, 0, 140, 3};
	static const uint8_t table[] = {0x80, 1, 2, 0}; /* from unit 0, one: to unit 2 */
	struct made_bytes exceptions = made_bytes(table, sizeof(table));
	struct made_bytes none = made_bytes(NULL, 0);
	struct made_code code = {.size = 3, .exceptions = &exceptions, .lines = &exceptions};
	struct code_loops *loops = made_loops(&layout_3_12);

	memcpy(code.code, handled, sizeof(handled));
	assert_true(loop_at(loops, (uintptr_t)&code, 0));
	assert_true(loop_at(loops, (uintptr_t)&code, 4));
	assert_false(loop_at(loops, (uintptr_t)&code, 2));
	code_loops_forget(loops, PROCESS, (uintptr_t)&code, 0);
	code.exceptions = &none;
	assert_false(loop_at(loops, (uintptr_t)&code, 0));
	/* What lies there is not what it should be: nothing is said. */
	code_loops_forget(loops, PROCESS, (uintptr_t)&code, 0);
	none.type = 8;
	memcpy(code.code, looping, sizeof(looping));
	assert_false(loop_at(loops, (uintptr_t)&code, 0));
	code_loops_free(loops);
}

/* A code object that was freed, and another at its address: the record of that tells. */
static void test_address_used_anew(void **state)
{
	struct made_bytes empty = made_bytes(NULL, 0);
	struct made_code code = {.size = 3, .exceptions = &empty, .lines = &empty};
	struct code_loops *loops = made_loops(&layout_3_12);
	uint64_t address = (uintptr_t)&code;

	memcpy(code.code, looping, sizeof(looping));
	assert_true(loop_at(loops, address, 0));
	memcpy(code.code, straight, sizeof(straight));
	assert_true(loop_at(loops, address, 0)); /* it was read once */
	code_loops_forget(loops, PROCESS + 1, address, 0);
	code_loops_forget(loops, PROCESS, address, 1);
	assert_true(loop_at(loops, address, 0));
	code_loops_forget(loops, PROCESS, address, 0);
	assert_false(loop_at(loops, address, 0));
	code_loops_free(loops);
}

static void test_hostile_sizes(void **state)
{
	static const int64_t sizes[] = {-1, INT64_MIN, INT64_MAX, 1LL << 40, (1LL << 63) | 3};
	struct made_bytes empty = made_bytes(NULL, 0);
	struct made_code code = {.size = 3, .exceptions = &empty, .lines = &empty};
	struct code_loops *loops = made_loops(&layout_3_12);
	size_t i;

	memcpy(code.code, looping, sizeof(looping));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		code.size = sizes[i];
		code_loops_forget(loops, PROCESS, (uintptr_t)&code, 0);
		assert_false(loop_at(loops, (uintptr_t)&code, 0));
		code.size = 3;
		empty.size = sizes[i];
		code_loops_forget(loops, PROCESS, (uintptr_t)&code, 0);
		assert_false(loop_at(loops, (uintptr_t)&code, 0));
		empty.size = 0;
	}
	code_loops_forget(loops, PROCESS, (uintptr_t)&code, 0);
	assert_true(loop_at(loops, (uintptr_t)&code, 0));
	code_loops_free(loops);
}

static void test_unknown(void **state)
{
	struct code_loops *loops = code_loops_new();
	struct python_frame frame = {.code = 8, .identity = FRAME_UNNAMED};
	bool in_loop = true;

	assert_non_null(loops);
	assert_false(loop_at(loops, 8, 0)); /* no such process */
	assert_int_equal(code_loops_find(loops, PROCESS, &frame, &in_loop), 0);
	assert_false(in_loop);
	code_loops_free(loops);
	code_loops_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_reads_object),
		cmocka_unit_test(test_reads_exceptions),
		cmocka_unit_test(test_address_used_anew),
		cmocka_unit_test(test_hostile_sizes),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
