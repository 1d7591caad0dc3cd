/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns kernel stacks: which of their frames matter, their names and places in the profile. */
#ifndef PYEBPF_KERNEL_STACK_H
#define PYEBPF_KERNEL_STACK_H

#include <stdint.h>

#include <linux/types.h>

#include "profile/profile.h"

struct kernel_stacks;

/* Writes the name of the function at a kernel address. Returns 0, or -errno: it has none. */
typedef int kernel_namer(void *context, uint64_t address, char *name, size_t size);

/* NULL: no memory. The profile must outlive them. */
struct kernel_stacks *kernel_stacks_new(struct profile *profile);
void kernel_stacks_free(struct kernel_stacks *stacks);

void kernel_stacks_name_by(struct kernel_stacks *stacks, kernel_namer *namer, void *context);

/*
 * Writes the locations of a stack, innermost first, without the frames in which the scheduler and
 * the profiler themselves ran, to locations[*depth] and on, and adds to *depth. 0 or -ENOMEM.
 */
int kernel_stacks_locate(struct kernel_stacks *stacks, const __u64 *addresses, uint32_t count,
			 uint32_t *locations, uint32_t *depth);

#endif
