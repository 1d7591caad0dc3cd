/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the command `top`: its options, and when processes are looked at and the screen is painted.
 * Leaves the figures to user/live, what is on the screen and the keys to user/screen.
 */
#include "commands/command.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "capture/rights.h"
#include "clock.h"
#include "commands/arguments.h"
#include "live/watch.h"
#include "screen/paint.h"
#include "screen/terminal.h"
#include "views/view.h"

#define PROCESSES_LIMIT 1024
#define RATE_DEFAULT    99
#define RATE_LIMIT      10000
#define DRAIN_MS        200
#define NS_PER_MS       1000000ULL

struct top_arguments {
	pid_t pids[PROCESSES_LIMIT];
	struct scope scope; /* its pids are the above */
	uint32_t rate_hz;
	double interval; /* seconds */
	uint32_t count;  /* refreshes; 0: no end */
	bool batch;
	bool native;
	struct settings settings; /* to begin with */
};

/* All that lives while the screen does. */
struct top {
	const struct top_arguments *arguments;
	struct settings settings;
	struct scope scope;
	struct watch watch;
	struct rows *rows;
	struct scene_costs costs;
	uint64_t samples;         /* until the last look */
	uint64_t cpu_ns, look_ns; /* pyebpf's own, and when, at the last look */
	uint32_t looks;
	int signals; /* signalfd of those that end it */
	bool ended;  /* no process is left */
};

/* Options without a letter. */
enum { OPTION_VIEW = 256, OPTION_SORT, OPTION_IDLE, OPTION_FILTER, OPTION_CGROUP };

static const struct argp_option options[] = {
	{"pid", 'p', "PID", 0, "Watch this Python process; may be given several times", 0},
	{"all", 'a', NULL, 0, "Watch every Python process of the host, also those that begin later",
	 0},
	{"subprocesses", 's', NULL, 0,
	 "Watch also what those of -p, which need not be Python then, have started and start", 0},
	{"cgroup", OPTION_CGROUP, "PATH", 0,
	 "Watch the Python processes in a cgroup and below it, also those that join later. PATH is "
	 "its directory, or what /proc/PID/cgroup says",
	 0},
	{"interval", 'i', "SECONDS", 0, "Refresh every SECONDS; default 1", 0},
	{"rate", 'r', "HZ", 0, "Samples per second of running and of waiting threads; default 99",
	 0},
	{"native", 'n', NULL, 0, "Show functions of C, C++ and Rust too", 0},
	{"batch", 'b', NULL, 0, "Print each refresh as text; needs no terminal", 0},
	{"count", 'c', "COUNT", 0, "End after COUNT refreshes", 0},
	{"view", OPTION_VIEW, "VIEW", 0,
	 "Begin with a row for each function (default), line, thread or process", 0},
	{"sort", OPTION_SORT, "COLUMN", 0,
	 "Begin sorted by self (default), total, cpu, queue, io, lock, gil, idle, other or name",
	 0},
	{"idle", OPTION_IDLE, NULL, 0, "Begin with idle time counted too", 0},
	{"filter", OPTION_FILTER, "TEXT", 0, "Begin with only the rows that have TEXT", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};

static void pid_add(struct top_arguments *arguments, pid_t pid, struct argp_state *state)
{
	uint32_t i;

	for (i = 0; i < arguments->scope.pid_count; i++)
		if (arguments->pids[i] == pid)
			return;
	if (arguments->scope.pid_count == PROCESSES_LIMIT)
		argp_error(state, "at most %d processes at a time", PROCESSES_LIMIT);
	arguments->pids[arguments->scope.pid_count++] = pid;
}

static void scope_check(const struct scope *scope, struct argp_state *state)
{
	int ways = !!scope->pid_count + scope->host + !!scope->cgroup_path;

	if (!ways)
		argp_error(state,
			   "which process? Give -p PID, -a for all of the host, or --cgroup PATH");
	if (ways > 1)
		argp_error(state, "one of -p PID, -a and --cgroup PATH, not several");
	if (scope->descendants && !scope->pid_count)
		argp_error(state, "-s goes with -p PID: the others have subprocesses anyway");
}

/* What the screen shows at first, as keys change it later. */
static error_t parse_setting(int key, char *text, struct argp_state *state)
{
	struct settings *settings = &((struct top_arguments *)state->input)->settings;
	int found;

	switch (key) {
	case OPTION_VIEW:
		found = settings_find_view(text);
		if (found < 0)
			argp_error(state, "there is no view `%s`: function, line, thread, process",
				   text);
		settings->view = found;
		break;
	case OPTION_SORT:
		found = settings_find_order(text);
		if (found < 0)
			argp_error(state, "there is no column `%s` to sort by", text);
		settings->order = found;
		break;
	case OPTION_IDLE:
		settings->idle = true;
		break;
	case OPTION_FILTER:
		snprintf(settings->filter, sizeof(settings->filter), "%s", text);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct top_arguments *arguments = state->input;

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
	case 'i':
		arguments->interval = argument_quantity(text, "the interval", 0.1, 3600, state);
		break;
	case 'r':
		arguments->rate_hz = argument_whole(text, "the rate", RATE_LIMIT, state);
		break;
	case 'n':
		arguments->native = true;
		break;
	case 'b':
		arguments->batch = true;
		break;
	case 'c':
		arguments->count = argument_whole(text, "the count", INT32_MAX, state);
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "`%s` is not understood: give -p PID", text);
		break;
	case ARGP_KEY_END:
		scope_check(&arguments->scope, state);
		break;
	default:
		return parse_setting(key, text, state);
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "-p PID\n-a\n--cgroup PATH",
	.doc = "Shows what running processes do, function by function, and goes on doing so, without "
	       "stopping or changing them. The key ? tells of the other keys.",
};

/* From here on signals that end it are read from a descriptor. */
static int signals_take(struct top *top, struct error *error)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;
	size_t at;

	sigemptyset(&set);
	for (at = 0; at < sizeof(ends) / sizeof(ends[0]); at++)
		sigaddset(&set, ends[at]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	top->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (top->signals < 0)
		return error_set(error, -errno, "cannot wait for signals: %s", strerror(errno));
	return 0;
}

static uint64_t own_cpu_ns(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		return 0;
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ULL +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ULL;
}

static int64_t own_rss_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size, resident = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * sysconf(_SC_PAGESIZE);
}

static void costs_measure(struct top *top)
{
	uint64_t now = clock_now_ns(), cpu = own_cpu_ns();
	uint64_t samples = watch_count(&top->watch, top->costs.lost);

	top->costs.cpu_percent =
		top->look_ns && now > top->look_ns
			? (double)(cpu - top->cpu_ns) * 100 / (double)(now - top->look_ns)
			: 0;
	top->costs.samples = samples - top->samples;
	top->costs.rss_bytes = own_rss_bytes();
	top->costs.rate_hz = top->arguments->rate_hz;
	top->samples = samples;
	top->cpu_ns = cpu;
	top->look_ns = now;
}

static int look(struct top *top, struct error *error)
{
	struct profile *window;
	int result = watch_look(&top->watch, &window, error);

	if (!result && rows_add(top->rows, window))
		result = error_set(error, -ENOMEM, "no memory");
	rows_add_gil(top->rows, top->watch.gil_share);
	profile_free(window);
	costs_measure(top);
	top->looks++;
	return result;
}

static void file_put(void *context, const char *text, enum ink ink)
{
	fputs(text, context);
}

static void file_end_line(void *context, enum ink ink)
{
	fputc('\n', context);
}

static const char *message(const struct top *top)
{
	const struct scope *scope = &top->scope;

	if (!top->ended)
		return NULL;
	return scope->pid_count == 1 && !scope->descendants ? "The process has ended."
							    : "All processes have ended.";
}

static int paint(struct top *top, struct error *error)
{
	const bool batch = top->arguments->batch;
	struct pen pen = {.context = stdout, .put = file_put, .end_line = file_end_line};
	struct scene scene = {.rows = top->rows, .settings = &top->settings, .costs = top->costs};
	struct view_options view = {0};

	scene.message = message(top);
	if (batch) {
		view_options_detect(&view, stdout);
		scene.columns = view.columns;
	} else {
		terminal_size(&scene.columns, &scene.lines);
		pen = terminal_pen();
	}
	if (scene_paint(&scene, &pen))
		return error_set(error, -ENOMEM, "no memory");
	if (!batch) {
		terminal_show();
		return 0;
	}
	fputc('\n', stdout);
	if (fflush(stdout))
		return error_set(error, -errno, "cannot write: %s", strerror(errno));
	return 0;
}

/* Takes the keys that were pressed. Returns whether one of them ends it. */
static bool keys_take(struct top *top, bool *changed)
{
	int key;

	while (!top->arguments->batch && (key = terminal_key()) != KEY_IS_NONE) {
		switch (settings_key(&top->settings, key)) {
		case WISH_QUIT:
			return true;
		case WISH_RESET:
			rows_reset(top->rows);
			*changed = true;
			break;
		case WISH_PAINT:
			*changed = true;
			break;
		default:
			break;
		}
	}
	return false;
}

static int timeout_until(uint64_t due_ns)
{
	uint64_t now = clock_now_ns();

	if (due_ns <= now)
		return 0;
	if (due_ns - now < DRAIN_MS * NS_PER_MS)
		return (int)((due_ns - now + NS_PER_MS - 1) / NS_PER_MS);
	return DRAIN_MS;
}

/*
 * Looks when it is time to, and one last time when no process is left. While the screen is paused
 * the window goes on, so that what happens is in the next one.
 */
static int look_if_due(struct top *top, uint64_t *due_ns, bool *changed, struct error *error)
{
	uint64_t now = clock_now_ns(), interval = (uint64_t)(top->arguments->interval * 1e9);
	bool alive, due = now >= *due_ns;

	if (top->ended)
		return 0;
	alive = !scope_ended(&top->watch.scope, top->watch.capture.targets);
	if (alive && (!due || (top->settings.paused && !watch_is_full(&top->watch))))
		return 0;
	*due_ns = *due_ns + interval > now ? *due_ns + interval : now + interval;
	top->ended = !alive;
	*changed = true;
	return look(top, error);
}

static bool top_is_over(const struct top *top)
{
	if (top->arguments->count && top->looks >= top->arguments->count)
		return true;
	return top->arguments->batch && top->ended;
}

/* A script that ends it gets what there is of the last window. */
static int end_by_signal(struct top *top, struct error *error)
{
	int result = 0;

	if (top->arguments->batch && !top->ended) {
		result = look(top, error);
		if (!result)
			result = paint(top, error);
	}
	return result;
}

static int run(struct top *top, struct error *error)
{
	const int descriptors[] = {top->signals, STDIN_FILENO};
	uint32_t count = top->arguments->batch ? 1 : 2;
	uint64_t due_ns = clock_now_ns() + (uint64_t)(top->arguments->interval * 1e9);
	bool changed = true;
	int result = 0;

	while (!result && !top_is_over(top)) {
		if (changed && (top->looks || !top->arguments->batch))
			result = paint(top, error);
		changed = false;
		if (result)
			return result;
		if (capture_wait(&top->watch.capture, descriptors, count, timeout_until(due_ns)) ==
		    top->signals)
			return end_by_signal(top, error);
		if (keys_take(top, &changed))
			return 0;
		result = look_if_due(top, &due_ns, &changed, error);
	}
	return result ? result : paint(top, error);
}

static int top_open(struct top *top, int argc, char **argv, struct error *error)
{
	const struct top_arguments *arguments = top->arguments;
	const struct capture_options capture = {.rate_hz = arguments->rate_hz,
						.native = arguments->native,
						.argc = argc,
						.argv = argv};
	int result = 0;

	if (!arguments->batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return terminal_open(error);
	result = rights_check(error);
	top->rows = rows_new(arguments->native);
	if (!result && !top->rows)
		result = error_set(error, -ENOMEM, "no memory");
	if (!result)
		result = scope_open(&top->scope, error);
	if (!result)
		result = watch_open(&top->watch, &capture, &top->scope, error);
	if (!result)
		result = signals_take(top, error);
	if (!result && !arguments->batch)
		result = terminal_open(error);
	costs_measure(top);
	return result;
}

static void top_close(struct top *top)
{
	terminal_close();
	watch_close(&top->watch);
	scope_close(&top->scope);
	rows_free(top->rows);
	if (top->signals >= 0)
		close(top->signals);
}

int command_top(int argc, char **argv)
{
	struct top_arguments arguments = {.rate_hz = RATE_DEFAULT, .interval = 1};
	struct top top = {.arguments = &arguments, .signals = -1};
	struct error error = {""};
	int result;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	top.settings = arguments.settings;
	top.scope = arguments.scope;
	top.scope.pids = arguments.pids;
	result = top_open(&top, argc, argv, &error);
	if (!result)
		result = run(&top, &error);
	top_close(&top);
	if (!result)
		return EXIT_SUCCESS;
	fprintf(stderr, "pyebpf top: %s\n", error.text);
	return EXIT_FAILURE;
}
