/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the command `dump`: what every thread of some processes does at this moment. Leaves the look
 * to user/live, what it looks like to user/views.
 */
#include "commands/command.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/capture.h"
#include "capture/rights.h"
#include "clock.h"
#include "commands/arguments.h"
#include "live/dump.h"
#include "views/dump.h"
#include "views/view.h"

#define PROCESSES_LIMIT 1024
#define RATE_HZ         997  /* threads that run are met on their CPU within milliseconds */
#define TABLES_MS       2000 /* at most, for what native stacks need */

struct dump_arguments {
	pid_t pids[PROCESSES_LIMIT];
	struct scope scope; /* its pids are the above */
	bool json;
	struct dump_options options;
};

enum { OPTION_JSON = 256 };

static const struct argp_option options[] = {
	{"pid", 'p', "PID", 0, "Look at this process; may be given several times", 0},
	{"native", 'n', NULL, 0, "Show C, C++, Rust and kernel frames too", 0},
	{"json", OPTION_JSON, NULL, 0, "Write it for scripts", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};

static void pid_add(struct dump_arguments *arguments, pid_t pid, struct argp_state *state)
{
	uint32_t i;

	for (i = 0; i < arguments->scope.pid_count; i++)
		if (arguments->pids[i] == pid)
			return;
	if (arguments->scope.pid_count == PROCESSES_LIMIT)
		argp_error(state, "at most %d processes at a time", PROCESSES_LIMIT);
	arguments->pids[arguments->scope.pid_count++] = pid;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct dump_arguments *arguments = state->input;

	switch (key) {
	case 'p':
		pid_add(arguments, argument_whole(text, "the process id", INT32_MAX, state), state);
		break;
	case 'n':
		arguments->options.native = true;
		break;
	case OPTION_JSON:
		arguments->json = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "what is `%s`? Processes are given with -p PID", text);
		break;
	case ARGP_KEY_END:
		if (!arguments->scope.pid_count)
			argp_error(state, "which process? Give -p PID");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "-p PID",
	.doc = "Prints the stack of every thread of running processes, in which state it is, for how "
	       "long, what it waits for and who holds that, without stopping or changing them; and "
	       "the threads that wait for each other for ever, where that can be proven.",
};

/* The first look would find no native stack beyond a file that has no table yet. */
static void tables_await(struct capture *capture)
{
	uint64_t deadline = clock_now_ns() + TABLES_MS * 1000000ULL;

	while (capture->unwinder && unwinder_poll(capture->unwinder) && clock_now_ns() < deadline)
		session_consume(capture->session);
}

static int dump_make(struct capture *capture, struct dump_arguments *arguments, int argc,
		     char **argv, struct dump *dump, struct error *error)
{
	const struct capture_options capture_options = {.rate_hz = RATE_HZ,
							.native = arguments->options.native,
							.untouched = true,
							.argc = argc,
							.argv = argv};
	int result = rights_check(error);

	arguments->scope.pids = arguments->pids;
	if (!result)
		result = capture_open(capture, &capture_options, &arguments->scope, error);
	if (!result)
		result = capture_take(capture, error);
	if (!result)
		result = capture_begin(capture, error);
	if (!result)
		result = session_prepare_look(capture->session, error);
	if (result)
		return result;
	tables_await(capture);
	result = dump_take(capture, dump, error);
	if (!result && !dump->thread_count)
		result = error_set(error, -ESRCH, "the process ended while it was looked at");
	return result;
}

static int dump_print(const struct dump *dump, struct dump_arguments *arguments,
		      struct error *error)
{
	struct view_options view = {0};
	int result;

	view_options_detect(&view, stdout);
	arguments->options.colour = view.colour;
	result = arguments->json ? view_dump_json(dump, &arguments->options, stdout)
				 : view_dump(dump, &arguments->options, stdout);
	return result ? error_set(error, result, "cannot print: %s", strerror(-result)) : 0;
}

int command_dump(int argc, char **argv)
{
	struct dump_arguments arguments = {0};
	struct capture capture = {0};
	struct dump dump = {0};
	struct error error = {""};
	int result;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	result = dump_make(&capture, &arguments, argc, argv, &dump, &error);
	if (!result)
		result = dump_print(&dump, &arguments, &error);
	fflush(stdout); /* to take the programs out of the kernel takes a while */
	if (capture.targets)
		fputs(targets_notices(capture.targets), stderr);
	dump_free(&dump);
	capture_close(&capture);
	if (!result)
		return EXIT_SUCCESS;
	fprintf(stderr, "pyebpf dump: %s\n", error.text);
	return EXIT_FAILURE;
}
