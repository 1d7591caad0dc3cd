/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how the garbage collections of a process are seen: by the probes that its interpreter was
 * built with, else by the interpreter's flag at each sample and its own counters. Leaves the probes
 * to bpf/gc.bpf.c.
 */
#ifndef PYEBPF_COLLECTIONS_H
#define PYEBPF_COLLECTIONS_H

#include <stdint.h>

#include "capture/session.h"
#include "profile/profile.h"
#include "python/interpreter.h"
#include "target/process.h"

/* How one process is watched. Zeroed: not at all. */
struct collection_watch {
	enum gc_source source;
	uint64_t counters; /* address of the interpreter's own; 0: not known */
	uint64_t before[GC_GENERATIONS];
};

/* Begins to watch. Not being able to is no failure. */
void collections_watch(struct session *session, const struct process *process,
		       const struct interpreter *interpreter, struct collection_watch *watch);

/*
 * Fills in what was counted since, as far as it is known; of a process that has ended, what its
 * probes have told.
 */
void collections_read(const struct session *session, const struct process *process,
		      const struct collection_watch *watch, struct profile_gc *gc);

#endif
