/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns handles of cgroups and walking through them; see cgroup_directory.h. */
#include "target/cgroup_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile/table.h"

#define HANDLE_KERNFS   0xfe      /* FILEID_KERNFS of linux/exportfs.h: 8 bytes, the id */
#define DIRECTORIES_MAX (1 << 20) /* below one cgroup; the kernel's numbers end before */

/* A file handle of a cgroup, see name_to_handle_at(2). */
struct kernfs_handle {
	struct file_handle head;
	uint64_t id; /* lies where head.f_handle begins */
};
_Static_assert(offsetof(struct kernfs_handle, id) == offsetof(struct file_handle, f_handle),
	       "a handle's bytes follow its head");

ssize_t cgroup_directory_path(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, PATH_MAX - 1);
	if (length < 0)
		return -errno;
	path[length] = '\0';
	return length;
}

uint64_t cgroup_directory_id(int fd)
{
	struct kernfs_handle handle = {.head.handle_bytes = sizeof(handle.id)};
	struct stat status;
	int mount;

	if (!name_to_handle_at(fd, "", &handle.head, &mount, AT_EMPTY_PATH) &&
	    handle.head.handle_type == HANDLE_KERNFS &&
	    handle.head.handle_bytes == sizeof(handle.id))
		return handle.id;
	/* The same number, where inode numbers have 64 bits (kernfs_id(), include/linux/kernfs.h). */
	return fstat(fd, &status) ? 0 : status.st_ino;
}

ssize_t cgroup_directory_of_id(int hierarchy, uint64_t id, char path[PATH_MAX])
{
	struct kernfs_handle handle = {
		.head = {.handle_bytes = sizeof(id), .handle_type = HANDLE_KERNFS}, .id = id};
	ssize_t length;
	int fd;

	fd = open_by_handle_at(hierarchy, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	length = cgroup_directory_path(fd, path);
	close(fd);
	return length;
}

/* Directories that are still to be read: paths, malloc'd. */
struct pending {
	char **items;
	uint32_t count;
};

static int pending_add(struct pending *pending, const char *directory, const char *name)
{
	char **grown = array_grow(pending->items, pending->count, sizeof(*grown)), *path;

	if (!grown)
		return -ENOMEM;
	pending->items = grown;
	if (asprintf(&path, "%s%s%s", directory, *name ? "/" : "", name) < 0)
		return -ENOMEM;
	grown[pending->count++] = path;
	return 0;
}

static int children_add(const char *directory, struct pending *pending)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;
	int result = 0;

	if (!stream) /* removed, or its path is too long to be opened */
		return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : 0;
	while (!result && (entry = readdir(stream)))
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0 && pending->count < DIRECTORIES_MAX)
			result = pending_add(pending, directory, entry->d_name);
	closedir(stream);
	return result;
}

int cgroup_directories_walk(const char *root, cgroup_visitor *visit, void *context)
{
	struct pending pending = {0};
	int result = pending_add(&pending, root, "");

	while (!result && pending.count) {
		char *directory = pending.items[--pending.count];

		result = visit(context, directory);
		if (!result)
			result = children_add(directory, &pending);
		free(directory);
	}
	for (uint32_t i = 0; i < pending.count; i++)
		free(pending.items[i]);
	free(pending.items);
	return result;
}
