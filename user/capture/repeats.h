/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding functions that exchange many messages with one target within one call of a function:
 * the N+1 queries of a view. Calls are told apart by what is seen of a thread's stack from one
 * sample to the next; calls of which nothing was seen between them count as one.
 *
 * A frame is still of the same call while it and all its callers are where they were, and it has
 * not come back to where it was first seen: that is taken for the next call of a function, not for
 * a loop around all of it.
 */
#ifndef PYEBPF_REPEATS_H
#define PYEBPF_REPEATS_H

#include <stdint.h>

#include "profile/profile.h"

#define REPEAT_FRAMES_MAX 128 /* outermost Python frames that are followed */
#define REPEAT_MIN        10  /* messages in one call on average, below which it is no pattern */

struct repeats;

/* The profile must outlive them. NULL: no memory. */
struct repeats *repeats_new(struct profile *profile);
void repeats_free(struct repeats *repeats);

/* A Python frame of a sample: a location of the profile, and which instruction it is at. */
struct repeat_frame {
	uint32_t location;
	int32_t instruction;
};

/*
 * Takes a thread's stack, outermost frame first, at most REPEAT_FRAMES_MAX frames. `sends`: messages
 * that the sample stands for, to `target` (a string of the profile); 0: none. 0 or -ENOMEM.
 */
int repeats_observe(struct repeats *repeats, uint32_t process, uint32_t tid,
		    const struct repeat_frame *frames, uint32_t count, uint32_t target,
		    uint32_t sends);

/* Adds what was found to profile->repeats. Returns 0 or -ENOMEM. */
int repeats_finish(struct repeats *repeats);

#endif
