/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the way from records of the kernel to a profile: decodes them, names what they hold, and
 * adds them up. Leaves where records come from to session.h, the arithmetic to profile/estimate.h.
 */
#ifndef PYEBPF_RECORDER_H
#define PYEBPF_RECORDER_H

#include <stdint.h>

#include "capture/kernel_stack.h"
#include "capture/unwinder.h"
#include "profile/profile.h"
#include "record.h"

struct recorder;

/* The recorder fills the profile, which must outlive it. NULL: no memory. */
struct recorder *recorder_new(struct profile *profile);

/* Says how kernel addresses get their names; without this they are `[kernel]`. */
void recorder_name_kernel(struct recorder *recorder, kernel_namer *namer, void *context);

/*
 * Says that samples have native frames, of files in `modules`, and whether source lines are wanted.
 * `unwinder` knows which file an interpreter is. Both must outlive the recorder. 0 or -ENOMEM.
 */
int recorder_use_native(struct recorder *recorder, const struct modules *modules,
			struct unwinder *unwinder, bool lines);

void recorder_free(struct recorder *recorder);

/* What the recorder must know of a process. */
struct recorder_process {
	const struct process *process;
	uint32_t index;                     /* struct record.process */
	uint32_t number;                    /* in profile->processes */
	const struct python_layout *layout; /* of the interpreter; version 0 without */
	uint64_t text_start;                /* where the interpreter's instructions lie; 0: none */
};

/* Adds a process, or what has become of it under the same index. Returns 0 or -ENOMEM. */
int recorder_add_process(struct recorder *recorder, const struct recorder_process *process);

/*
 * Takes a record, whatever it is (a record_handler). Invalid ones are counted as lost; no memory
 * is remembered for recorder_finish().
 */
void recorder_handle(void *recorder, const void *record, size_t bytes);

/*
 * Called with each sample once it has its names: `key` is that of struct profile_sample. True: it
 * is not added to the profile. Threads' ledgers go to the other one, if it is not NULL, and not to
 * the profile.
 */
typedef bool recorder_sample_watcher(void *context, const struct sample_record *sample,
				     const struct profile_key *key);
typedef void recorder_thread_watcher(void *context, const struct thread_record *thread,
				     uint32_t process);
void recorder_watch(struct recorder *recorder, recorder_sample_watcher *samples,
		    recorder_thread_watcher *threads, void *context);

/* Samples taken until now. */
uint64_t recorder_samples(const struct recorder *recorder);

/*
 * Settles all values. `start_ns` is when the recording began (CLOCK_MONOTONIC), and becomes the
 * threads' time 0. Returns 0 or -ENOMEM.
 */
int recorder_finish(struct recorder *recorder, uint64_t start_ns);

/* A process has ended: it is forgotten once records that are on their way have come. */
void recorder_remove_process(struct recorder *recorder, uint32_t index);

/* Has nothing of a process, by its number in profile->processes, in the profile. */
void recorder_leave_out(struct recorder *recorder, uint32_t number);

/* By process of the profile: those that are left out. NULL: none is. */
const bool *recorder_left_out(const struct recorder *recorder, uint32_t *count);

/* Called with each record that tells of a process: it has begun, runs another program, has ended. */
typedef void recorder_event(void *context, const struct process_record *record);
void recorder_on_event(struct recorder *recorder, recorder_event *event, void *context);

#endif
