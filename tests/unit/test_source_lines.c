/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks source lines on this very program and on libraries that the compiler makes here, in each
 * form that debug information has: DWARF 4 and 5, compressed, in a file of its own, damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/source_lines.h"
#include "profile/utf8.h"

#define BUILD_ID_SIZE 20 /* a SHA-1 sum */

static const char *const no_roots[] = {NULL};
static char folder[32];

static int setup(void **state)
{
	strcpy(folder, "/tmp/test_lines_XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static int teardown(void **state)
{
	run("rm -rf %s", folder);
	return 0;
}

static int lines_open(const char *path, const char *const roots[], struct source_lines **lines)
{
	struct elf_file file;
	int error;

	assert_int_equal(elf_file_open(path, &file), 0);
	error = source_lines_open(&file, roots, lines);
	elf_file_close(&file);
	return error;
}

static uint64_t symbol_value(const char *path, const char *name)
{
	struct elf_symbol symbol;
	struct elf_file file;

	assert_int_equal(elf_file_open(path, &file), 0);
	assert_int_equal(elf_symbol_find(&file, name, ELF_ALL_SYMBOLS, &symbol), 0);
	elf_file_close(&file);
	return symbol.value;
}

static void assert_line(struct source_lines *lines, uint64_t address, const char *path, int number)
{
	const char *file, *again;
	int32_t line;

	assert_int_equal(source_lines_find(lines, address, &file, &line), 0);
	assert_string_equal(file, path);
	assert_int_equal(line, number);
	assert_int_equal(source_lines_find(lines, address, &again, &line), 0);
	assert_ptr_equal(again, file);
}

static void assert_none(struct source_lines *lines, uint64_t address)
{
	const char *file = "untouched";
	int32_t line = -7;

	assert_int_equal(source_lines_find(lines, address, &file, &line), -ENOENT);
	assert_string_equal(file, "untouched");
	assert_int_equal(line, -7);
}

enum { MARKED_LINE = __LINE__ + 1 }; /* and the three after it */
__attribute__((noinline, used)) static void marked(void)
{
	__asm__ volatile("");
}

static void test_program(void **state)
{
	uint64_t value = symbol_value("/proc/self/exe", "marked");
	struct source_lines *lines;
	const char *file;
	int32_t line;

	assert_int_equal(lines_open("/proc/self/exe", no_roots, &lines), 0);
	assert_int_equal(source_lines_find(lines, value, &file, &line), 0);
	assert_non_null(strstr(file, "/tests/unit/test_source_lines.c"));
	assert_int_equal(file[0], '/');
	assert_in_range(line, MARKED_LINE, MARKED_LINE + 3);
	assert_none(lines, 0);
	assert_none(lines, UINT64_MAX);
	source_lines_close(lines);
	source_lines_close(NULL);
}

/* Makes a library whose function `one` lies in line 7 of made/one.c and `two` in 9 of other.h. */
static void library_make(const char *name, const char *flags)
{
	run("cd %s && printf '"
	    "# 7 \"x/../made/./one.c\"\\n"
	    "int one(int a) { return a + 1; }\\n"
	    "# 9 \"/absolute/../other.h\"\\n"
	    "int two(int a) { return a + 2; }\\n' | "
	    "cc -O1 -g %s -shared -fpic -x c -o %s -",
	    folder, flags, name);
}

static void library_check(const char *name, const char *const roots[])
{
	struct source_lines *lines;
	char path[128], source[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(lines_open(path, roots, &lines), 0);
	snprintf(source, sizeof(source), "%s/made/one.c", folder);
	assert_line(lines, symbol_value(path, "one"), source, 7);
	assert_line(lines, symbol_value(path, "two"), "/other.h", 9);
	source_lines_close(lines);
}

static void test_forms(void **state)
{
	static const char *const flags[] = {"-gdwarf-4",
					    "-gdwarf-5",
					    "-gdwarf-4 -gz=zlib",
					    "-gdwarf-5 -gz=zlib",
					    "-gdwarf-4 -gz=zlib-gnu",
					    "-gdwarf-3"};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		library_make("forms.so", flags[i]);
		library_check("forms.so", no_roots);
	}
}

/* Paths that start nowhere, as builds have them that others shall be able to repeat. */
static void test_relative(void **state)
{
	struct source_lines *lines;
	char path[128];

	run("cd %s && printf '"
	    "# 3 \"../../up/./../one.c\"\\n"
	    "int one(int a) { return a + 1; }\\n"
	    "# 4 \"..\"\\n"
	    "int two(int a) { return a + 2; }\\n' | "
	    "cc -O1 -g -fdebug-prefix-map=%s=. -shared -fpic -x c -o relative.so -",
	    folder, folder);
	snprintf(path, sizeof(path), "%s/relative.so", folder);
	assert_int_equal(lines_open(path, no_roots, &lines), 0);
	assert_line(lines, symbol_value(path, "one"), "../../one.c", 3);
	assert_line(lines, symbol_value(path, "two"), "..", 4);
	source_lines_close(lines);
}

/* Puts what was taken from a library, or the whole of it, where it is found by build-id. */
static void build_id_place(const char *name, const char *command, uint8_t id[ELF_BUILD_ID_MAX])
{
	char hex[2 * BUILD_ID_SIZE + 1] = "", path[128];
	struct elf_file file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(elf_file_open(path, &file), 0);
	assert_int_equal(elf_build_id(&file, id), BUILD_ID_SIZE);
	elf_file_close(&file);
	for (int i = 0; i < BUILD_ID_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	run("cd %s && mkdir -p .build-id/%.2s && %s %s .build-id/%.2s/%s.debug", folder, hex,
	    command, name, hex, hex + 2);
}

static void test_debug_file(void **state)
{
	const char *const roots[] = {"/no/such/root", folder, NULL};
	struct source_lines *lines = NULL;
	uint8_t id[ELF_BUILD_ID_MAX];
	char path[128];

	library_make("whole.so", "-gdwarf-5 -Wl,--build-id=sha1");
	/* That it has other debug sections does not make it one with lines. */
	run("cd %s && printf x > some && objcopy --strip-debug whole.so less.so && "
	    "objcopy --add-section .debug_gdb_scripts=some less.so",
	    folder);
	snprintf(path, sizeof(path), "%s/less.so", folder);
	assert_int_equal(lines_open(path, roots, &lines), -ENOENT);
	assert_null(lines);
	build_id_place("whole.so", "objcopy --only-keep-debug", id);
	library_check("less.so", roots);
	assert_int_equal(lines_open(path, no_roots, &lines), -ENOENT);
}

/* A file that refers to another one, which may be anything: found by build-id, or not opened. */
static void test_shared_file(void **state)
{
	const char *const roots[] = {folder, NULL};
	struct source_lines *lines = NULL;
	uint8_t id[ELF_BUILD_ID_MAX];
	char path[128];
	FILE *link;

	library_make("shared.so", "-gdwarf-4 -Wl,--build-id=sha1 -Wl,-soname,shared");
	library_make("plain.so", "-gdwarf-4");
	build_id_place("shared.so", "cp", id);
	snprintf(path, sizeof(path), "%s/link", folder);
	link = fopen(path, "w");
	assert_non_null(link);
	assert_true(fprintf(link, "%s/fifo%c", folder, '\0') > 0);
	assert_int_equal(fwrite(id, 1, BUILD_ID_SIZE, link), BUILD_ID_SIZE);
	assert_int_equal(fclose(link), 0);
	run("cd %s && mkfifo fifo && objcopy --add-section .gnu_debugaltlink=link plain.so "
	    "linked.so",
	    folder);
	library_check("linked.so", roots);
	snprintf(path, sizeof(path), "%s/linked.so", folder);
	assert_int_equal(lines_open(path, no_roots, &lines), -ENOENT);
	assert_null(lines);
}

/* Units whose lines have to be looked for in files that they name. */
static void test_split(void **state)
{
	struct source_lines *lines = NULL;
	char path[128];

	library_make("split.so", "-gdwarf-5 -gsplit-dwarf -dumpbase split");
	snprintf(path, sizeof(path), "%s/split.so", folder);
	assert_int_equal(lines_open(path, no_roots, &lines), -ENOENT);
	assert_null(lines);
}

/* Calls everything: whatever the file holds, what is found is fit to be shown. */
static void use(const char *path)
{
	struct source_lines *lines;
	struct elf_file file;
	const char *source;
	int32_t line;
	int error;

	if (elf_file_open(path, &file))
		return;
	error = source_lines_open(&file, no_roots, &lines);
	elf_file_close(&file);
	assert_true(error <= 0);
	if (error)
		return;
	for (uint64_t address = 0x1000; address < 0x1200; address++)
		if (!source_lines_find(lines, address, &source, &line)) {
			assert_true(line > 0);
			assert_true(utf8_valid(source));
		}
	source_lines_close(lines);
}

/* Bytes of the sections that hold the lines, set to extremes in turn. */
static void test_damaged(void **state)
{
	static const char *const sections[] = {".debug_line", ".debug_info", ".debug_rnglists",
					       ".debug_abbrev", ".debug_line_str"};
	uint64_t offset, size;
	struct elf_file file;
	char path[128];
	int fd;

	library_make("damaged.so", "-gdwarf-5 -ffunction-sections");
	snprintf(path, sizeof(path), "%s/damaged.so", folder);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		assert_int_equal(elf_file_open(path, &file), 0);
		if (elf_section_find(&file, sections[i], NULL, &offset, &size))
			size = 0;
		elf_file_close(&file);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		for (uint64_t at = offset; at < offset + size; at++) {
			uint8_t byte, changed;

			assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
			changed = byte == 0xff ? 0x7f : 0xff;
			assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
			use(path);
			assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		}
		close(fd);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program),     cmocka_unit_test(test_forms),
		cmocka_unit_test(test_relative),    cmocka_unit_test(test_debug_file),
		cmocka_unit_test(test_shared_file), cmocka_unit_test(test_split),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
