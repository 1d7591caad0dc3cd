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

struct code_key {
	uint64_t code;
	uint32_t index;
	uint32_t identity;
};

/* The answer for an instruction, once it was asked for. */
struct known_loop {
	int32_t instruction;
	bool in_loop;
	UT_hash_handle hh;
};

struct known_code {
	struct code_key key;
	struct known_loop *loops;
	UT_hash_handle hh;
};

struct source {
	uint32_t index;
	struct process process;
	struct python_layout layout;
	UT_hash_handle hh;
};

struct code_loops {
	struct known_code *codes;
	struct source *sources;
	uint32_t removed; /* sources of which there may still be something in `codes` */
};

#define REMOVED_MAX 256

struct code_loops *code_loops_new(void)
{
	return calloc(1, sizeof(struct code_loops));
}

static void code_free(struct code_loops *loops, struct known_code *code)
{
	struct known_loop *loop, *next;

	HASH_ITER (hh, code->loops, loop, next) {
		HASH_DEL(code->loops, loop);
		free(loop);
	}
	HASH_DEL(loops->codes, code);
	free(code);
}

void code_loops_free(struct code_loops *loops)
{
	struct known_code *code, *next_code;
	struct source *source, *next;

	if (!loops)
		return;
	HASH_ITER (hh, loops->codes, code, next_code) {
		code_free(loops, code);
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
	struct known_code *code, *next;
	struct source *source;

	HASH_ITER (hh, loops->codes, code, next) {
		HASH_FIND(hh, loops->sources, &code->key.index, sizeof(code->key.index), source);
		if (!source)
			code_free(loops, code);
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

static struct known_code *code_find(const struct code_loops *loops, const struct code_key *key)
{
	struct known_code *code;

	HASH_FIND(hh, loops->codes, key, sizeof(*key), code);
	return code;
}

static struct known_code *code_find_or_add(struct code_loops *loops, const struct code_key *key)
{
	struct known_code *code = code_find(loops, key);

	if (code)
		return code;
	code = calloc(1, sizeof(*code));
	if (!code)
		return NULL;
	code->key = *key;
	HASH_ADD(hh, loops->codes, key, sizeof(code->key), code);
	return code;
}

void code_loops_forget(struct code_loops *loops, uint32_t index, uint64_t code, uint32_t identity)
{
	struct code_key key = {.code = code, .index = index, .identity = identity};
	struct known_code *known = code_find(loops, &key);

	if (known)
		code_free(loops, known);
}

int code_loops_find(struct code_loops *loops, uint32_t index, const struct python_frame *frame,
		    bool *in_loop)
{
	struct code_key key = {.code = frame->code & ~PYTHON_FRAME_ENTRY,
			       .index = index,
			       .identity = frame->identity};
	struct known_code *code;
	struct known_loop *loop;
	struct source *source;

	if (frame->identity == FRAME_UNNAMED) {
		*in_loop = false;
		return 0;
	}
	code = code_find_or_add(loops, &key);
	if (!code)
		return -ENOMEM;
	HASH_FIND(hh, code->loops, &frame->instruction, sizeof(frame->instruction), loop);
	if (!loop) {
		HASH_FIND(hh, loops->sources, &index, sizeof(index), source);
		loop = calloc(1, sizeof(*loop));
		if (!loop)
			return -ENOMEM;
		loop->instruction = frame->instruction;
		loop->in_loop = source && loop_look(source, frame);
		HASH_ADD(hh, code->loops, instruction, sizeof(loop->instruction), loop);
	}
	*in_loop = loop->in_loop;
	return 0;
}
