/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the kernel side needs to walk native stacks: for each recorded process the list of its
 * executable ranges, for each file in them an unwind table. Both are made bit by bit while the
 * recording runs; until then stacks end where a table is missing, which is counted. Leaves files to
 * native/modules.h, making tables to native/unwind_table.h.
 */
#ifndef PYEBPF_UNWINDER_H
#define PYEBPF_UNWINDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/unwind_maps.h"
#include "native/modules.h"
#include "target/process.h"

struct unwinder;

/* What *maps names and the modules must outlive it. NULL: no memory. */
struct unwinder *unwinder_new(const struct unwind_maps *maps, struct modules *modules);
void unwinder_free(struct unwinder *unwinder);

/* Takes a process on; *process is copied, but must not be closed before. 0 or -ENOMEM. */
int unwinder_add(struct unwinder *unwinder, const struct process *process);

/*
 * The same of a process that has just been forked from `parent`, and maps what that maps: the kernel
 * side has given it the parent's ranges.
 */
int unwinder_fork(struct unwinder *unwinder, pid_t parent, const struct process *process);

/* What the process maps has changed, or the program that it runs; it has ended. */
void unwinder_update(struct unwinder *unwinder, pid_t pid);
void unwinder_remove(struct unwinder *unwinder, pid_t pid);

/*
 * Does some of what there is to do, for not much longer than UNWINDER_SLICE_MS. Returns whether
 * there is more; it costs nothing when there is not.
 */
#define UNWINDER_SLICE_MS 40
bool unwinder_poll(struct unwinder *unwinder);
bool unwinder_pending(const struct unwinder *unwinder);

/*
 * What lies at an address of a process, as far as is known by now: NULL, or a range that is valid
 * until the next call of unwinder_poll().
 */
const struct unwind_range *unwinder_find(const struct unwinder *unwinder, pid_t pid,
					 uint64_t address);

struct unwinder_costs {
	uint64_t table_bytes;  /* in the kernel, of all tables */
	uint64_t list_bytes;   /* of all lists */
	uint64_t source_bytes; /* of the .eh_frame sections that the tables were made of */
	uint32_t files;
	uint64_t
		ready_ns; /* CLOCK_MONOTONIC at which there was nothing left to do, first; 0: never */
};

void unwinder_measure(const struct unwinder *unwinder, struct unwinder_costs *costs);

#endif
