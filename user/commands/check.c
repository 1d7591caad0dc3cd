/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the command `check`: what this kernel, these rights and a process allow, and what to do
 * about what is missing. Tries things rather than guess from versions.
 */
#include "commands/command.h"

#include <argp.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "capture/rights.h"
#include "capture/kernel_side.h"
#include "commands/arguments.h"
#include "python/interpreter.h"
#include "target/process.h"
#include "views/text.h"

struct check_arguments {
	pid_t pid; /* 0: none */
};

static const struct argp_option options[] = {
	{"pid", 'p', "PID", 0, "Check this process too", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct check_arguments *arguments = state->input;

	switch (key) {
	case 'p':
		arguments->pid = argument_whole(text, "the process id", INT32_MAX, state);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "what is `%s`? A process is given by -p PID", text);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "Tells what this kernel, these rights and a process allow. Exits with 0 if a recording "
	       "can be made.",
};

static void line_print(bool good, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void line_print(bool good, const char *subject, const char *format, ...)
{
	va_list arguments;

	printf("  %-7s %-24s ", good ? "ok" : "MISSING", subject);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static bool rights_print(void)
{
	const struct capability_need *need;
	const char *cure = "the host's";
	bool all = true, own;

	puts("rights");
	for (need = capability_needs; need->name; need++) {
		bool held = capability_held(need->value);

		all &= held;
		line_print(held, need->name, "%s%s", need->why,
			   held ? "" : ": run pyebpf with sudo");
	}
	own = namespaces_are_hosts(&cure);
	line_print(own, "namespaces", "%s", cure);
	return all && own;
}

static bool kernel_print(void)
{
	const char *lockdown = kernel_lockdown();
	bool types = kernel_types_available();
	bool open = strcmp(lockdown, "confidentiality") != 0;
	struct utsname system;

	if (uname(&system))
		return false;
	printf("kernel %s %s\n", system.release, system.machine);
	line_print(types, "type information", "%s",
		   types ? "/sys/kernel/btf/vmlinux"
			 : "no /sys/kernel/btf/vmlinux: needs CONFIG_DEBUG_INFO_BTF");
	line_print(open, "lockdown", "%s%s", lockdown,
		   open ? "" : ": forbids BPF to read memory; boot without it");
	return types && open;
}

static bool clock_print(void)
{
	struct perf_event_attr attribute = {.type = PERF_TYPE_SOFTWARE,
					    .size = sizeof(attribute),
					    .config = PERF_COUNT_SW_CPU_CLOCK,
					    .sample_period = 10101010,
					    .exclude_idle = 1};
	int descriptor = syscall(SYS_perf_event_open, &attribute, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	bool good = descriptor >= 0;

	line_print(good, "CPU sampling clock", "%s",
		   good ? "perf event cpu-clock" : strerror(errno));
	if (good)
		close(descriptor);
	return good;
}

/* One of the hooks is enough; which one decides what capturing a wait costs. */
static bool hooks_print(void)
{
	const char *hook;
	size_t at;
	bool any = false;

	for (at = 0; (hook = kernel_side_hook_at(at)); at++) {
		struct error error = {""};
		int result = kernel_side_try_hook(hook, &error);
		bool good = !result;

		if (good)
			line_print(true, hook, "captures waits%s",
				   any ? ", not needed" : ": will be used");
		else
			printf("  %-7s %-24s not on this kernel: %s\n", "no", hook,
			       strerror(-result));
		any |= good;
	}
	if (!any)
		line_print(false, "a hook for waits", "%s",
			   kernel_is_too_old()
				   ? "this kernel is too old: " KERNEL_NEEDED
				   : "none of the above works: recording is impossible");
	return any;
}

static void interpreter_print(const struct interpreter *interpreter)
{
	char *path = text_escape(interpreter->path); /* the target's word */

	line_print(true, "interpreter", "CPython %s (%s)", interpreter->version, path ? path : "");
	free(path);
	line_print(true, "layout", "checked against the process");
	if (interpreter->code_dealloc.address && interpreter->code_dealloc.cheap)
		line_print(true, "freed code objects", "can be probed");
	else
		line_print(true, "freed code objects",
			   "cannot be probed cheaply: code objects are checked at each use, which "
			   "makes samples of deep stacks dearer");
}

static bool process_print(pid_t pid)
{
	struct interpreter interpreter = {0};
	struct process process = {0};
	struct error error = {""};
	int result = process_open(pid, &process, &error);

	printf("process %d\n", pid);
	if (!result)
		result = interpreter_inspect(&process, &interpreter, &error);
	if (result)
		line_print(false, "interpreter", "%s", error.text);
	else
		interpreter_print(&interpreter);
	interpreter_release(&interpreter);
	process_close(&process);
	return !result;
}

int command_check(int argc, char **argv)
{
	struct check_arguments arguments = {0};
	bool good;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	good = rights_print();
	good &= kernel_print();
	if (good) {
		good &= clock_print();
		good &= hooks_print();
	}
	if (arguments.pid)
		good &= process_print(arguments.pid);
	puts(good ? "A recording can be made."
		  : "A recording cannot be made: see what is MISSING.");
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
