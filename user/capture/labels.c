/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the words that samples are told apart by; see labels.h. */
#include "capture/labels.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/file_path.h"
#include "capture/target_name.h"
#include "profile/library.h"
#include "python/text.h"
#include "target/process.h"

static int label_bytes(struct profile *profile, const char *bytes, size_t size, uint32_t *id)
{
	char *text;
	int error = text_from_bytes(bytes, size, &text);

	if (error)
		return error;
	error = profile_string(profile, text, id);
	free(text);
	return error;
}

int label_thread(struct profile *profile, const char comm[COMM_SIZE], uint32_t *id)
{
	return label_bytes(profile, comm, strnlen(comm, COMM_SIZE), id);
}

static bool target_is_server(const struct labels *labels, const struct sample_record *sample)
{
	const struct wait_target *target = &sample->target;

	return (target->kind == TARGET_INET || target->kind == TARGET_INET6) &&
	       listeners_hold(labels->listeners, sample->head.pid, target->local_port);
}

int label_target(const struct labels *labels, const struct sample_record *sample, uint32_t *label)
{
	char name[TARGET_NAME_SIZE], path[PROCESS_PATH_SIZE];

	if (!file_path_find(sample, path, sizeof(path)))
		return label_bytes(labels->profile, path, strlen(path), label);
	if (!target_name(&sample->target, target_is_server(labels, sample), name))
		return 0;
	return profile_string(labels->profile, name, label);
}

static int frame_function(const struct labels *labels, const struct sample_record *sample,
			  const struct python_frame *frame,
			  const struct profile_function **function)
{
	const struct profile *profile = labels->profile;
	uint32_t location;
	int error = codes_locate(labels->codes, sample->head.process, frame, &location);

	if (!error)
		*function = &profile->functions[profile->locations[location].function];
	return error;
}

int label_frame(const struct labels *labels, const struct sample_record *sample,
		const struct python_frame *frame, uint32_t *label)
{
	const struct profile *profile = labels->profile;
	const struct profile_function *function;
	char *text;
	int error;

	*label = 0;
	if (!frame->code)
		return 0;
	error = frame_function(labels, sample, frame, &function);
	if (error)
		return error;
	if (asprintf(&text, "%s (%s:%" PRId32 ")", profile->strings[function->name],
		     profile->strings[function->filename], function->start_line) < 0)
		return -ENOMEM;
	error = profile_string(labels->profile, text, label);
	free(text);
	return error;
}

/*
 * The waker's function: the innermost one that is not a library's, for it is threading's and
 * queue's functions that all wake by; else the innermost one.
 */
static int waker_frame_choose(const struct labels *labels, const struct sample_record *sample,
			      const struct python_frame **frame)
{
	const struct python_frame *frames = sample->waker.frames;
	const struct profile_function *function;
	uint32_t at;
	int error;

	*frame = frames;
	for (at = 0; at < WAKER_FRAMES_MAX && frames[at].code; at++) {
		error = frame_function(labels, sample, &frames[at], &function);
		if (error)
			return error;
		if (!file_is_library(labels->profile->strings[function->filename])) {
			*frame = &frames[at];
			return 0;
		}
	}
	return 0;
}

int label_waker(const struct labels *labels, const struct sample_record *sample, uint32_t *label)
{
	const struct thread_waker *waker = &sample->waker;
	const struct python_frame *frame;
	char text[COMM_SIZE + 32];
	int error;

	*label = 0;
	if (!waker->tid)
		return 0;
	error = waker_frame_choose(labels, sample, &frame);
	if (error || frame->code)
		return error ? error : label_frame(labels, sample, frame, label);
	snprintf(text, sizeof(text), "%.*s (%s %" PRIu32 ")", COMM_SIZE, waker->comm,
		 waker->pid == sample->head.pid ? "thread" : "process",
		 waker->pid == sample->head.pid ? waker->tid : waker->pid);
	return profile_string(labels->profile, text, label);
}
