/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns making the names of C++ and Rust functions readable. */
#ifndef PYEBPF_DEMANGLE_H
#define PYEBPF_DEMANGLE_H

/*
 * The name without parameters, return type and hash: a malloc'd copy, valid UTF-8 of at most
 * NAME_BYTES_MAX bytes; a name that is not mangled is only copied. Hostile names can take years:
 * each that has to be given up lowers *patience, and from 0 on C++ names stay as they are.
 * NULL: no memory.
 */
char *demangle(const char *name, unsigned int *patience);

#endif
