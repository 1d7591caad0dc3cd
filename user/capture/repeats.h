/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding functions that exchange many messages with one target within one call of a function:
 * the N+1 queries of a view. Calls are told apart by a thread's stack from one message to the next.
 * Only calls all of whose messages were sampled say how many there are in a call; a call of which
 * the beginning or the end was seen says of how many there are at least.
 *
 * When messages are sent one after the other from the same place, the innermost function that is
 * in a loop there goes on in the same call, as do its callers; those that it calls are called anew.
 * A function that comes back to where it was first seen, and is in no loop there, was called anew.
 * Where a caller is in a loop too, and all calls send from one place alone, one call cannot be told
 * from the next: then it is said how many messages there are, and not in how many calls.
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

/* A message that a thread sends. */
struct repeat_message {
	uint32_t process; /* index into profile.processes */
	uint32_t tid;
	uint64_t number; /* which of the thread's it is: where one is missing it was passed over */
	uint32_t target; /* string of the profile */
	uint32_t weight; /* messages that it stands for, itself among them */
	const struct repeat_frame *frames; /* outermost first */
	uint32_t count; /* of frames; those after REPEAT_FRAMES_MAX are ignored */
};

/* Takes a message. Returns 0 or -ENOMEM. */
int repeats_observe(struct repeats *repeats, const struct repeat_message *message);

/* Adds what was found to profile->repeats. Returns 0 or -ENOMEM. */
int repeats_finish(struct repeats *repeats);

#endif
