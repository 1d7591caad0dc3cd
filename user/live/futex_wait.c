/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the text of /proc/PID/task/TID/syscall and status; see futex_wait.h. */
#include "live/futex_wait.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define FILE_LIMIT 16384

static int thread_file_read(pid_t pid, uint32_t tid, const char *name, char **text)
{
	char path[64];
	size_t size;

	snprintf(path, sizeof(path), "/proc/%d/task/%" PRIu32 "/%s", (int)pid, tid, name);
	return file_read_whole(path, FILE_LIMIT, text, &size);
}

/* The number behind `name` at a line's start; 0: it is not there. */
static uint64_t field_read(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

int thread_switches_read(pid_t pid, uint32_t tid, uint64_t *switches)
{
	char *text;
	int error = thread_file_read(pid, tid, "status", &text);

	if (error)
		return error;
	*switches = field_read(text, "\nvoluntary_ctxt_switches:") +
		    field_read(text, "\nnonvoluntary_ctxt_switches:");
	free(text);
	return 0;
}

/* `NUMBER ARGUMENT*6 STACK INSTRUCTION`; "running" and what else there is are no futex. */
static int syscall_parse(const char *text, struct futex_wait *wait)
{
	uint64_t words[8];
	char *end;
	int i;

	if (strtol(text, &end, 10) != SYS_futex || end == text)
		return -ENOENT;
	for (i = 0; i < 8; i++) {
		text = end;
		words[i] = strtoull(text, &end, 16);
		if (end == text)
			return -ENOENT;
	}
	wait->address = words[0];
	wait->command = (uint32_t)words[1] & FUTEX_CMD_MASK;
	wait->value = (uint32_t)words[2];
	wait->timed = words[3] != 0;
	wait->stack = words[6];
	wait->instruction = words[7];
	return 0;
}

int futex_wait_read(pid_t pid, uint32_t tid, struct futex_wait *wait)
{
	struct futex_wait read = {0};
	uint64_t switches;
	char *text;
	int error = thread_switches_read(pid, tid, &read.switches);

	if (!error)
		error = thread_file_read(pid, tid, "syscall", &text);
	if (error)
		return error;
	error = syscall_parse(text, &read);
	free(text);
	if (!error)
		error = thread_switches_read(pid, tid, &switches);
	if (!error && switches != read.switches)
		error = -ENOENT;
	if (!error)
		*wait = read;
	return error;
}

bool futex_wait_same(const struct futex_wait *before, const struct futex_wait *after)
{
	return before->address == after->address && before->command == after->command &&
	       before->switches == after->switches && before->stack == after->stack;
}

uint32_t thread_inner_id(pid_t pid, uint32_t tid)
{
	char *text, *line, *end;
	uint32_t id = 0;

	if (thread_file_read(pid, tid, "status", &text))
		return 0;
	line = strstr(text, "\nNSpid:");
	if (line) {
		line += strlen("\nNSpid:");
		for (;; line = end) {
			unsigned long value;

			while (*line == '\t' || *line == ' ')
				line++;
			value = strtoul(line, &end, 10);
			if (end == line)
				break;
			id = (uint32_t)value;
		}
	}
	free(text);
	return id;
}
