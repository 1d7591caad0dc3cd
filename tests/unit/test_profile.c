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
	uint32_t frames[3], id;

	frames[0] = made_frame(profile, KIND_KERNEL, "k", "[kernel]", 0, 0);
	frames[1] = made_frame(profile, KIND_NATIVE, "n", "/lib/n.so", 0, 0);
	frames[2] = made_frame(profile, KIND_PYTHON, "p", "p.py", 1, 2);
	assert_int_equal(profile_stack(profile, frames, 3, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), frames[2]);
	assert_int_equal(profile_stack(profile, frames, 2, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), -1);
	assert_int_equal(profile_stack(profile, NULL, 0, &id), 0);
	assert_int_equal(profile_stack_owner(profile, id), -1);
	profile_free(profile);
}

static void test_narrow(void **state)
{
	struct profile *profile = made_worker(), *narrow;
	struct profile_key key = {.tid = 77, .state = STATE_FILE};
	struct error error;
	uint32_t at;

	key.process = made_process(profile, 77, "other");
	made_sample(profile, key, NULL, 0, 5, 1);
	made_ledger(profile, key.process, 77, 5);

	assert_int_equal(profile_narrow(profile, 77, 0, &narrow, &error), 0);
	assert_int_equal(narrow->process_count, 1);
	assert_int_equal(narrow->thread_count, 1);
	assert_int_equal(narrow->threads[0].process, 0);
	assert_int_equal(narrow->sample_count, 1);
	assert_int_equal(narrow->samples[0].ns, 5);
	assert_int_equal(narrow->samples[0].waits, 1);
	profile_free(narrow);

	assert_int_equal(profile_narrow(profile, 0, 4242, &narrow, &error), 0);
	assert_int_equal(narrow->process_count, 1);
	assert_int_equal(narrow->thread_count, 1);
	assert_int_equal(narrow->sample_count, 6);
	for (at = 0; at < narrow->sample_count; at++)
		assert_int_equal(narrow->samples[at].key.tid, 4242);
	profile_free(narrow);

	narrow = NULL;
	assert_int_equal(profile_narrow(profile, 1, 0, &narrow, &error), -ESRCH);
	assert_string_equal(error.text, "no process 1 in the recording");
	assert_int_equal(profile_narrow(profile, 77, 4242, &narrow, &error), -ESRCH);
	assert_null(narrow);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings), cmocka_unit_test(test_malformed_strings),
		cmocka_unit_test(test_stacks),  cmocka_unit_test(test_samples),
		cmocka_unit_test(test_owner),   cmocka_unit_test(test_narrow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
