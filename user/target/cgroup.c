/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the cgroup that a user names and what is in it. What paths mean is cgroup_place.c's. */
#include "target/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "profile/table.h"
#include "target/cgroup_directory.h"
#include "target/cgroup_mounts.h"
#include "target/process.h"

#define MAGIC_UNIFIED   0x63677270  /* CGROUP2_SUPER_MAGIC of linux/magic.h */
#define MAGIC_VERSION_1 0x0027e0eb  /* CGROUP_SUPER_MAGIC */
#define OWN_TEXT_MAX    (128 << 10) /* bytes of /proc/self/cgroup */
#define PIDS_TEXT_MAX   (64 << 20)  /* bytes of a cgroup.procs */

/* The number of a mounted hierarchy, or -errno. */
static int hierarchy_number(const char *controllers)
{
	char *text;
	size_t size;
	int result = file_read_start("/proc/self/cgroup", OWN_TEXT_MAX, &text, &size);

	if (result)
		return result;
	result = cgroup_hierarchy_parse(text, controllers);
	free(text);
	return result;
}

/* Fills *cgroup from a directory, and takes over its descriptor on success. -EINVAL: not one. */
static int cgroup_fill(const struct cgroup_mounts *mounts, int fd, struct cgroup *cgroup)
{
	struct cgroup filled = {.fd = fd};
	const struct cgroup_mount *mount;
	char path[PATH_MAX];
	const char *rest = "";
	struct statfs system;
	ssize_t length;
	int hierarchy;

	if (fstatfs(fd, &system))
		return -errno;
	if (system.f_type != MAGIC_UNIFIED && system.f_type != MAGIC_VERSION_1)
		return -EINVAL;
	length = cgroup_directory_path(fd, path);
	if (length < 0)
		return (int)length;
	filled.unified = system.f_type == MAGIC_UNIFIED;
	mount = cgroup_mount_of(mounts, path, filled.unified, &rest);
	if (!mount)
		return -EINVAL;
	hierarchy = hierarchy_number(mount->controllers);
	if (hierarchy < 0)
		return hierarchy;
	filled.hierarchy = (uint32_t)hierarchy;
	filled.id = cgroup_directory_id(fd);
	filled.path = cgroup_mount_path(mount, rest);
	filled.controllers = strdup(mount->controllers);
	if (!filled.path || !filled.controllers) {
		free(filled.path);
		free(filled.controllers);
		return -ENOMEM;
	}
	*cgroup = filled;
	return 0;
}

static int directory_open(const struct cgroup_mounts *mounts, const char *path,
			  struct cgroup *cgroup)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

	if (fd < 0)
		return -errno;
	result = cgroup_fill(mounts, fd, cgroup);
	if (result)
		close(fd);
	return result;
}

/* The path in a hierarchy, tried in one that is mounted. */
static int directory_open_in(const struct cgroup_mounts *mounts, const struct cgroup_mount *mount,
			     const char *path, struct cgroup *cgroup)
{
	const char *rest = path;
	char *whole;
	int result;

	/* As /proc/PID/cgroup has it, where only a part of the hierarchy is mounted. */
	if (strcmp(mount->root, "/") != 0 && *path == '/' &&
	    !cgroup_path_is_below(path, mount->root, &rest))
		return -ENOENT;
	if (asprintf(&whole, "%s/%s", mount->point, rest) < 0)
		return -ENOMEM;
	result = directory_open(mounts, whole, cgroup);
	free(whole);
	return result;
}

void cgroup_close(struct cgroup *cgroup)
{
	if (cgroup->fd > 0)
		close(cgroup->fd);
	free(cgroup->path);
	free(cgroup->controllers);
	memset(cgroup, 0, sizeof(*cgroup));
	cgroup->fd = -1;
}

struct pids {
	pid_t *items;
	uint32_t count;
};

static int pids_add(struct pids *pids, pid_t pid)
{
	pid_t *grown = array_grow(pids->items, pids->count, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	pids->items = grown;
	grown[pids->count++] = pid;
	return 0;
}

/*
 * Adds those of one cgroup; a cgroup_visitor. What was removed meanwhile, or is a threaded one, has
 * none.
 */
static int pids_read(void *context, const char *directory)
{
	struct pids *pids = context;
	char path[PATH_MAX], *text;
	size_t size;
	int result = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/cgroup.procs", directory) >= sizeof(path))
		return 0;
	result = file_read_whole(path, PIDS_TEXT_MAX, &text, &size);
	if (result)
		return result == -ENOENT || result == -ENODEV || result == -EOPNOTSUPP ? 0 : result;
	for (char *at = text, *end; *at && !result; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		if (pid > 0 && pid <= INT_MAX) /* 0: not in this PID namespace */
			result = pids_add(pids, (pid_t)pid);
	}
	free(text);
	return result;
}

static int pid_compare(const void *left, const void *right)
{
	pid_t one = *(const pid_t *)left, other = *(const pid_t *)right;

	return (one > other) - (one < other);
}

/* Sorts; one that moved from one cgroup to another meanwhile is there twice. */
static void pids_order(struct pids *pids)
{
	uint32_t kept = 0;

	if (pids->count)
		qsort(pids->items, pids->count, sizeof(*pids->items), pid_compare);
	for (uint32_t i = 0; i < pids->count; i++)
		if (!kept || pids->items[i] != pids->items[kept - 1])
			pids->items[kept++] = pids->items[i];
	pids->count = kept;
}

int cgroup_pids(const struct cgroup *cgroup, pid_t **list, size_t *count)
{
	struct pids pids = {0};
	char root[64];
	int result;

	/* By the descriptor: the directory of the same name may be another one by now. */
	snprintf(root, sizeof(root), "/proc/self/fd/%d", cgroup->fd);
	result = cgroup_directories_walk(root, pids_read, &pids);
	if (result) {
		free(pids.items);
		return result;
	}
	pids_order(&pids);
	*list = pids.items;
	*count = pids.count;
	return 0;
}

bool cgroup_removed(const struct cgroup *cgroup)
{
	return faccessat(cgroup->fd, "cgroup.procs", F_OK, 0) &&
	       (errno == ENOENT || errno == ENODEV);
}

/* Whether it is the one to be taken where several hierarchies have one of this path. */
static bool has_processes(const struct cgroup *cgroup)
{
	pid_t *pids;
	size_t count;

	if (cgroup_pids(cgroup, &pids, &count))
		return false;
	free(pids);
	return count > 0;
}

/* Looks in each hierarchy for the path. Returns 0 or the error that says most. */
static int directory_find(const struct cgroup_mounts *mounts, const char *path,
			  struct cgroup *cgroup)
{
	struct cgroup found = {.fd = -1}, other;
	int first = -ENOENT, result;

	for (size_t i = 0; i < mounts->count; i++) {
		result = directory_open_in(mounts, &mounts->items[i], path, &other);
		if (result == -ENOMEM) {
			first = result;
			break;
		}
		if (result && result != -EINVAL && first == -ENOENT)
			first = result;
		if (result)
			continue;
		if (found.fd >= 0 && !has_processes(&other)) {
			cgroup_close(&other);
			continue;
		}
		if (found.fd >= 0)
			cgroup_close(&found);
		found = other;
		if (has_processes(&found))
			break;
	}
	if (found.fd < 0)
		return first;
	*cgroup = found;
	return 0;
}

/* A directory of another file system: what else than that can be said. */
static int path_refuse(const struct cgroup_mounts *mounts, const char *path, int result,
		       struct error *error)
{
	if (*path == '/' && !access(path, F_OK) && result == -ENOENT)
		return error_set(error, result,
				 "%s is no cgroup: those are directories below %s or another "
				 "mounted hierarchy",
				 path, mounts->items[0].point);
	return error_set(error, result, "cannot open the cgroup %s: %s%s", path, strerror(-result),
			 result == -ENOENT ? " (looked for below each mounted hierarchy)" : "");
}

int cgroup_open_in(const struct cgroup_mounts *mounts, const char *path, struct cgroup *cgroup,
		   struct error *error)
{
	int result = -ENOENT, direct = -ENOENT;

	if (!mounts->count)
		return error_set(error, -ENOENT, "no cgroup hierarchy is mounted");
	if (!*path)
		return error_set(error, -ENOENT, "\"\" is no cgroup");
	if (*path == '/')
		direct = directory_open(mounts, path, cgroup);
	if (!direct)
		return 0;
	result = directory_find(mounts, path, cgroup);
	if (!result)
		return 0;
	if (direct != -ENOENT && direct != -EINVAL)
		result = direct; /* says more than that it is not elsewhere */
	return path_refuse(mounts, path, result, error);
}

int cgroup_open(const char *path, struct cgroup *cgroup, struct error *error)
{
	struct cgroup_mounts mounts;
	int result = cgroup_mounts_read(&mounts);

	if (result)
		return error_set(error, result, "cannot read /proc/self/mountinfo: %s",
				 strerror(-result));
	result = cgroup_open_in(&mounts, path, cgroup, error);
	cgroup_mounts_free(&mounts);
	return result;
}
