/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what is to be known of Python's instructions: whether one calls something, for what the
 * interpreter then does outside of its loop is the work of what was called; and where control can
 * go from one. Leaves what follows from that for a function to python/bytecode.h.
 */
#ifndef PYEBPF_OPCODES_H
#define PYEBPF_OPCODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arguments of jumps count instructions, up to 3.9 bytes; relative ones from the next on. */
enum opcode_flow {
	FLOW_FORWARD = 1,   /* can jump on by its argument, */
	FLOW_BACKWARD = 2,  /* back by it, from 3.11 on, */
	FLOW_ABSOLUTE = 4,  /* or to it, up to 3.10 */
	FLOW_END = 8,       /* does not go on to the next instruction */
	FLOW_EXTEND = 16,   /* holds upper bits of the next one's argument */
	FLOW_AWAIT = 32,    /* waits for a coroutine, again and again; from 3.11 on */
	FLOW_PROTECT = 64,  /* from here on exceptions go on by its argument; up to 3.10, as are */
	FLOW_LOOP = 128,    /* from here on FLOW_BREAK goes on by its argument; in 3.7 */
	FLOW_RELEASE = 256, /* undoes the innermost of these two */
	FLOW_BREAK = 512,
};

struct opcodes {
	uint32_t version;    /* as in struct python_layout */
	uint32_t calls[8];   /* a bit for each opcode that calls something */
	uint16_t flow[256];  /* of enum opcode_flow */
	uint8_t caches[256]; /* units behind each that are no instructions; from 3.11 on */
};

/* opcode_table.c */
extern const struct opcodes opcodes[];
extern const uint32_t opcodes_count;

/* NULL: nothing is known of the version. */
const struct opcodes *opcodes_find(uint32_t version);

/* `opcode` as in struct sample_record. No: it calls nothing, or is not known. */
bool opcode_calls(uint32_t version, uint32_t opcode);

#endif
