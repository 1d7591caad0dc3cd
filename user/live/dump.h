/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a dump is: all threads of some processes as they were at one moment, with stack, state,
 * and who holds what they wait for. Leaves how it is taken to dump.c, how it is shown to
 * views/dump.h, and names, stacks and processes to the profile.
 */
#ifndef PYEBPF_DUMP_H
#define PYEBPF_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "profile/profile.h"

struct capture;

/* What a thread waits for, of which it can be told who holds it. */
enum lock_kind {
	LOCK_NONE,
	LOCK_GIL,
	LOCK_MUTEX,     /* of the C library: pthread_mutex_t */
	LOCK_RECURSIVE, /* threading.RLock */
};

#define DUMP_NOBODY UINT32_MAX

/* A lock that a thread waits for, and who holds it: true at one moment, see locks.h. */
struct dump_lock {
	enum lock_kind kind;
	uint32_t holder; /* index into dump.threads; DUMP_NOBODY: not known */
};

struct dump_thread {
	uint32_t tid;
	/*
	 * Whether it was looked at. If not, of `key` only process, thread and state hold, the state
	 * as /proc has it: running or other.
	 */
	bool read;
	bool holds_gil;
	struct profile_key key; /* gil_holder: the function, where the thread is not known */
	int64_t length_ns;      /* how long it has been in this state; -1: not known */
	struct dump_lock lock;
	uint64_t python_thread; /* address of its PyThreadState; 0: none */
	uint64_t switches;      /* times that it had left its CPU before it was looked at */
};

/* Threads of which each waits for a lock that the next one holds, and the last for the first. */
struct dump_cycle {
	uint32_t first; /* index into dump.cycle_threads */
	uint32_t count;
};

struct dump {
	const struct profile *profile;
	struct dump_thread *threads; /* by process, then by tid with the first thread first */
	uint32_t thread_count;
	struct dump_cycle *cycles;
	uint32_t cycle_count;
	uint32_t *cycle_threads; /* indices into threads */
	uint32_t cycle_thread_count;
};

/*
 * Looks at all threads of the processes that the capture has begun to record, for at most
 * DUMP_LIMIT_MS. The targets are neither stopped nor changed. *dump is to be released by
 * dump_free() and needs the capture's profile. Returns 0 or -errno with a sentence.
 */
#define DUMP_LIMIT_MS 1000
int dump_take(struct capture *capture, struct dump *dump, struct error *error);

/* Releases a filled or zeroed struct. */
void dump_free(struct dump *dump);

#endif
