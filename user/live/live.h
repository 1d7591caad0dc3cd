/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the cutting of a capture's time into windows, each from one look at all threads to the next.
 * A look says what a thread's ledger has come to; the difference to the look before is exactly what
 * the thread did in the window. Of a wait, a window has the part that lies in it, however much
 * longer the wait is: a look tells of one that goes on, a sample of one that has ended.
 *
 * Leaves to window.h the making of a window's profile, to rows.h what is shown of it.
 */
#ifndef PYEBPF_LIVE_H
#define PYEBPF_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"

struct live;

/* A sample, as the capture has it (see struct sample_record); ids of `key` are of the source. */
struct live_sample {
	struct profile_key key; /* without state runqueue if there is a wait */
	uint64_t time_ns;       /* when it was taken */
	uint64_t ns;            /* in key.state; 0: only the run queue's part counts */
	uint64_t length_ns;     /* of the wait; 0: none */
	uint64_t runqueue_ns;   /* after the wait */
	uint64_t runqueue_length_ns;
	bool look; /* the wait goes on */
};

/* A thread's ledger from the thread's start (or the capture's) to `end_ns`. */
struct live_ledger {
	uint32_t process; /* in source->processes */
	uint32_t tid;
	uint32_t name; /* string of the source */
	uint64_t start_ns, end_ns;
	uint64_t ns[STATE_COUNT];
	bool still_away; /* in the same wait as at the last look that came with a sample */
};

/* `start_ns`: when the first window begins. NULL: no memory. */
struct live *live_new(const struct profile *source, uint64_t start_ns);
void live_free(struct live *live);

/* Take what the capture tells. No memory is remembered for live_look_end(). */
void live_add_sample(struct live *live, const struct live_sample *sample);
void live_add_ledger(struct live *live, const struct live_ledger *ledger);

/*
 * Bracket a look: between them ledgers are those of living threads as well. The end makes the
 * window's profile, to be freed by the caller, in which each sample and thread has what is of this
 * window. Its facts.duration_ns is the window's length, from when its threads were looked at on
 * average, its processes' gc.ns what collections took
 * in it. Returns 0 or -ENOMEM with *window NULL.
 */
void live_look_begin(struct live *live);
int live_look_end(struct live *live, uint64_t now_ns, struct profile **window);

/* Samples that differ in the window that is open. */
uint32_t live_pending(const struct live *live);

/*
 * To be called before the source forgets its stacks, and not within a look. The next look must come
 * with a sample of each thread that is away.
 */
void live_forget_stacks(struct live *live);

#endif
