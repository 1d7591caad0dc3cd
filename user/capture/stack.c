/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns joining a sample's frames; see stack.h. */
#include "capture/stack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "layout.h"
#include "python/opcodes.h"

/* The frames of one sample while they are put in order. */
struct joining {
	struct stack_maker *maker;
	const struct sample_record *sample;
	const struct stack_interpreter *interpreter;
	uint32_t depth;
	uint32_t python; /* the next Python frame */
	bool called;     /* the frame before was the first of a call of the interpreter's loop */
	bool collected;  /* the frame of the garbage collection has been added */
	bool generated;  /* the native frame before is of code in no file */
	bool working;    /* frames up to the first call of the loop are only its work */
};

static const uint64_t *sample_native(const struct sample_record *sample)
{
	return (const uint64_t *)(const void *)(sample->frames +
						sample->python_count * sizeof(struct python_frame));
}

static const __u64 *sample_kernel(const struct sample_record *sample)
{
	return (const __u64 *)(const void *)(sample_native(sample) + sample->native_count);
}

static uint16_t frame_file(uint64_t frame)
{
	return frame >> NATIVE_ADDRESS_BITS & NATIVE_FILE_MASK;
}

/* A frame that stands for a stack which there is none of, or the end of one that was cut. */
static int notice_add(struct joining *joining, const char *text)
{
	struct profile *profile = joining->maker->profile;
	struct profile_function function = {.kind = KIND_NATIVE};
	struct profile_location place = {0};
	uint32_t location;
	int error = profile_string(profile, text, &function.name);

	if (!error)
		error = profile_function(profile, &function, &place.function);
	if (!error)
		error = profile_location(profile, &place, &location);
	if (!error)
		joining->maker->locations[joining->depth++] = location;
	return error;
}

static const char *sample_notice(const struct sample_record *sample)
{
	if (sample->flags & SAMPLE_UNREAD)
		return "[stack not read]";
	if (sample->flags & SAMPLE_NOT_PYTHON)
		return "[no interpreter]";
	if (sample->flags & SAMPLE_CUT)
		return "[stack cut]";
	if (sample->flags & SAMPLE_BROKEN)
		return "[stack not readable from here]";
	if (!sample->python_count)
		return "[no Python frame]";
	return NULL;
}

/*
 * A collection lies between the Python function that set it off and the interpreter's code, or the
 * finalizers that it has called.
 */
static int collection_add(struct joining *joining)
{
	const struct sample_record *sample = joining->sample;
	char text[64] = "<gc>";

	if (joining->collected || (!sample->gc && !sample->gc_flag))
		return 0;
	joining->collected = true;
	if (sample->gc && sample->gc <= GENERATIONS)
		snprintf(text, sizeof(text), "<gc generation %u>", sample->gc - 1);
	return notice_add(joining, text);
}

/*
 * Code objects that the interpreter makes for its own use, and that it leaves out of tracebacks:
 * around each __init__ from 3.12 on, and below calls of its loop (Python/specialize.c, ceval.c).
 */
static bool location_is_shim(const struct profile *profile, uint32_t location)
{
	const struct profile_function *function =
		&profile->functions[profile->locations[location].function];
	const char *file = profile->strings[function->filename];

	if (function->kind != KIND_PYTHON || strcmp(file, profile->strings[function->name]) != 0)
		return false;
	return !strcmp(file, "__init__") || !strcmp(file, "<interpreter trampoline>");
}

/* Adds the Python frames of one call of the interpreter's loop, or all that are left. */
static int python_add(struct joining *joining, bool all)
{
	const struct sample_record *sample = joining->sample;
	int error = 0;

	while (!error && joining->python < sample->python_count) {
		const struct python_frame *frame = &sample->python[joining->python];
		uint32_t *location;

		if (joining->python++ == sample->gc_inside)
			error = collection_add(joining);
		location = &joining->maker->locations[joining->depth];
		if (!error && frame->identity != FRAME_GLUE)
			error = codes_locate(joining->maker->codes, sample->head.process, frame,
					     location);
		if (error)
			return error;
		if (frame->identity != FRAME_GLUE &&
		    !location_is_shim(joining->maker->profile, *location))
			joining->depth++;
		if (!all && frame->code & PYTHON_FRAME_ENTRY)
			break;
	}
	return error || !all ? error : collection_add(joining);
}

/*
 * The interpreter's glue is left out, and the one function through which each call of its loop
 * comes: where it has no name, by its place.
 */
static bool place_is_hidden(const struct joining *joining, const struct native_place *place)
{
	if (place->loop)
		return true;
	if (!place->file || place->file != joining->interpreter->file)
		return place->glue && !place->file;
	return place->glue || (joining->called && !place->named);
}

static int native_add(struct joining *joining, uint64_t frame)
{
	const struct native_place *place;
	int error;

	if (frame & NATIVE_INTERPRETER) {
		if (!(frame & ~NATIVE_INTERPRETER) && !joining->working) {
			error = notice_add(joining, "[native frames missing]");
			if (joining->generated) /* which the kernel side takes for the interpreter's */
				joining->maker->lost[LOSS_NATIVE_UNKNOWN]++;
		} else {
			error = 0;
		}
		joining->called = true;
		joining->working = false;
		return error ? error : python_add(joining, false);
	}
	joining->generated = !frame_file(frame) && joining->interpreter->version >= GENERATES_CODE;
	if (joining->working)
		return 0;
	error = native_names_find(joining->maker->native, joining->sample->head.pid, frame, &place);
	if (error)
		return error;
	if (!place_is_hidden(joining, place))
		joining->maker->locations[joining->depth++] = place->location;
	joining->called = false;
	return 0;
}

/*
 * A thread that has just entered the loop, or is about to leave it, has no Python frame for its
 * innermost call yet. Where calls of the loop are told by the address of its code alone, this one
 * is passed over. Whether there is one can be told only of a whole stack.
 */
static uint32_t empty_calls(const struct sample_record *sample)
{
	const uint64_t *native = sample_native(sample);
	uint32_t calls = 0, entries = 0, i;

	if (sample->flags & (SAMPLE_NATIVE_CUT | SAMPLE_CUT | SAMPLE_BROKEN))
		return 0;
	for (i = 0; i < sample->native_count; i++)
		calls += !!(native[i] & NATIVE_INTERPRETER);
	for (i = 0; i < sample->python_count; i++)
		entries += !!(sample->python[i].code & PYTHON_FRAME_ENTRY);
	return calls == entries + 1;
}

static int frames_add(struct joining *joining)
{
	const struct sample_record *sample = joining->sample;
	const uint64_t *native = sample_native(sample);
	uint32_t empty = empty_calls(sample), i;
	int error = 0;

	for (i = 0; i < sample->native_count && !error; i++) {
		if (empty && native[i] & NATIVE_INTERPRETER)
			empty = 0;
		else
			error = native_add(joining, native[i]);
	}
	if (!error && sample->native_count && sample->flags & SAMPLE_NATIVE_CUT)
		error = notice_add(joining, "[native frames missing]");
	return error ? error : python_add(joining, true);
}

/*
 * Whether a file is part of what the interpreter is made of. Code that is in no file counts as that
 * where the interpreter can generate some.
 */
static bool file_is_interpreter(const struct stack_maker *maker,
				const struct stack_interpreter *interpreter, uint16_t file)
{
	const struct module *module = modules_find(maker->modules, file);

	if (!module)
		return interpreter->version >= GENERATES_CODE;
	return file == interpreter->file || module->runtime;
}

/*
 * Whether up to the innermost call of the loop there is only the interpreter, at work on an
 * instruction of Python that calls nothing.
 */
static bool loop_is_working(const struct stack_maker *maker, const struct sample_record *sample,
			    const struct stack_interpreter *interpreter)
{
	const uint64_t *native = sample_native(sample);
	uint32_t i;

	for (i = 0; i < sample->native_count && !(native[i] & NATIVE_INTERPRETER); i++)
		if (!file_is_interpreter(maker, interpreter, frame_file(native[i])))
			return false;
	return !i || !opcode_calls(interpreter->version, sample->opcode);
}

bool sample_is_event(const struct sample_record *sample)
{
	return sample->messages[MESSAGE_SENT] || sample->messages[MESSAGE_RECEIVED] ||
	       sample->grown_bytes;
}

int stack_make(struct stack_maker *maker, const struct sample_record *sample,
	       const struct stack_interpreter *interpreter, uint32_t *stack, uint32_t *leaf)
{
	struct joining joining = {.maker = maker, .sample = sample, .interpreter = interpreter};
	const char *notice = sample_notice(sample);
	bool native = maker->native && !(sample->flags & SAMPLE_UNREAD);
	int error = kernel_stacks_locate(maker->kernel, sample_kernel(sample), sample->kernel_count,
					 maker->locations, &joining.depth);
	bool split = sample->state == STATE_RUNNING && sample->native_count &&
		     sample->python_count && interpreter->file;

	joining.working = split && loop_is_working(maker, sample, interpreter);
	*leaf = sample->leaf;
	if (split && sample->leaf <= LEAF_NATIVE)
		*leaf = joining.working ? LEAF_PYTHON : LEAF_NATIVE;
	if (sample->state == STATE_RUNNING && (sample->gc || sample->gc_flag))
		*leaf = LEAF_GC;
	if (native && !sample_is_event(sample) && !(sample->flags & SAMPLE_NATIVE))
		maker->lost[LOSS_NATIVE_PENDING]++;
	if (!error && maker->native)
		error = frames_add(&joining);
	else if (!error)
		error = python_add(&joining, true);
	if (!error && notice)
		error = notice_add(&joining, notice);
	if (error)
		return error;
	return profile_stack(maker->profile, maker->locations, joining.depth, stack);
}
