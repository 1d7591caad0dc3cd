/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading /proc for lists of processes; see process_list.h. */
#include "target/process_list.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "target/process.h"

struct pid_list {
	pid_t *items;
	size_t count;
	size_t capacity;
};

static int pid_list_add(struct pid_list *list, pid_t pid)
{
	size_t capacity = list->capacity ? list->capacity * 2 : 256;
	pid_t *grown;

	if (list->count == list->capacity) {
		grown = realloc(list->items, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->items = grown;
		list->capacity = capacity;
	}
	list->items[list->count++] = pid;
	return 0;
}

int process_list_all(pid_t **pids, size_t *count)
{
	struct pid_list list = {0};
	struct dirent *entry;
	DIR *directory = opendir("/proc");
	int error = 0;

	if (!directory)
		return -errno;
	while (!error && (entry = readdir(directory)))
		if (isdigit((unsigned char)entry->d_name[0]))
			error = pid_list_add(&list, (pid_t)strtol(entry->d_name, NULL, 10));
	closedir(directory);
	if (error) {
		free(list.items);
		return error;
	}
	*pids = list.items;
	*count = list.count;
	return 0;
}

struct family {
	pid_t pid, parent;
	bool listed;
};

static int family_compare(const void *left, const void *right)
{
	const struct family *one = left, *other = right;

	return (one->parent > other->parent) - (one->parent < other->parent);
}

/* All processes by their parents. Returns 0 or -errno. */
static int families_read(struct family **families, size_t *count)
{
	struct family *found;
	pid_t *pids;
	size_t i;
	int error = process_list_all(&pids, count);

	if (error)
		return error;
	found = calloc(*count ? *count : 1, sizeof(*found));
	if (!found) {
		free(pids);
		return -ENOMEM;
	}
	for (i = 0; i < *count; i++) {
		found[i].pid = pids[i];
		process_parent(pids[i], &found[i].parent); /* 0, if it has ended: nobody's child */
	}
	free(pids);
	qsort(found, *count, sizeof(*found), family_compare);
	*families = found;
	return 0;
}

/* The first whose parent is not below this one. */
static size_t families_find(const struct family *families, size_t count, pid_t parent)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (families[middle].parent < parent)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Adds the children of one process. Each is listed once: parents were not read at one moment, and a
 * number that was given anew meanwhile could make two processes each other's ancestors.
 */
static int children_add(struct family *families, size_t count, pid_t ancestor, pid_t parent,
			struct pid_list *list)
{
	size_t i;
	int error = 0;

	for (i = families_find(families, count, parent);
	     i < count && families[i].parent == parent && !error; i++) {
		if (families[i].listed || families[i].pid == ancestor)
			continue;
		families[i].listed = true;
		error = pid_list_add(list, families[i].pid);
	}
	return error;
}

int process_list_descendants(pid_t ancestor, pid_t **pids, size_t *count)
{
	struct pid_list list = {0};
	struct family *families;
	size_t families_count, done;
	int error = families_read(&families, &families_count);

	if (error)
		return error;
	error = children_add(families, families_count, ancestor, ancestor, &list);
	for (done = 0; done < list.count && !error; done++)
		error = children_add(families, families_count, ancestor, list.items[done], &list);
	free(families);
	if (error) {
		free(list.items);
		return error;
	}
	*pids = list.items;
	*count = list.count;
	return 0;
}
