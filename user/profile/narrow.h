/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the cutting of a profile down to one process or thread, or to its Python frames, so that no
 * view has to do it.
 */
#ifndef PYEBPF_NARROW_H
#define PYEBPF_NARROW_H

#include "error.h"
#include "profile/profile.h"

/* What is to stay. Zeroed: all. */
struct narrowing {
	uint32_t pid; /* only this process; 0: all */
	uint32_t tid; /* only this thread, without what is known of its process alone; 0: all */
	/*
	 * No native and kernel frames. What ran, struct profile_key.leaf, stays, and so do notices
	 * at the outer end of a stack: those further in speak of native frames.
	 */
	bool python_only;
	const bool *left_out; /* by process, of the first left_out_count: not these */
	uint32_t left_out_count;
};

/*
 * Stores a new profile, to be freed by profile_free(). Returns 0; -ESRCH with *error set where
 * nothing is left; -ENOMEM.
 */
int profile_narrow(const struct profile *profile, const struct narrowing *narrowing,
		   struct profile **narrowed, struct error *error);

#endif
