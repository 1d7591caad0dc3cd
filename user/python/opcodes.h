/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what is to be known of Python's instructions: whether one calls something, for what the
 * interpreter then does outside of its loop is the work of what was called; and whether one lies in
 * a loop of its function, for else a function that is at it again was called again.
 */
#ifndef PYEBPF_OPCODES_H
#define PYEBPF_OPCODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets of opcodes, a bit for each. */
struct opcodes {
	uint32_t version;     /* as in struct python_layout */
	uint32_t calls[8];    /* call something */
	uint32_t backward[8]; /* jump back by their argument, in instructions; from 3.11 on */
	uint32_t absolute[8]; /* jump to their argument, up to 3.10 */
	uint32_t extended;    /* EXTENDED_ARG */
	uint8_t caches[256];  /* units behind each that are no instructions; from 3.11 on */
};

/* opcode_table.c */
extern const struct opcodes opcodes[];
extern const uint32_t opcodes_count;

/* `opcode` as in struct sample_record. No: it calls nothing, or is not known. */
bool opcode_calls(uint32_t version, uint32_t opcode);

/*
 * Whether the instruction at byte offset `at` lies in a loop, by the function's bytecode. No: it
 * does not, or nothing is known of the version.
 */
bool bytecode_loops(uint32_t version, const uint8_t *bytecode, size_t size, size_t at);

#endif
