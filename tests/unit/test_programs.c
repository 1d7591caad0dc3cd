/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that what is remembered of files is what reading them says, that a file that was changed
 * is not taken for the old one, and what kind of program a file is before it runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "python/interpreter.h"
#include "python/programs.h"

#define SCRIPT                       \
	"import sys, time\n"         \
	"def wait():\n"              \
	"    print(1, flush=True)\n" \
	"    time.sleep(1000)\n"     \
	"wait()\n"

/* Runs an interpreter that waits inside a function. */
static pid_t python_start(const char *command)
{
	char line[PATH_MAX], byte;
	int ends[2];
	pid_t pid;

	snprintf(line, sizeof(line), "exec %s -c '%s'", command, SCRIPT);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", line, NULL);
		_exit(127);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void compare(const struct interpreter *one, const struct interpreter *other)
{
	assert_memory_equal(&one->layout, &other->layout, sizeof(one->layout));
	assert_string_equal(one->version, other->version);
	assert_string_equal(one->path, other->path);
	assert_string_equal(one->file, other->file);
	assert_int_equal(one->runtime, other->runtime);
	assert_int_equal(one->code_type, other->code_type);
	assert_int_equal(one->frame_type, other->frame_type);
	assert_int_equal(one->text_start, other->text_start);
	assert_int_equal(one->text_end, other->text_end);
	assert_int_equal(one->code_dealloc.address, other->code_dealloc.address);
	assert_int_equal(one->code_dealloc.offset, other->code_dealloc.offset);
	assert_int_equal(one->code_dealloc.cheap, other->code_dealloc.cheap);
	assert_memory_equal(one->loop_start, other->loop_start, sizeof(one->loop_start));
	assert_memory_equal(one->loop_end, other->loop_end, sizeof(one->loop_end));
}

/* What reading says and what is remembered of another process are the same. */
static void process_check(struct programs *programs, pid_t pid)
{
	struct interpreter known = {.path = NULL}, read = {.path = NULL};
	struct process process;
	struct error error = {""};
	int result;

	assert_int_equal(process_open(pid, &process, &error), 0);
	result = interpreter_inspect(&process, &read, &error);
	assert_int_equal(interpreter_inspect_known(programs, &process, &known, &error), result);
	if (!result)
		compare(&known, &read);
	else
		assert_int_equal(result, -ENOTSUP); /* 3.6 */
	interpreter_release(&known);
	interpreter_release(&read);
	process_close(&process);
}

static void command_check(const char *command)
{
	struct programs *programs = programs_new();
	pid_t pids[2] = {python_start(command), python_start(command)};
	char path[64];
	int kind;

	print_message("%s\n", command);
	for (int i = 0; i < 4; i++)
		process_check(programs, pids[i % 2]);
	snprintf(path, sizeof(path), "/proc/%d/exe", pids[0]);
	kind = programs_kind(programs, path);
	assert_true(kind == PROGRAM_PYTHON_STATIC || kind == PROGRAM_PYTHON_SHARED);
	assert_int_equal(programs_kind(programs, path), kind);
	assert_int_equal(programs_kind(NULL, path), kind);
	stop(pids[0]);
	stop(pids[1]);
	programs_free(programs);
}

static void test_interpreters(void **state)
{
	const char *home = getenv("HOME");
	char pattern[PATH_MAX];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/.pyenv/versions/3.*/bin/python", home ? home : "");
	if (!glob(pattern, 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			command_check(found.gl_pathv[i]);
		globfree(&found);
	}
	if (!system("command -v /usr/bin/python3 > /dev/null"))
		command_check("/usr/bin/python3");
}

static void test_others(void **state)
{
	struct programs *programs = programs_new();
	struct interpreter interpreter;
	struct process process;
	struct error error;

	assert_int_equal(process_open(getpid(), &process, &error), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			interpreter_inspect_known(programs, &process, &interpreter, &error),
			-ENOEXEC);
	process_close(&process);
	assert_int_equal(programs_kind(programs, "/proc/self/exe"), PROGRAM_OTHER);
	assert_int_equal(programs_kind(programs, "/proc/self/exe"), PROGRAM_OTHER);
	assert_int_equal(programs_kind(programs, "/etc/passwd"), PROGRAM_OTHER);
	assert_int_equal(programs_kind(programs, "/dev/null"), PROGRAM_OTHER);
	assert_int_equal(programs_kind(programs, "/no/such/file"), -ENOENT);
	programs_free(programs);
	programs_free(NULL);
}

/* A file of ours, which this process maps. */
struct mapped {
	char path[64];
	int file;
	void *address;
	struct process process;
	struct maps maps;
	const struct mapping *mapping;
};

static void file_copy(const char *from, int file)
{
	char bytes[65536];
	int source = open(from, O_RDONLY);
	ssize_t count;

	assert_true(source >= 0);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	while ((count = read(source, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(file, bytes, (size_t)count), count);
	close(source);
}

static void mapped_begin(struct mapped *mapped, const char *from)
{
	struct error error;

	strcpy(mapped->path, "/tmp/test_python.XXXXXX");
	mapped->file = mkstemp(mapped->path);
	assert_true(mapped->file >= 0);
	file_copy(from, mapped->file);
	mapped->address = mmap(NULL, 1 << 16, PROT_READ | PROT_EXEC, MAP_PRIVATE, mapped->file, 0);
	assert_true(mapped->address != MAP_FAILED);
	assert_int_equal(process_open(getpid(), &mapped->process, &error), 0);
	assert_int_equal(maps_read(&mapped->process, &mapped->maps), 0);
	mapped->mapping = maps_find(&mapped->maps, (uintptr_t)mapped->address);
	assert_non_null(mapped->mapping);
}

static void mapped_end(struct mapped *mapped)
{
	munmap(mapped->address, 1 << 16);
	close(mapped->file);
	unlink(mapped->path);
	maps_free(&mapped->maps);
	process_close(&mapped->process);
}

static bool remembered(struct programs *programs, const struct mapped *mapped)
{
	struct program_file file;

	assert_int_equal(programs_image(programs, &mapped->process, mapped->mapping, &file), 0);
	return file.remembered;
}

/* Waits until the file has been left alone for so long that its times tell the next change. */
static void settle(struct programs *programs, const struct mapped *mapped)
{
	const struct timespec pause = {.tv_nsec = 50000000};

	for (int i = 0; i < 400 && !remembered(programs, mapped); i++)
		nanosleep(&pause, NULL);
	assert_true(remembered(programs, mapped));
}

static void test_changed(void **state)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
	struct programs *programs = programs_new();
	struct mapped mapped;

	mapped_begin(&mapped, "/proc/self/exe");
	assert_false(remembered(programs, &mapped));
	assert_false(remembered(programs, &mapped)); /* just written: its times mean nothing yet */
	assert_false(remembered(NULL, &mapped));
	settle(programs, &mapped);
	/* The same size, and the time of its change set back: as `cp -p` and packagers do. */
	assert_int_equal(pwrite(mapped.file, "\x7f", 1, 0), 1);
	assert_int_equal(futimens(mapped.file, times), 0);
	assert_false(remembered(programs, &mapped));
	/* The mapped part counts, too. */
	settle(programs, &mapped);
	assert_int_equal(munmap((char *)mapped.address + (1 << 15), 1 << 15), 0);
	maps_free(&mapped.maps);
	assert_int_equal(maps_read(&mapped.process, &mapped.maps), 0);
	mapped.mapping = maps_find(&mapped.maps, (uintptr_t)mapped.address);
	assert_false(remembered(programs, &mapped));
	mapped_end(&mapped);
	programs_free(programs);
}

/* What was remembered and proved wrong is read anew, and known from then on. */
static void test_again(void **state)
{
	struct programs *programs = programs_new();
	struct program_file file;
	struct mapped mapped;

	mapped_begin(&mapped, "/proc/self/exe");
	settle(programs, &mapped);
	assert_int_equal(programs_image(programs, &mapped.process, mapped.mapping, &file), 0);
	assert_false(programs_image_again(mapped.mapping, &file));
	assert_true(file.remembered);
	file.image->kind = IMAGE_PYTHON;
	file.image->runtime = 42;
	assert_true(programs_image_again(mapped.mapping, &file));
	assert_int_equal(file.image->kind, IMAGE_OTHER);
	assert_int_equal(programs_image(programs, &mapped.process, mapped.mapping, &file), 0);
	assert_true(file.remembered);
	assert_int_equal(file.image->runtime, 0);
	mapped_end(&mapped);
	programs_free(programs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
