/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that neither a process' stack and registers nor wrong tables and lists lead the walk over
 * native frames astray: it ends, stays in its bounds, and says what it lost. What is made up comes
 * from fixed sequences of numbers, so that a failure can be had again.
 */
#include "made_calls.h"

#include <stdlib.h>
#include <string.h>

#define GARBAGE_ROUNDS 4000
#define GARBAGE_BLOCKS 64 /* of each chunk; what is behind them stays the same */
#define DAMAGE_ROUNDS  500
#define CALLS          20 /* of the loop, in a sound stack */
#define CODE_START     (FUNCTIONS_START + MADE_BIAS)

static uint32_t random_below(uint64_t *seed, uint32_t limit)
{
	return (uint32_t)(random_next(seed) >> 16) % limit;
}

/* Something that may be taken for an address: of code, of the stack, of nothing. */
static uint64_t random_address(const struct made_native *native, uint64_t *seed)
{
	static const uint64_t nowhere[] = {0,
					   1,
					   8,
					   4096,
					   0x7fffffffefff,
					   0x7ffffffff000,
					   1ULL << 47,
					   0x8000deadbeef0000,
					   0xffffffff81000000,
					   ~7ULL,
					   ~0ULL};
	uint64_t random = random_next(seed) >> 16;

	switch (random_below(seed, 8)) {
	case 0:
		return nowhere[random % 11];
	case 1:
		return random_next(seed);
	case 2:
		return native->stack_end - 64 + random % 128;
	case 3:
	case 4:
		return CODE_START + random % (FUNCTION_PAGES << UNWIND_PAGE_BITS);
	}
	return native->stack + random % (native->stack_end - native->stack) / 8 * 8;
}

/* Something that may be taken for a word of a table: an index, a row, a rule. */
static uint32_t random_word(uint64_t *seed)
{
	uint32_t random = (uint32_t)(random_next(seed) >> 16);

	switch (random_below(seed, 8)) {
	case 0:
		return random;
	case 1:
		return random % 16;
	case 2:
		return random % (GARBAGE_BLOCKS * UNWIND_BLOCK_WORDS);
	case 3:
		return ~0U << random % 32;
	case 4: /* a rule's first half that means something, often that the stack pointer is used */
		return (random % 3 ? UNWIND_SP : random % 10) | random / 16 % 4 << 8;
	case 5: /* a row, with a rule that is not far off */
	case 6:
		return random << 16 | (random >> 16) % 1000;
	}
	return random % 4096;
}

/* A block of a table: the first one of some, with rules that can be found. */
static void table_garble(const struct made_native *native, uint64_t *seed)
{
	const struct unwind_header header = {.page_count = 16,
					     .rules_at = random_below(seed, 2000),
					     .rows_at = random_below(seed, 2000)};
	struct unwind_block block;
	uint32_t i;

	for (i = 0; i < UNWIND_BLOCK_WORDS; i++)
		block.words[i] = random_word(seed);
	if (random_below(seed, 2))
		memcpy(&block, &header, sizeof(header));
	made_chunk_write(native->chunks.tables, random_below(seed, GARBAGE_BLOCKS), &block, 1);
}

/* A block of a list, half of whose ranges hold all addresses, with the code low in their files. */
static void list_garble(const struct made_native *native, uint64_t *seed)
{
	struct unwind_range ranges[UNWIND_RANGES_PER_BLOCK];
	uint32_t i;

	for (i = 0; i < UNWIND_RANGES_PER_BLOCK; i++) {
		struct unwind_range *range = &ranges[i];
		bool all = random_below(seed, 2);

		range->start = all ? 0 : random_address(native, seed);
		range->end = all ? ~0ULL : random_address(native, seed);
		range->bias = all ? CODE_START - random_word(seed) % (8 << UNWIND_PAGE_BITS)
				  : random_address(native, seed);
		range->file = (uint16_t)random_word(seed);
		range->chunk = random_below(seed, 16) ? (uint16_t)CHUNK_TABLES
						      : (uint16_t)random_word(seed);
		range->block = random_below(seed, GARBAGE_BLOCKS + 4);
	}
	made_chunk_write(native->chunks.ranges, random_below(seed, GARBAGE_BLOCKS), ranges, 1);
}

/* Words of the stack, one in eight across two of them. Half are addresses of code. */
static void stack_garble(struct made_native *native, uint32_t count, uint64_t *seed)
{
	while (count--) {
		uint64_t at = native->stack + random_next(seed) % (STACK_PAGES * 4096 - 8);

		made_stack_word(random_below(seed, 8) ? at / 8 * 8 : at,
				random_below(seed, 2)
					? CODE_START + random_below(seed, 1 << UNWIND_PAGE_BITS)
					: random_address(native, seed));
	}
}

static void registers_garble(struct made_native *native, uint64_t *seed)
{
	uint32_t i;

	native->at.ip = random_address(native, seed);
	native->at.sp = random_address(native, seed);
	native->at.fp = random_address(native, seed);
	for (i = 0; i < MADE_REGISTERS; i++)
		native->at.numbered[i] = random_address(native, seed);
}

/* All but that of a stack that is too deep. */
static const enum loss cutting[] = {LOSS_NATIVE_UNREADABLE, LOSS_NATIVE_UNKNOWN,
				    LOSS_NATIVE_PENDING, LOSS_NATIVE_UNMAPPED, LOSS_NATIVE_INVALID};
#define CUTTING (sizeof(cutting) / sizeof(cutting[0]))

static uint64_t native_lost(const struct run *run, uint64_t seen[CUTTING])
{
	uint64_t sum = run_lost(run, LOSS_NATIVE_CUT), lost;
	uint32_t i;

	for (i = 0; i < CUTTING; i++) {
		lost = run_lost(run, cutting[i]);
		seen[i] += lost;
		sum += lost;
	}
	return sum;
}

/* What holds of each sample, whatever it was taken of. */
static void sample_expect_sound(const struct run *run)
{
	const struct sample_record *sample;
	uint32_t bytes;

	assert_int_equal(run_count(run, RECORD_SAMPLE), 1);
	sample = run_sample(run);
	assert_true(sample->python_count <= PYTHON_FRAMES_MAX);
	assert_true(sample->native_count <= NATIVE_FRAMES_MAX);
	bytes = sample->python_count * sizeof(struct python_frame) +
		sample->native_count * sizeof(uint64_t);
	assert_true(bytes <= FRAMES_BYTES);
	assert_int_equal(sample->head.size, offsetof(struct sample_record, frames) + bytes);
	if (!(sample->flags & SAMPLE_NATIVE)) {
		assert_int_equal(sample->native_count, 0);
		assert_false(sample->flags & SAMPLE_NATIVE_CUT);
	}
}

/* What may be said of the process' list and its loop. */
static void space_garble(struct made_native *native, uint64_t *seed)
{
	struct address_space *space = &native->space;

	space->ranges.chunk = random_below(seed, 16) ? CHUNK_RANGES : random_word(seed);
	space->ranges.block = random_below(seed, GARBAGE_BLOCKS + 1);
	space->range_count = random_below(seed, 8) ? random_below(seed, 100) : random_word(seed);
	space->loop_cfa_at = random_word(seed);
	space->loop_frame_pointer_at = (int32_t)random_word(seed);
	made_space_set(native->run, space);
}

/* Exchanges a little of all that there is, and begins at code and a stack every other time. */
static void all_garble(struct made_native *native, bool plausible, uint64_t *seed)
{
	uint32_t i;

	for (i = 0; i < 4; i++) {
		table_garble(native, seed);
		list_garble(native, seed);
	}
	stack_garble(native, 500, seed);
	registers_garble(native, seed);
	if (plausible) {
		native->at.ip = CODE_START + random_below(seed, 1 << UNWIND_PAGE_BITS);
		native->at.sp = native->stack + random_below(seed, STACK_PAGES * 512) * 8;
	}
	space_garble(native, seed);
}

/*
 * Tables, lists, registers and stack of garbage. Without Python frames nothing is taken up: a walk
 * is cut by one loss, or it is whole.
 */
static void check_garbage(struct made_native *native)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL, seen[CUTTING] = {0}, lost;
	uint32_t round, i;

	for (i = 0; i < 4 * GARBAGE_BLOCKS; i++) {
		table_garble(native, &seed);
		list_garble(native, &seed);
	}
	stack_garble(native, STACK_PAGES * 512, &seed);
	for (round = 0; round < GARBAGE_ROUNDS; round++) {
		run_reset(native->run);
		all_garble(native, round % 2, &seed);
		made_native_walk(native);
		sample_expect_sound(native->run);
		lost = native_lost(native->run, seen);
		assert_true(lost <= 1);
		if (run_sample(native->run)->flags & SAMPLE_NATIVE)
			assert_int_equal(lost,
					 !!(run_sample(native->run)->flags & SAMPLE_NATIVE_CUT));
	}
	for (i = 0; i < CUTTING; i++) /* else the garbage is not rich enough */
		assert_true(seen[i] > 0);
}

static void test_garbage(void **state)
{
	made_native_each(state, check_garbage);
}

/* Rules of all kinds, of which most use the stack pointer. */
static struct unwind_rule random_rule(uint64_t *seed)
{
	const uint32_t words[2] = {random_word(seed), random_word(seed)};
	struct unwind_rule rule;

	memcpy(&rule, words, sizeof(rule));
	rule.cfa = random_below(seed, 3) ? UNWIND_SP : (uint8_t)random_below(seed, 10);
	rule.frame_pointer = (uint8_t)random_below(seed, 5);
	if (rule.cfa <= UNWIND_FP)
		rule.offset = 8 * ((int32_t)random_below(seed, 40) - 2);
	return rule;
}

/* A sound table of any rules: walks get further in stacks of garbage than with garbled ones. */
static void check_garbage_rules(struct made_native *native)
{
	uint64_t seed = 0xbf58476d1ce4e5b9ULL, seen[CUTTING] = {0};
	uint32_t round, deep = 0, i;

	made_native_reset(native);
	stack_garble(native, STACK_PAGES * 512, &seed);
	for (round = 0; round < GARBAGE_ROUNDS; round++) {
		native->function_count = 0;
		made_table_begin(native->table, FUNCTIONS_START >> UNWIND_PAGE_BITS,
				 FUNCTION_PAGES);
		for (i = 0; i < 256; i++)
			made_function(native, random_rule(&seed));
		made_native_use(native);
		run_reset(native->run);
		stack_garble(native, 1000, &seed);
		registers_garble(native, &seed);
		native->at.sp = native->stack + random_below(&seed, STACK_PAGES * 512) * 8;
		native->at.ip = CODE_START + random_below(&seed, 1 << UNWIND_PAGE_BITS);
		made_native_walk(native);
		sample_expect_sound(native->run);
		assert_int_equal(native_lost(native->run, seen),
				 !!(run_sample(native->run)->flags & SAMPLE_NATIVE_CUT));
		deep += run_sample(native->run)->native_count > 2;
	}
	assert_true(deep > GARBAGE_ROUNDS / 10);
}

static void test_garbage_rules(void **state)
{
	made_native_each(state, check_garbage_rules);
}

/* A thread in Python and C, deep enough for all that may go wrong. */
static void calls_make(struct made_calls *calls)
{
	uint32_t i;

	for (i = 0; i < CALLS; i++) {
		made_calls_c(calls, 1 + i % 3);
		made_calls_loop(calls, 1 + i % 4);
	}
	made_calls_end(calls);
	made_native_use(calls->native);
}

/* However often a walk is taken up, it is at another call of the loop each time. */
static void taken_up_check(const struct run *run)
{
	const struct sample_record *sample = run_sample(run);
	const uint64_t *words = sample_words(run);
	uint32_t taken_up = 0, i;

	for (i = 0; i < sample->native_count; i++)
		taken_up += words[i] == NATIVE_INTERPRETER;
	assert_true(taken_up <= CALLS);
}

/* Overwrites some of a sound stack's words, and sometimes registers. */
static void damage(struct made_calls *calls, uint32_t round, uint64_t *seed)
{
	struct made_native *native = calls->native;
	uint64_t sp = native->at.sp;
	uint32_t words = (uint32_t)(calls->sp - sp) / 8, i;

	for (i = 0; i <= round / 100; i++)
		made_stack_word(sp + random_below(seed, words) * 8, random_address(native, seed));
	if (round % 8 == 0)
		native->at.fp = random_address(native, seed);
	if (round % 8 == 1)
		native->at.sp += 8ULL * random_below(seed, 100);
	if (round % 8 == 2)
		native->at.ip = random_address(native, seed);
}

/* Sound stacks with joints, of which a little is overwritten in all that the walks read. */
static void check_damage(struct made_calls *calls)
{
	struct made_native *native = calls->native;
	uint64_t seed = 0x2545f4914f6cdd1dULL + calls->version;
	size_t bytes = native->stack_end - native->stack;
	uint8_t *sound = malloc(bytes);
	uint32_t round, whole = 0;
	struct made_registers at;

	assert_non_null(sound);
	calls_make(calls);
	made_calls_expect(calls);
	memcpy(sound, (void *)native->stack, bytes);
	at = native->at;
	for (round = 0; round < DAMAGE_ROUNDS; round++) {
		run_reset(native->run);
		memcpy((void *)native->stack, sound, bytes);
		native->at = at;
		damage(calls, round, &seed);
		made_native_walk(native);
		sample_expect_sound(native->run);
		taken_up_check(native->run);
		whole += run_sample(native->run)->native_count == calls->word_count;
	}
	assert_true(whole > DAMAGE_ROUNDS / 10 && whole < round);
	free(sound);
}

static void test_damage(void **state)
{
	made_calls_each(state, check_damage);
}

/* Writes the table with some words overwritten, those of its first page more often. */
static void table_damage(struct made_native *native, uint32_t words, uint64_t *seed)
{
	struct unwind_block *blocks;
	uint32_t count = made_table_blocks(native->table, &blocks);

	while (words--)
		blocks->words[random_below(seed, words % 2 ? 16 : count * UNWIND_BLOCK_WORDS)] =
			random_word(seed);
	made_chunk_write(native->chunks.tables, TABLE_BLOCK, blocks, count);
	free(blocks);
}

/* The same of the table, and of what was learnt. Python's frames do not suffer from it. */
static void check_table_damage(struct made_calls *calls)
{
	struct made_native *native = calls->native;
	uint64_t seed = 0xda942042e4dd58b5ULL + calls->version;
	struct address_space space, found;
	uint32_t round;

	calls_make(calls);
	made_calls_expect(calls);
	space = made_space_get(native->run);
	for (round = 0; round < DAMAGE_ROUNDS; round++) {
		struct address_space wild = space;

		run_reset(native->run);
		table_damage(native, 1 + round / 50, &seed);
		if (round % 2)
			wild.loop_cfa_at = random_word(&seed);
		if (round % 4 == 3)
			wild.loop_frame_pointer_at = (int32_t)random_word(&seed);
		made_space_set(native->run, &wild);
		made_native_walk(native);
		sample_expect_sound(native->run);
		taken_up_check(native->run);
		assert_int_equal(run_sample(native->run)->python_count, calls->code_count);
		found = made_space_get(native->run);
		assert_memory_equal(&found.ranges, &space.ranges, sizeof(space.ranges));
	}
}

static void test_table_damage(void **state)
{
	made_calls_each(state, check_table_damage);
}

#define TESTS                                                                 \
	cmocka_unit_test(test_garbage), cmocka_unit_test(test_garbage_rules), \
		cmocka_unit_test(test_damage), cmocka_unit_test(test_table_damage)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("hostile stacks, by the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("hostile stacks, of another thread", tests,
						    run_set_up_other, run_tear_down);
}
