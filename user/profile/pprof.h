/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the recording: a profile as a gzip-compressed pprof file. Everything in struct profile but
 * the order of strings, modules and stacks survives writing and reading. See pprof.proto for the wire.
 *
 *   sample types  cpu/nanoseconds: time in state `running`; wait/nanoseconds: time in every other
 *                 state; waits/count: times that a thread blocked; sends/count, receives/count:
 *                 messages; grown/bytes: of memory, in recordings of a process that has grown
 *   labels        process, pid, thread, tid, state; leaf of running samples; where known syscall,
 *                 target, gil_holder, waker. Numbers, in nanoseconds: `wait_below_ns`, the power
 *                 of two below which each wait of the sample was; `longest_ns` of its waits.
 *                 `process_index` tells processes of the same pid and name apart (a process that
 *                 has exec'd), and is there from the second one on
 *   mappings      one for each module, with path and build-id, and `[kernel.kallsyms]`. Addresses of
 *                 a module are those in its file, so that the pages given are of the file as well
 *   locations     Python: no mapping, no address; native: the mapping of their module and an
 *                 address in it, without a module an address alone; kernel: the kernel's mapping.
 *                 No system names, ids 1..n in order
 *   comments      see comments.h
 *
 * Recordings of format 1 and 2 have the first three sample types only.
 */
#ifndef PYEBPF_PPROF_H
#define PYEBPF_PPROF_H

#include <stdio.h>

#include "error.h"
#include "profile/profile.h"

/* Of what is read, at most so many bytes once uncompressed, and so many of each kind of item. */
#define PPROF_BYTES_MAX ((size_t)1 << 30)
#define PPROF_ITEMS_MAX ((uint32_t)1 << 23)

/* The sample types, in the order of a sample's values. */
enum pprof_value {
	PPROF_CPU,
	PPROF_WAIT,
	PPROF_WAITS,
	PPROF_SENDS,
	PPROF_RECEIVES,
	PPROF_GROWN,
	PPROF_VALUES
};

/* Addresses below are of no code: written for locations that have none, read back as 0. */
#define PPROF_NO_CODE 4096

/* Writes the recording and flushes the stream. Returns 0, or -errno with *error set. */
int pprof_write(const struct profile *profile, FILE *stream, struct error *error);

/*
 * Reads a recording made by pprof_write(). Stores a profile to be freed by profile_free(). Returns
 * 0, or with *error set: -errno of the file; -EINVAL: not a recording of pyebpf, damaged, or of a
 * newer pyebpf; -E2BIG: over the limits above; -ENOMEM.
 */
int pprof_read(const char *path, struct profile **profile, struct error *error);

/* The same from `size` uncompressed bytes in memory. *error then does not name a file. */
int pprof_parse(const void *data, size_t size, struct profile **profile, struct error *error);

#endif
