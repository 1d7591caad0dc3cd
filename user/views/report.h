/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the parts of the report that a person reads share: its data, and how text and places
 * are written. report.c holds the whole and the table of functions; report_head.c, report_causes.c
 * and, for many processes, report_processes.c what comes before it; behind it come report_waits.c:
 * what was waited for, and who had the GIL; report_native.c: native code; report_rest.c: garbage
 * collection, CPUs, wakers, memory.
 */
#ifndef PYEBPF_REPORT_H
#define PYEBPF_REPORT_H

#include <stdio.h>

#include "profile/summary.h"
#include "profile/verdict.h"
#include "profile/waits.h"
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

/* A sentence of the diagnosis: a cause, which may be a pattern. */
#define CAUSE_ITEMS_MAX 5
#define CAUSE_PLACES    3
struct cause_item {
	const struct cause *cause;
	const struct exchange *exchange; /* NULL: none */
	struct place places[CAUSE_PLACES];
};

struct report {
	const struct profile *profile;
	const struct view_options *options;
	FILE *stream;
	size_t columns;
	struct summary *summary;
	const struct verdicts *verdicts;
	struct waits *waits;
	size_t name_width;               /* of a name in a sentence, at most */
	const struct summary_row **rows; /* those to show, in order */
	struct place *places;            /* of the rows */
	struct cause_item causes[CAUSE_ITEMS_MAX];
	uint32_t row_count; /* shown at most */
	uint32_t rows_left; /* charged rows that are not in `rows` */
	uint32_t cause_count;
	bool other; /* the table has a column for blocked otherwise */
};

/* Functions below that return int return 0 or -ENOMEM. */

/* Writes the processes with their verdicts, and the causes. */
int report_head(const struct report *report);

/* Writes a table of many processes: a row for each program. */
int report_programs(const struct report *report);

/*
 * The container of a process as it is shown beside others: the first digits of an id, else the name
 * shortened. "" if it has none or is alone. To be freed by the caller; NULL: no memory.
 */
char *report_container(const struct report *report, const struct profile_process *process);

/* Chooses the sentences; gives their places short files, once these are wanted. */
void report_choose_causes(struct report *report);
int report_name_causes(struct report *report);

/* Return text to be freed by the caller; NULL: no memory. "1. f f.py:1 burns 1.0 s of CPU" */
char *report_cause(const struct report *report, uint32_t at);

/* What the figures rest on: "1 234 samples, 0 lost". */
char *report_basis(const struct report *report);

/* Each writes a part, and an empty line before it; nothing where it matters little. */
int report_targets(const struct report *report);
int report_holders(const struct report *report);
int report_rest(const struct report *report);

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

/* Writes "1.2 s", "12 ms", "850 us". */
void report_duration(FILE *stream, double seconds);

/*
 * "render_page views.py:80" of a label that names a function by its whole path, "thread worker" of
 * one that names a thread. To be freed by the caller; NULL: no memory.
 */
char *label_text(const char *label);

/* Whether a table of so much time says anything of the process: 1 % of the active threads'. */
bool report_matters(const struct report *report, int64_t ns);

/*
 * Shares the columns that there are between two texts with REPORT_GAP between them. *left and
 * *right are what they would take, and become what they get; of too little, the right one nothing.
 */
#define REPORT_GAP        2
#define REPORT_PLACES_MIN 24
void report_fit(size_t room, size_t *left, size_t *right);

/* Whether a part is worth naming beside the whole. */
bool report_counts(int64_t part, int64_t whole);

#endif
