/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the reading of recordings, which may come from anybody: each index is checked, each sum is
 * checked for overflow, and memory stays in proportion to the file's uncompressed size. Leaves the
 * parts to the files that pprof_reader.h names.
 */
#include "profile/pprof.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "profile/pprof_reader.h"

#define READ_FIRST ((size_t)256 * 1024) /* bytes of the first buffer; doubled as needed */

static int read_all(struct reader *reader)
{
	int result = reader_outline(reader);

	if (!result)
		result = reader_places(reader);
	if (!result)
		result = reader_repeats(reader);
	return result ? result : reader_samples(reader);
}

int pprof_parse(const void *data, size_t size, struct profile **profile, struct error *error)
{
	struct reader reader = {.error = error};
	int result;

	if (size > PPROF_BYTES_MAX)
		return error_set(error, -E2BIG, "the recording is larger than %zu MiB",
				 PPROF_BYTES_MAX >> 20);
	reader.file.next = data;
	reader.file.end = reader.file.next + size;
	reader.profile = profile_new();
	result = reader.profile ? read_all(&reader) : reader_no_memory(&reader);
	free(reader.strings.items);
	free(reader.names.items);
	free(reader.comments.items);
	free(reader.mappings.items);
	free(reader.functions.items);
	free(reader.locations.items);
	free(reader.stack.items);
	free(reader.first_processes.items);
	table_clear(&reader.processes);
	if (result)
		profile_free(reader.profile);
	else
		*profile = reader.profile;
	return result;
}

static int gzip_failed(gzFile file, struct error *error)
{
	int status, code = errno;
	const char *text = gzerror(file, &status);

	if (status == Z_ERRNO)
		return error_set(error, code ? -code : -EIO, "%s", strerror(code ? code : EIO));
	if (status == Z_MEM_ERROR)
		return error_set(error, -ENOMEM, "no memory for the recording");
	if (status == Z_BUF_ERROR)
		return error_set(error, -EINVAL,
				 "the file is cut short: it was not written or copied whole");
	return error_set(error, -EINVAL, "damaged gzip data (%s)", text);
}

/* Stores the uncompressed bytes, to be freed by the caller. */
static int gzip_read(gzFile file, uint8_t **data, size_t *size, struct error *error)
{
	size_t room = READ_FIRST, used = 0;
	uint8_t *buffer = malloc(room), *grown;
	int bytes, status, result = 0;

	while (buffer) {
		errno = 0;
		bytes = gzread(file, buffer + used, (unsigned int)(room - used));
		gzerror(file, &status);
		if (bytes < 0 || (status != Z_OK && status != Z_STREAM_END)) {
			result = gzip_failed(file, error);
			break;
		}
		used += (size_t)bytes;
		if (!bytes) {
			*data = buffer;
			*size = used;
			return 0;
		}
		if (used < room)
			continue;
		if (room >= PPROF_BYTES_MAX) {
			result = error_set(error, -E2BIG,
					   "uncompressed it is larger than %zu MiB: no recording "
					   "of pyebpf is",
					   PPROF_BYTES_MAX >> 20);
			break;
		}
		room *= 2;
		grown = realloc(buffer, room);
		if (!grown) {
			free(buffer);
			buffer = NULL;
			break;
		}
		buffer = grown;
	}
	free(buffer);
	return result ? result : error_set(error, -ENOMEM, "no memory for the recording");
}

static int file_read(int file, struct profile **profile, struct error *error)
{
	gzFile gzip = gzdopen(file, "rb");
	uint8_t *data = NULL;
	size_t size = 0;
	int result;

	if (!gzip) {
		close(file);
		return error_set(error, -ENOMEM, "no memory for the recording");
	}
	result = gzip_read(gzip, &data, &size, error);
	if (!result && !size)
		result = error_set(error, -EINVAL, "the file is empty");
	else if (!result && gzdirect(gzip))
		result = error_set(error, -EINVAL, "it is not gzip data, so no recording");
	else if (!result)
		result = pprof_parse(data, size, profile, error);
	free(data);
	gzclose(gzip);
	return result;
}

int pprof_read(const char *path, struct profile **profile, struct error *error)
{
	struct error reason = {""};
	int file, result;

	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
	result = file_read(file, profile, &reason);
	if (result)
		error_set(error, result, "cannot read %s: %s", path, reason.text);
	return result;
}
