/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the places of native frames in the profile: from a file's address, or an address of
 * generated code, to a location with a name. Leaves reading symbols to native/modules.h and
 * native/perf_map.h, the order of frames to stack.h.
 */
#ifndef PYEBPF_NATIVE_NAMES_H
#define PYEBPF_NATIVE_NAMES_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture/unwinder.h"
#include "native/modules.h"
#include "profile/profile.h"
#include "target/process.h"

struct native_names;

/*
 * `lines`: with source lines. `unwinder` knows what lies where in processes. All must outlive the
 * names. NULL: no memory.
 */
struct native_names *native_names_new(struct profile *profile, const struct modules *modules,
				      const struct unwinder *unwinder, bool lines);
void native_names_free(struct native_names *names);

/* Lets generated code of a process be named by its own map. 0 or -ENOMEM. */
int native_names_add_process(struct native_names *names, const struct process *process);

struct native_place {
	uint32_t location;
	uint16_t file;
	bool named; /* by a symbol, or by the process itself */
	bool loop;  /* the name is that of the interpreter's loop */
	bool glue;  /* the name is one of glue.h */
};

/* Finds the place of a native frame of a sample (include/unwind.h). 0 or -ENOMEM. */
int native_names_find(struct native_names *names, uint32_t pid, uint64_t frame,
		      const struct native_place **place);

#endif
