/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the profile of one stretch of time, a window, while it is being made: what was sampled in it
 * and the ledgers of its threads become a profile of their own, as user/profile/estimate.c makes
 * one of a whole recording. The capture's profile, from which samples come with their names, is
 * only read. Leaves to live.h which time belongs to which window.
 */
#ifndef PYEBPF_LIVE_WINDOW_H
#define PYEBPF_LIVE_WINDOW_H

#include "profile/profile.h"

struct window;

/* `source` must outlive the window. NULL: no memory. */
struct window *window_new(const struct profile *source);
void window_free(struct window *window);

/*
 * Add time to the sample of a key, whose ids are those of the source. Exact time is what it says,
 * sampled time is scaled to what the ledgers leave for it. Return 0 or -ENOMEM.
 */
int window_add_exact(struct window *window, const struct profile_key *key, uint64_t ns);
int window_add_sampled(struct window *window, const struct profile_key *key, uint64_t ns);

/* Adds the part of a thread's ledger that is of this window. `name`: of the source. */
int window_add_thread(struct window *window, const struct profile_thread *thread);

/* To be called before the source forgets its stacks. */
void window_forget_stacks(struct window *window);

/* Samples that differ, until now. */
uint32_t window_samples(const struct window *window);

/*
 * Settles all values and stores the profile, which then is the caller's. Processes have the numbers
 * that they have in the source. Returns 0 or -ENOMEM.
 */
int window_finish(struct window *window, struct profile **profile);

#endif
