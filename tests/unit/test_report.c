/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks what the views make of a profile: sums, the promised names, layout, verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

#include "made_profile.h"
#include "profile/names.h"
#include "profile/summary.h"
#include "profile/verdict.h"
#include "views/paths.h"
#include "views/text.h"
#include "views/view.h"

#define PIECE "\xe2\x80\xa6" /* the ellipsis */

static char *viewed(const char *name, const struct profile *profile,
		    const struct view_options *options)
{
	const struct view *view = view_find(name);
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(view);
	assert_non_null(stream);
	assert_int_equal(view->write(profile, options, stream), 0);
	assert_int_equal(fclose(stream), 0);
	return text;
}

static json_t *json_of(const struct profile *profile)
{
	struct view_options options = {0};
	char *text = viewed("json", profile, &options);
	json_t *report = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(report);
	free(text);
	return report;
}

static json_t *function_of(json_t *report, const char *name)
{
	json_t *function;
	size_t at;

	json_array_foreach (json_object_get(report, "functions"), at, function)
		if (!strcmp(json_string_value(json_object_get(function, "function")), name))
			return function;
	fail_msg("no function %s", name);
	return NULL;
}

static double number(json_t *object, const char *outer, const char *inner)
{
	return json_number_value(json_object_get(json_object_get(object, outer), inner));
}

static void close_to(double value, double expected)
{
	if (fabs(value - expected) > 1e-6)
		fail_msg("%.9f is not %.9f", value, expected);
}

/* Time is charged once: the rows that are charged add up to the totals, state by state. */
static void test_sums(void **state)
{
	struct profile *profile = made_worker();
	int64_t sums[STATE_COUNT] = {0}, lines = 0;
	struct summary *summary;
	uint32_t at;
	int which;

	assert_int_equal(summary_make(profile, &summary), 0);
	for (at = 0; at < summary->row_count; at++)
		for (which = 0; which < STATE_COUNT && summary->rows[at].charged; which++)
			sums[which] += summary->rows[at].self[which];
	assert_memory_equal(sums, summary->states, sizeof(sums));
	assert_int_equal(summary->states[STATE_RUNNING], 3000 * MILLISECOND);
	assert_int_equal(summary->states[STATE_LOCK], 20000 * MILLISECOND);
	for (at = 0; at < summary->line_count; at++)
		if (summary->rows[summary->lines[at].row].kind == KIND_PYTHON)
			lines += states_sum(summary->lines[at].ns);
	assert_int_equal(lines, 30000 * MILLISECOND); /* all but the thread without Python */
	summary_free(summary);
	profile_free(profile);
}

/* What the ledgers have and no sample does is a row of its own. */
static void test_not_sampled(void **state)
{
	struct profile *profile = made_worker();
	json_t *report;

	profile->threads[0].ns[STATE_FILE] += 2000 * MILLISECOND;
	report = json_of(profile);
	close_to(number(function_of(report, "[not sampled]"), "self", "file"), 2);
	close_to(json_number_value(json_object_get(
			 json_object_get(json_object_get(report, "totals"), "states"), "file")),
		 2);
	json_decref(report);
	profile_free(profile);
}

static void test_json_names(void **state)
{
	static const char *const names[] = {"duration_s", "rate_hz",    "verdict", "processes",
					    "totals",     "functions",  "targets", "lost",
					    "profiler",   "environment"};
	struct profile *profile = made_worker();
	json_t *report, *thread, *process;
	size_t at;

	report = json_of(profile);
	for (at = 0; at < sizeof(names) / sizeof(names[0]); at++)
		assert_non_null(json_object_get(report, names[at]));
	assert_null(json_object_get(report, "gil"));
	assert_null(json_object_get(report, "gc"));
	assert_int_equal(json_array_size(json_object_get(report, "verdict")), 1);
	process = json_array_get(json_object_get(report, "processes"), 0);
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), 4242);
	assert_int_equal(json_array_size(json_object_get(process, "threads")), 4);
	thread = json_array_get(json_object_get(process, "threads"), 0);
	close_to(json_number_value(json_object_get(thread, "seconds")), 10);
	close_to(number(thread, "states", "socket"), 6);
	assert_int_equal(number(report, "lost", "ring_full"), 0);
	assert_non_null(json_object_get(json_object_get(report, "lost"), "ring_full"));
	close_to(number(report, "profiler", "cpu_s"), 0.04);
	assert_int_equal(number(report, "profiler", "samples"), 1234);
	json_decref(report);
	profile_free(profile);
}

static void test_json_functions(void **state)
{
	struct profile *profile = made_worker();
	json_t *report = json_of(profile), *function, *target;

	function = function_of(report, "list_orders");
	assert_string_equal(json_string_value(json_object_get(function, "kind")), "python");
	assert_string_equal(json_string_value(json_object_get(function, "class")), "io");
	assert_int_equal(json_integer_value(json_object_get(function, "line")), 41);
	assert_int_equal(json_integer_value(json_object_get(function, "waits")), 8100);
	close_to(number(function, "self", "socket"), 6);
	close_to(number(json_object_get(function, "lines"), "47", "socket"), 6);

	/* All of its time is its own, by what ran: what it called in C and in the kernel too. */
	function = function_of(report, "render_page");
	close_to(number(function, "self", "running"), 2);
	close_to(number(function, "running", "python"), 1.25);
	close_to(number(function, "running", "native"), 0.5);
	close_to(number(function, "running", "kernel"), 0.25);

	function = function_of(report, "deflate");
	assert_string_equal(json_string_value(json_object_get(function, "kind")), "native");
	close_to(number(function, "self", "running"), 1.5);
	close_to(number(function, "total", "running"), 1.75);

	/* Twice on the stack, once in the total. */
	close_to(number(function_of(report, "_worker"), "total", "lock"), 20);
	assert_int_equal(
		json_integer_value(json_object_get(function_of(report, "_worker"), "waits")), 2);

	function = function_of(report, "[no Python frame]");
	assert_string_equal(json_string_value(json_object_get(function, "file")), "[thread blas]");
	close_to(number(function, "self", "running"), 1);

	assert_int_equal(json_array_size(json_object_get(report, "targets")), 1);
	target = json_array_get(json_object_get(report, "targets"), 0);
	assert_string_equal(json_string_value(json_object_get(target, "target")), "127.0.0.1:5432");
	assert_string_equal(json_string_value(json_object_get(target, "state")), "socket");
	assert_int_equal(json_integer_value(json_object_get(target, "waits")), 8000);
	json_decref(report);
	profile_free(profile);
}

/* The lines of a text, and the columns of the widest. */
static size_t lines_of(const char *text, size_t *widest)
{
	size_t count = 0, width;
	const char *end;
	char *line;

	for (*widest = 0; (end = strchr(text, '\n')); text = end + 1, count++) {
		line = strndup(text, (size_t)(end - text));
		assert_non_null(line);
		width = text_width(line);
		free(line);
		*widest = width > *widest ? width : *widest;
	}
	return count;
}

static void test_report_fits(void **state)
{
	struct view_options options = {.recording = "pyebpf-4242.pb.gz"};
	struct profile *profile = made_worker();
	struct profile_key key = {.tid = 4242, .state = STATE_RUNNING};
	char name[301], *text, *end;
	size_t widest;
	uint32_t frame;
	int at;

	memset(name, 'n', 300);
	name[300] = '\0';
	for (at = 0; at < 50; at++) {
		/* Characters of width 2, and long names. */
		memcpy(name, "\xe6\xbc\xa2\xe5\xad\x97", 6);
		frame = made_frame(profile, KIND_PYTHON, name, "/srv/app/a/long/path/module.py",
				   1000 + at, 1);
		made_sample(profile, key, &frame, 1, (3000 + at) * MILLISECOND, 12345678);
	}
	text = viewed("report", profile, &options);
	lines_of(text, &widest);
	assert_true(widest <= 80);
	end = strstr(text, "more functions");
	assert_non_null(end);
	*strchr(end, '\n') = '\0';
	assert_true(lines_of(text, &widest) < 25);
	free(text);

	options.rows = 3;
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "in 54 more functions"));
	free(text);
	profile_free(profile);
}

static void test_report_text(void **state)
{
	struct view_options options = {.recording = "r.pb.gz"};
	struct profile *profile = made_worker();
	char *text = viewed("report", profile, &options);

	assert_non_null(strstr(text, "gunicorn app:wsgi  pid 4242  CPython 3.11.2\n"));
	assert_non_null(strstr(text, "10.0 s, 2 of 4 threads active, 100.0 % accounted for"));
	assert_non_null(strstr(text, "I/O-bound: 55 % waiting on I/O, 27 % on CPU"));
	assert_non_null(strstr(text, "2 threads only waited: lock 2."));
	assert_non_null(strstr(text, "1. list_orders views.py:41 waits 6.0 s on 127.0.0.1:5432"));
	assert_non_null(strstr(text, "2. render_page views.py:80 burns 2.0 s of CPU, 0.5 s of it"));
	assert_non_null(strstr(text, "   6.50    6.50    -  92%    -   8%    -   8 100 "
				     "list_orders views.py:41\n"));
	assert_non_null(strstr(text, "lost: nothing."));
	assert_non_null(strstr(text, "r.pb.gz"));
	assert_null(strchr(text, '\x1b'));
	free(text);

	profile->facts.lost[LOSS_RING_FULL] = 1234;
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "lost: 1 234 samples dropped: the ring buffer was full\n"));
	assert_null(strstr(text, "nothing"));
	free(text);
	profile_free(profile);
}

static void test_sorting(void **state)
{
	struct view_options options = {.sort = SORT_CPU};
	struct profile *profile = made_worker();
	char *text = viewed("report", profile, &options);

	assert_true(strstr(text, "render_page views.py:80\n") <
		    strstr(text, "[no Python frame] [thread blas]\n"));
	assert_true(strstr(text, "[no Python frame] [thread blas]\n") <
		    strstr(text, "list_orders views.py:41\n"));
	free(text);
	options.sort = SORT_NAME;
	text = viewed("report", profile, &options);
	assert_true(strstr(text, "<module> ") < strstr(text, "Condition.wait "));
	assert_true(strstr(text, "Condition.wait ") < strstr(text, "list_orders views.py:41\n"));
	free(text);
	assert_int_equal(sort_find("waits"), SORT_WAITS);
	assert_int_equal(sort_find("size"), -1);
	profile_free(profile);
}

/* Names come from the profiled process: they must not reach the terminal as commands. */
static void test_hostile_names(void **state)
{
	static const char *const formats[] = {"report", "collapsed"};
	struct view_options options = {.recording = "\x1b]0;x\a"};
	struct profile *profile = made_worker();
	struct profile_key key = {.tid = 4242, .state = STATE_SOCKET};
	uint32_t frame;
	size_t at;
	char *text, *byte;

	key.process = made_process(profile, 5,
				   "\x1b[2J\xc2\x9b"
				   "31m");
	key.thread = made_string(profile, "\x1b[31m");
	key.target = made_string(profile, "a\nb\x1b[0m\xe2\x80\xae");
	frame = made_frame(profile, KIND_PYTHON, "evil\x1b[31m;\r\n", "\x1b[1A.py", 1, 1);
	made_sample(profile, key, &frame, 1, 50000 * MILLISECOND, 1);
	made_sample(profile, key, NULL, 0, 40000 * MILLISECOND, 1);
	made_ledger(profile, key.process, 4242, 90000 * MILLISECOND);
	for (at = 0; at < 2; at++) {
		text = viewed(formats[at], profile, &options);
		for (byte = text; *byte; byte++)
			assert_true(*byte == '\n' || (unsigned char)*byte >= ' ');
		assert_null(strstr(text, "\xc2\x9b"));
		assert_null(strstr(text, "\xe2\x80\xae"));
		free(text);
	}
	profile_free(profile);
}

static void test_collapsed(void **state)
{
	struct view_options options = {0};
	struct profile *profile = made_worker();
	char *text = viewed("collapsed", profile, &options), *line, *rest = text;
	long sum = 0;

	assert_non_null(strstr(text, "<module> (/srv/app/wsgi.py:9);Server.serve "
				     "(/srv/app/server.py:14);list_orders (/srv/app/views.py:47);"
				     "[wait: socket 127.0.0.1:5432] 594\n"));
	assert_non_null(strstr(text, ";[wait: accept] 14"));
	assert_non_null(strstr(text, ";deflate (/lib/libz.so.1);copy_page_[k] 25\n"));
	assert_non_null(strstr(text, "[no Python frame] ([thread blas]);deflate"));
	while ((line = strsep(&rest, "\n")) && *line)
		sum += strtol(strrchr(line, ' '), NULL, 10);
	assert_int_equal(sum, 31 * 99);
	free(text);
	profile_free(profile);
}

/* A thousand stacks of a tenth of a period each: the sum must not vanish by rounding. */
static void test_collapsed_rounding(void **state)
{
	struct view_options options = {0};
	struct profile *profile = profile_new();
	struct profile_key key = {.state = STATE_RUNNING};
	char *text, *line, *rest;
	uint32_t frame;
	long sum = 0;
	int at;

	made_process(profile, 1, "p");
	profile->facts.rate_hz = 100;
	for (at = 0; at < 1000; at++) {
		frame = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, at);
		made_sample(profile, key, &frame, 1, MILLISECOND, 0);
	}
	rest = text = viewed("collapsed", profile, &options);
	while ((line = strsep(&rest, "\n")) && *line)
		sum += strtol(strrchr(line, ' '), NULL, 10);
	assert_int_equal(sum, 100);
	free(text);
	profile_free(profile);
}

/* Adds a thread with one Python function in which it is in the states, of 10 s. */
static void add_thread(struct profile *profile, uint32_t tid, const char *file,
		       const int shares[STATE_COUNT])
{
	struct profile_key key = {.tid = tid};
	uint32_t frame = made_frame(profile, KIND_PYTHON, "f", file, 1, 1);

	key.thread = made_string(profile, "t");
	for (key.state = 0; key.state < STATE_COUNT; key.state++)
		if (shares[key.state])
			made_sample(profile, key, &frame, 1, shares[key.state] * 100 * MILLISECOND,
				    1);
	made_ledger(profile, 0, tid, 10000 * MILLISECOND);
}

static void verdict_check(struct profile *profile, const char *expected, uint32_t active)
{
	struct verdicts *verdicts;
	char *text;

	assert_int_equal(verdicts_make(profile, &verdicts), 0);
	text = verdict_text(&verdicts->processes[0]);
	assert_non_null(text);
	assert_int_equal(verdicts->processes[0].active, active);
	if (strncmp(text, expected, strlen(expected)) != 0)
		fail_msg("`%s` should begin with `%s`", text, expected);
	free(text);
	verdicts_free(verdicts);
	profile_free(profile);
}

static struct profile *one_process(void)
{
	struct profile *profile = profile_new();

	made_facts(profile);
	made_process(profile, 1, "p");
	return profile;
}

static void test_verdicts(void **state)
{
	struct profile *profile;
	uint32_t tid;

	profile = one_process();
	add_thread(profile, 1, "a.py", (int[STATE_COUNT]){[STATE_RUNNING] = 90, [STATE_GIL] = 10});
	verdict_check(profile, "CPU-bound: 90 % on CPU, 10 % for the GIL.", 1);

	profile = one_process();
	add_thread(profile, 1, "a.py", (int[STATE_COUNT]){[STATE_FILE] = 70, [STATE_RUNNING] = 30});
	verdict_check(profile, "I/O-bound: 70 % waiting on I/O, 30 % on CPU.", 1);

	/* A server that waits for clients is not I/O-bound, an event loop in poll neither. */
	profile = one_process();
	add_thread(profile, 1, "a.py",
		   (int[STATE_COUNT]){[STATE_ACCEPT] = 95, [STATE_RUNNING] = 5});
	verdict_check(profile, "Mostly idle: 95 % idle, 5 % on CPU.", 1);
	profile = one_process();
	add_thread(profile, 1, "a.py", (int[STATE_COUNT]){[STATE_POLL] = 95, [STATE_RUNNING] = 5});
	verdict_check(profile, "Event-driven: 95 % waiting for events, 5 % on CPU.", 1);

	/* The threads of a pool that only waited are not contention. */
	profile = one_process();
	add_thread(profile, 1, "a.py", (int[STATE_COUNT]){[STATE_RUNNING] = 100});
	for (tid = 2; tid < 14; tid++)
		add_thread(profile, tid, "/lib/a.py", (int[STATE_COUNT]){[STATE_LOCK] = 100});
	verdict_check(profile, "CPU-bound: 100 % on CPU.", 1);

	/* Nor are those that wait for work between their jobs, */
	profile = one_process();
	add_thread(profile, 1, "a.py", (int[STATE_COUNT]){[STATE_RUNNING] = 100});
	for (tid = 2; tid < 6; tid++)
		add_thread(profile, tid, "/lib/concurrent/futures/thread.py",
			   (int[STATE_COUNT]){[STATE_LOCK] = 95, [STATE_RUNNING] = 5});
	verdict_check(profile,
		      "CPU-bound: 100 % on CPU. Beside that, 38.0 s of waiting for other threads'",
		      5);

	/* but threads that wait for a lock in the program's own functions are. */
	profile = one_process();
	for (tid = 1; tid < 5; tid++)
		add_thread(profile, tid, "a.py",
			   (int[STATE_COUNT]){[STATE_LOCK] = 75, [STATE_RUNNING] = 25});
	verdict_check(profile, "Lock-bound: 75 % for locks, 25 % on CPU.", 4);

	profile = one_process();
	add_thread(profile, 1, "a.py", (int[STATE_COUNT]){[STATE_SLEEP] = 100});
	verdict_check(profile, "Idle: no thread did more than wait.", 0);
	verdict_check(one_process(), "Not seen: none of its threads was seen.", 0);
}

static void test_empty(void **state)
{
	struct profile *profile = profile_new();
	struct view_options options = {0};
	const struct view *view;
	json_t *report = json_of(profile);

	assert_int_equal(json_array_size(json_object_get(report, "functions")), 0);
	json_decref(report);
	for (view = views; view->name; view++)
		free(viewed(view->name, profile, &options));
	profile_free(profile);
}

static void test_many_processes(void **state)
{
	struct view_options options = {0};
	struct profile *profile = profile_new();
	struct profile_thread thread;
	struct profile_key key = {0};
	size_t widest;
	uint32_t at;
	char *text;

	made_facts(profile);
	for (at = 0; at < 3000; at++) {
		key.process = made_process(profile, at + 1, "worker");
		key.tid = at + 1;
		key.state = at % 3 ? STATE_SLEEP : STATE_RUNNING;
		made_sample(profile, key, NULL, 0, (at + 1) * MILLISECOND, 1);
		thread = (struct profile_thread){.process = key.process, .tid = key.tid};
		thread.end_ns = thread.ns[key.state] = (at + 1) * MILLISECOND;
		assert_int_equal(profile_thread(profile, &thread), 0);
	}
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "3000 processes, 10.0 s\n"));
	assert_non_null(strstr(text, "worker (pid 2998): CPU-bound: 100 % on CPU.\n"));
	assert_non_null(strstr(text, "and 2995 more processes: "));
	assert_true(lines_of(text, &widest) < 25);
	assert_true(widest <= 80);
	free(text);
	profile_free(profile);
}

static void test_paths(void **state)
{
	static const char *const paths[] = {"/a/x/models.py", "/a/y/models.py",   "/a/y/models.py",
					    "/b/views.py",    "/c/p/__init__.py", "<string>",
					    "setup.py",       "/r/setup.py",      "/setup.py"};
	static const char *const expected[] = {"x/models.py", "y/models.py",   "y/models.py",
					       "views.py",    "p/__init__.py", "<string>",
					       "setup.py",    "/r/setup.py",   "/setup.py"};
	const char *shorts[9];
	int at;

	assert_int_equal(paths_shorten(paths, 9, shorts), 0);
	for (at = 0; at < 9; at++)
		assert_string_equal(shorts[at], expected[at]);
}

static void test_text(void **state)
{
	static const struct {
		const char *text;
		size_t columns;
		const char *expected;
	} cases[] = {
		{"short", 5, "short"},
		{"abcdefghij", 5, "ab" PIECE "ij"},
		{"abcdefghij", 1, PIECE},
		{"abcdefghij", 0, ""},
		/* Of width 2 each: half a character is none. */
		{"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97", 5,
		 "\xe6\xbc\xa2" PIECE "\xe5\xad\x97"},
		{"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97", 3, PIECE},
		/* A mark goes with the letter that it is on. */
		{"xyza\xcc\x81"
		 "bc",
		 4, "xy" PIECE "c"},
	};
	char buffer[TEXT_NUMBER_BYTES], *shortened, *escaped;
	size_t at;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		shortened = text_shorten(cases[at].text, cases[at].columns);
		assert_string_equal(shortened, cases[at].expected);
		assert_true(text_width(shortened) <= cases[at].columns);
		free(shortened);
	}
	assert_string_equal(text_number(buffer, 0), "0");
	assert_string_equal(text_number(buffer, 999), "999");
	assert_string_equal(text_number(buffer, 1234567), "1 234 567");
	escaped = text_escape("a\tb\x1b\x7f\xc2\x80\xe2\x80\xae\xff\xc3\xa9");
	assert_string_equal(escaped, "a\\tb\\x1b\\x7f\\x80\\u202e\\xff\xc3\xa9");
	free(escaped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),           cmocka_unit_test(test_not_sampled),
		cmocka_unit_test(test_json_names),     cmocka_unit_test(test_json_functions),
		cmocka_unit_test(test_report_fits),    cmocka_unit_test(test_report_text),
		cmocka_unit_test(test_sorting),        cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_collapsed),      cmocka_unit_test(test_collapsed_rounding),
		cmocka_unit_test(test_verdicts),       cmocka_unit_test(test_empty),
		cmocka_unit_test(test_many_processes), cmocka_unit_test(test_paths),
		cmocka_unit_test(test_text),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
