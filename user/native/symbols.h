/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the names of a file's functions: .symtab and .dynsym, those of its separate debug file, all
 * demangled. Files are not trusted. Leaves addresses in processes to others: all here are virtual
 * addresses of the file.
 */
#ifndef PYEBPF_SYMBOLS_H
#define PYEBPF_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "native/elf.h"

struct symbols;

/*
 * Reads the function symbols of a file, and of its debug file if there is one below one of
 * `debug_roots` (NULL-terminated; each is a directory like /usr/lib/debug, to which
 * .build-id/xx/yyyy.debug is added, perhaps by way of /proc/PID/root), or else of what it carries
 * itself: see debug_file.h. A debug file of another build-id is not used. *symbols is to be freed
 * by symbols_free(); a file without any gives an empty one. Does not keep `file`. Returns 0,
 * -EINVAL: damaged beyond use, or -ENOMEM.
 */
int symbols_read(const struct elf_file *file, const char *const debug_roots[],
		 struct symbols **symbols);
void symbols_free(struct symbols *symbols);

struct symbol_place {
	const char *name; /* demangled, valid UTF-8, as long as the symbols live */
	uint64_t start;   /* of the function */
	uint64_t end;
};

/*
 * Finds the function that holds `address`, the innermost if several do. Of several names at one
 * place the best: a function's before a label's, a global one before a local one, the shorter one,
 * then in the order of the alphabet. A symbol without a size reaches to the next one of its section,
 * and does not divide a function that has one. Returns 0, -ENOENT or -ENOMEM.
 */
int symbols_find(struct symbols *symbols, uint64_t address, struct symbol_place *place);

size_t symbols_count(const struct symbols *symbols);

/*
 * Demangles a C++ or Rust name, see demangle.h; malloc'd and valid UTF-8. Others are copied. NULL:
 * no memory.
 */
char *symbol_demangle(const char *name);

#endif
