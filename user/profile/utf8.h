/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns UTF-8: reading it character by character, and making it valid. */
#ifndef PYEBPF_UTF8_H
#define PYEBPF_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_MALFORMED (-1)

/*
 * Returns the character at *text and moves *text past it; 0 at the end, without moving. Of a
 * malformed sequence (overlong, surrogate, above U+10FFFF, cut) it returns UTF8_MALFORMED and
 * moves by one byte.
 */
int32_t utf8_next(const char **text);

bool utf8_valid(const char *text);

/*
 * Returns a valid copy, to be freed by the caller, in which U+FFFD stands for each malformed
 * byte; NULL: no memory.
 */
char *utf8_repair(const char *text);

#endif
