/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding functions that exchange many messages with one target within one call of a function:
 * the N+1 queries of a view. Calls are told apart by what is seen of a thread's stack from one
 * sample to the next; calls of which nothing was seen between them count as one.
 *
 * When messages are sent one after the other from the same place, the innermost function that is
 * in a loop there goes on in the same call, as do its callers; those that it calls are called anew.
 * A function that comes back to where it was first seen, and is in no loop there, was called anew.
 */
#ifndef PYEBPF_REPEATS_H
#define PYEBPF_REPEATS_H

#include <stdbool.h>
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
	bool loops; /* the instruction lies in a loop of the function */
};

/*
 * Takes a thread's stack, outermost frame first, at most REPEAT_FRAMES_MAX frames. `weight`: it
 * sends a message to `target` (a string of the profile), and stands for so many that do; 0: it
 * sends none. Returns 0 or -ENOMEM.
 */
int repeats_observe(struct repeats *repeats, uint32_t process, uint32_t tid,
		    const struct repeat_frame *frames, uint32_t count, uint32_t target,
		    uint32_t weight);

/* Messages of the thread were passed over: of calls that are under way nothing can be told. */
void repeats_forget(struct repeats *repeats, uint32_t process, uint32_t tid);

/* Adds what was found to profile->repeats. Returns 0 or -ENOMEM. */
int repeats_finish(struct repeats *repeats);

#endif
