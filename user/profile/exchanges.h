/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what is known of functions that exchange many messages in one call of another: the repeats
 * of all processes together, with the time that samples say it took. What a server exchanges with its
 * clients is left out: they ask for it.
 */
#ifndef PYEBPF_EXCHANGES_H
#define PYEBPF_EXCHANGES_H

#include "profile/profile.h"

#define EXCHANGES_MAX  64 /* so many are looked at, those with the most messages */
#define EXCHANGES_MANY 10 /* messages in a call from which on they are worth naming */

struct exchange {
	uint32_t caller, function; /* in profile.functions; the same where it loops itself */
	uint32_t location;         /* in `caller` */
	uint32_t target;           /* string */
	uint64_t calls;            /* of `caller`; 0: not known */
	uint64_t sends;            /* in these together */
	uint64_t most;             /* in one of them */
	bool at_least;             /* see struct profile_repeat */
	/* From samples with `function` inside of `caller`, of active threads: */
	int64_t ns;       /* waiting for the target */
	int64_t waits;    /* for it */
	int64_t whole_ns; /* on a CPU and waiting, for whatever but new work */
	int64_t seen_sends, seen_receives;
};

struct exchanges {
	struct exchange *items; /* the most messages first */
	uint32_t count;
};

/*
 * Stores what there is, to be freed by exchanges_free(). `active`: of each sample, whether its thread
 * is; NULL: all are. Returns 0 or -ENOMEM.
 */
int exchanges_make(const struct profile *profile, const bool *active, struct exchanges *exchanges);
void exchanges_free(struct exchanges *exchanges);

/* Whether these are many small round trips: a stream of data goes one way only. */
bool exchange_is_many(const struct exchange *exchange);

/* Whether a stack has the function inside of the caller; where it loops itself, at the same line. */
bool exchange_has(const struct profile *profile, const struct exchange *exchange, uint32_t stack);

#endif
