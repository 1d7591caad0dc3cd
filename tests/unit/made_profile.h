/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the building of profiles by hand, for the tests of what reads them. */
#ifndef PYEBPF_MADE_PROFILE_H
#define PYEBPF_MADE_PROFILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/profile.h"

#define MILLISECOND INT64_C(1000000)

__attribute__((unused)) static uint32_t made_string(struct profile *profile, const char *text)
{
	uint32_t id;

	if (profile_string(profile, text, &id))
		abort();
	return id;
}

/* A location whose function begins at `start` and is at `line`. Native: of the module `file`. */
__attribute__((unused)) static uint32_t made_frame(struct profile *profile, enum function_kind kind,
						   const char *name, const char *file, int start,
						   int line)
{
	struct profile_function function = {made_string(profile, name), made_string(profile, file),
					    start, kind, 0};
	struct profile_location location = {0, line, 0};
	uint32_t id;

	if (kind != KIND_PYTHON)
		location.address = 0xffffffff81000000 + (uint64_t)line;
	if (kind == KIND_NATIVE)
		location = (struct profile_location){.address = 0x1000 + (uint64_t)line};
	if ((kind == KIND_NATIVE &&
	     profile_module(profile, function.filename, 0, &function.module)) ||
	    profile_function(profile, &function, &location.function) ||
	    profile_location(profile, &location, &id))
		abort();
	return id;
}

/* A native function's location at an address of a file; `source` and `line`: "" and 0: not known. */
__attribute__((unused)) static uint32_t made_native(struct profile *profile, const char *name,
						    const char *path, const char *build_id,
						    uint64_t address, const char *source, int line)
{
	struct profile_function function = {.name = made_string(profile, name),
					    .kind = KIND_NATIVE};
	struct profile_location location = {.line = line, .address = address};
	uint32_t id;

	function.filename = made_string(profile, *source ? source : path);
	if (profile_module(profile, made_string(profile, path), made_string(profile, build_id),
			   &function.module) ||
	    profile_function(profile, &function, &location.function) ||
	    profile_location(profile, &location, &id))
		abort();
	return id;
}

/* A frame that tells of a stack, as the capture adds it. */
__attribute__((unused)) static uint32_t made_notice(struct profile *profile, const char *text)
{
	struct profile_function function = {.name = made_string(profile, text),
					    .kind = KIND_NATIVE};
	struct profile_location location = {0};
	uint32_t id;

	if (profile_function(profile, &function, &location.function) ||
	    profile_location(profile, &location, &id))
		abort();
	return id;
}

__attribute__((unused)) static uint32_t made_process(struct profile *profile, uint32_t pid,
						     const char *command)
{
	struct profile_process process = {
		.pid = pid,
		.command = made_string(profile, command),
		.python = made_string(profile, "CPython 3.11.2 (/usr/bin/python3.11)"),
	};
	uint32_t id;

	if (profile_process(profile, &process, &id))
		abort();
	return id;
}

/* `frames`: innermost first. The key's stack is filled in. */
__attribute__((unused)) static void made_sample(struct profile *profile, struct profile_key key,
						const uint32_t *frames, uint32_t depth, int64_t ns,
						int64_t waits)
{
	uint32_t id;

	if (profile_stack(profile, frames, depth, &key.stack) || profile_sample(profile, &key, &id))
		abort();
	profile->samples[id].ns += ns;
	profile->samples[id].waits += waits;
}

/* Gives a thread the ledger that its samples add up to, from 0 to `end_ns`. */
__attribute__((unused)) static void made_ledger(struct profile *profile, uint32_t process,
						uint32_t tid, int64_t end_ns)
{
	struct profile_thread thread = {.process = process, .tid = tid, .end_ns = end_ns};
	const struct profile_sample *sample;
	uint32_t at;

	for (at = 0; at < profile->sample_count; at++) {
		sample = &profile->samples[at];
		if (sample->key.process != process || sample->key.tid != tid)
			continue;
		thread.name = sample->key.thread;
		thread.ns[sample->key.state] += sample->ns;
		thread.waits[sample->key.state] += sample->waits;
	}
	if (profile_thread(profile, &thread))
		abort();
}

__attribute__((unused)) static void made_facts(struct profile *profile)
{
	int loss;

	profile->facts = (struct profile_facts){
		.command_line = made_string(profile, "pyebpf record -p 4242"),
		.host = made_string(profile, "host"),
		.kernel = made_string(profile, "Linux 6.1"),
		.version = made_string(profile, "0.1.0"),
		.wait_hook = made_string(profile, "sched_exit_tp"),
		.start_unix_ns = 1700000000123456789,
		.duration_ns = 10000 * MILLISECOND,
		.rate_hz = 99,
		.captured = 1234,
		.profiler_cpu_ns = 40 * MILLISECOND,
		.profiler_rss_bytes = 18000000,
	};
	for (loss = 0; loss < LOSS_COUNT; loss++)
		profile->facts.lost[loss] = 0;
}

/*
 * A web worker of 10 s: the main thread waits for a database (6 s), burns CPU (2 s, of it 0.5 s in
 * zlib and 0.25 s in the kernel), waits for the GIL (0.5 s) and for clients (1.5 s); two threads
 * of a pool wait for work all the time, in a stack that recurses; one C thread has no Python.
 */
__attribute__((unused)) static struct profile *made_worker(void)
{
	struct profile *profile = profile_new();
	struct profile_key key = {0};
	uint32_t module, serve, orders, render, deflate, copy, wait, worker, frames[4];
	uint32_t tid;

	if (!profile)
		abort();
	made_facts(profile);
	key.process = made_process(profile, 4242, "gunicorn app:wsgi");
	module = made_frame(profile, KIND_PYTHON, "<module>", "/srv/app/wsgi.py", 1, 9);
	serve = made_frame(profile, KIND_PYTHON, "Server.serve", "/srv/app/server.py", 10, 14);
	orders = made_frame(profile, KIND_PYTHON, "list_orders", "/srv/app/views.py", 41, 47);
	render = made_frame(profile, KIND_PYTHON, "render_page", "/srv/app/views.py", 80, 82);
	deflate = made_frame(profile, KIND_NATIVE, "deflate", "/lib/libz.so.1", 0, 0);
	copy = made_frame(profile, KIND_KERNEL, "copy_page", "[kernel]", 0, 7);
	wait = made_frame(profile, KIND_PYTHON, "Condition.wait",
			  "/usr/lib/python3.11/threading.py", 288, 320);
	worker = made_frame(profile, KIND_PYTHON, "_worker",
			    "/usr/lib/python3.11/concurrent/futures/thread.py", 69, 81);
	key.thread = made_string(profile, "gunicorn");
	key.tid = 4242;

	memcpy(frames, (uint32_t[]){orders, serve, module}, 12);
	key.state = STATE_SOCKET;
	key.syscall = made_string(profile, "poll");
	key.target = made_string(profile, "127.0.0.1:5432");
	made_sample(profile, key, frames, 3, 6000 * MILLISECOND, 8000);
	key.state = STATE_GIL;
	key.syscall = made_string(profile, "futex");
	key.target = 0;
	key.gil_holder = made_string(profile, "render_page");
	made_sample(profile, key, frames, 3, 500 * MILLISECOND, 100);
	key.gil_holder = 0;
	key.state = STATE_ACCEPT;
	key.syscall = made_string(profile, "accept4");
	made_sample(profile, key, frames + 1, 2, 1500 * MILLISECOND, 20);

	key.state = STATE_RUNNING;
	key.syscall = 0;
	key.leaf = LEAF_PYTHON;
	memcpy(frames, (uint32_t[]){copy, deflate, render, serve}, 16);
	made_sample(profile, key, frames + 2, 2, 1250 * MILLISECOND, 0);
	key.leaf = LEAF_NATIVE;
	made_sample(profile, key, frames + 1, 3, 500 * MILLISECOND, 0);
	key.leaf = LEAF_KERNEL;
	made_sample(profile, key, frames, 4, 250 * MILLISECOND, 0);
	made_ledger(profile, 0, 4242, 10000 * MILLISECOND);

	memcpy(frames, (uint32_t[]){wait, worker, worker, module}, 16);
	for (tid = 4243; tid < 4245; tid++) {
		key = (struct profile_key){.tid = tid, .state = STATE_LOCK};
		key.thread = made_string(profile, "pool");
		made_sample(profile, key, frames, 4, 10000 * MILLISECOND, 1);
		made_ledger(profile, 0, tid, 10000 * MILLISECOND);
	}
	key = (struct profile_key){.tid = 4245, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	key.thread = made_string(profile, "blas");
	made_sample(profile, key, &deflate, 1, 1000 * MILLISECOND, 0);
	made_ledger(profile, 0, 4245, 1000 * MILLISECOND);
	return profile;
}

/* A lambda as libiberty spells it. */
#define MADE_LAMBDA "void sort_by<int>(int*, int)::{lambda(int, int)#1}::operator()(int, int) const"

/*
 * A program of 12 s whose Python calls C, which calls back into Python. Its main thread has
 *
 *   train (Python) > MADE_LAMBDA (C++) > Model.key (Python) > deflate (C) > the kernel
 *
 * in that one process; a library that was replaced while it was mapped, so that two files have one
 * path and one function name; recursion through both languages; waits and the collector inside of
 * C; and a thread without Python. Self times, in ms:
 *
 *   Model.key 4900: 1000 Python; 3000 in deflate, old, 500 of the kernel below it; 100 in deflate in
 *     recursion; 100 in code without a file; 200 of garbage collection
 *   train 2700: 2000 in the lambda, 400 in deflate, new; 300 in poll
 *   receive (a library's) 2000: waiting for a socket, called by C that Model.key called
 *   lock of Model.key 500: for the GIL
 *   thread "blas" 1500, in dgemm
 */
__attribute__((unused)) static struct profile *made_mixed(void)
{
	static const char libz[] = "/usr/lib/libz.so.1", libc[] = "/usr/lib/libc.so.6";
	static const char python[] = "/usr/bin/python3.11";
	struct profile *profile = profile_new();
	struct profile_key key = {0};
	uint32_t main, train, lambda, model, old, new, fault, receive, poll, schedule, gil, collect;
	uint32_t dgemm, jit;

	if (!profile)
		abort();
	made_facts(profile);
	key.process = made_process(profile, 7, "train.py");
	main = made_frame(profile, KIND_PYTHON, "main", "/srv/train.py", 10, 12);
	train = made_frame(profile, KIND_PYTHON, "train", "/srv/train.py", 30, 40);
	model = made_frame(profile, KIND_PYTHON, "Model.key", "/srv/model.py", 5, 6);
	receive = made_frame(profile, KIND_PYTHON, "receive", "/usr/lib/python3.11/socket.py", 700,
			     706);
	lambda = made_native(profile, MADE_LAMBDA, "/srv/_sort.cpython-311-x86_64-linux-gnu.so",
			     "cafe", 0x2345, "/src/sort.cc", 12);
	old = made_native(profile, "deflate", libz, "aa11aa11aa11", 0x5010, "", 0);
	new = made_native(profile, "deflate", libz, "bb22bb22bb22", 0x5010, "", 0);
	poll = made_native(profile, "poll", libc, "cc33", 0xf0000, "", 0);
	gil = made_native(profile, "take_gil", python, "dd44", 0x412345, "", 0);
	collect = made_native(profile, "gc_collect_main", python, "dd44", 0x423456, "", 0);
	dgemm = made_native(profile, "dgemm", "/usr/lib/libopenblas.so.0", "", 0x99, "", 0);
	jit = made_native(profile, "py::jitted", "", "", 0x7f0000001000, "", 0);
	fault = made_frame(profile, KIND_KERNEL, "handle_mm_fault", "[kernel.kallsyms]", 0, 7);
	schedule = made_frame(profile, KIND_KERNEL, "schedule", "[kernel.kallsyms]", 0, 9);

#define MADE(milliseconds, waits, ...)                       \
	made_sample(profile, key, (uint32_t[]){__VA_ARGS__}, \
		    sizeof((uint32_t[]){__VA_ARGS__}) / 4, (milliseconds)*MILLISECOND, waits)
	key.tid = 7;
	key.thread = made_string(profile, "train");
	key.state = STATE_RUNNING;
	key.leaf = LEAF_PYTHON;
	MADE(1000, 0, model, lambda, train, main);
	key.leaf = LEAF_NATIVE;
	MADE(2500, 0, old, model, lambda, train, main);
	MADE(2000, 0, lambda, train, main);
	MADE(400, 0, new, train, main);
	MADE(100, 0, old, model, old, model, lambda, train, main);
	MADE(100, 0, jit, model, lambda, train, main);
	key.leaf = LEAF_KERNEL;
	MADE(500, 0, fault, old, model, lambda, train, main);
	key.leaf = LEAF_GC;
	MADE(200, 0, collect, model, lambda, train, main);
	key.leaf = LEAF_PYTHON;
	key.state = STATE_SOCKET;
	key.target = made_string(profile, "127.0.0.1:5432");
	MADE(2000, 50, schedule, poll, receive, lambda, model, lambda, train, main);
	key.target = 0;
	key.state = STATE_POLL;
	MADE(300, 3, schedule, poll, made_notice(profile, "[native frames missing]"), train, main);
	key.state = STATE_GIL;
	MADE(500, 10, schedule, gil, model, lambda, train, main);
	made_ledger(profile, 0, 7, 9600 * MILLISECOND);

	key = (struct profile_key){.tid = 8, .state = STATE_RUNNING, .leaf = LEAF_NATIVE};
	key.thread = made_string(profile, "blas");
	MADE(1500, 0, dgemm, made_notice(profile, "[stack cut]"));
	key.state = STATE_LOCK;
	key.leaf = LEAF_PYTHON;
	MADE(900, 1, made_notice(profile, "[no Python frame]"));
	made_ledger(profile, 0, 8, 2400 * MILLISECOND);
#undef MADE
	return profile;
}

/* What a sample stands for beside its time. */
struct made_values {
	int64_t ns, waits, longest_ns, sends, receives, grown_bytes;
};

__attribute__((unused)) static void made_values(struct profile *profile, struct profile_key key,
						const uint32_t *frames, uint32_t depth,
						struct made_values values)
{
	struct profile_sample *sample;
	uint32_t id;

	if (profile_stack(profile, frames, depth, &key.stack) || profile_sample(profile, &key, &id))
		abort();
	sample = &profile->samples[id];
	sample->ns += values.ns;
	sample->waits += values.waits;
	sample->sends += values.sends;
	sample->receives += values.receives;
	sample->grown_bytes += values.grown_bytes;
	if (values.longest_ns > sample->longest_ns)
		sample->longest_ns = values.longest_ns;
}

/*
 * A shop of 20 s with reasons for all its waits. In its main thread, ms:
 *
 *   index > list_orders    6400: 6400 waits for 127.0.0.1:5432 in 8 calls of index, 5600 below
 *                          2^20 ns, 800 below 2^22; 6400 messages each way
 *   index > load_page      500 waiting for a file, once; 300 in page faults
 *   render_page            4000 running, 3000 of it in hash.so's digest, 500 in the collector
 *   Condition.wait         2000 for a lock, woken by push and by a thread; in the program's own
 *                          cond.py
 *   wait_gil               1500 for the GIL, 1200 of it held by render_page, 200 by one that is in
 *                          no sample; 300 for a CPU while postgres ran, 100 while make did
 *   talk                   300 to ten clients' ports of one address, 20 to two of another one
 */
__attribute__((unused)) static struct profile *made_shop(void)
{
	static const char views[] = "/srv/app/views.py";
	struct profile *profile = profile_new();
	struct profile_key key = {.tid = 100}, none = {.tid = 100};
	struct profile_process process;
	struct profile_repeat repeat = {.calls = 8, .sends = 6400, .most = 801};
	uint32_t index, call, orders, page, render, digest, collect, mark, wait, gil, talk, at;
	char peer[32];

	if (!profile)
		abort();
	made_facts(profile);
	profile->facts.duration_ns = 20000 * MILLISECOND;
	key.process = made_process(profile, 100, "shop.py");
	process = profile->processes[0];
	process.gc = (struct profile_gc){.source = GC_USDT,
					 .collections = {1200, 110, 9},
					 .ns = 520 * MILLISECOND,
					 .longest_ns = 38 * MILLISECOND};
	profile_process_set(profile, 0, &process);
	index = made_frame(profile, KIND_PYTHON, "index", views, 30, 35);
	call = made_frame(profile, KIND_PYTHON, "index", views, 30, 33);
	orders = made_frame(profile, KIND_PYTHON, "list_orders", views, 41, 47);
	page = made_frame(profile, KIND_PYTHON, "load_page", views, 60, 61);
	render = made_frame(profile, KIND_PYTHON, "render_page", views, 80, 82);
	digest = made_native(profile, "digest", "/srv/app/hash.so", "", 0x100, "", 0);
	collect = made_native(profile, "gc_collect_main", "/usr/bin/python3.11", "", 0x200, "", 0);
	mark = made_native(profile, "<gc generation 2>", "", "", 0, "", 0);
	wait = made_frame(profile, KIND_PYTHON, "Condition.wait", "/srv/app/cond.py", 20, 24);
	gil = made_frame(profile, KIND_PYTHON, "wait_gil", "/srv/app/gil.py", 5, 6);
	talk = made_frame(profile, KIND_PYTHON, "talk", "/srv/app/chat.py", 9, 12);
	none.thread = key.thread = made_string(profile, "shop");
#define MADE(values, ...)                                    \
	made_values(profile, key, (uint32_t[]){__VA_ARGS__}, \
		    sizeof((uint32_t[]){__VA_ARGS__}) / 4, values)
#define VALUES(...) ((struct made_values){__VA_ARGS__})
	key.state = STATE_SOCKET;
	key.syscall = made_string(profile, "recvfrom");
	key.target = made_string(profile, "127.0.0.1:5432");
	key.length = 20;
	MADE(VALUES(.ns = 4000 * MILLISECOND, .waits = 5600, .longest_ns = 1040000), orders, call);
	key.length = 22;
	MADE(VALUES(.ns = 2400 * MILLISECOND, .waits = 800, .longest_ns = 4 * MILLISECOND), orders,
	     call);
	repeat.target = key.target;
	repeat.caller = profile->locations[call].function;
	repeat.function = profile->locations[orders].function;
	repeat.location = call;
	if (profile_repeat(profile, &repeat))
		abort();
	key = none;
	key.target = repeat.target;
	MADE(VALUES(.sends = 6400, .receives = 6400), orders, call);
	key.target = made_string(profile, "10.0.0.9:53");
	MADE(VALUES(.sends = 7), page, index);

	key = none;
	key.state = STATE_FILE;
	key.target = made_string(profile, "/srv/app/templates/page.html");
	key.length = 29;
	MADE(VALUES(.ns = 500 * MILLISECOND, .waits = 1, .longest_ns = 500 * MILLISECOND), page,
	     index);
	key.state = STATE_FAULT;
	key.target = 0;
	key.length = 0;
	MADE(VALUES(.ns = 300 * MILLISECOND, .waits = 30, .longest_ns = 20 * MILLISECOND), page,
	     index);

	key = none;
	key.leaf = LEAF_PYTHON;
	MADE(VALUES(.ns = 500 * MILLISECOND, .grown_bytes = 3000000), render);
	key.leaf = LEAF_NATIVE;
	MADE(VALUES(.ns = 3000 * MILLISECOND, .grown_bytes = 9000000), digest, render);
	key.leaf = LEAF_GC;
	MADE(VALUES(.ns = 500 * MILLISECOND), collect, mark, render);

	key = none;
	key.state = STATE_LOCK;
	key.waker = made_string(profile, "push (/srv/app/queue_of_ours.py:12)");
	key.length = 27;
	MADE(VALUES(.ns = 1500 * MILLISECOND, .waits = 15, .longest_ns = 120 * MILLISECOND), wait);
	key.waker = made_string(profile, "worker-1");
	MADE(VALUES(.ns = 500 * MILLISECOND, .waits = 5, .longest_ns = 110 * MILLISECOND), wait);

	key = none;
	key.state = STATE_GIL;
	key.gil_holder = made_string(profile, "render_page (/srv/app/views.py:80)");
	key.length = 23;
	MADE(VALUES(.ns = 1200 * MILLISECOND, .waits = 240, .longest_ns = 6 * MILLISECOND), gil);
	key.gil_holder = made_string(profile, "gone (/srv/my (old)/x.py:7)");
	MADE(VALUES(.ns = 200 * MILLISECOND, .waits = 40, .longest_ns = 6 * MILLISECOND), gil);
	key.gil_holder = 0;
	MADE(VALUES(.ns = 100 * MILLISECOND, .waits = 20, .longest_ns = 6 * MILLISECOND), gil);
	key = none;
	key.state = STATE_RUNQUEUE;
	key.target = made_string(profile, "postgres");
	MADE(VALUES(.ns = 300 * MILLISECOND), gil);
	key.target = made_string(profile, "make");
	MADE(VALUES(.ns = 100 * MILLISECOND), gil);

	key = none;
	key.state = STATE_SOCKET;
	key.length = 25;
	for (at = 0; at < 12; at++) {
		snprintf(peer, sizeof(peer), at < 10 ? "10.0.0.7:%u" : "10.0.0.8:%u", 40000 + at);
		key.target = made_string(profile, peer);
		MADE(VALUES(.ns = (at < 10 ? 30 : 10) * MILLISECOND, .waits = 1,
			    .longest_ns = 30 * MILLISECOND),
		     talk);
	}
#undef MADE
#undef VALUES
	made_ledger(profile, 0, 100, 20000 * MILLISECOND);
	profile->threads[0].ns[STATE_SLEEP] = 0;
	return profile;
}

#endif
