/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the tables of a live view: time by function, line, thread and process, of the last window and
 * of all windows since the last reset. Leaves to live.h the windows, to user/screen the looks.
 *
 * Time is charged as user/profile/summary.h says: `self` to the innermost Python function, and, if
 * they are wanted, to the innermost native or kernel function a second time.
 */
#ifndef PYEBPF_LIVE_ROWS_H
#define PYEBPF_LIVE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "live/processes.h"

enum row_view { ROWS_FUNCTION, ROWS_LINE, ROWS_THREAD, ROWS_PROCESS, ROWS_VIEWS };

struct row_times {
	int64_t self[STATE_COUNT];
	int64_t total[STATE_COUNT]; /* recursive functions count once a stack */
};

struct row {
	const char *name; /* function, thread or command */
	const char *file; /* of a function; "" */
	int32_t line;     /* co_firstlineno, of a line its own; 0: none */
	uint32_t pid;     /* of threads and processes */
	uint32_t tid;     /* of threads */
	enum function_kind kind;
	/* Of threads: the function where they spent most of the window; NULL: not known. */
	char *where;
	char *where_file;
	int32_t where_line;
	enum state state; /* that they were there in */
	struct row_times times[PERIOD_COUNT];
	uint32_t window; /* the last one that it has a part in */
	uint64_t sample; /* for rows.c alone: the last one that was added to `total` */
};

struct row_head {
	int64_t ns; /* how long the period was */
	int64_t states[STATE_COUNT];
	int64_t gil_held_ns; /* in which a thread ran that had its interpreter's lock */
	int64_t gc_ns;
	bool gc_known;
};

/* Whether threads are blocked, and not for anything that has a column of its own. */
bool rows_other_matters(const struct row_head *head);

struct rows;

/* `native`: native and kernel functions have rows too. NULL: no memory. */
struct rows *rows_new(bool native);
void rows_free(struct rows *rows);

/* Adds a window, which becomes the last one. Returns 0 or -ENOMEM. */
int rows_add(struct rows *rows, const struct profile *window);

/* Says of the last window which part of the time on a CPU was spent with the GIL: 0 … 1. */
void rows_add_gil(struct rows *rows, double share);

/* Forgets all but the last window. */
void rows_reset(struct rows *rows);

const struct row_head *rows_head(const struct rows *rows, enum period period);

const struct live_processes *rows_processes(const struct rows *rows);

/* All rows of a view: *count of them. Of PERIOD_WINDOW is what has `window` of rows_window(). */
const struct row *rows_table(const struct rows *rows, enum row_view view, uint32_t *count);
uint32_t rows_window(const struct rows *rows);

enum row_order {
	ORDER_SELF,
	ORDER_TOTAL,
	ORDER_CPU,   /* on a CPU */
	ORDER_QUEUE, /* waiting for a CPU */
	ORDER_IO,
	ORDER_LOCK,
	ORDER_GIL,
	ORDER_IDLE,
	ORDER_NAME,
	ORDER_OTHER, /* blocked otherwise */
	ORDER_COUNT
};

struct row_choice {
	enum row_view view;
	enum period period;
	enum row_order order;
	bool reverse;
	bool idle;          /* idle time counts, and rows that only were idle are chosen */
	const char *filter; /* rows with this text, in upper or lower case; NULL or "": all */
};

/*
 * Stores the chosen rows in their order, to be freed by the caller, and their count. They are valid
 * until the next rows_add() or rows_reset(). Returns 0 or -ENOMEM.
 */
int rows_choose(const struct rows *rows, const struct row_choice *choice,
		const struct row ***chosen, size_t *count);

/* What a row has in a column. */
int64_t row_time(const struct row_times *times, enum row_order column, bool idle);

#endif
