/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the decoding of UTF-8 (RFC 3629). */
#include "profile/utf8.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* How many bytes follow the first one, whose value bits go to *character; -1: not a first byte. */
static int first_byte(unsigned char byte, int32_t *character)
{
	if (byte < 0x80) {
		*character = byte;
		return 0;
	}
	if (byte >= 0xc2 && byte <= 0xdf) {
		*character = byte & 0x1f;
		return 1;
	}
	if (byte >= 0xe0 && byte <= 0xef) {
		*character = byte & 0x0f;
		return 2;
	}
	if (byte >= 0xf0 && byte <= 0xf4) {
		*character = byte & 0x07;
		return 3;
	}
	return -1;
}

int32_t utf8_next(const char **text)
{
	static const int32_t smallest[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)*text;
	int32_t character = 0;
	int more, at;

	if (!bytes[0])
		return 0;
	more = first_byte(bytes[0], &character);
	for (at = 1; at <= more && (bytes[at] & 0xc0) == 0x80; at++)
		character = character << 6 | (bytes[at] & 0x3f);
	if (more < 0 || at <= more || character < smallest[more] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff)) {
		*text += 1;
		return UTF8_MALFORMED;
	}
	*text += at;
	return character;
}

bool utf8_valid(const char *text)
{
	int32_t character;

	do
		character = utf8_next(&text);
	while (character > 0);
	return character == 0;
}

char *utf8_repair(const char *text)
{
	const char *start = text;
	char *copy, *end;
	int32_t character;

	copy = malloc(strlen(text) * strlen(REPLACEMENT) + 1);
	if (!copy)
		return NULL;
	end = copy;
	while ((character = utf8_next(&text)) != 0) {
		if (character == UTF8_MALFORMED)
			end = stpcpy(end, REPLACEMENT);
		else
			end = mempcpy(end, start, (size_t)(text - start));
		start = text;
	}
	*end = '\0';
	return copy;
}
