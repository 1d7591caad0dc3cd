/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the table of views: what a recording can be shown or written as. A new view is a file with
 * a function and a row in view.c.
 */
#ifndef PYEBPF_VIEW_H
#define PYEBPF_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "error.h"
#include "profile/profile.h"

enum sort {
	SORT_SELF,
	SORT_TOTAL,
	SORT_CPU,
	SORT_IO,
	SORT_LOCK,
	SORT_GIL,
	SORT_IDLE,
	SORT_WAITS,
	SORT_NAME,
	SORT_COUNT
};

/* Zeroed options are the defaults. */
struct view_options {
	enum sort sort;        /* of the report's table */
	uint32_t rows;         /* of it; 0: as many as make 24 lines up to its end */
	uint32_t columns;      /* of the terminal; 0: 80 */
	bool colour;           /* whether the stream is a terminal that shows colours */
	const char *recording; /* file that the profile is kept in, for the reader; NULL: none */
};

struct view {
	const char *name;   /* for -f */
	const char *suffix; /* of files in this format */
	const char *text;   /* what it is, in a few words */
	/* Returns 0, or -errno of memory or the stream, without flushing it. */
	int (*write)(const struct profile *profile, const struct view_options *options,
		     FILE *stream);
};

/* All views, ending with a name of NULL. The first is what `record` writes by default. */
extern const struct view views[];

/* Return NULL where there is none of that name, or for a file of that name. */
const struct view *view_find(const char *name);
const struct view *view_for_file(const char *path);

/* Returns -1 where there is no such order. */
int sort_find(const char *name);
const char *sort_name(enum sort sort);

/* Fills in columns and colour from the stream and the environment (COLUMNS, NO_COLOR, TERM). */
void view_options_detect(struct view_options *options, FILE *stream);

int view_report(const struct profile *profile, const struct view_options *options, FILE *stream);
int view_json(const struct profile *profile, const struct view_options *options, FILE *stream);
int view_collapsed(const struct profile *profile, const struct view_options *options, FILE *stream);
int view_pprof(const struct profile *profile, const struct view_options *options, FILE *stream);

#endif
