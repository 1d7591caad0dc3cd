/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the tables of why threads waited: for what, for whom, who ended it, and what ran instead.
 * Leaves to user/views how they look.
 *
 * Time is charged as in summary.h: to the innermost Python function, or to the thread where there
 * is none. Only targets are charged to the innermost function of the program's own, where there is
 * one: a database is asked and waited for in several functions of its driver.
 */
#ifndef PYEBPF_WAITS_H
#define PYEBPF_WAITS_H

#include "profile/profile.h"
#include "profile/tally.h"

/* The numbers by which all tables here but the holders are kept, in struct tally.key. */
enum wait_key {
	WAIT_FUNCTION, /* in profile.functions; WAIT_NO_FUNCTION */
	WAIT_THREAD,   /* string: where there is no function, the thread's name; else 0 */
	WAIT_STATE,
	WAIT_OTHER, /* string: the target, the waker, what ran instead */
};

#define WAIT_NO_FUNCTION UINT32_MAX

/*
 * What was waited for, or talked to: messages without a wait make a row of state `socket` with 0
 * waits. Peers at one address that differ in an ephemeral port alone are one, `10.0.0.7:*`, where a
 * function has more than WAIT_PEERS_MAX of them.
 */
#define WAIT_PEERS_MAX     8
#define WAIT_EPHEMERAL_MIN 32768

struct target_row {
	struct tally sums; /* first: tally_compare(). WAIT_OTHER is of no meaning */
	const char *target;
	uint32_t length; /* the first of its rows in `lengths` */
	uint32_t length_count;
};

/* How many waits were below 1 << length ns, and not below half of that. */
struct length_row {
	uint32_t target;
	uint32_t length;
	int64_t waits;
};

/* Who had the GIL when other threads began to wait for it. */
struct holder_row {
	struct tally sums; /* of the others' waits */
	int64_t function;  /* in profile.functions; -1: it is in no sample itself */
	const char *name, *file;
	int32_t line;
	/* The native function that more than half of the function's own samples ran; "": none. */
	const char *native;
	const char *native_file;
};

struct waits {
	struct target_row *targets; /* the most time first, like all tables here */
	struct length_row *lengths; /* by target and length */
	struct holder_row *holders;
	struct tallies wakers;
	struct tallies runqueue; /* waits for a CPU, by the name of what ran instead */
	uint32_t target_count, length_count, holder_count;
	struct tally gil;   /* all waits for the GIL, also those of which no holder is known */
	bool lengths_known; /* the recording says how long single waits were, and counts messages */
	char **labels;      /* texts that the rows point to */
	uint32_t label_count;
};

/*
 * Stores tables, to be freed by waits_free() before the profile. `active` says of each sample
 * whether its thread is active, see verdict.h; NULL: all are. Returns 0 or -ENOMEM.
 */
int waits_make(const struct profile *profile, const bool *active, struct waits **waits);
void waits_free(struct waits *waits);

/*
 * The length, in ns, that a part of a target's waits (0.5: half) does not exceed, as far as powers
 * of two tell: within one, lengths count as evenly spread. -1: it is not known.
 */
int64_t wait_quantile(const struct waits *waits, const struct target_row *target, double part);

#endif
