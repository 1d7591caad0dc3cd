/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns turning the characters of a str object, as they lie in memory, into UTF-8. Leaves finding
 * them to bpf/python.bpf.h.
 */
#ifndef PYEBPF_TEXT_H
#define PYEBPF_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Stores `bytes` bytes of characters of `width` 1 (Latin-1), 2 (UCS-2) or 4 (UCS-4) bytes as
 * malloc'd, NUL-terminated, valid UTF-8. What UTF-8 cannot hold is escaped: a lone surrogate that
 * stands for a byte which Python could not decode (PEP 383) as `\xNN`, another one as `\uNNNN`,
 * NUL as `\x00`, a number that is no character as U+FFFD. Bytes that are not a whole character at
 * the end are ignored. Returns 0, -EINVAL for another width, or -ENOMEM.
 */
int text_decode(uint32_t width, const void *characters, size_t bytes, char **text);

/*
 * Stores bytes that should be UTF-8 (file names, arguments) as malloc'd, NUL-terminated, valid
 * UTF-8; a byte that is not part of a character becomes `\xNN`. Returns 0 or -ENOMEM.
 */
int text_from_bytes(const void *bytes, size_t size, char **text);

#endif
