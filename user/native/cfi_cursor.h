/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading the numbers that call frame information is made of (DWARF 5, 7.6, and the encodings
 * of pointers, LSB core specification 5.0, 10.5), within given bounds.
 */
#ifndef PYEBPF_CFI_CURSOR_H
#define PYEBPF_CFI_CURSOR_H

#include <dwarf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define POINTER_FORMAT 0x0f /* parts of DW_EH_PE_* */
#define POINTER_BASE   0xf0

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read as they are");

/* A place in bytes. Once a read fails, this and all later ones give 0. */
struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline void cursor_fail(struct cursor *cursor)
{
	cursor->failed = true;
	cursor->at = cursor->end;
}

static inline uint64_t cursor_read_fixed(struct cursor *cursor, size_t size)
{
	uint64_t value = 0;

	if ((size_t)(cursor->end - cursor->at) < size) {
		cursor_fail(cursor);
		return 0;
	}
	memcpy(&value, cursor->at, size);
	cursor->at += size;
	return value;
}

static inline uint64_t cursor_read_leb(struct cursor *cursor, unsigned int *bits)
{
	uint64_t value = 0;
	uint8_t byte = 0;

	*bits = 0;
	do {
		byte = (uint8_t)cursor_read_fixed(cursor, 1);
		if (*bits < 64) { /* more can only be padding, or does not fit */
			value |= (uint64_t)(byte & 0x7f) << *bits;
			*bits += 7;
		}
	} while (byte & 0x80);
	return value;
}

static inline uint64_t cursor_read_unsigned(struct cursor *cursor)
{
	unsigned int bits;

	return cursor_read_leb(cursor, &bits);
}

static inline int64_t cursor_read_signed(struct cursor *cursor)
{
	unsigned int bits;
	uint64_t value = cursor_read_leb(cursor, &bits);

	if (bits < 64 && bits && value >> (bits - 1))
		value |= UINT64_MAX << bits;
	return (int64_t)value;
}

static inline struct cursor cursor_read_bytes(struct cursor *cursor, uint64_t size)
{
	struct cursor bytes = {.at = cursor->at, .end = cursor->end};

	if ((uint64_t)(cursor->end - cursor->at) < size) {
		cursor_fail(cursor);
		size = 0;
		bytes = *cursor;
	}
	bytes.end = bytes.at + size;
	cursor->at = bytes.end;
	return bytes;
}

/* A pointer as it is stored: DW_EH_PE_pcrel and the like are left to the caller. */
static inline uint64_t cursor_read_pointer(struct cursor *cursor, uint8_t encoding)
{
	switch (encoding & POINTER_FORMAT) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return cursor_read_fixed(cursor, 8);
	case DW_EH_PE_udata4:
		return cursor_read_fixed(cursor, 4);
	case DW_EH_PE_sdata4:
		return (uint64_t)(int32_t)cursor_read_fixed(cursor, 4);
	case DW_EH_PE_udata2:
		return cursor_read_fixed(cursor, 2);
	case DW_EH_PE_sdata2:
		return (uint64_t)(int16_t)cursor_read_fixed(cursor, 2);
	case DW_EH_PE_uleb128:
		return cursor_read_unsigned(cursor);
	case DW_EH_PE_sleb128:
		return (uint64_t)cursor_read_signed(cursor);
	default:
		cursor_fail(cursor);
		return 0;
	}
}

#endif
