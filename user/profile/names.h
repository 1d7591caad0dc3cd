/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the names by which recordings and reports call states, classes, leaves, kinds and losses.
 * Leaves to include/state.h and include/loss.h what there is to be named.
 */
#ifndef PYEBPF_NAMES_H
#define PYEBPF_NAMES_H

#include "profile/profile.h"

/* The columns of the report: the classes of states, with the GIL apart from other locks. */
enum column {
	COLUMN_CPU,
	COLUMN_IO,
	COLUMN_LOCK,
	COLUMN_GIL,
	COLUMN_IDLE,
	COLUMN_OTHER,
	COLUMN_COUNT
};

const char *state_name(enum state state);
const char *leaf_name(enum leaf leaf);
const char *kind_name(enum function_kind kind);
const char *column_name(enum column column);
const char *gc_source_name(enum gc_source source); /* "usdt"; of GC_UNKNOWN "" */
const char *loss_name(enum loss loss);
const char *loss_text(enum loss loss); /* "samples dropped: the ring buffer was full" */

/* Return the one of that name, or -1. */
int state_find(const char *name);
int leaf_find(const char *name);
int gc_source_find(const char *name);
int loss_find(const char *name);

enum column state_column(enum state state);

/* Adds the times of the states up by column. */
void column_sums(const int64_t states[STATE_COUNT], int64_t columns[COLUMN_COUNT]);

/*
 * Whether a sample's target is a client of the process' own server, spelt `:PORT from ADDRESS`: a
 * wait for it is a wait for work.
 */
bool target_is_client(const char *target);

#endif
