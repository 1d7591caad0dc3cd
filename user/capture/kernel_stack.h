/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns kernel stacks: which of their frames matter, and their places in the profile. */
#ifndef PYEBPF_KERNEL_STACK_H
#define PYEBPF_KERNEL_STACK_H

#include <stdint.h>

#include <linux/types.h>

#include "profile/profile.h"

struct kernel_stacks;

/* Symbols are read when the first stack comes. NULL: no memory. */
struct kernel_stacks *kernel_stacks_new(struct profile *profile);
void kernel_stacks_free(struct kernel_stacks *stacks);

/*
 * Writes the locations of a stack, innermost first, without the frames in which the scheduler and
 * the profiler themselves ran, to locations[*depth] and on, and adds to *depth. 0 or -ENOMEM.
 */
int kernel_stacks_locate(struct kernel_stacks *stacks, const __u64 *addresses, uint32_t count,
			 uint32_t *locations, uint32_t *depth);

#endif
