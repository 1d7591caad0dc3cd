/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the files with native code that recorded processes have mapped. A file is kept once, however
 * many processes map it under whatever name: by its build-id, or where it has none by its inode. It
 * is held open, so that it can be read after it was deleted or its process has ended. Leaves tables
 * to unwind_table.h, names to symbols.h.
 */
#ifndef PYEBPF_MODULES_H
#define PYEBPF_MODULES_H

#include <stdint.h>

#include "native/elf.h"
#include "native/source_lines.h"
#include "native/symbols.h"
#include "target/maps.h"
#include "target/process.h"
#include "unwind.h"

#define MODULES_MAX 65535

struct module_names; /* symbols and lines, read at their first use; private to modules.c */

struct module {
	uint16_t number; /* struct unwind_range.file */
	struct elf_file elf;
	char *path;                /* as the process that mapped it first sees it; valid UTF-8 */
	char *build_id;            /* in hexadecimal, "" if it has none */
	uint64_t source_bytes;     /* of its .eh_frame */
	struct unwind_place place; /* of its table, see include/unwind.h */
	bool runtime;              /* the C library or its loader, which everything uses */
	bool table_tried;          /* it was made, or there is nothing to make it of */
	struct module_names *names;
};

struct modules;

struct modules *modules_new(void); /* NULL: no memory */
void modules_free(struct modules *modules);

/*
 * Finds or adds the file of an executable mapping, the vDSO included. Returns 0, -ENOENT: it is
 * none that can be opened as an ELF file, -E2BIG or -ENOMEM.
 */
int modules_take(struct modules *modules, const struct process *process,
		 const struct mapping *mapping, struct module **module);

/* By number; NULL: there is none. */
struct module *modules_find(const struct modules *modules, uint16_t number);
uint32_t modules_count(const struct modules *modules); /* numbers are 1 to this */

/* What an address of a module is called. Strings live as long as the module. */
struct module_place {
	const char *name;   /* NULL: no symbol */
	uint64_t start;     /* of the function; of `address` itself where that is not known */
	const char *source; /* with lines asked for, where they are known; else NULL */
	int32_t line;
};

/* Returns 0 or -ENOMEM. `lines`: with source lines. */
int module_name(struct module *module, uint64_t address, bool lines, struct module_place *place);

#endif
