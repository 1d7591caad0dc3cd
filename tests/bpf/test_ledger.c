/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the ledger on a made-up scheduler's events: it closes, waits are counted once, and the
 * captured ones stand for all of them.
 */
#include "run.h"

#include <math.h>
#include <string.h>

#define MILLISECOND 1000000ULL
#define START       (1000 * MILLISECOND)

/* Events on their way to the programs, and the time and CPU time that have passed. */
struct story {
	struct run *run;
	uint64_t now;
	uint64_t executed;
};

static struct ledger_result *told(const struct story *story)
{
	return &story->run->programs->bss->ledger_result;
}

static void story_flush(struct story *story)
{
	run_program(story->run->programs->progs.ledger_play);
	story->run->programs->bss->ledger_event_count = 0;
}

static void story_add(struct story *story, struct ledger_event event)
{
	struct mechanisms__bss *bss = story->run->programs->bss;

	event.now = story->now;
	if (event.kind != LEDGER_GIL_WAIT)
		event.value = story->executed;
	bss->ledger_events[bss->ledger_event_count++] = event;
	if (bss->ledger_event_count == LEDGER_EVENTS_MAX)
		story_flush(story);
}

static void happen(struct story *story, enum ledger_event_kind kind)
{
	story_add(story, (struct ledger_event){.kind = kind, .state = STATE_COUNT});
}

static void blocks(struct story *story, uint32_t state)
{
	story_add(story, (struct ledger_event){.kind = LEDGER_OUT, .state = state});
}

static void taken(struct story *story, uint32_t group)
{
	story_add(story,
		  (struct ledger_event){.kind = LEDGER_TAKE, .group = group, .state = STATE_COUNT});
}

/* The thread runs, and all of it is counted as executed. */
static void runs(struct story *story, uint64_t ns)
{
	story->now += ns;
	story->executed += ns;
}

/* The thread is away, or its CPU is taken from under it. */
static void passes(struct story *story, uint64_t ns)
{
	story->now += ns;
}

static void waits(struct story *story, uint32_t state, uint64_t blocked, uint64_t runnable)
{
	blocks(story, state);
	passes(story, blocked);
	happen(story, LEDGER_WAKE);
	passes(story, runnable);
	happen(story, LEDGER_IN);
}

static struct story story_begin(struct run *run, uint32_t mode)
{
	struct story story = {.run = run, .now = START, .executed = 77 * MILLISECOND};

	run->programs->bss->ledger_event_count = 0;
	memset(&run->programs->bss->ledger_result, 0, sizeof(struct ledger_result));
	story_add(&story, (struct ledger_event){.kind = LEDGER_ENROLL, .mode = mode});
	return story;
}

/* enum thread_mode of bpf/thread.bpf.h */
enum { RUNNING = 1, RUNNABLE, BLOCKED };

static uint64_t totals_sum(const struct story *story)
{
	uint64_t sum = told(story)->unknown_ns;
	int state;

	for (state = 0; state < STATE_COUNT; state++)
		sum += told(story)->totals[state].ns;
	return sum;
}

/* Plays the rest: every nanosecond since the start is in one state. */
static void story_expect_closed(struct story *story)
{
	story_flush(story);
	assert_int_equal(told(story)->start_ns, START);
	assert_int_equal(told(story)->since_ns, story->now);
	assert_int_equal(totals_sum(story), story->now - START);
	assert_int_equal(told(story)->sequence % 2, 0);
}

static void expect_total(const struct story *story, uint32_t state, uint64_t ns, uint64_t count)
{
	assert_int_equal(told(story)->totals[state].ns, ns);
	assert_int_equal(told(story)->totals[state].waits, count);
}

static void test_simple(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	runs(&story, 5000);
	waits(&story, STATE_SOCKET, 3000, 700);
	runs(&story, 11000);
	waits(&story, STATE_LOCK, 1, 0);
	runs(&story, 100);
	happen(&story, LEDGER_OUT); /* preempted */
	passes(&story, 4000);
	happen(&story, LEDGER_IN);
	story_expect_closed(&story);
	expect_total(&story, STATE_RUNNING, 16100, 0);
	expect_total(&story, STATE_RUNQUEUE, 4700, 0);
	expect_total(&story, STATE_SOCKET, 3000, 1);
	expect_total(&story, STATE_LOCK, 1, 1);
}

/* Each of the states by itself. */
static void test_states(void **state)
{
	uint32_t wait;

	for (wait = STATE_SOCKET; wait < STATE_COUNT; wait++) {
		struct story story = story_begin(*state, RUNNING);

		runs(&story, 10);
		waits(&story, wait, 5000, 20);
		story_expect_closed(&story);
		expect_total(&story, STATE_RUNNING, 10, 0);
		expect_total(&story, STATE_RUNQUEUE, 20, 0);
		expect_total(&story, wait, 5000, 1);
	}
}

/* A wake-up that was not seen: all of the absence counts as blocked. */
static void test_wake_missed(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	waits(&story, STATE_PIPE, 100, 50);
	blocks(&story, STATE_SOCKET);
	passes(&story, 2500);
	happen(&story, LEDGER_IN);
	story_expect_closed(&story);
	expect_total(&story, STATE_SOCKET, 2500, 1);
	expect_total(&story, STATE_PIPE, 100, 1);
	expect_total(&story, STATE_RUNQUEUE, 50, 0);
}

/* Of several wake-ups the first one ends the wait; those of a thread that runs are nothing. */
static void test_wake_repeated(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	happen(&story, LEDGER_WAKE);
	runs(&story, 40);
	happen(&story, LEDGER_WAKE);
	blocks(&story, STATE_LOCK);
	passes(&story, 300);
	happen(&story, LEDGER_WAKE);
	passes(&story, 200);
	happen(&story, LEDGER_WAKE);
	passes(&story, 100);
	happen(&story, LEDGER_IN);
	happen(&story, LEDGER_WAKE);
	runs(&story, 60);
	happen(&story, LEDGER_OUT);
	passes(&story, 30);
	happen(&story, LEDGER_WAKE);
	passes(&story, 30);
	happen(&story, LEDGER_IN);
	story_expect_closed(&story);
	expect_total(&story, STATE_LOCK, 300, 1);
	expect_total(&story, STATE_RUNQUEUE, 360, 0);
	expect_total(&story, STATE_RUNNING, 100, 0);
}

/* Woken before it has left its CPU, and so at once back: it never was away. */
static void test_wake_early(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	runs(&story, 900);
	blocks(&story, STATE_SOCKET);
	happen(&story, LEDGER_WAKE);
	happen(&story, LEDGER_IN);
	runs(&story, 100);
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_RUNNING, 1000, 0);
	expect_total(&story, STATE_SOCKET, 0, 1);
}

/* A wait that began before the recording: kept apart until the thread can say why it was. */
static void test_unknown(void **state)
{
	struct story story = story_begin(*state, BLOCKED);

	passes(&story, 30 * MILLISECOND);
	happen(&story, LEDGER_WAKE);
	passes(&story, 100);
	happen(&story, LEDGER_IN);
	story_expect_closed(&story);
	assert_int_equal(told(&story)->unknown_ns, 30 * MILLISECOND);
	expect_total(&story, STATE_RUNQUEUE, 100, 0);
	story_add(&story, (struct ledger_event){.kind = LEDGER_TAKE, .state = STATE_CHILD});
	runs(&story, 7);
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	assert_int_equal(told(&story)->unknown_ns, 0);
	expect_total(&story, STATE_CHILD, 30 * MILLISECOND, 1);
	assert_int_equal(told(&story)->captured_ns[0][STATE_CHILD], 30 * MILLISECOND);
}

/* Seen on a CPU when its storage was made, and left it before that was known. */
static void test_leave_missed(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	passes(&story, 4000);
	happen(&story, LEDGER_WAKE);
	passes(&story, 1000);
	happen(&story, LEDGER_IN);
	story_expect_closed(&story);
	assert_int_equal(told(&story)->unknown_ns, 5000);
	expect_total(&story, STATE_RUNNING, 0, 0);
	story_add(&story, (struct ledger_event){.kind = LEDGER_TAKE, .state = STATE_FILE});
	runs(&story, 50);
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_FILE, 5000, 1);
	expect_total(&story, STATE_RUNNING, 50, 0);
}

/* A thread that began in the recording waits for its first CPU. */
static void test_new_thread(void **state)
{
	struct story story = story_begin(*state, RUNNABLE);

	passes(&story, 800);
	happen(&story, LEDGER_IN);
	runs(&story, 200);
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_RUNQUEUE, 800, 0);
	expect_total(&story, STATE_RUNNING, 200, 0);
}

/* The recording ends while the thread waits, and while it has been woken but not yet run. */
static void test_end_away(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	runs(&story, 10);
	blocks(&story, STATE_SLEEP);
	passes(&story, 25 * MILLISECOND);
	happen(&story, LEDGER_AWAY_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_SLEEP, 25 * MILLISECOND, 1);
	story = story_begin(*state, RUNNING);
	blocks(&story, STATE_SLEEP);
	passes(&story, 25 * MILLISECOND);
	happen(&story, LEDGER_WAKE);
	passes(&story, 3 * MILLISECOND);
	happen(&story, LEDGER_AWAY_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_SLEEP, 25 * MILLISECOND, 1);
	expect_total(&story, STATE_RUNQUEUE, 3 * MILLISECOND, 0);
}

/* Time on a CPU that the kernel does not count as executed was wanted, not had. */
static void test_stolen(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	runs(&story, 40 * MILLISECOND);
	passes(&story, 2 * MILLISECOND);
	happen(&story, LEDGER_OUT);
	happen(&story, LEDGER_IN);
	runs(&story, 1000000);
	passes(&story, 9000); /* two clocks that were not read at once */
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_RUNQUEUE, 2 * MILLISECOND, 0);
	expect_total(&story, STATE_RUNNING, 41 * MILLISECOND + 9000, 0);
}

/* The kernel's count runs ahead of the clock: never more time than there was. */
static void test_executed_ahead(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	story.executed += 5 * MILLISECOND;
	passes(&story, 4 * MILLISECOND);
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_RUNNING, 4 * MILLISECOND, 0);
}

/* The kernel counts a thread as running from when it was woken: as the process' own clock says. */
static void test_executed_since_wakeup(void **state)
{
	struct story story = story_begin(*state, RUNNING);

	waits(&story, STATE_SOCKET, 3000, 30000);
	story.executed += 25000;
	runs(&story, 7000);
	waits(&story, STATE_LOCK, 30000, 30000);
	story.executed += 45000; /* more than it waited for a CPU, */
	runs(&story, 7000);
	waits(&story, STATE_PIPE, 30000, 30000);
	story.executed += 75000; /* and more than it was away */
	runs(&story, 7000);
	happen(&story, LEDGER_OUT);
	passes(&story, 100);
	happen(&story, LEDGER_IN);
	runs(&story, 1000);
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_SOCKET, 3000, 1);
	expect_total(&story, STATE_LOCK, 15000, 1);
	expect_total(&story, STATE_PIPE, 0, 1);
	expect_total(&story, STATE_RUNQUEUE, 5000, 0);
	expect_total(&story, STATE_RUNNING, 25000 + 45000 + 60000 + 3 * 7000 + 1000 + 100, 0);
}

/* Small differences of the two clocks make up for one another, or add up to what was stolen. */
static void test_differences_add_up(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	int i;

	for (i = 0; i < 1000; i++) {
		runs(&story, 50000);
		passes(&story, 900);
		waits(&story, STATE_SOCKET, 3000, 1000);
		story.executed += i < 500 ? 900 : 0;
	}
	runs(&story, 50000);
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	assert_in_range(told(&story)->totals[STATE_RUNNING].ns, 1001ULL * 50000 + 450000 - 900,
			1001ULL * 50000 + 450000 + 10000);
}

/* A wait of the period or more is always captured, as long as it was. */
static void test_long_waits(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint64_t sum = 0;
	uint32_t i;

	/* So that none of the stretches in which short waits are captured begins with a long one. */
	waits(&story, STATE_SOCKET, PERIOD_NS * 2 / 5, 0);
	taken(&story, 0);
	for (i = 0; i < 300; i++) {
		uint64_t length = PERIOD_NS + (i % 7) * i * 12345;

		runs(&story, 1000);
		waits(&story, STATE_SOCKET, length, 0);
		taken(&story, 1);
		story_expect_closed(&story);
		sum += length;
		assert_int_equal(told(&story)->captures[1][STATE_SOCKET], i + 1);
		assert_int_equal(told(&story)->captured_length_ns[1][STATE_SOCKET], length);
		assert_int_equal(told(&story)->captured_ns[1][STATE_SOCKET], sum);
	}
	expect_total(&story, STATE_SOCKET, sum + PERIOD_NS * 2 / 5, 301);
	assert_int_equal(told(&story)->captures[1][STATE_RUNQUEUE], 0);
}

/* A number below `below` from a fixed sequence (xorshift). */
static uint64_t random_below(uint64_t *seed, uint64_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % below;
}

/*
 * A hundred thousand waits, most short, in all states: closed to the nanosecond, and of each state
 * the captured time is the true one, but for the one stretch of a period that is not yet full.
 */
static void test_captured_sum(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint64_t seed = 88172645463325252ULL, ns[STATE_COUNT] = {0}, counts[STATE_COUNT] = {0};
	uint32_t i, s;

	for (i = 0; i < 120000; i++) {
		uint64_t most = i % 50 ? PERIOD_NS / 10 : 3 * PERIOD_NS;
		uint64_t blocked = random_below(&seed, most), runnable = random_below(&seed, 50000);
		uint32_t wait = STATE_SOCKET + (uint32_t)random_below(&seed, STATE_COUNT - 2);

		runs(&story, random_below(&seed, 200000));
		waits(&story, wait, blocked, runnable);
		taken(&story, 0);
		ns[wait] += blocked;
		ns[STATE_RUNQUEUE] += runnable;
		counts[wait]++;
	}
	story_expect_closed(&story);
	for (s = STATE_RUNQUEUE; s < STATE_COUNT; s++) {
		int64_t error = (int64_t)(told(&story)->captured_ns[0][s] - ns[s]);

		expect_total(&story, s, ns[s], counts[s]);
		assert_true(ns[s] > 100 * PERIOD_NS);
		assert_in_range(error + (int64_t)PERIOD_NS, 0, 2 * PERIOD_NS);
	}
}

/*
 * Two functions take turns in step with the period, ten waits a period, the first of them always
 * the one's: captured at equal distances the one would have all or nothing. Random points give it
 * its tenth, within six standard deviations of as many independent draws as there are periods.
 */
static void test_captured_shares(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint64_t each = PERIOD_NS / 10, sum;
	double periods = 10000, expected = periods / 10, deviation = sqrt(periods * 0.1 * 0.9);
	uint32_t i;

	for (i = 0; i < 10 * (uint32_t)periods; i++) {
		runs(&story, 1000);
		waits(&story, STATE_PIPE, each, 0);
		taken(&story, i % 10 ? 1 : 0);
	}
	story_expect_closed(&story);
	sum = told(&story)->captured_ns[0][STATE_PIPE] + told(&story)->captured_ns[1][STATE_PIPE];
	assert_int_equal(sum, 10 * (uint64_t)periods * each);
	assert_true(fabs((double)told(&story)->captures[0][STATE_PIPE] - expected) < 6 * deviation);
	assert_int_equal(told(&story)->captured_length_ns[0][STATE_PIPE], each);
}

/*
 * Waits of one length that does not divide the period, of which each tenth is another function's:
 * by number, by time and by what is captured it has a tenth.
 */
static void test_captured_by_length(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint64_t seed = 2463534242ULL, ns[LEDGER_GROUPS] = {0}, all = 0;
	uint32_t i, group;

	for (i = 0; i < 100000; i++) {
		uint64_t length = 1 + random_below(&seed, PERIOD_NS / 20);

		group = (uint32_t)random_below(&seed, LEDGER_GROUPS);
		length = length * (group + 1) / LEDGER_GROUPS;
		runs(&story, 500);
		waits(&story, STATE_FILE, length, 0);
		taken(&story, group);
		ns[group] += length;
		all += length;
	}
	story_expect_closed(&story);
	for (group = 0; group < LEDGER_GROUPS; group++) {
		double share = (double)ns[group] / (double)all;
		double deviation = sqrt((double)all / PERIOD_NS * share * (1 - share)) * PERIOD_NS;
		double error =
			(double)told(&story)->captured_ns[group][STATE_FILE] - (double)ns[group];

		assert_true(fabs(error) < 6 * deviation + PERIOD_NS);
	}
}

/* A period of time on the run queue is captured as waits are. */
static void test_captured_runqueue(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint32_t i;

	for (i = 0; i < 20000; i++) {
		runs(&story, 3000);
		happen(&story, LEDGER_OUT);
		passes(&story, i % 100 ? 40000 : 2 * PERIOD_NS);
		happen(&story, LEDGER_IN);
		taken(&story, i % 100 ? 0 : 1);
	}
	story_expect_closed(&story);
	assert_int_equal(told(&story)->captured_ns[1][STATE_RUNQUEUE], 200 * 2 * PERIOD_NS);
	assert_in_range(told(&story)->captured_ns[0][STATE_RUNQUEUE] + PERIOD_NS, 19800ULL * 40000,
			19800ULL * 40000 + 2 * PERIOD_NS);
}

/* A part of a wait for the GIL: asked for with this deadline, and given up or got. */
static void gil_part(struct story *story, uint64_t deadline[2], uint64_t timeout, uint64_t blocked,
		     uint64_t runnable)
{
	uint64_t ends = story->now + timeout;

	deadline[0] = ends / 1000000000;
	deadline[1] = ends % 1000000000;
	blocks(story, STATE_GIL);
	story_add(story,
		  (struct ledger_event){.kind = LEDGER_GIL_WAIT, .value = (uint64_t)deadline});
	passes(story, blocked);
	happen(story, LEDGER_WAKE);
	passes(story, runnable);
	happen(story, LEDGER_IN);
	story_flush(story);
}

/* Twenty time-outs of 5 ms after one another are one wait; the next time is another. */
static void test_gil_continued(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint64_t deadline[2];
	int i;

	runs(&story, 1000);
	for (i = 0; i < 20; i++) {
		gil_part(&story, deadline, 5 * MILLISECOND, 5 * MILLISECOND + 60000, 5000);
		assert_int_equal(told(&story)->continued, i > 0);
		runs(&story, 8000);
	}
	gil_part(&story, deadline, 5 * MILLISECOND, 2 * MILLISECOND, 5000);
	story_expect_closed(&story);
	expect_total(&story, STATE_GIL, 20 * (5 * MILLISECOND + 60000) + 2 * MILLISECOND, 1);
	/* It was got, and is wanted again soon: another wait. */
	runs(&story, 20000);
	gil_part(&story, deadline, 5 * MILLISECOND, 5 * MILLISECOND + 60000, 5000);
	story_expect_closed(&story);
	assert_int_equal(told(&story)->totals[STATE_GIL].waits, 2);
	/* The time ran out and it was got all the same: after a while of work, another wait. */
	runs(&story, 3 * MILLISECOND);
	gil_part(&story, deadline, 5 * MILLISECOND, MILLISECOND, 0);
	story_expect_closed(&story);
	assert_int_equal(told(&story)->totals[STATE_GIL].waits, 3);
}

/* A wait of another kind in between ends the wait for the GIL. */
static void test_gil_interrupted(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint64_t deadline[2];

	gil_part(&story, deadline, 5 * MILLISECOND, 5 * MILLISECOND + 1, 0);
	runs(&story, 2000);
	waits(&story, STATE_LOCK, 3000, 0);
	runs(&story, 2000);
	gil_part(&story, deadline, 5 * MILLISECOND, 5 * MILLISECOND + 1, 0);
	story_expect_closed(&story);
	assert_int_equal(told(&story)->totals[STATE_GIL].waits, 2);
	assert_int_equal(told(&story)->totals[STATE_LOCK].waits, 1);
}

/* Where all CPUs are busy the thread comes back late to ask again: still the same wait. */
static void test_gil_crowded(void **state)
{
	struct story story = story_begin(*state, RUNNING);
	uint64_t deadline[2];
	int i;

	for (i = 0; i < 10; i++) {
		gil_part(&story, deadline, 5 * MILLISECOND, 5 * MILLISECOND + 60000,
			 4 * MILLISECOND);
		runs(&story, 8000);
	}
	happen(&story, LEDGER_RUN_END);
	story_expect_closed(&story);
	expect_total(&story, STATE_GIL, 10 * (5 * MILLISECOND + 60000), 1);
	assert_int_equal(told(&story)->totals[STATE_RUNQUEUE].ns, 40 * MILLISECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_wake_missed),
		cmocka_unit_test(test_wake_repeated),
		cmocka_unit_test(test_wake_early),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_leave_missed),
		cmocka_unit_test(test_new_thread),
		cmocka_unit_test(test_end_away),
		cmocka_unit_test(test_stolen),
		cmocka_unit_test(test_executed_ahead),
		cmocka_unit_test(test_executed_since_wakeup),
		cmocka_unit_test(test_differences_add_up),
		cmocka_unit_test(test_long_waits),
		cmocka_unit_test(test_captured_sum),
		cmocka_unit_test(test_captured_shares),
		cmocka_unit_test(test_captured_by_length),
		cmocka_unit_test(test_captured_runqueue),
		cmocka_unit_test(test_gil_continued),
		cmocka_unit_test(test_gil_interrupted),
		cmocka_unit_test(test_gil_crowded),
	};

	return cmocka_run_group_tests(tests, run_set_up_own, run_tear_down);
}
