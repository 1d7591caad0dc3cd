/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading bytecode and remembering what it says; see code_loops.h. */
#include "capture/code_loops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "python/bytecode.h"

#define BYTECODE_MAX   (1 << 20)
#define EXCEPTIONS_MAX (1 << 20)
/*
 * From 3.11 on co_exceptiontable follows ob_size (which counts code units), co_consts and co_names
 * (Include/cpython/code.h). The layout does not tell, so what lies there is checked.
 */
#define EXCEPTIONS_BEHIND_SIZE 24

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
};

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

/* Bytes of a process, to be freed. Returns 0 or -errno. */
static int bytes_read(const struct source *source, uint64_t address, uint64_t size, uint64_t most,
		      uint8_t **bytes)
{
	uint8_t *read;
	int error;

	if (size > most)
		return -E2BIG;
	read = malloc(size ? size : 1);
	if (!read)
		return -ENOMEM;
	error = size ? process_read(&source->process, address, read, size) : 0;
	if (error) {
		free(read);
		return error;
	}
	*bytes = read;
	return 0;
}

/* Those of a bytes object. */
static int object_read(const struct source *source, uint64_t object, uint64_t most, uint8_t **bytes,
		       uint64_t *size)
{
	uint64_t found;
	int error = process_read(&source->process, object + source->layout.bytes_size, &found,
				 sizeof(found));

	if (!error)
		error = bytes_read(source, object + source->layout.bytes_data, found, most, bytes);
	if (!error)
		*size = found;
	return error;
}

static int word_read(const struct source *source, uint64_t address, uint64_t *word)
{
	return process_read(&source->process, address, word, sizeof(*word));
}

/* Whether two objects are of one type. */
static bool objects_alike(const struct source *source, uint64_t one, uint64_t other)
{
	uint64_t types[2];

	return !word_read(source, one + source->layout.object_type, &types[0]) &&
	       !word_read(source, other + source->layout.object_type, &types[1]) &&
	       types[0] == types[1];
}

/* The table of exceptions, which like the line table is a bytes object. */
static int exceptions_read(const struct source *source, uint64_t code, uint8_t **bytes,
			   uint64_t *size)
{
	const struct python_layout *layout = &source->layout;
	uint64_t object, lines;
	int error = word_read(source, code + layout->bytes_size + EXCEPTIONS_BEHIND_SIZE, &object);

	if (!error)
		error = word_read(source, code + layout->code_line_table, &lines);
	if (!error && !objects_alike(source, object, lines))
		error = -EINVAL;
	return error ? error : object_read(source, object, EXCEPTIONS_MAX, bytes, size);
}

/* The bytecode: in the code object, or up to 3.10 in an object of its own. */
static int instructions_read(const struct source *source, uint64_t code, uint8_t **bytes,
			     uint64_t *size)
{
	const struct python_layout *layout = &source->layout;
	uint64_t word;
	int error;

	if (!layout->code_instructions) {
		error = word_read(source, code + layout->code_bytecode, &word);
		return error ? error : object_read(source, word, BYTECODE_MAX, bytes, size);
	}
	error = word_read(source, code + layout->bytes_size, &word);
	if (!error && word > BYTECODE_MAX / 2)
		error = -E2BIG;
	if (!error)
		error = bytes_read(source, code + layout->code_instructions, word * 2, BYTECODE_MAX,
				   bytes);
	if (!error)
		*size = word * 2;
	return error;
}

static bool loop_look(const struct source *source, const struct python_frame *frame)
{
	uint64_t code = frame->code & ~PYTHON_FRAME_ENTRY, size = 0, exceptions_size = 0;
	uint8_t *instructions = NULL, *exceptions = NULL;
	struct bytecode bytecode;
	bool in_loop = false;

	if (frame->instruction < 0 || !source->layout.version ||
	    instructions_read(source, code, &instructions, &size))
		return false;
	if (!source->layout.code_instructions ||
	    !exceptions_read(source, code, &exceptions, &exceptions_size)) {
		bytecode = (struct bytecode){source->layout.version, instructions, size, exceptions,
					     exceptions_size};
		in_loop = bytecode_loops(&bytecode, (size_t)frame->instruction);
	}
	free(instructions);
	free(exceptions);
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
