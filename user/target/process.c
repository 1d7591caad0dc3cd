/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns struct process: opening it by PID with the reasons why that cannot be, its identity, its
 * memory through process_vm_readv(2). Leaves its name for users to command.c.
 */
#include "target/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FLAG_KERNEL_THREAD 0x00200000 /* PF_KTHREAD of include/linux/sched.h */

/* What is used of /proc/PID/stat, see proc_pid_stat(5). */
struct process_stat {
	char state;
	pid_t parent;
	unsigned long flags;
	uint64_t start_ticks;
	uint64_t start_code;
};

static int file_append(int fd, size_t limit, char **text, size_t *size, size_t *capacity)
{
	ssize_t count;

	if (*capacity - *size < 4096) {
		size_t larger = *capacity ? *capacity * 2 : 16384;
		char *grown = realloc(*text, larger + 1);

		if (!grown)
			return -ENOMEM;
		*text = grown;
		*capacity = larger;
	}
	do {
		count = read(fd, *text + *size, *capacity - *size);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	*size += (size_t)count;
	if (*size > limit)
		return -EFBIG;
	return count ? 1 : 0;
}

/* Reads to the end, or to `limit`: then -EFBIG, with what there is stored all the same. */
static int file_read_up_to(const char *path, size_t limit, char **text, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t length = 0, capacity = 0;
	char *buffer = NULL;
	int more;

	if (fd < 0)
		return -errno;
	do {
		more = file_append(fd, limit, &buffer, &length, &capacity);
	} while (more > 0);
	close(fd);
	if (more && more != -EFBIG) {
		free(buffer);
		return more;
	}
	buffer[length] = '\0';
	*text = buffer;
	*size = length;
	return more;
}

int file_read_whole(const char *path, size_t limit, char **text, size_t *size)
{
	char *read;
	size_t length;
	int result = file_read_up_to(path, limit, &read, &length);

	if (result == -EFBIG)
		free(read);
	if (result)
		return result;
	*text = read;
	*size = length;
	return 0;
}

int file_read_start(const char *path, size_t limit, char **text, size_t *size)
{
	int result = file_read_up_to(path, limit, text, size);

	return result == -EFBIG ? 0 : result;
}

static int stat_parse(const char *text, struct process_stat *stat)
{
	const char *at = strrchr(text, ')'); /* the comm may hold anything, also ')' */
	unsigned long flags;
	uint64_t start, code;
	int parent;
	char state;

	if (!at || sscanf(at + 1,
			  " %c %d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			  "%*d %" SCNu64 " %*u %*d %*u %" SCNu64,
			  &state, &parent, &flags, &start, &code) != 5)
		return -EINVAL;
	*stat = (struct process_stat){.state = state,
				      .parent = parent,
				      .flags = flags,
				      .start_ticks = start,
				      .start_code = code};
	return 0;
}

static int stat_read(pid_t pid, struct process_stat *stat)
{
	char path[64], *text;
	size_t size;
	int error;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	error = file_read_whole(path, 65536, &text, &size);
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	error = stat_parse(text, stat);
	free(text);
	return error;
}

/* The process that a thread belongs to, which is `pid` itself if it is a process' own id. */
static pid_t thread_group(pid_t pid)
{
	char path[64], *text;
	const char *line;
	size_t size;
	int group;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (file_read_whole(path, 1 << 20, &text, &size))
		return pid; /* whoever asks next will say what is wrong */
	line = strstr(text, "\nTgid:");
	if (!line || sscanf(line, "\nTgid: %d", &group) != 1)
		group = pid;
	free(text);
	return group;
}

/*
 * Whether this process may look into the memory of `pid`: 0, -EPERM, or -ESRCH. Asked as it will be
 * read: to open /proc/PID/mem takes other rights too.
 */
static int memory_permitted(pid_t pid)
{
	char byte;
	struct iovec local = {.iov_base = &byte, .iov_len = 1};
	struct iovec nowhere = {.iov_base = NULL, .iov_len = 1};

	if (process_vm_readv(pid, &local, 1, &nowhere, 1, 0) >= 0 || errno == EFAULT)
		return 0;
	return -errno;
}

static int pid_missing(pid_t pid, struct error *error)
{
	if (kill(pid, 0) && errno == ESRCH)
		return error_set(error, -ESRCH, "no process %d", pid);
	return error_set(error, -EACCES,
			 "process %d is hidden in /proc (mounted with hidepid): run as root, or in "
			 "the group that the mount option gid= names",
			 pid);
}

/* A thread of the process that has not ended; 0: all have. */
static pid_t thread_alive(pid_t pid)
{
	char path[64];
	struct process_stat stat;
	struct dirent *entry;
	pid_t found = 0, tid;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	directory = opendir(path);
	if (!directory)
		return 0;
	while (!found && (entry = readdir(directory))) {
		tid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (tid > 0 && tid != pid && !stat_read(tid, &stat) && stat.state != 'Z' &&
		    stat.state != 'X')
			found = tid;
	}
	closedir(directory);
	return found;
}

static int kind_check(pid_t pid, const struct process_stat *stat, pid_t door, struct error *error)
{
	pid_t group = thread_group(pid);

	if (stat->flags & FLAG_KERNEL_THREAD)
		return error_set(error, -EINVAL, "%d is a kernel thread, not a process", pid);
	if (!door)
		return error_set(error, -ESRCH, "process %d has ended (it is a zombie)", pid);
	if (group != pid)
		return error_set(error, -EINVAL, "%d is a thread of process %d: give that", pid,
				 group);
	return 0;
}

static int rights_check(pid_t pid, pid_t door, struct error *error)
{
	int result = memory_permitted(door);

	if (result == -ESRCH)
		return error_set(error, -ESRCH, "process %d has ended", pid);
	if ((result == -EACCES || result == -EPERM) && !geteuid())
		return error_set(error, -EACCES,
				 "the kernel refuses to read the memory of process %d: it has a "
				 "capability that pyebpf lacks, or CAP_SYS_PTRACE is missing",
				 pid);
	if (result == -EACCES || result == -EPERM)
		return error_set(error, -EACCES,
				 "no right to read the memory of process %d: run as root, or grant "
				 "CAP_SYS_PTRACE",
				 pid);
	if (result)
		return error_set(error, result, "cannot read the memory of process %d: %s", pid,
				 strerror(-result));
	return 0;
}

int process_open(pid_t pid, struct process *process, struct error *error)
{
	struct process opened = {.pid = pid, .door = pid, .pidfd = -1};
	struct process_stat stat;
	int result;

	if (pid <= 0)
		return error_set(error, -EINVAL, "%d cannot be the id of a process", pid);
	/* Opened before anything is read, so that all of it is of the same process. */
	opened.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	result = stat_read(pid, &stat);
	if (result == -ESRCH)
		result = pid_missing(pid, error);
	else if (result)
		error_set(error, result, "cannot read /proc/%d/stat: %s", pid, strerror(-result));
	if (!result && (stat.state == 'Z' || stat.state == 'X'))
		opened.door = thread_alive(pid);
	if (result || (result = kind_check(pid, &stat, opened.door, error)) ||
	    (result = rights_check(pid, opened.door, error)))
		goto fail;
	opened.start_ticks = stat.start_ticks;
	result = process_command(opened.door, &opened.command);
	if (result) {
		error_set(error, result, "cannot read the command of process %d: %s", pid,
			  strerror(-result));
		goto fail;
	}
	*process = opened;
	return 0;
fail:
	process_close(&opened);
	return result;
}

void process_close(struct process *process)
{
	if (process->pidfd > 0)
		close(process->pidfd);
	free(process->command);
	memset(process, 0, sizeof(*process));
	process->pidfd = -1;
}

bool process_alive(const struct process *process)
{
	struct process_stat stat;

	if (process->pidfd >= 0) {
		struct pollfd waiting = {.fd = process->pidfd, .events = POLLIN};

		return poll(&waiting, 1, 0) == 0; /* readable once the process has ended */
	}
	return !stat_read(process->pid, &stat) && stat.start_ticks == process->start_ticks &&
	       stat.state != 'Z' && stat.state != 'X';
}

int process_parent(pid_t pid, pid_t *parent)
{
	struct process_stat stat;
	int error = stat_read(pid, &stat);

	if (!error)
		*parent = stat.parent;
	return error;
}

int process_start_code(const struct process *process, uint64_t *start_code)
{
	struct process_stat stat;
	int error = stat_read(process->door, &stat);

	if (!error)
		*start_code = stat.start_code;
	return error;
}

int process_read(const struct process *process, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {.iov_base = buffer, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	ssize_t count;

	if (!size)
		return 0;
	count = process_vm_readv(process->door, &local, 1, &remote, 1, 0);
	if (count < 0)
		return errno == EINVAL || errno == EIO ? -EFAULT : -errno;
	return (size_t)count == size ? 0 : -EFAULT;
}

int process_root_path(const struct process *process, const char *path, char *buffer, size_t size)
{
	int length = snprintf(buffer, size, "/proc/%d/root%s%s", process->door,
			      *path == '/' ? "" : "/", path);

	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}
