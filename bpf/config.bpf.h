/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what the programs are told: the recording's settings, fixed when they are loaded, and the
 * map of the processes that are recorded.
 */
#ifndef PYEBPF_CONFIG_BPF_H
#define PYEBPF_CONFIG_BPF_H

#include "kernel.h"
#include "config.h"
#include "unwind.h"

/* Length of wait that is always captured, and the time between two samples of a running thread. */
const volatile __u64 period_ns __weak = 10101010;

/* Bytes of the ring buffer. */
const volatile __u64 ring_bytes __weak = 1 << 20;

/* enum syscall_wait by syscall number. */
const volatile __u8 syscall_waits[SYSCALLS_MAX] __weak = {};

/* Whether samples have native frames. */
const volatile __u32 native_stacks __weak = 1;

/* enum follow_scope, and the cgroup: its id, and the number of its hierarchy (0: version 2). */
const volatile __u32 follow_scope __weak = FOLLOW_NONE;
const volatile __u32 follow_hierarchy __weak = 0;
const volatile __u64 follow_cgroup __weak = 0;

/* Preallocated, since programs on perf events may not allocate. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024); /* set when loading */
	__type(key, __u32);        /* process, as the root namespace numbers it */
	__type(value, struct process_config);
} processes __weak SEC(".maps");

#endif
