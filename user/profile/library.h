/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns telling the files of libraries from a program's own. */
#ifndef PYEBPF_LIBRARY_H
#define PYEBPF_LIBRARY_H

#include <stdbool.h>

/*
 * Whether `path` (co_filename) is of the standard library, of a package that was installed beside
 * it, or of what the interpreter brings along.
 */
bool file_is_library(const char *path);

#endif
