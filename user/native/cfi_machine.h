/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what lies between reading call frame information, cfi.c, and what a machine's registers mean,
 * a file for each architecture, such as cfi_x86.c: the state that instructions build up, which keeps
 * only what a rule can be made of, and the functions that each of those files has.
 */
#ifndef PYEBPF_CFI_MACHINE_H
#define PYEBPF_CFI_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unwind.h"

enum cfi_value_kind {
	CFI_VALUE_NOT_KEPT,
	CFI_VALUE_REGISTER, /* register + offset */
	CFI_VALUE_LOADED,   /* word at (register + offset), + addend */
	CFI_VALUE_PLT,      /* see UNWIND_PLT */
};

/* Something that is calculated from a frame's registers, as the CFA is. */
struct cfi_value {
	enum cfi_value_kind kind;
	uint32_t number; /* of the register, as DWARF counts */
	int64_t offset;  /* bytes */
	int64_t addend;
};

enum cfi_place_kind {
	CFI_PLACE_UNSPECIFIED,
	CFI_PLACE_SAME,
	CFI_PLACE_UNDEFINED,
	CFI_PLACE_CFA,         /* saved at CFA + offset */
	CFI_PLACE_REGISTER,    /* saved at register + offset */
	CFI_PLACE_IN_REGISTER, /* is the value of another register */
	CFI_PLACE_NOT_KEPT,
};

/* Where the caller's value of a register is. */
struct cfi_place {
	enum cfi_place_kind kind;
	uint32_t number;
	int64_t offset;
};

/* The registers whose places are kept. */
enum cfi_register {
	CFI_FRAME_POINTER,
	CFI_RETURN_ADDRESS,
	CFI_STACK_POINTER,
	CFI_REGISTERS,
};

struct cfi_state {
	struct cfi_value cfa;
	int64_t cfa_offset; /* the one last set, also if the CFA is an expression's value since */
	struct cfi_place places[CFI_REGISTERS];
};

/* An operation of an expression: DW_OP_*, and its operand if it has one. */
struct cfi_operation {
	uint8_t code;
	int64_t operand;
};

#define CFI_OPERATIONS_MAX 12 /* longer expressions are not kept */

/* Whether the places of the register with this DWARF number are kept, and then as which. */
bool cfi_machine_keeps(uint64_t number, enum cfi_register *kept);

/* What an expression calculates. */
struct cfi_value cfi_machine_value(const struct cfi_operation *operations, size_t count);

/* The rule of a state; `signal` in a frame that a signal has made (augmentation `S`). */
struct unwind_rule cfi_machine_rule(const struct cfi_state *state, bool signal);

#endif
