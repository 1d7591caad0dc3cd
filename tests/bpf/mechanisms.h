/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the test programs in the kernel and the tests that run them agree on: their inputs
 * and results, which are global variables of the programs. Nothing of it is part of pyebpf.
 */
#ifndef PYEBPF_MECHANISMS_H
#define PYEBPF_MECHANISMS_H

#include <linux/types.h>

#include "config.h"
#include "record.h"

#define LEDGER_EVENTS_MAX 8192
#define LEDGER_GROUPS     4

enum ledger_event_kind {
	LEDGER_ENROLL,   /* in `mode` */
	LEDGER_OUT,      /* leaves its CPU; `state` STATE_COUNT: still runnable, else it waits */
	LEDGER_GIL_WAIT, /* what it then waits for is the GIL; `value`: address of a deadline */
	LEDGER_WAKE,
	LEDGER_IN,
	LEDGER_TAKE, /* the way back: what is captured is added up under `group` */
	LEDGER_AWAY_END,
	LEDGER_RUN_END,
};

/* Something that the scheduler tells. Times in nanoseconds, `value` is time on a CPU or as above. */
struct ledger_event {
	__u32 kind;
	__u32 state;
	__u32 mode;
	__u32 group;
	__u64 now;
	__u64 value;
};

/* What came of the events: struct thread as far as tests look at it, and all that was captured. */
struct ledger_result {
	__u64 start_ns;
	__u64 since_ns;
	__u64 unknown_ns;
	__u32 mode;
	__u32 state;
	__u32 continued;
	__u32 sequence;
	struct state_total totals[STATE_COUNT];
	__u64 captured_ns[LEDGER_GROUPS][STATE_COUNT];
	__u64 captured_length_ns[LEDGER_GROUPS][STATE_COUNT]; /* of the last one */
	__u64 captures[LEDGER_GROUPS][STATE_COUNT];
};

/* How a thread sleeps, as the scheduler has it: TASK_* of include/linux/sched.h. */
enum sleep { SLEEP_INTERRUPTIBLE = 0x001, SLEEP_UNINTERRUPTIBLE = 0x002, SLEEP_KILLABLE = 0x102 };

/* A system call that a thread could be blocked in, and what was made of it. */
struct made_call {
	__s64 number;
	__u64 arguments[4];
	__u64 now;
	__u32 in_io_wait;
	__u32 task_state; /* the scheduler's */
};

struct call_result {
	__u32 state;
	__s32 descriptor;
	__s32 syscall;
	__u32 continued;
	__u64 gil_deadline_ns;
	struct python_frame gil_holder;
};

#define MADE_REGISTERS 17 /* numbers that DWARF gives, and one that it does not */

/* What a walk over native frames begins with, or what the thread really has. */
struct made_registers {
	__u64 ip, sp, fp;
	__u64 numbered[MADE_REGISTERS];
	__u32 made; /* 1: walks begin with these, not with the thread's own */
};

struct descriptor_result {
	__u32 kind; /* enum descriptor_kind */
	__u32 pad;
	struct wait_target target;
	char room[64]; /* see target_read() */
};

#endif
