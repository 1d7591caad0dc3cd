/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the repair and the cut of names. */
#include "native/name.h"

#include <stdlib.h>
#include <string.h>

#include "profile/utf8.h"

#define CHARACTER_BYTES_MAX 4

void name_cut(char *name)
{
	size_t end = strnlen(name, NAME_BYTES_MAX + 1);

	if (end <= NAME_BYTES_MAX)
		return;
	for (end = NAME_BYTES_MAX; end && ((unsigned char)name[end] & 0xc0) == 0x80; end--)
		;
	name[end] = '\0';
}

char *name_clean(const char *text, size_t size)
{
	/* More than will be left, so that the character at the cut is not taken for a malformed one. */
	size_t limit = NAME_BYTES_MAX + CHARACTER_BYTES_MAX;
	char *copy = strndup(text, size < limit ? size : limit), *clean;

	if (!copy)
		return NULL;
	clean = utf8_repair(copy);
	free(copy);
	if (clean)
		name_cut(clean);
	return clean;
}
