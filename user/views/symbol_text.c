/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the making sense of names of native code. */
#include "views/symbol_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "views/paths.h"

static bool starts(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

static bool ends(const char *text, size_t length, const char *end)
{
	size_t size = strlen(end);

	return length >= size && !memcmp(text + length - size, end, size);
}

bool symbol_is_offset(const char *name, const char *path)
{
	const char *module = path_name(path);

	return *module && starts(name, module) && starts(name + strlen(module), "+0x");
}

/* The byte behind the bracket that closes the one at `text`; NULL: none does. */
static const char *skip_brackets(const char *text)
{
	char open = *text, close = open == '(' ? ')' : '>';
	size_t depth = 0;
	const char *at;

	for (at = text; *at; at++) {
		if (*at == open)
			depth++;
		else if (*at == close && !(at > text && at[-1] == '-') && !--depth)
			return at + 1;
	}
	return NULL;
}

/*
 * Whether what is in the brackets at `text` is to be left out. Behind `operator` they are part of
 * the name; `<T as Trait>` of Rust and `(anonymous namespace)` stand where a name could.
 */
static bool is_detail(const char *text, const char *before, size_t length)
{
	if (!length || ends(before, length, "operator"))
		return false;
	if (*text == '(')
		return !starts(text, "(anonymous namespace)");
	return !strchr(": <&", before[length - 1]) && !ends(before, length, "operator<");
}

char *symbol_text(const char *name)
{
	char *text = malloc(strlen(name) + 1);
	size_t length = 0;
	const char *at = name, *end;

	while (text && *at) {
		if ((*at == '(' || *at == '<') && is_detail(at, text, length)) {
			end = skip_brackets(at);
			if (!end) {
				free(text);
				return strdup(name);
			}
			if (*at == '(' && starts(end, " const"))
				end += strlen(" const");
			at = end;
			continue;
		}
		/* The call operator's own brackets; its parameters follow. */
		if (starts(at, "()") && ends(text, length, "operator"))
			text[length++] = *at++;
		text[length++] = *at++;
	}
	if (text)
		text[length] = '\0';
	return text;
}

char *module_text(const char *path)
{
	const char *tag = strstr(path, ".cpython-"), *end = tag ? strstr(tag, ".so") : NULL;
	char *text;

	if (!end)
		return strdup(path);
	if (asprintf(&text, "%.*s%s", (int)(tag - path), path, end) < 0)
		return NULL;
	return text;
}
