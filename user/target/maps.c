/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns parsing of /proc/PID/maps. The format is proc_pid_maps(5): fields between single spaces,
 * then padding and the path, in which the kernel writes a newline as \012 (fs/proc/task_mmu.c).
 */
#include "target/maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPS_TEXT_MAX (256 << 20) /* far above what vm.max_map_count allows by default */
#define DELETED       " (deleted)"

/* Reads a number in `base` 10 or 16 that `end` follows, and steps past that. */
static int number_parse(char **at, int base, char end, uint64_t *value)
{
	uint64_t result = 0;
	int digits = 0;

	for (;; (*at)++, digits++) {
		char c = **at;
		uint64_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint64_t)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			digit = (uint64_t)(c - 'a') + 10;
		else
			break;
		if (result > (UINT64_MAX - digit) / (uint64_t)base)
			return -EINVAL;
		result = result * (uint64_t)base + digit;
	}
	if (!digits || **at != end)
		return -EINVAL;
	if (end)
		(*at)++;
	*value = result;
	return 0;
}

static int flag_parse(char **at, char set, char clear, bool *value)
{
	if (**at != set && **at != clear)
		return -EINVAL;
	*value = **at == set;
	(*at)++;
	return 0;
}

static int permissions_parse(char **at, struct mapping *mapping)
{
	int error;

	if ((error = flag_parse(at, 'r', '-', &mapping->readable)) ||
	    (error = flag_parse(at, 'w', '-', &mapping->writable)) ||
	    (error = flag_parse(at, 'x', '-', &mapping->executable)) ||
	    (error = flag_parse(at, 's', 'p', &mapping->shared)))
		return error;
	if (**at != ' ')
		return -EINVAL;
	(*at)++;
	return 0;
}

/* The last number of a line: a space follows, or nothing where there is no path. */
static int inode_parse(char **at, uint64_t *inode)
{
	char *start = *at;

	if (!number_parse(at, 10, ' ', inode))
		return 0;
	*at = start;
	return number_parse(at, 10, '\0', inode);
}

/* Undoes the kernel's escape of a newline, and takes off the mark of a deleted file. */
static void path_parse(char *path, struct mapping *mapping)
{
	char *from = path, *to = path;
	size_t length;

	while (*from) {
		if (!strncmp(from, "\\012", 4)) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	length = (size_t)(to - path);
	if (length > strlen(DELETED) && !strcmp(to - strlen(DELETED), DELETED)) {
		to[-(ptrdiff_t)strlen(DELETED)] = '\0';
		mapping->deleted = true;
	}
	mapping->path = path;
}

/* Parses a line that ends in NUL instead of its newline. */
static int line_parse(char *line, struct mapping *mapping)
{
	uint64_t major, minor;
	char *at = line;
	int error;

	memset(mapping, 0, sizeof(*mapping));
	if ((error = number_parse(&at, 16, '-', &mapping->start)) ||
	    (error = number_parse(&at, 16, ' ', &mapping->end)) ||
	    (error = permissions_parse(&at, mapping)) ||
	    (error = number_parse(&at, 16, ' ', &mapping->offset)) ||
	    (error = number_parse(&at, 16, ':', &major)) ||
	    (error = number_parse(&at, 16, ' ', &minor)))
		return error;
	if ((error = inode_parse(&at, &mapping->inode)))
		return error;
	if (mapping->end <= mapping->start || major > UINT32_MAX || minor > UINT32_MAX)
		return -EINVAL;
	mapping->device_major = (uint32_t)major;
	mapping->device_minor = (uint32_t)minor;
	while (*at == ' ')
		at++;
	path_parse(at, mapping);
	return 0;
}

static size_t lines_count(const char *text, size_t size)
{
	size_t lines = 0;

	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	return lines + (size && text[size - 1] != '\n');
}

/* Takes over `text`, `size` bytes that a NUL follows, also on failure. */
static int text_parse(char *text, size_t size, struct maps *maps)
{
	size_t lines = lines_count(text, size), count = 0;
	struct mapping *entries = NULL;
	uint64_t last = 0;
	int error = -EINVAL;

	if (memchr(text, '\0', size))
		goto fail;
	error = -ENOMEM;
	entries = calloc(lines ? lines : 1, sizeof(*entries));
	if (!entries)
		goto fail;
	for (char *line = text; *line;) {
		char *end = strchrnul(line, '\n');
		bool more = *end;

		*end = '\0';
		error = line_parse(line, &entries[count]);
		if (!error && entries[count].start < last)
			error = -EINVAL;
		if (error)
			goto fail;
		last = entries[count++].end;
		line = end + more;
	}
	*maps = (struct maps){.entries = entries, .count = count, .text = text};
	return 0;
fail:
	free(entries);
	free(text);
	return error;
}

int maps_parse(const char *text, size_t size, struct maps *maps)
{
	char *copy = malloc(size + 1);

	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, text, size);
	copy[size] = '\0';
	return text_parse(copy, size, maps);
}

int maps_read(const struct process *process, struct maps *maps)
{
	char path[64], *text;
	size_t size;
	int error;

	snprintf(path, sizeof(path), "/proc/%d/maps", process->door);
	error = file_read_whole(path, MAPS_TEXT_MAX, &text, &size);
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	if (!size) { /* a process that is ending has no memory any more */
		free(text);
		return -ESRCH;
	}
	return text_parse(text, size, maps);
}

void maps_free(struct maps *maps)
{
	free(maps->entries);
	free(maps->text);
	memset(maps, 0, sizeof(*maps));
}

const struct mapping *maps_find(const struct maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (address < maps->entries[middle].start)
			high = middle;
		else if (address >= maps->entries[middle].end)
			low = middle + 1;
		else
			return &maps->entries[middle];
	}
	return NULL;
}

bool mapping_same_file(const struct mapping *one, const struct mapping *other)
{
	return one->inode && one->inode == other->inode &&
	       one->device_major == other->device_major &&
	       one->device_minor == other->device_minor && !strcmp(one->path, other->path);
}
