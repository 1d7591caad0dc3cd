/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns which cgroups belong to the one that is recorded: itself and all below it, of version 1 or
 * 2. Leaves to follow.bpf.h what is done with the processes in them.
 */
#ifndef PYEBPF_SCOPE_BPF_H
#define PYEBPF_SCOPE_BPF_H

#include "config.bpf.h"

#define CGROUP_DEPTH_MAX 64 /* levels between a process' cgroup and the recorded one */

static __always_inline bool cgroup_is_followed(struct cgroup *cgroup)
{
	struct cgroup_subsys_state *parent;
	__u32 depth;

	if (follow_scope != FOLLOW_CGROUP)
		return false;
	for (depth = 0; depth < CGROUP_DEPTH_MAX && cgroup; depth++) {
		if (BPF_CORE_READ(cgroup, kn, id) == follow_cgroup)
			return true;
		parent = BPF_CORE_READ(cgroup, self.parent);
		cgroup = parent ? BPF_CORE_READ(parent, cgroup) : NULL;
	}
	return false;
}

/* Whether a cgroup is of the recorded one's hierarchy: others' ids are other cgroups'. */
static __always_inline bool cgroup_is_of_hierarchy(struct cgroup *cgroup)
{
	return BPF_CORE_READ(cgroup, root, hierarchy_id) == (int)follow_hierarchy;
}

/* NULL: the hierarchy is of version 1, where a process' cgroup is known only when it moves. */
static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	return follow_hierarchy ? NULL : BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

/*
 * Whether a new process was put into a cgroup at its birth (CLONE_INTO_CGROUP), which only version
 * 2 has. Else it is where its parent is.
 */
static __always_inline bool child_is_elsewhere(struct task_struct *parent,
					       struct task_struct *child)
{
	return follow_scope == FOLLOW_CGROUP && task_cgroup(parent) != task_cgroup(child);
}

#endif
