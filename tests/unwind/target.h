/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the process whose stacks are compared: starting it, stopping all its threads wherever they
 * are, having one go on by a single instruction, and letting all go again. Between two stops it is
 * not traced.
 */
#ifndef PYEBPF_TESTS_TARGET_H
#define PYEBPF_TESTS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct target_thread {
	pid_t tid;
	bool stopped;
	int signal; /* that it was about to get when it stopped; 0: none */
};

struct target {
	pid_t pid;
	bool started; /* by target_start(): to be ended, too */
	bool ended;
	struct target_thread *threads;
	size_t count, room;
};

/* Starts a command, without input and output. Returns 0 once it runs, or -errno. */
int target_start(char *const command[], struct target *target);

/*
 * Stops all threads but those that are just ending. Returns 0, -ESRCH: the process has ended,
 * -EAGAIN: no thread could be stopped, or -ENOMEM.
 */
int target_stop(struct target *target);

/*
 * Has a stopped thread run one instruction. Returns 0, -EAGAIN: that is a system call, which may
 * not return while the others are stopped, or -ESRCH: it has ended.
 */
int target_step(struct target *target, struct target_thread *thread);

/* Lets all threads go on. With `halt` only once the process gets SIGCONT. */
void target_release(struct target *target, bool halt);

/* Ends a process that was started, and forgets the target. */
void target_end(struct target *target);

#endif
