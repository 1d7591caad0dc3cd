/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns ncurses; see terminal.h. */
#define NCURSES_WIDECHAR 1
#include "screen/terminal.h"

#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_MS 25 /* an Escape that nothing follows in this time is the key */

static SCREEN *screen;
static int line; /* that the pen is on */
static attr_t inks[INK_COUNT];

/* What gives the terminal back where ncurses cannot be called any more. */
static struct termios saved_modes;
static char saved_sequence[256];

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
#define FATAL_SIGNALS (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

static void terminal_abandon(int number)
{
	ssize_t written = write(STDOUT_FILENO, saved_sequence, strlen(saved_sequence));

	(void)written; /* nothing more can be done */
	tcsetattr(STDIN_FILENO, TCSANOW, &saved_modes);
	raise(number); /* with the handling that it had, see SA_RESETHAND */
}

static void sequence_append(const char *capability)
{
	const char *text = tigetstr(capability);
	size_t length = strlen(saved_sequence);

	if (text && text != (const char *)-1 && length + strlen(text) < sizeof(saved_sequence))
		strcat(saved_sequence, text);
}

static void fatal_prepare(void)
{
	struct sigaction action = {.sa_handler = terminal_abandon, .sa_flags = SA_RESETHAND};
	size_t at;

	saved_sequence[0] = '\0';
	sequence_append("sgr0");
	sequence_append("cnorm");
	sequence_append("rmkx");
	sequence_append("rmcup");
	for (at = 0; at < FATAL_SIGNALS; at++)
		sigaction(fatal_signals[at], &action, NULL);
}

static bool colours_wanted(void)
{
	const char *without = getenv("NO_COLOR"); /* https://no-color.org */

	return !(without && *without) && has_colors();
}

static void inks_prepare(void)
{
	static const struct {
		enum ink ink;
		short colour;
	} colours[] = {
		{INK_CPU, COLOR_RED},
		{INK_IO, COLOR_BLUE},
		{INK_LOCK, COLOR_YELLOW},
	};
	size_t at;

	memset(inks, 0, sizeof(inks));
	inks[INK_BOLD] = A_BOLD;
	inks[INK_DIM] = A_DIM;
	inks[INK_BAR] = A_REVERSE;
	inks[INK_SORTED] = A_REVERSE | A_BOLD | A_UNDERLINE;
	inks[INK_ALARM] = A_BOLD | A_REVERSE;
	if (!colours_wanted() || start_color() == ERR)
		return;
	use_default_colors();
	for (at = 0; at < sizeof(colours) / sizeof(colours[0]); at++) {
		init_pair((short)(at + 1), colours[at].colour, -1);
		inks[colours[at].ink] = COLOR_PAIR(at + 1);
	}
}

/* Whether it is known how to put text at a place of the screen: a dumb one only goes on. */
static bool terminal_has_places(void)
{
	const char *move_cursor = tigetstr("cup");

	return move_cursor && move_cursor != (const char *)-1;
}

int terminal_open(struct error *error)
{
	const char *name = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return error_set(error, -ENOTTY,
				 "this is not a terminal: use -b to print refreshes as text, or "
				 "`pyebpf record` or `pyebpf dump`");
	tcgetattr(STDIN_FILENO, &saved_modes);
	screen = newterm(NULL, stdout, stdin);
	if (screen && !terminal_has_places()) {
		endwin();
		delscreen(screen);
		screen = NULL;
	}
	if (!screen)
		return error_set(error, -ENOTSUP,
				 "the terminal is `%s` (TERM), which is not known here or has no "
				 "screen: try TERM=xterm, or -b to print refreshes as text",
				 name ? name : "");
	set_term(screen);
	fatal_prepare();
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	inks_prepare();
	return 0;
}

void terminal_close(void)
{
	size_t at;

	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
	for (at = 0; at < FATAL_SIGNALS; at++)
		signal(fatal_signals[at], SIG_DFL);
}

void terminal_size(uint32_t *columns, uint32_t *lines)
{
	*columns = (uint32_t)getmaxx(stdscr);
	*lines = (uint32_t)getmaxy(stdscr);
}

static void pen_put(void *context, const char *text, enum ink ink)
{
	attrset(inks[ink]);
	addnstr(text, -1);
}

static void pen_end_line(void *context, enum ink ink)
{
	int column = getcurx(stdscr);

	/* A line that is full has taken the cursor to the next one. */
	if (getcury(stdscr) == line && column < getmaxx(stdscr)) {
		attrset(inks[ink]);
		if (ink == INK_PLAIN)
			clrtoeol();
		else
			hline(' ' | inks[ink], getmaxx(stdscr) - column);
	}
	line++;
	move(line, 0);
}

struct pen terminal_pen(void)
{
	line = 0;
	attrset(A_NORMAL);
	erase();
	move(0, 0);
	return (struct pen){.put = pen_put, .end_line = pen_end_line};
}

void terminal_show(void)
{
	refresh();
}

static int key_translate(wint_t key)
{
	switch (key) {
	case KEY_UP:
		return KEY_IS_UP;
	case KEY_DOWN:
		return KEY_IS_DOWN;
	case KEY_LEFT:
		return KEY_IS_LEFT;
	case KEY_RIGHT:
		return KEY_IS_RIGHT;
	case KEY_PPAGE:
		return KEY_IS_PAGE_UP;
	case KEY_NPAGE:
		return KEY_IS_PAGE_DOWN;
	case KEY_HOME:
		return KEY_IS_HOME;
	case KEY_END:
		return KEY_IS_END;
	case KEY_ENTER:
		return KEY_IS_ENTER;
	case KEY_BACKSPACE:
		return KEY_IS_ERASE;
	case KEY_F(1):
		return KEY_IS_HELP;
	case KEY_F(4):
		return KEY_IS_FILTER;
	case KEY_F(10):
		return KEY_IS_QUIT;
	case KEY_RESIZE:
		return KEY_IS_RESIZED;
	default:
		return KEY_IS_NONE;
	}
}

/* Whether nobody is at the other end any more. */
static bool terminal_is_gone(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&input, 1, 0) > 0 && input.revents & (POLLHUP | POLLERR | POLLNVAL);
}

int terminal_key(void)
{
	wint_t key;
	int kind = get_wch(&key);

	if (kind == KEY_CODE_YES)
		return key_translate(key);
	if (kind == ERR)
		return terminal_is_gone() ? KEY_IS_GONE : KEY_IS_NONE;
	switch (key) {
	case '\r':
	case '\n':
		return KEY_IS_ENTER;
	case '\b':
	case 0x7f:
		return KEY_IS_ERASE;
	case 0x1b:
		return KEY_IS_ESCAPE;
	default:
		return (int)key;
	}
}
