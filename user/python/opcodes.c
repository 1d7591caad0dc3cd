/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns looking up opcodes; see opcodes.h. */
#include "python/opcodes.h"

#include "record.h"

bool opcode_calls(uint32_t version, uint32_t opcode)
{
	uint32_t i;

	if (opcode >= OPCODE_UNKNOWN)
		return false;
	for (i = 0; i < call_opcode_count; i++)
		if (call_opcodes[i].version == version)
			return call_opcodes[i].calls[opcode / 32] >> opcode % 32 & 1;
	return false;
}
