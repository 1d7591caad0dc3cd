/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns looking at opcodes; see opcodes.h. */
#include "python/opcodes.h"

#include "record.h"

const struct opcodes *opcodes_find(uint32_t version)
{
	uint32_t i;

	for (i = 0; i < opcodes_count; i++)
		if (opcodes[i].version == version)
			return &opcodes[i];
	return NULL;
}

bool opcode_calls(uint32_t version, uint32_t opcode)
{
	const struct opcodes *known = opcodes_find(version);

	return known && opcode < OPCODE_UNKNOWN && known->calls[opcode / 32] >> opcode % 32 & 1;
}
