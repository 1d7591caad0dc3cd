/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the heading and the frame of the screen; see paint.h. Leaves the table to paint_rows.c. */
#include "screen/paint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "screen/paint_rows.h"
#include "views/text.h"

#define PROCESSES_SHOWN 8
#define LINES_A_PROCESS 6  /* that the screen has for each process in the heading */
#define NAME_ROOM       28 /* columns of a process' name there */
#define VERDICT_LINES   2  /* at most */
#define LINES_FOR_HEAD  8  /* a lower screen has no heading */

/* The processes of the period, the busiest first. */
struct crowd {
	const struct live_process **all;
	uint32_t count;
};

/* Writes text, escaped and cut to what is left of the line; returns the columns it took. */
static uint32_t paint_text(const struct pen *pen, const char *text, uint32_t room, enum ink ink)
{
	char *escaped = text_escape(text);
	char *fitting = escaped && room ? text_cut(escaped, room) : NULL;
	uint32_t width = 0;

	if (fitting) {
		width = (uint32_t)text_width(fitting);
		pen->put(pen->context, fitting, ink);
	}
	free(escaped);
	free(fitting);
	return width;
}

/* A process' name with at most so many columns, to be freed; NULL: no memory. */
static char *name_text(const struct live_process *process, uint32_t room)
{
	char *escaped = text_escape(process->command);
	char *fitting = escaped ? text_shorten(escaped, room) : NULL;

	free(escaped);
	return fitting;
}

static uint32_t scene_room(const struct scene *scene)
{
	return scene->columns ? scene->columns : UINT32_MAX / 2;
}

static void paint_line(const struct scene *scene, const struct pen *pen, const char *text,
		       enum ink ink)
{
	paint_text(pen, text, scene_room(scene), ink);
	pen->end_line(pen->context, INK_PLAIN);
}

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static double percent(int64_t part, int64_t whole)
{
	return whole > 0 ? (double)part * 100 / (double)whole : 0;
}

/* Which processes; NULL: no memory. To be freed. */
static char *title_text(const struct scene *scene, const struct crowd *crowd)
{
	const struct live_process *only = crowd->count ? crowd->all[0] : NULL;
	uint32_t at, ended = 0, threads = 0;
	char *text = NULL;
	int length;

	for (at = 0; at < crowd->count; at++) {
		threads += crowd->all[at]->verdicts[scene->settings->period].threads;
		ended += !live_process_lives(rows_processes(scene->rows), crowd->all[at]);
	}
	if (!rows_window(scene->rows))
		length = asprintf(&text, "Looking: the first figures come in a moment");
	else if (crowd->count == 1)
		length = asprintf(&text, "%s  pid %" PRIu32 "  %.*s", only->command, only->pid,
				  (int)strcspn(only->python, "("), only->python);
	else if (!crowd->count)
		length = asprintf(&text, "No Python process");
	else if (ended)
		length = asprintf(&text, "%" PRIu32 " processes, %" PRIu32 " of them ended",
				  crowd->count, ended);
	else
		length = asprintf(&text, "%" PRIu32 " processes, %" PRIu32 " threads", crowd->count,
				  threads);
	return length < 0 ? NULL : text;
}

/* Which processes, at the left, and which time, at the right. */
static void paint_title(const struct scene *scene, const struct pen *pen, const struct crowd *crowd)
{
	const struct settings *settings = scene->settings;
	const struct row_head *head = rows_head(scene->rows, settings->period);
	char period[64], *title = title_text(scene, crowd);
	uint32_t used, width;

	/* A script may want to know what a percent is worth. */
	snprintf(period, sizeof(period), "%s%s %.*f s", settings->paused ? "paused, " : "",
		 settings->period == PERIOD_WINDOW ? "last" : "all of", scene->columns ? 2 : 3,
		 seconds(head->ns));
	width = (uint32_t)strlen(period) + 2;
	used = scene_room(scene) > width ? scene_room(scene) - width : 0;
	width = paint_text(pen, title ? title : "", used, INK_BOLD);
	if (scene->columns)
		for (; width < used + 2; width++)
			pen->put(pen->context, " ", INK_PLAIN);
	else
		pen->put(pen->context, "  ", INK_PLAIN);
	if (used)
		pen->put(pen->context, period, settings->paused ? INK_ALARM : INK_PLAIN);
	pen->end_line(pen->context, INK_PLAIN);
	free(title);
}

/* A text in lines that fit, to be freed; NULL: no memory. */
static char *wrapped_text(const struct scene *scene, const char *text)
{
	char *wrapped = NULL;
	size_t size;
	FILE *stream = open_memstream(&wrapped, &size);

	if (!stream)
		return NULL;
	text_wrap(stream, text, 0, 2, scene->columns ? scene->columns : 10000);
	return fclose(stream) ? NULL : wrapped;
}

static uint32_t lines_of(const char *text)
{
	uint32_t lines = 0;

	for (; (text = strchr(text, '\n')); text++)
		lines++;
	return lines;
}

/* Writes up to VERDICT_LINES. Returns how many. */
static uint32_t paint_lines(const struct scene *scene, const struct pen *pen, char *text)
{
	char *line;
	uint32_t count = 0;

	while (count < VERDICT_LINES && (line = strsep(&text, "\n")) && *line) {
		paint_line(scene, pen, line, INK_PLAIN);
		count++;
	}
	return count;
}

/* All of it, or where that is too long, its first sentence. */
static uint32_t paint_verdict(const struct scene *scene, const struct pen *pen,
			      const struct live_process *process)
{
	const struct verdict *verdict = &process->verdicts[scene->settings->period];
	char *text = verdict_text(verdict);
	char *wrapped = text ? wrapped_text(scene, text) : NULL;
	uint32_t lines;

	free(text);
	if (wrapped && lines_of(wrapped) > VERDICT_LINES) {
		free(wrapped);
		text = verdict_brief_text(verdict);
		wrapped = text ? wrapped_text(scene, text) : NULL;
		free(text);
	}
	lines = wrapped ? paint_lines(scene, pen, wrapped) : 0;
	free(wrapped);
	return lines;
}

/* "   4242 gunicorn app:wsgi  CPU-bound: 71 % on CPU, …", names with `width` columns at least. */
static void paint_process(const struct scene *scene, const struct pen *pen,
			  const struct live_process *process, size_t width)
{
	bool lives = live_process_lives(rows_processes(scene->rows), process);
	char *name = name_text(process, NAME_ROOM), *verdict, *text = NULL;
	size_t used = name ? text_width(name) : 0;

	verdict = verdict_brief_text(&process->verdicts[scene->settings->period]);
	if (name && verdict &&
	    asprintf(&text, "%7" PRIu32 " %s%*s  %s%s", process->pid, name,
		     (int)(width > used ? width - used : 0), "", lives ? "" : "(ended) ",
		     verdict) < 0)
		text = NULL;
	if (text)
		paint_line(scene, pen, text, INK_PLAIN);
	free(name);
	free(verdict);
	free(text);
}

/* What is known of one process, or a line for each of the busiest of several. */
static uint32_t paint_processes(const struct scene *scene, const struct pen *pen,
				const struct crowd *crowd)
{
	uint32_t at, shown = PROCESSES_SHOWN;
	size_t width = 0;

	if (crowd->count == 1)
		return paint_verdict(scene, pen, crowd->all[0]);
	if (scene->lines && scene->lines / LINES_A_PROCESS < shown)
		shown = scene->lines / LINES_A_PROCESS;
	if (crowd->count < shown)
		shown = crowd->count;
	for (at = 0; at < shown; at++) {
		char *name = name_text(crowd->all[at], NAME_ROOM);

		if (name && text_width(name) > width)
			width = text_width(name);
		free(name);
	}
	for (at = 0; at < shown; at++)
		paint_process(scene, pen, crowd->all[at], width);
	return shown;
}

/*
 * Writes the time of all threads together, in the columns' words, to be freed. NULL: no memory.
 * What is blocked otherwise is there if it is worth a thought.
 */
static char *states_text(const struct scene *scene, bool brief)
{
	const double whole_from = !scene->columns ? 1e9 : brief ? 9.95 : 99.95;
	const char *between = brief ? " " : "  ";
	const struct row_head *head = rows_head(scene->rows, scene->settings->period);
	int64_t columns[COLUMN_COUNT];
	const struct {
		const char *name;
		const int64_t *ns;
		bool wanted;
	} parts[] = {
		{"All: cpu", head->states + STATE_RUNNING, true},
		{"queue", head->states + STATE_RUNQUEUE, true},
		{"io", columns + COLUMN_IO, true},
		{"lock", columns + COLUMN_LOCK, true},
		{"gil", columns + COLUMN_GIL, true},
		{"held", &head->gil_held_ns, true},
		{"gc", &head->gc_ns, head->gc_known},
		{"other", columns + COLUMN_OTHER, rows_other_matters(head)},
		{"idle", columns + COLUMN_IDLE, true},
	};
	char *text = NULL;
	size_t size, at;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	column_sums(head->states, columns);
	for (at = 0; at < sizeof(parts) / sizeof(parts[0]); at++) {
		double share = percent(*parts[at].ns, head->ns);

		if (parts[at].wanted)
			fprintf(stream, "%s%s %.*f", at ? between : "", parts[at].name,
				share < whole_from ? 1 : 0, share);
	}
	fputs(" %", stream);
	return fclose(stream) ? NULL : text;
}

static void paint_states(const struct scene *scene, const struct pen *pen)
{
	char *text = states_text(scene, false);

	if (text && text_width(text) > scene_room(scene)) {
		free(text);
		text = states_text(scene, true);
	}
	if (text)
		paint_line(scene, pen, text, INK_PLAIN);
	free(text);
}

static void paint_costs(const struct scene *scene, const struct pen *pen)
{
	const struct scene_costs *costs = &scene->costs;
	uint32_t reason, most = 0, room = scene_room(scene), used;
	uint64_t lost = 0;
	char text[256];

	for (reason = 0; reason < LOSS_COUNT; reason++) {
		lost += costs->lost[reason];
		if (costs->lost[reason] > costs->lost[most])
			most = reason;
	}
	snprintf(text, sizeof(text),
		 "pyebpf: %.1f %% of a CPU, %" PRId64 " MB, %" PRIu64 " samples at %" PRIu32
		 " Hz.  ",
		 costs->cpu_percent, costs->rss_bytes / 1000000, costs->samples, costs->rate_hz);
	used = paint_text(pen, text, room, INK_PLAIN);
	if (!lost)
		snprintf(text, sizeof(text), "Lost: nothing");
	else if (snprintf(text, sizeof(text), "Lost %" PRIu64 ": %s", lost, loss_text(most)) >
		 (int)(room - used))
		snprintf(text, sizeof(text), "Lost %" PRIu64 ": %s", lost, loss_name(most));
	paint_text(pen, text, room - used, lost ? INK_ALARM : INK_PLAIN);
	pen->end_line(pen->context, INK_PLAIN);
}

/* Returns the lines it took. */
static uint32_t paint_head(const struct scene *scene, const struct pen *pen)
{
	struct crowd crowd;
	uint32_t lines;

	if (scene->lines && scene->lines < LINES_FOR_HEAD)
		return 0;
	if (live_processes_choose(rows_processes(scene->rows), scene->settings->period, &crowd.all,
				  &crowd.count))
		return 0;
	paint_title(scene, pen, &crowd);
	lines = paint_processes(scene, pen, &crowd);
	paint_states(scene, pen);
	paint_costs(scene, pen);
	free(crowd.all);
	return lines + 3;
}

/* The last line: keys, or what is being typed. */
static void paint_foot(const struct scene *scene, const struct pen *pen)
{
	const struct settings *settings = scene->settings;
	char *text = NULL;
	int length;

	if (settings->filtering)
		length = asprintf(&text, "filter: %s_   Enter keeps it, Escape clears it",
				  settings->filter);
	else if (scene->message)
		length = asprintf(&text, "%s  q quits", scene->message);
	else
		length = asprintf(&text,
				  "%s%s%sq quit  ? help  / filter  space pause  tab %s  s %s  1-9 "
				  "sort",
				  *settings->filter ? "[" : "", settings->filter,
				  *settings->filter ? "] " : "",
				  settings_view_name((settings->view + 1) % ROWS_VIEWS),
				  settings->period == PERIOD_WINDOW ? "all" : "last");
	if (length < 0)
		return;
	/* The screen's last cell stays free: a cursor behind it has nowhere to go. */
	paint_text(pen, text, scene_room(scene) - 1, scene->message ? INK_ALARM : INK_BAR);
	pen->end_line(pen->context, INK_BAR);
	free(text);
}

static void paint_help(const struct scene *scene, const struct pen *pen)
{
	static const char *const lines[] = {
		"Figures are percent of the wall time of the last window, or of all since",
		"the start: 100 is one thread all the time. A function has as self what it did",
		"itself, with what it called in C or in the kernel, and as total also what the",
		"Python functions did that it called. cpu: running; queue: ready, without a CPU;",
		"io: sockets, files, pipes, events; lock: locks other than the interpreter's;",
		"gil: waiting for the interpreter's; held: running with it; gc: collections.",
		"Idle time (sleeping, waiting for clients, children) is left out of self and",
		"total until i is pressed.",
		"",
		"f l t p     functions, lines, threads, processes; tab, v: the next of them",
		"s           the last window, or all since the start or reset",
		"1 ... 9     sort: self total cpu queue io lock gil idle name; < > go on",
		"R I         reverse the order           i      with or without idle time",
		"/ \\         show only rows with a text; Escape shows all again",
		"space Z     pause: the screen stays, what happens is counted on",
		"r           reset: all since now        arrows, page keys, home, end: move",
		"h ?         this help                   q      quit, as Ctrl-C",
	};
	uint32_t at, room = scene->lines > 1 ? scene->lines - 1 : 1;

	for (at = 0; at < sizeof(lines) / sizeof(lines[0]) && at < room; at++)
		paint_line(scene, pen, lines[at], INK_PLAIN);
	for (; at < room; at++)
		pen->end_line(pen->context, INK_PLAIN);
	paint_text(pen, "any key goes back, q quits", scene_room(scene), INK_BAR);
	pen->end_line(pen->context, INK_BAR);
}

int scene_paint(const struct scene *scene, const struct pen *pen)
{
	uint32_t used, room = UINT32_MAX;
	int error;

	if (scene->settings->help && scene->lines) {
		paint_help(scene, pen);
		return 0;
	}
	used = paint_head(scene, pen);
	if (scene->lines)
		room = scene->lines > used + 1 ? scene->lines - used - 1 : 1;
	error = paint_rows(scene, pen, room);
	if (!error && scene->lines > 1)
		paint_foot(scene, pen);
	return error;
}
