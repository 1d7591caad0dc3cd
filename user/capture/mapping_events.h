/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the kernel's reports of files that processes map as code: by them a program is noticed that
 * loads a libpython late. Leaves what is done then to targets.h.
 */
#ifndef PYEBPF_MAPPING_EVENTS_H
#define PYEBPF_MAPPING_EVENTS_H

#include <stdint.h>
#include <sys/types.h>

struct mapping_events;

/* A process has mapped a file whose name speaks of Python (image_is_named()); once for each mapping. */
typedef void python_mapped_handler(void *context, pid_t pid);

/*
 * Begins to listen, on all CPUs. To be released by mapping_events_free(). Returns 0, -ENOMEM or
 * another -errno of perf_event_open(2).
 */
int mapping_events_new(python_mapped_handler *handler, void *context,
		       struct mapping_events **events);
void mapping_events_free(struct mapping_events *events);

/* Hands over what has come. NULL: nothing is done. */
void mapping_events_consume(struct mapping_events *events);

/* Readable when something has come; -1 for NULL. */
int mapping_events_descriptor(const struct mapping_events *events);

/* Reports that found no room. */
uint64_t mapping_events_lost(const struct mapping_events *events);

#endif
