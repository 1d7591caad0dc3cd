/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the way to user space: the ring buffer and the counters of what was lost. Leaves the
 * content of records to who emits them.
 */
#ifndef PYEBPF_EMIT_BPF_H
#define PYEBPF_EMIT_BPF_H

#include "config.bpf.h"
#include "loss.h"
#include "record.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* set when loading */
} ring __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} losses __weak SEC(".maps");

/* Global functions, so that the verifier does not follow them anew at each of their many calls. */
__weak int loss_count(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&losses, &reason);

	if (count)
		*count += 1;
	return 0;
}

#define EMIT_REFUSED (~0ULL)

/*
 * The flags with which a record is to be sent now. Waking the reader costs about 13 us, so it is
 * woken only when a quarter of the ring is full and else looks by itself. Samples leave the last
 * eighth to the records that the ledger and the names depend on: EMIT_REFUSED.
 */
__weak __u64 emit_flags(__u32 sample)
{
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);

	if (sample && used > ring_bytes - ring_bytes / 8)
		return EMIT_REFUSED;
	return used > ring_bytes / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Sends a record for which the reader is woken at once. Returns as emit(). */
static __always_inline int emit_urgent(void *record, __u64 bytes, __u32 reason)
{
	if (bpf_ringbuf_output(&ring, record, bytes, BPF_RB_FORCE_WAKEUP)) {
		loss_count(reason);
		return -1;
	}
	return 0;
}

/* Sends a record. Returns 0, or -1 with the loss counted under `reason`. */
static __always_inline int emit(void *record, __u64 bytes, bool sample, __u32 reason)
{
	__u64 flags = emit_flags(sample);

	if (flags == EMIT_REFUSED || bpf_ringbuf_output(&ring, record, bytes, flags)) {
		loss_count(reason);
		return -1;
	}
	return 0;
}

#endif
