/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading call frame information (.eh_frame: LSB core specification 5.0, chapter 10.6; DWARF 5,
 * chapter 6.4): its functions, and the unwind rule at each of their addresses. The bytes are not
 * trusted. What the rules of the architecture are is in cfi_x86.c; another architecture is another
 * such file. Leaves tables to unwind_table.h.
 */
#ifndef PYEBPF_CFI_H
#define PYEBPF_CFI_H

#include <stddef.h>
#include <stdint.h>

#include "native/elf.h"
#include "unwind.h"

/* A function, or a part of one, that has call frame information of its own (an FDE). */
struct cfi_function {
	uint64_t start; /* virtual addresses: start <= address < end */
	uint64_t end;
	uint64_t entry;     /* offset of the FDE in the section, bytes */
	uint64_t parameter; /* offset of its CIE */
};

struct cfi_functions {
	struct cfi_function *all; /* by ascending start; they may overlap in a damaged file */
	size_t count;
	uint64_t damaged; /* entries that were left out */
};

/* An .eh_frame section. Does not own the bytes. */
struct cfi {
	const uint8_t *bytes;
	size_t size;
	uint64_t address; /* virtual address of bytes[0] */
};

/* Lists the functions. *functions owns memory, free()d through ->all. Returns 0 or -ENOMEM. */
int cfi_list(const struct cfi *cfi, struct cfi_functions *functions);

/* Reads the bounds of the function whose FDE begins at an offset. Returns 0 or -EINVAL. */
int cfi_function_at(const struct cfi *cfi, size_t entry, struct cfi_function *function);

/*
 * Called for each stretch of addresses with one rule, ascending, without gaps, from the function's
 * start to its end. Anything but 0 ends the reading and is returned.
 */
typedef int cfi_stretch(void *context, uint64_t start, uint64_t end,
			const struct unwind_rule *rule);

/* Reads one function. Returns 0, -EINVAL: damaged, or what the callee returned. */
int cfi_read_function(const struct cfi *cfi, const struct cfi_function *function,
		      cfi_stretch *stretch, void *context);

/*
 * Finds a file's .eh_frame, by its name or, where section headers were stripped, by the index that
 * PT_GNU_EH_FRAME points to: then from its start to the end of the last function that the index
 * knows. Returns 0, -ENOENT: it has none, or -EINVAL.
 */
int cfi_find_section(const struct elf_file *file, uint64_t *value, uint64_t *offset,
		     uint64_t *size);

/*
 * Finds the function that holds a virtual address, in a file's index (.eh_frame_hdr), which is
 * read where it is needed and not as a whole. Returns 0, -ENOENT or -EINVAL. Not for speed.
 */
int cfi_find_in_file(const struct elf_file *file, uint64_t address, uint64_t *start, uint64_t *end);

/*
 * Finds the parts of the function [start, end) that the compiler has put elsewhere (`.cold`), in
 * files without symbols too: a part is a function by its call frame information which does not
 * begin as functions do, and into which the function jumps. Stores at most `room` of them and
 * returns how many, or -errno.
 */
int cfi_find_parts(const struct elf_file *file, uint64_t start, uint64_t end,
		   struct cfi_function *parts, size_t room);

#endif
