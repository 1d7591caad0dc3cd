/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the endless capture; see watch.h. */
#include "live/watch.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "clock.h"
#include "python/text.h"

/* What the capture's profile may have come to before it is begun anew. */
#define STACK_FRAMES_MAX 1000000 /* these alone: 4 bytes each */
#define STACKS_MAX       50000
#define STRINGS_MAX      100000
#define LOCATIONS_MAX    100000
#define PROCESSES_MAX    20000  /* each is in every window */
#define SAMPLES_MAX      200000 /* that differ, in one window */

/* A name as the kernel keeps it, as a string of the capture's profile. */
static uint32_t name_add(struct profile *profile, const char comm[COMM_SIZE])
{
	uint32_t id = 0;
	char *text;

	if (text_from_bytes(comm, strnlen(comm, COMM_SIZE), &text))
		return 0;
	if (profile_string(profile, text, &id))
		id = 0;
	free(text);
	return id;
}

static bool sample_watch(void *context, const struct sample_record *record,
			 const struct profile_key *key)
{
	struct watch *watch = context;
	const struct live_sample sample = {
		.key = *key,
		.time_ns = record->time_ns,
		.ns = record->ns,
		.length_ns = record->state == STATE_RUNNING ? 0 : record->length_ns,
		.runqueue_ns = record->runqueue_ns,
		.runqueue_length_ns = record->runqueue_length_ns,
		.look = record->flags & SAMPLE_LOOK,
	};

	if (record->state == STATE_RUNNING) {
		watch->running_ns += record->ns;
		watch->gil_ns += record->flags & SAMPLE_HOLDS_GIL ? record->ns : 0;
	}
	/* A look that met a thread on its way back says nothing that its sample does not. */
	if (sample.look && record->flags & SAMPLE_UNREAD)
		return true;
	if (sample.ns || sample.runqueue_ns)
		live_add_sample(watch->live, &sample);
	return true;
}

static void thread_watch(void *context, const struct thread_record *record, uint32_t process)
{
	struct watch *watch = context;
	struct live_ledger ledger = {
		.process = process,
		.tid = record->tid,
		.name = name_add(watch->capture.profile, record->comm),
		.start_ns = record->start_ns,
		.end_ns = record->end_ns,
		.still_away = record->still_away,
	};
	int state;

	for (state = 0; state < STATE_COUNT; state++)
		ledger.ns[state] = record->totals[state].ns;
	live_add_ledger(watch->live, &ledger);
}

static int capture_start(struct watch *watch, struct error *error)
{
	int result = capture_open(&watch->capture, &watch->options, &watch->scope, error);

	if (!result) {
		recorder_watch(watch->capture.recorder, sample_watch, thread_watch, watch);
		result = capture_take(&watch->capture, error);
	}
	if (result)
		return result;
	watch->live = live_new(watch->capture.profile, clock_now_ns());
	if (!watch->live)
		return error_set(error, -ENOMEM, "no memory");
	session_keep_looks(watch->capture.session, clock_now_ns());
	result = capture_begin(&watch->capture, error);
	return result ? result : session_prepare_look(watch->capture.session, error);
}

static void capture_stop(struct watch *watch)
{
	live_free(watch->live);
	watch->live = NULL;
	capture_close(&watch->capture);
	memset(&watch->capture, 0, sizeof(watch->capture));
}

int watch_open(struct watch *watch, const struct capture_options *options,
	       const struct scope *scope, struct error *error)
{
	watch->options = *options;
	watch->scope = *scope;
	return capture_start(watch, error);
}

void watch_close(struct watch *watch)
{
	capture_stop(watch);
}

uint64_t watch_count(const struct watch *watch, uint64_t lost[LOSS_COUNT])
{
	const struct profile *profile = watch->capture.profile;
	uint32_t reason;

	for (reason = 0; reason < LOSS_COUNT; reason++)
		lost[reason] = watch->lost[reason] + (profile ? profile->facts.lost[reason] : 0);
	if (watch->capture.session)
		session_count_losses(watch->capture.session, lost);
	return watch->samples +
	       (watch->capture.recorder ? recorder_samples(watch->capture.recorder) : 0);
}

static bool profile_is_full(const struct profile *profile)
{
	return profile->string_count > STRINGS_MAX || profile->location_count > LOCATIONS_MAX ||
	       profile->process_count > PROCESSES_MAX;
}

/*
 * Forgets what was interned for windows that are over. Stacks alone as a rule; where a program makes
 * ever new names (of code, of files), all, with a gap of some tenths of a second.
 */
static int watch_forget(struct watch *watch, struct error *error)
{
	struct profile *profile = watch->capture.profile;
	const struct profile_stack *last;

	if (profile_is_full(profile)) {
		watch->samples = watch_count(watch, watch->lost);
		capture_stop(watch);
		malloc_trim(0);
		/* A process that has ended meanwhile is no failure while others are left. */
		watch->scope.lenient = true;
		return capture_start(watch, error);
	}
	if (!profile->stack_count)
		return 0;
	last = &profile->stacks[profile->stack_count - 1];
	if (profile->stack_count > STACKS_MAX || last->first + last->depth > STACK_FRAMES_MAX) {
		live_forget_stacks(watch->live);
		profile_forget_stacks(profile);
		session_keep_looks(watch->capture.session, clock_now_ns());
	}
	return 0;
}

int watch_look(struct watch *watch, struct profile **window, struct error *error)
{
	int result;

	session_consume(watch->capture.session);
	targets_finish(watch->capture.targets);
	live_look_begin(watch->live);
	result = session_look(watch->capture.session);
	if (result)
		error_set(error, result, "cannot look at the threads: %s", strerror(-result));
	if (live_look_end(watch->live, clock_now_ns(), window) && !result)
		result = error_set(error, -ENOMEM, "no memory");
	watch->gil_share =
		watch->running_ns ? (double)watch->gil_ns / (double)watch->running_ns : 0;
	watch->running_ns = watch->gil_ns = 0;
	if (!result)
		result = watch_forget(watch, error);
	if (result) {
		profile_free(*window);
		*window = NULL;
	}
	return result;
}

bool watch_is_full(const struct watch *watch)
{
	return live_pending(watch->live) > SAMPLES_MAX;
}
