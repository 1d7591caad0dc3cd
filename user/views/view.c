/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the table of views, and what the terminal is like. */
#include "views/view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "profile/pprof.h"

#define COLUMNS_MIN 40
#define COLUMNS_MAX 1000

const struct view views[] = {
	{"pprof", ".pb.gz", "a recording, for pyebpf and any pprof tool", view_pprof},
	{"report", ".txt", "the table that a person reads", view_report},
	{"json", ".json", "the same for scripts", view_json},
	{"collapsed", ".collapsed", "one line a stack, for flame graph tools", view_collapsed},
	{NULL, NULL, NULL, NULL},
};

static const char *const sort_names[SORT_COUNT] = {
	[SORT_SELF] = "self", [SORT_TOTAL] = "total", [SORT_CPU] = "cpu",
	[SORT_IO] = "io",     [SORT_LOCK] = "lock",   [SORT_GIL] = "gil",
	[SORT_IDLE] = "idle", [SORT_WAITS] = "waits", [SORT_NAME] = "name",
};

const struct view *view_find(const char *name)
{
	const struct view *view;

	for (view = views; view->name; view++)
		if (!strcmp(view->name, name))
			return view;
	return NULL;
}

const struct view *view_for_file(const char *path)
{
	size_t length = strlen(path), size;
	const struct view *view;

	for (view = views; view->name; view++) {
		size = strlen(view->suffix);
		if (length > size && !strcmp(path + length - size, view->suffix))
			return view;
	}
	return NULL;
}

int sort_find(const char *name)
{
	int sort;

	for (sort = 0; sort < SORT_COUNT; sort++)
		if (!strcmp(sort_names[sort], name))
			return sort;
	return -1;
}

const char *sort_name(enum sort sort)
{
	return sort_names[sort];
}

void view_options_detect(struct view_options *options, FILE *stream)
{
	const char *columns = getenv("COLUMNS"), *terminal = getenv("TERM");
	const char *no_colour = getenv("NO_COLOR");
	bool is_terminal = isatty(fileno(stream)) == 1;
	struct winsize size;
	long value = columns ? strtol(columns, NULL, 10) : 0;

	if (value <= 0 && is_terminal && !ioctl(fileno(stream), TIOCGWINSZ, &size))
		value = size.ws_col;
	if (value > 0 && value < COLUMNS_MIN)
		value = COLUMNS_MIN;
	if (value > COLUMNS_MAX)
		value = COLUMNS_MAX;
	options->columns = value > 0 ? (uint32_t)value : 0;
	options->colour = is_terminal && !(no_colour && *no_colour) && terminal && *terminal &&
			  strcmp(terminal, "dumb") != 0;
}

int view_pprof(const struct profile *profile, const struct view_options *options, FILE *stream)
{
	return pprof_write(profile, stream, NULL);
}
