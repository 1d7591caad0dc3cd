/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the process whose stacks are compared; see target.h. */
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSCALL_INSTRUCTION 0x050f /* its two bytes, as a number */

/* What a system call has returned that will begin anew (Linux, include/linux/errno.h). */
#define RESTART_FIRST (-516)
#define RESTART_LAST  (-512)

/* In the child. What it writes tells that it could not. */
static _Noreturn void command_run(char *const command[], int report)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), error;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	dup2(nothing, STDERR_FILENO);
	execvp(command[0], command);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

int target_start(char *const command[], struct target *target)
{
	int ends[2], error = 0;
	ssize_t count;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		command_run(command, ends[1]);
	error = pid < 0 ? -errno : 0;
	close(ends[1]);
	count = read(ends[0], &error, sizeof(error));
	close(ends[0]);
	if (pid < 0)
		return error;
	if (count == sizeof(error)) {
		waitpid(pid, NULL, 0);
		return -error;
	}
	*target = (struct target){.pid = pid, .started = true};
	return 0;
}

static struct target_thread *thread_find(const struct target *target, pid_t tid)
{
	for (size_t i = 0; i < target->count; i++)
		if (target->threads[i].tid == tid)
			return &target->threads[i];
	return NULL;
}

/* Takes a thread, unless it is just ending: then it is of no interest. */
static int thread_take(struct target *target, pid_t tid)
{
	if (target->count == target->room) {
		size_t room = target->room ? 2 * target->room : 16;
		struct target_thread *grown = realloc(target->threads, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		target->threads = grown;
		target->room = room;
	}
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return 0;
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	target->threads[target->count++] = (struct target_thread){.tid = tid};
	return 0;
}

/* Takes the threads that are not taken yet. Returns how many there were, or -errno. */
static int threads_take(struct target *target)
{
	size_t before = target->count;
	struct dirent *entry;
	char path[64];
	int error = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", target->pid);
	tasks = opendir(path);
	if (!tasks)
		return -ESRCH;
	while (!error && (entry = readdir(tasks))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0 && !thread_find(target, tid))
			error = thread_take(target, tid);
	}
	closedir(tasks);
	return error ? error : (int)(target->count - before);
}

static void thread_drop(struct target *target, struct target_thread *thread)
{
	*thread = target->threads[--target->count];
}

/* Takes notice of what has happened to a thread: it has stopped, or ended. */
static void status_take(struct target *target, pid_t tid, int status)
{
	struct target_thread *thread = thread_find(target, tid);

	if (tid == target->pid && target->started && !WIFSTOPPED(status))
		target->ended = true;
	if (!thread)
		return;
	if (!WIFSTOPPED(status)) {
		thread_drop(target, thread);
		return;
	}
	thread->stopped = true;
	thread->signal = 0;
	if (status >> 16 != PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP)
		thread->signal = WSTOPSIG(status);
}

/* Drops threads of which no end is told, for another one has become a new program. */
static void vanished_drop(struct target *target)
{
	for (size_t i = target->count; i > 0; i--) {
		struct target_thread *thread = &target->threads[i - 1];

		if (!thread->stopped && syscall(SYS_tgkill, target->pid, thread->tid, 0) &&
		    errno == ESRCH)
			thread_drop(target, thread);
	}
}

static bool all_stopped(const struct target *target)
{
	for (size_t i = 0; i < target->count; i++)
		if (!target->threads[i].stopped)
			return false;
	return true;
}

/*
 * Waits until all threads have stopped or ended. For whichever comes first: a process does not end
 * before notice was taken of the end of all its other threads.
 */
static void threads_wait(struct target *target)
{
	int status;
	pid_t tid;

	for (;;) {
		vanished_drop(target);
		if (all_stopped(target))
			return;
		tid = waitpid(-1, &status, __WALL);
		if (tid > 0) {
			status_take(target, tid, status);
		} else if (errno != EINTR) {
			target->count = 0;
			return;
		}
	}
}

static bool target_has_ended(struct target *target)
{
	int status;

	if (!target->ended && target->started && waitpid(target->pid, &status, WNOHANG) > 0)
		status_take(target, target->pid, status);
	return target->ended;
}

int target_stop(struct target *target)
{
	int taken;

	target->count = 0;
	if (target_has_ended(target))
		return -ESRCH;
	do { /* a thread can start another one until it is stopped itself */
		taken = threads_take(target);
		threads_wait(target);
	} while (taken > 0);
	if (!taken && target->count)
		return 0;
	target_release(target, false);
	if (taken < 0)
		return taken;
	return target_has_ended(target) || kill(target->pid, 0) ? -ESRCH : -EAGAIN;
}

static bool is_restarted(const struct user_regs_struct *registers)
{
	long result = (long)registers->rax;

	return (long)registers->orig_rax >= 0 && result >= RESTART_FIRST && result <= RESTART_LAST;
}

int target_step(struct target *target, struct target_thread *thread)
{
	struct user_regs_struct registers;
	pid_t tid = thread->tid;
	long word;

	if (ptrace(PTRACE_GETREGS, thread->tid, NULL, &registers))
		return -ESRCH;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, thread->tid, (void *)registers.rip, NULL);
	if (errno || is_restarted(&registers) || (word & 0xffff) == SYSCALL_INSTRUCTION)
		return -EAGAIN;
	if (ptrace(PTRACE_SINGLESTEP, thread->tid, NULL, (void *)(intptr_t)thread->signal))
		return -ESRCH;
	thread->stopped = false;
	threads_wait(target);
	return thread_find(target, tid) ? 0 : -ESRCH;
}

/* A thread may have been ended by one that goes on already; of that notice is to be taken, too. */
void target_release(struct target *target, bool halt)
{
	while (target->count) {
		for (size_t i = target->count; i > 0; i--) {
			struct target_thread *thread = &target->threads[i - 1];
			intptr_t signal = halt ? SIGSTOP : thread->signal;

			if (!ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)signal))
				thread_drop(target, thread);
			else
				thread->stopped = false;
		}
		threads_wait(target);
	}
}

void target_end(struct target *target)
{
	if (target->started && !target_has_ended(target)) {
		kill(-target->pid, SIGKILL);
		waitpid(target->pid, NULL, 0);
	}
	free(target->threads);
	*target = (struct target){.pid = -1};
}
