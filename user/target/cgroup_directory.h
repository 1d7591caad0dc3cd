/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the directories of cgroups: where one lies, its id in the kernel, and those below it. */
#ifndef PYEBPF_CGROUP_DIRECTORY_H
#define PYEBPF_CGROUP_DIRECTORY_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

/* Where an open directory lies now. Returns its length, or -errno. */
ssize_t cgroup_directory_path(int fd, char path[PATH_MAX]);

/* The kernel's id of an open directory; 0: not known. */
uint64_t cgroup_directory_id(int fd);

/*
 * Asks the kernel where the directory of this id lies; `hierarchy` is a descriptor of one in the same
 * hierarchy. Needs CAP_DAC_READ_SEARCH. Returns the path's length; -ENOENT: there is none; -errno.
 */
ssize_t cgroup_directory_of_id(int hierarchy, uint64_t id, char path[PATH_MAX]);

/* Takes the path of a directory. Not 0: an error, which ends the walk. */
typedef int cgroup_visitor(void *context, const char *directory);

/*
 * Visits a directory and all below it, but those that are removed meanwhile. Returns 0, the
 * visitor's error, -ENOMEM or another -errno.
 */
int cgroup_directories_walk(const char *root, cgroup_visitor *visit, void *context);

#endif
