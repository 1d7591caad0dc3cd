/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks reading call frame information: on sections made here, whose rules are known by the
 * standard, and on this very program, which has a function in two parts for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "made_cfi.h"
#include "native/elf.h"

#define START  0x2000
#define LENGTH 0x100

/* The stretches of a function, one line each: "+0 sp+8 same", "+1 sp+16 cfa-2" … */
struct text {
	char text[2048];
	size_t size;
	uint64_t next;
};

static void frame_pointer_print(const struct unwind_rule *rule, char *text, size_t size)
{
	static const char *const names[] = {"same", "cfa", "fp", "lost"};

	if (rule->frame_pointer == FRAME_POINTER_CFA || rule->frame_pointer == FRAME_POINTER_FP)
		snprintf(text, size, "%s%+d", names[rule->frame_pointer], rule->frame_pointer_at);
	else
		snprintf(text, size, "%s", names[rule->frame_pointer]);
}

static void rule_print(const struct unwind_rule *rule, char *text, size_t size)
{
	char frame_pointer[32];

	frame_pointer_print(rule, frame_pointer, sizeof(frame_pointer));
	switch (rule->cfa) {
	case UNWIND_SP:
	case UNWIND_FP:
		snprintf(text, size, "%s%+d %s", rule->cfa == UNWIND_SP ? "sp" : "fp", rule->offset,
			 frame_pointer);
		break;
	case UNWIND_SP_LOADED:
	case UNWIND_FP_LOADED:
		snprintf(text, size, "(%s%+d)%+d %s", rule->cfa == UNWIND_SP_LOADED ? "sp" : "fp",
			 rule->short_offset, rule->addend, frame_pointer);
		break;
	case UNWIND_REGISTER:
		snprintf(text, size, "r%d%+d %s", rule->addend, rule->short_offset, frame_pointer);
		break;
	case UNWIND_PLT:
		snprintf(text, size, "plt%d %s", rule->offset, frame_pointer);
		break;
	default:
		snprintf(text, size, "%s",
			 rule->cfa == UNWIND_END      ? "end"
			 : rule->cfa == UNWIND_SIGNAL ? "signal"
						      : "unknown");
		break;
	}
}

static int stretch_print(void *context, uint64_t start, uint64_t end,
			 const struct unwind_rule *rule)
{
	struct text *text = context;
	char line[128];

	assert_int_equal(start, text->next);
	assert_true(end > start);
	text->next = end;
	rule_print(rule, line, sizeof(line));
	text->size += (size_t)snprintf(text->text + text->size, sizeof(text->text) - text->size,
				       "+%d %s\n", (int)(start - START), line);
	assert_true(text->size < sizeof(text->text));
	return 0;
}

/* The first function of a section as text, or "damaged". */
static const char *section_text(const struct made_cfi *made)
{
	static struct text text;
	struct cfi cfi = made_section(made);
	struct cfi_functions functions;

	assert_int_equal(cfi_list(&cfi, &functions), 0);
	assert_int_equal(functions.count + functions.damaged, 1);
	if (functions.damaged)
		return "damaged";
	assert_int_equal(functions.all[0].start, START);
	assert_int_equal(functions.all[0].end, START + LENGTH);
	text = (struct text){.next = START};
	if (cfi_read_function(&cfi, &functions.all[0], stretch_print, &text))
		snprintf(text.text, sizeof(text.text), "damaged");
	else
		assert_int_equal(text.next, START + LENGTH);
	free(functions.all);
	return text.text;
}

/* The text of a function with these instructions and a usual CIE. */
static const char *function_text(const uint8_t *code, size_t size)
{
	struct made_cfi made = {.size = 0};

	made_usual_common(&made);
	made_function(&made, START, LENGTH, code, size);
	return section_text(&made);
}

static void test_usual(void **state)
{
	/* push %rbp; mov %rsp,%rbp; push %rbx; …; pop; pop; ret; and a second way out */
	assert_string_equal(
		function_text(MADE(
			DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
			DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6, DW_CFA_advance_loc | 1,
			DW_CFA_offset | 3, 3, DW_CFA_advance_loc1, 0x40, DW_CFA_remember_state,
			DW_CFA_restore | 3, DW_CFA_restore | 6, DW_CFA_def_cfa, 7, 8,
			DW_CFA_advance_loc | 1, DW_CFA_restore_state, DW_CFA_nop, DW_CFA_nop)),
		"+0 sp+8 same\n+1 sp+16 cfa-2\n+4 fp+16 cfa-2\n+69 sp+8 same\n+70 fp+16 cfa-2\n");
	assert_string_equal(function_text(MADE(DW_CFA_nop)), "+0 sp+8 same\n");
	/* What changes and is then the same is one stretch. */
	assert_string_equal(function_text(MADE(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16,
					       DW_CFA_def_cfa_offset, 8, DW_CFA_advance_loc | 1,
					       DW_CFA_same_value, 6)),
			    "+0 sp+8 same\n");
	/* What holds at the start is said there. */
	assert_string_equal(
		function_text(MADE(DW_CFA_def_cfa_offset, 0x80, 1, DW_CFA_offset | 6, 2,
				   DW_CFA_advance_loc | 0, DW_CFA_def_cfa_offset, 0x88, 1)),
		"+0 sp+136 cfa-2\n");
}

static void test_moves(void **state)
{
	assert_string_equal(
		function_text(MADE(DW_CFA_advance_loc1, 0x10, DW_CFA_def_cfa_offset, 16,
				   DW_CFA_advance_loc2, 0x10, 0, DW_CFA_def_cfa_offset, 24,
				   DW_CFA_advance_loc4, 0x10, 0, 0, 0, DW_CFA_def_cfa_offset, 32,
				   DW_CFA_MIPS_advance_loc8, 0x10, 0, 0, 0, 0, 0, 0, 0,
				   DW_CFA_def_cfa_offset, 40)),
		"+0 sp+8 same\n+16 sp+16 same\n+32 sp+24 same\n+48 sp+32 same\n"
		"+64 sp+40 same\n");
	/* Behind the function's end nothing counts, nor may it lead out of it. */
	assert_string_equal(function_text(MADE(DW_CFA_advance_loc4, 0xff, 0xff, 0xff, 0xff,
					       DW_CFA_def_cfa_offset, 16, 0x3f)),
			    "+0 sp+8 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_MIPS_advance_loc8, 0xff, 0xff, 0xff, 0xff,
					       0xff, 0xff, 0xff, 0xff, DW_CFA_def_cfa_offset, 16)),
			    "+0 sp+8 same\n");
	assert_string_equal(
		function_text(MADE(DW_CFA_advance_loc1, 0xff, DW_CFA_def_cfa_offset, 16)),
		"+0 sp+8 same\n+255 sp+16 same\n");
}

/* Distances are in units that the CIE says; too many of them must not come round to few bytes. */
static void test_units(void **state)
{
	struct made_cfi made = {.size = 0};

	made_usual_common(&made);
	made_function(&made, START, LENGTH,
		      MADE(DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 16,
			   DW_CFA_MIPS_advance_loc8, 1, 0, 0, 0, 0, 0, 0, 0x40,
			   DW_CFA_def_cfa_offset, 24));
	made.bytes[MADE_FACTOR_AT] = 4;
	assert_string_equal(section_text(&made), "+0 sp+8 same\n+32 sp+16 same\n");
}

/* DW_CFA_set_loc has an address in the encoding of the CIE, here an absolute one. */
static void test_set_location(void **state)
{
	struct made_cfi made = {.size = 0};
	const uint8_t code[] = {DW_CFA_set_loc, 0x20, 0x20, 0, 0, DW_CFA_def_cfa_offset, 16};
	const uint8_t back[] = {DW_CFA_advance_loc | 8, DW_CFA_set_loc, 7, 0x20, 0, 0};

	made_common(&made, 1, "zR", MADE(DW_EH_PE_udata4), MADE(DW_CFA_nop));
	made_begin(&made, (uint32_t)made.size + 4);
	made_number(&made, START, 4);
	made_number(&made, LENGTH, 4);
	made_number(&made, 0, 1);
	made_bytes(&made, code, sizeof(code));
	made_end(&made);
	assert_string_equal(section_text(&made), "+0 sp+8 same\n+32 sp+16 same\n");
	made.size -= sizeof(code);
	made_bytes(&made, back, sizeof(back));
	made_end(&made);
	assert_string_equal(section_text(&made), "damaged");
}

static void test_cfa(void **state)
{
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 6, 0x90, 1)), "+0 fp+144 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_sf, 7, 0x7e)), "+0 sp+16 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_offset_sf, 0x7d)), "+0 sp+24 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_register, 10)), "+0 r10+8 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 15, 0)), "+0 r15+0 same\n");
	/* No general register; an offset of more than 16 or 32 bits; a number of more than 32. */
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 16, 0)), "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 11, 0x80, 0x80, 2)), "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 7, 0xff, 0xff, 0xff, 0xff, 0x0f)),
			    "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 0x87, 0x80, 0x80, 0x80, 0x10, 8)),
			    "+0 unknown\n");
}

static void test_frame_pointer(void **state)
{
	assert_string_equal(function_text(MADE(DW_CFA_offset_extended, 6, 3)), "+0 sp+8 cfa-3\n");
	assert_string_equal(function_text(MADE(DW_CFA_offset_extended_sf, 6, 0x7e)),
			    "+0 sp+8 cfa+2\n");
	assert_string_equal(function_text(MADE(DW_CFA_GNU_negative_offset_extended, 6, 2)),
			    "+0 sp+8 cfa+2\n");
	assert_string_equal(function_text(MADE(DW_CFA_undefined, 6)), "+0 sp+8 lost\n");
	assert_string_equal(function_text(MADE(DW_CFA_undefined, 6, DW_CFA_same_value, 6)),
			    "+0 sp+8 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_register, 6, 3)), "+0 sp+8 lost\n");
	assert_string_equal(function_text(MADE(DW_CFA_val_offset, 6, 3)), "+0 sp+8 lost\n");
	assert_string_equal(function_text(MADE(DW_CFA_val_offset_sf, 6, 0x7d)), "+0 sp+8 lost\n");
	assert_string_equal(function_text(MADE(DW_CFA_val_expression, 6, 2, DW_OP_breg6, 0)),
			    "+0 sp+8 lost\n");
	assert_string_equal(function_text(MADE(DW_CFA_expression, 6, 2, DW_OP_breg6, 0x70)),
			    "+0 sp+8 fp-2\n");
	assert_string_equal(function_text(MADE(DW_CFA_expression, 6, 2, DW_OP_breg6, 0x71)),
			    "+0 sp+8 lost\n");
	assert_string_equal(function_text(MADE(DW_CFA_expression, 6, 2, DW_OP_breg7, 0x70)),
			    "+0 sp+8 lost\n");
	assert_string_equal(
		function_text(MADE(DW_CFA_expression, 6, 3, DW_OP_breg6, 0, DW_OP_deref)),
		"+0 sp+8 lost\n");
	/* Saved too far away for the rule. */
	assert_string_equal(function_text(MADE(DW_CFA_offset | 6, 0x80, 0x80, 2)),
			    "+0 sp+8 cfa-32768\n");
	assert_string_equal(function_text(MADE(DW_CFA_offset | 6, 0x81, 0x80, 2)),
			    "+0 sp+8 lost\n");
	/* Other registers change nothing. */
	assert_string_equal(
		function_text(MADE(DW_CFA_offset | 3, 2, DW_CFA_advance_loc | 1, DW_CFA_offset | 12,
				   3, DW_CFA_expression, 13, 2, DW_OP_breg6, 0, DW_CFA_undefined, 1,
				   DW_CFA_val_expression, 2, 1, DW_OP_breg6)),
		"+0 sp+8 same\n");
}

/* DW_CFA_restore goes back to what the CIE says, here that the frame pointer is at CFA - 32. */
static void test_restore(void **state)
{
	struct made_cfi made = {.size = 0};

	made_common(&made, 1, "zR", MADE(DW_EH_PE_pcrel | DW_EH_PE_sdata4),
		    MADE(DW_CFA_offset | 6, 4));
	made_function(&made, START, LENGTH,
		      MADE(DW_CFA_offset | 6, 2, DW_CFA_advance_loc | 1, DW_CFA_restore | 6,
			   DW_CFA_advance_loc | 1, DW_CFA_undefined, 6, DW_CFA_advance_loc | 1,
			   DW_CFA_restore_extended, 6));
	assert_string_equal(section_text(&made),
			    "+0 sp+8 cfa-2\n+1 sp+8 cfa-4\n+2 sp+8 lost\n+3 sp+8 cfa-4\n");
}

static void test_return_address(void **state)
{
	assert_string_equal(function_text(MADE(DW_CFA_undefined, 16)), "+0 end\n");
	assert_string_equal(function_text(MADE(DW_CFA_offset | 16, 2)), "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_register, 16, 5)), "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_same_value, 16)), "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_register, 16, 5, DW_CFA_advance_loc | 4,
					       DW_CFA_restore | 16)),
			    "+0 unknown\n+4 sp+8 same\n");
}

static void test_expressions(void **state)
{
	/* GCC, of a function that aligns its stack, and assembler that has saved rsp. */
	assert_string_equal(
		function_text(MADE(DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref)),
		"+0 (fp-8)+0 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_expression, 6, DW_OP_breg7, 0x98, 1,
					       DW_OP_deref, DW_OP_plus_uconst, 8)),
			    "+0 (sp+152)+8 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_expression, 5, DW_OP_breg7, 8,
					       DW_OP_deref, DW_OP_lit16, DW_OP_plus)),
			    "+0 (sp+8)+16 same\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_expression, 2, DW_OP_breg7, 0x10)),
			    "+0 sp+16 same\n");
	/* As it is after one, an offset goes on from before it. */
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_offset, 24, DW_CFA_def_cfa_expression,
					       3, DW_OP_breg6, 0x78, DW_OP_deref,
					       DW_CFA_advance_loc | 1, DW_CFA_def_cfa_register, 7,
					       DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16)),
			    "+0 (fp-8)+0 same\n+1 sp+24 same\n+2 sp+16 same\n");
	/* Other registers, numbers that are too large, other operations, more of them. */
	assert_string_equal(
		function_text(MADE(DW_CFA_def_cfa_expression, 3, DW_OP_breg10, 0x78, DW_OP_deref)),
		"+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_expression, 5, DW_OP_breg7, 0x80,
					       0x80, 2, DW_OP_deref)),
			    "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_expression, 7, DW_OP_breg7, 0,
					       DW_OP_deref, DW_OP_plus_uconst, 0x80, 0x80, 2)),
			    "+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0,
					       DW_OP_deref, DW_OP_neg)),
			    "+0 unknown\n");
	assert_string_equal(
		function_text(MADE(DW_CFA_def_cfa_expression, 14, DW_OP_lit0, DW_OP_lit0,
				   DW_OP_lit0, DW_OP_lit0, DW_OP_lit0, DW_OP_lit0, DW_OP_lit0,
				   DW_OP_lit0, DW_OP_lit0, DW_OP_lit0, DW_OP_lit0, DW_OP_lit0,
				   DW_OP_lit0, DW_OP_lit0)),
		"+0 unknown\n");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_expression, 0)), "+0 unknown\n");
}

static void test_linkage_table(void **state)
{
	uint8_t code[] = {DW_CFA_def_cfa_expression,
			  11,
			  DW_OP_breg7,
			  8,
			  DW_OP_breg16,
			  0,
			  DW_OP_lit15,
			  DW_OP_and,
			  DW_OP_lit11,
			  DW_OP_ge,
			  DW_OP_lit3,
			  DW_OP_shl,
			  DW_OP_plus};

	assert_string_equal(function_text(code, sizeof(code)), "+0 plt11 same\n");
	code[8] = DW_OP_lit6;
	assert_string_equal(function_text(code, sizeof(code)), "+0 plt6 same\n");
	for (size_t i = 2; i < sizeof(code); i++) {
		uint8_t kept = code[i];

		code[i] = i == 3 || i == 5 ? 16 : DW_OP_nop;
		assert_string_equal(function_text(code, sizeof(code)), "+0 unknown\n");
		code[i] = kept;
	}
}

/* A signal's frame as the C library describes it: see uc_mcontext in <sys/ucontext.h>. */
static const char *signal_text(const uint8_t *code, size_t size)
{
	struct made_cfi made = {.size = 0};

	made_common(&made, 1, "zRS", MADE(DW_EH_PE_pcrel | DW_EH_PE_sdata4), MADE(DW_CFA_nop));
	made_function(&made, START, LENGTH, code, size);
	return section_text(&made);
}

static void test_signal(void **state)
{
	uint8_t code[] = {
		DW_CFA_def_cfa_expression, 4,  DW_OP_breg7, 0xa0,        1,    DW_OP_deref,
		DW_CFA_expression,         6,  3,           DW_OP_breg7, 0xf8, 0,
		DW_CFA_expression,         7,  3,           DW_OP_breg7, 0xa0, 1,
		DW_CFA_expression,         16, 3,           DW_OP_breg7, 0xa8, 1,
		DW_CFA_expression,         0,  3,           DW_OP_breg7, 0x90, 1,
	};
	const size_t offsets[] = {3, 10, 16, 22};
	uint8_t added[sizeof(code) + 2];

	assert_string_equal(signal_text(code, sizeof(code)), "+0 signal\n");
	assert_string_equal(function_text(code, sizeof(code)), "+0 unknown\n");
	assert_string_equal(signal_text(MADE(DW_CFA_nop)), "+0 unknown\n");
	memcpy(added, code, 6);
	added[1] += 2;
	added[6] = DW_OP_plus_uconst;
	added[7] = 8;
	memcpy(added + 8, code + 6, sizeof(code) - 6);
	assert_string_equal(signal_text(added, sizeof(added)), "+0 unknown\n");
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		code[offsets[i]] ^= 0x10;
		assert_string_equal(signal_text(code, sizeof(code)), "+0 unknown\n");
		code[offsets[i]] ^= 0x10;
	}
}

static void test_states(void **state)
{
	uint8_t code[64];

	/* Eight may be remembered at a time, nine not, and none given back that was not. */
	memset(code, DW_CFA_remember_state, sizeof(code));
	assert_string_equal(function_text(code, 8), "+0 sp+8 same\n");
	assert_string_equal(function_text(code, 9), "damaged");
	memset(code + 8, DW_CFA_restore_state, 8);
	assert_string_equal(function_text(code, 16), "+0 sp+8 same\n");
	code[16] = DW_CFA_restore_state;
	assert_string_equal(function_text(code, 17), "damaged");
	assert_string_equal(function_text(MADE(DW_CFA_restore_state)), "damaged");
}

static void test_instructions(void **state)
{
	assert_string_equal(
		function_text(MADE(DW_CFA_GNU_args_size, 0x80, 1, DW_CFA_def_cfa_offset, 16)),
		"+0 sp+16 same\n");
	assert_string_equal(function_text(MADE(0x3f)), "damaged");
	assert_string_equal(function_text(MADE(DW_CFA_GNU_window_save)), "damaged");
	/* Operands that are cut off. */
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 7)), "damaged");
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa, 7, 0x80)), "damaged");
	assert_string_equal(function_text(MADE(DW_CFA_advance_loc4, 1, 0, 0)), "damaged");
	assert_string_equal(function_text(MADE(DW_CFA_expression, 6, 3, DW_OP_breg6, 0)),
			    "damaged");
	assert_string_equal(
		function_text(MADE(DW_CFA_def_cfa_expression, 0xff, 0xff, 0xff, 0xff, 0x7f)),
		"damaged");
	/* Zeros in front do not change a number, however many. */
	assert_string_equal(function_text(MADE(DW_CFA_def_cfa_offset, 0x90, 0x80, 0x80, 0x80, 0x80,
					       0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0)),
			    "+0 sp+16 same\n");
}

/* The text of a function whose addresses are stored in a way. */
static const char *encoding_text(uint8_t encoding, size_t size)
{
	struct made_cfi made = {.size = 0};
	bool relative = (encoding & 0xf0) == DW_EH_PE_pcrel;

	made_common(&made, 1, "zR", &encoding, 1, MADE(DW_CFA_nop));
	made_begin(&made, (uint32_t)made.size + 4);
	made_number(&made, START - (relative ? MADE_ADDRESS + made.size : 0), size);
	made_number(&made, LENGTH, size);
	made_number(&made, 3, 1); /* augmentation data: to be passed over */
	made_number(&made, 0xffffff, 3);
	made_bytes(&made, MADE(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16));
	made_end(&made);
	return section_text(&made);
}

static void test_encodings(void **state)
{
	const char *expected = "+0 sp+8 same\n+1 sp+16 same\n";

	assert_string_equal(encoding_text(DW_EH_PE_absptr, 8), expected);
	assert_string_equal(encoding_text(DW_EH_PE_udata2, 2), expected);
	assert_string_equal(encoding_text(DW_EH_PE_udata4, 4), expected);
	assert_string_equal(encoding_text(DW_EH_PE_udata8, 8), expected);
	assert_string_equal(encoding_text(DW_EH_PE_sdata2, 2), expected);
	assert_string_equal(encoding_text(DW_EH_PE_sdata4, 4), expected);
	assert_string_equal(encoding_text(DW_EH_PE_sdata8, 8), expected);
	assert_string_equal(encoding_text(DW_EH_PE_pcrel | DW_EH_PE_absptr, 8), expected);
	assert_string_equal(encoding_text(DW_EH_PE_pcrel | DW_EH_PE_sdata4, 4), expected);
	assert_string_equal(encoding_text(DW_EH_PE_pcrel | DW_EH_PE_sdata8, 8), expected);
	assert_string_equal(encoding_text(DW_EH_PE_datarel | DW_EH_PE_sdata4, 4), "damaged");
	assert_string_equal(encoding_text(DW_EH_PE_textrel | DW_EH_PE_sdata4, 4), "damaged");
	assert_string_equal(encoding_text(DW_EH_PE_indirect | DW_EH_PE_sdata4, 4), "damaged");
	assert_string_equal(encoding_text(DW_EH_PE_uleb128, 4), "damaged");
	assert_string_equal(encoding_text(DW_EH_PE_omit, 4), "damaged");
	assert_string_equal(encoding_text(0x05, 4), "damaged");
}

/* The text of a function whose CIE has that augmentation. */
static const char *augmentation_text(uint8_t version, const char *letters, const uint8_t *data,
				     size_t size)
{
	struct made_cfi made = {.size = 0};

	made_common(&made, version, letters, data, size, MADE(DW_CFA_nop));
	made_function(&made, START, LENGTH,
		      MADE(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16));
	return section_text(&made);
}

static void test_augmentations(void **state)
{
	const char *expected = "+0 sp+8 same\n+1 sp+16 same\n";
	const uint8_t personality[] = {DW_EH_PE_indirect | DW_EH_PE_pcrel | DW_EH_PE_sdata4,
				       1,
				       2,
				       3,
				       4,
				       DW_EH_PE_pcrel | DW_EH_PE_sdata4,
				       DW_EH_PE_pcrel | DW_EH_PE_sdata4};

	assert_string_equal(augmentation_text(1, "zPLR", personality, sizeof(personality)),
			    expected);
	assert_string_equal(augmentation_text(3, "zPLR", personality, sizeof(personality)),
			    expected);
	assert_string_equal(augmentation_text(1, "zRB", MADE(0x1b)), expected);
	/* A letter that is not known: what comes behind is passed over. */
	assert_string_equal(augmentation_text(1, "zRX", MADE(0x1b, 1, 2, 3)), expected);
	assert_string_equal(augmentation_text(1, "zPLR", MADE(0x1b, 1, 2)), "damaged");
	assert_string_equal(augmentation_text(1, "R", MADE(0)), "damaged");
	assert_string_equal(augmentation_text(1, "eh", MADE(0)), "damaged");
	assert_string_equal(augmentation_text(2, "zR", MADE(0x1b)), "damaged");
	assert_string_equal(augmentation_text(4, "zR", MADE(0x1b)), "damaged");
}

/* Without augmentation: absolute addresses of 8 bytes, and nothing before the instructions. */
static void test_plain(void **state)
{
	struct made_cfi made = {.size = 0};

	made_common(&made, 1, "", NULL, 0, MADE(DW_CFA_nop));
	made_begin(&made, (uint32_t)made.size + 4);
	made_number(&made, START, 8);
	made_number(&made, LENGTH, 8);
	made_bytes(&made, MADE(DW_CFA_def_cfa_offset, 16));
	made_end(&made);
	assert_string_equal(section_text(&made), "+0 sp+16 same\n");
}

/* CIEs that are not for this machine, or do more than describe how a function begins. */
static void test_common(void **state)
{
	const uint8_t encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4;
	struct made_cfi made = {.size = 0};
	uint8_t filler[256] = {DW_CFA_nop};

	made_common(&made, 1, "zR", &encoding, 1, MADE(DW_CFA_advance_loc | 1));
	made_function(&made, START, LENGTH, MADE(DW_CFA_nop));
	assert_string_equal(section_text(&made), "damaged");

	made.size = 0;
	made_common(&made, 1, "zR", &encoding, 1, MADE(DW_CFA_remember_state));
	made_function(&made, START, LENGTH, MADE(DW_CFA_nop));
	assert_string_equal(section_text(&made), "damaged");

	made.size = 0;
	made_common(&made, 1, "zR", &encoding, 1, filler, sizeof(filler));
	made_function(&made, START, LENGTH, MADE(DW_CFA_nop));
	assert_string_equal(section_text(&made), "damaged");

	made.size = 0;
	made_usual_common(&made);
	made_function(&made, START, LENGTH, MADE(DW_CFA_nop));
	assert_string_equal(section_text(&made), "+0 sp+8 same\n");
	made.bytes[MADE_COLUMN_AT] = 30;
	assert_string_equal(section_text(&made), "damaged");
	made.bytes[MADE_COLUMN_AT] = 7;
	assert_string_equal(section_text(&made), "damaged");
}

/* Entries of both forms of length, with an entry of no length between them. */
static void test_list(void **state)
{
	struct made_cfi made = {.size = 0};
	struct cfi_functions functions;
	struct cfi cfi;
	size_t first;

	made_usual_common(&made);
	made_function(&made, 0x5000, 0x10, MADE(DW_CFA_nop));
	first = made.entry;
	made_number(&made, 0, 4);
	made_number(&made, UINT32_MAX, 4);
	made_number(&made, 4 + 4 + 4 + 1 + 2, 8);
	made_number(&made, made.size - made.common, 4);
	made_number(&made, 0x3000 - (MADE_ADDRESS + made.size), 4);
	made_number(&made, 0x20, 4);
	made_number(&made, 0, 1);
	made_bytes(&made, MADE(DW_CFA_def_cfa_offset, 24));
	made_function(&made, 0x3000, 0, MADE(DW_CFA_nop));
	made_begin(&made, (uint32_t)(made.size + 4 - made.common));
	made_bytes(&made, MADE(0, 0, 0, 0, 8, 0, 0, 0, 0)); /* code that the linker dropped */
	made_end(&made);
	made_function(&made, 0x1000, 0x1000, MADE(DW_CFA_nop));
	cfi = made_section(&made);

	assert_int_equal(cfi_list(&cfi, &functions), 0);
	assert_int_equal(functions.count, 3);
	assert_int_equal(functions.damaged, 0);
	assert_int_equal(functions.all[0].start, 0x1000);
	assert_int_equal(functions.all[0].end, 0x2000);
	assert_int_equal(functions.all[1].start, 0x3000);
	assert_int_equal(functions.all[1].end, 0x3020);
	assert_int_equal(functions.all[2].start, 0x5000);
	assert_int_equal(functions.all[2].entry, first);
	assert_int_equal(functions.all[2].parameter, made.common);
	free(functions.all);
}

static int stretch_count(void *context, uint64_t start, uint64_t end,
			 const struct unwind_rule *rule)
{
	++*(int *)context;
	return 7;
}

static void test_callee(void **state)
{
	struct made_cfi made = {.size = 0};
	struct cfi_function function;
	struct cfi cfi;
	int count = 0;

	made_usual_common(&made);
	made_function(&made, START, LENGTH,
		      MADE(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16));
	cfi = made_section(&made);
	assert_int_equal(cfi_function_at(&cfi, made.entry, &function), 0);
	assert_int_equal(function.start, START);
	assert_int_equal(function.end, START + LENGTH);
	assert_int_equal(cfi_read_function(&cfi, &function, stretch_count, &count), 7);
	assert_int_equal(count, 1);
	assert_int_equal(cfi_function_at(&cfi, made.common, &function), -EINVAL);
	assert_int_equal(cfi_function_at(&cfi, made.size, &function), -EINVAL);
	function.entry = made.size + 1;
	assert_int_equal(cfi_read_function(&cfi, &function, stretch_count, &count), -EINVAL);
}

/* Cut off anywhere, and with each byte changed: nothing may crash or report nonsense. */
static void test_damaged(void **state)
{
	struct made_cfi made = {.size = 0};

	made_usual_common(&made);
	made_function(&made, START, LENGTH,
		      MADE(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16));
	made_function(&made, START * 2, LENGTH,
		      MADE(DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref));
	for (size_t i = 0; i < made.size * 256; i++) {
		/* In memory of its very size, so that reading behind it is noticed. */
		size_t size = i < made.size ? i : made.size;
		uint8_t *bytes = malloc(size ? size : 1);
		struct cfi cfi = {.bytes = bytes, .size = size, .address = MADE_ADDRESS};
		struct cfi_functions functions;

		assert_non_null(bytes);
		memcpy(bytes, made.bytes, size);
		if (i >= made.size)
			bytes[i / 256] = (uint8_t)i;
		assert_int_equal(cfi_list(&cfi, &functions), 0);
		assert_true(functions.count <= 2);
		for (size_t j = 0; j < functions.count; j++) {
			int count = 0;

			assert_true(functions.all[j].start < functions.all[j].end);
			cfi_read_function(&cfi, &functions.all[j], stretch_count, &count);
		}
		free(functions.all);
		free(bytes);
	}
}

/*
 * A function that a compiler would have split: `two_parts` jumps to `second_part`, which lies
 * elsewhere and has call frame information of its own. It also ends in `another`, which is a
 * function, and has bytes that look like a jump into `no_part`, in which the stack is another.
 */
__asm__(".pushsection .text.parts, \"ax\", @progbits\n"
	".globl two_parts, second_part, another, no_part\n"
	".type two_parts, @function\n"
	"two_parts:\n"
	"	.cfi_startproc\n"
	"	push %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	sub $16, %rsp\n"
	"	.cfi_def_cfa_offset 32\n"
	"	test %edi, %edi\n"
	"	.byte 0x0f, 0x85\n" /* jne second_part + 1 */
	"	.long second_part + 1 - (. + 4)\n"
	"	.byte 0x0f, 0x84\n" /* je second_part */
	"	.long second_part - (. + 4)\n"
	"	mov $0x000000e9, %eax\n"
	"	.byte 0xe9\n" /* jmp no_part */
	"	.long no_part - (. + 4)\n"
	"	add $16, %rsp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	pop %rbp\n"
	"	.cfi_def_cfa_offset 8\n"
	"	.cfi_restore %rbp\n"
	"	.byte 0xe9\n" /* jmp another */
	"	.long another - (. + 4)\n"
	"	.cfi_endproc\n"
	"	.size two_parts, . - two_parts\n"
	"	.skip 64, 0xcc\n"
	"second_part:\n"
	"	.cfi_startproc\n"
	"	.cfi_def_cfa_offset 32\n"
	"	.cfi_offset %rbp, -16\n"
	"	nop\n"
	"	nop\n"
	"	add $16, %rsp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	pop %rbp\n"
	"	.cfi_def_cfa_offset 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.skip 64, 0xcc\n"
	"another:\n"
	"	.cfi_startproc\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.skip 64, 0xcc\n"
	"no_part:\n"
	"	.cfi_startproc\n"
	"	.cfi_def_cfa_offset 48\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".popsection\n");

static uint64_t value_of(const struct elf_file *file, const char *name)
{
	struct elf_symbol symbol;

	assert_int_equal(elf_symbol_find(file, name, ELF_ALL_SYMBOLS, &symbol), 0);
	return symbol.value;
}

static void test_file(void **state)
{
	struct cfi_function parts[4];
	struct elf_symbol symbol;
	struct elf_file file;
	uint64_t start, end, second;

	assert_int_equal(elf_file_open("/proc/self/exe", &file), 0);
	assert_int_equal(elf_symbol_find(&file, "two_parts", ELF_ALL_SYMBOLS, &symbol), 0);
	second = value_of(&file, "second_part");
	assert_int_equal(cfi_find_in_file(&file, symbol.value, &start, &end), 0);
	assert_int_equal(start, symbol.value);
	assert_int_equal(end, symbol.value + symbol.size);
	assert_int_equal(cfi_find_in_file(&file, end - 1, &start, &end), 0);
	assert_int_equal(start, symbol.value);
	assert_int_equal(cfi_find_in_file(&file, end, &start, &end), -ENOENT);
	assert_int_equal(cfi_find_in_file(&file, 0, &start, &end), -ENOENT);
	assert_int_equal(cfi_find_in_file(&file, UINT64_MAX, &start, &end), -ENOENT);

	assert_int_equal(cfi_find_parts(&file, start, end, parts, 4), 1);
	assert_int_equal(parts[0].start, second);
	assert_int_equal(cfi_find_in_file(&file, second, &start, &end), 0);
	assert_int_equal(parts[0].end, end);
	assert_int_equal(cfi_find_parts(&file, symbol.value, symbol.value + symbol.size, parts, 0),
			 0);
	assert_int_equal(cfi_find_parts(&file, value_of(&file, "another"),
					value_of(&file, "another") + 1, parts, 4),
			 0);
	assert_int_equal(cfi_find_parts(&file, symbol.value, symbol.value, parts, 4), -EINVAL);
	assert_true(cfi_find_parts(&file, symbol.value, UINT64_MAX, parts, 4) < 0);
	assert_true(cfi_find_parts(&file, 0, 16, parts, 4) < 0);
	elf_file_close(&file);
}

/* What is found through the index is what the section holds. */
static void test_index(void **state)
{
	uint64_t value, offset, size, start, end;
	struct cfi_functions functions;
	struct elf_file file;
	struct cfi cfi;
	uint8_t *bytes;

	assert_int_equal(elf_file_open("/proc/self/exe", &file), 0);
	assert_int_equal(cfi_find_section(&file, &value, &offset, &size), 0);
	bytes = malloc(size);
	assert_non_null(bytes);
	assert_int_equal(elf_read(&file, offset, bytes, size), 0);
	cfi = (struct cfi){.bytes = bytes, .size = size, .address = value};
	assert_int_equal(cfi_list(&cfi, &functions), 0);
	assert_int_equal(functions.damaged, 0);
	assert_true(functions.count > 20);
	for (size_t i = 0; i < functions.count; i++) {
		uint64_t last = functions.all[i].end - 1;

		assert_int_equal(cfi_find_in_file(&file, last, &start, &end), 0);
		assert_int_equal(start, functions.all[i].start);
		assert_int_equal(end, functions.all[i].end);
	}
	free(functions.all);
	free(bytes);
	elf_file_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),         cmocka_unit_test(test_moves),
		cmocka_unit_test(test_units),         cmocka_unit_test(test_set_location),
		cmocka_unit_test(test_cfa),           cmocka_unit_test(test_frame_pointer),
		cmocka_unit_test(test_restore),       cmocka_unit_test(test_return_address),
		cmocka_unit_test(test_expressions),   cmocka_unit_test(test_linkage_table),
		cmocka_unit_test(test_signal),        cmocka_unit_test(test_states),
		cmocka_unit_test(test_instructions),  cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_augmentations), cmocka_unit_test(test_plain),
		cmocka_unit_test(test_common),        cmocka_unit_test(test_list),
		cmocka_unit_test(test_callee),        cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_file),          cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
