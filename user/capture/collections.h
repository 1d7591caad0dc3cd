/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how the garbage collections of a process are seen: by the probes that its interpreter was
 * built with, else by probes on the function that collects, where its symbol is there and they are
 * cheap, else by the interpreter's flag at each sample and its own counters. Leaves the probes to
 * bpf/gc.bpf.c.
 */
#ifndef PYEBPF_COLLECTIONS_H
#define PYEBPF_COLLECTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/session.h"
#include "profile/profile.h"
#include "python/interpreter.h"
#include "target/process.h"

/* What the interpreters of a process have counted themselves since they began. */
struct collection_counters {
	uint64_t newest; /* address of the first in the list of interpreters */
	uint32_t interpreters;
	uint64_t collections[GC_GENERATIONS];
	double seconds; /* from 3.15 on */
};

/* How one process is watched. Zeroed: not at all. */
struct collection_watch {
	enum gc_source source;
	struct python_layout layout;
	uint64_t runtime;
	bool counted; /* `before` could be read */
	struct collection_counters before;
};

/*
 * Begins to watch, and to count what the interpreter counts. Not being able to is no failure. The
 * probes of threads that are not enrolled do not count.
 */
void collections_watch(struct session *session, const struct process *process,
		       const struct interpreter *interpreter, struct collection_watch *watch);

/* Begins anew to count what the interpreter counts: the recording begins now. */
void collections_begin(const struct process *process, struct collection_watch *watch);

/*
 * Fills in what was counted since, as far as it is known; of a process that has ended, what its
 * probes have told.
 */
void collections_read(const struct session *session, const struct process *process,
		      const struct collection_watch *watch, struct profile_gc *gc);

#endif
