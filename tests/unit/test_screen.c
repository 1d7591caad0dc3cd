/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks the live view's tables, keys, and that what is painted fits the screen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "live/rows.h"
#include "made_profile.h"
#include "screen/paint.h"
#include "views/text.h"

#define MS     1000000LL
#define SECOND (1000 * MS)

/*
 * A window of a second. MainThread: handle() calls query(), which waits for 600 ms and burns 100 ms,
 * and itself burns 100 ms; for 200 ms it sleeps. worker: fib() calls itself and burns all the time.
 */
static struct profile *make_window(void)
{
	struct profile *profile = profile_new();
	uint32_t process = made_process(profile, 42, "shop");
	struct profile_key key = {
		.process = process, .tid = 42, .thread = made_string(profile, "MainThread")};
	const uint32_t handle = made_frame(profile, KIND_PYTHON, "handle", "/srv/web.py", 10, 12);
	const uint32_t query = made_frame(profile, KIND_PYTHON, "query", "/srv/db.py", 20, 24);
	const uint32_t fib = made_frame(profile, KIND_PYTHON, "fib", "/srv/work.py", 30, 31);
	const uint32_t inner = made_frame(profile, KIND_PYTHON, "fib", "/srv/work.py", 30, 33);
	const uint32_t waits[] = {made_frame(profile, KIND_KERNEL, "schedule", "", 0, 0), query,
				  handle};
	const uint32_t burns[] = {inner, fib, fib};

	profile->facts.duration_ns = SECOND;
	key.state = STATE_SOCKET;
	made_sample(profile, key, waits, 3, 600 * MS, 1);
	key.state = STATE_RUNNING;
	made_sample(profile, key, waits + 1, 2, 100 * MS, 0);
	made_sample(profile, key, waits + 2, 1, 100 * MS, 0);
	key.state = STATE_SLEEP;
	made_sample(profile, key, waits + 2, 1, 200 * MS, 1);
	key.state = STATE_RUNNING;
	key.tid = 43;
	key.thread = made_string(profile, "worker");
	made_sample(profile, key, burns, 3, SECOND, 0);
	made_ledger(profile, process, 42, SECOND);
	made_ledger(profile, process, 43, SECOND);
	return profile;
}

static struct rows *make_rows(int windows)
{
	struct rows *rows = rows_new(false);
	struct profile *window = make_window();

	while (windows-- > 0)
		assert_int_equal(rows_add(rows, window), 0);
	profile_free(window);
	return rows;
}

static const struct row *find(const struct rows *rows, enum row_view view, const char *name)
{
	uint32_t count, at;
	const struct row *table = rows_table(rows, view, &count);

	for (at = 0; at < count; at++)
		if (!strcmp(table[at].name, name))
			return &table[at];
	fail_msg("there is no row %s", name);
	return NULL;
}

static void test_self_and_total(void **state)
{
	struct rows *rows = make_rows(3);
	const struct row *handle = find(rows, ROWS_FUNCTION, "handle");
	const struct row *query = find(rows, ROWS_FUNCTION, "query");
	const struct row *fib = find(rows, ROWS_FUNCTION, "fib");
	const struct row_times *last = &handle->times[PERIOD_WINDOW];
	const struct row_times *all = &handle->times[PERIOD_ALL];

	assert_int_equal(row_time(last, ORDER_SELF, false), 100 * MS);
	assert_int_equal(row_time(last, ORDER_SELF, true), 300 * MS);
	assert_int_equal(row_time(last, ORDER_TOTAL, false), 800 * MS);
	assert_int_equal(row_time(last, ORDER_IDLE, false), 200 * MS);
	assert_int_equal(row_time(all, ORDER_TOTAL, false), 2400 * MS);
	assert_int_equal(row_time(&query->times[PERIOD_WINDOW], ORDER_IO, false), 600 * MS);
	assert_int_equal(row_time(&query->times[PERIOD_WINDOW], ORDER_CPU, false), 100 * MS);
	/* Recursion counts once. */
	assert_int_equal(row_time(&fib->times[PERIOD_WINDOW], ORDER_TOTAL, false), SECOND);
	assert_int_equal(row_time(&fib->times[PERIOD_ALL], ORDER_SELF, false), 3 * SECOND);
	rows_free(rows);
}

static void test_native_rows_only_if_wanted(void **state)
{
	struct profile *window = make_window();
	struct rows *rows = rows_new(true), *without = make_rows(1);
	uint32_t count, at;
	const struct row *table;

	assert_int_equal(rows_add(rows, window), 0);
	assert_int_equal(row_time(&find(rows, ROWS_FUNCTION, "schedule")->times[PERIOD_WINDOW],
				  ORDER_SELF, false),
			 600 * MS);
	table = rows_table(without, ROWS_FUNCTION, &count);
	for (at = 0; at < count; at++)
		assert_string_not_equal(table[at].name, "schedule");
	rows_free(without);
	rows_free(rows);
	profile_free(window);
}

static void test_threads_lines_and_processes(void **state)
{
	struct rows *rows = make_rows(2);
	const struct row *main = find(rows, ROWS_THREAD, "MainThread");
	const struct row *shop = find(rows, ROWS_PROCESS, "shop");
	const struct row_head *head = rows_head(rows, PERIOD_ALL);
	const struct row *line = find(rows, ROWS_LINE, "query");
	const struct live_process **processes;
	uint32_t count;

	assert_int_equal(row_time(&main->times[PERIOD_ALL], ORDER_SELF, true), 2 * SECOND);
	assert_string_equal(main->where, "query");
	assert_int_equal(main->where_line, 24);
	assert_int_equal(main->state, STATE_SOCKET);
	assert_int_equal(row_time(&shop->times[PERIOD_WINDOW], ORDER_CPU, false), 1200 * MS);
	assert_int_equal(line->line, 24);
	assert_int_equal(head->ns, 2 * SECOND);
	assert_int_equal(head->states[STATE_SOCKET], 1200 * MS);
	assert_int_equal(
		live_processes_choose(rows_processes(rows), PERIOD_WINDOW, &processes, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(processes[0]->pid, 42);
	free(processes);
	rows_free(rows);
}

/* A window in which one process burned for so long. */
static struct profile *make_process(uint32_t pid, int64_t ns)
{
	struct profile *profile = profile_new();
	uint32_t process = made_process(profile, pid, "short");
	const uint32_t frame = made_frame(profile, KIND_PYTHON, "f", "/srv/f.py", 1, 2);

	profile->facts.duration_ns = SECOND;
	made_sample(profile,
		    (struct profile_key){.process = process, .tid = pid, .state = STATE_RUNNING},
		    &frame, 1, ns, 0);
	made_ledger(profile, process, pid, ns);
	return profile;
}

static uint32_t choose_processes(const struct live_processes *processes, enum period period,
				 uint32_t *first)
{
	const struct live_process **chosen;
	uint32_t count;

	assert_int_equal(live_processes_choose(processes, period, &chosen, &count), 0);
	*first = count ? chosen[0]->pid : 0;
	free(chosen);
	return count;
}

/* Those that have ended are of the whole time only, until there are too many or a reset. */
static void test_processes_come_and_go(void **state)
{
	struct live_processes processes = {0};
	uint32_t pid, first;

	for (pid = 1; pid <= LIVE_PROCESSES_MAX + 1; pid++) {
		struct profile *window = make_process(pid, pid == 7 ? SECOND : 10 * MS);

		assert_int_equal(live_processes_add(&processes, window), 0);
		profile_free(window);
		if (pid == 20) {
			assert_int_equal(choose_processes(&processes, PERIOD_WINDOW, &first), 1);
			assert_int_equal(first, 20);
			assert_int_equal(choose_processes(&processes, PERIOD_ALL, &first), 20);
			assert_int_equal(first, 7);
		}
	}
	assert_int_equal(choose_processes(&processes, PERIOD_ALL, &first), 1);
	live_processes_reset(&processes);
	assert_int_equal(choose_processes(&processes, PERIOD_WINDOW, &first), 1);
	assert_int_equal(first, LIVE_PROCESSES_MAX + 1);
	live_processes_clear(&processes);
}

static void test_the_gils_share(void **state)
{
	struct rows *rows = make_rows(1);

	rows_add_gil(rows, 0.5);
	assert_int_equal(rows_head(rows, PERIOD_WINDOW)->gil_held_ns, 600 * MS);
	assert_int_equal(rows_head(rows, PERIOD_ALL)->gil_held_ns, 600 * MS);
	rows_reset(rows);
	assert_int_equal(rows_head(rows, PERIOD_ALL)->gil_held_ns, 0);
	rows_free(rows);
}

static void test_reset(void **state)
{
	struct rows *rows = make_rows(3);
	const struct row *fib;

	rows_reset(rows);
	fib = find(rows, ROWS_FUNCTION, "fib");
	assert_int_equal(row_time(&fib->times[PERIOD_ALL], ORDER_SELF, false), 0);
	assert_int_equal(row_time(&fib->times[PERIOD_WINDOW], ORDER_SELF, false), SECOND);
	assert_int_equal(rows_head(rows, PERIOD_ALL)->ns, 0);
	rows_free(rows);
}

static size_t choose(const struct rows *rows, const struct row_choice *choice, const char **first)
{
	const struct row **chosen;
	size_t count;

	assert_int_equal(rows_choose(rows, choice, &chosen, &count), 0);
	*first = count ? chosen[0]->name : "";
	free(chosen);
	return count;
}

static void test_choice(void **state)
{
	struct rows *rows = make_rows(1);
	struct profile *empty = profile_new();
	struct row_choice choice = {.view = ROWS_FUNCTION, .period = PERIOD_WINDOW};
	const char *first;

	assert_int_equal(choose(rows, &choice, &first), 3);
	assert_string_equal(first, "fib");
	choice.order = ORDER_IO;
	choose(rows, &choice, &first);
	assert_string_equal(first, "query");
	choice.order = ORDER_NAME;
	choose(rows, &choice, &first);
	assert_string_equal(first, "fib");
	choice.reverse = true;
	choose(rows, &choice, &first);
	assert_string_equal(first, "query");
	choice.filter = "WEB.py";
	assert_int_equal(choose(rows, &choice, &first), 1);
	assert_string_equal(first, "handle");
	choice.filter = "";
	/* Of a window in which nothing happened there are no rows; of all there are. */
	assert_int_equal(rows_add(rows, empty), 0);
	assert_int_equal(choose(rows, &choice, &first), 0);
	choice.period = PERIOD_ALL;
	assert_int_equal(choose(rows, &choice, &first), 3);
	profile_free(empty);
	rows_free(rows);
}

/* A program that makes ever new functions: memory stays bounded, and what has most time stays. */
static void test_rows_are_bounded(void **state)
{
	struct rows *rows = rows_new(false);
	uint32_t turn, at, count;

	for (turn = 0; turn < 12; turn++) {
		struct profile *window = profile_new();
		struct profile_key key = {.process = made_process(window, 42, "shop"), .tid = 42};
		uint32_t frame = made_frame(window, KIND_PYTHON, "constant", "app.py", 1, 1);
		char name[32];

		made_sample(window, key, &frame, 1, SECOND, 0);
		for (at = 0; at < 4000; at++) {
			snprintf(name, sizeof(name), "made_%u_%u", turn, at);
			frame = made_frame(window, KIND_PYTHON, name, "<string>", 1, 1);
			made_sample(window, key, &frame, 1, MS, 0);
		}
		made_ledger(window, 0, 42, SECOND);
		assert_int_equal(rows_add(rows, window), 0);
		profile_free(window);
	}
	rows_table(rows, ROWS_FUNCTION, &count);
	assert_true(count < 30000);
	assert_int_equal(row_time(&find(rows, ROWS_FUNCTION, "constant")->times[PERIOD_ALL],
				  ORDER_SELF, false),
			 12 * SECOND);
	find(rows, ROWS_FUNCTION, "made_11_3999");
	rows_free(rows);
}

/* What a pen has written. */
struct paper {
	char text[200][512];
	uint32_t lines;
};

static void paper_put(void *context, const char *text, enum ink ink)
{
	struct paper *paper = context;

	assert_true(paper->lines < 200);
	strncat(paper->text[paper->lines], text,
		sizeof(paper->text[0]) - strlen(paper->text[paper->lines]) - 1);
}

static void paper_end_line(void *context, enum ink ink)
{
	((struct paper *)context)->lines++;
}

static void paint(const struct rows *rows, struct settings *settings, uint32_t columns,
		  uint32_t lines, struct paper *paper)
{
	const struct pen pen = {.context = paper, .put = paper_put, .end_line = paper_end_line};
	const struct scene scene = {
		.rows = rows, .settings = settings, .columns = columns, .lines = lines};

	memset(paper, 0, sizeof(*paper));
	assert_int_equal(scene_paint(&scene, &pen), 0);
}

static bool paper_has(const struct paper *paper, const char *text)
{
	uint32_t at;

	for (at = 0; at < paper->lines; at++)
		if (strstr(paper->text[at], text))
			return true;
	return false;
}

static void test_what_is_painted(void **state)
{
	struct rows *rows = make_rows(1);
	struct settings settings = {0};
	static struct paper paper;

	paint(rows, &settings, 80, 24, &paper);
	assert_int_equal(paper.lines, 24);
	assert_true(paper_has(&paper, "shop  pid 42  CPython 3.11.2"));
	assert_true(paper_has(&paper, "last 1.00 s"));
	assert_true(paper_has(&paper, "CPU-bound: 60 % on CPU, 30 % waiting on I/O, 10 % idle."));
	assert_true(paper_has(&paper, "All: cpu 120  queue 0.0  io 60.0"));
	assert_true(
		paper_has(&paper, "  70.0  70.0  10.0   0.0  60.0   0.0   0.0  query (db.py:20)"));
	assert_true(paper_has(&paper,
			      "  10.0  80.0  10.0   0.0   0.0   0.0   0.0  handle (web.py:10)"));
	settings.view = ROWS_THREAD;
	paint(rows, &settings, 120, 24, &paper);
	assert_true(paper_has(&paper, "worker 43 running fib (work.py:33)"));
	rows_free(rows);
}

/* No size of a terminal makes a line too long, or too many of them. */
static void test_every_size(void **state)
{
	struct rows *rows = make_rows(2);
	struct settings settings = {0};
	static struct paper paper;
	uint32_t columns, lines, at;

	for (columns = 1; columns < 130; columns++)
		for (lines = 1; lines < 30; lines++) {
			settings.view = (columns + lines) % ROWS_VIEWS;
			settings.idle = lines % 2;
			settings.help = columns % 7 == 0;
			settings.period = lines % 3 == 0 ? PERIOD_ALL : PERIOD_WINDOW;
			settings.filtering = lines % 5 == 0;
			paint(rows, &settings, columns, lines, &paper);
			/* On less than that ncurses cuts off what is too much. */
			if (columns < 20 || lines < 3)
				continue;
			assert_int_equal(paper.lines, lines);
			for (at = 0; at < lines; at++)
				assert_true(text_width(paper.text[at]) <= columns);
		}
	rows_free(rows);
}

static void press(struct settings *settings, const char *keys)
{
	for (; *keys; keys++)
		settings_key(settings, *keys);
}

static void test_keys(void **state)
{
	struct settings settings = {.count = 100, .page = 10};

	press(&settings, "t3iRs");
	assert_int_equal(settings.view, ROWS_THREAD);
	assert_int_equal(settings.order, ORDER_CPU);
	assert_true(settings.idle && settings.reverse);
	assert_int_equal(settings.period, PERIOD_ALL);
	press(&settings, "<");
	assert_int_equal(settings.order, ORDER_TOTAL);
	press(&settings, "v");
	assert_int_equal(settings.view, ROWS_PROCESS);
	press(&settings, "v");
	assert_int_equal(settings.view, ROWS_FUNCTION);
	settings_key(&settings, KEY_IS_END);
	assert_int_equal(settings.scroll, 90);
	settings_key(&settings, KEY_IS_PAGE_UP);
	assert_int_equal(settings.scroll, 81);
	settings_key(&settings, KEY_IS_HOME);
	settings_key(&settings, KEY_IS_UP);
	assert_int_equal(settings.scroll, 0);
	assert_int_equal(settings_key(&settings, 'r'), WISH_RESET);
	assert_int_equal(settings_key(&settings, ' '), WISH_PAINT);
	assert_true(settings.paused);
	assert_int_equal(settings_key(&settings, '?'), WISH_PAINT);
	assert_true(settings.help);
	assert_int_equal(settings_key(&settings, 'x'), WISH_PAINT);
	assert_false(settings.help);
	assert_int_equal(settings_key(&settings, 'q'), WISH_QUIT);
	assert_int_equal(settings_key(&settings, KEY_IS_GONE), WISH_QUIT);
}

static void test_typing_a_filter(void **state)
{
	struct settings settings = {0};
	int at;

	press(&settings, "/qt"); /* here these are no commands */
	settings_key(&settings, 0xfc);
	assert_string_equal(settings.filter, "qt\xc3\xbc");
	settings_key(&settings, KEY_IS_ERASE);
	assert_string_equal(settings.filter, "qt");
	settings_key(&settings, 0x07);
	assert_string_equal(settings.filter, "qt");
	settings_key(&settings, KEY_IS_ENTER);
	assert_false(settings.filtering);
	assert_int_equal(settings.view, ROWS_FUNCTION);
	settings_key(&settings, KEY_IS_ESCAPE);
	assert_string_equal(settings.filter, "");
	settings_key(&settings, '\\');
	for (at = 0; at < 1000; at++)
		settings_key(&settings, 0x20ac);
	assert_true(strlen(settings.filter) < FILTER_SIZE);
	settings_key(&settings, KEY_IS_ERASE);
	assert_int_equal(strlen(settings.filter) % 3, 0);
	settings_key(&settings, KEY_IS_ESCAPE);
	assert_false(settings.filtering);
}

static void test_cut(void **state)
{
	static const struct {
		const char *text;
		size_t columns;
		const char *wanted;
	} cases[] = {
		{"CPU-bound: all", 14, "CPU-bound: all"},
		{"CPU-bound: all", 13, "CPU-bound: a\xe2\x80\xa6"},
		{"ab", 1, "\xe2\x80\xa6"},
		{"ab", 0, ""},
		/* A wide character that does not fit leaves a column free. */
		{"\xe8\xa8\x88\xe7\xae\x97", 3, "\xe8\xa8\x88\xe2\x80\xa6"},
		{"\xe8\xa8\x88\xe7\xae\x97", 2, "\xe2\x80\xa6"},
	};
	size_t at;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		char *cut = text_cut(cases[at].text, cases[at].columns);

		assert_string_equal(cut, cases[at].wanted);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self_and_total),
		cmocka_unit_test(test_native_rows_only_if_wanted),
		cmocka_unit_test(test_threads_lines_and_processes),
		cmocka_unit_test(test_processes_come_and_go),
		cmocka_unit_test(test_the_gils_share),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_rows_are_bounded),
		cmocka_unit_test(test_what_is_painted),
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_typing_a_filter),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
