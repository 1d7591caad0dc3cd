/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the columns of the table; see paint_rows.h. */
#include "screen/paint_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "views/paths.h"
#include "views/text.h"

#define PERCENT_WIDTH 6
#define SECONDS_WIDTH 9
#define SECONDS_FROM  110 /* columns of a screen that has room for seconds beside percent */

/* A column is there on screens from a width on. */
struct column_row {
	enum row_order order;
	const char *name;
	uint32_t columns;
	enum ink ink;
	bool seconds;
};

static const struct column_row column_rows[] = {
	{ORDER_SELF, "self", 0, INK_BOLD, false},
	{ORDER_TOTAL, "total", 36, INK_PLAIN, false},
	{ORDER_CPU, "cpu", 42, INK_CPU, false},
	{ORDER_QUEUE, "queue", 72, INK_CPU, false},
	{ORDER_IO, "io", 48, INK_IO, false},
	{ORDER_LOCK, "lock", 60, INK_LOCK, false},
	{ORDER_GIL, "gil", 54, INK_LOCK, false},
	{ORDER_OTHER, "other", 66, INK_PLAIN, false},
	{ORDER_IDLE, "idle", 66, INK_PLAIN, false},
	{ORDER_SELF, "self s", 80, INK_PLAIN, true},
	{ORDER_TOTAL, "total s", SECONDS_FROM, INK_PLAIN, true},
};
#define COLUMN_ROWS (sizeof(column_rows) / sizeof(column_rows[0]))

static bool column_is_shown(const struct scene *scene, const struct column_row *column)
{
	const struct settings *settings = scene->settings;

	if (scene->columns && scene->columns < column->columns)
		return false;
	if (column->order == ORDER_IDLE)
		return settings->idle || settings->order == ORDER_IDLE;
	if (column->order == ORDER_OTHER)
		return settings->order == ORDER_OTHER || !scene->columns ||
		       rows_other_matters(rows_head(scene->rows, settings->period));
	if (column->seconds && scene->columns && scene->columns < SECONDS_FROM)
		return settings->period == PERIOD_ALL && !settings->idle;
	return true;
}

static uint32_t column_width(const struct column_row *column)
{
	return column->seconds ? SECONDS_WIDTH : PERCENT_WIDTH;
}

/* What is left of a line for what a row is called. */
static uint32_t text_room(const struct scene *scene)
{
	uint32_t used = 2;
	size_t at;

	for (at = 0; at < COLUMN_ROWS; at++)
		if (column_is_shown(scene, &column_rows[at]))
			used += column_width(&column_rows[at]);
	if (!scene->columns)
		return UINT32_MAX / 2;
	return scene->columns > used ? scene->columns - used : 0;
}

static void paint_names(const struct scene *scene, const struct pen *pen)
{
	static const char *const texts[ROWS_VIEWS] = {
		[ROWS_FUNCTION] = "function (file:line)",
		[ROWS_LINE] = "line (file:line)",
		[ROWS_THREAD] = "thread id, where most of the time",
		[ROWS_PROCESS] = "process",
	};
	const struct settings *settings = scene->settings;
	enum ink ink = settings->order == ORDER_NAME ? INK_SORTED : INK_BAR;
	char text[32], *fitting;
	size_t at;

	for (at = 0; at < COLUMN_ROWS; at++) {
		const struct column_row *column = &column_rows[at];

		if (!column_is_shown(scene, column))
			continue;
		snprintf(text, sizeof(text), "%*s", (int)column_width(column), column->name);
		pen->put(pen->context, text,
			 column->order == settings->order && !column->seconds ? INK_SORTED
									      : INK_BAR);
	}
	pen->put(pen->context, "  ", INK_BAR);
	fitting = text_shorten(texts[settings->view], text_room(scene));
	if (fitting)
		pen->put(pen->context, fitting, ink);
	free(fitting);
	pen->end_line(pen->context, INK_BAR);
}

static void paint_cells(const struct scene *scene, const struct pen *pen, const struct row *row)
{
	const struct settings *settings = scene->settings;
	int64_t whole = rows_head(scene->rows, settings->period)->ns, ns;
	double percent;
	char text[32];
	size_t at;

	for (at = 0; at < COLUMN_ROWS; at++) {
		const struct column_row *column = &column_rows[at];

		if (!column_is_shown(scene, column))
			continue;
		ns = row_time(&row->times[settings->period], column->order, settings->idle);
		percent = whole > 0 ? (double)ns * 100 / (double)whole : 0;
		if (column->seconds)
			snprintf(text, sizeof(text), "%9.2f", (double)ns / 1e9);
		else
			snprintf(text, sizeof(text), percent < 999.95 ? "%6.1f" : "%6.0f", percent);
		pen->put(pen->context, text, percent < 0.05 ? INK_DIM : column->ink);
	}
	pen->put(pen->context, "  ", INK_PLAIN);
}

/* "worker-1 4243 gil burn (gil.py:12)", without the place where there is no room for it. */
static int thread_text(const struct scene *scene, const struct row *row, const char *file,
		       char **text)
{
	bool lives = row->window == rows_window(scene->rows);
	const char *state = lives ? state_name(row->state) : "not seen";
	char *where = NULL;
	int length;

	if (!row->where || !lives)
		return asprintf(text, "%s %" PRIu32 " %s", row->name, row->tid, state);
	length = asprintf(text, "%s %" PRIu32 " %s %s", row->name, row->tid, state, row->where);
	if (length < 0 || asprintf(&where, "%s (%s:%" PRId32 ")", *text, file, row->where_line) < 0)
		return length;
	if (text_width(where) > text_room(scene)) {
		free(where);
		return length;
	}
	free(*text);
	*text = where;
	return length;
}

/* What a row is called, to be freed; NULL: no memory. `file`: as short as it may be. */
static char *row_text(const struct scene *scene, const struct row *row, const char *file)
{
	char *text = NULL;
	int length;

	switch (scene->settings->view) {
	case ROWS_THREAD:
		length = thread_text(scene, row, file, &text);
		break;
	case ROWS_PROCESS:
		length = asprintf(&text, "%" PRIu32 " %s", row->pid, row->name);
		break;
	default:
		length = row->line ? asprintf(&text, "%s (%s:%" PRId32 ")", row->name, file,
					      row->line)
				   : asprintf(&text, "%s (%s)", row->name, file);
	}
	return length < 0 ? NULL : text;
}

static int paint_row(const struct scene *scene, const struct pen *pen, const struct row *row,
		     const char *file)
{
	char *text = row_text(scene, row, file);
	char *escaped = text ? text_escape(text) : NULL;
	char *fitting = escaped ? text_shorten(escaped, text_room(scene)) : NULL;

	if (fitting) {
		paint_cells(scene, pen, row);
		pen->put(pen->context, fitting, row->kind == KIND_PYTHON ? INK_PLAIN : INK_DIM);
		pen->end_line(pen->context, INK_PLAIN);
	}
	free(text);
	free(escaped);
	free(fitting);
	return fitting ? 0 : -ENOMEM;
}

/* Paths are as short as they may be without being mistaken for another one on the screen. */
static int files_shorten(const struct scene *scene, const struct row **rows, size_t count,
			 const char **files)
{
	const char **paths = calloc(count + 1, sizeof(*paths));
	size_t at;
	int error = paths ? 0 : -ENOMEM;

	for (at = 0; !error && at < count; at++)
		files[at] = paths[at] =
			rows[at]->where_file ? rows[at]->where_file : rows[at]->file;
	if (!error && scene->columns)
		error = paths_shorten(paths, (uint32_t)count, files);
	free(paths);
	return error;
}

static int paint_chosen(const struct scene *scene, const struct pen *pen, const struct row **rows,
			size_t count)
{
	const char **files = calloc(count + 1, sizeof(*files));
	size_t at;
	int error = files ? files_shorten(scene, rows, count, files) : -ENOMEM;

	for (at = 0; !error && at < count; at++)
		error = paint_row(scene, pen, rows[at], files[at]);
	free(files);
	return error;
}

int paint_rows(const struct scene *scene, const struct pen *pen, uint32_t lines)
{
	struct settings *settings = scene->settings;
	const struct row_choice choice = {.view = settings->view,
					  .period = settings->period,
					  .order = settings->order,
					  .reverse = settings->reverse,
					  .idle = settings->idle || settings->order == ORDER_IDLE,
					  .filter = settings->filter};
	const struct row **rows;
	size_t count, shown, page = lines > 1 ? lines - 1 : 0;
	int error = rows_choose(scene->rows, &choice, &rows, &count);

	if (error)
		return error;
	settings->page = page;
	settings->count = count;
	if (settings->scroll + page > count)
		settings->scroll = count > page ? count - page : 0;
	shown = count - settings->scroll < page ? count - settings->scroll : page;
	paint_names(scene, pen);
	error = paint_chosen(scene, pen, rows + settings->scroll, shown);
	free(rows);
	for (; scene->lines && shown < page; shown++)
		pen->end_line(pen->context, INK_PLAIN);
	return error;
}
