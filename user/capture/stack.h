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
	(KERNEL_FRAMES_MAX + FRAMES_BYTES / sizeof(uint64_t) + NATIVE_FRAMES_MAX + 3)

struct stack_maker {
	struct profile *profile;
	struct codes *codes;
	struct kernel_stacks *kernel;
	const struct modules *modules;
	uint64_t *lost;              /* counters, by enum loss */
	struct native_names *native; /* NULL: samples have no native frames */
	uint32_t locations[STACK_LOCATIONS_MAX];
};

/* The interpreter that a sample's Python frames are of. Zeroed: not known. */
struct stack_interpreter {
	uint16_t file;    /* number of the one that it is in */
	uint32_t version; /* as in struct python_layout */
};

/*
 * Stores the profile's id of the sample's stack and, of a running thread, what ran when the sample
 * was taken (enum leaf): LEAF_PYTHON is the interpreter at work on instructions of Python,
 * LEAF_NATIVE what these have called, be it built into the interpreter. Returns 0 or -ENOMEM.
 */
int stack_make(struct stack_maker *maker, const struct sample_record *sample,
	       const struct stack_interpreter *interpreter, uint32_t *stack, uint32_t *leaf);

/* Whether a sample is of something that happened in no time: messages, or growth of memory. */
bool sample_is_event(const struct sample_record *sample);

#endif
