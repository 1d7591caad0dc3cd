/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks how a dump is printed, from one that is made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <locale.h>
#include <stdio.h>

#include "made_profile.h"
#include "views/dump.h"

#define SECONDS      (1000 * MILLISECOND)
#define THREADS      8
#define PROCESS_PID  4242
#define PROCESS_NAME "gunicorn app:wsgi"

/* What a test dumps. */
struct made {
	struct profile *profile;
	struct dump dump;
	struct dump_thread threads[THREADS];
	struct dump_cycle cycles[2];
	uint32_t cycle_threads[4];
	uint32_t process;
};

static void made_begin(struct made *made)
{
	memset(made, 0, sizeof(*made));
	made->profile = profile_new();
	assert_non_null(made->profile);
	made->process = made_process(made->profile, PROCESS_PID, PROCESS_NAME);
	made->dump = (struct dump){.profile = made->profile,
				   .threads = made->threads,
				   .cycles = made->cycles,
				   .cycle_threads = made->cycle_threads};
}

static void made_end(struct made *made)
{
	profile_free(made->profile);
}

/* Adds a thread at `function` of views.py, called by main() of app.py and from C. */
static struct dump_thread *made_thread(struct made *made, const char *name, enum state state,
				       int64_t length_ns, const char *function)
{
	struct profile *profile = made->profile;
	const uint32_t frames[] = {
		made_frame(profile, KIND_KERNEL, "do_wait", "[kernel.kallsyms]", 0, 0),
		made_frame(profile, KIND_PYTHON, function, "/srv/shop/views.py", 40, 41),
		made_frame(profile, KIND_PYTHON, "main", "/srv/shop/app.py", 5, 7),
		made_frame(profile, KIND_NATIVE, "Py_RunMain", "/usr/bin/python3.11", 0, 8),
	};
	struct dump_thread *thread = &made->threads[made->dump.thread_count];

	*thread = (struct dump_thread){.tid = PROCESS_PID + made->dump.thread_count,
				       .read = true,
				       .length_ns = length_ns,
				       .lock = {LOCK_NONE, DUMP_NOBODY}};
	thread->key.process = made->process;
	thread->key.thread = made_string(profile, name);
	thread->key.state = state;
	if (profile_stack(profile, frames, 4, &thread->key.stack))
		abort();
	made->dump.thread_count++;
	return thread;
}

static void made_cycle(struct made *made, uint32_t count, const uint32_t *threads)
{
	struct dump *dump = &made->dump;

	dump->cycles[dump->cycle_count++] = (struct dump_cycle){dump->cycle_thread_count, count};
	memcpy(dump->cycle_threads + dump->cycle_thread_count, threads, count * sizeof(*threads));
	dump->cycle_thread_count += count;
}

static char *printed(const struct made *made, struct dump_options options, bool json)
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	assert_int_equal(json ? view_dump_json(&made->dump, &options, stream)
			      : view_dump(&made->dump, &options, stream),
			 0);
	assert_int_equal(fclose(stream), 0);
	return text;
}

static void check_text(const struct made *made, struct dump_options options, const char *wanted)
{
	char *text = printed(made, options, false);

	assert_string_equal(text, wanted);
	free(text);
}

static void check_holds(const struct made *made, const char *wanted)
{
	char *text = printed(made, (struct dump_options){0}, false);

	if (!strstr(text, wanted))
		fail_msg("no `%s` in:\n%s", wanted, text);
	free(text);
}

#define HEAD "Process 4242: gunicorn app:wsgi\nPython v3.11.2 (/usr/bin/python3.11)\n\n"

static void test_layout(void **state)
{
	struct made made;
	struct dump_thread *thread;

	made_begin(&made);
	thread = made_thread(&made, "MainThread", STATE_SOCKET, 3200 * MILLISECOND, "list_orders");
	thread->key.target = made_string(made.profile, "127.0.0.1:5432");
	made_thread(&made, "worker", STATE_RUNNING, -1, "render")->holds_gil = true;
	check_text(&made, (struct dump_options){0},
		   HEAD "Thread 4242 (idle): \"MainThread\"  socket 127.0.0.1:5432, 3.2 s\n"
			"    list_orders (views.py:41)\n"
			"    main (app.py:7)\n"
			"Thread 4243 (active+gil): \"worker\"  running\n"
			"    render (views.py:41)\n"
			"    main (app.py:7)\n");
	made_end(&made);
}

static void test_native(void **state)
{
	struct made made;

	made_begin(&made);
	made_thread(&made, "MainThread", STATE_SLEEP, 900 * MILLISECOND, "nap");
	check_text(&made, (struct dump_options){.native = true},
		   HEAD "Thread 4242 (idle): \"MainThread\"  sleep, 900 ms\n"
			"    do_wait (kernel)\n"
			"    nap (views.py:41)\n"
			"    main (app.py:7)\n"
			"    Py_RunMain (python3.11)\n");
	made_end(&made);
}

static void test_colour(void **state)
{
	struct made made;
	char *text;

	made_begin(&made);
	made_thread(&made, "a\033[31m\nb", STATE_SLEEP, 0, "x\033y");
	text = printed(&made, (struct dump_options){.colour = true}, false);
	assert_non_null(strstr(text, "\033[1;33m4242\033[0m (idle): \"a\\x1b[31m\\nb\""));
	assert_non_null(strstr(text, "\033[32mx\\x1by\033[0m"));
	free(text);
	check_holds(&made, "Thread 4242 (idle): \"a\\x1b[31m\\nb\"  sleep, below 1 ms\n");
	made_end(&made);
}

static void test_lengths(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{MILLISECOND - 1, "sleep, below 1 ms\n"},
		{MILLISECOND, "sleep, 1 ms\n"},
		{999 * MILLISECOND, "sleep, 999 ms\n"},
		{1000 * MILLISECOND - 1, "sleep, 1.0 s\n"},
		{599 * SECONDS, "sleep, 599.0 s\n"},
		{600 * SECONDS, "sleep, 10 min\n"},
		{7200 * SECONDS, "sleep, 2.0 h\n"},
		{-1, "sleep\n"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct made made;

		made_begin(&made);
		made_thread(&made, "t", STATE_SLEEP, rows[i].ns, "nap");
		check_holds(&made, rows[i].text);
		made_end(&made);
	}
}

static void test_targets(void **state)
{
	struct made made;
	struct dump_thread *thread;

	made_begin(&made);
	thread = made_thread(&made, "t", STATE_PIPE, SECONDS, "f");
	thread->key.target = made_string(made.profile, "pipe");
	thread = made_thread(&made, "t", STATE_SOCKET, SECONDS, "f");
	thread->key.target = made_string(made.profile, "unix socket");
	thread = made_thread(&made, "t", STATE_OTHER, SECONDS, "f");
	thread->key.syscall = made_string(made.profile, "ioctl");
	thread = made_thread(&made, "t", STATE_RUNQUEUE, SECONDS, "f");
	thread->key.target = made_string(made.profile, "old");
	check_holds(&made, "\"t\"  pipe, 1.0 s\n");
	check_holds(&made, "\"t\"  unix socket, 1.0 s\n");
	check_holds(&made, "\"t\"  other ioctl, 1.0 s\n");
	check_holds(&made, "(active): \"t\"  runqueue, 1.0 s\n");
	made_end(&made);
}

/* A thread that was never met, and one whose stack tells what it lacks. */
static void test_unread(void **state)
{
	struct made made;
	struct dump_thread *thread;
	uint32_t notice;

	made_begin(&made);
	thread = made_thread(&made, "late", STATE_RUNNING, -1, "f");
	thread->read = false;
	thread = made_thread(&made, "blas", STATE_LOCK, SECONDS, "f");
	notice = made_notice(made.profile, "[no Python frame]");
	assert_int_equal(profile_stack(made.profile, &notice, 1, &thread->key.stack), 0);
	check_text(&made, (struct dump_options){0},
		   HEAD "Thread 4242 (active): \"late\"\n"
			"    [stack not read]\n"
			"Thread 4243 (idle): \"blas\"  lock, 1.0 s\n"
			"    [no Python frame]\n");
	made_end(&made);
}

static void made_deadlock(struct made *made)
{
	static const uint32_t both[] = {0, 1}, own[] = {3};
	struct dump_thread *thread;

	thread = made_thread(made, "a", STATE_LOCK, SECONDS, "f");
	thread->lock = (struct dump_lock){LOCK_MUTEX, 1};
	thread->holds_gil = true;
	thread = made_thread(made, "b", STATE_GIL, -1, "g");
	thread->lock = (struct dump_lock){LOCK_GIL, 0};
	thread = made_thread(made, "c", STATE_LOCK, SECONDS, "h");
	thread->lock = (struct dump_lock){LOCK_RECURSIVE, 1};
	thread = made_thread(made, "d", STATE_LOCK, SECONDS, "i");
	thread->lock = (struct dump_lock){LOCK_MUTEX, 3};
	made_cycle(made, 2, both);
	made_cycle(made, 1, own);
}

static void test_locks(void **state)
{
	struct made made;
	struct dump_thread *thread;

	made_begin(&made);
	made_deadlock(&made);
	thread = made_thread(&made, "e", STATE_GIL, 2 * MILLISECOND, "j");
	thread->lock.kind = LOCK_NONE;
	thread->key.gil_holder = made_string(made.profile, "burn (/srv/x.py:3)");
	check_holds(&made, "Thread 4242 (idle+gil): \"a\"  lock (C mutex) held by 4243, 1.0 s\n");
	check_holds(&made, "Thread 4243 (idle): \"b\"  gil held by 4242\n");
	check_holds(&made, "\"c\"  lock (RLock) held by 4243, 1.0 s\n");
	check_holds(&made, "\"e\"  gil held by burn (/srv/x.py:3), 2 ms\n");
	check_holds(&made, "\n\nDeadlock: these threads wait for each other.\n"
			   "    Thread 4242 \"a\" waits for a C mutex that thread 4243 holds\n"
			   "    Thread 4243 \"b\" waits for the GIL that thread 4242 holds\n"
			   "\nDeadlock: a thread waits for itself.\n"
			   "    Thread 4245 \"d\" waits for a C mutex that it holds itself\n");
	made_end(&made);
}

static void test_processes(void **state)
{
	static const uint32_t own[] = {1};
	struct made made;
	char *text, *at;

	made_begin(&made);
	made_thread(&made, "a", STATE_SLEEP, SECONDS, "f");
	made.process = made_process(made.profile, 77, "celery worker");
	made_thread(&made, "b", STATE_LOCK, SECONDS, "f")->lock = (struct dump_lock){LOCK_MUTEX, 1};
	made_cycle(&made, 1, own);
	text = printed(&made, (struct dump_options){0}, false);
	at = strstr(text, "\n\nProcess 77: celery worker\n");
	assert_non_null(at);
	assert_null(strstr(at + 10, "Process 4242"));
	assert_non_null(strstr(at, "Deadlock"));
	assert_true(strstr(text, "Deadlock") > at);
	free(text);
	made_end(&made);
}

static json_t *dumped(const struct made *made, struct dump_options options)
{
	char *text = printed(made, options, true);
	json_t *whole = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(whole);
	free(text);
	return whole;
}

static json_t *thread_at(json_t *whole, size_t index)
{
	json_t *process = json_array_get(json_object_get(whole, "processes"), 0);

	return json_array_get(json_object_get(process, "threads"), index);
}

static void check_json_thread(json_t *thread)
{
	json_t *frame = json_array_get(json_object_get(thread, "frames"), 0);

	assert_int_equal(json_integer_value(json_object_get(thread, "tid")), 4242);
	assert_string_equal(json_string_value(json_object_get(thread, "name")), "a");
	assert_string_equal(json_string_value(json_object_get(thread, "state")), "lock");
	assert_string_equal(json_string_value(json_object_get(thread, "lock")), "C mutex");
	assert_int_equal(json_integer_value(json_object_get(thread, "held_by")), 4243);
	assert_true(json_real_value(json_object_get(thread, "seconds")) == 1.0);
	assert_true(json_is_true(json_object_get(thread, "holds_gil")));
	assert_true(json_is_false(json_object_get(thread, "active")));
	assert_int_equal(json_array_size(json_object_get(thread, "frames")), 2);
	assert_string_equal(json_string_value(json_object_get(frame, "function")), "f");
	assert_string_equal(json_string_value(json_object_get(frame, "file")),
			    "/srv/shop/views.py");
	assert_int_equal(json_integer_value(json_object_get(frame, "line")), 41);
	assert_string_equal(json_string_value(json_object_get(frame, "kind")), "python");
}

static void test_json(void **state)
{
	struct made made;
	json_t *whole, *process, *cycle, *thread;

	made_begin(&made);
	made_deadlock(&made);
	made_thread(&made, "late", STATE_OTHER, -1, "f")->read = false;
	whole = dumped(&made, (struct dump_options){0});
	process = json_array_get(json_object_get(whole, "processes"), 0);
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), 4242);
	assert_string_equal(json_string_value(json_object_get(process, "command")), PROCESS_NAME);
	check_json_thread(thread_at(whole, 0));
	assert_null(json_object_get(thread_at(whole, 1), "seconds"));
	thread = thread_at(whole, 4);
	assert_true(json_is_false(json_object_get(thread, "read")));
	assert_null(json_object_get(thread, "frames"));
	assert_null(json_object_get(thread, "state"));
	assert_int_equal(json_array_size(json_object_get(process, "deadlocks")), 2);
	cycle = json_array_get(json_object_get(process, "deadlocks"), 0);
	assert_int_equal(json_array_size(cycle), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(cycle, 1), "held_by")),
			 4242);
	assert_string_equal(json_string_value(json_object_get(json_array_get(cycle, 1), "lock")),
			    "GIL");
	json_decref(whole);
	whole = dumped(&made, (struct dump_options){.native = true});
	assert_int_equal(json_array_size(json_object_get(thread_at(whole, 0), "frames")), 4);
	json_decref(whole);
	made_end(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),  cmocka_unit_test(test_native),
		cmocka_unit_test(test_colour),  cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_targets), cmocka_unit_test(test_unread),
		cmocka_unit_test(test_locks),   cmocka_unit_test(test_processes),
		cmocka_unit_test(test_json),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
