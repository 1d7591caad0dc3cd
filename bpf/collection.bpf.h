/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Owns the counts of each process' garbage collections. */
#ifndef PYEBPF_COLLECTION_BPF_H
#define PYEBPF_COLLECTION_BPF_H

#include "config.bpf.h"
#include "record.h"

/* User space makes an entry for each process that has probes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* process, as in `processes` */
	__type(value, struct collections);
} collections __weak SEC(".maps");

/* Its threads collect one at a time for each interpreter: only several interpreters can race. */
static __always_inline void collection_count(__u32 pid, __u32 generation, __u64 ns)
{
	struct collections *counts = bpf_map_lookup_elem(&collections, &pid);

	if (!counts || generation >= GENERATIONS)
		return;
	__sync_fetch_and_add(&counts->count[generation], 1);
	__sync_fetch_and_add(&counts->ns, ns);
	if (ns > counts->longest_ns)
		counts->longest_ns = ns;
}

#endif
