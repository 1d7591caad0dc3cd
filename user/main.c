/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the choice of the command. Leaves to user/commands everything that a command does. */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <argp.h>

#include "commands/command.h"

static const struct command commands[] = {
	{"record", "pyebpf record", command_record, "profile processes, print the report"},
	{"dump", "pyebpf dump", command_dump, "print what every thread does right now"},
	{"top", "pyebpf top", command_top, "what running processes do, live"},
	{"report", "pyebpf report", command_report, "print the report of a recording"},
	{"check", "pyebpf check", command_check, "what this kernel and these rights allow"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *stream)
{
	size_t at;

	fputs("Usage: pyebpf COMMAND [OPTION...]\n\n"
	      "Tells for each Python function how long it was on the CPU, and how long and on what "
	      "it\nwaited.\n\n",
	      stream);
	for (at = 0; at < COMMANDS; at++)
		fprintf(stream, "  %-8s %s\n", commands[at].name, commands[at].summary);
	fputs("\n  pyebpf COMMAND --help   the command's options\n"
	      "  pyebpf --version        the version\n",
	      stream);
}

/* Text in recordings is UTF-8, and to know its width on the terminal takes such a locale. */
static void set_locale(void)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

/* What could not be written must not pass for success. */
static int finish_output(int status)
{
	if ((!ferror(stdout) && !fflush(stdout)) || status)
		return status;
	perror("pyebpf: cannot write to standard output");
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	size_t at;

	set_locale();
	argp_err_exit_status = EXIT_USAGE;
	for (at = 0; at < COMMANDS; at++) {
		if (strcmp(commands[at].name, name) != 0)
			continue;
		argv[1] = (char *)commands[at].full_name;
		return finish_output(commands[at].run(argc - 1, argv + 1));
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		puts("pyebpf " PYEBPF_VERSION);
		return finish_output(EXIT_SUCCESS);
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		print_help(stdout);
		return finish_output(EXIT_SUCCESS);
	}
	if (*name)
		fprintf(stderr, "pyebpf: there is no command `%s`\n", name);
	print_help(stderr);
	return EXIT_USAGE;
}
