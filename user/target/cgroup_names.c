/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns finding and keeping the names; see cgroup_names.h. */
#include "target/cgroup_names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "profile/table.h"
#include "target/cgroup_directory.h"
#include "target/cgroup_mounts.h"

#define KNOWN_MAX     65536 /* cgroups whose names are kept */
#define WALK_PAUSE_MS 1000  /* between two searches through a whole hierarchy */

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

	if (!cgroup_path_is_below(directory, mount->point, &rest))
		return -ENOENT;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->path = cgroup_mount_path(mount, rest);
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

static int place_by_handle(const struct cgroups *cgroups, uint64_t id, struct cgroup_place **place)
{
	char path[PATH_MAX];
	ssize_t length = cgroup_directory_of_id(cgroups->fd, id, path);

	return length < 0 ? (int)length : place_make(cgroups->mount, path, place);
}

/* Keeps the name of a cgroup; a cgroup_visitor. */
static int place_keep(void *context, const char *directory)
{
	struct cgroups *cgroups = context;
	struct cgroup_place **room;
	struct stat status;

	if (stat(directory, &status))
		return 0;
	room = place_room(cgroups, status.st_ino);
	if (!room)
		return -ENOMEM;
	return *room ? 0 : place_make(cgroups->mount, directory, room);
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
		result = cgroup_directories_walk(cgroups->mount->point, place_keep, cgroups);
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
