/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the lists of processes that /proc gives: all of the host, as far as this PID namespace shows
 * it, and those that descend from one. Leaves those of a cgroup to cgroup.h.
 */
#ifndef PYEBPF_PROCESS_LIST_H
#define PYEBPF_PROCESS_LIST_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Lists all processes, kernel threads included, in no order. *pids is malloc'd. Returns 0, -ENOMEM
 * or another -errno.
 */
int process_list_all(pid_t **pids, size_t *count);

/*
 * The same of those that descend from `ancestor`, without itself. A process whose parent has ended
 * was given another parent by the kernel, and is found only below that one.
 */
int process_list_descendants(pid_t ancestor, pid_t **pids, size_t *count);

#endif
