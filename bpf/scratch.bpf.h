/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the memory in which a sample is put together: too large for the BPF stack, one per CPU and
 * kind of program, since one kind can interrupt another.
 */
#ifndef PYEBPF_SCRATCH_BPF_H
#define PYEBPF_SCRATCH_BPF_H

#include "emit.bpf.h"
#include "kernel.h"
#include "record.h"
#include "registers.bpf.h"
#include "unwind.h"

enum scratch_slot { SCRATCH_CPU, SCRATCH_OFFCPU, SCRATCH_SNAPSHOT, SCRATCH_EVENT, SCRATCH_COUNT };

#define PAGE_BYTES       4096
#define OBJECT_BYTES_MAX 512 /* of a struct that is read whole */
#define TEXT_HEAD_BYTES  48  /* of a str object, before its characters */
#define JOINTS_MAX       256
#define WINDOW_BYTES     (2 * PAGE_BYTES) /* a page of frames, and a frame that ends behind it */

/* Where a native frame keeps what its caller had. Addresses; 0: nowhere. */
struct native_caller {
	__u64 cfa_at; /* if not 0, of a word that `cfa` is to be added to */
	__u64 cfa;
	__u64 fp_at;
	__u64 ip_at; /* 0: right below the CFA */
};

/*
 * Where a walk over native frames is: see native.bpf.h. It is here and not on the program's stack
 * since the verifier follows every value that is there, and all that each may lead to.
 */
struct native_state {
	struct native_registers at;
	struct unwind_range range; /* the last one found */
	struct unwind_rule rule;   /* of the frame */
	struct native_caller caller;
	__u64 word;  /* of the stack */
	__u32 first; /* where in sample->frames the native frames begin */
	__u32 count;
	__u32 joint;    /* index of the next of scratch->joints */
	__u32 returned; /* 1: at.ip is a return address */
	__u32 resumed;  /* 1: at.sp is that of the joint in a frame of the interpreter's loop */
};

struct scratch {
	__u32 busy; /* 1: in use by a program that was interrupted */
	__u32 unnamed_count;
	__u16 unnamed[PYTHON_FRAMES_MAX]; /* indices of frames whose code object is not known */
	__u32 joint_count;
	__u64 joints
		[JOINTS_MAX]; /* addresses of the frames where Python's stack meets the native */
	__u64 collector; /* the frame that set off the collection that is under way; 0: not known */
	/* Where a return probe hides a return address, and what it was; 0: nowhere. */
	__u64 hidden_at;
	__u64 hidden;
	__u64 window_start; /* of native.bpf.h: address of window's first byte */
	__u32 window_bytes; /* that are valid */
	struct native_state native;
	/* Reads of 8 bytes at any masked offset stay inside. */
	__u8 window[WINDOW_BYTES + 8];
	__u8 object[OBJECT_BYTES_MAX + 8];
	__u8 text[TEXT_HEAD_BYTES + 32];
	struct code_record code;
	struct lines_record lines;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_COUNT);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_COUNT);
	__type(key, __u32);
	__type(value, struct sample_record);
} samples __weak SEC(".maps");

/* Returns 0 with both set, to be given back by scratch_release(), or -1: it is in use. */
static __always_inline int scratch_acquire(__u32 slot, struct scratch **scratch,
					   struct sample_record **sample)
{
	*scratch = bpf_map_lookup_elem(&scratches, &slot);
	*sample = bpf_map_lookup_elem(&samples, &slot);
	if (!*scratch || !*sample)
		return -1;
	if ((*scratch)->busy) {
		loss_count(LOSS_NESTED);
		return -1;
	}
	(*scratch)->busy = 1;
	return 0;
}

static __always_inline void scratch_release(struct scratch *scratch)
{
	scratch->busy = 0;
}

static __always_inline __u64 window_word(const struct scratch *scratch, __u32 offset)
{
	return *(const __u64 *)(scratch->window + (offset & (WINDOW_BYTES - 1)));
}

static __always_inline __u64 object_word(const struct scratch *scratch, __u32 offset)
{
	return *(const __u64 *)(scratch->object + (offset & (OBJECT_BYTES_MAX - 1)));
}

#endif
