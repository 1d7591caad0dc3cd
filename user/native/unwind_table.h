/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns making unwind tables, in the form that include/unwind.h describes, from the call frame
 * information of a file. The file is not trusted: what is damaged is left out and counted, and
 * neither time nor memory can grow faster than the file. Leaves reading .eh_frame to cfi.h, loading
 * tables into the kernel to user/capture.
 */
#ifndef PYEBPF_UNWIND_TABLE_H
#define PYEBPF_UNWIND_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "native/elf.h"
#include "unwind.h"

struct unwind_table {
	struct unwind_block *blocks;
	uint32_t block_count;
	uint32_t row_count;
	uint32_t rule_count;
	uint64_t source_bytes; /* of .eh_frame */
	uint64_t damaged;      /* functions left out: their information is not valid or not kept */
};

/*
 * Makes a table from the bytes of an .eh_frame section that lies at virtual address `address`. On
 * success *table owns memory, to be released by unwind_table_free(); without any valid function it
 * has no rows. Returns 0, -E2BIG (it needs more rules than the form can hold, or its addresses lie
 * farther apart than 2 GiB or than a section of its size accounts for) or -ENOMEM.
 */
int unwind_table_make(const uint8_t *bytes, size_t size, uint64_t address,
		      struct unwind_table *table);

/*
 * The same from a file's .eh_frame, found by its section or, where section headers were stripped,
 * by PT_GNU_EH_FRAME. Errors: -ENOENT it has none, -EINVAL damaged, and those above.
 */
int unwind_table_make_file(const struct elf_file *file, struct unwind_table *table);

void unwind_table_free(struct unwind_table *table);

/* The rule at a virtual address, found as the kernel side does. UNWIND_UNKNOWN where there is none. */
void unwind_table_find(const struct unwind_table *table, uint64_t address,
		       struct unwind_rule *rule);

#endif
