/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns making one stack of a sample's three: kernel frames, then native frames with Python frames
 * in the place of the interpreter's loop. Leaves what frames are called to kernel_stack.h,
 * native_names.h and codes.h.
 */
#ifndef PYEBPF_STACK_H
#define PYEBPF_STACK_H

#include <stdint.h>

#include "capture/codes.h"
#include "capture/kernel_stack.h"
#include "capture/native_names.h"
#include "profile/profile.h"
#include "record.h"

/* With room for all frames and notices. */
#define STACK_LOCATIONS_MAX \
	(KERNEL_FRAMES_MAX + FRAMES_BYTES / sizeof(uint64_t) + NATIVE_FRAMES_MAX + 2)

struct stack_maker {
	struct profile *profile;
	struct codes *codes;
	struct kernel_stacks *kernel;
	struct native_names *native; /* NULL: samples have no native frames */
	uint32_t locations[STACK_LOCATIONS_MAX];
};

/*
 * Stores the profile's id of the sample's stack. `interpreter` is the number of the file that the
 * interpreter is in, 0: not known. Returns 0, -EINVAL: the sample's parts do not fit, or -ENOMEM.
 */
int stack_make(struct stack_maker *maker, const struct sample_record *sample, uint16_t interpreter,
	       uint32_t *stack);

/*
 * What ran when the sample of a running thread was taken: native code as well if the interpreter's
 * own instructions were only called from it. enum leaf.
 */
uint32_t stack_leaf(const struct sample_record *sample, uint16_t interpreter);

/* The sample's native frames. */
const uint64_t *sample_native(const struct sample_record *sample);

#endif
