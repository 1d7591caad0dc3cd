/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns looking at a process' descriptors; see file_path.h. */
#include "capture/file_path.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int file_path_find(const struct sample_record *sample, char *path, size_t size)
{
	struct stat status;
	char link[64];
	ssize_t length;

	if (sample->target.kind != TARGET_FILE || sample->descriptor < 0)
		return -ENOENT;
	snprintf(link, sizeof(link), "/proc/%" PRIu32 "/fd/%" PRId32, sample->head.pid,
		 sample->descriptor);
	if (stat(link, &status) || status.st_ino != sample->target.inode)
		return -ENOENT;
	length = readlink(link, path, size - 1);
	if (length <= 0 || path[0] != '/')
		return -ENOENT;
	path[length] = '\0';
	return 0;
}
