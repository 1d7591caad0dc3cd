/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the tables that are computed from a profile: time by function and by line. Leaves to waits.c
 * what was waited for, to user/views how they look, to verdict.c what they mean.
 */
#ifndef PYEBPF_SUMMARY_H
#define PYEBPF_SUMMARY_H

#include "profile/profile.h"

/*
 * A function's time. Of a Python function, `self` is all time in which it was the innermost Python
 * function, whatever it had called in C or in the kernel; of a native or kernel function, the time
 * in which it was the innermost frame. So time is charged once among the rows with `charged`, and
 * they add up to summary.states. `total` is the time with the function anywhere on the stack: that of
 * C which called back into Python has what Python then did.
 *
 * Native functions of one name and module are one row, whatever their sources.
 *
 * Time without a Python function has rows of its own, with `charged`, by the thread's name:
 * "[no Python frame]". Time that a thread's ledger has and no sample stands for is in the row
 * "[not sampled]".
 */
struct summary_row {
	int64_t function; /* in profile.functions, the first of several sources; -1: none */
	const char *name;
	const char *file; /* see profile_code_file(); of rows without a function, the thread */
	int32_t line;     /* co_firstlineno; 0: none */
	enum function_kind kind;
	bool charged;
	int64_t self[STATE_COUNT];
	int64_t total[STATE_COUNT];  /* recursive functions count once a stack */
	int64_t running[LEAF_COUNT]; /* self[STATE_RUNNING], by what was running */
	int64_t waits;             /* times that a thread blocked with the function on its stack */
	int64_t self_ns, total_ns; /* sums over the states */
	int64_t gc_ns; /* of collections that the function set off, whatever state they were in */
	int64_t grown, grown_total; /* bytes of memory, charged as the time is */
};

/* self of a row, by the line that was being run; 0: not known. Sorted by row and line. */
struct summary_line {
	uint32_t row;
	int32_t line;
	int64_t ns[STATE_COUNT];
	int64_t grown;
};

/* Self time of a native row by the Python place that called it. By row, the largest first. */
struct summary_caller {
	uint32_t row;
	uint32_t thread;  /* string: where no Python function called, the thread's name; else 0 */
	int64_t location; /* the innermost Python one; -1: none */
	int64_t ns;
};

struct summary {
	struct summary_row *rows; /* the largest self time first */
	struct summary_line *lines;
	struct summary_caller *callers;
	uint32_t row_count, line_count, caller_count;
	int64_t states[STATE_COUNT]; /* of all threads, from their ledgers */
	int64_t running[LEAF_COUNT];
	int64_t grown;
	int64_t gc_ns; /* of collections, as in the rows */
	bool grows;    /* the recording says where memory has grown */
	char **labels; /* texts that the rows point to */
	uint32_t label_count;
};

/* Stores a summary, to be freed by summary_free() before the profile. Returns 0 or -ENOMEM. */
int summary_make(const struct profile *profile, struct summary **summary);
void summary_free(struct summary *summary);

/* The callers of a row: returns the first of *count; NULL: there are none. */
const struct summary_caller *summary_callers(const struct summary *summary, uint32_t row,
					     uint32_t *count);

/* The lines of a row: returns the first of *count; NULL: there are none. */
const struct summary_line *summary_lines(const struct summary *summary, uint32_t row,
					 uint32_t *count);

/* What stands in the place of a function's name where time is charged to a thread. */
#define SUMMARY_NO_PYTHON "[no Python frame]"

/*
 * The garbage collections of all processes together, known as exactly as those of the one of which
 * least is known.
 */
struct profile_gc gc_of_all(const struct profile *profile);

/* Whether `collections` says how many there were. */
bool gc_is_counted(const struct profile_gc *gc);

/* How exact `ns` is: one standard deviation, in ns; 0: it was measured. */
int64_t gc_deviation(const struct profile_gc *gc, uint32_t rate_hz);

int64_t states_sum(const int64_t states[STATE_COUNT]);

#endif
