/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns running the instructions of call frame information: they build the state that makes a rule,
 * address by address. Each is looked at once, expressions too, so the time grows with their bytes.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "native/cfi_entry.h"
#include "native/cfi_machine.h"

#define SAVED_MAX 8 /* states remembered at a time; compilers use one or two */

/* The state while a function's instructions are run. */
struct run {
	struct cursor cursor;
	const struct cfi *cfi;
	const struct cfi_common *common;
	int result; /* anything but 0 ends it */
	size_t saved_count;
	struct cfi_state state;
	struct cfi_state initial; /* what DW_CFA_restore goes back to */
	struct cfi_state saved[SAVED_MAX];
	uint64_t location;
	uint64_t end;
	bool changed; /* the state, since a rule was last made of it */
	struct unwind_rule rule;
	uint64_t since; /* address from which the rule holds on */
	cfi_stretch *stretch;
	void *context;
};

static void stretch_end(struct run *run)
{
	if (run->since != run->location)
		run->result = run->stretch(run->context, run->since, run->location, &run->rule);
	run->since = run->location;
}

/* The state holds from here up to `to`. */
static void location_reach(struct run *run, uint64_t to)
{
	struct unwind_rule rule;

	if (to == run->location)
		return;
	if (run->changed) {
		rule = cfi_machine_rule(&run->state, run->common->signal);
		if (memcmp(&rule, &run->rule, sizeof(rule)))
			stretch_end(run);
		run->rule = rule;
		run->changed = false;
	}
	run->location = to;
}

static void location_advance(struct run *run, uint64_t units)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(units, run->common->code_factor, &bytes))
		bytes = UINT64_MAX;
	location_reach(run, bytes < run->end - run->location ? run->location + bytes : run->end);
}

static void location_set(struct run *run)
{
	uint64_t place = run->cfi->address + (uint64_t)(run->cursor.at - run->cfi->bytes);
	uint64_t to = cursor_read_pointer(&run->cursor, run->common->encoding);

	if ((run->common->encoding & POINTER_BASE) == DW_EH_PE_pcrel)
		to += place;
	if (to < run->location)
		run->result = -EINVAL;
	else
		location_reach(run, to < run->end ? to : run->end);
}

static int64_t factored(const struct run *run, uint64_t number)
{
	return (int64_t)(number * (uint64_t)run->common->data_factor);
}

static void place_set(struct run *run, uint64_t number, const struct cfi_place *place)
{
	enum cfi_register kept;

	if (!cfi_machine_keeps(number, &kept))
		return;
	run->state.places[kept] = *place;
	run->changed = true;
}

static void place_set_kind(struct run *run, uint64_t number, enum cfi_place_kind kind)
{
	const struct cfi_place place = {.kind = kind};

	place_set(run, number, &place);
}

static void place_set_register(struct run *run, uint64_t number)
{
	uint64_t other = cursor_read_unsigned(&run->cursor);
	const struct cfi_place place = {.kind = other <= UINT32_MAX ? CFI_PLACE_IN_REGISTER
								    : CFI_PLACE_NOT_KEPT,
					.number = (uint32_t)other};

	place_set(run, number, &place);
}

static void place_set_cfa(struct run *run, uint64_t number, uint64_t units)
{
	const struct cfi_place place = {.kind = CFI_PLACE_CFA, .offset = factored(run, units)};

	place_set(run, number, &place);
}

static void place_restore(struct run *run, uint64_t number)
{
	enum cfi_register kept;

	if (cfi_machine_keeps(number, &kept))
		place_set(run, number, &run->initial.places[kept]);
}

static void cfa_set(struct run *run, uint64_t number, uint64_t offset)
{
	run->state.cfa = (struct cfi_value){
		.kind = CFI_VALUE_REGISTER,
		.number = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX,
		.offset = (int64_t)offset,
	};
	run->state.cfa_offset = (int64_t)offset;
	run->changed = true;
}

/* Reads the operand of an operation. Returns false for an operation that no kept expression has. */
static bool operand_read(struct cursor *cursor, struct cfi_operation *operation)
{
	uint8_t code = operation->code;

	if (code >= DW_OP_breg0 && code <= DW_OP_breg31)
		operation->operand = cursor_read_signed(cursor);
	else if (code == DW_OP_plus_uconst)
		operation->operand = (int64_t)cursor_read_unsigned(cursor);
	else if (code != DW_OP_deref && code != DW_OP_and && code != DW_OP_plus &&
		 code != DW_OP_shl && code != DW_OP_ge && (code < DW_OP_lit0 || code > DW_OP_lit31))
		return false;
	return !cursor->failed;
}

static struct cfi_value expression_read(struct cursor *cursor)
{
	struct cursor bytes = cursor_read_bytes(cursor, cursor_read_unsigned(cursor));
	const struct cfi_value not_kept = {.kind = CFI_VALUE_NOT_KEPT};
	struct cfi_operation operations[CFI_OPERATIONS_MAX];
	size_t count = 0;

	for (; bytes.at < bytes.end; count++) {
		if (count == CFI_OPERATIONS_MAX)
			return not_kept;
		operations[count] =
			(struct cfi_operation){.code = (uint8_t)cursor_read_fixed(&bytes, 1)};
		if (!operand_read(&bytes, &operations[count]))
			return not_kept;
	}
	return cfi_machine_value(operations, count);
}

/* A register that is saved at what an expression calculates. */
static void place_set_expression(struct run *run)
{
	uint64_t number = cursor_read_unsigned(&run->cursor);
	struct cfi_value value = expression_read(&run->cursor);
	bool is_register = value.kind == CFI_VALUE_REGISTER;
	const struct cfi_place place = {
		.kind = is_register ? CFI_PLACE_REGISTER : CFI_PLACE_NOT_KEPT,
		.number = value.number,
		.offset = value.offset,
	};

	place_set(run, number, &place);
}

/* The instructions that move on. Returns false if it is another. */
static bool location_instruction(struct run *run, uint8_t code)
{
	switch (code) {
	case DW_CFA_set_loc:
		location_set(run);
		return true;
	case DW_CFA_advance_loc1:
		location_advance(run, cursor_read_fixed(&run->cursor, 1));
		return true;
	case DW_CFA_advance_loc2:
		location_advance(run, cursor_read_fixed(&run->cursor, 2));
		return true;
	case DW_CFA_advance_loc4:
		location_advance(run, cursor_read_fixed(&run->cursor, 4));
		return true;
	case DW_CFA_MIPS_advance_loc8:
		location_advance(run, cursor_read_fixed(&run->cursor, 8));
		return true;
	default:
		return false;
	}
}

static void cfa_set_offset(struct run *run, uint64_t offset)
{
	run->state.cfa_offset = (int64_t)offset;
	if (run->state.cfa.kind == CFI_VALUE_REGISTER)
		run->state.cfa.offset = (int64_t)offset;
	run->changed = true;
}

/*
 * Those that define the CFA. DWARF wants no change of a part of it while an expression calculates it
 * (6.4.2.2). There is assembler that does, and unwinders then use the offset from before it.
 */
static bool cfa_instruction(struct run *run, uint8_t code)
{
	struct cursor *cursor = &run->cursor;
	uint64_t number;

	switch (code) {
	case DW_CFA_def_cfa:
		number = cursor_read_unsigned(cursor);
		cfa_set(run, number, cursor_read_unsigned(cursor));
		return true;
	case DW_CFA_def_cfa_sf:
		number = cursor_read_unsigned(cursor);
		cfa_set(run, number, (uint64_t)factored(run, (uint64_t)cursor_read_signed(cursor)));
		return true;
	case DW_CFA_def_cfa_register:
		cfa_set(run, cursor_read_unsigned(cursor), (uint64_t)run->state.cfa_offset);
		return true;
	case DW_CFA_def_cfa_offset:
		cfa_set_offset(run, cursor_read_unsigned(cursor));
		return true;
	case DW_CFA_def_cfa_offset_sf:
		cfa_set_offset(run, (uint64_t)factored(run, (uint64_t)cursor_read_signed(cursor)));
		return true;
	case DW_CFA_def_cfa_expression:
		run->state.cfa = expression_read(cursor);
		run->changed = true;
		return true;
	default:
		return false;
	}
}

/* Those that say at which distance from the CFA a register is saved. */
static bool offset_instruction(struct run *run, uint8_t code)
{
	struct cursor *cursor = &run->cursor;
	uint64_t number;

	switch (code) {
	case DW_CFA_offset_extended:
		number = cursor_read_unsigned(cursor);
		place_set_cfa(run, number, cursor_read_unsigned(cursor));
		return true;
	case DW_CFA_offset_extended_sf:
		number = cursor_read_unsigned(cursor);
		place_set_cfa(run, number, (uint64_t)cursor_read_signed(cursor));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		number = cursor_read_unsigned(cursor);
		place_set_cfa(run, number, -cursor_read_unsigned(cursor));
		return true;
	default:
		return false;
	}
}

/* The other ones that say where a register is. */
static bool place_instruction(struct run *run, uint8_t code)
{
	struct cursor *cursor = &run->cursor;

	switch (code) {
	case DW_CFA_undefined:
		place_set_kind(run, cursor_read_unsigned(cursor), CFI_PLACE_UNDEFINED);
		return true;
	case DW_CFA_same_value:
		place_set_kind(run, cursor_read_unsigned(cursor), CFI_PLACE_SAME);
		return true;
	case DW_CFA_register:
		place_set_register(run, cursor_read_unsigned(cursor));
		return true;
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
		place_set_kind(run, cursor_read_unsigned(cursor), CFI_PLACE_NOT_KEPT);
		cursor_read_unsigned(cursor); /* a signed number has the same length */
		return true;
	case DW_CFA_val_expression:
		place_set_kind(run, cursor_read_unsigned(cursor), CFI_PLACE_NOT_KEPT);
		cursor_read_bytes(cursor, cursor_read_unsigned(cursor));
		return true;
	case DW_CFA_expression:
		place_set_expression(run);
		return true;
	case DW_CFA_restore_extended:
		place_restore(run, cursor_read_unsigned(cursor));
		return true;
	default:
		return false;
	}
}

static bool state_instruction(struct run *run, uint8_t code)
{
	switch (code) {
	case DW_CFA_nop:
		return true;
	case DW_CFA_GNU_args_size: /* of interest only to one who lands in an exception handler */
		cursor_read_unsigned(&run->cursor);
		return true;
	case DW_CFA_remember_state:
		if (run->saved_count == SAVED_MAX)
			run->result = -EINVAL;
		else
			run->saved[run->saved_count++] = run->state;
		return true;
	case DW_CFA_restore_state:
		if (!run->saved_count)
			run->result = -EINVAL;
		else
			run->state = run->saved[--run->saved_count];
		run->changed = true;
		return true;
	default:
		return false;
	}
}

/* Runs one instruction (DWARF 5, 7.24). */
static void instruction_run(struct run *run)
{
	uint8_t byte = (uint8_t)cursor_read_fixed(&run->cursor, 1), low = byte & 0x3f;

	switch (byte & 0xc0) {
	case DW_CFA_advance_loc:
		location_advance(run, low);
		return;
	case DW_CFA_offset:
		place_set_cfa(run, low, cursor_read_unsigned(&run->cursor));
		return;
	case DW_CFA_restore:
		place_restore(run, low);
		return;
	default:
		break;
	}
	if (!cfa_instruction(run, low) && !state_instruction(run, low) &&
	    !location_instruction(run, low) && !offset_instruction(run, low) &&
	    !place_instruction(run, low))
		run->result = -EINVAL;
}

/* Runs instructions up to their end, or that of the function: what is behind it is of no use. */
static void instructions_run(struct run *run, const struct cursor *instructions)
{
	run->cursor = *instructions;
	while (!run->result && run->cursor.at < run->cursor.end && run->location < run->end) {
		instruction_run(run);
		if (run->cursor.failed)
			run->result = -EINVAL;
	}
}

/* Runs the instructions of the CIE, which make the state that all its functions begin with. */
static void common_run(struct run *run)
{
	uint64_t start = run->location;

	instructions_run(run, &run->common->instructions);
	if (!run->result && (run->location != start || run->saved_count))
		run->result = -EINVAL;
	run->initial = run->state;
}

int cfi_read_function(const struct cfi *cfi, const struct cfi_function *function,
		      cfi_stretch *stretch, void *context)
{
	struct run run = {.cfi = cfi, .changed = true, .stretch = stretch, .context = context};
	struct cursor instructions;
	struct cfi_common common;
	struct cfi_function read;

	if (cfi_entry_read(cfi, function->entry, &read, &common, &instructions))
		return -EINVAL;
	run.common = &common;
	run.since = run.location = read.start;
	run.end = read.end;
	common_run(&run);
	if (!run.result)
		instructions_run(&run, &instructions);
	if (!run.result)
		location_reach(&run, run.end);
	if (!run.result)
		stretch_end(&run);
	return run.result;
}
