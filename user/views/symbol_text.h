/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how the report for a person spells native functions and modules. Scripts and other views get
 * their full names.
 */
#ifndef PYEBPF_SYMBOL_TEXT_H
#define PYEBPF_SYMBOL_TEXT_H

#include <stdbool.h>

/* Whether a name is a module's with an offset, `libz.so.1+0x1234`: there is no symbol. */
bool symbol_is_offset(const char *name, const char *path);

/* Functions below return text to be freed by the caller; NULL: no memory. */

/*
 * A demangled C++ or Rust name without parameters and template arguments, which can be a thousand
 * characters: `std::vector<int>::at(unsigned long) const` becomes `std::vector::at`. What it cannot
 * make sense of stays as it is.
 */
char *symbol_text(const char *name);

/*
 * A module's path, or its end, without what says of every extension for which interpreter it was
 * built (PEP 3149): `_json.cpython-311-x86_64-linux-gnu.so` becomes `_json.so`.
 */
char *module_text(const char *path);

#endif
