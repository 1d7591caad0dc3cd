/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the names of the interpreter's own functions that only carry a call from one place to
 * another: to a reader they say no more than that there was a call, which the frames around them
 * show. What a function does beside, as sorted() or a regular expression does, is no glue.
 */
#ifndef PYEBPF_GLUE_H
#define PYEBPF_GLUE_H

#include <stdbool.h>

/* The interpreter's loop itself, or a part of it. */
bool name_is_interpreter_loop(const char *name);

/* `name` as the symbol table has it, with suffixes such as `.constprop.0`. */
bool name_is_call_glue(const char *name);

#endif
