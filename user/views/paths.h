/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the shortening of file paths. */
#ifndef PYEBPF_PATHS_H
#define PYEBPF_PATHS_H

#include <stdint.h>

/*
 * Stores in shorts[] where in each of `count` paths to start reading: at as few of its last
 * components as make it different from the others', two at least of `__init__.py` and the like.
 * Equal paths stay equal. Returns 0 or -ENOMEM.
 */
int paths_shorten(const char *const paths[], uint32_t count, const char *shorts[]);

/* The last component of a path. */
const char *path_name(const char *path);

#endif
