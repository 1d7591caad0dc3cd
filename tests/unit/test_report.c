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
#include <unistd.h>

#include "commands/command.h"
#include "made_profile.h"
#include "profile/names.h"
#include "profile/narrow.h"
#include "profile/pprof.h"
#include "profile/summary.h"
#include "profile/verdict.h"
#include "profile/waits.h"
#include "views/paths.h"
#include "views/report.h"
#include "views/symbol_text.h"
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

static const char *word(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* `build_id`: NULL for any. */
static json_t *function_from(json_t *report, const char *name, const char *build_id)
{
	json_t *function;
	size_t at;

	json_array_foreach (json_object_get(report, "functions"), at, function)
		if (!strcmp(word(function, "function"), name) &&
		    (!build_id || !strcmp(word(function, "build_id"), build_id)))
			return function;
	fail_msg("no function %s", name);
	return NULL;
}

static json_t *function_of(json_t *report, const char *name)
{
	return function_from(report, name, NULL);
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
static void check_sums(const struct summary *summary)
{
	int64_t states[STATE_COUNT] = {0}, running[LEAF_COUNT] = {0};
	const struct summary_row *row;
	uint32_t at;
	int which;

	for (at = 0; at < summary->row_count; at++) {
		row = &summary->rows[at];
		for (which = 0; which < STATE_COUNT && row->charged; which++)
			states[which] += row->self[which];
		for (which = 0; which < LEAF_COUNT && row->charged; which++)
			running[which] += row->running[which];
		for (which = 0; which < STATE_COUNT; which++)
			assert_true(row->self[which] <= row->total[which]);
	}
	assert_memory_equal(states, summary->states, sizeof(states));
	assert_memory_equal(running, summary->running, sizeof(running));
}

static void test_sums(void **state)
{
	struct profile *profile = made_worker();
	struct summary *summary;
	int64_t lines = 0;
	uint32_t at;

	assert_int_equal(summary_make(profile, &summary), 0);
	check_sums(summary);
	assert_int_equal(summary->states[STATE_RUNNING], 3000 * MILLISECOND);
	assert_int_equal(summary->states[STATE_LOCK], 20000 * MILLISECOND);
	for (at = 0; at < summary->line_count; at++)
		if (summary->rows[summary->lines[at].row].kind == KIND_PYTHON)
			lines += states_sum(summary->lines[at].ns);
	assert_int_equal(lines, 30000 * MILLISECOND); /* all but the thread without Python */
	summary_free(summary);
	profile_free(profile);
}

static void check_running(json_t *function, double python, double native, double kernel, double gc)
{
	close_to(number(function, "running", "python"), python);
	close_to(number(function, "running", "native"), native);
	close_to(number(function, "running", "kernel"), kernel);
	close_to(number(function, "running", "gc"), gc);
}

/* Python that is called by C that is called by Python, and so on. */
static void test_interleaved_stacks(void **state)
{
	struct profile *profile = made_mixed();
	struct summary *summary;
	json_t *report, *function;

	assert_int_equal(summary_make(profile, &summary), 0);
	check_sums(summary);
	summary_free(summary);

	report = json_of(profile);
	check_running(json_object_get(report, "totals"), 1, 6.6, 0.5, 0.2);
	/* The innermost Python function has what it called in C, but not what C called in Python. */
	function = function_of(report, "Model.key");
	close_to(number(function, "self", "running"), 4.4);
	close_to(number(function, "self", "gil"), 0.5);
	close_to(number(function, "self", "socket"), 0);
	close_to(number(function, "total", "socket"), 2);
	check_running(function, 1, 2.7, 0.5, 0.2);
	assert_int_equal(json_integer_value(json_object_get(function, "waits")), 60);
	function = function_of(report, "train");
	close_to(number(function, "self", "running"), 2.4);
	close_to(number(function, "total", "running"), 6.8);
	check_running(function, 0, 2.4, 0, 0);

	/* A native function: itself, and wherever it is on the stack, in recursion once. */
	function = function_from(report, "deflate", "aa11aa11aa11");
	assert_string_equal(word(function, "kind"), "native");
	assert_string_equal(word(function, "file"), "/usr/lib/libz.so.1");
	assert_int_equal(json_integer_value(json_object_get(function, "line")), 0);
	assert_null(json_object_get(function, "source"));
	close_to(number(function, "self", "running"), 2.6);
	close_to(number(function, "total", "running"), 3.1);
	check_running(function, 0, 2.6, 0, 0);
	function = function_from(report, "deflate", "bb22bb22bb22");
	assert_string_equal(word(function, "file"), "/usr/lib/libz.so.1");
	close_to(number(function, "total", "running"), 0.4);
	function = function_of(report, MADE_LAMBDA);
	assert_string_equal(word(function, "file"), "/srv/_sort.cpython-311-x86_64-linux-gnu.so");
	assert_string_equal(word(function, "source"), "/src/sort.cc");
	close_to(number(function, "self", "running"), 2);
	close_to(number(function, "total", "running"), 6.4);
	close_to(number(function, "total", "socket"), 2);
	close_to(number(json_object_get(function, "lines"), "12", "running"), 2);

	/* Waits: what only waits has no time of its own, as the kernel's frames are inside of it. */
	function = function_of(report, "take_gil");
	assert_string_equal(word(function, "class"), "gil");
	close_to(number(function, "total", "gil"), 0.5);
	close_to(number(function, "self", "gil"), 0);
	assert_int_equal(json_integer_value(json_object_get(function, "waits")), 10);
	function = function_of(report, "poll");
	assert_string_equal(word(function, "class"), "io");
	assert_int_equal(json_integer_value(json_object_get(function, "waits")), 53);
	function = function_of(report, "handle_mm_fault");
	assert_string_equal(word(function, "kind"), "kernel");
	check_running(function, 0, 0, 0.5, 0);
	check_running(function_of(report, "gc_collect_main"), 0, 0, 0, 0.2);

	function = json_array_get(json_object_get(report, "targets"), 0);
	assert_string_equal(word(function, "function"), "Model.key"); /* not its library's */
	json_decref(report);
	profile_free(profile);
}

/* Which Python place the time of a native function came from. */
static void test_callers(void **state)
{
	struct profile *profile = made_mixed();
	const struct profile_location *location;
	const struct summary_caller *callers;
	struct summary *summary;
	uint32_t at, count;

	assert_int_equal(summary_make(profile, &summary), 0);
	for (at = 0; at < summary->row_count; at++) {
		callers = summary_callers(summary, at, &count);
		if (summary->rows[at].kind != KIND_NATIVE || summary->rows[at].charged ||
		    !summary->rows[at].self_ns) {
			assert_null(callers);
			assert_int_equal(count, 0);
			continue;
		}
		assert_int_equal(count, 1);
		assert_int_equal(callers->ns, summary->rows[at].self_ns);
		if (!strcmp(summary->rows[at].name, "dgemm")) {
			assert_int_equal(callers->location, -1);
			assert_string_equal(profile->strings[callers->thread], "blas");
		} else if (!strcmp(summary->rows[at].name, MADE_LAMBDA)) {
			location = &profile->locations[callers->location];
			assert_int_equal(location->line, 40);
		}
	}
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
	/* What the recording does not have, as those of older formats. */
	assert_null(json_object_get(report, "gc"));
	assert_null(json_object_get(report, "wakers"));
	assert_null(json_object_get(report, "runqueue"));
	assert_null(json_object_get(report, "repeats"));
	assert_null(json_object_get(report, "targets_rest"));
	thread = json_array_get(json_object_get(report, "targets"), 0);
	assert_null(json_object_get(thread, "sends"));
	assert_null(json_object_get(thread, "longest_s"));
	assert_null(json_object_get(thread, "histogram"));
	thread = function_of(report, "list_orders");
	assert_null(json_object_get(thread, "gc_s"));
	assert_null(json_object_get(thread, "grown_bytes"));
	/* The process, three causes, and what they rest on. */
	assert_int_equal(json_array_size(json_object_get(report, "verdict")), 5);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(report, "verdict"), 4)),
		"From 1 234 samples, 0 lost, in 10.0 s.");
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
	assert_non_null(
		strstr(text, "10.0 s, 2 of 4 threads active, 100.0 % accounted for; 1 234 samples, "
			     "0 lost.\n"));
	assert_non_null(strstr(text, "I/O-bound: 55 % waiting on I/O, 27 % on CPU"));
	assert_non_null(strstr(text, "2 threads only waited: lock 2."));
	assert_non_null(
		strstr(text, "1. list_orders views.py:41 waits 6.0 s on 127.0.0.1:5432 (55 %), in "
			     "line 47:\n     8 000 waits of 750 us\n"));
	assert_non_null(strstr(text,
			       "2. render_page views.py:80 burns 2.0 s of CPU (18 %), in line 82, "
			       "0.50 s of it\n     in C (deflate, libz.so.1), 0.25 s in the "
			       "kernel\n"));
	assert_non_null(strstr(text, " CPU\n  time: 50 % native code, 42 % Python, 8 % kernel.\n"));
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

static const char native_head[] = " self s total s of cpu native code";

static void test_native_table(void **state)
{
	struct view_options options = {0};
	struct profile *profile = made_mixed();
	char *text = viewed("report", profile, &options), *table;
	size_t widest;

	/* Behind the table of functions, which it does not push away. */
	table = strstr(text, native_head);
	assert_non_null(table);
	assert_true(strstr(text, "waits function\n") < table);
	assert_non_null(strstr(table,
			       "\n   2.60    3.10    31% deflate libz.so.1@aa11aa11      100% "
			       "Model.key model.py:6\n"));
	assert_non_null(strstr(table,
			       "\n   0.40    0.40     5% deflate libz.so.1@bb22bb22      100% "
			       "train train.py:40\n"));
	assert_non_null(strstr(table, " dgemm libopenblas.so.0          100% blas (thread)\n"));
	assert_non_null(strstr(table, "operator() _sort  100% train train.py:40\n"));
	assert_non_null(strstr(table, "\n   0.10 in 1 more native function: see -n\n\n"));
	assert_null(strstr(table, "take_gil")); /* it only waits */
	assert_null(strstr(table, "stack cut"));
	lines_of(text, &widest);
	assert_true(widest <= 80);
	free(text);

	options.columns = 120;
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, " void sort_by::{lambda#1}::operator() _sort.so  100% train "
				     "train.py:40\n"));
	lines_of(text, &widest);
	assert_true(widest <= 120);
	free(text);

	options.columns = 40; /* too narrow for the callers */
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "native code\n"));
	assert_null(strstr(text, "called from"));
	free(text);

	options = (struct view_options){.rows = 6};
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "% py::jitted "));
	assert_null(strstr(text, "more native"));
	free(text);
	options.rows = 1;
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "in 5 more native functions: see -n\n"));
	free(text);
	profile_free(profile);
}

/* Code without a symbol is named by its module, once; where there is little room, names are cut. */
static void test_native_names(void **state)
{
	struct view_options options = {0};
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 1, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	uint32_t frames[2];
	char *text;

	frames[1] = made_frame(profile, KIND_PYTHON, "JSONDecoder.raw_decode", "/x/json/decoder.py",
			       343, 353);
	frames[0] = made_native(profile, "_PyObject_Malloc", "/usr/lib/libpython3.11.so.1.0", "",
				0x10, "", 0);
	made_sample(profile, key, frames, 2, 700 * MILLISECOND, 0);
	frames[0] = made_native(profile, "libcrypto.so.3+0x29c240", "/usr/lib/libcrypto.so.3", "",
				0x20, "", 0);
	made_sample(profile, key, frames, 2, 800 * MILLISECOND, 0);
	frames[0] = made_native(profile, "work", "/usr/lib/libcrypto.so.3", "", 0x30, "", 0);
	frames[1] = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 2);
	made_sample(profile, key, frames, 2, 100 * MILLISECOND, 0);
	frames[1] = made_frame(profile, KIND_PYTHON, "g", "g.py", 1, 2);
	made_sample(profile, key, frames, 2, 300 * MILLISECOND, 0);
	made_ledger(profile, 0, 1, 1900 * MILLISECOND);
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, " libcrypto.so.3+0x29c240         100% raw_decode de" PIECE
				     "py:353\n"));
	assert_non_null(strstr(text, " _PyObject_Malloc libpython3.11  100% raw_decode de" PIECE
				     "py:353\n"));
	assert_non_null(strstr(text, " work libcrypto.so.3 "));
	assert_non_null(strstr(text, "  75% g g.py:2\n")); /* the larger of two callers */
	assert_non_null(strstr(text, "(libcrypto.so.3+0x29c240)"));
	free(text);
	options.columns = 120;
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, " libcrypto.so.3+0x29c240                "));
	assert_non_null(strstr(text, "_PyObject_Malloc libpython3.11.so.1.0  100% "
				     "JSONDecoder.raw_decode decoder.py:353\n"));
	free(text);
	profile_free(profile);
}

/* Native code is not named where it matters little, or where none was recorded. */
static void test_no_native_table(void **state)
{
	struct view_options options = {0};
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 1, .state = STATE_RUNNING};
	uint32_t frames[2];
	char *text;

	frames[0] = made_native(profile, "crc32", "/usr/lib/libz.so.1", "", 0x10, "", 0);
	frames[1] = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1);
	made_sample(profile, key, frames + 1, 1, 9920 * MILLISECOND, 0);
	key.leaf = LEAF_NATIVE;
	made_sample(profile, key, frames, 2, 80 * MILLISECOND, 0);
	made_ledger(profile, 0, 1, 10000 * MILLISECOND);
	text = viewed("report", profile, &options);
	assert_null(strstr(text, native_head));
	free(text);
	profile->samples[0].ns -= 40 * MILLISECOND;
	profile->samples[1].ns += 40 * MILLISECOND;
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, native_head));
	free(text);

	/* Without native frames only what ran is known. */
	key.tid = 2;
	made_sample(profile, key, frames + 1, 1, 90000 * MILLISECOND, 0);
	made_ledger(profile, 0, 2, 90000 * MILLISECOND);
	text = viewed("report", profile, &options);
	assert_null(strstr(text, native_head));
	assert_non_null(strstr(text, "90.1 s of it in C\n"));
	free(text);
	profile_free(profile);
}

/* Wherever the caller's and the function's names are long, lines still fit. */
static void test_native_table_fits(void **state)
{
	static const uint32_t widths[] = {60, 63, 64, 80, 100, 200};
	struct view_options options = {0};
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 1, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	uint32_t frames[2], at;
	size_t widest, length;
	char name[301], *text;

	memset(name, 'n', 300);
	memcpy(name, "\xe6\xbc\xa2\xe5\xad\x97", 6);
	for (length = 300; length > 4; length /= 2) {
		name[length] = '\0';
		frames[0] = made_native(profile, name, name, "aa", length, "", 0);
		made_native(profile, name, name, "bb", length, "", 0);
		frames[1] = made_frame(profile, KIND_PYTHON, name, "/srv/a/long/module.py", 100000,
				       100000);
		made_sample(profile, key, frames, 2, 1000 * MILLISECOND, 0);
		frames[0] = made_native(profile, "f", "/x/libf.so", "", length, "", 0);
		made_sample(profile, key, frames, 2, 100 * MILLISECOND, 0);
	}
	made_ledger(profile, 0, 1, 100000 * MILLISECOND);
	for (at = 0; at < sizeof(widths) / sizeof(widths[0]); at++) {
		options.columns = widths[at];
		text = viewed("report", profile, &options);
		lines_of(strstr(text, native_head), &widest);
		if (widest > widths[at])
			fail_msg("%zu columns of %u:\n%s", widest, widths[at], text);
		free(text);
	}
	profile_free(profile);
}

/* Returns the report's text, as one line. */
static char *one_line(const struct profile *profile)
{
	struct view_options options = {.columns = 1000};

	return viewed("report", profile, &options);
}

/* What was inlined from elsewhere is of the function that it is in. */
static void test_sources(void **state)
{
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 1, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	json_t *report, *function;
	uint32_t frames[3], rows = 0;
	size_t at;
	char *text;

	frames[0] = made_native(profile, "work", "/x/w.so", "aa", 0x10, "/src/w.c", 7);
	frames[1] = made_native(profile, "work", "/x/w.so", "aa", 0x18, "/src/inline.h", 9);
	frames[2] = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1);
	made_sample(profile, key, frames, 3, 400 * MILLISECOND, 0);
	made_sample(profile, key, frames + 1, 2, 600 * MILLISECOND, 0);
	frames[0] = made_native(profile, "work", "/x/w.so", "bb", 0x10, "/src/w.c", 7);
	made_sample(profile, key, frames, 3, 100 * MILLISECOND, 0);
	made_ledger(profile, 0, 1, 1100 * MILLISECOND);
	report = json_of(profile);
	json_array_foreach (json_object_get(report, "functions"), at, function)
		rows += !strcmp(word(function, "function"), "work");
	assert_int_equal(rows, 2);
	function = function_from(report, "work", "aa");
	assert_string_equal(word(function, "source"), "/src/w.c");
	close_to(number(function, "self", "running"), 1);
	close_to(number(function, "total", "running"), 1.1);
	function = json_object_get(function, "lines");
	assert_int_equal(json_object_size(function), 1);
	close_to(number(json_object_get(function_from(report, "work", "aa"), "lines"), "7",
			"running"),
		 0.4);
	json_decref(report);
	text = one_line(profile);
	assert_non_null(strstr(
		text, "burns 1.1 s of CPU (100 %), in line 1, 1.1 s of it in C (work, w.so)\n"));
	free(text);
	profile_free(profile);
}

/* A cause names the native function, or the library, that has at least half of its native time. */
static void test_native_causes(void **state)
{
	struct profile *profile = made_mixed();
	struct profile_key key = {.tid = 1, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	uint32_t frames[2];
	char *text = one_line(profile);

	assert_non_null(
		strstr(text, "1. Model.key model.py:5 burns 4.4 s of CPU (37 %), in line 6, 2.7 s "
			     "of it in C (deflate, libz.so.1), 0.50 s in the kernel\n"));
	assert_non_null(
		strstr(text, "2. train train.py:30 burns 2.4 s of CPU (20 %), in line 40, 2.4 s of "
			     "it in C "
			     "(void sort_by::{" PIECE "1}::operator(), _sort.so)\n"));
	/* The program's own function, although C is between it and the library's. */
	assert_non_null(strstr(text, "3. Model.key model.py:5 waits 2.0 s on 127.0.0.1:5432 "
				     "(17 %), in line 6: 50 "));
	free(text);
	profile_free(profile);

	/* No function has half, but one library does; then none of both. */
	profile = one_process();
	frames[1] = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1);
	frames[0] = made_native(profile, "inflate", "/usr/lib/libz.so.1", "", 0x10, "", 0);
	made_sample(profile, key, frames, 2, 400 * MILLISECOND, 0);
	frames[0] = made_native(profile, "crc32", "/usr/lib/libz.so.1", "", 0x20, "", 0);
	made_sample(profile, key, frames, 2, 300 * MILLISECOND, 0);
	frames[0] = made_native(profile, "memcpy", "/usr/lib/libc.so.6", "", 0x20, "", 0);
	made_sample(profile, key, frames, 2, 300 * MILLISECOND, 0);
	made_ledger(profile, 0, 1, 1000 * MILLISECOND);
	text = one_line(profile);
	assert_non_null(strstr(
		text, "burns 1.0 s of CPU (100 %), in line 1, 1.0 s of it in C (libz.so.1)\n"));
	free(text);
	made_sample(profile, key, frames + 1, 1, 1000 * MILLISECOND, 0);
	profile->thread_count = 0;
	made_ledger(profile, 0, 1, 2000 * MILLISECOND);
	text = one_line(profile);
	assert_non_null(strstr(text, "burns 2.0 s of CPU (100 %), in line 1, 2.0 s of it in C\n"));
	free(text);
	profile_free(profile);

	/* Code in no file has a name alone; a notice is no code. */
	profile = one_process();
	frames[1] = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1);
	frames[0] = made_native(profile, "py::jitted", "", "", 0x7f0000001000, "", 0);
	made_sample(profile, key, frames, 2, 500 * MILLISECOND, 0);
	frames[0] = made_notice(profile, "[stack not read]");
	made_sample(profile, key, frames, 1, 700 * MILLISECOND, 0);
	key.thread = made_string(profile, "t");
	made_ledger(profile, 0, 1, 1200 * MILLISECOND);
	text = one_line(profile);
	assert_non_null(strstr(
		text,
		"f f.py:1 burns 0.50 s of CPU (42 %), in line 1, 0.50 s of it in C (py::jitted)\n"));
	assert_non_null(
		strstr(text, "(no Python frame) burns 0.70 s of CPU (58 %), 0.70 s of it in C\n"));
	free(text);
	profile_free(profile);
}

/* Waits for other threads' work are told by the innermost Python function, whatever it called. */
static void test_native_handover(void **state)
{
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 1, .state = STATE_LOCK};
	uint32_t frames[5];

	frames[0] = made_frame(profile, KIND_KERNEL, "futex_wait", "[kernel.kallsyms]", 0, 1);
	frames[1] = made_native(profile, "sem_wait", "/usr/lib/libc.so.6", "", 0x10, "", 0);
	frames[2] = made_frame(profile, KIND_PYTHON, "Condition.wait",
			       "/usr/lib/python3.11/threading.py", 288, 320);
	frames[3] = made_native(profile, "call", "/srv/ext.so", "", 0x10, "", 0);
	frames[4] = made_frame(profile, KIND_PYTHON, "f", "/srv/f.py", 1, 1);
	made_sample(profile, key, frames, 5, 6000 * MILLISECOND, 1);
	key.state = STATE_RUNNING;
	key.leaf = LEAF_NATIVE;
	made_sample(profile, key, frames + 3, 2, 4000 * MILLISECOND, 1);
	made_ledger(profile, 0, 1, 10000 * MILLISECOND);
	verdict_check(profile,
		      "CPU-bound: 100 % on CPU. CPU time: 100 % native code. Beside that, 6.0 s",
		      1);
}

/* The CPU time is that of the threads of which the verdict speaks. */
static void test_native_idle(void **state)
{
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 2, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	uint32_t frame = made_native(profile, "spin", "/x/libblas.so", "", 0x10, "", 0);

	made_sample(profile, key, &frame, 1, 40 * MILLISECOND, 0);
	key.state = STATE_LOCK;
	made_sample(profile, key, &frame, 1, 9960 * MILLISECOND, 1);
	made_ledger(profile, 0, 2, 10000 * MILLISECOND);
	add_thread(profile, 1, "a.py", (int[STATE_COUNT]){[STATE_RUNNING] = 2, [STATE_SLEEP] = 98});
	verdict_check(profile, "Mostly idle: 98 % idle, 2 % on CPU. CPU time: 100 % Python.", 1);
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
	assert_non_null(strstr(text, ";deflate (libz.so.1);copy_page_[k] 25\n"));
	assert_non_null(strstr(text, "[no Python frame] ([thread blas]);deflate"));
	while ((line = strsep(&rest, "\n")) && *line)
		sum += strtol(strrchr(line, ' '), NULL, 10);
	assert_int_equal(sum, 31 * 99);
	free(text);
	profile_free(profile);
}

/* Frames of C++ and Rust are full of what separates frames, or could. */
static void test_collapsed_native(void **state)
{
	static const char *const names[] = {
		"std::map<int, std::string>::operator[](int&&)",
		"<core::iter::Map<I,F> as Iterator>::fold::{{closure}}",
		"operator\"\" _s(char const*; unsigned long)",
		"f(char)::{lambda(auto:1&)#2}::operator()<int>(int&) const [clone .isra.0]",
	};
	struct view_options options = {0};
	struct profile *profile = made_mixed(), *narrow;
	struct profile_key key = {.tid = 9, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	struct narrowing to = {.python_only = true};
	char *text = viewed("collapsed", profile, &options), *line, *rest;
	uint32_t frames[4], at;
	int lines = 0;

	assert_non_null(strstr(text, "main (/srv/train.py:12);train (/srv/train.py:40);" MADE_LAMBDA
				     " (sort.cc:12);Model.key (/srv/model.py:6);deflate "
				     "(libz.so.1);handle_mm_fault_[k] 49\n"));
	assert_non_null(strstr(text, ";py::jitted 10\n"));
	assert_non_null(strstr(text, ";Model.key (/srv/model.py:6);take_gil (python3.11);"
				     "schedule_[k];[wait: gil] 49\n"));
	assert_non_null(strstr(text, "\n[no Python frame] ([thread blas]);[stack cut];dgemm "
				     "(libopenblas.so.0) 148\n"));
	assert_non_null(strstr(text, "\n[no Python frame] ([thread blas]);[wait: lock] 89\n"));
	free(text);

	assert_int_equal(profile_narrow(profile, &to, &narrow, NULL), 0);
	text = viewed("collapsed", narrow, &options);
	assert_non_null(strstr(text, "main (/srv/train.py:12);train (/srv/train.py:40);Model.key "
				     "(/srv/model.py:6) 426\n"));
	assert_non_null(strstr(text, "([thread blas]);[stack cut] 148\n"));
	assert_null(strstr(text, "_[k]"));
	free(text);
	profile_free(narrow);
	profile_free(profile);

	profile = one_process();
	for (at = 0; at < 4; at++)
		frames[at] = made_native(profile, names[at], "/x;y/lib a;b.so", "", at, "", 0);
	made_sample(profile, key, frames, 4, 1000 * MILLISECOND, 0);
	rest = text = viewed("collapsed", profile, &options);
	for (; (line = strsep(&rest, "\n")) && *line; lines++)
		assert_string_equal(
			line,
			"[no Python frame] ([thread ]);"
			"f(char)::{lambda(auto:1&)#2}::operator()<int>(int&) const [clone .isra.0] "
			"(lib a:b.so);operator\"\" _s(char const*: unsigned long) (lib a:b.so);"
			"<core::iter::Map<I,F> as Iterator>::fold::{{closure}} (lib a:b.so);"
			"std::map<int, std::string>::operator[](int&&) (lib a:b.so) 99");
	assert_int_equal(lines, 1);
	free(text);
	profile_free(profile);
}

/* The row of a table that has `target` (or what else `key` is) of a function. */
static json_t *row_of(json_t *report, const char *table, const char *function, const char *key,
		      const char *value)
{
	json_t *row;
	size_t at;

	json_array_foreach (json_object_get(report, table), at, row)
		if (!strcmp(word(row, "function"), function) && !strcmp(word(row, key), value))
			return row;
	fail_msg("no %s of %s with %s", table, function, value);
	return NULL;
}

static double plain(json_t *object, const char *key)
{
	assert_non_null(json_object_get(object, key));
	return json_number_value(json_object_get(object, key));
}

static void test_json_targets(void **state)
{
	struct profile *profile = made_shop();
	json_t *report = json_of(profile), *row, *histogram;

	assert_int_equal(json_array_size(json_object_get(report, "targets")), 6);
	row = row_of(report, "targets", "list_orders", "target", "127.0.0.1:5432");
	assert_string_equal(word(row, "state"), "socket");
	assert_string_equal(word(row, "file"), "/srv/app/views.py");
	close_to(plain(row, "line"), 41);
	close_to(plain(row, "waits"), 6400);
	close_to(plain(row, "sends"), 6400); /* those that it sent while it ran, too */
	close_to(plain(row, "receives"), 6400);
	close_to(plain(row, "seconds"), 6.4);
	close_to(plain(row, "longest_s"), 0.004);
	histogram = json_object_get(row, "histogram");
	assert_int_equal(json_array_size(histogram), 2);
	close_to(json_number_value(json_array_get(json_array_get(histogram, 0), 0)), 0.001048576);
	close_to(json_number_value(json_array_get(json_array_get(histogram, 0), 1)), 5600);
	close_to(json_number_value(json_array_get(json_array_get(histogram, 1), 1)), 800);
	/* Half: rank 3200 of the 5600 between 2^19 and 2^20 ns. */
	close_to(plain(row, "p50_s"), (524288 + 524288 * 3200.0 / 5600) / 1e9);
	/* 99 %: rank 736 of 800 would be above the longest. */
	close_to(plain(row, "p99_s"), 0.004);

	/* Ten clients of one address are one, two are two; a message is no wait. */
	row = row_of(report, "targets", "talk", "target", "10.0.0.7:*");
	close_to(plain(row, "waits"), 10);
	close_to(plain(row, "seconds"), 0.3);
	close_to(json_number_value(
			 json_array_get(json_array_get(json_object_get(row, "histogram"), 0), 1)),
		 10);
	row_of(report, "targets", "talk", "target", "10.0.0.8:40010");
	row_of(report, "targets", "talk", "target", "10.0.0.8:40011");
	row = row_of(report, "targets", "load_page", "target", "10.0.0.9:53");
	close_to(plain(row, "waits"), 0);
	close_to(plain(row, "sends"), 7);
	close_to(plain(row, "receives"), 0);
	close_to(plain(row, "seconds"), 0);
	assert_null(json_object_get(row, "histogram"));
	json_decref(report);
	profile_free(profile);
}

/* Which targets are ports of one peer, and which are not. */
static void test_target_groups(void **state)
{
	static const struct {
		const char *format;
		unsigned int first, count;
		size_t rows;
	} cases[] = {
		{"10.0.0.7:%u", 40000, 8, 8},
		{"10.0.0.7:%u", 40000, 9, 1},
		{"10.0.0.7:%u", 32768, 20, 1},
		{"10.0.0.7:%u", 32767 - 9, 10, 10},
		{"[fe80::1]:%u", 50000, 20, 1},
		{"[fe80::1]:%u", 65530, 20, 15}, /* six of them, and what is no port */
		{"/srv/file:%u", 40000, 20, 20},
		{"@name:%u", 40000, 20, 20},
		{":8000 from 10.0.0.%u", 1, 20, 20},
		{":%u", 40000, 20, 20},
		{"10.0.%u.7:40000", 10, 20, 20},
	};
	struct profile *profile;
	struct profile_key key = {.tid = 1, .state = STATE_SOCKET, .length = 9};
	struct waits *waits;
	uint32_t frame[2], number;
	char text[64];
	size_t at;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		profile = one_process();
		frame[0] = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1);
		frame[1] = made_frame(profile, KIND_PYTHON, "g", "f.py", 5, 5);
		for (number = 0; number < cases[at].count; number++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(text, sizeof(text), cases[at].format, cases[at].first + number);
#pragma GCC diagnostic pop
			key.target = made_string(profile, text);
			made_sample(profile, key, frame, 1, 1000, 2);
		}
		made_sample(profile, key, frame + 1, 1, 1000, 2);
		assert_int_equal(waits_make(profile, NULL, &waits), 0);
		if (at == 5) {
			assert_int_equal(waits->target_count, 20 + 1);
		} else {
			if (waits->target_count != cases[at].rows + 1)
				fail_msg("%u rows of %s", waits->target_count, cases[at].format);
			if (cases[at].rows == 1) {
				assert_int_equal(waits->targets[0].sums.ns, 1000 * cases[at].count);
				assert_int_equal(waits->targets[0].length_count, 1);
				assert_int_equal(waits->lengths[waits->targets[0].length].waits,
						 2 * cases[at].count);
			}
		}
		waits_free(waits);
		profile_free(profile);
	}
}

static void test_quantiles(void **state)
{
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 1, .state = STATE_FILE};
	uint32_t frame = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1);
	struct waits *waits;

	key.target = made_string(profile, "/x");
	made_sample(profile, key, &frame, 1, 100, 100); /* of a length that is not known */
	assert_int_equal(waits_make(profile, NULL, &waits), 0);
	assert_false(waits->lengths_known);
	assert_int_equal(wait_quantile(waits, &waits->targets[0], 0.5), -1);
	waits_free(waits);
	key.length = 1;
	made_sample(profile, key, &frame, 1, 10, 10);
	key.length = 11;
	made_sample(profile, key, &frame, 1, 10, 30);
	key.length = UINT32_MAX; /* more than there can be */
	made_sample(profile, key, &frame, 1, 10, 0);
	assert_int_equal(waits_make(profile, NULL, &waits), 0);
	assert_true(waits->lengths_known);
	assert_int_equal(waits->target_count, 1);
	assert_int_equal(wait_quantile(waits, &waits->targets[0], 0.25), 2);
	assert_int_equal(wait_quantile(waits, &waits->targets[0], 0.5), 1024 + 1024 / 3);
	assert_int_equal(wait_quantile(waits, &waits->targets[0], 1), 2048);
	waits_free(waits);
	profile_free(profile);
}

/* Many rows are capped, and the rest is counted. */
static void test_many_targets(void **state)
{
	struct profile *profile = one_process();
	struct profile_key key = {.tid = 1, .state = STATE_FILE, .length = 5};
	uint32_t frame = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1), at;
	struct view_options options = {0};
	json_t *report, *rest;
	char text[32], *view;

	for (at = 0; at < 250; at++) {
		snprintf(text, sizeof(text), "/data/%u", at);
		key.target = made_string(profile, text);
		made_sample(profile, key, &frame, 1, (1000 - at) * MILLISECOND, 3);
	}
	made_ledger(profile, 0, 1, 250000 * MILLISECOND);
	report = json_of(profile);
	assert_int_equal(json_array_size(json_object_get(report, "targets")), 200);
	rest = json_object_get(report, "targets_rest");
	close_to(plain(rest, "rows"), 50);
	close_to(plain(rest, "waits"), 150);
	close_to(plain(rest, "seconds"), (800 + 751) * 50 / 2.0 / 1000);
	json_decref(report);
	view = viewed("report", profile, &options);
	assert_non_null(strstr(view, " in 249 more targets: see -n\n"));
	free(view);
	options.rows = 7;
	view = viewed("report", profile, &options);
	assert_non_null(strstr(view, " /data/6    f f.py:1\n"));
	assert_non_null(strstr(view, " in 243 more targets: see -n\n"));
	free(view);
	profile_free(profile);
}

static void test_json_reasons(void **state)
{
	struct profile *profile = made_shop();
	json_t *report = json_of(profile), *row;

	row = row_of(report, "wakers", "Condition.wait", "waker",
		     "push (/srv/app/queue_of_ours.py:12)");
	assert_string_equal(word(row, "state"), "lock");
	close_to(plain(row, "seconds"), 1.5);
	close_to(plain(row, "waits"), 15);
	row_of(report, "wakers", "Condition.wait", "waker", "worker-1");
	row = row_of(report, "runqueue", "wait_gil", "comm", "postgres");
	close_to(plain(row, "seconds"), 0.3);
	assert_null(json_object_get(row, "state"));

	row = json_object_get(report, "gil");
	close_to(plain(row, "seconds"), 1.5);
	assert_int_equal(json_array_size(json_object_get(row, "holders")), 2);
	row = json_array_get(json_object_get(json_object_get(report, "gil"), "holders"), 0);
	assert_string_equal(word(row, "function"), "render_page");
	assert_string_equal(word(row, "file"), "/srv/app/views.py");
	assert_string_equal(word(row, "native"), "digest");
	close_to(plain(row, "line"), 80);
	close_to(plain(row, "seconds"), 1.2);
	row = json_array_get(json_object_get(json_object_get(report, "gil"), "holders"), 1);
	assert_string_equal(word(row, "function"), "gone");
	assert_string_equal(word(row, "file"), "/srv/my (old)/x.py");
	close_to(plain(row, "line"), 7);
	assert_null(json_object_get(row, "native"));

	row = json_object_get(report, "gc");
	assert_string_equal(word(row, "by"), "usdt");
	close_to(plain(row, "seconds"), 0.52);
	close_to(plain(row, "longest_s"), 0.038);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "collections"), 1)),
			 110);
	row = function_of(report, "render_page");
	close_to(plain(row, "gc_s"), 0.5);
	close_to(plain(row, "grown_bytes"), 12e6);
	close_to(plain(row, "grown_total_bytes"), 12e6);
	close_to(number(row, "grown_lines", "82"), 12e6);
	close_to(plain(function_of(report, "index"), "gc_s"), 0);

	row = row_of(report, "repeats", "list_orders", "caller", "index");
	close_to(plain(row, "calls"), 8);
	close_to(plain(row, "sends"), 6400);
	close_to(plain(row, "most"), 801);
	close_to(plain(row, "call_line"), 33);
	close_to(plain(row, "seconds"), 6.4);
	json_decref(report);
	profile_free(profile);
}

/* Samples do not count collections. Of several processes, the least that is known counts. */
static void test_sampled_collections(void **state)
{
	struct profile *profile = made_shop();
	struct profile_process process = profile->processes[0];
	struct view_options options = {.columns = 1000};
	json_t *report, *gc;
	char *text;
	uint32_t id;

	process.gc = (struct profile_gc){.source = GC_SAMPLED, .ns = 80 * MILLISECOND};
	assert_int_equal(profile_process(profile, &process, &id), 0);
	report = json_of(profile);
	gc = json_object_get(report, "gc");
	assert_string_equal(word(gc, "by"), "sampled");
	close_to(plain(gc, "seconds"), 0.6);
	close_to(plain(gc, "deviation_s"), sqrt(0.6 / profile->facts.rate_hz));
	assert_null(json_object_get(gc, "collections"));
	assert_null(json_object_get(gc, "longest_s"));
	gc = json_object_get(json_array_get(json_object_get(report, "processes"), 0), "gc");
	assert_string_equal(word(gc, "by"), "usdt");
	assert_non_null(json_object_get(gc, "collections"));
	close_to(plain(gc, "deviation_s"), 0);
	json_decref(report);
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "garbage collection: 0.60 s +- 0.08 (4 %). Most in "
				     "render_page views.py:80 (100 %). From samples alone: how"));
	free(text);
	profile_free(profile);
}

/* The interpreter's own counters, for want of probes: some versions count, some time as well. */
static void test_counted_collections(void **state)
{
	struct profile *profile = made_shop();
	struct profile_process process = profile->processes[0];
	struct view_options options = {.columns = 1000};
	json_t *report, *gc;
	char *text;
	uint32_t id;

	process.gc = (struct profile_gc){.source = GC_SAMPLED,
					 .collections = {1, 2, 3},
					 .ns = 80 * MILLISECOND,
					 .counted = true};
	assert_int_equal(profile_process(profile, &process, &id), 0);
	report = json_of(profile);
	gc = json_object_get(report, "gc");
	assert_int_equal(json_integer_value(json_array_get(json_object_get(gc, "collections"), 2)),
			 12);
	assert_null(json_object_get(gc, "longest_s"));
	json_decref(report);
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "; of generation 0: 1 201, 1: 112, 2: 12. Most in"));
	assert_non_null(strstr(text, "Counted by the interpreter; the time is from samples."));
	free(text);
	process.gc.timed = true;
	profile_process_set(profile, id, &process);
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "garbage collection: 0.60 s (4 %); of generation 0"));
	assert_non_null(strstr(text, "Counted and timed by the interpreter;"));
	free(text);
	/* One process that is not counted, and the sum is not known. */
	process.gc = (struct profile_gc){.source = GC_SAMPLED};
	assert_int_equal(profile_process(profile, &process, &id), 0);
	report = json_of(profile);
	assert_null(json_object_get(json_object_get(report, "gc"), "collections"));
	json_decref(report);
	profile_free(profile);
}

static void test_report_reasons(void **state)
{
	struct view_options options = {0};
	struct profile *profile = made_shop();
	char *text = viewed("report", profile, &options), *end;
	size_t widest;

	assert_non_null(strstr(
		text,
		"1. list_orders views.py:41 sends 800 messages to "
		"127.0.0.1:5432 in each call\n     of index views.py:30 (8 "
		"calls, from line 33), takes 6.4 s (42 %), 6.4 s of\n     it in 6 400 waits of 1.0 ms: the N+1 pattern\n"));
	assert_non_null(strstr(text, "0.50 s collecting garbage\n"));
	assert_non_null(strstr(text, "; push queue_of_ours.py:12 ended 1.5 s of them\n"));
	assert_non_null(strstr(
		text, "\n\ntotal s   waits    mean longest   sends waits for       function\n"
		      "   6.40   6 400  1.0 ms  4.0 ms   6 400 127.0.0.1:5432  "
		      "list_orders views.py:41\n"
		      "   0.50       1  500 ms  500 ms       - page.html       "
		      "load_page views.py:60\n"));
	assert_non_null(
		strstr(text, "- 10.0.0.7:*      talk chat.py:9\n   0.02 in 2 more targets"));
	assert_non_null(strstr(text, "\n\nwaits s of all held the GIL while others waited\n"
				     "   1.20    80% render_page views.py:80  in digest hash.so\n"
				     "   0.20    13% gone x.py:7\n   0.10     7% not known\n"));
	assert_non_null(strstr(text, "  garbage collection: 0.52 s (3 %), the longest 38 ms; of "
				     "generation 0: 1 200,\n    1: 110, 2: 9. Most in render_page "
				     "views.py:80 (100 %). "));
	assert_non_null(strstr(text, "(USDT)"));
	assert_non_null(strstr(text,
			       "  wanted a CPU: wait_gil gil.py:5 while postgres ran (0.30 s), "
			       "while make ran\n    (0.10 s).\n"));
	assert_non_null(strstr(text, "  woken: Condition.wait cond.py:20 by push "
				     "queue_of_ours.py:12 (lock, 1.50 s),\n    by thread "
				     "worker-1 (lock, 0.50 s).\n"));
	assert_non_null(strstr(text, "\n\nself MB total MB memory grown in\n   12.0     12.0 "
				     "render_page views.py:80, 12.0 in line 82\n"));
	assert_null(strstr(text, "<gc generation"));
	lines_of(text, &widest);
	assert_true(widest <= 80);
	end = strstr(text, "\n\ntotal s");
	*end = '\0';
	assert_true(lines_of(text, &widest) < 25);
	free(text);
	options.columns = 120;
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "   sends receives waits for                     function\n"));
	assert_non_null(strstr(text, "       -        - /srv/app/templates/page.html  load_page "));
	free(text);
	profile_free(profile);
}

/* Nothing is said of what matters little, or of threads that only wait. */
static void test_no_reasons(void **state)
{
	static const char *const heads[] = {"waits for",    "held the GIL", "garbage collection:",
					    "wanted a CPU", "woken",        "memory grown"};
	struct view_options options = {0};
	struct profile *profile = made_worker(), *shop = made_shop();
	struct profile_key key = {.tid = 4243, .state = STATE_PIPE};
	uint32_t frame = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, 1), at;
	char *text;

	key.target = made_string(profile, "pipe of the pool");
	made_sample(profile, key, &frame, 1, 9000 * MILLISECOND, 1);
	text = viewed("report", profile, &options);
	assert_null(strstr(text, "pipe of the pool"));
	for (at = 2; at < 6; at++)
		assert_null(strstr(text, heads[at]));
	free(text);
	profile_free(profile);

	/* A day of sleep beside it, in the same active thread. */
	key = (struct profile_key){.tid = 100, .state = STATE_RUNNING};
	frame = made_frame(shop, KIND_PYTHON, "work", "f.py", 1, 1);
	made_sample(shop, key, &frame, 1, INT64_C(86400000) * MILLISECOND, 0);
	shop->thread_count = 0;
	made_ledger(shop, 0, 100, INT64_C(86420000) * MILLISECOND);
	text = viewed("report", shop, &options);
	for (at = 0; at < 5; at++)
		if (strstr(text, heads[at]))
			fail_msg("%s in %s", heads[at], text);
	assert_non_null(strstr(text, heads[5])); /* that was asked for */
	free(text);
	profile_free(shop);
}

/* What many messages in a call are, and what is no such pattern. */
static void test_patterns(void **state)
{
	struct profile *profile = made_shop();
	char *text;
	uint32_t at;

	/* A stream of data, which nothing answers. */
	for (at = 0; at < profile->sample_count; at++)
		if (profile->samples[at].receives)
			profile->samples[at].receives = 100;
	text = one_line(profile);
	assert_null(strstr(text, "N+1"));
	assert_non_null(strstr(text, "1. list_orders views.py:41 waits 6.4 s on 127.0.0.1:5432 "
				     "(42 %), in line 47: 6 400 waits of 1.0 ms\n"));
	free(text);
	for (at = 0; at < profile->sample_count; at++)
		if (profile->samples[at].receives)
			profile->samples[at].receives = 6400;

	/* Few messages in each call. */
	profile->repeats[0].calls = 700;
	text = one_line(profile);
	assert_null(strstr(text, "N+1"));
	free(text);
	profile->repeats[0].calls = 6;
	profile->repeats[0].most = 5000;
	text = one_line(profile);
	assert_non_null(strstr(text, "sends 1 067 messages (up to 5 000) to 127.0.0.1:5432 in "));
	free(text);

	/* Messages that hardly wait cost time in the function itself. */
	for (at = 0; at < profile->sample_count; at++)
		if (profile->samples[at].key.state == STATE_SOCKET) {
			profile->samples[at].key.state = STATE_RUNNING;
			profile->samples[at].key.length = 0;
		}
	profile->thread_count = 0;
	made_ledger(profile, 0, 100, 20000 * MILLISECOND);
	text = one_line(profile);
	assert_null(strstr(text, "list_orders views.py:41 burns"));
	assert_non_null(strstr(text,
			       "1. list_orders views.py:41 sends 1 067 messages (up to 5 000) "
			       "to 127.0.0.1:5432 in each call of index views.py:30 (6 calls, "
			       "from line 33), takes 6.4 s (42 %): the N+1 pattern\n"));
	free(text);
	profile_free(profile);
}

/* A function that loops itself; a program's main loop; a server, whose clients ask. */
static void test_patterns_of_loops(void **state)
{
	struct profile *profile = made_shop();
	struct exchanges exchanges;
	char *text;

	profile->repeats[0].caller = profile->repeats[0].function;
	profile->repeats[0].location = /* the other one is in its caller */
		made_frame(profile, KIND_PYTHON, "list_orders", "/srv/app/views.py", 41, 47);
	text = one_line(profile);
	assert_non_null(strstr(text, "1. list_orders views.py:41 sends 800 messages to "
				     "127.0.0.1:5432 in each call (8 calls, from line 47), takes "
				     "6.4 s (42 %), 6.4 s of it in 6 400 waits of 1.0 ms: "));
	free(text);
	assert_int_equal(exchanges_make(profile, NULL, &exchanges), 0);
	assert_int_equal(exchanges.items[0].ns, 6400 * MILLISECOND);
	exchanges_free(&exchanges);
	profile->repeats[0].calls = 1;
	text = one_line(profile);
	assert_null(strstr(text, "N+1"));
	free(text);
	profile->repeats[0].calls = 8;
	profile->repeats[0].target = made_string(profile, ":8000 from 10.0.0.1");
	assert_int_equal(exchanges_make(profile, NULL, &exchanges), 0);
	assert_int_equal(exchanges.count, 0);
	exchanges_free(&exchanges);
	profile_free(profile);
}

/* The same functions and target in several processes are one pattern. */
static void test_patterns_of_processes(void **state)
{
	struct profile *profile = made_shop();
	struct profile_repeat repeat = profile->repeats[0];
	struct exchanges exchanges;

	repeat.process = made_process(profile, 101, "shop.py");
	repeat.calls = 2;
	repeat.sends = 1600;
	repeat.most = 900;
	repeat.location = 0;
	assert_int_equal(profile_repeat(profile, &repeat), 0);
	repeat.target = made_string(profile, "other");
	assert_int_equal(profile_repeat(profile, &repeat), 0);
	assert_int_equal(exchanges_make(profile, NULL, &exchanges), 0);
	assert_int_equal(exchanges.count, 2);
	assert_int_equal(exchanges.items[0].calls, 10);
	assert_int_equal(exchanges.items[0].sends, 8000);
	assert_int_equal(exchanges.items[0].most, 900);
	assert_int_equal(exchanges.items[0].location, 0);
	assert_int_equal(exchanges.items[0].ns, 6400 * MILLISECOND);
	assert_int_equal(exchanges.items[0].seen_sends, 6400);
	assert_int_equal(exchanges.items[1].ns, 0);
	exchanges_free(&exchanges);
	profile_free(profile);
}

static void test_labels(void **state)
{
	static const struct {
		const char *label, *text;
	} cases[] = {
		{"render_page (/srv/views.py:80)", "render_page views.py:80"},
		{"f (<string>:1)", "f <string>:1"},
		{"f (/a (b)/c:d.py:17)", "f c:d.py:17"},
		{"worker-1", "thread worker-1"},
		{"pool (3)", "thread pool (3)"},
		{"pool (x:)", "thread pool (x:)"},
		{"pool (x:99999999999999999999)", "thread pool (x:99999999999999999999)"},
		{"pool (x:-1)", "thread pool (x:-1)"},
		{"", "thread "},
		{" (", "thread  ("},
		{":1)", "thread :1)"},
	};
	char *text;
	size_t at;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		text = label_text(cases[at].label);
		assert_string_equal(text, cases[at].text);
		free(text);
	}
}

/* Long targets, names and holders, wide characters: all lines still fit. */
static void test_reasons_fit(void **state)
{
	static const uint32_t widths[] = {50, 60, 69, 70, 80, 99, 100, 120, 200};
	struct view_options options = {0};
	struct profile *profile = made_shop();
	struct profile_key key = {.tid = 100, .length = 30};
	uint32_t frame, at;
	size_t widest, length;
	char name[301], *text, *start;

	memset(name, 'n', 300);
	memcpy(name, "\xe6\xbc\xa2\xe5\xad\x97", 6);
	for (length = 300; length > 10; length /= 2) {
		name[length] = '\0';
		frame = made_frame(profile, KIND_PYTHON, name, "/srv/a/long/module.py", 100000,
				   100000);
		key.state = STATE_SOCKET;
		key.target = made_string(profile, name);
		made_values(profile, key, &frame, 1,
			    (struct made_values){.ns = 5000 * MILLISECOND,
						 .waits = 1,
						 .sends = 100000,
						 .receives = 100000,
						 .longest_ns = INT64_C(9999000) * MILLISECOND,
						 .grown_bytes = 700000000});
		key.state = STATE_GIL;
		key.target = 0;
		key.gil_holder = made_string(profile, name);
		made_sample(profile, key, &frame, 1, 3000 * MILLISECOND, 4);
		key.gil_holder = 0;
	}
	profile->thread_count = 0;
	made_ledger(profile, 0, 100, 90000 * MILLISECOND);
	for (at = 0; at < sizeof(widths) / sizeof(widths[0]); at++) {
		options.columns = widths[at];
		text = viewed("report", profile, &options);
		start = strstr(text, "\n\ntotal s");
		assert_non_null(start);
		lines_of(start + 2, &widest);
		if (widest > widths[at])
			fail_msg("%zu columns of %u:\n%s", widest, widths[at], start);
		free(text);
	}
	profile_free(profile);
}

static char *contents(const char *path)
{
	FILE *stream = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	assert_non_null(stream);
	assert_true(getdelim(&text, &size, '\0', stream) > 0);
	fclose(stream);
	return text;
}

/* Runs `report` with up to three arguments on a recording, and returns what it wrote. */
static char *reported(const char *recording, const char *one, const char *two, const char *three)
{
	char output[] = "/tmp/test_report.XXXXXX", *text;
	const char *const given[] = {"report", recording, "-o", output, one, two, three};
	char *arguments[8] = {NULL};
	int count = 0, file = mkstemp(output);
	size_t at;

	assert_true(file >= 0);
	close(file);
	for (at = 0; at < sizeof(given) / sizeof(given[0]); at++)
		if (given[at])
			arguments[count++] = strdup(given[at]);
	assert_int_equal(command_report(count, arguments), 0);
	text = contents(output);
	unlink(output);
	while (count)
		free(arguments[--count]);
	return text;
}

/* --no-native: every view as if native and kernel frames had not been recorded. */
static void test_no_native(void **state)
{
	static const char *const formats[] = {"report", "json", "collapsed"};
	char recording[] = "/tmp/test_report.XXXXXX", narrowed[] = "/tmp/test_report.XXXXXX";
	struct profile *profile = made_mixed(), *narrow;
	struct narrowing to = {.python_only = true};
	char *with, *without, *expected;
	FILE *stream;
	size_t at;

	assert_int_equal(profile_narrow(profile, &to, &narrow, NULL), 0);
	stream = fdopen(mkstemp(recording), "w");
	assert_int_equal(pprof_write(profile, stream, NULL), 0);
	fclose(stream);
	stream = fdopen(mkstemp(narrowed), "w");
	assert_int_equal(pprof_write(narrow, stream, NULL), 0);
	fclose(stream);
	for (at = 0; at < sizeof(formats) / sizeof(formats[0]); at++) {
		with = reported(recording, "-f", formats[at], NULL);
		without = reported(recording, "--no-native", "-f", formats[at]);
		expected = reported(narrowed, "-f", formats[at], NULL);
		assert_non_null(strstr(with, "deflate"));
		assert_null(strstr(without, "deflate"));
		assert_null(strstr(without, "schedule"));
		/* All but the name of the file. */
		if (at)
			assert_string_equal(without, expected);
		free(with);
		free(without);
		free(expected);
	}
	unlink(recording);
	unlink(narrowed);
	profile_free(narrow);
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
		      "CPU-bound: 100 % on CPU. CPU time: 100 % Python. Beside that, 38.0 s of "
		      "waiting for other threads'",
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

static void contain(struct profile *profile, uint32_t at, const char *container)
{
	struct profile_process process = profile->processes[at];

	process.container = made_string(profile, container);
	process.cgroup = made_string(profile, "/somewhere");
	profile_process_set(profile, at, &process);
}

/* A container is in the head beside other processes, in the JSON always. */
static void test_containers(void **state)
{
	const char *id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct view_options options = {0};
	struct profile *profile = profile_new();
	json_t *report, *process;
	size_t widest;
	uint32_t at;
	char *text;

	made_facts(profile);
	made_process(profile, 1, "first");
	contain(profile, 0, id);
	text = viewed("report", profile, &options);
	assert_null(strstr(text, "container"));
	free(text);
	made_process(profile, 2, "second");
	contain(profile, 1, "web\x1b[1m-1");
	made_process(profile, 3, "third");
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "first  pid 1  container 0123456789ab  CPython 3.11.2\n"));
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "third  pid 3  CPython 3.11.2\n"));
	free(text);
	report = json_of(profile);
	process = json_array_get(json_object_get(report, "processes"), 0);
	assert_string_equal(word(process, "container"), id);
	assert_string_equal(word(process, "cgroup"), "/somewhere");
	process = json_array_get(json_object_get(report, "processes"), 2);
	assert_null(json_object_get(process, "container"));
	assert_null(json_object_get(process, "cgroup"));
	json_decref(report);
	for (at = 3; at < 7; at++) {
		made_process(profile, at + 1, at < 6 ? "more" : "gunicorn orders:app");
		contain(profile, at, id);
	}
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, " first  pid 1 in 0123456789ab\n"));
	assert_non_null(strstr(text, " more  3 pids in 0123456789ab\n"));
	assert_non_null(strstr(text, " third  pid 3\n"));
	lines_of(text, &widest);
	assert_true(widest <= 80);
	assert_non_null(strstr(text, " second  pid 2 in web\\x1b[1m-1\n"));
	assert_non_null(strstr(text, " gunicorn orders:app  pid 7\n  "));
	free(text);
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
	char *text, name[32];

	made_facts(profile);
	for (at = 0; at < 3000; at++) {
		snprintf(name, sizeof(name), "worker %u", at % 20);
		key.process = made_process(profile, at + 1, name);
		key.tid = at + 1;
		key.state = at % 3 ? STATE_SLEEP : STATE_RUNNING;
		made_sample(profile, key, NULL, 0, (at + 1) * MILLISECOND, 1);
		thread = (struct profile_thread){.process = key.process, .tid = key.tid};
		thread.end_ns = thread.ns[key.state] = (at + 1) * MILLISECOND;
		assert_int_equal(profile_thread(profile, &thread), 0);
	}
	text = viewed("report", profile, &options);
	assert_non_null(strstr(text, "3000 processes of 20 programs, 10.0 s\n"));
	/* Every third of them, from 20 ms to 3 s, ran; the others waited only. */
	assert_non_null(strstr(text,
			       "\n  76.40      -      -      -      - CPU-bound    worker 17  "
			       "150 pids\n"));
	assert_non_null(strstr(text, "and 1800 more processes of 12 programs: "));
	assert_non_null(strstr(text, "; see -n.\n"));
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

static void test_symbol_text(void **state)
{
	static const char *const cases[][2] = {
		{"deflate", "deflate"},
		{"", ""},
		{MADE_LAMBDA, "void sort_by::{lambda#1}::operator()"},
		{"std::vector<int, std::allocator<int> >::at(unsigned long) const",
		 "std::vector::at"},
		{"(anonymous namespace)::f<a>(int)", "(anonymous namespace)::f"},
		{"n::(anonymous namespace)::f(int) [clone .cold]",
		 "n::(anonymous namespace)::f [clone .cold]"},
		{"bool operator<(A const&, B const&)", "bool operator<"},
		{"operator<< <char>(std::ostream&, char)", "operator<< <char>"},
		{"A::operator->() const", "A::operator->"},
		{"A<b->c>::f()", "A::f"},
		{"f(int (*)(int, char))", "f"},
		{"<alloc::vec::Vec<T> as Extend<T>>::extend",
		 "<alloc::vec::Vec as Extend>::extend"},
		{"core::ptr::drop_in_place::<T>", "core::ptr::drop_in_place::<T>"},
		{"libz.so.1+0x1234", "libz.so.1+0x1234"},
		/* What is not closed is not understood. */
		{"f<a>(b", "f<a>(b"},
		{"f<a", "f<a"},
	};
	char *text;
	size_t at;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		text = symbol_text(cases[at][0]);
		assert_string_equal(text, cases[at][1]);
		free(text);
	}
	text = module_text("numpy/_umath.cpython-311-x86_64-linux-gnu.so");
	assert_string_equal(text, "numpy/_umath.so");
	free(text);
	text = module_text("/usr/lib/libz.so.1");
	assert_string_equal(text, "/usr/lib/libz.so.1");
	free(text);
	assert_string_equal(path_name("/usr/lib/libz.so.1"), "libz.so.1");
	assert_string_equal(path_name("[vdso]"), "[vdso]");
	assert_string_equal(path_name("/"), "/");
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
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_interleaved_stacks),
		cmocka_unit_test(test_callers),
		cmocka_unit_test(test_not_sampled),
		cmocka_unit_test(test_json_names),
		cmocka_unit_test(test_json_functions),
		cmocka_unit_test(test_report_fits),
		cmocka_unit_test(test_report_text),
		cmocka_unit_test(test_native_table),
		cmocka_unit_test(test_native_names),
		cmocka_unit_test(test_no_native_table),
		cmocka_unit_test(test_native_table_fits),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_native_causes),
		cmocka_unit_test(test_native_handover),
		cmocka_unit_test(test_native_idle),
		cmocka_unit_test(test_sorting),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_collapsed),
		cmocka_unit_test(test_collapsed_native),
		cmocka_unit_test(test_collapsed_rounding),
		cmocka_unit_test(test_no_native),
		cmocka_unit_test(test_json_targets),
		cmocka_unit_test(test_target_groups),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_many_targets),
		cmocka_unit_test(test_json_reasons),
		cmocka_unit_test(test_sampled_collections),
		cmocka_unit_test(test_counted_collections),
		cmocka_unit_test(test_report_reasons),
		cmocka_unit_test(test_no_reasons),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_patterns_of_loops),
		cmocka_unit_test(test_patterns_of_processes),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_reasons_fit),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_many_processes),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_symbol_text),
		cmocka_unit_test(test_text),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
