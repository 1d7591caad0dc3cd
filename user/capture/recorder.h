/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the way from records of the kernel to a profile: decodes them, names what they hold, and
 * adds them up. Leaves where records come from to session.h, the arithmetic to profile/estimate.h.
 */
#ifndef PYEBPF_RECORDER_H
#define PYEBPF_RECORDER_H

#include <stdint.h>

#include "capture/kernel_stack.h"
#include "profile/profile.h"
#include "record.h"

struct recorder;

/* The recorder fills the profile, which must outlive it. NULL: no memory. */
struct recorder *recorder_new(struct profile *profile);

/* Says how kernel addresses get their names; without this they are `[kernel]`. */
void recorder_name_kernel(struct recorder *recorder, kernel_namer *namer, void *context);

void recorder_free(struct recorder *recorder);

/*
 * Says that records of process number `index` (struct record.process) belong to
 * profile->processes[process], and how the interpreter's line tables are to be read.
 */
int recorder_add_process(struct recorder *recorder, uint32_t index, uint32_t process,
			 uint32_t line_format);

/*
 * Takes a record, whatever it is (a record_handler). Invalid ones are counted as lost; no memory
 * is remembered for recorder_finish().
 */
void recorder_handle(void *recorder, const void *record, size_t bytes);

/* Samples taken until now. */
uint64_t recorder_samples(const struct recorder *recorder);

/*
 * Settles all values. `start_ns` is when the recording began (CLOCK_MONOTONIC), and becomes the
 * threads' time 0. Returns 0 or -ENOMEM.
 */
int recorder_finish(struct recorder *recorder, uint64_t start_ns);

/* Called with the process' number when one runs another program, or has ended. */
typedef void recorder_event(void *context, uint32_t kind, uint32_t pid, uint32_t index);
void recorder_on_event(struct recorder *recorder, recorder_event *event, void *context);

#endif
