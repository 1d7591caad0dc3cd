/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns looking at opcodes; see opcodes.h. */
#include "python/opcodes.h"

#include "record.h"

#define INSTRUCTION_BYTES 2
#define VERSION_3_10      0x030a /* from here on arguments of jumps count instructions, not bytes */

static const struct opcodes *opcodes_of(uint32_t version)
{
	uint32_t i;

	for (i = 0; i < opcodes_count; i++)
		if (opcodes[i].version == version)
			return &opcodes[i];
	return NULL;
}

static bool set_holds(const uint32_t set[8], uint32_t opcode)
{
	return opcode < OPCODE_UNKNOWN && set[opcode / 32] >> opcode % 32 & 1;
}

bool opcode_calls(uint32_t version, uint32_t opcode)
{
	const struct opcodes *known = opcodes_of(version);

	return known && set_holds(known->calls, opcode);
}

/* Where the jump at `from` leads to, if it is one and leads back; else `from`. */
static size_t jump_back(const struct opcodes *known, uint32_t opcode, uint64_t argument,
			size_t from)
{
	uint64_t unit = known->version >= VERSION_3_10 ? INSTRUCTION_BYTES : 1;
	uint64_t bytes = argument * unit;

	if (set_holds(known->absolute, opcode))
		return bytes < from ? bytes : from;
	if (!set_holds(known->backward, opcode))
		return from;
	/* Counted from the next instruction. */
	bytes -= bytes ? INSTRUCTION_BYTES * (1 + (uint64_t)known->caches[opcode & 0xff]) : 0;
	return bytes < from ? from - bytes : 0;
}

bool bytecode_loops(uint32_t version, const uint8_t *bytecode, size_t size, size_t at)
{
	const struct opcodes *known = opcodes_of(version);
	uint64_t argument = 0;
	size_t from;

	if (!known)
		return false;
	for (from = 0; from + INSTRUCTION_BYTES <= size; from += INSTRUCTION_BYTES) {
		argument = (argument << 8 | bytecode[from + 1]) & UINT32_MAX;
		if (bytecode[from] == known->extended)
			continue;
		if (at <= from && at >= jump_back(known, bytecode[from], argument, from) &&
		    jump_back(known, bytecode[from], argument, from) < from)
			return true;
		argument = 0;
		from += known->caches[bytecode[from]] * (size_t)INSTRUCTION_BYTES;
	}
	return false;
}
