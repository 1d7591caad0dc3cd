/* SPDX-License-Identifier: BSD-2-Clause */
#include "made_calls.h"

#include <stdlib.h>
#include <string.h>

#define OLD_FP 0x6b0000 /* that a loop's frame has saved: never followed */

static const enum frame_model models[MADE_VERSIONS] = {FRAME_MODEL_OBJECT, FRAME_MODEL_CFRAME,
						       FRAME_MODEL_CFRAME, FRAME_MODEL_CURRENT,
						       FRAME_MODEL_CURRENT};
static const uint32_t versions[MADE_VERSIONS] = {0x030a, 0x030b, 0x030c, 0x030d, 0x030f};

static void layout_set(struct python_layout *layout, enum made_version version)
{
	layout->version = versions[version];
	if (version != MADE_3_11)
		return;
	layout->frame_entry = 70;
	layout->frame_owner_shim = 255;
	layout->cframe_previous = 40;
}

static void frames_begin(struct made_calls *calls)
{
	calls->sp = calls->native->at.sp;
	calls->ip = 0;
	calls->return_at = 0;
	calls->frame = calls->first_frame = 0;
	calls->cframe = calls->first_cframe = 0;
	calls->word_count = calls->code_count = 0;
	calls->flags = SAMPLE_NATIVE;
}

void made_calls_begin(struct made_calls *calls, struct made_native *native,
		      enum made_version version)
{
	struct process_config *config = &calls->python.config;

	memset(calls, 0, sizeof(*calls));
	calls->native = native;
	calls->version = version;
	made_native_reset(native);
	made_python_new(&calls->python, models[version]);
	layout_set(&config->layout, version);
	calls->in_c =
		made_function(native, (struct unwind_rule){.cfa = UNWIND_SP, .offset = C_BYTES});
	calls->in_loop =
		made_function(native, (struct unwind_rule){.cfa = UNWIND_SP,
							   .offset = LOOP_BYTES,
							   .frame_pointer = FRAME_POINTER_CFA,
							   .frame_pointer_at = LOOP_FP_AT});
	calls->in_main = made_function(native, (struct unwind_rule){.cfa = UNWIND_END});
	if (version == MADE_3_10) {
		config->loop_start[0] = calls->in_loop;
		config->loop_end[0] = calls->in_loop + FUNCTION_BYTES;
	}
	frames_begin(calls);
}

void made_calls_again(struct made_calls *calls)
{
	run_reset(calls->native->run);
	frames_begin(calls);
}

/* Where the frame of `function` is now: it is what the last frame returns to, or the innermost. */
static void frame_enter(struct made_calls *calls, uint64_t function, uint64_t flags)
{
	bool innermost = !calls->ip;

	assert_true(calls->word_count < CALLS_MAX);
	if (innermost) {
		calls->ip = function;
		calls->words[calls->word_count++] = native_word(function) | flags;
		return;
	}
	made_stack_word(calls->return_at, function + CALL_AT);
	calls->words[calls->word_count++] = native_caller_word(function) | flags;
}

static void frame_leave(struct made_calls *calls, uint32_t bytes)
{
	calls->sp += bytes;
	calls->return_at = calls->sp - 8;
}

void made_calls_function(struct made_calls *calls, uint64_t function, uint32_t bytes)
{
	frame_enter(calls, function, 0);
	frame_leave(calls, bytes);
}

void made_calls_c(struct made_calls *calls, uint32_t count)
{
	while (count--)
		made_calls_function(calls, calls->in_c, C_BYTES);
}

/* Links the last Python frame to one that has just been made. */
static void frame_link(struct made_calls *calls, uint64_t frame)
{
	if (calls->frame)
		made_word(calls->frame, calls->python.config.layout.frame_previous, frame);
	else
		calls->first_frame = frame;
	calls->frame = frame;
}

static void python_add(struct made_calls *calls, bool entry)
{
	struct made_python *python = &calls->python;
	uint64_t code, frame;

	assert_true(calls->code_count < CALLS_MAX);
	code = made_code_numbered(python, calls->code_count);
	frame = made_frame(python, code, 0, 2);
	frame_link(calls, frame);
	if (entry && calls->version == MADE_3_11)
		made_char(frame, python->config.layout.frame_entry, 1);
	calls->codes[calls->code_count++] = code | (entry ? PYTHON_FRAME_ENTRY : 0);
}

/* What a call of the loop leaves on its stack. */
static void joint_add(struct made_calls *calls, uint32_t python_frames)
{
	const struct python_layout *layout = &calls->python.config.layout;
	uint64_t joint = calls->sp + LOOP_JOINT;

	if (calls->version == MADE_3_11 && python_frames) {
		if (calls->cframe)
			made_word(calls->cframe, layout->cframe_previous, joint);
		else
			calls->first_cframe = joint;
		calls->cframe = joint;
		made_word(joint, layout->cframe_previous, 0);
	}
	if (calls->version < MADE_3_12)
		return;
	made_frame_at(&calls->python, joint, calls->python.text_type, 0, 0);
	made_char(joint, layout->frame_owner, 3);
	frame_link(calls, joint);
}

static void loop_add(struct made_calls *calls, uint32_t python_frames)
{
	uint32_t i;

	for (i = 0; i < python_frames; i++)
		python_add(calls, calls->version == MADE_3_10 || i + 1 == python_frames);
	joint_add(calls, python_frames);
	made_stack_word(calls->sp + LOOP_BYTES + (uint64_t)(8 * LOOP_FP_AT), OLD_FP);
	frame_leave(calls, LOOP_BYTES);
}

void made_calls_loop(struct made_calls *calls, uint32_t python_frames)
{
	bool known = python_frames || calls->version == MADE_3_10;

	if (calls->version == MADE_3_10 && python_frames > 1) { /* a call for each */
		made_calls_loop(calls, 1);
		made_calls_loop(calls, python_frames - 1);
		return;
	}
	frame_enter(calls, calls->in_loop, known ? NATIVE_INTERPRETER : 0);
	loop_add(calls, python_frames);
}

void made_calls_loop_taken_up(struct made_calls *calls, uint32_t python_frames)
{
	assert_true(calls->word_count < CALLS_MAX);
	calls->words[calls->word_count++] = NATIVE_INTERPRETER;
	loop_add(calls, python_frames);
}

/* Makes the frames the thread's. */
static void thread_set(struct made_calls *calls)
{
	struct made_python *python = &calls->python;

	if (!calls->first_cframe) {
		made_thread_run(python, python->thread, calls->first_frame);
		return;
	}
	made_word(calls->first_cframe, python->config.layout.cframe_current_frame,
		  calls->first_frame);
	made_word(python->thread, python->config.layout.thread_frame, calls->first_cframe);
}

/* From 3.15 on a frame without code ends the list. It is no call of the loop. */
static void base_add(struct made_calls *calls)
{
	uint64_t base = calls->native->stack_end - 256;

	if (calls->version < MADE_3_15)
		return;
	made_frame_at(&calls->python, base, calls->python.text_type, 0, 0);
	made_char(base, calls->python.config.layout.frame_owner, 3);
	frame_link(calls, base);
}

void made_calls_end(struct made_calls *calls)
{
	frame_enter(calls, calls->in_main, 0);
	base_add(calls);
	thread_set(calls);
	calls->native->at.ip = calls->ip;
	calls->native->config = calls->python.config;
}

void made_calls_expect(struct made_calls *calls)
{
	const struct run *run = calls->native->run;
	const struct sample_record *sample;
	uint32_t i;

	made_native_walk(calls->native);
	expect_native(run, calls->flags, calls->word_count, calls->words);
	sample = run_sample(run);
	assert_int_equal(sample->python_count, calls->code_count);
	for (i = 0; i < calls->code_count; i++)
		assert_int_equal(sample->python[i].code, calls->codes[i]);
}

void made_calls_each(void **state, void (*check)(struct made_calls *calls))
{
	struct made_calls *calls = malloc(sizeof(*calls));
	struct made_native native;
	int version;

	assert_non_null(calls);
	made_native_new(&native, *state);
	for (version = 0; version < MADE_VERSIONS; version++) {
		made_calls_begin(calls, &native, (enum made_version)version);
		check(calls);
		made_python_free(&calls->python);
	}
	made_native_free(&native);
	free(calls);
}
