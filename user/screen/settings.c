/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the keys; see settings.h. */
#include "screen/settings.h"

#include <stdint.h>
#include <string.h>
#include <wchar.h>

static const char *const view_names[ROWS_VIEWS] = {
	[ROWS_FUNCTION] = "function",
	[ROWS_LINE] = "line",
	[ROWS_THREAD] = "thread",
	[ROWS_PROCESS] = "process",
};

static const char *const order_names[ORDER_COUNT] = {
	[ORDER_SELF] = "self",   [ORDER_TOTAL] = "total", [ORDER_CPU] = "cpu",
	[ORDER_QUEUE] = "queue", [ORDER_IO] = "io",       [ORDER_LOCK] = "lock",
	[ORDER_GIL] = "gil",     [ORDER_IDLE] = "idle",   [ORDER_NAME] = "name",
	[ORDER_OTHER] = "other",
};

static int name_find(const char *const names[], int count, const char *name)
{
	int at;

	for (at = 0; at < count; at++)
		if (!strcmp(names[at], name))
			return at;
	return -1;
}

int settings_find_view(const char *name)
{
	return name_find(view_names, ROWS_VIEWS, name);
}

int settings_find_order(const char *name)
{
	return name_find(order_names, ORDER_COUNT, name);
}

const char *settings_view_name(enum row_view view)
{
	return view_names[view];
}

const char *settings_order_name(enum row_order order)
{
	return order_names[order];
}

static void filter_append(struct settings *settings, int character)
{
	size_t length = strlen(settings->filter);
	char bytes[16]; /* MB_CUR_MAX is at most that */
	mbstate_t state = {0};
	size_t size = wcrtomb(bytes, (wchar_t)character, &state);

	if (character < ' ' || character == 0x7f || size == (size_t)-1 ||
	    length + size >= sizeof(settings->filter))
		return;
	memcpy(settings->filter + length, bytes, size);
	settings->filter[length + size] = '\0';
}

/* Takes away the last character, which can have several bytes. */
static void filter_erase(struct settings *settings)
{
	size_t length = strlen(settings->filter);

	while (length && (settings->filter[--length] & 0xc0) == 0x80)
		;
	settings->filter[length] = '\0';
}

static enum settings_wish filter_key(struct settings *settings, int key)
{
	settings->scroll = 0;
	switch (key) {
	case KEY_IS_ENTER:
		settings->filtering = false;
		break;
	case KEY_IS_ESCAPE:
		settings->filtering = false;
		settings->filter[0] = '\0';
		break;
	case KEY_IS_ERASE:
		filter_erase(settings);
		break;
	case 'U' - '@': /* as a shell's line has it */
		settings->filter[0] = '\0';
		break;
	case KEY_IS_RESIZED:
		break;
	default:
		if (key < KEY_IS_UP)
			filter_append(settings, key);
	}
	return WISH_PAINT;
}

static void scroll_by(struct settings *settings, int64_t step)
{
	int64_t last = (int64_t)settings->count - (int64_t)settings->page;
	int64_t to = (int64_t)settings->scroll + step;

	if (to > last)
		to = last;
	settings->scroll = to > 0 ? (size_t)to : 0;
}

static bool scroll_key(struct settings *settings, int key)
{
	int64_t page = settings->page > 1 ? (int64_t)settings->page - 1 : 1;

	switch (key) {
	case KEY_IS_UP:
	case 'k':
		scroll_by(settings, -1);
		return true;
	case KEY_IS_DOWN:
	case 'j':
		scroll_by(settings, 1);
		return true;
	case KEY_IS_PAGE_UP:
		scroll_by(settings, -page);
		return true;
	case KEY_IS_PAGE_DOWN:
		scroll_by(settings, page);
		return true;
	case KEY_IS_HOME:
		settings->scroll = 0;
		return true;
	case KEY_IS_END:
		scroll_by(settings, INT32_MAX);
		return true;
	default:
		return false;
	}
}

static void order_set(struct settings *settings, int order)
{
	settings->order = (order + ORDER_COUNT) % ORDER_COUNT;
	settings->reverse = false;
	settings->scroll = 0;
}

static void view_set(struct settings *settings, int view)
{
	settings->view = view % ROWS_VIEWS;
	settings->scroll = 0;
}

/* Keys that choose the order, and which time is shown. */
static bool choice_key(struct settings *settings, int key)
{
	if (key >= '1' && key <= '1' + (int)ORDER_NAME) {
		order_set(settings, key - '1');
		return true;
	}
	switch (key) {
	case KEY_IS_LEFT:
	case '<':
		order_set(settings, (int)settings->order - 1);
		return true;
	case KEY_IS_RIGHT:
	case '>':
		order_set(settings, (int)settings->order + 1);
		return true;
	case 'R':
	case 'I':
		settings->reverse = !settings->reverse;
		return true;
	case 'i':
		settings->idle = !settings->idle;
		return true;
	case 's':
		settings->period = settings->period == PERIOD_WINDOW ? PERIOD_ALL : PERIOD_WINDOW;
		return true;
	default:
		return false;
	}
}

static bool view_key(struct settings *settings, int key)
{
	static const char keys[ROWS_VIEWS] = {
		[ROWS_FUNCTION] = 'f',
		[ROWS_LINE] = 'l',
		[ROWS_THREAD] = 't',
		[ROWS_PROCESS] = 'p',
	};
	int view;

	if (key == '\t' || key == 'v') {
		view_set(settings, (int)settings->view + 1);
		return true;
	}
	for (view = 0; view < ROWS_VIEWS; view++)
		if (key == keys[view]) {
			view_set(settings, view);
			return true;
		}
	return false;
}

enum settings_wish settings_key(struct settings *settings, int key)
{
	if (key == KEY_IS_GONE)
		return WISH_QUIT;
	if (settings->filtering)
		return filter_key(settings, key);
	if (key == 'q' || key == 'Q' || key == KEY_IS_QUIT)
		return WISH_QUIT;
	if (settings->help) {
		settings->help = key == KEY_IS_RESIZED;
		return WISH_PAINT;
	}
	if (scroll_key(settings, key) || choice_key(settings, key) || view_key(settings, key) ||
	    key == KEY_IS_RESIZED)
		return WISH_PAINT;
	switch (key) {
	case 'h':
	case '?':
	case KEY_IS_HELP:
		settings->help = true;
		return WISH_PAINT;
	case '/':
	case '\\':
	case KEY_IS_FILTER:
		settings->filtering = true;
		return WISH_PAINT;
	case KEY_IS_ESCAPE:
		settings->filter[0] = '\0';
		return WISH_PAINT;
	case ' ':
	case 'Z':
		settings->paused = !settings->paused;
		return WISH_PAINT;
	case 'r':
		return WISH_RESET;
	default:
		return WISH_NOTHING;
	}
}
