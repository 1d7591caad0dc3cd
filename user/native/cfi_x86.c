/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what call frame information means on x86-64: the registers' DWARF numbers (System V ABI,
 * AMD64 supplement 1.0, table 3.36), the expressions that compilers and linkers are known to use,
 * and how a state becomes a rule. Everything else becomes UNWIND_UNKNOWN.
 */
#ifdef __x86_64__

#include "native/cfi_machine.h"

#include <dwarf.h>
#include <ucontext.h>

enum {
	REGISTER_RBP = 6,
	REGISTER_RSP = 7,
	REGISTER_R15 = 15,
	REGISTER_RIP = 16,
};

#define WORD 8 /* bytes */

bool cfi_machine_keeps(uint64_t number, enum cfi_register *kept)
{
	if (number != REGISTER_RBP && number != REGISTER_RSP && number != REGISTER_RIP)
		return false;
	*kept = number == REGISTER_RBP   ? CFI_FRAME_POINTER
		: number == REGISTER_RSP ? CFI_STACK_POINTER
					 : CFI_RETURN_ADDRESS;
	return true;
}

static bool is_literal(const struct cfi_operation *operation)
{
	return operation->code >= DW_OP_lit0 && operation->code <= DW_OP_lit31;
}

static int64_t literal(const struct cfi_operation *operation)
{
	return operation->code - DW_OP_lit0;
}

/*
 * What linkers write for a procedure linkage table: its entries have 16 bytes and push one word on
 * the way, so CFA = rsp + 8 + ((rip & 15) >= threshold) * 8.
 */
static bool plt_read(const struct cfi_operation *operations, size_t count, struct cfi_value *value)
{
	static const struct cfi_operation pattern[] = {
		{DW_OP_breg7, WORD}, {DW_OP_breg16, 0}, {DW_OP_lit15, 0}, {DW_OP_and, 0},
		{DW_OP_lit0, 0}, /* any literal: the threshold */
		{DW_OP_ge, 0},       {DW_OP_lit3, 0},   {DW_OP_shl, 0},   {DW_OP_plus, 0},
	};
	const size_t threshold = 4;

	if (count != sizeof(pattern) / sizeof(pattern[0]) || !is_literal(&operations[threshold]))
		return false;
	for (size_t i = 0; i < count; i++)
		if (i != threshold && (operations[i].code != pattern[i].code ||
				       operations[i].operand != pattern[i].operand))
			return false;
	*value = (struct cfi_value){.kind = CFI_VALUE_PLT,
				    .offset = literal(&operations[threshold])};
	return true;
}

/* A constant that is added last: `plus_uconst N`, or `litN plus`. */
static bool addend_read(const struct cfi_operation *operations, size_t count, int64_t *addend)
{
	if (!count)
		*addend = 0;
	else if (count == 1 && operations[0].code == DW_OP_plus_uconst)
		*addend = operations[0].operand;
	else if (count == 2 && is_literal(&operations[0]) && operations[1].code == DW_OP_plus)
		*addend = literal(&operations[0]);
	else
		return false;
	return true;
}

struct cfi_value cfi_machine_value(const struct cfi_operation *operations, size_t count)
{
	struct cfi_value value = {.kind = CFI_VALUE_NOT_KEPT};

	if (!count || operations[0].code < DW_OP_breg0 || operations[0].code > DW_OP_breg31 ||
	    plt_read(operations, count, &value))
		return value;
	value.number = operations[0].code - DW_OP_breg0;
	value.offset = operations[0].operand;
	if (count == 1)
		value.kind = CFI_VALUE_REGISTER;
	else if (operations[1].code == DW_OP_deref &&
		 addend_read(operations + 2, count - 2, &value.addend))
		value.kind = CFI_VALUE_LOADED;
	return value;
}

static bool fits_s16(int64_t value)
{
	return value >= INT16_MIN && value <= INT16_MAX;
}

static bool fits_s32(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

static bool cfa_register(const struct cfi_value *cfa, struct unwind_rule *rule)
{
	if (cfa->number == REGISTER_RSP || cfa->number == REGISTER_RBP) {
		rule->cfa = cfa->number == REGISTER_RSP ? UNWIND_SP : UNWIND_FP;
		rule->offset = (int32_t)cfa->offset;
		return fits_s32(cfa->offset);
	}
	rule->cfa = UNWIND_REGISTER;
	rule->short_offset = (int16_t)cfa->offset;
	rule->addend = (int16_t)cfa->number;
	return cfa->number <= REGISTER_R15 && fits_s16(cfa->offset);
}

static bool cfa_loaded(const struct cfi_value *cfa, struct unwind_rule *rule)
{
	if (cfa->number != REGISTER_RSP && cfa->number != REGISTER_RBP)
		return false;
	rule->cfa = cfa->number == REGISTER_RSP ? UNWIND_SP_LOADED : UNWIND_FP_LOADED;
	rule->short_offset = (int16_t)cfa->offset;
	rule->addend = (int16_t)cfa->addend;
	return fits_s16(cfa->offset) && fits_s16(cfa->addend);
}

static bool cfa_rule(const struct cfi_value *cfa, struct unwind_rule *rule)
{
	switch (cfa->kind) {
	case CFI_VALUE_REGISTER:
		return cfa_register(cfa, rule);
	case CFI_VALUE_LOADED:
		return cfa_loaded(cfa, rule);
	case CFI_VALUE_PLT:
		rule->cfa = UNWIND_PLT;
		rule->offset = (int32_t)cfa->offset;
		return true;
	case CFI_VALUE_NOT_KEPT:
		break;
	}
	return false;
}

static void frame_pointer_rule(const struct cfi_place *place, struct unwind_rule *rule)
{
	bool same = place->kind == CFI_PLACE_UNSPECIFIED || place->kind == CFI_PLACE_SAME;
	bool at_cfa = place->kind == CFI_PLACE_CFA;
	bool at_itself = place->kind == CFI_PLACE_REGISTER && place->number == REGISTER_RBP;

	rule->frame_pointer = same ? FRAME_POINTER_SAME : FRAME_POINTER_LOST;
	if ((!at_cfa && !at_itself) || place->offset % WORD || !fits_s16(place->offset / WORD))
		return;
	rule->frame_pointer = at_cfa ? FRAME_POINTER_CFA : FRAME_POINTER_FP;
	rule->frame_pointer_at = (int16_t)(place->offset / WORD);
}

/* Whether a register is saved where the kernel puts it: rsp points to the ucontext_t. */
static bool saved_by_kernel(const struct cfi_place *place, int number)
{
	int64_t offset = (int64_t)offsetof(ucontext_t, uc_mcontext.gregs) + number * WORD;

	return place->kind == CFI_PLACE_REGISTER && place->number == REGISTER_RSP &&
	       place->offset == offset;
}

/*
 * The C library's __restore_rt, to which a signal's handler returns, says where struct rt_sigframe
 * (Linux, arch/x86/include/asm/sigframe.h) has the registers.
 */
static bool is_signal_frame(const struct cfi_state *state)
{
	const struct cfi_value *cfa = &state->cfa;
	const struct cfi_place cfa_place = {
		.kind = CFI_PLACE_REGISTER, .number = cfa->number, .offset = cfa->offset};

	return cfa->kind == CFI_VALUE_LOADED && !cfa->addend &&
	       saved_by_kernel(&cfa_place, REG_RSP) &&
	       saved_by_kernel(&state->places[CFI_STACK_POINTER], REG_RSP) &&
	       saved_by_kernel(&state->places[CFI_FRAME_POINTER], REG_RBP) &&
	       saved_by_kernel(&state->places[CFI_RETURN_ADDRESS], REG_RIP);
}

/* As in vfork(), which takes its return address off the stack that the child will use too. */
static struct unwind_rule return_register_rule(const struct cfi_state *state)
{
	struct unwind_rule rule = {.cfa = UNWIND_SP_RETURN,
				   .short_offset = (int16_t)state->cfa.offset,
				   .addend = (int16_t)state->places[CFI_RETURN_ADDRESS].number};

	if (state->cfa.kind != CFI_VALUE_REGISTER || state->cfa.number != REGISTER_RSP ||
	    !fits_s16(state->cfa.offset) || state->places[CFI_RETURN_ADDRESS].number > REGISTER_R15)
		return (struct unwind_rule){.cfa = UNWIND_UNKNOWN};
	frame_pointer_rule(&state->places[CFI_FRAME_POINTER], &rule);
	return rule;
}

struct unwind_rule cfi_machine_rule(const struct cfi_state *state, bool signal)
{
	const struct unwind_rule unknown = {.cfa = UNWIND_UNKNOWN};
	const struct cfi_place *return_address = &state->places[CFI_RETURN_ADDRESS];
	struct unwind_rule rule = unknown;

	if (return_address->kind == CFI_PLACE_UNDEFINED)
		return (struct unwind_rule){.cfa = UNWIND_END};
	if (signal && is_signal_frame(state))
		return (struct unwind_rule){.cfa = UNWIND_SIGNAL};
	if (!signal && return_address->kind == CFI_PLACE_IN_REGISTER)
		return return_register_rule(state);
	if (signal || return_address->kind != CFI_PLACE_CFA || return_address->offset != -WORD ||
	    !cfa_rule(&state->cfa, &rule))
		return unknown;
	frame_pointer_rule(&state->places[CFI_FRAME_POINTER], &rule);
	return rule;
}

#endif
