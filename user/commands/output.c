/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns writing the result where it was asked for, or else where there is room. */
#include "commands/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/limits.h>

#include "path.h"

int output_open(const char *path, struct output *output, struct error *error)
{
	struct output opened = {.created = access(path, F_OK) != 0};
	struct stat status;

	opened.path = strdup(path);
	if (!opened.path)
		return error_set(error, -ENOMEM, "no memory");
	opened.descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (opened.descriptor < 0 || fstat(opened.descriptor, &status)) {
		int result = error_set(error, -errno, "cannot write %s: %s; choose another by -o",
				       path, strerror(errno));

		free(opened.path);
		return result;
	}
	*output = opened;
	return 0;
}

static int write_all(int descriptor, const char *bytes, size_t size)
{
	while (size) {
		ssize_t count = write(descriptor, bytes, size);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		bytes += count;
		size -= count;
	}
	return 0;
}

/* Replaces what the file holds. */
static int output_replace(const struct output *output, const void *bytes, size_t size)
{
	struct stat status;
	int error = fstat(output->descriptor, &status) ? -errno : 0;

	if (!error && S_ISREG(status.st_mode) && ftruncate(output->descriptor, 0))
		error = -errno;
	if (!error)
		error = write_all(output->descriptor, bytes, size);
	/* Some file systems tell of a full disk only when the data is flushed. */
	if (!error && S_ISREG(status.st_mode) && fsync(output->descriptor) && errno != EINVAL)
		error = -errno;
	return error;
}

static int refuge_write(const char *directory, const struct output *output, const void *bytes,
			size_t size, char path[PATH_MAX])
{
	const char *name = path_base_name(output->path);
	int descriptor, error;

	if ((size_t)snprintf(path, PATH_MAX, "%s/XXXXXX-%s", directory, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	descriptor = mkostemps(path, strlen(name) + 1, O_CLOEXEC);
	if (descriptor < 0)
		return -errno;
	error = write_all(descriptor, bytes, size);
	if (!error && fsync(descriptor))
		error = -errno;
	if (close(descriptor) && !error)
		error = -errno;
	if (error)
		unlink(path);
	return error;
}

int output_write(struct output *output, const void *bytes, size_t size, struct error *error)
{
	const char *const refuges[] = {getenv("TMPDIR"), "/tmp",     "/var/tmp",
				       getenv("HOME"),   "/dev/shm", "/run"};
	int result = output_replace(output, bytes, size);
	char path[PATH_MAX];
	size_t i;

	output->created = false;
	if (!result)
		return 0;
	for (i = 0; i < sizeof(refuges) / sizeof(refuges[0]); i++)
		if (refuges[i] && !refuge_write(refuges[i], output, bytes, size, path))
			return error_set(error, result,
					 "cannot write %s: %s; the recording is in %s",
					 output->path, strerror(-result), path);
	return error_set(error, result,
			 "cannot write %s: %s; nor is there room for the recording anywhere else",
			 output->path, strerror(-result));
}

void output_close(struct output *output)
{
	if (!output->path)
		return;
	close(output->descriptor);
	if (output->created)
		unlink(output->path);
	free(output->path);
	memset(output, 0, sizeof(*output));
}
