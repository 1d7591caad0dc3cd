/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the order of a capture's parts; see capture.h. */
#include "capture/capture.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>

#include "capture/facts.h"
#include "capture/unwinder.h"
#include "clock.h"
#include "profile/narrow.h"

#define DESCRIPTORS_MAX 4
/* Unwind tables come before what ends a recording is loaded, which takes longer. */
#define NATIVE_FIRST_MS 500

/* Each file with native code is held open, and there may be hundreds. */
static void descriptors_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int native_open(struct capture *capture, bool lines)
{
	const struct unwind_maps maps = session_unwind_maps(capture->session);

	descriptors_allow();
	capture->modules = modules_new();
	if (!capture->modules)
		return -ENOMEM;
	capture->unwinder = unwinder_new(&maps, capture->modules);
	if (!capture->unwinder)
		return -ENOMEM;
	return recorder_use_native(capture->recorder, capture->modules, capture->unwinder, lines);
}

static struct session_options session_options_make(const struct capture_options *options,
						   const struct scope *scope)
{
	return (struct session_options){
		.rate_hz = options->rate_hz,
		.native = options->native,
		.memory = options->memory,
		.untouched = options->untouched,
		.many = scope_follows(scope),
		.follow = scope_kind(scope),
		.cgroup = scope->cgroup.id,
		.hierarchy = scope->cgroup.hierarchy,
		.handler = recorder_handle,
	};
}

static void python_mapped(void *context, pid_t pid)
{
	targets_notice_python(context, pid);
}

/* Has the capture learn of processes that come by themselves. */
static int capture_follow(struct capture *capture)
{
	int result = targets_follow(capture->targets, scope_kind(capture->scope));

	if (result)
		return result;
	return mapping_events_new(python_mapped, capture->targets, &capture->mapping_events);
}

int capture_open(struct capture *capture, const struct capture_options *options,
		 const struct scope *scope, struct error *error)
{
	struct session_options session = session_options_make(options, scope);
	int result;

	capture->scope = scope;
	capture->opened_ns = clock_now_ns();
	capture->profile = profile_new();
	if (!capture->profile)
		goto no_memory;
	if (facts_begin(capture->profile, options->argc, options->argv, session.rate_hz))
		goto no_memory;
	capture->recorder = recorder_new(capture->profile);
	if (!capture->recorder)
		goto no_memory;
	session.context = capture->recorder;
	result = session_open(&session, &capture->session, error);
	if (result)
		return result;
	recorder_name_kernel(capture->recorder, session_name_address, capture->session);
	if (session.native && native_open(capture, options->native_lines))
		goto no_memory;
	capture->targets = targets_new(capture->profile, capture->recorder, capture->session,
				       capture->unwinder);
	if (!capture->targets)
		goto no_memory;
	result = scope_follows(scope) ? capture_follow(capture) : 0;
	if (result)
		error_set(error, result, "cannot learn of new processes: %s", strerror(-result));
	return result;
no_memory:
	return error_set(error, -ENOMEM, "no memory");
}

int capture_take(struct capture *capture, struct error *error)
{
	return scope_take(capture->scope, capture->targets, error);
}

int capture_begin(struct capture *capture, struct error *error)
{
	int result;

	capture->start_ns = clock_now_ns();
	result = targets_begin(capture->targets, error);
	if (!result)
		result = session_start(capture->session, error);
	if (!result)
		result = targets_check(capture->targets, error);
	if (!result)
		result = session_enroll(capture->session, error);
	if (result || !scope_follows(capture->scope))
		return result;
	result = scope_take_others(capture->scope, capture->targets);
	if (result < 0)
		return error_set(error, result, "cannot list processes: %s", strerror(-result));
	targets_poll(capture->targets);
	return 0;
}

/* Handles what has come from the kernel. */
static void capture_handle(struct capture *capture)
{
	session_consume(capture->session);
	mapping_events_consume(capture->mapping_events);
	if (targets_take_entered(capture->targets))
		scope_take_others(capture->scope, capture->targets);
	targets_poll(capture->targets);
}

/* In a thread, so that what befalls processes meanwhile is seen. */
static void *finish_prepare(void *context)
{
	struct capture *capture = context;

	capture->prepare_result = session_prepare_finish(capture->session, &capture->prepare_error);
	return NULL;
}

/* Waits for it. Returns its result. */
static int finish_await(struct capture *capture, struct error *error)
{
	if (capture->preparing)
		pthread_join(capture->preparer, NULL);
	capture->preparing = false;
	if (capture->prepare_result)
		*error = capture->prepare_error;
	return capture->prepare_result;
}

int capture_prepare(struct capture *capture, struct error *error)
{
	uint64_t deadline = clock_now_ns() + NATIVE_FIRST_MS * 1000000ULL;
	int result;

	while (capture->unwinder && unwinder_poll(capture->unwinder) && clock_now_ns() < deadline)
		capture_handle(capture);
	result = pthread_create(&capture->preparer, NULL, finish_prepare, capture);
	if (result)
		return error_set(error, -result, "cannot start a thread: %s", strerror(result));
	capture->preparing = true;
	return 0;
}

/* Milliseconds until something is to be done, at most `timeout`. */
static int wait_length(const struct capture *capture, int timeout)
{
	int targets = targets_poll_timeout(capture->targets);

	if (capture->unwinder && unwinder_pending(capture->unwinder))
		return 0;
	return targets >= 0 && targets < timeout ? targets : timeout;
}

int capture_wait(struct capture *capture, const int *descriptors, uint32_t count, int timeout_ms)
{
	struct pollfd waited[DESCRIPTORS_MAX + 2];
	uint32_t i;

	if (count > DESCRIPTORS_MAX)
		count = DESCRIPTORS_MAX;
	for (i = 0; i < count; i++)
		waited[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
	waited[count] =
		(struct pollfd){.fd = session_descriptor(capture->session), .events = POLLIN};
	waited[count + 1] = (struct pollfd){
		.fd = mapping_events_descriptor(capture->mapping_events), .events = POLLIN};
	if (poll(waited, count + 2, wait_length(capture, timeout_ms)) < 0)
		memset(waited, 0, sizeof(waited));
	capture_handle(capture);
	if (capture->unwinder)
		unwinder_poll(capture->unwinder);
	for (i = 0; i < count; i++)
		if (waited[i].revents)
			return waited[i].fd;
	return -1;
}

/* Takes out of the profile what turned out to be no Python. */
static int capture_leave_out(struct capture *capture, struct error *error)
{
	struct narrowing narrowing = {0};
	struct profile *narrowed;
	int result;

	narrowing.left_out = recorder_left_out(capture->recorder, &narrowing.left_out_count);
	if (!narrowing.left_out)
		return 0;
	result = profile_narrow(capture->profile, &narrowing, &narrowed, error);
	if (result)
		return result;
	profile_free(capture->profile);
	capture->profile = narrowed;
	return 0;
}

int capture_end(struct capture *capture, struct error *error)
{
	struct profile *profile = capture->profile;
	uint64_t end_ns = clock_now_ns();
	int result = finish_await(capture, error);

	if (!result)
		result = session_finish(capture->session, error);
	if (result)
		return result;
	targets_finish(capture->targets);
	session_count_losses(capture->session, profile->facts.lost);
	profile->facts.lost[LOSS_MAPPING] += mapping_events_lost(capture->mapping_events);
	result = profile_string(profile, session_wait_hook(capture->session),
				&profile->facts.wait_hook);
	if (!result)
		result = recorder_finish(capture->recorder, capture->start_ns);
	if (result)
		return error_set(error, result, "no memory for the profile");
	result = capture_leave_out(capture, error);
	if (result)
		return result;
	profile = capture->profile;
	facts_end(profile, capture->start_ns, end_ns);
	if (capture->unwinder)
		facts_add_tables(profile, capture->unwinder, capture->opened_ns);
	return 0;
}

void capture_close(struct capture *capture)
{
	struct error unused;

	finish_await(capture, &unused);
	mapping_events_free(capture->mapping_events);
	targets_free(capture->targets);
	unwinder_free(capture->unwinder);
	session_close(capture->session);
	recorder_free(capture->recorder);
	modules_free(capture->modules);
	profile_free(capture->profile);
}
