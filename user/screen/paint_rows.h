/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the table of the live screen, below its heading. */
#ifndef PYEBPF_PAINT_ROWS_H
#define PYEBPF_PAINT_ROWS_H

#include "screen/paint.h"

/* Writes the columns' names and rows in `lines` lines; fewer only if lines have no limit. */
int paint_rows(const struct scene *scene, const struct pen *pen, uint32_t lines);

#endif
