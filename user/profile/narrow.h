/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the cutting of a profile down to one process or thread, so that no view has to do it. */
#ifndef PYEBPF_NARROW_H
#define PYEBPF_NARROW_H

#include "error.h"
#include "profile/profile.h"

/*
 * Stores a new profile, to be freed by profile_free(), with only the process `pid` (0: all) and
 * the thread `tid` (0: all). Returns 0; -ESRCH with *error set where nothing is left; -ENOMEM.
 */
int profile_narrow(const struct profile *profile, uint32_t pid, uint32_t tid,
		   struct profile **narrowed, struct error *error);

#endif
