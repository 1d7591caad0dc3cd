/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that files mapped as code are heard of if their names speak of Python, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/mapping_events.h"

#define PAGE 4096

static void test_null(void **state)
{
	mapping_events_consume(NULL);
	mapping_events_free(NULL);
	assert_int_equal(mapping_events_descriptor(NULL), -1);
	assert_int_equal(mapping_events_lost(NULL), 0);
}

struct heard {
	pid_t pid; /* that is listened for: others run on this machine too */
	int count;
};

static void hear(void *context, pid_t pid)
{
	struct heard *heard = context;

	heard->count += pid == heard->pid;
}

static int file_make(const char *directory, const char *name, char path[128])
{
	static const char page[PAGE];
	int file;

	snprintf(path, 128, "%s/%s", directory, name);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);
	assert_true(file >= 0);
	assert_int_equal(write(file, page, PAGE), PAGE);
	return file;
}

/* Maps it in a child, several times. Returns how often that was heard. */
static int mappings_heard(const char *name, int protection, int times)
{
	char directory[] = "/tmp/test_mapping_events.XXXXXX", path[128];
	struct heard heard = {0};
	struct mapping_events *events;
	int file, go[2], status, error = mapping_events_new(hear, &heard, &events);

	if (error == -EPERM || error == -EACCES || error == -ENOENT) {
		print_message("no right to open perf events\n");
		skip();
	}
	assert_int_equal(error, 0);
	assert_non_null(mkdtemp(directory));
	file = file_make(directory, name, path);
	assert_int_equal(pipe(go), 0);
	heard.pid = fork();
	if (!heard.pid) {
		close(go[1]);
		if (read(go[0], &status, 1) < 0)
			_exit(1);
		for (int i = 0; i < times; i++)
			if (mmap(NULL, PAGE, protection, MAP_PRIVATE, file, 0) == MAP_FAILED)
				_exit(1);
		_exit(0);
	}
	close(go[0]);
	close(go[1]);
	assert_int_equal(waitpid(heard.pid, &status, 0), heard.pid);
	assert_int_equal(status, 0);
	assert_true(mapping_events_descriptor(events) >= 0);
	mapping_events_consume(events);
	assert_int_equal(mapping_events_lost(events), 0);
	mapping_events_free(events);
	close(file);
	unlink(path);
	rmdir(directory);
	return heard.count;
}

static void test_code_of_python(void **state)
{
	assert_int_equal(mappings_heard("libpython3.99.so.1.0", PROT_READ | PROT_EXEC, 1), 1);
	assert_int_equal(mappings_heard("python3", PROT_READ | PROT_EXEC, 3), 3);
}

static void test_other_code(void **state)
{
	assert_int_equal(mappings_heard("libperl.so", PROT_READ | PROT_EXEC, 2), 0);
}

static void test_data_of_python(void **state)
{
	assert_int_equal(mappings_heard("libpython3.99.so.1.0", PROT_READ, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_code_of_python),
		cmocka_unit_test(test_other_code),
		cmocka_unit_test(test_data_of_python),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
