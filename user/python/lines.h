/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the three formats of a code object's line table. Leaves reading the table out of a process
 * to others; the table is not trusted.
 */
#ifndef PYEBPF_LINES_H
#define PYEBPF_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "layout.h"

/*
 * The line of the instruction at byte offset `instruction`; -1 means that none has begun, which is
 * `first_line`. `format` is an enum line_format, `first_line` is co_firstlineno. Returns the line
 * number (at least 0); -ENOENT: the instruction belongs to no line, or lies past the table's end;
 * -EINVAL: the table, the format or a line in it is not valid.
 */
int line_table_lookup(uint32_t format, const uint8_t *table, size_t size, int32_t first_line,
		      int32_t instruction);

#endif
