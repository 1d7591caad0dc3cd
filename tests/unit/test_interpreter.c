/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inspects live interpreters: each is found, each tells its version, and the layout of every other
 * version is refused for it. Uses the machine's python3, pyenv's, and the commands in
 * PYEBPF_TEST_PYTHONS, which `;` separates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/elf.h"
#include "python/check.h"
#include "python/interpreter.h"
#include "python/offsets.h"

#define TRIES_MAX 1000 /* of 10 ms each */

/* Says its version, then waits inside a function while another thread works. */
#define SCRIPT                                            \
	"import sys, threading, time\n"                   \
	"def busy(n):\n"                                  \
	"    return n and busy(n - 1)\n"                  \
	"def work():\n"                                   \
	"    while True:\n"                               \
	"        busy(50)\n"                              \
	"def wait():\n"                                   \
	"    print(sys.version.split()[0], flush=True)\n" \
	"    time.sleep(1000)\n"                          \
	"thread = threading.Thread(target=work)\n"        \
	"thread.daemon = True\n"                          \
	"thread.start()\n"                                \
	"wait()\n"

struct target {
	pid_t pid;
	char version[64];
};

/* Runs `command` through a shell that replaces itself, and reads the version it prints. */
static struct target target_start(const char *command)
{
	struct target target = {.pid = -1};
	char line[PATH_MAX];
	int ends[2];
	FILE *output;

	snprintf(line, sizeof(line), "exec %s -c '%s'", command, SCRIPT);
	assert_int_equal(pipe(ends), 0);
	target.pid = fork();
	if (!target.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed check ends the test at once */
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		execl("/bin/sh", "sh", "-c", line, NULL);
		_exit(127);
	}
	close(ends[1]);
	output = fdopen(ends[0], "r");
	assert_non_null(output);
	assert_non_null(fgets(target.version, sizeof(target.version), output));
	target.version[strcspn(target.version, "\n")] = '\0';
	fclose(output);
	return target;
}

static void target_stop(const struct target *target)
{
	kill(target->pid, SIGKILL);
	waitpid(target->pid, NULL, 0);
}

/*
 * 3.8 to 3.10 keep frames and code objects alike, but for the place of f_lasti and what a line
 * table means: one's row cannot be refuted on another. There the version alone decides, which is
 * read from the process itself.
 */
static bool are_alike(uint32_t one, uint32_t other)
{
	return one >= PYTHON_VERSION(3, 8) && one <= PYTHON_VERSION(3, 10) &&
	       other >= PYTHON_VERSION(3, 8) && other <= PYTHON_VERSION(3, 10);
}

/* No row but the version's own may hold for it. */
static void others_refused(const struct process *process, const struct interpreter *interpreter)
{
	struct python_layout layout;

	for (uint32_t minor = 7; minor <= 12; minor++) {
		uint64_t code_type = interpreter->code_type;
		struct error error;

		assert_int_equal(layout_from_table(PYTHON_VERSION(3, minor), &layout), 0);
		if (layout.version == interpreter->layout.version ||
		    are_alike(layout.version, interpreter->layout.version))
			continue;
		if (!layout_check(process, &layout, interpreter->runtime, &code_type, &error))
			fail_msg("%s passes for 3.%u", interpreter->version, minor);
	}
}

static void probe_checked(const struct interpreter *interpreter)
{
	const struct code_dealloc *dealloc = &interpreter->code_dealloc;
	struct elf_file file;
	uint64_t value;

	assert_true(dealloc->address >= interpreter->text_start);
	assert_true(dealloc->address < interpreter->text_end);
	assert_int_equal(elf_file_open(interpreter->file, &file), 0);
	assert_int_equal(elf_value_of(&file, dealloc->offset, &value), 0);
	assert_true((value & 0xfff) - (dealloc->address & 0xfff) <= 4);
	elf_file_close(&file);
}

static void target_check(const char *command)
{
	struct target target = target_start(command);
	struct interpreter interpreter;
	struct process process;
	struct error error;
	uint64_t learned = 0;

	print_message("%s: %s\n", command, target.version);
	assert_int_equal(process_open(target.pid, &process, &error), 0);
	if (!strncmp(target.version, "3.6", 3) || target.version[0] == '2') {
		assert_int_equal(interpreter_inspect(&process, &interpreter, &error), -ENOTSUP);
		assert_non_null(strstr(error.text, target.version));
		goto out;
	}
	for (int i = 0; i < 50; i++) {
		if (interpreter_inspect(&process, &interpreter, &error))
			fail_msg("%s", error.text);
		assert_string_equal(interpreter.version, target.version);
		if (i < 49)
			interpreter_release(&interpreter);
	}
	probe_checked(&interpreter);
	others_refused(&process, &interpreter);
	/* In a build without symbols the type is learned from a frame, and is the same. */
	for (int i = 0; i < TRIES_MAX && !learned; i++)
		layout_check(&process, &interpreter.layout, interpreter.runtime, &learned, &error);
	assert_int_equal(learned, interpreter.code_type);
	interpreter_release(&interpreter);
out:
	process_close(&process);
	target_stop(&target);
}

static void test_live(void **state)
{
	const char *home = getenv("HOME"), *more = getenv("PYEBPF_TEST_PYTHONS");
	char pattern[PATH_MAX], *commands = strdup(more ? more : "");
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.*/bin/python", home ? home : "");
	assert_non_null(commands);
	if (!glob(pattern, 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			target_check(found.gl_pathv[i]);
		globfree(&found);
	}
	if (!system("command -v python3 > /dev/null"))
		target_check("python3");
	for (char *save, *one = strtok_r(commands, ";", &save); one;
	     one = strtok_r(NULL, ";", &save))
		target_check(one);
	free(commands);
}

static void test_not_python(void **state)
{
	struct interpreter interpreter = {.runtime = 42};
	struct process process;
	struct error error;

	assert_int_equal(process_open(getpid(), &process, &error), 0);
	assert_int_equal(interpreter_inspect(&process, &interpreter, &error), -ENOEXEC);
	assert_non_null(strstr(error.text, "test_interpreter"));
	assert_int_equal(interpreter.runtime, 42); /* untouched */
	process_close(&process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_not_python),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
