/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns making names from files that are not trusted fit to be kept: valid UTF-8, not too long. */
#ifndef PYEBPF_NAME_H
#define PYEBPF_NAME_H

#include <stddef.h>

#define NAME_BYTES_MAX 4096 /* without the NUL; a cut name keeps whole characters */

/* Cuts valid UTF-8. */
void name_cut(char *name);

/*
 * A malloc'd copy of the text up to its NUL or `size` bytes, repaired and cut; NULL: no memory.
 */
char *name_clean(const char *text, size_t size);

#endif
