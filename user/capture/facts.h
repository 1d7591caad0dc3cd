/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns what a recording says of its circumstances: host, kernel, time, the profiler's own cost. */
#ifndef PYEBPF_FACTS_H
#define PYEBPF_FACTS_H

#include "capture/unwinder.h"
#include "profile/profile.h"

/* Fills in what is known at the start. `argc`, `argv`: the command line. Returns 0 or -ENOMEM. */
int facts_begin(struct profile *profile, int argc, char **argv, uint32_t rate_hz);

/* Fills in the length, from CLOCK_MONOTONIC times, and the profiler's own CPU time and memory. */
void facts_end(struct profile *profile, uint64_t start_ns, uint64_t end_ns);

/* Fills in what native stacks needed; `begin_ns`: CLOCK_MONOTONIC at the command's start. */
void facts_add_tables(struct profile *profile, const struct unwinder *unwinder, uint64_t begin_ns);

#endif
