/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns an interpreter made up in the test's own memory: no CPython build has its offsets, so that
 * nothing but the layout can lead the walker through it. Addresses are numbers, as in the layout.
 */
#ifndef PYEBPF_TESTS_MADE_PYTHON_H
#define PYEBPF_TESTS_MADE_PYTHON_H

#include "run.h"

#define MADE_PROCESS 7 /* struct process_config.index */

struct made_python {
	struct process_config config;
	uint8_t *memory; /* nothing behind it can be read */
	size_t bytes, used;
	uint64_t interpreter; /* the first one's, and the only one's at first */
	uint64_t thread;      /* the calling thread's state in it, and the only one at first */
	uint64_t text_type, bytes_type;
	uint64_t filename;   /* str: "/made/up.py" */
	uint64_t line_table; /* bytes: some */
	uint64_t guard;      /* of two pages that may not be read, ... */
	uint64_t guarded;    /* ... around this one that may */
};

/*
 * Makes an interpreter of this model with one thread state, the calling thread's, without frames.
 * The memory may be touched in any way until made_python_free().
 */
void made_python_new(struct made_python *python, enum frame_model model);
void made_python_free(struct made_python *python);

/* Tells the programs of it, as it is now, as the process that runs this test. */
void made_python_use(struct run *run, const struct made_python *python);

/* Tells the programs of it and takes a sample of the calling thread. */
void made_python_walk(struct run *run, const struct made_python *python);

/* Has an interpreter of each model checked in turn, with a run that has been reset. */
void made_python_each(struct run *run, void (*check)(struct run *run, struct made_python *python));

/* Memory of zeros, aligned to 16 bytes. */
uint64_t made_memory(struct made_python *python, size_t bytes);

/* A field of 8, 4 or 1 bytes in an object. */
void made_word(uint64_t object, uint32_t offset, uint64_t value);
void made_int(uint64_t object, uint32_t offset, int32_t value);
void made_char(uint64_t object, uint32_t offset, uint8_t value);

/* A str of `length` characters of `width` bytes; `ascii` only for width 1. Copies them. */
uint64_t made_text(struct made_python *python, uint32_t width, bool ascii, const void *characters,
		   size_t length);
uint64_t made_ascii(struct made_python *python, const char *text);

/* A bytes object with the pattern of made_pattern(). */
uint64_t made_bytes(struct made_python *python, size_t length);
uint8_t made_pattern(size_t index);

/* A code object with this name (a str), python->filename and python->line_table. */
uint64_t made_code(struct made_python *python, uint64_t name, int32_t first_line);

/* The same with a name of its own that holds this number. */
uint64_t made_code_numbered(struct made_python *python, uint32_t number);

/*
 * A frame at an address of the test's choosing or in new memory, and its code object; its caller
 * (0: none); the byte offset of the instruction, -1: none was begun. Returns the address.
 */
void made_frame_at(struct made_python *python, uint64_t frame, uint64_t code, uint64_t caller,
		   int32_t instruction);
uint64_t made_frame(struct made_python *python, uint64_t code, uint64_t caller,
		    int32_t instruction);

/* A frame that runs no Python code. */
uint64_t made_shim(struct made_python *python, uint64_t caller);

/* Makes a frame the innermost of a thread state. */
void made_thread_run(struct made_python *python, uint64_t thread, uint64_t frame);

/* A thread state with this thread pointer, put first in an interpreter's list. */
uint64_t made_thread(struct made_python *python, uint64_t interpreter, uint64_t thread_pointer);
void made_thread_unlink(struct made_python *python, uint64_t thread);

/* An interpreter without threads, put first in the list: as CPython does with new ones. */
uint64_t made_interpreter(struct made_python *python);

/* `depth` frames of numbered code objects; the outermost is number 0. Returns the innermost. */
uint64_t made_stack(struct made_python *python, uint32_t depth);

/* Fails the test unless the sample has these code objects, innermost first, with the flags. */
void expect_stack(const struct run *run, uint32_t flags, uint32_t count, const uint64_t *codes);

/* Fails the test unless a code object was told of with this name of ASCII characters. */
void expect_name(const struct run *run, uint64_t code, const char *name);

#endif
