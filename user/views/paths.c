/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the comparing of paths by their components. */
#include "views/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"

/* The start of the component before the one at `from`; the path's own start if there is none. */
static const char *component_before(const char *path, const char *from)
{
	if (from == path)
		return path;
	from--; /* onto the slash */
	while (from > path && from[-1] != '/')
		from--;
	/* What is left of it would be the root's slash alone. */
	return from == path + 1 && *path == '/' ? path : from;
}

static const char *first_guess(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash || !slash[1] || path[0] == '<' || path[0] == '[')
		return path;
	if (!strncmp(slash + 1, "__", 2))
		return component_before(path, slash + 1);
	return slash + 1;
}

const char *path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* Lengthens each short path that stands for different paths. Returns 1 if there were any, 0. */
static int lengthen(const char *const paths[], uint32_t count, const char *shorts[])
{
	struct table table = {0};
	uint32_t at, id, *first = calloc((size_t)count + 1, sizeof(*first));
	bool *clashes = calloc((size_t)count + 1, sizeof(*clashes));
	int added = 0, result = 0;

	for (at = 0; first && clashes && at < count && added >= 0; at++) {
		added = table_intern(&table, shorts[at], strlen(shorts[at]) + 1, &id, NULL);
		if (added > 0)
			first[id] = at;
		else if (!added && strcmp(paths[first[id]], paths[at]))
			clashes[id] = true;
	}
	for (at = 0; first && clashes && at < count && added >= 0; at++) {
		added = table_intern(&table, shorts[at], strlen(shorts[at]) + 1, &id, NULL);
		if (added || !clashes[id] || shorts[at] == paths[at])
			continue;
		shorts[at] = component_before(paths[at], shorts[at]);
		result = 1;
	}
	if (!first || !clashes || added < 0)
		result = -ENOMEM;
	free(first);
	free(clashes);
	table_clear(&table);
	return result;
}

int paths_shorten(const char *const paths[], uint32_t count, const char *shorts[])
{
	uint32_t at;
	int result;

	for (at = 0; at < count; at++)
		shorts[at] = first_guess(paths[at]);
	do
		result = lengthen(paths, count, shorts);
	while (result > 0);
	return result;
}
