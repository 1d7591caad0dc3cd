/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the set of code objects that user space has been told about. To find a known one costs one
 * look-up here and no read of the process' memory.
 *
 * An address alone is no identity, for code objects are freed and others made in their place. A
 * probe on the interpreter's code_dealloc takes a freed one out of the set (IDENTITY_FREED; no
 * thread can have it on its stack then). Where no probe can be had, what tells code objects apart
 * is read at each use and is part of the key (IDENTITY_CHECKED).
 */
#ifndef PYEBPF_CODE_SET_BPF_H
#define PYEBPF_CODE_SET_BPF_H

#include "config.bpf.h"

#define CODE_SET_BITS 12
#define CODE_SET_WAYS 4

struct code_set {
	__u64 keys[1 << CODE_SET_BITS][CODE_SET_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct code_set);
} known_codes __weak SEC(".maps");

static __always_inline struct code_set *code_set_find(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&known_codes, &zero);
}

/* User addresses have 47 bits; the low half of the process' index makes the rest. Never 0. */
static __always_inline __u64 code_key(const struct process_config *process, __u64 code,
				      __u32 identity)
{
	__u64 key = code | (__u64)process->index << 48;

	return key ^ identity * 0xd6e8feb86659fd93ULL ^
	       (process->index >> 16) * 0xa0761d6478bd642fULL;
}

static __always_inline __u64 *code_set_ways(struct code_set *set, __u64 key)
{
	return set->keys[(key * 0x9e3779b97f4a7c15ULL) >> (64 - CODE_SET_BITS)];
}

static __always_inline bool code_set_holds(struct code_set *set, __u64 key)
{
	__u64 *ways = code_set_ways(set, key);

	return ways[0] == key || ways[1] == key || ways[2] == key || ways[3] == key;
}

static __always_inline void code_set_add(struct code_set *set, __u64 key)
{
	__u64 *ways = code_set_ways(set, key);
	__u32 way;

	for (way = 0; way < CODE_SET_WAYS - 1; way++)
		if (!ways[way])
			break;
	if (ways[way])
		way = bpf_get_prandom_u32() % CODE_SET_WAYS;
	ways[way] = key;
}

static __always_inline void code_set_remove(struct code_set *set, __u64 key)
{
	__u64 *ways = code_set_ways(set, key);
	__u32 way;

	for (way = 0; way < CODE_SET_WAYS; way++)
		if (ways[way] == key)
			ways[way] = 0;
}

#endif
