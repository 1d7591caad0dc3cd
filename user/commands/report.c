/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the command `report`: a recording, shown or turned into another format. Needs no rights. */
#include "commands/command.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands/arguments.h"
#include "error.h"
#include "profile/narrow.h"
#include "profile/pprof.h"
#include "views/view.h"

enum { OPTION_JSON = 256, OPTION_SORT, OPTION_NO_NATIVE };

struct report_arguments {
	const char *recording;
	const char *output; /* NULL: standard output */
	const struct view *view;
	struct view_options options;
	struct narrowing narrowing;
};

static const struct argp_option options[] = {
	{"json", OPTION_JSON, NULL, 0, "Write the report for scripts; same as -f json", 0},
	{"format", 'f', "FORMAT", 0, "Write FORMAT: report (default), json, collapsed, pprof", 0},
	{"output", 'o', "FILE", 0, "Write to FILE; its suffix can stand for -f", 0},
	{"sort", OPTION_SORT, "ORDER", 0,
	 "Order the table by self (default) or total time, by cpu, io, lock, gil or idle time (of "
	 "self), by waits, or by name",
	 0},
	{"rows", 'n', "ROWS", 0,
	 "Show at most ROWS functions, and as many rows of each other table; default: what fits on a "
	 "screen",
	 0},
	{"pid", 'p', "PID", 0, "Count only this process", 0},
	{"tid", 't', "TID", 0, "Count only this thread", 0},
	{"no-native", OPTION_NO_NATIVE, NULL, 0,
	 "Leave native and kernel frames out of all stacks; their time stays with the Python "
	 "functions that called them",
	 0},
	{NULL, 0, NULL, 0, NULL, 0},
};

static void choose_view(struct report_arguments *arguments, const char *name,
			struct argp_state *state)
{
	arguments->view = view_find(name);
	if (!arguments->view)
		argp_error(state, "there is no format `%s`: report, json, collapsed or pprof",
			   name);
}

static void choose_sort(struct report_arguments *arguments, const char *name,
			struct argp_state *state)
{
	int sort = sort_find(name);

	if (sort < 0)
		argp_error(
			state,
			"there is no order `%s`: self, total, cpu, io, lock, gil, idle, waits or "
			"name",
			name);
	arguments->options.sort = (enum sort)sort;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct report_arguments *arguments = state->input;

	switch (key) {
	case OPTION_JSON:
		choose_view(arguments, "json", state);
		break;
	case 'f':
		choose_view(arguments, text, state);
		break;
	case OPTION_SORT:
		choose_sort(arguments, text, state);
		break;
	case 'o':
		arguments->output = text;
		break;
	case 'n':
		arguments->options.rows =
			argument_whole(text, "the number of rows", UINT32_MAX, state);
		break;
	case 'p':
		arguments->narrowing.pid =
			argument_whole(text, "the process id", UINT32_MAX, state);
		break;
	case 't':
		arguments->narrowing.tid = argument_whole(text, "the thread id", UINT32_MAX, state);
		break;
	case OPTION_NO_NATIVE:
		arguments->narrowing.python_only = true;
		break;
	case ARGP_KEY_ARG:
		if (arguments->recording)
			argp_error(state, "one recording at a time, please");
		arguments->recording = text;
		break;
	case ARGP_KEY_END:
		if (!arguments->recording)
			argp_error(state, "which recording? pyebpf record leaves one, *.pb.gz");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "FILE",
	.doc = "Prints what bounds each process and the time of its functions, from a recording "
	       "made by pyebpf record.",
};

static int load(const struct report_arguments *arguments, struct profile **profile,
		struct error *error)
{
	const struct narrowing *narrowing = &arguments->narrowing;
	struct profile *whole;
	int result;

	result = pprof_read(arguments->recording, &whole, error);
	if (result)
		return result;
	if (!narrowing->pid && !narrowing->tid && !narrowing->python_only) {
		*profile = whole;
		return 0;
	}
	result = profile_narrow(whole, narrowing, profile, error);
	profile_free(whole);
	return result;
}

static int write_view(const struct report_arguments *arguments, const struct profile *profile,
		      FILE *stream, struct error *error)
{
	struct view_options detected = arguments->options;
	const char *name = arguments->output ? arguments->output : "standard output";
	int result;

	detected.recording = arguments->recording;
	view_options_detect(&detected, stream);
	result = arguments->view->write(profile, &detected, stream);
	if (!result && fflush(stream))
		result = -errno;
	if (result)
		error_set(error, result, "cannot write %s: %s", name, strerror(-result));
	return result;
}

static int write_output(const struct report_arguments *arguments, const struct profile *profile,
			struct error *error)
{
	FILE *stream;
	int result;

	if (!arguments->output)
		return write_view(arguments, profile, stdout, error);
	stream = fopen(arguments->output, "we");
	if (!stream)
		return error_set(error, -errno, "cannot write %s: %s", arguments->output,
				 strerror(errno));
	result = write_view(arguments, profile, stream, error);
	if (fclose(stream) && !result)
		result = error_set(error, -EIO, "cannot write %s: %s", arguments->output,
				   strerror(errno));
	return result;
}

int command_report(int argc, char **argv)
{
	struct report_arguments arguments = {0};
	struct profile *profile = NULL;
	struct error error = {""};
	int result;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (!arguments.view && arguments.output)
		arguments.view = view_for_file(arguments.output);
	if (!arguments.view)
		arguments.view = view_find("report");
	if (arguments.view == views && !arguments.output && isatty(STDOUT_FILENO)) {
		fputs("pyebpf report: a recording is no text: give a file by -o\n", stderr);
		return EXIT_USAGE;
	}
	result = load(&arguments, &profile, &error);
	if (!result)
		result = write_output(&arguments, profile, &error);
	profile_free(profile);
	if (!result)
		return EXIT_SUCCESS;
	fprintf(stderr, "pyebpf report: %s\n", error.text);
	return EXIT_FAILURE;
}
