/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns cgroups as seen from outside the kernel: which one a process is in and what container that
 * means, and one that a user names by a path, with its processes. Version 2 and, where mounted,
 * version 1. Leaves those that the kernel names by their ids to cgroup_names.h, and following who
 * joins and leaves to bpf/.
 *
 * Paths are those of /proc/PID/cgroup: from the root of the reader's cgroup namespace, so that one
 * from a container can begin with "/..".
 */
#ifndef PYEBPF_CGROUP_H
#define PYEBPF_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "target/cgroup_mounts.h"

/* Where a process lives. Valid UTF-8, malloc'd. */
struct cgroup_place {
	char *path;      /* "": not known */
	char *container; /* "": none that is known */
};

/*
 * Takes a process' place from the text of /proc/PID/cgroup. Of several hierarchies the one counts
 * that tells of a container, else version 2's, else the one of systemd, else another, as far as it
 * is not at the root. Returns 0 or -ENOMEM.
 */
int cgroup_place_parse(const char *text, struct cgroup_place *place);

/* The same of a process. Errors: -ESRCH, -ENOMEM, other -errno. */
int cgroup_place_of(pid_t pid, struct cgroup_place *place);

/* Releases what the two above got. A zeroed struct is left alone. */
void cgroup_place_free(struct cgroup_place *place);

/*
 * Stores the innermost container that a path tells of: the id that docker, containerd, CRI-O and
 * podman give (64 hexadecimal digits), the name of an LXC or systemd-nspawn one, else the uid of a
 * Kubernetes pod, else "". Returns 0 or -ENOMEM.
 */
int cgroup_container(const char *path, char **container);

/* A cgroup that is to be recorded. */
struct cgroup {
	int fd;             /* of its directory */
	uint64_t id;        /* the kernel's, of its kernfs node: unique in its hierarchy */
	uint32_t hierarchy; /* the first number of a line of /proc/PID/cgroup; 0: version 2 */
	bool unified;
	char *path;        /* as in /proc/PID/cgroup */
	char *controllers; /* of version 1; else "" */
};

/*
 * Opens the cgroup that a user names: by the path of its directory (`/sys/fs/cgroup/system.slice`),
 * or by its path in a hierarchy (`system.slice/nginx.service`, `/docker/…`). Where several
 * hierarchies have that, the first counts in which it has processes, version 2's before others.
 * Errors, each with a sentence: -ENOENT no such cgroup, or none is mounted; -ENOTDIR; -ENOMEM;
 * other -errno.
 */
int cgroup_open(const char *path, struct cgroup *cgroup, struct error *error);
int cgroup_open_in(const struct cgroup_mounts *mounts, const char *path, struct cgroup *cgroup,
		   struct error *error);
void cgroup_close(struct cgroup *cgroup);

/*
 * Lists the processes in a cgroup and all those below it, in ascending order, each once; those that
 * this PID namespace has no number for are left out. *pids is malloc'd. Returns 0 or -errno.
 */
int cgroup_pids(const struct cgroup *cgroup, pid_t **pids, size_t *count);

/* Whether it was removed: no process can be in it any more, also not if one of its name is made. */
bool cgroup_removed(const struct cgroup *cgroup);

/* The number of a hierarchy with these controllers, from the text of /proc/PID/cgroup; or -ENOENT. */
int cgroup_hierarchy_parse(const char *text, const char *controllers);

#endif
