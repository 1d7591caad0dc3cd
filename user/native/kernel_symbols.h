/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the names of the kernel's functions by address, from /proc/kallsyms. */
#ifndef PYEBPF_KERNEL_SYMBOLS_H
#define PYEBPF_KERNEL_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct kernel_symbol {
	uint64_t address;
	uint32_t name;   /* offset into kernel_symbols.text */
	uint32_t module; /* the same; 0: the kernel itself */
};

struct kernel_symbols {
	struct kernel_symbol *symbols; /* by address */
	size_t count;
	char *text;
};

/*
 * Reads all functions from `path` (/proc/kallsyms). Returns 0; -EPERM: addresses are hidden
 * (kernel.kptr_restrict), -ENOMEM, or -errno of the file. To be released by kernel_symbols_free().
 */
int kernel_symbols_read(const char *path, struct kernel_symbols *symbols);
void kernel_symbols_free(struct kernel_symbols *symbols);

/* The function that an address lies in; NULL: below the first. *module is "" for the kernel. */
const char *kernel_symbols_find(const struct kernel_symbols *symbols, uint64_t address,
				const char **module);

#endif
