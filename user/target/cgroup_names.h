/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the names of cgroups by the ids that the kernel has for them. */
#ifndef PYEBPF_CGROUP_NAMES_H
#define PYEBPF_CGROUP_NAMES_H

#include <stdint.h>

#include "target/cgroup.h"

/*
 * Names by the kernel's ids: those of processes that have ended. Needs CAP_DAC_READ_SEARCH; without
 * it, hierarchies are searched, at most once a second.
 */
struct cgroups;

/* For the hierarchy that is mounted there; NULL: version 2's. Returns 0, -ENOENT or -ENOMEM. */
int cgroups_new(const char *mount_point, struct cgroups **cgroups);
void cgroups_free(struct cgroups *cgroups);

/*
 * Finds the path and container of the cgroup of this id, and keeps them: once found they are there
 * after the cgroup was removed. *place is valid until the next call. Returns 0, -ENOENT when there
 * is no such cgroup (any more), -ENOMEM, other -errno.
 */
int cgroups_find(struct cgroups *cgroups, uint64_t id, const struct cgroup_place **place);

#endif
