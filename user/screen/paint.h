/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the live screen says, line by line. Leaves to a pen how it gets onto a terminal or into
 * a file, so that both say the same.
 */
#ifndef PYEBPF_PAINT_H
#define PYEBPF_PAINT_H

#include <stdint.h>

#include "loss.h"
#include "screen/settings.h"

enum ink {
	INK_PLAIN,
	INK_BOLD,
	INK_DIM,
	INK_BAR,    /* the line of the columns' names, and the last one */
	INK_SORTED, /* the name of the column that is sorted by */
	INK_CPU,
	INK_IO,
	INK_LOCK,
	INK_ALARM,
	INK_COUNT
};

/* Texts are UTF-8 without control characters and fit into the line. */
struct pen {
	void *context;
	void (*put)(void *context, const char *text, enum ink ink);
	void (*end_line)(void *context, enum ink ink); /* the rest of the line is of that ink */
};

/* What pyebpf says of itself. */
struct scene_costs {
	double cpu_percent; /* of one CPU, in the last window */
	int64_t rss_bytes;
	uint32_t rate_hz;
	uint64_t samples;          /* in the last window */
	uint64_t lost[LOSS_COUNT]; /* since the start */
};

struct scene {
	const struct rows *rows;
	struct settings *settings; /* page and count are set by painting */
	struct scene_costs costs;
	const char *message; /* beside the keys; NULL: none */
	uint32_t columns;    /* 0: as many as it takes */
	uint32_t lines;      /* 0: likewise, and no line of keys */
};

/* Returns 0 or -ENOMEM. */
int scene_paint(const struct scene *scene, const struct pen *pen);

#endif
