/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading from /proc which futex a thread is blocked on, without stopping it, and whether it
 * has been blocked without a break between two such readings. Leaves what the futex belongs to to
 * lock_owner.h.
 */
#ifndef PYEBPF_FUTEX_WAIT_H
#define PYEBPF_FUTEX_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "target/process.h"

struct futex_wait {
	uint64_t address;
	uint32_t command; /* FUTEX_WAIT and the like, without the flags */
	uint32_t value;   /* that the futex had when the thread went to sleep */
	bool timed;
	uint64_t stack;       /* the thread's stack pointer */
	uint64_t instruction; /* and where it called the kernel */
	uint64_t switches;    /* times that the thread has left its CPU */
};

/* Returns 0; -ENOENT: the thread is not blocked on a futex; or -errno. */
int futex_wait_read(pid_t pid, uint32_t tid, struct futex_wait *wait);

/* Times that the thread has left its CPU. Returns 0 or -errno. */
int thread_switches_read(pid_t pid, uint32_t tid, uint64_t *switches);

/* Whether the thread did not run between the two readings. */
bool futex_wait_same(const struct futex_wait *before, const struct futex_wait *after);

/* The thread's id in the innermost pid namespace that it is in; 0: not known. */
uint32_t thread_inner_id(pid_t pid, uint32_t tid);

#endif
