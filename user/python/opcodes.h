/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the question whether an instruction of Python calls something: what the interpreter then
 * does outside of its loop is the work of what was called, not its own.
 */
#ifndef PYEBPF_OPCODES_H
#define PYEBPF_OPCODES_H

#include <stdbool.h>
#include <stdint.h>

struct call_opcodes {
	uint32_t version;  /* as in struct python_layout */
	uint32_t calls[8]; /* a bit for each opcode */
};

/* opcode_table.c */
extern const struct call_opcodes call_opcodes[];
extern const uint32_t call_opcode_count;

/* `opcode` as in struct sample_record. No: it calls nothing, or is not known. */
bool opcode_calls(uint32_t version, uint32_t opcode);

#endif
