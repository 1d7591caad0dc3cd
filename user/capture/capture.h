/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a capture from its first program to its last record, in the order in which its parts must
 * be opened, begun and ended: what the commands that look at living processes have in common.
 * Leaves what is made of the profile to them.
 */
#ifndef PYEBPF_CAPTURE_H
#define PYEBPF_CAPTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture/mapping_events.h"
#include "capture/recorder.h"
#include "capture/scope.h"
#include "capture/session.h"
#include "capture/targets.h"
#include "error.h"
#include "profile/profile.h"

struct capture_options {
	uint32_t rate_hz;
	bool native;       /* take native stacks too */
	bool native_lines; /* and name their source lines */
	bool memory;       /* sample the growth of resident memory */
	bool untouched;    /* put no probes into the targets, at a higher price of each sample */
	int argc;          /* of the command, for the profile's facts */
	char **argv;
};

/* The parts are for reading and for their own functions; only capture_open() sets them. */
struct capture {
	struct profile *profile;
	struct recorder *recorder;
	struct session *session;
	struct modules *modules;   /* NULL without native stacks */
	struct unwinder *unwinder; /* the same */
	struct targets *targets;
	struct mapping_events *mapping_events; /* NULL where processes do not come by themselves */
	const struct scope *scope;
	pthread_t preparer; /* what capture_end() needs is loaded beside the recording */
	bool preparing;
	int prepare_result;
	struct error prepare_error;
	uint64_t opened_ns;
	uint64_t start_ns; /* of the recording, CLOCK_MONOTONIC */
};

/*
 * Loads the programs. `scope` is opened, and outlives the capture. *capture must be all zero, and
 * is to be given to capture_close() even after an error. Errors as session_open().
 */
int capture_open(struct capture *capture, const struct capture_options *options,
		 const struct scope *scope, struct error *error);

/* Takes on the scope's processes. Returns 0 or -errno with a sentence. */
int capture_take(struct capture *capture, struct error *error);

/* Begins to record them. Returns 0 or -errno with a sentence. */
int capture_begin(struct capture *capture, struct error *error);

/*
 * Begins to load what capture_end() needs, which takes the kernel a tenth of a second, and makes the
 * first unwind tables. To follow capture_begin(). Returns 0 or -errno with a sentence.
 */
int capture_prepare(struct capture *capture, struct error *error);

/*
 * Waits for records for at most `timeout_ms`, or until one of `count` descriptors is readable, and
 * handles what has come. Returns a descriptor that is readable, or -1.
 */
int capture_wait(struct capture *capture, const int *descriptors, uint32_t count, int timeout_ms);

/* Ends the recording; the profile is complete then. Returns 0 or -errno with a sentence. */
int capture_end(struct capture *capture, struct error *error);

void capture_close(struct capture *capture);

#endif
