/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the walk over native frames: what each kind of rule does, where walks end and under which
 * name what is lost is counted, from both points of view. Rules mixed are test_native_random.c's,
 * tables test_unwind_table.c's, Python frames among the native ones test_joints.c's.
 */
#include "made_native.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NO_PYTHON (SAMPLE_NOT_PYTHON | SAMPLE_NATIVE)
#define CUT       (NO_PYTHON | SAMPLE_NATIVE_CUT)

static const struct unwind_rule rule_end = {.cfa = UNWIND_END};
static const struct unwind_rule rule_unknown = {.cfa = UNWIND_UNKNOWN};

static struct unwind_rule rule_sp(int32_t offset)
{
	return (struct unwind_rule){.cfa = UNWIND_SP, .offset = offset};
}

static struct unwind_rule rule_fp(int32_t offset)
{
	return (struct unwind_rule){.cfa = UNWIND_FP, .offset = offset};
}

static struct unwind_rule rule_loaded(enum unwind_cfa cfa, int16_t offset, int16_t addend)
{
	return (struct unwind_rule){.cfa = cfa, .short_offset = offset, .addend = addend};
}

/*
 * Walks from `first`, whose caller must be found at this CFA, with this frame pointer: its caller
 * needs the first to find its own, and that one the second. 0: the frame pointer is not known.
 */
static void expect_caller(struct made_native *native, uint64_t first, uint64_t cfa,
			  uint64_t frame_pointer)
{
	uint64_t by_sp = made_function(native, rule_sp(16));
	uint64_t by_fp = made_function(native, rule_fp(16)), end = made_function(native, rule_end);
	const uint64_t words[4] = {native_word(first), native_caller_word(by_sp),
				   native_caller_word(by_fp), native_caller_word(end)};

	native->at.ip = first;
	made_stack_word(cfa - 8, by_sp + CALL_AT);
	made_stack_word(cfa + 8, by_fp + CALL_AT);
	if (frame_pointer)
		made_stack_word(frame_pointer + 8, end + CALL_AT);
	made_native_run(native);
	expect_native(native->run, frame_pointer ? NO_PYTHON : CUT, frame_pointer ? 4 : 3, words);
	run_expect_losses(native->run, LOSS_NATIVE_INVALID, frame_pointer ? 0 : 1, -1);
}

static void check_sp(struct made_native *native)
{
	static const int32_t offsets[] = {8, 16, 24, 128, 1016, 4096, 4104, 20000};
	uint32_t i;

	for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		made_native_reset(native);
		native->at.fp = native->stack + 0x8000;
		expect_caller(native, made_function(native, rule_sp(offsets[i])),
			      native->at.sp + (uint64_t)offsets[i], native->at.fp);
	}
}

static void test_sp(void **state)
{
	made_native_each(state, check_sp);
}

static void check_fp(struct made_native *native)
{
	static const int32_t offsets[] = {16, 8, 0, -8, -40, 4000};
	uint32_t i;

	for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		uint64_t cfa, outer = native->stack + 0x8000;
		struct unwind_rule rule = rule_fp(offsets[i]);

		made_native_reset(native);
		cfa = native->at.fp + (uint64_t)(int64_t)offsets[i];
		rule.frame_pointer = FRAME_POINTER_CFA;
		rule.frame_pointer_at = -2;
		made_stack_word(cfa - 16, outer);
		expect_caller(native, made_function(native, rule), cfa, outer);
	}
}

static void test_fp(void **state)
{
	made_native_each(state, check_fp);
}

/* The CFA is not a register with an offset but lies in memory: offset of the word, and addend. */
static void check_loaded(struct made_native *native)
{
	static const int16_t pairs[][2] = {{0, 0},   {24, 8},      {-8, 16},    {64, -8},
					   {-16, 0}, {-3000, 400}, {30000, -24}};
	uint32_t i, by_fp;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		for (by_fp = 0; by_fp < 2; by_fp++) {
			uint64_t cfa = native->stack + 0x2800, base;

			made_native_reset(native);
			native->at.fp = native->stack + 0x3000;
			base = by_fp ? native->at.fp : native->at.sp;
			made_stack_word(base + (uint64_t)(int64_t)pairs[i][0],
					cfa - (uint64_t)(int64_t)pairs[i][1]);
			expect_caller(native,
				      made_function(native, rule_loaded(by_fp ? UNWIND_FP_LOADED
									      : UNWIND_SP_LOADED,
									pairs[i][0], pairs[i][1])),
				      cfa, native->at.fp);
		}
}

static void test_loaded(void **state)
{
	made_native_each(state, check_loaded);
}

/* Rules that need another register hold where that register is known: in the innermost frame. */
static void check_register(struct made_native *native)
{
	uint32_t number;

	for (number = 0; number < MADE_REGISTERS; number++) {
		uint64_t cfa = native->stack + 0x1240;

		made_native_reset(native);
		native->at.numbered[number] = cfa - 24;
		expect_caller(
			native,
			made_function(native, rule_loaded(UNWIND_REGISTER, 24, (int16_t)number)),
			cfa, native->at.fp);
	}
}

static void check_register_outside(struct made_native *native)
{
	uint64_t inner = made_function(native, rule_sp(16));
	uint64_t outer = made_function(native, rule_loaded(UNWIND_REGISTER, 0, 10));
	const uint64_t words[2] = {native_word(inner), native_caller_word(outer)};

	native->at.ip = inner;
	native->at.numbered[10] = native->at.sp + 64;
	made_stack_word(native->at.sp + 8, outer + CALL_AT);
	made_native_run(native);
	expect_native(native->run, CUT, 2, words);
	run_expect_losses(native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
}

/* A return address that is in a register, with nothing of the frame on the stack. */
static void check_return_register(struct made_native *native)
{
	uint64_t inner = made_function(native, rule_loaded(UNWIND_SP_RETURN, 0, 5));
	uint64_t outer = made_function(native, rule_end);
	const uint64_t words[2] = {native_word(inner), native_caller_word(outer)};

	native->at.ip = inner;
	native->at.numbered[5] = outer + CALL_AT;
	made_native_run(native);
	expect_native(native->run, NO_PYTHON, 2, words);
	run_expect_losses(native->run, -1);
}

static void test_register(void **state)
{
	made_native_each(state, check_return_register);
	made_native_each(state, check_register);
	made_native_each(state, check_register_outside);
}

/* An entry of a procedure linkage table pushes a word on its way, at a known byte of its 16. */
static void check_plt(struct made_native *native)
{
	uint64_t byte;
	int32_t from;

	for (from = 9; from <= 11; from++)
		for (byte = 0; byte < 16; byte++) {
			struct unwind_rule rule = {.cfa = UNWIND_PLT, .offset = from};
			uint64_t first, pushed = byte >= (uint64_t)from ? 8 : 0;

			made_native_reset(native);
			first = made_function(native, rule) + 48 + byte;
			expect_caller(native, first, native->at.sp + 8 + pushed, native->at.fp);
		}
}

static void test_plt(void **state)
{
	made_native_each(state, check_plt);
}

/* What the kernel lays down for a handler, from where it returns: struct ucontext of x86-64. */
static void made_signal(uint64_t sp, uint64_t to_ip, uint64_t to_sp, uint64_t to_fp)
{
	made_stack_word(sp + 40 + 10 * 8, to_fp); /* uc_mcontext.rbp, rsp, rip */
	made_stack_word(sp + 40 + 15 * 8, to_sp);
	made_stack_word(sp + 40 + 16 * 8, to_ip);
}

/*
 * A handler, on the stack it has interrupted or on one of its own, which can lie above or below
 * it. What was interrupted is at the address itself: here at a function's first byte.
 */
static void check_signal(struct made_native *native)
{
	static const uint64_t interrupted[] = {0x2000, 0x800, 0x9000};
	uint32_t i;

	for (i = 0; i < sizeof(interrupted) / sizeof(interrupted[0]); i++) {
		uint64_t handler, trampoline, before, leaf, end, sp;

		made_native_reset(native);
		sp = native->stack + interrupted[i];
		handler = made_function(native, rule_sp(32));
		trampoline = made_function(native, (struct unwind_rule){.cfa = UNWIND_SIGNAL});
		before = made_function(native, rule_unknown);
		leaf = made_function(native, rule_fp(16));
		end = made_function(native, rule_end);
		native->at.ip = handler;
		made_stack_word(native->at.sp + 24, trampoline + CALL_AT);
		made_signal(native->at.sp + 32, leaf, sp, sp + 64);
		made_stack_word(sp + 64 + 8, end + CALL_AT);
		made_native_run(native);
		expect_native(native->run, NO_PYTHON, 4,
			      (const uint64_t[]){native_word(handler),
						 native_caller_word(trampoline), native_word(leaf),
						 native_caller_word(end)});
		assert_int_not_equal(before, leaf);
		run_expect_losses(native->run, -1);
	}
}

static void test_signal(void **state)
{
	made_native_each(state, check_signal);
}

static void check_frame_pointers(struct made_native *native)
{
	struct unwind_rule rule;
	uint64_t outer = native->stack + 0x3000;
	int16_t at;

	for (at = -8; at <= 8; at++) {
		if (at == -1 || at == 1) /* there are the return addresses */
			continue;
		made_native_reset(native);
		rule = rule_sp(256);
		rule.frame_pointer = FRAME_POINTER_CFA;
		rule.frame_pointer_at = at;
		made_stack_word(native->at.sp + 256 + (uint64_t)(at * 8), outer);
		expect_caller(native, made_function(native, rule), native->at.sp + 256, outer);
		made_native_reset(native);
		rule.frame_pointer = FRAME_POINTER_FP;
		made_stack_word(native->at.fp + (uint64_t)(at * 8), outer);
		expect_caller(native, made_function(native, rule), native->at.sp + 256, outer);
	}
	made_native_reset(native);
	rule = rule_sp(256);
	rule.frame_pointer = FRAME_POINTER_LOST;
	expect_caller(native, made_function(native, rule), native->at.sp + 256, 0);
	made_native_reset(native);
	rule.frame_pointer = FRAME_POINTER_SAME;
	rule.frame_pointer_at = 5; /* means nothing then */
	expect_caller(native, made_function(native, rule), native->at.sp + 256, native->at.fp);
}

static void test_frame_pointers(void **state)
{
	made_native_each(state, check_frame_pointers);
}

/* A walk from a frame with this rule ends there, with this loss; LOSS_COUNT: with none. */
static void expect_last(struct made_native *native, struct unwind_rule rule, enum loss loss)
{
	uint64_t only, word;

	made_native_reset(native);
	only = made_function(native, rule);
	word = native_word(only);
	native->at.ip = only;
	made_native_run(native);
	expect_native(native->run, loss == LOSS_COUNT ? NO_PYTHON : CUT, 1, &word);
	if (loss == LOSS_COUNT)
		run_expect_losses(native->run, -1);
	else
		run_expect_losses(native->run, loss, 1, -1);
}

static void check_ends(struct made_native *native)
{
	uint32_t kind;

	expect_last(native, rule_end, LOSS_COUNT);
	expect_last(native, rule_unknown, LOSS_NATIVE_UNKNOWN);
	for (kind = UNWIND_SIGNAL + 1; kind < 256; kind += 41)
		expect_last(native, (struct unwind_rule){.cfa = (uint8_t)kind, .offset = 16},
			    LOSS_NATIVE_UNKNOWN);
}

static void test_ends(void **state)
{
	made_native_each(state, check_ends);
}

/* The outermost frame's return address is 0 where nothing else tells that it is. */
static void check_zero(struct made_native *native)
{
	uint64_t first = made_function(native, rule_sp(16)), word = native_word(first);

	native->at.ip = first;
	made_stack_word(native->at.sp + 8, 0);
	made_native_run(native);
	expect_native(native->run, NO_PYTHON, 1, &word);
	native->at.ip = 0;
	made_native_walk(native);
	expect_native(native->run, NO_PYTHON, 0, NULL);
	run_expect_losses(native->run, -1);
}

static void test_zero(void **state)
{
	made_native_each(state, check_zero);
}

/* A call that does not return may be a function's last instruction: it returns to the next one. */
static void check_return_address(struct made_native *native)
{
	uint64_t first = made_function(native, rule_sp(16)), caller, behind, end;

	caller = made_function(native, rule_sp(32));
	behind = made_function(native, rule_unknown);
	end = made_function(native, rule_end);
	native->at.ip = first;
	made_stack_word(native->at.sp + 8, behind);
	made_stack_word(native->at.sp + 16 + 24, end + 1);
	made_native_run(native);
	expect_native(native->run, NO_PYTHON, 3,
		      (const uint64_t[]){native_word(first),
					 native_word(caller + FUNCTION_BYTES - 1),
					 native_word(end)});
	run_expect_losses(native->run, -1);
}

static void test_return_address(void **state)
{
	made_native_each(state, check_return_address);
}

/* Memory that the process maps, but of which no table is known (yet), or is none. */
static void check_without_table(struct made_native *native)
{
	uint64_t only = made_function(native, rule_end), word = native_word(only);
	struct unwind_range range = {.start = only & ~0xfffULL,
				     .end = (only & ~0xfffULL) + 0x1000,
				     .bias = MADE_BIAS,
				     .file = MADE_FILE};

	native->at.ip = only;
	made_native_use(native);
	made_chunks_add_ranges(&native->chunks, native->space.ranges.block, &range, 1);
	made_native_walk(native);
	expect_native(native->run, CUT, 1, &word);
	run_expect_losses(native->run, LOSS_NATIVE_PENDING, 1, -1);
	range.file = 0;
	word = only;
	run_reset(native->run);
	made_chunks_add_ranges(&native->chunks, native->space.ranges.block, &range, 1);
	made_native_walk(native);
	expect_native(native->run, CUT, 1, &word);
	run_expect_losses(native->run, LOSS_NATIVE_UNKNOWN, 1, -1);
}

/* The process' list itself is not there yet, or nothing is known of the process. */
static void check_without_list(struct made_native *native)
{
	native->at.ip = made_function(native, rule_end);
	made_native_use(native);
	native->space.ranges.chunk = 0;
	made_space_set(native->run, &native->space);
	made_native_walk(native);
	expect_native(native->run, CUT, 0, NULL);
	run_expect_losses(native->run, LOSS_NATIVE_PENDING, 1, -1);
	run_reset(native->run);
	assert_int_equal(
		bpf_map_delete_elem(bpf_map__fd(native->run->programs->maps.address_spaces),
				    &native->run->programs->bss->subject_pid),
		0);
	made_native_walk(native);
	expect_native(native->run, SAMPLE_NOT_PYTHON, 0, NULL);
	assert_int_equal(run_count(native->run, RECORD_MAPPINGS), 0);
	run_expect_losses(native->run, -1);
}

static void test_without(void **state)
{
	made_native_each(state, check_without_table);
	made_native_each(state, check_without_list);
}

/* Callers that lie below their callees, or at the same place. */
static void check_not_ascending(struct made_native *native)
{
	static const int32_t offsets[] = {0, -8, -4096, INT32_MIN + 0x800};
	uint32_t i;

	for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		expect_last(native, rule_sp(offsets[i]), LOSS_NATIVE_INVALID);
		/* Walks begin with the frame pointer 0x800 above the stack pointer. */
		expect_last(native, rule_fp(offsets[i] - 0x800), LOSS_NATIVE_INVALID);
	}
	/* A register that holds 0. */
	expect_last(native, rule_loaded(UNWIND_REGISTER, 0, 3), LOSS_NATIVE_INVALID);
}

static void test_not_ascending(void **state)
{
	made_native_each(state, check_not_ascending);
}

/* Return addresses in the last word of the stack's memory, and behind it, from anywhere near. */
static void check_memory_end(struct made_native *native)
{
	uint64_t ahead, behind;

	for (ahead = 8; ahead <= 4200; ahead += ahead < 64 ? 8 : 136)
		for (behind = 0; behind <= 8; behind += 8) {
			uint64_t first, end;

			made_native_reset(native);
			native->at.sp = native->stack_end - ahead;
			first = made_function(native, rule_sp((int32_t)(ahead + behind)));
			end = made_function(native, rule_end);
			native->at.ip = first;
			made_stack_word(native->stack_end - 8, end + CALL_AT);
			made_native_run(native);
			expect_native(
				native->run, behind ? CUT : NO_PYTHON, behind ? 1 : 2,
				(const uint64_t[]){native_word(first), native_caller_word(end)});
			run_expect_losses(native->run, LOSS_NATIVE_UNREADABLE, behind ? 1 : 0, -1);
		}
}

/* The same where a word lies across the end: what a hostile stack pointer makes of it. */
static void check_across_end(struct made_native *native)
{
	uint64_t only, word, odd;

	for (odd = 1; odd < 8; odd++) {
		made_native_reset(native);
		only = made_function(native, rule_sp(72));
		word = native_word(only);
		native->at.ip = only;
		native->at.sp = native->stack_end - 72 + odd;
		made_native_run(native);
		expect_native(native->run, CUT, 1, &word);
		run_expect_losses(native->run, LOSS_NATIVE_UNREADABLE, 1, -1);
	}
}

static void test_memory_end(void **state)
{
	made_native_each(state, check_memory_end);
	made_native_each(state, check_across_end);
}

/* Stack pointers at which there is no memory, and CFAs that lie there. */
static void check_nowhere(struct made_native *native)
{
	static const uint64_t places[] = {8,
					  4096,
					  0x6b6b6b6b6b6b6b68,
					  0x8000deadbeef0000,
					  0xffffffff81000000,
					  0x7ffffffff000,
					  ~0ULL - 100};
	uint32_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t only, word;

		made_native_reset(native);
		only = made_function(native, rule_sp(16));
		word = native_word(only);
		native->at.ip = only;
		native->at.sp = places[i];
		made_native_run(native);
		expect_native(native->run, CUT, 1, &word);
		run_expect_losses(native->run, LOSS_NATIVE_UNREADABLE, 1, -1);
		made_native_reset(native);
		only = made_function(native, rule_loaded(UNWIND_SP_LOADED, 0, 0));
		native->at.ip = only;
		native->at.sp = places[i];
		made_native_run(native);
		expect_native(native->run, CUT, 1, &word);
		run_expect_losses(native->run, LOSS_NATIVE_UNREADABLE, 1, -1);
	}
}

static void test_nowhere(void **state)
{
	made_native_each(state, check_nowhere);
}

/* Frames that need words far from each other, forth and back, at each offset in a page. */
static void check_windows(struct made_native *native)
{
	struct unwind_rule rule = rule_sp(8208);
	uint64_t shift;

	rule.frame_pointer = FRAME_POINTER_FP;
	rule.frame_pointer_at = 0;
	for (shift = 0; shift < 4096; shift += 264) {
		uint64_t outer;

		made_native_reset(native);
		native->at.sp += shift;
		native->at.fp = native->at.sp + 12288;
		outer = native->at.sp + 16000;
		made_stack_word(native->at.fp, outer);
		expect_caller(native, made_function(native, rule), native->at.sp + 8208, outer);
	}
}

/* A stack pointer that no compiler leaves behind is followed all the same, from page to page. */
static void check_odd(struct made_native *native)
{
	uint64_t odd;

	for (odd = 1; odd < 8; odd++) {
		made_native_reset(native);
		native->at.sp = native->stack + 0x2000 - 64 + odd;
		native->at.fp = native->stack + 0x2800;
		expect_caller(native, made_function(native, rule_sp(64)), native->at.sp + 64,
			      native->at.fp);
	}
}

static void test_windows(void **state)
{
	made_native_each(state, check_windows);
	made_native_each(state, check_odd);
}

/* Lays `count` frames of 16 bytes of one function on the stack; the last one's caller is at 0. */
static uint64_t made_frames(struct made_native *native, uint32_t count)
{
	uint64_t function = made_function(native, rule_sp(16));
	uint32_t i;

	native->at.ip = function;
	for (i = 0; i < count; i++)
		made_stack_word(native->at.sp + i * 16 + 8, i + 1 < count ? function + CALL_AT : 0);
	return function;
}

static void expect_frames(struct made_native *native, uint32_t flags, uint32_t count,
			  uint64_t function)
{
	uint64_t words[NATIVE_FRAMES_MAX];
	uint32_t i;

	words[0] = native_word(function);
	for (i = 1; i < count; i++)
		words[i] = native_caller_word(function);
	expect_native(native->run, flags, count, words);
}

static void check_deep(struct made_native *native)
{
	static const uint32_t depths[] = {1,   2, 1000, NATIVE_FRAMES_MAX, NATIVE_FRAMES_MAX + 1,
					  2000};
	uint32_t i;

	for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		bool whole = depths[i] <= NATIVE_FRAMES_MAX;
		uint64_t function;

		made_native_reset(native);
		function = made_frames(native, depths[i]);
		made_native_run(native);
		expect_frames(native, whole ? NO_PYTHON : CUT,
			      whole ? depths[i] : NATIVE_FRAMES_MAX, function);
		run_expect_losses(native->run, LOSS_NATIVE_CUT, whole ? 0 : 1, -1);
	}
}

static void test_deep(void **state)
{
	made_native_each(state, check_deep);
}

/* Native frames have the room that the Python frames leave. */
static void room_check(struct made_native *native, uint32_t python_depth, uint32_t depth)
{
	uint32_t room = (FRAMES_BYTES - python_depth * sizeof(struct python_frame)) / 8;
	uint32_t count = depth < room ? depth : room;
	struct made_python python;
	uint64_t function;

	made_native_reset(native);
	made_python_new(&python, FRAME_MODEL_OBJECT);
	made_thread_run(&python, python.thread, made_stack(&python, python_depth));
	native->config = python.config;
	function = made_frames(native, depth);
	made_native_run(native);
	assert_int_equal(run_sample(native->run)->python_count, python_depth);
	expect_frames(native, depth > room ? SAMPLE_NATIVE | SAMPLE_NATIVE_CUT : SAMPLE_NATIVE,
		      count, function);
	run_expect_losses(native->run, LOSS_NATIVE_CUT, depth > room ? 1 : 0, -1);
	made_python_free(&python);
}

static void check_room(struct made_native *native)
{
	room_check(native, 1, 5);
	room_check(native, 800, NATIVE_FRAMES_MAX);
	room_check(native, 1450, 940);
	room_check(native, 1450, 941);
	room_check(native, 1451, 938);
	room_check(native, 1451, 1000);
	room_check(native, PYTHON_FRAMES_MAX, 768);
	room_check(native, PYTHON_FRAMES_MAX, NATIVE_FRAMES_MAX);
}

static void test_room(void **state)
{
	made_native_each(state, check_room);
}

/* How many RECORD_MAPPINGS a walk sends. */
static size_t mappings_sent(struct made_native *native)
{
	size_t before = run_count(native->run, RECORD_MAPPINGS);

	made_native_walk(native);
	return run_count(native->run, RECORD_MAPPINGS) - before;
}

/* User space is told once of each change of what the process has mapped as executable. */
static void check_mappings(struct made_native *native)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), i;
	void *code;

	native->at.ip = made_function(native, rule_end);
	made_native_use(native);
	assert_int_equal(mappings_sent(native), 1);
	assert_int_equal(mappings_sent(native), 0);
	code = mmap(NULL, 3 * page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(code != MAP_FAILED);
	assert_int_equal(mappings_sent(native), 1);
	assert_int_equal(mappings_sent(native), 0);
	assert_int_equal(mprotect(code, page, PROT_READ), 0);
	assert_int_equal(mappings_sent(native), 1);
	assert_int_equal(munmap(code, 3 * page), 0);
	assert_int_equal(mappings_sent(native), 1);
	assert_int_equal(mappings_sent(native), 0);
	/* Without a list, too: that is what has one made. */
	made_space_set(native->run, &(struct address_space){0});
	assert_int_equal(mappings_sent(native), 1);
	assert_int_equal(mappings_sent(native), 0);
	for (i = 0; i < native->run->count; i++) {
		const struct record *record = native->run->records[i];

		if (record->kind != RECORD_MAPPINGS)
			continue;
		assert_int_equal(record->process, MADE_PROCESS);
		assert_int_equal(record->pid, native->run->programs->bss->subject_pid);
	}
}

static void test_mappings(void **state)
{
	made_native_each(state, check_mappings);
}

#define TESTS                                                                                \
	cmocka_unit_test(test_sp), cmocka_unit_test(test_fp), cmocka_unit_test(test_loaded), \
		cmocka_unit_test(test_register), cmocka_unit_test(test_plt),                 \
		cmocka_unit_test(test_signal), cmocka_unit_test(test_frame_pointers),        \
		cmocka_unit_test(test_ends), cmocka_unit_test(test_zero),                    \
		cmocka_unit_test(test_return_address), cmocka_unit_test(test_without),       \
		cmocka_unit_test(test_not_ascending), cmocka_unit_test(test_memory_end),     \
		cmocka_unit_test(test_nowhere), cmocka_unit_test(test_windows),              \
		cmocka_unit_test(test_deep), cmocka_unit_test(test_room),                    \
		cmocka_unit_test(test_mappings)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("native frames of the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("native frames of another thread", tests,
						    run_set_up_other, run_tear_down);
}
