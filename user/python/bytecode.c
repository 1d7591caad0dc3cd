/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns following control through bytecode, unit by unit; see bytecode.h. The code can be anything:
 * what leads out of it leads nowhere, and the work grows with its size, not with what is in it.
 */
#include "python/bytecode.h"

#include <stdlib.h>

#include "python/opcodes.h"

#define UNIT_BYTES     2
#define UNITS_MAX      (1U << 24)
#define VERSION_3_10   0x030a /* from here on arguments of jumps count units, not bytes */
#define VERSION_3_11   0x030b /* from here on there is a table of exceptions */
#define NOWHERE        UINT32_MAX
#define SUCCESSORS_MAX 3
#define EXTENSIONS_MAX 3
#define BLOCKS_MAX     20 /* CO_MAXBLOCKS of Include/cpython/code.h: open at a time */

/* An entry of the table (Objects/exception_handling_notes.txt): bytes of six bits. */
#define TABLE_FIRST  0x80 /* byte of an entry */
#define TABLE_MORE   0x40 /* bytes follow in this number */
#define TABLE_BITS   0x3f
#define TABLE_FIELDS 4 /* first unit, units, unit to go on at, depth of the stack */

/* Per unit. Units behind an instruction that are no instructions have none of it. */
struct unit {
	uint32_t argument; /* with the upper bits from the units before */
	uint32_t handler;  /* unit where exceptions go on; NOWHERE: out of the function */
	uint32_t block; /* unit that began the innermost open one of FLOW_PROTECT and FLOW_LOOP */
	uint32_t next;  /* of those that are waiting to be looked at */
	bool is_instruction;
	bool seen;
};

struct flow {
	const struct opcodes *opcodes;
	const struct bytecode *bytecode;
	struct unit *units;
	uint32_t count;
	uint32_t waiting; /* the first one; NOWHERE: none */
};

static uint32_t unit_flow(const struct flow *flow, uint32_t at)
{
	return flow->opcodes->flow[flow->bytecode->code[(size_t)at * UNIT_BYTES]];
}

static uint32_t unit_caches(const struct flow *flow, uint32_t at)
{
	return flow->opcodes->caches[flow->bytecode->code[(size_t)at * UNIT_BYTES]];
}

/* Finds where instructions begin, and their arguments. */
static void units_decode(struct flow *flow)
{
	uint32_t at, argument = 0;

	for (at = 0; at < flow->count; at++) {
		struct unit *unit = &flow->units[at];

		argument = argument << 8 | flow->bytecode->code[(size_t)at * UNIT_BYTES + 1];
		unit->is_instruction = true;
		unit->argument = argument;
		if (unit_flow(flow, at) & FLOW_EXTEND)
			continue;
		argument = 0;
		at += unit_caches(flow, at);
	}
}

/* The unit that a jump leads to, or at which a block's exceptions go on. */
static uint32_t unit_target(const struct flow *flow, uint32_t at)
{
	uint64_t next = (uint64_t)at + 1 + unit_caches(flow, at), target;
	uint64_t argument = flow->units[at].argument;
	uint32_t kind = unit_flow(flow, at);

	if (flow->opcodes->version < VERSION_3_10)
		argument /= UNIT_BYTES;
	if (kind & FLOW_ABSOLUTE)
		target = argument;
	else if (kind & FLOW_BACKWARD)
		target = next - argument; /* before the first one: very large */
	else
		target = next + argument;
	return target < flow->count ? (uint32_t)target : NOWHERE;
}

/* Whether a jump goes back to what waits for a coroutine, to do so again. */
static bool unit_awaits(const struct flow *flow, uint32_t at)
{
	uint32_t target = unit_target(flow, at), prefixes;

	if (!(unit_flow(flow, at) & FLOW_BACKWARD) || target == NOWHERE)
		return false;
	for (prefixes = 0; prefixes < EXTENSIONS_MAX && target + 1 < flow->count; prefixes++)
		if (unit_flow(flow, target) & FLOW_EXTEND)
			target++;
	return unit_flow(flow, target) & FLOW_AWAIT;
}

/* The innermost open block of this kind at a unit. */
static uint32_t unit_block(const struct flow *flow, uint32_t at, uint32_t kind)
{
	uint32_t block = flow->units[at].block, depth;

	for (depth = 0; depth < BLOCKS_MAX && block != NOWHERE; depth++) {
		if (unit_flow(flow, block) & kind)
			return block;
		block = flow->units[block].block;
	}
	return NOWHERE;
}

/* Stores the units that can come after one, its handler not among them. Returns how many. */
static uint32_t unit_successors(const struct flow *flow, uint32_t at,
				uint32_t successors[SUCCESSORS_MAX])
{
	uint32_t kind = unit_flow(flow, at), count = 0, loop;

	if (!(kind & FLOW_END))
		successors[count++] = at + 1 + unit_caches(flow, at);
	if (kind & (FLOW_FORWARD | FLOW_BACKWARD | FLOW_ABSOLUTE) && !unit_awaits(flow, at))
		successors[count++] = unit_target(flow, at);
	if (kind & FLOW_BREAK) {
		loop = unit_block(flow, at, FLOW_LOOP);
		successors[count++] = loop == NOWHERE ? NOWHERE : unit_target(flow, loop);
	}
	return count;
}

/* Has a unit looked at, once. */
static void unit_queue(struct flow *flow, uint32_t at)
{
	if (at >= flow->count || flow->units[at].seen)
		return;
	flow->units[at].seen = true;
	flow->units[at].next = flow->waiting;
	flow->waiting = at;
}

static uint32_t unit_take(struct flow *flow)
{
	uint32_t at = flow->waiting;

	flow->waiting = flow->units[at].next;
	return at;
}

static void flow_restart(struct flow *flow)
{
	uint32_t at;

	for (at = 0; at < flow->count; at++)
		flow->units[at].seen = false;
	flow->waiting = NOWHERE;
}

/* Has a unit looked at that comes with these blocks open. */
static void unit_queue_in(struct flow *flow, uint32_t at, uint32_t block)
{
	if (at >= flow->count || flow->units[at].seen)
		return;
	flow->units[at].block = block;
	unit_queue(flow, at);
}

/* The innermost block that is open after a unit. */
static uint32_t unit_block_after(const struct flow *flow, uint32_t at)
{
	uint32_t kind = unit_flow(flow, at), block = flow->units[at].block;

	if (kind & (FLOW_PROTECT | FLOW_LOOP))
		return at;
	return kind & FLOW_RELEASE && block != NOWHERE ? flow->units[block].block : block;
}

/* Finds handlers by the blocks that are open at each unit, which no two ways to it differ in. */
static void handlers_find_by_blocks(struct flow *flow)
{
	uint32_t successors[SUCCESSORS_MAX], count, i, at, block;

	flow_restart(flow);
	unit_queue_in(flow, 0, NOWHERE);
	while (flow->waiting != NOWHERE) {
		at = unit_take(flow);
		block = unit_block(flow, at, FLOW_PROTECT);
		if (block != NOWHERE) {
			flow->units[at].handler = unit_target(flow, block);
			unit_queue_in(flow, flow->units[at].handler, flow->units[block].block);
		}
		block = unit_block_after(flow, at);
		if (unit_flow(flow, at) & FLOW_BREAK) {
			block = unit_block(flow, at, FLOW_LOOP);
			block = block == NOWHERE ? NOWHERE : flow->units[block].block;
		}
		count = unit_successors(flow, at, successors);
		for (i = 0; i < count; i++)
			unit_queue_in(flow, successors[i], block);
	}
}

/* Reads the numbers of the entry at *at, which is moved on. False: there is no whole one. */
static bool table_entry(const struct bytecode *bytecode, size_t *at, uint64_t entry[TABLE_FIELDS])
{
	uint32_t field;

	for (field = 0; field < TABLE_FIELDS; field++) {
		uint8_t byte;

		entry[field] = 0;
		do {
			if (*at >= bytecode->exceptions_size)
				return false;
			byte = bytecode->exceptions[(*at)++];
			entry[field] = (entry[field] << 6 | (byte & TABLE_BITS)) & UINT32_MAX;
		} while (byte & TABLE_MORE);
	}
	return true;
}

/* Finds handlers by the table, whose entries are in order and do not overlap. */
static void handlers_find_by_table(struct flow *flow)
{
	uint64_t entry[TABLE_FIELDS], unit = 0;
	size_t at = 0;

	while (table_entry(flow->bytecode, &at, entry)) {
		if (entry[0] < unit)
			return;
		unit = entry[0];
		for (; unit < entry[0] + entry[1] && unit < flow->count; unit++)
			flow->units[unit].handler =
				entry[2] < flow->count ? (uint32_t)entry[2] : NOWHERE;
	}
}

static bool unit_loops(struct flow *flow, uint32_t start)
{
	uint32_t successors[SUCCESSORS_MAX], count, i, at = start;

	flow_restart(flow);
	while (!flow->units[start].seen) {
		unit_queue(flow, flow->units[at].handler);
		count = unit_successors(flow, at, successors);
		for (i = 0; i < count; i++)
			unit_queue(flow, successors[i]);
		if (flow->waiting == NOWHERE)
			break;
		at = unit_take(flow);
	}
	return flow->units[start].seen;
}

/* The instruction that a unit is of: frames can be at one of the units behind it. */
static uint32_t unit_instruction(const struct flow *flow, size_t at)
{
	uint32_t unit = (uint32_t)(at / UNIT_BYTES);

	while (unit && !flow->units[unit].is_instruction)
		unit--;
	return unit;
}

bool bytecode_loops(const struct bytecode *bytecode, size_t at)
{
	struct flow flow = {.opcodes = opcodes_find(bytecode->version), .bytecode = bytecode};
	bool loops;
	uint32_t i;

	flow.count =
		(uint32_t)(bytecode->size / UNIT_BYTES < UNITS_MAX ? bytecode->size / UNIT_BYTES
								   : UNITS_MAX);
	if (!flow.opcodes || at / UNIT_BYTES >= flow.count)
		return false;
	flow.units = calloc(flow.count, sizeof(*flow.units));
	if (!flow.units)
		return false;
	for (i = 0; i < flow.count; i++)
		flow.units[i].handler = flow.units[i].block = NOWHERE;
	units_decode(&flow);
	if (bytecode->version < VERSION_3_11)
		handlers_find_by_blocks(&flow);
	else
		handlers_find_by_table(&flow);
	loops = unit_loops(&flow, unit_instruction(&flow, at));
	free(flow.units);
	return loops;
}
