/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading the functions out of an ELF file's symbol tables (System V ABI, chapter 4), as they
 * stand there. Leaves which of them a name is taken from to symbols.c.
 */
#ifndef PYEBPF_SYMBOL_TABLE_H
#define PYEBPF_SYMBOL_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "native/elf.h"

/* What speaks against a symbol as the name of a place, the heavier the worse. */
enum symbol_flaw {
	SYMBOL_LOCAL = 1,
	SYMBOL_UNTYPED = 2,  /* a label: assembly may give its functions no type */
	SYMBOL_SIZELESS = 4, /* `size` then reaches to the end of its section */
};

struct function {
	uint64_t start; /* virtual address */
	uint32_t size;  /* bytes, > 0, within its section; a larger one is cut */
	uint32_t name;  /* offset in the names */
	uint32_t around;
	uint32_t flaws : 3;  /* enum symbol_flaw */
	uint32_t shown : 29; /* `around` and `shown` are symbols.c's */
};

struct symbol_table {
	struct function *all;
	size_t count;
	size_t capacity;
	char *names; /* string tables one behind the other, each with a NUL at its end */
	size_t names_size;
};

/*
 * Adds the functions of a file's .symtab and .dynsym; *table starts zeroed and owns memory, freed
 * through ->all and ->names. Returns 0, also if there are none, -EINVAL if all tables are damaged,
 * or -ENOMEM.
 */
int symbol_table_add(struct symbol_table *table, const struct elf_file *file);

#endif
