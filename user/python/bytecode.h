/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the flow of control in a Python function's bytecode: whether an instruction lies in a loop,
 * for else a function that is at it again was called again. Leaves the instructions themselves to
 * python/opcodes.h, and where bytecode is found to user/capture/code_loops.c.
 */
#ifndef PYEBPF_BYTECODE_H
#define PYEBPF_BYTECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A function's, as the compiler made it or as the interpreter has changed it while it ran. */
struct bytecode {
	uint32_t version; /* as in struct python_layout */
	const uint8_t *code;
	size_t size; /* bytes */
	const uint8_t *exceptions;
	size_t exceptions_size; /* of co_exceptiontable, from 3.11 on; 0: none */
};

/*
 * Whether the instruction at byte offset `at` can come to itself again in one call of the function,
 * exceptions included: `except: continue` makes a loop, and what lies between two blocks of a loop
 * is not always part of it. Waiting for a coroutine, or by `yield from` for a generator, is none.
 * No: it cannot, or nothing is known of the version, or there is no memory.
 */
bool bytecode_loops(const struct bytecode *bytecode, size_t at);

#endif
