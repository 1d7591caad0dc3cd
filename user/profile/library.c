/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the marks of a library's path. */
#include "profile/library.h"

#include <stddef.h>
#include <string.h>

bool file_is_library(const char *path)
{
	static const char *const parts[] = {"/lib/python3.", "/site-packages/", "/dist-packages/"};
	size_t at;

	for (at = 0; at < sizeof(parts) / sizeof(parts[0]); at++)
		if (strstr(path, parts[at]))
			return true;
	return path[0] == '<' && strcmp(path, "<string>") != 0 && strcmp(path, "<stdin>") != 0;
}
