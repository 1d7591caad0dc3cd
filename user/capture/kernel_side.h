/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the BPF programs and maps: which are wanted, on which hooks, loading and attaching them.
 * Leaves what is done with them to session.h.
 */
#ifndef PYEBPF_KERNEL_SIDE_H
#define PYEBPF_KERNEL_SIDE_H

#include <stddef.h>
#include <stdint.h>

#include "capture/session.h"
#include "error.h"
#include "pyebpf.skel.h"
#include "pyebpf_maps.skel.h"

/*
 * The same object file several times: each loads some of its programs, all use the maps of `maps`.
 * Most of the time until the first sample is the kernel's verifier's, which checks the programs of
 * an object one after the other, but those of several objects at once.
 */
struct kernel_side {
	struct pyebpf_maps *maps;
	struct pyebpf *events; /* what befalls threads and processes, and the ways to ask for it */
	struct pyebpf *samplers; /* samples of running threads, messages and memory, and probes */
	struct pyebpf *closing;  /* close_threads; NULL: not loaded yet */
	struct pyebpf *looking;  /* look_at_threads; NULL: not loaded yet */
	const char *hook;        /* at which waits are captured, for a reader */
};

/*
 * Loads and attaches all that is wanted but what is attached by hand: samplers, probes and
 * iterators. To be released by kernel_side_close(), also on failure. Errors as session_open().
 */
int kernel_side_open(const struct session_options *options, struct kernel_side *side,
		     struct error *error);
void kernel_side_detach(struct kernel_side *side);
void kernel_side_close(struct kernel_side *side);

/* Load the parts that are not needed for the first sample. Return 0 or -errno with a sentence. */
int kernel_side_load_closing(struct kernel_side *side, struct error *error);
int kernel_side_load_looking(struct kernel_side *side, struct error *error);

/* Events that the kernel did not deliver since the same program was running on that CPU. */
uint64_t kernel_side_recursion(const struct kernel_side *side);

/*
 * Tries whether the programs can be loaded and attached with the hook of this name alone, for
 * `pyebpf check`. Returns 0 or -errno with the kernel's answer in *error.
 */
int kernel_side_try_hook(const char *hook, struct error *error);

/* Names of the hooks at which waits can be captured, best first; NULL behind the last. */
const char *kernel_side_hook_at(size_t index);

#endif
