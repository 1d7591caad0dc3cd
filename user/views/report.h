/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the parts of the report that a person reads share: its data, and how text and places
 * are written. report.c holds the whole and the table of functions, report_head.c what comes before
 * it, report_native.c the table of native code.
 */
#ifndef PYEBPF_REPORT_H
#define PYEBPF_REPORT_H

#include <stdio.h>

#include "profile/summary.h"
#include "profile/verdict.h"
#include "views/view.h"

#define SECOND 1e9

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_BLUE, COLOUR_YELLOW };

/* A function as the report spells it. */
struct place {
	const char *name;
	const char *file;
	int32_t line;
	const char *short_file;
};

struct report {
	const struct profile *profile;
	const struct view_options *options;
	FILE *stream;
	size_t columns;
	struct summary *summary;
	struct verdicts *verdicts;
	const struct summary_row **rows; /* those to show, in order */
	struct place *places;            /* of the causes, then of the rows */
	uint32_t row_count;              /* shown at most */
	uint32_t rows_left;              /* charged rows that are not in `rows` */
	uint32_t cause_count;
	bool other; /* the table has a column for blocked otherwise */
};

/* Functions below that return int return 0 or -ENOMEM. */

/* Writes the processes with their verdicts, and the causes. */
int report_head(const struct report *report);

/* Writes the table of native code, and an empty line before it; nothing where it matters little. */
int report_native(const struct report *report);

void report_colour(const struct report *report, enum colour which);

/* Writes text from the recording in at most `columns`; returns the columns it took. */
size_t report_text(const struct report *report, const char *text, size_t columns);

/*
 * Writes "name file:line" in at most `columns`, the name shortened before the file is; returns the
 * columns it took.
 */
size_t report_place(const struct report *report, const struct place *place, size_t columns);

/* The columns that a place takes where there is room. */
size_t report_place_width(const struct place *place);

/* The function as it is defined, without its short_file. */
struct place report_function(const struct profile *profile, uint32_t function);

/* Whether a part is worth naming beside the whole. */
bool report_counts(int64_t part, int64_t whole);

#endif
