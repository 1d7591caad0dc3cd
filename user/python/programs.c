/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the table of known files, and when it may be believed. */
#include "python/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "profile/table.h"

#define FILES_MAX     16384 /* remembered; a target that maps more of them makes it begin anew */
#define YOUNG_SECONDS 2     /* above any file system's resolution of time stamps */
#define FUSE_MAGIC    0x65735546 /* FUSE_SUPER_MAGIC of linux/magic.h */

/* Compared byte by byte: no padding. */
struct file_key {
	uint64_t device, inode, size;
	int64_t modified[2], changed[2];                                  /* seconds, nanoseconds */
	uint64_t mapped_device, mapped_inode, mapped_offset, mapped_size; /* 0: programs_kind() */
	uint64_t named;
};

struct known_file {
	bool known;
	enum program_kind program;
	struct python_image image;
};

struct programs {
	struct table keys;
	struct known_file **files; /* by the keys' ids */
	uint32_t count;
};

struct programs *programs_new(void)
{
	return calloc(1, sizeof(struct programs));
}

static void programs_clear(struct programs *programs)
{
	for (uint32_t i = 0; i < programs->count; i++)
		free(programs->files[i]);
	free(programs->files);
	table_clear(&programs->keys);
	memset(programs, 0, sizeof(*programs));
}

void programs_free(struct programs *programs)
{
	if (!programs)
		return;
	programs_clear(programs);
	free(programs);
}

static void key_fill(struct file_key *key, const struct stat *status)
{
	key->device = status->st_dev;
	key->inode = status->st_ino;
	key->size = (uint64_t)status->st_size;
	key->modified[0] = status->st_mtim.tv_sec;
	key->modified[1] = status->st_mtim.tv_nsec;
	key->changed[0] = status->st_ctim.tv_sec;
	key->changed[1] = status->st_ctim.tv_nsec;
}

static void key_fill_mapping(struct file_key *key, const struct mapping *mapping)
{
	key->mapped_device = (uint64_t)mapping->device_major << 32 | mapping->device_minor;
	key->mapped_inode = mapping->inode;
	key->mapped_offset = mapping->offset;
	key->mapped_size = mapping->end - mapping->start;
	key->named = image_is_named(mapping->path);
}

/* The place of a file in the table, known or not. NULL: no memory, so it is not remembered. */
static struct known_file *file_find(struct programs *programs, const struct file_key *key)
{
	struct known_file **files;
	uint32_t id;
	int added;

	if (programs->count >= FILES_MAX)
		programs_clear(programs);
	added = table_intern(&programs->keys, key, sizeof(*key), &id, NULL);
	if (added < 0)
		return NULL;
	if (!added)
		return programs->files[id];
	files = array_grow(programs->files, programs->count, sizeof(*files));
	if (files) {
		programs->files = files;
		files[id] = calloc(1, sizeof(**files));
	}
	if (!files || !files[id]) { /* the key has a number that the array lacks */
		programs_clear(programs);
		return NULL;
	}
	programs->count++;
	return files[id];
}

/* Whether an open file is still the one of the key, and any change of it would show. */
static bool is_settled(const struct elf_file *elf, const struct file_key *expected)
{
	struct file_key key = *expected;
	struct statfs system;
	struct stat status;
	struct timespec now;

	if (fstat(elf->fd, &status) || fstatfs(elf->fd, &system) || system.f_type == FUSE_MAGIC ||
	    clock_gettime(CLOCK_REALTIME, &now))
		return false;
	key_fill(&key, &status);
	return !memcmp(&key, expected, sizeof(key)) &&
	       now.tv_sec - YOUNG_SECONDS > status.st_ctim.tv_sec &&
	       now.tv_sec - YOUNG_SECONDS > status.st_mtim.tv_sec;
}

/*
 * Reads the file. What is no ELF file of this machine has no CPython: that it is one is not
 * remembered. *settled: what it says may be.
 */
static int image_load(const struct file_key *key, const struct mapping *mapping,
		      struct program_file *file, bool *settled)
{
	struct elf_file elf;
	int result = elf_file_open(file->path, &elf);

	*settled = false;
	file->image = &file->own;
	file->own = (struct python_image){.kind = IMAGE_OTHER};
	if (result)
		return result == -ENOEXEC || result == -EINVAL ? 0 : result;
	image_read(&elf, mapping, image_is_named(mapping->path), &file->own);
	*settled = key && is_settled(&elf, key);
	elf_file_close(&elf);
	return 0;
}

int programs_image(struct programs *programs, const struct process *process,
		   const struct mapping *mapping, struct program_file *file)
{
	struct known_file *known = NULL;
	struct file_key key = {0};
	struct stat status;
	bool settled;
	int result;

	file->remembered = false;
	result = mapping_file_path(process, mapping, file->path, sizeof(file->path), &status);
	if (result)
		return result;
	if (!S_ISREG(status.st_mode)) { /* a device: not even opened */
		file->own = (struct python_image){.kind = IMAGE_OTHER};
		file->image = &file->own;
		return 0;
	}
	if (programs) {
		key_fill(&key, &status);
		key_fill_mapping(&key, mapping);
		known = file_find(programs, &key);
	}
	if (known && known->known) {
		file->image = &known->image;
		file->remembered = true;
		return 0;
	}
	result = image_load(known ? &key : NULL, mapping, file, &settled);
	if (result || !settled)
		return result;
	known->image = file->own;
	known->known = true;
	file->image = &known->image;
	return 0;
}

/* Whether both say the same; what processes taught does not count. */
static bool image_same(const struct python_image *one, const struct python_image *other)
{
	return one->kind == other->kind && one->shift == other->shift &&
	       one->runtime == other->runtime && one->version == other->version &&
	       one->code_type == other->code_type && one->frame_type == other->frame_type &&
	       !memcmp(one->loop_start, other->loop_start, sizeof(one->loop_start)) &&
	       !memcmp(one->loop_end, other->loop_end, sizeof(one->loop_end));
}

bool programs_image_again(const struct mapping *mapping, struct program_file *file)
{
	struct python_image *known = file->image;
	bool settled;

	if (image_load(NULL, mapping, file, &settled) || image_same(known, &file->own)) {
		file->image = known;
		return false;
	}
	*known = file->own;
	return true;
}

static enum program_kind kind_of(const struct elf_file *elf, bool named)
{
	if (image_kind_of(elf, named) != IMAGE_OTHER)
		return PROGRAM_PYTHON_STATIC;
	return elf_needs(elf, "libpython") ? PROGRAM_PYTHON_SHARED : PROGRAM_OTHER;
}

/* /proc/PID/exe is a link: the name it leads to is the one that tells. */
static bool path_is_named(const char *path)
{
	char target[PROCESS_PATH_SIZE];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	return image_is_named(path) || image_is_named(target);
}

int programs_kind(struct programs *programs, const char *path)
{
	struct file_key key = {.named = path_is_named(path)};
	struct known_file *known = NULL;
	enum program_kind kind;
	struct elf_file elf;
	struct stat status;
	int result;

	if (stat(path, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return PROGRAM_OTHER;
	key_fill(&key, &status);
	if (programs)
		known = file_find(programs, &key);
	if (known && known->known)
		return known->program;
	result = elf_file_open(path, &elf);
	if (result)
		return result == -ENOEXEC || result == -EINVAL ? PROGRAM_OTHER : result;
	kind = kind_of(&elf, key.named);
	if (known && is_settled(&elf, &key)) {
		known->program = kind;
		known->known = true;
	}
	elf_file_close(&elf);
	return kind;
}
