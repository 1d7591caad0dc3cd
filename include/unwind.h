/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the unwind tables that user space prepares from .eh_frame and the BPF programs search: one
 * table per file, and a list of what a process has mapped where. Leaves making tables to
 * user/native/unwind_table.c, walking with them to bpf/native.bpf.h.
 *
 * A table is a sequence of 32-bit words, cut into blocks, a block being what one look-up in a BPF
 * map gives:
 *
 *	header | pages | rules | rows
 *
 * A page is 64 KiB of the file's virtual addresses; its word is the index of its first row, and one
 * more word closes the last page. A row is the 16 low bits of the address from which a rule holds
 * on, above the 16 bits of that rule's index; rows ascend within a page, and each page that has any
 * begins with one at 0. The rule of an address is that of the last row at or below it; without one
 * it is UNWIND_UNKNOWN. A rule is two words, struct unwind_rule.
 */
#ifndef PYEBPF_UNWIND_H
#define PYEBPF_UNWIND_H

#include <linux/types.h>

#define UNWIND_BLOCK_WORDS 128
#define UNWIND_PAGE_BITS   16
#define UNWIND_RULES_MAX   65536
#define UNWIND_CHUNKS_MAX  4096

struct unwind_block {
	__u32 words[UNWIND_BLOCK_WORDS];
};

/* The first words of a table. */
struct unwind_header {
	__u32 first_page; /* virtual address >> UNWIND_PAGE_BITS */
	__u32 page_count;
	__u32 rules_at; /* index of a word */
	__u32 rows_at;
};

/*
 * How to get from a frame to its caller. The canonical frame address (CFA) is the caller's stack
 * pointer. The return address lies right below it on x86-64.
 */
enum unwind_cfa {
	UNWIND_UNKNOWN,   /* no information, or of a kind that is not kept */
	UNWIND_END,       /* the outermost frame */
	UNWIND_SP,        /* CFA = stack pointer + offset */
	UNWIND_FP,        /* CFA = frame pointer + offset */
	UNWIND_SP_LOADED, /* CFA = word at (stack pointer + short_offset) + addend */
	UNWIND_FP_LOADED, /* CFA = word at (frame pointer + short_offset) + addend */
	UNWIND_REGISTER,  /* CFA = register `addend`, by its DWARF number, + short_offset: innermost
			   * frame only, the callers' registers are not followed */
	UNWIND_SP_RETURN, /* CFA = stack pointer + short_offset, and the return address is in
			   * register `addend`: innermost frame only */
	UNWIND_PLT,       /* CFA = stack pointer + 8, and 8 more from byte `offset` of each 16 on */
	UNWIND_SIGNAL,    /* a signal's frame, in which the kernel has put all registers */
};

enum unwind_frame_pointer {
	FRAME_POINTER_SAME,
	FRAME_POINTER_CFA, /* saved at CFA + 8 * frame_pointer_at */
	FRAME_POINTER_FP,  /* saved at the frame pointer + 8 * frame_pointer_at */
	FRAME_POINTER_LOST,
};

struct unwind_rule {
	__u8 cfa;           /* enum unwind_cfa */
	__u8 frame_pointer; /* enum unwind_frame_pointer */
	__s16 frame_pointer_at;
	union {
		__s32 offset; /* bytes */
		struct {
			__s16 short_offset;
			__s16 addend;
		};
	};
};

/*
 * Blocks are kept in chunks: BPF arrays of as many blocks as are needed, each of which holds the
 * tables of several files or the lists of several processes, since making a chunk known takes the
 * kernel milliseconds. Chunk 0 is never used.
 */
struct unwind_place {
	__u32 chunk; /* 0: nowhere (yet) */
	__u32 block; /* the first one */
};

/*
 * One executable range of a process. Ranges ascend. A list of them fills blocks as tables do,
 * UNWIND_RANGES_PER_BLOCK in each.
 */
struct unwind_range {
	__u64 start;
	__u64 end;
	__u64 bias;  /* address - virtual address */
	__u16 file;  /* 0: none, as of memory that code was generated into */
	__u16 chunk; /* of the file's table, see struct unwind_place */
	__u32 block;
};

#define UNWIND_RANGES_PER_BLOCK 16
#define UNWIND_RANGES_MAX       4096

/* What is known of a process' memory, in the map `address_spaces`. */
struct address_space {
	struct unwind_place ranges;
	__u32 range_count;
	__u32 pad;
	__u64 executable_pages; /* mm->exec_vm when a RECORD_MAPPINGS was last sent */
	/*
	 * Of the interpreter's loop, from 3.11 on, once a walk has passed it; see bpf/native.bpf.h.
	 */
	__u32 loop_cfa_at;           /* CFA - address of the joint; 0: not known yet */
	__s32 loop_frame_pointer_at; /* see struct unwind_rule */
};

/*
 * A native frame of a sample: an address and the number of the file whose virtual address it is,
 * or 0 with an address of the process. It is of the instruction that is run, or of the last byte
 * of the call that has not returned.
 */
#define NATIVE_ADDRESS_BITS 47
#define NATIVE_ADDRESS_MASK ((1ULL << NATIVE_ADDRESS_BITS) - 1)
#define NATIVE_FILE_MASK    0xffffULL
#define NATIVE_INTERPRETER \
	(1ULL << 63) /* it runs the next of the sample's Python frames, up to \
					  * one that is flagged PYTHON_FRAME_ENTRY */

#endif
