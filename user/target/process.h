/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns one process as the profiler sees it from outside: that it is still the same one, what a
 * user would call it, its memory and its files. Leaves its mappings to maps.h, what runs in it to
 * user/python.
 */
#ifndef PYEBPF_PROCESS_H
#define PYEBPF_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

#define PROCESS_PATH_SIZE 4096 /* bytes of a path under /proc, with the terminating NUL */

struct process {
	pid_t pid;
	/*
	 * By whose id the kernel shows memory, mappings and files in /proc: `pid`, or that of another
	 * thread where the first one has ended before the others.
	 */
	pid_t door;
	int pidfd;            /* -1: this kernel has none; then start_ticks alone guards reuse */
	uint64_t start_ticks; /* start time, in clock ticks since boot: tells a reused PID apart */
	char *command;        /* valid UTF-8, see process_command() */
};

/*
 * Opens the process `pid` (as /proc has it). On success *process owns a descriptor and memory, to
 * be released by process_close(). Errors: -ESRCH no such process, or it is a zombie; -EINVAL a
 * thread's id, a kernel thread, or not a possible PID; -EACCES its memory may not be read (the
 * sentence names the capability that is missing); -ENOMEM; other -errno of the system.
 */
int process_open(pid_t pid, struct process *process, struct error *error);

/* Releases what process_open() got. A zeroed struct is left alone. */
void process_close(struct process *process);

/* Whether the process still runs: neither ended, nor a zombie, nor another one of the same PID. */
bool process_alive(const struct process *process);

/*
 * Stores what a user would call the process, malloc'd and valid UTF-8: the title it gave itself,
 * `gunicorn app:wsgi`, `celery worker`, `-m module`, `script.py`, `-c`, else the program's own
 * name, else its comm. Works for any process, Python or not, and without rights over it. Call it
 * again after an exec. Returns 0, -ESRCH, -ENOMEM or another -errno.
 */
int process_command(pid_t pid, char **command);

/*
 * The same from the bytes of /proc/PID/cmdline (arguments that end in NUL; the last need not, and
 * may be cut) and the comm, which may be "". Returns 0 or -ENOMEM.
 */
int process_command_parse(const char *arguments, size_t size, const char *comm, char **command);

/*
 * Reads `size` bytes at `address` of the process: all of them or none that counts. Returns 0;
 * -EFAULT: not mapped; -ESRCH: the process is gone; -EPERM: no right (CAP_SYS_PTRACE).
 */
int process_read(const struct process *process, uint64_t address, void *buffer, size_t size);

/*
 * Writes the path by which this process' absolute `path` is reached from here, whatever its mount
 * namespace and root: /proc/PID/root/... Returns 0 or -ENAMETOOLONG.
 */
int process_root_path(const struct process *process, const char *path, char *buffer, size_t size);

/* Stores the PID of the process' parent. Returns 0, -ESRCH or another -errno. */
int process_parent(pid_t pid, pid_t *parent);

/*
 * Stores where the program's first instructions lie: start_code of proc_pid_stat(5). Returns 0,
 * -ESRCH or another -errno.
 */
int process_start_code(const struct process *process, uint64_t *start_code);

/*
 * Reads a whole file of unknown length, such as those below /proc, up to `limit` bytes. *text is
 * malloc'd and ends in a NUL that *size does not count. Returns 0, -EFBIG, -ENOMEM or -errno.
 */
int file_read_whole(const char *path, size_t limit, char **text, size_t *size);

/* The same of its first `limit` bytes, or some more, however long it is. */
int file_read_start(const char *path, size_t limit, char **text, size_t *size);

#endif
