/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the command `record`: from options to a recording on disk and a report on the terminal.
 * Leaves capture to user/capture, what the result looks like to user/views.
 */
#include "commands/command.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/rights.h"
#include "clock.h"
#include "commands/arguments.h"
#include "commands/child.h"
#include "commands/output.h"
#include "views/view.h"

#define PROCESSES_LIMIT 1024
#define RATE_DEFAULT    99
#define RATE_LIMIT      10000
#define DRAIN_MS        100
#define PROGRESS_MS     500

struct record_arguments {
	pid_t pids[PROCESSES_LIMIT];
	struct scope scope; /* its pids are the above */
	char **command;     /* NULL: none */
	double seconds;     /* 0: until it ends or is interrupted */
	uint32_t rate_hz;
	const char *output; /* NULL: a name is made */
	const struct view *view;
	bool native;
	bool native_lines;
	bool memory;
	bool quiet;
};

/* All that lives while a recording is made. */
struct recording {
	const struct record_arguments *arguments;
	struct scope scope;
	struct capture capture;
	struct output output;
	struct child child;
	sigset_t old_mask;
	int signals; /* signalfd of those that end a recording */
	bool progress_shown;
};

/* Options without a letter. */
enum { OPTION_NO_NATIVE = 256, OPTION_NATIVE_LINES, OPTION_MEMORY, OPTION_CGROUP };

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "Which processes:", 1},
	{"pid", 'p', "PID", 0, "Record this Python process; may be given several times", 1},
	{"subprocesses", 's', NULL, 0,
	 "Record also what those of -p, or the command, have started and start: children, their "
	 "children, daemons. What is named itself need not be Python then",
	 1},
	{"all", 'a', NULL, 0,
	 "Record every Python process of the host, also those that begin later", 1},
	{"cgroup", OPTION_CGROUP, "PATH", 0,
	 "Record the Python processes in a cgroup and below it, also those that join later. PATH is "
	 "its directory, or what /proc/PID/cgroup says: system.slice/web.service",
	 1},
	{NULL, 0, NULL, 0, "How:", 2},
	{"duration", 'd', "SECONDS", 0,
	 "Stop after SECONDS; default: when the last of the processes has ended, or Ctrl-C", 2},
	{"rate", 'r', "HZ", 0, "Samples per second of running and of waiting threads; default 99",
	 2},
	{"native", 'n', NULL, 0, "Record C, C++ and Rust frames too; this is the default", 2},
	{"no-native", OPTION_NO_NATIVE, NULL, 0, "Record Python and kernel frames alone", 2},
	{"native-lines", OPTION_NATIVE_LINES, NULL, 0,
	 "Name source lines of native frames, where debug information is at hand", 2},
	{"memory", OPTION_MEMORY, NULL, 0, "Record too which functions make resident memory grow",
	 2},
	{NULL, 0, NULL, 0, "Where to:", 3},
	{"output", 'o', "FILE", 0, "Write to FILE; default: pyebpf-PID.pb.gz in this directory", 3},
	{"format", 'f', "FORMAT", 0, "Write FORMAT: pprof (default), json, collapsed, report", 3},
	{"quiet", 'q', NULL, 0, "Print neither progress nor report", 3},
	{NULL, 0, NULL, 0, NULL, 0},
};

static void pid_add(struct record_arguments *arguments, pid_t pid, struct argp_state *state)
{
	uint32_t i;

	for (i = 0; i < arguments->scope.pid_count; i++)
		if (arguments->pids[i] == pid)
			return;
	if (arguments->scope.pid_count == PROCESSES_LIMIT)
		argp_error(state, "at most %d processes at a time", PROCESSES_LIMIT);
	arguments->pids[arguments->scope.pid_count++] = pid;
}

static void arguments_check(struct record_arguments *arguments, struct argp_state *state)
{
	const struct scope *scope = &arguments->scope;
	int ways = !!scope->pid_count + !!arguments->command + scope->host + !!scope->cgroup_path;

	if (!ways)
		argp_error(state,
			   "which process? Give -p PID, -a for all of the host, --cgroup PATH, or "
			   "a command behind --");
	if (ways > 1)
		argp_error(state, "one of -p PID, -a, --cgroup PATH or a command, not several");
	if (scope->descendants && (scope->host || scope->cgroup_path))
		argp_error(state,
			   "-s goes with -p PID or a command: the others have subprocesses anyway");
	if (!arguments->view && arguments->output)
		arguments->view = view_for_file(arguments->output);
	if (!arguments->view)
		arguments->view = &views[0];
}

/* A number alone is not meant as a command. */
static void command_name_check(const char *name, const struct argp_state *state)
{
	if (*name && !name[strspn(name, "0123456789")])
		argp_error(state, "`%s` is not a command: a process is given with -p %s", name,
			   name);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct record_arguments *arguments = state->input;

	switch (key) {
	case 'p':
		pid_add(arguments, argument_whole(text, "the process id", INT32_MAX, state), state);
		break;
	case 'a':
		arguments->scope.host = true;
		break;
	case 's':
		arguments->scope.descendants = true;
		break;
	case OPTION_CGROUP:
		if (arguments->scope.cgroup_path)
			argp_error(state, "one cgroup at a time: give the one above both");
		arguments->scope.cgroup_path = text;
		break;
	case 'd':
		arguments->seconds = argument_quantity(text, "the duration", 0.01, 1e7, state);
		break;
	case 'r':
		arguments->rate_hz = argument_whole(text, "the rate", RATE_LIMIT, state);
		break;
	case 'o':
		arguments->output = text;
		break;
	case 'f':
		arguments->view = view_find(text);
		if (!arguments->view)
			argp_error(state,
				   "there is no format `%s`: pprof, json, collapsed or report",
				   text);
		break;
	case 'n':
		arguments->native = true;
		break;
	case OPTION_NO_NATIVE:
		arguments->native = false;
		break;
	case OPTION_NATIVE_LINES:
		arguments->native_lines = true;
		break;
	case OPTION_MEMORY:
		arguments->memory = true;
		break;
	case 'q':
		arguments->quiet = true;
		break;
	case ARGP_KEY_ARGS:
		arguments->command = state->argv + state->next;
		command_name_check(arguments->command[0], state);
		break;
	case ARGP_KEY_END:
		arguments_check(arguments, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "-p PID\n-a\n--cgroup PATH\n-- COMMAND [ARGUMENT...]",
	.doc = "Records running processes, or a command from its start, without stopping or changing "
	       "them: the recording goes to a file, its report to the terminal."
	       "\vExamples:\n"
	       "  pyebpf record -p 4242 -d 30               one process, for half a minute\n"
	       "  pyebpf record -s -p 4242                  a server with all its workers\n"
	       "  pyebpf record -s -- ./start.sh            a script, and what it starts\n"
	       "  pyebpf record --cgroup system.slice/web.service\n"
	       "  pyebpf record -a -d 10                    whatever runs here\n"
	       "\n"
	       "With -s, -a and --cgroup, processes without Python are passed over. A recorded "
	       "process that is moved out of the cgroup is recorded on to its end, but neither what "
	       "it starts from then on nor the next program that it runs itself. A recording of a "
	       "cgroup ends when that is removed.",
};

/* From here on signals that end a recording are read from a descriptor. */
static int signals_take(struct recording *recording, struct error *error)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &recording->old_mask);
	signal(SIGPIPE, SIG_IGN);
	recording->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (recording->signals < 0)
		return error_set(error, -errno, "cannot wait for signals: %s", strerror(errno));
	return 0;
}

static int output_prepare(struct recording *recording, struct error *error)
{
	const struct record_arguments *arguments = recording->arguments;
	char name[64];

	if (arguments->output)
		return output_open(arguments->output, &recording->output, error);
	if (arguments->scope.host || arguments->scope.cgroup_path)
		snprintf(name, sizeof(name), "pyebpf-%s%s",
			 arguments->scope.host ? "all" : "cgroup", arguments->view->suffix);
	else
		snprintf(name, sizeof(name), "pyebpf-%d%s",
			 arguments->command ? recording->child.pid : arguments->pids[0],
			 arguments->view->suffix);
	return output_open(name, &recording->output, error);
}

static int recording_begin(struct recording *recording, struct error *error)
{
	int result = capture_take(&recording->capture, error);

	if (!result)
		result = capture_begin(&recording->capture, error);
	if (!result && recording->arguments->command)
		result = child_release(&recording->child, recording->arguments->command[0], error);
	if (!result)
		result = capture_prepare(&recording->capture, error);
	return result;
}

static void progress_show(struct recording *recording)
{
	uint64_t lost[LOSS_COUNT] = {0}, sum = 0;
	uint32_t reason;

	if (recording->arguments->quiet || !isatty(STDERR_FILENO))
		return;
	session_count_losses(recording->capture.session, lost);
	for (reason = 0; reason < LOSS_COUNT; reason++)
		sum += lost[reason];
	fprintf(stderr,
		"\r\033[Krecording: %.0f s, %" PRIu64 " samples, %" PRIu64 " lost. Ctrl-C ends it.",
		(clock_now_ns() - recording->capture.start_ns) / 1e9,
		recorder_samples(recording->capture.recorder), sum);
	recording->progress_shown = true;
}

/* What would else look like a command that hangs. */
static void waiting_say(const struct recording *recording)
{
	if (recording->scope.cgroup_path && !recording->arguments->quiet &&
	    scope_is_empty(&recording->scope))
		fprintf(stderr,
			"pyebpf record: there is no process in the cgroup yet; those that join it "
			"are recorded\n");
}

static void progress_clear(struct recording *recording)
{
	if (recording->progress_shown)
		fputs("\r\033[K", stderr);
	recording->progress_shown = false;
}

/* Milliseconds to wait: until it is time to drain, or for the end. */
static int drain_timeout(uint64_t end_ns)
{
	uint64_t now = clock_now_ns();

	if (end_ns && end_ns <= now)
		return 0;
	if (end_ns && end_ns - now < DRAIN_MS * 1000000ULL)
		return (int)((end_ns - now + 999999) / 1000000);
	return DRAIN_MS;
}

/* Runs until the duration is over, a signal comes, or no process is left. */
static void recording_run(struct recording *recording)
{
	struct capture *capture = &recording->capture;
	double seconds = recording->arguments->seconds;
	uint64_t end_ns = seconds > 0 ? capture->start_ns + (uint64_t)(seconds * 1e9) : 0;
	uint64_t progress_ns = capture->start_ns + PROGRESS_MS * 1000000ULL;

	while (!end_ns || clock_now_ns() < end_ns) {
		if (capture_wait(capture, &recording->signals, 1, drain_timeout(end_ns)) >= 0 ||
		    scope_ended(&recording->scope, capture->targets))
			return;
		if (clock_now_ns() >= progress_ns) {
			progress_show(recording);
			progress_ns += PROGRESS_MS * 1000000ULL;
		}
	}
}

/* Writes the chosen view into memory and then, whole, to the file. */
static int recording_write(struct recording *recording, struct error *error)
{
	struct view_options view = {0};
	char *bytes = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&bytes, &size);
	int result;

	if (!stream)
		return error_set(error, -ENOMEM, "no memory");
	result = recording->arguments->view->write(recording->capture.profile, &view, stream);
	if (fclose(stream) && !result)
		result = -ENOMEM;
	if (result)
		error_set(error, result, "cannot make the recording: %s", strerror(-result));
	else
		result = output_write(&recording->output, bytes, size, error);
	free(bytes);
	return result;
}

static int report_print(struct recording *recording)
{
	struct view_options view = {.recording = recording->output.path};

	if (recording->arguments->quiet)
		return 0;
	view_options_detect(&view, stdout);
	return view_report(recording->capture.profile, &view, stdout);
}

static void recording_close(struct recording *recording)
{
	capture_close(&recording->capture);
	output_close(&recording->output);
	child_abandon(&recording->child);
	scope_close(&recording->scope);
	if (recording->signals >= 0)
		close(recording->signals);
}

static int recording_make(struct recording *recording, int argc, char **argv, struct error *error)
{
	const struct record_arguments *arguments = recording->arguments;
	const struct capture_options capture = {.rate_hz = arguments->rate_hz,
						.native = arguments->native,
						.native_lines = arguments->native_lines,
						.memory = arguments->memory,
						.argc = argc,
						.argv = argv};
	int result = rights_check(error);

	recording->scope = arguments->scope;
	recording->scope.pids = arguments->pids;
	if (!result)
		result = scope_open(&recording->scope, error);
	if (!result)
		result = signals_take(recording, error);
	if (!result && arguments->command)
		result = child_start(arguments->command, &recording->old_mask, &recording->child,
				     error);
	recording->scope.starting = recording->child.pid;
	if (!result)
		result = output_prepare(recording, error);
	if (!result)
		result = capture_open(&recording->capture, &capture, &recording->scope, error);
	if (!result)
		result = recording_begin(recording, error);
	if (result)
		return result;
	waiting_say(recording);
	progress_show(recording);
	recording_run(recording);
	progress_clear(recording);
	return capture_end(&recording->capture, error);
}

static bool python_recorded(const struct profile *profile)
{
	uint32_t i;

	for (i = 0; i < profile->process_count; i++)
		if (profile->processes[i].python)
			return true;
	return false;
}

/* What is said beside the report: notices of targets, a command that goes on. */
static void recording_remark(struct recording *recording)
{
	fputs(targets_notices(recording->capture.targets), stderr);
	if (!python_recorded(recording->capture.profile))
		fprintf(stderr,
			"pyebpf record: no CPython interpreter was found in the recorded %s\n",
			scope_follows(&recording->scope) ? "processes" : "program");
	if (recording->child.pid && targets_alive(recording->capture.targets))
		fprintf(stderr, "pyebpf record: the command still runs, as process %d\n",
			recording->child.pid);
	recording->child.pid = 0;
}

int command_record(int argc, char **argv)
{
	struct record_arguments arguments = {.rate_hz = RATE_DEFAULT, .native = true};
	struct recording recording = {.arguments = &arguments, .signals = -1};
	struct error error = {""};
	int result, written;

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	result = recording_make(&recording, argc, argv, &error);
	if (!result) {
		written = recording_write(&recording, &error);
		recording_remark(&recording);
		result = report_print(&recording);
		if (result && !written)
			error_set(&error, result, "cannot print the report: %s", strerror(-result));
		if (written)
			result = written;
	}
	recording_close(&recording);
	if (!result)
		return EXIT_SUCCESS;
	fprintf(stderr, "pyebpf record: %s\n", error.text);
	return EXIT_FAILURE;
}
