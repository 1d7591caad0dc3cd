/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the kernel side's events do to the set of recorded processes: that they fork, run
 * another program, map files, end. Leaves those that enter a cgroup to targets.h.
 */
#ifndef PYEBPF_TARGET_EVENTS_H
#define PYEBPF_TARGET_EVENTS_H

#include "capture/target_set.h"
#include "record.h"

/* Of other kinds of records nothing is done. */
void target_events_handle(struct target_set *set, const struct process_record *record);

#endif
