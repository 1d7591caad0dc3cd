/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns sums of samples by a few numbers. Leaves to the callers what the numbers mean. */
#ifndef PYEBPF_TALLY_H
#define PYEBPF_TALLY_H

#include "profile/profile.h"
#include "profile/table.h"

#define TALLY_KEYS 4

struct tally {
	uint32_t key[TALLY_KEYS];
	int64_t ns;
	int64_t active_ns; /* of `ns`, what threads had of which the verdict speaks */
	int64_t waits;
	int64_t sends;
	int64_t receives;
	int64_t longest_ns;
};

/* Starts zeroed. */
struct tallies {
	struct tally *items;
	uint32_t count;
	struct table table;
};

/* Finds or adds the sums of a key, with values 0 when new. They may move when another is added. */
int tally_find(struct tallies *tallies, const uint32_t key[TALLY_KEYS], struct tally **tally);

/* Adds the values, not the keys. */
void tally_add(struct tally *sum, const struct tally *part);

/* What a sample adds to a tally. */
struct tally tally_of(const struct profile_sample *sample, bool active);

/* Sorts: the most time first, then the most waits, then the most messages. Ends the finding. */
void tallies_sort(struct tallies *tallies);

/* The order of tallies_sort(), for qsort() of structures that begin with a tally. */
int tally_compare(const void *left, const void *right);

void tallies_clear(struct tallies *tallies);

#endif
