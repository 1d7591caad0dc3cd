/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the hierarchies of cgroups that are mounted, and how paths in the file system become paths of
 * cgroups, as /proc/PID/cgroup has them.
 */
#ifndef PYEBPF_CGROUP_MOUNTS_H
#define PYEBPF_CGROUP_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

/* A mounted hierarchy. */
struct cgroup_mount {
	char *point;       /* where it is mounted */
	char *root;        /* which of its cgroups is there: "/" in most cases */
	char *controllers; /* of version 1: "cpu,cpuacct", "name=systemd"; of version 2: "" */
	bool unified;      /* version 2 */
};

struct cgroup_mounts {
	struct cgroup_mount *items; /* version 2 first */
	size_t count;
};

/* Finds them in the text of /proc/PID/mountinfo; in this process' own. Return 0 or -errno. */
int cgroup_mounts_parse(const char *text, struct cgroup_mounts *mounts);
int cgroup_mounts_read(struct cgroup_mounts *mounts);
void cgroup_mounts_free(struct cgroup_mounts *mounts);

/* Whether `path` is `point` or below it; *rest becomes what follows, with its slash, or "". */
bool cgroup_path_is_below(const char *path, const char *point, const char **rest);

/*
 * The path in /proc/PID/cgroup of a directory that lies at `rest` below a mount. malloc'd, valid
 * UTF-8. NULL: no memory.
 */
char *cgroup_mount_path(const struct cgroup_mount *mount, const char *rest);

/*
 * The mount that a directory belongs to, the one on top of others; *rest becomes what follows in its
 * path. NULL: none known.
 */
const struct cgroup_mount *cgroup_mount_of(const struct cgroup_mounts *mounts, const char *path,
					   bool unified, const char **rest);

#endif
