/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the walk over native frames of all kinds mixed: sound stacks are made up at random, and
 * what is found must be what was made. Each kind by itself is test_native.c's.
 */
#include "made_native.h"

#include <string.h>

#define STACK_WORDS   (STACK_PAGES * 512)
#define RANDOM_DEPTH  60
#define RANDOM_ROUNDS 400

/* A stack of frames of all kinds, made from the innermost on. */
struct random_stack {
	struct made_native *native;
	uint64_t seed;
	bool taken[STACK_WORDS]; /* words of the stack that hold something */
	uint64_t sp, fp;         /* in the frame that is made next */
	uint64_t words[RANDOM_DEPTH + 1];
	uint32_t count;
};

static uint32_t random_below(struct random_stack *stack, uint32_t limit)
{
	return (uint32_t)(random_next(&stack->seed) >> 16) % limit;
}

/* Puts a value into a word that is free. Returns whether it is one. */
static bool random_put(struct random_stack *stack, uint64_t address, uint64_t value)
{
	uint64_t index = (address - stack->native->stack) / 8;

	if (address < stack->native->stack || index >= STACK_WORDS || stack->taken[index])
		return false;
	stack->taken[index] = true;
	made_stack_word(address, value);
	return true;
}

/* Any place on the stack, for a frame pointer. */
static uint64_t random_place(struct random_stack *stack)
{
	return stack->native->stack + 0x800 + 8ULL * random_below(stack, STACK_WORDS - 0x200);
}

static struct unwind_rule random_loaded(enum unwind_cfa cfa, int64_t offset, uint64_t addend)
{
	return (struct unwind_rule){
		.cfa = cfa, .short_offset = (int16_t)offset, .addend = (int16_t)addend};
}

/* A frame's rule for its CFA, of a kind that can lead there. */
static struct unwind_rule random_cfa(struct random_stack *stack, uint64_t cfa)
{
	struct unwind_rule rule = {.cfa = UNWIND_SP};
	int64_t offset = 8 * ((int64_t)random_below(stack, 600) - 300);
	uint64_t addend = 8ULL * random_below(stack, 16);
	uint32_t kind = random_below(stack, 4);

	if (kind == 1 && random_put(stack, stack->sp + (uint64_t)offset, cfa - addend))
		return random_loaded(UNWIND_SP_LOADED, offset, addend);
	if (kind == 2 && random_put(stack, stack->fp + (uint64_t)offset, cfa - addend))
		return random_loaded(UNWIND_FP_LOADED, offset, addend);
	if (kind == 3)
		rule.cfa = UNWIND_FP;
	rule.offset = (int32_t)(cfa - (kind == 3 ? stack->fp : stack->sp));
	return rule;
}

/* The rule's other half; sets the caller's frame pointer. */
static void random_frame_pointer(struct random_stack *stack, struct unwind_rule *rule, uint64_t cfa)
{
	uint64_t outer = random_place(stack);
	int16_t at = (int16_t)(random_below(stack, 200) - 100);
	uint32_t kind = random_below(stack, 3);

	rule->frame_pointer = FRAME_POINTER_SAME;
	rule->frame_pointer_at = at;
	if (kind == 1 && random_put(stack, cfa + (uint64_t)(at * 8), outer)) {
		rule->frame_pointer = FRAME_POINTER_CFA;
		stack->fp = outer;
	} else if (kind == 2 && random_put(stack, stack->fp + (uint64_t)(at * 8), outer)) {
		rule->frame_pointer = FRAME_POINTER_FP;
		stack->fp = outer;
	}
}

/* Makes the frame that is at stack->ip, up to its caller; or returns false: there is no room. */
static bool random_frame(struct random_stack *stack, uint64_t next)
{
	uint64_t cfa = stack->sp + 8 + 8ULL * random_below(stack, 120);
	struct unwind_rule rule;

	while (cfa < stack->native->stack_end && stack->taken[(cfa - 8 - stack->native->stack) / 8])
		cfa += 8;
	if (cfa + 8 > stack->native->stack_end || !random_put(stack, cfa - 8, next + CALL_AT))
		return false;
	rule = random_cfa(stack, cfa);
	random_frame_pointer(stack, &rule, cfa);
	made_function(stack->native, rule);
	stack->sp = cfa;
	return true;
}

/* Functions follow each other as their frames do, so each one's caller's address is known. */
static void random_stack_make(struct random_stack *stack)
{
	struct made_native *native = stack->native;
	uint64_t function = FUNCTIONS_START + MADE_BIAS;
	uint32_t depth = 1 + random_below(stack, RANDOM_DEPTH);

	made_native_reset(native);
	memset(stack->taken, 0, sizeof(stack->taken));
	native->at.sp = stack->sp = native->stack + 8ULL * random_below(stack, 1000);
	native->at.fp = stack->fp = random_place(stack);
	native->at.ip = function;
	stack->words[0] = native_word(function);
	for (stack->count = 1; stack->count < depth; stack->count++) {
		if (!random_frame(stack, function + FUNCTION_BYTES))
			break;
		function += FUNCTION_BYTES;
		stack->words[stack->count] = native_caller_word(function);
	}
	made_function(native, (struct unwind_rule){.cfa = UNWIND_END});
}

static void check_random(struct made_native *native)
{
	struct random_stack stack = {.native = native, .seed = 0x2545f4914f6cdd1dULL};
	uint32_t round, frames = 0;

	for (round = 0; round < RANDOM_ROUNDS; round++) {
		random_stack_make(&stack);
		made_native_run(native);
		expect_native(native->run, SAMPLE_NOT_PYTHON | SAMPLE_NATIVE, stack.count,
			      stack.words);
		run_expect_losses(native->run, -1);
		frames += stack.count;
	}
	assert_true(frames > 10 * RANDOM_ROUNDS);
}

static void test_random(void **state)
{
	made_native_each(state, check_random);
}

#define TESTS cmocka_unit_test(test_random)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("native stacks of the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("native stacks of another thread", tests,
						    run_set_up_other, run_tear_down);
}
