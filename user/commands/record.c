/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the command `record`: from options to a recording on disk and a report on the terminal.
 * Leaves capture to user/capture, what the result looks like to user/views.
 */
#include "commands/command.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "capture/facts.h"
#include "capture/recorder.h"
#include "capture/rights.h"
#include "capture/session.h"
#include "capture/targets.h"
#include "capture/unwinder.h"
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
/* Unwind tables come before what ends a recording is loaded, which takes longer. */
#define NATIVE_FIRST_MS 500

struct record_arguments {
	pid_t pids[PROCESSES_LIMIT];
	uint32_t pid_count;
	char **command; /* NULL: none */
	double seconds; /* 0: until it ends or is interrupted */
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
	struct profile *profile;
	struct recorder *recorder;
	struct session *session;
	struct modules *modules;
	struct unwinder *unwinder;
	struct targets *targets;
	struct output output;
	struct child child;
	sigset_t old_mask;
	int signals;       /* signalfd of those that end a recording */
	uint64_t begin_ns; /* of the command */
	uint64_t start_ns; /* of the recording */
	bool progress_shown;
};

/* Options without a letter. */
enum { OPTION_NO_NATIVE = 256, OPTION_NATIVE_LINES, OPTION_MEMORY };

static const struct argp_option options[] = {
	{"pid", 'p', "PID", 0, "Record this process; may be given several times", 0},
	{"duration", 'd', "SECONDS", 0,
	 "Stop after SECONDS; default: when the process ends, or Ctrl-C", 0},
	{"rate", 'r', "HZ", 0, "Samples per second of running and of waiting threads; default 99",
	 0},
	{"output", 'o', "FILE", 0, "Write to FILE; default: pyebpf-PID.pb.gz in this directory", 0},
	{"format", 'f', "FORMAT", 0, "Write FORMAT: pprof (default), json, collapsed, report", 0},
	{"native", 'n', NULL, 0, "Record C, C++ and Rust frames too; this is the default", 0},
	{"no-native", OPTION_NO_NATIVE, NULL, 0, "Record Python and kernel frames alone", 0},
	{"native-lines", OPTION_NATIVE_LINES, NULL, 0,
	 "Name source lines of native frames, where debug information is at hand", 0},
	{"memory", OPTION_MEMORY, NULL, 0, "Record too which functions make resident memory grow",
	 0},
	{"quiet", 'q', NULL, 0, "Print neither progress nor report", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};

static void pid_add(struct record_arguments *arguments, pid_t pid, struct argp_state *state)
{
	uint32_t i;

	for (i = 0; i < arguments->pid_count; i++)
		if (arguments->pids[i] == pid)
			return;
	if (arguments->pid_count == PROCESSES_LIMIT)
		argp_error(state, "at most %d processes at a time", PROCESSES_LIMIT);
	arguments->pids[arguments->pid_count++] = pid;
}

static void arguments_check(struct record_arguments *arguments, struct argp_state *state)
{
	if (!arguments->pid_count && !arguments->command)
		argp_error(state, "which process? Give -p PID, or a command behind --");
	if (arguments->pid_count && arguments->command)
		argp_error(state, "either -p PID or a command, not both");
	if (!arguments->view && arguments->output)
		arguments->view = view_for_file(arguments->output);
	if (!arguments->view)
		arguments->view = &views[0];
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct record_arguments *arguments = state->input;

	switch (key) {
	case 'p':
		pid_add(arguments, argument_whole(text, "the process id", INT32_MAX, state), state);
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
	.args_doc = "-p PID\n-- COMMAND [ARGUMENT...]",
	.doc = "Records running processes, or a command from its start, without stopping or changing "
	       "them: the recording goes to a file, its report to the terminal.",
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
	snprintf(name, sizeof(name), "pyebpf-%d%s",
		 arguments->command ? recording->child.pid : arguments->pids[0],
		 arguments->view->suffix);
	return output_open(name, &recording->output, error);
}

/* Each file with native code is held open, and there may be hundreds. */
static void descriptors_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int native_open(struct recording *recording)
{
	descriptors_allow();
	recording->modules = modules_new();
	if (!recording->modules)
		return -ENOMEM;
	recording->unwinder = unwinder_new(recording->session, recording->modules);
	if (!recording->unwinder)
		return -ENOMEM;
	return recorder_use_native(recording->recorder, recording->modules, recording->unwinder,
				   recording->arguments->native_lines);
}

static int capture_open(struct recording *recording, int argc, char **argv, struct error *error)
{
	struct session_options session = {.rate_hz = recording->arguments->rate_hz,
					  .native = recording->arguments->native,
					  .memory = recording->arguments->memory,
					  .handler = recorder_handle};
	int result;

	recording->profile = profile_new();
	if (!recording->profile)
		goto no_memory;
	if (facts_begin(recording->profile, argc, argv, session.rate_hz))
		goto no_memory;
	recording->recorder = recorder_new(recording->profile);
	if (!recording->recorder)
		goto no_memory;
	session.context = recording->recorder;
	result = session_open(&session, &recording->session, error);
	if (result)
		return result;
	recorder_name_kernel(recording->recorder, session_name_address, recording->session);
	if (session.native && native_open(recording))
		goto no_memory;
	recording->targets = targets_new(recording->profile, recording->recorder,
					 recording->session, recording->unwinder);
	if (recording->targets)
		return 0;
no_memory:
	return error_set(error, -ENOMEM, "no memory");
}

static int targets_take(struct recording *recording, struct error *error)
{
	const struct record_arguments *arguments = recording->arguments;
	uint32_t i;
	int result = 0;

	if (arguments->command)
		return targets_add(recording->targets, recording->child.pid,
				   TARGET_MAY_BECOME_PYTHON, error);
	for (i = 0; !result && i < arguments->pid_count; i++)
		result = targets_add(recording->targets, arguments->pids[i], TARGET_MUST_BE_PYTHON,
				     error);
	return result;
}

/* Makes unwind tables for so long, or until all files have theirs. */
static void native_prepare(struct recording *recording, uint32_t ms)
{
	uint64_t deadline = clock_now_ns() + ms * 1000000ULL;

	while (recording->unwinder && unwinder_poll(recording->unwinder) &&
	       clock_now_ns() < deadline)
		session_consume(recording->session);
}

static int capture_begin(struct recording *recording, struct error *error)
{
	int result = targets_take(recording, error);

	if (result)
		return result;
	recording->start_ns = clock_now_ns();
	result = targets_begin(recording->targets, error);
	if (!result)
		result = session_start(recording->session, error);
	if (!result)
		result = session_enroll(recording->session, error);
	if (!result && recording->arguments->command)
		result = child_release(&recording->child, recording->arguments->command[0], error);
	if (!result)
		native_prepare(recording, NATIVE_FIRST_MS);
	if (!result)
		result = session_prepare_finish(recording->session, error);
	return result;
}

static void progress_show(struct recording *recording)
{
	uint64_t lost[LOSS_COUNT] = {0}, sum = 0;
	uint32_t reason;

	if (recording->arguments->quiet || !isatty(STDERR_FILENO))
		return;
	session_count_losses(recording->session, lost);
	for (reason = 0; reason < LOSS_COUNT; reason++)
		sum += lost[reason];
	fprintf(stderr,
		"\r\033[Krecording: %.0f s, %" PRIu64 " samples, %" PRIu64 " lost. Ctrl-C ends it.",
		(clock_now_ns() - recording->start_ns) / 1e9, recorder_samples(recording->recorder),
		sum);
	recording->progress_shown = true;
}

static void progress_clear(struct recording *recording)
{
	if (recording->progress_shown)
		fputs("\r\033[K", stderr);
	recording->progress_shown = false;
}

/* Milliseconds to sleep: until it is time to drain, for the targets, or for the end. */
static int loop_timeout(const struct recording *recording, uint64_t end_ns)
{
	uint64_t now = clock_now_ns();
	int timeout = DRAIN_MS, targets = targets_poll_timeout(recording->targets);

	if (targets >= 0 && targets < timeout)
		timeout = targets;
	if (recording->unwinder && unwinder_pending(recording->unwinder))
		timeout = 0;
	if (end_ns && end_ns <= now)
		return 0;
	if (end_ns && end_ns - now < (uint64_t)timeout * 1000000)
		timeout = (end_ns - now + 999999) / 1000000;
	return timeout;
}

/* Runs until the duration is over, a signal comes, or no process is left. */
static void capture_run(struct recording *recording)
{
	double seconds = recording->arguments->seconds;
	uint64_t end_ns = seconds > 0 ? recording->start_ns + (uint64_t)(seconds * 1e9) : 0;
	uint64_t progress_ns = recording->start_ns + PROGRESS_MS * 1000000ULL;
	struct pollfd descriptors[2] = {
		{.fd = session_descriptor(recording->session), .events = POLLIN},
		{.fd = recording->signals, .events = POLLIN},
	};

	for (;;) {
		poll(descriptors, 2, loop_timeout(recording, end_ns));
		session_consume(recording->session);
		targets_poll(recording->targets);
		if (recording->unwinder)
			unwinder_poll(recording->unwinder);
		if (descriptors[1].revents || !targets_alive(recording->targets))
			return;
		if (end_ns && clock_now_ns() >= end_ns)
			return;
		if (clock_now_ns() >= progress_ns) {
			progress_show(recording);
			progress_ns += PROGRESS_MS * 1000000ULL;
		}
	}
}

static int capture_end(struct recording *recording, struct error *error)
{
	struct profile *profile = recording->profile;
	uint64_t end_ns = clock_now_ns();
	int result = session_finish(recording->session, error);

	if (result)
		return result;
	targets_finish(recording->targets);
	session_count_losses(recording->session, profile->facts.lost);
	result = profile_string(profile, session_wait_hook(recording->session),
				&profile->facts.wait_hook);
	if (!result)
		result = recorder_finish(recording->recorder, recording->start_ns);
	if (result)
		return error_set(error, result, "no memory for the profile");
	facts_end(profile, recording->start_ns, end_ns);
	if (recording->unwinder)
		facts_add_tables(profile, recording->unwinder, recording->begin_ns);
	return 0;
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
	result = recording->arguments->view->write(recording->profile, &view, stream);
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
	return view_report(recording->profile, &view, stdout);
}

static void recording_close(struct recording *recording)
{
	targets_free(recording->targets);
	unwinder_free(recording->unwinder);
	session_close(recording->session);
	recorder_free(recording->recorder);
	modules_free(recording->modules);
	profile_free(recording->profile);
	output_close(&recording->output);
	child_abandon(&recording->child);
	if (recording->signals >= 0)
		close(recording->signals);
}

static int recording_make(struct recording *recording, int argc, char **argv, struct error *error)
{
	const struct record_arguments *arguments = recording->arguments;
	int result = rights_check(error);

	if (!result)
		result = signals_take(recording, error);
	if (!result && arguments->command)
		result = child_start(arguments->command, &recording->old_mask, &recording->child,
				     error);
	if (!result)
		result = output_prepare(recording, error);
	if (!result)
		result = capture_open(recording, argc, argv, error);
	if (!result)
		result = capture_begin(recording, error);
	if (result)
		return result;
	progress_show(recording);
	capture_run(recording);
	progress_clear(recording);
	result = capture_end(recording, error);
	return result;
}

/* What is said beside the report: notices of targets, a command that goes on. */
static void recording_remark(struct recording *recording)
{
	fputs(targets_notices(recording->targets), stderr);
	if (!targets_any_python(recording->targets))
		fputs("pyebpf record: no CPython interpreter was found in the recorded program\n",
		      stderr);
	if (recording->child.pid && targets_alive(recording->targets))
		fprintf(stderr, "pyebpf record: the command still runs, as process %d\n",
			recording->child.pid);
	recording->child.pid = 0;
}

int command_record(int argc, char **argv)
{
	struct record_arguments arguments = {.rate_hz = RATE_DEFAULT, .native = true};
	struct recording recording = {
		.arguments = &arguments, .signals = -1, .begin_ns = clock_now_ns()};
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
