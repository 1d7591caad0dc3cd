/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns looking at a process' descriptors; see file_path.h. */
#include "capture/file_path.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the path's last component is the target's name, or begins with it if that was cut. */
static bool path_ends_with_name(const char *path, const struct wait_target *target)
{
	static const char deleted[] = " (deleted)";
	const char *last = strrchr(path, '/') + 1;
	size_t length = strnlen(target->path, sizeof(target->path));
	bool cut = length >= sizeof(target->path) - 1;

	if (target->path[0] == '/') /* the root's own name */
		return !*last;
	return !strncmp(last, target->path, length) &&
	       (cut || !last[length] || !strcmp(last + length, deleted));
}

int file_path_find(const struct sample_record *sample, char *path, size_t size)
{
	struct stat status;
	char link[64], found[PATH_MAX];
	ssize_t length;

	if ((sample->target.kind != TARGET_FILE && sample->target.kind != TARGET_PIPE) ||
	    sample->descriptor < 0)
		return -ENOENT;
	snprintf(link, sizeof(link), "/proc/%" PRIu32 "/fd/%" PRId32, sample->head.pid,
		 sample->descriptor);
	if (stat(link, &status) || status.st_ino != sample->target.inode)
		return -ENOENT;
	length = readlink(link, found, sizeof(found) - 1);
	if (length <= 0 || (size_t)length >= size || found[0] != '/')
		return -ENOENT;
	found[length] = '\0';
	if (!path_ends_with_name(found, &sample->target))
		return -ENOENT;
	memcpy(path, found, (size_t)length + 1);
	return 0;
}
