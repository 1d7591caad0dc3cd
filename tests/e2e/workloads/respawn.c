/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs one command after the other under the same PID, which is the first argument: "PID command …
 * -- command …". Prints "ready" before the first, which is killed by SIGUSR1, as the others are,
 * and then runs the next one at once. Ends when it is killed, with the command that runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(pid_t pid, char **command)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
	sigset_t none;
	pid_t child;

	/* The PID is free once the last of its zombie is gone. */
	do {
		child = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
	} while (child < 0 && errno == EEXIST);
	if (child < 0) {
		perror("clone3");
		exit(1);
	}
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(command[0], command);
	_exit(127);
}

int main(int argc, char **argv)
{
	pid_t pid = atoi(argv[1]);
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int first = 2, i = 2; i <= argc; i++) {
		if (i < argc && strcmp(argv[i], "--"))
			continue;
		argv[i] = NULL;
		if (start(pid, &argv[first]) != pid)
			return 1;
		first = i + 1;
		printf("started\n");
		fflush(stdout);
		sigwait(&set, &number);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return 0;
}
