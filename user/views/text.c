/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns escaping, measuring and shortening. */
#include "views/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "profile/utf8.h"

#define ELLIPSIS    "\xe2\x80\xa6"
#define ESCAPE_MAX  10 /* bytes of "\U0010ffff" */
#define NUMBER_STEP 3

/* Marks that turn the direction of writing (Unicode's Bidi_Control), or break lines. */
static bool is_direction(int32_t character)
{
	return character == 0x061c || (character >= 0x200b && character <= 0x200f) ||
	       (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
}

static char *escape_character(char *end, int32_t character, unsigned char byte)
{
	if (character == '\n')
		return stpcpy(end, "\\n");
	if (character == '\t')
		return stpcpy(end, "\\t");
	if (character == UTF8_MALFORMED)
		return end + sprintf(end, "\\x%02x", byte);
	if (character < 0x100)
		return end + sprintf(end, "\\x%02" PRIx32, (uint32_t)character);
	if (character < 0x10000)
		return end + sprintf(end, "\\u%04" PRIx32, (uint32_t)character);
	return end + sprintf(end, "\\U%08" PRIx32, (uint32_t)character);
}

char *text_escape(const char *text)
{
	const char *start = text;
	char *copy, *end;
	int32_t character;

	copy = malloc(strlen(text) * ESCAPE_MAX + 1);
	if (!copy)
		return NULL;
	end = copy;
	while ((character = utf8_next(&text)) != 0) {
		if (character == UTF8_MALFORMED || is_direction(character) ||
		    wcwidth((wchar_t)character) < 0)
			end = escape_character(end, character, (unsigned char)*start);
		else
			end = mempcpy(end, start, (size_t)(text - start));
		start = text;
	}
	*end = '\0';
	return copy;
}

static size_t character_width(int32_t character)
{
	int width = wcwidth((wchar_t)character);

	return width > 0 ? (size_t)width : 0;
}

size_t text_width(const char *text)
{
	size_t width = 0;
	int32_t character;

	while ((character = utf8_next(&text)) != 0)
		width += character_width(character);
	return width;
}

/* Moves past as many characters as fit into `columns`, with the marks that combine with them. */
static const char *skip_columns(const char *text, size_t columns)
{
	const char *next = text;
	int32_t character;

	while ((character = utf8_next(&next)) != 0 && character_width(character) <= columns) {
		columns -= character_width(character);
		text = next;
	}
	return text;
}

/* Moves to where at most `columns` are left, and past the marks of what is cut off. */
static const char *skip_to_last(const char *text, size_t width, size_t columns)
{
	const char *next = text;
	int32_t character;

	while ((character = utf8_next(&next)) != 0) {
		if (width <= columns && character_width(character))
			break;
		width -= character_width(character);
		text = next;
	}
	return text;
}

char *text_shorten(const char *text, size_t columns)
{
	size_t width = text_width(text), head = columns / 2;
	const char *end, *tail;
	char *copy;

	if (width <= columns)
		return strdup(text);
	if (!columns)
		return strdup("");
	end = skip_columns(text, head);
	tail = skip_to_last(text, width, columns - 1 - head);
	if (asprintf(&copy, "%.*s" ELLIPSIS "%s", (int)(end - text), text, tail) < 0)
		return NULL;
	return copy;
}

char *text_cut(const char *text, size_t columns)
{
	const char *end;
	char *copy;

	if (text_width(text) <= columns)
		return strdup(text);
	if (!columns)
		return strdup("");
	end = skip_columns(text, columns - 1);
	return asprintf(&copy, "%.*s" ELLIPSIS, (int)(end - text), text) < 0 ? NULL : copy;
}

/* The end of what must stay on one line: a number keeps the word behind it. */
static const char *wrap_end(const char *text)
{
	const char *end = strchrnul(text, ' ');

	while (*end && end > text && end[-1] >= '0' && end[-1] <= '9')
		end = strchrnul(end + 1, ' ');
	return end;
}

void text_wrap(FILE *stream, const char *text, size_t indent, size_t hang, size_t columns)
{
	size_t used = 0, width;
	const char *end;
	char *part;

	for (; *text; text = end + strspn(end, " ")) {
		end = wrap_end(text);
		part = strndup(text, (size_t)(end - text));
		width = part ? text_width(part) : (size_t)(end - text);
		free(part);
		if (used && used + 1 + width > columns) {
			fputc('\n', stream);
			indent = hang;
			used = 0;
		}
		fprintf(stream, "%*s", used ? 1 : (int)indent, "");
		used += (used ? 1 : indent) + width;
		fwrite(text, 1, (size_t)(end - text), stream);
	}
	fputc('\n', stream);
}

char *text_number(char buffer[TEXT_NUMBER_BYTES], int64_t number)
{
	char digits[TEXT_NUMBER_BYTES], *to = buffer;
	int length, at;

	length = snprintf(digits, sizeof(digits), "%" PRId64, number < 0 ? 0 : number);
	for (at = 0; at < length; at++) {
		if (at && (length - at) % NUMBER_STEP == 0)
			*to++ = ' ';
		*to++ = digits[at];
	}
	*to = '\0';
	return buffer;
}
