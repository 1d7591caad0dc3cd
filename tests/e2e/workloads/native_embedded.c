/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a program that is no interpreter but has one inside: runs the script that it is given, with
 * its arguments. Linked with each libpython; the few functions that it needs are the same in all.
 */
#include <stdio.h>
#include <stdlib.h>

void Py_Initialize(void);
int Py_FinalizeEx(void);
int PyRun_SimpleStringFlags(const char *text, void *flags);
int PyRun_SimpleFileExFlags(FILE *file, const char *name, int close, void *flags);

/* By the process' own command line: each version has other functions for setting sys.argv. */
static const char set_arguments[] =
	"import sys\n"
	"sys.argv = open('/proc/self/cmdline').read().split('\\0')[1:-1]\n"
	"sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n";

__attribute__((noinline)) int run_script(const char *path);
__attribute__((noinline)) int run_script(const char *path)
{
	FILE *file = fopen(path, "r");
	int result;

	if (!file)
		return 1;
	result = PyRun_SimpleStringFlags(set_arguments, NULL);
	if (!result)
		result = PyRun_SimpleFileExFlags(file, path, 1, NULL);
	return result ? 1 : 0;
}

int main(int count, char **arguments)
{
	int result;

	if (count < 2)
		return 2;
	Py_Initialize();
	result = run_script(arguments[1]);
	Py_FinalizeEx();
	return result;
}
