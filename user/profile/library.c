/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the marks of a library's path, and finding the first frame that is no library's. */
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

int64_t stack_own_location(const struct profile *profile, uint32_t stack)
{
	const struct profile_stack *frames = &profile->stacks[stack];
	const struct profile_function *function;
	uint32_t at, id;

	for (at = 0; at < frames->depth; at++) {
		id = profile->stack_locations[frames->first + at];
		function = &profile->functions[profile->locations[id].function];
		if (function->kind == KIND_PYTHON &&
		    !file_is_library(profile->strings[function->filename]))
			return id;
	}
	return profile_stack_owner(profile, stack);
}
