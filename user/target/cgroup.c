/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns mounted hierarchies, the cgroup that a user names and what is in it, and the paths of those
 * that the kernel names. What paths mean is cgroup_place.c's.
 */
#include "target/cgroup.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "clock.h"
#include "profile/table.h"
#include "python/text.h"
#include "target/process.h"

#define MOUNTS_TEXT_MAX (16 << 20)  /* bytes of a mountinfo file */
#define MAGIC_UNIFIED   0x63677270  /* CGROUP2_SUPER_MAGIC of linux/magic.h */
#define MAGIC_VERSION_1 0x0027e0eb  /* CGROUP_SUPER_MAGIC */
#define HANDLE_KERNFS   0xfe        /* FILEID_KERNFS of linux/exportfs.h: 8 bytes, the id */
#define OWN_TEXT_MAX    (128 << 10) /* bytes of /proc/self/cgroup */
#define DIRECTORIES_MAX (1 << 20)   /* below one cgroup; the kernel's numbers end before */
#define PIDS_TEXT_MAX   (64 << 20)  /* bytes of a cgroup.procs */
#define KNOWN_MAX       65536       /* cgroups whose names are kept */
#define WALK_PAUSE_MS   1000        /* between two searches through a whole hierarchy */

/* A file handle of a cgroup, see name_to_handle_at(2). */
struct kernfs_handle {
	struct file_handle head;
	uint64_t id; /* lies where head.f_handle begins */
};
_Static_assert(offsetof(struct kernfs_handle, id) == offsetof(struct file_handle, f_handle),
	       "a handle's bytes follow its head");

static void mount_free(struct cgroup_mount *mount)
{
	free(mount->point);
	free(mount->root);
	free(mount->controllers);
}

void cgroup_mounts_free(struct cgroup_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		mount_free(&mounts->items[i]);
	free(mounts->items);
	memset(mounts, 0, sizeof(*mounts));
}

/* Undoes mountinfo's escapes: \040 for a space, and so on. */
static char *field_copy(const char *field)
{
	char *copy = strdup(field), *to = copy;

	for (const char *at = copy; at && *at;) {
		if (at[0] == '\\' && strspn(at + 1, "01234567") >= 3) {
			*to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 4;
		} else {
			*to++ = *at++;
		}
	}
	if (to)
		*to = '\0';
	return copy;
}

/* The controllers of version 1, which are among options as `rw`: whatever /proc/PID/cgroup has. */
static char *controllers_copy(const char *options)
{
	static const char *const others[] = {"rw",
					     "ro",
					     "xattr",
					     "clone_children",
					     "noprefix",
					     "release_agent",
					     "cpuset_v2_mode",
					     "none",
					     "favordynmods"};
	char *copy = malloc(strlen(options) + 1), *list = strdup(options), *save, *one;
	size_t length = 0;

	if (!copy || !list) {
		free(copy);
		free(list);
		return NULL;
	}
	for (one = strtok_r(list, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		bool other = false;

		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			other |= !strncmp(one, others[i], strlen(others[i])) &&
				 strchr("=", one[strlen(others[i])]);
		if (!other)
			length += (size_t)sprintf(copy + length, "%s%s", length ? "," : "", one);
	}
	copy[length] = '\0';
	free(list);
	return copy;
}

/* 1 a cgroup file system's line, 0 another's; -ENOMEM. Format: proc_pid_mountinfo(5). */
static int mount_parse(char *line, struct cgroup_mount *mount)
{
	char *fields[5] = {NULL}, *kind, *options, *save, *tail = strstr(line, " - ");

	if (!tail)
		return 0;
	*tail = '\0';
	fields[0] = strtok_r(line, " ", &save);
	for (int i = 1; i < 5 && fields[i - 1]; i++)
		fields[i] = strtok_r(NULL, " ", &save);
	kind = strtok_r(tail + 3, " ", &save);
	options = kind && strtok_r(NULL, " ", &save) ? strtok_r(NULL, " ", &save) : NULL;
	if (!fields[4] || !kind || (strcmp(kind, "cgroup") && strcmp(kind, "cgroup2")))
		return 0;
	mount->unified = !strcmp(kind, "cgroup2");
	mount->root = field_copy(fields[3]);
	mount->point = field_copy(fields[4]);
	mount->controllers = controllers_copy(mount->unified || !options ? "" : options);
	if (mount->root && mount->point && mount->controllers)
		return 1;
	mount_free(mount);
	return -ENOMEM;
}

int cgroup_mounts_parse(const char *text, struct cgroup_mounts *mounts)
{
	struct cgroup_mounts found = {0};
	char *copy = strdup(text), *save;
	size_t unified = 0;
	int result = copy ? 0 : -ENOMEM;

	for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line && result >= 0;
	     line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_mount mount, *grown;

		result = mount_parse(line, &mount);
		if (result <= 0)
			continue;
		grown = array_grow(found.items, (uint32_t)found.count, sizeof(*grown));
		if (!grown) {
			mount_free(&mount);
			result = -ENOMEM;
			break;
		}
		found.items = grown;
		grown[found.count++] = mount;
		if (mount.unified) { /* to the front, behind those found before it */
			memmove(grown + unified + 1, grown + unified,
				(found.count - 1 - unified) * sizeof(*grown));
			grown[unified++] = mount;
		}
	}
	free(copy);
	if (result < 0) {
		cgroup_mounts_free(&found);
		return result;
	}
	*mounts = found;
	return 0;
}

int cgroup_mounts_read(struct cgroup_mounts *mounts)
{
	char *text;
	size_t size;
	int result = file_read_whole("/proc/self/mountinfo", MOUNTS_TEXT_MAX, &text, &size);

	if (result)
		return result;
	result = cgroup_mounts_parse(text, mounts);
	free(text);
	return result;
}

/* Whether `path` is `point` or below it; *rest becomes what follows, with its slash, or "". */
static bool path_is_below(const char *path, const char *point, const char **rest)
{
	size_t length = strlen(point);

	while (length && point[length - 1] == '/')
		length--;
	if (strncmp(path, point, length) != 0 || (path[length] && path[length] != '/'))
		return false;
	*rest = path + length;
	return true;
}

/* The path in /proc/PID/cgroup of a directory below a mount, from its path in the file system. */
static char *mount_path(const struct cgroup_mount *mount, const char *rest)
{
	bool whole = !strcmp(mount->root, "/");
	char *bytes, *text;

	if (asprintf(&bytes, "%s%s", whole ? "" : mount->root, whole && !*rest ? "/" : rest) < 0)
		return NULL;
	if (text_from_bytes(bytes, strlen(bytes), &text))
		text = NULL;
	free(bytes);
	return text;
}

/* Where an open directory lies now. Returns its length, or -errno. */
static ssize_t directory_path(int fd, char path[PATH_MAX])
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

/* The mount that an open directory belongs to, the one on top of others; NULL: none known. */
static const struct cgroup_mount *mount_of(const struct cgroup_mounts *mounts, const char *path,
					   bool unified, const char **rest)
{
	const struct cgroup_mount *found = NULL;
	const char *after;

	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].unified == unified &&
		    path_is_below(path, mounts->items[i].point, &after) &&
		    (!found || strlen(after) <= strlen(*rest))) {
			found = &mounts->items[i];
			*rest = after;
		}
	return found;
}

static uint64_t directory_id(int fd)
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
	length = directory_path(fd, path);
	if (length < 0)
		return (int)length;
	filled.unified = system.f_type == MAGIC_UNIFIED;
	mount = mount_of(mounts, path, filled.unified, &rest);
	if (!mount)
		return -EINVAL;
	hierarchy = hierarchy_number(mount->controllers);
	if (hierarchy < 0)
		return hierarchy;
	filled.hierarchy = (uint32_t)hierarchy;
	filled.id = directory_id(fd);
	filled.path = mount_path(mount, rest);
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
	    !path_is_below(path, mount->root, &rest))
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

/* Those of one cgroup. What was removed meanwhile, or is a threaded one, has none. */
static int pids_read(const char *directory, struct pids *pids)
{
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
	struct pending pending = {0};
	struct pids pids = {0};
	char root[64];
	int result;

	/* By the descriptor: the directory of the same name may be another one by now. */
	snprintf(root, sizeof(root), "/proc/self/fd/%d", cgroup->fd);
	result = pending_add(&pending, root, "");
	while (!result && pending.count) {
		char *directory = pending.items[--pending.count];

		result = pids_read(directory, &pids);
		if (!result)
			result = children_add(directory, &pending);
		free(directory);
	}
	for (uint32_t i = 0; i < pending.count; i++)
		free(pending.items[i]);
	free(pending.items);
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

struct cgroups {
	struct cgroup_mounts mounts;
	struct cgroup_mount *mount; /* of the hierarchy, in mounts */
	int fd;                     /* of its root there */
	struct table ids;
	struct cgroup_place **places; /* by the ids' numbers; NULL: not found so far */
	int64_t next_walk_ms;
};

int cgroups_new(const char *mount_point, struct cgroups **cgroups)
{
	struct cgroups *made = calloc(1, sizeof(*made));
	int result = made ? cgroup_mounts_read(&made->mounts) : -ENOMEM;

	if (made)
		made->fd = -1;
	if (result)
		goto fail;
	result = -ENOENT;
	for (size_t i = 0; i < made->mounts.count && !made->mount; i++)
		if (mount_point ? !strcmp(made->mounts.items[i].point, mount_point)
				: made->mounts.items[i].unified)
			made->mount = &made->mounts.items[i];
	if (!made->mount)
		goto fail;
	made->fd = open(made->mount->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (made->fd < 0) {
		result = -errno;
		goto fail;
	}
	*cgroups = made;
	return 0;
fail:
	cgroups_free(made);
	return result;
}

static void places_clear(struct cgroups *cgroups)
{
	for (uint32_t i = 0; i < cgroups->ids.count; i++) {
		if (cgroups->places[i])
			cgroup_place_free(cgroups->places[i]);
		free(cgroups->places[i]);
	}
	free(cgroups->places);
	cgroups->places = NULL;
	table_clear(&cgroups->ids);
	memset(&cgroups->ids, 0, sizeof(cgroups->ids));
}

void cgroups_free(struct cgroups *cgroups)
{
	if (!cgroups)
		return;
	places_clear(cgroups);
	if (cgroups->fd >= 0)
		close(cgroups->fd);
	cgroup_mounts_free(&cgroups->mounts);
	free(cgroups);
}

/* Makes a place of the path of a directory here. */
static int place_make(const struct cgroup_mount *mount, const char *directory,
		      struct cgroup_place **place)
{
	struct cgroup_place *made;
	const char *rest;
	int result;

	if (!path_is_below(directory, mount->point, &rest))
		return -ENOENT;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->path = mount_path(mount, rest);
	result = made->path ? cgroup_container(made->path, &made->container) : -ENOMEM;
	if (result) {
		cgroup_place_free(made);
		free(made);
		return result;
	}
	*place = made;
	return 0;
}

/* The room for an id's place; NULL: no memory. */
static struct cgroup_place **place_room(struct cgroups *cgroups, uint64_t id)
{
	struct cgroup_place **grown;
	uint32_t number;
	int added;

	if (cgroups->ids.count >= KNOWN_MAX)
		places_clear(cgroups);
	/* First the room: a number in the table without one would be a place that is not there. */
	grown = array_grow(cgroups->places, cgroups->ids.count, sizeof(*grown));
	if (!grown)
		return NULL;
	cgroups->places = grown;
	grown[cgroups->ids.count] = NULL;
	added = table_intern(&cgroups->ids, &id, sizeof(id), &number, NULL);
	return added < 0 ? NULL : &grown[number];
}

/* Asks the kernel for the directory; that needs CAP_DAC_READ_SEARCH. */
static int place_by_handle(const struct cgroups *cgroups, uint64_t id, struct cgroup_place **place)
{
	struct kernfs_handle handle = {
		.head = {.handle_bytes = sizeof(id), .handle_type = HANDLE_KERNFS}, .id = id};
	char path[PATH_MAX];
	ssize_t length;
	int fd;

	fd = open_by_handle_at(cgroups->fd, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	length = directory_path(fd, path);
	close(fd);
	return length < 0 ? (int)length : place_make(cgroups->mount, path, place);
}

/* Keeps the names of all that there are. */
static int places_walk(struct cgroups *cgroups)
{
	struct pending pending = {0};
	int result = pending_add(&pending, cgroups->mount->point, "");

	while (!result && pending.count) {
		char *directory = pending.items[--pending.count];
		struct cgroup_place **room;
		struct stat status;

		if (!stat(directory, &status)) {
			room = place_room(cgroups, status.st_ino);
			result = !room   ? -ENOMEM
				 : *room ? 0
					 : place_make(cgroups->mount, directory, room);
			if (!result)
				result = children_add(directory, &pending);
		}
		free(directory);
	}
	for (uint32_t i = 0; i < pending.count; i++)
		free(pending.items[i]);
	free(pending.items);
	return result;
}

int cgroups_find(struct cgroups *cgroups, uint64_t id, const struct cgroup_place **place)
{
	struct cgroup_place **room = place_room(cgroups, id);
	int result = 0;

	if (!room)
		return -ENOMEM;
	if (!*room)
		result = place_by_handle(cgroups, id, room);
	if (result && result != -ENOENT && result != -ENOMEM &&
	    clock_now_ms() >= cgroups->next_walk_ms) {
		result = places_walk(cgroups);
		cgroups->next_walk_ms = clock_now_ms() + WALK_PAUSE_MS;
		if (!result)
			room = place_room(cgroups, id);
		if (!room)
			result = -ENOMEM;
	}
	if (!result && !*room)
		result = -ENOENT;
	if (!result)
		*place = *room;
	return result;
}
