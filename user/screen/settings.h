/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a user has chosen to see on the live screen, and what each key does to it. Leaves to
 * terminal.h where keys come from, to paint.h what the screen then looks like.
 */
#ifndef PYEBPF_SETTINGS_H
#define PYEBPF_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "live/rows.h"

/* Keys that are no characters. */
enum key {
	KEY_IS_NONE = -1,
	KEY_IS_UP = 0x200000, /* above Unicode */
	KEY_IS_DOWN,
	KEY_IS_LEFT,
	KEY_IS_RIGHT,
	KEY_IS_PAGE_UP,
	KEY_IS_PAGE_DOWN,
	KEY_IS_HOME,
	KEY_IS_END,
	KEY_IS_ENTER,
	KEY_IS_ERASE,
	KEY_IS_ESCAPE,
	KEY_IS_HELP,
	KEY_IS_FILTER,
	KEY_IS_QUIT,
	KEY_IS_RESIZED,
	KEY_IS_GONE /* the terminal is */
};

#define FILTER_SIZE 128

struct settings {
	enum row_view view;
	enum period period;
	enum row_order order;
	bool reverse;
	bool idle;
	bool paused;
	bool help;
	bool filtering; /* the filter is being typed */
	char filter[FILTER_SIZE];
	size_t scroll; /* rows above the first one that is shown */
	size_t page;   /* rows that have room, as painted last */
	size_t count;  /* rows there are, likewise */
};

/* What is to be done beside painting again. */
enum settings_wish { WISH_NOTHING, WISH_PAINT, WISH_RESET, WISH_QUIT };

/* Takes a key: a character (Unicode), or one of enum key. */
enum settings_wish settings_key(struct settings *settings, int key);

/* Return the one of that name, or -1. */
int settings_find_view(const char *name);
int settings_find_order(const char *name);

const char *settings_view_name(enum row_view view);
const char *settings_order_name(enum row_order order);

#endif
