/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks which time of threads belongs to which window, on made-up samples and looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "live/live.h"
#include "made_profile.h"

#define MS     1000000ULL
#define SECOND (1000 * MS)
#define PERIOD (10 * MS)
#define TID    43

/* A capture of one process, whose first window begins at second 1. */
struct fixture {
	struct profile *source;
	struct live *live;
	uint32_t process;
	uint32_t frames[3]; /* of functions `work`, `wait` and `other` */
	struct live_ledger ledger;
};

static void fixture_open(struct fixture *it)
{
	static const char *const names[] = {"work", "wait", "other"};
	uint32_t at;

	memset(it, 0, sizeof(*it));
	it->source = profile_new();
	/* The window's ids are to differ from the source's. */
	for (at = 0; at < 5; at++)
		made_frame(it->source, KIND_PYTHON, "unused", "unused.py", 1, (int)at);
	it->process = made_process(it->source, 42, "server");
	for (at = 0; at < 3; at++)
		it->frames[at] =
			made_frame(it->source, KIND_PYTHON, names[at], "app.py", 10, 11 + (int)at);
	it->live = live_new(it->source, SECOND);
	it->ledger = (struct live_ledger){.process = it->process,
					  .tid = TID,
					  .name = made_string(it->source, "worker"),
					  .start_ns = SECOND,
					  .end_ns = SECOND};
}

static void fixture_close(struct fixture *it)
{
	live_free(it->live);
	profile_free(it->source);
}

static struct live_sample make_sample(struct fixture *it, uint32_t function, enum state state,
				      uint64_t time_ns, uint64_t ns, uint64_t length_ns)
{
	struct live_sample sample = {.key = {.process = it->process,
					     .tid = TID,
					     .thread = it->ledger.name,
					     .state = state},
				     .time_ns = time_ns,
				     .ns = ns,
				     .length_ns = length_ns};

	if (profile_stack(it->source, &it->frames[function], 1, &sample.key.stack))
		abort();
	return sample;
}

static void add(struct fixture *it, struct live_sample sample)
{
	live_add_sample(it->live, &sample);
}

static void add_look(struct fixture *it, struct live_sample sample)
{
	sample.look = true;
	live_add_sample(it->live, &sample);
}

/* The thread's ledger goes on until `end_ns`, all of it in `state`. */
static void spend(struct fixture *it, enum state state, uint64_t ns)
{
	it->ledger.ns[state] += ns;
	it->ledger.end_ns += ns;
}

static struct profile *look_end(struct fixture *it, uint64_t now)
{
	struct profile *window;

	assert_int_equal(live_look_end(it->live, now, &window), 0);
	return window;
}

/* A look at which the thread is as its ledger says; `away` NULL: it runs. */
static struct profile *look(struct fixture *it, const struct live_sample *away)
{
	live_look_begin(it->live);
	live_add_ledger(it->live, &it->ledger);
	if (away)
		add_look(it, *away);
	return look_end(it, it->ledger.end_ns);
}

/* Time of a function in a state; function NULL: of all. */
static int64_t time_of(const struct profile *window, const char *name, enum state state)
{
	int64_t sum = 0;
	uint32_t at;

	for (at = 0; at < window->sample_count; at++) {
		const struct profile_sample *sample = &window->samples[at];
		int64_t owner = profile_stack_owner(window, sample->key.stack);
		const char *own =
			owner < 0 ? ""
				  : window->strings
					    [window->functions[window->locations[owner].function]
						     .name];

		if (sample->key.state == state && (!name || !strcmp(own, name)))
			sum += sample->ns;
	}
	return sum;
}

static int64_t ledger_of(const struct profile *window, enum state state)
{
	int64_t sum = 0;
	uint32_t at;

	for (at = 0; at < window->thread_count; at++)
		sum += window->threads[at].ns[state];
	return sum;
}

/* A wait of 2.4 s, and 0.6 s of work: looked at twice, then ended. */
static void test_wait_across_windows(void **state)
{
	struct fixture it;
	struct live_sample away;
	struct profile *window;
	uint64_t at;

	fixture_open(&it);
	for (at = 1; at <= 2; at++) {
		spend(&it, STATE_SOCKET, SECOND);
		away = make_sample(&it, 1, STATE_SOCKET, it.ledger.end_ns, at * SECOND,
				   at * SECOND);
		window = look(&it, &away);
		assert_int_equal(window->facts.duration_ns, SECOND);
		assert_int_equal(time_of(window, "wait", STATE_SOCKET), SECOND);
		assert_int_equal(time_of(window, NULL, STATE_SOCKET), SECOND);
		assert_string_equal(window->strings[window->threads[0].name], "worker");
		assert_string_equal(window->strings[window->processes[0].command], "server");
		profile_free(window);
	}
	spend(&it, STATE_SOCKET, 400 * MS);
	add(&it, make_sample(&it, 1, STATE_SOCKET, it.ledger.end_ns, 2400 * MS, 2400 * MS));
	spend(&it, STATE_RUNNING, 600 * MS);
	for (at = 0; at < 60; at++)
		add(&it, make_sample(&it, 0, STATE_RUNNING, it.ledger.end_ns, PERIOD, 0));
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "wait", STATE_SOCKET), 400 * MS);
	assert_int_equal(time_of(window, "work", STATE_RUNNING), 600 * MS);
	assert_int_equal(ledger_of(window, STATE_SOCKET), 400 * MS);
	profile_free(window);
	fixture_close(&it);
}

static struct profile *look_again(struct fixture *it)
{
	struct profile *window;

	it->ledger.still_away = true;
	window = look(it, NULL);
	it->ledger.still_away = false;
	return window;
}

/* Looks that say only that the wait goes on: its stack is that of the look that came with one. */
static void test_wait_that_goes_on(void **state)
{
	struct fixture it;
	struct live_sample away;
	struct profile *window;
	int at;

	fixture_open(&it);
	spend(&it, STATE_RUNNING, 300 * MS);
	spend(&it, STATE_LOCK, 700 * MS);
	away = make_sample(&it, 1, STATE_LOCK, it.ledger.end_ns, 700 * MS, 700 * MS);
	window = look(&it, &away);
	assert_int_equal(time_of(window, "wait", STATE_LOCK), 700 * MS);
	profile_free(window);
	for (at = 0; at < 3; at++) {
		spend(&it, STATE_LOCK, SECOND);
		window = look_again(&it);
		assert_int_equal(time_of(window, "wait", STATE_LOCK), SECOND);
		assert_int_equal(time_of(window, NULL, STATE_LOCK), SECOND);
		profile_free(window);
	}
	/* It ends, and another one begins: of that nothing is known without a sample. */
	spend(&it, STATE_LOCK, 250 * MS);
	add(&it, make_sample(&it, 1, STATE_LOCK, it.ledger.end_ns, 3950 * MS, 3950 * MS));
	spend(&it, STATE_SOCKET, 750 * MS);
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "wait", STATE_LOCK), 250 * MS);
	assert_int_equal(time_of(window, "wait", STATE_SOCKET), 0);
	assert_int_equal(time_of(window, NULL, STATE_SOCKET), 750 * MS);
	profile_free(window);
	fixture_close(&it);
}

/* A wait that goes on has no stack once that is forgotten, until a look comes with one. */
static void test_forgotten_wait(void **state)
{
	struct fixture it;
	struct live_sample away;
	struct profile *window;

	fixture_open(&it);
	spend(&it, STATE_LOCK, SECOND);
	away = make_sample(&it, 1, STATE_LOCK, it.ledger.end_ns, SECOND, SECOND);
	profile_free(look(&it, &away));
	live_forget_stacks(it.live);
	spend(&it, STATE_LOCK, SECOND);
	window = look_again(&it);
	assert_int_equal(time_of(window, "wait", STATE_LOCK), 0);
	assert_int_equal(time_of(window, NULL, STATE_LOCK), SECOND);
	profile_free(window);
	spend(&it, STATE_LOCK, SECOND);
	away = make_sample(&it, 1, STATE_LOCK, it.ledger.end_ns, 3 * SECOND, 3 * SECOND);
	window = look(&it, &away);
	assert_int_equal(time_of(window, "wait", STATE_LOCK), SECOND);
	profile_free(window);
	fixture_close(&it);
}

/* What is sampled is spread over what the ledger has, beside what is known exactly. */
static void test_sampled_time_fills_the_ledger(void **state)
{
	struct fixture it;
	struct profile *window;
	int at;

	fixture_open(&it);
	for (at = 0; at < 12; at++)
		add(&it, make_sample(&it, 0, STATE_LOCK, SECOND + 20 * MS, PERIOD, MS));
	for (at = 0; at < 4; at++)
		add(&it, make_sample(&it, 2, STATE_LOCK, SECOND + 20 * MS, PERIOD, MS));
	add(&it, make_sample(&it, 1, STATE_LOCK, SECOND + 600 * MS, 500 * MS, 500 * MS));
	spend(&it, STATE_LOCK, 900 * MS);
	spend(&it, STATE_RUNNING, 100 * MS);
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "wait", STATE_LOCK), 500 * MS);
	assert_int_equal(time_of(window, "work", STATE_LOCK), 300 * MS);
	assert_int_equal(time_of(window, "other", STATE_LOCK), 100 * MS);
	assert_int_equal(time_of(window, NULL, STATE_RUNNING), 100 * MS); /* not sampled */
	profile_free(window);
	fixture_close(&it);
}

/* A wait that ends while others are looked at belongs to both windows. */
static void test_wait_that_ends_during_a_look(void **state)
{
	struct fixture it;
	struct live_sample late;
	struct profile *window;

	fixture_open(&it);
	spend(&it, STATE_FILE, SECOND);
	live_look_begin(it.live);
	live_add_ledger(it.live, &it.ledger);
	late = make_sample(&it, 1, STATE_FILE, it.ledger.end_ns + 30 * MS, 1030 * MS, 1030 * MS);
	add(&it, late);
	window = look_end(&it, it.ledger.end_ns + 40 * MS);
	assert_int_equal(time_of(window, "wait", STATE_FILE), SECOND);
	profile_free(window);
	spend(&it, STATE_FILE, 30 * MS);
	spend(&it, STATE_SLEEP, 970 * MS);
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "wait", STATE_FILE), 30 * MS);
	assert_int_equal(window->facts.duration_ns, SECOND);
	profile_free(window);
	fixture_close(&it);
}

/* The look still has the thread away, and then its sample comes: counted once. */
static void test_wait_that_ends_after_its_look(void **state)
{
	struct fixture it;
	struct live_sample away;
	struct profile *window;

	fixture_open(&it);
	spend(&it, STATE_PIPE, SECOND);
	live_look_begin(it.live);
	live_add_ledger(it.live, &it.ledger);
	away = make_sample(&it, 1, STATE_PIPE, it.ledger.end_ns, SECOND, SECOND);
	add_look(&it, away);
	away.ns = away.length_ns = 1010 * MS;
	away.time_ns += 10 * MS;
	add(&it, away);
	window = look_end(&it, it.ledger.end_ns + 20 * MS);
	assert_int_equal(time_of(window, "wait", STATE_PIPE), SECOND);
	profile_free(window);
	spend(&it, STATE_PIPE, 10 * MS);
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "wait", STATE_PIPE), 10 * MS);
	profile_free(window);
	fixture_close(&it);
}

static void test_run_queue_behind_a_wait(void **state)
{
	struct fixture it;
	struct live_sample sample;
	struct profile *window;

	fixture_open(&it);
	spend(&it, STATE_SOCKET, 700 * MS);
	spend(&it, STATE_RUNQUEUE, 300 * MS);
	/* Woken, and not yet running: the look has all of it as the wait. */
	sample = make_sample(&it, 1, STATE_SOCKET, it.ledger.end_ns, SECOND, SECOND);
	window = look(&it, &sample);
	assert_int_equal(time_of(window, "wait", STATE_SOCKET), 700 * MS);
	assert_int_equal(time_of(window, "wait", STATE_RUNQUEUE), 300 * MS);
	profile_free(window);
	spend(&it, STATE_RUNQUEUE, 100 * MS);
	sample = make_sample(&it, 1, STATE_SOCKET, it.ledger.end_ns, 700 * MS, 700 * MS);
	sample.runqueue_ns = sample.runqueue_length_ns = 400 * MS;
	add(&it, sample);
	spend(&it, STATE_SLEEP, 900 * MS);
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "wait", STATE_SOCKET), 0);
	assert_int_equal(time_of(window, "wait", STATE_RUNQUEUE), 100 * MS);
	profile_free(window);
	fixture_close(&it);
}

static void test_threads_that_begin_and_end_within_a_window(void **state)
{
	struct fixture it;
	struct profile *window;

	fixture_open(&it);
	spend(&it, STATE_SLEEP, 300 * MS);
	add(&it, make_sample(&it, 1, STATE_SLEEP, it.ledger.end_ns, 300 * MS, 300 * MS));
	live_add_ledger(it.live, &it.ledger);
	/* Another one with the same number. */
	memset(it.ledger.ns, 0, sizeof(it.ledger.ns));
	it.ledger.start_ns = it.ledger.end_ns += 100 * MS;
	spend(&it, STATE_PIPE, 200 * MS);
	add(&it, make_sample(&it, 1, STATE_PIPE, it.ledger.end_ns, 200 * MS, 200 * MS));
	live_add_ledger(it.live, &it.ledger);
	live_look_begin(it.live);
	window = look_end(&it, 2 * SECOND);
	assert_int_equal(window->thread_count, 2);
	assert_int_equal(time_of(window, "wait", STATE_SLEEP), 300 * MS);
	assert_int_equal(time_of(window, "wait", STATE_PIPE), 200 * MS);
	profile_free(window);
	live_look_begin(it.live);
	window = look_end(&it, 3 * SECOND);
	assert_int_equal(window->thread_count, 0);
	assert_int_equal(window->sample_count, 0);
	profile_free(window);
	fixture_close(&it);
}

/* Its last ledger comes between the look at it and the end of the looking. */
static void test_thread_that_ends_during_a_look(void **state)
{
	struct fixture it;
	struct profile *window;

	fixture_open(&it);
	spend(&it, STATE_SLEEP, SECOND);
	live_look_begin(it.live);
	live_add_ledger(it.live, &it.ledger);
	spend(&it, STATE_SLEEP, 5 * MS);
	live_add_ledger(it.live, &it.ledger);
	window = look_end(&it, 2 * SECOND + 8 * MS);
	assert_int_equal(ledger_of(window, STATE_SLEEP), SECOND);
	profile_free(window);
	live_look_begin(it.live);
	window = look_end(&it, 3 * SECOND);
	assert_int_equal(ledger_of(window, STATE_SLEEP), 5 * MS);
	profile_free(window);
	live_look_begin(it.live);
	window = look_end(&it, 4 * SECOND);
	assert_int_equal(window->thread_count, 0);
	profile_free(window);
	fixture_close(&it);
}

/* What was taken for a `poll` turns out to have been a `sleep` when it ends. */
static void test_wait_that_is_understood_late(void **state)
{
	struct fixture it;
	struct live_sample away;
	struct profile *window;

	fixture_open(&it);
	spend(&it, STATE_POLL, SECOND);
	away = make_sample(&it, 1, STATE_POLL, it.ledger.end_ns, SECOND, SECOND);
	window = look(&it, &away);
	assert_int_equal(time_of(window, "wait", STATE_POLL), SECOND);
	profile_free(window);
	it.ledger.ns[STATE_POLL] = 0;
	it.ledger.ns[STATE_SLEEP] = SECOND;
	spend(&it, STATE_SLEEP, SECOND);
	add(&it, make_sample(&it, 1, STATE_SLEEP, it.ledger.end_ns, 2 * SECOND, 2 * SECOND));
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "wait", STATE_SLEEP), SECOND);
	assert_int_equal(ledger_of(window, STATE_SLEEP), SECOND);
	assert_int_equal(ledger_of(window, STATE_POLL), 0);
	profile_free(window);
	fixture_close(&it);
}

/* The next window has what a look that missed a thread did not see. */
static void test_look_that_misses_a_thread(void **state)
{
	struct fixture it;
	struct profile *window;
	int at;

	fixture_open(&it);
	spend(&it, STATE_SLEEP, SECOND);
	profile_free(look(&it, NULL));
	live_look_begin(it.live);
	window = look_end(&it, 3 * SECOND);
	assert_int_equal(window->thread_count, 0);
	profile_free(window);
	spend(&it, STATE_SLEEP, 2 * SECOND);
	window = look(&it, NULL);
	assert_int_equal(ledger_of(window, STATE_SLEEP), 2 * SECOND);
	profile_free(window);
	for (at = 0; at < 5; at++) { /* the record of its end was lost */
		live_look_begin(it.live);
		profile_free(look_end(&it, (5 + (uint64_t)at) * SECOND));
	}
	memset(it.ledger.ns, 0, sizeof(it.ledger.ns));
	it.ledger.start_ns = it.ledger.end_ns = 9 * SECOND;
	spend(&it, STATE_PIPE, SECOND); /* its number is another thread's now */
	window = look(&it, NULL);
	assert_int_equal(ledger_of(window, STATE_PIPE), SECOND);
	profile_free(window);
	fixture_close(&it);
}

static void test_stacks_are_forgotten(void **state)
{
	struct fixture it;
	struct profile *window;
	int at;

	fixture_open(&it);
	for (at = 0; at < 10; at++)
		add(&it, make_sample(&it, 0, STATE_RUNNING, SECOND + 5 * MS, PERIOD, 0));
	live_forget_stacks(it.live);
	profile_forget_stacks(it.source);
	assert_int_equal(it.source->stack_count, 0);
	for (at = 0; at < 30; at++) /* has the id now that the other one had */
		add(&it, make_sample(&it, 2, STATE_RUNNING, SECOND + 5 * MS, PERIOD, 0));
	spend(&it, STATE_RUNNING, SECOND);
	window = look(&it, NULL);
	assert_int_equal(time_of(window, "work", STATE_RUNNING), 250 * MS);
	assert_int_equal(time_of(window, "other", STATE_RUNNING), 750 * MS);
	profile_free(window);
	fixture_close(&it);
}

static void test_collections_are_of_the_window(void **state)
{
	struct fixture it;
	struct profile *window;
	struct profile_process process;

	fixture_open(&it);
	process = it.source->processes[0];
	process.gc = (struct profile_gc){.source = GC_USDT, .ns = 30};
	profile_process_set(it.source, 0, &process);
	spend(&it, STATE_RUNNING, SECOND);
	window = look(&it, NULL);
	assert_int_equal(window->processes[0].gc.ns, 30);
	profile_free(window);
	process.gc.ns = 42;
	profile_process_set(it.source, 0, &process);
	spend(&it, STATE_RUNNING, SECOND);
	window = look(&it, NULL);
	assert_int_equal(window->processes[0].gc.ns, 12);
	profile_free(window);
	fixture_close(&it);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_across_windows),
		cmocka_unit_test(test_wait_that_goes_on),
		cmocka_unit_test(test_forgotten_wait),
		cmocka_unit_test(test_sampled_time_fills_the_ledger),
		cmocka_unit_test(test_wait_that_ends_during_a_look),
		cmocka_unit_test(test_wait_that_ends_after_its_look),
		cmocka_unit_test(test_run_queue_behind_a_wait),
		cmocka_unit_test(test_threads_that_begin_and_end_within_a_window),
		cmocka_unit_test(test_thread_that_ends_during_a_look),
		cmocka_unit_test(test_wait_that_is_understood_late),
		cmocka_unit_test(test_look_that_misses_a_thread),
		cmocka_unit_test(test_stacks_are_forgotten),
		cmocka_unit_test(test_collections_are_of_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
