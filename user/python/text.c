/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns decoding of str objects' characters, and of bytes that may not be UTF-8. */
#include "python/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESCAPE_MAX 6 /* bytes that one character can become: \uNNNN */

static size_t utf8_encode(uint32_t character, char *to)
{
	if (character < 0x80) {
		to[0] = (char)character;
		return 1;
	}
	if (character < 0x800) {
		to[0] = (char)(0xc0 | character >> 6);
		to[1] = (char)(0x80 | (character & 0x3f));
		return 2;
	}
	if (character < 0x10000) {
		to[0] = (char)(0xe0 | character >> 12);
		to[1] = (char)(0x80 | (character >> 6 & 0x3f));
		to[2] = (char)(0x80 | (character & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | character >> 18);
	to[1] = (char)(0x80 | (character >> 12 & 0x3f));
	to[2] = (char)(0x80 | (character >> 6 & 0x3f));
	to[3] = (char)(0x80 | (character & 0x3f));
	return 4;
}

/* Writes one character, or its escape, to at least ESCAPE_MAX + 1 bytes. Returns the length. */
static size_t character_write(uint32_t character, char *to)
{
	if (!character)
		return (size_t)sprintf(to, "\\x00");
	if (character >= 0xdc80 && character <= 0xdcff) /* PEP 383: the byte is the low half */
		return (size_t)sprintf(to, "\\x%02x", character & 0xff);
	if (character >= 0xd800 && character <= 0xdfff)
		return (size_t)sprintf(to, "\\u%04x", character);
	return utf8_encode(character > 0x10ffff ? 0xfffd : character, to);
}

static uint32_t character_read(uint32_t width, const uint8_t *from)
{
	uint16_t two;
	uint32_t four;

	switch (width) {
	case 1:
		return *from;
	case 2:
		memcpy(&two, from, sizeof(two));
		return two;
	default:
		memcpy(&four, from, sizeof(four));
		return four;
	}
}

int text_decode(uint32_t width, const void *characters, size_t bytes, char **text)
{
	const uint8_t *from = characters;
	size_t count, length = 0;
	char *result, *shrunk;

	if (width != 1 && width != 2 && width != 4)
		return -EINVAL;
	count = bytes / width;
	if (count > (SIZE_MAX - 2) / ESCAPE_MAX)
		return -ENOMEM;
	result = malloc(count * ESCAPE_MAX + 2);
	if (!result)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		length += character_write(character_read(width, from + i * width), result + length);
	result[length] = '\0';
	shrunk = realloc(result, length + 1);
	*text = shrunk ? shrunk : result;
	return 0;
}

/* Length of the well-formed UTF-8 sequence at `from` (RFC 3629), 0: there is none. */
static size_t utf8_length(const uint8_t *from, size_t size)
{
	uint8_t first = from[0], low = 0x80, high = 0xbf;
	size_t length;

	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		length = 2;
	else if (first >= 0xe0 && first <= 0xef)
		length = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		length = 4;
	else
		return 0;
	if (first == 0xe0)
		low = 0xa0; /* else it could be shorter */
	else if (first == 0xed)
		high = 0x9f; /* else a surrogate */
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f; /* else above U+10FFFF */
	if (size < length || from[1] < low || from[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((from[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

int text_from_bytes(const void *bytes, size_t size, char **text)
{
	const uint8_t *from = bytes;
	size_t length = 0;
	char *result;

	if (size > (SIZE_MAX - 2) / 4)
		return -ENOMEM;
	result = malloc(size * 4 + 1);
	if (!result)
		return -ENOMEM;
	while (size) {
		size_t step = *from ? utf8_length(from, size) : 0;

		if (step) {
			memcpy(result + length, from, step);
			length += step;
		} else {
			length += (size_t)sprintf(result + length, "\\x%02x", *from);
			step = 1;
		}
		from += step;
		size -= step;
	}
	result[length] = '\0';
	*text = result;
	return 0;
}
