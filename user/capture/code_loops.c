/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading bytecode and remembering what it says; see code_loops.h. */
#include "capture/code_loops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "python/opcodes.h"

#define BYTECODE_MAX (1 << 20)
#define OBJECT_SIZE  16 /* offset of PyVarObject.ob_size, in code units from 3.11 on */

struct place {
	uint64_t code;
	uint32_t index;
	uint32_t identity;
	int32_t instruction;
	uint32_t pad;
};

struct known_loop {
	struct place place;
	bool in_loop;
	UT_hash_handle hh;
};

struct source {
	uint32_t index;
	struct process process;
	struct python_layout layout;
	UT_hash_handle hh;
};

struct code_loops {
	struct known_loop *known;
	struct source *sources;
	uint32_t removed; /* sources of which there may still be something in `known` */
};

#define REMOVED_MAX 256

struct code_loops *code_loops_new(void)
{
	return calloc(1, sizeof(struct code_loops));
}

void code_loops_free(struct code_loops *loops)
{
	struct known_loop *known, *next_known;
	struct source *source, *next;

	if (!loops)
		return;
	HASH_ITER (hh, loops->known, known, next_known) {
		HASH_DEL(loops->known, known);
		free(known);
	}
	HASH_ITER (hh, loops->sources, source, next) {
		HASH_DEL(loops->sources, source);
		free(source);
	}
	free(loops);
}

/* Forgets what is known of processes that have been removed. */
static void known_sweep(struct code_loops *loops)
{
	struct known_loop *known, *next;
	struct source *source;

	HASH_ITER (hh, loops->known, known, next) {
		HASH_FIND(hh, loops->sources, &known->place.index, sizeof(known->place.index),
			  source);
		if (source)
			continue;
		HASH_DEL(loops->known, known);
		free(known);
	}
	loops->removed = 0;
}

int code_loops_add_process(struct code_loops *loops, uint32_t index, const struct process *process,
			   const struct python_layout *layout)
{
	struct source *source;

	HASH_FIND(hh, loops->sources, &index, sizeof(index), source);
	if (!source) {
		source = calloc(1, sizeof(*source));
		if (!source)
			return -ENOMEM;
		source->index = index;
		HASH_ADD(hh, loops->sources, index, sizeof(source->index), source);
	}
	source->process = *process;
	source->layout = *layout;
	return 0;
}

void code_loops_remove_process(struct code_loops *loops, uint32_t index)
{
	struct source *source;

	HASH_FIND(hh, loops->sources, &index, sizeof(index), source);
	if (!source)
		return;
	HASH_DEL(loops->sources, source);
	free(source);
	loops->removed++;
	if (loops->removed >= REMOVED_MAX)
		known_sweep(loops);
}

/* Where the bytecode lies, and its bytes: in the code object, or up to 3.10 in one of its own. */
static int bytecode_find(const struct source *source, uint64_t code, uint64_t *address,
			 uint64_t *size)
{
	const struct python_layout *layout = &source->layout;
	uint64_t object;
	int error;

	if (layout->code_instructions) {
		*address = code + layout->code_instructions;
		error = process_read(&source->process, code + OBJECT_SIZE, size, sizeof(*size));
		*size *= 2;
		return error;
	}
	error = process_read(&source->process, code + layout->code_bytecode, &object,
			     sizeof(object));
	if (error)
		return error;
	*address = object + layout->bytes_data;
	return process_read(&source->process, object + layout->bytes_size, size, sizeof(*size));
}

static bool loop_look(const struct source *source, const struct python_frame *frame)
{
	uint64_t address, size;
	uint8_t *bytecode;
	bool in_loop;

	if (frame->instruction < 0 || !source->layout.version ||
	    bytecode_find(source, frame->code & ~PYTHON_FRAME_ENTRY, &address, &size) ||
	    size > BYTECODE_MAX)
		return false;
	bytecode = malloc(size ? size : 1);
	if (!bytecode)
		return false;
	in_loop =
		!process_read(&source->process, address, bytecode, size) &&
		bytecode_loops(source->layout.version, bytecode, size, (size_t)frame->instruction);
	free(bytecode);
	return in_loop;
}

int code_loops_find(struct code_loops *loops, uint32_t index, const struct python_frame *frame,
		    bool *in_loop)
{
	struct place place = {.code = frame->code & ~PYTHON_FRAME_ENTRY,
			      .index = index,
			      .identity = frame->identity,
			      .instruction = frame->instruction};
	struct known_loop *known;
	struct source *source;

	HASH_FIND(hh, loops->known, &place, sizeof(place), known);
	if (!known) {
		HASH_FIND(hh, loops->sources, &index, sizeof(index), source);
		known = calloc(1, sizeof(*known));
		if (!known)
			return -ENOMEM;
		known->place = place;
		known->in_loop = source && loop_look(source, frame);
		HASH_ADD(hh, loops->known, place, sizeof(known->place), known);
	}
	*in_loop = known->in_loop;
	return 0;
}
