/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the writing of struct error. */
#include "error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "profile/utf8.h"

/* What a target wrote into a path or a version must not reach a terminal as it is. */
static void text_clean(char *text)
{
	const char *at = text;
	char *to = text;

	while (*at) {
		const char *start = at;
		int32_t character = utf8_next(&at);
		bool plain = character >= ' ' && character != 0x7f &&
			     (character < 0x80 || character >= 0xa0) &&
			     (character < 0x2028 || character > 0x202e) &&
			     (character < 0x2066 || character > 0x2069);

		if (plain)
			to = (char *)memmove(to, start, (size_t)(at - start)) + (at - start);
		else
			*to++ = '?';
	}
	*to = '\0';
}

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list arguments;

	if (!error)
		return code;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	text_clean(error->text);
	return code;
}
