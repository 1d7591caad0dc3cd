/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the step from captured samples to a profile whose sums are exact. Long waits are known
 * exactly, running time and short waits only by sampling; the ledger knows every thread's exact
 * time in each state. What was sampled is scaled so that it fills what the ledger leaves:
 *
 *  - by thread and state, where at least ESTIMATE_SAMPLES_MIN samples say how it is spread;
 *  - else by process and state, for all threads together that have fewer: each one's few samples
 *    would say little of that thread, but together they say how such threads spent their time;
 *  - time of which there is no sample at all keeps its thread and state, and has no stack.
 */
#ifndef PYEBPF_ESTIMATE_H
#define PYEBPF_ESTIMATE_H

#include "profile/profile.h"

#define ESTIMATE_SAMPLES_MIN 10

struct estimates;

/* The profile must outlive them. NULL: no memory. */
struct estimates *estimates_new(struct profile *profile);
void estimates_free(struct estimates *estimates);

/* Adds to the sample of this key, found or made. Return 0 or -ENOMEM. */
int estimates_add_exact(struct estimates *estimates, const struct profile_key *key, uint64_t ns,
			uint64_t waits);
int estimates_add_sampled(struct estimates *estimates, const struct profile_key *key, uint64_t ns,
			  double waits);

/*
 * Finds or makes the sample of this key, for values that no ledger has: those may be changed until
 * the next call. Returns 0 or -ENOMEM.
 */
int estimates_find_sample(struct estimates *estimates, const struct profile_key *key,
			  struct profile_sample **sample);

/*
 * Writes the values of all samples, by the ledgers in profile->threads. A thread without a ledger
 * (its record was lost, which is counted) keeps what was sampled. Return 0 or -ENOMEM.
 */
int estimates_finish(struct estimates *estimates);

#endif
