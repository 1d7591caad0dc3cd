/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a program in which there is no Python at first: at SIGUSR1 it loads the libpython that its
 * first argument names, and has it run the script that the second one names.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>

static const char set_arguments[] =
	"import sys\n"
	"sys.argv = open('/proc/self/cmdline').read().split('\\0')[2:-1]\n"
	"sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n";

static int run_script(void *library, const char *path)
{
	void (*initialize)(void) = (void (*)(void))dlsym(library, "Py_Initialize");
	int (*run_text)(const char *, void *) =
		(int (*)(const char *, void *))dlsym(library, "PyRun_SimpleStringFlags");
	int (*run_file)(FILE *, const char *, int, void *) =
		(int (*)(FILE *, const char *, int, void *))dlsym(library,
								  "PyRun_SimpleFileExFlags");
	FILE *file = fopen(path, "r");

	if (!initialize || !run_text || !run_file || !file)
		return 1;
	initialize();
	return run_text(set_arguments, NULL) || run_file(file, path, 1, NULL);
}

int main(int count, char **arguments)
{
	sigset_t set;
	void *library;
	int number;

	if (count < 3)
		return 2;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("ready");
	fflush(stdout);
	sigwait(&set, &number);
	library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	return run_script(library, arguments[2]);
}
