/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a command of pyebpf is: a function with the arguments of a main(), of which argv[0] is
 * the command's full name ("pyebpf report"). It returns the exit status; 2 for wrong arguments.
 */
#ifndef PYEBPF_COMMAND_H
#define PYEBPF_COMMAND_H

#define EXIT_USAGE 2

struct command {
	const char *name;
	const char *full_name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

int command_record(int argc, char **argv);
int command_report(int argc, char **argv);
int command_dump(int argc, char **argv);
int command_top(int argc, char **argv);
int command_check(int argc, char **argv);

#endif
