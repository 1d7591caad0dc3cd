/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns telling the files of libraries from a program's own. */
#ifndef PYEBPF_LIBRARY_H
#define PYEBPF_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"

/*
 * Whether `path` (co_filename) is of the standard library, of a package that was installed beside
 * it, or of what the interpreter brings along.
 */
bool file_is_library(const char *path);

/*
 * The location to name for a stack: the innermost that is the program's own, else the innermost of
 * Python. A socket is read in socket.py whoever waits for it. -1: the stack has no Python function.
 */
int64_t stack_own_location(const struct profile *profile, uint32_t stack);

#endif
