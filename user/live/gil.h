/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading which thread state holds an interpreter's global lock, from outside. Leaves whose
 * thread state that is to its users, and what waits for the lock to bpf/gil.bpf.h.
 */
#ifndef PYEBPF_GIL_H
#define PYEBPF_GIL_H

#include <stdint.h>

#include "config.h"
#include "target/process.h"

#define GILS_MAX 64 /* interpreters with a lock of their own that are looked at */

struct gil {
	uint64_t address; /* of its struct _gil_runtime_state */
	uint64_t holder;  /* address of a PyThreadState; 0: nobody has it */
};

struct gils {
	struct gil all[GILS_MAX];
	uint32_t count;
};

/* Reads all locks of a process as they are now; what cannot be read is not among them. */
void gils_read(const struct process *process, const struct process_config *config,
	       struct gils *gils);

/* The lock in whose memory `address` lies. NULL: none. */
const struct gil *gils_find(const struct gils *gils, const struct process_config *config,
			    uint64_t address);

/* The lock of a thread state's interpreter. NULL: not known. */
const struct gil *gils_of_thread(const struct gils *gils, const struct process *process,
				 const struct process_config *config, uint64_t python_thread);

#endif
