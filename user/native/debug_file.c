/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the rules by which debug files are found: GDB manual, chapter 18.3 "Debugging Information
 * in Separate Files", and 18.4 "Debugging information in a special section".
 */
#include "native/debug_file.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define NOTE_SIZE_MAX     256
#define LINK_SIZE_MAX     (NAME_MAX + 8) /* a file's name, padding, a checksum */
#define PACKED_SIZE_MAX   (64ULL << 20)
#define CHECKED_SIZE_MAX  (2ULL << 30) /* bytes of a file that are summed up */
#define UNPACKED_SIZE_MAX (64ULL << 20)
#define UNPACK_MEMORY_MAX (64ULL << 20) /* for xz's dictionary: that of xz -9 is as large */

struct build_id {
	uint8_t bytes[ELF_BUILD_ID_MAX];
	int size; /* 0: none */
};

struct debug_link {
	char name[LINK_SIZE_MAX];
	uint32_t checksum; /* CRC-32 of the whole debug file */
};

/*
 * By section first: the segments of a debug file may still have the places that they had in the
 * file which it was taken from.
 */
static struct build_id build_id_read(const struct elf_file *file)
{
	struct build_id id = {.size = 0};
	uint64_t offset, size;
	uint8_t note[NOTE_SIZE_MAX];
	Elf64_Nhdr header;
	const size_t start = sizeof(header) + sizeof("GNU");

	if (!elf_section_find(file, ".note.gnu.build-id", NULL, &offset, &size) && size >= start &&
	    size <= sizeof(note) && !elf_read(file, offset, note, size)) {
		memcpy(&header, note, sizeof(header));
		if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == sizeof("GNU") &&
		    header.n_descsz <= size - start && header.n_descsz <= sizeof(id.bytes)) {
			id.size = (int)header.n_descsz;
			memcpy(id.bytes, note + start, header.n_descsz);
			return id;
		}
	}
	id.size = elf_build_id(file, id.bytes);
	if (id.size < 0)
		id.size = 0;
	return id;
}

static bool build_id_equal(const struct build_id *one, const struct build_id *other)
{
	return one->size == other->size && !memcmp(one->bytes, other->bytes, (size_t)one->size);
}

static bool checksum_matches(const struct elf_file *file, uint32_t wanted)
{
	uint8_t buffer[65536];
	uLong sum = crc32(0, NULL, 0);

	if (file->size > CHECKED_SIZE_MAX)
		return false;
	for (uint64_t at = 0; at < file->size; at += sizeof(buffer)) {
		size_t size = file->size - at < sizeof(buffer) ? (size_t)(file->size - at)
							       : sizeof(buffer);

		if (elf_read(file, at, buffer, size))
			return false;
		sum = crc32(sum, buffer, (uInt)size);
	}
	return sum == wanted;
}

static bool is_same_file(const struct elf_file *one, const struct elf_file *other)
{
	struct stat first, second;

	return !fstat(one->fd, &first) && !fstat(other->fd, &second) &&
	       first.st_ino == second.st_ino && first.st_dev == second.st_dev;
}

/* Opens a candidate and proves it; `file` and `link` may be NULL. */
static int candidate_open(const char *path, const struct elf_file *file,
			  const struct build_id *wanted, const struct debug_link *link,
			  struct elf_file *debug)
{
	struct elf_file opened;
	struct build_id found;
	bool proven;
	int error = elf_file_open(path, &opened);

	if (error)
		return error == -ENOMEM ? error : -ENOENT;
	found = build_id_read(&opened);
	if (wanted->size && found.size)
		proven = build_id_equal(wanted, &found);
	else
		proven = link && checksum_matches(&opened, link->checksum);
	if (!proven || (file && is_same_file(&opened, file))) {
		elf_file_close(&opened);
		return -ENOENT;
	}
	*debug = opened;
	return 0;
}

static int open_by_build_id(const struct elf_file *file, const char *const roots[],
			    const struct build_id *id, struct elf_file *debug)
{
	char hex[2 * ELF_BUILD_ID_MAX + 1] = "", path[PATH_MAX];
	int error = -ENOENT;

	if (id->size < 2)
		return -ENOENT;
	for (int i = 0; i < id->size; i++)
		snprintf(hex + 2 * i, 3, "%02x", id->bytes[i]);
	for (; *roots && error == -ENOENT; roots++) {
		int length = snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", *roots, hex,
				      hex + 2);

		if (length < (int)sizeof(path))
			error = candidate_open(path, file, id, NULL, debug);
	}
	return error;
}

static int debug_link_read(const struct elf_file *file, struct debug_link *link)
{
	uint64_t offset, size;
	size_t place;

	if (elf_section_find(file, ".gnu_debuglink", NULL, &offset, &size))
		return -ENOENT;
	if (size > sizeof(link->name) || elf_read(file, offset, link->name, size))
		return -EINVAL;
	place = (strnlen(link->name, size) + 4) & ~(size_t)3; /* behind the NUL, aligned */
	if (place + sizeof(link->checksum) > size || !link->name[0] || strchr(link->name, '/'))
		return -EINVAL;
	memcpy(&link->checksum, link->name + place, sizeof(link->checksum));
	return 0;
}

static int open_by_link(const struct elf_file *file, const char *const roots[],
			const struct build_id *id, struct elf_file *debug)
{
	char self[64], directory[PATH_MAX], path[2 * PATH_MAX];
	struct debug_link link;
	ssize_t length;
	int error;

	if (debug_link_read(file, &link))
		return -ENOENT;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	length = readlink(self, directory, sizeof(directory) - 1);
	if (length <= 0 || directory[0] != '/')
		return -ENOENT;
	directory[length] = '\0';
	*strrchr(directory, '/') = '\0';
	snprintf(path, sizeof(path), "%s/%s", directory, link.name);
	error = candidate_open(path, file, id, &link, debug);
	if (error == -ENOENT) {
		snprintf(path, sizeof(path), "%s/.debug/%s", directory, link.name);
		error = candidate_open(path, file, id, &link, debug);
	}
	for (; *roots && error == -ENOENT; roots++)
		if (snprintf(path, sizeof(path), "%s%s/%s", *roots, directory, link.name) <
		    (int)sizeof(path))
			error = candidate_open(path, file, id, &link, debug);
	return error;
}

int debug_file_find(const uint8_t *build_id, size_t size, const char *const roots[],
		    struct elf_file *debug)
{
	struct build_id id = {.size = (int)size};

	if (size > sizeof(id.bytes))
		return -ENOENT;
	memcpy(id.bytes, build_id, size);
	return open_by_build_id(NULL, roots, &id, debug);
}

int debug_file_open(const struct elf_file *file, const char *const roots[], struct elf_file *debug)
{
	const struct build_id id = build_id_read(file);
	int error = open_by_build_id(file, roots, &id, debug);

	return error == -ENOENT ? open_by_link(file, roots, &id, debug) : error;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t count = write(fd, bytes, size);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		bytes += count;
		size -= (size_t)count;
	}
	return 0;
}

/* Unpacks xz data into a file. */
static int unpack(const uint8_t *packed, size_t size, int fd)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret result = lzma_stream_decoder(&stream, UNPACK_MEMORY_MAX, 0);
	uint8_t buffer[65536];
	int error = 0;

	stream.next_in = packed;
	stream.avail_in = size;
	while (result == LZMA_OK && !error) {
		stream.next_out = buffer;
		stream.avail_out = sizeof(buffer);
		result = lzma_code(&stream, LZMA_FINISH);
		error = stream.total_out > UNPACKED_SIZE_MAX
				? -EINVAL
				: write_all(fd, buffer, sizeof(buffer) - stream.avail_out);
	}
	lzma_end(&stream);
	if (error)
		return error;
	return result == LZMA_STREAM_END ? 0 : result == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
}

int debug_file_unpack(const struct elf_file *file, struct elf_file *unpacked)
{
	uint64_t offset, size;
	uint8_t *packed;
	char path[64];
	int fd, error;

	if (elf_section_find(file, ".gnu_debugdata", NULL, &offset, &size))
		return -ENOENT;
	if (!size || size > PACKED_SIZE_MAX || size > file->size)
		return -EINVAL;
	packed = malloc(size);
	if (!packed)
		return -ENOMEM;
	fd = memfd_create("symbols", MFD_CLOEXEC);
	error = fd < 0 ? -errno : elf_read(file, offset, packed, size);
	if (!error)
		error = unpack(packed, size, fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!error)
		error = elf_file_open(path, unpacked);
	if (fd >= 0)
		close(fd);
	free(packed);
	return error == -ENOEXEC ? -EINVAL : error;
}
