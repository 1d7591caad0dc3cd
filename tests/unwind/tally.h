/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns comparing two stacks of one thread, and the counts of what came of it, with reasons. */
#ifndef PYEBPF_TESTS_TALLY_H
#define PYEBPF_TESTS_TALLY_H

#include <jansson.h>
#include <stdint.h>

#include "stack.h"

enum outcome {
	OUTCOME_EQUAL,
	OUTCOME_ALIKE,    /* both end where there is no call frame information to go on by */
	OUTCOME_SHORTER,  /* pyebpf's is cut, and says so */
	OUTCOME_GIVEN_UP, /* the reference gives up or guesses, and pyebpf's goes on */
	OUTCOME_DIFFERENT,
	OUTCOME_COUNT
};

/* The names in JSON. */
extern const char *const outcome_names[OUTCOME_COUNT];

struct reason;
struct place;

struct tally {
	uint64_t outcomes[OUTCOME_COUNT];
	uint64_t places; /* all outcomes */
	uint64_t frames; /* of the reference */
	uint64_t in_syscalls;
	uint64_t stepped;
	struct reason *reasons;
	struct place *stacks;    /* distinct ones */
	struct place *addresses; /* distinct ones of innermost frames */
};

/*
 * Compares. *common is the number of innermost frames that are the same; where they are not, the
 * last of these is the one from which both do not find the same caller.
 */
enum outcome stacks_compare(const struct stack *walked, const struct stack *reference,
			    uint32_t *common);

/* Counts a pair of stacks. Returns 0 or -ENOMEM. */
int tally_add(struct tally *tally, enum outcome outcome, const struct stack *walked,
	      const struct stack *reference);

/* Counts why an outcome is not OUTCOME_EQUAL. Returns 0 or -ENOMEM. */
int tally_add_reason(struct tally *tally, enum outcome outcome, const char *where, const char *why);

/* All of it; NULL: no memory. */
json_t *tally_json(const struct tally *tally);

void tally_free(struct tally *tally);

#endif
