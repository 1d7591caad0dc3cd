/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the comparison of stacks: stops a process at random moments, takes the native stack of each
 * of its threads by pyebpf's walk in the kernel and by libdwfl, and compares them frame by frame.
 * From where a thread was stopped it has it run on by single instructions, so that the beginnings
 * and ends of functions are met too. Prints the counts as JSON. Needs root.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reference.h"
#include "tally.h"
#include "target.h"
#include "walker.h"

#define THREADS_MAX 256
#define TEXT_SIZE   256

struct options {
	uint32_t places;
	uint32_t seconds;
	uint32_t steps;    /* instructions after each stop */
	uint32_t pause_us; /* on average, between two stops */
	uint32_t shown;    /* how many differences are printed */
	uint32_t seed;
	uint32_t pid;
	bool debugger; /* have gdb print its stack for each of them, too */
	char **command;
};

struct comparison {
	struct options options;
	struct target target;
	struct walker *walker;
	struct reference *reference;
	uint64_t maps; /* hash of what is mapped as executable */
	struct stack *stacks;
	struct stack other;
	struct tally tally;
	uint32_t shown;
	uint32_t runs; /* of the command */
	int64_t end_ms;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void pause_randomly(uint32_t average_us)
{
	long ns = (long)((uint64_t)random() * average_us / (RAND_MAX / 2)) * 1000;
	const struct timespec pause = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	nanosleep(&pause, NULL);
}

/* A hash of the lines of executable mappings; 0: there are none. */
static uint64_t maps_hash(pid_t pid)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
	char path[64], line[512];
	bool any = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, "xp "))
			continue;
		any = true;
		for (const char *at = line; *at; at++)
			hash = (hash ^ (uint8_t)*at) * 0x100000001b3ULL;
	}
	if (file)
		fclose(file);
	return any ? hash : 0;
}

/* Sees to it that both sides know what the stopped process maps. */
static int maps_follow(struct comparison *comparison)
{
	uint64_t hash = maps_hash(comparison->target.pid);

	if (hash == comparison->maps && comparison->reference)
		return 0;
	reference_close(comparison->reference);
	comparison->reference = NULL;
	comparison->maps = hash;
	if (!hash)
		return -ESRCH;
	walker_update(comparison->walker);
	return reference_open(comparison->target.pid, comparison->walker, &comparison->reference);
}

static void word_print(const struct stack *stack, uint32_t index)
{
	uint64_t word = index < stack->count ? stack->words[index] : 0;

	if (index < stack->count)
		fprintf(stderr, "%3u:%-10" PRIx64 " ",
			(unsigned int)(word >> NATIVE_ADDRESS_BITS & NATIVE_FILE_MASK),
			(uint64_t)(word & NATIVE_ADDRESS_MASK));
	else
		fprintf(stderr, "%-14s ", "-");
}

/* Where the two part. */
static void frames_print(const struct comparison *comparison, const struct stack *walked,
			 const struct stack *reference, uint32_t common)
{
	uint32_t count = walked->count > reference->count ? walked->count : reference->count;
	char text[TEXT_SIZE];

	for (uint32_t i = common > 3 ? common - 3 : 0; i < count && i < common + 6; i++) {
		text[0] = '\0';
		if (i < reference->count)
			reference_describe(comparison->reference, i, true, text, sizeof(text));
		fprintf(stderr, "    %3" PRIu32 " %c ", i, i < common ? '=' : '*');
		word_print(walked, i);
		word_print(reference, i);
		fprintf(stderr, "%s%s\n", text, i > reference->informed ? " (guessed)" : "");
	}
}

static void difference_print(const struct comparison *comparison, enum outcome outcome,
			     const struct stack *walked, const struct stack *reference,
			     uint32_t common)
{
	char text[TEXT_SIZE] = "";

	if (common)
		walker_describe_rule(comparison->walker, walked->words[common - 1], text,
				     sizeof(text));
	fprintf(stderr,
		"%s: thread %d, syscall %d, %" PRIu32 " frames: %s%s, reference %" PRIu32
		": %s%s; last rule: %s\n",
		outcome_names[outcome], walked->tid, walked->syscall, walked->count,
		walked->whole ? "whole" : "cut: ", walked->reason, reference->count,
		reference->whole ? "whole" : "cut: ", reference->reason, text);
	frames_print(comparison, walked, reference, common);
}

/* Halts the process and has gdb print the stacks: a third opinion. */
static void debugger_ask(struct comparison *comparison)
{
	char pid[16];
	pid_t child;

	target_release(&comparison->target, true);
	snprintf(pid, sizeof(pid), "%d", comparison->target.pid);
	child = fork();
	if (!child) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execlp("gdb", "gdb", "-nx", "-batch", "-p", pid, "-ex", "thread apply all bt 40",
		       (char *)NULL);
		_exit(127);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
	kill(comparison->target.pid, SIGCONT);
}

/* Compares a stack that was walked with the reference's. Returns 0 or -errno. */
static int stack_compare(struct comparison *comparison, const struct stack *walked, bool *print)
{
	struct stack *reference = &comparison->other;
	struct tally *tally = &comparison->tally;
	char where[TEXT_SIZE] = "at once";
	enum outcome outcome;
	uint32_t common;
	int error;

	if (reference_take(comparison->reference, walked->tid, reference))
		return 0;
	outcome = stacks_compare(walked, reference, &common);
	error = tally_add(tally, outcome, walked, reference);
	if (error || outcome == OUTCOME_EQUAL)
		return error;
	if (common)
		reference_describe(comparison->reference, common - 1, false, where, sizeof(where));
	*print = comparison->shown < comparison->options.shown;
	if (*print) {
		comparison->shown++;
		difference_print(comparison, outcome, walked, reference, common);
	}
	return tally_add_reason(tally, outcome, where,
				outcome == OUTCOME_GIVEN_UP ? reference->reason : walked->reason);
}

static int threads_compare(struct comparison *comparison, bool *print)
{
	int count = walker_take(comparison->walker, 0, comparison->stacks, THREADS_MAX);
	int error = 0;

	for (int i = 0; i < count && !error; i++)
		error = stack_compare(comparison, &comparison->stacks[i], print);
	return count < 0 ? count : error;
}

/* Has one of the threads that do not wait go on by single instructions. */
static int steps_compare(struct comparison *comparison, bool *print)
{
	struct target *target = &comparison->target;
	size_t index = (size_t)random() % target->count;
	int error = 0, count;

	for (uint32_t i = 0; i < comparison->options.steps && !error && !*print; i++) {
		if (index >= target->count || target_step(target, &target->threads[index]))
			return 0;
		count = walker_take(comparison->walker, target->threads[index].tid,
				    comparison->stacks, 1);
		if (count == 1) {
			comparison->tally.stepped++;
			error = stack_compare(comparison, &comparison->stacks[0], print);
		}
	}
	return error;
}

/* One stop. Returns 0, -ESRCH: the process has ended, or another -errno. */
static int stop_compare(struct comparison *comparison)
{
	bool print = false;
	int error = target_stop(&comparison->target);

	if (error)
		return error;
	error = maps_follow(comparison);
	if (!error)
		error = threads_compare(comparison, &print);
	if (!error && !print)
		error = steps_compare(comparison, &print);
	if (print && comparison->options.debugger)
		debugger_ask(comparison);
	target_release(&comparison->target, false);
	return error;
}

static int target_begin(struct comparison *comparison)
{
	const struct options *options = &comparison->options;
	int error = 0;

	comparison->target = (struct target){.pid = (pid_t)options->pid};
	if (options->command)
		error = target_start(options->command, &comparison->target);
	if (!error) {
		comparison->runs++;
		comparison->maps = 0;
		error = walker_set_process(comparison->walker, comparison->target.pid);
	}
	return error;
}

static bool comparison_goes_on(const struct comparison *comparison)
{
	return comparison->tally.places < comparison->options.places &&
	       now_ms() < comparison->end_ms;
}

/* From a start of the command to its end. Returns 0, also if it has ended, or -errno. */
static int run_compare(struct comparison *comparison)
{
	int error = target_begin(comparison);

	while (!error && comparison_goes_on(comparison)) {
		pause_randomly(comparison->options.pause_us);
		error = stop_compare(comparison);
		if (error == -EAGAIN)
			error = 0;
	}
	reference_close(comparison->reference);
	comparison->reference = NULL;
	target_end(&comparison->target);
	return error == -ESRCH && comparison->options.command ? 0 : error;
}

/* Runs the command again and again, if need be. Returns 0 or -errno with a sentence. */
static int comparison_run(struct comparison *comparison, struct error *sentence)
{
	uint64_t before;
	int error = 0;

	comparison->end_ms = now_ms() + comparison->options.seconds * 1000LL;
	do {
		before = comparison->tally.places;
		error = run_compare(comparison);
		if (!error && comparison->tally.places == before && comparison_goes_on(comparison))
			return error_set(sentence, -ESRCH, "the command ends at once");
	} while (!error && comparison->options.command && comparison_goes_on(comparison));
	return error;
}

static int comparison_print(const struct comparison *comparison)
{
	json_t *result = tally_json(&comparison->tally);

	if (!result)
		return -ENOMEM;
	json_object_set_new(result, "runs", json_integer(comparison->runs));
	json_dumpf(result, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	printf("\n");
	json_decref(result);
	return 0;
}

static const char usage[] = "usage: compare [OPTION…] COMMAND… | -p PID\n"
			    "  -n PLACES   stacks to compare, default 1000\n"
			    "  -t SECONDS  or until then, default 60\n"
			    "  -s STEPS    instructions to run singly after each stop, default 20\n"
			    "  -w MICROS   to wait between stops, on average, default 1000\n"
			    "  -d COUNT    differences to print, default 3\n"
			    "  -g          have gdb print what it thinks of them\n"
			    "  -r SEED     of the random numbers, default 1\n";

static uint32_t *option_number(struct options *options, int option)
{
	switch (option) {
	case 'n':
		return &options->places;
	case 't':
		return &options->seconds;
	case 's':
		return &options->steps;
	case 'w':
		return &options->pause_us;
	case 'd':
		return &options->shown;
	case 'r':
		return &options->seed;
	case 'p':
		return &options->pid;
	}
	return NULL;
}

static int options_read(int count, char *arguments[], struct options *options)
{
	uint32_t *number;
	int option;

	while ((option = getopt(count, arguments, "+n:t:s:w:d:gr:p:")) != -1) {
		number = option_number(options, option);
		if (number)
			*number = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'g')
			options->debugger = true;
		else
			return -EINVAL;
	}
	if (optind < count)
		options->command = arguments + optind;
	return !options->command == !options->pid ? -EINVAL : 0;
}

static int comparison_make(struct comparison *comparison, struct error *sentence)
{
	int error;

	srandom(comparison->options.seed);
	comparison->stacks = calloc(THREADS_MAX, sizeof(*comparison->stacks));
	if (!comparison->stacks)
		return -ENOMEM;
	error = walker_open(&comparison->walker, sentence);
	if (!error)
		error = comparison_run(comparison, sentence);
	if (!error)
		error = comparison_print(comparison);
	walker_close(comparison->walker);
	tally_free(&comparison->tally);
	free(comparison->stacks);
	return error;
}

int main(int count, char *arguments[])
{
	struct comparison comparison = {.options = {.places = 1000,
						    .seconds = 60,
						    .steps = 20,
						    .pause_us = 1000,
						    .shown = 3,
						    .seed = 1}};
	struct error sentence = {{0}};
	int error;

	if (options_read(count, arguments, &comparison.options)) {
		fputs(usage, stderr);
		return 2;
	}
	error = comparison_make(&comparison, &sentence);
	if (error)
		fprintf(stderr, "compare: %s\n", *sentence.text ? sentence.text : strerror(-error));
	return error ? 1 : 0;
}
