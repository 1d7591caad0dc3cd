/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns starting a command in two steps. */
#include "commands/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void child_run(char **arguments, const sigset_t *mask, int release, int failure)
{
	int error;
	char go;

	if (read(release, &go, 1) != 1)
		_exit(127); /* the profiler is gone */
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(arguments[0], arguments);
	error = errno;
	if (write(failure, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

int child_start(char **arguments, const sigset_t *mask, struct child *child, struct error *error)
{
	int release[2], failure[2];
	pid_t pid;

	if (pipe2(release, O_CLOEXEC))
		return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
	if (pipe2(failure, O_CLOEXEC)) {
		int result = -errno;

		close(release[0]);
		close(release[1]);
		return error_set(error, result, "cannot make a pipe: %s", strerror(-result));
	}
	pid = fork();
	if (!pid) {
		close(release[1]);
		child_run(arguments, mask, release[0], failure[1]);
	}
	close(release[0]);
	close(failure[1]);
	child->pid = pid;
	child->release = release[1];
	child->failure = failure[0];
	if (pid > 0)
		return 0;
	close(child->release);
	close(child->failure);
	child->pid = 0;
	return error_set(error, -errno, "cannot start `%s`: %s", arguments[0], strerror(errno));
}

int child_release(struct child *child, const char *name, struct error *error)
{
	int reason = 0;
	ssize_t count = write(child->release, "", 1);

	close(child->release);
	if (count == 1)
		count = read(child->failure, &reason, sizeof(reason));
	close(child->failure);
	if (!count)
		return 0;
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
	return error_set(error, reason ? -reason : -EIO, "cannot run `%s`: %s", name,
			 strerror(reason ? reason : EIO));
}

void child_abandon(struct child *child)
{
	if (!child->pid)
		return;
	close(child->release);
	close(child->failure);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}
