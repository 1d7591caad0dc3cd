/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the source lines of native code, from a file's DWARF line tables or those of its separate
 * debug file, by libdw. Only for --native-lines: reading them costs time and memory.
 */
#ifndef PYEBPF_SOURCE_LINES_H
#define PYEBPF_SOURCE_LINES_H

#include <stdint.h>

#include "native/elf.h"

struct source_lines;

/*
 * Opens; see symbols_read() for `debug_roots`. Does not keep `file`. Returns 0, -ENOENT: it has
 * none, -EINVAL: damaged, -EFBIG: more than 1 GiB of debug information, or -ENOMEM.
 */
int source_lines_open(const struct elf_file *file, const char *const debug_roots[],
		      struct source_lines **lines);
void source_lines_close(struct source_lines *lines);

/*
 * Finds the line of an address: that of a function which was inlined, where one was. `*file` is the
 * path as the compiler had it, simplified, valid UTF-8; it lives as long as the lines do. Returns 0,
 * or -ENOENT: none is known, or it is the compiler's own code, of no line.
 */
int source_lines_find(struct source_lines *lines, uint64_t address, const char **file,
		      int32_t *line);

#endif
