/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns looking up a line in each of the three formats:
 *  LNOTAB     Objects/lnotab_notes.txt of CPython 3.9, PyCode_Addr2Line() in Objects/codeobject.c
 *  LINETABLE  Objects/lnotab_notes.txt of CPython 3.10, PEP 626
 *  LOCATIONS  Objects/locations.md of CPython 3.11, PEP 657
 * Each is a list of ranges of instructions in ascending order, so a look-up is one pass. Sums are
 * kept in 64 bits: no table that fits into memory makes them overflow.
 */
#include "python/lines.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#define CODE_UNIT_SIZE 2 /* bytes of a code unit, from 3.6 on */

static int line_checked(int64_t line)
{
	return line < 0 || line > INT_MAX ? -EINVAL : (int)line;
}

/* Pairs of bytes: how far the instruction moves, then (signed) the line. */
static int lnotab_lookup(const uint8_t *table, size_t size, int64_t line, int64_t instruction)
{
	int64_t address = 0;

	if (size % 2)
		return -EINVAL;
	for (size_t i = 0; i < size; i += 2) {
		address += table[i];
		if (address > instruction)
			break;
		line += (int8_t)table[i + 1];
	}
	return line_checked(line);
}

/* Pairs of bytes: length of the range, then (signed) how far the line moves; -128 is no line. */
static int linetable_lookup(const uint8_t *table, size_t size, int64_t line, int64_t instruction)
{
	int64_t end = 0;

	if (size % 2)
		return -EINVAL;
	for (size_t i = 0; i < size; i += 2) {
		int8_t delta = (int8_t)table[i + 1];

		end += table[i];
		if (delta != -128)
			line += delta;
		if (instruction < end)
			return delta == -128 ? -ENOENT : line_checked(line);
	}
	return -ENOENT;
}

struct reader {
	const uint8_t *at;
	const uint8_t *end;
};

/* Six bits a byte, the lowest first; bit 6 says that more follow, bit 7 is never set. */
static int varint_read(struct reader *reader, uint32_t *value)
{
	uint64_t result = 0;

	for (unsigned int shift = 0; shift <= 30; shift += 6) {
		uint8_t byte;

		if (reader->at >= reader->end || *reader->at & 0x80)
			return -EINVAL;
		byte = *reader->at++;
		result |= (uint64_t)(byte & 0x3f) << shift;
		if (!(byte & 0x40)) {
			if (result > UINT32_MAX)
				return -EINVAL;
			*value = (uint32_t)result;
			return 0;
		}
	}
	return -EINVAL;
}

/* The sign is the lowest bit. */
static int signed_varint_read(struct reader *reader, int64_t *value)
{
	uint32_t raw;
	int error = varint_read(reader, &raw);

	if (error)
		return error;
	*value = raw & 1 ? -(int64_t)(raw >> 1) : (int64_t)(raw >> 1);
	return 0;
}

/* Kinds of entries, bits 3 to 6 of the first byte: enum _PyCodeLocationInfoKind. */
enum location_kind {
	LOCATION_ONE_LINE = 10, /* to 12: one line, two bytes of columns; below 10 one byte */
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

/* Steps over the columns, and reads how far the line moves. */
static int location_delta(struct reader *reader, unsigned int kind, int64_t *delta)
{
	size_t columns = 0;
	uint32_t ignored;
	int error = 0;

	*delta = 0;
	if (kind == LOCATION_NONE)
		return 0;
	if (kind == LOCATION_NO_COLUMNS)
		return signed_varint_read(reader, delta);
	if (kind == LOCATION_LONG) {
		error = signed_varint_read(reader, delta);
		for (int i = 0; i < 3 && !error; i++) /* end line, column, end column */
			error = varint_read(reader, &ignored);
		return error;
	}
	if (kind >= LOCATION_ONE_LINE)
		*delta = (int64_t)kind - LOCATION_ONE_LINE;
	columns = kind >= LOCATION_ONE_LINE ? 2 : 1;
	if ((size_t)(reader->end - reader->at) < columns)
		return -EINVAL;
	reader->at += columns; /* plain bytes, which may have bit 7 set */
	return 0;
}

static int locations_lookup(const uint8_t *table, size_t size, int64_t line, int64_t instruction)
{
	struct reader reader = {.at = table, .end = table + size};
	int64_t end = 0;

	while (reader.at < reader.end) {
		uint8_t first = *reader.at++;
		unsigned int kind = first >> 3 & 15;
		int64_t delta;
		int error;

		if (!(first & 0x80))
			return -EINVAL;
		error = location_delta(&reader, kind, &delta);
		if (error)
			return error;
		line += delta;
		end += ((first & 7) + 1) * CODE_UNIT_SIZE;
		if (instruction < end)
			return kind == LOCATION_NONE ? -ENOENT : line_checked(line);
	}
	return -ENOENT;
}

int line_table_lookup(uint32_t format, const uint8_t *table, size_t size, int32_t first_line,
		      int32_t instruction)
{
	if (instruction < -1)
		return -EINVAL;
	if (instruction == -1)
		return line_checked(first_line);
	switch (format) {
	case LINE_FORMAT_LNOTAB:
		return lnotab_lookup(table, size, first_line, instruction);
	case LINE_FORMAT_LINETABLE:
		return linetable_lookup(table, size, first_line, instruction);
	case LINE_FORMAT_LOCATIONS:
		return locations_lookup(table, size, first_line, instruction);
	default:
		return -EINVAL;
	}
}
