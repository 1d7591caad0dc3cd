/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what user space tells the BPF programs: about the recording (as read-only globals, see
 * bpf/config.bpf.h) and about each process (struct process_config, in the map `processes`).
 */
#ifndef PYEBPF_CONFIG_H
#define PYEBPF_CONFIG_H

#include <linux/types.h>

#include "layout.h"

/* How a code object that was seen before is known to be the same. */
enum identity_mode {
	IDENTITY_FREED,   /* a probe on the interpreter's code_dealloc says when one is freed */
	IDENTITY_CHECKED, /* its names' hashes, or its version, are read again at each use */
};

/* How a syscall can make a thread wait, by its number: the table `syscall_waits`. */
enum syscall_wait {
	WAIT_OTHER,
	WAIT_DESCRIPTOR, /* on the descriptor in the first argument */
	WAIT_FILE,       /* on a file system, whatever the arguments */
	WAIT_ACCEPT,     /* from here on: where a signal can end it */
	WAIT_POLL,
	WAIT_PPOLL, /* the same, with a pointer to the time-out */
	WAIT_SELECT,
	WAIT_EPOLL,
	WAIT_FUTEX,
	WAIT_SLEEP,
	WAIT_CHILD,
};
#define SYSCALLS_MAX 512

enum process_flags {
	PROCESS_FOLLOW = 1,      /* its children are recorded, or followed, too */
	PROCESS_FOLLOWED = 2,    /* it became known as somebody's child, or by its program */
	PROCESS_PASSED_OVER = 4, /* not recorded: it runs no Python. Only its children count */
};

/* Which processes are taken on without being named, beside children of those with PROCESS_FOLLOW. */
enum follow_scope { FOLLOW_NONE, FOLLOW_CGROUP, FOLLOW_HOST };

enum follow_verdict {
	FOLLOW_PASS = 1, /* no Python, and none to be expected */
	FOLLOW_LOOK,     /* it may load one */
	FOLLOW_PYTHON,   /* it is one: `process` is what is known of it */
};

struct process_config {
	struct python_layout layout; /* version 0: no interpreter is known (yet) */
	__u32 index;                 /* see struct record.process */
	__u32 identity;              /* enum identity_mode */
	__u32 gc_by_flag;            /* 1: collections are told from the interpreter's flag */
	__u32 flags;                 /* enum process_flags */
	__u64 runtime;               /* address of _PyRuntime in the process */
	__u64 code_type;             /* address of PyCode_Type */
	__u64 text_start;            /* the interpreter's own instructions, see enum leaf */
	__u64 text_end;
	/*
	 * The instructions of _PyEval_EvalFrameDefault, in one or two parts: only up to 3.10, where
	 * nothing on the native stack tells them; 0: none.
	 */
	__u64 loop_start[2];
	__u64 loop_end[2];
};

/* Of a program: its addresses are counted from mm->start_code. */
struct program_config {
	__u32 verdict; /* enum follow_verdict */
	__u32 pad;
	struct process_config process;
};

#endif
