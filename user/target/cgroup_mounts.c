/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading /proc/self/mountinfo for cgroups; see cgroup_mounts.h. */
#include "target/cgroup_mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/table.h"
#include "python/text.h"
#include "target/process.h"

#define MOUNTS_TEXT_MAX (16 << 20) /* bytes of a mountinfo file */

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

bool cgroup_path_is_below(const char *path, const char *point, const char **rest)
{
	size_t length = strlen(point);

	while (length && point[length - 1] == '/')
		length--;
	if (strncmp(path, point, length) != 0 || (path[length] && path[length] != '/'))
		return false;
	*rest = path + length;
	return true;
}

char *cgroup_mount_path(const struct cgroup_mount *mount, const char *rest)
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

const struct cgroup_mount *cgroup_mount_of(const struct cgroup_mounts *mounts, const char *path,
					   bool unified, const char **rest)
{
	const struct cgroup_mount *found = NULL;
	const char *after;

	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].unified == unified &&
		    cgroup_path_is_below(path, mounts->items[i].point, &after) &&
		    (!found || strlen(after) <= strlen(*rest))) {
			found = &mounts->items[i];
			*rest = after;
		}
	return found;
}
