/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that a profile keeps each thing once, and that narrowing keeps what belongs together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "made_profile.h"
#include "profile/narrow.h"
#include "profile/table.h"
#include "profile/utf8.h"

static void test_strings(void **state)
{
	struct profile *profile = profile_new();
	char text[16];
	uint32_t at;

	assert_int_equal(made_string(profile, ""), 0);
	for (at = 1; at < 1000; at++) {
		snprintf(text, sizeof(text), "name %u", at);
		assert_int_equal(made_string(profile, text), at);
	}
	assert_int_equal(profile->string_count, 1000);
	for (at = 1; at < 1000; at++) {
		snprintf(text, sizeof(text), "name %u", at);
		assert_string_equal(profile->strings[at], text);
		assert_int_equal(made_string(profile, text), at);
	}
	assert_int_equal(profile->string_count, 1000);
	profile_free(profile);
}

/* RFC 3629's limits: overlong forms, surrogates, what is above U+10FFFF, cut sequences. */
static void test_malformed_strings(void **state)
{
	static const struct {
		const char *text, *repaired;
	} cases[] = {
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d"},
		{"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
		{"a\xffz", "a\xef\xbf\xbdz"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
	};
	struct profile *profile = profile_new();
	size_t at;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		assert_string_equal(profile->strings[made_string(profile, cases[at].text)],
				    cases[at].repaired);
		assert_true(utf8_valid(cases[at].repaired));
	}
	profile_free(profile);
}

static void test_stacks(void **state)
{
	struct profile *profile = profile_new();
	uint32_t locations[64], at, depth, id, again;

	for (at = 0; at < 64; at++)
		locations[at] = made_frame(profile, KIND_PYTHON, "f", "f.py", 1, (int)at);
	for (depth = 0; depth <= 64; depth++) {
		assert_int_equal(profile_stack(profile, locations, depth, &id), 0);
		assert_int_equal(id, depth);
	}
	for (depth = 0; depth <= 64; depth++) {
		assert_int_equal(profile_stack(profile, locations, depth, &again), 0);
		assert_int_equal(again, depth);
		assert_int_equal(profile->stacks[again].depth, depth);
		assert_memory_equal(profile->stack_locations + profile->stacks[again].first,
				    locations, depth * sizeof(*locations));
	}
	assert_int_equal(profile->stack_count, 65);
	profile_free(profile);
}

static void test_samples(void **state)
{
	struct profile *profile = profile_new();
	struct profile_key key = {0}, other = {.tid = 1};
	uint32_t id;

	made_process(profile, 1, "p");
	made_sample(profile, key, NULL, 0, 10, 1);
	made_sample(profile, other, NULL, 0, 5, 0);
	made_sample(profile, key, NULL, 0, 7, 2);
	assert_int_equal(profile->sample_count, 2);
	assert_int_equal(profile->samples[0].ns, 17);
	assert_int_equal(profile->samples[0].waits, 3);
	assert_int_equal(profile_sample(profile, &key, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(profile->samples[0].ns, 17);
	profile_free(profile);
}

static void test_owner(void **state)
{
	struct profile *profile = profile_new();
	uint32_t frames[5], id;

	frames[0] = made_frame(profile, KIND_KERNEL, "k", "[kernel]", 0, 0);
	frames[1] = made_frame(profile, KIND_NATIVE, "n", "/lib/n.so", 0, 0);
	frames[2] = made_frame(profile, KIND_PYTHON, "p", "p.py", 1, 2);
	assert_int_equal(profile_stack(profile, frames, 3, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), frames[2]);
	assert_int_equal(profile_stack(profile, frames, 2, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), -1);
	frames[3] = frames[1];
	frames[4] = made_frame(profile, KIND_PYTHON, "outer", "p.py", 5, 6);
	assert_int_equal(profile_stack(profile, frames, 5, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), frames[2]);
	assert_int_equal(profile_stack(profile, frames + 3, 2, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), frames[4]);
	assert_int_equal(profile_stack(profile, NULL, 0, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), -1);
	profile_free(profile);
}

/* Two files of one path stay apart, and so do their functions of one name. */
static void test_modules(void **state)
{
	struct profile *profile = profile_new();
	uint32_t path, old_id, new_id, none, old, new, again, function[3];

	assert_int_equal(profile->module_count, 1);
	assert_int_equal(profile_module(profile, 0, 0, &none), 0);
	assert_int_equal(none, 0);
	path = made_string(profile, "/usr/lib/libz.so.1");
	old_id = made_string(profile, "aa11");
	new_id = made_string(profile, "bb22");
	assert_int_equal(profile_module(profile, path, old_id, &old), 0);
	assert_int_equal(profile_module(profile, path, new_id, &new), 0);
	assert_int_equal(profile_module(profile, path, old_id, &again), 0);
	assert_int_equal(old, 1);
	assert_int_equal(new, 2);
	assert_int_equal(again, old);
	assert_int_equal(profile->module_count, 3);
	assert_string_equal(profile->strings[profile->modules[new].build_id], "bb22");

	made_native(profile, "deflate", "/usr/lib/libz.so.1", "aa11", 0x10, "", 0);
	made_native(profile, "deflate", "/usr/lib/libz.so.1", "bb22", 0x10, "", 0);
	made_native(profile, "deflate", "/usr/lib/libz.so.1", "aa11", 0x20, "", 0);
	assert_int_equal(profile->module_count, 3);
	assert_int_equal(profile->function_count, 2);
	assert_int_equal(profile->location_count, 3);

	made_native(profile, "crc32", "/usr/lib/libz.so.1", "aa11", 0x30, "/src/crc32.c", 7);
	function[0] = profile->function_count - 1;
	assert_string_equal(profile_code_file(profile, function[0]), "/usr/lib/libz.so.1");
	assert_false(profile_is_notice(profile, function[0]));
	made_notice(profile, "[stack cut]");
	function[1] = profile->function_count - 1;
	assert_string_equal(profile_code_file(profile, function[1]), "");
	assert_true(profile_is_notice(profile, function[1]));
	made_native(profile, PROFILE_GENERATED, "", "", 0, "", 0);
	assert_false(profile_is_notice(profile, profile->function_count - 1));
	made_native(profile, "[unknown]", "/usr/lib/libz.so.1", "aa11", 0x40, "", 0);
	function[2] = profile->function_count - 1;
	assert_false(profile_is_notice(profile, function[2]));
	profile_free(profile);
}

static void test_narrow(void **state)
{
	struct profile *profile = made_worker(), *narrow;
	struct profile_key key = {.tid = 77, .state = STATE_FILE};
	struct narrowing to = {.pid = 77};
	struct error error;
	struct profile_process process;
	uint32_t at;

	key.process = made_process(profile, 77, "other");
	process = profile->processes[key.process];
	process.container = made_string(profile, "web-1");
	process.cgroup = made_string(profile, "/lxc.payload.web-1");
	profile_process_set(profile, key.process, &process);
	made_sample(profile, key, NULL, 0, 5, 1);
	made_ledger(profile, key.process, 77, 5);

	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), 0);
	assert_int_equal(narrow->process_count, 1);
	assert_int_equal(narrow->thread_count, 1);
	assert_int_equal(narrow->threads[0].process, 0);
	assert_string_equal(narrow->strings[narrow->processes[0].container], "web-1");
	assert_string_equal(narrow->strings[narrow->processes[0].cgroup], "/lxc.payload.web-1");
	assert_int_equal(narrow->sample_count, 1);
	assert_int_equal(narrow->samples[0].ns, 5);
	assert_int_equal(narrow->samples[0].waits, 1);
	profile_free(narrow);

	to = (struct narrowing){.tid = 4242};
	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), 0);
	assert_int_equal(narrow->process_count, 1);
	assert_int_equal(narrow->thread_count, 1);
	assert_int_equal(narrow->sample_count, 6);
	for (at = 0; at < narrow->sample_count; at++)
		assert_int_equal(narrow->samples[at].key.tid, 4242);
	profile_free(narrow);

	narrow = NULL;
	to = (struct narrowing){.pid = 1, .python_only = true};
	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), -ESRCH);
	assert_string_equal(error.text, "no process 1 in the recording");
	to = (struct narrowing){.pid = 77, .tid = 4242};
	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), -ESRCH);
	assert_string_equal(error.text, "no thread 4242 in the recording");
	assert_null(narrow);
	profile_free(profile);
}

/* Sum of the samples in a state whose stacks have so many frames. */
static int64_t depth_ns(const struct profile *profile, enum state state, uint32_t depth)
{
	int64_t ns = 0;
	uint32_t at;

	for (at = 0; at < profile->sample_count; at++)
		if (profile->samples[at].key.state == state &&
		    profile->stacks[profile->samples[at].key.stack].depth == depth)
			ns += profile->samples[at].ns;
	return ns;
}

/* Without native frames: nothing of them is left, no time is lost, what became equal is one. */
static void test_narrow_to_python(void **state)
{
	struct profile *profile = made_mixed(), *narrow;
	struct narrowing to = {.python_only = true};
	struct error error;
	int64_t ns[2] = {0}, waits[2] = {0};
	uint32_t at;

	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), 0);
	assert_int_equal(narrow->module_count, 1);
	for (at = 0; at < narrow->function_count; at++)
		if (narrow->functions[at].kind != KIND_PYTHON)
			assert_true(profile_is_notice(narrow, at));
	for (at = 0; at < narrow->string_count; at++)
		assert_null(strstr(narrow->strings[at], "deflate"));
	for (at = 0; at < profile->sample_count; at++) {
		ns[0] += profile->samples[at].ns;
		waits[0] += profile->samples[at].waits;
	}
	for (at = 0; at < narrow->sample_count; at++) {
		ns[1] += narrow->samples[at].ns;
		waits[1] += narrow->samples[at].waits;
	}
	assert_int_equal(ns[0], ns[1]);
	assert_int_equal(waits[0], waits[1]);
	/* deflate, the code without a file: native leaves of the same Python stack. */
	assert_int_equal(profile->sample_count, 13);
	assert_int_equal(narrow->sample_count, 11);
	assert_int_equal(depth_ns(narrow, STATE_RUNNING, 3), 4300 * MILLISECOND);
	assert_int_equal(depth_ns(narrow, STATE_RUNNING, 2), 2400 * MILLISECOND);
	assert_int_equal(depth_ns(narrow, STATE_RUNNING, 4), 100 * MILLISECOND);
	assert_int_equal(depth_ns(narrow, STATE_SOCKET, 4), 2000 * MILLISECOND);
	/* Without the notice of native frames, which is not at the stack's end. */
	assert_int_equal(depth_ns(narrow, STATE_POLL, 2), 300 * MILLISECOND);
	assert_int_equal(depth_ns(narrow, STATE_RUNNING, 1), 1500 * MILLISECOND); /* a notice */
	assert_string_equal(narrow->strings[narrow->facts.host], "host");
	assert_int_equal(narrow->thread_count, 2);
	assert_string_equal(narrow->strings[narrow->threads[1].name], "blas");
	profile_free(narrow);
	profile_free(profile);
}

/* Everything that belongs to what stays; what is known of a process alone not for one thread. */
static void test_narrow_reasons(void **state)
{
	struct profile *profile = made_shop(), *narrow;
	struct profile_key key = {.tid = 55, .state = STATE_FILE};
	struct profile_repeat repeat = profile->repeats[0];
	struct narrowing to = {.pid = 100, .python_only = true};
	const struct profile_sample *sample;
	struct error error;
	int64_t sends = 0, grown = 0, longest = 0;
	uint32_t at, wakers = 0;

	repeat.process = key.process = made_process(profile, 55, "other");
	assert_int_equal(profile_repeat(profile, &repeat), 0);
	made_sample(profile, key, NULL, 0, 5, 1);
	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), 0);
	assert_int_equal(narrow->processes[0].gc.source, GC_USDT);
	assert_int_equal(narrow->processes[0].gc.collections[1], 110);
	assert_int_equal(narrow->repeat_count, 1);
	assert_int_equal(narrow->repeats[0].sends, 6400);
	assert_string_equal(narrow->strings[narrow->repeats[0].target], "127.0.0.1:5432");
	assert_string_equal(narrow->strings[narrow->functions[narrow->repeats[0].caller].name],
			    "index");
	assert_int_equal(narrow->locations[narrow->repeats[0].location].line, 33);
	for (at = 0; at < narrow->sample_count; at++) {
		sample = &narrow->samples[at];
		sends += sample->sends;
		grown += sample->grown_bytes;
		wakers += !strcmp(narrow->strings[sample->key.waker], "worker-1");
		if (sample->key.length == 22)
			longest = sample->longest_ns;
	}
	assert_int_equal(sends, 6407);
	assert_int_equal(grown, 12000000);
	assert_int_equal(wakers, 1);
	assert_int_equal(longest, 4 * MILLISECOND);
	profile_free(narrow);

	to = (struct narrowing){.pid = 55};
	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), 0);
	assert_int_equal(narrow->repeat_count, 1);
	assert_int_equal(narrow->repeats[0].process, 0);
	assert_int_equal(narrow->processes[0].gc.source, GC_UNKNOWN);
	profile_free(narrow);
	to = (struct narrowing){.tid = 100};
	assert_int_equal(profile_narrow(profile, &to, &narrow, &error), 0);
	assert_int_equal(narrow->repeat_count, 0);
	assert_int_equal(narrow->processes[0].gc.source, GC_UNKNOWN);
	profile_free(narrow);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_malformed_strings),
		cmocka_unit_test(test_stacks),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_narrow_to_python),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_narrow_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
