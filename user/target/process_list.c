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

static bool pid_list_has(const struct pid_list *list, pid_t pid)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->items[i] == pid)
			return true;
	return false;
}

/* Adds those of `all` whose parent is in the list, or the ancestor. Returns 0 or -ENOMEM. */
static int pid_list_add_children(struct pid_list *list, pid_t ancestor, const pid_t *all,
				 const pid_t *parents, size_t count)
{
	size_t i;
	int error = 0;

	for (i = 0; i < count && !error; i++)
		if (parents[i] && (parents[i] == ancestor || pid_list_has(list, parents[i])) &&
		    !pid_list_has(list, all[i]))
			error = pid_list_add(list, all[i]);
	return error;
}

int process_list_descendants(pid_t ancestor, pid_t **pids, size_t *count)
{
	struct pid_list list = {0};
	pid_t *all, *parents;
	size_t all_count, before, i;
	int error = process_list_all(&all, &all_count);

	if (error)
		return error;
	parents = calloc(all_count, sizeof(*parents));
	if (!parents)
		error = -ENOMEM;
	for (i = 0; i < all_count && !error; i++)
		process_parent(all[i], &parents[i]); /* 0, if it has ended: nobody's child */
	do {
		before = list.count;
		if (!error)
			error = pid_list_add_children(&list, ancestor, all, parents, all_count);
	} while (!error && list.count > before);
	free(all);
	free(parents);
	if (error) {
		free(list.items);
		return error;
	}
	*pids = list.items;
	*count = list.count;
	return 0;
}
