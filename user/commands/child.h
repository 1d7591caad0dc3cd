/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the command that `record -- COMMAND` starts: it is held until it is being recorded. */
#ifndef PYEBPF_CHILD_H
#define PYEBPF_CHILD_H

#include <signal.h>
#include <sys/types.h>

#include "error.h"

struct child {
	pid_t pid;
	int release; /* pipe that the child waits on */
	int failure; /* pipe on which it says why it could not be run */
};

/* Makes the process, which waits. `mask` is the signal mask that the command gets. */
int child_start(char **arguments, const sigset_t *mask, struct child *child, struct error *error);

/* Lets it run the command; an error if there is no such program. */
int child_release(struct child *child, const char *name, struct error *error);

/* Kills a child that was not released. */
void child_abandon(struct child *child);

#endif
