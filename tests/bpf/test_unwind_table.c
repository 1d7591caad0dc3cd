/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the searches in what user space prepares for native stacks: the rule at an address of a
 * file, and the file at an address of a process. Each walk looks up as many addresses as it has
 * frames: the rules differ in the sizes of their frames, so that after a wrong one nothing fits.
 */
#include "made_native.h"

#include <stdlib.h>
#include <string.h>

#define NO_PYTHON  (SAMPLE_NOT_PYTHON | SAMPLE_NATIVE)
#define CUT        (NO_PYTHON | SAMPLE_NATIVE_CUT)
#define FIRST_PAGE 0x41
#define SIZES      48  /* of frames: rules that follow each other differ */
#define WALK_MAX   128 /* frames of a walk: they fit onto the stack */

static uint32_t frame_bytes(uint32_t rule)
{
	return 8 * (rule % SIZES + 1);
}

/* Adds rules until there are `count`. */
static void rules_add(struct made_table *table, uint32_t count)
{
	while (table->rule_count < count)
		made_table_rule(table, (struct unwind_rule){
					       .cfa = UNWIND_SP,
					       .offset = (int32_t)frame_bytes(table->rule_count)});
}

/* Makes the whole of the user's addresses one range, of a file whose table is at this block. */
static void table_use(struct made_native *native, uint32_t block, uint64_t bias)
{
	const struct unwind_range range = {.end = 1ULL << 47,
					   .bias = bias,
					   .file = MADE_FILE,
					   .chunk = CHUNK_TABLES,
					   .block = block};

	made_chunks_add_ranges(&native->chunks, 0, &range, 1);
	native->space = (struct address_space){.ranges = {CHUNK_RANGES, 0}, .range_count = 1};
	made_space_set(native->run, &native->space);
}

/* Looks up addresses which all have a rule, in one walk. */
static void expect_rules(struct made_native *native, const uint64_t *addresses, uint32_t count)
{
	uint64_t words[WALK_MAX], sp = native->at.sp;
	uint32_t i;

	assert_in_range(count, 1, WALK_MAX);
	run_reset(native->run);
	native->at.ip = addresses[0] + MADE_BIAS;
	for (i = 0; i < count; i++) {
		sp += frame_bytes((uint32_t)made_table_find(native->table, addresses[i]));
		made_stack_word(sp - 8, i + 1 < count ? addresses[i + 1] + 1 + MADE_BIAS : 0);
		words[i] = addresses[i] | (uint64_t)MADE_FILE << NATIVE_ADDRESS_BITS;
	}
	made_native_walk(native);
	expect_native(native->run, NO_PYTHON, count, words);
	run_expect_losses(native->run, -1);
}

static void expect_no_rule(struct made_native *native, uint64_t address, uint64_t bias)
{
	const uint64_t word = (address & NATIVE_ADDRESS_MASK) | (uint64_t)MADE_FILE
									<< NATIVE_ADDRESS_BITS;

	run_reset(native->run);
	native->at.ip = address + bias;
	made_native_walk(native);
	expect_native(native->run, CUT, 1, &word);
	run_expect_losses(native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
}

/* Looks up any addresses: those that have a rule together, the others each by itself. */
static void lookups_check(struct made_native *native, const uint64_t *addresses, uint32_t count)
{
	uint64_t batch[WALK_MAX];
	uint32_t i, filled = 0;

	for (i = 0; i < count; i++) {
		if (made_table_find(native->table, addresses[i]) < 0) {
			expect_no_rule(native, addresses[i], MADE_BIAS);
			continue;
		}
		batch[filled++] = addresses[i];
		if (filled == WALK_MAX) {
			expect_rules(native, batch, filled);
			filled = 0;
		}
	}
	if (filled)
		expect_rules(native, batch, filled);
}

/* Looks up where each row begins, and right before and behind it. */
static void rows_check(struct made_native *native)
{
	const struct made_table *table = native->table;
	uint64_t *addresses = malloc(3 * table->row_count * sizeof(*addresses));
	uint32_t i;

	assert_non_null(addresses);
	for (i = 0; i < table->row_count; i++) {
		addresses[3 * i] = table->rows[i].address;
		addresses[3 * i + 1] = table->rows[i].address - 1;
		addresses[3 * i + 2] = table->rows[i].address + 1;
	}
	lookups_check(native, addresses, 3 * table->row_count);
	free(addresses);
}

static uint64_t page_start(uint32_t page)
{
	return (uint64_t)(FIRST_PAGE + page) << UNWIND_PAGE_BITS;
}

/* Pages with few rows, with none, and with rows at either end. */
static void sparse_make(struct made_table *table, uint32_t page_count)
{
	made_table_begin(table, FIRST_PAGE, page_count);
	rules_add(table, 12);
	made_table_row(table, page_start(0), 3);
	made_table_row(table, page_start(0) + 0x10, 1);
	made_table_row(table, page_start(0) + 0xffff, 11);
	made_table_row(table, page_start(2), 0);
	made_table_row(table, page_start(3), 7);
	made_table_row(table, page_start(3) + 0x8000, 5);
	made_table_row(table, page_start(5), 2);
	made_table_row(table, page_start(5) + 1, 9);
	made_table_row(table, page_start(5) + 2, 4);
}

static void check_pages(struct made_native *native)
{
	static const uint64_t offsets[] = {0,      1,      2,      3,      0xf,    0x10,  0x11,
					   0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0x1234};
	uint64_t addresses[7 * 13];
	uint32_t page, i, page_count;

	for (page_count = 6; page_count <= 7; page_count++) {
		sparse_make(native->table, page_count);
		made_chunks_add_table(&native->chunks, 3, native->table);
		table_use(native, 3, MADE_BIAS);
		for (page = 0; page < 7; page++)
			for (i = 0; i < 13; i++)
				addresses[page * 13 + i] = page_start(page) + offsets[i];
		lookups_check(native, addresses, 7 * 13);
		rows_check(native);
	}
}

static void test_pages(void **state)
{
	made_native_each(state, check_pages);
}

/* Addresses before and behind a table, also those that look like others when cut to 32 bits. */
static void check_outside(struct made_native *native)
{
	static const uint64_t outside[] = {0,
					   1,
					   0xffff,
					   (FIRST_PAGE << 16) - 1,
					   (FIRST_PAGE + 6) << 16,
					   (1ULL << 32) + (FIRST_PAGE << 16),
					   1ULL << 40};
	uint64_t bias;
	uint32_t i;

	sparse_make(native->table, 6);
	made_chunks_add_table(&native->chunks, 0, native->table);
	table_use(native, 0, MADE_BIAS);
	for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		expect_no_rule(native, outside[i], MADE_BIAS);
	for (bias = 1ULL << 48; bias; bias <<= 1) {
		table_use(native, 0, MADE_BIAS - bias);
		expect_no_rule(native, page_start(0) + bias, MADE_BIAS - bias);
	}
	table_use(native, 0, MADE_BIAS);
	expect_rules(native, (const uint64_t[]){page_start(0)}, 1);
}

/* The same where the words behind the table's would do. */
static void check_behind(struct made_native *native)
{
	struct unwind_block *blocks;
	uint32_t count;

	sparse_make(native->table, 6);
	count = made_table_blocks(native->table, &blocks);
	((struct unwind_header *)blocks)->page_count = 2;
	made_chunk_write(native->chunks.tables, 0, blocks, count);
	free(blocks);
	table_use(native, 0, MADE_BIAS);
	expect_rules(native, (const uint64_t[]){page_start(0) + 0xffff}, 1);
	expect_no_rule(native, page_start(2), MADE_BIAS);
	expect_no_rule(native, page_start(3), MADE_BIAS);
}

static void test_outside(void **state)
{
	made_native_each(state, check_outside);
	made_native_each(state, check_behind);
}

/* A page whose first row is not at its start has no rule before it, whatever the page before has. */
static void check_late_row(struct made_native *native)
{
	struct made_table *table = native->table;

	made_table_begin(table, FIRST_PAGE, 2);
	rules_add(table, 3);
	made_table_row(table, page_start(0), 0);
	made_table_row(table, page_start(1) + 0x100, 1);
	made_table_row(table, page_start(1) + 0x200, 2);
	made_chunks_add_table(&native->chunks, 0, table);
	table_use(native, 0, MADE_BIAS);
	rows_check(native);
	expect_no_rule(native, page_start(1), MADE_BIAS);
	expect_no_rule(native, page_start(1) + 0xff, MADE_BIAS);
}

static void test_late_row(void **state)
{
	made_native_each(state, check_late_row);
}

/* Pages of `row_count` rows each, at any distance from each other. */
static void dense_make(struct made_table *table, uint32_t page_count, uint32_t row_count,
		       uint32_t rule_count, uint64_t *seed)
{
	uint32_t page, i;

	made_table_begin(table, FIRST_PAGE, page_count);
	rules_add(table, rule_count);
	for (page = 0; page < page_count; page++) {
		uint32_t most = 0x10000 / row_count, offset = 0;

		for (i = 0; i < row_count; i++) {
			made_table_row(table, page_start(page) + offset,
				       (uint32_t)(random_next(seed) >> 16) % rule_count);
			offset += 1 + (uint32_t)(random_next(seed) >> 16) % most;
		}
	}
}

/*
 * Tables that begin at each kind of place in their chunk, up to its last block, whose rules lie
 * across blocks: they do if the words before them are odd in number.
 */
static void check_blocks(struct made_native *native)
{
	uint64_t seed = 0x853c49e6748fea9bULL;
	uint32_t page_count, blocks, i;

	for (page_count = 1; page_count <= 4; page_count++) {
		struct unwind_block *made;
		uint32_t places[4] = {0, 1, 77, 0};

		dense_make(native->table, page_count, 300, 200, &seed);
		blocks = made_table_blocks(native->table, &made);
		places[3] = CHUNK_BLOCKS - blocks;
		for (i = 0; i < 4; i++) {
			made_chunk_write(native->chunks.tables, places[i], made, blocks);
			table_use(native, places[i], MADE_BIAS);
			rows_check(native);
		}
		free(made);
	}
}

static void test_blocks(void **state)
{
	made_native_each(state, check_blocks);
}

/* Looks up addresses anywhere in the table's pages, and its first and last ones. */
static void random_check(struct made_native *native, uint32_t page_count, uint64_t *seed)
{
	uint64_t addresses[2 * WALK_MAX], bytes = (uint64_t)page_count << UNWIND_PAGE_BITS;
	uint32_t i;

	for (i = 0; i < 2 * WALK_MAX; i++)
		addresses[i] = page_start(0) + (random_next(seed) >> 16) % bytes;
	addresses[0] = page_start(0);
	addresses[1] = page_start(0) + 1;
	addresses[2] = page_start(0) + bytes - 2;
	addresses[3] = page_start(0) + bytes - 1;
	lookups_check(native, addresses, 2 * WALK_MAX);
}

/* Every number of rows that a search may have to halve, up to a row at each address of a page. */
static void check_row_counts(struct made_native *native)
{
	static const uint32_t counts[] = {1,  2,  3,  4,  5,   6,   7,   8,    9,    15,
					  16, 17, 31, 33, 127, 128, 129, 1000, 4096, 30000};
	uint64_t seed = 0xda3e39cb94b95bdbULL;
	uint32_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		dense_make(native->table, 2, counts[i], 60, &seed);
		made_chunks_add_table(&native->chunks, 2, native->table);
		table_use(native, 2, MADE_BIAS);
		if (counts[i] <= 1000)
			rows_check(native);
		else
			random_check(native, 2, &seed);
	}
}

static void check_full_page(struct made_native *native)
{
	uint64_t seed = 0x94d049bb133111ebULL;
	uint32_t i;

	made_table_begin(native->table, FIRST_PAGE, 1);
	rules_add(native->table, MADE_RULES_MAX);
	for (i = 0; i < 0x10000; i++)
		made_table_row(native->table, page_start(0) + i, i * 7 % MADE_RULES_MAX);
	made_chunks_add_table(&native->chunks, 1, native->table);
	table_use(native, 1, MADE_BIAS);
	random_check(native, 1, &seed);
}

static void test_row_counts(void **state)
{
	made_native_each(state, check_row_counts);
	made_native_each(state, check_full_page);
}

/* What is said to be where no chunk or block is. */
static void check_no_table(struct made_native *native)
{
	const struct unwind_place places[] = {{CHUNK_TABLES, CHUNK_BLOCKS},
					      {CHUNK_TABLES, ~0U},
					      {CHUNK_TABLES + 1, 0},
					      {0xffff, 0}};
	struct unwind_range range = {.end = 1ULL << 47, .bias = MADE_BIAS, .file = MADE_FILE};
	uint32_t i;

	sparse_make(native->table, 6);
	made_chunks_add_table(&native->chunks, 0, native->table);
	table_use(native, 0, MADE_BIAS);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		range.chunk = (uint16_t)places[i].chunk;
		range.block = places[i].block;
		made_chunks_add_ranges(&native->chunks, 0, &range, 1);
		expect_no_rule(native, page_start(0), MADE_BIAS);
	}
}

/* A table that goes on behind the chunk's end. */
static void check_half_table(struct made_native *native)
{
	uint64_t seed = 0x2b7e151628aed2a6ULL;
	struct unwind_block *blocks;
	uint32_t count, left;

	dense_make(native->table, 2, 300, 100, &seed);
	count = made_table_blocks(native->table, &blocks);
	for (left = 1; left < count; left++) {
		made_chunk_write(native->chunks.tables, CHUNK_BLOCKS - left, blocks, left);
		table_use(native, CHUNK_BLOCKS - left, MADE_BIAS);
		expect_no_rule(native, page_start(1) + 0xffff, MADE_BIAS);
	}
	free(blocks);
}

static void test_no_table(void **state)
{
	made_native_each(state, check_no_table);
	made_native_each(state, check_half_table);
}

/*
 * A list of ranges of two or three pages each, of a file each: some lie side by side, others not.
 * In each the same function begins with the range.
 */
#define RANGES_START 0x7f3400000000ULL

static bool range_has_gap(uint32_t index)
{
	return index % 3 != 0;
}

static uint16_t range_file(uint32_t index)
{
	return (uint16_t)(0xffff - index);
}

static void ranges_make(struct unwind_range *ranges, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint64_t start = RANGES_START + i * 0x3000ULL;

		ranges[i] =
			(struct unwind_range){.start = start,
					      .end = start + (range_has_gap(i) ? 0x2000 : 0x3000),
					      .bias = start - page_start(0),
					      .file = range_file(i),
					      .chunk = CHUNK_TABLES};
	}
}

static void expect_unmapped(struct made_native *native, uint64_t address)
{
	uint64_t word = address & NATIVE_ADDRESS_MASK;

	run_reset(native->run);
	native->at.ip = address;
	made_native_walk(native);
	expect_native(native->run, CUT, 1, &word);
	run_expect_losses(native->run, LOSS_NATIVE_UNMAPPED, 1, -1);
}

/* Looks up the first and the last address of ranges of the list, forth and back. */
static void ranges_check(struct made_native *native, const struct unwind_range *ranges,
			 uint32_t count)
{
	uint64_t addresses[WALK_MAX], words[WALK_MAX], sp = native->at.sp, seed = count;
	uint32_t i, index;

	run_reset(native->run);
	for (i = 0; i < WALK_MAX; i++) {
		index = i < 2 ? i * (count - 1) : (uint32_t)(random_next(&seed) >> 16) % count;
		addresses[i] = i & 1 ? ranges[index].end - 1 : ranges[index].start;
		words[i] = (addresses[i] - ranges[index].bias) | (uint64_t)range_file(index)
									 << NATIVE_ADDRESS_BITS;
	}
	for (i = 0; i < WALK_MAX; i++, sp += frame_bytes(1))
		made_stack_word(sp + frame_bytes(1) - 8,
				i + 1 < WALK_MAX ? addresses[i + 1] + 1 : 0);
	native->at.ip = addresses[0];
	made_native_walk(native);
	expect_native(native->run, NO_PYTHON, WALK_MAX, words);
	run_expect_losses(native->run, -1);
}

static void gaps_check(struct made_native *native, const struct unwind_range *ranges,
		       uint32_t count)
{
	static const uint64_t nowhere[] = {
		1, 0x1000, 1ULL << 46, 1ULL << 47, 1ULL << 63, 0xffffffff81000000, ~0ULL};
	uint32_t i;

	for (i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
		expect_unmapped(native, nowhere[i]);
	expect_unmapped(native, RANGES_START - 1);
	expect_unmapped(native, count ? ranges[count - 1].start + 0x3000 : RANGES_START);
	for (i = 0; i < count; i += 1 + count / 8)
		if (range_has_gap(i)) {
			expect_unmapped(native, ranges[i].end);
			expect_unmapped(native, ranges[i].end + 0xfff);
		}
}

static void check_ranges(struct made_native *native)
{
	/* None follows on some, which then still are where the list is said to be. */
	static const uint32_t counts[] = {1,  2,  3,   0,   4,   5,    15,   16,  17,
					  31, 32, 255, 256, 257, 1000, 4095, 4096};
	struct unwind_range *ranges = calloc(UNWIND_RANGES_MAX, sizeof(*ranges));
	uint32_t i, block;

	assert_non_null(ranges);
	made_table_begin(native->table, FIRST_PAGE, 1);
	rules_add(native->table, 2);
	made_table_row(native->table, page_start(0), 1);
	made_chunks_add_table(&native->chunks, 0, native->table);
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ranges_make(ranges, counts[i]);
		for (block = 0; block <= 9; block += 9) {
			made_chunks_add_ranges(&native->chunks, block, ranges, counts[i]);
			native->space = (struct address_space){.ranges = {CHUNK_RANGES, block},
							       .range_count = counts[i]};
			made_space_set(native->run, &native->space);
			if (counts[i])
				ranges_check(native, ranges, counts[i]);
			gaps_check(native, ranges, counts[i]);
		}
	}
	free(ranges);
}

static void test_ranges(void **state)
{
	made_native_each(state, check_ranges);
}

/* A list that is said to be where no chunk or block is, or to go on behind its chunk's end. */
static void check_no_list(struct made_native *native)
{
	const struct unwind_place places[] = {
		{CHUNK_RANGES, CHUNK_BLOCKS},     {CHUNK_RANGES, ~0U},
		{CHUNK_RANGES, CHUNK_BLOCKS - 1}, {CHUNK_RANGES + 1, 0},
		{UNWIND_CHUNKS_MAX, 0},           {~0U, 0}};
	uint32_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		native->space = (struct address_space){.ranges = places[i],
						       .range_count = UNWIND_RANGES_MAX};
		made_space_set(native->run, &native->space);
		expect_unmapped(native, RANGES_START);
	}
}

static void test_no_list(void **state)
{
	made_native_each(state, check_no_list);
}

#define TESTS                                                                       \
	cmocka_unit_test(test_pages), cmocka_unit_test(test_outside),               \
		cmocka_unit_test(test_late_row), cmocka_unit_test(test_blocks),     \
		cmocka_unit_test(test_row_counts), cmocka_unit_test(test_no_table), \
		cmocka_unit_test(test_ranges), cmocka_unit_test(test_no_list)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("tables, by the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("tables, of another thread", tests,
						    run_set_up_other, run_tear_down);
}
