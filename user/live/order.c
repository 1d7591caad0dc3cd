/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns which rows are shown, and in which order; see rows.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "live/rows.h"

static int64_t states_sum_of(const int64_t states[STATE_COUNT], bool idle)
{
	int64_t sum = 0;
	int state;

	for (state = 0; state < STATE_COUNT; state++)
		if (idle || state_column(state) != COLUMN_IDLE)
			sum += states[state];
	return sum;
}

int64_t row_time(const struct row_times *times, enum row_order column, bool idle)
{
	int64_t columns[COLUMN_COUNT];

	column_sums(times->self, columns);
	switch (column) {
	case ORDER_TOTAL:
		return states_sum_of(times->total, idle);
	case ORDER_CPU:
		return times->self[STATE_RUNNING];
	case ORDER_QUEUE:
		return times->self[STATE_RUNQUEUE];
	case ORDER_IO:
		return columns[COLUMN_IO];
	case ORDER_LOCK:
		return columns[COLUMN_LOCK];
	case ORDER_GIL:
		return columns[COLUMN_GIL];
	case ORDER_OTHER:
		return columns[COLUMN_OTHER];
	case ORDER_IDLE:
		return columns[COLUMN_IDLE];
	default:
		return states_sum_of(times->self, idle);
	}
}

bool rows_other_matters(const struct row_head *head)
{
	int64_t columns[COLUMN_COUNT];

	column_sums(head->states, columns);
	return columns[COLUMN_OTHER] > head->ns / 100;
}

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part);
}

static bool row_is_chosen(const struct rows *rows, const struct row *row,
			  const struct row_choice *choice)
{
	if (choice->period == PERIOD_WINDOW && row->window != rows_window(rows))
		return false;
	if (row_time(&row->times[choice->period], ORDER_TOTAL, choice->idle) <= 0)
		return false;
	return !choice->filter || !*choice->filter || contains(row->name, choice->filter) ||
	       contains(row->file, choice->filter) || contains(row->where, choice->filter);
}

static int compare_names(const struct row *a, const struct row *b)
{
	int order = strcmp(a->name, b->name);

	if (!order)
		order = strcmp(a->file, b->file);
	if (!order)
		order = a->line < b->line ? -1 : a->line > b->line;
	if (!order)
		order = a->pid < b->pid ? -1 : a->pid > b->pid;
	return order ? order : a->tid < b->tid ? -1 : a->tid > b->tid;
}

/* Equal rows are by name, so that they do not change places at each refresh. */
static int compare_rows(const void *left, const void *right, void *context)
{
	const struct row *a = *(const struct row *const *)left;
	const struct row *b = *(const struct row *const *)right;
	const struct row_choice *choice = context;
	int64_t one, other;
	int order = 0;

	if (choice->order != ORDER_NAME) {
		one = row_time(&a->times[choice->period], choice->order, choice->idle);
		other = row_time(&b->times[choice->period], choice->order, choice->idle);
		order = one < other ? 1 : one > other ? -1 : 0;
	}
	if (!order && choice->order == ORDER_SELF) {
		one = row_time(&a->times[choice->period], ORDER_TOTAL, choice->idle);
		other = row_time(&b->times[choice->period], ORDER_TOTAL, choice->idle);
		order = one < other ? 1 : one > other ? -1 : 0;
	}
	if (!order)
		order = compare_names(a, b);
	return choice->reverse ? -order : order;
}

int rows_choose(const struct rows *rows, const struct row_choice *choice,
		const struct row ***chosen, size_t *count)
{
	struct row_choice order = *choice;
	uint32_t all, at;
	const struct row *table = rows_table(rows, choice->view, &all);
	const struct row **found = calloc((size_t)all + 1, sizeof(*found));

	if (!found)
		return -ENOMEM;
	*count = 0;
	for (at = 0; at < all; at++)
		if (row_is_chosen(rows, &table[at], choice))
			found[(*count)++] = &table[at];
	qsort_r(found, *count, sizeof(*found), compare_rows, &order);
	*chosen = found;
	return 0;
}
